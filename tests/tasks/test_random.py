"""Counter-based random numbers: addressed, reproducible and evenly spread."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metalearn.tasks import random
from metalearn.tasks.random import distinct, normals, stream_key, uniforms

counters = st.integers(0, 2**64 - 1)


def test_numbers_of_a_seed_never_change():
    # Recorded values: a run's episodes must be the same under every later version.
    numbers = uniforms(stream_key(7, "train"), iteration=3, tasks=[5], count=3)
    expected = [[0.5369722685367411, 0.7010125676279244, 0.7603455270450657]]
    np.testing.assert_array_equal(numbers, expected)


@given(seed=st.integers(0, 10**9), iteration=counters, tasks=st.lists(counters, max_size=6))
def test_numbers_do_not_depend_on_the_other_tasks_or_on_how_many_are_drawn(seed, iteration, tasks):
    key = stream_key(seed, "train")
    together = uniforms(key, iteration, tasks, 9)
    assert together.shape == (len(tasks), 9)
    for row, task in zip(together, tasks, strict=True):
        np.testing.assert_array_equal(row, uniforms(key, iteration, [task], 9)[0])
        np.testing.assert_array_equal(row[:4], uniforms(key, iteration, [task], 4)[0])


def test_every_part_of_the_address_gives_other_numbers():
    addresses = [(0, "train", 0, 0), (1, "train", 0, 0), (0, "test", 0, 0), (0, "train", 1, 0)]
    addresses += [(0, "train", 0, 1), (-1, "train", 0, 0)]
    numbers = [
        tuple(uniforms(stream_key(seed, stream), iteration, [task], 2)[0])
        for seed, stream, iteration, task in addresses
    ]
    assert len(set(numbers)) == len(addresses)


def test_uniforms_fill_the_unit_interval_evenly():
    numbers = uniforms(stream_key(0, "train"), 0, range(1000), 100).ravel()
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    # 5,000 are expected in each of 20 bins, with a standard deviation of 69.
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.abs(counts - 5000).max() < 5 * 69
    # Neighbouring tasks are unrelated.
    pairs = numbers.reshape(1000, 100)
    assert abs(np.corrcoef(pairs[:-1].ravel(), pairs[1:].ravel())[0, 1]) < 5 / np.sqrt(99_900)


def test_normals_have_the_moments_of_the_normal_distribution():
    numbers = normals(uniforms(stream_key(0, "train"), 0, range(1000), 100)).ravel()
    moments = [np.mean(numbers**k) for k in (1, 2, 3, 4)]
    # Standard deviations of the sample moments of 100,000 numbers: √1, √2, √15, √96 / √n.
    bounds = 5 * np.sqrt([1, 2, 15, 96]) / np.sqrt(numbers.size)
    assert (np.abs(np.array(moments) - [0, 1, 0, 3]) < bounds).all()
    # The two that come from one pair of uniform numbers are unrelated, in sign and in size.
    pairs = numbers.reshape(1000, 2, 50)
    for x, y in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 0] ** 2, pairs[:, 1] ** 2)):
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 5 / np.sqrt(50_000)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), counters)
def test_distinct_draws_without_replacement(size_and_k, task):
    size, k = size_and_k
    drawn = distinct(uniforms(stream_key(0, "train"), 0, [task, 1, 2], k), size)
    assert drawn.shape == (3, k)
    assert all(len(set(row)) == k and min(row) >= 0 and max(row) < size for row in drawn.tolist())


def test_distinct_gives_every_ordered_choice_equally_often():
    draws = distinct(uniforms(stream_key(0, "train"), 0, range(12_000), 2), 4)
    counts = [int((draws == pair).all(axis=1).sum()) for pair in permutations(range(4), 2)]
    # 1,000 are expected of each of the 12 pairs, with a standard deviation of 30.
    assert sum(counts) == 12_000 and max(abs(c - 1000) for c in counts) < 5 * 30


def test_distinct_keeps_to_the_size_of_each_row():
    sizes = np.tile([3, 50], 200)
    drawn = distinct(uniforms(stream_key(0, "train"), 0, range(400), 3), sizes)
    assert (np.sort(drawn[::2], axis=1) == [0, 1, 2]).all()
    assert drawn[1::2].max() == 49


@given(
    rows=st.integers(1, 6), k=st.integers(0, 12), more=st.integers(0, 9), seed=st.integers(0, 2**32)
)
def test_cards_looked_up_are_the_cards_of_a_deck_laid_out(rows, k, more, seed):
    rng = np.random.default_rng(seed)
    uniform, sizes = (
        rng.random((rows, k)),
        rng.integers(max(k, 1), k + more + 1, rows, endpoint=True),
    )
    laid_out = distinct(uniform, sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "LARGEST_DECKS", 0)
        np.testing.assert_array_equal(distinct(uniform, sizes), laid_out)


def test_large_decks_take_no_memory_of_their_size():
    cards = distinct(np.random.default_rng(0).random((50, 20)), 10**12)
    assert (
        (np.diff(np.sort(cards)) > 0).all() and cards.min() >= 0 and 0.9e12 < cards.max() < 10**12
    )


@pytest.mark.parametrize("largest", [0, 1 << 16])
def test_the_cards_of_a_small_deck_come_first(largest, monkeypatch):
    monkeypatch.setattr(random, "LARGEST_DECKS", largest)
    cards = distinct(np.random.default_rng(0).random((200, 7)), np.tile([3, 7], 100))
    assert {tuple(sorted(row)) for row in cards[::2, :3].tolist()} == {(0, 1, 2)}
    assert {tuple(sorted(row)) for row in cards[1::2].tolist()} == {tuple(range(7))}
