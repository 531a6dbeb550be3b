"""Tasks drawn by a thread ahead of time, and made into arrays where they are used.

On a GPU what is drawn is small (which images, how they are turned), so that it is told of its next
tasks while it computes the last ones. On the CPU the tasks themselves are made ahead.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, Self

import autograd_core as ac
from metalearn.tasks.episodes import Task, TaskSampler

AHEAD = 4
"""Meta-batches that are drawn before they are asked for."""


class DrawingSampler(Protocol):
    """A sampler that draws first, and makes the tasks of what was drawn."""

    def draw(self, iteration: int, tasks: Iterable[int]) -> Any:
        """What the tasks of an iteration are made of: a few small NumPy arrays."""

    def placed(self, drawn: Any, device: str) -> Task:
        """The tasks, on a device."""


class Ahead:
    """Calls of a function of (iteration, tasks), made by a thread before they are asked for.

    As the function's results depend on its arguments alone, they are the same as without; those of
    iterations that are not asked for after all are dropped. With `ahead` 0 there is no thread.
    To be closed, or used in a `with` statement.
    """

    def __init__(self, function: Callable[[int, tuple[int, ...]], Any], ahead: int):
        self._function, self.ahead = function, ahead
        self._thread = ThreadPoolExecutor(1, "task sampler") if ahead else None
        self._drawn: dict[tuple[int, tuple[int, ...]], Future] = {}

    def taken(self, iteration: int, tasks: tuple[int, ...]) -> Any:
        """The result for an iteration. Raises what the function raised for it."""
        if self._thread is None:
            return self._function(iteration, tasks)
        wanted = [(number, tasks) for number in range(iteration, iteration + self.ahead + 1)]
        for key in self._drawn.keys() - set(wanted):
            self._drawn.pop(key).cancel()
        for key in wanted:
            if key not in self._drawn:
                self._drawn[key] = self._thread.submit(self._function, *key)
        return self._drawn.pop((iteration, tasks)).result()

    def close(self) -> None:
        """End the thread; what it has drawn is forgotten. What is asked for later is drawn then."""
        thread, self._thread, self.ahead = self._thread, None, 0
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)
        self._drawn.clear()

    def _forget(self) -> None:
        """Drop what was drawn."""
        while self._drawn:
            self._drawn.popitem()[1].cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Prefetched(Ahead):
    """A sampler's tasks, made by a thread while the last ones are computed with: the same as it
    gives without.

    Where a step keeps all cores busy, or tasks are made in less time than threads take to hand them
    over (about half a millisecond), a thread gains nothing and may cost. So both ways are tried by
    turns in the first few iterations, and the faster one is kept; `ahead` is then 0 or what it was.

    Args:
        sampler: what makes them. It is called by the thread and by this one.
        ahead: how many iterations are made ahead of the one that is asked for.
        always: leave the trial out, and have the thread.
    """

    def __init__(self, sampler: TaskSampler, ahead: int = AHEAD, always: bool = False):
        super().__init__(sampler.sample, ahead)
        self.sampler = sampler
        self._trial = None if always or not ahead else _Trial()

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration. Raises what making them raised."""
        tasks = tuple(tasks)
        if self._trial is None:
            return self.taken(iteration, tasks)
        by_thread = self._trial.turn(time.perf_counter())
        if self._trial.is_over:
            self._trial = None
            if not by_thread:
                self.close()
        if not by_thread:
            self._forget()
            return self.sampler.sample(iteration, tasks)
        return self.taken(iteration, tasks)


class _Trial:
    """Two ways to do something, each for a stretch of calls by turns; then the faster one.

    The time from call to call counts, so that it includes what the caller does in between, which
    a thread may slow down; of each way the median, and without the first of a stretch.
    """

    STRETCH, STRETCHES = 6, 4

    def __init__(self) -> None:
        self._calls = 0
        self._last = 0.0
        self._seconds: dict[bool, list[float]] = {False: [], True: []}

    @property
    def is_over(self) -> bool:
        """Whether `turn` has decided."""
        return self._calls > self.STRETCH * self.STRETCHES

    def turn(self, now: float) -> bool:
        """Whether to go the second way, for a call at this time."""
        before = self._calls - 1
        if before > 0 and before % self.STRETCH:
            self._seconds[self._is_second(before)].append(now - self._last)
        self._calls, self._last = self._calls + 1, now
        if not self.is_over:
            return self._is_second(self._calls - 1)
        first, second = (statistics.median(self._seconds[way]) for way in (False, True))
        return second < first

    def _is_second(self, call: int) -> bool:
        return call // self.STRETCH % 2 == 1


class OnDevice(Ahead):
    """A sampler's tasks, as tensors on a device: the same as it gives on the CPU.

    Args:
        sampler: what draws them.
        device: "cuda:0" and so on.
        ahead: how many iterations a thread draws ahead of the one that is asked for.
    """

    def __init__(self, sampler: DrawingSampler, device: str, ahead: int = 0):
        super().__init__(sampler.draw, ahead)
        self.sampler, self.device = sampler, device

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration. Raises what drawing them raised."""
        return self.sampler.placed(self.taken(iteration, tuple(tasks)), self.device)


def on_device(sampler: Any, device: str, ahead: int = 0) -> Any:
    """A sampler's tasks on a device. On the CPU, which has the arrays, they are made ahead by a
    thread where that is faster (`Prefetched`), or with `ahead` 0 it is the sampler itself."""
    if device != "cpu":
        return OnDevice(sampler, device, ahead)
    return Prefetched(sampler, ahead) if ahead else sampler


def chosen_device(device: str) -> str:
    """The full name of the device that an option asks for: "auto" is the first GPU, or the CPU.

    Raises:
        DeviceError: there is no such device; the message says why.
    """
    if device == "auto":
        return next((name for name in ac.devices() if name != "cpu"), "cpu")
    return ac.zeros((), device=device).device
