"""The meta-gradient against closed forms, finite differences, and itself computed in other ways."""

import dataclasses

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms import ALGORITHMS, REMAT, make_algorithm
from metalearn.algorithms.maml import Maml
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner, Measure
from metalearn.models import Model, affine, conv4, mlp, with_linear_head
from metalearn.normalisation import MODES
from metalearn.tasks import Task

EPS = np.finfo(np.float64).eps


def smooth_mlp() -> Model:
    """1 → 6 → 5 → 1 with tanh, whose derivatives exist everywhere."""
    base = mlp(1, 1, (6, 5))

    def features(params, x, statistics):
        del statistics
        for layer in params[:-1]:
            x = nn.tanh(affine(layer, x))
        return x, ()

    return base._replace(features=features, apply=with_linear_head(features))


def doubles(tree):
    return ac.tree_map(lambda x: ac.astype(ac.asarray(x), np.float64), tree)


def sine_task(seed: int, lead: tuple = ()) -> Task:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-2, 2, (2, *lead, 7, 1)), rng.normal(size=(2, *lead, 7, 1))
    return Task(support=(x[0], y[0]), query=(x[1], y[1]))


@pytest.fixture
def learner() -> Learner:
    return Learner(smooth_mlp(), MSE, "none")


@pytest.fixture
def params():
    return doubles(smooth_mlp().init(random.key(3)))


def meta_gradient(algorithm, learner, params, task):
    return ac.grad(lambda p: algorithm.meta_loss(learner, p, task)[0])(params)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.asarray(leaf).ravel() for leaf in ac.tree_leaves(tree)])


def unflat(vector: np.ndarray, like):
    leaves, structure = ac.tree_flatten(like)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = np.split(vector, ends[:-1])
    shaped = [ac.asarray(p.reshape(leaf.shape)) for p, leaf in zip(parts, leaves, strict=True)]
    return ac.tree_unflatten(structure, shaped)


def assert_close(actual, expected, tolerance: float) -> None:
    """Within `tolerance` of the expected vector's largest entry."""
    a, b = flat(actual), flat(expected)
    scale = np.abs(b).max()
    assert scale > 0
    assert np.abs(a - b).max() <= tolerance * scale, np.abs(a - b).max() / scale


# Against finite differences -------------------------------------------------------------------


def central_differences(f, x: np.ndarray, h: float) -> np.ndarray:
    """Fourth-order central differences: the error is about eps/h + h⁴ of the scale."""
    rows = np.eye(x.size) * h
    return np.array(
        [(8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h) for e in rows]
    )


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


class Quadratic(Learner):
    """L(θ) = ½ θᵀA θ − bᵀθ, with (A, b) of the task as "inputs and targets"."""

    def _value(self, params, pair):
        matrix, vector = pair
        return 0.5 * ac.dot(params, matrix @ params) - ac.dot(vector, params)

    def support_loss(self, params, support, step):
        del step
        return self._value(params, support), ()

    def query_loss(self, params, task, step):
        del step
        value = self._value(params, task.query)
        return value, (value, ())


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


# Against itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_remat_gives_the_same_result(learner, name, steps):
    task, found = sine_task(4), {}
    for remat in REMAT:
        algorithm = make_algorithm(name, steps=steps, rate=0.05, remat=remat)
        meta = doubles(algorithm.init(learner.model, random.key(3)))
        found[remat] = ac.value_and_grad(lambda m, a=algorithm: a.meta_loss(learner, m, task)[0])(
            meta
        )
    for remat in ("every", "sqrt"):
        assert_close(found[remat], found["none"], 100 * EPS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_vmap_over_tasks_is_a_loop_over_tasks(name, mode):
    model = conv4(1, 8, 3, filters=4, normalise=mode != "none")
    learner = Learner(model, ACCURACY, mode)
    rng, tasks = np.random.default_rng(3), 3
    x, labels = rng.normal(size=(2, tasks, 6, 1, 8, 8)), np.tile(np.arange(6) % 3, (tasks, 1))
    batch = Task((x[0], labels), (x[1], labels))
    algorithm = make_algorithm(name, steps=2, rate=0.1, remat="sqrt")
    params = doubles(algorithm.init(model, random.key(2)))

    def loss(p, task):
        return algorithm.meta_loss(learner, p, task)

    def mapped(p):
        losses, aux = ac.vmap(loss, in_axes=(None, 0))(p, batch)
        return ac.mean(losses), (losses, aux)

    (_, outcome), gradient = ac.value_and_grad(mapped, has_aux=True)(params)
    one_by_one = [
        ac.value_and_grad(loss, has_aux=True)(params, ac.tree_map(lambda a, i=i: a[i], batch))
        for i in range(tasks)
    ]
    stacked = ac.tree_map(lambda *xs: ac.stack(xs), *[value for value, _ in one_by_one])
    assert_close(outcome, stacked, 1e4 * EPS)
    mean = ac.tree_map(lambda *gs: sum(gs) / tasks, *[g for _, g in one_by_one])
    assert_close(gradient, mean, 1e4 * EPS)


def test_adaptation_yields_every_step(learner, params):
    algorithm, task = Maml(steps=1, rate=0.05), sine_task(6)
    found = [p for p, _ in algorithm.adaptation(learner, params, task.support, 3)]
    assert len(found) == 4
    assert found[0] is params
    losses = [float(learner.support_loss(p, task.support, 0)[0]) for p in found]
    assert losses == sorted(losses, reverse=True)


def test_unknown_algorithm():
    with pytest.raises(OptionError, match=r"mamml.*maml, fomaml"):
        make_algorithm("mamml")
