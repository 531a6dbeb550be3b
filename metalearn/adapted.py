"""A model adapted to a task: made from a run by any algorithm, used by itself from then on.

Whatever an algorithm does in its inner loop, it ends in parameters of the model; with what batch
norm uses beside them, the run is no longer needed. Adaptation and prediction are compiled once for
each shape, and take milliseconds afterwards.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import autograd_core as ac
from metalearn.algorithms import Algorithm
from metalearn.errors import DivergedError, OptionError
from metalearn.inputs import Inputs, inputs_of
from metalearn.learner import Learner
from metalearn.models import Model
from metalearn.tasks.errors import amount
from metalearn.trained import Trained

BATCH = "batch"
AT_A_TIME = 256
"""Inputs that the model is applied to at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model with the parameters for one task.

    - `params`: of the model
    - `statistics`: what its batch norms use: `nn.Statistics`, one each, or "batch" for those of
      whatever is predicted together, in mode transductive
    - `inputs`: what it is fed
    - `classes`: the label of each output, (ways,); None in regression
    - `about`: where it comes from, as JSON
    """

    model: Model
    params: Any
    statistics: Any
    inputs: Inputs
    classes: np.ndarray | None
    about: Mapping[str, Any]

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for an input."""
        return dict(self.model.arguments)["outputs"] if self.classes is None else len(self.classes)

    def apply(self, x: np.ndarray, compiled: bool = True) -> np.ndarray:
        """The model's outputs (n, outputs), float64, for inputs (n, …) as `Inputs.arrays` makes
        them. A compiled program is made for some numbers of inputs only; others are filled up.

        Raises `OptionError` for a single input that would have to be normalised by itself, and
        `DivergedError` for outputs that are not finite."""
        with np.errstate(all="ignore"):  # told below, in our words
            found = self._outputs(x, compiled)
        wrong = ~np.isfinite(found).all(axis=-1)
        if wrong.any():
            raise DivergedError(
                f"what the model gives for {wrong.sum()} of {len(x)} inputs is not finite, the "
                f"first of them number {wrong.argmax() + 1}; look for values unlike those of "
                f"training (the largest is {np.abs(x).max():.3g})"
            )
        return found

    def _outputs(self, x: np.ndarray, compiled: bool) -> np.ndarray:
        device = ac.tree_leaves(self.params)[0].device
        place = lambda part: ac.asarray(part, device=device)
        if self.statistics == BATCH:  # filling up would change them
            if len(x) == 1:
                raise OptionError(
                    "one query, and batch norm transductive: it would be normalised by itself; use "
                    "batch norm support, or give more queries"
                )
            found = self.model.apply(self.params, place(x), BATCH)[0]
            return np.asarray(found, np.float64)
        run = (_applying if compiled else _applied)(self.model.apply)
        rows = []
        for first in range(0, len(x), AT_A_TIME):
            part = x[first : first + AT_A_TIME]
            filled = _filled(part) if compiled else part
            found = run(self.params, self.statistics, place(filled))
            rows.append(np.asarray(found, np.float64)[: len(part)])
        return np.concatenate(rows)

    def probabilities(self, x: np.ndarray, compiled: bool = True) -> np.ndarray:
        """(n, ways) float64: the softmax of the outputs."""
        logits = self.apply(x, compiled)
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)

    def values(self, x: np.ndarray, compiled: bool = True) -> np.ndarray:
        """(n, outputs) float64: predictions of regression, in the target's own units."""
        return self.inputs.in_units(self.apply(x, compiled))


def _filled(x: np.ndarray) -> np.ndarray:
    """The inputs with copies of the last one, up to a number of two binary digits and a half: 1,
    2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, …, so that few programs serve all."""
    step = 2 ** max(0, math.ceil(math.log2(len(x))) - 3)
    missing = -len(x) % step
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) if missing else x


def _applied(apply: Callable) -> Callable:
    """The function (params, statistics, x) → outputs."""
    return lambda params, statistics, x: apply(params, x, statistics)[0]


@functools.lru_cache(maxsize=16)
def _applying(apply: Callable) -> Callable:
    return ac.jit(_applied(apply), quiet=True)


# Adaptation -----------------------------------------------------------------------------------


def adapt_to(
    trained: Trained,
    support: tuple[np.ndarray, np.ndarray],
    classes: np.ndarray | None = None,
    steps: int | None = None,
    compiled: bool = True,
) -> Adapted:
    """The model of a run after inner steps on a support set.

    Args:
        trained: the run's initialisation, on the device to compute on.
        support: inputs x (n, …) as `Inputs.arrays` makes them, and labels y (n,), places in
            `classes`, or targets (n, outputs) float32.
        classes: the label of each class, at most as many as the run's ways; None in regression.
        steps: how many; the run's if not given, see `Trained`.
        compiled: whether to compile a program for this shape of support set, which takes seconds
            the first time, and adapts in milliseconds.

    Raises `DivergedError` where it ends in parameters that are not finite.
    """
    number = trained.steps if steps is None else steps
    meta, learner = trained.params, trained.learner
    if classes is not None:
        meta = trained.algorithm.with_ways(meta, len(classes))
        learner = replace(learner, ways=len(classes))
    make: Callable = _adapting_program if compiled else _adapting
    run = make(trained.algorithm, replace(learner, averages=None), number)
    placed = ac.tree_map(lambda array: ac.asarray(array, device=trained.device), support)
    with np.errstate(all="ignore"):  # told below, in our words
        params, used = run(meta, learner.averages, placed)
    if not all(np.isfinite(np.asarray(leaf)).all() for leaf in ac.tree_leaves(params)):
        raise DivergedError(
            f"adaptation has diverged: after {amount(number, 'inner step')} a parameter is not "
            "finite; look for values in the support set that are unlike those of training (the "
            f"largest is {np.abs(support[0]).max():.3g}), or train with a lower --inner-lr"
        )
    return Adapted(
        model=learner.model,
        params=params,
        statistics=BATCH if learner.mode == "transductive" else used,
        inputs=inputs_of(trained.run),
        classes=classes,
        about={**trained.about(), "steps": number},
    )


def _adapting(algorithm: Algorithm, learner: Learner, steps: int) -> Callable:
    """The function (meta, averages, support) → the model's parameters after adaptation, and the
    statistics that a query is normalised with: of the support set, or averages."""

    def run(meta: Any, averages: Any, support: Any) -> tuple[Any, Any]:
        given = replace(learner, averages=averages)
        params = algorithm.adapt(given, meta, support, steps)
        return params, given.query_outputs(params, support, support[0], steps)[1]

    return run


@functools.lru_cache(maxsize=16)
def _adapting_program(algorithm: Algorithm, learner: Learner, steps: int) -> Callable:
    return ac.jit(_adapting(algorithm, learner, steps), quiet=True)
