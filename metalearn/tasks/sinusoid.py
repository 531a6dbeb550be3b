"""Sinusoid regression, alone and mixed with lines: each task is one sine wave or line.

Finn, Abbeel & Levine 2017, "Model-agnostic meta-learning", section 5.1: the amplitude is uniform
in [0.1, 5], the phase in [0, π] and the inputs in [−5, 5]. As in the authors' code,
y = A·sin(x − φ).

Finn, Xu & Levine 2018, "Probabilistic model-agnostic meta-learning", section 5, adds lines, half of
all tasks: slope and intercept are uniform in [−3, 3], and all targets have Gaussian noise of
deviation 0.3.
"""

from collections.abc import Iterable

import numpy as np

from metalearn.tasks.random import between, uniforms
from metalearn.tasks.regression import FunctionSampler

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
SLOPE = INTERCEPT = (-3.0, 3.0)
NOISE = 0.3


class SinusoidSampler(FunctionSampler):
    """K-shot regression tasks on sine waves: x and y (K, 1) float32, without noise.

    Raises `DataError` when shots or queries are below 1.
    """

    numbers = 2

    def waves(self, iteration: int, tasks: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Amplitude and phase of each task, (T,) float64 each; the same ones `sample` uses."""
        return _waves(uniforms(self._key, iteration, tasks, self.numbers))

    def values(self, made: np.ndarray, x: np.ndarray) -> np.ndarray:
        amplitude, phase = _waves(made)
        return amplitude[:, None] * np.sin(x - phase[:, None])


class SinusoidLineSampler(FunctionSampler):
    """K-shot regression tasks on sine waves or, as often, lines: x and y (K, 1) float32, with
    noise of deviation 0.3 if not given otherwise.

    Raises `DataError` when shots or queries are below 1.
    """

    numbers = 5

    def __init__(
        self, shots: int, queries: int, seed: int, stream: str = "train", noise: float = NOISE
    ):
        super().__init__(shots, queries, seed, stream, noise)

    def lines(self, iteration: int, tasks: Iterable[int]) -> np.ndarray:
        """(T,) bool: which tasks are lines."""
        return _is_line(uniforms(self._key, iteration, tasks, self.numbers))

    def values(self, made: np.ndarray, x: np.ndarray) -> np.ndarray:
        amplitude, phase = _waves(made[:, 1:3])
        slope, intercept = between(made[:, 3], SLOPE), between(made[:, 4], INTERCEPT)
        line = slope[:, None] * x + intercept[:, None]
        wave = amplitude[:, None] * np.sin(x - phase[:, None])
        return np.where(_is_line(made)[:, None], line, wave)


def _waves(made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return between(made[:, 0], AMPLITUDE), between(made[:, 1], PHASE)


def _is_line(made: np.ndarray) -> np.ndarray:
    return made[:, 0] < 0.5
