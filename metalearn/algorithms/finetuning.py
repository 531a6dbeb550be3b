"""Fine-tuning, of a network that was trained as usual or not at all: what any claim of
meta-learning has to be compared with.

**Pretrained.** Chen et al. 2019, "A closer look at few-shot classification",
https://arxiv.org/abs/1904.04232, section 3.2: a network is trained on all training classes at once
by a classifier C(· | W_b) over all of them, in mini-batches of 16 by Adam at 0.001; then each task
gets a new classifier C(· | W_n), which is trained on the support set, the rest staying as it is.

    C(f | W) = softmax(Wᵀf + b)                 "Baseline": `classifier="linear"`
    C(f | W) = softmax(s · wⱼᵀf / ‖wⱼ‖‖f‖)      "Baseline++", figure 1: `classifier="cosine"`

The authors' code trains W_n for 100 epochs of mini-batches of 4, by SGD at 0.01 with momentum 0.9,
dampening 0.9 and weight decay 0.001, has s = 2 for up to 200 classes and s = 10 for more, and
learns a norm for each wⱼ. Here are `--eval-steps` steps on the whole support set, one s, no decay,
and no such norm, as in the paper. With `adapts="all"` the network is adapted as well.

**Joint.** Finn et al. 2017, "Model-agnostic meta-learning for fast adaptation of deep networks",
https://arxiv.org/abs/1703.03400, section 5.1, "pretraining on all of the tasks": one network is
trained on the examples of all tasks together, whose outputs mean the same in each, as in
regression; then it is fine-tuned.

**From scratch.** The network as it was initialised, adapted by many steps: what tasks teach without
any others.

Rates are per unit of mean loss. Batch norm's `support` mode is meant for tasks: the mini-batches of
pretraining are normalised by themselves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

import autograd_core as ac
from autograd_core import nn, optim, random
from metalearn.algorithms.base import Algorithm
from metalearn.algorithms.prototypes import ways_of
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model, affine, cosine, with_cosine_head, with_linear_head
from metalearn.normalisation import collected, has_averages
from metalearn.parts import head_of, partition, with_head
from metalearn.tasks import ClassBatchSampler, DomainBatches, Task

if TYPE_CHECKING:
    from metalearn.config import Config
    from metalearn.problems import Problem

OPTIMIZERS: Mapping[str, Callable[[Any], optim.Optimizer]] = {"sgd": optim.sgd, "adam": optim.adam}
CLASSIFIERS = ("linear", "cosine")
FUNCTIONS = {"functions": {"inner_lr": 1e-3}}
"""On sinusoids, 100 steps at 0.01 diverge."""


class Tuning(NamedTuple):
    """How fine-tuning stands: the parameters, the optimiser's state, and the support set's features
    where they stay as they are."""

    params: Any
    memory: Any
    features: Any


@dataclass(frozen=True)
class FineTuning(Algorithm):
    """Steps of an ordinary optimiser on a part of the parameters, with no derivatives through them.

    Meta-training takes no inner steps. `optimizer` is "sgd" or "adam".
    """

    steps: int = 0
    rate: float = 0.1
    optimizer: str = "sgd"

    without: ClassVar[tuple[str, ...]] = ("inner_steps", "remat", "order")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optimizer not in OPTIMIZERS:
            expected = ", ".join(OPTIMIZERS)
            raise OptionError(f"optimizer={self.optimizer!r}; expected one of {expected}")

    def outputs(self, head: Any, features: Any) -> Any:
        """What the head makes of features (n, d)."""
        return affine(head, features)

    def start(self, learner: Learner, meta: Any, support: Any) -> Tuning:
        """Before the first step; features are computed here, once, where only the head changes."""
        features = None
        if self.adapts == "head":
            features, _ = learner.support_features(meta, support, 0)
        part, _ = partition(meta, self.adapts)
        return Tuning(meta, self._optimizer.init(part), features)

    def step(
        self, learner: Learner, meta: Any, state: Tuning, support: Any, number: int
    ) -> tuple[Tuning, Any]:
        """One update by the optimiser."""
        del meta, number  # averages are of no inner steps: there are none in training
        part, joined = partition(state.params, self.adapts)

        def loss(part: Any) -> tuple[Any, Any]:
            params = joined(part)
            if state.features is None:
                return learner.support_loss(params, support, 0)
            outputs = self.outputs(head_of(params), state.features)
            return learner.measure.loss(outputs, support[1]), ()

        gradient, seen = ac.grad(loss, has_aux=True)(part)
        updates, memory = self._optimizer.update(gradient, state.memory, part)
        return Tuning(joined(optim.apply(part, updates)), memory, state.features), seen

    def adapted_at(
        self, learner: Learner, meta: Any, support: Any, steps: Sequence[int]
    ) -> Iterator[Any]:
        """The parameters after each of some steps. A program holds the step once, however many
        there are."""

        def step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            after, _ = self.step(learner, meta, Tuning(*carry, features), support, 0)
            return (after.params, after.memory), None

        params, memory, features = self.start(learner, meta, support)
        for first, last in pairwise((0, *steps)):
            if last > first:
                (params, memory), _ = ac.scan(step, (params, memory), length=last - first)
            yield params

    def params(self, meta: Any, state: Tuning, number: int) -> Any:
        """The model's parameters."""
        del meta, number
        return state.params

    def describe(self) -> str:
        """The settings, for people."""
        return f"{self.optimizer} at {self.rate:g} per unit of mean loss, on {self.adapts}"

    @property
    def _optimizer(self) -> optim.Optimizer:
        return OPTIMIZERS[self.optimizer](self.rate)


