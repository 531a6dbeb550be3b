"""Families of functions and images to complete: their formulas and their statistics."""

import numpy as np
import pytest

from metalearn.tasks import (
    CompletionSampler,
    FourierSampler,
    ImageDataset,
    Preprocess,
    SinusoidLineSampler,
    SinusoidSampler,
)

from .helpers import raises_data_error

FAMILIES = [SinusoidSampler, lambda *a: SinusoidLineSampler(*a, noise=0.0), FourierSampler]


@pytest.mark.parametrize("make", FAMILIES)
def test_targets_are_on_the_curves_of_their_tasks(make):
    sampler = make(5, 8, 0)
    task = sampler.sample(4, range(40))
    for x, y in task:
        assert x.shape == y.shape and x.shape[::2] == (40, 1) and np.abs(x).max() <= 5
        curves = sampler.curves(4, range(40), x[..., 0])
        # x was rounded to float32 before the curve: up to 2⁻²² · slope, and y after it.
        np.testing.assert_allclose(y[..., 0], curves, rtol=2**-22, atol=2**-17)
    grid = np.linspace(-5, 5, 7)
    assert sampler.curves(4, [3, 5], grid).shape == (2, 7)


def test_half_of_all_tasks_are_lines_with_noise():
    sampler = SinusoidLineSampler(10, 10, 0)
    lines = sampler.lines(0, range(4000))
    assert abs(lines.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    a, b, c = sampler.curves(0, range(4000), [-4.0, 0.0, 4.0]).T
    straight = np.abs(a - 2 * b + c) < 1e-12
    assert (straight == lines).all()
    slope, intercept = ((c - a) / 8)[lines], b[lines]
    for values in (slope, intercept):
        assert values.min() < -2.98 and values.max() > 2.98 and np.abs(values).max() <= 3
        assert abs(values.mean()) < 5 * np.sqrt(3) / np.sqrt(lines.sum())
    task = sampler.sample(0, range(4000))
    noise = np.concatenate(
        [y[..., 0] - sampler.curves(0, range(4000), x[..., 0]) for x, y in task], axis=1
    )
    assert abs(noise.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * noise.size)
    assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(noise.size)
    # Support and query noise, and that of neighbours, are unrelated.
    correlation = np.corrcoef(noise.T) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_random_fourier_functions_have_the_covariance_of_a_gaussian_process():
    x = np.array([0.0, 0.4, 1.0, 2.0, 6.0])
    sampler = FourierSampler(5, 5, 0, lengthscale=(0.8, 0.8), amplitude=1.5)
    f = sampler.curves(0, range(20_000), x)
    expected = 1.5**2 * np.exp(-((x[:, None] - x) ** 2) / (2 * 0.8**2))
    # The deviation of a mean of products of such numbers is at most √(2 + 1/M) · 1.5² / √n.
    bound = 5 * np.sqrt(2 + 3 / 32) * 1.5**2 / np.sqrt(20_000)
    assert np.abs(f.T @ f / 20_000 - expected).max() < bound
    assert np.abs(f.mean(axis=0)).max() < 5 * 1.5 / np.sqrt(20_000)


def test_lengthscales_fill_their_range():
    near = lambda **o: FourierSampler(5, 5, 0, **o).curves(0, range(3000), [0.0, 0.1])
    rough = np.abs(np.diff(near(lengthscale=(0.1, 0.1)))).mean()
    smooth = np.abs(np.diff(near(lengthscale=(2.0, 2.0)))).mean()
    both = np.abs(np.diff(near(lengthscale=(0.1, 2.0)))).mean()
    assert smooth < 0.1 * rough and smooth < both < rough


@pytest.mark.parametrize(
    "options", [{"terms": 0}, {"lengthscale": (0.0, 1.0)}, {"lengthscale": (2.0, 1.0)},
                {"amplitude": 0.0}, {"amplitude": float("nan")}]
)  # fmt: skip
def test_fourier_functions_that_make_no_sense(options):
    with raises_data_error(next(iter(options)), "expected"):
        FourierSampler(5, 5, 0, **options)


@pytest.mark.parametrize("make", [SinusoidSampler, SinusoidLineSampler, FourierSampler])
def test_numbers_that_make_no_sense(make):
    with raises_data_error("shots=0", "at least 1"):
        make(0, 5, 0)
    with raises_data_error("noise=-1", "0 or more"):
        make(5, 5, 0, noise=-1)


# Images.

RNG = np.random.default_rng(0)
BYTES = RNG.permutation(3 * 4 * 5 * 4 % 256 + np.arange(9 * 3 * 5 * 4) % 256).astype(np.uint8)
IMAGES = ImageDataset(
    "pictures",
    BYTES.reshape(9, 3, 5, 4),
    ("a", "b", "c"),
    np.array([2, 3, 4]),
    Preprocess(5, 3, "keep"),
)


def test_pixels_are_those_of_one_image():
    sampler = CompletionSampler(IMAGES, ("c", "a"), 6, 14, seed=0)
    images = sampler.images(2, range(300))
    task = sampler.sample(2, range(300))
    for x, y in task:
        row, column = np.rint(x[..., 0] * 4).astype(int), np.rint(x[..., 1] * 3).astype(int)
        np.testing.assert_allclose(x[..., 0], row / 4, atol=1e-7)
        expected = IMAGES.images[images[:, None], :, row, column] / np.float32(255)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert y.shape[2] == 3 and y.dtype == x.dtype == np.float32
    # All of the image is in the two sets, and all images of the classes are drawn, evenly.
    assert set(images) == {0, 1, 5, 6, 7, 8}
    counts = np.bincount(images)[[0, 1, 5, 6, 7, 8]]
    assert np.abs(counts - 50).max() < 5 * np.sqrt(50)
    places = np.concatenate([x for x, _ in task], axis=1)[0]
    assert len({tuple(place) for place in places.tolist()}) == 20


def test_pixels_are_drawn_evenly():
    x, _ = CompletionSampler(IMAGES, ("a",), 2, 1, seed=0).sample(0, range(4000)).support
    places = np.rint(x[..., 0] * 4) * 4 + np.rint(x[..., 1] * 3)
    counts = np.bincount(places.astype(int).ravel(), minlength=20)
    assert np.abs(counts - 400).max() < 5 * np.sqrt(400)


def test_images_that_cannot_be_completed():
    with raises_data_error("shots=15", "queries=6", "20 pixels"):
        CompletionSampler(IMAGES, ("a",), 15, 6, 0)
    with raises_data_error("no class 'z'"):
        CompletionSampler(IMAGES, ("z",), 5, 5, 0)
    with raises_data_error("no test classes"):
        CompletionSampler(IMAGES, (), 5, 5, 0, "test")
