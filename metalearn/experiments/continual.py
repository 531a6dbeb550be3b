"""Classes of unseen alphabets arrive one after another, each drawing once: who still knows them?

The setting is that of Javed & White 2019, "Meta-learning representations for continual learning",
https://arxiv.org/abs/1905.12588: networks are trained on Omniglot's background alphabets; then
drawings of characters of the evaluation alphabets come in a single pass, 15 of each, and the 5
others are to be told. In the arms `pretrained` and `oml` the representation stays as it is and a
linear head of 0 learns online; in `sgd`, `replay` and `la-maml` the whole network learns, from
scratch.

Networks have no batch norm, as theirs; `pretrained-norm` has it, with the averages of training.
`la-maml-2` takes second derivatives.

An alphabet is a task, of `a_task` characters in a random order. An arm's rate is chosen once, on a
stream of the validation alphabets. Unlike in the paper there are 28×28 pixels, four layers, a head
of one layer that learns by plain descent, not Adam, and a short training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

import autograd_core as ac
from metalearn.continual import (
    LaMaml,
    OnlineLearner,
    Sgd,
    Stream,
    backward_transfer,
    forgetting,
    forward_transfer,
    known_after,
    linear,
    make_stream,
    passed,
)
from metalearn.experiments.base import Cell, Experiment, Record, by_arm
from metalearn.experiments.report import Report, Table, over_seeds, percent
from metalearn.experiments.workspace import Workspace
from metalearn.models import Model, conv4
from metalearn.problems import Problem, open_problem
from metalearn.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Representation(NamedTuple):
    """A network that is trained on the background alphabets, and then stays as it is."""

    algorithm: str
    batch_norm: str = "none"


class Arm(NamedTuple):
    """A way to learn from a stream: on a representation or from scratch, with or without replay."""

    representation: Representation | None
    replay: bool
    rates: tuple[float, ...]  # to choose from
    make: Callable[..., Any] = Sgd


HEADS = (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)
NETWORKS = (0.01, 0.03, 0.1, 0.3)
AHEAD = (0.01, 0.03, 0.1)
ARMS: Mapping[str, Arm] = {
    "sgd": Arm(None, False, NETWORKS),
    "replay": Arm(None, True, NETWORKS),
    "la-maml": Arm(None, True, AHEAD, LaMaml),
    "la-maml-2": Arm(None, True, AHEAD, partial(LaMaml, order=2)),
    "pretrained": Arm(Representation("pretrained"), False, HEADS),
    "pretrained-norm": Arm(Representation("pretrained", "running"), False, HEADS),
    "pretrained-replay": Arm(Representation("pretrained"), True, HEADS),
    "oml": Arm(Representation("oml"), False, HEADS),
}
REMEMBER = 64  # random drawings in OML's meta-loss
SMALL = 1e-4  # a rate at which heads may be sums


@dataclass(frozen=True)
class ContinualExperiment(Experiment):
    """Streams of up to `classes` classes, and what each arm is told before and beside them."""

    seeds: int = 5
    dataset: str = "omniglot"
    classes: int = 200
    a_task: int = 10  # classes
    examples: int = 15  # of a class, to learn from
    held_out: int = 5  # of a class, to be judged by
    tuning: int = 50  # classes of the validation stream
    memory: int = 500  # examples that are kept for replay
    draws: int = 5  # of them, beside each example
    filters: int = 128
    iterations: int = 6000  # of training a representation
    ways: int = 20  # of validation episodes
    trajectory: tuple[int, int, int] = (20, 3, 2)  # classes, examples of each, and others of each

    name: ClassVar[str] = "continual"
    about: ClassVar[str] = "classes of new alphabets, one after another: what is known at the end"

    @classmethod
    def quick(cls) -> Self:
        return cls(seeds=3, classes=100, memory=250, filters=64, iterations=1200)

    @property
    def arms(self) -> Sequence[str]:
        return tuple(ARMS)

    # Cells ------------------------------------------------------------------------------------

    def compute(self, cell: Cell, workspace: Workspace) -> Record:
        """An arm's way through the test stream of a seed."""
        rate = self._rate(cell.arm, workspace)
        model, stream = self._prepared(cell, "test", workspace)
        outcome = passed(self._learner(cell.arm, model, rate), stream, self.memory, cell.seed)
        found = {name: np.asarray(x).tolist() for name, x in outcome._asdict().items()}
        return {"rate": rate, **found}

    def _rate(self, arm: str, workspace: Workspace) -> float:
        """The rate that leaves most known of the validation stream, by the first seed."""

        def choose() -> Record:
            model, stream = self._prepared(Cell(arm, 0), "validation", workspace)

            def score(rate: float) -> float:
                workspace.check()
                return known_after(self._learner(arm, model, rate), stream, self.memory, 0)

            scores = {rate: score(rate) for rate in ARMS[arm].rates}
            return {"rate": max(scores, key=scores.__getitem__), "scores": [*scores.items()]}

        return float(workspace.cell(f"rate-of-{arm}", choose)["rate"])

    def _learner(self, arm: str, model: Model, rate: float) -> OnlineLearner:
        draws = self.draws if ARMS[arm].replay else 0
        found: OnlineLearner = ARMS[arm].make(model, rate, draws=draws)
        return found

    def _prepared(self, cell: Cell, part: str, workspace: Workspace) -> tuple[Model, Stream]:
        """What an arm learns with before it has learned, and what it learns from."""
        chosen = ARMS[cell.arm].representation
        if chosen is None:
            options = self._options(Representation("pretrained"), cell.seed)
            config = workspace.config(self.dataset, **options)
            problem = open_problem(config, workspace.display.working)
            stream = self._stream(problem, part, cell.seed)
            return self._network(stream), stream
        trained, problem = self._trained(chosen, cell.seed, workspace)
        stream = self._stream(problem, part, cell.seed).seen_as(representation(trained))
        return linear(stream.x.shape[-1], len(stream.classes)), stream

    def _network(self, stream: Stream) -> Model:
        """One that learns from scratch, with an output for each class of the stream."""
        channels, size, _ = stream.x.shape[2:]
        return conv4(channels, size, len(stream.classes), self.filters, normalise=False)

    def _stream(self, problem: Any, part: str, seed: int) -> Stream:
        return make_stream(
            problem.dataset,
            getattr(problem.split, part),
            alphabet,
            seed,
            most=self.classes if part == "test" else self.tuning,
            a_task=self.a_task,
            train=self.examples,
            test=self.held_out,
        )

    def _trained(
        self, found: Representation, seed: int, workspace: Workspace
    ) -> tuple[Trained, Problem]:
        name = f"{found.algorithm}-{found.batch_norm}-{seed}"
        return workspace.trained(name, self.dataset, **self._options(found, seed))

    def _options(self, found: Representation, seed: int) -> dict[str, Any]:
        """Those of `metalearn train`. Whatever the algorithm, it is the same network, and sees as
        many drawings in an iteration."""
        tasks, examples, others = self.trajectory
        settings = {
            "pretrained": {"batch": tasks * (examples + others) + REMEMBER},
            "oml": {"tasks": tasks, "examples": examples, "remember": REMEMBER},
        }
        given = {name: str(value) for name, value in settings[found.algorithm].items()}
        return {
            "algorithm": found.algorithm,
            "settings": {**given, "upright": "true"},
            "seed": seed,
            "iterations": self.iterations,
            "split": "alphabets" if self.dataset == "omniglot" else "random",
            "ways": self.ways,
            "shots": 5,
            "queries": others,
            "inner_lr": 0.1,
            "meta_lr": {"pretrained": 1e-3, "oml": 3e-3}[found.algorithm],
            "meta_batch": 1,
            "filters": self.filters,
            "batch_norm": found.batch_norm,
            "validate_every": max(1, self.iterations // 5),
            "validation_episodes": 20,
        }

    # The report -------------------------------------------------------------------------------

    def report(self, records: Mapping[Cell, Record]) -> Report:
        """A row an arm; how accuracy falls with classes; what is left of each task."""
        arms = by_arm(records)
        figures = {"curve": curve(arms), "matrix": matrices(arms)}
        return Report([table(arms)], findings(arms), figures)


def alphabet(name: str) -> str:
    """The alphabet of a character of Omniglot; of other datasets, ten numbered classes together."""
    folder, slash, _ = name.rpartition("/")
    return folder if slash else name[:-1]


def representation(trained: Trained) -> Callable[[np.ndarray], Any]:
    """What the head sees of examples (n, …), compiled."""
    learner, params = trained.learner, trained.params

    def features(x: np.ndarray) -> Any:
        return learner.support_features(params, (x, None), 0)[0]

    return ac.jit(features, quiet=True)


# Tables and pictures --------------------------------------------------------------------------

MEASURES: Mapping[str, Callable[[Record], float]] = {
    "accuracy": lambda record: record["seen"][-1],
    "on learned drawings": lambda record: record["trained"],
    "just after each task": lambda record: float(np.diag(record["matrix"]).mean()),
    "backward transfer": lambda record: backward_transfer(np.array(record["matrix"])),
    "forgetting": lambda record: forgetting(np.array(record["matrix"])),
    "forward transfer": lambda record: forward_transfer(record["in_stream"], record["alone"]),
}
"""By the name of their column, of a cell."""


def table(arms: Mapping[str, Sequence[Record]]) -> Table:
    """Per cent."""
    rows = [
        [arm, *(percent(over_seeds([f(r) for r in found])) for f in MEASURES.values())]
        for arm, found in arms.items()
    ]
    for row, found in zip(rows, arms.values(), strict=True):
        row.append(f"{found[0]['rate']:g}")
    classes, tasks = _size(arms)
    return Table(
        f"After {classes} classes of {tasks} alphabets",
        ["arm", *MEASURES, "rate"],
        rows,
        "Per cent. Accuracy is on held-out drawings of all classes seen, among which an answer is "
        "chosen; losses are among all classes of the stream. Transfer and forgetting as in "
        "`metalearn/continual/measures.py`: forward transfer is the accuracy on a task just after "
        "it, among its own classes, less that of the same learner taught this task alone.",
    )


def _size(arms: Mapping[str, Sequence[Record]]) -> tuple[int, int]:
    classes = next(iter(arms.values()))[0]["classes"]
    return classes[-1], len(classes)


def curve(arms: Mapping[str, Sequence[Record]]) -> "Figure":
    """Accuracy on all classes seen so far, with a band from the lowest to the highest seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for arm, found in arms.items():
        values = 100 * np.array([record["seen"] for record in found])
        classes = found[0]["classes"]
        (line,) = axes.plot(classes, values.mean(axis=0), ".-", label=arm)
        axes.fill_between(
            classes, values.min(axis=0), values.max(axis=0), color=line.get_color(), alpha=0.2
        )
    axes.set(
        xlabel="classes seen, each drawing once", ylabel="accuracy on all of them, %", ylim=(0, 100)
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def matrices(arms: Mapping[str, Sequence[Record]]) -> "Figure":
    """Accuracy on each task (column) after each task (row), the mean over seeds."""
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(arms) // columns)
    figure = Figure(figsize=(3 * columns, 2.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (arm, found) in zip(grid.flat, arms.items(), strict=False):
        axes.axis("on")
        mean = 100 * np.mean([record["matrix"] for record in found], axis=0)
        hidden = np.ma.masked_array(mean, np.triu(np.ones_like(mean), 1) > 0)
        image = axes.imshow(hidden, vmin=0, vmax=100, cmap="viridis", interpolation="nearest")
        axes.set_title(arm, fontsize=9)
        axes.set(xlabel="task", ylabel="after task")
    figure.colorbar(image, ax=grid, label="accuracy, %")
    return figure


# Findings -------------------------------------------------------------------------------------


def findings(arms: Mapping[str, Sequence[Record]]) -> list[str]:
    """What the numbers say, beside what the papers do."""
    classes, _ = _size(arms)
    mean = lambda arm, name: float(np.mean([MEASURES[name](record) for record in arms[arm]]))
    best = lambda names: max(names, key=lambda arm: mean(arm, "accuracy"))
    said = []

    def compared(one: str, other: str, claim: str) -> None:
        if not {one, other} <= arms.keys():
            return
        a, b = mean(one, "accuracy"), mean(other, "accuracy")
        pairs = zip(arms[one], arms[other], strict=False)  # one may have more, as yet
        gains = over_seeds([first["seen"][-1] - second["seen"][-1] for first, second in pairs])
        verdict = "does not settle"
        if abs(gains.mean) > gains.half_width:
            verdict = "agrees with" if gains.mean > 0 else "is against"
        said.append(
            f"After {classes} classes `{one}` knows {100 * a:.1f} % and `{other}` {100 * b:.1f} %, "
            f"a difference of {percent(gains)} points, seed by seed. That {verdict} {claim}."
        )

    oml = "Javed & White 2019, where OML stays far above"
    compared("oml", "sgd", f"{oml} learning from scratch")
    compared("oml", "pretrained", f"{oml} pretraining")
    compared("oml", "pretrained-norm", "the same of networks with batch norm, which theirs lack")
    compared("oml", "pretrained-replay", "their finding that OML alone competes with replay")
    compared("la-maml", "replay", "Gupta et al. 2020, where La-MAML is above replay")
    compared("la-maml-2", "replay", "the same with second derivatives, which they leave out")
    compared("replay", "sgd", "both papers, where replay is above plain descent")
    said += reasons(arms)
    least = min(arms, key=lambda arm: mean(arm, "forgetting"))
    said.append(
        f"`{least}` forgets least, {100 * mean(least, 'forgetting'):.1f} points; "
        f"`{best(arms)}` knows most at the end."
    )
    return said


def _a_sum(record: Record) -> bool:
    """Whether a head learned so little at a time that nothing but its own class mattered."""
    return record["rate"] <= SMALL and record["in_stream"] == record["alone"]


def reasons(arms: Mapping[str, Sequence[Record]]) -> list[str]:
    """Why some numbers are not those of the papers."""
    said = []
    alike = [arm for arm, found in arms.items() if all(map(_a_sum, found))]
    if alike:
        names = " and ".join(f"`{arm}`" for arm in alike)
        said.append(
            f"{names} know most at rates of {SMALL:g} or less, and tell the classes of a task just "
            "as well in the stream as alone. Logits stay near 0 there, so that a head is each "
            "class's sum of features less a share of all: no step undoes another, and what an "
            "accuracy loses it loses to the number of classes."
        )
    if {"la-maml", "replay"} <= arms.keys():
        first, second = (
            over_seeds([MEASURES["just after each task"](r) for r in arms[arm]])
            for arm in ("la-maml", "replay")
        )
        if first.mean < second.mean:
            said.append(
                f"Just after a task `la-maml` knows {percent(first)} % of it and `replay` "
                f"{percent(second)} %: its gradient is taken where the look-ahead has learned the "
                "new class already, and is about the others. With its derivative through the "
                "look-ahead, `la-maml-2`, this is less so."
            )
    return said
