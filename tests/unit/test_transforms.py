"""Transforms on pytrees, keywords, auxiliary results; and how they agree with each other."""

from typing import NamedTuple

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.tree import register_pytree, tree_leaves, tree_structure

DRIFT = 1e-13  # relative to entries of order 1


class Layer(NamedTuple):
    w: object
    b: object


class Box:
    def __init__(self, inside):
        self.inside = inside


register_pytree(Box, lambda box: ((box.inside,), None), lambda _meta, children: Box(*children))


def parameters():
    rng = np.random.default_rng(0)
    return {
        "first": Layer(rng.normal(size=(3, 2)), rng.normal(size=2)),
        "rest": [Layer(rng.normal(size=(2, 2)), None), (rng.normal(size=()),)],
        "none": None,
    }


def model(p, x):
    h = ac.tanh(ac.matmul(x, p["first"].w) + p["first"].b)
    h = ac.matmul(h, p["rest"][0].w)
    return ac.sum(ac.sin(h)) * p["rest"][1][0]


X = np.linspace(-1, 1, 3)


def close(got, expected):
    assert tree_structure(got) == tree_structure(expected)
    for a, b in zip(tree_leaves(got), tree_leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=DRIFT, atol=DRIFT)


# Trees ----------------------------------------------------------------------------------------


def test_gradient_of_a_tree_has_its_structure():
    p = parameters()
    g = ac.grad(model)(p, X)
    assert tree_structure(g) == tree_structure(p)
    assert isinstance(g["first"], Layer)
    assert g["none"] is None and g["rest"][0].b is None
    out, tangent = ac.jvp(lambda p: model(p, X), (p,), (p,))
    expected = sum(
        float(ac.sum(a * b)) for a, b in zip(tree_leaves(g), tree_leaves(p), strict=True)
    )
    assert float(tangent) == pytest.approx(expected, rel=1e-12)
    assert float(out) == float(model(p, X))


def test_all_modes_agree_on_a_tree():
    p = parameters()
    g = ac.grad(model)(p, X)
    close(ac.vjp(lambda p: model(p, X), p)[1](1.0)[0], g)
    close(ac.jacrev(model)(p, X), g)
    close(ac.jacfwd(model)(p, X), g)
    _, push = ac.linearize(lambda p: model(p, X), p)
    close(push(p), ac.jvp(lambda p: model(p, X), (p,), (p,))[1])


def test_registered_containers():
    g = ac.grad(lambda box: ac.sum(box.inside["a"] ** 2))(Box({"a": X}))
    assert isinstance(g, Box)
    np.testing.assert_array_equal(g.inside["a"], 2 * X)


def test_vmap_over_trees():
    p = parameters()
    stacked = ac.tree_map(lambda a: np.stack([a, 2 * a]), p)
    got = ac.vmap(ac.grad(model), (0, None))(stacked, X)
    each = [ac.grad(model)(ac.tree_map(lambda a, i=i: a[i], stacked), X) for i in range(2)]
    for i in range(2):
        close(ac.tree_map(lambda a, i=i: a[i], got), each[i])


def test_in_axes_as_a_tree_prefix():
    batch = {"x": np.ones((2, 3)), "y": np.arange(6.0).reshape(3, 2)}
    got = ac.vmap(lambda t: ac.sum(t["x"] * t["y"]), ({"x": 0, "y": 1},))(batch)
    np.testing.assert_array_equal(got, batch["y"].sum(0))
    got = ac.vmap(lambda t, c: ac.sum(t["x"]) * c, (0, None))({"x": np.ones((2, 3))}, 5.0)
    np.testing.assert_array_equal(got, [15.0, 15.0])


def test_out_axes():
    x = np.arange(6.0).reshape(2, 3)
    got = ac.vmap(lambda r: (r, r, 7.0), 0, (0, 1, None))(x)
    np.testing.assert_array_equal(got[0], x)
    np.testing.assert_array_equal(got[1], x.T)
    assert float(got[2]) == 7.0
    np.testing.assert_array_equal(ac.vmap(lambda r: {"a": r}, 1, {"a": -1})(x)["a"], x)
    np.testing.assert_array_equal(ac.vmap(lambda _r: 1.0)(x), [1.0, 1.0])


def test_vmap_over_another_axis_of_each_argument():
    x, y = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 2, 2)
    got = ac.vmap(ac.matmul, (0, 1), 1)(x, y)
    np.testing.assert_allclose(got, np.stack([x[i] @ y[:, i] for i in range(2)], 1), rtol=1e-15)


