"""iMAML: the inner problem is solved, and the meta-gradient is that of its solution.

Rajeswaran, Finn, Kakade & Levine 2019, "Meta-learning with implicit gradients",
https://arxiv.org/abs/1909.04630, and the authors' code, aravindr93/imaml_dev. In the paper's
notation, with θ the meta-parameters, L̂ the loss on the support set, and L that on the query set:

    φ* = argmin L̂(φ) + λ/2 |φ − θ|²             equation 4: `step` descends it, `optimality` is
                                                its gradient
    dφ*/dθ = (I + ∇²L̂(φ*)/λ)⁻¹                  lemma 1: `custom_root` of `optimality`
    meta-gradient (I + ∇²L̂(φ*)/λ)⁻¹ ∇L(φ*)      algorithm 2, by conjugate gradients: `inverse`

The inner steps are not differentiated, and nothing of them is kept, however many there are.

**Damping.** Conjugate gradients need a positive definite matrix, which I + H/λ need not be, H being
the Hessian ∇²L̂(φ). The code therefore solves ((1 + δ) I + H/(λ + μ)) g = ∇L(φ), with δ = 1
(`damping`) and μ = 10 (`hessian_damping`); with both 0 it is the paper's equation, by which a
network of relu hardly learned sinusoids. δ about halves the meta-gradient, of which Adam takes no
notice.

The implicit gradient takes φ for the solution: where inner steps diverge it does not lead away from
there, as MAML's does, so that steep losses need a smaller rate.

**Otherwise than in the code,** where inner steps in training descend L̂ alone, a single step towards
θ follows them, and in use there is none: here all steps descend equation 4, as in the paper.

**Units.** Losses are means over the support set, in the code as well, so that λ and the rate carry
over: λ = 2, and 16 steps at 0.1 for 5 ways, 25 for 20 ways.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.parts import partition
from metalearn.tasks.errors import amount


@dataclass(frozen=True)
class Imaml(Algorithm):
    """iMAML with `steps` inner steps at `rate` towards the solution, and `cg_steps` of conjugate
    gradients for the meta-gradient; `strength` is λ, and damping is explained above.

    Raises `OptionError` for settings that make no sense, also for `order=1`: without the Hessian
    nothing is left of the method.
    """

    steps: int = 16
    rate: float = 0.1
    strength: float = 2.0
    cg_steps: int = 5
    damping: float = 1.0
    hessian_damping: float = 10.0

    exact: ClassVar[bool] = False
    without: ClassVar[tuple[str, ...]] = ("order", "remat")
    defaults: ClassVar[Mapping[str, Any]] = {
        "inner_steps": 16,
        "inner_lr": 0.1,
        "eval_steps": 16,
        "meta_lr": 1e-3,
        "meta_batch": 32,
    }
    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "regression": {
            "inner_lr": 2e-3,
            "meta_batch": 25,
            "settings": {"strength": 0.1},
        }
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.strength < float("inf"):
            raise OptionError(f"strength={self.strength!r}; expected a finite number above 0")
        if self.cg_steps < 1:
            raise OptionError(f"cg_steps={self.cg_steps!r}; expected a whole number, at least 1")
        for name in ("damping", "hessian_damping"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise OptionError(f"{name}={getattr(self, name)!r}; expected a finite number ≥ 0")
        if self.order != 2:
            raise OptionError(
                f"order={self.order!r}: implicit gradients have the Hessian; expected 2, or "
                "another algorithm, such as fomaml"
            )

    def step(
        self, learner: Learner, meta: Any, params: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """φ − α (∇L̂(φ) + λ (φ − θ))."""
        gradient, seen = self.gradient(learner, params, support, number)

        def descend(p: Any, g: Any, start: Any) -> Any:
            return p - self.rate * (g + self.strength * (p - start))

        return self.updated(params, descend, gradient, meta), seen

    def adapted_state(self, learner: Learner, meta: Any, support: Any) -> tuple[Any, list]:
        """φ* as far as the inner steps find it, with the derivative in θ of the exact one, and the
        statistics of each pass."""
        fixed = ac.tree_map(ac.stop_gradient, meta)
        found, seen = self.descended(learner, fixed, fixed, support, self.steps)
        passes = [ac.tree_map(lambda x, i=i: x[i], seen) for i in range(self.steps)]

        def optimality(part: Any, meta: Any) -> Any:
            """∇L̂(φ) + λ (φ − θ), for the part of the parameters that adapts."""
            start, joined = partition(meta, self.adapts)
            gradient, _ = self.gradient(learner, joined(part), support, self.steps)
            return ac.tree_map(lambda g, p, q: g + self.strength * (p - q), gradient, part, start)

        solution = ac.custom_root(
            optimality, lambda found, _: found, linear_solver=self.inverse, symmetric=True
        )
        part, _ = partition(found, self.adapts)
        return partition(meta, self.adapts)[1](solution(part, meta)), passes

    def adapted_at(
        self, learner: Learner, meta: Any, support: Any, steps: Sequence[int]
    ) -> Iterator[Any]:
        """The parameters after each of some inner steps."""
        if learner.mode == "per_step":  # whose averages are those of a step's number
            yield from super().adapted_at(learner, meta, support, steps)
            return
        params = meta
        for first, last in pairwise((0, *steps)):
            if last > first:
                params, _ = self.descended(learner, meta, params, support, last - first)
            yield params

    def descended(
        self, learner: Learner, meta: Any, params: Any, support: Any, steps: int
    ) -> tuple[Any, Any]:
        """The parameters after some inner steps more, and the statistics of each, stacked. A
        program holds the step once, however many there are."""

        def step(params: Any, _: Any) -> tuple[Any, Any]:
            return self.step(learner, meta, params, support, 0)

        return ac.scan(step, params, length=steps)

    def inverse(self, matvec: Callable, vector: Any) -> Any:
        """(H + λ I)⁻¹ times a vector, where `matvec` multiplies by H + λ I: λ times it is g."""
        scale = self.strength + self.hessian_damping

        def matrix(v: Any) -> Any:
            """H/(λ + μ) times v."""
            return ac.tree_map(lambda y, x: (y - self.strength * x) / scale, matvec(v), v)

        g = ac.conjugate_gradient(
            matrix, vector, iterations=self.cg_steps, damping=1 + self.damping
        )
        return ac.tree_map(lambda x: x / self.strength, g)

    def describe(self) -> str:
        """The settings, for people."""
        return (
            f"{amount(self.steps, 'inner step')} at {self.rate:g} per unit of mean loss towards "
            f"the solution at λ={self.strength:g}, {self.cg_steps} of conjugate gradients"
        )
