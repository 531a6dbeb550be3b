"""Optimisers against torch.optim, their dtypes and derivatives, clipping and schedules."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import optim
from autograd_core.optim import schedules

STEPS = 10
SHAPES = {"w": (3, 4), "b": (4,), "s": ()}


def start(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {k: np.asarray(rng.standard_normal(s), dtype) for k, s in SHAPES.items()}


def gradient(params, step):
    """A gradient that depends on the parameters and on the step."""
    return {
        k: (0.3 + 0.1 * i) * np.sin(np.asarray(p) * (step + 1)) + 0.01 * np.asarray(p)
        for i, (k, p) in enumerate(sorted(params.items()))
    }


def follow(optimizer, steps=STEPS, dtype=np.float64):
    params = start(dtype)
    state = optimizer.init(params)
    for step in range(steps):
        grads = {k: g.astype(dtype) for k, g in gradient(params, step).items()}
        updates, state = optimizer.update(grads, state, params)
        params = optim.apply(params, updates)
    return params, state


def follow_torch(make, schedule=None, steps=STEPS):
    torch = pytest.importorskip("torch", reason="the oracle of these optimisers")
    params = {k: torch.tensor(p, requires_grad=True) for k, p in start().items()}
    optimizer = make(torch.optim, list(params.values()))
    scheduler = schedule(torch.optim.lr_scheduler, optimizer) if schedule else None
    for step in range(steps):
        found = gradient({k: p.detach().numpy() for k, p in params.items()}, step)
        for k, p in params.items():
            p.grad = torch.tensor(found[k])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return {k: p.detach().numpy() for k, p in params.items()}


def assert_same(ours, theirs):
    for k in SHAPES:
        np.testing.assert_allclose(np.asarray(ours[k]), theirs[k], rtol=1e-10, atol=0, err_msg=k)


PAIRS = {
    "sgd": (lambda: optim.sgd(0.1), lambda t, p: t.SGD(p, 0.1)),
    "sgd-decay": (
        lambda: optim.sgd(0.1, weight_decay=0.2),
        lambda t, p: t.SGD(p, 0.1, weight_decay=0.2),
    ),
    "momentum": (
        lambda: optim.sgd(0.1, momentum=0.8, weight_decay=0.01),
        lambda t, p: t.SGD(p, 0.1, momentum=0.8, weight_decay=0.01),
    ),
    "nesterov": (
        lambda: optim.sgd(0.1, momentum=0.8, nesterov=True),
        lambda t, p: t.SGD(p, 0.1, momentum=0.8, nesterov=True),
    ),
    "adam": (lambda: optim.adam(0.05), lambda t, p: t.Adam(p, 0.05)),
    "adam-settings": (
        lambda: optim.adam(0.05, (0.7, 0.95), 1e-2, 0.1),
        lambda t, p: t.Adam(p, 0.05, (0.7, 0.95), 1e-2, 0.1),
    ),
    "adam-without-memory": (
        lambda: optim.adam(0.05, (0.0, 0.9)),
        lambda t, p: t.Adam(p, 0.05, (0.0, 0.9)),
    ),
    "adamw": (
        lambda: optim.adamw(0.05, weight_decay=0.3),
        lambda t, p: t.AdamW(p, 0.05, weight_decay=0.3),
    ),
    "rmsprop": (lambda: optim.rmsprop(0.05), lambda t, p: t.RMSprop(p, 0.05)),
    "rmsprop-settings": (
        lambda: optim.rmsprop(0.05, 0.8, 1e-2, 0.7, 0.1),
        lambda t, p: t.RMSprop(p, 0.05, 0.8, 1e-2, 0.1, 0.7),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_steps_are_torchs(name):
    mine, other = PAIRS[name]
    assert_same(follow(mine())[0], follow_torch(other))


SCHEDULES = {
    "exponential": (
        schedules.exponential(0.05, 0.8),
        lambda s, o: s.ExponentialLR(o, 0.8),
    ),
    "staircase": (
        schedules.exponential(0.05, 0.5, every=3, staircase=True),
        lambda s, o: s.StepLR(o, 3, 0.5),
    ),
    "cosine": (
        schedules.cosine(0.05, STEPS, 0.01),
        lambda s, o: s.CosineAnnealingLR(o, STEPS, 0.01),
    ),
    "piecewise": (
        schedules.piecewise([3, 7], [0.05, 0.005, 0.0005]),
        lambda s, o: s.MultiStepLR(o, [3, 7]),
    ),
    "warmup": (
        schedules.warmup(0.05, 3),
        lambda s, o: s.LambdaLR(o, lambda i: min((i + 1) / 4, 1.0)),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_scheduled_steps_are_torchs(name):
    schedule, other = SCHEDULES[name]
    expected = follow_torch(lambda t, p: t.SGD(p, 0.05), other)
    assert_same(follow(optim.sgd(schedule))[0], expected)


def test_schedules_at_their_ends():
    def rates(schedule, steps):
        return [float(np.asarray(schedule(i))) for i in steps]

    assert rates(schedules.constant(0.3), [0, 9]) == [0.3, 0.3]
    assert rates(schedules.cosine(1.0, 4, 0.2), [0, 2, 4, 9]) == pytest.approx([1, 0.6, 0.2, 0.2])
    assert rates(schedules.piecewise([2], [1.0, 0.5]), [1, 2]) == [1.0, 0.5]
    after = schedules.exponential(1.0, 0.5)
    assert rates(schedules.warmup(after, 3), range(6)) == [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    with pytest.raises(ValueError, match="rising boundaries"):
        schedules.piecewise([3, 2], [1.0, 0.5, 0.2])
    with pytest.raises(ValueError, match="one rate more"):
        schedules.piecewise([3], [1.0])


# Dtypes and state -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.05, np.float64(0.05), schedules.cosine(0.05, STEPS)])
@pytest.mark.parametrize("make", [optim.sgd, optim.adam, optim.adamw, optim.rmsprop])
def test_float32_is_kept(make, rate):
    rate = ac.asarray(rate) if isinstance(rate, np.float64) else rate
    optimizer = optim.chain(optim.clip_by_global_norm(0.5), make(rate))
    params, state = follow(optimizer, dtype=np.float32)
    exact, _ = follow(optimizer)
    for k, p in params.items():
        assert p.dtype == np.float32
        np.testing.assert_allclose(p, exact[k], rtol=1e-4, atol=1e-5)
    kinds = {leaf.dtype for leaf in ac.tree_leaves(state)}
    assert kinds <= {np.dtype(np.float32), np.dtype(np.int64)}


@pytest.mark.parametrize("name", PAIRS)
def test_state_is_a_tree_of_tensors(name):
    """Taken apart into arrays, as a checkpoint does, and put together, it goes on the same."""
    optimizer = PAIRS[name][0]()
    params, state = follow(optimizer, 3)
    leaves, structure = ac.tree_flatten(state)
    assert all(isinstance(leaf, ac.Tensor) for leaf in leaves)
    assert int(state.steps) == 3
    assert state.steps.dtype == np.int64
    restored = ac.tree_unflatten(structure, [ac.asarray(leaf.numpy().copy()) for leaf in leaves])
    grads = gradient(params, 3)
    one, other = (optimizer.update(grads, s, params)[0] for s in (state, restored))
    for k in SHAPES:
        np.testing.assert_array_equal(one[k], other[k])


def test_inputs_are_left_as_they_are():
    optimizer = optim.adam(0.1)
    params = start()
    before = {k: p.copy() for k, p in params.items()}
    state = optimizer.init(params)
    optimizer.update(gradient(params, 0), state, params)
    assert int(state.steps) == 0
    for k in SHAPES:
        np.testing.assert_array_equal(params[k], before[k])
        assert not state.means[k].numpy().any()


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="needs momentum"):
        optim.sgd(0.1, nesterov=True)


# Derivatives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rate: optim.sgd(rate, momentum=0.9, nesterov=True, weight_decay=0.1),
        optim.adam,
        optim.adamw,
        lambda rate: optim.rmsprop(rate, momentum=0.5),
        lambda rate: optim.chain(optim.clip_by_global_norm(0.7), optim.sgd(rate)),
    ],
)
def test_learning_rate_can_be_learned(make):
    """The derivative of the loss after three steps, in the rate and the start, by differences."""
    loss = lambda x: ac.sum(ac.sin(x) * np.arange(1.0, 4.0))

    def after(rate, x):
        optimizer = make(rate)
        state = optimizer.init(x)
        for _ in range(3):
            updates, state = optimizer.update(ac.grad(loss)(x), state, x)
            x = optim.apply(x, updates)
        return loss(x)

    rate, x, h = 0.1, np.array([0.3, -0.4, 1.2]), 1e-6
    by_rate, by_start = ac.grad(after, (0, 1))(rate, x)
    difference = (float(after(rate + h, x)) - float(after(rate - h, x))) / (2 * h)
    assert float(by_rate) == pytest.approx(difference, rel=1e-7)
    for i, e in enumerate(np.eye(3) * h):
        difference = (float(after(rate, x + e)) - float(after(rate, x - e))) / (2 * h)
        assert float(by_start[i]) == pytest.approx(difference, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("make", [optim.adam, optim.rmsprop])
def test_derivative_through_a_gradient_of_zero(make):
    """Dead relu units have one; the root of their squares must not make it NaN."""

    def after(x):
        optimizer = make(0.1)
        updates, _ = optimizer.update(x * np.array([1.0, 0.0]), optimizer.init(x), x)
        return ac.sum(optim.apply(x, updates) * np.array([2.0, 3.0]))

    gradient = ac.grad(after)(np.array([0.5, 0.5]))
    assert np.isfinite(gradient.numpy()).all()
    assert float(gradient[1]) == 3.0


# Clipping ---------------------------------------------------------------------------------------


def test_clipping_by_value():
    clipped, _ = optim.clip_by_value(0.5).update({"a": np.array([-2.0, 0.3, 0.7])}, (), None)
    assert clipped["a"].tolist() == [-0.5, 0.3, 0.5]


@pytest.mark.parametrize("limit", [0.5, 4.999, 5.001, 100.0])
def test_clipping_by_global_norm(limit):
    grads = {"a": np.array([3.0, 0.0]), "b": np.array(4.0)}
    clipped, _ = optim.clip_by_global_norm(limit).update(grads, (), None)
    factor = min(1.0, limit / 5)
    np.testing.assert_allclose(clipped["a"], grads["a"] * factor, rtol=1e-15)
    np.testing.assert_allclose(clipped["b"], grads["b"] * factor, rtol=1e-15)
    assert float(optim.global_norm(clipped)) == pytest.approx(min(limit, 5.0))


def test_clipping_of_zeros_is_finite_and_differentiable():
    clip = lambda x: optim.clip_by_global_norm(1.0).update(x, (), None)[0]
    assert clip(np.zeros(2)).tolist() == [0.0, 0.0]
    assert ac.grad(lambda x: ac.sum(clip(x)))(np.zeros(2)).tolist() == [1.0, 1.0]


def test_chain_hands_updates_on():
    """Clipping after sgd limits the step; before it, the gradient."""
    grads, rate, limit = {"a": np.array([10.0])}, 0.1, 0.5
    for parts, step in (
        ((optim.clip_by_value(limit), optim.sgd(rate)), -limit * rate),
        ((optim.sgd(rate), optim.clip_by_value(limit)), -limit),
    ):
        optimizer = optim.chain(*parts)
        updates, _ = optimizer.update(grads, optimizer.init(grads), grads)
        assert updates["a"].tolist() == pytest.approx([step])


def test_unbiasing_is_accurate_in_float32():
    """1 - 0.999999 loses digits in float32; the first step of Adam is the rate all the same."""
    params = {"a": np.ones(1, np.float32)}
    optimizer = optim.adam(1.0, (0.9, 0.999999), eps=1e-30)
    updates, _ = optimizer.update({"a": np.float32([1e-3])}, optimizer.init(params), params)
    assert float(updates["a"][0]) == pytest.approx(-1.0, rel=1e-6)
    assert math.isclose(1 - np.float32(0.999999), 1e-6, rel_tol=0.05)
