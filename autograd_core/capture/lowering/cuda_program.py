"""Programs for the GPU: a graph as launches of kernels, captured once and replayed.

Addresses of all arrays that kernels work on lie in a table in the device's memory, by slots. A call
writes those of its arguments and results to it where they have changed: nothing else differs from
call to call, so that one captured graph serves them all.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from autograd_core.capture.graph import Graph
from autograd_core.capture.lowering.cuda import CudaLowering
from autograd_core.capture.lowering.peak import at_peak
from autograd_core.capture.lowering.places import dense
from autograd_core.capture.lowering.plan import Arena, Fresh, OfGraph, Own, Slice, Summed, Table
from autograd_core.capture.lowering.planning import planned
from autograd_core.device import is_placed
from autograd_core.errors import DeviceError, DeviceMemoryError
from autograd_core.tensor import Aval, Tensor, boxes
from kernels.devices import CPU, device_of, has_failed, on_gpu
from kernels.gpu.launch import Place
from kernels.gpu.program import Step, sources_of, steps_of
from kernels.gpu.schedule import Turn, needs, shared_out
from kernels.native.program import Routine


class Device(Protocol):
    """What a program asks of a device. As a context it is the one in use."""

    name: str

    def upload(self, array: Any) -> Any: ...

    def empty(self, shape: Sequence[int], dtype: Any) -> Any: ...

    def address(self, array: Any) -> int: ...

    def addresses(self, arrays: Iterable[Any], strides: Iterable[tuple[int, ...]]) -> list[int]: ...

    def writer(self, array: Any, count: int) -> Callable[[Sequence[int]], None]: ...

    def module(self, sources: Mapping[str, str]) -> Any: ...

    def captured(self, turns: Sequence[Turn]) -> Callable[[], None]: ...

    def synchronize(self) -> None: ...

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...


class _Results:
    """Arrays for the results of a program. Small ones are used again once nobody holds them: to
    make an array takes as long as some launches, and a training step has dozens of small results.
    """

    SMALL = 2**20  # bytes
    MANY = 2  # as training needs: what a step takes, and what it makes

    def __init__(self, device: Device, avals: Sequence[Aval]):
        self._address = device.address
        self._make = [partial(device.empty, x.shape, x.dtype) for x in avals]
        self._large = [n for n, x in enumerate(avals) if x.size * x.dtype.itemsize > self.SMALL]
        none: list[Any] = [None] * len(avals)
        # For each call in turn the arrays, and where they lie.
        self._kept = deque((none.copy(), [0] * len(avals)) for _ in range(self.MANY))

    def take(self) -> tuple[list[Any], list[int]]:
        """Arrays with anything in them, which nobody else holds, and where they lie."""
        kept, addresses = self._kept[0]
        self._kept.rotate()
        for n in [n for n, count in enumerate(map(sys.getrefcount, kept)) if count != KEPT_ALONE]:
            kept[n] = self._make[n]()
            addresses[n] = self._address(kept[n])
        arrays = kept.copy()
        for n in self._large:
            kept[n] = None
        return arrays, addresses


KEPT_ALONE = next(map(sys.getrefcount, [np.empty(2)]))
"""References to an array that lies in a list and nowhere else, as long as it is asked for them."""


def _strides(x: Aval) -> tuple[int, ...]:
    """Those of an array without gaps, in bytes."""
    return tuple(x.dtype.itemsize * entries for entries in dense(x.shape))


class CudaProgram:
    """A graph, planned and compiled for a device. Calls from several threads take turns.

    Args:
        graph: as it was captured.
        better: the same after all passes.
        name: of the function, for errors.

    Raises:
        DeviceMemoryError: its memory does not fit.
    """

    def __init__(self, graph: Graph, better: Graph, device: Device, name: str = "the program"):
        self.graph, self.device, self.name = graph, device, name
        constants = list(graph.constants.values())
        self.plan = planned(better, constants, CudaLowering)
        self.steps = steps_of(self.plan.routines)
        self._lock = threading.Lock()
        self._avals = [x.aval for x in graph.inputs]
        self._strides = [_strides(x) for x in self._avals]
        self._results = _Results(device, [y.aval for y in graph.outputs])
        with device:
            try:
                self._own = [self._array(own, constants) for own in self.plan.own]
                self._module = device.module(sources_of(self.steps))
            except MemoryError as error:
                raise self._too_large(error) from error
            self._make_table()
        self._calls = 0
        self._replay: Callable[[], None] | None = None

    def _array(self, own: Own, constants: Sequence[Any]) -> Any:
        """What lies in a slot of the program's own."""
        match own:
            case OfGraph(number):
                return self.device.upload(constants[number].value)
            case Table(number):
                return self.device.upload(self.plan.tables[number])
            case Fresh(shape, dtype):
                return self.device.empty(shape, dtype)
            case Arena(size):
                return self.device.empty((size,), np.uint8)
            case Summed() | Slice():
                raise AssertionError("a program for the GPU has no turns")

    def _make_table(self) -> None:
        self._addresses = [0] * (len(self.graph.inputs) + len(self.graph.outputs))
        every = [*self._addresses, *map(self.device.address, self._own)]
        self._table = self.device.upload(np.array(every, np.uint64))
        self._write = self.device.writer(self._table, len(self._addresses))
        first = self.device.address(self._table)
        self._launches = [
            [[self._launch(step, first) for step in call] for call in calls] for calls in self.steps
        ]

    @staticmethod
    def _launch(step: Step, table: int) -> tuple:
        """What is launched, and on which places."""
        launch, places = step
        there = [Place(table + 8 * slot, far) for slot, far in places]
        return launch.name, launch.grid, (launch.threads,), *there

    @property
    def launches(self) -> int:
        """Kernels launched in a call."""
        return sum(len(call) for calls in self.steps for call in calls)

    @property
    def bytes(self) -> int:
        """Memory beside arguments and results."""
        return sum(x.nbytes for x in self._own)

    # Running ----------------------------------------------------------------------------------

    def __call__(self, args: Sequence[Any]) -> list[Tensor]:
        """The results, for arguments on the device, and others that nobody placed."""
        with self._lock, self.device:
            try:
                given, addresses = self._given(args)
                results, places = self._results.take()
                self._point_to([*addresses, *places])
                self._run(given, results)
            except MemoryError as error:
                raise self._too_large(error) from error
            except RuntimeError as error:
                if not has_failed(error):
                    raise
                failed = f"{self.name}: {self.device.name} failed ({error})"
                raise DeviceError(failed) from error
        return boxes(results)

    def _given(self, args: Sequence[Any]) -> tuple[list[Any], list[int]]:
        """Arguments as arrays that kernels can read, and where these lie."""
        arrays = [x.value if x.__class__ is Tensor else x for x in args]
        addresses = self.device.addresses(arrays, self._strides)
        for n in [n for n, address in enumerate(addresses) if not address]:
            arrays[n] = self._brought(args[n], n)
            addresses[n] = self.device.address(arrays[n])
        return arrays, addresses

    def _brought(self, x: Any, number: int) -> Any:
        """An argument as an array that kernels can read."""
        value = x.value if x.__class__ is Tensor else x
        if on_gpu(value):
            there = device_of(value)
            if there != self.device.name:
                raise self._misplaced(number, there)
            return self.device.upload(value)
        if x.__class__ is Tensor and is_placed(x) and self.device.name != CPU:
            raise self._misplaced(number, CPU)
        return self.device.upload(np.asarray(value, self._avals[number].dtype))

    def _misplaced(self, number: int, there: str) -> DeviceError:
        return DeviceError(
            f"{self.name}: the arguments lie on different devices: leaf {number} on {there}, "
            f"others on {self.device.name}; move them to one with .to_device(…)"
        )

    def _point_to(self, addresses: list[int]) -> None:
        """Have kernels work on these arguments and results."""
        if addresses != self._addresses:
            self._write(addresses)
            self._addresses = addresses

    def _run(self, given: list[Any], results: list[Any]) -> None:
        # The first call loads kernels, which cannot be done while launches are captured.
        if self._replay is None and self._calls == 1 and self.plan.is_native:
            self._replay = self._captured()
        self._calls += 1
        if self._replay is not None:
            self._replay()
        else:
            self._launch_all([*given, *results])

    def _launch_all(self, given: list[Any]) -> None:
        for stage in self.plan.stages:
            for item in stage:
                if isinstance(item, int):
                    for call in self._launches[item]:
                        self._launch_call(call)
                else:
                    item([*given, *self._own])

    def _launch_call(self, call: Sequence[tuple]) -> None:
        for launch in call:
            self._module.run(*launch)

    def _captured(self) -> Callable[[], None] | None:
        """All launches as one, independent ones beside each other; None where CUDA refuses."""
        (part,) = self.plan.parts.values()
        calls = [call for some in self._launches for call in some]
        placed = shared_out(needs(part.accesses()))
        turns = [
            Turn(stream, after, partial(self._launch_call, call))
            for (stream, after), call in zip(placed, calls, strict=True)
        ]
        try:
            return self.device.captured(turns)
        except RuntimeError as error:
            if not has_failed(error):
                raise
            warnings.warn(
                f"{self.name}: {self.device.name} could not capture the program ({error}); its "
                "kernels are launched one by one",
                RuntimeWarning,
                stacklevel=2,
            )
            return None

    def timed(self, args: Sequence[Any], repeats: int = 20) -> list[float]:
        """Seconds that each step takes: of several in a row, replayed at once, the mean."""
        alone = [item for part in self.plan.parts.values() for item in part.alone()]
        steps = steps_of([item for item in alone if isinstance(item, Routine)])
        with self._lock, self.device:
            module = self.device.module(sources_of(steps))
            _held, addresses = self._given(args)
            _results, places = self._results.take()
            self._point_to([*addresses, *places])
            waiting = iter(steps)
            return [
                self._seconds(module, repeats, *next(waiting)) if isinstance(x, Routine) else 0.0
                for x in alone
            ]

    def _seconds(self, module: Any, repeats: int, call: Sequence[Step]) -> float:
        table = self.device.address(self._table)
        launches = [self._launch(step, table) for step in call]

        def run() -> None:
            for launch in launches * repeats:
                module.run(*launch)

        run()
        replay = self.device.captured([Turn(0, (), run)])
        best = float("inf")
        for _ in range(3):
            self.device.synchronize()
            start = time.perf_counter()
            replay()
            self.device.synchronize()
            best = min(best, time.perf_counter() - start)
        return best / repeats

    def _too_large(self, error: Exception) -> DeviceMemoryError:
        return DeviceMemoryError(
            f"{self.name}: out of memory on {self.device.name} ({error}).\n"
            f"{at_peak(self.plan)}\n{DeviceMemoryError.ADVICE}"
        )
