"""Sinusoid regression: each task is one sine wave.

Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning", section 5.1: the amplitude is uniform
in [0.1, 5], the phase in [0, π] and the inputs in [−5, 5]. As in the authors' code,
y = A·sin(x − φ).
"""

from collections.abc import Iterable

import numpy as np

import autograd_core as ac
from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import stream_key, uniforms

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
X = (-5.0, 5.0)


class SinusoidSampler:
    """K-shot regression tasks: x and y (K, 1) float32, without noise.

    Raises `DataError` when shots or queries are below 1.
    """

    def __init__(self, shots: int, queries: int, seed: int, stream: str = "train"):
        if shots < 1 or queries < 1:
            raise DataError(f"shots={shots}, queries={queries}; expected each to be at least 1")
        self.shots, self.queries = shots, queries
        self.seed, self.stream = seed, stream
        self._key = stream_key(seed, stream)

    def waves(self, iteration: int, tasks: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Amplitude and phase of each task, (T,) float64 each; the same ones `sample` uses."""
        uniform = uniforms(self._key, iteration, tasks, 2)
        return _between(uniform[:, 0], AMPLITUDE), _between(uniform[:, 1], PHASE)

    def draw(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks themselves: they are as small as what they are made of."""
        return self.sample(iteration, tasks)

    def placed(self, drawn: Task, device: str) -> Task:
        """The tasks that were drawn, on a device."""
        return ac.tree_map(lambda x: ac.asarray(x, device=device), drawn)

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x and y (T, shots, 1), query x and y (T, queries, 1), float32."""
        tasks = list(tasks)
        uniform = uniforms(self._key, iteration, tasks, 2 + self.shots + self.queries)
        amplitude, phase = (part[:, None, None] for part in self.waves(iteration, tasks))
        x = _between(uniform[:, 2:, None], X)
        y = amplitude * np.sin(x - phase)
        x, y = x.astype(np.float32), y.astype(np.float32)
        return Task(
            support=(x[:, : self.shots], y[:, : self.shots]),
            query=(x[:, self.shots :], y[:, self.shots :]),
        )


def _between(uniform: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    low, high = bounds
    return low + (high - low) * uniform
