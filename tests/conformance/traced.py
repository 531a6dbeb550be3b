"""The package as a namespace in which every floating-point or complex input is traced.

Each function, method and operator runs inside of `vjp`, whose cotangents are then pulled back, or
of `jvp`; what comes out is what the conformance suite looks at. `MODE` is in the environment
variable METAGRAD_TRACED: "vjp" (the default) or "jvp".
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core.ops.methods import COMPARISONS, OPERATORS, _become
from autograd_core.tensor import INEXACT, alias

MODE = os.environ.get("METAGRAD_TRACED", "vjp")
UNWRAPPED = {"asarray", "from_dlpack", "finfo", "iinfo", "isdtype", "can_cast", "result_type"}
"""They compute nothing of numbers; `asarray` is how the suite makes its inputs."""
METHODS = (
    *(f"__{prefix}{name}__" for name in OPERATORS for prefix in ("", "r")),
    *(f"__{name}__" for name in COMPARISONS),
    *("__neg__", "__pos__", "__abs__", "__invert__", "__getitem__"),
)
CHANGES = ("__setitem__", *(f"__i{name}__" for name in OPERATORS))

_depth = 0
"""Of wrapped functions: what one of them calls is traced as it is."""


@contextmanager
def _inside() -> Iterator[None]:
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def is_traceable(x: Any) -> bool:
    return x.__class__ is ac.Tensor and x.dtype.kind in INEXACT


def traced(f: Callable) -> Callable:
    """A function whose floating-point tensors are traced while it runs."""

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves: list[ac.Tensor] = []
        shape = _taken_apart((args, kwargs), leaves)
        if _depth or not leaves:
            return f(*args, **kwargs)

        def of_floats(*floats: Any) -> tuple:
            args, kwargs = _put_together(shape, list(floats))
            out = f(*args, **kwargs)
            found: list[ac.Tensor] = []
            _taken_apart(out, found)
            return tuple(found), out

        with _inside(), np.errstate(all="ignore"):
            return _through(of_floats, leaves)

    return call


def _through(f: Callable, leaves: list[ac.Tensor]) -> Any:
    """The result of a function, whose derivative is asked for too."""
    if MODE == "jvp":
        outs, tangents, result = ac.jvp(f, leaves, [ac.ones_like(x) for x in leaves], has_aux=True)
        _require_like(tangents, outs)
        return result
    outs, pull, result = ac.vjp(f, *leaves, has_aux=True)
    _require_like(pull(tuple(ac.ones_like(y) for y in outs)), leaves)
    return result


def _require_like(found: Any, likes: Any) -> None:
    for a, b in zip(found, likes, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"a derivative {a!r} of {b!r}"


def _taken_apart(tree: Any, leaves: list[ac.Tensor]) -> Any:
    """A tree with numbers in the place of tensors that can be traced, which are gathered."""
    if is_traceable(tree):
        leaves.append(tree)
        return _Place(len(leaves) - 1)
    if isinstance(tree, dict):
        return {key: _taken_apart(value, leaves) for key, value in tree.items()}
    if tree.__class__ in (tuple, list):
        return tree.__class__([_taken_apart(x, leaves) for x in tree])
    if isinstance(tree, tuple):  # a named one
        return tuple(_taken_apart(x, leaves) for x in tree)
    return tree


class _Place(int):
    """The place of a tensor among those that are traced."""


def _put_together(shape: Any, leaves: list[Any]) -> Any:
    if shape.__class__ is _Place:
        return leaves[shape]
    if isinstance(shape, dict):
        return {key: _put_together(value, leaves) for key, value in shape.items()}
    if shape.__class__ in (tuple, list):
        return shape.__class__([_put_together(x, leaves) for x in shape])
    return shape


def _changing(method: Callable) -> Callable:
    """A method that gives its object another value: traced as a function of the value before."""

    @functools.wraps(method)
    def call(self: Any, *args: Any) -> Any:
        if _depth:
            return method(self, *args)

        def changed(x: Any, *args: Any) -> Any:
            y = alias(x)
            method(y, *args)
            return y

        _become(self, traced(changed)(alias(self), *args))
        return self if method.__name__ != "_setitem" else None

    return call


def _wrapped(space: Any, name: str) -> types.ModuleType:
    """A module like another one, its functions traced."""
    module = types.ModuleType(name)
    for key, value in vars(space).items():
        is_plain = (
            key in UNWRAPPED or key.startswith("__") or not isinstance(value, types.FunctionType)
        )
        setattr(module, key, value if is_plain else traced(value))
    module.__array_namespace_info__ = ac.__array_namespace_info__  # type: ignore[attr-defined]
    module.__array_api_version__ = ac.__array_api_version__  # type: ignore[attr-defined]
    return module


def namespace() -> types.ModuleType:
    """The namespace; the methods of tensors are traced from now on too."""
    xp = _wrapped(ac, "autograd_core_traced")
    for extension in ("linalg", "fft"):
        if hasattr(ac, extension):
            setattr(xp, extension, _wrapped(getattr(ac, extension), extension))
    for name in METHODS:
        setattr(ac.Tensor, name, traced(getattr(ac.Tensor, name)))
    for name in CHANGES:
        setattr(ac.Tensor, name, _changing(getattr(ac.Tensor, name)))
    return xp
