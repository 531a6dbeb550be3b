"""Meta-SGD: MAML where rates are alike; closed forms; the derivative of the unrolled loss."""

import dataclasses

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms.maml import Maml
from metalearn.algorithms.meta_sgd import HIGH, LOW, MetaSgd
from metalearn.errors import OptionError
from metalearn.learner import MSE
from metalearn.parts import PARTS
from metalearn.tasks import Task

from .common import (
    EPS,
    Quadratic,
    assert_close,
    central_differences,
    doubles,
    flat,
    meta_gradient,
    scores_on_sinusoids,
    sine_task,
    smooth_mlp,
    unflat,
)


def start(algorithm, seed: int = 3):
    return doubles(algorithm.init(smooth_mlp(), random.key(seed)))


@pytest.mark.parametrize("adapts", [part for part in PARTS if part != "weights"])
@pytest.mark.parametrize("order", [1, 2])
def test_with_equal_rates_it_is_maml(learner, order, adapts):
    settings = {"steps": 3, "rate": 0.05, "order": order, "adapts": adapts}
    algorithm, task = MetaSgd(**settings), sine_task(0)
    meta = start(algorithm)
    meta["rates"] = ac.tree_map(lambda a: ac.full_like(a, 0.05), meta["rates"])
    found = meta_gradient(algorithm, learner, meta, task)
    expected = meta_gradient(Maml(**settings), learner, meta["params"], task)
    assert_close(found["params"], expected, 100 * EPS)


def test_the_gradient_of_the_rates_is_a_product_of_gradients(learner):
    """−∇L_train(θ) ∘ ∇L_test(θ′) for one step, of either order."""
    algorithm, task = MetaSgd(steps=1, initial="uniform"), sine_task(1)
    meta = start(algorithm)
    inner = ac.grad(lambda p: learner.support_loss(p, task.support, 0)[0])(meta["params"])
    adapted = ac.tree_map(lambda p, a, g: p - a * g, meta["params"], meta["rates"], inner)
    outer = ac.grad(lambda p: learner.query_loss(p, task, 1)[0])(adapted)
    expected = ac.tree_map(lambda g, h: -g * h, inner, outer)
    for order in (1, 2):
        ordered = dataclasses.replace(algorithm, order=order)
        found = meta_gradient(ordered, learner, meta, task)
        assert_close(found["rates"], expected, 100 * EPS)


@pytest.mark.parametrize("steps", [1, 3])
def test_quadratic_tasks_have_a_closed_form(steps):
    """θ⁽ᵏ⁺¹⁾ = θ⁽ᵏ⁾ − α ∘ (Aθ⁽ᵏ⁾ − b), some of the rates negative; with the transposed Jacobians
    J = ∂θ⁽ᴷ⁾/∂θ⁽ᵏ⁾, ∇θ = Jᵀ∇L_test and ∇α = −Σₖ (Aθ⁽ᵏ⁾ − b) ∘ Jₖ₊₁ᵀ∇L_test."""
    rng, n = np.random.default_rng(5), 6
    square = rng.normal(size=(2, n, n))
    a, aq = square @ np.swapaxes(square, -1, -2) / n
    b, bq, theta = rng.normal(size=(3, n))
    rates = rng.uniform(-0.1, 0.2, n)
    assert (rates < 0).any()
    gradients, adapted = [], theta
    for _ in range(steps):
        gradients.append(a @ adapted - b)
        adapted = adapted - rates * gradients[-1]
    behind, of_rates = aq @ adapted - bq, np.zeros(n)
    for gradient in reversed(gradients):
        of_rates -= gradient * behind
        behind = behind - a @ (rates * behind)
    found = meta_gradient(
        MetaSgd(steps=steps),
        Quadratic(smooth_mlp(), MSE, "none"),
        {"params": ac.asarray(theta), "rates": ac.asarray(rates)},
        Task((a, b), (aq, bq)),
    )
    assert_close(found["params"], ac.asarray(behind), 100 * EPS)
    assert_close(found["rates"], ac.asarray(of_rates), 100 * EPS)


class Mutant(MetaSgd):
    """Rates without gradients: those of an optimiser, and not learned by the unrolled loss."""

    def step(self, learner, meta, params, support, number):
        constant = {**meta, "rates": ac.tree_map(ac.stop_gradient, meta["rates"])}
        return super().step(learner, constant, params, support, number)


def test_meta_gradient_is_the_derivative_of_the_unrolled_loss(learner):
    algorithm, task = MetaSgd(steps=2, initial="uniform"), sine_task(0)
    meta = start(algorithm)

    def unrolled(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = unflat(central_differences(unrolled, flat(meta), h=1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, task), expected, 1e-9)
    with pytest.raises(AssertionError):
        assert_close(meta_gradient(Mutant(steps=2), learner, meta, task), expected, 1e-3)


def test_initial_rates():
    params = smooth_mlp().init(random.key(0))
    alike, drawn = (
        MetaSgd(rate=0.25, initial=initial).init(smooth_mlp(), random.key(0))
        for initial in ("rate", "uniform")
    )
    for meta in (alike, drawn):
        np.testing.assert_array_equal(flat(meta["params"]), flat(params))
    assert set(flat(alike["rates"])) == {0.25}
    rates = flat(drawn["rates"])
    assert LOW <= rates.min() < 0.015 and 0.09 < rates.max() < HIGH
    assert len(set(rates)) == rates.size
    with pytest.raises(OptionError, match="initial='zero'; expected one of rate, uniform"):
        MetaSgd(initial="zero")


def test_trained_on_sinusoids_it_adapts(capsys, tmp_path):
    options = {"algorithm": "meta-sgd", "iterations": 300, "inner_lr": 0.003}
    before, after, *_ = scores_on_sinusoids(capsys, tmp_path / "run", **options)
    assert after < 0.8 * before
