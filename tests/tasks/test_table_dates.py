"""Dates in tables: read in the forms that people write, and made days, in training and after."""

import datetime
import json

import numpy as np
import pytest

from metalearn.tasks import TablePreprocess, load_tables, read_new_table
from metalearn.tasks.table_arrays import as_objects, table_of
from metalearn.tasks.table_dates import ISO, OTHER, US, days_of, forms_of
from metalearn.tasks.tables import read_tables

from .helpers import raises_data_error, write_csv

START = datetime.date(2023, 11, 25)


@pytest.mark.parametrize(
    "cell,form,expected",
    [
        ("2024-02-29", ISO, datetime.datetime(2024, 2, 29)),
        ("2024-2-9 9:30", ISO, datetime.datetime(2024, 2, 9, 9, 30)),
        ("2024-02-29T23:59:30.5", ISO, datetime.datetime(2024, 2, 29, 23, 59, 30, 500_000)),
        ("2024-02-29T12:00:00.000000000", ISO, datetime.datetime(2024, 2, 29, 12)),
        ("2024-02-29T00:30:00+02:00", ISO, datetime.datetime(2024, 2, 28, 22, 30)),
        ("2024-02-29 12:00Z", ISO, datetime.datetime(2024, 2, 29, 12)),
        ("29.2.2024 06:00", "DD.MM.YYYY", datetime.datetime(2024, 2, 29, 6)),
        ("02/29/2024", US, datetime.datetime(2024, 2, 29)),
        ("2/9/2024 1:30 PM", US, datetime.datetime(2024, 2, 9, 13, 30)),
        ("2/9/2024 12:05:10am", US, datetime.datetime(2024, 2, 9, 0, 5, 10)),
        ("2/9/2024 12:05 p.m.", US, datetime.datetime(2024, 2, 9, 12, 5)),
        ("29/02/2024", OTHER, datetime.datetime(2024, 2, 29)),
        ("2024-02-29", US, datetime.datetime(2024, 2, 29)),
    ],
)
def test_days_with_times_as_fractions(cell, form, expected):
    seconds = (expected - datetime.datetime(1, 1, 1)).total_seconds()
    assert days_of(cell, form) == pytest.approx(1 + seconds / 86400, abs=1e-9)


@pytest.mark.parametrize(
    "cell", ["", "2024", "20240229", "2023-02-29", "2024-13-01", "2024-02-29 25:00", "2024-02-29 x",
             "29.2.2024", "2/29/2024", "2024-02-29 12", "on 2024-02-29",
             "2024-02-29 13:30 PM", "2024-02-29 0:30 AM", "0000-01-01"]
)  # fmt: skip
def test_what_is_no_iso_date(cell):
    assert days_of(cell, ISO) is None


@pytest.mark.parametrize(
    "cells,forms",
    [
        (["2024-01-02", "NA", "2024-03-04", "soon"], (ISO,)),
        (["2024-01-02", "never", "2024-03-04", "soon"], ()),
        (["1.2.2024", "2024-03-04"], ("DD.MM.YYYY",)),
        (["1/2/2024", "3/14/2024"], (US,)),
        (["1/2/2024", "14/3/2024"], (OTHER,)),
        (["1/2/2024", "3/4/2024"], (US, OTHER)),
        (["red", "blue"], ()),
        (["1.5", "2.5"], ()),
    ],
)
def test_the_form_is_that_of_most(tmp_path, cells, forms):
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *(f"{cell},1" for cell in cells)]))
    assert forms_of(read_tables([tmp_path / "t.csv"]), "x") == forms


def rows(written=lambda day: day.isoformat()):
    """Rows of five tasks, one a day."""
    days = [START + datetime.timedelta(i) for i in range(60)]
    return [
        {"task": f"t{i % 5}", "day": written(day), "y": i / 2 + 0.25} for i, day in enumerate(days)
    ]


def load(path, **options):
    return load_tables(path, task="task", target="y", **options)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y-%m-%d 00:00"])
