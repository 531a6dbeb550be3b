"""Sums over axes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernels.arrays import result

Array = np.ndarray

# Rows that are shorter are added up several at a time, as one of about this length.
WIDTH = 512
# At most so many of them one after the other: rounding grows with that number, not with all rows.
DEPTH = 32
# Fewer elements are not worth the trouble.
SMALL = 2**14


def sum_axes(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    rows = _as_rows(x, axes) if x.size > SMALL else None
    if rows is None:
        return np.add.reduce(x, axis=axes, out=out)
    sums = _add_rows(rows.array).reshape(rows.lengths).transpose(rows.order)
    sums = sums.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])
    if out is None:
        return sums
    np.copyto(result(out, sums.shape, sums.dtype), sums, casting="no")
    return out


class _Rows(NamedTuple):
    """An array seen as ``(outer, rows, short)``, to be summed over the middle axis.

    `lengths` are those of the axes that stay, as they lie in memory; `order` is their own order.
    """

    array: Array
    lengths: list[int]
    order: list[int]


def _as_rows(x: Array, axes: Sequence[int]) -> _Rows | None:
    """None where the axes do not lie so, or NumPy is as fast and as accurate.

    NumPy adds up one row after another: with a channels-last image each is a handful of numbers,
    and there are many.
    """
    order = sorted((a for a in range(x.ndim) if x.shape[a] > 1), key=lambda a: -x.strides[a])
    places = [i for i, axis in enumerate(order) if axis in axes]
    if not places or places != list(range(places[0], places[-1] + 1)):
        return None
    flat = x.transpose([*order, *(a for a in range(x.ndim) if x.shape[a] == 1)])
    sizes = [x.shape[a] for a in order]
    short = math.prod(sizes[places[-1] + 1 :])
    rows = math.prod(sizes[places[0] : places[-1] + 1])
    if not flat.flags.c_contiguous or short == 1 or (short > WIDTH // 2 and rows <= 2 * DEPTH):
        return None
    stay = [axis for axis in order if axis not in axes]
    outer = math.prod(sizes[: places[0]])
    return _Rows(
        flat.reshape(outer, -1, short),
        [x.shape[axis] for axis in stay],
        [stay.index(axis) for axis in sorted(stay)],
    )


def _add_rows(x: Array) -> Array:
    """``(outer, rows, short)`` → ``(outer, short)``."""
    outer, rows, short = x.shape
    together = max(1, WIDTH // short)
    if rows < 2 * together:
        return np.add.reduce(x, axis=1)
    deep = min(DEPTH, rows // together)
    whole = rows - rows % (deep * together)
    wide = x[:, :whole].reshape(outer, -1, deep, together * short)
    sums = np.add.reduce(wide, axis=2).reshape(outer, -1, short)
    rest = np.add.reduce(x[:, whole:], axis=1)
    return _add_rows(sums) + rest
