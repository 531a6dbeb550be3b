"""Datasets from arrays: examples x and labels y, in memory or in an .npz file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metalearn.tasks.archives import Limits, ZipSource, open_zip
from metalearn.tasks.datasets import ArrayDataset, Dataset, ImageDataset
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess

LIMITS = Limits(file=1 << 34, total=1 << 35)
LARGEST_SIDE = 1024


def from_arrays(
    x: Any, y: Any, name: str = "arrays", *, rotations: Sequence[int] = (0,)
) -> Dataset:
    """A dataset of labelled examples, sorted by class; classes are named by their labels.

    Args:
        x: one example a row. (n, H, W) are grey images and (n, C, H, W) or (n, H, W, C), C being 1
            or 3, grey or RGB ones: uint8, bool, or floats in [0, 1]. All else, also oblong images,
            are plain numbers, kept as float32: features (n, F), sequences (n, T, F, G, …).
        y: n labels, integers or strings. Integers keep the order of numbers.
        name: the dataset's, in errors and in a run's record.
        rotations: turns in degrees that make more classes of square images.

    Returns:
        An `ImageDataset` of square images, or an `ArrayDataset`.

    Raises:
        DataError: lengths differ, labels are of another type, or a value is not finite.
    """
    x, y = _array(x, f"{name}: x"), _array(y, f"{name}: y")
    if x.ndim < 2 or not len(x):
        raise DataError(f"{name}: x has the shape {x.shape}; expected one row an example, (n, …)")
    if y.shape != (len(x),):
        raise DataError(
            f"{name}: y has the shape {y.shape}; expected a label for each of the {len(x)} rows of "
            f"x, ({len(x)},)"
        )
    order, classes, counts = _by_class(y, name)
    images = _as_images(x, name)
    if images is None:
        if any(rotations):
            raise DataError(
                f"{name}: rotations={tuple(rotations)} need square images, not rows of the shape "
                f"{x.shape[1:]}; leave them out"
            )
        return ArrayDataset(name, x[order].astype(np.float32), classes, counts)
    preprocess = Preprocess(images.shape[-1], images.shape[1], "keep")
    return ImageDataset(name, images[order], classes, counts, preprocess, tuple(rotations))


def load_arrays(
    path: str | Path, name: str | None = None, *, rotations: Sequence[int] = (0,)
) -> Dataset:
    """An .npz file with arrays `x` and `y` as a dataset: see `from_arrays`.

    `np.savez("mine.npz", x=x, y=y)` writes one. Nothing is unpickled. Raises `DataError` for a
    file that is damaged or holds something else.
    """
    path = Path(path)
    x, y = read_npz(path)
    return from_arrays(x, y, name or path.stem, rotations=rotations)


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The arrays x and y of an .npz file. Raises `DataError`."""
    with open_zip(path) as archive:
        names = ZipSource(path, archive, LIMITS).names
    missing = [key for key in "xy" if f"{key}.npy" not in names]
    if missing:
        raise DataError(
            f"{path}: no array {missing[0]!r}; expected x and y, as written by "
            "np.savez(file, x=x, y=y)"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["x"], file["y"]
    # Damaged files make the reader fail in many ways; pickled arrays raise a ValueError.
    except (Exception, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); expected arrays of numbers or of strings, not of "
            "objects, as written by np.savez(file, x=x, y=y)"
        ) from error


def _array(values: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what}: not an array ({error}); expected rows of one shape") from error
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.flat):
        array = array.astype(str)
    if array.dtype.kind not in "biufU":
        raise DataError(f"{what} is of {array.dtype}; expected numbers, or strings for labels")
    return array


def _by_class(y: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Rows sorted by class and within it as given, names of the classes, and their counts."""
    if y.dtype.kind not in "biuU":
        raise DataError(
            f"{name}: y is of {y.dtype}; expected labels, integers or strings: round it, or use "
            "y.astype(int)"
        )
    values, places, counts = np.unique(y, return_inverse=True, return_counts=True)
    order = np.argsort(places, kind="stable")
    return order, tuple(str(value) for value in values.tolist()), counts.astype(np.int64)


def _as_images(x: np.ndarray, name: str) -> np.ndarray | None:
    """(n, C, side, side) uint8 or float32 in [0, 1]; None for what is no square image."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = np.moveaxis(x, 3, 1)
    square = x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[2] == x.shape[3] <= LARGEST_SIDE
    if not square or x.dtype.kind not in "bufi" or not x.size:
        return None
    if x.dtype.kind == "b":
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype == np.uint8:
        return x
    low, high = float(x.min()), float(x.max())
    if x.dtype.kind != "f" or not (0 <= low <= high <= 1):
        raise DataError(
            f"{name}: x holds images of {x.dtype} from {low:g} to {high:g}; expected uint8 in "
            "0…255 or floats in [0, 1]: scale them, or give rows of numbers with "
            "x.reshape(len(x), -1)"
        )
    return x.astype(np.float32)
