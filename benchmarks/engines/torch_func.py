"""The meta-training step in PyTorch by `torch.func`: gradients of `vmap` over tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.func import grad, grad_and_value, vmap
from torch.utils import _pytree as pytree

from benchmarks.engines.torch_common import AdamTraining, Layers, task_loss
from benchmarks.workloads import Workload


def prepare(workload: Workload) -> AdamTraining:
    """A `Training` in this engine."""
    return prepare_with(workload, lambda f: f)


def prepare_with(workload: Workload, wrap: Callable) -> AdamTraining:
    """A `Training` whose gradient is wrapped by a function."""
    loss = task_loss(workload)

    def adapted_loss(layers: Any, xs: Any, ys: Any, xq: Any, yq: Any) -> Any:
        for _ in range(workload.steps):
            g = grad(loss)(layers, xs, ys)
            layers = pytree.tree_map(lambda p, g: p - workload.inner_lr * g, layers, g)
        return loss(layers, xq, yq)

    over_tasks = vmap(adapted_loss, in_dims=(None, 0, 0, 0, 0))
    both = wrap(grad_and_value(lambda layers, *tasks: over_tasks(layers, *tasks).mean()))

    def backward(layers: Layers, tasks: Sequence[torch.Tensor]) -> float:
        # Detached: what is recorded for `.backward()` as well would be wasted.
        plain = pytree.tree_map(torch.Tensor.detach, layers)
        gradients, value = both(plain, *tasks)
        pytree.tree_map(_set_gradient, layers, gradients)
        return value.item()

    return AdamTraining(workload, backward)


def _set_gradient(leaf: torch.Tensor, gradient: torch.Tensor) -> None:
    leaf.grad = gradient
