"""Primitives, interpreters, and the few lines through which every operation passes.

A primitive is one record that holds every rule of one operation. An interpreter is a transform at
work: it has a level, and one method that processes a primitive applied to arguments of which some
are traced by it. `bind` hands each application to the highest interpreter among its arguments, or,
where none is traced, to the primitive's kernel.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from autograd_core.errors import (
    AutogradError,
    DeviceError,
    DeviceMemoryError,
    DtypeError,
    EscapedTracerError,
    RuleError,
    ShapeError,
    operation,
)
from autograd_core.tensor import FREE, NUMBER, Array, Tensor, aval_of, box
from kernels.devices import has_failed, on_gpu

Rule = Callable[..., Any]

DROP, LIKE, KEEP = 0, 1, 2
"""What the tape keeps of a value: nothing, its shape and dtype, or the value."""

REGISTRY: dict[str, Primitive] = {}
"""Every primitive, by name; the laws run over all of them."""


class no_rule:
    """Fills the slot of a rule that does not exist, and says why when it is asked for."""

    def __init__(self, why: str):
        self.why = why
        self.name = "?"

    def __call__(self, *args: Any, **params: Any) -> Any:
        raise RuleError(f"{self.name}: {self.why}")


class Primitive:
    """One operation and all of its rules.

    Rules are written in the engine's own operations, so that they can be differentiated and mapped
    themselves. Argument `i` of the primitive has the rules `vjps[i]` and `jvps[i]`.

    Args:
        name: unique name, shown in errors.
        kernel: `kernel(*arrays, **params) -> array`, on raw arrays.
        shape: `shape(*avals, **params) -> Aval`, the output's shape and dtype.
        vjps: one `rule(g, out, *args, **params)` for each argument: the cotangent of that argument
            from the cotangent `g` of the output. The names of its parameters after `g` say what the
            tape must keep: `x` keeps the value, `x_like` only its shape and dtype, `_x` nothing.
        jvps: one `rule(t, out, *args, **params)` for each argument: what the tangent `t` of that
            argument adds to the output's tangent.
        batch: `batch(size, args, batched, **params) -> out`, where `batched[i]` says whether
            argument `i` carries the mapped axis (axis 0); the result carries it on axis 0.
        domain: `domain(draw) -> (args, params)`, which draws arguments that the laws are checked
            on (see `autograd_core.testing`).
        differentiable: False where the output is piecewise constant or not a real number, so that
            no derivative flows.
        multiple: the primitive returns a tuple; `g`, `out` and the results of rules are tuples.
        variadic: the number of arguments varies; `vjps` and `jvps` then hold one rule each, which
            takes the argument's index first.
        reads: for each argument, what its rules read of (out, *args), where the names of their
            parameters do not say it.
        complex: whether it is defined for complex numbers too, with the same rules: True where
            the laws are checked on arguments of `domain` with imaginary parts, or another domain.
    """

    broadcasts = False
    joint = None  # a rule that gives the cotangents of all arguments at once: see custom.py

    def __init__(
        self,
        name: str,
        kernel: Callable[..., Array],
        *,
        shape: Rule,
        vjps: Sequence[Rule] = (),
        jvps: Sequence[Rule] = (),
        batch: Rule,
        domain: Rule | None = None,
        differentiable: bool = True,
        multiple: bool = False,
        variadic: bool = False,
        reads: Sequence[Sequence[int]] | None = None,
        complex: Rule | bool = False,
    ):
        if name in REGISTRY:
            raise ValueError(f"a primitive named {name!r} exists already")
        if differentiable and not (vjps and len(vjps) == len(jvps)):
            raise ValueError(
                f"{name}: expected a vjp and a jvp rule for each argument, got {len(vjps)} and "
                f'{len(jvps)}; fill a missing one with no_rule("why")'
            )
        self.name = name
        self.kernel = kernel
        self.shape = shape
        self.vjps: Any = _EveryArgument(vjps[0]) if variadic else tuple(vjps)
        self.jvps: Any = _EveryArgument(jvps[0]) if variadic else tuple(jvps)
        self.batch = batch
        self.domain = domain
        self.complex = complex
        self.differentiable = differentiable
        self.multiple = multiple
        self.variadic = variadic
        skip = 2 if variadic else 1  # (index and) cotangent or tangent
        self.vjp_reads = _codes(reads or [names_read(rule, skip) for rule in vjps])
        self.jvp_reads = _codes(reads or [names_read(rule, skip) for rule in jvps])
        for rule in (*vjps, *jvps, batch, shape):
            if isinstance(rule, no_rule):
                rule.name = name
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __call__(self, *args: Any, **params: Any) -> Any:
        return bind(self, args, params)


class _EveryArgument:
    """The one rule of a variadic primitive, as an endless row of rules: one for each argument."""

    def __init__(self, rule: Rule):
        self.rule = rule

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> Rule:
        return partial(self.rule, i)

    def __iter__(self) -> Iterator[Rule]:
        return (self[i] for i in count())


def _codes(reads: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, reads))


def names_read(rule: Rule, skip: int) -> list[int]:
    """What a rule reads of its parameters after the first `skip`, told by their names.

    `_x` is not read, `x_like` is read for its shape and dtype, anything else for its value. A
    starred parameter speaks for all arguments from there on.
    """
    if isinstance(rule, no_rule):
        return [DROP]
    parameters = list(inspect.signature(rule).parameters.values())[skip:]
    return [
        DROP if p.name.startswith("_") else LIKE if p.name.endswith("like") else KEEP
        for p in parameters
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]


class Interpreter:
    """A transform at work. Subclasses say what applying a primitive means to them."""

    __slots__ = ("__weakref__", "level", "live")

    def __init__(self, level: int):
        self.level = level
        self.live = True

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        """Apply `primitive` to `args`, of which at least one is traced here."""
        raise NotImplementedError

    def process_call(self, function: Any, args: tuple) -> tuple:
        """Apply a `custom.Call` to `args`, of which at least one is traced here."""
        raise NotImplementedError

    def process1(self, primitive: Any, x: Tensor) -> Tensor:
        """`process` for an elementwise primitive of one argument; a place to be fast."""
        return self.process(primitive, (x,), {})

    def process2(self, primitive: Any, x: Any, y: Any) -> Tensor:
        """`process` for an elementwise primitive of two arguments; a place to be fast."""
        return self.process(primitive, (x, y), {})

    def lower(self, x: Any) -> Any:
        """The value one level down of what is traced here; anything else as it is."""
        return x.value if x.__class__ is Tensor and x.interpreter is self else x

    def shape_of(self, tensor: Tensor) -> tuple[int, ...]:
        return tensor.value.shape

    def note_mapped(self, tensors: Sequence[Tensor]) -> None:
        """Told by `vmap` of the tensors traced here whose axis 0 it maps over."""

    def require_within(self, tensor: Tensor, low: int, high: int, otherwise: str) -> None:
        """Asked to look later at values that are not known yet; see `tensor.require_within`."""

    def is_number(self, tensor: Tensor) -> bool:
        """Whether what is traced here stands for a Python number."""
        return False

    def note_rules(self) -> None:
        """Told when a function is captured that has rules of its own."""

    def note_no_grad(self, begins: bool) -> None:
        """Told when a block begins, or ends, in which nothing is recorded."""

    def check_live(self) -> None:
        if not self.live:
            raise EscapedTracerError(
                f"a value traced by {self.describe()} was used after that transform had ended; "
                "return it from the transformed function (has_aux=True for extra results) "
                "instead of storing it outside"
            )

    def check_concrete(self, tensor: Tensor, wanted: str) -> None:
        """Raise where `tensor` has no single value to look at."""

    def describe(self) -> str:
        return type(self).__name__.lower()


class _Levels(threading.local):
    def __init__(self) -> None:
        self.stack: list[Interpreter] = []


_levels = _Levels()
_next_level = count(1).__next__
"""One count for all threads: a transform entered later is the inner one, in another thread too."""


@contextmanager
def new_level(make: Callable[[int], Any]) -> Iterator[Any]:
    """Enter an interpreter above all those now at work; it is dead when the block is left."""
    stack = _levels.stack
    interpreter = make(_next_level())
    stack.append(interpreter)
    try:
        yield interpreter
    finally:
        interpreter.live = False
        popped = stack.pop()
        assert popped is interpreter, "transforms must be left in the order they were entered"


def live_interpreters() -> tuple[Interpreter, ...]:
    """The interpreters at work in this thread, lowest level first."""
    return tuple(_levels.stack)


def bind(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """Apply a primitive: through the highest interpreter among `args`, else by its kernel."""
    trace = None
    level = -1
    for x in args:
        if x.__class__ is Tensor:
            t = x.interpreter
            if t is not None and t.level > level:
                trace, level = t, t.level
    if trace is not None:
        return trace.process(primitive, tuple(args), params)
    try:
        out = primitive.kernel(*[x.value if x.__class__ is Tensor else x for x in args], **params)
    except Exception as error:
        out = again(primitive, args, params, error)
    first, mark = args[0], None
    if first.__class__ is Tensor and first.mark is FREE and _all_free(args):
        mark = FREE
    if primitive.multiple:
        return tuple(box(y, None, mark) for y in out)
    return box(out, None, mark)


def _all_free(args: Sequence[Any]) -> bool:
    """Whether nobody placed any of the arrays."""
    return all(x.mark is FREE or x.mark is NUMBER for x in args if x.__class__ is Tensor)


def again(primitive: Primitive, args: Sequence[Any], params: dict, error: Exception) -> Any:
    """What a kernel gives where arrays that nobody placed first had to be brought to the device of
    the others.

    Raises:
        Exception: that was not what was wrong; the operation and its arguments are named.
    """
    from autograd_core.device import gathered

    try:
        arrays = gathered(args)
        if arrays is not None:
            return primitive.kernel(*arrays, **params)
    except Exception as another:
        error = another
    raise explain(primitive, args, params, error) from error


def plus(a: Any, b: Any) -> Any:
    """The sum of two (co)tangents; None is zero, a tuple belongs to several outputs."""
    if a is None or b is None:
        return b if a is None else a
    if a.__class__ is tuple:
        return tuple(map(plus, a, b))
    return a + b


def explain(primitive: Primitive, args: Sequence[Any], params: dict, error: Exception) -> Exception:
    """The error that a kernel raised, with the operation and its arguments named."""
    if isinstance(error, DeviceError):
        error.args = (f"{primitive.name}: {error}",)
    if isinstance(error, MemoryError) and any(map(_is_on_gpu, args)):
        given = ", ".join(map(describe_argument, args))
        return DeviceMemoryError(f"{primitive.name}({given}): {error}. {DeviceMemoryError.ADVICE}")
    if isinstance(error, AutogradError | MemoryError | FloatingPointError):
        return error
    if has_failed(error):
        return DeviceError(f"{primitive.name}: the GPU failed ({error})")
    given = ", ".join(map(describe_argument, args))
    options = "".join(f", {k}={_short(v)}" for k, v in params.items())
    message = f"{primitive.name}({given}{options}): {error}"
    asked = operation()  # logsumexp, say, where max is what fails
    if asked and asked != f"{primitive.name}: ":
        message = f"{asked}in {message}"
    if isinstance(error, IndexError):
        return IndexError(message)
    if isinstance(error, np.linalg.LinAlgError):
        return np.linalg.LinAlgError(message)
    return (DtypeError if isinstance(error, TypeError) else ShapeError)(message)


def _is_on_gpu(x: Any) -> bool:
    return on_gpu(x.value if x.__class__ is Tensor else x)


def _short(x: Any) -> str:
    """What x looks like, if it does not look like much: graphs do."""
    text = repr(x)
    return text if len(text) <= 100 else f"{text[:60]}…"


def describe_argument(x: Any) -> str:
    """`float32[3,4]` for an array, the number itself for a number."""
    if x.__class__ is Tensor and isinstance(x.value, int | float | complex):
        return repr(x.value)  # a number beside a tensor: see declare.operand_beside
    if x.__class__ is Tensor or hasattr(x, "dtype"):
        aval = aval_of(x)
        return f"{aval.dtype}[{','.join(map(str, aval.shape))}]"
    return repr(x)
