"""Dtypes: NumPy's, by the names of the array API standard, and what can be asked of them."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from autograd_core.errors import DtypeError
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import INEXACT, Tensor

__all__ = [
    "bool",
    "can_cast",
    "complex64",
    "complex128",
    "finfo",
    "float32",
    "float64",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "result_type",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]

bool = np.dtype("bool")
int8, int16, int32, int64 = map(np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(np.dtype, ("uint8", "uint16", "uint32", "uint64"))
float32, float64 = np.dtype("float32"), np.dtype("float64")
complex64, complex128 = np.dtype("complex64"), np.dtype("complex128")

KINDS: dict[str, tuple[np.dtype, ...]] = {
    "bool": (bool,),
    "signed integer": (int8, int16, int32, int64),
    "unsigned integer": (uint8, uint16, uint32, uint64),
    "real floating": (float32, float64),
    "complex floating": (complex64, complex128),
}
KINDS["integral"] = (*KINDS["signed integer"], *KINDS["unsigned integer"])
KINDS["numeric"] = (*KINDS["integral"], *KINDS["real floating"], *KINDS["complex floating"])


class FloatInfo(NamedTuple):
    """The limits of a floating-point dtype; those of a complex one are those of its parts.

    Attributes:
        bits: that a number takes.
        eps: the distance from 1 to the next larger number.
        max, min: the largest number, and the smallest, which is its negative.
        smallest_normal: the smallest positive number of full precision.
        dtype: of real numbers.
    """

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype

    @property
    def tiny(self) -> float:
        """NumPy's name of `smallest_normal`."""
        return self.smallest_normal


class IntegerInfo(NamedTuple):
    """The limits of an integer dtype: `bits`, and its largest and smallest number."""

    bits: int
    max: int
    min: int
    dtype: np.dtype


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating-point or complex dtype, or of a tensor's.

    Raises:
        DtypeError: it is another kind of dtype.

    >>> ac.finfo(ac.float32).eps, ac.finfo(ac.complex128).bits
    (1.1920928955078125e-07, 64)
    """
    dtype = _dtype_of(type)
    if dtype.kind not in INEXACT:
        raise DtypeError(f"finfo: expected a floating-point or complex dtype, got {dtype}")
    found = np.finfo(dtype)
    return FloatInfo(
        bits=int(found.bits),
        eps=float(found.eps),
        max=float(found.max),
        min=float(found.min),
        smallest_normal=float(found.smallest_normal),
        dtype=np.dtype(found.dtype),
    )


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype, or of a tensor's.

    Raises:
        DtypeError: it is another kind of dtype.

    >>> ac.iinfo(ac.int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype.kind not in "iu":
        raise DtypeError(f"iinfo: expected an integer dtype, got {dtype}")
    found = np.iinfo(dtype)
    return IntegerInfo(found.bits, int(found.max), int(found.min), dtype)


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is another one, or of a kind.

    Args:
        kind: a dtype; "bool", "signed integer", "unsigned integer", "integral", "real floating",
            "complex floating" or "numeric"; or a tuple of such, any of which will do.

    Raises:
        ValueError: there is no such kind.

    >>> ac.isdtype(ac.float32, "real floating"), ac.isdtype(ac.float32, ("bool", ac.int8))
    (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, each) for each in kind)
    dtype = np.dtype(dtype)
    if not isinstance(kind, str):
        return dtype == np.dtype(kind)
    if kind not in KINDS:
        raise ValueError(f"isdtype: expected a dtype or one of {', '.join(KINDS)}; got {kind!r}")
    return dtype in KINDS[kind]


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether the numbers of a dtype are kept by promotion to another one.

    Args:
        from_: a dtype, or a tensor for its own.
        to: a dtype.

    >>> ac.can_cast(ac.int8, ac.float32), ac.can_cast(ac.float64, ac.float32)
    (True, False)
    """
    return np.can_cast(_dtype_of(from_), np.dtype(to))


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that tensors, dtypes and numbers are promoted to; Python numbers promote the kind
    alone.

    >>> ac.result_type(ac.float32, ac.int64), ac.result_type(ac.float32, 1j)
    (dtype('float64'), dtype('complex64'))
    """
    kinds: list[Any] = [
        x if x.__class__ in PYTHON_NUMBERS else _dtype_of(x) for x in arrays_and_dtypes
    ]
    return np.result_type(*kinds)


def _dtype_of(x: Any) -> np.dtype:
    return x.dtype if x.__class__ is Tensor or isinstance(x, np.ndarray) else np.dtype(x)
