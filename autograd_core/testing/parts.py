"""Functions of complex numbers as functions of their real and imaginary parts.

So all laws of real functions hold for them, differences included: none has to know of complex
numbers, nor of the convention for their cotangents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.fetching import read_only
from autograd_core.ops.complex import to_complex
from autograd_core.primitive import Primitive
from autograd_core.tensor import Tensor
from autograd_core.testing.case import BATCH, FunctionCase, PrimitiveCase, parts
from autograd_core.testing.draw import ArgumentsDomain, Draw, draw_siblings
from autograd_core.testing.subjects.base import wholes


def draw_complex_case(primitive: Primitive, draw: Draw) -> FunctionCase:
    """A primitive on complex arguments from its domain, as a function of their parts."""
    domain: Any = primitive.complex
    if domain is True:
        assert primitive.domain is not None
        domain = with_imaginary_parts(primitive.domain)
    calls, params = draw_siblings(domain, draw, BATCH)
    case = PrimitiveCase(primitive=primitive, calls=tuple(calls), params=params, seed=draw.seed())
    return in_parts(case)


def with_imaginary_parts(domain: ArgumentsDomain) -> ArgumentsDomain:
    """A domain of real arrays, with imaginary parts added."""

    def drawn(draw: Draw) -> tuple[tuple, dict]:
        args, params = domain(draw)
        return tuple(_with_imaginary_part(draw, np.asarray(x)) for x in args), params

    return drawn


def _with_imaginary_part(draw: Draw, x: np.ndarray) -> np.ndarray:
    return x + 1j * draw.array(x.shape, -1.5, 1.5) if x.dtype.kind == "f" else x


def in_parts(case: PrimitiveCase) -> FunctionCase:
    """A case with complex arguments as one of their parts."""
    is_complex = [x.dtype.kind == "c" for x in case.args]

    def flat(*leaves: Any) -> Sequence[Tensor]:
        whole = wholes(leaves, is_complex, to_complex)
        return [part for y in case.run(whole) for part in parts(y)]

    return FunctionCase(
        calls=tuple(_parts_of(args) for args in case.calls),
        seed=case.seed,
        flat=flat,
        called=f"{case.name}, of complex numbers",
        given=case.params,
    )


def _parts_of(args: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Of arguments; views as they are, which nobody may write to."""
    found = []
    for x in args:
        found += [x.real, x.imag] if x.dtype.kind == "c" else [x]
    return tuple(map(read_only, found))
