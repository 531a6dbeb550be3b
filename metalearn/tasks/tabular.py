"""Tabular tasks: rows of CSV files, a task to each value of a column.

All that is learned from data before training, which columns are numbers, their mean and deviation,
the values of categories, is learned from the training tasks alone, and kept as a record
(`TablePreprocess`), by which a table of a new task is treated alike later (`read_new_table`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metalearn.tasks.errors import DataError
from metalearn.tasks.splits import Split, random_split
from metalearn.tasks.table_features import (
    KINDS,
    Category,
    Feature,
    Number,
    TablePreprocess,
    target_numbers,
)
from metalearn.tasks.tables import MISSING, Table, number_of, read_tables

LABELS = ("shared", "own")
MOST_VALUES = 100  # of a category, each of which becomes a column
MOST_WHOLE_LABELS = 20  # different whole numbers that are still taken for classes
TEST, VALIDATION = 0.2, 0.1  # shares of the tasks, where no split is given


@dataclass(frozen=True, eq=False)
class TabularDataset:
    """Rows of many tasks, those of a task side by side, in it those of a label.

    - `x`: (rows, F) float32; `y`: (rows, 1) float32 standardised, or (rows,) int64 places in
      `labels`, which are the classes of all tasks, and empty in regression
    - `tasks`: unique names, sorted; `counts`: (tasks,) int64 rows of each, and `label_counts`
      (tasks, labels) int64 rows of each label
    - `split`: which tasks are for training, validation and test
    - `preprocess`: how the numbers were made, learned from the training tasks
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    tasks: tuple[str, ...]
    counts: np.ndarray
    labels: tuple[str, ...]
    label_counts: np.ndarray
    split: Split
    preprocess: TablePreprocess

    @cached_property
    def digest(self) -> str:
        """sha256 of names and numbers: equal for equal data, wherever it was read from."""
        text = repr((self.tasks, self.counts.tolist(), self.labels))
        parts = [text.encode(), self.x.tobytes(), self.y.tobytes()]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """What a run writes down of the data, as JSON."""
        return {
            "name": self.name,
            "fingerprint": self.digest,
            "tasks": len(self.tasks),
            "rows": len(self.x),
            "features": self.preprocess.width,
            "preprocess": self.preprocess.to_dict(),
        }

    def most_of_each(self, tasks: Sequence[str], ways: int | None = None) -> int:
        """The most rows that every one of some tasks can give, in all of regression, else of each
        of its labels, or with `ways` of each of that many labels."""
        places = self.indices_of(tasks)
        if self.preprocess.kind == "regression":
            return int(self.counts[places].min())
        largest_first = -np.sort(-self.label_counts[places], axis=1)
        return int(largest_first[:, (ways or len(self.labels)) - 1].min())

    def indices_of(self, names: Sequence[str]) -> np.ndarray:
        """(len(names),) int64: the places of the names in `tasks`. Raises `DataError`."""
        places = {name: i for i, name in enumerate(self.tasks)}
        missing = [name for name in names if name not in places]
        if missing:
            raise DataError(
                f"table {self.name!r} has no task {missing[0]!r} ({len(missing)} of {len(names)} "
                "names are unknown); use the split that belongs to this table"
            )
        return np.array([places[name] for name in names], dtype=np.int64)


