"""Convolutions and windows: the primitives; the layers that users call are in `autograd_core.nn`.

Images are channels-last, and a leading axis B goes through images and filters alike: it holds the
groups of a grouped convolution, or the tasks of a meta-batch, each with its own filters.

Images x, filters w and cotangents g are tied by one form that is linear in each of them,
Σ g · conv(x, w). Its three gradients are the three primitives, so each rule is another of the three,
and derivatives of any order stay among them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels
from autograd_core.declare import bilinear, linear, nondifferentiable
from autograd_core.ops.structural import (
    Aval,
    moveaxis,
    reshape,
    shifted,
    transpose_p,
    with_batch,
)
from autograd_core.primitive import Rule, bind
from autograd_core.tensor import Tensor

__all__: list[str] = []

# The mapped axis -------------------------------------------------------------------------------


def folded(x: Tensor, axis: int) -> Tensor:
    """The mapped axis 0 merged, as the slower index, into axis `axis` of each element."""
    x = moveaxis(x, 0, axis)
    return reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


def unfolded(x: Tensor, axis: int, size: int) -> Tensor:
    """The mapped axis, merged into `axis` by `folded`, as axis 0 again."""
    x = reshape(x, (*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :]))
    return moveaxis(x, axis, 0)


def _batch_by_folding(left: tuple[int, int], right: tuple[int, int]) -> Rule:
    """The batching rule of an operation that has B as axis 0 of both arguments and the result.

    Where both arguments are mapped, the mapped axis joins B. Where one is, it joins an axis that
    the other does not have, and the work on the other is not repeated.

    Args:
        left, right: into which axis of that argument the mapped axis goes when only this one has
            it, and in which axis of the result it comes out.
    """

    def batch(size: int, args: tuple, batched: tuple, **params: Any) -> Tensor:
        if all(batched):
            into = [0, 0]
            out = 0
        else:
            place, out = left if batched[0] else right
            into = [place, place]
        args = tuple(folded(x, i) if b else x for x, i, b in zip(args, into, batched, strict=True))
        return unfolded(bind(primitive_of[batch], args, params), out, size)

    return batch
