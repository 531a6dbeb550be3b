"""scikit-learn's estimators and kernels that take arrays of the standard."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import autograd_core as ac
from tests.consumers.consumer import check_consumer

sklearn = pytest.importorskip("sklearn", reason="a consumer of the standard")

from sklearn import (  # noqa: E402
    decomposition,
    discriminant_analysis,
    linear_model,
    metrics,
    model_selection,
    preprocessing,
)
from sklearn.metrics import pairwise  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 4))
Y = RNG.normal(size=9)
LABELS = RNG.integers(0, 3, 9)


@pytest.fixture(autouse=True)
def dispatching() -> Iterator[None]:
    with sklearn.config_context(array_api_dispatch=True):
        yield


KERNELS = {
    name: getattr(pairwise, name)
    for name in (
        *("cosine_similarity", "rbf_kernel", "polynomial_kernel", "sigmoid_kernel"),
        *("laplacian_kernel", "linear_kernel"),
    )
}
TRANSFORMS = {
    "min max": lambda x: preprocessing.MinMaxScaler().fit_transform(x),
    "max abs": lambda x: preprocessing.MaxAbsScaler().fit_transform(x),
    "normalize": preprocessing.normalize,
    "polynomial features": lambda x: preprocessing.PolynomialFeatures(2).fit_transform(x),
    "centred kernel": lambda x: preprocessing.KernelCenterer().fit_transform(x @ x.T),
    "split": lambda x: tuple(model_selection.train_test_split(x, random_state=0)),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(name: str) -> None:
    check_consumer(lambda x: KERNELS[name](x, x[:3] * 1.5), X)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    check_consumer(TRANSFORMS[name], X)


SOLVERS = ("full", "covariance_eigh")


@pytest.mark.parametrize("solver", SOLVERS)
def test_principal_components(solver: str) -> None:
    """Their signs are chosen by the library, from signs that the factorisation leaves open."""
    pca = lambda x: abs(decomposition.PCA(2, svd_solver=solver).fit_transform(x))
    check_consumer(pca, X)


@pytest.mark.parametrize("model", [linear_model.Ridge(solver="svd"), linear_model.RidgeCV()])
def test_linear_models(model: object) -> None:
    fitted = lambda x, y: sklearn.clone(model).fit(x, y).predict(x)
    check_consumer(fitted, X, Y)


def test_discriminants() -> None:
    lda = discriminant_analysis.LinearDiscriminantAnalysis
    check_consumer(lambda x, y: lda().fit(x, y).decision_function(x), X, LABELS)


def test_distances() -> None:
    check_consumer(lambda x: pairwise.euclidean_distances(x, x[:3] + 1.0), X)


def test_scaler_has_values() -> None:
    """Its variance divides by a count of 0 in the branch of a `where` that is not taken, whose
    derivative is NaN by any automatic differentiation."""
    check_consumer(
        lambda x: preprocessing.StandardScaler().fit_transform(x), X, differentiable=False
    )


def test_metrics_are_numbers() -> None:
    """They are Python's floats: there is a value, and no derivative that could be dropped."""
    truth, guess = ac.asarray(Y), ac.asarray(Y + 0.1)
    assert metrics.mean_squared_error(truth, guess) == pytest.approx(0.01)
    assert metrics.r2_score(truth, guess) == pytest.approx(metrics.r2_score(Y, Y + 0.1))
    assert metrics.accuracy_score(ac.asarray(LABELS), ac.asarray(LABELS)) == 1.0
    with pytest.raises(ac.ConcreteValueError, match="would drop its derivative"):
        ac.grad(lambda guess: metrics.mean_squared_error(truth, guess))(guess)
