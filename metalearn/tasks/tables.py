"""CSV files as tables of text, every cell with the file and the line that it came from.

Columns are parted by commas, semicolons, tabs or pipes. Where it is not commas, as European
spreadsheets write, a column may hold numbers with decimal commas; it is one of numbers when all its
values are numbers with decimal points, or else all with decimal commas, in the whole file.
"""

import csv
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from metalearn.tasks.errors import DataError, listed

MAX_BYTES = 1 << 30
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
# What stands for a value that is not there, beside an empty cell. ("Na" may be sodium.)
MISSING = frozenset(
    ("", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NULL", "null", "?")
)


class Table:
    """Rows of text under named columns; `where` says of a row which file and line it was."""

    def __init__(self, columns: Sequence[str], files: Sequence[Path]):
        self.columns, self.files = tuple(columns), tuple(files)
        self.rows: list[list[str]] = []
        self.origins: list[tuple[int, int]] = []  # place in `files`, line
        self.commas: set[tuple[int, str]] = set()  # file and column with decimal commas
        self.unclear: dict[str, str] = {}  # columns that are no numbers for sure, and why

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, wanted: Sequence[bool]) -> "Table":
        """Some of the rows."""
        part = Table(self.columns, self.files)
        part.rows = [row for row, want in zip(self.rows, wanted, strict=True) if want]
        part.origins = [origin for origin, want in zip(self.origins, wanted, strict=True) if want]
        part.commas, part.unclear = self.commas, self.unclear
        return part

    def where(self, row: int) -> str:
        """Such as "marks.csv line 7"."""
        file, line = self.origins[row]
        return f"{self.files[file]} line {line}"

    def column(self, name: str) -> list[str]:
        """The cells of a column, without blanks around. Raises `DataError` for an unknown one."""
        if name not in self._place_of:
            raise DataError(
                f"{self.files[0]}: no column {name!r}; expected one of {listed(self.columns, 12)}"
            )
        place = self._place_of[name]
        return [row[place] for row in self.rows]

    def numerals(self, name: str) -> list[str]:
        """The same with decimal points, where a file has numbers with decimal commas there.

        Raises `DataError` for a column of which it is not clear what its commas mean.
        """
        cells = self.column(name)
        if name in self.unclear:
            raise DataError(self.unclear[name])
        if not self.commas:
            return cells
        files = {file for file, column in self.commas if column == name}
        return [
            cell.replace(",", ".") if file in files else cell
            for cell, (file, _) in zip(cells, self.origins, strict=True)
        ]

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.columns)}


def csv_files(folder: Path) -> list[Path]:
    """The .csv files that lie in a folder, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".csv" and not path.name.startswith(".") and path.is_file()
    )


def read_tables(paths: Sequence[str | Path]) -> Table:
    """CSV files with the same columns, in any order, as one table.

    Expected are UTF-8, one of `SEPARATORS`, and the columns' names in the first line. Raises
    `DataError` naming the file and line of what cannot be read.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise DataError("no CSV files given; expected at least one")
    table: Table | None = None
    for number, file in enumerate(files):
        separator = _separator(file)
        lines = _lines(file, separator)
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
                more = f"quote cells that hold {SEPARATORS[separator]}"
                less = "leave the place of a missing value empty, between its separators"
                raise DataError(
                    f"{file} line {line}: {len(cells)} cells; expected {len(header)}, one a "
                    f"column: {more if len(cells) > len(header) else less}"
                )
            table.rows.append([cells[i] for i in order])
            table.origins.append((number, line))
        if len(table) == before:
            raise DataError(f"{file}: no rows below the column names; expected at least one")
        _note_commas(table, number, before, separator)
    assert table is not None
    return table


def _separator(file: Path) -> str:
    """What parts the columns: of `SEPARATORS` that which makes most columns of the header, if all
    rows have as many; without such, that which makes most."""
    widths = {separator: _width(file, separator) for separator in SEPARATORS}
    candidates = sorted(SEPARATORS, key=lambda separator: -widths[separator])
    candidates = [each for each in candidates if widths[each] > 1] or [","]
    if len(candidates) > 1:
        for separator in candidates:
            if _agree(file, separator, widths[separator]):
                return separator
    return candidates[0]


