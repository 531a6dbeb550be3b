"""Functions of JAX's arrays, where somebody has imported it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from autograd_core.testing.subjects.base import Arrays, Unavailable, is_of, loaded
from autograd_core.testing.subjects.traced import Traced

__tracebackhide__ = True  # pytest shows the user's lines


class Jax(Traced):
    """A function of JAX's arrays, computed in the precision of its arguments."""

    library = "jax"
    has_layouts = False
    compiled: Any = None
    """The function, compiled; False where it cannot be."""

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        jax = loaded("jax")
        if jax is None:
            return False
        return is_of(f, "jax") or any(isinstance(x, jax.Array) for x in leaves)

    @staticmethod
    def joined(x: Any, y: Any) -> Any:
        return loaded("jax").lax.complex(x, y)

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return np.array(x)

    def typed(self, x: np.ndarray) -> str:
        return f"jax.numpy.asarray({super().typed(x)})"

    def native(self, x: np.ndarray) -> Any:
        return loaded("jax").numpy.asarray(x)

    @staticmethod
    def precise() -> Any:
        """Double precision, which JAX has to be asked for."""
        jax = loaded("jax")
        if hasattr(jax, "enable_x64"):
            return jax.enable_x64(True)
        try:
            return jax.experimental.enable_x64()
        except AttributeError:
            return nullcontext()

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        with self.precise():
            return super().values(leaves)

    def numeric_values(self, leaves: Arrays) -> list[np.ndarray]:
        """Compiled once, where the function can be: loops would be compiled in every call."""
        if self.compiled is None:
            self.compiled = loaded("jax").jit(self.flat)
        if self.compiled:
            try:
                with self.precise():
                    return [self.host(y) for y in self.compiled(*self.natives(leaves))]
            except Exception:
                self.compiled = False  # it looks at values
        return self.values(leaves)

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        floats = [leaves[i] for i in self.places]
        _, pull = loaded("jax").vjp(self.at_places(leaves), *floats)
        return pull(tuple(cts))

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        try:
            with self.precise():
                return super().pull(leaves, cts)
        except TypeError as error:
            if "can't apply forward-mode" in str(error):  # what custom_vjp cannot do twice
                raise Unavailable(str(error).splitlines()[0]) from error
            raise

    def push_native(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        floats = tuple(leaves[i] for i in self.places)
        return loaded("jax").jvp(self.at_places(leaves), floats, tuple(tangents))[1]

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        try:
            with self.precise():
                return super().push(leaves, tangents)
        except TypeError as error:
            if "forward-mode" in str(error):
                raise Unavailable(str(error).splitlines()[0]) from error
            raise
