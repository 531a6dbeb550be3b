"""Fine-tuning against logistic regression by hand; pretraining; what is left as it was."""

import json

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn import checkpoints
from metalearn.algorithms import make_algorithm
from metalearn.algorithms.finetuning import FromScratch, Pretrained, unit
from metalearn.config import make_config
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4, mlp
from metalearn.parts import head_of, partition, with_head
from metalearn.runs import open_run
from metalearn.tasks import Task
from metalearn.training import initial_state, model_of

from ..helpers import GLYPHS, SINUSOID, command, fails, flags, new_run, train
from .common import EPS, assert_close, central_differences, doubles, flat, meta_gradient, unflat

INPUTS, WAYS, CLASSES = 4, 3, 7


def learner_of(algorithm, ways=WAYS):
    model = algorithm.network(mlp(INPUTS, WAYS, (6, 5)))
    return Learner(model, ACCURACY, "none", ways=ways)


def meta_of(algorithm, seed=0):
    """Not the initialisation, where biases are 0."""
    meta = doubles(algorithm.init(mlp(INPUTS, WAYS, (6, 5)), random.key(seed)))
    rng = np.random.default_rng(seed)
    return ac.tree_map(lambda x: x + 0.1 * rng.normal(size=x.shape), meta)


def class_task(seed: int, examples: int = 6) -> Task:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, examples, INPUTS)), np.arange(examples) % WAYS
    return Task((x[0], y), (x[1], y))


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


# Fine-tuning ----------------------------------------------------------------------------------


def logistic_regression(features, labels, steps, rate):
    """Gradient descent on the mean cross entropy from weights 0."""
    weight, bias = np.zeros((features.shape[1], WAYS)), np.zeros(WAYS)
    for _ in range(steps):
        errors = (softmax(features @ weight + bias) - np.eye(WAYS)[labels]) / len(labels)
        weight, bias = weight - rate * features.T @ errors, bias - rate * errors.sum(axis=0)
    return {"weight": weight, "bias": bias}


def test_a_new_head_is_logistic_regression():
    algorithm = Pretrained(rate=0.5, classes=CLASSES)
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(1)
    features = np.asarray(learner.model.features(meta, task.support[0], "batch")[0])
    adapted = algorithm.adapt(learner, meta, task.support, 20)
    expected = logistic_regression(features, task.support[1], steps=20, rate=0.5)
    assert_close(head_of(adapted), expected, 1e3 * EPS)
    body = lambda params: partition(params, "body")[0]
    assert [a is b for a, b in zip(*map(ac.tree_leaves, (body(adapted), body(meta))), strict=True)]
    with pytest.raises(AssertionError):  # one step less
        fewer = logistic_regression(features, task.support[1], steps=19, rate=0.5)
        assert_close(head_of(adapted), fewer, 1e-3)


def test_adam_by_hand():
    """Kingma & Ba 2015, algorithm 1, on the head."""
    algorithm = Pretrained(rate=0.1, classes=CLASSES, optimizer="adam")
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(2)
    x = np.asarray(learner.model.features(meta, task.support[0], "batch")[0])
    x = np.hstack([x, np.ones((len(x), 1))])  # the bias is the last row
    theta, mean, square = np.zeros((3, x.shape[1], WAYS))
    for step in range(1, 6):
        errors = (softmax(x @ theta) - np.eye(WAYS)[task.support[1]]) / len(x)
        gradient = x.T @ errors
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        unbiased = mean / (1 - 0.9**step), square / (1 - 0.999**step)
        theta = theta - 0.1 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    head = head_of(algorithm.adapt(learner, meta, task.support, 5))
    assert_close(head, {"weight": theta[:-1], "bias": theta[-1]}, 1e-9)


def test_cosines_by_hand():
    algorithm = Pretrained(classes=CLASSES, classifier="cosine", scale=3.0)
    rng = np.random.default_rng(3)
    features, weight = rng.normal(size=(5, 4)), rng.normal(size=(4, 3))
    norms = np.linalg.norm(features, axis=1)[:, None] * np.linalg.norm(weight, axis=0)
    found = algorithm.outputs({"weight": weight}, features)
    np.testing.assert_allclose(found, 3 * (features @ weight) / norms, rtol=1e-4)
    assert np.isfinite(unit(np.zeros((2, 3)), axis=1)).all()


def test_a_cosine_head_is_adapted_and_used():
    algorithm = Pretrained(rate=0.5, classes=CLASSES, classifier="cosine")
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(4)
    losses = [
        float(learner.support_loss(params, task.support, 0)[0])
        for params in algorithm.adapted_at(learner, meta, task.support, range(6))
    ]
    assert losses == sorted(losses, reverse=True)
    adapted = algorithm.adapt(learner, meta, task.support, 5)
    outputs, _ = learner.model.apply(adapted, task.query[0], "batch")
    assert outputs.shape == (6, WAYS)
    np.testing.assert_array_equal(
        outputs, algorithm.predict(learner, meta, task.support, task.query[0], 5)
    )


