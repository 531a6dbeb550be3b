"""Special functions, against mpmath at 40 digits."""

import functools
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import arrays, assert_close, assert_same, float_types, law, normal

import kernels
from kernels import reference
from kernels.cpu import lazy, special, threads

NAMES = [
    *("erf", "erfc", "erfinv", "erfcx", "erfcx_derivative", "ndtr", "log_ndtr"),
    *("lgamma", "digamma", "polygamma", "entr", "logit", "i0e", "i1e", "bessel_derivative"),
]
PAIRS = ["betaln", "polygamma_drop"]
ORDERS = [1, 2, 3, 4, 7, 20, 100]
BESSEL = [(order, n) for order in (0, 1) for n in (1, 2, 3)]
RNG = np.random.default_rng(0)

MODERATE = RNG.uniform(-6, 6, 200)
TINY = np.outer([1.0, -1.0], 10.0 ** -np.arange(1, 300, 23)).ravel()
POSITIVE = np.concatenate([RNG.uniform(0, 12, 200), 10 ** RNG.uniform(-6, 6, 100)])
ZEROS = np.concatenate([c + 10.0 ** -np.arange(1.0, 12) for c in (1, 2, 1.4616321449683623)])
NEGATIVE = -np.concatenate([RNG.uniform(0, 12, 200), RNG.uniform(0, 1e3, 50), ZEROS, -TINY[14:]])
HALVES = -np.arange(0.5, 8)


@pytest.fixture
def mpmath():
    module = pytest.importorskip("mpmath", reason="the special functions are checked by mpmath")
    with module.workdps(40):
        yield module


def truth(function, points):
    return np.array([float(function(float(point))) for point in points])


def functions(module, names=NAMES):
    """Each function as one of x alone."""
    for name in names:
        function = getattr(module, name)
        if name == "polygamma":
            yield from (functools.partial(function, n) for n in ORDERS)
        elif name == "erfcx_derivative":
            yield from (functools.partial(function, n) for n in (1, 2, 5))
        elif name == "bessel_derivative":
            yield from (functools.partial(function, *which) for which in BESSEL)
        else:
            yield function


def of_pairs(module):
    """Each function of two arrays."""
    yield module.betaln
    yield from (functools.partial(module.polygamma_drop, n) for n in (0, 1, 2, 7))


def test_erf(mpmath):
    points = np.concatenate([MODERATE, TINY])
    expected = truth(mpmath.erf, points)
    assert_close(kernels.erf(points), expected, rounding_errors=4)
    assert_close(reference.erf(points), expected, rounding_errors=4)


def test_erfc(mpmath):
    points = np.concatenate([MODERATE, TINY, RNG.uniform(6, 26, 100)])
    expected = truth(mpmath.erfc, points)
    assert_close(kernels.erfc(points), expected, rounding_errors=8)
    assert_close(reference.erfc(points), expected, rounding_errors=8)


def test_erfinv(mpmath):
    near_one = 1 - 2.0 ** -np.arange(1, 54)
    points = np.concatenate([RNG.uniform(-1, 1, 200), TINY, near_one, -near_one])
    expected = truth(mpmath.erfinv, points)
    assert_close(kernels.erfinv(points), expected, rounding_errors=8)
    assert_close(reference.erfinv(points), expected, rounding_errors=8)


def test_lgamma(mpmath):
    points = np.concatenate([POSITIVE, ZEROS, np.abs(TINY), 2 - ZEROS % 1])
    expected = truth(mpmath.loggamma, points)
    scale = 1 + np.abs(expected)  # the reference is not accurate near the zeros
    best = None if lazy.numba_loads() else scale
    assert_close(kernels.lgamma(points), expected, rounding_errors=32, scale=best)
    assert_close(reference.lgamma(points), expected, rounding_errors=32, scale=scale)


