"""How many labelled examples it takes until a meta-learned start is no better than another.

Three starts are fine-tuned on 1 to 100 examples: one meta-learned by MAML, one pretrained on all
training tasks together, and a random one. So is the question of Triantafillou et al. 2020,
"Meta-Dataset", https://arxiv.org/abs/1903.03096, figure 2, and of Finn et al. 2017,
https://arxiv.org/abs/1703.03400, section 5.1.

All three choose optimiser, rate, what to adapt and how long from the same list, for each number of
examples, by validation tasks. Tasks are 5 characters of glyphs that are drawn here, with as many
drawings as it takes; scikit-learn's digits, by networks that learned from glyphs; and rows of
simulated reactors (see `reactors`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from metalearn.algorithms import FineTuning, Pretrained
from metalearn.evaluation import Interval, scores_at_steps
from metalearn.experiments.base import Cell, Experiment, Record, by_arm
from metalearn.experiments.reactors import write_reactors
from metalearn.experiments.report import Report, Table, number, over_seeds, percent
from metalearn.experiments.workspace import QUERIES, Workspace
from metalearn.problems import Classification, Problem, other_domain
from metalearn.tasks import Split, load_glyphs, random_split
from metalearn.trained import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOTS = (1, 2, 5, 10, 20, 50, 100)
NEW_GLYPHS = {"classes": 80, "samples": max(SHOTS) + QUERIES, "seed": 1}
"""Of another seed than those to train on, which are none of these."""
STARTS = ("meta-learned", "pretrained", "random")
PANELS = {
    "glyphs": "5-way accuracy in %, new glyphs",
    "digits": "5-way accuracy in %, digits, trained on glyphs",
    "reactors": "mean squared error, new reactors (1: the variance of all)",
}


class Candidate(NamedTuple):
    """A way to fine-tune; rates are per unit of mean loss."""

    optimizer: str
    rate: float
    adapts: str

    def __str__(self) -> str:
        return f"{self.optimizer} {self.rate:g} on {self.adapts}"


IMAGES = (
    Candidate("sgd", 1.0, "all"),
    Candidate("adam", 3e-3, "all"),
    Candidate("sgd", 0.3, "head"),
)
ROWS = (
    Candidate("sgd", 0.1, "all"),
    Candidate("sgd", 0.03, "all"),
    Candidate("adam", 3e-3, "all"),
)


@dataclass(frozen=True)
class ScarceDataExperiment(Experiment):
    """`tasks` to test on and `validation_tasks` to choose by, for each number of examples; of rows
    of tables, ten times as many."""

    name: ClassVar[str] = "scarce-data"
    about: ClassVar[str] = "what a start is worth, by the number of labelled examples"

    seeds: int = 5
    shots: tuple[int, ...] = SHOTS
    steps: tuple[int, ...] = (1, 3, 10, 30, 100, 200)
    tasks: int = 100
    validation_tasks: int = 20
    filters: int = 64
    image_iterations: int = 10_000
    table_iterations: int = 20_000

    @classmethod
    def quick(cls) -> Self:
        return cls(
            seeds=3,
            shots=(1, 5, 20, 100),
            steps=(1, 4, 12, 40),
            tasks=12,
            validation_tasks=4,
            filters=16,
            image_iterations=1000,
            table_iterations=4000,
        )

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(f"{what}-{start}" for what in ("table", "images") for start in STARTS)

    def compute(self, cell: Cell, workspace: Workspace) -> Record:
        what, _, start = cell.arm.partition("-")
        make = self._on_table if what == "table" else self._on_images
        return {"panels": make(start, cell, workspace)}

    # Images -----------------------------------------------------------------------------------

    def _on_images(self, start: str, cell: Cell, workspace: Workspace) -> Record:
        algorithm = {"meta-learned": "maml", "pretrained": "pretrained", "random": "scratch"}[start]
        budget = {} if start == "random" else {"iterations": self.image_iterations}
        trained, _ = workspace.trained(
            cell.name,
            "glyphs",
            algorithm=algorithm,
            filters=self.filters,
            seed=cell.seed,
            validate_every=500 if budget else None,
            validation_episodes=50,
            **budget,
        )
        glyphs = _new_glyphs(trained.run.config.image_size)
        problems = {"glyphs": glyphs, "digits": other_domain(trained.run.config, "digits")}
        return {
            name: self._tuned(trained, IMAGES, glyphs, problem, workspace)
            for name, problem in problems.items()
        }

    # The table --------------------------------------------------------------------------------

    def _on_table(self, start: str, cell: Cell, workspace: Workspace) -> Record:
        rows = max(SHOTS) + 2 * QUERIES
        path = workspace.file(
            "reactors.csv", lambda path: write_reactors(path, reactors=200, rows=rows)
        )
        algorithm = {"meta-learned": "maml", "pretrained": "joint", "random": "scratch"}[start]
        budget: dict[str, Any] = {}
        if start != "random":
            budget = {"iterations": self.table_iterations}
        if start == "meta-learned":
            budget |= {"inner_lr": 0.03, "inner_steps": 5}
        trained, problem = workspace.trained(
            cell.name,
            str(path),
            task_column="reactor",
            target="yield",
            algorithm=algorithm,
            seed=cell.seed,
            hidden=(64, 64),
            **budget,
        )
        return {"reactors": self._tuned(trained, ROWS, problem, problem, workspace)}

    # Fine-tuning ------------------------------------------------------------------------------

    def _tuned(
        self,
        trained: Trained,
        candidates: Sequence[Candidate],
        validation: Problem,
        test: Problem,
        workspace: Workspace,
    ) -> dict[str, Record]:
        """By the number of examples: the score on test tasks, of what did best in validation."""
        found: dict[str, Record] = {}
        for shots in self.shots:
            workspace.check()
            workspace.display.working("fine-tuning, examples", shots, max(self.shots))
            tried = [
                (score, candidate, steps)
                for candidate in candidates
                for steps, score in self._scores(
                    trained, candidate, validation, "validation", shots
                )
            ]
            better = validation.measure.higher_is_better
            _, best, steps = max(tried, key=lambda each: each[0] if better else -each[0])
            scores = dict(self._scores(trained, best, test, "test", shots))
            found[str(shots)] = {"score": scores[steps], "chosen": f"{best}, {steps} steps"}
        return found

    def _scores(
        self, trained: Trained, candidate: Candidate, problem: Problem, part: str, shots: int
    ) -> Iterator[tuple[int, float]]:
        """Mean scores on tasks of a part, by the number of steps."""
        count = self.tasks if part == "test" else self.validation_tasks
        count *= 1 if problem.measure.higher_is_better else 10
        found = scores_at_steps(
            _tuner(trained, candidate),
            trained.learner,
            trained.params,
            problem.sampler(part, shots, QUERIES, 0),
            count,
            self.steps,
            compiled=True,
        )
        worst = 0.0 if problem.measure.higher_is_better else math.inf
        means = np.where(np.isfinite(found).all(axis=0), found.mean(axis=0), worst)
        return zip(self.steps, map(float, means), strict=True)

    # Report -----------------------------------------------------------------------------------

    def report(self, records: Mapping[Cell, Record]) -> Report:
        scores = _intervals(records)
        tables = [_table(panel, found) for panel, found in scores.items()]
        whole = {p: found for p, found in scores.items() if len(_starts(found)) == len(STARTS)}
        findings = [_finding(panel, found) for panel, found in whole.items()]
        return Report(tables, findings, {"examples": _picture(scores)})


def _tuner(trained: Trained, candidate: Candidate) -> FineTuning:
    """Fine-tuning of a run's parameters, with a new head where its own is for training classes."""
    if isinstance(trained.algorithm, Pretrained):
        return replace(trained.algorithm, **candidate._asdict())
    return FineTuning(**candidate._asdict())


