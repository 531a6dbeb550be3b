"""mini-ImageNet and CIFAR-FS in the layouts that go around, each with its split."""

import numpy as np
import pytest

from metalearn.tasks import (
    EpisodeSampler,
    load_cifar_fs,
    load_mini_imagenet,
    load_split_folders,
    published,
)

from .helpers import png, raises_data_error, write_files, write_zip

SIZES = {"train": 3, "validation": 2, "test": 2}
SHORT = {"train": "train", "validation": "val", "test": "test"}
CLASSES = {"train": ["c0", "c3", "c5"], "validation": ["c1", "c4"], "test": ["c2", "c6"]}
IMAGES = 4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let the readers expect a few classes."""
    monkeypatch.setattr(published, "CLASSES", SIZES)
    monkeypatch.setattr(published, "IMAGES", IMAGES)


def pixels(name, number):
    """A 6×6 RGB image, of one colour by class and number."""
    return np.full((6, 6, 3), [20 * int(name[1:]), 10 * number, 7], np.uint8)


def image(name, number):
    return png(pixels(name, number))


def everything():
    return [(part, name, i) for part in CLASSES for name in CLASSES[part] for i in range(IMAGES)]


def folders(prefix=""):
    return {f"{prefix}{SHORT[p]}/{c}/{c}_{i}.png": image(c, i) for p, c, i in everything()}


def csv_lists():
    files = {f"images/{c}{i}.png": image(c, i) for _, c, i in everything()}
    for part in CLASSES:
        rows = [f"{c}{i}.png,{c}" for p, c, i in everything() if p == part]
        files[f"{SHORT[part]}.csv"] = "\n".join(["filename,label", *rows, ""]).encode()
    return files


def class_lists():
    files = {f"cifar100/data/{c}/{i}.png": image(c, i) for _, c, i in everything()}
    for part, names in CLASSES.items():
        list_of = f"cifar100/splits/bertinetto/{SHORT[part]}.txt"
        files[list_of] = "\n".join([*names, ""]).encode()
    return files


def write_npz(folder):
    folder.mkdir()
    for part, names in CLASSES.items():
        every = [(c, i) for c in names for i in range(IMAGES)]
        x = np.stack([pixels(*which) for which in every])
        file = folder / f"mini-imagenet-cache-{SHORT[part]}.npz"
        np.savez(file, x=x, y=[c for c, _ in every])
    return folder


def check(found, version):
    dataset, split = found
    assert dataset.classes == tuple(sorted(c for names in CLASSES.values() for c in names))
    assert dataset.counts.tolist() == [IMAGES] * 7
    assert {part: list(getattr(split, part)) for part in CLASSES} == CLASSES
    assert split.version == version
    for i, name in enumerate(dataset.classes):
        of_class = dataset.images[4 * i : 4 * i + 4, :, 2, 2]
        expected = [pixels(name, k)[0, 0] for k in range(IMAGES)]
        np.testing.assert_array_equal(of_class, expected)
    assert EpisodeSampler(dataset, split.train, 3, 1, 1, 0).sample(0, [0]).support[0].size


LAYOUTS = [
    (load_mini_imagenet, csv_lists, "mini-imagenet-ravi-1"),
    (load_mini_imagenet, folders, "mini-imagenet-ravi-1"),
    (load_cifar_fs, class_lists, "cifar-fs-bertinetto-1"),
    (load_cifar_fs, lambda: folders("CIFAR-FS/meta-"), "cifar-fs-bertinetto-1"),
    (load_cifar_fs, folders, "cifar-fs-bertinetto-1"),
    (load_split_folders, folders, "folders-1"),
]


@pytest.mark.parametrize("load,files,version", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_layouts(tmp_path, load, files, version, packed):
    write = write_zip if packed else write_files
    path = write(tmp_path / ("data.zip" if packed else "data"), files())
    check(load(path, size=5), version)


def test_arrays_of_each_part(tmp_path):
    check(load_mini_imagenet(write_npz(tmp_path / "data"), size=5), "mini-imagenet-ravi-1")


def test_all_layouts_give_the_same_data(tmp_path):
    one = load_mini_imagenet(write_npz(tmp_path / "npz"), size=6)
    others = [
        load(write_files(tmp_path / str(i), files()), size=6)
        for i, (load, files, _) in enumerate(LAYOUTS)
    ]
    assert {found.dataset.digest for found in others} == {one.dataset.digest}
    assert {found.split.hash for found in others} == {one.split.hash}


def test_the_second_read_decodes_nothing(tmp_path):
    path, told = write_files(tmp_path / "data", csv_lists()), []
    load = lambda: load_mini_imagenet(path, progress=lambda *a: told.append(a))
    first = load()
    assert first.dataset.images.shape[1:] == (3, 84, 84) and told[-1] == ("reading data", 28, 28)
    told.clear()
    assert load().dataset.digest == first.dataset.digest and not told


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "mini-imagenet-cache-train.pkl"
    path.write_bytes(b"\x80\x04cos\nsystem\n.")
    for given in (path, tmp_path):
        with raises_data_error(path, "a pickle", "not read", ".npz"):
            load_mini_imagenet(given)
    (tmp_path / "mini-imagenet-cache-train.pkl").rename(tmp_path / "x.pkl")
    with raises_data_error(tmp_path, "none of the known layouts"):
        load_mini_imagenet(tmp_path)


def without(files, *names):
    return {name: data for name, data in files.items() if name not in names}


@pytest.mark.parametrize(
    "load,files,fragments",
    [
        (load_mini_imagenet, {"a.txt": b""}, ["none of the known layouts", "train.csv"]),
        (load_cifar_fs, {"a.txt": b""}, ["none of the known layouts", "bertinetto"]),
        (load_split_folders, {"x/a.png": image("c0", 0)}, ["class folders", "train, val and test"]),
        (load_mini_imagenet, without(csv_lists(), "val.csv"), ["no validation classes"]),
        (load_mini_imagenet, without(csv_lists(), "images/c30.png"), ["train.csv line 6", "c30.p"]),
        (load_mini_imagenet, csv_lists() | {"val.csv": b"a,b\n"}, ["val.csv", "a, b", "filen"]),
        (load_mini_imagenet, csv_lists() | {"val.csv": b"filename,label\nx\n"}, ["line 2: 1 cell"]),
        (load_mini_imagenet, csv_lists() | {"val.csv": b'filename,label\n"x'}, ["not CSV"]),
        (load_mini_imagenet, csv_lists() | {"val.csv": b"\xff\xfe"}, ["val.csv is not text"]),
        (load_cifar_fs, class_lists() | {"cifar100/splits/bertinetto/val.txt": b"c9\n"}, ["'c9'"]),
        (load_mini_imagenet, without(csv_lists() | {"test.csv": b"filename,label\nc20.png,c2\n"}),
         ["3 train, 2 validation, 1 test", "of 1 to 4 images", "load_split_folders"]),
        (load_mini_imagenet, folders() | {"val/c0/x.png": image("c0", 0)}, ["'c0' is in two"]),
        (load_split_folders, folders() | {"val/c1/x.png": b"no image"}, ["val/c1/x.png", "image"]),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(tmp_path, load, files, fragments):
    path = write_files(tmp_path / "data", files)
    with raises_data_error(path, *fragments):
        load(path)


@pytest.mark.parametrize("load", [load_mini_imagenet, load_cifar_fs, load_split_folders])
def test_a_missing_folder(tmp_path, load):
    with raises_data_error(tmp_path / "none", "no such file or folder"):
        load(tmp_path / "none")


def test_arrays_of_another_kind(tmp_path):
    write_npz(tmp_path / "data")
    file = tmp_path / "data" / "mini-imagenet-cache-val.npz"
    np.savez(file, x=np.zeros((4, 6, 6), np.uint8), y=[0, 0, 1, 1])
    with raises_data_error(file, "grey", "RGB"):
        load_mini_imagenet(tmp_path / "data")
    np.savez(file, x=np.zeros((4, 6)), y=[0, 0, 1, 1])
    with raises_data_error(file, "no images", "uint8"):
        load_mini_imagenet(tmp_path / "data")
