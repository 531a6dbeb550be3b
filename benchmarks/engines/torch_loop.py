"""The meta-training step in PyTorch, task by task, as `higher` and `learn2learn` do it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.engines.torch_common import AdamTraining, Layers, task_loss
from benchmarks.workloads import Workload


def prepare(workload: Workload) -> AdamTraining:
    """A `Training` in this engine."""
    loss = task_loss(workload)

    def adapt(layers: Layers, x: torch.Tensor, y: torch.Tensor) -> Layers:
        leaves = [leaf for layer in layers for leaf in layer]
        grads = iter(torch.autograd.grad(loss(layers, x, y), leaves, create_graph=True))
        return [tuple(p - workload.inner_lr * next(grads) for p in layer) for layer in layers]

    def backward(layers: Layers, tasks: Sequence[torch.Tensor]) -> float:
        total = 0.0
        for xs, ys, xq, yq in zip(*tasks, strict=True):
            adapted = layers
            for _ in range(workload.steps):
                adapted = adapt(adapted, xs, ys)
            value = loss(adapted, xq, yq) / workload.tasks
            value.backward()
            total += value.item()
        return total

    return AdamTraining(workload, backward)
