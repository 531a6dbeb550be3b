"""Lowering for the GPU: the same steps, but for what the CPU's caches ask for."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_core.capture.lowering.lower import Lowering
from autograd_core.capture.lowering.places import Buffer
from kernels.gpu.loops import alike
from kernels.loops import Loop, merged
from kernels.native.products import Product
from kernels.native.windows import Gather, GatherWeights


class CudaLowering(Lowering):
    """Loops are neither tiled nor are their sums cut into blocks: threads see to both. Products
    copy nothing to scratch: blocks have memory of their own."""

    def add_loop(self, loop: Loop, buffers: Sequence[Buffer]) -> None:
        for each in alike(merged(loop)):
            self.add_step(each, buffers)

    def with_scratch(
        self,
        kernel: Product | Gather | GatherWeights,
        operands: list[tuple[Buffer, int]],
        writes: list[Buffer],
    ) -> list[Buffer]:
        return writes
