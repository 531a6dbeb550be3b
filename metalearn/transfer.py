"""From a trained run to answers on a user's files: folders of images, NumPy files, CSV tables.

    folders   a folder of images for each class to learn from, and a folder of images to name
    NumPy     .npz with x and y to learn from; .npz with x, and y if known, or .npy to predict
    CSV       one file: rows with a target to learn from, rows whose target is empty to predict

Folders and tables are treated as the run's data were; arrays hold what the network sees
(`inputs`).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metalearn.adapted import Adapted
from metalearn.errors import OptionError
from metalearn.inputs import InputError, Inputs, inputs_of
from metalearn.tasks import DataError, NewTask, read_new_table, read_new_task
from metalearn.tasks.arrays import read_npy, read_npz, read_query
from metalearn.tasks.errors import amount, listed
from metalearn.tasks.folders import read_support
from metalearn.tasks.tables import MISSING, Table, number_of, read_tables
from metalearn.trained import Trained

TARGET = "y"
"""The column of a CSV file to predict, where none is named and there is one of that name."""


class Prediction(NamedTuple):
    """What an adapted model says of one example; `true` is its class where that is known."""

    file: str
    predicted: str
    probability: float
    probabilities: tuple[float, ...]  # in the order of the classes
    true: str | None


class Value(NamedTuple):
    """What an adapted model of regression says of one example; `true` where that is known."""

    file: str
    predicted: float
    true: float | None


Predictions = Sequence[Prediction] | Sequence[Value]


# Reading --------------------------------------------------------------------------------------


def read_task(
    trained: Trained, support: Path, query: Path | None, target: str | None = None
) -> NewTask:
    """A user's own task from its files.

    Args:
        trained: the run, whose data say how files are treated.
        support: a folder, an .npz or a .csv file.
        query: of the same kind, or .npy; None for a .csv file, and where there is nothing to
            predict: `query` of the task is then empty.
        target: the column of a plain .csv file to predict: by default "y", or else the last.

    Raises:
        DataError: what cannot be read or does not fit the run.
        OptionError: options that do not fit the files.
    """
    inputs = inputs_of(trained.run)
    kind = _kind(support)
    if target is not None and (kind != "csv" or inputs.table is not None):
        why = "the run says which column" if kind == "csv" else "only .csv files have columns"
        raise OptionError(f"--target {target}: {why}; leave it out")
    if kind == "csv" and query is not None:
        raise OptionError(
            f"--query {query}: rows of {support} whose target is empty are what to predict; leave "
            "it out"
        )
    try:
        if kind == "folder":
            task = _from_folders(trained, inputs, support, query)
        elif kind == "npz":
            task = _from_arrays(trained, inputs, support, query)
        else:
            task = _from_table(trained, inputs, support, target)
    except (InputError, TypeError) as error:
        where = support if query is None else f"{support} or {query}"
        raise DataError(f"{where}: {error}") from error
    _check_ways(trained, task, support)
    return task


def _kind(path: Path) -> str:
    if path.suffix.lower() in (".npz", ".csv"):
        return path.suffix.lower()[1:]
    if path.suffix.lower() == ".npy":
        raise OptionError(
            f"--support {path}: holds no labels; expected an .npz file with x and y, as written by "
            "np.savez(file, x=x, y=y)"
        )
    return "folder"


def _check_ways(trained: Trained, task: NewTask, support: Path) -> None:
    ways = trained.run.config.output_count
    if len(task.classes) > ways and not trained.algorithm.makes_heads:
        raise DataError(
            f"{support}: {len(task.classes)} classes; this run was trained {ways}-way: "
            f"expected at most {ways} classes, or train with more --ways"
        )


def _from_folders(trained: Trained, inputs: Inputs, support: Path, query: Path | None) -> NewTask:
    if inputs.images is None:
        expected = ".csv or .npz files" if trained.run.config.is_regression else "an .npz file"
        raise OptionError(
            f"--support {support}: {trained.run.path} was trained on {trained.run.config.dataset}, "
            f"which are no images; expected {expected}"
        )
    if query is not None:
        return read_new_task(support, query, inputs.images)
    classes, labelled, files, notes = read_support(support, inputs.images)
    return NewTask(classes, labelled, _nothing(inputs), None, files, (), notes)


def _nothing(inputs: Inputs) -> np.ndarray:
    return np.zeros((0, *inputs.shape), np.float32)


def _from_arrays(trained: Trained, inputs: Inputs, support: Path, query: Path | None) -> NewTask:
    x, y = read_npz(support)
    found = inputs.arrays(x, "the run")
    if y.shape[:1] != (len(found),):
        raise DataError(
            f"{support}: y has the shape {y.shape}; expected a label for each of "
            f"{amount(len(found), 'row')}"
        )
    files = _rows(support, len(found))
    classes, labels = _labelled(trained, inputs, y)
    notes = _turned(inputs, support, x, found)
    if query is None:
        return NewTask(classes, (found, labels), _nothing(inputs), None, files, (), notes)
    if query.suffix.lower() == ".npy":
        asked, known = read_npy(query), None
    elif query.suffix.lower() == ".npz":
        asked, known = read_query(query)
    else:
        raise OptionError(f"--query {query}: expected an .npz or .npy file, as --support is .npz")
    made = inputs.arrays(asked, "the run")
    notes += _turned(inputs, query, asked, made)
    truths = None if known is None else _truths(trained, inputs, query, known, classes, len(made))
    return NewTask(classes, (found, labels), made, truths, files, _rows(query, len(made)), notes)


def _turned(inputs: Inputs, path: Path, given: np.ndarray, made: np.ndarray) -> tuple[str, ...]:
    """A line on images that were brought to bright ink, where some were."""
    if inputs.ink == "keep":
        return ()
    kept = replace(inputs, ink="keep").arrays(given)
    count = int((kept != made).reshape(len(made), -1).any(axis=1).sum())
    if not count:
        return ()
    return (f"{path.name}: {amount(count, 'image')} of dark ink on light, inverted",)


def _rows(path: Path, count: int) -> tuple[str, ...]:
    return tuple(f"{path.name} row {i}" for i in range(count))


def _labelled(
    trained: Trained, inputs: Inputs, y: np.ndarray
) -> tuple[tuple[Any, ...], np.ndarray]:
    """The classes of labels, and each as a place in them; or no classes, and targets."""
    if trained.run.config.is_regression:
        return (), inputs.targets(y, trained.run.config.output_count)
    classes, places = inputs.labelled(y, trained.run.config.output_count)
    return tuple(classes.tolist()), places


def _truths(
    trained: Trained,
    inputs: Inputs,
    path: Path,
    y: np.ndarray,
    classes: tuple[Any, ...],
    count: int,
) -> np.ndarray:
    if y.shape[:1] != (count,):
        raise DataError(f"{path}: y has the shape {y.shape}; expected one for each of {count} rows")
    if trained.run.config.is_regression:
        return inputs.targets(y, trained.run.config.output_count)
    places = {label: place for place, label in enumerate(classes)}
    unknown = [label for label in y.ravel().tolist() if label not in places]
    if unknown:
        raise DataError(
            f"{path}: y holds {unknown[0]!r}, a class that the support has not; expected one of "
            f"{listed(classes)}"
        )
    return np.array([places[label] for label in y.ravel().tolist()], np.int64)


def _from_table(trained: Trained, inputs: Inputs, path: Path, target: str | None) -> NewTask:
    if inputs.images is not None:
        raise OptionError(f"--support {path}: {trained.run.path} was trained on images, not tables")
    if inputs.table is not None:
        new = read_new_table(path, inputs.table, needs_query=False)
        files = (new.support_rows, new.query_rows)
        return NewTask(new.classes, new.support, new.query, None, *files, new.notes)
    table = read_tables([path])
    name = target or (TARGET if TARGET in table.columns else table.columns[-1])
    cells = table.column(name)
    features = [column for column in table.columns if column != name]
    if len(features) != inputs.width:
        raise DataError(
            f"{path}: {amount(len(features), 'column')} beside the target {name!r}; the run takes "
            f"{inputs.width}: take out the others, or name another --target"
        )
    x = np.stack([_numbers(table, column) for column in features], axis=1)
    known = np.array([cell not in MISSING for cell in cells])
    if not known.any():
        raise DataError(f"{path}, column {name!r}: empty in all rows; expected some to adapt to")
    y = _numbers(table, name, known)
    rows = [f"{path.name} line {line}" for _, line in table.origins]
    return NewTask(
        classes=(),
        support=(
            inputs.arrays(x[known]),
            inputs.targets(y[known], trained.run.config.output_count),
        ),
        query=inputs.arrays(x[~known]) if not known.all() else _nothing(inputs),
        query_labels=None,
        support_files=tuple(row for row, given in zip(rows, known, strict=True) if given),
        query_files=tuple(row for row, given in zip(rows, known, strict=True) if not given),
    )


def _numbers(table: Table, column: str, wanted: np.ndarray | None = None) -> np.ndarray:
    """The numbers of a column, (rows,) float64, 0 in rows that are not wanted."""
    found = np.zeros(len(table))
    for row, cell in enumerate(table.numerals(column)):
        if wanted is not None and not wanted[row]:
            continue
        number = number_of(cell)
        if number is None:
            raise DataError(
                f"{table.where(row)}, column {column!r}: {cell!r}; expected a number: correct it, "
                "or take the row out"
            )
        found[row] = number
    return found


# Predictions ----------------------------------------------------------------------------------


def labels_of(task: NewTask) -> np.ndarray | None:
    """The label of each class of a task; None in regression."""
    return np.array(task.classes) if task.classes else None


def predicted(adapted: Adapted, task: NewTask) -> Predictions:
    """What an adapted model says of a task's queries. Raises `OptionError` as `Adapted.apply`."""
    truths: Sequence[Any] = (
        [None] * len(task.query) if task.query_labels is None else task.query_labels.tolist()
    )
    if not task.classes:
        return _values(adapted, task, truths)
    names = [str(label) for label in task.classes]
    rows = adapted.probabilities(task.query, compiled=False)
    return [
        Prediction(
            file=file,
            predicted=names[int(row.argmax())],
            probability=float(row.max()),
            probabilities=tuple(map(float, row)),
            true=None if truth is None else names[truth],
        )
        for file, row, truth in zip(task.query_files, rows, truths, strict=True)
    ]


