"""What passes share: copy a graph equation by equation, with other variables in some places."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from itertools import chain
from typing import Any

from autograd_core.capture.graph import Equation, Graph, Variable, output_avals
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor, aval_of, box


class Rewriter:
    """A graph in the making, and what has become of the variables of the old one."""

    def __init__(self, graph: Graph):
        self.old = graph
        self.equations: list[Equation] = []
        self.constants = dict(graph.constants)
        self.made: dict[Variable, Equation] = {}
        self._became: dict[Variable, Variable] = {}

    def now(self, x: Any) -> Any:
        """What stands for an input of an old equation: Python numbers for themselves."""
        return self._became.get(x, x) if x.__class__ is Variable else x

    def updated(self, equation: Equation) -> Equation:
        """An old equation on what stands for its inputs."""
        became = self._became
        if became.keys().isdisjoint(equation.inputs):
            return equation
        inputs = tuple([became.get(x, x) for x in equation.inputs])
        return equation._replace(inputs=inputs)

    def keep(self, equation: Equation) -> None:
        """Append an equation whose inputs are up to date."""
        self.equations.append(equation)
        for y in equation.outputs:
            self.made[y] = equation

    def become(self, old: Variable, new: Variable) -> None:
        """Let another variable stand for an old one from here on."""
        self._became[old] = new

    def apply(self, primitive: Primitive, *inputs: Any, **params: Any) -> Variable:
        """Append a new equation; its output."""
        (aval,) = output_avals(primitive, inputs, params)
        return self.append(Equation(primitive, inputs, params, (Variable(aval),)))

    def append(self, equation: Equation) -> Variable:
        """Append an equation whose inputs are up to date; its output, or what stands for it."""
        self.keep(equation)
        return equation.output

    def constant(self, value: Any) -> Variable:
        """A new constant with the value of an array."""
        tensor = value if value.__class__ is Tensor else box(value)
        variable = Variable(aval_of(tensor))
        self.constants[variable] = tensor
        return variable

    def maker(self, x: Any, *names: str) -> Equation | None:
        """The equation that x comes from, if it applies a primitive of one of these names."""
        equation = self.made.get(x) if x.__class__ is Variable else None
        return equation if equation is not None and equation.primitive.name in names else None

    @cached_property
    def uses(self) -> Counter[Variable]:
        """How often each variable of the old graph is read, outputs included."""
        return Counter(chain(self.old.outputs, *(e.variables for e in self.old.equations)))

    def graph(self) -> Graph:
        """The graph made."""
        outputs = [self.now(y) for y in self.old.outputs]
        mapped = [list(map(self.now, some)) for some in self.old.mapped]
        return Graph(self.old.inputs, self.equations, outputs, self.constants, mapped)
