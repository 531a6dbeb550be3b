"""What can be asked of this package as a namespace of the array API standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core import dtypes as dt
from autograd_core.device import devices
from kernels.devices import CPU

__all__ = ["__array_namespace_info__"]

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""Of the standard. Each contains those before it."""


class NamespaceInfo:
    """Answers of the standard's inspection functions."""

    def capabilities(self) -> dict[str, Any]:
        """What is supported: indexing by masks and results whose shapes depend on values, where no
        transform hides these; and how many axes an array can have."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Where arrays are made if nothing else is said."""
        return CPU

    def devices(self) -> list[str]:
        """Where arrays can lie."""
        return devices()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype]:
        """What Python's numbers, and positions, become; the same on all devices."""
        return {
            "real floating": dt.float64,
            "complex floating": dt.complex128,
            "integral": dt.int64,
            "indexing": dt.int64,
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype]:
        """Dtypes by name, of one kind, several or all; the same on all devices.

        Raises:
            ValueError: there is no such kind; see `isdtype`.
        """
        wanted: Any = ("bool", "numeric") if kind is None else kind
        every = (*dt.KINDS["bool"], *dt.KINDS["numeric"])
        return {each.name: each for each in every if dt.isdtype(each, wanted)}


def __array_namespace_info__() -> NamespaceInfo:
    """What is supported: dtypes, devices, capabilities.

    >>> ac.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float64')
    """
    return NamespaceInfo()
