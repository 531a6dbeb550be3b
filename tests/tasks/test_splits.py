"""Splits: data with a hash, validation never out of test."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metalearn.tasks import Split, omniglot_alphabet_split, omniglot_split, random_split

from .helpers import raises_data_error

NAMES = [f"class{i}" for i in range(40)]


@given(seed=st.integers(0, 10**6), test=st.integers(1, 20), validation=st.integers(0, 19))
def test_parts_are_all_classes_once(seed, test, validation):
    split = random_split(NAMES, seed, test=test, validation=validation)
    assert len(split.test) == test and len(split.validation) == validation
    assert sorted(split.train + split.validation + split.test) == sorted(NAMES)


@given(seed=st.integers(0, 10**6), validation=st.integers(1, 19))
def test_validation_classes_come_out_of_the_training_classes(seed, validation):
    without = random_split(NAMES, seed, test=10)
    split = random_split(NAMES, seed, test=10, validation=validation)
    assert split.test == without.test
    assert set(split.validation) < set(without.train)


def test_shares_are_of_all_classes_and_of_the_training_classes():
    split = random_split(NAMES, 0, test=0.25, validation=0.1)
    assert (len(split.train), len(split.validation), len(split.test)) == (27, 3, 10)


def test_the_order_of_the_names_does_not_matter_and_the_seed_does():
    split = random_split(NAMES, 3, test=10, validation=5)
    assert split == random_split(reversed(NAMES), 3, test=10, validation=5)
    assert split.hash != random_split(NAMES, 4, test=10, validation=5).hash


def test_the_hash_is_of_the_names_and_stays():
    split = Split(("b", "a"), ("c",), ("d",), version="x", seed=1)
    assert split.train == ("a", "b")
    assert split.hash == "0d177b36cecbf4cda37ac17a3923e91b25faa48a233fa42600d0539d3895b05c"
    assert split.hash == Split(("a", "b"), ("c",), ("d",), version="y").hash
    assert split.hash != Split(("a", "b", "c"), (), ("d",), version="x", seed=1).hash


@pytest.mark.parametrize("seed", [5, None])
def test_a_split_survives_json(seed):
    split = Split(("a", "b"), ("c",), ("d",), version="x", seed=seed)
    assert Split.from_dict(json.loads(json.dumps(split.to_dict()))) == split


def test_a_changed_record_is_refused():
    record = random_split(NAMES, 0, test=10).to_dict()
    record["test"] = [*record["test"][1:], "other"]
    with raises_data_error("random-1", "hash"):
        Split.from_dict(record)


def test_a_record_without_a_field_is_refused():
    record = random_split(NAMES, 0, test=10).to_dict()
    del record["validation"]
    with raises_data_error("validation"):
        Split.from_dict(record)


def test_a_class_in_two_parts_is_refused():
    with raises_data_error("'a'", "twice"):
        Split(("a", "b"), (), ("a",), version="x")


@pytest.mark.parametrize(("test", "validation"), [(40, 0), (0, 0), (10, 30), (10, -1), (50, 0)])
def test_a_split_with_an_empty_part_is_refused(test, validation):
    with raises_data_error("40 classes", f"test={test}", "expected"):
        random_split(NAMES, 0, test=test, validation=validation)


def omniglot_names():
    background = [f"images_background/A{i % 30}/character{i:02d}" for i in range(964)]
    return background + [f"images_evaluation/B{i % 20}/character{i:02d}" for i in range(659)]


def test_the_papers_split_has_1200_and_423_characters():
    split = omniglot_split(omniglot_names(), seed=0, validation=0)
    assert (len(split.train), len(split.test)) == (1200, 423)
    assert any(name.startswith("images_evaluation") for name in split.train)
    with_validation = omniglot_split(omniglot_names(), seed=0)
    assert len(with_validation.train), len(with_validation.validation) == (1100, 100)
    assert with_validation.test == split.test


def test_the_papers_split_needs_all_of_omniglot():
    with raises_data_error("1622 classes", "1,623"):
        omniglot_split(omniglot_names()[1:])


def test_the_alphabet_split_keeps_alphabets_whole():
    split = omniglot_alphabet_split(omniglot_names(), seed=0, validation_alphabets=5)
    alphabets = [{n.split("/")[1] for n in part} for part in (split.train, split.validation)]
    assert [len(a) for a in alphabets] == [25, 5] and alphabets[0].isdisjoint(alphabets[1])
    assert len(split.train) + len(split.validation) == 964
    assert all(name.startswith("images_evaluation/") for name in split.test)
    assert len(split.test) == 659


def test_the_alphabet_split_needs_an_alphabet_for_training():
    with raises_data_error("validation_alphabets=30", "30 background alphabets"):
        omniglot_alphabet_split(omniglot_names(), validation_alphabets=30)


def test_a_split_written_by_hand_needs_names_alone():
    data = {"train": ["b", "a"], "validation": [], "test": ["c"]}
    split = Split.from_dict(data)
    assert split == Split(("a", "b"), (), ("c",), "own-1")
    assert Split.from_dict(split.to_dict()) == split


@pytest.mark.parametrize("change", [{"train": "ab"}, {"test": [1]}, {"seed": 1.5}, {"train": None}])
def test_a_split_with_a_wrong_field_is_refused(change):
    with raises_data_error("not a split"):
        Split.from_dict({"train": ["a"], "validation": [], "test": ["b"], **change})
