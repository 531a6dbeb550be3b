"""Products and convolutions as CUDA kernels: instances of one tiled product on matrices that are
plain, or gathered from windows of images."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kernels.gpu import loops
from kernels.gpu.launch import ALIGNMENT, TYPES, Launch, parameters
from kernels.loops import Loop, Op
from kernels.native.products import Product
from kernels.native.program import work
from kernels.native.text import BYTES
from kernels.native.windows import Gather, GatherWeights, Geometry


class Tile(NamedTuple):
    """How a block computes a part of a result.

    Attributes:
        rows: of the part.
        columns: of the part.
        terms: that are in shared memory at a time, of four bytes each.
        high: rows of the part that a thread computes.
        wide: columns of it.
        rate: share of the multiprocessor's arithmetic that is reached, with enough such blocks.
    """

    rows: int
    columns: int
    terms: int
    high: int
    wide: int
    rate: float

    @property
    def threads(self) -> int:
        return self.rows // self.high * (self.columns // self.wide)

    @property
    def has_warps(self) -> bool:
        """Whether its warps can share it out in parts of 16×8, as tensor cores take them."""
        warps = self.threads // loops.WARP
        down = math.gcd(self.rows // 16, warps)
        return self.columns // 8 % (warps // down) == 0


TILES = (
    Tile(128, 64, 16, 8, 8, 0.7),
    Tile(64, 64, 16, 4, 8, 0.55),
    Tile(128, 32, 16, 8, 4, 0.55),
    Tile(80, 64, 16, 5, 4, 0.5),  # 15 queries of each of 5 ways
    Tile(64, 32, 16, 4, 4, 0.45),
    Tile(32, 64, 16, 4, 4, 0.45),
    Tile(32, 32, 32, 4, 4, 0.3),
    Tile(64, 16, 32, 4, 2, 0.25),
    Tile(16, 64, 32, 2, 4, 0.25),
    Tile(16, 16, 64, 1, 1, 0.1),
)
MULTIPROCESSORS = 132
BUSY = 2 * MULTIPROCESSORS
"""Blocks that keep all multiprocessors busy."""
PART = 128
"""Terms that are worth a block of their own."""
FEW_TAPS = 128
"""Of a window, that the memory for constants has room for, with those of some other kernels."""


PRECISIONS = {"float32": 0, "tf32": 1, "3xtf32": 3}
"""How float32 is multiplied → products of tensor cores for each: none, one of factors rounded to 11
bits (relative error of some 5e-4 a factor), or three, which are as exact as float32."""


def tensor_products() -> int:
    """As ``METAGRAD_GPU_PRODUCTS`` says; without it one where ``CUPY_TF32`` is 1, else none.

    Raises:
        ValueError: it says something else.
    """
    told = "tf32" if os.environ.get("CUPY_TF32") == "1" else "float32"
    wanted = os.environ.get("METAGRAD_GPU_PRODUCTS", told)
    if wanted not in PRECISIONS:
        raise ValueError(f"METAGRAD_GPU_PRODUCTS={wanted}: expected one of {', '.join(PRECISIONS)}")
    return PRECISIONS[wanted]


class Schedule(NamedTuple):
    """The tile of a product, and in how many parts its terms are added up."""

    tile: Tile
    parts: int


def schedule_for(size: tuple[int, int, int], stack: int, parts: int | None = None) -> Schedule:
    """The quickest by an estimate: of the multiprocessor that has most to do, the terms of its
    blocks over the rate at which these take them.

    Args:
        size: rows, columns and terms.
        parts: so many; None for more than one where the result has too few tiles to keep all
            multiprocessors busy.
    """
    m, n, k = size

    def estimate(tile: Tile) -> tuple[float, Schedule]:
        tiles = -(-m // tile.rows) * -(-n // tile.columns) * stack
        shared = parts or max(1, min(-(-BUSY // tiles), k // PART))
        blocks = -(-tiles * shared // MULTIPROCESSORS)
        busy = min(1.0, blocks * tile.threads / 256)
        seconds = blocks * tile.rows * tile.columns * (k / shared) / (tile.rate * busy)
        return seconds, Schedule(tile, shared)

    return min(map(estimate, TILES), key=lambda found: found[0])[1]


def wanted_parts(kernel: Product | GatherWeights) -> int:
    """In how many parts the terms of a product are best added up."""
    return schedule_for(*_size(kernel)).parts


def _size(kernel: Product | GatherWeights) -> tuple[tuple[int, int, int], int]:
    """Rows, columns and terms, and how many such products."""
    if isinstance(kernel, Product):
        return (kernel.m, kernel.n, kernel.k), math.prod(kernel.stack)
    g = kernel.geometry
    return (len(g.taps) * g.channels, kernel.n, g.images * g.rows), kernel.stack


def product_launch(product: Product, name: str, aligned: bool = True) -> Launch:
    """C = A·B, or C += A·B, for a stack of matrices. Operands: A, B, C.

    Args:
        aligned: whether A and B begin where several entries can be read at once; the same below.
    """
    p, t = product, TYPES[product.dtype]
    adds = str(p.accumulate).lower()
    c = f"const Result<{t}, {p.c[-1]}, {adds}> c = {{b2{_stacked(p.stack, p.c)}}};"
    return _product_launch(p, name, c, aligned)


def _product_launch(p: Product, name: str, c: str, aligned: bool, parts: int = 1) -> Launch:
    """The product with a result that a line of code names."""
    size, types = (p.m, p.n, p.k), dict.fromkeys(range(3), TYPES[p.dtype])
    matrices = [*_factors(p, aligned), c]
    return _launch(name, p.dtype, size, math.prod(p.stack), matrices, types, "", parts)


def _factors(p: Product, aligned: bool) -> list[str]:
    t = TYPES[p.dtype]
    along = p.a[-2] if p.a[-1] == 1 else p.a[-1]
    a = _several(p.dtype, aligned and 1 in p.a[-2:], *p.a[:-2], along)
    b = _several(p.dtype, aligned and p.b[-1] == 1, *p.b[:-1])
    return [
        f"const Left<{t}, {p.a[-2]}, {p.a[-1]}, {a}> a = {{b0{_stacked(p.stack, p.a)}}};",
        f"const Right<{t}, {p.b[-2]}, {p.b[-1]}, {b}> b = {{b1{_stacked(p.stack, p.b)}}};",
    ]


def _several(dtype: str, aligned: bool, *strides: int) -> int:
    """How many neighbouring entries are read at once: as many as 16 bytes have, if all that is read
    begins at a multiple of them."""
    several = ALIGNMENT // BYTES[dtype]
    return several if aligned and all(s % several == 0 for s in strides) else 1


@dataclass(frozen=True)
class ProductThen:
    """A product whose entries go through a loop, point by point, instead of to memory.

    Attributes:
        loop: without reductions. What it loads of buffer `GIVEN` are the entries, which it runs
            through once; its other buffers are operands from 2 on, behind the product's A and B.
    """

    product: Product
    loop: Loop

    @property
    def work(self) -> tuple[int, int]:
        """Floating-point operations, and bytes read and written."""
        p, loop = self.product, self.loop
        flops, moved = work(p)
        others = loop._replace(body=tuple(x for x in loop.body if x.__class__ is not Op))
        between = 2 * p.flops // (2 * p.k) * BYTES[p.dtype]  # neither written nor read
        return flops + work(loop)[0], moved + work(others)[1] - between


def product_then_launch(kernel: ProductThen, name: str, aligned: bool = True) -> Launch:
    """A product and a loop on its result. Operands: A, B, and those of the loop."""
    p, t = kernel.product, TYPES[kernel.product.dtype]
    lines, dtypes = loops.entry_lines(kernel.loop)
    types = {0: t, 1: t, **{n: TYPES[dtype] for n, dtype in dtypes.items()}}
    members = "".join(f"    {TYPES[dtype]}* b{n};\n" for n, dtype in dtypes.items())
    body = "\n".join(f"        {line}" for line in lines)
    before = f"""struct {name}_result {{
{members}    int64 first;
    INLINE void put(int r, int n, {t} x) const {{
        const int64 e = first + r * {p.c[-1]}LL + n;
{body}
    }}
}};
"""
    given = ", ".join([*(f"b{n}" for n in dtypes), f"0{_stacked(p.stack, p.c)}"])
    matrices = [*_factors(p, aligned), f"const {name}_result c = {{{given}}};"]
    size = p.m, p.n, p.k
    return _launch(name, p.dtype, size, math.prod(p.stack), matrices, types, before)


@dataclass(frozen=True)
class InParts:
    """A product, or a gradient by filters, whose terms are shared out: each part of them has a
    result of its own. Operands: those of the kernel, but for its result the parts of it, without
    gaps, the number of the part the slowest axis. Nothing is added to what lies there."""

    kernel: Product | GatherWeights
    parts: int

    @property
    def work(self) -> tuple[int, int]:
        """Floating-point operations, and bytes read and written."""
        (m, n, _), stack = _size(self.kernel)
        flops, moved = work(self.kernel)
        return flops, moved + (self.parts - 1) * stack * m * n * BYTES[self.kernel.dtype]


def result_of(kernel: Product | GatherWeights) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """The result's shape and strides, and whether the kernel adds to what lies there."""
    if isinstance(kernel, Product):
        return (*kernel.stack, kernel.m, kernel.n), (*kernel.c, 1), kernel.accumulate
    (m, n, _), stack = _size(kernel)
    return (stack, m, n), (kernel.stacked[2], n, 1), True