@dataclass(frozen=True)
class Joint(FineTuning):
    """Supervised training on the queries of all tasks by one network, then steps on each."""

    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 0,
        "inner_lr": 0.01,
        "eval_steps": 100,
        "meta_lr": 1e-3,
    }
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = FUNCTIONS

    def describe(self) -> str:
        """The settings, for people."""
        return f"one network for all tasks; then, on each, {super().describe()}"


@dataclass(frozen=True)
class FromScratch(FineTuning):
    """The initialisation, which meta-training leaves as it is."""

    exact: ClassVar[bool] = False

    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 0,
        "inner_lr": 0.01,
        "eval_steps": 100,
        "iterations": 1,
        "minutes": None,
        "validate_every": 1,
    }
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = FUNCTIONS
    without: ClassVar[tuple[str, ...]] = (
        *FineTuning.without,
        *("iterations", "minutes", "validate_every", "schedule"),
        *("meta_lr", "meta_optimizer", "meta_clip"),
    )

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """Nothing. Raises `OptionError` where training would have to collect averages."""
        if has_averages(config.batch_norm):
            raise OptionError(
                f"--batch-norm {config.batch_norm}: averages over training, of which "
                f"{config.algorithm} has none; use transductive or support"
            )
        return {}

    def meta_loss(self, learner: Learner, meta: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The loss before adaptation, which nothing is to learn from."""
        return super().meta_loss(learner, ac.tree_map(ac.stop_gradient, meta), task)

    def describe(self) -> str:
        """The settings, for people."""
        return f"no meta-training; {super().describe()}"


@dataclass(frozen=True)
class Pretrained(FineTuning):
    """Supervised training on all training classes, then a new head for each task.

    `classes` is how many there are, each rotation being another; a run fills it in from its data.
    `batch` is the examples in a mini-batch, of which a meta-update takes `--meta-batch`.
    `scale` is the s of the cosine classifier. `upright` leaves the rotations out.
    """

    adapts: str = "head"
    classifier: str = "linear"
    scale: float = 10.0
    batch: int = 16
    upright: bool = False
    classes: int = 0

    judges_predictions: ClassVar[bool] = False
    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 0,
        "inner_lr": 0.1,
        "eval_steps": 100,
        "meta_lr": 1e-3,
        "meta_batch": 4,
    }
    without: ClassVar[tuple[str, ...]] = (*FineTuning.without, "classes", "train_ways")
    classifies: ClassVar[bool] = True
    makes_heads: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classifier not in CLASSIFIERS:
            expected = ", ".join(CLASSIFIERS)
            raise OptionError(f"classifier={self.classifier!r}; expected one of {expected}")
        if not 0 < self.scale < float("inf"):
            raise OptionError(f"scale={self.scale}; expected a finite number above 0")
        if self.batch < 1:
            raise OptionError(f"batch={self.batch}; expected a whole number, at least 1")

    # Training ---------------------------------------------------------------------------------

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """The number of classes to train on."""
        classes = self.training_sampler(problem, config).outputs
        return {"settings": {**config.settings, "classes": classes}}

    def training_sampler(
        self, problem: "Problem", config: "Config"
    ) -> ClassBatchSampler | DomainBatches:
        """Mini-batches over all training classes. Raises `OptionError` where there are none such,
        and `DataError`."""
        if not hasattr(problem, "batches"):
            raise OptionError(
                f"--algorithm {config.algorithm}: trains on mini-batches over all classes of its "
                f"data, which {config.task_name} does not give; use another"
            )
        batches = upright_if(self.upright, problem).batches
        return batches("train", self.batch, config.seed)

    def init(self, model: Model, key: Any) -> Any:
        """The network's parameters with a head for all training classes."""
        return over_all_classes(model, key, self.classes, self._head)

    def meta_loss(self, learner: Learner, meta: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The loss of a mini-batch among all training classes."""
        features, used = learner.support_features(meta, task.query, 0)
        loss, (score, seen) = learner.judged(
            self.outputs(head_of(meta), features), task.query[1], used
        )
        return loss, (score, collected(learner.mode, [seen]))

    # Adaptation -------------------------------------------------------------------------------

    def network(self, model: Model) -> Model:
        """The network with the classifier for its last layer."""
        if self.classifier == "linear":
            return model._replace(apply=with_linear_head(model.features))
        return with_cosine_head(model, self.scale)

    def outputs(self, head: Any, features: Any) -> Any:
        """What the head makes of features (n, d)."""
        if self.classifier == "linear":
            return affine(head, features)
        return cosine(head, features, self.scale)

    def start(self, learner: Learner, meta: Any, support: Any) -> Tuning:
        """The network with a new head: 0 where it is linear, else the same random one each time."""
        old = head_of(meta)
        head = empty_head(old, ways_of(learner))
        if self.classifier == "cosine":
            drawn = self._head(random.key(0), head["weight"].shape, old["weight"].dtype)
            head = ac.tree_map(lambda zeros, x: zeros + np.asarray(x), head, drawn)
        return super().start(learner, with_head(meta, head), support)

    def with_ways(self, meta: Any, ways: int) -> Any:
        """The same: heads have the ways of their task."""
        del ways
        return meta

    def describe(self) -> str:
        """The settings, for people."""
        return (
            f"{self.classifier} classifier of {self.classes} classes in mini-batches of "
            f"{self.batch}; then a new one for each task, {super().describe()}"
        )

    def _head(self, key: Any, shape: tuple[int, int], dtype: Any) -> dict[str, Any]:
        """A random head with a weight of that shape, (inputs, outputs)."""
        head = linear_head(key, shape, dtype)
        return {"weight": head["weight"]} if self.classifier == "cosine" else head


def upright_if(upright: bool, problem: Any) -> Any:
    """The problem, without the rotations of its classes if that is wanted."""
    return replace(problem, upright=True) if upright else problem


# Heads ----------------------------------------------------------------------------------------


def linear_head(key: Any, shape: tuple[int, int], dtype: Any) -> dict[str, Any]:
    """A random weight of that shape, (inputs, outputs), and biases of 0."""
    weight = nn.init.glorot_normal(key, shape, dtype, in_axis=0, out_axis=1)
    return {"weight": weight, "bias": ac.zeros(shape[1], dtype)}


def over_all_classes(
    model: Model, key: Any, classes: int, make: Callable[..., dict[str, Any]] = linear_head
) -> Any:
    """The network's parameters with a head for all training classes, `make(key, shape, dtype)`.

    Raises `OptionError` where it is not known how many there are."""
    if not classes:
        raise OptionError("classes=0; expected as many as there are to train on")
    for_model, for_head = random.split(key)
    params = model.init(for_model)
    weight = head_of(params)["weight"]
    return with_head(params, make(for_head, (weight.shape[0], classes), weight.dtype))


def empty_head(like: Any, ways: int) -> Any:
    """A head of 0 for that many classes, on the features of another."""
    widen = lambda x: ac.broadcast_to(ac.zeros_like(x[..., :1]), (*x.shape[:-1], ways))
    return ac.tree_map(widen, like)
