"""Dispatch of a kernel by the type of its array argument.

A backend is a package that, when imported, registers its implementations for its array type. It
is imported on the first call with such an array, so ``import kernels`` stays light, and a new
backend needs one line here and none in the layers above.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# The root module of an array type → the package that registers kernels for it.
BACKENDS = {"numpy": "kernels.cpu", "cupy": "kernels.gpu.eager"}

KERNELS: dict[str, "Kernel"] = {}


class Kernel(Generic[P, R]):
    """An array function with one implementation per array type.

    Array types without an implementation of their own run the reference.

    Args:
        name: the key under which backends find this kernel in ``KERNELS``.
        reference: the NumPy implementation that defines the result. Its docstring and signature
            are the kernel's.
        position: which argument is the array that decides.
    """

    def __init__(self, name: str, reference: Callable[P, R], position: int = 0) -> None:
        functools.update_wrapper(self, reference)
        self.name = name
        self.position = position
        self.reference = reference
        self._implementations: dict[type, Callable[P, R]] = {}
        KERNELS[name] = self

    def register(self, array_type: type, implementation: Callable[P, R]) -> None:
        """Run ``implementation`` when the deciding argument is an ``array_type``."""
        self._implementations[array_type] = implementation

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            implementation = self._implementations[type(args[self.position])]
        except KeyError:
            implementation = self._resolve(type(args[self.position]))
        except IndexError:
            raise TypeError(f"{self.name}() takes its array by position") from None
        return implementation(*args, **kwargs)

    def _resolve(self, array_type: type) -> Callable[P, R]:
        """Find the implementation for a type met for the first time, and remember it."""
        for base in array_type.__mro__:
            backend = BACKENDS.get(base.__module__.partition(".")[0])
            if backend is not None:
                importlib.import_module(backend)
            if base in self._implementations:
                self._implementations[array_type] = self._implementations[base]
                return self._implementations[base]
        return self.reference

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"
