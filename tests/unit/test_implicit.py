"""Solutions of equations have the derivatives of the equation, in every transform."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest
from scipy.optimize import root as scipy_root

import autograd_core as ac
from autograd_core import implicit
from autograd_core.testing import GradientError, check_grads

RNG = np.random.default_rng(0)
N = 3
GENERAL = np.eye(N) * 2 + 0.3 * RNG.standard_normal((N, N))  # not symmetric
X = RNG.standard_normal((7, N))
Y = RNG.standard_normal(7)
A0 = np.array([1.0, -2.0, 0.5])


def close(a, b, tolerance=1e-9):
    for x, y in zip(ac.tree_leaves(a), ac.tree_leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tolerance, atol=tolerance)


def newton_for(f, steps=8):
    """A solver by Newton's method, of vectors."""

    def solve(init, *args):
        def step(x, _):
            return x - ac.solve(ac.jacfwd(f)(x, *args), f(x, *args)), None

        return ac.scan(step, init, length=steps)[0]

    return solve


# Square roots: every derivative is known ------------------------------------------------------


def heron(init, a):
    return ac.scan(lambda x, _: (0.5 * (x + a / x), None), init, length=30)[0]


square_root = ac.custom_root(lambda x, a: x * x - a, heron)


def of_one(a):
    return square_root(ac.ones_like(a), a)


def test_square_root_to_the_third_order():
    assert check_grads(of_one, 2.0, order=2, search=False).decided
    assert check_grads(of_one, 2.0, order=3, modes=("rev",), search=False).decided
    f, a = of_one, 2.0
    for expected in (a**0.5, 0.5 * a**-0.5, -0.25 * a**-1.5, 0.375 * a**-2.5, -0.9375 * a**-3.5):
        close(f(a), expected, 1e-11)
        f = ac.grad(f)
    pushed = lambda f: lambda a: ac.jvp(f, (a,), (1.0,))[1]
    for modes in itertools.product((ac.grad, pushed), repeat=3):
        close(modes[0](modes[1](modes[2](of_one)))(a), 0.375 * a**-2.5, 1e-11)


AS = np.array([1.0, 4.0, 9.0, 2.0])
FIRST, SECOND = 0.5 * AS**-0.5, -0.25 * AS**-1.5


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (lambda f: lambda a: ac.vmap(f)(a), AS**0.5),
        (lambda f: lambda a: ac.vmap(ac.grad(f))(a), FIRST),
        (lambda f: lambda a: ac.grad(lambda a: ac.sum(ac.vmap(f)(a)))(a), FIRST),
        (lambda f: lambda a: ac.jvp(ac.vmap(f), (a,), (a,))[1], FIRST * AS),
        (lambda f: lambda a: ac.vmap(lambda a: ac.jvp(f, (a,), (a,))[1])(a), FIRST * AS),
        (lambda f: lambda a: ac.vmap(ac.hessian(f))(a), SECOND),
        (lambda f: lambda a: ac.vmap(ac.grad(ac.grad(f)))(a), SECOND),
        (lambda f: lambda a: ac.grad(lambda a: ac.sum(ac.vmap(ac.grad(f))(a) ** 2))(a), None),
        (lambda f: lambda a: ac.jacrev(ac.vmap(f))(a), np.diag(FIRST)),
        (lambda f: lambda a: ac.jacfwd(ac.vmap(f))(a), np.diag(FIRST)),
        (lambda f: lambda a: ac.linearize(ac.vmap(f), a)[1](a), FIRST * AS),
        (lambda f: lambda a: ac.vmap(ac.vmap(ac.grad(f)))(ac.reshape(a, (2, 2))), None),
        (lambda f: lambda a: ac.grad(lambda a: ac.sum(ac.checkpoint(ac.vmap(f))(a)))(a), FIRST),
        (lambda f: lambda a: ac.hvp(lambda a: ac.sum(ac.vmap(f)(a)), (a,), (a,)), SECOND * AS),
    ],
)
def test_transforms(transform, expected):
    """Each as of the closed form; the same of the function under `jit`, and under `jit` as a
    whole."""
    if expected is None:
        expected = transform(ac.sqrt)(ac.asarray(AS))
    for f in (of_one, ac.jit(of_one)):
        close(transform(f)(ac.asarray(AS)), expected)
    close(ac.jit(transform(of_one))(ac.asarray(AS)), expected)


