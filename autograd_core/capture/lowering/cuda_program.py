"""Programs for the GPU: a graph as launches of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from autograd_core.capture.graph import Graph
from autograd_core.capture.lowering.cuda import CudaLowering
from autograd_core.capture.lowering.plan import Arena, Fresh, OfGraph, Own, Slice, Summed, Table
from autograd_core.capture.lowering.planning import planned
from autograd_core.capture.passes import improve
from kernels.gpu.program import source_of, steps_of


class Device(Protocol):
    """What a program asks of a device."""

    def upload(self, array: np.ndarray) -> Any: ...

    def empty(self, shape: Sequence[int], dtype: Any) -> Any: ...

    def address(self, array: Any) -> int: ...

    def module(self, source: str, names: Sequence[str]) -> Any: ...


class CudaProgram:
    """A captured graph, planned and compiled for a device.

    Args:
        graph: as it was captured.
    """

    def __init__(self, graph: Graph, device: Device):
        self.graph, self.device = graph, device
        self.plan = planned(improve(graph), graph.constants.values(), CudaLowering)
        self.steps = steps_of(self.plan.routines)
        constants = list(graph.constants.values())
        self._own = [self._array(own, constants) for own in self.plan.own]
        self._module = device.module(*source_of(self.steps))

    def _array(self, own: Own, constants: Sequence[Any]) -> Any:
        match own:
            case OfGraph(number):
                return self.device.upload(np.asarray(constants[number].value))
            case Table(number):
                return self.device.upload(self.plan.tables[number])
            case Fresh(shape, dtype):
                return self.device.empty(shape, dtype)
            case Arena(size):
                return self.device.empty((size,), np.uint8)
            case Summed() | Slice():
                raise AssertionError("a program for the GPU has no turns")

    def __call__(self, args: Sequence[Any]) -> list[Any]:
        """The results, for arguments in the device's memory without gaps."""
        results = [self.device.empty(y.aval.shape, y.aval.dtype) for y in self.graph.outputs]
        arrays = [*args, *results, *self._own]
        addresses = list(map(self.device.address, arrays))
        for stage in self.plan.stages:
            for item in stage:
                if not isinstance(item, int):
                    item(arrays)
                    continue
                for launch, places in self.steps[item]:
                    given = [addresses[slot] + far for slot, far in places]
                    self._module.run(launch.name, launch.grid, (launch.threads,), *given)
        return results
