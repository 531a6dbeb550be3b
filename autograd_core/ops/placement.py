"""From one device to another, in every mode of differentiation."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.declare import linear
from autograd_core.device import device, device_named, moved
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import FREE, Aval, Tensor, alias, aval_of, box, entries, own
from autograd_core.tensor import asarray as as_tensor
from kernels.devices import CPU, device_of, on_gpu

__all__ = ["asarray", "to_device"]


def _transpose(g: Tensor, x_like: Aval, device: str, origin: str) -> Tensor:
    return bind(to_device_p, (g,), {"device": origin, "origin": device})


to_device_p: Primitive = linear(
    "to_device",
    lambda x, device, origin: moved(x, device),  # noqa: ARG005
    transpose=_transpose,
    shape=lambda x, device, origin: aval_of(x),  # noqa: ARG005
    batch=lambda _size, args, _batched, **params: bind(to_device_p, args, params),
    domain=lambda draw: ((draw.array(draw.shape(min_length=0)),), {"device": CPU, "origin": CPU}),
)


def asarray(
    data: Any, dtype: Any = None, device: str | None = None, *, copy: bool | None = None
) -> Tensor:
    """A tensor of `data`, without a copy where that is possible; tensors pass through.

    Args:
        data: a tensor, array, number, or nested sequence of numbers or tensors.
        dtype: dtype to convert to (NumPy's default rules where not given).
        device: where to; where the data lie if not given.
        copy: True for an object of its own in any case, so that `x[i] = v` on it changes nothing
            else; False for an error where data have to be copied.

    Raises:
        DtypeError: `data` has no boolean, integer, floating or complex dtype.
        DeviceError: there is no such device.
        ValueError: `copy=False`, but data has to be copied.

    >>> ac.asarray([1, 2]), ac.asarray([1, 2], dtype=np.float32)
    (Tensor([1, 2], dtype=int64), Tensor([1., 2.], dtype=float32))
    >>> ac.grad(lambda x: ac.sum(ac.asarray([x, x**2])))(3.0)
    Tensor(7., dtype=float64)
    """
    if copy is False and not _is_shared(data, dtype, device):
        raise ValueError(
            "asarray: copy=False, but this needs a copy: of numbers or lists, to another dtype or "
            "device"
        )
    x = as_tensor(own(data), dtype) if copy else as_tensor(data, dtype)
    if copy and x is data:
        x = alias(x)
    if device is not None:
        return to_device(x, device)
    return box(x.value) if x.interpreter is None and x.mark is FREE else x


def _is_shared(data: Any, dtype: Any, device: str | None) -> bool:
    """Whether a tensor of data can share its entries."""
    if data.__class__ is not Tensor and not isinstance(data, np.ndarray) and not on_gpu(data):
        return False
    here = device is None or device_named(device) == _lies(data)
    return here and (dtype is None or data.dtype == np.dtype(dtype))


def _lies(data: Any) -> str:
    return _device_of(data) if data.__class__ is Tensor else device_of(data)


def to_device(x: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """The tensor on a device: itself where it lies there, else a copy; derivatives flow back.

    Args:
        device: "cpu", "cuda" (the GPU in use), or "cuda:0", "cuda:1", …
        stream: None, the only one that is supported.

    Raises:
        DeviceError: there is no such device; the message says why.
        ConcreteValueError: inside of `jit`, whose program runs where its arguments lie.
        ValueError: a stream is given.

    >>> ac.to_device(ac.asarray([1.0, 2.0]), "cpu").device
    'cpu'
    """
    if stream is not None:
        raise ValueError("to_device: expected stream=None; work is ordered by one stream a device")
    target, origin = device_named(device), _device_of(x)
    if target == origin and x.interpreter is not None:
        return x
    if x.interpreter is None:
        return box(moved(entries(x), target))
    return bind(to_device_p, (x,), {"device": target, "origin": origin})


_device_of = device
