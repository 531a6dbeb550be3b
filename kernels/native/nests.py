"""Fused loops as nests of plain loops, for LLVM's vectoriser.

Loops are plain, bounds are known, and no two buffers overlap; LLVM does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kernels.loops import ANY, Access, Constant, Loop, Op, Store, turned_axes
from kernels.native import packing
from kernels.native.packing import Turn
from kernels.native.text import IN_MEMORY, TYPES, Carried, Writer, literal
from kernels.native.vectors import Registers

IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}
INTEGER_IDENTITY = {
    f"i{n}": {"sum": 0, "max": -(2 ** (8 * n - 1)), "min": 2 ** (8 * n - 1) - 1} for n in (4, 8)
}
SUFFIXES = {"f4": "f32", "f8": "f64"}

WHOLE_REGISTERS = '"prefer-vector-width"="512"'
"""LLVM writes loops with half of AVX-512's registers. Loops with sums run out of registers then and
take up to twice the time; others are bound by memory, and faster with halves by a tenth."""

Emit = Callable[[Writer, str, Sequence[str]], str]


# Operations -----------------------------------------------------------------------------------


def _float(opcode: str) -> Emit:
    return lambda w, t, xs: w.set(f"{opcode} contract {t} {', '.join(xs)}")


def _intrinsic(name: str) -> Emit:
    def emit(w: Writer, t: str, xs: Sequence[str]) -> str:
        suffix = "f32" if t == "float" else "f64"
        return w.set(
            f"call contract {t} @llvm.{name}.{suffix}({', '.join(f'{t} {x}' for x in xs)})"
        )

    return emit


def _integer_intrinsic(name: str) -> Emit:
    def emit(w: Writer, t: str, xs: Sequence[str]) -> str:
        return w.set(f"call {t} @llvm.{name}.{t}({t} {xs[0]}, {t} {xs[1]})")

    return emit


def _function(name: str) -> Emit:
    """A function of `maths`."""

    def emit(w: Writer, t: str, xs: Sequence[str]) -> str:
        suffix = "f32" if t == "float" else "f64"
        return w.set(f"call {t} @{name}.{suffix}({', '.join(f'{t} {x}' for x in xs)})")

    return emit


FLOAT_OPS: dict[str, Emit] = {
    "add": _float("fadd"),
    "subtract": _float("fsub"),
    "multiply": _float("fmul"),
    "divide": _float("fdiv"),
    "negative": lambda w, t, xs: w.set(f"fneg {t} {xs[0]}"),
    "maximum": _intrinsic("maximum"),
    "minimum": _intrinsic("minimum"),
    "sqrt": _intrinsic("sqrt"),
    "absolute": _intrinsic("fabs"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
    "rint": _intrinsic("rint"),
    "copysign": _intrinsic("copysign"),
    "power": _intrinsic("pow"),
    **{name: _intrinsic(name) for name in ("sin", "cos")},
    **{name: _function(name) for name in ("exp", "expm1", "log", "sigmoid", "tanh")},
}
INTEGER_OPS: dict[str, Emit] = {
    "add": lambda w, t, xs: w.set(f"add {t} {xs[0]}, {xs[1]}"),
    "subtract": lambda w, t, xs: w.set(f"sub {t} {xs[0]}, {xs[1]}"),
    "multiply": lambda w, t, xs: w.set(f"mul {t} {xs[0]}, {xs[1]}"),
    "negative": lambda w, t, xs: w.set(f"sub {t} 0, {xs[0]}"),
    "maximum": _integer_intrinsic("smax"),
    "minimum": _integer_intrinsic("smin"),
}
COMPARISONS = {
    "equal": ("oeq", "eq"),
    "not_equal": ("une", "ne"),
    "less": ("olt", "slt"),
    "less_equal": ("ole", "sle"),
    "greater": ("ogt", "sgt"),
    "greater_equal": ("oge", "sge"),
}
LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}


def can(op: str, dtype: str, inputs: Sequence[str]) -> bool:
    """Whether an operation can be written, for a result and inputs of these dtypes."""
    if op == "cast":
        return {dtype, *inputs} <= TYPES.keys()
    if op in COMPARISONS:
        return len(set(inputs)) == 1 and inputs[0] in TYPES
    if op in LOGIC or op == "logical_not":
        return set(inputs) == {"b1"}
    if op == "where":
        return inputs[0] == "b1" and set(inputs[1:]) == {dtype} and dtype in TYPES
    table = FLOAT_OPS if dtype in ("f4", "f8") else INTEGER_OPS if dtype in ("i4", "i8") else {}
    return op in table and set(inputs) == {dtype}


def _emit(w: Writer, op: Op, inputs: Sequence[str], dtypes: Sequence[str]) -> str:
    t = TYPES[op.dtype]
    if op.name == "cast":
        return _cast(w, inputs[0], dtypes[0], op.dtype)
    if op.name in COMPARISONS:
        ordered, integer = COMPARISONS[op.name]
        if dtypes[0] == "b1":  # of which the one bit is no sign
            integer = integer.replace("s", "u")
        kind = f"fcmp {ordered}" if dtypes[0][0] == "f" else f"icmp {integer}"
        return w.set(f"{kind} {TYPES[dtypes[0]]} {inputs[0]}, {inputs[1]}")
    if op.name in LOGIC:
        return w.set(f"{LOGIC[op.name]} i1 {inputs[0]}, {inputs[1]}")
    if op.name == "logical_not":
        return w.set(f"xor i1 {inputs[0]}, true")
    if op.name == "where":
        return w.set(f"select i1 {inputs[0]}, {t} {inputs[1]}, {t} {inputs[2]}")
    table = FLOAT_OPS if op.dtype[0] == "f" else INTEGER_OPS
    return table[op.name](w, t, inputs)


def _cast(w: Writer, x: str, old: str, new: str) -> str:
    if old == new:
        return x
    a, b = TYPES[old], TYPES[new]
    if new == "b1":
        test = f"fcmp une {a} {x}, 0.0" if old[0] == "f" else f"icmp ne {a} {x}, 0"
        return w.set(test)
    if old[0] == "f" and new[0] == "f":
        return w.set(f"{'fpext' if new == 'f8' else 'fptrunc'} {a} {x} to {b}")
    if old[0] == "f":
        return w.set(f"fptosi {a} {x} to {b}")
    if new[0] == "f":
        return w.set(f"{'uitofp' if old == 'b1' else 'sitofp'} {a} {x} to {b}")
    if old == "b1" or old == "i4":
        return w.set(f"{'zext' if old == 'b1' else 'sext'} {a} {x} to {b}")
    return w.set(f"trunc {a} {x} to {b}")


# Loops ----------------------------------------------------------------------------------------


def nest_text(loop: Loop, name: str, registers: Registers) -> tuple[list[str], set[Turn]]:
    """The text of a loop as a function of pointers to its buffers, in increasing order, and what it
    calls."""
    axes = turned_axes(loop)
    if axes is None:
        return [_Nest(loop).text(name)], set()
    return _turned_text(loop, name, axes, registers)


def _turned_text(
    loop: Loop, name: str, axes: tuple[int, int], registers: Registers
) -> tuple[list[str], set[Turn]]:
    """A copy whose blocks along two axes are turned in registers."""
    w, (load, to) = Writer(), loop.accesses
    rows, columns = axes
    turns = set[Turn]()

    def along(axis: int, source: str, target: str) -> None:
        if axis == len(loop.shape):
            shape = loop.shape[rows], loop.shape[columns]
            lines = load.strides[rows], to.strides[columns]
            places = source, lines[0], target, lines[1]
            turns.update(packing.turn(w, *places, shape, load.dtype, registers))
        elif axis in axes:
            along(axis + 1, source, target)
        else:
            with w.loop(0, loop.shape[axis]) as i:
                far = [w.times(i, x.strides[axis]) for x in (load, to)]
                along(axis + 1, *map(partial(w.at, dtype=load.dtype), (source, target), far))

    starts = [w.at(f"%b{x.buffer}", str(x.offset), x.dtype) for x in (load, to)]
    along(0, *starts)
    parameters = ", ".join(f"ptr noalias %b{k}" for k in buffers(loop))
    return [w.function(name, parameters, "noinline")], turns


def buffers(loop: Loop) -> list[int]:
    """The numbers of the buffers that a loop's function takes, in order."""
    return sorted({x.buffer for x in loop.accesses})


