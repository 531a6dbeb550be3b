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
    """The indices that sort x along an axis (flattened x where it is None), NaN last in ascending
    order and first in descending. Equal entries keep their order, whether `stable` is asked or not.
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
    """x sorted along an axis (flattened x where it is None); see `argsort`.

    Of equal entries, the first in x comes first; derivatives go to the entries accordingly.
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, argsort(x, axis, descending=descending), axis)


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The k largest entries along an axis, in descending order, and their indices.

    With `largest=False` the k smallest, ascending. Of equal entries the first comes first. NaN
    counts as larger than every number.

    Raises:
        ShapeError: the axis is shorter than k.
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

    NaN where an entry is NaN; integers give float64.

    Raises:
        ShapeError: an axis is empty.
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    ordered = sorted_over(x, axes, "median")
    n = ordered.shape[-1]
    low, high = take(ordered, (n - 1) // 2, -1), take(ordered, n // 2, -1)
    return keep_axes(x, axes, _unless_nan(ordered, 0.5 * low + 0.5 * high), keepdims)


def quantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """What a share q of the entries over the axes is below, between entries interpolated linearly.

    Args:
        q: a number in [0, 1], or an array of them, whose axes come first in the result. No
            derivative flows through it.

    Raises:
        ShapeError: an axis is empty.
        ValueError: q is not in [0, 1].
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
    """Where in `ordered` to insert each value so that it stays sorted: before equal entries, or
    after them with side="right".

    Args:
        ordered: one axis, ascending.
        values: any shape.
        sorter: positions that would sort `ordered`, where it is not.
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
    """
    return tuple(map(asarray, np.nonzero(asarray(x).data)))
