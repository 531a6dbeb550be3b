"""What a program is made of: how much is fused, where values lie, what is done in turns."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, optim
from autograd_core.capture.lowering import fusion, planning, points
from autograd_core.capture.lowering import program as program_module
from autograd_core.capture.lowering.lower import NativeStep, is_native
from autograd_core.capture.lowering.mapping import cut
from autograd_core.capture.lowering.memory import plan
from autograd_core.capture.lowering.places import Buffer, Place, dense, reshaped
from autograd_core.capture.lowering.plan import Summed
from autograd_core.capture.lowering.program import Program
from autograd_core.capture.passes import improve
from autograd_core.ops.conv import conv_weight_p
from autograd_core.primitive import REGISTRY
from autograd_core.testing.case import LawViolation
from autograd_core.testing.check import draw_cases
from autograd_core.testing.laws.capture import captured
from kernels.cpu.lazy import numba_loads
from kernels.loops import Loop
from kernels.memory import Pool
from kernels.native.program import Repeat

pytestmark = pytest.mark.skipif(not numba_loads(), reason="METAGRAD_NUMBA=0: no programs")
RNG = np.random.default_rng(0)


def draw(*shape, dtype=np.float32):
    return ac.asarray(RNG.standard_normal(shape).astype(dtype))


def program_of(f, *args) -> Program:
    jitted = ac.jit(f)
    jitted(*args)
    return next(iter(jitted._captured.entries.values())).run


def kinds(f, *args) -> list[str]:
    return [s.what.split()[0] for s in ac.jit(f).explain(*args).steps]


def large_passes(f, *args) -> int:
    """Loops that go over as much memory as the largest argument."""
    size = max(ac.asarray(x).size for x in args)
    program = program_of(f, *args)
    steps = [s for part in program.parts.values() for s in part.lowered.steps]
    return sum(
        isinstance(s, NativeStep) and not hasattr(s.kernel, "geometry") and _size(s.kernel) >= size
        for s in steps
    )


def _size(kernel) -> int:
    return getattr(kernel, "size", 0)


# Fusion ---------------------------------------------------------------------------------------


def test_a_chain_is_one_loop():
    f = lambda x, y: ac.sum(ac.tanh(ac.exp(x) * y + 1.0) ** 2 - x / 3.0, 0)
    assert kinds(f, draw(30, 40), draw(40)) == ["loop"]


def batch_norm(x, scale, shift):
    mean = ac.mean(x, axis=(0, 2, 3), keepdims=True)
    var = ac.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
    hat = (x - mean) / ac.sqrt(var + 1e-5)
    return nn.relu(hat * ac.reshape(scale, (-1, 1, 1)) + ac.reshape(shift, (-1, 1, 1)))


def test_batch_norm_is_few_passes_over_memory():
    x, scale, shift = draw(8, 16, 32, 32), draw(16), draw(16)
    assert large_passes(batch_norm, x, scale, shift) == 3, "mean, variance, result"
    weight = draw(8, 16, 32, 32)
    loss = lambda x, scale, shift, w: ac.sum(batch_norm(x, scale, shift) * w)
    backward = ac.grad(loss, (0, 1, 2))
    assert large_passes(backward, x, scale, shift, weight) <= 5, "two of them sum, one writes"


def test_softmax_is_few_passes_over_memory():
    x = draw(512, 256)
    assert large_passes(nn.softmax, x) <= 3
    loss = lambda x, w: ac.sum(nn.softmax(x) * w)
    assert large_passes(ac.grad(loss), x, draw(512, 256)) <= 4


def test_transposes_are_not_copied():
    x, y = draw(30, 40), draw(30, 50)
    assert kinds(lambda x, y: x.T @ y, x, y) == ["product"]
    assert kinds(lambda x, y: (y.T @ x).T, x, y)[0] == "product"
    assert kinds(lambda x: ac.sum(ac.sin(x.T)[:, ::2] * 2.0), x) == ["loop"]
    x, y = draw(40, 200), draw(100, 200)  # a large product turns its blocks itself
    assert kinds(lambda x, y: x @ y.T, x, y) == ["product"]


def test_a_very_long_chain_is_cut():
    def f(x):
        for _ in range(400):
            x = ac.sin(x) * 1.01
        return x

    x = draw(20, dtype=np.float64)
    program = program_of(f, x)
    assert 2 < len(program.plan.costs) < 20
    np.testing.assert_allclose(ac.jit(f)(x).numpy(), f(x).numpy(), rtol=1e-12)


def test_many_steps_one_after_the_other():
    def f(x):
        for _ in range(300):
            x = x - 0.01 * ac.sum(ac.sin(x), 0)
        return x

    x = draw(3, 4, dtype=np.float64)
    np.testing.assert_allclose(ac.jit(f)(x).numpy(), f(x).numpy(), rtol=1e-12)


@pytest.mark.parametrize("shape", [(100_003,), (10_000, 7), (7, 10_000), (64, 64, 64), (3, 50_000)])
def test_long_sums_are_accurate(shape):
    """Rounding does not grow with the number of terms."""
    x = np.abs(RNG.standard_normal(shape)).astype(np.float32)
    for axes in [None, 0, len(shape) - 1]:
        exact = x.astype(np.float64).sum(axes)
        got = ac.jit(lambda x, axes=axes: ac.sum(ac.absolute(x), axes))(x).numpy()
        assert np.max(np.abs(got - exact) / exact) < 60 * np.finfo(np.float32).eps


# Places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 4), (6, 4), (1, 24), (2, 1, 12), (24,), (4, 3, 2)])
@pytest.mark.parametrize("target", [(2, 3, 4), (6, 4), (24, 1), (3, 8), (2, 2, 6), (24,)])
@pytest.mark.parametrize("order", ["C", "F", "step"])
def test_reshaped_strides(shape, target, order):
    x = np.arange(2 * math.prod(shape)).reshape(*shape, 2)[..., 0]
    x = np.asarray(x, order=order) if order != "step" else x
    strides = tuple(s // x.itemsize for s in x.strides)
    found = reshaped(shape, strides, target)
    if found is not None:
        memory = x.base if x.base is not None else x
        view = np.lib.stride_tricks.as_strided(x, target, [s * x.itemsize for s in found])
        np.testing.assert_array_equal(view, x.reshape(target))
        assert memory is not None
    elif order == "C":
        pytest.fail("a view of dense memory can always be reshaped")


def test_memory_is_used_again():
    buffers = [Buffer("f4", 1000) for _ in range(10)]
    step = lambda reads, write: NativeStep(None, [], reads, [write])  # type: ignore[arg-type]
    chain = [step(buffers[n - 1 : n], buffers[n]) for n in range(10)]
    offsets, total = plan(chain)
    assert total == 2 * 4032
    for before, after in pairwise(buffers):
        assert offsets[before] != offsets[after]


def test_no_two_living_buffers_overlap():
    for _ in range(30):
        buffers = [Buffer("f4", int(RNG.integers(1, 500))) for _ in range(40)]
        steps = []
        for n, buffer in enumerate(buffers):
            reads = [buffers[int(k)] for k in RNG.integers(0, n, 2)] if n else []
            steps.append(NativeStep(None, [], reads, [buffer]))  # type: ignore[arg-type]
        offsets, total = plan(steps)
        last = {
            b: max([n, *(k for k, s in enumerate(steps) if b in s.reads)])
            for n, b in enumerate(buffers)
        }
        for i, a in enumerate(buffers):
            for j, b in enumerate(buffers[i + 1 :], i + 1):
                if last[a] >= j:  # a lives when b is made
                    apart = (
                        offsets[a] + 4 * a.size <= offsets[b]
                        or offsets[b] + 4 * b.size <= offsets[a]
                    )
                    assert apart
            assert offsets[a] + 4 * a.size <= total
            assert i <= last[a]


def test_dense_strides():
    assert dense((2, 3, 4)) == (12, 4, 1)
    assert dense((2, 3, 4), (1, 0, 2)) == (4, 8, 1)
    assert Place(Buffer("f4", 24), dense((24,))).offset == 0


# Turns ----------------------------------------------------------------------------------------


def task_loss(p, x, y):
    def loss(p):
        return ac.mean((ac.tanh(x @ p["w"] + p["b"]) - y) ** 2)

    p = ac.tree_map(lambda a, g: a - 0.1 * g, p, ac.grad(loss)(p))
    return ac.mean((ac.tanh(x @ p["w"] + p["b"]) - y) ** 2)


def meta(p, x, y):
    return ac.mean(ac.vmap(task_loss, in_axes=(None, 0, 0))(p, x, y))


def tasks(n, dtype=np.float64):
    p = {"w": draw(5, 7, dtype=dtype), "b": draw(7, dtype=dtype)}
    return p, draw(n, 11, 5, dtype=dtype), draw(n, 11, 7, dtype=dtype)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_tasks_are_turns(n):
    args = tasks(n)
    program = program_of(ac.value_and_grad(meta), *args)
    assert program.plan.turns == n
    value, grads = ac.value_and_grad(meta)(*args)
    got, found = ac.jit(ac.value_and_grad(meta))(*args)
    np.testing.assert_allclose(got.numpy(), value.numpy(), rtol=1e-13)
    for key in "wb":
        np.testing.assert_allclose(found[key].numpy(), grads[key].numpy(), rtol=1e-11, atol=1e-15)


def test_compilation_does_not_grow_with_tasks():
    few, many = (program_of(ac.value_and_grad(meta), *tasks(n)) for n in (2, 50))
    assert len(few.plan.costs) == len(many.plan.costs)
    assert few.parts["turn"].arena_bytes == many.parts["turn"].arena_bytes


@pytest.mark.parametrize(
    ("f", "in_axes"),
    [
        (lambda w, x: x @ w, (None, 0)),
        (lambda w, x: x @ w, (0, 0)),
        (lambda w, x: x.T @ w.T[:, :5], (None, 0)),
        (lambda w, x: ac.sum(x) * w, (None, 0)),
        (lambda w, x: nn.softmax(x @ w) - ac.mean(w), (None, 1)),
        (lambda w, x: ac.concatenate([x @ w, x @ w]), (None, 0)),
        (lambda w, _x: ac.sin(w), (None, 0)),
        (lambda w, x: (x @ w)[::2], (None, 0)),
        (lambda _w, x: ac.cumsum(x, 0), (None, 0)),
        (lambda _w, x: ac.max(x, 0) + ac.argmax(x, 0), (None, 0)),
        (lambda _w, x: ac.where(x > 0, x, 0.0) / (1 + x * x), (None, 2)),
    ],
)
def test_anything_mapped(f, in_axes):
    """Operations that do not treat the slices apart, or have no machine code, are done after."""
    w = draw(*((6, 6, 6) if in_axes[0] == 0 else (6, 6)), dtype=np.float64)
    x = draw(6, 6, 6, dtype=np.float64)
    mapped = ac.vmap(f, in_axes)
    np.testing.assert_allclose(
        ac.jit(mapped)(w, x).numpy(), mapped(w, x).numpy(), rtol=1e-12, atol=1e-13
    )
    loss = lambda w, x: ac.sum(mapped(w, x) ** 2) / ac.mean(mapped(w, x) + 3.0)
    for i in (0, 1):
        np.testing.assert_allclose(
            ac.jit(ac.grad(loss, i))(w, x).numpy(),
            ac.grad(loss, i)(w, x).numpy(),
            rtol=1e-9,
            atol=1e-9,
        )


def test_checkpointed_steps_take_the_memory_of_one():
    def adapted(steps, checkpointed):
        def inner(p, x, y):
            loss = lambda p: ac.mean((ac.tanh(ac.tanh(x @ p[0]) @ p[1]) - y) ** 2)
            return [a - 0.1 * g for a, g in zip(p, ac.grad(loss)(p), strict=True)]

        step = ac.checkpoint(inner) if checkpointed else inner

        def f(p, x, y):
            for _ in range(steps):
                p = step(p, x, y)
            return ac.mean((ac.tanh(ac.tanh(x @ p[0]) @ p[1]) - y) ** 2)

        return ac.grad(lambda p, x, y: ac.mean(ac.vmap(f, (None, 0, 0))(p, x, y)))

    args = [draw(8, 64), draw(64, 8)], draw(4, 300, 8), draw(4, 300, 8)
    memory = lambda n, checkpointed: ac.jit(adapted(n, checkpointed)).explain(*args).memory
    assert memory(20, True) < 1.5 * memory(2, True)
    assert memory(20, False) > 4 * memory(2, False)
    for got, expected in zip(
        ac.jit(adapted(3, True))(*args), adapted(3, False)(*args), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


# explain --------------------------------------------------------------------------------------


def test_explain_counts():
    x, y = draw(20, 30), draw(30, 40)
    f = ac.jit(lambda x, y: ac.sum((x @ y) ** 2))
    e = f.explain(x, y, timed=True)
    assert [s.what for s in e.steps] == ["product 20×30 by 30×40", "loop [800]: multiply → sum"]
    assert e.product_flops == 2 * 20 * 30 * 40
    assert e.flops == e.product_flops + 800
    assert e.bytes == 4 * (20 * 30 + 30 * 40 + 20 * 40) + 4 * (800 + 1)
    assert (e.turns, e.buffers) == (1, 1)
    assert e.memory >= 3200
    assert 0 < e.seconds < 10
    assert "product 20×30 by 30×40" in str(e)
    assert f.explain(x, y).seconds is None


def test_a_large_batch_is_shared_between_threads(monkeypatch):
    monkeypatch.setattr("autograd_core.capture.lowering.planning.thread_count", lambda: 2)
    w, x = draw(300, 200), draw(600, 300)
    program = program_of(ac.grad(lambda w, x: ac.mean(ac.tanh(x @ w) ** 2)), w, x)
    assert (program.plan.turns, program.plan.threads) == (2, 2)
    assert program_of(lambda w: w @ w, draw(20, 20)).plan.turns == 1


def test_columns_of_a_hessian_are_shared_between_threads(monkeypatch):
    monkeypatch.setattr("autograd_core.capture.lowering.planning.thread_count", lambda: 2)
    monkeypatch.setattr("autograd_core.capture.lowering.mapping.WORTH_CUTTING", 10**5)
    monkeypatch.setattr("autograd_core.capture.lowering.mapping.SECONDS_PER_STEP", 0.0)
    x = draw(20, 4, dtype=np.float64)

    def loss(w):
        u, v = w[:40].reshape(4, 10), w[40:140].reshape(10, 10)
        return ac.sum(ac.tanh(ac.tanh(x @ u) @ v) ** 2) + ac.sum(w**3)

    w = draw(145, dtype=np.float64)  # 5 · 29 columns
    program = program_of(ac.hessian(loss), w)
    assert program.plan.turns in (29, 145)
    np.testing.assert_allclose(ac.jit(ac.hessian(loss))(w), ac.hessian(loss)(w), atol=1e-11)


def test_weights_with_as_many_rows_as_examples(monkeypatch):
    monkeypatch.setattr("autograd_core.capture.lowering.planning.thread_count", lambda: 2)
    w, x, y = draw(400, 400), draw(400, 400), draw(400)

    def loss(w, x, y):
        return ac.mean((ac.sum(ac.tanh(x @ w) @ w, 1) - y) ** 2)

    program = program_of(ac.grad(loss), w, x, y)
    assert program.plan.turns == 2
    got, expected = ac.jit(ac.grad(loss))(w, x, y).numpy(), ac.grad(loss)(w, x, y).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


def test_measuring_steps_harms_no_memory():
    f = ac.jit(ac.value_and_grad(meta))
    args = tasks(4)
    expected = [x.numpy().copy() for x in ac.tree_leaves(f(*args))]
    for _ in range(5):
        assert f.explain(*args, timed=True).seconds > 0
        for x, y in zip(ac.tree_leaves(f(*args)), expected, strict=True):
            np.testing.assert_array_equal(x.numpy(), y)


def test_explain_of_turns():
    e = ac.jit(ac.value_and_grad(meta)).explain(*tasks(6), timed=True)
    assert e.turns == 6
    assert {s.part for s in e.steps} == {"before", "turn", "after"}


def test_no_program_to_explain():
    with pytest.raises(ac.AutogradError, match="no program"):
        ac.grad(lambda x: ac.sum(ac.jit(lambda y: y * x).explain(x)))(draw(3))


# Mutants --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "name", "mutant", "primitive"),
    [
        (points.FLOATS, "square", points.FLOATS["exp"], "square"),
        (points.FLOATS, "relu", lambda _body, xs, _dtype: xs[0], "relu"),
        (fusion.REDUCTIONS, "max", "min", "max"),
    ],
)
def test_the_law_catches_a_wrong_program(where, name, mutant, primitive, monkeypatch):
    monkeypatch.setitem(where, name, mutant)
    with pytest.raises(LawViolation, match="jit"):
        for case in draw_cases(REGISTRY[primitive], 5):
            captured(case)


def test_signed_zeros_are_two_numbers():
    x = np.ones(5, np.float32)
    for f in (
        lambda x: (ac.copysign(x, 0.0), ac.copysign(x, -0.0)),
        lambda x: (x * 0.0, x * -0.0),
        lambda x: (x * -0.0, x * 0.0),
    ):
        for got, wanted in zip(ac.jit(f)(x), f(ac.asarray(x)), strict=True):
            assert np.array_equal(np.signbit(got.numpy()), np.signbit(wanted.numpy()))


def test_nan_has_two_signs():
    x = np.ones(5, np.float32)
    f = lambda x: (ac.copysign(x, float("nan")), ac.copysign(x, -float("nan")))
    for got, wanted in zip(ac.jit(f)(x), f(ac.asarray(x)), strict=True):
        assert np.array_equal(np.signbit(got.numpy()), np.signbit(wanted.numpy()))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_that_do_not_fit_are_left_to_numpy(dtype):
    ends = np.iinfo(dtype)
    x = np.array([ends.min, -5, 0, 7, ends.max], dtype)
    for n in (ends.max, ends.max + 1, ends.min - 1, 2 * ends.max + 2, 2**70):
        for f in (
            lambda x, n=n: x < n,
            lambda x, n=n: x == n,
            lambda x, n=n: n >= x,
            lambda x, n=n: ac.where(x <= n, 1, 2),
            lambda x, n=n: ac.maximum(x, n),
            lambda x, n=n: x + n,
            lambda x, n=n: ac.where(x > 0, x, n),
        ):
            try:
                expected = f(ac.asarray(x)).numpy()
            except (ac.AutogradError, OverflowError) as error:
                with pytest.raises(type(error)):
                    ac.jit(f)(x)
            else:
                got = ac.jit(f)(x).numpy()
                assert got.dtype == expected.dtype and np.array_equal(got, expected)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_largest_and_smallest_integers(dtype):
    ends = np.iinfo(dtype)
    x = RNG.integers(-9, 9, (5, 6)).astype(dtype)
    x[1, 2], x[3, 0] = ends.min, ends.max
    for f in (
        ac.max, ac.min, lambda x: ac.max(x, 0), lambda x: ac.min(x.T, 1),
        lambda x: ac.maximum(x, 3), lambda x: ac.minimum(x, x[::-1]), ac.vmap(ac.max),
    ):  # fmt: skip
        got, wanted = ac.jit(f)(x), f(ac.asarray(x))
        assert got.dtype == wanted.dtype and np.array_equal(got.numpy(), wanted.numpy())
        assert all("NumPy" not in s.what for s in ac.jit(f).explain(x).steps)


def test_steps_are_measured_while_others_call():
    w, x = draw(40, 40), draw(64, 40)
    f = ac.jit(ac.grad(lambda w, x: ac.sum(ac.tanh(ac.tanh(x @ w) @ w) ** 2)))
    expected, wrong, done = f(w, x).numpy(), [], threading.Event()

    def call():
        while not done.is_set():
            if not np.array_equal(f(w, x).numpy(), expected):
                wrong.append(1)

    caller = threading.Thread(target=call)
    caller.start()
    for _ in range(30):
        f.explain(w, x, timed=True)
    done.set()
    caller.join()
    assert not wrong


def test_products_and_their_transposes_are_computed_once():
    f = lambda x: (x @ x) * ac.transpose(x @ x)
    steps = ac.jit(f).explain(draw(40, 40)).steps
    assert sum(s.what.startswith("product") for s in steps) == 1


def test_a_view_to_store_is_not_read_while_it_is_computed():
    """A slice that has to be stored, of what a loop cannot express: found in nested `vmap`s."""
    half_square = lambda x: x * x * 0.5
    doubled = lambda f: lambda x: ac.sum(ac.vmap(f)(ac.stack([x, 2 * x])))
    inner = lambda x: doubled(doubled(half_square))(x) ** 2 * x
    outer = ac.grad(lambda x: ac.sum(ac.vmap(ac.grad(inner))(ac.stack([x, -x * 0.5]))))
    np.testing.assert_allclose(ac.jit(outer)(0.7), outer(0.7), rtol=1e-14)
    # inner(x) = (12.5 x²)² x, and outer is the derivative of inner'(x) + inner'(−x/2).
    np.testing.assert_allclose(outer(0.7), 20 * 12.5**2 * 0.7**3 * (1 + 1 / 16), rtol=1e-13)


def test_programs_share_their_memory(monkeypatch):
    """What many programs hold is what one needs, and results do not depend on whose it was."""
    pool = Pool()
    monkeypatch.setattr(program_module, "POOL", pool)
    x = np.random.default_rng(0).normal(size=(1500, 1500))
    f = lambda x: ac.sum(ac.sin(x @ x) @ ac.cos(x @ x), axis=0)
    programs = [ac.jit(lambda x, k=k: f(x) * k) for k in range(1, 5)]
    expected = np.asarray(f(ac.asarray(x)))
    needs = []
    for _ in range(2):
        for k, program in enumerate(programs, 1):
            np.testing.assert_allclose(program(x), k * expected, rtol=1e-8, atol=1e-8)
            needs.append(program.explain(x).memory)
    assert min(needs) > program_module.LARGE
    assert pool.bytes <= 1.1 * max(needs)


def test_programs_at_once_have_memory_of_their_own(monkeypatch):
    monkeypatch.setattr(program_module, "POOL", Pool())
    x = np.random.default_rng(0).normal(size=(700, 700))
    f = lambda x: ac.sum(ac.sin(x @ x) @ ac.cos(x @ x), axis=0)
    programs = [ac.jit(lambda x, k=k: f(x) * k) for k in range(1, 4)]
    expected = [np.asarray(program(x)) for program in programs]

    def check(k):
        for _ in range(5):
            np.testing.assert_array_equal(programs[k](x), expected[k])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(check, range(3)))


# What is left to do after turns ---------------------------------------------------------------


def all_in_turns(f, *args):
    """The program computes what f does, all of it in turns of machine code."""
    program = program_of(f, *args)
    plan = program.plan
    close = dict(rtol=1e-12, atol=1e-12)
    for got, expected in zip(
        ac.tree_leaves(ac.jit(f)(*args)), ac.tree_leaves(f(*args)), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), **close)
    parts = cut(improve(program.graph), is_native)
    return plan.turns == len(args[0]) and plan.is_native and parts and not parts.after.equations


def test_scans_that_hand_on_what_they_were_given_are_in_turns():
    """As the residuals of a gradient through them are."""

    def one(w, xs):
        def step(w, x):
            return w - 0.1 * x * ac.tanh(w), w

        last, before = ac.scan(step, w, xs)
        return ac.sum(last**2) + ac.sum(before)

    w, xs = draw(4, 2, dtype=np.float64), draw(4, 3, 2, dtype=np.float64)
    assert all_in_turns(ac.vmap(one), w, xs)
    assert all_in_turns(ac.vmap(ac.grad(one)), w, xs)


def test_bodies_of_scans_in_turns_have_all_passes():
    """log_softmax is no operation of machine code, but what it is made of is."""

    def one(w, xs):
        loss = lambda w, x: -ac.mean(nn.log_softmax(x @ w)[:, 0])
        step = lambda w, x: (w - 0.1 * ac.grad(loss)(w, x), None)
        return ac.scan(step, w, xs)[0]

    w, xs = draw(4, 3, 2, dtype=np.float64), draw(4, 5, 2, 3, dtype=np.float64)
    assert all_in_turns(ac.vmap(one), w, xs)


def bodies(f, *args):
    """The repeated calls of the scans in a program."""
    routines = program_of(f, *args).plan.routines
    calls = [call.kernel for routine in routines for call in routine.calls]
    return [[kernel for kernel, _ in each.calls] for each in calls if isinstance(each, Repeat)]


def agrees(f, *args):
    for got, expected in zip(
        ac.tree_leaves(ac.jit(f)(*args)), ac.tree_leaves(f(*args)), strict=True
    ):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


def test_what_is_the_same_in_all_turns_is_done_before_them():
    def f(x, w):
        return ac.scan(lambda x, _: (ac.tanh(x @ ac.exp(w)), None), x, None, length=7)[0]

    x, w = draw(3, 3, dtype=np.float64), draw(3, 3, dtype=np.float64) / 9
    agrees(f, x, w)
    (calls,) = bodies(f, x, w)
    assert not any(isinstance(k, Loop) and "exp" in {op.name for op in k.ops} for k in calls)
    agrees(lambda x, w: ac.scan(lambda c, x: (c + x @ ac.exp(w), c), x[0], x)[1], x, w)


def test_what_no_turn_needs_is_done_after_them():
    """There it is fused with what reads it, as the moments of an optimiser are."""

    def f(m, w, x):
        return 0.9 * m + ac.sum(ac.vmap(lambda x: ac.sin(x @ ac.exp(w)))(x), 0)

    m, w, x = draw(3, dtype=np.float64), draw(4, 3, dtype=np.float64), draw(5, 4, dtype=np.float64)
    agrees(f, m, w, x)
    parts = cut(improve(program_of(f, m, w, x).graph), is_native)
    names = lambda graph: [e.primitive.name for e in graph.equations]
    assert "exp" in names(parts.before) and "multiply" not in names(parts.before)
    assert {"multiply", "add"} <= set(names(parts.after))


@pytest.mark.parametrize("large", [2**30, 2**8], ids=["of their own", "lent"])
def test_each_thread_has_sums_of_its_own(large, monkeypatch):
    """Also where its arena is lent: threads that add to one array lose what others add."""
    monkeypatch.setattr(program_module, "LARGE", large)
    monkeypatch.setattr(planning, "WORTH_A_THREAD", 0.0)
    monkeypatch.setattr(planning, "thread_count", lambda: 3)
    f = lambda w, x: ac.grad(lambda w: ac.sum(ac.vmap(lambda x: ac.tanh(ac.tanh(x @ w) @ w))(x)))(w)
    w, x = draw(9, 9, dtype=np.float64), draw(6, 7, 9, dtype=np.float64)
    agrees(f, w, x)
    program = program_of(f, w, x)
    assert program.plan.threads == 3 and bool(program._lent) == (large < 2**30)
    slots = [n for n, own in enumerate(program.plan.own, program._given) if isinstance(own, Summed)]
    assert slots
    for slot in slots:
        assert len({int(place) for place in program._tables[:, slot]}) == 3


@pytest.mark.parametrize("channels", [3, 8, 40, 90])
def test_channels_that_lie_the_other_way_round(channels):
    """Beside the image are zeros, whichever way a kernel walks through a pixel's channels."""
    x = draw(2, 5, 6, channels, dtype=np.float64)
    w = draw(4, channels, 3, 3, dtype=np.float64)

    def f(x, w):
        return nn.conv2d(ac.transpose(x[..., ::-1], (0, 3, 1, 2)), w, padding=1)

    agrees(f, x, w)
    agrees(lambda x, w: ac.grad(lambda w: ac.sum(f(x, w) ** 2))(w), x, w)
    agrees(lambda x, w: ac.grad(lambda x: ac.sum(f(x, w) ** 2))(x), x, w)
    agrees(lambda x, w: nn.conv2d(x.transpose((0, 3, 1, 2))[:, ::-1], w, padding=1), x, w)


