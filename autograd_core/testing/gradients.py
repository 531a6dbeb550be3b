"""`check_grads`: whether the derivatives of any function are right, and if not, what is wrong.

Derivatives along directions are compared with differences (`differences.py`), which know their own
error. The gradient's error is known likewise: a right one is the exact gradient of arguments that
are off by some units in their last place, so what such a change does to it is what it may be off
by. No constant is loose, and none has to be chosen for a function.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autograd_core.testing.diagnosis import likely_cause, table
from autograd_core.testing.differences import Slope, confirmed, one_sided, slope
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.subjects import Mismatch, Subject, Unavailable, subject_of

Arrays = Sequence[np.ndarray]

ULPS = 64.0
"""What a sum of products may be off by, in units of its largest terms' last place."""
NUDGES = 2
"""How often arguments are moved by units in their last place, to see what that does."""
NUDGED = 16.0
"""How far a gradient may be from the exact one, in what is seen of its noise."""
ROUNDS = 9
"""Places on a line where the noise of a function is measured, once something looks wrong."""
ALL_ENTRIES = 16
"""Arguments of so few entries are always checked entry by entry."""
MOST_ENTRIES = 256
"""Of larger ones, so many entries are looked at once something is wrong."""
FEW = 4096
"""Up to so many entries are computed in extended precision, which is slow."""
AROUND = 40
"""Places around a kink where slopes are looked at."""
KINK = 1e-2
"""How far, relative to them, slopes around a point differ where there is a kink."""
SINGLE = 1e-2
"""How far, relative to its largest entry, a gradient in single precision may be from the same in
double: it shows other code, not rounding."""


class GradientError(LawViolation):
    """A derivative is wrong; the message says where, by how much, and what it looks like."""


class UndecidedWarning(UserWarning):
    """Nothing could be said about a derivative: the function does not settle at its arguments."""


@dataclass
class Report:
    """What was checked.

    Attributes:
        name: of the function.
        checked: for each thing checked (order, mode, where), the worst error over its tolerance.
        notes: what could not be checked, and why.
        decided: how many slopes were compared, and were known.
    """

    name: str
    checked: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decided: int = 0

    def add(self, what: str, error: float) -> None:
        self.checked[what] = max(error, self.checked.get(what, 0.0))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.decided} slopes compared"]
        lines += [
            f"  {what}: worst error {x:.2g} of its tolerance" for what, x in self.checked.items()
        ]
        return "\n".join(lines + [f"  not checked: {note}" for note in self.notes])


