"""Directional derivatives by differences, as exact as a function allows, with their own error.

One ladder of steps serves steep and flat functions alike: central differences at steps that shrink
by four, extrapolated to step zero (Richardson 1911), of which the entry is taken that changes least
(Ridders 1982). What it changes by, and what rounding does to a difference, bound its error: no
step has to be chosen, and no tolerance guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Arrays = Sequence[np.ndarray]
Values = Callable[[Arrays], list[np.ndarray]]

FIRST_STEP = 0.1847
"""Relative to the direction. No power of two, or periods of the function could hide behind it."""
RATIO = 4.0
ROWS = 18
DEPTH = 5
SAFETY = 4.0
LATER = 3
"""Rows beyond the best one, which show how noisy the function is."""
WIDER = (1e2, 1e4, 1e6, 1e8)
"""Longer ladders, for functions that do not change along the first."""
RESOLVED, RESOLVED_MOVE = 1e-5, 1e-6
"""Steps, and moves of an entry, below which a function that does not change at all, and did for
larger ones, may be one that rounds."""
COARSE_MOVE = 1e-5
"""Moves that single precision sees."""


class Slope(NamedTuple):
    """A derivative along a direction.

    Attributes:
        value: NaN where nothing settles.
        error: a bound on how far it is off.
        is_flat: whether the function did not change at all.
    """

    value: float
    error: float
    is_flat: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the bound says anything."""
        return math.isfinite(self.value) and self.error <= 0.05 * abs(self.value)


UNKNOWN = Slope(math.nan, math.inf)


def slope(f: Values, xs: Arrays, ts: Arrays, weights: Arrays, first: float = 1.0) -> Slope:
    """The derivative of the weighted sum of f's outputs at xs along ts, by central differences.

    Args:
        f: from arrays to arrays, in one precision.
        xs: the point, in the precision that f is to be computed in.
        ts: the direction; the largest step is a fifth of it.
        weights: of the outputs.
        first: changes all steps by a factor, for another estimate.
    """

    def quotient(h: float) -> tuple[float, float]:
        ahead, behind = f(moved(xs, ts, h)), f(moved(xs, ts, -h))
        return difference(ahead, behind, weights, 2 * h)

    def from_step(first: float) -> Slope:
        return extrapolated(lambda h: quotient(h * first), lambda k: RATIO ** (2 * k), farthest(ts))

    found = from_step(first)
    if found.value == 0 and found.is_flat and FIRST_STEP * farthest(ts) < COARSE_MOVE:
        # Nothing changes along the whole ladder: is it flat, or are the steps too small to see?
        for wider in WIDER:
            with np.errstate(all="ignore"):
                seen = farthest(ts) * wider <= 1 and quotient(FIRST_STEP * wider)[0] != 0
            if seen:
                wide = from_step(wider)
                return wide if wide.error <= RESOLVED_MOVE * abs(wide.value) else UNKNOWN
    return found


def confirmed(f: Values, xs: Arrays, ts: Arrays, weights: Arrays) -> Slope:
    """The same from three ladders of steps, with an error that covers where they differ."""
    found = [slope(f, xs, ts, weights, first) for first in (1.0, 0.61, 1.57)]
    if not all(math.isfinite(x.value) for x in found):
        return UNKNOWN
    middle = sorted(found, key=lambda x: x.error)[0]
    apart = max(abs(x.value - middle.value) for x in found)
    return Slope(middle.value, max(x.error for x in found) + SAFETY * apart)


def one_sided(f: Values, xs: Arrays, ts: Arrays, weights: Arrays) -> tuple[Slope, Slope]:
    """The derivatives along ts from behind and ahead, which differ at a kink."""
    here = f(xs)

    def side(sign: float) -> Slope:
        def quotient(h: float) -> tuple[float, float]:
            return difference(f(moved(xs, ts, sign * h)), here, weights, sign * h)

        return extrapolated(quotient, lambda k: RATIO**k, farthest(ts))

    return side(-1.0), side(1.0)


def farthest(ts: Arrays) -> float:
    """The largest entry of a direction."""
    return max((float(np.max(np.abs(t), initial=0.0)) for t in ts), default=0.0)


