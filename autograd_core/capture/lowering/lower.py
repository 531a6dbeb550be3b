"""Lowering: a graph becomes steps over buffers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.lowering.fusion import Fusion, Kernel
from autograd_core.capture.lowering.loops import Inexpressible, build
from autograd_core.capture.lowering.places import VIEWS, Buffer, Place, dense, moved
from autograd_core.capture.lowering.points import code
from kernels.loops import Access, Constant, Loop, Op, Store, merged
from kernels.native.products import Product

DEEPEST_SUM = 1024
"""Terms that a loop adds up one after the other, at most, before they join a total."""


@dataclass
class NativeStep:
    """A kernel, and where each of its parameters lies: a buffer and an offset in entries."""

    kernel: Loop | Product
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


@dataclass
class Lowered:
    """Steps, and the buffers that are given to them: arguments, constants and results."""

    steps: list[Step]
    given: list[Buffer]
    results: list[Buffer]


def lower(graph: Graph) -> Lowered:
    """The steps of a graph."""
    forced: set[Variable] = set()
    while True:
        try:
            return _Lowering(graph, forced).lowered()
        except Inexpressible as error:
            if error.variable in forced:
                raise
            forced.add(error.variable)


class _Lowering:
    def __init__(self, graph: Graph, forced: set[Variable]):
        self.graph = graph
        self.fusion = Fusion(graph, forced)
        self.steps: list[Step] = []
        self.places: dict[Variable, Place] = {}
        self.given: list[Buffer] = []
        self.results: dict[int, Buffer] = {}  # by the place among the outputs
        for x in (*graph.inputs, *graph.constants):
            buffer = Buffer(code(x.aval.dtype), x.aval.size, len(self.given))
            self.given.append(buffer)
            self.places[x] = Place(buffer, dense(x.aval.shape))
        for k, y in enumerate(graph.outputs):
            buffer = Buffer(code(y.aval.dtype), y.aval.size, len(graph.inputs) + len(graph.constants) + k)
            self.results[k] = buffer
        self.direct = self._written_directly()

    def _written_directly(self) -> dict[Variable, Buffer]:
        """Outputs that a loop writes to where the caller wants them."""
        found: dict[Variable, Buffer] = {}
        for k, y in enumerate(self.graph.outputs):
            if self.fusion.kind_of(y) in ("point", "reduce") and y not in found:
                found[y] = self.results[k]
        return found

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
            if isinstance(item, Kernel):
                self.loop(item)
            else:
                self.step(item)
        for k, y in enumerate(self.graph.outputs):
            if self.direct.get(y) is not self.results[k]:
                target = Place(self.results[k], dense(y.aval.shape))
                self.copy(self.place(y), y.aval.shape, target)
        return Lowered(self.steps, self.given, list(self.results.values()))

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

    def settle(self, x: Variable, order: Sequence[int]) -> Place:
        """Where a loop is to write a variable, given its axes from the slowest to the fastest."""
        direct = self.direct.get(x)
        place = self.fresh(x, order) if direct is None else Place(direct, dense(x.aval.shape))
        self.places[x] = place
        return place

    # Loops ------------------------------------------------------------------------------------

    def loop(self, kernel: Kernel) -> None:
        if math.prod(kernel.shape) == 0:
            for y in kernel.sinks:
                self.settle(y, range(y.aval.ndim))
            return
        fused = build(self.fusion, kernel, self.place, self.settle)
        self.add_loop(fused.loop, fused.buffers)

    def add_loop(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        loop = merged(loop)
        reads = [buffers[x.buffer] for x in loop.loads]
        writes = [buffers[x.access.buffer] for x in loop.stores]
        # Offsets become part of the operands, so that equal loops are one function.
        operands: dict[tuple[Buffer, int], int] = {}

        def renumbered(x: Access) -> Access:
            operand = (buffers[x.buffer], x.offset)
            return Access(operands.setdefault(operand, len(operands)), x.dtype, x.strides)

        body = tuple(renumbered(x) if isinstance(x, Access) else x for x in loop.body)
        stores = tuple(Store(renumbered(s.access), s.value, s.reduce) for s in loop.stores)
        loop = Loop(loop.shape, body, stores)
        self.steps.append(NativeStep(loop, list(operands), reads, writes))

    def copy(self, source: Place, shape: Sequence[int], target: Place) -> None:
        """A loop that copies."""
        if math.prod(shape) == 0:
            return
        buffers = list(dict.fromkeys((source.buffer, target.buffer)))
        dtype = source.buffer.dtype
        load = Access(buffers.index(source.buffer), dtype, source.strides, source.offset)
        access = Access(buffers.index(target.buffer), target.buffer.dtype, target.strides, target.offset)
        self.add_loop(Loop(tuple(shape), (load,), (Store(access, 0),)), buffers)

    # Other steps ------------------------------------------------------------------------------

    def step(self, equation: Equation) -> None:
        special = getattr(self, "step_" + equation.primitive.name, None)
        if special is None or not special(equation):
            self.python(equation)

    def python(self, equation: Equation) -> None:
        inputs: list[Any] = []
        for x in equation.inputs:
            number = self.fusion.numbers.get(x) if x.__class__ is Variable else None
            if x.__class__ is not Variable:
                inputs.append(x)
            elif number is not None and x.number:
                inputs.append(number.value.item())
            else:
                inputs.append((self.place(x), x.aval.shape, x.number))
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

    def step_matmul(self, equation: Equation) -> bool:
        x, y = equation.inputs
        out = equation.output
        assert x.__class__ is Variable and y.__class__ is Variable
        dtype = code(out.aval.dtype)
        if {code(x.aval.dtype), code(y.aval.dtype)} != {dtype} or dtype not in ("f4", "f8"):
            return False
        if 0 in (out.aval.size, x.aval.size) or not self._own_is_faster(x, y, out):
            return False
        *stack, m, n = out.aval.shape
        k = x.aval.shape[-1]
        a, b = self.place(x), self.place(y)
        # The vectors run along n, or along m where the product is the other way round.
        upright = b.strides[-1] == 1 or n == 1
        turned = a.strides[-2] == 1 or m == 1
        if not upright and not turned:
            axes = list(range(y.aval.ndim))
            b, upright = self.contiguous(y, b, axes), True
        if upright and (turned and self._waste(m) < self._waste(n)):
            upright = False
        axes = list(range(out.aval.ndim))
        if not upright:
            axes[-2:] = axes[:-3:-1]
        c = self.fresh(out, axes)
        self.places[out] = c
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
            (*right[0], right[2]),
            (*above, c.strides[-2] if upright else c.strides[-1]),
        )
        operands = [(p.buffer, p.offset) for p in (a, b, c)]
        reads = [a.buffer, b.buffer]
        self.steps.append(NativeStep(product, operands, reads, [c.buffer]))
        return True

    @staticmethod
    def _own_is_faster(x: Variable, y: Variable, out: Variable) -> bool:
        """Not for matrices that do not fit into the cache: BLAS blocks for that."""
        return True

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


del Constant, Op, VIEWS, np
