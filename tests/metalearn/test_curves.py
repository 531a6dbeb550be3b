"""What training tells of itself: measured rightly, the same after resuming, drawn, and written for
TensorBoard."""

import math
import shutil
import struct
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn import checkpoints, cli, curves, probes, tensorboard, training
from metalearn.algorithms import Maml, make_algorithm
from metalearn.evaluation import steps_told
from metalearn.learner import MSE, Learner
from metalearn.models import mlp
from metalearn.pictures import png
from metalearn.probes import Prober, mean_cosine, rates_of
from metalearn.problems import open_problem
from metalearn.runs import open_run
from metalearn.training import Trainer

from .algorithms.common import flat
from .helpers import (
    SINUSOID,
    command,
    contents,
    fails,
    flags,
    new_run,
    small_config,
    train,
    untimed,
)

RATES = """
from dataclasses import dataclass
import autograd_core as ac
from metalearn.algorithms import Algorithm

@dataclass(frozen=True)
class Rates(Algorithm):
    each: bool = True  # one a number; else one an array and step

    def init(self, model, key):
        params = model.init(key)
        shape = lambda p: p.shape if self.each else (self.steps,)
        rates = ac.tree_map(lambda p: ac.full(shape(p), self.rate, dtype=p.dtype), params)
        return {"params": params, "rates": rates}

    def start(self, learner, meta, support):
        return meta["params"]

    def step(self, learner, meta, params, support, number):
        gradient, seen = self.gradient(learner, params, support, number)
        at = lambda a: a if self.each else a[min(number, self.steps - 1)]
        change = lambda p, g, a: p - at(a) * g
        return self.updated(params, change, gradient, meta["rates"]), seen

    def learned(self, meta):
        return ac.tree_map(lambda a: a[None] if self.each else a, meta["rates"])
"""


@pytest.fixture
def rates_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(RATES)
    return f"{path}:Rates"


def lines_with(key, run):
    return [line for line in run.metrics.read() if key in line]


# What is measured -----------------------------------------------------------------------------


def test_scores_are_told_for_every_inner_step_and_the_last_one_chooses(waves_run):
    for line in lines_with("validation", waves_run):
        assert [row["steps"] for row in line["scores"]] == [0, 1, 2]  # eval_steps is 2
        last = line["scores"][-1]
        assert line["validation"] == {k: last[k] for k in ("mean", "half_width")}
    means = [line["validation"]["mean"] for line in lines_with("validation", waves_run)]
    assert checkpoints.read(waves_run.best)[1]["validation"]["mean"] == min(means)


def test_many_steps_are_told_of_in_part():
    assert steps_told(3) == [0, 1, 2, 3]
    assert steps_told(200) == [*range(11), 20, 50, 100, 200]
    assert steps_told(0) == [0]


def setting(dataset="sinusoid", **changes):
    config = small_config(dataset, **changes)
    problem = open_problem(config)
    learner = Learner(training.model_of(config), problem.measure, config.batch_norm)
    sampler = problem.sampler("train", config.shots, config.queries, config.seed)
    meta = training.initial_state(config, learner.model).params
    return config, learner, sampler, meta


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_the_norm_is_that_of_the_meta_gradient_before_clipping(tmp_path, clip):
    config, learner, sampler, meta = setting(iterations=1, meta_clip=clip)
    config = replace(config, validate_every=1)
    tasks = sampler.sample(0, range(config.meta_batch))
    gradient = training.mean_gradient(training.algorithm_of(config), learner)(meta, tasks)[2]
    (line,) = lines_with("loss", train(tmp_path / "run", config))
    expected = np.linalg.norm(flat(gradient).astype(np.float64))
    assert line["gradient_norm"] == pytest.approx(expected, rel=1e-5)


def test_norms_are_means_since_the_last_line(tmp_path):
    each = lines_with("loss", train(tmp_path / "each", small_config(validate_every=1)))
    some = lines_with("loss", train(tmp_path / "some", small_config(validate_every=50)))
    assert [line["iteration"] for line in some] == list(range(2, 41, 2))
    norms = np.array([line["gradient_norm"] for line in each])
    np.testing.assert_allclose(
        [line["gradient_norm"] for line in some], norms.reshape(-1, 2).mean(axis=1), rtol=1e-6
    )


