"""Every benchmark's `--quick` path, on a machine without peers; nothing here asserts on time."""

from __future__ import annotations

import json

import numpy as np
import pytest

import autograd_core as ac
from benchmarks import __main__ as everything
from benchmarks import (
    accuracy,
    adapt,
    checkers,
    common,
    compiled,
    eager,
    gpu,
    hvp,
    memory,
    meta_step,
    special,
    summary,
)
from benchmarks.agreement import LEAST_SHARE, compare, gradient_errors, judge

pytestmark = pytest.mark.usefixtures("no_peers")


@pytest.fixture
def results(tmp_path, monkeypatch):
    """`--save` writes here."""
    monkeypatch.setattr(common.Report.save, "__defaults__", (tmp_path,))
    return tmp_path


def saved(folder, name):
    (path,) = folder.glob(f"{name}-*.json")
    return json.loads(path.read_text())


def test_eager_runs_without_peers(capsys, results):
    assert eager.main(["--quick", "--save"]) == 0
    printed = capsys.readouterr().out
    for peer in ("torch", "jax", "autograd"):
        assert f"{peer}: absent" in printed
    assert printed.count("not measured") == len(eager.BOUNDS)
    record = saved(results, "eager")
    assert {mode: set(record[mode]) for mode in eager.MODES} == {
        mode: {"ours", "numpy"} for mode in eager.MODES
    }


def test_eager_judges_by_the_goals_only_where_they_were_measured(capsys):
    report = common.Report("eager", "", {})
    report.data["gradient"] = {"torch": {"ours_over_it": 1.5}, "autograd": {"ours_over_it": 0.5}}
    eager._judge(report, "torch", "gradient", 1.0, True)
    eager._judge(report, "autograd", "gradient", 0.5, True)
    eager._judge(report, "torch", "gradient", 1.0, False)
    endings = [note.split(": ")[-1] for note in report.notes if note.startswith("goal")]
    assert endings == ["1.50× FAIL", "0.50× PASS", "not judged on tiny settings"]


def test_the_chain_written_by_hand_has_the_right_derivatives():
    x0 = np.random.default_rng(0).standard_normal((2, 2))
    calls = eager.floor(x0, 2)
    _, gradient, second = (calls[mode] for mode in eager.MODES)
    step = 1e-6 * np.eye(4)[1].reshape(2, 2)

    def difference(of, mode):
        high, low = (of(eager.floor(x0 + s * step, 2)[mode]()) for s in (1, -1))
        return (high - low) / 2e-6

    assert gradient()[0, 1] == pytest.approx(difference(np.sum, "forward"), rel=1e-6)
    square_norm = lambda g: np.sum(g**2)
    assert second()[0, 1] == pytest.approx(difference(square_norm, "gradient"), rel=1e-6)


def test_hvp_runs_without_peers(capsys, results):
    assert hvp.main(["--quick", "--save"]) == 0
    printed = capsys.readouterr().out
    assert "torch.func: absent" in printed and "jax.jit: absent" in printed
    assert set(saved(results, "hvp")[hvp.HVP]["engines"]) == {"ours", "ours.jit"}


def test_hvp_flops_count_the_directions():
    problem = hvp.Problem((3, 5, 2), examples=7)
    # 15 multiply-adds on data (a gradient takes 2 products, a direction 2), 10 others (3 and 6).
    assert problem.hvp_flops(4) == 2 * 7 * (15 * (2 + 4 * 2) + 10 * (3 + 4 * 6))
    assert problem.size == 15 + 5 + 10 + 2


def test_meta_step_runs_without_peers(capsys, results):
    assert meta_step.main(["--quick", "--save", "sine_1step", "omni_5w1s"]) == 0
    printed = capsys.readouterr().out
    assert "torch-loop: torch is not installed" in printed
    assert "jax-jit: jax is not installed" in printed
    record = saved(results, "meta_step")
    for name in ("sine_1step", "omni_5w1s"):
        ours = record[name]["engines"]["ours"]
        assert ours["rounding"] < 1e-4 and np.isfinite(ours["loss"]) and ours["peak_rss"] > 1e6
    assert not record["failed"]


def test_compiled_runs_without_peers(capsys, results):
    assert compiled.main(["--quick", "--save", "sine_1step", "omni_5w1s"]) == 0
    printed = capsys.readouterr().out
    assert "torch-loop: torch is not installed" in printed
    record = saved(results, "compiled")
    for name in ("sine_1step", "omni_5w1s"):
        ours, again = (record[name]["engines"][e] for e in (compiled.OURS, compiled.AGAIN))
        assert ours["flops"] > 0 and ours["loss"] == again["loss"]
    assert "omni_5w1s" in summary.compiled_table(record).markdown()


