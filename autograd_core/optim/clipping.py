"""Limits on gradients, to be chained before an optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.arithmetic import clip, greater, root, square, where
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import astype
from autograd_core.optim.optimizer import Optimizer, beside
from autograd_core.tensor import Tensor
from autograd_core.tree import tree_leaves, tree_map


def clip_by_value(limit: float) -> Optimizer:
    """Each entry of the gradients limited to [-limit, limit]."""
    return _stateless(lambda grads: tree_map(lambda g: clip(g, -limit, limit), grads))


def clip_by_global_norm(limit: float) -> Optimizer:
    """All gradients divided by one number, so that their `global_norm` is at most `limit`.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """

    def clipped(grads: Any) -> Any:
        norm = global_norm(grads)
        over = greater(norm, limit)
        factor = where(over, limit / where(over, norm, 1.0), 1.0)
        return tree_map(lambda g: g * beside(factor, g), grads)

    return _stateless(clipped)


def global_norm(tree: Any) -> Tensor:
    """The Euclidean norm of all entries of all leaves together; its derivative at 0 is 0."""
    leaves = tree_leaves(tree)
    dtype = np.result_type(np.float32, *(x.dtype for x in leaves))
    total: Any = 0.0
    for x in leaves:
        total = astype(sum_(square(x)), dtype) + total
    return root(total)


def _stateless(change: Any) -> Optimizer:
    return Optimizer(lambda _params: (), lambda grads, state, _params: (change(grads), state))
