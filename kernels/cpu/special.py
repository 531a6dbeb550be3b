"""Special functions, elementwise: computed in float64, rounded to the dtype of the argument."""

import functools
import math
from collections.abc import Callable

import numpy as np

from kernels import reference
from kernels.arrays import plain, result
from kernels.cpu.lazy import Compiled, compiled
from kernels.cpu.threads import split

# The least number of elements that are worth a thread.
GRAIN = 2**13


def _elementwise(
    kernel: Compiled, fallback: Callable[..., np.ndarray]
) -> Callable[..., np.ndarray]:
    """The array function of a kernel with arguments ``(x, out, start, stop)``."""

    @functools.wraps(fallback)
    def function(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if not kernel.supports(x.dtype):
            return fallback(x, out)
        out = result(out, x.shape, x.dtype)
        flat, flat_out = plain(x).reshape(-1), out.reshape(-1)
        split(x.size, GRAIN, lambda start, stop: kernel(flat, flat_out, start, stop))
        return out

    return function


def polygamma(n: int, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    reference.check_order(n)
    if n == 0:
        return digamma(x, out)
    if not _polygamma.supports(x.dtype):
        return reference.polygamma(n, x, out)
    out = result(out, x.shape, x.dtype)
    flat, flat_out = plain(x).reshape(-1), out.reshape(-1)
    polynomial = np.array([float(c) for c in reference.cotangent_derivative(n)])
    split(
        x.size,
        GRAIN,
        lambda start, stop: _polygamma(flat, polynomial, flat_out, n, start, stop),
    )
    return out


# --- scalar functions, called by the kernels below --------------------------------------------


def _erfinv_scalar(y: float) -> float:
    """Halley's iteration from Winitzki's approximation, which is off by 0.2 % at most."""
    size = abs(y)
    if not size < 1:
        return math.copysign(math.inf, y) if size == 1 else math.nan
    tail = 1 - size
    x = 0.5 * math.sqrt(math.pi) * size
    if size > 0.1:
        log = math.log(tail * (1 + size))
        half = 2 / (math.pi * 0.147) + 0.5 * log
        x = math.sqrt(math.sqrt(half * half - log / 0.147) - half)
    for _ in range(3):
        # In the tail on erfc, where erf has no digits left; there 1 - |y| is exact.
        error = math.erf(x) - size if tail > 0.5 else tail - math.erfc(x)
        step = error * 0.5 * math.sqrt(math.pi) * math.exp(x * x)
        x -= step / (1 + x * step)
    return math.copysign(x, y)


def _digamma_scalar(x: float) -> float:
    """Recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18)."""
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0 and x == math.floor(x):
        return math.nan
    offset = (x - DIGAMMA_ROOT) - DIGAMMA_ROOT_REST
    if abs(offset) < 0.25:
        series = 0.0
        for coefficient in DIGAMMA_AT_ROOT:
            series = series * offset + coefficient
        return series * offset
    result = 0.0
    if x < 0:
        result = -math.pi * _cot_pi(x)
        x = 1 - x
    while x < 10:
        result -= 1 / x
        x += 1
    series = 0.0
    for coefficient in DIGAMMA_AT_INFINITY:
        series = (series + coefficient) / (x * x)
    return result + (math.log(x) - 0.5 / x - series)


def _polygamma_scalar(n: int, x: float, polynomial: np.ndarray) -> float:
    """(-1)ⁿ⁺¹ n! ζ(n + 1, x), with the reflection formula left of 0 (A&S 6.4.7, 6.4.10)."""
    sign = 1.0 if n % 2 == 1 else -1.0
    if x == 0:
        return math.inf if sign > 0 else -math.copysign(math.inf, x)
    if x > 0 or x != x:
        return sign * _scaled_zeta(n, x)
    if x == math.floor(x):
        return math.inf if sign > 0 else math.nan
    cotangent = _cot_pi(x)
    reflected = 0.0
    for k in range(n + 1, -1, -1):
        reflected = reflected * cotangent + polynomial[k]
    return -_scaled_zeta(n, 1 - x) - math.pi ** (n + 1) * reflected


def _scaled_zeta(n: int, x: float) -> float:
    """n! ζ(n + 1, x) for x > 0, by Euler-Maclaurin summation from the first large term onwards.

    In units of n!/xⁿ⁺¹, its first term, so that no factor overflows before the result does.
    """
    if x == math.inf:
        return 0.0
    first = 1 / x
    for k in range(1, n + 1):
        first *= k / x
    end = x
    total = 0.0
    while end < 10 + 0.5 * n:
        total += (x / end) ** (n + 1)
        end += 1
    tail = end / n + 0.5
    factor = (n + 1) / end
    for k in range(len(EULER_MACLAURIN)):
        tail += EULER_MACLAURIN[k] * factor
        factor *= (n + 2 * k + 2) * (n + 2 * k + 3) / (end * end)
    return first * (total + (x / end) ** (n + 1) * tail)


def _cot_pi(x: float) -> float:
    """cot(πx), with the period removed exactly and full accuracy near the zeros."""
    r = x - math.floor(x + 0.5)
    if abs(r) < 0.25:
        return 1 / math.tan(math.pi * r)
    return math.copysign(math.tan(math.pi * (0.5 - abs(r))), r)


# --- kernels ----------------------------------------------------------------------------------


@compiled(writes="out")
def _erf(x, out, start, stop):
    for k in range(start, stop):
        out[k] = math.erf(np.float64(x[k]))


@compiled(writes="out")
def _erfc(x, out, start, stop):
    for k in range(start, stop):
        out[k] = math.erfc(np.float64(x[k]))


@compiled(writes="out", helpers=(_erfinv_scalar,))
def _erfinv(x, out, start, stop):
    for k in range(start, stop):
        out[k] = _erfinv_scalar(np.float64(x[k]))


@compiled(writes="out")
def _lgamma(x, out, start, stop):
    for k in range(start, stop):
        out[k] = math.lgamma(np.float64(x[k]))


@compiled(writes="out", helpers=(_cot_pi, _digamma_scalar))
def _digamma(x, out, start, stop):
    for k in range(start, stop):
        out[k] = _digamma_scalar(np.float64(x[k]))


@compiled(writes="out", helpers=(_cot_pi, _scaled_zeta, _polygamma_scalar))
def _polygamma(x, polynomial, out, n, start, stop):
    for k in range(start, stop):
        out[k] = _polygamma_scalar(n, np.float64(x[k]), polynomial)


erf = _elementwise(_erf, reference.erf)
erfc = _elementwise(_erfc, reference.erfc)
erfinv = _elementwise(_erfinv, reference.erfinv)
lgamma = _elementwise(_lgamma, reference.lgamma)
digamma = _elementwise(_digamma, reference.digamma)

# --- coefficients, for Horner's rule from the highest power down -----------------------------

# The positive zero of digamma in two parts, and ψ(zero + h)/h: ψ⁽ᵏ⁾(zero)/k! for k = 1, 2, …
DIGAMMA_ROOT = 1.4616321449683622
DIGAMMA_ROOT_REST = 9.549995429965697e-17
DIGAMMA_AT_ROOT = (
    -0.00016170622091974803,
    0.00023635601564027053,
    -0.0003454680251063077,
    0.000504953265834602,
    -0.0007380709389960052,
    0.0010788252019162967,
    -0.0015769367714301972,
    0.002305126326734928,
    -0.003369801655439328,
    0.004926781395729853,
    -0.007204534386356869,
    0.010538791616612175,
    -0.01542476590494896,
    0.022597648232218104,
    -0.03316112647484736,
    0.04880428816414311,
    -0.07219956125645471,
    0.10782405069126237,
    -0.16394270544240652,
    0.258499760955651,
    -0.4427631689835921,
    0.9676722454476212,
)
# log(x) - 1/(2x) - ψ(x) in powers of 1/x²: B₂ₖ/(2k) for k = 1, 2, …
DIGAMMA_AT_INFINITY = tuple(reference.BERNOULLI[k] / (2 * k) for k in range(8, 0, -1))
# B₂ₖ/(2k)! for k = 1, 2, … (from the first up)
EULER_MACLAURIN = tuple(reference.BERNOULLI[k] / math.factorial(2 * k) for k in range(1, 13))
