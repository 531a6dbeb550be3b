"""Numba compilation on first use, cached on disk.

Importing a module of kernels compiles nothing and does not import Numba. The first call with a
dtype compiles for exactly the types of that call and stores the machine code beside the source,
or in the user's cache folder where the source is read-only, so that later processes only load it.

Numba notices a changed kernel by its source file, not by the files it calls into: a kernel and its
helpers belong in one file.
"""

import functools
import inspect
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

FLOATS = frozenset({np.dtype(np.float32), np.dtype(np.float64)})


class Compiled:
    """A Numba kernel that compiles itself once for each dtype of its first argument.

    Arrays have to be C-contiguous and aligned, as ``kernels.arrays.plain`` makes them.
    Read-only ones are accepted where the kernel does not write. Other arguments are ints.

    Attributes:
        function: the Python function, usable as it is, only slowly.
        compiled: Numba's dispatcher for each dtype met so far.
    """

    def __init__(
        self, function: Callable[..., None], writes: str, helpers: tuple[Callable, ...]
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.compiled: dict[np.dtype, Callable[..., None]] = {}
        self._writes = list(inspect.signature(function).parameters).index(writes)
        self._helpers = helpers

    def supports(self, dtype: np.dtype) -> bool:
        """Whether arrays of this dtype can be handed to the kernel; if not, use the reference."""
        return dtype in FLOATS and numba_loads()

    def __call__(self, *args: Any) -> None:
        try:
            run = self.compiled[args[0].dtype]
        except KeyError:
            run = self.compiled[args[0].dtype] = self._compile(args)
        run(*args)

    def _compile(self, args: tuple[Any, ...]) -> Callable[..., None]:
        import numba

        for helper in self._helpers:
            _make_callable_from_kernels(helper)
        signature = numba.void(
            *(_numba_type(arg, written=k == self._writes) for k, arg in enumerate(args))
        )
        # The GIL is released so that several threads can share one call.
        compile_with = functools.partial(
            numba.njit, signature, nogil=True, error_model="numpy", boundscheck=False
        )
        try:
            return compile_with(cache=True)(self.function)
        except Exception:  # no folder to write to, a full disk, a damaged cache: all but fatal
            return compile_with(cache=False)(self.function)


def compiled(*, writes: str, helpers: tuple[Callable, ...] = ()) -> Callable[..., Compiled]:
    """Declare a Numba kernel: a decorator for a function of arrays and ints that returns nothing.

    Args:
        writes: name of the array that the kernel fills. All others are inputs.
        helpers: plain Python functions of the same file that the kernel calls.
    """
    return lambda function: Compiled(function, writes, helpers)


@functools.cache
def numba_loads() -> bool:
    """Whether Numba is wanted (``METAGRAD_NUMBA=0`` says no) and can be imported."""
    if os.environ.get("METAGRAD_NUMBA", "1") == "0":
        return False
    try:
        import numba  # noqa: F401
    except Exception as error:  # a Numba that does not fit this NumPy fails in many ways
        warnings.warn(f"Numba cannot be loaded, using NumPy: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


@functools.cache
def _make_callable_from_kernels(helper: Callable) -> None:
    from numba.extending import register_jitable

    register_jitable(error_model="numpy")(helper)


def _numba_type(arg: Any, written: bool) -> Any:
    from numba import from_dtype, int64, types

    if not isinstance(arg, np.ndarray):
        return int64
    # A signature with read-only arrays accepts writable ones too.
    return types.Array(from_dtype(arg.dtype), arg.ndim, "C", readonly=not written)
