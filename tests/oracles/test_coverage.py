"""Every public operation is compared with something."""

from __future__ import annotations

from operator import attrgetter

import autograd_core as ac
from autograd_core import fft, linalg, ops, special
from tests.oracles.tables import JAX_TABLE, TABLE

NAMESPACES = {"fft": fft, "linalg": linalg, "special": special}
ELSEWHERE = {
    # without floating-point arguments, compared with NumPy in test_numpy.py
    "arange",
    "broadcast_shapes",
    "diag_indices",
    "empty",
    "eye",
    "fft.fftfreq",
    "fft.rfftfreq",
    "identity",
    "indices",
    "ones",
    "tri",
    "tril_indices",
    "triu_indices",
    "zeros",
}


def test_every_operation_has_a_row() -> None:
    public = set(ops.__all__)
    public |= {f"{n}.{name}" for n, space in NAMESPACES.items() for name in space.__all__}
    compared = {row.name for row in [*TABLE, *JAX_TABLE]}
    functions = {attrgetter(name)(ac) for name in compared}  # some have several names
    alone = {name for name in public - ELSEWHERE if attrgetter(name)(ac) not in functions}
    assert alone == set()
    assert compared <= public, "rows about operations that do not exist"


def test_rows_are_told_apart() -> None:
    for table in (TABLE, JAX_TABLE):
        told = [(row.name, row.tag) for row in table]
        assert len(set(told)) == len(told), sorted({t for t in told if told.count(t) > 1})
