"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops import reduce
from autograd_core.ops.arithmetic import absolute, divide, equal, power, where
from autograd_core.ops.linalg.singular import shared_svdvals
from autograd_core.ops.linalg.solving import inv
from autograd_core.ops.linalg.stacks import inexact, matrices
from autograd_core.ops.reduce import max as max_
from autograd_core.ops.reduce import min as min_
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import expand_dims, moveaxis, normalize_axes, reshape, slice_axis
from autograd_core.tensor import Tensor

ORDERS = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)


def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Tensor:
    """A norm of each matrix (…, m, n): shape (…), or (…, 1, 1) with `keepdims`.

    Args:
        x: matrices.
        ord: "fro" (the root of the sum of squares), "nuc" (the sum of the singular values), 2 (the
            largest of them) or -2 (the least), 1 (the largest sum of magnitudes in a column) or -1
            (the least), inf or -inf (in a row).
        keepdims: leave the two axes in the shape, with length 1.

    Raises:
        ValueError: there is no such norm.

    >>> x = ac.asarray([[3.0, 1.0], [1.0, 3.0]])
    >>> ac.matrix_norm(x), ac.matrix_norm(x, "nuc"), ac.matrix_norm(x, 2)
    (Tensor(4.4721, dtype=float64), Tensor(6., dtype=float64), Tensor(4., dtype=float64))
    >>> ac.grad(lambda x: ac.matrix_norm(x, 2))(x)
    Tensor([[0.5, 0.5],
            [0.5, 0.5]], dtype=float64)
    """
    x = matrices(x, "matrix_norm", square=False)
    if ord not in ORDERS:
        wanted = "'fro', 'nuc', 1, -1, 2, -2, inf or -inf"
        raise ValueError(f"matrix_norm: expected ord {wanted}, got {ord!r}")
    if ord == "fro":
        out = reduce.norm(x, axis=(-2, -1))
    elif ord == "nuc":
        out = sum_(shared_svdvals(x), -1)
    else:
        extreme = max_ if ord > 0 else min_
        parts = (
            shared_svdvals(x) if abs(ord) == 2 else sum_(absolute(x), -2 if abs(ord) == 1 else -1)
        )
        none = ord > 0 and parts.shape[-1] == 0  # the largest of none is 0, as in NumPy
        out = sum_(parts, -1) if none else extreme(parts, -1)
    return expand_dims(out, (-2, -1)) if keepdims else out


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """A vector norm by the array API: (Σ|x|ᵖ)^(1/p) over the axes, for any p that is not 0.

    Args:
        x: any shape, real or complex.
        axis: an integer, a tuple of them, or None for all.
        keepdims: leave these axes in the shape, with length 1.
        ord: p; or inf or -inf for the largest or the least |x|, or 0 for the count of non-zeros.
            Below 0 an entry that is 0 makes the norm 0, with derivative 0.

    >>> x = ac.asarray([[3.0, -4.0], [0.0, 0.0]])
    >>> ac.linalg.vector_norm(x, axis=1), ac.linalg.vector_norm(x, ord=1)
    (Tensor([5., 0.], dtype=float64), Tensor(7., dtype=float64))
    >>> ac.grad(lambda x: ac.sum(ac.linalg.vector_norm(x, axis=1)))(x)
    Tensor([[ 0.6, -0.8],
            [ 0. ,  0. ]], dtype=float64)
    """
    x = inexact(x)
    if ord == -np.inf:
        return min_(absolute(x), axis, keepdims)
    if ord >= 0:
        return reduce.norm(x, ord, axis, keepdims)
    sizes = absolute(x)
    zero = equal(sizes, 0)
    # Else 0 times the infinite derivative of a negative power is NaN.
    powers = where(zero, np.inf, power(where(zero, 1.0, sizes), float(ord)))
    return power(sum_(powers, axis, keepdims), 1.0 / ord)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """NumPy's `linalg.norm`: of vectors along an axis, of matrices in two, or of all entries.

    Args:
        x: real or complex.
        ord: see `vector_norm` and `matrix_norm`; without one the root of the sum of squares.
        axis: one for vectors, two for matrices. Without it x is one vector or one matrix, or, where
            no `ord` is given either, of any shape.
        keepdims: leave these axes in the shape, with length 1.

    Raises:
        ShapeError: x has neither one axis nor two, and `axis` does not name any.
        ValueError: there is no such norm.

    >>> x = ac.asarray([[3.0, 0.0], [0.0, 4.0]])
    >>> ac.linalg.norm(x), ac.linalg.norm(x, "nuc"), ac.linalg.norm(x, axis=1)
    (Tensor(5., dtype=float64), Tensor(7., dtype=float64), Tensor([3., 4.], dtype=float64))
    """
    x = inexact(x)
    if axis is None and (ord is None or x.ndim == 1):
        return vector_norm(x, None, keepdims, 2 if ord is None else ord)
    axes = normalize_axes(axis, x.ndim)
    if len(axes) not in (1, 2):
        raise ShapeError(f"norm: expected one axis or two, got {len(axes)} of shape {x.shape}")
    if len(axes) == 1:
        return vector_norm(x, axes, keepdims, 2 if ord is None else ord)
    out = matrix_norm(moveaxis(x, axes, (-2, -1)), "fro" if ord is None else ord)
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return reshape(out, shape) if keepdims else out


def cond(x: Any, p: Any = None) -> Tensor:
    """The condition number of each matrix: the largest singular value over the least, or, for other
    norms, that of x times that of its inverse.

    Args:
        x: (…, m, n); square for norms other than 2 and -2.
        p: see `matrix_norm`; 2 by default, -2 for the least over the largest.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular, and p is neither 2 nor -2.

    >>> x = ac.asarray([[3.0, 1.0], [1.0, 3.0]])
    >>> ac.linalg.cond(x), ac.grad(ac.linalg.cond)(x)
    (Tensor(2., dtype=float64), Tensor([[-0.25,  0.75],
            [ 0.75, -0.25]], dtype=float64))
    """
    if p not in (None, 2, -2):
        x = matrices(x, "cond")
        return matrix_norm(x, p) * matrix_norm(inv(x), p)
    s = shared_svdvals(matrices(x, "cond", square=False))
    largest, least = slice_axis(s, -1, 0, 1), slice_axis(s, -1, s.shape[-1] - 1, s.shape[-1])
    ratio = divide(least, largest) if p == -2 else divide(largest, least)
    return reshape(ratio, s.shape[:-1])
