"""Meta-curvature: MAML with identities, Meta-SGD with diagonals; closed forms; the derivative of
the unrolled loss."""

import dataclasses
from functools import reduce

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms.maml import Maml
from metalearn.algorithms.meta_curvature import (
    MetaCurvature,
    curved,
    joined_axes,
    modes_of,
)
from metalearn.algorithms.meta_sgd import MetaSgd
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4
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


def perturbed(algorithm, model, by: float = 0.1):
    """Meta-parameters at some distance from the identity."""
    rng = np.random.default_rng(7)
    meta = doubles(algorithm.init(model, random.key(3)))
    return ac.tree_map(lambda x: x + by * rng.normal(size=x.shape), meta)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 5), (3, 2, 3, 3)])
def test_it_is_a_product_with_a_matrix_in_kroneckers_factors(shape):
    rng, modes = np.random.default_rng(0), modes_of(shape)
    gradient = rng.normal(size=shape)
    if modes == ("diagonal",):
        matrices = {"diagonal": rng.normal(size=shape)}
        expected = np.diag(matrices["diagonal"]) @ gradient
    else:
        lengths = zip(modes, joined_axes(shape), strict=True)
        matrices = {mode: rng.normal(size=(n, n)) for mode, n in lengths}
        whole = reduce(np.kron, [matrices[mode] for mode in modes])
        expected = (whole @ gradient.ravel()).reshape(shape)
    assert_close(curved(ac.asarray(gradient), matrices), ac.asarray(expected), 100 * EPS)


@pytest.mark.parametrize("adapts", PARTS)
@pytest.mark.parametrize("order", [1, 2])
def test_with_identities_it_is_maml(order, adapts):
    model = conv4(1, 8, 3, filters=4)
    learner = Learner(model, ACCURACY, "transductive")
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(2, 6, 1, 8, 8)), np.arange(6) % 3
    task = Task((x[0], labels), (x[1], labels))
    settings = {"steps": 2, "rate": 0.2, "order": order, "adapts": adapts}
    algorithm = MetaCurvature(**settings)
    meta = doubles(algorithm.init(model, random.key(0)))
    found = meta_gradient(algorithm, learner, meta, task)
    expected = meta_gradient(Maml(**settings), learner, meta["params"], task)
    assert_close(found["params"], expected, 1e3 * EPS)


def test_with_diagonals_it_is_meta_sgd(learner):
    """A weight between input i and output j then has the rate α dᵢ eⱼ."""
    algorithm, task, rng = MetaCurvature(steps=3, rate=0.05), sine_task(0), np.random.default_rng(2)
    meta = perturbed(algorithm, smooth_mlp())
    diagonal = lambda m: ac.asarray(np.diag(rng.uniform(-1, 2, len(m))) if m.ndim == 2 else m)
    meta["curvature"] = ac.tree_map(diagonal, meta["curvature"])

    def rates(matrices):
        if "diagonal" in matrices:
            return 0.05 * matrices["diagonal"]
        inputs, outputs = (ac.diagonal(matrices[mode]) for mode in ("in", "out"))
        return 0.05 * inputs[:, None] * outputs

    same = {
        "params": meta["params"],
        "rates": ac.tree_map(lambda _, m: rates(m), meta["params"], meta["curvature"]),
    }
    found = meta_gradient(algorithm, learner, meta, task)
    expected = meta_gradient(MetaSgd(steps=3), learner, same, task)
    assert_close(found["params"], expected["params"], 1e3 * EPS)


class QuadraticInMatrix(Quadratic):
    """The same of a matrix of parameters, row after row."""

    def _value(self, params, pair):
        return super()._value(ac.reshape(params, (-1,)), pair)


