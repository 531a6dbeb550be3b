"""`metalearn adapt` on NumPy files and CSV tables; folders of images are in `test_cli`."""

import csv
import json
import shutil
import zipfile

import numpy as np
import pytest

import metalearn
from metalearn import cli
from metalearn.adapted import adapt_to
from metalearn.algorithms import ALGORITHMS, class_of, find_algorithm
from metalearn.config import algorithm_of, make_config
from metalearn.errors import DivergedError
from metalearn.estimators import MetaClassifier, MetaRegressor
from metalearn.inputs import InputError, Inputs, inputs_of
from metalearn.problems import open_problem, settled
from metalearn.runs import create_run, open_run
from metalearn.tasks import Preprocess
from metalearn.trained import load_trained
from metalearn.training import Trainer
from metalearn.transfer import read_task
from tests.tasks.helpers import table_rows, write_csv

from .helpers import GLYPHS, command, draw_folder, drawings, fails


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
        ("float y.npz", "fine.npz", "one label of a class"),
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
        ("x;y\n1;2\n", "no row whose target is empty"),
        ("", "empty"),
    ],
)
def test_tables_that_cannot_be_used(capsys, waves_run, tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    arguments = ["--support", tmp_path / "t.csv", "--out", tmp_path / "out"]
    fails(capsys, "adapt", waves_run.path, *arguments, says=("t.csv", says))
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,\n")
    fails(capsys, "adapt", waves_run.path, *arguments, "--target", "z", says=("no column 'z'",))


# Every dataset and every algorithm ------------------------------------------------------------


def untrained(path, dataset, **options):
    """A run whose last checkpoint is what it starts from."""
    config = make_config(str(dataset), {"iterations": 1, "jit": False, **options})
    problem = open_problem(config)
    config = settled(config, problem)
    run = create_run(path, config, problem, algorithm_of(config).order)
    Trainer(run, problem).save()
    return run


def new_table(path, rows, blank):
    """A table of one of the tasks, whose targets in some rows are left empty."""
    one = [row for row in rows if row["task"] == "t00"]
    return write_csv(path, [{**row, "y": ""} if i in blank else row for i, row in enumerate(one)])


def read_rows(path):
    """What Python holds of such a table: columns of rows with a target, their targets, and columns
    of those without."""
    rows = list(csv.DictReader(path.open()))
    x = [[row["number"], row["colour"]] for row in rows]
    known = [row["y"] != "" for row in rows]
    learned = [row for row, given in zip(x, known, strict=True) if given]
    asked = [row for row, given in zip(x, known, strict=True) if not given]
    return learned, [row["y"] for row in rows if row["y"] != ""], asked


@pytest.mark.parametrize("labels", ["shared", "own"])
def test_tables_of_classes(capsys, tmp_path, labels):
    rows = table_rows("classification" if labels == "shared" else "own")
    data = write_csv(tmp_path / "data.csv", rows)
    options = {"target": "y", "labels": labels, "hidden": (6,), "shots": 1, "queries": 1}
    if labels == "own":
        options["ways"] = 2
    run = untrained(tmp_path / "run", data, **options)
    new = new_table(tmp_path / "new.csv", rows, blank=(0, 3))
    trained = load_trained(run, "last")
    task = read_task(trained, new, None)
    more = ["--support", new, "--checkpoint", "last"]
    record, found = adapted(capsys, run, tmp_path / "out", *more)
    assert record["classes"] == list(task.classes) and record["accuracy"] is None
    assert [row["file"] for row in found] == list(task.query_files)
    trained_for = trained.algorithm.with_ways(trained.params, len(task.classes))
    logits = np.asarray(
        trained.algorithm.predict(
            trained.learner, trained_for, task.support, task.query, run.config.eval_steps
        )
    )
    named = [task.classes[i] for i in logits.argmax(axis=1)]
    assert [row["predicted"] for row in found] == named
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "predictions.csv",
        "predictions.json",
    ]
    result = command(capsys, "export", run.path, *more, "--out", tmp_path / "m.safetensors")
    assert result.code == 0, result.err
    model = metalearn.load(tmp_path / "m.safetensors")
    x, y, asked = read_rows(new)
    assert model.predict(asked).tolist() == named
    fails(capsys, "adapt", run.path, *more, "--target", "y", code=2, says=("--target y",))
    if labels == "shared":
        estimator = metalearn.load(run.path, checkpoint="last", compiled=False)
        estimator.fit(x[:2], y[:2])
        assert estimator.classes_.tolist() == list(task.classes)  # also those without examples
        with pytest.raises(InputError, match="no training task has"):
            estimator.fit(x[:2], ["colourless", "odourless"])


