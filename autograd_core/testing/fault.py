"""`Fault`: something wrong with a derivative, before and after it is put in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_core.testing.diagnosis import likely_cause, resembles, table

if TYPE_CHECKING:
    from autograd_core.testing.point import Point

KINDS = {
    "rev": "the gradient (reverse mode)",
    "fwd": "the tangent (forward mode)",
    "value": "the value",
}


CONJUGATED = "it is conjugated: a conjugate is missing, or there is one too many"


class Fault(Exception):
    """Something is wrong.

    Args:
        point: where.
        mode: "rev", "fwd", or "value".
        what: in words, if known.
        pair: what the derivative is, and what it should be, of one argument.
        place: which of the arguments that are differentiated.
        off: how far entries may be off.
    """

    def __init__(
        self,
        point: Point,
        mode: str,
        what: str = "",
        pair: Any = None,
        place: int | None = None,
        off: Any = None,
    ):
        self.point, self.mode, self.what = point, mode, what
        self.pair, self.place, self.off = pair, place, off
        super().__init__(what)

    @property
    def ratio(self) -> float:
        """The largest error over its tolerance; infinite where there is no telling."""
        if self.pair is None or self.off is None:
            return math.inf
        got, expected = self.pair
        with np.errstate(all="ignore"):
            ratios = np.abs(got - expected) / self.off
        return float(np.max(ratios, initial=0.0, where=~np.isnan(ratios))) or math.inf

    def headline(self) -> str:
        """Which derivative is wrong."""
        subject, where = self.point.subject, ""
        if self.place is not None:
            where = f" with respect to {subject.names[subject.places[self.place]]}"
        return f"{KINDS[self.mode]}{where} is wrong"

    def _is_conjugated(self, expected: np.ndarray) -> bool:
        """Whether conjugates would mend the gradient."""
        if self.mode != "rev" or self.place is None:
            return False
        try:
            found = self.point.conjugated()
        except Exception:
            return False
        return bool(found) and resembles(found[self.place], expected)

    def details(self) -> list[str]:
        """What it looks like, and the entries that differ."""
        lines = [f"  what is wrong: {self.what}"] if self.what else []
        if self.pair is not None:
            got, expected = (np.asarray(x) for x in self.pair)
            off = 0.0 if self.off is None else self.off
            cause = likely_cause(got, expected, off) if self.place is not None else ""
            if cause and self._is_conjugated(expected):
                cause = CONJUGATED
            if cause and cause != self.what:
                lines.append(f"  it looks as if {cause}")
            lines.append(table(got, expected, off))
        return lines


def told(error: BaseException) -> str:
    """An error in one line."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
