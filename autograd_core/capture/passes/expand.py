"""Expand what is one primitive for the sake of its derivatives, or of NumPy's function, into what
fused loops can do."""

from __future__ import annotations

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.ops.structural import reshape_p, sum_p
from autograd_core.primitive import REGISTRY, Primitive

LONGEST = 4096
"""Entries of an axis whose numbers are worth a constant: on longer ones `argmax` is NumPy's."""


def expand(graph: Graph) -> Graph:
    """The graph with softmaxes as exponentials and sums, and places of extrema as the least ones of
    equal entries."""
    rewriter = Rewriter(graph)
    for old in graph.equations:
        equation = rewriter.updated(old)
        name = equation.primitive.name
        if name in ("softmax", "log_softmax") and equation.output.aval.size:
            rewriter.become(equation.output, _softmax(rewriter, equation))
        elif name in ("argmax", "argmin") and _is_short(equation):
            rewriter.become(equation.output, _first_place(rewriter, equation))
        else:
            rewriter.keep(equation)
    return rewriter.graph()


def _softmax(rewriter: Rewriter, equation: Equation) -> Variable:
    (x,), axis = equation.inputs, equation.params["axis"]
    assert x.__class__ is Variable

    def apply(name: str, *inputs: Variable) -> Variable:
        return rewriter.apply(REGISTRY[name], *inputs)

    shifted = apply("subtract", x, _reduced(rewriter, REGISTRY["max"], x, axis))
    shares = apply("exp", shifted)
    total = _reduced(rewriter, sum_p, shares, axis)
    if equation.primitive.name == "softmax":
        return apply("divide", shares, total)
    return apply("subtract", shifted, apply("log", total))


def _is_short(equation: Equation) -> bool:
    aval, axis = equation.variables[0].aval, equation.params["axis"]
    known = aval.dtype.kind in "if" and aval.dtype.itemsize in (4, 8)  # as loops have them
    return known and aval.size > 0 and aval.shape[axis] <= LONGEST


def _first_place(rewriter: Rewriter, equation: Equation) -> Variable:
    """Where along an axis the first extremum is; the first NaN where there is one."""
    (x,), axis = equation.inputs, equation.params["axis"]
    assert x.__class__ is Variable
    extremum = _reduced(rewriter, REGISTRY[equation.primitive.name[3:]], x, axis)
    found = rewriter.apply(REGISTRY["equal"], x, extremum)
    if x.aval.dtype.kind == "f":
        nan = rewriter.apply(REGISTRY["not_equal"], x, x)
        found = rewriter.apply(REGISTRY["logical_or"], found, nan)
    n = x.aval.shape[axis]
    numbers = rewriter.constant(np.arange(n).reshape(n, *[1] * (x.aval.ndim - 1 - axis)))
    places = rewriter.apply(REGISTRY["where"], found, numbers, rewriter.constant(np.int64(n)))
    return rewriter.apply(REGISTRY["min"], places, axes=(axis,))


def _reduced(rewriter: Rewriter, primitive: Primitive, x: Variable, axis: int) -> Variable:
    """A reduction that leaves the axis in the shape, with length 1."""
    kept = tuple(1 if a == axis else n for a, n in enumerate(x.aval.shape))
    return rewriter.apply(reshape_p, rewriter.apply(primitive, x, axes=(axis,)), shape=kept)
