"""How many threads BLAS shares one product between.

OpenBLAS, which NumPy's wheels bring along, splits even small products, and its threads wait for
each other in a busy loop. Beside any other load on the machine that is slower, at times by an order
of magnitude, than kernels which share out whole products between threads of their own.
"""

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Controls(NamedTuple):
    """The functions of a BLAS library that ask for and set its number of threads."""

    get: Callable[[], int]
    set: Callable[[int], None]


_lock = threading.Lock()
_inside = 0
_outside_threads = 0


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let each product run on the thread that asks for it, until the last such block is left.

    Where the library is not the one that comes with NumPy, nothing is changed.
    """
    global _inside, _outside_threads
    controls = find_controls()
    if controls is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _outside_threads = controls.get()
            controls.set(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                controls.set(_outside_threads)


@functools.cache
def find_controls() -> Controls | None:
    """Those of the OpenBLAS that NumPy's wheel brought along; None without one."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in sorted(folder.glob("*openblas*")):
        library = ctypes.CDLL(str(path))
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                set_ = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                if get is not None and set_ is not None:
                    return Controls(get, set_)
    return None
