import json
import shutil

import numpy as np
import pytest

import autograd_core as ac
import metalearn
from metalearn import evaluation, pictures
from metalearn.config import make_config
from metalearn.errors import OptionError, RunError
from metalearn.evaluation import Interval, steps_of_best
from metalearn.learner import ACCURACY, MSE, accuracy
from metalearn.problems import open_problem
from metalearn.runs import open_run, to_json
from metalearn.trained import evaluate, evaluation_lines, load_trained

from .helpers import SINUSOID, command, flags, new_run, small_config, train


def test_intervals_are_those_of_the_normal_distribution():
    scores = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0], [0.25, 1.0]])
    first, second = evaluation.intervals(scores)
    assert first.mean == scores[:, 0].mean()
    assert first.half_width == pytest.approx(1.96 * scores[:, 0].std(ddof=1) / 2)
    assert second == (1.0, 0.0)


def test_accuracy_counts_the_largest_logits():
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 0.0, 1.0], [5.0, 6.0, 1.0], [1.0, 0.0, 0.0]])
    assert float(accuracy(logits, np.array([0, 2, 0, 0]))) == 0.75


def test_better():
    assert ACCURACY.better(0.5, None) and ACCURACY.better(0.6, 0.5)
    assert not ACCURACY.better(0.5, 0.5) and not ACCURACY.better(float("nan"), 0.5)
    assert MSE.better(0.4, 0.5) and not MSE.better(0.5, 0.5)


@pytest.mark.parametrize("diverged", [float("inf"), float("nan")])
def test_a_task_on_which_adaptation_diverges_makes_the_score_the_worst(diverged):
    scores = np.array([[1.0, 2.0], [diverged, 4.0]])
    assert evaluation.intervals(scores)[0] == (np.inf, np.inf)
    assert MSE.better(9.0, diverged) and not MSE.better(diverged, 9.0)


def test_a_run_whose_first_validations_diverge(tmp_path):
    """Its best checkpoint is still the best, its files are strict JSON, and it can be drawn."""
    config = small_config(iterations=4, validate_every=1, inner_lr=0.5, eval_steps=40)
    run = train(tmp_path / "run", config)
    strict = lambda text: json.loads(text, parse_constant=pytest.fail)
    lines = [strict(line) for line in run.metrics.path.read_text().splitlines()]
    assert any(x["validation"]["mean"] is None for x in lines if "validation" in x)
    trained, problem = load_trained(run), open_problem(config)
    result = evaluate(trained, problem, episodes=60, steps=40, queries=3)
    assert strict(to_json(result))["scores"][-1]["mean"] is None
    *_, last, note = evaluation_lines(trained, problem, result)
    assert "inf" in last and "diverges in 40 inner steps" in note
    assert pictures.show(trained, problem, 2)


def test_scores_do_not_depend_on_how_many_are_computed_together(glyphs_run, monkeypatch):
    trained, problem = load_trained(glyphs_run), open_problem(glyphs_run.config)
    sampler = problem.sampler("test", 1, 3, 0)
    args = (trained.algorithm, trained.learner, trained.params, sampler, 7, [0, 2])
    together = evaluation.scores_at_steps(*args)
    monkeypatch.setattr(evaluation, "TASKS_AT_A_TIME", 3)
    np.testing.assert_allclose(evaluation.scores_at_steps(*args), together)
    assert together.shape == (7, 2)


def test_an_evaluation_says_what_it_is_of(glyphs_run):
    trained, problem = load_trained(glyphs_run), open_problem(glyphs_run.config)
    result = evaluate(trained, problem, episodes=4, steps=2, queries=3)
    assert [row["steps"] for row in result["scores"]] == [0, 1, 2]
    assert result["algorithm"] == {"name": "maml", "order": 2, "settings": {}}
    assert result["batch_norm"]["mode"] == "transductive"
    assert result["split"]["hash"] == problem.split.hash
    assert (result["part"], result["episodes"], result["measure"]) == ("test", 4, "accuracy")
    text = "\n".join(evaluation_lines(trained, problem, result))
    for fragment in ("second order", "transductive", "random-1", "held-out", "after inner step 2"):
        assert fragment in text


def test_the_score_is_that_of_the_adapted_parameters(waves_run):
    """One episode, computed by hand."""
    trained, problem = load_trained(waves_run), open_problem(waves_run.config)
    task = ac.tree_map(lambda a: a[0], problem.sampler("test", 10, 10, 0).sample(0, [0]))
    params = trained.params
    for step in range(2):
        gradient = ac.grad(lambda p, s=step: trained.learner.support_loss(p, task.support, s)[0])
        rate = waves_run.config.inner_lr
        params = ac.tree_map(lambda p, g, r=rate: p - r * g, params, gradient(params))
    predicted, _ = trained.learner.model.apply(params, task.query[0], "batch")
    expected = float(np.mean((np.asarray(predicted) - task.query[1]) ** 2))
    sampler = problem.sampler("test", 10, 10, 0)
    found = evaluation.scores_at_steps(
        trained.algorithm, trained.learner, trained.params, sampler, 2, [2]
    )
    assert found[0, 0] == pytest.approx(expected, rel=1e-4)


