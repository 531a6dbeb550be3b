"""What a function reads from outside, watched for change.

A captured function keeps what it read of globals, closures, attributes and defaults when it was
captured. So before each call it is checked that the same names still mean the same. Which names
those are, its bytecode tells, and that of the functions and methods that it calls.
"""

from __future__ import annotations

import array
import builtins
import collections
import dis
import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from autograd_core.tensor import Tensor
from autograd_core.tree import tree_flatten
from kernels.loops import exactly

OURS = ("autograd_core", "kernels", "numpy", "optree", "builtins")
LIBRARIES = (*OURS, *sys.stdlib_module_names)
"""Packages that do not change."""
PLAIN = frozenset({int, bool, str, bytes})
"""What is the same if it is equal."""
UNCHANGING = PLAIN | {float, complex, type(None)}
"""What nobody can change, so that a tuple of these is the same as long as it is that tuple."""
MOST = 20_000
"""Names that are watched, at most."""
UNWATCHED = (
    *(type, types.ModuleType, property, classmethod, staticmethod),
    *(types.BuiltinFunctionType, types.MethodWrapperType),  # the latter is another at each look
)
NO_READERS = {"__init__", "__new__", "__repr__", "__str__", "__del__", "__reduce__", "__setattr__"}
"""Special methods that only make or show objects; the others may be called without being named."""
MISSING = object()
Find = Callable[[], Any]
"""What tells what a name means now."""
Key = tuple[int, str]
Written = frozenset[tuple[Key, int | None]]


# What code reads ------------------------------------------------------------------------------


class Reads(NamedTuple):
    """What a function's bytecode reads.

    Attributes:
        chains: a root ("global", "closure" or "local", and its name) and attributes of it in turn.
        loose: attributes of values that the code computes.
        imports: modules that it imports.
        asked: attributes that may not be there (`getattr`, `hasattr`).
        any: whether it may read attributes of any name (`vars(x)`, `getattr(x, f"w{i}")`).
    """

    chains: frozenset[tuple[tuple[str, str], tuple[str, ...]]]
    loose: frozenset[str]
    imports: frozenset[str]
    asked: frozenset[str]
    any: bool


@functools.lru_cache(maxsize=4096)
def reads_of(code: types.CodeType) -> Reads:
    """What a function's code reads, and the functions inside of it."""
    chains: set[tuple[tuple[str, str], tuple[str, ...]]] = set()
    loose, imports, strings, asked = set[str](), set[str](), set[str](), set[str]()
    formats = False
    root: tuple[str, str] | None = None
    attributes: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        name, value = step.opname, step.argval
        if name in ("LOAD_ATTR", "LOAD_METHOD"):
            if root is None:
                loose.add(value)
            else:
                attributes += (value,)
            continue
        if name in ("CACHE", "PUSH_NULL", "EXTENDED_ARG"):
            continue
        if root is not None:
            chains.add((root, attributes))
        root, attributes = None, ()
        if name in ("LOAD_GLOBAL", "LOAD_NAME"):
            root = "global", value
        elif "LOAD_FAST" in name:
            root = "local", value[-1] if isinstance(value, tuple) else value
        elif name in ("LOAD_DEREF", "LOAD_CLASSDEREF"):
            root = "closure", value
        elif name == "IMPORT_NAME":
            imports.add(value)
        elif name in ("IMPORT_FROM", "LOAD_SUPER_ATTR"):
            loose.add(value)
            imports |= {f"{x}.{value}" for x in imports} if name == "IMPORT_FROM" else set()
        formats |= name in ("BUILD_STRING", "FORMAT_VALUE", "FORMAT_SIMPLE")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = reads_of(constant)
            for base, found in inner.chains:
                if base[0] == "local":
                    loose.update(found)
                else:
                    chains.add((base, found))
            loose |= inner.loose
            imports |= inner.imports
            asked |= inner.asked
            formats |= inner.any
        elif isinstance(constant, str):
            strings.add(constant)
    names = {name for (kind, name), _ in chains if kind == "global"} | loose
    names |= {name for _, found in chains for name in found}
    if names & {"getattr", "hasattr"}:
        asked |= {x for x in strings if x.isidentifier()}
        loose |= asked
    anything = bool(names & {"vars", "asdict", "astuple", "__dict__"})
    anything |= "getattr" in names and formats
    loose_names, modules = frozenset(loose), frozenset(imports)
    return Reads(frozenset(chains), loose_names, modules, frozenset(asked), anything)


