"""Elementwise primitives as scalar operations of fused loops.

A recipe is given a body in the making, the inputs cast to the output's dtype, and the dtype.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from autograd_core.capture.graph import Equation, Variable
from autograd_core.declare import Elementwise
from kernels.loops import Access, Constant, Op
from kernels.native import nests

Value = int | Constant


class Body:
    """The body of a loop in the making: equal instructions are written once."""

    def __init__(self) -> None:
        self.instructions: dict[Access | Op, int] = {}
        self.dtypes: list[str] = []

    def add(self, instruction: Access | Op) -> int:
        number = self.instructions.setdefault(instruction, len(self.dtypes))
        if number == len(self.dtypes):
            self.dtypes.append(instruction.dtype)
        return number

    def op(self, name: str, dtype: str, *inputs: Value) -> int:
        return self.add(Op(name, dtype, inputs))

    def cast(self, x: Value, dtype: str) -> Value:
        if isinstance(x, Constant) or self.dtypes[x] == dtype:
            return x
        return self.op("cast", dtype, x)


Recipe = Callable[[Body, Sequence[Value], str], Value]


def _same(name: str) -> Recipe:
    return lambda body, xs, dtype: body.op(name, dtype, *xs)


def _power(body: Body, xs: Sequence[Value], dtype: str) -> Value:
    x, y = xs
    simple = {2: ("multiply", x, x), 1: None, 0.5: ("sqrt", x), -1: ("divide", Constant(1.0), x)}
    if isinstance(y, Constant) and y.value in simple:
        found = simple[y.value]
        return x if found is None else body.op(found[0], dtype, *found[1:])
    return body.op("power", dtype, x, y)


FLOATS: dict[str, Recipe] = {
    **{
        name: _same(name)
        for name in (
            *("add", "subtract", "multiply", "divide", "negative", "maximum", "minimum"),
            *("sqrt", "absolute", "floor", "ceil", "trunc", "rint", "copysign"),
            *("exp", "expm1", "log", "sigmoid", "tanh", "sin", "cos"),
        )
    },
    "power": _power,
    "relu": lambda body, xs, dtype: body.op("maximum", dtype, xs[0], Constant(0.0)),
    "root": lambda body, xs, dtype: body.op("sqrt", dtype, xs[0]),
    "square": lambda body, xs, dtype: body.op("multiply", dtype, xs[0], xs[0]),
    "reciprocal": lambda body, xs, dtype: body.op("divide", dtype, Constant(1.0), xs[0]),
}
INTEGERS: dict[str, Recipe] = {
    **{
        name: _same(name)
        for name in ("add", "subtract", "multiply", "negative", "maximum", "minimum")
    },
    "square": FLOATS["square"],
}
LOGIC: dict[str, Recipe] = {
    name: _same(name) for name in ("logical_and", "logical_or", "logical_xor", "logical_not")
}


@functools.cache
def code(dtype: np.dtype) -> str:
    """NumPy's short name: f4, f8, i8, b1, …"""
    return f"{dtype.kind}{dtype.itemsize}"


def is_point(equation: Equation) -> bool:
    """Whether an equation can be part of a fused loop."""
    name, out = equation.primitive.name, code(equation.outputs[0].aval.dtype)
    if any(code(x.aval.dtype) not in nests.TYPES for x in equation.variables):
        return False
    if out not in nests.TYPES:
        return False
    if name in ("astype", "astype_integer"):
        return True
    if not isinstance(equation.primitive, Elementwise) or equation.params:
        return False
    if name in nests.COMPARISONS:
        common = _common(equation)
        return code(common) in nests.TYPES and _numbers_fit(equation, common)
    if name in LOGIC:
        return True
    if name == "where":
        return _numbers_fit(equation, equation.output.aval.dtype)
    table = FLOATS if out[0] == "f" else INTEGERS if out in ("i4", "i8") else {}
    return name in table and _numbers_fit(equation, equation.output.aval.dtype)


def _numbers_fit(equation: Equation, dtype: np.dtype) -> bool:
    """Whether Python's integers are ones of a dtype: else NumPy knows the answer, or the error."""
    if dtype.kind != "i":
        return True
    ends = np.iinfo(dtype)
    return all(ends.min <= x <= ends.max for x in equation.inputs if x.__class__ is int)


def emit(body: Body, equation: Equation, inputs: Sequence[Value]) -> Value:
    """The value of an elementwise equation from those of its inputs."""
    name, out = equation.primitive.name, code(equation.output.aval.dtype)
    if name in ("astype", "astype_integer"):
        return body.cast(inputs[0], out)
    if name in nests.COMPARISONS:
        common = code(_common(equation))
        return body.op(name, "b1", *_cast(body, inputs, common))
    if name in LOGIC:
        return LOGIC[name](body, _cast(body, inputs, "b1"), "b1")
    if name == "where":
        condition, *rest = inputs
        return body.op(name, out, body.cast(condition, "b1"), *_cast(body, rest, out))
    table = FLOATS if out[0] == "f" else INTEGERS
    return table[name](body, _cast(body, inputs, out), out)


def _cast(body: Body, inputs: Sequence[Value], dtype: str) -> list[Value]:
    return [body.cast(x, dtype) for x in inputs]


def _common(equation: Equation) -> np.dtype:
    """The dtype in which a comparison is made."""
    kinds = [x.aval.dtype if x.__class__ is Variable else x for x in equation.inputs]
    return np.result_type(*kinds)
