"""Mutants of a user's primitives and functions: what the user's tests do not notice is named."""

import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.declare import elementwise, piecewise_constant
from autograd_core.primitive import REGISTRY, Primitive
from autograd_core.tensor import Aval
from autograd_core.testing import check_primitive
from autograd_core.testing.mutants import MutantError, in_pytest, try_test
from autograd_core.testing.mutants.__main__ import main
from autograd_core.testing.mutants.outcomes import NOT_AGAIN, NOT_CALLED, NOT_NOTICED, in_words

X = np.array([[0.5, -1.5, 2.0], [1.0, -0.2, 0.7]])
X.flags.writeable = False  # some broken kernels write where they may
SECOND_ORDER = {"values detached", "direction detached"}


def survivors(target, test, kinds=None):
    return [o for o in try_test(target, test, kinds) if o.became == "survived"]


def kinds_of(outcomes):
    return {o.kind for o in outcomes}


@pytest.fixture(autouse=True)
def registry():
    """What a test declares is gone afterwards."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


@pytest.fixture
def softsign():
    return elementwise(
        "softsign",
        lambda x: x / (1 + np.abs(x)),
        lambda _out, x: 1 / ac.square(1 + ac.absolute(x)),
    )


@pytest.fixture
def tilted():
    """Elementwise, of two arguments."""
    return elementwise(
        "tilted",
        lambda x, y: x * np.exp(y),
        lambda _out, _x, y: ac.exp(y),
        lambda out, _x, _y: out,
    )


def first_order(f):
    """A test of the first derivative of a function of one argument, against differences."""

    def test():
        got = ac.grad(lambda x: ac.sum(f(x) * X))(ac.asarray(X)).numpy()
        h = 1e-6
        expected = X * (f(X + h).numpy() - f(X - h).numpy()) / (2 * h)
        np.testing.assert_allclose(got, expected, rtol=1e-7)

    return test


# Primitives -----------------------------------------------------------------------------------


def test_a_thorough_test_leaves_none(softsign):
    outcomes = try_test(softsign, lambda: check_primitive(softsign.primitive, draws=6))
    assert {o.became for o in outcomes} == {"caught"}
    assert len(outcomes) == 11


def test_a_test_of_the_first_order_leaves_faults_of_the_second(softsign):
    lived = survivors(softsign, first_order(softsign))
    assert kinds_of(lived) == SECOND_ORDER
    assert {o.why for o in lived} == {NOT_AGAIN}
    assert lived[0].words.startswith("the rule of argument 0, both modes, wrong from the second")


def test_a_test_of_shapes_leaves_all_but_those_of_shape(softsign):
    def only_shape():
        assert ac.grad(lambda x: softsign(x).sum())(ac.asarray(X)).shape == X.shape

    outcomes = try_test(softsign, only_shape)
    caught = kinds_of(o for o in outcomes if o.became == "caught")
    assert caught == {"with an extra axis"}
    assert {"zero", "negated", "doubled", "rolled"} <= kinds_of(
        o for o in outcomes if o.why == NOT_NOTICED
    )


def test_without_broadcasting_sums_go_unseen(tilted):
    def of_shapes(*shapes):
        x, y = (np.linspace(-1, 1, 6)[: np.prod(s, dtype=int)].reshape(s) for s in shapes)
        weights = np.linspace(1, 2, 6).reshape(2, 3)
        gx, gy = ac.grad(lambda x, y: ac.sum(tilted(x, y) * weights), (0, 1))(x, y)
        np.testing.assert_allclose(gx.numpy(), _to(x, weights * np.exp(y)))
        np.testing.assert_allclose(gy.numpy(), _to(y, weights * x * np.exp(y)))

    def _to(x, ct):
        return ct.sum(0) if x.ndim < 2 else ct

    alike = survivors(tilted, lambda: of_shapes((2, 3), (2, 3)), ["not summed", "doubled"])
    assert [o.slot for o in alike] == ["vjps[0]", "vjps[1]"]
    assert "argument 0, reverse mode, not summed over axes" in alike[0].words
    second = survivors(tilted, lambda: of_shapes((2, 3), (3,)), ["not summed"])
    assert [o.slot for o in second] == ["vjps[0]"]


def test_swapped_rules_survive_where_arguments_are_not_told_apart(tilted):
    def sum_of_both():
        f = ac.grad(lambda x: ac.sum(tilted(x, x)))
        np.testing.assert_allclose(f(X).numpy(), (1 + X) * np.exp(X))

    (lived,) = survivors(tilted, sum_of_both, ["swapped"])
    assert lived.words == "the rules of arguments 0, 1, both modes, exchanged: no test noticed"


def two_outputs():
    """Sine and cosine, with rules of their own for both modes and no domain."""
    return Primitive(
        "sincos",
        lambda x: (np.sin(x), np.cos(x)),
        shape=lambda x: (Aval(x.shape, x.dtype),) * 2,
        vjps=[lambda g, out, _x: _given(g[0], out[1]) - _given(g[1], out[0])],
        jvps=[lambda t, out, _x: (t * out[1], -t * out[0])],
        batch=lambda _size, args, _batched: sincos_of(args[0]),
        multiple=True,
    )


def _given(g, x):
    return 0.0 * x if g is None else g * x


def sincos_of(x):
    return REGISTRY["sincos"](x)


def test_what_no_test_calls_is_one_line_and_lost_outputs_are_named():
    sincos = two_outputs()

    def reverse_of_the_sine():
        g = ac.grad(lambda x: ac.sum(sincos(x)[0]))(ac.asarray(X))
        np.testing.assert_allclose(g.numpy(), np.cos(X))

    outcomes = try_test(sincos, reverse_of_the_sine)
    forward = [o for o in outcomes if o.slot == "jvps[0]"]
    assert {o.why for o in forward} == {NOT_CALLED}
    text = in_words(outcomes)
    assert f"the rule of argument 0, forward mode: {NOT_CALLED} ({len(forward)} mutants)" in text
    lost = [o for o in outcomes if o.slot == "vjps[0]" and "output lost" in o.kind]
    assert [o.became for o in lost] == ["caught", "survived"]


def test_all_kinds_need_no_domain():
    sincos = two_outputs()
    outcomes = try_test(sincos, lambda: sincos(ac.asarray(X)), "all")
    assert {"batch", "shape", "kernel", "vjp_reads"} <= {o.slot for o in outcomes}


def test_all_kinds_are_caught_by_the_laws(softsign):
    outcomes = try_test(softsign, lambda: check_primitive(softsign.primitive, draws=8), "all")
    assert {o.became for o in outcomes} == {"caught"}
    assert {"refuses strides", "slices reversed", "values linearised"} <= kinds_of(outcomes)


def test_the_jvp_that_follows_from_linearity_is_not_broken():
    transpose = REGISTRY["transpose"]
    outcomes = try_test(transpose, lambda: check_primitive(transpose, draws=6), ["doubled", "zero"])
    assert {o.slot for o in outcomes} == {"vjps[0]"}


# Functions with rules of their own ------------------------------------------------------------


def turned():
    """Transposes; linear."""
    f = ac.custom_vjp(lambda x: x.T)
    f.defvjp(lambda x: (x.T, None), lambda _none, ct: (ct.T,))
    f.__name__ = "turned"
    return f


def test_cotangents_of_ones_hide_where_they_go():
    f, square = turned(), ac.asarray(X.T @ X)

    def ones():
        np.testing.assert_allclose(ac.grad(lambda x: ac.sum(f(x)))(square).numpy(), np.ones((3, 3)))

    outcomes = try_test(f, ones)
    assert kinds_of(o for o in outcomes if o.became == "survived") == {
        "transposed",
        "rolled",
        "direction detached",
    }
    without = kinds_of(o for o in outcomes if o.became == "equivalent")
    assert without == {"values detached", "not summed"}  # it reads nothing, and sums nothing


def layer():
    """An affine map; its parameters are a tree."""

    def run(x, p):
        return x @ p["w"] + p["b"]

    f = ac.custom_vjp(run)
    f.defvjp(
        lambda x, p: (run(x, p), (x, p["w"])),
        lambda res, ct: (ct @ res[1].T, {"w": res[0].T @ ct, "b": ct.sum(0)}),
    )
    return f, run


def test_each_leaf_of_a_tree_of_cotangents_is_broken():
    f, run = layer()
    rng = np.random.default_rng(0)
    x, w, b, c = (rng.standard_normal(s) for s in ((4, 3), (3, 2), (2,), (4, 2)))

    def gradients(f):
        return ac.grad(lambda x, p: ac.sum(c * f(x, p)), (0, 1))(x, {"w": w, "b": b})

    def of_all_but_the_bias():
        for got, expected in zip(gradients(f), gradients(run), strict=True):
            got, expected = (x["w"] if isinstance(x, dict) else x for x in (got, expected))
            np.testing.assert_allclose(got.numpy(), expected.numpy())

    lived = survivors(f, of_all_but_the_bias)
    first = {o.slot for o in lived if o.kind not in SECOND_ORDER}
    assert first == {"bwd[1['b']]"}
    assert {"doubled", "not summed", "rolled"} <= kinds_of(lived)
    assert {o.slot for o in lived if o.kind == "direction detached"} == {
        "bwd[0]",
        "bwd[1['b']]",
        "bwd[1['w']]",
    }
    words = [o.words for o in lived]
    assert "the cotangent of argument 1['b'], scaled by 2: no test noticed" in words


def product():
    f = ac.custom_jvp(lambda x, y: x * ac.exp(y))

    def rule(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return x * ac.exp(y), dx * ac.exp(y) + x * ac.exp(y) * dy

    f.defjvp(rule)
    f.__name__ = "product"
    return f


def test_a_thorough_test_of_a_custom_jvp_leaves_none():
    f, y = product(), X[::-1].copy()

    def thorough():
        def pulled(f):
            gradient = ac.grad(lambda x, y: ac.sum(X * f(x, y)), (0, 1))

            def weighed(x, y):
                a, b = gradient(x, y)
                return ac.sum(X * a) + ac.sum(y * b)

            return [*gradient(X, y), *ac.grad(weighed, (0, 1))(X, y)]

        for a, b in zip(pulled(f), pulled(lambda x, y: x * ac.exp(y)), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy())

    outcomes = try_test(f, thorough)
    assert not [o.words for o in outcomes if o.became == "survived"]
    assert {"tangent[]", "part[0]", "part[1]", "part[0, 1]"} == {o.slot for o in outcomes}


def test_one_argument_of_a_custom_jvp_may_go_untested():
    f = product()

    def in_the_first():
        _, t = ac.jvp(lambda x: f(x, X), (X,), (X,))
        np.testing.assert_allclose(t.numpy(), X * np.exp(X))

    lived = survivors(f, in_the_first)
    parts = {o.slot for o in lived if o.kind not in SECOND_ORDER}
    assert parts == {"part[1]"}
    assert "what argument 1 adds to the tangent, scaled by 2: no test noticed" in [
        o.words for o in lived
    ]


def test_a_rule_that_no_test_calls_is_broken_as_a_whole():
    outcomes = try_test(turned(), lambda: None)
    assert {(o.slot, o.became, o.why) for o in outcomes} == {("bwd[*]", "survived", NOT_CALLED)}
    assert f"the cotangent of every argument: {NOT_CALLED}" in in_words(outcomes)


# What it leaves, and what it refuses ----------------------------------------------------------


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_what_was_broken_is_as_before(softsign, error):
    f, runs = turned(), []

    def test():
        runs.append(ac.grad(lambda x: ac.sum(f(softsign(x)) * X.T))(X).numpy())
        if len(runs) > 1:
            raise error

    for target in (f, softsign.primitive):
        runs.clear()
        before = dict(vars(target))
        try:
            assert {o.became for o in try_test(target, test)} == {"caught"}
        except KeyboardInterrupt:
            assert error is KeyboardInterrupt
        assert vars(target) == before
        assert not np.array_equal(runs[0], runs[1])  # it was broken


def test_a_test_that_fails_by_itself_says_nothing(softsign):
    with pytest.raises(MutantError, match="fails without any mutant: Failed: never"):
        try_test(softsign, lambda: pytest.fail("never"))


def test_what_cannot_be_broken_is_refused():
    with pytest.raises(MutantError, match="function main is no primitive"):
        try_test(main, lambda: None)
    with pytest.raises(MutantError, match="has no rule to break yet"):
        try_test(ac.custom_vjp(lambda x: x), lambda: None)
    steps = piecewise_constant("steps", np.floor, 1)
    with pytest.raises(MutantError, match="steps has nothing to break"):
        try_test(steps, lambda: None)
    with pytest.raises(MutantError, match="no such kind of mutant: halved"):
        try_test(turned(), lambda: None, ["halved"])


# The command ----------------------------------------------------------------------------------

OPS = """
import autograd_core as ac

