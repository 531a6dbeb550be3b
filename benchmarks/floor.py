"""The floor: the time that matrix products alone would take, at the speed of this machine's BLAS.

Counted are the multiply-adds of products and convolutions that derivatives need, by the rules
below; everything else (elementwise work, memory traffic, dispatch) is taken as free. An engine
cannot reach it, but its distance says how much is left to win.

    python -m benchmarks.floor    # the rate, as a line of JSON
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Product:
    """A product `x · w` of a model, for one example.

    `of_data` says that `x` is data, into which no gradient flows.
    """

    multiply_adds: int
    of_data: bool

    @property
    def gradient(self) -> int:
        """Products in a gradient: x·w, and for its cotangent g: xᵀ·g, and g·wᵀ if wanted."""
        return 2 if self.of_data else 3

    @property
    def second_order(self) -> int:
        """Products in a gradient and its own derivative.

        Each of the gradient's products has two factors, and differentiating it takes one product
        for each of them that depends on parameters: both, except that data does not.
        """
        return 4 if self.of_data else 9


def products(workload: Workload) -> list[Product]:
    """The products of a workload's model."""
    if workload.model == "mlp":
        return mlp_products([*workload.example, *workload.hidden, workload.outputs])
    sides, width = workload.sides, workload.width
    # With a stride the convolution itself is computed on the halved side.
    on = sides[1:] if workload.stride == 2 else sides[:-1]
    channels = (workload.channels, width, width, width)
    blocks = [9 * c * width * side**2 for c, side in zip(channels, on, strict=True)]
    return _chain([*blocks, workload.features * workload.ways])


def mlp_products(sizes: Sequence[int]) -> list[Product]:
    """The products of a multi-layer perceptron of these layer sizes."""
    return _chain([a * b for a, b in pairwise(sizes)])


def _chain(multiply_adds: Sequence[int]) -> list[Product]:
    return [Product(count, of_data=i == 0) for i, count in enumerate(multiply_adds)]


def meta_step_flops(workload: Workload) -> int:
    """Floating-point operations of one meta-training step: 2 for each multiply-add.

    Every inner step is a gradient on the support set that is differentiated once more, and the
    outer loss is a gradient on the query set.
    """
    layers = products(workload)
    inner = sum(p.multiply_adds * p.second_order for p in layers)
    outer = sum(p.multiply_adds * p.gradient for p in layers)
    examples_inner = workload.steps * workload.support
    return 2 * workload.tasks * (examples_inner * inner + workload.query * outer)


def blas_rate(sizes: Sequence[int] = (512, 1024), seconds: float = 0.5) -> float:
    """Float32 operations a second of NumPy's matrix product: the best seen at these sizes."""
    return max(_rate(size, seconds / len(sizes)) for size in sizes)


def _rate(size: int, seconds: float) -> float:
    a = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    out = np.empty_like(a)
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


if __name__ == "__main__":
    print(json.dumps({"rate": blas_rate()}))