def test_dates_become_days_however_they_are_written(tmp_path, form):
    plain = load(write_csv(tmp_path / "a.csv", rows()))
    found = load(write_csv(tmp_path / "b.csv", rows(lambda day: day.strftime(form))))
    (day,) = found.preprocess.features
    first = datetime.date.fromisoformat(day.first)
    assert (day.width, day.missing, first >= START) == (1, False, True)
    np.testing.assert_array_equal(found.x, plain.x)
    days = np.sort(found.x[:, 0].astype(float) * day.scale + day.mean) + (first - START).days
    np.testing.assert_allclose(days, np.arange(60), atol=1e-4)
    (note,) = found.notes
    assert note == f"dates are taken as days since the first: 'day' ({day.form}, from {first})"


def test_a_record_treats_new_rows_alike(tmp_path):
    lines = rows()
    lines[7]["day"] = ""
    preprocess = load(write_csv(tmp_path / "t.csv", lines)).preprocess
    again = TablePreprocess.from_dict(json.loads(json.dumps(preprocess.to_dict())))
    assert again == preprocess
    (day,) = again.features
    (tmp_path / "new.csv").write_text("day,y\n2024-01-01 12:00,3\n,4\n2025-01-01,\n")
    new = read_new_table(tmp_path / "new.csv", again)
    since = datetime.date(2024, 1, 1) - datetime.date.fromisoformat(day.first)
    assert new.support[0][0] == pytest.approx([(since.days + 0.5 - day.mean) / day.scale, 0])
    assert new.support[0][1].tolist() == [0, 1] and len(new.query) == 1
    for change in ({"first": "soon"}, {"form": "YY"}, {"scale": 0}):
        record = again.to_dict()
        record["features"][0] |= change
        with raises_data_error("not a record of a table's preprocessing"):
            TablePreprocess.from_dict(record)
    (tmp_path / "new.csv").write_text("day,y\n2024-01-01,3\nsoon,\n")
    with raises_data_error("new.csv line 3", "'soon' is not a date (YYYY-MM-DD)", "--ignore day"):
        read_new_table(tmp_path / "new.csv", again)


def test_dates_in_memory(tmp_path):
    """Python's, NumPy's in any unit, and texts; nothing for what is missing."""
    lines = rows(lambda day: day.strftime("%d.%m.%Y"))
    lines[0]["day"] = "NA"
    preprocess = load(write_csv(tmp_path / "t.csv", lines)).preprocess
    texts = ["01.12.2023", "03.12.2023", ""]
    days = [datetime.date(2023, 12, 1), datetime.datetime(2023, 12, 3), None]
    expected = preprocess.inputs(table_of([texts], preprocess.features))
    assert expected[2].tolist() == [0, 1]
    forms = [days, np.array(days, "datetime64[D]"), np.array(days, "datetime64[ns]")]
    for form in (*forms, list(forms[2])):
        table = table_of([as_objects(form).tolist()], preprocess.features)
        np.testing.assert_array_equal(preprocess.inputs(table), expected)


def test_dates_that_cannot_be_used(tmp_path):
    path = write_csv(tmp_path / "t.csv", rows(lambda day: f"{day.month}/{day.day % 12 + 1}/2024"))
    with raises_data_error("t.csv line", "'day'", "MM/DD/YYYY or DD/MM/YYYY", "YYYY-MM-DD",
                           "--ignore day"):  # fmt: skip
        load(path)
    assert load(path, categorical=["day"]).preprocess.features[0].values
    lines = rows()
    lines[3]["day"] = "soon"
    with raises_data_error("t.csv line 5", "'day'", "'soon' is not a date", "--ignore day"):
        load(write_csv(path, lines))
    for given in ({}, {"kind": "regression"}, {"labels": "own"}):
        with raises_data_error("t.csv line 2", "'day', the target: dates, such as '2023-11-25'"):
            load_tables(write_csv(path, rows()), task="task", target="day", **given)
