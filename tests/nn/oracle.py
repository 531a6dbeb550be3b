"""Compare a layer with torch: values, gradients, and gradients of gradients, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ac

torch = pytest.importorskip("torch", reason="the oracle of these layers")
torch.set_num_threads(1)

TOLERANCE = 1e-10
"""Relative to the largest magnitude of what is compared."""


def normal(*shapes: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def _weights(shapes: list[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape) for shape in shapes]


def ours(f: Callable, arrays: list[np.ndarray]) -> list[list[np.ndarray]]:
    """[f], its gradients, and their gradients, of weighted sums of squares along the way."""
    places = tuple(range(len(arrays)))
    value = f(*map(ac.asarray, arrays))
    (w,) = _weights([value.shape], 1)
    directions = _weights([x.shape for x in arrays], 2)

    def loss(*xs: Any) -> Any:
        return ac.sum(w * ac.square(f(*xs)))

    def slope(*xs: Any) -> Any:
        gradients = ac.grad(loss, places)(*xs)
        return sum(ac.sum(d * g) for d, g in zip(directions, gradients, strict=True))

    first = ac.grad(loss, places)(*map(ac.asarray, arrays))
    second = ac.grad(slope, places)(*map(ac.asarray, arrays))
    return [[value.numpy()], [g.numpy() for g in first], [g.numpy() for g in second]]


def theirs(f: Callable, arrays: list[np.ndarray]) -> list[list[np.ndarray]]:
    """The same by torch."""
    xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    value = f(*xs)
    (w,) = _weights([tuple(value.shape)], 1)
    directions = _weights([x.shape for x in arrays], 2)
    first = torch.autograd.grad((torch.tensor(w) * value**2).sum(), xs, create_graph=True)
    slope = sum((torch.tensor(d) * g).sum() for d, g in zip(directions, first, strict=True))
    second = torch.autograd.grad(slope, xs, allow_unused=True)
    filled = [torch.zeros_like(x) if g is None else g for g, x in zip(second, xs, strict=True)]
    return [[y.detach().numpy() for y in part] for part in ([value], first, filled)]


def assert_close(actual: Any, expected: Any, tolerance: float = TOLERANCE, what: str = "") -> None:
    """Equal shapes, and entries that differ by less than a share of the largest one."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, what
    reach = float(np.abs(expected).max(initial=0.0)) or 1.0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * reach, err_msg=what)


def assert_same_as_torch(mine: Callable, other: Callable, *arrays: np.ndarray) -> None:
    """Values and derivatives of both orders agree, in every argument."""
    found, expected = ours(mine, list(arrays)), theirs(other, list(arrays))
    for part, a, b in zip(("value", "gradient", "second"), found, expected, strict=True):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_close(x, y, what=f"{part} {i}")
