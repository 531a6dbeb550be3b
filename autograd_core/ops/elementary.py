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

exp = elementwise(
    "exp",
    np.exp,
    lambda out, _x: out,
    doc="""eˣ, elementwise, which is its own derivative; inf above 709.78 in float64, 0 below
    -745.2.

    >>> ac.exp([0.0, 1.0, -ac.inf])
    Tensor([1.    , 2.7183, 0.    ], dtype=float64)
    >>> ac.grad(ac.grad(ac.exp))(1.0)
    Tensor(2.7183, dtype=float64)
    """,
    complex=True,
)
exp2 = elementwise(
    "exp2",
    np.exp2,
    lambda out, _x: out * math.log(2),
    doc="""2ˣ, elementwise, with the derivative 2ˣ log 2.

    >>> ac.exp2([0.0, 3.0, -1.0])
    Tensor([1. , 8. , 0.5], dtype=float64)
    >>> ac.grad(ac.exp2)(0.0)
    Tensor(0.6931, dtype=float64)
    """,
    complex=True,
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
    doc="""eˣ - 1, elementwise, accurate near 0, where the difference itself would cancel.

    The derivative is eˣ; `log1p` is the inverse.

    >>> ac.expm1(1e-10) * 1e10
    Tensor(1., dtype=float64)
    >>> ac.grad(ac.expm1)(0.0)
    Tensor(1., dtype=float64)
    """,
    complex=True,
)
log = elementwise(
    "log",
    np.log,
    lambda _out, x: reciprocal(x),
    domain=positive,
    doc="""The natural logarithm, elementwise: -inf at 0, NaN left of it, and 1/x as derivative.

    Of complex numbers it is log |x| + i angle(x), with the cut along the negative real numbers.

    >>> ac.log([1.0, ac.e, 0.0]), ac.log(-1 + 0j)
    (Tensor([  0.,   1., -inf], dtype=float64), Tensor(0.+3.1416j, dtype=complex128))
    >>> ac.grad(ac.log)(4.0)
    Tensor(0.25, dtype=float64)
    """,
    complex=True,
)
log2 = elementwise(
    "log2",
    np.log2,
    lambda _out, x: (1 / math.log(2)) / x,
    domain=positive,
    doc="""The logarithm to base 2, elementwise, with the derivative 1/(x log 2).

    -inf at 0, NaN left of it.

    >>> ac.log2([1.0, 8.0, 0.5])
    Tensor([ 0.,  3., -1.], dtype=float64)
    >>> ac.grad(ac.log2)(1.0)
    Tensor(1.4427, dtype=float64)
    """,
    complex=True,
)
log10 = elementwise(
    "log10",
    np.log10,
    lambda _out, x: (1 / math.log(10)) / x,
    domain=positive,
    doc="""The logarithm to base 10, elementwise, with the derivative 1/(x log 10).

    >>> ac.log10([1.0, 1000.0, 0.0])
    Tensor([  0.,   3., -inf], dtype=float64)
    >>> ac.grad(ac.log10)(1.0)
    Tensor(0.4343, dtype=float64)
    """,
    complex=True,
)
log1p = elementwise(
    "log1p",
    np.log1p,
    lambda _out, x: reciprocal(x + 1),
    domain=(-0.7, 3.0),
    doc="""log(1 + x), elementwise, accurate near 0, where 1 + x itself would be rounded.

    -inf at -1 and NaN left of it. The derivative is 1/(1 + x); `expm1` is the inverse.

    >>> ac.log1p(1e-20) * 1e20
    Tensor(1., dtype=float64)
    >>> ac.grad(ac.log1p)(1.0)
    Tensor(0.5, dtype=float64)
    """,
    complex=True,
)
sin = elementwise(
    "sin",
    np.sin,
    lambda _out, x: cos(x),
    doc="""The sine of x radians, elementwise; its derivative is the cosine.

    NaN at ±inf. Complex numbers are taken too.

    >>> ac.sin([0.0, ac.pi / 2])
    Tensor([0., 1.], dtype=float64)
    >>> ac.grad(ac.sin)(0.0), ac.grad(ac.grad(ac.sin))(ac.pi / 2)
    (Tensor(1., dtype=float64), Tensor(-1., dtype=float64))
    """,
    complex=True,
)
cos = elementwise(
    "cos",
    np.cos,
    lambda _out, x: -sin(x),
    doc="""The cosine of x radians, elementwise; its derivative is -sin(x).

    NaN at ±inf.

    >>> ac.cos([0.0, ac.pi / 3, ac.pi])
    Tensor([ 1. ,  0.5, -1. ], dtype=float64)
    >>> ac.grad(ac.cos)(ac.pi / 2)
    Tensor(-1., dtype=float64)
    """,
    complex=True,
)
tan = elementwise(
    "tan",
    np.tan,
    lambda out, _x: square(out) + 1,
    domain=(-1.2, 1.2),
    doc="""The tangent of x radians, elementwise; its derivative is 1 + tan(x)².

    >>> ac.tan([0.0, ac.pi / 4])
    Tensor([0., 1.], dtype=float64)
    >>> ac.grad(ac.tan)(ac.pi / 4)
    Tensor(2., dtype=float64)
    """,
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
    doc="""The angle in [-π/2, π/2] whose sine is x, elementwise; NaN outside of [-1, 1].

    The derivative is 1/√(1 - x²), which is inf at ±1.

    >>> ac.asin([0.0, 1.0, 2.0])
    Tensor([0.    , 1.5708,    nan], dtype=float64)
    >>> ac.grad(ac.asin)(0.6)
    Tensor(1.25, dtype=float64)
    """,
)
arccos = elementwise(
    "arccos",
    np.arccos,
    lambda _out, x: -reciprocal(sqrt(_one_less_square(x))),
    domain=inside,
    complex=True,
    doc="""The angle in [0, π] whose cosine is x, elementwise; NaN outside of [-1, 1].

    The derivative is -1/√(1 - x²), which is -inf at ±1.

    >>> ac.acos([1.0, 0.0, -1.0])
    Tensor([0.    , 1.5708, 3.1416], dtype=float64)
    >>> ac.grad(ac.acos)(0.6), ac.grad(ac.acos)(1.0)
    (Tensor(-1.25, dtype=float64), Tensor(-inf, dtype=float64))
    """,
)
arctan = elementwise(
    "arctan",
    np.arctan,
    lambda _out, x: reciprocal(square(x) + 1),
    complex=True,
    doc="""The angle in (-π/2, π/2) whose tangent is x, elementwise; ±π/2 at ±inf.

    The derivative is 1/(1 + x²). For the angle of a point in the plane see `atan2`.

    >>> ac.atan([0.0, 1.0, ac.inf])
    Tensor([0.    , 0.7854, 1.5708], dtype=float64)
    >>> ac.grad(ac.atan)(1.0)
    Tensor(0.5, dtype=float64)
    """,
)
sinh = elementwise(
    "sinh",
    np.sinh,
    lambda _out, x: cosh(x),
    complex=True,
    doc="""The hyperbolic sine (eˣ - e⁻ˣ)/2, elementwise; its derivative is cosh(x).

    >>> ac.sinh([0.0, 1.0])
    Tensor([0.    , 1.1752], dtype=float64)
    >>> ac.grad(ac.sinh)(0.0)
    Tensor(1., dtype=float64)
    """,
)
cosh = elementwise(
    "cosh",
    np.cosh,
    lambda _out, x: sinh(x),
    complex=True,
    doc="""The hyperbolic cosine (eˣ + e⁻ˣ)/2, elementwise; its derivative is sinh(x).

    >>> ac.cosh([0.0, 1.0])
    Tensor([1.    , 1.5431], dtype=float64)
    >>> ac.grad(ac.cosh)(1.0)
    Tensor(1.1752, dtype=float64)
    """,
)
tanh = elementwise(
    "tanh",
    np.tanh,
    lambda out, _x: 1 - square(out),
    complex=True,
    doc="""The hyperbolic tangent, elementwise, in [-1, 1]; its derivative is 1 - tanh(x)².

    >>> ac.tanh([0.0, 1.0, -ac.inf])
    Tensor([ 0.    ,  0.7616, -1.    ], dtype=float64)
    >>> ac.grad(ac.tanh)(0.0), ac.grad(ac.tanh)(1.0)
    (Tensor(1., dtype=float64), Tensor(0.42, dtype=float64))
    """,
)
arcsinh = elementwise(
    "arcsinh",
    np.arcsinh,
    lambda _out, x: reciprocal(sqrt(square(x) + 1)),
    complex=True,
    doc="""The inverse of `sinh`, elementwise: log(x + √(x² + 1)) without cancellation.

    The derivative is 1/√(x² + 1).

    >>> ac.asinh([0.0, 1.0, -1e300])
    Tensor([   0.    ,    0.8814, -691.4687], dtype=float64)
    >>> ac.grad(ac.asinh)(0.0)
    Tensor(1., dtype=float64)
    """,
)
arccosh = elementwise(
    "arccosh",
    np.arccosh,
    lambda _out, x: reciprocal(sqrt(x - 1) * sqrt(x + 1)),
    domain=(1.3, 3.0),
    complex=True,
    doc="""The inverse of `cosh`, elementwise, which is not negative; NaN below 1.

    The derivative is 1/√(x² - 1), which is inf at 1.

    >>> ac.acosh([1.0, 2.0, 0.0])
    Tensor([0.   , 1.317,   nan], dtype=float64)
    >>> ac.grad(ac.acosh)(1.25)
    Tensor(1.3333, dtype=float64)
    """,
)
arctanh = elementwise(
    "arctanh",
    np.arctanh,
    lambda _out, x: reciprocal(_one_less_square(x)),
    domain=inside,
    complex=True,
    doc="""The inverse of `tanh`, elementwise: ±inf at ±1, NaN outside of [-1, 1].

    The derivative is 1/(1 - x²).

    >>> ac.atanh([0.0, 0.5, 1.0])
    Tensor([0.    , 0.5493,    inf], dtype=float64)
    >>> ac.grad(ac.atanh)(0.5)
    Tensor(1.3333, dtype=float64)
    """,
)

SINC_TERMS = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]


# The array API standard's names.
acos, asin, atan, acosh, asinh, atanh = arccos, arcsin, arctan, arccosh, arcsinh, arctanh


def sinc(x: Any) -> Tensor:
    """sin(πx) / (πx), elementwise, 1 at 0; its derivatives of any order are right there too.

    It is 0 at the other whole numbers. Near 0 it is a series, as the quotient has no derivative
    there.

    >>> ac.sinc([0.0, 0.5, 1.0])
    Tensor([1.    , 0.6366, 0.    ], dtype=float64)
    >>> ac.grad(ac.grad(ac.sinc))(0.0)  # -π²/3
    Tensor(-3.2899, dtype=float64)
    """
    x = multiply(x, math.pi)
    near = less(absolute(x), 0.5)  # where the series is exact to rounding, and its derivatives
    squared = square(where(near, x, 0.0))
    series: Any = 0.0
    for term in reversed(SINC_TERMS):
        series = series * squared + term
    away = where(near, 1.0, x)
    return where(near, series, sin(away) / away)


from autograd_core.ops.arithmetic import absolute, less, multiply, reciprocal, sqrt, square, where  # noqa: E402 - used by the rules
