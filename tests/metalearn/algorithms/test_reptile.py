"""Reptile against closed forms, NumPy's Adam, FOMAML, and the expansion in its paper."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from metalearn.algorithms import Maml, Reptile
from metalearn.algorithms.reptile import as_slices, strided_rows
from metalearn.config import Config, make_config
from metalearn.errors import OptionError
from metalearn.learner import MSE
from metalearn.problems import open_problem, settled
from metalearn.tasks import Task
from metalearn.training import Trainer

from ..helpers import SINUSOID, command, fails, flags, new_run, small_config
from .common import (
    EPS,
    Quadratic,
    assert_close,
    flat,
    meta_gradient,
    sine_task,
    smooth_mlp,
)


class Quadratics(Quadratic):
    """The mean of several quadratics, the examples of a support set."""

    def _value(self, params, pair):
        return super()._value(params, ac.tree_map(lambda x: ac.mean(x, axis=0), pair))


def quadratic_task(count: int, seed: int = 5, n: int = 6) -> tuple[Task, np.ndarray]:
    """A task of `count` quadratics, judged by them all, and a point."""
    rng = np.random.default_rng(seed)
    square = rng.normal(size=(count, n, n))
    pairs = square @ np.swapaxes(square, -1, -2) / n, rng.normal(size=(count, n))
    return Task(pairs, pairs), rng.normal(size=n)


QUADRATICS = Quadratics(smooth_mlp(), MSE, "none")


def back_by(algorithm: Reptile, learner, params, task: Task):
    """φ − φ̃, the meta-gradient of the model's parameters."""
    return meta_gradient(algorithm, learner, algorithm.remembering(params), task).params


# The meta-gradient ----------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_gradient_is_the_way_back_and_the_value_the_query_loss(learner, params, optimizer):
    algorithm, task = Reptile(steps=4, rate=0.01, optimizer=optimizer, batch=3), sine_task(0)
    meta = algorithm.remembering(params)
    loss, gradient = ac.value_and_grad(lambda p: algorithm.meta_loss(learner, p, task)[0])(meta)
    adapted = algorithm.adapt(learner, meta, task.support)
    np.testing.assert_array_equal(flat(gradient.params), flat(params) - flat(adapted))
    assert float(loss) == float(learner.query_loss(adapted, task, 4)[0])


def test_one_step_of_sgd_is_joint_training(learner, params):
    """θ − θ′ = α ∇L_support(θ)."""
    task = sine_task(1)
    found = back_by(Reptile(steps=1, rate=0.05, optimizer="sgd"), learner, params, task)
    gradient = ac.grad(lambda p: learner.support_loss(p, task.support, 0)[0])(params)
    assert_close(found, ac.tree_map(lambda g: 0.05 * g, gradient), 100 * EPS)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_a_quadratic_task_has_a_closed_form(steps):
    """θ − θ′ = (I − (I − αA)ᴷ)(θ − A⁻¹b)."""
    task, theta = quadratic_task(4)
    a, b = (x.mean(0) for x in task.support)
    rate, one = 0.1, np.eye(len(b))
    shrunk = np.linalg.matrix_power(one - rate * a, steps)
    expected = (one - shrunk) @ (theta - np.linalg.solve(a, b))
    algorithm = Reptile(steps=steps, rate=rate, optimizer="sgd")
    found = back_by(algorithm, QUADRATICS, ac.asarray(theta), task)
    assert_close(found, ac.asarray(expected), 1e4 * EPS)


def adam_on_quadratics(
    algorithm: Reptile, task: Task, theta: np.ndarray, average: Any = 0.0, done: int = 0
) -> tuple[np.ndarray, Any]:
    """Kingma & Ba 2015, algorithm 1, with β₁ = 0: the point, and the average of squares. It goes on
    with an average of `done` steps."""
    point = theta
    for number in range(algorithm.steps):
        a, b = (x.mean(0) for x in algorithm.minibatch(task.support, number))
        gradient = a @ point - b
        average = 0.999 * average + 0.001 * gradient**2
        root = np.sqrt(average / (1 - 0.999 ** (done + number + 1)))
        point = point - algorithm.rate * gradient / (root + 1e-8)
    return point, average


