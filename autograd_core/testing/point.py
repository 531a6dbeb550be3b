"""`Point`: a function at some arguments, its derivatives held against numeric ones.

Derivatives along directions are compared with differences (`differences.py`), which know their own
error. The derivative's error is known likewise: a right one is the exact derivative at arguments
that are off by some units in their last place, so what such a change does to it is what it may be
off by. No constant is loose, and none has to be chosen for a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autograd_core.testing.around import LARGER
from autograd_core.testing.differences import Slope
from autograd_core.testing.fault import Fault, told
from autograd_core.testing.noise import MANY, by_value, eps_of, noise_of, nudged
from autograd_core.testing.numeric_side import AROUND, FAR, NUDGED, NUDGES, ULPS, Numeric, signs
from autograd_core.testing.reports import Entries, Report
from autograd_core.testing.subjects import Arrays, Mismatch, Subject, Unavailable
from autograd_core.testing.subjects.base import IMAGINARY_PART

__tracebackhide__ = True  # pytest shows the user's lines
HALF = 2e-8
"""How far, relative to its terms, a derivative may be off: half of the digits of double precision.
Libraries approximate special functions no better, and no slip in a formula is as small."""
ALL_ENTRIES = 16
"""Arguments of so few entries are always checked entry by entry."""
FEW_ENTRIES = 4
"""Or of so few, elsewhere than at the arguments that were given."""
MOST_ENTRIES = 256
"""Of larger ones, so many entries are looked at once something is wrong."""
SURE = 3
"""So many wrong entries that are no matter of choice are enough: of others less is asked."""


FIRST = "order 1"
Side = Callable[[Arrays], tuple[float, float]]
"""From a direction to a derivative along it, and what that may be off by."""


class Point:
    """A subject at some arguments: its values, its derivatives, and how exact both are.

    Args:
        subject: the function.
        kind: says which derivative this is, as "order 2".
        leaves: the arguments.
        rng: draws directions.
        report: is told what was compared.
        where: the arguments are, if nobody asked for them: then what the function refuses there, or
            where it has a kink, says nothing.
        brief: compare along one direction only, and never entry by entry.
        floor: for each argument, how large the derivative's terms may be that cancel here, as they
            are elsewhere.
    """

    lenient = False
    """Whether gradients of another shape are let through, where there are no axes."""
    strict = False
    """Whether gradients that raise are faults where nobody asked for them."""

    def __init__(
        self,
        subject: Subject,
        kind: str,
        leaves: Arrays,
        rng: np.random.Generator,
        report: Report,
        where: str = "",
        brief: bool = False,
        floor: Sequence[float] = (),
    ):
        self.subject, self.kind, self.where, self.brief = subject, kind, where, brief
        self.rng, self.report = rng, report
        self.leaves = [np.array(x) for x in leaves]
        self.floor = floor or [0.0] * len(subject.places)
        self.effort = 0
        self.refused = ""
        self._drawn: list[list[np.ndarray]] = []
        self._known: list[Slope] = []
        self.pulled: list[np.ndarray] | None = None
        self.noise: list[Any] = []
        self.cts: list[np.ndarray] | None = None
        self.is_usable = False
        try:
            self.values = [np.array(y) for y in subject.values(self.copies())]
        except Exception as error:
            if self.given and kind == FIRST:
                raise
            self.refused = told(error)
            return
        if not self.values:
            return
        self.cts = [
            np.asarray(
                self.rng.uniform(0.5, 1.5, y.shape) * self.rng.choice([-1, 1], y.shape)
            ).astype(y.dtype)
            for y in self.values
        ]
        self.numeric = Numeric(subject, self.leaves, self.values, self.cts, self.rng)
        self.is_usable = all(np.isfinite(y).all() for y in self.values)

    def copies(self) -> list[np.ndarray]:
        """The arguments, for a function that may write to them."""
        return [np.array(x) for x in self.leaves]

    @property
    def sizes(self) -> list[float]:
        """The largest finite entry of the gradient by each argument, if it is known."""
        return [
            float(np.max(np.abs(g), initial=0.0, where=np.isfinite(g))) for g in self.pulled or ()
        ]

    @property
    def given(self) -> bool:
        """Whether somebody asked for these arguments."""
        return not self.where

    @property
    def has_to_be_there(self) -> bool:
        """Whether a derivative that raises is a fault: not those of derivatives that a library was
        to derive itself, and cannot."""
        return self.given and (self.kind == FIRST or self.subject.library == "numpy")

    @property
    def what(self) -> str:
        """Which derivative this is, and where."""
        return f"{self.kind}, {self.where}" if self.where else self.kind

    @property
    def floats(self) -> list[np.ndarray]:
        return [self.leaves[i] for i in self.subject.places]

    # The side that is checked ----------------------------------------------------------------

    def compare(self, mode: str, entries: bool = False) -> None:
        """Raise Fault where slopes do not agree, along directions, or for all entries."""
        if self.cts is None or not self.is_usable:
            return
        what = f"{self.what}, {mode}"
        try:
            side = self._reverse() if mode == "rev" else self._forward()
        except Unavailable as why:
            self.report.note(
                f"{mode}: {why}" if self.kind == FIRST else f"{self.kind}, {mode}: {why}"
            )
            return
        count = sum(x.size for x in self.floats)
        if not count:
            self.report.add(what, 0.0)
            return
        for ts, numeric in self._slopes():
            if not self._agrees(what, ts, side(ts), numeric):
                if self._look_closer(mode, ts):
                    break
                return
        few = count <= (ALL_ENTRIES if self.given else FEW_ENTRIES) and not self.brief
        if entries or (few and (self.given or mode == "rev")):
            self._judge(mode, side, certain=False)

    def _look_closer(self, mode: str, ts: Arrays) -> bool:
        """Something looks wrong along a direction; whether to look at entries too, if it is not."""
        side = self._careful(mode)
        numeric = self.numeric.confirmed(ts)
        if self._verdict(ts, *side(ts), numeric) != "wrong":
            return True
        if not self.given and not self.brief and self.numeric.has_kink(ts):
            return False  # what is asked of a gradient there, nobody has said
        kinks = self._judge(mode, side, sure=SURE if self.brief else 0)
        if kinks and self._has_ties and not self.numeric.has_kink(ts):
            what = "where several entries are equal, more or less of them are counted than move"
            raise Fault(self, mode, what)
        return True

    def _careful(self, mode: str) -> Side:
        """A side whose own error was looked at harder: before anything is called wrong."""
        self.effort = 1
        if mode == "rev":
            self._measure_noise()
        return self._reverse() if mode == "rev" else self._forward()

    def _directions(self) -> Iterator[list[np.ndarray]]:
        floats = self.floats
        # What is no number stays where it is.
        moved = [np.where(np.isfinite(x), 1.0, 0.0) for x in floats]
        if self._has_ties and not self.brief:  # along which equals stay equal
            together = by_value(floats, lambda n: signs(np.zeros(n), self.rng))
            yield [m * t for m, t in zip(moved, together, strict=True)]
        yield [m * signs(m, self.rng) for m in moved]
        if self.brief:
            return
        known = [np.where(np.isfinite(x), np.abs(x), 0.0).astype(np.float64) for x in floats]
        sizes = [np.max(x, initial=0.0) or 1.0 for x in known]
        yield [
            m * signs(m, self.rng) * np.where(x == 0, size, x)
            for m, x, size in zip(moved, known, sizes, strict=True)
        ]
        if not self.given:
            return
        for k in range(len(floats) if len(floats) > 1 else 0):
            yield [m * signs(m, self.rng) * (i == k) for i, m in enumerate(moved)]

    @cached_property
    def _has_ties(self) -> bool:
        """Whether some of the arguments' entries are equal, where somebody asked for it."""
        count = sum(x.size for x in self.floats)
        if not self.given or count > MANY:
            return False
        entries = np.concatenate([x.astype(np.float64).ravel() for x in self.floats])
        return np.unique(entries).size < count

    def _reverse(self) -> Side:
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
            return value, error + HALF * self._terms(ts) + self._cancelled(ts)

        return side

    def _terms(self, ts: Arrays) -> float:
        """The sum of what each entry adds to a slope, whatever its sign; 0 if it is not known."""
        pairs = zip(self.pulled or (), ts, strict=False)
        terms = sum(float(np.sum(np.abs(np.where(t == 0, 0.0, g * t)))) for g, t in pairs)
        return terms if np.isfinite(terms) else 0.0

    def _pull(self) -> None:
        assert self.cts is not None
        try:
            self.pulled = self.as_floats(self.pulled_at(self.copies()))
        except Unavailable:
            raise
        except Mismatch as error:
            raise Fault(self, "rev", str(error)) from error
        except Exception as error:
            if self.lenient or not (self.has_to_be_there or self.strict):
                raise Unavailable(told(error)) from error
            raise Fault(self, "rev", f"it raises {told(error)}") from error
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

    def pulled_at(self, leaves: Arrays) -> list[Any]:
        assert self.cts is not None
        return self.subject.pull(leaves, [np.array(g) for g in self.cts])

    def conjugated(self) -> list[np.ndarray]:
        """The gradient, had its rule the conjugate of what it multiplies the cotangent by; nothing
        where nothing is complex."""
        subject = self.subject
        if self.cts is None or not any(subject.is_complex):
            return []
        found = self.as_floats(subject.pull(self.copies(), subject.conjugated(self.cts)))
        names = (subject.names[i] for i in subject.places)
        pairs = zip(found, names, strict=True)
        return [-g if name.endswith(IMAGINARY_PART) else g for g, name in pairs]

    def _measure_noise(self) -> None:
        """How far the gradient's entries are off by rounding: what nudges of its arguments do."""
        assert self.pulled is not None and self.cts is not None
        if self.effort:
            found = self.noise_along(lambda leaves: self.as_floats(self.pulled_at(leaves)))
            for n, e in enumerate(found or ()):
                self.noise[n] = np.maximum(self.noise[n], NUDGED * e + self._of_values(n))
        for _ in range(NUDGES):
            leaves = nudged(self.leaves, self.subject.places, self.rng, 2)
            try:
                near = self.as_floats(self.pulled_at(leaves))
            except Exception:
                continue
            for n, (a, b) in enumerate(zip(near, self.pulled, strict=True)):
                change = NUDGED * np.abs(a.astype(np.float64) - b)
                self.noise[n] = np.maximum(self.noise[n], np.nan_to_num(change, posinf=0))

    def as_floats(self, found: Sequence[Any]) -> list[np.ndarray]:
        """Cotangents as arrays; None is zero."""
        floats = self.floats
        if len(found) != len(floats):
            raise Mismatch(f"{len(found)} cotangents for {len(floats)} floating-point arguments")
        arrays = [
            np.zeros(x.shape, x.dtype) if g is None else np.array(g)
            for g, x in zip(found, floats, strict=True)
        ]
        if any(g.dtype.kind == "c" for g in arrays):
            raise Mismatch("it is complex, its arguments are not")
        return [g if g.dtype.kind == "f" else g.astype(np.float64) for g in arrays]

    def noise_along(self, g: Callable[[Arrays], list[np.ndarray]]) -> list[np.ndarray] | None:
        """How far entries of a function of the arguments are off by rounding."""
        return noise_of(g, self.leaves, self.subject.places, self.rng)

    def _wrong_shape(self, n: int, g: np.ndarray, x: np.ndarray) -> None:
        if self.lenient and not x.ndim:
            raise Unavailable(f"for no axes it has the shape {g.shape}")
        raise Fault(self, "rev", "its shape is wrong", place=n, pair=(g, np.full(x.shape, np.nan)))

    def _forward(self) -> Side:
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
                if not self.has_to_be_there:
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
                found = self.noise_along(lambda leaves: [np.array(pushed(leaves, ts))])
                error = max(error, NUDGED * float(found[0]) if found else 0.0)
            for _ in range(0 if self.brief and not self.effort else NUDGES):
                near = nudged(self.leaves, self.subject.places, self.rng, 2)
                change = abs(pushed(near, ts) - value)
                error = max(error, NUDGED * change if np.isfinite(change) else 0.0)
            error += HALF * max(size, self._terms(ts)) + self._cancelled(ts)
            return value, error + ULPS * self._eps * size

        pushed(self.leaves, [np.zeros(x.shape) for x in self.floats])  # is there such a mode?
        return side

    def _cancelled(self, ts: Arrays) -> float:
        """What rounding leaves of terms as large as the floor."""
        terms = (a * float(np.sum(np.abs(t))) for a, t in zip(self.floor, ts, strict=True))
        return ULPS * self._eps * sum(terms)

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

    def _slopes(self) -> Iterator[tuple[list[np.ndarray], Slope]]:
        """Directions and numeric slopes along them, the same for both modes."""
        self._drawn = self._drawn or list(self._directions())
        for n, ts in enumerate(self._drawn):
            if n == len(self._known):
                self._known.append(self.numeric.slope(ts))
            yield ts, self._known[n]

    def _agrees(self, what: str, ts: Arrays, found: tuple[float, float], numeric: Slope) -> bool:
        value, error = found
        verdict = self._verdict(ts, value, error, numeric)
        if verdict != "right":
            return verdict == "open"
        tolerance, off = numeric.error + error, abs(value - numeric.value)
        self.report.decided += 1
        self.report.add(what, off / tolerance if tolerance else 0.0)
        return True

    def _is_decided(self, numeric: Slope, ts: Arrays) -> bool:
        """Whether a numeric slope is worth a comparison."""
        return numeric.is_known or numeric.error <= 1e-6 * self._size(ts)

    def _judge(self, mode: str, side: Side, certain: bool = True, sure: int = 0) -> int:
        """Entry by entry: what is wrong, and is no matter of choice at a kink; how many are one.

        Args:
            certain: whether something is wrong, as a direction has shown.
            sure: how many wrong entries are known to be no matter of choice.
        """
        floats = self.floats
        got, expected = ([np.full(x.shape, np.nan) for x in floats] for _ in range(2))
        allowed = [np.zeros(x.shape) for x in floats]
        wrong: set[int] = set()
        kinks = 0
        for place, entry in self._looked_at(side, certain):
            unit = self._step(floats[place].flat[entry])
            ts = [np.zeros(x.shape) for x in floats]
            ts[place].flat[entry] = unit
            value, error = side(ts)
            got[place].flat[entry] = value / unit
            numeric = self.numeric.slope(ts)
            verdict = self._verdict(ts, value, error, numeric)
            if verdict == "wrong" and sure < SURE:
                if not certain:
                    return self._judge(mode, self._careful(mode))
                numeric = self.numeric.confirmed(ts)
                verdict = self._verdict(ts, value, error, numeric)
                if verdict == "wrong" and self._is_choice(ts, value, error):
                    verdict = "kink"
                sure += verdict == "wrong"
            if verdict in ("right", "wrong"):
                expected[place].flat[entry] = numeric.value / unit
                allowed[place].flat[entry] = (numeric.error + error) / abs(unit)
            kinks += verdict == "kink"
            if verdict == "wrong":
                wrong.add(place)
        if self.given and self.kind == FIRST:
            self._keep(mode, got, expected, allowed)
        if wrong:
            n = min(wrong)
            raise Fault(self, mode, place=n, pair=(got[n], expected[n]), off=allowed[n])
        if certain and not kinks:
            self._only_together(mode)
        return kinks

    def _looked_at(self, side: Side, certain: bool) -> list[tuple[int, int]]:
        """Some entries, as places and numbers of entries: of many, some that are wrong."""
        sizes = [x.size for x in self.floats]
        ends = np.cumsum(sizes)
        found = []
        most = ALL_ENTRIES if self.brief else MOST_ENTRIES
        numbers: Sequence[int] = list(self.rng.permutation(sum(sizes))[:most])
        if certain and sum(sizes) > most:
            numbers = self._narrowed(side, sizes) or numbers
        for number in sorted(numbers):
            place = int(np.searchsorted(ends, number, side="right"))
            found.append((place, int(number - (ends[place] - sizes[place]))))
        return found

    def _narrowed(self, side: Side, sizes: Sequence[int]) -> Sequence[int]:
        """A few entries, one of which is wrong, by halves along which slopes differ; none where no
        half shows it."""
        ends = np.cumsum(sizes)[:-1]
        low, high = 0, sum(sizes)
        way = np.concatenate([np.where(np.isfinite(x), signs(x, self.rng), 0.0).ravel()
                              for x in self.floats])  # fmt: skip
        while high - low > ALL_ENTRIES:
            middle = (low + high) // 2
            for a, b in ((low, middle), (middle, high)):
                only = np.zeros_like(way)
                only[a:b] = way[a:b]
                parts = zip(np.split(only, ends), self.floats, strict=True)
                ts = [t.reshape(x.shape) for t, x in parts]
                if self._verdict(ts, *side(ts), self.numeric.slope(ts)) == "wrong":
                    low, high = a, b
                    break
            else:
                return []
        return range(low, high)

    def _verdict(self, ts: Arrays, value: float, error: float, numeric: Slope) -> str:
        """Of one slope: "right", "wrong", or "open" where nothing is known of it."""
        if not self._is_decided(numeric, ts):
            return "open"
        if not np.isfinite(value):
            asked = self.given or (self.where != LARGER and self.numeric.is_inside)
            return "wrong" if asked else "open"
        return "right" if abs(value - numeric.value) <= numeric.error + error else "wrong"

    def _keep(self, mode: str, got: Arrays, expected: Arrays, allowed: Arrays) -> None:
        """Keep entries for those who want to see them."""
        names = [self.subject.names[i] for i in self.subject.places]
        old = [each for each in self.report.entries if not each.of.startswith(mode)]
        new = [
            Entries(f"{mode}, {name}", *each)
            for name, *each in zip(names, got, expected, allowed, strict=True)
        ]
        self.report.entries = old + new

    def _only_together(self, mode: str) -> None:
        """Each entry may be right alone, and all of them together not: by rounding, or because the
        wrong ones were not among those that were looked at."""
        if sum(x.size for x in self.floats) <= MOST_ENTRIES and not self.brief:
            self.report.note(f"{self.what}, {mode}: directions differ, entries do not")
        else:
            what = "along random directions; none of the entries looked at shows it"
            raise Fault(self, mode, what)

    @staticmethod
    def _step(x: Any) -> float:
        size = abs(float(x))
        return size if 1e-12 < size < 1e12 else 1.0

    def _is_choice(self, ts: Arrays, value: float, error: float) -> bool:
        """Whether a slope lies between those of both sides of a kink."""
        behind, ahead = self.numeric.sides(ts)
        if not (np.isfinite(behind.value) and np.isfinite(ahead.value)):
            return not self.numeric.slope(ts).is_known
        if not self.numeric.has_kink(ts):
            return False
        if not self.given:
            return True
        slack = behind.error + ahead.error + error
        near = [behind.value, ahead.value, *self.numeric.slopes_around(ts, FAR, AROUND)]
        return min(near) - slack <= value <= max(near) + slack
