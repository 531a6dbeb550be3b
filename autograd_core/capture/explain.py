"""What a program does, as a table: its steps, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_core.capture.lowering.costs import StepCost
from autograd_core.capture.lowering.program import Program


@dataclass(frozen=True)
class Explanation:
    """The steps of a program, and their sums. Printing it gives the table.

    Attributes:
        name: of the function.
        steps: in the order in which they run.
        turns: how often those of the part "turn" run.
        threads: which share the turns.
        memory: bytes that the program holds beside arguments and results.
        buffers: how many values lie in memory at some time.
        launches: of kernels in one call, on a GPU.
    """

    name: str
    steps: tuple[StepCost, ...]
    turns: int
    threads: int
    memory: int
    buffers: int
    launches: int | None = None

    @property
    def flops(self) -> int:
        """All floating-point operations of one call."""
        return sum(step.flops for step in self.steps)

    @property
    def product_flops(self) -> int:
        """Those of products and convolutions."""
        kinds = ("product", "convolution")
        return sum(step.flops for step in self.steps if step.what.startswith(kinds))

    @property
    def bytes(self) -> int:
        """All bytes that steps read and write in one call."""
        return sum(step.bytes for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """The sum of the steps' times, where they were measured."""
        times = [step.seconds for step in self.steps]
        return None if None in times else sum(t for t in times if t is not None)

    def __str__(self) -> str:
        where = f"{self.turns} turn{'s' * (self.turns != 1)} on {self.threads} "
        where += f"thread{'s' * (self.threads != 1)}"
        if self.launches is not None:
            called = sum("(called)" in step.what for step in self.steps)
            where = f"{self.launches} launches, " + (
                f"one by one, beside {called} called" if called else "replayed at once"
            )
        head = (
            f"{self.name}: {len(self.steps)} steps, {self.flops / 1e9:.3g} GFLOP "
            f"({self.product_flops / 1e9:.3g} in products), {self.bytes / 1e6:.4g} MB read and "
            f"written, {self.buffers} buffers in {self.memory / 1e6:.4g} MB; {where}"
        )
        timed = self.seconds is not None
        lines = [head, f"{'part':7}{'MFLOP':>10}{'MB':>10}{'ms' if timed else '':>10}  what"]
        for s in self.steps:
            spent = f"{s.seconds * 1e3:10.4f}" if s.seconds is not None else " " * 10
            lines.append(f"{s.part:7}{s.flops / 1e6:10.4g}{s.bytes / 1e6:10.4g}{spent}  {s.what}")
        return "\n".join(lines)


def explain(program: Any, name: str, arrays: Sequence[Any] | None) -> Explanation:
    """What a program does.

    Args:
        program: a `Program` or a `CudaProgram`.
        arrays: the arguments of a call, to measure its steps with.
    """
    plan = program.plan
    steps = plan.costs
    if arrays is not None:
        on_cpu = isinstance(program, Program)
        times = _measured(program, arrays) if on_cpu else program.timed(arrays)
        steps = [step._replace(seconds=t) for step, t in zip(steps, times, strict=True)]
    launches = None if isinstance(program, Program) else program.launches
    return Explanation(
        name, tuple(steps), plan.turns, plan.threads, program.bytes, plan.buffers, launches
    )


def _measured(program: Program, arrays: Sequence[np.ndarray]) -> list[float]:
    """Seconds for each step in all turns: the least of several runs."""
    runs = program.one_by_one(arrays)
    best = [float("inf")] * len(runs)
    for _ in range(3):
        for n, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[n] = min(best[n], time.perf_counter() - start)
    return best
