"""iMAML against closed forms, unrolled inner steps, and conjugate gradients in NumPy."""

import dataclasses
import gc
import json
import tracemalloc

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms import Algorithm, Imaml, Maml
from metalearn.checking import check_algorithm
from metalearn.config import algorithm_of, make_config
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4, mlp
from metalearn.tasks import Task

from ..helpers import SINUSOID, command, fails, flags
from .common import (
    EPS,
    Quadratic,
    assert_close,
    doubles,
    flat,
    meta_gradient,
    sine_task,
    smooth_mlp,
)

EXACT = {"damping": 0.0, "hessian_damping": 0.0}
QUADRATIC = Quadratic(smooth_mlp(), MSE, "none")


class Unrolled(Imaml):
    """MAML with a proximal term: the same inner steps, differentiated through."""

    adapted_state = Algorithm.adapted_state


@dataclasses.dataclass
class Given:
    """A quadratic task, a point, and what iMAML makes of them in closed form."""

    task: Task
    theta: np.ndarray
    strength: float = 2.0

    @property
    def solution(self) -> np.ndarray:
        """(A + λI) φ* = b + λθ."""
        a, b = self.task.support
        return np.linalg.solve(a + self.strength * np.eye(len(b)), b + self.strength * self.theta)

    @property
    def outer(self) -> np.ndarray:
        """∇L_query(φ*)."""
        aq, bq = self.task.query
        return aq @ self.solution - bq

    def gradient(self, damping: float = 0.0, hessian_damping: float = 0.0) -> np.ndarray:
        """((1 + δ) I + A/(λ + μ))⁻¹ ∇L_query(φ*)."""
        a, one = self.task.support[0], np.eye(len(self.theta))
        matrix = (1 + damping) * one + a / (self.strength + hessian_damping)
        return np.linalg.solve(matrix, self.outer)


@pytest.fixture
def given() -> Given:
    rng, n = np.random.default_rng(5), 6
    square = rng.normal(size=(2, n, n))
    a, aq = square @ np.swapaxes(square, -1, -2) / n
    b, bq, theta = rng.normal(size=(3, n))
    return Given(Task((a, b), (aq, bq)), theta)


def on_quadratic(algorithm: Imaml, given: Given):
    return meta_gradient(algorithm, QUADRATIC, ac.asarray(given.theta), given.task)


def error(found, expected: np.ndarray) -> float:
    return np.abs(flat(found) - expected).max() / np.abs(expected).max()


# Against closed forms -------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [0.5, 2.0, 10.0])
def test_a_quadratic_task_has_a_closed_form(given, strength):
    """(I + A/λ)⁻¹ ∇L_query(φ*), where both the solution and conjugate gradients are exact."""
    given.strength = strength
    algorithm = Imaml(steps=1000, rate=0.08, strength=strength, cg_steps=8, **EXACT)
    assert error(on_quadratic(algorithm, given), given.gradient()) <= 1e-12


def test_a_gradient_without_the_inverse_is_caught(given):
    """The check above is no check if it passes ∇L_query(φ*), or a multiple of it."""
    for scale in (1.0, given.strength, 1 / given.strength):
        assert error(ac.asarray(scale * given.outer), given.gradient()) > 0.1


def test_it_tends_to_the_exact_gradient_with_the_inner_steps(given):
    errors = [
        error(on_quadratic(Imaml(k, 0.1, cg_steps=8, **EXACT), given), given.gradient())
        for k in (4, 16, 64)
    ]
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-3 * errors[1]


def test_it_tends_to_the_exact_gradient_with_the_steps_of_conjugate_gradients(given):
    errors = [
        error(on_quadratic(Imaml(500, 0.1, cg_steps=k, **EXACT), given), given.gradient())
        for k in range(1, 7)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] <= 1e-10  # as many steps as dimensions


@pytest.mark.parametrize(("damping", "hessian_damping"), [(1.0, 10.0), (1.0, 0.0), (0.0, 10.0)])
def test_damping_is_that_of_the_published_code(given, damping, hessian_damping):
    algorithm = Imaml(500, 0.1, cg_steps=8, damping=damping, hessian_damping=hessian_damping)
    expected = given.gradient(damping, hessian_damping)
    assert error(on_quadratic(algorithm, given), expected) <= 1e-12
    assert error(ac.asarray(expected), given.gradient()) > 0.05


