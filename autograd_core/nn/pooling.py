"""Pooling over windows of images (N, C, H, W) and sequences (N, C, L)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import kernels
from autograd_core.errors import ShapeError
from autograd_core.nn.checks import as_pair, check_rank, promoted, shape_error
from autograd_core.ops.arithmetic import divide, multiply
from autograd_core.ops.conv import count_windows, pick_p, pool_argmax_p, unfold_p
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import mean
from autograd_core.ops.structural import (
    expand_dims,
    reshape,
    squeeze,
    sum_axes,
    transpose,
)
from autograd_core.tensor import Tensor

Pair = tuple[int, int]
Sizes = int | Sequence[int]


def max_pool2d(x: Any, window: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> Tensor:
    """The largest entry of every window, for each channel.

    At ties the first entry in row-major order gets the derivative.

    Args:
        x: images (N, C, H, W).
        window: one number, or (rows, columns).
        stride: steps between neighbouring windows, likewise; the window's size by default.
        padding: rows and columns around the image, likewise, smaller than the window. They are
            never chosen.

    Returns:
        (N, C, Ho, Wo), where Ho = ⌊(H + 2 · padding - window) / stride⌋ + 1, and so Wo.

    Raises:
        ShapeError: the shapes do not fit.

    >>> x = ac.reshape(ac.arange(16.0), (1, 1, 4, 4))
    >>> ac.nn.max_pool2d(x, 2)
    Tensor([[[[ 5.,  7.],
              [13., 15.]]]], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.nn.max_pool2d(x, 2)))(ac.zeros((1, 1, 2, 2)))
    Tensor([[[[1., 0.],
              [0., 0.]]]], dtype=float64)
    """
    return _max_pool("max_pool2d", 2, x, window, stride, padding)


def max_pool1d(x: Any, window: int, stride: int | None = None, padding: int = 0) -> Tensor:
    """The largest entry of every window of sequences: `max_pool2d` along one axis.

    Args:
        x: sequences (N, C, L).
        window, stride, padding: numbers; see `max_pool2d`.

    Returns:
        (N, C, Lo).

    >>> ac.nn.max_pool1d(ac.asarray([[[1.0, 5.0, 2.0, 3.0]]]), 2)
    Tensor([[[5., 3.]]], dtype=float64)
    """
    return _max_pool("max_pool1d", 1, x, window, stride, padding)


def _max_pool(name: str, rank: int, x: Any, *sizes: Any) -> Tensor:
    images, geometry = _images(name, rank, x, *sizes)
    n, height, width, channels = images.shape
    index = pool_argmax_p(images, **geometry)
    places = reshape(index, (n, index.shape[1] * index.shape[2], channels))
    largest = pick_p(reshape(images, (n, height * width, channels)), places)
    return _channels_first(reshape(largest, index.shape), rank)


def avg_pool2d(
    x: Any,
    window: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window, for each channel.

    Args:
        x, window, stride, padding: as for `max_pool2d`, but the padding is zeros that take part.
        count_include_pad: whether the mean counts them too, or divides by the number of entries of
            the image in the window.

    Returns:
        (N, C, Ho, Wo), as for `max_pool2d`.

    >>> x = ac.reshape(ac.arange(16.0), (1, 1, 4, 4))
    >>> ac.nn.avg_pool2d(x, 2)
    Tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]], dtype=float64)
    >>> ac.nn.avg_pool2d(x, 4, padding=1, count_include_pad=False)  # of the nine in the corner
    Tensor([[[[5.]]]], dtype=float64)
    """
    return _avg_pool("avg_pool2d", 2, x, count_include_pad, window, stride, padding)


