"""Optimisers: pairs of pure functions `(init, update)` over pytrees of tensors.

    optimizer = chain(clip_by_global_norm(1.0), adam(schedules.cosine(1e-3, steps=10_000)))
    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = apply(params, updates)

The state is a pytree of tensors, saved and restored like parameters. Steps are differentiable, in
the learning rate too.
"""

from autograd_core.optim import schedules
from autograd_core.optim.algorithms import (
    AdamState,
    RmspropState,
    SgdState,
    adam,
    adamw,
    rmsprop,
    sgd,
)
from autograd_core.optim.clipping import clip_by_global_norm, clip_by_value, global_norm
from autograd_core.optim.optimizer import Optimizer, apply, chain

__all__ = [
    "AdamState",
    "Optimizer",
    "RmspropState",
    "SgdState",
    "adam",
    "adamw",
    "apply",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "rmsprop",
    "schedules",
    "sgd",
]
