"""A stand-in for CuPy where there is no GPU, as strict as CuPy itself.

Its arrays lie in this machine's memory, but nothing else is let through that CuPy would refuse:
they do not mix with NumPy's, do not turn into them unasked, and have only functions, methods and
parameters that CuPy has (looked up in the real one where it is installed). Kernels of CUDA sources
are compiled for the CPU, as `kernels.gpu.host` does. What only a GPU can show, it cannot.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from kernels.gpu.host import HostKernels
from kernels.gpu.source import assembled


def _words(text: str) -> list[str]:
    return text.split()


FUNCTIONS = _words(
    """
    absolute add all any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin
    argsort array_equal ascontiguousarray bitwise_and bitwise_or bitwise_xor broadcast_to can_cast
    cbrt ceil choose clip concatenate conj conjugate
    copysign copyto cos cosh cumprod cumsum diagonal diff divide
    einsum empty_like equal exp exp2 expand_dims expm1 eye flip float_power floor floor_divide
    fmod full_like greater greater_equal heaviside hypot invert isfinite isinf isnan left_shift
    less less_equal log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
    logical_xor matmul max maximum mean min minimum mod moveaxis multiply ndim negative nextafter
    nonzero not_equal ones_like pad power prod put_along_axis ravel reciprocal remainder repeat
    reshape result_type right_shift rint roll searchsorted shape sign signbit sin sinh size sort
    sqrt square squeeze stack subtract sum swapaxes take take_along_axis tan tanh tensordot
    transpose tril triu true_divide trunc where zeros_like
    """
)
FFT = _words("fft fftn ifft ifftn irfft rfft")
MAKERS = _words(
    """
    arange empty eye full linspace ones tri zeros
    """
)
METHODS = _words(
    """
    all any argmax argmin argsort astype clip copy cumprod cumsum diagonal dot fill flatten item
    max mean min nonzero prod put ravel repeat reshape round searchsorted sort squeeze std sum
    swapaxes take tolist trace transpose var view
    """
)


REDUCTIONS = {(name, how) for name in ("add", "multiply") for how in ("reduce", "accumulate")}
"""Of ufuncs, those that CuPy has."""


def _part(name: str) -> property:
    """The real or imaginary parts, a view that can be written to."""

    def write(self: Any, x: Any) -> None:
        setattr(self._a, name, _unwrapped(x))

    return property(lambda self: ndarray(getattr(self._a, name)), write)


class ndarray:
    """An array "on the GPU"."""

    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = None, memptr: Any = None, strides: Any = None):
        if isinstance(shape, np.ndarray):
            self._a = shape
        else:
            pointer, start = memptr
            self._a = np.ndarray(shape, dtype, pointer, start, strides)

    # What a GPU's array tells of itself.
    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: ndarray(self._a.T))
    mT = property(lambda self: ndarray(self._a.mT))
    real = _part("real")
    imag = _part("imag")
    base = property(lambda self: None if self._a.base is None else ndarray(self._a.base))
    device = property(lambda _: Device(0))

    @property
    def flags(self) -> Any:
        flags = self._a.flags
        return types.SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata
        )

    @property
    def data(self) -> Any:
        return Pointer(self._a)

    @property
    def __cuda_array_interface__(self) -> dict:
        return self._a.__array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        """CuPy's are never read-only. No library takes the capsule for memory of a GPU."""
        assert set(options) <= {"stream", "max_version", "dl_device", "copy"}
        return self._a

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if isinstance(arr, ndarray) or arr.dtype != self.dtype or arr.shape != self.shape:
            raise TypeError("set() takes a NumPy array of the same shape and dtype")
        self._a[...] = arr

    def get(self) -> np.ndarray:
        return self._a.copy()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = out[0]
        found = getattr(cupy, ufunc.__name__, None)
        if found is None:
            return NotImplemented
        if method == "__call__":
            return found(*inputs, **kwargs)
        if (ufunc.__name__, method) not in REDUCTIONS:
            raise NotImplementedError(f"`cupy_{ufunc.__name__}.{method}` is not supported yet")
        return _wrapped(getattr(ufunc, method)(*_unwrapped(inputs), **_unwrapped(kwargs)))

    def __array_function__(self, func: Any, handled: Any, args: Any, kwargs: Any) -> Any:
        found: Any = cupy
        for part in func.__module__.split(".")[1:]:
            found = getattr(found, part, None)
        found = getattr(found, func.__name__, None)
        return NotImplemented if found is None else found(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return _wrapped(self._a[_unwrapped(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._a[_unwrapped(key)] = _unwrapped(value)

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator:
        return (ndarray(np.asarray(x)) for x in self._a)

    def __bool__(self) -> bool:
        return bool(self._a)

    def __int__(self) -> int:
        return int(self._a)

    def __float__(self) -> float:
        return float(self._a)

    def __index__(self) -> int:
        return self._a.__index__()

    def __repr__(self) -> str:
        return repr(self._a)

    __hash__ = None  # type: ignore[assignment]


ndarray.__module__ = "cupy"


class Pointer:
    """Memory on the GPU, from an array's first byte."""

    def __init__(self, array: np.ndarray):
        self.ptr = array.ctypes.data
        self.device_id = 0
        self._array = array

    def __add__(self, start: int) -> tuple[np.ndarray, int]:
        return self._array, start


def _unwrapped(x: Any) -> Any:
    """Arguments for NumPy; refused where CuPy would refuse them."""
    if isinstance(x, ndarray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, tuple | list):
        return type(x)(map(_unwrapped, x))
    if isinstance(x, dict):
        return {k: _unwrapped(v) for k, v in x.items()}
    return x


def _wrapped(x: Any) -> Any:
    if isinstance(x, np.ndarray | np.generic):
        return ndarray(np.asarray(x))
    if isinstance(x, tuple) and hasattr(x, "_fields"):  # linalg's named results
        return type(x)(*map(_wrapped, x))
    return type(x)(map(_wrapped, x)) if isinstance(x, tuple | list) else x


def _real(path: str) -> Any:
    """The real CuPy's function, if CuPy is there."""
    found = REAL
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _function(path: str) -> Callable:
    """NumPy's function of a name, called as CuPy's can be."""
    function: Any = np
    for part in path.split("."):
        function = getattr(function, part)
    signature = None
    if REAL is not None:
        try:
            signature = inspect.signature(_real(path))
        except (TypeError, ValueError):  # a ufunc
            signature = None

    def call(*args: Any, **kwargs: Any) -> Any:
        if signature is not None:
            signature.bind(*args, **kwargs)
        args, kwargs = _unwrapped(args), _unwrapped(kwargs)
        out = kwargs.get("out")
        with np.errstate(all="ignore"):
            found = function(*args, **kwargs)
        if path == "copyto":
            return None
        return ndarray(out) if out is not None else _wrapped(found)

    call.__name__ = path.rpartition(".")[2]
    return call


def _method(name: str) -> Callable:
    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        found = getattr(self._a, name)(*_unwrapped(args), **_unwrapped(kwargs))
        return found if name in ("item", "tolist") else _wrapped(found)

    return call


BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "matmul": "matmul",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift",
    "rshift": "right_shift",
}  # fmt: skip
COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip


def _operators() -> None:
    for name, function in {**BINARY, **COMPARISONS}.items():
        call = _function(function)
        setattr(ndarray, f"__{name}__", lambda x, y, call=call: call(x, y))
        if name in BINARY:
            setattr(ndarray, f"__r{name}__", lambda x, y, call=call: call(y, x))
            setattr(ndarray, f"__i{name}__", lambda x, y, call=call: call(x, y, out=x))
    for name, function in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
        setattr(ndarray, f"__{name}__", _function(function))
    for name in METHODS:
        if REAL is None or hasattr(REAL.ndarray, name):
            setattr(ndarray, name, _method(name))


# Devices, streams, modules --------------------------------------------------------------------


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, message: str = ""):
        super().__init__(message)
        self.status = status


CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"


class OutOfMemoryError(MemoryError):
    """The pool's."""


class Device:
    def __init__(self, number: int | None = None):
        self.id = number or 0

    compute_capability = "90"
    attributes = types.MappingProxyType({"MultiProcessorCount": 132})
    mem_info = (2**33, 2**34)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def use(self) -> None: ...

    def synchronize(self) -> None: ...


class Graph:
    """What a stream captured: launches, to be done when the graph is launched."""

    def __init__(self, work: list[Callable[[], None]]):
        self.work = work

    def launch(self, stream: Any = None) -> None:
        for each in self.work:
            each()

    def upload(self, stream: Any = None) -> None: ...


class Stream:
    """One that captures does so until it ends, and so do those that wait for its events."""

    current: ClassVar[list[Stream]] = []

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False):
        self.captured: list[Callable[[], None]] | None = None
        self.ptr = id(self)

    def __enter__(self) -> Stream:
        Stream.current.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        Stream.current.pop()

    def begin_capture(self, mode: Any = None) -> None:
        self.captured = []

    def end_capture(self) -> Graph:
        work, self.captured = self.captured, None
        assert work is not None
        return Graph(work)

    def synchronize(self) -> None:
        if self.captured is not None:
            raise CUDARuntimeError(900, "operation not permitted when stream is capturing")

    def wait_event(self, event: Event) -> None:
        assert event.recorded
        if event.captured is not None:
            self.captured = event.captured


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False):
        self.captured: list[Callable[[], None]] | None = None
        self.recorded = False

    def record(self, stream: Stream) -> None:
        self.captured, self.recorded = stream.captured, True

    def synchronize(self) -> None: ...


