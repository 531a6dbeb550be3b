"""Datasets from arrays, and arrays that are no images."""

import numpy as np
import pytest

from metalearn.tasks import (
    ArrayDataset,
    EpisodeSampler,
    ImageDataset,
    Preprocess,
    from_arrays,
    load_arrays,
)
from metalearn.tasks.arrays import read_npy

from .helpers import raises_data_error

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 3, 8, 8)).astype(np.uint8)
LABELS = ["b", "a", "b", "a", "a", "c"]


def test_rows_are_sorted_by_class_and_within_it_as_given():
    x = np.arange(12.0).reshape(6, 2)
    dataset = from_arrays(x, LABELS, "mine")
    assert isinstance(dataset, ArrayDataset) and dataset.name == "mine"
    assert dataset.classes == ("a", "b", "c") and dataset.counts.tolist() == [3, 2, 1]
    assert dataset.examples[:, 0].tolist() == [2, 6, 8, 0, 4, 10]
    assert dataset.examples.dtype == np.float32
    assert dataset.of_class("b").tolist() == [[0, 1], [4, 5]]


def test_whole_numbers_keep_their_order_and_name_classes():
    dataset = from_arrays(np.zeros((3, 1)), [10, 9, 10])
    assert dataset.classes == ("9", "10") and dataset.counts.tolist() == [1, 2]


@pytest.mark.parametrize(
    "x,shape",
    [
        (BYTES, (3, 8, 8)),
        (BYTES.transpose(0, 2, 3, 1), (3, 8, 8)),  # channels last
        (BYTES[:, 0], (1, 8, 8)),
        (BYTES[:, 0] > 99, (1, 8, 8)),
        (BYTES / 255, (3, 8, 8)),
    ],
)
def test_square_images(x, shape):
    dataset = from_arrays(x, LABELS, ink="keep", rotations=(0, 90))
    assert isinstance(dataset, ImageDataset) and dataset.images.shape == (6, *shape)
    assert dataset.preprocess == Preprocess(8, shape[0], "keep")
    assert dataset.rotations == (0, 90) and dataset.images.dtype in (np.uint8, np.float32)
    first = BYTES[1, : shape[0]] if x.dtype != bool else (BYTES[1, :1] > 99) * 255
    np.testing.assert_allclose(dataset.of_class("a")[0], first / np.float32(255), rtol=1e-6)


# Ink.


def drawn(paper=30, ink=230, strokes=0.2):
    """Six grey drawings, (6, 8, 8) uint8."""
    return np.where(np.random.default_rng(1).random((6, 8, 8)) < strokes, ink, paper).astype("u1")


@pytest.mark.parametrize("of", [lambda x: x, lambda x: x / 255, lambda x: x > 127])
def test_dark_ink_becomes_bright(of):
    bright, dark = of(drawn()), of(255 - drawn())
    expected = from_arrays(bright, LABELS)
    found = from_arrays(dark, LABELS)
    assert expected.preprocess == Preprocess(8, 1, "light")
    assert found.preprocess == Preprocess(8, 1, "dark")
    np.testing.assert_allclose(found.images, expected.images, atol=1e-7)
    assert found.images.dtype == expected.images.dtype
    kept = from_arrays(dark, LABELS, ink="keep")
    assert kept.digest == from_arrays(dark, LABELS, ink="light").digest != found.digest
    assert from_arrays(dark, LABELS, ink="dark").digest == found.digest


def test_all_images_have_the_ink_of_most():
    """A shirt that fills its image is no dark ink among clothes that do not."""
    x = drawn(0, 255)
    x[0] = 255 - x[0]
    dataset = from_arrays(x, [0] * 6)
    assert dataset.preprocess.ink == "light"
    np.testing.assert_array_equal(dataset.images[:, 0], x)


def test_each_image_by_itself():
    x = drawn(30, 230)
    mixed = np.concatenate([x[:3], 255 - x[3:]])
    for of, strongest in ((lambda x: x, 255), (lambda x: (x / 255).astype("f4"), 1)):
        images = from_arrays(of(mixed), [0] * 6, ink="auto").images[:, 0]
        np.testing.assert_array_equal(images[:3], of(x[:3]))
        np.testing.assert_array_equal(images[3:] == strongest, x[3:] == 230)
        np.testing.assert_array_equal(images[3:] == 0, x[3:] == 30)
        again = from_arrays(images, [0] * 6, ink="auto").images[:, 0]
        np.testing.assert_array_equal(again, images)