def test_in_control_flow():
    def nested(f):
        def value(a):
            total, _ = ac.scan(lambda c, x: (c + f(a * x), None), 0.0 * a, ac.asarray(AS))
            return ac.cond(total > 1.0, lambda t: t * f(t), lambda t: t, total)

        return value

    a = ac.asarray(1.7)
    for transform in (
        ac.grad,
        lambda f: ac.grad(ac.grad(f)),
        ac.hessian,
        lambda f: lambda a: ac.jvp(f, (a,), (a,))[1],
        lambda f: lambda a: ac.vmap(ac.grad(f))(ac.stack([a, 2 * a])),
    ):
        expected = transform(nested(ac.sqrt))(a)
        close(transform(nested(of_one))(a), expected)
        close(ac.jit(transform(nested(of_one)))(a), expected)


def test_on_the_tape_of_tensors():
    a = ac.Tensor(2.0, requires_grad=True)
    of_one(a).backward(create_graph=True)
    close(a.grad.detach(), 0.5 * 2**-0.5)
    first, a.grad = a.grad, None
    first.backward()
    close(a.grad.detach(), -0.25 * 2**-1.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_stay(dtype):
    a = ac.asarray(AS, dtype)
    gradient = ac.grad(lambda a: ac.sum(ac.vmap(of_one)(a)))(a)
    tangent = ac.jvp(ac.vmap(of_one), (a,), (a,))[1]
    assert gradient.dtype == tangent.dtype == ac.vmap(of_one)(a).dtype == dtype
    close(gradient, FIRST, 1e-5)


def test_a_solver_may_be_any_program():
    f = lambda x, a: GENERAL @ x + 0.1 * x**3 - a

    def solve(init, a):
        return scipy_root(lambda x: f(x, a.numpy()), init, tol=1e-13).x

    solution = ac.custom_root(f, solve)
    loss = lambda a: ac.sum(ac.sin(solution(np.zeros(N), a)))
    ours = ac.custom_root(f, newton_for(f))
    close(
        ac.grad(loss)(A0), ac.grad(lambda a: ac.sum(ac.sin(ours(ac.zeros(N), a))))(ac.asarray(A0))
    )


# Equations whose Jacobian is not symmetric, and trees -------------------------------------------


def cubic(x, a, scale):
    return GENERAL @ x + 0.1 * x * x * x - scale * a


def cubic_loss(solution):
    weights = np.array([1.0, 2.0, 3.0])
    return lambda a, scale: ac.sum(ac.sin(solution(ac.zeros_like(a), a, scale)) * weights)


implicitly, unrolled = (
    cubic_loss(ac.custom_root(cubic, newton_for(cubic))),
    cubic_loss(newton_for(cubic)),
)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ac.grad(f, (0, 1)),
        lambda f: ac.hessian(f, (0, 1)),
        lambda f: ac.jacrev(ac.jacrev(f)),
        lambda f: ac.grad(lambda a, s: ac.sum(ac.grad(f)(a, s) ** 2), (0, 1)),
        lambda f: ac.hessian(lambda a, s: ac.sum(ac.grad(f)(a, s) ** 2)),
        lambda f: lambda a, s: ac.jvp(ac.grad(f), (a, s), (a, s))[1],
        lambda f: lambda a, s: ac.vmap(ac.grad(f, (0, 1)), (0, None))(ac.stack([a, -a]), s),
        lambda f: (
            lambda a, s: ac.grad(
                lambda a, s: ac.sum(ac.vmap(f, (0, None))(ac.stack([a, 2 * a]), s)), (0, 1)
            )(a, s)
        ),
    ],
)
def test_against_derivatives_through_the_solver(transform):
    a, s = ac.asarray(A0), ac.asarray(1.3)
    close(transform(implicitly)(a, s), transform(unrolled)(a, s))
    close(ac.jit(transform(implicitly))(a, s), transform(unrolled)(a, s))


