"""Tables: read with care, encoded by what training tasks tell, split by task."""

import json

import numpy as np
import pytest

from metalearn.tasks import (
    DataError,
    Needs,
    Split,
    TablePreprocess,
    TabularSampler,
    load_tables,
    read_new_table,
    tasks_with,
)
from metalearn.tasks.tables import read_tables

from .helpers import raises_data_error, table_rows, write_csv

SPLIT = Split(("a", "b"), ("c",), ("d",), "by-hand")
SMALL = """task,size,colour,shop,y
a,1,red,7,no
a,3,blue,7,yes
b,5,red,8,no
b,7,blue,8,yes
c,100,green,9,no
c,200,red,7,yes
d,-5,red,8,yes
d,,red,8,no
"""


def read(tmp_path, text=SMALL, **options):
    path = tmp_path / "t.csv"
    path.write_text(text)
    chosen = dict(task="task", target="y", split=SPLIT)
    return load_tables(path, **{**chosen, **options})


def fixed(text=SMALL):
    return text.replace("d,,", "d,5,")


# Encoding.


def test_numbers_are_standardised_and_categories_spread_by_training_tasks_alone(tmp_path):
    table = read(tmp_path, fixed())
    size, colour, shop = table.preprocess.features
    assert (size.mean, size.scale, size.missing) == (4, np.sqrt(5), False)
    assert colour.values == ("blue", "red") and (shop.mean, shop.scale) == (7.5, 0.5)
    assert table.x.shape == (8, 4) and table.x.dtype == np.float32 and table.preprocess.width == 4
    # By task, and in it by label; unknown green is neither colour.
    expected = [[1, 0, 1], [3, 1, 0], [5, 0, 1], [7, 1, 0], [100, 0, 0], [200, 0, 1], [5, 0, 1],
                [-5, 0, 1]]  # fmt: skip
    got = table.x[:, :3] * [np.sqrt(5), 1, 1] + [4, 0, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert table.y.tolist() == [0, 1] * 4 and table.labels == ("no", "yes")
    assert table.tasks == ("a", "b", "c", "d") and table.counts.tolist() == [2] * 4


def test_what_other_tasks_hold_changes_nothing_in_training_tasks(tmp_path):
    one = read(tmp_path, fixed())
    other = read(tmp_path, fixed().replace("100,green", "-1,violet").replace("200,", "1e9,"))
    assert one.preprocess == other.preprocess
    np.testing.assert_array_equal(one.x[:4], other.x[:4])


def test_columns_can_be_categorical_or_left_out(tmp_path):
    table = read(tmp_path, categorical=["shop"], ignore=["size"])
    assert [f.name for f in table.preprocess.features] == ["colour", "shop"]
    assert table.preprocess.features[1].values == ("7", "8")
    assert table.x[4].tolist() == [0, 0, 0, 0]  # green, shop 9


def test_missing_values_have_a_column_where_training_tasks_have_them(tmp_path):
    text = SMALL.replace("a,3,blue", "a,NA,")
    table = read(tmp_path, text)
    size, colour, _ = table.preprocess.features
    assert size.missing and colour.missing and size.mean == pytest.approx(13 / 3)
    assert table.x[1, :2].tolist() == [0, 1] and table.x[0, 1] == 0
    assert table.x[1, 2:5].tolist() == [0, 0, 1]  # blue, red, none
    assert table.x[6, :2].tolist() == [0, 1]  # of task d, whose label is no


def test_missing_values_elsewhere_are_refused_unless_asked_for(tmp_path):
    with raises_data_error("t.csv line 9", "'size'", "no value", "indicators='all'"):
        read(tmp_path)
    assert read(tmp_path, indicators="all").x[6, :2].tolist() == [0, 1]


def test_constant_columns_become_0(tmp_path):
    table = read(tmp_path, fixed().replace(",7,", ",8,"))
    assert table.x[:4, 3].tolist() == [0] * 4


@pytest.mark.parametrize(
    "targets,kind", [("1 2 1 2", "classification"), ("1.5 2 1 2", "regression"),
                     ("a 2 1 2", "classification")]
)  # fmt: skip
def test_the_kind_is_seen_from_the_targets(tmp_path, targets, kind):
    rows = [f"{t},{i},{y}" for i, (t, y) in enumerate(zip("aabb", targets.split(), strict=True))]
    text = "\n".join(["task,x,y", *rows, "c,1,2", "d,1,2", ""])
    assert read(tmp_path, text).preprocess.kind == kind


def test_regression_targets_are_standardised(tmp_path):
    table = read(tmp_path, fixed().replace("no", "10").replace("yes", "30"), kind="regression")
    assert table.y.shape == (8, 1) and table.y.dtype == np.float32
    assert table.y[:4, 0].tolist() == [-1, 1, -1, 1]
    assert table.preprocess.in_units(table.y)[:2].tolist() == [[10], [30]]


def test_files_as_tasks(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.csv").write_text("x,y\n1,u\n2,v\n" if name != "b" else "y,x\nu,5\n")
    paths = [tmp_path / f"{name}.csv" for name in "abcd"]
    table = load_tables(paths, task=None, target="y", split=SPLIT)
    assert table.tasks == ("a", "b", "c", "d") and table.counts.tolist() == [2, 1, 2, 2]
    assert table.preprocess.features[0].mean == pytest.approx(8 / 3)
    (tmp_path / ".hidden.csv").write_text("no table")
    (tmp_path / "notes.txt").write_text("no table")
    folder = load_tables(tmp_path, task=None, target="y", split=SPLIT)
    assert folder.digest == table.digest and folder.name == tmp_path.name


def test_a_split_by_task_is_made_by_the_seed(tmp_path):
    path = write_csv(tmp_path / "t.csv", table_rows("classification"))
    splits = [load_tables(path, task="task", target="y", seed=s).split for s in (0, 0, 1)]
    assert splits[0].hash == splits[1].hash != splits[2].hash
    assert [len(splits[0].train), len(splits[0].validation), len(splits[0].test)] == [9, 1, 2]


def test_the_record_is_json_and_reads_back(tmp_path):
    for options in ({}, dict(labels="own"), dict(categorical=["shop"])):
        table = read(tmp_path, fixed(), **options)
        text = json.dumps(table.record)
        again = TablePreprocess.from_dict(json.loads(text)["preprocess"])
        assert again == table.preprocess
        assert len(table.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "x"}, {"features": [{"kind": "date"}]}, {"features": None}, {"labels": [1]},
        {"scale": 0}, {"mean": "x"}, {"more": 1}, {"features": [{"kind": "number", "mean": 1}]},
        {"features": [{"kind": "category", "name": "c", "values": "ab", "missing": False}]},
    ],
)  # fmt: skip
def test_other_records_are_refused(tmp_path, change):
    record = read(tmp_path, fixed()).preprocess.to_dict()
    with raises_data_error("not a record of a table's preprocessing"):
        TablePreprocess.from_dict({**record, **change})


