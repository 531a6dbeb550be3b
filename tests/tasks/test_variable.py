"""Episodes of varying ways and shots, class batches, and domains: what is theirs alone."""

import numpy as np
import pytest

import autograd_core as ac
from metalearn.learner import ACCURACY
from metalearn.measures import PADDED_ACCURACY, padded_cross_entropy
from metalearn.tasks import (
    ClassBatchSampler,
    Domain,
    DomainSampler,
    DomainSplit,
    EpisodeSampler,
    SinusoidSampler,
    Split,
    VariableEpisodeSampler,
)

from .helpers import numbered_dataset, raises_data_error, rows_of

DATASET = numbered_dataset([4 + i % 9 for i in range(15)], rotations=(0, 90))


def sampler(**options):
    chosen = dict(ways=(2, 5), shots=(1, 4), queries=2, seed=0)
    return VariableEpisodeSampler(DATASET, DATASET.classes, **{**chosen, **options})


# Ways and shots.


def test_ways_and_shots_fill_their_ranges_evenly():
    drawn = sampler().draw(0, range(4000))
    ways = (drawn.classes >= 0).sum(axis=1)
    counts = np.bincount(ways, minlength=6)
    assert counts[:2].sum() == 0 and np.abs(counts[2:] - 1000).max() < 5 * np.sqrt(1000)
    present = drawn.classes >= 0
    assert ((drawn.shots > 0) == present).all()
    large = present & (DATASET.counts[drawn.classes] >= 6)
    shots = np.bincount(drawn.shots[large], minlength=5)
    share = large.sum() / 4
    assert shots[0] == 0 and np.abs(shots[1:] - share).max() < 5 * np.sqrt(share)
    # Classes with four images have two left after the queries.
    small = present & (DATASET.counts[drawn.classes] == 4)
    assert set(drawn.shots[small]) == {1, 2}


def test_labels_count_the_shots_and_what_is_over_repeats_them():
    source = sampler()
    drawn, task = source.draw(1, range(200)), source.sample(1, range(200))
    (x, y), (qx, qy) = task
    assert x.shape[:2] == y.shape == (200, 20) and qx.shape[:2] == qy.shape == (200, 10)
    for t in range(200):
        ways = int((drawn.classes[t] >= 0).sum())
        expected = np.repeat(np.arange(ways), drawn.shots[t, :ways])
        used = len(expected)
        assert y[t, :used].tolist() == expected.tolist() and (y[t, used:] == -1).all()
        assert qy[t].tolist() == [*np.repeat(np.arange(ways), 2), *[-1] * (10 - 2 * ways)]
        rows = rows_of(x[t])
        np.testing.assert_array_equal(rows[used:], rows[np.arange(20 - used) % used])
        of = np.searchsorted(np.cumsum(DATASET.counts), rows[:used], side="right")
        np.testing.assert_array_equal(of, drawn.classes[t][y[t, :used]])


def test_each_class_has_its_own_turn():
    drawn = sampler().draw(0, range(300))
    for t in range(300):
        turn_of = {}
        for slots in (drawn.support, drawn.query):
            for label, turn in zip(slots.labels[t], slots.turns[t], strict=True):
                assert label < 0 or turn_of.setdefault(label, turn) == turn
    assert set(drawn.support.turns.flat) == {0, 1}


def test_fixed_ways_and_shots_leave_nothing_over():
    task = sampler(ways=3, shots=2).sample(0, range(20))
    assert task.support[1].tolist() == [[0, 0, 1, 1, 2, 2]] * 20
    assert task.query[1].tolist() == [[0, 0, 1, 1, 2, 2]] * 20


@pytest.mark.parametrize(
    "options,fragments",
    [
        ({"ways": (3, 2)}, ["ways=(3, 2)", "(3, 8)"]),
        ({"shots": (0, 2)}, ["shots=(0, 2)"]),
        ({"ways": (2, 16)}, ["15 train classes", "at least 16"]),
        ({"shots": (3, 4)}, ["has 4 images", "3 shots", "2 queries"]),
        ({"queries": 0}, ["queries=0"]),
    ],
)
def test_ranges_that_cannot_be_drawn(options, fragments):
    with raises_data_error(*fragments):
        sampler(**options)


