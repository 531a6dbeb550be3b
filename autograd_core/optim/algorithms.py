"""Optimisers. Each returns an `Optimizer`.

A learning rate is a number, a scalar tensor (which can be learned: derivatives flow through each
step), or a schedule. float32 parameters stay float32 whatever the dtype of that.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from autograd_core.ops.arithmetic import root, sqrt, square
from autograd_core.ops.elementary import expm1, log
from autograd_core.ops.structural import astype
from autograd_core.optim.optimizer import (
    Number,
    Optimizer,
    Schedule,
    beside,
    no_steps,
    rate_at,
    zeros_like,
)
from autograd_core.tensor import Tensor, asarray
from autograd_core.tree import tree_map


class SgdState(NamedTuple):
    """`velocity` is None without momentum."""

    steps: Tensor
    velocity: Any


class RmspropState(NamedTuple):
    """`velocity` is None without momentum."""

    steps: Tensor
    squares: Any
    velocity: Any


class AdamState(NamedTuple):
    """Averages of the gradients and of their squares."""

    steps: Tensor
    means: Any
    squares: Any


def sgd(
    rate: Number | Schedule,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Stochastic gradient descent.

    v ← momentum · v + g; the update is -rate · v, or with Nesterov's momentum
    -rate · (g + momentum · v). Sutskever et al., "On the importance of initialization and momentum
    in deep learning" (2013), in PyTorch's form.

    Args:
        rate: learning rate.
        momentum: 0 for none.
        nesterov: see above.
        weight_decay: this times the parameters is added to the gradients.

    Raises:
        ValueError: `nesterov` without momentum.

    >>> optimizer = ac.optim.sgd(0.1)
    >>> params = {"w": ac.asarray([1.0, 2.0])}
    >>> grads = {"w": ac.asarray([10.0, 0.0])}
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> ac.optim.apply(params, updates)
    {'w': Tensor([0., 2.], dtype=float64)}
    """
    if nesterov and not momentum:
        raise ValueError("sgd: nesterov=True needs momentum")

    def init(params: Any) -> SgdState:
        return SgdState(no_steps(params), zeros_like(params) if momentum else None)

    def update(grads: Any, state: SgdState, params: Any) -> tuple[Any, SgdState]:
        step = rate_at(rate, state.steps)
        grads = decayed(grads, params, weight_decay)
        directions, velocity = grads, None
        if momentum:
            velocity = tree_map(lambda v, g: momentum * v + g, state.velocity, grads)
            directions = velocity
        if nesterov:
            directions = tree_map(lambda g, v: g + momentum * v, grads, velocity)
        return downhill(directions, step), SgdState(state.steps + 1, velocity)

    return Optimizer(init, update)


