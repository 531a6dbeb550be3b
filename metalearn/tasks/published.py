"""mini-ImageNet, CIFAR-FS, and any dataset that comes with a split of its own.

- mini-ImageNet: Vinyals et al. 2016, "Matching networks for one shot learning", with the split of
  Ravi & Larochelle 2017, "Optimization as a model for few-shot learning"; 84×84 RGB.
- CIFAR-FS: Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers"; 32×32
  RGB.

Both have 64 classes for training, 16 for validation and 20 for test, 600 images each. Nothing is
downloaded: these read what a user has, in the layouts that go around, from a folder or a zip of it.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from metalearn.tasks.archives import Limits, Source, fingerprint, open_source
from metalearn.tasks.arrays import from_arrays, read_npz
from metalearn.tasks.cache import Arrays, cached
from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.download import Progress
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import SUFFIXES, Preprocess, read_image, resized
from metalearn.tasks.splits import Split

PARTS = ("train", "validation", "test")
LIMITS = Limits(file=1 << 26, total=1 << 35)
CLASSES = {"train": 64, "validation": 16, "test": 20}
IMAGES = 600  # of a class
# What the parts are called in file names.
PART_OF = {"train": "train", "val": "validation", "valid": "validation"}
PART_OF |= {"validation": "validation", "test": "test"}
_PART = r"(?:^|/)(?:meta[-_])?(train|val|valid|validation|test)"

Layout = dict[str, dict[str, list[str]]]  # part → class → its files


class SplitDataset(NamedTuple):
    """A dataset with the split that it was published with."""

    dataset: ImageDataset
    split: Split


def load_mini_imagenet(
    path: str | Path,
    *,
    size: int = 84,
    cache: bool = True,
    progress: Progress | None = None,
) -> SplitDataset:
    """mini-ImageNet, 60,000 images (3, size, size), with the split of Ravi & Larochelle.

    `path` is a folder, or a zip of it, in one of the layouts that go around:

    - the lists train.csv, val.csv and test.csv, with columns filename and label, and the folder
      images with all images;
    - class folders in the folders train, val and test;
    - mini-imagenet-cache-train.npz, -val.npz and -test.npz (a folder only), with arrays x
      (n, 84, 84, 3) uint8 and y (n,), the classes' names.

    The pickles mini-imagenet-cache-train.pkl and so on are not read: a pickle runs whatever code it
    holds. If you trust yours, turn each into an .npz yourself, once:

        d = pickle.load(open("mini-imagenet-cache-train.pkl", "rb"))
        y = np.empty(len(d["image_data"]), "U64")
        for name, rows in d["class_dict"].items(): y[rows] = name
        np.savez("mini-imagenet-cache-train.npz", x=d["image_data"], y=y)

    Images are stretched to squares. The decoded images are cached until a file changes.
    Raises `DataError` when something is missing, damaged or not mini-ImageNet.
    """
    path = Path(path)
    _refuse_pickles(path)
    preprocess = Preprocess(size, 3, "keep")
    files = _part_files(path)
    if files:
        build = lambda: _read_parts(files, preprocess)
    else:
        build = lambda: _read(path, (_csv_lists, _part_folders), preprocess, progress, _LAYOUTS)
    found = _loaded("mini-imagenet", path, preprocess, build, cache)
    return _checked(path, found, "mini-imagenet-ravi-1")


def load_cifar_fs(
    path: str | Path,
    *,
    size: int = 32,
    cache: bool = True,
    progress: Progress | None = None,
) -> SplitDataset:
    """CIFAR-FS, 60,000 images (3, size, size), with the split of Bertinetto et al.

    `path` is a folder, or a zip of it, in one of the layouts that go around:

    - the authors': cifar100/data/apple/….png and so on, and the lists of classes
      cifar100/splits/bertinetto/train.txt, val.txt and test.txt;
    - class folders in the folders meta-train, meta-val and meta-test, or train, val and test.

    The decoded images are cached until a file changes.
    Raises `DataError` when something is missing, damaged or not CIFAR-FS.
    """
    path, preprocess = Path(path), Preprocess(size, 3, "keep")
    layouts = (_class_lists, _part_folders)
    expected = "cifar100/data and cifar100/splits/bertinetto, or class folders in meta-train, …"
    build = lambda: _read(path, layouts, preprocess, progress, expected)
    found = _loaded("cifar-fs", path, preprocess, build, cache)
    return _checked(path, found, "cifar-fs-bertinetto-1")


def load_split_folders(
    path: str | Path,
    size: int = 84,
    *,
    channels: int = 3,
    ink: str | None = None,
    cache: bool = True,
    progress: Progress | None = None,
) -> SplitDataset:
    """Any images in class folders in the folders train, val and test (also meta-train, …), with
    that split; `path` is the folder around them, or a zip of it.

    `channels` and `ink` are explained at `Preprocess`; `ink` is "auto" for grey and "keep" for RGB
    images when not given. Raises `DataError` for a missing part, or an image that cannot be read.
    """
    path = Path(path)
    preprocess = Preprocess(size, channels, ink or ("auto" if channels == 1 else "keep"))
    expected = "class folders in the folders train, val and test"
    build = lambda: _read(path, (_part_folders,), preprocess, progress, expected)
    found = _loaded(path.stem, path, preprocess, build, cache)
    return _with_split(found, "folders-1")


# What is in the files -------------------------------------------------------------------------


_LAYOUTS = (
    "train.csv, val.csv and test.csv beside the folder images, class folders in train, val and "
    "test, or mini-imagenet-cache-train.npz and so on"
)


def _csv_lists(source: Source, where: Path) -> Layout | None:
    """The lists of Ravi & Larochelle, and images by their names."""
    lists = _named(source.names, _PART + r"\.csv$")
    images = {
        PurePosixPath(n).name: n for n in source.names if re.search(r"(?:^|/)images/[^/]+$", n)
    }
    if not lists or not images:
        return None
    layout: Layout = {}
    for part, name in lists.items():
        layout[part] = {}
        for line, (file, label) in _rows(source, name, where):
            if file not in images:
                raise DataError(
                    f"{where}: {name} line {line}: no image {file!r} in the folder images; "
                    "expected all that the lists name"
                )
            layout[part].setdefault(label, []).append(images[file])
    return layout


def _rows(source: Source, name: str, where: Path) -> Iterable[tuple[int, tuple[str, str]]]:
    lines = _text(source, name, where).splitlines()
    reader = csv.reader(lines, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if not {"filename", "label"} <= set(header):
            raise DataError(
                f"{where}: {name} has the columns {', '.join(header) or 'none'}; expected filename "
                "and label"
            )
        file, label = header.index("filename"), header.index("label")
        for row in reader:
            if row and len(row) != len(header):
                raise DataError(
                    f"{where}: {name} line {reader.line_num}: {len(row)} cells; expected "
                    f"{len(header)}"
                )
            if row:
                yield reader.line_num, (row[file].strip(), row[label].strip())
    except csv.Error as error:
        raise DataError(f"{where}: {name} line {reader.line_num}: not CSV ({error})") from error


def _class_lists(source: Source, where: Path) -> Layout | None:
    """Lists of classes, and folders of them, as the authors of CIFAR-FS publish it."""
    lists = _named(source.names, r"(?:^|/)splits/bertinetto/(train|val|test)\.txt$")
    folders = _folders(source.names, r"(?:^|/)data/([^/]+)/[^/]+$")
    if not lists or not folders:
        return None
    layout: Layout = {}
    for part, name in lists.items():
        classes = [line.strip() for line in _text(source, name, where).splitlines()]
        layout[part] = {c: folders.get(c, []) for c in classes if c}
        missing = [c for c, files in layout[part].items() if not files]
        if missing:
            raise DataError(
                f"{where}: {name} names the class {missing[0]!r}, but the folder data/{missing[0]} "
                "holds no images; expected all that the lists name"
            )
    return layout


def _part_folders(source: Source, where: Path) -> Layout | None:
    """Class folders in a folder for each part."""
    del where
    layout: Layout = {}
    for name in _images(source.names):
        match = re.search(_PART + r"/([^/]+)/[^/]+$", name)
        if match:
            classes = layout.setdefault(PART_OF[match[1]], {})
            classes.setdefault(match[2], []).append(name)
    return layout or None


def _images(names: Iterable[str]) -> list[str]:
    return [
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in SUFFIXES and not name.startswith("__MACOSX/")
    ]


def _folders(names: Iterable[str], pattern: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in _images(names):
        match = re.search(pattern, name)
        if match:
            found.setdefault(match[1], []).append(name)
    return found


def _named(names: Iterable[str], pattern: str) -> dict[str, str]:
    """File names by the part that the pattern finds in them."""
    matches = ((re.search(pattern, name), name) for name in names)
    return {PART_OF[match[1]]: name for match, name in matches if match}


def _text(source: Source, name: str, where: Path) -> str:
    try:
        return source.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: {name} is not text ({error.reason}); download it again"
        ) from error


# Reading it -----------------------------------------------------------------------------------


def _read(
    path: Path, layouts: tuple, preprocess: Preprocess, progress: Progress | None, expected: str
) -> Arrays:
    with open_source(path, LIMITS) as source:
        found = (layout(source, path) for layout in layouts)
        layout = next((x for x in found if x is not None), None)
        if layout is None:
            raise DataError(f"{path}: none of the known layouts; expected {expected}")
        missing = [part for part in PARTS if not layout.get(part)]
        if missing:
            raise DataError(f"{path}: no {missing[0]} classes; expected {expected}")
        classes = [(c, part, sorted(layout[part][c])) for part in PARTS for c in layout[part]]
        classes.sort()
        files = [file for _, _, found in classes for file in found]
        side = preprocess.size
        images = np.empty((len(files), preprocess.channels, side, side), np.uint8)
        for i, file in enumerate(files):
            images[i] = read_image(source.read(file), f"{path}: {file}", preprocess)
            if progress is not None and ((i + 1) % 100 == 0 or i + 1 == len(files)):
                progress(f"reading {path.name}", i + 1, len(files))
    counts = [len(found) for _, _, found in classes]
    return _arrays(images, [c for c, _, _ in classes], counts, [part for _, part, _ in classes])


def _arrays(
    images: np.ndarray, classes: list[str], counts: list[int] | np.ndarray, parts: list[str]
) -> Arrays:
    return {
        "images": images,
        "classes": np.array(classes),
        "counts": np.array(counts, np.int64),
        "parts": np.array(parts),
    }


def _part_files(path: Path) -> Mapping[str, Path]:
    """The .npz file of each part in a folder, or none at all."""
    if not path.is_dir():
        return {}
    names = sorted(file.name for file in path.glob("*.npz"))
    found = _named(names, r"(?:^|[-_])(train|val|test)\.npz$")
    return {part: path / found[part] for part in PARTS} if found.keys() == {*PARTS} else {}


def _read_parts(files: Mapping[str, Path], preprocess: Preprocess) -> Arrays:
    found: list[tuple[str, str, np.ndarray]] = []  # class, part, images
    for part, file in files.items():
        data = from_arrays(*read_npz(file), str(file))
        if not isinstance(data, ImageDataset) or data.images.dtype != np.uint8:
            raise DataError(
                f"{file}: x holds no images; expected (n, side, side, 3) of uint8, and y their "
                "classes' names"
            )
        if data.images.shape[1] != preprocess.channels:
            raise DataError(f"{file}: x holds grey images; expected RGB, (n, side, side, 3)")
        images = np.split(resized(data.images, preprocess), data.starts[1:])
        found += [(name, part, its) for name, its in zip(data.classes, images, strict=True)]
    found.sort(key=lambda each: each[:2])
    classes, parts, each = zip(*found, strict=True)
    return _arrays(np.concatenate(each), list(classes), [len(its) for its in each], list(parts))


def _refuse_pickles(path: Path) -> None:
    pickles = [path] if path.suffix == ".pkl" else sorted(path.glob("mini*cache*.pkl"))
    if pickles and not _part_files(path):
        raise DataError(
            f"{pickles[0]}: a pickle, which runs whatever code it holds and is not read; if you "
            "trust it, save its arrays as .npz yourself (the four lines to do it are in "
            "help(metalearn.tasks.load_mini_imagenet)), or give the class folders"
        )


class _Found(NamedTuple):
    dataset: ImageDataset
    parts: dict[str, str]  # of each class


def _loaded(
    name: str, path: Path, preprocess: Preprocess, build: Callable[[], Arrays], cache: bool
) -> _Found:
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; expected {name}, a folder or a zip")
    key = [fingerprint(path), preprocess.to_dict()]
    arrays = cached(name, key, build) if cache else build()
    classes = tuple(arrays["classes"].tolist())
    twice = [c for c, times in Counter(classes).items() if times > 1]
    if twice:
        raise DataError(f"{path}: the class {twice[0]!r} is in two parts; expected it in one")
    dataset = ImageDataset(name, arrays["images"], classes, arrays["counts"], preprocess)
    return _Found(dataset, dict(zip(classes, arrays["parts"].tolist(), strict=True)))


def _with_split(found: _Found, version: str) -> SplitDataset:
    of = lambda part: tuple(c for c, its in found.parts.items() if its == part)
    split = Split(of("train"), of("validation"), of("test"), version)
    return SplitDataset(found.dataset, split)


def _checked(path: Path, found: _Found, version: str) -> SplitDataset:
    """With its split, if it is all there."""
    whole = _with_split(found, version)
    classes = {part: len(getattr(whole.split, part)) for part in PARTS}
    fewest, most = int(found.dataset.counts.min()), int(found.dataset.counts.max())
    if classes != CLASSES or (fewest, most) != (IMAGES, IMAGES):
        say = lambda numbers: ", ".join(f"{n} {part}" for part, n in numbers.items())
        raise DataError(
            f"{path}: {say(classes)} classes of {fewest} to {most} images; expected "
            f"{say(CLASSES)} classes of {IMAGES}: give the data set as published, or read a part "
            "of it with load_split_folders"
        )
    return whole