# Arguments ------------------------------------------------------------------------------------


def weighted(x, y, *, scale=1.0, power=1):
    return ac.sum(x * y**power) * scale


def test_argnums():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    np.testing.assert_array_equal(ac.grad(weighted)(x, y), y)
    np.testing.assert_array_equal(ac.grad(weighted, 1)(x, y), x)
    np.testing.assert_array_equal(ac.grad(weighted, -1)(x, y), x)
    gx, gy = ac.grad(weighted, (0, 1))(x, y)
    np.testing.assert_array_equal(gx, y)
    np.testing.assert_array_equal(gy, x)
    (only,) = ac.grad(weighted, (1,))(x, y)
    np.testing.assert_array_equal(only, x)


def test_keywords_pass_through():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    np.testing.assert_array_equal(ac.grad(weighted)(x, y, scale=2.0, power=2), 2 * y**2)
    value, g = ac.value_and_grad(weighted, 1)(x, y, scale=3.0)
    assert float(value) == 39.0
    np.testing.assert_array_equal(g, 3 * x)
    np.testing.assert_array_equal(ac.jacrev(weighted)(x, y, scale=2.0), 2 * y)
    np.testing.assert_array_equal(ac.jacfwd(weighted)(x, y, scale=2.0), 2 * y)


def test_python_numbers_as_arguments():
    assert float(ac.grad(lambda x: x**3)(2.0)) == 12.0
    np.testing.assert_array_equal(ac.grad(lambda x: x[0] * x[1])([2.0, 5.0]), [5.0, 2.0])


def test_arguments_that_are_not_used_have_zero_gradients():
    gx, gy = ac.grad(lambda x, _y: ac.sum(x), (0, 1))(np.ones(2), np.ones((3, 1), np.float32))
    np.testing.assert_array_equal(gx, np.ones(2))
    assert gy.shape == (3, 1) and gy.dtype == np.float32 and not np.any(gy.numpy())
    g = ac.grad(lambda _x: ac.zeros(()))(np.ones(2))
    np.testing.assert_array_equal(g, np.zeros(2))
    np.testing.assert_array_equal(ac.jvp(lambda _x: ac.ones(2), (1.0,), (1.0,))[1], np.zeros(2))
    np.testing.assert_array_equal(ac.linearize(lambda _x: ac.ones(2), 1.0)[1](1.0), np.zeros(2))


def test_the_function_keeps_its_name():
    def my_loss(x):
        """What it does."""
        return ac.sum(x)

    for transform in (ac.grad, ac.value_and_grad, ac.jacrev, ac.jacfwd, ac.vmap):
        assert transform(my_loss).__name__ == "my_loss"
        assert transform(my_loss).__doc__ == "What it does."


# Auxiliary results ----------------------------------------------------------------------------


def with_aux(x):
    y = ac.sin(x)
    return ac.sum(y), {"y": y, "n": 3, "text": "kept", "none": None}


def test_aux():
    x = np.arange(3.0)
    (value, aux), g = ac.value_and_grad(with_aux, has_aux=True)(x)
    assert float(value) == pytest.approx(np.sin(x).sum())
    np.testing.assert_allclose(g, np.cos(x))
    results = [
        aux,
        ac.grad(with_aux, has_aux=True)(x)[1],
        ac.vjp(with_aux, x, has_aux=True)[2],
        ac.jvp(with_aux, (x,), (x,), has_aux=True)[2],
        ac.linearize(with_aux, x, has_aux=True)[2],
    ]
    for aux in results:
        np.testing.assert_allclose(aux["y"], np.sin(x))
        assert (aux["n"], aux["text"], aux["none"]) == (3, "kept", None)
        assert not aux["y"].requires_grad  # nothing traced escapes


@pytest.mark.parametrize("jacobian", [ac.jacrev, ac.jacfwd])
def test_aux_of_jacobians(jacobian):
    def f(x):
        return ac.sin(x), {"squares": x * x}

    x = np.arange(3.0)
    rows, aux = jacobian(f, has_aux=True)(x)
    np.testing.assert_allclose(rows, np.diag(np.cos(x)))
    np.testing.assert_allclose(aux["squares"], x * x)


def test_aux_can_be_differentiated_one_level_up():
    def outer(x):
        _, aux = ac.grad(lambda y: (ac.sum(y * y * x), x * y), has_aux=True)(x)
        return ac.sum(aux)

    np.testing.assert_array_equal(ac.grad(outer)(np.array([1.0, 3.0])), [2.0, 6.0])


