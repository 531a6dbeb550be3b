"""Expand what is one primitive for the sake of its derivatives into what fused loops can do."""

from __future__ import annotations

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.ops.structural import reshape_p, sum_p
from autograd_core.primitive import REGISTRY


def expand(graph: Graph) -> Graph:
    """The graph with softmaxes as exponentials and sums."""
    rewriter = Rewriter(graph)
    for old in graph.equations:
        equation = rewriter.updated(old)
        name = equation.primitive.name
        if name in ("softmax", "log_softmax") and equation.output.aval.size:
            rewriter.become(equation.output, _softmax(rewriter, equation))
        else:
            rewriter.keep(equation)
    return rewriter.graph()


def _softmax(rewriter: Rewriter, equation: Equation) -> Variable:
    (x,), axis = equation.inputs, equation.params["axis"]
    assert x.__class__ is Variable
    kept = tuple(1 if a == axis else n for a, n in enumerate(x.aval.shape))

    def apply(name: str, *inputs: Variable) -> Variable:
        return rewriter.apply(REGISTRY[name], *inputs)

    def reduced(primitive, y: Variable) -> Variable:
        return rewriter.apply(reshape_p, rewriter.apply(primitive, y, axes=(axis,)), shape=kept)

    shifted = apply("subtract", x, reduced(REGISTRY["max"], x))
    shares = apply("exp", shifted)
    total = reduced(sum_p, shares)
    if equation.primitive.name == "softmax":
        return apply("divide", shares, total)
    return apply("subtract", shifted, apply("log", total))
