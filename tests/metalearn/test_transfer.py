"""`metalearn adapt` on NumPy files and CSV tables; folders of images are in `test_cli`."""

import csv
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from metalearn.estimators import MetaClassifier, MetaRegressor
from metalearn.runs import open_run
from metalearn.trained import load_trained
from metalearn.transfer import read_task

from .helpers import command, fails
from .test_estimators import drawings


def adapted(capsys, run, out, *arguments):
    """What `metalearn adapt` says as JSON, and the rows of the table that it saves."""
    given = ["adapt", run.path, *arguments, "--out", out, "--json"]
    result = command(capsys, *given)
    assert result.code == 0, result.err
    return json.loads(result.out), list(csv.DictReader((out / "predictions.csv").open()))


@pytest.fixture
def images(tmp_path):
    """Support and query files of three classes, labelled by texts."""
    tmp_path = tmp_path / "images"
    tmp_path.mkdir()
    x, y = drawings(classes=3, each=4)
    labels = np.array(["wolf", "ant", "bee"])[y]
    np.savez(tmp_path / "support.npz", x=x[::2], y=labels[::2])
    np.savez(tmp_path / "query.npz", x=x[1::2], y=labels[1::2])
    np.savez(tmp_path / "unknown.npz", x=x[1::2])
    np.save(tmp_path / "query.npy", (x[1::2] * 255).astype(np.uint8))
    return tmp_path


