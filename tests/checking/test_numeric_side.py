"""The numeric side of checks: complex steps, differences, noise; and reports of what they found."""

import json

import numpy as np
import pytest

from autograd_core.testing import GradientError, Report, check_grads
from autograd_core.testing.analytic import complex_slope
from autograd_core.testing.differences import confirmed, one_sided, slope
from autograd_core.testing.noise import nudged
from autograd_core.testing.reports import Entries
from tests.checking.corpus import arrays

EPS = np.finfo(np.float64).eps
X, T, B, G = arrays((3, 3), (3, 3), (3, 3), (3, 3), seed=5, low=0.3, high=1.7)


# Complex steps --------------------------------------------------------------------------------


def complex_steps(f, x=X, t=T):
    """The derivative of f along t, weighed by G."""
    return complex_slope(lambda xs: [f(*xs)], [x], [t], [np.resize(G, np.shape(f(x.copy())))])


ENTRYWISE = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "log1p": (np.log1p, lambda x: 1 / (1 + x)),
    "expm1": (np.expm1, np.exp),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "a power": (lambda x: x**2.5, lambda x: 2.5 * x**1.5),
    "a power of a number": (lambda x: 2.0**x, lambda x: np.log(2) * 2.0**x),
    "a quotient": (lambda x: (1 - x) / (1 + x), lambda x: -2 / (1 + x) ** 2),
    "sigmoid": (
        lambda x: 1 / (1 + np.exp(-x)),
        lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
    ),
    "abs": (lambda x: np.abs(1 - x), lambda x: np.sign(x - 1)),
    "maximum": (lambda x: np.maximum(x, 1) ** 2, lambda x: 2 * x * (x > 1)),
    "minimum": (lambda x: np.minimum(1, x) ** 2, lambda x: 2 * x * (x < 1)),
    "a mask": (lambda x: x * x * (x > 1), lambda x: 2 * x * (x > 1)),
    "another dtype": (lambda x: np.sin(x.astype(float)), np.cos),
    "in place": (lambda x: _squared_in_place(x.copy()), lambda x: 2 * x),
    "a branch": (lambda x: 2 * x if x.sum() > 0 else x, lambda x: np.full(x.shape, 2)),
}


def _squared_in_place(x):
    x *= x
    x += 1
    return x


@pytest.mark.parametrize("name", ENTRYWISE)
def test_complex_steps_are_exact_where_a_function_is_analytic(name):
    f, derivative = ENTRYWISE[name]
    expected = np.sum(G * derivative(X) * T)
    assert complex_steps(f) == pytest.approx(expected, rel=64 * EPS)


WHOLE = {
    "product": (lambda x: x @ B, lambda: np.sum(G * (T @ B))),
    "square": (lambda x: x @ x.T, lambda: np.sum(G * (T @ X.T + X @ T.T))),
    "sum over an axis": (lambda x: np.sum(x * x, 0), lambda: np.sum(G[0] * np.sum(2 * X * T, 0))),
    "mean": (lambda x: x.mean(), lambda: G[0, 0] * T.mean()),
    "running sum": (lambda x: np.cumsum(x, 1), lambda: np.sum(G * np.cumsum(T, 1))),
    "turned": (lambda x: x.T[::-1], lambda: np.sum(G * T.T[::-1])),
    "reshaped": (lambda x: np.reshape(x, (9,)), lambda: np.sum(G * T)),
    "inverse": (
        lambda x: np.linalg.inv(x + 3 * np.eye(3)),
        lambda: -np.sum(G * (_inverse() @ T @ _inverse())),
    ),
    "solution": (
        lambda x: np.linalg.solve(x + 3 * np.eye(3), x),
        lambda: np.sum(G * (_inverse() @ T @ (np.eye(3) - _inverse() @ X))),
    ),
    "rows written": (lambda x: _written(x), lambda: np.sum(G * _written(T))),
}


def _inverse():
    return np.linalg.inv(X + 3 * np.eye(3))


def _written(x):
    x = x.copy()
    x[0] = 2 * x[1]
    return x