def pairwise(vectors):
    units = [v / np.linalg.norm(v) for v in vectors]
    return np.mean([a @ b for a, b in combinations(units, 2)])


def test_mean_cosines():
    turns = np.array([0, 2, 4]) * np.pi / 3
    for vectors, expected in (
        ([[1, 0], [5, 0], [2, 0]], 1),
        ([[1, 0], [0, 3]], 0),
        ([[1, 1], [-2, -2]], -1),
        (np.stack([np.cos(turns), np.sin(turns)], axis=1), -0.5),
    ):
        assert mean_cosine(np.array(vectors, float)) == pytest.approx(expected, abs=1e-12)
    vectors = np.random.default_rng(0).normal(size=(8, 30))
    assert mean_cosine(vectors) == pytest.approx(pairwise(vectors), abs=1e-12)
    with np.errstate(invalid="ignore"):
        assert math.isnan(mean_cosine(np.array([[0.0, 0.0], [1.0, 0.0]])))


@pytest.mark.parametrize("adapts", ["all", "head"])
def test_a_probe_measures_what_it_says(adapts):
    """Beside gradients taken one by one, task by task."""
    config, learner, sampler, meta = setting(jit=False)
    algorithm = Maml(steps=2, rate=0.01, adapts=adapts)
    found = Prober(learner, sampler, config)(algorithm, meta, 0.5)
    batch = sampler.sample(0, range(probes.TASKS))
    metas, firsts, norms = [], [], []
    for i in range(probes.TASKS):
        task = ac.tree_map(lambda x, i=i: x[i], batch)
        gradient = ac.grad(lambda m, t=task: algorithm.meta_loss(learner, m, t)[0])(meta)
        adapted = [p for p, _ in algorithm.adaptation(learner, meta, task.support, 2)]
        slope = ac.grad(lambda p, t=task: learner.support_loss(p, t.support, 0)[0])
        inner = [slope(p) if adapts == "all" else slope(p)[-1] for p in adapted]
        metas.append(flat(gradient))
        firsts.append(flat(inner[0]))
        norms.append([np.linalg.norm(flat(g)) for g in inner])
    assert found.tasks == probes.TASKS
    np.testing.assert_allclose(found.inner_norms, np.mean(norms, axis=0), rtol=1e-5)
    assert found.meta_similarity == pytest.approx(pairwise(metas), abs=1e-5)
    assert found.inner_similarity == pytest.approx(pairwise(firsts), abs=1e-5)


def test_probes_are_the_same_compiled_and_in_slices():
    found = []
    for changes in ({"jit": False}, {"jit": True}, {"task_slice": 3}, {"meta_batch": 1}):
        config, learner, sampler, meta = setting(**changes)
        probe = Prober(learner, sampler, config)(Maml(steps=2, rate=0.01), meta, 0.0)
        found.append([*probe.inner_norms, probe.meta_similarity, probe.inner_similarity])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5)


def test_without_inner_steps_there_are_no_inner_gradients():
    config, learner, sampler, meta = setting()
    found = Prober(learner, sampler, config)(Maml(steps=0), meta, 0.0)
    assert (found.inner_norms, found.inner_similarity) == ([], None)
    assert -1 <= found.meta_similarity <= 1


def test_seconds_are_told_by_what_they_went_to(waves_run):
    lines = waves_run.metrics.read()
    assert all(set(line["spent"]) == set(training.ACTIVITIES) for line in lines)
    sums = {name: sum(line["spent"][name] for line in lines) for name in training.ACTIVITIES}
    assert min(sums.values()) > 0
    assert sum(sums.values()) <= lines[-1]["seconds"] + 0.01
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    assert all(line["spent"]["evaluating"] > 0 for line in lines_with("validation", waves_run))
    assert all(line["spent"]["updating"] > 0 for line in lines_with("loss", waves_run))


