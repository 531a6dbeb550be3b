"""Functions of this package's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.errors import RuleError
from autograd_core.ops.complex import imag, real, to_complex
from autograd_core.ops.placement import to_device
from autograd_core.tensor import Tensor, asarray
from autograd_core.testing.subjects.base import Unavailable
from autograd_core.testing.subjects.traced import Traced
from kernels.devices import CPU, device_of

__tracebackhide__ = True  # pytest shows the user's lines


class Ours(Traced):
    """A function of tensors."""

    library = "autograd_core"

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        return True

    @classmethod
    def parts(cls, y: Any) -> tuple:
        y = asarray(y)
        return (y,) if y.dtype.kind == "f" else (real(y), imag(y)) if y.dtype.kind == "c" else ()

    joined = staticmethod(to_complex)

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return x.detach().numpy() if x.__class__ is Tensor else np.asarray(x)

    def native(self, x: np.ndarray) -> Any:
        return asarray(x) if self.device is None else to_device(asarray(x), self.device)

    @classmethod
    def device_of(cls, x: Any) -> Any:
        """A GPU; on the CPU arrays go along with what they meet."""
        where = device_of(x.value) if x.__class__ is Tensor else CPU
        return None if where == CPU else where

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        floats = [leaves[i] for i in self.places]
        try:
            return transforms.vjp(self.at_places(leaves), *floats)[1](tuple(cts))
        except RuleError as error:
            raise Unavailable(str(error)) from error

    def push_native(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        floats = tuple(leaves[i] for i in self.places)
        try:
            return transforms.jvp(self.at_places(leaves), floats, tuple(tangents))[1]
        except RuleError as error:
            raise Unavailable(str(error)) from error
