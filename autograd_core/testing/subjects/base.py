"""`Subject`: a function of any library, as a function of NumPy arrays."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.tensor import INEXACT
from autograd_core.tree import tree_unflatten

Arrays = Sequence[np.ndarray]


class Unavailable(Exception):
    """A mode or an order that the function does not have; the message says why."""


REAL_PART, IMAGINARY_PART = ", real part", ", imaginary part"


def in_parts(
    leaves: Arrays, names: Sequence[str]
) -> tuple[list[np.ndarray], list[str], list[bool]]:
    """Leaves with complex ones as two, their names, and which of them were complex."""
    found: list[np.ndarray] = []
    named: list[str] = []
    for x, name in zip(leaves, names, strict=True):
        if x.dtype.kind == "c":
            found += [np.array(x.real), np.array(x.imag)]
            named += [name + REAL_PART, name + IMAGINARY_PART]
        else:
            found.append(x)
            named.append(name)
    return found, named, [x.dtype.kind == "c" for x in leaves]


def joined(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x + iy, laid out in memory as x is."""
    x, y = np.asarray(x), np.asarray(y)
    whole = np.empty_like(x, np.result_type(x.dtype, y.dtype, np.complex64))
    whole.real, whole.imag = x, y
    return whole


def wholes(leaves: Sequence[Any], is_complex: Sequence[bool], join: Callable) -> list[Any]:
    """Leaves, of which complex ones are given as two."""
    if not any(is_complex):
        return list(leaves)
    left = iter(leaves)
    return [_joined(next(left), next(left), join) if c else next(left) for c in is_complex]


def _joined(x: Any, y: Any, join: Callable) -> Any:
    if x.shape != y.shape:
        raise ValueError(f"parts of shapes {x.shape} and {y.shape} make no complex array")
    return join(x, y)


