"""Rows in memory as a table of text, so that what Python holds of them and what a CSV file holds go
through one preprocessing."""

import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from metalearn.tasks.errors import DataError
from metalearn.tasks.table_features import Category, Feature
from metalearn.tasks.tables import Table, number_of

Columns = Mapping[str, Any]


class TableInMemory(Table):
    """Rows that no file holds; `where` says which of them, from 0."""

    def where(self, row: int) -> str:
        return f"X row {row}"


def named_columns(x: Any) -> Columns | None:
    """The columns of a data frame (of pandas, polars, …), a structured array, a mapping of columns,
    or a list of mappings, by name; None for rows whose columns have no names.

    Raises `DataError` for mappings that differ in their names.
    """
    if isinstance(x, Mapping):
        return x
    if isinstance(x, np.ndarray):
        return None if x.dtype.names is None else {name: x[name] for name in x.dtype.names}
    names = getattr(x, "columns", None)
    if names is not None and len(names) and all(isinstance(name, str) for name in names):
        return {name: x[name] for name in names}
    if isinstance(x, list | tuple) and x and all(isinstance(row, Mapping) for row in x):
        for row, each in enumerate(x):
            if set(each) != set(x[0]):
                raise DataError(
                    f"X row {row}: columns {', '.join(map(repr, each))}; expected those of row 0, "
                    f"{', '.join(map(repr, x[0]))}"
                )
        return {name: [row[name] for row in x] for name in x[0]}
    return None


def table_of(columns: Iterable[Any], features: Sequence[Feature]) -> Table:
    """A table of columns of values, (n,) each, in the order of the features: numbers, texts, dates,
    truth values, or None and NaN for what is missing. Raises `DataError` for unequal lengths."""
    made = [_cells(list(values), of) for values, of in zip(columns, features, strict=True)]
    lengths = sorted({len(cells) for cells in made})
    if len(lengths) > 1:
        raise DataError(f"X: columns of {lengths[0]} and {lengths[-1]} values; expected as many")
    table = TableInMemory([feature.name for feature in features], [])
    table.rows = [list(row) for row in zip(*made, strict=True)]
    return table


def as_objects(values: Any) -> np.ndarray:
    """An array of Python's objects. Of dates to the nanosecond, NumPy would make integers."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        values = values.astype("datetime64[us]")
    return np.asarray(values, object)


def _cells(values: Sequence[Any], feature: Feature) -> list[str]:
    if isinstance(feature, Category):
        return as_written(values, feature.values)
    return [text_of(int(value) if _is_truth(value) else value) for value in values]


def as_written(values: Iterable[Any], known: Collection[str]) -> list[str]:
    """Each value as the one of some texts that it stands for: 3 and 3.0 for "3", True for "true" or
    "1"; or, where it stands for none, its own text."""
    numbered = {number_of(text): text for text in known if number_of(text) is not None}
    folded = {text.casefold(): text for text in known}

    def written(value: Any) -> str:
        text = text_of(value)
        if text in known or isinstance(value, str | bytes):
            return text
        if _is_truth(value):
            return folded.get(text.casefold()) or numbered.get(float(value), text)
        return numbered.get(number_of(text), text)

    return [written(value) for value in values]


def text_of(value: Any) -> str:
    """A value as a CSV file would hold it, and empty where there is none."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return value.strip()
    if _is_missing(value):
        return ""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return repr(float(value))
    return str(value).strip()


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_missing(value: Any) -> bool:
    """None, NaN, and whatever else is not itself, such as pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return True
