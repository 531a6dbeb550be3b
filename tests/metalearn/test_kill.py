"""Processes that are killed or interrupted leave a run that goes on to the same bits."""

import signal
import time

import pytest

from benchmarks.kill_resume import difference, iteration_of
from metalearn import checkpoints

from .helpers import assert_one_line, flags, metalearn

OPTIONS = {
    "iterations": 150,
    "validate_every": 5,
    "validation_episodes": 5,
    "meta_batch": 4,
    "hidden": (8, 8),
    "eval_steps": 1,
}


def finish(process) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def started(run):
    """A training process that has written its first checkpoint."""
    process = metalearn("train", "sinusoid", *flags(OPTIONS), "--out", run)
    last = run / "checkpoints" / "last.safetensors"
    end = time.monotonic() + 60
    while not last.exists() and time.monotonic() < end:
        time.sleep(0.002)
    return process


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    run = tmp_path_factory.mktemp("kill") / "reference"
    finish(metalearn("train", "sinusoid", *flags(OPTIONS), "--out", run))
    return run


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_a_killed_training_resumes_to_the_same_bits(reference, tmp_path, share):
    seconds = checkpoints.read(reference / "checkpoints" / "last.safetensors")[1]["seconds"]
    process = started(tmp_path / "run")
    time.sleep(share * seconds)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert iteration_of(tmp_path / "run") is not None
    finish(metalearn("train", "--resume", tmp_path / "run"))
    assert difference(reference, tmp_path / "run") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_saves_and_says_how_to_go_on(reference, tmp_path, number):
    process = started(tmp_path / "run")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert_one_line(err, ("stopped at iteration", f"train --resume {tmp_path / 'run'}"))
    finish(metalearn("train", "--resume", tmp_path / "run"))
    assert difference(reference, tmp_path / "run") is None
