"""`jit` is the function itself: same results, same derivatives, same errors where there are any."""

import copy
import functools
import gc
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import jit, nn
from kernels.cpu.lazy import numba_loads

X = ac.asarray(np.linspace(-1.0, 2.0, 6).reshape(2, 3))


def wave(x):
    return ac.sum(ac.sin(x) * ac.exp(-x) + x**3)


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-12)


# Transforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [
        ac.grad,
        ac.hessian,
        lambda f: ac.grad(lambda x: ac.sum(ac.grad(f)(x) ** 2)),
        lambda f: ac.grad(lambda x: ac.sum(ac.grad(lambda y: ac.sum(ac.grad(f)(y)))(x) ** 2)),
        lambda f: lambda x: ac.jvp(f, (x,), (x,))[1],
        lambda f: lambda x: ac.hvp(f, (x,), (x,)),
        ac.vmap,
        lambda f: ac.vmap(ac.grad(f)),
        lambda f: lambda x: ac.linearize(f, x)[1](x),
    ],
)
def test_transforms_go_through_and_inside(transform):
    expected = transform(wave)(X)
    close(transform(jit(wave))(X), expected)
    close(jit(transform(wave))(X), expected)
    close(jit(transform(jit(wave)))(X), expected)


def test_backward_goes_through():
    x = ac.Tensor(X.numpy(), requires_grad=True)
    jit(wave)(x).backward()
    close(x.grad, ac.grad(wave)(X))


def test_jit_of_a_function_that_closes_over_a_traced_value():
    def outer(x):
        return ac.sum(jit(lambda y: ac.sin(y) * x)(x))

    close(ac.grad(outer)(X), ac.grad(lambda x: ac.sum(ac.sin(x) * x))(X))


def test_rules_of_ones_own_are_kept():
    @ac.custom_vjp
    def clipped(x):
        return x * 1.0

    clipped.defvjp(lambda x: (x * 1.0, ()), lambda _, g: (ac.minimum(g, 0.5),))
    f = lambda x: ac.sum(clipped(x) * ac.asarray([0.1, 0.9, 2.0]))
    for way in (ac.grad(jit(f)), jit(ac.grad(f))):
        close(way(X[0]), [0.1, 0.5, 0.5])


def test_checkpoint_inside():
    f = ac.checkpoint(wave)
    close(jit(ac.grad(f))(X), ac.grad(wave)(X))
    close(ac.grad(jit(f))(X), ac.grad(wave)(X))


# Arguments ------------------------------------------------------------------------------------


def test_trees_in_and_out():
    f = lambda tree, *, scale: {"sum": tree["a"] + tree["b"][0] * scale, "rest": (tree["b"][1],)}
    tree = {"a": X, "b": [X * 2, X * 3]}
    got = jit(f)(tree, scale=2.0)
    close(got["sum"], X * 5)
    close(got["rest"][0], X * 3)


def test_static_arguments_may_be_branched_on():
    calls = []

    def f(x, n, kind="sin"):
        calls.append((n, kind))
        return ac.sin(x) * n if kind == "sin" else x * n

    compiled = jit(f, static_argnums=1, static_argnames="kind")
    for _ in range(2):
        close(compiled(X, 2), ac.sin(X) * 2)
        close(compiled(X, 3, kind="none"), X * 3)
    assert calls == [(2, "sin"), (3, "none")]
    with pytest.raises(TypeError, match="must be hashable"):
        compiled(X, [2])


def test_one_and_true_are_different_static_values():
    compiled = jit(lambda x, n: x if n is True else x * 2, static_argnums=1)
    close(compiled(X, 1), X * 2)
    close(compiled(X, True), X)


def test_numbers_take_part_in_no_promotion():
    x = ac.asarray(np.ones(3, np.float32))
    assert jit(lambda x, c: x * c)(x, 2.5).dtype == np.float32
    assert jit(lambda x, c: x + c)(ac.asarray(np.arange(3)), 1).dtype == np.int64
    assert float(jit(lambda c: ac.sin(c))(0.5)) == pytest.approx(np.sin(0.5))


