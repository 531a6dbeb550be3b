"""The datasets that `metalearn` knows: their names, how each is read, and what its options are.

A dataset is named, is a file or a folder, or is a class of the user's own; several image datasets
joined by "+" are one with several domains, and NAME-completion is the images of a dataset to be
told from a few of their pixels.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metalearn.errors import OptionError
from metalearn.own import is_own, whole_name
from metalearn.tasks import (
    Dataset,
    ImageDataset,
    Preprocess,
    Progress,
    SplitDataset,
    load_arrays,
    load_cifar_fs,
    load_digits,
    load_fashion_mnist,
    load_folder,
    load_glyphs,
    load_mini_imagenet,
    load_omniglot,
)
from metalearn.tasks.folders import image_files
from metalearn.tasks.tables import csv_files

GLYPHS = {"classes": 1200, "samples": 20, "seed": 0}
COMPLETION = "-completion"
FUNCTIONS = ("sinusoid", "sinusoid-line", "fourier")

REGRESSION_KINDS = ("functions", "completion")
"""Those whose tasks always are regression; of others the data say."""
KINDS = {
    "functions": "functions of one number",
    "completion": "pixels of images",
    "table": "rows of a table",
    "arrays": "arrays of a file",
    "own": "tasks of one's own",
    "images": "images",
}


@dataclass(frozen=True)
class Images:
    """A dataset of images, by name.

    - `about`: for help texts; `read(preprocess, data, progress)`: reads it
    - `reads`: "nothing" (made here), "anywhere" (--data is optional) or "data" (it has to be given)
    - `channels`, `size`: of the images, as published; `ink`: whether --ink applies
    """

    about: str
    read: Callable[[Preprocess, str | None, Progress | None], Dataset | SplitDataset]
    reads: str = "anywhere"
    channels: int = 1
    size: int = 28
    ink: bool = False


def _folder(preprocess: Preprocess, data: str | None, progress: Progress | None) -> ImageDataset:
    size, channels, ink = preprocess.size, preprocess.channels, preprocess.ink
    return load_folder(str(data), size, channels=channels, ink=ink, progress=progress)


IMAGES: Mapping[str, Images] = {
    "glyphs": Images(
        "handwriting-like characters drawn here",
        lambda p, _data, _progress: load_glyphs(**GLYPHS, size=p.size),
        reads="nothing",
    ),
    "omniglot": Images(
        "handwritten characters of 50 alphabets, downloaded",
        lambda p, data, progress: load_omniglot(data, size=p.size, progress=progress),
    ),
    "fashion-mnist": Images(
        "clothes, from the idx files of Debian's dataset-fashion-mnist",
        lambda p, data, progress: load_fashion_mnist(data, size=p.size, progress=progress),
    ),
    "digits": Images(
        "scikit-learn's digits",
        lambda p, _data, _progress: load_digits(size=p.size),
        reads="nothing",
    ),
    "mini-imagenet": Images(
        "--data: its folder or zip",
        lambda p, data, progress: load_mini_imagenet(str(data), size=p.size, progress=progress),
        reads="data",
        channels=3,
        size=84,
    ),
    "cifar-fs": Images(
        "--data: its folder or zip",
        lambda p, data, progress: load_cifar_fs(str(data), size=p.size, progress=progress),
        reads="data",
        channels=3,
        size=32,
    ),
    "folder": Images("a folder with a folder of images for each class", _folder, ink=True),
}
NAMES = (*FUNCTIONS, *(name for name in IMAGES if name != "folder"))
"""What can be named; the rest are paths."""
WITH_FILES = [name for name, of in IMAGES.items() if name != "folder" and of.reads != "nothing"]
"""Those whose files lie somewhere."""


def kind_of(dataset: str) -> str:
    """One of `KINDS`, of a dataset as configurations name it."""
    if is_own(dataset):
        return "own"
    if dataset in ("table", "arrays"):
        return dataset
    if dataset in FUNCTIONS:
        return "functions"
    return "completion" if dataset.endswith(COMPLETION) else "images"


def parts_of(dataset: str) -> list[str]:
    """The image datasets that a name joins. Raises `OptionError` for one that is not known."""
    names = dataset.removesuffix(COMPLETION).split("+")
    for name in names:
        if name not in IMAGES:
            raise OptionError(f"dataset {name!r}: expected {', '.join(NAMES)}, {PATHS}")
    if len(set(names)) < len(names):
        raise OptionError(f"dataset {dataset!r}: expected each name once")
    return names


KINDS_OF_FILES = {".csv": "table", ".npz": "arrays"}
PATHS = (
    "or a .csv or .npz file that exists, a folder of images or of .csv files, or your own as "
    "file.py:Class"
)


def found(dataset: str, data: str | None) -> tuple[str, str | None]:
    """A dataset as it was given, and --data: its name in a configuration, and where it lies.

    Raises `OptionError` for what is neither a name nor a path, or data that are not wanted or
    missing.
    """
    if is_own(dataset):
        return _without(whole_name(dataset), data)
    if dataset in FUNCTIONS:
        return _without(dataset, data)
    path, suffix = Path(dataset), Path(dataset).suffix.lower()
    known = all(name in IMAGES for name in dataset.removesuffix(COMPLETION).split("+"))
    if known and dataset != "folder":
        return dataset, _data_of(dataset, data)
    if not path.exists():
        if suffix in KINDS_OF_FILES:
            raise OptionError(f"{dataset}: no such file; expected a {suffix} file that exists")
        parts_of(dataset)
    if data is not None:
        raise OptionError(
            f"dataset {dataset!r} and --data {data}: expected {', '.join(NAMES)} for the dataset, "
            "or a path without --data"
        )
    if not path.is_dir() and suffix not in KINDS_OF_FILES:
        raise OptionError(f"dataset {dataset!r}: expected {', '.join(NAMES)}, {PATHS}")
    return (_kind_of_folder(path) if path.is_dir() else KINDS_OF_FILES[suffix]), os.path.abspath(
        dataset
    )


def _kind_of_folder(folder: Path) -> str:
    """A table, where .csv files lie in it, each a task; but a folder of images where these lie in
    folders of their own, as classes: a .csv file beside them describes them."""
    if not csv_files(folder):
        return "folder"
    classes = any("/" in name for name in image_files(folder))
    return "folder" if classes else "table"


def _without(dataset: str, data: str | None) -> tuple[str, None]:
    if data is not None:
        raise OptionError(f"--data {data}: {dataset} is made here and reads no files")
    return dataset, None


def _data_of(dataset: str, data: str | None) -> str | None:
    """Where the data of named datasets lie: a path, or "name=path,name=path" of several."""
    names = parts_of(dataset)
    places = _places(names, data)
    for name in names:
        reads, place = IMAGES[name].reads, places.get(name)
        if reads == "nothing" and place is not None:
            raise OptionError(f"--data {place}: {name} is made here and reads no files")
        if reads == "data" and place is None:
            raise OptionError(f"dataset {name!r}: expected --data, its folder or zip")
    whole = {name: os.path.abspath(place) for name, place in places.items()}
    if len(names) == 1:
        return whole.get(names[0])
    return ",".join(f"{name}={place}" for name, place in whole.items()) or None


def _places(names: list[str], data: str | None) -> dict[str, str]:
    if data is None:
        return {}
    if len(names) == 1:
        return {names[0]: data}
    places = dict(part.partition("=")[::2] for part in data.split(","))
    wrong = [name for name, place in places.items() if name not in names or not place]
    if wrong:
        raise OptionError(
            f"--data {data}: expected {names[0]}=PATH,… with the names of the datasets"
        )
    return places


def read_images(
    dataset: str, data: str | None, preprocess: Preprocess, progress: Progress | None
) -> dict[str, Dataset | SplitDataset]:
    """The image datasets that a name joins, by name. Raises `DataError`."""
    names = parts_of(dataset)
    places = _places(names, data)
    return {name: IMAGES[name].read(preprocess, places.get(name), progress) for name in names}


def read_arrays(data: str, ink: str | None) -> Dataset:
    """The dataset in an .npz file; `ink` as of `from_arrays`. Raises `DataError`."""
    return load_arrays(data, ink=ink)


# Options --------------------------------------------------------------------------------------

CONVOLUTIONS_ONLY = {"filters", "pooling"}
PICTURES_ONLY = {"image_size", "channels", "ink"}
CLASSES_ONLY = {"ways", "train_ways", "fewest_ways", "most_shots"}
TABLES_ONLY = {"task_column", "target", "labels", "ignore"}

UNUSED: Mapping[str, set[str]] = {
    "functions": CLASSES_ONLY | PICTURES_ONLY | CONVOLUTIONS_ONLY | TABLES_ONLY | {"split"},
    "completion": CLASSES_ONLY | CONVOLUTIONS_ONLY | TABLES_ONLY,
    "table": (CLASSES_ONLY - {"ways"}) | PICTURES_ONLY | CONVOLUTIONS_ONLY,
    "arrays": (PICTURES_ONLY - {"ink"}) | TABLES_ONLY,
    "own": CLASSES_ONLY | PICTURES_ONLY | TABLES_ONLY | {"split"},
    "images": TABLES_ONLY,
}
"""Options that would have no effect, by the dataset's kind."""