def test_gradients_that_lie_with_gaps():
    """A gradient by filters wants the rows of all images one after the other, else copies them."""
    x, g = draw(1, 2, 6, 7, 5, dtype=np.float64), draw(1, 2, 8, 9, 4, dtype=np.float64)
    how = dict(window=(3, 3), stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1))
    for part in (lambda g: g[:, :, 1:7, 2:], lambda g: g[:, :, :6, :1:-1]):
        agrees(lambda x, g, part=part: conv_weight_p(x, part(g), **how), x, g)


def arena(f, *args):
    """How many float64 entries the program of f has local memory for."""
    agrees(f, *args)
    return program_of(f, *args).parts["before"].arena_bytes // 8


def test_results_are_written_where_an_operand_is_read_for_the_last_time():
    x, w = draw(24, 24, dtype=np.float64), draw(24, 24, dtype=np.float64)
    size = x.size
    assert arena(lambda x, w: (ac.tanh(x @ w) * x) @ w, x, w) == size
    # What is read again, is read elsewhere than written, or is of another size, stays.
    assert arena(lambda x, w: (lambda h: (ac.tanh(h) @ w) @ h)(x @ w), x, w) > 2 * size
    assert arena(lambda x, w: (ac.tanh(x @ w).T + x @ w) @ w, x, w) >= 2 * size
    assert arena(lambda x, w: (ac.tanh((x @ w)[::2])) @ w, x, w) > size
    # An argument is the caller's.
    before = x.numpy().copy()
    agrees(lambda x, w: ac.tanh(x) @ w, x, w)
    np.testing.assert_array_equal(x, before)


