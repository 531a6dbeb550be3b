"""Lowering: a graph becomes steps over buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.lowering.fusion import FusedKernel, Fusion, classify
from autograd_core.capture.lowering.in_place import in_place
from autograd_core.capture.lowering.loops import Inexpressible, build
from autograd_core.capture.lowering.memory import plan
from autograd_core.capture.lowering.places import Buffer, Place, dense, moved, reshaped, sliced
from autograd_core.capture.lowering.points import code
from autograd_core.capture.lowering.sums import in_blocks
from autograd_core.capture.lowering.turns import once_before, wanted_order
from autograd_core.capture.passes import improved
from kernels.devices import to_host
from kernels.loops import Access, Constant, Loop, Op, Store, merged, tiled, turned_axes
from kernels.native.products import Product, is_large
from kernels.native.program import Kernel, Repeat
from kernels.native.text import BYTES, TYPES
from kernels.native.windows import (
    FEW,
    Gather,
    GatherWeights,
    Geometry,
    Tap,
    Windows,
    forward_windows,
    group_of,
    table,
    transposed_windows,
)

WORTH_COPYING = 2**10
"""Entries of a loop that an array is worth copying for, in the order in which it is read there."""


@dataclass
class NativeStep:
    """A kernel, and where each of its parameters lies: a buffer and an offset in entries."""

    kernel: Kernel
    operands: list[tuple[Buffer, int]]
    reads: list[Buffer]
    writes: list[Buffer]


@dataclass
class PythonStep:
    """A primitive's own kernel, on arrays."""

    equation: Equation
    inputs: list[Any]  # (place, shape), or a number
    outputs: list[tuple[Place, tuple[int, ...]]]
    reads: list[Buffer]
    writes: list[Buffer]


Step = NativeStep | PythonStep


@dataclass(frozen=True)
class Target:
    """Where an output of a graph is wanted: strides in entries, and whether to add to what lies
    there."""

    strides: tuple[int, ...]
    accumulate: bool = False


@dataclass
class Lowered:
    """Steps, and the tables of numbers that they read."""

    steps: list[Step]
    tables: list[np.ndarray]


WORTH_TURNING = 0.25
"""The share of lanes that a product has to gain by being done the other way round."""
PRODUCTS = ("matmul", "conv", "conv_input", "conv_weight")
COPIES = ("embed", "concatenate")


def is_native(equation: Equation) -> bool:
    """Whether an equation becomes machine code, and needs no Python when it runs."""
    if classify(equation) != "step" or equation.primitive.name == "after":
        return True
    if equation.primitive.name == "scan":
        body = improved(equation.params["graph"])
        return equation.params["length"] > 0 and all(map(is_native, body.equations))
    variables = (*equation.variables, *equation.outputs)
    dtypes = {code(x.aval.dtype) for x in variables}
    sizes = [x.aval.size for x in variables]
    name = equation.primitive.name
    can = dtypes <= {"f4", "f8"} if name in PRODUCTS else name in COPIES and dtypes <= TYPES.keys()
    return can and len(dtypes) == 1 and min(sizes) > 0 and max(sizes) < 2**31


def copy_loop(
    source: Place, shape: Sequence[int], target: Place, accumulate: bool = False
) -> tuple[Loop, list[Buffer]]:
    """A loop that copies, or adds, one entry after the other of the target; and its buffers."""
    axes = sorted(range(len(shape)), key=lambda a: -abs(target.strides[a]))
    buffers = list(dict.fromkeys((source.buffer, target.buffer)))
    load, access = (
        Access(
            buffers.index(place.buffer),
            place.buffer.dtype,
            tuple(place.strides[a] for a in axes),
            place.offset,
        )
        for place in (source, target)
    )
    stores = (Store(access, 0, None, accumulate),)
    return Loop(tuple(shape[a] for a in axes), (load,), stores), buffers


