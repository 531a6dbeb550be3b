"""Put what is computed in the place of what has rules of its own, which a program does not need."""

from __future__ import annotations

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.capture.ruled import RULED
from autograd_core.capture.unrecorded import UNRECORDED, recorded


def inline(graph: Graph) -> Graph:
    """The graph without calls of functions with rules (`checkpoint`, `custom_vjp`, …), `no_grad`,
    and equations that others solve."""
    if not any(_is_inlined(e) for e in graph.equations):
        return graph
    rewriter = Rewriter(graph)
    mapped = list(graph.mapped)
    for old in graph.equations:
        _add(rewriter, mapped, rewriter.updated(old))
    made = rewriter.graph()
    made.mapped = [list(map(rewriter.now, some)) for some in mapped]
    return made


def _is_inlined(equation: Equation) -> bool:
    primitive = equation.primitive
    return primitive is RULED or primitive is UNRECORDED or primitive.name == "implicit"


def _add(rewriter: Rewriter, mapped: list[list[Variable]], equation: Equation) -> None:
    while equation.primitive is UNRECORDED:
        equation = recorded(equation)
    if equation.primitive is RULED:
        found = _called(rewriter, mapped, equation)
    elif equation.primitive.name == "implicit":  # see autograd_core/implicit.py
        found = list(equation.inputs[-equation.params["count"] :])
    else:
        rewriter.keep(equation)
        return
    for y, x in zip(equation.outputs, found, strict=True):
        rewriter.become(y, x)


def _called(rewriter: Rewriter, mapped: list[list[Variable]], equation: Equation) -> list[Variable]:
    """The results of a call, its graph's equations appended."""
    graph = equation.params["graph"]
    stands = {
        x: given if given.__class__ is Variable else rewriter.constant(x.aval.dtype.type(given))
        for x, given in zip(graph.inputs, equation.inputs, strict=True)
    }
    for x, value in graph.constants.items():
        stands[x] = rewriter.constant(value)
    now = lambda x: rewriter.now(stands[x]) if x.__class__ is Variable else x
    for primitive, inputs, params, outputs in graph.equations:
        stands.update((y, Variable(y.aval)) for y in outputs)
        made = tuple(stands[y] for y in outputs)
        _add(rewriter, mapped, Equation(primitive, tuple(map(now, inputs)), params, made))
    mapped.extend([stands[x] for x in some] for some in graph.mapped)
    return [now(y) for y in graph.outputs]
