"""MAML: model-agnostic meta-learning, and its first-order form.

Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning for fast adaptation of deep networks",
https://arxiv.org/abs/1703.03400. In its notation, with θ the initialisation, α the inner rate, and
L the loss of task i on its support set (inside) and its query set (outside):

    θ′ = θ − α ∇L(θ)             section 2.2, and line 6 of algorithm 1: `_step`
    θ ← θ − β ∇ Σᵢ Lᵢ(θ′ᵢ)       equation 1: the gradient of `meta_loss`, mapped over tasks

For one inner step the meta-gradient is (I − α H) ∇L_query(θ′), H being the Hessian of the support
loss at θ. The first-order form (section 5.2) leaves α H out.

**Units of the rate.** Losses here are means over the support set. The authors' code divides by the
shots alone, which is to say that it sums over classes, so its α of 0.4 (5-way) and 0.1 (20-way) are
both 2.0 in the units of this file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import autograd_core as ac
from metalearn.learner import Learner
from metalearn.normalisation import collected
from metalearn.tasks import Task

REMAT = ("none", "every", "sqrt")


@dataclass(frozen=True)
class Maml:
    """MAML with `steps` inner steps at `rate`, per unit of mean loss.

    `order` is 2, or 1 for the first-order form. `remat` says what of the inner loop the backward
    pass computes again, where it is not kept in memory: "none", "every" inner step, or, for K
    steps, each of about √K stretches of √K steps ("sqrt"; Griewank & Walther 2000). Results are
    the same.
    """

    steps: int = 1
    rate: float = 0.4
    order: int = 2
    remat: str = "none"

    def meta_loss(self, learner: Learner, params: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """L_query(θ′) of one task; and its score with the statistics of all its passes."""
        passes: list[Any] = []
        for first in range(0, self.steps, self._stretch):
            steps = range(first, min(first + self._stretch, self.steps))
            params, seen = self._run(learner, steps)(params, task.support)
            passes += seen
        loss, (score, last) = learner.query_loss(params, task, self.steps)
        return loss, (score, collected(learner.mode, [*passes, last]))

    def adaptation(
        self, learner: Learner, params: Any, support: Any, steps: int
    ) -> Iterator[tuple[Any, Any]]:
        """θ, θ′, θ″, … with the statistics that each step collected."""
        yield params, None
        for step in range(steps):
            params, seen = self._step(learner, params, support, step)
            yield params, seen

    def _step(self, learner: Learner, params: Any, support: Any, step: int) -> tuple[Any, Any]:
        """θ − α ∇L(θ)."""
        at = params if self.order == 2 else ac.tree_map(ac.stop_gradient, params)
        gradient, seen = ac.grad(learner.support_loss, has_aux=True)(at, support, step)
        return ac.tree_map(lambda p, g: p - self.rate * g, params, gradient), seen

    @property
    def _stretch(self) -> int:
        """Inner steps that are computed again together."""
        return {"none": self.steps, "every": 1, "sqrt": ceil(sqrt(self.steps))}[self.remat]

    def _run(self, learner: Learner, steps: range) -> Any:
        """The function (θ, support) → (θ after these steps, statistics of each)."""

        def run(params: Any, support: Any) -> tuple[Any, list]:
            passes = []
            for step in steps:
                params, seen = self._step(learner, params, support, step)
                passes.append(seen)
            return params, passes

        return run if self.remat == "none" else ac.checkpoint(run)