# What cannot be read.


@pytest.mark.parametrize(
    "text,options,fragments",
    [
        ("", {}, ["t.csv: empty"]),
        ("task,y\n", {}, ["no rows"]),
        ("task,x,x,y\na,1,1,2\n", {}, ["line 1", "'x' is there twice"]),
        ("task,,y\na,1,2\n", {}, ["line 1", "no name"]),
        (SMALL.replace("b,5,red", "b,5,red,red"), {}, ["t.csv line 4: 6 cells", "expected 5"]),
        (SMALL.replace("b,5,red", 'b,5,"red'), {}, ["t.csv line", "not CSV"]),
        (SMALL, {"target": "z"}, ["no column 'z'", "'size'"]),
        (SMALL, {"task": "z"}, ["no column 'z'", "--task-column"]),
        (SMALL, {"ignore": ["z"]}, ["no column 'z'"]),
        (SMALL, {"ignore": ["y"]}, ["'y'", "the target", "--ignore"]),
        (SMALL, {"ignore": ["task"]}, ["'task'", "the task column"]),
        (SMALL, {"ignore": ["size", "colour", "shop"]}, ["no columns beside"]),
        (SMALL.replace("b,5", ",5"), {}, ["t.csv line 4", "'task'", "empty"]),
        (SMALL.replace("c,100", "c,many"), {}, ["t.csv line 6", "'many'", "--ignore size"]),
        (SMALL.replace("c,100", "c,inf"), {}, ["t.csv line 6", "'inf' is not a number"]),
        (fixed().replace("c,100", "c,1e300"), {}, ["t.csv line 6", "1e300", "too far"]),
        (SMALL.replace("a,1", "a,1e308").replace("a,3", "a,1e308"), {}, ["'size'", "scale them"]),
        (fixed().replace(",no", ",NA").replace(",yes", ","), {}, ["'y'", "no value in any row"]),
        (fixed().replace("9,no", "9,perhaps"), {}, ["t.csv line 6", "'perhaps'", "--labels own"]),
        (fixed(), {"kind": "regression"}, ["t.csv line 2", "'no'", "a number"]),
        (SMALL, {"kind": "ranking"}, ["kind='ranking'", "regression"]),
        (SMALL, {"labels": "mine"}, ["labels='mine'", "shared"]),
        (SMALL, {"indicators": "some"}, ["indicators='some'"]),
        (SMALL, {"split": Split(("z",), (), (), "v")}, ["split v", "'z'"]),
        ("task,x,y\na,1,2\nb,1,2\n", {"split": None}, ["2 tasks", "at least 3"]),
        (SMALL.replace(",7,", ",,").replace(",8,", ",,"), {}, ["'shop'", "no value in any"]),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, options, fragments):
    with raises_data_error(*fragments):
        read(tmp_path, text, **options)


def test_too_many_categories_are_a_name_or_a_slip(tmp_path):
    rows = [{"task": f"t{i % 5}", "who": f"n{i}", "x": i, "y": i % 2} for i in range(300)]
    path = write_csv(tmp_path / "t.csv", rows)
    with raises_data_error("t.csv line", "'who'", "categories", "--ignore who"):
        load_tables(path, task="task", target="y")
    rows[7]["x"] = "1o"
    write_csv(path, rows)
    with raises_data_error("t.csv line 9", "'x'", "'1o' is no number", "--ignore x"):
        load_tables(path, task="task", target="y", ignore=["who"])


def test_files_that_cannot_be_read(tmp_path):
    with raises_data_error(tmp_path / "none.csv", "cannot be read"):
        load_tables(tmp_path / "none.csv", task="t", target="y")
    with raises_data_error(tmp_path, "no .csv files", "one for each task"):
        load_tables(tmp_path, task="t", target="y")
    with raises_data_error("no CSV files"):
        load_tables([], task="t", target="y")
    (tmp_path / "a.csv").write_bytes("t,y\nä,1\n".encode("latin-1"))
    with raises_data_error("a.csv", "not UTF-8"):
        load_tables(tmp_path / "a.csv", task="t", target="y")
    (tmp_path / "a.csv").write_text("t,x,y\na,1,1\n")
    (tmp_path / "b.csv").write_text("t,z,y\na,1,1\n")
    with raises_data_error("b.csv", "the column 'x'", "a.csv"):
        load_tables([tmp_path / "a.csv", tmp_path / "b.csv"], task="t", target="y")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.csv").write_text("t,x,y\na,1,1\n")
    with raises_data_error("two files", "'a'"):
        load_tables([tmp_path / "a.csv", tmp_path / "d/a.csv"], task=None, target="y")


# Targets that are missing, and numbers.

NUMBERS = "\n".join(["task,x,y", *(f"t{i % 5},{i},{i / 2}" for i in range(100)), ""])


@pytest.mark.parametrize("missing", ["", "NA", "NaN", "n/a", "null", "#N/A"])
def test_rows_without_a_target_are_left_out(tmp_path, missing):
    path = tmp_path / "t.csv"
    path.write_text(NUMBERS.replace(",0.0\n", f",{missing}\n").replace(",4.0\n", f",{missing}\n"))
    table = load_tables(path, task="task", target="y")
    assert table.preprocess.kind == "regression" and len(table.x) == 98
    assert table.notes == (f"2 of 100 rows of {path} are left out: no 'y'",)
    assert table.counts.tolist() == [19, 20, 20, 19, 20]
    new = tmp_path / "new.csv"
    new.write_text(f"x,y\n1,2\n2,{missing}\n3,4\n")
    read = read_new_table(new, table.preprocess)
    assert (len(read.support[0]), read.query_rows) == (2, (f"{new} line 3",))


def test_a_slip_in_numbers_does_not_make_them_labels(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(NUMBERS.replace(",0.5\n", ",half\n"))
    with raises_data_error("t.csv line 3", "'y'", "'half' is no number", "99 of 100"):
        load_tables(path, task="task", target="y")
    assert load_tables(path, task="task", target="y", kind="classification", labels="own").labels
    few = "\n".join(["task,x,y", *(f"t{i % 5},{i},{i % 6}" for i in range(60)), "t1,60,{}", ""])
    for slip in ("five", "-inf", "1e999"):
        path.write_text(few.format(slip))
        with raises_data_error("t.csv line 62", "'y'", f"{slip!r} is no number", "60 of 61"):
            load_tables(path, task="task", target="y")
    path.write_text(few.format("NaN"))
    assert load_tables(path, task="task", target="y").preprocess.kind == "classification"


@pytest.mark.parametrize("slip", ["inf", "-Infinity", "1e999", "INF"])
def test_infinities_are_no_categories(tmp_path, slip):
    """A text beside a few numbers may be one, but no infinity is meant so."""
    for text in (
        SMALL.replace("a,3", f"a,{slip}"),
        SMALL.replace("a,3", f"a,{slip}").replace("b,5", "b,inf"),
    ):
        with raises_data_error("t.csv line 3", "'size'", f"{slip!r} is no number", "--ignore size"):
            read(tmp_path, text)
    assert read(tmp_path, SMALL.replace("a,3", "a,few")).preprocess.features[0].values


def test_texts_among_few_numbers_are_categories(tmp_path):
    """Such as bets: home, away or draw."""
    rows = [
        {"task": f"t{i % 5}", "bet": "12x"[i % 3], "x": i, "y": "12x"[i % 3]} for i in range(60)
    ]
    table = load_tables(write_csv(tmp_path / "t.csv", rows), task="task", target="y")
    assert table.labels == ("1", "2", "x") and table.preprocess.features[0].values == table.labels


def test_lists_in_errors_are_cut(tmp_path):
    rows = [{"task": f"t{i % 9}", "x": i, "y": f"label {i}"} for i in range(900)]
    path = write_csv(tmp_path / "t.csv", rows)
    for needs in (None, Needs(2, 2)):
        with pytest.raises(DataError, match=r"'y'.* more.*--labels own") as info:
            load_tables(path, task="task", target="y", needs=needs)
        assert len(str(info.value)) < 400


# Separators and decimal commas.


def other(text, separator, commas=True):
    """A table as another spreadsheet writes it."""
    for a, b in ((",", separator), (".", ",")) if commas else ((",", separator),):
        text = text.replace(a, b)
    return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("commas", [True, False])
def test_tables_of_other_spreadsheets_are_read_alike(tmp_path, separator, commas):
    path = tmp_path / "t.csv"
    path.write_text(NUMBERS)
    expected = load_tables(path, task="task", target="y")
    path.write_bytes(other(NUMBERS, separator, commas))
    found = load_tables(path, task="task", target="y")
    assert found.digest == expected.digest and found.preprocess == expected.preprocess
    path.write_bytes(other("x,y\n1.5,2.5\n2.5,\n", separator, commas))
    new = read_new_table(path, found.preprocess)
    path.write_text("x,y\n1.5,2.5\n2.5,\n")
    same = read_new_table(path, found.preprocess)
    np.testing.assert_array_equal(new.query, same.query)
    np.testing.assert_array_equal(new.support[1], same.support[1])


@pytest.mark.parametrize(
    "header,row,columns",
    [
        ("task;mark (a, b, c);y", "u;1;2", ("task", "mark (a, b, c)", "y")),
        ("task|mark (a; b)|y", "u|1|2", ("task", "mark (a; b)", "y")),
        ("task,a|b,y", "u,1,2", ("task", "a|b", "y")),
        ("task;y;a, b, c, d", "u;1;2", ("task", "y", "a, b, c, d")),
        ('"a, b";task;y', '"1,5; 2";u;1', ("a, b", "task", "y")),
        ("task,y;z", "u,1", ("task", "y;z")),
        ("task", "u", ("task",)),
    ],
)
def test_the_separator_is_that_on_which_all_rows_agree(tmp_path, header, row, columns):
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    table = read_tables([tmp_path / "t.csv"])
    assert table.columns == columns and len(table.rows[0]) == len(columns)


def test_commas_are_never_guessed_at(tmp_path):
    path = tmp_path / "t.csv"
    for rows, says in (
        (NUMBERS.replace(",0.5\n", ',"0,5"\n'), ("line 3", "'0,5' has a decimal comma", "commas")),
        (other(NUMBERS, ";").replace(b";0,5\r", b";0.5\r").decode(), ("'0.5' in line 3", "point")),
    ):
        path.write_text(rows)
        with raises_data_error("t.csv", "'y'", *says):
            load_tables(path, task="task", target="y")
        with raises_data_error("t.csv", "'y'", "--ignore y", *says):
            load_tables(path, task="task", target="x")
        load_tables(path, task="task", target="x", categorical=["y"])
        assert load_tables(path, task="y", target="x", labels="own").tasks  # text in any case
    path.write_text(
        "\n".join(["task;x;z", *(f"t{i % 5};{i};{('1,5', 'wide')[i % 2]}" for i in range(50))])
    )
    (z,) = load_tables(path, task="task", target="x").preprocess.features
    assert z.values == ("1,5", "wide")


# Tasks with too few rows.


def unequal(path, sizes):
    rows = [(f"t{t}", i, i / 2) for t, size in enumerate(sizes) for i in range(size)]
    path.write_text("\n".join(["task,x,y", *(f"{t},{x},{y}" for t, x, y in rows), ""]))
    return path


def test_tasks_with_too_few_rows_are_left_out(tmp_path):
    path = unequal(tmp_path / "t.csv", [30, 4, 30, 30, 30, 7])
    options = dict(task="task", target="y")
    table = load_tables(path, needs=Needs(5, 5), **options)
    assert table.tasks == ("t0", "t2", "t3", "t4") and len(table.x) == 120
    assert set(table.split.train + table.split.validation + table.split.test) == set(table.tasks)
    (note,) = table.notes
    assert "2 of 6 tasks (11 rows) are left out: fewer than 10 rows (5 shots + 5 queries)" in note
    assert "--shots 2 --queries 2 all would fit" in note
    fits = load_tables(path, needs=Needs(2, 2), **options)
    assert len(fits.tasks) == 6 and fits.notes == ()
    # What a run recorded is enough to read the same again.
    again = load_tables(path, split=table.split, **options)
    assert again.digest == table.digest and again.preprocess == table.preprocess
    split = Split(("t0", "t1"), ("t2",), ("t3", "t5"), "mine")
    left = load_tables(path, split=split, needs=Needs(5, 5), **options).split
    assert (left.train, left.validation, left.test) == (("t0",), ("t2",), ("t3",))
    with raises_data_error("split mine", "validation", "--shots"):
        split = Split(("t0",), ("t1",), ("t2",), "mine")
        load_tables(path, split=split, needs=Needs(5, 5), **options)


@pytest.mark.parametrize(
    "sizes,says",
    [
        (
            [30] * 3 + [9, 8, 7, 2],
            "the one in the middle can give 9; with --shots 5 --queries 4 4 of 7",
        ),
        (
            [30] * 3 + [7] * 5,
            "the one in the middle can give 7; with --shots 5 --queries 2 all would",
        ),
        (
            [30] * 3 + [4, 3, 3, 2],
            "the one in the middle can give 4; with --shots 2 --queries 2 4 of 7",
        ),
        ([30] * 3 + [1] * 5, "the one in the middle can give 1"),
    ],
)
def test_that_most_tasks_are_left_out_is_told(tmp_path, sizes, says):
    path = unequal(tmp_path / "t.csv", sizes)
    (note,) = load_tables(path, task="task", target="y", needs=Needs(5, 5)).notes
    out = f"{len(sizes) - 3} of {len(sizes)} tasks ({sum(sizes) - 90} rows)"
    assert (
        note.startswith(f"{out} are left out: fewer than 10 rows")
        and f"These are most of the tasks: {says}" in note
    )
    assert note.endswith("would fit") or "give 1" in says


@pytest.mark.parametrize(
    "sizes,says",
    [
        ([30, 4, 7, 4], ("1 task of 4", "5 shots + 5 queries", "--shots 2 --queries 2 all")),
        ([30, 1, 8, 7], ("1 task of 4", "--shots 5 --queries 2 3 of 4 would")),
        ([30, 1, 7, 7, 7, 9, 9], ("1 task of 7", "--shots 5 --queries 2 6 of 7 would")),
        ([30, 4], ("1 task of 2", "give more tasks")),
        ([30, 1, 1, 7], ("1 task of 4", "give more rows")),
    ],
)
def test_too_few_tasks_that_are_large_enough(tmp_path, sizes, says):
    path = unequal(tmp_path / "t.csv", sizes)
    with raises_data_error("t.csv", "at least 3", *says):
        load_tables(path, task="task", target="y", needs=Needs(5, 5))


def test_tables_that_mistake_what_to_predict(tmp_path):
    rows = [f"t{n // 8},{n},{'−' * (n % 2)}{n}.5 pts" for n in range(32)]
    (tmp_path / "t.csv").write_text("\n".join(["task,x,y", *rows, ""]))
    with raises_data_error("t.csv", "number with a unit", "remove the unit"):
        load_tables(tmp_path / "t.csv", task="task", target="y", needs=Needs(2, 2))
    with raises_data_error("'task'", "both the task column and the target"):
        load_tables(tmp_path / "t.csv", task="task", target="task", needs=Needs(2, 2))
    for line, says in (("t9,1", "leave the place of a missing value empty"),
                       ("t9,1,2,3", "quote cells that hold")):  # fmt: skip
        (tmp_path / "t.csv").write_text("\n".join(["task,x,y", line, ""]))
        with raises_data_error("t.csv line 2", says):
            load_tables(tmp_path / "t.csv", task="task", target="y")


def test_classes_need_rows_of_each_label(tmp_path):
    classes = write_csv(tmp_path / "c.csv", table_rows("classification"))
    table = load_tables(classes, task="task", target="y", needs=Needs(4, 3))
    assert table.tasks == ("t02", "t05", "t08", "t11")
    assert "7 rows of each label (4 shots + 3 queries). These are most of" in table.notes[0]
    assert table.notes[0].endswith("; with --shots 4 --queries 2 all would fit")
    own = write_csv(tmp_path / "o.csv", table_rows("own"))
    options = dict(task="task", target="y", labels="own")
    assert len(load_tables(own, needs=Needs(4, 1, 2), **options).tasks) == 12
    with raises_data_error("no task has 4 labels", "at most 3"):
        load_tables(own, needs=Needs(4, 1, 4), **options)
    with raises_data_error("no task has all of 36 labels", "--labels own"):
        load_tables(own, task="task", target="y", needs=Needs(4, 1, 2))


# Sampling.


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    kinds = {"classification": {}, "own": {"labels": "own"}, "regression": {"kind": "regression"}}
    return {
        name: load_tables(
            write_csv(folder / f"{name}.csv", table_rows(name)), task="task", target="y", **options
        )
        for name, options in kinds.items()
    }


def rows_of(table, x):
    """The rows of `table_rows`, by their running number, and the task of each."""
    number = table.preprocess.features[0]
    rows = np.rint(x[..., 0].astype(np.float64) * number.scale + number.mean).astype(int)
    sizes = [12 + i % 3 for i in range(12)]
    return rows, np.repeat(range(12), sizes)[rows]


@pytest.mark.parametrize("name", ["classification", "own", "regression"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_all_rows_of_an_episode_are_of_one_task_of_its_part(tables, name, part):
    table = tables[name]
    names = getattr(table.split, part)
    ways = 2 if name == "own" else None
    sampler = TabularSampler(table, names, 2, 3, 0, part, ways)
    task = sampler.sample(1, range(300))
    support, query = (rows_of(table, x) for x, _ in task)
    of = support[1][:, :1]
    assert (support[1] == of).all() and (query[1] == of).all()
    assert {f"t{i:02d}" for i in of[:, 0]} == set(names)
    chosen = [table.tasks[i] for i in sampler.chosen(1, range(300))]
    assert chosen == [f"t{i:02d}" for i in of[:, 0]]
    counts = np.bincount(of[:, 0], minlength=12)[[int(n[1:]) for n in names]]
    expected = 300 / len(names)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_targets_are_those_of_the_rows(tables):
    labels = [row["y"] for row in table_rows("classification")]
    x, y = (
        TabularSampler(tables["classification"], ["t00", "t05"], 2, 3, 0).sample(0, range(50)).query
    )
    rows, _ = rows_of(tables["classification"], x)
    assert y.tolist() == [[0, 0, 0, 1, 1, 1]] * 50
    assert (np.array(labels)[rows] == np.array(["no", "yes"])[y]).all()
    regression = tables["regression"]
    x, y = TabularSampler(regression, ["t03"], 2, 3, 0).sample(0, range(50)).support
    rows, _ = rows_of(regression, x)
    np.testing.assert_allclose(regression.preprocess.in_units(y)[..., 0], 3 * rows, atol=1e-3)


def test_own_labels_are_numbered_at_random_and_rare_ones_left_out(tables):
    table = tables["own"]
    labels = np.array([str(row["y"]) for row in table_rows("own")])
    task = TabularSampler(table, table.split.train, 2, 3, 0, ways=2).sample(0, range(200))
    (sx, sy), (qx, qy) = task
    ends = set()
    for t in range(200):
        support = labels[rows_of(table, sx)[0][t]]
        query = labels[rows_of(table, qx)[0][t]]
        names = {int(y): label for y, label in zip(sy[t], support, strict=True)}
        assert [names[int(y)] for y in qy[t]] == query.tolist() and len(set(names.values())) == 2
        assert not any("rare" in label for label in names.values())
        ends.add(names[0][-1])
    assert ends == {"0", "1"}


def test_tasks_with_too_few_rows_are_told_and_can_be_left_out(tables):
    table = tables["classification"]
    with raises_data_error("'classification'", "'t00'", "no: 6, yes: 6", "4 shots + 3 queries",
                           "8 of 12 tasks"):  # fmt: skip
        TabularSampler(table, table.tasks, 4, 3, 0)
    kept = tasks_with(table, table.tasks, 4, 3)
    assert kept == ("t02", "t05", "t08", "t11")
    TabularSampler(table, kept, 4, 3, 0)
    regression = tables["regression"]
    assert len(tasks_with(regression, regression.tasks, 6, 7)) == 8
    with raises_data_error("'t00'", "12 rows"):
        TabularSampler(regression, regression.tasks, 6, 7, 0)
    assert regression.most_of_each(regression.tasks) == 12
    assert table.most_of_each(kept) == 7 and tables["own"].most_of_each(["t00"], 2) == 5


@pytest.mark.parametrize(
    "name,arguments,ways,fragments",
    [
        ("regression", (2, 2), 3, ["ways=3", "regression has none"]),
        ("own", (2, 2), None, ["ways=None", "at least 2"]),
        ("own", (2, 2), 3, ["each of 3 labels", "rare: 1"]),
        ("classification", (2, 2), 3, ["ways=3", "2 labels"]),
        ("classification", (0, 2), None, ["shots=0"]),
    ],
)
def test_tasks_that_cannot_be_drawn(tables, name, arguments, ways, fragments):
    table = tables[name]
    with raises_data_error(*fragments):
        TabularSampler(table, table.split.train, *arguments, 0, ways=ways)


def test_unknown_tasks_and_none(tables):
    with raises_data_error("no task 'zebra'"):
        TabularSampler(tables["own"], ["zebra"], 1, 1, 0, ways=2)
    with raises_data_error("no train tasks"):
        TabularSampler(tables["own"], [], 1, 1, 0, ways=2)


# A new table.

NEW = "size,colour,shop,y,note\n5,red,7,yes,\n7,violet,8,no,\n9,blue,7,,x\n11,red,8,,\n"


def test_labelled_rows_are_the_support_and_the_others_the_query(tmp_path):
    table = read(tmp_path, fixed())
    path = tmp_path / "new.csv"
    path.write_text(NEW)
    again = TablePreprocess.from_dict(json.loads(json.dumps(table.preprocess.to_dict())))
    new = read_new_table(path, again)
    assert new.classes == ("no", "yes") and new.support[1].tolist() == [1, 0]
    np.testing.assert_allclose(new.support[0][0], [1 / np.sqrt(5), 0, 1, -1], rtol=1e-6)
    assert new.support[0][1].tolist()[1:] == [0, 0, 1] and new.query.shape == (2, 4)
    assert new.query_rows == (f"{path} line 4", f"{path} line 5")
    (note,) = new.notes
    assert "column 'colour': 'violet' was not in training; treated as none of its" in note
    assert new.support_rows[0] == f"{path} line 2"


def test_new_tables_of_own_labels_and_of_regression(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(NEW)
    own = read_new_table(path, read(tmp_path, fixed(), labels="own").preprocess)
    assert own.classes == ("no", "yes") and own.support[1].tolist() == [1, 0]
    text = fixed().replace("no", "10").replace("yes", "30")
    regression = read(tmp_path, text, kind="regression").preprocess
    path.write_text(NEW.replace("no,", "10,").replace("yes", "50"))
    new = read_new_table(path, regression)
    assert new.classes == () and new.support[1].tolist() == [[3], [-1]]


@pytest.mark.parametrize(
    "text,fragments",
    [
        (NEW.replace("colour", "color"), ["no column 'colour'"]),
        (NEW.replace("9,blue,7,,", "9,blue,7,no,").replace("11,red,8,,", "1,red,8,no,"),
         ["empty target"]),
        (NEW.replace("yes", "").replace("no,", ","), ["a target, to adapt to"]),
        (NEW.replace("yes", "perhaps"), ["line 2", "'perhaps'"]),
        (NEW.replace("9,blue", ",blue"), ["line 4", "'size'", "no value"]),
        (NEW.replace("9,blue", "nine,blue"), ["line 4", "'nine' is not a number"]),
        ("task," + NEW.replace("\n", "\nu,").replace("u,7,", "v,7,")[:-2],
         ["'task'", "rows of 2 tasks"]),
    ],
)  # fmt: skip
def test_new_tables_that_cannot_be_used(tmp_path, text, fragments):
    preprocess = read(tmp_path, fixed()).preprocess
    path = tmp_path / "new.csv"
    path.write_text(text)
    with raises_data_error("new.csv", *fragments):
        read_new_table(path, preprocess)


def test_new_tables_need_two_labels(tmp_path):
    preprocess = read(tmp_path, fixed(), labels="own").preprocess
    path = tmp_path / "new.csv"
    path.write_text(NEW.replace("yes", "no"))
    with raises_data_error("one label", "'no'"):
        read_new_table(path, preprocess)
