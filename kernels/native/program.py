"""Programs: calls of kernels on fixed places of memory, compiled into a few functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernels.loops import Loop, of_any_length
from kernels.native import cache, maths, nests, vectors
from kernels.native.machine import compile_text, key_of, load, registers
from kernels.native.packing import Turn
from kernels.native.products import Product, Tile, product_text
from kernels.native.text import BYTES, Writer
from kernels.native.windows import Gather, GatherTile, GatherWeights, gather_text, weights_text


@dataclass(frozen=True)
class Repeat:
    """Calls one after the other, `turns` times. A call is a kernel and the places that it works
    on: a parameter's number, bytes behind the address in it, and how many more in each turn."""

    calls: tuple[tuple[Kernel, tuple[tuple[int, int, int], ...]], ...]
    turns: int

    @property
    def parameters(self) -> int:
        return 1 + max((p for _, places in self.calls for p, _, _ in places), default=-1)


Kernel = Loop | Product | Gather | GatherWeights | Repeat

WRITERS: dict[type, Callable] = {
    Loop: nests.nest_text,
    Product: product_text,
    Gather: gather_text,
    GatherWeights: weights_text,
}
"""What writes the functions of a kernel, and says which tiles it shares with others."""


@dataclass(frozen=True)
class Call:
    """A kernel, and the places that it works on: pairs of a slot of the table of pointers and bytes
    behind the address in it, in the order of the kernel's parameters."""

    kernel: Kernel
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Routine:
    """Calls in turn; `moves` says by how many bytes the addresses in some slots move from one turn
    to the next."""

    calls: tuple[Call, ...]
    moves: tuple[tuple[int, int], ...] = ()


