"""Fused loops as LLVM's assembly language: the text, and nothing but the text.

Numba's own front end takes a fifth of a second for each small kernel; LLVM, which comes with it,
takes milliseconds for the text that is written here. The vectoriser does the rest: loops are plain,
bounds are known, and no two buffers overlap.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from kernels.loops import Access, Constant, Loop, Op, Store

TYPES = {"f4": "float", "f8": "double", "i8": "i64", "i4": "i32", "b1": "i1"}
IN_MEMORY = {**TYPES, "b1": "i8"}
IDENTITY = {"sum": 0.0, "max": float("-inf"), "min": float("inf")}

Emit = Callable[["Writer", str, Sequence[str]], str]


class Writer:
    """Lines of a function in the making, and fresh names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def name(self, hint: str = "v") -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def set(self, expression: str) -> str:
        """A new value; its name."""
        name = "%" + self.name()
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, instruction: str) -> None:
        self.lines.append(f"  {instruction}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")


def literal(value: float | int | bool, dtype: str) -> str:
    """A number as LLVM writes it: floats by their bits."""
    if dtype == "f4":
        value = struct.unpack("f", struct.pack("f", value))[0]
    if dtype in ("f4", "f8"):
        return "0x" + struct.pack(">d", value).hex().upper()
    return str(int(value))


# Operations -----------------------------------------------------------------------------------


def _float(opcode: str) -> Emit:
    return lambda w, t, xs: w.set(f"{opcode} contract {t} {', '.join(xs)}")


def _intrinsic(name: str) -> Emit:
    def emit(w: Writer, t: str, xs: Sequence[str]) -> str:
        suffix = {"float": "f32", "double": "f64"}[t]
        return w.set(f"call contract {t} @llvm.{name}.{suffix}({', '.join(f'{t} {x}' for x in xs)})")

    return emit


