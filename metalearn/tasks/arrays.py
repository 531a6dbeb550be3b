"""Datasets from arrays: examples x and labels y, in memory or in an .npz file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metalearn.tasks.archives import Limits, ZipSource, open_zip
from metalearn.tasks.datasets import ArrayDataset, Dataset, ImageDataset
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import INKS, Preprocess, ink_of, with_bright_ink

LIMITS = Limits(file=1 << 34, total=1 << 35)
LARGEST_SIDE = 1024


def from_arrays(
    x: Any,
    y: Any,
    name: str = "arrays",
    *,
    ink: str | None = None,
    rotations: Sequence[int] = (0,),
) -> Dataset:
    """A dataset of labelled examples, sorted by class; classes are named by their labels.

    Args:
        x: one example a row. (n, H, W) are grey images and (n, C, H, W) or (n, H, W, C), C being 1
            or 3, grey or RGB ones: uint8, bool, or floats in [0, 1]. All else, also oblong images,
            are plain numbers, kept as float32: features (n, F), sequences (n, T, F, G, …).
        y: n labels, integers or strings. Integers keep the order of numbers.
        name: the dataset's, in errors and in a run's record.
        ink: of grey images, which are to have bright ink on dark paper: "dark" inverts them,
            "light" and "keep" leave them as they are, "auto" looks at each and turns those of dark
            ink. By default "dark" or "light", whichever it is of all of them together; the
            dataset's `preprocess` says.
        rotations: turns in degrees that make more classes of square images.

    Returns:
        An `ImageDataset` of square images, or an `ArrayDataset`.

    Raises:
        DataError: lengths differ, labels are of another type, a value is not finite, or `ink` is
            given for what is no grey image.
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
    grey = images is not None and images.shape[1] == 1
    _check_ink(ink, grey, x, name)
    if images is None:
        if any(rotations):
            raise DataError(
                f"{name}: rotations={tuple(rotations)} need square images, not rows of the shape "
                f"{x.shape[1:]}; leave them out"
            )
        return ArrayDataset(name, x[order].astype(np.float32), classes, counts)
    ink = ink or (ink_of(images) if grey else "keep")
    preprocess = Preprocess(images.shape[-1], images.shape[1], ink)
    bright = with_bright_ink(images[order], ink)
    return ImageDataset(name, bright, classes, counts, preprocess, tuple(rotations))


def _check_ink(ink: str | None, grey: bool, x: np.ndarray, name: str) -> None:
    if ink not in (None, *INKS):
        raise DataError(f"{name}: ink={ink!r}; expected one of {', '.join(INKS)}")
    if ink not in (None, "keep") and not grey:
        raise DataError(
            f"{name}: ink={ink!r} needs square grey images, and x has the shape {x.shape}; leave "
            "it out"
        )


def load_arrays(
    path: str | Path,
    name: str | None = None,
    *,
    ink: str | None = None,
    rotations: Sequence[int] = (0,),
) -> Dataset:
    """An .npz file with arrays `x` and `y` as a dataset: see `from_arrays`.

    `np.savez("mine.npz", x=x, y=y)` writes one. Nothing is unpickled. Raises `DataError` for a
    file that is damaged or holds something else.
    """
    path = Path(path)
    x, y = read_npz(path)
    return from_arrays(x, y, name or path.stem, ink=ink, rotations=rotations)


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The arrays x and y of an .npz file. Raises `DataError`."""
    x, y = read_query(path)
    if y is None:
        raise _missing(path, "y")
    return x, y


def read_query(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The array x of an .npz file, and y where there is one. Raises `DataError`."""
    if not path.exists():
        raise DataError(f"{path}: no such file; expected {_WRITTEN}")
    with open_zip(path) as archive:
        names = ZipSource(path, archive, LIMITS).names
    if "x.npy" not in names:
        raise _missing(path, "x")
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["x"], file["y"] if "y.npy" in names else None
    # Damaged files make the reader fail in many ways; pickled arrays raise a ValueError.
    except (Exception, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); expected arrays of numbers or of strings, not of "
            "objects, as written by np.savez(file, x=x, y=y)"
        ) from error


def _missing(path: Path, name: str) -> DataError:
    return DataError(f"{path}: no array {name!r}; expected {_WRITTEN}")


_WRITTEN = "x and y, as written by np.savez(file, x=x, y=y)"


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file. Nothing is unpickled. Raises `DataError`."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: no such file; expected an array, as written by np.save(file, x)"
        ) from error
    except (OSError, ValueError, EOFError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read ({reason}); expected an array of numbers, as written by "
            "np.save(file, x)"
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
