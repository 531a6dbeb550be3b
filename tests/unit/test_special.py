"""Special functions: values at edges, derivatives at extreme arguments, and their conventions."""

import doctest

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import special
from autograd_core.ops import normalize
from autograd_core.ops import special as family

INF, NAN = np.inf, np.nan


def d(f, *x, order=1):
    """Derivatives of some order in the first argument."""
    for _ in range(order):
        f = ac.grad(f)
    return f(*map(float, x)).item()


# Documentation --------------------------------------------------------------------------------

DOCUMENTED = [getattr(special, name) for name in special.__all__]


@pytest.mark.parametrize("function", DOCUMENTED, ids=special.__all__)
def test_examples(function):
    assert ">>>" in function.__doc__
    names, text = {"ac": ac, "np": np}, function.__doc__
    test = doctest.DocTestParser().get_doctest(text, names, function.__name__, None, 0)
    failures = []
    with np.printoptions(precision=4, suppress=True):
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(
            test, out=failures.append
        )
    assert not failures, "".join(failures)


def test_names():
    assert special.expit is ac.sigmoid is normalize.sigmoid
    assert special.gammaln is ac.lgamma
    assert ac.special is special and "special" in ac.__all__
    for name in ("erf", "erfc", "digamma", "polygamma"):
        assert getattr(special, name) is getattr(ac, name)
    assert set(special.__all__) <= set(family.__all__)


# Derivatives ----------------------------------------------------------------------------------


@pytest.fixture
def mpmath():
    module = pytest.importorskip("mpmath", reason="the derivatives are checked by mpmath")
    with module.workdps(90):
        yield module


def scaled_bessel(m, order, x):
    return m.exp(-abs(x)) * m.besseli(order, x)


TRUTH = {
    "erf": (lambda m, x: m.erf(x), [-3, -0.5, 1e-5, 2, 5]),
    "erfc": (lambda m, x: m.erfc(x), [-3, -0.5, 1e-5, 2, 10]),
    "erfcx": (lambda m, x: m.exp(x * x) * m.erfc(x), [-5, -0.1, 0.3, 1.9, 2.1, 30, 1e4]),
    "erfinv": (lambda m, x: m.erfinv(x), [-0.9, 0.1, 0.99]),
    "ndtr": (lambda m, x: m.ncdf(x), [-10, -3, -0.9, 0.5, 8]),
    "log_ndtr": (
        lambda m, x: m.log(m.ncdf(x)) if x < 0 else m.log1p(-m.ncdf(-x)),
        [-1e4, -50, -1.01, -0.9, -0.1, 0.1, 2, 10],
    ),
    "gammaln": (lambda m, x: m.log(abs(m.gamma(x))), [-3.7, -0.5, 1e-3, 1, 1.5, 2, 30, 150]),
    "digamma": (lambda m, x: m.digamma(x), [-3.7, -0.5, 1e-3, 1, 1.4616321449683622, 30, 1e10]),
    "logit": (lambda m, x: m.log(x / (1 - x)), [1e-3, 0.3, 0.45, 0.999]),
    "expit": (lambda m, x: 1 / (1 + m.exp(-x)), [-40, -3, 0.5, 3]),
    "entr": (lambda m, x: -x * m.log(x), [1e-3, 0.2, 3]),
    "i0e": (lambda m, x: scaled_bessel(m, 0, x), [-20, -0.5, 1e-3, 0.3, 8.1, 49, 51, 1e4]),
    "i1e": (lambda m, x: scaled_bessel(m, 1, x), [-20, -0.5, 1e-3, 0.3, 8.1, 49, 51, 1e4]),
}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", TRUTH)
def test_derivatives(mpmath, name, order):
    """To all digits but two, far out and near zeros of the functions too."""
    exact, points = TRUTH[name]
    for x in points:
        expected = float(mpmath.diff(lambda z: exact(mpmath, z), mpmath.mpf(float(x)), order))
        got = d(getattr(special, name), x, order=order)
        assert got == pytest.approx(expected, rel=5e-14, abs=0), x


@pytest.mark.parametrize("orders", [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)])
@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        *[("betaln", 2.5, 3.5), ("betaln", 1e8, 2.5), ("betaln", 0.01, 1e6), ("betaln", 300, 200)],
        *[("xlogy", 2.5, 0.3), ("xlogy", 1e-100, 1e-120), ("xlogy", 0.0, 3.0)],
        *[("xlog1py", 2.5, 0.3), ("xlog1py", -1.5, 1e-20), ("xlog1py", 0.0, -0.5)],
    ],
)
def test_derivatives_of_two_arguments(mpmath, name, x, y, orders):
    exact = {
        "betaln": lambda x, y: mpmath.loggamma(x) + mpmath.loggamma(y) - mpmath.loggamma(x + y),
        "xlogy": lambda x, y: x * mpmath.log(y),
        "xlog1py": lambda x, y: x * mpmath.log(1 + y),
    }[name]
    f = getattr(special, name)
    for argnum, times in enumerate(orders):
        for _ in range(times):
            f = ac.grad(f, argnum)
    with mpmath.workdps(400 if y < 1e-100 else 90):
        expected = float(mpmath.diff(exact, (mpmath.mpf(x), mpmath.mpf(y)), orders))
    assert f(float(x), float(y)).item() == pytest.approx(expected, rel=1e-13, abs=1e-80)


