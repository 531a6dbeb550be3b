"""Experiments: what is computed once, what goes on after a stop, and what reports say."""

import json
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from matplotlib.figure import Figure

import autograd_core as ac
from metalearn import catalogue, cli
from metalearn.config import make_config
from metalearn.console import open_display
from metalearn.errors import Interrupted, OptionError, RunError
from metalearn.evaluation import Interval
from metalearn.experiments import EXPERIMENTS, cross_domain, running
from metalearn.experiments.base import Cell, Experiment
from metalearn.experiments.cross_domain import CrossDomainExperiment
from metalearn.experiments.omniglot import OmniglotExperiment, recipes
from metalearn.experiments.reactors import COLUMNS, write_reactors
from metalearn.experiments.report import Report, Table, number, over_seeds, percent
from metalearn.experiments.scarce_data import ScarceDataExperiment
from metalearn.experiments.workspace import Workspace, places_of
from metalearn.learner import MSE
from metalearn.problems import Classification
from metalearn.tasks import omniglot
from tests.metalearn.helpers import SINUSOID, command, fails
from tests.tasks.helpers import ALPHABETS, small_omniglot, write_zip

TRAINING = {**SINUSOID, "validation_episodes": 2}


@dataclass(frozen=True)
class Waves(Experiment):
    """Two small trainings on sinusoids a seed."""

    name: ClassVar[str] = "waves"
    about: ClassVar[str] = "a small experiment"

    seeds: int = 2
    iterations: int = 4

    @classmethod
    def quick(cls):
        return cls(iterations=2)

    @property
    def arms(self):
        return ("maml", "fomaml")

    def compute(self, cell, workspace):
        options = {**TRAINING, "iterations": self.iterations, "validate_every": 2}
        trained, _ = workspace.trained(
            cell.name, "sinusoid", algorithm=cell.arm, seed=cell.seed, **options
        )
        total = sum(np.asarray(leaf, np.float64).sum() for leaf in ac.tree_leaves(trained.params))
        return {"sum": float(total), "iteration": trained.iteration}

    def report(self, records):
        rows = [[cell.name, str(record["iteration"])] for cell, record in records.items()]
        return Report([Table("Waves", ["cell", "iteration"], rows)], ["Found."], {"plot": Figure()})


@pytest.fixture
def waves(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "waves", Waves)


@pytest.fixture
def workspace(tmp_path):
    with open_display(MSE) as display:
        yield Workspace(tmp_path / "work", display)


# Reports --------------------------------------------------------------------------------------