def test_lgamma_left_of_zero(mpmath):
    expected = truth(lambda x: mpmath.log(abs(mpmath.gamma(x))), NEGATIVE)
    # By reflection, log(π/|sin πx|) - log Γ(1 - x): the last has the size of the terms.
    scale = 1 + np.abs(expected) + truth(lambda x: mpmath.loggamma(1 - x), NEGATIVE)
    assert_close(kernels.lgamma(NEGATIVE), expected, rounding_errors=32, scale=scale)
    assert_close(reference.lgamma(NEGATIVE), expected, rounding_errors=32, scale=scale)


def test_digamma(mpmath):
    points = np.concatenate([POSITIVE, ZEROS, np.abs(TINY)])
    expected = truth(mpmath.digamma, points)
    scale = 1 + np.abs(expected)  # the reference is not accurate near the zero
    best = None if lazy.numba_loads() else scale
    assert_close(kernels.digamma(points), expected, rounding_errors=8, scale=best)
    assert_close(reference.digamma(points), expected, rounding_errors=32, scale=scale)


def check(points, exact, fast, plain, ulps=4, plain_ulps=64):
    """A kernel is within so many units in the last place of the truth, the reference within more;
    and each within a unit of the smallest number."""
    expected = [exact(float(x)) for x in points]
    near = np.array([float(x) for x in expected])
    unit = np.spacing(np.abs(near))
    with np.errstate(all="ignore"):
        for function, most in (
            (fast, ulps if lazy.numba_loads() else plain_ulps),
            (plain, plain_ulps),
        ):
            found = function(points)
            off = [float((float(f) - e) / u) for f, e, u in zip(found, expected, unit, strict=True)]
            worst = int(np.argmax(np.abs(off)))
            assert abs(off[worst]) <= most, (points[worst], found[worst], near[worst])


def next_to(points):
    """The floats next to these, and others at distances from small to large."""
    center = np.asarray(points, np.float64)[:, None]
    steps = np.arange(-2, 3) * np.spacing(np.abs(center))
    away = 10.0 ** -np.arange(1, 16, 2)
    return np.concatenate([center + steps, center - away, center + away], 1).ravel()


LEFT_OF_ZERO = np.concatenate(
    [
        *(-RNG.uniform(0, end, 150) for end in (20, 1000)),
        -(10.0 ** RNG.uniform(3, 14, 20)),
        [-(2.0**51) - 0.5],
        *(next_to([-1.0, -2, -7, -20, -21]), -np.arange(0.5, 30), -np.abs(TINY)),
    ]
)
LEFT_OF_ZERO = LEFT_OF_ZERO[LEFT_OF_ZERO % 1 != 0]


def exact_polygamma(mpmath, n):
    def exact(x):
        with mpmath.workdps(60 + 4 * n):
            return mpmath.polygamma(n, x)

    return exact


def zeros_of_polygamma(mpmath, n, which):
    """Those between -k - 1 and -k, the nearest floats."""
    slope, found = exact_polygamma(mpmath, n), []
    for k in which:
        ends = mpmath.mpf(-k) - 0.99, mpmath.mpf(-k) - 0.01
        found.append(float(mpmath.findroot(slope, ends, solver="anderson", tol=1e-35)))
    return found


def test_digamma_to_the_last_digits(mpmath):
    exact = exact_polygamma(mpmath, 0)
    right = np.concatenate([POSITIVE, next_to([1.4616321449683622]), [1e-308, 1e15, 1e300]])
    check(right, exact, kernels.digamma, reference.digamma, ulps=2.4, plain_ulps=np.inf)
    check(LEFT_OF_ZERO, exact, kernels.digamma, reference.digamma, ulps=4)


def test_digamma_at_its_zeros(mpmath):
    points = next_to(zeros_of_polygamma(mpmath, 0, [*range(20), 99, 999]))
    exact = exact_polygamma(mpmath, 0)
    check(points, exact, kernels.digamma, reference.digamma, ulps=3.4)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20])
def test_polygamma_to_the_last_digits(mpmath, n):
    exact = exact_polygamma(mpmath, n)
    functions = [functools.partial(module.polygamma, n) for module in (kernels, reference)]
    check(POSITIVE, exact, *functions, ulps=3.2 if n <= 10 else 4)
    points = LEFT_OF_ZERO[::2]
    points = points[points > -100]  # mpmath is slow beyond
    points = points[np.abs(points - np.rint(points)) > 10.0 ** (-270 / (n + 1))]
    check(points, exact, *functions, ulps=3 if n <= 10 else 4)


