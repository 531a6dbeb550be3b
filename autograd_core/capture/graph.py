"""A typed graph: what a function computes, as data.

A graph is a list of equations in the order of computation. Each applies a primitive to variables
and Python numbers, and defines its outputs once. There is nothing else to know of a variable than
its shape and dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from autograd_core.declare import Elementwise
from autograd_core.errors import AutogradError
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import INEXACT, Aval, Tensor, aval_of


class Variable:
    """A value of a graph.

    `number` is set for what stands for a Python number while a function is captured: it takes part
    in no promotion.
    """

    __slots__ = ("aval", "number")

    def __init__(self, aval: Aval, number: bool = False):
        self.aval = aval
        self.number = number

    def __repr__(self) -> str:
        return f"<variable {self.aval.dtype}{list(self.aval.shape)}>"


Atom = Any
"""What an equation is applied to: a variable, or a Python number."""


class Equation(NamedTuple):
    """`outputs = primitive(*inputs, **params)`."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    params: dict[str, Any]
    outputs: tuple[Variable, ...]

    @property
    def output(self) -> Variable:
        """The only output."""
        (output,) = self.outputs
        return output

    @property
    def variables(self) -> list[Variable]:
        """The inputs that are variables."""
        return [x for x in self.inputs if x.__class__ is Variable]


@dataclass
class Graph:
    """Equations from inputs and constants to outputs."""

    inputs: list[Variable]
    equations: list[Equation]
    outputs: list[Variable]
    constants: dict[Variable, Tensor] = field(default_factory=dict)
    mapped: list[list[Variable]] = field(default_factory=list)
    """For each `vmap` in the function, the outermost first, values whose axis 0 it maps over: a
    hint."""
    programs: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What runs it on each device, where it is part of another graph and has been compiled."""
    better: Any = field(default=None, repr=False, compare=False)
    """The same after all passes, likewise."""

    def __str__(self) -> str:
        from autograd_core.capture.show import text

        return text(self)

    def picture(self) -> Any:
        """The graph as a `graphviz.Digraph`."""
        from autograd_core.capture.show import picture

        return picture(self)


class GraphError(AutogradError):
    """A graph is not well formed: a pass or the capture has a defect."""


def output_avals(primitive: Primitive, inputs: Sequence[Atom], params: dict) -> tuple[Aval, ...]:
    """The outputs' shapes and dtypes by the primitive's shape rule."""
    promotes = primitive.__class__ is Elementwise  # which a rule is told of numbers for
    known = [
        x if x.__class__ is not Variable else a_number(x.aval) if x.number and promotes else x.aval
        for x in inputs
    ]
    out = primitive.shape(*known, **params)
    return tuple(out) if primitive.multiple else (out,)


def a_number(aval: Aval) -> Any:
    """A Python number of an aval's kind, for rules that look at no more than that."""
    return {"f": 1.0, "b": True}.get(aval.dtype.kind, 1)


def check(graph: Graph) -> Graph:
    """The graph itself.

    Raises:
        GraphError: a variable is used before it is defined or defined twice, or its shape or dtype
            is not what the shape rule says.
    """
    defined = {*graph.inputs, *graph.constants}
    for number, equation in enumerate(graph.equations):
        primitive, inputs, params, outputs = equation
        if not defined.issuperset(equation.variables):
            raise _wrong(number, equation, "an input is used before it is defined")
        avals = output_avals(primitive, inputs, params)
        if avals != tuple([y.aval for y in outputs]):
            raise _wrong(number, equation, f"expected outputs {avals}, got {outputs}")
        if not defined.isdisjoint(outputs):
            raise _wrong(number, equation, "an output is defined twice")
        defined.update(outputs)
    if not defined.issuperset(graph.outputs):
        raise GraphError("an output of the graph is not defined")
    for variable, value in graph.constants.items():
        if variable.aval != aval_of(value):
            raise GraphError(f"constant {variable} has the value {value!r}")
    return graph


def _wrong(number: int, equation: Equation, message: str) -> GraphError:
    return GraphError(f"equation {number} ({equation.primitive.name}): {message}")


def evaluate(graph: Graph, args: Sequence[Any]) -> list[Any]:
    """Apply the graph's primitives one after the other: values are dropped after their last use.

    Arguments may be traced, so this is how a graph is differentiated, mapped and captured again.
    """
    values: dict[Variable, Any] = {**graph.constants, **dict(zip(graph.inputs, args, strict=True))}
    kept = {*graph.outputs}
    for (primitive, inputs, params, outputs), last in zip(
        graph.equations, last_uses(graph), strict=True
    ):
        given = [values[x] if x.__class__ is Variable else x for x in inputs]
        values.update(zip(outputs, apply(primitive, given, params), strict=True))
        for x in last:
            if x not in kept:
                del values[x]
    return [values[y] for y in graph.outputs]


def apply(primitive: Any, args: Sequence[Any], params: dict) -> tuple:
    """What the outputs of an equation are for some arguments."""
    replay = getattr(primitive, "replay", None)  # of control flow
    if replay is not None:
        found = replay(args, params)
    elif primitive.__class__ is Elementwise and not params:
        found = primitive.apply(*args)  # which knows what a number is beside a tensor
    else:
        found = bind(primitive, args, params)
    return found if primitive.multiple else (found,)


def varying(graph: Graph, flags: Sequence[bool]) -> list[bool]:
    """Which outputs may have a derivative in the inputs with a flag."""
    varies = {x for x, flag in zip(graph.inputs, flags, strict=True) if flag and is_inexact(x.aval)}
    for primitive, inputs, params, outputs in graph.equations:
        given = [x.__class__ is Variable and x in varies for x in inputs]
        if not any(given):
            continue
        inner = getattr(primitive, "varying", None)  # of control flow
        if inner is not None:
            found = inner(given, params)
        else:
            found = [getattr(primitive, "differentiable", True)] * len(outputs)
        real = [flag and is_inexact(y.aval) for y, flag in zip(outputs, found, strict=True)]
        varies.update(y for y, flag in zip(outputs, real, strict=True) if flag)
    return [y in varies for y in graph.outputs]


def is_inexact(aval: Aval) -> bool:
    """Whether there are derivatives in a value."""
    return aval.dtype.kind in INEXACT


def last_uses(graph: Graph) -> list[list[Variable]]:
    """For each equation the variables that no later one reads, its own outputs among them."""
    seen: set[Variable] = set()
    uses: list[list[Variable]] = []
    for equation in reversed(graph.equations):
        last = [x for x in dict.fromkeys((*equation.variables, *equation.outputs)) if x not in seen]
        seen.update(last)
        uses.append(last)
    return uses[::-1]
