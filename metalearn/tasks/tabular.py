"""Tabular tasks: rows of CSV files, a task to each value of a column.

All that is learned from data before training, which columns are numbers or dates, their mean and
deviation, the values of categories, is learned from the training tasks alone, and kept as a record
(`TablePreprocess`), by which a table of a new task is treated alike later (`read_new_table`).
"""

import datetime
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metalearn.tasks.errors import DataError, amount, listed
from metalearn.tasks.shortage import asked, few_text, fitting
from metalearn.tasks.splits import Split, random_split
from metalearn.tasks.table_dates import ISO, days_of, forms_of
from metalearn.tasks.table_features import (
    KINDS,
    Category,
    Date,
    Feature,
    Number,
    TablePreprocess,
    target_numbers,
)
from metalearn.tasks.tables import (
    FEW,
    MISSING,
    Table,
    check_slips,
    csv_files,
    leave_out,
    number_of,
    read_tables,
)

LABELS = ("shared", "own")
NUMBERS = "numbers"
"""What `--labels` says of targets that are numbers, not classes, however few and whole."""
MOST_VALUES = 100  # of a category, each of which becomes a column
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
    - `notes`: what was left out, for people
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
    notes: tuple[str, ...] = ()

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


class Needs(NamedTuple):
    """Rows that episodes take of a task, in classification of each of its labels, or where tasks
    have labels of their own of `ways` of them."""

    shots: int
    queries: int
    ways: int = 1


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
    needs: Needs | None = None,
    split: Split | None = None,
    seed: int = 0,
    name: str | None = None,
) -> TabularDataset:
    """Tasks from one CSV file or several, split by task. Rows without a target are left out.

    Args:
        paths: the files, or a folder in which they lie. They are in UTF-8, with names in the first
            line, the same in all, and commas, semicolons, tabs or pipes between columns; without
            commas there, numbers may have decimal commas.
        task: the column whose values are the tasks' names; None when each file is a task, named as
            the file.
        target: the column to predict.
        kind: "classification" or "regression". If not given, it is regression when all targets are
            numbers, and one of them is no whole number or there are more than 20 different ones.
        labels: of classification. "shared": all tasks have the same classes, and an output always
            means the same one. "own": the classes of each task are its own, as in N-way episodes.
        categorical: columns of numbers or dates to take for categories, such as postcodes. Without
            this, a column is categorical when a value of the training tasks in it is no number, and
            most are no dates: these are taken as days, of which a time of day is a fraction.
        ignore: columns to leave out, such as names.
        indicators: columns that say where a value is missing, "auto" for features with such rows in
            the training tasks, "all" for every feature. A missing value is empty, NA, N/A, NaN,
            null or ?, also of the target.
        needs: what episodes take; tasks that cannot give so much are left out.
        split: by names of tasks, of which others are not used; without it, a fifth of them, chosen
            by `seed`, is for test, and a tenth of the others for validation.
        name: the dataset's; that of the folder or the first file if not given.

    Raises:
        DataError: naming the file, line and column of what is wrong.
    """
    files = _files(paths)
    for what, value, known in (("kind", kind or KINDS[0], KINDS), ("labels", labels, LABELS),
                               ("indicators", indicators, ("auto", "all"))):  # fmt: skip
        if value not in known:
            raise DataError(f"{what}={value!r}; expected one of {', '.join(known)}")
    table = read_tables(files)
    names = _task_names(table, task)
    _check_columns(table, task, target, ignore, categorical)
    table, names, notes = _with_targets(table, names, target)
    if kind != "classification":
        _check_no_dates(table, target)
    kind = kind or _kind(table, target)
    tasks = set(names)
    if needs is not None:
        tasks, more = _tasks_that_give(needs, table, names, target, kind, labels)
        notes += more
    split = _split(sorted(tasks), split, names, seed)
    table, names = _rows_of(table, names, {*split.train, *split.validation, *split.test})
    training, _ = _rows_of(table, names, split.train)
    left_out = {task, target, *ignore}
    features = [
        _learned(training, column, column in categorical, indicators == "all")
        for column in table.columns
        if column not in left_out
    ]
    if not features:
        raise DataError(f"{files[0]}: no columns beside task and target; expected features")
    notes += _date_notes(features)
    preprocess = TablePreprocess(task, target, kind, tuple(features))
    if kind == "regression":
        preprocess = _with_target(preprocess, training)
    elif labels == "shared":
        shared = tuple(sorted(set(training.column(target))))
        preprocess = TablePreprocess(task, target, kind, tuple(features), shared)
    whole = paths if isinstance(paths, str | Path) else files[0]
    found = _dataset(name or Path(whole).stem, table, names, split, preprocess)
    return replace(found, notes=tuple(notes))


