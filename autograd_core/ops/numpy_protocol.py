"""NumPy's functions on tensors: `np.sin(x)`, `np.linalg.solve(a, b)`, `array * x`.

NumPy asks `Tensor.__array_ufunc__` and `Tensor.__array_function__` (its NEPs 13 and 18), which end
up here. A function of NumPy's becomes the operation of the same name in this package, so that
derivatives of any order flow, in every transform. In order of preference:

1. `INSTEAD`: functions of `numpy_names` that read NumPy's arguments where ours differs;
2. the operation of that name: in `autograd_core.linalg`, `.fft` or `.special`, else among all
   operations. Nothing is listed, so that a new operation works at once;
3. `ADDED`: functions of `numpy_names` for what this package has under another name, or none;
4. for tensors that are not traced, NumPy itself, on their values. A traced one raises, since its
   derivative would be lost; but not where the result holds no floats that depend on it (`COUNTS`).

How NumPy's arguments become an operation's is worked out once for each way to call a function, see
`_plan`. What an operation cannot do is refused by the argument's name.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from autograd_core.errors import ConcreteValueError, DtypeError
from autograd_core.fetching import fetched, read_only
from autograd_core.ops import placement, reduce, structural
from autograd_core.tensor import Tensor, asarray, concrete, entries
from autograd_core.tree import tree_map

INSTEAD: dict[str, Callable] = {}
"""By NumPy's name, what is called although an operation of that name exists."""
ADDED: dict[str, Callable] = {}
"""By NumPy's name, what is called where no operation of that name exists."""

HOMES = {
    "numpy": ("",),
    "numpy.linalg": ("linalg", ""),
    "numpy.fft": ("fft",),
    "scipy.special": ("special", ""),
}
"""Where operations are looked up for functions of a module: in modules of `autograd_core`, and ""
is all operations."""

RENAMED = {"N": "n", "a_max": "max", "a_min": "min", "k": "offset"}
"""NumPy's optional arguments that have another name here."""
LAYOUT = {"assume_unique", "kind", "optimize", "order", "overwrite_input", "stable", "subok"}
"""Arguments that say how to store or to compute something, but not what: they are ignored."""


def instead(*names: str) -> Callable[[Callable], Callable]:
    """Register a function with NumPy's parameters, in place of the operation of that name."""
    return lambda function: _registered(INSTEAD, names, function)


def added(*names: str) -> Callable[[Callable], Callable]:
    """Register a function with NumPy's parameters that no operation has the name of."""
    return lambda function: _registered(ADDED, names, function)


def _registered(table: dict[str, Callable], names: tuple[str, ...], function: Callable) -> Callable:
    table.update(dict.fromkeys(names, function))
    return function


# The two protocols ----------------------------------------------------------------------------


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy's ufuncs, their methods included, on tensors; see the top of this file.

    Raises:
        TypeError: for an argument that no operation here takes, such as `out=`.
        ConcreteValueError: this package lacks the ufunc, and a tensor is traced.
    """
    if method == "__call__" and not options:
        operation = _operation(ufunc)
        if operation is not None:
            return operation(*inputs)
    return _METHODS[method](ufunc, inputs, options)


def array_function(self: Tensor, func: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
    """NumPy's functions on tensors; see the top of this file.

    Raises:
        TypeError: for an argument that the operation here cannot take, such as `out=`.
        ConcreteValueError: this package lacks the function, and a tensor is traced.
    """
    return _plan(func, len(args), tuple(kwargs))(args, kwargs)


# Which operation ------------------------------------------------------------------------------


@cache
def _operation(func: Callable) -> Callable | None:
    """What is called for a function of NumPy's; None where there is nothing."""
    from autograd_core.ops import numpy_names  # noqa: F401 - which fills the tables

    module, name = _full_name(func)
    key = f"{module}.{name}".removeprefix("numpy.")
    return INSTEAD.get(key) or _of_that_name(module, name) or ADDED.get(key)


def _full_name(func: Callable) -> tuple[str, str]:
    """The module and name that a function is found by. Ufuncs of others are not known by name."""
    name = getattr(func, "__name__", "")
    if not isinstance(func, np.ufunc):
        return getattr(func, "__module__", ""), name
    for module in ("numpy", "scipy.special"):
        for place in (module, f"{module}._ufuncs"):
            if getattr(sys.modules.get(place), name, None) is func:
                return module, name
    return "", name


def _of_that_name(module: str, name: str) -> Callable | None:
    import autograd_core

    for home in HOMES.get(module, ()):
        place = getattr(autograd_core, home, None) if home else autograd_core.ops
        if place is not None and (home or name in autograd_core.ops.__all__):
            found = getattr(place, name, None)
            if callable(found):
                return found
    return None


def _told(func: Callable) -> str:
    """A function's name as programs write it."""
    module, name = _full_name(func)
    return f"{module}.{name}" if module else name


# How arguments are passed ---------------------------------------------------------------------


