"""What a function reads from outside, watched for change.

A captured function keeps what it read of globals, closures and attributes when it was captured. So
before each call it is checked that the same names still mean the same objects.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from autograd_core.tensor import Tensor
from autograd_core.tree import tree_leaves

OURS = ("autograd_core", "kernels", "numpy", "builtins")
"""Packages whose functions do not change."""
CONTAINERS = (list, dict, tuple)
MOST = 1000
"""Names that are watched, at most: beyond, attributes of further objects are not."""
UNWATCHED = (types.ModuleType, type, types.BuiltinFunctionType)


class Seen(NamedTuple):
    """A name, and what it meant."""

    find: Callable[[str], Any]
    name: str
    meant: Any
    inside: tuple | None  # of a tensor, or the leaves of a container

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        now = self.find(self.name)
        if now is not self.meant:
            return True
        found = _inside(now)
        if self.inside is None or found is None:
            return found is not self.inside
        return len(found) != len(self.inside) or any(
            x is not y for x, y in zip(found, self.inside, strict=True)
        )


class Watch:
    """All that a function reads from outside, as far as its code tells.

    Args:
        function: the function.
        ignored: names that are not watched.
    """

    def __init__(self, function: Callable, ignored: frozenset[str] = frozenset()):
        self._seen: list[Seen] = []
        self._ignored = ignored
        self._known: set[int] = set()
        self._function(function)

    def changed(self) -> str | None:
        """The first name that means something else than before."""
        for seen in self._seen:
            if seen.changed:
                return seen.name
        return None

    def all_changed(self) -> frozenset[str]:
        """All names that mean something else than before."""
        return frozenset(seen.name for seen in self._seen if seen.changed)

    def _function(self, f: Any) -> None:
        if id(f) in self._known:
            return
        self._known.add(id(f))
        if isinstance(f, functools.partial):
            for x in (f.func, *f.args, *f.keywords.values()):
                self._function(x)
        elif isinstance(f, types.MethodType):
            self._attributes(f.__self__, f.__func__)
            self._function(f.__func__)
        elif isinstance(f, types.FunctionType):
            if f.__module__.partition(".")[0] not in OURS:
                self._names(f)
        elif callable(getattr(f, "__wrapped__", None)):
            self._function(f.__wrapped__)
        elif callable(f) and isinstance(type(f).__call__, types.FunctionType):
            self._attributes(f, type(f).__call__)
            self._function(type(f).__call__)

    def _names(self, f: types.FunctionType) -> None:
        for name in _names_of(f.__code__):
            if name in f.__globals__:
                self._note(f.__globals__.get, name, f.__globals__[name])
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            find = _reader(cell)
            self._note(find, name, find(name))

    def _attributes(self, instance: Any, f: Any) -> None:
        attributes: Mapping = getattr(instance, "__dict__", {})
        if not isinstance(f, types.FunctionType):
            return
        for name in _names_of(f.__code__):
            if name in attributes:
                self._note(attributes.get, name, attributes[name])

    def _note(self, find: Callable[[str], Any], name: str, meant: Any) -> None:
        if isinstance(meant, UNWATCHED) or name.startswith("__") or name in self._ignored:
            return
        self._seen.append(Seen(find, name, meant, _inside(meant)))
        if callable(meant):
            self._function(meant)
        for x in _objects(meant):
            self._object(x)

    def _object(self, instance: Any) -> None:
        """Everything that an object of a user's class holds."""
        if id(instance) in self._known or len(self._seen) > MOST:
            return
        self._known.add(id(instance))
        for name, value in list(vars(instance).items()):
            self._note(vars(instance).get, name, value)


def _objects(x: Any) -> list:
    """x, or what it contains, where that is an object of a user's class."""
    if isinstance(x, (list, tuple)):
        found: Any = x
    else:
        found = x.values() if isinstance(x, dict) else [x]
    return [
        y
        for y in found
        if isinstance(getattr(y, "__dict__", None), dict)
        and not callable(y)
        and type(y).__module__.partition(".")[0] not in OURS
    ]


def _names_of(code: types.CodeType) -> Iterator[str]:
    """The names that a function reads, and functions inside of it do."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)


def _reader(cell: types.CellType) -> Callable[[str], Any]:
    def read(_name: str) -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not assigned yet
            return None

    return read


def _inside(x: Any) -> tuple | None:
    """What may change inside an object that stays the same."""
    if x.__class__ is Tensor:
        return (x.value,)
    if isinstance(x, CONTAINERS):
        try:
            leaves = tree_leaves(x)
        except Exception:  # a container that is none of ours
            return None
        return tuple(y.value if y.__class__ is Tensor else y for y in leaves)
    return None
