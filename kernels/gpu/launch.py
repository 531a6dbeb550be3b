"""What all generated CUDA kernels share: the names of types, and what is launched."""

from __future__ import annotations

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
    "f2": "uint16",  # only copied
}
"""NumPy's short names → CUDA's types, as the prelude names them."""


@dataclass(frozen=True)
class Launch:
    """A kernel's source, and how it is launched.

    Attributes:
        name: of the function, whose parameters are the addresses of `operands`, in this order.
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
