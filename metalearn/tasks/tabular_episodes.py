"""The sampler of few-shot tasks from tables."""

from collections.abc import Iterable, Sequence

import numpy as np

from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError, amount
from metalearn.tasks.random import distinct, stream_key, uniforms
from metalearn.tasks.regression import SmallTasks
from metalearn.tasks.shortage import asked
from metalearn.tasks.tabular import TabularDataset


class TabularSampler(SmallTasks):
    """Few-shot tasks from the rows of a sampler's own tasks of a table, each equally likely.

    - regression: `shots` rows of the task for the support and `queries` others: x (K, F) and
      y (K, 1), float32
    - classification with shared labels: as many of every label, with labels in their fixed order:
      x (N·K, F) float32 and y (N·K,) int64, ordered by label
    - classification with own labels: `ways` of the task's labels, numbered at random

    Rows are drawn without replacement. Raises `DataError` when the tasks are unknown or none, or
    one has too few rows or labels; `tasks_with` tells which have enough.
    """

    def __init__(
        self,
        dataset: TabularDataset,
        tasks: Sequence[str],
        shots: int,
        queries: int,
        seed: int,
        stream: str = "train",
        ways: int | None = None,
    ):
        self.dataset, self.tasks = dataset, tuple(sorted(set(tasks)))
        self.shots, self.queries = shots, queries
        self.ways = _ways(dataset, ways)
        self.seed, self.stream = seed, stream
        self._key = stream_key(seed, stream)
        if shots < 1 or queries < 1:
            raise DataError(f"shots={shots}, queries={queries}; expected each to be at least 1")
        self._tasks = dataset.indices_of(self.tasks)
        if not len(self._tasks):
            raise DataError(f"table {dataset.name!r}: no {stream} tasks; expected at least one")
        self._check_rows()
        self._starts = np.cumsum(dataset.counts) - dataset.counts
        own = dataset.label_counts
        self._label_starts = self._starts[:, None] + np.cumsum(own, axis=1) - own
        # Of each task, its labels with rows enough, then the others.
        self._enough = own >= shots + queries
        self._labels_first = np.argsort(~self._enough, axis=1, kind="stable")

    def _check_rows(self) -> None:
        data, name = self.dataset, self.dataset.name
        fit = set(tasks_with(data, self.tasks, self.shots, self.queries, self.ways or None))
        short = [task for task in self.tasks if task not in fit]
        if not short:
            return
        (place,) = data.indices_of(short[:1])
        each = asked(self.shots, self.queries)
        if data.preprocess.kind == "regression":
            wrong, expected = amount(int(data.counts[place]), "row"), f"at least {each}"
        else:
            of = zip(data.labels, data.label_counts[place].tolist(), strict=True)
            counts = [f"{label}: {n}" for label, n in of if n]
            more = f" … and {len(counts) - 8:,} more" if len(counts) > 8 else ""
            wrong = "rows by label " + ", ".join(counts[:8]) + more
            labels = "each label" if data.preprocess.labels else f"each of {self.ways} labels"
            expected = f"at least {each} of {labels}"
        raise DataError(
            f"table {name!r}: task {short[0]!r} has {wrong}; expected {expected} ({len(short)} of "
            f"{len(self.tasks)} tasks have too few): lower --shots or --queries, or give more rows"
        )

    def chosen(self, iteration: int, tasks: Iterable[int]) -> np.ndarray:
        """(T,) int64: the place in the dataset's tasks of each; the one `sample` uses."""
        return self._choose(uniforms(self._key, iteration, tasks, 1))

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """Support x (T, N·shots, F) float32 and y (T, N·shots) int64, or (T, shots, 1) float32 of
        regression; queries alike."""
        m = self.shots + self.queries
        n = self.ways or 1
        uniform = uniforms(self._key, iteration, tasks, 1 + n + n * m)
        task = self._choose(uniform[:, :1])
        if not self.ways:
            rows = self._starts[task, None] + distinct(uniform[:, 2:], self.dataset.counts[task])
            return self._regression(rows)
        if self.dataset.preprocess.labels is None:
            place = distinct(uniform[:, 1 : 1 + n], self._enough[task].sum(axis=1))
            labels = np.take_along_axis(self._labels_first[task], place, axis=1)
        else:
            labels = np.broadcast_to(np.arange(n), (len(task), n))
        counts = self.dataset.label_counts[task[:, None], labels]
        within = distinct(uniform[:, 1 + n :].reshape(-1, m), counts.ravel()).reshape(-1, n, m)
        return self._classification(self._label_starts[task[:, None], labels][..., None] + within)

    def _choose(self, uniform: np.ndarray) -> np.ndarray:
        return self._tasks[(uniform[:, 0] * len(self._tasks)).astype(np.int64)]

    def _regression(self, rows: np.ndarray) -> Task:
        x, y = self.dataset.x[rows], self.dataset.y[rows]
        k = self.shots
        return Task(support=(x[:, :k], y[:, :k]), query=(x[:, k:], y[:, k:]))

    def _classification(self, rows: np.ndarray) -> Task:
        def part(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            tasks, n, k = rows.shape
            labels = np.repeat(np.arange(n, dtype=np.int64), k)
            return self.dataset.x[rows.reshape(tasks, n * k)], np.tile(labels, (tasks, 1))

        return Task(support=part(rows[..., : self.shots]), query=part(rows[..., self.shots :]))


def _ways(dataset: TabularDataset, ways: int | None) -> int:
    """How many labels a task has; 0 in regression. Raises `DataError`."""
    if dataset.preprocess.kind == "regression":
        if ways is not None:
            raise DataError(f"ways={ways}: regression has none; leave it out")
        return 0
    shared = dataset.preprocess.labels
    if shared is None:
        if ways is None or ways < 2:
            raise DataError(f"ways={ways}; expected at least 2, where each task has its own labels")
        return ways
    if ways not in (None, len(shared)):
        raise DataError(f"ways={ways}; expected the {len(shared)} labels that all tasks share")
    return len(shared)


def tasks_with(
    dataset: TabularDataset,
    tasks: Iterable[str],
    shots: int,
    queries: int,
    ways: int | None = None,
) -> tuple[str, ...]:
    """Those of the tasks that have rows (and labels) enough for `TabularSampler`."""
    tasks, need = tuple(tasks), shots + queries
    places = dataset.indices_of(tasks)
    if dataset.preprocess.kind == "regression":
        fit = dataset.counts[places] >= need
    else:
        fit = (dataset.label_counts[places] >= need).sum(axis=1) >= _ways(dataset, ways)
    return tuple(task for task, fits in zip(tasks, fit, strict=True) if fits)
