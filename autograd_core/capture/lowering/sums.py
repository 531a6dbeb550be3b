"""Sums in blocks: rounding errors grow with the number of terms that are added one after the other
(N. Higham, The accuracy of floating point summation, 1993), so long sums are sums of short ones."""

from __future__ import annotations

import math

from autograd_core.capture.lowering.places import Buffer, dense
from kernels.loops import Access, Loop, Store, split

DEEPEST = 64
"""Terms that are added one after the other, at most."""
LANES = 32
"""A sum along the last axis is gathered in so many lanes at least."""


def in_blocks(loop: Loop, buffers: list[Buffer]) -> tuple[Loop, list[tuple[Loop, list[Buffer]]]]:
    """The loop with long sums cut into partial ones, and loops that add those up.

    Args:
        loop: numbers its buffers by the list `buffers`, to which those of partial sums are added.
    """
    totals: list[tuple[Loop, list[Buffer]]] = []
    while True:
        deep = next((s for s in loop.stores if depth(loop, s) > DEEPEST), None)
        if deep is None:
            return loop, totals
        found = _kept(loop, deep)
        if found is None:
            return loop, totals
        loop, kept = found
        pattern = _summed(loop, next(s for s in loop.stores if _same(s, deep)))
        stores = []
        for store in loop.stores:
            if _is_sum(store) and _summed(loop, store) == pattern:
                store, total = _partial(loop, store, kept, buffers)
                totals.append(total)
            stores.append(store)
        loop = loop._replace(stores=tuple(stores))


def in_parts(
    loop: Loop, buffers: list[Buffer], most: int
) -> tuple[Loop, list[tuple[Loop, list[Buffer]]]]:
    """The loop with its reductions, which are over the same axes, cut into as many parts as can be,
    and loops that join them.

    Args:
        buffers: as for `in_blocks`.
        most: parts at most.
    """
    axes = _summed(loop, next(s for s in loop.stores if s.reduce))
    parts = {a: max(d for d in range(1, most + 1) if loop.shape[a] % d == 0) for a in axes}
    axis = max(axes, key=lambda a: parts[a])  # the outermost of equal ones
    if parts[axis] == 1:
        return loop, []
    if parts[axis] < loop.shape[axis]:
        loop = split(loop, axis, loop.shape[axis] // parts[axis])
    totals, stores = [], []
    for store in loop.stores:
        if store.reduce:
            store, total = _partial(loop, store, [axis], buffers)
            totals.append(total)
        stores.append(store)
    return loop._replace(stores=tuple(stores)), totals


def _same(store: Store, other: Store) -> bool:
    mine, theirs = store.access, other.access
    return (mine.buffer, mine.offset, store.value) == (theirs.buffer, theirs.offset, other.value)


def _is_sum(store: Store) -> bool:
    return store.reduce == "sum" and store.access.dtype[0] == "f"


def _summed(loop: Loop, store: Store) -> list[int]:
    """The axes that are summed over."""
    return [a for a, s in enumerate(store.access.strides) if s == 0 and loop.shape[a] > 1]


def _lanes(loop: Loop, axis: int) -> int:
    return LANES if axis == len(loop.shape) - 1 else 1


def depth(loop: Loop, store: Store) -> int:
    """How many terms are added one after the other."""
    if not _is_sum(store):
        return 0
    return math.prod(-(-loop.shape[a] // _lanes(loop, a)) for a in _summed(loop, store))


def _kept(loop: Loop, store: Store) -> tuple[Loop, list[int]] | None:
    """Axes of which each index gets a partial sum of its own, the outermost ones, one of them split
    if need be; None if there is no good way."""
    kept: list[int] = []
    for axis in _summed(loop, store):
        inside = math.prod(
            -(-loop.shape[a] // _lanes(loop, a)) for a in _summed(loop, store) if a > axis
        )
        n, lanes = loop.shape[axis], _lanes(loop, axis)
        if inside * -(-n // lanes) <= DEEPEST:
            break
        most = max(1, DEEPEST // inside) * lanes
        block = max(b for b in range(1, min(n, most) + 1) if n % b == 0)
        if block > 1:
            loop = split(loop, axis, block)
            return loop, [*kept, axis]
        if inside == 1:
            break
        kept.append(axis)
    return (loop, kept) if kept else None


def _partial(
    loop: Loop, store: Store, kept: list[int], buffers: list[Buffer]
) -> tuple[Store, tuple[Loop, list[Buffer]]]:
    """The store of partial sums, and the loop that adds them up."""
    access = store.access
    rest = [a for a, s in enumerate(access.strides) if s and loop.shape[a] > 1]
    axes = [*kept, *rest]
    inner = dense([loop.shape[a] for a in axes])
    strides = [0] * len(loop.shape)
    for a, s in zip(axes, inner, strict=True):
        strides[a] = s
    shape = tuple(loop.shape[a] for a in axes)
    partial = Buffer(access.dtype, math.prod(shape))
    buffers.append(partial)
    into = Store(Access(len(buffers) - 1, access.dtype, tuple(strides)), store.value, store.reduce)
    mine = (*(0 for _ in kept), *(access.strides[a] for a in rest))
    target = access._replace(buffer=1, strides=mine)
    total = Loop(
        shape, (Access(0, access.dtype, inner),), (store._replace(access=target, value=0),)
    )
    return into, (total, [partial, buffers[access.buffer]])