def in_parts_launch(kernel: InParts, name: str, aligned: bool = True) -> Launch:
    """The kernel, with as many blocks for each tile as there are parts."""
    inner, parts = kernel.kernel, kernel.parts
    m, n, _ = _size(inner)[0]
    c = f"const Result<{TYPES[inner.dtype]}, {n}, false> c = {{b2 + {m * n}LL * blockIdx.z}};"
    if isinstance(inner, Product):
        return _product_launch(inner, name, c, aligned, parts)
    return _weights_launch(inner, name, c, aligned, parts)


def gather_launch(gather: Gather, name: str, aligned: bool = True) -> Launch:
    """Windows of images by filters. Operands: images, filters, result, table, zeros."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, c = gather.stacked
    weights = [tap.weights for tap in g.taps]
    several_a = _several_channels(g, gather.dtype, aligned, a)
    several_b = _several(gather.dtype, aligned, b, gather.b, *weights)
    matrices = [
        f"const Windows<{t}, {kind}, {several_a}> a = {{b0 + {a}LL * stacked, b3}};",
        f"const Filters<{t}, {kind}, {gather.b}, {several_b}> b = {{b1 + {b}LL * stacked}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.c_image}LL, 1> c = "
        f"{{b2 + {c}LL * stacked, b3}};",
    ]
    size = g.images * g.rows, gather.n, len(g.taps) * g.channels
    types = {**dict.fromkeys(range(3), t), 3: "const int"}
    return _launch(name, gather.dtype, size, gather.stack, matrices, types, _geometry_text(g, kind))


def _several_channels(g: Geometry, dtype: str, aligned: bool, stacked: int) -> int:
    """How many channels of a pixel are read at once."""
    strides = g.channels, g.image, g.line, g.pixel, stacked
    return _several(dtype, aligned and g.channel == 1, *strides)


def weights_launch(gather: GatherWeights, name: str, aligned: bool = True) -> Launch:
    """Adds the gradient by filters. Operands: images, the result's gradient, filters, table,
    zeros."""
    t, c = TYPES[gather.dtype], gather.stacked[2]
    result = f"const Result<{t}, {gather.n}, true> c = {{b2 + {c}LL * stacked}};"
    return _weights_launch(gather, name, result, aligned)


def _weights_launch(
    gather: GatherWeights, name: str, c: str, aligned: bool, parts: int = 1
) -> Launch:
    """The gradient with a result that a line of code names."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, _ = gather.stacked
    several_a = _several_channels(g, gather.dtype, aligned, a)
    # Rows that do not lie evenly may begin anywhere.
    even = aligned and gather.g_row > 0
    several_b = _several(gather.dtype, even, b, gather.g_row, gather.g_image)
    matrices = [
        f"const TurnedWindows<{t}, {kind}, {several_a}> a = {{{{b0 + {a}LL * stacked, b3}}}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.g_image}LL, {several_b}> b = "
        f"{{b1 + {b}LL * stacked, b3}};",
        c,
    ]
    size, stack = _size(gather)
    types = {**dict.fromkeys(range(3), t), 3: "const int"}
    text = _geometry_text(g, kind)
    return _launch(name, gather.dtype, size, stack, matrices, types, text, parts)


