"""Implicit differentiation: solutions of equations, and derivatives that do not see the solver.

    custom_root(optimality, solver)       x with optimality(x, *args) = 0
    custom_fixed_point(f)                 x with x = f(x, *args)
    conjugate_gradient(matvec, b)         x with matvec(x) = b

A solver is run on values through which no derivative flows. Its result x then meets what the
equation F(x, θ) = 0 reads, θ, in one *call* (see `custom.py`): the identity in x, whose rules are
those of the implicit function theorem,

    dx = -A⁻¹ (∂F/∂θ) dθ        θ̄ = -(∂F/∂θ)ᵀ A⁻ᵀ x̄        A = ∂F/∂x

(Griewank & Walther 2008, ch. 15; Blondel et al. 2022, "Efficient and Modular Implicit
Differentiation"). The linear systems in them are solved without a matrix, and are equations
again, A(p) x - b = 0, whose solutions are differentiated by the same call. So derivatives of any
order follow, and none keeps or sees a solver's iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, NamedTuple

import numpy as np

from autograd_core import transforms
from autograd_core.capture.control import (
    Body,
    Control,
    ControlCall,
    Leaves,
    everywhere,
    scan,
    vmapped,
    while_loop,
)
from autograd_core.capture.graph import evaluate
from autograd_core.custom import call, name_of
from autograd_core.errors import DtypeError, NanError, ShapeError
from autograd_core.ops.arithmetic import where
from autograd_core.ops.elementary import sqrt
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import stop_gradient
from autograd_core.reverse import paused
from autograd_core.tensor import Aval, Tensor, asarray, aval_of, entries
from autograd_core.tree import tree_flatten, tree_leaves, tree_map, tree_paths, tree_unflatten
from kernels.devices import namespace

Apply = Callable[[Leaves], Sequence[Tensor]]
"""A linear map, of leaves to leaves."""
LinearSolver = Callable[[Callable[[Any], Any], Any], Any]
"""`solver(matvec, b) -> x`, on trees."""


# Equations ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Operator:
    """A linear map A(p) that depends on parameters.

    Attributes:
        at: of parameters to the map there.
        at_transposed: of parameters to its transpose.
        solver: of a map A and leaves b to x with A x = b; it is not differentiated.
    """

    at: Callable[[Leaves], Apply]
    at_transposed: Callable[[Leaves], Apply]
    solver: Callable[[Apply, Leaves], Sequence[Tensor]]

    @property
    def transposed(self) -> Operator:
        return replace(self, at=self.at_transposed, at_transposed=self.at)

    def solve(self, p: Leaves, b: Leaves) -> Sequence[Tensor]:
        """x with A(p) x = b, with derivatives in p and b."""
        fixed_p, fixed_b = stop_gradient((list(p), list(b)))
        found = stop_gradient(list(self.solver(self.at(fixed_p), fixed_b)))
        return implicitly(Linear(self, len(b)), [*p, *b], found)


class Equation:
    """F(θ, x) = 0, on leaves. `operator` is ∂F/∂x, a function of `parameters`."""

    operator: Operator

    def residual(self, theta: Leaves, x: Leaves) -> Leaves:
        """F(θ, x)"""
        raise NotImplementedError

    def parameters(self, theta: Leaves, x: Leaves) -> Leaves:
        """What ∂F/∂x depends on."""
        raise NotImplementedError


class Nonlinear(Equation):
    """Any equation.

    Args:
        function: F.
        count: how many leaves x has.
        symmetric: whether ∂F/∂x is.
        solver: see `Operator`.
    """

    def __init__(self, function: Callable, count: int, symmetric: bool, solver: Callable):
        self.function, self.count = function, count
        transposed = self._pushed if symmetric else self._pulled
        self.operator = Operator(self._pushed, transposed, solver)

    def residual(self, theta: Leaves, x: Leaves) -> Leaves:
        return self.function(theta, x)

    def parameters(self, theta: Leaves, x: Leaves) -> Leaves:
        return [*theta, *x]

    def _pushed(self, p: Leaves) -> Apply:
        push = transforms.linearize(*self._at(p))[1]
        return lambda v: push(*v)

    def _pulled(self, p: Leaves) -> Apply:
        pull = transforms.vjp(*self._at(p))[1]
        return lambda v: pull(tuple(v))

    def _at(self, p: Leaves) -> tuple:
        """F as a function of x alone, and x."""
        theta, x = p[: -self.count], p[-self.count :]
        return (lambda *x: tuple(self.residual(theta, x)), *x)


class Linear(Equation):
    """A(p) x - b = 0, where θ is (*p, *b)."""

    def __init__(self, operator: Operator, count: int):
        self.operator, self.count = operator, count

    def parameters(self, theta: Leaves, x: Leaves) -> Leaves:
        return theta[: -self.count]

    def residual(self, theta: Leaves, x: Leaves) -> Leaves:
        p, b = theta[: -self.count], theta[-self.count :]
        return [y - c for y, c in zip(self.operator.at(p)(x), b, strict=True)]


# Their solutions ------------------------------------------------------------------------------


class Mapped(NamedTuple):
    """An axis that `vmap` maps over: which leaves of θ have it, all of x do, and its length."""

    theta: tuple[bool, ...]
    size: int


class Implicit(ControlCall):
    """Arguments: θ, and x with F(θ, x) = 0. Results: x, with its derivatives in θ.

    Control flow, in that a graph holds it as one equation with its rules.

    Args:
        equation: of one element of all mapped axes.
        count: how many leaves x has.
        axes: mapped ones, the innermost first.
    """

    def __init__(self, equation: Equation, count: int, axes: tuple[Mapped, ...] = ()):
        super().__init__("implicit", self._run)
        self.equation, self.count, self.axes = equation, count, axes
        self.primitive = IMPLICIT
        self.params = {"equation": equation, "count": count, "axes": axes}

    def _run(self, *args: Any) -> tuple:
        return args[-self.count :]

    def compiled(self, args: tuple) -> tuple:
        return args[-self.count :]

    def varying(self, flags: Sequence[bool]) -> list[bool]:
        return [any(flags)] * self.count

    def reverse(self, args: tuple, wanted: Sequence[bool]) -> tuple[tuple, tuple]:
        x = call(self, args)  # whose lower levels differentiate it too
        return x, x

    def pull(self, args: tuple, residuals: tuple, cts: tuple, wanted: Sequence[bool]) -> Sequence:
        theta = args[: -self.count]
        count = len(theta)
        chosen = [i for i, flag in enumerate(wanted[: -self.count]) if flag]

        def rule(*leaves: Any) -> list:
            theta, x, cts = self._parts(leaves, count)
            adjoint = self.equation.operator.transposed.solve(
                self.equation.parameters(theta, x), cts
            )
            residual = _in_some(self.equation.residual, theta, x, chosen)
            _, pulled = transforms.vjp(residual, *(theta[i] for i in chosen))
            return [-g for g in pulled(tuple(adjoint))]

        for theta_has, size in self.axes:
            of_x = (True,) * self.count
            rule = vmapped(rule, _first_axes((*theta_has, *of_x, *of_x)), size)
            rule = _summed(rule, [theta_has[i] for i in chosen])
        found = dict(zip(chosen, rule(*theta, *residuals, *cts), strict=True))
        return [found.get(i) for i in range(len(args))]

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        x = call(self, args)
        theta = args[: -self.count]
        count = len(theta)
        chosen = [i for i, t in enumerate(tangents[: -self.count]) if t is not None]

        def rule(*leaves: Any) -> list:
            theta, x, moves = self._parts(leaves, count)
            residual = _in_some(self.equation.residual, theta, x, chosen)
            _, change = transforms.jvp(residual, tuple(theta[i] for i in chosen), tuple(moves))
            p = self.equation.parameters(theta, x)
            return [-t for t in self.equation.operator.solve(p, change)]

        for theta_has, size in self.axes:
            moved = tuple(theta_has[i] for i in chosen)
            flags = (*theta_has, *(True,) * self.count, *moved)
            rule = vmapped(rule, _first_axes(flags), size)
        return x, tuple(rule(*theta, *x, *(tangents[i] for i in chosen)))

    def _parts(self, leaves: Leaves, first: int) -> tuple[Leaves, Leaves, Leaves]:
        """θ, x, and what comes behind."""
        second = first + self.count
        return leaves[:first], leaves[first:second], leaves[second:]

    def for_all(self, args: Leaves, batched: Sequence[bool], size: int) -> Sequence:
        theta, x = args[: -self.count], args[-self.count :]
        of_theta, of_x = tuple(batched[: -self.count]), batched[-self.count :]
        axes = (*self.axes, Mapped(of_theta, size))
        x = [everywhere(y, b, size) for y, b in zip(x, of_x, strict=True)]
        return call(Implicit(self.equation, self.count, axes), [*theta, *x])


class _Identity(Control):
    """Its results are its last arguments."""

    def shape(self, *avals: Any, **params: Any) -> tuple[Aval, ...]:
        return avals[-params["count"] :]


IMPLICIT = _Identity("implicit", Implicit)


def implicitly(equation: Equation, theta: Leaves, x: Leaves) -> tuple:
    """x, a solution of the equation, with its derivatives in θ."""
    return call(Implicit(equation, len(x)), [*theta, *x])


def _in_some(f: Callable, theta: Leaves, x: Leaves, chosen: Sequence[int]) -> Callable:
    """F as a function of some leaves of θ."""

    return lambda *some: tuple(f(_replaced(theta, chosen, some), x))


def _first_axes(flags: Sequence[bool]) -> tuple[int | None, ...]:
    return tuple(0 if flag else None for flag in flags)


def _summed(rule: Callable, has_axis: Sequence[bool]) -> Callable:
    """A mapped rule, with the cotangents of what is not mapped summed."""
    return lambda *leaves: [
        g if has else sum_(g, 0) for g, has in zip(rule(*leaves), has_axis, strict=True)
    ]


# Functions of trees as functions of leaves ----------------------------------------------------


class Unknown(NamedTuple):
    """What an equation is solved for: a tree of real tensors.

    Attributes:
        name: of the function that solves it, for errors.
        leaves, structure: of a solution, or of the right-hand side of a linear system.
    """

    name: str
    leaves: list[Tensor]
    structure: Any

    @classmethod
    def of(cls, name: str, what: str, tree: Any) -> Unknown:
        """
        Raises:
            DtypeError: a leaf of the tree, which errors call `what`, is not a real number.
        """
        leaves, structure = tree_flatten(tree)
        leaves = [asarray(leaf) for leaf in leaves]
        for path, x in zip(tree_paths(tree), leaves, strict=True):
            if x.dtype.kind != "f":
                raise DtypeError(
                    f"{name}: {what}{path} has dtype {x.dtype}; expected real floating-point "
                    "numbers (a complex unknown is two real ones; an integer is an argument)"
                )
        return cls(name, leaves, structure)

    def tree(self, leaves: Leaves) -> Any:
        return tree_unflatten(self.structure, leaves)

    def zeros(self) -> list[Tensor]:
        return [transforms.zeros_of(x) for x in self.leaves]

    def like(self, what: str, found: Any) -> list[Tensor]:
        """The leaves of a tree that a function gave, in the dtypes of the unknown.

        Raises:
            ValueError, ShapeError: it differs from the unknown in structure or shape.
        """
        outs, structure = tree_flatten(found)
        if structure != self.structure:
            raise ValueError(
                f"{self.name}: {what} has the structure {structure}; expected that of x, "
                f"{self.structure}"
            )
        outs = list(map(asarray, outs))
        for path, y, x in zip(tree_paths(found), outs, self.leaves, strict=True):
            if y.shape != x.shape:
                raise ShapeError(
                    f"{self.name}: {what}{path} has shape {y.shape}; expected that of x{path}, "
                    f"{x.shape}"
                )
        return [asarray(y, x.dtype) for y, x in zip(outs, self.leaves, strict=True)]

    def function(self, f: Callable, what: str, args: tuple) -> tuple[Callable, list[Tensor]]:
        """`f(x, *args)` as a function of θ and x on leaves, and θ: all that is traced of what it
        reads beside x, from its arguments or by closure."""
        flat = lambda args, x: self.like(what, f(self.tree(x), *args))
        avals = list(map(aval_of, self.leaves))
        body = Body(lambda *x: flat(args, x), avals, self.name)
        traced = [i for i, y in enumerate(body.outside) if y.interpreter is not None]
        fixed = [None if y.interpreter is not None else y for y in body.outside]

        def apply(theta: Leaves, x: Leaves) -> Leaves:
            return evaluate(body.graph, [*_replaced(fixed, traced, theta), *x])

        return apply, [body.outside[i] for i in traced]


def _replaced(values: Leaves, places: Sequence[int], others: Leaves) -> list:
    """Values with others in some places."""
    full = list(values)
    for i, y in zip(places, others, strict=True):
        full[i] = y
    return full


def _linear_solver(solver: LinearSolver, unknown: Unknown) -> Callable[[Apply, Leaves], list]:
    """A solver on trees as one on leaves."""

    def solve(apply: Apply, b: Leaves) -> list:
        matvec = lambda v: unknown.tree(apply(tree_leaves(v)))
        return unknown.like("linear_solver's result", solver(matvec, unknown.tree(b)))

    return solve


# Roots and fixed points -----------------------------------------------------------------------


def custom_root(
    optimality: Callable[..., Any],
    solver: Callable[..., Any],
    linear_solver: LinearSolver | None = None,
    symmetric: bool = False,
) -> Callable[..., Any]:
    """A solver of equations whose solution has derivatives: those of the equation, not of the
    solver's steps.

    The result is a function `(init, *args)` of trees to x with `optimality(x, *args) = 0`. By the
    implicit function theorem dx = -A⁻¹ (∂F/∂args) dargs with A = ∂F/∂x at the solution: a linear
    system for each tangent, or, transposed, for each cotangent. Nothing of the solver is recorded,
    so memory does not grow with its iterations; it may be any program, where it is not captured or
    mapped (SciPy's on `x.numpy()`, say). Derivatives are as exact as the solution is. All
    transforms, of any order, go through.

    Args:
        optimality: F, a function `(x, *args)` to a tree of the structure and shapes of x: the
            gradient of what x minimises, say. No derivative is lost in what it closes over.
        solver: a function `(init, *args)` to x. It is given values through which no derivative
            flows; under `jit` and `vmap` its loops are written with `while_loop` or `scan`.
        linear_solver: `(matvec, b)` to the x with matvec(x) = b, on trees of the structure of x;
            `normal_conjugate_gradient` by default, or `conjugate_gradient` where A is symmetric.
            It is not differentiated either, and should be linear in b.
        symmetric: A is, as a Hessian: `matvec` then multiplies by it forward over reverse, and
            its transpose is not asked for. The default `linear_solver` takes it to be positive
            definite, too.

    Returns:
        A function `(init, *args)`. `init`, where it is not None, has the structure and shapes of
        x; no derivative flows to it. Leaves of `args` that are no tensors, or integers, are given
        to both functions as they are.

    Raises:
        ValueError, ShapeError: optimality(x) or the solver's result differ from x or `init` in
            structure or shape.
        DtypeError: x is not of real floating-point numbers.
        NanError: the solver's result is not finite; where it is captured by `jit` there is no
            error, but the NaN. A linear system without a solution gives derivatives that are NaN.

    >>> ridge = lambda w, x, y, strength: x.T @ (x @ w - y) + strength * w
    >>> solve = lambda _, x, y, strength: ac.solve(x.T @ x + strength * ac.eye(2), x.T @ y)
    >>> fit = ac.custom_root(ridge, solve, symmetric=True)
    >>> x, y = ac.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), ac.asarray([1.0, 2.0, 4.0])
    >>> ac.jvp(lambda strength: fit(None, x, y, strength), (1.0,), (1.0,))
    (Tensor([0.8   , 1.2667], dtype=float64), Tensor([-0.0667, -0.1778], dtype=float64))
    """
    name = f"custom_root({name_of(optimality)})"
    linear_solver = linear_solver or _default_linear_solver(symmetric)

    @wraps(optimality)
    def root(init: Any, *args: Any) -> Any:
        unknown = _solved(name, solver, init, args)
        function, theta = unknown.function(optimality, "optimality's result", args)
        return _attached(unknown, function, theta, linear_solver, symmetric)

    return root


def custom_fixed_point(
    f: Callable[..., Any],
    solver: Callable[..., Any] | None = None,
    linear_solver: LinearSolver | None = None,
    symmetric: bool = False,
    tolerance: float | None = None,
    iterations: int = 1000,
) -> Callable[..., Any]:
    """A function `(init, *args)` to the x with x = f(x, *args), whose derivatives are those of that
    equation: see `custom_root`, with F = f(x, *args) - x.

    Args:
        f: a function `(x, *args)` to a tree of the structure and shapes of x.
        solver: a function `(init, *args)` to x; where there is none, f is applied to `init` again
            and again, which converges if f is a contraction.
        linear_solver, symmetric: see `custom_root`; A is ∂f/∂x - 1.
        tolerance: without a solver, iterate until |f(x) - x| <= tolerance · (1 + |x|); three
            quarters of the digits that the dtype has by default.
        iterations: without a solver, the most of them; where they do not suffice x is NaN.

    Raises:
        ValueError, ShapeError, DtypeError, NanError: see `custom_root`.

    >>> cosine = ac.custom_fixed_point(lambda x, a: ac.cos(a * x))
    >>> cosine(1.0, 1.0), ac.grad(cosine, 1)(1.0, 1.0)
    (Tensor(0.7391, dtype=float64), Tensor(-0.2975, dtype=float64))
    """
    name = f"custom_fixed_point({name_of(f)})"
    linear_solver = linear_solver or _default_linear_solver(symmetric)
    if solver is None:
        solver = partial(_iterated, name, f, tolerance, iterations)

    @wraps(f)
    def fixed_point(init: Any, *args: Any) -> Any:
        unknown = _solved(name, solver, init, args)
        function, theta = unknown.function(f, "f's result", args)

        def residual(theta: Leaves, x: Leaves) -> Leaves:
            return [y - z for y, z in zip(function(theta, x), x, strict=True)]

        return _attached(unknown, residual, theta, linear_solver, symmetric)

    return fixed_point


def _default_linear_solver(symmetric: bool) -> LinearSolver:
    return conjugate_gradient if symmetric else normal_conjugate_gradient


def _attached(
    unknown: Unknown,
    function: Callable,
    theta: Leaves,
    linear_solver: LinearSolver,
    symmetric: bool,
) -> Any:
    """The solution as a tree, with its derivatives."""
    solver = _linear_solver(linear_solver, unknown)
    equation = Nonlinear(function, len(unknown.leaves), symmetric, solver)
    return unknown.tree(implicitly(equation, theta, unknown.leaves))


def _solved(name: str, solver: Callable, init: Any, args: tuple) -> Unknown:
    """What a solver gives, through which no derivative flows."""
    # What it closes over may be traced.
    with paused():
        found = solver(_stopped(init), *_stopped(args))
    unknown = Unknown.of(name, "solver's result", _stopped(found))
    if init is not None:
        _check_like_init(unknown, init, found)
    for path, x in zip(tree_paths(found), unknown.leaves, strict=True):
        values = entries(x)
        if values is not None and not namespace(values).isfinite(values).all():
            raise NanError(
                f"{name}: solver's result{path} is not finite: it has not converged, or there is "
                "no solution"
            )
    return unknown


def _stopped(tree: Any) -> Any:
    return tree_map(lambda x: stop_gradient(x) if x.__class__ is Tensor else x, tree)


def _check_like_init(unknown: Unknown, init: Any, found: Any) -> None:
    starts, structure = tree_flatten(init)
    if structure != unknown.structure:
        raise ValueError(
            f"{unknown.name}: solver's result has the structure {unknown.structure}; expected that "
            f"of init, {structure}"
        )
    for path, x, start in zip(tree_paths(found), unknown.leaves, starts, strict=True):
        if x.shape != aval_of(start).shape:
            raise ShapeError(
                f"{unknown.name}: solver's result{path} has shape {x.shape}; expected that of "
                f"init{path}, {aval_of(start).shape}"
            )


def _iterated(
    name: str, f: Callable, tolerance: float | None, iterations: int, init: Any, *args: Any
) -> Any:
    """f applied to `init` until that changes nothing; NaN where that does not happen."""
    unknown = Unknown.of(name, "init", init)
    apply = lambda x: unknown.like("f's result", f(unknown.tree(x), *args))
    limit = _tolerance(tolerance, unknown.leaves)

    def is_far(x: Leaves, before: Leaves) -> Tensor:
        change = [y - z for y, z in zip(x, before, strict=True)]
        return sqrt(_dot(change, change)) > limit * (1.0 + sqrt(_dot(x, x)))

    def proceeds(carry: tuple) -> Tensor:
        x, before, count = carry
        return (count < iterations) & is_far(x, before)

    first = apply(unknown.leaves)
    start = (first, unknown.leaves, asarray(1))
    x, before, _ = while_loop(proceeds, lambda c: (apply(c[0]), c[0], c[2] + 1), start)
    return unknown.tree([where(is_far(x, before), np.nan, y) for y in x])


# Linear systems -------------------------------------------------------------------------------


def conjugate_gradient(
    matvec: Callable[[Any], Any],
    b: Any,
    tolerance: float | None = None,
    iterations: int | None = None,
    damping: Any = 0.0,
) -> Any:
    """The x with matvec(x) + damping · x = b, for a symmetric positive definite linear map.

    Hestenes & Stiefel 1952. The result is differentiated as the solution of that system, whatever
    its iterations: in b, and in what `matvec` and `damping` depend on, by further calls.

    Args:
        matvec: a linear function of trees of the structure and shapes of b.
        b: a tree of real tensors.
        tolerance: iterate until |residual| <= tolerance · |b|; where that is not reached, x is
            NaN. Three quarters of the digits that the dtype has by default, where `iterations` is
            not given.
        iterations: without a tolerance, how many there are, converged or not, as iMAML takes five
            (Rajeswaran et al. 2019); with one, the most: ten times the entries of b, or 100 if that
            is more, by default.
        damping: a number.

    Raises:
        ValueError, ShapeError: matvec(b) differs from b in structure or shape.
        DtypeError: b is not of real floating-point numbers.

    >>> a = ac.asarray([[4.0, 1.0], [1.0, 3.0]])
    >>> ac.conjugate_gradient(lambda v: a @ v, ac.asarray([1.0, 2.0]))
    Tensor([0.0909, 0.6364], dtype=float64)
    >>> ac.grad(lambda s: ac.sum(ac.conjugate_gradient(lambda v: s * (a @ v), ac.ones(2))))(1.0)
    Tensor(-0.4545, dtype=float64)
    """
    solver = partial(_conjugate_gradient, tolerance=tolerance, iterations=iterations)
    unknown = Unknown.of("conjugate_gradient", "b", b)

    def damped(v: Any) -> Any:
        found = unknown.like("matvec's result", matvec(v))
        pairs = zip(found, tree_leaves(v), strict=True)
        return unknown.tree([y + damping * x for y, x in pairs])

    apply, theta = unknown.function(damped, "matvec's result", ())
    at = lambda p: partial(apply, p)
    return unknown.tree(Operator(at, at, solver).solve(theta, unknown.leaves))


def normal_conjugate_gradient(
    matvec: Callable[[Any], Any],
    b: Any,
    tolerance: float | None = None,
    iterations: int | None = None,
) -> Any:
    """The x with matvec(x) = b, for any invertible linear map: conjugate gradients on the normal
    equations AᵀA x = Aᵀb, without forming them (CGLS, Björck 1996, §7.4).

    It converges for every such map, if slowly for an ill-conditioned one: its iterations grow with
    the condition number, those of `conjugate_gradient` with its root. The transpose is taken
    from `matvec`.

    Args:
        matvec, b, tolerance, iterations: see `conjugate_gradient`.

    Raises:
        ValueError, ShapeError, DtypeError: see `conjugate_gradient`.

    >>> a = ac.asarray([[0.0, 2.0], [-1.0, 1.0]])
    >>> ac.normal_conjugate_gradient(lambda v: a @ v, ac.asarray([2.0, 0.0]))
    Tensor([1., 1.], dtype=float64)
    """
    unknown = Unknown.of("normal_conjugate_gradient", "b", b)
    apply, theta = unknown.function(matvec, "matvec's result", ())
    zeros = unknown.zeros()
    solver = partial(_normal_conjugate_gradient, tolerance=tolerance, iterations=iterations)
    at = lambda p: partial(apply, p)
    transposed = lambda p: _transposed(at(p), zeros)
    return unknown.tree(Operator(at, transposed, solver).solve(theta, unknown.leaves))


def _transposed(apply: Apply, like: Leaves) -> Apply:
    pull = transforms.vjp(lambda *v: tuple(apply(v)), *like)[1]
    return lambda v: pull(tuple(v))


def _conjugate_gradient(
    apply: Apply, b: Leaves, tolerance: float | None, iterations: int | None
) -> Sequence[Tensor]:
    start = (list(map(transforms.zeros_of, b)), list(b), list(b), _dot(b, b))
    nothing = _nothing(start, tolerance)

    def step(x: Leaves, r: Leaves, p: Leaves, rr: Tensor) -> tuple:
        q = apply(p)
        alpha = _ratio(rr, _dot(p, q), nothing)
        x, r = _plus(x, alpha, p), _plus(r, -alpha, q)
        after = _dot(r, r)
        return x, r, _plus(r, _ratio(after, rr, nothing), p), after

    return _converged(step, start, tolerance, iterations)


def _normal_conjugate_gradient(
    apply: Apply, b: Leaves, tolerance: float | None, iterations: int | None
) -> Sequence[Tensor]:
    transposed = _transposed(apply, b)
    first = list(transposed(b))
    start = (list(map(transforms.zeros_of, b)), list(b), first, _dot(first, first))
    nothing = _nothing(start, tolerance)

    def step(x: Leaves, r: Leaves, p: Leaves, ss: Tensor) -> tuple:
        q = apply(p)
        alpha = _ratio(ss, _dot(q, q), nothing)
        x, r = _plus(x, alpha, p), _plus(r, -alpha, q)
        s = transposed(r)
        after = _dot(s, s)
        return x, r, _plus(s, _ratio(after, ss, nothing), p), after

    return _converged(step, start, tolerance, iterations)


def _converged(
    step: Callable[..., tuple], start: tuple, tolerance: float | None, iterations: int | None
) -> Sequence[Tensor]:
    """Iterate, from x = 0, and the residual b second in what is carried."""
    if tolerance is None and iterations is not None:
        return scan(lambda carry, _: (step(*carry), None), start, length=iterations)[0][0]
    b = start[1]
    most = max(100, 10 * sum(x.size for x in b)) if iterations is None else iterations
    limit = _tolerance(tolerance, b) ** 2 * _dot(b, b)
    is_far = lambda carry: ~(_dot(carry[1], carry[1]) <= limit)  # NaN is far
    proceeds = lambda both: (both[1] < most) & is_far(both[0])
    advance = lambda both: (step(*both[0]), both[1] + 1)
    carry, _ = while_loop(proceeds, advance, (start, asarray(0)))
    return [where(is_far(carry), np.nan, y) for y in carry[0]]


def _tolerance(given: float | None, leaves: Leaves) -> float:
    """What was given, or three quarters of the digits of the coarsest dtype."""
    return max(np.finfo(x.dtype).eps for x in leaves) ** 0.75 if given is None else given


def _dot(x: Leaves, y: Leaves) -> Tensor:
    return sum((sum_(a * b) for a, b in zip(x, y, strict=True)), start=asarray(0.0, x[0].dtype))


def _plus(x: Leaves, scale: Tensor, y: Leaves) -> list[Tensor]:
    """x + scale · y, in the dtypes of x."""
    return [a + asarray(scale, a.dtype) * b for a, b in zip(x, y, strict=True)]


def _nothing(start: tuple, tolerance: float | None) -> Any:
    """A square of a residual, the last of what is carried, of which only rounding errors are left.
    Further iterations make it smaller until squares are no numbers of the dtype any more. With a
    tolerance that says when to end."""
    square = start[-1]
    return np.finfo(square.dtype).eps ** 2 * square if tolerance is None else 0.0


def _ratio(a: Tensor, b: Tensor, nothing: Any) -> Tensor:
    """a / b, but 0 for an a of no more than `nothing`, where nothing is left to do, and NaN for
    a / 0: there is no solution in this direction."""
    return where(a <= nothing, 0.0, a / where(b == 0, np.nan, b))