@pytest.mark.parametrize("cg_steps", [1, 2, 3])
def test_conjugate_gradients_that_stop_early_are_those_of_the_published_code(given, cg_steps):
    """From 0, for a fixed number of steps on ((1 + δ) I + H/(λ + μ)) g = ∇L_query(φ*)."""
    matrix = 2 * np.eye(6) + given.task.support[0] / (given.strength + 10)
    g, r = np.zeros(6), given.outer
    p = r
    for _ in range(cg_steps):
        alpha = r @ r / (p @ matrix @ p)
        g, before, r = g + alpha * p, r, r - alpha * matrix @ p
        p = r + (r @ r) / (before @ before) * p
    assert error(on_quadratic(Imaml(500, 0.1, cg_steps=cg_steps), given), g) <= 1e-12


# Against the gradient through the inner steps -------------------------------------------------


@pytest.mark.parametrize("adapts", ["all", "head", "body"])
def test_it_is_the_gradient_through_many_inner_steps(learner, params, adapts):
    """At the solution, which both find, the two are the same: also in what does not adapt."""
    settings = {"steps": 150, "rate": 0.1, "cg_steps": 40, "adapts": adapts, **EXACT}
    task = sine_task(0)
    found = meta_gradient(Imaml(**settings), learner, params, task)
    unrolled = meta_gradient(Unrolled(**settings), learner, params, task)
    assert_close(found, unrolled, 1e-8)


def test_the_loss_is_that_of_the_unrolled_steps(learner, params):
    task = sine_task(1)
    for algorithm in (Imaml(steps=5), Unrolled(steps=5)):
        adapted = algorithm.adapt(learner, params, task.support)
        expected = learner.query_loss(adapted, task, 5)[0]
        found = algorithm.meta_loss(learner, params, task)[0]
        assert_close(found, expected, 100 * EPS)


def test_a_strong_tie_leaves_the_initialisation_alone(learner, params):
    """As λ grows φ* → θ, and the meta-gradient is that of joint training on the query set."""
    algorithm = Imaml(steps=200, rate=1e-4, strength=1e4, **EXACT)
    task = sine_task(2)
    expected = ac.grad(lambda p: learner.query_loss(p, task, 0)[0])(params)
    assert_close(meta_gradient(algorithm, learner, params, task), expected, 1e-2)


def test_a_program_for_many_steps_takes_the_same_steps(learner, params):
    """`adapted_at` takes stretches of them at once."""
    algorithm, support = Imaml(), sine_task(4).support
    every = [p for p, _ in algorithm.adaptation(learner, params, support, 9)]
    found = list(algorithm.adapted_at(learner, params, support, [0, 1, 4, 9]))
    for number, adapted in zip([0, 1, 4, 9], found, strict=True):
        np.testing.assert_array_equal(flat(adapted), flat(every[number]))


# Memory ---------------------------------------------------------------------------------------


def wide(algorithm):
    """The meta-gradient of a network with some weight, and its arguments."""
    model = mlp(1, 1, (128, 128))
    learner, params = Learner(model, MSE, "none"), model.init(random.key(0))
    task = ac.tree_map(lambda x: ac.asarray(x.astype(np.float32)), sine_task(0))

    def gradient(p, support, query):
        return meta_gradient(algorithm, learner, p, Task(support, query))

    return gradient, (params, *task)


