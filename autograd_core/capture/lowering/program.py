"""Programs: a graph as something to run."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph
from autograd_core.capture.lowering.lower import Lowered, NativeStep, PythonStep, Step, lower
from autograd_core.capture.lowering.places import Buffer, Place
from autograd_core.tensor import Tensor, box
from kernels.native.program import Call, Native
from kernels.native.text import BYTES

ALIGNMENT = 64


class Program:
    """A graph, lowered and compiled. Calls from several threads take turns."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.lowered: Lowered = lower(graph)
        self.offsets, self.arena_bytes = _plan(self.lowered.steps)
        self._arena = np.empty(self.arena_bytes + ALIGNMENT, np.uint8)
        self._constants = [
            np.ascontiguousarray(graph.constants[x].value) for x in graph.constants
        ]
        self._lock = threading.Lock()
        self._segments: list[Native | PythonStep] = []
        numbers = 1 + len(self.lowered.given) + len(self.lowered.results)
        for run in _runs(self.lowered.steps):
            if isinstance(run, PythonStep):
                self._segments.append(run)
            else:
                self._segments.append(Native([self._call(s) for s in run], [0] * numbers))
        self._start = -self._arena.ctypes.data % ALIGNMENT
        self._outputs = [(y.aval.shape, y.aval.dtype) for y in graph.outputs]

    def _call(self, step: NativeStep) -> Call:
        places = []
        for buffer, offset in step.operands:
            far = offset * BYTES[buffer.dtype]
            if buffer.local:
                places.append((0, self.offsets[buffer] + far))
            else:
                places.append((1 + buffer.number, far))
        return Call(step.kernel, tuple(places))

    def __call__(self, args: Sequence[Any]) -> list[Tensor]:
        arrays = [
            np.ascontiguousarray(x.value if x.__class__ is Tensor else x, v.aval.dtype)
            for x, v in zip(args, self.graph.inputs, strict=True)
        ]
        results = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        given = [*arrays, *self._constants, *results]
        with self._lock:
            pointers = [self._arena.ctypes.data + self._start]
            pointers += [x.__array_interface__["data"][0] for x in given]
            table = (ctypes.c_void_p * len(pointers))(*pointers)
            for segment in self._segments:
                if isinstance(segment, Native):
                    segment.run(table, 0, 1)
                else:
                    self._python(segment, given)
        return list(map(box, results))

    def _python(self, step: PythonStep, given: Sequence[np.ndarray]) -> None:
        values = []
        for x in step.inputs:
            if not isinstance(x, tuple):
                values.append(x)
                continue
            array = self._array(x[0], x[1], given)
            values.append(array.item() if x[2] else array)
        found = step.equation.primitive.kernel(*values, **step.equation.params)
        outs = found if step.equation.primitive.multiple else (found,)
        for (place, shape), value in zip(step.outputs, outs, strict=True):
            self._array(place, shape, given)[...] = value

    def _array(self, place: Place, shape: tuple[int, ...], given: Sequence[np.ndarray]) -> Any:
        buffer, item = place.buffer, BYTES[place.buffer.dtype]
        if buffer.local:
            memory, start = self._arena, self._start + self.offsets[buffer]
        else:
            memory, start = given[buffer.number].reshape(-1).view(np.uint8), 0
        strides = tuple(s * item for s in place.strides)
        return np.ndarray(shape, _dtype(buffer.dtype), memory, start + place.offset * item, strides)


def _dtype(code: str) -> np.dtype:
    return np.dtype("?" if code == "b1" else code)


def _runs(steps: Sequence[Step]) -> list:
    """Steps between those in Python, together."""
    runs: list = []
    for step in steps:
        if isinstance(step, PythonStep):
            runs.append(step)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(step)
        else:
            runs.append([step])
    return runs


def _plan(steps: Sequence[Step]) -> tuple[dict[Buffer, int], int]:
    """Where each local buffer lies in the arena, in bytes, and how long that is.

    A buffer's memory is free for others once the last step that reads it is done: best fit.
    """
    last: dict[Buffer, int] = {}
    for n, step in enumerate(steps):
        for buffer in (*step.reads, *step.writes):
            if buffer.local:
                last[buffer] = n
    ends: dict[int, list[Buffer]] = {}
    for buffer, n in last.items():
        ends.setdefault(n, []).append(buffer)
    offsets: dict[Buffer, int] = {}
    free: list[tuple[int, int]] = []  # (start, length), by start
    total = 0
    for n, step in enumerate(steps):
        for buffer in step.writes:
            if not buffer.local or buffer in offsets:
                continue
            need = -(-max(1, buffer.size) * BYTES[buffer.dtype] // ALIGNMENT) * ALIGNMENT
            fits = [(length, start) for start, length in free if length >= need]
            if fits:
                length, start = min(fits)
                free.remove((start, length))
                if length > need:
                    free.append((start + need, length - need))
            else:
                start, total = total, total + need
                if free and max(free)[0] + max(free)[1] == start:
                    before = max(free)
                    free.remove(before)
                    start, total = before[0], before[0] + need
            offsets[buffer] = start
        for buffer in ends.get(n, ()):
            if buffer in offsets:
                need = -(-max(1, buffer.size) * BYTES[buffer.dtype] // ALIGNMENT) * ALIGNMENT
                free = _joined([*free, (offsets[buffer], need)])
    return offsets, total


def _joined(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, length in sorted(free):
        if found and found[-1][0] + found[-1][1] == start:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((start, length))
    return found
