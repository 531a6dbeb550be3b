"""`metalearn check` says what is right, and finds what is wrong: a mutant for each of its tests."""

import dataclasses

import numpy as np
import pytest

import autograd_core as ac
from metalearn import checking
from metalearn.algorithms import Maml, make_algorithm
from metalearn.config import make_config
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4
from metalearn.problems import Functions
from metalearn.tasks import Task

from .algorithms.common import sine_task, smooth_mlp
from .helpers import command, fails

LEARNER = Learner(smooth_mlp(), MSE, "none")


def verdicts(algorithm):
    found = checking.check_algorithm(algorithm, LEARNER, [sine_task(0)])
    return [finding.passed for finding in found]


@dataclasses.dataclass(frozen=True)
class HalfRate(Maml):
    """The value of one rate, with the gradient of another."""

    def step(self, learner, meta, params, support, number):
        gradient, seen = self.gradient(learner, params, support, number)
        shown = lambda p, g: p - self.rate * (g / 2 + ac.stop_gradient(g) / 2)
        return self.updated(params, shown, gradient), seen


@dataclasses.dataclass(frozen=True)
class AlwaysSecond(Maml):
    """The first order that is none."""

    def gradient(self, learner, params, support, number):
        second = Maml(steps=self.steps, rate=self.rate)
        return second.gradient(learner, params, support, number)


@dataclasses.dataclass(frozen=True)
class OwnGradient(Maml):
    def step(self, learner, meta, params, support, number):
        gradient, seen = ac.grad(learner.support_loss, has_aux=True)(params, support, number)
        return ac.tree_map(lambda p, g: p - self.rate * g, params, gradient), seen


@dataclasses.dataclass(frozen=True)
class Elsewhere(Maml):
    exact = False


@pytest.mark.parametrize("name", ["anil", "boil", "cavia"])
def test_algorithms_that_fix_a_setting(name):
    """What ANIL and CAVIA hold constant in the first order is told in their own tests."""
    first = True if name == "boil" else None
    assert verdicts(make_algorithm(name, steps=2, rate=0.05)) == [True, first, True, True]


@dataclasses.dataclass(frozen=True)
class Peeks(Maml):
    """It learns from the queries that it is judged by."""

    def meta_loss(self, learner, meta, task):
        both = ac.tree_map(lambda x, y: ac.concatenate([x, y]), task.support, task.query)
        return super().meta_loss(learner, meta, Task(both, task.query))


@dataclasses.dataclass(frozen=True)
class Negated(Maml):
    def meta_loss(self, learner, meta, task):
        loss, more = super().meta_loss(learner, meta, task)
        return -loss, more


@dataclasses.dataclass(frozen=True)
class Unadapted(Maml):
    """What it is judged by is not what it does in use."""

    def predict(self, learner, meta, support, x, steps=None):
        return super().predict(learner, meta, support, x, 0)


@dataclasses.dataclass(frozen=True)
class Uphill(Maml):
    def step(self, learner, meta, params, support, number):
        gradient, seen = self.gradient(learner, params, support, number)
        return ac.tree_map(lambda p, g: p + self.rate * g, params, gradient), seen


@dataclasses.dataclass(frozen=True)
class Idle(Maml):
    def step(self, learner, meta, params, support, number):
        return params, self.gradient(learner, params, support, number)[1]


@dataclasses.dataclass(frozen=True)
class LastUp(Maml):
    """The last step ascends, by less than the others descend."""

    def step(self, learner, meta, params, support, number):
        gradient, seen = self.gradient(learner, params, support, number)
        rate = -self.rate if number == self.steps - 1 else self.rate
        return ac.tree_map(lambda p, g: p - rate * g, params, gradient), seen


@dataclasses.dataclass(frozen=True)
class Remembers(Maml):
    """It keeps the queries, to adapt to them."""

    def meta_loss(self, learner, meta, task):
        object.__setattr__(self, "seen", task.query)
        return super().meta_loss(learner, meta, task)

    def step(self, learner, meta, params, support, number):
        return super().step(learner, meta, params, getattr(self, "seen", support), number)


