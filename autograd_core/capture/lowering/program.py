"""Programs: a graph as something to run."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph, Variable
from autograd_core.capture.lowering.lower import (
    NativeStep,
    PythonStep,
    Step,
    Target,
    is_native,
    lower,
)
from autograd_core.capture.lowering.mapping import Cut, cut
from autograd_core.capture.lowering.memory import ALIGNMENT, plan
from autograd_core.capture.lowering.places import Place, dense
from autograd_core.capture.lowering.points import code
from autograd_core.capture.passes import improve
from autograd_core.tensor import Tensor, box
from kernels.cpu.lazy import numba_loads
from kernels.cpu.threads import share, thread_count
from kernels.native.program import Call, Native
from kernels.native.text import BYTES

Array = np.ndarray


class Program:
    """A graph, lowered and compiled. Calls from several threads take turns."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._lock = threading.Lock()
        parts = cut(graph, is_native)
        self._run = Part(graph).run if parts is None else InTurns(graph, parts).run

    def __call__(self, args: Sequence[Any]) -> list[Tensor]:
        arrays = [
            np.ascontiguousarray(x.value if x.__class__ is Tensor else x, v.aval.dtype)
            for x, v in zip(args, self.graph.inputs, strict=True)
        ]
        results = [np.empty(y.aval.shape, y.aval.dtype) for y in self.graph.outputs]
        with self._lock:
            self._run(arrays, results)
        return list(map(box, results))


def can_compile(graph: Graph) -> bool:
    """Whether all values are of dtypes that programs can hold, and Numba's LLVM is to be used."""
    variables = [*graph.inputs, *graph.constants]
    variables += [y for e in graph.equations for y in e.outputs]
    return numba_loads() and all(code(x.aval.dtype) in BYTES for x in variables)


class Part:
    """Steps that run one after the other, once or in turns.

    Args:
        graph: what they compute.
        strides, targets: see `lower`.
        moves: for each input and output, by how many bytes it moves from one turn to the next.
    """

    def __init__(
        self,
        graph: Graph,
        strides: Sequence[tuple[int, ...]] | None = None,
        targets: Sequence[Target] | None = None,
        moves: tuple[Sequence[int], Sequence[int]] | None = None,
    ):
        self.lowered = lower(graph, strides, targets)
        self.offsets, self.arena_bytes = plan(self.lowered.steps)
        self._constants = [np.ascontiguousarray(x.value) for x in graph.constants.values()]
        fixed = [0] * (len(self._constants) + len(self.lowered.tables))
        into, out = moves or ([0] * len(graph.inputs), [0] * len(graph.outputs))
        counts = {
            "local": 1,
            "argument": len(into),
            "constant": len(self._constants),
            "table": len(self.lowered.tables),
            "result": len(out),
        }
        firsts = np.cumsum([0, *counts.values()]).tolist()
        self._first = dict(zip(counts, firsts, strict=False))
        steps = [0, *into, *fixed, *out]
        self.segments = [
            run if isinstance(run, PythonStep) else Native(list(map(self._call, run)), steps)
            for run in _runs(self.lowered.steps)
        ]
        self._arenas: list[Array] = []

    def _call(self, step: NativeStep) -> Call:
        places = []
        for buffer, offset in step.operands:
            far = offset * BYTES[buffer.dtype]
            if buffer.local:
                far += self.offsets.get(buffer, 0)  # an empty one has no place
            places.append((self._first[buffer.role] + buffer.number, far))
        return Call(step.kernel, tuple(places))

    def arena(self, number: int) -> Array:
        """The memory of the thread of a number."""
        while len(self._arenas) <= number:
            memory = np.empty(self.arena_bytes + ALIGNMENT, np.uint8)
            start = -memory.ctypes.data % ALIGNMENT
            self._arenas.append(memory[start : start + self.arena_bytes])
        return self._arenas[number]

    def run(
        self,
        arrays: Sequence[Array],
        results: Sequence[Array],
        turns: tuple[int, int] = (0, 1),
        thread: int = 0,
    ) -> None:
        """Run the steps: all of them in each turn."""
        arena = self.arena(thread)
        given = [arena, *arrays, *self._constants, *self.lowered.tables, *results]
        pointers = [x.__array_interface__["data"][0] for x in given]
        table = (ctypes.c_void_p * len(pointers))(*pointers)
        for segment in self.segments:
            if isinstance(segment, Native):
                segment.run(table, *turns)
            else:
                self._python(segment, given)

    def _python(self, step: PythonStep, given: Sequence[Array]) -> None:
        values = []
        for x in step.inputs:
            if not isinstance(x, tuple):
                values.append(x)
                continue
            place, shape, number = x
            array = self._array(place, shape, given)
            values.append(array.item() if number else array)
        primitive = step.equation.primitive
        found = primitive.kernel(*values, **step.equation.params)
        outs = found if primitive.multiple else (found,)
        for (place, shape), value in zip(step.outputs, outs, strict=True):
            self._array(place, shape, given)[...] = value

    def _array(self, place: Place, shape: tuple[int, ...], given: Sequence[Array]) -> Array:
        buffer, item = place.buffer, BYTES[place.buffer.dtype]
        if 0 in shape:
            return np.empty(shape, _dtype(buffer.dtype))
        memory = given[self._first[buffer.role] + buffer.number].reshape(-1).view(np.uint8)
        start = self.offsets.get(buffer, 0) if buffer.local else 0
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


