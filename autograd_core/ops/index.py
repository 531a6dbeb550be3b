"""Indexing: reading and updating entries by slices, integer arrays and masks.

Everything comes down to two pairs of transposed primitives: `slice` and `embed` for basic indices
(in structural.py), `take` and `index_add` along one axis for arrays of integers. An advanced index
is first turned into one array of positions in the flattened leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import linear, nondifferentiable
from autograd_core.errors import DtypeError, ShapeError
from autograd_core.fetching import fetched
from autograd_core.ops import arithmetic
from autograd_core.ops.arithmetic import equal, greater_equal, less, where
from autograd_core.ops.creation import ones
from autograd_core.ops.structural import (
    Aval,
    astype,
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    normalize_axis,
    ravel,
    reshape,
    slice_p,
    whole,
    with_batch,
)
from autograd_core.primitive import bind
from autograd_core.tensor import Tensor, alias, asarray, entries, require_within
from kernels.devices import on_host

__all__ = [
    "getitem",
    "repeat",
    "take",
    "take_along_axis",
]

# take and index_add --------------------------------------------------------------------------
# Positions are integers in [0, n); the functions around these primitives count negative ones from
# the end and check the bounds.


def _take_kernel(x: Any, index: Any, axis: int) -> Any:
    return np.take(x, index, axis=axis)


def _index_add_kernel(values: Any, index: Any, axis: int, size: int) -> Any:
    """Zeros with `size` entries on `axis`, to which values (…, *index.shape, …) are added."""
    before, after = values.shape[:axis], values.shape[axis + np.ndim(index) :]
    flat = np.reshape(values, (math.prod(before), np.size(index), math.prod(after)))
    out = kernels.index_add(flat, np.reshape(index, -1), size)
    return np.reshape(out, (*before, size, *after))


def _take_batch(size: int, args: tuple, batched: tuple, axis: int) -> Tensor:
    x, index = args
    if not batched[1]:
        return bind(take_p, (x, index), {"axis": axis + 1})
    if not batched[0]:
        return moveaxis(bind(take_p, (x, index), {"axis": axis}), axis, 0)
    # Both: fold the mapped axis into the one that is indexed.
    n = x.shape[axis + 1]
    x = moveaxis(x, 0, axis)
    x = reshape(x, (*x.shape[:axis], size * n, *x.shape[axis + 2 :]))
    return moveaxis(bind(take_p, (x, _by_batch(index, size, n)), {"axis": axis}), axis, 0)


def _by_batch(index: Tensor, size: int, n: int) -> Tensor:
    """Positions in each of `size` runs of n entries, as positions in all of them."""
    start = np.arange(size).reshape((size,) + (1,) * (index.ndim - 1)) * n
    return index + start


def _index_add_batch(count: int, args: tuple, batched: tuple, /, axis: int, size: int) -> Tensor:
    values, index = args
    if not batched[1]:
        return bind(index_add_p, (values, index), {"axis": axis + 1, "size": size})
    values = moveaxis(with_batch(values, batched[0], count), 0, axis)
    params = {"axis": axis, "size": count * size}
    out = bind(index_add_p, (values, _by_batch(index, count, size)), params)
    out = reshape(out, (*out.shape[:axis], count, size, *out.shape[axis + 1 :]))
    return moveaxis(out, axis, 0)


def _take_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1)
    axis = draw.integer(0, len(shape) - 1)
    index = draw.integers(draw.shape(max_rank=2, min_length=0), 0, shape[axis])
    return (draw.array(shape), index), {"axis": axis}


def _index_add_domain(draw: Any) -> tuple[tuple, dict]:
    shape, positions = draw.shape(max_rank=2), draw.shape(max_rank=2, min_length=0)
    axis, size = draw.integer(0, len(shape)), draw.integer(1, 4)
    values = draw.array((*shape[:axis], *positions, *shape[axis:]))
    return (values, draw.integers(positions, 0, size)), {"axis": axis, "size": size}


def _take_aval(x: Aval, index: Aval, axis: int) -> Aval:
    return Aval((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)


def _index_add_aval(values: Aval, index: Aval, axis: int, size: int) -> Aval:
    after = values.shape[axis + index.ndim :]
    return Aval((*values.shape[:axis], size, *after), values.dtype)


take_p = linear(
    "take",
    _take_kernel,
    transpose=lambda g, x_like, index, axis: bind(
        index_add_p, (g, index), {"axis": axis, "size": x_like.shape[axis]}
    ),
    shape=_take_aval,
    batch=_take_batch,
    domain=_take_domain,
    constants=1,
)
index_add_p = linear(
    "index_add",
    _index_add_kernel,
    transpose=lambda g, _values, index, axis, size: bind(  # noqa: ARG005
        take_p, (g, index), {"axis": axis}
    ),
    shape=_index_add_aval,
    batch=_index_add_batch,
    domain=_index_add_domain,
    constants=1,
)


def _last_writer_kernel(index: Any, size: int) -> Any:
    out = np.full(size, -1, np.int64)
    out[index] = np.arange(index.shape[0])
    return out


def _last_writer_batch(count: int, args: tuple, _batched: tuple, /, size: int) -> Tensor:
    """Runs of `size` places one after another; each position is given back within its own run."""
    entries = args[0].shape[1]
    writer = last_writer_p(ravel(_by_batch(args[0], count, size)), size=count * size)
    writer = reshape(writer, (count, size))
    return where(less(writer, 0), writer, writer - np.arange(count)[:, None] * entries)


last_writer_p = nondifferentiable(
    "last_writer",
    on_host(_last_writer_kernel),
    shape=lambda index, size: Aval((size,), np.dtype(np.int64)),  # noqa: ARG005
    batch=_last_writer_batch,
    domain=lambda draw: ((draw.integers((draw.integer(1, 5),), 0, 4),), {"size": 4}),
)
"""For each of `size` places, the last entry of `index` that names it; -1 where none does."""


def _turn_kernel(index: Any) -> Any:
    order = np.argsort(index, axis=-1, kind="stable")
    named = np.take_along_axis(index, order, -1)
    count = np.arange(index.shape[-1])
    new = np.concatenate(
        [np.ones_like(named[..., :1], bool), named[..., 1:] != named[..., :-1]], -1
    )
    first = np.maximum.accumulate(np.where(new, count, 0), axis=-1)
    turn = np.empty(index.shape, np.int64)
    np.put_along_axis(turn, order, count - first, -1)
    return turn


turn_p = nondifferentiable(
    "turn",
    on_host(_turn_kernel),
    shape=lambda index: Aval(index.shape, np.dtype(np.int64)),
    batch=lambda _size, args, _batched: turn_p(args[0]),
    domain=lambda draw: ((draw.integers((draw.integer(1, 5),), 0, 4),), {}),
)
"""For each entry of `index`, how many entries before it (on the last axis) name the same place."""


def _as_positions(index: Any, n: int, what: str) -> Tensor:
    """Integer positions in [0, n), negative ones counted from the end.

    Raises:
        DtypeError: not integers.
        IndexError: out of bounds.
    """
    index = asarray(index)
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{what}: expected integer indices, got {index.dtype}")
    index = astype(index, np.int64)
    otherwise = f"{what}: index {{}} is out of bounds for an axis of length {n}"
    values = require_within(index, -n, n, otherwise)
    if values is not None and (values.size == 0 or values.min() >= 0):
        return index
    return where(less(index, 0), index + n, index)


def take(x: Any, index: Any, axis: int | None = None) -> Tensor:
    """The entries of x at the integer positions `index` along an axis (of flattened x without one).

    Returns:
        Shape (*x.shape[:axis], *index.shape, *x.shape[axis + 1:]).

    Raises:
        IndexError: a position is out of bounds.

    >>> x = ac.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> ac.take(x, [2, 0], axis=1), ac.take(x, 4)
    (Tensor([[3., 1.],
            [6., 4.]], dtype=float64), Tensor(5., dtype=float64))
    >>> ac.grad(lambda x: ac.sum(ac.take(x, [0, 0, -1])))(ac.asarray([1.0, 2.0, 3.0]))
    Tensor([2., 0., 1.], dtype=float64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x.ndim)
    return bind(take_p, (x, _as_positions(index, x.shape[axis], "take")), {"axis": axis})