def load_tables(
    paths: str | Path | Sequence[str | Path],
    *,
    task: str | None,
    target: str,
    kind: str | None = None,
    labels: str = "shared",
    categorical: Sequence[str] = (),
    ignore: Sequence[str] = (),
    indicators: str = "auto",
    split: Split | None = None,
    seed: int = 0,
    name: str | None = None,
) -> TabularDataset:
    """Tasks from one CSV file or several, split by task.

    Args:
        paths: the files, in UTF-8 with commas and names in the first line, the same in all.
        task: the column whose values are the tasks' names; None when each file is a task, named as
            the file.
        target: the column to predict.
        kind: "classification" or "regression". If not given, it is regression when all targets of
            the training tasks are numbers, and one of them is no whole number or there are more
            than 20 different ones.
        labels: of classification. "shared": all tasks have the same classes, and an output always
            means the same one. "own": the classes of each task are its own, as in N-way episodes.
        categorical: columns of numbers to take for categories, such as postcodes. Without this, a
            column is categorical when a value of the training tasks in it is no number.
        ignore: columns to leave out, such as names.
        indicators: columns that say where a value is missing, "auto" for features with such rows in
            the training tasks, "all" for every feature. A missing value is empty, NA, N/A, NaN,
            null or ?.
        split: by names of tasks; without it, a fifth of them, chosen by `seed`, is for test, and a
            tenth of the others for validation.
        name: the dataset's; that of the first file if not given.

    Raises:
        DataError: naming the file, line and column of what is wrong.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    for what, value, known in (("kind", kind or KINDS[0], KINDS), ("labels", labels, LABELS),
                               ("indicators", indicators, ("auto", "all"))):  # fmt: skip
        if value not in known:
            raise DataError(f"{what}={value!r}; expected one of {', '.join(known)}")
    table = read_tables(files)
    names = _task_names(table, task)
    split = _split(names, split, seed)
    training = _rows_of(table, names, split.train)
    kind = kind or _kind(training, target)
    left_out = {task, target, *ignore}
    for column in (*ignore, *categorical):
        table.column(column)  # which must be there
    features = [
        _learned(training, column, column in categorical, indicators == "all")
        for column in table.columns
        if column not in left_out
    ]
    if not features:
        raise DataError(f"{files[0]}: no columns beside task and target; expected features")
    preprocess = TablePreprocess(task, target, kind, tuple(features))
    if kind == "regression":
        preprocess = _with_target(preprocess, training)
    elif labels == "shared":
        shared = tuple(sorted(set(_labels(training, target))))
        preprocess = TablePreprocess(task, target, kind, tuple(features), shared)
    return _dataset(name or Path(files[0]).stem, table, names, split, preprocess)


def _task_names(table: Table, task: str | None) -> list[str]:
    if task is None:
        stems = [file.stem for file in table.files]
        twice = [stem for stem, times in Counter(stems).items() if times > 1]
        if twice:
            raise DataError(f"two files are called {twice[0]!r}; expected a name for each task")
        return [stems[file] for file, _ in table.origins]
    names = table.column(task)
    if "" in names:
        raise DataError(f"{table.where(names.index(''))}, column {task!r}: empty; expected a task")
    return names


def _split(names: Sequence[str], split: Split | None, seed: int) -> Split:
    tasks = sorted(set(names))
    if split is None:
        if len(tasks) < 3:
            raise DataError(
                f"{len(tasks)} tasks; expected at least 3, for training, validation and test: "
                "give more, or another task column"
            )
        test, validation = (max(1, round(share * len(tasks))) for share in (TEST, VALIDATION))
        return random_split(tasks, seed, test=test, validation=validation, version="tasks-1")
    unknown = sorted({*split.train, *split.validation, *split.test} - set(tasks))
    if unknown or not split.train:
        wrong = (
            f"has a task {unknown[0]!r} that no row is of" if unknown else "has no training task"
        )
        raise DataError(f"split {split.version}: {wrong}; use the split that belongs to the table")
    return split


def _rows_of(table: Table, names: Sequence[str], tasks: Iterable[str]) -> Table:
    """The rows of some tasks."""
    wanted, part = set(tasks), Table(table.columns, table.files)
    for row, origin, name in zip(table.rows, table.origins, names, strict=True):
        if name in wanted:
            part.rows.append(row)
            part.origins.append(origin)
    return part


def _kind(training: Table, target: str) -> str:
    values = [number_of(cell) for cell in training.column(target)]
    if any(value is None for value in values):
        return "classification"
    whole = all(value == round(value) for value in values if value is not None)
    return "classification" if whole and len(set(values)) <= MOST_WHOLE_LABELS else "regression"


def _learned(training: Table, name: str, categorical: bool, indicator: bool) -> Feature:
    cells = [cell for cell in training.column(name) if cell not in MISSING]
    missing = indicator or len(cells) < len(training)
    numbers = [number_of(cell) for cell in cells]
    if not cells:
        raise DataError(
            f"{training.files[0]}, column {name!r}: no value in any training task; leave it out "
            f"with ignore=[{name!r}]"
        )
    if categorical or any(number is None for number in numbers):
        values = tuple(sorted(set(cells)))
        if len(values) > MOST_VALUES:
            row = next(i for i, cell in enumerate(training.column(name)) if cell in values
                       and (categorical or number_of(cell) is None))  # fmt: skip
            raise DataError(
                f"{training.where(row)}, column {name!r}: one of {len(values)} categories, such as "
                f"{training.column(name)[row]!r}; expected at most {MOST_VALUES}, or numbers alone:"
                f" correct it, or leave the column out with ignore=[{name!r}]"
            )
        return Category(name, values, missing)
    mean, scale = _moments(numbers, f"{training.files[0]}, column {name!r}")
    return Number(name, mean, scale, missing)


def _moments(numbers: Any, what: str) -> tuple[float, float]:
    """Mean and deviation; 1 for the deviation of what is constant."""
    values = np.array(numbers, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = float(values.mean()), float(values.std())
    if not np.isfinite([mean, scale]).all():
        raise DataError(f"{what}: numbers up to {np.abs(values).max():.1e}; scale them down")
    return mean, scale or 1.0


def _with_target(preprocess: TablePreprocess, training: Table) -> TablePreprocess:
    target = preprocess.target
    values = target_numbers(training, target)
    mean, scale = _moments(values, f"{training.files[0]}, column {target!r}, the target")
    return replace(preprocess, mean=mean, scale=scale)


def _labels(table: Table, target: str) -> list[str]:
    cells = table.column(target)
    if "" in cells:
        raise DataError(
            f"{table.where(cells.index(''))}, column {target!r}: no label; expected one in every "
            "row: rows to predict belong into the table of a new task"
        )
    return cells


def _dataset(
    name: str, table: Table, names: list[str], split: Split, preprocess: TablePreprocess
) -> TabularDataset:
    x = preprocess.inputs(table)
    tasks, task_of = np.unique(np.array(names), return_inverse=True)
    if preprocess.kind == "regression":
        order = np.argsort(task_of, kind="stable")
        y = preprocess.targets(table)
        labels: tuple[str, ...] = ()
        label_counts = np.zeros((len(tasks), 0), np.int64)
    else:
        cells = _labels(table, preprocess.target)
        _check_shared(table, cells, preprocess)
        labels = tuple(sorted(set(cells)))
        place_of = {label: i for i, label in enumerate(labels)}
        y = np.array([place_of[cell] for cell in cells], np.int64)
        order = np.lexsort((y, task_of))
        label_counts = np.zeros((len(tasks), len(labels)), np.int64)
        np.add.at(label_counts, (task_of, y), 1)
    counts = np.bincount(task_of, minlength=len(tasks)).astype(np.int64)
    return TabularDataset(
        name, x[order], y[order], tuple(tasks.tolist()), counts, labels, label_counts, split,
        preprocess,
    )  # fmt: skip


def _check_shared(table: Table, cells: Sequence[str], preprocess: TablePreprocess) -> None:
    if preprocess.labels is None:
        return
    known = set(preprocess.labels)
    for row, cell in enumerate(cells):
        if cell not in known:
            raise DataError(
                f"{table.where(row)}, column {preprocess.target!r}: no training task has the label "
                f"{cell!r}; expected one of {', '.join(preprocess.labels)}, or labels='own' where "
                "each task has classes of its own"
            )


# A user's own table ---------------------------------------------------------------------------


class NewTable(NamedTuple):
    """A user's own tabular task: labelled rows to adapt to, and rows to predict."""

    classes: tuple[str, ...]  # name of label 0, 1, …; empty in regression
    support: tuple[np.ndarray, np.ndarray]  # x (n, F) float32, y (n,) int64 or (n, 1) float32
    query: np.ndarray  # (m, F) float32
    support_rows: tuple[str, ...]  # n times "file line 3"
    query_rows: tuple[str, ...]  # m times


