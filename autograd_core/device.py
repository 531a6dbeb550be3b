"""Devices: where tensors lie, how they get there, and what happens where they meet.

A tensor stays where it was put, and an operation on tensors of several devices raises. Numbers,
tensors without axes, lists and NumPy arrays that nobody put anywhere go along to the device of the
tensors they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.errors import ConcreteValueError, DeviceError
from autograd_core.fetching import device_errors, fetched
from autograd_core.tensor import FREE, NUMBER, Array, Tensor, box, entries
from kernels import devices as places
from kernels.devices import CPU, device_of, namespace, on_gpu


def devices() -> list[str]:
    """The devices that tensors can lie on: "cpu", and "cuda:0", "cuda:1", … for each GPU.

    >>> ac.devices()[0]
    'cpu'
    """
    return places.devices()


def device_named(device: str) -> str:
    """The full name of a device: "cuda" is the GPU in use.

    Raises:
        DeviceError: there is no such device; the message says why.
        ValueError: it is no device's name.
    """
    try:
        return places.named(device)
    except places.DeviceError as error:
        raise DeviceError(str(error)) from None


def device(x: Tensor) -> str:
    """Where a tensor lies: "cpu", or "cuda:0" and so on.

    Raises:
        ConcreteValueError: `jit` is capturing it, so that it lies nowhere yet.
    """
    array = entries(x)
    if array is None:
        raise ConcreteValueError(
            "`.device` of a value that jit is capturing: the program runs where its arguments lie; "
            "move them before the call"
        )
    return device_of(array)


def moved(array: Array, device: str) -> Array:
    """An array in the memory of a device, by its full name: itself where it lies there.

    Raises:
        DeviceError: one of the devices failed.
        DeviceMemoryError: it does not fit.
    """
    if device == CPU:
        return fetched(array)
    with device_errors(device):
        return places.to_device(array, device)


def placed(array: np.ndarray, device: str | None) -> Tensor:
    """A new array as a tensor on a device, by default the CPU."""
    if device is None or device == CPU:
        return box(array)
    return box(moved(array, device_named(device)))


def filled(value: float, shape: tuple[int, ...], dtype: Any, like: Any = None) -> Tensor:
    """A number everywhere, on the device of another tensor; one that goes along with others where
    that is not known."""
    beside = entries(like) if like.__class__ is Tensor else None
    if beside is not None and on_gpu(beside):
        with device_errors(device_of(beside)), beside.device:
            return box(namespace(beside).full(shape, value, dtype))
    array = np.zeros(shape, dtype) if value == 0 else np.full(shape, value, dtype)
    return box(array, None, FREE)


def beside(x: Tensor, like: Tensor) -> Tensor:
    """A tensor that nobody placed, on the device of another one."""
    there = entries(like)
    if there is None or not on_gpu(there) or x.interpreter is not None or is_placed(x):
        return x
    return box(moved(np.asarray(x.value), device_of(there)))


def gathered(args: Sequence[Any]) -> list[Any] | None:
    """The arrays of tensors that are not traced, those that nobody placed on the device of the
    others; None where all are where they should be.

    Raises:
        DeviceError: tensors that were placed lie on different devices.
    """
    tensors = [x for x in args if x.__class__ is Tensor]
    there = dict.fromkeys(device_of(x.value) for x in tensors if is_placed(x))
    if all(device == CPU for device in there):
        return None
    if len(there) > 1:
        where = ", ".join(f"argument {i} on {_where(x)}" for i, x in enumerate(args))
        raise DeviceError(
            f"operands on different devices: {where}; move them to one with .to_device(…)"
        )
    (target,) = there
    if all(is_placed(x) for x in tensors):
        return None
    return [_moved(x, target) if x.__class__ is Tensor else x for x in args]


def is_placed(x: Tensor) -> bool:
    """Whether a plain tensor stays where it lies. One without axes goes along, as numbers do."""
    return on_gpu(x.value) or not (x.mark in (FREE, NUMBER) or x.shape == ())


def _where(x: Any) -> str:
    return device_of(x.value) if x.__class__ is Tensor and is_placed(x) else "any"


def _moved(x: Tensor, target: str) -> Array:
    if is_placed(x):
        return x.value
    if x.mark is NUMBER:  # CuPy takes NumPy's scalars, but not its arrays without axes
        return x.value[()] if isinstance(x.value, np.ndarray) else x.value
    return places.to_device(np.asarray(x.value), target)
