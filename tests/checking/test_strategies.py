"""Drawn tensors are what was asked for, and shrink to what is easy to think about."""

import math
import sys

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.testing.domains import Domain, domain
from autograd_core.testing.programs import (
    ENGINE,
    OPERATIONS,
    WRITTEN,
    Apply,
    random_programs,
)
from autograd_core.testing.strategies import (
    broadcastable,
    positive_definite,
    pytrees,
    tensors,
    well_separated,
)

DOMAINS = ["any", "x>0", "0<x<1", "-1<=x<=1", "x!=0", "abs(x)<2", "x>0 and x!=1", "x<0 or x>1"]
LAYOUTS = ["C", "F", "strided", "reversed"]


def array(x):
    """The very memory of a tensor."""
    return np.asarray(x.data)


def smallest(strategy, condition=lambda _x: True, **options):
    """What an example that meets a condition shrinks to."""
    found = find(
        strategy, lambda x: bool(condition(x)), settings=settings(max_examples=2000, **options)
    )
    return array(found) if isinstance(found, ac.Tensor) else found


def some(strategy, condition=lambda _x: True):
    """An example that meets a condition."""
    return smallest(strategy, condition, phases=[Phase.generate])


def draws(strategy):
    """A decorator of what is to hold for everything that a strategy draws."""
    return lambda check: settings(max_examples=60)(given(strategy)(check))()


# Domains --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("x>0", [0.1, 1e300], [0, -1, np.nan]),
        ("0<x<1", [0.5, 1e-300], [0, 1, 2]),
        ("-1<=x<=1", [-1, 0, 1], [-1.1, 1.1]),
        ("1 >= x > -1", [1, 0], [-1, 1.1]),
        ("x!=0", [-1, 1e-300], [0]),
        ("abs(x)<2", [-1.9, 0, 1.9], [-2, 2]),
        ("2 <= abs(x)", [-2, 2, 5], [-1.9, 0]),
        ("abs(x) > -1", [-3, 0, 3], [np.nan]),
        ("abs(x) != 1", [0, 2], [-1, 1]),
        ("x>0 and x!=1", [0.5, 2], [0, 1]),
        ("x<0 or x>1", [-1, 2], [0, 0.5, 1]),
        ("x<1 or x>0", [-5, 0.5, 5], [np.nan]),
        ("x<=0 or x>=1 or x==0.5", [0, 0.5, 1], [0.4]),
        ("not (x<0 or x==1)", [0, 2], [-1, 1]),
        ("x > -pi/2 and x < 2*1.5 - 1", [-1.5, 1.9], [-1.6, 2]),
        ("any", [-1e300, 0], [np.nan]),
    ],
)
def test_conditions_say_which_numbers_meet_them(text, inside, outside):
    assert domain(text).contains(inside).all()
    assert not domain(text).contains(outside).any()
    assert domain(text).contains(np.ones((2, 3))).shape == (2, 3)


def test_domains_keep_what_they_were_made_of():
    assert domain("y>0").name == "y" and domain("0 < abs(loss)").name == "loss"
    assert domain("any").name == domain((0, 1)).name == "x"
    assert domain("y>0").text == "y>0" and repr(domain("y>0")) == "domain('y>0')"
    given_one = domain("x>0")
    assert domain(given_one) is given_one and isinstance(given_one, Domain)


def test_pairs_include_both_ends():
    assert domain((0, 2)).contains([-0.1, 0, 2, 2.1]).tolist() == [False, True, True, False]
    assert domain((0, math.inf)).contains([0, 1e300]).all()
    assert domain().contains([-3, 3]).all() and not domain().contains(3.1)


def test_numbers_are_compared_in_double_precision():
    assert not domain("x<=0.1").contains(np.float32(0.1))  # which is 0.100000001…


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x>", "expected a condition such as 'x>0'"),
        ("", "expected a condition such as"),
        ("x", "expected a condition such as .* got 'x'"),
        ("x>0 and x", "expected a condition such as .* got 'x'"),
        ("foo(x)>1", r"expected a variable, abs\(variable\) or a number, got 'foo\(x\)'"),
        ("x+1>0", "expected a variable, .* got 'x \\+ 1'"),
        ("x > 'a'", "expected a variable, .*got \"'a'\""),
        ("abs(pi)>1", "expected a variable"),
        ("x > True", "expected a variable"),
        ("__import__('os').x > 1", "expected a variable"),
        ("x>1 and x<0", "expected a condition that some number meets"),
        ("x>0 and y<1", "expected one variable, got 'x and y'"),
        ("x>y", "expected comparisons of a variable.* with a number"),
        ("1>0", "expected comparisons of a variable.* with a number"),
        ("x is 1", "expected comparisons by <, <=, >"),
        ("x>1/0", "expected a finite number, got '1 / 0'"),
        ("x>1e999", "expected a finite number"),
        ((1, 0), "expected a pair .* with low <= high"),
        ((0, math.nan), "expected a pair"),
    ],
)
def test_other_text_is_refused(text, says):
    with pytest.raises(ValueError, match=says) as raised:
        domain(text)
    assert repr(text) in str(raised.value)


