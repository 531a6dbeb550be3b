"""Planted errors in every kind of function are found, and named in words."""

# ruff: noqa: ARG005 — rules take what their callers give

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.testing import GradientError, UndecidedWarning, check_grads
from tests.checking.corpus import arrays

X = arrays((3, 4), seed=1)[0]


def fails(f, *args, says, **options):
    with pytest.raises(GradientError) as raised:
        check_grads(f, *args, **options)
    message = str(raised.value)
    for words in (says,) if isinstance(says, str) else says:
        assert words in message, message
    assert "check_grads(" in message.splitlines()[-1]


# This package ---------------------------------------------------------------------------------


def with_rule(bwd):
    """sin, with a reverse rule."""
    f = ac.custom_vjp(lambda x: ac.sin(x))
    f.defvjp(lambda x: (ac.sin(x), x), bwd)
    return f


def with_push(rule):
    f = ac.custom_jvp(lambda x: ac.sin(x))
    f.defjvp(rule)
    return f


def test_functions_of_tensors_are_right_in_both_modes_and_orders():
    report = check_grads(lambda x, y: ac.sum(ac.sin(x) * y), ac.asarray(X), ac.asarray(X[0]))
    assert report.decided > 20 and not report.notes
    for what in ("order 1, rev", "order 1, fwd", "order 2, rev", "order 2, fwd"):
        assert report.checked[what] <= 1
    assert "order 2, fwd" in str(report)


@pytest.mark.parametrize(
    "bwd,says",
    [
        (lambda x, g: (-g * ac.cos(x),), "sign is wrong"),
        (lambda x, g: (2 * g * ac.cos(x),), "it is 2 times what it should be"),
        (lambda x, g: (None,), "it is zero"),
        (lambda x, g: (g * ac.cos(ac.stop_gradient(x)),), ("order 2", "first derivatives are rig")),
    ],
)
def test_custom_vjp(bwd, says):
    fails(with_rule(bwd), ac.asarray(X), says=says)


@pytest.mark.parametrize(
    "rule,says",
    [
        (lambda x, t: (ac.sin(x[0]), -t[0] * ac.cos(x[0])), "sign is wrong"),
        (lambda x, t: (ac.sin(x[0]), t[0] * ac.cos(ac.stop_gradient(x[0]))), "order 2"),
    ],
)
def test_custom_jvp(rule, says):
    fails(with_push(rule), ac.asarray(X), says=says)
    fails(with_push(rule), ac.asarray(X), modes=("fwd",), says=says)


def test_right_rules_of_ones_own():
    right = with_rule(lambda x, g: (g * ac.cos(x),))
    report = check_grads(right, ac.asarray(X))
    assert any("fwd" in note for note in report.notes)  # custom_vjp has no forward mode
    report = check_grads(with_push(lambda x, t: (ac.sin(x[0]), t[0] * ac.cos(x[0]))), ac.asarray(X))
    assert not report.notes


def test_trees_and_keywords():
    tree = {"w": X, "b": X[0]}
    f = lambda tree, scale: {"y": scale * tree["w"] + tree["b"], "n": 3}
    assert check_grads(f, tree, scale=2.0).decided
    bad = ac.custom_vjp(lambda tree: tree["w"] * tree["b"])
    bad.defvjp(
        lambda tree: (tree["w"] * tree["b"], tree),
        lambda tree, g: ({"w": g * tree["b"], "b": ac.sum(g, 0)},),
    )
    fails(bad, tree, says="argument 0['b']")


def test_layers_and_jit():
    from autograd_core import nn

    f = ac.jit(lambda x, w: nn.cross_entropy(nn.relu(x @ w), np.array([0, 1, 2])))
    assert check_grads(f, ac.asarray(X), ac.asarray(arrays((4, 5), seed=2)[0])).decided


# PyTorch and JAX ------------------------------------------------------------------------------


def test_torch_functions():
    torch = pytest.importorskip("torch", reason="checks functions of PyTorch")

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * g * x**2

    class Detached(Cube):
        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * g * (x**2).detach()

    class Once(Cube):
        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * g * x**2

    x = torch.tensor(X)
    fails(Cube.apply, x, says="it is 2/3 times what it should be")
    fails(Detached.apply, x, says=("order 2", "first derivatives are right"))
    assert check_grads(Once.apply, x).decided
    assert check_grads(Detached.apply, x, order=1).decided
    report = check_grads(lambda x: torch.softmax(x, 1) @ x.T, x)
    assert {"order 1, fwd", "order 2, rev"} <= report.checked.keys()
    assert check_grads(torch.nn.Linear(4, 2), torch.tensor(X, dtype=torch.float32)).decided


