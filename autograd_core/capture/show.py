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


def _constant(value: Any) -> str:
    if value.trace is not None or value.size > 4:
        return "constant"
    return np.array2string(np.asarray(value.value), separator=",")


def _option(value: Any) -> str:
    if isinstance(value, Graph):
        return f"<{len(value.equations)} equations>"
    return str(value).replace(" ", "")
