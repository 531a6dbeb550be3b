"""DLPack: tensors to and from other libraries' arrays, on every device, without a copy.

Both sides then have the same memory. This engine never writes to a tensor's values, and relies on
others not to: exports are marked as read-only where the protocol can say so (from its version 1.0
on), and who made an array that was imported must leave it alone. No derivative crosses by itself:
docs/interoperability.md shows how `custom_vjp` takes it across.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.errors import ConcreteValueError, DeviceError, DtypeError
from autograd_core.fetching import Array, read_only
from autograd_core.ops.placement import asarray
from autograd_core.tensor import Tensor, box, entries
from kernels.devices import cupy, device_of, on_gpu

HOST_DEVICES = {1, 3}
"""DLPack's numbers of memory that a CPU reads: its own, and what CUDA pinned."""
GPU_DEVICES = {2, 13}
"""DLPack's numbers of memory that CUDA has: a GPU's own, and managed memory."""
READ_ONLY_SINCE = (1, 0)
"""The version of the protocol from which it tells who may write."""


def _exported(x: Tensor) -> Array:
    """The array of a tensor that is not traced.

    Raises:
        ConcreteValueError: it is, so that its derivative would be lost.
    """
    if x.interpreter is not None:
        what = "its derivative" if entries(x) is not None else "its trace"
        raise ConcreteValueError(
            f"DLPack: a traced tensor given to another library would lose {what}; give it "
            "x.detach() if that is meant, or make the library's function an operation with "
            "custom_vjp (docs/interoperability.md)"
        )
    return x.value if on_gpu(x.value) else np.asarray(x.value)


def dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule of the tensor's values, for `from_dlpack` of another library.

    They are shared, not copied, and are not to be written to; the capsule says so where the other
    library understands it. One that does not is given a copy only of what even here is marked as
    read-only, such as an array that was broadcast. What runs backwards (`x[::-1]`) is copied too.

    Args:
        stream: of a GPU, on which the other library goes on.
        max_version: the newest version of the protocol that the other library knows.
        dl_device: the device that it wants, as DLPack numbers them.
        copy: True for a copy in any case, False for none.

    Raises:
        ConcreteValueError: the tensor is traced.
        BufferError: it cannot be exported in this way.
    """
    array = _exported(self)
    given = {"stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy}
    options = {name: value for name, value in given.items() if value is not None}
    if not on_gpu(array):
        array = _for_readers(array, max_version, copy)
        if copy is None and any(step < 0 for step in array.strides):
            array = array.copy()  # PyTorch ends the process over what runs backwards
    return array.__dlpack__(**options)


def _for_readers(array: np.ndarray, max_version: tuple[int, int] | None, copy: Any) -> np.ndarray:
    """A view marked as read-only for those who can be told, else one that need not be."""
    if max_version is not None and tuple(max_version) >= READ_ONLY_SINCE:
        return read_only(array)
    return array if array.flags.writeable or copy is False else array.copy()


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """The kind and the number of the device that the tensor is on, as DLPack numbers them."""
    return _exported(self).__dlpack_device__()


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of another library's array, by DLPack: it shares the array's memory.

    Nobody may write to the array from then on, or values and gradients here would be wrong; copy it
    (`copy=True`) where that cannot be ruled out. No derivative flows to the other library.

    Args:
        x: an array of NumPy, PyTorch, JAX, CuPy, … with `__dlpack__` and `__dlpack_device__`; or a
            tensor of this package, which comes back as it is, its history included.
        device: where the tensor is to lie, as in `asarray`; where x lies if not given.
        copy: True for a copy in any case, False for an error where one is needed.

    Raises:
        TypeError: x does not speak DLPack.
        BufferError: its library does not give it away, for a gradient that would be lost, say; or
            a copy is needed that is not allowed.
        DtypeError: there is no such dtype here.
        DeviceError: it lies where this package has no tensors, or there is no such device.

    >>> ac.from_dlpack(np.asarray([1.0, 2.0], np.float32))
    Tensor([1., 2.], dtype=float32)
    """
    if x.__class__ is Tensor:
        return x if device is None else x.to_device(device)
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack: {type(x).__name__} has no __dlpack__ and __dlpack_device__")
    shared = asarray(_imported(x))
    out = shared if device is None else shared.to_device(device)
    moved = device_of(out.value) != device_of(shared.value)
    if moved and copy is False:
        raise BufferError(f"from_dlpack: from {shared.device} to {device} takes a copy")
    return box(out.value.copy()) if copy and not moved else out


def _imported(x: Any) -> Array:
    """The memory of x as an array of NumPy's or CuPy's."""
    kind, number = x.__dlpack_device__()
    if kind in HOST_DEVICES:
        try:
            return np.from_dlpack(x)
        except RuntimeError as error:
            raise DtypeError(f"from_dlpack: {error} NumPy has no such one") from error
    if kind in GPU_DEVICES:
        return cupy().from_dlpack(x)
    raise DeviceError(f"from_dlpack: the array lies on device {number} of DLPack's kind {kind}")
