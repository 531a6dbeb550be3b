"""`jit`: capture a function once for each kind of arguments, and run it as a fixed program."""

from __future__ import annotations

import inspect
import random
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, update_wrapper
from typing import Any

import numpy as np

from autograd_core import debug
from autograd_core.capture.contents import Contents, Reads, arrays_in, noted_reads, owner
from autograd_core.capture.donation import Spares, give_away
from autograd_core.capture.explain import Explanation, explain
from autograd_core.capture.graph import Graph, Variable, evaluate
from autograd_core.capture.lowering.program import Program, can_compile
from autograd_core.capture.passes import improve
from autograd_core.capture.trace import Captured, capture
from autograd_core.capture.watch import Watch, Written
from autograd_core.errors import AutogradError
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import Aval, Tensor, alias, asarray, aval_of, require_within
from autograd_core.tree import tree_flatten, tree_paths, tree_unflatten

LONG_COMPILATION = 2.0
"""Seconds after which a first call says what took so long."""
MANY_CAPTURES = 8
"""Captures for changed names after which a warning says which name it is."""


class jit:
    """`f`, captured when it is first called with arguments of some shapes and dtypes, and run as a
    fixed program from then on.

    Transforms of any order and mode go through: a call on traced values applies the captured
    operations one after the other. What `f` reads of globals and closures is watched, and `f`
    captured again when it changes.

    Args:
        f: a function of pytrees to a pytree of tensors, in this package's operations. It is run
            once for each kind of arguments, so it may not branch on their values, and what it does
            beside computing its result (printing, say) happens then only.
        static_argnums: positional arguments that are not tensors: the program is captured again for
            each of their values, which must be hashable.
        static_argnames: likewise, by name.
        donate_argnums: positional arguments whose memory later results may take: parameters and
            optimiser state that the call returns updated. Their tensors cannot be used after the
            call. Calls on traced values take nothing.
        quiet: print no line on standard error when a first call compiles for seconds.

    Raises:
        ConcreteValueError: `f` asks for the value of an argument (`if x > 0`, `x.item()`).
        AutogradError: `f` changes an argument in place, or draws from a global random generator.
        DonatedError: an argument was donated to an earlier call.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
        donate_argnums: int | Sequence[int] = (),
        quiet: bool = False,
    ):
        if not callable(f):
            raise TypeError(f"jit: expected a function, got {type(f).__name__}")
        self.f = f
        self.name = f"jit of {getattr(f, '__name__', type(f).__name__)}"
        self._static_numbers, self._static_names = _both_ways(
            f, frozenset(_several(static_argnums, int)), frozenset(_several(static_argnames, str))
        )
        self._donated = frozenset(_several(donate_argnums, int))
        if self._donated & self._static_numbers:
            raise ValueError(f"{self.name}: an argument cannot be both static and donated")
        self._quiet = quiet
        self._captured = _Entries()
        self._of_instances: dict[int, tuple[weakref.ref, _Entries]] = {}
        update_wrapper(self, f, updated=())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: bound to the instance, which has programs of its own."""
        if instance is None:
            return self
        given = self._static_numbers, self._donated
        numbers, donated = (tuple(i - (i > 0) for i in some if i != 0) for some in given)
        bound = self.f.__get__(instance, owner)
        found = jit(bound, numbers, tuple(self._static_names), donated, self._quiet)
        found._captured = self._entries_of(instance)
        return found

    def _entries_of(self, instance: Any) -> _Entries:
        """What was captured for an instance, as long as it lives."""
        known, number = self._of_instances, id(instance)
        if number not in known:
            try:
                ref = weakref.ref(instance, lambda _: known.pop(number, None))
            except TypeError:  # slots without one for weak references
                return _Entries()
            known[number] = ref, _Entries()
        return known[number][1]

    def __reduce__(self) -> Any:
        """Copies and pickles are captured anew; one that has a name in its module is that one."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        static = tuple(self._static_numbers), tuple(self._static_names)
        return jit, (self.f, *static, tuple(self._donated), self._quiet)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if debug.blocks:
            return self.f(*args, **kwargs)
        call = _Call(self, args, kwargs)
        entry = self._entry(call)
        leaves = call.leaves
        for x in leaves:
            if x.__class__ is Tensor and x.trace is not None:
                return self._traced(entry, call)
        if not entry.captured.closed:
            return self._traced(entry, call)
        given = list(map(asarray, leaves)) if entry.swapped else leaves
        results = entry.program(given, *entry.extra)
        if self._donated:
            call.give_away(entry.spares)
        if entry.captured.bounds:
            results = entry.within_bounds(results)
        return tree_unflatten(entry.structure, results)

    def explain(self, *args: Any, timed: bool = False, **kwargs: Any) -> Explanation:
        """What the program for these arguments does: its steps, flops, bytes and memory.

        Args:
            args, kwargs: as for a call; nothing is returned or donated.
            timed: also run each step by itself and measure it.

        Raises:
            AutogradError: there is no program for traced values, or without Numba.
        """
        call = _Call(self, args, kwargs)
        entry = self._entry(call)
        program = entry.run if entry.captured.closed else None
        if not isinstance(program, Program):
            raise AutogradError(
                f"{self.name}: no program to explain: it is compiled for plain arguments of "
                "NumPy's usual dtypes only, and with Numba (METAGRAD_NUMBA is not 0)"
            )
        arrays = [asarray(x).value for x in (*call.leaves, *entry.extra)]
        return explain(program, self.name, arrays if timed else None)

    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """The captured graph for these arguments, before any pass: `str` prints it, and
        `.picture()` draws it."""
        return self._entry(_Call(self, args, kwargs)).captured.graph

    def _traced(self, entry: _Entry, call: _Call) -> Any:
        """The result on traced values: operation by operation."""
        if entry.captured.calls:  # rules of their own are Python functions
            args, kwargs = call.arguments(call.tree(call.leaves))
            return self.f(*args, **kwargs)
        leaves = [x if x.__class__ in PYTHON_NUMBERS else asarray(x) for x in call.leaves]
        found = evaluate(entry.captured.graph, [*leaves, *entry.extra])
        return tree_unflatten(entry.structure, entry.within_bounds(found))

    def _entry(self, call: _Call) -> _Entry:
        """What was captured for arguments of this kind; captured where that has not been done, or
        where what the function reads has changed."""
        known = self._captured
        entry = known.entries.get(call.key)
        if entry is not None:
            name = entry.changed()
            if name is None:
                return entry
            known.changes += 1
            if known.changes == MANY_CAPTURES:
                warnings.warn(
                    f"{self.name} reads {name!r} from outside, which keeps changing, and is "
                    "captured again each time; pass it as an argument",
                    RuntimeWarning,
                    stacklevel=4,
                )
        call.check_kinds()
        structure = None

        def flat(*leaves: Tensor) -> list[Tensor]:
            nonlocal structure
            tree = call.tree(leaves)
            args, kwargs = call.arguments(tree)
            variables = [x.mark for x in leaves]
            outs, structure = tree_flatten(self.f(*args, **kwargs))
            call.check_unchanged(tree, leaves, variables)
            return outs

        functions = [self.f, *call.static_values()]
        before = Watch(functions, known.written)
        with noted_reads() as reads:
            captured = without_hidden_randomness(
                lambda: capture(flat, call.variables(), self.name, bounded=True), self.name, before
            )
        known.written |= before.all_changed()
        watch = Watch(functions, known.written)
        warn_of_leaks(Watch(functions), self.name)
        entry = _Entry(captured, structure, watch, self.name, self._quiet)
        entry.swapped = call.swapped
        entry.contents = Contents(entry.compared(reads))
        if captured.closed:
            known.entries[call.key] = entry
        return entry


@dataclass
class _Entries:
    """What was captured of a function.

    Attributes:
        changes: how often it was captured again because what it reads had changed.
        written: names that the function itself changes.
    """

    entries: dict[Hashable, _Entry] = field(default_factory=dict)
    changes: int = 0
    written: Written = frozenset()


class _Entry:
    """What one kind of arguments led to."""

    def __init__(self, captured: Captured, structure: Any, watch: Watch, name: str, quiet: bool):
        self.quiet = quiet
        self.captured = captured
        self.structure = structure
        self.watch = watch
        self.name = name
        self.extra = captured.extra
        self._extra_avals = [aval_of(x) for x in captured.extra]
        self.spares = Spares((y.aval.shape, y.aval.dtype) for y in captured.graph.outputs)
        self.contents = Contents([])
        self.swapped = False  # whether an argument has not this machine's order of bytes

    def changed(self) -> str | None:
        """The name of something read from outside that has changed its meaning, shape or dtype."""
        for x, aval in zip(self.extra, self._extra_avals, strict=True):
            if x.trace is not None or x.value.shape != aval.shape or x.value.dtype != aval.dtype:
                return "a tensor"
        name = self.watch.changed()
        return "an array" if name is None and self.contents.changed() else name

    def compared(self, reads: Reads) -> list[np.ndarray]:
        """Arrays whose contents went into the graph: what was computed with, and what the function
        names, unless the graph reads it itself."""
        inputs = {id(owner(x)) for x in arrays_in(self.extra)}
        named = arrays_in(x for _, x in self.watch.values())
        return [*reads.arrays(), *(x for x in named if id(owner(x)) not in inputs)]

    def within_bounds(self, results: list[Tensor]) -> list[Tensor]:
        """The function's own results, after a look at those behind them."""
        bounds = self.captured.bounds
        first = len(results) - 2 * len(bounds)
        for n, given in enumerate(bounds):
            for y in results[first + 2 * n : first + 2 * n + 2]:
                require_within(asarray(y), *given)
        return results[:first]

    def program(self, leaves: Sequence[Any], *extra: Any) -> list[Tensor]:
        return self.run([*leaves, *extra])

    @cached_property
    def run(self) -> Callable[[Sequence[Any]], list[Tensor]]:
        """What runs the graph on plain arrays."""
        start = time.perf_counter()
        graph = improve(self.captured.graph)
        if not can_compile(graph):
            return lambda args: [alias(asarray(y)) for y in evaluate(graph, args)]
        program = Program(graph, self.spares.empty)
        seconds = time.perf_counter() - start
        if seconds > LONG_COMPILATION and not self.quiet:
            print(
                f"{self.name}: compiled {program.steps} steps in {seconds:.1f} s "
                "(once: the next process finds them in its cache)",
                file=sys.stderr,
            )
        return program


