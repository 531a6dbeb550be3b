"""MAML++ against MAML, which it is with all of its parts off; each part against its formula; all
together against finite differences."""

import dataclasses
import json

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from metalearn.algorithms import REMAT
from metalearn.algorithms.maml import Maml
from metalearn.algorithms.maml_plus_plus import LEAST, MamlPlusPlus, Meta
from metalearn.config import algorithm_of, make_config
from metalearn.errors import OptionError
from metalearn.learner import ACCURACY, MSE, Learner
from metalearn.models import conv4
from metalearn.normalisation import MODES, initial_averages
from metalearn.runs import open_run
from metalearn.tasks import Task
from metalearn.training import initial_state, meta_step
from tests.metalearn.helpers import SINUSOID, command, flags, new_run, small_config, train
from tests.metalearn.test_training import finals, trained_with_stops

from .common import (
    EPS,
    assert_close,
    central_differences,
    doubles,
    flat,
    meta_gradient,
    sine_task,
    smooth_mlp,
    unflat,
)

OFF = {
    "learned_rates": False,
    "step_norms": False,
    "multi_step_share": 0.0,
    "first_order_share": 0.0,
}
STEPS = 3


def plain(**parts) -> MamlPlusPlus:
    """MAML++ with only these parts on."""
    return MamlPlusPlus(**{"steps": STEPS, "rate": 0.0625, **OFF, **parts})


def sines() -> Learner:
    return Learner(smooth_mlp(), MSE, "none")


def images(mode: str = "transductive", progress: float = 1.0) -> Learner:
    model = conv4(1, 8, 3, filters=3, normalise=mode != "none")
    return Learner(model, ACCURACY, mode, progress=progress)


def image_task(seed: int = 1) -> Task:
    x = np.random.default_rng(seed).normal(size=(2, 6, 1, 8, 8))
    labels = np.arange(6) % 3
    return Task((x[0], labels), (x[1], labels))


def meta_of(algorithm: MamlPlusPlus, learner: Learner) -> Meta:
    return doubles(algorithm.init(learner.model, random.key(3)))


def perturbed(tree, seed: int = 0, scale: float = 0.1):
    """Rows that were alike are no longer."""
    vector = flat(tree)
    noise = np.random.default_rng(seed).normal(size=vector.size)
    return unflat(vector * (1 + scale * noise) + scale * 0.1 * noise, tree)


# With its parts off, or on without effect, it is MAML --------------------------------------------


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("adapts", ["all", "weights", "head"])
def test_all_parts_off_it_is_maml_to_the_bit(order, adapts):
    learner, task = images(), image_task()
    common = {"steps": STEPS, "rate": 0.0625, "order": order, "adapts": adapts}
    ours, maml = plain(order=order, adapts=adapts), Maml(**common)
    meta = meta_of(ours, learner)
    assert meta.rates is None
    found = ac.value_and_grad(lambda m: ours.meta_loss(learner, m, task)[0])(meta)
    expected = ac.value_and_grad(lambda m: maml.meta_loss(learner, m, task)[0])(meta.params)
    assert np.array_equal(flat(found), flat(expected))


@pytest.mark.parametrize("part", [{"learned_rates": True}, {"step_norms": True}])
def test_equal_rates_and_rows_are_those_of_maml(part):
    """And the derivatives for all rows together are those for the one that MAML has."""
    learner, task, ours = images(), image_task(), plain(**part)
    maml = Maml(steps=STEPS, rate=0.0625, adapts="weights")
    meta = meta_of(ours, learner)
    params = doubles(learner.model.init(random.key(3)))
    assert_close(
        ours.meta_loss(learner, meta, task)[0], maml.meta_loss(learner, params, task)[0], 100 * EPS
    )
    found = meta_gradient(ours, learner, meta, task).params
    summed = ac.tree_map(lambda g, p: g if g.shape == p.shape else ac.sum(g, axis=0), found, params)
    assert_close(summed, meta_gradient(maml, learner, params, task), 1e3 * EPS)


