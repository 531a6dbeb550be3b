"""What the kernel tests share: arrays in every layout, window geometries, a tolerance with a scale.

Structural kernels are tested on small whole numbers, whose sums and products are exact in float32
already: kernel and reference have to agree in every bit.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import kernels

ROOT = Path(kernels.__file__).parent.parent

# The first example of a test may compile.
law = settings(deadline=None, max_examples=100)

float_types = st.sampled_from([np.float32, np.float64])
# Mostly small and positive, now and then empty.
counts = st.sampled_from([0, 1, 1, 2, 2, 3])
channel_counts = st.sampled_from([0, 1, 1, 2, 3, 4, 5, 9])


class Geometry(NamedTuple):
    shape: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    @property
    def placing(self):
        """The arguments of a kernel after the window."""
        return self.stride, self.padding, self.dilation

    @property
    def output(self):
        return kernels.output_shape(self.shape, self.window, *self.placing)


def _pair(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def geometries(draw):
    """Any geometry that is allowed: overlapping or skipping windows, some larger than the image."""
    plain = draw(st.booleans())  # so that the shortcuts for plain windows are reached often
    return Geometry(
        draw(_pair(0, 7)),
        draw(_pair(1, 4)),
        draw(_pair(1, 1 if plain else 3)),
        ((0, 0), (0, 0)) if plain else draw(st.tuples(_pair(0, 3), _pair(0, 3))),
        draw(_pair(1, 1 if plain else 3)),
    )


def small_integers(rng, shape, dtype):
    return rng.integers(-8, 9, shape).astype(dtype)


def normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


@st.composite
def arrays(draw, shape, dtype, fill=small_integers):
    """A read-only array of this shape in a drawn memory layout."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    array = _in_layout(draw, fill(rng, shape, dtype))
    assert array.shape == tuple(shape)
    array.flags.writeable = False
    return array


def _in_layout(draw, array):
    layout = draw(
        st.sampled_from(["plain", "permuted", "reversed", "stepped", "broadcast", "unaligned"])
    )
    if layout == "permuted":
        order = draw(st.permutations(range(array.ndim)))
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if layout == "unaligned":
        buffer = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        buffer[...] = array
        return buffer
    axis = draw(st.integers(0, array.ndim - 1))
    if layout == "reversed":
        return np.flip(np.flip(array, axis).copy(), axis)
    if layout == "stepped":
        return np.repeat(array, 2, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
    return array


def assert_same(actual, expected):
    """Equal in shape, dtype and every element, NaN included."""
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected, strict=True)


def assert_close(actual, expected, *, rounding_errors, scale=None):
    """Assert that ``actual`` is off by no more than some rounding errors of its dtype.

    Args:
        actual: what is tested.
        expected: the truth, of any higher precision.
        rounding_errors: how many, each of size eps times the scale.
        scale: by default ``abs(expected)``. Below the normal numbers of the dtype, these are it.
    """
    info = np.finfo(actual.dtype)
    expected = np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    infinite = ~np.isfinite(expected)
    np.testing.assert_array_equal(actual[infinite], expected[infinite])
    scale = np.broadcast_to(np.abs(expected) if scale is None else scale, expected.shape)
    bound = rounding_errors * info.eps * np.maximum(scale[~infinite], info.tiny)
    error = np.abs(actual[~infinite].astype(np.float64) - expected[~infinite])
    worst = np.argmax(error - bound) if error.size else None
    assert worst is None or error[worst] <= bound[worst], (
        f"off by {error[worst]:.3g}, allowed {bound[worst]:.3g}: "
        f"{actual[~infinite][worst]!r} instead of {expected[~infinite][worst]!r}"
    )


def run_python(script, *, root=ROOT, cwd=None, **environment):
    """Run a script in a new process that imports ``kernels`` from ``root``; return what it prints.

    The process must not write byte code, lest it disturb a test of the folder it would write to.
    """
    variables = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    variables.update(environment)
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", script],
        env=variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
