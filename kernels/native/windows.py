"""Convolutions: products whose rows are gathered from windows of images.

No matrix of all windows is built. A tile of the result stays in registers while the windows'
entries are read where they lie in the images; a table says for each row where its window begins,
and what lies beside the image is read from a page of zeros. Where images have few channels, rows
are copied first, a group of images at a time; where rows are summed over (the gradient by filters),
what one tap sees of some.

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

from kernels.native.products import Tile, tile_shape
from kernels.native.text import BYTES, TYPES, Carried, Writer, pieces
from kernels.native.vectors import Line, Registers

ROWS = 96
"""Rows that images are grouped to reach, so that tiles fill."""
FEW = 8
"""With fewer channels, windows are best copied for a product with filters, too."""
COPIED = 64
"""Rows of windows that are copied at a time for a sum over rows: so many lie in the first cache,
with the gradients beside them."""
WIDTH = 80
"""Entries of a row that is copied, if it is for more than one tap."""
AHEAD = 2**20
"""Bytes of images that do not stay in a core's cache: those of the next group are asked for while
one is worked on. They lie in too many short runs for the hardware to see where it goes on."""
MOST = 16
"""Vectors that are copied one by one, without a loop."""
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

    Operands: A, B, C, the table of rows, zeros (a pixel's channels, which lie as A's do), and
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
    C is dense, and G's rows lie evenly.
    """

    dtype: str
    geometry: Geometry
    n: int
    g_image: int
    g_row: int
    stack: int = 1
    stacked: tuple[int, int, int] = (0, 0, 0)

    @property
    def copied(self) -> int:
        """Taps whose entries are copied at a time: a product that reads them where they lie has to
        find them for each row of a tile again, and they push each other out of the first cache."""
        g = self.geometry
        most = max(1, WIDTH // g.channels)
        return max(n for n in range(1, most + 1) if len(g.taps) % n == 0)

    @property
    def depth(self) -> int:
        """Rows whose windows are copied at a time."""
        rows = self.geometry.group * self.geometry.rows
        return -(-rows // -(-rows // COPIED))

    @property
    def scratch(self) -> int:
        """Entries of scratch."""
        return self.depth * self.copied * self.geometry.channels

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
    """A tile of a product with windows. Where `unit`, a pixel's channels lie side by side."""

    tile: Tile
    unit: bool
    ahead: bool  # whether it asks for memory that is needed later

    @property
    def name(self) -> str:
        more = f"{'unit_' if self.unit else ''}{'ahead_' if self.ahead else ''}"
        return f"windows_{more}{self.tile.name}"

    @property
    def dtype(self) -> str:
        return self.tile.dtype

    @property
    def text(self) -> str:
        """The tile's function."""
        return _tile_text(self)


POINTERS = ", ".join(f"ptr noalias %{x}" for x in ("a", "zeros", "table", "b", "c", "taps"))
SIZE = ("%height", "%width")


def _ask(w: Writer, start: str, lines: str | int, first: str = "0") -> None:
    """Have lines of memory fetched into the cache, counted from `first`. Where there is none,
    nothing happens."""
    with w.loop(0, lines) as k:
        far = w.set(f"mul nsw i64 {w.plus(first, k)}, {LINE}")
        place = w.set(f"getelementptr i8, ptr {start}, i64 {far}")
        w.do(f"call void @llvm.prefetch.p0(ptr {place}, i32 0, i32 2, i32 1)")


def _share(w: Writer, start: str, far: int, done: str, share: tuple[int, int]) -> tuple[str, int]:
    """A call's share of memory ahead: where it begins, and lines.

    Args:
        start: of what is worked on; as many bytes further, `far`, lies as much that comes next.
        done: how much work was done before.
        share: how much the call does, and how much there is in all.
    """
    part, whole = share
    place = w.set(f"udiv i64 {w.set(f'mul nsw i64 {done}, {far}')}, {whole}")
    ahead = w.set(f"getelementptr i8, ptr {start}, i64 {w.plus(place, str(far))}")
    return ahead, max(1, -(-far * part // (whole * LINE)))


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


def _copy_text(kernel: Gather | GatherWeights, name: str, taps: int, registers: Registers) -> str:
    """`(a, zeros, table, taps, scratch, rows)`: what so many taps see of windows, as rows of a
    matrix."""
    g, w, dtype = kernel.geometry, Writer(), kernel.dtype
    line = Line(dtype, g.channels, registers.lanes(dtype))
    each = [_row(w, "%taps", str(t))[:3] for t in range(taps)]
    with w.loop(0, "%rows") as r:
        row = _row(w, "%table", r)
        target = w.at("%scratch", w.times(r, taps * g.channels), dtype)
        for t, tap in enumerate(each):
            start = _entry(w, dtype, row, tap, tuple(map(str, g.size)))
            there = w.at(target, str(t * g.channels), dtype)
            if g.channel == 1 and line.vectors <= MOST:
                for j in range(line.vectors):
                    line.store(w, there, j, line.load(w, start, j))
                continue
            with w.loop(0, g.channels) as k:
                place = w.at(start, w.times(k, g.channel), dtype)
                value = w.set(f"load {TYPES[dtype]}, ptr {place}")
                w.do(f"store {TYPES[dtype]} {value}, ptr {w.at(there, k, dtype)}")
    names = ("a", "zeros", "table", "taps", "scratch")
    parameters = ", ".join(f"ptr noalias %{x}" for x in names)
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
            given = f"ptr {a}, ptr %zeros, ptr %table, ptr @{name}.taps, ptr %scratch, i64 {rows}"
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
        gathered = GatherTile(tile, g.channel == 1, ahead)
        shared.add(gathered)
        first = w.set(f"getelementptr [4 x i32], ptr %table, i64 {mm}")
        more = ""
        if ahead:
            done = w.plus(w.times(nn, rows), w.times(mm, tile.columns))
            part = -(-tile.rows * tile.columns // len(g.taps))
            far = rows // g.rows * g.image * BYTES[dtype]
            begin, lines = _share(w, a, far, done, (part, kernel.n * rows))
            more = f", ptr {begin}, i64 {lines}"
        w.do(
            f"call void @{gathered.name}(ptr {a}, ptr %zeros, ptr {first}, ptr {right}, "
            f"ptr {target}, ptr @{name}.taps, i64 {len(g.taps)}, i64 {g.channels}, "
            f"i64 {g.channel}, i64 {kernel.b}, i32 {g.size[0]}, i32 {g.size[1]}{more})"
        )

    _each_group(w, kernel, (g.image, 0, kernel.c_image), group)
    names = ["a", "b", "c", "table", "zeros", *(["scratch"] if kernel.copies else [])]
    texts = [w.function(name, ", ".join(f"ptr noalias %{x}" for x in names), "noinline")]
    texts += [_copy_text(kernel, name, len(g.taps), registers)] if kernel.copies else []
    return [*texts, _taps(name, g)], shared


def weights_text(
    kernel: GatherWeights, name: str, registers: Registers
) -> tuple[list[str], set[Tile | GatherTile]]:
    """The function `name(a, g, c, table, zeros, scratch)`, what it needs, and shared tiles."""
    g, w, dtype = kernel.geometry, Writer(), kernel.dtype
    shared = set[Tile | GatherTile]()
    lanes, height = registers.lanes(dtype), kernel.copied * g.channels
    tall, wide = tile_shape(height, kernel.n, dtype, registers)
    ahead = g.images * g.image * BYTES[dtype] >= AHEAD
    whole = len(g.taps) * g.channels

    def group(offsets: list[str], rows: int) -> None:
        a, right, c = (w.at(f"%{x}", o, dtype) for x, o in zip("agc", offsets, strict=True))
        next_images = [(a, rows // g.rows * g.image), (right, rows // g.rows * kernel.g_image)]
        for r, r_last, depth in pieces(rows, kernel.depth):
            with w.loop(r, r_last, depth) as first, w.loop(0, len(g.taps), kernel.copied) as tap:
                copy(a, first, tap, depth)
                for m, m_last, tile_rows in pieces(height, tall):
                    with w.loop(m, m_last, tile_rows) as mm:
                        line = w.plus(w.times(tap, g.channels), mm)
                        if ahead:
                            done = w.plus(w.times(first, whole), w.times(line, depth))
                            for start, far in next_images:
                                share = depth * tile_rows, rows * whole
                                _ask(w, *_share(w, start, far * BYTES[dtype], done, share))
                        there = w.at(right, w.times(first, kernel.g_row), dtype)
                        target = w.at(c, w.times(line, kernel.n), dtype)
                        tiles(w.at("%scratch", mm, dtype), there, target, tile_rows, depth)

    def copy(a: str, first: str, tap: str, depth: int) -> None:
        """Copy what some taps see of windows to scratch."""
        table = w.set(f"getelementptr [4 x i32], ptr %table, i64 {first}")
        taps = w.set(f"getelementptr [4 x i32], ptr @{name}.taps, i64 {tap}")
        given = f"ptr %zeros, ptr {table}, ptr {taps}, ptr %scratch, i64 {depth}"
        w.do(f"call void @{name}.copy(ptr {a}, {given})")

    def tiles(left: str, right: str, target: str, rows: int, depth: int) -> None:
        """Add the products of some lines of scratch with all columns of gradients."""
        for n, n_last, columns in pieces(kernel.n, wide):
            with w.loop(n, n_last, columns) as nn:
                tile = Tile(dtype, rows, columns, lanes, True)
                shared.add(tile)
                there, c = w.at(right, nn, dtype), w.at(target, nn, dtype)
                w.do(
                    f"call void @{tile.name}(ptr {left}, i64 1, i64 {height}, ptr {there}, "
                    f"i64 {kernel.g_row}, ptr {c}, i64 {kernel.n}, i64 {depth})"
                )

    _each_group(w, kernel, (g.image, kernel.g_image, 0), group)
    names = ["a", "g", "c", "table", "zeros", "scratch"]
    texts = [w.function(name, ", ".join(f"ptr noalias %{x}" for x in names), "noinline")]
    return [*texts, _taps(name, g), _copy_text(kernel, name, kernel.copied, registers)], shared


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
