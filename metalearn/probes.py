"""What gradients are like, measured on a few training tasks between meta-updates.

For tasks i = 1 … n, with θᵢₛ the model's parameters after s inner steps on the support set, and
∇ᵢₛ the gradient of the support loss there, over the part of the parameters that is adapted:

    inner norm at step s        1/n Σᵢ ‖∇ᵢₛ‖                              `Probe.inner_norms`
    similarity of vectors gᵢ    2/(n(n−1)) Σᵢ Σⱼ₍ⱼ﹤ᵢ₎ gᵢ·gⱼ/(‖gᵢ‖‖gⱼ‖)     `mean_cosine`

The vectors are each task's own meta-gradient, whose mean over a meta-batch is descended
(`meta_similarity`), and ∇ᵢ₀, where adaptation starts (`inner_similarity`). Similarity is 1 where
tasks agree, 0 where what one of them teaches is nothing to the others, and below 0 where they are
at odds.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.algorithms import Algorithm
from metalearn.checkpoints import named_arrays
from metalearn.config import Config
from metalearn.learner import Learner
from metalearn.tasks import Task, TaskSampler

TASKS = 8
"""In a probe: 28 pairs, for half the work of a meta-update of 16 tasks."""


QUANTILES = {"low": 0.1, "high": 0.9}


class Probe(NamedTuple):
    """What was measured. Norms are after 0, 1, … inner steps, as many as in training; without any,
    there are none, and no similarity of inner gradients. What is not finite is as it is."""

    tasks: int
    inner_norms: list[float]
    meta_similarity: float
    inner_similarity: float | None


class Prober:
    """Measures a training in between, always on the same tasks: the first of iteration 0."""

    def __init__(self, learner: Learner, sampler: TaskSampler, config: Config):
        self.learner, self.sampler, self.config = learner, sampler, config
        # Never more tasks at a time than in training, and always as many, for one program.
        most = min(config.task_slice or TASKS, config.meta_batch, TASKS)
        self._size = 1 << (most.bit_length() - 1)
        self._gradients: dict[Algorithm, Callable] = {}

    def __call__(self, algorithm: Algorithm, meta: Any, progress: float) -> Probe:
        """How gradients are at these meta-parameters, at that share of training."""
        gradients, found = self._of(algorithm), []
        with np.errstate(all="ignore"):  # what is not finite is told as it is
            for first in range(0, TASKS, self._size):
                part = ac.tree_map(lambda x, i=first: x[i : i + self._size], self._tasks)
                found.append([np.asarray(x) for x in gradients(meta, part, progress)])
            metas, norms, firsts = (
                np.concatenate(x).astype(np.float64) for x in zip(*found, strict=True)
            )
            inner = norms.mean(axis=0).tolist()
            between = mean_cosine(firsts) if inner else None
            return Probe(TASKS, inner, mean_cosine(metas), between)

    @cached_property
    def _tasks(self) -> Task:
        return self.sampler.sample(0, range(TASKS))

    def _of(self, algorithm: Algorithm) -> Callable:
        """`task_gradients`, compiled once for all probes."""
        if algorithm not in self._gradients:
            found = task_gradients(algorithm, self.learner)
            self._gradients[algorithm] = ac.jit(found, quiet=True) if self.config.jit else found
        return self._gradients[algorithm]


def task_gradients(algorithm: Algorithm, learner: Learner) -> Callable:
    """The function (meta, tasks, progress) → for each task its meta-gradient (tasks, size of meta),
    the norms of its inner gradients (tasks, steps + 1), and the first of these (tasks, size).

    The last two are empty, (tasks, 0), for algorithms without inner steps.
    """

    def found(meta: Any, tasks: Task, progress: Any) -> tuple[Any, Any, Any]:
        now = replace(learner, progress=progress)

        def one(task: Task) -> tuple[Any, Any, Any]:
            gradient = ac.grad(lambda m: algorithm.meta_loss(now, m, task)[0])(meta)
            inner = _inner_gradients(algorithm, now, meta, task.support)
            if not inner:
                return _flat(gradient), ac.zeros(0, "float32"), ac.zeros(0, "float32")
            norms = ac.stack([ac.sqrt(ac.sum(ac.square(g))) for g in inner])
            return _flat(gradient), norms, inner[0]

        return ac.vmap(one)(tasks)

    return found


def _inner_gradients(algorithm: Algorithm, learner: Learner, meta: Any, support: Any) -> list[Any]:
    """∇ after 0, 1, … inner steps, each as a vector; none where none are taken."""
    if not algorithm.steps:
        return []
    adapted = algorithm.adaptation(learner, meta, support, algorithm.steps)
    return [
        _flat(algorithm.gradient(learner, params, support, number)[0])
        for number, (params, _) in enumerate(adapted)
    ]


def _flat(tree: Any) -> Any:
    return ac.concatenate([ac.reshape(x, (-1,)) for x in ac.tree_leaves(tree)])


def mean_cosine(vectors: np.ndarray) -> float:
    """The mean cosine of all pairs of rows (n, size): the squared norm of n unit vectors' sum is n
    and twice the cosine of each pair. NaN for a row of zeros."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    n, total = len(units), units.sum(axis=0)
    return float((total @ total - n) / (n * (n - 1)))


def rates_of(algorithm: Algorithm, meta: Any) -> dict[str, dict[str, list[float]]]:
    """The inner rates that an algorithm has learned, by the dotted path of their parameter: the
    mean at each inner step, or at all of them alike, and the 10 % and 90 % quantiles ("low" and
    "high") where an array of parameters has more rates than one."""
    return {name: _summary(rates) for name, rates in named_arrays(algorithm.learned(meta)).items()}


def _summary(rates: np.ndarray) -> dict[str, list[float]]:
    """Of rates (steps, …), or a single one ()."""
    rows = rates.astype(np.float64).reshape(len(rates) if rates.ndim else 1, -1)
    found = {"mean": rows.mean(axis=1).tolist()}
    if rows.shape[1] > 1:
        found |= {name: np.quantile(rows, q, axis=1).tolist() for name, q in QUANTILES.items()}
    return found