def test_a_run_without_a_best_checkpoint(tmp_path):
    run, _ = new_run(tmp_path / "run", small_config())
    with pytest.raises(RunError, match="--checkpoint last"):
        load_trained(run)


def test_modes_that_a_run_cannot_have(glyphs_run, waves_run):
    for run, mode in ((glyphs_run, "running"), (glyphs_run, "none"), (waves_run, "support")):
        with pytest.raises(OptionError, match=mode):
            load_trained(run, batch_norm=mode)
    assert load_trained(glyphs_run, batch_norm="support").learner.mode == "support"


# The steps to adapt by ------------------------------------------------------------------------


def test_the_fewest_steps_of_the_best_scores():
    scores = lambda *means: {steps: Interval(mean, 0.1) for steps, mean in enumerate(means)}
    assert steps_of_best(ACCURACY, scores(0.2, 0.7, 0.8, 0.8)) == 2
    assert steps_of_best(MSE, scores(2.0, 0.7, 0.8, np.inf)) == 1
    assert steps_of_best(MSE, scores(2.0, np.inf, 9.0)) == 2
    assert steps_of_best(MSE, scores(2.0, 3.0, 4.0)) == 1  # to adapt is asked for
    assert steps_of_best(ACCURACY, scores(0.9)) == 0  # there are no steps


@pytest.fixture(scope="module")
def freely_trained(tmp_path_factory):
    """A run that was not told how many steps to take, and that long ones do harm to."""
    options = {**SINUSOID, "inner_lr": 0.2, "validation_episodes": 40}
    del options["eval_steps"]
    return train(tmp_path_factory.mktemp("runs") / "free", make_config("sinusoid", options))


def test_what_did_best_in_validation_is_what_is_used(capsys, freely_trained, tmp_path):
    run = freely_trained
    lines = [line for line in run.metrics.read() if "validation" in line]
    best = [line for line in lines if line["best"]][-1]
    for checkpoint, line in (("best", best), ("last", lines[-1])):
        means = {s["steps"]: s["mean"] or np.inf for s in line["scores"] if s["steps"]}
        assert load_trained(run, checkpoint).steps == min(means, key=means.get)
    steps = load_trained(run).steps
    assert steps < run.config.eval_steps == 10
    x = np.linspace(-4, 4, 6)[:, None]
    np.savez(tmp_path / "s.npz", x=x, y=np.sin(x[:, 0]))
    files = ["--support", tmp_path / "s.npz", "--query", tmp_path / "s.npz"]
    result = command(capsys, "adapt", run.path, *files, "--out", tmp_path / "a")
    assert f"{steps} did best in validation, of 1 to 10; --steps decides" in result.out
    assert json.loads((tmp_path / "a" / "predictions.json").read_text())["steps"] == steps
    result = command(capsys, "adapt", run.path, *files, "--steps", 10, "--out", tmp_path / "b")
    assert "adapted by 10 inner steps to 6 examples" in result.out
    assert "did best" not in result.out
    model = metalearn.load(run.path, compiled=False).fit(x, np.sin(x[:, 0]))
    assert model.adapted_.about["steps"] == steps
    out = tmp_path / "m.safetensors"
    result = command(capsys, "export", run.path, *files[:2], "--out", out)
    assert f"{steps} did best in validation" in result.out
    assert metalearn.load(out).adapted_.about["steps"] == steps


def test_scores_are_told_of_as_many_steps_as_ever(capsys, freely_trained):
    result = command(capsys, "evaluate", freely_trained.path, "--episodes", 4, "--json")
    assert [row["steps"] for row in json.loads(result.out)["scores"]] == list(range(11))


def test_steps_that_were_asked_for_are_used(capsys, freely_trained, tmp_path, waves_run):
    assert load_trained(waves_run).steps == waves_run.config.eval_steps == 2
    old = shutil.copytree(freely_trained.path, tmp_path / "old")
    record = json.loads((old / "config.json").read_text())
    assert record["options"].pop("steps_given") is False
    (old / "config.json").write_text(json.dumps(record))
    assert load_trained(open_run(old)).steps == 10  # as an older version did
    out = tmp_path / "run"
    given = flags({**SINUSOID, "inner_lr": 0.2, "eval_steps": 10})
    said = command(capsys, "train", "sinusoid", *given, "--no-jit", "--out", out).out
    assert load_trained(open_run(out)).steps == 10 and "did best" not in said
    del given[given.index("--eval-steps") : given.index("--eval-steps") + 2]
    again = tmp_path / "again"
    said = command(capsys, "train", "sinusoid", *given, "--no-jit", "--out", again).out
    assert "adapt and export take" in said and "did best in validation" in said
