"""`jit`: capture a function once for each kind of arguments, and run it as a fixed program."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial, update_wrapper
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph, Variable, evaluate
from autograd_core.capture.lowering.program import Program, can_compile
from autograd_core.capture.passes import improve
from autograd_core.capture.trace import capture
from autograd_core.errors import AutogradError
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import Aval, Tensor, asarray, aval_of
from autograd_core.tree import tree_flatten, tree_paths, tree_unflatten


class Captured:
    """What one kind of arguments led to.

    Args:
        graph: what was captured.
        structure: of the output.
        closed: whether no value traced outside is among the constants, so that the graph stands for
            itself.
    """

    def __init__(self, graph: Graph, structure: Any, closed: bool):
        self.graph = graph
        self.structure = structure
        self.closed = closed

    @cached_property
    def program(self) -> Callable[[Sequence[Any]], list[Any]]:
        """What runs the graph on plain arrays."""
        improved = improve(self.graph)
        if not can_compile(improved):
            return partial(evaluate, improved)
        return Program(improved)


class jit:
    """`f`, captured when it is first called with arguments of some shapes and dtypes, and run as a
    fixed program from then on.

    Transforms of any order and mode go through: a call on traced values applies the captured
    operations one after the other.

    Args:
        f: a function of pytrees to a pytree of tensors, in this package's operations. It is run
            once for each kind of arguments, so it may not branch on their values, and what it does
            beside computing its result happens then only.
        static_argnums: positional arguments that are not tensors: the program is captured again for
            each of their values, which must be hashable.
        static_argnames: likewise, by name.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
    ):
        self.f = f
        self.name = f"jit of {getattr(f, '__name__', type(f).__name__)}"
        self._static_numbers = frozenset(_several(static_argnums, int))
        self._static_names = frozenset(_several(static_argnames, str))
        self._captured: dict[Hashable, Captured] = {}
        update_wrapper(self, f)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: bound to the instance."""
        return self if instance is None else jit(self.f.__get__(instance, owner))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = _Call(self, args, kwargs)
        captured = self._captured.get(call.key)
        if captured is None:
            captured = self._capture(call)
        leaves = [x if x.__class__ in PYTHON_NUMBERS else asarray(x) for x in call.leaves]
        traced = any(x.__class__ is Tensor and x.trace is not None for x in leaves)
        if traced or not captured.closed:
            return tree_unflatten(captured.structure, evaluate(captured.graph, leaves))
        return tree_unflatten(captured.structure, captured.program(leaves))

    def _capture(self, call: _Call) -> Captured:
        structure = None

        def flat(*leaves: Tensor) -> list[Tensor]:
            nonlocal structure
            args, kwargs = call.arguments(leaves)
            variables = [x.mark for x in leaves]
            outs, structure = tree_flatten(self.f(*args, **kwargs))
            call.check_unchanged([x.mark is v for x, v in zip(leaves, variables, strict=True)])
            return outs

        with no_hidden_randomness(self.name):
            graph, closed = capture(flat, call.variables(), self.name)
        captured = Captured(graph, structure, closed)
        if closed:
            self._captured[call.key] = captured
        return captured


class _Call:
    """The arguments of one call, sorted into static ones and leaves."""

    def __init__(self, function: jit, args: tuple, kwargs: dict[str, Any]):
        self.name = function.name
        numbers = {i % len(args) if args else i for i in function._static_numbers}
        self.static = {i: x for i, x in enumerate(args) if i in numbers}
        self.static_names = {k: x for k, x in kwargs.items() if k in function._static_names}
        dynamic = [x for i, x in enumerate(args) if i not in numbers]
        named = {k: x for k, x in kwargs.items() if k not in function._static_names}
        self.leaves, self.structure = tree_flatten((dynamic, named))
        self.kinds = tuple(map(self._kind, self.leaves, range(len(self.leaves))))
        self.key = (self.structure, self.kinds, *self._static_key())

    def _kind(self, x: Any, i: int) -> Hashable:
        if x.__class__ is Tensor:
            return Aval(x.shape, x.dtype)
        if x.__class__ in PYTHON_NUMBERS:
            return x.__class__
        try:
            return aval_of(asarray(x))
        except AutogradError as error:
            raise type(error)(
                f"{self.name}: argument {self.path(i)}: {error}; or name it in static_argnums"
            ) from None

    def _static_key(self) -> tuple:
        key = (tuple(self.static.items()), tuple(sorted(self.static_names.items())))
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self.name}: a static argument must be hashable ({error}); pass arrays as "
                "ordinary arguments, and tuples instead of lists"
            ) from None
        return key

    def variables(self) -> list[Variable]:
        """A fresh variable for each leaf."""
        return [
            Variable(aval_of(x()), number=True) if isinstance(x, type) else Variable(x)
            for x in self.kinds
        ]

    def arguments(self, leaves: Sequence[Tensor]) -> tuple[list, dict]:
        """Positional and named arguments with other leaves in the place of those given."""
        dynamic, named = tree_unflatten(self.structure, leaves)
        rest = iter(dynamic)
        count = len(dynamic) + len(self.static)
        args = [self.static[i] if i in self.static else next(rest) for i in range(count)]
        return args, {**named, **self.static_names}

    def path(self, i: int) -> str:
        """Where leaf `i` is among the arguments."""
        dynamic, named = tree_unflatten(self.structure, range(len(self.leaves)))
        return tree_paths((tuple(dynamic), named))[i]

    def check_unchanged(self, same: Sequence[bool]) -> None:
        """Raise where the function wrote into an argument: the caller's own would not change."""
        if not all(same):
            raise AutogradError(
                f"{self.name}: the function changes its argument {self.path(same.index(False))} in "
                "place, which the caller would not see; return the new value instead, or work on "
                "a copy (x = x * 1)"
            )


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


def _fingerprint(state: tuple) -> tuple:
    return (state[1].tobytes(), *state[2:])


def _several(given: Any, kind: type) -> Iterable:
    return (given,) if isinstance(given, kind) else tuple(given)
