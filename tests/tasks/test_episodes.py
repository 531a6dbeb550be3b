"""Episodes: owned classes, addressed draws, right labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metalearn.tasks import EpisodeSampler, ImageDataset, Preprocess, random_split

from .helpers import numbered_dataset, raises_data_error, rows_of

COUNTS = [5 + i % 7 for i in range(60)]
DATASET = numbered_dataset(COUNTS, rotations=(0, 90, 180, 270))
CLASS_OF_ROW = np.repeat(np.arange(60), COUNTS)
SPLIT = random_split(DATASET.classes, seed=1, test=12, validation=8)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_ten_thousand_episodes_never_leave_their_split(part):
    names = getattr(SPLIT, part)
    sampler = EpisodeSampler(DATASET, names, ways=5, shots=2, queries=3, seed=0, stream=part)
    seen = set()
    for iteration in range(20):
        task = sampler.sample(iteration, range(500))
        support, query = rows_of(task.support[0]), rows_of(task.query[0])
        seen |= set(CLASS_OF_ROW[support].flat) | set(CLASS_OF_ROW[query].flat)
        assert support.shape == (500, 10) and query.shape == (500, 15)
        # No image twice: not within a set, and not in both.
        images = np.sort(np.concatenate([support, query], axis=1), axis=1)
        assert (np.diff(images, axis=1) > 0).all()
    # All of the sampler's classes, and no other.
    assert {DATASET.classes[i] for i in seen} == set(names)


@given(seed=st.integers(0, 10**6), iteration=st.integers(0, 10**6))
def test_one_label_is_one_class_in_support_and_query(seed, iteration):
    sampler = EpisodeSampler(DATASET, SPLIT.train, ways=5, shots=2, queries=3, seed=seed)
    task = sampler.sample(iteration, [0, 1])
    for t in range(2):
        classes = {}
        for x, y in (task.support, task.query):
            for row, label in zip(rows_of(x[t]), y[t], strict=True):
                assert classes.setdefault(int(label), CLASS_OF_ROW[row]) == CLASS_OF_ROW[row]
        assert sorted(classes) == [0, 1, 2, 3, 4]
        assert len(set(classes.values())) == 5


@given(
    seed=st.integers(0, 2**63),
    iteration=st.integers(0, 2**63),
    tasks=st.lists(st.integers(0, 2**63), min_size=1, max_size=8),
    cut=st.integers(0, 8),
)
def test_a_task_is_the_same_however_tasks_are_chunked(seed, iteration, tasks, cut):
    whole = EpisodeSampler(DATASET, SPLIT.train, 3, 1, 2, seed).sample(iteration, tasks)
    # Another sampler, that has drawn other things before, in two chunks and backwards.
    other = EpisodeSampler(DATASET, SPLIT.train[::-1], 3, 1, 2, seed)
    other.sample(iteration + 1, [3, 4])
    second = other.sample(iteration, tasks[cut:])
    first = other.sample(iteration, tasks[:cut])
    for name in ("support", "query"):
        for k in range(2):
            parts = [getattr(first, name)[k], getattr(second, name)[k]]
            np.testing.assert_array_equal(getattr(whole, name)[k], np.concatenate(parts))


def test_episodes_of_a_seed_never_change():
    # Recorded: the classes, turns and rows of one task.
    sampler = EpisodeSampler(DATASET, DATASET.classes, ways=3, shots=1, queries=1, seed=7)
    episodes = sampler.draw(2, [4])
    assert episodes.classes.tolist() == [[12, 56, 38]]
    assert episodes.turns.tolist() == [[2, 1, 1]]
    assert episodes.rows.tolist() == [[[92, 99], [449, 448], [302, 304]]]


def test_tasks_iterations_seeds_and_streams_differ():
    def draw(seed=0, stream="train", iteration=0, task=0):
        sampler = EpisodeSampler(DATASET, DATASET.classes, 5, 1, 1, seed, stream)
        return tuple(sampler.draw(iteration, [task]).classes.flat)

    draws = [draw(), draw(seed=1), draw(stream="test"), draw(iteration=1), draw(task=1)]
    assert len(set(draws)) == 5


def test_the_shapes_and_types_of_a_batch():
    images = np.zeros((40, 3, 6, 6), np.uint8)
    names = tuple("abcd")
    dataset = ImageDataset("d", images, names, np.full(4, 10), Preprocess(6, 3, "keep"))
    task = EpisodeSampler(dataset, names, ways=4, shots=2, queries=5, seed=0).sample(0, [7, 9, 7])
    (x, y), (query_x, query_y) = task
    assert (x.shape, x.dtype) == ((3, 8, 3, 6, 6), np.float32)
    assert (query_x.shape, query_x.dtype) == ((3, 20, 3, 6, 6), np.float32)
    assert (y.dtype, query_y.dtype) == (np.int64, np.int64)
    assert y.tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 3
    assert query_y.tolist() == [np.repeat(range(4), 5).tolist()] * 3
    assert all(a.flags.c_contiguous for a in (x, query_x))


def test_no_tasks_give_empty_arrays():
    task = EpisodeSampler(DATASET, DATASET.classes, 5, 1, 2, seed=0).sample(0, [])
    assert task.support[0].shape == (0, 5, 1, 1, 1) and task.query[1].shape == (0, 10)


def test_bytes_become_numbers_from_0_to_1():
    images = np.array([0, 51, 255, 255], np.uint8).reshape(4, 1, 1, 1)
    dataset = ImageDataset("d", images, ("a", "b"), np.array([2, 2]), Preprocess(1))
    x = EpisodeSampler(dataset, ("a", "b"), 2, 1, 1, seed=0).sample(0, range(20)).support[0]
    assert {round(float(v), 6) for v in x.flat} == {0.0, 0.2, 1.0}


def arrow_dataset():
    """Two classes, an image each sample: bright in the top row, so that turns can be told."""
    images = np.zeros((4, 1, 5, 5), np.uint8)
    images[:, :, 0, :] = 255
    return ImageDataset("arrows", images, ("a", "b"), np.array([2, 2]), Preprocess(5), (0, 90))


def side_of(x):
    """0 for a bright top row, then 1, 2, 3 a quarter turn to the left each."""
    sides = [x[..., 0, 0, :], x[..., 0, :, 0], x[..., 0, -1, :], x[..., 0, :, -1]]
    return np.argmax([side.sum(axis=-1) for side in sides], axis=0)


@pytest.mark.parametrize(
    ("rotations", "sides"),
    [(None, {0, 1}), ((0,), {0}), ((0, 90, 180, 270), {0, 1, 2, 3}), ((270,), {3})],
)
def test_each_class_of_an_episode_has_its_own_turn(rotations, sides):
    sampler = EpisodeSampler(arrow_dataset(), ("a", "b"), 2, 1, 1, seed=0, rotations=rotations)
    task = sampler.sample(0, range(200))
    support, query = side_of(task.support[0]), side_of(task.query[0])
    assert (support == query).all()
    assert set(support.flat) == sides
    assert len(sides) == 1 or (support[:, 0] != support[:, 1]).any()
    np.testing.assert_array_equal(support, sampler.draw(0, range(200)).turns)


def test_classes_and_turns_are_drawn_evenly():
    dataset = numbered_dataset([4] * 10, rotations=(0, 90, 180, 270))
    episodes = EpisodeSampler(dataset, dataset.classes, 5, 1, 1, seed=0).draw(0, range(4000))
    # 2,000 are expected of each class in 4,000 episodes (√1000 ≈ 32), 5,000 of each turn (61).
    assert np.abs(np.bincount(episodes.classes.ravel()) - 2000).max() < 5 * 32
    assert np.abs(np.bincount(episodes.turns.ravel()) - 5000).max() < 5 * 61
    # 400 of each class under label 0 (19), and half of all images are a class's first two.
    assert np.abs(np.bincount(episodes.classes[:, 0]) - 400).max() < 5 * 19
    assert abs((episodes.rows % 4 < 2).mean() - 0.5) < 5 * 0.5 / np.sqrt(40_000)


def test_stored_images_are_not_changed_by_sampling():
    dataset = arrow_dataset()
    before = dataset.images.copy()
    dataset.images.flags.writeable = False
    EpisodeSampler(dataset, ("a", "b"), 2, 1, 1, seed=0, rotations=(90,)).sample(0, range(5))
    np.testing.assert_array_equal(dataset.images, before)


@given(ways=st.integers(1, 5), shots=st.integers(1, 3), queries=st.integers(1, 2))
@settings(max_examples=30)
def test_all_images_of_the_smallest_class_can_be_used(ways, shots, queries):
    dataset = numbered_dataset([shots + queries] * ways)
    task = EpisodeSampler(dataset, dataset.classes, ways, shots, queries, seed=0).sample(0, [0])
    rows = np.concatenate([rows_of(task.support[0][0]), rows_of(task.query[0][0])])
    assert sorted(rows) == list(range(ways * (shots + queries)))


def test_too_few_classes_are_refused():
    with raises_data_error("numbered", "4 test classes", "at least 5: lower --ways"):
        EpisodeSampler(DATASET, DATASET.classes[:4], 5, 1, 1, seed=0, stream="test")


def test_the_same_class_given_twice_counts_once():
    with raises_data_error("1 train class;", "at least 2: lower --ways"):
        EpisodeSampler(DATASET, ["c001", "c001"], 2, 1, 1, seed=0)


def test_too_few_images_are_refused():
    with raises_data_error("'c007'", "has 5 images", "3 shots", "3 queries"):
        EpisodeSampler(DATASET, ["c006", "c007", "c009"], 2, 3, 3, seed=0)


def test_unknown_classes_are_refused():
    with raises_data_error("numbered", "'zebra'", "split"):
        EpisodeSampler(DATASET, ["c001", "zebra"], 2, 1, 1, seed=0)


@pytest.mark.parametrize(("ways", "shots", "queries"), [(0, 1, 1), (2, 0, 1), (2, 1, 0)])
def test_nothing_to_draw_is_refused(ways, shots, queries):
    with raises_data_error(f"ways={ways}", f"shots={shots}", f"queries={queries}", "at least 1"):
        EpisodeSampler(DATASET, DATASET.classes, ways, shots, queries, seed=0)


@pytest.mark.parametrize("rotations", [(), (0, 45)])
def test_other_rotations_are_refused(rotations):
    with raises_data_error("rotations", "90"):
        EpisodeSampler(DATASET, DATASET.classes, 2, 1, 1, seed=0, rotations=rotations)


def test_oblong_images_cannot_be_turned():
    images = np.zeros((4, 1, 2, 3), np.uint8)
    dataset = ImageDataset("oblong", images, ("a", "b"), np.array([2, 2]), Preprocess())
    with raises_data_error("square", "2×3"):
        EpisodeSampler(dataset, ("a", "b"), 2, 1, 1, seed=0, rotations=(90,))


def test_datasets_that_contradict_themselves_are_refused():
    images, preprocess = np.zeros((4, 1, 2, 2), np.uint8), Preprocess()
    with raises_data_error("uint8", "float64"):
        ImageDataset("d", images.astype(float), ("a",), np.array([4]), preprocess)
    with raises_data_error("same name"):
        ImageDataset("d", images, ("a", "a"), np.array([2, 2]), preprocess)
    with raises_data_error("counts", "4 in all"):
        ImageDataset("d", images, ("a", "b"), np.array([2, 1]), preprocess)


def test_the_digest_tells_pixels_and_names():
    def digest(value=0, name="a"):
        images = np.full((2, 1, 2, 2), value, np.uint8)
        return ImageDataset("d", images, (name,), np.array([2]), Preprocess()).digest

    assert digest() == digest()
    assert len({digest(), digest(value=1), digest(name="b")}) == 3


def test_the_images_of_a_class():
    np.testing.assert_array_equal(rows_of(DATASET.of_class("c001")), [5, 6, 7, 8, 9, 10])
