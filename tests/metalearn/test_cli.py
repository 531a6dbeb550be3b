"""The commands as a user types them: what they print, what they save, how they exit."""

import csv
import json
import shutil

import pytest

from metalearn.console import duration
from metalearn.problems import _describe
from metalearn.tasks import Split

from .helpers import (
    GLYPHS,
    SINUSOID,
    assert_one_line,
    command,
    contents,
    draw_folder,
    fails,
    flags,
    metalearn,
)


@pytest.fixture
def run_copy(glyphs_run, tmp_path):
    """A trained run that may be written to."""
    return shutil.copytree(glyphs_run.path, tmp_path / "run")


# train ----------------------------------------------------------------------------------------


def test_train_says_what_it_does_and_what_came_of_it(capsys, tmp_path):
    result = command(capsys, "train", "glyphs", *flags(GLYPHS), "--out", tmp_path / "run")
    assert result.code == 0, result.err
    for fragment in (
        "maml (second order, 1 inner step at 1 per unit of mean loss)",
        "batch norm: transductive",
        "validation accuracy",
        "before adaptation",
        "after inner step 2",
        "held-out test classes",
        "episode.png",
        "metalearn evaluate",
    ):
        assert fragment in result.out
    names = {p.relative_to(tmp_path / "run").as_posix() for p in (tmp_path / "run").rglob("*.*")}
    assert names >= {
        "config.json",
        "split.json",
        "metrics.jsonl",
        "evaluation.json",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
        "pictures/learning_curves.png",
        "pictures/episode.png",
    }


