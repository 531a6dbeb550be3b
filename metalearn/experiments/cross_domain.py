"""Trained on some domains, tested on others that were never seen.

Triantafillou et al. 2020, "Meta-Dataset: a dataset of datasets for learning to learn from few
examples", https://arxiv.org/abs/1903.03096; Chen et al. 2019, "A closer look at few-shot
classification", https://arxiv.org/abs/1904.04232, section 4.4, where the domains differ.

Every arm learns from the same classes of handwriting, and is tested on other alphabets of Omniglot,
on scikit-learn's digits, and on clothes. Labels and examples of the test domains are not looked at
but in the test episodes, which are the same for every arm and seed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from metalearn.evaluation import Interval
from metalearn.experiments.base import Cell, Experiment, Record, by_arm
from metalearn.experiments.report import Report, Table, over_seeds, percent
from metalearn.experiments.workspace import Workspace
from metalearn.problems import Classification, CrossDomain, Problem, other_domain
from metalearn.tasks import DataError
from metalearn.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOTS = (1, 5)
UNSEEN = ("digits", "fashion-mnist")
HOME = ("omniglot", "glyphs")
NAMES = {
    "glyphs": "glyphs, new classes",
    "omniglot": "Omniglot, other alphabets",
    "digits": "digits",
    "fashion-mnist": "Fashion-MNIST",
}
MODES = ("transductive", "support")
PUBLISHED = {"pretrained": 65.57, "protonet": 62.02, "maml": 51.34}
"""Chen et al. 2019, figure 4: 5-way 5-shot, from mini-ImageNet to birds, in per cent."""

ARMS: Mapping[str, Mapping[str, Any]] = {
    "maml": {"eval_steps": 5},
    "protonet": {},
    "protomaml": {"eval_steps": 5},
    "pretrained": {},
    "scratch": {"inner_lr": 0.5},  # of 0.01, 0.1 and 0.5 the best on new glyphs
}
"""Algorithms, with what they need beside their defaults."""


@dataclass(frozen=True)
class CrossDomainExperiment(Experiment):
    """5-way, 1 and 5 examples a class; `iterations` of meta-training by arm."""

    name: ClassVar[str] = "cross-domain"
    about: ClassVar[str] = "trained on handwriting, tested on domains never seen"

    seeds: int = 5
    episodes: int = 600
    filters: int = 64
    iterations: Mapping[str, int] | None = None
    protonet_ways: int = 20  # in training
    scratch_steps: int = 100

    @classmethod
    def quick(cls) -> Self:
        return cls(
            seeds=3,
            episodes=120,
            filters=32,
            iterations={"maml": 1200, "protonet": 3000, "pretrained": 2000},
            scratch_steps=20,
        )

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(arm for arm in ARMS if self._iterations(arm) is not None)

    def _iterations(self, arm: str) -> int | None:
        """Of an arm; None where it is left out."""
        if arm == "scratch":
            return 1
        return (self.iterations or dict.fromkeys(ARMS, 20_000)).get(arm)

    def compute(self, cell: Cell, workspace: Workspace) -> Record:
        trained, problem = self._trained(cell, workspace)
        domains, absent = self._domains(trained, problem, workspace)

        def score(domain: Problem, shots: int, mode: str) -> float:
            return workspace.score(trained, domain, self.episodes, shots, mode).mean

        scores = {
            name: {
                f"{shots}-shot, {mode}": score(domain, shots, mode)
                for shots in SHOTS
                for mode in MODES
            }
            for name, domain in domains.items()
        }
        return {"scores": scores, "absent": absent, "iterations": trained.iteration}

    def _trained(self, cell: Cell, workspace: Workspace) -> tuple[Trained, Problem]:
        budget = {} if cell.arm == "scratch" else {"iterations": self._iterations(cell.arm)}
        own = {
            "scratch": {"eval_steps": self.scratch_steps},
            "protonet": {"train_ways": self.protonet_ways},
        }.get(cell.arm, {})
        return workspace.trained(
            cell.name,
            "+".join(HOME),
            split="alphabets",
            algorithm=cell.arm,
            filters=self.filters,
            seed=cell.seed,
            validation_episodes=60,
            **{**ARMS[cell.arm], **budget, **own},
        )

    def _domains(
        self, trained: Trained, problem: Problem, workspace: Workspace
    ) -> tuple[dict[str, Classification], dict[str, str]]:
        """What to test on, by name, and why others are left out."""
        assert isinstance(problem, CrossDomain)
        config = trained.run.config
        found = {
            name: Classification(domain.dataset, domain.split, config.ways, upright=True)
            for name, domain in problem.domains.train.items()
        }
        absent = {}
        for name in UNSEEN:
            try:
                found[name] = other_domain(config, name, workspace.data_of(name))
            except DataError as error:
                absent[name] = str(error)
                workspace.display.line(f"  left out: {error}")
        return found, absent

    # Report -----------------------------------------------------------------------------------

    def report(self, records: Mapping[Cell, Record]) -> Report:
        scores = _intervals(records)
        tables = [_table(scores, mode) for mode in MODES]
        absent: dict[str, str] = next(iter(records.values()))["absent"]
        findings = [*_findings(scores), *(f"left out: {why}" for why in absent.values())]
        return Report(tables, findings, {"accuracy": _picture(scores)})


Scores = Mapping[str, Mapping[str, Mapping[str, Interval]]]
"""By domain, then by "1-shot, support" and so on, then by arm."""


def _intervals(records: Mapping[Cell, Record]) -> Scores:
    arms = by_arm(records)
    first = next(iter(records.values()))["scores"]
    return {
        domain: {
            task: {
                arm: over_seeds([record["scores"][domain][task] for record in of_arm])
                for arm, of_arm in arms.items()
            }
            for task in first[domain]
        }
        for domain in first
    }


def _columns(scores: Scores, mode: str) -> Iterator[tuple[str, Mapping[str, Interval]]]:
    for domain, tasks in scores.items():
        for shots in SHOTS:
            yield f"{NAMES[domain]}, {shots}-shot", tasks[f"{shots}-shot, {mode}"]


def _table(scores: Scores, mode: str) -> Table:
    columns = list(_columns(scores, mode))
    arms = list(columns[0][1])
    meaning = {
        "transductive": "batch norm of the whole query set (transductive)",
        "support": "each query judged alone (inductive)",
    }
    rows = [[arm, *(percent(found[arm]) for _, found in columns)] for arm in arms]
    title = f"Accuracy in %, 5-way, trained on {' and '.join(HOME)}; {meaning[mode]}"
    return Table(title, ["algorithm", *(name for name, _ in columns)], rows)


def _findings(scores: Scores) -> list[str]:
    """What the numbers say beside the papers."""
    found = []
    for domain in scores:
        each = scores[domain][f"5-shot, {MODES[1]}"]
        order = sorted(each, key=lambda arm: -each[arm].mean)
        ranked = ", ".join(f"{arm} {100 * each[arm].mean:.1f}" for arm in order)
        found.append(f"{NAMES[domain]}, 5-shot, inductive, from the best: {ranked}.")
    if not PUBLISHED.keys() <= _some_scores(scores).keys():
        return found  # some arms alone were asked for
    numbers = ", ".join(f"{arm} {value:g}" for arm, value in PUBLISHED.items())
    for domain in (domain for domain in UNSEEN if domain in scores):
        each = scores[domain][f"5-shot, {MODES[1]}"]
        best = max((each["maml"], each["protonet"]), key=lambda interval: interval.mean)
        found.append(
            f"Chen et al. 2019 found fine-tuning ahead where domains differ ({numbers} % from "
            f"mini-ImageNet to birds); on {NAMES[domain]} {_compared(each['pretrained'], best)}."
        )
    return found


def _some_scores(scores: Scores) -> Mapping[str, Interval]:
    """Any one task's scores."""
    return next(iter(next(iter(scores.values())).values()))