def test_intervals_over_seeds():
    mean, half = over_seeds([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.303 / math.sqrt(3))
    assert over_seeds([1.0]) == (1.0, math.inf)
    many = over_seeds([0.0, 1.0] * 50)
    assert many.half_width == pytest.approx(1.96 * np.std([0, 1] * 50, ddof=1) / 10)


def test_numbers_in_print():
    assert percent(Interval(0.934, 0.008)) == "93.4 ± 0.8"
    assert percent(Interval(0.5, math.inf)) == "50.0"
    assert number(Interval(1.2345, 0.0123)) == "1.23 ± 0.012"


def test_tables_are_markdown():
    table = Table("T", ["a", "b"], [["1", "2"]], "said")
    assert table.markdown() == "**T**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nsaid"


# The workspace --------------------------------------------------------------------------------


def test_where_datasets_lie():
    assert places_of(None) == {}
    assert places_of("a/b") == {"omniglot": "a/b"}
    found = places_of("omniglot=x,fashion-mnist=y")
    assert found == {"omniglot": "x", "fashion-mnist": "y"}
    for wrong in ("nothing=x", "omniglot=", "", "glyphs=x", "folder=x"):
        with pytest.raises(OptionError, match="--data"):
            places_of(wrong)


def test_places_reach_configurations(tmp_path, workspace):
    workspace.places = {"omniglot": str(tmp_path), "fashion-mnist": "/y"}
    assert workspace.data_of("omniglot") == str(tmp_path)
    assert workspace.data_of("omniglot+glyphs") == f"omniglot={tmp_path}"
    assert workspace.data_of("glyphs") is None and workspace.data_of("sinusoid") is None
    assert workspace.config("omniglot+glyphs").data == f"omniglot={tmp_path}"


def test_a_cell_is_computed_once(workspace):
    calls = []
    compute = lambda: calls.append(1) or {"x": [1.5, float("inf")]}
    first, again = workspace.cell("a-0", compute), workspace.cell("a-0", compute)
    assert first == again == {"x": [1.5, None]} and len(calls) == 1


def test_a_damaged_cell_is_told(workspace):
    workspace.cell("a-0", dict)
    (workspace.folder / "cells" / "a-0.json").write_text('{"x": ')
    with pytest.raises(RunError, match=r"a-0\.json: damaged .* remove it"):
        workspace.cell("a-0", dict)


def test_cells_of_other_settings_are_refused(workspace):
    workspace.begin({"settings": {"n": (1, 2)}})
    workspace.begin({"settings": {"n": [1, 2]}})
    with pytest.raises(RunError, match="other settings"):
        workspace.begin({"settings": {"n": [1, 3]}})


def test_a_run_of_other_options_is_refused(workspace):
    workspace.trained("run", "sinusoid", **TRAINING)
    with pytest.raises(RunError, match="other options"):
        workspace.trained("run", "sinusoid", **{**TRAINING, "seed": 1})


# Running --------------------------------------------------------------------------------------


def test_from_name_to_tables(waves, capsys, tmp_path):
    arguments = ["experiment", "waves", "--out", tmp_path / "o", "--results", tmp_path / "r"]
    found = command(capsys, *arguments)
    assert found.code == 0, found.err
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        *("waves.md", "waves.json", "waves-plot.png")
    }
    text = (tmp_path / "r" / "waves.md").read_text()
    for part in ("# waves: a small experiment", "| maml-1 | 4 |", "- Found.", "waves-plot.png"):
        assert part in text
    record = json.loads((tmp_path / "r" / "waves.json").read_text())
    assert record["settings"] == {"iterations": 4} and record["seeds"] == 2
    assert [cell["arm"] for cell in record["cells"]] == ["maml", "fomaml"] * 2
    # Again: nothing is trained anew, and one more seed is two more cells.
    again = command(capsys, *arguments, "--seeds", "3")
    assert again.out.count("done in") == 2
    more = json.loads((tmp_path / "r" / "waves.json").read_text())
    assert more["cells"][:4] == record["cells"] and len(more["cells"]) == 6


def test_quick_and_full_are_apart(waves, capsys, tmp_path):
    arguments = ["experiment", "waves", "--out", tmp_path, "--results", tmp_path / "r", "--quick"]
    assert command(capsys, *arguments, "--only", "maml").code == 0
    assert (tmp_path / "waves-quick" / "runs" / "maml-1").is_dir()
    assert not (tmp_path / "waves-quick" / "runs" / "fomaml-1").exists()
    assert "fomaml" not in (tmp_path / "r" / "waves-quick.md").read_text()


def test_what_was_stopped_goes_on_to_the_same_numbers(tmp_path):
    found, whole = Waves(seeds=1, iterations=6), {}
    with open_display(MSE) as display:
        whole = running.computed(found, Workspace(tmp_path / "whole", display))
        asked = iter([False] * 4)
        cut = Workspace(tmp_path / "cut", display, lambda: next(asked, True))
        with pytest.raises(Interrupted):
            running.computed(found, cut)
        assert (cut.folder / "runs" / "maml-0" / "checkpoints" / "last.safetensors").exists()
        assert cut.known("maml-0") is None
        resumed = running.computed(found, Workspace(tmp_path / "cut", display))
    for cell in whole:
        assert resumed[cell]["sum"] == whole[cell]["sum"]


def test_a_stop_says_how_to_go_on(waves, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(running.Interrupts, "requested", lambda _: True)
    out = ["--out", tmp_path / "o", "--results", tmp_path / "r"]
    says = f"metalearn experiment waves --seeds 2 --only maml --out {tmp_path / 'o'} --results"
    arguments = ["--seeds", 2, "--only", "maml"]
    fails(capsys, "experiment", "waves", *arguments, *out, code=130, says=(says,))
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "arguments,said",
    [
        (["nothing"], ("'nothing'", "cross-domain", "scarce-data")),
        (["waves", "--seeds", "0"], ("--seeds 0",)),
        (["waves", "--only", "sgd"], ("--only sgd", "maml, fomaml")),
        (["waves", "--data", "nothing=here"], ("--data nothing=here",)),
        (["waves", "--device", "cuda:9"], ("cuda:9",)),
    ],
)
def test_options_that_make_no_sense(waves, capsys, tmp_path, arguments, said):
    out = ["--out", tmp_path / "o", "--results", tmp_path / "r"]
    fails(capsys, "experiment", *arguments, *out, code=2, says=said)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_quick_forms_differ_in_settings_alone(name):
    quick, full = EXPERIMENTS[name].quick(), EXPERIMENTS[name]()
    assert type(quick) is type(full) and quick != full
    assert json.loads(json.dumps(quick.settings)) == quick.settings
    names = [cell.name for cell in full.cells()]
    assert len(set(names)) == len(names) == full.seeds * len(full.arms)