def test_inner_steps_are_those_of_adam_on_minibatches():
    task, theta = quadratic_task(7)
    algorithm = Reptile(steps=5, rate=0.1, batch=3)
    expected, _ = adam_on_quadratics(algorithm, task, theta)
    meta = algorithm.remembering(ac.asarray(theta))
    assert_close(algorithm.adapt(QUADRATICS, meta, task.support), ac.asarray(expected), 1e-12)


def test_averages_of_squares_pass_from_task_to_task():
    """A meta-update at rate 1 on one task makes a memory of it, with which the next one goes on."""
    task, theta = quadratic_task(7)
    other, _ = quadratic_task(7, seed=6)
    algorithm = Reptile(steps=5, rate=0.1, batch=3)
    meta = algorithm.remembering(ac.asarray(theta))
    back = meta_gradient(algorithm, QUADRATICS, meta, task)
    meta = ac.tree_map(lambda m, g: m - g, meta, back)
    point, average = adam_on_quadratics(algorithm, task, theta)
    assert_close(meta.params, ac.asarray(point), 1e-12)
    assert_close(meta.squares, ac.asarray(average), 1e-12)
    point, _ = adam_on_quadratics(algorithm, other, point, average, done=5)
    assert_close(algorithm.adapt(QUADRATICS, meta, other.support), ac.asarray(point), 1e-12)


def test_the_memory_has_outputs_as_the_parameters_have(learner, params):
    del learner
    algorithm = Reptile()
    fewer = algorithm.with_ways(algorithm.remembering(params), 1)
    assert ac.tree_map(np.shape, fewer.squares) == ac.tree_map(np.shape, fewer.params)
    assert algorithm.with_ways(Reptile(optimizer="sgd").remembering(params), 1).squares == ()


def test_a_meta_optimiser_that_spoils_the_memory_is_refused(capsys, tmp_path):
    arguments = ["train", "sinusoid", "--algorithm", "reptile", "--meta-optimizer", "adam"]
    fails(capsys, *arguments, "--out", tmp_path / "run", code=2, says=("--set optimizer=sgd",))


def test_an_optimiser_that_forgets_is_caught():
    """The moments belong to the state of the inner loop."""

    @dataclasses.dataclass(frozen=True)
    class Forgetful(Reptile):
        def step(self, learner, meta, state, support, number):
            fresh = self.remembering(state.params)
            return super().step(learner, meta, fresh, support, number)

    task, theta = quadratic_task(7)
    algorithm = Forgetful(steps=5, rate=0.1, batch=3)
    expected, _ = adam_on_quadratics(algorithm, task, theta)
    meta = algorithm.remembering(ac.asarray(theta))
    with pytest.raises(AssertionError):
        assert_close(algorithm.adapt(QUADRATICS, meta, task.support), ac.asarray(expected), 1e-3)


# Beside MAML and its first-order form ---------------------------------------------------------


def test_two_steps_are_joint_training_and_fomaml(learner, params):
    """(θ − θ′)/α = g₁ + g₂(θ − α g₁): the gradient of the first minibatch, and FOMAML's with the
    second as its query set."""
    rate, (support, _) = 0.05, sine_task(2)
    algorithm = Reptile(steps=2, rate=rate, optimizer="sgd", batch=4)
    first, second = (algorithm.minibatch(support, number) for number in range(2))
    found = back_by(algorithm, learner, params, Task(support, support))
    joint = ac.grad(lambda p: learner.support_loss(p, first, 0)[0])(params)
    fomaml = meta_gradient(Maml(1, rate, order=1), learner, params, Task(first, second))
    expected = ac.tree_map(lambda g, f: rate * (g + f), joint, fomaml)
    assert_close(found, expected, 1e4 * EPS)


