"""CSV files as tables of text, every cell with the file and the line that it came from."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from metalearn.tasks.errors import DataError

MAX_BYTES = 1 << 30
# What stands for a value that is not there, beside an empty cell.
MISSING = frozenset(("", "NA", "N/A", "NaN", "nan", "null", "?"))


class Table:
    """Rows of text under named columns; `where` says of a row which file and line it was."""

    def __init__(self, columns: Sequence[str], files: Sequence[Path]):
        self.columns, self.files = tuple(columns), tuple(files)
        self.rows: list[list[str]] = []
        self.origins: list[tuple[int, int]] = []  # place in `files`, line

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, row: int) -> str:
        """Such as "marks.csv line 7"."""
        file, line = self.origins[row]
        return f"{self.files[file]} line {line}"

    def column(self, name: str) -> list[str]:
        """The cells of a column, without blanks around. Raises `DataError` for an unknown one."""
        if name not in self._place_of:
            raise DataError(
                f"{self.files[0]}: no column {name!r}; expected one of "
                f"{', '.join(map(repr, self.columns))}"
            )
        place = self._place_of[name]
        return [row[place] for row in self.rows]

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.columns)}


def read_tables(paths: Sequence[str | Path]) -> Table:
    """CSV files with the same columns, in any order, as one table.

    Expected are UTF-8, commas, and the columns' names in the first line. Raises `DataError` naming
    the file and line of what cannot be read.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise DataError("no CSV files given; expected at least one")
    table: Table | None = None
    for number, file in enumerate(files):
        lines = _lines(file)
        _, header = next(lines)
        _check_header(file, header)
        if table is None:
            table = Table(header, files)
        odd = sorted(set(header) ^ set(table.columns))
        if odd:
            raise DataError(
                f"{file}: the column {odd[0]!r} is not in both this file and {files[0]}; expected "
                "the same columns in all"
            )
        order = [header.index(name) for name in table.columns]
        before = len(table)
        for line, cells in lines:
            if len(cells) != len(header):
                raise DataError(
                    f"{file} line {line}: {len(cells)} cells; expected {len(header)}, one a "
                    "column: quote cells that hold commas"
                )
            table.rows.append([cells[i] for i in order])
            table.origins.append((number, line))
        if len(table) == before:
            raise DataError(f"{file}: no rows below the column names; expected at least one")
    assert table is not None
    return table


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty; the first is the header."""
    reader = None
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"{file}: more than {MAX_BYTES:,} bytes; expected a smaller table")
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            empty = True
            for cells in reader:
                if cells:
                    empty = False
                    yield reader.line_num, [cell.strip() for cell in cells]
            if empty:
                raise DataError(f"{file}: empty; expected column names and rows")
    except csv.Error as error:
        line = reader.line_num if reader is not None else 1
        raise DataError(f"{file} line {line}: not CSV ({error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}); check that it is there and may be read"
        ) from error


def _check_header(file: Path, header: list[str]) -> None:
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice or "" in header:
        wrong = f"the column {twice[0]!r} is there twice" if twice else "a column has no name"
        raise DataError(f"{file} line 1: {wrong}; expected names that differ")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError(
            f"{file} line 1: one column, {header[0]!r}; expected columns parted by commas: save it "
            "with commas"
        )


def number_of(cell: str) -> float | None:
    """The finite number that a cell holds, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in cell else None
