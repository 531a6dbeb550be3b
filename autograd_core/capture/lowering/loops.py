"""A fused loop from the equations that lead to its sinks.

The loop runs over indices, one for each axis of its shape. Every value that is met on the way from
the sinks to what is stored is described by which indices each of its axes is made of; what moves
entries only changes that description.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from autograd_core.capture.graph import Equation, Variable
from autograd_core.capture.lowering.fusion import REDUCTIONS, FusedKernel, Fusion
from autograd_core.capture.lowering.places import Buffer, Place
from autograd_core.capture.lowering.points import Body, Value, code, emit
from kernels.loops import Access, Constant, Loop, Store


class Inexpressible(Exception):
    """A value cannot be described by indices of the loop."""

    def __init__(self, variable: Variable):
        self.variable = variable


class Index(NamedTuple):
    """How an axis moves: `start` + `step` · (the indices, the last one fastest)."""

    indices: tuple[int, ...] = ()
    start: int = 0
    step: int = 1


Axes = tuple[Index, ...]


@dataclass
class FusedLoop:
    """A loop, and the buffers that its accesses are numbered by."""

    loop: Loop
    buffers: list[Buffer]


class LoopBuilder:
    """Builds the loop of a kernel.

    Args:
        fusion: what is stored.
        place_of: where a stored variable lies.
    """

    def __init__(self, fusion: Fusion, kernel: FusedKernel, place_of: Callable[[Variable], Place]):
        self.fusion = fusion
        self.kernel = kernel
        self.place_of = place_of
        self.lengths: list[int] = list(kernel.shape)  # of the indices
        self.parts: dict[int, tuple[int, int]] = {}  # indices that were split in two
        self.body = Body()
        self.buffers: list[Buffer] = []
        self.pending: list[tuple[int, Place, Axes]] = []
        self._known: dict[tuple[Variable, Axes], Value] = {}

    # Values -----------------------------------------------------------------------------------

    def whole(self) -> Axes:
        """Each axis of the loop's shape by its own index."""
        return tuple(Index((i,)) for i in range(len(self.kernel.shape)))

    def value(self, x: object, axes: Axes) -> Value:
        """The value of an equation's input at the loop's point."""
        if x.__class__ is not Variable:
            return Constant(x)  # type: ignore[arg-type]
        number = self.fusion.numbers.get(x)
        if number is not None:
            return Constant(number.value.item())
        if self.fusion.is_leaf(x, self.kernel.slot):
            return self.load(x, axes)
        return self.computed(x, axes)

    def computed(self, x: Variable, axes: Axes) -> Value:
        """The value of a variable by the equation that makes it."""
        known = self._known.get((x, axes))
        if known is None:
            equation = self.fusion.makers[x]
            if self.fusion.kind(equation) == "view":
                known = self.viewed(equation, axes)
            else:
                shape = equation.output.aval.shape
                inputs = [
                    self.value(y, self.spread(y, axes, shape) if y.__class__ is Variable else ())
                    for y in equation.inputs
                ]
                known = emit(self.body, equation, inputs)
            self._known[x, axes] = known
        return known

    def viewed(self, equation: Equation, axes: Axes) -> Value:
        """The value of a view."""
        (x,) = equation.variables
        try:
            return self.value(x, self.through(equation, axes))
        except Inexpressible:
            if not self.fusion.is_leaf(self.fusion.source(x), self.kernel.slot):
                raise
            return self.load(equation.output, axes)  # from a copy

    def load(self, x: Variable, axes: Axes) -> Value:
        known = self._known.get((x, axes))
        if known is not None:
            return known
        place = self.place_of(x)
        number = self.body.add(_Pending(len(self.pending), code(x.aval.dtype)))  # type: ignore[arg-type]
        self.pending.append((number, place, axes))
        self._known[x, axes] = number
        return number

    @staticmethod
    def spread(x: Variable, axes: Axes, shape: Sequence[int]) -> Axes:
        """The axes of an input that is broadcast to a shape."""
        mine = x.aval.shape
        if mine == shape:
            return axes
        last = axes[len(shape) - len(mine) :]
        return tuple(
            Index() if n == 1 and m != 1 else a
            for n, m, a in zip(mine, shape[len(shape) - len(mine) :], last, strict=True)
        )

    # Views ------------------------------------------------------------------------------------

    def through(self, equation: Equation, axes: Axes) -> Axes:
        """The axes of what a view is a view of."""
        name, params = equation.primitive.name, equation.params
        (x,) = equation.inputs
        assert x.__class__ is Variable
        if name == "transpose":
            found: list[Index] = [Index()] * len(axes)
            for mine, theirs in zip(axes, params["axes"], strict=True):
                found[theirs] = mine
            return tuple(found)
        if name == "broadcast":
            return tuple(axes[a] for a in params["axes"])
        if name == "slice":
            return self._before_slice(params["key"], axes)
        if name == "reshape":
            return self._before_reshape(x, equation.output, axes)
        return axes

    @staticmethod
    def _before_slice(key: Sequence, axes: Axes) -> Axes:
        found, rest = [], iter(axes)
        for entry in key:
            if isinstance(entry, int):
                found.append(Index((), entry))
            else:
                mine = next(rest)
                start, _, step = entry
                found.append(Index(mine.indices, start + step * mine.start, step * mine.step))
        return tuple(found)

    def _before_reshape(self, x: Variable, y: Variable, axes: Axes) -> Axes:
        """Axes that stay whole are handed over as they are; others must be plain indices."""
        flat: list[int] = []
        for n, axis in zip(y.aval.shape, axes, strict=True):
            if n != 1 and (axis.start != 0 or axis.step != 1):
                return self._same_axes(x, y, axes)
            flat += self.resolved(axis.indices) if n != 1 else ()
        found, flat = [], [i for i in flat if self.lengths[i] != 1][::-1]
        for n in x.aval.shape:
            taken: list[int] = []
            while n > 1:
                if not flat:
                    raise Inexpressible(x)
                i = flat.pop()
                length = self.lengths[i]
                if n % length:
                    if length % n:
                        raise Inexpressible(x)
                    first, second = self.split(i, n)
                    flat.append(second)
                    i, length = first, n
                taken.append(i)
                n //= length
            found.append(Index(tuple(taken)))
        return tuple(found)

    @staticmethod
    def _same_axes(x: Variable, y: Variable, axes: Axes) -> Axes:
        """For a reshape that adds or drops axes of length 1 and does nothing else."""
        rest = [a for n, a in zip(y.aval.shape, axes, strict=True) if n != 1]
        mine = [n for n in x.aval.shape if n != 1]
        if mine != [n for n in y.aval.shape if n != 1]:
            raise Inexpressible(x)
        left = iter(rest)
        return tuple(Index() if n == 1 else next(left) for n in x.aval.shape)

    def split(self, i: int, n: int) -> tuple[int, int]:
        """Split an index of length n · m into one of n and a faster one of m."""
        first = len(self.lengths)
        self.lengths += [n, self.lengths[i] // n]
        self.parts[i] = first, first + 1
        return first, first + 1

    def resolved(self, indices: Sequence[int]) -> Sequence[int]:
        """Indices with those that were split replaced by their parts."""
        if not self.parts:
            return indices
        found: list[int] = []
        for i in indices:
            found += self.resolved(self.parts[i]) if i in self.parts else [i]
        return found

    def strides(
        self, place: Place, axes: Axes, final: Sequence[int]
    ) -> tuple[tuple[int, ...], int]:
        """How far each index of `final` moves in a buffer, and the offset."""
        moves, offset = dict.fromkeys(final, 0), place.offset
        for axis, stride in zip(axes, place.strides, strict=True):
            offset += axis.start * stride
            reach = axis.step * stride
            for i in reversed(self.resolved(axis.indices)):
                if self.lengths[i] != 1:
                    moves[i] += reach
                    reach *= self.lengths[i]
        return tuple(moves.values()), offset


@dataclass(frozen=True)
class _Pending:
    """Stands for a load until all indices are known."""

    number: int
    dtype: str


def build(
    fusion: Fusion,
    kernel: FusedKernel,
    place_of: Callable[[Variable], Place],
    settle: Callable[[Variable, Sequence[int]], tuple[Place, bool]],
) -> FusedLoop:
    """The loop of a kernel.

    Args:
        settle: decides where a sink lies, given its axes from the slowest to the fastest, and
            whether it is added to what lies there.
    """
    b = LoopBuilder(fusion, kernel, place_of)
    values = []
    for sink in kernel.sinks:
        equation = fusion.makers.get(sink)
        assert equation is not None
        if fusion.kind(equation) == "reduce":
            values.append(b.value(equation.inputs[0], b.whole()))
        else:
            values.append(b.computed(sink, b.whole()))
    final = [i for i in b.resolved(range(len(kernel.shape))) if b.lengths[i] != 1]
    loads = {n: (place, *b.strides(place, axes, final)) for n, place, axes in b.pending}
    order = _order(b, final, loads)
    rank = {i: k for k, i in enumerate(order)}
    numbers: dict[Buffer, int] = {}

    def access(place: Place, dtype: str, strides: Sequence[int], offset: int) -> Access:
        by_index = dict(zip(final, strides, strict=True))
        number = numbers.setdefault(place.buffer, len(numbers))
        return Access(number, dtype, tuple(by_index[i] for i in order), offset)

    stores = []
    for sink, value in zip(kernel.sinks, values, strict=True):
        equation = fusion.makers[sink]
        dtype = code(sink.aval.dtype)
        reduce = None
        axes = b.whole()
        if fusion.kind(equation) == "reduce":
            reduce = REDUCTIONS[equation.primitive.name]
            axes = tuple(a for i, a in enumerate(axes) if i not in equation.params["axes"])
        first = [
            min((rank[i] for i in b.resolved(a.indices) if i in rank), default=-1) for a in axes
        ]
        place, accumulate = settle(sink, sorted(range(len(axes)), key=lambda a: first[a]))
        strides, offset = b.strides(place, axes, final)
        if isinstance(value, Constant):
            value = b.body.op("cast", dtype, value)
        stores.append(Store(access(place, dtype, strides, offset), value, reduce, accumulate))
    body = tuple(
        access(loads[n][0], x.dtype, *loads[n][1:]) if isinstance(x, _Pending) else x
        for x, n in b.body.instructions.items()
    )
    shape = tuple(b.lengths[i] for i in order)
    return FusedLoop(Loop(shape, body, tuple(stores)), list(numbers))


def _order(b: LoopBuilder, final: list[int], loads: dict) -> list[int]:
    """The indices from the slowest to the fastest: as the largest value that is read lies in
    memory, and one computed by this program before one that was given to it."""

    def weight(load: tuple) -> tuple:
        place, strides, _ = load
        reached = math.prod(b.lengths[i] for i, s in zip(final, strides, strict=True) if s)
        return reached, place.buffer.local

    ranked = sorted(loads.values(), key=weight, reverse=True)
    keys = [tuple(abs(load[1][k]) for load in ranked[:1]) for k in range(len(final))]
    # An index on which the first does not move is decided by the others.
    rest = [tuple(-abs(load[1][k]) for load in ranked[1:]) for k in range(len(final))]
    return [
        final[k]
        for k in sorted(range(len(final)), key=lambda k: ([-s for s in keys[k]], rest[k], k))
    ]
