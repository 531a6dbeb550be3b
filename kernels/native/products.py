"""Products of matrices: tiles of the result gathered in registers.

BLAS spends more on calling and checking than on the product where matrices are small. Here all
sizes are known when the code is written, and a tile of the result stays in registers for the whole
sum: its rows are broadcast entries of the left matrix times vectors of the right one. Only large
matrices are cut into blocks that fit into a cache, and copied there. The design is that of K. Goto
and R. van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kernels.native import packing
from kernels.native.packing import Turn
from kernels.native.text import BYTES, Carried, Writer, pieces
from kernels.native.vectors import Line, Registers

TALLEST = 12
"""Rows of a tile at most: enough sums to hide how long a multiplication takes."""
DEEPEST = 512
"""Terms that are added up one after the other, at most, before they join a total."""
BLOCK_DEPTH, BLOCK_ROWS = 192, 256
"""Sizes of the blocks that large matrices are copied in."""
WIDEST = 256
"""Bytes of a tile's line at most."""
CACHE_STEP = 4096
"""Lines so many bytes apart, or a multiple of it, share one place in the first cache."""


@dataclass(frozen=True)
class Tile:
    """rows × columns of a result, gathered in registers; `lanes` columns to a register."""

    dtype: str
    rows: int
    columns: int
    lanes: int
    accumulate: bool

    @property
    def name(self) -> str:
        more = "_more" if self.accumulate else ""
        return f"tile_{self.dtype}_{self.rows}x{self.columns}by{self.lanes}{more}"

    @property
    def line(self) -> Line:
        """A row of the tile."""
        return Line(self.dtype, self.columns, self.lanes)

    @property
    def text(self) -> str:
        """The tile's function."""
        return _tile_text(self)


