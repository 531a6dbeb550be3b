"""vmap of every operation is a stack of calls: of compositions too, which no law is checked on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from tests.oracles.compare import flat, largest
from tests.oracles.rows import Row, identify
from tests.oracles.tables import JAX_TABLE, TABLE

# How many there are is not known under vmap.
CONCRETE = {
    "argwhere",
    "flatnonzero",
    "nonzero",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
}
CONCRETE_PAIRS = {"compress", "digitize", "intersect1d", "setdiff1d", "setxor1d", "union1d"}
SETS = {*CONCRETE, *(name for name in CONCRETE_PAIRS if name.endswith("1d"))}
ROWS = [row for row in [*TABLE, *JAX_TABLE] if row.name not in SETS and row.arguments()]


@pytest.mark.parametrize("row", ROWS, ids=identify(ROWS))
def test_vmap_is_a_stack_of_calls(row: Row) -> None:
    calls = [row.arguments(again) for again in range(3)]
    places = range(len(calls[0]))
    for mapped in {tuple(places), *((i,) for i in places)}:
        axes = tuple(0 if i in mapped else None for i in places)
        given = [np.stack([c[i] for c in calls]) if i in mapped else calls[0][i] for i in places]
        with np.errstate(all="ignore"):
            got = flat(ac.vmap(row.function, axes)(*given))
            slices = [
                [y.data for y in flat(row.function(*_mixed(calls, mapped, b)))] for b in range(3)
            ]
        for y, column in zip(got, zip(*slices, strict=True), strict=True):
            expected = np.stack(column)
            assert (y.shape, y.dtype) == (expected.shape, expected.dtype), mapped
            atol = 1e-13 * max(1.0, largest(expected)) if expected.dtype.kind == "f" else 0
            np.testing.assert_allclose(y.data, expected, rtol=0, atol=atol, err_msg=str(mapped))


def _mixed(calls: list, mapped: tuple[int, ...], b: int) -> list[Any]:
    return [calls[b if i in mapped else 0][i] for i in range(len(calls[0]))]


@pytest.mark.parametrize("name", sorted(CONCRETE))
def test_what_needs_to_know_how_many_says_so(name: str) -> None:
    with pytest.raises(ac.ConcreteValueError):
        ac.vmap(getattr(ac, name))(np.ones((2, 3)))


@pytest.mark.parametrize("name", sorted(CONCRETE_PAIRS))
def test_what_needs_to_know_how_many_says_so_of_two(name: str) -> None:
    with pytest.raises(ac.ConcreteValueError):
        ac.vmap(getattr(ac, name))(np.ones((2, 3)), np.ones((2, 3)))
