"""Products and convolutions as CUDA kernels: instances of one tiled product on matrices that are
plain, or gathered from windows of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.gpu import loops
from kernels.gpu.launch import TYPES, Launch, parameters
from kernels.loops import Loop, Op
from kernels.native.products import Product
from kernels.native.program import work
from kernels.native.text import BYTES
from kernels.native.windows import Gather, GatherWeights, Geometry

TILES = (
    (128, 64, 16, 8, 4),
    (64, 64, 16, 4, 4),
    (64, 16, 16, 4, 1),
    (16, 64, 16, 1, 4),
    (16, 16, 16, 1, 1),
)
"""Rows, columns and terms of a block's tile, and rows and columns of a thread's: 256 threads."""
BUSY = 132 * 2
"""Blocks that keep all multiprocessors busy."""
PART = 128
"""Terms that are worth a block of their own."""


def tile_for(m: int, n: int, stack: int = 1) -> tuple[int, int, int, int, int]:
    """The largest tile that a result fills three quarters of in each direction. The largest of all
    only where there are tiles of it for all multiprocessors."""
    fits = [t for t in TILES if _fills(m, t[0]) and _fills(n, t[1])]
    if fits[0] == TILES[0] and -(-m // TILES[0][0]) * -(-n // TILES[0][1]) * stack < BUSY:
        return TILES[1]
    return fits[0]


def _fills(size: int, side: int) -> bool:
    return 4 * size >= 3 * side or side == TILES[-1][0]


def wanted_parts(kernel: Product | GatherWeights) -> int:
    """In how many parts the terms of a product are best added up: more than one where its result
    has too few tiles to keep all multiprocessors busy."""
    (m, n, k), stack = _size(kernel)
    tile = tile_for(m, n, stack)
    tiles = -(-m // tile[0]) * -(-n // tile[1]) * stack
    return max(1, min(-(-BUSY // tiles), k // PART))


def _size(kernel: Product | GatherWeights) -> tuple[tuple[int, int, int], int]:
    """Rows, columns and terms, and how many such products."""
    if isinstance(kernel, Product):
        return (kernel.m, kernel.n, kernel.k), math.prod(kernel.stack)
    g = kernel.geometry
    return (len(g.taps) * g.channels, kernel.n, g.images * g.rows), kernel.stack


def product_launch(product: Product, name: str) -> Launch:
    """C = A·B, or C += A·B, for a stack of matrices. Operands: A, B, C."""
    p, t = product, TYPES[product.dtype]
    adds = str(p.accumulate).lower()
    c = f"const Result<{t}, {p.c[-1]}, {adds}> c = {{b2{_stacked(p.stack, p.c)}}};"
    return _product_launch(p, name, c)


def _product_launch(p: Product, name: str, c: str, parts: int = 1) -> Launch:
    """The product with a result that a line of code names."""
    size, types = (p.m, p.n, p.k), dict.fromkeys(range(3), TYPES[p.dtype])
    return _launch(name, p.dtype, size, math.prod(p.stack), [*_factors(p), c], types, "", parts)


def _factors(p: Product) -> list[str]:
    t = TYPES[p.dtype]
    return [
        f"const Left<{t}, {p.a[-2]}, {p.a[-1]}> a = {{b0{_stacked(p.stack, p.a)}}};",
        f"const Right<{t}, {p.b[-2]}, {p.b[-1]}> b = {{b1{_stacked(p.stack, p.b)}}};",
    ]


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


def product_then_launch(kernel: ProductThen, name: str) -> Launch:
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
    matrices = [*_factors(p), f"const {name}_result c = {{{given}}};"]
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


def in_parts_launch(kernel: InParts, name: str) -> Launch:
    """The kernel, with as many blocks for each tile as there are parts."""
    inner, parts = kernel.kernel, kernel.parts
    m, n, _ = _size(inner)[0]
    c = f"const Result<{TYPES[inner.dtype]}, {n}, false> c = {{b2 + {m * n}LL * blockIdx.z}};"
    if isinstance(inner, Product):
        return _product_launch(inner, name, c, parts)
    return _weights_launch(inner, name, c, parts)


def gather_launch(gather: Gather, name: str) -> Launch:
    """Windows of images by filters. Operands: images, filters, result, table, zeros."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, c = gather.stacked
    matrices = [
        f"const Windows<{t}, {kind}> a = {{b0 + {a}LL * stacked, b3}};",
        f"const Filters<{t}, {kind}, {gather.b}> b = {{b1 + {b}LL * stacked}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.c_image}LL> c = "
        f"{{b2 + {c}LL * stacked, b3}};",
    ]
    size = g.images * g.rows, gather.n, len(g.taps) * g.channels
    types = {**dict.fromkeys(range(3), t), 3: "const int"}
    return _launch(name, gather.dtype, size, gather.stack, matrices, types, _geometry_text(g, kind))


def weights_launch(gather: GatherWeights, name: str) -> Launch:
    """Adds the gradient by filters. Operands: images, the result's gradient, filters, table,
    zeros."""
    t, c = TYPES[gather.dtype], gather.stacked[2]
    result = f"const Result<{t}, {gather.n}, true> c = {{b2 + {c}LL * stacked}};"
    return _weights_launch(gather, name, result)


def _weights_launch(gather: GatherWeights, name: str, c: str, parts: int = 1) -> Launch:
    """The gradient with a result that a line of code names."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, _ = gather.stacked
    matrices = [
        f"const TurnedWindows<{t}, {kind}> a = {{{{b0 + {a}LL * stacked, b3}}}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.g_image}LL> b = "
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
    tile = tile_for(m, n, stack)
    t = TYPES[dtype]
    given, pointers = parameters(types)
    rows, columns = -(-m // tile[0]), -(-n // tile[1])
    threads = tile[0] // tile[3] * (tile[1] // tile[4])
    each = -(-k // (parts * tile[2])) * tile[2]
    first = f"(int)(blockIdx.z / {stack}) * {each}" if parts > 1 else "0"
    last = f"minimum({k}, {first} + {each})" if parts > 1 else str(k)
    lines = [
        f'{before}extern "C" __global__ void __launch_bounds__({threads}) {name}({given}) {{',
        f"    const unsigned stacked = blockIdx.z{f' % {stack}' if parts > 1 else ''};",
        *(f"    {line}" for line in (*pointers, *matrices)),
        f"    tile_product<{t}, {', '.join(map(str, tile))}>(a, b, c, {m}, {n}, {first}, {last});",
        "}",
    ]
    return Launch(name, "\n".join(lines), tuple(types), (columns, rows, stack * parts), threads)


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
    return f"""static __device__ const int {name}_taps[{len(g.taps)}][4] = {{{taps}}};
struct {name} {{
    static constexpr int ROWS = {g.group * g.rows}, CHANNELS = {g.channels};
    static constexpr unsigned HEIGHT = {height}, WIDTH = {width};
    static constexpr int64 GROUP = {group}LL, CHANNEL = {g.channel};
    static INLINE const int* tap(int t) {{ return {name}_taps[t]; }}
}};
"""
