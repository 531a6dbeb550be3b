"""Prototypes by hand; ProtoNet and ProtoMAML against differences, MAML, and each other."""

import dataclasses
import json

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms import make_algorithm, prototypes
from metalearn.algorithms.maml import Maml
from metalearn.algorithms.prototypes import ProtoMaml, ProtoNet, class_means, prototype_head
from metalearn.config import make_config
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, Learner
from metalearn.models import affine, mlp, with_linear_head
from metalearn.parts import head_of, with_head
from metalearn.problems import settled
from metalearn.tasks import Task

from ..helpers import GLYPHS, SINUSOID, command, draw_folder, fails, flags, new_run
from .common import EPS, assert_close, central_differences, doubles, flat, meta_gradient, unflat

INPUTS, WAYS = 4, 3


def smooth_classifier():
    """4 → 6 → 5 → 3 with tanh, whose derivatives exist everywhere."""
    base = mlp(INPUTS, WAYS, (6, 5))

    def features(params, x, statistics):
        del statistics
        for layer in params[:-1]:
            x = nn.tanh(affine(layer, x))
        return x, ()

    return base._replace(features=features, apply=with_linear_head(features))


@pytest.fixture
def learner():
    return Learner(smooth_classifier(), ACCURACY, "none", ways=WAYS)


@pytest.fixture
def meta(learner):
    return doubles(ProtoNet().init(learner.model, random.key(3)))


def class_task(seed: int, support=(0, 0, 1, 2, 2, 2), query=(0, 1, 2, 2)) -> Task:
    """Support sets are imbalanced."""
    rng = np.random.default_rng(seed)
    sides = [(rng.normal(size=(len(y), INPUTS)), np.array(y)) for y in (support, query)]
    return Task(*sides)


def predicted(algorithm, learner, meta, task):
    return algorithm.predict(learner, meta, task.support, task.query[0])


# The head -------------------------------------------------------------------------------------


def test_prototypes_by_hand():
    """Two examples of class 0, one of class 1, none of class 2."""
    features = np.array([[1.0, 2.0], [3.0, -4.0], [0.5, 0.25]])
    means, known = class_means(features, np.array([0, 0, 1]), 3)
    np.testing.assert_array_equal(means, [[2.0, -1.0], [0.5, 0.25], [0.0, 0.0]])
    np.testing.assert_array_equal(known, [True, True, False])
    head = prototype_head(features, np.array([0, 0, 1]), 3)
    np.testing.assert_array_equal(head["weight"], [[4.0, 1.0, 0.0], [-2.0, 0.5, 0.0]])
    np.testing.assert_array_equal(head["bias"], [-5.0, -0.3125, prototypes.IMPOSSIBLE])


def test_logits_are_squared_distances_but_for_a_constant(learner, meta):
    task = class_task(0)
    logits = np.asarray(predicted(ProtoNet(), learner, meta, task))
    support, query = (
        np.asarray(learner.model.features(meta, x, "batch")[0])
        for x in (task.support[0], task.query[0])
    )
    means = np.stack([support[task.support[1] == k].mean(axis=0) for k in range(WAYS)])
    distances = ((query[:, None] - means) ** 2).sum(axis=-1)
    constant = (query**2).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(logits, constant - distances, rtol=0, atol=100 * EPS)


def test_a_class_without_support_examples_is_never_predicted(learner, meta):
    """And does no harm: loss and gradient are those of the task without it."""
    task = class_task(1, support=(0, 0, 1), query=(0, 1, 1))
    assert np.asarray(predicted(ProtoNet(), learner, meta, task)).argmax(axis=-1).max() < 2
    fewer = dataclasses.replace(learner, ways=2)
    for algorithm in (ProtoNet(), ProtoMaml(steps=2, rate=0.1)):
        found, expected = (
            ac.value_and_grad(lambda p, a=algorithm, l=l: a.meta_loss(l, p, task)[0])(meta)
            for l in (learner, fewer)
        )
        assert_close(found, expected, 100 * EPS)


