"""Compute at once what depends on constants alone, and know constants that repeat one number."""

from __future__ import annotations

import numpy as np

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.ops.structural import broadcast_p
from autograd_core.primitive import Primitive, bind
from kernels.devices import to_host

LARGEST = 2**16
"""Entries of the largest result that is kept instead of being computed in every call."""


def fold_constants(graph: Graph) -> Graph:
    """The graph with constants in the place of what depends on nothing else.

    A constant of several entries that are all the same becomes a broadcast number, which `simplify`
    can see through, and which takes no memory.
    """
    rewriter = Rewriter(graph)
    for variable, value in graph.constants.items():
        if value.interpreter is None:
            _splat(rewriter, variable, to_host(value.value))
    for old in graph.equations:
        equation = rewriter.updated(old)
        if not _foldable(rewriter, equation):
            rewriter.keep(equation)
            continue
        values = [rewriter.constants[x] if x.__class__ is Variable else x for x in equation.inputs]
        with np.errstate(all="ignore"):
            found = bind(equation.primitive, values, equation.params)
        outs = found if equation.primitive.multiple else (found,)
        for output, value in zip(equation.outputs, outs, strict=True):
            rewriter.become(output, constant := rewriter.constant(value))
            _splat(rewriter, constant, to_host(value.value))
    return rewriter.graph()


def _splat(rewriter: Rewriter, variable: Variable, array: np.ndarray) -> None:
    if array.size < 2 or array.tobytes() != array.ravel()[:1].tobytes() * array.size:
        return
    number = rewriter.constant(array.ravel()[0].reshape(()))
    rewriter.become(variable, rewriter.apply(broadcast_p, number, shape=array.shape, axes=()))
    del rewriter.constants[variable]


def _foldable(rewriter: Rewriter, equation: Equation) -> bool:
    constants = rewriter.constants
    if not constants.keys() >= set(equation.variables):
        return False
    if not isinstance(equation.primitive, Primitive):  # control flow
        return False
    if sum(y.aval.size for y in equation.outputs) > LARGEST or equation.primitive is broadcast_p:
        return False
    return all(constants[x].interpreter is None for x in equation.variables)