def _files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(paths, str | Path):
        return [Path(path) for path in paths]
    if not Path(paths).is_dir():
        return [Path(paths)]
    found = csv_files(Path(paths))
    if not found:
        raise DataError(f"{paths}: no .csv files in it; expected one for each task")
    return found


def _check_columns(
    table: Table, task: str | None, target: str, ignore: Sequence[str], categorical: Sequence[str]
) -> None:
    """Raise `DataError` for columns that are not there, left out and needed, or both task and
    target."""
    for column in (target, *ignore, *categorical):
        table.column(column)
    if task == target:
        raise DataError(f"column {task!r}: both the task column and the target; expected two")
    for needed, what in ((task, "the task column"), (target, "the target")):
        if needed in ignore:
            raise DataError(f"column {needed!r}: {what}, which cannot be left out (--ignore)")


def _with_targets(
    table: Table, names: Sequence[str], target: str
) -> tuple[Table, list[str], list[str]]:
    """The rows that have a target, with their tasks, and a line on those that have none."""
    given = [cell not in MISSING for cell in table.column(target)]
    if all(given):
        return table, list(names), []
    if not any(given):
        raise DataError(f"{table.files[0]}, column {target!r}, the target: no value in any row")
    without = [table.origins[row][0] for row, there in enumerate(given) if not there]
    files = sorted(set(without))
    where = str(table.files[files[0]]) if len(files) == 1 else amount(len(files), "file")
    note = f"{len(without):,} of {amount(len(given), 'row')} of {where} are left out: no {target!r}"
    return table.part(given), _chosen(names, given), [note]


def _chosen(values: Sequence[str], wanted: Sequence[bool]) -> list[str]:
    return [value for value, want in zip(values, wanted, strict=True) if want]


def _task_names(table: Table, task: str | None) -> list[str]:
    if task is None:
        stems = [file.stem for file in table.files]
        twice = [stem for stem, times in Counter(stems).items() if times > 1]
        if twice:
            raise DataError(f"two files are called {twice[0]!r}; expected a name for each task")
        return [stems[file] for file, _ in table.origins]
    if task not in table.columns:
        raise DataError(
            f"{table.files[0]}: no column {task!r}; name the one whose values are the tasks with "
            f"--task-column (task=… in Python): one of {listed(table.columns, 12)}"
        )
    names = table.column(task)
    if "" in names:
        raise DataError(f"{table.where(names.index(''))}, column {task!r}: empty; expected a task")
    return names


def _tasks_that_give(
    needs: Needs, table: Table, names: Sequence[str], target: str, kind: str, labels: str
) -> tuple[set[str], list[str]]:
    """The tasks that have rows enough, and a line on the others. Raises `DataError` for none."""
    most = _most_of_each(needs, table, names, target, kind, labels)
    fit = {task for task, rows in most.items() if rows >= needs.shots + needs.queries}
    if len(fit) == len(most):
        return fit, []
    of = ""
    if kind == "classification":
        of = f" of each of {needs.ways} labels" if labels == "own" else " of each label"
        if not any(most.values()):
            _raise_labels(needs, table, names, target, labels)
    rows = sum(name not in fit for name in names)
    short = few_text(len(most) - len(fit), len(most), "task", "tasks", f"({amount(rows, 'row')}) ")
    take = f"{needs.shots + needs.queries} rows{of} ({asked(needs.shots, needs.queries)})"
    if len(fit) < 3:
        raise DataError(
            f"{table.files[0]}: {amount(len(fit), 'task')} of {len(most):,} can give {take}; "
            "expected at least 3 that do, for training, validation and test: "
            f"{_remedy(needs, most.values())}"
        )
    return fit, [f"{short} left out: fewer than {take}{_advice(needs, most.values(), len(fit))}"]


