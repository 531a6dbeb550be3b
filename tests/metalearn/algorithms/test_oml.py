"""OML's trajectories; its inner loop against a plain one; its meta-gradient against differences."""

import json
from dataclasses import replace

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms import make_algorithm
from metalearn.algorithms.anil import Anil
from metalearn.algorithms.oml import Oml
from metalearn.config import make_config
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, Learner
from metalearn.models import mlp
from metalearn.parts import head_of, with_head
from metalearn.problems import open_problem, settled
from metalearn.runs import open_run
from metalearn.tasks import DataError, Task, TrajectorySampler, load_glyphs

from ..helpers import GLYPHS, SINUSOID, command, fails, flags, new_run
from .common import EPS, assert_close, central_differences, doubles, flat, meta_gradient, unflat

INPUTS, WAYS, CLASSES = 4, 3, 7


@pytest.fixture(scope="module")
def glyphs():
    return load_glyphs(classes=8, samples=6, size=8)


def sampler(glyphs, tasks=3, examples=2, queries=1, remember=5, seed=0, rotations=(0, 90)):
    return TrajectorySampler(
        glyphs, glyphs.classes[:6], tasks, examples, queries, remember, seed, rotations=rotations
    )


# Trajectories ---------------------------------------------------------------------------------


def test_a_trajectory_is_classes_one_after_another(glyphs):
    found = sampler(glyphs)
    assert found.outputs == 12
    task = found.sample(3, range(20))
    assert task.support[0].shape == (20, 6, 1, 8, 8) and task.query[0].shape == (20, 8, 1, 8, 8)
    for x, y, qx, qy in zip(*task.support, *task.query, strict=True):
        np.testing.assert_array_equal(y[::2], y[1::2])
        np.testing.assert_array_equal(qy[:3], y[::2])
        assert len(set(y.tolist())) == 3 and qy.max() < 12
        every = zip(np.concatenate([x, qx]), np.concatenate([y, qy]), strict=True)
        for image, label in every:
            whole = np.rot90(glyphs.of_class(glyphs.classes[label // 2]), label % 2, axes=(-2, -1))
            assert (whole == image).all(axis=(1, 2, 3)).any()
        others = np.array([(x == one).all(axis=(1, 2, 3)).any() for one in qx[:3]])
        assert not others.any()  # judged by other drawings


def test_trajectories_are_of_their_number(glyphs):
    one = sampler(glyphs)
    whole = one.sample(5, range(4))
    alone = one.sample(5, [2])
    placed = one.placed(one.draw(5, [2]), "cpu")
    for part, other, third in zip(*map(ac.tree_leaves, (whole, alone, placed)), strict=True):
        np.testing.assert_array_equal(part[2:3], other)
        np.testing.assert_array_equal(other, third)
    assert (one.sample(6, [2]).support[1] != alone.support[1]).any()
    assert (sampler(glyphs, seed=1).sample(5, [2]).support[0] != alone.support[0]).any()


@pytest.mark.parametrize(
    "given,says",
    [
        ({"tasks": 0}, "tasks=0"),
        ({"tasks": 13}, "tasks=13; expected at most the 12"),
        ({"examples": 6}, r"has 6 examples; expected at least examples=6 \+ queries=1"),
        ({"remember": 0}, "remember=0"),
    ],
)
def test_trajectories_that_cannot_be(glyphs, given, says):
    with pytest.raises(DataError, match=says):
        sampler(glyphs, **given)


# The algorithm --------------------------------------------------------------------------------


def smooth_learner(ways=WAYS):
    base = mlp(INPUTS, WAYS, (6, 5))
    smooth = base._replace(
        features=lambda p, x, _: (nn.tanh(x @ p[0]["weight"]) @ p[1]["weight"], ())
    )
    return Learner(Oml(classes=CLASSES).network(smooth), ACCURACY, "none", ways=ways)


def meta_of(algorithm, seed=0):
    """Not the initialisation, where biases are 0."""
    meta = doubles(algorithm.init(mlp(INPUTS, WAYS, (6, 5)), random.key(seed)))
    rng = np.random.default_rng(seed)
    return ac.tree_map(lambda x: x + 0.1 * rng.normal(size=x.shape), meta)


def trajectory(seed=1):
    """Classes 4, 1, 6, two examples each; judged by others of all classes."""
    rng = np.random.default_rng(seed)
    y, all_classes = np.repeat([4, 1, 6], 2), np.arange(CLASSES)
    return Task((rng.normal(size=(6, INPUTS)), y), (rng.normal(size=(7, INPUTS)), all_classes))


def by_hand(algorithm, learner, meta, task, reset=True):
    """The loss after a plain loop over examples, each through the whole network."""
    head = {name: np.array(value) for name, value in head_of(meta).items()}
    if reset:
        for array in head.values():
            array[..., task.support[1]] = 0
    for x, y in zip(*task.support, strict=True):

        def loss(head, x=x, y=y):
            return nn.cross_entropy(
                learner.model.apply(with_head(meta, head), x[None], "batch")[0], y[None]
            )

        head = ac.tree_map(lambda p, g: p - algorithm.rate * g, head, ac.grad(loss)(head))
    outputs, _ = learner.model.apply(with_head(meta, head), task.query[0], "batch")
    return nn.cross_entropy(outputs, task.query[1])


@pytest.mark.parametrize("order", [1, 2])
def test_the_inner_loop_is_a_plain_one(order):
    algorithm, learner = Oml(rate=0.5, order=order, classes=CLASSES), smooth_learner()
    meta, task = meta_of(algorithm), trajectory()
    found = algorithm.meta_loss(learner, meta, task)[0]
    assert_close(found, by_hand(algorithm, learner, meta, task), 100 * EPS)
    with pytest.raises(AssertionError):  # classes that are not reset
        assert_close(found, by_hand(algorithm, learner, meta, task, reset=False), 1e-3)


def test_order_matters():
    algorithm, learner = Oml(rate=0.5, classes=CLASSES), smooth_learner()
    meta, task = meta_of(algorithm), trajectory()
    turned = task._replace(support=tuple(a[::-1] for a in task.support))
    losses = [algorithm.meta_loss(learner, meta, each)[0] for each in (task, turned)]
    with pytest.raises(AssertionError):
        assert_close(*losses, 1e-3)


def test_meta_gradient_is_the_derivative_through_the_trajectory():
    algorithm, learner = Oml(rate=0.5, classes=CLASSES), smooth_learner()
    meta, task = meta_of(algorithm), trajectory()

    def unrolled(vector):
        return float(algorithm.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = unflat(central_differences(unrolled, flat(meta), 1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, task), expected, 1e-8)
    first = meta_gradient(Oml(rate=0.5, order=1, classes=CLASSES), learner, meta, task)
    with pytest.raises(AssertionError):
        assert_close(first, expected, 1e-3)


@pytest.mark.parametrize("order", [1, 2])
def test_a_trajectory_of_one_example_is_a_step_of_anil(order):
    """From a head whose column of that class is 0."""
    algorithm, learner = Oml(rate=0.5, order=order, classes=CLASSES), smooth_learner()
    meta, whole = meta_of(algorithm), trajectory()
    task = whole._replace(support=tuple(a[:1] for a in whole.support))
    label = task.support[1][0]
    columns = np.arange(CLASSES) != label
    reset = with_head(meta, ac.tree_map(lambda x: x * columns, head_of(meta)))
    anil = Anil(steps=1, rate=0.5, order=order)
    losses = [a.meta_loss(learner, m, task)[0] for a, m in ((algorithm, meta), (anil, reset))]
    assert_close(*losses, 100 * EPS)
    found, expected = (
        meta_gradient(a, learner, m, task) for a, m in ((algorithm, meta), (anil, reset))
    )
    expected = with_head(expected, ac.tree_map(lambda x: x * columns, head_of(expected)))
    assert_close(found, expected, 1e3 * EPS)


def test_a_new_task_gets_a_new_head_online():
    """Each step is a pass over the support set, in its order."""
    algorithm, learner = Oml(rate=0.5, classes=CLASSES), smooth_learner()
    meta = meta_of(algorithm)
    rng = np.random.default_rng(2)
    support = rng.normal(size=(5, INPUTS)), np.array([2, 0, 1, 0, 2])
    features = np.asarray(learner.support_features(meta, support, 0)[0])
    weight, bias = np.zeros((features.shape[1], WAYS)), np.zeros(WAYS)
    for feature, label in [*zip(features, support[1], strict=True)] * 2:
        exponentials = np.exp(feature @ weight + bias)
        error = exponentials / exponentials.sum() - np.eye(WAYS)[label]
        weight, bias = weight - 0.5 * np.outer(feature, error), bias - 0.5 * error
    adapted = algorithm.adapt(learner, meta, support, 2)
    assert_close(head_of(adapted), {"weight": weight, "bias": bias}, 1e3 * EPS)
    assert not any(np.any(x) for x in head_of(algorithm.adapt(learner, meta, support, 0)).values())


def test_features_are_computed_once():
    calls, learner = [], smooth_learner()
    features = learner.model.features

    def counted(params, x, statistics):
        calls.append(x.shape)
        return features(params, x, statistics)

    algorithm = Oml(classes=CLASSES)
    model = algorithm.network(learner.model._replace(features=counted))
    task = trajectory()
    algorithm.meta_loss(Learner(model, ACCURACY, "none"), meta_of(algorithm), task)
    assert calls == [(6 + 7, INPUTS)]


def test_a_program_holds_the_step_once():
    """More examples make no more steps in a program."""

    def steps(examples):
        algorithm = Oml(classes=CLASSES, tasks=1, examples=examples)
        learner, meta = smooth_learner(), meta_of(algorithm)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(examples, INPUTS)), np.zeros(examples, np.int64)
        loss = ac.jit(lambda m: algorithm.meta_loss(learner, m, Task((x, y), (x, y)))[0])
        return len(str(loss.explain(meta)).splitlines())

    assert steps(40) == steps(4)


# Runs -----------------------------------------------------------------------------------------


def test_classes_come_from_the_data_and_are_recorded(tmp_path):
    given = {"tasks": "2", "examples": "3", "remember": "4"}
    config = make_config("glyphs", {**GLYPHS, "algorithm": "oml", "settings": given})
    assert config.batch_norm == "none"
    run, problem = new_run(tmp_path / "run", config)
    classes = len(problem.split.train) * len(problem.dataset.rotations)
    recorded = json.loads((run.path / "config.json").read_text())["options"]
    assert recorded["settings"] == {"tasks": 2, "examples": 3, "remember": 4, "classes": classes}
    algorithm = make_algorithm("oml", **run.config.settings)
    task = algorithm.training_sampler(problem, config).sample(0, [0])
    assert task.support[1].shape == (1, 6) and task.query[1].shape == (1, 2 * 2 + 4)


@pytest.mark.parametrize("name", ["oml", "pretrained"])
def test_upright_classes_are_as_many_as_there_are(name):
    config = make_config("glyphs", {**GLYPHS, "algorithm": name, "settings": {"upright": "true"}})
    problem = open_problem(config)
    found = settled(config, replace(problem, dataset=replace(problem.dataset, rotations=(0, 90))))
    assert found.settings == {"upright": True, "classes": len(problem.split.train)}


def test_it_learns_to_learn_online(capsys, tmp_path):
    run = tmp_path / "run"
    options = {**GLYPHS, "algorithm": "oml", "iterations": 100, "filters": 8, "meta_lr": 0.01}
    options |= {"validate_every": 100, "shots": 5, "meta_batch": 1, "inner_lr": 0.3}
    result = command(capsys, "train", "glyphs", *flags(options), "--out", run)
    assert result.code == 0, result.err
    lines = [line for line in open_run(run).metrics.read() if "loss" in line]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.1
    result = command(capsys, "evaluate", run, "--episodes", 50, "--json")
    scores = json.loads(result.out)["scores"]
    assert scores[1]["mean"] - scores[1]["half_width_95"] > scores[0]["mean"]


@pytest.mark.parametrize("mode", ["transductive", "support", "per_step"])
def test_examples_are_not_normalised_by_later_ones(capsys, tmp_path, mode):
    arguments = [*flags({"algorithm": "oml", "batch_norm": mode}), "--out", tmp_path / "run"]
    says = (mode, "one example at a time", "use none or running")
    fails(capsys, "train", "glyphs", *arguments, code=2, says=says)


def test_running_averages_are_kept(capsys, tmp_path):
    options = {**GLYPHS, "algorithm": "oml", "batch_norm": "running", "out": tmp_path / "run"}
    assert command(capsys, "train", "glyphs", *flags(options), "--no-jit").code == 0


@pytest.mark.parametrize("name", ["tasks", "examples", "remember"])
def test_settings_that_make_no_sense(name):
    with pytest.raises(OptionError, match=f"{name}=0; expected at least 1"):
        make_algorithm("oml", **{name: 0})


def test_problems_without_trajectories_are_refused(capsys, tmp_path):
    arguments = [*flags({**SINUSOID, "algorithm": "oml"}), "--out", tmp_path / "run"]
    fails(capsys, "train", "sinusoid", *arguments, code=2, says=("sinusoid is regression",))
    arguments = [*flags({**GLYPHS, "algorithm": "oml"}), "--fewest-ways", 3]
    says = ("trajectories through the classes of one dataset",)
    fails(capsys, "train", "glyphs", *arguments, "--out", tmp_path / "run", code=2, says=says)
