"""What a run has learned, read back to evaluate it on held-out tasks; `transfer` adapts it to new
ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import autograd_core as ac
from metalearn import checkpoints
from metalearn.algorithms import Algorithm
from metalearn.config import Config, algorithm_of
from metalearn.errors import OptionError, RunError
from metalearn.evaluation import intervals, scores_at_steps, steps_told
from metalearn.learner import Learner, Measure
from metalearn.normalisation import MODES, check_mode, has_averages
from metalearn.problems import Problem
from metalearn.runs import Run
from metalearn.tasks.errors import amount
from metalearn.tasks.placing import on_device
from metalearn.training import initial_state, model_of
from metalearn.yardsticks import yardstick_lines, yardsticks


class Trained(NamedTuple):
    """A run's initialisation, ready to adapt: see `load_trained`."""

    run: Run
    algorithm: Algorithm
    learner: Learner
    params: Any
    checkpoint: str  # "best" or "last"
    iteration: int
    steps: int  # inner steps to adapt by, where no others are asked for

    def on(self, device: str) -> "Trained":
        """The same on a device."""
        move = lambda tree: ac.tree_map(lambda x: ac.asarray(x, device=device), tree)
        averages = None if self.learner.averages is None else move(self.learner.averages)
        learner = replace(self.learner, averages=averages)
        return self._replace(learner=learner, params=move(self.params))

    @property
    def device(self) -> str:
        """Where the parameters lie."""
        return ac.tree_leaves(self.params)[0].device

    def about(self) -> dict[str, Any]:
        """What every result says of where it comes from, as JSON."""
        config = self.run.config
        return {
            "run": str(self.run.path),
            "checkpoint": self.checkpoint,
            "iteration": self.iteration,
            "algorithm": {
                "name": config.algorithm,
                "order": self.run.order,
                "settings": dict(config.settings),
            },
            "inner": {
                "steps_in_training": config.inner_steps,
                "rate": None if "inner_lr" in self.algorithm.without else config.inner_lr,
            },
            "batch_norm": {"mode": self.learner.mode, "meaning": MODES[self.learner.mode]},
            "dataset": self.run.record["dataset"],
            "split": self.run.record["split"],
            "training_seed": config.seed,
            "version": ac.__version__,
        }

    def steps_lines(self, steps: int) -> list[str]:
        """A line for people where so many inner steps are others than `--eval-steps` says."""
        most = self.run.config.eval_steps
        if steps != self.steps or steps == most:
            return []
        return [f"{steps} did best in validation, of 1 to {most}; --steps decides otherwise"]

    def describe(self) -> list[str]:
        """The same for people, a line each."""
        mode = self.learner.mode
        return [
            f"{self.run.config.algorithm} ({self.algorithm.describe()}); {self.checkpoint} "
            f"checkpoint, iteration {self.iteration:,}",
            f"batch norm: {mode} ({MODES[mode]})",
        ]


def load_trained(run: Run, checkpoint: str = "best", batch_norm: str | None = None) -> Trained:
    """The best (in validation) or the last parameters of a run.

    `batch_norm` is a mode to use in place of the one trained with; parameters without batch norm
    or running averages cannot get them afterwards.

    Raises `RunError` for a checkpoint that is missing, damaged, or of another model; `OptionError`
    for a mode that the run cannot have.
    """
    config = run.config
    mode = _mode(config.batch_norm, batch_norm)
    state = initial_state(config, model_of(config))
    if checkpoint == "last":
        tree, record = checkpoints.load(run.last, state._asdict())
    elif run.best.exists():
        like = {"params": state.params, "averages": state.averages}
        tree, record = checkpoints.load(run.best, like)
    else:
        raise RunError(
            f"{run.path}: no best checkpoint yet (validation comes every {config.validate_every} "
            "iterations); train further, or use --checkpoint last"
        )
    averages = tree["averages"] if has_averages(mode) else None
    learner = Learner(model_of(config), config.measure, mode, averages, ways=config.output_count)
    return Trained(
        run=run,
        algorithm=algorithm_of(config),
        learner=learner,
        params=tree["params"],
        checkpoint=checkpoint,
        iteration=record["iteration"],
        steps=_steps(config, record.get("steps")),
    )


def _steps(config: Config, best: int | None) -> int:
    """`--eval-steps` where they were asked for, else what did `best` in validation; there is none
    before the first one, and in the checkpoints of older versions."""
    return config.eval_steps if config.steps_given or best is None else best


