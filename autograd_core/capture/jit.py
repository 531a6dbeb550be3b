"""`jit`: capture a function once for each kind of arguments, and run it as a fixed program."""

from __future__ import annotations

import random as python_random
import sys
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, update_wrapper
from typing import Any

import numpy as np

from autograd_core.capture.donation import Spares, give_away
from autograd_core.capture.explain import Explanation, explain
from autograd_core.capture.graph import Graph, Variable, evaluate
from autograd_core.capture.lowering.program import Program, can_compile
from autograd_core.capture.passes import improve
from autograd_core.capture.trace import Captured, capture
from autograd_core.capture.watch import Watch
from autograd_core.errors import AutogradError
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import Aval, Tensor, alias, asarray, aval_of
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
        self._static_numbers = frozenset(_several(static_argnums, int))
        self._static_names = frozenset(_several(static_argnames, str))
        self._donated = frozenset(_several(donate_argnums, int))
        if self._donated & self._static_numbers:
            raise ValueError(f"{self.name}: an argument cannot be both static and donated")
        self._quiet = quiet
        self._entries: dict[Hashable, _Entry] = {}
        self._captures = 0
        self._written: frozenset[str] = frozenset()  # names that f itself changes
        update_wrapper(self, f, updated=())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: bound to the instance."""
        if instance is None:
            return self
        given = self._static_numbers, self._static_names, self._donated
        less_one = [frozenset(i - 1 for i in numbers if i > 0) for numbers in (given[0], given[2])]
        bound = self.f.__get__(instance, owner)
        numbers, donated = map(tuple, less_one)
        return jit(bound, numbers, tuple(given[1]), donated, self._quiet)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = _Call(self, args, kwargs)
        entry = self._entry(call)
        leaves = call.leaves
        for x in leaves:
            if x.__class__ is Tensor and x.trace is not None:
                return self._traced(entry, call)
        if not entry.captured.closed:
            return self._traced(entry, call)
        results = entry.program(leaves, *entry.extra)
        if self._donated:
            call.give_away(entry.spares)
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
            args, kwargs = call.arguments(call.leaves)
            return self.f(*args, **kwargs)
        leaves = [x if x.__class__ in PYTHON_NUMBERS else asarray(x) for x in call.leaves]
        found = evaluate(entry.captured.graph, [*leaves, *entry.extra])
        return tree_unflatten(entry.structure, found)

    def _entry(self, call: _Call) -> _Entry:
        """What was captured for arguments of this kind; captured where that has not been done, or
        where what the function reads has changed."""
        entry = self._entries.get(call.key)
        if entry is not None:
            name = entry.changed()
            if name is None:
                return entry
            self._captures += 1
            if self._captures == MANY_CAPTURES:
                warnings.warn(
                    f"{self.name} reads {name!r} from outside, which keeps changing, and is "
                    "captured again each time; pass it as an argument",
                    RuntimeWarning,
                    stacklevel=4,
                )
        structure = None

        def flat(*leaves: Tensor) -> list[Tensor]:
            nonlocal structure
            args, kwargs = call.arguments(leaves)
            variables = [x.mark for x in leaves]
            outs, structure = tree_flatten(self.f(*args, **kwargs))
            call.check_unchanged([x.mark is v for x, v in zip(leaves, variables, strict=True)])
            return outs

        before = Watch(self.f, self._written)
        with no_hidden_randomness(self.name):
            captured = capture(flat, call.variables(), self.name)
        self._written |= before.all_changed()
        watch = Watch(self.f, self._written)
        entry = _Entry(captured, structure, watch, self.name, self._quiet)
        if captured.closed:
            self._entries[call.key] = entry
        return entry


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
        self.spares = Spares()

    def changed(self) -> str | None:
        """The name of something read from outside that has changed its meaning, shape or dtype."""
        for x, aval in zip(self.extra, self._extra_avals, strict=True):
            if x.trace is not None or x.value.shape != aval.shape or x.value.dtype != aval.dtype:
                return "a tensor"
        return self.watch.changed()

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
                kinds.append((value.shape, value.dtype))
            else:
                kinds.append(self._kind(x, i))
        self.key = (self.structure, self.named, static, *kinds)

    def _kind(self, x: Any, i: int) -> Any:
        if x.__class__ is Tensor:
            return Aval(x.shape, x.dtype)
        if x.__class__ in PYTHON_NUMBERS:
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
            tuple((i, type(x), x) for i, x in enumerate(self.args) if self._is_static(i)),
            tuple((k, type(x), x) for k, x in sorted(self.kwargs.items()) if k in names),
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
            Variable(aval_of(x(1)), number=True) if isinstance(x, type) else Variable(Aval(*x))
            for x in kinds
        ]

    def arguments(self, leaves: Sequence[Any]) -> tuple[list, dict]:
        """Positional and named arguments with other leaves in the place of those given."""
        tree = tree_unflatten(self.structure, leaves)
        dynamic, named = tree if self.named else (tree, {})
        rest = iter(dynamic)
        args = [x if self._is_static(i) else next(rest) for i, x in enumerate(self.args)]
        names = self.function._static_names
        return args, {**named, **{k: x for k, x in self.kwargs.items() if k in names}}

    # Errors -----------------------------------------------------------------------------------

    def path(self, i: int) -> str:
        """Where leaf `i` is among the arguments."""
        args, kwargs = self.arguments(range(len(self.leaves)))
        shown = [None if self._is_static(n) else x for n, x in enumerate(args)]
        names = self.function._static_names
        named = {k: x for k, x in kwargs.items() if k not in names}
        tree: Any = (tuple(shown), named) if named else tuple(shown)
        return tree_paths(tree)[i]

    def check_unchanged(self, same: Sequence[bool]) -> None:
        """Raise where the function wrote into an argument: the caller's own would not change."""
        if not all(same):
            raise AutogradError(
                f"{self.function.name}: the function changes its argument "
                f"{self.path(same.index(False))} in place, which the caller would not see; return "
                "the new value instead, or work on a copy (x = x * 1)"
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


@contextmanager
def no_hidden_randomness(name: str) -> Iterator[None]:
    """Raise where the block draws from a global generator: every call would repeat the draw."""
    states = [_fingerprint(np.random.get_state()), python_random.getstate()]  # noqa: NPY002
    yield
    if states != [_fingerprint(np.random.get_state()), python_random.getstate()]:  # noqa: NPY002
        raise AutogradError(
            f"{name}: the function draws random numbers from a global generator, which would be "
            "the same at every call; pass a key, and draw with autograd_core.random"
        )


def _fingerprint(state: Any) -> tuple:
    return (state[1].tobytes(), *state[2:])


def _several(given: Any, kind: type) -> Iterable:
    return (given,) if isinstance(given, kind) else tuple(given)
