"""Random programs: straight-line code over small arrays, with transforms of inner programs in it.

    @given(random_programs(shape=(2, 3)), tensors(shapes=(2, 3)))
    def test_both_modes_agree(program, x): ...  # program(x) is a tensor

A program works on registers: its argument first, then values from the program around it, then the
result of each of its steps. A step applies an operation to registers, or a transform to an inner
program at a register. One interpreter runs a program on any set of operations and transforms: on
tensors, on the arrays of an oracle, and on text, which is how a program is printed.

Needs Hypothesis installed.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.errors import ShapeError
from autograd_core.testing.draw import Shape

MAX_SIZE = 6
"""Registers are no larger than this, or than the argument if that is larger."""
MAX_RANK = 3
"""Registers have no more axes than this, or than the argument if that has more."""


# Operations -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """`run(m, *arrays)` with the functions of a module m, for arrays of shapes that `fits`."""

    name: str
    arity: int
    run: Callable
    fits: Callable[..., bool] = lambda *_shapes: True


def _broadcast(a: Shape, b: Shape) -> bool:
    return all(1 in pair or pair[0] == pair[1] for pair in zip(a[::-1], b[::-1], strict=False))


def _matrices(a: Shape, b: Shape) -> bool:
    return bool(a and b) and max(len(a), len(b)) <= 2 and a[-1] == b[0 if len(b) == 1 else -2]


def _has_axis(a: Shape) -> bool:
    return len(a) > 0


def _joinable(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) > 0 and a[1:] == b[1:]


def _checkers(shape: Shape) -> np.ndarray:
    return (np.arange(math.prod(shape)).reshape(shape) * 7) % 3 < 1


OPERATIONS = [
    Operation("sin", 1, lambda m, x: m.sin(x)),
    Operation("tanh", 1, lambda m, x: m.tanh(x)),
    Operation("exp", 1, lambda m, x: m.exp(m.multiply(m.sin(x), 0.5))),
    Operation("square", 1, lambda m, x: m.square(x)),
    Operation("negative", 1, lambda m, x: m.negative(x)),
    Operation("absolute", 1, lambda m, x: m.absolute(x)),
    Operation("relu", 1, lambda m, x: m.relu(x)),
    Operation("add", 2, lambda m, x, y: m.add(x, y), _broadcast),
    Operation("subtract", 2, lambda m, x, y: m.subtract(x, y), _broadcast),
    Operation("multiply", 2, lambda m, x, y: m.multiply(x, y), _broadcast),
    Operation("maximum", 2, lambda m, x, y: m.maximum(x, y), _broadcast),
    Operation(
        "where", 2, lambda m, x, y: m.where(_checkers(x.shape), m.sin(x), y), lambda a, b: a == b
    ),
    Operation("matmul", 2, lambda m, x, y: m.matmul(x, y), _matrices),
    Operation("sum", 1, lambda m, x: m.sum(x, 0), _has_axis),
    Operation("sum all", 1, lambda m, x: m.sum(x)),
    Operation("max", 1, lambda m, x: m.max(x, -1), _has_axis),
    Operation("prod", 1, lambda m, x: m.prod(x, 0), _has_axis),
    Operation("cumsum", 1, lambda m, x: m.cumsum(x, 0), _has_axis),
    Operation("transpose", 1, lambda m, x: m.transpose(x)),
    Operation("ravel", 1, lambda m, x: m.ravel(x)),
    Operation("reshape", 1, lambda m, x: m.reshape(x, (*x.shape[::-1], 1))),
    Operation("flip", 1, lambda m, x: m.flip(x, 0), _has_axis),
    Operation("first", 1, lambda m, x: m.getitem(x, 0), _has_axis),
    Operation("slice", 1, lambda m, x: m.getitem(x, (..., slice(None, None, -2))), _has_axis),
    Operation("new axis", 1, lambda m, x: m.getitem(x, (None, ...))),
    Operation("fancy", 1, lambda m, x: m.getitem(x, np.array([-1, 0, -1])), lambda a: len(a) == 1),
    Operation("concatenate", 2, lambda m, x, y: m.concatenate([x, y], 0), _joinable),
    Operation("set", 2, lambda m, x, y: m.set_at(x, 0, y), lambda a, b: len(a) > 0 and a[1:] == b),
    Operation(
        "add at",
        1,
        lambda m, x: m.add_at(x, np.array([0, 0]), m.getitem(m.sin(x), slice(None, 1))),
        _has_axis,
    ),
]


# Programs -------------------------------------------------------------------------------------


class Apply(NamedTuple):
    """An operation on registers."""

    operation: Operation
    operands: tuple[int, ...]


class Transformed(NamedTuple):
    """A transform of an inner program, at a register and in the direction of another."""

    transform: str
    inner: Program
    at: int
    direction: int
    axes: tuple[int, int] = (0, 0)


@dataclass(frozen=True, repr=False)
class Program:
    """A function of one tensor: steps over registers, the last of which is its result.

    Its repr is a function in Python that computes the same, where `ac` is this package.

    Attributes:
        steps: what is done.
        shapes: of all registers.
        closure: the registers of the outer program that it starts with after its argument.
    """

    steps: tuple[Apply | Transformed, ...]
    shapes: tuple[Shape, ...]
    closure: tuple[int, ...] = ()

    @property
    def shape(self) -> Shape:
        """The argument's shape."""
        return self.shapes[0]

    @property
    def result_shape(self) -> Shape:
        return self.shapes[-1]

    def __call__(self, x: Any) -> ac.Tensor:
        """The result at a floating-point tensor: a tensor of shape `result_shape`.

        Raises:
            ShapeError: x is not of shape `shape`.
        """
        x = ac.asarray(x)
        if x.shape != self.shape:
            raise ShapeError(f"program: expected an argument of shape {self.shape}, got {x.shape}")
        return run(self, EngineOperations(), ENGINE, x)

    def __repr__(self) -> str:
        outer = [f"outer[{i}]" for i in range(max(self.closure, default=-1) + 1)]
        return "\n".join(_Writer().function(self, "program", "x", outer))

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """What Hypothesis prints, which would list the fields of a dataclass otherwise."""
        printer.text(repr(self))


