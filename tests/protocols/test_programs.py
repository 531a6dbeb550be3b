"""Programs that know NumPy alone, taken as they are: their gradients and second derivatives beside
the differences of the same functions on arrays, in every transform."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.tree import tree_leaves, tree_map
from tests.protocols.programs import fluid, gaussian_process, recurrent

STEP = 1e-6


class Program(NamedTuple):
    module: Any
    f: Callable
    args: tuple  # what is differentiated
    rest: tuple  # what is not

    def __call__(self, *args: Any) -> Any:
        return self.f(*args, *self.rest)


THETA, X, Y, NEW = gaussian_process.example()
U, V, SMOKE, PARAMETERS, TARGET = fluid.example()
WEIGHTS, TEXT = recurrent.example()

DATA = (THETA, X, Y, NEW)
PROGRAMS = {
    "Gaussian process": Program(gaussian_process, gaussian_process.objective, DATA, ()),
    "recurrent network": Program(recurrent, recurrent.loss, (WEIGHTS,), (TEXT,)),
    "fluid": Program(fluid, fluid.mismatch, (U, V, SMOKE, PARAMETERS), (TARGET,)),
}  # fmt: skip

each_program = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())


def direction(program: Program) -> tuple:
    rng = np.random.default_rng(9)
    return tree_map(lambda x: rng.normal(size=x.shape) / np.sqrt(x.size), program.args)


def all_arguments(program: Program) -> tuple[int, ...]:
    return tuple(range(len(program.args)))


def inner(a: Any, b: Any) -> float:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return float(sum(np.sum(np.asarray(x) * np.asarray(y)) for x, y in pairs))


def differences(f: Callable, program: Program) -> float:
    """The derivative along a direction of a function of arrays."""
    ts = direction(program)
    at = lambda s: f(*tree_map(lambda x, t: x + s * t, program.args, ts))
    return float(at(STEP) - at(-STEP)) / (2 * STEP)


def require_close(found: float, expected: float, tolerance: float = 1e-7) -> None:
    assert abs(found - expected) <= tolerance * max(1.0, abs(expected)), (found, expected)


@each_program
def test_it_knows_numpy_alone_and_is_of_some_size(program: Program) -> None:
    source = inspect.getsource(program.module)
    assert len(source.splitlines()) > 100
    assert [line for line in source.splitlines() if line.startswith(("import", "from"))] == [
        "import numpy as np"
    ]


@each_program
def test_values(program: Program) -> None:
    on_arrays = program(*program.args)
    on_tensors = program(*tree_map(ac.asarray, program.args))
    assert isinstance(on_tensors, ac.Tensor)
    assert not isinstance(on_arrays, ac.Tensor)
    require_close(on_tensors.item(), float(on_arrays), 1e-12)


@each_program
def test_gradients(program: Program) -> None:
    gradient = ac.grad(program, all_arguments(program))(*program.args)
    require_close(inner(gradient, direction(program)), differences(program, program))
    pushed = ac.jvp(program, program.args, direction(program))[1]
    require_close(pushed.item(), inner(gradient, direction(program)), 1e-10)


@each_program
def test_second_derivatives(program: Program) -> None:
    ts = direction(program)
    slope = lambda *args: ac.jvp(program, args, ts)[1]
    found = inner(ac.grad(slope, all_arguments(program))(*program.args), ts)
    require_close(found, differences(lambda *args: slope(*args).item(), program), 1e-6)


@each_program
def test_backward(program: Program) -> None:
    args = tree_map(lambda x: ac.Tensor(x, requires_grad=True), program.args)
    program(*args).backward()
    expected = ac.grad(program, all_arguments(program))(*program.args)
    for x, g in zip(tree_leaves(args), tree_leaves(expected), strict=True):
        np.testing.assert_allclose(x.grad.numpy(), g.numpy(), rtol=1e-10, atol=1e-12)


@each_program
def test_mapped(program: Program) -> None:
    """Of the constants the floats are mapped too: an array that is indexed by mapped places must be
    a tensor. Integers are not: the program fills an array at them."""
    first = (*program.args, *program.rest)
    axes = tuple(None if x is TEXT else 0 for x in first)
    pairs = list(zip(first, axes, strict=True))
    rows = [first, [x if a is None else tree_map(lambda x: x[::-1], x) for x, a in pairs]]
    stacked = [
        tree_map(lambda *xs: np.stack(xs), *xs) if a == 0 else xs[0]
        for a, *xs in zip(axes, *rows, strict=True)
    ]
    gradient = ac.grad(program.f, all_arguments(program))
    found = ac.vmap(gradient, in_axes=axes)(*stacked)
    for i, row in enumerate(rows):
        for a, b in zip(tree_leaves(found), tree_leaves(gradient(*row)), strict=True):
            np.testing.assert_allclose(a.numpy()[i], b.numpy(), rtol=1e-8, atol=1e-10)


@each_program
def test_compiled(program: Program) -> None:
    numbers = all_arguments(program)
    gradient = ac.grad(program, numbers)
    expected = gradient(*program.args)
    compiled = ac.jit(gradient)(*program.args)
    through = ac.grad(ac.jit(program), numbers)(*program.args)
    for a, b, c in zip(*map(tree_leaves, (expected, compiled, through)), strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(c.numpy(), a.numpy(), rtol=1e-9, atol=1e-11)


def test_these_tests_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of a program whose derivative is lost is noticed."""
    sample = fluid.sample
    monkeypatch.setattr(fluid, "sample", lambda f, x, y: sample(f, ac.stop_gradient(x), y))
    with pytest.raises(AssertionError):
        test_gradients(PROGRAMS["fluid"])
