"""`metalearn train` and `adapt` on data as people have them: columns to leave out, tasks and
classes that are too small, values that are missing or new."""

import csv
import datetime
import json

import numpy as np
import pytest

import metalearn
from metalearn.commands import resume
from metalearn.config import Config, make_config
from metalearn.runs import open_run
from tests.tasks.helpers import table_rows, write_csv

from .helpers import GLYPHS, command, draw_folder, drawings, fails, flags

SMALL = {
    "iterations": 2,
    "hidden": (4,),
    "meta_batch": 2,
    "shots": 3,
    "queries": 3,
    "validate_every": 1,
    "validation_episodes": 2,
    "eval_steps": 1,
}
COLUMNS = ["school", "hours", "parents", "exam date", "mark"]


def marks(path, sizes=(8,) * 8, without=(), rows=None):
    """A table of schools, with a date in each row that no other has."""
    lines, day = [], 0
    for school, size in enumerate(sizes):
        for hour in range(size):
            day += 1
            cells = [f"S{school}", hour, ("none", "school")[hour % 2], f"day {day}", 10.5 * hour]
            lines.append(dict(zip(COLUMNS, map(str, cells), strict=True)))
    lines = lines if rows is None else rows(lines)
    kept = [column for column in COLUMNS if column not in without]
    path.write_text(
        "\n".join(",".join(row) for row in [kept, *([r[c] for c in kept] for r in lines)])
    )
    return path


def trained(capsys, folder, *more, **options):
    """What training on a table says."""
    table = marks(folder / "marks.csv", **options)
    words = ["--task-column", "school", "--target", "mark", *flags(SMALL), "--no-jit"]
    result = command(capsys, "train", table, *words, *more, "--out", folder / "run")
    assert result.code == 0, result.err
    return result.out


def test_columns_that_are_left_out(capsys, tmp_path):
    many = (40,) * 8
    table = marks(tmp_path / "marks.csv", many)
    asked = ["train", table, "--task-column", "school", "--target", "mark"]
    fails(capsys, *asked, says=("'exam date'", "categories", "--ignore 'exam date'"))
    trained(capsys, tmp_path, "--ignore", "exam date", "--ignore", "parents", sizes=many)
    run = open_run(tmp_path / "run")
    assert run.config.ignore == ("exam date", "parents")
    features = run.record["dataset"]["preprocess"]["features"]
    assert [feature["name"] for feature in features] == ["hours"]
    known = lambda rows: [
        {**row, "mark": "" if i > 4 else row["mark"]} for i, row in enumerate(rows)
    ]
    said = []
    for name, without in (("with", ()), ("without", ("exam date", "parents", "school"))):
        new = marks(tmp_path / "new.csv", (8,), without, known)
        out = tmp_path / name
        result = command(capsys, "adapt", run.path, "--support", new, "--out", out)
        assert result.code == 0, result.err
        said.append((out / "predictions.csv").read_text())
    assert said[0] == said[1] and said[0].count("\n") == 4


def test_columns_are_only_of_tables(capsys):
    fails(capsys, "train", "glyphs", "--ignore", "x", code=2, says=("--ignore",))


def test_records_of_older_versions_leave_no_column_out(tmp_path):
    config = make_config(str(marks(tmp_path / "t.csv")), {"target": "mark", "ignore": ("x",)})
    data = json.loads(json.dumps(config.to_dict()))
    assert Config.from_dict(data) == config and data.pop("ignore") == ["x"]
    assert Config.from_dict(data).ignore == ()


def test_the_task_column_is_asked_for_first(capsys, tmp_path):
    table = marks(tmp_path / "marks.csv")
    error = fails(capsys, "train", table, code=2, says=("--task-column",))
    assert error.index("--task-column") < error.index("--target")
    fails(capsys, "train", table, "--target", "mark", says=("'task'", "--task-column", "'school'"))


