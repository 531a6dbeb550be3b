"""Runs on a CSV table as estimators: rows in Python mean what they mean in a file."""

import csv
import json
from collections import namedtuple

import numpy as np
import pytest

import metalearn
from metalearn import pictures
from metalearn.inputs import InputError
from metalearn.tasks import DataError
from metalearn.tasks.table_arrays import as_written, named_columns, text_of
from metalearn.transfer import Value
from tests.tasks.helpers import table_rows, write_csv

from .helpers import command, fails, flags

SMALL = flags(
    {"hidden": 8, "iterations": 6, "meta_batch": 2, "shots": 2, "queries": 2, "validate_every": 3}
)


def trained(kind, folder, capsys):
    """A run on `table_rows`, and the CSV file of a new task: its last rows are to be predicted."""
    rows = table_rows(kind)
    table = write_csv(folder / "table.csv", rows)
    more = ["--labels", "own", "--ways", "2"] if kind == "own" else []
    result = command(
        *(capsys, "train", table, "--target", "y", "--task-column", "task"),
        *(*SMALL, *more, "--out", folder / "run"),
    )
    assert result.code == 0, result.err
    new = [dict(row) for row in rows if row["task"] == "t03"]
    if kind == "own":
        new = [row for row in new if "rare" not in row["y"]]
    for row in new[8:]:
        row["y"] = ""
    write_csv(folder / "new.csv", new)
    return folder / "run", new


Data = namedtuple("Data", "run known asked labels expected")


@pytest.fixture
def of(tmp_path, capsys):
    """Of a kind of table: a run, rows to learn from and to predict, the labels of the first, and
    what `metalearn adapt` says of the second."""

    def make(kind):
        run, rows = trained(kind, tmp_path, capsys)
        files = ["--support", tmp_path / "new.csv", "--out", tmp_path / "out"]
        assert command(capsys, "adapt", run, *files).code == 0
        said = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
        cells = [[row["number"], row["colour"]] for row in rows]
        labels = [row["y"] for row in rows if row["y"] != ""]
        predicted = [row["predicted"] for row in said]
        return Data(run, cells[:8], cells[8:], labels, predicted)

    return make


class Frame:
    """As much of a data frame as is needed, with a column too many, in another order."""

    def __init__(self, rows):
        self.columns = ["colour", "more", "number"]
        self._rows = rows

    def __getitem__(self, name):
        place = {"number": 0, "colour": 1, "more": 0}[name]
        return np.array([row[place] for row in self._rows], object)


FORMS = {
    "rows": lambda rows: rows,
    "texts": lambda rows: [[str(cell) for cell in row] for row in rows],
    "objects": lambda rows: np.array(rows, object),
    "array of texts": lambda rows: np.array(rows),
    "None for no value": lambda rows: [[float(a), b or None] for a, b in rows],
    "structured": lambda rows: np.array(
        [(b, a) for a, b in rows], [("colour", "U9"), ("number", np.float32)]
    ),
    "frame": Frame,
    "columns": lambda rows: {"number": [a for a, _ in rows], "colour": [b for _, b in rows]},
    "mappings": lambda rows: [{"colour": b, "number": a, "task": "t"} for a, b in rows],
}


def test_numbers_are_those_of_adapt(of):
    data = of("regression")
    model = metalearn.load(data.run, compiled=False)
    assert not hasattr(model, "feature_names_in_")
    for name, form in FORMS.items():
        found = model.fit(form(data.known), data.labels).predict(form(data.asked))
        expected = np.array(data.expected, float)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
    assert model.n_features_in_ == 2
    assert model.feature_names_in_.tolist() == ["number", "colour"]
    assert np.abs(found).max() > 20  # in the target's own units