@pytest.mark.parametrize("name", WHOLE)
def test_complex_steps_through_whole_arrays(name):
    f, expected = WHOLE[name]
    assert complex_steps(f) == pytest.approx(expected(), rel=1e-13)


NOT_ANALYTIC = {
    "its real part": lambda x: np.sin(x.real),
    "its real part, by a function": lambda x: np.sin(np.real(x)),
    "its imaginary part": lambda x: x + x.imag,
    "its conjugate": lambda x: x * x.conj(),
    "its conjugate, by a function": lambda x: x * np.conjugate(x),
    "its angle": lambda x: x + np.angle(x),
    "an array of it": lambda x: np.sin(np.asarray(x)),
    "a copy of it": lambda x: 2 * np.array(x),
    "a view of it": lambda x: np.sin(x.view(np.ndarray)),
    "floats of it": lambda x: np.sin(np.asarray(x, float)),
    "a list of it": lambda x: np.array(x.tolist()),
    "an entry as a number": lambda x: x * float(x[0, 0]),
    "entries as numbers": lambda x: np.stack([x.item(k) * np.ones(3) for k in range(3)]),
    "integers of it": lambda x: x.astype(int) * 1.0,
    "written to floats": lambda x: _filled(np.zeros(x.shape), x),
    "sorted": lambda x: np.sort(x, 0),
    "sorted in place": lambda x: _sorted(x.copy()),
    "its largest": lambda x: x.max(0),
    "its largest, by a function": lambda x: x - np.max(x),
    "where it is largest": lambda x: x * np.argmax(x),
    "its median": lambda x: np.median(x, 0),
    "a norm": lambda x: np.linalg.norm(x, axis=0),
    "a spread": lambda x: x.std(0),
    "a variance": lambda x: np.var(x, 0),
    "clipped": lambda x: np.clip(x, 0.5, 1),
    "clipped by a method": lambda x: x.clip(0.5, 1),
    "rounded": lambda x: np.round(x, 1),
    "floor": lambda x: x - np.floor(x),
    "sign": lambda x: x * np.sign(x),
    "an interpolation": lambda x: np.interp(x, [0, 1, 2], [0, 1, 4]),
    "a constant": lambda x: np.full_like(X, x.size),
    "math": lambda x: x * __import__("math").sin(x[0, 0]),
    "what raises": lambda x: x[9],
    "what is infinite": lambda x: x / 0.0,
}


def _filled(out, x):
    out[...] = x
    return out


def _sorted(x):
    x.sort(0)
    return x


@pytest.mark.parametrize("name", NOT_ANALYTIC)
def test_complex_steps_are_refused_where_they_would_be_wrong(name):
    f = NOT_ANALYTIC[name]
    assert complex_slope(lambda xs: [f(*xs)], [X], [T], [G]) is None


SLIPS_THROUGH = {
    "an entry's real part": (lambda x: x[0, 0].real * x, lambda: G * (T[0, 0] * X + X[0, 0] * T)),
    "an entry's size": (lambda x: abs(x[0, 0]) * x, lambda: G * (T[0, 0] * X + X[0, 0] * T)),
    "an entry's conjugate": (
        lambda x: np.conj(x[0, 0]) * x,
        lambda: G * (T[0, 0] * X + X[0, 0] * T),
    ),
    "vecdot, which conjugates": (
        lambda x: np.vecdot(x, B),
        lambda: G[0] * np.sum(T * B, -1),
    ),
    "other shapes": (lambda x: x.view(np.float64), lambda: G * T),
}


@pytest.mark.parametrize("name", SLIPS_THROUGH)
def test_complex_steps_are_right_or_refused(name):
    f, expected = SLIPS_THROUGH[name]
    weights = G[0] if name.startswith("vecdot") else G
    found = complex_slope(lambda xs: [f(*xs)], [X], [T], [weights])
    assert found is None or found == pytest.approx(np.sum(expected()), rel=1e-12)


