"""OML: a representation on which a head learns online, one example after another, and forgets
little.

Javed & White 2019, "Meta-learning representations for continual learning",
https://arxiv.org/abs/1905.12588. In its notation, with θ the representation (the network below the
head), W the head, α the inner rate, β the outer one, and ℓ the loss:

    W₀ = W, with 0 for the classes that are to come            `reset`
    Wⱼ = Wⱼ₋₁ − α ∇_W ℓ(Wⱼ₋₁; φ_θ(Xⱼ), Yⱼ),  j = 1 … k         algorithm 2, the inner loop: `online`
    θ, W ← θ, W − β ∇ ℓ(W_k; φ_θ(S_test))                      the gradient of `meta_loss`

A trajectory is `tasks` classes one after another, `examples` of each; each is seen once, alone, and
in order. S_test is other drawings of these classes, which must have been learned, and `remember` of
all training classes, which must not have been forgotten. The head is over all training classes:
those of the trajectory are learned within it from 0, the others are as meta-training has made them.
A task adapted to later gets a new head of 0, and an inner step is a pass over its support set, in
order.

θ does not change within a trajectory: what the head sees of it and of S_test is computed once, in
one batch, of whose statistics batch norm keeps averages in mode `running`.

Unlike in the paper the head is a single linear layer, and a class is reset within its trajectory
alone: when it comes back among the random ones, it has what meta-training has taught of it. In the
authors' code, which learns W by the outer loop and draws S_test as here, it is reset for good.

Rates are per unit of mean loss, which is that of one example.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.algorithms.finetuning import empty_head, over_all_classes, upright_if
from metalearn.algorithms.prototypes import ways_of
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model, affine, with_linear_head
from metalearn.normalisation import collected
from metalearn.parts import head_of, with_head
from metalearn.tasks import Task, TrajectorySampler

if TYPE_CHECKING:
    from metalearn.config import Config
    from metalearn.problems import Problem

MODES = ("none", "running")
"""Of batch norm, those in which an example that is seen alone can be normalised."""


class Online(NamedTuple):
    """How a head stands in its stream, and what it sees of that, (n, features)."""

    head: Any
    features: Any


@dataclass(frozen=True)
class Oml(Algorithm):
    """A representation for a linear head that takes one step at `rate` for each example.

    `tasks` is the classes in a trajectory, `examples` those of each, `remember` the random ones in
    the meta-loss. `upright` leaves the rotations out. `classes` is how many there are to train on,
    which a run fills in from its data.
    """

    steps: int = 0
    rate: float = 0.03
    adapts: str = field(default="head", init=False)
    tasks: int = 5
    examples: int = 5
    remember: int = 64
    upright: bool = False
    classes: int = 0

    judges_predictions: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 0,
        "inner_lr": 0.03,
        "eval_steps": 1,
        "meta_lr": 1e-3,
        "meta_batch": 1,
        "batch_norm": "none",
    }
    without: ClassVar[tuple[str, ...]] = ("inner_steps", "remat", "classes", "train_ways")
    classifies: ClassVar[bool] = True
    makes_heads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tasks", "examples", "remember"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}={getattr(self, name)}; expected at least 1")

    # Training ---------------------------------------------------------------------------------

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """The number of classes to train on. Raises `OptionError` for a mode of batch norm in which
        an example would be normalised by those that come after it."""
        if config.batch_norm not in MODES:
            raise OptionError(
                f"--batch-norm {config.batch_norm}: {config.algorithm} sees one example at a time, "
                f"which has no statistics of its own; use {' or '.join(MODES)}"
            )
        classes = self.training_sampler(problem, config).outputs
        return {"settings": {**config.settings, "classes": classes}}

    def training_sampler(self, problem: "Problem", config: "Config") -> TrajectorySampler:
        """Trajectories through the training classes. Raises `OptionError` where there are none
        such, and `DataError`."""
        if not hasattr(problem, "trajectories"):
            raise OptionError(
                f"--algorithm {config.algorithm}: trains on trajectories through the classes of "
                f"one dataset, which {config.task_name} does not give; use another"
            )
        return upright_if(self.upright, problem).trajectories(
            "train", self.tasks, self.examples, config.queries, self.remember, config.seed
        )

    def init(self, model: Model, key: Any) -> Any:
        """The network's parameters with a head for all training classes."""
        return over_all_classes(model, key, self.classes)

    def meta_loss(self, learner: Learner, meta: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The loss of S_test after the trajectory, among all training classes."""
        (x, y), (query, targets) = task.support, task.query
        both, used = learner.support_features(meta, (ac.concatenate([x, query]), None), 0)
        length = y.shape[0]
        head = self.online(learner, Online(reset(head_of(meta), y), both[:length]), y)
        loss, (score, seen) = learner.judged(affine(head, both[length:]), targets, used)
        return loss, (score, collected(learner.mode, [seen]))

    # Online -----------------------------------------------------------------------------------

    def online(self, learner: Learner, state: Online, labels: Any) -> Any:
        """The head after one step for each example, in order."""

        def step(head: Any, example: tuple[Any, Any]) -> tuple[Any, None]:
            feature, label = (ac.expand_dims(each, 0) for each in example)
            at = head
            if self.order == 1:
                at, feature = ac.tree_map(ac.stop_gradient, (head, feature))
            loss = lambda head: learner.measure.loss(affine(head, feature), label)
            return ac.tree_map(lambda p, g: p - self.rate * g, head, ac.grad(loss)(at)), None

        return ac.scan(step, state.head, (state.features, ac.asarray(labels)))[0]

    def network(self, model: Model) -> Model:
        """The network with a linear last layer."""
        return model._replace(apply=with_linear_head(model.features))

    def start(self, learner: Learner, meta: Any, support: Any) -> Online:
        """A new head, of 0."""
        head = empty_head(head_of(meta), ways_of(learner))
        return Online(head, learner.support_features(meta, support, 0)[0])

    def step(
        self, learner: Learner, meta: Any, state: Online, support: Any, number: int
    ) -> tuple[Online, Any]:
        """A pass over the support set."""
        del meta, number  # averages are of no inner steps: there are none in training
        return state._replace(head=self.online(learner, state, support[1])), ()

    def params(self, meta: Any, state: Online, number: int) -> Any:
        """The model's parameters."""
        del number
        return with_head(meta, state.head)

    def with_ways(self, meta: Any, ways: int) -> Any:
        """The same: heads have the ways of their task."""
        del ways
        return meta

    def describe(self) -> str:
        """The settings, for people."""
        order = {1: "first", 2: "second"}[self.order]
        return (
            f"{order} order, trajectories of {self.tasks} × {self.examples} examples through "
            f"{self.classes} classes, {self.remember} to remember; a head that learns online at "
            f"{self.rate:g} per unit of mean loss"
        )


def reset(head: Any, labels: Any) -> Any:
    """A head with 0 for the classes of some labels (n,)."""
    columns = np.arange(head["bias"].shape[-1])
    equal = ac.equal(ac.expand_dims(ac.asarray(labels), -1), columns)
    named = ac.sum(ac.astype(equal, "float32"), axis=0)  # of each class, which machine code adds up
    return ac.tree_map(lambda x: ac.where(named > 0, ac.zeros_like(x), x), head)
