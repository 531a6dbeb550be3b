"""Memory from the system: what becomes of freed arrays, and large blocks that are kept."""

import ctypes
import mmap
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

# Options of mallopt(3).
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
LARGEST = 2**31 - 1
# Advice of madvise(2), since Linux 5.14.
POPULATE_WRITE = 23
AT_ONCE = 2**22  # bytes: who else needs memory waits for so long


def keep_freed_memory() -> bool:
    """Have the C library keep the memory of freed arrays for the next ones.

    By default glibc hands large blocks back to the system at once and fetches new ones, which the
    system has to fill with zeros first. A training step makes and frees the same large arrays
    again and again, and can spend half of its time on that. Kept, the process holds on to its
    largest need; ``METAGRAD_KEEP_MEMORY=0`` leaves the C library as it is.

    Returns:
        Whether the C library was told so: False where it is not glibc, or the user does not want
        it.
    """
    if os.environ.get("METAGRAD_KEEP_MEMORY", "1") == "0" or sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Blocks below the threshold come from the heap; old versions refuse one above 32 MiB.
    from_heap = mallopt(MMAP_THRESHOLD, LARGEST) or mallopt(MMAP_MAX, 0)
    return bool(from_heap and mallopt(TRIM_THRESHOLD, -1))


def asked_address(array: np.ndarray) -> int:
    """Where the entries of an array begin, as NumPy tells."""
    return int(array.__array_interface__["data"][0])


def read_address(array: np.ndarray) -> int:
    """The same from the first field of the array's object, whose address CPython's `id` is: NumPy
    makes objects to answer, and takes 0.9 µs; a small step has fifty arrays."""
    return _word_at(id(array) + object.__basicsize__).value


def _can_be_read() -> bool:
    samples = [np.arange(6.0), np.arange(6.0)[2:], np.zeros((2, 3), np.int8).T, np.empty(0)]
    is_cpython = sys.implementation.name == "cpython"
    return is_cpython and all(read_address(x) == asked_address(x) for x in samples)


_word_at = ctypes.c_size_t.from_address
address = read_address if _can_be_read() else asked_address


def pages(size: int) -> np.ndarray:
    """Zeros, bytes, from where a page begins.

    They come from the system as ordinary pages, for this process alone: NumPy asks for huge ones,
    which the system takes four times as long to make, and pages that could be shared take twice as
    long. Where it can, a thread has them made while the caller goes on.
    """
    alone = hasattr(mmap, "MAP_PRIVATE")  # which Windows has not, nor another way
    how = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if alone else {}
    memory = np.frombuffer(mmap.mmap(-1, size, **how), np.uint8)
    if sys.platform == "linux":
        threading.Thread(target=_have_made, args=(memory,), daemon=True).start()
    return memory


class Pool:
    """Large blocks of bytes, each lent to one call at a time, and kept for the next one.

    A program needs its memory during a call only. So what all programs of a process hold is what
    those need that run at the same time, and not what all of them need together.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[np.ndarray] = []

    @contextmanager
    def lent(self, sizes: Sequence[int]) -> Iterator[list[np.ndarray]]:
        """Blocks of at least these sizes, with anything in them, for as long as this is entered."""
        with self._lock:
            blocks = [self._taken(size) for size in sizes]
        try:
            yield blocks
        finally:
            with self._lock:
                self._free += blocks

    def _taken(self, size: int) -> np.ndarray:
        """The smallest free block that is large enough; or a new one, in the place of the largest
        of those that are not."""
        enough = [block for block in self._free if block.nbytes >= size]
        block = min(enough, key=_size) if enough else max(self._free, key=_size, default=None)
        if block is not None:
            self._free = [other for other in self._free if other is not block]
        if enough:
            assert block is not None
            return block
        del block  # its pages are free before new ones are asked for
        return pages(size)

    @property
    def bytes(self) -> int:
        """Of the blocks that are not lent."""
        return sum(map(_size, self._free))


def _size(block: np.ndarray) -> int:
    return block.nbytes


POOL = Pool()
"""Of all programs."""


def _have_made(memory: np.ndarray) -> None:
    """Ask for all pages of a block; older systems refuse, and make each when it is written to."""
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is not None:
        first, last = memory.ctypes.data, memory.ctypes.data + memory.nbytes
        for place in range(first, last, AT_ONCE):
            size = min(AT_ONCE, last - place)
            madvise(ctypes.c_void_p(place), ctypes.c_size_t(size), POPULATE_WRITE)
