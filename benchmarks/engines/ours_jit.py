"""The meta-training step in this project, compiled: one program, with Adam inside it."""

from __future__ import annotations

import autograd_core as ac
from benchmarks.engines import Functional
from benchmarks.engines.ours import prepare as prepare_eager
from benchmarks.workloads import Workload


def prepare(workload: Workload, device: str = "cpu") -> Functional:
    """A `Training` in this engine."""
    eager = prepare_eager(workload, device)
    step = ac.jit(eager.step, quiet=True)
    training = Functional(step, eager.state, eager.tasks, eager.leaves)
    training.explain = lambda timed=False: step.explain(  # type: ignore[attr-defined]
        eager.state, eager.tasks, timed=timed
    )
    return training
