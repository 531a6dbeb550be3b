"""A GPU by way of CuPy: memory, modules, and launches that are captured once and replayed."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cupy as cp
import numpy as np

from kernels.gpu.eager import OPTIONS, THREADS, argument, by_value, kernel_of
from kernels.gpu.launch import ALIGNMENT
from kernels.gpu.library import Words
from kernels.gpu.schedule import Turn
from kernels.gpu.source import assembled

PART = 8
"""Kernels that are compiled together: less would be spent on what stands before them."""


class CudaDevice:
    """One GPU, by its number. As a context it is the one in use."""

    def __init__(self, number: int):
        self.name = f"cuda:{number}"
        self._number = number
        self._device = cp.cuda.Device(number)

    def __enter__(self) -> CudaDevice:
        self._device.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._device.__exit__(*error)

    def upload(self, array: Any) -> Any:
        """An array in the device's memory that kernels can read: itself, or a copy."""
        found = cp.ascontiguousarray(cp.asarray(array)).reshape(array.shape)
        return found.copy() if found.data.ptr % ALIGNMENT else found

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """Memory from CuPy's pool, with anything in it."""
        return cp.empty(tuple(shape), dtype)

    def address(self, array: Any) -> int:
        return array.data.ptr

    def addresses(self, arrays: Iterable[Any], strides: Iterable[tuple[int, ...]]) -> list[int]:
        """Where arrays lie; 0 for those of which that does not tell whether kernels can read them.

        Args:
            strides: of arrays of these shapes without gaps. CuPy tells strides in half of the time
                in which it tells whether there are gaps.
        """
        here, number, found = cp.ndarray, self._number, []
        for x, without_gaps in zip(arrays, strides, strict=True):
            address = 0
            if x.__class__ is here and x.strides == without_gaps:
                memory = x.data
                if memory.device_id == number and (start := memory.ptr) % ALIGNMENT == 0:
                    address = start
            found.append(address)
        return found

    def writer(self, array: Any, count: int) -> Callable[[Sequence[int]], None]:
        """What gives the first entries of an array, whole numbers of 64 bits, other values, in the
        order of all that is launched: they go along with launches."""
        kernel = kernel_of("table.cu", "write_words", "f4")
        parts = []
        for first in range(0, count, Words.MOST):
            size, words = min(count - first, Words.MOST), Words()
            given = array, by_value(words), np.int64(first), np.int64(size)
            part = slice(first, first + size)
            parts.append((part, struct.Struct(f"{size}Q").pack_into, words, given))

        def write(numbers: Sequence[int]) -> None:
            for part, pack, words, given in parts:
                pack(words, 0, *numbers[part])
                kernel((1,), (THREADS,), given)

        return write

    def module(self, sources: Mapping[str, str]) -> Kernels:
        """Kernels, compiled; what was compiled before comes from CuPy's cache on disk."""
        return Kernels(sources, self._device)

    def captured(self, turns: Sequence[Turn]) -> Callable[[], None]:
        """What does all launches at once: a CUDA graph, in which steps of different streams depend
        on each other only where they say so."""
        count = 1 + max((turn.stream for turn in turns), default=0)
        streams = [cp.cuda.Stream(non_blocking=True) for _ in range(count)]
        awaited = {n for turn in turns for n in turn.after}
        done: dict[int, Any] = {}
        streams[0].begin_capture()
        try:
            start = self._event(streams[0])
            for stream in streams[1:]:
                stream.wait_event(start)
            for number, turn in enumerate(turns):
                stream = streams[turn.stream]
                for n in turn.after:
                    stream.wait_event(done[n])
                with stream:
                    turn.run()
                if number in awaited:
                    done[number] = self._event(stream)
            for stream in streams[1:]:
                streams[0].wait_event(self._event(stream))
        finally:
            graph = streams[0].end_capture()
        return graph.launch  # on the current stream

    @staticmethod
    def _event(stream: Any) -> Any:
        """What happens when all that a stream was given so far is done."""
        event = cp.cuda.Event(disable_timing=True)
        event.record(stream)
        return event

    def synchronize(self) -> None:
        """Wait until all that was launched is done."""
        self._device.synchronize()


class Kernels:
    """Kernels by their names, compiled on all cores: NVRTC takes 40 ms for each."""

    def __init__(self, sources: Mapping[str, str], gpu: Any):
        names = list(sources)
        count = min(os.cpu_count() or 1, -(-len(names) // PART))
        parts = [names[first::count] for first in range(count)]

        def compiled(part: list[str]) -> Any:
            with gpu:  # each thread has a GPU in use of its own
                source = "\n".join(sources[name] for name in part)
                module = cp.RawModule(code=assembled(source), options=OPTIONS)
                module.compile()
                return module

        with ThreadPoolExecutor(max(count, 1)) as threads:
            modules = list(threads.map(compiled, parts))
        self._functions = {
            name: module.get_function(name)
            for module, part in zip(modules, parts, strict=True)
            for name in part
        }

    def run(self, name: str, grid: Sequence[int], block: Sequence[int], *args: Any) -> None:
        """Launch a kernel on the current stream."""
        self._functions[name](tuple(grid), tuple(block), tuple(map(argument, args)))


@functools.cache
def device(name: str) -> CudaDevice:
    """A GPU by its name, "cuda:0" and so on."""
    return CudaDevice(int(name.partition(":")[2]))