@dataclasses.dataclass(frozen=True)
class Stopped(Maml):
    def step(self, learner, meta, params, support, number):
        gradient, seen = self.gradient(learner, params, support, number)
        constant = ac.tree_map(ac.stop_gradient, gradient)
        return ac.tree_map(lambda p, g: p - self.rate * g, params, constant), seen


def test_a_stopped_gradient_is_named():
    first, *_ = checking.check_algorithm(Stopped(steps=2, rate=0.05), LEARNER, [sine_task(0)])
    assert first.passed is False and "is an inner gradient, or a step, stopped?" in first.detail
    first, *_ = checking.check_algorithm(HalfRate(steps=2, rate=0.2), LEARNER, [sine_task(0)])
    assert first.passed is False and "stopped?" not in first.detail


def test_algorithms_that_are_right_and_wrong():
    assert verdicts(Maml(steps=3, rate=0.05)) == [True, True, True, True]
    assert verdicts(Maml(steps=3, rate=0.05, order=1)) == [None, True, True, True]
    assert verdicts(HalfRate(steps=2, rate=0.2)) == [False, True, True, True]
    assert verdicts(AlwaysSecond(steps=2, rate=0.2)) == [True, False, True, True]
    assert verdicts(OwnGradient(steps=2, rate=0.05)) == [True, None, True, True]
    assert verdicts(Elsewhere()) == [None, None, True, True]
    assert verdicts(Peeks(steps=2, rate=0.05)) == [True, True, False, True]
    assert verdicts(Negated(steps=2, rate=0.05)) == [True, True, False, True]
    assert verdicts(Unadapted(steps=2, rate=0.05))[2:] == [False, False]
    assert verdicts(Uphill(steps=2, rate=0.05)) == [True, True, True, False]
    assert verdicts(Idle(steps=2, rate=0.05))[2:] == [True, False]
    assert verdicts(LastUp(steps=3, rate=0.05)) == [True, True, True, False]
    assert verdicts(Remembers(steps=2, rate=0.05))[2] is False
    assert verdicts(Maml(steps=0))[2:] == [True, None]


@pytest.mark.parametrize("name", ["maml++", "meta-sgd", "meta-curvature", "imaml", "reptile"])
def test_other_algorithms_are_judged_by_what_they_predict_and_descend(name):
    assert verdicts(make_algorithm(name, steps=2, rate=0.05))[2:] == [True, True]


@pytest.mark.parametrize("order", [1, 2])
def test_a_gradient_that_is_no_derivative_by_design_is_said_to_be_untested(order):
    task = sine_task(0)
    first, second, *_ = checking.check_algorithm(Elsewhere(order=order), LEARNER, [task])
    for finding in (first, second):
        assert finding.passed is None
        assert "Elsewhere.exact is False" in finding.detail
        assert "no test here can judge" in finding.detail
        assert "see the next" not in finding.detail


def test_what_is_not_finite_is_told():
    task = ac.tree_map(lambda x: x * np.nan, sine_task(0))
    (found,) = checking.check_algorithm(Maml(), LEARNER, [task])
    assert found.passed is False and "an input is not finite" in found.detail
    wild = Maml(steps=9, rate=1e200)
    with np.errstate(all="ignore"):
        found, *_ = checking.check_algorithm(wild, LEARNER, [sine_task(0)])
    assert found.passed is False and "the meta-loss is" in found.detail


def test_defaults_of_a_class_of_ones_own_are_respected(tmp_path):
    (tmp_path / "own.py").write_text(
        "from dataclasses import dataclass\n"
        "from metalearn.algorithms import Maml\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Maml):\n"
        "    steps: int = 4\n"
        "    rate: float = 0.07\n"
    )
    given = {"algorithm": f"{tmp_path / 'own.py'}:Mine"}
    config = make_config("sinusoid", given)
    assert (config.inner_steps, config.inner_lr) == (4, 0.07)
    assert make_config("sinusoid", {**given, "inner_lr": 0.5}).inner_lr == 0.5
    assert make_config("sinusoid", {}).inner_steps == 1