def test_tables_of_numbers(capsys, tmp_path):
    rows = table_rows("regression")
    data = write_csv(tmp_path / "data.csv", rows)
    run = untrained(tmp_path / "run", data, target="y", hidden=(6,), shots=2, queries=2)
    new = new_table(tmp_path / "new.csv", rows, blank=(0, 2))
    more = ["--support", new, "--checkpoint", "last"]
    _, found = adapted(capsys, run, tmp_path / "out", *more)
    trained = load_trained(run, "last")
    task = read_task(trained, new, None)
    scaled = trained.algorithm.predict(
        trained.learner, trained.params, task.support, task.query, run.config.eval_steps
    )
    table = inputs_of(run).table
    expected = np.asarray(scaled)[:, 0] * table.scale + table.mean
    np.testing.assert_allclose([float(row["predicted"]) for row in found], expected, rtol=1e-5)
    result = command(capsys, "export", run.path, *more, "--out", tmp_path / "m.safetensors")
    assert result.code == 0, result.err
    model = metalearn.load(tmp_path / "m.safetensors")
    x, y, asked = read_rows(new)
    np.testing.assert_allclose(model.predict(asked), expected, rtol=1e-5)
    estimator = metalearn.load(run.path, checkpoint="last", compiled=False)
    estimator.fit(x, [float(target) for target in y])
    np.testing.assert_allclose(estimator.predict(asked), expected, rtol=1e-5)


def test_runs_without_pictures_of_tasks_are_shown(capsys, tmp_path):
    data = write_csv(tmp_path / "data.csv", table_rows("regression"))
    run = untrained(tmp_path / "run", data, target="y", hidden=(6,), shots=2, queries=2)
    result = command(capsys, "show", run.path, "--checkpoint", "last")
    assert (result.code, result.out) == (0, ""), result.err  # there are no curves yet


def test_functions_pixels_and_arrays(tmp_path):
    """What else a run can be on: inputs are those of its network, and images are read as such."""
    small = {"shots": 2, "queries": 2}
    pixels = untrained(tmp_path / "pixels", "glyphs-completion", image_size=12, **small)
    assert inputs_of(pixels) == Inputs((2,))
    found = metalearn.load(pixels.path, checkpoint="last", compiled=False)
    assert found.fit(np.zeros((3, 2)), np.zeros(3)).predict(np.ones((4, 2))).shape == (4,)
    waves = untrained(tmp_path / "waves", "sinusoid-line", **small)
    assert inputs_of(waves) == Inputs((1,))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(40, 7)), y=np.arange(40) // 4)
    vectors = untrained(tmp_path / "vectors", tmp_path / "d.npz", ways=3, shots=1, queries=1)
    assert inputs_of(vectors) == Inputs((7,))
    assert type(metalearn.load(vectors.path, checkpoint="last")) is MetaClassifier
    own = draw_folder(tmp_path / "own", classes=9, images=3)
    options = {"ways": 3, "shots": 1, "queries": 1, "image_size": 16, "filters": 4}
    photos = untrained(tmp_path / "photos", own, channels=3, **options)
    assert inputs_of(photos) == Inputs((3, 16, 16), Preprocess(16, 3, "keep"))
    drawn = untrained(tmp_path / "drawn", own, ink="light", **options)
    assert inputs_of(drawn).images.ink == "light"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_adapts_and_is_saved(tmp_path, name):
    unused = class_of(find_algorithm(name)).without
    options = {n: value for n, value in GLYPHS.items() if n not in unused}
    options = {**options, "algorithm": name, "ways": 3}
    if "iterations" in unused:
        options["iterations"] = None
    run = untrained(tmp_path / "run", "glyphs", **options)
    x, y = drawings(classes=3, each=4)
    support = x[::2], np.array(["wolf", "ant", "bee"])[y[::2]]
    model = metalearn.load(run.path, checkpoint="last", compiled=False).fit(*support)
    odds = model.predict_proba(x)
    model.save(tmp_path / "m.safetensors")
    again = metalearn.load(tmp_path / "m.safetensors").predict_proba(x)
    np.testing.assert_allclose(again, odds, atol=1e-5)
    fewer = model.fit(x[:8], support[1][:4].repeat(2))
    assert fewer.predict_proba(x).shape == (len(x), 2)


