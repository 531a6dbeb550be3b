"""matmul and sum_axes."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import arrays, assert_close, assert_same, counts, float_types, law, normal

import kernels
from kernels import reference
from kernels.cpu import products, reduce, threads

sides = st.sampled_from([0, 1, 2, 3, 5])
stacks = st.sampled_from(
    [((), ()), ((3,), (3,)), ((3,), ()), ((), (4,)), ((1,), (3,)), ((3,), (1,)), ((2, 1), (3,))]
)


def quick(workers, rows=1):
    """The thresholds lowered, so that small arrays take the paths of large ones."""
    return (
        patch.object(products, "SMALL", 0),
        patch.object(products, "GRAIN", 1),
        patch.object(products, "ROWS", rows),
        patch.object(threads, "thread_count", lambda: workers),
    )


@law
@given(st.data(), stacks, sides, sides, sides, float_types, float_types, st.sampled_from([1, 2, 5]))
def test_matmul_is_the_reference(data, stack, n, k, m, one, other, workers):
    x = data.draw(arrays((*stack[0], n, k), one))
    y = data.draw(arrays((*stack[1], k, m), other))
    expected = reference.matmul(x, y)
    small, grain, rows, count = quick(workers)
    with small, grain, rows, count:
        assert_same(kernels.matmul(x, y), expected)
        out = np.full_like(expected, 7, order="C")
        assert kernels.matmul(x, y, out) is out
        assert_same(out, expected)
    assert_same(kernels.matmul(x, y), expected)


@pytest.mark.parametrize(("x", "y"), [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,))])
def test_matmul_of_vectors_and_integers_is_the_reference(x, y):
    for dtype in (np.float32, np.int64):
        one, other = np.ones(x, dtype), np.ones(y, dtype)
        assert_same(np.asarray(kernels.matmul(one, other)), np.asarray(one @ other))


@pytest.mark.parametrize("stack", [(), (1,), (9,)])
def test_large_products_repeat_bit_for_bit_on_any_number_of_threads(stack):
    rng = np.random.default_rng(0)
    x, y = normal(rng, (*stack, 515, 130), "f"), normal(rng, (*stack, 130, 97), "f")
    found = []
    for workers in (1, 2, 5, 5):
        small, grain, rows, count = quick(workers, rows=products.ROWS)
        with small, grain, rows, count:
            found.append(kernels.matmul(x, y))
    for again in found[1:]:
        assert_same(again, found[0])
    exact = x.astype(np.float64) @ y.astype(np.float64)
    assert_close(found[0], exact, rounding_errors=131, scale=np.abs(x) @ np.abs(y))


def test_layouts_that_blas_cannot_read_are_copied_and_others_are_not():
    x = np.zeros((3, 4, 5))
    for fine in (x, x.swapaxes(1, 2), x[:, :, :3], x[::2], np.broadcast_to(x[0], (7, 4, 5))):
        assert products._for_blas(fine) is fine
    for bad in (np.broadcast_to(0.0, (3, 4)), x[:, :, ::2], x[:, ::-1], x[..., ::-1]):
        assert products._for_blas(bad).flags.c_contiguous


# --- sums -------------------------------------------------------------------------------------


@law
@given(st.data(), st.lists(counts, min_size=1, max_size=4), float_types)
def test_sum_axes_is_the_reference(data, shape, dtype):
    x = data.draw(arrays(tuple(shape), dtype))
    axes = tuple(axis for axis in range(len(shape)) if data.draw(st.booleans()))
    expected = np.asarray(reference.sum_axes(x, axes))
    with patch.object(reduce, "SMALL", 0), patch.object(reduce, "WIDTH", 6):
        assert_same(np.asarray(kernels.sum_axes(x, axes)), expected)
        out = np.full(expected.shape, 7, dtype)
        assert kernels.sum_axes(x, axes, out) is out
        assert_same(out, expected)


@pytest.mark.parametrize("axes", [(1, 3, 4), (0, 1, 3, 4), (2,), (4,)])
def test_large_sums_are_accurate(axes):
    """A channels-last image seen channels-first, and rows left over."""
    x = normal(np.random.default_rng(0), (2, 5, 21, 19, 24), "f").transpose(0, 1, 4, 2, 3) + 1
    exact = np.add.reduce(x.astype(np.float64), axis=axes)
    terms = np.prod([x.shape[axis] for axis in axes])
    assert_close(
        kernels.sum_axes(x, axes),
        exact,
        rounding_errors=terms,
        scale=np.add.reduce(np.abs(x), axis=axes),
    )


def test_short_rows_are_added_several_at_a_time():
    x = np.ones((2, 3, 7, 7, 8), "f")
    rows = reduce._as_rows(x.transpose(0, 1, 4, 2, 3), (1, 3, 4))
    assert rows.array.shape == (2, 147, 8)
    assert np.shares_memory(rows.array, x)
    assert reduce._as_rows(x, (4,)) is None
    assert reduce._as_rows(x, (0, 2)) is None


@pytest.mark.parametrize("shape", [(3, 20_000, 64), (1, 50_000, 8), (2, 4_000, 300)])
def test_sum_axes_rounds_little_however_many_rows(shape):
    """Adding 20,000 rows one after the other would be off by 20 units in the last place or so."""
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)
    exact = x.astype(np.float64).sum(axis=1)
    error = np.abs(kernels.sum_axes(x, (1,)) / exact - 1)
    assert np.sqrt(np.mean(error**2)) < 1.5 * np.finfo(np.float32).eps