def _width(file: Path, separator: str) -> int:
    """Columns of the header; 0 where it cannot be read so, which `_lines` tells later."""
    try:
        return len(next(_lines(file, separator))[1])
    except DataError:
        return 0


def _agree(file: Path, separator: str, width: int) -> bool:
    try:
        return all(len(cells) == width for _, cells in _lines(file, separator))
    except DataError:
        return False


def _lines(file: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty; the first is the header."""
    reader = None
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"{file}: more than {MAX_BYTES:,} bytes; expected a smaller table")
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True, delimiter=separator)
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
        raise DataError(
            f"{file}: not UTF-8 text ({error.reason}); save it as UTF-8 (a spreadsheet's "
            "'CSV UTF-8')"
        ) from error
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}); check that it is there and may be read"
        ) from error


def _check_header(file: Path, header: list[str]) -> None:
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice or "" in header:
        wrong = f"the column {twice[0]!r} is there twice" if twice else "a column has no name"
        raise DataError(f"{file} line 1: {wrong}; expected names that differ")


# Numbers --------------------------------------------------------------------------------------


def _note_commas(table: Table, number: int, first: int, separator: str) -> None:
    """Note which columns of a file, whose rows are those from `first` on, have decimal commas."""
    for place, name in enumerate(table.columns):
        cells = [row[place] for row in table.rows[first:]]
        if not any("," in cell for cell in cells):
            continue
        given = [(row, cell) for row, cell in enumerate(cells, first) if cell not in MISSING]
        points = {row for row, cell in given if number_of(cell) is not None}
        commas = {row for row, cell in given if number_of(_with_point(cell)) is not None}
        if any(row not in points and row not in commas for row, _ in given):
            continue  # no numbers
        row = min(commas - points)
        what = f"{table.where(row)}, column {name!r}: {table.rows[row][place]!r}"
        if separator == ",":
            table.unclear[name] = (
                f"{what} has a decimal comma, and commas part the columns too; expected decimal "
                "points: save the table with points, or with semicolons between columns"
            )
        elif points - commas:
            other = min(points - commas)
            table.unclear[name] = (
                f"{what} has a decimal comma, and {table.rows[other][place]!r} in line "
                f"{table.origins[other][1]} a decimal point; expected one of them in all rows: "
                "correct it"
            )
        else:
            table.commas.add((number, name))


def _with_point(cell: str) -> str:
    """A number with a decimal comma as one with a point; "" for one with a point."""
    return "" if "." in cell else cell.replace(",", ".", 1)


def leave_out(column: str) -> str:
    """How to, on the command line and in Python."""
    return f"train without the column: --ignore {shlex.quote(column)} (ignore=[…] in Python)"


def number_of(cell: str) -> float | None:
    """The finite number that a cell holds, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in cell else None


FEW = 20
"""Different whole numbers that may still be the names of classes, and not numbers."""


def check_slips(table: Table, column: str, otherwise: str) -> None:
    """Raise `DataError` for what is no number in a column of numbers: it is infinite, or the only
    such of more than ten values, or most of the values are numbers, and more than a few different
    ones. `otherwise` says what can be done if it is none."""
    cells = table.column(column)
    numbers = [number_of(cell) for cell in table.numerals(column)]
    given = sum(cell not in MISSING for cell in cells)
    odd = [row for row, cell in enumerate(cells) if cell not in MISSING and numbers[row] is None]
    if not odd or len(odd) == given:
        return
    infinite = all(_is_infinite(cells[row]) for row in odd)
    many = len(odd) < given / 2 and len({*numbers} - {None}) > FEW
    if infinite or many or (len(odd) == 1 and given > 10):
        raise DataError(
            f"{table.where(odd[0])}, column {column!r}: {cells[odd[0]]!r} is no number, as "
            f"{given - len(odd):,} of {given:,} are: correct it, leave the cell empty, or "
            f"{otherwise}"
        )


def _is_infinite(cell: str) -> bool:
    """Whether a cell is what programs write for a number that is none, such as "-inf"."""
    try:
        return not np.isfinite(float(cell))
    except ValueError:
        return False