def check_cubic(order):
    of_scale = lambda s: implicitly(ac.asarray(A0), s)
    check_grads(of_scale, 1.3, order=order, modes=("rev",), search=False)


def test_checked_to_the_second_order():
    check_cubic(2)


def test_a_forgotten_transpose_is_noticed(monkeypatch):
    forget = property(lambda self: self)
    monkeypatch.setattr(implicit.Operator, "transposed", forget)
    with pytest.raises(GradientError):
        check_cubic(1)


def test_a_jacobian_taken_for_constant_is_noticed(monkeypatch):
    parameters = implicit.Nonlinear.parameters
    constant = lambda self, theta, x: ac.ops.stop_gradient(parameters(self, theta, x))
    monkeypatch.setattr(implicit.Nonlinear, "parameters", constant)
    check = lambda order: check_grads(of_one, 2.0, order=order, modes=("rev",), search=False)
    check(1)
    with pytest.raises(GradientError):
        check(2)


def test_trees_with_integers_and_python_numbers():
    """x and args are trees; an integer, an index and a number that is no tensor are arguments."""

    def f(x, p):
        total = ac.sum(x["u"]) * p["number"]
        u = p["times"] * x["u"] + ac.tanh(total) - p["a"][p["order"]]
        return {"u": u, "v": x["v"] + total * x["v"] ** 2 * 0.1 - p["b"]}

    def solve(init, p):
        step = lambda x, _: (ac.tree_map(lambda x, r: x - 0.3 * r, x, f(x, p)), None)
        return ac.scan(step, init, length=100)[0]

    def loss(solution):
        def value(a, b, order):
            p = {"a": a, "b": b, "order": order, "times": ac.asarray(2), "number": 0.5}
            x = solution({"u": ac.zeros(2), "v": 0.0}, p)
            return ac.sum(x["u"] * np.array([1.0, 3.0])) * x["v"]

        return value

    found, expected = loss(ac.custom_root(f, solve)), loss(solve)
    a, b, order = ac.asarray([0.3, -0.5]), ac.asarray(0.7), ac.asarray([1, 0])
    close(ac.grad(found, (0, 1))(a, b, order), ac.grad(expected, (0, 1))(a, b, order))
    close(ac.jit(ac.grad(found))(a, b, order), ac.grad(expected)(a, b, order))
    orders = ac.asarray([[1, 0], [0, 0]])
    mapped = lambda f: ac.vmap(ac.grad(f), (None, None, 0))(a, b, orders)
    close(mapped(found), mapped(expected))


def test_no_derivative_flows_to_init_or_to_what_is_not_read():
    start, unread = ac.asarray(1.5), ac.asarray(2.0)
    solution = ac.custom_root(lambda x, a, _unread: x * x - a, lambda x, a, _: heron(x, a))
    close(ac.grad(solution, (0, 1, 2))(start, 2.0, unread), (0.0, 0.5 * 2**-0.5, 0.0))


# What functions close over ------------------------------------------------------------------------


