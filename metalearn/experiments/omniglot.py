"""The cells of the table that meta-learning is judged by, each by a recipe: `recipes/`.

A recipe is a file in TOML: what the paper says, and the options of `metalearn train omniglot`. All
use the papers' random split of the characters (Santoro et al. 2016, Vinyals et al. 2016), with four
rotations as classes of their own in all parts, as in MAML's code; scores are of 600 episodes of
held-out characters, 15 queries a class, normalised in both ways.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Self

from metalearn.evaluation import Interval
from metalearn.experiments.base import Cell, Experiment, Record, by_arm
from metalearn.experiments.report import Report, Table, over_seeds, percent
from metalearn.experiments.workspace import Workspace
from metalearn.trained import Trained

PREFIX = "omniglot-"
MODES = ("transductive", "support")

Recipe = Mapping[str, Mapping[str, Any]]


@cache
def recipes() -> Mapping[str, Recipe]:
    """All of them by name, such as "5w1s-maml"."""
    folder = files("metalearn.experiments") / "recipes"
    found = {
        each.name.removeprefix(PREFIX).removesuffix(".toml"): tomllib.loads(each.read_text("utf-8"))
        for each in folder.iterdir()
        if each.name.startswith(PREFIX)
    }
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class OmniglotExperiment(Experiment):
    """Every recipe; `iterations` in place of theirs, where it is not None."""

    name: ClassVar[str] = "omniglot"
    about: ClassVar[str] = "each algorithm on Omniglot beside its paper, hours each"

    seeds: int = 1
    episodes: int = 600
    iterations: int | None = None

    @classmethod
    def quick(cls) -> Self:
        return cls(episodes=200, iterations=300)

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(recipes())

    def compute(self, cell: Cell, workspace: Workspace) -> Record:
        options = dict(recipes()[cell.arm]["train"])
        if self.iterations is not None:
            options["iterations"] = self.iterations
        trained, problem = workspace.trained(
            cell.name,
            "omniglot",
            seed=cell.seed,
            validate_every=max(1, options["iterations"] // 20),
            validation_episodes=300,
            **options,
        )
        config = trained.run.config
        return {
            "scores": {
                mode: workspace.score(trained, problem, self.episodes, mode=mode) for mode in MODES
            },
            "iteration": trained.iteration,
            "minutes": round(_minutes(trained), 1),
            "split": trained.run.record["split"]["hash"][:12],
            "options": {**options, "batch_norm": config.batch_norm, "inner_lr": config.inner_lr},
        }

    def report(self, records: Mapping[Cell, Record]) -> Report:
        rows = [_row(arm, of_arm) for arm, of_arm in by_arm(records).items()]
        columns = [
            *("task", "algorithm", "paper", "ours, transductive", "ours, inductive"),
            *("meta-updates", "tasks each", "minutes", "split"),
        ]
        note = (
            "The papers' figures are transductive but for ProtoNet's. ± is half of a 95 % interval "
            "over the episodes of one seed, or over seeds where there are several. Rates are per "
            "unit of mean loss; every option is in the recipe of the cell's name."
        )
        return Report([Table("Omniglot, accuracy in %", columns, rows, note)], [], {})


def _minutes(trained: Trained) -> float:
    """Of training, as the run's metrics tell it."""
    return trained.run.metrics.read()[-1]["seconds"] / 60


def _row(arm: str, records: list[Record]) -> list[str]:
    task, _, algorithm = arm.partition("-")
    paper = recipes()[arm].get("paper")
    said = "–" if paper is None else f"{paper['accuracy']:g}"
    if paper is not None and "half_width" in paper:
        said += f" ± {paper['half_width']:g}"
    first = records[0]
    options = first["options"]
    return [
        task,
        algorithm,
        said,
        *(percent(_interval([record["scores"][mode] for record in records])) for mode in MODES),
        f"{options['iterations']:,}",
        str(options.get("meta_batch", "")),
        f"{first['minutes']:g}",
        first["split"],
    ]


def _interval(scores: list[tuple[float, float]]) -> Interval:
    if len(scores) == 1:
        return Interval(*scores[0])
    return over_seeds([mean for mean, _ in scores])
