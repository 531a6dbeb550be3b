"""Programs: a graph as something to run.

All arrays that a program works on are named by slots of one table of pointers. Most of its entries
never change; a call fills in those of its arguments and results, and runs the routines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph, Variable
from autograd_core.capture.lowering.lower import (
    Lowered,
    NativeStep,
    PythonStep,
    Target,
    is_native,
    lower,
)
from autograd_core.capture.lowering.mapping import (
    SECONDS_PER_BYTE,
    SECONDS_PER_FLOP,
    SECONDS_PER_STEP,
    Cut,
    cut,
    cut_batch,
)
from autograd_core.capture.lowering.memory import ALIGNMENT, plan
from autograd_core.capture.lowering.places import Place, dense
from autograd_core.capture.lowering.points import code
from autograd_core.capture.passes import FOR_TURNS, improve
from autograd_core.primitive import explain
from autograd_core.tensor import Tensor, box
from kernels.cpu.threads import share, thread_count
from kernels.memory import pages
from kernels.native.machine import llvm_loads
from kernels.native.program import Call, Native, Routine, work
from kernels.native.text import BYTES

Array = np.ndarray

LARGE = 2**22
WORTH_A_THREAD = 2e-4
"""Seconds of work that are worth waking a thread for; estimated by the numbers above."""


def can_compile(graph: Graph) -> bool:
    """Whether all values are of dtypes that programs can hold, and LLVM is to be used."""
    variables = [*graph.inputs, *graph.constants]
    variables += [y for e in graph.equations for y in e.outputs]
    return llvm_loads() and all(code(x.aval.dtype) in BYTES for x in variables)


class Slots:
    """The slots of a program's table: first arguments, then results, then what never changes."""

    def __init__(self, arguments: int, results: int):
        self.results = arguments
        self.fixed = arguments + results
        self.arrays: list[Array] = []

    def add(self, array: Array) -> int:
        """The slot of an array that is the program's own."""
        self.arrays.append(array)
        return self.fixed + len(self.arrays) - 1


