"""Classes that arrive one after another, each example seen once.

- `streams`: what arrives, and what a reservoir holds of it
- `learners`: what learns from it: steps of gradient descent with or without replay, La-MAML
- `passes`: a learner through a stream, and its accuracies on the way
- `measures`: average accuracy, forgetting, backward and forward transfer of these
"""

from metalearn.continual.learners import LaMaml, OnlineLearner, Sgd, linear
from metalearn.continual.measures import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
)
from metalearn.continual.passes import Outcome, known_after, passed
from metalearn.continual.streams import Stream, make_stream, reservoir

__all__ = [
    "LaMaml",
    "OnlineLearner",
    "Outcome",
    "Sgd",
    "Stream",
    "average_accuracy",
    "backward_transfer",
    "forgetting",
    "forward_transfer",
    "known_after",
    "linear",
    "make_stream",
    "passed",
    "reservoir",
]
