import json
import multiprocessing

import pytest

from metalearn import catalogue, problems, runs
from metalearn.errors import RunError
from metalearn.problems import open_problem

from .helpers import contents, new_run, small_config


@pytest.fixture
def run(tmp_path):
    return new_run(tmp_path / "run", small_config("glyphs"))[0]


def test_the_record_says_what_the_run_met(run):
    record = json.loads((run.path / "config.json").read_text())
    assert record["algorithm"] == {"name": "maml", "order": 2}
    assert record["batch_norm"]["mode"] == "transductive"
    assert set(record["split"]) == {"version", "seed", "hash", "counts"}
    assert len(record["dataset"]["fingerprint"]) == 64
    assert {"metagrad", "numpy", "python"} <= set(record["versions"])
    assert record["options"]["seed"] == record["seed"] == 0


def test_open_gives_back_what_create_wrote(run):
    found = runs.open_run(run.path)
    assert (found.config, found.record) == (run.config, run.record)
    assert found.split() == open_problem(run.config).split


def test_runs_are_never_overwritten(run):
    before = contents(run.path)
    with pytest.raises(RunError, match="--resume"):
        new_run(run.path, run.config)
    assert contents(run.path) == before


def test_other_folders_are_never_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(RunError, match="not empty"):
        new_run(tmp_path, small_config())
    assert len(contents(tmp_path)) == 1


def test_an_empty_folder_may_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    assert new_run(tmp_path / "empty", small_config())[0].path.joinpath("config.json").exists()


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be"):
        new_run(tmp_path / "file" / "run", small_config())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_free_paths_are_numbered(tmp_path):
    for expected in ("run", "run-2", "run-3"):
        path = runs.free_path(tmp_path, "run")
        assert path.name == expected
        path.mkdir()


def _try_to_train(path, answers):
    try:
        with runs.open_run(path).locked():
            answers.put("trained")
    except RunError as error:
        answers.put(str(error))


def test_two_processes_cannot_train_one_run(run):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    for locked in (True, False):
        process = context.Process(target=_try_to_train, args=(run.path, answers))
        if locked:
            with run.locked():
                process.start()
                assert "another process" in answers.get(timeout=60)
        else:
            process.start()
            assert answers.get(timeout=60) == "trained"
        process.join(60)


def test_a_changed_split_is_noticed(run):
    path = run.path / "split.json"
    split = json.loads(path.read_text())
    first = split["test"].pop()
    split["train"].append(first)
    path.write_text(json.dumps(split))
    with pytest.raises(ValueError, match="hash"):
        run.split()
    split["hash"] = problems.Split(
        tuple(split["train"]), tuple(split["validation"]), tuple(split["test"]), "x"
    ).hash
    path.write_text(json.dumps(split))
    with pytest.raises(RunError, match="not the split"):
        run.split()


def test_changed_data_are_noticed(run, monkeypatch):
    monkeypatch.setattr(catalogue, "GLYPHS", {"classes": 40, "samples": 12, "seed": 1})
    with pytest.raises(RunError, match="data have changed"):
        run.check_data(open_problem(run.config))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', "null"])
def test_damaged_records_are_refused(run, text):
    (run.path / "config.json").write_text(text)
    with pytest.raises(RunError):
        runs.open_run(run.path)


# Metrics --------------------------------------------------------------------------------------


@pytest.fixture
def metrics(tmp_path):
    metrics = runs.Metrics(tmp_path / "metrics.jsonl")
    for iteration in range(1, 6):
        metrics.add({"iteration": iteration, "loss": iteration / 3})
    metrics.flush()
    return metrics


def test_lines_come_back_as_they_were(metrics):
    assert metrics.read()[2] == {"iteration": 3, "loss": 1.0}
    assert len(metrics.read()) == 5


def test_lines_wait_for_flush(metrics):
    metrics.add({"iteration": 6})
    assert len(metrics.read()) == 5
    metrics.flush()
    metrics.flush()
    assert len(metrics.read()) == 6


def test_truncation_drops_what_came_later_and_half_lines(metrics):
    with metrics.path.open("a") as file:
        file.write('{"iteration": 6, "lo')
    metrics.truncate(3)
    assert [line["iteration"] for line in metrics.read()] == [1, 2, 3]
    assert metrics.path.read_text().endswith("}\n")


def test_no_metrics_yet(tmp_path):
    assert runs.Metrics(tmp_path / "none").read() == []
