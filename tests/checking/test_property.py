"""`check_property`: right functions hold all laws, each broken law is named, failures are small."""

# ruff: noqa: ARG005 — rules take what their callers give

import numpy as np
import pytest
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.declare import linear
from autograd_core.errors import AutogradError
from autograd_core.primitive import REGISTRY, Primitive, bind
from autograd_core.tensor import Aval
from autograd_core.testing import (
    GradientError,
    LawViolation,
    check_property,
    positive_definite,
    profile,
    properties,
    tensors,
    well_separated,
)
from autograd_core.testing.gradients import Check
from autograd_core.testing.reports import listening

VECTOR = tensors(shapes=(2,))
FEW = {"examples": 3}


@pytest.fixture(autouse=True)
def registry():
    """What a test declares is gone afterwards."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def checked(f, *domain, **options):
    """The report of a function that holds the laws."""
    heard = []
    with listening(heard.append):
        check_property(*domain, **options)(f)()
    (report,) = heard
    assert report.decided and not report.failure
    return report


def fails(f, *domain, says, **options):
    """What is said of a function that breaks a law, and of where: all in one text."""
    with pytest.raises(LawViolation) as raised:
        check_property(*domain, **options)(f)()
    text = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    for words in (says,) if isinstance(says, str) else says:
        assert words in text, text
    return text


def pulled_by(bwd, f=ac.sin):
    """A function, with a reverse rule."""
    made = ac.custom_vjp(lambda x: f(x))
    made.defvjp(lambda x: (f(x), x), bwd)
    return made


def sine(jvp=lambda t, _out, x: t * ac.cos(x), vjp=lambda g, _out, x: g * ac.cos(x)):
    """A primitive, with rules of both modes."""
    made = Primitive(
        "users_sine",
        np.sin,
        shape=lambda x: Aval(x.shape, x.dtype),
        vjps=[vjp],
        jvps=[jvp],
        batch=lambda _size, args, _batched: bind(made, args, {}),
    )
    return lambda x: made(x)


# What is right --------------------------------------------------------------------------------


def test_both_modes_are_checked_to_the_third_order_and_values_against_a_reference():
    report = checked(lambda x: ac.sin(x), x=tensors(), reference=np.sin)
    assert (report.orders, report.modes) == ([1, 2, 3], ["rev", "fwd"])
    assert "order 3, of fwd of rev, rev" in report.checked
    assert report.worst <= 1 and not report.notes


def test_several_arguments_by_position_and_by_name():
    def f(x, y, z):
        return x * ac.exp(y) + ac.sum(z)

    given = [tensors(shapes=(2, 3)), tensors(shapes=(3,)), well_separated(shapes=(2,))]
    numpy = lambda x, y, z: x * np.exp(y) + np.sum(z)
    for domain, named in ((given, {}), (given[:1], {"z": given[2], "y": given[1]})):
        checked(f, *domain, reference=numpy, **named, **FEW)


def test_trees_of_tensors():
    def loss(params, x):
        return {"loss": ac.sum((x @ params["w"] + params["b"]) ** 2)}

    params = st.fixed_dictionaries({"w": tensors(shapes=(2, 3)), "b": tensors(shapes=(3,))})
    checked(loss, params=params, x=tensors(shapes=(4, 2)), **FEW)


def test_trees_of_one_leaf_beside_a_pair():
    pair = (lambda tree: np.sin(tree["w"]), lambda g, tree: {"w": g * np.cos(tree["w"])})
    checked(pair, st.fixed_dictionaries({"w": tensors()}), **FEW)


def test_numbers_are_differentiated_and_options_are_not():
    axes = []

    def f(x, scale, axis, how="sum"):
        axes.append(axis)
        return scale * getattr(ac, how)(x, axis)

    report = checked(
        f,
        x=tensors(shapes=(2, 3)),
        scale=st.sampled_from([2.0, 0.5]),
        axis=st.sampled_from([0, 1, None, (0, 1)]),
        how=st.sampled_from(["sum", "mean"]),
        reference=lambda x, scale, axis, how: scale * getattr(np, how)(x, axis),
    )
    assert {0, 1, None, (0, 1)} == set(axes)
    assert report.orders == [1, 2, 3]
    wrong = pulled_by(lambda x, g: (2 * g,), lambda x: x)
    fails(lambda x, c: x + wrong(c), VECTOR, c=st.just(2.0), says="with respect to argument 1")


def test_integer_tensors_are_arguments_that_have_no_derivative():
    places = tensors(dtypes=np.int64, shapes=(4,), domain="0<=i<=2")
    checked(lambda x, i: x[i] ** 2, x=tensors(shapes=(3,)), i=places, **FEW)


def test_matrices():
    domain = positive_definite(2)
    logarithm = lambda x: np.linalg.slogdet(x)[1]
    checked(lambda x: ac.slogdet(x)[1], x=domain, reference=logarithm, **FEW)


def test_pairs_of_numpy_functions():
    report = checked((np.sin, lambda g, x: g * np.cos(x)), tensors(), reference=np.sin)
    assert (report.orders, report.modes) == ([1], ["rev"])
    triple = (np.sin, lambda g, x: g * np.cos(x), lambda xs, ts: ts[0] * np.cos(xs[0]))
    assert checked(triple, tensors(library="numpy")).modes == ["rev", "fwd"]


def test_order_and_modes_are_those_that_are_asked_for():
    report = checked(lambda x: x * x, VECTOR, order=2, modes=("fwd",), **FEW)
    assert (report.orders, report.modes) == ([1, 2], ["fwd"])
    assert checked(lambda x: x * x, VECTOR, order=1, **FEW).orders == [1]


# Each law, broken -----------------------------------------------------------------------------


def test_values_that_are_not_those_of_the_reference():
    text = fails(lambda x: ac.log1p(x), x=tensors(domain="x>0"), reference=np.log, says=())
    assert "the value is wrong\n  what is wrong: output 0 is not the reference's" in text
    assert "at np.array(1.0)" in text and "0.6931472" in text
    off = lambda x: np.sin(x) * (1 + 1e-9)
    fails(lambda x: ac.sin(x), VECTOR, reference=off, says="output 0 is not the reference's")
    more = lambda x: (np.sin(x), x)
    fails(lambda x: ac.sin(x), VECTOR, reference=more, says="the reference has 2")
    kept = lambda x: np.sum(x, keepdims=True)
    fails(lambda x: ac.sum(x), VECTOR, reference=kept, says="expected shape (1,), got ()")


def test_a_reference_is_given_the_options_too():
    of = lambda np_: lambda x, axis: np_.sum(np_.exp(x), axis)
    axis = {"axis": st.sampled_from([0, 1])}
    checked(of(ac), tensors(shapes=(2, 3)), reference=of(np), **axis, **FEW)
    always = lambda x, axis: np.sum(np.exp(x), 0)
    text = fails(of(ac), tensors(shapes=(2, 2)), reference=always, **axis, says="not the reference")
    assert "axis=1" in text


def test_first_derivatives():
    says = ("order 1", "it is 2 times what it should be")
    fails(pulled_by(lambda x, g: (2 * g * ac.cos(x),)), tensors(), says=says)


def test_derivatives_that_are_wrong_from_the_second_order():
    says = ("at order 2", "first derivatives are right: the rule of the rule is wrong")
    wrong = pulled_by(lambda x, g: (g * ac.cos(ac.stop_gradient(x)),))
    fails(wrong, tensors(), says=says)
    assert checked(wrong, VECTOR, order=1, **FEW).orders == [1]


def test_derivatives_that_are_wrong_from_the_third_order():
    cosine = pulled_by(lambda x, g: (-g * ac.sin(ac.stop_gradient(x)),), ac.cos)
    wrong = pulled_by(lambda x, g: (g * cosine(x),))
    fails(wrong, tensors(), says="at order 3")
    assert checked(wrong, VECTOR, order=2, **FEW).orders == [1, 2]


def test_forward_rules():
    both = ac.custom_jvp(lambda x: ac.sin(x))
    both.defjvp(lambda x, t: (ac.sin(x[0]), -t[0] * ac.cos(x[0])))
    for modes in (("fwd",), ("rev", "fwd")):  # reverse mode follows from it
        fails(both, tensors(), modes=modes, says="the sign is wrong")
    alone = sine(jvp=lambda t, _out, x: 2 * t * ac.cos(x))
    fails(alone, tensors(), says=("the tangent (forward mode)", "reverse mode is right there"))
    triple = (np.sin, lambda g, x: g * np.cos(x), lambda xs, ts: -ts[0] * np.cos(xs[0]))
    fails(triple, tensors(), says=("only the forward rule is wrong", "the sign is wrong"))


def test_modes_that_are_no_adjoints_beyond_what_differences_can_tell():
    nearly = sine(vjp=lambda g, _out, x: g * ac.cos(x) * (1 + 1e-9))
    fails(nearly, VECTOR, says="<vjp(g), t> = <g, jvp(t)>")


def mirrored():
    """Turns its argument around, and, mapped, the batch."""
    mirror = linear(
        "users_mirror",
        lambda x: x[::-1],
        transpose=lambda g, _x: bind(mirror, (g,), {}),
        shape=lambda x: Aval(x.shape, x.dtype),
        batch=lambda _size, args, _batched: bind(mirror, args, {}),
    )
    return lambda x: mirror(x)


def test_batch_rules():
    text = fails(mirrored(), tensors(shapes=[(2,), (3,)]), says="vmap over argument 0 = a stack")
    assert "batch=False" not in text  # which is the advice where it cannot be mapped at all


def test_without_batches_their_rules_are_not_looked_at():
    checked(mirrored(), VECTOR, batch=False, **FEW)


def noticing(x):
    """Computes something else where the numbers are not known."""
    try:
        ac.sum(x).detach().item()
    except AutogradError:
        return 1.5 * x * x
    return x * x


def test_capture():
    text = fails(noticing, tensors(), batch=False, says=("jit(f) = f", "expected np.float64(1.0)"))
    assert "jit=False" not in text
    fails(noticing, tensors(), says="vmap over argument 0 = a stack of calls")
    checked(noticing, VECTOR, batch=False, jit=False, **FEW)


def test_arguments_that_are_damaged():
    def doubled(x):
        x *= 2
        return x

    says = ("the function writes to argument 0", "x=Tensor(1., dtype=float64)")
    fails((doubled, lambda g, x: 2 * g), tensors(), says=says)

    def vjp(g, x):
        x[...] = 2
        return g * x

    fails((lambda x: 2 * x, vjp), VECTOR, says="the gradient writes to argument 0")


def test_layouts_and_precisions():
    def in_order(g, x):
        return g * np.cos(np.frombuffer(x.tobytes("A"), x.dtype).reshape(x.shape))

    says = "it is wrong only for arguments columns first"
    fails((np.sin, in_order), tensors(shapes=(2, 2), layout="C"), says=says)

    def in_double(g, x):
        return g * np.cos(x) * (2 if x.dtype == np.float32 else 1)

    fails((np.sin, in_double), VECTOR, says="it is wrong only for float32")


def test_memory_of_earlier_calls():
    kept = []

    def vjp(g, x):
        kept.append(x.copy())
        before = kept[-2:][0]
        return g * np.cos(before if before.shape == x.shape else x)

    fails((np.sin, vjp), VECTOR, says="depends on earlier calls")


# Failures are small ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_wrong", "shown"),
    [
        (lambda x: True, "np.array(1.0)"),
        (lambda x: x.ndim == 2, "np.array([[1.0]])"),
        (lambda x: x.size > 1, "np.array([1.0, 1.0])"),
        (lambda x: (x < 0).any(), "np.array(-1.0)"),
        (lambda x: (x > 2).any(), "np.array(3.0)"),
    ],
)
def test_failures_shrink(is_wrong, shown):
    vjp = lambda g, x: g * np.cos(x) * (2 if is_wrong(x) else 1)
    text = fails((np.sin, vjp), tensors(), examples=100, says="2 times what it should be")
    assert f"), {shown}, order=3" in text
    assert f"x=Tensor({shown[9:-1].replace('.0', '.')}, dtype=float64)" in text


def test_once_a_law_is_broken_it_alone_is_checked(monkeypatch):
    looked = []
    run, values_agree = Check.run, properties.values_agree

    def counted(self):
        looked.append("derivatives")
        return run(self)

    def agree(point, reference):
        looked.append("values")
        values_agree(point, reference)

    monkeypatch.setattr(Check, "run", counted)
    monkeypatch.setattr(properties, "values_agree", agree)
    reference = lambda x: np.where(np.sum(x) > 4, 0, np.sin(x))
    fails(lambda x: ac.sin(x), tensors(), reference=reference, examples=40, says="not the ref")
    last = len(looked) - looked[::-1].index("derivatives")
    assert len(looked) > last + 5 and set(looked[last:]) == {"values"}
    looked.clear()
    fails(
        mirrored(), tensors(shapes=[(2,), (3,), (2, 2)]), reference=lambda x: x[::-1], says="vmap"
    )
    assert looked == ["values", "derivatives"]  # of the first example


# What cannot be mapped or captured ------------------------------------------------------------


def branching(x):
    return x * x if ac.sum(x) > 0 else ac.sin(x)


def test_what_cannot_be_mapped_or_captured_is_told_of_with_advice():
    says = "instead of a Python branch"
    text = fails(branching, tensors(), says=("vmap over argument 0", says))
    assert "if it is not meant to be: check_property(…, batch=False)" in text
    text = fails(branching, tensors(), batch=False, says=("jit(f) = f", says))
    assert "if it is not meant to be: check_property(…, jit=False)" in text
    checked(branching, VECTOR, batch=False, jit=False, **FEW)


def test_what_raises_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        check_property(VECTOR)(lambda x: x * (1 / 0))()
    fails(pulled_by(lambda x, g: (1 / 0,)), VECTOR, says="it raises ZeroDivisionError: division")


def test_what_settles_nowhere_is_told_of():
    noise = np.random.default_rng(0)
    rough = (lambda x: noise.standard_normal(x.shape), lambda g, x: g)
    fails(rough, VECTOR, examples=4, says="nothing could be decided in 4 examples")


# Bad requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "options", "error", "says"),
    [
        ([], {}, TypeError, "expected a strategy for each argument"),
        ([3.0], {}, TypeError, r"expected a strategy for each argument.* got \[3.0\]"),
        ([], {"x": np.ones(3)}, TypeError, "expected a strategy"),
        ([VECTOR], {"order": 5}, ValueError, "order=5; expected 1 to 4"),
        ([VECTOR], {"modes": ("both",)}, ValueError, "expected some of"),
        ([VECTOR], {"modes": ()}, ValueError, "expected some of"),
        ([VECTOR], {"profile": "slow"}, ValueError, "expected one of 'quick', 'ci', 'thorough'"),
    ],
)
def test_requests_that_are_none(domain, options, error, says):
    with pytest.raises(error, match=says):
        check_property(*domain, **options)


@pytest.mark.parametrize(
    ("f", "domain", "named", "says"),
    [
        (lambda n: n * 2, [tensors(dtypes=np.int64)], {}, "has no floating-point argument"),
        (lambda x: x, [], {"y": VECTOR}, "unexpected keyword argument 'y'"),
        (lambda x, *, y: x * y, [VECTOR], {"y": VECTOR}, "y of <lambda> can only be given by name"),
        (lambda x: x, [VECTOR, VECTOR], {}, "takes 1 positional argument but 2 were given"),
        ((np.sin,), [VECTOR], {}, r"\(f, vjp\)"),
    ],
)
def test_arguments_that_do_not_fit_the_function(f, domain, named, says):
    with pytest.raises(TypeError, match=says):
        check_property(*domain, **named)(f)()


@pytest.mark.parametrize("options", [{"order": 0}, {"examples": 0}])
def test_zeros_are_refused_when_the_test_is_made(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        check_property(VECTOR, **options)


def test_an_argument_that_is_given_twice_is_refused():
    with pytest.raises(TypeError):
        check_property(VECTOR, x=VECTOR)(lambda x: x)()


def test_without_forward_mode_its_rules_are_not_looked_at():
    wrong = sine(jvp=lambda t, _out, x: 2 * t * ac.cos(x))
    assert checked(wrong, VECTOR, modes=("rev",), **FEW).modes == ["rev"]


def test_names_by_position_are_given_as_they_are():
    checked(lambda x, how: getattr(ac, how)(x), VECTOR, st.sampled_from(["sin", "cos"]), **FEW)


# How much is checked --------------------------------------------------------------------------


def examples_of(**options):
    """How many arguments are drawn."""
    drawn = []
    domain = tensors(shapes=(3,)).map(lambda x: drawn.append(x) or x)
    check_property(domain, **options)((np.sin, lambda g, x: g * np.cos(x)))()
    return len(drawn)


def test_examples_are_as_many_as_the_profile_or_the_call_says():
    assert examples_of() == 12
    assert examples_of(examples=5) == 5
    assert examples_of(profile="ci") == 40
    assert examples_of(profile="ci", examples=5) == 5
    with profile("ci", examples=7):
        assert examples_of() == 7
        assert examples_of(profile="quick") == 12


def test_the_order_is_that_of_the_profile_while_the_test_runs():
    test = check_property(VECTOR, **FEW)(lambda x: x**3)
    for order in (1, 2, 3):
        heard = []
        with profile("quick", property_order=order), listening(heard.append):
            test()
        assert heard[0].orders == [*range(1, order + 1)]


# The test that it makes -----------------------------------------------------------------------


def test_a_test_is_called_as_its_function_is():
    @check_property(x=VECTOR, **FEW)
    def test_of_squares(x):
        """Squares."""
        return x * x

    made = test_of_squares
    assert (made.__name__, made.__doc__, made.__module__) == (
        "test_of_squares",
        "Squares.",
        __name__,
    )
    assert made.place_as.__code__.co_filename == __file__
    assert made() is None


def test_those_who_listen_hear_of_each_function_once():
    heard, elsewhere = [], []
    right, wrong = lambda x: x * x, pulled_by(lambda x, g: (3 * g * ac.cos(x),))
    with listening(heard.append), listening(elsewhere.append):
        check_property(VECTOR, **FEW)(right)()
        with pytest.raises(GradientError) as raised:
            check_property(VECTOR, **FEW)(wrong)()
    check_property(VECTOR, **FEW)(right)()
    assert heard == elsewhere and len(heard) == 2
    assert heard[0].decided > 3 and heard[0].failure == ""
    assert heard[1].failure == str(raised.value) and "3 times" in heard[1].failure


def test_reports_are_the_same_each_time():
    f = lambda x: ac.exp(x) * x
    assert checked(f, tensors(), **FEW) == checked(f, tensors(), **FEW)


# Other libraries ------------------------------------------------------------------------------


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

    domain = tensors(library="torch")
    report = checked(lambda x: torch.sin(x), domain, reference=np.sin, **FEW)
    assert report.orders == [1, 2, 3] and report.modes == ["rev", "fwd"]
    says = ("2/3 times", "torch.from_numpy(np.array(1.0))")
    fails(Cube.apply, domain, says=says)
    fails(lambda x: torch.sin(x), domain, reference=np.cos, says="not the reference's")


def test_jax_functions():
    jax = pytest.importorskip("jax", reason="checks functions of JAX")
    cube = jax.custom_vjp(lambda x: x**3)
    cube.defvjp(lambda x: (x**3, x), lambda x, g: (2 * g * x**2,))
    domain = tensors(library="jax", shapes=(2,))
    report = checked(lambda x: jax.numpy.sin(x), domain, reference=np.sin, order=2, **FEW)
    assert report.orders == [1, 2] and report.modes == ["rev", "fwd"]
    fails(cube, domain, says=("2/3 times", "jax.numpy.asarray(np.array([1.0, 1.0]))"))
    fails(lambda x: jax.numpy.sin(x), domain, reference=np.cos, says="not the reference's")