def take_along_axis(x: Any, index: Any, axis: int = -1) -> Tensor:
    """The entries x[…, index[…, j, …], …] along an axis: one position for each entry of `index`.

    Args:
        x, index: arrays of as many axes, which broadcast but for `axis`.

    Raises:
        IndexError: a position is out of bounds.

    >>> x = ac.asarray([[1.0, 9.0], [8.0, 2.0]])
    >>> ac.take_along_axis(x, ac.argsort(x, axis=1), axis=1)
    Tensor([[1., 9.],
            [2., 8.]], dtype=float64)
    """
    x, index = asarray(x), asarray(index)
    axis = normalize_axis(axis, x.ndim)
    if index.ndim != x.ndim:
        raise ShapeError(f"take_along_axis: {x.ndim} axes but indices with {index.ndim}")
    index = _as_positions(index, x.shape[axis], "take_along_axis")
    x, index = moveaxis(x, axis, -1), moveaxis(index, axis, -1)
    lead = np.broadcast_shapes(x.shape[:-1], index.shape[:-1])
    n, m = x.shape[-1], index.shape[-1]
    x, index = broadcast_to(x, (*lead, n)), broadcast_to(index, (*lead, m))
    rows = math.prod(lead)
    flat = reshape(index, (rows, m)) + np.arange(rows)[:, None] * n
    found = bind(take_p, (reshape(x, (rows * n,)), flat), {"axis": 0})
    return moveaxis(reshape(found, (*lead, m)), -1, axis)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """x with each entry along an axis (of flattened x without one) repeated.

    Args:
        x: any shape.
        repeats: one count, or one for each entry.
        axis: along which.

    Raises:
        ValueError: there are not as many counts as entries.

    >>> ac.repeat(ac.asarray([1, 2]), 2), ac.repeat(ac.asarray([1, 2]), [3, 1])
    (Tensor([1, 1, 2, 2], dtype=int64), Tensor([1, 1, 1, 2], dtype=int64))
    >>> ac.grad(lambda x: ac.sum(ac.repeat(x, [3, 1])))(ac.asarray([1.0, 2.0]))
    Tensor([3., 1.], dtype=float64)
    """
    x = asarray(x)
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, x.ndim)
    counts = np.broadcast_to(np.asarray(repeats), (x.shape[axis],))
    return take(x, np.repeat(np.arange(x.shape[axis]), counts), axis)


