"""Graphs for people: as text, and as a picture."""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph, Variable
from autograd_core.tensor import Aval

SHORT = {"float": "f", "int": "i", "uint": "u", "bool": "b"}


def names(graph: Graph) -> dict[Variable, str]:
    """A name for each variable, a, b, …, aa, ab, … in the order of definition."""
    variables = [*graph.inputs, *graph.constants]
    variables += [y for equation in graph.equations for y in equation.outputs]
    letters = ("".join(p) for n in range(1, 9) for p in product(ascii_lowercase, repeat=n))
    return dict(zip(variables, letters, strict=False))


def short(aval: Aval) -> str:
    """Such as f32[3,4]."""
    kind = aval.dtype.name.rstrip("0123456789")
    bits = aval.dtype.name[len(kind) :]
    return f"{SHORT[kind]}{bits}[{','.join(map(str, aval.shape))}]"


def text(graph: Graph) -> str:
    """A line for each equation, between the inputs and the outputs."""
    name = names(graph)
    typed = lambda x: f"{name[x]}:{short(x.aval)}"
    said = lambda x: name[x] if x.__class__ is Variable else repr(x)
    lines = ["inputs " + " ".join(map(typed, graph.inputs))]
    for x, value in graph.constants.items():
        lines.append(f"  {typed(x)} = {_constant(value)}")
    for primitive, inputs, params, outputs in graph.equations:
        left = " ".join(map(typed, outputs))
        options = "".join(f" {k}={_option(v)}" for k, v in params.items())
        lines.append(f"  {left} = {primitive.name}{options} {' '.join(map(said, inputs))}")
    return "\n".join([*lines, "outputs " + " ".join(map(said, graph.outputs))])


def picture(graph: Graph) -> Any:
    """The graph as a `graphviz.Digraph`: `.source` is its text, and `.render("file", format="svg")`
    draws it where Graphviz's `dot` is installed.

    Raises:
        ImportError: the Python package graphviz is missing.
    """
    try:
        from graphviz import Digraph
    except ImportError:
        raise ImportError(
            "drawing a graph needs the package graphviz: pip install 'metagrad[pictures]'"
        ) from None
    drawn = Digraph(node_attr={"shape": "box", "fontname": "monospace"})
    name = names(graph)
    for x in (*graph.inputs, *graph.constants):
        drawn.node(name[x], f"{name[x]}: {short(x.aval)}", shape="ellipse")
    for number, (primitive, inputs, params, outputs) in enumerate(graph.equations):
        node = f"equation{number}"
        options = "".join(f"\n{k}={_option(v)}" for k, v in params.items())
        results = " ".join(f"{name[y]}: {short(y.aval)}" for y in outputs)
        drawn.node(node, f"{primitive.name}{options}\n{results}")
        for y in outputs:
            name[y] = node
        for x in inputs:
            if x.__class__ is Variable:
                drawn.edge(name[x], node)
            else:
                drawn.node(f"{node}.{x}", repr(x), shape="plaintext")
                drawn.edge(f"{node}.{x}", node)
    for k, y in enumerate(graph.outputs):
        drawn.node(f"output{k}", f"output {k}", shape="ellipse")
        drawn.edge(name[y], f"output{k}")
    return drawn


def _constant(value: Any) -> str:
    if value.interpreter is not None or value.size > 4:
        return "constant"
    return np.array2string(np.asarray(value.value), separator=",")


def _option(value: Any) -> str:
    if isinstance(value, Graph):
        return f"<{len(value.equations)} equations>"
    return str(value).replace(" ", "")
