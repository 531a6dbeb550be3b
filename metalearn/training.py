"""The training loop: meta-batches, meta-updates, validation, checkpoints.

Nothing is random but the initial parameters and the tasks, and both are functions of the seed: the
tasks of iteration i are the same whatever came before. So a run that goes on from a checkpoint
computes what it would have computed, to the last bit, on the same machine with the same number of
threads. (A budget in minutes ends at another iteration each time; give iterations to compare.)

Lines of metrics have the `iteration`, the `seconds` of training up to it, and those `spent` on each
of `ACTIVITIES` since the line before. Every few meta-updates, and for these, one says

    loss, score      means over tasks, on query sets after adaptation
    gradient_norm    mean Euclidean norm of the meta-gradient, before it is clipped
    rate             the optimiser's

and each validation

    validation       the mean score after the last inner step, and half its 95 % interval's width
    best             whether it is the best so far
    scores           the same for 0, 1, … inner steps
    probe            see `probes`
    rates            learned inner rates by layer, where there are such: `probes.rates_of`

and a number that is not finite is null. What is measured at validations changes nothing of
training.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

import autograd_core as ac
from autograd_core import optim, random
from metalearn import checkpoints
from metalearn.algorithms import Algorithm
from metalearn.catalogue import kind_of
from metalearn.config import Config, algorithm_of
from metalearn.errors import DeviceFailure, DivergedError
from metalearn.evaluation import (
    Interval,
    intervals,
    scores_at_steps,
    steps_of_best,
    steps_told,
)
from metalearn.learner import Learner
from metalearn.models import Model, conv4, mlp
from metalearn.normalisation import has_averages, initial_averages, updated
from metalearn.probes import Prober, rates_of
from metalearn.problems import Problem
from metalearn.runs import Run
from metalearn.tasks import Task
from metalearn.tasks.placing import AHEAD, chosen_device, on_device

MOMENTUM = 0.9
SECONDS_BETWEEN_SAVES = 10.0
SECONDS_BETWEEN_LOOKS = 0.25
"""At what a GPU has computed: to read a number from it is to wait until it is done."""
LINES_BETWEEN_VALIDATIONS = 25
ACTIVITIES = ("sampling", "updating", "evaluating")
"""What time is spent on, as metrics tell it; the rest is compiling, saving and telling. Where a
thread samples ahead of a GPU, sampling is waiting for it, and updating is waiting for the GPU."""


class State(NamedTuple):
    """What meta-training changes: the algorithm's meta-parameters (for MAML those of the model),
    the optimiser's state, batch norm's averages."""

    params: Any
    optimizer: Any
    averages: Any


class Update(NamedTuple):
    """A meta-update's outcome: the mean query loss and score after adaptation, over tasks, and the
    norm of the meta-gradient before it is clipped, numbers that may still be on their way from a
    GPU."""

    state: State
    loss: Any
    score: Any
    norm: Any


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
    return algorithm_of(config).network(_network(config))


def _network(config: Config) -> Model:
    shape, outputs = config.input_shape, config.output_count
    if config.model == "mlp":
        return mlp(math.prod(shape), outputs, config.hidden)
    channels, size, _ = shape
    pool = {"auto": None, "stride": False, "max-pool": True}[config.pooling]
    normalise = config.batch_norm != "none"
    return conv4(channels, size, outputs, config.filters, normalise, pool)


def initial_state(config: Config, model: Model) -> State:
    """The state before the first meta-update: a function of the configuration and the seed."""
    meta = algorithm_of(config).init(model, random.key(config.seed))
    averages = initial_averages(config.batch_norm, model, config.inner_steps)
    optimizer = meta_optimizer(config.meta_optimizer, config.meta_clip)(config.meta_lr)
    return State(meta, optimizer.init(meta), averages)


def meta_optimizer(name: str, clip: float | None) -> Callable[[Any], optim.Optimizer]:
    """The optimiser of that name, as a function of its rate; `clip` is the largest entry of a
    gradient that it takes as it is."""
    optimizers: Mapping[str, Callable[[Any], optim.Optimizer]] = {
        "adam": optim.adam,
        "sgd": optim.sgd,
        "momentum": partial(optim.sgd, momentum=MOMENTUM),
    }
    make = optimizers[name]
    if clip is None:
        return make
    return lambda rate: optim.chain(optim.clip_by_value(clip), make(rate))


# One meta-update ------------------------------------------------------------------------------


Gradient = Callable[..., tuple[Any, Any, Any, Any]]


def mean_gradient(algorithm: Algorithm, learner: Learner) -> Gradient:
    """The function (meta, tasks, progress) → mean query loss and score of some tasks, the
    meta-gradient, and batch norm's statistics; `progress` is the share of training done."""

    def mean_loss(meta: Any, tasks: Task, progress: Any) -> tuple[Any, Any]:
        now = replace(learner, progress=progress)
        each = ac.vmap(lambda task: algorithm.meta_loss(now, meta, task))(tasks)
        losses, (scores, statistics) = each
        means = ac.tree_map(lambda x: ac.mean(x, axis=0), (scores, statistics))
        return ac.mean(losses), means

    def found(meta: Any, tasks: Task, progress: Any = 1.0) -> tuple[Any, Any, Any, Any]:
        outcome, gradient = ac.value_and_grad(mean_loss, has_aux=True)(meta, tasks, progress)
        loss, (score, seen) = outcome
        return loss, score, gradient, seen

    return found


