"""Elementwise arithmetic, comparison, logic, rounding and selection.

Values at kinks follow docs/conventions.md: `abs` and `relu` have derivative 0 at 0, `maximum` and
`minimum` split evenly at ties, `clip` passes the derivative on its bounds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.declare import (
    NEGATED,
    SAME,
    by_rule,
    elementwise,
    piecewise_constant,
    real_only,
)
from autograd_core.errors import DtypeError
from autograd_core.primitive import no_rule
from autograd_core.tensor import INEXACT, Tensor, alias, asarray

__all__ = [
    "abs",
    "absolute",
    "add",
    "arctan2",
    "around",
    "atan2",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "cbrt",
    "ceil",
    "clip",
    "copysign",
    "deg2rad",
    "degrees",
    "divide",
    "divmod",
    "equal",
    "float_power",
    "floor",
    "floor_divide",
    "fmod",
    "greater",
    "greater_equal",
    "heaviside",
    "hypot",
    "invert",
    "isfinite",
    "isinf",
    "isnan",
    "left_shift",
    "less",
    "less_equal",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "modf",
    "multiply",
    "nan_to_num",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "power",
    "rad2deg",
    "radians",
    "reciprocal",
    "relu",
    "remainder",
    "right_shift",
    "rint",
    "round",
    "sign",
    "signbit",
    "sqrt",
    "square",
    "subtract",
    "true_divide",
    "trunc",
    "where",
]

above = (0.2, 3.0)


def _once(x: Any) -> Any:
    """An array repeated by `broadcast`, without the repetition: axes of stride 0 get length 1."""
    return x[tuple(slice(None) if s else slice(1) for s in x.strides)]


add = elementwise(
    "add",
    np.add,
    SAME,
    SAME,
    doc="""x + y, elementwise: what the operator `+` does.

    x and y broadcast against each other, here as in every elementwise function. Arrays promote each
    other; Python numbers promote nothing. The derivative in each is 1, summed over the axes along
    which it was repeated.

    >>> ac.add(ac.asarray([1.0, 2.0]), 10)
    Tensor([11., 12.], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.add(x, ac.zeros((3, 2)))))(ac.asarray([1.0, 2.0]))
    Tensor([3., 3.], dtype=float64)
    """,
    complex=True,
)
subtract = elementwise(
    "subtract",
    np.subtract,
    SAME,
    NEGATED,
    doc="""x - y, elementwise: what the operator `-` does; the derivatives are 1 and -1.

    >>> ac.subtract([5.0, 7.0], [1.0, 2.0])
    Tensor([4., 5.], dtype=float64)
    >>> ac.grad(ac.subtract, (0, 1))(5.0, 1.0)
    (Tensor(1., dtype=float64), Tensor(-1., dtype=float64))
    """,
    complex=True,
)
multiply = elementwise(
    "multiply",
    np.multiply,
    lambda _out, _x, y: y,
    lambda _out, x, _y: x,
    doc="""x · y, elementwise: what the operator `*` does; the derivatives are y and x.

    Of booleans it is their conjunction.

    >>> ac.multiply([1.0, 2.0], [[3.0], [4.0]])
    Tensor([[3., 6.],
            [4., 8.]], dtype=float64)
    >>> ac.grad(ac.multiply, (0, 1))(2.0, 5.0)
    (Tensor(5., dtype=float64), Tensor(2., dtype=float64))
    """,
    complex=True,
)


def _divide_kernel(x: Any, y: Any) -> Any:
    """x / y. Where `broadcast` repeats x along axes on which y has one entry, so it does x / y: the
    cotangent of a mean of normalised values is of that kind, and large."""
    if x.__class__ is y.__class__ is np.ndarray and 0 in x.strides and x.ndim == y.ndim:
        same = [s == 0 and n == 1 for s, n in zip(x.strides, y.shape, strict=True)]
        once = x[tuple(slice(1) if one else slice(None) for one in same)]
        return np.broadcast_to(once / y, np.broadcast_shapes(x.shape, y.shape))
    return np.true_divide(x, y)


divide = elementwise(
    "divide",
    _divide_kernel,
    by_rule(lambda g, _out, _x, y: g / y),
    by_rule(lambda g, out, _x, y: -(g * out / y)),
    domain=[(-3.0, 3.0), above],
    doc="""x / y, elementwise: what the operator `/` does; integers divide to floats.

    The derivatives are 1/y and -x/y². Division by 0 gives ±inf, and 0/0 is NaN.

    >>> ac.divide(ac.asarray([1, 2]), 4)
    Tensor([0.25, 0.5 ], dtype=float64)
    >>> ac.grad(ac.divide, (0, 1))(1.0, 2.0)
    (Tensor(0.5, dtype=float64), Tensor(-0.25, dtype=float64))
    """,
    complex=True,
)
negative = elementwise(
    "negative",
    lambda x: np.broadcast_to(-_once(x), x.shape) if 0 in x.strides else np.negative(x),
    NEGATED,
    doc="""-x, elementwise: what the operator `-` does before one operand; the derivative is -1.

    >>> ac.negative([1.0, -2.0])
    Tensor([-1.,  2.], dtype=float64)
    >>> ac.grad(ac.negative)(3.0)
    Tensor(-1., dtype=float64)
    """,
    complex=True,
)
reciprocal = elementwise(
    "reciprocal",
    np.reciprocal,
    lambda out, _x: -square(out),
    domain=above,
    doc="""1 / x, elementwise, with the derivative -1/x²; ±inf at ±0.

    Integers stay integers, so that 1/x is 0 of all but ±1, as in NumPy: write `1 / x` for floats.

    >>> ac.reciprocal([2.0, 4.0])
    Tensor([0.5 , 0.25], dtype=float64)
    >>> ac.grad(ac.reciprocal)(2.0)
    Tensor(-0.25, dtype=float64)
    """,
    complex=True,
)
square = elementwise(
    "square",
    np.square,
    lambda _out, x: 2 * x,
    doc="""x², elementwise, with the derivative 2x.

    Of complex numbers it is x times x, and no magnitude.

    >>> ac.square([-3.0, 2.0])
    Tensor([9., 4.], dtype=float64)
    >>> ac.grad(ac.square)(-3.0)
    Tensor(-6., dtype=float64)
    """,
    complex=True,
)
absolute_p = elementwise("absolute", np.absolute, lambda _out, x: sign_p(x))


def absolute(x: Any) -> Tensor:
    """|x|, elementwise, of real or complex numbers; its derivative at 0 is 0.

    Real numbers have the derivative sign(x). Of a complex z = x + iy it is √(x² + y²), a real
    number, and its gradient is conj(z)/|z|.

    >>> ac.abs(ac.asarray([-2.0, 3.0, 3 + 4j]))
    Tensor([2., 3., 5.], dtype=float64)
    >>> [float(ac.grad(ac.abs)(x)) for x in (-2.0, 0.0, 3.0)]
    [-1.0, 0.0, 1.0]
    """
    x = asarray(x)
    return (modulus_p if x.dtype.kind == "c" else absolute_p)(x)


sqrt = elementwise(
    "sqrt",
    np.sqrt,
    lambda out, _x: 0.5 / out,
    domain=above,
    doc="""√x, elementwise; its derivative at 0 is +inf, as the limit is.

    The derivative is 1/(2√x). Negative real numbers give NaN; a negative complex number has its
    root on the imaginary axis. For the root of a sum of squares take `norm` or `hypot`, whose
    derivative at 0 is finite.

    >>> ac.sqrt([4.0, 2.0])
    Tensor([2.    , 1.4142], dtype=float64)
    >>> ac.grad(ac.sqrt)(4.0), ac.grad(ac.sqrt)(0.0)
    (Tensor(0.25, dtype=float64), Tensor(inf, dtype=float64))
    """,
    complex=True,
)


def _root_partial(out: Tensor, _x: None) -> Tensor:
    zero = equal(out, 0)
    return where(zero, 0.0, 0.5 / where(zero, 1.0, out))


root = elementwise(
    "root",
    real_only(np.sqrt),
    _root_partial,
    domain=above,
    doc="√x, elementwise, with derivative 0 at 0: for sums of squares, whose root has a minimum.",
)
cbrt = elementwise(
    "cbrt",
    np.cbrt,
    lambda out, _x: (1 / 3) / square(out),
    domain=above,
    doc="""The real cube root, elementwise, of negative numbers too.

    The derivative is 1/(3 ∛x²), which is inf at 0.

    >>> ac.cbrt([-8.0, 27.0])
    Tensor([-2.,  3.], dtype=float64)
    >>> ac.grad(ac.cbrt)(8.0)
    Tensor(0.0833, dtype=float64)
    """,
)


def _power_by_exponent(out: Tensor, x: Any, y: Any) -> Tensor:
    """∂(xʸ)/∂y = xʸ log x, continued by 0 where x = 0 and y ≥ 0, as the limit is for y > 0."""
    base = where(logical_and(equal(x, 0), greater_equal(real(y), 0)), 1, x)
    if (
        base.dtype != out.dtype
    ):  # of a Python number, or real: negative ones have complex logarithms
        base = converted(base, out.dtype)
    return out * log(base)


def _power_by_base(_out: None, x: Any, y: Any) -> Tensor:
    """∂(xʸ)/∂x = y xʸ⁻¹, with the exponent guarded so that 0⁰ gives 0 and not 0 · inf."""
    edge = logical_and(equal(x, 0), equal(y, 0))
    return y * power_p(x, where(edge, 1, y - 1))


power_p = elementwise(
    "power",
    np.power,
    _power_by_base,
    _power_by_exponent,
    domain=[above, (-2.0, 3.0)],
    complex=True,
)


def is_floating(x: Any) -> bool:
    """Whether x is a tensor or array of floating-point or complex numbers."""
    return hasattr(x, "dtype") and x.dtype.kind in INEXACT


def power(x: Any, y: Any) -> Tensor:
    """xʸ, elementwise: what the operator `**` does; 0⁰ is 1, with derivative 0 in both arguments.

    The derivatives are y xʸ⁻¹ and xʸ log x, the latter 0 where x is 0. A Python number as exponent
    is differentiated as a constant, and 2 is taken as `square`, so that x ** 2 is right for
    negative x too.

    Raises:
        DtypeError: x has an integer dtype and y is a negative Python integer; see `float_power`.

    >>> ac.pow(ac.asarray([2.0, 3.0]), 3)
    Tensor([ 8., 27.], dtype=float64)
    >>> ac.grad(ac.pow, (0, 1))(2.0, 3.0)
    (Tensor(12., dtype=float64), Tensor(5.5452, dtype=float64))
    """
    if y.__class__ is int or y.__class__ is float:
        if y == 2 and getattr(x, "dtype", None) != np.bool_:  # which NumPy squares to int8
            return square(x)
        if y == 1:
            return multiply(x, 1)
        if y == 0.5:
            return sqrt(x)
        if y == -1 and (x.__class__ is float or is_floating(x)):
            return reciprocal(x)
        if y < 0 and y.__class__ is int and getattr(getattr(x, "dtype", None), "kind", "f") in "iu":
            raise DtypeError(
                f"power: integers to the negative integer power {y} are no integers; convert them "
                "with astype(np.float32), or use float_power"
            )
    return power_p(_captured_number(x, y), _captured_number(y, x))


def _captured_number(x: Any, other: Any) -> Any:
    """x; where it stands for a Python number beside floats, as one of them: the derivatives choose
    between it and other numbers."""
    if stands_for_number(x) and is_floating(other) and not stands_for_number(other):
        from autograd_core.ops.structural import astype

        return astype(x, other.dtype)
    return x


def stands_for_number(x: Any) -> bool:
    """Whether a traced value is a Python number to the function that is traced."""
    return x.__class__ is Tensor and x.interpreter is not None and x.interpreter.is_number(x)


def _first_wins(out: Tensor, x: Any, y: Any) -> Tensor:
    """1 where x is the extreme one, ½ where both are."""
    return (_mask(equal(x, out), out) + (1 - _mask(equal(y, out), out))) * 0.5


def _second_wins(out: Tensor, x: Any, y: Any) -> Tensor:
    return _first_wins(out, y, x)


maximum = elementwise(
    "maximum",
    np.maximum,
    _first_wins,
    _second_wins,
    complex=True,
    doc="""The larger of x and y, elementwise; at ties each gets half of the derivative.

    NaN where either is NaN: see `fmax` for the other. For the largest entry of one array see `max`.

    >>> ac.maximum([1.0, 5.0], [3.0, 2.0])
    Tensor([3., 5.], dtype=float64)
    >>> ac.grad(ac.maximum, (0, 1))(2.0, 2.0)
    (Tensor(0.5, dtype=float64), Tensor(0.5, dtype=float64))
    """,
)
minimum = elementwise(
    "minimum",
    np.minimum,
    _first_wins,
    _second_wins,
    complex=True,
    doc="""The smaller of x and y, elementwise; at ties each gets half of the derivative.

    NaN where either is NaN: see `fmin` for the other. For the smallest entry of one array see
    `min`.

    >>> ac.minimum([1.0, 5.0], 3.0)
    Tensor([1., 3.], dtype=float64)
    >>> ac.grad(ac.minimum, (0, 1))(1.0, 2.0)
    (Tensor(1., dtype=float64), Tensor(0., dtype=float64))
    """,
)
relu = elementwise(
    "relu",
    real_only(lambda x: np.maximum(x, 0)),
    by_rule(lambda g, out, _x: select(greater(out, 0), g, 0.0)),
    doc="""max(x, 0), elementwise; its derivative at 0 is 0.

    The derivative is 1 right of 0 and 0 elsewhere. NaN stays NaN.

    >>> ac.relu([-1.0, 2.0])
    Tensor([0., 2.], dtype=float64)
    >>> [float(ac.grad(ac.relu)(x)) for x in (-1.0, 0.0, 2.0)]
    [0.0, 0.0, 1.0]
    """,
)
arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda _out, y, x: x / (square(x) + square(y)),
    lambda _out, y, x: -y / (square(x) + square(y)),
    domain=[(-3.0, 3.0), above],
    doc="""The angle of the point with ordinate x and abscissa y, elementwise, in radians in
    [-π, π].

    The first argument is the ordinate, as in NumPy and C: where y > 0 this is arctan(x / y), and
    signs of zeros choose the side of the cut. The derivatives are y/(x² + y²) and -x/(x² + y²), NaN
    at (0, 0).

    >>> ac.atan2([1.0, 1.0, -1.0], [1.0, -1.0, -1.0])
    Tensor([ 0.7854,  2.3562, -2.3562], dtype=float64)
    >>> ac.grad(ac.atan2, (0, 1))(1.0, 2.0)
    (Tensor(0.4, dtype=float64), Tensor(-0.2, dtype=float64))
    """,
)
hypot = elementwise(
    "hypot",
    np.hypot,
    lambda out, x, _y: x / where(equal(out, 0), 1, out),
    lambda out, _x, y: y / where(equal(out, 0), 1, out),
    domain=above,
    doc="""√(x² + y²), elementwise, without overflow; its derivative at (0, 0) is 0.

    The derivatives are x and y over the result.

    >>> ac.hypot(3e200, 4e200) / 1e200
    Tensor(5., dtype=float64)
    >>> ac.grad(ac.hypot, (0, 1))(3.0, 4.0), ac.grad(ac.hypot)(0.0, 0.0)
    ((Tensor(0.6, dtype=float64), Tensor(0.8, dtype=float64)), Tensor(0., dtype=float64))
    """,
)


def _difference(x: Tensor, y: Tensor) -> Tensor:
    """x - y, where 0 stands for the difference of two infinities of one sign."""
    return where(logical_and(isinf(x), equal(x, y)), 0.0, x - y)


def _logaddexp_kernel(x: Any, y: Any) -> Any:
    if np.result_type(x, y).kind == "c":
        return complex_logaddexp(x, y)
    return np.logaddexp(x, y)


def _logaddexp2_kernel(x: Any, y: Any) -> Any:
    if np.result_type(x, y).kind == "c":
        return complex_logaddexp(x * math.log(2), y * math.log(2)) / math.log(2)
    return np.logaddexp2(x, y)


logaddexp = elementwise(
    "logaddexp",
    _logaddexp_kernel,
    lambda _out, x, y: sigmoid(_difference(x, y)),
    lambda _out, x, y: sigmoid(_difference(y, x)),
    doc="""log(eˣ + eʸ), elementwise, without overflow.

    The derivatives are sigmoid(x - y) and sigmoid(y - x), which add up to 1; ½ each where x = y,
    also where both are ±inf. For more than two terms see `logsumexp`.

    >>> ac.logaddexp([0.0, 1000.0], [0.0, 1000.0])
    Tensor([   0.6931, 1000.6931], dtype=float64)
    >>> ac.grad(ac.logaddexp, (0, 1))(1.0, 0.0)
    (Tensor(0.7311, dtype=float64), Tensor(0.2689, dtype=float64))
    """,
    complex=True,
)
logaddexp2 = elementwise(
    "logaddexp2",
    _logaddexp2_kernel,
    lambda _out, x, y: sigmoid(math.log(2) * _difference(x, y)),
    lambda _out, x, y: sigmoid(math.log(2) * _difference(y, x)),
    doc="""log₂(2ˣ + 2ʸ), elementwise, without overflow: `logaddexp` to base 2.

    >>> ac.logaddexp2([3.0, 2000.0], [3.0, 2000.0])
    Tensor([   4., 2001.], dtype=float64)
    >>> ac.grad(ac.logaddexp2)(1.0, 0.0)
    Tensor(0.6667, dtype=float64)
    """,
    complex=True,
)
nextafter = elementwise(
    "nextafter",
    np.nextafter,
    SAME,
    lambda _out, _x, _y: 0.0,
    doc="""The number next to x in the direction of y, elementwise; its derivative in x is 1.

    In y it is 0. x itself where x = y.

    >>> ac.nextafter(1.0, 2.0) - 1.0 == ac.finfo(ac.float64).eps
    Tensor(True, dtype=bool)
    >>> ac.grad(ac.nextafter, (0, 1))(1.0, 2.0)
    (Tensor(1., dtype=float64), Tensor(0., dtype=float64))
    """,
)
copysign = elementwise(
    "copysign",
    np.copysign,
    lambda _out, x, y: sign(x) * copysign(1.0, y),
    lambda _out, _x, _y: 0.0,
    doc="""|x| with the sign of y, elementwise; its derivative at x = 0 is 0.

    Signs of zeros and NaN count. The derivative in x is 1 where the sign stays and -1 where it
    turns; in y it is 0.

    >>> ac.copysign([1.0, -2.0], [-0.0, 3.0])
    Tensor([-1.,  2.], dtype=float64)
    >>> ac.grad(ac.copysign, (0, 1))(2.0, -1.0)
    (Tensor(-1., dtype=float64), Tensor(0., dtype=float64))
    """,
)


def _apart(draw: Any) -> tuple[tuple, dict]:
    """x and y > 0 with x / y away from whole numbers, where `remainder` jumps."""
    shape = draw.shape(min_length=0)
    y = draw.array(shape, 1.0, 2.0)
    return (y * (draw.integers(shape, -2, 3) + draw.array(shape, 0.2, 0.8)), y), {}


remainder = elementwise(
    "remainder",
    np.remainder,
    SAME,
    lambda _out, x, y: -floor_divide(x, y),
    domain=_apart,
    doc="""x - y·⌊x / y⌋, elementwise: what is left of a division, with the sign of y (Python's
    %).

    The derivatives are 1 and -⌊x / y⌋, also at the jumps, where x is a multiple of y.

    >>> ac.remainder([5.0, -5.0], 3.0)
    Tensor([2., 1.], dtype=float64)
    >>> ac.grad(ac.remainder, (0, 1))(-5.0, 3.0)
    (Tensor(1., dtype=float64), Tensor(2., dtype=float64))
    """,
)
fmod = elementwise(
    "fmod",
    np.fmod,
    SAME,
    lambda _out, x, y: -trunc(x / y),
    domain=_apart,
    doc="""x - y·trunc(x / y), elementwise: what is left of a division, with the sign of x (C's
    fmod).

    The derivatives are 1 and -trunc(x / y). See `remainder` for the sign of y.

    >>> ac.fmod([5.0, -5.0], 3.0)
    Tensor([ 2., -2.], dtype=float64)
    >>> ac.grad(ac.fmod, (0, 1))(-5.0, 3.0)
    (Tensor(1., dtype=float64), Tensor(1., dtype=float64))
    """,
)

# Piecewise constant: no derivative flows.


def _whole_numbers(arity: int) -> Any:
    """Floats among which many are equal, and many are 0."""

    def domain(draw: Any) -> tuple[tuple, dict]:
        shapes = draw.broadcastable_shapes(arity, min_length=0)
        return tuple(draw.integers(s, -1, 2).astype(np.float64) for s in shapes), {}

    return domain


def _not_all_finite(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_length=0)
    kind = draw.integers(shape, 0, 4)
    return (np.choose(kind, [draw.array(shape), np.nan, np.inf, -np.inf]),), {}


sign_p = piecewise_constant("sign", np.sign, 1)


def sign(x: Any) -> Tensor:
    """-1, 0 or 1 by the sign of x, elementwise; of complex numbers x / |x|, or 0 at 0.

    NaN stays NaN. No derivative flows through the sign of real numbers: it is 0. That of complex
    numbers turns with their angle, and does have one.

    >>> ac.sign([-2.0, 0.0, 5.0]), ac.sign(3 + 4j)
    (Tensor([-1.,  0.,  1.], dtype=float64), Tensor(0.6+0.8j, dtype=complex128))
    >>> ac.grad(lambda x: x * ac.sign(x))(-2.0)
    Tensor(-1., dtype=float64)
    """
    x = asarray(x)
    if x.dtype.kind != "c":
        return sign_p(x)
    size = absolute(x)
    zero = equal(size, 0)
    return where(zero, 0.0, x / where(zero, 1.0, size))


floor = piecewise_constant(
    "floor",
    np.floor,
    1,
    doc="""The largest whole number at most x, elementwise; no derivative flows.

    The dtype stays, and integers are their own.

    >>> ac.floor([-1.5, 1.5, 2.0])
    Tensor([-2.,  1.,  2.], dtype=float64)
    >>> ac.grad(lambda x: x - ac.floor(x))(1.5)
    Tensor(1., dtype=float64)
    """,
)
ceil = piecewise_constant(
    "ceil",
    np.ceil,
    1,
    doc="""The smallest whole number at least x, elementwise; no derivative flows.

    >>> ac.ceil([-1.5, 1.5, 2.0])
    Tensor([-1.,  2.,  2.], dtype=float64)
    >>> ac.grad(lambda x: ac.ceil(x) * x)(1.5)
    Tensor(2., dtype=float64)
    """,
)
trunc = piecewise_constant(
    "trunc",
    np.trunc,
    1,
    doc="""x without its fraction, elementwise: rounded towards 0; no derivative flows.

    >>> ac.trunc([-1.5, 1.5])
    Tensor([-1.,  1.], dtype=float64)
    """,
)
rint = piecewise_constant(
    "rint",
    np.rint,
    1,
    doc="""The nearest whole number, elementwise, halves to the even one; no derivative flows.

    >>> ac.rint([0.5, 1.5, 2.4, -0.6])
    Tensor([ 0.,  2.,  2., -1.], dtype=float64)
    """,
)
floor_divide = piecewise_constant(
    "floor_divide",
    np.floor_divide,
    2,
    domain=[(-3.0, 3.0), above],
    doc="""⌊x / y⌋, elementwise: what the operator `//` does; no derivative flows.

    It rounds down, also for integers and negative numbers; with `remainder`, x = y ·
    floor_divide(x, y) + remainder(x, y).

    >>> ac.floor_divide(ac.asarray([7, -7]), 2)
    Tensor([ 3, -4], dtype=int64)
    >>> ac.floor_divide(7.5, 2.0)
    Tensor(3., dtype=float64)
    """,
)
pairs = _whole_numbers(2)
equal = piecewise_constant(
    "equal",
    np.equal,
    2,
    pairs,
    doc="""x == y, elementwise, as booleans; NaN equals nothing.

    What the operator `==` does. No derivative flows through a comparison.

    >>> ac.equal([1.0, 2.0, ac.nan], [1.0, 3.0, ac.nan])
    Tensor([ True, False, False], dtype=bool)
    """,
)
not_equal = piecewise_constant(
    "not_equal",
    np.not_equal,
    2,
    pairs,
    doc="""x != y, elementwise, as booleans; NaN differs from everything, itself included.

    >>> ac.not_equal([1.0, 2.0, ac.nan], [1.0, 3.0, ac.nan])
    Tensor([False,  True,  True], dtype=bool)
    """,
)
less = piecewise_constant(
    "less",
    np.less,
    2,
    pairs,
    doc="""x < y, elementwise, as booleans; False where either is NaN.

    >>> ac.less([1.0, 2.0, 3.0], 2.0)
    Tensor([ True, False, False], dtype=bool)
    """,
)
less_equal = piecewise_constant(
    "less_equal",
    np.less_equal,
    2,
    pairs,
    doc="""x <= y, elementwise, as booleans; False where either is NaN.

    >>> ac.less_equal([1.0, 2.0, 3.0], 2.0)
    Tensor([ True,  True, False], dtype=bool)
    """,
)
greater = piecewise_constant(
    "greater",
    np.greater,
    2,
    pairs,
    doc="""x > y, elementwise, as booleans; False where either is NaN.

    Derivatives go around a comparison, through what it chooses: see `where`.

    >>> ac.greater([1.0, 2.0, 3.0], 2.0)
    Tensor([False, False,  True], dtype=bool)
    >>> ac.grad(lambda x: ac.where(ac.greater(x, 0.0), x, 0.1 * x))(-3.0)
    Tensor(0.1, dtype=float64)
    """,
)
greater_equal = piecewise_constant(
    "greater_equal",
    np.greater_equal,
    2,
    pairs,
    doc="""x >= y, elementwise, as booleans; False where either is NaN.

    >>> ac.greater_equal([[1.0], [2.0]], [1.0, 2.0])
    Tensor([[ True, False],
            [ True,  True]], dtype=bool)
    """,
)
logical_and = piecewise_constant(
    "logical_and",
    np.logical_and,
    2,
    pairs,
    doc="""Whether x and y are both not 0, elementwise; no derivative flows.

    Arguments of any dtype count as False where they are 0, the result is boolean. NaN counts as
    True.

    >>> ac.logical_and([True, True, False], [1.0, 0.0, 1.0])
    Tensor([ True, False, False], dtype=bool)
    """,
)
logical_or = piecewise_constant(
    "logical_or",
    np.logical_or,
    2,
    pairs,
    doc="""Whether x or y or both are not 0, elementwise; no derivative flows.

    >>> ac.logical_or([True, False], [[True], [False]])
    Tensor([[ True,  True],
            [ True, False]], dtype=bool)
    """,
)
logical_xor = piecewise_constant(
    "logical_xor",
    np.logical_xor,
    2,
    pairs,
    doc="""Whether just one of x and y is not 0, elementwise; no derivative flows.

    >>> ac.logical_xor([True, True, False], [True, False, False])
    Tensor([False,  True, False], dtype=bool)
    """,
)
logical_not = piecewise_constant(
    "logical_not",
    np.logical_not,
    1,
    _whole_numbers(1),
    doc="""Whether x is 0, elementwise; no derivative flows.

    The result is boolean, whatever the dtype of x. For the bits of integers see `bitwise_not`.

    >>> ac.logical_not([0.0, 2.0, ac.nan])
    Tensor([ True, False, False], dtype=bool)
    """,
)
signbit = piecewise_constant(
    "signbit",
    np.signbit,
    1,
    _not_all_finite,
    doc="""Whether x has a negative sign, elementwise; that of -0 counts too.

    The result is boolean. No derivative flows.

    >>> ac.signbit([-1.0, -0.0, 0.0, -ac.inf])
    Tensor([ True,  True, False,  True], dtype=bool)
    """,
)
isnan = piecewise_constant(
    "isnan",
    np.isnan,
    1,
    _not_all_finite,
    doc="""Whether x is NaN, elementwise, as booleans; no derivative flows.

    >>> ac.isnan([1.0, ac.nan, ac.inf])
    Tensor([False,  True, False], dtype=bool)
    """,
)
isinf = piecewise_constant(
    "isinf",
    np.isinf,
    1,
    _not_all_finite,
    doc="""Whether x is infinite, elementwise, as booleans: inf or -inf; no derivative flows.

    >>> ac.isinf([1.0, ac.nan, -ac.inf])
    Tensor([False, False,  True], dtype=bool)
    """,
)
isfinite = piecewise_constant(
    "isfinite",
    np.isfinite,
    1,
    _not_all_finite,
    doc="""Whether x is a number, neither infinite nor NaN, elementwise; no derivative flows.

    >>> ac.isfinite([1.0, ac.nan, ac.inf])
    Tensor([ True, False, False], dtype=bool)
    >>> x = ac.asarray([1.0, ac.inf, 3.0])
    >>> ac.sum(x[ac.isfinite(x)])
    Tensor(4., dtype=float64)
    """,
)


def _integers(arity: int) -> Any:
    return lambda draw: (tuple(draw.integers((2, 3), 0, 8) for _ in range(arity)), {})


bitwise_and = piecewise_constant(
    "bitwise_and",
    np.bitwise_and,
    2,
    domain=_integers(2),
    doc="""The bits that are set in both x and y, elementwise: what the operator `&` does.

    Integers or booleans, which no derivative flows through. Other dtypes raise `DtypeError`.

    >>> ac.bitwise_and(ac.asarray([0b1100, 0b1010]), 0b0110)
    Tensor([4, 2], dtype=int64)
    """,
)
bitwise_or = piecewise_constant(
    "bitwise_or",
    np.bitwise_or,
    2,
    domain=_integers(2),
    doc="""The bits that are set in x, in y, or in both, elementwise: what the operator `|` does.

    Integers or booleans, which no derivative flows through.

    >>> ac.bitwise_or(ac.asarray([True, False]), ac.asarray([False, False]))
    Tensor([ True, False], dtype=bool)
    >>> ac.bitwise_or(0b1100, 0b0110)
    Tensor(14, dtype=int64)
    """,
)
bitwise_xor = piecewise_constant(
    "bitwise_xor",
    np.bitwise_xor,
    2,
    domain=_integers(2),
    doc="""The bits that differ between x and y, elementwise: what the operator `^` does.

    Integers or booleans, which no derivative flows through.

    >>> ac.bitwise_xor(ac.asarray([0b1100, 0b0110]), 0b1010)
    Tensor([ 6, 12], dtype=int64)
    """,
)
bitwise_not = piecewise_constant(
    "bitwise_not",
    np.bitwise_not,
    1,
    domain=_integers(1),
    doc="""Every bit of x turned over, elementwise: what the operator `~` does.

    Of signed integers that is -x - 1; of booleans the other one. No derivative flows.

    >>> ac.bitwise_invert(ac.asarray([0, 5, -1])), ac.bitwise_invert(ac.asarray([True]))
    (Tensor([-1, -6,  0], dtype=int64), Tensor([False], dtype=bool))
    """,
)
bitwise_left_shift = piecewise_constant(
    "left_shift",
    np.left_shift,
    2,
    domain=_integers(2),
    doc="""The bits of x moved up by y places, elementwise: what the operator `<<` does.

    Of integers that is x · 2ʸ, where it fits the dtype. No derivative flows.

    >>> ac.bitwise_left_shift(ac.asarray([1, 3]), ac.asarray([4, 1]))
    Tensor([16,  6], dtype=int64)
    """,
)
bitwise_right_shift = piecewise_constant(
    "right_shift",
    np.right_shift,
    2,
    domain=_integers(2),
    doc="""The bits of x moved down by y places, elementwise: what the operator `>>` does.

    Of integers that is ⌊x / 2ʸ⌋. No derivative flows.

    >>> ac.bitwise_right_shift(ac.asarray([16, 7, -7]), 1)
    Tensor([ 8,  3, -4], dtype=int64)
    """,
)


def _mask(condition: Tensor, like: Tensor) -> Tensor:
    """A boolean tensor as 0 and 1 of the dtype of `like`."""
    from autograd_core.ops.structural import astype

    return astype(condition, like.dtype)


def _select_kernel(c: Any, x: Any, y: Any) -> Any:
    """numpy.where. Its one slow loop is avoided for large x where y is the number 0: a bit mask
    keeps an entry of x, or leaves the bits of 0."""
    if np.ndim(y) or np.size(x) < LARGE or not _maskable(c, x) or y or np.signbit(y):
        return np.where(c, x, y)
    integer = np.dtype(f"i{x.itemsize}")
    bits = c.astype(integer)
    np.negative(bits, out=bits)
    np.bitwise_and(bits, x.view(integer), out=bits)
    return bits.view(x.dtype)


LARGE = 2**14


def _maskable(c: Any, x: Any) -> bool:
    return (
        isinstance(x, np.ndarray)
        and x.dtype.char in "fd"
        and c.dtype == np.bool_
        and c.shape == x.shape
    )


def _select_domain(draw: Any) -> tuple[tuple, dict]:
    c, x, y = draw.broadcastable_shapes(3, min_length=0)
    return (draw.integers(c, 0, 2) > 0, draw.array(x), draw.array(y)), {}


select = elementwise(
    "where",
    _select_kernel,
    no_rule("a condition has no derivative"),
    by_rule(lambda g, _out, c, _x, _y: select(c, g, 0.0)),
    by_rule(lambda g, _out, c, _x, _y: select(c, 0.0, g)),
    domain=_select_domain,
    complex=True,
)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where `condition` holds, y elsewhere, elementwise; all three broadcast.

    Derivatives flow to the branch that was taken; no derivative flows to `condition`. The cotangent
    of the branch not taken is 0. What that branch makes of it can still be NaN (0 times an infinite
    derivative): make its argument safe too, as in `where(x > 0, log(where(x > 0, x, 1)), 0)`.

    >>> x = ac.asarray([-1.0, 2.0])
    >>> ac.where(x > 0, x, 0.0)
    Tensor([0., 2.], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.where(x > 0, x**2, -x)))(x)
    Tensor([-1.,  4.], dtype=float64)
    """
    return select(condition, x, y)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max], elementwise; the derivative in x is 1 on the bounds themselves.

    Outside of them it is 0 in x, and 1 in the bound that was taken.

    Args:
        x: any shape.
        min, max: bounds that broadcast against x; None for no bound. Where min > max, max wins.

    >>> ac.clip([-2.0, 0.5, 2.0], 0.0, 1.0)
    Tensor([0. , 0.5, 1. ], dtype=float64)
    >>> [float(ac.grad(ac.clip)(x, 0.0, 1.0)) for x in (-2.0, 1.0, 2.0)]
    [0.0, 1.0, 0.0]
    """
    x = asarray(x)
    if min is not None:
        x = where(less(x, min), min, x)
    if max is not None:
        x = where(greater(x, max), max, x)
    return alias(x)


def round(x: Any, decimals: int = 0) -> Tensor:
    """x rounded to `decimals` places, elementwise, halves to even; no derivative flows.

    Args:
        x: any shape; integers stay as they are.
        decimals: how many places after the point; negative ones are before it.

    >>> ac.round([0.5, 1.5, 2.345]), ac.round(1234.5678, 2), ac.round(1234.5678, -2)
    (Tensor([0., 2., 2.], dtype=float64), Tensor(1234.57, dtype=float64),
     Tensor(1200., dtype=float64))
    """
    from autograd_core.ops.structural import astype

    x = asarray(x)
    if x.dtype.kind not in INEXACT:
        if decimals >= 0:
            return alias(x)
        return astype(round(astype(x, np.float64), decimals), x.dtype)
    if decimals == 0:
        return rint(x)
    scale = 10.0 ** (decimals if decimals > 0 else -decimals)
    return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale


def float_power(x: Any, y: Any) -> Tensor:
    """xʸ, elementwise, in floating point: integers are taken as float64, unlike in `power`.

    Other than NumPy's, float32 stays float32. Derivatives are those of `power`.

    >>> ac.float_power(ac.asarray([2, 4]), -1)
    Tensor([0.5 , 0.25], dtype=float64)
    >>> ac.grad(ac.float_power)(3.0, 2)
    Tensor(6., dtype=float64)
    """
    from autograd_core.ops.structural import astype

    x, y = (
        v if v.__class__ in (float, complex) or is_floating(v) else astype(v, np.float64)
        for v in (x, y)
    )
    return power(x, y)


def positive(x: Any) -> Tensor:
    """x itself, elementwise: what +x gives; the derivative is 1.

    >>> ac.positive([1.0, -2.0])
    Tensor([ 1., -2.], dtype=float64)
    """
    return alias(asarray(x))


def deg2rad(x: Any) -> Tensor:
    """Degrees to radians, elementwise: x · π/180.

    >>> ac.deg2rad([0.0, 90.0, 180.0])
    Tensor([0.    , 1.5708, 3.1416], dtype=float64)
    >>> ac.grad(lambda x: ac.sin(ac.deg2rad(x)))(0.0)  # π/180
    Tensor(0.0175, dtype=float64)
    """
    return multiply(x, math.pi / 180)


def heaviside(x: Any, y: Any) -> Tensor:
    """0 where x < 0, 1 where x > 0, y where x is 0, elementwise; its derivative in x is 0.

    In y it is 1 where x is 0. NaN stays NaN.

    >>> ac.heaviside([-1.0, 0.0, 1.0], 0.5)
    Tensor([0. , 0.5, 1. ], dtype=float64)
    >>> ac.grad(ac.heaviside, 1)(0.0, 0.5)
    Tensor(1., dtype=float64)
    """
    from autograd_core.ops.structural import astype

    samples = (np.ones((), v.dtype) if hasattr(v, "dtype") else v for v in (x, y))
    x = astype(x, np.heaviside(*samples).dtype)  # floats, as NumPy chooses them
    return where(equal(x, 0), y, (sign(x) + 1) * 0.5)


def rad2deg(x: Any) -> Tensor:
    """Radians to degrees, elementwise: x · 180/π.

    >>> ac.rad2deg([0.0, ac.pi / 2, ac.pi])
    Tensor([  0.,  90., 180.], dtype=float64)
    >>> ac.grad(lambda y: ac.rad2deg(ac.atan2(y, 1.0)))(0.0)
    Tensor(57.2958, dtype=float64)
    """
    return multiply(x, 180 / math.pi)


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with NaN, inf and -inf replaced by numbers, elementwise.

    No derivative flows to what was replaced. Of complex numbers each part is replaced by itself.

    Args:
        x: any shape; integers have nothing to replace.
        nan: what to put for NaN.
        posinf, neginf: what to put for inf and -inf; the dtype's largest and smallest number by
            default.

    >>> ac.nan_to_num([1.0, ac.nan, ac.inf], posinf=9.0)
    Tensor([1., 0., 9.], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.nan_to_num(x) * 3.0))(ac.asarray([1.0, ac.nan]))
    Tensor([3., 0.], dtype=float64)
    """
    x = asarray(x)
    if x.dtype.kind == "c":
        return to_complex(*(nan_to_num(part, nan, posinf, neginf) for part in (real(x), imag(x))))
    if x.dtype.kind != "f":
        return alias(x)
    limits = np.finfo(x.dtype)
    x = where(isnan(x), nan, x)
    x = where(equal(x, np.inf), float(limits.max) if posinf is None else posinf, x)
    return where(equal(x, -np.inf), float(limits.min) if neginf is None else neginf, x)


