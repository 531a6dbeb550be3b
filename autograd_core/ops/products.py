"""Products of matrices and tensors: matmul and what is composed of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import bilinear
from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import multiply
from autograd_core.ops.complex import conj
from autograd_core.ops.structural import (
    Aval,
    expand_dims,
    matrix_transpose,
    moveaxis,
    normalize_axes,
    ravel,
    reshape,
    squeeze,
    sum_to,
    transpose,
)
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "dot",
    "inner",
    "matmul",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
]


def _matmul_kernel(x: Any, y: Any) -> Any:
    """Large products are shared out between threads, small ones are spared the question."""
    if x.size * y.shape[-1] < LARGE_PRODUCT:
        return np.matmul(x, y)
    return kernels.matmul(x, y)


LARGE_PRODUCT = 2**14


def _matmul_aval(x: Aval, y: Aval) -> Aval:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return Aval((*batch, x.shape[-2], y.shape[-1]), np.result_type(x.dtype, y.dtype))


def _matmul_left(g: Tensor, x_like: Aval, y: Tensor) -> Tensor:
    return sum_to(matmul(g, matrix_transpose(y)), x_like.shape)


def _matmul_right(g: Tensor, x: Tensor, y_like: Aval) -> Tensor:
    return sum_to(matmul(matrix_transpose(x), g), y_like.shape)


def _matmul_batch(size: int, args: tuple, batched: tuple) -> Tensor:
    """The mapped axis becomes a leading axis of the stack of matrices."""
    ndim = max(x.ndim - b for x, b in zip(args, batched, strict=True))
    x, y = (
        reshape(x, (size, *[1] * (ndim + 1 - x.ndim), *x.shape[1:])) if b else x
        for x, b in zip(args, batched, strict=True)
    )
    return matmul(x, y)


def _matmul_domain(draw: Any) -> tuple[tuple, dict]:
    n, k, m = (draw.length(min_length=0) for _ in range(3))
    bx, by = draw.broadcastable_shapes(2, max_rank=1)
    return (draw.array((*bx, n, k)), draw.array((*by, k, m))), {}


matmul_p = bilinear(
    "matmul",
    _matmul_kernel,
    left=_matmul_left,
    right=_matmul_right,
    shape=_matmul_aval,
    batch=_matmul_batch,
    domain=_matmul_domain,
    complex=True,
)


def matmul(x: Any, y: Any) -> Tensor:
    """The matrix product x @ y, over the last two axes; leading axes broadcast.

    As in NumPy, an argument with one axis is a row on the left and a column on the right, and that
    axis is dropped from the result. The cotangents are g @ yᵀ and xᵀ @ g.

    Raises:
        ShapeError: an argument has no axes, or the inner lengths differ.

    >>> x, y = ac.asarray([[1.0, 2.0], [3.0, 4.0]]), ac.asarray([[1.0], [10.0]])
    >>> ac.matmul(x, y)
    Tensor([[21.],
            [43.]], dtype=float64)
    >>> ac.grad(lambda x, y: ac.sum(x @ y), (0, 1))(x, y)
    (Tensor([[ 1., 10.],
            [ 1., 10.]], dtype=float64), Tensor([[4.],
            [6.]], dtype=float64))
    """
    x, y = asarray(x), asarray(y)
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ShapeError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit; expected (…, n, k) and (…, k, m)"
        )
    if x.ndim == 1 or y.ndim == 1:
        return _matmul_vectors(x, y)
    if x.ndim > 2 and y.ndim == 2:
        # One product with many rows is faster, forwards and backwards, than a stack of products.
        lead = x.shape[:-1]
        rows = matmul_p(reshape(x, (math.prod(lead), x.shape[-1])), y)
        return reshape(rows, (*lead, y.shape[-1]))
    return matmul_p(x, y)


def _matmul_vectors(x: Tensor, y: Tensor) -> Tensor:
    dropped = [axis for t, axis in ((x, -2), (y, -1)) if t.ndim == 1]
    x = expand_dims(x, 0) if x.ndim == 1 else x
    y = expand_dims(y, 1) if y.ndim == 1 else y
    out = matmul(x, y)
    return squeeze(out, tuple(dropped))


def dot(x: Any, y: Any) -> Tensor:
    """NumPy's dot: the product of numbers, the inner product of vectors, the product of matrices.

    Else the sum of products over the last axis of x and the last but one of y.

    >>> ac.dot([1.0, 2.0], [3.0, 4.0]), ac.dot(2.0, [3.0, 4.0])
    (Tensor(11., dtype=float64), Tensor([6., 8.], dtype=float64))
    >>> ac.grad(ac.dot)(ac.asarray([1.0, 2.0]), ac.asarray([3.0, 4.0]))
    Tensor([3., 4.], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    if x.ndim <= 2 and y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, ([x.ndim - 1], [max(y.ndim - 2, 0)]))