def in_slices(gradient: Gradient, size: int, wrap: Callable[[Any], Any]) -> Gradient:
    """The same, `size` tasks at a time, which bounds the memory. The sum then associates
    differently, so that results agree to rounding only.

    Args:
        gradient: of a slice.
        wrap: `jit` or nothing, for the sum.
    """

    def plus(total: Any, found: Any, share: float) -> Any:
        return ac.tree_map(lambda a, b: a + b * share, total, found)

    add = wrap(plus)

    def sliced(meta: Any, tasks: Task, progress: Any = 1.0) -> tuple[Any, Any, Any, Any]:
        count = len(tasks.support[0])
        total: Any = None
        for first in range(0, count, size):
            part = ac.tree_map(lambda x, i=first: x[i : i + size], tasks)
            found = gradient(meta, part, progress)
            share = len(part.support[0]) / count
            total = ac.tree_map(ac.zeros_like, found) if total is None else total
            total = add(total, found, share)
        return total

    return sliced


Step = Callable[[State, Task, float, float], tuple[State, Any, Any, Any]]


def meta_step(algorithm: Algorithm, learner: Learner, config: Config, device: str = "cpu") -> Step:
    """The function `(state, tasks, rate, progress)` → the state after one step of the optimiser on
    a meta-batch, the mean query loss and score, and the norm of the meta-gradient; compiled, if the
    configuration does not say otherwise. `progress` is the share of training that is done.

    On the CPU a compiled step takes its tasks one by one on each thread, so that slices would
    change nothing, and are left out. On a GPU each slice, the sums and the update are programs.
    """
    gradient = mean_gradient(algorithm, learner)
    optimizer_of = meta_optimizer(config.meta_optimizer, config.meta_clip)

    def update(state: State, found: Any, rate: float) -> tuple[State, Any, Any, Any]:
        loss, score, gradient, seen = found
        optimizer = optimizer_of(rate)
        updates, memory = optimizer.update(gradient, state.optimizer, state.params)
        averages = updated(state.averages, seen) if has_averages(learner.mode) else ()
        after = State(optim.apply(state.params, updates), memory, averages)
        return after, loss, score, optim.global_norm(gradient)

    def step(state: State, tasks: Task, rate: float, progress: float = 1.0) -> tuple:
        return update(state, gradient(state.params, tasks, progress), rate)

    wrap: Callable = partial(ac.jit, quiet=True) if config.jit else lambda f: f
    if config.task_slice is None or (config.jit and device == "cpu"):
        return wrap(step)
    gradient, update = in_slices(wrap(gradient), config.task_slice, wrap), wrap(update)
    return step


