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


add = elementwise("add", np.add, SAME, SAME, doc="x + y, elementwise.", complex=True)
subtract = elementwise(
    "subtract", np.subtract, SAME, NEGATED, doc="x - y, elementwise.", complex=True
)
multiply = elementwise(
    "multiply",
    np.multiply,
    lambda _out, _x, y: y,
    lambda _out, x, _y: x,
    doc="x · y, elementwise.",
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
    doc="x / y, elementwise; integers divide to floats.",
    complex=True,
)
negative = elementwise(
    "negative",
    lambda x: np.broadcast_to(-_once(x), x.shape) if 0 in x.strides else np.negative(x),
    NEGATED,
    doc="-x, elementwise.",
    complex=True,
)
reciprocal = elementwise(
    "reciprocal",
    np.reciprocal,
    lambda out, _x: -square(out),
    domain=above,
    doc="1 / x.",
    complex=True,
)
square = elementwise(
    "square", np.square, lambda _out, x: 2 * x, doc="x², elementwise.", complex=True
)
absolute_p = elementwise("absolute", np.absolute, lambda _out, x: sign_p(x))


def absolute(x: Any) -> Tensor:
    """|x|, elementwise, of real or complex numbers; its derivative at 0 is 0."""
    x = asarray(x)
    return (modulus_p if x.dtype.kind == "c" else absolute_p)(x)


sqrt = elementwise(
    "sqrt",
    np.sqrt,
    lambda out, _x: 0.5 / out,
    domain=above,
    doc="√x, elementwise; its derivative at 0 is +inf, as the limit is.",
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
    doc="The real cube root, elementwise.",
)


