"""The laws of a primitive: what must hold between its kernel and its rules, whatever it computes.

Each law is a function of a `Case` (a primitive with drawn arguments) that raises `LawViolation`
where it does not hold. The numbers a rule must reproduce come from the primitive's kernel: by
differences for derivatives, by a loop of calls for batches.
"""

from __future__ import annotations

from autograd_core.testing.case import Law
from autograd_core.testing.laws.batches import (
    batched_derivatives,
    batching,
    derivatives_of_batches,
    nested_batching,
)
from autograd_core.testing.laws.capture import captured
from autograd_core.testing.laws.derivatives import (
    adjointness,
    blocked,
    constant_between_jumps,
    forward_rules,
    linearization,
    second_order,
    third_order,
)
from autograd_core.testing.laws.kernels import pure, rules_pure, shape_rule
from autograd_core.testing.laws.precision import mixed_precision, single_precision
from autograd_core.testing.laws.tape import kept_unread, tape

__all__ = ["HIGHER_LAWS", "LAWS", "kept_unread"]

LAWS: tuple[Law, ...] = (
    shape_rule,
    pure,
    forward_rules,
    constant_between_jumps,
    adjointness,
    blocked,
    batching,
    nested_batching,
    single_precision,
    mixed_precision,
    rules_pure,
    linearization,
    tape,
    batched_derivatives,
    derivatives_of_batches,
    captured,
)
"""The laws of values and first derivatives, cheap ones first."""

HIGHER_LAWS: dict[int, Law] = {2: second_order, 3: third_order}
"""The laws of derivatives of each higher order."""