# What it meant --------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A name, and what it meant.

    Attributes:
        key: whose name it is, and the name.
        find: what the name means now.
        inside: of a tensor its array, of a container what it holds.
        written: what of that the function itself changes, by position.
    """

    key: Key
    find: Find
    meant: Any
    inside: tuple | None
    written: frozenset[int | None]

    @property
    def changed(self) -> bool:
        """Whether the name means something else now."""
        return next((True for n in self.differences() if n not in self.written), False)

    @property
    def is_identity(self) -> bool:
        """Whether the name means the same as long as it means the same object."""
        return self.inside is None or _is_unchanging(self.meant)

    def differences(self) -> Iterator[int | None]:
        """The positions of what means something else now; None where that is all."""
        now = self.find()
        found = inside(now)
        if found is None or self.inside is None:
            if found is not self.inside or not _same(now, self.meant):
                yield None
        elif len(found) != len(self.inside) or now.__class__ is not self.meant.__class__:
            yield None
        else:
            pairs = zip(found, self.inside, strict=True)
            yield from (n for n, (x, y) in enumerate(pairs) if not _same(x, y))


class Watch:
    """All that functions read from outside, as far as their code tells.

    Args:
        functions: functions, or objects that are called.
        written: what they themselves change, which is not watched.
    """

    def __init__(self, functions: Iterable[Any], written: Written = frozenset()):
        self._seen: dict[Key, Seen] = {}
        self._noted: set[Key] = set()  # once each: what is made anew at each look would never end
        self._written: dict[Key, set[int | None]] = {}
        for key, place in written:
            self._written.setdefault(key, set()).add(place)
        self._names: set[str] = set()  # of attributes, read of who knows what
        self._asked: set[str] = set()  # of those, what need not be there
        self._any = False
        self._known: dict[Any, Any] = {}  # by identity, which is not taken again meanwhile
        self._objects: list[Any] = []  # of users' classes, these classes, and modules
        for f in functions:
            self._value(f)
        size = -1
        while size < (size := len(self._names) + len(self._known)):
            for x in list(self._objects):  # whose attributes lead to more of both
                self._attributes(x)
        # Nothing is kept alive for being watched.
        self._known, self._objects, self._noted = {}, [], set()
        every = self._seen.values()
        # By far the most, and looked at before each call: as little as can be for each.
        self._identities = [(seen.find, seen.meant, seen) for seen in every if seen.is_identity]
        self._others = [seen for seen in every if not seen.is_identity]

    @property
    def full(self) -> bool:
        """Whether no more names can be watched."""
        return len(self._seen) >= MOST

    def changed(self) -> str | None:
        """A name that means something else than before."""
        for find, meant, seen in self._identities:
            if find() is not meant and seen.changed:
                return seen.key[1]
        for seen in self._others:
            if seen.changed:
                return seen.key[1]
        return None

    def all_changed(self) -> Written:
        """All that means something else than before."""
        return frozenset((s.key, place) for s in self._seen.values() for place in s.differences())

    def made(self) -> Written:
        """What was nothing before: weights that a function makes when it is first called, say."""
        return frozenset(
            (s.key, place)
            for s in self._seen.values()
            for place in s.differences()
            if s.meant is None
            or s.meant is MISSING
            or (isinstance(s.meant, dict) and place is None)
        )

    def values(self) -> Iterator[tuple[str, Any]]:
        """Names, and what they meant, or what that held."""
        for seen in self._seen.values():
            yield from ((seen.key[1], x) for x in held_by(seen.meant))

    def leaks(self) -> Iterator[str]:
        """Names that mean values of transforms that have ended."""
        for name, x in self.values():
            if x.__class__ is Tensor and x.interpreter is not None and not x.interpreter.live:
                yield name

    # What is watched --------------------------------------------------------------------------

    def _note(self, owner: Any, find: Find, name: str) -> None:
        key = id(owner), name
        if key in self._noted or self.full:
            return
        self._noted.add(key)
        self._known.setdefault(id(owner), owner)
        meant = find()
        if isinstance(meant, UNWATCHED):
            return
        written = self._written.get(key, set())
        if None not in written:
            self._seen[key] = Seen(key, find, meant, inside(meant), frozenset(written))
        self._value(meant)

    def _value(self, x: Any) -> None:
        """What a value reads or holds."""
        for y in held_by(x):
            if ("value", id(y)) in self._known or isinstance(y, UNWATCHED):
                continue
            if callable(y) or _is_users(y):
                self._known["value", id(y)] = y
                self._thing(y)

    def _thing(self, x: Any) -> None:
        wrapped = _dict_of(x).get("__wrapped__")
        if isinstance(x, functools.partial):
            for n, y in enumerate((x.func, *x.args, *x.keywords.values())):
                self._note(x, _always(y), f"argument {n} of a partial function")
        elif isinstance(x, types.MethodType):
            self._value(x.__self__)
            self._function(x.__func__, x.__self__)
        elif isinstance(x, types.FunctionType):
            self._function(x)
        elif callable(wrapped):
            self._value(wrapped)
        elif _is_users(x):
            self._objects.append(x)
            for cls in type(x).__mro__:
                if not _is_library(cls.__module__):
                    for name, method in list(vars(cls).items()):
                        if name.startswith("__") and name not in NO_READERS:
                            self._function(method, x)

    def _function(self, f: Any, instance: Any = MISSING) -> None:
        """Globals, closures, defaults, and attributes of what they mean, as f reads them.

        Args:
            f: a function; anything else reads nothing.
            instance: what its first argument is.
        """
        key = "function", id(f), id(instance)
        if not isinstance(f, types.FunctionType):
            wrapped = _dict_of(f).get("__wrapped__")  # jit of a method, say
            if isinstance(wrapped, types.FunctionType):
                self._function(wrapped, instance)
            return
        if key in self._known or _is_library(f.__module__):
            return
        self._known[key] = f, instance
        reads = reads_of(f.__code__)
        self._names |= reads.loose
        self._asked |= reads.asked
        self._any |= reads.any
        cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
        first = f.__code__.co_varnames[:1] if instance is not MISSING else ()
        for name, cell in cells.items():
            self._note(cell, _reader(cell), name)
        for (kind, name), attributes in reads.chains:
            if kind == "global":
                if (name.startswith("__") and name.endswith("__")) or hasattr(builtins, name):
                    continue
                self._note(f.__globals__, _item_of(f.__globals__, name), name)
                self._walk(f.__globals__.get(name, MISSING), attributes)
            elif kind == "closure" and name in cells:
                self._walk(_reader(cells[name])(), attributes)
            elif name in first:
                self._walk(instance, attributes)
            else:
                self._names.update(attributes)
        for n, value in enumerate((*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values())):
            self._note(f, _always(value), f"default {n} of {f.__name__}")
        for name in reads.imports:
            module = sys.modules.get(name)
            if module is not None and not _is_library(name):
                self._known.setdefault(("value", id(module)), module)
                self._objects.append(module)

    def _walk(self, x: Any, attributes: tuple[str, ...]) -> None:
        """Attributes of x in turn."""
        for n, name in enumerate(attributes):
            x = self._attribute(x, name, asked=True)
            if x is MISSING:
                self._names.update(attributes[n + 1 :])
                return

    def _attributes(self, x: Any) -> None:
        """Attributes of x that are read of who knows what."""
        names = set(_dict_of(x)) if self._any and not isinstance(x, types.ModuleType) else set()
        for name in names | self._names:
            self._attribute(x, name, name in self._asked)

    def _attribute(self, x: Any, name: str, asked: bool) -> Any:
        """Watch an attribute; what it means, or MISSING where that is not told without calling
        something.

        Args:
            asked: whether it was asked for of x, so that it matters if it is not there, or if one
                of x's own comes to hide a method.
        """
        if isinstance(x, types.ModuleType):
            if _is_library(x.__name__) or (name not in vars(x) and not asked):
                return MISSING
            self._note(x, _item_of(vars(x), name), name)
            return vars(x).get(name, MISSING)
        if isinstance(x, type):
            return self._of_class(x, name, MISSING)
        if not _is_users(x):
            return MISSING
        own, shared = _dict_of(x), _of_class(type(x), name)
        if name in own or isinstance(shared, types.MemberDescriptorType):
            find = _attribute_of(x, name)
            self._note(x, find, name)
            return find()
        if hasattr(x, "__dict__"):
            if shared is MISSING or _is_method(shared):
                if asked and not isinstance(shared, property):
                    self._note(x, _own_attribute_of(x, name), name)
            else:
                self._note(
                    x, _attribute_of(x, name), name
                )  # which may come to hide that of the class
        return self._of_class(type(x), name, x)

    def _of_class(self, cls: type, name: str, instance: Any) -> Any:
        owner = next((c for c in cls.__mro__ if name in vars(c)), object)
        if _is_library(owner.__module__):
            return MISSING
        found = vars(owner)[name]
        function = getattr(found, "fget", None) if isinstance(found, property) else found
        if isinstance(function, (staticmethod, classmethod)):
            bound = cls if isinstance(function, classmethod) else MISSING
            self._function(function.__func__, bound)
            return MISSING
        self._note(owner, _item_of(vars(owner), name), name)
        if isinstance(function, types.FunctionType) or function is not found:
            self._function(function, instance)
            return MISSING
        if hasattr(type(found), "__get__"):
            self._function(found, instance)
            self._value(found)
            return MISSING
        return found


FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)
BAGS = (set, frozenset, collections.deque)
BYTES = (array.array, bytearray)
MAPPINGS = (dict, types.MappingProxyType, collections.UserDict, collections.ChainMap)
LISTS = (list, tuple, collections.UserList)


def inside(x: Any) -> tuple | None:
    """What may change inside an object that stays the same: the array of a tensor, and what a
    container holds, of tensors their arrays, and its structure."""
    if x.__class__ is Tensor:
        return (x.value,)
    tree = _as_tree(x)
    if tree is None:
        return None
    leaves, structure = _flattened(tree)
    return (structure, *(y.value if y.__class__ is Tensor else y for y in leaves))


def held_by(x: Any) -> list:
    """What a container holds; else x."""
    tree = _as_tree(x)
    return [x] if tree is None else _flattened(tree)[0]


def _flattened(tree: Any) -> tuple[list, Any]:
    """The entries of a container, and its structure; none where it cannot be told."""
    try:
        return tree_flatten(tree)
    except Exception:  # keys that cannot be sorted, or what a user registered for a class raises
        return list(tree.values() if isinstance(tree, dict) else tree), None


def _as_tree(x: Any) -> Any:
    """A container as one that has a structure."""
    if isinstance(x, (list, tuple, dict)):
        if type(x) in (list, dict) or isinstance(x, tuple):
            return x
        return dict(x) if isinstance(x, dict) else list(x)
    if isinstance(x, BAGS):
        return tuple(x)
    if isinstance(x, BYTES):
        return (bytes(x),)
    if isinstance(x, MAPPINGS):
        return dict(x)
    return list(x) if isinstance(x, LISTS) else None


def _same(x: Any, y: Any) -> bool:
    """Whether two values are one, or plain ones that are equal: 0.0 and -0.0 are not."""
    if x is y:
        return True
    kind = x.__class__
    if kind is not y.__class__:
        return False
    if kind in PLAIN or kind is STRUCTURE:
        return bool(x == y)
    if kind is float:
        return exactly(x) == exactly(y)
    return isinstance(x, np.generic) and x.dtype == y.dtype and x.tobytes() == y.tobytes()


def _is_unchanging(x: Any) -> bool:
    """Whether nothing of x can be changed."""
    return x.__class__ in UNCHANGING or (isinstance(x, tuple) and all(map(_is_unchanging, x)))


STRUCTURE = type(tree_flatten(())[1])


def _dict_of(x: Any) -> Any:
    """The dictionary of an object's own attributes."""
    try:
        return object.__getattribute__(x, "__dict__")
    except AttributeError:
        return {}