def test_ink_is_of_grey_images():
    with raises_data_error("ink='dark'", "grey", "(6, 3, 8, 8)", "leave it out"):
        from_arrays(BYTES, LABELS, ink="dark")
    with raises_data_error("ink='dark'", "grey"):
        from_arrays(np.zeros((6, 5)), LABELS, ink="dark")
    with raises_data_error("ink='red'", "auto, dark, light, keep"):
        from_arrays(BYTES, LABELS, ink="red")
    assert from_arrays(BYTES, LABELS).preprocess.ink == "keep"


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 4, 8), (6, 7, 4), (6, 2, 3, 4, 5)])
def test_other_shapes_are_plain_numbers(shape):
    dataset = from_arrays(RNG.normal(size=shape), LABELS)
    assert isinstance(dataset, ArrayDataset) and dataset.example_shape == shape[1:]
    task = EpisodeSampler(dataset, ("a", "b"), 2, 1, 1, seed=0).sample(0, [0, 1, 2])
    assert task.support[0].shape == (3, 2, *shape[1:]) and task.support[0].dtype == np.float32


def test_rows_standardised_by_training_classes_alone():
    x = np.array([[0.0, 5], [2, 5], [100, 5], [50, 5], [50, 7], [0, 0]])
    dataset = from_arrays(x, ["a", "a", "b", "b", "c", "c"])
    scaled = dataset.standardised(("a", "c"))
    some = scaled.examples[[0, 1, 4, 5]]
    np.testing.assert_allclose(some.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(some.std(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(
        scaled.examples * scaled.scale + scaled.offset, dataset.examples, atol=1e-5
    )
    assert scaled.record["scale"] == scaled.scale.tolist() and dataset.record["scale"] is None
    constant = dataset.standardised(("b",)).examples
    assert constant[2:4, 1].tolist() == [0, 0] and np.isfinite(constant).all()
    with raises_data_error("standardised already"):
        scaled.standardised(("a",))


def test_npz_files(tmp_path):
    np.savez(tmp_path / "mine.npz", x=BYTES, y=LABELS)
    dataset = load_arrays(tmp_path / "mine.npz")
    assert dataset.name == "mine" and dataset.digest == from_arrays(BYTES, LABELS).digest


@pytest.mark.parametrize(
    "x,y,fragments",
    [
        (np.zeros(3), [0, 0, 1], ["one row an example", "(3,)"]),
        (np.zeros((3, 2)), [0, 1], ["a label for each of the 3 rows", "(2,)"]),
        (np.zeros((3, 2)), [0.5, 1, 2], ["y is of float64", "integers or strings"]),
        (np.zeros((2, 2)), [object(), object()], ["y is of object"]),
        ([[0, 1], [2]], [0, 1], ["not an array", "rows of one shape"]),
        (np.array([[0, np.nan], [0, 0]]), [1, 0], ["example 1", "not finite"]),
        (np.full((2, 4, 4), 16.0), [0, 1], ["from 16 to 16", "[0, 1]", "reshape"]),
        (np.zeros((2, 4, 4), int), [0, 1], ["images of int64", "uint8"]),
    ],
)
def test_arrays_that_cannot_be_used(x, y, fragments):
    with raises_data_error("mine", *fragments):
        from_arrays(x, y, "mine")


def test_rows_cannot_be_turned():
    with raises_data_error("rotations=(0, 90)", "square images"):
        from_arrays(np.zeros((2, 3)), [0, 1], rotations=(0, 90))


def test_npz_files_that_cannot_be_used(tmp_path):
    path = tmp_path / "mine.npz"
    with raises_data_error(path, "no such file", "np.savez(file, x=x, y=y)"):
        load_arrays(path)
    with raises_data_error(tmp_path / "x.npy", "no such file", "np.save(file, x)"):
        read_npy(tmp_path / "x.npy")
    path.write_bytes(b"PK\3\4 not a zip")
    with raises_data_error(path, "not a complete zip"):
        load_arrays(path)
    np.savez(path, x=BYTES)
    with raises_data_error(path, "no array 'y'", "np.savez"):
        load_arrays(path)
    np.savez(path, x=BYTES, y=np.array([{}] * 6, object), allow_pickle=True)
    with raises_data_error(path, "not of objects"):
        load_arrays(path)
    np.savez(path, x=BYTES, y=LABELS)
    data = bytearray(path.read_bytes())
    data[300] ^= 255
    path.write_bytes(data)
    with raises_data_error(path, "cannot be read"):
        load_arrays(path)
