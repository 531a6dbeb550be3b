"""Whether a tensor's array is held by nobody else, who might write to it or read it later.

CPython counts references. How many there are to an array that only its tensor holds, while it is
being asked, differs between versions, so it is counted once here, in the same way.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from autograd_core.tensor import Tensor, box
from kernels.devices import on_gpu


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


NOBODY: Mapping[int, int] = MappingProxyType({})
TENSOR_ALONE = _tensor_references({0: box(np.empty(2))}, 0)


def held_elsewhere(table: dict[Any, Tensor]) -> list[Any]:
    """The keys of tensors that somebody beside the table holds, or whose arrays are. Views of one
    array that lie in the table may share it."""
    arrays = [x.value for x in table.values() if isinstance(x.value, np.ndarray)]
    views = Counter(id(x.base) for x in arrays if x.base is not None)
    owners = Counter(map(id, arrays))
    del arrays
    return [
        key
        for key in table
        if _tensor_references(table, key) > TENSOR_ALONE or not is_alone(table[key], views, owners)
    ]


def is_alone(
    tensor: Tensor, views: Mapping[int, int] = NOBODY, owners: Mapping[int, int] = NOBODY
) -> bool:
    """Whether nobody but this tensor holds its array, or what its array is a view of.

    Args:
        views, owners: for arrays by their ids, how many views of them, and tensors with them as
            their arrays, do not count as somebody.
    """
    array = tensor.value
    if not isinstance(array, np.ndarray):
        return not on_gpu(array)  # a NumPy scalar, which nobody can write to
    base, number = array.base, id(array)
    del array
    if _references(tensor) > ALONE + views.get(number, 0) + max(0, owners.get(number, 0) - 1):
        return False
    if base is None:
        return True
    if not isinstance(base, np.ndarray) or base.base is not None:
        return False
    number = id(base)
    del base
    others = max(0, views.get(number, 0) - 1) + owners.get(number, 0)
    return _base_references(tensor) <= BASE_ALONE + others
