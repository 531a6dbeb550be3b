"""Sigmoids and softmaxes: exponentials brought to a common scale, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernels
from autograd_core.declare import elementwise
from autograd_core.ops.elementary import exp
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import normalize_axis
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor, asarray

__all__ = ["log_sigmoid", "log_softmax", "sigmoid", "softmax", "softplus"]


def _sigmoid_kernel(x: Any) -> Any:
    """1 / (1 + e⁻ˣ) as eᵐⁱⁿ⁽ˣ·⁰⁾ / (1 + e⁻|ˣ|): no overflow, accurate in both tails."""
    if x.dtype.kind == "c":
        right = x.real > 0
        small = np.exp(np.where(right, -x, x))
        return np.where(right, 1, small) / (1 + small)
    small = np.exp(-np.abs(x))
    return np.exp(np.minimum(x, 0)) / (1 + small)


def _softplus_kernel(x: Any) -> Any:
    if x.dtype.kind == "c":
        return complex_logaddexp(x, np.zeros_like(x))
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def complex_logaddexp(x: Any, y: Any) -> Any:
    """log(eˣ + eʸ) of complex arrays, with an imaginary part in (-π, π], as that of a logarithm."""
    first = x.real >= y.real
    larger = np.where(first, x, y)
    apart = np.where(x == y, 0, np.where(first, y, x) - larger)  # also of equal infinities
    out = larger + np.log1p(np.exp(apart))
    turns = np.ceil((out.imag - np.pi) / (2 * np.pi))
    return (out - 2j * np.pi * turns).astype(out.dtype)


sigmoid = elementwise(
    "sigmoid",
    _sigmoid_kernel,
    lambda out, _x: out * (1 - out),
    doc="""1 / (1 + e⁻ˣ), elementwise, without overflow; `special.expit` is the same function.

    The derivative is s (1 - s) of the value s.

    >>> ac.special.expit([-745.0, 0.0, 800.0]).tolist()
    [5e-324, 0.5, 1.0]
    >>> ac.grad(ac.sigmoid)(0.0)
    Tensor(0.25, dtype=float64)
    """,
    complex=True,
)
softplus = elementwise(
    "softplus",
    _softplus_kernel,
    lambda _out, x: sigmoid(x),
    doc="""log(1 + eˣ), elementwise, without overflow; its derivative is `sigmoid`.

    >>> ac.softplus([-1000.0, 0.0, 1000.0])
    Tensor([   0.    ,    0.6931, 1000.    ], dtype=float64)
    >>> ac.grad(ac.softplus)(0.0)
    Tensor(0.5, dtype=float64)
    """,
    complex=True,
)


def log_sigmoid(x: Any) -> Tensor:
    """log(sigmoid(x)), elementwise, without overflow; its derivative is sigmoid(-x).

    >>> ac.log_sigmoid([-1000.0, 0.0])
    Tensor([-1000.    ,    -0.6931], dtype=float64)
    >>> ac.grad(ac.log_sigmoid)(-1000.0)
    Tensor(1., dtype=float64)
    """
    return -softplus(-asarray(x))


# softmax --------------------------------------------------------------------------------------


def _domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    return (draw.array(shape),), {"axis": draw.integer(0, len(shape) - 1)}


def _softmax_rule(g: Tensor, out: Tensor, _x: None, *, axis: int) -> Tensor:
    """The Jacobian diag(s) - s sᵀ is symmetric: one rule for both modes."""
    scaled = g * out
    return scaled - out * sum_(scaled, axis, keepdims=True)


softmax_p = Primitive(
    "softmax",
    lambda x, axis: kernels.softmax(x, axis),
    shape=lambda x, axis: x,  # noqa: ARG005
    vjps=[_softmax_rule],
    jvps=[_softmax_rule],
    batch=lambda _size, args, _batched, axis: softmax_p(args[0], axis=axis + 1),
    domain=_domain,
)
log_softmax_p = Primitive(
    "log_softmax",
    lambda x, axis: kernels.log_softmax(x, axis),
    shape=lambda x, axis: x,  # noqa: ARG005
    vjps=[lambda g, out, _x, *, axis: g - exp(out) * sum_(g, axis, keepdims=True)],
    jvps=[lambda t, out, _x, *, axis: t - sum_(exp(out) * t, axis, keepdims=True)],
    batch=lambda _size, args, _batched, axis: log_softmax_p(args[0], axis=axis + 1),
    domain=_domain,
)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) / Σ exp(x) along an axis, without overflow; integers count as float64.

    Entries add up to 1 along the axis, and adding a number to all of them changes nothing, so that
    cotangents add up to 0.

    >>> ac.softmax(ac.asarray([1000.0, 1000.0]))
    Tensor([0.5, 0.5], dtype=float64)
    >>> ac.grad(lambda x: ac.softmax(x)[0])(ac.asarray([0.0, 0.0]))
    Tensor([ 0.25, -0.25], dtype=float64)
    """
    x = _floating(x)
    return softmax_p(x, axis=normalize_axis(axis, x.ndim))


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """log(softmax(x)) along an axis, without overflow, and accurate where softmax(x) is tiny.

    >>> ac.log_softmax(ac.asarray([0.0, -1000.0]))
    Tensor([    0., -1000.], dtype=float64)
    >>> ac.grad(lambda x: -ac.log_softmax(x)[1])(ac.asarray([0.0, 0.0]))  # a cross-entropy
    Tensor([ 0.5, -0.5], dtype=float64)
    """
    x = _floating(x)
    return log_softmax_p(x, axis=normalize_axis(axis, x.ndim))


def _floating(x: Any) -> Tensor:
    """Integers as float64, as NumPy's exp takes them."""
    x = asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)