# Cross-domain ---------------------------------------------------------------------------------


@pytest.fixture
def handwriting(tmp_path, monkeypatch):
    """A folder with an Omniglot of 8 alphabets to train on and 2 others."""
    alphabets = {
        "images_background": dict.fromkeys("ABCDEFGH", 4),
        "images_evaluation": {"Y": 4, "Z": 5},
    }
    folder = tmp_path / "omniglot"
    folder.mkdir()
    for name in alphabets:
        monkeypatch.setitem(ALPHABETS, name, alphabets[name])
        half = omniglot.Half(name, len(alphabets[name]), sum(alphabets[name].values()), "0" * 32)
        monkeypatch.setattr(omniglot, name.removeprefix("images_").upper(), half)
        write_zip(folder / f"{name}.zip", small_omniglot(name))
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path / "cache"))
    return folder


def test_cross_domain_in_small(handwriting, workspace, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "GLYPHS", {"classes": 40, "samples": 20, "seed": 0})
    workspace.places = {"omniglot": str(handwriting), "fashion-mnist": str(tmp_path / "none")}
    monkeypatch.setitem(cross_domain.ARMS, "pretrained", {"eval_steps": 2})
    small = CrossDomainExperiment(
        seeds=1, episodes=2, filters=2, iterations={"pretrained": 2}, scratch_steps=2
    )
    assert small.arms == ("pretrained", "scratch")
    records = running.computed(small, workspace, ["pretrained"])
    assert [cell.arm for cell in records] == ["pretrained"]
    for record in records.values():
        assert list(record["scores"]) == ["omniglot", "glyphs", "digits"]
        assert list(record["absent"]) == ["fashion-mnist"]
        values = [v for domain in record["scores"].values() for v in domain.values()]
        assert len(values) == 12 and all(0 <= value <= 1 for value in values)


def cross_domain_records(seeds=2):
    experiment = CrossDomainExperiment(seeds=seeds)
    tasks = [f"{n}-shot, {mode}" for n in (1, 5) for mode in ("transductive", "support")]
    rng = np.random.default_rng(0)
    return experiment, {
        cell: {
            "scores": {
                d: dict(zip(tasks, rng.random(4).tolist(), strict=True))
                for d in ("omniglot", "glyphs", "digits")
            },
            "absent": {"fashion-mnist": "not found"},
        }
        for cell in experiment.cells()
    }


def test_the_report_of_cross_domain():
    experiment, records = cross_domain_records()
    report = experiment.report(records)
    assert len(report.tables) == 2
    values = [records[Cell("maml", s)]["scores"]["digits"]["5-shot, support"] for s in (0, 1)]
    expected = percent(over_seeds(values))
    assert report.tables[1].rows[0][-1] == expected
    assert any("left out: not found" in finding for finding in report.findings)
    assert any("on digits it is" in finding for finding in report.findings)


@pytest.mark.parametrize("make", ["cross_domain", "scarce"])
def test_reports_of_some_arms_alone(make):
    """As `--only` asks for."""
    scores = {start: {1: 0.4, 100: 0.6} for start in ("meta-learned", "pretrained", "random")}
    experiment, records = cross_domain_records() if make != "scarce" else scarce_records(scores)
    for arm in experiment.arms:
        mine = {cell: record for cell, record in records.items() if cell.arm == arm}
        report = experiment.report(mine)
        assert report.tables and report.figures


def test_fine_tuning_is_ahead_or_not():
    far, near = Interval(0.5, 0.01), Interval(0.52, 0.02)
    assert cross_domain._compared(Interval(0.6, 0.01), far) == "it is so here"
    assert cross_domain._compared(near, far) == "it is so here, by less than the intervals"
    assert cross_domain._compared(far, near) == "it is not so here, by less than the intervals"
    assert cross_domain._compared(far, Interval(0.6, 0.01)) == "it is not so here"


# Scarce data ----------------------------------------------------------------------------------


