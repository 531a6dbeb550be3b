"""Problems: each gives tasks that fit what it says of them, and a record that is JSON."""

import json

import numpy as np
import pytest

from metalearn.problems import (
    FAMILIES,
    PARTS,
    Classification,
    Completion,
    CrossDomain,
    Functions,
    Imbalanced,
    Tabular,
)
from metalearn.tasks import Domain, DomainSplit, load_glyphs, load_tables, random_split
from tests.tasks.helpers import table_rows, write_csv

GLYPHS = load_glyphs(14, 6, size=8)
OTHER = load_glyphs(7, 6, seed=1, size=8)
SPLIT = random_split(GLYPHS.classes, 0, test=4, validation=4)


def table(folder, rows, **options):
    path = write_csv(folder / f"{rows}.csv", table_rows(rows))
    return load_tables(path, task="task", target="y", **options)


def problems(folder):
    yield from (Functions(name) for name in FAMILIES)
    yield Classification(GLYPHS, SPLIT, 3)
    yield Classification(GLYPHS, SPLIT, 3, upright=True)
    yield Completion(GLYPHS, SPLIT)
    yield Imbalanced(GLYPHS, SPLIT, (2, 4), (1, 3))
    yield CrossDomain(DomainSplit({"a": Domain.training(GLYPHS)}, {"b": Domain.whole(OTHER)}), 2)
    yield Tabular(table(folder, "classification"))
    yield Tabular(table(folder, "own", labels="own"), ways=2)
    yield Tabular(table(folder, "regression", kind="regression"))


@pytest.fixture(scope="module")
def all_problems(tmp_path_factory):
    return list(problems(tmp_path_factory.mktemp("tables")))


@pytest.mark.parametrize("number", range(11))
@pytest.mark.parametrize("part", PARTS)
def test_tasks_fit_what_the_problem_says(all_problems, number, part):
    problem = all_problems[number]
    left = problem.queries_left(part, 2)
    queries = 2 if left is None else min(left, 40)
    assert queries >= 2
    (x, y), (qx, qy) = problem.sampler(part, 2, queries, 0).sample(0, range(5))
    assert x.shape[2:] == qx.shape[2:] == problem.example_shape
    assert len(x) == len(y) == len(qx) == len(qy) == 5
    if y.dtype == np.int64:
        assert max(y.max(), qy.max()) < problem.outputs
    else:
        assert y.shape[2:] == qy.shape[2:] == (problem.outputs,)
    outputs = np.zeros((qx.shape[1], problem.outputs), np.float32)
    assert np.isfinite(float(problem.measure.loss(outputs, qy[0])))
    assert json.loads(json.dumps(problem.record))["dataset"]["name"]
    assert part in problem.describe(part)
    if left is not None and left < 40:
        with pytest.raises(ValueError, match=r"queries|shots"):
            problem.sampler(part, 2, left + 2, 0)


def test_how_many_problems_there_are(all_problems):
    assert len(all_problems) == 11


def test_batches_over_all_training_classes():
    problem = Classification(GLYPHS, SPLIT, 3, upright=True)
    batches = problem.batches("train", 5, seed=0)
    assert batches.outputs == 6 and batches.sample(0, [0]).query[0].shape == (1, 5, 1, 8, 8)
