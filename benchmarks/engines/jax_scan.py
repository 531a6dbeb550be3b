"""The meta-training step in JAX, task after task inside one compiled program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.engines import Functional
from benchmarks.engines.jax_jit import adam, adapted_loss, prepare_with
from benchmarks.workloads import Workload


def prepare(workload: Workload) -> Functional:
    """A `Training` in this engine."""
    value_and_grad = jax.value_and_grad(adapted_loss(workload))

    def step(state: tuple, tasks: tuple) -> tuple:
        def one(total: Any, task: Any) -> tuple:
            return jax.tree.map(jnp.add, total, value_and_grad(state[0], *task)), None

        zeros = jnp.zeros((), workload.dtype), jax.tree.map(jnp.zeros_like, state[0])
        total, _ = lax.scan(one, zeros, tasks)
        loss, g = jax.tree.map(lambda a: a / workload.tasks, total)
        return loss, g, adam(state, g)

    return prepare_with(workload, step)