@dataclass(frozen=True)
class Product:
    """C[…, m, n] = Σₖ A[…, m, k] B[…, k, n], or added to C. Strides in entries; C's along n is 1,
    and B's along n or k.

    Operands: A, B, C, and scratch where a matrix is copied.
    """

    dtype: str
    stack: tuple[int, ...]
    m: int
    n: int
    k: int
    a: tuple[int, ...]  # strides along the stack, m and k
    b: tuple[int, ...]  # along the stack, k and n
    c: tuple[int, ...]  # along the stack and m
    accumulate: bool = False

    @property
    def copies_right(self) -> bool:
        """Whether blocks of B are copied: they lie the other way round, or are read often."""
        return (self.n > 1 and self.b[-1] != 1) or is_large(self.m, self.n, self.k, self.dtype)

    @property
    def copies_left(self) -> bool:
        """Whether blocks of A are copied: a tile runs across its lines, and these push each other
        out of the cache."""
        row, across = self.a[-2], self.a[-1] * BYTES[self.dtype]
        return self.copies_right and row == 1 and across > 0 and across % CACHE_STEP == 0

    @property
    def depth(self) -> int:
        """Terms that are added up together."""
        most = BLOCK_DEPTH if self.copies_right else DEEPEST
        return -(-self.k // -(-self.k // most))

    @property
    def rows(self) -> int:
        """Rows of A whose products are computed together."""
        return min(self.m, BLOCK_ROWS) if self.copies_right else self.m

    @property
    def scratch(self) -> int:
        """Entries of scratch."""
        right = self.depth * WIDEST // BYTES[self.dtype] if self.copies_right else 0
        return right + (self.depth * self.rows if self.copies_left else 0)

    @property
    def flops(self) -> int:
        return 2 * math.prod(self.stack) * self.m * self.n * self.k


def tile_shape(m: int, n: int, dtype: str, registers: Registers) -> tuple[int, int]:
    """Rows and columns of the tiles that a result is cut into."""
    lanes = registers.lanes(dtype)
    vectors = -(-n // lanes)
    widest = 4 if registers.count >= 32 else 2
    panels = -(-vectors // widest)
    wide = -(-vectors // panels)
    most = min(TALLEST, (registers.count - wide - 1) // wide)  # one more holds an entry of A
    # Tiles of one height are one function: less to compile, and none that is low at the end.
    even = [rows for rows in range(max(1, 5 * most // 6), most + 1) if m % rows == 0]
    tall = max(even) if even else -(-m // -(-m // most))
    return tall, wide * lanes


def _tile_text(tile: Tile) -> str:
    """The function of a tile: `(a, row, step, b, next, c, line, k)`, strides in entries."""
    w, line, rows = Writer(), tile.line, range(tile.rows)
    starts = [w.at("%a", w.times("%row", i), tile.dtype) for i in rows]
    targets = [w.at("%c", w.times("%line", i), tile.dtype) for i in rows]
    sums = [[Carried(line.type, "zeroinitializer") for _ in range(line.vectors)] for _ in rows]
    far, right = Carried("i64", "0"), Carried("ptr", "%b")
    with w.loop(0, "%k", carried=[far, right, *(x for row in sums for x in row)]):
        columns = [line.load(w, right.value, j) for j in range(line.vectors)]
        for start, row in zip(starts, sums, strict=True):
            entry = line.splat(w, w.at(start, far.value, tile.dtype))
            for x, column in zip(row, columns, strict=True):
                x.next = line.multiply_add(w, entry, column, x.value)
        far.next = w.plus(far.value, "%step")
        right.next = w.at(right.value, "%next", tile.dtype)
    for target, row in zip(targets, sums, strict=True):
        for j, x in enumerate(row):
            value = x.next
            if tile.accumulate:
                value = w.set(f"fadd {line.type} {value}, {line.load(w, target, j)}")
            line.store(w, target, j, value)
    parameters = "ptr noalias %a, i64 %row, i64 %step, ptr noalias %b, i64 %next, "
    return w.function(tile.name, parameters + "ptr noalias %c, i64 %line, i64 %k", "noinline")


def is_large(m: int, n: int, k: int, dtype: str) -> bool:
    """Whether a product reads its right matrix often enough, and from far enough, to copy it."""
    line = n * BYTES[dtype]
    return m >= 32 and k > 32 and line > WIDEST and k * line > 2**15


def product_text(
    product: Product, name: str, registers: Registers
) -> tuple[list[str], set[Tile | Turn]]:
    """The function `name(a, b, c[, scratch])` of a product, and what it calls."""
    writer = _ProductWriter(product, registers)
    w = writer.w
    names = ["a", "b", "c", *(["scratch"] if product.scratch else [])]
    writer.stacked(0, ["%a", "%b", "%c"])
    parameters = ", ".join(f"ptr noalias %{x}" for x in names)
    return [w.function(name, parameters, "noinline")], writer.called


class _ProductWriter:
    """Writes the loops of a product, from the outermost to the calls of tiles. Matrices are named
    by their addresses, those of A, B and C."""

    def __init__(self, product: Product, registers: Registers):
        self.product, self.registers = product, registers
        self.w, self.called = Writer(), set[Tile | Turn]()
        p = product
        self.tall, self.wide = tile_shape(p.m, p.n, p.dtype, registers)

    def at(self, place: str, index: str, stride: int) -> str:
        return self.w.at(place, self.w.times(index, stride), self.product.dtype)

    def stacked(self, axis: int, places: list[str]) -> None:
        p = self.product
        if axis == len(p.stack):
            self.depths(*places)
            return
        with self.w.loop(0, p.stack[axis]) as i:
            strides = (p.a[axis], p.b[axis], p.c[axis])
            self.stacked(axis + 1, list(map(self.at, places, [i] * 3, strides)))

    def depths(self, a: str, b: str, c: str) -> None:
        """Terms in blocks: the first sets the result, the others add to it."""
        p = self.product
        runs = [(*run, True) for run in pieces(p.k, p.depth)]
        if not p.accumulate:
            first, last, depth, _ = runs[0]
            rest = [(depth, last, depth, True)] if last > depth else []
            runs[:1] = [(first, depth, depth, False), *rest]
        for first, last, depth, more in runs:
            with self.w.loop(first, last, depth) as k:
                self.blocks(self.at(a, k, p.a[-1]), self.at(b, k, p.b[-2]), c, depth, more)

    def blocks(self, a: str, b: str, c: str, depth: int, more: bool) -> None:
        """Rows of A in blocks, copied if need be."""
        p = self.product
        for first, last, rows in pieces(p.m, p.rows):
            with self.w.loop(first, last, rows) as m:
                left, strides = self.at(a, m, p.a[-2]), p.a[-2:]
                if p.copies_left:
                    left, strides = self.copied_left(left, rows, depth), (depth, 1)
                self.panels(left, strides, b, self.at(c, m, p.c[-1]), (rows, depth), more)

    def panels(
        self,
        a: str,
        strides: tuple[int, ...],
        b: str,
        c: str,
        shape: tuple[int, int],
        more: bool,
    ) -> None:
        """Columns of B, as many as fill the lines of tiles, copied if need be."""
        p, (rows, depth) = self.product, shape
        for first, last, width in pieces(p.n, self.wide):
            with self.w.loop(first, last, width) as n:
                right, line = self.at(b, n, p.b[-1]), p.b[-2]
                if p.copies_right:
                    right, line = self.copied_right(right, depth, width), self.wide
                there = self.at(c, n, 1)
                for m, m_last, height in pieces(rows, self.tall):
                    with self.w.loop(m, m_last, height) as mm:
                        tile = Tile(p.dtype, height, width, self.registers.lanes(p.dtype), more)
                        left, target = self.at(a, mm, strides[0]), self.at(there, mm, p.c[-1])
                        self.call(tile, left, strides, right, line, target, depth)

    def call(
        self,
        tile: Tile,
        a: str,
        strides: tuple[int, ...],
        b: str,
        line: int,
        c: str,
        depth: int,
    ) -> None:
        self.called.add(tile)
        self.w.do(
            f"call void @{tile.name}(ptr {a}, i64 {strides[0]}, i64 {strides[1]}, ptr {b}, "
            f"i64 {line}, ptr {c}, i64 {self.product.c[-1]}, i64 {depth})"
        )

    def copied_right(self, b: str, depth: int, width: int) -> str:
        """A panel of B in scratch, lines of a tile's width."""
        p = self.product
        if p.b[-1] == 1:
            whole = Line(p.dtype, width, self.registers.lanes(p.dtype))
            packing.gather(self.w, b, p.b[-2], "%scratch", self.wide, depth, whole)
        else:
            self.turn(b, p.b[-1], "%scratch", self.wide, (width, depth))
        return "%scratch"

    def copied_left(self, a: str, rows: int, depth: int) -> str:
        """A block of A in scratch, its terms side by side."""
        p = self.product
        block = self.w.at("%scratch", str(p.depth * WIDEST // BYTES[p.dtype]), p.dtype)
        self.turn(a, p.a[-1], block, depth, (depth, rows))
        return block

    def turn(self, source: str, row: int, target: str, line: int, shape: tuple[int, int]) -> None:
        given = (self.product.dtype, self.registers)
        self.called |= packing.turn(self.w, source, row, target, line, shape, *given)
