"""Positions of entries, and how many there are of each kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.device import beside, filled
from autograd_core.errors import ShapeError
from autograd_core.fetching import fetched
from autograd_core.ops.arithmetic import (
    add,
    equal,
    floor_divide,
    greater_equal,
    isnan,
    less_equal,
    logical_and,
    multiply,
    remainder,
    where,
)
from autograd_core.ops.creation import linspace, ones_like
from autograd_core.ops.index import take_along_axis
from autograd_core.ops.layout import flipud
from autograd_core.ops.reduce import all as all_
from autograd_core.ops.reduce import argmax, argmin, diff, max_p, min_p, sum
from autograd_core.ops.sorting import argsort, nonzero, searchsorted
from autograd_core.ops.structural import Shape, as_shape, astype, ravel, stack
from autograd_core.tensor import Tensor, asarray, concrete, require_within

__all__ = [
    "argwhere",
    "bincount",
    "diag_indices",
    "digitize",
    "flatnonzero",
    "histogram",
    "indices",
    "lexsort",
    "nanargmax",
    "nanargmin",
    "ravel_multi_index",
    "tril_indices",
    "triu_indices",
    "unravel_index",
]

# Where entries are ----------------------------------------------------------------------------


def argwhere(x: Any) -> Tensor:
    """The positions of the entries that are not 0, one in each row.

    Raises:
        ConcreteValueError: x is mapped by vmap or captured; how many there are must be known.

    >>> ac.argwhere([[1.0, 0.0], [0.0, 2.0]])
    Tensor([[0, 0],
            [1, 1]], dtype=int64)
    """
    x = asarray(x)
    return stack(nonzero(x), -1) if x.ndim else filled(0, (int(bool(x)), 0), np.int64, x)


def flatnonzero(x: Any) -> Tensor:
    """The positions in flattened x of the entries that are not 0; see `argwhere`.

    >>> ac.flatnonzero([0.0, 3.0, 0.0, 4.0])
    Tensor([1, 3], dtype=int64)
    """
    return nonzero(ravel(x))[0]


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the largest entry that is not NaN, along an axis; -1 where all are.

    >>> ac.nanargmax([1.0, np.nan, 3.0])
    Tensor(2, dtype=int64)
    """
    return _without_nan(argmax, -np.inf, x, axis, keepdims)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The position of the smallest entry that is not NaN, along an axis; -1 where all are.

    >>> ac.nanargmin([np.nan, 1.0, 3.0])
    Tensor(1, dtype=int64)
    """
    return _without_nan(argmin, np.inf, x, axis, keepdims)


def _without_nan(position: Any, worst: float, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x = asarray(x)
    if x.dtype.kind != "f":
        return position(x, axis, keepdims)
    missing = isnan(x)
    found = position(where(missing, worst, x), axis, keepdims)
    return where(all_(missing, axis, keepdims), -1, found)


def lexsort(keys: Any, axis: int = -1) -> Tensor:
    """The indices that sort by several keys, of which the last counts most.

    Args:
        keys: arrays of one shape.
        axis: the axis of each of them to sort along.

    >>> ac.lexsort([[9, 4, 0], [1, 1, 0]])
    Tensor([2, 1, 0], dtype=int64)
    """
    first, *rest = [asarray(key) for key in keys]
    order = argsort(first, axis)
    for key in rest:
        found = argsort(take_along_axis(key, order, axis), axis)
        order = take_along_axis(order, found, axis)
    return order


# Positions in many axes, and in one -------------------------------------------------------------


def unravel_index(places: Any, shape: Shape) -> tuple[Tensor, ...]:
    """Positions in a flattened array as indices into it, one array of them for each axis.

    >>> ac.unravel_index([1, 5], (2, 3))
    (Tensor([0, 1], dtype=int64), Tensor([1, 2], dtype=int64))
    """
    places, lengths = asarray(places), as_shape(shape)
    n = math.prod(lengths)
    require_within(places, 0, n, f"unravel_index: {{}} is out of bounds for shape {lengths}")
    out = []
    for length in reversed(lengths):
        out.append(remainder(places, length))
        places = floor_divide(places, length)
    return tuple(reversed(out))


def ravel_multi_index(indices: Sequence[Any], shape: Shape) -> Tensor:
    """Indices into an array, one array of them for each axis, as positions in it flattened.

    >>> ac.ravel_multi_index(([0, 1], [1, 2]), (2, 3))
    Tensor([1, 5], dtype=int64)
    """
    lengths = as_shape(shape)
    if len(indices) != len(lengths):
        raise ShapeError(f"ravel_multi_index: {len(indices)} indices for shape {lengths}")
    place: Any = 0
    for index, length in zip(map(asarray, indices), lengths, strict=True):
        require_within(index, 0, length, f"ravel_multi_index: {{}} is out of bounds for {lengths}")
        place = add(multiply(place, length), index)
    return asarray(place)


def indices(shape: Shape) -> Tensor:
    """The index of every entry of an array: for each axis an array of that shape.

    >>> ac.indices((2, 2)).tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    return asarray(np.indices(as_shape(shape)))


