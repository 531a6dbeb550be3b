"""Elementwise arithmetic, comparison, logic, rounding and selection.

Values at kinks follow docs/conventions.md: `abs` and `relu` have derivative 0 at 0, `maximum` and
`minimum` split evenly at ties, `clip` passes the derivative on its bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.declare import NEGATED, SAME, by_rule, elementwise, piecewise_constant
from autograd_core.primitive import no_rule
from autograd_core.tensor import Tensor

__all__ = [
    "absolute",
    "add",
    "arctan2",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cbrt",
    "ceil",
    "clip",
    "divide",
    "equal",
    "floor",
    "floor_divide",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "reciprocal",
    "relu",
    "remainder",
    "rint",
    "round",
    "sign",
    "sqrt",
    "square",
    "subtract",
    "trunc",
    "where",
]

positive = (0.2, 3.0)

add = elementwise("add", np.add, SAME, SAME, doc="x + y, elementwise.")
subtract = elementwise("subtract", np.subtract, SAME, NEGATED, doc="x - y, elementwise.")
multiply = elementwise(
    "multiply", np.multiply, lambda _out, _x, y: y, lambda _out, x, _y: x, doc="x · y, elementwise."
)
divide = elementwise(
    "divide",
    np.true_divide,
    by_rule(lambda g, _out, _x, y: g / y),
    by_rule(lambda g, out, _x, y: -(g * out / y)),
    domain=[(-3.0, 3.0), positive],
    doc="x / y, elementwise; integers divide to floats.",
)
negative = elementwise("negative", np.negative, NEGATED, doc="-x, elementwise.")
reciprocal = elementwise(
    "reciprocal", np.reciprocal, lambda out, _x: -square(out), domain=positive, doc="1 / x."
)
square = elementwise("square", np.square, lambda _out, x: 2 * x, doc="x², elementwise.")
absolute = elementwise(
    "absolute",
    np.absolute,
    lambda _out, x: sign(x),
    doc="|x|, elementwise; its derivative at 0 is 0.",
)
sqrt = elementwise(
    "sqrt",
    np.sqrt,
    lambda out, _x: 0.5 / out,
    domain=positive,
    doc="√x, elementwise; its derivative at 0 is +inf, as the limit is.",
)
cbrt = elementwise(
    "cbrt",
    np.cbrt,
    lambda out, _x: (1 / 3) / square(out),
    domain=positive,
    doc="The real cube root, elementwise.",
)


def _power_by_exponent(out: Tensor, x: Any, y: Any) -> Tensor:
    """∂(xʸ)/∂y = xʸ log x, continued by 0 where x = 0, as the limit is for y > 0."""
    return out * log(where(equal(x, 0), 1, x))


def _power_by_base(_out: None, x: Any, y: Any) -> Tensor:
    """∂(xʸ)/∂x = y xʸ⁻¹, with the exponent guarded so that y = 0 gives 0 and not 0 · inf."""
    return y * power_p(x, where(equal(y, 0), 1, y - 1))


power_p = elementwise(
    "power", np.power, _power_by_base, _power_by_exponent, domain=[positive, (-2.0, 3.0)]
)


def power(x: Any, y: Any) -> Tensor:
    """xʸ, elementwise; 0⁰ is 1, with derivative 0 in both arguments.

    A Python number as exponent is differentiated as a constant, and 2 is taken as `square`, so that
    x ** 2 is right for negative x too.
    """
    if y.__class__ is int or y.__class__ is float:
        if y == 2:
            return square(x)
        if y == 1:
            return multiply(x, 1)
        if y == 0.5:
            return sqrt(x)
        if y == -1 and getattr(x, "dtype", np.dtype("f8")).kind == "f":
            return reciprocal(x)
    return power_p(x, y)


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
    doc="The larger of x and y, elementwise; at ties each gets half of the derivative.",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    _first_wins,
    _second_wins,
    doc="The smaller of x and y, elementwise; at ties each gets half of the derivative.",
)
relu = elementwise(
    "relu",
    lambda x: np.maximum(x, 0),
    by_rule(lambda g, out, _x: select(greater(out, 0), g, 0.0)),
    doc="max(x, 0), elementwise; its derivative at 0 is 0.",
)
arctan2 = elementwise(
    "arctan2",
    np.arctan2,
    lambda _out, y, x: x / (square(x) + square(y)),
    lambda _out, y, x: -y / (square(x) + square(y)),
    domain=[(-3.0, 3.0), positive],
    doc="The angle of the point (x, y), in radians in (-π, π]; arguments in NumPy's order (y, x).",
)
hypot = elementwise(
    "hypot",
    np.hypot,
    lambda out, x, _y: x / out,
    lambda out, _x, y: y / out,
    domain=positive,
    doc="√(x² + y²), elementwise, without overflow.",
)
logaddexp = elementwise(
    "logaddexp",
    np.logaddexp,
    lambda out, x, _y: exp(x - out),
    lambda out, _x, y: exp(y - out),
    doc="log(eˣ + eʸ), elementwise, without overflow.",
)


def _apart(draw: Any) -> tuple[tuple, dict]:
    """x and y > 0 with x / y away from whole numbers, where `remainder` jumps."""
    shape = draw.shape()
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
sign = piecewise_constant("sign", np.sign, 1, doc="-1, 0 or 1 by the sign of x.")
floor = piecewise_constant("floor", np.floor, 1, doc="The largest whole number at most x.")
ceil = piecewise_constant("ceil", np.ceil, 1, doc="The smallest whole number at least x.")
trunc = piecewise_constant("trunc", np.trunc, 1, doc="x without its fraction.")
rint = piecewise_constant("rint", np.rint, 1, doc="The nearest whole number, halves to even.")
floor_divide = piecewise_constant(
    "floor_divide", np.floor_divide, 2, domain=[(-3.0, 3.0), positive], doc="⌊x / y⌋, elementwise."
)
equal = piecewise_constant("equal", np.equal, 2, doc="x == y, elementwise.")
not_equal = piecewise_constant("not_equal", np.not_equal, 2, doc="x != y, elementwise.")
less = piecewise_constant("less", np.less, 2, doc="x < y, elementwise.")
less_equal = piecewise_constant("less_equal", np.less_equal, 2, doc="x <= y, elementwise.")
greater = piecewise_constant("greater", np.greater, 2, doc="x > y, elementwise.")
greater_equal = piecewise_constant("greater_equal", np.greater_equal, 2, doc="x >= y, elementwise.")
logical_and = piecewise_constant("logical_and", np.logical_and, 2)
logical_or = piecewise_constant("logical_or", np.logical_or, 2)
logical_xor = piecewise_constant("logical_xor", np.logical_xor, 2)
logical_not = piecewise_constant("logical_not", np.logical_not, 1)
isnan = piecewise_constant("isnan", np.isnan, 1, doc="Whether each entry is NaN.")
isinf = piecewise_constant("isinf", np.isinf, 1, doc="Whether each entry is infinite.")
isfinite = piecewise_constant("isfinite", np.isfinite, 1, doc="Whether each entry is finite.")


def _integers(arity: int) -> Any:
    return lambda draw: (tuple(draw.integers((2, 3), 0, 8) for _ in range(arity)), {})


bitwise_and = piecewise_constant("bitwise_and", np.bitwise_and, 2, domain=_integers(2))
bitwise_or = piecewise_constant("bitwise_or", np.bitwise_or, 2, domain=_integers(2))
bitwise_xor = piecewise_constant("bitwise_xor", np.bitwise_xor, 2, domain=_integers(2))
bitwise_not = piecewise_constant("bitwise_not", np.bitwise_not, 1, domain=_integers(1))


def _mask(condition: Tensor, like: Tensor) -> Tensor:
    """A boolean tensor as 0 and 1 of the dtype of `like`."""
    from autograd_core.ops.structural import astype

    return astype(condition, like.dtype)


def _select_domain(draw: Any) -> tuple[tuple, dict]:
    c, x, y = draw.broadcastable_shapes(3)
    return (draw.integers(c, 0, 2) > 0, draw.array(x), draw.array(y)), {}


select = elementwise(
    "select",
    np.where,
    no_rule("a condition has no derivative"),
    by_rule(lambda g, _out, c, _x, _y: select(c, g, 0.0)),
    by_rule(lambda g, _out, c, _x, _y: select(c, 0.0, g)),
    domain=_select_domain,
)


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where `condition` holds, y elsewhere, elementwise.

    The cotangent of the branch not taken is 0. What that branch makes of it can still be NaN (0
    times an infinite derivative): make its argument safe too, as in
    `where(x > 0, log(where(x > 0, x, 1)), 0)`.
    """
    return select(condition, x, y)


def clip(x: Any, low: Any = None, high: Any = None) -> Tensor:
    """x limited to [low, high], elementwise; the derivative in x is 1 on the bounds themselves.

    Args:
        x: any shape.
        low, high: bounds that broadcast against x; None for no bound. Where low > high, high wins.
    """
    if low is not None:
        x = where(less(x, low), low, x)
    if high is not None:
        x = where(greater(x, high), high, x)
    return multiply(x, 1) if low is None and high is None else x


def round(x: Any, decimals: int = 0) -> Tensor:
    """x rounded to `decimals` places, halves to even; no derivative flows."""
    if decimals == 0:
        return rint(x)
    scale = 10.0**decimals
    return rint(multiply(x, scale)) / scale


from autograd_core.ops.elementary import exp, log  # noqa: E402 - used by the rules above
