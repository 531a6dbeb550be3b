"""Training: it learns, it repeats, it resumes to the same bits, and it stops when it diverges."""

import errno
import os

import numpy as np
import pytest

import autograd_core as ac
from metalearn import checkpoints, training
from metalearn.errors import DivergedError, RunError
from metalearn.learner import Learner
from metalearn.normalisation import MODES
from metalearn.problems import open_problem
from metalearn.training import Trainer

from .helpers import contents, new_run, small_config, train, untimed


def finals(run):
    """Final arrays by name, and the metrics without their times."""
    arrays, _ = checkpoints.read(run.last)
    arrays = {name: a.tobytes() for name, a in arrays.items()}
    return arrays, untimed(run), run.best.read_bytes()


class StopAt:
    """Asks training to stop after an iteration."""

    def __init__(self, trainer: Trainer, iteration: int):
        self.trainer, self.iteration = trainer, iteration

    def __call__(self) -> bool:
        return self.trainer.iteration >= self.iteration


def trained_with_stops(path, config, stops):
    run, problem = new_run(path, config)
    for stop in stops:
        trainer = Trainer(run, problem)
        assert not trainer.train(StopAt(trainer, stop))
        assert trainer.iteration == stop
        run.__dict__.pop("metrics", None)  # as a new process would, know nothing of this one
    assert Trainer(run, problem).train()
    return run


def test_training_lowers_the_loss(tmp_path):
    config = small_config(iterations=300, hidden=(40, 40), validate_every=50)
    lines = train(tmp_path / "run", config).metrics.read()
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_falls_to_the_final_one(tmp_path, schedule):
    config = small_config(iterations=2, schedule=schedule, meta_lr=1e-2, meta_lr_final=1e-3)
    run, problem = new_run(tmp_path / "run", config)
    trainer = Trainer(run, problem)
    before = trainer.rate
    trainer.train(StopAt(trainer, 1))
    halfway = trainer.rate
    trainer.train()
    rates = [before, halfway, trainer.rate]
    assert rates == pytest.approx([1e-2, 5.5e-3, 1e-3])


def test_the_same_seed_gives_the_same_bits(tmp_path):
    a, b, c = (
        finals(train(tmp_path / name, small_config("glyphs", seed=seed)))
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    assert a == b
    assert a[0] != c[0]


@pytest.mark.parametrize("stops", [[3], [10], [1, 2, 17, 39]])
def test_resuming_gives_the_same_bits(tmp_path, stops):
    config = small_config(seed=1)
    reference = train(tmp_path / "reference", config)
    assert finals(trained_with_stops(tmp_path / "run", config, stops)) == finals(reference)


@pytest.mark.parametrize("mode", MODES)
def test_resuming_carries_every_kind_of_batch_norm(tmp_path, mode):
    config = small_config("glyphs", batch_norm=mode, inner_steps=2, iterations=3)
    reference = train(tmp_path / "reference", config)
    assert finals(trained_with_stops(tmp_path / "run", config, [1])) == finals(reference)


def test_a_finished_run_resumes_to_itself(tmp_path):
    run = train(tmp_path / "run", small_config(iterations=7))  # no multiple of validate_every
    before = finals(run)
    assert Trainer(run, open_problem(run.config)).train()
    assert finals(run) == before


def test_the_last_iteration_is_validated_and_the_best_one_kept(waves_run):
    validations = [line for line in waves_run.metrics.read() if "validation" in line]
    assert [line["iteration"] for line in validations] == [10, 20, 30, 40]
    best = min(validations, key=lambda line: line["validation"]["mean"])
    _, record = checkpoints.read(waves_run.best)
    assert record["iteration"] == best["iteration"]
    assert [line for line in validations if line["best"]][-1] == best


@pytest.mark.parametrize("mode", ["transductive", "running"])
def test_slices_of_the_meta_batch_add_up(mode):
    config = small_config("glyphs", meta_batch=5, batch_norm=mode)
    problem, algorithm = open_problem(config), training.algorithm_of(config)
    learner = Learner(training.model_of(config), problem.measure, mode)
    params = training.initial_state(config, learner.model).params
    tasks = problem.sampler("train", 1, 2, 0).sample(0, range(5))
    gradient = training.mean_gradient(algorithm, learner)
    whole = gradient(params, tasks)
    sliced = training.in_slices(gradient, 2, lambda f: f)(params, tasks)
    for a, b in zip(ac.tree_leaves(whole), ac.tree_leaves(sliced), strict=True):
        scale = np.abs(np.asarray(a)).max()
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * max(float(scale), 1e-6))


