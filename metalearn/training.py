"""The training loop: meta-batches, meta-updates, validation, checkpoints.

Nothing is random but the initial parameters and the tasks, and both are functions of the seed: the
tasks of iteration i are the same whatever came before. So a run that goes on from a checkpoint
computes what it would have computed, to the last bit, on the same machine with the same number of
threads. (A budget in minutes ends at another iteration each time; give iterations to compare.)
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

import autograd_core as ac
from autograd_core import optim, random
from metalearn import checkpoints
from metalearn.algorithms import Algorithm
from metalearn.config import Config, algorithm_of
from metalearn.errors import DivergedError
from metalearn.evaluation import Interval, intervals, scores_at_steps
from metalearn.learner import Learner
from metalearn.models import Model, conv4, mlp
from metalearn.normalisation import has_averages, initial_averages, updated
from metalearn.problems import Problem
from metalearn.runs import Run
from metalearn.tasks import Task

SECONDS_BETWEEN_SAVES = 10.0
LINES_BETWEEN_VALIDATIONS = 25


class State(NamedTuple):
    """What meta-training changes: the initialisation, Adam's state, batch norm's averages."""

    params: Any
    optimizer: Any
    averages: Any


class Update(NamedTuple):
    """A meta-update's outcome: the mean query loss and score after adaptation, over tasks."""

    state: State
    loss: float
    score: float


@dataclass(frozen=True)
class Status:
    """How training stands, for people. `loss` and `score` are means since the last line."""

    iteration: int
    seconds: float
    fraction: float  # of the budget that is spent
    per_second: float  # meta-updates
    seconds_left: float
    loss: float
    score: float


class Watcher(Protocol):
    """Is told how training goes."""

    def status(self, status: Status) -> None:
        """After each meta-update."""

    def validating(self, done: int, total: int) -> None:
        """While validation episodes are computed."""

    def validated(self, status: Status, score: Interval, best: bool) -> None:
        """After each validation; `best` when the score is the best so far."""

    def compiled(self, program: ac.Explanation) -> None:
        """Before the first meta-update, where they are compiled."""


class Silent:
    """Says nothing of how training goes."""

    def status(self, status: Status) -> None: ...
    def validating(self, done: int, total: int) -> None: ...
    def validated(self, status: Status, score: Interval, best: bool) -> None: ...
    def compiled(self, program: ac.Explanation) -> None: ...


def model_of(config: Config) -> Model:
    """The network that a configuration names."""
    if config.is_regression:
        return mlp(1, 1, config.hidden)
    channels, size = config.channels, config.image_size
    if config.model == "mlp":
        return mlp(channels * size * size, config.ways, config.hidden)
    pool = {"auto": None, "stride": False, "max-pool": True}[config.pooling]
    normalise = config.batch_norm != "none"
    return conv4(channels, size, config.ways, config.filters, normalise, pool)


def initial_state(config: Config, model: Model) -> State:
    """The state before the first meta-update: a function of the configuration and the seed."""
    params = model.init(random.key(config.seed))
    averages = initial_averages(config.batch_norm, model, config.inner_steps)
    return State(params, optim.adam(config.meta_lr).init(params), averages)


# One meta-update ------------------------------------------------------------------------------