class InTurns:
    """A graph that is cut along a mapped axis: threads share the turns."""

    def __init__(self, graph: Graph, parts: Cut):
        self.parts = parts
        self.inputs = graph.inputs
        self._constants = {x: np.ascontiguousarray(v.value) for x, v in graph.constants.items()}
        self.before = Part(parts.before)
        self.after = Part(parts.after)
        into = [_walk(x, a, parts.turns) for x, a in zip(parts.turn_inputs, parts.in_axes, strict=True)]
        out = [_walk(y, a, parts.turns) for y, a in zip(parts.turn_outputs, parts.out_axes, strict=True)]
        self.turn = Part(
            improve(parts.turn),
            [strides for strides, _ in into],
            [Target(s, a is None) for (s, _), a in zip(out, parts.out_axes, strict=True)],
            ([move for _, move in into], [move for _, move in out]),
        )
        self._between = {
            y: np.zeros(y.aval.shape, y.aval.dtype)
            for y in (*parts.before.outputs, *parts.turn_outputs)
        }
        self._threads = min(thread_count(), parts.turns)
        self._own = [self._results_of_thread(n) for n in range(self._threads)]

    def _results_of_thread(self, number: int) -> list[Array]:
        """What a thread writes to: sums of its own, slices of what all share."""
        return [
            self._between[y] if number == 0 or axis is not None else np.empty_like(self._between[y])
            for y, axis in zip(self.parts.turn_outputs, self.parts.out_axes, strict=True)
        ]

    def run(self, arrays: Sequence[Array], results: Sequence[Array]) -> None:
        """Run all parts."""
        values = {**self._between, **self._constants, **dict(zip(self.inputs, arrays, strict=True))}
        take = lambda variables: [values[x] for x in variables]
        self.before.run(arrays, take(self.parts.before.outputs))
        given = take(self.parts.turn_inputs)
        bounds = [self.parts.turns * n // self._threads for n in range(self._threads + 1)]

        def run(thread: int) -> None:
            own = self._own[thread]
            for y, axis in zip(own, self.parts.out_axes, strict=True):
                if axis is None:
                    y.fill(0)
            self.turn.run(given, own, (bounds[thread], bounds[thread + 1]), thread)

        share(self._threads, run)
        for more in self._own[1:]:
            for total, y, axis in zip(self._own[0], more, self.parts.out_axes, strict=True):
                if axis is None:
                    total += y
        self.after.run(take(self.parts.after.inputs), results)


def _walk(x: Variable, axis: int | None, turns: int) -> tuple[tuple[int, ...], int]:
    """The strides of an array's slice of a turn, and how many bytes the next one is away."""
    strides = dense(x.aval.shape)
    if axis is None:
        return strides, 0
    return strides, x.aval.shape[axis] // turns * strides[axis] * x.aval.dtype.itemsize