def test_a_new_number_does_not_capture_again():
    calls = []
    f = jit(lambda x, c: (calls.append(1), x * c)[1])
    for c in (1.0, 2.0, 3.0):
        close(f(X, c), X * c)
    assert len(calls) == 1


def test_shapes_and_dtypes_capture_again():
    shapes = []
    f = jit(lambda x: (shapes.append((x.shape, x.dtype)), x + x)[1])
    for x in (X, X[0], X, ac.astype(X, np.float32), X[0]):
        close(f(x), x + x)
    assert len(shapes) == 3


def test_arrays_in_any_layout():
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((6, 8))
    for x in (whole.T, whole[::2, ::-1], np.asfortranarray(whole), whole[:, None]):
        close(jit(lambda x: ac.sum(x * 2, 0))(x), (x * 2).sum(0))


def test_methods_and_partial_functions():
    class Model:
        scale = 3.0

        @jit
        def apply(self, x):
            return x * 3.0

    with pytest.raises(ac.DtypeError):
        Model.apply(object(), X)  # unbound, `self` is an argument like any other
    close(Model().apply(X), X * 3)
    close(jit(functools.partial(lambda a, x: a * x, X))(X), X * X)


def test_what_is_not_a_function_is_refused():
    with pytest.raises(TypeError, match="expected a function"):
        jit(3)


# Surprises ------------------------------------------------------------------------------------


def test_branch_on_a_value():
    with pytest.raises(ac.ConcreteValueError, match="where"):
        jit(lambda x: x if x[0, 0] > 0 else -x)(X)


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x[0, 0].item(),
        lambda x: float(x[0, 0]),
        np.asarray,
        np.i0,  # which this package lacks
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: ac.reshape(x, (x[0, 0], -1)),
    ],
)
def test_looking_at_a_value(look):
    with pytest.raises(ac.ConcreteValueError, match=r"is capturing: it has no numbers yet"):
        jit(lambda x: (look(x), x)[1])(X)


def test_printing_shows_what_is_known(capsys):
    f = jit(lambda x: (print(x), x * 2)[1])
    f(X), f(X)
    assert capsys.readouterr().out == "Tensor(jit of <lambda>, shape=(2, 3), dtype=float64)\n"


def test_hidden_randomness():
    with pytest.raises(ac.AutogradError, match="random numbers from a generator"):
        jit(lambda x: x + np.random.rand(2, 3))(X)  # noqa: NPY002
    key = ac.random.key(3)
    close(jit(lambda k: ac.random.normal(k, (3,)))(key), ac.random.normal(key, (3,)))


def test_writing_into_an_argument():
    def f(x):
        x[0] = 0.0
        return x

    with pytest.raises(ac.AutogradError, match=r"argument \[0\] in place"):
        jit(f)(X)
    close(X[0], np.linspace(-1.0, 2.0, 6)[:3])


def test_writing_into_a_value_of_ones_own():
    def f(x):
        y = x * 1
        y[0] = 0.0
        return y

    close(jit(f)(X), f(X))


SCALE = 2.0


def test_a_global_that_changes(monkeypatch):
    f = jit(lambda x: x * SCALE)
    close(f(X), X * 2)
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    close(f(X), X * 5)


def test_a_closed_over_name_that_changes():
    scale = 2.0
    f = jit(lambda x: x * scale)
    close(f(X), X * 2)
    scale = 5.0
    close(f(X), X * 5)


def test_a_helper_that_changes():
    helper = lambda x: x * 2
    f = jit(lambda x: helper(x))
    close(f(X), X * 2)
    helper = lambda x: x * 7
    close(f(X), X * 7)


def test_an_attribute_that_changes():
    class Model:
        def __init__(self):
            self.scale = 2.0

        def __call__(self, x):
            return x * self.scale

    model = Model()
    f = jit(model)
    close(f(X), X * 2)
    model.scale = 4.0
    close(f(X), X * 4)


