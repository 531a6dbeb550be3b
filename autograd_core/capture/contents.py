"""What arrays from outside held while a function was captured.

An array that a captured function hands to an operation together with an argument becomes an input
of its graph, read in every call. But what is computed of such arrays alone, by NumPy or by this
package, is computed once. So these arrays' contents are compared before each call.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_core.primitive import REGISTRY, Primitive
from autograd_core.tensor import Tensor
from kernels.memory import address

COMPARED_WHOLE = 2**16
"""Bytes up to which an array is compared entry by entry; of a larger one, so many entries are."""
SAMPLES = 1024


def owner(array: Any) -> np.ndarray | None:
    """The array that an array is a view of; None where there is no memory to write to."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    if not isinstance(array, np.ndarray) or array.size == 0 or not array.flags.writeable:
        return None
    # Not objects, of which the memory says nothing, nor memory with gaps.
    return array if array.dtype.kind in "biufc" and array.flags.forc else None


class Reads:
    """Notes the arrays that operations are applied to in this thread outside of any trace."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._made: set[int] = set()
        self._read: dict[int, list[Part]] = {}

    def note(self, args: tuple, out: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        given = [x for x in map(owner, args) if x is not None]
        outs = out if isinstance(out, tuple) else (out,)
        same = {id(x) for x in map(owner, outs) if x is not None} & set(map(id, given))
        if same:  # a view, which is told from its array by nobody
            return
        self._made.update(map(id, outs))
        for x in given:
            if id(x) not in self._made:
                self._read.setdefault(id(x), []).extend(Part(y) for y in args if owner(y) is x)

    def parts(self) -> list[Part]:
        """Those arrays."""
        return [part for some in self._read.values() for part in some]


class Contents:
    """What arrays hold.

    Args:
        parts: none of their arrays is kept alive.
    """

    def __init__(self, parts: Iterable[Part]):
        found = {part.place: part for part in parts}
        self._seen = [(part, held) for part in found.values() if (held := part.held()) is not None]

    def changed(self) -> bool:
        """Whether one of them holds something else."""
        return any(part.held() not in (held, None) for part, held in self._seen)


class Part:
    """An array, or the part of it that a view shows.

    Args:
        array: not kept alive.
    """

    def __init__(self, array: np.ndarray):
        whole = owner(array)
        assert whole is not None
        self._owner = weakref.ref(whole)
        offset = address(array) - address(whole)
        self.place = id(whole), array.shape, array.dtype, offset, array.strides

    def held(self) -> bytes | None:
        """What there is, or a sample of it; None once there is nothing."""
        whole = self._owner()
        if whole is None:
            return None
        _, shape, dtype, offset, strides = self.place
        array = whole
        if (shape, dtype, offset, strides) != (whole.shape, whole.dtype, 0, whole.strides):
            memory: Any = whole
            array = np.ndarray(shape, dtype, memoryview(memory).cast("B"), offset, strides)
        if array.nbytes <= COMPARED_WHOLE:
            return array.tobytes()
        step = array.size // SAMPLES | 1  # odd, so that it runs through all columns
        return array.flat[::step].tobytes()


_lock = threading.Lock()
_readers: list[Reads] = []
_kernels: list[tuple[Primitive, Callable]] = []


@contextmanager
def noted_reads() -> Iterator[Reads]:
    """Note what operations read while the block runs."""
    reads = Reads()
    with _lock:
        if not _readers:
            _kernels.extend((primitive, primitive.kernel) for primitive in REGISTRY.values())
            for primitive, kernel in _kernels:
                primitive.kernel = _noted(kernel)
        _readers.append(reads)
    try:
        yield reads
    finally:
        with _lock:
            _readers.remove(reads)
            if not _readers:
                for primitive, kernel in _kernels:
                    primitive.kernel = kernel
                _kernels.clear()


def _noted(kernel: Callable) -> Callable:
    def noted(*args: Any, **params: Any) -> Any:
        out = kernel(*args, **params)
        for reads in list(_readers):
            reads.note(args, out)
        return out

    return noted


def arrays_in(values: Iterable[Any]) -> list[np.ndarray]:
    """The arrays among values, and those of tensors, that somebody could write to."""
    found = (x.value if x.__class__ is Tensor else x for x in values)
    return [x for x in found if owner(x) is not None]