def run(program: Program, m: Any, transforms: dict, x: Any, outer: Sequence[Any] = ()) -> Any:
    """The result of a program at x.

    Args:
        program: what to run.
        m: the module whose functions the operations are.
        transforms: by their names: `transform(function, x, direction, axes, closed)`.
        x: the argument.
        outer: the registers of the program around it.
    """
    registers = [x, *(outer[i] for i in program.closure)]
    for step in program.steps:
        if isinstance(step, Apply):
            value = step.operation.run(m, *(registers[i] for i in step.operands))
        else:
            value = _run_transformed(step, m, transforms, registers)
        registers.append(value)
    return registers[-1]


def _run_transformed(step: Transformed, m: Any, transforms: dict, registers: list) -> Any:
    def inner(y: Any, *closed: Any) -> Any:
        outer: Any = dict(zip(step.inner.closure, closed, strict=True)) if closed else registers
        return run(step.inner, m, transforms, y, outer)

    apply = transforms[step.transform]
    closed = [registers[i] for i in step.inner.closure]
    return apply(inner, registers[step.at], registers[step.direction], step.axes, closed)


# What operations and transforms are for tensors -----------------------------------------------


class EngineOperations:
    """The engine's functions; the few that are methods, as functions."""

    getitem = staticmethod(lambda x, key: x[key])
    set_at = staticmethod(lambda x, key, values: x.at[key].set(values))
    add_at = staticmethod(lambda x, key, values: x.at[key].add(values))

    def __getattr__(self, name: str) -> Any:
        return getattr(ac, name)


def _summed(f: Callable) -> Callable:
    return lambda x: ac.sum(f(x))


ENGINE: dict[str, Callable] = {
    "call": lambda f, x, _t, _axes, _closed: f(x),
    "grad": lambda f, x, _t, _axes, _closed: ac.grad(_summed(f))(x),
    "vjp": lambda f, x, _t, _axes, _closed: _pull_own_output(f, x),
    "jvp": lambda f, x, t, _axes, _closed: ac.jvp(f, (x,), (t,))[1],
    "linearize": lambda f, x, t, _axes, _closed: ac.linearize(f, x)[1](t),
    "jacrev": lambda f, x, _t, _axes, _closed: ac.jacrev(f)(x),
    "jacfwd": lambda f, x, _t, _axes, _closed: ac.jacfwd(f)(x),
    "vmap": lambda f, x, _t, axes, _closed: ac.vmap(f, axes[0], axes[1])(x),
    # What is differentiated must reach a checkpointed function as an argument.
    "checkpoint": lambda f, x, _t, _axes, closed: ac.checkpoint(f)(x, *closed),
}