@pytest.mark.parametrize("each", [True, False])
def test_learned_rates_by_layer(tmp_path, rates_file, each):
    settings = {"each": str(each).lower()}
    config = small_config(algorithm=rates_file, settings=settings, inner_steps=2, inner_lr=0.01)
    run = train(tmp_path / "run", config)
    last = lines_with("rates", run)[-1]
    arrays, _ = checkpoints.read(run.last)
    assert len(last["rates"]) == 6  # weights and biases of three layers
    for name, told in last["rates"].items():
        rates = arrays[f"params.rates.{name}"].astype(np.float64)
        rows = rates.reshape(1, -1) if each else rates.reshape(2, 1)
        np.testing.assert_allclose(told["mean"], rows.mean(axis=1), rtol=1e-12)
        if rows.shape[1] > 1:
            ends = np.quantile(rows, [0.1, 0.9], axis=1)
            np.testing.assert_allclose([told["low"], told["high"]], ends, rtol=1e-12)
        else:
            assert set(told) == {"mean"}
    assert "learned_rates" in curves.figures(run.metrics.read(), MSE, config)


@pytest.mark.parametrize(("name", "told"), [("meta-sgd", 1), ("maml++", 2)])
def test_algorithms_with_learned_rates_tell_of_them(name, told):
    algorithm = make_algorithm(name, steps=2, rate=0.25)
    found = rates_of(algorithm, algorithm.init(mlp(1, 1, (8, 8)), random.key(0)))
    assert set(found) == {f"{layer}.{kind}" for layer in range(3) for kind in ("weight", "bias")}
    assert all(rates["mean"] == [0.25] * told for rates in found.values())


def test_algorithms_without_learned_rates_tell_of_none(waves_run):
    assert not lines_with("rates", waves_run)
    assert "learned_rates" not in curves.figures(waves_run.metrics.read(), MSE, waves_run.config)


# Going on -------------------------------------------------------------------------------------


def test_measuring_changes_nothing_of_what_is_learned(tmp_path, monkeypatch):
    measured = train(tmp_path / "measured", small_config())
    monkeypatch.setattr(Trainer, "_curves", lambda _: {})
    plain = train(tmp_path / "plain", small_config())
    for file in ("last", "best"):
        one, other = (checkpoints.read(getattr(run, file))[0] for run in (measured, plain))
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_times_go_on_where_they_stopped(tmp_path):
    run, problem = new_run(tmp_path / "run", small_config(validate_every=100))
    trainer = Trainer(run, problem)
    assert not trainer.train(lambda: trainer.iteration >= 7)  # lines come every 4 iterations
    saved = checkpoints.read(run.last)[1]
    assert saved["spent"]["updating"] > 0 and saved["sums"][-1] == 3
    again = Trainer(run, problem)
    assert again.spent == saved["spent"] and again.sums == saved["sums"]


def test_a_checkpoint_of_before_goes_on_to_the_same_bits(tmp_path):
    """It added up no norms and no times: the first line has no norm, and all others have one."""
    config = small_config(validate_every=100)
    reference = train(tmp_path / "reference", config)
    run, problem = new_run(tmp_path / "run", config)
    trainer = Trainer(run, problem)
    assert not trainer.train(lambda: trainer.iteration >= 7)
    record = checkpoints.read(run.last)[1]
    loss, score, _, count = record["sums"]
    del record["spent"]
    checkpoints.save(run.last, trainer.state._asdict(), {**record, "sums": [loss, score, count]})
    assert Trainer(run, problem).train()
    one, other = (checkpoints.read(r.last)[0] for r in (run, reference))
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    norms = [line["gradient_norm"] for line in lines_with("loss", run)]
    assert norms[1] is None and None not in norms[:1] + norms[2:]


# Pictures -------------------------------------------------------------------------------------

NEW = {"spent", "scores", "probe", "gradient_norm", "rates"}


def drawn(run, lines=None):
    problem = open_problem(run.config)
    lines = run.metrics.read() if lines is None else lines
    return curves.figures(lines, problem.measure, run.config)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["waves_run", "glyphs_run"])