# Jacobians and Hessians -----------------------------------------------------------------------


def curved(x, y):
    return ac.sin(x) @ y, {"p": ac.sum(x) * y[0]}


def test_jacobians_of_trees_agree():
    x, y = np.array([0.5, -1.0]), np.array([[1.0, 2.0, 3.0], [0.5, 0.2, 0.1]])
    for argnums in (0, 1, (0, 1)):
        rev, fwd = ac.jacrev(curved, argnums)(x, y), ac.jacfwd(curved, argnums)(x, y)
        close(rev, fwd)
    (row, _), (_, block) = (
        ac.jacrev(curved, (0, 1))(x, y)[0],
        ac.jacrev(curved, (0, 1))(x, y)[1]["p"],
    )
    np.testing.assert_allclose(row, y.T * np.cos(x))
    assert block.shape == (3, 2, 3)
    np.testing.assert_allclose(block[1], [[0, x.sum(), 0], [0, 0, 0]])


def scalar(x):
    return ac.sum(ac.exp(ac.sin(x)) * x) * x[0, 1] + ac.prod(x, None)


def test_hessian_is_symmetric_and_every_nesting_gives_it():
    x = np.array([[0.3, -0.7], [1.1, 0.4]])
    h = ac.hessian(scalar)(x).numpy()
    assert h.shape == (2, 2, 2, 2)
    flat = h.reshape(4, 4)
    assert np.abs(flat - flat.T).max() <= DRIFT * np.abs(flat).max()
    for outer in (ac.jacrev, ac.jacfwd):
        for inner in (ac.jacrev, ac.jacfwd, ac.grad):
            np.testing.assert_allclose(outer(inner(scalar))(x), h, rtol=1e-12, atol=1e-13)
    v = np.array([[1.0, 2.0], [-1.0, 0.5]])
    product = np.einsum("ijkl,kl->ij", h, v)
    np.testing.assert_allclose(ac.hvp(scalar, (x,), (v,)), product, rtol=1e-12)


def test_hvp_of_several_arguments():
    def f(x, y):
        return ac.sum(x * x * y)

    hx, hy = ac.hvp(f, (np.array([1.0, 2.0]), np.array([3.0, 4.0])), (np.ones(2), np.ones(2)))
    np.testing.assert_allclose(hx, [2 * 3.0 + 2 * 1.0, 2 * 4.0 + 2 * 2.0])
    np.testing.assert_allclose(hy, [2.0, 4.0])


def test_hessian_of_a_quadratic_is_its_matrix():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(4, 4))
    h = ac.hessian(lambda x: 0.5 * ac.dot(x, ac.matmul(a, x)))(rng.normal(size=4))
    np.testing.assert_allclose(h, (a + a.T) / 2, rtol=1e-13, atol=1e-14)


def test_jacobian_of_an_empty_array():
    assert ac.jacrev(ac.sin)(np.zeros((0,))).shape == (0, 0)
    assert ac.jacfwd(ac.sin)(np.zeros((0,))).shape == (0, 0)
    assert ac.grad(ac.sum)(np.zeros((2, 0))).shape == (2, 0)


# Nested vmaps ---------------------------------------------------------------------------------


def test_outer_product_by_nested_vmaps():
    x, y = np.arange(3.0), np.arange(4.0)
    got = ac.vmap(lambda a: ac.vmap(lambda b: a * b)(y))(x)
    np.testing.assert_array_equal(got, np.outer(x, y))


def test_vmap_of_a_function_of_closed_over_traced_values():
    def f(x):
        return ac.sum(
            ac.vmap(lambda c: ac.vmap(lambda d: c * d * x)(np.arange(2.0)))(np.arange(3.0))
        )

    assert float(ac.grad(f)(2.0)) == 3.0
    assert float(ac.grad(lambda x: f(x) * x)(2.0)) == 12.0


def test_vmap_over_one_and_over_none():
    assert ac.vmap(ac.sin)(np.zeros((1, 2))).shape == (1, 2)
    assert ac.vmap(lambda x: x.sum())(np.zeros((0, 2))).shape == (0,)


def test_transforms_in_threads():
    """Levels are each thread's own."""
    from concurrent.futures import ThreadPoolExecutor

    def slope(x):
        return float(ac.grad(lambda y: ac.grad(lambda z: z * z * y)(y))(x))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(slope, np.arange(40.0))) == [4 * x for x in range(40)]