def test_compiled_goals_are_judged():
    each = {"median_s": 0.5, "first_s": 2.0, "peak_rss": 100}
    engines = {
        compiled.OURS: each,
        compiled.AGAIN: {**each, "first_s": 0.6},
        "torch-loop": {"median_s": 2.0, "first_s": 1.0, "peak_rss": 90},
    }
    lines = compiled.judged("mini_5w1s", {"engines": engines, "floor_s": 0.4})
    assert [line.split()[-1] for line in lines] == ["PASS", "FAIL", "FAIL", "PASS"]


def test_jax_is_left_out_of_meta_step_unless_asked_for(monkeypatch):
    monkeypatch.setattr(meta_step, "absent", lambda _: None)
    engines, skipped = meta_step.choose_engines(None, with_jax=False)
    assert "--jax" in skipped["jax-jit"] and "jax-jit" not in engines
    assert "jax-jit" in meta_step.choose_engines(None, with_jax=True)[0]
    assert meta_step.choose_engines(["jax-jit"], with_jax=False)[0] == ["jax-jit"]


def test_a_wrong_gradient_is_seen(tmp_path):
    gradient = [np.float32([3, 4]), np.float32([1e-9])]
    wrong = [np.float32([3, 4.001]), np.float32([0.01])]
    found = {"ours": {"loss": 1.0}, "torch-loop": {"loss": 1.00001}}
    np.savez(tmp_path / "ours.npz", *wrong)
    for name in ("torch-loop", "reference"):
        np.savez(tmp_path / f"{name}.npz", *gradient)
    compare(found, tmp_path)
    assert found["torch-loop"]["rounding"] == 0 < found["ours"]["rounding"]
    (line,) = judge(found, 1e-4)
    assert "loss to 1.0e-05 PASS" in line and "gradient to 2.0e-03 FAIL" in line


def test_leaves_are_compared_at_their_own_scale_down_to_a_share_of_the_whole():
    reference = [np.array([100.0]), np.array([10.0]), np.array([1e-9])]
    errors = gradient_errors([reference[0], np.array([10.1]), reference[2]], reference)
    assert errors["worst_leaf_error"] == pytest.approx(0.01)
    errors = gradient_errors([*reference[:2], np.array([1e-3])], reference)
    assert errors["worst_leaf_error"] == pytest.approx(1e-3 / (LEAST_SHARE * 100), rel=0.01)
    with pytest.raises(ValueError, match="shape"):
        gradient_errors([np.ones(2)], [np.ones((1, 2))])


def test_memory_runs_without_peers(capsys):
    assert memory.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    assert "torch: torch is not installed" in printed and "agree to" in printed


def test_all_are_listed_and_run(capsys, monkeypatch):
    assert everything.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(
        everything.BENCHMARKS
    )
    ran = []
    monkeypatch.setattr(everything, "run", lambda name, flags: ran.append((name, flags)) or 0)
    assert everything.main(["hvp", "eager", "--quick"]) == 0
    assert ran == [("hvp", ["--quick"]), ("eager", ["--quick"])]
    with pytest.raises(SystemExit):
        everything.main(["nothing"])


def test_an_engine_that_fails_is_named_and_fails_the_run(monkeypatch, capsys):
    def failing(module, *_, **__):
        if module == "benchmarks.floor":
            return {"rate": 1e9}
        raise common.ChildError("out of memory")

    monkeypatch.setattr(meta_step, "run_child", failing)
    assert meta_step.main(["--quick", "sine_1step"]) == 1
    assert "sine_1step: FAIL: ours: out of memory" in capsys.readouterr().out


def test_the_readme_has_the_saved_numbers():
    text = summary.README.read_text()
    assert summary.written(text, summary.summary()) == text, "python -m benchmarks.summary --write"
    with pytest.raises(ValueError, match="README"):
        summary.written("no numbers here", "")


def test_accuracy_trains_and_evaluates(capfd, results, tmp_path):
    runs = tmp_path / "runs"
    for _ in range(2):  # the second time goes on with what is there
        assert accuracy.main(["sinusoid-10s", "--quick", "--save", "--runs", str(runs)]) == 0
    found = saved(results, "accuracy")["sinusoid-10s"]
    assert found["iterations"] == 4 and len(found["scores"]) == 11
    assert "sinusoid-10s" in capfd.readouterr().out


# On a GPU -------------------------------------------------------------------------------------