def test_an_attribute_deep_inside_that_changes():
    class Layer:
        def __init__(self):
            self.weight = ac.Tensor(np.ones(3))

    class Model:
        def __init__(self):
            self.layers = [Layer()]

    model = Model()
    f = jit(lambda x: x * model.layers[0].weight)
    close(f(X), X)
    model.layers[0].weight[0] = 5.0
    close(f(X), X * np.array([5, 1, 1]))
    model.layers[0].weight = ac.Tensor(np.full(3, 2.0))
    close(f(X), X * 2)
    model.layers[0].weight = ac.Tensor(np.float32(3.0))
    close(f(X), X * 3)


def test_an_array_from_outside_that_is_written_to():
    array, tensor, table = np.ones(3), ac.Tensor(np.ones(3)), [ac.Tensor(np.ones(3))]
    f = jit(lambda x: x * array + tensor * table[0])
    close(f(X), X + 1)
    array[0] = 7.0
    close(f(X), X * array + 1)
    tensor[1] = 5.0
    close(f(X), X * array + np.array([1, 5, 1]))
    table[0] = ac.Tensor(np.full(3, 2.0))
    close(f(X), X * array + np.array([2, 10, 2]))


def test_an_array_from_outside_is_one_input_however_it_is_turned():
    x = ac.asarray(np.arange(12.0).reshape(3, 4))

    def f(w):
        return ac.sum(ac.tanh(x @ w) @ w.T @ x.T) + ac.sum(ac.moveaxis(x, 0, 1)) + x[0, 0]

    w = np.linspace(-1, 1, 8).reshape(4, 2)
    for each in (f, ac.grad(f), ac.hessian(f)):
        fast = jit(each)
        close(fast(w), each(w))
        assert len(fast.graph(w).inputs) == 2
    x[1] = -3.0
    close(fast(w), each(w))


def test_arrays_that_only_the_graph_holds_are_constants():
    for f in (lambda x: ac.sum(x * x) + ac.sum(ac.sin(x)), lambda x: ac.sum(x[1:] * x[:-1])):
        for each in (ac.grad(f), ac.hessian(f), ac.grad(lambda x, f=f: ac.sum(ac.grad(f)(x)))):
            assert len(jit(each).graph(X).inputs) == 1


def test_a_name_that_keeps_changing_is_named():
    step = 0
    f = jit(lambda x: x + step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(12):
            close(f(X), X + step)
    assert ["'step'" in str(w.message) for w in caught] == [True]


def test_a_traced_value_that_escapes():
    kept = []
    with pytest.warns(RuntimeWarning, match="stores a value that it computes in 'kept'"):
        jit(lambda x: (kept.append(x * 2), x)[1])(X)
    with pytest.raises(ac.EscapedTracerError, match="jit of"):
        kept[0] + 1


def test_an_error_inside_leaves_nothing_behind():
    f = jit(lambda x: ac.matmul(x, x))
    with pytest.raises(ac.ShapeError, match="matmul"):
        f(X)
    close(f(X[:, :2]), X.numpy()[:, :2] @ X.numpy()[:, :2])


# Python numbers -------------------------------------------------------------------------------

NUMBERS = {
    "minus": lambda x, c: x * -c,
    "clip": lambda x, c: ac.clip(x, -c, c),
    "scan": lambda x, c: ac.scan(lambda w, _: (w - c * w, None), x, None, length=3)[0],
    "scanned": lambda x, c: ac.scan(lambda w, r: (w, r * c), x, ac.stack([x, x]))[1],
    "cond": lambda x, c: ac.cond(ac.sum(x) > 0, lambda w: w * c, lambda w: w, x),
    "while": lambda x, c: ac.while_loop(lambda w: ac.sum(w) > 1, lambda w: w * c, x),
    "stopped": lambda x, c: ac.stop_gradient(c) * x,
    "reshaped": lambda x, c: ac.reshape(c, ()) * x,
    "function": lambda x, c: ac.sin(c) * x,
    "operators": lambda x, c: x * (c**2 - abs(1 / c) + 3 * c) > c,
    "where": lambda x, c: ac.where(x > c, x, c),
    "power": lambda x, c: x**c + c**x,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_numbers_as_arguments(name, dtype):
    if dtype == "i4" and name in ("scan", "cond", "while"):
        pytest.skip("integers times 0.3 are no integers")
    x = ac.asarray(np.arange(1, 4).astype(dtype))
    got, expected = jit(NUMBERS[name])(x, 0.3), NUMBERS[name](x, 0.3)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=2e-6)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ac.sum(x**3),
        lambda x: ac.sum(2.0**x),
        lambda x: ac.norm(x, 3.0),
        lambda x: ac.sum(ac.arctan2(x, 0.5)),
    ],
)
def test_gradients_keep_their_dtype(f):
    x = ac.asarray(np.float32([0.5, 0.7]))
    for got in (ac.grad(jit(f))(x), ac.vmap(ac.grad(jit(f)))(x[None])[0], jit(ac.grad(f))(x)):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got.numpy(), ac.grad(f)(x).numpy(), rtol=1e-5)


