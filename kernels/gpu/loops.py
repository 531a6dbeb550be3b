"""Fused loops as CUDA kernels.

A loop without reductions is spread over all threads. In one that gathers, the axes it gathers over
run along the threads of a warp or a block where they are the fastest ones, so that neighbouring
threads read neighbouring entries; else neighbouring threads gather for neighbouring results. Sums
are joined in a fixed order: results repeat bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from kernels.gpu.launch import TYPES, Launch, parameters
from kernels.loops import Access, Constant, Loop, Op, Store

THREADS = 256
"""Of a block."""
MORE_THREADS = 512
"""Of a block that gathers, where there are few blocks."""
WARP = 32
INSIDE = 8
"""Terms of the last axes that a thread gathers one after the other: their indices take no
divisions, and what they load is on its way at the same time."""
SHORT = 512
"""Terms of a sum that one warp gathers; more of them take a block."""
SEVERAL = 4
"""Neighbouring entries that are read and written at once."""
MANY = 2**19
"""Entries of a loop, from which on memory is what it waits for."""
FEW_BLOCKS = 132 * 2
"""Fewer blocks leave multiprocessors idle."""
BUSY = 132 * 8
"""Blocks that keep all multiprocessors busy while most of them wait for memory."""
PART = 128
"""Terms that are worth a block of their own."""
MOST_BLOCKS = 132 * 16
"""Blocks of a launch: so many that each multiprocessor is busy, and loop over the rest."""

REDUCTIONS = {"sum": "Sum", "max": "Max", "min": "Min"}


def launch(loop: Loop, name: str, aligned: bool = True) -> Launch:
    """The kernel of a loop whose reductions, if any, are over the same axes.

    Args:
        aligned: whether all buffers begin where several entries can be read at once.

    Raises:
        ValueError: they are not; `alike` splits such a loop.
    """
    if len(patterns(loop)) > 1:
        raise ValueError("reductions over different axes have to be loops of their own")
    return _Kernel(loop, name, aligned and goes_by_several(loop)).launch()


def goes_by_several(loop: Loop) -> bool:
    """Whether a thread is best given some neighbouring entries, to read and write them at once:
    where there are many, and all accesses but those of one entry begin at multiples of so many."""
    moving = [a for a, n in enumerate(loop.shape) if n > 1]
    if loop.size < MANY or any(s.reduce for s in loop.stores):
        return False
    *others, last = moving

    def fits(x: Access) -> bool:
        far = x.offset, *(x.strides[a] for a in others)
        return x.strides[last] == 1 and all(s % SEVERAL == 0 for s in far)

    loads = [x for x in loop.loads if x.strides[last]]
    return loop.shape[last] % SEVERAL == 0 and all(
        map(fits, [*loads, *(s.access for s in loop.stores)])
    )


def patterns(loop: Loop) -> list[tuple[int, ...]]:
    """The axes that each reduction gathers over, without repetitions."""
    return list(dict.fromkeys(gathered(loop, s) for s in loop.stores if s.reduce))


def gathered(loop: Loop, store: Store) -> tuple[int, ...]:
    """The axes that a store gathers over."""
    strides = store.access.strides
    return tuple(a for a, n in enumerate(loop.shape) if n > 1 and strides[a] == 0)


def alike(loop: Loop) -> list[Loop]:
    """Loops that do the same together, each with reductions over the same axes: what is stored
    point by point goes with the first."""
    found: list[Loop] = []
    for pattern in patterns(loop) or [()]:
        mine = [s for s in loop.stores if (gathered(loop, s) == pattern if s.reduce else not found)]
        found.append(needed(loop, mine))
    return found


def needed(loop: Loop, stores: Sequence[Store]) -> Loop:
    """The loop with some of its stores, and no more of its body than they need."""
    wanted = {s.value for s in stores}
    for n in reversed(range(len(loop.body))):
        each = loop.body[n]
        if n in wanted and isinstance(each, Op):
            wanted |= {x for x in each.inputs if not isinstance(x, Constant)}
    number = {n: k for k, n in enumerate(sorted(wanted))}
    body = tuple(
        x._replace(inputs=tuple(i if isinstance(i, Constant) else number[i] for i in x.inputs))
        if isinstance(x, Op)
        else x
        for n, x in enumerate(loop.body)
        if n in wanted
    )
    return Loop(loop.shape, body, tuple(s._replace(value=number[s.value]) for s in stores))


def wanted_parts(loop: Loop) -> int:
    """In how many parts the terms of a loop's reductions are best gathered: more than one where
    there are many terms, and too few results to keep all multiprocessors busy."""
    kernel = _Kernel(loop, "")
    if not kernel.reduces or kernel.terms < 4 * PART:
        return 1
    per_block = 1 if kernel.runs_along_terms() else WARP
    return min(BUSY // -(-kernel.rows // per_block), kernel.terms // PART)


GIVEN = -1
"""The buffer of entries that are not loaded: they are `x` where a loop is part of a product."""


def entry_lines(loop: Loop) -> tuple[list[str], dict[int, str]]:
    """What a loop does with entry `e` of what it is given, whose value is `x`; and the dtypes of
    its other buffers. It runs through what it is given once."""
    kernel = _Kernel(loop, "")
    kernel.depth = 0
    (given,) = (a for a in loop.loads if a.buffer == GIVEN)
    for a, (length, stride) in enumerate(zip(loop.shape, given.strides, strict=True)):
        if length > 1:
            kernel.line(f"const {kernel.index} i{a} = e / {stride} % {length};")
    kernel.point()
    return kernel.lines, kernel.dtypes


class _Kernel:
    """Writes one kernel."""

    def __init__(self, loop: Loop, name: str, by_several: bool = False):
        self.loop, self.name, self.by_several = loop, name, by_several
        self.lines: list[str] = []
        self.depth = 1
        self.reduces = [s for s in loop.stores if s.reduce]
        found = patterns(loop)
        self.summed = list(found[0]) if found else []
        self.kept = [a for a in range(len(loop.shape)) if a not in self.summed]
        self.rows = math.prod(loop.shape[a] for a in self.kept)
        self.terms = math.prod(loop.shape[a] for a in self.summed)
        self.index = "int" if loop.size < 2**31 else "int64"
        dtypes: dict[int, str] = {}
        for x in loop.accesses:
            if x.buffer != GIVEN:
                dtypes[x.buffer] = x.dtype
        self.dtypes = dict(sorted(dtypes.items()))

    # Text -------------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def open(self, text: str) -> None:
        self.line(text + " {")
        self.depth += 1

    def close(self) -> None:
        self.depth -= 1
        self.line("}")

    # The three kinds --------------------------------------------------------------------------

    def launch(self) -> Launch:
        threads = THREADS
        if not self.reduces:
            blocks = self.maps()
        elif self.runs_along_terms():
            blocks = self.gathers_along_threads()
        else:
            few = self.rows // WARP < FEW_BLOCKS and self.terms > 4 * THREADS // WARP
            threads = MORE_THREADS if few else THREADS
            blocks = self.gathers_across_threads(threads // WARP)
        given, pointers = parameters({n: TYPES[dtype] for n, dtype in self.dtypes.items()})
        head = f'extern "C" __global__ void __launch_bounds__({threads}) {self.name}({given})'
        source = "\n".join([head + " {", *(f"    {x}" for x in pointers), *self.lines, "}"])
        return Launch(self.name, source, tuple(self.dtypes), (blocks, 1, 1), threads)

    def maps(self) -> int:
        t, count = self.index, self.loop.size // (SEVERAL if self.by_several else 1)
        axes = list(range(len(self.loop.shape)))
        start = f"({t})blockIdx.x * {THREADS} + threadIdx.x"
        if count > 2 * THREADS * MOST_BLOCKS:
            self.line("#pragma unroll 2")
        self.open(f"for ({t} p = {start}; p < {count}; p += ({t})gridDim.x * {THREADS})")
        if self.by_several:
            self.line(f"const {t} first = p * {SEVERAL};")
            self.indices("first", axes)
            self.points()
        else:
            self.indices("p", axes)
            self.point()
        self.close()
        return _blocks(count, THREADS)

    def runs_along_terms(self) -> bool:
        """Whether neighbouring entries are terms of one sum."""
        moving = [a for a, n in enumerate(self.loop.shape) if n > 1]
        return self.rows == 1 or moving[-1] in self.summed

    def gathers_along_threads(self) -> int:
        """A warp or a block for each result."""
        t, width = self.index, WARP if self.terms <= SHORT else THREADS
        per_block = THREADS // width
        self.line(f"const int lane = threadIdx.x % {width};")
        start = f"({t})blockIdx.x * {per_block} + threadIdx.x / {width}"
        self.open(
            f"for ({t} row = {start}; row < {self.rows}; row += ({t})gridDim.x * {per_block})"
        )
        self.indices("row", self.kept)
        self.totals()
        self.gather("lane", width)
        how = "warp" if width == WARP else "block"
        for n, store in enumerate(self.reduces):
            self.line(f"t{n} = join_{how}<{REDUCTIONS[store.reduce or '']}>(t{n});")
        self.open("if (lane == 0)")
        self.finish()
        self.close()
        self.close()
        return _blocks(self.rows, per_block)

    def gathers_across_threads(self, warps: int) -> int:
        """Threads of a warp for neighbouring results, the warps of a block for parts of them."""
        t = self.index
        self.line(f"const int lane = threadIdx.x % {WARP}, warp = threadIdx.x / {WARP};")
        for n, store in enumerate(self.reduces):
            self.line(f"__shared__ {TYPES[store.access.dtype]} parts{n}[{warps}][{WARP}];")
        step = f"({t})gridDim.x * {WARP}"
        start = f"({t})blockIdx.x * {WARP}"
        self.open(f"for ({t} first = {start}; first < {self.rows}; first += {step})")
        self.line(f"const {t} row = first + lane;")
        self.totals()
        self.open(f"if (row < {self.rows})")
        self.indices("row", self.kept)
        self.gather("warp", warps)
        self.close()
        for n in range(len(self.reduces)):
            self.line(f"parts{n}[warp][lane] = t{n};")
        self.line("__syncthreads();")
        self.open(f"if (warp == 0 && row < {self.rows})")
        for n, store in enumerate(self.reduces):
            op = REDUCTIONS[store.reduce or ""]
            self.line(
                f"for (int w = 1; w < {warps}; ++w) t{n} = {op}::join(t{n}, parts{n}[w][lane]);"
            )
        self.indices("row", self.kept)
        self.finish()
        self.close()
        self.line("__syncthreads();")
        self.close()
        return _blocks(self.rows, WARP)

    # Their parts ------------------------------------------------------------------------------

    def indices(self, flat: str, axes: Sequence[int]) -> None:
        """The index along each axis, from one that counts through them all."""
        left = flat
        moving = [a for a in axes if self.loop.shape[a] > 1]
        for a in reversed(moving):
            n = self.loop.shape[a]
            first = a == moving[0]
            self.line(f"const {self.index} i{a} = {left if first else f'{left} % {n}'};")
            left = f"({left}) / {n}" if left == flat else f"{left} / {n}"

    def gather(self, first: str, step: int) -> None:
        """The terms from a first one on, each further by a step."""
        axes = [a for a in self.summed if self.loop.shape[a] > 1]
        inside: list[int] = []
        while (
            len(axes) > 1 and math.prod(self.loop.shape[a] for a in [*axes[-1:], *inside]) <= INSIDE
        ):
            inside.insert(0, axes.pop())
        terms = math.prod(self.loop.shape[a] for a in axes)
        if not inside:
            self.line("#pragma unroll 4")
        self.open(f"for ({self.index} k = {first}; k < {terms}; k += {step})")
        self.indices("k", axes)
        for a in inside:
            self.line("#pragma unroll")
            self.open(f"for ({self.index} i{a} = 0; i{a} < {self.loop.shape[a]}; ++i{a})")
        self.point()
        for _ in [None, *inside]:
            self.close()

    def totals(self) -> None:
        for n, store in enumerate(self.reduces):
            dtype, op = TYPES[store.access.dtype], REDUCTIONS[store.reduce or ""]
            self.line(f"{dtype} t{n} = {op}::identity<{dtype}>();")

    def place(self, x: Access) -> str:
        if x.buffer == GIVEN:
            return "x"
        terms = [
            f"i{a}" if s == 1 else f"i{a} * {s}"
            for a, s in enumerate(x.strides)
            if s and self.loop.shape[a] > 1
        ]
        terms += [str(x.offset)] if x.offset or not terms else []
        return f"b{x.buffer}[{' + '.join(terms)}]"

    def point(self) -> None:
        """Load, compute, store or gather."""
        self.compute([self.place(x) for x in self.loop.body if isinstance(x, Access)])
        total = 0
        for store in self.loop.stores:
            if store.reduce:
                self.line(f"t{total} = {REDUCTIONS[store.reduce]}::join(t{total}, v{store.value});")
                total += 1
            else:
                sign = "+=" if store.accumulate else "="
                self.line(f"{self.place(store.access)} {sign} v{store.value};")

    def points(self) -> None:
        """The same for several neighbouring entries, where nothing is gathered."""
        loaded = []
        for n, x in enumerate(self.loop.loads):
            moves = self.moves_along_last(x)
            loaded.append(f"w{n}.at[u]" if moves else self.place(x))
            if moves:
                self.line(f"const {self.several(x)} w{n} = {self.placed(x)};")
        for k, store in enumerate(self.loop.stores):
            before = f" = {self.placed(store.access)}" if store.accumulate else ""
            self.line(f"{self.several(store.access)} s{k}{before};")
        self.line("#pragma unroll")
        self.open(f"for (int u = 0; u < {SEVERAL}; ++u)")
        self.compute(loaded)
        for k, store in enumerate(self.loop.stores):
            self.line(f"s{k}.at[u] {'+=' if store.accumulate else '='} v{store.value};")
        self.close()
        for k, store in enumerate(self.loop.stores):
            self.line(f"{self.placed(store.access)} = s{k};")

    def moves_along_last(self, x: Access) -> bool:
        """Whether neighbouring entries of the loop are neighbours there."""
        last = max(a for a, n in enumerate(self.loop.shape) if n > 1)
        return x.strides[last] == 1

    @staticmethod
    def several(x: Access) -> str:
        return f"Several<{TYPES[x.dtype]}, {SEVERAL}>"

    def placed(self, x: Access) -> str:
        """Several entries from a place on."""
        return f"reinterpret_cast<{self.several(x)}&>({self.place(x)})"

    def compute(self, loads: Sequence[str]) -> None:
        """The values v0, v1, … of the body.

        Args:
            loads: where what is loaded comes from.
        """
        dtypes: list[str] = []
        given = iter(loads)
        for n, x in enumerate(self.loop.body):
            value = next(given) if isinstance(x, Access) else expression(x, dtypes)
            self.line(f"const {TYPES[x.dtype]} v{n} = {value};")
            dtypes.append(x.dtype)

    def finish(self) -> None:
        """Put totals where they belong."""
        for n, store in enumerate(self.reduces):
            place = self.place(store.access)
            op = REDUCTIONS[store.reduce or ""]
            value = f"{op}::join({place}, t{n})" if store.accumulate else f"t{n}"
            self.line(f"{place} = {value};")


def _blocks(work: int, per_block: int) -> int:
    return min(-(-work // per_block), MOST_BLOCKS)


# Operations -----------------------------------------------------------------------------------

FUNCTIONS = {
    name: name
    for name in (
        *("sqrt", "floor", "ceil", "trunc", "rint", "exp", "expm1", "log", "tanh", "sin", "cos"),
        *("copysign",),
    )
} | {"absolute": "fabs", "power": "pow"}
"""CUDA's names, for double; those for float end in f."""
OPERATORS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "divided({0}, {1})",
    "negative": "-{0}",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "sigmoid": "sigmoid({0})",
    "where": "{0} ? {1} : {2}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "logical_and": "{0} && {1}",
    "logical_or": "{0} || {1}",
    "logical_xor": "{0} != {1}",
    "logical_not": "!{0}",
}
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
WRAPPING = ("add", "subtract", "multiply", "negative")
"""Of integers: they wrap around, which C++ promises of unsigned ones alone."""


