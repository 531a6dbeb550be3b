"""im2col and col2im."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import (
    arrays,
    assert_same,
    channel_counts,
    counts,
    float_types,
    geometries,
    law,
)

import kernels
from kernels import reference
from kernels.cpu import conv, lazy, threads

block_sizes = st.sampled_from([1, 1000, conv.BLOCK_BYTES])


@law
@given(st.data(), geometries(), float_types, counts, channel_counts, block_sizes)
def test_im2col_is_the_reference(data, geometry, dtype, images, channels, block):
    x = data.draw(arrays((images, *geometry.shape, channels), dtype))
    expected = reference.im2col(x, geometry.window, *geometry.placing)
    with patch.object(conv, "BLOCK_BYTES", block):
        assert_same(kernels.im2col(x, geometry.window, *geometry.placing), expected)
        out = np.full_like(expected, 7)
        assert kernels.im2col(x, geometry.window, *geometry.placing, out=out) is out
    assert_same(out, expected)


@law
@given(st.data(), geometries(), float_types, counts, channel_counts, st.integers(1, 3))
def test_col2im_is_the_reference(data, geometry, dtype, images, channels, workers):
    shape = (images, *geometry.output, *geometry.window, channels)
    cols = data.draw(arrays(shape, dtype))
    expected = reference.col2im(cols, geometry.shape, *geometry.placing)
    with patch.object(conv, "GRAIN", 1), patch.object(threads, "thread_count", lambda: workers):
        assert_same(kernels.col2im(cols, geometry.shape, *geometry.placing), expected)
        out = np.full_like(expected, 7)
        assert kernels.col2im(cols, geometry.shape, *geometry.placing, out=out) is out
    assert_same(out, expected)


@law
@given(st.data(), geometries(), float_types, counts, channel_counts)
def test_col2im_without_numba_is_the_same(data, geometry, dtype, images, channels):
    cols = data.draw(arrays((images, *geometry.output, *geometry.window, channels), dtype))
    expected = kernels.col2im(cols, geometry.shape, *geometry.placing)
    with patch.object(lazy, "numba_loads", lambda: False):
        assert_same(kernels.col2im(cols, geometry.shape, *geometry.placing), expected)


@law
@given(st.data(), geometries(), float_types, counts, channel_counts)
def test_col2im_is_the_transpose_of_im2col(data, geometry, dtype, images, channels):
    x = data.draw(arrays((images, *geometry.shape, channels), dtype))
    c = data.draw(arrays((images, *geometry.output, *geometry.window, channels), dtype))
    there = np.sum(kernels.im2col(x, geometry.window, *geometry.placing) * c)
    back = np.sum(x * kernels.col2im(c, geometry.shape, *geometry.placing))
    assert there == back


@law
@given(st.data(), geometries(), counts, counts)
def test_the_reference_is_the_definition(data, geometry, images, channels):
    x = data.draw(arrays((images, *geometry.shape, channels), np.float64))
    cols = reference.im2col(x, geometry.window, *geometry.placing)
    for n, row, column, i, j, c in np.ndindex(*cols.shape):
        h = row * geometry.stride[0] - geometry.padding[0][0] + i * geometry.dilation[0]
        w = column * geometry.stride[1] - geometry.padding[1][0] + j * geometry.dilation[1]
        inside = 0 <= h < geometry.shape[0] and 0 <= w < geometry.shape[1]
        assert cols[n, row, column, i, j, c] == (x[n, h, w, c] if inside else 0)


@law
@given(geometries())
def test_output_shape_counts_the_windows_that_fit(geometry):
    for axis in (0, 1):
        reach = (geometry.window[axis] - 1) * geometry.dilation[axis]
        padded = geometry.shape[axis] + sum(geometry.padding[axis])
        starts = range(0, padded, geometry.stride[axis])
        assert geometry.output[axis] == sum(start + reach < padded for start in starts)


@pytest.mark.parametrize(
    "window, stride, padding, dilation",
    [
        ((0, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        ((1, 1), (1, 0), ((0, 0), (0, 0)), (1, 1)),
        ((1, 1), (1, 1), ((0, 0), (0, -1)), (1, 1)),
        ((1, 1), (1, 1), ((0, 0), (0, 0)), (0, 1)),
    ],
)
def test_impossible_geometry_is_refused(window, stride, padding, dilation):
    with pytest.raises(ValueError, match=r"at least 1|non-negative"):
        kernels.im2col(np.zeros((1, 4, 4, 1)), window, stride, padding, dilation)


def test_arrays_that_do_not_fit_are_refused():
    x, cols = np.zeros((1, 4, 4, 1)), np.zeros((1, 3, 3, 2, 2, 1))
    with pytest.raises(ValueError, match=r"have .* windows"):
        kernels.col2im(cols, (5, 4))
    for out in (np.zeros((1, 3, 3, 2, 2, 2)), np.zeros(cols.shape, "f"), np.zeros(cols.shape).T):
        with pytest.raises(ValueError, match="out has to be"):
            kernels.im2col(x, (2, 2), out=out)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.complex128, np.dtype(">f8")])
def test_other_dtypes_take_the_reference(dtype):
    x = np.arange(2 * 5 * 5 * 2).reshape(2, 5, 5, 2).astype(dtype)
    cols = kernels.im2col(x, (3, 3), (2, 2), ((1, 1), (1, 0)))
    assert_same(cols, reference.im2col(x, (3, 3), (2, 2), ((1, 1), (1, 0))))
    images = kernels.col2im(cols, (5, 5), (2, 2), ((1, 1), (1, 0)))
    assert_same(images, reference.col2im(cols, (5, 5), (2, 2), ((1, 1), (1, 0))))
