"""`check_grads`: whether the derivatives of any function are right, and if not, what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_core.testing import around
from autograd_core.testing.fault import Fault
from autograd_core.testing.laws.points import (
    harmless,
    modes_agree,
    right_without_axes_and_entries,
    same_in_any_layout,
    similar_in_other_precision,
)
from autograd_core.testing.point import FIRST, Point, same
from autograd_core.testing.reports import GradientError, Report, UndecidedWarning, publish
from autograd_core.testing.subjects import Arrays, Subject, Unavailable, subject_of, typed

HIGHEST = 4
"""Orders beyond this one take minutes for the smallest functions."""
SHOWN_IN_LINE = 24
"""Arguments of so few entries are written out in the line that shows a failure again."""


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
        order: of the highest derivatives to check: those of the gradient, and of the tangent, are
            of the second.
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
    __tracebackhide__ = True
    if order not in range(1, HIGHEST + 1):
        raise ValueError(f"check_grads: order={order!r}; expected 1 to {HIGHEST}")
    if not modes or set(modes) - {"rev", "fwd"}:
        raise ValueError(f'check_grads: modes={modes!r}; expected some of "rev" and "fwd"')
    subject = subject_of(f, args, kwargs)
    if not subject.places:
        raise TypeError(
            f"check_grads: {subject.name} has no floating-point argument (complex ones are not "
            "checked): give its arguments as floats"
        )
    check = _Check(subject, order, tuple(modes), search, entries, seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        check.run()
    if not check.report.decided and any(x.size for x in subject.floats):
        warnings.warn(
            f"check_grads: nothing could be decided about {subject.name} at these arguments: its "
            "values do not settle, or are not finite; choose others",
            UndecidedWarning,
            stacklevel=2,
        )
    return publish(check.report)


class _Check:
    """One call of `check_grads`."""

    def __init__(
        self,
        subject: Subject,
        order: int,
        modes: tuple[str, ...],
        search: bool,
        entries: bool,
        seed: int,
    ):
        self.subject, self.order, self.modes = subject, order, modes
        self.search, self.entries, self.seed = search, entries, seed
        self.rng = np.random.default_rng(seed)
        self.report = Report(subject.name)

    def run(self) -> None:
        __tracebackhide__ = True
        point = self._point(self.subject, FIRST, self.subject.leaves)
        if point.cts is None:
            raise ValueError(
                f"check_grads: {self.subject.name} gives no floating-point result at its arguments"
            )
        with self._told():
            if "rev" in self.modes:
                harmless(point)
            modes_agree(point, self.modes, self.entries)
            if self.search:
                self._variants(point)
                self._elsewhere(point, around.places(self.subject, self.rng))
            self._higher(point, (), self.order)

    def _point(self, subject: Subject, kind: str, leaves: Arrays, where: str = "") -> Point:
        return Point(subject, kind, leaves, self.rng, self.report, where)

    def _variants(self, point: Point) -> None:
        """The same arguments in other layouts and the other precision; none, and without axes."""
        if "rev" in self.modes and point.pulled is not None:
            same_in_any_layout(point)
            similar_in_other_precision(point)
            right_without_axes_and_entries(point)

    def _elsewhere(self, point: Point, places: Iterator[around.Place]) -> None:
        for where, leaves in places:
            other = self._point(point.subject, point.kind, leaves, where)
            if other.is_usable:
                modes_agree(other, self.modes)

    def _higher(self, point: Point, path: tuple[str, ...], highest: int) -> None:
        """Derivatives of derivatives, in the modes that there are, as functions of their own."""
        if len(path) + 2 > highest or point.cts is None:
            return
        for mode in self.modes:
            if f"{point.what}, {mode}" not in self.report.checked:
                continue  # and a note says why
            kind = kind_of((mode, *path))
            try:
                subject = derived(point, mode)
            except Unavailable as why:
                self.report.note(f"{kind}: {why}")
                continue
            here = self._point(subject, kind, subject.leaves)
            if here.refused:
                self.report.note(f"{kind}: {here.refused}")
            modes_agree(here, self.modes)
            if self.search and here.is_usable and (mode, *path) == ("rev",):
                places = around.places_of_derivative(subject, len(self.subject.leaves), self.rng)
                self._elsewhere(here, places)
            self._higher(here, (mode, *path), highest)

    # What is said ----------------------------------------------------------------------------

    @contextmanager
    def _told(self) -> Iterator[None]:
        __tracebackhide__ = True
        try:
            yield
        except Fault as fault:
            message = self._message(fault)
            self.report.failure = message
            publish(self.report)
            raise GradientError(message, self.report) from None

    def _message(self, fault: Fault) -> str:
        point = fault.point
        lines = [f"{self.subject.name}: {fault.headline()}, at {point.what}", *fault.details()]
        lines += self._right_elsewhere(fault)
        if not point.given and point.kind == FIRST and fault.place is not None:
            lines.append("  at " + ", ".join(shown(x) for x in point.floats))
        return "\n".join([*lines, f"  see it again: {self._line()}"])

    def _line(self) -> str:
        subject = self.subject
        small = sum(x.size for x in subject.leaves) <= SHOWN_IN_LINE
        arguments = "…the same arguments"
        if small and not subject.is_nested:
            arguments = ", ".join(map(subject.typed, subject.leaves))
        defaults = {"order": 2, "modes": ("rev", "fwd"), "search": True, "entries": False}
        options = {name: getattr(self, name) for name in defaults} | {"seed": self.seed}
        told = [f"{k}={v!r}" for k, v in options.items() if k not in defaults or v != defaults[k]]
        return f"check_grads({subject.name}, {', '.join([arguments, *told])})"

    def _right_elsewhere(self, fault: Fault) -> list[str]:
        """What was found right before this was found wrong."""
        done, point = self.report.checked, fault.point
        if point.kind != FIRST and any(x.startswith(FIRST) for x in done):
            return ["  first derivatives are right: the rule of the rule is wrong"]
        if fault.mode == "fwd" and f"{point.what}, rev" in done:
            return ["  reverse mode is right there: only the forward rule is wrong"]
        if not point.given and f"{FIRST}, rev" in done:
            right = "  at the arguments given it is right"
            kept = "; here it is the same: something of the first call is kept (a stale closure)"
            return [right + (kept if self._is_kept(point) else "")]
        return []

    def _is_kept(self, point: Point) -> bool:
        """Whether the gradient is that of the arguments given, of the first call."""
        if point.subject is not self.subject or point.pulled is None:
            return False
        try:
            at_given = point.pulled_at([np.array(x) for x in self.subject.leaves])
        except Exception:
            return False
        return any(np.any(g) for g in point.pulled) and same(at_given, point.pulled)


def derived(point: Point, mode: str) -> Subject:
    """The derivative at a point, as a function whose own derivatives are of the next order.

    Raises:
        Unavailable: it has none.
    """
    assert point.cts is not None
    if mode == "rev":
        return point.subject.pulled(point.cts)
    tangents = [np.asarray(point.rng.uniform(0.5, 1.5, x.shape), x.dtype) for x in point.floats]
    return point.subject.pushed(tangents)


def kind_of(path: Sequence[str]) -> str:
    """What derivatives of a derivative are called, that was taken in some modes, the last first."""
    order = f"order {len(path) + 1}"
    return f"{order}, of {' of '.join(path)}" if "fwd" in path else order


def shown(x: np.ndarray) -> str:
    """An array as it can be typed, if it is small."""
    return typed(x) if x.size <= SHOWN_IN_LINE else f"{x.dtype}{list(x.shape)}"