@pytest.mark.parametrize("kind", ["classification", "own"])
def test_classes_are_those_of_adapt(of, kind, tmp_path):
    data = of(kind)
    model = metalearn.load(data.run, compiled=False).fit(data.known, data.labels)
    assert model.predict(data.asked).tolist() == data.expected
    assert model.classes_.tolist() == sorted(set(data.labels))
    model.save(tmp_path / "m.safetensors")
    again = metalearn.load(tmp_path / "m.safetensors")
    assert again.feature_names_in_.tolist() == ["number", "colour"]
    assert again.n_features_in_ == 2
    np.testing.assert_array_equal(again.predict(FORMS["frame"](data.asked)), data.expected)


def test_categories_that_training_did_not_have_are_told(of):
    data = of("regression")
    model = metalearn.load(data.run, compiled=False).fit(data.known, data.labels)
    with pytest.warns(UserWarning, match="column 'colour': 'violet' was not in training"):
        model.predict([[1.0, "violet"]])


def test_rows_that_cannot_be_used(of):
    data = of("regression")
    model = metalearn.load(data.run, compiled=False)
    x, y = data.known, data.labels
    for given, says in (
        ([[1.0]] * 8, r"expecting 2 features as input: .* the columns 'number', 'colour'"),
        (np.ones((8, 2, 1)), r"X has the shape \(8, 2, 1\)"),
        ([1.0] * 8, "Expected 2D array"),
        ([], "Expected 2D array"),
        (np.ones((0, 2)), "0 sample"),
        (np.ones((8, 2), complex), "Complex"),
        ({"number": [1] * 8}, "no column 'colour'; expected the columns 'number', 'colour', and"),
        ({"number": [1] * 8, "colour": ["red"] * 7}, "columns of 7 and 8"),
        ({"number": np.ones((8, 2)), "colour": x}, r"column 'number': values of the shape \(8, 2"),
        ([{"number": 1, "colour": "red"}, {"number": 2}], "X row 1: columns 'number'; expected"),
        ([*x[:7], ["many", "red"]], "X row 7, column 'number': 'many' is not a number"),
        ([*x[:7], [np.nan, "red"]], "X row 7, column 'number': no value"),
        ([*x[:7], [np.inf, "red"]], "X row 7, column 'number': 'inf' is not a number"),
    ):
        with pytest.raises(InputError, match=says):
            model.fit(given, y)
    sparse = type("Sparse", (), {"tocsr": None, "toarray": None})()
    with pytest.raises(TypeError, match="Sparse"):
        model.fit(sparse, y)


def test_whole_numbers_stand_for_labels(tmp_path, capsys):
    rows = [{**row, "y": int(row["y"] == "yes")} for row in table_rows("classification")]
    table = write_csv(tmp_path / "table.csv", rows)
    run = tmp_path / "run"
    result = command(capsys, "train", table, "--target", "y", *SMALL, "--out", run)
    assert result.code == 0, result.err
    x, y = [[r["number"], r["colour"]] for r in rows[:8]], [r["y"] for r in rows[:8]]
    expected = metalearn.load(run, compiled=False).fit(x, [str(label) for label in y])
    assert expected.classes_.tolist() == ["0", "1"]
    for kind in (int, float, bool):
        given = np.array(y).astype(kind)
        model = metalearn.load(run, compiled=False).fit(x, given)
        assert model.classes_.dtype == given.dtype
        np.testing.assert_array_equal(model.predict_proba(x), expected.predict_proba(x))
        assert model.score(x, given) == expected.score(x, [str(label) for label in y])
    with pytest.raises(InputError, match="y holds 2, which no training task has; expected 0, 1"):
        metalearn.load(run, compiled=False).fit(x, [*y[:7], 2])