# Indexing as NumPy does it --------------------------------------------------------------------


def getitem(x: Tensor, key: Any) -> Tensor:
    """x[key], as NumPy does it: integers, slices, None, ..., and arrays of integers or booleans.

    Raises:
        IndexError: a position is out of bounds, or there are too many.

    >>> x = ac.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> x[1], x[:, ::2], x[x > 4.0]
    (Tensor([4., 5., 6.], dtype=float64), Tensor([[1., 3.],
            [4., 6.]], dtype=float64), Tensor([5., 6.], dtype=float64))
    >>> ac.grad(lambda x: ac.sum(x[ac.asarray([0, 0, 1]), 1]))(x)
    Tensor([[0., 2., 0.],
            [0., 1., 0.]], dtype=float64)
    """
    items = _expand_ellipsis(_without_masks(key, x.shape), x.shape)
    apart = [i for i, item in enumerate(items) if item is Ellipsis]
    items = [item for item in items if item is not Ellipsis]
    if any(isinstance(item, bool) for item in items):
        x, items = _as_axes(x, items)
    arrays = [i for i, item in enumerate(items) if _is_array(item)]
    if not arrays:
        return _basic(x, items)
    others = items[: arrays[0]] + items[arrays[0] + 1 :]
    if all(isinstance(item, slice) and item == slice(None) for item in others):
        return take(x, items[arrays[0]], arrays[0])
    return bind(take_p, (ravel(x), _positions(x.shape, items, apart)), {"axis": 0})


def _basic(x: Tensor, items: list[Any]) -> Tensor:
    lengths = iter(x.shape)
    key = tuple(_basic_item(item, next(lengths)) for item in items if item is not None)
    if any(isinstance(k, int) or k != whole(n) for k, n in zip(key, x.shape, strict=True)):
        x = slice_p(x, key=key)
    left = [item for item in items if item is None or isinstance(item, slice)]
    new = tuple(i for i, item in enumerate(left) if item is None)
    return expand_dims(x, new) if new else alias(x)


def _basic_item(item: Any, n: int) -> Any:
    if not isinstance(item, slice):
        return _integer_position(item, n)
    bounds = item.indices(n)
    return bounds if len(range(*bounds)) else (0, 0, 1)  # a start of -1 would be the last entry


