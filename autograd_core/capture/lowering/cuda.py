"""Lowering for the GPU: the same steps, but for what the CPU's caches ask for."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_core.capture.lowering.epilogues import with_epilogues
from autograd_core.capture.lowering.lower import Lowered, Lowering
from autograd_core.capture.lowering.places import Buffer
from autograd_core.capture.lowering.sums import in_parts
from kernels.gpu.loops import alike, wanted_parts
from kernels.loops import Loop, merged


class CudaLowering(Lowering):
    """Loops are not tiled, and their sums are cut only where they would leave most of a GPU idle.
    Products copy nothing to scratch: blocks have memory of their own. Loops that alone read a
    product are done with it."""

    uses_scratch = False

    def lowered(self) -> Lowered:
        found = super().lowered()
        return Lowered(with_epilogues(found.steps), found.tables)

    def add_loop(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        for each in alike(merged(loop)):
            given = list(buffers)
            totals: list[tuple[Loop, list[Buffer]]] = []
            parts = wanted_parts(each)
            if parts > 1:
                each, totals = in_parts(each, given, parts)
            self.add_step(each, given)
            for total, of in totals:
                self.add_loop(total, of)
