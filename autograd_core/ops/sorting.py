"""Sorting and searching. Positions come from primitives without a derivative; values are taken at
them, so that derivatives follow the entries to their new places."""

from __future__ import annotations

import math
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.declare import nondifferentiable
from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import isnan, where
from autograd_core.ops.index import take, take_along_axis
from autograd_core.ops.reduce import keep_axes
from autograd_core.ops.structural import (
    Aval,
    flip,
    moveaxis,
    normalize_axes,
    normalize_axis,
    ravel,
    reshape,
    slice_axis,
    with_batch,
)
from autograd_core.tensor import Tensor, asarray
from kernels.devices import on_host

__all__ = [
    "argsort",
    "median",
    "nonzero",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
]


def _argsort_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    x = draw.array(shape) if draw.integer(0, 1) else draw.integers(shape, 0, 2).astype(np.float64)
    return (x,), {"axis": draw.integer(0, len(shape) - 1)}


argsort_p = nondifferentiable(
    "argsort",
    lambda x, axis: np.argsort(x, axis=axis, kind="stable"),
    shape=lambda x, axis: Aval(x.shape, np.dtype(np.intp)),  # noqa: ARG005
    batch=lambda _size, args, _batched, axis: argsort_p(args[0], axis=axis + 1),
    domain=_argsort_domain,
)


