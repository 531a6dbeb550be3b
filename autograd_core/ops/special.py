"""Special functions under SciPy's names: of errors, the normal distribution, Gamma, odds and
entropies, and Bessel functions.

Functions are computed in float64 and rounded to the dtype of their arguments; integers count as
float64. A family whose members are each other's derivatives is one primitive with an order, so
that derivatives of any order keep their digits where formulas in the functions themselves cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import elementwise
from autograd_core.errors import DtypeError, operation
from autograd_core.ops.arithmetic import (
    equal,
    greater,
    less,
    logical_and,
    logical_not,
    multiply,
    reciprocal,
    square,
    stands_for_number,
    where,
)
from autograd_core.ops.elementary import exp, log, log1p
from autograd_core.ops.normalize import log_sigmoid, sigmoid
from autograd_core.ops.structural import astype
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "expit",
    "gammaln",
    "i0e",
    "i1e",
    "lgamma",
    "log_expit",
    "log_ndtr",
    "logit",
    "ndtr",
    "polygamma",
    "psi",
    "xlog1py",
    "xlogy",
]

positive = (0.2, 3.0)
inside = (-0.8, 0.8)

# Errors ---------------------------------------------------------------------------------------

erf = elementwise(
    "erf",
    kernels.erf,
    lambda _out, x: (2 / math.sqrt(math.pi)) * exp(-square(x)),
    doc="""The error function 2/√π ∫₀ˣ exp(-t²) dt, elementwise; ±1 at ±inf.

    The derivative is 2/√π exp(-x²).

    >>> ac.special.erf([0.0, 1.0, ac.inf])
    Tensor([0.    , 0.8427, 1.    ], dtype=float64)
    >>> ac.grad(ac.erf)(0.0)  # 2/√π
    Tensor(1.1284, dtype=float64)
    """,
)
erfc = elementwise(
    "erfc",
    kernels.erfc,
    lambda _out, x: (-2 / math.sqrt(math.pi)) * exp(-square(x)),
    doc="""1 - erf(x), elementwise, accurate for large x, up to 26.6 where it underflows.

    >>> ac.special.erfc(10.0).item()
    2.08848...e-45
    >>> ac.grad(ac.erfc)(0.0)
    Tensor(-1.1284, dtype=float64)
    """,
)
erfinv = elementwise(
    "erfinv",
    kernels.erfinv,
    lambda out, _y: (math.sqrt(math.pi) / 2) * exp(square(out)),
    domain=inside,
    doc="""The inverse of `erf`, elementwise: ±inf at ±1, NaN beyond.

    By Halley's iteration from Winitzki's approximation. Its derivative is √π/2 exp(erfinv(x)²).

    >>> ac.special.erfinv(ac.special.erf(0.5)), ac.special.erfinv(1.0)
    (Tensor(0.5, dtype=float64), Tensor(inf, dtype=float64))
    >>> ac.grad(ac.special.erfinv)(0.0)  # √π/2
    Tensor(0.8862, dtype=float64)
    """,
)
erfcx = elementwise(
    "erfcx",
    kernels.erfcx,
    lambda _out, x: erfcx_derivative(x, n=1),
    doc="""exp(x²) erfc(x), elementwise: about 1/(x√π) for large x, inf below -26.6.

    A polynomial in (x - 4)/(x + 4) (Shepherd & Laframboise, Math. Comp. 36, 1981). Derivatives of
    any order are integrals 2/√π ∫₀^∞ (-2t)ⁿ exp(-t² - 2xt) dt, in which nothing cancels.

    >>> ac.special.erfcx(1e10).item()
    5.6418958...e-11
    >>> ac.grad(ac.special.erfcx)(1e10).item()
    -5.6418958...e-21
    """,
)


def _derivative_domain(draw: Any) -> tuple[tuple, dict]:
    return (draw.array(draw.shape(min_length=0), -2.0, 3.0),), {"n": draw.integer(1, 3)}


erfcx_derivative = elementwise(
    "erfcx_derivative",
    lambda x, n: kernels.erfcx_derivative(n, x),
    lambda _out, x, n: erfcx_derivative(x, n=n + 1),
    domain=_derivative_domain,
)

# The normal distribution ----------------------------------------------------------------------

ndtr = elementwise(
    "ndtr",
    kernels.ndtr,
    lambda _out, x: _density(x),
    doc="""Φ(x) = ½ erfc(-x/√2), the normal distribution's cumulative probability, elementwise.

    Accurate in the left tail too, down to -38.5 where it underflows.

    >>> ac.special.ndtr([0.0, -38.0]).tolist()
    [0.5, 2.88542...e-316]
    >>> ac.grad(ac.special.ndtr)(0.0)  # the density, 1/√2π
    Tensor(0.3989, dtype=float64)
    """,
)


def _density(x: Tensor) -> Tensor:
    """exp(-x²/2) / √2π."""
    return exp(-0.5 * square(x)) * (1 / math.sqrt(2 * math.pi))


def _log_ndtr_partial(_out: None, x: Tensor) -> Tensor:
    """Φ'(x) / Φ(x), which is √(2/π) / erfcx(-x/√2) left of 0: nothing underflows there.

    Right of 0 erfcx would overflow. Both formulas hold at 0, so any order of derivative may change
    from one to the other there.
    """
    below = less(x, 0)
    left, right = where(below, x, 0.0), where(below, 0.0, x)
    tail = math.sqrt(2 / math.pi) / erfcx(-math.sqrt(0.5) * left)
    return where(below, tail, _density(right) / ndtr(right))


log_ndtr = elementwise(
    "log_ndtr",
    kernels.log_ndtr,
    _log_ndtr_partial,
    doc="""log Φ(x), elementwise, accurate in both tails: about -x²/2 - log(-x√2π) for x ≪ 0.

    By `erfcx` left of -1. The derivative grows as -x for x ≪ 0, without loss of digits.

    >>> ac.special.log_ndtr([-1e10, 0.0, 10.0]).tolist()
    [-5e+19, -0.69314718..., -7.61985...e-24]
    >>> ac.grad(ac.special.log_ndtr)(-1e4).item()
    10000.000099999...
    """,
)

# Gamma ----------------------------------------------------------------------------------------

lgamma = elementwise(
    "lgamma",
    kernels.lgamma,
    lambda _out, x: digamma(x),
    domain=positive,
    doc="""log |Γ(x)|, elementwise; inf at the poles 0, -1, -2, …, and at ±inf.

    The derivative is `digamma`. `special.gammaln` is the same function.

    >>> ac.special.gammaln([1.0, 5.0, -0.5])
    Tensor([0.    , 3.1781, 1.2655], dtype=float64)
    >>> ac.grad(ac.lgamma)(1.0)  # -γ
    Tensor(-0.5772, dtype=float64)
    """,
)
gammaln = lgamma
digamma = elementwise(
    "digamma",
    kernels.digamma,
    lambda _out, x: polygamma_p(x, n=1),
    domain=positive,
    doc="""ψ(x), the derivative of log |Γ(x)|, elementwise.

    Accurate near all of its zeros too: where reflection cancels, left of 0, in numbers of 106 bits.
    ∓inf at ±0, NaN at -1, -2, …, where the sign depends on the side.
    Its derivatives are `polygamma`.

    >>> ac.special.digamma([1.0, 1.4616321449683622]).tolist()
    [-0.57721566..., -9.2412655...e-17]
    >>> ac.grad(ac.digamma)(1.0)  # π²/6
    Tensor(1.6449, dtype=float64)
    """,
)


def _polygamma_domain(draw: Any) -> tuple[tuple, dict]:
    return (draw.array(draw.shape(min_length=0), 0.5, 3.0),), {"n": draw.integer(1, 3)}


polygamma_p: Callable[..., Tensor] = elementwise(
    "polygamma",
    lambda x, n: kernels.polygamma(n, x),
    lambda _out, x, n: polygamma_p(x, n=n + 1),
    domain=_polygamma_domain,
)


def polygamma(n: int, x: Any) -> Tensor:
    """The n-th derivative of `digamma` at x, elementwise; n = 0 is `digamma` itself.

    Args:
        n: a whole number from 0 to 100.
        x: any shape. At 0, -1, -2, … odd orders are inf; even ones ∓inf at ±0 and NaN elsewhere.

    Raises:
        ValueError: another n.

    >>> ac.special.polygamma(1, 1.0)  # π²/6
    Tensor(1.6449, dtype=float64)
    >>> ac.grad(lambda x: ac.polygamma(1, x))(1.0), ac.polygamma(2, 1.0)
    (Tensor(-2.4041, dtype=float64), Tensor(-2.4041, dtype=float64))
    """
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"polygamma: expected a whole number n >= 0, got {n!r}")
    return digamma(x) if n == 0 else polygamma_p(x, n=n)


betaln = elementwise(
    "betaln",
    kernels.betaln,
    lambda _out, x, y: polygamma_drop(x, y, n=0),
    lambda _out, x, y: polygamma_drop(y, x, n=0),
    domain=positive,
    doc="""log |B(x, y)| = log |Γ(x) Γ(y) / Γ(x + y)|, elementwise.

    By Stirling's formula where an argument is large: log Γ of each would cancel (Didonato & Morris,
    ACM TOMS 18, 1992). inf where x or y is 0, -inf where one is inf. Near the line B(x, y) = 1,
    where it is 0, in numbers of 106 bits. Derivatives are differences ψ(x) - ψ(x + y), computed as
    such.

    >>> ac.special.betaln(1e-300, 1e15).item(), ac.special.betaln(2.0, 1e15).item()
    (690.77552..., -69.07755...)
    >>> ac.grad(ac.special.betaln)(1e15, 2.0).item()
    -1.99999...e-15
    """,
)


psi = digamma


def _drop_domain(draw: Any) -> tuple[tuple, dict]:
    shapes = draw.broadcastable_shapes(2, min_length=0)
    return tuple(draw.array(s, 0.5, 3.0) for s in shapes), {"n": draw.integer(0, 2)}


polygamma_drop: Callable[..., Tensor] = elementwise(
    "polygamma_drop",
    lambda x, y, n: kernels.polygamma_drop(n, x, y),
    lambda _out, x, y, n: polygamma_drop(x, y, n=n + 1),
    lambda _out, x, y, n: -polygamma_p(x + y, n=n + 1),
    domain=_drop_domain,
    doc="ψ⁽ⁿ⁾(x) - ψ⁽ⁿ⁾(x + y), elementwise, without cancellation where y is small beside x.",
)

# Odds and entropies ---------------------------------------------------------------------------

expit, log_expit = sigmoid, log_sigmoid
logit = elementwise(
    "logit",
    kernels.logit,
    lambda _out, x: reciprocal(x) + reciprocal(1 - x),
    domain=(0.1, 0.9),
    doc="""log(x / (1 - x)), elementwise, the inverse of `expit`: ∓inf at 0 and 1, NaN outside.

    Accurate near its zero, ½, too, as 2 artanh(2x - 1).

    >>> ac.special.logit([0.0, 0.5, 0.75, 1.0])
    Tensor([  -inf, 0.    , 1.0986,    inf], dtype=float64)
    >>> ac.grad(ac.special.logit)(1e-200).item()
    1e+200
    """,
)
entr = elementwise(
    "entr",
    kernels.entr,
    lambda _out, x: -log(x) - 1,
    domain=positive,
    doc="""-x log x, elementwise: 0 at 0, -inf left of it. The derivative at 0 is +inf, the limit.

    >>> ac.special.entr([0.0, 0.5, -1.0])
    Tensor([0.    , 0.3466,   -inf], dtype=float64)
    >>> ac.grad(ac.special.entr)(1.0), ac.grad(ac.special.entr)(0.0)
    (Tensor(-1., dtype=float64), Tensor(inf, dtype=float64))
    """,
)


def xlogy(x: Any, y: Any) -> Tensor:
    """x log y, elementwise, and 0 where x = 0, whatever y but NaN.

    Where x = 0 and log y is infinite or undefined (y ≤ 0, y = inf), derivatives are 0 too, so that
    the gradient of a cross-entropy with probabilities that are exactly 0 is finite.

    >>> ac.special.xlogy([0.0, 2.0], [0.0, 3.0])
    Tensor([0.    , 2.1972], dtype=float64)
    >>> ac.grad(ac.special.xlogy, (0, 1))(0.0, 2.0)
    (Tensor(0.6931, dtype=float64), Tensor(0., dtype=float64))
    >>> ac.grad(ac.special.xlogy, (0, 1))(0.0, 0.0)
    (Tensor(0., dtype=float64), Tensor(0., dtype=float64))
    """
    x, y = _real_pair(x, y)
    return multiply(x, log(where(_undefined(x, y, 0.0), 1.0, y)))


def xlog1py(x: Any, y: Any) -> Tensor:
    """x log(1 + y), elementwise, accurate for small y, and 0 where x = 0, whatever y but NaN.

    Where x = 0 and y ≤ -1 or y = inf, derivatives are 0 too, as those of `xlogy`.

    >>> ac.special.xlog1py([0.0, 2.0], [-1.0, 1e-20]).tolist()
    [0.0, 2e-20]
    >>> ac.grad(ac.special.xlog1py, (0, 1))(0.0, -1.0)
    (Tensor(0., dtype=float64), Tensor(0., dtype=float64))
    """
    x, y = _real_pair(x, y)
    return multiply(x, log1p(where(_undefined(x, y, -1.0), 0.0, y)))


def _undefined(x: Any, y: Any, low: float) -> Tensor:
    """Where x is 0 and y is not between `low` and inf; NaN stays."""
    outside = logical_not(logical_and(greater(y, low), less(y, math.inf)))
    return logical_and(equal(x, 0), logical_and(outside, equal(y, y)))


def _real_pair(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Integers as float64; a Python number takes the other's dtype, for it promotes nothing."""
    numbers = [v.__class__ in PYTHON_NUMBERS or stands_for_number(v) for v in (x, y)]
    if numbers == [True, False]:
        y = _real(y)
        return astype(asarray(x), y.dtype), y
    if numbers == [False, True]:
        x = _real(x)
        return x, astype(asarray(y), x.dtype)
    return _real(x), _real(y)


