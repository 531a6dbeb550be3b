"""Windows and convolutions: blocks of images, each lowered to one matrix product per task.

Threads share the blocks: each copies windows and multiplies them, in a workspace of its own, and
BLAS is left one thread meanwhile.

Copying windows is left to NumPy: its strided copy runs at the speed of memory, as fast as a
compiled loop would. Adding them back does not, so that is a Numba kernel.
"""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kernels import reference
from kernels.arrays import plain, result
from kernels.cpu.blas import one_blas_thread
from kernels.cpu.lazy import compiled
from kernels.cpu.threads import split
from kernels.geometry import NO_PADDING, Padding, Pair, output_shape

Array = np.ndarray

# Windows are lowered in blocks of about this size, to stay in the cache until their product, and
# of about as many multiplications, to leave some for each thread.
BLOCK_BYTES = 2**22
BLOCK_WORK = 2**25
# One product with more multiplications than this is left for BLAS to share out.
LARGE_PRODUCT = 2**27
# Into how many sums the filters' cotangent of one task is split, for threads to add to.
PARTIAL_SUMS = 8
# Up to this many channels, NumPy copies windows faster into a matrix that lies transposed.
FEW_CHANNELS = 3
# The least number of elements that are worth a thread, and a number of them that none is.
GRAIN = 2**17
ONE_THREAD = 2**62


