"""`check_grads`: whether the derivatives of any function are right, and if not, what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_core.testing import around
from autograd_core.testing.domains import Domain, domain
from autograd_core.testing.fault import Fault
from autograd_core.testing.laws.points import (
    harmless,
    linear_in_cotangents,
    modes_agree,
    right_without_axes,
    right_without_entries,
    same_for_any_layout_of_cotangents,
    same_in_any_layout,
    similar_in_other_precision,
)
from autograd_core.testing.numeric_side import same
from autograd_core.testing.point import FIRST, Point
from autograd_core.testing.profiles import profile_of
from autograd_core.testing.reports import GradientError, Report, UndecidedWarning, publish
from autograd_core.testing.subjects import Subject, Unavailable, subject_of, typed

__tracebackhide__ = True  # pytest shows the user's lines
MODES = ("rev", "fwd")
HIGHEST = 4
"""Orders beyond this one take minutes for the smallest functions."""
SHOWN_IN_LINE = 24
"""Arguments of so few entries are written out in the line that shows a failure again."""


def check_grads(
    f: Any,
    *args: Any,
    order: int | None = None,
    modes: Sequence[str] = MODES,
    search: bool = True,
    within: Any = None,
    entries: bool | None = None,
    seed: int | None = None,
    profile: str | None = None,
    **kwargs: Any,
) -> Report:
    """Check the derivatives of a function, in whatever library it is written.

    Args:
        f: a function of this package's tensors; of PyTorch's or JAX's, if the arguments are; or
            NumPy functions `(f, vjp)`, `(f, vjp, jvp)` or `(f, grad)` (see `subjects.Pair`).
        args, kwargs: of f. What is floating point among the leaves of args is differentiated. A
            complex one counts as two, its real and its imaginary part, and so does a complex
            result: in whatever way the library writes their gradients as one number.
        order: of the highest derivatives to check: those of the gradient, and of the tangent, are
            of the second. As the profile says, where not given.
        modes: "rev", "fwd"; one that the function does not have is noted in the report.
        search: also look near the arguments, near zero and at zero, at arrays with gaps and in
            other orders of memory, in the other precision, at no entries and no axes. What f does
            not take there says nothing.
        within: where to search: a condition such as "x>0" that all floating-point arguments meet,
            or a sequence of them, one for each such argument, None for anywhere.
        entries: compare every entry of the gradient, instead of along random directions (as is
            done anyway for few entries, and when something is wrong).
        seed: directions are the same for the same seed.
        profile: "quick" (the default: second order), "ci" (third order) or "thorough" (third order,
            every entry, four seeds); see `profiles`.

    Returns:
        What was checked and how sharply.

    Raises:
        GradientError: a derivative is wrong, or an argument was written to; the message says what
            it looks like, and how to see it again.
        TypeError, ValueError: there is nothing to differentiate, or an option is none.
    """
    chosen = profile_of(profile)
    seed = chosen.seed if seed is None else seed
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"check_grads: seed={seed!r}; expected an integer from 0 on")
    if isinstance(f, np.ufunc) or not (callable(f) or isinstance(f, tuple | list)):
        raise TypeError(
            f"check_grads: {f!r} has no gradient; expected a function of tensors, or NumPy "
            "functions (f, vjp) with vjp(g, *args)"
        )
    options = Options(
        chosen.order if order is None else order,
        tuple(modes),
        search,
        chosen.entries if entries is None else entries,
        _domains(within),
    )
    subject = subject_of(f, args, kwargs)
    if not subject.places:
        raise TypeError(
            f"check_grads: {subject.name} has no floating-point argument: give its arguments as "
            "floats"
        )
    if len(options.within) not in (0, 1, len(subject.places)):
        raise ValueError(
            f"check_grads: within has {len(options.within)} conditions for "
            f"{len(subject.places)} floating-point arguments; expected one, or one for each"
        )
    if not options.contain(subject.floats):
        raise ValueError(f"check_grads: the arguments are not within {within!r}")
    report = Report(subject.name)
    try:
        for each in range(seed, seed + chosen.seeds):
            report.merge(Check(subject, options, each).run())
    except GradientError as error:
        assert error.report is not None
        report.merge(error.report)
        publish(report)
        raise
    if not report.decided and any(x.size for x in subject.floats):
        warnings.warn(
            f"check_grads: nothing could be decided about {subject.name} at these arguments: its "
            "values do not settle, or are not finite; choose others"
            + "".join(f"\n  not checked: {note}" for note in report.notes),
            UndecidedWarning,
            stacklevel=2,
        )
    return publish(report)


@dataclass(frozen=True)
class Options:
    """Of a check; see `check_grads`.

    Attributes:
        variants: also look at other layouts and dtypes of the arguments, as searching does.
        brief: higher orders along one direction only.
    """

    order: int = 2
    modes: tuple[str, ...] = MODES
    search: bool = True
    entries: bool = False
    within: tuple[Domain | None, ...] = ()
    variants: bool = False
    brief: bool = False

    def __post_init__(self) -> None:
        if type(self.order) is not int or not 1 <= self.order <= HIGHEST:
            raise ValueError(f"check_grads: order={self.order!r}; expected 1 to {HIGHEST}")
        if not self.modes or set(self.modes) - set(MODES):
            raise ValueError(f'check_grads: modes={self.modes!r}; expected some of "rev", "fwd"')

    def contain(self, floats: Sequence[np.ndarray]) -> bool:
        """Whether arguments are where to search."""
        domains = self.within * len(floats) if len(self.within) == 1 else self.within
        pairs = zip(domains, floats, strict=False)
        return all(d is None or d.contains(x).all() for d, x in pairs)

    @property
    def typed(self) -> list[str]:
        """Those that are not the defaults, as arguments of `check_grads`."""
        names = ("order", "modes", "search", "entries")
        default = Options()
        changed = [n for n in names if getattr(self, n) != getattr(default, n)]
        told = [f"{name}={getattr(self, name)!r}" for name in changed]
        texts = [None if d is None else d.text for d in self.within]
        return told + ([f"within={texts!r}"] if texts else [])


def _domains(within: Any) -> tuple[Domain | None, ...]:
    """Conditions as domains."""
    if within is None:
        return ()
    each = within if isinstance(within, list | tuple) else [within]
    return tuple(None if given is None else domain(given) for given in each)


class Check:
    """One look at the derivatives of a function."""

    def __init__(self, subject: Subject, options: Options, seed: int):
        self.subject, self.options, self.seed = subject, options, seed
        self.modes = options.modes
        self.rng = np.random.default_rng(seed)
        self.report = Report(subject.name)

    def run(self) -> Report:
        """Look; raises what `check_grads` does."""
        self._try(self._run)
        return self.report

    def law(self, law: Callable[[Point], None]) -> None:
        """Look at another law of functions in any library."""
        self._try(lambda: law(self._point(self.subject, FIRST)))

    def _run(self) -> None:
        point = self._point(self.subject, FIRST)
        if point.cts is None:
            raise ValueError(
                f"check_grads: {self.subject.name} gives no floating-point result at its arguments"
            )
        if "rev" in self.modes:
            harmless(point)
        modes_agree(point, self.modes, self.options.entries)
        if self.options.search or self.options.variants:
            self._variants(point)
        if self.options.search:
            self._elsewhere(point, around.places(self.subject, self.rng))
        self._higher(point, (), self.options.order)

    def _point(self, subject: Subject, kind: str) -> Point:
        brief = self.options.brief and kind != FIRST
        return Point(subject, kind, subject.leaves, self.rng, self.report, brief=brief)

    def _variants(self, point: Point) -> None:
        """The same arguments in other layouts and the other precision; none, and without axes."""
        if "rev" in self.modes and point.pulled is not None:
            linear_in_cotangents(point)
            same_in_any_layout(point)
            same_for_any_layout_of_cotangents(point)
            similar_in_other_precision(point)
            right_without_axes(point)
            right_without_entries(point)

    def _elsewhere(self, point: Point, places: Iterator[around.Place]) -> None:
        floor = point.sizes
        for where, leaves in places:
            other = Point(
                point.subject, point.kind, leaves, self.rng, self.report, where, floor=floor
            )
            if other.is_usable and self.options.contain(other.floats):
                modes_agree(other, self.modes)
                floor = [max(pair) for pair in zip(floor, other.sizes, strict=False)] or floor

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
            here = self._point(subject, kind)
            if here.refused:
                self.report.note(f"{kind}: {here.refused}")
            modes_agree(here, self.modes)
            if self.options.search and here.is_usable and (mode, *path) == ("rev",):
                places = around.places_of_derivative(subject, len(self.subject.leaves), self.rng)
                self._elsewhere(here, places)
            self._higher(here, (mode, *path), highest)

    # What is said ----------------------------------------------------------------------------

    def _try(self, look: Callable[[], None]) -> None:
        """Look, and put what is wrong in words."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                look()
        except Fault as fault:
            self.report.failure = self._message(fault)
            if fault.mode in MODES:
                self.report.add(f"{fault.point.what}, {fault.mode}", fault.ratio)
            raise GradientError(self.report.failure, self.report) from None

    def _message(self, fault: Fault) -> str:
        point = fault.point
        at = "  at " + ", ".join(shown(x) for x in self._arguments(point))
        if fault.mode == "value":
            return "\n".join([f"{self.subject.name}: {fault.headline()}", *fault.details(), at])
        lines = [f"{self.subject.name}: {fault.headline()}, at {point.what}", *fault.details()]
        lines += self._right_elsewhere(fault)
        if not point.given and point.kind == FIRST and fault.place is not None:
            lines.append(at)
        return "\n".join([*lines, f"  see it again: {self._line()}"])

    def _arguments(self, point: Point) -> list[np.ndarray]:
        """What is differentiated, as somebody gave it where that is known."""
        subject = point.subject
        return subject.shown(point.leaves) if subject is self.subject else point.floats

    def _line(self) -> str:
        subject = self.subject
        small = sum(x.size for x in subject.leaves) <= SHOWN_IN_LINE
        arguments = "…the same arguments"
        if small and not subject.is_nested:
            arguments = ", ".join(map(subject.typed, subject.wholes(subject.leaves)))
        told = [arguments, *self.options.typed, f"seed={self.seed}"]
        return f"check_grads({subject.spelled}, {', '.join(told)})"

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