def _values(adapted: Adapted, task: NewTask, truths: Sequence[Any]) -> list[Value]:
    found = adapted.values(task.query, compiled=False)
    if found.shape[1] != 1:
        raise OptionError(
            f"the run predicts {found.shape[1]} numbers an example; use metalearn.load in Python"
        )
    in_units = adapted.inputs.in_units
    return [
        Value(file, float(value), None if truth is None else float(in_units(truth[0])))
        for file, (value,), truth in zip(task.query_files, found, truths, strict=True)
    ]


def share_right(predictions: Predictions) -> tuple[int, int] | None:
    """How many of how many predictions are right; None where the classes are not known."""
    known = [p for p in predictions if isinstance(p, Prediction) and p.true is not None]
    return (sum(p.predicted == p.true for p in known), len(known)) if known else None


def mean_square_error(predictions: Predictions) -> float | None:
    """Of the values whose truth is known; None where there are none."""
    errors = [
        p.predicted - p.true for p in predictions if isinstance(p, Value) and p.true is not None
    ]
    return float(np.mean(np.square(errors))) if errors else None


def predictions_csv(predictions: Predictions, classes: Sequence[str]) -> str:
    """A table with a header: file, predicted, of classes probability, true, and of classes a
    probability each."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if classes:
        header = ["file", "predicted", "probability", "true", *(f"p({c})" for c in classes)]
    else:
        header = ["file", "predicted", "true"]
    table.writerow(header)
    for p in predictions:
        if isinstance(p, Value):
            table.writerow([p.file, repr(p.predicted), "" if p.true is None else repr(p.true)])
            continue
        each = [f"{x:.6f}" for x in p.probabilities]
        table.writerow([p.file, p.predicted, f"{p.probability:.6f}", p.true or "", *each])
    return text.getvalue()