# Losses of padded tasks.


def test_padding_changes_no_loss_score_or_gradient():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(6, 3)).astype(np.float32), np.array([0, 2, 1, 0, 2, 1])
    more = rng.normal(size=(4, 3)).astype(np.float32)
    padded = np.concatenate([logits, more]), np.concatenate([labels, [-1] * 4])
    wide = np.concatenate([padded[0], np.full((10, 2), 30.0, np.float32)], axis=1), padded[1]
    for name in ("loss", "score"):
        expected = getattr(ACCURACY, name)(ac.asarray(logits), ac.asarray(labels))
        for x, y in ((logits, labels), padded, wide):
            for call in (
                getattr(PADDED_ACCURACY, name),
                ac.jit(getattr(PADDED_ACCURACY, name), quiet=True),
            ):
                np.testing.assert_allclose(call(ac.asarray(x), ac.asarray(y)), expected, rtol=1e-6)
    gradient = ac.grad(ACCURACY.loss)(ac.asarray(logits), ac.asarray(labels)).numpy()
    got = ac.grad(padded_cross_entropy)(ac.asarray(wide[0]), ac.asarray(wide[1])).numpy()
    np.testing.assert_allclose(got[:6, :3], gradient, rtol=1e-5, atol=1e-7)
    assert not got[6:].any() and not got[:, 3:].any()


def test_padded_tasks_go_through_a_mapped_compiled_loss_and_its_second_derivative():
    task = sampler().sample(0, range(4))
    w = ac.asarray(np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32))

    def meta_loss(w, task):
        loss = lambda w, part: padded_cross_entropy(ac.reshape(part[0], (-1, 1)) @ w, part[1])
        w = w - 0.5 * ac.grad(loss)(w, task.support)
        return loss(w, task.query)

    mean = lambda w, tasks: ac.mean(ac.vmap(lambda task: meta_loss(w, task))(tasks))
    each = [meta_loss(w, ac.tree_map(lambda x, i=i: ac.asarray(x[i]), task)) for i in range(4)]
    compiled = ac.jit(ac.value_and_grad(mean), quiet=True)
    loss, gradient = compiled(w, task)
    np.testing.assert_allclose(loss, np.mean([float(x) for x in each]), rtol=1e-5)
    np.testing.assert_allclose(gradient, ac.grad(mean)(w, task), rtol=1e-4, atol=1e-6)


# Batches over all classes.


def test_labels_of_batches_are_places_among_all_classes_and_turns():
    own = DATASET.classes[5:9]
    source = ClassBatchSampler(DATASET, own, 10, seed=0)
    assert source.outputs == 8
    drawn = source.draw(0, range(2000))
    of = np.searchsorted(np.cumsum(DATASET.counts), drawn.rows, side="right")
    np.testing.assert_array_equal(drawn.labels, 2 * (of - 5) + drawn.turns)
    counts = np.bincount(drawn.labels.ravel(), minlength=8)
    share = DATASET.counts[5:9].repeat(2) / (2 * DATASET.counts[5:9].sum())
    expected = share * 20_000
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())
    (sx, sy), (x, y) = source.sample(0, [0])
    assert sx.shape == (1, 0, 1, 1, 1) and sy.shape == (1, 0)
    assert x.shape == (1, 10, 1, 1, 1) and y.shape == (1, 10) and y.dtype == np.int64
    assert ClassBatchSampler(DATASET, own, 10, 0, rotations=(0,)).outputs == 4


def test_a_mapped_step_takes_a_batch_as_a_task():
    task = ClassBatchSampler(DATASET, DATASET.classes, 6, 0, rotations=(0,)).sample(0, range(2))
    w = ac.asarray(np.ones((1, 15), np.float32))
    loss = lambda w, task: ACCURACY.loss(ac.reshape(task.query[0], (-1, 1)) @ w, task.query[1])
    mean = lambda w, tasks: ac.mean(ac.vmap(lambda task: loss(w, task))(tasks))
    value, gradient = ac.jit(ac.value_and_grad(mean), quiet=True)(w, task)
    assert np.isfinite(float(value)) and gradient.shape == w.shape


