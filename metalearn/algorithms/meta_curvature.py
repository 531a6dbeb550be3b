"""Meta-curvature: an initialisation together with matrices that turn its inner gradients.

Park & Oliva 2019, "Meta-curvature", https://arxiv.org/abs/1902.03356, and the authors' code,
https://github.com/silverbottlep/maml. In its notation, with θ the initialisation, α the inner rate,
L the loss of a task on its support set, and G = ∇L(θ) for one of the parameters:

    MC(G) = G ×₁ M_out ×₂ M_in ×₃ M_f    section 3.2: `curved`
    θ′ = θ − α MC(∇L(θ))                 section 3.3: `step`

for a filter, whose modes are outputs, inputs and the window's positions, as one. The weights of a
linear layer have the first two. A bias, or a scale or shift of batch norm, has a diagonal: a factor
for each entry. G ×ₙ M is the product of M with the fibres of G along mode n, so that MC is one
large matrix in Kronecker's factors, M_out ⊗ M_in ⊗ M_f. All of them are the identity before
training, where it is MAML, and nothing keeps them symmetric or positive. (The code multiplies by
M_out from the right, by what is its transpose here; being learned, it is as good.)

Rates are per unit of mean loss, as in `algorithms.maml`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import autograd_core as ac
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.parts import head_of, with_head, with_outputs

MODES = ("out", "in", "window")


def modes_of(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The modes of a parameter, axis by axis; those after the second are one, the window."""
    if len(shape) < 2:
        return ("diagonal",)
    return ("in", "out") if len(shape) == 2 else MODES


def joined_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of these modes."""
    return shape if len(shape) <= 2 else (*shape[:2], math.prod(shape[2:]))


def curved(gradient: Any, matrices: dict[str, Any]) -> Any:
    """MC(G): the product with the matrix of each mode that has one, or with the diagonal."""
    if "diagonal" in matrices:
        return matrices["diagonal"] * gradient
    product = ac.reshape(gradient, joined_axes(gradient.shape))
    for axis, mode in enumerate(modes_of(gradient.shape)):
        if mode in matrices:
            product = ac.moveaxis(ac.tensordot(matrices[mode], product, ((1,), (axis,))), 0, axis)
    return ac.reshape(product, gradient.shape)


@dataclass(frozen=True)
class MetaCurvature(Algorithm):
    """MAML with a learned curvature; see `Algorithm`.

    `modes` are those that have a matrix, of "out", "in" and "window", separated by commas; the
    matrices of the others stay the identity, and take no memory. One of linear layers with very
    many inputs is large.
    """

    modes: str = ",".join(MODES)

    kind_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # More steps than training has may not descend by matrices that are learned for it.
        "functions": {"inner_lr": 3e-3, "eval_steps": 3}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not set(self._modes) <= set(MODES):
            raise OptionError(
                f"modes={self.modes!r}; expected some of {', '.join(MODES)}, separated by commas"
            )

    @property
    def _modes(self) -> list[str]:
        return self.modes.split(",")

    def init(self, model: Model, key: Any) -> Any:
        params = model.init(key)
        return {"params": params, "curvature": ac.tree_map(self._identity, params)}

    def _identity(self, param: Any) -> dict[str, Any]:
        """The matrix of each mode of a parameter that is to have one."""
        if len(param.shape) < 2:
            return {"diagonal": ac.ones_like(param)}
        lengths = zip(modes_of(param.shape), joined_axes(param.shape), strict=True)
        return {
            mode: ac.eye(length, dtype=param.dtype, device=param.device)
            for mode, length in lengths
            if mode in self._modes
        }

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        del learner, support
        return meta["params"]

    def step(
        self, learner: Learner, meta: Any, params: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """θ − α MC(∇L(θ))."""
        gradient, seen = self.gradient(learner, params, support, number)

        def moved(p: Any, g: Any, matrices: dict[str, Any]) -> Any:
            return p if g is None else p - self.rate * curved(g, matrices)

        return ac.tree_map(moved, params, gradient, meta["curvature"]), seen

    def with_ways(self, meta: Any, ways: int) -> Any:
        """Of the last layer's matrices, what belongs to the first `ways` outputs."""

        def kept(mode: str, matrix: Any) -> Any:
            return matrix if mode == "in" else matrix[(slice(ways),) * matrix.ndim]

        head = {
            name: {mode: kept(mode, matrix) for mode, matrix in matrices.items()}
            for name, matrices in head_of(meta["curvature"]).items()
        }
        return {
            "params": with_outputs(meta["params"], ways),
            "curvature": with_head(meta["curvature"], head),
        }