def _function(name: str) -> Emit:
    """A function of `MATHS`."""

    def emit(w: Writer, t: str, xs: Sequence[str]) -> str:
        suffix = {"float": "f32", "double": "f64"}[t]
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
}
INTEGER_OPS: dict[str, Emit] = {
    "add": lambda w, t, xs: w.set(f"add {t} {xs[0]}, {xs[1]}"),
    "subtract": lambda w, t, xs: w.set(f"sub {t} {xs[0]}, {xs[1]}"),
    "multiply": lambda w, t, xs: w.set(f"mul {t} {xs[0]}, {xs[1]}"),
    "negative": lambda w, t, xs: w.set(f"sub {t} 0, {xs[0]}"),
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


def function(loop: Loop, name: str) -> str:
    """The text of `void name(ptr…, i64 first, i64 last)`: a loop over part of its outermost axis.

    The pointers are those of the loop's buffers, in increasing order of their numbers.
    """
    return _Nest(loop).text(name)


def buffers(loop: Loop) -> list[int]:
    """The numbers of the buffers that a loop's function takes, in order."""
    return sorted({x.buffer for x in loop.accesses})


class _Nest:
    """Writes one loop nest."""

    def __init__(self, loop: Loop):
        self.loop = loop
        self.w = Writer()

    def text(self, name: str) -> str:
        w, loop = self.w, self.loop
        w.label("entry")
        for store in loop.stores:
            if store.reduce and not self.in_registers_alone(store):
                self.clear(store)
        offsets = {i: str(x.offset) for i, x in enumerate(loop.accesses)}
        self.axis(0, offsets, "%first", "%last", self.body)
        w.do("ret void")
        parameters = [f"ptr noalias %b{k}" for k in buffers(loop)]
        parameters += ["i64 %first", "i64 %last"]
        return "\n".join([f"define void @{name}({', '.join(parameters)}) {{", *w.lines, "}"])

    def reduced(self, store: Store) -> list[int]:
        return [a for a, s in enumerate(store.access.strides) if s == 0]

    def in_registers_alone(self, store: Store) -> bool:
        """Whether the last axis, and no other, is reduced: nothing is gathered in memory."""
        return self.reduced(store) == [len(self.loop.shape) - 1]

    def in_registers(self, store: Store) -> bool:
        """Whether the last axis is reduced, so that it is gathered in a register."""
        last = len(self.loop.shape) - 1
        return store.reduce is not None and last >= 0 and store.access.strides[last] == 0

    def axis(
        self,
        k: int,
        offsets: dict[int, str],
        first: str,
        last: str,
        body: Callable[[dict[int, str], list[str]], list[str]],
        skip: Sequence[int] = (),
        only: Sequence[int] | None = None,
    ) -> None:
        """Loops over axis k and those after it; `body` is given the offsets at each point."""
        w, loop = self.w, self.loop
        if k == len(loop.shape):
            body(offsets, [])
            return
        if k in skip:
            self.axis(k + 1, offsets, "0", self.end(k + 1), body, skip, only)
            return
        innermost = all(j in skip for j in range(k + 1, len(loop.shape)))
        accesses = list(loop.accesses)
        before, head, after = w.name("before"), w.name("loop"), w.name("after")
        w.do(f"br label %{before}")
        w.label(before)
        gathered = [s for s in loop.stores if self.in_registers(s)] if only is None else []
        gathered = gathered if innermost else []
        w.do(f"br label %{head}")
        w.label(head)
        i, following, latch = "%" + w.name("i"), "%" + w.name("n"), w.name("latch")
        w.do(f"{i} = phi i64 [{first}, %{before}], [{following}, %{latch}]")
        sums = []
        for store in gathered:
            t = TYPES[store.access.dtype]
            start = literal(IDENTITY[store.reduce or "sum"], store.access.dtype)
            acc, new = "%" + w.name("acc"), "%" + w.name("new")
            w.do(f"{acc} = phi {t} [{start}, %{before}], [{new}, %{latch}]")
            sums.append((acc, new))
        here = {}
        for n, access in enumerate(accesses):
            stride = access.strides[k]
            if stride == 0 or n not in offsets:
                here[n] = offsets.get(n, "0")
                continue
            step = i if stride == 1 else w.set(f"mul i64 {i}, {stride}")
            here[n] = step if offsets[n] == "0" else w.set(f"add i64 {offsets[n]}, {step}")
        if innermost:
            found = body(here, [acc for acc, _ in sums])
        else:
            found = []
            self.axis(k + 1, here, "0", self.end(k + 1), body, skip, only)
        w.do(f"br label %{latch}")
        w.label(latch)
        for (_, new), value, store in zip(sums, found, gathered, strict=True):
            t = TYPES[store.access.dtype]
            w.do(f"{new} = select i1 true, {t} {value}, {t} {value}")
        w.do(f"{following} = add nuw nsw i64 {i}, 1")
        more = w.set(f"icmp slt i64 {following}, {last}")
        w.do(f"br i1 {more}, label %{head}, label %{after}")
        w.label(after)
        for (_, new), store in zip(sums, gathered, strict=True):
            n = len(loop.loads) + list(loop.stores).index(store)
            self.finish(store, new, offsets[n])

    def end(self, k: int) -> str:
        return str(self.loop.shape[k]) if k < len(self.loop.shape) else "1"

    def body(self, offsets: dict[int, str], sums: list[str]) -> list[str]:
        """One point: load, compute, store; the new values of what is gathered in registers."""
        w, loop = self.w, self.loop
        values = [self.load(x, offsets[n]) for n, x in enumerate(loop.loads)]
        dtypes = [x.dtype for x in loop.loads]
        for op in loop.ops:
            given = [self.dtype_of(x, dtypes, op) for x in op.inputs]
            inputs = [
                literal(x.value, d) if isinstance(x, Constant) else values[x]
                for x, d in zip(op.inputs, given, strict=True)
            ]
            values.append(_emit(w, op, inputs, given))
            dtypes.append(op.dtype)
        found, left = [], list(sums)
        for n, store in enumerate(loop.stores, len(loop.loads)):
            value = values[store.value]
            if store.reduce is None:
                self.store(store.access, offsets[n], value)
            elif self.in_registers(store):
                found.append(self.combine(store, left.pop(0), value))
            else:
                old = self.load(store.access, offsets[n])
                self.store(store.access, offsets[n], self.combine(store, old, value))
        return found

    @staticmethod
    def dtype_of(x: int | Constant, dtypes: Sequence[str], op: Op) -> str:
        """A constant has the dtype of what it stands beside."""
        if not isinstance(x, Constant):
            return dtypes[x]
        beside = [dtypes[y] for y in op.inputs if not isinstance(y, Constant)]
        if op.name == "where":
            return op.dtype
        return beside[0] if beside else op.dtype

    def combine(self, store: Store, old: str, value: str) -> str:
        t = TYPES[store.access.dtype]
        if store.reduce == "sum":
            if t[0] == "i":
                return self.w.set(f"add {t} {old}, {value}")
            return self.w.set(f"fadd reassoc {t} {old}, {value}")
        name = {"max": "maximum", "min": "minimum"}[store.reduce or ""]
        return FLOAT_OPS[name](self.w, t, [old, value])

    def clear(self, store: Store) -> None:
        """Set what is gathered in memory to its identity, for this part of the outermost axis."""
        n = len(self.loop.loads) + list(self.loop.stores).index(store)
        start = literal(IDENTITY[store.reduce or "sum"], store.access.dtype)

        def zero(offsets: dict[int, str], _sums: list[str]) -> list[str]:
            self.store(store.access, offsets[n], start)
            return []

        split = 0 not in self.reduced(store)
        first, last = ("%first", "%last") if split else ("0", self.end(0))
        self.axis(0, {n: str(store.access.offset)}, first, last, zero, self.reduced(store), [n])

    def finish(self, store: Store, value: str, offset: str) -> None:
        """Put what a register gathered where it belongs."""
        if not self.in_registers_alone(store):
            value = self.combine(store, self.load(store.access, offset), value)
        self.store(store.access, offset, value)

    def load(self, access: Access, offset: str) -> str:
        w, t = self.w, IN_MEMORY[access.dtype]
        place = w.set(f"getelementptr {t}, ptr %b{access.buffer}, i64 {offset}")
        value = w.set(f"load {t}, ptr {place}")
        return w.set(f"icmp ne i8 {value}, 0") if access.dtype == "b1" else value

    def store(self, access: Access, offset: str, value: str) -> None:
        w, t = self.w, IN_MEMORY[access.dtype]
        if access.dtype == "b1":
            value = w.set(f"zext i1 {value} to i8")
        place = w.set(f"getelementptr {t}, ptr %b{access.buffer}, i64 {offset}")
        w.do(f"store {t} {value}, ptr {place}")


INTRINSICS = (
    *(("maximum", 2), ("minimum", 2), ("copysign", 2), ("sqrt", 1), ("fabs", 1)),
    *(("floor", 1), ("ceil", 1), ("trunc", 1), ("rint", 1)),
)


def module(functions: Sequence[str]) -> str:
    """The text of a module with these functions and the declarations that they need."""
    declared = [
        f"declare {t} @llvm.{name}.{suffix}({', '.join([t] * arity)})"
        for name, arity in INTRINSICS
        for t, suffix in (("float", "f32"), ("double", "f64"))
    ]
    return "\n\n".join([*functions, "\n".join(declared)])