def test_arrays_across_lines_are_copied_in_a_loop_s_order():
    """Where tiles do not help: the last axis is short, or there are sums."""
    x, y = draw(40, 30, 9, dtype=np.float64), draw(9, 30, 40, dtype=np.float64)
    f = lambda x, y: x * ac.exp(y.transpose((2, 1, 0)) + x)
    agrees(f, x, y)
    assert kinds(f, x, y) == ["loop", "loop"]
    few = lambda x, y: x * ac.exp(y.transpose((1, 0)) + x)
    assert kinds(few, x[:, 0], y[:, 0]) == ["loop"]  # few entries


def copies(calls):
    return sum(isinstance(k, Loop) and not k.ops for k in calls)


CARRIES = {
    "in place": (lambda x, y: (x + 1.0, y * x), 0),  # y is not read after x is written
    "exchanged": (lambda x, y: (y, x), 4),
    "elsewhere": (lambda x, y: (x[::-1] + y, y), 2),
    "turned": (lambda x, y: (x.T + y, y), 2),
    "repeated": (lambda x, y: (x[:1] + ac.zeros_like(x), y + 1.0), None),
    "summed": (lambda x, y: (x - ac.sum(x) * y, y + x), None),
    "read later": (lambda x, y: (ac.sum(y) + x, y + ac.cumsum(x, 0)), None),
}


