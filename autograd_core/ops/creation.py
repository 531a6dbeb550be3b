"""Tensors from scratch."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.device import beside, filled, placed
from autograd_core.ops import placement
from autograd_core.ops.complex import real_dtype
from autograd_core.ops.placement import to_device
from autograd_core.ops.structural import Shape, as_shape, astype, broadcast_to, reshape
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "arange",
    "array",
    "copy",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "identity",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tri",
    "zeros",
    "zeros_like",
]


def zeros(shape: Shape, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros of some shape.

    Args:
        shape: an integer or a tuple of them.
        dtype: float64 by default.
        device: where the tensor is to lie; the CPU if not given.

    >>> ac.zeros(3), ac.zeros((2, 0)).shape
    (Tensor([0., 0., 0.], dtype=float64), (2, 0))
    """
    return placed(np.zeros(as_shape(shape), dtype or np.float64), device)


def ones(shape: Shape, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones of some shape.

    Args:
        shape: an integer or a tuple of them.
        dtype: float64 by default.
        device: where the tensor is to lie; the CPU if not given.

    >>> ac.ones((2, 3)), ac.ones(2, dtype=ac.int64)
    (Tensor([[1., 1., 1.],
            [1., 1., 1.]], dtype=float64), Tensor([1, 1], dtype=int64))
    """
    return placed(np.ones(as_shape(shape), dtype or np.float64), device)


def empty(shape: Shape, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor to be filled by `x[i] = v`: zeros, as nothing is ever left undefined here.

    Args:
        shape: an integer or a tuple of them.
        dtype: float64 by default.
        device: where the tensor is to lie; the CPU if not given.

    >>> x = ac.empty(3)
    >>> x[1] = 5.0
    >>> x
    Tensor([0., 5., 0.], dtype=float64)
    """
    return zeros(shape, dtype, device)


def full(shape: Shape, fill_value: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`fill_value` everywhere; derivatives flow through it.

    Args:
        shape: an integer or a tuple of them.
        fill_value: a number, or an array that broadcasts to the shape.
        dtype: that of `fill_value` by default.
        device: where the tensor is to lie; where the value lies if not given.

    >>> ac.full((2, 2), 7)
    Tensor([[7, 7],
            [7, 7]], dtype=int64)
    >>> ac.grad(lambda v: ac.sum(ac.full((2, 3), v)))(1.5)
    Tensor(6., dtype=float64)
    """
    value = asarray(fill_value, dtype)
    return broadcast_to(value if device is None else to_device(value, device), as_shape(shape))


def zeros_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros of the shape and dtype of x, on its device.

    Args:
        x: gives the shape.
        dtype, device: those of x where not given.

    >>> ac.zeros_like(np.float32([1.5, 2.5]))
    Tensor([0., 0.], dtype=float32)
    """
    return _filled_like(x, 0, dtype, device)


def ones_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones of the shape and dtype of x, on its device.

    Args:
        x: gives the shape.
        dtype, device: those of x where not given.

    >>> ac.ones_like(ac.asarray([[1, 2], [3, 4]]))
    Tensor([[1, 1],
            [1, 1]], dtype=int64)
    """
    return _filled_like(x, 1, dtype, device)


def empty_like(x: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor like x to be filled by `y[i] = v`: zeros, as nothing is ever left undefined here.

    Args:
        x: gives the shape.
        dtype, device: those of x where not given.

    >>> ac.empty_like(ac.asarray([1, 2]))
    Tensor([0, 0], dtype=int64)
    """
    return zeros_like(x, dtype, device)


def _filled_like(x: Any, number: int, dtype: Any, device: str | None) -> Tensor:
    x = asarray(x)
    like = filled(number, x.shape, dtype or x.dtype, x)
    return like if device is None else to_device(like, device)


def full_like(x: Any, fill_value: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`fill_value` in the shape and dtype of x, on its device; derivatives flow through it.

    Args:
        x: gives the shape.
        fill_value: a number, or an array that broadcasts to the shape.
        dtype, device: those of x where not given.

    >>> ac.full_like(ac.asarray([1.0, 2.0]), 7)
    Tensor([7., 7.], dtype=float64)
    """
    x = asarray(x)
    value = beside(asarray(fill_value, dtype or x.dtype), x)
    return broadcast_to(value if device is None else to_device(value, device), x.shape)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: str | None = None
) -> Tensor:
    """start, start + step, … below stop; from 0 with one argument.

    Args:
        start, stop, step: numbers; a negative step counts down, to above stop.
        dtype: int64 for integers and float64 for floats where not given.
        device: where the tensor is to lie; the CPU if not given.

    >>> ac.arange(4), ac.arange(1.0, 2.0, 0.25), ac.arange(3, 0, -1)
    (Tensor([0, 1, 2, 3], dtype=int64), Tensor([1.  , 1.25, 1.5 , 1.75], dtype=float64),
     Tensor([3, 2, 1], dtype=int64))
    """
    first, last = (0, start) if stop is None else (start, stop)
    return placed(np.arange(first, last, step, dtype=dtype), device)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    device: str | None = None,
    *,
    dtype: Any = None,
) -> Tensor:
    """`num` evenly spaced numbers from start to stop; derivatives flow through both.

    Args:
        start, stop: numbers, or arrays that broadcast; their axes come after that of the numbers.
        num: how many.
        endpoint: whether stop is the last of them, or comes after the last.
        device: where the tensor is to lie.
        dtype: by default that of start and stop, and float64 of integers.

    >>> ac.linspace(0.0, 1.0, 5), ac.linspace(0.0, 1.0, 4, endpoint=False)
    (Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ], dtype=float64),
     Tensor([0.  , 0.25, 0.5 , 0.75], dtype=float64))
    >>> ac.grad(lambda stop: ac.sum(ac.linspace(0.0, stop, 3)))(1.0)
    Tensor(1.5, dtype=float64)
    """
    start, stop = asarray(start), asarray(stop)
    if device is not None:
        start, stop = to_device(start, device), to_device(stop, device)
    if dtype is None:
        dtype = np.result_type(start.dtype, stop.dtype, 1.0)
    exact = np.result_type(dtype, np.float32)  # integers are truncated in the end
    steps = np.arange(num, dtype=real_dtype(exact)) / max(num - 1 if endpoint else num, 1)
    ramp = np.reshape(steps, (num,) + (1,) * max(start.ndim, stop.ndim))
    start, stop = astype(start, exact), astype(stop, exact)
    return astype(start * (1 - ramp) + stop * ramp, dtype)  # exact at both ends


def eye(
    n_rows: int,
    n_cols: int | None = None,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Ones on the k-th diagonal of a matrix of zeros, square by default.

    Args:
        n_rows, n_cols: its shape; as many columns as rows where not given.
        k: above the main diagonal where positive, below it where negative.
        dtype: float64 by default.
        device: where the tensor is to lie; the CPU if not given.

    >>> ac.eye(2, 3, k=1)
    Tensor([[0., 1., 0.],
            [0., 0., 1.]], dtype=float64)
    """
    return placed(np.eye(n_rows, n_cols, k, dtype=dtype or np.float64), device)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid with the given axes, one array of them for each axis.

    Args:
        arrays: each one axis of the grid.
        indexing: "xy" where the first axis runs along columns, as in pictures, "ij" where it runs
            along rows.

    >>> x, y = ac.meshgrid(ac.asarray([1.0, 2.0, 3.0]), ac.asarray([10.0, 20.0]))
    >>> x + y
    Tensor([[11., 12., 13.],
            [21., 22., 23.]], dtype=float64)
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: expected indexing 'xy' or 'ij', got {indexing!r}")
    tensors = [asarray(x) for x in arrays]
    order = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        order[:2] = [1, 0]
    lengths = {place: x.size for place, x in zip(order, tensors, strict=True)}
    shape = tuple(lengths[i] for i in range(len(tensors)))
    out = []
    for place, x in zip(order, tensors, strict=True):
        column = reshape(x, tuple(x.size if i == place else 1 for i in range(len(tensors))))
        out.append(broadcast_to(column, shape))
    return out


def array(data: Any, dtype: Any = None, copy: bool = True, device: str | None = None) -> Tensor:
    """A tensor of `data`, of its own: `asarray` with a copy.

    >>> ac.array([1, 2], dtype=np.float32)
    Tensor([1., 2.], dtype=float32)
    """
    return placement.asarray(data, dtype, device, copy=copy or None)


def copy(x: Any) -> Tensor:
    """A tensor of its own with the entries of x, so that `y[i] = v` leaves x alone.

    >>> ac.copy([1.0, 2.0])
    Tensor([1., 2.], dtype=float64)
    """
    return placement.asarray(x, copy=True)


def identity(n: int, dtype: Any = None) -> Tensor:
    """The n × n matrix with ones on the diagonal.

    >>> ac.identity(2)
    Tensor([[1., 0.],
            [0., 1.]], dtype=float64)
    """
    return eye(n, dtype=dtype)


def tri(n_rows: int, n_cols: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the k-th diagonal of a matrix and below, square by default; zeros above.

    >>> ac.tri(2)
    Tensor([[1., 0.],
            [1., 1.]], dtype=float64)
    """
    return placed(np.tri(n_rows, n_cols, k, dtype or np.float64), None)
