"""What a hostile user found: each ends in one clear line, or works as people expect."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from metalearn import checkpoints
from metalearn.config import make_config
from metalearn.errors import OptionError, printable
from metalearn.problems import open_problem
from metalearn.runs import publish
from metalearn.training import Silent, Trainer

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
    new_run,
    small_config,
    untimed,
)


@pytest.fixture
def run_copy(glyphs_run, tmp_path):
    return shutil.copytree(glyphs_run.path, tmp_path / "run")


@pytest.fixture
def own(tmp_path):
    """A user's folders: two classes to learn from, four images to name."""
    draw_folder(tmp_path / "support", classes=2, images=1)
    draw_folder(tmp_path / "query", classes=2, images=2)
    return tmp_path


def adapt(own, run):
    return ("adapt", run, "--support", own / "support", "--query", own / "query")


# Saved work ------------------------------------------------------------------------------------


def test_a_trained_run_without_its_last_checkpoint_is_not_begun_again(capsys, run_copy):
    (run_copy / "checkpoints" / "last.safetensors").unlink()
    before = contents(run_copy)
    fails(capsys, "train", "--resume", run_copy, "--iterations", 9, says=("last.safetensors",))
    assert contents(run_copy) == before


def test_a_smaller_budget_than_what_is_spent_is_refused(capsys, run_copy):
    before = contents(run_copy)
    fails(capsys, "train", "--resume", run_copy, "--iterations", 2, code=2, says=("done already",))
    fails(capsys, "train", "--resume", run_copy, "--minutes", 1e-6, code=2, says=("spent",))
    assert contents(run_copy) == before


def test_a_network_that_cannot_be_made_leaves_no_run(capsys, tmp_path):
    options = flags({**GLYPHS, "image_size": 12, "pooling": "max-pool"})
    out = tmp_path / "run"
    fails(capsys, "train", "glyphs", *options, "--out", out, code=2, says=("--pooling", "12"))
    assert not out.exists()


def test_the_smallest_budget_trains_once(tmp_path):
    config = small_config(iterations=None, minutes=1e-9)
    run, problem = new_run(tmp_path / "run", config)
    assert Trainer(run, problem).train()
    assert checkpoints.read(run.last)[1]["iteration"] == 1