@pytest.mark.parametrize("n", [2, 4, 6, 8, 10])
def test_even_polygamma_at_its_zeros(mpmath, n):
    """The floats that are next to them, by chance almost at them, may lose a digit more."""
    zeros = np.array(zeros_of_polygamma(mpmath, n, range(6)))
    points, exact = next_to(zeros), exact_polygamma(mpmath, n)
    functions = [functools.partial(module.polygamma, n) for module in (kernels, reference)]
    nearest = np.abs(points[:, None] - zeros).min(1) <= np.spacing(np.abs(points))
    check(points[~nearest], exact, *functions, ulps=4)
    check(points[nearest], exact, *functions, ulps=6)


def erfcx_of(mpmath, n=0):
    """Derivatives of exp(x²) erfc(x) by the recurrence from y' = 2xy - 2/√π, in many digits."""

    def exact(x):
        with mpmath.workdps(60 + 25 * n + int(min(max(x, 0), 60) ** 2 / 2)):
            x = mpmath.mpf(x)
            if x > 60:
                terms = ((-1) ** k * mpmath.fac2(2 * k - 1) / (2 * x * x) ** k for k in range(8))
                return mpmath.fsum(terms) / (x * mpmath.sqrt(mpmath.pi))
            value, previous = mpmath.exp(x * x) * mpmath.erfc(x), mpmath.mpf(1)
            for k in range(n):
                last = 2 / mpmath.sqrt(mpmath.pi) if k == 0 else -2 * k * previous
                previous, value = value, 2 * x * value - last
            return value

    return exact


LEFT = RNG.uniform(-26.5, 0, 200)
RIGHT = np.concatenate([RNG.uniform(0, 2, 100), RNG.uniform(2, 30, 200), np.abs(TINY)])


def test_erfcx(mpmath):
    points = np.concatenate([LEFT, RIGHT, 10 ** RNG.uniform(2, 307, 50)])
    check(points, erfcx_of(mpmath), kernels.erfcx, reference.erfcx)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 12])
