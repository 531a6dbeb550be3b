"""Products of matrices: shared out between threads of ours, by whole matrices or by rows."""

import numpy as np

from kernels.arrays import plain, result
from kernels.cpu.blas import one_blas_thread
from kernels.cpu.threads import split

Array = np.ndarray

# Up to this many multiplications BLAS uses one thread by itself.
SMALL = 2**18
# The least number of them that are worth a thread.
GRAIN = 2**22
# A single product is cut into pieces of this many rows at least. One with too few rows for that,
# and more multiplications than LARGE, is left for BLAS to share out.
ROWS = 64
LARGE = 2**26


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    work = max(x.size * y.shape[-1], y.size * x.shape[-2]) if min(x.ndim, y.ndim) > 1 else 0
    if work == 0 or x.dtype.kind != "f" or y.dtype.kind != "f":
        return np.matmul(x, y, out=out)
    x, y = _for_blas(x), _for_blas(y)
    if work <= SMALL:
        return np.matmul(x, y, out=out)
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    shape = (*stack, x.shape[-2], y.shape[-1])
    out = result(out, shape, np.result_type(x, y))
    many = len(stack) > 0 and stack[0] > 1
    rows = _rows(shape[-2], work)
    if work > LARGE and rows >= shape[-2] and not many:
        return np.matmul(x, y, out=out)

    def matrices(start: int, stop: int) -> None:
        some = slice(start, stop)
        left = x[some] if x.ndim == len(shape) and len(x) > 1 else x
        right = y[some] if y.ndim == len(shape) and len(y) > 1 else y
        np.matmul(left, right, out=out[some])

    def pieces(start: int, stop: int) -> None:
        # Where rows are cut depends on shapes alone: so do the last bits of the result.
        for first in range(start * rows, min(stop * rows, shape[-2]), rows):
            some = slice(first, first + rows)
            np.matmul(x[..., some, :], y, out=out[..., some, :])

    with one_blas_thread():
        if many:
            split(stack[0], -(-GRAIN * stack[0] // work), matrices)
        else:
            split(-(-shape[-2] // rows), 1, pieces)
    return out


def _rows(total: int, work: int) -> int:
    """How many of all rows make a piece that is worth a thread."""
    return max(ROWS, -(-total * GRAIN // work))


def _for_blas(x: Array) -> Array:
    """The array, or a copy if its layout is one that NumPy would not hand to BLAS."""
    row, column = x.strides[-2:]
    rows, columns = x.shape[-2:]
    item = x.itemsize
    by_rows = column == item and (row >= columns * item or rows == 1)
    by_columns = row == item and (column >= rows * item or columns == 1)
    return x if (by_rows or by_columns) and x.flags.aligned else plain(x)