def divmod(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """`floor_divide(x, y)` and `remainder(x, y)`.

    >>> ac.divmod(7.5, 2.0)
    (Tensor(3., dtype=float64), Tensor(1.5, dtype=float64))
    """
    return floor_divide(x, y), remainder(x, y)


def modf(x: Any) -> tuple[Tensor, Tensor]:
    """What is behind the point of x, and what is before it, elementwise, both with the sign of x.

    >>> ac.modf([2.5, -1.25])
    (Tensor([ 0.5 , -0.25], dtype=float64), Tensor([ 2., -1.], dtype=float64))
    """
    whole = trunc(x)
    return copysign(x - whole, x), whole


# The array API standard's names of functions above, and other names of NumPy's.
abs, atan2, bitwise_invert, pow = absolute, arctan2, bitwise_not, power
mod, true_divide, around, degrees, radians = remainder, divide, round, rad2deg, deg2rad
invert, left_shift, right_shift = bitwise_not, bitwise_left_shift, bitwise_right_shift

from autograd_core.ops.complex import imag, modulus_p, real, to_complex  # noqa: E402
from autograd_core.ops.elementary import log  # noqa: E402 - used by the rules above
from autograd_core.ops.normalize import complex_logaddexp, sigmoid  # noqa: E402
from autograd_core.ops.structural import converted  # noqa: E402