def test_the_last_loss_alone_is_that_of_maml():
    """Where training is past the share in which the others count."""
    learner, task, ours = sines(), sine_task(1), plain(multi_step_share=0.5)
    meta = meta_of(ours, learner)
    for progress in (0.5, 0.9, 1.0):
        now = dataclasses.replace(learner, progress=progress)
        found = ours.meta_loss(now, meta, task)[0]
        assert float(found) == float(Maml(STEPS, 0.0625).meta_loss(learner, meta.params, task)[0])


# Losses of all steps -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_importance_has_a_closed_form(steps):
    algorithm = MamlPlusPlus(steps=steps, multi_step_share=0.2)
    for progress in (0.0, 0.05, 0.1, 0.19, 0.1999, 0.2, 0.5, 1.0):
        early, last = (float(v) for v in algorithm.importance(progress))
        falling = max(1 - progress / 0.2, LEAST) if progress < 0.2 else 0.0
        assert early == pytest.approx(falling / steps, rel=1e-6)
        assert (steps - 1) * early + last == pytest.approx(1.0, rel=1e-6)
    assert [float(v) for v in algorithm.importance(0.0)] == pytest.approx([1 / steps] * 2)
    assert [float(v) for v in algorithm.importance(0.2)] == [0.0, 1.0]


@pytest.mark.parametrize("epoch", range(10))
def test_importance_is_that_of_the_code_at_its_epochs(epoch):
    """5 steps, 10 epochs of 100 with losses on the way: the vector of the authors' code, which
    falls by 1 / (K · epochs) an epoch."""
    early, last = MamlPlusPlus(multi_step_share=0.1).importance(epoch / 100)
    assert float(early) == pytest.approx(0.2 - 0.02 * epoch, abs=1e-7)
    assert float(last) == pytest.approx(0.2 + 4 * 0.02 * epoch, abs=1e-7)


@pytest.mark.parametrize("remat", REMAT)
def test_the_loss_is_the_weighted_sum_of_losses_on_the_way(remat):
    ours, task = plain(multi_step_share=0.5, learned_rates=True, remat=remat), sine_task(2)
    learner = dataclasses.replace(sines(), progress=0.2)
    meta = perturbed(meta_of(ours, learner))
    on_the_way = [p for p, _ in ours.adaptation(learner, meta, task.support, STEPS)][1:]
    losses = [float(learner.query_loss(p, task, 0)[0]) for p in on_the_way]
    weights = np.array([0.2, 0.2, 0.6])  # 0.6 / 3, and what is left
    loss, (score, _) = ours.meta_loss(learner, meta, task)
    assert float(loss) == pytest.approx(float(weights @ losses), rel=1e-7)
    assert float(score) == losses[-1]


@pytest.mark.parametrize("jit", [True, False])
def test_one_program_serves_all_of_its_weights(jit):
    """The share of training is an argument, which changes numbers and no dtype."""
    config = small_config(algorithm="maml++", inner_steps=2, jit=jit)
    algorithm, learner = algorithm_of(config), sines()
    state, traced = initial_state(config, learner.model), []

    class Counted(Learner):
        def query_loss(self, params, task, step):
            traced.append(step)
            return super().query_loss(params, task, step)

    step = meta_step(algorithm, Counted(*vars(learner).values()), config)
    tasks = ac.tree_map(lambda x: x.astype(np.float32), sine_task(0, (2,)))
    losses = [step(state, tasks, 1e-3, progress)[1] for progress in (0.0, 0.05, 0.1)]
    assert {loss.dtype for loss in losses} == {np.dtype("float32")}
    assert len({float(loss) for loss in losses}) == 3
    assert traced == [1, 2] * (1 if jit else 3)


# A row for each step -----------------------------------------------------------------------------


def row_of(params) -> float:
    return float(params["blocks"][0]["shift"][0])


def test_parameters_after_i_steps_have_row_i():
    learner, ours = images(), plain(step_norms=True)
    meta = meta_of(ours, learner)
    for block in meta.params["blocks"]:
        block["shift"] = block["shift"] + ac.asarray(np.arange(STEPS + 1.0))[:, None]
    seen = [row_of(p) for p, _ in ours.adaptation(learner, meta, image_task().support, STEPS + 2)]
    assert seen == [0, 1, 2, 3, 3, 3]


