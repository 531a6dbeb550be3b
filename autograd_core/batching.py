"""Batching: one call on arrays with an extra axis instead of a loop of calls.

What is traced here holds the mapped axis as axis 0 of its value and hides it from its shape. Every
rule is given, and gives back, that axis first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.errors import ConcreteValueError
from autograd_core.primitive import Interpreter, Primitive
from autograd_core.tensor import Tensor, box


class Batching(Interpreter):
    """Applies primitives to all `size` elements of the mapped axis at once."""

    __slots__ = ("size",)

    def __init__(self, level: int, size: int):
        super().__init__(level)
        self.size = size

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        self.check_live()
        batched = tuple(x.__class__ is Tensor and x.interpreter is self for x in args)
        out = primitive.batch(self.size, tuple(map(self.lower, args)), batched, **params)
        if primitive.multiple:
            return tuple(box(x, self) for x in out)
        return box(out, self)

    def shape_of(self, tensor: Tensor) -> tuple[int, ...]:
        return tensor.value.shape[1:]

    def check_concrete(self, tensor: Tensor, wanted: str) -> None:
        raise ConcreteValueError(
            f"{wanted} of a value mapped by vmap (shape {tensor.shape}, {self.size} of them): it "
            "has no single value; use where() instead of a Python branch, or return it from the "
            "mapped function"
        )

    def describe(self) -> str:
        return f"vmap of {self.size}"


def note_mapped(tensors: Sequence[Tensor]) -> None:
    """Tell the interpreters that trace tensors under all others that axis 0 of these is mapped."""
    lowest: dict[Interpreter, list[Tensor]] = {}
    for x in tensors:
        while x.interpreter is not None and x.value.__class__ is Tensor:
            x = x.value
        if x.interpreter is not None:
            lowest.setdefault(x.interpreter, []).append(x)
    for trace, some in lowest.items():
        trace.note_mapped(some)
