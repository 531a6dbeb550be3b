"""Results that are written where an operand lies which nobody reads any more. Less memory then goes
through the caches, and what is written is there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autograd_core.capture.lowering.places import Buffer
from autograd_core.capture.lowering.turns import Role, has_role
from kernels.loops import Access, Loop


def in_place(steps: Sequence[Any], old: Role, new: Role) -> list[Any] | None:
    """The steps of a scan's body, which may write the carry `new` where the `old` one lies; None if
    they may not: one that comes later reads the old one, or the same one does elsewhere than where
    it writes."""
    reads = [n for n, step in enumerate(steps) if any(has_role(b, old) for b in step.reads)]
    writes = [n for n, step in enumerate(steps) if any(has_role(b, new) for b in step.writes)]
    if not writes:
        return None
    last, first = max(reads, default=-1), writes[0]
    if last < first:
        return list(steps)
    if last > first:
        return None
    step = steps[first]
    sources = [n for n, (b, _) in enumerate(step.operands) if has_role(b, old)]
    targets = [n for n, (b, _) in enumerate(step.operands) if has_role(b, new)]
    joined = _as_one(step, sources, targets)
    return None if joined is None else [*steps[:first], joined, *steps[first + 1 :]]


def overwriting(steps: Sequence[Any]) -> list[Any]:
    """Steps that do the same, with loops that write a local buffer where they read one for the last
    time. Buffers that steps in Python touch stay as they are."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    fixed: set[Buffer] = set()
    for n, step in enumerate(steps):
        touched = [*step.reads, *step.writes]
        last.update(dict.fromkeys(touched, n))
        for buffer in step.writes:
            first.setdefault(buffer, n)
        if not hasattr(step, "kernel"):
            fixed.update(touched)

    def free(buffer: Buffer) -> bool:
        return buffer.local and buffer not in fixed

    found, became = [], dict[Buffer, Buffer]()
    for n, step in enumerate(steps):
        step = _renamed(step, became)
        new = [b for b in dict.fromkeys(step.writes) if free(b) and first[b] == n]
        for target in new:
            for source in dict.fromkeys(step.reads):
                done = free(source) and last[source] == n and source not in step.writes
                if not done or (source.size, source.dtype) != (target.size, target.dtype):
                    continue
                joined = _as_one(step, _operands(step, source), _operands(step, target))
                if joined is not None:
                    became[target], last[source] = source, last[target]
                    step = _renamed(joined, {target: source})
                    break
        found.append(step)
    return found


def _operands(step: Any, buffer: Buffer) -> list[int]:
    return [n for n, (b, _) in enumerate(step.operands) if b is buffer]


def _renamed(step: Any, became: Mapping[Buffer, Buffer]) -> Any:
    """A step with other buffers in the place of some."""
    if became.keys().isdisjoint((*step.reads, *step.writes)):
        return step
    return replace(
        step,
        operands=[(became.get(b, b), offset) for b, offset in step.operands],
        reads=[became.get(b, b) for b in step.reads],
        writes=[became.get(b, b) for b in step.writes],
    )


def _as_one(step: Any, sources: Sequence[int], targets: Sequence[int]) -> Any:
    """A loop that reads each entry of one operand where it writes another, with one operand for
    both, the written one; None for any other step. A store that does not reduce moves along every
    axis, so no entry is read again once it is written."""
    loop = step.kernel
    if not isinstance(loop, Loop) or len(sources) != 1 or len(targets) != 1:
        return None
    (k,), (m,) = sources, targets
    stored = [s for s in loop.stores if s.access.buffer == m]
    loaded = {x.strides for x in loop.loads if x.buffer == k}
    if len(stored) != 1 or stored[0].reduce or stored[0].accumulate:
        return None
    starts = step.operands[k][1], step.operands[m][1]
    if loaded != {stored[0].access.strides} or starts[0] != starts[1]:
        return None

    def renumbered(x: Access) -> Access:
        n = m if x.buffer == k else x.buffer
        return x._replace(buffer=n - (n > k))

    body = tuple(renumbered(x) if isinstance(x, Access) else x for x in loop.body)
    stores = tuple(s._replace(access=renumbered(s.access)) for s in loop.stores)
    operands = [x for n, x in enumerate(step.operands) if n != k]
    return replace(step, kernel=Loop(loop.shape, body, stores), operands=operands)
