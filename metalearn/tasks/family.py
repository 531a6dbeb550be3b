"""A family of tasks of one's own: a class that makes one task from a stream of random numbers."""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

import autograd_core as ac
from metalearn.tasks.episodes import Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import stream_key
from metalearn.tasks.regression import SmallTasks


class TaskFamily:
    """Tasks of your own. A subclass says what an input is, how many numbers a model answers with,
    whether these are labels, and makes a task:

        class Lines(TaskFamily):
            def task(self, rng, part, shots, queries):
                slope, x = rng.normal(), rng.uniform(-1, 1, (shots + queries, 1))
                y = slope * x
                return (x[:shots], y[:shots]), (x[shots:], y[shots:])

    `metalearn train my_file.py:Lines` learns it, `metalearn check my_file.py:Lines` looks whether
    its tasks are what they should be.
    """

    example_shape: ClassVar[tuple[int, ...]] = (1,)
    """Of one input, such as (1, 28, 28)."""
    outputs: ClassVar[int] = 1
    """How many numbers a model answers with; classes, of a family with labels."""
    labels: ClassVar[bool] = False
    """Whether targets are labels 0, 1, …, `outputs` − 1, or (n, outputs) numbers."""

    def task(
        self, rng: np.random.Generator, part: str, shots: int, queries: int
    ) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """One task, ((x, y), (x, y)) of support and query set, made of nothing random but `rng`.

        Args:
            rng: is the same for the same seed, part and number of the task.
            part: "train", "validation" or "test", for families whose parts are apart by more than
                their random numbers.
            shots, queries: examples in the support and the query set; with labels, of each class.
        """
        raise DataError(
            f"tasks {type(self).__name__}: has no task; define task(self, rng, part, shots, "
            "queries), which returns (x, y), (x, y) of support and query set"
        )


class FamilySampler(SmallTasks):
    """Tasks of a family: x (T, n, …) float32, y (T, n, outputs) float32 or (T, n) int64.

    Raises `DataError` when shots or queries are below 1; `sample` raises it for a task that is not
    as the family says.
    """

    def __init__(self, family: TaskFamily, shots: int, queries: int, seed: int, part: str):
        if shots < 1 or queries < 1:
            raise DataError(f"shots={shots}, queries={queries}; expected each to be at least 1")
        self.family, self.shots, self.queries, self.part = family, shots, queries, part
        self._key = stream_key(seed, part)

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration, stacked on a leading axis in the order of `tasks`."""
        made = [self._task(iteration, number) for number in tasks]
        if not made:  # the arrays without a task
            return ac.tree_map(lambda x: x[None][:0], self._task(iteration, 0))
        return ac.tree_map(lambda *each: np.stack(each), *made)

    def _task(self, iteration: int, number: int) -> Task:
        # Philox is addressed by a counter, so that each task has a stream of its own.
        bits = np.random.Philox(key=self._key, counter=[0, number, iteration, 0])
        made = self.family.task(np.random.Generator(bits), self.part, self.shots, self.queries)
        try:
            (x, y), (xq, yq) = made
            arrays = [np.asarray(part) for part in (x, y, xq, yq)]
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{type(self.family).__name__}: task returned a {type(made).__name__} that is not "
                f"(x, y), (x, y) of support and query set ({error}); expected arrays"
            ) from error
        x, y, xq, yq = arrays
        return Task(self._checked(x, y, self.shots), self._checked(xq, yq, self.queries))

    def _checked(self, x: np.ndarray, y: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        family, name = self.family, type(self.family).__name__
        for values in (x, y):
            if values.dtype.kind not in "biuf":
                raise DataError(f"{name}: values of {values.dtype}; expected numbers")
        x = x.astype(np.float32)
        rows = count * (family.outputs if family.labels else 1)
        if x.shape != (rows, *family.example_shape):
            raise DataError(
                f"{name}: inputs of the shape {x.shape}; expected {(rows, *family.example_shape)}"
            )
        if not family.labels:
            if y.shape != (rows, family.outputs):
                raise DataError(
                    f"{name}: targets of the shape {y.shape}; expected {(rows, family.outputs)}"
                )
            return x, y.astype(np.float32)
        wrong = y.shape != (rows,) or y.dtype.kind not in "iu"
        if wrong or (rows and not 0 <= y.min() <= y.max() < family.outputs):
            raise DataError(
                f"{name}: labels {y.dtype} {y.shape}; expected {rows} whole numbers from 0 to "
                f"{family.outputs - 1}"
            )
        return x, y.astype(np.int64)
