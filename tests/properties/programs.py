"""Random programs: straight-line code over small arrays, with transforms of inner programs in it.

A program works on registers: its argument first, then values from the program around it, then the
result of each of its steps. A step applies an operation to registers, or a transform to an inner
program at a register. One interpreter runs a program on any set of operations and transforms, so
that the engine and the oracle get the very same one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import autograd_core as ac
from tests.properties import oracle

MAX_SIZE = 6
Shape = tuple[int, ...]


# Operations -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """`run(m, *arrays)` with the functions of a module m, for arrays of shapes that `fits`."""

    name: str
    arity: int
    run: Callable
    fits: Callable[..., bool] = lambda *_shapes: True


def _broadcast(*shapes: Shape) -> bool:
    try:
        return int(np.prod(np.broadcast_shapes(*shapes))) <= MAX_SIZE
    except ValueError:
        return False


def _matrices(a: Shape, b: Shape) -> bool:
    return bool(a and b) and max(len(a), len(b)) <= 2 and a[-1] == b[0 if len(b) == 1 else -2]


def _has_axis(a: Shape) -> bool:
    return len(a) > 0


def _joinable(a: Shape, b: Shape) -> bool:
    return len(a) == len(b) > 0 and a[1:] == b[1:] and np.prod(a) + np.prod(b) <= MAX_SIZE


def _checkers(shape: Shape) -> np.ndarray:
    return (np.arange(int(np.prod(shape))).reshape(shape) * 7) % 3 < 1


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
    Operation("add at", 1, lambda m, x: m.add_at(x, np.array([0, 0]), m.sin(x)[:1]), _has_axis),
]


# Programs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Apply:
    """An operation on registers."""

    operation: Operation
    operands: tuple[int, ...]

    def __repr__(self) -> str:
        return f"{self.operation.name}{self.operands}"


@dataclass(frozen=True)
class Transformed:
    """A transform of an inner program, at a register and in the direction of another."""

    transform: str
    inner: Program
    at: int
    direction: int
    axes: tuple[int, int] = (0, 0)

    def __repr__(self) -> str:
        return f"{self.transform}[{self.inner}](r{self.at}, r{self.direction}, {self.axes})"


@dataclass(frozen=True)
class Program:
    """Steps over registers; `closure` are the registers of the outer program that it starts with
    after its argument. Its result is its last register."""

    closure: tuple[int, ...] = ()
    steps: tuple[Apply | Transformed, ...] = field(default=())

    def __repr__(self) -> str:
        return f"closure{self.closure}: " + "; ".join(map(repr, self.steps))


def run(program: Program, m: Any, transforms: dict, x: Any, outer: Sequence[Any] = ()) -> Any:
    """The result of a program at x."""
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
        outer = dict(zip(step.inner.closure, closed, strict=True)) if closed else registers
        return run(step.inner, m, transforms, y, outer)

    apply = transforms[step.transform]
    closed = [registers[i] for i in step.inner.closure]
    return apply(inner, registers[step.at], registers[step.direction], step.axes, closed)


# What the transforms are, for the engine and for the oracle --------------------------------------


class EngineOperations:
    """The engine's functions; the few that are methods, as functions."""

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


ORACLE: dict[str, Callable] = {
    "call": lambda f, x, _t, _axes, _closed: f(x),
    "grad": lambda f, x, _t, _axes, _closed: oracle.grad(f, x),
    "vjp": lambda f, x, _t, _axes, _closed: oracle.vjp(f, x, oracle.Operations.sin(f(x))),
    "jvp": lambda f, x, t, _axes, _closed: oracle.jvp(f, x, t)[1],
    "linearize": lambda f, x, t, _axes, _closed: oracle.jvp(f, x, t)[1],
    "jacrev": lambda f, x, _t, _axes, _closed: oracle.jacobian(f, x),
    "jacfwd": lambda f, x, _t, _axes, _closed: oracle.jacobian(f, x),
    "vmap": lambda f, x, _t, axes, _closed: oracle.vmap(f, x, *axes),
    "checkpoint": lambda f, x, _t, _axes, _closed: f(x),
}


# Drawing programs -----------------------------------------------------------------------------


@st.composite
def programs(draw: Any, depth: int, shape: Shape, outer: Sequence[Shape] = ()) -> Program:
    """Programs of an argument of some shape, with transforms nested up to `depth`."""
    closure = tuple(draw(st.lists(st.integers(0, len(outer) - 1), max_size=2))) if outer else ()
    shapes = [shape, *(outer[i] for i in closure)]
    steps: list[Apply | Transformed] = []
    inner_step = draw(st.integers(0, 2)) if depth else None
    for k in range(draw(st.integers(1, 3)) + (depth > 0)):
        if k == inner_step:
            step, result = draw(_transformed(depth, shapes))
        else:
            step, result = draw(_applied(shapes))
        steps.append(step)
        shapes.append(result)
    return Program(closure, tuple(steps))


def result_shape(program: Program, shape: Shape, outer: Sequence[Shape]) -> Shape:
    """The shape of a program's result, found by running it on zeros without transforms."""
    zeros = [oracle.objects(np.zeros(s)) for s in outer]
    return run(program, oracle.Operations, ORACLE, oracle.objects(np.zeros(shape)), zeros).shape


@st.composite
def _applied(draw: Any, shapes: list[Shape]) -> tuple[Apply, Shape]:
    """An operation that fits, on the newest register and, where it takes two, any other."""
    newest = len(shapes) - 1
    pairs = sorted({p for i in range(newest + 1) for p in ((newest, i), (i, newest))})
    fitting = [
        (operation, operands)
        for operation in OPERATIONS
        for operands in (pairs if operation.arity == 2 else [(newest,)])
        if operation.fits(*(shapes[i] for i in operands))
    ]
    operation, operands = draw(st.sampled_from(fitting))
    zeros = [oracle.objects(np.zeros(shapes[i])) for i in operands]
    result = operation.run(oracle.Operations, *zeros).shape
    if int(np.prod(result)) > MAX_SIZE or len(result) > 3:
        return Apply(OPERATIONS[0], (newest,)), shapes[newest]
    return Apply(operation, operands), result


@st.composite
def _transformed(draw: Any, depth: int, shapes: list[Shape]) -> tuple[Transformed, Shape]:
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
    inner = draw(programs(depth - 1, shape, shapes))
    out = result_shape(inner, shape, shapes)
    out_axis = draw(st.integers(0, len(out))) if transform == "vmap" else 0
    if transform.startswith("jac") and int(np.prod(out)) * int(np.prod(shape)) > MAX_SIZE:
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