def test_small_tasks_and_rows_without_a_target_are_told(capsys, tmp_path):
    said = trained(
        capsys,
        tmp_path,
        sizes=(8, 8, 2, 8, 8, 4),
        without=("exam date",),
        rows=lambda rows: [{**row, "mark": "NA"} if i == 0 else row for i, row in enumerate(rows)],
    )
    assert "1 of 38 rows of" in said and "are left out: no 'mark'" in said
    assert "2 of 6 tasks (6 rows) are left out: fewer than 6 rows (3 shots + 3 queries)" in said
    assert "with --shots 1 --queries 1 all would fit" in said
    run = open_run(tmp_path / "run")
    split = run.split()
    assert {*split.train, *split.validation, *split.test} == {"S0", "S1", "S3", "S4"}
    assert resume(run.path, None, None, {"iterations": 3}) == 0  # which checks the data


def test_the_unit_of_errors_is_told(capsys, tmp_path):
    said = trained(capsys, tmp_path, without=("exam date",))
    run = open_run(tmp_path / "run")
    scale = run.record["dataset"]["preprocess"]["scale"]
    assert scale == pytest.approx(10.5 * np.arange(8).std())
    unit = (
        f"the variance of 'mark' over the training tasks, whose standard deviation is {scale:.4g}"
    )
    assert f"errors are in units of {unit}\n" in said and f"MSE in units of {unit}, mean" in said
    x, y = np.array([["3", "none"], ["7", "school"]] * 3), np.arange(6) * 20.0
    np.savez(tmp_path / "s.npz", x=x, y=y)
    files = ["--support", tmp_path / "s.npz", "--query", tmp_path / "s.npz"]
    result = command(capsys, "adapt", run.path, *files, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    errors = [p["predicted"] - p["true"] for p in record["predictions"]]
    assert [p["true"] for p in record["predictions"]] == pytest.approx(y, abs=1e-4)
    root = np.sqrt(np.mean(np.square(errors)))
    assert f"MSE {root**2:.3g} (root {root:.3g}, in units of 'mark')" in result.out


def test_values_that_training_did_not_have_are_told(capsys, tmp_path):
    trained(capsys, tmp_path, without=("exam date",))
    change = {0: {"parents": "doctorate"}, 5: {"mark": "n/a"}, 6: {"mark": ""}}
    rows = lambda rows: [{**row, **change.get(i, {})} for i, row in enumerate(rows)]
    new = marks(tmp_path / "new.csv", (8,), (), rows)
    result = command(capsys, "adapt", tmp_path / "run", "--support", new, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    note = "column 'parents': 'doctorate' was not in training; treated as none of its categories"
    assert f"note: {note}\n" in result.out
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["notes"] == [note] and len(record["predictions"]) == 2


def test_missing_targets_of_plain_tables_are_what_to_predict(capsys, waves_run, tmp_path):
    (tmp_path / "t.csv").write_text("x;y\n1,5;2,5\n2;NA\n3;\n")
    result = command(
        capsys, "adapt", waves_run.path, "--support", tmp_path / "t.csv", "--out", tmp_path / "out"
    )
    assert result.code == 0 and "t.csv line 3" in result.out and "t.csv line 4" in result.out


def test_a_folder_of_tables_each_a_task(capsys, tmp_path):
    folder = tmp_path / "schools"
    folder.mkdir()
    for school in range(6):
        marks(folder / f"S{school}.csv", (8,), ("school", "exam date"))
    fails(capsys, "train", folder, code=2, says=("expected --target, the column",))
    words = ["--target", "mark", *flags(SMALL), "--no-jit", "--out", tmp_path / "run"]
    result = command(capsys, "train", folder, *words)
    assert result.code == 0, result.err
    assert result.out.startswith("schools 3-shot: ")
    run = open_run(tmp_path / "run")
    split = run.split()
    assert {*split.train, *split.validation, *split.test} == {f"S{i}" for i in range(6)}
    assert resume(run.path, None, None, {"iterations": 3}) == 0
    given = lambda rows: [{**row, "mark": row["mark"] * (i < 5)} for i, row in enumerate(rows)]
    new = marks(tmp_path / "new.csv", (8,), ("exam date",), given)
    files = ["--support", new, "--out", tmp_path / "out"]
    assert command(capsys, "adapt", run.path, *files).code == 0
    assert (tmp_path / "out" / "predictions.csv").read_text().count("\n") == 4


def test_a_folder_of_tables_with_a_task_column(capsys, tmp_path):
    for year in (2023, 2024):
        marks(tmp_path / f"{year}.csv", without=("exam date",))
    words = ["--task-column", "school", "--target", "mark", *flags(SMALL), "--no-jit"]
    result = command(capsys, "train", tmp_path, *words, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert open_run(tmp_path / "run").record["dataset"]["tasks"] == 8


def test_a_folder_of_tables_and_images(tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=3, images=2)
    marks(folder / "labels.csv")  # notes on images
    assert make_config(str(folder), {}).dataset == "folder"
    tables = tmp_path / "schools"
    tables.mkdir()
    marks(tables / "S1.csv")
    (folder / "class0" / "0.png").rename(tables / "plot.png")
    assert make_config(str(tables), {"target": "mark"}).dataset == "table"


def test_dates_are_days_in_training_adaptation_and_python(capsys, tmp_path):
    def dated(rows):
        days = [f"2024-03-{1 + i % 28:02d} {i % 24}:30" for i in range(len(rows))]
        return [{**row, "exam date": day} for row, day in zip(rows, days, strict=True)]

    said = trained(capsys, tmp_path, rows=dated)
    assert "dates are taken as days since the first: 'exam date' (YYYY-MM-DD, from 2024-" in said
    given = lambda rows: [{**row, "mark": row["mark"] * (i < 5)} for i, row in enumerate(rows)]
    new = marks(tmp_path / "new.csv", (8,), ("school",), lambda rows: given(dated(rows)))
    out = tmp_path / "out"
    result = command(capsys, "adapt", tmp_path / "run", "--support", new, "--out", out)
    assert result.code == 0, result.err
    record = json.loads((out / "predictions.json").read_text())
    rows = list(csv.DictReader(new.open()))
    known, asked = rows[:5], rows[5:]
    model = metalearn.load(tmp_path / "run", compiled=False)
    model.fit(known, [float(row["mark"]) for row in known])
    expected = [p["predicted"] for p in record["predictions"]]
    for row in asked:
        row["exam date"] = datetime.datetime.strptime(row["exam date"], "%Y-%m-%d %H:%M")
    np.testing.assert_allclose(model.predict(asked), expected, rtol=1e-6)


def test_the_ways_of_a_table_are_its_labels(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "t.csv", table_rows("classification"))
    small = {**SMALL, "shots": 2, "queries": 2, "target": "y"}
    result = command(capsys, "train", "t.csv", *flags(small), "--no-jit")
    assert result.code == 0, result.err
    assert result.out.count("t 2-way 2-shot: ") == 2 and "5-way" not in result.out
    run = tmp_path / "runs" / "t-2w2s-maml"
    assert json.loads((run / "evaluation.json").read_text())["ways"] == 2


# Folders of images ----------------------------------------------------------------------------


def test_classes_with_too_few_images_are_left_out(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=12, images=4)
    for name in ("class3", "class5"):
        for i in range(1, 4):
            (folder / name / f"{i}.png").unlink()
    options = [*flags({**GLYPHS, "ways": 3}), "--no-jit", "--out", tmp_path / "run"]
    result = command(capsys, "train", folder, *options)
    assert result.code == 0, result.err
    told = (
        "2 of 12 classes are left out: fewer than 3 images (1 shot + 2 queries): 'class3', 'class5'"
    )
    assert told in result.out
    run = open_run(tmp_path / "run")
    split = run.split()
    used = {*split.train, *split.validation, *split.test}
    assert len(used) == 10 and not used & {"class3", "class5"}
    assert resume(run.path, None, None, {"iterations": 5}) == 0
    parts = {"train": ["class0", "class1", "class2"], "validation": ["class4"], "test": ["class5"]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    options[-1] = tmp_path / "again"
    fails(capsys, "train", folder, *options, "--split", tmp_path / "split.json", says=("test",))


def test_too_few_classes_that_are_large_enough(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=12, images=3)
    says = ("0 of 12 classes have 6 images (1 shot + 5 queries)", "--shots 1 --queries 2 all")
    fails(capsys, "train", folder, "--ways", 3, "--out", tmp_path / "run", says=says)


def test_few_whole_numbers_may_be_numbers(capsys, tmp_path):
    """Marks from 0 to 6: as classes, no task has all of them."""
    rng = np.random.default_rng(0)
    lines = ["school,hours,mark"]
    for school in range(30):
        slope = rng.uniform(0.3, 0.6)
        for hours in rng.uniform(0, 10, 12):
            lines.append(f"s{school},{hours:.2f},{min(6, round(slope * hours))}")
    path = tmp_path / "marks.csv"
    path.write_text("\n".join(lines) + "\n")
    given = ["--task-column", "school", "--target", "mark", "--shots", 4, "--queries", 4]
    short = [*flags({"iterations": 20, "validate_every": 20, "hidden": (8,)}), "--out"]
    fails(capsys, "train", path, *given, *short, tmp_path / "a", says=("--labels numbers",))
    result = command(capsys, "train", path, *given, "--labels", "numbers", *short, tmp_path / "b")
    assert result.code == 0 and "accuracy" not in result.out, result.err
    record = json.loads((tmp_path / "b" / "config.json").read_text())
    assert record["dataset"]["preprocess"]["kind"] == "regression"
    words = tmp_path / "words.csv"
    words.write_text(path.read_text().replace(",6\n", ",six\n"))
    fails(
        capsys, "train", words, *given, "--labels", "numbers", *short, tmp_path / "c", says=("six",)
    )


# Few classes ----------------------------------------------------------------------------------


def few_classes(kind, folder):
    """Ten classes: scikit-learn's digits, or a folder, or a file."""
    if kind == "digits":
        pytest.importorskip("sklearn")
        return "digits"
    if kind == "folder":
        return draw_folder(folder / "signs", classes=10, images=4)
    x, y = drawings(classes=10, each=4)
    np.savez(folder / "signs.npz", x=x, y=y)
    return folder / "signs.npz"


def small_options(kind, **changes):
    unused = () if kind != "npz" else ("filters", "image_size")
    return {name: value for name, value in {**GLYPHS, **changes}.items() if name not in unused}


@pytest.mark.parametrize("kind", ["digits", "folder", "npz"])
def test_few_classes_make_tasks_of_fewer_ways(capsys, tmp_path, kind):
    data, run = few_classes(kind, tmp_path), tmp_path / "run"
    options = [*flags(small_options(kind)), "--no-jit"]
    result = command(capsys, "train", data, *options, "--out", run)
    assert result.code == 0, result.err
    told = "3-way tasks: there are not 5 classes each for training, validation and test\n"
    assert told in result.out and "3-way 1-shot" in result.out
    config = open_run(run).config
    assert config.ways == config.output_count == 3
    assert resume(run, None, None, {"iterations": 5}) == 0
    out = ["--ways", 4, "--out", tmp_path / "none"]
    code, says = 2, ("10 classes; --ways 4 needs at least 12", "give --ways 3 or fewer")
    fails(capsys, "train", data, *options, *out, code=code, says=says)


def test_check_and_protonet_take_fewer_ways_too(capsys, tmp_path):
    folder = few_classes("folder", tmp_path)
    result = command(capsys, "check", folder, "--queries", 2, "--filters", 2, "--episodes", 2)
    assert "3-way tasks: there are not 5" in result.out, result
    options = small_options("folder", algorithm="protonet")
    del options["eval_steps"]
    out = ["--no-jit", "--out", tmp_path / "run"]
    assert command(capsys, "train", folder, *flags(options), *out).code == 0
    config = open_run(tmp_path / "run").config
    assert (config.ways, config.train_ways) == (3, 4)


def test_parts_of_a_split_decide_too(capsys, tmp_path):
    folder = few_classes("folder", tmp_path)
    names = [f"class{i}" for i in range(10)]
    parts = {"train": names[:6], "validation": names[6:8], "test": names[8:]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    options = [*flags(small_options("folder")), "--split", tmp_path / "split.json", "--no-jit"]
    result = command(capsys, "train", folder, *options, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert open_run(tmp_path / "run").config.ways == 2


def test_fewer_than_two_classes_a_part(capsys, tmp_path):
    folder = draw_folder(tmp_path / "signs", classes=5, images=4)
    options = flags(small_options("folder"))
    says = ("5 classes; --ways 2 needs at least 6", "test: give more classes")
    fails(capsys, "train", folder, *options, "--out", tmp_path / "run", code=2, says=says)