def test_what_is_no_domain_at_all_is_refused():
    with pytest.raises(TypeError, match=r"expected a condition, a pair .* got 3"):
        domain(3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("text", [*DOMAINS, "x>5", "x<0.1 and x>-99.5", (0, 1e9), (-1e308, 1e308)])
def test_choices_are_in_the_domain(text, dtype):
    if text == "0<x<1" and np.dtype(dtype).kind != "f":
        with pytest.raises(ValueError, match=r"expected one with numbers of dtype"):
            domain(text).choices(dtype)
        return
    for numbers in domain(text).choices(dtype):
        assert numbers.dtype == dtype and domain(text).contains(numbers).all()
        assert not numbers.flags.writeable and np.unique(numbers).size == numbers.size


@pytest.mark.parametrize(
    ("text", "first"),
    [("any", 1), ("0<x<1", 0.5), ("x<0", -1), ("0.1<x<0.2", 0.15), ("x>1e9", 2e9)],
)
def test_the_first_choice_is_simple(text, first):
    assert domain(text).choices()[0][0] == first


def test_numbers_near_the_ends_are_chosen_but_not_too_near():
    fine = domain("0<x<1").choices()[1]
    assert 1e-3 < fine.min() < 0.02 and 0.98 < fine.max() < 1 - 1e-3
    assert {-1.0, 1.0} <= set(domain("-1<=x<=1").choices()[0])
    assert np.abs(domain("x!=0").choices()[1]).min() == 0.01


@pytest.mark.parametrize("text", [*DOMAINS, "1<x<1.001", (0, 1e9), (-1e308, 1e308), "x>1e9"])
@pytest.mark.parametrize("count", [1, 2, 30, 500])
def test_separated_numbers(text, count):
    of = domain(text)
    rng = np.random.default_rng(0)
    for x in (of.separated(count), of.fill(rng, (count,), separated=True)):
        assert x.size >= count and of.contains(x).all()
        gaps = np.diff(np.sort(x))
        to_halves = np.abs(x - np.rint(2 * x) / 2)
        spread = np.ptp(x) / (16 * count + 64)
        assert np.all(gaps > min(0.1, spread)) and np.all(to_halves > min(0.1, spread) / 2)


def test_too_few_numbers_cannot_be_separated():
    for text in ("x==1", "x>1e300", (0, 1e-310)):
        with pytest.raises(ValueError, match="expected an interval of many numbers"):
            domain(text).separated(1)


def test_filled_arrays_follow_from_the_generator():
    one, other = (domain("x>0").fill(np.random.default_rng(0), (3, 2), np.float32) for _ in "ab")
    np.testing.assert_array_equal(one, other)
    assert one.shape == (3, 2) and one.dtype == np.float32 and np.unique(one).size > 1


# Tensors --------------------------------------------------------------------------------------


def test_tensors_of_this_package_over_memory_that_cannot_be_written_to():
    @draws(tensors())
    def check(x):
        assert type(x) is ac.Tensor and x.dtype == np.float64 and not x.requires_grad
        assert x.ndim <= 3 and set(x.shape) <= {1, 2, 3}
        assert not array(x).flags.writeable and np.abs(array(x)).max() <= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint8])
@pytest.mark.parametrize("strategy", [tensors, broadcastable])
def test_dtypes(strategy, dtype):
    @draws(strategy(dtypes=dtype))
    def check(x):
        assert all(each.dtype == dtype for each in (x if isinstance(x, tuple) else (x,)))


@pytest.mark.parametrize("strategy", [tensors, well_separated, positive_definite])
def test_any_of_several_dtypes(strategy):
    for dtype in (np.float32, np.float64):
        assert smallest(
            strategy(dtypes=(np.float64, np.float32)), lambda x, t=dtype: x.dtype == t
        ).size


