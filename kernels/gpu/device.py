"""A GPU by way of CuPy: memory, modules, and launches that are captured once and replayed."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cupy as cp
import numpy as np

from kernels.gpu.eager import OPTIONS, argument, run
from kernels.gpu.library import Words
from kernels.gpu.schedule import Turn
from kernels.gpu.source import assembled

FLOAT = np.dtype(np.float32)
PART = 8
"""Kernels that are compiled together: less would be spent on what stands before them."""


class CudaDevice:
    """One GPU, by its number. As a context it is the one in use."""

    def __init__(self, number: int):
        self.name = f"cuda:{number}"
        self._device = cp.cuda.Device(number)

    def __enter__(self) -> CudaDevice:
        self._device.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._device.__exit__(*error)

    def upload(self, array: Any) -> Any:
        """An array without gaps in the device's memory: itself, or a copy."""
        return cp.ascontiguousarray(cp.asarray(array)).reshape(array.shape)

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """Memory from CuPy's pool, with anything in it."""
        return cp.empty(tuple(shape), dtype)

    def address(self, array: Any) -> int:
        return array.data.ptr

    def write(self, array: Any, numbers: np.ndarray) -> None:
        """Give the first entries of an array, whole numbers of 64 bits, other values, in the order
        of all that is launched. The numbers may be changed at once: they go along with a launch."""
        for first in range(0, len(numbers), Words.MOST):
            part = numbers[first : first + Words.MOST]
            words = Words()
            ctypes.memmove(ctypes.byref(words), part.ctypes.data, part.nbytes)
            run("table.cu", "write_words", FLOAT, len(part), array, words, first, len(part))

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
        return lambda: graph.launch(cp.cuda.get_current_stream())

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
