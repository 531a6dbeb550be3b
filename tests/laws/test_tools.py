"""The tools the laws are made of: drawing, differences, comparisons, and what they report."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.declare import elementwise
from autograd_core.primitive import REGISTRY, Primitive
from autograd_core.tensor import Aval
from autograd_core.testing import LawViolation, RandomDraw, check_primitive, draw_case
from autograd_core.testing.differences import slope
from autograd_core.testing.draw import LAYOUTS, draw_siblings
from autograd_core.testing.numeric import require_close, step_at
from autograd_core.testing.strategies import HypothesisDraw

# Drawing --------------------------------------------------------------------------------------


@given(data=st.data())
def test_arrays_are_apart_from_each_other_and_from_kinks(data):
    draw = HypothesisDraw(data)
    shapes = draw.broadcastable_shapes(2)
    x, y = (draw.array(shape, -2.0, 2.0) for shape in shapes)
    np.broadcast_shapes(x.shape, y.shape)
    entries = np.sort(np.concatenate([x.ravel(), y.ravel()]))
    margin = 0.2 * 4.0 / (8 * entries.size + 32)
    assert np.all(np.diff(entries) > margin)
    assert np.all(np.abs(entries - np.rint(2 * entries) / 2) > margin)
    assert np.all(np.abs(entries) < 2.0)
    assert x.dtype == np.float64 and not x.flags.writeable


def test_small_intervals_and_many_entries():
    draw = RandomDraw(0)
    x = draw.array((20, 30), 0.2, 0.8)
    assert np.unique(x).size == 600 and x.min() > 0.2 and x.max() < 0.8


def test_every_layout_is_drawn():
    shapes = {RandomDraw(seed).array((2, 3)).strides for seed in range(40)}
    assert len(shapes) == len(LAYOUTS)
    x = np.arange(6.0).reshape(2, 3)
    for layout in LAYOUTS:
        np.testing.assert_array_equal(layout(x), x)


def test_shapes_have_every_rank_and_length():
    shapes = [RandomDraw(seed).shape() for seed in range(200)]
    assert {len(s) for s in shapes} == {0, 1, 2, 3}
    assert {n for s in shapes for n in s} == {1, 2, 3}
    assert all(len(RandomDraw(seed).shape(2, 2)) == 2 for seed in range(20))


def test_empty_shapes_are_drawn_where_the_domain_allows_them():
    with_empty = [RandomDraw(seed, empty=True).shape(1, 3, min_length=0) for seed in range(20)]
    assert all(0 in s for s in with_empty)
    without = [RandomDraw(seed, empty=True).shape(1, 3) for seed in range(20)]
    assert not any(0 in s for s in without)


def test_a_draw_can_be_repeated():
    def structure(draw):
        return draw.shape(), draw.permutation(4), draw.choice("abc"), draw.integer(-5, 5)

    first, second = RandomDraw(3), RandomDraw(3)
    assert structure(first) == structure(second)
    np.testing.assert_array_equal(first.array((4,)), second.array((4,)))


def test_siblings_share_shapes_and_differ_in_values():
    def domain(draw):
        shape = draw.shape(min_rank=1)
        axis = draw.integer(0, len(shape) - 1)
        return (draw.array(shape), draw.integers((3,), 0, shape[axis])), {"axis": axis}

    for seed in range(20):
        calls, params = draw_siblings(domain, RandomDraw(seed), 3)
        assert len({(x.shape, i.shape) for x, i in calls}) == 1
        for (x, _), (y, _) in itertools.pairwise(calls):
            assert not np.array_equal(x, y)
        assert all(np.all(i < x.shape[params["axis"]]) for x, i in calls)


def test_a_domain_whose_structure_depends_on_values_is_refused():
    def domain(draw):
        n = int(draw.integers((), 1, 50))
        return (draw.array((n,)),), {}

    with pytest.raises(ValueError, match="depend on the values"):
        draw_siblings(domain, RandomDraw(0), 3)


def test_computed_arguments_are_laid_out_and_read_only_too():
    def domain(draw):
        return (draw.array((2, 3)) * 2.0, np.float64(3.0)), {}

    drawn = [draw_siblings(domain, RandomDraw(seed), 1)[0][0] for seed in range(40)]
    assert not any(x.flags.writeable for args in drawn for x in args)
    assert len({x.strides for x, _ in drawn}) == len(LAYOUTS)


# Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "df"),
    [
        (np.sin, np.cos),
        (np.exp, np.exp),
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: np.log(x) * 1e6, lambda x: 1e6 / x),
    ],
)
def test_differences_are_within_their_own_bound(f, df):
    x, t = np.linspace(0.3, 2.0, 7), np.linspace(-1.0, 1.0, 7)
    for weights in np.eye(7):
        found = slope(lambda xs: [f(xs[0])], [x], [t], [weights])
        error = abs(found.value - weights @ (df(x) * t))
        assert error <= found.error
        assert found.error < 1e-7 * max(1.0, np.abs(df(x)).max())  # and the bound says something


def test_differences_across_a_kink_or_a_jump_say_that_they_know_nothing():
    for f in (np.sign, lambda x: np.abs(x) ** 0.5):
        found = slope(lambda xs, f=f: [f(xs[0])], [np.array([1e-12])], [np.ones(1)], [np.ones(1)])
        assert not found.is_known


def test_a_domain_that_comes_too_near_to_a_jump_is_told_of(registry):
    primitive = elementwise(
        "jumping", lambda x: np.sign(np.sin(1e9 * x)), lambda _out, x: ac.zeros_like(x)
    ).primitive
    with pytest.raises(LawViolation, match="does not settle"):
        check_primitive(primitive)


def test_steps_stay_clear_of_neighbours():
    assert step_at([np.array([1.25, 1.25 + 2.0**-8])]) <= 2.0**-10
    assert step_at([np.array([0.25])]) == 2.0**-9
    assert step_at([np.array([0.5 + 2.0**-9])]) <= 2.0**-11


def test_comparisons():
    nan, inf = np.nan, np.inf
    require_close([1.0, nan, inf], [1.0 + 1e-9, nan, inf], 1e-8, "x")
    require_close(np.zeros((0, 2)), np.zeros((0, 2)), 0.0, "x")
    for got, expected in [
        ([1.0], [1.0 + 1e-7]),
        ([nan], [1.0]),
        ([1.0], [nan]),
        ([inf], [-inf]),
        ([inf], [1.0]),
        ([True], [False]),
    ]:
        with pytest.raises(LawViolation, match=r"x: 1 of 1 entries.*expected.*got"):
            require_close(got, expected, 1e-8, "x")
    with pytest.raises(LawViolation, match=r"x: expected shape \(1,\), got \(1, 1\)"):
        require_close([[1.0]], [1.0], 1.0, "x")


# Primitives of a user -------------------------------------------------------------------------


@pytest.fixture
def registry():
    """Primitives made in a test are forgotten with it."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def cubed(derivative):
    return elementwise("cubed", lambda x: x**3, derivative).primitive