def check_grads(
    f: Any,
    *args: Any,
    order: int = 2,
    modes: Sequence[str] = ("rev", "fwd"),
    search: bool = True,
    entries: bool = False,
    seed: int = 0,
    **kwargs: Any,
) -> Report:
    """Check the derivatives of a function, in whatever library it is written.

    Args:
        f: a function of this package's tensors; of PyTorch's or JAX's, if the arguments are; or
            NumPy functions `(f, vjp)`, `(f, vjp, jvp)` or `(f, grad)` (see `subjects.Pair`).
        args, kwargs: of f. What is floating point among the leaves of args is differentiated.
        order: 1, or 2 for the gradient's own derivatives too.
        modes: "rev", "fwd"; one that the function does not have is noted in the report.
        search: also look near the arguments, near zero and at zero, at arrays with gaps and in
            other orders of memory, in the other precision, at no entries and no axes. What f does
            not take there says nothing.
        entries: compare every entry of the gradient, instead of along random directions (as is
            done anyway for few entries, and when something is wrong).
        seed: directions are the same for the same seed.

    Returns:
        What was checked and how sharply.

    Raises:
        GradientError: a derivative is wrong, or an argument was written to; the message says what
            it looks like, and how to see it again.
        TypeError, ValueError: there is nothing to differentiate, or an option is none.
    """
    if order not in (1, 2):
        raise ValueError(f"check_grads: order={order!r}; expected 1 or 2")
    if not modes or set(modes) - {"rev", "fwd"}:
        raise ValueError(f'check_grads: modes={modes!r}; expected some of "rev" and "fwd"')
    subject = subject_of(f, args, kwargs)
    if not subject.places:
        raise TypeError(
            f"check_grads: {subject.name} has no floating-point argument (complex ones are not "
            "checked): give its arguments as floats"
        )
    check = _Check(subject, tuple(modes), search, entries, seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        check.run(order)
    if not check.report.decided and any(x.size for x in subject.floats):
        warnings.warn(
            f"check_grads: nothing could be decided about {subject.name} at these arguments: its "
            "values do not settle, or are not finite; choose others",
            UndecidedWarning,
            stacklevel=2,
        )
    return check.report


class _Check:
    """One call of `check_grads`."""

    def __init__(
        self, subject: Subject, modes: tuple[str, ...], search: bool, entries: bool, seed: int
    ):
        self.subject, self.modes, self.search, self.entries = subject, modes, search, entries
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.report = Report(subject.name)

    def run(self, order: int) -> None:
        subject = self.subject
        point = self._point(subject, "order 1", subject.leaves)
        point.given = True
        if point.cts is None:
            raise ValueError(
                f"check_grads: {subject.name} gives no floating-point result at its arguments"
            )
        with self._told(point):
            self._harmless(point)
            self._point_check(point)
            if self.search:
                self._variants(point)
                self._elsewhere(point)
            if order == 2:
                self._second(point)

    def _point(self, subject: Subject, what: str, leaves: Arrays) -> _Point:
        return _Point(self, subject, what, [np.array(x) for x in leaves])

    @contextmanager
    def _told(self, point: _Point) -> Iterator[None]:
        try:
            yield
        except Fault as fault:
            raise GradientError(fault.told(self)) from None

    # What is looked at -----------------------------------------------------------------------

    def _point_check(self, point: _Point) -> None:
        if "rev" in self.modes:
            point.compare("rev", self.entries)
        if "fwd" in self.modes:
            point.compare("fwd", self.entries)

    def _elsewhere(self, point: _Point) -> None:
        """Nearby, near zero and at zero, where f takes it."""
        for what, floats in self._places(point):
            leaves = self.subject.filled(floats)
            other = self._point(self.subject, what, leaves)
            if other.is_usable:
                self._point_check(other)

    def _places(self, point: _Point) -> Iterator[tuple[str, list[np.ndarray]]]:
        rng, floats = self.rng, self.subject.floats

        def like(make: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
            return [np.asarray(make(x), x.dtype) for x in floats]

        yield "order 1, nearby", like(lambda x: x * (1 + 0.1 * rng.uniform(-1, 1, x.shape)))
        yield "order 1, elsewhere", like(lambda x: np.abs(x) * rng.uniform(0.3, 1.5, x.shape) + 0.1)
        yield "order 1, negative", like(lambda x: -np.abs(x) * rng.uniform(0.3, 1.5, x.shape) - 0.1)
        yield "order 1, near zero", like(lambda x: 1e-3 * rng.uniform(-1, 1, x.shape))
        yield "order 1, nearer to zero", like(lambda x: 1e-7 * rng.uniform(-1, 1, x.shape))
        yield "order 1, with zeros", like(lambda x: np.where(rng.random(x.shape) < 0.4, 0, x))
        yield "order 1, at zero", like(np.zeros_like)
        yield "order 1, large", like(lambda x: 10 * (x + rng.uniform(-1, 1, x.shape)))

    def _harmless(self, point: _Point) -> None:
        """Calls leave their arguments as they are, and do not depend on calls before them."""
        if "rev" not in self.modes:
            return
        subject = self.subject
        assert point.cts is not None
        try:
            leaves = [np.array(x) for x in point.leaves]
            cts = [np.array(x) for x in point.cts]
            subject.values(leaves)
            self._unharmed(leaves, point.leaves, point, "the function")
            given = subject.pull(leaves, cts)
            self._unharmed(leaves, point.leaves, point, "the gradient")
            if any(a.tobytes() != b.tobytes() for a, b in zip(cts, point.cts, strict=True)):
                raise Fault(point, "rev", "the gradient writes to the cotangent that it is given")
        except Fault:
            raise
        except Exception:
            return  # what raises is told of where derivatives are compared
        first = [np.array(x) for x in given if x is not None]
        # Another cotangent, and a call elsewhere: neither may change what was returned.
        nearby = subject.filled([np.asarray(x * 1.25 + 0.125, x.dtype) for x in subject.floats])
        try:
            subject.values(nearby)
            subject.pull(nearby, [np.asarray(2 * g, g.dtype) for g in cts])
        except Exception:
            return
        if not same([x for x in given if x is not None], first):
            raise Fault(
                point, "rev", "a gradient changes after it was returned: its memory is reused"
            )
        point.cached = None
        again = [np.array(x) for x in subject.pull(leaves, cts) if x is not None]
        if not alike(again, first):
            raise Fault(
                point,
                "rev",
                "the gradient depends on earlier calls, which something keeps: a stale closure",
                (first, again),
            )

    def _unharmed(self, leaves: Arrays, before: Arrays, point: _Point, who: str) -> None:
        for x, y, name in zip(leaves, before, self.subject.names, strict=True):
            if x.tobytes() != y.tobytes():
                raise Fault(point, "rev", f"{who} writes to {name}, which is damaged afterwards")

    def _variants(self, point: _Point) -> None:
        """The same arguments in other layouts and the other precision; none, and without axes."""
        if "rev" not in self.modes or point.pulled is None:
            return
        for what, leaves in self._layouts():
            self._same_gradient(point, what, leaves)
        for what, leaves, cts in self._precisions(point):
            self._similar_gradient(point, what, leaves, cts)
        for what, leaves in self._shapes():
            other = self._point(self.subject, what, leaves)
            if other.is_usable:
                other.lenient = True
                other.compare("rev", False)

    def _layouts(self) -> Iterator[tuple[str, list[np.ndarray]]]:
        subject = self.subject
        if not subject.has_layouts:
            return
        turn = lambda x: np.asfortranarray(x) if x.ndim > 1 else strided(x)
        for what, change in (
            ("columns first", turn),
            ("with gaps", strided),
            ("backwards in memory", backwards),
        ):
            if any(x.size > 1 for x in subject.floats):
                yield f"arguments {what}", subject.filled([change(x) for x in subject.floats])

    def _same_gradient(self, point: _Point, what: str, leaves: Arrays) -> None:
        subject = self.subject
        assert point.cts is not None and point.pulled is not None
        try:
            values = subject.values(leaves)
        except Exception:
            return
        if not alike(values, point.values, 1e-6):
            return  # the function itself looks at the layout: there is no gradient to compare
        try:
            found = as_floats(subject.pull(leaves, point.cts), point)
        except Unavailable:
            return
        except Exception as error:
            raise Fault(point, "rev", f"{what}: the gradient raises {told(error)}") from error
        for n, (a, b) in enumerate(zip(found, point.pulled, strict=True)):
            tolerance = point.noise[n] + ULPS * eps_of(b) * np.max(np.abs(b), initial=0.0)
            if a.shape != b.shape or not close(a, b, tolerance):
                raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=(a, b))

    def _precisions(self, point: _Point) -> Iterator[tuple[str, list, list]]:
        dtypes = {x.dtype for x in self.subject.floats}
        for dtype in (np.float32, np.float64):
            if dtypes != {np.dtype(dtype)}:
                leaves = self.subject.filled([x.astype(dtype) for x in self.subject.floats])
                assert point.cts is not None
                yield np.dtype(dtype).name, leaves, [g.astype(dtype) for g in point.cts]

    def _similar_gradient(self, point: _Point, what: str, leaves: Arrays, cts: Arrays) -> None:
        subject = self.subject
        assert point.pulled is not None
        try:
            values = subject.values(leaves)
            if not alike(values, point.values, SINGLE / 10):
                return  # too little precision for the function itself
            found = as_floats(subject.pull(leaves, cts), point)
        except Exception:
            return
        for n, (a, b) in enumerate(zip(found, point.pulled, strict=True)):
            if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
                continue
            tolerance = SINGLE * np.max(np.abs(b), initial=0.0)
            if close(a, b, tolerance):
                continue
            noise = self._noise_at(what, leaves, cts)
            if noise is None or not close(a, b, tolerance + NUDGED * noise[n]):
                raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=(a, b))

    def _noise_at(self, what: str, leaves: Arrays, cts: Arrays) -> list[np.ndarray] | None:
        other = self._point(self.subject, what, leaves)
        other.cts = list(cts)
        return noise_of(lambda near: as_floats(other._pulled_at(near), other), other)

    def _shapes(self) -> Iterator[tuple[str, list[np.ndarray]]]:
        subject = self.subject
        if any(x.ndim for x in subject.floats):
            if all(x.size for x in subject.floats):
                one = [np.asarray(x.reshape(-1)[0]) for x in subject.floats]
                yield "order 1, arguments without axes", subject.filled(one)
            if all(x.ndim for x in subject.floats):
                none = [x[:0] for x in subject.floats]
                yield "order 1, arguments without entries", subject.filled(none)

    def _second(self, point: _Point) -> None:
        assert point.cts is not None
        try:
            second = self.subject.pulled(point.cts)
            self._second_of(second)
        except Unavailable as why:
            self.report.note(f"order 2: {why}")

    def _second_of(self, second: Subject) -> None:
        here = self._point(second, "order 2", second.leaves)
        if here.cts is None:
            return
        self._point_check(here)
        if self.search:
            rng = self.rng
            for what, make in (
                ("nearby", lambda x: x * (1 + 0.1 * rng.uniform(-1, 1, x.shape))),
                ("near zero", lambda x: 1e-3 * rng.uniform(-1, 1, x.shape)),
            ):
                count = len(second.leaves) - len(self.subject.leaves)
                leaves = list(second.leaves)
                for i in second.places:
                    if i >= count:
                        leaves[i] = np.asarray(make(leaves[i]), leaves[i].dtype)
                other = self._point(second, f"order 2, {what}", leaves)
                if other.is_usable:
                    self._point_check(other)