@pytest.mark.parametrize("name", CARRIES)
def test_carries_are_written_in_place_where_nobody_reads_the_old_ones(name):
    step, most = CARRIES[name]

    def f(x, y):
        return ac.scan(lambda c, _: (step(*c), c[0] * 2.0), (x, y), None, length=5)

    x, y = draw(6, 6, dtype=np.float64), draw(6, 6, dtype=np.float64)
    agrees(f, x, y)
    agrees(ac.grad(lambda x, y: ac.sum(f(x, y)[0][0] * y)), x, y)
    if most is not None:
        (calls,) = bodies(f, x, y)
        assert copies(calls) <= most


def test_carries_lie_in_the_order_that_the_body_wants():
    """Filters as convolutions read them: nothing in the turns copies them to another order."""

    def f(w, x):
        loss = lambda w: ac.mean(nn.conv2d(x, w, padding=1) ** 2)
        return ac.scan(lambda w, _: (w - 0.1 * ac.grad(loss)(w), None), w, None, length=3)[0]

    w, x = draw(12, 9, 3, 3, dtype=np.float64), draw(4, 9, 6, 6, dtype=np.float64)
    agrees(f, w, x)
    (calls,) = bodies(f, w, x)
    assert copies(calls) == 0
    agrees(ac.grad(lambda w, x: ac.sum(f(w, x) ** 2)), w, x)
    one = draw(12, 1, 3, 1, dtype=np.float64)  # with axes of length 1
    agrees(f, one, x[:, :1])


