"""What a function reads from outside, watched for change.

A captured function keeps what it read of globals, closures, attributes and defaults when it was
captured. So before each call it is checked that the same names still mean the same objects. Which
names those are, its code tells, and that of the functions and methods that it calls: attributes
that none of them names are not watched.
"""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from autograd_core.tensor import Tensor
from autograd_core.tree import tree_leaves

OURS = ("autograd_core", "kernels", "numpy", "optree", "builtins")
LIBRARIES = (*OURS, *sys.stdlib_module_names)
"""Packages that do not change."""
TREES = (list, dict, tuple)
BAGS = (set, frozenset, deque)
PLAIN = frozenset({int, bool, str, bytes})
"""What is the same if it is equal."""
MOST = 20_000
"""Names that are watched, at most: beyond, attributes of further objects are not."""
UNWATCHED = (type, types.ModuleType, types.BuiltinFunctionType, property, classmethod, staticmethod)
Key = tuple[int, str]
Written = frozenset[tuple[Key, int | None]]


class Seen(NamedTuple):
    """A name, and what it meant.

    Attributes:
        key: whose name it is, and the name.
        find: what the name means now.
        inside: of a tensor its array, of a container what it holds.
        written: what of that the function itself changes, by position.
    """

    key: Key
    find: Callable[[str], Any]
    meant: Any
    inside: tuple | None
    written: frozenset[int | None]

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        now = self.find(self.key[1])
        if now is not self.meant and not _equal(now, self.meant):
            return True
        found = inside(now)
        if found is None or self.inside is None:
            return found is not self.inside
        if len(found) != len(self.inside):
            return True
        for n, (x, y) in enumerate(zip(found, self.inside, strict=True)):
            if x is not y and not _equal(x, y) and n not in self.written:
                return True
        return False

    def differences(self) -> Iterator[int | None]:
        """The positions of what means something else now; None where that is all."""
        now = self.find(self.key[1])
        found = inside(now)
        if now is not self.meant or found is None or self.inside is None:
            if now is not self.meant or found is not self.inside:
                yield None
        elif len(found) != len(self.inside):
            yield None
        else:
            pairs = zip(found, self.inside, strict=True)
            yield from (n for n, (x, y) in enumerate(pairs) if x is not y)


class Watch:
    """All that functions read from outside, as far as their code tells.

    Args:
        functions: functions, or objects that are called.
        written: what they themselves change, which is not watched.
    """

    def __init__(self, functions: Iterable[Any], written: Written = frozenset()):
        self._seen: dict[Key, Seen] = {}
        self._written: dict[Key, set[int | None]] = {}
        for key, place in written:
            self._written.setdefault(key, set()).add(place)
        self._names: set[str] = set()  # that any function reads
        self._known: dict[int, Any] = {}  # by identity, which is not taken again meanwhile
        self._objects: list[Any] = []  # of users' classes, and these classes
        for f in functions:
            self._value(f)
        size = -1
        while size < (size := len(self._names) + len(self._objects)):
            for x in list(self._objects):  # whose attributes lead to more of both
                self._attributes(x)
        self._known, self._objects = {}, []  # nothing is kept alive for being watched

    def changed(self) -> str | None:
        """The first name that means something else than before."""
        for seen in self._seen.values():
            if seen.changed:
                return seen.key[1]
        return None

    def all_changed(self) -> Written:
        """All that means something else than before."""
        return frozenset((s.key, place) for s in self._seen.values() for place in s.differences())

    def values(self) -> Iterator[tuple[str, Any]]:
        """Names, and what they meant, or what that held."""
        for seen in self._seen.values():
            held = inside(seen.meant, whole=True) if isinstance(seen.meant, TREES + BAGS) else None
            yield from ((seen.key[1], x) for x in ([seen.meant] if held is None else held))

    def leaks(self) -> Iterator[str]:
        """Names that mean values of transforms that have ended."""
        for name, x in self.values():
            if x.__class__ is Tensor and x.trace is not None and not x.trace.live:
                yield name

    # What is watched --------------------------------------------------------------------------

    def _note(self, owner: Any, find: Callable[[str], Any], name: str) -> None:
        key = id(owner), name
        if key in self._seen or len(self._seen) > MOST:
            return
        meant = find(name)
        if isinstance(meant, UNWATCHED):
            return
        written = self._written.get(key, set())
        if None not in written:
            self._known.setdefault(id(owner), owner)
            self._seen[key] = Seen(key, find, meant, inside(meant), frozenset(written))
        self._value(meant)

    def _value(self, x: Any) -> None:
        """What a value reads or holds."""
        held = inside(x, whole=True) if isinstance(x, TREES + BAGS) else None
        for y in (x,) if held is None else held:
            if id(y) in self._known or isinstance(y, UNWATCHED):
                continue
            if isinstance(y, FUNCTIONS) or callable(y) or _is_users(y):
                self._known[id(y)] = y
                self._thing(y)

    def _thing(self, x: Any) -> None:
        if isinstance(x, functools.partial):
            for n, y in enumerate((x.func, *x.args, *x.keywords.values())):
                self._note(x, _always(y), f"argument {n} of a partial function")
        elif isinstance(x, types.MethodType):
            self._value(x.__func__)
            self._value(x.__self__)
        elif isinstance(x, types.FunctionType):
            if not _is_library(x.__module__):
                self._function(x)
        elif callable(getattr(x, "__wrapped__", None)):
            self._value(x.__wrapped__)
        elif _is_users(x):
            self._objects.append(x)
            self._class(type(x))
            if callable(x):
                self._names.add("__call__")

    def _function(self, f: types.FunctionType) -> None:
        """Globals, closures, defaults, and what is read of modules and classes among them."""
        names = set(_names_of(f.__code__))
        self._names |= names
        for name in names & f.__globals__.keys():
            self._note(f.__globals__, f.__globals__.get, name)
            self._namespace(f.__globals__[name], names)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            find = _reader(cell)
            self._note(cell, find, name)
            self._namespace(find(name), names)
        for n, value in enumerate((*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values())):
            self._note(f, _always(value), f"default {n} of {f.__name__}")

    def _namespace(self, x: Any, names: set[str]) -> None:
        """What is read of a module, or of a user's class."""
        if isinstance(x, type):
            self._class(x)
        elif isinstance(x, types.ModuleType) and not _is_library(x.__name__):
            for name in names & vars(x).keys():
                self._note(x, vars(x).get, name)

    def _class(self, cls: type) -> None:
        for each in cls.__mro__:
            if id(each) not in self._known and not _is_library(each.__module__):
                self._known[id(each)] = each
                self._objects.append(each)

    def _attributes(self, x: Any) -> None:
        """What is read of an object, or of a class."""
        held = vars(x) if hasattr(x, "__dict__") else {}
        if isinstance(x, type):
            for name in list(self._names & held.keys()):
                value = held[name]
                self._value(getattr(value, "fget", getattr(value, "__func__", value)))
                self._note(x, held.get, name)
            return
        find = _attribute_of(x)
        for name in list(self._names):
            # One that is not there may come to hide one of the class.
            hides = hasattr(x, "__dict__") and _is_data(type(x), name)
            if name in held or hides or _is_slot(type(x), name):
                self._note(x, find, name)


FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


def inside(x: Any, whole: bool = False) -> tuple | None:
    """What may change inside an object that stays the same: the array of a tensor, and what a
    container holds, of tensors their arrays unless `whole`."""
    if x.__class__ is Tensor:
        return (x.value,)
    if isinstance(x, BAGS):
        return tuple(x)
    if isinstance(x, TREES):
        try:
            leaves = tree_leaves(x)
        except Exception:  # a container that is none of ours
            return None
        return tuple(y.value if y.__class__ is Tensor and not whole else y for y in leaves)
    return None


def _equal(x: Any, y: Any) -> bool:
    """Whether two plain values are the same, 0.0 and -0.0 not."""
    if x.__class__ is not y.__class__:
        return False
    if x.__class__ is float:
        return x == y and x != 0.0
    return x.__class__ in PLAIN and x == y


def _of_class(cls: type, name: str) -> Any:
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)


def _is_data(cls: type, name: str) -> bool:
    found = _of_class(cls, name)
    return found is not None and not callable(found) and not hasattr(type(found), "__get__")


def _is_slot(cls: type, name: str) -> bool:
    return isinstance(_of_class(cls, name), types.MemberDescriptorType)


def _attribute_of(x: Any) -> Callable[[str], Any]:
    """What reads an attribute of x, and keeps x alive only where it must."""
    try:
        ref = weakref.ref(x)
    except TypeError:
        return lambda name: getattr(x, name, None)
    return lambda name: getattr(ref(), name, None)


@functools.cache
def _is_library(module: str | None) -> bool:
    if module is None or module == "__main__":
        return False
    if module.partition(".")[0] in LIBRARIES:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _is_users(x: Any) -> bool:
    """Whether x is an object of a user's class, with attributes."""
    cls = type(x)
    if isinstance(x, (type, types.ModuleType)) or cls.__module__.partition(".")[0] in OURS:
        return False
    return hasattr(x, "__dict__") or hasattr(cls, "__slots__")


def _names_of(code: types.CodeType) -> Iterator[str]:
    """The names that a function reads, as text too (`getattr(x, "name")`), and functions inside of
    it do."""
    yield from (name for name in code.co_names if not name.startswith("__"))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)
        elif isinstance(constant, str) and constant.isidentifier():
            yield constant


def _always(x: Any) -> Callable[[str], Any]:
    return lambda _name: x


def _reader(cell: types.CellType) -> Callable[[str], Any]:
    def read(_name: str) -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not assigned yet
            return None

    return read
