"""What each step of a program costs, in words and numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from autograd_core.capture.lowering.lower import NativeStep, PythonStep
from kernels.loops import Loop
from kernels.native.products import Product
from kernels.native.program import Repeat, work


class StepCost(NamedTuple):
    """One step.

    Attributes:
        part: "before", "turn" or "after": turns are run once for each index of the mapped axis.
        what: what the step does.
        flops: floating-point operations in all turns.
        bytes: read and written in all turns, where nothing is in a cache.
        seconds: measured in all turns, on one thread; None where it was not asked for.
    """

    part: str
    what: str
    flops: int
    bytes: int
    seconds: float | None = None


def cost(step: NativeStep | PythonStep, part: str, turns: int) -> StepCost:
    """Of a step that is done so many times."""
    flops, reached = work(step.kernel) if isinstance(step, NativeStep) else (0, 0)
    return StepCost(part, describe(step), flops * turns, reached * turns)


def describe(step: NativeStep | PythonStep) -> str:
    """A step in words; "called" is what its primitive's own kernel does, on arrays."""
    if isinstance(step, PythonStep):
        shapes = [list(x[1]) if isinstance(x, tuple) else x for x in step.inputs]
        return f"{step.equation.primitive.name} (called) of {', '.join(map(str, shapes))}"
    kernel: Any = step.kernel
    if hasattr(kernel, "product"):  # and a loop on its result
        product, loop = (describe(replace(step, kernel=k)) for k in (kernel.product, kernel.loop))
        return f"{product}, then {loop}"
    if hasattr(kernel, "parts"):
        return f"{describe(replace(step, kernel=kernel.kernel))}, in {kernel.parts} parts"
    if isinstance(kernel, Loop):
        names = [op.name for op in kernel.ops]
        kinds = [store.reduce for store in kernel.stores if store.reduce]
        said = " ".join(names[:8]) + (" …" if len(names) > 8 else "") or "copy"
        gathered = f" → {' '.join(kinds)}" if kinds else ""
        return f"loop {list(kernel.shape)}: {said}{gathered}"
    if isinstance(kernel, Product):
        stack = f"{list(kernel.stack)} of " if kernel.stack else ""
        return f"product {stack}{kernel.m}×{kernel.k} by {kernel.k}×{kernel.n}"
    if isinstance(kernel, Repeat):
        inner = " ".join(type(k).__name__.lower() for k, _ in kernel.calls[:6])
        more = " …" if len(kernel.calls) > 6 else ""
        return f"scan of {kernel.turns} turns of {len(kernel.calls)} steps: {inner}{more}"
    g = kernel.geometry
    return (
        f"convolution ({type(kernel).__name__}) of {kernel.stack * g.images} images of "
        f"{g.size[0]}×{g.size[1]}×{g.channels}, {len(g.taps)} taps, {kernel.n} channels out"
    )
