"""From rows of text to numbers: what is learned of a table's columns, as a record in plain JSON."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metalearn.tasks.errors import DataError
from metalearn.tasks.table_dates import FORMS, days_of
from metalearn.tasks.tables import MISSING, Table, leave_out, number_of

KINDS = ("classification", "regression")


class _Standardised:
    """What a column of numbers and one of dates have in common: (value − mean) / scale, and with
    `missing` a second column, which is 1 where there is no value and the first is 0."""

    name: str
    mean: float
    scale: float
    missing: bool

    @property
    def width(self) -> int:
        """Columns that it becomes."""
        return 1 + self.missing

    def _standardised(self, table: Table, values: Sequence[float | None], what: str) -> np.ndarray:
        """(rows, width) float32, of a value for each row. Raises `DataError` where there is none,
        unless it is missing and may be."""
        x = np.zeros((len(table), self.width), np.float32)
        for row, (cell, value) in enumerate(zip(table.column(self.name), values, strict=True)):
            if value is not None:
                with np.errstate(over="ignore"):  # told below
                    x[row, 0] = (value - self.mean) / self.scale
            elif cell not in MISSING:
                raise DataError(
                    f"{table.where(row)}, column {self.name!r}: {cell!r} is not {what}, as the "
                    f"training tasks have there; correct it, or {leave_out(self.name)}"
                )
            elif self.missing:
                x[row, 1] = 1
            else:
                raise DataError(
                    f"{table.where(row)}, column {self.name!r}: no value, and the training tasks "
                    "have one in every row; fill it in, take the row out, or "
                    f"{leave_out(self.name)}, or in Python with indicators='all'"
                )
        if not np.isfinite(x).all():
            row = int(np.isfinite(x).all(axis=1).argmin())
            raise DataError(
                f"{table.where(row)}, column {self.name!r}: {table.column(self.name)[row]} is "
                f"too far from the training tasks' {self.mean:g} ± {self.scale:g}; correct it"
            )
        return x


@dataclass(frozen=True)
class Number(_Standardised):
    """A column of numbers."""

    name: str
    mean: float
    scale: float
    missing: bool

    def encoded(self, table: Table) -> np.ndarray:
        """(rows, width) float32. Raises `DataError` for what is no number."""
        values = [number_of(cell) for cell in table.numerals(self.name)]
        return self._standardised(table, values, "a number")


@dataclass(frozen=True)
class Date(_Standardised):
    """A column of dates in a `form` of `table_dates`, as days since `first`, an ISO date."""

    name: str
    form: str
    first: str
    mean: float
    scale: float
    missing: bool

    def encoded(self, table: Table) -> np.ndarray:
        """(rows, width) float32. Raises `DataError` for what is no date."""
        start = datetime.date.fromisoformat(self.first).toordinal()
        days = (days_of(cell, self.form) for cell in table.column(self.name))
        values = [None if day is None else day - start for day in days]
        return self._standardised(table, values, f"a date ({self.form})")


@dataclass(frozen=True)
class Category:
    """A column of categories: 1 in the column of its value, with `missing` also in one for no
    value. A value that the training tasks do not have is 0 in all."""

    name: str
    values: tuple[str, ...]
    missing: bool

    @property
    def width(self) -> int:
        """Columns that it becomes."""
        return len(self.values) + self.missing

    def encoded(self, table: Table) -> np.ndarray:
        """(rows, width) float32."""
        place_of = {value: i for i, value in enumerate(self.values)}
        x = np.zeros((len(table), self.width), np.float32)
        for row, cell in enumerate(table.column(self.name)):
            if cell in place_of:
                x[row, place_of[cell]] = 1
            elif self.missing and cell in MISSING:
                x[row, -1] = 1
        return x

    def unseen(self, table: Table) -> set[str]:
        """The values that the training tasks do not have."""
        known = {*self.values, *(MISSING if self.missing else ())}
        return set(table.column(self.name)) - known


Feature = Number | Date | Category
_KINDS = {"number": Number, "date": Date, "category": Category}


@dataclass(frozen=True)
class TablePreprocess:
    """How rows of text become numbers: learned from training tasks, kept as JSON by a run.

    - `task`: the column that says whose task a row is, or None where each file is a task
    - `target`: the column to predict; `kind` "classification" or "regression"
    - `features`: the other columns, in order
    - `labels`: the classes that all tasks share, in order; None where each task has its own, and
      in regression
    - `mean`, `scale`: of the target in regression, which is standardised too
    """

    task: str | None
    target: str
    kind: str
    features: tuple[Feature, ...]
    labels: tuple[str, ...] | None = None
    mean: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Numbers that a row becomes."""
        return sum(feature.width for feature in self.features)

    def inputs(self, table: Table) -> np.ndarray:
        """(rows, width) float32. Raises `DataError` naming file, line and column."""
        return np.concatenate([feature.encoded(table) for feature in self.features], axis=1)

    def targets(self, table: Table) -> np.ndarray:
        """Targets of regression, (rows, 1) float32, standardised. Raises `DataError`."""
        scaled = (target_numbers(table, self.target) - self.mean) / self.scale
        return scaled.astype(np.float32).reshape(-1, 1)

    def in_units(self, y: Any) -> np.ndarray:
        """Predictions of standardised targets, in the target's own units."""
        return np.asarray(y, np.float64) * self.scale + self.mean

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record; `from_dict` reads it back."""
        features = []
        for feature in self.features:
            kind = next(kind for kind, made in _KINDS.items() if type(feature) is made)
            fields = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(feature).items()}
            features.append({"kind": kind, **fields})
        labels = None if self.labels is None else list(self.labels)
        return {**asdict(self), "features": features, "labels": labels}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "TablePreprocess":
        """Raises `DataError` for unknown, missing or wrong fields."""
        try:
            fields = dict(data)
            fields["features"] = tuple(_feature(f) for f in fields["features"])
            labels = fields["labels"]
            fields["labels"] = None if labels is None else _texts(labels)
            fields["mean"], fields["scale"] = float(fields["mean"]), _positive(fields["scale"])
            made = cls(**fields)
            if made.kind not in KINDS:
                raise ValueError(f"kind {made.kind!r}")
            return made
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DataError(
                f"not a record of a table's preprocessing ({error}); expected what to_dict wrote"
            ) from error


def _feature(data: Mapping[str, Any]) -> Feature:
    fields = dict(data)
    kind = fields.pop("kind")
    if kind == "category":
        return Category(**{**fields, "values": _texts(fields["values"])})
    fields["mean"], fields["scale"] = float(fields["mean"]), _positive(fields["scale"])
    if kind == "number":
        return Number(**fields)
    if kind != "date" or fields["form"] not in FORMS:
        raise ValueError(f"feature of kind {kind!r}")
    datetime.date.fromisoformat(fields["first"])
    return Date(**fields)


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{values!r} is no list of texts")
    return tuple(values)


def _positive(value: Any) -> float:
    if not 0 < float(value) < np.inf:
        raise ValueError(f"scale {value}")
    return float(value)


def target_numbers(table: Table, target: str) -> np.ndarray:
    """(rows,) float64: the numbers of the target's column. Raises `DataError`."""
    values = [number_of(cell) for cell in table.numerals(target)]
    if None in values:
        row = values.index(None)
        raise DataError(
            f"{table.where(row)}, column {target!r}, the target: {table.column(target)[row]!r}; "
            "expected a number: correct it, or take the row out"
        )
    return np.array(values, np.float64)
