"""Shapes and dtypes: operations that move, repeat, cut and join entries without computing.

The primitives are rank-explicit (every axis named, none negative); NumPy's conveniences live in the
functions around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import index as as_integer
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import linear, nondifferentiable
from autograd_core.errors import AxisError, DtypeError, ShapeError, operation
from autograd_core.primitive import Primitive, bind, no_rule
from autograd_core.tensor import INEXACT, Aval, Tensor, alias, asarray

__all__ = [
    "astype",
    "atleast_1d",
    "atleast_2d",
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "concatenate",
    "expand_dims",
    "flip",
    "hstack",
    "matrix_transpose",
    "moveaxis",
    "ravel",
    "reshape",
    "roll",
    "rot90",
    "split",
    "squeeze",
    "stack",
    "stop_gradient",
    "swapaxes",
    "tile",
    "transpose",
    "vstack",
]

Shape = int | Sequence[int]


# Axes and shapes ------------------------------------------------------------------------------


def normalize_axis(axis: int, ndim: int, name: str = "axis") -> int:
    """An axis counted from the front.

    Raises:
        AxisError: it is not an axis of an array of `ndim` axes.
    """
    try:
        axis = as_integer(axis)
    except TypeError:
        raise TypeError(f"{operation()}{name} is an integer, got {axis!r}") from None
    if not -ndim <= axis < ndim:
        raise AxisError(f"{operation()}{name} {axis} is out of range for an array of {ndim} axes")
    return axis % ndim


def normalize_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """`None` (all), an integer or a sequence of them, as distinct axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    axes = [axis] if np.ndim(axis) == 0 else list(axis)
    axes = [normalize_axis(a, ndim) for a in axes]
    if len(set(axes)) != len(axes):
        raise AxisError(f"{operation()}repeated axis in {axis!r} for an array of {ndim} axes")
    return tuple(axes)


def as_shape(shape: Shape) -> tuple[int, ...]:
    return (as_integer(shape),) if np.ndim(shape) == 0 else tuple(map(as_integer, shape))  # type: ignore[arg-type]


