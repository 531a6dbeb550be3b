"""Products whose results one loop alone reads, point by point: the loop is done where the entries
are, and what lay between is never written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.capture.lowering.lower import NativeStep, Step
from autograd_core.capture.lowering.places import Buffer
from kernels.gpu.loops import GIVEN
from kernels.gpu.products import ProductThen
from kernels.loops import Access, Loop
from kernels.native.products import Product


def with_epilogues(steps: Sequence[Step]) -> list[Step]:
    """The same steps, fewer: products take the place of the loops that read them."""
    found: list[Any] = list(steps)
    users: dict[Buffer, list[int]] = {}
    for number, step in enumerate(steps):
        for buffer in {*step.reads, *step.writes}:
            users.setdefault(buffer, []).append(number)
    for number, step in enumerate(steps):
        after = _only_reader(number, step, users)
        if after is None or not _may_wait(steps, number, after):
            continue
        joined = _joined(found[number], found[after])
        if joined is not None:
            found[number], found[after] = None, joined
    return [step for step in found if step is not None]


def _only_reader(number: int, step: Step, users: dict[Buffer, list[int]]) -> int | None:
    """The step that alone reads a product's result."""
    if not (isinstance(step, NativeStep) and isinstance(step.kernel, Product)):
        return None
    (result,) = step.writes
    uses = users[result]
    return uses[1] if result.local and len(uses) == 2 and uses[0] == number else None


def _may_wait(steps: Sequence[Step], number: int, after: int) -> bool:
    """Whether what a product reads is still there when a later step runs, and not written by it."""
    reads = set(steps[number].reads)
    return all(reads.isdisjoint(step.writes) for step in steps[number + 1 : after + 1])


def _joined(first: NativeStep, then: Any) -> NativeStep | None:
    """A product and the loop that reads it, as one step; None where the loop does not run through
    the result once, entry by entry."""
    product, loop = first.kernel, getattr(then, "kernel", None)
    if not isinstance(product, Product) or not isinstance(loop, Loop) or product.accumulate:
        return None
    if any(store.reduce or store.accumulate for store in loop.stores):
        return None
    result, start = first.operands[2]
    places = [n for n, (buffer, _) in enumerate(then.operands) if buffer is result]
    loads = [x for x in loop.loads if x.buffer in places]
    if len(places) != 1 or len(loads) != 1:
        return None
    (load,) = loads
    whole = (*product.stack, product.m, product.n), (*product.c, 1)
    beginning = then.operands[places[0]][1] + load.offset
    if start or beginning or not _dense(*whole, result):
        return None
    if not _dense(loop.shape, load.strides, result):
        return None
    others = [n for n in range(len(then.operands)) if n != places[0]]
    kernel = ProductThen(product, _renumbered(loop, places[0], others))
    operands = [*first.operands[:2], *(then.operands[n] for n in others)]
    reads = [*first.reads, *(b for b in then.reads if b is not result)]
    return NativeStep(kernel, operands, list(dict.fromkeys(reads)), then.writes)  # type: ignore[arg-type]


def _dense(shape: Sequence[int], strides: Sequence[int], buffer: Buffer) -> bool:
    """Whether these strides run through all of a buffer, each entry once."""
    reach = 1
    for stride, length in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride != reach:
            return False
        reach *= length
    return reach == buffer.size


def _renumbered(loop: Loop, given: int, others: Sequence[int]) -> Loop:
    """The loop with its operands behind a product's two, and GIVEN for the product's result."""
    number = {given: GIVEN, **{old: new for new, old in enumerate(others, 2)}}
    change = lambda x: x._replace(buffer=number[x.buffer])
    body = tuple(change(x) if isinstance(x, Access) else x for x in loop.body)
    stores = tuple(s._replace(access=change(s.access)) for s in loop.stores)
    return Loop(loop.shape, body, stores)
