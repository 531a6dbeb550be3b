"""SciPy's functions that take arrays of the standard."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.consumers.consumer import check_consumer

pytest.importorskip("scipy", reason="a consumer of the standard")
assert os.environ.get("SCIPY_ARRAY_API") == "1", "SciPy was told too late; see tests/conftest.py"

from scipy import fft, integrate, optimize, signal, special, stats  # noqa: E402
from scipy.cluster import vq  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 2, 11)
Y = RNG.uniform(0.2, 2, 11)
MATRIX = RNG.uniform(0.1, 2, (5, 4))

ONE = {
    "logsumexp": special.logsumexp,
    "softmax": special.softmax,
    "log_softmax": special.log_softmax,
    **{
        name: getattr(stats, name)
        for name in (
            *("zscore", "gmean", "hmean", "skew", "kurtosis", "moment", "variation", "sem"),
            *("tmean", "tvar", "tstd", "iqr", "kstat", "kstatvar", "differential_entropy"),
            *("circmean", "circvar", "circstd"),
        )
    },
    **{
        name: lambda x, name=name: getattr(special, name)(0.4 * x)
        for name in (
            *("erf", "erfc", "expit", "gammaln", "digamma", "i0e", "i1e", "logit", "entr"),
            *("ndtr", "log_ndtr"),
        )
    },
    "entropy": lambda x: stats.entropy(x),
    "fft": fft.fft,
    "irfft": lambda x: fft.irfft(x + 0j),
    "fftconvolve": lambda x: signal.fftconvolve(x, x),
    "hilbert": signal.hilbert,
    "pmean": lambda x: stats.pmean(x, 3),
    "describe": lambda x: tuple(stats.describe(x))[2:],
    "boxcox_llf": lambda x: stats.boxcox_llf(1.5, x),
    "yeojohnson_llf": lambda x: stats.yeojohnson_llf(1.5, x),
    "trapezoid": integrate.trapezoid,
    "cumulative_trapezoid": integrate.cumulative_trapezoid,
    "cumulative_simpson": integrate.cumulative_simpson,
    "rosen": optimize.rosen,
    "rosen_der": optimize.rosen_der,
}
TWO = {
    "betaln": special.betaln,
    "xlogy": special.xlogy,
    "rel_entr": special.rel_entr,
    "zmap": stats.zmap,
    "trapezoid": lambda x, y: integrate.trapezoid(x, y),
    "logsumexp with weights": lambda x, y: special.logsumexp(x, b=y, return_sign=True),
}
OF_MATRICES = {
    "whiten": vq.whiten,
    "softmax": lambda x: special.softmax(x, axis=1),
    "rotation": lambda x: Rotation.from_quat(x).as_matrix(),
    "kurtosis": lambda x: stats.kurtosis(x, axis=1),
}


@pytest.mark.parametrize("name", ONE)
def test_of_one_array(name: str) -> None:
    check_consumer(ONE[name], X)


@pytest.mark.parametrize("name", TWO)
def test_of_two_arrays(name: str) -> None:
    check_consumer(TWO[name], X, Y)


@pytest.mark.parametrize("name", OF_MATRICES)
def test_of_matrices(name: str) -> None:
    check_consumer(OF_MATRICES[name], MATRIX)