def avg_pool1d(
    x: Any,
    window: int,
    stride: int | None = None,
    padding: int = 0,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window of sequences: `avg_pool2d` along one axis.

    Args:
        x: sequences (N, C, L).
        window, stride, padding, count_include_pad: see `avg_pool2d`.

    Returns:
        (N, C, Lo).

    >>> ac.nn.avg_pool1d(ac.asarray([[[1.0, 5.0, 2.0, 3.0]]]), 2)
    Tensor([[[3. , 2.5]]], dtype=float64)
    """
    return _avg_pool("avg_pool1d", 1, x, count_include_pad, window, stride, padding)


def _avg_pool(name: str, rank: int, x: Any, count_include_pad: bool, *sizes: Any) -> Tensor:
    images, geometry = _images(name, rank, x, *sizes)
    window, padding = geometry["window"], geometry["padding"]
    if geometry["stride"] == window and padding == kernels.geometry.NO_PADDING:
        windows = _tiles(images, window)
    else:
        windows = transpose(unfold_p(images, **geometry, dilation=(1, 1)), (0, 1, 3, 2, 4, 5))
    sums = sum_axes(windows, (2, 4))
    if count_include_pad or padding == kernels.geometry.NO_PADDING:
        return _channels_first(divide(sums, math.prod(window)), rank)
    counts = [
        _entries_in_windows(n, k, s, p)
        for n, k, s, p in zip(images.shape[1:3], window, geometry["stride"], padding, strict=True)
    ]
    shares = (1 / np.outer(*counts)).astype(images.dtype)
    return _channels_first(multiply(sums, shares[:, :, None]), rank)


def _tiles(x: Tensor, window: Pair) -> Tensor:
    """Windows side by side: (N, H, W, C) to (N, Ho, kh, Wo, kw, C)."""
    n, height, width, channels = x.shape
    (kh, kw), (rows, columns) = window, (height // window[0], width // window[1])
    if (rows * kh, columns * kw) != (height, width):
        x = x[:, : rows * kh, : columns * kw]
    return reshape(x, (n, rows, kh, columns, kw, channels))


def _entries_in_windows(length: int, window: int, stride: int, padding: Pair) -> np.ndarray:
    """How many entries of an axis, not of its padding, each window holds."""
    count = (length + sum(padding) - window) // stride + 1
    start = np.arange(count) * stride - padding[0]
    return np.minimum(start + window, length) - np.maximum(start, 0)


# Pooling to a given size ----------------------------------------------------------------------


def adaptive_avg_pool2d(x: Any, size: Sizes) -> Tensor:
    """Means over windows that divide the image evenly, so that the result has a given size.

    Row i of the result is the mean of the rows ⌊i H / Ho⌋ to ⌈(i + 1) H / Ho⌉ - 1; so the columns.

    Args:
        x: images (N, C, H, W).
        size: (Ho, Wo), or one number for both.

    Returns:
        (N, C, Ho, Wo).

    >>> ac.nn.adaptive_avg_pool2d(ac.reshape(ac.arange(16.0), (1, 1, 4, 4)), 2)
    Tensor([[[[ 2.5,  4.5],
              [10.5, 12.5]]]], dtype=float64)
    """
    (x,) = promoted(x)
    check_rank("adaptive_avg_pool2d", 4, x=x)
    rows, columns = as_pair("adaptive_avg_pool2d", "size", size)
    down, across = _shares(x.shape[2], rows, x.dtype), _shares(x.shape[3], columns, x.dtype)
    return matmul(matmul(down, x), across.T)


def adaptive_avg_pool1d(x: Any, size: int) -> Tensor:
    """Means over windows that divide sequences evenly: `adaptive_avg_pool2d` along one axis.

    Args:
        x: sequences (N, C, L).
        size: the length of the result.

    Returns:
        (N, C, size).

    >>> ac.nn.adaptive_avg_pool1d(ac.asarray([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), 2)
    Tensor([[[2., 4.]]], dtype=float64)
    """
    (x,) = promoted(x)
    check_rank("adaptive_avg_pool1d", 3, x=x)
    return matmul(x, _shares(x.shape[2], size, x.dtype).T)


def _shares(length: int, size: int, dtype: np.dtype) -> np.ndarray:
    """The matrix (size, length) that takes means over `size` windows of an axis."""
    start = np.arange(size) * length // size
    stop = -(-(np.arange(size) + 1) * length // size)
    place = np.arange(length)
    inside = (place >= start[:, None]) & (place < stop[:, None])
    return (inside / (stop - start)[:, None]).astype(dtype)


def global_avg_pool(x: Any) -> Tensor:
    """The mean over all axes but the first two: (N, C, …) to (N, C).

    >>> ac.nn.global_avg_pool(ac.reshape(ac.arange(8.0), (1, 2, 2, 2)))
    Tensor([[1.5, 5.5]], dtype=float64)
    """
    (x,) = promoted(x)
    if x.ndim < 3:
        raise ShapeError(f"global_avg_pool: expected x (N, C, …), got {x.shape}")
    return mean(x, tuple(range(2, x.ndim)))


# Layouts and checks ---------------------------------------------------------------------------


def _images(
    name: str, rank: int, x: Any, window: Any, stride: Any, padding: Any
) -> tuple[Tensor, dict]:
    """Channels-last images (N, H, W, C), of one row for sequences, and how windows lie on them."""
    (x,) = promoted(x)
    check_rank(name, rank + 2, x=x)
    window = as_pair(name, "window", window, rank)
    stride = window if stride is None else as_pair(name, "stride", stride, rank)
    rows, columns = as_pair(name, "padding", padding, rank)
    geometry = {"window": window, "stride": stride, "padding": ((rows, rows), (columns, columns))}
    if rows >= window[0] or columns >= window[1]:
        raise ShapeError(f"{name}: padding {padding} has to be smaller than the window {window}")
    images = expand_dims(x, 2) if rank == 1 else x
    if min(count_windows(images.shape[2:], **geometry)) < 1:
        raise shape_error(name, f"the window {window} is larger than the padded image", x=x)
    return transpose(images, (0, 2, 3, 1)), geometry


def _channels_first(x: Tensor, rank: int) -> Tensor:
    x = transpose(x, (0, 3, 1, 2))
    return squeeze(x, 2) if rank == 1 else x


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "global_avg_pool",
    "max_pool1d",
    "max_pool2d",
]
