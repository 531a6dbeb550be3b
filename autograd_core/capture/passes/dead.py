"""Drop equations whose outputs nobody reads."""

from __future__ import annotations

from autograd_core.capture.graph import Graph, Variable


def drop_dead(graph: Graph) -> Graph:
    """The graph without what does not lead to an output."""
    wanted: set[Variable] = set(graph.outputs)
    kept = []
    for equation in reversed(graph.equations):
        if wanted.intersection(equation.outputs):
            kept.append(equation)
            wanted.update(equation.variables)
    constants = {x: value for x, value in graph.constants.items() if x in wanted}
    return Graph(graph.inputs, kept[::-1], graph.outputs, constants, graph.mapped)