def test_train_names_its_run_and_never_takes_a_name_twice(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert command(capsys, "train", "sinusoid", *flags(SINUSOID)).code == 0
    runs = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert runs == ["sinusoid-10s-maml", "sinusoid-10s-maml-2"]
    assert (tmp_path / "runs" / runs[0] / "pictures" / "sinusoids.png").exists()


def test_train_on_a_folder_of_images_with_first_order_and_a_slice(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=10, images=5)
    options = {**GLYPHS, "ways": 3, "algorithm": "fomaml", "task_slice": 1}
    arguments = ["train", folder, *flags(options), "--out", tmp_path / "run"]
    result = command(capsys, *arguments)
    assert result.code == 0, result.err
    assert "fomaml (first order, " in result.out
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["algorithm"]["order"] == 1
    assert record["split"]["counts"] == {"train": 4, "validation": 3, "test": 3}


def test_a_run_can_go_on_for_longer(capsys, run_copy):
    result = command(capsys, "train", "--resume", run_copy, "--iterations", 6)
    assert result.code == 0, result.err
    assert "going on from iteration 4" in result.out
    lines = [json.loads(x) for x in (run_copy / "metrics.jsonl").read_text().splitlines()]
    assert [x["iteration"] for x in lines if "validation" in x] == [2, 4, 6]
    assert json.loads((run_copy / "config.json").read_text())["options"]["iterations"] == 6


def test_resume_takes_no_other_options(capsys, run_copy):
    for more in (["glyphs"], ["--shots", 2], ["--out", "elsewhere"], ["--data", "elsewhere"]):
        fails(capsys, "train", "--resume", run_copy, *more, code=2)


def test_progress_in_plain_lines():
    process = metalearn("train", "sinusoid", "--minutes", 0.02, "--out", "/dev/null/run")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert_one_line(err, ("/dev/null/run",))


# evaluate -------------------------------------------------------------------------------------


def test_evaluate_prints_a_table_and_saves_it(capsys, run_copy):
    result = command(capsys, "evaluate", run_copy, "--episodes", 5)
    assert result.code == 0, result.err
    assert "5 episodes of 8 held-out test classes" in result.out
    assert "batch norm: transductive" in result.out and "second order" in result.out
    assert "±" in result.out
    assert json.loads((run_copy / "evaluation.json").read_text())["episodes"] == 5


def test_evaluate_as_json(capsys, run_copy):
    options = ["--episodes", 5, "--steps", 1, "--batch-norm", "support", "--part", "validation"]
    result = command(capsys, "evaluate", run_copy, "--json", *options, "--checkpoint", "last")
    record = json.loads(result.out)
    assert [row["steps"] for row in record["scores"]] == [0, 1]
    assert record["batch_norm"]["mode"] == "support"
    assert (record["part"], record["checkpoint"]) == ("validation", "last")
    assert {"mean", "half_width_95"} <= set(record["scores"][0])


def test_evaluate_sinusoids(capsys, waves_run, tmp_path):
    run = shutil.copytree(waves_run.path, tmp_path / "run")
    result = command(capsys, "evaluate", run, "--episodes", 20)
    assert "MSE" in result.out and "batch norm: none" in result.out


def test_evaluate_the_same_episodes_each_time(capsys, run_copy):
    a, b, c = (
        command(capsys, "evaluate", run_copy, "--episodes", 5, "--json", "--seed", seed).out
        for seed in (0, 0, 1)
    )
    assert a == b != c


# adapt ----------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """Support and query folders of three classes, which a 5-way run takes as well."""
    whole = draw_folder(tmp_path / "own", classes=3, images=5)
    for name in ("support", "query"):
        shutil.copytree(whole, tmp_path / name)
    for path in (tmp_path / "query").rglob("[01].png"):
        path.unlink()
    for path in (tmp_path / "support").rglob("[234].png"):
        path.unlink()
    return tmp_path / "support", tmp_path / "query"


def test_adapt_names_images_and_saves_what_it_says(capsys, run_copy, own):
    result = command(capsys, "adapt", run_copy, "--support", own[0], "--query", own[1])
    assert result.code == 0, result.err
    assert "of 9 right" in result.out and "transductive" in result.out
    saved = run_copy / "adapted" / "query"
    rows = list(csv.DictReader((saved / "predictions.csv").open()))
    assert len(rows) == 9
    for row in rows:
        each = [float(v) for k, v in row.items() if k.startswith("p(")]
        assert sum(each) == pytest.approx(1, abs=1e-4)
        assert float(row["probability"]) == max(each)
        assert row["true"] == row["file"].split("/")[0]
        assert row["file"] in result.out
    record = json.loads((saved / "predictions.json").read_text())
    assert record["classes"] == ["class0", "class1", "class2"]
    assert (saved / "predictions.png").stat().st_size > 1000


def test_adapt_to_loose_images(capsys, run_copy, own, tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    shutil.copy(own[1] / "class0" / "3.png", loose / "unknown.png")
    out = tmp_path / "saved"
    arguments = ["--support", own[0], "--query", loose, "--out", out, "--json"]
    fails(capsys, "adapt", run_copy, *arguments, code=2, says=("batch norm support",))
    arguments += ["--batch-norm", "support"]
    record = json.loads(command(capsys, "adapt", run_copy, *arguments).out)
    assert record["accuracy"] is None
    assert [p["file"] for p in record["predictions"]] == ["unknown.png"]
    assert (out / "predictions.csv").exists()
    before = contents(out)
    fails(capsys, "adapt", run_copy, *arguments, says=("not empty",))
    assert contents(out) == before


def test_adapt_learns_from_the_support(capsys, tmp_path):
    """After a little training, classes that look alike within are told apart."""
    folder = draw_folder(tmp_path / "signs", classes=40, images=6, seed=1)
    options = {**GLYPHS, "iterations": 60, "filters": 16, "validate_every": 30, "ways": 3}
    train = command(capsys, "train", folder, *flags(options), "--out", tmp_path / "run")
    assert train.code == 0, train.err
    own = draw_folder(tmp_path / "own", classes=3, images=8, seed=2)
    arguments = ["--support", own, "--query", own, "--json"]
    record = json.loads(command(capsys, "adapt", tmp_path / "run", *arguments).out)
    assert record["accuracy"] >= 0.9


# show -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["waves_run", "glyphs_run"])
def test_show_draws_pictures(capsys, tmp_path, request, name):
    run = shutil.copytree(request.getfixturevalue(name).path, tmp_path / "run")
    result = command(capsys, "show", run)
    assert result.code == 0, result.err
    paths = result.out.split()
    assert len(paths) == 5  # four of training, and one of tasks
    for path in paths:
        with open(path, "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"


# In general -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train", "evaluate", "adapt", "show"])
def test_help_is_there(capsys, name):
    result = command(capsys, name, "--help")
    assert result.code == 0
    assert "Usage" in result.out


def test_version(capsys):
    result = command(capsys, "--version")
    assert (result.code, result.out.split()[0]) == (0, "metalearn")


def test_errors_have_a_traceback_on_request(monkeypatch):
    from metalearn import cli
    from metalearn.errors import RunError

    with pytest.raises(RunError):
        cli.run(["evaluate", "/nowhere", "--debug"])
    monkeypatch.setenv("METALEARN_TRACEBACK", "1")
    with pytest.raises(RunError):
        cli.run(["evaluate", "/nowhere"])


def test_what_nobody_foresaw_is_one_line_too(capsys, monkeypatch):
    from metalearn import commands

    def broken(*_args):
        raise ZeroDivisionError("several\nlines")

    monkeypatch.setattr(commands, "show", broken)
    fails(capsys, "show", "run", says=("ZeroDivisionError", "METALEARN_TRACEBACK=1"))


def test_durations():
    texts = [duration(s) for s in (0, 59.4, 60, 754, 3600, 4000, float("inf"))]
    assert texts == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "12 min 34 s",
        "1 h 0 min",
        "1 h 6 min",
        "unknown time",
    ]


def test_one_of_a_thing_is_told_in_the_singular(capsys, tmp_path):
    run = tmp_path / "run"
    small = {**SINUSOID, "iterations": 1, "meta_batch": 1, "eval_steps": 1, "shots": 1}
    said = command(capsys, "train", "sinusoid", *flags(small), "--no-jit", "--out", run).out
    assert "at most 1 iteration\n" in said and "trained 1 iteration in" in said
    assert ", 1 task a meta-update" in said
    assert "1 query\n" in command(capsys, "evaluate", run, "--queries", 1, "--episodes", 2).out
    (tmp_path / "points.csv").write_text("x,y\n1,2\n2,\n")
    adapted = command(capsys, "adapt", run, "--support", tmp_path / "points.csv")
    assert "adapted by 1 inner step to 1 example\n" in adapted.out, adapted
    split = Split(("class0", "class1"), ("class3",), ("class2",), "own-1")
    assert _describe("test", split, "class", "classes").startswith("1 held-out test class (")
    assert _describe("train", split, "class", "classes").startswith("2 train classes (")
    assert _describe("validation", split, "task").startswith("1 validation task (")
