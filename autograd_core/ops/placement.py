"""From one device to another, in every mode of differentiation."""

from __future__ import annotations

from typing import Any

from autograd_core.declare import linear
from autograd_core.device import device, device_named, moved
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import FREE, Aval, Tensor, aval_of, box, entries
from autograd_core.tensor import asarray as as_tensor
from kernels.devices import CPU

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


def asarray(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """A tensor of `data`, without a copy where that is possible; tensors pass through.

    Args:
        data: a tensor, array, number, or nested sequence of numbers or tensors.
        dtype: dtype to convert to (NumPy's default rules where not given).
        device: where to; where the data lie if not given.

    Raises:
        DtypeError: `data` has no boolean, integer or floating dtype.
        DeviceError: there is no such device.
    """
    x = as_tensor(data, dtype)
    if device is not None:
        return to_device(x, device)
    return box(x.value) if x.trace is None and x.mark is FREE else x


def to_device(x: Tensor, device: str) -> Tensor:
    """The tensor on a device: itself where it lies there, else a copy; derivatives flow back.

    Args:
        device: "cpu", "cuda" (the GPU in use), or "cuda:0", "cuda:1", …

    Raises:
        DeviceError: there is no such device; the message says why.
        ConcreteValueError: inside of `jit`, whose program runs where its arguments lie.
    """
    target, origin = device_named(device), _device_of(x)
    if target == origin and x.trace is not None:
        return x
    if x.trace is None:
        return box(moved(entries(x), target))
    return bind(to_device_p, (x,), {"device": target, "origin": origin})


_device_of = device
