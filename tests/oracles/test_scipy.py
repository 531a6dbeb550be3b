"""Values of the special functions are SciPy's, which is no dependency of ours."""

from __future__ import annotations

import numpy as np
import pytest

from autograd_core import special

scipy_special = pytest.importorskip("scipy.special", reason="the oracle of these values")
RNG = np.random.default_rng(0)
INF = np.inf

WIDE = np.concatenate([RNG.uniform(-30, 30, 300), 10 ** RNG.uniform(-300, 2, 100)])
ABOVE = np.concatenate([RNG.uniform(0, 20, 300), 10 ** RNG.uniform(-300, 300, 100)])
UNIT = np.concatenate([RNG.uniform(0, 1, 300), 10 ** RNG.uniform(-300, 0, 100)])
DOMAINS = {
    **dict.fromkeys(["erf", "erfc", "erfcx", "ndtr", "log_ndtr", "expit", "i0e", "i1e"], WIDE),
    **dict.fromkeys(["gammaln", "digamma", "entr"], ABOVE),
    "erfinv": 2 * UNIT - 1,
    "logit": UNIT,
}


@pytest.mark.parametrize("name", DOMAINS)
def test_values(name: str) -> None:
    x = DOMAINS[name]
    with np.errstate(all="ignore"):
        expected = getattr(scipy_special, name)(x)
        got = getattr(special, name)(x).data
    # log_ndtr and ndtr lose digits in SciPy's tails
    np.testing.assert_allclose(got, expected, rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize("name", ["betaln", "xlogy", "xlog1py"])
def test_values_of_two_arguments(name: str) -> None:
    x, y = RNG.uniform(0.1, 30, (2, 300))
    expected = getattr(scipy_special, name)(x, y)
    np.testing.assert_allclose(getattr(special, name)(x, y).data, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n: int) -> None:
    x = RNG.uniform(0.1, 30, 300)
    np.testing.assert_allclose(
        special.polygamma(n, x).data, scipy_special.polygamma(n, x), rtol=1e-12, atol=1e-14
    )


EDGES = [0.0, -0.0, 0.5, 1.0, -1.0, -2.5, INF, -INF, np.nan, 5e-324, 1e300]


@pytest.mark.parametrize("name", [*DOMAINS, "xlogy", "xlog1py"])
def test_edges(name: str) -> None:
    """Values at edges; `gammaln` of SciPy is -inf at -inf, and inf at the smallest number."""
    points = np.array([x for x in EDGES if name != "gammaln" or x not in (-INF, 5e-324)])
    args = np.meshgrid(points, points) if name.startswith("xlog") else [points]
    with np.errstate(all="ignore"):
        expected = getattr(scipy_special, name)(*args)
        got = getattr(special, name)(*args).data
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=5e-324)