@cache
def _plan(func: Callable, count: int, names: tuple[str, ...]) -> Callable[[tuple, dict], Any]:
    """How to call a function's operation with `count` arguments by position, others by `names`."""
    operation = _operation(func)
    if operation is None:
        return lambda args, kwargs: by_numpy(func, func, args, kwargs)
    theirs = _parameters(func)
    if theirs is None or _takes_all(operation):
        return lambda args, kwargs: operation(*args, **kwargs)
    starred = any(p.kind is p.VAR_POSITIONAL for p in theirs.values())
    given = [*([] if starred else list(theirs)[:count]), *names]
    passed = _passed(theirs, operation, given)
    first = [name for name in theirs if passed.get(name) is _FIRST]

    def call(args: tuple, kwargs: dict) -> Any:
        values = kwargs if starred else dict(zip(given, (*args, *kwargs.values()), strict=True))
        by_position = args if starred else [values[name] for name in first]
        by_name, dtype = {}, None
        for name, value in values.items():
            place = passed[name]
            if place is _FIRST or place is _IGNORED or _is_default(theirs.get(name), value):
                continue
            if place is not None:
                by_name[place] = value
            elif name == "dtype":
                dtype = value
            else:
                raise _refusal(func, name)
        out = operation(*by_position, **by_name)
        return out if dtype is None else tree_map(lambda x: structural.astype(x, dtype), out)

    return call


_FIRST, _IGNORED = "by position", "not at all"


def _parameters(func: Callable) -> dict[str, inspect.Parameter] | None:
    try:
        return dict(inspect.signature(func).parameters)
    except ValueError:  # of some functions older versions of NumPy do not tell
        return None


def _takes_all(operation: Callable) -> bool:
    parameters = inspect.signature(operation).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in parameters)


def _passed(theirs: dict, operation: Callable, given: Sequence[str]) -> dict[str, Any]:
    """For each argument given: by which name it is passed on, or _FIRST for by position, or
    _IGNORED, or None where it cannot be."""
    ours = inspect.signature(operation).parameters

    def place(name: str) -> Any:
        parameter = theirs.get(name)
        if parameter is not None and parameter.default is parameter.empty:
            return _FIRST
        if name in ours:
            return name
        if RENAMED.get(name) in ours:
            return RENAMED[name]
        return _IGNORED if name in LAYOUT else None

    return {name: place(name) for name in given}


def _is_default(parameter: inspect.Parameter | None, value: Any) -> bool:
    return parameter is not None and _is_same(value, parameter.default)


def _is_same(value: Any, default: Any) -> bool:
    simple = isinstance(value, str | int | float) and type(value) is type(default)
    return value is default or (simple and value == default)


def _refusal(func: Callable, name: str, called: str = "") -> DtypeError:
    """The error for an argument that the operation cannot take."""
    called = called or _told(func)
    call = called.replace("numpy.", "np.", 1)
    advice = "leave it at its default, or give NumPy x.detach().numpy()"
    if name == "out":
        advice = f"a tensor's values are never overwritten; write `y = {call}(…)`"
    elif name == "where" and isinstance(func, np.ufunc):
        advice = f"write `np.where(mask, {call}(…), otherwise)`"
    return DtypeError(f"{called} of a Tensor does not take {name}=: {advice}")


# Where this package has no such function ------------------------------------------------------

COUNTS = frozenset(
    """allclose argpartition argwhere array_equal array_equiv array2string array_repr array_str
    can_cast digitize flatnonzero isclose iscomplexobj isin isrealobj lexsort linalg.matrix_rank
    may_share_memory shares_memory min_scalar_type result_type common_type isneginf isposinf
    nanargmax nanargmin isreal iscomplex gcd lcm left_shift right_shift bitwise_count""".split()  # noqa: SIM905
)
"""Functions whose results are no floats, so that no derivative is lost where NumPy finds them."""


def by_numpy(func: Callable, call: Callable, args: tuple, kwargs: dict) -> Any:
    """What NumPy makes of tensors' values; arrays and numbers of the result become tensors.

    Raises:
        ConcreteValueError: a derivative would be lost, or there are no values to be had.
    """
    name = _told(func)
    keeps = name.removeprefix("numpy.") not in COUNTS

    def array(x: Any) -> Any:
        if x.__class__ is not Tensor:
            return x
        if x.interpreter is not None and keeps and entries(x) is not None:
            raise ConcreteValueError(
                f"{name} of a traced tensor would drop its gradient, and autograd_core has no "
                f"operation in its place; write it with others, or give it x.detach() if that is "
                "meant"
            )
        return read_only(fetched(concrete(x, name)))

    return tree_map(_as_tensor, call(*tree_map(array, args), **tree_map(array, kwargs)))


def _as_tensor(x: Any) -> Any:
    """Arrays and NumPy's numbers as tensors; truths, dtypes, text and the like as they are."""
    is_array = isinstance(x, np.ndarray | np.number) and x.dtype.kind in "biufc"
    return placement.asarray(x) if is_array else x


