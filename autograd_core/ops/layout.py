"""Padding, joining and cutting: NumPy's conveniences, composed of structural operations."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.fetching import fetched
from autograd_core.ops.arithmetic import where
from autograd_core.ops.index import take
from autograd_core.ops.structural import (
    Shape,
    as_shape,
    as_slices,
    astype,
    atleast_2d,
    concatenate,
    embed_p,
    flip,
    normalize_axis,
    ravel,
    reshape,
    slice_axis,
    split,
    squeeze,
    transpose,
)
from autograd_core.tensor import Tensor, alias, asarray, concrete
from autograd_core.tree import tree_leaves, tree_map

__all__ = [
    "append",
    "array_split",
    "atleast_3d",
    "block",
    "broadcast_shapes",
    "column_stack",
    "compress",
    "delete",
    "dsplit",
    "dstack",
    "extract",
    "fliplr",
    "flipud",
    "hsplit",
    "insert",
    "pad",
    "permute_dims",
    "unstack",
    "vsplit",
]

PERIODIC = ("edge", "reflect", "symmetric", "wrap")


def pad(x: Any, widths: Any, mode: str = "constant", value: Any = 0) -> Tensor:
    """x with entries added before and after along its axes.

    Args:
        x: any shape.
        widths: (before, after) for each axis, one such pair for all axes, or one number for all.
        mode: "constant" (`value`), "edge" (the entry on the edge), "reflect" (mirrored, without
            the edge), "symmetric" (mirrored, with the edge) or "wrap" (from the other side).
        value: a number; derivatives flow through it.

    Raises:
        ShapeError: the widths do not fit the axes, are negative, or there is nothing to repeat.

    >>> x = ac.asarray([1.0, 2.0, 3.0])
    >>> ac.pad(x, (1, 2)), ac.pad(x, 2, "reflect")
    (Tensor([0., 1., 2., 3., 0., 0.], dtype=float64),
     Tensor([3., 2., 1., 2., 3., 2., 1.], dtype=float64))
    >>> ac.grad(lambda x: ac.sum(ac.pad(x, 2, "edge")))(x)
    Tensor([3., 1., 3.], dtype=float64)
    """
    x = asarray(x)
    pairs = _pairs(widths, x.ndim)
    if mode == "constant":
        return _pad_constant(x, pairs, value)
    if mode not in PERIODIC:
        raise ValueError(f"pad: expected mode 'constant' or one of {PERIODIC}, got {mode!r}")
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            n = x.shape[axis]
            if n == 0:
                raise ShapeError(f"pad: axis {axis} is empty, there is nothing to repeat")
            x = take(x, np.pad(np.arange(n), (before, after), mode=mode), axis)  # type: ignore[call-overload]
    return alias(x)


def _pairs(widths: Any, ndim: int) -> list[tuple[int, int]]:
    try:
        pairs = np.broadcast_to(np.asarray(widths), (ndim, 2)).tolist()
    except ValueError:
        raise ShapeError(f"pad: widths {widths!r} do not fit {ndim} axes") from None
    if any(as_integer(n) < 0 for pair in pairs for n in pair):
        raise ShapeError(f"pad: widths cannot be negative, got {widths!r}")
    return [(a, b) for a, b in pairs]


def _pad_constant(x: Tensor, pairs: list[tuple[int, int]], value: Any) -> Tensor:
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True))
    key = tuple((a, a + n, 1) for n, (a, _) in zip(x.shape, pairs, strict=True))
    padded = embed_p(x, key=key, shape=shape)
    if value.__class__ is not Tensor and np.ndim(value) == 0 and value == 0:
        return padded
    outside = np.ones(shape, bool)
    outside[as_slices(key)] = False
    return where(outside, astype(value, x.dtype), padded)


# Joining --------------------------------------------------------------------------------------


def atleast_3d(x: Any) -> Tensor:
    """x with three axes: (n,) becomes (1, n, 1) and (m, n) becomes (m, n, 1).

    >>> ac.atleast_3d(1.0).shape, ac.atleast_3d([1.0, 2.0]).shape, ac.atleast_3d(ac.eye(2)).shape
    ((1, 1, 1), (1, 2, 1), (2, 2, 1))
    """
    x = asarray(x)
    return alias(x) if x.ndim >= 3 else reshape(x, (*atleast_2d(x).shape, 1))


def dstack(arrays: Sequence[Any]) -> Tensor:
    """The arrays joined along axis 2, given three axes first; see `atleast_3d`.

    Args:
        arrays: a sequence of arrays whose other axes are alike.

    >>> ac.dstack([[1.0, 2.0], [3.0, 4.0]])
    Tensor([[[1., 3.],
             [2., 4.]]], dtype=float64)
    """
    return concatenate([atleast_3d(x) for x in arrays], 2)


def column_stack(arrays: Sequence[Any]) -> Tensor:
    """Vectors as the columns of a matrix; matrices are joined to them as they are.

    Args:
        arrays: a sequence of them, each with as many rows.

    >>> ac.column_stack([ac.asarray([1.0, 2.0]), ac.asarray([3.0, 4.0])])
    Tensor([[1., 3.],
            [2., 4.]], dtype=float64)
    """
    tensors = [asarray(x) for x in arrays]
    return concatenate([x if x.ndim >= 2 else reshape(x, (x.size, 1)) for x in tensors], 1)


def append(x: Any, values: Any, axis: int | None = None) -> Tensor:
    """x and `values` joined along an axis; both flattened where it is None.

    >>> ac.append(ac.asarray([[1.0, 2.0]]), [[3.0, 4.0]], axis=0)
    Tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    >>> ac.append([1.0, 2.0], 3.0)
    Tensor([1., 2., 3.], dtype=float64)
    """
    return concatenate([x, values], axis)


def block(arrays: Any) -> Tensor:
    """An array put together from blocks, as matrices are written.

    Args:
        arrays: nested lists; the innermost are joined along the last axis, the next ones along the
            one before it, and so on.

    Raises:
        ShapeError: lengths do not fit.

    >>> ac.block([[ac.eye(2), ac.zeros((2, 1))], [ac.ones((1, 2)), 5.0]])
    Tensor([[1., 0., 0.],
            [0., 1., 0.],
            [1., 1., 5.]], dtype=float64)
    """
    depth = _depth(arrays)
    tensors = tree_map(asarray, arrays)
    ndim = max(depth, *(x.ndim for x in tree_leaves(tensors)))
    return alias(_joined(tensors, ndim, depth))


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays)) if isinstance(arrays, list) else 0


def _joined(arrays: Any, ndim: int, depth: int) -> Tensor:
    if not isinstance(arrays, list):
        return reshape(arrays, (1,) * (ndim - arrays.ndim) + arrays.shape)
    return concatenate([_joined(x, ndim, depth - 1) for x in arrays], ndim - depth)


def insert(x: Any, places: Any, values: Any, axis: int | None = None) -> Tensor:
    """x with values before some places along an axis; flattened where it is None.

    Args:
        x: any shape.
        places: a number, a slice, or several numbers, as places of x before anything is inserted.
        values: what to insert, in the dtype of x; derivatives flow to it.
        axis: along which.

    Raises:
        IndexError: a place is out of bounds.
        ValueError: the values do not fit.

    >>> ac.insert(ac.asarray([1.0, 2.0, 3.0]), 1, 9.0)
    Tensor([1., 9., 2., 3.], dtype=float64)
    >>> ac.insert(ac.asarray([1.0, 2.0, 3.0]), [0, 2], [8.0, 9.0])
    Tensor([8., 1., 2., 9., 3.], dtype=float64)
    """
    x = asarray(x)
    values = astype(values, x.dtype)
    # NumPy moves positions: those of x from 0 on, and those of the values after them.
    old = np.arange(x.size).reshape(x.shape)
    new = x.size + np.arange(values.size).reshape(values.shape)
    return take(concatenate([x, values], None), np.insert(old, places, new, axis))


# Cutting --------------------------------------------------------------------------------------


def array_split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along an axis into parts that need not be of one length: the first ones are one longer.

    Args:
        x: any shape.
        sections: how many parts, or the places where a part begins; see `split`.
        axis: along which.

    >>> [part.tolist() for part in ac.array_split(ac.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    x = asarray(x)
    if np.ndim(sections) == 0:
        parts = as_integer(sections)  # type: ignore[arg-type]
        if parts < 1:
            raise ShapeError(f"array_split: expected at least 1 part, got {parts}")
        length, longer = divmod(x.shape[normalize_axis(axis, x.ndim)], parts)
        sections = [i * length + min(i, longer) for i in range(1, parts)]
    return split(x, sections, axis)


def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of x along an axis, without it: a tuple, the opposite of `stack`.

    >>> ac.unstack(ac.asarray([[1.0, 2.0], [3.0, 4.0]]))
    (Tensor([1., 2.], dtype=float64), Tensor([3., 4.], dtype=float64))
    >>> a, b = ac.unstack(ac.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    >>> a
    Tensor([1., 3.], dtype=float64)
    """
    x = asarray(x)
    axis = normalize_axis(axis, x.ndim)
    return tuple(squeeze(slice_axis(x, axis, i, i + 1), axis) for i in range(x.shape[axis]))


