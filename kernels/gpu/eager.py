"""Kernels for CuPy arrays, each a launch or a few: importing this module registers them.

What each computes, its arguments included, is documented once, in ``kernels.reference``. Where an
index is out of bounds the kernel notes it, and the note is read before the result is given out.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
from collections.abc import Callable
from typing import Any

import cupy as cp
import numpy as np

from kernels import reference
from kernels.cpu import special
from kernels.dispatch import KERNELS
from kernels.geometry import NO_PADDING, Padding, Pair, output_shape, pooling_shape
from kernels.gpu import library
from kernels.gpu.source import assembled

Array = Any  # cupy.ndarray

THREADS = 256
MOST_BLOCKS = 132 * 16
OPTIONS = ("-std=c++17",)


# --- launches ---------------------------------------------------------------------------------


@functools.cache
def _module(file: str, dtype: str) -> Any:
    """A file's kernels for a dtype; CuPy keeps what it compiles on disk."""
    return cp.RawModule(code=assembled(library.source(file, dtype)), options=OPTIONS)


@functools.cache
def kernel_of(file: str, name: str, dtype: str) -> Any:
    """One of them: CuPy makes another at each look, which has to be loaded."""
    return _module(file, dtype).get_function(name)


def run(file: str, name: str, dtype: np.dtype, work: int, *args: Any) -> None:
    """Launch a kernel of a file with as many threads as there is work.

    Args:
        args: arrays, whole numbers (int64) and structures.
    """
    if work == 0:
        return
    given = tuple(map(argument, args))
    blocks = min(-(-work // THREADS), MOST_BLOCKS)
    kernel_of(file, name, short(dtype))((blocks,), (THREADS,), given)


def argument(x: Any) -> Any:
    if isinstance(x, ctypes.Structure):
        return by_value(x)
    return np.int64(x) if isinstance(x, int) else x


def by_value(x: ctypes.Structure) -> np.ndarray:
    """A structure as CuPy passes it by value, as it is at a launch: an array of one entry."""
    return np.frombuffer(memoryview(x), np.dtype((np.void, ctypes.sizeof(x))))


def short(dtype: np.dtype) -> str:
    """f4, i8 and so on; the others are only copied or added, as integers of their size."""
    return dtype.str[1:]


def _like(x: Array, out: Array | None, shape: tuple[int, ...], dtype: Any = None) -> Array:
    dtype = np.dtype(dtype or x.dtype)
    if out is None:
        return cp.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out has to be a C-contiguous array of shape {shape} and type {dtype}")
    return out


def _one_device(*arrays: Any) -> None:
    for x in arrays:
        if not isinstance(x, cp.ndarray):
            raise TypeError(f"expected an array on the GPU, got {type(x).__name__}")


# --- windows and convolutions -----------------------------------------------------------------


def im2col(
    x: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    size = output_shape(x.shape[1:3], window, stride, padding, dilation)
    out = _like(x, out, (len(x), *size, *window, x.shape[3]))
    strides = tuple(s // x.itemsize for s in x.strides)
    sizes = library.window_sizes(x.shape, size, window, stride, padding, dilation, strides)
    run("windows.cu", "im2col", x.dtype, out.size, x, out, sizes)
    return out


def col2im(
    cols: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    images, height, width, tall, wide, channels = cols.shape
    reference.check_output(shape, (height, width), (tall, wide), stride, padding, dilation)
    whole = images, *shape, channels
    out = _like(cols, out, whole)
    sizes = library.window_sizes(whole, (height, width), (tall, wide), stride, padding, dilation)
    run("windows.cu", "col2im", cols.dtype, out.size, cp.ascontiguousarray(cols), out, sizes)
    return out


def conv(
    x: Array,
    w: Array,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    _one_device(x, w)
    cols, size = _columns(x, w.shape[1:3], stride, padding, dilation)
    product = cp.matmul(cols, w.reshape(len(w), -1, w.shape[4]))
    return _deliver(product.reshape(*x.shape[:2], *size, w.shape[4]), out)


def conv_input(
    g: Array,
    w: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    _one_device(g, w)
    tasks, images, height, width, filters = g.shape
    tall, wide, channels = w.shape[1:4]
    rows = g.reshape(tasks, images * height * width, filters)
    cols = cp.matmul(rows, w.reshape(tasks, -1, filters).swapaxes(1, 2))
    flat = cols.reshape(tasks * images, height, width, tall, wide, channels)
    found = col2im(flat, shape, stride, padding, dilation)
    return _deliver(found.reshape(tasks, images, *shape, channels), out)


def conv_weight(
    x: Array,
    g: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    _one_device(x, g)
    cols, _ = _columns(x, window, stride, padding, dilation)
    filters = g.shape[4]
    rows = g.reshape(len(g), math.prod(g.shape[1:4]), filters)
    product = cp.matmul(cols.swapaxes(1, 2), rows)
    return _deliver(product.reshape(len(x), *window, x.shape[4], filters), out)


def _columns(
    x: Array, window: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> tuple[Array, Pair]:
    """Windows of each task's images as rows of a matrix, (B, N·Ho·Wo, kh·kw·C); and (Ho, Wo)."""
    cols = im2col(
        x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), window, stride, padding, dilation
    )
    height, width = cols.shape[1:3]
    rows, terms = x.shape[1] * height * width, math.prod(cols.shape[3:])
    return cols.reshape(x.shape[0], rows, terms), (height, width)


def pool_argmax(
    x: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    out: Array | None = None,
) -> Array:
    size = pooling_shape(x.shape[1:3], window, stride, padding)
    out = _like(x, out, (len(x), *size, x.shape[3]), np.int64)
    strides = tuple(s // x.itemsize for s in x.strides)
    sizes = library.window_sizes(x.shape, size, window, stride, padding, strides=strides)
    run("windows.cu", "pool_argmax", x.dtype, out.size, x, out, sizes)
    return out


# --- products and sums ------------------------------------------------------------------------


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    _one_device(x, y)
    return cp.matmul(x, y, out=out)


def sum_axes(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    return cp.sum(x, axis=axes, dtype=x.dtype, out=out)


# --- gather and scatter -----------------------------------------------------------------------


ATOMIC = ("f4", "f8", "i4", "u4", "i8", "u8")
"""Dtypes that CUDA adds in one go."""


def _by_part(kernel: Callable) -> Callable:
    """A kernel that moves or adds entries, for complex ones too: their parts are, one by one.
    Those of 16 bits are added as floats."""

    @functools.wraps(kernel)
    def of_parts(values: Array, *args: Any) -> Array:
        if values.dtype == np.float16:
            return kernel(values.astype(np.float32), *args).astype(np.float16)
        if values.dtype.kind != "c":
            return kernel(values, *args)
        x, y = kernel(values.real, *args), kernel(values.imag, *args)
        out = cp.empty(x.shape, values.dtype)
        out.real, out.imag = x, y
        return out

    return of_parts


@_by_part
def take_along(values: Array, index: Array) -> Array:
    _one_device(values, index)
    _check(values.ndim == index.ndim == 3 and values.shape[::2] == index.shape[::2], values, index)
    out = cp.empty(index.shape, values.dtype)
    bad = cp.zeros(1, np.int32)
    sizes = index.shape[0], values.shape[1], index.shape[1], index.shape[2]
    given = cp.ascontiguousarray(values), _integers(index), out, *sizes, bad
    run("scatter.cu", "take_along", values.dtype, out.size, *given)
    _within(bad, index, values.shape[1])
    return out


@_by_part
def index_add(values: Array, index: Array, size: int) -> Array:
    """In the order of the indices, sorted: the same bits each time; or as threads come by, where
    ``METAGRAD_ATOMICS=1`` asks for it."""
    _one_device(values, index)
    _check(index.shape == values.shape[1:2], values, index)
    outer, count, inner = values.shape
    if values.size == 0:
        return cp.zeros((outer, size, inner), values.dtype)
    whole = _integers(index)
    if int(whole.min()) < -size or int(whole.max()) >= size:
        _out_of_bounds(whole, size)
    whole = cp.where(whole < 0, whole + size, whole)
    if os.environ.get("METAGRAD_ATOMICS") == "1" and short(values.dtype) in ATOMIC:
        out = cp.zeros((outer, size, inner), values.dtype)
        arrays = cp.ascontiguousarray(values), whole, out
        sizes = outer, count, size, inner
        run("atomics.cu", "add_atomically", values.dtype, values.size, *arrays, *sizes)
        return out
    order = cp.argsort(whole)  # a stable one, CuPy has no other
    starts = cp.searchsorted(whole[order], cp.arange(size + 1))
    out = cp.empty((outer, size, inner), values.dtype)
    given = cp.ascontiguousarray(values), order, starts, out, outer, count, size, inner
    run("scatter.cu", "add_sorted", values.dtype, out.size, *given)
    return out


@_by_part
def take_along_transpose(values: Array, index: Array, size: int) -> Array:
    _one_device(values, index)
    _check(index.shape == values.shape and values.ndim in (2, 3), values, index)
    if values.ndim == 2:
        return take_along_transpose(values[:, :, None], index[:, :, None], size)[:, :, 0]
    outer, count, inner = values.shape
    out = cp.zeros((outer, size, inner), values.dtype)
    bad = cp.zeros(1, np.int32)
    given = cp.ascontiguousarray(values), _integers(index), out, outer, count, size, inner, bad
    run("scatter.cu", "add_along", values.dtype, values.size and outer * inner, *given)
    _within(bad, index, size)
    return out


def scatter_add_nd(values: Array, flat_index: Array, size: int) -> Array:
    return index_add(values[None], flat_index, size)[0]


def _integers(index: Array) -> Array:
    if index.dtype.kind not in "iu":
        raise IndexError(f"an index has to be of integer type, got {index.dtype}")
    return cp.ascontiguousarray(index.astype(np.int64))


def _check(fits: bool, values: Array, index: Array) -> None:
    if not fits:
        raise ValueError(f"index of shape {index.shape} does not fit values {values.shape}")


def _within(bad: Array, index: Array, size: int) -> None:
    if int(bad[0]):
        _out_of_bounds(index, size)


def _out_of_bounds(index: Array, size: int) -> None:
    low, high = int(index.min()), int(index.max())
    raise IndexError(f"index from {low} to {high} is out of bounds for an axis of size {size}")


# --- softmax ----------------------------------------------------------------------------------


def softmax(x: Array, axis: int) -> Array:
    return _along_rows("softmax", x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    return _along_rows("log_softmax", x, axis)


def _along_rows(name: str, x: Array, axis: int) -> Array:
    """A kernel of rows, a warp for each, along an axis."""
    rows = cp.ascontiguousarray(cp.moveaxis(x, axis, -1))
    if x.size == 0:
        return x.copy()
    out, n = cp.empty_like(rows), rows.shape[-1]
    count = rows.size // n
    run("softmax.cu", name, x.dtype, 32 * count, rows, out, count, n)
    return cp.moveaxis(out, -1, axis)


# --- datasets and random numbers --------------------------------------------------------------


def gather_images(images: Array, rows: Array, turns: Array) -> Array:
    _one_device(images, rows, turns)
    is_bytes = images.dtype == np.uint8
    dtype = np.dtype(np.float32) if is_bytes else images.dtype
    out = cp.empty((len(rows), *images.shape[1:]), dtype)
    given = cp.ascontiguousarray(images), _integers(rows), _integers(turns), out
    name = "gather_bytes" if is_bytes else "gather_images"
    run("episodes.cu", name, dtype, out.size, *given, *out.shape)
    return out


def random_bits(keys: Array, count: int, purpose: int = 0) -> Array:
    out = cp.empty((len(keys), count), np.uint64)
    given = cp.ascontiguousarray(keys), out, len(keys), count, purpose
    run("random.cu", "random_bits", np.dtype("f4"), -(-out.size // 4), *given)
    return out


def random_children(keys: Array, numbers: Array) -> Array:
    _one_device(keys, numbers)
    out = cp.empty((len(keys), 2), np.uint64)
    given = cp.ascontiguousarray(keys), cp.ascontiguousarray(numbers), out, len(keys)
    run("random.cu", "random_children", np.dtype("f4"), len(keys), *given, reference.FOLD)
    return out


# --- special functions ------------------------------------------------------------------------


def polygamma(n: int, x: Array, out: Array | None = None) -> Array:
    reference.check_order(n)
    if n == 0:
        return _special("digamma_each", x, out)
    return _special("polygamma_each", x, out, int(n), special.integer_series(n))


def polygamma_drop(n: int, x: Array, y: Array, out: Array | None = None) -> Array:
    reference.check_order(n)
    return _of_pairs("polygamma_drop_each", x, y, out, n, special.integer_series(n))


def betaln(x: Array, y: Array, out: Array | None = None) -> Array:
    return _of_pairs("betaln_each", x, y, out)


def erfcx_derivative(n: int, x: Array, out: Array | None = None) -> Array:
    return _special("erfcx_derivative_each", x, out, n, special.laplace_weights(n))


def bessel_derivative(order: int, n: int, x: Array, out: Array | None = None) -> Array:
    code, table = 2 * n + order, special.bessel_table(order, n)
    return _special("bessel_derivative_each", x, out, code, table)


def _special(
    name: str, x: Array, out: Array | None = None, order: int = 0, table: Any = (0,)
) -> Array:
    x = cp.ascontiguousarray(x.astype(_wide(x), copy=False))
    out = _like(x, out, x.shape)
    run("special.cu", name, x.dtype, x.size, x, out, x.size, order, _numbers(table))
    return out


def _of_pairs(
    name: str, x: Array, y: Any, out: Array | None, order: int = 0, table: Any = (0,)
) -> Array:
    _one_device(*(v for v in (x, y) if not isinstance(v, int | float)))
    dtype = _wide(x, y)
    shape = np.broadcast_shapes(*map(np.shape, (x, y)))
    a, b = (cp.array(cp.broadcast_to(cp.asarray(v, dtype), shape), order="C") for v in (x, y))
    out = _like(a, out, a.shape)
    run("special.cu", name, dtype, out.size, a, b, out, out.size, order, _numbers(table))
    return out


def _wide(*args: Array) -> np.dtype:
    """The dtype that a kernel of special functions computes for arguments of these dtypes."""
    dtype = reference.special_dtype(*(getattr(x, "dtype", x) for x in args))
    return dtype if dtype.char in "fd" else np.dtype(np.float64)


def _numbers(table: Any) -> Array:
    return cp.asarray(np.array(table, np.float64))


def _deliver(values: Array, out: Array | None) -> Array:
    if out is None:
        return values
    out = _like(values, out, values.shape)
    cp.copyto(out, values)
    return out


for _kernel in (
    *(im2col, col2im, conv, conv_input, conv_weight, pool_argmax, matmul, sum_axes),
    *(softmax, log_softmax, take_along, index_add, take_along_transpose, scatter_add_nd),
    *(gather_images, random_bits, random_children, polygamma),
    *(polygamma_drop, betaln, erfcx_derivative, bessel_derivative),
):
    KERNELS[_kernel.__name__].register(cp.ndarray, _kernel)
for _name in (
    *("erf", "erfc", "erfinv", "erfcx", "ndtr", "log_ndtr", "lgamma", "digamma"),
    *("entr", "logit", "i0e", "i1e"),
):
    KERNELS[_name].register(cp.ndarray, functools.partial(_special, f"{_name}_each"))