def test_transforms_of_captured_functions_of_numbers():
    x = ac.asarray(np.ones(3, np.float32))
    f = lambda x, c: ac.sum(x * x * c) + ac.sum(x**c)
    for each in (
        lambda f: ac.grad(f)(x, 0.5),
        lambda f: ac.vmap(f, in_axes=(0, None))(x[:, None], 0.5),
        lambda f: ac.jvp(lambda x: f(x, 0.5), (x,), (x,))[1],
        lambda f: jit(lambda x: ac.grad(f)(x, 0.5))(x),
    ):
        got, expected = each(jit(f)), each(f)
        assert got.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)
    inside = jit(lambda x, c: ac.grad(lambda x: f(x, c))(x))(x, 0.5)
    assert inside.dtype == np.float32


def test_integers_that_do_not_fit():
    with pytest.raises(ac.AutogradError, match="does not fit into 64 bits"):
        jit(lambda x, n: x * n)(X, 2**70)
    close(jit(lambda x, n: x * n, static_argnums=1)(X, 2**70), X * 2.0**70)


# Kinds of arguments ---------------------------------------------------------------------------


def test_equal_static_values_of_other_types():
    f = jit(lambda x, n: x * n[0], static_argnums=1)
    assert [f(np.arange(3), (n,)).dtype.kind for n in (2, 2.0, 2)] == ["i", "f", "i"]
    g = jit(ac.copysign, static_argnums=1)
    assert [g(np.ones(1), s).tolist() for s in (0.0, -0.0)] == [[1.0], [-1.0]]


def test_static_arguments_by_name_or_position():
    def f(x, n):
        for _ in range(n):
            x = x * 2
        return x

    for given in ({"static_argnums": 1}, {"static_argnames": "n"}):
        close(jit(f, **given)(X, 2), X * 4)
        close(jit(f, **given)(X, n=2), X * 4)


def test_order_of_bytes():
    x = np.arange(3.0).astype(">f8")
    close(jit(lambda x: x * 2 + 1)(x), np.arange(3) * 2 + 1)
    close(jit(lambda x: x + 1)(np.arange(3, dtype=">i4")), np.arange(3) + 1)
    close(jit(lambda y: x + y)(np.ones(3)), np.arange(3) + 1)


def test_dtypes_that_tensors_have_not():
    with pytest.raises(ac.DtypeError, match=r"argument \[0\].*datetime64"):
        jit(ac.sin)(np.array(["2026-11-27"], "M8[D]"))


def test_an_argument_called_self():
    assert jit(lambda self, x: self + x)(self=1.0, x=2.0) == 3.0


def test_functions_without_a_module():
    names = {}
    exec("def f(x): return x * 2", names)
    close(jit(names["f"])(X), X * 2)


@jit
def named(x):
    return x * 3


class Model:
    def __init__(self):
        self.w, self.captures = 2.0, 0
        self.fast = jit(self.step)

    def step(self, x):
        return x * self.w

    @jit
    def decorated(self, x):
        self.captures += 1
        return x * self.w

    @functools.partial(jit, static_argnums=-1)
    def repeated(self, x, n):
        return sum([x * self.w] * n)


