"""CAVIA: contexts concatenated to inputs; a bias where the weights are the identity; closed forms;
the derivative of the unrolled loss."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms.cavia import Cavia
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import Model, affine, conv4, mlp

from .common import (
    EPS,
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


def start(algorithm, model: Model):
    return doubles(algorithm.init(model, random.key(3)))


def concatenated(meta, context, x):
    """Outputs of the network whose input is (x, φ), as the paper has it."""
    rows = ac.broadcast_to(context, (len(x), len(context)))
    first, *hidden, head = meta["params"]
    weight = ac.concatenate([first["weight"], meta["context"]["bias"]])
    x = nn.tanh(ac.concatenate([x, rows], axis=1) @ weight + first["bias"])
    for layer in hidden:
        x = nn.tanh(affine(layer, x))
    return affine(head, x)


def test_it_is_a_context_concatenated_to_the_input(learner):
    algorithm, task = Cavia(steps=3, rate=0.3, size=4), sine_task(0)

    def loss(meta):
        context = ac.zeros(4, "float64")
        for _ in range(3):
            on_support = lambda c: nn.mse(concatenated(meta, c, task.support[0]), task.support[1])
            context = context - 0.3 * ac.grad(on_support)(context)
        return nn.mse(concatenated(meta, context, task.query[0]), task.query[1])

    meta = start(algorithm, smooth_mlp())
    found = meta_gradient(algorithm, learner, meta, task)
    assert_close(found, ac.grad(loss)(meta), 1e3 * EPS)


def test_a_linear_network_has_a_closed_form():
    """L = mean (r − b)² is quadratic in the bias b, r being what the weights leave of the targets.
    φ moves b by w φ, so that each step takes b − r̄ times 1 − 2αw², w being a vector."""
    learner, steps, rate = Learner(mlp(1, 1, ()), MSE, "none"), 3, 0.1
    algorithm, task = Cavia(steps=steps, rate=rate, size=2), sine_task(1)
    meta = start(algorithm, learner.model)
    [layer], w = meta["params"], np.asarray(meta["context"]["bias"])[:, 0]
    rest = np.mean(task.support[1] - task.support[0] @ np.asarray(layer["weight"]))
    shrink = 1 - 2 * rate * w @ w
    expected = rest + shrink**steps * (np.asarray(layer["bias"]) - rest)
    [found] = algorithm.adapt(learner, meta, task.support)
    assert_close(found["bias"], ac.asarray(expected), 100 * EPS)
    assert found["weight"] is layer["weight"]


def test_with_the_identity_it_is_descent_on_the_bias(learner):
    algorithm, task = Cavia(steps=2, rate=0.05, size=6), sine_task(2)
    meta = start(algorithm, smooth_mlp())
    meta["context"]["bias"] = ac.eye(6, dtype="float64")
    expected = meta["params"]
    for _ in range(2):
        gradient = ac.grad(lambda p: learner.support_loss(p, task.support, 0)[0])(expected)
        moved = expected[0]["bias"] - 0.05 * gradient[0]["bias"]
        expected = [{**expected[0], "bias": moved}, *expected[1:]]
    assert_close(algorithm.adapt(learner, meta, task.support), expected, 100 * EPS)


def test_meta_gradient_is_the_derivative_of_the_unrolled_loss(learner):
    algorithm, task = Cavia(steps=3, rate=0.3), sine_task(0)
    meta = start(algorithm, smooth_mlp())

    def unrolled(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = unflat(central_differences(unrolled, flat(meta), h=1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, task), expected, 1e-9)
    first = meta_gradient(Cavia(steps=3, rate=0.3, order=1), learner, meta, task)
    with pytest.raises(AssertionError):
        assert_close(first, expected, 1e-3)


def test_the_first_order_holds_inner_gradients_constant(learner):
    """Then ∂φ/∂θ = 0: what is left is the query loss's gradient where φ is."""
    algorithm, task = Cavia(steps=3, rate=0.3, order=1), sine_task(4)
    meta = start(algorithm, smooth_mlp())
    context, _ = algorithm.adapted_state(learner, meta, task.support)
    constant = ac.asarray(np.asarray(context))
    direct = lambda m: learner.query_loss(algorithm.params(m, constant, 3), task, 3)[0]
    assert_close(meta_gradient(algorithm, learner, meta, task), ac.grad(direct)(meta), 100 * EPS)


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("normalise", [True, False])
def test_one_block_of_a_convolutional_network_is_moved(normalise, pool):
    model = conv4(1, 16, 3, filters=4, normalise=normalise, pool=pool)
    mode = "transductive" if normalise else "none"
    learner, algorithm = Learner(model, ACCURACY, mode), Cavia(steps=2, block=2)
    meta = start(algorithm, model)
    rng = np.random.default_rng(0)
    support = (rng.normal(size=(6, 1, 16, 16)), np.arange(6) % 3)
    found = algorithm.adapt(learner, meta, support)
    paths = ac.tree.tree_paths(found)
    leaves = zip(ac.tree_leaves(found), ac.tree_leaves(meta["params"]), strict=True)
    moved = {path for path, (a, b) in zip(paths, leaves, strict=True) if (a != b).any()}
    expected = ("scale", "shift") if normalise else ("bias",)
    assert moved == {f"['blocks'][1]['{name}']" for name in expected}


