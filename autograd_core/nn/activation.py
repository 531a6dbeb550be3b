"""Activation functions, elementwise. Their derivatives at kinks are said where there are any."""

from __future__ import annotations

import math
from typing import Any

from autograd_core.ops.arithmetic import clip, greater, multiply, relu, where
from autograd_core.ops.elementary import expm1, tanh
from autograd_core.ops.normalize import (
    log_sigmoid,
    log_softmax,
    sigmoid,
    softmax,
    softplus,
)
from autograd_core.ops.special import erfc
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "elu",
    "gelu",
    "hardtanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]

# Klambauer et al., "Self-normalizing neural networks" (2017), equation 14.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """x where x > 0, slope · x elsewhere; the derivative at 0 is `slope`.

    >>> ac.nn.leaky_relu([-2.0, 3.0])
    Tensor([-0.02,  3.  ], dtype=float64)
    >>> [float(ac.grad(ac.nn.leaky_relu)(x)) for x in (-1.0, 0.0, 1.0)]
    [0.01, 0.01, 1.0]
    """
    x = asarray(x)
    return where(greater(x, 0), x, multiply(x, slope))


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where x > 0, alpha · (eˣ - 1) elsewhere; the derivative at 0 is `alpha`.

    Clevert et al., "Fast and accurate deep network learning by exponential linear units" (2016).

    >>> ac.nn.elu([-1.0, 3.0])
    Tensor([-0.6321,  3.    ], dtype=float64)
    >>> ac.grad(ac.nn.elu)(-1.0)
    Tensor(0.3679, dtype=float64)
    """
    x = asarray(x)
    positive = greater(x, 0)
    return where(positive, x, multiply(expm1(where(positive, 0.0, x)), alpha))


def selu(x: Any) -> Tensor:
    """The scaled ELU, which keeps mean 0 and variance 1 from layer to layer.

    Klambauer et al., "Self-normalizing neural networks" (2017).

    >>> ac.nn.selu([-1.0, 1.0])
    Tensor([-1.1113,  1.0507], dtype=float64)
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x · Φ(x), with Φ the distribution function of the normal distribution.

    Hendrycks and Gimpel, "Gaussian error linear units" (2016); with `approximate` by their formula
    with tanh.

    >>> ac.nn.gelu([-1.0, 0.0, 1.0]), ac.nn.gelu([-1.0, 0.0, 1.0], approximate=True)
    (Tensor([-0.1587,  0.    ,  0.8413], dtype=float64),
     Tensor([-0.1588,  0.    ,  0.8412], dtype=float64))
    >>> ac.grad(ac.nn.gelu)(0.0)
    Tensor(0.5, dtype=float64)
    """
    x = asarray(x)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return 0.5 * x * (1 + tanh(inner))
    return 0.5 * x * erfc(x * -math.sqrt(0.5))  # 1 + erf would lose the left tail


def silu(x: Any) -> Tensor:
    """x · sigmoid(x), also called swish.

    >>> ac.nn.silu([-1.0, 0.0, 1.0])
    Tensor([-0.2689,  0.    ,  0.7311], dtype=float64)
    >>> ac.grad(ac.nn.silu)(0.0)
    Tensor(0.5, dtype=float64)
    """
    x = asarray(x)
    return x * sigmoid(x)


def mish(x: Any) -> Tensor:
    """x · tanh(softplus(x)). Misra, "Mish" (2019).

    >>> ac.nn.mish([-1.0, 0.0, 1.0])
    Tensor([-0.3034,  0.    ,  0.8651], dtype=float64)
    """
    x = asarray(x)
    return x * tanh(softplus(x))


def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Tensor:
    """x limited to [low, high]; as for `clip`, the derivative on the bounds is 1.

    >>> ac.nn.hardtanh([-2.0, 0.5, 2.0])
    Tensor([-1. ,  0.5,  1. ], dtype=float64)
    """
    return clip(x, low, high)
