"""CUDA kernels on the CPU, for tests where there is no GPU: the same source, compiled by g++."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.gpu.launch import Place
from kernels.gpu.schedule import Turn
from kernels.gpu.source import FOLDER, assembled

FLAGS = ("-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-ffp-contract=off")


def compiler() -> str | None:
    """A C++ compiler, if there is one."""
    return shutil.which("g++") or shutil.which("clang++")


class HostKernels:
    """The kernels of a source text.

    Args:
        source: CUDA C++, without the prelude.
        names: of its kernels.

    Raises:
        RuntimeError: it does not compile.
    """

    def __init__(self, source: str, names: Sequence[str]):
        entries = "\n".join(
            f'extern "C" void run_{name}(unsigned* g, unsigned* b, void** given) '
            f"{{ shim::launch({name}, dim3(g[0], g[1], g[2]), dim3(b[0], b[1], b[2]), given); }}"
            for name in names
        )
        shim = (FOLDER / "host_shim.h").read_text()
        self._library = _library("\n".join([shim, assembled(source), entries]))

    def run(self, name: str, grid: Sequence[int], block: Sequence[int], *args: Any) -> None:
        """Launch a kernel on arrays, addresses (integers) and ctypes values."""
        values = list(map(_value, args))
        given = (ctypes.c_void_p * len(values))(
            *(ctypes.cast(ctypes.pointer(x), ctypes.c_void_p) for x in values)
        )
        three = lambda n: (ctypes.c_uint * 3)(*n, *[1] * (3 - len(n)))
        getattr(self._library, f"run_{name}")(three(grid), three(block), given)


def _value(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return ctypes.c_void_p(x.ctypes.data)
    return ctypes.c_void_p(int(x)) if isinstance(x, int | np.integer) else x


def places(arrays: Sequence[np.ndarray]) -> list[Place]:
    """Arrays as a generated kernel takes them; the table lives as long as one of its places."""
    table = np.array([x.ctypes.data for x in arrays], np.uint64)
    found = [Place(table.ctypes.data + 8 * n, 0) for n in range(len(arrays))]
    for each in found:
        each.table = table  # type: ignore[attr-defined]
    return found


class HostDevice:
    """The CPU in the place of a GPU: arrays are NumPy's."""

    name = "cpu"

    def upload(self, array: np.ndarray) -> np.ndarray:
        """A copy in the device's memory."""
        return np.array(array, order="C")

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Memory with anything in it: here what shows that it was read too early."""
        found = np.empty(tuple(shape), dtype)
        found.reshape(-1).view(np.uint8)[...] = 0xFF
        return found

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def addresses(self, arrays: Iterable[Any], strides: Iterable[tuple[int, ...]]) -> list[int]:
        """0 for each, as none lies on the device yet."""
        return [0 for _ in zip(arrays, strides, strict=True)]

    def writer(self, array: np.ndarray, count: int) -> Callable[[Sequence[int]], None]:
        """What gives the first entries of an array other values, in the order of all that is
        launched."""

        def write(numbers: Sequence[int]) -> None:
            array[:count] = numbers

        return write

    def module(self, sources: Mapping[str, str]) -> HostKernels:
        """Kernels, compiled."""
        return HostKernels("\n".join(sources.values()), list(sources))

    def captured(self, turns: Sequence[Turn]) -> Callable[[], None]:
        """What does all launches: each stream as far as it gets, the last one first, so that a step
        that does not wait for what it needs shows."""

        def run() -> None:
            waiting = dict(enumerate(turns))
            while waiting:
                stream = max(t.stream for n, t in waiting.items() if self._is_next(n, waiting))
                number = min(n for n, t in waiting.items() if t.stream == stream)
                waiting.pop(number).run()

        return run

    @staticmethod
    def _is_next(number: int, waiting: dict[int, Turn]) -> bool:
        """Whether a step is the first of its stream, and what it waits for is done."""
        turn = waiting[number]
        first = all(t.stream != turn.stream for n, t in waiting.items() if n < number)
        return first and not any(n in waiting for n in turn.after)

    def synchronize(self) -> None:
        """Nothing is left to wait for."""

    def __enter__(self) -> HostDevice:
        return self

    def __exit__(self, *_: Any) -> None: ...


@functools.lru_cache(maxsize=512)
def _library(text: str) -> ctypes.CDLL:
    found = compiler()
    if found is None:
        raise RuntimeError("no C++ compiler (g++ or clang++) was found to run CUDA kernels with")
    folder = Path(tempfile.gettempdir()) / "metagrad-host-kernels"
    folder.mkdir(exist_ok=True)
    name = hashlib.sha256(" ".join([found, *FLAGS, text]).encode()).hexdigest()[:32]
    library = folder / f"{name}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            source, built = Path(place) / "kernel.cpp", Path(place) / "kernel.so"
            source.write_text(text)
            done = subprocess.run(
                [found, *FLAGS, str(source), "-o", str(built)], capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"the kernel does not compile:\n{done.stderr[:4000]}")
            built.replace(library)
    return ctypes.CDLL(str(library))