def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """The indices of the diagonal of an array of `ndim` axes of length n.

    >>> ac.diag_indices(2)
    (Tensor([0, 1], dtype=int64), Tensor([0, 1], dtype=int64))
    """
    return (asarray(np.arange(n)),) * ndim


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the entries of an n × m matrix on the k-th diagonal and below.

    >>> ac.tril_indices(2)
    (Tensor([0, 1, 1], dtype=int64), Tensor([0, 0, 1], dtype=int64))
    """
    rows, columns = np.tril_indices(n, k, m)
    return asarray(rows), asarray(columns)


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and columns of the entries of an n × m matrix on the k-th diagonal and above.

    >>> ac.triu_indices(2)
    (Tensor([0, 0, 1], dtype=int64), Tensor([0, 1, 1], dtype=int64))
    """
    rows, columns = np.triu_indices(n, k, m)
    return asarray(rows), asarray(columns)


# Counts ---------------------------------------------------------------------------------------


def digitize(x: Any, bins: Any, right: bool = False) -> Tensor:
    """Which bin each entry is in: i where bins[i - 1] ≤ x < bins[i].

    Args:
        x: any shape.
        bins: (n,), their edges, ascending or descending.
        right: bins hold their upper edge, and not the lower one.

    Raises:
        ConcreteValueError: bins are mapped by vmap or captured; their order must be known.

    >>> ac.digitize([0.5, 1.0, 3.0], [0.0, 1.0, 2.0])
    Tensor([1, 2, 3], dtype=int64)
    """
    bins = asarray(bins)
    edges, side = fetched(concrete(bins, "digitize()")), "left" if right else "right"
    if edges.ndim == 1 and edges.size and edges[-1] < edges[0]:
        return bins.shape[0] - searchsorted(flipud(bins), x, side)
    return searchsorted(bins, x, side)


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each of 0, 1, 2, … is among the integers x, or the sum of their weights.

    Args:
        x: (n,), not negative.
        weights: (n,); derivatives flow through them.
        minlength: count at least so many numbers.
        length: count exactly so many, so that x may be mapped by vmap or captured.

    Raises:
        IndexError: an integer is negative, or not below `length`.
        ConcreteValueError: x is mapped by vmap or captured, and no length is given.

    >>> ac.bincount([0, 2, 2])
    Tensor([1, 0, 2], dtype=int64)
    >>> ac.bincount([0, 2, 2], weights=[0.5, 1.0, 2.0])
    Tensor([0.5, 0. , 3. ], dtype=float64)
    """
    x = asarray(x)
    if x.ndim != 1 or x.dtype.kind not in "biu":
        raise ShapeError(f"bincount: expected one axis of integers, got {x.dtype}{list(x.shape)}")
    if length is None:
        largest = fetched(concrete(x, "bincount()")).max(initial=-1)
        length = max(as_integer(minlength), int(largest) + 1)
    require_within(x, 0, length, f"bincount: {{}} is negative, or not below {length}")
    values = astype(ones_like(x), np.int64) if weights is None else asarray(weights)
    return filled(0, (length,), values.dtype, values).at[x].add(values)


def histogram(
    x: Any,
    bins: Any = 10,
    range: tuple[Any, Any] | None = None,
    weights: Any = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """How many entries of x are in each of some bins, or the sum of their weights; and the edges.

    Args:
        x: any shape.
        bins: how many, evenly spaced; or their edges, ascending; or how NumPy is to choose them,
            "auto" for one. The last bin has its upper edge.
        range: the first and the last edge, where a number of bins is given; the smallest and the
            largest entry by default.
        weights: of the shape of x; derivatives flow through them.
        density: divide by their sum and by the widths of bins, so that the integral is 1.

    >>> ac.histogram([1.0, 2.0, 2.5], bins=[1.0, 2.0, 3.0])
    (Tensor([1, 2], dtype=int64), Tensor([1., 2., 3.], dtype=float64))
    """
    x = ravel(x)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    if isinstance(bins, str):
        edges = asarray(np.histogram_bin_edges(fetched(concrete(x, "histogram()")), bins, range))
    elif np.ndim(bins):
        edges = asarray(bins, None if hasattr(bins, "dtype") else dtype)
    else:
        edges = linspace(*_ends(astype(x, dtype), range), as_integer(bins) + 1)
    edges = beside(edges, x)
    n = edges.shape[0] - 1
    place = searchsorted(edges, x, "right") - 1
    place = where(equal(x, edges[-1]), n - 1, place)
    inside = logical_and(greater_equal(x, edges[0]), less_equal(x, edges[-1]))
    count = astype(inside, np.int64) if weights is None else where(inside, ravel(weights), 0)
    counts = bincount(where(inside, place, 0), count, length=n)
    if density:
        counts = astype(counts, edges.dtype)
        counts = counts / (sum(counts) * diff(edges))
    return counts, edges


def _ends(x: Tensor, range: tuple[Any, Any] | None) -> tuple[Any, Any]:
    """The first and the last edge; apart, if all entries are the same."""
    if range is not None:
        low, high = (asarray(end, x.dtype) for end in range)
    elif x.size:
        low, high = min_p(x, axes=(0,)), max_p(x, axes=(0,))
    else:
        return 0.0, 1.0
    same = equal(low, high)
    return where(same, low - 0.5, low), where(same, high + 0.5, high)