def test_copies_and_pickles():
    named(X)
    assert pickle.loads(pickle.dumps(named)) is named
    f = jit(np_like)
    f(X)
    close(pickle.loads(pickle.dumps(f))(X), X + 1)
    model = Model()
    close(model.fast(X), X * 2)
    again = copy.deepcopy(model)
    again.w = 5.0
    close(again.fast(X), X * 5)
    close(model.fast(X), X * 2)


def np_like(x):
    return x + 1


def test_decorated_methods_are_captured_once():
    one, two = Model(), Model()
    two.w = 7.0
    for _ in range(3):
        close(one.decorated(X), X * 2)
        close(two.decorated(X), X * 7)
    assert (one.captures, two.captures) == (1, 1)
    close(one.repeated(X, 3), X * 6)
    one.w = 3.0
    close(one.decorated(X), X * 3)
    number = len(Model.decorated._of_instances)
    del one
    gc.collect()
    assert len(Model.decorated._of_instances) == number - 1


def test_no_grad_inside():
    def f(x):
        with ac.no_grad():
            y = x * 2
        return ac.sum(y * x)

    for each in (f, jit(f)):
        close(ac.grad(each)(X), X * 2)
    close(jit(ac.grad(f))(X), X * 2)


def test_debug_nans_sees_inside():
    f = jit(lambda x: ac.log(x))
    f(np.ones(1))
    with ac.debug_nans(), pytest.raises(ac.NanError, match="log"):
        f(np.array([-1.0]))


# Donation -------------------------------------------------------------------------------------


needs_programs = pytest.mark.skipif(not numba_loads(), reason="METAGRAD_NUMBA=0: no programs")


@needs_programs
def test_donated_arguments():
    step = jit(lambda p, x: ([q - 0.1 * ac.sum(x) for q in p], ac.sum(x)), donate_argnums=0)
    p = [ac.Tensor(np.ones(1000)), ac.Tensor(np.zeros((3, 4)))]
    first = p
    addresses = set()
    for _ in range(4):
        p, _ = step(p, X)
        addresses.add(p[0].value.ctypes.data)
    close(p[1], np.full((3, 4), -0.4 * float(ac.sum(X))))
    assert len(addresses) == 2, "memory of donated arguments is used again"
    with pytest.raises(ac.errors.DonatedError, match=r"donated to jit of .* use what that call"):
        first[0] + 1
    with pytest.raises(ac.errors.DonatedError):
        step(first, X)
    with pytest.raises(ac.errors.DonatedError):
        print(first[0])


def test_donated_memory_that_somebody_else_reads_is_left_alone():
    step = jit(lambda p: p * 2, donate_argnums=0)
    mine = np.ones(5)
    seen = step(ac.asarray(mine))
    held = seen.numpy()
    for _ in range(3):
        seen = step(seen)
    np.testing.assert_array_equal(mine, 1)
    np.testing.assert_array_equal(held, 2)
    close(seen, np.full(5, 16.0))


def test_donating_what_is_also_kept_is_refused():
    step = jit(lambda p, q: p + q, donate_argnums=0)
    x = ac.Tensor(np.ones(3))
    with pytest.raises(ValueError, match=r"donated .* and also passed"):
        step(x, x)
    with pytest.raises(ValueError, match="both static and donated"):
        jit(lambda x: x, static_argnums=0, donate_argnums=0)


def test_no_more_is_kept_than_results_can_use():
    f = jit(lambda x, y: (ac.sum(x), y * 2), donate_argnums=(0, 1))
    for _ in range(5):
        f(ac.asarray(np.ones(1000)), ac.asarray(np.ones(10)))
    spares = next(iter(f._captured.entries.values())).spares
    assert sorted(len(some) for some in spares._free.values()) == [0, 1]


def test_derivatives_take_nothing():
    step = jit(lambda p: ac.sum(p**2), donate_argnums=0)
    p = ac.Tensor(np.ones(3))
    close(ac.grad(step)(p), np.full(3, 2.0))
    close(p, np.ones(3))


# Results --------------------------------------------------------------------------------------