def lower(
    graph: Graph,
    strides: Sequence[tuple[int, ...]] | None = None,
    targets: Sequence[Target] | None = None,
    kind: type[Lowering] | None = None,
) -> Lowered:
    """The steps of a graph.

    Args:
        strides: of the inputs; dense where not given.
        targets: of the outputs; likewise.
        kind: for which device; the CPU where not given.
    """
    if strides is None:
        strides = [dense(x.aval.shape) for x in graph.inputs]
    if targets is None:
        targets = [Target(dense(y.aval.shape)) for y in graph.outputs]
    forced: set[Variable] = set()
    while True:
        lowering = (kind or Lowering)(graph, forced, strides, targets)
        found = lowering.lowered()
        if not lowering.inexpressible:
            return found
        if lowering.inexpressible <= forced:
            raise Inexpressible(next(iter(lowering.inexpressible)))
        forced |= lowering.inexpressible


class Lowering:
    """A graph on its way to steps for the CPU. What another device does in its own way, it
    overrides."""

    uses_scratch = True
    """Whether products and convolutions copy blocks to scratch in the arena."""
    reads_any_strides = False
    """Whether products read factors as fast whose rows and columns both lie apart, or crosswise."""

    def __init__(
        self,
        graph: Graph,
        forced: set[Variable],
        strides: Sequence[tuple[int, ...]],
        targets: Sequence[Target],
    ):
        self.graph = graph
        self.targets = targets
        self.fusion = Fusion(graph, forced)
        self.inexpressible: set[Variable] = set()  # what has to be stored, in a new attempt
        self.steps: list[Step] = []
        self.places: dict[Variable, Place] = {}
        self.tables: list[np.ndarray] = []
        self._known_tables: dict[tuple, Buffer] = {}
        for number, (x, each) in enumerate(zip(graph.inputs, strides, strict=True)):
            buffer = Buffer(code(x.aval.dtype), x.aval.size, "argument", number)
            self.places[x] = Place(buffer, each)
        for number, x in enumerate(graph.constants):
            buffer = Buffer(code(x.aval.dtype), x.aval.size, "constant", number)
            self.places[x] = Place(buffer, dense(x.aval.shape))
        self.results = [
            Place(Buffer(code(y.aval.dtype), y.aval.size, "result", number), target.strides)
            for number, (y, target) in enumerate(zip(graph.outputs, targets, strict=True))
        ]
        self.written: set[int] = set()
        self.direct = self._written_directly()

    def _written_directly(self) -> dict[Variable, tuple[int, Place]]:
        """Variables that are computed where the caller wants an output: which, and the place.

        An output that is added to what lies there must not be read again.
        """
        found: dict[Variable, tuple[int, Place]] = {}
        for k, y in enumerate(self.graph.outputs):
            x: Variable = y
            place: Place | None = self.results[k]
            is_read = self._readers(x) > 1
            while self.fusion.kind_of(x) == "view" and place is not None:
                x, place = self._before_view(self.fusion.makers[x], place)
                is_read |= self._readers(x) > 1
            if place is None or x in found or self.fusion.kind_of(x) == "given":
                continue
            if self.targets[k].accumulate and is_read:
                continue
            found[x] = k, place
        return found

    def _readers(self, x: Variable) -> int:
        return len(self.fusion.uses.get(x, ())) + self.graph.outputs.count(x)

    @staticmethod
    def _before_view(equation: Equation, place: Place) -> tuple[Variable, Place | None]:
        """What a view is a view of, and where it has to lie for the view to lie at `place`."""
        (x,) = equation.variables
        name, strides = equation.primitive.name, place.strides
        if name == "transpose":
            back = [strides[equation.params["axes"].index(a)] for a in range(x.aval.ndim)]
            return x, Place(place.buffer, tuple(back), place.offset)
        if name == "reshape":
            found = reshaped(equation.output.aval.shape, strides, x.aval.shape)
            return x, None if found is None else Place(place.buffer, found, place.offset)
        return x, None

    def lowered(self) -> Lowered:
        """All steps: slot by slot, in the order of the graph where there is a choice."""
        order = {y: n for n, e in enumerate(self.graph.equations) for y in e.outputs}
        work: list[tuple[int, int, Any]] = [
            (k.slot, min(order[y] for y in k.sinks), k) for k in self.fusion.kernels
        ]
        work += [
            (self.fusion.slots[e.outputs[0]], order[e.outputs[0]], e) for e in self.fusion.steps
        ]
        work.sort(key=lambda item: item[:2])
        for _, _, item in work:
            if isinstance(item, FusedKernel):
                try:
                    self.loop(item)
                except Inexpressible as error:  # go on, to find all of them at once
                    self.inexpressible.add(error.variable)
                    self.places.update((y, self.fresh(y)) for y in item.sinks)
            else:
                self.step(item)
        for k, y in enumerate(self.graph.outputs):
            if k not in self.written:
                accumulate = self.targets[k].accumulate
                self.copy(self.place(y), y.aval.shape, self.results[k], accumulate)
        return Lowered(self.steps, self.tables)

    # Places -----------------------------------------------------------------------------------

    def place(self, x: Variable) -> Place:
        """Where a variable lies that is stored, or is a view of one that is.

        A view that strides cannot express is copied.
        """
        known = self.places.get(x)
        if known is not None:
            return known
        equation = self.fusion.makers[x]
        (source,) = equation.inputs
        assert self.fusion.kind(equation) == "view", equation.primitive.name
        assert source.__class__ is Variable
        lies = self.place(source)
        found = moved(lies, source.aval.shape, equation)
        if found is None:
            fresh = self.fresh(source)
            self.copy(lies, source.aval.shape, fresh)
            found = moved(fresh, source.aval.shape, equation)
            assert found is not None
        self.places[x] = found
        return found

    def fresh(self, x: Variable, order: Sequence[int] | None = None) -> Place:
        """A new buffer for a variable."""
        return Place(Buffer(code(x.aval.dtype), x.aval.size), dense(x.aval.shape, order))

    def settle(self, x: Variable, order: Sequence[int]) -> tuple[Place, bool]:
        """Where a loop is to write a variable, given its axes from the slowest to the fastest, and
        whether it is to add."""
        found = self.target(x)
        if found is not None:
            return found
        place = self.places[x] = self.fresh(x, order)
        return place, False

    def target(
        self, x: Variable, fits: Callable[[Place], bool] = lambda _: True
    ) -> tuple[Place, bool] | None:
        """Where the caller wants a variable, and whether it is to be added there."""
        if x not in self.direct or not fits(self.direct[x][1]):
            return None
        k, place = self.direct[x]
        self.written.add(k)
        self.places[x] = place
        return place, self.targets[k].accumulate

    # Loops ------------------------------------------------------------------------------------

    def loop(self, kernel: FusedKernel) -> None:
        if math.prod(kernel.shape) == 0:
            for y in kernel.sinks:
                self.settle(y, range(y.aval.ndim))
            return
        fused = build(self.fusion, kernel, self.place, self.settle)
        self.add_loop(fused.loop, fused.buffers)

    def add_loop(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        loop, given = self.in_line(merged(loop), list(buffers))
        for each in tiled(loop):
            self._add_loop(each, list(given))

    def in_line(self, loop: Loop, buffers: list[Buffer]) -> tuple[Loop, list[Buffer]]:
        """Arrays that a loop would read across their lines are copied as it runs, since copies are
        turned in registers; where tiles do not help, and beside computations only."""
        if not loop.ops or loop.size < WORTH_COPYING or tiled(loop) != [loop]:
            return loop, buffers
        in_order = dense(loop.shape)
        copied = dict.fromkeys(loop.body)
        for load in dict.fromkeys(loop.loads):
            to = Access(len(buffers), load.dtype, in_order)
            copy = Loop(loop.shape, (load,), (Store(to, 0),))
            if 0 not in load.strides and turned_axes(copy):
                copied[load] = to
                buffers.append(Buffer(load.dtype, loop.size))
                self.add_step(copy, buffers)
        body = tuple(copied[x] or x for x in loop.body)
        return merged(loop._replace(body=body)), buffers

    def _add_loop(self, loop: Loop, buffers: list[Buffer]) -> None:
        loop, totals = in_blocks(loop, buffers)
        self.add_step(loop, buffers)
        for total, of in totals:
            self.add_loop(total, of)

    def add_step(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        """A loop as it is. Offsets become part of the operands, so that equal loops are one
        function."""
        reads = [buffers[x.buffer] for x in loop.loads]
        writes = [buffers[x.access.buffer] for x in loop.stores]
        operands: dict[tuple[Buffer, int], int] = {}

        def renumbered(x: Access) -> Access:
            operand = (buffers[x.buffer], x.offset)
            return Access(operands.setdefault(operand, len(operands)), x.dtype, x.strides)

        body = tuple(renumbered(x) if isinstance(x, Access) else x for x in loop.body)
        stores = tuple([s._replace(access=renumbered(s.access)) for s in loop.stores])
        self.steps.append(NativeStep(Loop(loop.shape, body, stores), list(operands), reads, writes))

    def copy(
        self, source: Place, shape: Sequence[int], target: Place, accumulate: bool = False
    ) -> None:
        """A loop that copies, or adds."""
        if math.prod(shape):
            self.add_loop(*copy_loop(source, shape, target, accumulate))

    # Other steps ------------------------------------------------------------------------------

    def step(self, equation: Equation) -> None:
        if is_native(equation):
            getattr(self, "step_" + equation.primitive.name)(equation)
        else:
            self.python(equation)

    def python(self, equation: Equation) -> None:
        inputs: list[Any] = []
        for x in equation.inputs:
            is_variable = x.__class__ is Variable
            inputs.append((self.place(x), x.aval.shape) if is_variable else x)
        outputs = []
        for y in equation.outputs:
            self.places[y] = self.fresh(y)
            outputs.append((self.places[y], y.aval.shape))
        reads = [x[0].buffer for x in inputs if isinstance(x, tuple)]
        writes = [place.buffer for place, _ in outputs]
        self.steps.append(PythonStep(equation, inputs, outputs, reads, writes))

    def contiguous(self, x: Variable, place: Place, order: Sequence[int]) -> Place:
        """A copy with the axes in an order."""
        fresh = self.fresh(x, order)
        self.copy(place, x.aval.shape, fresh)
        return fresh

    def step_scan(self, equation: Equation) -> None:
        """The body's steps in a loop of their own. Its carry lies in buffers that each turn ends by
        writing to, if it has not written there at once; slices and stacked results move."""
        params = equation.params
        body, length, carried = improved(params["graph"]), params["length"], params["carried"]
        first = params["outside"]
        outside = list(map(self.place, equation.inputs[:first]))
        given = outside + list(map(self.dense, equation.inputs[first:]))
        inner, orders = self._lowered_body(body, [place.strides for place in outside], carried)
        constants = [np.ascontiguousarray(to_host(x.value)) for x in body.constants.values()]

        def stays(buffer: Buffer) -> bool:
            return buffer.role in ("constant", "table") or (
                buffer.role == "argument" and buffer.number < first
            )

        before, steps = once_before(inner.steps, stays)
        kept: dict[Buffer, Buffer] = {}
        for step in before:
            self._add_before(step, kept, given, inner.tables, constants)
        carried_on = equation.outputs[:carried]
        carry = [self.fresh(y, order) for y, order in zip(carried_on, orders, strict=True)]
        after = list(carry)
        for k in range(carried):
            fitting = in_place(steps, ("argument", first + k), ("result", k))
            if fitting is None:
                after[k] = self.fresh(equation.outputs[k], orders[k])
            else:
                steps = fitting
        stacked = [self.fresh(y) for y in equation.outputs[carried:]]
        offsets, need = plan(steps)
        scratch = Buffer("u1", max(1, need))
        for x, into in zip(equation.inputs[first:], carry, strict=False):
            self.copy(self.place(x), x.aval.shape, into)
        parameters: dict[Buffer, int] = {}

        def placed(place: Place, far: int, move: int) -> tuple[int, int, int]:
            number = parameters.setdefault(place.buffer, len(parameters))
            return number, far + place.offset * BYTES[place.buffer.dtype], move

        def sliced(place: Place, far: int) -> tuple[int, int, int]:
            step = place.strides[0] * BYTES[place.buffer.dtype]
            if params["reverse"]:
                return placed(place, far + (length - 1) * step, -step)
            return placed(place, far, step)

        def where(buffer: Buffer, far: int) -> tuple[int, int, int]:
            k = buffer.number
            if buffer.role == "argument":
                if first <= k < first + carried:
                    return placed(carry[k - first], far, 0)
                return placed(given[k], far, 0) if k < first else sliced(given[k], far)
            if buffer.role == "result":
                return (
                    sliced(stacked[k - carried], far) if k >= carried else placed(after[k], far, 0)
                )
            if buffer in kept:
                return placed(Place(kept[buffer], (1,)), far, 0)
            if buffer.role == "local":
                return placed(Place(scratch, (1,)), offsets.get(buffer, 0) + far, 0)
            numbers = inner.tables[k] if buffer.role == "table" else constants[k]
            return placed(Place(self.table(numbers), (1,)), far, 0)

        calls = []
        for step in steps:
            assert isinstance(step, NativeStep)
            at = [where(b, offset * BYTES[b.dtype]) for b, offset in step.operands]
            calls.append((step.kernel, tuple(at)))
        for source, target in zip(after, carry, strict=True):
            size, dtype = source.buffer.size, source.buffer.dtype
            if size and source is not target:
                stores = (Store(Access(1, dtype, (1,)), 0),)
                copy = Loop((size,), (Access(0, dtype, (1,)),), stores)
                calls.append((copy, (placed(source, 0, 0), placed(target, 0, 0))))
        kernel = Repeat(tuple(calls), length)
        reads = [place.buffer for place in (*given, *carry)] + list(kept.values())
        writes = [place.buffer for place in (*carry, *after, *stacked)] + [scratch]
        operands = [(buffer, 0) for buffer in parameters]
        self.steps.append(NativeStep(kernel, operands, reads, writes))
        for y, place in zip(equation.outputs, (*carry, *stacked), strict=True):
            self.places[y] = place

    def _lowered_body(
        self, body: Graph, outside: Sequence[tuple[int, ...]], carried: int
    ) -> tuple[Lowered, list[Sequence[int]]]:
        """The steps of a scan's body, and the order of each carry's axes: that to which the body
        would copy it, or one of the same shape, which is likely to be added to it.

        Args:
            outside: strides of the arguments that stay the same.
        """
        first = len(outside)
        every = body.inputs[first : first + carried]
        plain = [dense(x.aval.shape) for x in body.inputs[first:]]
        found = lower(body, [*outside, *plain], kind=type(self))
        orders: dict[tuple, Sequence[int]] = {}
        for k, x in enumerate(every):
            wanted = wanted_order(found.steps, ("argument", first + k), x.aval.shape)
            if wanted is not None:
                orders.setdefault((x.aval.shape, x.aval.dtype), wanted)
        chosen = [orders.get((x.aval.shape, x.aval.dtype), range(x.aval.ndim)) for x in every]
        if orders:
            ordered = [dense(x.aval.shape, o) for x, o in zip(every, chosen, strict=True)]
            stacked = [dense(y.aval.shape) for y in body.outputs[carried:]]
            targets = list(map(Target, [*ordered, *stacked]))
            inputs = [*outside, *ordered, *plain[carried:]]
            found = lower(body, inputs, targets, type(self))
        return found, chosen

    def _add_before(
        self,
        step: Step,
        kept: dict[Buffer, Buffer],
        given: Sequence[Place],
        tables: Sequence[np.ndarray],
        constants: Sequence[np.ndarray],
    ) -> None:
        """A step of a scan's body that is done before all turns.

        Args:
            kept: for local buffers of the body those of this graph; what it writes comes to them.
            given: the scan's arguments.
            tables: those of the body; likewise its constants.
        """
        assert isinstance(step, NativeStep)

        def there(buffer: Buffer) -> Place:
            k = buffer.number
            if buffer.role == "argument":
                return given[k]
            if buffer.role == "local":
                return Place(kept.setdefault(buffer, replace(buffer)), (1,))
            return Place(self.table(tables[k] if buffer.role == "table" else constants[k]), (1,))

        def operand(buffer: Buffer, offset: int) -> tuple[Buffer, int]:
            place = there(buffer)
            return place.buffer, place.offset + offset

        operands = [operand(*x) for x in step.operands]
        reads, writes = ([there(b).buffer for b in some] for some in (step.reads, step.writes))
        self.steps.append(NativeStep(step.kernel, operands, reads, writes))

    def dense(self, x: Variable) -> Place:
        """Where a variable lies without gaps, copied if need be."""
        place = self.place(x)
        if place.strides == dense(x.aval.shape) or x.aval.size == 0:
            return place
        return self.contiguous(x, place, range(x.aval.ndim))

    def step_after(self, equation: Equation) -> None:
        """Nothing is moved: the slot of the result is all that matters."""
        self.places[equation.output] = self.place(equation.inputs[0])

    def step_embed(self, equation: Equation) -> None:
        (x,), out = equation.variables, equation.output
        place = self.places[out] = self.fresh(out)
        self.clear(place, out.aval.shape)
        self.copy(self.place(x), x.aval.shape, sliced(place, equation.params["key"]))

    def step_concatenate(self, equation: Equation) -> None:
        out, axis = equation.output, equation.params["axis"]
        place, start = self.fresh(out), 0
        self.places[out] = place
        for x in equation.variables:
            offset = place.offset + start * place.strides[axis]
            part = Place(place.buffer, place.strides, offset)
            self.copy(self.place(x), x.aval.shape, part)
            start += x.aval.shape[axis]

    def step_matmul(self, equation: Equation) -> None:
        x, y = equation.inputs
        out = equation.output
        assert x.__class__ is Variable and y.__class__ is Variable
        dtype = code(out.aval.dtype)
        *stack, m, n = out.aval.shape
        k = x.aval.shape[-1]
        a, b = self.place(x), self.place(y)
        # The vectors run along n, or along m where the product is the other way round.
        upright = b.strides[-1] == 1 or n == 1
        turned = a.strides[-2] == 1 or m == 1
        if not upright and not turned:
            upright = True
            copied = b.strides[-2] != 1 or not is_large(m, n, k, dtype)
            if copied and not self.reads_any_strides:
                b = self.contiguous(y, b, range(y.aval.ndim))
        if upright and turned:
            wanted = self.direct.get(out)
            fits = wanted is not None and wanted[1].strides[-1] == 1
            upright = fits or self._waste(n) < self._waste(m) + WORTH_TURNING
        fast = -1 if upright else -2
        c, accumulate = self.target(out, lambda p: p.strides[fast] == 1) or (None, False)
        if c is None:
            axes = list(range(out.aval.ndim))
            if not upright:
                axes[-2:] = axes[:-3:-1]
            c = self.places[out] = self.fresh(out, axes)
        left = self._stack(a, x.aval.shape, stack), a.strides[-2], a.strides[-1]
        right = self._stack(b, y.aval.shape, stack), b.strides[-1], b.strides[-2]
        above = c.strides[: len(stack)]
        if not upright:
            left, right, m, n = right, left, n, m
            a, b = b, a
        product = Product(
            dtype,
            tuple(stack),
            m,
            n,
            k,
            (*left[0], left[1], left[2]),
            (*right[0], right[2], right[1]),
            (*above, c.strides[-2] if upright else c.strides[-1]),
            accumulate,
        )
        operands = [(p.buffer, p.offset) for p in (a, b, c)]
        reads = [a.buffer, b.buffer]
        writes = self.with_scratch(product, operands, [c.buffer])
        self.steps.append(NativeStep(product, operands, reads, writes))

    @staticmethod
    def _waste(n: int) -> float:
        """The share of vectors' lanes that a side of length n leaves empty."""
        return (-n % 16) / n

    @staticmethod
    def _stack(place: Place, shape: Sequence[int], stack: Sequence[int]) -> tuple[int, ...]:
        """Strides along the axes that an operand's stack of matrices is broadcast to."""
        mine = shape[:-2]
        strides = [0] * (len(stack) - len(mine)) + [
            0 if n == 1 else s for n, s in zip(mine, place.strides, strict=False)
        ]
        return tuple(strides)

    # Convolutions -----------------------------------------------------------------------------

    def step_conv(self, equation: Equation) -> None:
        x, w = equation.inputs
        out, params = equation.output, equation.params
        assert x.__class__ is Variable and w.__class__ is Variable
        a, b = self.place(x), self.filters(w, (0, 1, 2, 3, 4))
        c = self.places[out] = self.fresh(out)
        windows = forward_windows(_pair(out.aval.shape[2:4]), w.aval.shape[1:3], **params)
        copies = x.aval.shape[4] < FEW and b.strides[1:] == dense(w.aval.shape[1:])
        self.gather(x.aval.shape, a, w.aval.shape, b, c, windows, copies)

    def step_conv_input(self, equation: Equation) -> None:
        g, w = equation.inputs
        out, params = equation.output, dict(equation.params)
        assert g.__class__ is Variable and w.__class__ is Variable
        # The filters' matrices, the other way round: the result's channels run along vectors.
        a, b = self.place(g), self.filters(w, (0, 1, 2, 4, 3))
        b = Place(b.buffer, (*b.strides[:3], b.strides[4], b.strides[3]), b.offset)
        shape = (*w.aval.shape[:3], w.aval.shape[4], w.aval.shape[3])
        c = self.places[out] = self.fresh(out)
        classes = transposed_windows(params.pop("shape"), w.aval.shape[1:3], **params)
        if not all(windows.taps for windows in classes):
            self.clear(c, out.aval.shape)
        for windows in classes:
            if windows.taps:
                self.gather(g.aval.shape, a, shape, b, c, windows, False)

    def step_conv_weight(self, equation: Equation) -> None:
        x, g = equation.inputs
        out, params = equation.output, dict(equation.params)
        assert x.__class__ is Variable and g.__class__ is Variable
        a, b = self.place(x), self.place(g)
        # Rows of all images one after the other.
        evenly = reshaped(g.aval.shape[1:4], b.strides[1:4], (math.prod(g.aval.shape[1:4]),))
        if b.strides[4] != 1 or evenly is None:
            b, evenly = self.contiguous(g, b, range(5)), (g.aval.shape[4],)
        gapless = dense(out.aval.shape)[1:]
        c, accumulate = self.target(out, lambda p: p.strides[1:] == gapless) or (None, False)
        if c is None:
            c = self.places[out] = self.fresh(out)
        if not accumulate:
            self.clear(c, out.aval.shape)
        windows = forward_windows(_pair(g.aval.shape[2:4]), params.pop("window"), **params)
        taps = tuple(Tap(d, r, 0) for d, r, _ in windows.taps)
        geometry = self.geometry(x.aval.shape, a, len(windows.pixels), taps)
        kernel = GatherWeights(
            code(out.aval.dtype),
            geometry,
            out.aval.shape[4],
            b.strides[1],
            evenly[0],
            x.aval.shape[0],
            (a.strides[0], b.strides[0], c.strides[0]),
        )
        rows = self.rows(windows, geometry, b.strides[1], b.strides[2:4])
        self.add_gather(kernel, a, b, c, rows)

    def filters(self, w: Variable, order: Sequence[int]) -> Place:
        """Where filters lie, copied if their axis that runs along vectors is not the fastest."""
        place = self.place(w)
        return place if place.strides[order[-1]] == 1 else self.contiguous(w, place, order)

    def geometry(
        self, shape: Sequence[int], a: Place, rows: int, taps: tuple[Tap, ...]
    ) -> Geometry:
        _, images, height, width, channels = shape
        _, image, line, pixel, channel = a.strides
        group = group_of(images, rows)
        return Geometry(
            images, group, rows, taps, (height, width), image, line, pixel, channel, channels
        )

    def gather(
        self,
        shape: Sequence[int],
        a: Place,
        filters: Sequence[int],
        b: Place,
        c: Place,
        windows: Windows,
        copies: bool,
    ) -> None:
        """A step that gathers windows of images of `shape` at `a`, and multiplies them by
        filters."""
        across = filters[2]
        taps = tuple(
            Tap(d, r, n // across * b.strides[1] + n % across * b.strides[2])
            for d, r, n in windows.taps
        )
        geometry = self.geometry(shape, a, len(windows.pixels), taps)
        stacked = (a.strides[0], b.strides[0], c.strides[0])
        kernel = Gather(
            a.buffer.dtype,
            geometry,
            filters[4],
            b.strides[3],
            c.strides[1],
            copies,
            shape[0],
            stacked,
        )
        rows = self.rows(windows, geometry, c.strides[1], c.strides[2:4])
        self.add_gather(kernel, a, b, c, rows)

    def rows(self, windows: Windows, g: Geometry, image: int, pixel: Sequence[int]) -> np.ndarray:
        targets = windows.pixels @ np.array(pixel)
        return table(windows.begins, targets, g.group, (g.image, g.line, g.pixel), image)

    def add_gather(
        self, kernel: Gather | GatherWeights, a: Place, b: Place, c: Place, rows: np.ndarray
    ) -> None:
        g = kernel.geometry
        zeros = self.table(np.zeros((g.channels - 1) * abs(g.channel) + 1, kernel.dtype))
        operands = [(p.buffer, p.offset) for p in (a, b, c)]
        # Channels may lie the other way round: a pixel's first one is then the last in memory.
        operands += [(self.table(rows), 0), (zeros, (g.channels - 1) * max(0, -g.channel))]
        writes = self.with_scratch(kernel, operands, [c.buffer])
        self.steps.append(NativeStep(kernel, operands, [a.buffer, b.buffer], writes))

    def with_scratch(
        self,
        kernel: Product | Gather | GatherWeights,
        operands: list[tuple[Buffer, int]],
        writes: list[Buffer],
    ) -> list[Buffer]:
        """Add the scratch that a kernel needs to its operands and to what it writes."""
        if kernel.scratch and self.uses_scratch:
            writes.append(Buffer(kernel.dtype, kernel.scratch))
            operands.append((writes[-1], 0))
        return writes

    def table(self, numbers: np.ndarray) -> Buffer:
        """A buffer with these numbers: the same one for the same numbers."""
        key = (numbers.dtype.str, numbers.shape, numbers.tobytes())
        known = self._known_tables.get(key)
        if known is None:
            known = Buffer(code(numbers.dtype), numbers.size, "table", len(self.tables))
            self._known_tables[key] = known
            self.tables.append(numbers)
        return known

    def clear(self, place: Place, shape: Sequence[int]) -> None:
        """A loop that writes zeros."""
        dtype = place.buffer.dtype
        zero = Op("cast", dtype, (Constant(0),))
        access = Access(0, dtype, place.strides, place.offset)
        self.add_loop(Loop(tuple(shape), (zero,), (Store(access, 0),)), [place.buffer])


def _pair(shape: Sequence[int]) -> tuple[int, int]:
    first, second = shape
    return first, second