def _pull_own_output(f: Callable, x: Any) -> Any:
    out, pull = ac.vjp(f, x)
    return pull(ac.sin(out))[0]


# What they are for text -----------------------------------------------------------------------


class Written(NamedTuple):
    """An expression, of a shape where that is known."""

    text: str
    shape: Shape = ()


class WrittenOperations:
    """The engine's functions, as the expressions of calls of them."""

    @staticmethod
    def getitem(x: Written, key: Any) -> Written:
        return Written(f"{x.text}[{_key(key)}]")

    @staticmethod
    def set_at(x: Written, key: Any, values: Written) -> Written:
        return Written(f"{x.text}.at[{_key(key)}].set({values.text})")

    @staticmethod
    def add_at(x: Written, key: Any, values: Written) -> Written:
        return Written(f"{x.text}.at[{_key(key)}].add({values.text})")

    def __getattr__(self, name: str) -> Callable[..., Written]:
        return lambda *args: Written(f"ac.{name}({', '.join(map(_text, args))})")


def _text(x: Any) -> str:
    if isinstance(x, Written):
        return x.text
    if isinstance(x, list):
        return f"[{', '.join(map(_text, x))}]"
    return f"np.array({x.tolist()})" if isinstance(x, np.ndarray) else repr(x)


def _key(key: Any) -> str:
    """A key, as it stands between brackets."""
    if isinstance(key, tuple):
        return ", ".join(map(_key, key))
    if isinstance(key, slice):
        ends = ("" if end is None else str(end) for end in (key.start, key.stop, key.step))
        return ":".join(ends).removesuffix(":")
    return "..." if key is ... else _text(key)


WRITTEN = {
    "call": "{f}({x})",
    "grad": "ac.grad(lambda v: ac.sum({f}(v)))({x})",
    "vjp": "(lambda out, pull: pull(ac.sin(out))[0])(*ac.vjp({f}, {x}))",
    "jvp": "ac.jvp({f}, ({x},), ({t},))[1]",
    "linearize": "ac.linearize({f}, {x})[1]({t})",
    "jacrev": "ac.jacrev({f})({x})",
    "jacfwd": "ac.jacfwd({f})({x})",
    "vmap": "ac.vmap({f}, {axes[0]}, {axes[1]})({x})",
    "checkpoint": "ac.checkpoint({f})({all})",
}
"""The expressions of what is in `ENGINE`."""


class _Writer:
    """Writes programs as functions in Python; no two variables of one have the same name."""

    def __init__(self) -> None:
        self._number = itertools.count(1)

    def function(
        self, program: Program, name: str, argument: str, outer: Sequence[str], given: str = ""
    ) -> Iterator[str]:
        """The lines of a function; `given` are arguments beside the first."""
        yield f"def {name}({argument}{given}):  # of shape {program.shape}"
        names = [argument, *(outer[i] for i in program.closure)]
        for step in program.steps:
            lines, expression = self.step(step, names, program.shapes)
            yield from (f"    {line}" for line in lines)
            names.append(f"t{next(self._number)}")
            yield f"    {names[-1]} = {expression}"
        yield f"    return {names[-1]}"

    def step(
        self, step: Apply | Transformed, names: list[str], shapes: Sequence[Shape]
    ) -> tuple[list[str], str]:
        """What has to be defined for a step, and its expression."""
        if isinstance(step, Apply):
            operands = [Written(names[i], shapes[i]) for i in step.operands]
            return [], step.operation.run(WrittenOperations(), *operands).text
        number = next(self._number)
        closed = [names[step.at], *(names[i] for i in step.inner.closure)]
        given = ""
        if step.transform == "checkpoint":
            given = "".join(f", {name}" for name in dict.fromkeys(closed[1:]))
        lines = self.function(step.inner, f"f{number}", f"x{number}", names, given)
        expression = WRITTEN[step.transform].format(
            f=f"f{number}",
            x=names[step.at],
            t=names[step.direction],
            axes=step.axes,
            all=names[step.at] + given,
        )
        return list(lines), expression


# Drawing programs -----------------------------------------------------------------------------


class _Limits(NamedTuple):
    """What programs do not exceed."""

    steps: int
    size: int
    rank: int

    def allow(self, shape: Shape) -> bool:
        return math.prod(shape) <= self.size and len(shape) <= self.rank