def test_a_right_primitive_passes(registry):
    check_primitive(cubed(lambda _out, x: 3 * ac.square(x)))


def test_a_wrong_derivative_is_shown_beside_the_right_one(registry):
    with pytest.raises(LawViolation) as caught:
        check_primitive(cubed(lambda _out, x: 2 * ac.square(x)))
    message = str(caught.value)
    assert message.startswith("cubed(float64[")
    assert "jvp of argument 0 = the kernel's derivative by differences" in message
    assert "expected" in message and "got" in message


def test_a_rule_wrong_only_at_second_order(registry):
    with pytest.raises(LawViolation, match=r"jvp of (vjp|jvp)"):
        check_primitive(cubed(lambda _out, x: 3 * ac.square(ac.stop_gradient(x))))


def test_a_rule_that_keeps_what_it_does_not_read(registry):
    with pytest.raises(LawViolation, match=r"no rule reads is kept.*the output"):
        check_primitive(cubed(lambda out, x: 3 * ac.square(x)))  # noqa: ARG005 - the point


def test_a_primitive_without_a_domain(registry):
    primitive = cubed(lambda _out, x: 3 * ac.square(x))
    primitive.domain = None
    with pytest.raises(LawViolation, match="no domain"):
        draw_case(primitive, RandomDraw(0))


def test_orders_can_be_left_out(registry):
    primitive = cubed(lambda _out, x: 3 * ac.square(ac.stop_gradient(x)))
    check_primitive(primitive, orders=(1,))


def test_a_kernel_that_raises_is_reported_with_its_arguments(registry):
    def refuse(_x):
        raise RuntimeError("not today")

    primitive = Primitive(
        "refusing",
        refuse,
        shape=lambda x: Aval(x.shape, x.dtype),
        batch=lambda _size, args, _batched: args[0],
        domain=lambda draw: ((draw.array((2,)),), {}),
        differentiable=False,
    )
    with pytest.raises(LawViolation, match=r"refusing\(float64\[2\]\).*not today"):
        check_primitive(primitive)