def vdot(x: Any, y: Any) -> Tensor:
    """The inner product of x and y, both flattened; complex x is conjugated.

    >>> ac.vdot([1j, 2.0], [1.0, 1.0])
    Tensor(2.-1.j, dtype=complex128)
    >>> ac.grad(lambda x: ac.vdot(x, x))(ac.asarray([1.0, 2.0]))
    Tensor([2., 4.], dtype=float64)
    """
    return matmul(conj(ravel(x)), ravel(y))


def vecdot(x: Any, y: Any, /, *, axis: int = -1) -> Tensor:
    """The inner products of vectors along an axis; the other axes broadcast; complex x is
    conjugated.

    Args:
        x, y: of the same length along the axis.
        axis: counted from the end, as the axes that broadcast may differ in number.

    Raises:
        ShapeError: the vectors differ in length.

    >>> ac.vecdot(ac.asarray([[1.0, 2.0], [3.0, 4.0]]), [10.0, 1.0])
    Tensor([12., 34.], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    x, y = moveaxis(x, axis, -1), moveaxis(y, axis, -1)
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"vecdot: vectors of {x.shape[-1]} and of {y.shape[-1]} entries")
    row, column = expand_dims(conj(x), -2), expand_dims(y, -1)
    return squeeze(matmul(row, column), (-2, -1))


def inner(x: Any, y: Any) -> Tensor:
    """The sum of products over the last axis of both x and y.

    Unlike `matmul` it pairs every row of x with every row of y, which are of the same length.

    >>> ac.inner(ac.asarray([[1.0, 2.0], [3.0, 4.0]]), [10.0, 1.0])
    Tensor([12., 34.], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    return tensordot(x, y, ([-1], [-1]))


def outer(x: Any, y: Any) -> Tensor:
    """All products of an entry of x with one of y, both flattened: shape (x.size, y.size).

    >>> ac.outer([1.0, 2.0], [10.0, 20.0, 30.0])
    Tensor([[10., 20., 30.],
            [20., 40., 60.]], dtype=float64)
    """
    return multiply(expand_dims(ravel(x), 1), ravel(y))


def tensordot(x: Any, y: Any, axes: Any = 2) -> Tensor:
    """The sum of products over pairs of axes of x and y.

    Args:
        x, y: any shapes.
        axes: how many, the last of x with the first of y; or two sequences of axes, of x and of y.

    Returns:
        The axes of x that are left, and after them those of y.

    Raises:
        ShapeError: paired axes differ in length.

    >>> x, y = ac.ones((2, 3, 4)), ac.ones((3, 4, 5))
    >>> ac.tensordot(x, y).shape, ac.tensordot(x, y, ([1], [0])).shape
    ((2, 5), (2, 4, 4, 5))
    """
    x, y = asarray(x), asarray(y)
    if isinstance(axes, int):
        over_x: Any = tuple(range(x.ndim - axes, x.ndim))
        over_y: Any = tuple(range(axes))
    else:
        over_x, over_y = axes
    over_x, over_y = normalize_axes(over_x, x.ndim), normalize_axes(over_y, y.ndim)
    if [x.shape[a] for a in over_x] != [y.shape[a] for a in over_y]:
        raise ShapeError(
            f"tensordot: axes {over_x} of {x.shape} and {over_y} of {y.shape} differ in length"
        )
    free_x = tuple(i for i in range(x.ndim) if i not in over_x)
    free_y = tuple(i for i in range(y.ndim) if i not in over_y)
    k = math.prod(x.shape[a] for a in over_x)
    shape_x, shape_y = tuple(x.shape[a] for a in free_x), tuple(y.shape[a] for a in free_y)
    left = reshape(transpose(x, (*free_x, *over_x)), (math.prod(shape_x), k))
    right = reshape(transpose(y, (*over_y, *free_y)), (k, math.prod(shape_y)))
    return reshape(matmul(left, right), (*shape_x, *shape_y))
