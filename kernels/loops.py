"""Fused loops, as data: what one pass over some arrays computes, for a compiler to turn into code.

A loop runs over all points of a shape. At each it loads entries of arrays, computes with them, and
stores results, or adds them up over the axes on which the stored array does not move.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Access:
    """Where an array's entry lies at each point: `offset` + Σ index · stride, in entries."""

    buffer: int
    dtype: str  # NumPy's name without the byte order: f4, f8, i8, b1, …
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Op:
    """A scalar operation on values: a number of an earlier value, or a constant."""

    name: str
    dtype: str
    inputs: tuple[int | Constant, ...]


@dataclass(frozen=True)
class Constant:
    """A number in the code, of the dtype that its operation works in."""

    value: float | int | bool


@dataclass(frozen=True)
class Store:
    """Where a value goes. With `reduce` ("sum", "max", "min") it is gathered over the axes on which
    the access has stride 0."""

    access: Access
    value: int
    reduce: str | None = None


@dataclass(frozen=True)
class Loop:
    """Values are numbered: first the loads, then the operations."""

    shape: tuple[int, ...]
    loads: tuple[Access, ...]
    ops: tuple[Op, ...]
    stores: tuple[Store, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def accesses(self) -> Iterator[Access]:
        yield from self.loads
        yield from (store.access for store in self.stores)


def simplified(loop: Loop) -> Loop:
    """The same loop with its axes in a good order, and as few as can be.

    Axes of length 1 are dropped; the axis on which memory is read entry by entry comes last; axes
    that lie behind each other in all arrays become one.
    """
    order = sorted(
        (a for a, n in enumerate(loop.shape) if n != 1), key=lambda a: _reach(loop, a), reverse=True
    )
    loop = _with_axes(loop, order)
    merged = 0
    while merged < len(loop.shape) - 1:
        if _contiguous(loop, merged):
            loop = _merge(loop, merged)
        else:
            merged += 1
    return loop


def _reach(loop: Loop, axis: int) -> tuple[int, int]:
    """How far memory is left behind by a step along an axis, over all accesses; the stores decide
    where loads do not."""
    return sum(abs(x.strides[axis]) for x in loop.accesses), -axis


def _with_axes(loop: Loop, axes: list[int]) -> Loop:
    moved = lambda x: replace(x, strides=tuple(x.strides[a] for a in axes))
    return Loop(
        tuple(loop.shape[a] for a in axes),
        tuple(map(moved, loop.loads)),
        loop.ops,
        tuple(replace(s, access=moved(s.access)) for s in loop.stores),
    )


def _contiguous(loop: Loop, axis: int) -> bool:
    n = loop.shape[axis + 1]
    return all(x.strides[axis] == n * x.strides[axis + 1] for x in loop.accesses)


def _merge(loop: Loop, axis: int) -> Loop:
    merged = lambda x: replace(x, strides=(*x.strides[:axis], *x.strides[axis + 1 :]))
    shape = loop.shape
    return Loop(
        (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]),
        tuple(map(merged, loop.loads)),
        loop.ops,
        tuple(replace(s, access=merged(s.access)) for s in loop.stores),
    )