def test_each_row_is_learned_from_the_pass_that_uses_it():
    """The first order sees the query set's pass alone, after all steps; the second sees all."""
    learner, task = images(), image_task()
    for order, used in ((1, [False, False, False, True]), (2, [True] * 4)):
        ours = plain(step_norms=True, order=order)
        gradient = meta_gradient(ours, learner, perturbed(meta_of(ours, learner)), task).params
        shifts = np.asarray(gradient["blocks"][3]["shift"])
        assert [bool(row.any()) for row in shifts] == used


class OneRowLate(MamlPlusPlus):
    """A mutant: parameters after i steps with row i − 1."""

    def params(self, meta, state, number):
        return super().params(meta, state, max(number - 1, 0))


def test_a_row_late_is_noticed(monkeypatch):
    monkeypatch.setitem(globals(), "plain", lambda **parts: OneRowLate(**{**late, **parts}))
    late = {"steps": STEPS, "rate": 0.0625, **OFF}
    with pytest.raises(AssertionError):
        test_parameters_after_i_steps_have_row_i()
    with pytest.raises(AssertionError):
        test_each_row_is_learned_from_the_pass_that_uses_it()


def test_each_step_has_its_rates_and_the_last_serve_beyond():
    """On a linear loss, whose gradient is 1 everywhere."""

    class Sum(Learner):
        def support_loss(self, params, support, step):
            return sum(ac.sum(p) for p in ac.tree_leaves(params)), ()

    ours = plain(learned_rates=True)
    meta = Meta({"w": ac.zeros(1), "head": ac.zeros(1)}, {"w": None, "head": None})
    meta = meta._replace(rates={"w": ac.asarray([1.0, 2, 4]), "head": ac.asarray([8.0, 0, 0])})
    found = [p for p, _ in ours.adaptation(Sum(smooth_mlp(), MSE, "none"), meta, None, 5)]
    assert [float(p["w"][0]) for p in found] == [0, -1, -3, -7, -11, -15]
    assert [float(p["head"][0]) for p in found] == [0, -8, -8, -8, -8, -8]


# Orders ------------------------------------------------------------------------------------------


def test_training_begins_in_first_order():
    learner, task, ours = images(), image_task(), plain(first_order_share=0.3)
    meta = meta_of(ours, learner)
    for fraction, order in ((0.0, 1), (0.29, 1), (0.3, 2), (1.0, 2)):
        maml = Maml(steps=STEPS, rate=0.0625, adapts="weights", order=order)
        found = meta_gradient(ours.at(fraction), learner, meta, task).params
        assert np.array_equal(flat(found), flat(meta_gradient(maml, learner, meta.params, task)))


def test_the_phases_of_training():
    """A step is compiled for each, and none for losses that do not count."""
    ours = MamlPlusPlus(multi_step_share=0.1, first_order_share=0.3)
    phases = [ours.at(f) for f in np.linspace(0, 1, 101)]
    distinct = list(dict.fromkeys(phases))
    assert [(p.order, p.multi_step_share) for p in distinct] == [(1, 0.1), (1, 0.0), (2, 0.0)]
    assert MamlPlusPlus(order=1).at(1.0).order == 1


def test_the_order_recorded_is_that_of_the_end(tmp_path):
    config = small_config(algorithm="maml++", settings={"first_order_share": "0.5"})
    assert algorithm_of(config).at(0.0).order == 1
    run, _ = new_run(tmp_path / "run", config)
    assert open_run(run.path).order == 2


# All together ------------------------------------------------------------------------------------


@pytest.mark.parametrize("remat", REMAT)
def test_meta_gradient_is_the_derivative_of_the_loss(remat):
    """Of a network without kinks, with rates of their own, and losses on the way."""
    ours = plain(learned_rates=True, step_norms=True, multi_step_share=0.5, remat=remat)
    learner, task = dataclasses.replace(sines(), progress=0.1), sine_task(0)
    meta = perturbed(meta_of(ours, learner))

    def loss(vector: np.ndarray) -> float:
        return float(ours.meta_loss(learner, unflat(vector, meta), task)[0])

    expected = central_differences(loss, flat(meta), h=1e-3)
    assert_close(meta_gradient(ours, learner, meta, task), unflat(expected, meta), 1e-8)