class _Point:
    """A subject at some arguments: its values, its gradient, and how exact that is."""

    def __init__(self, check: _Check, subject: Subject, what: str, leaves: list[np.ndarray]):
        self.check, self.subject, self.what, self.leaves = check, subject, what, leaves
        self.report, self.rng = check.report, check.rng
        self.given, self.lenient, self.effort = False, False, 0
        self.cached: Any = None
        self.pulled: list[np.ndarray] | None = None
        self.noise: list[Any] = []
        self.cts: list[np.ndarray] | None = None
        self.is_usable = False
        try:
            self.values = [np.array(y) for y in subject.values([np.array(x) for x in leaves])]
        except Exception:
            if what == "order 1":
                raise
            return
        if not self.values:
            return
        self.cts = [
            np.asarray(
                self.rng.uniform(0.5, 1.5, y.shape) * self.rng.choice([-1, 1], y.shape)
            ).astype(y.dtype)
            for y in self.values
        ]
        self.is_usable = all(np.isfinite(y).all() for y in self.values)

    @property
    def floats(self) -> list[np.ndarray]:
        return [self.leaves[i] for i in self.subject.places]

    # The numeric side ------------------------------------------------------------------------

    def numeric(self, floats: Arrays) -> list[np.ndarray]:
        """Values, for floats of any precision; NaN where the function takes no such argument."""
        leaves = list(self.leaves)
        for i, x in zip(self.subject.places, floats, strict=True):
            leaves[i] = x
        try:
            found = self.subject.values(leaves)
        except Exception:
            found = []
        if [y.shape for y in found] != [y.shape for y in self.values]:
            return [np.full(y.shape, np.nan) for y in self.values]
        return [np.array(y) for y in found]

    @property
    def precise(self) -> list[np.ndarray]:
        """The arguments in the most precision that the function keeps."""
        if self.cached is None:
            self.cached = self.floats
            few = sum(x.size for x in self.floats) <= FEW
            widest = np.longdouble if few and self.subject.library == "numpy" else np.float64
            for dtype in dict.fromkeys((np.dtype(widest), np.dtype(np.float64))):
                floats = [x.astype(dtype) for x in self.floats]
                found = self.numeric(floats)
                if all(y.dtype == dtype for y in found) and alike(found, self.values, 1e-2):
                    self.cached = floats
                    break
        return self.cached

    def slope(self, ts: Arrays) -> Slope:
        assert self.cts is not None
        return slope(self.numeric, self.precise, ts, self.cts)

    # The side that is checked ----------------------------------------------------------------

    def compare(self, mode: str, entries: bool) -> None:
        """Raise Fault where slopes do not agree."""
        if self.cts is None or not self.is_usable:
            return
        what = f"{self.what}, {mode}"
        try:
            side = self._reverse() if mode == "rev" else self._forward()
        except Unavailable as why:
            self.report.note(f"{'order 2, ' * self.what.startswith('order 2')}{mode}: {why}")
            return
        floats = self.floats
        if not sum(x.size for x in floats):
            self.report.add(what, 0.0)
            return
        for ts in self._directions():
            if not self._agrees(what, ts, side(ts)):
                self._judge(mode, self._careful(mode))
                break
        count = sum(x.size for x in floats)
        if entries or (count <= ALL_ENTRIES and (self.given or mode == "rev")):
            self._judge(mode, side, certain=False)

    def _careful(self, mode: str) -> Any:
        """A side whose own error was looked at harder: before anything is called wrong."""
        self.effort = 1
        if mode == "rev":
            self._measure_noise()
        return self._reverse() if mode == "rev" else self._forward()

    def _directions(self) -> Iterator[list[np.ndarray]]:
        rng, floats = self.rng, self.floats

        def signs(x: np.ndarray) -> np.ndarray:
            return rng.uniform(0.25, 1, x.shape) * rng.choice([-1.0, 1.0], x.shape)

        yield [signs(x) for x in floats]
        sizes = [np.max(np.abs(x), initial=0.0) or 1.0 for x in floats]
        yield [
            signs(x) * np.where(x == 0, size, np.abs(x)).astype(np.float64)
            for x, size in zip(floats, sizes, strict=True)
        ]
        for k in range(len(floats) if len(floats) > 1 else 0):
            yield [signs(x) if i == k else np.zeros(x.shape) for i, x in enumerate(floats)]

    def _reverse(self) -> Callable[[Arrays], tuple[float, float]]:
        """From a direction to the gradient's slope, and its own error."""
        if self.pulled is None:
            self._pull()
        assert self.pulled is not None
        gradient, noise = self.pulled, self.noise

        def side(ts: Arrays) -> tuple[float, float]:
            value, error = 0.0, 0.0
            for g, e, t in zip(gradient, noise, ts, strict=True):
                terms = np.where(t == 0, 0.0, g.astype(np.float64) * t)
                value += float(np.sum(terms))
                error += float(np.sum(np.abs(t) * e))
                error += ULPS * eps_of(g) * float(np.sum(np.abs(terms)))
            return value, error

        return side

    def _pull(self) -> None:
        assert self.cts is not None
        try:
            found = self._pulled_at([np.array(x) for x in self.leaves])
        except Unavailable:
            raise
        except Mismatch as error:
            raise Fault(self, "rev", str(error)) from error
        except Exception as error:
            if self.lenient or not self.given:
                raise Unavailable(told(error)) from error
            raise Fault(self, "rev", f"it raises {told(error)}") from error
        self.pulled = as_floats(found, self)
        for n, (g, x) in enumerate(zip(self.pulled, self.floats, strict=True)):
            if g.shape != x.shape:
                self._wrong_shape(n, g, x)
        self.noise = [
            np.full(
                g.shape, ULPS * eps_of(g) * np.max(np.abs(g), initial=0.0, where=np.isfinite(g))
            )
            for g in self.pulled
        ]
        self._measure_noise()

    def _of_values(self, n: int) -> float:
        """What an argument's gradient may be off by, where it is that of values that round."""
        assert self.cts is not None
        x = float(np.max(np.abs(self.floats[n]), initial=0.0))
        pairs = zip(self.values, self.cts, strict=True)
        size = max(float(np.max(np.abs(y * g), initial=0.0)) for y, g in pairs)
        return ULPS * self._eps * size / x if x else 0.0

    def _pulled_at(self, leaves: Arrays) -> list[Any]:
        assert self.cts is not None
        return self.subject.pull(leaves, [np.array(g) for g in self.cts])

    def _measure_noise(self) -> None:
        """How far the gradient's entries are off by rounding: what nudges of its arguments do."""
        assert self.pulled is not None and self.cts is not None
        if self.effort:
            found = noise_of(lambda leaves: as_floats(self._pulled_at(leaves), self), self)
            for n, e in enumerate(found or ()):
                self.noise[n] = np.maximum(self.noise[n], NUDGED * e + self._of_values(n))
        for _ in range(NUDGES):
            leaves = nudged(self.leaves, self.subject.places, self.rng, 2)
            try:
                near = as_floats(self._pulled_at(leaves), self)
            except Exception:
                continue
            for n, (a, b) in enumerate(zip(near, self.pulled, strict=True)):
                change = NUDGED * np.abs(a.astype(np.float64) - b)
                self.noise[n] = np.maximum(self.noise[n], np.nan_to_num(change, posinf=0))

    def _wrong_shape(self, n: int, g: np.ndarray, x: np.ndarray) -> None:
        if self.lenient and not x.ndim:
            raise Unavailable(f"for no axes it has the shape {g.shape}")
        raise Fault(self, "rev", "its shape is wrong", place=n, pair=(g, np.full(x.shape, np.nan)))

    def _forward(self) -> Callable[[Arrays], tuple[float, float]]:
        assert self.cts is not None
        cts = self.cts

        def pushed(leaves: Arrays, ts: Arrays) -> float:
            given = [
                np.asarray(t, leaves[i].dtype) for i, t in zip(self.subject.places, ts, strict=True)
            ]
            try:
                found = self.subject.push([np.array(x) for x in leaves], given)
            except Unavailable:
                raise
            except Exception as error:
                if not self.given:
                    raise Unavailable(told(error)) from error
                raise Fault(self, "fwd", f"it raises {told(error)}") from error
            if [np.shape(y) for y in found] != [y.shape for y in self.values]:
                shapes = [np.shape(y) for y in found], [y.shape for y in self.values]
                raise Fault(self, "fwd", f"tangents of shapes {shapes[0]}; expected {shapes[1]}")
            pairs = zip(found, cts, strict=True)
            return float(sum(np.sum(np.asarray(y, np.float64) * g) for y, g in pairs))

        def side(ts: Arrays) -> tuple[float, float]:
            value = pushed(self.leaves, ts)
            size = abs(value)
            error = ULPS * self._eps * size
            if self.effort:
                found = noise_of(lambda leaves: [np.array(pushed(leaves, ts))], self)
                error = max(error, NUDGED * float(found[0]) if found else 0.0)
            for _ in range(NUDGES):
                near = nudged(self.leaves, self.subject.places, self.rng, 2)
                change = abs(pushed(near, ts) - value)
                error = max(error, NUDGED * change if np.isfinite(change) else 0.0)
            return value, error + ULPS * self._eps * size

        side([np.zeros(x.shape) for x in self.floats])  # whether there is such a mode
        return side

    def _size(self, ts: Arrays) -> float:
        """Slopes much below this are none."""
        assert self.cts is not None
        values = sum(
            float(np.sum(np.abs(y * g))) for y, g in zip(self.values, self.cts, strict=True)
        )
        return max(values, sum(float(np.sum(np.abs(t))) for t in ts))

    @property
    def _eps(self) -> float:
        return max(eps_of(x) for x in (*self.floats, *self.values))

    def _agrees(self, what: str, ts: Arrays, found: tuple[float, float]) -> bool:
        value, error = found
        numeric = self.slope(ts)
        if not self._is_decided(numeric, ts):
            return True
        tolerance = numeric.error + error
        if not np.isfinite(value):
            return not numeric.is_known
        off = abs(value - numeric.value)
        if off > tolerance:
            return False
        self.report.decided += 1
        self.report.add(what, off / tolerance if tolerance else 0.0)
        return True

    def _is_decided(self, numeric: Slope, ts: Arrays) -> bool:
        """Whether a numeric slope is worth a comparison."""
        return numeric.is_known or numeric.error <= 1e-6 * self._size(ts)

    def _judge(
        self, mode: str, side: Callable[[Arrays], tuple[float, float]], certain: bool = True
    ) -> None:
        """Entry by entry: what is wrong, and is no matter of choice at a kink."""
        floats = self.floats
        count = sum(x.size for x in floats)
        kinks = 0
        looked = self.rng.permutation(count)[:MOST_ENTRIES]
        got = [np.full(x.shape, np.nan) for x in floats]
        expected = [np.full(x.shape, np.nan) for x in floats]
        allowed = [np.zeros(x.shape) for x in floats]
        wrong: set[int] = set()
        ends = np.cumsum([x.size for x in floats])
        for number in sorted(looked):
            place = int(np.searchsorted(ends, number, side="right"))
            entry = int(number - (ends[place] - floats[place].size))
            ts = [np.zeros(x.shape) for x in floats]
            ts[place].flat[entry] = self._step(floats[place].flat[entry])
            unit = ts[place].flat[entry]
            value, error = side(ts)
            numeric = self.slope(ts)
            got[place].flat[entry] = value / unit
            if not self._is_decided(numeric, ts):
                continue
            tolerance = numeric.error + error
            if abs(value - numeric.value) <= tolerance:
                expected[place].flat[entry] = numeric.value / unit
                allowed[place].flat[entry] = tolerance / abs(unit)
                continue
            if not np.isfinite(value) and not (numeric.is_known and self.given):
                continue
            if not certain:
                return self._judge(mode, self._careful(mode))
            numeric = confirmed(self.numeric, self.precise, ts, self.cts or [])
            tolerance = numeric.error + error
            near = abs(value - numeric.value) <= tolerance
            if near or not self._is_decided(numeric, ts):
                continue
            if self._is_choice(ts, value, error, numeric):
                kinks += 1
                continue
            expected[place].flat[entry] = numeric.value / unit
            allowed[place].flat[entry] = tolerance / abs(unit)
            wrong.add(place)
        if wrong:
            place = min(wrong)
            raise Fault(
                self, mode, "", place=place, pair=(got[place], expected[place]), off=allowed[place]
            )
        if certain and not kinks and count <= MOST_ENTRIES:
            # Each entry may be right alone, and all of them together not, by rounding only.
            self.report.note(f"{self.what}, {mode}: directions differ, entries do not")
        elif certain and not kinks:
            raise Fault(
                self, mode, "along random directions; none of the entries looked at shows it"
            )

    @staticmethod
    def _step(x: Any) -> float:
        size = abs(float(x))
        return size if 1e-12 < size < 1e12 else 1.0

    def _is_choice(self, ts: Arrays, value: float, error: float, numeric: Slope) -> bool:
        """Whether a slope lies between those of both sides of a kink."""
        assert self.cts is not None
        behind, ahead = one_sided(self.numeric, self.precise, ts, self.cts)
        known = np.isfinite(behind.value) and np.isfinite(ahead.value)
        if not known:
            return not numeric.is_known
        near = [behind.value, ahead.value, *self._slopes_around(ts)]
        slack = behind.error + ahead.error
        if max(near) - min(near) <= max(slack, KINK * max(map(abs, near))):
            return False
        if not self.given:
            return True  # what is asked of a gradient there, nobody has said
        return min(near) - slack - error <= value <= max(near) + slack + error

    def _slopes_around(self, ts: Arrays) -> list[float]:
        """Slopes beside a kink: a gradient on it may be any of them, or between."""
        found = []
        for _ in range(AROUND):
            near = [x + 1e-5 * np.maximum(1, np.abs(x)) * self.rng.uniform(-1, 1, x.shape)
                    for x in self.precise]  # fmt: skip
            small = [1e-7 * t for t in ts]
            beside = slope(self.numeric, near, small, self.cts or [])
            if np.isfinite(beside.value):
                found.append(1e7 * beside.value)
        return found