LOST = {
    "where": (lambda x: np.where(x > 1, x * x, x), lambda: np.where(X > 1, 2 * X * T, T)),
    "concatenate": (lambda x: np.concatenate([x[:1], x[1:]]), lambda: T),
    "stack": (lambda x: np.stack([x[0], x[1], x[2]]), lambda: T),
    "einsum": (lambda x: np.einsum("ij,jk->ik", x, B), lambda: T @ B),
    "outer": (lambda x: np.outer(x[0], B[0]), lambda: np.outer(T[0], B[0])),
    "pad": (
        lambda x: np.pad(x[:, :1], ((0, 0), (0, 2))),
        lambda: np.pad(T[:, :1], ((0, 0), (0, 2))),
    ),
    "zeros_like": (lambda x: np.zeros_like(x) + x, lambda: T),
    "solve": (
        lambda x: np.linalg.solve(x + 3 * np.eye(3), B),
        lambda: -_inverse() @ T @ _inverse() @ B,
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_complex_steps_through_all_functions_that_are_listed(name):
    f, tangent = LOST[name]
    assert complex_steps(f) == pytest.approx(np.sum(G * tangent()), rel=1e-13)


def test_complex_steps_of_several_arguments_and_outputs():
    x, y = X[0], X[1]
    f = lambda xs: [xs[0] * xs[1], np.exp(xs[1])]
    expected = np.sum(G[0] * (T[0] * y + x * T[1])) + np.sum(G[1] * np.exp(y) * T[1])
    found = complex_slope(f, [x, y], [T[0], T[1]], [G[0], G[1]])
    assert found == pytest.approx(expected, rel=1e-14)
    assert complex_slope(f, [x, y], [T[0], T[1]], [G[0]]) is None  # it has two outputs
    constant = lambda xs: [xs[0], np.ones(3)]
    assert complex_slope(constant, [x, y], [T[0], T[1]], [G[0], G[1]]) is None


def test_complex_steps_say_nothing_aloud():
    with np.errstate(all="raise"):
        assert complex_slope(lambda xs: [1 / (xs[0] - xs[0])], [X], [T], [G]) is None


# Differences ----------------------------------------------------------------------------------


def along(f, x, t=1.0, dtype=np.float64, by=slope):
    """The slope of f at a number."""
    values = lambda xs: [np.asarray(f(xs[0]))]
    with np.errstate(all="ignore"):
        return by(values, [np.asarray(x, dtype)], [np.asarray(t)], [np.ones(())])


SMOOTH = {
    "sin": (np.sin, np.cos, 0.7),
    "a cube": (lambda x: x**3, lambda x: 3 * x * x, 2.0),
    "beside a pole": (lambda x: 1 / x, lambda x: -1 / x**2, 0.1),
    "log of a small number": (np.log, lambda x: 1 / x, 1e-3),
    "a root of a tiny number": (np.sqrt, lambda x: 0.5 / np.sqrt(x), 1e-12),
    "steep": (lambda x: np.tanh(1e5 * x), lambda x: 1e5 / np.cosh(1e5 * x) ** 2, 1e-6),
    "many periods": (lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x), 0.2),
    "a large number": (np.cos, lambda x: -np.sin(x), 1e4),
    "log(1 + x²)": (lambda x: np.log(1 + x * x), lambda x: 2 * x / (1 + x * x), 0.7),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
def test_slopes_of_smooth_functions_are_known_and_within_their_error(name, dtype):
    f, derivative, x = SMOOTH[name]
    expected = float(derivative(np.asarray(x, dtype)))
    found = along(f, x, x, dtype)
    assert found.is_known and found.error < 1e-7 * abs(expected * x)
    assert abs(found.value - expected * x) <= found.error + 4 * EPS * abs(expected * x)
    assert not is_misled(along(f, x, 1.0, dtype), expected, 4 * EPS)


def is_misled(found, expected, slack=1e-6):
    """Whether a slope is wrong, and claims to be right."""
    off = abs(found.value - expected)
    return found.is_known and off > found.error and off > slack * abs(expected)


def test_slopes_know_what_rounding_does_to_arguments():
    assert not is_misled(along(lambda x: np.tanh(1e5 * (x - 0.2)), 0.2), 1e5, 1e-9)


@pytest.mark.parametrize(
    ("f", "x", "t", "value"),
    [
        (lambda x: 0 * x + 3, 1.0, 1.0, 0),
        (lambda x: 0 * x + 3, 1.0, 1e-7, 0),
        (lambda x: np.maximum(x, 0), -1.0, 1e-7, 0),
        (lambda x: np.maximum(x, 0), -0.01, 1.0, 0),  # larger steps cross the kink
        (np.floor, 0.3, 1.0, 0),
        (lambda x: 1 + x * x, 0.0, 1.0, 0),
        (np.abs, 0.0, 1.0, 0),
    ],
)
def test_flat_functions_have_slope_zero(f, x, t, value):
    found = along(f, x, t)
    assert found.value == value and found.error < 1e-12


@pytest.mark.parametrize("decimals", [3, 4])
def test_flat_nearby_but_changing_further_away_is_unknown(decimals):
    found = along(lambda x: np.round(x, decimals), 1.0, 1e-7)
    assert np.isnan(found.value) and not found.is_known
    half = along(lambda x: x.astype(np.float16).astype(x.dtype), 1.0, 1e-7)
    assert np.isnan(half.value)
    tiny = along(lambda x: 1 + 1e-12 * x, 1.0, 1e-6)  # nothing of it is left after rounding
    assert not tiny.is_known


ROUNDED = {
    "its result": (lambda x: np.exp(x.astype(np.float32)), np.exp),
    "its result, widened": (
        lambda x: np.sin(x.astype(np.float32)).astype(x.dtype),
        np.cos,
    ),
    "one factor": (
        lambda x: x * np.sin(x.astype(np.float32)),
        lambda x: np.sin(x) + x * np.cos(x),
    ),
    "one term": (lambda x: x + np.exp(x.astype(np.float32)), lambda x: 1 + np.exp(x)),
    "a small term": (
        lambda x: x + (x * x).astype(np.float32).astype(x.dtype),
        lambda x: 1 + 2 * x,
    ),
}


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("dtype", [np.float64, np.longdouble])
def test_functions_that_round_inside_have_slopes_of_single_precision_or_none(name, dtype):
    f, derivative = ROUNDED[name]
    if name in ("its result", "its result, widened"):
        found = along(f, 1.0, 1.0, dtype)
        assert found.is_known and 1e-8 < found.error / abs(derivative(1.0)) < 2e-3
    for x in np.linspace(0.1, 3, 30):
        assert not is_misled(along(f, x, 1.0, dtype), derivative(x), 1e-9), x


CANCELLING = {
    "log(1 + x²)": (lambda x: np.log(1 + x * x), lambda x: 2 * x / (1 + x * x)),
    "1 - cos x": (lambda x: 1 - np.cos(x), np.sin),
    "sqrt(1 + x²) - 1": (lambda x: np.sqrt(1 + x * x) - 1, lambda x: x / np.sqrt(1 + x * x)),
    "exp(x²) - 1": (lambda x: np.exp(x * x) - 1, lambda x: 2 * x * np.exp(x * x)),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_where_digits_cancel_slopes_along_long_directions_are_not_misled(name):
    f, derivative = CANCELLING[name]
    for x in np.geomspace(1e-9, 1, 40):
        assert not is_misled(along(f, x, 1.0), derivative(x)), x
    assert along(f, 0.0).value == 0


# Checks look at arguments no smaller than 1e-7.


@pytest.mark.parametrize("name", CANCELLING)
def test_where_digits_cancel_slopes_along_short_directions_are_not_misled(name):
    f, derivative = CANCELLING[name]
    misled = [
        x for x in np.geomspace(1e-8, 1e-4, 60) if is_misled(along(f, x, x), derivative(x) * x)
    ]
    assert not misled


def test_confirmed_slopes_are_not_misled_where_digits_cancel():
    f, derivative = CANCELLING["log(1 + x²)"]
    near = np.geomspace(1e-8, 1e-6, 60)
    misled = [x for x in near if is_misled(along(f, x, x, by=confirmed), derivative(x) * x)]
    assert not misled


def test_half_of_a_function_that_is_flat_nearby_is_not_left_out():
    f, derivative = ROUNDED["one term"]
    for x in (1e-7, 3e-7, 1e-6):
        assert not is_misled(along(f, x, x), derivative(x) * x), x


def test_what_is_flat_after_rounding_is_not_known_to_be_zero():
    found = along(lambda x: np.log(1 + np.exp(x)), -40.0)
    assert not is_misled(found, 1 / (1 + np.exp(40)))


def test_slopes_of_what_is_not_finite_or_is_noise_are_unknown():
    noise = np.random.default_rng(0)
    assert not along(lambda x: x + noise.standard_normal(), 1.0).is_known
    for f, x in ((lambda x: x * np.inf, 1.0), (np.sqrt, 0.0), (np.log, -1.0)):
        found = along(f, x)
        assert np.isnan(found.value) and found.error == np.inf


def test_noise_widens_the_error():
    noise = np.random.default_rng(0)
    errors = []
    for size in (1e-12, 1e-9, 1e-6):
        found = along(lambda x, size=size: np.sin(x) + size * noise.uniform(-1, 1), 1.0)
        assert abs(found.value - np.cos(1)) <= found.error < 1e4 * size
        errors.append(found.error)
    assert errors == sorted(errors) and errors[-1] > 1e-6


def test_sides_of_a_kink_differ():
    behind, ahead = along(lambda x: np.maximum(x, 3 * x), 0.0, by=one_sided)
    assert (behind.value, ahead.value) == pytest.approx((1, 3), rel=1e-15)
    behind, ahead = along(np.sin, 0.5, by=one_sided)
    assert behind.value == pytest.approx(np.cos(0.5), abs=behind.error)
    assert ahead.value == pytest.approx(np.cos(0.5), abs=ahead.error)


def test_confirmed_slopes_cover_where_ladders_differ():
    staircase = lambda x: np.sin(x.astype(np.float32)).astype(x.dtype)
    once, thrice = along(staircase, 0.7), along(staircase, 0.7, by=confirmed)
    assert thrice.error >= once.error and abs(thrice.value - np.cos(0.7)) <= thrice.error


# What follows for right gradients -------------------------------------------------------------

ACCUSED = {
    "log(1 + x²), given ordinary numbers": (
        lambda x: np.log(1 + np.asarray(x, float) ** 2),
        lambda g, x: g * 2 * x / (1 + x * x),
        [-2.9332380326144025, 1.3134639226062053, -1.0132368530940288],
        53,
    ),
    "softplus of large negative numbers": (
        lambda x: np.log(1 + np.exp(x)),
        lambda g, x: g / (1 + np.exp(-x)),
        [-42.0, -50.0],
        0,
    ),
    "a term in single precision": (
        lambda x: x + np.exp(x.astype(np.float32)),
        lambda g, x: g * (1 + np.exp(x)),
        [0.5, 2.0, -2.3],
        59,
    ),
}


@pytest.mark.parametrize("name", ACCUSED)
def test_right_gradients_are_not_accused_where_slopes_are_lost_in_rounding(name):
    f, vjp, x, seed = ACCUSED[name]
    assert check_grads((f, vjp), np.array(x), seed=seed).decided


# Noise ----------------------------------------------------------------------------------------


def test_nudges_move_by_units_in_the_last_place_what_is_to_be_moved():
    rng = np.random.default_rng(0)
    leaves = [X, np.arange(3), X.astype(np.float32), -1e10 * X]
    moved = nudged(leaves, [0, 2, 3], rng, 2)
    assert moved[1] is not leaves[1] and (moved[1] == leaves[1]).all()
    for i in (0, 2, 3):
        eps = np.finfo(leaves[i].dtype).eps
        off = np.abs(moved[i] - leaves[i]) / np.abs(leaves[i])
        assert moved[i].dtype == leaves[i].dtype and (off <= 3 * eps).all() and off.any()
    assert (nudged([X], [], rng, 2)[0] == X).all()


@pytest.mark.parametrize(
    "x",
    [
        np.ones((3, 4)),
        np.ones((3, 4)).T,
        np.ones((2, 3, 4)).transpose(1, 2, 0),
        np.asfortranarray(np.ones((2, 3, 4))),
    ],
)
def test_nudges_keep_the_order_of_axes_in_memory(x):
    (moved,) = nudged([x], [0], np.random.default_rng(0), 2)
    assert moved.strides == x.strides and moved.base is None


# Reports --------------------------------------------------------------------------------------


def report(**checked):
    """A report, of derivatives written with underscores."""
    found = Report("f")
    for what, error in checked.items():
        found.add(what.replace("__", ", ").replace("_", " "), error)
    return found


def test_reports_keep_the_worst_error_of_each_thing():
    found = report(order_1__rev=0.5)
    found.add("order 1, rev", 0.25)
    found.add("order 1, fwd", 0.75)
    assert found.checked == {"order 1, rev": 0.5, "order 1, fwd": 0.75}
    assert found.worst == 0.75 and Report("f").worst == 0


def test_orders_and_modes_are_those_that_were_looked_at():
    found = report(order_1__nearby__rev=0, order_3__of_fwd_of_rev__rev=0, order_2__rev=0)
    assert (found.orders, found.modes) == ([1, 2, 3], ["rev"])
    found = report(order_2__of_rev__fwd=0, order_2__of_fwd__rev=0)
    assert (found.orders, found.modes) == ([2], ["rev", "fwd"])
    assert (Report("f").orders, Report("f").modes) == ([], [])


def test_merged_reports_say_what_both_say():
    first, second = report(order_1__rev=0.5), report(order_1__rev=0.25, order_2__rev=0.75)
    first.decided, second.decided = 3, 4
    first.note("fwd: the pair has no jvp")
    second.note("fwd: the pair has no jvp")
    second.note("order 3: it has none")
    entries = Entries("rev, argument 0", *np.ones((3, 2)))
    second.entries, second.failure = [entries], "the sign is wrong"
    first.merge(second)
    assert first.checked == {"order 1, rev": 0.5, "order 2, rev": 0.75}
    assert first.notes == ["fwd: the pair has no jvp", "order 3: it has none"]
    assert (first.decided, first.worst, first.failure) == (7, 0.75, "the sign is wrong")
    assert first.entries == [entries]
    first.merge(Report("f", failure="another", entries=[Entries("fwd", *np.ones((3, 2)))]))
    assert first.failure == "the sign is wrong" and first.entries == [entries]


def test_reports_as_dictionaries_are_what_json_takes():
    found = check_grads((np.sin, lambda g, x: g * np.cos(x)), X, entries=True)
    assert found.entries
    data = json.loads(json.dumps(found.as_dict()))
    assert data == found.as_dict() and "entries" not in data
    assert (data["name"], data["orders"], data["modes"]) == ("sin", [1], ["rev"])
    assert data["worst"] == found.worst and data["checked"] == found.checked
    assert data["notes"] == found.notes and data["failure"] == ""


def test_entries_are_told_apart_from_what_was_not_known():
    f = lambda x: np.where(x > 1, np.sin(1e30 * x), np.sin(x))
    with pytest.raises(GradientError) as raised:
        check_grads((f, lambda g, x: -g * np.cos(x)), np.array([0.5, 1.5]), search=False)
    (entries,) = raised.value.report.entries
    assert entries.of == "rev, argument 0"
    assert np.isfinite(entries.expected).tolist() == [True, False]
    assert entries.got[0] == pytest.approx(-entries.expected[0], rel=1e-9)
    assert np.isfinite(entries.got).all() and entries.allowed[0] < 1e-6


def test_printed_reports_say_what_was_and_was_not_checked():
    found = report(order_1__rev=0.001234)
    found.decided = 7
    found.note("fwd: the pair has no jvp")
    assert str(found).splitlines() == [
        "f: 7 slopes compared",
        "  order 1, rev: worst error 0.0012 of its tolerance",
        "  not checked: fwd: the pair has no jvp",
    ]
