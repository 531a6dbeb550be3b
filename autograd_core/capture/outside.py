"""Values from outside that a graph reads in every call, and the views of one array among them.

A function that closes over data may read them in several ways, x and x.T say. Each is a tensor of
its own when the function is captured, but they share memory: the graph gets one of them, as it
lies, and turns it itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_core.capture.graph import Equation, Variable
from autograd_core.ops.structural import reshape_p, transpose_p
from autograd_core.tensor import Tensor, aval_of, box
from kernels.memory import address

Shared = tuple[Variable, Tensor]


def without_repeats(shared: Sequence[Shared]) -> tuple[list[Shared], list[Equation]]:
    """One variable for each array, and equations that make the others from it."""
    kept: dict[tuple, Shared] = {}
    equations = []
    for variable, tensor in shared:
        lying = _as_it_lies(tensor)
        if lying is None:
            kept[(id(variable),)] = variable, tensor
            continue
        array, axes = lying
        key = address(array), array.shape, array.dtype
        straight = axes == tuple(range(array.ndim))
        if key not in kept:
            first = box(array)
            kept[key] = (variable, tensor) if straight else (Variable(aval_of(first)), first)
        source = kept[key][0]
        if source is not variable:
            primitive, params = (
                (reshape_p, {"shape": array.shape}) if straight else (transpose_p, {"axes": axes})
            )
            equations.append(Equation(primitive, (source,), params, (variable,)))
    return list(kept.values()), equations


def _as_it_lies(tensor: Tensor) -> tuple[np.ndarray, tuple[int, ...]] | None:
    """An array without gaps, and the order of its axes that gives the tensor's; None if that is
    not how it lies."""
    array = tensor.value
    if not isinstance(array, np.ndarray) or array.size < 2:
        return None
    order = sorted(range(array.ndim), key=lambda a: (-array.strides[a], a))
    straight = array.transpose(order)
    if not straight.flags.c_contiguous:
        return None
    return straight, tuple(order.index(a) for a in range(array.ndim))
