"""ANIL and BOIL: equal to MAML with a part adapted; what ANIL saves; what they are where the whole
network is one part."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms import make_algorithm, read_settings
from metalearn.algorithms.anil import Anil
from metalearn.algorithms.boil import Boil
from metalearn.algorithms.maml import Maml
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4, mlp
from metalearn.normalisation import MODES, initial_averages
from metalearn.tasks import Task

from .common import (
    EPS,
    assert_close,
    central_differences,
    doubles,
    flat,
    meta_gradient,
    scores_on_sinusoids,
    sine_task,
    unflat,
)

PARTS = {"anil": ("head", Anil), "boil": ("body", Boil)}


def image_task(seed: int) -> Task:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(2, 6, 1, 8, 8)), np.arange(6) % 3
    return Task((x[0], labels), (x[1], labels))


def outcome(algorithm, learner, meta, task):
    return ac.value_and_grad(lambda m: algorithm.meta_loss(learner, m, task), has_aux=True)(meta)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", PARTS)
def test_it_is_maml_with_a_part_adapted(name, order, mode):
    """Loss, score, statistics and meta-gradient."""
    part, cls = PARTS[name]
    model = conv4(1, 8, 3, filters=4, normalise=mode != "none")
    learner, meta = Learner(model, ACCURACY, mode), doubles(model.init(random.key(2)))
    settings = {"steps": 3, "rate": 0.3, "order": order}
    found = outcome(cls(**settings), learner, meta, image_task(0))
    expected = outcome(Maml(**settings, adapts=part), learner, meta, image_task(0))
    assert_close(found, expected, 1e3 * EPS)
    whole = outcome(Maml(**settings), learner, meta, image_task(0))
    with pytest.raises(AssertionError):
        assert_close(found, whole, 1e-3)


@pytest.mark.parametrize("mode", ["running", "per_step"])
def test_anil_is_maml_with_running_averages(mode):
    """Up to the steps of training; in training each step adds the same row to the averages."""
    model, steps = conv4(1, 8, 3, filters=4), 3
    rows = doubles(initial_averages(mode, model, steps))
    if mode == "per_step":  # the support set's rows are alike, the query set's is another
        rows = ac.tree_map(lambda r: r + ac.asarray([0.1, 0.1, 0.1, 0.3])[:, None], rows)
    learner, meta = Learner(model, ACCURACY, mode, rows), doubles(model.init(random.key(2)))
    task = image_task(1)
    outputs = [
        algorithm.predict(learner, meta, task.support, task.query[0])
        for algorithm in (Anil(steps=steps), Maml(steps=steps, adapts="head"))
    ]
    assert_close(*outputs, 1e3 * EPS)


def test_where_there_is_but_a_head_anil_is_maml():
    learner, task = Learner(mlp(1, 1, ()), MSE, "none"), sine_task(0)
    meta = doubles(learner.model.init(random.key(0)))
    found, expected = (outcome(cls(steps=4, rate=0.1), learner, meta, task) for cls in (Anil, Maml))
    assert_close(found, expected, 100 * EPS)


@pytest.mark.parametrize("cls", [Anil, Boil])
def test_meta_gradient_is_the_derivative_of_the_unrolled_loss(learner, params, cls):
    algorithm, task = cls(steps=3, rate=0.05), sine_task(0)

    def unrolled(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, params), task)[0])

    expected = unflat(central_differences(unrolled, flat(params), h=1e-3), params)
    assert_close(meta_gradient(algorithm, learner, params, task), expected, 1e-9)
    first = meta_gradient(cls(steps=3, rate=0.05, order=1), learner, params, task)
    with pytest.raises(AssertionError):
        assert_close(first, expected, 1e-3)


def test_steps_of_anil_cost_no_passes_of_the_body():
    model = conv4(1, 16, 3, filters=8)
    learner, meta = Learner(model, ACCURACY, "transductive"), model.init(random.key(0))
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(2, 6, 1, 16, 16)).astype(np.float32), np.arange(6) % 3
    task = Task((x[0], labels), (x[1], labels))

    def flops(algorithm) -> float:
        gradient = ac.jit(lambda m: meta_gradient(algorithm, learner, m, task), quiet=True)
        return gradient.explain(meta).flops

    one_step = flops(Anil(steps=1))
    for remat in ("none", "sqrt"):
        assert flops(Anil(steps=5, remat=remat)) < 1.02 * one_step
    assert flops(Maml(steps=5, adapts="head")) > 1.5 * one_step


def test_without_compilation_the_body_sees_the_support_set_once():
    calls, model = [], mlp(1, 1, (5,))

    def features(params, x, statistics):
        calls.append(x.shape)
        return model.features(params, x, statistics)

    learner = Learner(model._replace(features=features), MSE, "none")
    task = sine_task(3)
    Anil(steps=5).adapt(learner, model.init(random.key(0)), task.support)
    assert len(calls) == 1


@pytest.mark.parametrize("name,cls", [("anil", Anil), ("boil", Boil)])
def test_the_part_is_no_setting(name, cls):
    with pytest.raises(OptionError, match="no such setting"):
        read_settings(name, {"adapts": "all"})
    with pytest.raises(OptionError, match="no setting 'adapts'"):
        make_algorithm(name, adapts="all")
    assert cls().adapts == PARTS[name][0]


@pytest.mark.parametrize("name,rate", [("anil", 0.003), ("boil", 0.01)])
def test_trained_on_sinusoids_it_adapts(name, rate, capsys, tmp_path):
    options = {"algorithm": name, "iterations": 300, "inner_lr": rate}
    before, after, *_ = scores_on_sinusoids(capsys, tmp_path / "run", **options)
    assert after < 0.9 * before
