"""Sets: the values of an array, each once. Their shapes depend on values, so that these must be
known: neither `vmap` nor `jit` can look. Derivatives of values go to where each comes first."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from autograd_core.fetching import fetched
from autograd_core.ops.arithmetic import equal, logical_not, minimum
from autograd_core.ops.creation import zeros_like
from autograd_core.ops.index import take
from autograd_core.ops.placement import to_device
from autograd_core.ops.sorting import searchsorted, sort
from autograd_core.ops.structural import concatenate, ravel
from autograd_core.tensor import Tensor, asarray, concrete

__all__ = [
    "intersect1d",
    "isin",
    "setdiff1d",
    "setxor1d",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


class UniqueAll(NamedTuple):
    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Any, /) -> UniqueAll:
    """The values of x, ascending, each once; NaN is unlike itself.

    Returns:
        `values` (n,), `indices` (n,) of where each comes first in flattened x, `inverse_indices` of
        the shape of x, with x = values[inverse_indices], and `counts` (n,).

    Raises:
        ConcreteValueError: x is mapped by vmap or captured; how many there are must be known.

    >>> found = ac.unique_all(ac.asarray([3.0, 1.0, 3.0]))
    >>> found.values, found.counts, found.inverse_indices
    (Tensor([1., 3.], dtype=float64), Tensor([1, 2], dtype=int64), Tensor([1, 0, 1], dtype=int64))
    """
    return _unique(asarray(x), "unique_all()", equal_nan=False)


def _unique(x: Tensor, wanted: str, equal_nan: bool, axis: int | None = None) -> UniqueAll:
    array = fetched(concrete(x, wanted))
    _, first, inverse, counts = np.unique(array, True, True, True, axis, equal_nan=equal_nan)
    inverse = inverse.reshape(x.shape if axis is None else -1)
    found = (_beside(part, x) for part in (first, inverse, counts))
    indices, inverse_indices, counts_ = found
    values = take(x, indices, axis)
    return UniqueAll(values, indices, inverse_indices, counts_)


def unique_counts(x: Any, /) -> UniqueCounts:
    """The values of x, and how often each is there; see `unique_all`.

    >>> ac.unique_counts(ac.asarray([3, 1, 3]))
    UniqueCounts(values=Tensor([1, 3], dtype=int64), counts=Tensor([1, 2], dtype=int64))
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Any, /) -> UniqueInverse:
    """The values of x, and which of them each entry is; see `unique_all`.

    >>> values, inverse = ac.unique_inverse(ac.asarray([[3, 1], [1, 3]]))
    >>> values, values[inverse]
    (Tensor([1, 3], dtype=int64), Tensor([[3, 1],
            [1, 3]], dtype=int64))
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Any, /) -> Tensor:
    """The values of x, each once, ascending; see `unique_all`.

    Derivatives flow to the first entry that has each value.

    >>> ac.unique_values(ac.asarray([3.0, 1.0, 3.0, ac.nan]))
    Tensor([ 1.,  3., nan], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.unique_values(x)))(ac.asarray([3.0, 1.0, 3.0]))
    Tensor([1., 1., 0.], dtype=float64)
    """
    return unique_all(x).values


def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
) -> Any:
    """The values of x, each once, ascending; NaN once too, unlike in `unique_values`.

    Args:
        return_index: also where each comes first in flattened x.
        return_inverse: also which of them each entry of x is.
        return_counts: also how often each is there.
        axis: of what is different along this axis, and not of the entries.
        equal_nan: False where every NaN is a value of its own.

    Returns:
        The values, or a tuple of them and what else is asked for, in this order.

    Raises:
        ConcreteValueError: x is mapped by vmap or captured; how many there are must be known.

    >>> ac.unique([3.0, 1.0, 3.0])
    Tensor([1., 3.], dtype=float64)
    >>> values, counts = ac.unique([3.0, 1.0, 3.0], return_counts=True)
    >>> counts
    Tensor([1, 2], dtype=int64)
    """
    found = _unique(asarray(x), "unique()", equal_nan, axis)
    asked = (True, return_index, return_inverse, return_counts)
    out = tuple(part for part, wanted in zip(found, asked, strict=True) if wanted)
    return out if len(out) > 1 else out[0]


def union1d(x: Any, y: Any) -> Tensor:
    """The values of x and y, each once, ascending.

    >>> ac.union1d([3, 1], [2, 3])
    Tensor([1, 2, 3], dtype=int64)
    """
    return unique(concatenate([ravel(x), ravel(y)]))


def intersect1d(x: Any, y: Any) -> Tensor:
    """The values that are in x and in y, each once, ascending.

    >>> ac.intersect1d([3, 1], [2, 3])
    Tensor([3], dtype=int64)
    """
    values = unique(x)
    return values[isin(values, y)]


def setdiff1d(x: Any, y: Any) -> Tensor:
    """The values of x that are not in y, each once, ascending.

    >>> ac.setdiff1d([3, 1], [2, 3])
    Tensor([1], dtype=int64)
    """
    values = unique(x)
    return values[isin(values, y, invert=True)]


def setxor1d(x: Any, y: Any) -> Tensor:
    """The values that are in x or in y, but not in both, each once, ascending.

    >>> ac.setxor1d([3, 1], [2, 3])
    Tensor([1, 2], dtype=int64)
    """
    return union1d(setdiff1d(x, y), setdiff1d(y, x))


def isin(x: Any, values: Any, /, *, invert: bool = False) -> Tensor:
    """Whether each entry of x is one of some values; NaN never is.

    Args:
        values: any shape.
        invert: ask whether it is none of them.

    Returns:
        Booleans of the shape of x.

    >>> ac.isin(ac.asarray([1, 2, 3]), ac.asarray([3, 1]))
    Tensor([ True, False,  True], dtype=bool)
    """
    x, ordered = asarray(x), sort(ravel(values))
    if ordered.size == 0:
        found = zeros_like(x, bool)
    else:
        places = minimum(searchsorted(ordered, x), ordered.size - 1)
        found = equal(take(ordered, places, 0), x)
    return logical_not(found) if invert else found


def _beside(positions: np.ndarray, x: Tensor) -> Tensor:
    return to_device(asarray(positions), x.device)