def test_arrays_in_files_hold_the_columns_too(tmp_path, capsys, of):
    rows = [{k: v for k, v in row.items() if k != "colour"} for row in table_rows("regression")]
    table, run = write_csv(tmp_path / "numbers.csv", rows), tmp_path / "numbers"
    assert command(capsys, "train", table, "--target", "y", *SMALL, "--out", run).code == 0
    x, y = np.array([[row["number"]] for row in rows[:9]]), [row["y"] for row in rows[:9]]
    np.savez(tmp_path / "s.npz", x=x[:6], y=y[:6])
    np.savez(tmp_path / "q.npz", x=x[6:], y=y[6:])
    files = ["--support", tmp_path / "s.npz", "--query", tmp_path / "q.npz", "--json"]
    record = json.loads(command(capsys, "adapt", run, *files).out)
    expected = metalearn.load(run, compiled=False).fit(x[:6], y[:6]).predict(x[6:])
    found = record["predictions"]
    np.testing.assert_allclose([p["predicted"] for p in found], expected, rtol=1e-6)
    np.testing.assert_allclose([p["true"] for p in found], y[6:], rtol=1e-6)
    np.savez(tmp_path / "wide.npz", x=np.ones((3, 2)), y=np.ones(3))
    wrong = ["--support", tmp_path / "wide.npz", "--query", tmp_path / "q.npz"]
    fails(capsys, "adapt", run, *wrong, says=("expecting 1 features", "the column 'number'"))


def test_predicted_values_are_drawn(of, tmp_path):
    of("regression")
    assert (tmp_path / "out" / "predictions.png").stat().st_size > 1000


@pytest.mark.parametrize("known", [True, False])
def test_a_picture_of_values(known):
    values = [Value("a", 3.0, 4.0 if known else None), Value("b", -9.0, 1.0 if known else None)]
    figure = pictures._targets_picture(np.array([2.0, 5.0, 7.0]), values, "title")
    drawn = [line.get_xydata().tolist() for axes in figure.axes for line in axes.lines]
    predicted = [[4, 3], [1, -9]] if known else [[0, 3], [1, -9]]
    assert predicted in drawn
    if known:
        assert [[-9, -9], [4, 4]] in drawn
        assert [[2, -9], [5, -9], [7, -9]] in drawn
    else:
        assert [[0, 2], [1, 5], [2, 7]] in drawn
    assert len(pictures.png(figure)) > 1000


def test_an_onnx_file_says_what_it_takes(tmp_path, capsys, of):
    pytest.importorskip("onnx", reason="pip install 'metagrad[onnx]'")
    data = of("regression")
    files = ["--support", tmp_path / "new.csv", "--out", tmp_path / "m.onnx"]
    result = command(capsys, "export", data.run, *files)
    assert result.code == 0, result.err
    assert "note: its input x is 4 numbers, which the columns number, colour become" in result.out


# Values as a file would hold them -------------------------------------------------------------


class NoValue:
    """As pandas' NA: neither equal nor unequal to anything."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("neither true nor false")


def test_values_as_text():
    pairs = {
        "": (None, np.nan, np.float32("nan"), NoValue(), np.datetime64("NaT")),
        "3": (3, np.int8(3), " 3 ", b"3"),
        "3.5": (3.5, np.float32(3.5), np.float64(3.5)),
        "inf": (np.inf,),
        "True": (True, np.bool_(True)),
        "2024-02-03": (np.datetime64("2024-02-03"),),
    }
    for text, values in pairs.items():
        assert [text_of(value) for value in values] == [text] * len(values)


def test_values_stand_for_what_was_written():
    known = ("1", "2.50", "true", "FALSE", "b")
    given = [1, 1.0, np.float32(2.5), True, False, "b", "1.0", "True", 7, None]
    expected = ["1", "1", "2.50", "true", "FALSE", "b", "1.0", "True", "7", ""]
    assert as_written(given, known) == expected
    assert as_written([True, False], ("0", "1")) == ["1", "0"]


def test_columns_without_names_are_taken_in_order():
    frame = Frame([])
    frame.columns = [0, 1]
    for x in (frame, [[1, 2]], [], np.ones((2, 2))):
        assert named_columns(x) is None
    with pytest.raises(DataError, match="X row 1"):
        named_columns([{"a": 1}, {"b": 1}])
