"""Python numbers among the arguments: while a function is captured they promote as they do without
`jit`; its graph has none.

Beside a float32 tensor 0.1 is a float32, beside a float64 one a float64. The graph says so by
converting the number where it is used, so no later pass has to know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable, a_number, output_avals
from autograd_core.declare import Elementwise
from autograd_core.ops.structural import conversion

OPERATORS = {
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "negative"),
    *("absolute", "square", "reciprocal", "equal", "not_equal", "less", "less_equal", "greater"),
    *("greater_equal", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
}
"""What Python's operators do: of numbers they make numbers, where functions make tensors."""


def is_number(x: Any) -> bool:
    """Whether an input stands for a Python number."""
    return x.number if x.__class__ is Variable else True


def makes_number(primitive: Any, inputs: Sequence[Any]) -> bool:
    """Whether the result of a primitive stands for a Python number too."""
    return primitive.name in OPERATORS and all(map(is_number, inputs))


def without_numbers(graph: Graph) -> Graph:
    """The same graph, its numbers converted where they are used."""
    variables = [*graph.inputs, *graph.constants, *(y for e in graph.equations for y in e.outputs)]
    plain = {x: Variable(x.aval) for x in variables if x.number}
    if not plain:
        return graph
    equations: list[Equation] = []

    def converted(x: Variable, dtype: np.dtype) -> Variable:
        if x.aval.dtype == dtype:
            return plain[x]
        primitive = conversion(x.aval.dtype, dtype)
        params = {"dtype": dtype}
        (aval,) = output_avals(primitive, [plain[x]], params)
        found = Variable(aval)
        equations.append(Equation(primitive, (plain[x],), params, (found,)))
        return found

    for primitive, inputs, params, outputs in graph.equations:
        dtype = _beside(inputs) if primitive.__class__ is Elementwise else None
        if dtype is not None and dtype.kind in "iu":
            # Compared with, or divided by, a number need not fit.
            as_they_are = [plain.get(x, x) if x.__class__ is Variable else x for x in inputs]
            if output_avals(primitive, as_they_are, params) == tuple(y.aval for y in outputs):
                dtype = None
        given = []
        for x in inputs:
            if x.__class__ is not Variable or not x.number:
                given.append(x)
            else:
                given.append(plain[x] if dtype is None else converted(x, dtype))
        made = tuple(plain.get(y, y) for y in outputs)
        equations.append(Equation(primitive, tuple(given), params, made))
    return Graph(
        [plain.get(x, x) for x in graph.inputs],
        equations,
        [plain.get(y, y) for y in graph.outputs],
        {plain.get(x, x): value for x, value in graph.constants.items()},
        graph.mapped,
    )


def _beside(inputs: Sequence[Any]) -> np.dtype | None:
    """The dtype that numbers take beside what else an operation is applied to; None beside
    nothing."""
    if all(map(is_number, inputs)):
        return None
    kinds = [
        a_number(x.aval) if x.number else x.aval.dtype for x in inputs if isinstance(x, Variable)
    ]
    return np.result_type(*kinds)
