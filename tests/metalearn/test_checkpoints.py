"""Checkpoints are whole or refused, and the old one outlives a failed write."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import optim
from metalearn import checkpoints
from metalearn.errors import RunError


@pytest.fixture
def tree():
    params = [{"weight": ac.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))}]
    return {"params": params, "optimizer": optim.adam().init(params), "averages": ()}


@pytest.fixture
def saved(tmp_path, tree):
    path = tmp_path / "last.safetensors"
    checkpoints.save(path, tree, {"iteration": 7, "loss": 0.1})
    return path


def test_round_trip(saved, tree):
    found, record = checkpoints.load(saved, tree)
    assert record == {"iteration": 7, "loss": 0.1}
    assert ac.tree.tree_structure(found) == ac.tree.tree_structure(tree)
    for a, b in zip(ac.tree_leaves(found), ac.tree_leaves(tree), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


def test_equal_content_gives_equal_bytes(saved, tree, tmp_path):
    checkpoints.save(tmp_path / "again", tree, {"iteration": 7, "loss": 0.1})
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_names_are_readable(tree):
    assert "params.0.weight" in checkpoints.named_arrays(tree)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, -1])
def test_a_file_cut_off_anywhere_is_refused(saved, tree, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"last\.safetensors"):
        checkpoints.load(saved, tree)


def test_a_changed_byte_is_noticed(saved, tree):
    data = bytearray(saved.read_bytes())
    data[-1] ^= 1
    saved.write_bytes(data)
    with pytest.raises(RunError, match="sha256"):
        checkpoints.load(saved, tree)


def test_another_file_is_refused(saved, tree):
    from safetensors.numpy import save

    for data in (b"hello" * 50, save({"x": np.zeros(3)}), save({}, {"metagrad": "[]"})):
        saved.write_bytes(data)
        with pytest.raises(RunError, match="not a complete checkpoint"):
            checkpoints.load(saved, tree)


def test_missing_file(tmp_path, tree):
    with pytest.raises(RunError, match="no such checkpoint"):
        checkpoints.load(tmp_path / "none", tree)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"weight": ac.zeros((2, 4), "float32")}, r"\(2, 3\)"),
        ({"weight": ac.zeros((2, 3), "float64")}, "float64"),
        ({"scale": ac.zeros(3)}, "lacks"),
        ({}, "holds"),
    ],
)
def test_another_model_is_refused(saved, tree, other, says):
    with pytest.raises(RunError, match=f"another model.*{says}"):
        checkpoints.load(saved, {**tree, "params": [other]})


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_failed_write_leaves_the_old_file(saved, tree, monkeypatch, failing, number):
    before = saved.read_bytes()

    def fail(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(RunError, match=os.strerror(number)):
        checkpoints.save(saved, tree, {"iteration": 8})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_processes_that_write_the_same_file_leave_it_whole(tmp_path):
    """Two commands in one folder, as two recipes of an experiment."""
    path = tmp_path / "shared"
    writing = (
        "import sys; from pathlib import Path; from metalearn.checkpoints import write_atomically\n"
        "for _ in range(300): write_atomically(Path(sys.argv[1]), sys.argv[2].encode() * 10_000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", writing, path, letter]) for letter in "ab"]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert path.read_bytes() in (b"a" * 10_000, b"b" * 10_000)
    assert os.listdir(tmp_path) == ["shared"]