Run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""A routine as machine code, `(table, first, last)`: it takes the turns from first to below
last."""


class Native:
    """Routines as machine code.

    Args:
        code: an object file.
        count: how many routines it has.

    Attributes:
        run: a function for each routine.
    """

    def __init__(self, code: bytes, count: int):
        self._engine = load(code)
        find = self._engine.get_function_address
        self.run = [Run(find(f"routine{n}")) for n in range(count)]

    @classmethod
    def of(cls, routines: Sequence[Routine]) -> tuple[Native, str]:
        """Routines compiled, or found in the cache, and the name that they have there."""
        text = program_text(routines)
        name = key_of(text)
        return cls(cache.get(name, lambda: compile_text(text)), len(routines)), name

    @classmethod
    def named(cls, name: str, count: int) -> Native | None:
        """What the cache has under a name."""
        code = cache.find(name)
        return None if code is None else cls(code, count)


def program_text(routines: Sequence[Routine]) -> str:
    """The module of a program."""
    names: dict[Kernel, str] = {}

    def name_all(kernel: Kernel) -> None:
        for inner, _ in kernel.calls if isinstance(kernel, Repeat) else ():
            name_all(inner)
        names.setdefault(_written(kernel), f"kernel{len(names)}")

    for routine in routines:
        for call in routine.calls:
            name_all(call.kernel)
    functions, tiles, used = [], dict[Tile | GatherTile | Turn, None](), set[str]()
    kinds = set[tuple[str, int]]()
    for kernel, name in names.items():
        used.update(f"{op.name}.{op.dtype}" for op in getattr(kernel, "ops", ()))
        if isinstance(kernel, Repeat):
            functions.append(_repeat_text(kernel, name, names))
            continue
        texts, needed = WRITERS[type(kernel)](kernel, name, registers())
        functions += texts
        tiles.update(dict.fromkeys(sorted(needed, key=lambda t: t.name)))
        kinds |= {(tile.dtype, registers().lanes(tile.dtype)) for tile in needed}
    functions += [_routine_text(r, f"routine{n}", names) for n, r in enumerate(routines)]
    functions += [tile.text for tile in tiles]
    for name in maths.FUNCTIONS:
        functions += [maths.text(name, d) for d in ("f4", "f8") if f"{name}.{d}" in used]
    functions += [nests.declarations(), vectors.PREFETCH]
    functions += [vectors.declarations(dtype, lanes) for dtype, lanes in sorted(kinds)]
    return "\n\n".join(functions)


def _written(kernel: Kernel) -> Kernel:
    """What is written for a kernel: one function for equal loops of all lengths."""
    return (of_any_length(kernel) or kernel) if isinstance(kernel, Loop) else kernel


def _call(w: Writer, kernel: Kernel, names: dict[Kernel, str], given: Sequence[str]) -> None:
    written = _written(kernel)
    length = [f"i64 {kernel.shape[0]}"] if isinstance(kernel, Loop) and written != kernel else []
    w.do(f"call void @{names[written]}({', '.join([*given, *length])})")


def _routine_text(routine: Routine, name: str, names: dict[Kernel, str]) -> str:
    w = Writer()
    moves = dict(routine.moves)
    bases = {}
    for slot in sorted({slot for call in routine.calls for slot, _ in call.places}):
        place = w.set(f"getelementptr ptr, ptr %table, i64 {slot}")
        bases[slot] = w.set(f"load ptr, ptr {place}")
    with w.loop("%first", "%last") as turn:
        for slot, base in bases.items():
            if slot in moves:
                moved = w.times(turn, moves[slot])
                bases[slot] = w.set(f"getelementptr i8, ptr {base}, i64 {moved}")
        for call in routine.calls:
            given = [
                f"ptr {w.set(f'getelementptr i8, ptr {bases[s]}, i64 {far}') if far else bases[s]}"
                for s, far in call.places
            ]
            _call(w, call.kernel, names, given)
    text = w.function(name, "ptr %table, i64 %first, i64 %last")
    return text.replace("define internal", "define", 1)


def _repeat_text(kernel: Repeat, name: str, names: dict[Kernel, str]) -> str:
    w = Writer()
    with w.loop(0, kernel.turns) as turn:
        for inner, places in kernel.calls:
            given = []
            for parameter, far, move in places:
                offset = w.plus(str(far), w.times(turn, move)) if move else str(far)
                base = f"%p{parameter}"
                given.append(
                    base if offset == "0" else w.set(f"getelementptr i8, ptr {base}, i64 {offset}")
                )
            _call(w, inner, names, [f"ptr {x}" for x in given])
    parameters = ", ".join(f"ptr %p{n}" for n in range(kernel.parameters))
    return w.function(name, parameters, "noinline")


def work(kernel: Kernel) -> tuple[int, int]:
    """Floating-point operations, and bytes read and written where nothing is in a cache."""
    of_its_own = getattr(kernel, "work", None)  # another device's kernel
    if of_its_own is not None:
        return of_its_own
    if isinstance(kernel, Repeat):
        each = [work(inner) for inner, _ in kernel.calls]
        return tuple(kernel.turns * sum(x[k] for x in each) for k in (0, 1))  # type: ignore[return-value]
    if isinstance(kernel, Loop):
        size = kernel.size
        reached = 0
        for x in kernel.accesses:
            entries = 1
            for n, s in zip(kernel.shape, x.strides, strict=True):
                entries *= n if s else 1
            reached += entries * BYTES[x.dtype]
        return size * len(kernel.ops), reached
    if isinstance(kernel, Product):
        item, stack = BYTES[kernel.dtype], kernel.flops // (2 * kernel.m * kernel.n * kernel.k)
        m, n, k = kernel.m, kernel.n, kernel.k
        return kernel.flops, item * stack * (m * k + k * n + m * n)
    g, item = kernel.geometry, BYTES[kernel.dtype]
    images = kernel.stack * g.images
    pixels = images * g.size[0] * g.size[1] * g.channels + images * g.rows * kernel.n
    weights = kernel.stack * len(g.taps) * g.channels * kernel.n
    return kernel.flops, item * (pixels + weights)
