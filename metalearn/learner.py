"""What an algorithm adapts: a model, its loss, and how it normalises, on one task."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd_core as ac
from autograd_core import nn
from metalearn.models import Model
from metalearn.normalisation import averages_at, has_averages
from metalearn.tasks import Task


class Measure(NamedTuple):
    """How predictions are judged: a loss to descend and a score for people to read.

    Both are functions of (outputs, targets) to a scalar: of logits (n, ways) and labels (n,), or
    of predictions and targets (n, 1).
    """

    name: str
    loss: Callable[[Any, Any], Any]
    score: Callable[[Any, Any], Any]
    higher_is_better: bool

    def better(self, score: float, than: float | None) -> bool:
        """Whether a score beats the best so far, if there is one. One that is not finite, as of
        tasks on which adaptation diverges, is the worst."""
        if than is None or not math.isfinite(than):
            return True
        if not math.isfinite(score):
            return False
        return score > than if self.higher_is_better else score < than

    def text(self, score: float) -> str:
        """A score in print: per cent for accuracies."""
        return f"{100 * score:.1f} %" if self.higher_is_better else f"{score:.3g}"


def accuracy(logits: Any, labels: Any) -> Any:
    """The share of rows whose largest logit is the label's, float32."""
    return ac.mean(ac.astype(ac.equal(ac.argmax(logits, axis=-1), labels), "float32"))


ACCURACY = Measure("accuracy", nn.cross_entropy, accuracy, higher_is_better=True)
MSE = Measure("MSE", nn.mse, nn.mse, higher_is_better=False)


@dataclass(frozen=True)
class Learner:
    """A model on a task, as losses of its parameters.

    `mode` is one of `normalisation.MODES`; `averages` are the running averages in use, or None
    to normalise by batches, as in training. Steps count the inner steps that made the parameters.
    `progress` is the share of meta-training that is done, for algorithms that change on the way.
    `ways` is how many classes each task has, for algorithms that make a head for it.
    """

    model: Model
    measure: Measure
    mode: str
    averages: Any = None
    progress: Any = 1.0
    ways: int | None = None

    def support_loss(self, params: Any, support: Any, step: int) -> tuple[Any, Any]:
        """The loss on the support set (x, y), and the statistics to collect."""
        outputs, used = self.model.apply(params, support[0], self._statistics(step))
        return self.measure.loss(outputs, support[1]), self._kept(used)

    def query_loss(self, params: Any, task: Task, step: int) -> tuple[Any, tuple[Any, Any]]:
        """The loss on the query set; and the score there with the statistics to collect."""
        outputs, used = self.query_outputs(params, task.support, task.query[0], step)
        return self.judged(outputs, task.query[1], used)

    def judged(self, outputs: Any, targets: Any, used: Any) -> tuple[Any, tuple[Any, Any]]:
        """The loss of outputs; and their score with the statistics to collect."""
        loss = self.measure.loss(outputs, targets)
        same = self.measure.score is self.measure.loss
        score = loss if same else self.measure.score(outputs, targets)
        return loss, (score, self._kept(used))

    def query_outputs(self, params: Any, support: Any, x: Any, step: int) -> tuple[Any, tuple]:
        """Outputs for query inputs x (n, …), and the statistics that were used."""
        return self._queried(self.model.apply, params, support, x, step)

    def query_features(self, params: Any, support: Any, x: Any, step: int) -> tuple[Any, tuple]:
        """What the last layer sees of query inputs, (n, features), and the statistics used."""
        return self._queried(self.model.features, params, support, x, step)

    def support_features(self, params: Any, support: Any, step: int) -> tuple[Any, tuple]:
        """What the last layer sees of the support set, (n, features), and the statistics used."""
        return self.model.features(params, support[0], self._statistics(step))

    def _queried(
        self, function: Callable, params: Any, support: Any, x: Any, step: int
    ) -> tuple[Any, tuple]:
        statistics = self._statistics(step)
        if self.mode == "support":
            _, statistics = function(params, support[0], "batch")
        return function(params, x, statistics)

    def _statistics(self, step: int) -> Any:
        return "batch" if self.averages is None else averages_at(self.mode, self.averages, step)

    def _kept(self, used: tuple) -> tuple:
        return used if has_averages(self.mode) else ()