def test_closures_are_differentiated():
    def by_closure(a, scale):
        solution = ac.custom_root(
            lambda x: cubic(x, a, scale), lambda x: newton_for(cubic)(x, a, scale)
        )
        return ac.sum(ac.sin(solution(ac.zeros_like(a))) * np.array([1.0, 2.0, 3.0]))

    a, s = ac.asarray(A0), ac.asarray(1.3)
    for transform in (
        lambda f: ac.grad(f, (0, 1)),
        lambda f: ac.hessian(f),
        lambda f: lambda a, s: ac.jvp(f, (a, s), (a, s)),
        lambda f: lambda a, s: ac.vmap(ac.grad(f), (0, None))(ac.stack([a, -a]), s),
    ):
        close(transform(by_closure)(a, s), transform(implicitly)(a, s))
        close(ac.jit(transform(by_closure))(a, s), transform(implicitly)(a, s))
    tensor = ac.Tensor(A0, requires_grad=True)
    by_closure(tensor, s).backward()
    close(tensor.grad, ac.grad(implicitly)(a, s))


@ac.custom_jvp
def doubled_rule(x):
    """The identity, with twice its derivative: to tell whose rule is used."""
    return 1.0 * x


doubled_rule.defjvp(lambda x, t: (doubled_rule(x[0]), 2.0 * t[0]))


def test_rules_of_their_own_are_honoured():
    solution = ac.custom_root(lambda x, a: doubled_rule(x) - a * a, lambda _, a: a * a)
    for transform in (ac.grad, ac.jit, lambda f: lambda a: ac.jvp(f, (a,), (1.0,))[1]):
        f = lambda a: solution(0.0, a)
        f = ac.grad(f) if transform is ac.jit else f
        close(transform(f)(3.0), 3.0)  # half of 2 a
    close(ac.grad(lambda a: ac.vmap(solution, (None, 0))(0.0, a[None])[0])(ac.asarray(3.0)), 3.0)
    checkpointed = ac.custom_root(ac.checkpoint(lambda x, a: x * x - a), heron)
    close(ac.grad(ac.grad(lambda a: checkpointed(1.0, a)))(2.0), -0.25 * 2**-1.5)


def test_rules_of_their_own_beside_closures():
    def by_closure(a):
        return ac.custom_root(lambda x: doubled_rule(x) - a, lambda _: ac.stop_gradient(a))(0.0)

    for f in (by_closure, ac.jit(by_closure)):
        close(ac.grad(f)(3.0), 0.5)
        close(ac.jvp(f, (3.0,), (1.0,)), (3.0, 0.5))

    def in_the_rule(a):
        shifted = ac.custom_jvp(lambda x: x - a)
        shifted.defjvp(lambda x, t: (shifted(x[0]), 2.0 * t[0]))
        return ac.custom_root(shifted, lambda _: ac.stop_gradient(a))(0.0)

    with pytest.raises(ac.RuleError, match=r"by closure.* pass that value as an argument"):
        ac.grad(in_the_rule)(3.0)
    close(in_the_rule(3.0), 3.0)


def test_jit_watches_what_both_functions_read():
    data = {"scale": 1.0}
    solution = ac.custom_root(
        lambda x, a: x - data["scale"] * a, lambda _, a: data["scale"] * a, symmetric=True
    )
    gradient = ac.jit(ac.grad(lambda a: solution(None, a) ** 2))
    close(gradient(3.0), 6.0)
    data["scale"] = 2.0
    close(gradient(3.0), 24.0)


# Known problems -----------------------------------------------------------------------------------


def test_ridge_regression():
    fit = ac.custom_root(
        lambda w, x, y, strength: ac.grad(
            lambda w: 0.5 * ac.sum((x @ w - y) ** 2) + 0.5 * ac.sum(strength * w**2)
        )(w),
        lambda _, x, y, strength: ac.solve(x.T @ x + ac.diag(strength), x.T @ y),
        symmetric=True,
    )
    direct = lambda x, y, strength: ac.solve(x.T @ x + ac.diag(strength), x.T @ y)
    strength = np.array([0.5, 1.0, 2.0])
    args = tuple(map(ac.asarray, (X, Y, strength)))
    close(fit(None, *args), direct(*args))
    for transform in (ac.jacrev, ac.jacfwd):
        close(
            transform(lambda *a: fit(None, *a), (0, 1, 2))(*args),
            transform(direct, (0, 1, 2))(*args),
        )
    total = lambda f: lambda s: ac.sum(f(X, Y, s) ** 2)
    close(ac.hessian(total(lambda *a: fit(None, *a)))(args[2]), ac.hessian(total(direct))(args[2]))


