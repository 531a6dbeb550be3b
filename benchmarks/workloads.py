"""The five meta-learning workloads: their shapes, their data and their first parameters.

One meta-training step of a workload takes, for every task of the meta-batch, `steps` steps of
gradient descent on its support set, differentiates the loss on its query set through them (MAML,
Finn et al. 2017), and updates the shared parameters by Adam. Everything is drawn from seeds in one
fixed order, so that every engine sees the same numbers; nothing here knows of an engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

Layer = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Workload:
    """The sizes of one meta-training step.

    `model` is "mlp" (hidden layers of `hidden` units with relu) or "conv" (four blocks of 3×3
    convolution with `width` filters, batch normalisation over the batch, and relu). Pictures of 28
    pixels are halved by stride and averaged over space at the end; larger ones are halved by
    max-pooling and flattened. Numbers are drawn as float32, and converted to `dtype`.
    """

    name: str
    model: str
    tasks: int
    support: int
    query: int
    steps: int
    inner_lr: float
    ways: int = 5
    width: int = 64
    image: int = 28
    channels: int = 1
    hidden: tuple[int, ...] = (40, 40)
    dtype: str = "float32"

    @property
    def is_regression(self) -> bool:
        """Sine waves with a mean square loss; otherwise classes with cross-entropy."""
        return self.name.startswith("sine")

    @property
    def stride(self) -> int:
        """Of the convolutions; where it is 1, max-pooling follows."""
        return 2 if self.image == 28 else 1

    @property
    def example(self) -> tuple[int, ...]:
        """The shape of one input."""
        if self.is_regression:
            return (1,)
        picture = (self.channels, self.image, self.image)
        return (self.channels * self.image**2,) if self.model == "mlp" else picture

    @property
    def outputs(self) -> int:
        return 1 if self.is_regression else self.ways

    @property
    def sides(self) -> list[int]:
        """Side lengths of the pictures between the blocks: the input's, then after each block."""
        sides = [self.image]
        for _ in range(4):
            sides.append(-(-sides[-1] // 2) if self.stride == 2 else sides[-1] // 2)
        return sides

    @property
    def features(self) -> int:
        """Inputs of a convolutional model's last layer."""
        return self.width if self.stride == 2 else self.width * self.sides[-1] ** 2


WORKLOADS = {
    w.name: w
    for w in (
        Workload("sine_1step", "mlp", tasks=25, support=10, query=10, steps=1, inner_lr=0.01),
        Workload("sine_5step", "mlp", tasks=25, support=10, query=10, steps=5, inner_lr=0.001),
        Workload(
            "omni_mlp",
            "mlp",
            tasks=32,
            support=5,
            query=75,
            steps=1,
            inner_lr=0.1,
            hidden=(256, 128, 64, 64),
        ),
        Workload("omni_5w1s", "conv", tasks=32, support=5, query=75, steps=1, inner_lr=0.4),
        Workload(
            "mini_5w1s",
            "conv",
            tasks=4,
            support=5,
            query=75,
            steps=5,
            inner_lr=0.01,
            width=32,
            image=84,
            channels=3,
        ),
    )
}


MORE = {
    w.name: w
    for w in (
        Workload(
            "omni_20w1s", "conv", tasks=8, support=20, query=100, steps=5, inner_lr=0.1, ways=20
        ),
        Workload("omni_100tasks", "conv", tasks=100, support=5, query=25, steps=1, inner_lr=0.4),
        Workload(
            "omni_width128", "conv", tasks=16, support=5, query=75, steps=1, inner_lr=0.4, width=128
        ),
    )
}
"""Other sizes of the same step, on which nothing was tuned."""


def tiny(workload: Workload) -> Workload:
    """The same kind of workload, small enough to run in no time."""
    hidden = tuple(min(units, 8) for units in workload.hidden)
    steps = min(workload.steps, 2)
    return replace(workload, tasks=2, query=5, steps=steps, width=4, hidden=hidden)


# Data -----------------------------------------------------------------------------------------


def draw_tasks(workload: Workload, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Support inputs, support targets, query inputs, query targets, with tasks as axis 0.

    Inputs have shape (tasks, examples, *example); targets (tasks, examples, 1) for regression,
    else they are int64 labels (tasks, examples).
    """
    rng = np.random.default_rng(seed)
    draw = _sine_waves if workload.is_regression else _prototypes
    return tuple(_converted(a, workload) for a in draw(workload, rng))


def _converted(array: np.ndarray, workload: Workload) -> np.ndarray:
    return array.astype(workload.dtype) if array.dtype == np.float32 else array


def _sine_waves(workload: Workload, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Waves of amplitude in [0.1, 5] and phase in [0, π], at points of [-5, 5]."""
    per_task = (workload.tasks, 1, 1)
    amplitude = rng.uniform(0.1, 5, per_task)
    phase = rng.uniform(0, np.pi, per_task)
    drawn: list[np.ndarray] = []
    for examples in (workload.support, workload.query):
        x = rng.uniform(-5, 5, (workload.tasks, examples, 1))
        y = amplitude * np.sin(x - phase)
        drawn += [x.astype(np.float32), y.astype(np.float32)]
    return tuple(drawn)


def _prototypes(workload: Workload, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Each class of a task is a random black-and-white picture; examples flip a tenth of it."""
    pictures = (workload.tasks, workload.ways, *workload.example)
    prototypes = (rng.random(pictures) < 0.2).astype(np.float32)
    drawn: list[np.ndarray] = []
    for examples in (workload.support, workload.query):
        labels = np.arange(examples, dtype=np.int64) % workload.ways
        x = prototypes[:, labels]
        flipped = rng.random(x.shape) < 0.1
        x = np.abs(x - flipped).astype(np.float32)
        drawn += [x, np.tile(labels, (workload.tasks, 1))]
    return tuple(drawn)


# Parameters -----------------------------------------------------------------------------------


def draw_parameters(workload: Workload, seed: int = 1) -> list[Layer]:
    """One tuple of arrays a layer: weight, bias; and after a convolution scale, shift."""
    rng = np.random.default_rng(seed)
    layers = _mlp(workload, rng) if workload.model == "mlp" else _conv(workload, rng)
    return [tuple(_converted(a, workload) for a in layer) for layer in layers]


def _mlp(workload: Workload, rng: np.random.Generator) -> list[Layer]:
    sizes = [*workload.example, *workload.hidden, workload.outputs]
    return [(_normal(rng, (i, o), 2 / i), np.zeros(o, np.float32)) for i, o in pairwise(sizes)]


def _conv(workload: Workload, rng: np.random.Generator) -> list[Layer]:
    width = workload.width
    layers: list[Layer] = []
    for channels in (workload.channels, width, width, width):
        weight = _normal(rng, (width, channels, 3, 3), 2 / (9 * channels))
        zeros, ones = np.zeros(width, np.float32), np.ones(width, np.float32)
        layers.append((weight, zeros, ones, zeros))
    last = _normal(rng, (workload.features, workload.ways), 1 / workload.features)
    return [*layers, (last, np.zeros(workload.ways, np.float32))]


def _normal(rng: np.random.Generator, shape: tuple[int, ...], variance: float) -> np.ndarray:
    return (rng.standard_normal(shape) * np.sqrt(variance)).astype(np.float32)
