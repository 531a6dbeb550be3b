"""Programs: calls of kernels on fixed places of memory, compiled into one function."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.loops import Loop
from kernels.native import maths, nests, products
from kernels.native.machine import compile_text, load, machine, registers
from kernels.native.products import Product, Tile, product_text, tile_text
from kernels.native.text import Writer
from kernels.native.windows import Gather, GatherWeights, gather_text, weights_text

Kernel = Loop | Product | Gather | GatherWeights

WRITERS = {Product: product_text, Gather: gather_text, GatherWeights: weights_text}
"""What writes the functions of a kernel, and says which tiles it shares with others."""


@dataclass(frozen=True)
class Call:
    """A kernel, and the places that it works on: pairs of a buffer's number and bytes behind its
    start, in the order of the kernel's parameters."""

    kernel: Kernel
    places: tuple[tuple[int, int], ...]


class Native:
    """Calls in turn, as one function of a table of pointers.

    Args:
        calls: the kernels to run.
        steps: for each buffer by how many bytes it moves from one turn to the next.
    """

    def __init__(self, calls: Sequence[Call], steps: Sequence[int]):
        self.text = program_text(calls, steps)
        self._engine = load(compile_text(self.text))
        address = self._engine.get_function_address("run")
        self.run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
        """`run(table, first, last)`: the turns from first to below last."""


def program_text(calls: Sequence[Call], steps: Sequence[int]) -> str:
    """The module of a program."""
    names: dict[Kernel, str] = {}
    for call in calls:
        names.setdefault(call.kernel, f"kernel{len(names)}")
    functions, tiles, used = [], dict[Tile, None](), set[str]()
    vectors = set[tuple[str, int]]()
    for kernel, name in names.items():
        if isinstance(kernel, Loop):
            functions.append(nests.nest_text(kernel, name))
            used.update(f"{op.name}.{op.dtype}" for op in kernel.body if hasattr(op, "name"))
            continue
        texts, needed = WRITERS[type(kernel)](kernel, name, registers())
        functions += texts
        tiles.update(dict.fromkeys(sorted(needed, key=lambda t: t.name)))
        vectors.add((kernel.dtype, registers().lanes(kernel.dtype)))
    functions.append(_run(calls, steps, names))
    functions += map(tile_text, tiles)
    for name in maths.FUNCTIONS:
        functions += [maths.text(name, d) for d in ("f4", "f8") if f"{name}.{d}" in used]
    functions.append(nests.declarations())
    functions += [products.declarations(dtype, lanes) for dtype, lanes in sorted(vectors)]
    return "\n\n".join(functions)


def _run(calls: Sequence[Call], steps: Sequence[int], names: dict[Kernel, str]) -> str:
    w = Writer()
    bases = []
    for number in range(len(steps)):
        place = w.set(f"getelementptr ptr, ptr %table, i64 {number}")
        bases.append(w.set(f"load ptr, ptr {place}"))
    with w.loop("%first", "%last") as turn:
        here = [
            w.set(f"getelementptr i8, ptr {base}, i64 {w.times(turn, step)}") if step else base
            for base, step in zip(bases, steps, strict=True)
        ]
        for call in calls:
            given = (
                f"ptr {w.set(f'getelementptr i8, ptr {here[b]}, i64 {far}') if far else here[b]}"
                for b, far in call.places
            )
            w.do(f"call void @{names[call.kernel]}({', '.join(given)})")
    text = w.function("run", "ptr %table, i64 %first, i64 %last")
    return text.replace("define internal", "define", 1)