def test_results_saved_at_the_same_time_get_folders_of_their_own(tmp_path):
    def save(number):
        temporary = tmp_path / f".{number}"
        temporary.mkdir()
        (temporary / "result").write_text(str(number))
        publish(temporary, tmp_path / "adapted", "mine")

    (tmp_path / "adapted").mkdir()
    threads = [threading.Thread(target=save, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {path.read_text() for path in (tmp_path / "adapted").glob("*/result")}
    assert found == set(map(str, range(8)))


def test_a_validation_that_is_interrupted_is_done_again(tmp_path):
    """And nothing else changes: the same bits as without the interruption."""
    config = small_config("glyphs", validation_episodes=60)
    whole, problem = new_run(tmp_path / "whole", config)
    assert Trainer(whole, problem).train()
    run, problem = new_run(tmp_path / "run", config)

    class Stopper(Silent):
        stopped = False

        def validating(self, done, total):
            self.stopped |= 0 < done < total

    stopper = Stopper()
    assert not Trainer(run, problem, stopper).train(lambda: stopper.stopped)
    assert checkpoints.read(run.last)[1]["validated"] == 0
    assert Trainer(run, open_problem(config)).train()
    for name in ("last", "best"):
        files = (r.path / "checkpoints" / f"{name}.safetensors" for r in (whole, run))
        one, other = (checkpoints.read(file)[0] for file in files)
        assert one.keys() == other.keys()
        assert all(one[k].tobytes() == other[k].tobytes() for k in one)
    assert untimed(whole) == untimed(run)


# Names -----------------------------------------------------------------------------------------


def test_adapt_to_classes_with_odd_names(capsys, run_copy, own):
    draw_folder(own / "more", classes=4, images=1)
    names = ["$x_{$", "日本", "two\nlines", os.fsdecode(b"b\xff")]
    for i, name in enumerate(names):
        (own / "more" / f"class{i}").rename(own / "more" / name)
    loose = own / "loose"
    loose.mkdir()
    for image in (own / "query" / "class0").iterdir():
        shutil.copy(image, loose)
    given = ("adapt", run_copy, "--support", own / "more", "--query", loose)
    result = command(capsys, *given)
    assert result.code == 0 and "saved:" in result.out and result.err == ""
    assert set(json.loads(command(capsys, *given, "--json").out)["classes"]) == set(names)
    assert printable(names[2]) == "two\N{REPLACEMENT CHARACTER}lines"


def test_a_result_that_cannot_be_drawn_leaves_nothing(capsys, run_copy, own, monkeypatch):
    from metalearn import pictures

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(pictures, "png", fail)
    fails(capsys, *adapt(own, run_copy), says=("out of memory",))
    assert not (run_copy / "adapted").exists()


def test_paths_are_printed_as_they_are(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = flags({**GLYPHS, "iterations": 1})
    assert (
        "run: a:smile:b" in command(capsys, "train", "glyphs", *options, "--out", "a:smile:b").out
    )
    assert "evaluate ./-b" in command(capsys, "train", "glyphs", *options, "--out=-b").out


# What a reader should know ---------------------------------------------------------------------


def test_adapt_says_when_queries_are_what_was_learned_from(capsys, run_copy, own):
    shutil.rmtree(own / "query")
    shutil.copytree(own / "support", own / "query")
    out = command(capsys, *adapt(own, run_copy)).out
    assert "2 of 2 queries are among the support images" in out


def test_adapt_says_when_queries_are_too_few_to_normalise(capsys, run_copy, own):
    draw_folder(own / "five", classes=5, images=1)
    given = ("--support", own / "five", "--query", own / "query")
    assert "too few for 5 classes" in command(capsys, "adapt", run_copy, *given).out
    result = command(capsys, "adapt", run_copy, *given, "--batch-norm", "support")
    assert "too few" not in result.out


def test_results_record_the_seed_of_training(capsys, run_copy):
    result = command(capsys, "evaluate", run_copy, "--episodes", 2, "--json")
    assert json.loads(result.out)["training_seed"] == 0


def test_upright_is_for_omniglot(capsys, run_copy):
    fails(capsys, "evaluate", run_copy, "--upright", code=2, says=("--upright", "glyphs"))


# Signals and streams ---------------------------------------------------------------------------


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="needs /proc to see how far a process is"
)


def wait_until(process, reached, file):
    """Wait until the process is as far as its file under /proc shows."""
    while not reached(Path(f"/proc/{process.pid}/{file}").read_text()):
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.002)


def answers(number):
    """Whether a process's status says that it has a handler of its own for a signal."""
    caught = re.compile(r"^SigCgt:\s*(\w+)$", re.MULTILINE)
    return lambda status: int(caught.search(status)[1], 16) >> (number - 1) & 1


@needs_proc
def test_ctrl_c_while_modules_load_is_answered_in_one_line(waves_run):
    process = metalearn("evaluate", waves_run.path, "--episodes", 1_000_000)
    # Before NumPy loads, the interpreter itself answers signals, in words that are not ours.
    wait_until(process, lambda maps: "_multiarray_umath" in maps, "maps")
    assert_stopped(process, signal.SIGINT)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_signal_at_work_is_answered_in_one_line(waves_run, number, seconds):
    process = metalearn("evaluate", waves_run.path, "--episodes", 1_000_000)
    wait_until(process, answers(signal.SIGTERM), "status")
    time.sleep(seconds)
    assert_stopped(process, number)


def assert_stopped(process, number):
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert_one_line(err.splitlines(keepends=True)[-1], says=("stopped",))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written(waves_run):
    command = [sys.executable, "-m", "metalearn", "evaluate", waves_run.path, "--episodes", "2"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert_one_line(done.stderr, says=("cannot be written", "space"))


def test_output_in_ascii(waves_run):
    command = [sys.executable, "-m", "metalearn", "evaluate", waves_run.path, "--episodes", "2"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment)
    assert done.returncode == 0 and b"after inner step 1" in done.stdout


# Damaged records -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["[1]", '{"a": 1}', '{"iteration": "x"}'])
def test_damaged_metrics(capsys, run_copy, line):
    with (run_copy / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    fails(capsys, "show", run_copy, says=("metrics.jsonl", "damaged"))


def test_a_run_without_metrics_can_be_shown_and_gone_on_with(capsys, run_copy):
    (run_copy / "metrics.jsonl").unlink()
    assert command(capsys, "show", run_copy).code == 0
    assert command(capsys, "train", "--resume", run_copy, "--iterations", 5).code == 0
    assert command(capsys, "show", run_copy).code == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"order": 2', '"order": 3', "algorithm"),
        ('"algorithm": "maml"', '"algorithm": "fomaml"', "algorithm"),
        ('"inner_lr": 1.0', '"inner_lr": "x"', "--inner-lr"),
    ],
)
def test_damaged_options(capsys, run_copy, old, new, says):
    file = run_copy / "config.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    fails(capsys, "show", run_copy, says=("config.json", says))


# Options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "options", "says"),
    [
        ("sinusoid", {"ways": 20}, "--ways"),
        ("t.csv", {"target": "y", "task_column": "t", "ways": 3}, "--labels own"),
        ("sinusoid", {"ink": "dark"}, "--ink"),
        ("glyphs", {"ink": "dark"}, "--ink"),
        ("glyphs", {"hidden": (7, 7)}, "--hidden"),
        ("glyphs", {"model": "mlp", "filters": 4}, "--filters"),
        ("", {}, "dataset"),
        ("omniglot", {"data": ""}, "--data"),
        ("sinusoid", {"shots": 10**9}, "--shots"),
        ("sinusoid", {"meta_batch": 10**9}, "--meta-batch"),
        ("glyphs", {"meta_batch": 10**6, "shots": 10}, "--meta-batch"),
        ("glyphs", {"filters": 10**6}, "--filters"),
        ("glyphs", {"batch_norm": "foo"}, "--batch-norm"),
    ],
)
def test_options_that_make_no_sense_are_named(dataset, options, says, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("t,x,y\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=says):
        make_config(dataset, options)


def test_a_folder_that_is_a_link_or_the_current_one_is_not_used(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for out in ("link", "."):
        options = flags(SINUSOID)
        fails(capsys, "train", "sinusoid", *options, "--out", out, says=("--out",))


# Pictures --------------------------------------------------------------------------------------


def test_queries_that_are_not_drawn_are_counted(glyphs_run):
    from metalearn.pictures import _Shown, _task_picture

    pixels = np.zeros((1, 8, 8))
    shown = [_Shown(pixels, 0, 0.9, None)] * 40
    support = (np.zeros((2, 1, 8, 8)), np.array([0, 1]))
    figure = _task_picture(["a", "b"], support, shown, "title")
    notes = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert notes == ["+24 more"]


def test_wave_titles_of_one_step():
    from matplotlib.figure import Figure

    from metalearn.pictures import _wave

    grid = np.linspace(0, 1, 5)[:, None]
    titles = []
    for count in (2, 3, 4):
        axes = Figure().subplots()
        _wave(axes, grid, grid, (grid, grid), [grid + i for i in range(count)])
        titles.append(axes.get_title())
    assert titles == ["MSE 0.00 → 1.00", "MSE 0.00 → 1.00 → 4.000", "MSE 0.00 → 1.00 → … → 9.000"]