@pytest.mark.parametrize("text", DOMAINS)
@pytest.mark.parametrize("shapes", [None, (7, 8)])
def test_entries_are_in_the_domain(text, shapes):
    def check(x):
        assert domain(text).contains(array(x)).all()

    draws(tensors([np.float32, np.float64], shapes, text))(check)
    draws(well_separated([np.float32, np.float64], shapes, text))(check)


def test_domains_are_pairs_and_domains_too():
    draws(tensors(domain=(4, 5)))(lambda x: np.testing.assert_array_less(array(x), 5.1))
    draws(tensors(domain=domain("x>4")))(lambda x: np.testing.assert_array_less(4, array(x)))


def test_shapes():
    for given_one, shape in (((4, 2), (4, 2)), ([4, 2], (4, 2)), ((), ()), (5, (5,))):
        assert some(tensors(shapes=given_one)).shape == shape
    several = tensors(shapes=[(4,), (2, 5)])
    assert [some(several, lambda x, n=n: x.ndim == n).shape for n in (1, 2)] == [(4,), (2, 5)]
    drawn = tensors(shapes=st.tuples(st.integers(3, 5)))
    assert smallest(drawn, lambda x: x.shape > (3,)).shape == (4,)
    for rank in range(4):
        assert smallest(tensors(), lambda x, n=rank: x.ndim == n).shape == (1,) * rank


def test_axes_without_entries():
    assert smallest(tensors(empty=True), lambda x: x.size == 0).shape == (0,)

    @draws(tensors())
    def check(x):
        assert x.size > 0


def layout_of(x):
    """Of a matrix of more than one row and column."""
    if x.strides[0] < 0:
        return "reversed"
    return "C" if x.flags.c_contiguous else "F" if x.flags.f_contiguous else "strided"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("strategy", [tensors, well_separated])
def test_layouts(strategy, layout):
    @draws(strategy(shapes=(2, 3), layout=layout))
    def check(x):
        assert layout_of(array(x)) == layout

    assert some(strategy(shapes=(2, 3)), lambda x: layout_of(array(x)) == layout).shape == (2, 3)


def test_layouts_of_what_is_failing_are_told():
    @settings(database=None, phases=[Phase.generate])
    @given(tensors(shapes=(2, 3), layout="F"))
    def fails(x):
        raise AssertionError

    with pytest.raises(AssertionError) as raised:
        fails()
    assert "float64[2, 3] has layout='F'" in raised.value.__notes__


def test_arrays_of_numpy_cannot_be_written_to():
    @draws(tensors(library="numpy"))
    def check(x):
        assert type(x) is np.ndarray and not x.flags.writeable


def test_arrays_of_torch():
    torch = pytest.importorskip("torch")

    @draws(tensors([np.float32, np.float64], library="torch"))
    def check(x):
        assert isinstance(x, torch.Tensor) and x.dtype in (torch.float32, torch.float64)

    strided = some(tensors(shapes=(2, 3), layout="F", library="torch"))
    assert strided.stride() == (1, 2)


def test_arrays_of_jax():
    jax = pytest.importorskip("jax")

    @draws(positive_definite(library="jax"))
    def check(x):
        assert isinstance(x, jax.Array) and x.dtype == np.float64