def test_what_tasks_share_lies_in_the_order_that_loops_read_it_in():
    """Rates of filters, whose gradients lie as convolutions have them; and what turns add up."""

    def adapted_loss(w, rates, x):
        loss = lambda w: ac.mean(nn.conv2d(x, w, padding=1) ** 2)
        for _ in range(3):
            w = w - rates * ac.grad(loss)(w)
        return loss(w)

    def f(x, w, rates):
        total = lambda w, rates: ac.sum(ac.vmap(adapted_loss, (None, None, 0))(w, rates, x))
        return ac.value_and_grad(total, (0, 1))(w, rates)

    x, w = draw(4, 2, 16, 6, 6, dtype=np.float64), draw(16, 16, 3, 3, dtype=np.float64) / 9
    rates = draw(16, 16, 3, 3, dtype=np.float64) / 50
    agrees(f, x, w, rates)
    plan = program_of(f, x, w, rates).plan
    assert plan.turns == 4
    loops = [s.kernel for s in plan.parts["turn"].lowered.steps if isinstance(s.kernel, Loop)]
    mixed = [k for k in loops if k.size == w.size and len({x.strides for x in k.accesses}) > 1]
    # The first step reads the filters once. Some are turned by copies, for gradients by images.
    assert len([k for k in mixed if k.ops]) <= 1
    agrees(lambda x, w, rates: f(x, w, rates)[1][0] * 2.0, x, w, rates)


