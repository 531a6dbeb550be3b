"""Drop equations whose outputs nobody reads, inside of scans too."""

from __future__ import annotations

from collections.abc import Container

from autograd_core.capture.graph import Equation, Graph, Variable


def drop_dead(graph: Graph) -> Graph:
    """The graph without what does not lead to an output."""
    wanted: set[Variable] = set(graph.outputs)
    kept = []
    for equation in reversed(graph.equations):
        if wanted.intersection(equation.outputs):
            if equation.primitive.name == "scan":
                equation = _narrowed(equation, wanted)
            kept.append(equation)
            wanted.update(equation.variables)
    constants = {x: value for x, value in graph.constants.items() if x in wanted}
    return Graph(graph.inputs, kept[::-1], graph.outputs, constants, graph.mapped)


def _narrowed(equation: Equation, wanted: Container[Variable]) -> Equation:
    """A scan without the results that nobody reads, nor what only they need to be carried."""
    params, body = equation.params, equation.params["graph"]
    first, carried = params["outside"], params["carried"]
    results = {k for k, y in enumerate(equation.outputs) if y in wanted}
    while True:
        outputs = [y for k, y in enumerate(body.outputs) if k in results]
        less = drop_dead(Graph(body.inputs, body.equations, outputs, body.constants, body.mapped))
        read = {x for e in less.equations for x in e.variables} | set(outputs)
        needed = {k for k in range(carried) if body.inputs[first + k] in read} - results
        if not needed:
            break
        results |= needed
    if len(results) == len(body.outputs):
        return equation
    stays = [
        k - first in results if first <= k < first + carried else x in read
        for k, x in enumerate(body.inputs)
    ]
    inputs = [x for x, stay in zip(body.inputs, stays, strict=True) if stay]
    graph = Graph(inputs, less.equations, outputs, less.constants, less.mapped)
    params = {
        **params,
        "graph": graph,
        "outside": sum(stays[:first]),
        "carried": sum(stays[first : first + carried]),
    }
    given = tuple(x for x, stay in zip(equation.inputs, stays, strict=True) if stay)
    left = tuple(y for k, y in enumerate(equation.outputs) if k in results)
    return Equation(equation.primitive, given, params, left)