# One measured setting for each kind; docs/decisions says how they were found.
_IMAGES: dict[str, Any] = {"iterations": 5000, "minutes": 20.0}
_VECTORS: dict[str, Any] = {"model": "mlp", "batch_norm": "none"}
_REGRESSION: dict[str, Any] = {
    **_VECTORS,
    "shots": 10,
    "queries": 10,
    "inner_lr": 0.01,
    "meta_lr": 1e-3,
    "meta_batch": 25,
    "iterations": 20_000,
    "eval_steps": 10,
    "validate_every": 2000,
    "validation_episodes": 200,
}
_OWN_REGRESSION: dict[str, Any] = {
    **_REGRESSION,
    "inner_steps": 5,
    "eval_steps": 5,
    "iterations": 5000,
    "validate_every": 500,
    "validation_episodes": 100,
}
_CLASSES_OF_TABLES: dict[str, Any] = {**_OWN_REGRESSION, "inner_lr": 0.1}


def defaults_of(dataset: str, model: str | None, regression: bool | None = None) -> dict[str, Any]:
    """The options that suit a dataset.

    Args:
        dataset: as a configuration names it.
        model: the one that was asked for, if any.
        regression: whether its tasks are, where only the data say so and have been read.
    """
    kind = kind_of(dataset)
    if kind in REGRESSION_KINDS:
        return dict(_REGRESSION)
    if kind == "table":
        return dict(_CLASSES_OF_TABLES if regression is False else _OWN_REGRESSION)
    if kind in ("arrays", "own"):
        if model == "conv4":
            return dict(_IMAGES)
        return dict(_OWN_REGRESSION) if regression else {**_IMAGES, **_VECTORS}
    first = IMAGES[parts_of(dataset)[0]]
    defaults = {**_IMAGES, "channels": first.channels, "image_size": first.size}
    if model == "mlp":
        defaults["batch_norm"] = "none"
    if dataset == "glyphs":
        defaults |= {"iterations": None, "minutes": 2.0, "validate_every": 50}
    return defaults
