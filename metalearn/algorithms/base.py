"""What every algorithm here is: an inner loop on a task's support set, and a loss to learn it by.

Four verbs name its life: `init` makes what meta-training changes, `adapt` fits a task's support
set, `meta_loss` is what meta-training descends, `predict` answers for new inputs. A new algorithm
is a subclass of `Algorithm` with a `step`; whatever else it does otherwise, it overrides:

    @dataclass(frozen=True)
    class SignMaml(Algorithm):
        def step(self, learner, meta, params, support, number):
            gradient, seen = self.gradient(learner, params, support, number)
            return ac.tree_map(lambda p, g: p - self.rate * ac.sign(g), params, gradient), seen

`metalearn train omniglot --algorithm my_file.py:SignMaml` trains it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, ClassVar, cast

import autograd_core as ac
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.normalisation import collected
from metalearn.parts import PARTS, partition, with_outputs
from metalearn.tasks import Task, TaskSampler

if TYPE_CHECKING:
    from metalearn.config import Config
    from metalearn.problems import Problem

REMAT = ("none", "every", "sqrt")


@dataclass(frozen=True)
class Algorithm:
    """An inner loop of `steps` steps at `rate` (per unit of mean loss), differentiated through.

    Three pytrees appear: `meta` is what meta-training changes, by default the model's parameters;
    `state` is what an inner step changes, by default the model's parameters as well; `params` are
    those that the model is used with, by default the state.

    `order` is that of the derivatives in the meta-gradient: 2, or 1 where inner gradients are taken
    for constants. `adapts` is the part of the parameters that inner steps change, one of
    `parts.PARTS`. `remat` says what of the inner loop the backward pass computes again, where it is
    not kept in memory: "none", "every" inner step, or, for K steps, each of about √K stretches of
    √K steps ("sqrt"; Griewank & Walther 2000). Results are the same.

    Raises `OptionError` for settings that make no sense.
    """

    steps: int = 1
    rate: float = 0.4
    order: int = 2
    adapts: str = "all"
    remat: str = "none"

    defaults: ClassVar[Mapping[str, Any]] = {}
    """Options of `metalearn train` that suit this algorithm better than those for all."""
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """More of them by the kind of the dataset, one of `catalogue.KINDS`, or for "regression" of any
    kind; "settings" may be among them."""
    without: ClassVar[tuple[str, ...]] = ()
    """Options of `metalearn train`, and settings above, that have no effect on this algorithm."""
    classifies: ClassVar[bool] = False
    """Whether it is for tasks with classes only."""
    makes_heads: ClassVar[bool] = False
    """Whether each task gets a head of its own, of `Learner.ways` outputs, so that tasks in
    training and those adapted to later may have any number of classes."""
    unadapted: ClassVar[str] = "before adaptation"
    """What its parameters are after 0 inner steps, for people."""

    exact: ClassVar[bool] = True
    """Whether the gradient of `meta_loss` is its derivative, at the second order; an algorithm
    whose gradient is another direction by design says False."""

    judges_predictions: ClassVar[bool] = True
    """Whether the value of `meta_loss` is the loss of what `predict` says of the queries; not so
    where training has other tasks than use."""

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise OptionError(f"order={self.order!r}; expected 1 or 2")
        if self.adapts not in PARTS:
            raise OptionError(f"adapts={self.adapts!r}; expected one of {', '.join(PARTS)}")
        if self.remat not in REMAT:
            raise OptionError(f"remat={self.remat!r}; expected one of {', '.join(REMAT)}")

    # To override -----------------------------------------------------------------------------

    def network(self, model: Model) -> Model:
        """The network as this algorithm uses it."""
        return model

    def training_sampler(self, problem: "Problem", config: "Config") -> TaskSampler:
        """What meta-training draws its tasks from. Raises `DataError`."""
        if config.train_ways is not None:
            # Problems with classes are dataclasses that say of how many their tasks are.
            problem = replace(cast(Any, problem), ways=config.train_ways)
        shots = config.train_shots or config.shots
        return problem.sampler("train", shots, config.queries, config.seed)

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """Options that follow from the data, where they were not given: a run records them."""
        del problem, config
        return {}

    def init(self, model: Model, key: Any) -> Any:
        """What meta-training changes, before it starts; `key` is one of `autograd_core.random`."""
        return model.init(key)

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        """The state before the first inner step."""
        del learner, support
        return meta

    def step(
        self, learner: Learner, meta: Any, state: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """The state after inner step `number` (0, 1, …), and the statistics that it collected."""
        raise OptionError(
            f"algorithm {type(self).__name__}: has no step; define step(self, learner, meta, "
            "state, support, number), which returns the state after an inner step and the "
            "statistics that self.gradient gave with its gradient"
        )

    def params(self, meta: Any, state: Any, number: int) -> Any:
        """The model's parameters after `number` inner steps."""
        del meta, number
        return state

    def at(self, fraction: float) -> "Algorithm":
        """The algorithm to use when that share of meta-training is done, where it changes."""
        del fraction
        return self

    def with_ways(self, meta: Any, ways: int) -> Any:
        """`meta` for tasks of fewer classes than the model has outputs."""
        return with_outputs(meta, ways)

    def learned(self, meta: Any) -> Any:
        """Inner rates that are learned, for people to see: a tree such as that of the parameters,
        of arrays (steps, …), or (1, …) where all inner steps have the same. Empty without any."""
        del meta
        return {}

    def describe(self) -> str:
        """The settings, for people."""
        order, plural = {1: "first", 2: "second"}[self.order], "s" * (self.steps != 1)
        return (
            f"{order} order, {self.steps} inner step{plural} at {self.rate:g} per unit of mean loss"
        )

    # What follows from these -----------------------------------------------------------------

    def adaptation(
        self, learner: Learner, meta: Any, support: Any, steps: int
    ) -> Iterator[tuple[Any, Any]]:
        """The model's parameters after 0, 1, …, `steps` inner steps on a support set (x, y), each
        with the statistics that the step before it collected (None at 0)."""
        state = self.start(learner, meta, support)
        yield self.params(meta, state, 0), None
        for number in range(steps):
            found = self.step(learner, meta, state, support, number)
            state, seen = self._state_and_seen(found)
            yield self.params(meta, state, number + 1), seen

    def adapted_at(
        self, learner: Learner, meta: Any, support: Any, steps: Sequence[int]
    ) -> Iterator[Any]:
        """The model's parameters after each of some inner steps on a support set, in ascending
        order."""
        adapted = self.adaptation(learner, meta, support, max(steps))
        return (params for number, (params, _) in enumerate(adapted) if number in steps)

    def adapt(self, learner: Learner, meta: Any, support: Any, steps: int | None = None) -> Any:
        """The model's parameters after `steps` inner steps on a support set, by default those of
        training."""
        number = self.steps if steps is None else steps
        (params,) = self.adapted_at(learner, meta, support, [number])
        return params

    def predict(
        self, learner: Learner, meta: Any, support: Any, x: Any, steps: int | None = None
    ) -> Any:
        """Outputs for inputs x (n, …) after adaptation to a support set."""
        number = self.steps if steps is None else steps
        params = self.adapt(learner, meta, support, number)
        return learner.query_outputs(params, support, x, number)[0]

    def meta_loss(self, learner: Learner, meta: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The query loss of one task after adaptation, whose gradient with respect to `meta` is
        the meta-gradient; and its score with the statistics collected in the task's passes."""
        state, passes = self.adapted_state(learner, meta, task.support)
        loss, (score, last) = learner.query_loss(
            self.params(meta, state, self.steps), task, self.steps
        )
        return loss, (score, collected(learner.mode, [*passes, last]))

    def adapted_state(self, learner: Learner, meta: Any, support: Any) -> tuple[Any, list]:
        """The state after all inner steps, as `remat` says, and the statistics of each pass."""

        def step(meta: Any, state: Any, support: Any, number: int) -> tuple[Any, Any]:
            return self.step(learner, meta, state, support, number)

        return self.unrolled(step, meta, self.start(learner, meta, support), support)

    def unrolled(self, step: Callable, meta: Any, state: Any, data: Any) -> tuple[Any, list]:
        """The state after all inner steps (meta, state, data, number) → (state, what it saw), as
        `remat` says, and what each of them saw."""
        found = []
        for first in range(0, self.steps, self._stretch):
            numbers = range(first, min(first + self._stretch, self.steps))
            state, seen = self._run(step, numbers)(meta, state, data)
            found += seen
        return state, found

    def gradient(self, learner: Learner, params: Any, support: Any, number: int) -> tuple[Any, Any]:
        """∇L on the support set at the parameters, with None for what `adapts` leaves out; a
        constant for the first order. And the statistics collected."""
        params = params if self.order == 2 else ac.tree_map(ac.stop_gradient, params)
        part, joined = partition(params, self.adapts)

        def loss(part: Any) -> tuple[Any, Any]:
            return learner.support_loss(joined(part), support, number)

        return ac.grad(loss, has_aux=True)(part)

    def updated(self, params: Any, change: Callable, *trees: Any) -> Any:
        """The parameters, with `change(p, …)` for each p that `adapts` names. The trees, such as
        gradients, have None for the others, or something that is left alone."""
        part, joined = partition(params, self.adapts)
        parts = [partition(tree, self.adapts)[0] for tree in trees]
        return joined(ac.tree_map(change, part, *parts))

    def _state_and_seen(self, found: Any) -> tuple[Any, Any]:
        """What a step returned. Raises `OptionError` where it is something else."""
        if isinstance(found, tuple) and len(found) == 2:
            return found
        what = f"{len(found)} things" if isinstance(found, tuple) else f"a {type(found).__name__}"
        raise OptionError(
            f"algorithm {type(self).__name__}: step returned {what}; expected (state, seen): the "
            "state after the step, and what self.gradient gave beside the gradient"
        )

    @property
    def _stretch(self) -> int:
        """Inner steps that are computed again together."""
        steps = max(self.steps, 1)
        return {"none": steps, "every": 1, "sqrt": ceil(sqrt(steps))}[self.remat]

    def _run(self, step: Callable, numbers: range) -> Callable:
        """The function (meta, state, data) → (state after these steps, what each of them saw)."""

        def run(meta: Any, state: Any, data: Any) -> tuple[Any, list]:
            found = []
            for number in numbers:
                state, seen = self._state_and_seen(step(meta, state, data, number))
                found.append(seen)
            return state, found

        return run if self.remat == "none" else ac.checkpoint(run)
