"""`scan`, `cond`, `while_loop`: what a Python loop or branch would be, under every transform."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import jit
from autograd_core.capture import control
from kernels.cpu.lazy import numba_loads

RNG = np.random.default_rng(0)
W = ac.asarray(RNG.standard_normal((3, 3)) / 2)
X0 = ac.asarray(RNG.standard_normal(3))
XS = ac.asarray(RNG.standard_normal((5, 3)))


def close(a, b, tolerance=1e-11):
    for x, y in zip(ac.tree_leaves(a), ac.tree_leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def recurrence(w, start, xs):
    def step(h, x):
        h = ac.tanh(w @ h + x)
        return h, {"square": h**2, "x": x}

    return ac.scan(step, start, xs)


def unrolled(w, start, xs):
    squares, seen = [], []
    for x in xs:
        start = ac.tanh(w @ start + x)
        squares.append(start**2)
        seen.append(x)
    return start, {"square": ac.stack(squares), "x": ac.stack(seen)}


def total(f):
    def value(w, start, xs):
        last, found = f(w, start, xs)
        return ac.sum(last) + ac.sum(found["square"] * ac.exp(found["x"]))

    return value


def test_scan_is_the_loop():
    close(recurrence(W, X0, XS), unrolled(W, X0, XS))
    close(jit(recurrence)(W, X0, XS), unrolled(W, X0, XS))


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ac.grad(f, (0, 1, 2)),
        lambda f: lambda *a: ac.jvp(f, a, a)[1],
        lambda f: ac.grad(
            lambda *a: sum(ac.sum(g**2) for g in ac.grad(f, (0, 1, 2))(*a)), (0, 1, 2)
        ),
        lambda f: lambda *a: ac.hvp(lambda w: f(w, *a[1:]), (a[0],), (a[0],)),
        lambda f: lambda w, s, xs: ac.vmap(f, (None, 0, None))(w, ac.stack([s, 2 * s]), xs),
        lambda f: (
            lambda w, s, xs: ac.vmap(f, (0, None, 2))(
                ac.stack([w, -w]), s, ac.stack([xs, xs**2], axis=2)
            )
        ),
        lambda f: (
            lambda w, s, xs: ac.grad(
                lambda w: ac.sum(ac.vmap(f, (None, 0, None))(w, ac.stack([s, 2 * s]), xs) ** 2)
            )(w)
        ),
        lambda f: (
            lambda w, s, xs: ac.vmap(ac.grad(f), (None, 0, None))(w, ac.stack([s, 2 * s]), xs)
        ),
    ],
)
def test_scan_under_transforms(transform):
    expected = transform(total(unrolled))(W, X0, XS)
    close(transform(total(recurrence))(W, X0, XS), expected)
    close(jit(transform(total(recurrence)))(W, X0, XS), expected)
    close(transform(jit(total(recurrence)))(W, X0, XS), expected)


def step(c, exponent):
    return 0.5 * c**exponent - 1.0


TWO_STEPS = {
    "number": lambda x, _: ac.scan(lambda c, _: (step(c, 3), None), x, length=2)[0],
    "outside": lambda x, n: ac.scan(lambda c, _: (step(c, n), None), x, length=2)[0],
    "carry": lambda x, n: ac.scan(lambda c, _: ((step(*c), c[1]), None), (x, n), length=2)[0][0],
    "slices": lambda x, n: ac.scan(lambda c, n: (step(c, n), None), x, ac.stack([n, n]))[0],
    "inner scan": lambda x, n: ac.scan(
        lambda c, _: (ac.scan(lambda c, _: ((step(*c), c[1]), None), c, length=2)[0], None),
        *((x, n), None, 1),
    )[0][0],
    "inner cond": lambda x, n: ac.scan(
        lambda c, _: (ac.cond(True, lambda c: (step(*c), c[1]), lambda c: c, c), None),
        *((x, n), None, 2),
    )[0][0],
    "cond": lambda x, n: ac.cond(True, step, lambda x, _: x, ac.cond(True, step, step, x, n), n),
    "outside of cond": lambda x, n: ac.cond(
        True, lambda x: step(step(x, n), n), lambda x: step(x, n), x
    ),
    "checkpoint": lambda x, n: ac.checkpoint(lambda x, n: step(step(x, n), n))(x, n),
    "checkpointed steps": lambda x, n: ac.scan(
        lambda c, _: (ac.checkpoint(step)(c, n), None), x, length=2
    )[0],
}
MAPPED = lambda f: ac.vmap(ac.grad(ac.grad(f)))
PUSHED = lambda f: lambda x: ac.jvp(f, (x,), (x,))[1]


@pytest.mark.parametrize("way", TWO_STEPS)
def test_constants_have_no_derivative(way):
    """An exponent among them: of a negative base its derivative is NaN."""
    f = lambda x: TWO_STEPS[way](x, ac.asarray(3.0) * 1.0)
    by_hand = lambda x: step(step(x, 3), 3)
    with np.errstate(all="raise"):
        for transform in (
            *(ac.grad, ac.hessian, PUSHED),
            *(lambda f: ac.grad(ac.grad(f)), lambda f: PUSHED(PUSHED(f))),
            MAPPED,
        ):
            x = ac.asarray([-2.0]) if transform is MAPPED else ac.asarray(-2.0)
            close(transform(f)(x), transform(by_hand)(x))
            close(jit(transform(f))(x), transform(by_hand)(x))


def test_constants_of_while_loops_have_no_derivative():
    def f(x):
        n = ac.asarray(3.0) * 1.0
        body = lambda c: (step(c[0], c[1]), c[1], c[2] + 1)
        return ac.while_loop(lambda c: c[2] < 2, body, (x, n, 0))[0]

    with np.errstate(all="raise"):
        for transform in (PUSHED, lambda f: PUSHED(PUSHED(f))):
            close(transform(f)(-2.0), transform(lambda x: step(step(x, 3), 3))(-2.0))


def test_what_comes_to_vary_is_differentiated():
    """A carry that begins as a constant, through one that passes it on."""

    def f(x):
        step = lambda c, _: ((x, c[0] * c[2], c[1]), c[2])
        (_, _, last), seen = ac.scan(step, (1.0, 1.0, 3.0), length=4)
        return last + ac.sum(seen)

    # 3 x + 3 + 1 + 3 + x
    for g in (f, jit(f)):
        close(ac.grad(g)(2.0), 4.0)
        close(PUSHED(g)(2.0), 8.0)
        close(ac.vmap(ac.grad(g))(np.ones(2)), np.full(2, 4.0))


def test_a_derivative_in_everything_is_noticed(monkeypatch):
    everything = lambda graph, *_: [True] * len(graph.inputs)
    monkeypatch.setattr(control, "_with_carry", everything)
    with pytest.raises((AssertionError, FloatingPointError)):
        test_constants_have_no_derivative("carry")


def test_a_carry_that_is_forgotten_is_noticed(monkeypatch):
    once = lambda graph, flags, *_: control._differentiated(graph, flags)
    monkeypatch.setattr(control, "_with_carry", once)
    with pytest.raises((AssertionError, ac.AutogradError, ValueError)):
        test_what_comes_to_vary_is_differentiated()


def test_scan_backwards_with_integers_and_without_xs():
    f = lambda c, x: ((c[0] + x, c[1] + 1), c[1] * 10)
    (last, count), seen = ac.scan(f, (0.0, 3), ac.asarray([1.0, 2.0, 4.0]), reverse=True)
    assert (float(last), int(count), seen.tolist()) == (7.0, 6, [50, 40, 30])
    last, none = ac.scan(lambda c, _: (c * 2.0, None), 1.0, length=5)
    assert (float(last), none) == (32.0, None)
    close(ac.grad(lambda x: ac.scan(lambda c, _: (c * x, None), 1.0, length=5)[0])(2.0), 80.0)
    last, ys = ac.scan(lambda c, x: (c + x, x), 0.0, ac.zeros(0))
    assert float(last) == 0.0 and ys.shape == (0,)


def test_scan_is_one_body_however_long():
    sizes = [
        len(jit(ac.grad(total(recurrence))).graph(W, X0, ac.ones((n, 3))).equations)
        for n in (2, 50)
    ]
    assert sizes[0] == sizes[1]


def test_scan_of_nothing_that_fits():
    with pytest.raises(ac.ShapeError, match=r"carry.* of shape \(3,\) becomes one of \(1, 3\)"):
        ac.scan(lambda c, _x: (c[None], None), X0, XS)
    with pytest.raises(ac.DtypeError, match="float64 becomes float32"):
        ac.scan(lambda c, _x: (ac.astype(c, "float32"), None), X0, XS)
    with pytest.raises(ValueError, match="structure"):
        ac.scan(lambda c, _x: ((c, c), None), X0, XS)
    with pytest.raises(ac.ShapeError, match="differ"):
        ac.scan(lambda c, _x: (c, None), X0, (XS, XS[:2]))
    with pytest.raises(ValueError, match="length"):
        ac.scan(lambda c, _x: (c, None), X0)
    with pytest.raises(TypeError, match="carry, y"):
        ac.scan(lambda c, _x: c, X0, XS)
    with pytest.raises(ac.ConcreteValueError):
        ac.scan(lambda c, x: (c if x[0] > 0 else -c, None), X0, XS)


def branches(x, y):
    return ac.cond(
        ac.sum(x) > 0, lambda x, y: (ac.sin(x) * y, y), lambda x, y: (x**2 * W[0], -y), x, y
    )


def chosen(x, y):
    return (ac.sin(x) * y, y) if ac.sum(x).item() > 0 else (x**2 * W[0], -y)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cond(sign):
    x, y = sign * ac.absolute(X0), XS[0]
    expected = chosen(x, y)
    close(branches(x, y), expected)
    close(jit(branches)(x, y), expected)
    loss = lambda x, y: ac.sum(branches(x, y)[0] ** 2) + ac.sum(branches(x, y)[1])
    by_hand = lambda x, y: (
        ac.sum((ac.sin(x) * y) ** 2) + ac.sum(y)
        if sign > 0
        else ac.sum((x**2 * W[0]) ** 2) - ac.sum(y)
    )
    for transform in (
        lambda f: ac.grad(f, (0, 1)),
        lambda f: lambda x, y: ac.hvp(lambda x: f(x, y), (x,), (y,)),
        lambda f: lambda x, y: ac.jvp(f, (x, y), (y, x))[1],
    ):
        close(transform(loss)(x, y), transform(by_hand)(x, y))
        close(jit(transform(loss))(x, y), transform(by_hand)(x, y))


def test_cond_mapped():
    xs = ac.stack([X0, -X0, ac.absolute(X0), -ac.absolute(X0)])
    expected = [branches(x, XS[0]) for x in xs]
    for f in (ac.vmap(branches, (0, None)), jit(ac.vmap(branches, (0, None)))):
        found = f(xs, XS[0])
        for i, each in enumerate(expected):
            close([y[i] for y in found], each)
    gradient = ac.grad(lambda x: ac.sum(branches(x, XS[0])[0]))
    close(ac.vmap(gradient)(xs), ac.stack([gradient(x) for x in xs]))
    fixed = lambda y: ac.cond(True, lambda y: y * 2, lambda y: y, y)
    close(ac.vmap(fixed)(xs), xs * 2)


def test_cond_of_what_does_not_fit():
    with pytest.raises(ac.ShapeError, match="without axes"):
        ac.cond(X0 > 0, lambda: X0, lambda: X0)
    with pytest.raises(ac.ShapeError, match="result 0"):
        ac.cond(True, lambda: X0, lambda: XS)
    with pytest.raises(ac.DtypeError, match="result 0"):
        ac.cond(True, lambda: X0, lambda: X0 > 0)
    with pytest.raises(ValueError, match="structures"):
        ac.cond(True, lambda: X0, lambda: (X0, X0))


def halvings(x, limit):
    carry = (x, ac.asarray(0))
    return ac.while_loop(
        lambda c: ac.max(ac.absolute(c[0])) > limit, lambda c: (c[0] * 0.5, c[1] + 1), carry
    )


def test_while_loop():
    for f in (halvings, jit(halvings)):
        last, count = f(ac.asarray([5.0, -9.0]), 1.0)
        assert (last.tolist(), int(count)) == ([0.3125, -0.5625], 4)
        assert int(f(ac.asarray([0.1]), 1.0)[1]) == 0
    xs = ac.asarray([[0.5], [5.0], [100.0]])
    for f in (ac.vmap(halvings, (0, None)), jit(ac.vmap(halvings, (0, None)))):
        assert f(xs, 1.0)[1].tolist() == [0, 3, 7]
    close(ac.jvp(lambda x: halvings(x, 1.0)[0], (xs[1],), (ac.ones(1),))[1], [0.125])
    with pytest.raises(ac.RuleError, match="use scan"):
        ac.grad(lambda x: ac.sum(halvings(x, 1.0)[0]))(xs[1])
    with pytest.raises(ac.ShapeError, match="condition"):
        ac.while_loop(lambda x: x > 0, lambda x: x, X0)


def test_maml_with_a_scan_of_inner_steps():
    def task_loss(p, x, y):
        return ac.mean((ac.tanh(x @ p["w"] + p["b"]) - y) ** 2)

    def update(p, x, y):
        return ac.tree_map(lambda a, g: a - 0.1 * g, p, ac.grad(task_loss)(p, x, y))

    def scanned(p, x, y):
        p, _ = ac.scan(lambda p, _: (update(p, x, y), None), p, length=4)
        return task_loss(p, x, y)

    def repeated(p, x, y):
        for _ in range(4):
            p = update(p, x, y)
        return task_loss(p, x, y)

    p = {"w": W, "b": X0}
    x, y = (ac.asarray(RNG.standard_normal((6, 7, 3))) for _ in range(2))
    meta = lambda f: ac.value_and_grad(lambda p: ac.mean(ac.vmap(f, (None, 0, 0))(p, x, y)))
    expected = meta(repeated)(p)
    close(meta(scanned)(p), expected)
    close(jit(meta(scanned))(p), expected)


@pytest.mark.skipif(not numba_loads(), reason="METAGRAD_NUMBA=0: no programs")
def test_a_scan_of_inner_steps_is_done_task_by_task():
    def adapted(p, x, y, steps):
        loss = lambda p: ac.mean((ac.tanh(x @ p) - y) ** 2)
        p, _ = ac.scan(lambda p, _: (p - 0.1 * ac.grad(loss)(p), None), p, length=steps)
        return loss(p)

    def explained(steps):
        one = lambda p, x, y: adapted(p, x, y, steps)
        f = ac.grad(lambda p, x, y: ac.mean(ac.vmap(one, (None, 0, 0))(p, x, y)))
        return jit(f).explain(W, ac.ones((6, 50, 3)), ac.ones((6, 50, 3)))

    few, many = explained(4), explained(80)
    assert few.turns == many.turns == 6
    assert [s.what[:4] for s in many.steps if s.part == "turn"].count("scan") == 2
    assert len(few.steps) == len(many.steps)
    assert many.memory < 2 * few.memory, "the carries are all that is kept of a step"
    assert many.flops > 10 * few.flops