def test_kepler():
    """dE/dM = 1 / (1 - e cos E), dE/de = sin E / (1 - e cos E)."""

    def solve(start, mean, e):
        step = lambda E: E - (E - e * ac.sin(E) - mean) / (1.0 - e * ac.cos(E))
        return ac.scan(lambda E, _: (step(E), None), start, length=10)[0]

    anomaly = ac.custom_root(lambda E, mean, e: E - e * ac.sin(E) - mean, solve)
    at = lambda mean, e: anomaly(mean, mean, e)
    E = at(1.0, 0.3).item()
    slope = 1.0 / (1.0 - 0.3 * np.cos(E))
    close(ac.grad(at, (0, 1))(1.0, 0.3), (slope, slope * np.sin(E)))
    close(ac.hessian(at)(1.0, 0.3), -0.3 * np.sin(E) * slope**3)
    check_grads(at, 1.0, 0.3, order=1, search=False)


def test_meta_gradient_of_a_quadratic():
    """iMAML: with the proximal inner loss ½ φᵀHφ - bᵀφ + ½ λ |φ - θ|², dφ/dθ = (1 + H/λ)⁻¹."""
    root = RNG.standard_normal((N, N))
    h, b, strength = root @ root.T, RNG.standard_normal(N), 2.0
    inner = lambda phi, theta: (
        0.5 * phi @ h @ phi - b @ phi + 0.5 * strength * ac.sum((phi - theta) ** 2)
    )
    solve = lambda _, theta: ac.solve(h + strength * np.eye(N), b + strength * theta)
    meta = lambda solution: lambda theta: ac.sum(ac.cos(solution(None, theta)))
    adapt = ac.custom_root(ac.grad(inner), solve, symmetric=True)
    outer = -np.sin(np.asarray(adapt(None, A0)))
    close(ac.grad(meta(adapt))(A0), np.linalg.solve(np.eye(N) + h / strength, outer))
    truncated = ac.custom_root(
        ac.grad(inner),
        solve,
        lambda matvec, b: ac.conjugate_gradient(matvec, b, iterations=2),
        symmetric=True,
    )
    expected = strength * by_hand(h + strength * np.eye(N), outer, 2)
    assert not np.allclose(expected, ac.grad(meta(adapt))(A0), rtol=1e-3)
    close(ac.grad(meta(truncated))(A0), expected)
    thetas = ac.stack([ac.asarray(A0), ac.asarray(2 * A0)])
    for f in (ac.vmap(ac.grad(meta(truncated))), ac.jit(ac.vmap(ac.grad(meta(truncated))))):
        close(f(thetas), ac.stack([ac.grad(meta(truncated))(theta) for theta in thetas]))


def by_hand(a, b, iterations):
    """Conjugate gradients in NumPy."""
    x, r = np.zeros_like(b), b
    p = r
    for _ in range(iterations):
        alpha = r @ r / (p @ a @ p)
        x, after = x + alpha * p, r - alpha * (a @ p)
        p, r = after + (after @ after) / (r @ r) * p, after
    return x


def test_hyper_gradient_of_logistic_regression():
    labels = ac.asarray((Y > 0).astype(float))

    def loss(w, strength):
        logits = X @ w
        return ac.mean(ac.softplus(logits) - labels * logits) + 0.5 * ac.sum(
            ac.exp(strength) * w**2
        )

    solve = newton_for(ac.grad(loss))
    held_out = lambda w: ac.mean(ac.softplus(-(X[:, ::-1] @ w)))
    hyper = lambda solution: lambda strength: held_out(solution(ac.zeros(N), strength))
    found = hyper(ac.custom_root(ac.grad(loss), solve, symmetric=True))
    at = ac.asarray([-1.0, 0.0, 0.5])
    close(ac.grad(found)(at), ac.grad(hyper(solve))(at))
    close(ac.hessian(found)(at), ac.hessian(hyper(solve))(at))