class Part:
    """A graph as steps over slots.

    Args:
        graph: what the steps compute.
        inputs, outputs: the slots of its inputs and outputs.
        strides, targets: see `lower`.
        moves: by how many bytes an address in a slot moves from one turn to the next.
    """

    def __init__(
        self,
        graph: Graph,
        slots: Slots,
        inputs: Sequence[int],
        outputs: Sequence[int],
        strides: Sequence[tuple[int, ...]] | None = None,
        targets: Sequence[Target] | None = None,
        moves: Sequence[tuple[int, int]] = (),
    ):
        self.lowered: Lowered = lower(graph, strides, targets)
        self.offsets, self.arena_bytes = plan(self.lowered.steps)
        constants = [np.ascontiguousarray(x.value) for x in graph.constants.values()]
        self.arena = slots.add(aligned(self.arena_bytes))
        self._slots = {
            "local": [self.arena],
            "argument": list(inputs),
            "constant": list(map(slots.add, constants)),
            "table": list(map(slots.add, self.lowered.tables)),
            "result": list(outputs),
        }
        self._moves = tuple(moves)
        self.items: list[PythonStep | Routine] = self._together()

    def _together(self) -> list[PythonStep | Routine]:
        """Steps between those in Python, as routines."""
        items: list[PythonStep | list[Call]] = []
        for step in self.lowered.steps:
            if isinstance(step, PythonStep):
                items.append(step)
            elif items and isinstance(items[-1], list):
                items[-1].append(self._call(step))
            else:
                items.append([self._call(step)])
        return [x if isinstance(x, PythonStep) else Routine(tuple(x), self._moves) for x in items]

    def alone(self) -> list[PythonStep | Routine]:
        """The steps, each by itself."""
        return [
            x if isinstance(x, PythonStep) else Routine((self._call(x),), self._moves)
            for x in self.lowered.steps
        ]

    def _call(self, step: NativeStep) -> Call:
        places = []
        for buffer, offset in step.operands:
            far = offset * BYTES[buffer.dtype]
            if buffer.local:
                far += self.offsets.get(buffer, 0)  # an empty one has no place
            places.append((self._slots[buffer.role][buffer.number], far))
        return Call(step.kernel, tuple(places))

    @property
    def seconds(self) -> float:
        """About how long the steps take, once."""
        total = 0.0
        for step in self.lowered.steps:
            if isinstance(step, NativeStep):
                flops, reached = work(step.kernel)
                total += max(flops * SECONDS_PER_FLOP, reached * SECONDS_PER_BYTE)
            total += SECONDS_PER_STEP
        return total

    def python(self, step: PythonStep, arrays: Sequence[Array]) -> None:
        """Run the kernel of a primitive; `arrays` are those of all slots."""
        values = []
        for x in step.inputs:
            if isinstance(x, tuple):
                place, shape = x
                values.append(self._array(place, shape, arrays))
            else:
                values.append(x)
        primitive = step.equation.primitive
        try:
            found = primitive.kernel(*values, **step.equation.params)
        except Exception as error:
            raise explain(primitive, values, step.equation.params, error) from error
        outs = found if primitive.multiple else (found,)
        for (place, shape), value in zip(step.outputs, outs, strict=True):
            self._array(place, shape, arrays)[...] = value

    def _array(self, place: Place, shape: tuple[int, ...], arrays: Sequence[Array]) -> Array:
        buffer, item = place.buffer, BYTES[place.buffer.dtype]
        dtype = np.dtype("?" if buffer.dtype == "b1" else buffer.dtype)
        if 0 in shape:
            return np.empty(shape, dtype)
        memory = arrays[self._slots[buffer.role][buffer.number]].reshape(-1).view(np.uint8)
        start = self.offsets.get(buffer, 0) if buffer.local else 0
        strides = tuple(s * item for s in place.strides)
        return np.ndarray(shape, dtype, memory, start + place.offset * item, strides)


