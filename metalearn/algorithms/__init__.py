"""Meta-learning algorithms by name. A new one is one file here and one line in `ALGORITHMS`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from metalearn.algorithms.maml import REMAT, Maml
from metalearn.errors import OptionError
from metalearn.learner import Learner
from metalearn.tasks import Task


class Algorithm(Protocol):
    """How a model learns a task, and what of it the initialisation is trained by."""

    @property
    def order(self) -> int:
        """Of the derivatives in the meta-gradient: 2 when it goes through the inner gradients, 1
        when those are taken for constants. Every result records it."""

    def adaptation(
        self, learner: Learner, params: Any, support: Any, steps: int
    ) -> Iterator[tuple[Any, Any]]:
        """The parameters after 0, 1, …, `steps` inner steps on a support set, each with the
        statistics that the step before it collected (None at 0)."""

    def meta_loss(self, learner: Learner, params: Any, task: Task) -> tuple[Any, tuple[Any, Any]]:
        """The query loss of one task after adaptation; and its score with the statistics
        collected in the task's passes."""


ALGORITHMS: Mapping[str, Callable[..., Algorithm]] = {
    "maml": lambda **settings: Maml(order=2, **settings),
    "fomaml": lambda **settings: Maml(order=1, **settings),
}


def make_algorithm(name: str, **settings: Any) -> Algorithm:
    """An algorithm by name with its settings, such as `steps`, `rate` and `remat` of `Maml`.

    Raises `OptionError` for a name that is not registered.
    """
    if name not in ALGORITHMS:
        raise OptionError(f"algorithm {name!r}; expected one of {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name](**settings)


__all__ = ["ALGORITHMS", "REMAT", "Algorithm", "Maml", "make_algorithm"]
