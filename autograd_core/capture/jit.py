"""`jit`: capture a function once for each kind of arguments, and run it as a fixed program."""

from __future__ import annotations

import gc
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, update_wrapper
from typing import Any

from autograd_core import debug
from autograd_core.capture.arguments import Call, Options, options
from autograd_core.capture.contents import Contents, Part, Reads, arrays_in, noted_reads, owner
from autograd_core.capture.donation import Spares
from autograd_core.capture.explain import Explanation, explain
from autograd_core.capture.graph import Graph, evaluate
from autograd_core.capture.lowering.program import Program
from autograd_core.capture.randomness import without_hidden_randomness
from autograd_core.capture.running import device_among, runner
from autograd_core.capture.trace import Captured, capture
from autograd_core.capture.watch import MOST, Watch, Written
from autograd_core.errors import AutogradError
from autograd_core.fetching import look_later
from autograd_core.tensor import Tensor, asarray, aval_of, require_within
from autograd_core.tree import tree_flatten, tree_unflatten
from kernels.devices import CPU, on_gpu

LONG_COMPILATION = 2.0
"""Seconds after which a first call says what took so long."""
MOST_KEPT_ALIVE = 64
"""Objects without weak references whose methods' programs are kept, and they with them."""
MANY_CAPTURES = 8
"""Captures for changed names after which a warning says which name it is."""


