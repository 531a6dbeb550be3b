"""What a check found: reports, and who hears of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from autograd_core.testing.numeric import LawViolation


class GradientError(LawViolation):
    """A derivative is wrong; the message says where, by how much, and what it looks like.

    Attributes:
        report: what had been checked until then, and the entries that differ.
    """

    def __init__(self, message: str, report: Report | None = None):
        super().__init__(message)
        self.report = report


class UndecidedWarning(UserWarning):
    """Nothing could be said about a derivative: the function does not settle at its arguments."""


@dataclass
class Entries:
    """A derivative's entries beside numeric ones.

    Attributes:
        of: which derivative, and by which argument.
        got, expected, allowed: arrays of one shape; NaN in `expected` where it is not known.
    """

    of: str
    got: np.ndarray
    expected: np.ndarray
    allowed: np.ndarray


@dataclass
class Report:
    """What was checked.

    Attributes:
        name: of the function.
        checked: for each thing checked (order, mode, where), the worst error over its tolerance.
        notes: what could not be checked, and why.
        decided: how many slopes were compared, and were known.
        entries: the derivatives at the given arguments that were looked at entry by entry.
        failure: what is wrong, in words; "" if nothing was found.
    """

    name: str
    checked: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decided: int = 0
    entries: list[Entries] = field(default_factory=list, compare=False, repr=False)
    failure: str = ""

    def add(self, what: str, error: float) -> None:
        """Something was compared; `error` is relative to its tolerance."""
        self.checked[what] = max(error, self.checked.get(what, 0.0))

    def note(self, text: str) -> None:
        """Something could not be checked."""
        if text not in self.notes:
            self.notes.append(text)

    def merge(self, other: Report) -> None:
        """Add what another report of the same function says."""
        for what, error in other.checked.items():
            self.add(what, error)
        for text in other.notes:
            self.note(text)
        self.decided += other.decided
        self.entries = self.entries or other.entries
        self.failure = self.failure or other.failure

    @property
    def worst(self) -> float:
        """The largest error seen, over its tolerance."""
        return max(self.checked.values(), default=0.0)

    @property
    def orders(self) -> list[int]:
        """The orders of derivative that were looked at."""
        found = {int(what.split()[1].strip(",")) for what in self.checked if what[:6] == "order "}
        return sorted(found)

    @property
    def modes(self) -> list[str]:
        """The modes that were looked at."""
        return [m for m in ("rev", "fwd") if any(what.endswith(m) for what in self.checked)]

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it, without the entries."""
        found = asdict(self)
        del found["entries"]
        found["checked"] = {what: finite(error) for what, error in self.checked.items()}
        worst = finite(self.worst)
        return {**found, "worst": worst, "orders": self.orders, "modes": self.modes}

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.decided} slopes compared"]
        lines += [
            f"  {what}: worst error {x:.2g} of its tolerance" for what, x in self.checked.items()
        ]
        return "\n".join(lines + [f"  not checked: {note}" for note in self.notes])


def finite(x: float) -> float | None:
    """A number as JSON has it."""
    return x if math.isfinite(x) else None


_listeners: list[Callable[[Report], None]] = []


@contextmanager
def listening(heard: Callable[[Report], None]) -> Iterator[None]:
    """Hear of each report of `check_grads` and `check_property` while inside."""
    _listeners.append(heard)
    try:
        yield
    finally:
        _listeners.remove(heard)


def publish(report: Report) -> Report:
    """Tell all who listen."""
    for heard in list(_listeners):
        heard(report)
    return report
