"""Products of matrices: tiles of the result gathered in registers.

BLAS spends more on calling, checking and packing than on the product where matrices are small. Here
all sizes are known when the code is written, nothing is packed, and a tile of the result stays in
registers for the whole sum: its rows are broadcast entries of the left matrix times vectors of the
right one. The design is that of G. Goto and R. van de Geijn, Anatomy of High-Performance Matrix
Multiplication (2008), without the levels that large matrices need.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from kernels.native.text import BYTES, TYPES, Writer

TALLEST = 12
"""Rows of a tile at most: enough sums to hide how long a multiplication takes."""
DEEPEST = 512
"""Terms that are added up one after the other, at most, before they join a total."""


@dataclass(frozen=True)
class Registers:
    """The vector registers of a processor."""

    count: int
    bytes: int

    def lanes(self, dtype: str) -> int:
        return self.bytes // BYTES[dtype]


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
    def vectors(self) -> int:
        return -(-self.columns // self.lanes)

    @property
    def text(self) -> str:
        """The tile's function."""
        return _tile_text(self)


@dataclass(frozen=True)
class Product:
    """C[…, m, n] = Σₖ A[…, m, k] B[…, k, n], or added to C. Strides in entries; B's and C's along n
    are 1, where n is more than 1."""

    dtype: str
    stack: tuple[int, ...]
    m: int
    n: int
    k: int
    a: tuple[int, ...]  # strides along the stack, m and k
    b: tuple[int, ...]  # along the stack and k
    c: tuple[int, ...]  # along the stack and m
    accumulate: bool = False

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
    even = [rows for rows in range(max(1, 3 * most // 5), most + 1) if m % rows == 0]
    tall = max(even) if even else -(-m // -(-m // most))
    return tall, wide * lanes


def _tile_text(tile: Tile) -> str:
    """The function of a tile: `(a, row, step, b, next, c, line, k)`, strides in entries."""
    t, w = TYPES[tile.dtype], Writer()
    wide = f"<{tile.lanes} x {t}>"
    rows, vectors = range(tile.rows), range(tile.vectors)
    starts = [w.at("%a", w.times("%row", i), tile.dtype) for i in rows]
    lines = [w.at("%c", w.times("%line", i), tile.dtype) for i in rows]
    before = w.block
    w.do("br label %loop")
    w.label("loop")
    w.do(f"%i = phi i64 [0, %{before}], [%i.next, %loop]")
    w.do(f"%far = phi i64 [0, %{before}], [%far.next, %loop]")
    w.do(f"%right = phi ptr [%b, %{before}], [%right.next, %loop]")
    for i in rows:
        for j in vectors:
            old, new = f"%s{i}.{j}", f"%t{i}.{j}"
            w.do(f"{old} = phi {wide} [zeroinitializer, %{before}], [{new}, %loop]")
    columns = [load_vector(w, tile, "%right", j) for j in vectors]
    for i in rows:
        entries = splat(w, tile, w.at(starts[i], "%far", tile.dtype))
        for j in vectors:
            given = f"{wide} {entries}, {wide} {columns[j]}, {wide} %s{i}.{j}"
            w.do(f"%t{i}.{j} = call {wide} @llvm.fma.v{tile.lanes}{suffix(tile)}({given})")
    w.do("%i.next = add nuw nsw i64 %i, 1")
    w.do("%far.next = add nsw i64 %far, %step")
    w.do(f"%right.next = getelementptr {t}, ptr %right, i64 %next")
    w.do("%more = icmp slt i64 %i.next, %k")
    w.do("br i1 %more, label %loop, label %done")
    w.label("done")
    for i in rows:
        for j in vectors:
            value = f"%t{i}.{j}"
            if tile.accumulate:
                value = w.set(f"fadd {wide} {value}, {load_vector(w, tile, lines[i], j)}")
            store_vector(w, tile, lines[i], j, value)
    parameters = "ptr noalias %a, i64 %row, i64 %step, ptr noalias %b, i64 %next, "
    return w.function(tile.name, parameters + "ptr noalias %c, i64 %line, i64 %k", "noinline")


def splat(w: Writer, tile: Tile, place: str) -> str:
    """A vector of the entry at a place."""
    t = TYPES[tile.dtype]
    wide = f"<{tile.lanes} x {t}>"
    one = w.set(f"insertelement {wide} poison, {t} {w.set(f'load {t}, ptr {place}')}, i64 0")
    zeros = f"<{tile.lanes} x i32> zeroinitializer"
    return w.set(f"shufflevector {wide} {one}, {wide} poison, {zeros}")


def suffix(tile: Tile) -> str:
    return {"f4": "f32", "f8": "f64"}[tile.dtype]


def _mask(tile: Tile, j: int) -> str | None:
    """For the last vector of a line that does not fill it."""
    left = tile.columns - j * tile.lanes
    if left >= tile.lanes:
        return None
    bits = ", ".join(f"i1 {'true' if i < left else 'false'}" for i in range(tile.lanes))
    return f"<{tile.lanes} x i1> <{bits}>"


def load_vector(w: Writer, tile: Tile, line: str, j: int) -> str:
    wide = f"<{tile.lanes} x {TYPES[tile.dtype]}>"
    place, mask = w.at(line, str(j * tile.lanes), tile.dtype), _mask(tile, j)
    if mask is None:
        return w.set(f"load {wide}, ptr {place}, align {BYTES[tile.dtype]}")
    kind = f"v{tile.lanes}{suffix(tile)}.p0"
    given = f"ptr align {BYTES[tile.dtype]} {place}, {mask}, {wide} zeroinitializer"
    return w.set(f"call {wide} @llvm.masked.load.{kind}({given})")


def store_vector(w: Writer, tile: Tile, line: str, j: int, value: str) -> None:
    wide = f"<{tile.lanes} x {TYPES[tile.dtype]}>"
    place, mask = w.at(line, str(j * tile.lanes), tile.dtype), _mask(tile, j)
    if mask is None:
        w.do(f"store {wide} {value}, ptr {place}, align {BYTES[tile.dtype]}")
        return
    kind = f"v{tile.lanes}{suffix(tile)}.p0"
    given = f"{wide} {value}, ptr align {BYTES[tile.dtype]} {place}, {mask}"
    w.do(f"call void @llvm.masked.store.{kind}({given})")


def declarations(dtype: str, lanes: int) -> str:
    """What tiles of this kind call."""
    suffix = {"f4": "f32", "f8": "f64"}[dtype]
    wide, kind = f"<{lanes} x {TYPES[dtype]}>", f"v{lanes}{suffix}"
    bits = f"<{lanes} x i1>"
    return "\n".join(
        [
            f"declare {wide} @llvm.fma.{kind}({wide}, {wide}, {wide})",
            f"declare {wide} @llvm.masked.load.{kind}.p0(ptr, {bits}, {wide})",
            f"declare void @llvm.masked.store.{kind}.p0({wide}, ptr, {bits})",
        ]
    )


def pieces(total: int, most: int) -> Iterator[tuple[int, int, int]]:
    """`range(total)` in runs of equal pieces: (first, last, length of each piece)."""
    whole = total // most * most
    if whole:
        yield 0, whole, most
    if whole < total:
        yield whole, total, total - whole


def product_text(product: Product, name: str, registers: Registers) -> tuple[list[str], set[Tile]]:
    """The function `name(a, b, c)` of a product, and the tiles that it calls."""
    w, p, tiles = Writer(), product, set[Tile]()
    tall, wide = tile_shape(p.m, p.n, p.dtype, registers)

    def stacked(axis: int, a: str, b: str, c: str) -> None:
        if axis == len(p.stack):
            columns(a, b, c)
            return
        with w.loop(0, p.stack[axis]) as i:
            moved = [w.plus(x, w.times(i, s[axis])) for x, s in ((a, p.a), (b, p.b), (c, p.c))]
            stacked(axis + 1, *moved)

    def columns(a: str, b: str, c: str) -> None:
        depth = -(-p.k // -(-p.k // DEEPEST))
        for k in range(0, p.k, depth):
            ak = w.plus(a, str(k * p.a[-1])) if k else a
            bk = w.plus(b, str(k * p.b[-1])) if k else b
            more = p.accumulate or k > 0
            for n, n_last, width in pieces(p.n, wide):
                with w.loop(n, n_last, width) as nn:
                    rows(ak, w.plus(bk, nn), w.plus(c, nn), width, min(depth, p.k - k), more)

    def rows(a: str, b: str, c: str, width: int, depth: int, more: bool) -> None:
        for m, m_last, height in pieces(p.m, tall):
            with w.loop(m, m_last, height) as mm:
                am, cm = w.plus(a, w.times(mm, p.a[-2])), w.plus(c, w.times(mm, p.c[-1]))
                call(height, width, am, b, cm, depth, more)

    def call(height: int, width: int, a: str, b: str, c: str, depth: int, more: bool) -> None:
        lanes = registers.lanes(p.dtype)
        given = ", ".join(
            [
                f"ptr {w.at('%a', a, p.dtype)}, i64 {p.a[-2]}, i64 {p.a[-1]}",
                f"ptr {w.at('%b', b, p.dtype)}, i64 {p.b[-1]}",
                f"ptr {w.at('%c', c, p.dtype)}, i64 {p.c[-1]}, i64 {depth}",
            ]
        )
        tile = Tile(p.dtype, height, width, lanes, more)
        tiles.add(tile)
        w.do(f"call void @{tile.name}({given})")

    stacked(0, "0", "0", "0")
    text = w.function(name, "ptr noalias %a, ptr noalias %b, ptr noalias %c", "noinline")
    return [text], tiles
