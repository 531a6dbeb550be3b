"""Where arrays lie: in the memory of this machine ("cpu"), or of a GPU ("cuda:0", "cuda:1", …).

CuPy is imported when a GPU is first asked for, or an array of its is met; nothing here needs it.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np

CPU = "cpu"
INSTALL = (
    "pip install 'metagrad[gpu]' (CUDA 13), or 'metagrad[gpu12]' for a driver of CUDA 12; "
    'or stay on "cpu"'
)
NO_DEVICE, INSUFFICIENT_DRIVER = 100, 35
"""cudaErrorNoDevice and cudaErrorInsufficientDriver."""
CUPYS: set[type] = set()
"""The class of CuPy's arrays, once one was met: to look a class up is the fastest question."""


class DeviceError(RuntimeError):
    """A device is not there, or arrays lie on different ones."""


def device_of(array: Any) -> str:
    """The device of an array; numbers and whatever else is no array are on the CPU."""
    if isinstance(array, np.ndarray | np.generic) or not on_gpu(array):
        return CPU
    return f"cuda:{array.data.device_id}"


def on_gpu(array: Any) -> bool:
    """Whether an array lies in a GPU's memory."""
    kind = array.__class__
    if kind is np.ndarray:
        return False
    if kind in CUPYS:  # without asking: CuPy answers with a dictionary, made each time
        return True
    if kind.__name__ == "ndarray" and kind.__module__.startswith("cupy"):
        CUPYS.add(kind)
        return True
    return hasattr(array, "__cuda_array_interface__")


def devices() -> list[str]:
    """All devices at hand, "cpu" first."""
    return [CPU, *(f"cuda:{n}" for n in range(_gpu_count()[0]))]


def has_failed(error: Exception) -> bool:
    """Whether an error is one of CUDA or its libraries: a GPU is gone, or a launch failed."""
    return isinstance(error, RuntimeError) and type(error).__module__.startswith("cupy")


def named(device: str) -> str:
    """A device by its full name; "cuda" is the GPU in use.

    Raises:
        DeviceError: there is no such device, with the reason.
        ValueError: it is no device's name.
    """
    if device == CPU:
        return CPU
    kind, _, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise ValueError(f'device {device!r}: expected "cpu", "cuda", or one GPU, as "cuda:1"')
    count, why = _gpu_count()
    if not count:
        raise DeviceError(f'device "{device}": {why}')
    if number and int(number) >= count:
        raise DeviceError(f'device "{device}": there are {count} GPUs, from cuda:0')
    return device if number else f"cuda:{cupy().cuda.Device().id}"


def to_device(array: Any, device: str) -> Any:
    """An array in the memory of a device: itself where it lies there, else a copy.

    Args:
        array: a NumPy or CuPy array.
        device: "cpu", "cuda" or "cuda:n".

    Raises:
        DeviceError: there is no such device, or it has not enough memory.
    """
    there = device_of(array)
    if device == there or (device := named(device)) == there:
        return array
    if device == CPU:
        return array.get()
    xp = cupy()
    with xp.cuda.Device(int(device.partition(":")[2])):
        return xp.array(array) if there == CPU else xp.asarray(array).copy()


def to_host(array: Any) -> np.ndarray:
    """An array as NumPy has it."""
    return array.get() if on_gpu(array) else np.asarray(array)


def view(
    memory: Any, shape: tuple[int, ...], dtype: np.dtype, start: int, strides: tuple[int, ...]
) -> Any:
    """An array in memory that is given as bytes, from some byte on; strides in bytes."""
    if not on_gpu(memory):
        return np.ndarray(shape, dtype, memory, start, strides)
    return cupy().ndarray(shape, dtype, memory.data + start, strides)


def namespace(array: Any) -> Any:
    """The library whose functions make arrays beside this one: NumPy or CuPy."""
    return cupy() if on_gpu(array) else np


def on_host(kernel: Any) -> Any:
    """A kernel that is computed by NumPy wherever its arguments lie, since CuPy has none: arrays
    are fetched from the GPU, and results brought there."""

    @functools.wraps(kernel)
    def there(*args: Any, **params: Any) -> Any:
        device = next((device_of(x) for x in args if on_gpu(x)), CPU)
        if device == CPU:
            return kernel(*args, **params)
        found = kernel(*(to_host(x) if on_gpu(x) else x for x in args), **params)
        if isinstance(found, tuple):
            return tuple(to_device(np.asarray(x), device) for x in found)
        return to_device(np.asarray(found), device)

    return there


def cupy() -> Any:
    """CuPy.

    Raises:
        DeviceError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else "it cannot be loaded"
        raise DeviceError(f"CuPy: {first}; {INSTALL}") from None


@functools.cache
def _gpu_count() -> tuple[int, str]:
    """How many GPUs there are; where there are none, why."""
    try:
        runtime = cupy().cuda.runtime
    except DeviceError as error:
        return 0, str(error)
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        status = getattr(error, "status", None)
        if status == INSUFFICIENT_DRIVER and runtime.driverGetVersion():
            return 0, (
                f"the NVIDIA driver is for CUDA {_version(runtime.driverGetVersion())}, older than "
                f"CuPy's {_version(runtime.runtimeGetVersion())}: update the driver, or {INSTALL}"
            )
        if status in (NO_DEVICE, INSUFFICIENT_DRIVER):
            return 0, 'no NVIDIA GPU or driver was found; use "cpu"'
        return 0, f'the GPU cannot be used ({error}); use "cpu"'
    return count, "" if count else 'no NVIDIA GPU was found; use "cpu"'


def _version(number: int) -> str:
    """13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
