"""Convolutions: products whose rows are gathered from windows of images.

No matrix of windows is built. A tile of the result stays in registers while the windows' entries
are read where they lie in the images; a table says for each row where its window begins, and what
lies beside the image is read from a page of zeros. Only where images have few channels, rows are
copied first, a group at a time.

Taps are the places of a window: how far from its beginning, and where their weights lie. So the
same kernel serves the product with the images and, with other taps for each class of pixels, its
transpose (J. Zhang et al., High Performance Zero-Memory Overhead Direct Convolutions, 2018, have
the idea; V. Dumoulin and F. Visin, A guide to convolution arithmetic, 2016, the arithmetic).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kernels.native.products import DEEPEST, Tile, tile_shape
from kernels.native.text import BYTES, TYPES, Carried, Writer, pieces
from kernels.native.vectors import Registers

ROWS = 96
"""Rows that images are grouped to reach, so that tiles fill."""
FEW = 8
"""With fewer channels, windows are best copied."""
AHEAD = 2**20
"""Bytes of images that do not stay in a core's cache: those of the next group are asked for while
one is worked on. They lie in too many short runs for the hardware to see where it goes on."""
LINE = 64
"""Bytes that come into a cache together."""


class Tap(NamedTuple):
    """A place of a window: rows and columns from its beginning, and where its weights begin."""

    down: int
    right: int
    weights: int


@dataclass(frozen=True)
class Geometry:
    """Windows on images: sizes, and strides in entries."""

    images: int
    group: int  # images whose rows one table holds
    rows: int  # of one image
    taps: tuple[Tap, ...]
    size: tuple[int, int]  # of an image
    image: int  # from an image to the next
    line: int  # from a row of pixels to the next
    pixel: int
    channel: int
    channels: int


@dataclass(frozen=True)
class Gather:
    """C[row, n] = Σ over taps and k of A[window of row + tap, k] · B[tap, k, n].

    Operands: A, B, C, the table of rows, zeros (as many entries as a pixel's channels span), and
    scratch where channels are few. Strides in entries; B's and C's along n are 1.
    """

    dtype: str
    geometry: Geometry
    n: int
    b: int  # along k
    c_image: int
    copies: bool  # windows to scratch: the weights and the rows of C must lie without gaps
    stack: int = 1
    stacked: tuple[int, int, int] = (0, 0, 0)

    @property
    def scratch(self) -> int:
        """Entries of scratch."""
        g = self.geometry
        return g.group * g.rows * len(g.taps) * g.channels if self.copies else 0

    @property
    def flops(self) -> int:
        g = self.geometry
        rows = self.stack * g.images * g.rows
        return 2 * rows * len(g.taps) * g.channels * self.n


@dataclass(frozen=True)
class GatherWeights:
    """C[tap, k, n] += Σ over rows of A[window of row + tap, k] · G[row, n].

    Operands: A, G, C, the table of rows (of A's windows, and where G's rows begin), zeros, scratch.
    C is dense.
    """

    dtype: str
    geometry: Geometry
    n: int
    g_image: int
    g_row: int
    copies: bool  # windows to scratch: the rows of G must lie evenly
    stack: int = 1
    stacked: tuple[int, int, int] = (0, 0, 0)

    @property
    def scratch(self) -> int:
        g = self.geometry
        return g.group * g.rows * len(g.taps) * g.channels if self.copies else 0

    @property
    def flops(self) -> int:
        g = self.geometry
        rows = self.stack * g.images * g.rows
        return 2 * rows * len(g.taps) * g.channels * self.n


# Tables ---------------------------------------------------------------------------------------


def group_of(images: int, rows: int) -> int:
    """How many images share a table."""
    return min(images, max(1, -(-ROWS // rows)))


def table(
    begins: np.ndarray,
    targets: np.ndarray,
    group: int,
    geometry: tuple[int, int, int],
    target: int,
) -> np.ndarray:
    """The rows of a group of images: (entries to the window's beginning, its row, its column,
    entries to where the result lies).

    Args:
        begins: rows and columns where windows begin, (rows, 2).
        targets: entries from the beginning of an image's result to that of a row of it.
        geometry: entries from image to image, line to line, and pixel to pixel.
        target: entries from image to image of the result.
    """
    image, line, pixel = geometry
    first = begins[:, 0] * line + begins[:, 1] * pixel
    each = np.stack([first, begins[:, 0], begins[:, 1], targets], 1)
    further = np.array([image, 0, 0, target])
    return np.concatenate([each + n * further for n in range(group)]).astype(np.int32)


# Code -----------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    """What a row's entry in the table says."""

    offset: str
    down: str
    right: str
    target: str


def _row(w: Writer, where: str, number: str) -> _Rows:
    found = []
    for k in range(4):
        place = w.set(f"getelementptr [4 x i32], ptr {where}, i64 {number}, i64 {k}")
        found.append(w.set(f"load i32, ptr {place}"))
    return _Rows(*found)


def _entry(w: Writer, dtype: str, row: _Rows, tap: Sequence[str], size: Sequence[str]) -> str:
    """The address of a window's entry: in the image of `size`, or in the page of zeros."""
    down = w.set(f"add i32 {row.down}, {tap[0]}")
    right = w.set(f"add i32 {row.right}, {tap[1]}")
    inside = w.set(
        f"and i1 {w.set(f'icmp ult i32 {down}, {size[0]}')}, "
        f"{w.set(f'icmp ult i32 {right}, {size[1]}')}"
    )
    offset = w.set(f"sext i32 {w.set(f'add i32 {row.offset}, {tap[2]}')} to i64")
    place = w.set(f"getelementptr {TYPES[dtype]}, ptr %a, i64 {offset}")
    return w.set(f"select i1 {inside}, ptr {place}, ptr %zeros")


def _taps(name: str, g: Geometry) -> str:
    """The taps as a table: rows and columns, entries in the image, entries in the weights."""
    rows = [
        f"[4 x i32] [i32 {t.down}, i32 {t.right}, i32 {t.down * g.line + t.right * g.pixel}, "
        f"i32 {t.weights}]"
        for t in g.taps
    ]
    return f"@{name}.taps = internal constant [{len(rows)} x [4 x i32]] [{', '.join(rows)}]"


@dataclass(frozen=True)
class GatherTile:
    """A tile of a product with windows, or, with `weights`, of a sum over windows. Where `unit`, a
    pixel's channels lie side by side."""

    tile: Tile
    unit: bool
    weights: bool
    ahead: bool  # whether it asks for memory that is needed later

    @property
    def name(self) -> str:
        kind = "weights" if self.weights else "windows"
        more = f"{'unit_' if self.unit else ''}{'ahead_' if self.ahead else ''}"
        return f"{kind}_{more}{self.tile.name}"

    @property
    def text(self) -> str:
        """The tile's function."""
        return _weights_tile_text(self) if self.weights else _tile_text(self)


POINTERS = ", ".join(f"ptr noalias %{x}" for x in ("a", "zeros", "table", "b", "c", "taps"))
SIZE = ("%height", "%width")


def _ask(w: Writer, start: str, lines: str, first: str = "0") -> None:
    """Have lines of memory fetched into the cache, counted from `first`. Where there is none,
    nothing happens."""
    with w.loop(0, lines) as k:
        far = w.set(f"mul nsw i64 {w.plus(first, k)}, {LINE}")
        place = w.set(f"getelementptr i8, ptr {start}, i64 {far}")
        w.do(f"call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 2, i32 1)")


def _share(w: Writer, start: str, far: int, done: str, whole: int, part: int) -> str:
    """The arguments for a call's share of memory ahead: where it begins, and lines.

    Args:
        start: of what is worked on; as many bytes further, `far`, lies as much that comes next.
        done: how much of `whole` was worked on before; the call does `part` of it.
    """
    place = w.set(f"udiv i64 {w.set(f'mul nsw i64 {done}, {far}')}, {whole}")
    ahead = w.set(f"getelementptr i8, ptr {start}, i64 {w.plus(place, str(far))}")
    return f"ptr {ahead}, i64 {max(1, -(-far * part // (whole * LINE)))}"


def _sums(tile: Tile) -> list[list[Carried]]:
    line = tile.line
    return [
        [Carried(line.type, "zeroinitializer") for _ in range(line.vectors)]
        for _ in range(tile.rows)
    ]


def _flat(sums: list[list[Carried]]) -> list[Carried]:
    return [x for line in sums for x in line]


def _tile_text(kernel: GatherTile) -> str:
    """`(a, zeros, table, b, c, taps, tap count, channels, from channel to channel in a, in b,
    height, width)`: a tile of the rows at `table`."""
    tile, w = kernel.tile, Writer()
    dtype, line = tile.dtype, tile.line
    rows = [_row(w, "%table", str(i)) for i in range(tile.rows)]
    sums = _sums(tile)
    with w.loop(0, "%count", carried=_flat(sums)) as t:
        tap = _row(w, "%taps", t)
        if kernel.ahead:
            _ask(w, "%ahead", "%lines", w.set(f"mul nsw i64 {t}, %lines"))
        starts = [_entry(w, dtype, row, tap[:3], SIZE) for row in rows]
        weights = w.at("%b", w.set(f"sext i32 {tap.target} to i64"), dtype)
        inner = _sums(tile)
        with w.loop(0, "%channels", carried=_flat(inner)) as k:
            far = k if kernel.unit else w.set(f"mul nsw i64 {k}, %channel")
            right = w.at(weights, w.set(f"mul nsw i64 {k}, %next"), dtype)
            columns = [line.load(w, right, j) for j in range(line.vectors)]
            for start, each in zip(starts, inner, strict=True):
                entry = line.splat(w, w.at(start, far, dtype))
                for x, column in zip(each, columns, strict=True):
                    x.next = line.multiply_add(w, entry, column, x.value)
        for x, y in zip(_flat(sums), _flat(inner), strict=True):
            x.next = w.set(f"fadd {line.type} {x.value}, {y.next}")
    for row, each in zip(rows, sums, strict=True):
        target = w.at("%c", w.set(f"sext i32 {row.target} to i64"), dtype)
        for j, x in enumerate(each):
            line.store(w, target, j, x.next)
    more = "i64 %count, i64 %channels, i64 %channel, i64 %next, i32 %height, i32 %width"
    more += ", ptr %ahead, i64 %lines" * kernel.ahead
    return w.function(kernel.name, f"{POINTERS}, {more}", "noinline")


def _weights_tile_text(kernel: GatherTile) -> str:
    """`(a, zeros, table, b, c, tap, rows, from channel to channel in a, in c, height, width)`: adds
    rows to a tile of channels × n of one tap."""
    tile, w = kernel.tile, Writer()
    dtype, line = tile.dtype, tile.line
    tap = _row(w, "%taps", "0")
    if kernel.ahead:
        _ask(w, "%ahead", "%lines")
        _ask(w, "%ahead_b", "%lines_b")
    sums = _sums(tile)
    with w.loop(0, "%rows", carried=_flat(sums)) as r:
        row = _row(w, "%table", r)
        start = _entry(w, dtype, row, tap[:3], SIZE)
        right = w.at("%b", w.set(f"sext i32 {row.target} to i64"), dtype)
        columns = [line.load(w, right, j) for j in range(line.vectors)]
        for i, each in enumerate(sums):
            far = str(i) if kernel.unit else w.set(f"mul nsw i64 {i}, %channel")
            entry = line.splat(w, w.at(start, far, dtype))
            for x, column in zip(each, columns, strict=True):
                x.next = line.multiply_add(w, entry, column, x.value)
    for i, each in enumerate(sums):
        target = w.at("%c", w.set(f"mul nsw i64 {i}, %line"), dtype)
        for j, x in enumerate(each):
            old = line.load(w, target, j)
            line.store(w, target, j, w.set(f"fadd {line.type} {x.next}, {old}"))
    more = "i64 %rows, i64 %channel, i64 %line, i32 %height, i32 %width"
    more += ", ptr %ahead, i64 %lines, ptr %ahead_b, i64 %lines_b" * kernel.ahead
    return w.function(kernel.name, f"{POINTERS}, {more}", "noinline")


def _copy_text(kernel: Gather | GatherWeights, name: str) -> str:
    """`(a, zeros, table, scratch, rows)`: windows as rows of a matrix."""
    g, w, dtype = kernel.geometry, Writer(), kernel.dtype
    width = len(g.taps) * g.channels
    with w.loop(0, "%rows") as r:
        row = _row(w, "%table", r)
        target = w.at("%scratch", w.times(r, width), dtype)
        for i, t in enumerate(g.taps):
            tap = (str(t.down), str(t.right), str(t.down * g.line + t.right * g.pixel))
            start = _entry(w, dtype, row, tap, tuple(map(str, g.size)))
            for k in range(g.channels):
                place = w.at(start, str(k * g.channel), dtype)
                value = w.set(f"load {TYPES[dtype]}, ptr {place}")
                target_place = w.at(target, str(i * g.channels + k), dtype)
                w.do(f"store {TYPES[dtype]} {value}, ptr {target_place}")
    parameters = ", ".join(f"ptr noalias %{x}" for x in ("a", "zeros", "table", "scratch"))
    return w.function(f"{name}.copy", f"{parameters}, i64 %rows", "noinline")


def _each_group(
    w: Writer, kernel: Gather | GatherWeights, strides: tuple[int, ...], body: Callable
) -> None:
    """`body(offsets, rows)` for each stack and each group of images, where offsets are those of
    the arrays that move by `strides` from image to image."""
    g = kernel.geometry
    with w.loop(0, kernel.stack) as s:
        base = [w.times(s, x) for x in kernel.stacked]
        for first, last, count in pieces(g.images, g.group):
            with w.loop(first, last, count) as i:
                moved = [
                    w.plus(x, w.times(i, stride)) for x, stride in zip(base, strides, strict=True)
                ]
                body(moved, count * g.rows)


def gather_text(
    kernel: Gather, name: str, registers: Registers
) -> tuple[list[str], set[Tile | GatherTile]]:
    """The function `name(a, b, c, table, zeros[, scratch])`, what it needs, and shared tiles."""
    g, w, dtype = kernel.geometry, Writer(), kernel.dtype
    shared = set[Tile | GatherTile]()
    lanes = registers.lanes(dtype)
    tall, wide = tile_shape(g.group * g.rows, kernel.n, dtype, registers)
    width = len(g.taps) * g.channels
    ahead = g.images * g.image * BYTES[dtype] >= AHEAD and not kernel.copies

    def group(offsets: list[str], rows: int) -> None:
        a, b, c = (w.at(f"%{x}", o, dtype) for x, o in zip("abc", offsets, strict=True))
        if kernel.copies:
            given = f"ptr {a}, ptr %zeros, ptr %table, ptr %scratch, i64 {rows}"
            w.do(f"call void @{name}.copy({given})")
        for n, n_last, columns in pieces(kernel.n, wide):
            with w.loop(n, n_last, columns) as nn:
                right, target = w.at(b, nn, dtype), w.at(c, nn, dtype)
                for m, m_last, height in pieces(rows, tall):
                    with w.loop(m, m_last, height) as mm:
                        tile = Tile(dtype, height, columns, lanes, False)
                        call(tile, a, right, target, mm, nn, rows)

    def call(tile: Tile, a: str, right: str, target: str, mm: str, nn: str, rows: int) -> None:
        if kernel.copies:
            shared.add(tile)
            left = w.at("%scratch", w.times(mm, width), dtype)
            there = w.at(target, w.times(mm, kernel.c_image // g.rows), dtype)
            w.do(
                f"call void @{tile.name}(ptr {left}, i64 {width}, i64 1, ptr {right}, "
                f"i64 {kernel.b}, ptr {there}, i64 {kernel.c_image // g.rows}, i64 {width})"
            )
            return
        gathered = GatherTile(tile, g.channel == 1, False, ahead)
        shared.add(gathered)
        first = w.set(f"getelementptr [4 x i32], ptr %table, i64 {mm}")
        more = ""
        if ahead:
            done = w.plus(w.times(nn, rows), w.times(mm, tile.columns))
            part = -(-tile.rows * tile.columns // len(g.taps))
            far = rows // g.rows * g.image * BYTES[dtype]
            more = ", " + _share(w, a, far, done, kernel.n * rows, part)
        w.do(
            f"call void @{gathered.name}(ptr {a}, ptr %zeros, ptr {first}, ptr {right}, "
            f"ptr {target}, ptr @{name}.taps, i64 {len(g.taps)}, i64 {g.channels}, "
            f"i64 {g.channel}, i64 {kernel.b}, i32 {g.size[0]}, i32 {g.size[1]}{more})"
        )

    _each_group(w, kernel, (g.image, 0, kernel.c_image), group)
    names = ["a", "b", "c", "table", "zeros", *(["scratch"] if kernel.copies else [])]
    texts = [w.function(name, ", ".join(f"ptr noalias %{x}" for x in names), "noinline")]
    texts.append(_copy_text(kernel, name) if kernel.copies else _taps(name, g))
    return texts, shared


def weights_text(
    kernel: GatherWeights, name: str, registers: Registers
) -> tuple[list[str], set[Tile | GatherTile]]:
    """The function `name(a, g, c, table, zeros[, scratch])`, what it needs, and shared tiles."""
    g, w, dtype = kernel.geometry, Writer(), kernel.dtype
    shared = set[Tile | GatherTile]()
    lanes = registers.lanes(dtype)
    width = len(g.taps) * g.channels
    channels = width if kernel.copies else g.channels
    tall, wide = tile_shape(channels, kernel.n, dtype, registers)
    ahead = g.images * g.image * BYTES[dtype] >= AHEAD and not kernel.copies

    def group(offsets: list[str], rows: int) -> None:
        a, right, c = (w.at(f"%{x}", o, dtype) for x, o in zip("agc", offsets, strict=True))
        if kernel.copies:
            given = f"ptr {a}, ptr %zeros, ptr %table, ptr %scratch, i64 {rows}"
            w.do(f"call void @{name}.copy({given})")
        for r, r_last, depth in pieces(rows, DEEPEST):
            with (
                w.loop(r, r_last, depth) as first,
                w.loop(0, 1 if kernel.copies else len(g.taps)) as tap,
            ):
                for m, m_last, height in pieces(channels, tall):
                    with w.loop(m, m_last, height) as mm:
                        for n, n_last, columns in pieces(kernel.n, wide):
                            with w.loop(n, n_last, columns) as nn:
                                tile = Tile(dtype, height, columns, lanes, True)
                                more = shares(a, right, rows, tile, tap, mm, nn)
                                call(tile, a, right, c, first, depth, tap, mm, nn, more)

    def shares(a: str, right: str, rows: int, tile: Tile, tap: str, mm: str, nn: str) -> str:
        """Arguments for the shares of the next images and gradients that a call asks for."""
        if not ahead:
            return ""
        images, whole = rows // g.rows, len(g.taps) * channels * kernel.n
        done = w.plus(w.times(tap, channels * kernel.n), w.times(mm, kernel.n))
        done, part = w.plus(done, w.times(nn, tile.rows)), tile.rows * tile.columns
        given = (a, g.image), (right, kernel.g_image)
        return "".join(
            ", " + _share(w, start, images * each * BYTES[dtype], done, whole, part)
            for start, each in given
        )

    def call(
        tile: Tile,
        a: str,
        right: str,
        c: str,
        first: str,
        depth: int,
        tap: str,
        mm: str,
        nn: str,
        more: str,
    ) -> None:
        place = w.plus(w.plus(w.times(tap, g.channels * kernel.n), w.times(mm, kernel.n)), nn)
        target, right = w.at(c, place, dtype), w.at(right, nn, dtype)
        if kernel.copies:
            shared.add(tile)
            left = w.at("%scratch", w.plus(w.times(first, width), mm), dtype)
            there = w.at(right, w.times(first, kernel.g_row), dtype)
            w.do(
                f"call void @{tile.name}(ptr {left}, i64 1, i64 {width}, ptr {there}, "
                f"i64 {kernel.g_row}, ptr {target}, i64 {kernel.n}, i64 {depth})"
            )
            return
        gathered = GatherTile(tile, g.channel == 1, True, ahead)
        shared.add(gathered)
        rows = w.set(f"getelementptr [4 x i32], ptr %table, i64 {first}")
        here = w.at(a, w.times(mm, g.channel), dtype)
        taps = w.set(f"getelementptr [4 x i32], ptr @{name}.taps, i64 {tap}")
        w.do(
            f"call void @{gathered.name}(ptr {here}, ptr %zeros, ptr {rows}, ptr {right}, "
            f"ptr {target}, ptr {taps}, i64 {depth}, i64 {g.channel}, i64 {kernel.n}, "
            f"i32 {g.size[0]}, i32 {g.size[1]}{more})"
        )

    _each_group(w, kernel, (g.image, kernel.g_image, 0), group)
    names = ["a", "g", "c", "table", "zeros", *(["scratch"] if kernel.copies else [])]
    texts = [w.function(name, ", ".join(f"ptr noalias %{x}" for x in names), "noinline")]
    texts.append(_copy_text(kernel, name) if kernel.copies else _taps(name, g))
    return texts, shared


# Geometry -------------------------------------------------------------------------------------


class Windows(NamedTuple):
    """Rows of one image, and the taps that they share."""

    begins: np.ndarray  # (rows, 2)
    pixels: np.ndarray  # (rows, 2): of the result
    taps: tuple[tuple[int, int, int], ...]  # down, right, number of the tap


def forward_windows(
    out: tuple[int, int], window: tuple, stride: tuple, padding: tuple, dilation: tuple
) -> Windows:
    """The windows of a convolution."""
    pixels = np.stack(np.meshgrid(*map(np.arange, out), indexing="ij"), -1).reshape(-1, 2)
    begins = pixels * np.array(stride) - np.array([padding[0][0], padding[1][0]])
    taps = tuple(
        (i * dilation[0], j * dilation[1], i * window[1] + j)
        for i in range(window[0])
        for j in range(window[1])
    )
    return Windows(begins, pixels, taps)


def transposed_windows(
    size: tuple[int, int], window: tuple, stride: tuple, padding: tuple, dilation: tuple
) -> list[Windows]:
    """For the pixels of an image the windows that they lie in: one item for each class of pixels
    that have the same taps."""
    found = []
    top, left = padding[0][0], padding[1][0]
    for p in range(min(stride[0], size[0])):
        downs = _taps_of(p + top, window[0], stride[0], dilation[0])
        for q in range(min(stride[1], size[1])):
            rights = _taps_of(q + left, window[1], stride[1], dilation[1])
            rows = np.arange(p, size[0], stride[0])
            columns = np.arange(q, size[1], stride[1])
            pixels = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
            begins = (pixels - np.array([p, q])) // np.array(stride)
            taps = tuple((d, r, i * window[1] + j) for i, d in downs for j, r in rights)
            found.append(Windows(begins, pixels, taps))
    return found


def _taps_of(first: int, window: int, stride: int, dilation: int) -> list[tuple[int, int]]:
    """(tap, which window counted from that of pixel / stride) for a pixel at `first` mod stride."""
    return [
        (i, (first - i * dilation) // stride)
        for i in range(window)
        if (first - i * dilation) % stride == 0
    ]
