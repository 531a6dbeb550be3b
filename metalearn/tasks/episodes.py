"""A task, and the sampler of N-way K-shot classification episodes.

Vinyals et al. 2016, "Matching networks for one shot learning", section 4.1: an episode is a task
of N classes (ways), with K images of each to learn from (shots: the support set) and others of
the same classes to be judged by (the query set).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

import autograd_core as ac
from metalearn.tasks.datasets import Dataset
from metalearn.tasks.errors import DataError, amount
from metalearn.tasks.random import distinct, stream_key, uniforms
from metalearn.tasks.shortage import asked


class Task(NamedTuple):
    """Support and query set of a task, each (inputs, targets).

    Classification: x (N·K, …) float32, as images (N·K, C, H, W) in [0, 1], and y (N·K,) int64 in
    [0, N), or −1 for an example that does not count (see `VariableEpisodeSampler`).
    Regression: x (K, inputs) and y (K, outputs), float32.
    A batch of tasks is the same with one more leading axis on every array.
    """

    support: tuple[np.ndarray, np.ndarray]
    query: tuple[np.ndarray, np.ndarray]


class TaskSampler(Protocol):
    """Tasks by number: the same (iteration, task) always gives the same task."""

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration, stacked on a leading axis in the order of `tasks`."""


class Episodes(NamedTuple):
    """What was drawn for T episodes of N ways, before any value is touched."""

    classes: np.ndarray  # (T, N) int64, places in the dataset's classes; label n is column n
    turns: np.ndarray  # (T, N) int64, quarter turns of each class
    rows: np.ndarray  # (T, N, shots + queries) int64, rows in the dataset's values


class EpisodeSampler:
    """N-way K-shot episodes from a sampler's own classes of a dataset, of images or other arrays.

    Each episode draws `ways` distinct classes, labels them at random, turns each by one of the
    `rotations` (degrees, multiples of 90; the dataset's own by default), and draws `shots` images
    for the support and `queries` others for the query set of each class. Images are ordered by
    label. Turning happens while sampling; nothing turned is stored.

    Raises `DataError` when the classes are unknown, or too few, or have too few images.
    """

    def __init__(
        self,
        dataset: Dataset,
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
        check_ways(dataset, self.classes, stream, ways=ways, shots=shots, queries=queries)
        self._classes = dataset.indices_of(self.classes)
        self._turns = quarter_turns(self.rotations, dataset)

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
        x = self.dataset.taken_on(device, episodes.rows, self._turn_each(episodes))
        labels = ac.reshape(ac.arange(self.ways, device=device), (1, self.ways, 1))

        def part(first: int, last: int) -> tuple[Any, Any]:
            tasks, n, each = len(episodes.rows), self.ways, last - first
            inputs = ac.reshape(x[:, :, first:last], (tasks, n * each, *x.shape[3:]))
            return inputs, ac.reshape(ac.broadcast_to(labels, (tasks, n, each)), (tasks, n * each))

        return Task(part(0, self.shots), part(self.shots, self.shots + self.queries))

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, N·K, …) float32, y (T, N·K) int64; queries alike."""
        episodes = self.draw(iteration, tasks)
        turns = self._turn_each(episodes)
        return Task(
            support=self._part(episodes.rows, turns, slice(0, self.shots)),
            query=self._part(episodes.rows, turns, slice(self.shots, None)),
        )

    def _turn_each(self, episodes: Episodes) -> np.ndarray:
        """(T, N, shots + queries) int64: the class's turn, for each of its examples."""
        return np.repeat(episodes.turns[..., None], self.shots + self.queries, axis=2)

    def _part(
        self, rows: np.ndarray, turns: np.ndarray, which: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (T, N·m, …) and labels (T, N·m) of some of each class's examples."""
        tasks, ways, m = rows[..., which].shape
        x = self.dataset.taken(rows[..., which], turns[..., which])
        labels = np.repeat(np.arange(ways, dtype=np.int64), m)
        return x.reshape(tasks, ways * m, *x.shape[3:]), np.tile(labels, (tasks, 1))


def check_ways(
    dataset: Dataset, classes: Sequence[str], stream: str, ways: int, shots: int, queries: int
) -> None:
    """Raise `DataError` unless every class has enough examples, and there are enough classes."""
    if ways < 1 or shots < 1 or queries < 1:
        raise DataError(
            f"ways={ways}, shots={shots}, queries={queries}; expected each to be at least 1"
        )
    if len(classes) < ways:
        there = amount(len(classes), f"{stream} class", f"{stream} classes")
        raise DataError(
            f"dataset {dataset.name!r}: {there}; expected at least {ways}: lower --ways or give "
            "more classes"
        )
    counts = dataset.counts[dataset.indices_of(classes)]
    fewest = int(counts.argmin())
    noun = "image" if len(dataset.example_shape) == 3 else "example"
    if counts[fewest] < shots + queries:
        raise DataError(
            f"dataset {dataset.name!r}: class {classes[fewest]!r} has "
            f"{amount(int(counts[fewest]), noun)}; expected at least {asked(shots, queries)}: "
            f"lower --shots or --queries, or give more {noun}s"
        )


def quarter_turns(rotations: Sequence[int], dataset: Dataset) -> np.ndarray:
    """(len(rotations),) int64, in [0, 4). Raises `DataError` for turns that cannot be made."""
    if not rotations or any(degrees % 90 for degrees in rotations):
        raise DataError(f"rotations={tuple(rotations)}; expected multiples of 90 degrees")
    turns = np.array([degrees // 90 % 4 for degrees in rotations], dtype=np.int64)
    *_, height, width = (0, 0, *dataset.example_shape)
    if turns.any() and (height != width or len(dataset.example_shape) != 3):
        raise DataError(f"rotations={tuple(rotations)} need square images, not {height}×{width}")
    return turns
