"""What a captured function does in `no_grad`, as equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.capture.graph import Equation, apply, output_avals
from autograd_core.reverse import no_grad
from autograd_core.tensor import Aval, asarray


class _Unrecorded:
    """The primitive of an equation that applies another one, and which no tape records."""

    name = "no_grad"
    multiple = True
    variadic = True

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def shape(self, *avals: Any, primitive: Any, params: dict) -> tuple[Aval, ...]:
        return output_avals(primitive, avals, params)

    def kernel(self, *arrays: Any, primitive: Any, params: dict) -> tuple:
        out = primitive.kernel(*arrays, **params)
        return out if primitive.multiple else (out,)

    def replay(self, args: Sequence[Any], params: dict) -> tuple:
        with no_grad():
            return tuple(map(asarray, apply(params["primitive"], args, params["params"])))


UNRECORDED: Any = _Unrecorded()


def unrecorded(equation: Equation) -> Equation:
    primitive, inputs, params, outputs = equation
    return Equation(UNRECORDED, inputs, {"primitive": primitive, "params": params}, outputs)


def recorded(equation: Equation) -> Equation:
    """What an unrecorded equation applies."""
    return equation._replace(**equation.params)
