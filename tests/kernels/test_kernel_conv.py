"""conv and its two transposes."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import (
    arrays,
    assert_close,
    assert_same,
    channel_counts,
    counts,
    float_types,
    geometries,
    law,
    normal,
)

import kernels
from kernels import reference
from kernels.cpu import blas, conv, lazy, threads

block_sizes = st.sampled_from([1, 1000, conv.BLOCK_BYTES])
WIDE = ((1, 2), (0, 1))


@st.composite
def problems(draw, fill=None):
    """Images, filters and a cotangent that fit each other, with their geometry."""
    geometry, dtype = draw(geometries()), draw(float_types)
    tasks, images, channels, filters = draw(st.tuples(counts, counts, channel_counts, counts))
    options = {} if fill is None else {"fill": fill}
    x = draw(arrays((tasks, images, *geometry.shape, channels), dtype, **options))
    w = draw(arrays((tasks, *geometry.window, channels, filters), dtype, **options))
    g = draw(arrays((tasks, images, *geometry.output, filters), dtype, **options))
    return x, w, g, geometry


def trio(module, x, w, g, geometry, outs=(None, None, None)):
    return (
        module.conv(x, w, *geometry.placing, out=outs[0]),
        module.conv_input(g, w, geometry.shape, *geometry.placing, out=outs[1]),
        module.conv_weight(x, g, geometry.window, *geometry.placing, out=outs[2]),
    )


@law
@given(problems(), block_sizes, st.booleans())
def test_the_trio_is_the_reference(problem, block, with_numba):
    expected = trio(reference, *problem)
    outs = tuple(np.full_like(array, 7, order="C") for array in expected)
    numba_loads = lazy.numba_loads() and with_numba
    with (
        patch.object(conv, "BLOCK_BYTES", block),
        patch.object(lazy, "numba_loads", lambda: numba_loads),
    ):
        actual = trio(kernels, *problem)
        filled = trio(kernels, *problem, outs)
    for one, other, out, returned in zip(actual, expected, outs, filled, strict=True):
        assert_same(one, other)
        assert_same(out, other)
        assert returned is out


@law
@given(problems())
def test_the_transposes_pair_with_conv(problem):
    x, w, g, _ = problem
    result, x_cotangent, w_cotangent = trio(kernels, *problem)
    assert np.sum(g * result) == np.sum(x_cotangent * x) == np.sum(w_cotangent * w)


@law
@given(problems())
def test_the_reference_is_the_definition(problem):
    x, w, _, geometry = problem
    y = reference.conv(x, w, *geometry.placing)
    (top, _), (left, _) = geometry.padding
    for b, n, row, column, o in np.ndindex(*y.shape):
        total = 0
        for i, j, c in np.ndindex(*w.shape[1:4]):
            h = row * geometry.stride[0] - top + i * geometry.dilation[0]
            k = column * geometry.stride[1] - left + j * geometry.dilation[1]
            if 0 <= h < geometry.shape[0] and 0 <= k < geometry.shape[1]:
                total += x[b, n, h, k, c] * w[b, i, j, c, o]
        assert y[b, n, row, column, o] == total


@law
@given(problems(fill=normal), block_sizes)
def test_rounding_errors_grow_no_faster_than_the_sums(problem, block):
    x, w, g, geometry = problem
    exact = [array.astype(np.float64) for array in (x, w, g)]
    expected = trio(reference, *exact, geometry)
    scales = trio(reference, *map(np.abs, exact), geometry)
    area, channels, filters = np.prod(w.shape[1:3]), *w.shape[3:]
    lengths = area * channels, area * filters, np.prod(g.shape[1:4])
    with patch.object(conv, "BLOCK_BYTES", block):
        actual = trio(kernels, *problem)
    for one, other, scale, length in zip(actual, expected, scales, lengths, strict=True):
        assert_close(one, other, rounding_errors=length + 1, scale=scale)


@pytest.mark.parametrize(("tasks", "images"), [(1, 50), (3, 20), (9, 2)])
def test_results_repeat_bit_for_bit_on_any_number_of_threads(tasks, images):
    rng = np.random.default_rng(0)
    x = normal(rng, (tasks, images, 14, 14, 16), "f")
    w = normal(rng, (tasks, 3, 3, 16, 8), "f")
    found = []
    for workers in (1, 2, 5, 5):
        with (
            patch.object(conv, "BLOCK_BYTES", 2**19),
            patch.object(threads, "thread_count", lambda workers=workers: workers),
        ):
            lowering = conv._Lowering(x.shape, x.dtype, (3, 3), (1, 1), WIDE, (1, 1), 8)
            assert len(lowering.shares()) > 3
            g = kernels.conv(x, w, (1, 1), WIDE)
            found.append(trio_of(x, w, g))
    for again in found[1:]:
        for one, other in zip(again, found[0], strict=True):
            assert_same(one, other)


def trio_of(x, w, g):
    return (
        g,
        kernels.conv_input(g, w, x.shape[2:4], (1, 1), WIDE),
        kernels.conv_weight(x, g, w.shape[1:3], (1, 1), WIDE),
    )


def test_sums_of_one_task_are_few_and_hold_every_block_once():
    """However many images: each sum costs as much memory as the filters."""
    lowering = conv._Lowering((2, 700, 14, 14, 64), np.dtype("f"), (3, 3), (1, 1), WIDE, (1, 1), 64)
    shares = lowering.shares()
    assert len(lowering.blocks) > 50
    assert sorted({share.place for share in shares}) == list(range(conv.PARTIAL_SUMS))
    assert [block for share in shares for block in share.blocks] == lowering.blocks
    for share in shares:
        assert len({block[0].start for block in share.blocks}) == 1


@pytest.mark.parametrize("images", [1, 5, 700])
@pytest.mark.parametrize("tasks", [1, 32])
def test_blocks_cover_everything_once_within_the_workspace(tasks, images):
    lowering = conv._Lowering(
        (tasks, images, 14, 14, 64), np.dtype("f"), (3, 3), (2, 2), WIDE, (1, 1), 8
    )
    seen = np.zeros((tasks, images), int)
    for block in lowering.blocks:
        seen[block] += 1
        assert lowering.workspace(seen[block].shape).nbytes <= conv.BLOCK_BYTES
    assert np.all(seen == 1)


def test_shared_filters_are_not_copied_for_each_task():
    w = np.broadcast_to(np.ones((3, 3, 2, 4)), (5, 3, 3, 2, 4))
    assert np.shares_memory(conv._filter_matrices(w), w)


def test_filters_and_images_may_differ_in_dtype():
    x, w = np.ones((1, 1, 4, 4, 2), np.float32), np.ones((1, 3, 3, 2, 1))
    assert_same(kernels.conv(x, w), reference.conv(x, w))
    g = np.ones((1, 1, 2, 2, 1), np.float32)
    assert_same(kernels.conv_input(g, w, (4, 4)), reference.conv_input(g, w, (4, 4)))


def test_shapes_that_do_not_fit_are_refused():
    x, w, g = np.ones((2, 1, 4, 4, 3)), np.ones((2, 3, 3, 3, 5)), np.ones((2, 1, 2, 2, 5))
    with pytest.raises(ValueError, match="do not fit"):
        kernels.conv(x, w[:1])
    with pytest.raises(ValueError, match="do not fit"):
        kernels.conv(x[..., :2], w)
    with pytest.raises(ValueError, match="do not fit"):
        kernels.conv_input(g[..., :2], w, (4, 4))
    with pytest.raises(ValueError, match="do not fit"):
        kernels.conv_weight(x[:1], g, (3, 3))
    with pytest.raises(ValueError, match=r"have .* windows"):
        kernels.conv_input(g, w, (5, 4))
    with pytest.raises(ValueError, match=r"have .* windows"):
        kernels.conv_weight(x, g, (2, 3))


def test_blas_has_one_thread_inside_and_its_own_number_again_outside():
    controls = blas.find_controls()
    if controls is None:
        pytest.skip("NumPy was built with another BLAS")
    before = controls.get()
    try:
        controls.set(2)
        with pytest.raises(KeyError), blas.one_blas_thread():
            with blas.one_blas_thread():
                assert controls.get() == 1
            assert controls.get() == 1
            raise KeyError
        assert controls.get() == 2
    finally:
        controls.set(before)
