"""NumPy functions beside derivatives written by hand."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.tensor import INEXACT
from autograd_core.testing.subjects.base import (
    Arrays,
    Mismatch,
    Subject,
    Unavailable,
    in_parts,
    joined,
    name_of,
    wholes,
)
from autograd_core.tree import tree_flatten, tree_unflatten

__tracebackhide__ = True  # pytest shows the user's lines


class Pair(Subject):
    """A NumPy function beside its derivative, both written by hand.

    `(f, vjp)` or `(f, vjp, jvp)`, where `vjp(g, *args)` gives the cotangents of all arguments (of
    a single one, itself), and `jvp(args, tangents)` the tangent of the output. Also taken are
    `(f, grad)` with `grad(*args)`, for functions with one number as their result, and
    `(f, f_vjp)` with `f_vjp(*args)` returning the output and the function that pulls back. A vjp
    may be a pair itself, `(vjp, vjp_of_it)`, as a function of g and the arguments: then second
    derivatives are checked too.

    Cotangents of complex numbers are those of this package and JAX: g and a tangent t meet in
    Re(Σ g t), so that the gradient in x + iy is ∂f/∂x - i ∂f/∂y.
    """

    def __init__(self, pair: Any, leaves: Arrays, names: Any, structure: Any, kwargs: dict):
        self.second = None
        if len(pair) > 1 and isinstance(pair[1], tuple | list):
            self.second = pair[1]
            pair = (pair[0], pair[1][0], *pair[2:])
        if not 2 <= len(pair) <= 3 or not all(callable(f) or f is None for f in pair):
            raise TypeError(
                f"check_grads: expected a function, or (f, vjp) or (f, vjp, jvp), got {pair!r}"
            )
        self.f, self.vjp, self.jvp = (*pair, None)[:3]
        self.kwargs, self.output = kwargs, None
        arrays = [np.asarray(x) for x in leaves]
        self.is_float = [x.dtype.kind in INEXACT for x in arrays]
        self.given_names = list(names)
        parts, names, is_complex = in_parts(arrays, names)
        super().__init__(name_of(pair), parts, names)
        self.structure, self.is_complex = structure, is_complex
        self.keep_objects(leaves)

    @property
    def spelled(self) -> str:
        """The functions, by name."""
        vjp = (self.vjp, self.second[1]) if self.second else self.vjp
        functions = (self.f, vjp, self.jvp) if self.jvp else (self.f, vjp)
        return _spelled(functions)

    def values(self, leaves: Arrays) -> list[np.ndarray]:
        found = self.f(*self.rebuilt(leaves), **self.kwargs)
        self.output = tree_flatten(found)[1] if isinstance(found, dict | list) else None
        self.complex_outputs = [y.dtype.kind == "c" for y in inexact(found)]
        return floating(found)

    def complex_values(self, leaves: Arrays) -> list[Any]:
        """The outputs for complex arguments, as they are."""
        if any(self.is_complex) or any(self.complex_outputs):
            raise Unavailable("a step in the imaginary direction is a step like any other")
        return tree_flatten(self.f(*self.rebuilt(leaves), **self.kwargs))[0]

    def pull(self, leaves: Arrays, cts: Arrays) -> list[Any]:
        if self.vjp is None:
            raise Unavailable("the pair has no vjp")
        args, ct = self.rebuilt(leaves), self._cotangent(cts)
        if self._takes_cotangent(len(args)):
            found = self.vjp(ct, *args, **self.kwargs)
        else:
            found = self.vjp(*args, **self.kwargs)
            if isinstance(found, tuple) and len(found) == 2 and callable(found[1]):
                found = found[1](ct)
            else:
                found = scaled(found, cts)
        return self._by_place(found, args)

    def _cotangent(self, cts: Arrays) -> Any:
        """A list or dictionary where the output is one, of floating-point arrays; else a tuple, or
        the only array."""
        cts = wholes(cts, self.complex_outputs, lambda x, y: joined(x, -y))
        if self.output is not None and self.output.num_leaves == len(cts):
            return tree_unflatten(self.output, list(cts))
        return cts[0] if len(cts) == 1 else tuple(cts)

    def _takes_cotangent(self, arity: int) -> bool:
        try:
            inspect.signature(self.vjp).bind(*range(arity + 1), **self.kwargs)
        except TypeError:
            return False
        except ValueError:  # a built-in function that does not say
            return True
        return True

    def _by_place(self, found: Any, args: Sequence[Any]) -> list[Any]:
        arity = len(args)
        given = found if isinstance(found, tuple | list) and arity > 1 else (found,)
        if isinstance(found, tuple | list) and arity == 1 and len(found) == 1:
            given = found
        if len(given) == sum(self.is_float) != arity:  # of the floating ones only
            is_complex = [c for c, f in zip(self.is_complex, self.is_float, strict=True) if f]
            return parts_of_cotangents(given, is_complex)
        if len(given) != arity:
            raise Mismatch(f"{len(given)} cotangents for {arity} arguments")
        spread: list[Any] = []
        if arity == 1 and isinstance(found, tuple) and len(found) > 1 and not self.is_nested:
            raise Mismatch(f"{len(found)} cotangents for 1 argument")
        for each, child, arg in zip(given, self.structure.children(), args, strict=True):
            if isinstance(each, dict) and isinstance(arg, dict) and each.keys() != arg.keys():
                raise Mismatch(f"keys are {sorted(each)}, those of the argument {sorted(arg)}")
            is_tree = isinstance(each, dict | list | tuple)
            parts = tree_flatten(each)[0] if is_tree else [each]
            spread += parts if len(parts) == child.num_leaves else [None] * child.num_leaves
        cotangents = parts_of_cotangents(spread, self.is_complex)
        return [cotangents[i] for i in self.places]

    def push(self, leaves: Arrays, tangents: Arrays) -> list[np.ndarray]:
        if self.jvp is None:
            raise Unavailable("the pair has no jvp")
        full = [np.zeros_like(x) for x in leaves]
        for i, t in zip(self.places, tangents, strict=True):
            full[i] = t
        args, ts = self.rebuilt(leaves), self.rebuilt(full)
        found = self.jvp(args, ts, **self.kwargs)
        return floating(found)

    def pulled(self, cts: Arrays) -> Subject:
        if self.second is None:
            raise Unavailable("the vjp has no vjp of its own: give (f, (vjp, vjp_of_it))")
        args, ct = self.rebuilt(self.leaves), self._cotangent(cts)
        leaves, structure = tree_flatten((ct, *args))
        count = len(tree_flatten(ct)[0])
        names = [f"cotangent {n}" for n in range(count)] + self.given_names
        found = Pair(self.second, leaves, names, structure, self.kwargs)
        found.name = f"the gradient of {self.name}"
        return found

    def pushed(self, tangents: Arrays) -> Subject:
        raise Unavailable("the jvp of a pair has no derivative of its own")


def _spelled(f: Any) -> str:
    if isinstance(f, tuple | list):
        return f"({', '.join(map(_spelled, f))})"
    return "None" if f is None else name_of(f)


def inexact(found: Any) -> list[np.ndarray]:
    """The floating-point and complex leaves of a result."""
    arrays = [np.asarray(x) for x in tree_flatten(found)[0]]
    return [x for x in arrays if x.dtype.kind in INEXACT]


def floating(found: Any) -> list[np.ndarray]:
    """The floating-point leaves of a result, and the parts of complex ones."""
    pairs = ((x.real, x.imag) if x.dtype.kind == "c" else (x,) for x in inexact(found))
    return [part for parts in pairs for part in parts]


def parts_of_cotangents(cotangents: Sequence[Any], is_complex: Sequence[bool]) -> list[Any]:
    """Cotangents of the parts: Re(g (s + it)) = Re(g) s - Im(g) t."""
    found: list[Any] = []
    for g, c in zip(cotangents, is_complex, strict=True):
        found += [g] if not c else [None, None] if g is None else [np.real(g), -np.imag(g)]
    return found


def scaled(gradient: Any, cts: Arrays) -> Any:
    """A gradient of one number, times its cotangent."""
    if len(cts) != 1 or cts[0].size != 1:
        raise TypeError(
            "check_grads: (f, grad) with grad(*args) is for functions with one number as their "
            "result; give vjp(g, *args)"
        )
    (number,) = cts[0].reshape(-1)
    if isinstance(gradient, tuple | list):
        return tuple(np.asarray(x) * number for x in gradient)
    return np.asarray(gradient) * number
