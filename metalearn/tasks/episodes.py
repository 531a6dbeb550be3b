"""A task, and the sampler of N-way K-shot classification episodes.

Vinyals et al. 2016, "Matching networks for one shot learning", section 4.1: an episode is a task
of N classes (ways), with K images of each to learn from (shots: the support set) and others of
the same classes to be judged by (the query set).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

import autograd_core as ac
from autograd_core import nn
from metalearn.tasks.datasets import ImageDataset, to_float
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms


class Task(NamedTuple):
    """Support and query set of a task, each (inputs, targets).

    Images: x (N·K, C, H, W) float32 in [0, 1] and y (N·K,) int64 in [0, N).
    Regression: x (K, 1) and y (K, 1), float32.
    A batch of tasks is the same with one more leading axis on every array.
    """

    support: tuple[np.ndarray, np.ndarray]
    query: tuple[np.ndarray, np.ndarray]


class TaskSampler(Protocol):
    """Tasks by number: the same (iteration, task) always gives the same task."""

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration, stacked on a leading axis in the order of `tasks`."""


class Episodes(NamedTuple):
    """What was drawn for T episodes of N ways, before any pixel is touched."""

    classes: np.ndarray  # (T, N) int64, places in the dataset's classes; label n is column n
    turns: np.ndarray  # (T, N) int64, quarter turns of each class
    rows: np.ndarray  # (T, N, shots + queries) int64, rows in the dataset's images


class EpisodeSampler:
    """N-way K-shot episodes from a sampler's own classes of a dataset.

    Each episode draws `ways` distinct classes, labels them at random, turns each by one of the
    `rotations` (degrees, multiples of 90; the dataset's own by default), and draws `shots` images
    for the support and `queries` others for the query set of each class. Images are ordered by
    label. Turning happens while sampling; nothing turned is stored.

    Raises `DataError` when the classes are unknown, or too few, or have too few images.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        classes: Sequence[str],
        ways: int,
        shots: int,
        queries: int,
        seed: int,
        stream: str = "train",
        rotations: Sequence[int] | None = None,
    ):
        self.dataset = dataset
        self.classes = tuple(sorted(set(classes)))
        self.ways, self.shots, self.queries = ways, shots, queries
        self.seed, self.stream = seed, stream
        self.rotations = tuple(dataset.rotations if rotations is None else rotations)
        self._key = stream_key(seed, stream)
        self._classes = dataset.indices_of(self.classes)
        self._turns = _quarter_turns(self.rotations, dataset)
        self._check_counts()

    def _check_counts(self) -> None:
        if self.ways < 1 or self.shots < 1 or self.queries < 1:
            raise DataError(
                f"ways={self.ways}, shots={self.shots}, queries={self.queries}; expected each to "
                "be at least 1"
            )
        if len(self.classes) < self.ways:
            raise DataError(
                f"dataset {self.dataset.name!r}: {len(self.classes)} {self.stream} classes; "
                f"expected at least ways={self.ways}: lower the ways or give more classes"
            )
        counts = self.dataset.counts[self._classes]
        fewest = int(counts.argmin())
        if counts[fewest] < self.shots + self.queries:
            raise DataError(
                f"dataset {self.dataset.name!r}: class {self.classes[fewest]!r} has "
                f"{counts[fewest]} images; expected at least shots={self.shots} + "
                f"queries={self.queries}: lower them or give more images"
            )

    def draw(self, iteration: int, tasks: Iterable[int]) -> Episodes:
        """Choose classes, turns and images of the given tasks of an iteration."""
        n, m = self.ways, self.shots + self.queries
        uniform = uniforms(self._key, iteration, tasks, n * (2 + m))
        chosen = distinct(uniform[:, :n], len(self._classes))
        turns = self._turns[(uniform[:, n : 2 * n] * len(self._turns)).astype(np.int64)]
        classes = self._classes[chosen]
        counts = self.dataset.counts[classes]
        within = distinct(uniform[:, 2 * n :].reshape(-1, m), counts.ravel())
        rows = self.dataset.starts[classes][..., None] + within.reshape(*classes.shape, m)
        return Episodes(classes, turns, rows)

    def placed(self, episodes: Episodes, device: str) -> Task:
        """The same as `sample` gives, made on a device: there the dataset lies, and what goes
        there each time are its rows and turns, checked here, so that nothing waits for it."""
        n, m = self.ways, self.shots + self.queries
        turns = np.repeat(episodes.turns[..., None], m, axis=2)
        x = nn.gather_images(self.dataset.on(device), episodes.rows, turns)
        labels = ac.reshape(ac.arange(n, device=device), (1, n, 1))

        def part(first: int, last: int) -> tuple[Any, Any]:
            each, tasks = last - first, len(episodes.rows)
            inputs = ac.reshape(x[:, :, first:last], (tasks, n * each, *x.shape[3:]))
            return inputs, ac.reshape(ac.broadcast_to(labels, (tasks, n, each)), (tasks, n * each))

        return Task(part(0, self.shots), part(self.shots, m))

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, N·K, C, H, W) float32, y (T, N·K) int64; queries alike."""
        episodes = self.draw(iteration, tasks)
        pixels = self.dataset.images[episodes.rows]
        for turn in set(episodes.turns.flat) - {0}:
            turned = episodes.turns == turn
            pixels[turned] = np.rot90(pixels[turned], turn, axes=(-2, -1))
        return Task(
            support=self._labelled(pixels[:, :, : self.shots]),
            query=self._labelled(pixels[:, :, self.shots :]),
        )

    def _labelled(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T, N, m, C, H, W) as stored to inputs (T, N·m, C, H, W) and labels (T, N·m)."""
        tasks, ways, m = pixels.shape[:3]
        labels = np.repeat(np.arange(ways, dtype=np.int64), m)
        x = to_float(pixels).reshape(tasks, ways * m, *pixels.shape[3:])
        return x, np.tile(labels, (tasks, 1))


def _quarter_turns(rotations: Sequence[int], dataset: ImageDataset) -> np.ndarray:
    if not rotations or any(degrees % 90 for degrees in rotations):
        raise DataError(f"rotations={tuple(rotations)}; expected multiples of 90 degrees")
    turns = np.array([degrees // 90 % 4 for degrees in rotations], dtype=np.int64)
    height, width = dataset.images.shape[-2:]
    if height != width and turns.any():
        raise DataError(f"rotations={tuple(rotations)} need square images, not {height}×{width}")
    return turns
