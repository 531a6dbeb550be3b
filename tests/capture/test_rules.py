"""Functions with rules of their own inside of what is captured: the rules are what counts, in every
transform, as where a Python loop or branch stands in the place of the captured one."""

from contextlib import nullcontext

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import custom
from autograd_core.capture import control, unrecorded
from autograd_core.capture.graph import evaluate

AT = 0.7


def close(a, b, tolerance=1e-10):
    for x, y in zip(ac.tree_leaves(a), ac.tree_leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


# Rules that are no derivatives: every use of another one is seen. What a tape holds of a function
# is what `fwd` did, so that it matters whether that calls the function itself.


def square(x):
    return 0.5 * x * x


def reverse_rule():
    f = ac.custom_vjp(square)
    f.defvjp(lambda x: (square(x), x), lambda x, ct: (7.0 * ct * x,))
    return f


def reverse_rule_of_itself():
    f = ac.custom_vjp(square)
    f.defvjp(lambda x: (f(x), x), lambda x, ct: (7.0 * ct * f(x),))
    return f


def forward_rule():
    f = ac.custom_jvp(square)
    f.defjvp(lambda x, t: (square(x[0]), 7.0 * x[0] * t[0]))
    return f


def forward_rule_of_itself():
    f = ac.custom_jvp(square)
    f.defjvp(lambda x, t: (f(x[0]), 7.0 * f(x[0]) * t[0]))
    return f


REVERSE, BOTH = (reverse_rule, reverse_rule_of_itself), (forward_rule, forward_rule_of_itself)
every_rule = pytest.mark.parametrize("make", REVERSE + BOTH)


def scanned(f):
    return lambda x: ac.scan(lambda c, _: (f(c) + 0.1 * x, None), x, length=2)[0]


def repeated(f):
    def value(x):
        c = x
        for _ in range(2):
            c = f(c) + 0.1 * x
        return c

    return value


def counted(f):
    step = lambda c: (f(c[0]) + 0.1 * c[2], c[1] + 1, c[2])
    return lambda x: ac.while_loop(lambda c: c[1] < 2, step, (x, 0, x))[0]


def results(f):
    return lambda x: ac.sum(ac.scan(lambda c, y: (c * y, f(y) * c), x, ac.stack([x, 2 * x]))[1])


def results_by_hand(f):
    return lambda x: f(x) * x + f(2 * x) * x * x


def chosen(f):
    return lambda x: ac.cond(x > 0, lambda y: f(y) * x, lambda y: 2.0 * f(y), x)


def chosen_by_hand(f):
    return lambda x: f(x) * x


def mapped(f):
    return lambda x: ac.sum(ac.vmap(f)(ac.stack([x, 2 * x])))


def mapped_by_hand(f):
    return lambda x: f(x) + f(2 * x)


def inner_gradient(f):
    return lambda x: 0.1 * ac.grad(lambda y: y * f(y))(x)


def as_it_is(f):
    return f


# What captures, and the same by hand.
WAYS = {
    "scan": (scanned, repeated),
    "results of scan": (results, results_by_hand),
    "cond": (chosen, chosen_by_hand),
    "checkpoint": (ac.checkpoint, as_it_is),
    "jit": (ac.jit, as_it_is),
    "vmap": (mapped, mapped_by_hand),
    "grad": (inner_gradient, inner_gradient),
}
NESTED = [
    *(("scan", way) for way in WAYS),
    *((way, "scan") for way in WAYS if way != "scan"),
    *(("cond", way) for way in ("checkpoint", "vmap", "cond")),
    *(("checkpoint", way) for way in ("cond", "vmap", "checkpoint")),
]


def nested(ways):
    def captured(f):
        for way in ways:
            f = WAYS[way][0](f)
        return f

    def by_hand(f):
        for way in ways:
            f = WAYS[way][1](f)
        return f

    return captured, by_hand


def pushed(f):
    return lambda x: ac.jvp(f, (x,), (ac.ones_like(x),))[1]


def reverse_transforms(f):
    """Values of f, and its derivatives where the first is taken in reverse mode."""

    def of(x):
        both = ac.stack([x, 1.5 * x])
        return f(x), ac.grad(f)(x), ac.grad(ac.grad(f))(x), ac.vmap(ac.grad(f))(both)

    return of


def mixed_transforms(f):
    """Forward mode over reverse mode, which a `bwd` need not have."""
    return lambda x: (pushed(ac.grad(f))(x), ac.vmap(ac.hessian(f))(ac.stack([x, 1.5 * x])))


def forward_transforms(f):
    def of(x):
        return pushed(f)(x), pushed(pushed(f))(x), ac.linearize(f, x)[1](x)

    return of


def loss_of(f):
    """Not linear in f, so that its value matters for second derivatives."""
    return lambda x: f(x) ** 2 * x


def agree(make, ways, transforms):
    captured, by_hand = nested(ways)
    x = ac.asarray(AT)
    expected = transforms(loss_of(by_hand(make())))(x)
    found = transforms(loss_of(captured(make())))
    close(found(x), expected)
    close(ac.jit(found, quiet=True)(x), expected)


@every_rule
@pytest.mark.parametrize("way", WAYS)
def test_rules_count(make, way):
    agree(make, [way], reverse_transforms)
    if make is not reverse_rule_of_itself:
        agree(make, [way], mixed_transforms)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("way", WAYS)
def test_rules_count_in_forward_mode(make, way):
    agree(make, [way], lambda f: lambda x: (forward_transforms(f)(x), ac.grad(pushed(f))(x)))


@pytest.mark.parametrize("ways", NESTED, ids="-".join)
def test_rules_count_in_nested_control_flow(ways):
    make = (reverse_rule, forward_rule_of_itself)[NESTED.index(ways) % 2]
    agree(make, ways, reverse_transforms)


@pytest.mark.parametrize("make", BOTH)
def test_rules_count_in_while_loops(make):
    x = ac.asarray(AT)
    expected = forward_transforms(loss_of(repeated(make())))(x)
    found = forward_transforms(loss_of(counted(make())))
    close(found(x), expected)
    close(ac.jit(found)(x), expected)


def test_known_derivatives():
    """Of f² x, where f is x²/2 and its derivative is said to be 7 x, or 7 f."""
    x, f = AT, AT**2 / 2
    said, of_itself = 29 * x**3, 14 * f**2 * (2 + 14 * x)
    for make in (*REVERSE, *BOTH):
        expected = of_itself if "itself" in make.__name__ else said
        for way in (as_it_is, ac.checkpoint, ac.jit, lambda f: lambda x: ac.cond(True, f, f, x)):
            loss = loss_of(way(make()))
            close(ac.grad(ac.grad(loss))(x), expected)
            if make is not reverse_rule_of_itself:  # whose bwd has no forward mode
                close(ac.hessian(loss)(x), expected)


@pytest.mark.parametrize("make", REVERSE)
@pytest.mark.parametrize("way", [scanned, chosen, counted, ac.checkpoint])
def test_forward_mode_of_a_reverse_rule_is_refused(make, way):
    f = way(make())
    for transform in (pushed, lambda f: lambda x: ac.linearize(f, x)[1](x)):
        with pytest.raises(ac.RuleError, match="use custom_jvp, which gives both"):
            transform(f)(ac.asarray(AT))
        with pytest.raises(ac.RuleError, match="use custom_jvp, which gives both"):
            ac.jit(transform(f))(ac.asarray(AT))


def test_a_clipped_gradient_through_steps():
    """The case that was found: the rule of an identity, which another one is hidden by."""

    @ac.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, ct: (ac.clip(ct, -1.0, 1.0),))
    step = lambda c: 5.0 * clipped(c)
    f = lambda x: ac.scan(lambda c, _: (step(c), None), x, length=3)[0]
    xs = ac.asarray([2.0, 3.0])
    for g in (f, ac.jit(f), lambda x: ac.cond(x > 0, f, f, x)):
        close(ac.grad(g)(2.0), 1.0)
        close(ac.jit(ac.grad(g))(2.0), 1.0)
        close(ac.vmap(ac.grad(g))(xs), np.ones(2))
    tensor = ac.Tensor(2.0, requires_grad=True)
    f(tensor).backward()
    close(tensor.grad, 1.0)