@pytest.mark.parametrize(
    ("name", "average", "inner"), [("maml", 1, 2), ("fomaml", 1, 1), ("reptile", 2, 1)]
)
def test_the_expansion_in_the_paper(name, average, inner):
    """Section 5.1, for two minibatches: to first order in α, the expected
    gradient is AvgGrad times `average` − α AvgGradInner times `inner`, where AvgGrad = E[g₁] and
    AvgGradInner = E[H₂ g₁] = ½ E[∂(g₁·g₂)/∂φ], over the order of the two."""
    task, theta = quadratic_task(2)
    h, (g1, g2) = task.support[0], task.support[0] @ theta - task.support[1]
    avg_grad, avg_grad_inner = (g1 + g2) / 2, (h[1] @ g1 + h[0] @ g2) / 2

    def expected_gradient(rate: float) -> np.ndarray:
        algorithm = {
            "maml": Maml(1, rate),
            "fomaml": Maml(1, rate, order=1),
            "reptile": Reptile(2, rate, optimizer="sgd", batch=1),
        }[name]
        scale = rate if name == "reptile" else 1
        return sum(one_order(algorithm, first) for first in (0, 1)) / (2 * scale)

    def one_order(algorithm, first: int) -> np.ndarray:
        one, other = (
            ac.tree_map(lambda x, i=i: x[i : i + 1], task.support) for i in (first, 1 - first)
        )
        both = ac.tree_map(lambda x, y: np.concatenate([x, y]), one, other)
        ordered = Task(both, both) if name == "reptile" else Task(one, other)
        gradient = back_by if name == "reptile" else meta_gradient
        return flat(gradient(algorithm, QUADRATICS, ac.asarray(theta), ordered))

    def error(rate: float) -> float:
        leading = average * avg_grad - inner * rate * avg_grad_inner
        return np.abs(expected_gradient(rate) - leading).max() / np.abs(avg_grad).max()

    assert error(1e-4) <= 1e-6  # α² times a Hessian's square; without the second term it is 1e-4


# Minibatches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [2, 5, 20])
@pytest.mark.parametrize("shots", [2, 5, 10, 12, 15])
def test_minibatches_mix_the_classes(ways, shots):
    """A minibatch of two examples a class has each about so often."""
    labels, batch = np.repeat(np.arange(ways), shots), 2 * ways
    for number in range(10):
        chosen = labels[strided_rows(len(labels), number * batch, batch)]
        counts = np.bincount(chosen, minlength=ways)
        assert counts.min() >= 1, counts
        assert counts.max() <= 4, counts


@pytest.mark.parametrize("count", [1, 2, 7, 12, 75])
@pytest.mark.parametrize("size", [1, 3, 25])
def test_a_tour_goes_through_all_examples_again_and_again(count, size):
    tour = [row for i in range(2 * count) for row in strided_rows(count, i * size, size)]
    for first in range(0, len(tour), count):
        assert sorted(tour[first : first + count]) == list(range(count))


@pytest.mark.parametrize("rows", [[], [3], [0, 3, 6, 1, 4], [5, 4, 3], [0, 1, 3, 5, 0, 1], [2, 2]])
def test_rows_as_slices(rows):
    x = np.arange(9)
    slices = as_slices(rows)
    assert [int(y) for s in slices for y in x[s]] == rows
    assert len(slices) <= max(1, len(rows))


def test_strides_are_one_slice_each():
    assert as_slices(strided_rows(75, 25, 25)) == [slice(1, 74, 3)]


def test_minibatches_follow_each_other():
    support = np.arange(11.0)[:, None], np.arange(11)
    batches = [Reptile(batch=4).minibatch(support, number) for number in range(3)]
    seen = np.concatenate([np.asarray(y) for _, y in batches])
    assert seen.tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 0]
    for x, y in batches:
        np.testing.assert_array_equal(np.asarray(x)[:, 0], np.asarray(y))


def test_a_small_support_set_is_a_minibatch():
    support = np.zeros((5, 1)), np.arange(5)
    assert Reptile(batch=5).minibatch(support, 3) is support


@pytest.mark.parametrize("batch", [3, 25])
def test_a_program_for_many_steps_takes_the_same_steps(learner, params, batch):
    """`adapted_at` takes stretches of them at once."""
    algorithm, support = Reptile(rate=0.01, batch=batch), sine_task(4).support
    meta = algorithm.remembering(params)
    every = [p for p, _ in algorithm.adaptation(learner, meta, support, 9)]
    found = list(algorithm.adapted_at(learner, meta, support, [0, 1, 4, 9]))
    for number, adapted in zip([0, 1, 4, 9], found, strict=True):
        np.testing.assert_array_equal(flat(adapted), flat(every[number]))


