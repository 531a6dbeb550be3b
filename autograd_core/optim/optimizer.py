"""What an optimiser is, and how several make one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autograd_core.device import filled
from autograd_core.ops import creation
from autograd_core.ops.structural import astype
from autograd_core.tensor import Tensor, asarray
from autograd_core.tree import tree_leaves, tree_map

Number = Any  # a Python number or a scalar tensor; derivatives flow through a tensor
Schedule = Callable[[Any], Any]
"""A function of the number of steps taken so far, an integer tensor."""


class Optimizer(NamedTuple):
    """A pair of pure functions.

    `init(params) -> state`: a pytree of tensors, to be kept and handed back (and saved with the
    parameters).

    `update(grads, state, params) -> (updates, state)`: what to *add* to the parameters, in their
    structure, shapes and dtypes. `apply` adds it:

        updates, state = optimizer.update(grads, state, params)
        params = apply(params, updates)
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


def apply(params: Any, updates: Any) -> Any:
    """The parameters after a step: params + updates, leaf by leaf.

    >>> ac.optim.apply({"w": ac.asarray([1.0, 2.0])}, {"w": ac.asarray([0.5, -0.5])})
    {'w': Tensor([1.5, 1.5], dtype=float64)}
    """
    return tree_map(lambda p, u: p + u, params, updates)


def chain(*optimizers: Optimizer) -> Optimizer:
    """One optimiser after the other: each is given, as gradients, the updates of the one before.

    >>> optimizer = ac.optim.chain(ac.optim.clip_by_global_norm(1.0), ac.optim.sgd(0.1))
    >>> w = ac.asarray([0.0, 0.0])
    >>> optimizer.update(ac.asarray([30.0, 40.0]), optimizer.init(w), w)[0]
    Tensor([-0.06, -0.08], dtype=float64)
    """

    def init(params: Any) -> tuple:
        return tuple(o.init(params) for o in optimizers)

    def update(grads: Any, state: tuple, params: Any) -> tuple[Any, tuple]:
        states = []
        for optimizer, old in zip(optimizers, state, strict=True):
            grads, new = optimizer.update(grads, old, params)
            states.append(new)
        return grads, tuple(states)

    return Optimizer(init, update)


def no_steps(params: Any) -> Tensor:
    """The count of steps at the start, where the parameters lie."""
    like = next(iter(tree_leaves(params)), None)
    return filled(0, (), np.int64, None if like is None else asarray(like))


def zeros_like(params: Any) -> Any:
    """Zeros in the structure, shapes and dtypes of the parameters."""
    return tree_map(lambda p: creation.zeros_like(p), params)


def rate_at(rate: Number | Schedule, count: Tensor) -> Any:
    """A learning rate, or what a schedule says it is after `count` steps."""
    return rate(count) if callable(rate) else rate


def beside(value: Number, like: Tensor) -> Number:
    """A number that does not promote `like`: a tensor is cast to its dtype."""
    return value if isinstance(value, int | float) else astype(asarray(value), like.dtype)
