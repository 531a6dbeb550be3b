"""Whether a tensor's array is held by nobody else, who might write to it or read it later.

CPython counts references. How many there are to an array that only its tensor holds, while it is
being asked, differs between versions, so it is counted once here, in the same way.
"""

from __future__ import annotations

import sys

import numpy as np

from autograd_core.tensor import Tensor, box


def _references(tensor: Tensor) -> int:
    array = tensor.value
    return sys.getrefcount(array)


def _base_references(tensor: Tensor) -> int:
    base = tensor.value.base
    return sys.getrefcount(base)


ALONE = _references(box(np.empty(2)))
BASE_ALONE = _base_references(box(np.empty(2)[:1]))


def _tensor_references(table: dict, key: object) -> int:
    tensor = table[key]
    return sys.getrefcount(tensor)


TENSOR_ALONE = _tensor_references({0: box(np.empty(2))}, 0)


def is_held_elsewhere(table: dict, key: object) -> bool:
    """Whether somebody else holds the tensor under a key, or its array."""
    return _tensor_references(table, key) > TENSOR_ALONE or not is_alone(table[key])


def is_alone(tensor: Tensor) -> bool:
    """Whether nobody but this tensor holds its array, or what its array is a view of."""
    array = tensor.value
    if not isinstance(array, np.ndarray):
        return True  # a NumPy scalar, which nobody can write to
    base = array.base
    del array
    if _references(tensor) > ALONE:
        return False
    if base is None:
        return True
    if not isinstance(base, np.ndarray) or base.base is not None:
        return False
    del base
    return _base_references(tensor) <= BASE_ALONE