@pytest.fixture
def points(tmp_path):
    """A table of a wave: 8 rows with a target, 5 without."""
    x = np.linspace(-4, 4, 13)
    y = 2 * np.sin(x - 1)
    known = np.arange(13) % 5 < 3
    rows = zip(x, y, known, strict=True)
    lines = [f"{a},{b}" if given else f"{a}," for a, b, given in rows]
    (tmp_path / "points.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    np.savez(tmp_path / "support.npz", x=x[known, None], y=y[known])
    np.savez(tmp_path / "query.npz", x=x[~known, None], y=y[~known])
    return tmp_path / "points.csv", x, y, known


# NumPy ----------------------------------------------------------------------------------------


def test_arrays_of_images(capsys, glyphs_run, images):
    files = ["--support", images / "support.npz", "--query", images / "query.npz"]
    record, rows = adapted(capsys, glyphs_run, images / "out", *files)
    assert record["classes"] == ["ant", "bee", "wolf"]
    truths = np.load(images / "query.npz")["y"]
    assert [row["true"] for row in rows] == truths.tolist()
    right = np.mean([row["predicted"] == row["true"] for row in rows])
    assert record["accuracy"] == pytest.approx(right)
    assert [row["file"] for row in rows] == [f"query.npz row {i}" for i in range(6)]
    assert (images / "out" / "predictions.png").stat().st_size > 1000


def test_arrays_without_labels_and_the_estimator_say_the_same(capsys, glyphs_run, images):
    support = np.load(images / "support.npz")
    model = MetaClassifier(glyphs_run.path, compiled=False).fit(support["x"], support["y"])
    expected = model.predict_proba(np.load(images / "query.npz")["x"])
    for name in ("query.npy", "unknown.npz"):
        files = ["--support", images / "support.npz", "--query", images / name]
        out = images / f"{name} out"
        record, rows = adapted(capsys, glyphs_run, out, *files, "--batch-norm", "support")
        assert record["accuracy"] is None
        found = [[float(row[f"p({c})"]) for c in model.classes_] for row in rows]
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_whole_numbers_name_classes(capsys, glyphs_run, tmp_path):
    x, y = drawings(classes=2, each=3)
    np.savez(tmp_path / "s.npz", x=x, y=y + 7)
    files = ["--support", tmp_path / "s.npz", "--query", tmp_path / "s.npz"]
    result = command(capsys, "adapt", glyphs_run.path, *files, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "of 7, 8" in result.out and "of 6 right" in result.out


def test_arrays_of_numbers(capsys, waves_run, points, tmp_path):
    _, x, y, known = points
    files = ["--support", tmp_path / "support.npz", "--query", tmp_path / "query.npz"]
    record, rows = adapted(capsys, waves_run, tmp_path / "out", *files)
    model = MetaRegressor(waves_run.path, compiled=False).fit(x[known, None], y[known])
    expected = model.predict(x[~known, None])
    np.testing.assert_allclose([float(row["predicted"]) for row in rows], expected, atol=1e-6)
    assert record["mse"] == pytest.approx(np.mean((expected - y[~known]) ** 2), rel=1e-4)
    assert list(rows[0]) == ["file", "predicted", "true"]
    assert (tmp_path / "out" / "predictions.png").exists()


def bad_arrays(folder):
    x, y = drawings(classes=3, each=2)
    np.savez(folder / "no y.npz", x=x)
    np.savez(folder / "no x.npz", y=y)
    np.savez(folder / "short.npz", x=x, y=y[1:])
    np.savez(folder / "float y.npz", x=x, y=y + 0.5)
    np.savez(folder / "one class.npz", x=x, y=y * 0)
    np.savez(folder / "six classes.npz", x=x, y=np.arange(6))
    np.savez(folder / "objects.npz", x=x, y=np.array([{}] * 6, object))
    np.savez(folder / "small.npz", x=x[:, :-1], y=y)
    np.savez(folder / "bright.npz", x=x * 300.0, y=y)
    np.savez(folder / "fine.npz", x=x, y=y)
    np.savez(folder / "other labels.npz", x=x, y=y + 1)
    np.save(folder / "objects.npy", np.array([{}], object))
    (folder / "cut.npz").write_bytes((folder / "fine.npz").read_bytes()[:-40])
    (folder / "text.npy").write_text("no array")
    with zipfile.ZipFile(folder / "climber.npz", "w") as archive:
        archive.writestr("../x.npy", b"")
    return folder


@pytest.mark.parametrize(
    ("support", "query", "says"),
    [
        ("no y.npz", "fine.npz", "no array 'y'"),
        ("no x.npz", "fine.npz", "no array 'x'"),
        ("short.npz", "fine.npz", "a label for each of 6"),
        ("float y.npz", "fine.npz", "integers or strings"),
        ("one class.npz", "fine.npz", "one class"),
        ("six classes.npz", "fine.npz", "5-way"),
        ("objects.npz", "fine.npz", "objects"),
        ("small.npz", "fine.npz", "(n, 1, 16, 16)"),
        ("bright.npz", "fine.npz", "0 to 300"),
        ("cut.npz", "fine.npz", "cut.npz"),
        ("climber.npz", "fine.npz", "leads out"),
        ("nowhere.npz", "fine.npz", "nowhere.npz"),
        ("fine.npz", "other labels.npz", "holds 3"),
        ("fine.npz", "objects.npy", "objects.npy"),
        ("fine.npz", "text.npy", "text.npy"),
        ("fine.npz", "nowhere.npy", "nowhere.npy"),
        ("fine.npz", "short.npz", "one for each of 6"),
    ],
)
def test_arrays_that_cannot_be_used(capsys, glyphs_run, tmp_path, support, query, says):
    folder = bad_arrays(tmp_path)
    files = ["--support", folder / support, "--query", folder / query]
    fails(capsys, "adapt", glyphs_run.path, *files, "--out", tmp_path / "out", says=(says,))
    assert not (tmp_path / "out").exists()


def test_files_that_do_not_go_together(capsys, glyphs_run, waves_run, images, points):
    table = points[0]
    glyphs, waves = ["adapt", glyphs_run.path], ["adapt", waves_run.path]
    support = ["--support", images / "support.npz"]
    for arguments, says in (
        ([*glyphs, *support], "--query: not given"),
        ([*glyphs, *support, "--query", images], ".npz or .npy"),
        ([*glyphs, *support, "--query", images / "query.npy", "--target", "y"], "--target y"),
        ([*glyphs, "--support", images / "query.npy", "--query", images], "holds no labels"),
        ([*glyphs, "--support", table], "trained on images"),
        ([*waves, "--support", table, "--query", table], "leave it out"),
        ([*waves, "--support", images, "--query", images], "no images"),
    ):
        fails(capsys, *arguments, code=2, says=(says,))


# CSV ------------------------------------------------------------------------------------------


def test_a_table(capsys, waves_run, points, tmp_path):
    table, x, y, known = points
    record, rows = adapted(capsys, waves_run, tmp_path / "out", "--support", table)
    model = MetaRegressor(waves_run.path, compiled=False).fit(x[known, None], y[known])
    found = [float(row["predicted"]) for row in rows]
    np.testing.assert_allclose(found, model.predict(x[~known, None]), atol=1e-6)
    lines = [2 + i for i in np.flatnonzero(~known)]
    assert [row["file"] for row in rows] == [f"points.csv line {line}" for line in lines]
    assert record["mse"] is None and record["classes"] == []
    result = command(
        capsys, "adapt", waves_run.path, "--support", table, "--out", tmp_path / "again"
    )
    assert "points.csv line 5" in result.out and "predictions.png" in result.out


def test_the_target_is_a_column_of_any_name(capsys, waves_run, points, tmp_path):
    table, *_ = points
    _, expected = adapted(capsys, waves_run, tmp_path / "1", "--support", table)
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    for number, (header, order, more) in enumerate(
        [("place,height", 1, []), ("height,place", -1, ["--target", "height"]), ("y,x", -1, [])]
    ):
        text = "\n".join([header, *(",".join(row[::order]) for row in rows)])
        (tmp_path / "points.csv").write_text(text)
        out = tmp_path / f"out {number}"
        _, found = adapted(capsys, waves_run, out, "--support", tmp_path / "points.csv", *more)
        assert found == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x,z,y\n1,2,3\n1,2,\n", "2 columns beside the target 'y'; the run takes 1"),
        ("x,y\n1,2\n2,3\n", "no row whose target is empty"),
        ("x,y\n1,\n2,\n", "empty in all rows"),
        ("x,y\n1,2\nleft,\n", "line 3, column 'x': 'left'"),
        ("x,y\n1,high\n2,\n", "line 2, column 'y': 'high'"),
        ("x,y\n1,2\n,\n", "line 3, column 'x': ''"),
        ("x,y\n1e300,2\n2,\n", "infinity"),
        ("x;y\n1;2\n", "commas"),
        ("", "empty"),
    ],
)
def test_tables_that_cannot_be_used(capsys, waves_run, tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    arguments = ["--support", tmp_path / "t.csv", "--out", tmp_path / "out"]
    fails(capsys, "adapt", waves_run.path, *arguments, says=("t.csv", says))
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,\n")
    fails(capsys, "adapt", waves_run.path, *arguments, "--target", "z", says=("no column 'z'",))


def test_runs_on_tables_plug_in(waves_run, tmp_path):
    """A run that recorded how its table was made reads a new one in the same way."""
    numbers = {"kind": "number", "name": "size", "mean": 10.0, "scale": 2.0, "missing": False}
    record = {
        "task": "town",
        "target": "price",
        "kind": "regression",
        "features": [numbers],
        "labels": None,
        "mean": 100.0,
        "scale": 50.0,
    }
    run = open_run(waves_run.path)
    run = replace(run, record={**run.record, "dataset": {"name": "t", "preprocess": record}})
    trained = load_trained(waves_run)._replace(run=run)
    (tmp_path / "t.csv").write_text("price,size\n150,12\n,8\n50,10\n")
    task = read_task(trained, tmp_path / "t.csv", None)
    np.testing.assert_allclose(task.support[0], [[1], [0]])
    np.testing.assert_allclose(task.support[1], [[1], [-1]])
    np.testing.assert_allclose(task.query, [[-1]])
    assert task.query_files == (f"{tmp_path / 't.csv'} line 3",)
