"""Fused loops, as data: what one pass over some arrays computes, for a compiler to turn into code.

A loop runs over all points of a shape. At each it loads entries of arrays, computes with them, and
stores results, or gathers them over the axes on which the array that is written does not move.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Access(NamedTuple):
    """Where an array's entry lies at each point: `offset` + Σ index · stride, in entries."""

    buffer: int
    dtype: str  # NumPy's name without the byte order: f4, f8, i8, b1, …
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Constant:
    """A number in the code, of the dtype that its operation works in."""

    value: float | int | bool

    def __eq__(self, other: object) -> bool:
        """Whether they are written in the same way: 0.0 is not -0.0 here, and nan is nan."""
        return other.__class__ is Constant and exactly(self.value) == exactly(other.value)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(exactly(self.value))


def exactly(x: float | int | bool) -> str:
    """A number in words that no other one has, of another type or sign, say; nan has two."""
    return f"float {struct.pack('>d', x).hex()}" if x.__class__ is float else repr(x)


class Op(NamedTuple):
    """A scalar operation on earlier values, by their numbers, or constants."""

    name: str
    dtype: str
    inputs: tuple[int | Constant, ...]


class Store(NamedTuple):
    """Where a value goes. With `reduce` ("sum", "max", "min") it is gathered over the axes on which
    the access has stride 0; with `accumulate` it is added to what lies there."""

    access: Access
    value: int
    reduce: str | None = None
    accumulate: bool = False


class Loop(NamedTuple):
    """Values are numbered in the order of the body, in which an access is a load."""

    shape: tuple[int, ...]
    body: tuple[Access | Op, ...]
    stores: tuple[Store, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def loads(self) -> Iterator[Access]:
        return (x for x in self.body if isinstance(x, Access))

    @property
    def ops(self) -> list[Op]:
        return [x for x in self.body if isinstance(x, Op)]

    @property
    def accesses(self) -> Iterator[Access]:
        yield from self.loads
        yield from (store.access for store in self.stores)


ANY = 0
"""The length of an axis that is told when the loop is run."""


def of_any_length(loop: Loop) -> Loop | None:
    """The loop that this one is an instance of, by the length of its only axis; None for others."""
    if len(loop.shape) != 1 or any(store.reduce for store in loop.stores):
        return None
    return loop._replace(shape=(ANY,))


def ordered(loop: Loop, axes: list[int]) -> Loop:
    """The same loop with its axes in another order; those left out must be of length 1."""
    return _mapped(
        loop,
        tuple(loop.shape[a] for a in axes),
        lambda s: tuple(s[a] for a in axes),
    )


def merged(loop: Loop) -> Loop:
    """The same loop with as few axes as can be: no axis of length 1, and one in the place of two
    that lie behind each other in all arrays."""
    axes = [a for a, n in enumerate(loop.shape) if n != 1]
    strides = [x.strides for x in loop.accesses]
    ends = [  # the last axis of each run of axes that lie behind each other
        a
        for a, b in zip(axes, [*axes[1:], -1], strict=False)
        if b < 0 or any(s[a] != loop.shape[b] * s[b] for s in strides)
    ]
    if ends == list(range(len(loop.shape))):
        return loop
    starts = [-1, *ends]
    shape = tuple(math.prod(loop.shape[a + 1 : b + 1]) for a, b in zip(starts, ends, strict=False))
    return _mapped(loop, shape, lambda s: tuple(s[a] for a in ends))


def split(loop: Loop, axis: int, inner: int) -> Loop:
    """The same loop with an axis of length n as two, of n / inner and inner."""
    shape = loop.shape

    def change(s: tuple[int, ...]) -> tuple[int, ...]:
        return (*s[:axis], inner * s[axis], s[axis], *s[axis + 1 :])

    shape = (*shape[:axis], shape[axis] // inner, inner, *shape[axis + 1 :])
    return _mapped(loop, shape, change)


TILE = 8, 16
"""Sides of tiles: eight lines are fewer than a cache keeps of those that share a place."""
NARROWEST = 4
"""Entries of the sides of a block that is worth turning in registers."""
CACHE_STEP, LARGE = 2**10, 2**21
"""Lines a multiple of so many bytes apart have few places in a cache, and so many points do not fit
into one anyway. Elsewhere tiles gain nothing."""


def tiled(loop: Loop) -> list[Loop]:
    """Loops that do the same, in small tiles of the last axis and of one along which an array lies
    that the last axis runs across: of the lines that a tile touches, all entries are used while
    they are in a cache. Other loops do what tiles leave at the edges."""
    last = len(loop.shape) - 1
    if turned_axes(loop):
        return [loop]
    across = [
        axis
        for x in loop.accesses
        for axis in range(last)
        if abs(x.strides[axis]) == 1 and _runs_across(x, loop.size)
    ]
    if not across or any(store.reduce for store in loop.stores):
        return [loop]
    axis = max(across, key=lambda a: loop.shape[a])
    rows, columns = loop.shape[axis], loop.shape[last]
    if rows < TILE[0] or columns < TILE[1]:
        return [loop]
    whole = rows - rows % TILE[0], columns - columns % TILE[1]
    inner = part(part(loop, axis, 0, whole[0]), last, 0, whole[1])
    halves = split(split(inner, last, TILE[1]), axis, TILE[0])
    ends = [axis + 1, last + 2]
    found = [ordered(halves, [a for a in range(last + 3) if a not in ends] + ends)]
    if whole[1] < columns:
        found.append(part(loop, last, whole[1], columns))
    if whole[0] < rows:
        found.append(part(part(loop, axis, whole[0], rows), last, 0, whole[1]))
    return found


def turned_axes(loop: Loop) -> tuple[int, int] | None:
    """The axes along which a copy writes neighbours, and along which it reads them, where these are
    two: blocks of both are best turned in registers."""
    if len(loop.body) != 1 or len(loop.stores) != 1 or loop.ops:
        return None
    load, to = loop.accesses
    if loop.stores[0].reduce or loop.stores[0].accumulate or load.dtype not in ("f4", "f8"):
        return None
    sides = [
        [axis for axis, n in enumerate(loop.shape) if x.strides[axis] == 1 and n >= NARROWEST]
        for x in (to, load)
    ]
    if list(map(len, sides)) != [1, 1] or sides[0] == sides[1]:
        return None
    return sides[0][0], sides[1][0]


def _runs_across(x: Access, size: int) -> bool:
    """Whether the last axis runs across lines of an array that are soon pushed out of a cache."""
    far = abs(x.strides[-1])
    return far >= TILE[1] and (size >= LARGE or far * int(x.dtype[1:]) % CACHE_STEP == 0)


def part(loop: Loop, axis: int, first: int, last: int) -> Loop:
    """The loop over the indices from first to below last of an axis."""
    shape = (*loop.shape[:axis], last - first, *loop.shape[axis + 1 :])
    return _mapped(loop, shape, lambda s: s, axis, first)


def _mapped(
    loop: Loop,
    shape: tuple[int, ...],
    strides: Callable[[tuple[int, ...]], tuple[int, ...]],
    axis: int = 0,
    first: int = 0,
) -> Loop:
    """The loop over another shape, with other strides, which begins at index `first` of an axis."""

    def moved(x: Access) -> Access:
        start = first * x.strides[axis] if first else 0
        return Access(x.buffer, x.dtype, strides(x.strides), x.offset + start)

    body = tuple([moved(x) if x.__class__ is Access else x for x in loop.body])
    stores = tuple([Store(moved(s.access), s.value, s.reduce, s.accumulate) for s in loop.stores])
    return Loop(shape, body, stores)