def expression(op: Op, dtypes: Sequence[str]) -> str:
    """An operation in C++, on values v0, v1, … of these dtypes."""
    beside = [dtypes[x] for x in op.inputs if not isinstance(x, Constant)]
    given = []
    for place, x in enumerate(op.inputs):
        if not isinstance(x, Constant):
            given.append(f"v{x}")
            continue
        dtype = beside[0] if op.name in COMPARISONS and beside else op.dtype
        if op.name == "where" and place == 0:
            dtype = "b1"
        given.append(literal(x.value, dtype))
    if op.name == "cast":
        return cast(given[0], beside[0] if beside else op.dtype, op.dtype)
    if op.name in WRAPPING and op.dtype[0] == "i":
        unsigned = f"u{TYPES[op.dtype]}" if op.dtype == "i8" else "uint32"
        text = OPERATORS[op.name].format(*(f"({unsigned}){x}" for x in given))
        return f"({TYPES[op.dtype]})({text})"
    if op.name in FUNCTIONS:
        name = FUNCTIONS[op.name] + ("f" if op.dtype == "f4" else "")
        return f"{name}({', '.join(given)})"
    return OPERATORS[op.name].format(*given)


def cast(x: str, old: str, new: str) -> str:
    if old == new:
        return x
    return f"{x} != 0" if new == "b1" else f"({TYPES[new]}){x}"


def literal(value: float | int | bool, dtype: str) -> str:
    """A number in C++, exactly."""
    if dtype == "b1":
        return "true" if value else "false"
    if dtype[0] != "f":
        if int(value) == -(2**63):  # C++ has no negative literals
            return "(-9223372036854775807LL - 1)"
        return f"({TYPES[dtype]})({int(value)}LL)"
    with np.errstate(over="ignore"):
        number = np.dtype(dtype).type(value)
    if math.isnan(number):
        return _of_bits(number)
    if math.isinf(number):
        return f"{'' if number > 0 else '-'}largest<{TYPES[dtype]}>()"
    if 0 < abs(number) < np.finfo(dtype).tiny:  # which the compiler says is out of range
        return _of_bits(number)
    return f"({float(number).hex()}{'f' if dtype == 'f4' else ''})"


def _of_bits(number: np.floating) -> str:
    kind, whole, ending = ("int", "i4", "") if number.itemsize == 4 else ("longlong", "i8", "LL")
    return f"__{kind}_as_{TYPES[number.dtype.str[1:]]}({number.view(whole):#x}{ending})"
