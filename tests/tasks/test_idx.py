"""Fashion-MNIST from idx files, and scikit-learn's digits."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from metalearn.tasks import EpisodeSampler, Preprocess, load_digits, load_fashion_mnist, read_idx
from metalearn.tasks.idx import DEBIAN

from .helpers import raises_data_error

RNG = np.random.default_rng(0)
PIXELS = {"train": RNG.integers(0, 256, (30, 28, 28)), "t10k": RNG.integers(0, 256, (20, 28, 28))}
LABELS = {"train": np.arange(30) % 10, "t10k": np.arange(20)[::-1] % 10}


def idx(array, kind=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def fashion(folder: Path, pack=gzip.compress, suffix=".gz", sub=""):
    (folder / sub).mkdir(parents=True, exist_ok=True)
    for half in PIXELS:
        (folder / sub / f"{half}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(PIXELS[half])))
        (folder / sub / f"{half}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS[half])))
    return folder


@pytest.mark.parametrize("options", [{}, dict(pack=bytes, suffix=""), dict(sub="FashionMNIST/raw")])
def test_both_halves_sorted_by_class(tmp_path, options):
    dataset = load_fashion_mnist(fashion(tmp_path, **options))
    assert dataset.images.shape == (50, 1, 28, 28) and dataset.images.dtype == np.uint8
    assert dataset.counts.tolist() == [5] * 10 and len(dataset.classes) == 10
    assert dataset.classes[0] == "T-shirt/top" and dataset.classes[9] == "Ankle boot"
    of_three = [PIXELS["train"][i] for i in (3, 13, 23)] + [PIXELS["t10k"][i] for i in (6, 16)]
    np.testing.assert_array_equal(dataset.images[15:20, 0], of_three)
    assert EpisodeSampler(dataset, dataset.classes, 5, 1, 4, 0).sample(0, [0]).query[0].size


def test_another_size_is_cached(tmp_path, cache):
    fashion(tmp_path / "data")
    told = []
    load = lambda: load_fashion_mnist(
        tmp_path / "data", size=14, progress=lambda *a: told.append(a)
    )
    first = load()
    assert first.images.shape == (50, 1, 14, 14) and told[-1] == ("reading Fashion-MNIST", 50, 50)
    assert first.preprocess == Preprocess(14, 1, "light")
    told.clear()
    assert load().digest == first.digest and not told


def test_missing_files_say_where_to_get_them(tmp_path):
    with raises_data_error(tmp_path, "train-images", "dataset-fashion-mnist", "--data"):
        load_fashion_mnist(tmp_path)


def test_the_real_one_where_debian_has_it():
    if not DEBIAN.is_dir():
        pytest.skip(f"no Fashion-MNIST at {DEBIAN}; apt install dataset-fashion-mnist")
    assert load_fashion_mnist().counts.tolist() == [7000] * 10


@pytest.mark.parametrize(
    "data,fragments",
    [
        (b"", ["nothing", "00 00 08"]),
        (b"\0\0\x0d\1" + bytes(8), ["00 00 0d 01"]),  # floats
        (b"\0\0\x08\0", ["00 00 08 00"]),
        (b"\0\0\x08\x03\0\0\0\1\0\0", ["cut off"]),
        (idx(np.zeros((2, 3, 3)))[:-1], ["2×3×3", "18 bytes", "17 follow"]),
        (idx(np.zeros((2, 3, 3))) + b"x", ["19 follow"]),
        (struct.pack(">HBB4I", 0, 8, 4, *[2**32 - 1] * 4), ["cut off"]),  # no overflow
        (gzip.compress(idx(np.zeros(9)), mtime=0)[:-9], ["cannot be unpacked"]),
        (gzip.compress(b"", mtime=0) + b"junk", ["cannot be unpacked"]),
    ],
)
def test_damaged_idx_files(tmp_path, data, fragments):
    (tmp_path / "file").write_bytes(data)
    with raises_data_error(tmp_path / "file", *fragments):
        read_idx(tmp_path / "file")


def test_an_idx_file_that_is_not_there(tmp_path):
    with raises_data_error(tmp_path / "none", "cannot be read"):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize(
    "name,array,fragments",
    [
        ("t10k-labels-idx1-ubyte.gz", np.zeros(19), ["19 labels for 20 images"]),
        ("t10k-labels-idx1-ubyte.gz", np.full(20, 10), ["a label 10", "0 to 9"]),
        ("train-images-idx3-ubyte.gz", np.zeros((30, 8, 8)), ["30×8×8", "28×28"]),
    ],
)
def test_files_that_do_not_fit(tmp_path, name, array, fragments):
    fashion(tmp_path)
    (tmp_path / name).write_bytes(gzip.compress(idx(array)))
    with raises_data_error(tmp_path / name, *fragments):
        load_fashion_mnist(tmp_path)


def test_digits():
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    dataset = load_digits(size=8)
    assert dataset.classes == tuple("0123456789") and dataset.counts.sum() == 1797
    assert dataset.images.shape == (1797, 1, 8, 8) and dataset.images.max() == 255
    larger = load_digits()
    assert larger.images.shape == (1797, 1, 28, 28)
    # A 0 has a hole in its middle, a 1 has none.
    centre = lambda name: larger.of_class(name)[:, 0, 12:16, 12:16].mean()
    assert centre("0") < 0.2 < 0.6 < centre("1")


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with raises_data_error("scikit-learn", "pip install"):
        load_digits()
