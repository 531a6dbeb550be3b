"""What turns need not do, those of a scan and those that a program has for tasks: steps that would
give the same each time are done once, and what is read in another order of its axes than it lies in
lies in that order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from autograd_core.capture.lowering.places import Buffer, dense
from kernels.loops import Access, Loop

Role = tuple[str, int]
"""Of a buffer that is not local, and its number."""


def once_before(steps: Sequence[Any], stays: Callable[[Buffer], bool]) -> tuple[list, list]:
    """The steps that give the same in each turn, and the others.

    Args:
        stays: whether a buffer that is not local is the same in all turns.
    """
    writers = Counter(b for step in steps for b in set(step.writes))
    same: set[Buffer] = set()
    before, rest = [], []
    for step in steps:
        known = all(stays(b) or b in same for b in step.reads)
        own = all(b.local and writers[b] == 1 for b in step.writes)
        if known and own:
            same |= set(step.writes)
            before.append(step)
        else:
            rest.append(step)
    return before, rest


def wanted_order(steps: Sequence[Any], role: Role, shape: Sequence[int]) -> list[int] | None:
    """The order of axes, from the slowest to the fastest, that a step copies an argument to whose
    entries lie without gaps; None if none does."""
    for step in steps:
        loop = step.kernel
        if not isinstance(loop, Loop) or len(loop.body) != 1 or len(loop.stores) != 1:
            continue
        (load,), (store,) = loop.body, loop.stores
        if not isinstance(load, Access) or store.reduce or store.accumulate:
            continue
        (source, start), (target, begin) = (step.operands[x.buffer] for x in (load, store.access))
        whole = source.size == target.size == loop.size and not start and not begin
        if whole and has_role(source, role) and target.local:
            return _order(loop, load, store.access, shape)
    return None


def turned_order(
    steps: Sequence[Any], role: Role, shape: Sequence[int], least: int = 1
) -> list[int] | None:
    """The order of axes in which loops go through an argument or a result whose entries lie without
    gaps, where `least` or more go through it in another order than its own, and more than in that;
    else None."""
    found: Counter[tuple[int, ...]] = Counter()
    for step in steps:
        loop = step.kernel
        if isinstance(loop, Loop) and any(has_role(b, role) for b, _ in step.operands):
            found.update(_orders(step, loop, role, shape))
    best = max(found, key=lambda order: found[order], default=None)
    own = tuple(range(len(shape)))
    if best is None or best == own or found[best] < least or found[best] <= found[own]:
        return None
    return list(best)


def _orders(step: Any, loop: Loop, role: Role, shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The order in which most other arrays lie that a loop goes through with an array; none where
    it does not go through all of that."""
    whole = [x for x in loop.accesses if step.operands[x.buffer][0].size == loop.size]
    mine = [x for x in whole if has_role(step.operands[x.buffer][0], role)]
    others = [x for x in whole if not has_role(step.operands[x.buffer][0], role)]
    if not mine or not others or step.operands[mine[0].buffer][1]:
        return []
    found = Counter(tuple(_order(loop, mine[0], x, shape)) for x in others)
    return [max(found, key=lambda order: found[order])]


def _order(loop: Loop, here: Access, there: Access, shape: Sequence[int]) -> list[int]:
    """The axes of an array without gaps, of a shape, in the order in which another one that the
    loop goes through has them. The loop may have joined or split them: an axis is found by its
    stride `here`."""

    def moved(stride: int) -> int:
        for old, new, n in zip(here.strides, there.strides, loop.shape, strict=True):
            if old <= stride < old * n:
                return stride // old * new
        return 0  # of an axis of length 1

    found = list(map(moved, dense(shape)))
    return sorted(range(len(shape)), key=lambda axis: -found[axis])


def has_role(buffer: Buffer, role: Role) -> bool:
    """Whether a buffer is the argument, or result, of a number."""
    return (buffer.role, buffer.number) == role