def _of_class(cls: type, name: str) -> Any:
    return next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), MISSING)


def _is_method(x: Any) -> bool:
    return isinstance(x, (types.FunctionType, property, classmethod, staticmethod))


def _attribute_of(x: Any, name: str) -> Find:
    """What reads an attribute of x, and keeps x alive only where it must."""
    try:
        held: Callable[[], Any] = weakref.ref(x)
    except TypeError:
        held = _always(x)

    def find() -> Any:
        try:
            return object.__getattribute__(held(), name)
        except AttributeError:
            return MISSING

    return find


def _own_attribute_of(x: Any, name: str) -> Find:
    """What reads an attribute of x that its class has not, or that hides a method of it."""
    of_class, read = type(x), _attribute_of(x, name)

    def find() -> Any:
        found = read()
        return MISSING if found is not MISSING and _is_bound(found, of_class, name) else found

    return find


def _is_bound(found: Any, cls: type, name: str) -> bool:
    """Whether an attribute is a method of the class."""
    return isinstance(found, types.MethodType) and found.__func__ is _of_class(cls, name)


def _item_of(names: Mapping[str, Any], name: str) -> Find:
    return functools.partial(names.get, name, MISSING)


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
    if isinstance(x, types.GenericAlias):  # list[int]: a class, with attributes made when read
        return False
    if isinstance(x, FUNCTIONS):
        return False
    return bool(_dict_of(x)) or hasattr(x, "__dict__") or hasattr(cls, "__slots__")


def _always(x: Any) -> Find:
    return lambda: x


def _reader(cell: types.CellType) -> Find:
    def read() -> Any:
        try:
            return cell.cell_contents
        except ValueError:  # not assigned yet
            return None

    return read
