"""What runs a captured graph where its arguments lie: a program for the CPU or for a GPU, or its
operations one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph, evaluate
from autograd_core.capture.lowering.program import Program, can_compile
from autograd_core.capture.passes import improve
from autograd_core.tensor import Tensor, alias, asarray
from kernels.devices import CPU, device_of

Runner = Callable[[Sequence[Any]], list[Tensor]]


def device_among(values: Iterable[Any]) -> str:
    """Where a program has to run for some tensors and arrays: on the first GPU that one lies on."""
    for x in values:
        while x.__class__ is Tensor:
            x = x.value
        there = device_of(x)
        if there != CPU:
            return there
    return CPU


def runner(
    graph: Graph,
    device: str = CPU,
    name: str = "the program",
    empty: Callable[..., Any] = np.empty,
) -> Runner:
    """What runs a graph on plain arguments.

    Args:
        graph: as it was captured.
        device: where the arguments lie.
        name: of the function, for errors.
        empty: makes the arrays of results on the CPU.
    """
    if device == CPU:
        program = Program.of(graph, empty)
        if program is not None:
            return program
    better = improve(graph)
    if device != CPU and can_compile(better):
        from autograd_core.capture.lowering.cuda_program import CudaProgram
        from kernels.gpu.device import device as gpu

        return CudaProgram(graph, better, gpu(device), name)
    return lambda args: [alias(asarray(y)) for y in evaluate(better, list(map(asarray, args)))]