# Ufuncs: other ways to call them --------------------------------------------------------------

SAYS_NOTHING = {("where", True), ("casting", "same_kind")}
"""Options of a ufunc at their defaults."""


def _without_defaults(ufunc: np.ufunc, options: dict, called: str = "") -> dict:
    """Options of a ufunc that say something. `out=` is refused, and what `array += x` sends is it.

    Raises:
        DtypeError: there is an array to write to.
    """
    called = called or _told(ufunc)
    if any(x is not None for x in options.get("out", ())):
        call = called.replace("numpy.", "np.", 1)
        raise DtypeError(
            f"{called} with out=, or in place, of a Tensor: an array cannot keep its derivative, "
            f"and a tensor is never overwritten; write `x = x + y` for `x += y`, and "
            f"`y = {call}(…)` for `{call}(…, out=y)`"
        )
    return {
        name: value
        for name, value in options.items()
        if name != "out" and name not in LAYOUT and not _is_among(SAYS_NOTHING, name, value)
    }


def _is_among(pairs: set, name: str, value: Any) -> bool:
    return isinstance(value, str | bool) and (name, value) in pairs


def _call(ufunc: np.ufunc, inputs: tuple, options: dict) -> Any:
    told = _without_defaults(ufunc, options)
    dtype = told.pop("dtype", None)
    operation = _operation(ufunc)
    if operation is None:
        return by_numpy(ufunc, ufunc, inputs, options)
    for name in told:
        raise _refusal(ufunc, name)
    return operation(*(x if dtype is None else structural.astype(x, dtype) for x in inputs))


def _reduce(ufunc: np.ufunc, inputs: tuple, options: dict) -> Any:
    """`ufunc.reduce(x, axis=0, …)`."""
    return _along_axis(ufunc, "reduce", REDUCE, inputs, options)


def _accumulate(ufunc: np.ufunc, inputs: tuple, options: dict) -> Any:
    """`ufunc.accumulate(x, axis=0, …)`."""
    return _along_axis(ufunc, "accumulate", ACCUMULATE, inputs, options)


def _along_axis(
    ufunc: np.ufunc, method: str, table: dict[str, str], inputs: tuple, options: dict
) -> Any:
    called = f"{_told(ufunc)}.{method}"
    told = _without_defaults(ufunc, options, called)
    if ufunc.__name__ not in table:
        return by_numpy(ufunc, getattr(ufunc, method), inputs, options)
    x, *positional = inputs
    names = ("axis", "dtype", "out", "keepdims") if method == "reduce" else ("axis", "dtype")
    told = {"axis": 0, **dict(zip(names, positional, strict=False)), **told}
    if told.pop("out", None) is not None:
        raise _refusal(ufunc, "out", called)
    key = table[ufunc.__name__]
    operation = _operation(getattr(np, key)) if hasattr(np, key) else getattr(reduce, key)
    assert operation is not None
    for name in set(told) - set(inspect.signature(operation).parameters):
        if told.pop(name) is not None:
            raise _refusal(ufunc, name, called)
    return operation(x, **told)


REDUCE = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all",
    "logical_or": "any", "logaddexp": "logsumexp", "fmax": "nanmax", "fmin": "nanmin",
}  # fmt: skip
ACCUMULATE = {"add": "cumsum", "multiply": "cumprod"}


def _reduceat(ufunc: np.ufunc, inputs: tuple, options: dict) -> Tensor:
    """`ufunc.reduceat(x, places, axis=0)`: each stretch from a place to the next one, reduced."""
    x, places, *rest = inputs
    told = _without_defaults(ufunc, options, f"{_told(ufunc)}.reduceat")
    axis = told.pop("axis", rest[0] if rest else 0)
    for name in told:
        raise _refusal(ufunc, name, f"{_told(ufunc)}.reduceat")
    x = structural.moveaxis(x, axis, 0)
    starts = [int(i) for i in places]
    stretches = zip(starts, [*starts[1:], len(x)], strict=True)
    parts = [_reduce(ufunc, (x[i:j],), {}) if i < j else x[i] for i, j in stretches]
    return structural.moveaxis(structural.stack(parts), 0, axis)


def _outer(ufunc: np.ufunc, inputs: tuple, options: dict) -> Any:
    """`ufunc.outer(x, y)`: every entry of x with every entry of y."""
    x, y = map(asarray, inputs)
    return _call(ufunc, (structural.reshape(x, (*x.shape, *[1] * y.ndim)), y), options)


def _at(ufunc: np.ufunc, inputs: tuple, options: dict) -> Any:
    raise DtypeError(
        f"{_told(ufunc)}.at changes an array in place, which cannot be differentiated; write "
        "`x = autograd_core.asarray(x).at[places].add(y)` (or .set, .multiply, …)"
    )


_METHODS = {
    "__call__": _call,
    "reduce": _reduce,
    "accumulate": _accumulate,
    "reduceat": _reduceat,
    "outer": _outer,
    "at": _at,
}
