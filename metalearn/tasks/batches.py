"""Ordinary mini-batches over all of a sampler's classes, for a network that is trained on them
first and adapted later: the baseline of Chen et al. 2019, "A closer look at few-shot
classification", section 3.2.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.tasks.datasets import Dataset
from metalearn.tasks.episodes import Task, quarter_turns
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms


class Batch(NamedTuple):
    """What was drawn for T batches, (T, B) int64 each."""

    rows: np.ndarray  # in the dataset's values
    turns: np.ndarray  # quarter turns
    labels: np.ndarray


class ClassBatchSampler:
    """Mini-batches of a supervised learner, as tasks with an empty support set.

    A task is one batch: `batch` different examples, each example of the sampler's classes equally
    likely, with the label of its class among all of them, in `classes` order. A class turned is
    another class, as in episodes: with R rotations, class c turned by rotation r has the label
    R·c + r. `outputs` is how many labels there are, from `first` on. The training loop's meta-batch
    is then how many batches go into one update: 1, as a rule.

    Raises `DataError` when the classes are unknown or none, or have too few examples together.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: Sequence[str],
        batch: int,
        seed: int,
        stream: str = "train",
        rotations: Sequence[int] | None = None,
        first: int = 0,
    ):
        self.dataset, self.classes = dataset, tuple(sorted(set(classes)))
        self.first = first
        self.batch, self.seed, self.stream = batch, seed, stream
        self.rotations = tuple(dataset.rotations if rotations is None else rotations)
        self._key = stream_key(seed, f"batches {stream}")
        self._turns = quarter_turns(self.rotations, dataset)
        self.outputs = len(self.classes) * len(self.rotations)
        places = dataset.indices_of(self.classes)
        if not len(places):
            raise DataError(f"dataset {dataset.name!r}: no {stream} classes; expected at least one")
        counts = dataset.counts[places]
        self._ends = np.cumsum(counts)
        # From a place among the sampler's own examples to the row in the dataset.
        self._shifts = dataset.starts[places] - (self._ends - counts)
        if not 1 <= batch <= self._ends[-1]:
            raise DataError(
                f"batch={batch}; expected 1 to the {self._ends[-1]} examples of the {stream} "
                f"classes of dataset {dataset.name!r}"
            )

    def draw(self, iteration: int, tasks: Iterable[int]) -> Batch:
        """Choose examples and turns of the given batches of an iteration."""
        uniform = uniforms(self._key, iteration, tasks, 2 * self.batch)
        place = distinct(uniform[:, : self.batch], int(self._ends[-1]))
        which = (uniform[:, self.batch :] * len(self._turns)).astype(np.int64)
        label = np.searchsorted(self._ends, place, side="right")
        return Batch(
            rows=place + self._shifts[label],
            turns=self._turns[which],
            labels=self.first + label * len(self._turns) + which,
        )

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Query x (T, batch, …) float32 and y (T, batch) int64; support x (T, 0, …), y (T, 0)."""
        drawn = self.draw(iteration, tasks)
        x = self.dataset.taken(drawn.rows, drawn.turns)
        return Task(support=(x[:, :0], drawn.labels[:, :0]), query=(x, drawn.labels))

    def placed(self, drawn: Batch, device: str) -> Task:
        """The same as `sample` gives, made on a device, where the dataset lies."""
        x: Any = self.dataset.taken_on(device, drawn.rows, drawn.turns)
        y: Any = ac.asarray(drawn.labels, device=device)
        return Task(support=(x[:, :0], y[:, :0]), query=(x, y))
