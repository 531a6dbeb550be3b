"""Values that come from a GPU: its failures show here, and so does what a program found wrong.

A GPU computes while Python goes on. What went wrong there is therefore told when values are next
asked for: a failure of the device, and an index out of bounds in a program, whose integers are
looked at here so that calling it need not wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_core.errors import DeviceError, DeviceMemoryError
from kernels.devices import device_of, has_failed, namespace, on_gpu

Array = Any  # numpy.ndarray, a NumPy scalar, or a device's array type
Bounds = tuple[int, int, str]
"""What integers must not be below, what they must be below, and what the error says."""

MOST_UNSEEN = 1024
"""Calls whose integers may wait to be looked at: a few bytes of the device's memory for each."""

_unseen: list[tuple[list[Array], Sequence[Bounds]]] = []


@contextmanager
def device_errors(where: str) -> Iterator[None]:
    """Say `where` a GPU failed, or had too little memory, as errors of this package."""
    try:
        yield
    except MemoryError as error:
        raise DeviceMemoryError(f"{where}: {error}. {DeviceMemoryError.ADVICE}") from error
    except RuntimeError as error:
        if not has_failed(error):
            raise
        raise DeviceError(f"{where} failed ({error})") from error


def read_only(array: Any) -> np.ndarray:
    """A view of an array of NumPy's to which nobody may write."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def fetched(array: Array) -> Array:
    """An array as NumPy has it, from wherever it lies.

    Raises:
        DeviceError: the GPU that has it failed.
        IndexError: a program met an integer out of bounds since values were last fetched.
    """
    if isinstance(array, np.ndarray) or not on_gpu(array):
        return array
    with device_errors(device_of(array)):
        values = array.get()
    look()
    return values


def check_within(least: int, most: int, bounds: Bounds) -> None:
    """Check that integers from `least` to `most` are within bounds.

    Raises:
        IndexError: they are not.
    """
    low, high, otherwise = bounds
    if least < low or most >= high:
        raise IndexError(otherwise.format(least if least < low else most))


def look_later(extremes: list[Array], bounds: Sequence[Bounds]) -> None:
    """Check, when values are next fetched, what lies on one GPU.

    Args:
        extremes: the least and the greatest of some integers, for each of the bounds in turn.
    """
    _unseen.append((extremes, bounds))
    if len(_unseen) >= MOST_UNSEEN:
        look()


def look() -> None:
    """Check all that was left for later. It is then forgotten, whatever is found."""
    if not _unseen:
        return
    waiting, _unseen[:] = _unseen[:], []
    by_device: dict[str, list[tuple[list[Array], Sequence[Bounds]]]] = {}
    for item in waiting:
        by_device.setdefault(device_of(item[0][0]), []).append(item)
    for device, items in by_device.items():
        with device_errors(device):
            found = iter(_all_of([x for extremes, _ in items for x in extremes]))
        for _, bounds in items:
            for each in bounds:
                check_within(next(found), next(found), each)


def _all_of(numbers: list[Array]) -> list[int]:
    """Arrays without axes, of a GPU, as Python's integers; one transfer for each dtype."""
    values: list[int] = [0] * len(numbers)
    for dtype in {x.dtype for x in numbers}:
        places = [n for n, x in enumerate(numbers) if x.dtype == dtype]
        with numbers[places[0]].device:
            there = namespace(numbers[places[0]]).stack([numbers[n] for n in places])
        for n, value in zip(places, there.get().tolist(), strict=True):
            values[n] = value
    return values
