"""Streams, learners against plain loops, measures in closed form, and the experiment end to end."""

import json

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.continual import (
    LaMaml,
    Sgd,
    average_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    known_after,
    linear,
    make_stream,
    passed,
    reservoir,
)
from metalearn.continual.learners import Rated, loss_of
from metalearn.errors import OptionError
from metalearn.experiments import continual as experiment
from metalearn.experiments.continual import ARMS, ContinualExperiment
from metalearn.models import mlp
from metalearn.tasks import ArrayDataset, DataError

from .algorithms.common import EPS, assert_close, central_differences, doubles, flat, unflat
from .helpers import command

TRAIN, TEST, FEATURES = 4, 2, 8


@pytest.fixture(scope="module")
def dataset():
    """Nine classes of three tasks, "a0", "a1", …, each near a point of its own."""
    rng = np.random.default_rng(0)
    names = tuple(f"{task}{number}" for task in "abc" for number in range(3))
    points = 3 * rng.normal(size=(len(names), 1, FEATURES))
    x = points + 0.1 * rng.normal(size=(len(names), TRAIN + TEST + 1, FEATURES))
    counts = np.full(len(names), TRAIN + TEST + 1)
    return ArrayDataset("points", x.reshape(-1, FEATURES).astype(np.float32), names, counts)


def stream_of(dataset, seed=0, most=9, a_task=3):
    first = lambda name: name[0]
    return make_stream(dataset, dataset.classes, first, seed, most, a_task, TRAIN, TEST)


# Streams --------------------------------------------------------------------------------------


def test_a_stream_is_tasks_one_after_another(dataset):
    stream = stream_of(dataset, a_task=2)
    assert stream.x.shape == (6, TRAIN, FEATURES)
    assert stream.held_out.shape == (6, TEST, FEATURES)
    assert stream.task.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(stream.tasks) == ["a", "b", "c"]
    for name, task, x, other in zip(
        stream.classes, stream.task, stream.x, stream.held_out, strict=True
    ):
        assert name[0] == stream.tasks[task]
        drawn = np.concatenate([x, other])
        whole = dataset.of_class(name)
        places = [np.flatnonzero((whole == one).all(axis=1)).tolist() for one in drawn]
        assert len({place for (place,) in places}) == TRAIN + TEST  # each of them once


def test_the_seed_decides_a_stream(dataset):
    one, same, other = (stream_of(dataset, seed) for seed in (1, 1, 2))
    assert one.classes == same.classes
    np.testing.assert_array_equal(one.x, same.x)
    assert one.classes != other.classes
    short = stream_of(dataset, seed=1, most=4)
    assert short.classes == one.classes[:4]
    assert short.task.tolist() == [0, 0, 0, 1] and len(short.tasks) == 2


def test_streams_that_cannot_be(dataset):
    with pytest.raises(DataError, match="no task has a_task=4 classes"):
        stream_of(dataset, a_task=4)
    with pytest.raises(DataError, match=r"has 7 examples; expected at least train=15 \+ test=5"):
        make_stream(dataset, dataset.classes, str, 0, 9, 1)


def test_a_reservoir_holds_what_came_before():
    drawn = reservoir(60, size=5, draws=3, seed=0)
    assert drawn.shape == (60, 3)
    assert (drawn[1:] < np.arange(1, 60)[:, None]).all()
    assert (drawn[0] == 0).all()
    np.testing.assert_array_equal(drawn[:20], reservoir(20, size=5, draws=3, seed=0))
    assert (drawn != reservoir(60, size=5, draws=3, seed=1)).any()
    assert reservoir(4, size=5, draws=0, seed=0).shape == (4, 0)


def test_a_reservoir_holds_each_with_the_same_probability():
    """4,000 reservoirs of 5 of 20: each position in a quarter of them, within 5 deviations. One
    that always keeps the newest is caught."""
    last = np.concatenate([reservoir(21, 5, 1, seed)[-1] for seed in range(4000)])
    counts = np.bincount(last, minlength=20)
    deviation = np.sqrt(4000 * 0.05 * 0.95)
    assert np.abs(counts - 200).max() < 5 * deviation
    newest = np.bincount(np.random.default_rng(0).integers(15, 20, 4000), minlength=20)
    assert np.abs(newest - 200).max() > 5 * deviation


