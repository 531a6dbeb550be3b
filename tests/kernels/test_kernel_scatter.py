"""take_along, index_add, take_along_transpose, scatter_add_nd."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import arrays, assert_same, counts, float_types, law, normal

import kernels
from kernels import reference
from kernels.cpu import lazy, scatter, threads

sizes = st.integers(1, 5)
lengths = st.integers(0, 9)
workers = st.sampled_from([1, 2, 5])
# With fewer slices than threads and a long last axis, threads share that.
inners = st.sampled_from([0, 1, 2, 7, 11])
index_types = st.sampled_from([np.int64, np.int32, np.uint8])


def indices(shape, size, dtype):
    low = 0 if np.dtype(dtype).kind == "u" else -size
    return arrays(
        shape, dtype, fill=lambda rng, shape, dtype: rng.integers(low, size, shape, dtype)
    )


def agree(name, workers, *args):
    """Sums are taken in the same order, so even rounding has to agree."""
    expected = getattr(reference, name)(*args)
    kernel = getattr(kernels, name)
    with (
        patch.object(scatter, "GRAIN", 1),
        patch.object(threads, "thread_count", lambda: workers),
        patch.object(scatter, "thread_count", lambda: workers),
    ):
        assert_same(kernel(*args), expected)
    with patch.object(lazy, "numba_loads", lambda: False):
        assert_same(kernel(*args), expected)


@law
@given(st.data(), float_types, index_types, counts, lengths, inners, sizes, workers)
def test_take_along_is_the_reference(data, dtype, index_type, outer, length, inner, size, workers):
    values = data.draw(arrays((outer, size, inner), dtype, fill=normal))
    index = data.draw(indices((outer, length, inner), size, index_type))
    agree("take_along", workers, values, index)


def test_take_along_refuses_what_is_out_of_bounds_or_does_not_fit():
    values, index = np.zeros((1, 3, 2)), np.zeros((1, 4, 2), int)
    for bad in (3, -4):
        with pytest.raises(IndexError, match="out of bounds"):
            kernels.take_along(values, index + bad)
    with pytest.raises(IndexError, match="integer"):
        kernels.take_along(values, index + 0.5)
    with pytest.raises(ValueError, match="does not fit"):
        kernels.take_along(values, index[:, :, :1])


@law
@given(st.data(), float_types, index_types, counts, lengths, inners, sizes, workers)
def test_index_add_is_the_reference(data, dtype, index_type, outer, length, inner, size, workers):
    values = data.draw(arrays((outer, length, inner), dtype, fill=normal))
    index = data.draw(indices((length,), size, index_type))
    agree("index_add", workers, values, index, size)


@law
@given(st.data(), float_types, index_types, lengths, inners, sizes, workers)
def test_scatter_add_nd_is_the_reference(data, dtype, index_type, length, inner, size, workers):
    values = data.draw(arrays((length, inner), dtype, fill=normal))
    index = data.draw(indices((length,), size, index_type))
    agree("scatter_add_nd", workers, values, index, size)


@law
@given(st.data(), float_types, index_types, lengths, sizes, workers, st.booleans())
def test_take_along_transpose_is_the_reference(
    data, dtype, index_type, length, size, workers, three
):
    shape = data.draw(st.tuples(counts, st.just(length), *[inners] * three))
    values = data.draw(arrays(shape, dtype, fill=normal))
    agree(
        "take_along_transpose", workers, values, data.draw(indices(shape, size, index_type)), size
    )


@law
@given(st.data(), counts, lengths, counts, sizes)
def test_the_references_are_their_definitions(data, outer, length, inner, size):
    values = data.draw(arrays((outer, length, inner), np.float64))
    index = data.draw(indices((length,), size, np.int64))
    expected = np.zeros((outer, size, inner))
    for m, k in enumerate(index):
        expected[:, k] += values[:, m]
    assert_same(reference.index_add(values, index, size), expected)
    if outer:
        assert_same(reference.scatter_add_nd(values[0], index, size), expected[0])


@law
@given(st.data(), counts, lengths, counts, sizes)
def test_take_along_transpose_pairs_with_take_along_axis(data, outer, length, inner, size):
    shape = (outer, length, inner)
    index, values = data.draw(indices(shape, size, np.int64)), data.draw(arrays(shape, np.float64))
    x = data.draw(arrays((outer, size, inner), np.float64))
    taken = np.sum(np.take_along_axis(x, index, axis=1) * values)
    assert taken == np.sum(x * kernels.take_along_transpose(values, index, size))


@pytest.mark.parametrize("module", [kernels, reference])
@pytest.mark.parametrize("bad", [[0, 5], [-6, 0], [0.0, 1.0]])
def test_bad_indices_are_refused(module, bad):
    values, index = np.ones((1, 2, 3)), np.array(bad)
    with pytest.raises(IndexError):
        module.index_add(values, index, 5)
    with pytest.raises(IndexError):
        module.scatter_add_nd(values[0], index, 5)
    with pytest.raises(IndexError):
        module.take_along_transpose(values[:, :, 0], index[None], 5)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        kernels.index_add(np.ones((1, 3, 2)), np.array([0, 1]), 5)
    with pytest.raises(ValueError, match="does not fit"):
        kernels.take_along_transpose(np.ones((1, 3)), np.array([[0, 1]]), 5)


def test_other_dtypes_take_the_reference():
    values, index = np.arange(6).reshape(1, 3, 2), np.array([1, -1, 1])
    assert_same(kernels.index_add(values, index, 2), reference.index_add(values, index, 2))