def peak_bytes(function, arguments) -> int:
    """Of what is allocated while a function runs, the second time."""
    function(*arguments)
    gc.collect()
    tracemalloc.start()
    try:
        function(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_inner_steps():
    """Between 5 and 50 steps: by less than one copy of the parameters, while that of the unrolled
    steps grows by many."""
    copy = sum(x.nbytes for x in ac.tree_leaves(wide(Imaml())[1][0]))
    few, many = (peak_bytes(*wide(Imaml(steps=k, rate=1e-3))) for k in (5, 50))
    assert many - few < copy
    few, many = (peak_bytes(*wide(Unrolled(steps=k, rate=1e-3))) for k in (5, 50))
    assert many - few > 45 * copy


def test_compiled_memory_and_program_do_not_grow_with_the_inner_steps():
    def program(algorithm):
        function, arguments = wide(algorithm)
        return ac.jit(function).explain(*arguments)

    few, many = (program(Imaml(steps=k)) for k in (5, 50))
    assert many.memory == few.memory
    assert len(many.steps) == len(few.steps)
    assert program(Unrolled(steps=8)).memory > 1.5 * program(Unrolled(steps=2)).memory


# Compiled, mapped, normalised -----------------------------------------------------------------


def test_compiled_and_mapped_it_is_the_same(learner, params):
    algorithm, tasks = Imaml(steps=4), sine_task(3, lead=(3,))

    def loss(p):
        return ac.mean(ac.vmap(lambda task: algorithm.meta_loss(learner, p, task)[0])(tasks))

    one_by_one = [
        meta_gradient(algorithm, learner, params, ac.tree_map(lambda x, i=i: x[i], tasks))
        for i in range(3)
    ]
    mean = ac.tree_map(lambda *gs: sum(gs) / 3, *one_by_one)
    assert_close(ac.grad(loss)(params), mean, 1e4 * EPS)
    assert_close(ac.jit(ac.grad(loss))(params), mean, 1e4 * EPS)


@pytest.mark.parametrize("mode", ["transductive", "support", "running", "per_step"])
def test_batch_norms_collect_what_the_inner_steps_see(mode):
    model = conv4(1, 8, 3, filters=3)
    learner, params = Learner(model, ACCURACY, mode), doubles(model.init(random.key(1)))
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(2, 6, 1, 8, 8)), np.arange(6) % 3
    task = Task((x[0], labels), (x[1], labels))
    _, (_, found) = Imaml(steps=3).meta_loss(learner, params, task)
    _, (_, expected) = Unrolled(steps=3).meta_loss(learner, params, task)
    if mode not in ("running", "per_step"):
        assert found == expected == ()
    else:
        assert_close(found, expected, 1e4 * EPS)


def test_the_first_step_is_mamls(learner, params):
    """There φ = θ, where the proximal term has no gradient."""
    task = sine_task(4)
    found = Imaml(steps=1, rate=0.05).adapt(learner, params, task.support)
    assert_close(found, Maml(steps=1, rate=0.05).adapt(learner, params, task.support), EPS)


# Settings and commands ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strength": 0.0}, "strength=0.0"),
        ({"strength": float("inf")}, "strength=inf"),
        ({"cg_steps": 0}, "cg_steps=0"),
        ({"damping": -1.0}, "damping=-1.0"),
        ({"hessian_damping": float("nan")}, "hessian_damping=nan"),
        ({"order": 1}, "order=1"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(OptionError, match=says):
        Imaml(**settings)


@pytest.mark.parametrize("jit", ["--jit", "--no-jit"])
def test_divergence_is_told_as_such(capsys, tmp_path, jit):
    options = {**SINUSOID, "algorithm": "imaml", "iterations": 3, "inner_lr": 500.0}
    arguments = ["train", "sinusoid", *flags(options), jit, "--out", tmp_path / "run"]
    fails(capsys, *arguments, says=("training has diverged", "--inner-lr"))


def test_the_command_that_checks_knows_that_it_is_no_derivative(learner):
    """Inner steps that stop early find no solution, of which the gradient is."""
    found = check_algorithm(Imaml(steps=2), learner, [sine_task(0)])
    assert [finding.passed for finding in found] == [None, None, True, True]


def test_defaults_are_the_published_command():
    config = make_config("omniglot", {"algorithm": "imaml"})
    assert algorithm_of(config) == Imaml(
        steps=16, rate=0.1, strength=2.0, cg_steps=5, damping=1.0, hessian_damping=10.0
    )
    assert (config.meta_optimizer, config.meta_lr, config.meta_batch) == ("adam", 1e-3, 32)
    assert make_config("sinusoid", {"algorithm": "imaml"}).settings == {"strength": 0.1}


def test_a_command_learns_sinusoids(capsys, tmp_path):
    options = {**SINUSOID, "algorithm": "imaml", "iterations": 300, "validate_every": 150}
    options |= {"eval_steps": 16, "meta_lr": 0.01}
    out = tmp_path / "run"
    result = command(capsys, "train", "sinusoid", *flags(options), "--out", out)
    assert result.code == 0, result.err
    rows = json.loads((out / "evaluation.json").read_text())["scores"]
    assert rows[-1]["mean"] < 0.8 * rows[0]["mean"]