class Fault(Exception):
    """Something wrong, before it is put in words."""

    def __init__(
        self,
        point: _Point,
        mode: str,
        what: str,
        pair: Any = None,
        place: int | None = None,
        off: Any = None,
    ):
        self.point, self.mode, self.what = point, mode, what
        self.pair, self.place, self.off = pair, place, off
        super().__init__(what)

    def told(self, check: _Check) -> str:
        point, subject = self.point, self.point.subject
        kind = {"rev": "the gradient (reverse mode)", "fwd": "the tangent (forward mode)"}[
            self.mode
        ]
        where = ""
        if self.place is not None:
            name = subject.names[subject.places[self.place]]
            where = f" with respect to {name}"
        lines = [f"{check.subject.name}: {kind}{where} is wrong, at {point.what}"]
        if self.what:
            lines.append(f"  what is wrong: {self.what}")
        if self.place is not None and self.pair is not None:
            got, expected = (np.asarray(x) for x in self.pair)
            cause = likely_cause(got, expected)
            if cause and cause != self.what:
                lines.append(f"  it looks as if {cause}")
            tolerance = 0.0 if self.off is None else self.off
            lines.append(table(got, expected, tolerance))
        lines += self._elsewhere(check)
        if not point.given and self.point.what.startswith("order 1") and self.place is not None:
            lines.append("  at " + ", ".join(shown(x) for x in point.floats))
        lines.append(
            f"  see it again: check_grads({check.subject.name}, …the same arguments, "
            f"seed={check.seed})"
        )
        return "\n".join(lines)

    def _elsewhere(self, check: _Check) -> list[str]:
        """What was found right before this was found wrong."""
        done = check.report.checked
        if self.point.what.startswith("order 2") and any(x.startswith("order 1") for x in done):
            return ["  first derivatives are right: the rule of the rule is wrong"]
        if self.mode == "fwd" and f"{self.point.what}, rev" in done:
            return ["  reverse mode is right there: only the forward rule is wrong"]
        if not self.point.given and "order 1, rev" in done:
            right = "  at the arguments given it is right"
            kept = "; here it is the same: something of the first call is kept (a stale closure)"
            return [right + (kept if self._is_kept(check) else "")]
        return []

    def _is_kept(self, check: _Check) -> bool:
        """Whether the gradient is that of the arguments given, of the first call."""
        point = self.point
        if point.subject is not check.subject or point.pulled is None:
            return False
        try:
            at_given = point._pulled_at([np.array(x) for x in check.subject.leaves])
        except Exception:
            return False
        return any(np.any(g) for g in point.pulled) and same(at_given, point.pulled)


