"""Whether numbers and arrays are alike, and of what kind they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.device import filled
from autograd_core.ops.arithmetic import (
    absolute,
    equal,
    isfinite,
    isnan,
    less_equal,
    logical_and,
    logical_or,
    not_equal,
)
from autograd_core.ops.complex import imag
from autograd_core.ops.reduce import all as all_
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "allclose",
    "array_equal",
    "isclose",
    "iscomplex",
    "iscomplexobj",
    "isneginf",
    "isposinf",
    "isreal",
    "isrealobj",
]


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |a - b| ≤ atol + rtol |b|, elementwise; infinities are close to themselves alone.

    Args:
        equal_nan: take NaN for close to NaN.

    >>> ac.isclose([1.0, 2.0], [1.0 + 1e-7, 2.1])
    Tensor([ True, False], dtype=bool)
    """
    a, b = asarray(a), asarray(b)
    near = less_equal(absolute(a - b), atol + rtol * absolute(b))
    close = logical_or(equal(a, b), logical_and(near, isfinite(b)))
    return logical_or(close, logical_and(isnan(a), isnan(b))) if equal_nan else close


def allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether all entries of a and b, which broadcast, are close; see `isclose`.

    >>> bool(ac.allclose([1.0, 2.0], [1.0, 2.0 + 1e-9]))
    True
    """
    return all_(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Tensor:
    """Whether two arrays have the same shape and the same entries.

    Args:
        equal_nan: take NaN for equal to NaN.

    >>> bool(ac.array_equal([1, 2], [1, 2])), bool(ac.array_equal([1, 2], [[1, 2]]))
    (True, False)
    """
    a, b = asarray(a1), asarray(a2)
    if a.shape != b.shape:
        return filled(False, (), bool, a)
    same = equal(a, b)
    return all_(logical_or(same, logical_and(isnan(a), isnan(b))) if equal_nan else same)


def isposinf(x: Any) -> Tensor:
    """Whether x is inf, elementwise.

    >>> ac.isposinf([-np.inf, 0.0, np.inf])
    Tensor([False, False,  True], dtype=bool)
    """
    return equal(x, np.inf)


def isneginf(x: Any) -> Tensor:
    """Whether x is -inf, elementwise.

    >>> ac.isneginf([-np.inf, 0.0, np.inf])
    Tensor([ True, False, False], dtype=bool)
    """
    return equal(x, -np.inf)


def isreal(x: Any) -> Tensor:
    """Whether the imaginary part of x is 0, elementwise.

    >>> ac.isreal([1.0, 1j])
    Tensor([ True, False], dtype=bool)
    """
    return equal(imag(x), 0)


def iscomplex(x: Any) -> Tensor:
    """Whether x has an imaginary part other than 0, elementwise.

    >>> ac.iscomplex([1.0, 1j])
    Tensor([False,  True], dtype=bool)
    """
    return not_equal(imag(x), 0)


def isrealobj(x: Any) -> bool:
    """Whether x has a dtype of real numbers.

    >>> ac.isrealobj([1.0, 2.0]), ac.isrealobj([1.0, 0j])
    (True, False)
    """
    return not iscomplexobj(x)


def iscomplexobj(x: Any) -> bool:
    """Whether x has a complex dtype.

    >>> ac.iscomplexobj([1.0, 2.0]), ac.iscomplexobj([1.0, 0j])
    (False, True)
    """
    return asarray(x).dtype.kind == "c"