class _Nest:
    """Writes one nest."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.w = Writer()
        self.accesses = list(loop.accesses)
        self.first_store = len(self.accesses) - len(loop.stores)

    def text(self, name: str) -> str:
        for n, store in enumerate(self.loop.stores, self.first_store):
            if store.reduce and not store.accumulate and not self.whole_in_register(store):
                self.clear(n, store)
        self.axis(0, [str(x.offset) for x in self.accesses])
        parameters = ", ".join(f"ptr noalias %b{k}" for k in buffers(self.loop))
        if self.loop.shape == (ANY,):
            parameters += ", i64 %length"
        attributes = "noinline"
        if any(store.reduce for store in self.loop.stores):
            attributes += f" {WHOLE_REGISTERS}"
        return self.w.function(name, parameters, attributes)

    def whole_in_register(self, store: Store) -> bool:
        """Whether the last axis, and no other, is gathered over: memory is written once."""
        strides = store.access.strides
        return self.in_register(store) and 0 not in strides[:-1]

    def in_register(self, store: Store) -> bool:
        """Whether it is gathered over the last axis, so that a register does that."""
        return store.reduce is not None and store.access.strides[-1:] == (0,)

    def axis(self, k: int, offsets: list[str]) -> None:
        """Loops over axis k and those after it."""
        w, shape = self.w, self.loop.shape
        if k == len(shape):
            self.point(offsets, [])
            return
        innermost = k == len(shape) - 1
        gathered = [s for s in self.loop.stores if innermost and self.in_register(s)]
        carried = [Carried(TYPES[s.access.dtype], self.identity(s)) for s in gathered]
        last = "%length" if shape[k] == ANY else shape[k]
        with w.loop(0, last, carried=carried) as i:
            here = self.moved(offsets, k, i, self.accesses)
            if innermost:
                self.point(here, carried)
            else:
                self.axis(k + 1, here)
        for store, x in zip(gathered, carried, strict=True):
            self.finish(store, x.next, offsets)

    def moved(self, offsets: list[str], k: int, i: str, accesses: Sequence[Access]) -> list[str]:
        """The offsets at index i of axis k; the same product of both is written once."""
        w = self.w
        steps = {s: w.times(i, s) for s in dict.fromkeys(x.strides[k] for x in accesses)}
        return [
            w.plus(offset, steps[x.strides[k]]) for offset, x in zip(offsets, accesses, strict=True)
        ]

    def point(self, offsets: list[str], carried: Sequence[Carried]) -> None:
        """Load, compute, store."""
        values: list[str] = []
        dtypes: list[str] = []
        places = iter(offsets)
        for x in self.loop.body:
            values.append(
                self.load(x, next(places)) if isinstance(x, Access) else self.op(x, values, dtypes)
            )
            dtypes.append(x.dtype)
        left = iter(carried)
        for n, store in enumerate(self.loop.stores, self.first_store):
            value = values[store.value]
            if self.in_register(store) and carried:
                total = next(left)
                total.next = self.combine(store, total.value, value)
            elif store.reduce or store.accumulate:
                old = self.load(store.access, offsets[n])
                self.store(store.access, offsets[n], self.combine(store, old, value))
            else:
                self.store(store.access, offsets[n], value)

    def op(self, op: Op, values: Sequence[str], dtypes: Sequence[str]) -> str:
        given = [self.dtype_of(x, k, dtypes, op) for k, x in enumerate(op.inputs)]
        inputs = [
            literal(x.value, d) if isinstance(x, Constant) else values[x]
            for x, d in zip(op.inputs, given, strict=True)
        ]
        return _emit(self.w, op, inputs, given)

    @staticmethod
    def dtype_of(x: int | Constant, place: int, dtypes: Sequence[str], op: Op) -> str:
        """A constant has the dtype of what it stands beside."""
        if not isinstance(x, Constant):
            return dtypes[x]
        if op.name == "where" and place == 0:
            return "b1"
        beside = [dtypes[y] for y in op.inputs if not isinstance(y, Constant)]
        return beside[0] if op.name in COMPARISONS and beside else op.dtype

    def identity(self, store: Store) -> str:
        dtype = store.access.dtype
        table = INTEGER_IDENTITY.get(dtype, IDENTITY)
        return literal(table[store.reduce or "sum"], dtype)

    def combine(self, store: Store, old: str, value: str) -> str:
        t = TYPES[store.access.dtype]
        if store.reduce in ("sum", None):
            opcode = "fadd reassoc" if store.access.dtype[0] == "f" else "add"
            return self.w.set(f"{opcode} {t} {old}, {value}")
        name = {"max": "maximum", "min": "minimum"}[store.reduce or ""]
        table = FLOAT_OPS if store.access.dtype[0] == "f" else INTEGER_OPS
        return table[name](self.w, t, [old, value])

    def clear(self, n: int, store: Store) -> None:
        """Set what is gathered in memory to its identity."""
        access, shape = store.access, self.loop.shape

        def along(k: int, offset: str) -> None:
            if k == len(shape):
                self.store(access, offset, self.identity(store))
            elif access.strides[k] == 0:
                along(k + 1, offset)
            else:
                with self.w.loop(0, shape[k]) as i:
                    along(k + 1, self.moved([offset], k, i, [access])[0])

        along(0, str(access.offset))

    def finish(self, store: Store, value: str, offsets: list[str]) -> None:
        """Put what a register gathered where it belongs."""
        n = self.first_store + self.loop.stores.index(store)
        if store.accumulate or not self.whole_in_register(store):
            value = self.combine(store, self.load(store.access, offsets[n]), value)
        self.store(store.access, offsets[n], value)

    def load(self, access: Access, offset: str) -> str:
        place = self.w.at(f"%b{access.buffer}", offset, access.dtype)
        value = self.w.set(f"load {IN_MEMORY[access.dtype]}, ptr {place}")
        return self.w.set(f"icmp ne i8 {value}, 0") if access.dtype == "b1" else value

    def store(self, access: Access, offset: str, value: str) -> None:
        if access.dtype == "b1":
            value = self.w.set(f"zext i1 {value} to i8")
        place = self.w.at(f"%b{access.buffer}", offset, access.dtype)
        self.w.do(f"store {IN_MEMORY[access.dtype]} {value}, ptr {place}")


INTRINSICS = (
    *(("maximum", 2), ("minimum", 2), ("copysign", 2), ("pow", 2), ("fma", 3)),
    *((name, 1) for name in ("sqrt", "fabs", "floor", "ceil", "trunc", "rint", "sin", "cos")),
)


def declarations() -> str:
    """The intrinsics that nests call."""
    return "\n".join(
        f"declare {t} @llvm.{name}.{suffix}({', '.join([t] * arity)})"
        for name, arity in INTRINSICS
        for t, suffix in (("float", "f32"), ("double", "f64"))
    ) + "".join(
        f"\ndeclare {t} @llvm.{name}.{t}({t}, {t})"
        for name in ("smax", "smin")
        for t in ("i32", "i64")
    )
