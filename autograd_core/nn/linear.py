"""Affine maps, and tables of vectors."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ShapeError
from autograd_core.nn.checks import promoted, shape_error
from autograd_core.ops.index import take
from autograd_core.ops.products import matmul
from autograd_core.ops.structural import matrix_transpose
from autograd_core.tensor import Tensor, asarray


def linear(x: Any, w: Any, b: Any = None) -> Tensor:
    """x wᵀ + b.

    Args:
        x: any number of rows (…, I).
        w: weights (O, I), as in PyTorch.
        b: biases (O,).

    Returns:
        (…, O).

    Raises:
        ShapeError: the shapes do not fit.

    >>> x, b = ac.asarray([[1.0, 2.0]]), ac.asarray([0.5, 0.5])
    >>> w = ac.asarray([[1.0, 0.0], [3.0, 4.0]])
    >>> ac.nn.linear(x, w, b)
    Tensor([[ 1.5, 11.5]], dtype=float64)
    """
    x, w = promoted(x, w)
    if w.ndim != 2 or x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise shape_error("linear", "expected x (…, I) and w (O, I)", x=x, w=w)
    out = matmul(x, matrix_transpose(w))
    if b is None:
        return out
    b = asarray(b)
    if b.shape != w.shape[:1]:
        raise shape_error("linear", f"expected b of shape {w.shape[:1]}", w=w, b=b)
    return out + b


def embedding(index: Any, table: Any) -> Tensor:
    """The rows of a table (K, D) at integer positions of any shape S: (*S, D).

    Raises:
        ShapeError: `table` is not a matrix.
        DtypeError: positions that are not integers.
        IndexError: a position out of bounds.

    >>> table = ac.asarray([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    >>> ac.nn.embedding([2, 0], table)
    Tensor([[20., 21.],
            [ 0.,  1.]], dtype=float64)
    >>> ac.grad(lambda table: ac.sum(ac.nn.embedding([2, 0, 2], table)))(table)
    Tensor([[1., 1.],
            [0., 0.],
            [2., 2.]], dtype=float64)
    """
    table = asarray(table)
    if table.ndim != 2:
        raise ShapeError(f"embedding: expected a table of shape (K, D), got {table.shape}")
    return take(table, index, 0)
