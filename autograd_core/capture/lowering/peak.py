"""Where a program needs most memory: for the error that there is not enough."""

from __future__ import annotations

from autograd_core.capture.lowering.costs import describe
from autograd_core.capture.lowering.memory import Step
from autograd_core.capture.lowering.places import Buffer
from autograd_core.capture.lowering.plan import Plan
from kernels.native.text import BYTES

SHOWN = 5


def at_peak(plan: Plan) -> str:
    """The step at which most lies in memory, and the largest of what lies there, in words."""
    steps = [step for part in plan.parts.values() for step in part.lowered.steps]
    number, alive = _fullest(steps)
    if not alive:
        return "It needs no memory beside its arguments and results."
    largest = sorted(alive, key=_bytes, reverse=True)[:SHOWN]
    rest = len(alive) - len(largest)
    buffers = ", ".join(
        f"{_bytes(b) / 1e6:.4g} MB ({b.dtype}, {b.size:,} entries)" for b in largest
    )
    return (
        f"Most lies in memory at step {number} of {len(steps)}, {describe(steps[number])}: "
        f"{sum(map(_bytes, alive)) / 1e6:.4g} MB in {len(alive)} buffers: {buffers}"
        + (f", and {rest} smaller ones." if rest else ".")
    )


def _fullest(steps: list) -> tuple[int, list[Buffer]]:
    """The step while which most local buffers are needed, by their bytes, and these buffers."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for n, step in enumerate(steps):
        for buffer in _local(step):
            first.setdefault(buffer, n)
            last[buffer] = n
    best: tuple[int, list[Buffer]] = 0, []
    most = -1
    for n in range(len(steps)):
        alive = [b for b in first if first[b] <= n <= last[b]]
        total = sum(map(_bytes, alive))
        if total > most:
            best, most = (n, alive), total
    return best


def _local(step: Step) -> list[Buffer]:
    return [b for b in (*step.reads, *step.writes) if b.local]


def _bytes(buffer: Buffer) -> int:
    return buffer.size * BYTES[buffer.dtype]