def test_arguments_that_are_no_tensors():
    @ac.custom_vjp
    def power(x, n, names, scale):
        assert names == {"kind": "power", "nothing": None} and isinstance(n, int)
        return scale["by"] * x**n

    def fwd(x, n, names, scale):
        return power.f(x, n, names, scale), (x, n)

    def bwd(res, ct):
        x, n = res
        return 10.0 * n * x ** (n - 1) * ct, None, None, {"by": x**n * ct}

    power.defvjp(fwd, bwd)
    names = {"kind": "power", "nothing": None}

    def f(x, by):
        step = lambda c, _: (power(c, 3, names, {"by": by}), None)
        return ac.scan(step, x, length=1)[0]

    for g in (ac.grad(f, (0, 1)), ac.jit(ac.grad(f, (0, 1)))):
        close(g(2.0, ac.asarray(0.5)), (120.0, 8.0))
    scaled = ac.checkpoint(lambda c, n: c * n)
    single, _ = ac.scan(lambda c, _: (scaled(c, 0.1), None), np.float32(1), length=1)
    assert single.dtype == np.float32


def test_python_numbers_promote_nothing():
    double = ac.custom_jvp(lambda x, n: x * n)
    double.defjvp(lambda x, t: (x[0] * x[1], t[0] * x[1] + x[0] * t[1]))

    def f(x, n):
        return ac.scan(lambda c, _: (double(c, n), None), x, length=2)[0]

    x = ac.asarray(3.0, np.float32)
    for g in (f, ac.jit(f), ac.jit(ac.grad(f))):
        assert g(x, 2.0).dtype == np.float32
    close(ac.jit(ac.grad(f))(x, 2.0), 4.0)


