"""Functions with rules of their own, in graphs: `checkpoint`, `custom_vjp`, `custom_jvp`.

Each call of one is an equation that holds two things: the graph of what the function computes,
which is what remains of it in a program; and the call itself, whose rules are what transforms of
the graph use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autograd_core.capture.graph import Graph, evaluate, varying
from autograd_core.capture.trace import Capture
from autograd_core.custom import call
from autograd_core.errors import RuleError
from autograd_core.primitive import live_interpreters
from autograd_core.tensor import Aval, asarray, box

ARGUMENT = object()
"""Stands for the next argument among the leaves of a call."""


def filled(leaves: Iterable[Any], args: Iterable[Any]) -> list:
    """The leaves of a call, with its arguments among them."""
    rest = iter(args)
    return [next(rest) if x is ARGUMENT else x for x in leaves]


class Ruled:
    """The primitive of such an equation. Its arguments are values that the function reads from
    outside, then its own.

    Its parameters are:
        function: the call.
        graph: of all arguments.
        outside: how many arguments are values from outside.
        leaves: what the function is called with, `ARGUMENT` where that is an argument.
    """

    name = "call"
    multiple = True
    variadic = True

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def shape(self, *_avals: Any, graph: Graph, **_params: Any) -> tuple[Aval, ...]:
        return tuple(y.aval for y in graph.outputs)

    def kernel(self, *arrays: Any, graph: Graph, **_params: Any) -> tuple:
        return tuple(asarray(y).value for y in evaluate(graph, list(map(box, arrays))))

    def varying(self, flags: Sequence[bool], params: dict) -> list[bool]:
        return varying(params["graph"], flags)

    def replay(self, args: Sequence[Any], params: dict) -> tuple:
        """The call on tensors, which may be traced."""
        function, graph, outside = params["function"], params["graph"], params["outside"]
        args = [asarray(x) for x in args]
        traces = [x.interpreter for x in args if x.interpreter is not None]
        if not traces:
            return tuple(evaluate(graph, args))
        trace = max(traces, key=lambda t: t.level)
        if isinstance(trace, Capture):
            for each in live_interpreters():
                each.note_rules()
            return trace.process(RULED, tuple(args), params)
        if not function.rules:  # but those of what is in the graph
            return call(function.captured(lambda *xs: tuple(evaluate(graph, xs))), args)
        read, given = args[:outside], args[outside:]
        if any(x.interpreter is trace for x in read):
            raise RuleError(
                f"{function.name}: a function with a rule of its own closes over a value that is "
                "being differentiated or mapped; pass that value as an argument instead"
            )

        def run(*leaves: Any) -> tuple:
            own = [x for x, hole in zip(leaves, params["leaves"], strict=True) if hole is ARGUMENT]
            return tuple(evaluate(graph, [*read, *own]))

        return call(function.captured(run), filled(params["leaves"], given))


RULED: Any = Ruled()


def has_rules(graph: Graph) -> bool:
    """Whether a graph, or one inside of it, has such an equation."""
    inside = [x for e in graph.equations for x in e.params.values() if x.__class__ is Graph]
    return any(e.primitive is RULED for e in graph.equations) or any(map(has_rules, inside))