class RawModule:
    """CUDA C++ compiled for the CPU."""

    def __init__(self, *, code: str, options: tuple = (), backend: str = "nvrtc"):
        assert backend == "nvrtc" and "-std=c++17" in options
        shared = assembled("")
        assert code.startswith(shared)
        own = code[len(shared) :]
        names = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(', own)
        self._kernels = HostKernels(own, names)

    def compile(self) -> None: ...

    def get_function(self, name: str) -> Callable:
        return RawKernel(self._kernels, name)


class RawKernel:
    def __init__(self, kernels: HostKernels, name: str):
        self._kernels, self._name = kernels, name

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        given = [_parameter(x) for x in args]
        launch = lambda: self._kernels.run(self._name, grid, block, *given)
        stream = Stream.current[-1] if Stream.current else None
        if stream is not None and stream.captured is not None:
            stream.captured.append(launch)
        else:
            launch()


def _parameter(x: Any) -> Any:
    """What CuPy passes to a kernel: pointers of its arrays, scalars and single entries by value."""
    if isinstance(x, ndarray):
        return ctypes.c_void_p(x.data.ptr)
    if isinstance(x, np.ndarray):
        if x.size != 1:
            raise TypeError("only numpy.ndarrays of size one can be passed by value")
        return (ctypes.c_char * x.nbytes).from_buffer_copy(x.tobytes())
    if isinstance(x, np.generic):
        return (ctypes.c_char * x.nbytes).from_buffer_copy(x.tobytes())
    if isinstance(x, bool | int | float):
        return _parameter(np.asarray(x)[()])
    raise TypeError(f"Unsupported type {type(x)}")


# The module -----------------------------------------------------------------------------------


def _array(data: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    x = data._a if isinstance(data, ndarray) else data
    return ndarray(np.array(x, dtype, copy=copy or None, order=order))


def _asarray(data: Any, dtype: Any = None) -> ndarray:
    return _array(data, dtype, copy=not isinstance(data, ndarray))


def _from_dlpack(array: Any) -> ndarray:
    assert array.__dlpack_device__()[0] == 2
    return ndarray(array.__dlpack__(stream=1))


def _argsort(a: ndarray, axis: int = -1, kind: str | None = None) -> ndarray:
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return ndarray(np.argsort(a._a, axis=axis, kind="stable"))


def _built() -> types.ModuleType:
    module = types.ModuleType("cupy")
    module.__version__ = "14.0.0"  # type: ignore[attr-defined]
    for name in sorted({*FUNCTIONS, *MAKERS}):
        if REAL is None or hasattr(REAL, name):
            setattr(module, name, _function(name))
    transforms = {name: _function(f"fft.{name}") for name in FFT}
    module.fft = types.SimpleNamespace(**transforms)  # type: ignore[attr-defined]
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: 1,
        driverGetVersion=lambda: 13020,
        runtimeGetVersion=lambda: 13020,
    )
    cuda = types.SimpleNamespace(
        runtime=runtime,
        Device=Device,
        Stream=Stream,
        Event=Event,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        get_current_stream=lambda: Stream.current[-1] if Stream.current else Stream(),
    )
    members = dict(
        ndarray=ndarray, array=_array, asarray=_asarray, argsort=_argsort, from_dlpack=_from_dlpack,
        RawModule=RawModule, cuda=cuda,
    )  # fmt: skip
    for name, value in members.items():
        setattr(module, name, value)
    return module


try:
    REAL: Any = importlib.import_module("cupy")
except ImportError:
    REAL = None
if REAL is not None and getattr(REAL, "ndarray", None) is ndarray:
    raise ImportError("the stand-in took itself for CuPy")
cupy: Any = _built()
_operators()


@contextmanager
def in_place_of_cupy() -> Iterator[None]:
    """`import cupy` gives the stand-in, and there is one GPU."""
    from kernels import devices

    before = sys.modules.get("cupy")
    sys.modules["cupy"] = cupy
    devices._gpu_count.cache_clear()
    try:
        yield
    finally:
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before
        devices._gpu_count.cache_clear()
