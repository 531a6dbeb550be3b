"""Reptile: move the initialisation towards what each task makes of it.

Nichol, Achiam & Schulman 2018, "On first-order meta-learning algorithms",
https://arxiv.org/abs/1803.02999, and the authors' code, openai/supervised-reptile. In the paper's
notation, with φ the initialisation and U the inner optimiser on a task:

    φ̃ = Uᵏ(φ)                       k steps of Adam or SGD on minibatches of the task: `step`
    φ ← φ + ε mean(φ̃ − φ)           algorithm 2: SGD at rate ε on `meta_loss`

Adam's averages of squared gradients move in the same way as φ: in the code they pass from each
task to the next. So a parameter that hardly matters hardly moves. Started anew in each task, Adam's
first step would move all parameters equally far.

`meta_loss` has the gradient φ − φ̃, that of ½ |φ − φ̃|² with φ̃ a constant, so that the meta-update
is any optimiser's. Its value is the query loss, for people: nothing is learned from queries.

For k steps of SGD at rate α on minibatches with gradients g₁, …, gₖ and Hessians H₁, …, Hₖ at φ,
(φ − φ̃)/α is Σᵢ gᵢ − α Σᵢ Σⱼ₍ⱼ﹤ᵢ₎ Hᵢ gⱼ + O(α²) (section 5.1): the joint training of all tasks,
and a term that makes the minibatches of a task agree. One step is joint training alone.

**As in the code.** Adam has β₁ = 0 and runs at a rate of 0.001, ε falls from 1 to 0 linearly, and
tasks have more shots in training than in use (`train_shots`). The defaults are its command for
transductive 5-way 1-shot Omniglot, with 5 inner steps in use, on all of a small support set. Its
commands without transduction have 86 to 100 there; for 5 shots also `train_shots` 10, `batch` 10,
5 steps at 0.0015, and ε from 0.7.

**Otherwise than there.** Tasks of a meta-batch start with the same averages of squared gradients,
where the code takes them one after the other; in use they are those of training. Minibatches are
strides through the support set where the code shuffles, so that the same task gives the same
parameters; and a set smaller than a minibatch is taken once, where the code fills the minibatch
with repetitions. In use its batch norms see the query set, of one query a class, as one batch; here
`--batch-norm` and `--queries` say.

**Units of the rate.** Losses are means over the minibatch, here and there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.normalisation import collected
from metalearn.parts import with_outputs
from metalearn.tasks import Task

if TYPE_CHECKING:
    from metalearn.config import Config
    from metalearn.problems import Problem

OPTIMIZERS = ("adam", "sgd")
DECAY, EPS = 0.999, 1e-8  # Adam's β₂ and ε
TRAIN_SHOTS = 15


class State(NamedTuple):
    """What an inner step changes, and meta-training: the model's parameters, and for Adam averages
    of squared gradients, with the weight that they have in all (1 − β₂ᵗ after t steps)."""

    params: Any
    squares: Any = ()
    weight: Any = ()


@dataclass(frozen=True)
class Reptile(Algorithm):
    """Reptile with `steps` inner steps of an `optimizer`, "adam" or "sgd", at `rate`.

    `batch` examples of the support set make a step; all of it, where it has no more than that.

    Raises `OptionError` for settings that make no sense, also for `order=2`, as no derivative
    passes the inner loop, and `adapts` other than "all": what is not adapted would not be learned.
    """

    steps: int = 3
    rate: float = 1e-3
    order: int = 1
    optimizer: str = "adam"
    batch: int = 25

    exact: ClassVar[bool] = False
    without: ClassVar[tuple[str, ...]] = ("order", "adapts", "remat")
    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 3,
        "inner_lr": 1e-3,
        "eval_steps": 5,
        "meta_optimizer": "sgd",
        "meta_lr": 1.0,
        "schedule": "linear",
        "meta_batch": 10,
    }
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "functions": {
            "inner_steps": 5,
            "inner_lr": 0.02,
            "train_shots": 50,
            "eval_steps": 10,
            "settings": {"batch": 10},
        }
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optimizer not in OPTIMIZERS:
            raise OptionError(
                f"optimizer={self.optimizer!r}; expected one of {', '.join(OPTIMIZERS)}"
            )
        if self.batch < 1:
            raise OptionError(f"batch={self.batch!r}; expected a whole number, at least 1")
        if self.order != 1:
            raise OptionError(f"order={self.order!r}: Reptile is of first order; expected 1")
        if self.adapts != "all":
            raise OptionError(
                f"adapts={self.adapts!r}: Reptile learns only what inner steps change; expected all"
            )

    def init(self, model: Model, key: Any) -> State:
        return self.remembering(model.init(key))

    def remembering(self, params: Any) -> State:
        """Parameters, and an inner optimiser that has made no step."""
        if self.optimizer == "sgd":
            return State(params)
        weight = ac.zeros_like(ac.sum(ac.tree_leaves(params)[0]))
        return State(params, ac.tree_map(ac.zeros_like, params), weight)

    def step(
        self, learner: Learner, meta: Any, state: State, support: Any, number: int
    ) -> tuple[State, Any]:
        """One step of the inner optimiser, on minibatch `number`: of Adam with β₁ = 0 (Kingma & Ba
        2015, algorithm 1), or of SGD."""
        del meta
        params, squares, weight = state
        minibatch = self.minibatch(support, number)
        gradient, seen = self.gradient(learner, params, minibatch, number)
        if self.optimizer == "sgd":
            return State(ac.tree_map(lambda p, g: p - self.rate * g, params, gradient)), seen
        average = lambda old, new: DECAY * old + (1 - DECAY) * new
        squares = ac.tree_map(lambda v, g: average(v, g * g), squares, gradient)
        weight = average(weight, 1.0)

        def descend(p: Any, g: Any, v: Any) -> Any:
            return p - self.rate * g / (ac.sqrt(v / weight) + EPS)

        return State(ac.tree_map(descend, params, gradient, squares), squares, weight), seen

    def adapted_at(
        self, learner: Learner, meta: Any, support: Any, steps: Sequence[int]
    ) -> Iterator[Any]:
        """The parameters after each of some inner steps. A program holds the step once, however
        many there are."""
        if learner.mode == "per_step":  # whose averages are those of a step's number
            yield from super().adapted_at(learner, meta, support, steps)
            return

        def step(state: State, minibatch: Any) -> tuple[State, None]:
            return self.step(learner, meta, state, minibatch or support, 0)[0], None

        state = meta
        for first, last in pairwise((0, *steps)):
            if last > first:
                minibatches = self.minibatches(support, range(first, last))
                state, _ = ac.scan(step, state, minibatches, length=last - first)
            yield state.params

    def params(self, meta: Any, state: State, number: int) -> Any:
        """Those of the model."""
        del meta, number
        return state.params

    def with_ways(self, meta: State, ways: int) -> State:
        squares = with_outputs(meta.squares, ways) if meta.squares else ()
        return State(with_outputs(meta.params, ways), squares, meta.weight)

    def meta_loss(self, learner: Learner, meta: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The query loss at φ̃, with the gradient φ − φ̃; and the score and statistics."""
        state, passes = self.adapted_state(learner, _constant(meta), task.support)
        adapted = _constant(state)
        loss, (score, last) = learner.query_loss(adapted.params, task, self.steps)
        half = half_square_distance(meta, adapted)
        value = loss + (half - ac.stop_gradient(half))
        return value, (score, collected(learner.mode, [*passes, last]))

    def minibatch(self, support: Any, number: int) -> Any:
        """Examples of a support set (x, y) for an inner step."""
        chosen = self.minibatches(support, range(number, number + 1))
        return support if chosen is None else ac.tree_map(lambda array: array[0], chosen)

    def minibatches(self, support: Any, numbers: range) -> Any:
        """The examples for some inner steps, (steps, batch, …) each; None where all of the support
        set makes a step."""
        count = support[0].shape[0]
        if count <= self.batch:
            return None
        rows = [strided_rows(count, number * self.batch, self.batch) for number in numbers]
        found = list(map(as_slices, rows))
        return ac.tree_map(
            lambda array: ac.stack([ac.concatenate([array[s] for s in each]) for each in found]),
            support,
        )

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """15 shots in training, or as many as the classes have beside the queries.

        Raises `OptionError` where tasks are padded, if minibatches might be of padding alone, and
        for a meta-optimiser that might make averages of squares negative.
        """
        if self.optimizer == "adam" and config.meta_optimizer != "sgd":
            raise OptionError(
                f"--meta-optimizer {config.meta_optimizer}: moves the inner Adam's averages of "
                "squares as well, and may make them negative; expected sgd, or --set optimizer=sgd"
            )
        if config.varies:
            most = config.ways * (config.most_shots or config.shots)
            if most > self.batch:
                raise OptionError(
                    f"batch={self.batch}: a minibatch of a task whose ways or shots vary may be "
                    f"empty; expected at least {most}, which is all of it"
                )
            return {}
        left = problem.queries_left("train", config.queries)
        if config.train_shots is not None or left is None:
            return {}
        return {"train_shots": max(config.shots, min(TRAIN_SHOTS, left))}

    def describe(self) -> str:
        """The settings, for people."""
        plural = "s" * (self.steps != 1)
        return (
            f"{self.steps} inner step{plural} of {self.optimizer} at {self.rate:g}, on minibatches "
            f"of {self.batch}"
        )


