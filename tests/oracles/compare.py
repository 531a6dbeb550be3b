"""How values and derivatives of two libraries are compared.

From the outputs y of an operation a scalar is made, L = Σ w (y² + y) over all floating outputs with
fixed weights w, so that operations that are linear have a second derivative too. Compared are y,
the gradient of L, and the Hessian of L times a fixed vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from tests.oracles.rows import Arrays

TOLERANCE = 1e-10
"""Relative to the largest magnitude among values and expected derivatives."""


def flat(outputs: Any) -> list[Any]:
    """The arrays of a result that may be a tuple or a list of them."""
    if isinstance(outputs, tuple | list):
        return [y for part in outputs for y in flat(part)]
    return [outputs]


def places_of_floats(args: Arrays) -> list[int]:
    return [i for i, x in enumerate(args) if x.dtype.kind == "f"]


def weights_for(values: Arrays) -> Arrays:
    """Fixed weights, one for each entry of the floating outputs."""
    rng = np.random.default_rng(7)
    return [np.asarray(rng.uniform(0.5, 1.5, y.shape)) for y in values if y.dtype.kind == "f"]


def directions_for(args: Arrays) -> Arrays:
    rng = np.random.default_rng(8)
    return [np.asarray(rng.uniform(-1, 1, args[i].shape)) for i in places_of_floats(args)]


class Found(NamedTuple):
    """Values, and the derivatives of L in the floating arguments."""

    values: Arrays
    gradients: Arrays
    products: Arrays


def ours(f: Callable, args: Arrays) -> Found:
    """What this engine finds: reverse mode, then forward over reverse."""
    places = places_of_floats(args)
    values = [np.array(y.data) for y in flat(f(*args))]
    weights = [w.astype(_common(args, places)) for w in weights_for(values)]

    def loss(*xs: Any) -> Any:
        full: list[Any] = list(args)
        for i, x in zip(places, xs, strict=True):
            full[i] = x
        outs = [y for y in flat(f(*full)) if y.dtype.kind == "f"]
        return sum(ac.sum(w * (y * y + y)) for w, y in zip(weights, outs, strict=True))

    xs = tuple(args[i] for i in places)
    if not weights or not xs:
        return Found(values, [], [])
    argnums = tuple(range(len(xs)))
    gradients = ac.grad(loss, argnums)(*xs)
    directions = tuple(d.astype(x.dtype) for d, x in zip(directions_for(args), xs, strict=True))
    products = ac.jvp(ac.grad(loss, argnums), xs, directions)[1]
    return Found(values, _numbers(gradients), _numbers(products))


def _common(args: Arrays, places: list[int]) -> Any:
    return np.result_type(*(args[i].dtype for i in places)) if places else np.float64


def _numbers(tensors: Sequence[Any]) -> Arrays:
    return [np.array(x.data) for x in tensors]


def require_same(got: Found, expected: Found) -> None:
    """Values and derivatives agree; tolerances are relative to the largest magnitude around."""
    assert len(got.values) == len(expected.values)
    scale = max(1e-3, *map(largest, [*expected.values, np.zeros(1)]))
    for name in Found._fields:
        pairs = list(zip(getattr(got, name), getattr(expected, name), strict=True))
        reach = max([scale, *(largest(b) for _, b in pairs)])
        for i, (a, b) in enumerate(pairs):
            assert a.shape == b.shape, f"{name} {i}: shape {a.shape}, expected {b.shape}"
            exact = b.dtype.kind != "f"
            np.testing.assert_allclose(
                a.astype(np.float64),
                b.astype(np.float64),
                rtol=0,
                atol=0 if exact else TOLERANCE * reach,
                err_msg=f"{name} {i}",
            )


def largest(x: np.ndarray) -> float:
    """The largest finite magnitude in an array."""
    x = np.abs(np.asarray(x, np.float64))
    return float(np.max(x, initial=0.0, where=np.isfinite(x)))
