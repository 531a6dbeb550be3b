"""Compute once what is computed twice (common subexpressions)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.tensor import Tensor
from kernels.devices import to_host
from kernels.loops import exactly


def merge_duplicates(graph: Graph) -> Graph:
    """The graph with one equation in the place of all that are equal."""
    rewriter = Rewriter(graph)
    _merge_constants(rewriter)
    known: dict[Hashable, Equation] = {}
    for old in graph.equations:
        equation = rewriter.updated(old)
        key = key_of(equation)
        same = None if key is None else known.setdefault(key, equation)
        if same is None or same is equation:
            rewriter.keep(equation)
            continue
        for mine, theirs in zip(equation.outputs, same.outputs, strict=True):
            rewriter.become(mine, theirs)
    return rewriter.graph()


def _merge_constants(rewriter: Rewriter) -> None:
    known: dict[Hashable, Variable] = {}
    for variable, value in list(rewriter.constants.items()):
        if value.interpreter is not None:
            continue
        array = to_host(value.value)
        key = (array.shape, array.dtype, array.tobytes())
        same = known.setdefault(key, variable)
        if same is not variable:
            rewriter.become(variable, same)
            del rewriter.constants[variable]


def key_of(equation: Equation) -> Hashable | None:
    """Equal for equations that compute the same; None where that cannot be told."""
    inputs = tuple([x if x.__class__ is Variable else exactly(x) for x in equation.inputs])
    try:
        key = (equation.primitive.name, inputs, frozen(equation.params))
        hash(key)
    except TypeError:
        return None
    return key


def frozen(value: Any) -> Hashable:
    """A hashable stand-in for a parameter.

    Raises:
        TypeError: there is none.
    """
    if isinstance(value, dict):
        return tuple([(k, frozen(value[k])) for k in sorted(value)])
    if isinstance(value, list | tuple):
        if {int}.issuperset(map(type, value)):  # by far the most
            return tuple(value)
        return tuple(map(frozen, value))
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    if isinstance(value, np.ndarray | Tensor):
        array = np.asarray(value)
        return (array.shape, array.dtype, array.tobytes())
    return exactly(value) if value.__class__ is float else (type(value), value)