def im2col(
    x: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    lowering = _Lowering((1, *x.shape), x.dtype, window, stride, padding, dilation, filters=1)
    out = result(out, (len(x), *lowering.size, *window, x.shape[3]), x.dtype)
    if out.size:
        for _, images in lowering.blocks:
            np.copyto(out[images], lowering.windows(x[None, images])[0])
    return out


def col2im(
    cols: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    images, *size, kh, kw, channels = cols.shape
    reference.check_output(shape, (size[0], size[1]), (kh, kw), stride, padding, dilation)
    out = result(out, (images, *shape, channels), cols.dtype)
    _add_windows(plain(cols), out, stride, padding, dilation, GRAIN)
    return out


def conv(
    x: Array,
    w: Array,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    tasks, *window, channels, filters = w.shape
    _check(x.shape[0] == tasks and x.shape[4] == channels, x, w)
    lowering = _Lowering(
        x.shape, x.dtype, (window[0], window[1]), stride, padding, dilation, filters
    )
    out = result(out, (*x.shape[:2], *lowering.size, filters), np.result_type(x, w))
    if 0 in (out.size, x.size, w.size):
        out.fill(0)
        return out
    weights = _filter_matrices(w)

    def multiply(lower: _Lowering, block: Block) -> None:
        np.matmul(lower(x[block]), weights[block[0]], out=_matrices(out[block]))

    lowering.share(lowering.blocks, multiply)
    return out


def conv_input(
    g: Array,
    w: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    tasks, *window, channels, filters = w.shape
    _check(g.shape[0] == tasks and g.shape[4] == filters, g, w)
    dtype = np.result_type(g, w)
    result_shape = (*g.shape[:2], *shape, channels)
    lowering = _Lowering(
        result_shape, dtype, (window[0], window[1]), stride, padding, dilation, filters
    )
    reference.check_output(shape, g.shape[2:4], (window[0], window[1]), stride, padding, dilation)
    out = result(out, result_shape, dtype)
    if 0 in (out.size, g.size, w.size):
        out.fill(0)
        return out
    weights = _filter_matrices(w).swapaxes(1, 2)

    def multiply(lower: _Lowering, block: Block) -> None:
        images = out[block]
        if lower.is_reshape:
            products = images.reshape(len(images), -1, lower.columns)
        else:
            products = lower.workspace(images.shape[:2])
        np.matmul(_matrices(plain(g[block])), weights[block[0]], out=products)
        if not lower.is_reshape:
            cols = products.reshape(-1, *lower.size, *window, channels)
            _add_windows(cols, images.reshape(-1, *shape, channels), stride, padding, dilation)

    lowering.share(lowering.blocks, multiply)
    return out


def conv_weight(
    x: Array,
    g: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    _check(x.shape[:2] == g.shape[:2], x, g)
    lowering = _Lowering(x.shape, x.dtype, window, stride, padding, dilation, g.shape[4])
    reference.check_output(x.shape[2:4], g.shape[2:4], window, stride, padding, dilation)
    dtype = np.result_type(x, g)
    out = result(out, (len(x), *window, x.shape[4], g.shape[4]), dtype)
    if 0 in (out.size, x.size, g.size):
        out.fill(0)
        return out
    # Sums of one task are added up in an order that depends on shapes alone, not on threads.
    shares = lowering.shares()
    sums = out.reshape(len(out), -1, g.shape[4])
    places = 1 + shares[-1].place
    partial = sums[:, None] if places == 1 else np.empty((len(out), places, *sums.shape[1:]), dtype)

    def multiply(lower: _Lowering, share: Share) -> None:
        for block in share.blocks:
            cols = lower(x[block]).swapaxes(1, 2)
            products = _matrices(plain(g[block]))
            target = partial[block[0], share.place]
            if block is share.blocks[0]:
                np.matmul(cols, products, out=target)
            else:
                target += cols @ products

    lowering.share(shares, multiply)
    if places > 1:
        np.add.reduce(partial, axis=1, out=sums)
    return out


Block = tuple[slice, slice]
Item = TypeVar("Item")


class Share(NamedTuple):
    """Blocks to be added up in turn, and which of the partial sums of their task to add them to."""

    blocks: list[Block]
    place: int


class _Lowering:
    """Copies the windows of images into matrices, block by block, in a workspace used again.

    Attributes:
        size: ``(Ho, Wo)``.
        columns: width ``kh * kw * C`` of the matrices.
        blocks: ``(tasks, images)`` slices of the first two axes. They depend on shapes alone, so
            results repeat bit for bit. A block has one image at least, however large.
        is_reshape: the windows are the image itself, or its pixels: there is nothing to copy.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype,
        window: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        filters: int,
    ) -> None:
        self._arguments = shape, dtype, window, stride, padding, dilation, filters
        tasks, images, height, width, channels = shape
        self.size = output_shape((height, width), window, stride, padding, dilation)
        self.columns = math.prod(window) * channels
        self.is_reshape = padding == NO_PADDING and (
            (window == (1, 1) and stride == (1, 1))
            or (window == (height, width) and dilation == (1, 1))
        )
        self._shape, self._dtype, self._padding = shape[2:], dtype, padding
        self._window, self._stride, self._dilation = window, stride, dilation
        elements = max(1, math.prod(self.size) * self.columns)
        work = elements * max(1, filters)
        self._images = max(1, min(BLOCK_BYTES // (elements * dtype.itemsize), BLOCK_WORK // work))
        self._work = work * tasks * images
        self.blocks = list(_blocks(tasks, images, self._images))
        self._images = min(self._images, tasks * images)

    def share(self, items: list[Item], run: Callable[["_Lowering", Item], None]) -> None:
        """Call ``run(lowering, item)`` for all items, each thread with a lowering of its own."""

        def some(start: int, stop: int) -> None:
            own = self if start == 0 else _Lowering(*self._arguments)
            for item in items[start:stop]:
                run(own, item)

        alone = len(items) == 1 and self._work > LARGE_PRODUCT
        with nullcontext() if alone else one_blas_thread():
            split(len(items), 1, some)

    def shares(self) -> list[Share]:
        """The blocks in groups, each of which adds to a sum of its own."""
        tasks, images = self._arguments[0][:2]
        if images <= self._images:
            return [Share([block], 0) for block in self.blocks]
        length = len(self.blocks) // tasks
        return [
            Share(self.blocks[task * length : (task + 1) * length][some], place)
            for task in range(tasks)
            for place, some in enumerate(_pieces(length, -(-length // PARTIAL_SUMS)))
        ]

    def __call__(self, x: Array) -> Array:
        """Lower images ``(B, N, H, W, C)`` to matrices ``(B, N * Ho * Wo, kh * kw * C)``."""
        if self.is_reshape:
            return plain(x).reshape(len(x), -1, self.columns)
        windows = self.windows(x)
        if x.shape[4] > FEW_CHANNELS:
            matrices = self.workspace(x.shape[:2])
            np.copyto(matrices.reshape(windows.shape), windows)
            return matrices
        transposed = windows.transpose(0, 4, 5, 6, 1, 2, 3)
        matrices = self.workspace(x.shape[:2]).reshape(len(x), self.columns, -1)
        np.copyto(matrices.reshape(transposed.shape), transposed)
        return matrices.swapaxes(1, 2)

    def windows(self, x: Array) -> Array:
        """View the windows of images: ``(B, N, H, W, C)`` → ``(B, N, Ho, Wo, kh, kw, C)``."""
        if self._padding != NO_PADDING:
            x = self._pad(x)
        (sh, sw), (dh, dw) = self._stride, self._dilation
        *outer, row, column, channel = x.strides
        return as_strided(
            x,
            (*x.shape[:2], *self.size, *self._window, x.shape[4]),
            (*outer, sh * row, sw * column, dh * row, dw * column, channel),
            writeable=False,
        )

    def workspace(self, block: tuple[int, ...]) -> Array:
        """Matrices for a block of ``(tasks, images)``, not initialised."""
        rows = block[1] * math.prod(self.size)
        return self._matrices[: block[0] * rows * self.columns].reshape(block[0], rows, -1)

    def _pad(self, x: Array) -> Array:
        (top, _), (left, _) = self._padding
        padded = self._padded[: x.shape[0] * x.shape[1]].reshape(
            *x.shape[:2], *self._padded.shape[1:]
        )
        padded[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
        return padded

    @functools.cached_property
    def _matrices(self) -> Array:
        return np.empty(self._images * math.prod(self.size) * self.columns, self._dtype)

    @functools.cached_property
    def _padded(self) -> Array:
        """Images whose border stays zero; only their middle is ever written."""
        height, width, channels = self._shape
        rows, columns = sum(self._padding[0]), sum(self._padding[1])
        return np.zeros((self._images, height + rows, width + columns, channels), self._dtype)


def _blocks(tasks: int, images: int, most: int) -> Iterator[tuple[slice, slice]]:
    """Cut tasks × images into blocks of at most ``most`` images: of whole tasks, if one fits."""
    if images <= most:
        for some in _pieces(tasks, most // max(1, images)):
            yield some, slice(0, images)
    else:
        for task in range(tasks):
            for some in _pieces(images, most):
                yield slice(task, task + 1), some


def _pieces(total: int, most: int) -> Iterator[slice]:
    """Cut ``range(total)`` into pieces of about equal length, at most ``most``."""
    length = -(-total // max(1, -(-total // most)))
    for start in range(0, total, max(1, length)):
        yield slice(start, min(start + length, total))


def _matrices(block: Array) -> Array:
    """View ``(B, N, Ho, Wo, O)`` as ``(B, N * Ho * Wo, O)``."""
    return block.reshape(len(block), -1, block.shape[4])


def _filter_matrices(w: Array) -> Array:
    """``(B, kh, kw, C, O)`` → ``(B, kh * kw * C, O)``, without a copy if tasks share filters."""
    if not w[:1].flags.c_contiguous:
        w = plain(w)
    return w.reshape(len(w), -1, w.shape[4])


def _check(fits: bool, first: Array, second: Array) -> None:
    if not fits:
        raise ValueError(f"shapes {first.shape} and {second.shape} do not fit")


def _add_windows(
    cols: Array, out: Array, stride: Pair, padding: Padding, dilation: Pair, grain: int = ONE_THREAD
) -> None:
    """:func:`col2im` for arrays that are C-contiguous."""
    if not _add_windows_to_rows.supports(cols.dtype):
        reference.col2im(cols, out.shape[1:3], stride, padding, dilation, out)
        return
    images, height, width, channels = out.shape
    geometry = (*stride, padding[0][0], padding[1][0], *dilation)
    split(
        images * height,
        grain // max(1, width * channels),
        lambda start, stop: _add_windows_to_rows(cols, out, *geometry, start, stop),
    )


@compiled(writes="out")
def _add_windows_to_rows(cols, out, sh, sw, top, left, dh, dw, start, stop):
    """Sum up rows ``start`` to ``stop`` of all images: each row belongs to one thread."""
    _, height, width, channels = out.shape
    _, rows, columns, kh, kw, _ = cols.shape
    for place in range(start, stop):
        n = place // height
        h = place - n * height
        for w in range(width):
            for c in range(channels):
                out[n, h, w, c] = 0
        for i in range(kh):
            distance = h + top - i * dh
            y = distance // sh
            if distance < 0 or y * sh != distance or y >= rows:
                continue
            for j in range(kw):
                offset = j * dw - left
                first = max(0, -(offset // sw))
                last = min(columns, (width - 1 - offset) // sw + 1)
                for x in range(first, last):
                    for c in range(channels):
                        out[n, h, x * sw + offset, c] += cols[n, y, x, i, j, c]