def updated(**options):
    """The parameters after two meta-updates."""
    config = small_config("glyphs", meta_batch=5, **options)
    problem = open_problem(config)
    model = training.model_of(config)
    learner = Learner(model, problem.measure, config.batch_norm)
    step = training.meta_step(training.algorithm_of(config), learner, config)
    state = training.initial_state(config, model)
    sampler = problem.sampler("train", 1, 2, 0)
    for i in range(2):
        state = training.meta_update(step, state, sampler.sample(i, range(5)), 1e-3).state
    return [np.asarray(x) for x in ac.tree_leaves(state)]


@pytest.mark.parametrize("mode", ["transductive", "per_step"])
def test_compiled_updates_are_the_eager_ones(mode):
    for a, b in zip(
        updated(jit=True, batch_norm=mode), updated(jit=False, batch_norm=mode), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-4 * max(float(np.abs(b).max()), 1e-3))


def test_slices_of_tasks_make_no_difference_to_compiled_updates():
    whole = updated(jit=True)
    for size in (1, 2, 5):
        for a, b in zip(updated(jit=True, task_slice=size), whole, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_budget_in_minutes_ends(tmp_path):
    config = small_config(iterations=None, minutes=0.01)
    run, problem = new_run(tmp_path / "run", config)
    trainer = Trainer(run, problem)
    assert trainer.train()
    assert 0.6 <= trainer.seconds < 20
    assert trainer.iteration > 0


def test_the_rate_follows_the_budget(tmp_path):
    run, problem = new_run(tmp_path / "run", small_config(iterations=100, meta_lr=2.0))
    trainer = Trainer(run, problem)
    for iteration, rate in ((0, 2.0), (50, 1.0), (100, 0.0)):
        trainer.iteration = iteration
        assert trainer.rate == pytest.approx(rate, abs=1e-12)


def test_a_loss_that_is_not_finite_stops_training(tmp_path):
    config = small_config(inner_lr=1e30, validate_every=1)
    run, problem = new_run(tmp_path / "run", config)
    with pytest.raises(DivergedError, match=r"iteration 1.*--inner-lr"):
        Trainer(run, problem).train()
    arrays, record = checkpoints.read(run.last)
    assert record["iteration"] == 0
    assert all(np.isfinite(a).all() for a in arrays.values())


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    run, problem = new_run(tmp_path / "run", small_config())
    trainer, update = Trainer(run, problem), training.meta_update

    def poisoned(*args):
        found = update(*args)
        if trainer.iteration < 12:
            return found
        params = ac.tree_map(lambda p: p * np.float32("nan"), found.state.params)
        return found._replace(state=found.state._replace(params=params))

    monkeypatch.setattr(training, "meta_update", poisoned)
    with pytest.raises(DivergedError, match="iteration 13: a parameter is not finite"):
        trainer.train()
    arrays, record = checkpoints.read(run.last)
    assert record["iteration"] == 10
    assert all(np.isfinite(a).all() for a in arrays.values())


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    run, problem = new_run(tmp_path / "run", small_config())
    trainer = Trainer(run, problem)
    assert not trainer.train(StopAt(trainer, 20))
    before = {k: v for k, v in contents(run.path).items() if "metrics" not in k}
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_args):
        raise full

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="No space left"):
        Trainer(run, problem).train()
    monkeypatch.undo()
    assert {k: v for k, v in contents(run.path).items() if "metrics" not in k} == before
    reference = train(tmp_path / "reference", run.config)
    assert Trainer(run, open_problem(run.config)).train()
    assert finals(run) == finals(reference)