def shifted(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of each element, as axes of the batch."""
    return tuple(a + 1 for a in axes)


# reshape, transpose, broadcast ----------------------------------------------------------------


def _reshape_domain(draw: Any) -> tuple[tuple, dict]:
    a, b, c = (draw.length(min_length=0) for _ in range(3))
    shapes = [(a * b * c,), (a, b * c), (c, 1, b, a), (b, a * c)]
    return (draw.array(draw.choice(shapes)),), {"shape": draw.choice(shapes)}


reshape_p = linear(
    "reshape",
    lambda x, shape: np.reshape(x, shape),
    transpose=lambda g, x_like, shape: reshape(g, x_like.shape),  # noqa: ARG005
    shape=lambda x, shape: Aval(shape, x.dtype),
    batch=lambda size, args, _batched, shape: reshape(args[0], (size, *shape)),
    domain=_reshape_domain,
)


def reshape(x: Any, shape: Shape, *, copy: bool | None = None) -> Tensor:
    """The entries of x in row-major order, in another shape; one length may be -1.

    Args:
        x: any shape.
        shape: an integer or a sequence of them; -1 stands for the length that fits.
        copy: makes no difference: nothing writes to the entries of a tensor, shared or not.

    Raises:
        ShapeError: the entries do not fill that shape.

    >>> ac.reshape(ac.arange(6), (2, -1))
    Tensor([[0, 1, 2],
            [3, 4, 5]], dtype=int64)
    """
    x, shape = asarray(x), as_shape(shape)
    if -1 in shape:
        shape = _infer_length(x, shape)
    return reshape_p(x, shape=shape)


def _infer_length(x: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    known = int(np.prod([n for n in shape if n != -1], dtype=np.int64))
    if shape.count(-1) > 1 or known == 0 or x.size % known:
        raise ShapeError(f"reshape: cannot make shape {shape} of an array of shape {x.shape}")
    return tuple(x.size // known if n == -1 else n for n in shape)


def ravel(x: Any) -> Tensor:
    """x in one axis, in row-major order.

    >>> ac.ravel(ac.asarray([[1, 2], [3, 4]]))
    Tensor([1, 2, 3, 4], dtype=int64)
    """
    return reshape(x, -1) if asarray(x).size else reshape(x, 0)


def _transpose_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    return (draw.array(shape),), {"axes": draw.permutation(len(shape))}


def _transpose_aval(x: Aval, axes: tuple[int, ...]) -> Aval:
    return Aval(tuple(x.shape[a] for a in axes), x.dtype)


transpose_p = linear(
    "transpose",
    lambda x, axes: np.transpose(x, axes),
    transpose=lambda g, _x, axes: transpose_p(g, axes=tuple(int(a) for a in np.argsort(axes))),
    shape=_transpose_aval,
    batch=lambda _size, args, _batched, axes: transpose_p(args[0], axes=(0, *shifted(axes))),
    domain=_transpose_domain,
)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order `axes`; reversed by default.

    Raises:
        ShapeError: `axes` does not name each axis once.

    >>> ac.transpose(ac.asarray([[1, 2, 3], [4, 5, 6]]))
    Tensor([[1, 4],
            [2, 5],
            [3, 6]], dtype=int64)
    >>> ac.transpose(ac.zeros((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    x = asarray(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else normalize_axes(axes, x.ndim)
    if len(order) != x.ndim:
        raise ShapeError(f"transpose: axes {axes} do not name each of the {x.ndim} axes once")
    return alias(x) if order == tuple(range(x.ndim)) else transpose_p(x, axes=order)


def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """x with the axes `source` moved to the places `destination`.

    >>> ac.moveaxis(ac.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    >>> ac.moveaxis(ac.zeros((2, 3, 4)), (0, 1), (-1, -2)).shape
    (4, 3, 2)
    """
    x = asarray(x)
    from_, to = normalize_axes(source, x.ndim), normalize_axes(destination, x.ndim)
    if len(from_) != len(to):
        raise ShapeError(f"moveaxis: {len(from_)} source axes but {len(to)} destinations")
    order = [a for a in range(x.ndim) if a not in from_]
    for place, axis in sorted(zip(to, from_, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """x with the axes `axis1` and `axis2` exchanged.

    Raises:
        ShapeError: there is no such axis.

    >>> ac.swapaxes(ac.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = asarray(x)
    i, j = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


def matrix_transpose(x: Any) -> Tensor:
    """x with its last two axes exchanged.

    >>> ac.matrix_transpose(ac.asarray([[1, 2, 3], [4, 5, 6]]))
    Tensor([[1, 4],
            [2, 5],
            [3, 6]], dtype=int64)
    >>> ac.matrix_transpose(ac.zeros((7, 2, 3))).shape
    (7, 3, 2)
    """
    return swapaxes(x, -1, -2)


def _broadcast_kernel(x: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    lengths = [1] * len(shape)
    for n, axis in zip(np.shape(x), axes, strict=True):
        lengths[axis] = n
    return np.broadcast_to(np.reshape(x, lengths), shape)


def _broadcast_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    axes = tuple(a for a in range(len(shape)) if draw.integer(0, 1))
    return (draw.array(tuple(shape[a] for a in axes)),), {"shape": shape, "axes": axes}


def _broadcast_batch(size: int, args: tuple, _batched: tuple, shape: tuple, axes: tuple) -> Tensor:
    return broadcast_p(args[0], shape=(size, *shape), axes=(0, *shifted(axes)))


broadcast_p = linear(
    "broadcast",
    _broadcast_kernel,
    transpose=lambda g, _x, shape, axes: sum_axes(
        g, tuple(a for a in range(len(shape)) if a not in axes)
    ),
    shape=lambda x, shape, axes: Aval(shape, x.dtype),  # noqa: ARG005
    batch=_broadcast_batch,
    domain=_broadcast_domain,
)
"""Axis i of x becomes axis axes[i] of an array of `shape`; the other axes repeat it."""


def broadcast_to(x: Any, shape: Shape) -> Tensor:
    """x repeated along new leading axes, and along axes of length 1, to fill `shape`.

    Derivatives are summed over what was repeated.

    Raises:
        ShapeError: x does not broadcast to the shape.

    >>> ac.broadcast_to(ac.asarray([1.0, 2.0]), (3, 2))
    Tensor([[1., 2.],
            [1., 2.],
            [1., 2.]], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.broadcast_to(x, (3, 2))))(ac.asarray([1.0, 2.0]))
    Tensor([3., 3.], dtype=float64)
    """
    x, shape = asarray(x), as_shape(shape)
    if x.shape == shape:
        return alias(x)
    offset = len(shape) - x.ndim
    pairs = list(zip(x.shape, shape[max(offset, 0) :], strict=False))
    if offset < 0 or any(n not in (1, m) for n, m in pairs):
        raise ShapeError(f"broadcast_to: shape {x.shape} does not broadcast to {shape}")
    stay = [i for i, (n, m) in enumerate(pairs) if n == m]
    x = reshape(x, tuple(x.shape[i] for i in stay))
    return broadcast_p(x, shape=shape, axes=tuple(i + offset for i in stay))


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """The arrays, each broadcast to the shape that they have together.

    Raises:
        ValueError: they do not broadcast.

    >>> x, y = ac.broadcast_arrays(ac.asarray([[1], [2]]), ac.asarray([10, 20, 30]))
    >>> x
    Tensor([[1, 1, 1],
            [2, 2, 2]], dtype=int64)
    """
    tensors = [asarray(x) for x in arrays]
    shape = np.broadcast_shapes(*(x.shape for x in tensors))
    return [broadcast_to(x, shape) for x in tensors]


# sum lives here because it is the transpose of broadcast ---------------------------------------


def _sum_kernel(x: Any, axes: tuple[int, ...]) -> Any:
    if x.size > LARGE_SUM and x.dtype.kind == "f":
        return kernels.sum_axes(x, axes)
    return np.add.reduce(x, axis=axes, dtype=sum_dtype(x.dtype))


# Above this many elements memory layout decides, and the kernel minds it.
LARGE_SUM = 2**14


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """NumPy's choice: booleans and short integers are summed as int64 or uint64."""
    if dtype.kind == "b" or (dtype.kind == "i" and dtype.itemsize < 8):
        return np.dtype(np.int64)
    if dtype.kind == "u" and dtype.itemsize < 8:
        return np.dtype(np.uint64)
    return dtype


def without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def reduction_domain(draw: Any, min_length: int = 1) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=min_length)
    axes = tuple(a for a in range(len(shape)) if draw.integer(0, 1))
    return (draw.array(shape),), {"axes": axes or (0,)}


sum_p = linear(
    "sum",
    _sum_kernel,
    transpose=lambda g, x_like, axes: broadcast_p(
        g, shape=x_like.shape, axes=tuple(i for i in range(x_like.ndim) if i not in axes)
    ),
    shape=lambda x, axes: Aval(without(x.shape, axes), sum_dtype(x.dtype)),
    batch=lambda _size, args, _batched, axes: sum_p(args[0], axes=shifted(axes)),
    domain=lambda draw: reduction_domain(draw, min_length=0),
)


def sum_axes(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    return sum_p(x, axes=axes) if axes else astype(x, sum_dtype(x.dtype))


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x summed to a shape that broadcasts to its own: the transpose of `broadcast_to`."""
    offset = x.ndim - len(shape)
    axes = tuple(
        i for i in range(x.ndim) if i < offset or (shape[i - offset] == 1 and x.shape[i] != 1)
    )
    summed = sum_axes(x, axes)
    return summed if summed.shape == shape else reshape(summed, shape)


# dtypes ---------------------------------------------------------------------------------------


def _astype(x: Any, dtype: np.dtype) -> Any:
    """As an array: NumPy makes numbers of numbers, where CuPy makes arrays. Complex numbers as real
    ones are their real parts."""
    x = x if hasattr(x, "astype") else np.asarray(x)
    found = (x.real if x.dtype.kind == "c" and dtype.kind == "f" else x).astype(dtype)
    return np.asarray(found) if isinstance(found, np.generic) else found


astype_p = linear(
    "astype",
    _astype,
    transpose=lambda g, x_like, dtype: converted(g, x_like.dtype),  # noqa: ARG005
    shape=lambda x, dtype: Aval(x.shape, dtype),
    batch=lambda _size, args, _batched, dtype: astype_p(args[0], dtype=dtype),
    domain=lambda draw: (
        (draw.array(draw.shape(min_length=0)),),
        {"dtype": np.dtype(np.float64)},
    ),
)
truncate_p = nondifferentiable(
    "astype_integer",
    _astype,
    shape=lambda x, dtype: Aval(x.shape, dtype),
    batch=lambda _size, args, _batched, dtype: truncate_p(args[0], dtype=dtype),
    domain=lambda draw: (
        (draw.array(draw.shape(min_length=0)),),
        {"dtype": np.dtype(np.int64)},
    ),
)


def astype(x: Any, dtype: Any, *, copy: bool = True, device: str | None = None) -> Tensor:
    """x converted to another dtype; derivatives flow between floating and complex dtypes only.

    Args:
        copy: whether a tensor of that dtype already is returned as another object; its entries are
            shared in either case, as nothing writes to them.
        device: where to; where x lies if not given.

    Raises:
        DtypeError: a complex number would lose its imaginary part.

    >>> ac.astype(ac.asarray([1.7, -1.7]), ac.int64)
    Tensor([ 1, -1], dtype=int64)
    >>> ac.grad(lambda x: ac.sum(ac.astype(x, ac.float64) ** 2))(np.float32([1.0, 2.0]))
    Tensor([2., 4.], dtype=float32)
    """
    x, dtype = asarray(x), np.dtype(dtype)
    if device is not None:
        x = x.to_device(device)
    if x.dtype == dtype:
        return alias(x) if copy else x
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        raise DtypeError(
            f"astype: {x.dtype} to {dtype} would drop the imaginary part; take real(x), imag(x) or "
            "absolute(x)"
        )
    return converted(x, dtype)


def converted(x: Tensor, dtype: np.dtype) -> Tensor:
    """x in another dtype; where that is real, the real part."""
    return conversion(x.dtype, dtype)(x, dtype=dtype)


def conversion(from_: np.dtype, to: np.dtype) -> Primitive:
    """The primitive that converts between two dtypes: derivatives flow through it, or not."""
    return astype_p if from_.kind in INEXACT and to.kind in INEXACT else truncate_p


stop_gradient_p = nondifferentiable(
    "stop_gradient",
    lambda x: x,
    shape=lambda x: x,
    batch=lambda _size, args, _batched: stop_gradient_p(args[0]),
    domain=lambda draw: ((draw.array(draw.shape(min_length=0)),), {}),
)


def _after_domain(draw: Any) -> tuple[tuple, dict]:
    known = draw.array(draw.shape()) > 0  # no derivative is asked for what is waited for
    return (draw.array(draw.shape(min_length=0)), known), {}


def _after_batch(size: int, args: tuple, batched: tuple) -> Tensor:
    x, y = args
    return after_p(x if batched[0] else broadcast_to(x, (size, *x.shape)), y)


after_p = Primitive(
    "after",
    lambda x, _y: x,
    shape=lambda x, _y: x,
    vjps=[lambda g, _out, _x, _y: g, no_rule("nothing flows to what is waited for")],
    jvps=[lambda t, _out, _x, _y: t, no_rule("nothing flows from what is waited for")],
    batch=_after_batch,
    domain=_after_domain,
    complex=True,
)


def after(x: Any, y: Any) -> Tensor:
    """x, in a captured graph not before y is known: what is computed from it is not moved ahead of
    that, nor merged with the same computation on x itself."""
    return after_p(x, stop_gradient_p(y))


# slices ---------------------------------------------------------------------------------------
# A basic index is static and hashable here: a tuple with, for each axis of x, an integer or a
# (start, stop, step) triple as `slice.indices` gives it.

BasicIndex = tuple[int | tuple[int, int, int], ...]


def as_slices(key: BasicIndex) -> tuple[Any, ...]:
    return tuple(k if isinstance(k, int) else _as_slice(*k) for k in key)


def _as_slice(start: int, stop: int, step: int) -> slice:
    return slice(start, None if stop < 0 else stop, step)


def _slice_shape(key: BasicIndex) -> tuple[int, ...]:
    return tuple(len(range(*k)) for k in key if not isinstance(k, int))


def _embed_kernel(x: Any, key: BasicIndex, shape: tuple[int, ...]) -> Any:
    out = np.zeros_like(x, shape=shape)
    out[as_slices(key)] = x
    return out


def basic_key(draw: Any, shape: tuple[int, ...]) -> BasicIndex:
    """Draw a basic index of an array of `shape` that selects something."""
    key: list[Any] = []
    for n in shape:
        start = draw.integer(0, n - 1)
        step = draw.choice([1, 2, -1])
        stop = -1 if step < 0 else draw.integer(start + 1, n)
        key.append(start if draw.integer(0, 3) == 0 else (start, stop, step))
    return tuple(key)


def _slice_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1)
    return (draw.array(shape),), {"key": basic_key(draw, shape)}


def _embed_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1)
    key = basic_key(draw, shape)
    return (draw.array(_slice_shape(key)),), {"key": key, "shape": shape}


def whole(n: int) -> tuple[int, int, int]:
    return (0, n, 1)


slice_p = linear(
    "slice",
    lambda x, key: x[as_slices(key)],
    transpose=lambda g, x_like, key: embed_p(g, key=key, shape=x_like.shape),
    shape=lambda x, key: Aval(_slice_shape(key), x.dtype),
    batch=lambda size, args, _batched, key: slice_p(args[0], key=(whole(size), *key)),
    domain=_slice_domain,
)
embed_p = linear(
    "embed",
    _embed_kernel,
    transpose=lambda g, _x, key, shape: slice_p(g, key=key),  # noqa: ARG005
    shape=lambda x, key, shape: Aval(shape, x.dtype),  # noqa: ARG005
    batch=lambda size, args, _batched, key, shape: embed_p(
        args[0], key=(whole(size), *key), shape=(size, *shape)
    ),
    domain=_embed_domain,
)
"""Zeros of `shape` with x written at `key`: the transpose of `slice`."""


def slice_axis(x: Any, axis: int, start: int, stop: int, step: int = 1) -> Tensor:
    """x[..., start:stop:step, ...] along one axis, with bounds counted from the front."""
    x = asarray(x)
    axis = normalize_axis(axis, x.ndim)
    key = tuple((start, stop, step) if i == axis else whole(n) for i, n in enumerate(x.shape))
    return slice_p(x, key=key)


def flip(x: Any, axis: Any = None) -> Tensor:
    """x with the order of its entries reversed along one, several or all axes.

    Args:
        x: any shape.
        axis: an integer, a tuple of them, or None for all.

    >>> ac.flip(ac.asarray([[1, 2], [3, 4]])), ac.flip([1, 2, 3])
    (Tensor([[4, 3],
            [2, 1]], dtype=int64), Tensor([3, 2, 1], dtype=int64))
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    key = tuple((n - 1, -1, -1) if i in axes else whole(n) for i, n in enumerate(x.shape))
    return slice_p(x, key=key)


# concatenate ----------------------------------------------------------------------------------


def _concatenate_vjp(i: int, g: Tensor, _out: None, *args_like: Aval, axis: int) -> Tensor:
    start = sum(x.shape[axis] for x in args_like[:i])
    return slice_axis(g, axis, start, start + args_like[i].shape[axis])


def _concatenate_jvp(i: int, t: Tensor, _out: None, *args_like: Any, axis: int) -> Tensor:
    start = sum(x.shape[axis] for x in args_like[:i])
    shape = list(t.shape)
    shape[axis] = sum(x.shape[axis] for x in args_like)
    stop = start + t.shape[axis]
    key = tuple((start, stop, 1) if k == axis else whole(n) for k, n in enumerate(t.shape))
    return embed_p(t, key=key, shape=tuple(shape))


def _concatenate_aval(*args: Aval, axis: int) -> Aval:
    shape = list(args[0].shape)
    shape[axis] = sum(x.shape[axis] for x in args)
    return Aval(tuple(shape), np.result_type(*(x.dtype for x in args)))


def _concatenate_batch(size: int, args: tuple, batched: tuple, axis: int) -> Tensor:
    everywhere = [with_batch(x, b, size) for x, b in zip(args, batched, strict=True)]
    return bind(concatenate_p, everywhere, {"axis": axis + 1})


def with_batch(x: Any, batched: bool, size: int) -> Tensor:
    """x with the mapped axis first, repeated along it where it has none."""
    x = asarray(x)
    return x if batched else broadcast_to(x, (size, *x.shape))


def _concatenate_domain(draw: Any) -> tuple[tuple, dict]:
    shape = list(draw.shape(min_rank=1, min_length=0))
    axis = draw.integer(0, len(shape) - 1)
    arrays = []
    for _ in range(draw.integer(1, 3)):
        shape[axis] = draw.length(min_length=0)
        arrays.append(draw.array(tuple(shape)))
    return tuple(arrays), {"axis": axis}


concatenate_p = Primitive(
    "concatenate",
    lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    shape=_concatenate_aval,
    vjps=[_concatenate_vjp],
    jvps=[_concatenate_jvp],
    batch=_concatenate_batch,
    domain=_concatenate_domain,
    variadic=True,
    complex=True,
)


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Tensor:
    """The arrays joined along an existing axis; flattened first where `axis` is None.

    Each gets its part of the cotangent.

    Args:
        arrays: a sequence of them, whose other axes are alike; dtypes are promoted.
        axis: along which.

    Raises:
        ShapeError: there are none, or their other axes differ.

    >>> ac.concat([ac.ones((1, 2)), ac.zeros((2, 2))])
    Tensor([[1., 1.],
            [0., 0.],
            [0., 0.]], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.concat([x, x]) ** 2))(ac.asarray([1.0, 2.0]))
    Tensor([4., 8.], dtype=float64)
    """
    tensors = [asarray(x) for x in arrays]
    if not tensors:
        raise ShapeError("concatenate: expected at least one array, got none")
    if axis is None:
        tensors, axis = [ravel(x) for x in tensors], 0
    axis = normalize_axis(axis, tensors[0].ndim)
    dtype = np.result_type(*(x.dtype for x in tensors))
    shapes = {without(x.shape, (axis,)) for x in tensors}
    if len(shapes) > 1 or len({x.ndim for x in tensors}) > 1:
        given = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"concatenate: shapes {given} differ in an axis other than {axis}")
    return bind(concatenate_p, [astype(x, dtype) for x in tensors], {"axis": axis})


concat = concatenate  # the array API standard's name


def stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """The arrays, all of one shape, joined along a new axis; `unstack` takes them apart again.

    Args:
        arrays: a sequence of them.
        axis: the place of the new axis in the result.

    Raises:
        ShapeError: there are none, or their shapes differ.

    >>> ac.stack([ac.asarray([1, 2]), ac.asarray([3, 4])], axis=1)
    Tensor([[1, 3],
            [2, 4]], dtype=int64)
    >>> ac.grad(lambda x: ac.prod(ac.stack([x, x, 2.0])))(3.0)
    Tensor(12., dtype=float64)
    """
    tensors = [asarray(x) for x in arrays]
    if len({x.shape for x in tensors}) != 1:
        given = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"stack: expected arrays of one shape, got {given or 'none'}")
    return concatenate([expand_dims(x, axis) for x in tensors], axis)


def hstack(arrays: Sequence[Any]) -> Tensor:
    """The arrays joined along axis 1, from left to right (along axis 0 where they have one axis).

    Args:
        arrays: a sequence of arrays whose other axes are alike.

    >>> ac.hstack([ac.ones((2, 1)), ac.zeros((2, 2))])
    Tensor([[1., 0., 0.],
            [1., 0., 0.]], dtype=float64)
    >>> ac.hstack([[1.0, 2.0], [3.0]])
    Tensor([1., 2., 3.], dtype=float64)
    """
    tensors = [atleast_1d(x) for x in arrays]
    if not tensors:
        raise ShapeError("hstack: expected at least one array, got none")
    return concatenate(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(arrays: Sequence[Any]) -> Tensor:
    """The arrays joined along axis 0, one below the other, as rows where they have one axis.

    Args:
        arrays: a sequence of arrays whose other axes are alike.

    >>> ac.vstack([ac.asarray([1.0, 2.0]), ac.asarray([[3.0, 4.0]])])
    Tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    """
    return concatenate([atleast_2d(x) for x in arrays], 0)


def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x cut along an axis into `sections` equal parts, or at the given places.

    Args:
        x: any shape.
        sections: a number that divides the axis, or the places where a part begins.
        axis: along which.

    Raises:
        ShapeError: the number does not divide the axis; see `array_split`.

    >>> [part.tolist() for part in ac.split(ac.arange(6), 3)]
    [[0, 1], [2, 3], [4, 5]]
    >>> [part.tolist() for part in ac.split(ac.arange(6), [1, 4])]
    [[0], [1, 2, 3], [4, 5]]
    """
    x = asarray(x)
    axis = normalize_axis(axis, x.ndim)
    n = x.shape[axis]
    if np.ndim(sections) == 0:
        parts = as_integer(sections)  # type: ignore[arg-type]
        if parts < 1 or n % parts:
            raise ShapeError(f"split: axis of length {n} has no {parts} equal parts")
        cuts = [i * (n // parts) for i in range(1, parts)]
    else:
        cuts = [slice(as_integer(c)).indices(n)[1] for c in sections]  # type: ignore[union-attr]
    edges = [0, *cuts, n]
    return [slice_axis(x, axis, a, max(a, b)) for a, b in pairwise(edges)]


# Compositions ---------------------------------------------------------------------------------


def expand_dims(x: Any, axis: Any) -> Tensor:
    """x with axes of length 1 inserted, so that they are at the places `axis` of the result.

    Args:
        x: any shape.
        axis: an integer or a tuple of them; negative ones count from the end of the result.

    >>> ac.expand_dims(ac.asarray([1.0, 2.0]), 1), ac.expand_dims(ac.ones((2, 3)), (0, -1)).shape
    (Tensor([[1.],
            [2.]], dtype=float64), (1, 2, 3, 1))
    """
    x = asarray(x)
    count = 1 if np.ndim(axis) == 0 else len(axis)
    axes = normalize_axes(axis, x.ndim + count)
    lengths = iter(x.shape)
    return reshape(x, tuple(1 if i in axes else next(lengths) for i in range(x.ndim + count)))


def squeeze(x: Any, axis: Any = None) -> Tensor:
    """x without axes of length 1: all of them, or those named.

    Raises:
        ShapeError: an axis that is named is longer.

    >>> ac.squeeze(ac.zeros((1, 3, 1))).shape, ac.squeeze(ac.zeros((1, 3, 1)), 0).shape
    ((3,), (3, 1))
    """
    x = asarray(x)
    ones = tuple(i for i, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else normalize_axes(axis, x.ndim)
    if not set(axes) <= set(ones):
        raise ShapeError(f"squeeze: axis {axis} of shape {x.shape} is not of length 1")
    return reshape(x, without(x.shape, axes))


def atleast_1d(x: Any) -> Tensor:
    """x, with one axis if it has none.

    >>> ac.atleast_1d(3.0), ac.atleast_1d([[1.0]]).shape
    (Tensor([3.], dtype=float64), (1, 1))
    """
    x = asarray(x)
    return alias(x) if x.ndim else reshape(x, (1,))


def atleast_2d(x: Any) -> Tensor:
    """x, as a row if it has fewer than two axes.

    >>> ac.atleast_2d([1.0, 2.0]), ac.atleast_2d(3.0).shape
    (Tensor([[1., 2.]], dtype=float64), (1, 1))
    """
    x = asarray(x)
    return alias(x) if x.ndim >= 2 else reshape(x, (1, x.size))


def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """x with its entries moved on by `shift` places along an axis, those past the end coming first.

    Without an axis x is flattened for it. `shift` and `axis` may be sequences, one after the other.

    >>> ac.roll(ac.arange(5), 2)
    Tensor([3, 4, 0, 1, 2], dtype=int64)
    >>> ac.roll(ac.asarray([[1, 2], [3, 4]]), (1, 1), axis=(0, 1))
    Tensor([[4, 3],
            [2, 1]], dtype=int64)
    """
    x = asarray(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    for s, a in np.broadcast(shift, axis):
        s, a = int(s), normalize_axis(int(a), x.ndim)
        n = x.shape[a]
        cut = (-s) % n if n else 0
        if cut:
            x = concatenate([slice_axis(x, a, cut, n), slice_axis(x, a, 0, cut)], a)
    return alias(x)


def tile(x: Any, repetitions: Shape) -> Tensor:
    """x laid out `repetitions` times along each axis.

    Args:
        x: any shape.
        repetitions: a number for each axis; where there are fewer than axes, they count from the
            last.

    >>> ac.tile(ac.asarray([1, 2]), 2), ac.tile(ac.asarray([1, 2]), (2, 1))
    (Tensor([1, 2, 1, 2], dtype=int64), Tensor([[1, 2],
            [1, 2]], dtype=int64))
    """
    x, reps = asarray(x), as_shape(repetitions)
    ndim = max(x.ndim, len(reps))
    shape = (1,) * (ndim - x.ndim) + x.shape
    reps = (1,) * (ndim - len(reps)) + reps
    wide = tuple(v for pair in zip(reps, shape, strict=True) for v in pair)
    x = broadcast_to(reshape(x, tuple(v for n in shape for v in (1, n))), wide)
    return reshape(x, tuple(r * n for r, n in zip(reps, shape, strict=True)))


def rot90(x: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """x turned by k quarter turns in the plane of two axes, from the first towards the second.

    >>> ac.rot90(ac.asarray([[1, 2], [3, 4]]))
    Tensor([[2, 4],
            [1, 3]], dtype=int64)
    """
    x = asarray(x)
    first, second = normalize_axes(axes, x.ndim)
    k %= 4
    if k == 2:
        return flip(x, (first, second))
    if k:
        x = swapaxes(flip(x, second if k == 1 else first), first, second)
    return alias(x)


def stop_gradient(x: Any) -> Any:
    """x, through which no derivative flows, of any order or mode; pytrees are taken by leaf.

    >>> ac.grad(lambda x: x * ac.stop_gradient(x))(3.0)
    Tensor(3., dtype=float64)
    """
    from autograd_core.tree import tree_map

    return tree_map(lambda leaf: stop_gradient_p(asarray(leaf)), x)