def moved(xs: Arrays, ts: Arrays, h: float) -> list[np.ndarray]:
    """The point xs + h ts."""
    return [
        np.asarray(x + x.dtype.type(h) * t.astype(x.dtype)) for x, t in zip(xs, ts, strict=True)
    ]


def difference(a: Arrays, b: Arrays, weights: Arrays, h: float) -> tuple[float, float]:
    """The weighted sum of (a - b)/h, and what rounding of a and b does to it."""
    total, rounding = np.longdouble(0), 0.0
    for x, y, w in zip(a, b, weights, strict=True):
        total += np.sum((x.astype(np.longdouble) - y.astype(np.longdouble)) * w)
        size = np.maximum(np.abs(x), np.abs(y)).astype(np.float64)
        rounding += resolution(x, y) * float(np.sum(size * np.abs(w)))
    return float(total / h), rounding / abs(h)


def resolution(*arrays: np.ndarray) -> float:
    """The spacing of numbers near 1 in what arrays were computed in; of doubles that all are
    single-precision numbers, that of those."""
    dtype = arrays[0].dtype
    entries = [x for x in arrays if x.size]
    if dtype.itemsize > 4 and entries:
        with np.errstate(over="ignore"):
            single = all(np.array_equal(x, x.astype(np.float32)) for x in entries)
        odd = any((x != np.rint(x * 1024) / 1024).any() for x in entries)
        if single and odd:
            return float(np.finfo(np.float32).eps)
    return float(np.finfo(dtype).eps)


def extrapolated(
    quotient: Callable[[float], tuple[float, float]],
    factor: Callable[[int], float],
    farthest: float = 1.0,
) -> Slope:
    """The limit of difference quotients for small steps.

    Args:
        quotient: of a step: the value, and its rounding error.
        factor: by how much the k-th term of the quotient's error shrinks from step to step.
        farthest: by how much an entry moves in a step of 1, at most.
    """
    best, coarse, chosen, changed = UNKNOWN, UNKNOWN, 0, False
    rows: list[list[float]] = []  # of Richardson's table; empty where the function is not finite
    with np.errstate(all="ignore"):
        for k in range(ROWS):
            h = FIRST_STEP / RATIO**k
            first, rounding = quotient(h)
            if not math.isfinite(first):
                rows.append([])
                continue
            if first == 0 and changed and (h < RESOLVED or h * farthest < RESOLVED_MOVE):
                break  # below what the function resolves
            changed |= first != 0
            before = rows[-1] if rows else []
            row = [first]
            for j in range(1, min(len(before) + 1, DEPTH)):
                row.append((factor(j) * row[j - 1] - before[j - 1]) / (factor(j) - 1))
                error = abs(row[j] - row[j - 1]) + abs(row[j] - before[j - 1]) + rounding
                if SAFETY * error < best.error:
                    best, chosen = Slope(row[j], SAFETY * error), k
                if SAFETY * error < coarse.error and h * farthest >= COARSE_MOVE:
                    coarse = Slope(row[j], SAFETY * error)
            rows.append(row)
            if k - chosen > LATER and best.error <= 1e-8 * abs(best.value):
                break
    fine = FIRST_STEP / RATIO**chosen * farthest < RESOLVED_MOVE
    settled = coarse.error <= 1e-3 * abs(coarse.value)
    if fine and settled and abs(coarse.value - best.value) > SAFETY * (coarse.error + best.error):
        return UNKNOWN  # something inside rounds, so that small steps miss part of the slope
    noise = SAFETY * _noise(rows, chosen, best.value)
    return Slope(best.value, best.error + noise, not changed)


def _noise(rows: list[list[float]], chosen: int, value: float) -> float:
    """What noise of the function does to the row that was chosen: it grows as steps shrink, so that
    smaller ones show it, which the choice among many rows, the least by chance, does not."""
    found = 0.0
    for far, row in enumerate(rows[chosen + 1 : chosen + 2 + LATER], start=1):
        if row:
            found = max(found, abs(row[min(1, len(row) - 1)] - value) / RATIO**far)
    return found
