"""Glyphs: the same for a seed, like handwriting in amount of ink and in difficulty."""

import numpy as np
import pytest

from metalearn.tasks import EpisodeSampler, load_glyphs
from metalearn.tasks.raster import EDGE, rasterise

from .helpers import raises_data_error


@pytest.fixture(scope="module")
def glyphs():
    """200 classes of 12 drawings, (200, 12, 28, 28) float64."""
    return load_glyphs(200, 12).images.reshape(200, 12, 28, 28) / 255


def test_the_shape_of_the_dataset():
    dataset = load_glyphs(classes=7, samples=3)
    assert dataset.images.shape == (21, 1, 28, 28) and dataset.images.dtype == np.uint8
    assert dataset.classes[:2] == ("glyph00000", "glyph00001") and len(dataset.classes) == 7
    assert dataset.counts.tolist() == [3] * 7
    task = EpisodeSampler(dataset, dataset.classes, 5, 1, 2, seed=0).sample(0, [0])
    assert task.support[0].max() == 1.0 and task.support[0].min() == 0.0


def test_a_seed_draws_the_same_glyphs_and_another_seed_others():
    assert load_glyphs(20, 5, seed=3).digest == load_glyphs(20, 5, seed=3).digest
    assert load_glyphs(20, 5, seed=3).digest != load_glyphs(20, 5, seed=4).digest


def test_a_larger_dataset_holds_the_smaller_one(glyphs):
    # 12 and 5 drawings a class are cut into other chunks.
    small = load_glyphs(30, 5).images.reshape(30, 5, 28, 28) / 255
    np.testing.assert_array_equal(small, glyphs[:30, :5])


def test_no_two_drawings_are_alike(glyphs):
    drawings = glyphs.reshape(-1, 784)
    assert len(np.unique(drawings, axis=0)) == len(drawings)


def test_ink_size_and_place_are_like_omniglot(glyphs):
    # Medians of Omniglot at 28×28: ink 0.083, height 17, width 15, centre of ink (13.1, 12.7).
    ink = glyphs.mean(axis=(2, 3))
    assert 0.06 < np.median(ink) < 0.10
    assert ink.min() > 0.01 and ink.max() < 0.25
    rows, columns = (glyphs > 0.2).any(axis=3), (glyphs > 0.2).any(axis=2)
    for line in (rows, columns):
        assert 14 <= np.median(line.sum(axis=-1)) <= 19
    centre = [
        (glyphs.sum(axis=axis) * np.arange(28)).sum(-1) / glyphs.sum((2, 3)) for axis in (2, 3)
    ]
    assert all(11 < np.median(c) < 15 for c in centre)
    # Nothing is drawn over the edge.
    assert glyphs[:, :, [0, -1]].max() < 0.9 and glyphs[..., [0, -1]].max() < 0.9


def test_paper_is_white_and_ink_is_black(glyphs):
    assert (glyphs.max(axis=(2, 3)) > 0.9).all()
    assert 0.75 < (glyphs == 0).mean() < 0.95
    grey = (glyphs > 0.1) & (glyphs < 0.9)
    assert 0.04 < grey.mean() < 0.15  # antialiased


def test_glyphs_are_as_hard_to_tell_as_omniglot(glyphs):
    """The nearest neighbour in pixels tells 5 ways from 1 shot in 44 % of Omniglot's queries."""
    rng = np.random.default_rng(0)
    right = []
    for _ in range(1000):
        classes = rng.choice(200, 5, replace=False)
        support, query = glyphs[classes, 0].reshape(5, -1), glyphs[classes, 1].reshape(5, -1)
        nearest = ((query[:, None] - support) ** 2).sum(axis=-1).argmin(axis=1)
        right.append((nearest == np.arange(5)).mean())
    assert 0.38 < np.mean(right) < 0.55


def test_other_sizes_are_the_same_drawing_enlarged():
    small, large = load_glyphs(5, 2), load_glyphs(5, 2, size=56)
    assert large.images.shape == (10, 1, 56, 56)
    blocks = large.images.reshape(10, 28, 2, 28, 2).mean(axis=(2, 4)) / 255
    # The centres of the pixels are half a pixel apart, so the match is of shapes, not of values.
    for a, b in zip(small.images.reshape(10, -1) / 255, blocks.reshape(10, -1), strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.8


def test_rasterise_is_the_distance_to_the_polyline():
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 20, (6, 2, 4, 2))
    drawn = np.array([[True, False], [True, True]] * 3)
    radius = rng.uniform(0.5, 2, 6)
    images = rasterise(points, drawn, radius, 16)
    for i in range(6):
        ink = np.zeros((16, 16))
        for s in np.flatnonzero(drawn[i]):
            for a, b in zip(points[i, s], points[i, s, 1:], strict=False):
                ink = np.maximum(ink, _ink_of_segment(a, b, radius[i]))
        # Half a level for rounding, and float32 inside.
        assert np.abs(images[i] - 255 * ink).max() < 0.51
        assert ink.max() == 1


def _ink_of_segment(a, b, radius):
    y, x = np.mgrid[:16, :16]
    pixel = np.stack([x, y], axis=-1).astype(float)
    along = np.clip(((pixel - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
    distance = np.linalg.norm(pixel - (a + along[..., None] * (b - a)), axis=-1)
    return np.clip((radius - distance) / (2 * EDGE) + 0.5, 0, 1)


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"samples": 0}, {"size": 4}, {"size": 1000}])
def test_numbers_out_of_range_are_refused(wrong):
    ((name, value),) = wrong.items()
    with raises_data_error(f"{name}={value}", "expected"):
        load_glyphs(**wrong)
