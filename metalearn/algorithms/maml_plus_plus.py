"""MAML++: MAML with its unstable parts mended, each a setting that can be switched off alone.

Antoniou, Edwards & Storkey 2019, "How to train your MAML", https://arxiv.org/abs/1810.09502,
section 4, and the authors' code, https://github.com/AntreasAntoniou/HowToTrainYourMAMLPytorch.
With θᵢ the parameters after i of K inner steps, and L the loss on a support or query set:

    θᵢ₊₁ = θᵢ − αᵢ ∇L_support(θᵢ)     LSLR, `learned_rates`: a rate αᵢ for each tensor and step,
                                      learned as θ₀ is: `step`
    Σᵢ vᵢ L_query(θᵢ), i = 1 … K      MSL, `multi_step_share`: losses on the way count too, less
                                      and less: `meta_loss`, with v from `importance`
    γᵢ, βᵢ                            BNWB, `step_norms`: batch norm's scale and shift have a row
                                      for each step, which inner steps leave alone: `params`
    first order, then second          DA, `first_order_share`: `at`

BNRS, averages of batch norm's statistics for each step, is `--batch-norm per_step`. CA, Adam's
rate along half a cosine from 1e-3 to 1e-5, is `--schedule cosine --meta-lr-final`. All settings
off, this is MAML.

**Units.** The authors' code takes the mean loss over the support set, as is done here: its inner
rate of 0.1 for Omniglot is 0.1 here.

**Where paper and code differ.** The paper takes first-order gradients for 50 of 150 epochs; the
code's settings for the paper's experiments never do, and nor do the defaults here. The code
normalises by the statistics of each batch, in evaluation too, and never uses the averages that it
keeps (`F.batch_norm(…, training=True)`; its issues 3 and 24). So the published accuracies are what
mode `transductive` gives (and the mean output of the five checkpoints best in validation). Training
is the same in both modes, so a run in `per_step` can be evaluated in either. By default the code's
inner steps leave scales and shifts alone, and where they do not, there are no rows.

**Where this file differs from the code.** Parameters after i steps have row i of scales, shifts and
statistics wherever they are used, so that there are K + 1 rows; the code has K, and gives the query
set after step i the row that step i began with. There MSL's weights fall once an epoch, here all
the time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.normalisation import collected
from metalearn.parts import NORMS, partition, with_outputs
from metalearn.tasks import Task

LEAST = 0.03
"""The least weight of a loss on the way, before it is 0, as a share of its first."""


class Meta(NamedTuple):
    """What meta-training changes: the model's parameters, batch norm's with a row for each step,
    (K + 1, C); and the rates of each tensor that is adapted, (K,), or None."""

    params: Any
    rates: Any


@dataclass(frozen=True)
class MamlPlusPlus(Algorithm):
    """MAML++ with `steps` inner steps, whose rates begin at `rate`, per unit of mean loss.

    - `learned_rates`: a learned rate for each tensor and step
    - `step_norms`: a scale and a shift of batch norm for each step; `adapts` has to leave them out
    - `multi_step_share`: the share of training in which query losses after all steps count; 0 for
      the last one only
    - `first_order_share`: the share of training that is done in first order, before the rest in
      `order`; the paper's is 1/3. Learned rates can diverge in it: it does not see that a larger
      rate changes the gradients of later steps

    Test steps beyond the trained ones have the rates, scales and shifts of the last.
    """

    steps: int = 5
    rate: float = 0.1
    adapts: str = "weights"
    learned_rates: bool = True
    step_norms: bool = True
    multi_step_share: float = 0.1
    first_order_share: float = 0.0

    defaults: ClassVar[Mapping[str, Any]] = {"inner_steps": 5, "meta_lr_final": 1e-5}
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "images": {"inner_lr": 0.1, "meta_lr": 3e-3, "meta_batch": 8, "eval_steps": 5}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("multi_step_share", "first_order_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name}={getattr(self, name)}; expected a share from 0 to 1")
        if self.step_norms and self.adapts in ("all", "body"):
            raise OptionError(
                f"adapts={self.adapts!r}: inner steps would change the scales and shifts that "
                "step_norms has a row for at each step; expected weights or head, or "
                "step_norms=false"
            )

    def init(self, model: Model, key: Any) -> Meta:
        params = model.init(key)
        part, _ = partition(params, self.adapts)
        rates = ac.tree_map(lambda p: ac.full(self.steps, self.rate, dtype=p.dtype), part)
        if self.step_norms:
            params = _norms(lambda c: ac.stack([c] * (self.steps + 1)), params)
        return Meta(params, rates if self.learned_rates else None)

    def start(self, learner: Learner, meta: Meta, support: Any) -> Any:
        """The parameters, with all rows, which inner steps leave alone."""
        del learner, support
        return meta.params

    def params(self, meta: Meta, state: Any, number: int) -> Any:
        """γᵢ and βᵢ in their places."""
        del meta
        return _norms(lambda rows: _row(rows, number), state) if self.step_norms else state

    def step(
        self, learner: Learner, meta: Meta, state: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """θᵢ − αᵢ ∇L(θᵢ)."""
        params = self.params(meta, state, number)
        gradient, seen = self.gradient(learner, params, support, number)
        if not self.learned_rates:
            return self.updated(state, lambda p, g: p - self.rate * g, gradient), seen
        rates = ac.tree_map(lambda rows: _row(rows, number), meta.rates)
        return self.updated(state, lambda p, g, a: p - a * g, gradient, rates), seen

    def meta_loss(self, learner: Learner, meta: Meta, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """Σᵢ vᵢ L_query(θᵢ)."""
        if not self.multi_step_share:
            return super().meta_loss(learner, meta, task)

        def step(meta: Meta, state: Any, task: Task, number: int) -> tuple[Any, Any]:
            state, seen = self.step(learner, meta, state, task.support, number)
            params = self.params(meta, state, number + 1)
            return state, (seen, *learner.query_loss(params, task, number + 1))

        _, found = self.unrolled(step, meta, self.start(learner, meta, task.support), task)
        passes, losses, judged = zip(*found, strict=True)
        weights = self.importance(learner.progress)
        early, last = (ac.astype(weight, losses[0].dtype) for weight in weights)
        loss = early * sum(losses[:-1]) + last * losses[-1]
        score, seen = judged[-1]
        return loss, (score, collected(learner.mode, [*passes, seen]))

    def importance(self, progress: Any) -> tuple[Any, Any]:
        """v₁ = … = v_K₋₁, and v_K, at that share of training; they sum to 1. All are 1/K at first;
        the early ones fall in proportion, but not below `LEAST` of that, until they are 0."""
        left = 1 - progress / self.multi_step_share
        early = ac.where(left > 0, ac.maximum(left, LEAST), 0.0) / self.steps
        return early, 1 - (self.steps - 1) * early

    def at(self, fraction: float) -> "MamlPlusPlus":
        """Its settings now. Without early losses there is nothing to compute for them."""
        return replace(
            self,
            order=1 if fraction < self.first_order_share else self.order,
            first_order_share=0.0,
            multi_step_share=self.multi_step_share if fraction < self.multi_step_share else 0.0,
        )

    def with_ways(self, meta: Meta, ways: int) -> Meta:
        return meta._replace(params=with_outputs(meta.params, ways))

    def learned(self, meta: Meta) -> Any:
        """αᵢ, if they are learned."""
        return meta.rates

    def describe(self) -> str:
        parts = {
            "learned rates": self.learned_rates,
            "batch norm's scales for each step": self.step_norms,
            f"losses of all steps for {self.multi_step_share:.0%}": self.multi_step_share,
            f"first order for {self.first_order_share:.0%}": self.first_order_share,
        }
        return "; ".join([super().describe(), *(name for name, on in parts.items() if on)])


def _norms(change: Callable, params: Any) -> Any:
    """The parameters with scales and shifts of batch norm changed."""
    leaves, structure = ac.tree_flatten(params)
    paths = ac.tree.tree_paths(params)
    changed = [
        change(leaf) if path.endswith(NORMS) else leaf
        for path, leaf in zip(paths, leaves, strict=True)
    ]
    return ac.tree_unflatten(structure, changed)


def _row(rows: Any, number: int) -> Any:
    """The row of a step; the last one serves beyond."""
    return rows[min(number, rows.shape[0] - 1)]
