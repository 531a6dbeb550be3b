"""A learner through a stream, once, and what it knows on the way."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from autograd_core import random
from metalearn.continual.learners import OnlineLearner
from metalearn.continual.streams import Stream, reservoir


class Outcome(NamedTuple):
    """Accuracies on held-out examples, of T tasks in the order of the stream; see `measures`.

    An answer is the class with the largest logit among those seen so far.
    """

    matrix: np.ndarray  # (T, T), R
    classes: np.ndarray  # (T,) int64, seen after each task
    seen: np.ndarray  # (T,), on all of them
    in_stream: np.ndarray  # (T,), A: on each task just after it, among its own classes
    alone: np.ndarray  # (T,), B: the same of a learner that was taught that task alone
    trained: float  # at the end, on all examples that were learned from


def passed(learner: OnlineLearner, stream: Stream, memory: int, seed: int) -> Outcome:
    """A learner's way through a stream, with a reservoir of `memory` examples.

    The seed decides its initialisation and what is replayed. Examples are learned a class at a
    time, by one program.
    """
    return _Pass(learner, stream, memory, seed).outcome()


def known_after(learner: OnlineLearner, stream: Stream, memory: int, seed: int) -> float:
    """The accuracy on all classes after the same way, which is all that a rate is chosen by."""
    return _Pass(learner, stream, memory, seed).known()


class _Pass:
    def __init__(self, learner: OnlineLearner, stream: Stream, memory: int, seed: int):
        self.learner, self.stream, self.memory, self.seed = learner, stream, memory, seed
        self.update = ac.jit(learner.update, quiet=True)
        self.outputs = ac.jit(learner.outputs, quiet=True)
        self.tasks = [stream.of(task) for task in range(len(stream.tasks))]

    def outcome(self) -> Outcome:
        count = len(self.tasks)
        matrix, in_stream = np.zeros((count, count)), np.zeros(count)
        ends = np.array([classes[-1] + 1 for classes in self.tasks])
        for task, state in enumerate(self._taught(range(count))):
            known = np.arange(ends[task])
            matrix[task, : task + 1] = [self._accuracy(state, t, known) for t in range(task + 1)]
            in_stream[task] = self._accuracy(state, task, self.tasks[task])
        sizes = np.array([len(classes) for classes in self.tasks])
        learned = [self._accuracy(state, t, known, trained=True) for t in range(count)]
        return Outcome(
            matrix,
            ends,
            seen=matrix @ sizes / ends,
            in_stream=in_stream,
            alone=np.array([self._alone(task) for task in range(count)]),
            trained=float(np.average(learned, weights=sizes)),
        )

    def known(self) -> float:
        *_, last = self._taught(range(len(self.tasks)))
        answers = np.arange(len(self.stream.classes))
        found = [self._accuracy(last, task, answers) for task in range(len(self.tasks))]
        return float(np.average(found, weights=[len(classes) for classes in self.tasks]))

    def _alone(self, task: int) -> float:
        (state,) = self._taught([task])
        return self._accuracy(state, task, self.tasks[task])

    def _taught(self, tasks: Sequence[int]) -> Iterator[Any]:
        """The state after each of some tasks, of a learner that is taught these from its
        beginning."""
        state = self.learner.init(random.key(self.seed))
        order = np.concatenate([self.tasks[task] for task in tasks])
        train = self.stream.x.shape[1]
        x = self.stream.x[order].reshape(len(order) * train, *self.stream.x.shape[2:])
        y = np.repeat(order, train)
        drawn = reservoir(len(y), self.memory, self.learner.draws, self.seed)
        place = 0
        for task in tasks:
            for _ in self.tasks[task]:
                rows = slice(place, place + train)
                beside = drawn[rows]
                state = self.update(state, (x[rows], y[rows]), (x[beside], y[beside]))
                place += train
            yield state

    def _accuracy(self, state: Any, task: int, among: np.ndarray, trained: bool = False) -> float:
        """On the examples of a task, where the answer is one of some classes in ascending order."""
        classes = self.tasks[task]
        x = (self.stream.x if trained else self.stream.held_out)[classes]
        logits = np.asarray(self.outputs(state, x.reshape(-1, *x.shape[2:])))
        answers = among[logits[:, among].argmax(axis=1)]
        return float((answers == np.repeat(classes, x.shape[1])).mean())
