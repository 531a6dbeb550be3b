"""Regression on families of functions of one number: each task is one function of the family."""

from collections.abc import Iterable
from typing import Any

import numpy as np

import autograd_core as ac
from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import between, normals, stream_key, uniforms

X = (-5.0, 5.0)


class SmallTasks:
    """A sampler whose tasks are as small as what they are made of: they are drawn whole, and then
    brought to a device."""

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration, stacked on a leading axis in the order of `tasks`."""
        raise NotImplementedError

    def draw(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks themselves."""
        return self.sample(iteration, tasks)

    def placed(self, drawn: Task, device: str) -> Task:
        """The tasks that were drawn, on a device."""
        return ac.tree_map(lambda x: ac.asarray(x, device=device), drawn)


class FunctionSampler(SmallTasks):
    """K-shot regression tasks: x and y (K, 1) float32, x uniform in `bounds`.

    A family says by how many uniform numbers a function is made (`numbers`), and its values. With
    `noise`, targets have Gaussian noise of that deviation, in support and query set.

    Raises `DataError` when shots or queries are below 1.
    """

    numbers: int
    bounds: tuple[float, float] = X

    def __init__(
        self, shots: int, queries: int, seed: int, stream: str = "train", noise: float = 0.0
    ):
        if shots < 1 or queries < 1:
            raise DataError(f"shots={shots}, queries={queries}; expected each to be at least 1")
        if not 0 <= noise < np.inf:
            raise DataError(f"noise={noise}; expected a deviation, 0 or more")
        self.shots, self.queries, self.noise = shots, queries, float(noise)
        self.seed, self.stream = seed, stream
        self._key = stream_key(seed, stream)

    def values(self, made: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The functions made by (T, numbers) uniform numbers, at x (T, n): (T, n) float64."""
        raise NotImplementedError

    def curves(self, iteration: int, tasks: Iterable[int], x: Any) -> np.ndarray:
        """The functions of tasks at points x, (n,) for all or (T, n), without noise: (T, n)
        float64."""
        made = uniforms(self._key, iteration, tasks, self.numbers)
        x = np.asarray(x, np.float64)
        return self.values(made, np.broadcast_to(x, (len(made), x.shape[-1])))

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x and y (T, shots, 1), query x and y (T, queries, 1), float32."""
        count = self.shots + self.queries
        pairs = 2 * -(-count // 2) if self.noise else 0
        uniform = uniforms(self._key, iteration, tasks, self.numbers + count + pairs)
        made, places, rest = np.split(uniform, [self.numbers, self.numbers + count], axis=1)
        x = between(places, self.bounds)
        y = self.values(made, x)
        if self.noise:
            y = y + self.noise * normals(rest)[:, :count]
        x, y = x.astype(np.float32)[..., None], y.astype(np.float32)[..., None]
        return Task(
            support=(x[:, : self.shots], y[:, : self.shots]),
            query=(x[:, self.shots :], y[:, self.shots :]),
        )
