"""Networks as pure functions of a pytree of parameters.

Both are the networks of Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning", section 5.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import autograd_core as ac
from autograd_core import nn, random
from metalearn.errors import OptionError
from metalearn.parts import head_of

BLOCKS = 4
LARGEST_STRIDED = 48  # pixels; larger images are halved by max-pooling


class Model(NamedTuple):
    """A network.

    - `init(key)`: parameters, a pytree of float32 tensors, from a key of `autograd_core.random`
    - `apply(params, x, statistics)`: `(outputs, used)` for a batch x (N, …): outputs (N, outputs),
      and the statistics that its batch norms used, one `nn.Statistics` each. `statistics` is
      "batch" for those of x itself, or such a tuple
    - `features(params, x, statistics)`: the same, with what the last layer sees, (N, features), in
      place of the outputs
    - `normalised`: channels of each batch norm; empty where there is none
    """

    name: str
    init: Callable[[Any], Any]
    apply: Callable[[Any, Any, Any], tuple[Any, tuple]]
    features: Callable[[Any, Any, Any], tuple[Any, tuple]]
    normalised: tuple[int, ...] = ()


def affine(layer: dict, x: Any) -> Any:
    """x (N, inputs) times the layer's weight (inputs, outputs), plus its bias (outputs,)."""
    return x @ layer["weight"] + layer["bias"]


def with_linear_head(features: Callable) -> Callable:
    """`Model.apply` of a network whose last layer is linear in its features."""
    return with_last_layer(features, affine)


def with_last_layer(features: Callable, layer: Callable[[Any, Any], Any]) -> Callable:
    """`Model.apply` of a network whose last layer is a function of its parameters and features."""

    def apply(params: Any, x: Any, statistics: Any) -> tuple[Any, tuple]:
        seen, used = features(params, x, statistics)
        return layer(head_of(params), seen), used

    return apply


def mlp(inputs: int, outputs: int, hidden: Sequence[int] = (40, 40)) -> Model:
    """Fully connected layers with relu between them; x (N, …) is flattened to (N, inputs).

    Weights are He's normal, biases 0; the last layer is scaled to variance 1 / fan-in. For
    sinusoids the paper has two hidden layers of 40.
    """
    widths = (inputs, *hidden, outputs)

    def init(key: Any) -> list:
        keys = random.split(key, len(widths) - 1)
        layers = [_linear(k, i, o) for k, (i, o) in zip(keys, pairwise(widths), strict=True)]
        layers[-1]["weight"] = layers[-1]["weight"] * 0.5**0.5
        return layers

    def features(params: list, x: Any, statistics: Any) -> tuple[Any, tuple]:
        del statistics  # nothing here is normalised
        x = ac.reshape(x, (x.shape[0], inputs))
        for layer in params[:-1]:
            x = nn.relu(affine(layer, x))
        return x, ()

    return Model("mlp", init, with_linear_head(features), features)


def conv4(
    channels: int,
    size: int,
    outputs: int,
    filters: int = 64,
    normalise: bool = True,
    pool: bool | None = None,
) -> Model:
    """Four blocks of 3×3 convolution, batch norm and relu, then a linear layer; x (N, C, H, W).

    - without `pool` the convolutions have stride 2, and the mean over the positions left goes to
      the last layer: 28 → 14 → 7 → 4 → 2 → mean, the paper's network for Omniglot
    - with `pool` each block ends in 2×2 max-pooling, and all positions go to the last layer:
      84 → 42 → 21 → 10 → 5, 25 · filters inputs, the one for mini-ImageNet (32 filters there)
    - by default (`None`) images above 48 pixels are pooled

    A convolution has no bias where batch norm follows, which would take it away again.

    Raises `OptionError` for images too small to be pooled four times.
    """
    pool = size > LARGEST_STRIDED if pool is None else pool
    width = filters * (size >> BLOCKS) ** 2 if pool else filters  # of the features
    if width == 0:
        raise OptionError(
            f"--pooling max-pool: halves images four times, and --image-size {size} is below "
            f"{1 << BLOCKS}; use --pooling stride"
        )

    def init(key: Any) -> dict:
        *keys, last = random.split(key, BLOCKS + 1)
        widths = pairwise((channels, *[filters] * BLOCKS))
        blocks = [_block(k, i, o, normalise) for k, (i, o) in zip(keys, widths, strict=True)]
        return {"blocks": blocks, "head": _linear(last, width, outputs, nn.init.glorot_normal)}

    def features(params: dict, x: Any, statistics: Any) -> tuple[Any, tuple]:
        used = []
        for i, block in enumerate(params["blocks"]):
            x = nn.conv2d(x, block["weight"], block.get("bias"), 1 if pool else 2, padding=1)
            if normalise:
                given = statistics if statistics == "batch" else statistics[i]
                x, seen = nn.batch_norm(
                    x, block["scale"], block["shift"], statistics=given, return_statistics=True
                )
                used.append(seen)
            x = nn.max_pool2d(nn.relu(x), 2) if pool else nn.relu(x)
        x = ac.reshape(x, (x.shape[0], width)) if pool else nn.global_avg_pool(x)
        return x, tuple(used)

    normalised = (filters,) * BLOCKS if normalise else ()
    return Model("conv4", init, with_linear_head(features), features, normalised)


def _linear(key: Any, inputs: int, outputs: int, init: Callable = nn.init.he_normal) -> dict:
    """Weight (inputs, outputs) and bias (outputs,)."""
    weight = init(key, (inputs, outputs), in_axis=0, out_axis=1)
    return {"weight": weight, "bias": ac.zeros(outputs, "float32")}


def _block(key: Any, inputs: int, outputs: int, normalise: bool) -> dict:
    """A 3×3 filter (outputs, inputs, 3, 3), and the batch norm's scale and shift or a bias."""
    weight = nn.init.he_normal(key, (outputs, inputs, 3, 3))
    if not normalise:
        return {"weight": weight, "bias": ac.zeros(outputs, "float32")}
    return {
        "weight": weight,
        "scale": ac.ones(outputs, "float32"),
        "shift": ac.zeros(outputs, "float32"),
    }
