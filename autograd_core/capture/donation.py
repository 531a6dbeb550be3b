"""Donated arguments: their memory is used for later results, and they cannot be used any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from autograd_core.capture.ownership import is_alone
from autograd_core.errors import DonatedError
from autograd_core.tensor import Tensor


class Donated:
    """In the place of the array of a tensor that was donated."""

    __array_ufunc__ = None

    def __init__(self, to: str):
        object.__setattr__(self, "_to", to)

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        to = object.__getattribute__(self, "_to")
        raise DonatedError(
            f"this tensor was donated to {to} (donate_argnums), which uses its memory for other "
            "values; use what that call returned, or do not donate the argument"
        )

    __getattr__ = __array__ = __iter__ = __len__ = __getitem__ = _refuse


def give_away(tensor: Tensor, to: str) -> np.ndarray | None:
    """Make a tensor unusable; its array, if nobody else holds it.

    Args:
        to: who takes it, for errors.
    """
    free = is_alone(tensor)
    array = tensor.value
    free = (
        free
        and array.__class__ is np.ndarray
        and array.base is None
        and array.flags.c_contiguous
        and array.flags.writeable
    )
    tensor.value = Donated(to)
    return array if free else None


class Spares:
    """Arrays that were given away, for results of the same shape and dtype.

    Args:
        results: shapes and dtypes of results: no more arrays are kept than they can use.
    """

    def __init__(self, results: Iterable[tuple[tuple[int, ...], np.dtype]] = ()) -> None:
        self._most = Counter(results)
        self._free: dict[tuple, list[np.ndarray]] = {}

    def put(self, array: np.ndarray) -> None:
        kind = array.shape, array.dtype
        some = self._free.setdefault(kind, [])
        if len(some) < self._most[kind]:
            some.append(array)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array without values."""
        some = self._free.get((shape, dtype))
        return some.pop() if some else np.empty(shape, dtype)