# What functions read by closure -----------------------------------------------------------------


def test_checkpoints_may_read_what_varies():
    def f(x, w):
        inner = lambda c: ac.checkpoint(lambda y: ac.sin(y) * w * c)(c)
        return ac.scan(lambda c, _: (inner(c), None), x, length=2)[0]

    def by_hand(x, w):
        for _ in range(2):
            x = ac.sin(x) * w * x
        return x

    x, w = ac.asarray(AT), ac.asarray(1.3)
    for transform in (lambda f: ac.grad(f, (0, 1)), lambda f: ac.hessian(f, (0, 1))):
        close(transform(f)(x, w), transform(by_hand)(x, w))
        close(ac.jit(transform(f))(x, w), transform(by_hand)(x, w))


def reading(rule_reads):
    """A function of (x, w), one with a rule in a scan inside, which reads w, or whose rule does."""

    def f(x, w):
        @ac.custom_vjp
        def scaled(y):
            return y if rule_reads else y * w

        scaled.defvjp(lambda y: (y, None), lambda _, ct: (3.0 * ct * (w if rule_reads else 1.0),))
        return ac.scan(lambda c, _: (scaled(c), None), x, length=2)[0]

    return f


@pytest.mark.parametrize("rule_reads", [False, True])
def test_constants_may_be_read(rule_reads):
    f, x, w = reading(rule_reads), ac.asarray(AT), ac.asarray(2.0)
    expected = (3.0 * (w if rule_reads else 1.0)) ** 2
    for g in (ac.grad(f), ac.jit(ac.grad(f)), ac.grad(ac.jit(f)), ac.jit(ac.grad(ac.jit(f)))):
        close(g(x, w), expected)
    close(f(x, w), x if rule_reads else x * w**2)


def test_what_varies_may_not_be_read_but_passed():
    x, w = ac.asarray(AT), ac.asarray(2.0)
    for transform in (
        lambda f: ac.grad(f, 1),
        lambda f: ac.jit(ac.grad(f, (0, 1))),
        lambda f: lambda x, w: ac.vmap(f, (None, 0))(x, ac.stack([w, w])),
    ):
        with pytest.raises(ac.AutogradError) as raised:
            transform(reading(False))(x, w)
        said = [str(raised.value), *getattr(raised.value, "__notes__", [])]
        assert any("as an argument" in line for line in said)


