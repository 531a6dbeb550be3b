"""What gradient checks look at: functions of any library, as functions of NumPy arrays.

Each kind of subject says how to compute values, how to pull cotangents back, how to push tangents
forward, and what the functions are whose derivatives are the second ones. Libraries are recognised
by the types of the arguments and are never imported for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.testing.subjects.base import (
    Arrays,
    Mismatch,
    Subject,
    Unavailable,
    name_of,
    named,
    typed,
)
from autograd_core.testing.subjects.of_jax import Jax
from autograd_core.testing.subjects.of_torch import Torch
from autograd_core.testing.subjects.pairs import Pair
from autograd_core.testing.subjects.tensors import Ours
from autograd_core.testing.subjects.traced import Traced
from autograd_core.tree import tree_flatten, tree_paths

__all__ = ["Arrays", "Mismatch", "Ours", "Subject", "Unavailable", "name_of", "subject_of", "typed"]


def subject_of(f: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Subject:
    """The subject for a function, or a pair of NumPy functions, and its arguments."""
    leaves, structure = tree_flatten(tuple(args))
    names = [named(path) for path in tree_paths(tuple(args))]
    subject: Subject
    if isinstance(f, tuple | list):
        subject = Pair(f, leaves, names, structure, kwargs)
    else:
        kinds: list[type[Traced]] = [Torch, Jax, Ours]
        kind = next(kind for kind in kinds if kind.takes(f, leaves))
        subject = kind.of(f, leaves, names, structure, kwargs)
    subject.is_nested = bool(kwargs) or len(leaves) != len(args)
    return subject
