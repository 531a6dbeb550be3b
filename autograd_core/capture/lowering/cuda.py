"""Lowering for the GPU: the same steps, but for what the CPU's caches ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autograd_core.capture.lowering.epilogues import with_epilogues
from autograd_core.capture.lowering.lower import Lowered, Lowering, NativeStep, Step
from autograd_core.capture.lowering.places import Buffer, dense
from autograd_core.capture.lowering.sums import in_parts
from kernels.gpu.loops import alike, wanted_parts
from kernels.gpu.products import InParts, result_of
from kernels.gpu.products import wanted_parts as wanted_product_parts
from kernels.loops import Access, Loop, Store, merged
from kernels.native.products import Product
from kernels.native.windows import GatherWeights


class CudaLowering(Lowering):
    """Loops are not tiled, and sums are cut only where they would leave most of a GPU idle.
    Products copy nothing to scratch: blocks have memory of their own. Loops that alone read a
    product are done with it."""

    uses_scratch = False
    reads_any_strides = True

    def lowered(self) -> Lowered:
        found = super().lowered()
        self.steps = []
        for step in with_epilogues(found.steps):
            self._add(step)
        return Lowered(self.steps, found.tables)

    def _add(self, step: Step) -> None:
        """A step; a product whose terms are shared out is followed by a sum of its parts."""
        kernel = getattr(step, "kernel", None)
        parts = wanted_product_parts(kernel) if isinstance(kernel, Product | GatherWeights) else 1
        if parts == 1:
            self.steps.append(step)
            return
        assert isinstance(step, NativeStep) and isinstance(kernel, Product | GatherWeights)
        shape, strides, adds = result_of(kernel)
        (target, offset), dtype = step.operands[2], kernel.dtype
        partial = Buffer(dtype, parts * math.prod(shape))
        operands = [*step.operands[:2], (partial, 0), *step.operands[3:]]
        in_parts: Any = InParts(kernel, parts)  # which the CPU has not
        self.steps.append(NativeStep(in_parts, operands, step.reads, [partial]))
        load = Access(0, dtype, dense((parts, *shape)))
        store = Store(Access(1, dtype, (0, *strides), offset), 0, "sum", adds)
        self.add_loop(Loop((parts, *shape), (load,), (store,)), [partial, target])

    def add_loop(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        for each in alike(merged(loop)):
            given = list(buffers)
            totals: list[tuple[Loop, list[Buffer]]] = []
            parts = wanted_parts(each)
            if parts > 1:
                each, totals = in_parts(each, given, parts)
            self.add_step(each, given)
            for total, of in together(totals):
                self.add_loop(total, of)


def together(totals: Sequence[tuple[Loop, list[Buffer]]]) -> list[tuple[Loop, list[Buffer]]]:
    """Loops that each add up the parts of a sum, those of one shape as one: a launch takes longer
    than what it does."""
    of_shape: dict[tuple[int, ...], list[tuple[Loop, list[Buffer]]]] = {}
    for loop, buffers in totals:
        of_shape.setdefault(loop.shape, []).append((loop, buffers))
    found = []
    for shape, some in of_shape.items():
        given = list(dict.fromkeys(b for _, buffers in some for b in buffers))
        body, stores = [], []
        for n, (loop, buffers) in enumerate(some):
            (load,), (store,) = loop.body, loop.stores
            at = store.access
            assert isinstance(load, Access)
            body.append(load._replace(buffer=given.index(buffers[load.buffer])))
            at = at._replace(buffer=given.index(buffers[at.buffer]))
            stores.append(store._replace(access=at, value=n))
        found.append((Loop(shape, tuple(body), tuple(stores)), given))
    return found
