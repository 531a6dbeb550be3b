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

TILES = ((64, 64, 16, 4, 4), (64, 16, 16, 4, 1), (16, 64, 16, 1, 4), (16, 16, 16, 1, 1))
"""Rows, columns and terms of a block's tile, and rows and columns of a thread's: 256 threads."""


def tile_for(m: int, n: int) -> tuple[int, int, int, int, int]:
    """The largest tile that a result fills at least to three quarters in each direction, if any."""
    fits = [t for t in TILES if 4 * m >= 3 * t[0] and 4 * n >= 3 * t[1]]
    return fits[0] if fits else TILES[-1]


def product_launch(product: Product, name: str) -> Launch:
    """C = A·B, or C += A·B, for a stack of matrices. Operands: A, B, C."""
    p, t = product, TYPES[product.dtype]
    matrices = [
        *_factors(p),
        f"const Result<{t}, {p.c[-1]}, {str(p.accumulate).lower()}> c = "
        f"{{b2{_stacked(p.stack, p.c)}}};",
    ]
    types = dict.fromkeys(range(3), t)
    return _launch(name, p.dtype, (p.m, p.n, p.k), math.prod(p.stack), matrices, types)


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


def gather_launch(gather: Gather, name: str) -> Launch:
    """Windows of images by filters. Operands: images, filters, result, table, zeros."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, c = gather.stacked
    matrices = [
        f"const Windows<{t}, {kind}> a = {{b0 + {a}LL * blockIdx.z, b3}};",
        f"const Filters<{t}, {kind}, {gather.b}> b = {{b1 + {b}LL * blockIdx.z}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.c_image}LL> c = "
        f"{{b2 + {c}LL * blockIdx.z, b3}};",
    ]
    size = g.images * g.rows, gather.n, len(g.taps) * g.channels
    types = {**dict.fromkeys(range(3), t), 3: "const int"}
    return _launch(name, gather.dtype, size, gather.stack, matrices, types, _geometry_text(g, kind))


def weights_launch(gather: GatherWeights, name: str) -> Launch:
    """Adds the gradient by filters. Operands: images, the result's gradient, filters, table,
    zeros."""
    g, t, kind = gather.geometry, TYPES[gather.dtype], f"{name}_geometry"
    a, b, c = gather.stacked
    matrices = [
        f"const TurnedWindows<{t}, {kind}> a = {{{{b0 + {a}LL * blockIdx.z, b3}}}};",
        f"const TableRows<{t}, {kind}, {g.group * gather.g_image}LL> b = "
        f"{{b1 + {b}LL * blockIdx.z, b3}};",
        f"const Result<{t}, {gather.n}, true> c = {{b2 + {c}LL * blockIdx.z}};",
    ]
    size = len(g.taps) * g.channels, gather.n, g.images * g.rows
    types = {**dict.fromkeys(range(3), t), 3: "const int"}
    return _launch(name, gather.dtype, size, gather.stack, matrices, types, _geometry_text(g, kind))


def _launch(
    name: str,
    dtype: str,
    size: tuple[int, int, int],
    stack: int,
    matrices: Sequence[str],
    types: dict[int, str],
    before: str = "",
) -> Launch:
    """A kernel that multiplies `matrices` a, b and c.

    Args:
        types: what its operands point to.
        before: stands before the kernel.
    """
    m, n, k = size
    tile = tile_for(m, n)
    t = TYPES[dtype]
    given, pointers = parameters(types)
    rows, columns = -(-m // tile[0]), -(-n // tile[1])
    threads = tile[0] // tile[3] * (tile[1] // tile[4])
    lines = [
        f'{before}extern "C" __global__ void __launch_bounds__({threads}) {name}({given}) {{',
        *(f"    {line}" for line in (*pointers, *matrices)),
        f"    tile_product<{t}, {', '.join(map(str, tile))}>(a, b, c, {m}, {n}, {k});",
        "}",
    ]
    return Launch(name, "\n".join(lines), tuple(types), (columns, rows, stack), threads)


def _stacked(stack: Sequence[int], strides: Sequence[int]) -> str:
    """How far the matrices of this block's product lie behind the first."""
    said, left = "", "blockIdx.z"
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