def _real(x: Any) -> Tensor:
    x = asarray(x)
    if x.dtype.kind not in "fiub":
        raise DtypeError(f"{operation()}expected real numbers, got {x.dtype}")
    return x if x.dtype.kind == "f" else astype(x, np.float64)


# Bessel functions -----------------------------------------------------------------------------

i0e = elementwise(
    "i0e",
    kernels.i0e,
    lambda _out, x: bessel_derivative(x, order=0, n=1),
    doc="""exp(-|x|) I₀(x), the scaled modified Bessel function of order 0, elementwise.

    The power series up to 8, then a polynomial in 1/x. At 0, where exp(-|x|) has a kink, its
    derivative of each order is the mean of those on both sides: 0 for odd orders.

    >>> ac.special.i0e([0.0, 1.0, 1e10]).tolist()
    [1.0, 0.46575960..., 3.9894228...e-06]
    >>> ac.grad(ac.special.i0e)(1e10).item()  # i1e - i0e would have no digits left
    -1.9947114...e-16
    """,
)
i1e = elementwise(
    "i1e",
    kernels.i1e,
    lambda _out, x: bessel_derivative(x, order=1, n=1),
    doc="""exp(-|x|) I₁(x), the scaled modified Bessel function of order 1, elementwise.

    As `i0e`: at 0 its first derivative is ½, and even ones are 0, the mean of both sides.

    >>> ac.special.i1e([0.0, 1.0])
    Tensor([0.    , 0.2079], dtype=float64)
    >>> ac.grad(ac.special.i1e)(0.0)
    Tensor(0.5, dtype=float64)
    """,
)


def _bessel_domain(draw: Any) -> tuple[tuple, dict]:
    params = {"order": draw.integer(0, 1), "n": draw.integer(1, 3)}
    return (draw.array(draw.shape(min_length=0)),), params


bessel_derivative = elementwise(
    "bessel_derivative",
    lambda x, order, n: kernels.bessel_derivative(order, n, x),
    lambda _out, x, order, n: bessel_derivative(x, order=order, n=n + 1),
    domain=_bessel_domain,
    doc="The n-th derivative of exp(-|x|) I_order(x), elementwise, for order 0 or 1.",
)
