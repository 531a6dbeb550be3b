"""What a run on a table has to beat: predictions from the support rows alone, without any training.

They see the columns as the model does, standardised by the training tasks, and are judged on the
same episodes. A run that is behind one of them has not yet learned anything that pays.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metalearn.evaluation import batches, intervals
from metalearn.learner import Measure
from metalearn.problems import Problem, Tabular
from metalearn.tasks import TaskSampler

EARLY = 0.5
"""The share of a run's iterations before which its best checkpoint says that more do not help."""
PENALTY = 1.0
"""Of ridge regression, on the sum of squared weights beside the sum of squared errors."""


class Yardstick(NamedTuple):
    """`predict(x, y, queries)`, of support x (K, F) and y and queries (Q, F), gives targets (Q, 1)
    or labels (Q,)."""

    name: str
    predict: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def mean_target(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The mean of the support targets (K, 1), for every query: (Q, 1)."""
    del x
    return np.broadcast_to(y.mean(axis=0), (len(queries), 1))


def ridge(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Ridge regression with a free intercept: (Q, 1), from targets (K, 1).

    Its weights are Xᵀ (X Xᵀ + λ I)⁻¹ Y of the centred rows X and targets Y: as support sets are
    small, a system of K equations, however many columns there are.
    """
    centre, level = x.mean(axis=0), y.mean(axis=0)
    rows = x - centre
    dual = np.linalg.solve(rows @ rows.T + PENALTY * np.eye(len(x)), y - level)
    return (queries - centre) @ (rows.T @ dual) + level


def most_frequent(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The most frequent label of y (K,), of several the first, for every query: (Q,)."""
    del x
    return np.full(len(queries), np.bincount(y).argmax())


def nearest_mean(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """For every query the label (Q,) whose support rows have the nearest mean."""
    labels = np.unique(y)
    means = np.stack([x[y == label].mean(axis=0) for label in labels])
    return labels[np.square(queries[:, None] - means).sum(axis=-1).argmin(axis=1)]


REGRESSION = (
    Yardstick("mean of the targets", mean_target),
    Yardstick(f"ridge regression (λ = {PENALTY:g})", ridge),
)
CLASSIFICATION = (
    Yardstick("most frequent class", most_frequent),
    Yardstick("nearest class mean", nearest_mean),
)


def yardsticks(problem: Problem, sampler: TaskSampler, episodes: int) -> list[dict[str, Any]]:
    """The score of each yardstick on the first episodes of a sampler of a table's tasks, as JSON:
    its name, the mean and half the width of its 95 % interval. None of other problems."""
    if not isinstance(problem, Tabular):
        return []
    used = CLASSIFICATION if problem.measure.higher_is_better else REGRESSION
    scores = [[_score(each, *task) for each in used] for task in _tasks(sampler, episodes)]
    return [
        {"name": each.name, "mean": interval.mean, "half_width_95": interval.half_width}
        for each, interval in zip(used, intervals(np.array(scores)), strict=True)
    ]


def _tasks(sampler: TaskSampler, episodes: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Support x, y and query x, y of each episode that `evaluation.scores_at_steps` takes."""
    for numbers in batches(episodes):
        support, query = sampler.sample(0, numbers)
        yield from zip(*support, *query, strict=True)


def _score(
    yardstick: Yardstick, x: np.ndarray, y: np.ndarray, queries: np.ndarray, truths: np.ndarray
) -> float:
    """The share of labels that are right, or the mean squared error."""
    found = yardstick.predict(x.astype(np.float64), y, queries.astype(np.float64))
    return float(np.mean(found == truths if y.ndim == 1 else np.square(found - truths)))


def yardstick_lines(measure: Measure, result: Mapping[str, Any], reached: int) -> list[str]:
    """For people: a line on the yardsticks of an evaluation, and one where the run is behind the
    better of them, with what may help; that depends on whether the checkpoint is an early one of
    the iterations that were `reached`."""
    found: Sequence[Mapping[str, Any]] = result["yardsticks"]
    if not found:
        return []
    text = lambda row: f"{measure.text(row['mean'])} ± {measure.text(row['half_width_95'])}"
    each = ", ".join(f"{row['name']} {text(row)}" for row in found)
    lines = [f"without training, from the support rows of the same episodes alone: {each}"]
    best = (max if measure.higher_is_better else min)(found, key=lambda row: row["mean"])
    score = result["scores"][-1]["mean"]
    if measure.better(best["mean"], score):
        advice = "train for longer or on more tasks"
        if result["iteration"] < EARLY * reached:
            advice = (
                f"it did best at iteration {result['iteration']:,} of {reached:,}, so try more "
                "tasks, another --inner-lr or --hidden, rather than longer training,"
            )
        lines.append(
            f"note: this run is behind that: {measure.name} {measure.text(score)}, and "
            f"{measure.text(best['mean'])} by {best['name']}: {advice} before you prefer its "
            "predictions"
        )
    return lines