# Learners -------------------------------------------------------------------------------------


def a_class(seed=0, count=4, draws=2):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(count, 5)), rng.integers(0, 3, count)
    return (x, y), (rng.normal(size=(count, draws, 5)), rng.integers(0, 3, (count, draws)))


def started(learner):
    """In float64, and not where biases are 0."""
    rng = np.random.default_rng(1)
    state = learner.init(random.key(0))
    params = state.params if isinstance(state, Rated) else state
    params = ac.tree_map(lambda p: p + 0.1 * rng.normal(size=p.shape), doubles(params))
    return Rated(params, doubles(state.rates)) if isinstance(state, Rated) else params


@pytest.mark.parametrize("draws", [0, 2])
def test_sgd_is_a_plain_loop(draws):
    learner = Sgd(mlp(5, 3, (4,)), 0.3, draws)
    (x, y), (rx, ry) = a_class(draws=draws)
    params = expected = started(learner)
    for i in range(len(y)):
        batch = np.concatenate([x[i : i + 1], rx[i]]), np.concatenate([y[i : i + 1], ry[i]])
        gradient = ac.grad(lambda p, b=batch: loss_of(learner.model, p, b))(expected)
        expected = ac.tree_map(lambda p, g: p - 0.3 * g, expected, gradient)
    found = learner.update(params, (x, y), (rx, ry))
    assert_close(found, expected, 1e3 * EPS)
    with pytest.raises(AssertionError):  # in another order
        other = learner.update(params, (x[::-1], y[::-1]), (rx[::-1], ry[::-1]))
        assert_close(other, expected, 1e-3)


def la_maml_by_hand(learner, state, came, both):
    """The first-order equations, in a plain loop."""
    params, rates = state
    gradient = lambda p, batch: ac.grad(lambda p: loss_of(learner.model, p, batch))(p)
    moved, total = params, ac.tree_map(ac.zeros_like, params)
    for x, y in zip(*came, strict=True):
        inner = gradient(moved, (x[None], y[None]))
        moved = ac.tree_map(lambda p, a, g: p - np.maximum(a, 0) * g, moved, *[rates, inner])
        total = ac.tree_map(lambda t, g: t + g, total, inner)
    meta = gradient(moved, both)
    rates = ac.tree_map(lambda a, t, g: a + learner.rates_rate * t * g, rates, total, meta)
    return Rated(ac.tree_map(lambda p, a, g: p - np.maximum(a, 0) * g, params, rates, meta), rates)


@pytest.mark.parametrize("glances", [1, 2])
def test_la_maml_by_hand(glances):
    """Two batches; first the rates move, then the parameters by them."""
    settings = {"draws": 2, "batch": 2, "glances": glances, "clip": 1e9}
    learner = LaMaml(mlp(5, 3, (4,)), 0.1, rates_rate=0.5, **settings)
    (x, y), (rx, ry) = a_class()
    expected = start = started(learner)
    for i in (0, 2):
        rows = slice(i, i + 2)
        both = (
            np.concatenate([x[rows], rx[rows].reshape(-1, 5)]),
            np.concatenate([y[rows], ry[rows].ravel()]),
        )
        for _ in range(glances):
            expected = la_maml_by_hand(learner, expected, (x[rows], y[rows]), both)
    found = learner.update(start, (x, y), (rx, ry))
    assert_close(found, expected, 1e4 * EPS)
    slower = LaMaml(mlp(5, 3, (4,)), 0.1, rates_rate=0.4, **settings)
    with pytest.raises(AssertionError):
        assert_close(slower.update(start, (x, y), (rx, ry)), expected, 1e-4)


