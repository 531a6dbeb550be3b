"""What holds of every sampler: tasks addressed by number, sets apart, own classes, right labels.

A case is a sampler, made anew for each use, and of an example drawn by it: which one it is (so that
sets can be compared), and which class it is of (None in regression).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ac
from metalearn.tasks import (
    ArrayDataset,
    ClassBatchSampler,
    CompletionSampler,
    Domain,
    DomainSplit,
    EpisodeSampler,
    FourierSampler,
    ImageDataset,
    Prefetched,
    Preprocess,
    SinusoidLineSampler,
    SinusoidSampler,
    Split,
    TabularSampler,
    VariableEpisodeSampler,
)

from .helpers import numbered_dataset, table_of_tasks

COUNTS = [6 + i % 5 for i in range(20)]
IMAGES = numbered_dataset(COUNTS)
OWN = IMAGES.classes[3:12]
ROWS = ArrayDataset(
    "rows", IMAGES.images.reshape(-1, 1).repeat(3, axis=1), IMAGES.classes, IMAGES.counts
)
CLASS_OF_ROW = np.repeat(np.arange(20), COUNTS)
PICTURES = ImageDataset(
    "pictures",
    np.random.default_rng(0).integers(0, 256, (12, 3, 5, 4)).astype(np.uint8),
    ("a", "b", "c"),
    np.array([3, 4, 5]),
    Preprocess(5, 3, "keep"),
)
_more = numbered_dataset([7] * 8)
FARTHER = ImageDataset(
    "farther", _more.images + np.float32(0.5), _more.classes, _more.counts, _more.preprocess
)
DOMAINS = DomainSplit(
    {
        "near": Domain(IMAGES, Split(OWN, IMAGES.classes[12:], (), "t")),
        "far": Domain(FARTHER, Split(FARTHER.classes[:6], FARTHER.classes[6:], (), "t")),
    },
    {},
)
TABLE = table_of_tasks("classification")
TABLE_OWN = table_of_tasks("own")
TABLE_REGRESSION = table_of_tasks("regression")


def row(x):
    """The row of an example of `numbered_dataset`, or of its copies."""
    return np.rint(x.reshape(*x.shape[:2], math.prod(x.shape[2:]))[..., 0] * 4096).astype(int)


def own_class(rows):
    """Classes of rows of `IMAGES`; those of `FARTHER` follow after 100."""
    far = rows >= 2048
    near = CLASS_OF_ROW[np.where(far, 0, rows)]
    return np.where(far, 100 + (rows - 2048) // 7, near)


@dataclass
class Case:
    make: Callable  # (seed, stream) → sampler
    sizes: tuple[int, int]  # examples of the support and the query set
    identity: Callable  # inputs (T, n, …) → (T, n), which example it is
    class_of: Callable | None = None  # identities → classes
    allowed: frozenset = frozenset()
    ways: int = 0


def in_float(x):
    return np.round(x[..., 0].astype(np.float64), 7)


NEAR = frozenset(range(3, 12))
CASES = {
    "episodes": Case(
        lambda *s: EpisodeSampler(IMAGES, OWN, 3, 2, 4, *s), (6, 12), row, own_class, NEAR, 3
    ),
    "episodes of rows": Case(
        lambda *s: EpisodeSampler(ROWS, OWN, 3, 2, 4, *s), (6, 12), row, own_class, NEAR, 3
    ),
    "variable": Case(
        lambda *s: VariableEpisodeSampler(IMAGES, OWN, (2, 5), (1, 4), 2, *s),
        (20, 10), row, own_class, NEAR,
    ),
    "domains": Case(
        lambda seed, _stream: DOMAINS.sampler("train", 3, 2, 4, seed), (6, 12), row, own_class,
        NEAR | frozenset(range(100, 106)), 3,
    ),
    "batches": Case(
        lambda *s: ClassBatchSampler(IMAGES, OWN, 9, *s), (0, 9), row, own_class, NEAR
    ),
    "sinusoid": Case(lambda *s: SinusoidSampler(4, 3, *s), (4, 3), in_float),
    "sinusoid and line": Case(lambda *s: SinusoidLineSampler(4, 3, *s), (4, 3), in_float),
    "fourier": Case(lambda *s: FourierSampler(4, 3, *s, noise=0.1), (4, 3), in_float),
    "completion": Case(
        lambda *s: CompletionSampler(PICTURES, ("a", "c"), 4, 6, *s), (4, 6),
        lambda x: np.rint(4 * x[..., 0]) * 4 + np.rint(3 * x[..., 1]),
    ),
    "table": Case(
        lambda *s: TabularSampler(TABLE, TABLE.split.train, 2, 3, *s), (4, 6),
        lambda x: np.rint(TABLE.numbers(x)).astype(int),
    ),
    "table of own labels": Case(
        lambda *s: TabularSampler(TABLE_OWN, TABLE_OWN.split.train, 2, 3, *s, ways=2), (4, 6),
        lambda x: np.rint(TABLE_OWN.numbers(x)).astype(int),
    ),
    "table of regression": Case(
        lambda *s: TabularSampler(TABLE_REGRESSION, TABLE_REGRESSION.split.train, 2, 3, *s),
        (2, 3), lambda x: np.rint(TABLE_REGRESSION.numbers(x)).astype(int),
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def leaves(task):
    return [np.asarray(x) for part in task for x in part]


def same(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


@every_case
@given(
    seed=st.integers(0, 2**63),
    iteration=st.integers(0, 2**63),
    tasks=st.lists(st.integers(0, 2**63), min_size=1, max_size=7),
    cut=st.integers(0, 7),
)
@settings(max_examples=12)
def test_a_task_is_the_same_whatever_came_before_and_however_tasks_are_chunked(
    case, seed, iteration, tasks, cut
):
    whole = case.make(seed, "train").sample(iteration, tasks)
    other = case.make(seed, "train")
    other.sample(iteration + 1, [3, 4])
    second = other.sample(iteration, iter(tasks[cut:]))
    first = other.sample(iteration, tasks[:cut])
    parts = [np.concatenate(pair) for pair in zip(leaves(first), leaves(second), strict=True)]
    for x, y in zip(leaves(whole), parts, strict=True):
        np.testing.assert_array_equal(x, y)
    alone = case.make(seed, "train").sample(iteration, tasks[-1:])
    for x, y in zip(leaves(whole), leaves(alone), strict=True):
        np.testing.assert_array_equal(x[-1:], y)


@every_case
def test_seeds_streams_iterations_and_tasks_differ(case):
    def draw(seed=0, stream="train", iteration=0, task=0):
        drawn = case.make(seed, stream).sample(iteration, [task])
        return b"".join(x.tobytes() for x in leaves(drawn))

    draws = [draw(), draw(seed=1), draw(iteration=1), draw(task=1)]
    if case is not CASES["domains"]:  # whose parts have other domains and classes
        draws.append(draw(stream="test"))
    assert len(set(draws)) == len(draws)


@every_case
def test_shapes_and_types(case):
    task = case.make(0, "train").sample(0, [5, 6, 5])
    for (x, y), size in zip(task, case.sizes, strict=True):
        assert x.shape[:2] == y.shape[:2] == (3, size)
        assert x.dtype == np.float32 and y.dtype in (np.float32, np.int64)
        np.testing.assert_array_equal(x[0], x[2])
        assert (y.ndim == 2) == (y.dtype == np.int64)


@every_case
def test_no_example_is_in_both_sets_or_twice_in_one(case):
    task = case.make(1, "train").sample(3, range(150))
    sets = [np.ma.array(case.identity(x), mask=_padded(y)) for x, y in task]
    for support, query in zip(*sets, strict=True):
        seen = np.concatenate([support.compressed(), query.compressed()])
        assert len(set(seen.tolist())) == len(seen) > 0


def _padded(y):
    """Where an example does not count."""
    return y < 0 if y.dtype == np.int64 else np.zeros(y.shape[:2], bool)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.class_of])
def test_classes_are_the_samplers_own_and_a_label_is_one_class(name):
    case = CASES[name]
    task = case.make(2, "train").sample(1, range(400))
    seen = set()
    for t in range(400):
        classes = {}
        for x, y in task:
            for example, label in zip(case.identity(x)[t], y[t], strict=True):
                of = int(case.class_of(example))
                if label >= 0:
                    assert classes.setdefault(int(label), of) == of
                seen.add(of)
        assert len(set(classes.values())) == len(classes)
        if case.ways:
            assert sorted(classes) == list(range(case.ways))
    assert seen == case.allowed


@every_case
def test_what_is_placed_is_what_is_sampled(case):
    sampler = case.make(0, "train")
    same(sampler.placed(sampler.draw(2, range(5)), "cpu"), sampler.sample(2, range(5)))


@every_case
def test_prefetched_tasks_are_the_same(case):
    sampler = case.make(0, "train")
    with Prefetched(sampler, 2, always=True) as ahead:
        for iteration in (0, 1, 2, 9, 3):
            same(ahead.sample(iteration, range(3)), sampler.sample(iteration, range(3)))


@every_case
def test_a_compiled_step_takes_the_tasks(case):
    sampler = case.make(0, "train")
    compiled = ac.jit(lambda task: [ac.sum(x) for part in task for x in part], quiet=True)
    for iteration in range(2):
        task = sampler.sample(iteration, range(2))
        got = np.array([float(x) for x in compiled(task)])
        expected = [x.sum(dtype=np.float64) for x in leaves(task)]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
