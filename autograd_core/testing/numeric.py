"""What laws compare with: scales, steps, directions, and comparisons with a stated scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray]

EPS = float(np.finfo(np.float64).eps)
LARGEST_STEP = 2.0**-9


class LawViolation(AssertionError):
    """A law does not hold; the message says which, where, and shows expected beside got."""


def step_at(xs: Arrays) -> float:
    """A step from xs that keeps entries from crossing each other, and the multiples of ½."""
    entries = np.unique(np.concatenate([np.zeros(0), *[np.ravel(x) for x in xs]]))
    gaps = np.concatenate([np.diff(entries), np.abs(entries - np.rint(2 * entries) / 2)])
    gap = float(np.min(gaps[gaps > 0], initial=1.0))
    return max(min(LARGEST_STEP, 2.0 ** math.floor(math.log2(gap / 4))), 2.0**-14)


def largest(*arrays: Any) -> float:
    """The largest finite magnitude among the entries of some arrays; 0 where there is none."""
    best = 0.0
    for x in arrays:
        x = np.abs(_wide(x))
        best = max(best, float(np.max(x, initial=0.0, where=np.isfinite(x))))
    return best


def direction(rng: np.random.Generator, xs: Arrays) -> list[np.ndarray]:
    """Random arrays like xs with entries in [-1, 1], away from 0."""
    return [_signed(rng, x).astype(x.dtype) for x in xs]


def _signed(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return np.asarray(rng.uniform(0.25, 1.0, x.shape) * rng.choice([-1.0, 1.0], x.shape))


def require_close(got: Any, expected: Any, tolerance: float, what: str) -> None:
    """Raise a LawViolation where two arrays differ in shape, or somewhere by more than tolerance.

    Infinities must agree, and so must NaNs.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise LawViolation(f"{what}: expected shape {expected.shape}, got {got.shape}")
    if got.size == 0:
        return
    with np.errstate(invalid="ignore"):
        difference = np.abs(_wide(got) - _wide(expected))
        same = (got == expected) | (np.isnan(_floats(got)) & np.isnan(_floats(expected)))
        wrong = ~same & ~(difference <= tolerance)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise LawViolation(
            f"{what}: {int(wrong.sum())} of {wrong.size} entries differ by more than "
            f"{tolerance:.3g}, first at {place}: expected {expected[place]!r}, got {got[place]!r}\n"
            f"expected\n{expected}\ngot\n{got}"
        )


def _wide(x: Any) -> np.ndarray:
    """In double precision, real or complex."""
    x = np.asarray(x)
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def _floats(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind in "fc" else np.zeros(x.shape)
