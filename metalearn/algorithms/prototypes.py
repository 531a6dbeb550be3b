"""Prototypical networks, and MAML that starts from them.

**ProtoNet.** Snell, Swersky & Zemel 2017, "Prototypical networks for few-shot learning",
https://arxiv.org/abs/1703.05175. With f the network without its head, and S_k the support examples
of class k:

    c_k = 1/|S_k| Σ f(x)                        equation 1: `class_means`
    p(y = k | x) ∝ exp(−‖f(x) − c_k‖²)          equation 2, for the squared Euclidean distance
    −‖f(x) − c_k‖² = −‖f(x)‖² + 2 c_kᵀf(x) − ‖c_k‖²
                                                equation 8: all but −‖f(x)‖², which is the same for
                                                every class, is a linear head: `prototype_head`

Nothing is adapted but that head. Section 3.1 trains on tasks of 60 classes, which is more than are
told apart later, with Adam at 0.001, which is halved every 2000 episodes; here its rate falls over
the budget as `--schedule` says. The authors' code normalises support and query examples of a task
as one batch; here batch norm is as `--batch-norm` says.

**ProtoMAML.** Triantafillou et al. 2020, "Meta-Dataset", https://arxiv.org/abs/1903.03096, section
3.2: MAML whose head is at first that of the prototypes, W = 2c and b = −‖c‖² (its equation 3), and
is then adapted with all the rest. Gradients flow through the prototypes into what made them, as in
the authors' code; `through_prototypes=false` takes them for constants. With `order=1` inner
gradients alone are constants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.algorithms.maml import Maml
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.measures import IMPOSSIBLE
from metalearn.models import Model
from metalearn.parts import head_of, with_head
from metalearn.tasks import EpisodeSampler

if TYPE_CHECKING:
    from metalearn.config import Config
    from metalearn.problems import Problem

TRAIN_WAYS = 60


@dataclass(frozen=True)
class Prototypes(Algorithm):
    """Meta-parameters without a head, which each task's class means become at the start."""

    classifies: ClassVar[bool] = True
    makes_heads: ClassVar[bool] = True

    def init(self, model: Model, key: Any) -> Any:
        """The network's parameters without a head."""
        return with_head(model.init(key), None)

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        """The parameters with the prototypes' head."""
        features, _ = learner.support_features(meta, support, 0)
        return with_head(meta, prototype_head(features, support[1], ways_of(learner)))

    def with_ways(self, meta: Any, ways: int) -> Any:
        """The same: heads have the ways of their task."""
        del ways
        return meta


@dataclass(frozen=True)
class ProtoNet(Prototypes):
    """The class means of the support set's features as the head; no inner steps."""

    steps: int = 0

    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 0,
        "eval_steps": 0,
        "meta_lr": 1e-3,
        "meta_batch": 1,
    }
    without: ClassVar[tuple[str, ...]] = (
        *("inner_steps", "inner_lr", "eval_steps", "remat"),
        *("order", "adapts"),
    )
    unadapted: ClassVar[str] = "class means, no steps"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps:
            raise OptionError(f"steps={self.steps}: prototypical networks have no inner steps")

    def settled(self, problem: "Problem", config: "Config") -> Mapping[str, Any]:
        """60 ways in training, or as many as there are classes, where these are drawn freely."""
        sampler = problem.sampler("train", config.shots, config.queries, config.seed)
        if config.train_ways is not None or not isinstance(sampler, EpisodeSampler):
            return {}
        return {"train_ways": min(max(TRAIN_WAYS, config.ways), len(sampler.classes))}

    def describe(self) -> str:
        """The settings, for people."""
        return "class means as the head, no inner steps"


@dataclass(frozen=True)
class ProtoMaml(Prototypes, Maml):
    """MAML with `steps` inner steps at `rate`, per unit of mean loss, from the prototypes' head."""

    through_prototypes: bool = True

    unadapted: ClassVar[str] = "class means, 0 steps"

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        """The parameters with the prototypes' head, which is a constant if it is meant to be."""
        params = super().start(learner, meta, support)
        if self.through_prototypes:
            return params
        return with_head(params, ac.tree_map(ac.stop_gradient, head_of(params)))

    def describe(self) -> str:
        """The settings, for people."""
        constant = "" if self.through_prototypes else " taken for constants"
        return f"from class means{constant}, {super().describe()}"


def class_means(features: Any, labels: Any, ways: int) -> tuple[Any, Any]:
    """The mean features (ways, d) of each class, 0 where it has no examples; and which have some.

    Args:
        features: (n, d).
        labels: (n,) integers; what is not in [0, ways) belongs to no class.
    """
    is_of = ac.equal(ac.expand_dims(ac.asarray(labels), -1), np.arange(ways))
    members = ac.astype(is_of, features.dtype)
    counts = ac.sum(members, axis=0)
    sums = ac.transpose(members) @ features
    return sums / ac.expand_dims(ac.maximum(counts, 1), -1), ac.greater(counts, 0)


def prototype_head(features: Any, labels: Any, ways: int) -> dict[str, Any]:
    """The linear head whose logits are −‖f − c_k‖² + ‖f‖². A class without examples has no
    prototype, and is never predicted: its probability is 0, and so is its gradient."""
    means, known = class_means(features, labels, ways)
    bias = -ac.sum(means * means, axis=-1)
    return {"weight": 2 * ac.transpose(means), "bias": ac.where(known, bias, IMPOSSIBLE)}


def ways_of(learner: Learner) -> int:
    """How many classes a task has. Raises `OptionError` for a learner that does not say."""
    if learner.ways is None:
        raise OptionError("Learner.ways is None; expected how many classes a task has")
    return learner.ways