def test_what_strategies_are_asked_for_is_checked(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for options, says in (
        ({"library": "mxnet"}, "library: expected one of autograd_core, numpy, torch, jax"),
        ({"layout": "D"}, "layout: expected one of any, C, F, strided, reversed for autograd_core"),
        (
            {"dtypes": np.float16},
            "dtypes: expected float32 or float64 or integers or complex numbers, got float16",
        ),
        ({"dtypes": (np.float64, bool)}, "dtypes: expected .* got bool"),
        ({"domain": "x>"}, "expected a condition"),
        ({"domain": "0<x<1", "dtypes": int}, "expected one with numbers of dtype int64"),
    ):
        for strategy in (tensors, broadcastable):
            with pytest.raises(ValueError, match=says):
                strategy(**options)
    for strategy in (well_separated, positive_definite):
        with pytest.raises(ValueError, match="dtypes: expected float32 or float64, got int64"):
            strategy(dtypes=int)
    with pytest.raises(ImportError, match="import torch first"):
        tensors(library="torch")
    with pytest.raises(ValueError, match="expected an interval of many numbers"):
        well_separated(domain="x==1")
    monkeypatch.setitem(sys.modules, "jax", np)
    with pytest.raises(ValueError, match="layout: expected one of any, C for jax"):
        tensors(library="jax", layout="F")


@pytest.mark.parametrize(
    ("options", "condition", "simplest"),
    [
        ({}, lambda _x: True, 1.0),
        ({}, lambda x: x.sum() < 0, -1.0),
        ({}, lambda x: x.ndim == 2, [[1.0]]),
        ({}, lambda x: x.shape[-1:] == (3,), [1.0, 1.0, 1.0]),
        ({}, lambda x: np.unique(x).size == 2, [1.0, 2.0]),
        ({"domain": "0<x<1"}, lambda x: x.ndim == 1, [0.5]),
        ({"domain": "x>0", "shapes": (2, 3)}, lambda _x: True, np.ones((2, 3))),
        ({"dtypes": int}, lambda x: x.sum() < 0, -1),
        ({"shapes": (9, 9)}, lambda _x: True, np.ones((9, 9))),
        ({"shapes": (2, 2)}, lambda x: layout_of(x) in "FC", np.ones((2, 2))),
    ],
)
def test_tensors_shrink(options, condition, simplest):
    found = smallest(tensors(**options), lambda x: condition(array(x)))
    np.testing.assert_array_equal(found, simplest, strict=True)


@pytest.mark.parametrize(
    "condition",
    [
        lambda x: x.sum() >= 3,
        lambda x: x.size > 1 and x.flat[0] > x.flat[-1],
        lambda x: np.sin(x).sum() < 0,
    ],
)
def test_entries_of_failing_examples_are_simple(condition):
    found = smallest(tensors(), lambda x: condition(array(x)))
    assert found.size <= 4 and set(np.abs(found.flat)) <= {0.0, 0.5, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("shapes", [None, (2, 3, 4), (40, 30)])
def test_well_separated_entries(shapes):
    @draws(well_separated(shapes=shapes))
    def check(x):
        margin = 0.4 / (x.size + 4)
        assert np.all(np.diff(np.sort(array(x), axis=None)) > margin / 2)
        assert np.all(np.abs(array(x) - np.rint(2 * array(x)) / 2) > margin / 4)


def test_well_separated_entries_shrink():
    found = smallest(well_separated(shapes=(2, 2)))
    np.testing.assert_array_equal(found, smallest(well_separated(shapes=(2, 2))))
    assert all(len(repr(abs(x))) <= 4 for x in found.ravel().tolist())
    swapped = smallest(well_separated(shapes=(2,)), lambda x: array(x)[0] > array(x)[1])
    assert all(len(repr(abs(x))) <= 4 for x in swapped.tolist())


def test_too_many_entries_for_a_precision():
    narrow = well_separated(np.float32, (500,), "1<x<1.00001")
    with pytest.raises(ValueError, match="has not 500 separate numbers in float32"):
        some(narrow)


# Several tensors ------------------------------------------------------------------------------


def test_shapes_that_broadcast():
    @draws(broadcastable(3, max_rank=2, domain="x>0"))
    def check(xs):
        assert isinstance(xs, tuple) and len(xs) == 3
        assert len(np.broadcast_shapes(*(x.shape for x in xs))) <= 2
        assert all((array(x) > 0).all() for x in xs)


def test_broadcast_axes_are_missing_or_of_length_1():
    pairs = broadcastable()
    for condition in (
        lambda x, y: x.ndim < y.ndim,
        lambda x, y: x.ndim > y.ndim > 0,
        lambda x, y: x.ndim == y.ndim and x.size != y.size,
        lambda x, y: x.size not in (1, y.size) and y.size > x.size,
    ):
        some(pairs, lambda xs, c=condition: c(*xs))
    x, y = smallest(pairs)
    assert x.shape == y.shape == ()
    x, y = smallest(pairs, lambda xs: xs[0].shape != xs[1].shape)
    assert {x.ndim, y.ndim} == {0, 1} and x.size == y.size == 1


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, ()),
        ({"size": 3, "batch": (2, 1)}, (2, 1)),
        ({"size": 20}, ()),
        ({"batch": [(2,)]}, (2,)),
    ],
)
def test_positive_definite_matrices(options, shape):
    @draws(positive_definite(**options, dtypes=[np.float32, np.float64]))
    def check(x):
        size = options.get("size", x.shape[-1])
        assert x.shape == (*shape, size, size)
        np.testing.assert_array_equal(array(x), np.swapaxes(array(x), -1, -2))
        values = np.linalg.eigvalsh(array(x).astype(np.float64))
        assert values.min() > 0.99 and values.max() / values.min() < 100