def _positions(shape: tuple[int, ...], items: list[Any], apart: list[int]) -> Tensor:
    """The flat positions that an index with arrays reads, in the shape of the result.

    As in NumPy, integers count as arrays here; the axes of the arrays, broadcast together, take the
    place of the first one where the arrays stand side by side, else they come first. `apart` says
    where an ellipsis that stands for no axes keeps items from standing side by side.
    """
    lengths = iter(shape)
    columns = [None if item is None else _column(item, next(lengths)) for item in items]
    indexed = [i for i, item in enumerate(items) if not (item is None or isinstance(item, slice))]
    block = np.broadcast_shapes(*(columns[i].shape for i in indexed))  # type: ignore[union-attr]
    together = indexed[-1] - indexed[0] == len(indexed) - 1
    together &= not any(indexed[0] < i <= indexed[-1] for i in apart)
    place = indexed[0] if together else 0
    ndim = len(block) + len(items) - len(indexed)

    strides = iter([math.prod(shape[i + 1 :]) for i in range(len(shape))])
    flat: Any = np.zeros((1,) * ndim, np.int64)
    axis = 0  # of the next slice or newaxis in the result
    for i, column in enumerate(columns):
        if axis == place:
            axis += len(block)
        if i in indexed:
            last = place + len(block)
        else:
            axis += 1
            last = axis
        if column is not None:
            flat = flat + reshape(column, (*column.shape, *[1] * (ndim - last))) * next(strides)
    return flat


def _column(item: Any, n: int) -> Tensor:
    if isinstance(item, slice):
        return asarray(np.arange(*item.indices(n)))
    return _as_positions(item, n, "indexing")


def _is_array(item: Any) -> bool:
    return isinstance(item, np.ndarray) or item.__class__ is Tensor


def _integer_position(item: Any, n: int) -> int:
    try:
        i = item.__index__()
    except (AttributeError, TypeError):
        raise IndexError(
            f"cannot index with {item!r}; expected integers, slices, None, ..., or arrays of "
            "integers or booleans"
        ) from None
    if not -n <= i < n:
        raise IndexError(f"index {i} is out of bounds for an axis of length {n}")
    return i % n


