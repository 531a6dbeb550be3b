"""What is told of a learner's way through tasks 1 … T, of its accuracies.

R[i, j] is the accuracy on held-out examples of task j after task i, among all classes seen by then;
0 for tasks that are to come, whose classes are never answered.

    average accuracy     1/T Σⱼ R[T, j]
    backward transfer    1/(T−1) Σⱼ﹤ₜ R[T, j] − R[j, j]
    forgetting           1/(T−1) Σⱼ﹤ₜ max_{j≤i<T} R[i, j] − R[T, j]

(Lopez-Paz & Ranzato 2017, "Gradient episodic memory for continual learning", section 2, and for the
last Chaudhry et al. 2018, "Riemannian walk for incremental learning", section 3.1),
where the sums leave out the last task. A growing head has ever more classes to choose from, so that
an accuracy also falls where nothing is forgotten.

GEM's forward transfer, 1/(T−1) Σⱼ R[j−1, j] − b_j with b_j an untrained learner's, is 0 by
construction here: a class that was never seen is never answered. What is measured in its place is
what the tasks before one are worth to learning it,

    forward transfer     1/(T−1) Σⱼ﹥₁ A[j] − B[j]

where A[j] is the accuracy on task j, among its own classes, just after it was learned in the
stream, and B[j] that of the same learner which was taught task j alone from its beginning.
"""

from collections.abc import Sequence

import numpy as np


def average_accuracy(accuracy: np.ndarray) -> float:
    """Of R (T, T)."""
    return float(_square(accuracy, 1)[-1].mean())


def backward_transfer(accuracy: np.ndarray) -> float:
    """Of R (T, T), T ≥ 2; below 0 where tasks are forgotten."""
    found = _square(accuracy, 2)
    return float((found[-1] - np.diag(found))[:-1].mean())


def forgetting(accuracy: np.ndarray) -> float:
    """Of R (T, T), T ≥ 2."""
    found = _square(accuracy, 2)
    return float((found[:-1].max(axis=0) - found[-1])[:-1].mean())


def forward_transfer(in_stream: Sequence[float], alone: Sequence[float]) -> float:
    """Of A and B, (T,) each, T ≥ 2."""
    difference = np.asarray(in_stream, np.float64) - np.asarray(alone, np.float64)
    if difference.ndim != 1 or len(difference) < 2:
        raise ValueError(f"accuracies of shape {difference.shape}; expected (T,) with T ≥ 2")
    return float(difference[1:].mean())


def _square(accuracy: np.ndarray, least: int) -> np.ndarray:
    found = np.asarray(accuracy, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or len(found) < least:
        raise ValueError(f"accuracies of shape {found.shape}; expected (T, T) with T ≥ {least}")
    return found