def test_rules_may_not_read_what_the_body_computes():
    """It is gone when the body is differentiated."""

    def f(x):
        def step(c, _):
            twice = 2.0 * c
            g = ac.custom_vjp(lambda y: y)
            g.defvjp(lambda y: (y, None), lambda _, ct: (ct * twice,))
            return g(c), None

        return ac.scan(step, x, length=2)[0]

    close(f(AT), AT)
    for g in (ac.grad(f), ac.jit(ac.grad(f))):
        with pytest.raises(ac.RuleError, match=r"by closure.* pass that value as an argument"):
            g(ac.asarray(AT))


# no_grad ----------------------------------------------------------------------------------------


def constant_factor(x):
    with ac.no_grad():
        factor = 2.0 * x
    return factor * x


@pytest.mark.parametrize("way", ["scan", "cond", "results of scan"])
def test_no_grad_inside(way):
    captured, by_hand = nested([way])
    x = ac.asarray(AT)
    for transforms in (reverse_transforms, mixed_transforms, pushed):
        expected = transforms(loss_of(by_hand(constant_factor)))(x)
        close(transforms(loss_of(captured(constant_factor)))(x), expected)
        close(ac.jit(transforms(loss_of(captured(constant_factor))))(x), expected)


def test_control_flow_in_no_grad_inside():
    def step(c, _):
        with ac.no_grad():
            factor = ac.scan(lambda c, _: (2.0 * reverse_rule()(c), None), c, length=1)[0]
        return factor * c, None

    f = lambda x: ac.scan(step, x, length=1)[0]
    for g in (f, ac.jit(f)):
        close(ac.grad(g)(AT), AT**2)
        close(ac.jit(ac.grad(g))(AT), AT**2)


# Programs -----------------------------------------------------------------------------------------


def test_nothing_of_it_is_left_in_programs():
    f = lambda x: ac.scan(lambda c, _: (forward_rule()(ac.sin(c)) + 1.0, None), x, length=4)[0]
    plain = lambda x: ac.scan(lambda c, _: (square(ac.sin(c)) + 1.0, None), x, length=4)[0]
    x = ac.ones(5)
    found, expected = (ac.jit(g).explain(x) for g in (f, plain))
    assert [s.what for s in found.steps] == [s.what for s in expected.steps]


def test_a_graph_with_rules_can_be_run_as_it_is():
    body = control.Body(lambda x: [reverse_rule()(x)], [ac.tensor.aval_of(ac.ones(2))], "test")
    assert [e.primitive.name for e in body.graph.equations] == ["call"]
    close(evaluate(body.graph, [ac.ones(2)]), [0.5 * np.ones(2)])
    (equation,) = body.graph.equations
    close(equation.primitive.kernel(np.ones(2), **equation.params), [0.5 * np.ones(2)])
    assert "call" in str(body.graph)


# Mutants ------------------------------------------------------------------------------------------


def ignored(_trace, function, args):
    return function.run(*args)


def not_as_recorded(run, args, _wanted):
    return tuple(run(*args))


MUTANTS = [
    (control, "_keep", ignored, lambda: agree(reverse_rule, ["scan"], reverse_transforms)),
    (control, "_keep", ignored, lambda: agree(forward_rule, ["cond"], forward_transforms)),
    *(
        (
            *(module, "as_recorded", not_as_recorded),
            lambda way=way: agree(reverse_rule, [way], reverse_transforms),
        )
        for module, way in ((control, "scan"), (control, "cond"), (custom, "checkpoint"))
    ),
    (unrecorded, "no_grad", nullcontext, lambda: test_no_grad_inside("scan")),
    (custom, "_told", lambda _name, rule: rule, test_rules_may_not_read_what_the_body_computes),
]


@pytest.mark.parametrize(("module", "name", "mutant", "check"), MUTANTS)
def test_mutants_are_noticed(monkeypatch, module, name, mutant, check):
    monkeypatch.setattr(module, name, mutant)
    with pytest.raises((AssertionError, ac.AutogradError)):
        check()
