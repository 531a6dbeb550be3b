"""Laws: what must hold between a function and its derivatives, whatever it computes.

Each law is a function of a `Case` (a primitive or a user's function, with drawn arguments) that
raises `LawViolation` where it does not hold. The numbers that a rule must reproduce come from the
function's values: by differences for derivatives, by a loop of calls for batches. Those of
functions in any library are in `points`.
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

__all__ = [
    "BATCHING_LAWS",
    "CAPTURE_LAWS",
    "COMPLEX_LAWS",
    "FUNCTION_LAWS",
    "HIGHER_LAWS",
    "LAWS",
    "kept_unread",
]

LAWS: tuple[Law, ...] = (  # of primitives
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

FUNCTION_LAWS: tuple[Law, ...] = (pure, rules_pure, adjointness, linearization)
"""Those that hold for all functions of tensors, beside what `check_grads` looks at."""

BATCHING_LAWS: tuple[Law, ...] = (
    batching,
    nested_batching,
    batched_derivatives,
    derivatives_of_batches,
)
"""Those of functions that `vmap` can map."""

CAPTURE_LAWS: tuple[Law, ...] = (captured,)
"""Those of functions that `jit` can capture."""

COMPLEX_LAWS: tuple[Law, ...] = (forward_rules, *FUNCTION_LAWS, *BATCHING_LAWS, *CAPTURE_LAWS)
"""Those of primitives on complex arguments, as functions of real and imaginary parts."""

HIGHER_LAWS: dict[int, Law] = {2: second_order, 3: third_order}
"""The laws of derivatives of each higher order."""
