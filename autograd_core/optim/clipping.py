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
    """Each entry of the gradients limited to [-limit, limit].

    An optimiser, to be chained before another one.

    >>> optimizer, w = ac.optim.clip_by_value(1.0), ac.zeros(2)
    >>> optimizer.update(ac.asarray([0.5, -4.0]), optimizer.init(w), w)[0]
    Tensor([ 0.5, -1. ], dtype=float64)
    """
    return _stateless(lambda grads: tree_map(lambda g: clip(g, -limit, limit), grads))


def clip_by_global_norm(limit: float) -> Optimizer:
    """All gradients divided by one number, so that their `global_norm` is at most `limit`.

    An optimiser, to be chained before another one. Pascanu, Mikolov and Bengio, "On the difficulty
    of training recurrent neural networks" (2013).

    >>> optimizer, w = ac.optim.clip_by_global_norm(1.0), ac.zeros(2)
    >>> optimizer.update(ac.asarray([3.0, 4.0]), optimizer.init(w), w)[0]
    Tensor([0.6, 0.8], dtype=float64)
    """

    def clipped(grads: Any) -> Any:
        norm = global_norm(grads)
        over = greater(norm, limit)
        factor = where(over, limit / where(over, norm, 1.0), 1.0)
        return tree_map(lambda g: g * beside(factor, g), grads)

    return _stateless(clipped)


def global_norm(tree: Any) -> Tensor:
    """The Euclidean norm of all entries of all leaves together; its derivative at 0 is 0.

    >>> ac.optim.global_norm({"w": ac.asarray([3.0, 0.0]), "b": ac.asarray(4.0)})
    Tensor(5., dtype=float64)
    """
    leaves = tree_leaves(tree)
    dtype = np.result_type(np.float32, *(x.dtype for x in leaves))
    total: Any = 0.0
    for x in leaves:
        total = astype(sum_(square(x)), dtype) + total
    return root(total)


def _stateless(change: Any) -> Optimizer:
    return Optimizer(lambda _params: (), lambda grads, state, _params: (change(grads), state))
