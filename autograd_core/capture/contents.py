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

COMPARED_WHOLE = 2**16
"""Bytes up to which an array is compared entry by entry; of a larger one, so many entries are."""
SAMPLES = 1024


def owner(array: Any) -> np.ndarray | None:
    """The array that an array is a view of; None where there is no memory to write to."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    if not isinstance(array, np.ndarray) or array.size == 0 or not array.flags.writeable:
        return None
    return array


class Reads:
    """Notes the arrays that operations are applied to in this thread outside of any trace."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._made: set[int] = set()
        self._read: dict[int, weakref.ref] = {}

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
                self._read[id(x)] = weakref.ref(x)

    def arrays(self) -> list[np.ndarray]:
        """Those arrays, as far as there still are any."""
        return [x for x in (ref() for ref in self._read.values()) if x is not None]


class Contents:
    """What arrays hold.

    Args:
        arrays: none of them is kept alive.
    """

    def __init__(self, arrays: Iterable[np.ndarray]):
        unique = {id(x): x for x in map(owner, arrays) if x is not None}
        self._seen = [(weakref.ref(x), _fingerprint(x)) for x in unique.values()]

    def changed(self) -> bool:
        """Whether one of them holds something else."""
        for ref, held in self._seen:
            array = ref()
            if array is not None and _fingerprint(array) != held:
                return True
        return False


def _fingerprint(array: np.ndarray) -> bytes:
    if array.nbytes <= COMPARED_WHOLE:
        return array.tobytes()
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    return flat[:: max(1, flat.size // SAMPLES)].tobytes()


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
    """The arrays among values, and those of tensors."""
    found = (x.value if x.__class__ is Tensor else x for x in values)
    return [x for x in found if isinstance(x, np.ndarray)]
