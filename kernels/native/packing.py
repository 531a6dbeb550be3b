"""Blocks of matrices, copied to where a product reads them one entry after the other.

The lines of a wide matrix lie far apart: a tile that walks down a few columns of it waits for the
memory, and lines a power of two apart push each other out of the cache. So large products copy
such a block first, turned if its lines run the other way.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernels.native.text import Writer, pieces
from kernels.native.vectors import Line, Registers


@dataclass(frozen=True)
class Turn:
    """A block of rows × columns, each at most a register's lanes, turned in registers."""

    dtype: str
    rows: int
    columns: int
    lanes: int

    @property
    def name(self) -> str:
        return f"turn_{self.dtype}_{self.rows}x{self.columns}by{self.lanes}"

    @property
    def text(self) -> str:
        """The function `(a, row, c, line)`: c[j · line + i] = a[i · row + j].

        Lines i and i + half are interleaved, and become lines 2i and 2i + 1: the bits of an entry's
        place are rotated by one. After as many rounds as an index has bits, row and column have
        changed places.
        """
        w, lanes = Writer(), self.lanes
        old, new = Line(self.dtype, self.columns, lanes), Line(self.dtype, self.rows, lanes)
        places = [w.at("%a", w.times("%row", i), self.dtype) for i in range(self.rows)]
        lines = [old.load(w, place, 0) for place in places]
        lines += ["zeroinitializer"] * (lanes - self.rows)
        for _ in range(lanes.bit_length() - 1):
            pairs = zip(lines[: lanes // 2], lines[lanes // 2 :], strict=True)
            lines = [
                w.set(f"shufflevector {old.type} {x}, {old.type} {y}, {_interleaved(lanes, half)}")
                for x, y in pairs
                for half in (0, 1)
            ]
        for j in range(self.columns):
            new.store(w, w.at("%c", w.times("%line", j), self.dtype), 0, lines[j])
        parameters = "ptr noalias %a, i64 %row, ptr noalias %c, i64 %line"
        return w.function(self.name, parameters, "noinline")


def _interleaved(lanes: int, half: int) -> str:
    """The mask that takes one half of two vectors' entries in turns."""
    first = half * lanes // 2
    taken = [i for n in range(first, first + lanes // 2) for i in (n, n + lanes)]
    return f"<{lanes} x i32> <{', '.join(f'i32 {i}' for i in taken)}>"


def turn(
    w: Writer,
    source: str,
    row: int,
    target: str,
    line: int,
    shape: tuple[int, int],
    dtype: str,
    registers: Registers,
) -> set[Turn]:
    """Write target[j · line + i] = source[i · row + j], for the rows i and columns j of a shape."""
    lanes, turns = registers.lanes(dtype), set[Turn]()
    for i, i_last, rows in pieces(shape[0], lanes):
        with w.loop(i, i_last, rows) as ii:
            for j, j_last, columns in pieces(shape[1], lanes):
                with w.loop(j, j_last, columns) as jj:
                    each = Turn(dtype, rows, columns, lanes)
                    a = w.at(source, w.plus(w.times(ii, row), jj), dtype)
                    c = w.at(target, w.plus(w.times(jj, line), ii), dtype)
                    w.do(f"call void @{each.name}(ptr {a}, i64 {row}, ptr {c}, i64 {line})")
                    turns.add(each)
    return turns


def gather(
    w: Writer, source: str, row: int, target: str, line: int, rows: int, whole: Line
) -> None:
    """Write target[i · line + j] = source[i · row + j]; `whole` is a line of the source."""
    with w.loop(0, rows) as i:
        a, c = (w.at(x, w.times(i, s), whole.dtype) for x, s in ((source, row), (target, line)))
        for j in range(whole.vectors):
            whole.store(w, c, j, whole.load(w, a, j))