class jit:
    """`f`, captured when it is first called with arguments of some shapes and dtypes, and run as a
    fixed program from then on.

    Transforms of any order and mode go through: a call on traced values applies the captured
    operations one after the other. What `f` reads from outside (globals, closures, attributes,
    arrays) is watched, and `f` captured again when it changes.

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
        AutogradError: `f` changes an argument in place, or draws from a random generator that it
            does not make itself.
        IndexError: an index or a label is out of bounds; of a program on a GPU when values are next
            fetched from there.
        DonatedError: an argument was donated to an earlier call.

    >>> step = ac.jit(lambda w, x: w - 0.1 * ac.grad(lambda w: ac.sum((w * x) ** 2))(w))
    >>> step(ac.asarray([1.0, 2.0]), ac.asarray([1.0, 0.0]))
    Tensor([0.8, 2. ], dtype=float64)
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
        self._options = options(f, self.name, static_argnums, static_argnames, donate_argnums)
        self._quiet = quiet
        self._captured = _Entries()
        self._of_instances: dict[int, tuple[Any, _Entries]] = {}
        update_wrapper(self, f, updated=())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: bound to the instance, which has programs of its own."""
        if instance is None:
            return self
        found = jit.__new__(jit)
        found.__dict__.update(self.__dict__)
        found.f = self.f.__get__(instance, owner)
        found._options = self._options_of_methods
        found._captured = self._entries_of(instance)
        return found

    @cached_property
    def _options_of_methods(self) -> Options:
        return self._options.of_method

    def _entries_of(self, instance: Any) -> _Entries:
        """What was captured for an instance, as long as it lives."""
        known, number = self._of_instances, id(instance)
        if number not in known:
            try:
                held: Any = weakref.ref(instance, lambda _: known.pop(number, None))
            except TypeError:  # slots without one for weak references: a few are kept alive
                held = instance
                strong = [n for n, (x, _) in known.items() if not isinstance(x, weakref.ref)]
                if len(strong) >= MOST_KEPT_ALIVE:
                    del known[strong[0]]
            known[number] = held, _Entries()
        return known[number][1]

    def __reduce__(self) -> Any:
        """Copies and pickles are captured anew; one that has a name in its module is that one."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(module or "")
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        o = self._options
        return jit, (self.f, tuple(o.numbers), tuple(o.names), tuple(o.donated), self._quiet)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if debug.blocks:
            return self.f(*args, **kwargs)
        call = Call(self._options, args, kwargs)
        entry = self._entry(call)
        if call.traced or not entry.captured.closed:
            return self._traced(entry, call)
        given = list(map(asarray, call.leaves)) if entry.swapped else call.leaves
        results = entry.program(given, *entry.extra)
        if self._options.donated:
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
        call = Call(self._options, args, kwargs)
        entry = self._entry(call)
        program = entry.run if entry.captured.closed else None
        if not hasattr(program, "plan"):
            raise AutogradError(
                f"{self.name}: no program to explain: it is compiled for plain arguments of "
                "NumPy's usual dtypes only, and with Numba (METAGRAD_NUMBA is not 0)"
            )
        arrays = [asarray(x).value for x in (*call.leaves, *entry.extra)] if timed else None
        return explain(program, self.name, arrays)

    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """The captured graph for these arguments, before any pass: `str` prints it, and
        `.picture()` draws it."""
        return self._entry(Call(self._options, args, kwargs)).captured.graph

    def _traced(self, entry: _Entry, call: Call) -> Any:
        """The result on traced values: operation by operation."""
        if entry.captured.calls:  # rules of their own are Python functions
            args, kwargs = call.arguments(call.tree(call.leaves))
            return self.f(*args, **kwargs)
        leaves = map(asarray, call.leaves)
        found = evaluate(entry.captured.graph, [*leaves, *entry.extra])
        return tree_unflatten(entry.structure, entry.within_bounds(found))

    def _entry(self, call: Call) -> _Entry:
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
        with no_collection():
            return self._new_entry(call)

    def _new_entry(self, call: Call) -> _Entry:
        known, structure = self._captured, None

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
                lambda: capture(flat, call.variables(), self.name, bounded=True),
                self.name,
                [x for _, x in before.values()],
            )
        known.note_written(before.all_changed(), before.made())
        watch = Watch(functions, known.written)
        if watch.full:
            warnings.warn(
                f"{self.name} reads more than {MOST} names from outside, of which the rest are not "
                "watched for change",
                RuntimeWarning,
                stacklevel=4,
            )
        for name in Watch(functions).leaks():
            warnings.warn(
                f"{self.name}: the function stores a value that it computes in {name!r}, outside "
                "of itself: that happens only when it is captured, and the value cannot be used; "
                "return it instead",
                RuntimeWarning,
                stacklevel=4,
            )
        entry = _Entry(captured, structure, watch, self.name, self._quiet)
        entry.swapped = call.swapped
        known_values = (*call.leaves, *captured.extra, *captured.graph.constants.values())
        entry.device = device_among(known_values)
        entry.contents = Contents(entry.compared(reads))
        if captured.closed:
            known.entries[call.key] = entry
        return entry


@contextmanager
def no_collection() -> Iterator[None]:
    """Python looks for unreachable cycles each time that many objects have been made: those of a
    graph are reachable, and to look through them takes a third of the time to make them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_freeze_count() == 0:  # what was made becomes old at once, not looked through
                gc.freeze()
                gc.unfreeze()
            gc.enable()


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
    _made: Written = frozenset()

    def note_written(self, changed: Written, made: Written) -> None:
        """What changed while the function was captured. What it made of nothing is watched still,
        unless it makes it again."""
        self.written |= (changed - made) | (changed & self._made)
        self._made |= made


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
        self.device = CPU

    def changed(self) -> str | None:
        """The name of something read from outside that has changed its meaning, shape or dtype."""
        for x, aval in zip(self.extra, self._extra_avals, strict=True):
            if (
                x.interpreter is not None
                or x.value.shape != aval.shape
                or x.value.dtype != aval.dtype
            ):
                return "a tensor"
        name = self.watch.changed()
        return "an array" if name is None and self.contents.changed() else name

    def compared(self, reads: Reads) -> list[Part]:
        """Arrays whose contents went into the graph: what was computed with, and what the function
        names, unless the graph reads it itself."""
        inputs = {id(owner(x)) for x in arrays_in(self.extra)}
        named = arrays_in(x for _, x in self.watch.values())
        return [*reads.parts(), *(Part(x) for x in named if id(owner(x)) not in inputs)]

    def within_bounds(self, results: list[Tensor]) -> list[Tensor]:
        """The function's own results, after a look at those behind them; what lies on a GPU is
        looked at when values are next fetched, so that nothing waits."""
        bounds = self.captured.bounds
        first = len(results) - 2 * len(bounds)
        if bounds and all(x.interpreter is None and on_gpu(x.value) for x in results[first:]):
            look_later([x.value for x in results[first:]], bounds)
            return results[:first]
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
        with no_collection():
            program = runner(self.captured.graph, self.device, self.name, self.spares.empty)
        seconds = time.perf_counter() - start
        if isinstance(program, Program) and seconds > LONG_COMPILATION and not self.quiet:
            print(
                f"{self.name}: compiled {len(program.plan.costs)} steps in {seconds:.1f} s "
                "(once: the next process finds them in its cache)",
                file=sys.stderr,
            )
        return program