def test_derivatives_of_erfcx(mpmath, n):
    points = np.concatenate([LEFT[LEFT > -20], RIGHT])
    functions = (functools.partial(m.erfcx_derivative, n) for m in (kernels, reference))
    check(points, erfcx_of(mpmath, n), *functions, ulps=6 + n // 2, plain_ulps=64 + 8 * n)


def test_ndtr(mpmath):
    points = np.concatenate([RNG.uniform(-38.4, 10, 400), TINY, [-38.0, -37.5, -1.0, 40.0]])
    check(points, mpmath.ncdf, kernels.ndtr, reference.ndtr)


def test_log_ndtr(mpmath):
    def exact(x):
        return mpmath.log(mpmath.ncdf(x)) if x < 0 else mpmath.log1p(-mpmath.ncdf(-x))

    points = np.concatenate([RNG.uniform(-38, 38, 400), TINY, -(10 ** RNG.uniform(1, 3, 20))])
    check(points, exact, kernels.log_ndtr, reference.log_ndtr)


def test_log_ndtr_far_left():
    """-x²/2 - log(-x√2π) to all digits there."""
    x = -(10.0 ** np.arange(7, 154))
    expected = -0.5 * x * x - np.log(-x * np.sqrt(2 * np.pi))
    for module in (kernels, reference):
        assert_close(module.log_ndtr(x), expected, rounding_errors=4)


def test_entr(mpmath):
    points = np.concatenate([RNG.uniform(0, 3, 200), np.abs(TINY), 1 + TINY[:6], [5e-324, 1e300]])
    check(points, lambda x: -x * mpmath.log(x), kernels.entr, reference.entr)


def test_logit(mpmath):
    points = [RNG.uniform(0, 1, 300), np.abs(TINY), [5e-324], 0.5 + TINY[:8], 1 - np.abs(TINY[1:8])]
    points = np.concatenate(points)
    points = points[points < 1]

    def exact(x):
        return mpmath.log(mpmath.mpf(x) / (1 - mpmath.mpf(x)))

    check(points, exact, kernels.logit, reference.logit)


FAR = np.concatenate([RNG.uniform(-12, 60, 200), 10 ** RNG.uniform(1, 4, 50)])


@pytest.mark.parametrize("order", [0, 1])
def test_bessel_functions(mpmath, order):
    name = f"i{order}e"
    exact = lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(order, x)
    check(np.concatenate([FAR, TINY]), exact, getattr(kernels, name), getattr(reference, name))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_derivatives_of_bessel_functions(mpmath, order, n):
    """By I_m' = (I_m₋₁ + I_m₊₁)/2, in many digits; errors are relative to the integral of the
    absolute value, since those of order 1 have zeros."""

    def exact(x, order=order):
        with mpmath.workdps(60 + 12 * n):
            size, total = mpmath.mpf(abs(x)), mpmath.mpf(0)
            for k in range(n + 1):  # of the binomial of (d/dx - 1)ⁿ
                slope = sum(
                    mpmath.binomial(k, i) * mpmath.besseli(abs(order + k - 2 * i), size)
                    for i in range(k + 1)
                )
                total += mpmath.binomial(n, k) * (-1) ** (n - k) * slope / mpmath.mpf(2) ** k
            return total * mpmath.exp(-size) * ((-1) ** (order + n) if x < 0 else 1)

    points = np.concatenate([FAR[::8], TINY[:8], [49.9, 50.1]])
    expected = np.array([float(exact(x)) for x in points])
    scale = np.abs([float(exact(abs(x), 0)) for x in points])
    for module in (kernels, reference):
        found = module.bessel_derivative(order, n, points)
        assert_close(found, expected, rounding_errors=32, scale=scale)


def betaln_of(mpmath):
    def exact(x, y):
        with mpmath.workdps(70):
            a, b = mpmath.mpf(float(x)), mpmath.mpf(float(y))
            return mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)

    return exact


SIZES = [
    RNG.uniform(0, 10, (2, 200)),
    10 ** RNG.uniform(-5, 12, (2, 200)),
    10 ** RNG.uniform([[-300], [-3]], [[1], [30]], (2, 100)),
]


@pytest.mark.parametrize("sizes", SIZES, ids=["moderate", "large", "mixed"])
def test_betaln(mpmath, sizes):
    x, y = sizes
    expected = np.array(list(map(float, map(betaln_of(mpmath), x, y))))
    scale = np.maximum(1, np.abs(expected))
    for module in (kernels, reference):
        few = 8 if module is kernels and lazy.numba_loads() else 128
        assert_close(module.betaln(x, y), expected, rounding_errors=few, scale=scale)
        assert_same(module.betaln(x, y), module.betaln(y, x))


def test_betaln_to_the_last_digits(mpmath):
    x, y = np.concatenate([RNG.uniform(0, end, (2, 200)) for end in (3, 10)], 1)
    check_pairs(x, y, betaln_of(mpmath), ulps=7)


def test_betaln_where_beta_is_one(mpmath):
    """At (1, 1), along the line, and near it; pairs that are almost on it by chance lose more."""
    exact, y = betaln_of(mpmath), 10 ** RNG.uniform(0, [[3], [12]], (2, 40)).ravel()
    low, high = np.full_like(y, 1e-3), np.ones_like(y)
    for _ in range(60):
        middle = (low + high) / 2
        above = kernels.betaln(middle, y) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    for distance in (1e-12, -1e-9, 1e-6, -1e-3, 0.1):
        check_pairs(low * (1 + distance), y, exact, ulps=1)
    for module in (kernels, reference):
        assert module.betaln(1.0, 1.0) == 0 == module.betaln(np.ones(2), np.ones(2))[1]
        near = np.array([float(exact(a, b)) for a, b in zip(low, y, strict=True)])
        np.testing.assert_allclose(module.betaln(low, y), near, rtol=1e-11, atol=0)