def test_the_scale_and_the_shift_are_film():
    """Block 1's batch norm scales by s + φ W_s and shifts by t + φ W_t."""
    model, algorithm = conv4(1, 8, 3, filters=4), Cavia(block=1, size=7)
    meta, rng = start(algorithm, model), np.random.default_rng(0)
    context = rng.normal(size=7)
    found = algorithm.params(meta, ac.asarray(context), 1)["blocks"][0]
    x = rng.normal(size=(3, 4, 5, 5))
    normal = nn.batch_norm(x, np.ones(4), np.zeros(4), statistics="batch")
    s, t = (np.asarray(meta["params"]["blocks"][0][n]) for n in ("scale", "shift"))
    ws, wt = (np.asarray(meta["context"][n]) for n in ("scale", "shift"))
    scale, shift = (v[:, None, None] for v in (s + context @ ws, t + context @ wt))
    moved = nn.batch_norm(x, found["scale"], found["shift"], statistics="batch")
    assert_close(moved, normal * scale + shift, 100 * EPS)


def test_sizes_and_settings_that_make_no_sense():
    key = random.key(0)
    shapes = lambda algorithm, model: {
        name: weight.shape for name, weight in algorithm.init(model, key)["context"].items()
    }
    images = conv4(1, 8, 3, filters=4)
    assert shapes(Cavia(), mlp(1, 1)) == {"bias": (5, 40)}
    assert shapes(Cavia(size=2), mlp(1, 1)) == {"bias": (2, 40)}
    assert shapes(Cavia(), images) == {"scale": (100, 4), "shift": (100, 4)}
    for settings, said in (
        ({"size": -1}, "size=-1; expected at least 1"),
        ({"block": 0}, "block=0; expected at least 1"),
    ):
        with pytest.raises(OptionError, match=said):
            Cavia(**settings)
    with pytest.raises(OptionError, match="block=5; there are 4"):
        Cavia(block=5).init(images, key)
    other = images._replace(init=lambda _: {"head": {}})
    with pytest.raises(OptionError, match="no context can enter"):
        Cavia().init(other, key)


def test_adapts_is_no_setting(learner):
    with pytest.raises(TypeError):
        Cavia(adapts="head")


def test_tasks_start_from_no_context(learner):
    algorithm, task = Cavia(), sine_task(3)
    meta = start(algorithm, smooth_mlp())
    unchanged = algorithm.adapt(learner, meta, task.support, 0)
    np.testing.assert_array_equal(flat(unchanged), flat(meta["params"]))


def test_trained_on_sinusoids_it_adapts(capsys, tmp_path):
    options = {"algorithm": "cavia", "iterations": 300}
    before, after, *_ = scores_on_sinusoids(capsys, tmp_path / "run", **options)
    assert after < 0.9 * before