def _mode(trained: str, wanted: str | None) -> str:
    mode = check_mode(wanted or trained)
    if mode != trained and ("none" in (mode, trained) or has_averages(mode)):
        raise OptionError(
            f"--batch-norm {mode}: this run was trained with {trained} and has nothing for it; "
            f"use {' or '.join(_possible(trained))}"
        )
    return mode


def _possible(trained: str) -> list[str]:
    """The modes of batch norm that a run can be used with."""
    return (
        ["none"] if trained == "none" else list(dict.fromkeys([trained, "transductive", "support"]))
    )


# Held-out tasks -------------------------------------------------------------------------------


def evaluate(
    trained: Trained,
    problem: Problem,
    episodes: int,
    steps: int,
    queries: int,
    part: str = "test",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    shots: int | None = None,
) -> dict[str, Any]:
    """Scores on episodes of a part of the split, before adaptation and after the inner steps that
    `steps_told` names; of `shots`, by default those of training.

    Returns a record for JSON; `scores` holds, for each number of steps, the mean over episodes and
    half the width of its 95 % interval, and `yardsticks`, of a table, what is reached without
    training. Raises `DataError` when the part cannot give such episodes.
    """
    config, measure, told = trained.run.config, problem.measure, steps_told(steps)
    shots = config.shots if shots is None else shots
    sampler = problem.sampler(part, shots, queries, seed)
    found = scores_at_steps(
        trained.algorithm,
        trained.learner,
        trained.params,
        on_device(sampler, trained.device),
        episodes,
        told,
        progress,
        config.jit,
    )
    return {
        **trained.about(),
        "task": replace(config, shots=shots).task_name,
        "part": part,
        "episodes": episodes,
        "ways": None if config.is_regression else config.output_count,
        "shots": shots,
        "queries": queries,
        "seed": seed,
        "measure": measure.name,
        "scores": [
            {"steps": step, "mean": interval.mean, "half_width_95": interval.half_width}
            for step, interval in zip(told, intervals(found), strict=True)
        ],
        "yardsticks": yardsticks(problem, sampler, episodes),
    }


def evaluation_lines(trained: Trained, problem: Problem, result: dict[str, Any]) -> list[str]:
    """A record of `evaluate` for people."""
    text = problem.measure.text
    queries = amount(result["queries"], "query", "queries")
    per_class = "" if result["ways"] is None else " a class"
    lines = [
        f"{result['task']}: {result['episodes']} episodes of {problem.describe(result['part'])}, "
        f"{queries}{per_class}",
        *trained.describe(),
        *_rotations(problem),
        f"{problem.measure.name}{_unit(problem)}, mean ± 95 % interval:",
    ]
    for row in result["scores"]:
        steps = row["steps"]
        when = trained.algorithm.unadapted if steps == 0 else f"after inner step {steps}"
        lines.append(f"  {when:20s} {text(row['mean']):>8s} ± {text(row['half_width_95'])}")
    if result["yardsticks"]:
        reached = max((line["iteration"] for line in trained.run.metrics.read()), default=0)
        lines += yardstick_lines(problem.measure, result, reached)
    return lines + _caution(trained, problem.measure, result["scores"])


def _caution(trained: Trained, measure: Measure, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line where adaptation does harm, which nobody should find out by its predictions."""
    first, last = rows[0], rows[-1]
    if first["steps"] or not last["steps"] or "inner_lr" in trained.algorithm.without:
        return []
    chance = first["half_width_95"] + last["half_width_95"]
    if not math.isfinite(last["mean"]):
        harm = f"diverges in {amount(last['steps'], 'inner step')}"
    elif measure.better(first["mean"], last["mean"]) and abs(first["mean"] - last["mean"]) > chance:
        harm = f"makes it worse in {amount(last['steps'], 'inner step')}"
    else:
        return []
    rate = trained.run.config.inner_lr
    return [
        f"note: adaptation {harm}: train with a lower --inner-lr than {rate:g}, or for longer, "
        "before you trust predictions"
    ]


def _unit(problem: Problem) -> str:
    """Of errors, where it is not that of the targets."""
    unit = getattr(problem, "unit", None)
    return "" if unit is None else f" in units of {unit}"


def _rotations(problem: Problem) -> list[str]:
    """Which classes count: that of Omniglot's rotated characters changes what a score means."""
    if len(getattr(getattr(problem, "dataset", None), "rotations", ())) < 2:
        return []
    upright = getattr(problem, "upright", False)
    return [f"classes {'upright' if upright else 'in four rotations, each a class of its own'}"]
