"""Yardsticks: closed forms, the episodes of the evaluation, and what is said of them."""

import json

import numpy as np
import pytest

from metalearn.learner import ACCURACY, MSE
from metalearn.problems import Functions, Tabular
from metalearn.tasks import load_tables
from metalearn.yardsticks import (
    CLASSIFICATION,
    PENALTY,
    REGRESSION,
    mean_target,
    most_frequent,
    nearest_mean,
    ridge,
    yardstick_lines,
    yardsticks,
)
from tests.tasks.helpers import table_rows, write_csv

from .helpers import command, flags

rng = np.random.default_rng(0)


def test_the_mean_of_the_targets():
    y = np.array([[1.0], [2.0], [6.0]])
    found = mean_target(np.zeros((3, 2)), y, np.ones((4, 2)))
    np.testing.assert_array_equal(found, np.full((4, 1), 3.0))


def test_ridge_of_one_column_is_the_textbook_s():
    x, y, queries = rng.normal(size=(5, 1)), rng.normal(size=(5, 1)), rng.normal(size=(3, 1))
    dx, dy = x - x.mean(), y - y.mean()
    slope = (dx * dy).sum() / ((dx**2).sum() + PENALTY)
    np.testing.assert_allclose(ridge(x, y, queries), y.mean() + slope * (queries - x.mean()))


@pytest.mark.parametrize("rows,columns", [(9, 3), (3, 9), (1, 2)])
def test_ridge_minimises_what_it_says(rows, columns):
    """In its primal form: weights and a free intercept of least squares with a penalty."""
    x, y = rng.normal(size=(rows, columns)), rng.normal(size=(rows, 1))
    queries = rng.normal(size=(4, columns))
    with_one = np.hstack([x, np.ones((rows, 1))])
    penalty = np.diag([PENALTY] * columns + [0.0])
    weights = np.linalg.solve(with_one.T @ with_one + penalty, with_one.T @ y)
    expected = np.hstack([queries, np.ones((4, 1))]) @ weights
    np.testing.assert_allclose(ridge(x, y, queries), expected)


def test_the_most_frequent_class_and_of_several_the_first():
    x, queries = np.zeros((5, 1)), np.zeros((2, 1))
    assert most_frequent(x, np.array([2, 0, 2, 1, 2]), queries).tolist() == [2, 2]
    assert most_frequent(x, np.array([2, 1, 2, 1, 0]), queries).tolist() == [1, 1]


def test_the_nearest_class_mean():
    x = np.array([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [6.0, 0.0]])
    queries = np.array([[1.0, 1.0], [5.0, 1.0], [2.4, 0.5], [2.6, 0.5]])
    y = np.array([3, 3, 1, 1])  # with means (0, 1) and (5, 0)
    assert nearest_mean(x, y, queries).tolist() == [3, 1, 3, 1]


USED = {"regression": REGRESSION, "classification": CLASSIFICATION}


@pytest.mark.parametrize("kind", USED)
def test_scores_are_those_of_the_same_episodes(tmp_path, kind):
    path, used = write_csv(tmp_path / "t.csv", table_rows(kind)), USED[kind]
    problem = Tabular(load_tables(path, task="task", target="y", kind=kind))
    sampler = problem.sampler("test", 3, 2, 0)
    found = yardsticks(problem, sampler, 30)
    assert [row["name"] for row in found] == [each.name for each in used]
    task = sampler.sample(0, range(30))
    for row, each in zip(found, used, strict=True):
        scores = []
        for x, y, qx, qy in zip(*task.support, *task.query, strict=True):
            predicted = each.predict(x, y, qx)
            right = np.mean(predicted == qy)
            scores.append(np.mean((predicted - qy) ** 2) if kind == "regression" else right)
        assert row["mean"] == pytest.approx(np.mean(scores), rel=1e-5)
        width = 1.96 * np.std(scores, ddof=1) / np.sqrt(30)
        assert row["half_width_95"] == pytest.approx(width, rel=1e-4, abs=1e-9)
    if kind == "classification":
        assert found[0]["mean"] == 0.5  # as many rows of each label


def test_only_tables_have_yardsticks():
    problem = Functions("sinusoid")
    assert yardsticks(problem, problem.sampler("test", 3, 2, 0), 4) == []
    assert yardstick_lines(MSE, {"yardsticks": [], "scores": [{"mean": 1.0}]}, 9) == []


@pytest.mark.parametrize(
    "measure,reached,others,behind",
    [
        (MSE, 0.4, (0.9, 0.3), "MSE 0.4, and 0.3 by b"),
        (MSE, 0.2, (0.9, 0.3), None),
        (MSE, float("inf"), (0.9, 1.3), "MSE inf, and 0.9 by a"),
        (ACCURACY, 0.6, (0.5, 0.7), "accuracy 60.0 %, and 70.0 % by b"),
        (ACCURACY, 0.7, (0.5, 0.7), None),
    ],
)
def test_a_run_that_is_behind_is_told(measure, reached, others, behind):
    names = zip("ab", others, strict=True)
    found = [{"name": name, "mean": mean, "half_width_95": 0.1} for name, mean in names]
    scores = [{"mean": 0.0}, {"mean": reached}]
    result = {"yardsticks": found, "scores": scores, "iteration": 40}
    line, *note = yardstick_lines(measure, result, 50)
    assert all(f"{row['name']} {measure.text(row['mean'])} ± " in line for row in found)
    assert bool(note) == (behind is not None)
    assert behind is None or behind in note[0]
    assert behind is None or "train for longer" in note[0]
    for early in yardstick_lines(measure, result, 5000)[1:]:
        assert "it did best at iteration 40 of 5,000" in early
        assert "rather than longer training" in early


def test_train_and_evaluate_tell_them(capsys, tmp_path):
    """On tasks of targets that are close together, which two meta-updates do not learn."""
    path = write_csv(tmp_path / "t.csv", table_rows("regression"))
    small = {"iterations": 2, "hidden": 4, "shots": 6, "queries": 4, "meta_batch": 2}
    words = [*flags({**small, "task_column": "task", "target": "y"}), "--no-jit"]
    result = command(capsys, "train", path, *words, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    for said in (result.out, command(capsys, "evaluate", tmp_path / "run", "--episodes", 9).out):
        assert "from the support rows of the same episodes alone: mean of the targets " in said
        assert "note: this run is behind that: MSE " in said
    said = command(capsys, "evaluate", tmp_path / "run", "--episodes", 9, "--json").out
    names = [row["name"] for row in json.loads(said)["yardsticks"]]
    assert names == ["mean of the targets", "ridge regression (λ = 1)"]