def delete(x: Any, places: Any, axis: int | None = None) -> Tensor:
    """x without the entries at some places along an axis; flattened where it is None.

    Args:
        x: any shape.
        places: a number, a slice, or several numbers; negative ones count from the end.
        axis: along which.

    Raises:
        IndexError: a place is out of bounds.

    >>> ac.delete(ac.asarray([10.0, 20.0, 30.0, 40.0]), [0, -1])
    Tensor([20., 30.], dtype=float64)
    >>> ac.delete(ac.asarray([[1, 2], [3, 4]]), 0, axis=1)
    Tensor([[2],
            [4]], dtype=int64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x.ndim)
    return take(x, np.delete(np.arange(x.shape[axis]), places), axis)


# Order and shapes -----------------------------------------------------------------------------


def fliplr(x: Any) -> Tensor:
    """x with the order of its columns (axis 1) reversed.

    >>> ac.fliplr(ac.asarray([[1, 2], [3, 4]]))
    Tensor([[2, 1],
            [4, 3]], dtype=int64)
    """
    return flip(x, 1)


def flipud(x: Any) -> Tensor:
    """x with the order of its rows (axis 0) reversed.

    >>> ac.flipud(ac.asarray([[1, 2], [3, 4]]))
    Tensor([[3, 4],
            [1, 2]], dtype=int64)
    """
    return flip(x, 0)


def permute_dims(x: Any, axes: Sequence[int]) -> Tensor:
    """x with its axes in the order `axes`: the array API's name of `transpose`.

    Raises:
        ShapeError: `axes` does not name each axis once.

    >>> ac.permute_dims(ac.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return transpose(x, axes)


def broadcast_shapes(*shapes: Shape) -> tuple[int, ...]:
    """The shape that arrays of some shapes have when broadcast together.

    Raises:
        ShapeError: they do not broadcast.

    >>> ac.broadcast_shapes((3, 1), (4,), ())
    (3, 4)
    """
    try:
        return np.broadcast_shapes(*map(as_shape, shapes))
    except ValueError as error:
        raise ShapeError(f"broadcast_shapes: {error}") from None


def hsplit(x: Any, sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the second axis; along the first of an array that has one only.

    >>> ac.hsplit([1, 2, 3, 4], 2)
    [Tensor([1, 2], dtype=int64), Tensor([3, 4], dtype=int64)]
    """
    return split(x, sections, min(1, asarray(x).ndim - 1))


def vsplit(x: Any, sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the first axis.

    >>> ac.vsplit([[1, 2], [3, 4]], 2)
    [Tensor([[1, 2]], dtype=int64), Tensor([[3, 4]], dtype=int64)]
    """
    return split(x, sections, 0)


def dsplit(x: Any, sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the third axis.

    >>> [part.shape for part in ac.dsplit(ac.zeros((2, 3, 4)), 2)]
    [(2, 3, 2), (2, 3, 2)]
    """
    return split(x, sections, 2)


def compress(condition: Any, x: Any, axis: int | None = None) -> Tensor:
    """The entries of flattened x, or what is along an axis, where a condition holds.

    Args:
        condition: (n,); what is beyond its end is left out.

    Raises:
        ConcreteValueError: the condition is mapped by vmap or captured; how often it holds must be
            known.

    >>> ac.compress([True, False, True], [1.0, 2.0, 3.0])
    Tensor([1., 3.], dtype=float64)
    """
    held = fetched(concrete(asarray(condition), "compress()"))
    return take(x, np.flatnonzero(held), axis)


def extract(condition: Any, x: Any) -> Tensor:
    """The entries of x where a condition of its shape holds; see `compress`.

    >>> ac.extract([[True, False], [False, True]], [[1.0, 2.0], [3.0, 4.0]])
    Tensor([1., 4.], dtype=float64)
    """
    return compress(ravel(condition), ravel(x))
