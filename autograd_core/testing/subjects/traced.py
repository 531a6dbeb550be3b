"""Functions that a library differentiates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.testing.subjects.base import Arrays, Subject, in_parts, name_of
from autograd_core.tree import tree_flatten

__tracebackhide__ = True  # pytest shows the user's lines


class Traced(Subject):
    """A function of a library's arrays, which differentiates it.

    Args:
        flat: from all leaves as the library's arrays to a tuple of floating-point ones.
        leaves: as NumPy arrays.
    """

    device: Any = None
    """Where its arrays lie; None where its library puts them."""

    def __init__(self, name: str, flat: Callable, leaves: Arrays, names: Sequence[str]):
        super().__init__(name, leaves, names)
        self.flat = flat

    @classmethod
    def takes(cls, f: Any, leaves: Sequence[Any]) -> bool:
        raise NotImplementedError

    @classmethod
    def of(cls, f: Any, leaves: Any, names: Any, structure: Any, kwargs: dict) -> Traced:
        def flat(*given: Any) -> tuple:
            out = f(*made.rebuilt(given), **kwargs)
            outs = list(filter(None, map(cls.parts, tree_flatten(out)[0])))
            made.complex_outputs = [len(parts) == 2 for parts in outs]
            return tuple(part for parts in outs for part in parts)

        arrays, names, is_complex = in_parts([cls.host(x) for x in leaves], names)
        made = cls(name_of(f), flat, arrays, names)
        made.structure, made.is_complex = structure, is_complex
        made.device = next(filter(None, map(cls.device_of, leaves)), None)
        made.keep_objects(leaves)
        return made

    def like(self, name: str, flat: Callable, leaves: Arrays, names: Sequence[str]) -> Traced:
        """Another function of arrays that lie where these do."""
        made = type(self)(name, flat, leaves, names)
        made.device = self.device
        return made

    @classmethod
    def device_of(cls, x: Any) -> Any:
        """Where an argument was put; None where nobody did."""
        return None

    @classmethod
    def kind(cls, y: Any) -> str:
        """Of an output's dtype, "" of what has none."""
        kinds: dict[type, str] = {float: "f", complex: "c"}
        return np.dtype(y.dtype).kind if hasattr(y, "dtype") else kinds.get(type(y), "")

    @classmethod
    def parts(cls, y: Any) -> tuple:
        """What is floating point of an output: itself, or both parts of complex numbers."""
        kind = cls.kind(y)
        return (y,) if kind == "f" else (y.real, y.imag) if kind == "c" else ()

    @classmethod
    def host(cls, x: Any) -> np.ndarray:
        return np.asarray(x)

    def native(self, x: np.ndarray) -> Any:
        """An array of the library."""
        raise NotImplementedError

    def natives(self, leaves: Arrays) -> list[Any]:
        """Arrays of the library; names and the like, which have none, as they are."""
        return [self.native(x) if x.dtype.kind in "biufc" else x for x in leaves]

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        return [self.host(y) for y in self.flat(*self.natives(leaves))]

    def of_outputs(self, outputs: Sequence[int]) -> Subject:
        def flat(*leaves: Any) -> tuple:
            return tuple(y for i, y in enumerate(self.flat(*leaves)) if i in outputs)

        return self.like(self.name, flat, self.leaves, self.names).only(self.places)

    def at_places(self, leaves: Sequence[Any]) -> Callable:
        """The function of the floating leaves alone."""

        def f(*floats: Any) -> tuple:
            full = list(leaves)
            for i, x in zip(self.places, floats, strict=True):
                full[i] = x
            return self.flat(*full)

        return f

    def pulled(self, cts: Arrays) -> Subject:
        return self._derived(f"the gradient of {self.name}", self.pull_native, cts, "cotangent")

    def pushed(self, tangents: Arrays) -> Subject:
        return self._derived(f"the tangent of {self.name}", self.push_native, tangents, "tangent")

    def _derived(self, name: str, run: Callable, directions: Arrays, kind: str) -> Subject:
        """A derivative, as a function of directions and leaves."""
        count = len(directions)

        def flat(*both: Any) -> tuple:
            return tuple(run(both[count:], both[:count]))

        names = [f"{kind} {n}" for n in range(count)] + self.names
        found = self.like(name, flat, [*directions, *self.leaves], names)
        return found.only([*range(count), *(count + i for i in self.places)])

    def pull_native(self, leaves: Sequence[Any], cts: Sequence[Any]) -> Sequence[Any]:
        """Cotangents of the places, from those of the outputs, all of the library."""
        raise NotImplementedError

    def push_native(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> Sequence[Any]:
        """Tangents of the outputs, from those of the places, all of the library."""
        raise NotImplementedError

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        found = self.pull_native(self.natives(leaves), self.natives(cts))
        return [self.host(x) for x in found]

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        found = self.push_native(self.natives(leaves), self.natives(tangents))
        return [self.host(y) for y in found]
