"""What every algorithm keeps to: mapped over tasks, computed again, compiled, it is the same."""

from dataclasses import replace

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.algorithms import (
    ALGORITHMS,
    REMAT,
    Algorithm,
    class_of,
    find_algorithm,
    make_algorithm,
    read_settings,
)
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, Learner
from metalearn.models import conv4
from metalearn.normalisation import MODES, initial_averages
from metalearn.tasks import Task

from ..helpers import GLYPHS, command, fails, flags
from .common import EPS, assert_close, doubles

WAYS, SHOTS, TASKS, STEPS = 3, 2, 3, 2

OF_THE_DATA = {"pretrained": {"classes": 7}, "oml": {"classes": 7}}
"""Settings that a run takes from its data."""


def prepared(name, mode="transductive", **settings):
    """An algorithm, a learner, meta-parameters in float64 (larger than those it starts from, where
    some parts would be 0; averages of squares are not negative), and tasks. Skips what the
    algorithm refuses, and says so."""
    settings = {"steps": STEPS, "rate": 0.1, **OF_THE_DATA.get(name, {}), **settings}
    if "inner_steps" in without(name):
        settings["steps"] = 0
    try:
        algorithm = make_algorithm(name, **settings)
    except OptionError as refused:
        pytest.skip(str(refused))
    model = conv4(1, 8, WAYS, filters=4, normalise=mode != "none")
    meta = doubles(algorithm.init(model, random.key(2)))
    rng = np.random.default_rng(3)
    meta = ac.tree_map(lambda x: x + 0.03 * np.abs(rng.normal(size=x.shape)), meta)
    x = rng.normal(size=(2, TASKS, WAYS * SHOTS, 1, 8, 8))
    labels = np.tile(np.arange(WAYS * SHOTS) % WAYS, (TASKS, 1))
    learner = Learner(algorithm.network(model), ACCURACY, mode, ways=WAYS)
    return algorithm, learner, meta, Task((x[0], labels), (x[1], labels))


def without(name: str) -> tuple[str, ...]:
    """Options and settings that have no effect."""
    return class_of(find_algorithm(name)).without


def one(tasks: Task, i: int) -> Task:
    return ac.tree_map(lambda a: a[i], tasks)


def outcome_of(algorithm: Algorithm, learner: Learner):
    """The function (meta, task) → value with score and statistics, and gradient."""
    return ac.value_and_grad(
        lambda meta, task: algorithm.meta_loss(learner, meta, task), has_aux=True
    )


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_remat_gives_the_same_result(name, steps):
    found = {}
    for remat in REMAT:
        algorithm, learner, meta, tasks = prepared(name, steps=steps, remat=remat)
        found[remat] = outcome_of(algorithm, learner)(meta, one(tasks, 0))
    for remat in ("every", "sqrt"):
        assert_close(found[remat], found["none"], 1e4 * EPS)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_vmap_over_tasks_is_a_loop_over_tasks(name, mode):
    algorithm, learner, meta, tasks = prepared(name, mode)

    def mapped(meta):
        each = ac.vmap(lambda task: algorithm.meta_loss(learner, meta, task))(tasks)
        return ac.mean(each[0]), each

    (_, outcome), gradient = ac.value_and_grad(mapped, has_aux=True)(meta)
    outcomes, gradients = zip(
        *[outcome_of(algorithm, learner)(meta, one(tasks, i)) for i in range(TASKS)], strict=True
    )
    assert_close(outcome, ac.tree_map(lambda *xs: ac.stack(xs), *outcomes), 1e4 * EPS)
    mean = ac.tree_map(lambda *gs: sum(gs) / TASKS, *gradients)
    if name == "scratch":
        assert not any(np.asarray(leaf).any() for leaf in ac.tree_leaves((gradient, mean)))
    else:
        assert_close(gradient, mean, 1e5 * EPS)