class _Call:
    """The arguments of one call, sorted into static ones and leaves."""

    __slots__ = ("args", "function", "key", "kwargs", "leaves", "named", "structure")

    def __init__(self, function: jit, args: tuple, kwargs: dict[str, Any]):
        self.function, self.args, self.kwargs = function, args, kwargs
        static: tuple = ()
        if function._static_numbers or function._static_names:
            static = self._static_key()
            args, kwargs = self._dynamic(args, kwargs)
        self.named = bool(kwargs)
        self.leaves, self.structure = tree_flatten((args, kwargs) if kwargs else args)
        kinds = []
        for i, x in enumerate(self.leaves):
            value = x.value if x.__class__ is Tensor and x.trace is None else x
            if value.__class__ is np.ndarray:
                kinds.append((value.shape, value.dtype))  # which `check_kinds` looks at
            else:
                kinds.append(self._kind(x, i))
        self.key = (self.structure, self.named, static, *kinds)

    def _kind(self, x: Any, i: int) -> Any:
        if x.__class__ is Tensor:
            return Aval(x.shape, x.dtype)
        if x.__class__ in PYTHON_NUMBERS:
            if x.__class__ is int and not -(2**63) <= x < 2**63:
                raise AutogradError(
                    f"{self.function.name}: argument {self.path(i)}: the integer {x} does not fit "
                    "into 64 bits; name it in static_argnums"
                )
            return x.__class__
        try:
            return aval_of(asarray(x))
        except AutogradError as error:
            raise type(error)(
                f"{self.function.name}: argument {self.path(i)}: {error}; or name it in "
                "static_argnums"
            ) from None

    # Static and dynamic arguments -------------------------------------------------------------

    def _is_static(self, i: int) -> bool:
        numbers = self.function._static_numbers
        return i in numbers or i - len(self.args) in numbers

    def _dynamic(self, args: Sequence, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        names = self.function._static_names
        rest = tuple(x for i, x in enumerate(args) if not self._is_static(i))
        return rest, {k: x for k, x in kwargs.items() if k not in names}

    def _static_key(self) -> tuple:
        names = self.function._static_names
        key = (
            tuple((i, _kinds(x), x) for i, x in enumerate(self.args) if self._is_static(i)),
            tuple((k, _kinds(x), x) for k, x in sorted(self.kwargs.items()) if k in names),
        )
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self.function.name}: a static argument must be hashable ({error}); pass arrays "
                "as ordinary arguments, and tuples instead of lists"
            ) from None
        return key

    def variables(self) -> list[Variable]:
        """A fresh variable for each leaf."""
        kinds = self.key[3:]
        return [
            Variable(aval_of(x(1)), number=True)
            if isinstance(x, type)
            else Variable(Aval(x[0], x[1].newbyteorder("=")))
            for x in kinds
        ]

    @property
    def swapped(self) -> bool:
        """Whether an argument has not this machine's order of bytes."""
        return any(not isinstance(x, type) and not x[1].isnative for x in self.key[3:])

    def static_values(self) -> list[Any]:
        """The values of static arguments."""
        return [x for some in self.key[2] for _, _, x in some]

    def tree(self, leaves: Sequence[Any]) -> Any:
        """The arguments that are not static, with other leaves in the place of those given."""
        return tree_unflatten(self.structure, leaves)

    def arguments(self, tree: Any) -> tuple[list, dict]:
        """Positional and named arguments, from those that are not static."""
        dynamic, named = tree if self.named else (tree, {})
        rest = iter(dynamic)
        args = [x if self._is_static(i) else next(rest) for i, x in enumerate(self.args)]
        names = self.function._static_names
        return args, {**named, **{k: x for k, x in self.kwargs.items() if k in names}}

    # Errors -----------------------------------------------------------------------------------

    def path(self, i: int) -> str:
        """Where leaf `i` is among the arguments."""
        args, kwargs = self.arguments(self.tree(range(len(self.leaves))))
        shown = [None if self._is_static(n) else x for n, x in enumerate(args)]
        names = self.function._static_names
        named = {k: x for k, x in kwargs.items() if k not in names}
        tree: Any = (tuple(shown), named) if named else tuple(shown)
        return tree_paths(tree)[i]

    def check_kinds(self) -> None:
        """Raise where an array is of no dtype that a tensor can have."""
        for i, x in enumerate(self.leaves):
            if x.__class__ is np.ndarray and x.dtype.kind not in "biuf":
                self._kind(x, i)

    def check_unchanged(
        self, tree: Any, leaves: Sequence[Tensor], variables: Sequence[Variable]
    ) -> None:
        """Raise where the function wrote into an argument: the caller's own would not change."""
        changed = [x.mark is not v for x, v in zip(leaves, variables, strict=True)]
        path = self.path(changed.index(True)) if any(changed) else ""
        if not any(changed):
            now, structure = tree_flatten(tree)
            if structure == self.structure:
                different = [x is not y for x, y in zip(now, leaves, strict=True)]
                path = self.path(different.index(True)) if any(different) else ""
            else:
                path = "(what a container in it holds)"
        if path:
            raise AutogradError(
                f"{self.function.name}: the function changes its argument {path} in place, which "
                "the caller would not see; return the new value instead, or work on a copy "
                "(x = x * 1, or p = dict(p))"
            )

    # Donation ---------------------------------------------------------------------------------

    def give_away(self, spares: Spares) -> None:
        """Take the memory of donated arguments."""
        numbers = self.function._donated
        donated: list[Any] = []
        kept: list[Any] = []
        for i, x in enumerate(self.args):
            mine = i in numbers or i - len(self.args) in numbers
            (donated if mine else kept).extend(tree_flatten(x)[0])
        held = {id(x) for x in kept}
        self.leaves = []  # which hold references
        taken = set()
        for x in donated:
            if x.__class__ is not Tensor or id(x) in taken:
                continue
            if id(x) in held:
                raise ValueError(
                    f"{self.function.name}: a tensor is donated (donate_argnums) and also passed "
                    "as an argument that is not"
                )
            taken.add(id(x))
            array = give_away(x, self.function.name)
            if array is not None:
                spares.put(array)