# Compiled, and in other dtypes ----------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_compiled_and_mapped_it_is_the_same(learner, params, optimizer):
    algorithm, tasks = Reptile(3, 0.01, optimizer=optimizer, batch=4), sine_task(3, lead=(3,))

    def loss(p):
        return ac.mean(ac.vmap(lambda task: algorithm.meta_loss(learner, p, task)[0])(tasks))

    meta = algorithm.remembering(params)
    assert_close(ac.jit(ac.grad(loss))(meta), ac.grad(loss)(meta), 1e6 * EPS)
    single = ac.tree_map(lambda x: ac.astype(x, np.float32), (meta, tasks))
    adapted = ac.vmap(lambda s: algorithm.adapt(learner, single[0], s))(single[1].support)
    assert {leaf.dtype for leaf in ac.tree_leaves(adapted)} == {np.dtype(np.float32)}


# Settings and commands ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"optimizer": "rmsprop"}, "expected one of adam, sgd"),
        ({"batch": 0}, "batch=0"),
        ({"order": 2}, "order=2: Reptile is of first order"),
        ({"adapts": "head"}, "adapts='head'"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(OptionError, match=says):
        Reptile(**settings)


def test_defaults_are_the_published_command():
    config = make_config("omniglot", {"algorithm": "reptile"})
    assert (config.shots, config.inner_steps, config.eval_steps) == (1, 3, 5)
    assert (config.meta_optimizer, config.meta_lr, config.schedule) == ("sgd", 1.0, "linear")


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, 7), ({"queries": 9}, 3), ({"queries": 9, "shots": 4}, 4), ({"train_shots": 2}, 2)],
)
def test_training_shots_are_15_or_as_many_as_there_are(given, expected):
    """The glyphs of these tests have 12 images a class."""
    config = make_config("glyphs", {"algorithm": "reptile", **given})
    assert settled(config, open_problem(config)).train_shots == expected


def test_tasks_that_vary():
    config = make_config("glyphs", {"algorithm": "reptile", "shots": 1, "most_shots": 4})
    assert settled(config, open_problem(config)).train_shots is None
    config = make_config("glyphs", {"algorithm": "reptile", "shots": 1, "most_shots": 6})
    with pytest.raises(OptionError, match=r"batch=25: .* expected at least 30"):
        settled(config, open_problem(config))
    with pytest.raises(OptionError, match="--train-shots 3: not with"):
        make_config("glyphs", {"most_shots": 4, "train_shots": 3})


def test_sinusoids_have_defaults_of_their_own():
    config = make_config("sinusoid", {"algorithm": "reptile"})
    assert (config.train_shots, config.inner_lr, config.settings) == (50, 0.02, {"batch": 10})
    given = {"algorithm": "reptile", "settings": {"optimizer": "sgd"}}
    assert make_config("sinusoid", given).settings == {"batch": 10, "optimizer": "sgd"}
    given = {"algorithm": "reptile", "settings": {"batch": "5"}}
    assert make_config("sinusoid", given).settings == {"batch": 5}
    assert make_config("glyphs", {"algorithm": "reptile"}).settings == {}


def test_a_run_has_other_shots_in_training(tmp_path):
    run, problem = new_run(tmp_path / "run", small_config(shots=3, train_shots=8))
    trainer = Trainer(run, problem)
    assert trainer.sampler.sample(0, range(2)).support[0].shape == (2, 8, 1)
    assert trainer.validation.sample(0, range(2)).support[0].shape == (2, 3, 1)
    assert run.config.task_name == "sinusoid 3-shot"


def test_older_runs_have_the_same_shots_in_training():
    record = make_config("sinusoid", {}).to_dict()
    del record["train_shots"]
    assert Config.from_dict(record).train_shots is None


def test_too_many_shots_in_training(capsys, tmp_path):
    arguments = ["train", "glyphs", "--train-shots", 18, "--out", tmp_path / "run"]
    fails(capsys, *arguments, says=("18 shots",))
    assert not (tmp_path / "run").exists()


def test_a_command_learns_sinusoids(capsys, tmp_path):
    options = {**SINUSOID, "algorithm": "reptile", "iterations": 400, "validate_every": 200}
    options |= {"eval_steps": 5, "hidden": (20, 20)}
    out = tmp_path / "run"
    result = command(capsys, "train", "sinusoid", *flags(options), "--out", out)
    assert result.code == 0, result.err
    rows = json.loads((out / "evaluation.json").read_text())["scores"]
    assert rows[-1]["mean"] < 0.7 * rows[0]["mean"]
