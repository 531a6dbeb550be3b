"""Initial values of parameters: each is `(key, shape, dtype) -> Tensor`.

The fan-in of a weight is the number of inputs that each output is summed over, the fan-out the
number of outputs that each input goes into. Layers lay weights out as (O, I, *window), so the axes
of outputs and inputs are 0 and 1 by default; for `x @ w` with w (I, O) say `in_axis=0, out_axis=1`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels
from autograd_core import random
from autograd_core.declare import nondifferentiable
from autograd_core.device import filled
from autograd_core.errors import ShapeError
from autograd_core.ops.structural import Aval, as_shape, reshape
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor
from kernels.devices import on_host

__all__ = [
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "ones",
    "orthogonal",
    "truncated_normal",
    "zeros",
]

Shape = Any


def zeros(key: Any, shape: Shape, dtype: Any = np.float32) -> Tensor:
    """Zeros, where the key lies; its numbers are not used.

    >>> ac.nn.init.zeros(ac.random.key(0), 3)
    Tensor([0., 0., 0.], dtype=float32)
    """
    return filled(0, as_shape(shape), dtype, key)


def ones(key: Any, shape: Shape, dtype: Any = np.float32) -> Tensor:
    """Ones, where the key lies; its numbers are not used.

    >>> ac.nn.init.ones(ac.random.key(0), 3)
    Tensor([1., 1., 1.], dtype=float32)
    """
    return filled(1, as_shape(shape), dtype, key)


def he_normal(
    key: Any, shape: Shape, dtype: Any = np.float32, in_axis: int = 1, out_axis: int = 0
) -> Tensor:
    """Normal with variance 2 / fan-in, which keeps the scale through relu layers.

    He et al., "Delving deep into rectifiers" (2015), equation 10.

    Args:
        key: see `ac.random`.
        shape: two axes or more: (O, I, *window) by default.
        dtype: floating point.
        in_axis, out_axis: where inputs and outputs are.

    Raises:
        ShapeError: fewer than two axes, or one of no length.

    >>> w = ac.nn.init.he_normal(ac.random.key(0), (100, 50))
    >>> w.dtype, ac.abs(ac.std(w) - (2 / 50) ** 0.5) < 0.01
    (dtype('float32'), Tensor(True, dtype=bool))
    """
    fan_in, _ = fans("he_normal", shape, in_axis, out_axis)
    return random.normal(key, shape, dtype) * math.sqrt(2 / fan_in)


def he_uniform(
    key: Any, shape: Shape, dtype: Any = np.float32, in_axis: int = 1, out_axis: int = 0
) -> Tensor:
    """Uniform with variance 2 / fan-in: in ±√(6 / fan-in).

    Args:
        key, shape, dtype, in_axis, out_axis: those of `he_normal`.

    Raises:
        ShapeError: fewer than two axes, or one of no length.

    >>> w = ac.nn.init.he_uniform(ac.random.key(0), (100, 54))
    >>> ac.max(ac.abs(w)) <= (6 / 54) ** 0.5
    Tensor(True, dtype=bool)
    """
    fan_in, _ = fans("he_uniform", shape, in_axis, out_axis)
    return _symmetric(key, shape, dtype, math.sqrt(6 / fan_in))


def glorot_normal(
    key: Any, shape: Shape, dtype: Any = np.float32, in_axis: int = 1, out_axis: int = 0
) -> Tensor:
    """Normal with variance 2 / (fan-in + fan-out).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
    (2010), equation 12.

    Args:
        key, shape, dtype, in_axis, out_axis: those of `he_normal`.

    Raises:
        ShapeError: fewer than two axes, or one of no length.

    >>> w = ac.nn.init.glorot_normal(ac.random.key(0), (100, 60))
    >>> ac.abs(ac.std(w) - (2 / 160) ** 0.5) < 0.01
    Tensor(True, dtype=bool)
    """
    total = sum(fans("glorot_normal", shape, in_axis, out_axis))
    return random.normal(key, shape, dtype) * math.sqrt(2 / total)


def glorot_uniform(
    key: Any, shape: Shape, dtype: Any = np.float32, in_axis: int = 1, out_axis: int = 0
) -> Tensor:
    """Uniform with variance 2 / (fan-in + fan-out): equation 16 of the paper of `glorot_normal`.

    Args:
        key, shape, dtype, in_axis, out_axis: those of `he_normal`.

    Raises:
        ShapeError: fewer than two axes, or one of no length.

    >>> w = ac.nn.init.glorot_uniform(ac.random.key(0), (8, 4, 3, 3))
    >>> ac.max(ac.abs(w)) <= (6 / (4 * 9 + 8 * 9)) ** 0.5
    Tensor(True, dtype=bool)
    """
    total = sum(fans("glorot_uniform", shape, in_axis, out_axis))
    return _symmetric(key, shape, dtype, math.sqrt(6 / total))


def truncated_normal(
    key: Any,
    shape: Shape,
    dtype: Any = np.float32,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
) -> Tensor:
    """`std` times a standard normal number, given that that lies in [low, high].

    For the default bounds the standard deviation of the result is 0.8796 · std.

    Args:
        key: see `ac.random`.
        shape: any.
        dtype: floating point.
        std: scale of the result.
        low, high: bounds, in standard deviations.

    >>> w = ac.nn.init.truncated_normal(ac.random.key(0), 1000, std=0.1)
    >>> ac.max(ac.abs(w)) <= 0.2
    Tensor(True, dtype=bool)
    """
    below, above = (0.5 * math.erfc(-bound / math.sqrt(2)) for bound in (low, high))
    return truncated_p(
        random.uniform(key, shape, below, above, np.float64),
        low=float(low),
        high=float(high),
        dtype=np.dtype(dtype),
    ) * float(std)


truncated_p: Primitive = nondifferentiable(
    "normal_quantile",
    lambda u, low, high, dtype: np.clip(math.sqrt(2) * kernels.erfinv(2 * u - 1), low, high).astype(
        dtype
    ),
    shape=lambda u, dtype, **_: Aval(u.shape, dtype),
    batch=lambda _size, args, _batched, **params: truncated_p(args[0], **params),
    domain=lambda draw: (
        (draw.array(draw.shape(), 0.1, 0.9),),
        {"low": -1.0, "high": 1.0, "dtype": np.dtype(np.float32)},
    ),
)
"""Numbers in (0, 1) as quantiles of the normal distribution, limited to [low, high]."""


def orthogonal(key: Any, shape: Shape, dtype: Any = np.float32, gain: float = 1.0) -> Tensor:
    """`gain` times a matrix (shape[0], rest) of orthonormal rows, or columns if they are fewer.

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks" (2014). All such matrices are equally likely: Mezzadri, "How to generate
    random matrices from the classical compact groups" (2007).

    Args:
        key: see `ac.random`.
        shape: two axes or more.
        dtype: floating point.
        gain: a scale.

    Raises:
        ShapeError: fewer than two axes.

    >>> w = ac.nn.init.orthogonal(ac.random.key(0), (2, 5), dtype=np.float64)
    >>> ac.norm(w @ w.T - ac.eye(2)) < 1e-12
    Tensor(True, dtype=bool)
    """
    shape = as_shape(shape)
    if len(shape) < 2:
        raise ShapeError(f"orthogonal: expected two axes or more, got shape {shape}")
    matrix = random.normal(key, (shape[0], math.prod(shape[1:])), np.float64)
    return reshape(orthonormal_p(matrix, dtype=np.dtype(dtype)), shape) * float(gain)


@on_host
def _orthonormal(x: Any, dtype: np.dtype) -> Any:
    """The orthogonal factor of each matrix, made unique by a positive diagonal of the other."""
    wide = x.shape[-2] < x.shape[-1]
    q, r = np.linalg.qr(np.swapaxes(x, -1, -2) if wide else x)
    q = q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
    return (np.swapaxes(q, -1, -2) if wide else q).astype(dtype)


orthonormal_p: Primitive = nondifferentiable(
    "orthonormal",
    _orthonormal,
    shape=lambda x, dtype: Aval(x.shape, dtype),
    batch=lambda _size, args, _batched, dtype: orthonormal_p(args[0], dtype=dtype),
    domain=lambda draw: (
        (draw.array((draw.integer(1, 3), draw.integer(1, 3))),),
        {"dtype": np.dtype(np.float64)},
    ),
)


def fans(name: str, shape: Shape, in_axis: int = 1, out_axis: int = 0) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of a shape.

    Raises:
        ShapeError: fewer than two axes, or one of no length.
    """
    shape = as_shape(shape)
    if len(shape) < 2 or math.prod(shape) == 0:
        raise ShapeError(f"{name}: expected a weight (O, I, *window), got shape {shape}")
    window = math.prod(shape) // (shape[in_axis] * shape[out_axis])
    return shape[in_axis] * window, shape[out_axis] * window


def _symmetric(key: Any, shape: Shape, dtype: Any, bound: float) -> Tensor:
    return random.uniform(key, shape, -bound, bound, dtype)