def strided_rows(count: int, first: int, size: int) -> list[int]:
    """`size` places of `count`, the first of them number `first` in a tour through all, again and
    again.

    A support set is ordered by class. The tour's strides are as long as there are minibatches in
    it, so that each minibatch is spread over all of the support set, and with it over the classes.
    """
    stride = ceil(count / size)
    tour = sorted(range(count), key=lambda place: place % stride)
    return [tour[i % count] for i in range(first, first + size)]


def as_slices(rows: Sequence[int]) -> list[slice]:
    """The same rows, as few slices: what is at hand in strides is not looked up one by one."""
    found: list[range] = []
    for row in rows:
        last = found[-1] if found else range(0)
        if last and row > last[-1] and (len(last) == 1 or row == last[-1] + last.step):
            found[-1] = range(last.start, row + 1, row - last[-1])
        else:
            found.append(range(row, row + 1))
    return [slice(each.start, each.stop, each.step) for each in found]


def half_square_distance(a: Any, b: Any) -> Any:
    """½ |a − b|² of two trees."""
    squares = ac.tree_map(lambda x, y: ac.sum((x - y) ** 2), a, b)
    return 0.5 * sum(ac.tree_leaves(squares))


def _constant(tree: Any) -> Any:
    return ac.tree_map(ac.stop_gradient, tree)