def argsort(
    x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True
) -> Tensor:
    """The indices that sort x along an axis (flattened x where it is None); no derivative flows.

    NaN comes last in ascending order and first in descending.

    Args:
        x: any shape.
        axis: along which.
        descending: begin with the largest.
        stable: makes no difference: equal entries keep their order in any case.

    >>> ac.argsort(ac.asarray([3.0, 1.0, 2.0])), ac.argsort([3.0, 1.0, 3.0], descending=True)
    (Tensor([1, 2, 0], dtype=int64), Tensor([0, 2, 1], dtype=int64))
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x.ndim)
    if not descending:
        return argsort_p(x, axis=axis)
    # Reversed before and after, so that of equal entries the first comes first.
    return x.shape[axis] - 1 - flip(argsort_p(flip(x, axis), axis=axis), axis)


def sort(x: Any, axis: int | None = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
    """x sorted along an axis (flattened x where it is None), NaN last in ascending order.

    Of equal entries, the first in x comes first; derivatives go to the entries accordingly.

    Args:
        x: any shape.
        axis: along which.
        descending: begin with the largest, or with NaN.
        stable: makes no difference: equal entries keep their order in any case.

    >>> ac.sort(ac.asarray([3.0, 1.0, ac.nan, 2.0]))
    Tensor([ 1.,  2.,  3., nan], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.sort(x) * ac.arange(3.0)))(ac.asarray([30.0, 10.0, 20.0]))
    Tensor([2., 0., 1.], dtype=float64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, argsort(x, axis, descending=descending), axis)


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest entries along an axis, in descending order, and their indices.

    Of equal entries the first comes first. NaN counts as larger than every number. Derivatives flow
    through the entries.

    Args:
        x: any shape.
        k: how many.
        axis: along which.
        largest: False for the k smallest, ascending.

    Raises:
        ShapeError: the axis is shorter than k.

    >>> values, places = ac.topk(ac.asarray([1.0, 5.0, 3.0]), 2)
    >>> values, places
    (Tensor([5., 3.], dtype=float64), Tensor([1, 2], dtype=int64))
    >>> ac.grad(lambda x: ac.sum(ac.topk(x, 2)[0]))(ac.asarray([1.0, 5.0, 3.0]))
    Tensor([0., 1., 1.], dtype=float64)
    """
    x, k = asarray(x), as_integer(k)
    axis = normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    if not 0 <= k <= n:
        raise ShapeError(f"topk: an axis of length {n} has no {k} largest entries")
    order = slice_axis(argsort(x, axis, descending=largest), axis, 0, k)
    return take_along_axis(x, order, axis), order


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The middle entry over one, several or all axes, or the mean of the two middle ones.

    The derivative goes to those entries. NaN where an entry is NaN; integers give float64. `axis`
    and `keepdims` are those of `sum`.

    Raises:
        ShapeError: an axis is empty.

    >>> ac.median(ac.asarray([3.0, 1.0, 2.0])), ac.median(ac.asarray([1, 2, 10, 20]))
    (Tensor(2., dtype=float64), Tensor(6., dtype=float64))
    >>> ac.grad(ac.median)(ac.asarray([1.0, 20.0, 10.0, 2.0]))
    Tensor([0. , 0. , 0.5, 0.5], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    ordered = sorted_over(x, axes, "median")
    n = ordered.shape[-1]
    low, high = take(ordered, (n - 1) // 2, -1), take(ordered, n // 2, -1)
    return keep_axes(x, axes, _unless_nan(ordered, 0.5 * low + 0.5 * high), keepdims)


def quantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """What a share q of the entries over the axes is below, between entries interpolated linearly.

    The derivative goes to the two entries on both sides.

    Args:
        x: any shape.
        q: a number in [0, 1], or an array of them, whose axes come first in the result. No
            derivative flows through it.
        axis, keepdims: those of `sum`.

    Raises:
        ShapeError: an axis is empty.
        ValueError: q is not in [0, 1].

    >>> ac.quantile(ac.asarray([1.0, 2.0, 3.0, 4.0]), [0.25, 0.5])
    Tensor([1.75, 2.5 ], dtype=float64)
    >>> ac.grad(ac.quantile)(ac.asarray([1.0, 2.0, 3.0, 4.0]), 0.25)
    Tensor([0.25, 0.75, 0.  , 0.  ], dtype=float64)
    """
    x, shares = asarray(x), shares_of(q, "quantile")
    axes = normalize_axes(axis, x.ndim)
    ordered = moveaxis(sorted_over(x, axes, "quantile"), -1, 0)
    place = np.ravel(shares) * (ordered.shape[0] - 1)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    weight = (place - below).reshape(-1, *[1] * (ordered.ndim - 1))
    if x.dtype.kind == "f":
        weight = weight.astype(x.dtype)
    low, high = take(ordered, below, 0), take(ordered, above, 0)
    out = _unless_nan(moveaxis(ordered, 0, -1), low + (high - low) * weight)
    rest = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return reshape(out, (*shares.shape, *rest))


def shares_of(q: Any, name: str) -> np.ndarray:
    """q as an array, of numbers in [0, 1]."""
    shares = np.asarray(q, np.float64)
    if not np.all((shares >= 0) & (shares <= 1)):
        raise ValueError(f"{name}: expected q in [0, 1], got {q}")
    return shares


def sorted_over(x: Tensor, axes: tuple[int, ...], name: str) -> Tensor:
    """The entries over some axes, sorted, in one last axis."""
    x = moveaxis(x, axes, tuple(range(x.ndim - len(axes), x.ndim)))
    lead = x.shape[: x.ndim - len(axes)]
    length = math.prod(x.shape[len(lead) :])
    if length == 0:
        raise ShapeError(f"{name}: nothing to order in an axis of length 0")
    return sort(reshape(x, (*lead, length)))


def _unless_nan(ordered: Tensor, out: Tensor) -> Tensor:
    """`out`, but NaN where the last of the sorted entries is."""
    if ordered.dtype.kind != "f":
        return out
    last = take(ordered, -1, -1)
    return where(isnan(last), last, out)


# Searching ------------------------------------------------------------------------------------


def _searchsorted_kernel(ordered: Any, values: Any, side: Any) -> Any:
    """Leading axes that `ordered` has are rows, which `values` has too."""
    lead = ordered.shape[:-1]
    if not lead:
        found = np.searchsorted(ordered, values, side)
        return np.asarray(found) if isinstance(found, np.generic) else found
    return _search_rows(ordered, values, side)


@on_host
def _search_rows(ordered: np.ndarray, values: np.ndarray, side: Any) -> np.ndarray:
    out = np.empty(values.shape, np.intp)
    for row in np.ndindex(ordered.shape[:-1]):
        out[row] = np.searchsorted(ordered[row], values[row], side)
    return out


def _searchsorted_batch(size: int, args: tuple, batched: tuple, side: str) -> Tensor:
    ordered, values = args
    if batched[0] or ordered.ndim > 1:
        ordered, values = (with_batch(x, b, size) for x, b in zip(args, batched, strict=True))
    return searchsorted_p(ordered, values, side=side)


def _searchsorted_domain(draw: Any) -> tuple[tuple, dict]:
    ordered = np.sort(draw.integers((draw.integer(1, 4),), 0, 4)).astype(np.float64)
    values = draw.integers(draw.shape(max_rank=2, min_length=0), -1, 5).astype(np.float64)
    return (ordered, values), {"side": draw.choice(["left", "right"])}


searchsorted_p = nondifferentiable(
    "searchsorted",
    _searchsorted_kernel,
    shape=lambda ordered, values, side: Aval(values.shape, np.dtype(np.intp)),  # noqa: ARG005
    batch=_searchsorted_batch,
    domain=_searchsorted_domain,
)


def searchsorted(ordered: Any, values: Any, side: str = "left", *, sorter: Any = None) -> Tensor:
    """Where in `ordered` to insert each value so that it stays sorted; no derivative flows.

    Args:
        ordered: one axis, ascending.
        values: any shape.
        side: "left" for before equal entries, "right" for after them.
        sorter: positions that would sort `ordered`, where it is not.

    Returns:
        Integers of the shape of `values`.

    Raises:
        ShapeError: `ordered` does not have one axis.
        ValueError: there is no such side.

    >>> ac.searchsorted(ac.asarray([1.0, 2.0, 2.0, 3.0]), [2.0, 9.0])
    Tensor([1, 4], dtype=int64)
    >>> ac.searchsorted(ac.asarray([1.0, 2.0, 2.0, 3.0]), 2.0, side="right")
    Tensor(3, dtype=int64)
    """
    ordered, values = asarray(ordered), asarray(values)
    if ordered.ndim != 1:
        raise ShapeError(f"searchsorted: expected one axis to search, got shape {ordered.shape}")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: expected side 'left' or 'right', got {side!r}")
    if sorter is not None:
        ordered = take(ordered, sorter, 0)
    return searchsorted_p(ordered, values, side=side)


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """The positions of the entries that are not 0: one array of indices for each axis.

    Raises:
        ConcreteValueError: x is mapped by vmap or captured; how many there are must be known.

    >>> ac.nonzero(ac.asarray([[0.0, 5.0], [7.0, 0.0]]))
    (Tensor([0, 1], dtype=int64), Tensor([1, 0], dtype=int64))
    """
    return tuple(map(asarray, np.nonzero(asarray(x).data)))