# Fixed points -------------------------------------------------------------------------------------


def test_fixed_points():
    w = 0.3 * GENERAL
    layer = lambda h, w, x: {"h": ac.tanh(w @ h["h"] + x)}
    equilibrium = ac.custom_fixed_point(layer)
    repeated = lambda h, w, x: ac.scan(lambda h, _: (layer(h, w, x), None), h, length=150)[0]
    loss = lambda f: lambda w, x: ac.sum(f({"h": ac.zeros(N)}, w, x)["h"] ** 2)
    w, x = ac.asarray(w), ac.asarray(A0)
    for transform in (
        lambda f: ac.grad(f, (0, 1)),
        lambda f: ac.hessian(f, 1),
        lambda f: lambda w, x: ac.vmap(ac.grad(f), (None, 0))(w, ac.stack([x, 2 * x])),
        lambda f: lambda w, x: ac.jvp(f, (w, x), (w, x)),
    ):
        expected = transform(loss(repeated))(w, x)
        close(transform(loss(equilibrium))(w, x), expected)
        close(ac.jit(transform(loss(equilibrium)))(w, x), expected)
    given = ac.custom_fixed_point(layer, solver=repeated)
    close(ac.grad(loss(given))(w, x), ac.grad(loss(repeated))(w, x))


def test_fixed_points_that_are_not_reached():
    f = lambda x, a: 2.0 * x + a
    with pytest.raises(ac.NanError, match=r"custom_fixed_point\(<lambda>\).* not finite"):
        ac.custom_fixed_point(f, iterations=50)(1.0, 1.0)
    assert np.isnan(ac.jit(ac.custom_fixed_point(f, iterations=50))(1.0, 1.0).item())
    quick = ac.custom_fixed_point(lambda x: 0.5 * x, tolerance=1e-2, iterations=20)
    assert 1e-3 < quick(1.0).item() < 1e-1


# Linear systems -----------------------------------------------------------------------------------


SYMMETRIC = GENERAL @ GENERAL.T


@pytest.mark.parametrize(
    ("solver", "matrix"),
    [(ac.conjugate_gradient, SYMMETRIC), (ac.normal_conjugate_gradient, GENERAL)],
)
def test_linear_solvers(solver, matrix):
    """The solution of a system with a matrix, its derivatives in matrix and right-hand side."""
    found = lambda s, b: solver(lambda v: s * (ac.asarray(matrix) @ v), b)
    expected = lambda s, b: ac.solve(s * matrix, b)
    s, b = ac.asarray(1.5), ac.asarray(A0)
    total = lambda f: lambda s, b: ac.sum(ac.sin(f(s, b)))
    transforms = (
        lambda f: ac.jacrev(f, (0, 1)),
        lambda f: lambda s, b: ac.vmap(f, (None, 0))(s, ac.stack([b, 0 * b, 2 * b])),
        lambda f: ac.jacfwd(f, (0, 1)),
        lambda f: ac.hessian(total(f), (0, 1)),
        lambda f: lambda s, b: ac.vmap(ac.grad(total(f)), (0, None))(ac.stack([s, 2 * s]), b),
    )
    for transform in (lambda f: f, *transforms):
        close(transform(found)(s, b), transform(expected)(s, b))
    for transform in transforms[2:]:
        close(ac.jit(transform(found))(s, b), transform(expected)(s, b))
    single = solver(lambda v: ac.asarray(matrix, np.float32) @ v, ac.asarray(A0, np.float32))
    assert single.dtype == np.float32
    close(single, np.linalg.solve(matrix, A0), 1e-4)


