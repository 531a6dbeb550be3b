"""Where relu was positive, seen from its argument, where that costs less memory traffic.

Its derivative asks whether its result is positive. Behind a normalisation the argument is a few
operations on what the backward pass reads anyway: then the result need not be read, nor kept for
that. (A positive result has a positive argument, and neither is NaN.)
"""

from __future__ import annotations

from autograd_core.capture.graph import Graph, Variable
from autograd_core.capture.lowering.places import VIEWS
from autograd_core.capture.lowering.points import is_point
from autograd_core.capture.passes.algebra import number_of
from autograd_core.capture.passes.rewrite import Rewriter

MOST_OPS = 10
"""Operations that are worth repeating."""


def masks_from_arguments(graph: Graph) -> Graph:
    """The graph with `relu(x) > 0` as `x > 0` where x is easily made again."""
    rewriter = Rewriter(graph)
    last = _last_reads(graph)
    for n, old in enumerate(graph.equations):
        equation = rewriter.updated(old)
        if equation.primitive.name == "greater" and number_of(rewriter, equation.inputs[1]) == 0:
            relu = rewriter.maker(equation.inputs[0], "relu")
            if relu is not None and _made_of_what_lives(rewriter, relu.variables[0], last, n):
                equation = equation._replace(inputs=(relu.inputs[0], equation.inputs[1]))
        rewriter.keep(equation)
    return rewriter.graph()


def _last_reads(graph: Graph) -> dict[Variable, int]:
    """The number of the last equation that reads a variable, or what is a view of it."""
    last: dict[Variable, int] = {}
    for n, equation in reversed(list(enumerate(graph.equations))):
        is_view = equation.primitive.name in VIEWS
        read = last.get(equation.outputs[0], n) if is_view else n
        for x in equation.variables:
            last[x] = max(read, last.get(x, read))
    return last


def _made_of_what_lives(
    rewriter: Rewriter, x: Variable, last: dict[Variable, int], now: int
) -> bool:
    """Whether x is a few operations on one value of its size, and smaller ones, and one of those
    that lie between them is read later."""
    large, ops, seen, left = 0, 0, set[Variable](), [x]
    while left:
        y = left.pop()
        if y in seen or y.aval.size < x.aval.size:
            continue
        seen.add(y)
        equation = rewriter.made.get(y)
        if equation is not None and (is_point(equation) or equation.primitive.name in VIEWS):
            ops += is_point(equation)
            left += equation.variables
        else:
            large += 1
    return ops <= MOST_OPS and large == 1 and any(last.get(y, -1) > now for y in seen)
