"""Trajectories: a few classes that arrive one after another, and what is to be known afterwards.

What OML is trained on: Javed & White 2019, "Meta-learning representations for continual learning",
https://arxiv.org/abs/1905.12588, section 3 and appendix A.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import autograd_core as ac
from metalearn.tasks.batches import Batch, ClassBatchSampler
from metalearn.tasks.datasets import Dataset
from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms


class TrajectorySampler:
    """Trajectories through a sampler's own classes, each with what it is judged by.

    The support set is the trajectory: `tasks` different classes one after another, `examples` of
    each, in the order in which they are to be learned. The query set is `queries` others of each of
    these, and `remember` different ones drawn from all classes together, which must not be
    forgotten. Labels are those among all classes, as `ClassBatchSampler` gives them: a class turned
    is another class. `outputs` is how many there are.

    Raises `DataError` when the classes are unknown or too few, or have too few examples.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: Sequence[str],
        tasks: int,
        examples: int,
        queries: int,
        remember: int,
        seed: int,
        stream: str = "train",
        rotations: Sequence[int] | None = None,
    ):
        numbers = {"tasks": tasks, "examples": examples, "queries": queries, "remember": remember}
        for name, value in numbers.items():
            if value < 1:
                raise DataError(f"{name}={value}; expected at least 1")
        self._random = ClassBatchSampler(dataset, classes, remember, seed, stream, rotations)
        self.dataset, self.seed, self.stream = dataset, seed, stream
        self.classes, self.rotations = self._random.classes, self._random.rotations
        self.tasks, self.examples, self.queries = tasks, examples, queries
        self.remember, self.outputs = remember, self._random.outputs
        self._key = stream_key(seed, f"trajectories {stream}")
        self._places = dataset.indices_of(self.classes)
        self._turns = np.array(self.rotations, np.int64) // 90 % 4
        self._check()

    def _check(self) -> None:
        if self.tasks > self.outputs:
            raise DataError(
                f"tasks={self.tasks}; expected at most the {self.outputs} {self.stream} classes of "
                f"dataset {self.dataset.name!r}"
            )
        fewest = int(self.dataset.counts[self._places].min())
        if self.examples + self.queries > fewest:
            raise DataError(
                f"dataset {self.dataset.name!r}: a {self.stream} class has {fewest} examples; "
                f"expected at least examples={self.examples} + queries={self.queries}: lower "
                "--set examples or --queries"
            )

    def draw(self, iteration: int, tasks: Iterable[int]) -> Batch:
        """Choose the examples of some trajectories, and then those that they are judged by."""
        numbers, each = list(tasks), self.examples + self.queries
        uniform = uniforms(self._key, iteration, numbers, self.tasks * (1 + each))
        labels = distinct(uniform[:, : self.tasks], self.outputs)
        place, turn = np.divmod(labels, len(self._turns))
        classes, turns = self._places[place], self._turns[turn]
        deck = uniform[:, self.tasks :].reshape(-1, each)
        within = distinct(deck, self.dataset.counts[classes].ravel())
        rows = self.dataset.starts[classes][..., None] + within.reshape(*classes.shape, each)
        whole = (np.broadcast_to(found[..., None], rows.shape) for found in (turns, labels))
        random = self._random.draw(iteration, numbers)
        return Batch(*(self._arranged(*pair) for pair in zip((rows, *whole), random, strict=True)))

    def _arranged(self, chosen: np.ndarray, random: np.ndarray) -> np.ndarray:
        """The trajectory, the other drawings of its classes, the random ones: (T, all of them)."""
        count = len(chosen)
        first = chosen[..., : self.examples].reshape(count, -1)
        others = chosen[..., self.examples :].reshape(count, -1)
        return np.concatenate([first, others, random], axis=1)

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, tasks·examples, …) float32 and y (T, tasks·examples) int64; query alike, of
        tasks·queries + remember."""
        drawn = self.draw(iteration, tasks)
        return self._task(self.dataset.taken(drawn.rows, drawn.turns), drawn.labels)

    def placed(self, drawn: Batch, device: str) -> Task:
        """The same as `sample` gives, made on a device, where the dataset lies."""
        x = self.dataset.taken_on(device, drawn.rows, drawn.turns)
        return self._task(x, ac.asarray(drawn.labels, device=device))

    def _task(self, x: Any, y: Any) -> Task:
        length = self.tasks * self.examples
        return Task((x[:, :length], y[:, :length]), (x[:, length:], y[:, length:]))
