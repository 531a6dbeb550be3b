"""pool_argmax."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kernel_cases import arrays, assert_same, counts, float_types, geometries, law

import kernels
from kernels import reference
from kernels.cpu import lazy, pool, threads


def ties_and_extremes(rng, shape, dtype):
    """Few distinct values, so that ties abound, among them NaN, the infinities and both zeros."""
    values = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan, 2.0, 2.0, -1.0])
    return rng.choice(values, shape).astype(dtype)


@st.composite
def problems(draw):
    geometry = draw(geometries())
    assume(max(geometry.padding[0]) < geometry.window[0])
    assume(max(geometry.padding[1]) < geometry.window[1])
    geometry = geometry._replace(dilation=(1, 1))
    assume(0 not in geometry.shape or 0 in geometry.output)
    shape = (draw(counts), *geometry.shape, draw(counts))
    x = draw(arrays(shape, draw(float_types), fill=ties_and_extremes))
    return x, geometry.window, geometry.stride, geometry.padding


@law
@given(problems(), st.integers(1, 3))
def test_it_is_the_reference(problem, workers):
    expected = reference.pool_argmax(*problem)
    with patch.object(pool, "GRAIN", 1), patch.object(threads, "thread_count", lambda: workers):
        assert_same(kernels.pool_argmax(*problem), expected)
    out = np.full_like(expected, -7)
    assert kernels.pool_argmax(*problem, out=out) is out
    assert_same(out, expected)
    with patch.object(lazy, "numba_loads", lambda: False):
        assert_same(kernels.pool_argmax(*problem), expected)


@law
@given(problems())
def test_the_reference_is_argmax_of_each_window(problem):
    x, window, stride, padding = problem
    index = reference.pool_argmax(*problem)
    for n, row, column, c in np.ndindex(*index.shape):
        h, w = row * stride[0] - padding[0][0], column * stride[1] - padding[1][0]
        top, left = max(h, 0), max(w, 0)
        view = x[n, top : h + window[0], left : w + window[1], c]
        i, j = np.unravel_index(np.argmax(view), view.shape)
        assert index[n, row, column, c] == (top + i) * x.shape[2] + left + j


def test_windows_of_nothing_but_padding_are_refused():
    with pytest.raises(ValueError, match="smaller than the window"):
        kernels.pool_argmax(np.ones((1, 4, 4, 1)), (2, 2), (2, 2), ((2, 0), (0, 0)))
    with pytest.raises(ValueError, match="no element"):
        kernels.pool_argmax(np.ones((1, 0, 4, 1)), (3, 3), (1, 1), ((2, 2), (0, 0)))


def test_integers_take_the_reference():
    x = np.arange(2 * 5 * 5 * 2).reshape(2, 5, 5, 2) % 7
    assert_same(kernels.pool_argmax(x, (2, 2)), reference.pool_argmax(x, (2, 2)))
