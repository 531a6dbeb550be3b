"""What all generated CUDA kernels share: the names of types, and what is launched."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

TYPES = {
    "f4": "float",
    "f8": "double",
    "i4": "int",
    "i8": "int64",
    "b1": "bool",
    "i1": "int8",
    "i2": "int16",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    # Those that are only copied:
    "f2": "uint16",
    "c8": "uint64",
    "c16": "two_doubles",
}
"""NumPy's short names → CUDA's types, as the prelude names them."""


ALIGNMENT = 16
"""Bytes that kernels may read at once: arrays begin at a multiple of that."""


@dataclass(frozen=True)
class Launch:
    """A kernel's source, and how it is launched.

    Attributes:
        name: of the function, whose parameters are the places of `operands`, in this order.
        source: CUDA C++, to be read behind the prelude.
        operands: buffers of a loop, or operands of a product, by their numbers.
        grid: blocks along x, y and z.
        threads: of a block.
    """

    name: str
    source: str
    operands: tuple[int, ...]
    grid: tuple[int, int, int]
    threads: int


class Place(ctypes.Structure):
    """A parameter of a generated kernel: where in memory an address lies, and bytes behind that
    address. Addresses change from call to call, and a captured launch does not."""

    _fields_ = (("entry", ctypes.c_uint64), ("far", ctypes.c_int64))


def parameters(types: Mapping[int, str]) -> tuple[str, list[str]]:
    """The parameters of a kernel, places, and the lines that make pointers b0, b1, … of them.

    Args:
        types: what each pointer points to, by its number.
    """
    given = ", ".join(f"const Place p{n}" for n in types)
    return given, [f"{t}* __restrict__ b{n} = p{n}.at<{t}>();" for n, t in types.items()]
