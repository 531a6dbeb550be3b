"""Learning rates that change: each returns a function of the number of steps taken so far.

They compute in float64 and cost a few microseconds; an optimiser casts the result to the dtype of
the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.ops.arithmetic import greater_equal, less, minimum, power, where
from autograd_core.ops.elementary import cos
from autograd_core.ops.structural import astype
from autograd_core.optim.optimizer import Number, Schedule, rate_at
from autograd_core.tensor import Tensor, asarray

__all__ = ["constant", "cosine", "exponential", "piecewise", "warmup"]


def constant(rate: Number) -> Schedule:
    """`rate`, always.

    >>> ac.optim.schedules.constant(0.1)(1000)
    0.1
    """
    return lambda _step: rate


def exponential(rate: Number, factor: float, every: int = 1, staircase: bool = False) -> Schedule:
    """rate · factor^(step / every): a rate that falls by a factor every so many steps.

    Args:
        rate: at step 0.
        factor: by which it is multiplied.
        every: in how many steps.
        staircase: keep the rate for `every` steps at a time.

    >>> rate = ac.optim.schedules.exponential(0.1, 0.5, every=10)
    >>> rate(0), rate(10), rate(20)
    (Tensor(0.1, dtype=float64), Tensor(0.05, dtype=float64), Tensor(0.025, dtype=float64))
    """

    def schedule(step: Any) -> Tensor:
        times = _float(step) / every
        return rate * power(factor, (asarray(step) // every if staircase else times))

    return schedule


def cosine(rate: Number, steps: int, final: Number = 0.0) -> Schedule:
    """From `rate` to `final` along half a cosine wave over `steps` steps, then `final`.

    Loshchilov and Hutter, "SGDR" (2017), equation 5, without restarts.

    >>> rate = ac.optim.schedules.cosine(0.1, steps=100)
    >>> rate(0), rate(50), rate(1000)
    (Tensor(0.1, dtype=float64), Tensor(0.05, dtype=float64), Tensor(0., dtype=float64))
    """

    def schedule(step: Any) -> Tensor:
        done = minimum(_float(step), float(steps)) / steps
        return final + (rate - final) * (0.5 * (1 + cos(math.pi * done)))

    return schedule


def warmup(after: Number | Schedule, steps: int) -> Schedule:
    """Rise in a straight line for `steps` steps, then follow `after`.

    Step i (from 0) of the rise has (i + 1) / (steps + 1) of the rate that `after` starts with, and
    step `steps` is its first.

    >>> rate = ac.optim.schedules.warmup(1.0, steps=3)
    >>> rate(0), rate(1), rate(3)
    (Tensor(0.25, dtype=float64), Tensor(0.5, dtype=float64), Tensor(1., dtype=float64))
    """

    def schedule(step: Any) -> Tensor:
        step = asarray(step)
        rise = rate_at(after, asarray(0)) * ((_float(step) + 1) / (steps + 1))
        later = where(less(step, steps), 0, step - steps)
        return where(less(step, steps), rise, rate_at(after, later))

    return schedule


def piecewise(boundaries: Sequence[int], rates: Sequence[Number]) -> Schedule:
    """rates[i] from step boundaries[i - 1] on, and until step boundaries[i].

    Raises:
        ValueError: boundaries that do not rise, or not one rate more than there are of them.

    >>> rate = ac.optim.schedules.piecewise([100, 200], [0.1, 0.01, 0.001])
    >>> rate(99), rate(100), rate(500)
    (Tensor(0.1, dtype=float64), Tensor(0.01, dtype=float64), Tensor(0.001, dtype=float64))
    """
    if list(boundaries) != sorted(set(boundaries)) or len(rates) != len(boundaries) + 1:
        raise ValueError(
            f"piecewise: expected rising boundaries and one rate more, got {boundaries}, {rates}"
        )

    def schedule(step: Any) -> Tensor:
        rate = rates[0]
        for boundary, following in zip(boundaries, rates[1:], strict=True):
            rate = where(greater_equal(step, boundary), following, rate)
        return asarray(rate)

    return schedule


def _float(step: Any) -> Tensor:
    return astype(asarray(step), np.float64)
