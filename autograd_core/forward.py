"""Forward mode: carry a tangent beside each value."""

from __future__ import annotations

from typing import Any

from autograd_core.primitive import Interpreter, Primitive, bind, plus
from autograd_core.tensor import Aval, Tensor, box


class Forward(Interpreter):
    """Pushes tangents through primitives; the mark of a tensor traced here is its tangent."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        self.check_live()
        primals = tuple(map(self.lower, args))
        out = bind(primitive, primals, params)
        if not primitive.differentiable:
            return out
        tangent: Any = None
        for i, x in enumerate(args):
            if x.__class__ is Tensor and x.interpreter is self:
                contribution = primitive.jvps[i](x.mark, out, *primals, **params)
                tangent = plus(tangent, contribution)
        if primitive.multiple:
            return tuple(map(self.join, out, tangent))
        return self.join(out, tangent)

    def join(self, primal: Any, tangent: Any) -> Tensor:
        """A traced tensor; without a tangent (known to be zero) the primal itself."""
        if tangent is None:
            return primal
        return box(primal, self, self.conform(tangent, primal))

    @staticmethod
    def conform(tangent: Tensor, primal: Tensor | Aval) -> Tensor:
        """A tangent in the shape and dtype of its primal, which broadcasting may have changed."""
        if tangent.shape != primal.shape or tangent.dtype != primal.dtype:
            from autograd_core.ops.structural import broadcast_to, converted

            tangent = converted(broadcast_to(tangent, primal.shape), primal.dtype)
        return tangent

    def describe(self) -> str:
        return "jvp"