def _launch(
    name: str,
    dtype: str,
    size: tuple[int, int, int],
    stack: int,
    matrices: Sequence[str],
    types: dict[int, str],
    before: str = "",
    parts: int = 1,
) -> Launch:
    """A kernel that multiplies `matrices` a, b and c.

    Args:
        types: what its operands point to.
        before: stands before the kernel.
        parts: in how many the terms are shared out; blocks of one part lie behind those of another.
    """
    m, n, k = size
    tile = schedule_for(size, stack, parts).tile
    tensor = tensor_products() if dtype == "f4" and tile.has_warps else 0
    least = 8 if tensor else ALIGNMENT // BYTES[dtype]
    few = 1 << (max(k, least) - 1).bit_length()  # no more than there are
    terms = min(tile.terms * 4 // BYTES[dtype], few)
    sizes = tile.rows, tile.columns, terms, tile.high, tile.wide, tensor
    given, pointers = parameters(types)
    rows, columns = -(-m // tile.rows), -(-n // tile.columns)
    each = -(-k // (parts * terms)) * terms
    first = f"(int)(blockIdx.z / {stack}) * {each}" if parts > 1 else "0"
    last = f"minimum({k}, {first} + {each})" if parts > 1 else str(k)
    head = f'extern "C" __global__ void __launch_bounds__({tile.threads}) {name}({given})'
    lines = [
        f"{before}{head} {{",
        f"    const unsigned stacked = blockIdx.z{f' % {stack}' if parts > 1 else ''};",
        *(f"    {line}" for line in (*pointers, *matrices)),
        f"    tile_product<{TYPES[dtype]}, {', '.join(map(str, sizes))}>"
        f"(a, b, c, {m}, {n}, {first}, {last});",
        "}",
    ]
    grid = (columns, rows, stack * parts)
    return Launch(name, "\n".join(lines), tuple(types), grid, tile.threads)


def _stacked(stack: Sequence[int], strides: Sequence[int]) -> str:
    """How far the matrices of this block's product lie behind the first."""
    said, left = "", "stacked"
    for n, stride in zip(reversed(stack), reversed(strides[: len(stack)]), strict=True):
        if stride and n > 1:
            said += f" + {stride}LL * ({left} % {n})"
        left = f"({left} / {n})"
    return said


def _geometry_text(g: Geometry, name: str) -> str:
    """The sizes of windows and images as a type."""
    taps = ", ".join(
        f"{{{t.down}, {t.right}, {t.down * g.line + t.right * g.pixel}, {t.weights}}}"
        for t in g.taps
    )
    (height, width), group = g.size, g.group * g.image
    where = "__constant__" if len(g.taps) <= FEW_TAPS else "static __device__ const"
    return f"""{where} int {name}_taps[{len(g.taps)}][4] = {{{taps}}};
struct {name} {{
    static constexpr int ROWS = {g.group * g.rows}, CHANNELS = {g.channels};
    static constexpr unsigned HEIGHT = {height}, WIDTH = {width};
    static constexpr int64 GROUP = {group}LL, CHANNEL = {g.channel};
    static INLINE const int* tap(int t) {{ return {name}_taps[t]; }}
}};
"""
