"""Broken rules, to show that the laws, or your tests, would notice them.

    python -m autograd_core.testing.mutants [NAME ...]
    python -m autograd_core.testing.mutants --of my_package.ops:softsign --tests tests/test_ops.py

A mutant is a registered primitive with one slot changed: a rule that returns something else, a
batch rule that mixes up its slices, a shape rule that lies, a kernel that writes where it may not.
`check_primitive` must raise for each of them. A mutant that survives is either a hole in the laws
or in the primitive's domain, or no change at all (a symmetric result, transposed); the latter is
told by calling the changed slot beside the original.

With `--of` mutants are made of a primitive of yours, or of a function made by `custom_vjp` or
`custom_jvp`, and judged by your tests; `try_test` does the same in Python.
"""

from autograd_core.testing.mutants.laws import CAN_BE_EQUIVALENT, try_all, try_mutants
from autograd_core.testing.mutants.outcomes import Outcome, summary
from autograd_core.testing.mutants.tested import FAULTS, MutantError, try_test

__all__ = [
    "CAN_BE_EQUIVALENT",
    "FAULTS",
    "MutantError",
    "Outcome",
    "summary",
    "try_all",
    "try_mutants",
    "try_test",
]