@pytest.mark.parametrize("mode", ["transductive", "support", "per_step"])
def test_meta_gradient_through_the_convolutional_network(mode):
    """With everything on, along one direction."""
    smooth = ACCURACY._replace(loss=nn.cross_entropy)
    ours = plain(learned_rates=True, step_norms=True, multi_step_share=0.5)
    learner = dataclasses.replace(images(mode, progress=0.1), measure=smooth)
    task, meta = image_task(), perturbed(meta_of(ours, learner))
    point, direction = flat(meta), np.random.default_rng(4).normal(size=flat(meta).size)
    direction /= np.linalg.norm(direction)

    def along(t: float) -> float:
        return float(ours.meta_loss(learner, unflat(point + t * direction, meta), task)[0])

    h = 1e-5  # relu has kinks, so the step is small and the tolerance that of eps/h
    expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    found = direction @ flat(meta_gradient(ours, learner, meta, task))
    assert abs(found - expected) <= 1e-8 * max(1.0, abs(expected))


@pytest.mark.parametrize("mode", MODES)
def test_statistics_have_the_form_of_the_averages(mode):
    ours, learner = MamlPlusPlus(steps=2, multi_step_share=1.0), images(mode, progress=0.1)
    _, (_, seen) = ours.meta_loss(learner, meta_of(ours, learner), image_task())
    averages = initial_averages(mode, learner.model, 2)
    assert ac.tree_flatten(seen)[1] == ac.tree_flatten(averages)[1]
    shapes = [[leaf.shape for leaf in ac.tree_leaves(tree)] for tree in (seen, averages)]
    assert shapes[0] == shapes[1]


def test_fewer_ways_than_outputs():
    learner, ours = images(), MamlPlusPlus(steps=2)
    meta = ours.with_ways(meta_of(ours, learner), 2)
    x = image_task().support[0][:4]
    labels = np.arange(4) % 2
    assert ours.predict(learner, meta, (x, labels), x, steps=4).shape == (4, 2)


def test_options_that_suit_it_and_the_task():
    images, waves = (make_config(name, {"algorithm": "maml++"}) for name in ("glyphs", "sinusoid"))
    assert (images.inner_steps, images.inner_lr, images.meta_batch) == (5, 0.1, 8)
    assert (waves.inner_steps, waves.inner_lr, waves.meta_batch) == (5, 0.01, 25)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"multi_step_share": 1.5}, "multi_step_share=1.5; expected a share"),
        ({"first_order_share": -0.1}, "first_order_share=-0.1; expected a share"),
        ({"multi_step_share": float("nan")}, "expected a share"),
        ({"adapts": "all"}, "step_norms=false"),
    ],
)
def test_settings_that_make_no_sense(settings, says):
    with pytest.raises(OptionError, match=says):
        MamlPlusPlus(**settings)


def test_the_command_learns(capsys, tmp_path):
    out = tmp_path / "run"
    options = {**SINUSOID, "iterations": 300, "validate_every": 300, "eval_steps": 5}
    words = flags({**options, "algorithm": "maml++", "meta_lr": 0.01, "out": out})
    result = command(capsys, "train", "sinusoid", *words)
    assert result.code == 0, result
    again = command(capsys, "evaluate", out, "--episodes", 100, "--json")
    scores = [row["mean"] for row in json.loads(again.out)["scores"]]
    assert scores[5] < 0.8 * scores[0]


def test_resuming_reaches_the_same_bits(tmp_path):
    """From each phase of training: its first order, with losses on the way, and its second."""
    settings = {"multi_step_share": "0.5", "first_order_share": "0.5"}
    options = {"algorithm": "maml++", "settings": settings, "inner_steps": 2, "iterations": 8}
    config = small_config(**options)
    reference = train(tmp_path / "reference", config)
    resumed = trained_with_stops(tmp_path / "run", config, [1, 4, 6])
    assert finals(resumed) == finals(reference)