def test_examples_that_do_not_count(learner, meta):
    """Label −1, of padding, belongs to no class."""
    task = class_task(2)
    x, y = task.support
    padded = task._replace(support=(np.concatenate([x, x + 1]), np.append(y, [-1] * len(y))))
    found = predicted(ProtoNet(), learner, meta, padded)
    assert_close(found, predicted(ProtoNet(), learner, meta, task), 10 * EPS)


@pytest.mark.parametrize("algorithm", [ProtoNet(), ProtoMaml(steps=1)])
def test_what_is_adapted_are_parameters_of_the_network(learner, meta, algorithm):
    task = class_task(3)
    adapted = algorithm.adapt(learner, meta, task.support)
    like = learner.model.init(random.key(0))
    assert ac.tree.tree_structure(adapted) == ac.tree.tree_structure(like)
    outputs, _ = learner.model.apply(adapted, task.query[0], "batch")
    np.testing.assert_array_equal(outputs, predicted(algorithm, learner, meta, task))


# Gradients ------------------------------------------------------------------------------------

SECOND_ORDER = [ProtoNet(), ProtoMaml(steps=1, rate=0.05), ProtoMaml(steps=3, rate=0.05)]


@pytest.mark.parametrize("algorithm", SECOND_ORDER, ids=lambda a: f"{a.steps} steps")
def test_gradients_are_the_derivatives_of_the_loss(learner, meta, algorithm):
    task = class_task(4)

    def loss(vector: np.ndarray) -> float:
        return float(algorithm.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = unflat(central_differences(loss, flat(meta), h=1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, task), expected, 1e-9)


@pytest.mark.parametrize("changes", [{"order": 1}, {"through_prototypes": False}])
def test_differences_catch_gradients_that_are_cut(learner, meta, changes):
    full, task = ProtoMaml(steps=1, rate=0.05), class_task(4)
    cut = meta_gradient(dataclasses.replace(full, **changes), learner, meta, task)
    with pytest.raises(AssertionError):
        assert_close(cut, meta_gradient(full, learner, meta, task), 1e-3)


def test_differences_catch_means_over_the_wrong_number(learner, meta, monkeypatch):
    """A mutant: sums over the largest class's count, which balanced tasks do not tell apart."""

    def mutant(features, labels, ways):
        members = np.eye(ways)[labels]
        return members.T @ features / members.sum(axis=0).max(), np.ones(ways, bool)

    task, expected = class_task(5), predicted(ProtoNet(), learner, meta, class_task(5))
    monkeypatch.setattr(prototypes, "class_means", mutant)
    with pytest.raises(AssertionError):
        assert_close(predicted(ProtoNet(), learner, meta, task), expected, 1e-3)


def test_without_steps_protomaml_is_protonet(learner, meta):
    task = class_task(6)
    found, expected = (
        ac.value_and_grad(lambda p, a=a: a.meta_loss(learner, p, task)[0])(meta)
        for a in (ProtoMaml(steps=0), ProtoNet())
    )
    assert_close(found, expected, EPS)


@pytest.mark.parametrize("order", [1, 2])
def test_with_constant_prototypes_protomaml_is_maml_from_their_head(learner, meta, order):
    """And its gradient that of the body, as MAML's of the head is dropped."""
    task, settings = class_task(7), {"steps": 2, "rate": 0.05, "order": order}
    head = head_of(ProtoNet().adapt(learner, meta, task.support))
    start = with_head(meta, ac.tree_map(lambda x: ac.asarray(np.asarray(x)), head))
    expected = meta_gradient(Maml(**settings), learner, start, task)
    constant = ProtoMaml(**settings, through_prototypes=False)
    found = meta_gradient(constant, learner, meta, task)
    assert_close(found, with_head(expected, None), 100 * EPS)


def test_first_order_gradients_flow_through_the_prototypes(learner, meta):
    """As MAML's body gradient plus the derivative of the head by the chain rule."""
    task, settings = class_task(8), {"steps": 2, "rate": 0.05, "order": 1}

    def start(meta):
        return ProtoNet().start(learner, meta, task.support)

    adapted = Maml(**settings).adapt(learner, start(meta), task.support)
    outer = ac.grad(lambda p: learner.query_loss(p, task, 2)[0])(adapted)
    _, pull = ac.vjp(start, meta)
    (expected,) = pull(outer)
    found = meta_gradient(ProtoMaml(**settings), learner, meta, task)
    assert_close(found, expected, 100 * EPS)


# Settings and commands ------------------------------------------------------------------------


def test_settings_that_make_no_sense(learner, meta):
    with pytest.raises(OptionError, match="no inner steps"):
        make_algorithm("protonet", steps=1)
    with pytest.raises(OptionError, match=r"Learner\.ways"):
        ProtoNet().adapt(dataclasses.replace(learner, ways=None), meta, class_task(0).support)


@pytest.mark.parametrize(
    "option,value",
    [("inner_steps", 1), ("inner_lr", 0.1), ("remat", "every"), ("eval_steps", 1)],
)
def test_options_without_an_effect_are_refused(capsys, tmp_path, option, value):
    arguments = flags({"algorithm": "protonet", option: value})
    says = (flags({option: value})[0], "no effect on protonet")
    fails(capsys, "train", "glyphs", *arguments, "--out", tmp_path / "run", code=2, says=says)


@pytest.mark.parametrize("setting", ["order=1", "adapts=head"])
def test_settings_without_an_effect_are_refused(capsys, tmp_path, setting):
    arguments = ["--algorithm", "protonet", "--set", setting, "--out", tmp_path / "run"]
    fails(capsys, "train", "glyphs", *arguments, code=2, says=("no such setting",))


@pytest.mark.parametrize("name", ["protonet", "protomaml", "foprotomaml"])
def test_regression_is_refused(capsys, tmp_path, name):
    options = {**SINUSOID, "algorithm": name}
    if name == "protonet":
        del options["eval_steps"]
    arguments = [*flags(options), "--out", tmp_path / "run"]
    fails(capsys, "train", "sinusoid", *arguments, code=2, says=(name, "sinusoid is regression"))


def test_ways_in_training_need_a_head_for_each_task(capsys, tmp_path):
    arguments = ["--train-ways", 7, "--out", tmp_path / "run"]
    fails(capsys, "train", "glyphs", *arguments, code=2, says=("--train-ways 7", "maml"))


def test_prototypes_learn_with_more_ways_than_they_are_tested_with(capsys, tmp_path):
    run = tmp_path / "run"
    options = {**GLYPHS, "algorithm": "protonet", "iterations": 40, "train_ways": 20, "filters": 8}
    options |= {"validate_every": 40, "meta_lr": 0.01}
    del options["eval_steps"]
    arguments = [*flags(options), "--no-jit", "--out", run]
    assert command(capsys, "train", "glyphs", *arguments).code == 0
    result = command(capsys, "evaluate", run, "--episodes", 50, "--json")
    (score,) = json.loads(result.out)["scores"]
    assert score["steps"] == 0
    assert score["mean"] - score["half_width_95"] > 0.3  # chance is 0.2
    fails(capsys, "evaluate", run, "--steps", 1, code=2, says=("no inner steps",))
    own = draw_folder(tmp_path / "own", classes=7, images=2)  # more than the ways it was made for
    adapted = command(capsys, "adapt", run, "--support", own, "--query", own)
    assert adapted.code == 0, adapted.err
    assert "adapted by 0 inner steps to 14 images" in adapted.out


def test_sixty_ways_by_default_or_as_many_as_there_are(tmp_path, monkeypatch):
    options = {name: value for name, value in GLYPHS.items() if name != "eval_steps"}
    config = make_config("glyphs", {**options, "algorithm": "protonet"})
    run, problem = new_run(tmp_path / "run", config)
    assert run.config.train_ways == len(problem.split.train) < 60
    monkeypatch.setattr(prototypes, "TRAIN_WAYS", 12)
    assert settled(config, problem).train_ways == 12
    given = dataclasses.replace(config, train_ways=7)
    assert settled(given, problem) == given