def test_matrices_and_what_is_read_once_stay_as_they_lie():
    f = lambda x, w: ac.vmap(lambda x: ac.sum(ac.tanh(x @ w) @ w.T) + ac.sum(w.T * 2.0))(x)
    agrees(f, draw(4, 3, 5, dtype=np.float64), draw(5, 5, dtype=np.float64))
    g = lambda x, w: ac.vmap(lambda x: ac.sum(x * ac.transpose(w, (2, 1, 0))))(x)
    agrees(g, draw(4, 3, 5, 2, dtype=np.float64), draw(2, 5, 3, dtype=np.float64))


def test_concatenated_parts_are_in_turns():
    one = lambda x, y: ac.concatenate([x[::2], 2 * y, x[1::2]]) * 3
    x, y = draw(4, 6, dtype=np.float64), draw(4, 2, dtype=np.float64)
    assert all_in_turns(ac.vmap(one), x, y)
    assert all_in_turns(ac.vmap(lambda x: one(x, np.ones(2))), x)


def test_nothing_is_concatenated_in_turns_along_the_mapped_axis():
    def f(x):
        y = ac.vmap(lambda row: row * 2)(x)
        return ac.concatenate([y, y + 1], axis=0) * 2

    x = draw(4, 3, dtype=np.float64)
    np.testing.assert_array_equal(ac.jit(f)(x).numpy(), f(x).numpy())


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "float32", "float64", "complex64"])
def test_concatenation_of_any_dtype(dtype):
    parts = [(RNG.random(shape) * 9).astype(dtype) for shape in ((2, 3), (2, 0), (2, 1))]
    f = lambda *parts: ac.concatenate(parts, axis=1)
    got = ac.jit(f)(*parts).numpy()
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.concatenate(parts, axis=1))


def test_adam_is_machine_code():
    """The square root in it has a derivative of its own at 0."""
    optimizer = optim.adam(1e-2)

    def one(w):
        updates, _ = optimizer.update(w * 2, optimizer.init(w), w)
        return optim.apply(w, updates)

    assert all_in_turns(ac.vmap(one), draw(3, 5, dtype=np.float64))
