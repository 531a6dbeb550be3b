"""Dropout."""

from __future__ import annotations

from typing import Any

from autograd_core import random
from autograd_core.nn.checks import promoted
from autograd_core.ops.arithmetic import where
from autograd_core.tensor import Tensor


def dropout(key: Any, x: Any, rate: float) -> Tensor:
    """Set each entry to 0 with probability `rate`, and divide the others by 1 - rate.

    Srivastava et al., "Dropout" (2014). The key decides which: the same key drops the same entries.
    In evaluation do not call it.

    Args:
        key: see `autograd_core.random`.
        x: any shape.
        rate: in [0, 1].

    Raises:
        ValueError: a rate outside that range.

    >>> x = ac.nn.dropout(ac.random.key(0), ac.ones(8), 0.5)
    >>> ac.all((x == 0.0) | (x == 2.0))
    Tensor(True, dtype=bool)
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: expected a rate in [0, 1], got {rate!r}")
    (x,) = promoted(x)
    if rate == 1:
        return x * 0.0
    return where(random.bernoulli(key, 1 - rate, x.shape), x * (1 / (1 - rate)), 0.0)