def test_positive_definite_matrices_shrink():
    np.testing.assert_array_equal(smallest(positive_definite()), [[1.0]], strict=True)
    np.testing.assert_array_equal(smallest(positive_definite(20)), np.eye(20))
    mixed = smallest(positive_definite(2), lambda x: array(x)[0, 1] != 0)
    np.testing.assert_array_equal(mixed, [[2.0, 1.0], [1.0, 2.0]])


def test_pytrees():
    @draws(pytrees(tensors(shapes=(2,)), max_leaves=3))
    def check(tree):
        leaves = ac.tree_leaves(tree)
        assert 1 <= len(leaves) <= 3 and all(x.shape == (2,) for x in leaves)

    for kind in (dict, list, tuple):
        assert isinstance(some(pytrees(), lambda t, kind=kind: isinstance(t, kind)), kind)
    assert ac.tree_leaves(some(pytrees()))[0].dtype == np.float64
    assert smallest(pytrees(st.just("leaf"))) == "leaf"
    nested = smallest(pytrees(st.just(0)), lambda t: isinstance(t, list) and type(t[-1]) is dict)
    assert nested == [{"a": 0}]


# Programs -------------------------------------------------------------------------------------

X = np.array([[0.31, -0.72, 1.13], [-1.29, 0.87, 0.14]])


@pytest.mark.parametrize("depth", [0, 2])
def test_programs_compute_what_they_say(depth):
    @draws(random_programs(depth=depth))
    def check(program):
        scope = {"ac": ac, "np": np}
        exec(repr(program), scope)
        expected = scope["program"](ac.asarray(X))
        np.testing.assert_array_equal(program(X).numpy(), expected.numpy())
        assert program(X).shape == program.result_shape and program.shape == X.shape


def test_every_operation_and_transform_is_drawn():
    seen = set()

    @settings(max_examples=1000, database=None)
    @given(random_programs(max_steps=6, depth=1, shape=(3,)))
    def look(program):
        for step in program.steps:
            seen.add(step.operation.name if isinstance(step, Apply) else step.transform)

    look()
    assert seen == {each.name for each in OPERATIONS} | set(ENGINE)
    assert set(WRITTEN) == set(ENGINE)


def test_both_modes_agree_on_programs():
    @draws(st.tuples(random_programs(depth=1), well_separated(shapes=(2, 3))))
    def check(drawn):
        program, x = drawn
        t = ac.asarray(X)
        pushed = ac.jvp(lambda x: ac.sum(program(x)), (x,), (t,))[1].numpy()
        pulled = ac.sum(ac.grad(lambda x: ac.sum(program(x)))(x) * t).numpy()
        np.testing.assert_allclose(pushed, pulled, rtol=1e-9, atol=1e-9)


def test_the_gradient_of_a_program():
    program = some(random_programs(), lambda p: "tanh" in repr(p) and "multiply" in repr(p))
    f = lambda x: float(ac.sum(program(x)).numpy())
    gradient = ac.grad(lambda x: ac.sum(program(x)))(ac.asarray(X)).numpy()
    for place in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[place] = 1e-6
        assert abs((f(X + step) - f(X - step)) / 2e-6 - gradient[place]) < 1e-7


def test_programs_keep_to_what_was_asked():
    @draws(random_programs(max_steps=2, shape=(4, 5)))
    def check(program):
        assert 1 <= len(program.steps) <= 2 and not any(hasattr(s, "inner") for s in program.steps)
        assert program(np.ones((4, 5))).shape == program.result_shape
        assert all(math.prod(shape) <= 20 for shape in program.shapes)

    assert some(random_programs(depth=2), is_nested) and some(random_programs(shape=()))
    for wrong in ({"max_steps": 0}, {"depth": -1}):
        with pytest.raises(ValueError, match="expected max_steps >= 1 and depth >= 0"):
            random_programs(**wrong)
    with pytest.raises(ac.ShapeError, match=r"expected an argument of shape \(2, 3\), got \(3,\)"):
        some(random_programs())(np.ones(3))


def is_nested(program):
    inner = [step.inner for step in program.steps if not isinstance(step, Apply)]
    return any(not isinstance(step, Apply) for each in inner for step in each.steps)


def test_programs_shrink():
    assert repr(smallest(random_programs(depth=2))) == (
        "def program(x):  # of shape (2, 3)\n    t1 = ac.sin(x)\n    return t1"
    )
    found = smallest(random_programs(depth=1), lambda p: "ac.relu" in repr(p))
    assert [step.operation.name for step in found.steps] == ["relu"]
    nested = smallest(random_programs(depth=1), lambda p: "ac.vmap" in repr(p))
    assert len(nested.steps) == 1 and repr(nested).count("ac.") == 2