def warn_of_leaks(watch: Watch, name: str) -> None:
    """Warn where a traced value has been stored in something that outlives the function."""
    for called, x in watch.values():
        if x.__class__ is Tensor and x.trace is not None and not x.trace.live:
            warnings.warn(
                f"{name}: the function stores a value that it computes in {called!r}, outside of "
                "itself: that happens only when it is captured, and the value cannot be used; "
                "return it instead",
                RuntimeWarning,
                stacklevel=5,
            )


def without_hidden_randomness(make: Callable[[], Captured], name: str, watch: Watch) -> Captured:
    """What `make` captures.

    Raises:
        AutogradError: it draws from a random generator from outside: every call would repeat the
            draw.
    """
    generators = [x for _, x in watch.values() if isinstance(x, GENERATORS)]
    before = _states(generators)
    found = make()
    if _states(generators) == before:
        return found
    if threading.active_count() > 1 and _states(generators)[2:] == before[2:]:
        # Another thread may have drawn from the global generators. Then this one gets the same.
        again = make()
        if _written_out(again) == _written_out(found):
            return again
    raise AutogradError(
        f"{name}: the function draws random numbers from a generator from outside, which would be "
        "the same at every call; pass a key, and draw with autograd_core.random"
    )


GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


def _states(generators: Sequence[Any]) -> list[bytes]:
    """The states of the global generators, and of others."""
    found = [np.random.get_state(), random.getstate()]  # noqa: NPY002
    for x in generators:
        if isinstance(x, np.random.Generator):
            found.append(x.bit_generator.state)
        else:
            found.append(x.get_state() if isinstance(x, np.random.RandomState) else x.getstate())
    with np.printoptions(threshold=sys.maxsize):
        return [repr(x).encode() for x in found]


def _written_out(captured: Captured) -> tuple:
    values = (x.value for x in captured.graph.constants.values() if x.trace is None)
    return str(captured.graph), *(np.asarray(x).tobytes() for x in values)


def _kinds(x: Any) -> Any:
    """Types, and signs of zeros, in which equal static values may differ."""
    if isinstance(x, (tuple, frozenset)):
        return (type(x), *map(_kinds, x))
    return (float, x.hex()) if type(x) is float else type(x)


def _both_ways(
    f: Callable, numbers: frozenset[int], names: frozenset[str]
) -> tuple[frozenset[int], frozenset[str]]:
    """Arguments given by position or by name, which the caller may give the other way."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return numbers, names
    either = [
        n for n, p in enumerate(parameters) if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    by_name = {parameters[n].name for n in either if n in numbers}
    by_number = {n for n in either if parameters[n].name in names}
    return numbers | by_number, names | by_name


def _several(given: Any, kind: type) -> Iterable:
    return (given,) if isinstance(given, kind) else tuple(given)
