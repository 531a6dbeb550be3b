"""Programs on the GPU: launches of kernels on fixed places of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernels.gpu import loops, products
from kernels.gpu.launch import ALIGNMENT, Launch
from kernels.loops import Loop
from kernels.native.products import Product
from kernels.native.program import Kernel, Repeat, Routine
from kernels.native.windows import Gather, GatherWeights

Places = tuple[tuple[int, int], ...]


class Step(NamedTuple):
    """A kernel, and for each of its parameters a slot and bytes behind the address in it."""

    launch: Launch
    places: Places


def steps_of(routines: Sequence[Routine]) -> list[list[list[Step]]]:
    """The launches of each call of each routine, in order; equal kernels are one."""
    known: dict[tuple[Kernel, bool], Launch] = {}

    def once(kernel: Repeat, places: Places, turn: int) -> list[Step]:
        found = []
        for inner, given in kernel.calls:
            there = ((*places[p], far + move * turn) for p, far, move in given)
            found += expand(inner, tuple((slot, first + more) for slot, first, more in there))
        return found

    def expand(kernel: Kernel, places: Places) -> list[Step]:
        if isinstance(kernel, Repeat):
            return [step for turn in range(kernel.turns) for step in once(kernel, places, turn)]
        aligned = all(far % ALIGNMENT == 0 for _, far in _at_once(kernel, places))
        if (kernel, aligned) not in known:
            known[kernel, aligned] = launch_of(kernel, f"kernel{len(known)}", aligned)
        launch = known[kernel, aligned]
        return [Step(launch, tuple(places[n] for n in launch.operands))]

    return [[expand(call.kernel, call.places) for call in routine.calls] for routine in routines]


def _at_once(kernel: Kernel, places: Places) -> Places:
    """The places of those operands of which several entries are read at once."""
    if isinstance(kernel, Loop):
        return places if loops.goes_by_several(kernel) else ()
    return places[:2]


def launch_of(kernel: Kernel, name: str, aligned: bool = True) -> Launch:
    """The CUDA kernel for one of the CPU's.

    Args:
        aligned: whether a loop's buffers, or a product's two matrices, begin at a multiple of
            `ALIGNMENT` bytes.
    """
    match kernel:
        case Loop():
            return loops.launch(kernel, name, aligned)
        case Product():
            return products.product_launch(kernel, name, aligned)
        case products.ProductThen():
            return products.product_then_launch(kernel, name, aligned)
        case products.InParts():
            return products.in_parts_launch(kernel, name, aligned)
        case Gather():
            return products.gather_launch(kernel, name, aligned)
        case GatherWeights():
            return products.weights_launch(kernel, name, aligned)
    raise TypeError(f"no CUDA kernel for {kernel!r}")


def sources_of(steps: Sequence[Sequence[Sequence[Step]]]) -> dict[str, str]:
    """The source of each kernel, by its name."""
    every = (step.launch for calls in steps for call in calls for step in call)
    return {launch.name: launch.source for launch in every}