@pytest.mark.parametrize("algorithm", [FromScratch(rate=0.1), FromScratch(adapts="head")])
def test_scratch_is_gradient_descent(algorithm):
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(5)
    params = meta
    for _ in range(4):
        part, joined = partition(params, algorithm.adapts)
        gradient = ac.grad(lambda p, j=joined: learner.support_loss(j(p), task.support, 0)[0])(part)
        params = joined(ac.tree_map(lambda p, g: p - 0.1 * g, part, gradient))
    assert_close(algorithm.adapt(learner, meta, task.support, 4), params, 1e3 * EPS)


@pytest.mark.parametrize("adapts", ["head", "all", "body"])
def test_steps_at_once_are_steps_one_by_one(adapts):
    algorithm = Pretrained(classes=CLASSES, adapts=adapts, optimizer="adam")
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(6)
    one_by_one = [params for params, _ in algorithm.adaptation(learner, meta, task.support, 5)]
    for steps in ([0], [5], [2, 3, 5], range(6)):
        found = list(algorithm.adapted_at(learner, meta, task.support, steps))
        assert_close(found, [one_by_one[step] for step in steps], 1e3 * EPS)


@pytest.mark.parametrize("adapts,passes", [("head", 1), ("all", 7)])
def test_features_are_computed_once_where_only_the_head_changes(adapts, passes):
    algorithm, seen = Pretrained(classes=CLASSES, adapts=adapts), []
    learner, meta, task = learner_of(algorithm), meta_of(algorithm), class_task(7)
    model, features = learner.model, learner.model.features

    def counted(*arguments):
        seen.append(arguments)
        return features(*arguments)

    model = algorithm.network(model._replace(features=counted))
    learner = Learner(model, ACCURACY, "none", ways=WAYS)
    for _ in algorithm.adaptation(learner, meta, task.support, 7):
        pass
    assert len(seen) == passes


# Pretraining ----------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", ["linear", "cosine"])
def test_pretraining_is_supervised_learning(classifier):
    """Cross entropy among all classes, by hand, and its derivative by differences."""
    algorithm = Pretrained(classes=CLASSES, classifier=classifier)
    base = mlp(INPUTS, WAYS, (6, 5))
    smooth = base._replace(
        features=lambda p, x, _: (nn.tanh(x @ p[0]["weight"]) @ np.eye(6, 5), ())
    )
    learner, meta = Learner(algorithm.network(smooth), ACCURACY, "none"), meta_of(algorithm)
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(9, INPUTS)), np.arange(9) % CLASSES
    batch = Task((x[:0], y[:0]), (x, y))

    def loss(vector):
        return float(algorithm.meta_loss(learner, unflat(vector, meta), batch)[0])

    logits, _ = learner.model.apply(meta, x, "batch")
    expected = -np.log(softmax(np.asarray(logits))[np.arange(9), y]).mean()
    assert abs(loss(flat(meta)) - expected) < 10 * EPS * expected
    expected = unflat(central_differences(loss, flat(meta), 1e-3), meta)
    assert_close(meta_gradient(algorithm, learner, meta, batch), expected, 1e-8)


def test_mini_batches_are_normalised_by_themselves():
    """Also in mode `support`: there is no support set."""
    algorithm = Pretrained(classes=CLASSES)
    model = conv4(1, 8, WAYS, filters=3)
    meta = doubles(algorithm.init(model, random.key(1)))
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(6, 1, 8, 8)), np.arange(6)
    batch = Task((x[:0], y[:0]), (x, y))
    found = {
        mode: algorithm.meta_loss(Learner(model, ACCURACY, mode), meta, batch)
        for mode in ("support", "transductive", "running", "per_step")
    }
    losses = {float(loss) for loss, _ in found.values()}
    assert len(losses) == 1 and np.isfinite(losses.pop())
    assert found["per_step"][1][1][0].mean.shape == (1, 3)


def test_classes_come_from_the_data_and_are_recorded(tmp_path):
    config = make_config(
        "glyphs", {**GLYPHS, "algorithm": "pretrained", "settings": {"batch": "5"}}
    )
    run, problem = new_run(tmp_path / "run", config)
    classes = len(problem.split.train) * len(problem.dataset.rotations)
    assert run.config.settings == {"batch": 5, "classes": classes}
    recorded = json.loads((run.path / "config.json").read_text())["options"]
    assert recorded["settings"]["classes"] == classes
    params = initial_state(run.config, model_of(run.config)).params  # without the data
    assert params["head"]["weight"].shape == (4, classes)
    sampler = make_algorithm("pretrained", **config.settings).training_sampler(problem, config)
    assert sampler.sample(0, [0, 1]).query[0].shape == (2, 5, 1, 16, 16)