def read_new_table(path: str | Path, preprocess: TablePreprocess) -> NewTable:
    """Read the table of one new task with the preprocessing of the tasks trained on.

    Rows with a target are the support, rows whose target is empty the query. The task column may
    be left out. Columns that training did not have are not used. Raises `DataError` naming the
    file, line and column of what is wrong.
    """
    table = read_tables([path])
    cells = table.column(preprocess.target)
    if preprocess.task is not None and preprocess.task in table.columns:
        tasks = sorted(set(table.column(preprocess.task)))
        if len(tasks) > 1:
            raise DataError(
                f"{path}, column {preprocess.task!r}: rows of {len(tasks)} tasks, such as "
                f"{tasks[0]!r} and {tasks[1]!r}; expected those of one: give each its own file"
            )
    support, query = (_where(table, [(cell != "") == known for cell in cells]) for known in (1, 0))
    if not len(support) or not len(query):
        lacking = "a target, to adapt to" if not len(support) else "an empty target, to predict"
        raise DataError(f"{path}: no row with {lacking}; expected both kinds of rows")
    classes: tuple[str, ...] = ()
    if preprocess.kind == "regression":
        y = preprocess.targets(support)
    else:
        marks = support.column(preprocess.target)
        _check_shared(support, marks, preprocess)
        classes = preprocess.labels or tuple(sorted(set(marks)))
        if len(classes) < 2:
            raise DataError(f"{path}: one label, {classes[0]!r}; expected rows of at least 2")
        y = np.array([classes.index(mark) for mark in marks], np.int64)
    return NewTable(
        classes=classes,
        support=(preprocess.inputs(support), y),
        query=preprocess.inputs(query),
        support_rows=tuple(map(support.where, range(len(support)))),
        query_rows=tuple(map(query.where, range(len(query)))),
    )


def _where(table: Table, wanted: Sequence[bool]) -> Table:
    part = Table(table.columns, table.files)
    part.rows = [row for row, want in zip(table.rows, wanted, strict=True) if want]
    part.origins = [origin for origin, want in zip(table.origins, wanted, strict=True) if want]
    return part
