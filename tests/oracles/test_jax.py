"""Values, gradients and Hessian products of operations that torch lacks, or does otherwise."""

from __future__ import annotations

from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.oracles.compare import (
    Found,
    directions_for,
    flat,
    ours,
    places_of_floats,
    require_same,
    weights_for,
)
from tests.oracles.rows import Row, identify
from tests.oracles.tables import JAX_TABLE

jax = pytest.importorskip("jax", reason="the oracle of these rows")
jnp = jax.numpy
LIBRARY = SimpleNamespace(**vars(jnp), scipy=pytest.importorskip("jax.scipy"))


@pytest.fixture(autouse=True)
def in_double_precision() -> Any:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def theirs(row: Row, args: list[np.ndarray]) -> Found:
    f = row.theirs
    if not callable(f):
        named = reduce(getattr, (f or row.name).split("."), jnp)
        f = lambda _library, *xs: named(*xs)
    places = places_of_floats(args)
    values = [np.asarray(y) for y in flat(f(LIBRARY, *args))]

    def loss(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(places, xs, strict=True):
            full[i] = x
        outs = [y for y in flat(f(LIBRARY, *full)) if y.dtype.kind == "f"]
        return sum((w * (y * y + y)).sum() for w, y in zip(weights_for(values), outs, strict=True))

    xs = tuple(jnp.asarray(args[i]) for i in places)
    if not weights_for(values) or not xs:
        return Found(values, [], [])
    argnums = tuple(range(len(xs)))
    slope = jax.grad(loss, argnums)
    products = jax.jvp(slope, xs, tuple(map(jnp.asarray, directions_for(args))))[1]
    return Found(values, list(map(np.asarray, slope(*xs))), list(map(np.asarray, products)))


@pytest.mark.parametrize("row", JAX_TABLE, ids=identify(JAX_TABLE))
def test_as_jax(row: Row) -> None:
    args = row.arguments()
    with np.errstate(all="ignore"):
        require_same(ours(row.function, args), theirs(row, args))
