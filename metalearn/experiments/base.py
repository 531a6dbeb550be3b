"""What an experiment is: arms by seeds, cells that are computed once each, and a report of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Self

from metalearn.experiments.report import Report
from metalearn.experiments.workspace import Workspace

Record = Mapping[str, Any]
"""What was measured in a cell, as JSON."""


class Cell(NamedTuple):
    """An arm of an experiment, such as an algorithm, with one seed."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Experiment(ABC):
    """A configuration: its fields are all that decides what is computed, but for the data.

    Make a full one without arguments, and the one of a few minutes with `quick`.
    """

    seeds: int = 3

    name: ClassVar[str]
    about: ClassVar[str]
    """A line for help texts."""

    @classmethod
    @abstractmethod
    def quick(cls) -> Self:
        """The same question in a few minutes on two cores."""

    @property
    @abstractmethod
    def arms(self) -> Sequence[str]:
        """What is compared."""

    @abstractmethod
    def compute(self, cell: Cell, workspace: Workspace) -> Record:
        """What is measured in a cell: a function of the configuration, the cell and the data."""

    @abstractmethod
    def report(self, records: Mapping[Cell, Record]) -> Report:
        """Tables and pictures of all cells."""

    def cells(self) -> list[Cell]:
        """All of them, seed by seed, so that a part of the work is a whole table."""
        return [Cell(arm, seed) for seed in range(self.seeds) for arm in self.arms]

    @property
    def settings(self) -> dict[str, Any]:
        """What decides what a cell holds, as JSON: more seeds are more cells, and change none."""
        found = {name: value for name, value in asdict(self).items() if name != "seeds"}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def by_arm(records: Mapping[Cell, Record]) -> dict[str, list[Record]]:
    """The records of each arm, in the order of seeds."""
    found: dict[str, list[Record]] = {}
    for cell in sorted(records, key=lambda cell: cell.seed):
        found.setdefault(cell.arm, []).append(records[cell])
    return found
