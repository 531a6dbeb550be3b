"""What the two ways of meta-training in PyTorch share: models, loss, and training by Adam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.common import threads
from benchmarks.workloads import Workload, draw_parameters, draw_tasks

Layers = list[tuple[torch.Tensor, ...]]


class AdamTraining:
    """A `Training` whose `backward(layers, tasks)` returns the loss and fills `.grad` of leaves."""

    def __init__(self, workload: Workload, backward: Callable[[Layers, Sequence], float]):
        torch.set_num_threads(threads())
        self.backward = backward
        self.layers = [
            tuple(torch.tensor(a, requires_grad=True) for a in layer)
            for layer in draw_parameters(workload)
        ]
        self.tasks = [torch.tensor(a) for a in draw_tasks(workload)]
        self.leaves = [leaf for layer in self.layers for leaf in layer]
        self.optimiser = torch.optim.Adam(self.leaves, lr=1e-3)

    def advance(self) -> float:
        self.optimiser.zero_grad()
        loss = self.backward(self.layers, self.tasks)
        self.optimiser.step()
        return loss

    def gradients(self) -> list[np.ndarray]:
        return [np.asarray(leaf.grad.cpu()) for leaf in self.leaves]  # type: ignore[union-attr]


def task_loss(workload: Workload) -> Callable:
    """The loss of parameters on one set of examples."""
    network = mlp if workload.model == "mlp" else conv_net

    def loss(layers: Any, x: Any, y: Any) -> Any:
        out = network(workload, layers, x)
        return ((out - y) ** 2).mean() if workload.is_regression else F.cross_entropy(out, y)

    return loss


def mlp(_: Workload, layers: Any, x: Any) -> Any:
    """Affine layers with relu between them."""
    *hidden, (w, b) = layers
    for wh, bh in hidden:
        x = torch.relu(x @ wh + bh)
    return x @ w + b


def conv_net(workload: Workload, layers: Any, x: Any) -> Any:
    """Four blocks of convolution, batch normalisation and relu, then an affine layer."""
    *blocks, (w, b) = layers
    for filters, bias, scale, shift in blocks:
        x = F.conv2d(x, filters, bias, stride=workload.stride, padding=1)
        x = torch.relu(batch_norm(x, scale, shift))
        if workload.stride == 1:
            x = F.max_pool2d(x, 2)
    x = x.mean((2, 3)) if workload.stride == 2 else x.flatten(1)
    return x @ w + b


def batch_norm(x: Any, scale: Any, shift: Any) -> Any:
    """Normalise each channel by its mean and variance over the batch and space."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    normal = (x - mean) * torch.rsqrt(variance + 1e-5)
    return normal * scale[:, None, None] + shift[:, None, None]