@pytest.mark.parametrize(
    ("name", "x", "first", "second"),
    [
        ("log_ndtr", -1e4, 1e4 + 1e-4 - 2e-12, -1 + 1e-8),
        ("log_ndtr", -1e10, 1e10, -1),
        ("log_ndtr", -1e150, 1e150, -1),
        ("log_ndtr", 100, 0, 0),
        ("ndtr", -100, 0, 0),
        ("erf", 1e10, 0, 0),
        ("erfc", -1e10, 0, 0),
        ("erfcx", 1e100, -1e-200 / np.sqrt(np.pi), 2e-300 / np.sqrt(np.pi)),
        ("erfinv", 1.0, INF, INF),
        ("gammaln", 1e300, np.log(1e300), 1e-300),
        ("digamma", 1e-100, 1e200, -2e300),
        ("logit", 1e-150, 1e150, -1e300),
        ("logit", 1e-300, 1e300, -INF),  # beyond the largest number
        ("logit", 0.0, INF, -INF),
        ("expit", -800, 0, 0),
        ("expit", 800, 0, 0),
        ("entr", 0.0, INF, -INF),
        ("entr", 1e-300, 300 * np.log(10) - 1, -1e300),
        ("i0e", 1e10, -0.5e-15 / np.sqrt(2 * np.pi), 0.75e-25 / np.sqrt(2 * np.pi)),
        ("i0e", 0.0, 0, 1.5),
        ("i0e", -0.0, 0, 1.5),
        ("i1e", 0.0, 0.5, 0),
        ("i1e", INF, 0, 0),
    ],
)
def test_derivatives_at_extremes(name, x, first, second):
    f = getattr(special, name)
    with np.errstate(all="ignore"):
        assert d(f, x) == pytest.approx(first, rel=1e-9 if abs(x) == 1e10 else 1e-13, abs=0)
        assert d(f, x, order=2) == pytest.approx(second, rel=1e-9, abs=0)


def test_conventions_where_x_is_zero():
    for f, low in ((special.xlogy, 0.0), (special.xlog1py, -1.0)):
        for y in (low, low - 1, INF):
            assert f(0.0, y).item() == 0
            gradient = ac.grad(f, (0, 1))
            assert [g.item() for g in gradient(0.0, y)] == [0, 0]
            second = ac.jacfwd(gradient, (0, 1))(0.0, y)
            assert [g.item() for g in ac.tree_leaves(second)] == [0, 0, 0, 0]
        assert np.isnan(f(0.0, NAN).item()) and np.isnan(f(NAN, 1.0).item())
        with np.errstate(divide="ignore"):
            assert f(2.0, low).item() == -INF


def test_a_cross_entropy_with_zeros_has_a_finite_gradient():
    p, q = np.array([0.0, 0.25, 0.75]), np.array([0.0, 0.5, 0.5])
    gradient = ac.grad(lambda q: -ac.sum(special.xlogy(p, q)))(q)
    np.testing.assert_allclose(gradient.data, [0, -0.5, -1.5])


# Arguments ------------------------------------------------------------------------------------

UNARY = sorted(TRUTH)
BINARY = ["betaln", "xlog1py", "xlogy"]


@pytest.mark.parametrize("name", UNARY)
def test_dtypes(name):
    f = getattr(special, name)
    assert f(np.array([0, 1])).dtype == np.float64
    assert f(1).dtype == np.float64
    x = np.linspace(0.1, 0.9, 5, dtype=np.float32)
    assert f(x).dtype == np.float32
    np.testing.assert_allclose(f(x).data, f(x.astype(np.float64)).data, rtol=3e-7)
    assert ac.grad(lambda x: ac.sum(f(x)))(x).dtype == np.float32


@pytest.mark.parametrize("name", BINARY)
def test_dtypes_of_two_arguments(name):
    f = getattr(special, name)
    whole, narrow = np.array([1, 2]), np.array([1.5, 2.5], np.float32)
    assert f(whole, whole).dtype == f(1, 2).dtype == np.float64
    assert f(narrow, 2).dtype == f(2.0, narrow).dtype == np.float32
    assert ac.jit(f)(narrow, 2).dtype == ac.jit(f)(2.0, narrow).dtype == np.float32
    assert f(narrow, whole).dtype == np.float64
    assert f(np.ones((2, 1)), np.ones(3)).shape == (2, 3)


@pytest.mark.parametrize("name", [n for n in [*UNARY, *BINARY] if n != "expit"])
def test_complex_arguments_are_refused(name):
    f = getattr(special, name)
    with pytest.raises(ac.DtypeError, match="complex128"):
        f(np.array([1j])) if name in UNARY else f(1.0, np.array([1j]))


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_jit(name):
    """Values, gradients and second derivatives; what is not fused is called as it is."""
    f = getattr(special, name)
    args = [np.linspace(0.1, 0.9, 7), np.linspace(1.1, 2.9, 7)][: 1 + (name in BINARY)]
    slope = ac.grad(lambda *xs: ac.sum(f(*xs)))
    curve = ac.grad(lambda *xs: ac.sum(slope(*xs) ** 2))
    for g in (f, slope, curve):
        np.testing.assert_allclose(ac.jit(g)(*args).data, g(*args).data, rtol=1e-13)