@pytest.mark.parametrize("batch", [0, 1000])
def test_batches_that_cannot_be_drawn(batch):
    with raises_data_error(f"batch={batch}", "examples", "numbered"):
        ClassBatchSampler(DATASET, DATASET.classes, batch, 0)
    with raises_data_error("no train classes"):
        ClassBatchSampler(DATASET, (), 1, 0)


# Domains.


def shifted(by, classes=6, count=5):
    dataset = numbered_dataset([count] * classes)
    object.__setattr__(dataset, "images", dataset.images + np.float32(by))
    return dataset


ONE, OTHER, THIRD = numbered_dataset([5] * 6), shifted(0.25), shifted(0.5)


def test_each_episode_is_of_one_domain_and_evenly():
    split = DomainSplit({"one": Domain.training(ONE), "other": Domain.training(OTHER)},
                        {"third": Domain.whole(THIRD)})  # fmt: skip
    source = split.sampler("train", 3, 1, 2, seed=0)
    domains = source.domains(0, range(2000))
    assert abs(domains.mean() - 0.5) < 5 * 0.5 / np.sqrt(2000)
    task = source.sample(0, range(2000))
    for x, _ in task:
        rows = rows_of(x)
        assert ((rows >= 1024) == (domains == 1)[:, None]).all()
    alone = EpisodeSampler(ONE, split.train["one"].split.train, 3, 1, 2, 0, "train one")
    first = int(np.flatnonzero(domains == 0)[0])
    np.testing.assert_array_equal(task.query[0][first], alone.sample(0, [first]).query[0][0])
    test = split.sampler("test", 3, 1, 2, seed=0).sample(0, range(100))
    assert rows_of(test.query[0]).min() >= 2048


def test_parts_share_no_class_and_validation_is_of_the_training_domains():
    domain = Domain.training(ONE, validation=0.4, seed=3)
    assert len(domain.split.validation) == 2 and len(domain.split.train) == 4
    split = DomainSplit({"one": domain}, {"other": Domain.whole(OTHER)})
    assert set(split.domains("validation")) == {"one"} and set(split.domains("test")) == {"other"}
    own = DomainSplit({"one": Domain(ONE, Split(ONE.classes[:2], (), ONE.classes[2:], "s"))}, {})
    assert set(own.domains("test")) == {"one"}


def test_weights_of_domains():
    samplers = {name: SinusoidSampler(2, 2, 0, name) for name in "ab"}
    source = DomainSampler(samplers, 0, weights={"a": 1, "b": 3})
    share = source.domains(0, range(4000)).mean()
    assert abs(share - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 4000)
    assert source.sample(0, []).query[0].shape == (0, 2, 1)


@pytest.mark.parametrize(
    "train,test,fragments",
    [
        ({}, {}, ["no training domains"]),
        ({"a": ONE}, {"a": OTHER}, ["'a'", "for training and for test"]),
        ({"a": ONE}, {"b": numbered_dataset([5] * 6)}, ["'a' and 'b'", "same data"]),
        ({"a": ONE, "b": numbered_dataset([5] * 6)}, {}, ["'a' and 'b'", "same data"]),
    ],
)
def test_domains_that_are_not_apart(train, test, fragments):
    whole = lambda datasets: {name: Domain.whole(d) for name, d in datasets.items()}
    with raises_data_error(*fragments):
        DomainSplit(whole(train), whole(test))


def test_domains_of_other_shapes_and_weights():
    other = numbered_dataset([4] * 5)
    object.__setattr__(other, "images", np.zeros((20, 3, 1, 1), np.float32))
    with raises_data_error("(1, 1, 1)", "(3, 1, 1)", "size="):
        DomainSplit({"a": Domain.whole(ONE)}, {"b": Domain.whole(other)})
    with raises_data_error("weights", "a, b"):
        DomainSampler({name: SinusoidSampler(1, 1, 0) for name in "ab"}, 0, weights={"a": 1})
    with raises_data_error("weights=[0]", "positive"):
        DomainSampler({"a": SinusoidSampler(1, 1, 0)}, 0, weights={"a": 0})
    with raises_data_error("no train domains"):
        DomainSampler({}, 0)