def test_damping_and_truncation():
    matvec, b = lambda v: SYMMETRIC @ v, ac.asarray(A0)
    damped = lambda damping: ac.conjugate_gradient(matvec, b, damping=damping)
    close(damped(0.7), np.linalg.solve(SYMMETRIC + 0.7 * np.eye(N), A0))
    expected = ac.jacfwd(lambda d: ac.solve(SYMMETRIC + d * np.eye(N), b))(0.7)
    close(ac.jacfwd(damped)(0.7), expected)
    for k in (0, 1, 2):
        found = ac.conjugate_gradient(matvec, b, iterations=k)
        close(found, by_hand(SYMMETRIC, A0, k))
    close(ac.conjugate_gradient(matvec, b, iterations=20), np.linalg.solve(SYMMETRIC, A0))


@pytest.mark.parametrize("solver", [ac.conjugate_gradient, ac.normal_conjugate_gradient])
def test_iterations_beyond_the_solution_change_nothing(solver):
    """Where squares of what is left are no numbers of the dtype any more."""
    diagonal = np.linspace(0.1, 0.11, 50, dtype=np.float32)
    b = np.random.default_rng(0).standard_normal(50).astype(np.float32) * np.float32(1e-3)
    for count in (12, 16, 40):
        for jit in (lambda f: f, ac.jit):
            found = jit(lambda b, n=count: solver(lambda v: v * diagonal, b, iterations=n))(b)
            np.testing.assert_allclose(found.numpy(), b / diagonal, rtol=1e-4)


def test_trees_of_several_dtypes():
    b = {"a": ac.asarray([1.0, 2.0]), "b": ac.asarray(3.0, np.float32)}
    found = ac.conjugate_gradient(lambda v: {"a": 2.0 * v["a"], "b": 4.0 * v["b"]}, b)
    close(found, {"a": np.array([0.5, 1.0]), "b": 0.75}, 1e-5)
    assert found["b"].dtype == np.float32


def test_systems_without_a_solution_are_nan():
    singular = lambda v: v * np.array([1.0, 0.0, 1.0])
    for solver in (ac.conjugate_gradient, ac.normal_conjugate_gradient):
        assert np.isnan(solver(singular, ac.ones(N)).numpy()).all()
    limited = ac.conjugate_gradient(lambda v: SYMMETRIC @ v, A0, tolerance=1e-10, iterations=1)
    assert np.isnan(limited.numpy()).all()
    double = ac.custom_root(lambda x, a: (x - a) ** 2, lambda _, a: a)
    assert np.isnan(ac.grad(lambda a: double(0.0, a))(1.0).item())
    rows = ac.vmap(lambda b: ac.conjugate_gradient(singular, b))(np.eye(N))
    assert np.isnan(rows.numpy()).any(1).tolist() == [False, True, False]


# Memory -------------------------------------------------------------------------------------------


def peak_bytes(f):
    gc.collect()
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def descent(steps):
    def solve(x, a):
        for _ in range(steps):
            x = x - 0.5 * (x + 0.3 * ac.sin(x) - a)
        return x

    return solve


@pytest.mark.parametrize("by_closure", [False, True])
def test_memory_does_not_grow_with_iterations(by_closure):
    start = ac.asarray(np.zeros(10_000))

    def gradient(steps):
        def loss(a):
            optimality, solve = (lambda x, a: x + 0.3 * ac.sin(x) - a), descent(steps)
            if by_closure:
                solution = ac.custom_root(lambda x: optimality(x, a), lambda x: solve(x, a))
                return ac.sum(solution(start))
            return ac.sum(ac.custom_root(optimality, solve)(start, a))

        return lambda: ac.grad(loss)(start)

    gradient(2)()
    few, many = peak_bytes(gradient(10)), peak_bytes(gradient(100))
    assert many < few + start.size * 8
    through = peak_bytes(lambda: ac.grad(lambda a: ac.sum(descent(100)(start, a)))(start))
    assert through > 3 * many, "the solver's tape is large enough to be noticed"


# Errors -------------------------------------------------------------------------------------------