def test_la_maml_of_second_order_has_the_derivative_of_its_meta_loss():
    model = mlp(5, 3, ())  # smooth
    learner = LaMaml(model, 0.2, draws=2, batch=4, order=2, clip=1e9)
    came, (rx, ry) = a_class()
    both = rx.reshape(-1, 5), ry.ravel()
    start = started(learner)
    moved = learner.moved(start, came, both)
    found = ac.tree_map(lambda a, b: (a - b) / learner.rates_rate, start.rates, moved.rates)

    def meta_loss(vector):
        state = Rated(start.params, unflat(vector, start.rates))
        return float(loss_of(model, learner.looked_ahead(state, came), both))

    expected = unflat(central_differences(meta_loss, flat(start.rates), 1e-3), start.rates)
    assert_close(found, expected, 1e-9)


def test_clipped_gradients_have_that_norm():
    learner = LaMaml(linear(5, 3), 0.1, clip=0.5)
    gradient = {"a": np.full(3, 2.0), "b": np.full(4, -1.0)}
    clipped = flat(learner._clipped(gradient))
    np.testing.assert_allclose(np.linalg.norm(clipped), 0.5, rtol=1e-5)
    np.testing.assert_allclose(clipped * 8, flat(gradient), rtol=1e-5)
    small = {"a": np.full(3, 0.1)}
    np.testing.assert_array_equal(flat(learner._clipped(small)), flat(small))


@pytest.mark.parametrize("given,says", [({"order": 3}, "order=3"), ({"batch": 0}, "batch=0")])
def test_settings_of_la_maml_that_make_no_sense(given, says):
    with pytest.raises(OptionError, match=says):
        LaMaml(linear(5, 3), 0.1, **given)
    learner = LaMaml(linear(5, 3), 0.1, draws=2, batch=3)
    with pytest.raises(OptionError, match="expected a divisor of the 4 examples"):
        learner.update(learner.init(random.key(0)), *a_class())


# Passes ---------------------------------------------------------------------------------------


def test_plain_descent_forgets_and_replay_does_less(dataset):
    stream = stream_of(dataset)
    model = linear(FEATURES, 9)
    plain = passed(Sgd(model, 1.0), stream, memory=9, seed=0)
    replay = passed(Sgd(model, 1.0, draws=4), stream, memory=18, seed=0)
    assert plain.matrix.shape == (3, 3) and plain.classes.tolist() == [3, 6, 9]
    assert (np.triu(plain.matrix, 1) == 0).all()
    np.testing.assert_allclose(plain.seen[-1], plain.matrix[-1].mean())
    assert replay.seen[-1] > plain.seen[-1]
    assert known_after(Sgd(model, 1.0, draws=4), stream, memory=18, seed=0) == replay.seen[-1]
    assert forgetting(replay.matrix) < forgetting(plain.matrix)
    # The first task has none before it, so that its learner is the same.
    assert plain.in_stream[0] == plain.alone[0] == plain.matrix[0, 0]


def test_answers_are_classes_that_were_seen(dataset):
    """A learner that prefers later classes, and learns nothing."""
    model = linear(FEATURES, 9)
    last = model._replace(init=lambda _: [{"weight": np.zeros((8, 9)), "bias": np.arange(9.0)}])
    outcome = passed(Sgd(last, rate=1e-30), stream_of(dataset), memory=1, seed=0)
    expected = np.eye(3) / 3  # always the newest
    np.testing.assert_allclose(outcome.matrix, expected)
    np.testing.assert_allclose(outcome.seen, [1 / 3, 1 / 6, 1 / 9])
    np.testing.assert_allclose(outcome.trained, 1 / 9)
    np.testing.assert_allclose(outcome.alone, outcome.in_stream)


def test_features_take_the_place_of_examples(dataset):
    stream = stream_of(dataset)
    seen = stream.seen_as(lambda x: x[:, :2] * 2)
    assert seen.x.shape == (9, TRAIN, 2) and seen.held_out.shape == (9, TEST, 2)
    np.testing.assert_array_equal(seen.x, 2 * stream.x[..., :2])
    assert seen.classes == stream.classes


# Measures -------------------------------------------------------------------------------------

R = np.array([[0.9, 0.0, 0.0], [0.7, 0.8, 0.0], [0.75, 0.5, 0.6]])


