"""From a graph to the plan of its program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np

from autograd_core.capture.graph import Graph, Variable
from autograd_core.capture.lowering.costs import cost
from autograd_core.capture.lowering.in_place import overwriting
from autograd_core.capture.lowering.lower import (
    Lowered,
    Lowering,
    NativeStep,
    PythonStep,
    Target,
    copy_loop,
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
from autograd_core.capture.lowering.places import Buffer, Place, dense
from autograd_core.capture.lowering.plan import (
    Arena,
    Array,
    Fresh,
    OfGraph,
    Own,
    Plan,
    PythonRun,
    Slice,
    Summed,
    Table,
)
from autograd_core.capture.lowering.points import code
from autograd_core.capture.lowering.turns import turned_order
from autograd_core.capture.passes import FOR_TURNS, improve
from autograd_core.primitive import explain
from autograd_core.tensor import Tensor
from kernels.cpu.threads import thread_count
from kernels.devices import namespace, to_host, view
from kernels.gpu.schedule import Access, Span
from kernels.loops import merged
from kernels.native.program import Call, Routine, work
from kernels.native.text import BYTES

MATRIX = 2
"""Axes of what products read either way, so that its order is left alone."""
WORTH_A_THREAD = 2e-4
"""Seconds of work that are worth waking a thread for; estimated by the numbers above."""


class Slots:
    """The slots of a program in the making."""

    def __init__(self, graph: Graph, constants: Iterable[Tensor]):
        self.results = len(graph.inputs)
        self.fixed = len(graph.inputs) + len(graph.outputs)
        self.own: list[Own] = []
        self.tables: list[Array] = []
        self._numbers = {id(value): n for n, value in enumerate(constants)}

    def add(self, own: Own) -> int:
        """The slot of something of the program's own."""
        self.own.append(own)
        return self.fixed + len(self.own) - 1

    def table(self, array: Array) -> int:
        """The slot of numbers that kernels read."""
        self.tables.append(np.ascontiguousarray(array))
        return self.add(Table(len(self.tables) - 1))

    def constant(self, value: Tensor) -> int:
        """The slot of a constant of the graph, or of a part of it."""
        number = self._numbers.get(id(value))
        return self.table(to_host(value.value)) if number is None else self.add(OfGraph(number))


