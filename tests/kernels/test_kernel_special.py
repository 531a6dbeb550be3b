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

NAMES = ["erf", "erfc", "erfinv", "lgamma", "digamma", "polygamma"]
ORDERS = [1, 2, 3, 4, 7, 20, 100]
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
        if name != "polygamma":
            yield function
        else:
            yield from (functools.partial(function, n) for n in ORDERS)


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
    assert_close(kernels.digamma(points), expected, rounding_errors=128, scale=best)
    assert_close(reference.digamma(points), expected, rounding_errors=32, scale=scale)


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