# A table as a stranger has it ------------------------------------------------------------------


def schools(rng, count, rows):
    """mark = a + b hours + age, with a and b of each school, and the marks of a new school."""
    header = "school,hours,age,mark"
    lines = []
    for school in range(count):
        a, b = rng.normal(50, 15), rng.normal(4, 3)
        for _ in range(rows):
            hours, age = rng.uniform(0, 10), rng.integers(10, 18)
            mark = a + b * hours + (age - 14) + rng.normal()
            lines.append((f"S{school}", hours, age, mark))
    return header, lines


def write_schools(path, header, lines):
    rows = [f"{s},{h:.2f},{a},{'' if m is None else format(m, '.2f')}" for s, h, a, m in lines]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def schools_run(tmp_path_factory):
    """The README's command on such a table, but for fewer iterations."""
    folder = tmp_path_factory.mktemp("schools")
    data = write_schools(folder / "schools.csv", *schools(np.random.default_rng(1), 40, 30))
    options = ["--task-column", "school", "--target", "mark", "--iterations", "700"]
    code = cli.run(["train", str(data), *options, "--out", str(folder / "run")])
    assert code == 0
    return folder / "run"


def test_the_defaults_learn_from_a_table(capsys, schools_run, tmp_path):
    (header, lines), known = schools(np.random.default_rng(2), 1, 40), 10
    told = [line if i < known else (*line[:3], None) for i, line in enumerate(lines)]
    new = write_schools(tmp_path / "new.csv", header, told)
    result = command(capsys, "adapt", schools_run, "--support", new, "--out", tmp_path / "out")
    assert result.code == 0 and "note:" not in result.out, result.out
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    found = np.array([each["predicted"] for each in record["predictions"]])
    truth = np.array([line[3] for line in lines[known:]])
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.5 * truth.std()


def test_adaptation_that_diverges_is_told(capsys, schools_run, tmp_path):
    header, lines = schools(np.random.default_rng(2), 1, 12)
    lines = [line if i < 10 else (*line[:3], None) for i, line in enumerate(lines)]
    lines[3] = (lines[3][0], 1e6, *lines[3][2:])  # a slip
    new = write_schools(tmp_path / "new.csv", header, lines)
    run = str(schools_run)
    fails(capsys, "adapt", run, "--support", new, says=("diverged", "not finite", "largest"))
    trained = load_trained(open_run(schools_run))
    x = np.zeros((3, 2), np.float32)
    x[1] = 1e38
    support = (np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32))
    with pytest.raises(DivergedError, match="number 2"):
        adapt_to(trained, support, compiled=False).apply(x, compiled=False)


def test_adaptation_that_does_harm_is_told(capsys, schools_run, tmp_path):
    shutil.copytree(schools_run, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["options"]["inner_lr"] = 0.3
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    result = command(capsys, "evaluate", tmp_path / "run", "--episodes", 20)
    assert "note: adaptation" in result.out and "--inner-lr than 0.3" in result.out
    header, lines = schools(np.random.default_rng(2), 1, 40)
    lines = [line if i < 10 else (*line[:3], None) for i, line in enumerate(lines)]
    new = write_schools(tmp_path / "new.csv", header, lines)
    arguments = ["adapt", tmp_path / "run", "--support", new, "--steps", 1]
    told = "adaptation does harm here"
    assert told in command(capsys, *arguments, "--out", tmp_path / "a").out
    record = json.loads(command(capsys, *arguments, "--out", tmp_path / "b", "--json").out)
    assert any(told in note for note in record["notes"])
