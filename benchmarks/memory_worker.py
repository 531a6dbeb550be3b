"""One gradient through an unrolled inner loop, in a process of its own: its memory and time.

    python -m benchmarks.memory_worker ENGINE STEPS WIDTH

`benchmarks.memory` starts it, and reads the line of JSON that it prints.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.common import peak_rss, threads

RATE = 10.0
Prepared = Callable[[], Sequence[Any]]


def draw(width: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The weights of three layers, inputs and targets: all (width, width) float32."""
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((5, width, width)).astype(np.float32)
    return list(arrays[:3] / np.float32(np.sqrt(width))), arrays[3], arrays[4]


def network_loss(weights: Sequence[Any], x: Any, y: Any, tanh: Callable, mean: Callable) -> Any:
    """Mean square error of three layers with tanh between them, in any engine."""
    first, second, last = weights
    return mean((tanh(tanh(x @ first) @ second) @ last - y) ** 2)


def ours(steps: int, width: int, checkpointed: bool) -> Prepared:
    import autograd_core as ac

    weights, x, y = ac.tree_map(ac.asarray, draw(width))
    loss = partial(network_loss, x=x, y=y, tanh=ac.tanh, mean=ac.mean)

    def inner(weights: Any) -> Any:
        return ac.tree_map(lambda w, g: w - RATE * g, weights, ac.grad(loss)(weights))

    step = ac.checkpoint(inner) if checkpointed else inner
    return partial(ac.grad(lambda weights: loss(_repeat(step, steps, weights))), weights)


def torch(steps: int, width: int) -> Prepared:
    import torch

    torch.set_num_threads(threads())
    drawn, x, y = draw(width)
    weights = [torch.tensor(w, requires_grad=True) for w in drawn]
    x_, y_ = torch.tensor(x), torch.tensor(y)
    loss = partial(network_loss, x=x_, y=y_, tanh=torch.tanh, mean=torch.mean)

    def step(weights: Any) -> Any:
        gradients = torch.autograd.grad(loss(weights), weights, create_graph=True)
        return [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

    return lambda: torch.autograd.grad(loss(_repeat(step, steps, weights)), weights)


def jax(steps: int, width: int, checkpointed: bool) -> Prepared:
    import jax
    import jax.numpy as jnp

    weights, x, y = jax.tree.map(jnp.asarray, draw(width))
    loss = partial(network_loss, x=x, y=y, tanh=jnp.tanh, mean=jnp.mean)

    def inner(weights: Any) -> Any:
        return jax.tree.map(lambda w, g: w - RATE * g, weights, jax.grad(loss)(weights))

    step = jax.checkpoint(inner) if checkpointed else inner
    gradient = jax.jit(jax.grad(lambda weights: loss(_repeat(step, steps, weights))))
    return lambda: jax.block_until_ready(gradient(weights))


def _repeat(step: Callable, steps: int, weights: Any) -> Any:
    for _ in range(steps):
        weights = step(weights)
    return weights


ENGINES: dict[str, tuple[str, Callable[[int, int], Prepared]]] = {
    "ours": ("numpy", partial(ours, checkpointed=False)),
    "ours-checkpoint": ("numpy", partial(ours, checkpointed=True)),
    "torch": ("torch", torch),
    "jax-jit": ("jax", partial(jax, checkpointed=False)),
    "jax-jit-checkpoint": ("jax", partial(jax, checkpointed=True)),
}
"""By name: the package it needs, and what prepares the gradient for some steps and a width."""


def measure(gradient: Prepared) -> dict[str, float]:
    """Bytes by which the first call raises the process's peak, and seconds of the second call."""
    before = peak_rss()
    gradient()
    memory = max(peak_rss() - before, 1)
    start = time.perf_counter()
    leaves = gradient()
    seconds = time.perf_counter() - start
    norm = float(np.sqrt(sum(np.sum(np.asarray(g, np.float64) ** 2) for g in leaves)))
    return {"memory": memory, "seconds": seconds, "gradient_norm": norm}


def main(argv: Sequence[str] | None = None) -> int:
    engine, steps, width = sys.argv[1:] if argv is None else argv
    print(json.dumps(measure(ENGINES[engine][1](int(steps), int(width)))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
