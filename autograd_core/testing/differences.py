"""Directional derivatives by differences, as exact as a function allows, with their own error.

One ladder of steps serves steep and flat functions alike: central differences at steps that shrink
by nearly four, extrapolated to step zero (Richardson 1911), of which the entry is taken that
changes least (Ridders 1982). What it changes by, and what rounding does to a difference, bound its
error: no step has to be chosen, and no tolerance guessed.
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
RATIO = 3.7
"""No power of two either: units of rounding, in quotients of a few, would seem to settle."""
ROWS = 19
DEPTH = 5
SAFETY = 4.0
LATER = 3
"""Rows beyond the best one, which show how noisy the function is."""
RESOLVED, RESOLVED_MOVE = 1e-5, 1e-6
"""Steps, and moves of an entry, below which a function that does not change at all, and did for
larger ones, may be one that rounds."""
SHORT = (8, 11, 24)
"""Binary digits of bfloat16, half and single precision."""
QUANTUM = 1e-12
"""Changes below this may be a few units of what something inside of the function rounds to."""
COARSE_MOVE = 1e-5
"""Moves that single precision sees."""
WIDE_MOVE = 1e-2
"""The first move of a ladder of these alone."""


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


def slope(
    f: Values, xs: Arrays, ts: Arrays, weights: Arrays, first: float = 1.0, local: bool = False
) -> Slope:
    """The derivative of the weighted sum of f's outputs at xs along ts, by central differences.

    Args:
        f: from arrays to arrays, in one precision.
        xs: the point, in the precision that f is to be computed in.
        ts: the direction; the largest step is a fifth of it.
        weights: of the outputs.
        first: changes all steps by a factor, for another estimate.
        local: look no farther than the direction goes, even if that is not far.
    """

    shift = displacement(xs, ts)

    def quotient(h: float) -> tuple[float, float]:
        ahead, behind = f(moved(xs, ts, h)), f(moved(xs, ts, -h))
        value, rounding = difference(ahead, behind, weights, 2 * h)
        return value, rounding + abs(value) * shift / h

    def from_step(first: float, least: float = 0.0) -> Slope:
        return extrapolated(
            lambda h: quotient(h * first),
            lambda k: RATIO ** (2 * k),
            farthest(ts) * first,
            least,
        )

    found, reach = from_step(first), FIRST_STEP * farthest(ts)
    if 0 < reach < COARSE_MOVE and not local:
        # Steps so small may miss what rounds inside of the function: what do longer ones say?
        found = _beside(found, from_step(WIDE_MOVE / reach, COARSE_MOVE))
    if found.is_flat:
        largest = max((float(np.max(np.abs(w), initial=0.0)) for w in weights), default=0.0)
        unseen = SAFETY * float(np.finfo(xs[0].dtype).eps) * largest / FIRST_STEP
        return Slope(found.value, found.error + unseen, True)
    return found


def _beside(found: Slope, wide: Slope) -> Slope:
    """What is known of a slope from tiny steps, beside one from longer ones."""
    if found.is_flat and not wide.is_flat:
        return wide if wide.error <= RESOLVED_MOVE * abs(wide.value) else UNKNOWN
    return UNKNOWN if _differ(wide, found) else found


def _differ(coarse: Slope, fine: Slope) -> bool:
    """Whether slopes from longer and shorter steps settle, and on different values."""
    settled = coarse.error <= 1e-3 * abs(coarse.value)
    return settled and abs(coarse.value - fine.value) > SAFETY * (coarse.error + fine.error)


def displacement(xs: Arrays, ts: Arrays) -> float:
    """What rounding of xs + h ts does to an entry's move, relative to it, times h."""
    found = 0.0
    for x, t in zip(xs, ts, strict=True):
        known = (t != 0) & np.isfinite(x)
        if known.any():
            ratio = np.abs(x[known]).astype(np.float64) / np.abs(t[known])
            found = max(found, float(np.finfo(x.dtype).eps) * float(ratio.max()))
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
    """The spacing of numbers near 1 in what arrays were computed in: of doubles that all have the
    few digits of single or half precision, that of those."""
    dtype = arrays[0].dtype
    entries = np.concatenate([x.ravel() for x in arrays])
    if dtype.itemsize > 4 and entries.size and (entries != np.rint(entries * 1024) / 1024).any():
        with np.errstate(all="ignore"):
            digits = np.frexp(entries)[0]
        for bits in SHORT:
            scaled = digits * 2.0**bits
            if (scaled == np.rint(scaled)).all():
                return 2.0 ** (1 - bits)
    return float(np.finfo(dtype).eps)


def extrapolated(
    quotient: Callable[[float], tuple[float, float]],
    factor: Callable[[int], float],
    farthest: float = 1.0,
    least: float = 0.0,
) -> Slope:
    """The limit of difference quotients for small steps.

    Args:
        quotient: of a step: the value, and its rounding error.
        factor: by how much the k-th term of the quotient's error shrinks from step to step.
        farthest: by how much an entry moves in a step of 1, at most.
        least: no entry moves by less than that.
    """
    best, coarse, chosen, least_change = UNKNOWN, UNKNOWN, 0, math.inf
    rows: list[list[float]] = []  # of Richardson's table; empty where the function is not finite
    with np.errstate(all="ignore"):
        for k in range(ROWS):
            h = FIRST_STEP / RATIO**k
            if h * farthest < least:
                break
            first, rounding = quotient(h)
            if not math.isfinite(first):
                rows.append([])
                continue
            if (
                first == 0
                and least_change < math.inf
                and (h < RESOLVED or h * farthest < RESOLVED_MOVE)
            ):
                break  # below what the function resolves
            least_change = min(least_change, abs(first) * 2 * h or math.inf)
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
    if FIRST_STEP / RATIO**chosen * farthest < RESOLVED_MOVE and _differ(coarse, best):
        return UNKNOWN  # something inside rounds, so that small steps miss part of the slope
    error = best.error + SAFETY * _noise(rows, chosen, best.value)
    if best.value == 0 and least_change < QUANTUM:
        error += least_change / (FIRST_STEP / RATIO**chosen)  # a change as small is not seen there
    return Slope(best.value, error, least_change == math.inf)


def _noise(rows: list[list[float]], chosen: int, value: float) -> float:
    """What noise of the function does to the row that was chosen: it grows as steps shrink, so that
    smaller ones show it, which the choice among many rows, the least by chance, does not."""
    found = 0.0
    for far, row in enumerate(rows[chosen + 1 : chosen + 2 + LATER], start=1):
        if row:
            found = max(found, abs(row[min(1, len(row) - 1)] - value) / RATIO**far)
    return found