def test_without_a_gpu_programs_are_counted_and_nothing_is_claimed(results, capsys):
    if len(ac.devices()) > 1:
        pytest.skip("there is a GPU here")
    assert gpu.main(["--quick", "--save"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "No GPU was at hand" in told and "sine_1step" in told
    record = saved(results, "gpu")
    assert record["sine_1step"]["program"]["launches"] > 20
    for wrong in (["no_such"], ["--peers", "jax-jit,no-such"]):
        with pytest.raises(SystemExit):
            gpu.main(wrong)


@pytest.mark.parametrize(
    "given,peers", [([], gpu.PEERS), (["--peers", ""], ()), (["--peers", "jax-jit"], ("jax-jit",))]
)
def test_peers_on_a_gpu_are_chosen(given, peers, monkeypatch):
    asked = []
    monkeypatch.setattr(gpu, "measure", lambda _, options: asked.extend(options.peers))
    assert gpu.main(given) == 0
    assert asked == list(peers)


def test_goals_on_a_gpu_are_judged():
    found = {
        "ours-jit": {"error": 1e-6, "double_error": 1e-3, "median_s": 1e-4},
        "torch-loop": {"median_s": 1e-2},
        "jax-jit": {"median_s": 1.5e-4},
    }
    lines = gpu.judged("sine_1step", found)
    assert "1.0e-06 PASS" in lines[0] and "1.0e-03 FAIL" in lines[1]
    assert "0.5× jax-jit: 0.67× FAIL" in lines[2]


def test_runs_on_a_gpu_are_compared_and_end_in_time(tmp_path, monkeypatch):
    """What the processes would find is made up here; without a GPU they cannot run."""
    rates = {"name": "none", "flops": 1e12, "tf32": 1e13, "bytes": 1e12, "launch_s": 1e-6}
    told = []

    class Child:
        def __init__(self, module, *args, settings):
            self.engine, _, _, self.file, *_ = args
            assert module == "benchmarks.meta_worker" and "--turn" in args

        def ready(self, timeout):
            told.append(("ready", timeout))
            if self.engine == "torch-loop":
                raise common.ChildError("out of memory")

        def result(self, timeout):
            told.append((self.engine, timeout))
            np.savez(self.file, np.ones(3) * (1 + 1e-6 * (self.engine != "ours")))
            each = {"first_s": 1.0, "median_s": 1e-3 if self.engine == "ours-jit" else 4e-3}
            return {**each, "launches": 7, "bytes": 1e6, "products_s": 1e-4, "steps_s": 4e-4}

    monkeypatch.setattr(gpu, "run_child", lambda _: rates)
    monkeypatch.setattr(gpu, "Child", Child)
    monkeypatch.setattr(gpu, "absent", lambda _: None)
    monkeypatch.setattr(gpu.ac, "devices", lambda: ["cpu", "cuda:0"])
    options = gpu.Options(1.0, quick=True, at_once=3)
    report = gpu.measure(["sine_1step"], options)
    notes = " ".join(report.notes)
    assert "time ≤ 0.5× jax-jit: 0.25× PASS" in notes and "torch-loop: out of memory" in notes
    assert "25 % of the steps' time in products" in notes
    assert all(0 < timeout <= options.longest for _, timeout in told)
    first = [what for what, _ in told].index("ours-jit")
    assert all(what != "ready" for what, _ in told[first:])  # nothing compiles while it is timed
    assert set(report.data["by_tasks"]) == {"1", "4"}
    monkeypatch.setattr(gpu, "LIMIT", -1.0)
    runs = gpu._Runs(report, tmp_path, options)
    asked = runs.asked("sine_1step", "ours-jit")
    runs.prepare([asked])
    with pytest.raises(common.ChildError, match="ten minutes"):
        runs.result(asked)


def test_checkers_are_compared(capsys, results):
    assert checkers.main(["--quick", "--save", "--only", "ours"]) == 0
    assert "check_grads, this package" in capsys.readouterr().out
    record = saved(results, "checkers")
    assert record["ours"]["missed"] == [] and record["ours"]["accused"] == []


def test_the_best_checker_misses_and_accuses_fewest():
    found = lambda missed, accused: {"missed": [""] * missed, "accused": [""] * accused}
    assert checkers.is_best({"ours": found(1, 1), "torch": found(2, 1)})
    assert not checkers.is_best({"ours": found(1, 1), "torch": found(0, 9)})
    assert not checkers.is_best({"ours": found(1, 1), "torch": found(9, 0)})


def test_special_functions_are_measured(capsys, results):
    pytest.importorskip("mpmath"), pytest.importorskip("scipy")
    assert special.main(["--quick", "--save", "digamma", "polygamma(2", "betaln", "xlogy"]) == 0
    assert "its zeros in -20 … 0" in capsys.readouterr().out
    record = saved(results, "special")
    for name in ("digamma, its zeros in -20 … 0", "polygamma(2, x), x < 0", "xlogy, float32"):
        ours, scipy = record[name]["ulps"]
        assert ours <= 4 and ours <= 2 * scipy + 1


def test_adaptation_is_timed(capsys, results):
    assert adapt.main(["--quick", "--save"]) == 0
    assert "compiled: predict" in capsys.readouterr().out
    (task,) = adapt.QUICK
    times = saved(results, "adapt")[task]["compiled"]["next"]["adapt"]
    assert 0 < times["best"] <= times["median"] and times["first"] > 0
