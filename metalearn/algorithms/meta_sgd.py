"""Meta-SGD: an initialisation together with a rate for every one of its numbers.

Li, Zhou, Chen & Li 2017, "Meta-SGD: learning to learn quickly for few-shot learning",
https://arxiv.org/abs/1707.09835. In its notation, with θ the initialisation, α the rates, of the
same shape, L_train and L_test the losses of a task on its support and its query set:

    θ′ = θ − α ∘ ∇L_train(θ)                          equation 2: `step`
    (θ, α) ← (θ, α) − β ∇ Σ L_test(θ′)                equation 3: the gradient of `meta_loss`

so that for one inner step the meta-gradient of the rates is −∇L_train(θ) ∘ ∇L_test(θ′). Nothing
keeps rates from turning negative, in the paper as here: α ∘ ∇L is a learned direction as much as a
learned length. The paper takes one step; with more, all of them have these rates.

Rates are per unit of mean loss, as in `algorithms.maml`.
"""

from dataclasses import dataclass
from typing import Any

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.parts import with_outputs

INITIAL = ("rate", "uniform")
LOW, HIGH = 0.005, 0.1  # the paper's range of initial rates


@dataclass(frozen=True)
class MetaSgd(Algorithm):
    """MAML with learned rates, one a parameter; see `Algorithm`.

    `initial` says what they are before training: `rate`, all of them ("rate"), or drawn in
    [0.005, 0.1) each ("uniform"), as suits sinusoids.
    """

    initial: str = "rate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial not in INITIAL:
            raise OptionError(f"initial={self.initial!r}; expected one of {', '.join(INITIAL)}")

    def init(self, model: Model, key: Any) -> Any:
        params = model.init(key)
        return {"params": params, "rates": self._initial_rates(params, random.fold_in(key, 1))}

    def _initial_rates(self, params: Any, key: Any) -> Any:
        if self.initial == "rate":
            return ac.tree_map(lambda p: ac.full_like(p, self.rate), params)
        leaves, structure = ac.tree_flatten(params)
        keys = random.split(key, len(leaves))
        rates = [random.uniform(k, p.shape, LOW, HIGH) for k, p in zip(keys, leaves, strict=True)]
        return ac.tree_unflatten(structure, rates)

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        del learner, support
        return meta["params"]

    def step(
        self, learner: Learner, meta: Any, params: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """θ − α ∘ ∇L(θ)."""
        gradient, seen = self.gradient(learner, params, support, number)
        return self.updated(params, lambda p, g, a: p - a * g, gradient, meta["rates"]), seen

    def with_ways(self, meta: Any, ways: int) -> Any:
        return {name: with_outputs(tree, ways) for name, tree in meta.items()}

    def learned(self, meta: Any) -> Any:
        """α, for all inner steps."""
        return ac.tree_map(lambda a: ac.expand_dims(a, 0), meta["rates"])

    def describe(self) -> str:
        start = f"{self.rate:g}" if self.initial == "rate" else f"{LOW} to {HIGH}"
        order, plural = {1: "first", 2: "second"}[self.order], "s" * (self.steps != 1)
        return (
            f"{order} order, {self.steps} inner step{plural} at learned rates, at first {start} "
            "per unit of mean loss"
        )