def _remedy(needs: Needs, rows: Iterable[int]) -> str:
    """What to do where fewer than three tasks are left: ask for what all can give, or most, or as
    many as have to be."""
    counts = sorted(rows)
    if len(counts) < 3:
        return "give more tasks"
    for least in (counts[0], counts[len(counts) // 10], counts[len(counts) // 2], counts[-3]):
        options = fitting(least, needs.shots, needs.queries)
        would = sum(count >= least for count in counts)
        if options and would >= 3:
            who = "all" if would == len(counts) else f"{would:,} of {len(counts):,}"
            return f"with {options} {who} would"
    return "give more rows"


def _advice(needs: Needs, rows: Iterable[int], fit: int) -> str:
    """What to ask for instead where tasks are left out: options with which all would fit or, where
    most are left out, half of them, beside which the smallest of all says little."""
    counts = sorted(rows)
    most = 2 * fit < len(counts)
    least = counts[len(counts) // 2] if most else counts[0]
    options = fitting(least, needs.shots, needs.queries)
    would = sum(count >= least for count in counts)
    who = "all" if would == len(counts) else f"{would:,} of {len(counts):,}"
    warning = (
        f". These are most of the tasks: the one in the middle can give {least:,}" if most else ""
    )
    return warning + (f"; with {options} {who} would fit" if options else "")


def _most_of_each(
    needs: Needs, table: Table, names: Sequence[str], target: str, kind: str, labels: str
) -> dict[str, int]:
    """The rows that each task can give, in classification of each of as many labels as it needs."""
    if kind == "regression":
        return dict(Counter(names))
    cells = table.column(target)
    ways = needs.ways if labels == "own" else len(set(cells))
    of: dict[str, Counter[str]] = {}
    for name, cell in zip(names, cells, strict=True):
        of.setdefault(name, Counter())[cell] += 1
    largest_first = {name: sorted(each.values(), reverse=True) for name, each in of.items()}
    return {
        name: each[ways - 1] if len(each) >= ways else 0 for name, each in largest_first.items()
    }


_WITH_UNIT = re.compile(r"[-+−]?\d[\d.,]*\s*[^\d\s.,].*")
"""Such as 4.5 m²."""


def _raise_labels(
    needs: Needs, table: Table, names: Sequence[str], target: str, labels: str
) -> None:
    cells = table.column(target)
    where = f"{table.files[0]}, column {target!r}, the target"
    if labels == "own":
        each = Counter(name for name, _ in set(zip(names, cells, strict=True)))
        raise DataError(
            f"{where}: no task has {needs.ways} labels; expected --ways of at most "
            f"{max(each.values())}"
        )
    found = sorted(set(cells))
    with_unit = next((cell for cell in found if _WITH_UNIT.fullmatch(cell)), None)
    if with_unit and 2 * sum(bool(_WITH_UNIT.fullmatch(cell)) for cell in found) > len(found):
        raise DataError(
            f"{where}: {with_unit!r} is a number with a unit, as most of its values; expected "
            "numbers alone to predict: remove the unit"
        )
    numbers = all(number_of(cell) is not None for cell in found)
    more = ", --labels numbers to predict them as such (kind='regression')" * numbers
    raise DataError(
        f"{where}: no task has all of {amount(len(found), 'label')}, {listed(found)}; expected the "
        "same in every task, --labels own where each has classes of its own (in Python "
        f"labels='own'){more}"
    )


def _split(tasks: Sequence[str], split: Split | None, names: Sequence[str], seed: int) -> Split:
    """A split of these tasks, of all that there are in the table: made, or what is left of one."""
    if split is None:
        if len(tasks) < 3:
            raise DataError(
                f"{amount(len(tasks), 'task')}; expected at least 3, for training, validation and "
                "test: give more, or another task column"
            )
        test, validation = (max(1, round(share * len(tasks))) for share in (TEST, VALIDATION))
        return random_split(tasks, seed, test=test, validation=validation, version="tasks-1")
    unknown = sorted({*split.train, *split.validation, *split.test} - set(names))
    if unknown or not split.train:
        wrong = (
            f"has a task {unknown[0]!r} that no row is of" if unknown else "has no training task"
        )
        raise DataError(f"split {split.version}: {wrong}; use the split that belongs to the table")
    return split.among(tasks)


def _rows_of(table: Table, names: Sequence[str], tasks: Iterable[str]) -> tuple[Table, list[str]]:
    """The rows of some tasks, and the task of each."""
    tasks = set(tasks)
    wanted = [name in tasks for name in names]
    return table.part(wanted), _chosen(names, wanted)


def _check_no_dates(table: Table, target: str) -> None:
    if forms_of(table, target):
        raise DataError(
            f"{table.where(0)}, column {target!r}, the target: dates, such as "
            f"{table.column(target)[0]!r}; expected numbers or classes: name another column, or "
            "make it a number of days"
        )


def _kind(table: Table, target: str) -> str:
    check_slips(table, target, "in Python take all for labels (kind='classification')")
    numbers = {number_of(cell) for cell in table.numerals(target)}
    whole = all(number is not None and number == round(number) for number in numbers)
    labels = None in numbers or (whole and len(numbers) <= FEW)
    return "classification" if labels else "regression"


def _learned(training: Table, name: str, categorical: bool, indicator: bool) -> Feature:
    if name in training.unclear and not categorical:
        raise DataError(f"{training.unclear[name]}, or {leave_out(name)}")
    cells = [cell for cell in training.column(name) if cell not in MISSING]
    missing = indicator or len(cells) < len(training)
    if not cells:
        raise DataError(
            f"{training.files[0]}, column {name!r}: no value in any training task; "
            f"{leave_out(name)}"
        )
    if categorical:
        return _category(training, name, missing)
    check_slips(training, name, leave_out(name))
    numbers = [number_of(cell) for cell in training.numerals(name) if cell not in MISSING]
    if None not in numbers:
        mean, scale = _moments(numbers, f"{training.files[0]}, column {name!r}")
        return Number(name, mean, scale, missing)
    forms = forms_of(training, name)
    return _date(training, name, forms, missing) if forms else _category(training, name, missing)


def _category(training: Table, name: str, missing: bool) -> Category:
    values = sorted({*training.column(name)} - MISSING)
    if len(values) > MOST_VALUES:
        # Where some are numbers, what makes it none of numbers.
        odd = next((value for value in values if number_of(value) is None), values[0])
        where = training.where(training.column(name).index(odd))
        raise DataError(
            f"{where}, column {name!r}: one of {len(values)} categories, such as {odd!r}; expected "
            f"at most {MOST_VALUES}, or numbers or dates alone: correct it, or {leave_out(name)}"
        )
    return Category(name, tuple(values), missing)


def _date(training: Table, name: str, forms: Sequence[str], missing: bool) -> Date:
    cells = training.column(name)
    if len(forms) > 1:
        row = next(row for row, cell in enumerate(cells) if days_of(cell, forms[0]) is not None)
        raise DataError(
            f"{training.where(row)}, column {name!r}: {cells[row]!r} may be {' or '.join(forms)}; "
            f"expected dates that leave no doubt: write them as {ISO}, or {leave_out(name)}"
        )
    days = [day for cell in cells if (day := days_of(cell, forms[0])) is not None]
    first = max(1, math.floor(min(days)))
    mean, scale = _moments(np.array(days) - first, f"{training.files[0]}, column {name!r}")
    start = datetime.date.fromordinal(first).isoformat()
    return Date(name, forms[0], start, mean, scale, missing)


def _date_notes(features: Sequence[Feature]) -> list[str]:
    dates = [
        f"{feature.name!r} ({feature.form}, from {feature.first})"
        for feature in features
        if isinstance(feature, Date)
    ]
    return [f"dates are taken as days since the first: {', '.join(dates)}"] if dates else []


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
        cells = table.column(preprocess.target)
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
                f"{cell!r}; expected one of {listed(preprocess.labels)}, or --labels own where "
                "each task has classes of its own (labels='own' in Python)"
            )


# A user's own table ---------------------------------------------------------------------------


class NewTable(NamedTuple):
    """A user's own tabular task: labelled rows to adapt to, and rows to predict."""

    classes: tuple[str, ...]  # name of label 0, 1, …; empty in regression
    support: tuple[np.ndarray, np.ndarray]  # x (n, F) float32, y (n,) int64 or (n, 1) float32
    query: np.ndarray  # (m, F) float32
    support_rows: tuple[str, ...]  # n times "file line 3"
    query_rows: tuple[str, ...]  # m times
    notes: tuple[str, ...] = ()  # what should be known of it, for people


def read_new_table(
    path: str | Path, preprocess: TablePreprocess, needs_query: bool = True
) -> NewTable:
    """Read the table of one new task with the preprocessing of the tasks trained on.

    Rows with a target are the support, rows whose target is missing the query, of which there need
    be none without `needs_query`. The task column may be left out. Columns that training did not
    have are not used. Raises `DataError` naming the file, line and column of what is wrong.
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
    known = [cell not in MISSING for cell in cells]
    support, query = table.part(known), table.part([not given for given in known])
    if not len(support) or (needs_query and not len(query)):
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
        notes=tuple(unseen_notes(table, preprocess)),
    )


def unseen_notes(table: Table, preprocess: TablePreprocess) -> Iterator[str]:
    """A line on each column of categories that has some that training did not."""
    for feature in preprocess.features:
        unseen = sorted(feature.unseen(table)) if isinstance(feature, Category) else []
        if unseen:
            were = "was" if len(unseen) == 1 else "were"
            yield (
                f"column {feature.name!r}: {listed(unseen)} {were} not in training; treated as "
                "none of its categories"
            )
