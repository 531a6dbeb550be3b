"""Derivatives by differences, with their own error bounds, and comparisons with a stated scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

Arrays = Sequence[np.ndarray]
Numeric = Callable[..., Sequence[np.ndarray]]  # float64 arrays in, float64 arrays out

EPS = float(np.finfo(np.float64).eps)
LARGEST_STEP = 2.0**-9
LEVELS = 3
ROUNDING = 64.0
"""How many units in the last place of the largest argument or value a function may be off by."""
TRUSTED = 1e-5
"""An estimate whose error bound, relative to the scale of the function, is above this is none."""


class LawViolation(AssertionError):
    """A law does not hold; the message says which, where, and shows expected beside got."""


class Estimate(NamedTuple):
    """A directional derivative of one output, and a bound on its error."""

    value: np.ndarray
    error: float


def directional(f: Numeric, xs: Arrays, ts: Arrays, h: float) -> list[Estimate]:
    """The derivative of f at xs in the direction ts, for each output.

    Central differences at steps h, h/2, h/4, extrapolated twice (Richardson 1911). The error bound
    adds what the last extrapolation changed to what rounding does to a difference over 2h.

    Args:
        f: from float64 arrays to a sequence of them.
        xs: the point.
        ts: the direction, with entries of at most 1.
        h: the largest step; see `step_at`.

    Raises:
        LawViolation: the bound is too wide to say anything.
    """
    scale = [largest(*xs)]

    def difference(h: float) -> list[np.ndarray]:
        ahead = f(*[x + h * t for x, t in zip(xs, ts, strict=True)])
        behind = f(*[x - h * t for x, t in zip(xs, ts, strict=True)])
        scale[0] = max(scale[0], largest(*ahead), largest(*behind))
        return [(a - b) / (2 * h) for a, b in zip(ahead, behind, strict=True)]

    rows = [difference(h / 2**k) for k in range(LEVELS)]
    rounding = ROUNDING * EPS * scale[0] * 2**LEVELS / h
    return [_extrapolate(column, rounding) for column in zip(*rows, strict=True)]


def step_at(xs: Arrays) -> float:
    """A step from xs that keeps entries from crossing each other, and the multiples of ½."""
    entries = np.unique(np.concatenate([np.zeros(0), *[np.ravel(x) for x in xs]]))
    gaps = np.concatenate([np.diff(entries), np.abs(entries - np.rint(2 * entries) / 2)])
    gap = float(np.min(gaps[gaps > 0], initial=1.0))
    return max(min(LARGEST_STEP, 2.0 ** math.floor(math.log2(gap / 4))), 2.0**-14)


def _extrapolate(values: Sequence[np.ndarray], rounding: float) -> Estimate:
    column = list(values)
    for k in range(1, len(values)):
        factor = 4.0**k
        before = column
        column = [(factor * b - a) / (factor - 1) for a, b in pairwise(before)]
    error = rounding + largest(column[-1] - before[-1])
    scale = max(largest(column[-1]), 1.0)
    if not error <= TRUSTED * scale + rounding:
        raise LawViolation(
            "the numeric derivative does not settle: the domain comes too near to a kink or a "
            f"pole (derivative up to {scale:.3g}, error bound {error:.3g})"
        )
    return Estimate(column[-1], error)


def largest(*arrays: Any) -> float:
    """The largest finite magnitude among the entries of some arrays; 0 where there is none."""
    best = 0.0
    for x in arrays:
        x = np.abs(np.asarray(x, np.float64))
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
        difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        same = (got == expected) | (np.isnan(_floats(got)) & np.isnan(_floats(expected)))
        wrong = ~same & ~(difference <= tolerance)
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise LawViolation(
            f"{what}: {int(wrong.sum())} of {wrong.size} entries differ by more than "
            f"{tolerance:.3g}, first at {place}: expected {expected[place]!r}, got {got[place]!r}\n"
            f"expected\n{expected}\ngot\n{got}"
        )


def _floats(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind == "f" else np.zeros(x.shape)
