"""What each mode of batch norm lets a prediction depend on."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn import normalisation
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, Learner
from metalearn.models import conv4
from metalearn.normalisation import MODES
from metalearn.tasks import Task


@pytest.fixture
def task():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 6, 1, 16, 16)).astype(np.float32), np.arange(6) % 3
    return Task((x[0], y), (x[1], y))


def learner_in(mode: str, trained_steps: int = 2):
    model = conv4(1, 16, 3, filters=4, normalise=mode != "none")
    averages = normalisation.initial_averages(mode, model, trained_steps)
    if normalisation.has_averages(mode):
        rng = np.random.default_rng(1)
        averages = ac.tree_map(
            lambda a: ac.asarray(rng.uniform(0.5, 1.5, a.shape), np.float32), averages
        )
    learner = Learner(model, ACCURACY, mode, averages or None)
    return learner, model.init(random.key(0)), averages


def others_changed(task: Task) -> Task:
    """The same first query in other company."""
    x = task.query[0].copy()
    x[1:] = 1 - x[1:]
    return Task(task.support, (x, task.query[1]))


def outputs(learner, params, task, step):
    return learner.query_outputs(params, task.support, task.query[0], step)


@pytest.mark.parametrize("mode", MODES)
def test_only_transductive_queries_see_each_other(mode, task):
    learner, params, _ = learner_in(mode)
    alone = outputs(learner, params, task, 1)[0][0]
    in_company = outputs(learner, params, others_changed(task), 1)[0][0]
    moved = float(ac.max(ac.absolute(alone - in_company)))
    assert moved > 1e-3 if mode == "transductive" else moved < 1e-6


def test_support_mode_uses_the_statistics_of_the_support(task):
    learner, params, _ = learner_in("support")
    _, statistics = learner.model.apply(params, task.support[0], "batch")
    expected, _ = learner.model.apply(params, task.query[0], statistics)
    np.testing.assert_array_equal(outputs(learner, params, task, 0)[0], expected)


def test_per_step_averages_have_a_row_for_each_step(task):
    learner, params, averages = learner_in("per_step", trained_steps=2)
    assert averages[0].mean.shape == (3, 4)
    for step, row in ((0, 0), (1, 1), (2, 2), (7, 2)):
        given = tuple(nn.Statistics(a.mean[row], a.var[row]) for a in averages)
        expected, _ = learner.model.apply(params, task.query[0], given)
        found = outputs(learner, params, task, step)[0]
        np.testing.assert_array_equal(found, expected)


def test_averages_move_by_the_momentum():
    before, batch = (nn.Statistics(ac.full(3, v), ac.full(3, v)) for v in (1.0, 2.0))
    after = normalisation.updated(before, batch)
    np.testing.assert_allclose(after.mean, 1 + normalisation.MOMENTUM)


def test_collected_statistics_have_the_form_of_the_averages():
    passes = [(nn.Statistics(ac.full(4, float(i)), ac.full(4, 1.0)),) for i in range(3)]
    (running,) = normalisation.collected("running", passes)
    (rows,) = normalisation.collected("per_step", passes)
    np.testing.assert_allclose(running.mean, np.full(4, 1.0))
    np.testing.assert_allclose(rows.mean[:, 0], [0, 1, 2])
    assert normalisation.collected("transductive", passes) == ()


def test_unknown_mode():
    with pytest.raises(OptionError, match="inductive.*transductive, support"):  # noqa: RUF043
        normalisation.check_mode("inductive")