def test_a_table_of_reactors(tmp_path):
    path = write_reactors(tmp_path / "a.csv", reactors=3, rows=40)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == list(COLUMNS) and len(lines) == 1 + 3 * 40
    again = write_reactors(tmp_path / "b.csv", reactors=3, rows=40)
    assert again.read_bytes() == path.read_bytes()
    other = write_reactors(tmp_path / "c.csv", reactors=3, rows=40, seed=1)
    assert other.read_bytes() != path.read_bytes()
    numbers = np.array([line[1:] for line in lines[1:]], float)
    assert np.isfinite(numbers).all()
    # Humidity says nothing of the yield; the temperature does.
    first = numbers[:40]
    correlation = np.corrcoef(first.T)[-1]
    assert abs(correlation[4]) < abs(correlation[0])


def test_scarce_data_in_small(workspace):
    small = ScarceDataExperiment(
        seeds=1, shots=(1,), steps=(1, 2), tasks=1, validation_tasks=1, table_iterations=50
    )
    cells = [cell for cell in small.cells() if cell.arm.startswith("table")]
    records = {cell: small.compute(cell, workspace) for cell in cells}
    for record in records.values():
        found = record["panels"]["reactors"]["1"]
        assert math.isfinite(found["score"]) and "steps" in found["chosen"]
    report = small.report(records)
    assert report.tables[0].columns[1:] == ["meta-learned", "pretrained", "random"]


def scarce_records(scores):
    """Records of three seeds with the scores of a start, and a little of each seed."""
    experiment = ScarceDataExperiment(seeds=3)
    records = {}
    for cell in experiment.cells():
        what, _, start = cell.arm.partition("-")
        panels = {"table": ["reactors"], "images": ["glyphs", "digits"]}[what]
        found = {str(n): {"score": value + 0.001 * cell.seed} for n, value in scores[start].items()}
        records[cell] = {"panels": dict.fromkeys(panels, found)}
    return experiment, records


def test_findings_tell_where_meta_learning_pays():
    scores = {
        "meta-learned": {1: 0.9, 100: 0.95},
        "pretrained": {1: 0.7, 100: 0.95},
        "random": {1: 0.4, 100: 0.6},
    }
    experiment, records = scarce_records(scores)
    report = experiment.report(records)
    glyphs, _, reactors = report.findings
    assert "of the pretrained one with 1 (from 1 to 100: +20.0 points, +0.0 points)" in glyphs
    assert "of the random one with 1, 100 (" in glyphs and "so it does here" in glyphs
    # The same numbers as errors: nothing of it is ahead.
    assert "of the pretrained one with no number tried" in reactors


# Omniglot -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes())
def test_recipes_are_options_of_train(name):
    recipe = recipes()[name]
    assert set(recipe) <= {"paper", "train"}
    config = make_config("omniglot", recipe["train"])
    ways, shots = name.partition("-")[0].removesuffix("s").split("w")
    assert (config.ways, config.shots) == (int(ways), int(shots))
    assert config.algorithm == name.partition("-")[2]
    if "paper" in recipe:
        assert 50 < recipe["paper"]["accuracy"] < 100 and recipe["paper"]["source"]


def test_omniglot_in_small(handwriting, workspace, monkeypatch):
    monkeypatch.setattr(omniglot, "TRAINING", 30)
    monkeypatch.setattr("metalearn.tasks.omniglot.omniglot_split.__defaults__", (0, 10))
    workspace.places = {"omniglot": str(handwriting)}
    small = OmniglotExperiment(episodes=2, iterations=1)
    cell = Cell("5w1s-protonet", 0)
    monkeypatch.setitem(recipes()[cell.arm]["train"], "train_ways", 6)
    monkeypatch.setitem(recipes()[cell.arm]["train"], "filters", 2)
    record = small.compute(cell, workspace)
    assert record["iteration"] == 1 and set(record["scores"]) == {"transductive", "support"}
    (row,) = small.report({cell: record}).tables[0].rows
    assert row[:3] == ["5w1s", "protonet", "98.8"]


def test_help_names_every_experiment(capsys):
    assert cli.run(["experiment", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in EXPERIMENTS:
        assert name in text


def test_a_dataset_of_another_kind_is_no_domain(workspace):
    from metalearn.problems import other_domain

    config = make_config("glyphs", {})
    found = other_domain(config, "digits")
    assert isinstance(found, Classification) and len(found.split.test) == 10
    for wrong in ("sinusoid", "digits+glyphs"):
        with pytest.raises(OptionError, match="--on"):
            other_domain(config, wrong)
    with pytest.raises(OptionError, match="channels"):
        other_domain(config, "cifar-fs", "/nowhere")
