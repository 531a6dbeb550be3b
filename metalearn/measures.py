"""Losses and scores of tasks that are padded: label −1 marks what does not count.

See `metalearn.tasks.variable`. On tasks without padding, in which all labels occur, they are
`learner.ACCURACY`.
"""

from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core import nn
from metalearn.learner import Measure
from metalearn.tasks.variable import counted

IMPOSSIBLE = -1e9
"""The logit of a label that a task does not have: its probability is 0, and so is its gradient."""


def padded_cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean cross entropy over the examples that count, among the labels that occur.

    Args:
        logits: (n, ways).
        labels: (n,) integers in [0, ways), or −1; at least one counts.
    """
    weights = counted(labels)
    known = ac.where(ac.greater_equal(labels, 0), labels, 0)
    losses = nn.cross_entropy(possible(logits, labels), known, reduction="none")
    return ac.sum(weights * losses) / ac.sum(weights)


def padded_accuracy(logits: Any, labels: Any) -> Any:
    """The share of right ones among the examples that count, among the labels that occur."""
    weights = counted(labels)
    predicted = ac.argmax(possible(logits, labels), axis=-1)
    right = ac.astype(ac.equal(predicted, labels), "float32")
    return ac.sum(weights * right) / ac.sum(weights)


def possible(logits: Any, labels: Any) -> Any:
    """The logits (n, ways), and −10⁹ for ways that no label (n,) names."""
    columns = np.arange(logits.shape[-1])
    named = ac.any(ac.equal(ac.expand_dims(labels, -1), columns), axis=0)
    return ac.where(named, logits, IMPOSSIBLE)


PADDED_ACCURACY = Measure("accuracy", padded_cross_entropy, padded_accuracy, higher_is_better=True)
