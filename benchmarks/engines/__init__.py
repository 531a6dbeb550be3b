"""One meta-training step, one engine a file, each written as that engine's users write it.

Each module has `prepare(workload)`, which draws data and parameters and returns an object with
`advance()`, one step of training that returns its loss, and `gradients()`, the meta-gradient of the
last step as a flat list of NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.workloads import Workload


class Training(Protocol):
    """A model in training on one workload."""

    def advance(self) -> float:
        """Take one step of training, wait for it, and return the loss that it started from."""
        ...

    def gradients(self) -> list[np.ndarray]:
        """The meta-gradient of the last step, a leaf of the parameters each."""
        ...


class Engine(NamedTuple):
    """Where an engine's `prepare` is, what it needs, and what it does."""

    module: str
    package: str | None
    about: str


ENGINES = {
    "ours": Engine("ours", None, "vmap over tasks, eager"),
    "ours-jit": Engine("ours_jit", None, "the same, compiled by jit"),
    "torch-loop": Engine("torch_loop", "torch", "autograd.grad(create_graph=True), task by task"),
    "torch-compile": Engine("torch_compile", "torch", "torch.compile of torch.func's"),
    "torch-func": Engine("torch_func", "torch", "torch.func: grad and vmap over tasks"),
    "jax-jit": Engine("jax_jit", "jax", "jit of value_and_grad of vmap over tasks"),
    "jax-scan": Engine("jax_scan", "jax", "jit of a scan over tasks"),
}


def prepare(name: str, workload: Workload, device: str = "cpu") -> Training:
    """The training of a workload by the engine of that name.

    Args:
        device: "cpu", or "cuda" for the first GPU.

    Raises:
        RuntimeError: the engine cannot use that device.
    """
    engine = ENGINES[name]
    module = import_module(f"benchmarks.engines.{engine.module}")
    if engine.package is None:
        return module.prepare(workload, device)
    if engine.package == "torch":
        import_module("torch").set_default_device(device)
    elif device != "cpu" and import_module("jax").devices()[0].platform != "gpu":
        raise RuntimeError("this JAX was built without CUDA")
    return module.prepare(workload)


class Functional:
    """Training by a pure function `step(state, tasks) -> loss, gradients, state`.

    `leaves` takes a tree of gradients apart, and `wait` blocks until a state has been computed.
    """

    def __init__(
        self,
        step: Callable,
        state: Any,
        tasks: Any,
        leaves: Callable,
        wait: Callable[[Any], Any] | None = None,
    ):
        self.step, self.state, self.tasks = step, state, tasks
        self.leaves, self.wait = leaves, wait
        self.found: Any = None

    def advance(self) -> float:
        loss, self.found, self.state = self.step(self.state, self.tasks)
        if self.wait:
            self.wait(self.state)
        return float(loss)

    def gradients(self) -> list[np.ndarray]:
        return [np.asarray(leaf) for leaf in self.leaves(self.found)]