def test_jax_functions():
    jax = pytest.importorskip("jax", reason="checks functions of JAX")
    jnp = jax.numpy

    def cube(bwd):
        f = jax.custom_vjp(lambda x: x**3)
        f.defvjp(lambda x: (x**3, x), bwd)
        return f

    x = jnp.asarray(X)
    fails(cube(lambda x, g: (2 * g * x**2,)), x, says="it is 2/3 times what it should be")
    detached = cube(lambda x, g: (3 * g * jax.lax.stop_gradient(x) ** 2,))
    fails(detached, x, says=("order 2", "first derivatives are right"))
    assert check_grads(cube(lambda x, g: (3 * g * x**2,)), x).decided
    pushed = jax.custom_jvp(jnp.sin)
    pushed.defjvp(lambda x, t: (jnp.sin(x[0]), 2 * t[0] * jnp.cos(x[0])))
    fails(pushed, x, says="2 times")
    report = check_grads(lambda x: jax.nn.softmax(x) @ x.T, x)
    assert {"order 1, fwd", "order 2, fwd"} <= report.checked.keys()


# What cannot be checked -----------------------------------------------------------------------


def test_bad_requests():
    sin = (np.sin, lambda g, x: g * np.cos(x))
    for options in ({"order": 5}, {"order": 0}, {"modes": ("both",)}, {"modes": ()}):
        with pytest.raises(ValueError, match=next(iter(options))):
            check_grads(sin, X, **options)
    with pytest.raises(TypeError, match="no floating-point argument"):
        check_grads(sin, np.arange(3))
    with pytest.raises(TypeError, match=r"\(f, vjp\)"):
        check_grads((np.sin,), X)
    with pytest.raises(ValueError, match="no floating-point result"):
        check_grads(lambda x: ac.argmax(x), ac.asarray(X))


def test_what_settles_nowhere_is_said():
    noise = np.random.default_rng(0)
    with pytest.warns(UndecidedWarning, match="nothing could be decided"):
        check_grads((lambda x: noise.standard_normal(x.shape), lambda g, _: g), X)


def test_reports_are_the_same_for_the_same_seed():
    f = lambda x: ac.sum(ac.exp(x) * x)
    first, again, other = (check_grads(f, ac.asarray(X), seed=s) for s in (3, 3, 4))
    assert first == again and first != other


def test_gradients_that_raise_or_have_another_structure_are_told_of():
    fails((np.sin, lambda g, x: g[9, 9]), X, says="it raises IndexError")
    fails((np.multiply, lambda g, x, y: (g * y,)), X, X, says="1 cotangents for 2 arguments")
    fails((np.sin, lambda g, x: None), X, says="it is zero")
    fails((np.sin, None, lambda xs, ts: ts[0] * np.nan), X, says="forward mode")
    with pytest.raises(ZeroDivisionError):
        check_grads((lambda x: 1 / 0, lambda g, x: g), X)  # the function's own, as it is


def test_what_is_missing_is_noted_once():
    report = check_grads((np.sin, lambda g, x: g * np.cos(x)), X)
    assert [note.split(":")[0] for note in report.notes] == ["fwd", "order 2"]


def test_results_and_arguments_of_any_structure():
    pair = lambda x: (np.sin(x), np.cos(x))
    both = lambda g, x: g[0] * np.cos(x) - g[1] * np.sin(x)
    assert check_grads((pair, both), X).decided
    fails((pair, lambda g, x: both((g[0], -g[1]), x)), X, says="argument 0")
    assert check_grads((lambda a, b: a * b, lambda g, a, b: (g * b, g * a)), 2.0, 3.0).decided
    tree = {"a": X, "b": X + 1}
    product = lambda p: p["a"] * p["b"]
    assert check_grads((product, lambda g, p: {"a": g * p["b"], "b": g * p["a"]}), tree).decided
    fails((product, lambda g, p: {"a": g * p["b"], "b": g * p["b"]}), tree, says="argument 0['b']")
    fails((np.sin, lambda g, x: 1.001 * g * np.cos(x)), X, says="it is 1.001 times")