class Part:
    """A graph as steps over slots.

    Args:
        graph: what the steps compute.
        lowered: the steps.
        inputs, outputs: the slots of its inputs and outputs.
        moves: by how many bytes an address in a slot moves from one turn to the next.
    """

    def __init__(
        self,
        graph: Graph,
        lowered: Lowered,
        slots: Slots,
        inputs: Sequence[int],
        outputs: Sequence[int],
        moves: Sequence[tuple[int, int]] = (),
    ):
        self.lowered = lowered
        self._known: dict[Buffer, int] = {}  # slots of what other parts had done here
        self.offsets, self.arena_bytes = plan(self.lowered.steps)
        self.arena = slots.add(Arena(self.arena_bytes))
        self._slots = {
            "local": [self.arena],
            "argument": list(inputs),
            "constant": list(map(slots.constant, graph.constants.values())),
            "table": list(map(slots.table, self.lowered.tables)),
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
            slot, start = self._place(buffer)
            places.append((slot, start + far))
        return Call(step.kernel, tuple(places))

    def _place(self, buffer: Buffer) -> tuple[int, int]:
        """A buffer's slot, and bytes from the beginning of what lies there."""
        if buffer in self._known:
            return self._known[buffer], 0
        start = self.offsets.get(buffer, 0) if buffer.local else 0  # an empty one has no place
        return self._slots[buffer.role][buffer.number], start

    def append(self, steps: Sequence[NativeStep], known: Mapping[Buffer, int]) -> None:
        """Steps of another part that are done at the end of this one, and the slots of all that
        they work on."""
        self._known |= known
        self.lowered.steps += steps
        self.items = self._together()

    def accesses(self) -> list[Access]:
        """What each step reads and writes, as places of slots."""
        return [
            Access(list(map(self._span, step.reads)), list(map(self._span, step.writes)))
            for step in self.lowered.steps
        ]

    def _span(self, buffer: Buffer) -> Span:
        slot, start = self._place(buffer)
        return slot, start, start + buffer.size * BYTES[buffer.dtype]

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

    def run_python(self, step: PythonStep, arrays: Sequence[Array]) -> None:
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
        slot, start = self._place(buffer)
        memory = arrays[slot]
        if 0 in shape:
            return namespace(memory).empty(shape, dtype)
        memory = memory.reshape(-1).view(np.uint8)
        strides = tuple(s * item for s in place.strides)
        return view(memory, shape, dtype, start + place.offset * item, strides)


def planned(graph: Graph, constants: Iterable[Tensor], kind: type[Lowering] | None = None) -> Plan:
    """The plan for a graph after all passes.

    Args:
        constants: those of the graph before; what else the passes made becomes part of the plan.
        kind: how to lower it for another device than the CPU, and in one piece: there tasks fill
            the processors together.

    Where the graph can be cut along a mapped axis, its turns are shared between threads: each has
    memory of its own, and sums of its own, which are added up in the order of the threads.
    """
    return _Planner(graph, constants, kind).plan()


def _in_place(lowered: Lowered) -> Lowered:
    """The steps of the CPU, which write where they read for the last time."""
    return Lowered(overwriting(lowered.steps), lowered.tables)


class _Planner:
    def __init__(self, graph: Graph, constants: Iterable[Tensor], kind: type[Lowering] | None):
        self.graph = graph
        self.slots = Slots(graph, constants)
        self.variables = {x: n for n, x in enumerate(graph.inputs)}
        self.parts: dict[str, Part] = {}
        self.turns, self.threads = 1, 1
        self.slices: list[tuple[int, int]] = []
        self.sums: dict[str, int] = {}  # entries by dtype
        parts = None
        if kind is None:
            parts = cut(graph, is_native) or cut_batch(graph, is_native, thread_count())
        results = [self.slots.results + n for n in range(len(graph.outputs))]
        if parts is None:
            inputs, lowered = range(len(graph.inputs)), lower(graph, kind=kind)
            if kind is None:
                lowered = _in_place(lowered)
            self.parts["before"] = Part(graph, lowered, self.slots, inputs, results)
        else:
            self._cut(parts, results)

    def _cut(self, parts: Cut, results: Sequence[int]) -> None:
        slots, variables = self.slots, self.variables
        for x, value in self.graph.constants.items():
            variables[x] = slots.constant(value)
        for y in parts.before.outputs:
            variables[y] = slots.add(Fresh(y.aval.shape, str(y.aval.dtype)))
        self.parts["before"] = self._whole(parts.before, self._of(parts.before.outputs))
        self._add_outputs_of_turns(parts)
        inputs, outputs = self._of(parts.turn_inputs), self._of(parts.turn_outputs)
        into = [
            _walk(x, a, parts.turns) for x, a in zip(parts.turn_inputs, parts.in_axes, strict=True)
        ]
        out = [
            _walk(y, a, parts.turns)
            for y, a in zip(parts.turn_outputs, parts.out_axes, strict=True)
        ]
        targets = [Target(s, a is None) for (s, _), a in zip(out, parts.out_axes, strict=True)]
        graph = improve(parts.turn, FOR_TURNS)
        strides = [strides for strides, _ in into]
        lowered = self._lowered_turn(graph, strides, targets, parts, inputs)
        # A value may be read whole and in slices, so slices have slots of their own.
        self.slices = [(slot, slots.add(Slice(slot))) for slot in inputs]
        mine = [second for _, second in self.slices]
        moves = [(s, m) for s, (_, m) in zip((*mine, *outputs), (*into, *out), strict=True) if m]
        self.turns = parts.turns
        turn = Part(graph, lowered, slots, mine, outputs, moves)
        self.parts["turn"] = turn
        if turn.seconds * self.turns > WORTH_A_THREAD:
            self.threads = min(thread_count(), self.turns)
        lies = {y: t.strides for y, t in zip(parts.turn_outputs, targets, strict=True)}
        self.parts["after"] = self._whole(parts.after, results, lies)

    def _whole(
        self,
        graph: Graph,
        outputs: Sequence[int],
        lies: Mapping[Variable, tuple[int, ...]] = MappingProxyType({}),
    ) -> Part:
        """A part that is done once; `lies` has the strides of inputs that have others than plain
        ones."""
        strides = [lies.get(x, dense(x.aval.shape)) for x in graph.inputs]
        lowered = _in_place(lower(graph, strides))
        return Part(graph, lowered, self.slots, self._of(graph.inputs), outputs)

    def _lowered_turn(
        self,
        graph: Graph,
        strides: list[tuple[int, ...]],
        targets: list[Target],
        parts: Cut,
        inputs: list[int],
    ) -> Lowered:
        """The steps of a turn. What is the same in all turns, and is read in another order than it
        lies in, is copied to that order before: its slot in `inputs` becomes that of the copy. What
        turns add up lies in the order in which they do. Changes strides and targets likewise."""
        found = lower(graph, strides, targets)
        changed = False
        for k, (x, axis) in enumerate(zip(graph.inputs, parts.in_axes, strict=True)):
            if axis is not None or x.aval.ndim <= MATRIX:
                continue
            order = turned_order(found.steps, ("argument", k), x.aval.shape, 2)
            if order is not None:
                strides[k] = dense(x.aval.shape, order)
                inputs[k] = self._copied(x, inputs[k], order)
                changed = True
        for k, (y, axis) in enumerate(zip(graph.outputs, parts.out_axes, strict=True)):
            if axis is not None or y.aval.ndim <= MATRIX:
                continue
            order = turned_order(found.steps, ("result", k), y.aval.shape)
            if order is not None:
                targets[k] = Target(dense(y.aval.shape, order), True)
                changed = True
        return _in_place(lower(graph, strides, targets) if changed else found)

    def _copied(self, x: Variable, slot: int, order: Sequence[int]) -> int:
        """The slot of a copy with the axes in an order, which is made before all turns."""
        shape, dtype = x.aval
        source, target = (Buffer(code(dtype), x.aval.size) for _ in range(2))
        copy = self.slots.add(Fresh(shape, str(dtype)))
        lies, wanted = Place(source, dense(shape)), Place(target, dense(shape, order))
        kernel = merged(copy_loop(lies, shape, wanted)[0])
        step = NativeStep(kernel, [(source, 0), (target, 0)], [source], [target])
        self.parts["before"].append([step], {source: slot, target: copy})
        return copy

    def _of(self, variables: Sequence[Variable]) -> list[int]:
        return [self.variables[x] for x in variables]

    def _add_outputs_of_turns(self, parts: Cut) -> None:
        """Arrays for what turns write; what they add up lies in one array for each dtype."""
        for y, axis in zip(parts.turn_outputs, parts.out_axes, strict=True):
            dtype = str(y.aval.dtype)
            if axis is not None:
                self.variables[y] = self.slots.add(Fresh(y.aval.shape, dtype))
                continue
            line = ALIGNMENT // y.aval.dtype.itemsize
            start = -(-self.sums.setdefault(dtype, 0) // line) * line
            self.sums[dtype] = start + y.aval.size
            number = list(self.sums).index(dtype)
            self.variables[y] = self.slots.add(Summed(number, start, y.aval.size))

    def plan(self) -> Plan:
        routines: list[Routine] = []
        stages: list[list[int | PythonRun]] = []
        for part in self.parts.values():
            stages.append([])
            for item in part.items:
                if isinstance(item, PythonStep):
                    stages[-1].append(partial(part.run_python, item))
                else:
                    stages[-1].append(len(routines))
                    routines.append(item)
        costs = [
            cost(step, name, self.turns if name == "turn" else 1)
            for name, part in self.parts.items()
            for step in part.lowered.steps
        ]
        return Plan(
            own=self.slots.own,
            tables=self.slots.tables,
            stages=stages,
            turns=self.turns,
            threads=self.threads,
            arena=self.parts["turn"].arena if "turn" in self.parts else None,
            slices=self.slices,
            sums=list(self.sums.items()),
            costs=costs,
            buffers=sum(len(part.offsets) for part in self.parts.values()),
            routines=routines,
            parts=self.parts,
        )


def _walk(x: Variable, axis: int | None, turns: int) -> tuple[tuple[int, ...], int]:
    """The strides of an array's slice of a turn, and how many bytes the next one is away."""
    strides = dense(x.aval.shape)
    if axis is None:
        return strides, 0
    return strides, x.aval.shape[axis] // turns * strides[axis] * x.aval.dtype.itemsize
