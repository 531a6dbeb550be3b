"""Elements gathered, and sums scattered, by index."""

import numpy as np

from kernels import reference
from kernels.arrays import plain
from kernels.cpu.lazy import Compiled, compiled
from kernels.cpu.threads import split, thread_count

# The least number of additions that are worth a thread.
GRAIN = 2**16


def take_along(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    fits = values.ndim == index.ndim == 3 and values.shape[::2] == index.shape[::2]
    _check(fits, values, index)
    if not _take_elements.supports(values.dtype):
        return reference.take_along(values, index)
    outer, count, inner = index.shape
    out = np.empty(index.shape, values.dtype)
    if out.size:
        values, index = plain(values), _checked(index, values.shape[1])
        grain = GRAIN // (count * inner)
        split(outer, grain, lambda a, b: _take_elements(values, index, out, a, b))
    return out


def index_add(values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    _check(index.shape == values.shape[1:2], values, index)
    if not _add_slices.supports(values.dtype):
        return reference.index_add(values, index, size)
    return _scatter(_add_slices, values, index, size)


def take_along_transpose(values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    _check(index.shape == values.shape and values.ndim in (2, 3), values, index)
    if not _add_elements.supports(values.dtype):
        return reference.take_along_transpose(values, index, size)
    if values.ndim == 3:
        return _scatter(_add_elements, values, index, size)
    return _scatter(_add_elements, values[:, :, None], index[:, :, None], size)[:, :, 0]


def scatter_add_nd(values: np.ndarray, flat_index: np.ndarray, size: int) -> np.ndarray:
    return index_add(values[None], flat_index, size)[0]


def _check(fits: bool, values: np.ndarray, index: np.ndarray) -> None:
    if not fits:
        raise ValueError(f"index of shape {index.shape} does not fit values {values.shape}")


def _scatter(kernel: Compiled, values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    """Scatter ``values`` ``(P, M, Q)`` into ``(P, size, Q)``.

    Threads share the result by P or by Q, never by M: each element is summed by one thread in the
    order of M, so that results repeat bit for bit.
    """
    outer, count, inner = values.shape
    out = np.zeros((outer, size, inner), values.dtype)
    if values.size == 0:
        return out
    values, index = plain(values), _checked(index, size)
    if outer >= thread_count() or outer >= inner:
        grain = GRAIN // (count * inner)
        split(outer, grain, lambda a, b: kernel(values, index, out, a, b, 0, inner))
    else:
        grain = GRAIN // (count * outer)
        split(inner, grain, lambda a, b: kernel(values, index, out, 0, outer, a, b))
    return out


def _checked(index: np.ndarray, size: int) -> np.ndarray:
    """The index as the kernels need it: Numba wraps negative ones, but does not check bounds."""
    if index.dtype.kind not in "iu":
        raise IndexError(f"an index has to be of integer type, got {index.dtype}")
    low, high = index.min(), index.max()
    if low < -size or high >= size:
        raise IndexError(f"index from {low} to {high} is out of bounds for an axis of size {size}")
    return plain(index.astype(np.int64, copy=False))


@compiled(writes="out")
def _take_elements(values, index, out, first_p, last_p):
    for p in range(first_p, last_p):
        for m in range(index.shape[1]):
            for q in range(index.shape[2]):
                out[p, m, q] = values[p, index[p, m, q], q]


@compiled(writes="out")
def _add_slices(values, index, out, first_p, last_p, first_q, last_q):
    for p in range(first_p, last_p):
        for m in range(values.shape[1]):
            for q in range(first_q, last_q):
                out[p, index[m], q] += values[p, m, q]


@compiled(writes="out")
def _add_elements(values, index, out, first_p, last_p, first_q, last_q):
    for p in range(first_p, last_p):
        for m in range(values.shape[1]):
            for q in range(first_q, last_q):
                out[p, index[p, m, q], q] += values[p, m, q]
