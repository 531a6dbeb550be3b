"""Kernels that treat large or repeated arrays in their own way give what NumPy gives.

The laws draw arrays of a few entries, which never come that way.
"""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.ops import arithmetic, products, structural

N = 2 * arithmetic.LARGE


def channels_first(x: np.ndarray) -> np.ndarray:
    """The same numbers in another memory layout."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.fixture
def images() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((7, 12, 20, 20))
    assert x.size > max(arithmetic.LARGE, structural.LARGE_SUM)
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("other", [0.0, 1.5])
@pytest.mark.parametrize("layout", [np.asarray, channels_first])
def test_where_beside_a_number(images, dtype, other, layout):
    x = layout((images * 10).astype(dtype))
    x.reshape(-1)[:3] = [0, 1, -1]
    condition = layout(images > 0.3)
    out = ac.where(condition, x, dtype(other)).numpy()
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.where(condition, x, dtype(other)))


def test_where_keeps_bits():
    """Infinity and NaN on either side, and the sign of zero."""
    x = np.resize(np.array([np.inf, -np.inf, np.nan, -0.0, 1.0]), N)
    condition = np.arange(N) % 3 > 0
    out = ac.where(condition, x, 0.0).numpy()
    expected = np.where(condition, x, 0.0)
    np.testing.assert_array_equal(out.view(np.int64), expected.view(np.int64))
    negative_zero = ac.where(condition, x, -0.0).numpy()
    assert np.signbit(negative_zero[~condition]).all()


@pytest.mark.parametrize(
    "condition",
    [np.array(True), np.array(False), np.arange(20) % 2 > 0, np.arange(12)[:, None, None] > 5],
)
def test_where_broadcasts_its_condition(images, condition):
    out = ac.where(condition, images, 0.0)
    np.testing.assert_array_equal(out, np.where(condition, images, 0.0))


def test_gradient_of_relu_is_zero_where_the_cotangent_is_infinite(images):
    _, pull = ac.vjp(ac.relu, images)
    (gradient,) = pull(np.full_like(images, np.inf))
    np.testing.assert_array_equal(gradient, np.where(images > 0, np.inf, 0.0))


@pytest.mark.parametrize("shape", [(5, 1, 3), (1, 4, 1), (5, 4, 3), (1, 1, 1)])
def test_arrays_that_repeat_themselves(shape):
    """Negation, and division by what repeats alike, are done once for all repetitions."""
    rng = np.random.default_rng(0)
    x = np.broadcast_to(rng.standard_normal(shape), (5, 4, 3))
    np.testing.assert_array_equal(ac.negative(x), -x)
    for divisor in ((5, 1, 3), (1, 4, 1), (5, 4, 3), (1, 1, 1), (3,), (2, 5, 4, 3)):
        y = rng.uniform(1, 2, divisor)
        np.testing.assert_array_equal(ac.divide(x, y), x / y)
        np.testing.assert_array_equal(ac.divide(y, x), y / x)
    assert (0 in ac.negative(x).numpy().strides) == (0 in x.strides)


@pytest.mark.parametrize("axes", [(0, 2, 3), (1,), (3,), (0, 1, 2, 3), (2, 3), (0, 3)])
@pytest.mark.parametrize("layout", [np.asarray, channels_first])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
def test_large_sums(images, axes, layout, dtype):
    x = layout(images.astype(dtype))
    out = ac.sum(x, axes)
    expected = np.sum(x, axes)
    assert out.dtype == expected.dtype
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-2 if dtype == np.float32 else 1e-9)


def test_large_products_and_their_gradients():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 40, 50)), rng.standard_normal((3, 50, 30))
    assert x.size * 30 > products.LARGE_PRODUCT
    np.testing.assert_allclose(ac.matmul(x, y), x @ y, rtol=1e-12, atol=1e-12)
    # The cotangent of a sum is one number repeated, a layout that BLAS cannot read.
    left, right = ac.grad(lambda x, y: ac.sum(ac.matmul(x, y)), (0, 1))(x, y)
    np.testing.assert_allclose(left, np.broadcast_to(y.sum(2)[:, None], x.shape), rtol=1e-12)
    np.testing.assert_allclose(right, np.broadcast_to(x.sum(1)[:, :, None], y.shape), rtol=1e-12)
