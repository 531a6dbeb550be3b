"""Functions with their gradients, in NumPy: what a checker of gradients is measured by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """A function, its derivatives as they were written, and where they are to be checked.

    Attributes:
        name: says what is wrong with it, or what is awkward about it.
        f, vjp, jvp: see `autograd_core.testing.check_grads`; vjp may be a pair, with its own vjp.
        args: of f.
    """

    name: str
    f: Callable
    vjp: Any
    args: tuple
    jvp: Callable | None = None

    @property
    def pair(self) -> tuple:
        """What `check_grads` takes."""
        return (self.f, self.vjp) if self.jvp is None else (self.f, self.vjp, self.jvp)


def arrays(*shapes: tuple[int, ...], seed: int = 0, low: float = -2, high: float = 2) -> tuple:
    """Arrays of these shapes, drawn between two numbers."""
    rng = np.random.default_rng(seed)
    return tuple(np.asarray(rng.uniform(low, high, shape)) for shape in shapes)


def positive(*shapes: tuple[int, ...], seed: int = 0) -> tuple:
    return arrays(*shapes, seed=seed, low=0.3, high=3)


def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A cotangent summed over the axes that an argument of some shape was broadcast along."""
    g = g.sum(tuple(range(g.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axes, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