def test_quadratic_tasks_have_a_closed_form():
    """With v = ∇L_test(θ′) as a matrix V, and P = M_in ⊗ M_out: ∇θ = (I − αPA)ᵀ v,
    ∇M_in = −α V M_out Gᵀ and ∇M_out = −α Vᵀ M_in G."""
    rng, shape, rate = np.random.default_rng(5), (3, 4), 0.1
    square = rng.normal(size=(2, 12, 12))
    a, aq = square @ np.swapaxes(square, -1, -2) / 12
    b, bq, theta = rng.normal(size=(3, 12))
    inputs, outputs = rng.normal(size=(3, 3)), rng.normal(size=(4, 4))
    whole = np.kron(inputs, outputs)
    gradient = a @ theta - b
    behind = aq @ (theta - rate * whole @ gradient) - bq
    g, v = gradient.reshape(shape), behind.reshape(shape)
    expected = {
        "params": behind - rate * (whole @ a).T @ behind,
        "curvature": {"in": -rate * v @ outputs @ g.T, "out": -rate * v.T @ inputs @ g},
    }
    meta = {"params": theta.reshape(shape), "curvature": {"in": inputs, "out": outputs}}
    found = meta_gradient(
        MetaCurvature(steps=1, rate=rate),
        QuadraticInMatrix(smooth_mlp(), MSE, "none"),
        ac.tree_map(ac.asarray, meta),
        Task((a, b), (aq, bq)),
    )
    assert_close(found, expected, 100 * EPS)


class Mutant(MetaCurvature):
    """Matrices on the wrong side of the derivative: the unrolled loss does not know them."""

    def step(self, learner, meta, params, support, number):
        curvature = ac.tree_map(ac.stop_gradient, meta["curvature"])
        return super().step(learner, {**meta, "curvature": curvature}, params, support, number)


def test_meta_gradient_is_the_derivative_of_the_unrolled_loss(learner):
    algorithm, task = MetaCurvature(steps=2, rate=0.05), sine_task(0)
    meta = perturbed(algorithm, smooth_mlp())

    def unrolled(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = unflat(central_differences(unrolled, flat(meta), h=1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, task), expected, 1e-9)
    with pytest.raises(AssertionError):
        mutant = Mutant(steps=2, rate=0.05)
        assert_close(meta_gradient(mutant, learner, meta, task), expected, 1e-3)


def test_modes_that_are_left_out_stay_the_identity(learner):
    """As if their matrices were there, and were it; fewer numbers are learned."""
    part, task = MetaCurvature(steps=2, rate=0.05, modes="out"), sine_task(1)
    meta = perturbed(part, smooth_mlp())
    whole = dataclasses.replace(part, modes="out,in,window")
    filled = doubles(whole.init(smooth_mlp(), random.key(0))["curvature"])
    for layer, known in zip(filled, meta["curvature"], strict=True):
        assert set(known["weight"]) == {"out"}
        layer["weight"] |= known["weight"]
        layer["bias"] = known["bias"]
    found = meta_gradient(part, learner, meta, task)
    expected = meta_gradient(whole, learner, {**meta, "curvature": filled}, task)
    assert_close(found["params"], expected["params"], 100 * EPS)
    for modes in ("", "outputs", "out, in"):
        with pytest.raises(OptionError, match=r"modes=.*expected some of out, in, window"):
            MetaCurvature(modes=modes)


def test_fewer_ways_keep_what_belongs_to_the_first_outputs():
    algorithm = MetaCurvature()
    meta = perturbed(algorithm, conv4(1, 8, 5, filters=4))
    fewer = algorithm.with_ways(meta, 3)
    head, whole = fewer["curvature"]["head"], meta["curvature"]["head"]
    np.testing.assert_array_equal(head["weight"]["in"], whole["weight"]["in"])
    np.testing.assert_array_equal(head["weight"]["out"], whole["weight"]["out"][:3, :3])
    np.testing.assert_array_equal(head["bias"]["diagonal"], whole["bias"]["diagonal"][:3])
    assert fewer["curvature"]["blocks"] is meta["curvature"]["blocks"]


def test_trained_on_sinusoids_it_adapts(capsys, tmp_path):
    options = {"algorithm": "meta-curvature", "iterations": 300, "inner_lr": 0.003}
    before, after, *_ = scores_on_sinusoids(capsys, tmp_path / "run", **options)
    assert after < 0.8 * before
