"""The timer, the reports, and the children of the benchmarks. Nothing here asserts on time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import common
from benchmarks.common import (
    ChildError,
    Report,
    Table,
    Timing,
    absent,
    build_engines,
    interleave,
    ratio,
    relative_error,
    run_child,
    verdict,
)


def test_functions_are_timed_in_turns():
    turns = []
    functions = {name: lambda name=name: turns.append(name) for name in "abc"}
    timings = interleave(functions, rounds=3, slot=0.0)
    assert "".join(turns) == "aabbcc" + 3 * "abc"  # two calls each to warm up
    assert {name: len(t.rounds) for name, t in timings.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratio_of_minima_and_median_ratio_of_rounds():
    found = ratio(Timing((2.0, 4.0, 9.0)), Timing((1.0, 4.0, 3.0)))
    assert (found.of_minima, found.median_of_rounds) == (2.0, 2.0)
    assert str(found) == "2.00× (2.00×)"
    assert (Timing((3.0, 1.0, 2.0)).min, Timing((3.0, 1.0, 2.0)).median) == (1.0, 2.0)
    assert (verdict(1.0, 1.0), verdict(1.01, 1.0)) == ("PASS", "FAIL")


def test_relative_error_sees_errors_and_refuses_vacuous_comparisons():
    assert relative_error([3.0, 4.5], [3.0, 4.0]) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="nothing to compare"):
        relative_error([0.0], [0.0])
    with pytest.raises(ValueError, match="shape"):
        relative_error([1.0], [[1.0]])


@pytest.mark.usefixtures("no_peers")
def test_missing_peers_have_a_reason_and_ours_must_not_be_missing():
    def needs_torch():
        import torch

        return torch

    built, skipped = build_engines(
        {"torch": needs_torch, "numpy": lambda: np, "jax": int}, ["numpy"]
    )
    assert (list(built), skipped["torch"]) == (["numpy"], "left out by --engines")
    _, skipped = build_engines({"torch": needs_torch})
    assert "absent" in skipped["torch"] and "metagrad[peers]" in skipped["torch"]
    with pytest.raises(ImportError):
        build_engines({"ours": needs_torch})
    assert "not installed" in (absent("torch") or "")
    assert absent("numpy") is None


def test_a_report_is_saved_for_this_machine(tmp_path, capsys):
    report = Report("demo", "A demonstration", {"rounds": 2})
    report.add(Table("Times [a]", ["engine", "ms"], [["ours", "1"], ["[b]", "2"]]))
    report.skip({"torch": "absent"})
    report.data["ours"] = {"min": np.float64(1.0)}
    json_path, markdown_path = report.save(tmp_path)
    assert json_path.name == f"demo-{report.where}.json"
    assert report.where.endswith(f"-{common.cores()}-cores")
    record = json.loads(json_path.read_text())
    assert record["ours"] == {"min": 1.0} and record["machine"]["numpy"] == np.__version__
    assert "| ours | 1 |" in markdown_path.read_text()
    printed = capsys.readouterr().out
    assert "Times [a]" in printed and "[b]" in printed and "torch: absent" in printed


def test_a_report_on_a_gpu_is_named_by_it(tmp_path, monkeypatch):
    runtime = SimpleNamespace(
        getDeviceProperties=lambda _: {"name": b"NVIDIA H200"}, driverGetVersion=lambda: 13020
    )
    monkeypatch.setattr(common, "devices", lambda: ["cpu", "cuda:0"])
    monkeypatch.setattr(
        common, "cupy", lambda: SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    )
    monkeypatch.setattr(common, "_driver", lambda _: "580.65.06")
    report = Report("gpu", "On a GPU", {}, on_gpu=True)
    json_path, markdown_path = report.save(tmp_path)
    assert [json_path.name, markdown_path.name] == ["gpu-nvidia-h200.json", "gpu-nvidia-h200.md"]
    assert "gpu NVIDIA H200, driver 580.65.06, cpu" in markdown_path.read_text()
    assert "gpu" not in Report("demo", "On the CPU", {}).machine


@pytest.mark.parametrize(
    "said,driver",
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar", "550.54.15"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  R", "580.65.06"),
        ("", "for CUDA 13.2"),
    ],
)
def test_the_driver_is_told(said, driver, monkeypatch):
    monkeypatch.setattr(common.Path, "exists", lambda _: True)
    monkeypatch.setattr(common.Path, "read_text", lambda _: said)
    assert common._driver(SimpleNamespace(driverGetVersion=lambda: 13020)) == driver


def test_a_failing_child_says_why():
    with pytest.raises(ChildError, match="nowhere"):
        run_child("benchmarks.meta_worker", "nowhere", "sine_1step", 0, "/dev/null", "--tiny")
    assert common.peak_rss() > 1e6
