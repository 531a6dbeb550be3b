"""Every public operation is compared with something."""

from __future__ import annotations

import autograd_core as ac
from autograd_core.ops import FAMILIES
from tests.oracles.tables import JAX_TABLE, TABLE

ELSEWHERE = {
    # without floating-point arguments, compared with NumPy in test_numpy.py
    "arange",
    "broadcast_shapes",
    "empty",
    "eye",
    "ones",
    "zeros",
}


def test_every_operation_has_a_row() -> None:
    public = {name for family in FAMILIES for name in family.__all__}
    compared = {row.name for row in [*TABLE, *JAX_TABLE]}
    functions = {getattr(ac, name) for name in compared}  # some have several names
    assert {name for name in public - ELSEWHERE if getattr(ac, name) not in functions} == set()
    assert compared <= public, "rows about operations that do not exist"


def test_rows_are_told_apart() -> None:
    for table in (TABLE, JAX_TABLE):
        told = [(row.name, row.tag) for row in table]
        assert len(set(told)) == len(told), sorted({t for t in told if told.count(t) > 1})
