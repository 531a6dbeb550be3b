"""How well an initialisation adapts: scores on episodes, before adaptation and after each step."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.algorithms import Algorithm
from metalearn.learner import Learner, Measure
from metalearn.tasks import Task, TaskSampler

TASKS_AT_A_TIME = 25


def batches(episodes: int) -> Iterator[range]:
    """The numbers of so many episodes, those together that are computed together."""
    for first in range(0, episodes, TASKS_AT_A_TIME):
        yield range(first, min(first + TASKS_AT_A_TIME, episodes))


class Interval(NamedTuple):
    """A mean with half the width of its 95 % confidence interval."""

    mean: float
    half_width: float


def outputs_at_steps(
    algorithm: Algorithm, learner: Learner, meta: Any, task: Task, steps: Sequence[int]
) -> Iterator[Any]:
    """Outputs for the query set, (n, …), with the parameters after each of some inner steps, in
    ascending order."""
    adapted = algorithm.adapted_at(learner, meta, task.support, steps)
    for step, params in zip(steps, adapted, strict=True):
        yield learner.query_outputs(params, task.support, task.query[0], step)[0]


def steps_told(steps: int) -> list[int]:
    """The numbers of inner steps to tell scores of: all to 10, then 20, 50, 100, … and the last."""
    few = range(min(steps, 10) + 1)
    many = [n * 10**power for power in range(1, len(str(steps))) for n in (1, 2, 5)]
    return sorted({*few, *(n for n in many if n < steps), steps})


def scores_at_steps(
    algorithm: Algorithm,
    learner: Learner,
    params: Any,
    sampler: TaskSampler,
    episodes: int,
    steps: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
    compiled: bool = False,
) -> np.ndarray:
    """The score of each episode after each of some inner steps, (episodes, len(steps)).

    The episodes are the tasks 0, 1, … of the sampler's iteration 0; 0 steps is before adaptation.
    `progress(done, episodes)` is called as they come. With `compiled` a program computes them.
    """
    make: Callable = _compiled_scores if compiled else _scores
    scores = make(algorithm, dataclasses.replace(learner, averages=None), tuple(steps))
    found: list[np.ndarray] = []
    for numbers in batches(episodes):
        with np.errstate(all="ignore"):  # what diverges is told as an infinite score
            tasks = sampler.sample(0, numbers)
            found.append(np.asarray(scores(params, learner.averages, tasks), np.float64))
        if progress is not None:
            progress(numbers.stop, episodes)
    return np.concatenate(found)


def _scores(algorithm: Algorithm, learner: Learner, steps: tuple[int, ...]) -> Callable:
    """The function (params, averages, tasks) → scores (tasks, len(steps))."""

    def scores(params: Any, averages: Any, tasks: Task) -> Any:
        given = dataclasses.replace(learner, averages=averages)

        def one(task: Task) -> Any:
            outputs = outputs_at_steps(algorithm, given, params, task, steps)
            return ac.stack([learner.measure.score(out, task.query[1]) for out in outputs])

        return ac.vmap(one)(tasks)

    return scores


@functools.lru_cache(maxsize=8)
def _compiled_scores(algorithm: Algorithm, learner: Learner, steps: tuple[int, ...]) -> Callable:
    """The same, compiled once for all validations of a run."""
    return ac.jit(_scores(algorithm, learner, steps), quiet=True)


def intervals(scores: np.ndarray) -> list[Interval]:
    """For each column of scores, (episodes, n), the mean ± 1.96 standard errors; both are infinite
    where adaptation diverges on an episode."""
    return [_interval(column) for column in scores.T]


def steps_of_best(measure: Measure, scores: Mapping[int, Interval]) -> int:
    """The fewest inner steps that have the best mean, of the scores by their number in ascending
    order; before adaptation only where there is nothing else."""
    first, *others = sorted(steps for steps in scores if steps or len(scores) == 1)
    best = first
    for steps in others:
        if measure.better(scores[steps].mean, scores[best].mean):
            best = steps
    return best


def _interval(scores: np.ndarray) -> Interval:
    if not np.isfinite(scores).all():
        return Interval(math.inf, math.inf)
    return Interval(float(scores.mean()), float(1.96 * scores.std(ddof=1) / np.sqrt(len(scores))))