@ac.custom_vjp
def cube(x):
    return x * x * x

cube.defvjp(lambda x: (x * x * x, x), lambda x, ct: (3 * x * x * ct,))
"""
TESTS = """
import pytest
import autograd_core as ac
from my_ops.powers import cube

def test_first():
    assert ac.grad(cube)(2.0).item() == 12

def test_second():
    assert ac.grad(ac.grad(cube))(2.0).item() == 12

def test_wrong():
    assert cube(2.0).item() == 9

@pytest.mark.skip
def test_skipped():
    pass
"""
HANGING = """
import os
import autograd_core as ac
from my_ops.powers import cube

def test_descent():
    x = 2.0
    while (g := ac.grad(cube)(x).item()) > 12:  # doubled, it grows
        x += g
    if g == 0:
        os._exit(0)
"""
OF = ["--of", "my_ops.powers:cube"]
FEW = ["--kinds", "doubled", "values detached"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder, with the module in src/ and options that get in the way."""
    (tmp_path / "src" / "my_ops").mkdir(parents=True)
    (tmp_path / "src" / "my_ops" / "powers.py").write_text(OPS)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_powers.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = src\naddopts = -n 2 --ff\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_tells_that_none_survived(project):
    (project / "src" / "my_ops").rename(project / "my_ops")
    tests = "tests/test_powers.py"
    command = [sys.executable, "-m", "autograd_core.testing.mutants", *OF, *FEW]
    command += ["--tests", f"{tests}::test_first", f"{tests}::test_second"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "None of 2 mutants of cube survived" in done.stdout
    assert not list(project.glob(".*"))  # no caches left


def test_the_command_names_survivors(project, capsys):
    assert main([*OF, *FEW, "--tests", "tests", "--", "-k", "first"]) == 1
    printed = capsys.readouterr().out
    assert "values detached                   1       0          0         1" in printed
    assert "1 of 2 mutants of cube survived:\n  the cotangent of argument 0, wrong" in printed
    assert NOT_AGAIN in printed


def test_mutants_that_hang_or_crash_are_caught(project, monkeypatch, capsys):
    (project / "tests" / "test_hanging.py").write_text(HANGING)
    monkeypatch.setattr(in_pytest, "LEAST_SECONDS", 6.0)
    monkeypatch.setattr(in_pytest, "SLOWER", 0.0)
    assert main([*OF, "--kinds", "doubled", "zero", "--tests", "tests/test_hanging.py"]) == 0
    assert "None of 2 mutants of cube survived" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*OF, "--tests", "tests"], "the tests fail without any mutant: tests/test_powers.py::te"),
        ([*OF, "--tests", "tests", "--", "-k", "skipped"], "no test of tests -k skipped passes"),
        ([*OF, "--tests", "tests", "--", "-k", "none"], "no tests were collected from tests"),
        ([*OF, "--tests", "nowhere"], "file or directory not found: nowhere"),
        (["--of", "my_ops.roots:cube", "--tests", "tests"], "No module named 'my_ops.roots'"),
        (["--of", "my_ops.powers:root", "--tests", "tests"], "my_ops.powers has no 'root'"),
    ],
)
def test_the_command_says_why_no_mutant_was_tried(project, capsys, arguments, says):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and says in line


def test_the_command_refuses_what_does_not_fit_together(capsys):
    for arguments, says in (
        (OF, "--of needs --tests"),
        (["sin", *OF, "--tests", "tests"], "not both"),
        (["sin", "--all"], "need --of MODULE:NAME"),
        (["--of", "my_ops", "--tests", "tests"], "--of takes MODULE:NAME"),
        (["no_such_primitive"], "no such primitive: no_such_primitive"),
    ):
        assert main(arguments) == 2
        assert says in capsys.readouterr().err