def test_measures_in_closed_form():
    assert average_accuracy(R) == pytest.approx((0.75 + 0.5 + 0.6) / 3)
    assert backward_transfer(R) == pytest.approx(((0.75 - 0.9) + (0.5 - 0.8)) / 2)
    assert forgetting(R) == pytest.approx(((0.9 - 0.75) + (0.8 - 0.5)) / 2)
    assert forward_transfer([0.9, 0.8, 0.7], [0.9, 0.5, 0.6]) == pytest.approx((0.3 + 0.1) / 2)


def test_forgetting_is_from_the_best_and_backward_transfer_from_the_first():
    improved = R.copy()
    improved[1, 0] = 0.95
    assert forgetting(improved) == pytest.approx(((0.95 - 0.75) + (0.8 - 0.5)) / 2)
    assert backward_transfer(improved) == backward_transfer(R)


@pytest.mark.parametrize("measure", [average_accuracy, backward_transfer, forgetting])
def test_what_is_no_matrix_of_accuracies(measure):
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        measure(np.zeros((2, 3)))


def test_transfer_needs_two_tasks():
    for measure in (backward_transfer, forgetting):
        with pytest.raises(ValueError, match="T ≥ 2"):
            measure(np.ones((1, 1)))
    with pytest.raises(ValueError, match="T ≥ 2"):
        forward_transfer([1.0], [1.0])


# The experiment -------------------------------------------------------------------------------

TINY = ContinualExperiment(
    seeds=1,
    dataset="glyphs",
    classes=4,
    a_task=2,
    examples=6,
    held_out=2,
    tuning=4,
    memory=10,
    draws=2,
    filters=4,
    iterations=2,
    ways=2,
    trajectory=(2, 2, 1),
)


def test_the_experiment_end_to_end(tmp_path, monkeypatch, capsys):
    """An arm of each kind; what it writes; and that it goes on where it stood."""
    some = ("la-maml", "oml")
    arms = {name: ARMS[name]._replace(rates=(0.1,)) for name in some}
    monkeypatch.setattr(experiment, "ARMS", arms)
    monkeypatch.setattr(ContinualExperiment, "quick", lambda: TINY)
    arguments = ["experiment", "continual", "--quick"]
    places = ["--out", tmp_path / "work", "--results", tmp_path / "results"]
    result = command(capsys, *arguments, *places)
    assert result.code == 0, result.err
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        *("continual-quick.md", "continual-quick.json"),
        *("continual-quick-curve.png", "continual-quick-matrix.png"),
    }
    whole = json.loads((tmp_path / "results" / "continual-quick.json").read_text())
    assert [cell["arm"] for cell in whole["cells"]] == [*some]
    for cell in whole["cells"]:
        assert cell["classes"] == [2, 4] and np.shape(cell["matrix"]) == (2, 2)
        assert cell["rate"] == 0.1
    again = command(capsys, *arguments, *places)
    assert "done in" not in again.out and again.code == 0


def test_findings_follow_the_numbers():
    def arms(**accuracies):
        record = lambda accuracy: {
            "rate": 0.1,
            "classes": [2, 4],
            "seen": [1.0, accuracy],
            "trained": 1.0,
            "matrix": [[1.0, 0.0], [accuracy, accuracy]],
            "in_stream": [1.0, 1.0],
            "alone": [1.0, 1.0],
        }
        return {arm: [record(a + d) for d in (0, 0.01)] for arm, a in accuracies.items()}

    better = experiment.findings(arms(sgd=0.1, oml=0.6))
    assert "`oml` knows 60.5 % and `sgd` 10.5 %" in better[0] and "agrees with Javed" in better[0]
    worse = experiment.findings(arms(sgd=0.6, oml=0.1))
    assert "is against Javed" in worse[0]
    assert len(better) == 2 and "`oml` forgets least, 39.5 points" in better[1]
    both = experiment.findings(arms(replay=0.6, **{"la-maml": 0.1}))
    assert "is against Gupta" in both[0] and "Just after a task `la-maml` knows 55" in both[1]