def check_pairs(x, y, exact, ulps):
    """The same of functions of two arrays, and of the kernels alone."""
    expected = [exact(a, b) for a, b in zip(x, y, strict=True)]
    for found, true in zip(kernels.betaln(x, y), expected, strict=True):
        most = ulps if lazy.numba_loads() else 64
        assert abs(float((float(found) - true) / np.spacing(abs(float(true))))) <= most


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma_drop(mpmath, n):
    def exact(x, y):
        with mpmath.workdps(80):
            x, y = mpmath.mpf(float(x)), mpmath.mpf(float(y))
            return mpmath.polygamma(n, x) - mpmath.polygamma(n, x + y)

    x, y = 10 ** RNG.uniform([[-3], [-10]], [[10], [5]], (2, 100))
    x[:50], y[:50] = RNG.uniform(0, 12, (2, 50))
    expected = np.array(list(map(float, map(exact, x, y))))
    for module in (kernels, reference):
        found = module.polygamma_drop(n, x, y)
        assert_close(found, expected, rounding_errors=16 + 8 * n)


def test_digamma_left_of_zero(mpmath):
    points = np.concatenate([NEGATIVE, HALVES])
    expected = truth(mpmath.digamma, points)
    scale = reflection_terms(mpmath, 0, points)
    assert_close(kernels.digamma(points), expected, rounding_errors=32, scale=scale)
    assert_close(reference.digamma(points), expected, rounding_errors=32, scale=scale)


