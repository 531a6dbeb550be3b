"""MAML's meta-gradient against closed forms and finite differences."""

import dataclasses

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms import REMAT
from metalearn.algorithms.maml import Maml
from metalearn.learner import ACCURACY, MSE, Learner, Measure
from metalearn.models import conv4
from metalearn.tasks import Task

from .common import (
    EPS,
    Quadratic,
    assert_close,
    central_differences,
    doubles,
    flat,
    meta_gradient,
    sine_task,
    smooth_mlp,
    unflat,
)

# Against finite differences -------------------------------------------------------------------


@pytest.mark.parametrize("remat", REMAT)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_meta_gradient_is_the_derivative_of_the_unrolled_loss(learner, params, steps, remat):
    algorithm, task = Maml(steps=steps, rate=0.05, remat=remat), sine_task(0)

    def unrolled(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, params), task)[0])

    expected = central_differences(unrolled, flat(params), h=1e-3)
    assert_close(meta_gradient(algorithm, learner, params, task), unflat(expected, params), 1e-9)


def test_finite_differences_catch_the_first_order_form(learner, params):
    """The check above is no check if it passes a gradient that leaves the Hessian out."""
    full, task = Maml(steps=1, rate=0.05), sine_task(0)
    first = meta_gradient(dataclasses.replace(full, order=1), learner, params, task)
    with pytest.raises(AssertionError):
        assert_close(first, meta_gradient(full, learner, params, task), 1e-3)


@pytest.mark.parametrize("mode", ["transductive", "support", "none"])
def test_meta_gradient_through_the_convolutional_network(mode):
    """Along one direction: the derivative of the unrolled loss, batch norms included."""
    model = conv4(1, 8, 3, filters=3, normalise=mode != "none")
    smooth = Measure("loss", nn.cross_entropy, ACCURACY.score, True)
    learner, params = Learner(model, smooth, mode), doubles(model.init(random.key(1)))
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(2, 6, 1, 8, 8)), np.arange(6) % 3
    task = Task((x[0], labels), (x[1], labels))
    algorithm = Maml(steps=2, rate=0.1)
    point, direction = flat(params), rng.normal(size=flat(params).size)
    direction /= np.linalg.norm(direction)

    def along(t: float) -> float:
        return float(algorithm.meta_loss(learner, unflat(point + t * direction, params), task)[0])

    h = 1e-5  # relu has kinks, so the step is small and the tolerance that of eps/h
    expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    found = direction @ flat(meta_gradient(algorithm, learner, params, task))
    assert abs(found - expected) <= 1e-8 * max(1.0, abs(expected))


# Against closed forms -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("steps", [1, 3])
def test_quadratic_tasks_have_a_closed_form(order, steps):
    """∇ = ((I − αA)ᵀ)ᴷ ∇L_query(θ⁽ᴷ⁾), and without the matrices for the first order."""
    rng, n, rate = np.random.default_rng(5), 6, 0.1
    square = rng.normal(size=(2, n, n))
    a, aq = square @ np.swapaxes(square, -1, -2) / n
    b, bq, theta = rng.normal(size=(3, n))
    adapted, jacobian = theta, np.eye(n)
    for _ in range(steps):
        adapted = adapted - rate * (a @ adapted - b)
        jacobian = (np.eye(n) - rate * a) @ jacobian
    expected = aq @ adapted - bq
    expected = jacobian.T @ expected if order == 2 else expected
    algorithm = Maml(steps=steps, rate=rate, order=order)
    learner = Quadratic(smooth_mlp(), MSE, "none")
    found = meta_gradient(algorithm, learner, ac.asarray(theta), Task((a, b), (aq, bq)))
    assert_close(found, ac.asarray(expected), 100 * EPS)


def test_maml_minus_first_order_is_the_hessian_term(learner, params):
    """∇MAML − ∇FOMAML = −α H ∇L_query(θ′) for one inner step."""
    rate, task = 0.05, sine_task(2)
    second, first = (
        meta_gradient(Maml(steps=1, rate=rate, order=order), learner, params, task)
        for order in (2, 1)
    )

    def support_loss(p):
        return learner.support_loss(p, task.support, 0)[0]

    gradient = ac.grad(support_loss)(params)
    adapted = ac.tree_map(lambda p, g: p - rate * g, params, gradient)
    outer = ac.grad(lambda p: learner.query_loss(p, task, 1)[0])(adapted)
    expected = ac.tree_map(lambda v: -rate * v, ac.hvp(support_loss, (params,), (outer,)))
    difference = ac.tree_map(lambda s, f: s - f, second, first)
    assert_close(difference, expected, 1e4 * EPS)
    assert_close(first, outer, 100 * EPS)


def test_adaptation_yields_every_step(learner, params):
    algorithm, task = Maml(steps=1, rate=0.05), sine_task(6)
    found = [p for p, _ in algorithm.adaptation(learner, params, task.support, 3)]
    assert len(found) == 4
    assert found[0] is params
    losses = [float(learner.support_loss(p, task.support, 0)[0]) for p in found]
    assert losses == sorted(losses, reverse=True)
