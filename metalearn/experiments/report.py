"""An experiment's outcome for people: tables in Markdown, findings in words, pictures."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metalearn.evaluation import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Student's t at 0.975, of 1, 2, … 20 degrees of freedom."""


class Table(NamedTuple):
    """Rows of text under a row of names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """With its title in bold."""
        lines = [list(self.columns), ["---"] * len(self.columns), *map(list, self.rows)]
        rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"**{self.title}**\n\n{rows}" + (f"\n\n{self.note}" if self.note else "")


class Report(NamedTuple):
    """`findings` are sentences, made of the numbers, on what they say beside the papers."""

    tables: Sequence[Table]
    findings: Sequence[str]
    figures: Mapping[str, "Figure"]


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds, with half the width of its 95 % interval by Student's t, infinite where
    there is one seed only."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return Interval(float(found.mean()), math.inf)
    freedom = len(found) - 1
    quantile = T_QUANTILES[freedom - 1] if freedom <= len(T_QUANTILES) else 1.96
    return Interval(
        float(found.mean()), float(quantile * found.std(ddof=1) / math.sqrt(len(found)))
    )


def percent(interval: Interval) -> str:
    """Such as "93.4 ± 0.8"; without an interval, where there is one seed."""
    mean, half = interval
    return f"{100 * mean:.1f}" + (f" ± {100 * half:.1f}" if math.isfinite(half) else "")


def number(interval: Interval) -> str:
    """The same of a number that is no share, to three digits."""
    mean, half = interval
    return f"{mean:.3g}" + (f" ± {half:.2g}" if math.isfinite(half) else "")