def residual(x, a):
    return x - a


def returns(_, a):
    return a


@pytest.mark.parametrize(
    ("optimality", "solver", "error", "message"),
    [
        (lambda x, _: (x, x), returns, ValueError, "optimality's result has the structure"),
        (lambda x, _: ac.sum(x), returns, ac.ShapeError, "optimality's result has shape"),
        (residual, lambda _, a: [a], ValueError, "solver's result has the structure"),
        (residual, lambda _, a: a[:1], ac.ShapeError, "solver's result has shape"),
        (residual, lambda _, a: ac.log(-a), ac.NanError, "solver's result is not finite"),
        (residual, lambda *_: ac.arange(2), ac.DtypeError, "solver's result has dtype"),
        (residual, lambda _, a: a + 1j, ac.DtypeError, "two real ones"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_errors_name_what_is_wrong(optimality, solver, error, message):
    solution = ac.custom_root(optimality, solver)
    start, a = ac.zeros(2), ac.ones(2)
    with pytest.raises(error, match=message) as raised:
        solution(start, a)
    assert str(raised.value).startswith(f"custom_root({optimality.__name__}): ")
    with pytest.raises(error, match=message):
        ac.grad(lambda a: ac.sum(solution(start, a)))(a)


def test_errors_of_linear_systems():
    solution = ac.custom_root(lambda x, a: x - a, lambda _, a: a, lambda _matvec, b: (b, b))
    with pytest.raises(ValueError, match="linear_solver's result has the structure"):
        ac.grad(lambda a: solution(0.0, a))(1.0)
    with pytest.raises(ac.ShapeError, match="matvec's result has shape"):
        ac.conjugate_gradient(lambda v: v[:1], ac.ones(2))
    with pytest.raises(ac.DtypeError, match="conjugate_gradient: b has dtype int64"):
        ac.conjugate_gradient(lambda v: v, ac.arange(2))
    with pytest.raises(ValueError, match="f's result has the structure"):
        ac.custom_fixed_point(lambda x: (x, x))(1.0)


def test_a_solver_that_looks_at_values_is_told_what_to_do_under_jit():
    def solve(x, a):
        while abs(x * x - a) > 1e-9:
            x = 0.5 * (x + a / x)
        return x

    solution = ac.custom_root(lambda x, a: x * x - a, solve)
    close(ac.grad(lambda a: solution(1.0, a))(2.0), 0.5 * 2**-0.5)
    with pytest.raises(ac.ConcreteValueError, match="while_loop"):
        ac.jit(lambda a: solution(1.0, a))(2.0)


# JAX ----------------------------------------------------------------------------------------------


def test_against_jax():
    jax = pytest.importorskip("jax", reason="its custom_root is what ours is compared with")
    jnp = jax.numpy
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)

    def newton(f, x):
        step = lambda _, x: x - jnp.linalg.solve(jax.jacfwd(f)(x), f(x))
        return jax.lax.fori_loop(0, 12, step, x)

    def theirs(a, scale):
        f = lambda x: jnp.asarray(GENERAL) @ x + 0.1 * x * x * x - scale * a
        solve = lambda g, y: jnp.linalg.solve(jax.jacfwd(g)(y), y)
        x = jax.lax.custom_root(f, jnp.zeros(N), newton, solve)
        return jnp.sum(jnp.sin(x) * jnp.array([1.0, 2.0, 3.0]))

    def of(module, stack, f):
        return lambda a, s: (
            module.value_and_grad(f, (0, 1))(a, s),
            module.hessian(f)(a, s),
            module.vmap(module.grad(f), (0, None))(stack([a, -a, 2 * a]), s),
        )

    try:
        a, s = ac.asarray(A0), ac.asarray(1.3)
        close(of(ac, ac.stack, implicitly)(a, s), jax.jit(of(jax, jnp.stack, theirs))(A0, 1.3))
    finally:
        jax.config.update("jax_enable_x64", before)
