"""What the algorithms are tried on: a smooth network, waves, and quadratic tasks; how gradients are
compared; what a short training comes to."""

import json

import numpy as np

import autograd_core as ac
from autograd_core import nn
from metalearn.learner import Learner
from metalearn.models import Model, affine, mlp, with_linear_head
from metalearn.tasks import Task

from ..helpers import SINUSOID, command, flags

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


def central_differences(f, x: np.ndarray, h: float) -> np.ndarray:
    """Fourth-order central differences: the error is about eps/h + h⁴ of the scale."""
    rows = np.eye(x.size) * h
    return np.array(
        [(8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h) for e in rows]
    )


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


def scores_on_sinusoids(capsys, out, **options) -> list[float]:
    """Mean squared errors after 0, 1, … inner steps, of a small run by the command line."""
    options = {**SINUSOID, "validate_every": 100, **options}
    trained = command(capsys, "train", "sinusoid", *flags(options), "--out", out)
    assert trained.code == 0, trained.err
    evaluated = command(capsys, "evaluate", out, "--episodes", 100, "--json")
    assert evaluated.code == 0, evaluated.err
    return [row["mean"] for row in json.loads(evaluated.out)["scores"]]
