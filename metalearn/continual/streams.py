"""A stream: tasks one after another, the classes of a task one after another, each example once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metalearn.tasks import DataError, Dataset
from metalearn.tasks.random import distinct, stream_key, uniforms


class Stream(NamedTuple):
    """Classes in the order in which they arrive; the label of each is its place here."""

    x: np.ndarray  # (classes, train, …) float32, to learn from in this order
    held_out: np.ndarray  # (classes, test, …) float32, others of each class
    task: np.ndarray  # (classes,) int64: 0, 0, …, 1, …
    tasks: tuple[str, ...]  # their names
    classes: tuple[str, ...]

    def of(self, task: int) -> np.ndarray:
        """The classes of a task, side by side."""
        return np.flatnonzero(self.task == task)

    def seen_as(self, represent: Callable[[np.ndarray], Any]) -> "Stream":
        """The same stream of what a function makes of a class's examples, (n, …)."""
        each = lambda values: np.stack([np.asarray(represent(of_class)) for of_class in values])
        return self._replace(x=each(self.x), held_out=each(self.held_out))


def make_stream(
    dataset: Dataset,
    classes: Iterable[str],
    task_of: Callable[[str], str],
    seed: int,
    most: int,
    a_task: int,
    train: int = 15,
    test: int = 5,
) -> Stream:
    """A stream of some classes of a dataset, in an order that the seed decides.

    Args:
        task_of: the name of a class's task, such as its alphabet.
        most: how many classes there are at most, in all.
        a_task: how many classes of each task there are; a task of fewer is left out.
        train, test: examples of each class to learn from, and others to be judged by.

    Raises `DataError` when a class has too few examples, or no task enough classes.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(set(classes)):
        groups.setdefault(task_of(name), []).append(name)
    key = stream_key(seed, "stream")
    tasks = _shuffled(key, 0, sorted(t for t, group in groups.items() if len(group) >= a_task))
    order = [_shuffled(key, 1 + i, groups[task])[:a_task] for i, task in enumerate(tasks)]
    names = [name for group in order for name in group][:most]
    if not names:
        raise DataError(f"dataset {dataset.name!r}: no task has a_task={a_task} classes; lower it")
    values = [_shuffled(stream_key(seed, name), 0, dataset.of_class(name)) for name in names]
    fewest = int(np.argmin([len(x) for x in values]))
    if len(values[fewest]) < train + test:
        raise DataError(
            f"dataset {dataset.name!r}: class {names[fewest]!r} has {len(values[fewest])} "
            f"examples; expected at least train={train} + test={test}: lower them"
        )
    numbers = {task: number for number, task in enumerate(tasks)}
    task = np.array([numbers[task_of(name)] for name in names], np.int64)
    x = np.stack([x[: train + test] for x in values])
    return Stream(x[:, :train], x[:, train:], task, tuple(tasks[: task[-1] + 1]), tuple(names))


def _shuffled(key: np.ndarray, number: int, items: Sequence[Any] | np.ndarray) -> Any:
    order = distinct(uniforms(key, number, [0], len(items)), len(items))[0]
    return items[order] if isinstance(items, np.ndarray) else [items[i] for i in order]


def reservoir(length: int, size: int, draws: int, seed: int) -> np.ndarray:
    """What is replayed beside each example of a stream: `draws` positions in it, drawn from a
    reservoir as it is before that example comes, with replacement; (length, draws) int64.

    A reservoir of `size` holds any of the positions so far with the same probability (Vitter 1985,
    algorithm R: position i replaces a random one with probability size / (i + 1)). What it holds
    depends on positions alone, so that all of it is drawn beforehand. Nothing comes before position
    0, beside which it is itself.
    """
    key = stream_key(seed, "reservoir")
    uniform = uniforms(key, 0, range(length), 1 + draws)
    held, found = np.zeros(size, np.int64), np.zeros((length, draws), np.int64)
    for position, (place, *drawn) in enumerate(uniform):
        count = min(position, size)
        if count:
            found[position] = held[(np.array(drawn) * count).astype(np.int64)]
        where = position if position < size else int(place * (position + 1))
        if where < size:
            held[where] = position
    return found