def random_programs(
    max_steps: int = 4, depth: int = 0, shape: Shape = (2, 3)
) -> st.SearchStrategy[Program]:
    """Random programs: differentiable functions of one tensor, made of arithmetic, reductions,
    indexing and the like.

    Some have kinks (`absolute`, `relu`, `max`), which `well_separated` arguments mostly avoid.

    Args:
        max_steps: up to so many steps, and as many in each inner program.
        depth: up to so many transforms (`grad`, `vjp`, `jvp`, `linearize`, `jacrev`, `jacfwd`,
            `vmap`, `checkpoint`) lie within each other. 0 for no transforms.
        shape: of the argument.

    Raises:
        ValueError: `max_steps` is below 1, or `depth` below 0.
    """
    if max_steps < 1 or depth < 0:
        raise ValueError(
            f"random_programs: expected max_steps >= 1 and depth >= 0, got {max_steps} and {depth}"
        )
    size, rank = max(MAX_SIZE, math.prod(shape)), max(MAX_RANK, len(shape))
    return _programs(_Limits(max_steps, size, rank), depth, tuple(shape))


@st.composite
def _programs(
    draw: Any, limits: _Limits, depth: int, shape: Shape, outer: Sequence[Shape] = ()
) -> Program:
    """Programs of an argument of some shape, with transforms nested up to `depth`."""
    closure = tuple(draw(st.lists(st.integers(0, len(outer) - 1), max_size=2))) if outer else ()
    shapes = [shape, *(outer[i] for i in closure)]
    steps: list[Apply | Transformed] = []
    count = draw(st.integers(1, limits.steps))
    place = draw(st.integers(0, 15)) if depth else 0  # of a transform; 0 is for none
    for k in range(count):
        is_transform = place > 0 and (place - 1) % count == k
        kind = _transformed(limits, depth, shapes) if is_transform else _applied(limits, shapes)
        step, result = draw(kind)
        steps.append(step)
        shapes.append(result)
    return Program(tuple(steps), tuple(shapes), closure)


@st.composite
def _applied(draw: Any, limits: _Limits, shapes: list[Shape]) -> tuple[Apply, Shape]:
    """An operation that fits, on the newest register and, where it takes two, any other."""
    newest = len(shapes) - 1
    pairs = sorted({p for i in range(newest + 1) for p in ((newest, i), (i, newest))})
    fitting = []
    for operation in OPERATIONS:
        for operands in pairs if operation.arity == 2 else [(newest,)]:
            taken = tuple(shapes[i] for i in operands)
            if operation.fits(*taken):
                result = _result_shape(operation, taken)
                if limits.allow(result):
                    fitting.append((Apply(operation, operands), result))
    return draw(st.sampled_from(fitting))


@functools.cache
def _result_shape(operation: Operation, shapes: tuple[Shape, ...]) -> Shape:
    return operation.run(EngineOperations(), *map(ac.zeros, shapes)).shape


@st.composite
def _transformed(
    draw: Any, limits: _Limits, depth: int, shapes: list[Shape]
) -> tuple[Transformed, Shape]:
    transform = draw(st.sampled_from(sorted(ENGINE)))
    at = draw(st.integers(0, len(shapes) - 1))
    if transform == "vmap" and not shapes[at]:
        transform = "jvp"
    shape, axis = shapes[at], 0
    if transform == "vmap":
        axis = draw(st.integers(0, len(shape) - 1))
        shape = shape[:axis] + shape[axis + 1 :]
    alike = [i for i, s in enumerate(shapes) if s == shapes[at]]
    direction = draw(st.sampled_from(alike))
    inner = draw(_programs(limits, depth - 1, shape, shapes))
    out = inner.result_shape
    out_axis = draw(st.integers(0, len(out))) if transform == "vmap" else 0
    if transform.startswith("jac") and math.prod(out) * math.prod(shape) > limits.size:
        transform = "jvp"
    step = Transformed(transform, inner, at, direction, (axis, out_axis))
    return step, _shape_of(step, shapes[at], out)


def _shape_of(step: Transformed, shape: Shape, out: Shape) -> Shape:
    if step.transform in ("grad", "vjp"):
        return shape
    if step.transform in ("jacrev", "jacfwd"):
        return out + shape
    if step.transform == "vmap":
        n, place = shape[step.axes[0]], step.axes[1]
        return (*out[:place], n, *out[place:])
    return out