@pytest.mark.parametrize("mode", ["transductive", "per_step"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_compiled_it_is_the_same(name, mode):
    algorithm, learner, meta, tasks = prepared(name, mode)
    outcome = outcome_of(algorithm, learner)
    expected = outcome(meta, one(tasks, 0))
    assert_close(ac.jit(outcome)(meta, one(tasks, 0)), expected, 1e5 * EPS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_single_precision_stays(name):
    algorithm, learner, meta, tasks = prepared(name)
    single = lambda x: x.astype(np.float32) if x.dtype == np.float64 else x
    meta, tasks = ac.tree_map(single, meta), ac.tree_map(single, tasks)
    (loss, _), gradient = outcome_of(algorithm, learner)(meta, one(tasks, 0))
    assert {x.dtype for x in (loss, *ac.tree_leaves(gradient))} == {np.dtype("float32")}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_adaptation_goes_on_beyond_the_steps_of_training(name, mode):
    """Each number of steps gives what `adapt` gives, and outputs by `predict`, with averages."""
    algorithm, learner, meta, tasks = prepared(name, mode)
    averages = doubles(initial_averages(mode, learner.model, algorithm.steps)) or None
    learner = replace(learner, averages=averages)
    beyond = 0 if "eval_steps" in without(name) else 2
    task, steps = one(tasks, 0), algorithm.steps + beyond
    found = list(algorithm.adaptation(learner, meta, task.support, steps))
    assert len(found) == steps + 1
    for number in (0, steps):
        params = algorithm.adapt(learner, meta, task.support, number)
        np.testing.assert_array_equal(
            ac.tree_leaves(params)[-1], ac.tree_leaves(found[number][0])[-1]
        )
    outputs = algorithm.predict(learner, meta, task.support, task.query[0], steps)
    expected, _ = learner.query_outputs(found[-1][0], task.support, task.query[0], steps)
    np.testing.assert_array_equal(outputs, expected)
    assert outputs.shape == (WAYS * SHOTS, WAYS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tasks_of_fewer_classes(name):
    algorithm, learner, meta, tasks = prepared(name)
    task = one(tasks, 0)
    support = tuple(a[task.support[1] < 2] for a in task.support)
    meta, learner = algorithm.with_ways(meta, 2), replace(learner, ways=2)
    outputs = algorithm.predict(learner, meta, support, task.query[0])
    assert outputs.shape == (WAYS * SHOTS, 2)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_command_line_trains_and_evaluates_it(name, capsys, tmp_path):
    """Not compiled, which takes most of the time: `test_compiled_it_is_the_same`."""
    run, unused = tmp_path / "run", without(name)
    options = {option: value for option, value in GLYPHS.items() if option not in unused}
    options |= {"algorithm": name, "out": run}
    result = command(capsys, "train", "glyphs", "--no-jit", *flags(options))
    assert result.code == 0, result.err
    assert name in result.out
    evaluated = command(capsys, "evaluate", run, "--episodes", 3, "--queries", 2)
    assert evaluated.code == 0, evaluated.err


# By name --------------------------------------------------------------------------------------

MINE = """
from dataclasses import dataclass
from typing import Any
import autograd_core as ac
from metalearn.algorithms import Algorithm

@dataclass(frozen=True)
class SignMaml(Algorithm):
    scale: float = 1.0

    def step(self, learner: Any, meta: Any, params: Any, support: Any, number: int) -> Any:
        gradient, seen = self.gradient(learner, params, support, number)
        move = lambda p, g: p - self.scale * self.rate * ac.sign(g)
        return self.updated(params, move, gradient), seen

class NotOne: ...
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_an_algorithm_of_ones_own(mine, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    options = {**GLYPHS, "algorithm": "mine.py:SignMaml", "inner_lr": 0.01, "set": "scale=2"}
    result = command(capsys, "train", "glyphs", *flags(options), "--out", out)
    assert result.code == 0, result.err
    monkeypatch.chdir("/")
    assert command(capsys, "evaluate", out, "--episodes", 3, "--queries", 2).code == 0


def test_what_is_no_algorithm(mine, capsys, tmp_path):
    out = tmp_path / "run"
    for name, said in (
        ("mamml", "expected one of maml, fomaml"),
        (f"{mine}:NotOne", "a subclass of"),
        (f"{mine}:Missing", "expected a class of that name"),
        (f"{tmp_path}/none.py:A", "no such Python file"),
    ):
        fails(capsys, "train", "glyphs", "--algorithm", name, "--out", out, code=2, says=(said,))
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    says = ("cannot be imported (broken.py, line 1: ZeroDivisionError",)
    fails(capsys, "train", "glyphs", "--algorithm", f"{broken}:B", "--out", out, code=2, says=says)


@pytest.mark.parametrize(
    "given,said",
    [
        ({"adapts": "tail"}, "adapts='tail'; expected one of all, head"),
        ({"order": "3"}, "order=3; expected 1 or 2"),
        ({"order": "2.0"}, "--set order=2.0: expected a whole number"),
        ({"rate": "1"}, "maml has no such setting; it has order=2, adapts=all"),
    ],
)
def test_settings_that_make_no_sense(given, said):
    with pytest.raises(OptionError) as raised:
        make_algorithm("maml", **read_settings("maml", given))
    assert said in str(raised.value)


def test_what_a_name_fixes_is_no_setting():
    assert read_settings("fomaml", {"adapts": "head"}) == {"adapts": "head"}
    with pytest.raises(OptionError, match="no such setting"):
        read_settings("fomaml", {"order": "2"})


def test_unknown_algorithm():
    with pytest.raises(OptionError, match=r"mamml.*maml, fomaml"):
        make_algorithm("mamml")