def test_through_kinks_and_batch_norm():
    rng, labels = np.random.default_rng(0), np.arange(6) % 3
    x = rng.normal(size=(2, 6, 1, 8, 8))
    learner = Learner(conv4(1, 8, 3, filters=3), ACCURACY, "transductive")
    task = Task((x[0], labels), (x[1], labels))
    found = checking.check_algorithm(Maml(steps=2, rate=0.1), learner, [task])
    assert [f.passed for f in found] == [True, True, True, True]


class Sampler:
    """Waves with something wrong."""

    def __init__(self, right, fault, part):
        self.right, self.fault, self.part, self.calls = right, fault, part, 0

    def sample(self, iteration, tasks):
        tasks = list(tasks)
        self.calls += 1
        if self.fault == "repeats":
            tasks = [0 for _ in tasks]
        task = self.right.sample(iteration, tasks)
        (x, y), (xq, yq) = task
        if self.fault == "seen":
            xq, yq = np.repeat(x[:, :1], len(xq[0]), 1), np.repeat(y[:, :1], len(yq[0]), 1)
        if self.fault == "drifts":
            x = x + np.float32(self.calls)
        if self.fault == "nan":
            x = np.where(x > 4.9, np.nan, x)
        if self.fault == "labels":
            y, yq = np.zeros(y.shape[:2], int), np.ones(yq.shape[:2], int)
        return Task((x, y), (xq, yq))


class Faulty(Functions):
    def __init__(self, fault):
        super().__init__("sinusoid")
        object.__setattr__(self, "fault", fault)

    def sampler(self, part, shots, queries, seed):
        stream = "train" if self.fault == "one stream" else part
        return Sampler(super().sampler(stream, shots, queries, seed), self.fault, part)


def failed(fault):
    found = checking.check_tasks(Faulty(fault), 5, 5, episodes=40)
    return {finding.test for finding in found if not finding.passed}


def test_tasks_that_are_right_and_wrong():
    assert failed(None) == set()
    assert failed("one stream") == {"the parts of the split"}
    assert failed("seen") == {"queries apart from the support set"}
    assert failed("drifts") >= {"the same task for the same number"}
    assert "tasks that differ" in failed("repeats")
    assert failed("nan") == {"numbers and labels"}
    assert failed("labels") >= {"numbers and labels"}


def test_the_command(capsys, tmp_path):
    result = command(capsys, "check", "glyphs", "--ways", 3, "--episodes", 5, "--filters", 2)
    assert result.code == 0, result.err
    assert result.out.count("pass") == 13 and "FAIL" not in result.out
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from dataclasses import dataclass\n"
        "import autograd_core as ac\n"
        "from metalearn.algorithms import Algorithm\n"
        "@dataclass(frozen=True)\n"
        "class Wrong(Algorithm):\n"
        "    def step(self, learner, meta, params, support, number):\n"
        "        gradient, seen = self.gradient(learner, params, support, number)\n"
        "        move = lambda p, g: p - self.rate * ac.stop_gradient(g)\n"
        "        return self.updated(params, move, gradient), seen\n"
    )
    result = command(capsys, "check", "--algorithm", f"{wrong}:Wrong", "--episodes", 5)
    assert result.code == 1
    assert "FAIL  the meta-gradient of task 0" in result.out
    fails(capsys, "check", "--episodes", 0, code=2, says=("--episodes 0",))


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
def test_the_command_on_waves(capsys, algorithm):
    result = command(capsys, "check", "--algorithm", algorithm, "--episodes", 20)
    assert result.code == 0, result.out + result.err


def test_convolutions_on_arrays_of_ones_own(capsys, tmp_path):
    """Their images are of the size that the file says."""
    x = np.random.default_rng(0).integers(0, 255, (90, 1, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", x=x, y=np.repeat(np.arange(15), 6))
    options = ("--model", "conv4", "--episodes", 4, "--queries", 2)
    result = command(capsys, "check", tmp_path / "x.npz", *options)
    assert result.code == 0, result.err
    assert "conv4" in result.out
