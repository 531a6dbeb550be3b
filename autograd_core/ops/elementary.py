"""Exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.declare import elementwise
from autograd_core.tensor import Tensor

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sin",
    "sinc",
    "sinh",
    "tan",
    "tanh",
]

positive = (0.2, 3.0)
inside = (-0.8, 0.8)

exp = elementwise("exp", np.exp, lambda out, _x: out, doc="eˣ, elementwise.", complex=True)
exp2 = elementwise(
    "exp2", np.exp2, lambda out, _x: out * math.log(2), doc="2ˣ, elementwise.", complex=True
)


def _expm1_kernel(x: Any) -> Any:
    """NumPy's, but for complex numbers that are 0 or not finite, where it makes 0 · inf."""
    out = np.expm1(x)
    if out.dtype.kind != "c":
        return out
    return np.where(np.isfinite(x) & (x != 0), out, np.exp(x) - 1)


expm1 = elementwise(
    "expm1",
    _expm1_kernel,
    lambda out, _x: out + 1,
    doc="eˣ - 1, elementwise, accurate near 0.",
    complex=True,
)
log = elementwise(
    "log",
    np.log,
    lambda _out, x: reciprocal(x),
    domain=positive,
    doc="The natural logarithm.",
    complex=True,
)
log2 = elementwise(
    "log2",
    np.log2,
    lambda _out, x: (1 / math.log(2)) / x,
    domain=positive,
    doc="The logarithm to base 2.",
    complex=True,
)
log10 = elementwise(
    "log10",
    np.log10,
    lambda _out, x: (1 / math.log(10)) / x,
    domain=positive,
    doc="The logarithm to base 10.",
    complex=True,
)
log1p = elementwise(
    "log1p",
    np.log1p,
    lambda _out, x: reciprocal(x + 1),
    domain=(-0.7, 3.0),
    doc="log(1 + x), elementwise, accurate near 0.",
    complex=True,
)
sin = elementwise("sin", np.sin, lambda _out, x: cos(x), doc="The sine of x radians.", complex=True)
cos = elementwise(
    "cos", np.cos, lambda _out, x: -sin(x), doc="The cosine of x radians.", complex=True
)
tan = elementwise(
    "tan",
    np.tan,
    lambda out, _x: square(out) + 1,
    domain=(-1.2, 1.2),
    doc="The tangent.",
    complex=True,
)


def _one_less_square(x: Tensor) -> Tensor:
    """1 - x², without a loss of digits where x is close to 1 or -1."""
    return (1 - x) * (1 + x)


arcsin = elementwise(
    "arcsin",
    np.arcsin,
    lambda _out, x: reciprocal(sqrt(_one_less_square(x))),
    domain=inside,
    complex=True,
)
arccos = elementwise(
    "arccos",
    np.arccos,
    lambda _out, x: -reciprocal(sqrt(_one_less_square(x))),
    domain=inside,
    complex=True,
)
arctan = elementwise("arctan", np.arctan, lambda _out, x: reciprocal(square(x) + 1), complex=True)
sinh = elementwise("sinh", np.sinh, lambda _out, x: cosh(x), complex=True)
cosh = elementwise("cosh", np.cosh, lambda _out, x: sinh(x), complex=True)
tanh = elementwise("tanh", np.tanh, lambda out, _x: 1 - square(out), complex=True)
arcsinh = elementwise(
    "arcsinh", np.arcsinh, lambda _out, x: reciprocal(sqrt(square(x) + 1)), complex=True
)
arccosh = elementwise(
    "arccosh",
    np.arccosh,
    lambda _out, x: reciprocal(sqrt(x - 1) * sqrt(x + 1)),
    domain=(1.3, 3.0),
    complex=True,
)
arctanh = elementwise(
    "arctanh",
    np.arctanh,
    lambda _out, x: reciprocal(_one_less_square(x)),
    domain=inside,
    complex=True,
)

SINC_TERMS = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]


# The array API standard's names.
acos, asin, atan, acosh, asinh, atanh = arccos, arcsin, arctan, arccosh, arcsinh, arctanh


def sinc(x: Any) -> Tensor:
    """sin(πx) / (πx), elementwise, 1 at 0; its derivatives of any order are right there too."""
    x = multiply(x, math.pi)
    near = less(absolute(x), 0.5)  # where the series is exact to rounding, and its derivatives
    squared = square(where(near, x, 0.0))
    series: Any = 0.0
    for term in reversed(SINC_TERMS):
        series = series * squared + term
    away = where(near, 1.0, x)
    return where(near, series, sin(away) / away)


from autograd_core.ops.arithmetic import absolute, less, multiply, reciprocal, sqrt, square, where  # noqa: E402 - used by the rules