def meta_update(
    step: Step, state: State, tasks: Task, rate: float, progress: float = 1.0
) -> Update:
    """A step's outcome."""
    return Update(*step(state, tasks, rate, progress))


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
        self.learner = Learner(
            self.model,
            problem.measure,
            config.batch_norm,
            ways=config.train_ways or config.output_count,
        )
        self.device = chosen_device(config.device)
        self._steps: dict[Algorithm, Step] = {}
        sampler = self.algorithm.training_sampler(problem, config)
        self.sampler = on_device(sampler, self.device, AHEAD)
        self.validation = on_device(validation_sampler(problem, config), self.device)
        self.prober = Prober(self.learner, on_device(sampler, self.device), config)
        self.state = initial_state(config, self.model)
        self._unread: list[tuple[Any, ...]] = []  # numbers of the last meta-updates
        self._looked = 0.0
        self.iteration, self.validated = 0, 0
        self.best_steps: int | None = None  # inner steps, in the last validation
        self.best: dict[str, Any] | None = None
        # Since the last line of training: sums of loss, score and gradient norm, and how many.
        self.sums = [0.0, 0.0, 0.0, 0]
        self.spent = dict.fromkeys(ACTIVITIES, 0.0)  # seconds since the last line of any kind
        self._seconds_before = 0.0
        run.check_whole()
        if run.last.exists():
            self._restore()
        self.state = self._placed(self.state)
        self._started = self._saved = time.monotonic()
        self._first = self.iteration

    @property
    def step(self) -> Step:
        """The meta-step of now: of the algorithm as it is at this share of training."""
        algorithm = self._algorithm_now
        if algorithm not in self._steps:
            self._steps[algorithm] = meta_step(algorithm, self.learner, self.config, self.device)
        return self._steps[algorithm]

    @property
    def _algorithm_now(self) -> Algorithm:
        return self.algorithm.at(min(self.fraction, 1.0))

    def _placed(self, tree: Any) -> Any:
        return ac.tree_map(lambda x: ac.asarray(x).to_device(self.device), tree)

    def _restore(self) -> None:
        tree, record = checkpoints.load(self.run.last, self.state._asdict())
        self.state = State(**tree)
        self.iteration, self.validated = record["iteration"], record["validated"]
        self.best, self.best_steps = record["best"], record.get("steps")
        self._seconds_before = record["seconds"]
        *sums, count = record["sums"]
        # Older versions have not added up norms; what was not finite is null there.
        loss, score, norm = (math.nan if x is None else x for x in [*sums, None][:3])
        self.sums = [loss, score, norm, count]
        self.spent |= record.get("spent", {})
        self.run.metrics.truncate(self.iteration)

    def train(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the budget is spent (True), or `stop()` says to (False). Saves either way.

        Raises `DivergedError` on a loss or parameter that is not finite, `RunError` when the run
        cannot be written, `DeviceFailure` when a GPU fails or has not enough memory; checkpoints
        are then intact.
        """
        try:
            return self._train(stop)
        except ac.DeviceError as error:
            raise self._failed(error) from error
        finally:
            close = getattr(self.sampler, "close", None)
            if close is not None:
                close()

    def _failed(self, error: ac.DeviceError) -> DeviceFailure:
        """The error to tell, after what is finished has been saved where that can be done."""
        done = self.iteration
        try:
            self.save()
        except (ac.DeviceError, DivergedError):  # a GPU that is gone has taken it along
            done = checkpoints.read(self.run.last)[1]["iteration"]
        return DeviceFailure(
            f"iteration {self.iteration + 1} on {self.device}: {error} The run is saved as of "
            f"iteration {done}; go on with: metalearn train --resume {self.run.path}"
        )

    def _train(self, stop: Callable[[], bool]) -> bool:
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
        step = self.step
        if not isinstance(step, ac.jit):
            return
        tasks = self.sampler.sample(self.iteration, range(self.config.meta_batch))
        progress = min(self.fraction, 1.0)
        try:
            self.watcher.compiled(step.explain(self.state, tasks, self.rate, progress))
        except ac.DeviceError:
            raise
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
        """The optimiser's rate now: constant, or falling to the final one over the budget, linearly
        or as half a cosine wave."""
        fraction = min(self.fraction, 1.0)
        fall = {
            "constant": 1.0,
            "linear": 1 - fraction,
            "cosine": 0.5 * (1 + math.cos(math.pi * fraction)),
        }
        first, final = self.config.meta_lr, self.config.meta_lr_final
        return final + (first - final) * fall[self.config.schedule]

    def _advance(self) -> None:
        config, rate, progress = self.config, self.rate, min(self.fraction, 1.0)
        with self._spending("sampling"):
            tasks = self.sampler.sample(self.iteration, range(config.meta_batch))
        line_is_due = (self.iteration + 1) % self._iterations_between_lines == 0
        # What is not finite is noticed below, and told in our words.
        with self._spending("updating"), np.errstate(all="ignore"):
            try:
                update = meta_update(self.step, self.state, tasks, rate, progress)
            except ac.NanError as error:  # of a root that was not found, operation by operation
                raise self._diverged(f"iteration {self.iteration + 1}", str(error)) from error
            self._unread.append((update.loss, update.score, update.norm))
            if self.device == "cpu" or line_is_due or self._looked_long_ago:
                self._read(update.state, self.iteration + 1)
        self.state, self.iteration = update.state, self.iteration + 1
        status = self.status
        self.watcher.status(status)
        if line_is_due:
            self._write_line(status, rate)

    @contextmanager
    def _spending(self, activity: str) -> Iterator[None]:
        """Count the time that this takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[activity] += time.perf_counter() - start

    @property
    def _iterations_between_lines(self) -> int:
        return max(1, self.config.validate_every // LINES_BETWEEN_VALIDATIONS)

    @property
    def _looked_long_ago(self) -> bool:
        return time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS

    def _read(self, state: State, iteration: int) -> None:
        """Add up the numbers that are not read yet, up to an iteration, after which the state is
        `state`.

        Raises `DivergedError` for one that is not finite, or such a parameter.
        """
        unread, self._unread = self._unread, []
        first = iteration + 1 - len(unread)
        fetched = np.asarray(ac.stack([x for numbers in unread for x in numbers]))  # all at once
        for number, found in enumerate(fetched.reshape(len(unread), -1).tolist(), first):
            if not math.isfinite(found[0]):
                raise self._diverged(f"iteration {number}", f"the loss is {found[0]}")
            self.sums = [a + b for a, b in zip(self.sums, [*found, 1], strict=True)]
        if not all(np.isfinite(np.asarray(a)).all() for a in ac.tree_leaves(state.params)):
            when = f"iteration{'' if first == iteration else f's {first} to'} {iteration}"
            raise self._diverged(when, "a parameter is not finite")
        self._looked = time.monotonic()

    def _diverged(self, when: str, what: str) -> DivergedError:
        rates = {"--inner-lr": self.config.inner_lr, "--meta-lr": self.config.meta_lr}
        if "inner_lr" in self.algorithm.without:
            del rates["--inner-lr"]
        lower = " or ".join(f"{flag} ({rate})" for flag, rate in rates.items())
        if kind_of(self.config.dataset) == "own":
            lower += ", or see whether its tasks are finite numbers (metalearn check),"
        return DivergedError(
            f"{when}: {what}; training has diverged: lower {lower} in a new run; "
            f"{self.run.path} is intact as of its last checkpoint"
        )

    @property
    def status(self) -> Status:
        seconds, fraction = self.seconds, self.fraction
        here, done = time.monotonic() - self._started, self.iteration - self._first
        per_second = done / here if here > 0 else 0.0
        left = seconds * (1 - fraction) / fraction if fraction > 0 else math.inf
        count = max(self.sums[-1], 1)
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
        self._add_line(
            {
                "loss": status.loss,
                "score": status.score,
                "gradient_norm": self.sums[2] / max(self.sums[-1], 1),
                "rate": rate,
            }
        )
        self.sums = [0.0, 0.0, 0.0, 0]

    def _add_line(self, found: dict[str, Any]) -> None:
        """Record what was found now, with the time it took since the last line."""
        spent = {activity: round(seconds, 5) for activity, seconds in self.spent.items()}
        times = {"seconds": round(self.seconds, 3), "spent": spent}
        self.run.metrics.add({"iteration": self.iteration, **times, **found})
        self.spent = dict.fromkeys(ACTIVITIES, 0.0)

    def _validate(self, stop: Callable[[], bool]) -> None:
        """Validate, unless that is done for this iteration. Raises `_Stopped` when told to."""
        if self.validated == self.iteration:
            return

        def progress(done: int, total: int) -> None:
            if stop():
                raise _Stopped
            self.watcher.validating(done, total)

        status, averages = self.status, self.state.averages
        steps = steps_told(self.config.eval_steps)
        learner = Learner(
            self.model,
            self.learner.measure,
            self.learner.mode,
            averages if has_averages(self.learner.mode) else None,
            ways=self.config.output_count,
        )
        with self._spending("evaluating"):
            scores = scores_at_steps(
                self.algorithm,
                learner,
                self.state.params,
                self.validation,
                self.config.validation_episodes,
                steps,
                progress,
                self.config.jit,
            )
            curves = self._curves()
        by_step = dict(zip(steps, intervals(scores), strict=True))
        self._record_validation(status, by_step, curves)

    def _curves(self) -> dict[str, Any]:
        """What is told of training beside scores; nothing that training depends on."""
        progress = min(self.fraction, 1.0)
        probe = self.prober(self._algorithm_now, self.state.params, progress)
        rates = rates_of(self.algorithm, self.state.params)
        return {"probe": probe._asdict(), **({"rates": rates} if rates else {})}

    def _record_validation(
        self, status: Status, by_step: dict[int, Interval], curves: dict[str, Any]
    ) -> None:
        score = by_step[self.config.eval_steps]
        best = self.learner.measure.better(score.mean, self.best["score"] if self.best else None)
        scores = [{"steps": step, **each._asdict()} for step, each in by_step.items()]
        self._add_line({"validation": score._asdict(), "best": best, "scores": scores, **curves})
        self.best_steps = steps_of_best(self.learner.measure, by_step)
        if best:
            self.best = {"score": score.mean, "iteration": self.iteration}
            self._save_best(score)
        self.validated = self.iteration
        self.save()
        self.watcher.validated(status, score, best)

    def _save_best(self, score: Interval) -> None:
        tree = {"params": self.state.params, "averages": self.state.averages}
        record = {
            "iteration": self.iteration,
            "validation": score._asdict(),
            "steps": self.best_steps,
        }
        checkpoints.save(self.run.best, tree, record)

    def save(self) -> None:
        """Write the last checkpoint, and before it the metrics up to it. Raises `RunError`, and
        `DivergedError` where it has to be read from a GPU first that training has diverged."""
        if self._unread:
            self._read(self.state, self.iteration)
        self.run.metrics.flush()
        record = {
            "iteration": self.iteration,
            "validated": self.validated,
            "seconds": self.seconds,
            "best": self.best,
            "steps": self.best_steps,
            "sums": self.sums,
            "spent": self.spent,
        }
        checkpoints.save(self.run.last, self.state._asdict(), record)
        self._saved = time.monotonic()


def validation_sampler(problem: Problem, config: Config) -> Any:
    """Validation tasks, the same at every validation and for every seed of training."""
    return problem.sampler("validation", config.shots, config.queries, 0)
