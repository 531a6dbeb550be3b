"""Asking for a GPU where there is none."""

import pytest

import autograd_core as ac
from metalearn.config import Config
from metalearn.tasks.placing import chosen_device
from tests.metalearn.helpers import fails, small_config

no_gpu = pytest.mark.skipif(len(ac.devices()) > 1, reason="there is a GPU here")


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_asking_for_a_gpu_that_is_not_there(device, tmp_path, capsys):
    out = tmp_path / "run"
    told = fails(capsys, "train", "sinusoid", "--device", device, "--out", out, code=2)
    assert told.startswith(f"metalearn: --device {device}: ")
    assert not out.exists()


@no_gpu
def test_auto_is_the_cpu_where_there_is_no_gpu():
    assert chosen_device("auto") == "cpu"


def test_what_is_no_device(tmp_path, capsys):
    says = ("--device gpu", "expected auto, cpu, cuda")
    fails(capsys, "train", "sinusoid", "--device", "gpu", code=2, says=says)


def test_options_that_older_versions_recorded():
    data = small_config("sinusoid", task_slice=2).to_dict()
    del data["device"], data["task_slice"]
    config = Config.from_dict({**data, "tasks_per_chunk": 3})
    assert (config.device, config.task_slice) == ("cpu", 3)
