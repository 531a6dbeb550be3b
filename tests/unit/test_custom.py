"""`checkpoint`, `custom_vjp` and `custom_jvp` under every transform and every nesting of two."""

import itertools

import numpy as np
import pytest

import autograd_core as ac

X = np.array([0.4, -1.2, 0.9])
Y = np.array([1.5, 0.3, -0.8])


def plain(x, y):
    """What all of the functions below compute."""
    return ac.sin(x) * y + x * x


def by_checkpoint():
    return ac.checkpoint(plain)


def by_custom_vjp():
    f = ac.custom_vjp(plain)
    f.defvjp(
        lambda x, y: (plain(x, y), (x, y)),
        lambda res, g: (g * (ac.cos(res[0]) * res[1] + 2.0 * res[0]), g * ac.sin(res[0])),
    )
    return f


def by_custom_jvp():
    f = ac.custom_jvp(plain)

    def rule(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return plain(x, y), (ac.cos(x) * y + 2.0 * x) * dx + ac.sin(x) * dy

    f.defjvp(rule)
    return f


def by_nested_checkpoints():
    inner = ac.checkpoint(lambda x: ac.sin(x))
    return ac.checkpoint(lambda x, y: inner(x) * y + ac.checkpoint(ac.square)(x))


def by_checkpoint_of_custom_vjp():
    return ac.checkpoint(by_custom_vjp())


def by_custom_jvp_in_custom_vjp():
    f = ac.custom_vjp(by_custom_jvp())
    inner = by_custom_jvp()
    f.defvjp(
        lambda x, y: (inner(x, y), (x, y)),
        lambda res, g: (g * (ac.cos(res[0]) * res[1] + 2.0 * res[0]), g * ac.sin(res[0])),
    )
    return f


REVERSE_ONLY = [by_custom_vjp, by_checkpoint_of_custom_vjp, by_custom_jvp_in_custom_vjp]
BOTH_MODES = [by_checkpoint, by_custom_jvp, by_nested_checkpoints]
every = pytest.mark.parametrize("make", REVERSE_ONLY + BOTH_MODES)
both_modes = pytest.mark.parametrize("make", BOTH_MODES)


# Each transform turns a function of (x, y) into another with results of x's shape.


def value(f):
    return f


def gradient(f):
    return lambda x, y: ac.grad(lambda x, y: ac.sum(f(x, y) * ac.cos(x)), 0)(x, y)


def gradient_in_y(f):
    return lambda x, y: ac.grad(lambda x, y: ac.sum(ac.sin(f(x, y))), 1)(x, y)


def both_gradients(f):
    def total(x, y):
        gx, gy = ac.grad(lambda x, y: ac.sum(f(x, y) * y), (0, 1))(x, y)
        return gx * gy

    return total


def pushed(f):
    return lambda x, y: ac.jvp(f, (x, y), (ac.cos(y), x))[1]


def pushed_in_x(f):
    return lambda x, y: ac.jvp(lambda x: f(x, y), (x,), (y,))[1]


def linearized(f):
    return lambda x, y: ac.linearize(f, x, y)[1](y, ac.sin(x))


def mapped(f):
    return ac.vmap(f)


def mapped_in_x(f):
    return lambda x, y: ac.vmap(lambda c: ac.sum(f(x * c, y)))(x)


def mapped_in_y(f):
    return lambda x, y: ac.vmap(lambda c: ac.sum(f(x, y * c)))(x)


REVERSE = [value, gradient, gradient_in_y, both_gradients, mapped, mapped_in_x, mapped_in_y]
FORWARD = [pushed, pushed_in_x, linearized]


def agree(make, transforms):
    f, expected = make(), plain
    for transform in transforms:
        f, expected = transform(f), transform(expected)
    np.testing.assert_allclose(f(X, Y), expected(X, Y), rtol=1e-12, atol=1e-12)


def composable(transforms):
    """Functions of slices, which vmap makes, have no axis left to be mapped."""
    names = [t.__name__ for t in transforms]
    return sum(name.startswith("mapped") for name in names) <= 1


REVERSE_PAIRS = [p for p in itertools.product(REVERSE, repeat=2) if composable(p)]
ALL_PAIRS = [p for p in itertools.product(REVERSE + FORWARD, repeat=2) if composable(p)]


def named(transforms):
    return "-".join(t.__name__ for t in transforms)


@every
@pytest.mark.parametrize("transforms", REVERSE_PAIRS, ids=named)
def test_two_transforms(make, transforms):
    agree(make, transforms)


@both_modes
@pytest.mark.parametrize("transforms", ALL_PAIRS, ids=named)
def test_two_transforms_in_both_modes(make, transforms):
    agree(make, transforms)


@every
def test_third_order(make):
    agree(make, [gradient, both_gradients, gradient])


@both_modes
def test_third_order_in_mixed_modes(make):
    for transforms in itertools.product([gradient, pushed, linearized], repeat=3):
        agree(make, transforms)


@every
def test_vmap_between_gradients(make):
    agree(make, [gradient, mapped, gradient])


@every
def test_nested_vmaps(make):
    f = make()
    a, b = np.stack([X, 2 * X]), np.stack([Y, -Y])
    for axes in itertools.product([(0, 0), (0, None), (None, 0)], repeat=2):
        outer, inner = axes
        xs = a if outer[0] == 0 else X
        ys = b if outer[1] == 0 else Y
        got = ac.vmap(ac.vmap(f, inner), outer)(xs, ys)
        expected = ac.vmap(ac.vmap(plain, inner), outer)(xs, ys)
        np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("make", REVERSE_ONLY)
@pytest.mark.parametrize("transform", [pushed, linearized])
def test_forward_mode_of_a_reverse_rule_is_refused(make, transform):
    with pytest.raises(ac.RuleError, match="custom_jvp"):
        transform(make())(X, Y)


@every
def test_backward(make):
    f = make()
    x, y = ac.Tensor(X, requires_grad=True), ac.Tensor(Y, requires_grad=True)
    f(x, y).sum().backward()
    np.testing.assert_allclose(x.grad, np.cos(X) * Y + 2 * X, rtol=1e-14)
    np.testing.assert_allclose(y.grad, np.sin(X), rtol=1e-14)


# What the rules are given, and may return -----------------------------------------------------


def test_the_custom_rule_is_what_counts():
    @ac.custom_vjp
    def clipped(x):
        return x * x

    clipped.defvjp(lambda x: (x * x, None), lambda _res, g: (g * 100.0,))
    np.testing.assert_array_equal(ac.grad(lambda x: ac.sum(clipped(x)))(X), np.full(3, 100.0))
    np.testing.assert_array_equal(ac.vmap(ac.grad(clipped))(X), np.full(3, 100.0))


def test_the_custom_forward_rule_is_what_counts():
    f = ac.custom_jvp(lambda x: x * x)
    f.defjvp(lambda primals, tangents: (primals[0] * primals[0], tangents[0] * 100.0))
    np.testing.assert_array_equal(ac.jvp(f, (X,), (np.ones(3),))[1], np.full(3, 100.0))
    np.testing.assert_array_equal(ac.grad(lambda x: ac.sum(f(x)))(X), np.full(3, 100.0))
    np.testing.assert_array_equal(ac.linearize(f, X)[1](np.ones(3)), np.full(3, 100.0))


def test_residuals_that_are_numbers_strings_and_trees():
    @ac.custom_vjp
    def power(x, n):
        return x**n

    def fwd(x, n):
        return x**n, {"x": x, "n": n, "name": "power", "nothing": None, "half": 0.5}

    def bwd(res, g):
        assert res["name"] == "power" and res["nothing"] is None
        return 2 * res["half"] * res["n"] * res["x"] ** (res["n"] - 1) * g, None

    power.defvjp(fwd, bwd)
    np.testing.assert_allclose(ac.grad(lambda x: ac.sum(power(x, 3)))(X), 3 * X**2)
    np.testing.assert_allclose(ac.vmap(ac.grad(lambda x: power(x, 3)))(X), 3 * X**2)
    second = ac.grad(lambda x: ac.sum(ac.grad(lambda x: ac.sum(power(x, 3)))(x)))
    np.testing.assert_allclose(second(X), 6 * X)
    batches = np.stack([X, Y])
    got = ac.vmap(lambda x: ac.grad(lambda x: ac.sum(power(x, 3)))(x))(batches)
    np.testing.assert_allclose(got, 3 * batches**2)


def test_integer_array_arguments():
    @ac.custom_vjp
    def pick(x, index):
        return x[index]

    def fwd(x, index):
        return x[index], (index, x.shape[0])

    def bwd(res, g):
        index, n = res
        return ac.zeros(n).at[index].add(g), None

    pick.defvjp(fwd, bwd)
    index = np.array([2, 0, 2])
    for f in (pick, ac.checkpoint(lambda x, i: x[i])):
        g = ac.grad(lambda x, f=f: ac.sum(f(x, index) * np.array([1.0, 10.0, 100.0])))(X)
        np.testing.assert_array_equal(g, [10.0, 0.0, 101.0])
        rows = ac.vmap(ac.grad(lambda x, i, f=f: ac.sum(f(x, i))), (None, 0))(
            X, np.array([[0, 0], [1, 2]])
        )
        np.testing.assert_array_equal(rows, [[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def test_trees_in_and_out():
    @ac.custom_vjp
    def f(p, x):
        return {"a": p["w"] * x, "b": (p["w"], None)}

    def fwd(p, x):
        return f.f(p, x), (p, x)

    def bwd(res, g):
        p, x = res
        return {"w": g["a"] * x + g["b"][0]}, g["a"] * p["w"]

    f.defvjp(fwd, bwd)

    def loss(p, x):
        out = f(p, x)
        return ac.sum(out["a"]) + 3.0 * ac.sum(out["b"][0])

    gp, gx = ac.grad(loss, (0, 1))({"w": Y}, X)
    np.testing.assert_allclose(gp["w"], X + 3.0)
    np.testing.assert_allclose(gx, Y)
    checkpointed = ac.checkpoint(lambda p, x: f.f(p, x)["a"])
    gp = ac.grad(lambda p: ac.sum(checkpointed(p, x=X)))({"w": Y})
    np.testing.assert_allclose(gp["w"], X)


def test_none_as_a_cotangent():
    @ac.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(lambda x, y: (x * y, y), lambda y, g: (g * y, None))
    gx, gy = ac.grad(lambda x, y: ac.sum(f(x, y)), (0, 1))(X, Y)
    np.testing.assert_array_equal(gx, Y)
    np.testing.assert_array_equal(gy, np.zeros(3))
    gx, gy = ac.vmap(ac.grad(f, (0, 1)))(X, Y)
    np.testing.assert_array_equal(gy, np.zeros(3))


def test_checkpoint_runs_its_function_again_in_the_backward_pass():
    runs = []

    def f(x):
        runs.append(1)
        return ac.sin(x)

    x = ac.Tensor(X, requires_grad=True)
    y = ac.checkpoint(f)(x).sum()
    assert len(runs) == 1
    y.backward()
    assert len(runs) == 2


def test_closures_over_traced_values_are_refused():
    """The rule could not see them: the gradient would silently be wrong."""
    for wrap in (ac.checkpoint, by_closure_custom_vjp):
        with pytest.raises(ac.AutogradError) as caught:
            ac.grad(lambda x, wrap=wrap: ac.sum(wrap(lambda y: y * x)(x * 2.0)))(X)
        assert any("as an argument" in note for note in caught.value.__notes__)


def by_closure_custom_vjp(f):
    g = ac.custom_vjp(f)
    g.defvjp(lambda y: (f(y), None), lambda _res, ct: (ct,))
    return g


def test_without_a_rule():
    with pytest.raises(ac.RuleError, match="defvjp"):
        ac.custom_vjp(plain)(X, Y)
    with pytest.raises(ac.RuleError, match="defjvp"):
        ac.custom_jvp(plain)(X, Y)


def test_cotangents_of_another_shape_or_dtype():
    f = ac.custom_vjp(ac.multiply)
    f.defvjp(lambda x, y: (x * y, (x, y)), lambda res, g: (g * res[1], g * res[0]))
    with pytest.raises(ac.ShapeError, match=r"leaf 0 has shape \(3,\).*shape \(\)"):
        ac.grad(lambda x: ac.sum(f(x, Y)))(2.0)
    single = ac.grad(lambda x: ac.sum(f(x, Y)))(X.astype(np.float32))
    assert single.dtype == np.float32


def test_cotangents_of_another_structure():
    f = ac.custom_vjp(plain)
    f.defvjp(lambda x, y: (plain(x, y), None), lambda _res, g: ({"x": g}, g))
    with pytest.raises(ac.ShapeError, match="cotangent 0"):
        ac.grad(lambda x: ac.sum(f(x, Y)))(X)
