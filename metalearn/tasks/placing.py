"""Tasks on a device: drawn on the CPU, ahead of time, and made into arrays where they are used.

What is drawn is small (which images, how they are turned), so that a GPU is told of its next tasks
while it computes the last ones.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import autograd_core as ac
from metalearn.tasks.episodes import Task

AHEAD = 4
"""Meta-batches that are drawn before they are asked for."""


class DrawingSampler(Protocol):
    """A sampler that draws first, and makes the tasks of what was drawn."""

    def draw(self, iteration: int, tasks: Iterable[int]) -> Any:
        """What the tasks of an iteration are made of: a few small NumPy arrays."""

    def placed(self, drawn: Any, device: str) -> Task:
        """The tasks, on a device."""


class OnDevice:
    """A sampler's tasks, as tensors on a device: the same as it gives on the CPU.

    Args:
        sampler: what draws them.
        device: "cuda:0" and so on.
        ahead: how many iterations a thread draws ahead of the one that is asked for.
    """

    def __init__(self, sampler: DrawingSampler, device: str, ahead: int = 0):
        self.sampler, self.device, self.ahead = sampler, device, ahead
        self._thread = ThreadPoolExecutor(1, "task sampler") if ahead else None
        self._drawn: dict[tuple[int, tuple[int, ...]], Future] = {}

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration. Raises what drawing them raised."""
        tasks = tuple(tasks)
        return self.sampler.placed(self._taken(iteration, tasks), self.device)

    def _taken(self, iteration: int, tasks: tuple[int, ...]) -> Any:
        if self._thread is None:
            return self.sampler.draw(iteration, tasks)
        for number in range(iteration, iteration + self.ahead + 1):
            if (number, tasks) not in self._drawn:
                drawing = self._thread.submit(self.sampler.draw, number, tasks)
                self._drawn[number, tasks] = drawing
        return self._drawn.pop((iteration, tasks)).result()

    def close(self) -> None:
        """End the thread; what it has drawn is forgotten."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._drawn.clear()


def on_device(sampler: Any, device: str, ahead: int = 0) -> Any:
    """A sampler's tasks on a device; the sampler itself for the CPU, which has the arrays."""
    return sampler if device == "cpu" else OnDevice(sampler, device, ahead)


def chosen_device(device: str) -> str:
    """The full name of the device that an option asks for: "auto" is the first GPU, or the CPU.

    Raises:
        DeviceError: there is no such device; the message says why.
    """
    if device == "auto":
        return next((name for name in ac.devices() if name != "cpu"), "cpu")
    return ac.zeros((), device=device).device