class Subject:
    """A function of arrays, `leaves`, of which those at `places` are floating point. Functions of
    complex numbers are looked at as functions of their real and imaginary parts, so that nothing
    else has to know of them.

    Attributes:
        leaves: the arguments' arrays.
        names: of the leaves, for messages.
        places: which leaves are differentiated.
        name: of the function.
        library: whose it is.
    """

    library = "numpy"
    has_layouts = True
    """Whether its arrays can be laid out in several ways in memory."""
    is_nested = False
    """Whether its arguments are more than the leaves, one by one."""

    structure: Any = None
    """Of the arguments, as trees of the leaves."""
    is_complex: Sequence[bool] = ()
    """Which leaves of the arguments are complex: each is two here, its real and imaginary parts."""
    complex_outputs: Sequence[bool] = ()
    """Which of the outputs are, once there are some."""

    def __init__(self, name: str, leaves: Arrays, names: Sequence[str]):
        self.name, self.leaves, self.names = name, list(leaves), list(names)
        self.objects: dict[int, Any] = {}
        self.places = [i for i, x in enumerate(self.leaves) if x.dtype.kind == "f"]

    @property
    def spelled(self) -> str:
        """What `check_grads` was given."""
        return self.name

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        """The floating-point outputs."""
        raise NotImplementedError

    def numeric_values(self, leaves: Arrays) -> list[np.ndarray]:
        """The same, in whatever way is fastest: for differences, which ask for many."""
        return self.values(leaves)

    def complex_values(self, leaves: Arrays) -> Sequence[Any]:
        """The outputs for complex arguments, for functions of NumPy's arrays."""
        raise NotImplementedError

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        """For each place, the cotangent; raises Unavailable."""
        raise NotImplementedError

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        """For each output, the tangent; raises Unavailable."""
        raise NotImplementedError

    def pulled(self, cts: Arrays) -> Subject:
        """What pulls back, as a function of cotangents and leaves; raises Unavailable."""
        raise NotImplementedError

    def pushed(self, tangents: Arrays) -> Subject:
        """What pushes forward, as a function of tangents and leaves; raises Unavailable."""
        raise NotImplementedError

    def only(self, places: Sequence[int]) -> Subject:
        """The same function, differentiated with respect to some of its leaves alone."""
        other = copy.copy(self)
        other.places = list(places)
        return other

    def of_outputs(self, outputs: Sequence[int]) -> Subject:
        """The function that has some of the outputs alone."""
        raise NotImplementedError

    def at(self, leaves: Arrays) -> Subject:
        """The same function at other arguments."""
        other = copy.copy(self)
        other.leaves = list(leaves)
        return other

    def typed(self, x: np.ndarray) -> str:
        """A leaf as the library's argument can be typed."""
        return typed(x)

    def keep_objects(self, leaves: Sequence[Any]) -> None:
        """What is no array is given to the function as it is: counts, flags, names."""
        self.objects = {
            i: x
            for i, x in enumerate(leaves)
            if not isinstance(x, float | complex) and not hasattr(x, "shape")
        }

    def rebuilt(self, leaves: Sequence[Any], join: Callable | None = None) -> tuple:
        """The arguments, of these leaves: arrays of the library, unless others are joined."""
        found = self.wholes(leaves, join or self.joined)
        full = [self.objects.get(i, x) for i, x in enumerate(found)]
        return tuple(tree_unflatten(self.structure, full))

    def wholes(self, leaves: Sequence[Any], join: Callable = joined) -> list[Any]:
        """The leaves, complex ones of their parts."""
        return wholes(leaves, self.is_complex, join)

    @staticmethod
    def joined(x: Any, y: Any) -> Any:
        """x + iy, of the library's arrays."""
        return joined(x, y)

    def conjugated(self, cts: Arrays) -> list[np.ndarray]:
        """Conjugates of the cotangents of the outputs."""
        signs = [s for c in self.complex_outputs for s in ((1, -1) if c else (1,))]
        return [np.asarray(s * g, g.dtype) for s, g in zip(signs, cts, strict=True)]

    def shown(self, leaves: Arrays) -> list[np.ndarray]:
        """What is differentiated, as somebody gave it."""
        if not any(self.is_complex):
            return [leaves[i] for i in self.places]
        return [x for x in self.wholes(leaves) if x.dtype.kind in INEXACT]

    @property
    def floats(self) -> list[np.ndarray]:
        """The leaves that are differentiated."""
        return [self.leaves[i] for i in self.places]

    def filled(self, floats: Arrays) -> list[np.ndarray]:
        """All leaves, with others at the places."""
        leaves = list(self.leaves)
        for i, x in zip(self.places, floats, strict=True):
            leaves[i] = x
        return leaves


class Mismatch(Exception):
    """A derivative of the wrong structure; the message says how."""


def named(path: str) -> str:
    """`[0]` is argument 0, `[1]['w']` is argument 1['w']."""
    first, _, rest = path.removeprefix("[").partition("]")
    return f"argument {first}{rest}"


def name_of(f: Any) -> str:
    """What a function is called, a class's method with its class."""
    f = f[0] if isinstance(f, tuple | list) else f
    f = f.func if isinstance(f, functools.partial) else f
    name = getattr(f, "__name__", None) or type(f).__name__
    owner = getattr(f, "__self__", None)
    return f"{owner.__name__}.{name}" if isinstance(owner, type) else name


def typed(x: np.ndarray) -> str:
    """An array as it can be typed, and is the same array again."""
    if not x.size:
        return f"np.zeros({x.shape}, np.{x.dtype})"
    entries = str(x.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
    is_default = x.dtype in (np.float64, np.complex128, np.int64, np.bool_)
    return f"np.array({entries})" if is_default else f"np.array({entries}, np.{x.dtype})"


def loaded(library: str) -> Any:
    """A library, if somebody has imported it."""
    return sys.modules.get(library)


def is_of(x: Any, library: str) -> bool:
    return type(x).__module__.partition(".")[0] == library
