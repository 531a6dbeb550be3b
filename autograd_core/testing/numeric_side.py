"""`Numeric`: what a function's values say of its derivatives at some arguments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autograd_core.testing.analytic import complex_slope
from autograd_core.testing.differences import UNKNOWN, Slope, confirmed, one_sided, slope
from autograd_core.testing.noise import nudged
from autograd_core.testing.numeric import EPS
from autograd_core.testing.subjects import Arrays, Subject

__tracebackhide__ = True  # pytest shows the user's lines
ULPS = 64.0
"""What a sum of products may be off by, in units of its largest terms' last place."""
NUDGES = 2
"""How often arguments are moved by units in their last place, to see what that does."""
NUDGED = 16.0
"""How far a gradient may be from the exact one, in what is seen of its noise."""
FEW = 4096
"""Up to so many entries are computed in extended precision, which is slow."""
AROUND = 40
"""Places around a kink where slopes are looked at."""
FEW_AROUND = 8
"""As many tell whether there is one."""
FAR, NEAR = 1e-5, 1e-7
"""How far around, relative to arguments above 1."""
KINK = 1e-2
"""How far, relative to them, slopes around a point differ where there is a kink."""


class Numeric:
    """The derivatives of a function along directions, without its gradient.

    Args:
        subject: the function.
        leaves: its arguments.
        values: there.
        cts: weights of the outputs, whose weighted sum is differentiated.
        rng: draws places around the arguments.
    """

    def __init__(
        self,
        subject: Subject,
        leaves: Arrays,
        values: Arrays,
        cts: Arrays,
        rng: np.random.Generator,
    ):
        self.subject, self.leaves, self.values = subject, leaves, values
        self.cts, self.rng = cts, rng

    def at(self, floats: Arrays) -> list[np.ndarray]:
        """Values, for floats of any precision; NaN where the function takes no such argument."""
        leaves = list(self.leaves)
        for i, x in zip(self.subject.places, floats, strict=True):
            leaves[i] = x
        try:
            found = self.subject.numeric_values(leaves)
        except Exception:
            found = []
        if [y.shape for y in found] != [y.shape for y in self.values]:
            return [np.full(y.shape, np.nan) for y in self.values]
        return [np.array(y) for y in found]

    @cached_property
    def precise(self) -> list[np.ndarray]:
        """The arguments in the most precision that the function keeps."""
        given = [self.leaves[i] for i in self.subject.places]
        few = sum(x.size for x in given) <= FEW
        widest = np.longdouble if few and self.subject.library == "numpy" else np.float64
        for dtype in dict.fromkeys((np.dtype(widest), np.dtype(np.float64))):
            floats = [x.astype(dtype) for x in given]
            found = self.at(floats)
            if all(y.dtype == dtype for y in found) and alike(found, self.values, 1e-2):
                return floats
        return given

    def slope(self, ts: Arrays) -> Slope:
        """The derivative of the function along a direction, by differences; by complex steps where
        it keeps no extended precision, is analytic, and both agree."""
        found = slope(self.at, self.precise, ts, self.cts)
        if self.subject.library != "numpy" or self.precise[0].dtype == np.longdouble:
            return found
        exact = self._complex_slope(ts)
        agree = found.is_known and abs(exact.value - found.value) <= exact.error + found.error
        return exact if exact.is_known and exact.error < found.error and agree else found

    def _complex_slope(self, ts: Arrays) -> Slope:
        values = lambda floats: self.subject.complex_values(self.subject.filled(floats))
        places = range(len(ts))
        exact = complex_slope(values, self.precise, ts, self.cts)
        if exact is None:
            return UNKNOWN
        moved = [nudged(self.precise, places, self.rng, 2) for _ in range(NUDGES)]
        near = [complex_slope(values, xs, ts, self.cts) for xs in moved]
        apart = max(abs(exact - x) if x is not None else np.inf for x in near)
        return Slope(exact, ULPS * EPS * abs(exact) + NUDGED * apart)

    @cached_property
    def is_inside(self) -> bool:
        """Whether the function is defined here without a division by zero, and all around."""
        try:
            with np.errstate(divide="raise"):
                self.subject.values([np.array(x) for x in self.leaves])
        except FloatingPointError:
            return False
        for _ in range(FEW_AROUND):
            near = [
                x + 1e-3 * np.maximum(FAR, np.abs(x)) * signs(x, self.rng) for x in self.precise
            ]
            if not all(np.isfinite(y).all() for y in self.at(near)):
                return False
        return True

    def confirmed(self, ts: Arrays) -> Slope:
        """The same from three ladders, before anything is called wrong."""
        return confirmed(self.at, self.precise, ts, self.cts)

    def sides(self, ts: Arrays) -> tuple[Slope, Slope]:
        """The derivatives from behind and ahead."""
        return one_sided(self.at, self.precise, ts, self.cts)

    def has_kink(self, ts: Arrays) -> bool:
        """Whether slopes along a direction differ, on it or beside it."""
        behind, ahead = self.sides(ts)
        slack = max(behind.error + ahead.error, KINK * max(abs(behind.value), abs(ahead.value)))
        return bool(abs(behind.value - ahead.value) > slack) or self._is_kink(ts)

    def _is_kink(self, ts: Arrays) -> bool:
        """Whether slopes beside the arguments differ, and do so however near they are."""
        far = self.slopes_around(ts, FAR, FEW_AROUND)
        if not far or _spread(far) <= KINK * max(map(abs, far)):
            return False
        return _spread(self.slopes_around(ts, NEAR, FEW_AROUND)) > 0.3 * _spread(far)

    def slopes_around(self, ts: Arrays, far: float, count: int) -> list[float]:
        """Slopes beside a kink: a gradient on it may be any of them, or between."""
        found, scale = [], 1e-2 * far
        for _ in range(count):
            near = [x + far * np.maximum(1, np.abs(x)) * self.rng.uniform(-1, 1, x.shape)
                    for x in self.precise]  # fmt: skip
            small = [scale * t for t in ts]
            beside = slope(self.at, near, small, self.cts, local=True)
            if np.isfinite(beside.value):
                found.append(beside.value / scale)
        return found


def signs(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A direction, none of whose entries is small."""
    return rng.uniform(0.25, 1, x.shape) * rng.choice([-1.0, 1.0], x.shape)


def _spread(slopes: Sequence[float]) -> float:
    return max(slopes, default=0.0) - min(slopes, default=0.0)


def close(a: np.ndarray, b: np.ndarray, tolerance: float | np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        near = np.abs(a.astype(np.float64) - b) <= tolerance
    return bool((near | (a == b) | (np.isnan(a) & np.isnan(b))).all())


def same(found: Sequence[Any], before: Arrays) -> bool:
    pairs = zip(found, before, strict=True)
    return all(np.array_equal(np.asarray(a), b, equal_nan=True) for a, b in pairs)


def alike(found: Arrays, expected: Arrays, within: float = 1e-9) -> bool:
    """Whether arrays agree, relative to their largest entries."""
    if [np.shape(x) for x in found] != [np.shape(x) for x in expected]:
        return False
    for a, b in zip(found, expected, strict=True):
        finite = np.abs(b[np.isfinite(b)]).astype(np.float64)
        size = float(np.max(finite, initial=0.0))
        if not close(np.asarray(a), np.asarray(b), within * size):
            return False
    return True