@cache
def _new_glyphs(size: int) -> Classification:
    """Glyphs with drawings enough, half of them for validation and half for test."""
    dataset = load_glyphs(**NEW_GLYPHS, size=size)
    cut = random_split(dataset.classes, 0, test=len(dataset.classes) // 2)
    split = Split((), cut.train, cut.test, "new-glyphs-1")
    return Classification(dataset, split, ways=5)


Scores = Mapping[str, Mapping[int, Mapping[str, Interval]]]
"""By panel, then by the number of examples, then by start."""


def _intervals(records: Mapping[Cell, Record]) -> Scores:
    found: dict[str, dict[int, dict[str, Interval]]] = {panel: {} for panel in PANELS}
    for arm, of_arm in by_arm(records).items():
        start = arm.partition("-")[2]
        for panel, by_shots in of_arm[0]["panels"].items():
            for shots in by_shots:
                values = [_score(record["panels"][panel][shots]["score"]) for record in of_arm]
                found[panel].setdefault(int(shots), {})[start] = over_seeds(values)
    return {panel: by_shots for panel, by_shots in found.items() if by_shots}


def _score(value: float | None) -> float:
    """Of a record: what was infinite is null there."""
    return math.inf if value is None else value


def _is_error(panel: str) -> bool:
    return panel == "reactors"


def _text(panel: str, interval: Interval) -> str:
    return number(interval) if _is_error(panel) else percent(interval)


def _table(panel: str, found: Mapping[int, Mapping[str, Interval]]) -> Table:
    examples = "examples" if _is_error(panel) else "examples a class"
    known = _starts(found)
    rows = [
        [str(shots), *(_text(panel, starts[start]) for start in known)]
        for shots, starts in sorted(found.items())
    ]
    return Table(PANELS[panel], [examples, *known], rows)


def _starts(found: Mapping[int, Mapping[str, Interval]]) -> list[str]:
    """Those that there are scores of: all, but where some arms alone were asked for."""
    return [start for start in STARTS if start in next(iter(found.values()))]


def _ahead(panel: str, one: Interval, other: Interval) -> bool:
    """Whether a score is better by more than both intervals together."""
    sign = -1 if _is_error(panel) else 1
    halves = sum(each.half_width for each in (one, other) if math.isfinite(each.half_width))
    return sign * (one.mean - other.mean) > halves


def _finding(panel: str, found: Mapping[int, Mapping[str, Interval]]) -> str:
    """Up to how many examples the meta-learned start is ahead of each other one."""
    few, many = min(found), max(found)
    said = []
    for other in STARTS[1:]:
        ahead = [
            str(shots)
            for shots, starts in sorted(found.items())
            if _ahead(panel, starts[STARTS[0]], starts[other])
        ]
        gaps = [_gap_text(panel, found[shots], other) for shots in (few, many)]
        said.append(
            f"of the {other} one with {', '.join(ahead) or 'no number tried'} (from {few} to "
            f"{many}: {gaps[0]}, {gaps[1]})"
        )
    unit = "examples" if _is_error(panel) else "examples a class"
    falls = all(
        _gap(panel, found[few], other) > _gap(panel, found[many], other) for other in STARTS[1:]
    )
    return (
        f"{PANELS[panel]}: by more than both intervals the meta-learned start is ahead "
        f"{' and '.join(said)} {unit}. In Triantafillou et al. 2020 what a start is worth falls "
        f"with the number of examples: {'so it does here' if falls else 'not so here'}."
    )


def _gap(panel: str, starts: Mapping[str, Interval], other: str) -> float:
    """How far the meta-learned start is ahead: points, or how many times smaller its error is."""
    mine, theirs = starts[STARTS[0]].mean, starts[other].mean
    return theirs / mine if _is_error(panel) else 100 * (mine - theirs)


def _gap_text(panel: str, starts: Mapping[str, Interval], other: str) -> str:
    gap = _gap(panel, starts, other)
    return f"{gap:.1f} times the error" if _is_error(panel) else f"{gap:+.1f} points"


def _picture(scores: Scores) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.3 * len(scores), 4.0), layout="constrained")
    for axes, (panel, found) in zip(
        np.ravel(figure.subplots(1, len(scores))), scores.items(), strict=True
    ):
        _draw(axes, panel, found)
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    return figure


def _draw(axes: "Axes", panel: str, found: Mapping[int, Mapping[str, Interval]]) -> None:
    scale = 1 if _is_error(panel) else 100
    shots = sorted(found)
    for start in _starts(found):
        each = [found[n][start] for n in shots]
        means = np.array([scale * e.mean for e in each])
        halves = np.array(
            [scale * e.half_width if math.isfinite(e.half_width) else 0 for e in each]
        )
        axes.plot(shots, means, ".-", label=start)
        axes.fill_between(shots, means - halves, means + halves, alpha=0.2)
    axes.set(xscale="log", xlabel="labelled examples" + " a class" * (not _is_error(panel)))
    if _is_error(panel):
        axes.set(yscale="log")
    else:
        axes.set(ylim=(None, 100))
    axes.set_xticks(shots, [str(n) for n in shots])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.set_title(PANELS[panel], fontsize=9)