def _without_masks(key: Any, shape: tuple[int, ...]) -> list[Any]:
    """The items of an index, each boolean mask replaced by the positions it holds at.

    A mask without axes becomes True or False: see `_as_axes`.

    Raises:
        IndexError: a mask has not the shape of the axes it is for.
    """
    given = [_plain_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    items: list[Any] = []
    axis = 0
    for i, item in enumerate(given):
        if item is Ellipsis:
            axis = len(shape) - sum(map(_axes_used, given[i + 1 :]))
        if not _is_mask(item):
            items.append(item)
        elif item.ndim == 0:
            items.append(bool(item))
        elif item.shape == shape[axis : axis + item.ndim]:
            items.extend(np.nonzero(item))
        else:
            raise IndexError(
                f"a mask of shape {item.shape} does not fit axis {axis} and on of shape {shape}"
            )
        axis += _axes_used(item)
    return items


def _plain_item(item: Any) -> Any:
    """Lists and masks as arrays, tensors without axes as integers."""
    if isinstance(item, list | range):
        item = asarray(item) if len(item) else np.zeros(0, np.int64)
    if isinstance(item, bool | np.bool_):
        return np.asarray(item)
    if item.__class__ is Tensor and item.dtype == np.bool_:
        return fetched(item.data)  # how many hold decides the shape of the result
    return (
        int(item)
        if item.__class__ is Tensor and item.ndim == 0 and item.interpreter is None
        else item
    )


def _is_mask(item: Any) -> bool:
    return getattr(item, "dtype", None) == np.bool_


def _axes_used(item: Any) -> int:
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if _is_mask(item) else 1


def _as_axes(x: Tensor, items: list[Any]) -> tuple[Tensor, list[Any]]:
    """Each True or False among the items as an array that picks from a new axis of length 1: its
    one entry, or none."""
    lengths = iter(x.shape)
    shape = [1 if isinstance(item, bool) else next(lengths) for item in items if item is not None]
    items = [np.zeros(int(i), np.int64) if isinstance(i, bool) else i for i in items]
    return reshape(x, shape), items


def _expand_ellipsis(items: list[Any], shape: tuple[int, ...]) -> list[Any]:
    used = sum(not (item is None or item is Ellipsis or isinstance(item, bool)) for item in items)
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for an array of {len(shape)} axes")
    missing: list[Any] = [slice(None)] * (len(shape) - used)
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index can have one ellipsis (...) only")
    if not places:
        return items + missing
    # One that stands for no axes stays: it keeps what is around it apart.
    return items[: places[0]] + (missing or [Ellipsis]) + items[places[0] + 1 :]


class At:
    """`x.at[key]`: updates that return a new tensor and leave x as it is."""

    def __init__(self, x: Tensor):
        self._x = x

    def __getitem__(self, key: Any) -> Update:
        return Update(self._x, key)


class Update:
    """What can be done at `x.at[key]`. Values broadcast to the shape of `x[key]`.

    Where an array of positions names a place twice, `set` keeps the last value; the others apply
    each in turn.
    """

    def __init__(self, x: Tensor, key: Any):
        self._x = x
        self._key = key

    def get(self) -> Tensor:
        """x[key]."""
        return getitem(self._x, self._key)

    def set(self, values: Any) -> Tensor:
        """x with x[key] replaced by `values`."""
        places, values = self._places(values)
        flat = ravel(self._x)
        if places.size == 0:
            return alias(self._x)
        writer = bind(last_writer_p, (ravel(places),), {"size": self._x.size})
        written = greater_equal(writer, 0)
        chosen = bind(take_p, (ravel(values), where(written, writer, 0)), {"axis": 0})
        return reshape(where(written, chosen, flat), self._x.shape)

    def add(self, values: Any) -> Tensor:
        """x with `values` added to x[key]."""
        places, values = self._places(values)
        params = {"axis": 0, "size": self._x.size}
        added = bind(index_add_p, (ravel(values), ravel(places)), params)
        return self._x + reshape(added, self._x.shape)

    def subtract(self, values: Any) -> Tensor:
        """x with `values` subtracted from x[key]."""
        return self.add(-asarray(values))

    def multiply(self, values: Any) -> Tensor:
        """x with x[key] multiplied by `values`."""
        return self.apply(arithmetic.multiply, values)

    def divide(self, values: Any) -> Tensor:
        """x with x[key] divided by `values`."""
        return self.apply(arithmetic.divide, values)

    def power(self, values: Any) -> Tensor:
        """x with x[key] raised to `values`."""
        return self.apply(arithmetic.power, values)

    def min(self, values: Any) -> Tensor:
        """x with x[key] limited to at most `values`."""
        return self.apply(arithmetic.minimum, values)

    def max(self, values: Any) -> Tensor:
        """x with x[key] limited to at least `values`."""
        return self.apply(arithmetic.maximum, values)

    def apply(self, function: Callable, values: Any) -> Tensor:
        """x with x[key] replaced by function(x[key], values), places named twice one by one."""
        places, values = self._places(values)
        places, values = ravel(places), ravel(values)
        turns = bind(turn_p, (places,), {})
        known = entries(turns)
        rounds = places.size if known is None else int(known.max(initial=-1)) + 1
        flat, size = ravel(self._x), self._x.size
        if rounds == 1:
            flat = Update(flat, places).set(function(flat[places], values))
            return reshape(flat, self._x.shape)
        # Those whose turn it is not go to one more place at the end, and do no harm there.
        for turn in range(rounds):
            spare = concatenate([flat, ones((1,), flat.dtype)])
            now = equal(turns, turn)
            at = where(now, places, size)
            new = function(spare[at], where(now, values, 1))
            flat = Update(spare, at).set(new)[:size]
        return reshape(flat, self._x.shape)

    def _places(self, values: Any) -> tuple[Tensor, Tensor]:
        """The positions in flattened x that the key names, and a value for each."""
        positions = np.arange(self._x.size).reshape(self._x.shape)
        places = getitem(asarray(positions), self._key)
        values = asarray(values)
        surplus = values.ndim - places.ndim
        if surplus > 0 and values.shape[:surplus] == (1,) * surplus:  # as NumPy's assignment
            values = reshape(values, values.shape[surplus:])
        try:
            values = broadcast_to(values, places.shape)
        except ShapeError:
            raise ShapeError(
                f"x.at[…]: values of shape {values.shape} do not broadcast to the shape "
                f"{places.shape} of x[…]"
            ) from None
        return places, astype(values, self._x.dtype)