def test_pictures_have_labels_and_legends_beside_the_data(request, name):
    found = drawn(request.getfixturevalue(name))
    assert list(found) == ["learning_curves", "adaptation", "gradients", "time"]
    for figure in found.values():
        png(figure)  # lays it out
        for axes in figure.axes:
            assert axes.get_xlabel() and axes.get_ylabel() and axes.get_title(loc="left")
            legend = axes.get_legend().get_window_extent()
            assert not legend.overlaps(axes.get_window_extent())
            assert axes.get_legend().get_texts()


@pytest.mark.filterwarnings("error")
def test_metrics_of_before_are_drawn_as_far_as_they_go(waves_run):
    old = [{k: v for k, v in x.items() if k not in NEW} for x in waves_run.metrics.read()]
    assert list(drawn(waves_run, old)) == ["learning_curves"]
    mixed = old[: len(old) // 2] + waves_run.metrics.read()[len(old) // 2 :]
    for figure in drawn(waves_run, mixed).values():
        png(figure)
    assert drawn(waves_run, []) == {}


@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_is_left_out_of_pictures(waves_run):
    def poisoned(value):
        if isinstance(value, dict):
            return {k: v if k in ("steps", "tasks") else poisoned(v) for k, v in value.items()}
        if isinstance(value, list):
            return [poisoned(v) for v in value]
        return None if isinstance(value, float) else value

    keep = ("seconds", "spent", "iteration")
    lines = [
        {k: v if k in keep else poisoned(v) for k, v in x.items()} for x in waves_run.metrics.read()
    ]
    for figure in drawn(waves_run, lines).values():
        png(figure)
    assert drawn(waves_run, [*lines, *waves_run.metrics.read()])


def test_errors_far_above_those_before_adaptation_do_not_hide_the_others(waves_run):
    lines = waves_run.metrics.read()
    for line in lines:
        for row in line.get("scores", ())[-1:]:
            row["mean"] = 1e20
    for axes in drawn(waves_run, lines)["adaptation"].axes:
        assert axes.get_ylim()[1] < 1e4


def test_time_adds_up(waves_run):
    stretches = curves._stretches(waves_run.metrics.read())
    assert [(start, end) for start, end, _ in stretches] == [(0, 10), (10, 20), (20, 30), (30, 40)]
    total = sum(sum(spent.values()) for *_, spent in stretches)
    assert total == pytest.approx(waves_run.metrics.read()[-1]["seconds"], abs=0.01)


def test_show_draws_them(capsys, waves_run, tmp_path):
    run = shutil.copytree(waves_run.path, tmp_path / "run")
    result = command(capsys, "show", run)
    assert result.code == 0, result.err
    names = [Path(line).name for line in result.out.splitlines()]
    assert names == [
        *("learning_curves.png", "adaptation.png", "gradients.png", "time.png", "sinusoids.png")
    ]


# TensorBoard ----------------------------------------------------------------------------------


@pytest.fixture
def events_of():
    """The function of a run's folder → its numbers and pictures, [(tag, step, value)]."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    from tensorboardX.proto.event_pb2 import Event

    def read(folder):
        (file,) = (folder / "tensorboard").iterdir()
        data, found = file.read_bytes(), []
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                kind = value.WhichOneof("value")
                content = value.simple_value if kind == "simple_value" else value.image.height
                found.append((value.tag, event.step, content))
        return found

    return read


def train_command(path, **changes):
    return ["train", "sinusoid", *flags({**SINUSOID, **changes}), "--out", path, "--tensorboard"]


def test_tensorboard_has_every_number_and_the_pictures(capsys, tmp_path, events_of):
    result = command(capsys, *train_command(tmp_path / "run"))
    assert result.code == 0, result.err
    assert f"tensorboard --logdir {tmp_path / 'run' / 'tensorboard'}" in result.out
    found = {(tag, step): value for tag, step, value in events_of(tmp_path / "run")}
    lines = open_run(tmp_path / "run").metrics.read()
    expected = {}
    for line in lines:
        told = {}
        if "loss" in line:
            told |= {"train/loss": line["loss"], "train/MSE": line["score"]}
            told |= {"train/meta_gradient_norm": line["gradient_norm"]}
            told |= {"train/meta_rate": line["rate"]}
        if "validation" in line:
            told["validation/MSE"] = line["validation"]["mean"]
            for row in line["scores"]:
                told[f"validation_by_step/MSE_after_{row['steps']}"] = row["mean"]
            for steps, norm in enumerate(line["probe"]["inner_norms"]):
                told[f"inner_gradient_norm/after_{steps}"] = norm
            for name in ("meta_similarity", "inner_similarity"):
                told[f"task_gradients/{name}"] = line["probe"][name]
        expected |= {(tag, line["iteration"]): value for tag, value in told.items()}
    others = {k: v for k, v in found.items() if not k[0].startswith(("pictures/", "seconds/"))}
    assert others == {k: pytest.approx(v, rel=1e-6) for k, v in expected.items()}
    for name in training.ACTIVITIES:
        total = sum(line["spent"][name] for line in lines)
        assert found[f"seconds/{name}", 40] == pytest.approx(total, rel=1e-6)
    pictures = {tag for tag, step in found if tag.startswith("pictures/") and step == 40}
    names = {p.stem for p in (tmp_path / "run" / "pictures").iterdir()}
    assert pictures == {f"pictures/{name}" for name in names}
    assert all(found[tag, 40] > 300 for tag in pictures)  # pixels


def followed(run, until):
    """A session of training that ends at an iteration, with events."""
    run.__dict__.pop("metrics", None)  # as a new process would, know nothing of the one before
    with tensorboard.Board(run.path / "tensorboard", run) as board:
        run.metrics.listeners.append(board.add)
        trainer = Trainer(run, open_problem(run.config))
        trainer.train(lambda: trainer.iteration >= until)


def numbers(events):
    return [event for event in events if not event[0].startswith("seconds/")]


def test_tensorboard_goes_on_with_the_run_and_forgets_what_was_lost(tmp_path, events_of):
    """As of a training that was killed after it wrote more than its checkpoint holds."""
    run, _ = new_run(tmp_path / "run", small_config())
    followed(run, 17)
    kept = contents(run.path / "checkpoints")
    followed(run, 35)
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    (stale,) = (run.path / "tensorboard").iterdir()
    stale.rename(stale.with_name("events.out.tfevents.1.elsewhere"))
    followed(run, 99)
    whole, _ = new_run(tmp_path / "whole", small_config())
    followed(whole, 99)
    assert numbers(events_of(run.path)) == numbers(events_of(whole.path))
    assert untimed(run) == untimed(whole)


def test_tensorboard_can_begin_later(tmp_path, events_of):
    run, problem = new_run(tmp_path / "run", small_config())
    trainer = Trainer(run, problem)
    assert not trainer.train(lambda: trainer.iteration >= 17)
    followed(run, 99)
    steps = [step for tag, step, _ in events_of(run.path) if tag == "train/loss"]
    assert steps == list(range(1, 41))


@pytest.fixture
def without_tensorboard(monkeypatch):
    find = tensorboard.importlib.util.find_spec
    absent = lambda name, *more: None if name == "tensorboardX" else find(name, *more)
    monkeypatch.setattr(tensorboard.importlib.util, "find_spec", absent)


@pytest.mark.usefixtures("without_tensorboard")
def test_without_tensorboard_x_one_is_told_what_to_install(capsys, tmp_path):
    run = tmp_path / "run"
    fails(capsys, *train_command(run), code=2, says=("--tensorboard", "pip install tensorboardX"))
    assert not run.exists()
    train(run, small_config(iterations=10))
    before = contents(run)
    fails(capsys, "train", "--resume", run, "--tensorboard", code=2, says=("pip install",))
    assert contents(run) == before
    (run / "tensorboard").mkdir()  # as if it had been there when the run began
    result = command(capsys, "train", "--resume", run, "--iterations", 20)
    assert result.code == 0 and "tensorboard does not go on" in result.out


def test_help_tells_of_tensorboard(capsys):
    capsys.readouterr()
    assert cli.run(["train", "--help"]) == 0
    assert "--tensorboard" in capsys.readouterr().out
