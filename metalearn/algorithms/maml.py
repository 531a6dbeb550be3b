"""MAML: model-agnostic meta-learning, and its first-order form.

Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning for fast adaptation of deep networks",
https://arxiv.org/abs/1703.03400. In its notation, with θ the initialisation, α the inner rate, and
L the loss of task i on its support set (inside) and its query set (outside):

    θ′ = θ − α ∇L(θ)             section 2.2, and line 6 of algorithm 1: `step`
    θ ← θ − β ∇ Σᵢ Lᵢ(θ′ᵢ)       equation 1: the gradient of `meta_loss`, mapped over tasks

For one inner step the meta-gradient is (I − α H) ∇L_query(θ′), H being the Hessian of the support
loss at θ. The first-order form (section 5.2, `order=1`) leaves α H out.

**Units of the rate.** Losses here are means over the support set. The authors' code divides by the
shots alone, which is to say that it sums over classes, so its α of 0.4 (5-way) and 0.1 (20-way) are
both 2.0 in the units of this file. That code leaves batch norm's shifts out of the inner loop, as
`adapts="weights"` does.
"""

from dataclasses import dataclass
from typing import Any

from metalearn.algorithms.base import Algorithm
from metalearn.learner import Learner


@dataclass(frozen=True)
class Maml(Algorithm):
    """MAML with `steps` inner steps at `rate`, per unit of mean loss; see `Algorithm`."""

    def step(
        self, learner: Learner, meta: Any, params: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """θ − α ∇L(θ)."""
        del meta
        gradient, seen = self.gradient(learner, params, support, number)
        return self.updated(params, lambda p, g: p - self.rate * g, gradient), seen