def _power_by_exponent(out: Tensor, x: Any, y: Any) -> Tensor:
    """∂(xʸ)/∂y = xʸ log x, continued by 0 where x = 0 and y ≥ 0, as the limit is for y > 0."""
    base = where(logical_and(equal(x, 0), greater_equal(real(y), 0)), 1, x)
    if out.dtype.kind == "c":  # the logarithm of negative real numbers is complex
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
    """xʸ, elementwise; 0⁰ is 1, with derivative 0 in both arguments.

    A Python number as exponent is differentiated as a constant, and 2 is taken as `square`, so that
    x ** 2 is right for negative x too.
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
    return x.__class__ is Tensor and x.trace is not None and x.trace.is_number(x)


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
    doc="The larger of x and y, elementwise; at ties each gets half of the derivative.",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    _first_wins,
    _second_wins,
    complex=True,
    doc="The smaller of x and y, elementwise; at ties each gets half of the derivative.",
)
relu = elementwise(
    "relu",
    real_only(lambda x: np.maximum(x, 0)),
    by_rule(lambda g, out, _x: select(greater(out, 0), g, 0.0)),
    doc="max(x, 0), elementwise; its derivative at 0 is 0.",
)
arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda _out, y, x: x / (square(x) + square(y)),
    lambda _out, y, x: -y / (square(x) + square(y)),
    domain=[(-3.0, 3.0), above],
    doc="The angle of the point (x, y), in radians in (-π, π]; arguments in NumPy's order (y, x).",
)
hypot = elementwise(
    "hypot",
    np.hypot,
    lambda out, x, _y: x / where(equal(out, 0), 1, out),
    lambda out, _x, y: y / where(equal(out, 0), 1, out),
    domain=above,
    doc="√(x² + y²), elementwise, without overflow; its derivative at (0, 0) is 0.",
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
    doc="log(eˣ + eʸ), elementwise, without overflow.",
    complex=True,
)
logaddexp2 = elementwise(
    "logaddexp2",
    _logaddexp2_kernel,
    lambda _out, x, y: sigmoid(math.log(2) * _difference(x, y)),
    lambda _out, x, y: sigmoid(math.log(2) * _difference(y, x)),
    doc="log₂(2ˣ + 2ʸ), elementwise, without overflow.",
    complex=True,
)
nextafter = elementwise(
    "nextafter",
    np.nextafter,
    SAME,
    lambda _out, _x, _y: 0.0,
    doc="The number next to x in the direction of y, elementwise; its derivative in x is 1.",
)
copysign = elementwise(
    "copysign",
    np.copysign,
    lambda _out, x, y: sign(x) * copysign(1.0, y),
    lambda _out, _x, _y: 0.0,
    doc="|x| with the sign of y, elementwise; its derivative at x = 0 is 0.",
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
    doc="x - y·⌊x / y⌋, elementwise: the sign is y's (Python's %).",
)
fmod = elementwise(
    "fmod",
    np.fmod,
    SAME,
    lambda _out, x, y: -trunc(x / y),
    domain=_apart,
    doc="x - y·trunc(x / y), elementwise: the sign is x's (C's fmod).",
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
    """-1, 0 or 1 by the sign of x; of complex numbers x / |x|, or 0 at 0."""
    x = asarray(x)
    if x.dtype.kind != "c":
        return sign_p(x)
    size = absolute(x)
    zero = equal(size, 0)
    return where(zero, 0.0, x / where(zero, 1.0, size))


floor = piecewise_constant("floor", np.floor, 1, doc="The largest whole number at most x.")
ceil = piecewise_constant("ceil", np.ceil, 1, doc="The smallest whole number at least x.")
trunc = piecewise_constant("trunc", np.trunc, 1, doc="x without its fraction.")
rint = piecewise_constant("rint", np.rint, 1, doc="The nearest whole number, halves to even.")
floor_divide = piecewise_constant(
    "floor_divide", np.floor_divide, 2, domain=[(-3.0, 3.0), above], doc="⌊x / y⌋, elementwise."
)
pairs = _whole_numbers(2)
equal = piecewise_constant("equal", np.equal, 2, pairs, doc="x == y, elementwise.")
not_equal = piecewise_constant("not_equal", np.not_equal, 2, pairs, doc="x != y, elementwise.")
less = piecewise_constant("less", np.less, 2, pairs, doc="x < y, elementwise.")
less_equal = piecewise_constant("less_equal", np.less_equal, 2, pairs, doc="x <= y, elementwise.")
greater = piecewise_constant("greater", np.greater, 2, pairs, doc="x > y, elementwise.")
greater_equal = piecewise_constant(
    "greater_equal", np.greater_equal, 2, pairs, doc="x >= y, elementwise."
)
logical_and = piecewise_constant("logical_and", np.logical_and, 2, pairs)
logical_or = piecewise_constant("logical_or", np.logical_or, 2, pairs)
logical_xor = piecewise_constant("logical_xor", np.logical_xor, 2, pairs)
logical_not = piecewise_constant("logical_not", np.logical_not, 1, _whole_numbers(1))
signbit = piecewise_constant(
    "signbit", np.signbit, 1, _not_all_finite, doc="Whether the sign is negative, that of -0 too."
)
isnan = piecewise_constant("isnan", np.isnan, 1, _not_all_finite, doc="Whether each entry is NaN.")
isinf = piecewise_constant(
    "isinf", np.isinf, 1, _not_all_finite, doc="Whether each entry is infinite."
)
isfinite = piecewise_constant(
    "isfinite", np.isfinite, 1, _not_all_finite, doc="Whether each entry is finite."
)


def _integers(arity: int) -> Any:
    return lambda draw: (tuple(draw.integers((2, 3), 0, 8) for _ in range(arity)), {})


bitwise_and = piecewise_constant("bitwise_and", np.bitwise_and, 2, domain=_integers(2))
bitwise_or = piecewise_constant("bitwise_or", np.bitwise_or, 2, domain=_integers(2))
bitwise_xor = piecewise_constant("bitwise_xor", np.bitwise_xor, 2, domain=_integers(2))
bitwise_not = piecewise_constant("bitwise_not", np.bitwise_not, 1, domain=_integers(1))
bitwise_left_shift = piecewise_constant("left_shift", np.left_shift, 2, domain=_integers(2))
bitwise_right_shift = piecewise_constant("right_shift", np.right_shift, 2, domain=_integers(2))


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
    """x where `condition` holds, y elsewhere, elementwise.

    The cotangent of the branch not taken is 0. What that branch makes of it can still be NaN (0
    times an infinite derivative): make its argument safe too, as in
    `where(x > 0, log(where(x > 0, x, 1)), 0)`.
    """
    return select(condition, x, y)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max], elementwise; the derivative in x is 1 on the bounds themselves.

    Args:
        x: any shape.
        min, max: bounds that broadcast against x; None for no bound. Where min > max, max wins.
    """
    x = asarray(x)
    if min is not None:
        x = where(less(x, min), min, x)
    if max is not None:
        x = where(greater(x, max), max, x)
    return alias(x)


def round(x: Any, decimals: int = 0) -> Tensor:
    """x rounded to `decimals` places, halves to even; no derivative flows. Integers stay so."""
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

    Other than NumPy's, float32 stays float32.
    """
    from autograd_core.ops.structural import astype

    x, y = (
        v if v.__class__ in (float, complex) or is_floating(v) else astype(v, np.float64)
        for v in (x, y)
    )
    return power(x, y)


def positive(x: Any) -> Tensor:
    """x itself, elementwise: what +x gives."""
    return alias(asarray(x))


def deg2rad(x: Any) -> Tensor:
    """Degrees to radians, elementwise."""
    return multiply(x, math.pi / 180)


def heaviside(x: Any, y: Any) -> Tensor:
    """0 where x < 0, 1 where x > 0, y where x is 0, elementwise; its derivative in x is 0."""
    from autograd_core.ops.structural import astype

    samples = (np.ones((), v.dtype) if hasattr(v, "dtype") else v for v in (x, y))
    x = astype(x, np.heaviside(*samples).dtype)  # floats, as NumPy chooses them
    return where(equal(x, 0), y, (sign(x) + 1) * 0.5)


def rad2deg(x: Any) -> Tensor:
    """Radians to degrees, elementwise."""
    return multiply(x, 180 / math.pi)


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with NaN, inf and -inf replaced: by 0 and the dtype's largest and smallest number, where
    nothing else is given. No derivative flows to what was replaced."""
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