def _compared(one: Interval, other: Interval) -> str:
    """Whether the first is ahead, in words."""
    apart = abs(one.mean - other.mean) > one.half_width + other.half_width
    if one.mean <= other.mean:
        return "it is not so here" + ("" if apart else ", by less than the intervals")
    return "it is so here" + ("" if apart else ", by less than the intervals")


def _picture(scores: Scores) -> "Figure":
    """Bars of each arm in each domain, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 + 2.1 * len(scores), 5.6), layout="constrained")
    for axes, shots in zip(figure.subplots(2, 1, sharex=True), SHOTS, strict=True):
        arms = list(next(iter(scores.values()))[f"{shots}-shot, support"])
        width = 0.8 / len(arms)
        for place, arm in enumerate(arms):
            found = [scores[domain][f"{shots}-shot, support"][arm] for domain in scores]
            at = [number + (place - (len(arms) - 1) / 2) * width for number in range(len(scores))]
            halves = [min(100 * each.half_width, 100) for each in found]
            axes.bar(at, [100 * e.mean for e in found], width, yerr=halves, capsize=2, label=arm)
        axes.axhline(20, color="black", linewidth=0.8, linestyle=":")
        axes.set(ylabel=f"{shots}-shot accuracy in %", ylim=(0, 100))
        axes.grid(alpha=0.3, axis="y")
        axes.set_xticks(range(len(scores)), [NAMES[domain] for domain in scores])
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    figure.suptitle(
        "5-way accuracy of arms trained on handwriting, each query judged alone; dotted: chance",
        fontsize=9,
    )
    return figure