@pytest.mark.parametrize("n", ORDERS)
def test_polygamma(mpmath, n):
    points = np.concatenate([POSITIVE[:: 1 + n // 10], np.abs(TINY)])
    expected = truth(lambda x: mpmath.polygamma(n, x), points)
    assert_close(kernels.polygamma(n, points), expected, rounding_errors=32 + 2 * n)
    assert_close(reference.polygamma(n, points), expected, rounding_errors=32 + 2 * n)


@pytest.mark.parametrize("n", ORDERS)
def test_polygamma_left_of_zero(mpmath, n):
    points = np.concatenate([NEGATIVE[:: 1 + n // 10], HALVES])
    with mpmath.workdps(40 + 4 * n):  # mpmath loses as many digits as the terms differ in size
        expected = truth(lambda x: mpmath.polygamma(n, x), points)
        scale = reflection_terms(mpmath, n, points)
    errors = 32 + 4 * n
    assert_close(kernels.polygamma(n, points), expected, rounding_errors=errors, scale=scale)
    assert_close(reference.polygamma(n, points), expected, rounding_errors=errors, scale=scale)


def reflection_terms(mpmath, n, points):
    """A bound on the two terms of the reflection formula, whose rounding errors the sum inherits.

    One is ψ⁽ⁿ⁾(1 - x), the other its sum or difference with ψ⁽ⁿ⁾(x).
    """
    return truth(
        lambda x: abs(mpmath.polygamma(n, x)) + 2 * abs(mpmath.polygamma(n, 1 - x)), points
    )


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("module", [kernels, reference])
@pytest.mark.parametrize(
    "name, points, expected",
    [
        ("erf", [0.0, -0.0, INF, -INF, NAN], [0.0, -0.0, 1.0, -1.0, NAN]),
        ("erfc", [0.0, INF, -INF, NAN, 30.0], [1.0, 0.0, 2.0, NAN, 0.0]),
        ("erfinv", [0.0, -0.0, 1.0, -1.0, 1.5, -INF, NAN], [0.0, -0.0, INF, -INF, NAN, NAN, NAN]),
        ("lgamma", [0.0, -0.0, -1.0, -7.0, INF, -INF, NAN, 1e308], [INF] * 6 + [NAN, INF]),
        ("lgamma", [1.0, 2.0], [0.0, 0.0]),
        ("digamma", [0.0, -0.0, -1.0, -7.0, INF, -INF, NAN], [-INF, INF, NAN, NAN, INF, NAN, NAN]),
        ("erfcx", [0.0, INF, -INF, -27.0, NAN], [1.0, 0.0, INF, INF, NAN]),
        ("ndtr", [0.0, INF, -INF, -40.0, -1e300, 40.0, NAN], [0.5, 1.0, 0.0, 0.0, 0.0, 1.0, NAN]),
        ("log_ndtr", [INF, -INF, -1e10, -1e200, 40.0, NAN], [-0.0, -INF, -5e19, -INF, -0.0, NAN]),
        (
            "entr",
            [0.0, -0.0, 1.0, -1e-300, INF, -INF, NAN],
            [0.0, 0.0, -0.0, -INF, -INF, -INF, NAN],
        ),
        ("logit", [0.0, -0.0, 0.5, 1.0, -1e-300, 1.5, NAN], [-INF, -INF, 0, INF, NAN, NAN, NAN]),
        ("i0e", [0.0, -0.0, INF, -INF, NAN], [1.0, 1.0, 0.0, 0.0, NAN]),
        ("i1e", [0.0, -0.0, INF, -INF, NAN], [0.0, -0.0, 0.0, -0.0, NAN]),
    ],
)
def test_edges(module, name, points, expected):
    result = getattr(module, name)(np.array(points))
    assert_same(result, np.array(expected))
    assert_same(np.signbit(result)[result == 0], np.signbit(expected)[result == 0])


@pytest.mark.parametrize("module", [kernels, reference])
def test_edges_of_polygamma(module):
    points = np.array([0.0, -0.0, -1.0, -7.0, INF, NAN])
    for n in (1, 3, 99):
        assert_same(module.polygamma(n, points), np.array([INF, INF, INF, INF, 0.0, NAN]))
    for n in (2, 4, 100):
        assert_same(module.polygamma(n, points), np.array([-INF, INF, NAN, NAN, 0.0, NAN]))
    assert_same(module.polygamma(0, points), module.digamma(points))
    for n in (-1, 101, 1.5):
        with pytest.raises(ValueError, match="orders 0 to 100"):
            module.polygamma(n, points)


@pytest.mark.parametrize("module", [kernels, reference])
def test_edges_of_betaln(module):
    x, y, expected = np.transpose(
        [
            *[(0.0, 2.0, INF), (0.0, 0.0, INF), (-1.0, 2.5, INF), (1.0, 1.0, 0.0)],
            *[(5.0, 1.0, -np.log(5)), (INF, 2.0, -INF), (INF, INF, -INF)],
            *[(NAN, 1.0, NAN), (0.0, NAN, NAN)],
        ]
    )
    for a, b in ((x, y), (y, x)):
        result = module.betaln(a, b)
        np.testing.assert_allclose(result, expected, rtol=1e-15, atol=0)
    large = module.betaln(1e300, 1e300)
    np.testing.assert_allclose(large, -2e300 * np.log(2), rtol=1e-15)


@pytest.mark.parametrize("module", [kernels, reference])
def test_edges_of_polygamma_drop(module):
    """Where the formula for differences does not hold, the difference as it is."""
    x = np.array([3.0, INF, -0.5, 2.0, 2.0, NAN])
    y = np.array([0.0, 1.0, 0.25, INF, -3.5, 1.0])
    for n in (0, 2, 3):
        with np.errstate(invalid="ignore"):
            expected = module.polygamma(n, x) - module.polygamma(n, x + y)
        expected[1] = 0.0  # and not inf - inf
        found = module.polygamma_drop(n, x, y)
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-300)
    with pytest.raises(ValueError, match="orders 0 to 100"):
        module.polygamma_drop(101, x, y)


@pytest.mark.parametrize("module", [kernels, reference])
def test_edges_of_derivatives(module):
    points = np.array([0.0, -0.0, INF, -INF, NAN])
    root = 2 / np.sqrt(np.pi)
    assert_same(module.erfcx_derivative(1, points[2:]), np.array([0.0, -INF, NAN]))
    np.testing.assert_allclose(module.erfcx_derivative(1, points[:2]), -root, rtol=1e-15)
    np.testing.assert_allclose(module.erfcx_derivative(2, points[:2]), 2, rtol=1e-15)
    for order, n, at_zero in [(0, 1, 0), (0, 2, 1.5), (1, 1, 0.5), (1, 2, 0), (1, 3, 15 / 8)]:
        found = module.bessel_derivative(order, n, points)
        np.testing.assert_allclose(found, [at_zero, at_zero, 0, 0, NAN], rtol=1e-14, atol=0)


def test_complex_arguments_are_refused():
    for function in [*functions(kernels), *functions(reference)]:
        with pytest.raises(TypeError, match="expected real numbers, got complex128"):
            function(np.ones(2) + 1j)
    for function in [*of_pairs(kernels), *of_pairs(reference)]:
        with pytest.raises(TypeError, match="expected real numbers, got complex128"):
            function(np.ones(2), np.ones(2) + 1j)


@law
@given(st.data(), float_types, st.integers(1, 3))
def test_pairs_broadcast_in_every_layout(data, dtype, workers):
    x = data.draw(arrays((2, 1, 3), dtype, fill=normal))
    y = data.draw(arrays((4, 1), dtype, fill=normal))
    for function in of_pairs(kernels):
        whole = [np.broadcast_to(v, (2, 4, 3)) for v in (x, y)]
        parts = zip(*(v.reshape(-1, 1) for v in whole), strict=True)
        expected = np.array([function(a, b)[0] for a, b in parts], dtype).reshape(2, 4, 3)
        with (
            patch.object(special, "GRAIN", 1),
            patch.object(threads, "thread_count", lambda: workers),
        ):
            assert_same(function(x, y), expected)
            out = np.empty((2, 4, 3), dtype)
            assert function(x, y, out=out) is out
        assert_same(out, expected)


def test_dtypes_of_pairs():
    for function in [*of_pairs(kernels), *of_pairs(reference)]:
        wide, narrow = np.full(2, 1.5), np.full(2, 1.5, np.float32)
        assert function(wide, narrow).dtype == np.float64
        assert function(narrow, 2.0).dtype == np.float32
        assert function(np.array([1, 2]), np.array([3, 4])).dtype == np.float64
        assert_same(function(narrow, narrow), function(wide, wide).astype(np.float32))


@law
@given(st.data(), st.sampled_from(NAMES), float_types, st.integers(1, 3))
def test_every_layout_gives_the_same(data, name, dtype, workers):
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    x = data.draw(arrays(shape, dtype, fill=normal))
    for function, plain_function in zip(
        functions(kernels, [name]), functions(special, [name]), strict=True
    ):
        expected = np.array([plain_function(point.reshape(1))[0] for point in x.reshape(-1)], dtype)
        with (
            patch.object(special, "GRAIN", 1),
            patch.object(threads, "thread_count", lambda: workers),
        ):
            assert_same(function(x), expected.reshape(shape))
            out = np.empty(shape, dtype)
            assert function(x, out=out) is out
        assert_same(out, expected.reshape(shape))


@pytest.mark.parametrize("with_numba", [True, False])
def test_float32_is_the_rounded_float64_result(with_numba):
    x = np.concatenate([MODERATE, POSITIVE, NEGATIVE]).astype(np.float32)
    numba_loads = lazy.numba_loads() and with_numba
    with np.errstate(over="ignore"), patch.object(lazy, "numba_loads", lambda: numba_loads):
        for function in functions(kernels):
            assert_same(function(x), function(x.astype(np.float64)).astype(np.float32))


def test_scalars_and_other_dtypes_take_the_reference():
    for function in functions(kernels):
        assert function(0.5).dtype == np.float64
        assert_same(function(np.array(0.5)), function(np.array([0.5])).reshape(()))
        assert function(np.array([1, 2])).dtype == np.float64
        assert function(np.ones(2, np.float16)).dtype == np.float16


def test_out_has_to_fit():
    for function in functions(kernels):
        with pytest.raises(ValueError, match="out has to be"):
            function(np.ones(3), out=np.ones(2))
        with pytest.raises(ValueError, match="out has to be"):
            function(np.ones(3), out=np.ones(3, np.float32))