def meta_gradient(
    algorithm: Algorithm,
    learner: Learner,
    params: Any,
    tasks: Task,
    tasks_per_chunk: int | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Mean query loss and score of a meta-batch, the meta-gradient, and batch norm's statistics.

    With `tasks_per_chunk` that many tasks are computed at a time, which bounds the memory; the sum
    then associates differently, so results agree to rounding only.
    """

    def mean_loss(params: Any, tasks: Task) -> tuple[Any, Any]:
        each = ac.vmap(lambda task: algorithm.meta_loss(learner, params, task))(tasks)
        losses, (scores, statistics) = each
        means = ac.tree_map(lambda x: ac.mean(x, axis=0), (scores, statistics))
        return ac.mean(losses), means

    count = len(tasks.support[0])
    size = tasks_per_chunk or count
    total: Any = None
    for first in range(0, count, size):
        part = ac.tree_map(lambda x, i=first: x[i : i + size], tasks)
        (loss, (score, seen)), gradient = ac.value_and_grad(mean_loss, has_aux=True)(params, part)
        share = len(part.support[0]) / count
        found = (loss, score, gradient, seen)
        found = found if share == 1 else ac.tree_map(lambda x, s=share: x * s, found)
        total = found if total is None else ac.tree_map(lambda a, b: a + b, total, found)
    return total


Step = Callable[[State, Task, float], tuple[State, Any, Any]]


def meta_step(algorithm: Algorithm, learner: Learner, config: Config) -> Step:
    """The function `(state, tasks, rate)` → the state after one step of Adam on a meta-batch, and
    the mean query loss and score; compiled, if the configuration does not say otherwise.

    A compiled step takes its tasks one by one on each thread, so `tasks_per_chunk` is for eager
    ones: a compiled one gives the same bits whatever it is.
    """
    tasks_per_chunk = None if config.jit else config.tasks_per_chunk

    def step(state: State, tasks: Task, rate: float) -> tuple[State, Any, Any]:
        found = meta_gradient(algorithm, learner, state.params, tasks, tasks_per_chunk)
        loss, score, gradient, seen = found
        updates, optimizer = optim.adam(rate).update(gradient, state.optimizer, state.params)
        averages = updated(state.averages, seen) if has_averages(learner.mode) else ()
        return State(optim.apply(state.params, updates), optimizer, averages), loss, score

    return ac.jit(step, quiet=True) if config.jit else step


def meta_update(step: Step, state: State, tasks: Task, rate: float) -> Update:
    """A step's outcome, with numbers for people."""
    state, loss, score = step(state, tasks, rate)
    return Update(state, float(loss), float(score))


# The loop -------------------------------------------------------------------------------------


class _Stopped(Exception):
    """Training was told to stop; what is not finished is done again when it goes on."""


class Trainer:
    """Trains a run from where its last checkpoint stands to the end of its budget.

    Raises `RunError` when that checkpoint cannot be used.
    """

    def __init__(self, run: Run, problem: Problem, watcher: Watcher | None = None):
        self.run, self.config, self.watcher = run, run.config, watcher or Silent()
        config = self.config
        self.algorithm = algorithm_of(config)
        self.model = model_of(config)
        self.learner = Learner(self.model, problem.measure, config.batch_norm)
        self.step = meta_step(self.algorithm, self.learner, config)
        self.sampler = problem.sampler("train", config.shots, config.queries, config.seed)
        self.validation = validation_sampler(problem, config)
        self.state = initial_state(config, self.model)
        self.iteration, self.validated = 0, 0
        self.best: dict[str, Any] | None = None
        self.sums = [0.0, 0.0, 0]  # of loss and score, and how many, since the last line
        self._seconds_before = 0.0
        run.check_whole()
        if run.last.exists():
            self._restore()
        self._started = self._saved = time.monotonic()
        self._first = self.iteration

    def _restore(self) -> None:
        tree, record = checkpoints.load(self.run.last, self.state._asdict())
        self.state = State(**tree)
        self.iteration, self.validated = record["iteration"], record["validated"]
        self.best = record["best"]
        self.sums, self._seconds_before = record["sums"], record["seconds"]
        self.run.metrics.truncate(self.iteration)

    def train(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the budget is spent (True), or `stop()` says to (False). Saves either way.

        Raises `DivergedError` on a loss or parameter that is not finite, `RunError` when the run
        cannot be written; checkpoints are then intact.
        """
        if self.iteration == 0:
            self.save()
        self._tell_of_program()
        try:
            if self.iteration:
                self._validate_when_due(stop)  # it may have been interrupted
            while self.fraction < 1 or self.iteration == 0:
                if stop():
                    raise _Stopped
                self._advance()
                self._validate_when_due(stop)
                if time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES:
                    self.save()
            self._validate(stop)
        except _Stopped:
            self.save()
            return False
        return True

    def _tell_of_program(self) -> None:
        """Compile the step, and tell what it takes, before training starts."""
        if not isinstance(self.step, ac.jit):
            return
        tasks = self.sampler.sample(self.iteration, range(self.config.meta_batch))
        try:
            self.watcher.compiled(self.step.explain(self.state, tasks, self.rate))
        except ac.AutogradError:
            return  # there is no program without Numba: the step runs operation by operation

    def _validate_when_due(self, stop: Callable[[], bool]) -> None:
        if self.iteration % self.config.validate_every == 0:
            self._validate(stop)

    @property
    def seconds(self) -> float:
        """Spent in training so far, earlier sessions included."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def fraction(self) -> float:
        """The part of the budget that is spent: of iterations or minutes, whichever is more."""
        config = self.config
        done = self.iteration / config.iterations if config.iterations else 0.0
        spent = self.seconds / (60 * config.minutes) if config.minutes else 0.0
        return max(done, spent)

    @property
    def rate(self) -> float:
        """Adam's rate now: constant, or half a cosine wave over the budget."""
        if self.config.schedule == "constant":
            return self.config.meta_lr
        return self.config.meta_lr * 0.5 * (1 + math.cos(math.pi * min(self.fraction, 1.0)))

    def _advance(self) -> None:
        config, rate = self.config, self.rate
        tasks = self.sampler.sample(self.iteration, range(config.meta_batch))
        # What is not finite is noticed below, and told in our words.
        with np.errstate(all="ignore"):
            update = meta_update(self.step, self.state, tasks, rate)
        self._check_finite(update)
        self.state, self.iteration = update.state, self.iteration + 1
        self.sums = [self.sums[0] + update.loss, self.sums[1] + update.score, self.sums[2] + 1]
        status = self.status
        self.watcher.status(status)
        if self.iteration % max(1, config.validate_every // LINES_BETWEEN_VALIDATIONS) == 0:
            self._write_line(status, rate)

    def _check_finite(self, update: Update) -> None:
        arrays = map(np.asarray, ac.tree_leaves(update.state.params))
        if math.isfinite(update.loss) and all(np.isfinite(a).all() for a in arrays):
            return
        what = (
            f"the loss is {update.loss}"
            if not math.isfinite(update.loss)
            else "a parameter is not finite"
        )
        raise DivergedError(
            f"iteration {self.iteration + 1}: {what}; training has diverged: lower --inner-lr "
            f"({self.config.inner_lr}) or --meta-lr ({self.config.meta_lr}) in a new run; "
            f"{self.run.path} is intact as of its last checkpoint"
        )

    @property
    def status(self) -> Status:
        seconds, fraction = self.seconds, self.fraction
        here, done = time.monotonic() - self._started, self.iteration - self._first
        per_second = done / here if here > 0 else 0.0
        left = seconds * (1 - fraction) / fraction if fraction > 0 else math.inf
        count = max(self.sums[2], 1)
        return Status(
            iteration=self.iteration,
            seconds=seconds,
            fraction=fraction,
            per_second=per_second,
            seconds_left=max(left, 0.0),
            loss=self.sums[0] / count,
            score=self.sums[1] / count,
        )

    def _write_line(self, status: Status, rate: float) -> None:
        self.run.metrics.add(
            {
                "iteration": status.iteration,
                "seconds": round(status.seconds, 3),
                "loss": status.loss,
                "score": status.score,
                "rate": rate,
            }
        )
        self.sums = [0.0, 0.0, 0]

    def _validate(self, stop: Callable[[], bool]) -> None:
        """Validate, unless that is done for this iteration. Raises `_Stopped` when told to."""
        if self.validated == self.iteration:
            return

        def progress(done: int, total: int) -> None:
            if stop():
                raise _Stopped
            self.watcher.validating(done, total)

        status, averages = self.status, self.state.averages
        learner = Learner(
            self.model,
            self.learner.measure,
            self.learner.mode,
            averages if has_averages(self.learner.mode) else None,
        )
        scores = scores_at_steps(
            self.algorithm,
            learner,
            self.state.params,
            self.validation,
            self.config.validation_episodes,
            [self.config.eval_steps],
            progress,
            self.config.jit,
        )
        self._record_validation(status, intervals(scores)[0])

    def _record_validation(self, status: Status, score: Interval) -> None:
        best = self.learner.measure.better(score.mean, self.best["score"] if self.best else None)
        self.run.metrics.add(
            {
                "iteration": status.iteration,
                "seconds": round(status.seconds, 3),
                "validation": score._asdict(),
                "best": best,
            }
        )
        if best:
            self.best = {"score": score.mean, "iteration": self.iteration}
            self._save_best(score)
        self.validated = self.iteration
        self.save()
        self.watcher.validated(status, score, best)

    def _save_best(self, score: Interval) -> None:
        tree = {"params": self.state.params, "averages": self.state.averages}
        record = {"iteration": self.iteration, "validation": score._asdict()}
        checkpoints.save(self.run.best, tree, record)

    def save(self) -> None:
        """Write the last checkpoint, and before it the metrics up to it. Raises `RunError`."""
        self.run.metrics.flush()
        record = {
            "iteration": self.iteration,
            "validated": self.validated,
            "seconds": self.seconds,
            "best": self.best,
            "sums": self.sums,
        }
        checkpoints.save(self.run.last, self.state._asdict(), record)
        self._saved = time.monotonic()


def validation_sampler(problem: Problem, config: Config) -> Any:
    """Validation tasks, the same at every validation and for every seed of training."""
    return problem.sampler("validation", config.shots, config.queries, 0)