def test_pretrained_without_classes():
    with pytest.raises(OptionError, match="classes=0"):
        Pretrained().init(mlp(INPUTS, WAYS), random.key(0))


def test_pretraining_learns_classes_and_new_heads_more(capsys, tmp_path):
    run = tmp_path / "run"
    options = {**GLYPHS, "algorithm": "pretrained", "iterations": 50, "filters": 8, "meta_lr": 0.01}
    options |= {"validate_every": 50, "eval_steps": 20}
    arguments = [*flags(options), "--no-jit", "--out", run]
    assert command(capsys, "train", "glyphs", *arguments).code == 0
    lines = [line for line in open_run(run).metrics.read() if "loss" in line]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.2
    result = command(capsys, "evaluate", run, "--episodes", 50, "--json")
    scores = json.loads(result.out)["scores"]
    assert [score["steps"] for score in scores] == [*range(11), 20]
    assert scores[-1]["mean"] - scores[-1]["half_width_95"] > scores[0]["mean"]


# From scratch ---------------------------------------------------------------------------------


def test_from_scratch_training_changes_nothing(tmp_path):
    """Bit for bit; and what it has is the initialisation of the seed."""
    options = {"algorithm": "scratch", "hidden": (8, 8), "eval_steps": 3, "seed": 4}
    config = make_config("sinusoid", {**options, "validation_episodes": 10})
    assert config.iterations == 1
    run = train(tmp_path / "run", config)
    before = checkpoints.named_arrays(initial_state(config, model_of(config)).params)
    for file in (run.last, run.best):
        after = checkpoints.read(file)[0]
        for name, array in before.items():
            assert after[f"params.{name}"].tobytes() == array.tobytes()


def test_from_scratch_learns_waves_by_many_steps():
    algorithm = make_algorithm("scratch", rate=0.01, steps=0, optimizer="adam")
    model = mlp(1, 1, (40, 40))
    learner, meta = Learner(model, MSE, "none"), model.init(random.key(0))
    x = np.linspace(-5, 5, 20, dtype=np.float32)[:, None]
    task = Task((x, np.sin(x)), (x, np.sin(x)))
    losses = [
        float(learner.query_loss(params, task, 0)[0])
        for params in algorithm.adapted_at(learner, meta, task.support, [0, 100])
    ]
    assert losses[1] < 0.3 * losses[0]


@pytest.mark.parametrize("option", [{"iterations": 2}, {"meta_lr": 0.1}, {"inner_steps": 1}])
def test_options_of_training_are_refused_from_scratch(capsys, tmp_path, option):
    arguments = [*flags({"algorithm": "scratch", **option}), "--out", tmp_path / "run"]
    says = (flags(option)[0], "no effect on scratch")
    fails(capsys, "train", "glyphs", *arguments, code=2, says=says)


@pytest.mark.parametrize("mode", ["running", "per_step"])
def test_averages_are_refused_from_scratch(capsys, tmp_path, mode):
    arguments = [*flags({"algorithm": "scratch", "batch_norm": mode}), "--out", tmp_path / "run"]
    fails(capsys, "train", "glyphs", *arguments, code=2, says=(mode, "averages over training"))
    assert not (tmp_path / "run").exists()


# Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,settings,says",
    [
        ("scratch", {"optimizer": "adamax"}, "optimizer='adamax'; expected one of sgd, adam"),
        ("pretrained", {"classifier": "dot"}, "classifier='dot'; expected one of linear, cosine"),
        ("pretrained", {"scale": 0.0}, "scale=0.0"),
        ("pretrained", {"scale": float("nan")}, "scale=nan"),
        ("pretrained", {"batch": 0}, "batch=0"),
    ],
)
def test_settings_that_make_no_sense(name, settings, says):
    with pytest.raises(OptionError) as raised:
        make_algorithm(name, **settings)
    assert says in str(raised.value)


def test_classes_are_no_setting_to_give(capsys, tmp_path):
    arguments = ["--algorithm", "pretrained", "--set", "classes=7", "--out", tmp_path / "run"]
    fails(capsys, "train", "glyphs", *arguments, code=2, says=("no such setting",))


def test_regression_is_refused(capsys, tmp_path):
    arguments = [*flags({**SINUSOID, "algorithm": "pretrained"}), "--out", tmp_path / "run"]
    fails(capsys, "train", "sinusoid", *arguments, code=2, says=("sinusoid is regression",))


def test_heads_have_the_ways_of_their_task():
    algorithm = Pretrained(classes=CLASSES)
    learner, meta = learner_of(algorithm, ways=2), meta_of(algorithm)
    task = class_task(11, examples=2)
    adapted = algorithm.adapt(learner, with_head(meta, head_of(meta)), task.support, 1)
    assert head_of(adapted)["weight"].shape == (5, 2)
