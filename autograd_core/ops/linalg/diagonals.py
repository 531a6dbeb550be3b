"""Diagonals and triangles of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import where
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import embed_p, moveaxis, normalize_axes, reshape, slice_axis
from autograd_core.primitive import bind
from autograd_core.tensor import Tensor, asarray


def diagonal(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonal of the matrices in two axes, moved to the last axis of the result.

    The matrices are the last two axes by default, as for everything in this family (NumPy's
    `diagonal` takes the first two).

    Args:
        x: two axes or more.
        offset: how many places above the main diagonal; negative ones are below it.
        axis1, axis2: the rows and the columns.

    >>> ac.diagonal(ac.asarray([[1, 2], [3, 4]])), ac.diagonal(ac.asarray([[1, 2], [3, 4]]), 1)
    (Tensor([1, 4], dtype=int64), Tensor([2], dtype=int64))
    """
    x = asarray(x)
    x = moveaxis(x, normalize_axes((axis1, axis2), x.ndim), (-2, -1))
    m, n = x.shape[-2:]
    length = max(min(m, n - offset) if offset >= 0 else min(m + offset, n), 0)
    if length == 0:
        return reshape(slice_axis(x, -1, 0, 0), (*x.shape[:-2], 0))
    start = offset if offset >= 0 else -offset * n
    flat = reshape(x, (*x.shape[:-2], m * n))
    return slice_axis(flat, -1, start, start + (length - 1) * (n + 1) + 1, n + 1)


def diag(x: Any, offset: int = 0) -> Tensor:
    """The diagonal of a matrix; of a vector, the matrix with it on the diagonal and 0 elsewhere.

    Args:
        x: (m, n) or (n,). For stacks of matrices see `diagonal`.
        offset: which diagonal: above the main one where positive, below it where negative.

    Raises:
        ShapeError: x has neither one axis nor two.

    >>> ac.diag(ac.asarray([[1.0, 2.0], [3.0, 4.0]])), ac.diag([1.0, 2.0])
    (Tensor([1., 4.], dtype=float64), Tensor([[1., 0.],
            [0., 2.]], dtype=float64))
    """
    x = asarray(x)
    if x.ndim == 2:
        return diagonal(x, offset)
    if x.ndim != 1:
        raise ShapeError(f"diag: expected one axis or two, got shape {x.shape}")
    length = x.size
    n = length + abs(offset)
    start = offset if offset >= 0 else -offset * n
    stop = start + (length - 1) * (n + 1) + 1 if length else start
    flat = bind(embed_p, (x,), {"key": ((start, stop, n + 1),), "shape": (n * n,)})
    return reshape(flat, (n, n))


def trace(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The sum of the diagonal of the matrices in two axes, the last ones by default.

    Args:
        x, offset, axis1, axis2: those of `diagonal`.

    >>> ac.trace(ac.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(5., dtype=float64)
    >>> ac.grad(lambda x: ac.trace(x @ x))(ac.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[2., 6.],
            [4., 8.]], dtype=float64)
    """
    return sum_(diagonal(x, offset, axis1, axis2), -1)


def tril(x: Any, k: int = 0) -> Tensor:
    """The entries of matrices on and below the k-th diagonal, 0 elsewhere.

    Args:
        x: (…, m, n).
        k: 0 for the main diagonal, above it where positive.

    Raises:
        ShapeError: x has fewer than two axes.

    >>> ac.tril(ac.asarray([[1, 2], [3, 4]])), ac.tril(ac.asarray([[1, 2], [3, 4]]), k=-1)
    (Tensor([[1, 0],
            [3, 4]], dtype=int64), Tensor([[0, 0],
            [3, 0]], dtype=int64))
    """
    return _triangle(x, "tril", lambda m, n: np.tri(m, n, k, dtype=bool))


def triu(x: Any, k: int = 0) -> Tensor:
    """The entries of matrices on and above the k-th diagonal, 0 elsewhere.

    Args:
        x: (…, m, n).
        k: 0 for the main diagonal, above it where positive.

    Raises:
        ShapeError: x has fewer than two axes.

    >>> ac.triu(ac.asarray([[1, 2, 3], [4, 5, 6]]), k=1)
    Tensor([[0, 2, 3],
            [0, 0, 6]], dtype=int64)
    """
    return _triangle(x, "triu", lambda m, n: ~np.tri(m, n, k - 1, dtype=bool))


def _triangle(x: Any, name: str, mask: Callable[[int, int], np.ndarray]) -> Tensor:
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected shape (…, m, n), got {x.shape}")
    return where(mask(*x.shape[-2:]), x, np.zeros((), x.dtype))