def rmsprop(
    rate: Number | Schedule,
    decay: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Gradients divided by the root of a running average of their squares.

    s ← decay · s + (1 - decay) · g²; the direction is g / (√s + eps). Tieleman and Hinton,
    "Lecture 6.5" (2012).

    Args:
        rate: learning rate.
        decay: of the average.
        eps: added to the root.
        momentum: of the directions; 0 for none.
        weight_decay: this times the parameters is added to the gradients.

    >>> optimizer, w = ac.optim.rmsprop(0.1), ac.asarray([2.0])
    >>> updates, state = optimizer.update(ac.asarray([3.0]), optimizer.init(w), w)
    >>> updates, state.squares
    (Tensor([-1.], dtype=float64), Tensor([0.09], dtype=float64))
    """

    def init(params: Any) -> RmspropState:
        return RmspropState(
            no_steps(params), zeros_like(params), zeros_like(params) if momentum else None
        )

    def update(grads: Any, state: RmspropState, params: Any) -> tuple[Any, RmspropState]:
        step = rate_at(rate, state.steps)
        grads = decayed(grads, params, weight_decay)
        squares = average(state.squares, tree_map(square, grads), decay)
        directions = tree_map(lambda g, s: g / (root(s) + eps), grads, squares)
        velocity = None
        if momentum:
            velocity = tree_map(lambda v, d: momentum * v + d, state.velocity, directions)
            directions = velocity
        return downhill(directions, step), RmspropState(state.steps + 1, squares, velocity)

    return Optimizer(init, update)


def adam(
    rate: Number | Schedule = 1e-3,
    decays: tuple[Number, Number] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Adam. Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.

    Args:
        rate: learning rate.
        decays: of the averages of the gradients and of their squares.
        eps: added to the root.
        weight_decay: this times the parameters is added to the gradients; see also `adamw`.

    >>> optimizer, w = ac.optim.adam(0.1), ac.asarray([5.0, -3.0])
    >>> state = optimizer.init(w)
    >>> for _ in range(100):
    ...     grads = ac.grad(lambda w: ac.sum(w**2))(w)
    ...     updates, state = optimizer.update(grads, state, w)
    ...     w = ac.optim.apply(w, updates)
    >>> ac.max(ac.abs(w)) < 0.5
    Tensor(True, dtype=bool)
    """
    return _adam(rate, decays, eps, coupled=weight_decay, decoupled=0.0)


def adamw(
    rate: Number | Schedule = 1e-3,
    decays: tuple[Number, Number] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam, beside which parameters shrink by rate · weight_decay in each step.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.

    Args:
        rate, decays, eps: see `adam`.
        weight_decay: see above.

    >>> optimizer, w = ac.optim.adamw(0.1, weight_decay=0.5), ac.asarray([2.0])
    >>> updates, state = optimizer.update(ac.zeros(1), optimizer.init(w), w)
    >>> updates
    Tensor([-0.1], dtype=float64)
    """
    return _adam(rate, decays, eps, coupled=0.0, decoupled=weight_decay)


def _adam(
    rate: Number | Schedule,
    decays: tuple[Number, Number],
    eps: float,
    coupled: float,
    decoupled: float,
) -> Optimizer:
    def init(params: Any) -> AdamState:
        return AdamState(no_steps(params), zeros_like(params), zeros_like(params))

    def update(grads: Any, state: AdamState, params: Any) -> tuple[Any, AdamState]:
        step, count = rate_at(rate, state.steps), state.steps + 1
        grads = decayed(grads, params, coupled)
        means = average(state.means, grads, decays[0])
        squares = average(state.squares, tree_map(square, grads), decays[1])

        @cache
        def corrections(dtype: np.dtype) -> tuple[Tensor, Tensor]:
            """The averages started at zero: what to multiply root and eps by, rather than them."""
            first, second = (unbias(d, count, dtype) for d in decays)
            return first / sqrt(second), eps * first

        def direction(m: Tensor, s: Tensor) -> Tensor:
            factor, floor = corrections(m.dtype)
            return m / (root(s) * factor + floor)

        directions = decayed(tree_map(direction, means, squares), params, decoupled)
        return downhill(directions, step), AdamState(count, means, squares)

    return Optimizer(init, update)


# Parts ----------------------------------------------------------------------------------------


def decayed(grads: Any, params: Any, weight_decay: Number) -> Any:
    """Gradients plus `weight_decay` times the parameters."""
    if isinstance(weight_decay, float | int) and weight_decay == 0:
        return grads
    return tree_map(lambda g, p: g + beside(weight_decay, p) * p, grads, params)


def average(old: Any, new: Any, decay: Number) -> Any:
    """An exponential moving average, one step on."""

    def leaf(a: Tensor, b: Tensor) -> Tensor:
        d = beside(decay, a)
        return d * a + (1 - d) * b

    return tree_map(leaf, old, new)


def unbias(decay: Number, count: Tensor, dtype: np.dtype) -> Tensor:
    """1 - decayᵏ after k steps, without cancellation for a decay near 1."""
    exponent: Any
    if isinstance(decay, float | int):
        exponent = math.log(decay) if decay else -math.inf
    else:
        exponent = log(astype(asarray(decay), dtype))
    return -expm1(astype(count, dtype) * exponent)


def downhill(directions: Any, rate: Number) -> Any:
    """-rate times each direction."""
    return tree_map(lambda d: d * -beside(rate, d), directions)