def aligned(size: int) -> Array:
    """Bytes that begin where a cache line does."""
    if size >= LARGE:
        return pages(size)
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class Program:
    """A graph, lowered and compiled. Calls from several threads take turns.

    Where the graph can be cut along a mapped axis, its turns are shared between threads: each has
    memory of its own, and sums of its own, which are added up in the order of the threads.

    Args:
        graph: improved.
        empty: `empty(shape, dtype)` makes the arrays of results.
    """

    def __init__(self, graph: Graph, empty: Callable[..., Array] = np.empty):
        self.graph = graph
        self._empty = empty
        self._lock = threading.Lock()
        self._slots = Slots(len(graph.inputs), len(graph.outputs))
        self._variables = {x: n for n, x in enumerate(graph.inputs)}
        self.turn: Part | None = None
        self.turns, self.threads = 1, 1
        self._own: list[Array] = []  # arenas of all threads but the first
        self._sums: list[Array] = []  # for each dtype what all turns are summed to, then by thread
        parts = cut(graph, is_native) or cut_batch(graph, is_native, thread_count())
        results = [self._slots.results + n for n in range(len(graph.outputs))]
        if parts is None:
            self.before = Part(graph, self._slots, range(len(graph.inputs)), results)
            self.after: Part | None = None
        else:
            self._cut(parts, results)
        self._compile()

    # Building ---------------------------------------------------------------------------------

    def _cut(self, parts: Cut, results: Sequence[int]) -> None:
        slots, variables = self._slots, self._variables
        for x, value in self.graph.constants.items():
            variables[x] = slots.add(np.ascontiguousarray(value.value))
        for y in parts.before.outputs:
            variables[y] = slots.add(np.empty(y.aval.shape, y.aval.dtype))
        self.before = Part(
            parts.before, slots, self._of(parts.before.inputs), self._of(parts.before.outputs)
        )
        self._add_outputs_of_turns(parts)
        inputs, outputs = self._of(parts.turn_inputs), self._of(parts.turn_outputs)
        into = [
            _walk(x, a, parts.turns) for x, a in zip(parts.turn_inputs, parts.in_axes, strict=True)
        ]
        out = [
            _walk(y, a, parts.turns)
            for y, a in zip(parts.turn_outputs, parts.out_axes, strict=True)
        ]
        # A value may be read whole and in slices, so slices have slots of their own.
        self._slices = [(slot, slots.add(slots_array(slots, slot))) for slot in inputs]
        mine = [second for _, second in self._slices]
        moves = [(s, m) for s, (_, m) in zip((*mine, *outputs), (*into, *out), strict=True) if m]
        targets = [Target(s, a is None) for (s, _), a in zip(out, parts.out_axes, strict=True)]
        strides = [strides for strides, _ in into]
        self.turns = parts.turns
        self.turn = Part(
            improve(parts.turn, FOR_TURNS), slots, mine, outputs, strides, targets, moves
        )
        if self.turn.seconds * self.turns > WORTH_A_THREAD:
            self.threads = min(thread_count(), self.turns)
        self._own = [aligned(self.turn.arena_bytes) for _ in range(1, self.threads)]
        self.after = Part(parts.after, slots, self._of(parts.after.inputs), results)

    def _of(self, variables: Sequence[Variable]) -> list[int]:
        return [self._variables[x] for x in variables]

    def _add_outputs_of_turns(self, parts: Cut) -> None:
        """Arrays for what turns write; what they add up lies in one array for each dtype."""
        self._summed: dict[np.dtype, list[tuple[int, int, int]]] = {}
        for y, axis in zip(parts.turn_outputs, parts.out_axes, strict=True):
            if axis is not None:
                self._variables[y] = self._slots.add(np.empty(y.aval.shape, y.aval.dtype))
                continue
            placed = self._summed.setdefault(y.aval.dtype, [])
            line = ALIGNMENT // y.aval.dtype.itemsize
            start = -(-sum(placed[-1][1:]) // line) * line if placed else 0
            slot = self._slots.add(np.empty(0))
            placed.append((slot, start, y.aval.size))
            self._variables[y] = slot

    def _compile(self) -> None:
        self._tables = np.zeros((self.threads, 0), np.uintp)
        parts = [p for p in (self.before, self.turn, self.after) if p is not None]
        routines = [item for part in parts for item in part.items if isinstance(item, Routine)]
        native = Native(routines) if routines else None
        runs = iter(native.run if native else ())
        self._native = native  # which holds the code
        self._stages: list[list[tuple[Part, PythonStep | Routine, Any]]] = [
            [(part, x, next(runs) if isinstance(x, Routine) else None) for x in part.items]
            for part in parts
        ]
        for dtype, placed in self._summed.items() if self.turn else ():
            sums = np.empty((self.threads, sum(placed[-1][1:])), dtype)
            self._sums.append(sums)
            for slot, start, size in placed:
                self._slots.arrays[slot - self._slots.fixed] = sums[0, start : start + size]
        fixed = [x.ctypes.data for x in self._slots.arrays]
        self._tables = np.tile(
            np.array([0] * self._slots.fixed + fixed, np.uintp), (self.threads, 1)
        )
        self._addresses = [int(row.ctypes.data) for row in self._tables]
        for thread, own in enumerate(self._own, 1):
            assert self.turn is not None
            self._tables[thread, self.turn.arena] = own.ctypes.data
            for sums, placed in zip(self._sums, self._summed.values(), strict=True):
                for slot, start, _ in placed:
                    self._tables[thread, slot] = sums[thread, start:].ctypes.data
        self._outputs = [(y.aval.shape, y.aval.dtype) for y in self.graph.outputs]
        self._dtypes = [x.aval.dtype for x in self.graph.inputs]

    @property
    def parts(self) -> dict[str, Part]:
        """What is done in each call, and what in each turn."""
        parts = {"before": self.before, "turn": self.turn, "after": self.after}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def steps(self) -> int:
        """How many steps there are, those of a turn once."""
        return sum(len(part.lowered.steps) for part in self.parts.values())

    @property
    def bytes(self) -> int:
        """Memory beside arguments and results: of all threads, of what lies between the parts, and
        of constants."""
        fixed = sum(x.nbytes for x in self._slots.arrays)
        return fixed + sum(x.nbytes for x in self._own) + sum(x.nbytes for x in self._sums)

    # Running ----------------------------------------------------------------------------------

    def __call__(self, args: Sequence[Any]) -> list[Tensor]:
        arrays = list(map(_plain, args, self._dtypes))
        results = [self._empty(shape, dtype) for shape, dtype in self._outputs]
        with self._lock:
            self._run([*arrays, *results])
        return list(map(box, results))

    def _run(self, given: list[Array]) -> None:
        pointers = [x.__array_interface__["data"][0] for x in given]
        self._tables[:, : len(pointers)] = pointers
        if self.turn is None:
            self._stage(0, given)
            return
        for slot, again in self._slices:
            self._tables[:, again] = self._tables[0, slot]
        self._stage(0, given)
        for sums in self._sums:
            sums.fill(0)
        if self.threads == 1:
            self._turns(0)
        else:
            share(self.threads, self._turns)
            for sums in self._sums:
                for more in sums[1:]:
                    sums[0] += more
        self._stage(2, given)

    def one_by_one(self, args: Sequence[Any]) -> list[Callable[[], None]]:
        """The steps as functions of their own, on these arguments, to be called in this order."""
        arrays = list(map(_plain, args, self._dtypes))
        results = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        table = self._tables[0].copy()
        given = [*arrays, *results]
        table[: len(given)] = [x.ctypes.data for x in given]
        for slot, again in self._slices if self.turn else ():
            table[again] = table[slot]
        alone = [
            (part, item, turns)
            for name, part in self.parts.items()
            for item in part.alone()
            for turns in [self.turns if name == "turn" else 1]
        ]
        native = Native([item for _, item, _ in alone if isinstance(item, Routine)])
        runs = iter(native.run)
        everything = [*given, *self._slots.arrays]

        def function(part: Part, item: PythonStep | Routine, turns: int) -> Callable[[], None]:
            if isinstance(item, PythonStep):
                return lambda: part.python(item, everything)
            run = next(runs)
            # The code and all memory that it works on have to stay as long as the function does.
            held = native, table, everything
            return lambda: run(held[1].ctypes.data, 0, turns)

        return [function(*x) for x in alone]

    def _stage(self, number: int, given: list[Array]) -> None:
        for part, item, run in self._stages[number]:
            if isinstance(item, PythonStep):
                part.python(item, [*given, *self._slots.arrays])
            else:
                run(self._addresses[0], 0, 1)

    def _turns(self, thread: int) -> None:
        first, last = (self.turns * n // self.threads for n in (thread, thread + 1))
        for _, _, run in self._stages[1]:
            run(self._addresses[thread], first, last)


def slots_array(slots: Slots, slot: int) -> Array:
    """The array of a slot, or a stand-in where each call brings its own."""
    return slots.arrays[slot - slots.fixed] if slot >= slots.fixed else np.empty(0)


def _plain(x: Any, dtype: np.dtype) -> Array:
    """An argument as an array without gaps."""
    value = x.value if x.__class__ is Tensor else x
    if value.__class__ is np.ndarray and value.flags.c_contiguous:
        return value
    return np.ascontiguousarray(value, dtype)


def _walk(x: Variable, axis: int | None, turns: int) -> tuple[tuple[int, ...], int]:
    """The strides of an array's slice of a turn, and how many bytes the next one is away."""
    strides = dense(x.aval.shape)
    if axis is None:
        return strides, 0
    return strides, x.aval.shape[axis] // turns * strides[axis] * x.aval.dtype.itemsize
