"""ANIL: almost no inner loop. Only the last layer is adapted.

Raghu, Raghu, Bengio & Vinyals 2020, "Rapid learning or feature reuse? Towards understanding the
effectiveness of MAML", https://arxiv.org/abs/1909.09157. In its notation, with θ₁ … θₗ the layers,
α the inner rate, and L the loss of a task on its support set:

    (θ₁, …, θₗ₋₁, θₗ − α ∇θₗ L)    section 4, the inner update: `step`

for one step and the same again for more; the outer loop changes all layers, as MAML's does. It is
`Maml(adapts="head")` to rounding, but what the last layer sees of the support set does not depend
on the inner step, so it is computed once (`start`) and not once a step. Where batch norm's averages
are kept for every step, those of step 0 serve, which are MAML's as long as no more steps are taken
than in training.

Rates are per unit of mean loss, as in `algorithms.maml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.learner import Learner
from metalearn.models import affine
from metalearn.parts import head_of, with_head


@dataclass(frozen=True)
class Anil(Algorithm):
    """MAML whose inner steps change the last layer, which is linear; see `Algorithm`.

    The state is that layer, with what it sees of the support set, (n, features), and the
    statistics that batch norm used on the way.
    """

    adapts: str = field(default="head", init=False)

    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # At 0.01, of sinusoids, the steps after that of training may diverge.
        "functions": {"inner_lr": 3e-3}
    }

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        features, used = learner.support_features(meta, support, 0)
        return {"head": head_of(meta), "features": features, "used": used}

    def step(
        self, learner: Learner, meta: Any, state: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """θₗ − α ∇θₗ L."""
        del meta, number
        features, head = state["features"], state["head"]
        if self.order == 1:
            features, head = ac.tree_map(ac.stop_gradient, (features, head))

        def loss(head: Any) -> Any:
            return learner.measure.loss(affine(head, features), support[1])

        moved = ac.tree_map(lambda p, g: p - self.rate * g, state["head"], ac.grad(loss)(head))
        return {**state, "head": moved}, state["used"]

    def params(self, meta: Any, state: Any, number: int) -> Any:
        del number
        return with_head(meta, state["head"])

    def describe(self) -> str:
        return f"{super().describe()}, of the last layer alone"
