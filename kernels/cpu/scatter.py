"""Sums scattered by index: transposes of indexing."""

import numpy as np

from kernels import reference
from kernels.cpu.arrays import plain
from kernels.cpu.lazy import Compiled, compiled
from kernels.cpu.threads import split, thread_count

# The least number of additions that are worth a thread.
GRAIN = 2**16


def index_add(values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    if not _add_slices.supports(values.dtype):
        return reference.index_add(values, index, size)
    if index.shape != values.shape[1:2]:
        raise ValueError(f"index of shape {index.shape} does not fit values {values.shape}")
    return _scatter(_add_slices, values, index, size)


def take_along_transpose(values: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    if not _add_elements.supports(values.dtype):
        return reference.take_along_transpose(values, index, size)
    if index.shape != values.shape or values.ndim not in (2, 3):
        raise ValueError(f"index of shape {index.shape} does not fit values {values.shape}")
    if values.ndim == 3:
        return _scatter(_add_elements, values, index, size)
    return _scatter(_add_elements, values[:, :, None], index[:, :, None], size)[:, :, 0]


def scatter_add_nd(values: np.ndarray, flat_index: np.ndarray, size: int) -> np.ndarray:
    return index_add(values[None], flat_index, size)[0]


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
    """The index as the kernels need it. They trust it, so it has to be within bounds."""
    if index.dtype.kind not in "iu":
        raise IndexError(f"an index has to be of integer type, got {index.dtype}")
    low, high = index.min(), index.max()
    if low < -size or high >= size:
        raise IndexError(f"index from {low} to {high} is out of bounds for an axis of size {size}")
    return plain(index.astype(np.int64, copy=False))


@compiled(writes="out")
def _add_slices(values, index, out, first_p, last_p, first_q, last_q):
    """out[p, index[m], q] += values[p, m, q]"""
    size = out.shape[1]
    for p in range(first_p, last_p):
        for m in range(values.shape[1]):
            k = index[m] if index[m] >= 0 else index[m] + size
            for q in range(first_q, last_q):
                out[p, k, q] += values[p, m, q]


@compiled(writes="out")
def _add_elements(values, index, out, first_p, last_p, first_q, last_q):
    """out[p, index[p, m, q], q] += values[p, m, q]"""
    size = out.shape[1]
    for p in range(first_p, last_p):
        for m in range(values.shape[1]):
            for q in range(first_q, last_q):
                k = index[p, m, q] if index[p, m, q] >= 0 else index[p, m, q] + size
                out[p, k, q] += values[p, m, q]
