"""The meta-training step in JAX: one compiled program, with Adam inside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.engines import Functional
from benchmarks.workloads import Workload, draw_parameters, draw_tasks


def prepare(workload: Workload) -> Functional:
    """A `Training` in this engine."""
    return prepare_with(workload, training_step(workload))


def prepare_with(workload: Workload, step: Callable) -> Functional:
    """A `Training` by a step, compiled."""
    jax.config.update("jax_enable_x64", workload.dtype == "float64")
    parameters = jax.tree.map(jnp.asarray, draw_parameters(workload))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, jnp.ones((), workload.dtype))
    tasks = jax.tree.map(jnp.asarray, draw_tasks(workload))
    return Functional(jax.jit(step), state, tasks, jax.tree.leaves, jax.block_until_ready)


def training_step(workload: Workload) -> Callable:
    """`step(state, tasks) -> (loss, gradients, state)`: MAML's gradient and an Adam update."""
    loss_and_gradient = jax.value_and_grad(meta_loss(workload))

    def step(state: tuple, tasks: tuple) -> tuple:
        loss, g = loss_and_gradient(state[0], *tasks)
        return loss, g, adam(state, g)

    return step


def adam(state: tuple, g: Any) -> tuple:
    """The state after Adam's update."""
    parameters, m, v, k = state
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    m_scale, v_scale = 1 - 0.9**k, 1 - 0.999**k

    def update(p: Any, m: Any, v: Any) -> Any:
        return p - 1e-3 * (m / m_scale) / (jnp.sqrt(v / v_scale) + 1e-8)

    return jax.tree.map(update, parameters, m, v), m, v, k + 1


def meta_loss(workload: Workload) -> Callable:
    """The mean over tasks of the query loss after adaptation to the support set."""
    over_tasks = jax.vmap(adapted_loss(workload), in_axes=(None, 0, 0, 0, 0))
    return lambda parameters, *tasks: over_tasks(parameters, *tasks).mean()


def adapted_loss(workload: Workload) -> Callable:
    """One task's query loss after adaptation to its support set."""
    loss = task_loss(workload)

    def adapted(parameters: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = jax.grad(loss)(parameters, xs, ys)
            parameters = jax.tree.map(lambda p, g: p - workload.inner_lr * g, parameters, g)
        return loss(parameters, xq, yq)

    return adapted


def task_loss(workload: Workload) -> Callable:
    """The loss of parameters on one set of examples."""
    network = mlp if workload.model == "mlp" else conv_net

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        out = network(workload, parameters, x)
        if workload.is_regression:
            return ((out - y) ** 2).mean()
        chosen = jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1)
        return -chosen.mean()

    return loss


def mlp(_: Workload, parameters: Any, x: Any) -> Any:
    """Affine layers with relu between them."""
    *hidden, (w, b) = parameters
    for wh, bh in hidden:
        x = jax.nn.relu(x @ wh + bh)
    return x @ w + b


def conv_net(workload: Workload, parameters: Any, x: Any) -> Any:
    """Four blocks of convolution, batch normalisation and relu, then an affine layer."""
    *blocks, (w, b) = parameters
    strides, padding = (workload.stride,) * 2, ((1, 1), (1, 1))
    layout = ("NCHW", "OIHW", "NCHW")
    for filters, bias, scale, shift in blocks:
        x = lax.conv_general_dilated(x, filters, strides, padding, dimension_numbers=layout)
        x = jax.nn.relu(batch_norm(x + bias[:, None, None], scale, shift))
        if workload.stride == 1:
            window = (1, 1, 2, 2)
            x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
    x = x.mean((2, 3)) if workload.stride == 2 else x.reshape(x.shape[0], -1)
    return x @ w + b


def batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Normalise each channel by its mean and variance over the batch and space."""
    mean = x.mean((0, 2, 3), keepdims=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdims=True)
    normal = (x - mean) * lax.rsqrt(variance + 1e-5)
    return normal * scale[:, None, None] + shift[:, None, None]
