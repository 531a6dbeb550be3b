"""Episodes with as many ways and shots as they come, in arrays of one size.

Triantafillou et al. 2020, "Meta-Dataset: a dataset of datasets for learning to learn from few
examples", section 3.1: tasks outside are of no fixed number of classes, and of some classes there
are more examples than of others. Here the ways of an episode, and the shots of each of its classes,
are uniform in a range. (Meta-Dataset draws shots in proportion to classes' sizes.)

**Padding.** A compiled step wants arrays of one size, so both sets have room for the most ways and
shots. What is over repeats examples of the same set, in order, with the label −1: it does not
count. Repeated, and not 0, because batch norm's statistics are then of images of the episode.
Losses and scores that leave label −1 out, and the logits of labels that do not occur, are in
`metalearn.measures`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.tasks.datasets import Dataset
from metalearn.tasks.episodes import Task, check_ways, quarter_turns
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms

NOT_COUNTED = -1
"""The label of an example that only fills an array up."""

Range = int | tuple[int, int]


class Slots(NamedTuple):
    """One set of T episodes, (T, slots) int64 each: rows in the dataset, quarter turns, labels."""

    rows: np.ndarray
    turns: np.ndarray
    labels: np.ndarray


class VariableEpisodes(NamedTuple):
    """What was drawn for T episodes, before any value is touched."""

    classes: np.ndarray  # (T, most ways) int64, places in the dataset's classes; −1 for none
    shots: np.ndarray  # (T, most ways) int64 of each class; 0 for none
    support: Slots
    query: Slots


class VariableEpisodeSampler:
    """Episodes of N classes with Kₙ examples of class n, both drawn for each episode, padded.

    Args:
        dataset, classes, seed, stream, rotations: as in `EpisodeSampler`.
        ways: N, or the least and the most, each number in between as likely.
        shots: of each class, or the least and the most; a class that has fewer examples gives what
            `queries` leave.
        queries: of each class.

    x is (most ways · most shots, …) float32 in the support and (most ways · queries, …) in the
    query set; y (…,) int64 in [0, N), ordered by label, and after them −1 (see the module).

    Raises `DataError` when the classes are unknown, or too few, or have too few examples.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: Sequence[str],
        ways: Range,
        shots: Range,
        queries: int,
        seed: int,
        stream: str = "train",
        rotations: Sequence[int] | None = None,
    ):
        self.dataset, self.classes = dataset, tuple(sorted(set(classes)))
        self.ways, self.shots = bounds("ways", ways), bounds("shots", shots)
        self.queries, self.seed, self.stream = queries, seed, stream
        self.rotations = tuple(dataset.rotations if rotations is None else rotations)
        self._key = stream_key(seed, stream)
        check_ways(
            dataset, self.classes, stream, ways=self.ways[1], shots=self.shots[0], queries=queries
        )
        self._classes = dataset.indices_of(self.classes)
        self._turns = quarter_turns(self.rotations, dataset)

    def draw(self, iteration: int, tasks: Iterable[int]) -> VariableEpisodes:
        """Choose ways, classes, turns, shots and examples of the given tasks of an iteration."""
        n, k, q = self.ways[1], self.shots[1], self.queries
        uniform = uniforms(self._key, iteration, tasks, 1 + n * (3 + q + k))
        which, turning, shooting, rest = np.split(uniform[:, 1:], [n, 2 * n, 3 * n], axis=1)
        ways = _within(uniform[:, :1], *self.ways)
        absent = np.arange(n) >= ways
        classes = self._classes[distinct(which, len(self._classes))]
        turns = self._turns[(turning * len(self._turns)).astype(np.int64)]
        counts = self.dataset.counts[classes]
        most = np.minimum(k, counts - q)
        shots = np.where(absent, 0, _within(shooting, self.shots[0], most))
        # The queries come first: of small classes, they and the shots are all that can be drawn.
        within = distinct(rest.reshape(-1, q + k), counts.ravel()).reshape(-1, n, q + k)
        rows = self.dataset.starts[classes][..., None] + within
        support, query = rows[..., q:], rows[..., :q]
        return VariableEpisodes(
            classes=np.where(absent, -1, classes),
            shots=shots,
            support=_packed(support, turns, np.arange(k) < shots[..., None]),
            query=_packed(query, turns, np.broadcast_to(~absent[..., None], query.shape)),
        )

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, most ways · most shots, …) float32, y (T, …) int64; queries alike."""
        drawn = self.draw(iteration, tasks)
        make = lambda slots: (self.dataset.taken(slots.rows, slots.turns), slots.labels)
        return Task(make(drawn.support), make(drawn.query))

    def placed(self, drawn: VariableEpisodes, device: str) -> Task:
        """The same as `sample` gives, made on a device, where the dataset lies."""

        def make(slots: Slots) -> tuple[Any, Any]:
            x = self.dataset.taken_on(device, slots.rows, slots.turns)
            return x, ac.asarray(slots.labels, device=device)

        return Task(make(drawn.support), make(drawn.query))


def counted(labels: Any) -> Any:
    """The weights of examples, float32: 1, or 0 where the label is −1."""
    return ac.astype(ac.greater_equal(ac.asarray(labels), 0), "float32")


def bounds(name: str, given: Range) -> tuple[int, int]:
    """The least and the most of a range. Raises `DataError`."""
    low, high = (given, given) if isinstance(given, int) else given
    if not 1 <= low <= high:
        raise DataError(f"{name}={given}; expected a number, or two as (3, 8), from 1 on")
    return low, high


def _within(uniform: np.ndarray, low: int, high: np.ndarray | int) -> np.ndarray:
    """Whole numbers of [low, high], int64, each as likely."""
    return low + (uniform * (high + 1 - low)).astype(np.int64)


def _packed(rows: np.ndarray, turns: np.ndarray, used: np.ndarray) -> Slots:
    """Examples (T, N, m) of which some are used, as slots (T, N·m): those that are, in order, and
    from the start again without their labels."""
    tasks, n, m = rows.shape
    slots = np.arange(n * m)
    flat = used.reshape(tasks, n * m)
    order = np.argsort(~flat, axis=1, kind="stable")
    total = flat.sum(axis=1, keepdims=True)
    place = np.take_along_axis(order, slots % np.maximum(total, 1), axis=1)
    take = lambda x: np.take_along_axis(x.reshape(tasks, n * m), place, axis=1)
    return Slots(
        rows=take(rows),
        turns=take(np.repeat(turns[..., None], m, axis=2)),
        labels=np.where(slots < total, place // m, NOT_COUNTED),
    )
