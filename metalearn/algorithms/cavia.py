"""CAVIA: fast context adaptation. A few context parameters are adapted, and all others shared.

Zintgraf, Shiarlis, Kurin, Hofmann & Whiteson 2019, "Fast context adaptation via meta-learning",
https://arxiv.org/abs/1810.03642, and the authors' code, https://github.com/lmzintgraf/cavia. In its
notation, with φ the context parameters, 0 before each task, θ the shared ones, α the inner rate,
and L_train and L_test the losses of task i on its support and its query set:

    φᵢ = 0 − α ∇φ L_train(φ, θ)          section 3.1, the inner update: `step`
    θ ← θ − β ∇θ Σᵢ L_test(φᵢ, θ)        the outer update: the gradient of `meta_loss`

Where φ enters, θ has weights W for it (section 3.2 and 3.3), which are a part of `meta` beside the
network's own parameters. Here φ changes these parameters (`params`), and no network has to know of
it; what an adaptation results in are a network's parameters like any other.

- Fully connected networks: φ is concatenated to the input, which is to say that the bias of the
  first layer becomes b + φ W.
- Convolutional networks: φ scales and shifts the channels of one block, the third, after batch norm
  (FiLM; Perez et al. 2018), with scale + φ W_scale and shift + φ W_shift. The paper has another
  scale and shift of batch norm's own before these, which makes no more functions; and with
  max-pooling it pools before, which is the same for scales above 0. Without batch norm the bias
  alone is shifted.

Rates are per unit of mean loss, which is also the authors'. Theirs is 1.0 for sinusoids, with 5
context parameters and one step, and for mini-ImageNet, with 100 and two steps. How much a step does
is as much a matter of W, by which outputs move by α W Wᵀ times a gradient: before training it is
normal, with variance 1 / size where it shifts a bias, as in a layer of so many inputs, and 1 where
it scales and shifts. The authors draw the latter with 1 / size too, but beside scales of ±0.1, of
which batch norm in the next block makes as much as of 1, and of their changes ten times as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms.base import Algorithm
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.parts import with_outputs

FOR_LAYERS, FOR_BLOCKS = 5, 100
"""Context parameters in the paper, for sinusoids and for mini-ImageNet."""


@dataclass(frozen=True)
class Cavia(Algorithm):
    """An inner loop over `size` context parameters, (size,); see `Algorithm`.

    With `size` 0 they are as many as in the paper: 5 for fully connected networks and 100 for
    convolutional ones. `block` is the one that they scale and shift in the latter, from 1.
    """

    rate: float = 1.0
    adapts: str = field(default="all", init=False)
    size: int = 0
    block: int = 3

    defaults: ClassVar[Mapping[str, Any]] = {"inner_lr": 1.0}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 0:
            raise OptionError(f"size={self.size}; expected at least 1, or 0 for the paper's")
        if self.block < 1:
            raise OptionError(f"block={self.block}; expected at least 1")

    def init(self, model: Model, key: Any) -> Any:
        params = model.init(key)
        size = self.size or (FOR_BLOCKS if _has_blocks(params) else FOR_LAYERS)
        layer = self._layer(params)
        moved = ("scale", "shift") if "scale" in layer else ("bias",)
        spread = 1.0 if "scale" in layer else size**-0.5
        keys = random.split(random.fold_in(key, 1), len(moved))
        weights = {
            name: spread * random.normal(k, (size, *layer[name].shape))
            for name, k in zip(moved, keys, strict=True)
        }
        return {"params": params, "context": weights}

    def start(self, learner: Learner, meta: Any, support: Any) -> Any:
        """φ = 0."""
        del learner, support
        weights = ac.tree_leaves(meta["context"])[0]
        return ac.zeros_like(weights[:, 0])

    def step(
        self, learner: Learner, meta: Any, context: Any, support: Any, number: int
    ) -> tuple[Any, Any]:
        """φ − α ∇φ L(φ, θ)."""
        given, at = meta, context
        if self.order == 1:
            given, at = ac.tree_map(ac.stop_gradient, (meta, context))

        def loss(context: Any) -> tuple[Any, Any]:
            return learner.support_loss(self.params(given, context, number), support, number)

        gradient, seen = ac.grad(loss, has_aux=True)(at)
        return context - self.rate * gradient, seen

    def params(self, meta: Any, context: Any, number: int) -> Any:
        """The network's parameters, with the layer that φ enters moved by φ W."""
        del number
        layer = self._layer(meta["params"])
        moved = {name: layer[name] + context @ weight for name, weight in meta["context"].items()}
        return self._with_layer(meta["params"], {**layer, **moved})

    def with_ways(self, meta: Any, ways: int) -> Any:
        return {**meta, "params": with_outputs(meta["params"], ways)}

    def describe(self) -> str:
        return f"{super().describe()}, of context parameters alone"

    def _layer(self, params: Any) -> dict[str, Any]:
        """The parameters of the layer that φ enters. Raises `OptionError`."""
        if not _has_blocks(params):
            return params[0]
        if self.block > len(params["blocks"]):
            raise OptionError(f"block={self.block}; there are {len(params['blocks'])}")
        return params["blocks"][self.block - 1]

    def _with_layer(self, params: Any, layer: Any) -> Any:
        """The network's parameters with that layer in its place."""
        if not _has_blocks(params):
            return [layer, *params[1:]]
        blocks = list(params["blocks"])
        blocks[self.block - 1] = layer
        return {**params, "blocks": blocks}


def _has_blocks(params: Any) -> bool:
    """Whether it is a network of convolutional blocks, and not a list of layers.

    Raises `OptionError` for what is neither.
    """
    if isinstance(params, dict) and "blocks" in params:
        return True
    if isinstance(params, list) and params:
        return False
    raise OptionError(
        f"the parameters are a {type(params).__name__}, and no context can enter; expected a list "
        'of layers, or a dictionary with the entry "blocks"'
    )