# Small tools ----------------------------------------------------------------------------------


def shown(x: np.ndarray) -> str:
    """An array as it can be typed, if it is small."""
    if x.size > 12:
        return f"{x.dtype}{list(x.shape)}"
    return f"np.{np.array_repr(x, max_line_width=10**6)}"


def told(error: Exception) -> str:
    """An error in one line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def eps_of(x: np.ndarray) -> float:
    return float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0


def as_floats(found: Sequence[Any], point: _Point) -> list[np.ndarray]:
    """Cotangents as arrays; None is zero."""
    floats = point.floats
    if len(found) != len(floats):
        raise Mismatch(f"{len(found)} cotangents for {len(floats)} floating-point arguments")
    arrays = [
        np.zeros(x.shape, x.dtype) if g is None else np.array(g)
        for g, x in zip(found, floats, strict=True)
    ]
    return [g if g.dtype.kind == "f" else g.astype(np.float64) for g in arrays]


def nudged(
    leaves: Arrays, places: Sequence[int], rng: np.random.Generator, ulps: float
) -> list[np.ndarray]:
    """Arguments, moved by some units in their last place."""
    near = [np.array(x) for x in leaves]
    for i in places:
        x = near[i]
        near[i] = np.asarray(x * (1 + ulps * eps_of(x) * rng.uniform(-1, 1, x.shape)), x.dtype)
    return near


def noise_of(g: Callable[[Arrays], list[np.ndarray]], point: _Point) -> list[np.ndarray] | None:
    """How far entries of g are off by rounding: third differences along a line, which leave of a
    smooth function next to nothing (Hamming 1962; Moré and Wild 2011). None where g is undefined.
    """
    step = max((eps_of(x) for x in point.floats), default=0.0) ** 0.35
    # Steps near a multiple of what values are rounded to would not show it.
    found = [_thirds(g, point, step * factor) for factor in (1.0, 0.377, 0.144)]
    if any(each is None for each in found):
        return None
    return [np.max(np.stack(each), axis=0) for each in zip(*found, strict=True)]  # type: ignore


def _thirds(
    g: Callable[[Arrays], list[np.ndarray]], point: _Point, step: float
) -> list[np.ndarray] | None:
    leaves, places = point.leaves, point.subject.places
    turns = [point.rng.uniform(0.5, 1, leaves[i].shape) for i in places]
    rows = []
    for k in range(ROUNDS):
        near = [np.array(x) for x in leaves]
        for i, t in zip(places, turns, strict=True):
            near[i] = np.asarray(near[i] * (1 + k * step * t), near[i].dtype)
        try:
            rows.append([x.astype(np.float64) for x in g(near)])
        except Exception:
            return None
    found = []
    for values in zip(*rows, strict=True):
        thirds = np.abs(np.diff(np.stack(values), 3, axis=0))
        found.append(np.nan_to_num(thirds.max(0), posinf=0) / np.sqrt(20))
    return found


def strided(x: np.ndarray) -> np.ndarray:
    """The same array, with gaps between its entries."""
    if x.ndim == 0:
        return x.copy()
    wide = np.empty((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    wide[..., 1::2] = 1e3
    return wide[..., ::2]


def backwards(x: np.ndarray) -> np.ndarray:
    """The same array, its entries in descending order of addresses."""
    back = (slice(None, None, -1),) * x.ndim
    return x[back].copy()[back] if x.ndim else x.copy()


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
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
