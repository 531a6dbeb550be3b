"""Every public operation is compared with something."""

from __future__ import annotations

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
    public = {name: getattr(f, name) for f in FAMILIES for name in f.__all__}
    compared = {row.name for row in [*TABLE, *JAX_TABLE]}
    functions = {public[name] for name in compared & public.keys()}  # some have several names
    assert {n for n, f in public.items() if f not in functions and n not in ELSEWHERE} == set()
    assert compared <= public.keys(), "rows about operations that do not exist"


def test_rows_are_told_apart() -> None:
    for table in (TABLE, JAX_TABLE):
        told = [(row.name, row.tag) for row in table]
        assert len(set(told)) == len(told), sorted({t for t in told if told.count(t) > 1})
