"""The meta-training step in this project's eager engine: gradients of `vmap` over tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core import nn
from benchmarks.engines import Functional
from benchmarks.workloads import Workload, draw_parameters, draw_tasks

tree_map = ac.tree_map


def prepare(workload: Workload, device: str = "cpu") -> Functional:
    """A `Training` in this engine."""
    there = lambda x: ac.asarray(x, device=device)
    parameters = tree_map(there, draw_parameters(workload))
    zeros = tree_map(ac.zeros_like, parameters)
    state = (parameters, zeros, zeros, there(np.ones((), workload.dtype)))
    tasks = tree_map(there, draw_tasks(workload))
    return Functional(training_step(workload), state, tasks, ac.tree_leaves)


def training_step(workload: Workload) -> Callable:
    """`step(state, tasks) -> (loss, gradients, state)`: MAML's gradient and an Adam update."""
    loss_and_gradient = ac.value_and_grad(meta_loss(workload))

    def step(state: tuple, tasks: tuple) -> tuple:
        parameters, m, v, k = state
        loss, g = loss_and_gradient(parameters, *tasks)
        m = tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        m_scale, v_scale = 1 - 0.9**k, 1 - 0.999**k

        def update(p: Any, m: Any, v: Any) -> Any:
            return p - 1e-3 * (m / m_scale) / (ac.sqrt(v / v_scale) + 1e-8)

        return loss, g, (tree_map(update, parameters, m, v), m, v, k + 1)

    return step


def meta_loss(workload: Workload) -> Callable:
    """The mean over tasks of the query loss after adaptation to the support set."""
    loss = task_loss(workload)

    def adapted_loss(parameters: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = ac.grad(loss)(parameters, xs, ys)
            parameters = tree_map(lambda p, g: p - workload.inner_lr * g, parameters, g)
        return loss(parameters, xq, yq)

    over_tasks = ac.vmap(adapted_loss, in_axes=(None, 0, 0, 0, 0))
    return lambda parameters, *tasks: ac.mean(over_tasks(parameters, *tasks))


def task_loss(workload: Workload) -> Callable:
    """The loss of parameters on one set of examples."""
    network = mlp if workload.model == "mlp" else conv_net

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        out = network(workload, parameters, x)
        if workload.is_regression:
            return ac.mean((out - y) ** 2)
        return nn.cross_entropy(out, y)

    return loss


def mlp(_: Workload, parameters: Any, x: Any) -> Any:
    """Affine layers with relu between them."""
    *hidden, (w, b) = parameters
    for wh, bh in hidden:
        x = nn.relu(x @ wh + bh)
    return x @ w + b


def conv_net(workload: Workload, parameters: Any, x: Any) -> Any:
    """Four blocks of convolution, batch normalisation and relu, then an affine layer."""
    *blocks, (w, b) = parameters
    for filters, bias, scale, shift in blocks:
        x = nn.conv2d(x, filters, bias, stride=workload.stride, padding=1)
        x = nn.relu(batch_norm(x, scale, shift))
        if workload.stride == 1:
            x = nn.max_pool2d(x, 2)
    x = ac.mean(x, axis=(2, 3)) if workload.stride == 2 else ac.reshape(x, (x.shape[0], -1))
    return x @ w + b


def batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Normalise each channel by its mean and variance over the batch and space."""
    mean = ac.mean(x, axis=(0, 2, 3), keepdims=True)
    variance = ac.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
    normal = (x - mean) / ac.sqrt(variance + 1e-5)
    return normal * ac.reshape(scale, (-1, 1, 1)) + ac.reshape(shift, (-1, 1, 1))
