"""Nested derivatives of functions that close over each other's variables (Siskind & Pearlmutter
2005): each derivative must see its own variable and treat the others as constants."""

import itertools

import numpy as np
import pytest

import autograd_core as ac


def by_grad(f):
    return ac.grad(f)


def by_jvp(f):
    return lambda x: ac.jvp(f, (x,), (1.0,))[1]


def by_linearize(f):
    return lambda x: ac.linearize(f, x)[1](1.0)


def by_vjp(f):
    return lambda x: ac.vjp(f, x)[1](1.0)[0]


def by_jacrev(f):
    return ac.jacrev(f)


def by_jacfwd(f):
    return ac.jacfwd(f)


def by_backward(f):
    def derivative(x):
        leaf = ac.Tensor(x, requires_grad=True)
        f(leaf).backward()
        return leaf.grad

    return derivative


MODES = [by_grad, by_jvp, by_linearize, by_vjp, by_jacrev, by_jacfwd]
PAIRS = list(itertools.product(MODES, MODES))
pairs = pytest.mark.parametrize(("outer", "inner"), PAIRS, ids=lambda d: d.__name__)


@pairs
def test_inner_derivative_of_a_sum(outer, inner):
    """d/dx [x · d/dy (x + y)] = d/dx [x · 1] = 1; confusion gives 2."""
    assert float(outer(lambda x: x * inner(lambda y: x + y)(2.0))(3.0)) == 1.0


@pairs
def test_inner_derivative_of_a_product(outer, inner):
    """d/dx [x · d/dy (x · y)] = d/dx x² = 2x."""
    assert float(outer(lambda x: x * inner(lambda y: x * y)(5.0))(3.0)) == 6.0


@pairs
def test_inner_derivative_at_the_outer_variable(outer, inner):
    """d/dx [d/dy (x · y²) at y = x] = d/dx 2x² = 4x."""
    assert float(outer(lambda x: inner(lambda y: x * y * y)(x))(3.0)) == 12.0


@pairs
def test_inner_function_ignores_its_argument(outer, inner):
    """d/dx [d/dy x] = 0."""
    assert float(outer(lambda x: inner(lambda y: x * x + 0.0 * y)(1.0) + x)(3.0)) == 1.0


@pytest.mark.parametrize("modes", list(itertools.product(MODES[:3], repeat=3)))
def test_three_levels(modes):
    """d/dx [x · d/dy [y · d/dz (x y z)]] = d/dx [x · d/dy (x y²)] = d/dx [2 x² y] = 4 x y."""
    one, two, three = modes
    f = one(lambda x: x * two(lambda y: y * three(lambda z: x * y * z)(7.0))(5.0))
    assert float(f(3.0)) == 60.0


def test_third_derivative_by_every_nesting():
    x = 0.6
    for modes in itertools.product(MODES, repeat=3):
        f = ac.sin
        for mode in modes:
            f = mode(f)
        assert float(f(x)) == pytest.approx(-np.cos(x), rel=1e-12)


@pytest.mark.parametrize("inner", MODES)
def test_inside_backward(inner):
    """The tape of `requires_grad` is below every transform: d/dx [x · 2 x · x] = 6 x²."""
    assert float(by_backward(lambda x: x * inner(lambda y: x * y * y)(x))(3.0)) == 54.0


def test_backward_tensors_in_a_transform_are_constants_for_it():
    w = ac.Tensor(2.0, requires_grad=True)
    slope = ac.grad(lambda x: w * x * x)(5.0)
    assert float(slope.detach()) == 20.0
    slope.backward()
    assert float(w.grad) == 10.0


@pytest.mark.parametrize("inner", MODES)
def test_vmap_between_derivatives(inner):
    """d/dx Σᵢ d/dy (x · y · cᵢ) at y = cᵢ  =  Σ cᵢ."""
    c = np.array([1.0, 2.0, 4.0])

    def f(x):
        return ac.sum(ac.vmap(lambda ci: inner(lambda y: x * y * ci)(ci))(c))

    for outer in MODES:
        assert float(outer(f)(3.0)) == 7.0