def test_results_are_independent():
    f = jit(lambda x: (x * 2, x, x.T, ac.ones(3)))
    first = f(X)
    copies = [np.array(y.value) for y in first]
    f(X + 1)
    for y, kept in zip(first, copies, strict=True):
        np.testing.assert_array_equal(y.numpy(), kept)
    first[0][0] = 9.0
    close(f(X)[0], X * 2)
    close(X, np.linspace(-1.0, 2.0, 6).reshape(2, 3))


def test_empty_results_and_arguments():
    assert jit(lambda _x: ())(X) == ()
    assert jit(lambda: ac.ones(2))().shape == (2,)
    empty = ac.asarray(np.ones((0, 3)))
    assert jit(lambda x: ac.sum(x * 2, 0))(empty).tolist() == [0, 0, 0]
    assert jit(lambda x: x @ x.T)(empty).shape == (0, 0)


def test_results_of_integers_and_booleans():
    n = ac.asarray(np.arange(5))
    f = lambda n: (n + 1, n > 2, ac.where(n > 2, n, -n), ac.sum(n), n // 2, ac.argmax(n))
    for got, expected in zip(jit(f)(n), f(n), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, np.int16, np.float64, np.bool_])
def test_unusual_dtypes(dtype):
    x = ac.asarray(np.array([[1, 0, 1], [0, 1, 1]], dtype))
    f = lambda x: (x.T, ac.concatenate([x, x]), x * x if dtype != np.bool_ else x)
    for got, expected in zip(jit(f)(x), f(x), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got.numpy(), expected.numpy())


def test_nan_and_infinity():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e308, 5e-324])
    with np.errstate(all="ignore"):
        f = lambda x: (
            ac.exp(x), ac.log(x), ac.maximum(x, 0.0), nn.relu(x), x > 0, ac.sqrt(x), 1 / x,
            ac.tanh(x), ac.sigmoid(x), x**2, x**0.5, ac.max(x), ac.where(x > 0, x, 0.0), -x,
        )  # fmt: skip
        for got, expected in zip(jit(f)(x), f(ac.asarray(x)), strict=True):
            np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-14)


def test_threads_share_a_program():
    f = jit(lambda x: ac.sum(ac.sin(x) @ ac.cos(x).T, 1))
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal((40, 30)) for _ in range(8)]
    f(xs[0])
    wrong = []

    def work(x):
        for _ in range(30):
            if not np.allclose(f(x).numpy(), (np.sin(x) @ np.cos(x).T).sum(1)):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(x,)) for x in xs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_program_is_freed_with_its_function():
    f = jit(lambda x: x * 2)
    f(X)
    program = weakref.ref(next(iter(f._captured.entries.values())).run)
    assert program() is not None
    del f
    gc.collect()
    assert program() is None


def test_same_bits_in_every_call():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((64, 200, 30)).astype(np.float32)
    f = jit(lambda w, x: ac.mean(ac.vmap(lambda x: ac.sum(ac.tanh(x @ w) ** 2))(x)))
    w = rng.standard_normal((30, 20)).astype(np.float32)
    found = {jit(ac.grad(f))(w, x).numpy().tobytes() for _ in range(3)}
    assert len(found) == 1


# Changes in place inside ----------------------------------------------------------------------


def added_to_afterwards(x):
    a = ac.zeros((2, 3))
    y = x + a
    a += 1.0
    return y * a


def stepped_in_time(x):
    t, y = np.zeros_like(x), x
    for _ in range(3):
        y = y * np.cos(t) + t
        t += 0.1
    return y


def filled(x):
    m = ac.ones((2, 3))
    y = x * m
    m[0] = 0
    m += y
    return y * m


@pytest.mark.parametrize("f", [added_to_afterwards, stepped_in_time, filled])
def test_values_from_outside_that_are_changed_in_place(f):
    """What was computed before keeps the values from before."""
    expected, loss = f(ac.asarray(X)), lambda x: ac.sum(f(x) ** 2)
    for _ in range(2):
        close(jit(f)(X), expected)
    close(jit(ac.grad(loss))(X), ac.grad(loss)(X))
    close(ac.grad(lambda x: ac.sum(jit(f)(x) ** 2))(X), ac.grad(loss)(X))
