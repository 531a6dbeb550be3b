"""Tensors from scratch."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.device import beside, filled, placed
from autograd_core.ops.placement import to_device
from autograd_core.ops.structural import Shape, as_shape, broadcast_to, reshape
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "arange",
    "eye",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def zeros(shape: Shape, dtype: Any = None, device: str | None = None) -> Tensor:
    """Zeros; float64 by default."""
    return placed(np.zeros(as_shape(shape), dtype or np.float64), device)


def ones(shape: Shape, dtype: Any = None, device: str | None = None) -> Tensor:
    """Ones; float64 by default."""
    return placed(np.ones(as_shape(shape), dtype or np.float64), device)


def full(shape: Shape, value: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """`value` everywhere; derivatives flow through it."""
    value = asarray(value, dtype)
    return broadcast_to(value if device is None else to_device(value, device), shape)


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Zeros of the shape and dtype of x, on its device."""
    x = asarray(x)
    return filled(0, x.shape, dtype or x.dtype, x)


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Ones of the shape and dtype of x, on its device."""
    x = asarray(x)
    return filled(1, x.shape, dtype or x.dtype, x)


def full_like(x: Any, value: Any, dtype: Any = None) -> Tensor:
    """`value` in the shape and dtype of x, on its device; derivatives flow through the value."""
    x = asarray(x)
    return broadcast_to(beside(asarray(value, dtype or x.dtype), x), x.shape)


def arange(
    start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, device: str | None = None
) -> Tensor:
    """start, start + step, … below stop; from 0 with one argument."""
    first, last = (0, start) if stop is None else (start, stop)
    return placed(np.arange(first, last, step, dtype=dtype), device)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, device: str | None = None
) -> Tensor:
    """`num` evenly spaced numbers from start to stop; derivatives flow through both."""
    start, stop = asarray(start), asarray(stop)
    if device is not None:
        start, stop = to_device(start, device), to_device(stop, device)
    dtype = np.result_type(start.dtype, stop.dtype, 1.0)
    steps = np.arange(num, dtype=dtype) / max(num - 1 if endpoint else num, 1)
    ramp = np.reshape(steps, (num,) + (1,) * max(start.ndim, stop.ndim))
    return start * (1 - ramp) + stop * ramp  # exact at both ends


def eye(
    n: int, m: int | None = None, k: int = 0, dtype: Any = None, device: str | None = None
) -> Tensor:
    """Ones on the k-th diagonal of an n × m matrix of zeros."""
    return placed(np.eye(n, m, k, dtype=dtype or np.float64), device)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid with the given axes, one array of them for each axis."""
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
