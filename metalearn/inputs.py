"""What a network is fed, and how a user's arrays and files become that.

Arrays hold what the network sees: of images, pixels at its size, as uint8 in 0…255, bool, or floats
in [0, 1]; else plain numbers. Images of dark ink on light are turned where the run was trained on
bright ink: those of a run on an .npz file as that file's were, others where they look it. Of a run
that was trained on a table, they hold that table's own columns, numbers, texts or dates. Files and
tables are brought to what the network sees by what the run recorded of its data.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metalearn.errors import MetalearnError
from metalearn.runs import Run
from metalearn.tasks import DataError, Preprocess, TablePreprocess
from metalearn.tasks.datasets import to_float
from metalearn.tasks.folders import read_images
from metalearn.tasks.images import INKS, with_bright_ink
from metalearn.tasks.table_arrays import as_objects, as_written, named_columns, table_of
from metalearn.tasks.tables import number_of
from metalearn.tasks.tabular import unseen_notes

SLACK = 1e-3
"""How far outside of [0, 1] rounding may take a pixel."""


class InputError(MetalearnError, ValueError):
    """Arrays that cannot be used; a `ValueError`, which scikit-learn's tools expect."""


@dataclass(frozen=True)
class Inputs:
    """The shape of an example, (C, H, W) of images, and how files become such examples.

    `images` is the preprocessing of image files, `table` that of CSV files; with neither, examples
    are plain numbers. `ink` is how images in arrays are brought to bright ink: see
    `images.with_bright_ink`.
    """

    shape: tuple[int, ...]
    images: Preprocess | None = None
    table: TablePreprocess | None = None
    ink: str = "keep"

    @property
    def width(self) -> int:
        """Numbers of an example, as the network is fed them."""
        return math.prod(self.shape)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of an example's columns as a user gives them; None of what is no table."""
        return None if self.table is None else tuple(f.name for f in self.table.features)

    @property
    def features(self) -> int:
        """Numbers, or columns of a table, of an example as a user gives it."""
        return self.width if self.columns is None else len(self.columns)

    def arrays(self, x: Any, user: str = "the model") -> np.ndarray:
        """A user's array as (n, *shape) float32.

        Args:
            x: (n, *shape), or flat, (n, width); grey images also (n, H, W), and others also
                (n, H, W, C). Of a table, (n, columns) in the order of `columns`, or anything whose
                columns have names: a data frame, a structured array, a mapping.
            user: whose inputs they are, for errors.

        Raises:
            InputError: another shape, or values that are no finite numbers in the right range.
            TypeError: a sparse matrix, or objects that are no numbers.
        """
        if self.table is not None:
            return self._rows(self.table, x, user)
        x = as_numbers(x)
        _check_shape(x)
        x = self._shaped(x, user)
        return _plain(x) if self.images is None else with_bright_ink(_pixels(x), self.ink)

    def _rows(self, table: TablePreprocess, x: Any, user: str) -> np.ndarray:
        """Rows of a table, as when they are read from a file: (n, width) float32."""
        _check_dense(x, "X")
        try:
            columns = named_columns(x)
            found = self._by_place(x, user) if columns is None else self._by_name(columns)
            rows = table_of(found, table.features)
            if not len(rows):
                _check_shape(np.empty((0, self.features)))
            for note in unseen_notes(rows, table):
                warnings.warn(note, UserWarning, stacklevel=2)
            return table.inputs(rows)
        except DataError as error:
            raise InputError(str(error)) from error

    def _by_name(self, given: Mapping[str, Any]) -> list[Any]:
        missing = [name for name in self.columns or () if name not in given]
        if missing:
            raise InputError(
                f"X has no column {missing[0]!r}; expected {self._named}, and it has "
                f"{', '.join(map(repr, given))}"
            )
        found = {name: as_objects(given[name]) for name in self.columns or ()}
        for name, values in found.items():
            if values.ndim != 1:
                raise InputError(
                    f"X, column {name!r}: values of the shape {values.shape}; expected (n,)"
                )
        return list(found.values())

    def _by_place(self, x: Any, user: str) -> list[Any]:
        # A list of rows may hold numbers beside texts, which NumPy would make texts of.
        array = np.array(x, object) if isinstance(x, list | tuple) else np.asarray(x)
        if array.dtype.kind == "c":
            raise InputError(f"Complex data not supported: X is of {array.dtype}")
        _check_shape(array)
        if array.shape[1:] != (self.features,):
            raise InputError(
                f"X has {math.prod(array.shape[1:])} features, but {user} is expecting "
                f"{self.features} features as input: X has the shape {array.shape}; expected (n, "
                f"{self.features}), {self._named}"
            )
        return [as_objects(column).tolist() for column in array.T]

    @property
    def _named(self) -> str:
        names = self.columns or ()
        return f"the column{'s' * (len(names) != 1)} {', '.join(map(repr, names))}"

    def targets(self, y: Any, outputs: int) -> np.ndarray:
        """A user's targets in regression, (n,) or (n, outputs), as the model knows them: (n,
        outputs) float32. Raises `InputError`."""
        y = as_numbers(y, "y").astype(np.float64)
        if y.ndim not in (1, 2) or y.reshape(len(y), -1).shape[1] != outputs:
            raise InputError(f"y has the shape {y.shape}; expected (n, {outputs}), as in training")
        if self.table is not None:
            y = (y - self.table.mean) / self.table.scale
        return y.reshape(len(y), outputs).astype(np.float32)

    def in_units(self, y: Any) -> np.ndarray:
        """Targets or predictions of regression as the model knows them, in the target's own units:
        float64."""
        return np.asarray(y, np.float64) if self.table is None else self.table.in_units(y)

    def labelled(self, y: Any, ways: int) -> tuple[np.ndarray, np.ndarray]:
        """The classes of a user's labels, sorted, at most `ways`; and each label as a place in
        them, int64. Where all tasks of the run share their classes, these. Raises `InputError`."""
        y = np.asarray(y)
        check_finite(y, "y")
        if y.ndim != 1 or (y.dtype.kind == "f" and (y != np.round(y)).any()):
            kind = "continuous" if y.ndim == 1 else "several labels an example"
            raise InputError(
                f"Unknown label type: {kind}; y has the shape {y.shape} and dtype {y.dtype}; "
                "expected one label of a class for each example"
            )
        try:
            classes, places = np.unique(y, return_inverse=True)
        except TypeError as error:
            raise InputError(f"y: labels of several types ({error}); expected one") from error
        if self.table is not None and self.table.labels is not None:
            return _among(classes, self.table.labels, places)
        if len(classes) < 2:
            raise InputError(f"y has one class, {classes.tolist()}; expected at least 2 classes")
        if len(classes) > ways:
            raise InputError(
                f"y has {len(classes)} classes; this run was trained {ways}-way: expected at most "
                f"{ways}, or train with more --ways"
            )
        return classes, places.astype(np.int64)

    def read_images(self, folder: str | Path) -> np.ndarray:
        """The images in a folder, at any depth, sorted by path: (n, C, H, W) float32.

        Raises `DataError` for what cannot be read, and where the model takes no images.
        """
        if self.images is None:
            raise DataError(f"{folder}: a folder of images; this model was not trained on images")
        return read_images(folder, self.images)[0]

    def _shaped(self, x: np.ndarray, user: str) -> np.ndarray:
        shape = x.shape[1:]
        channels_last = (*self.shape[1:], self.shape[0]) if len(self.shape) == 3 else None
        if shape == channels_last != self.shape:
            x = np.moveaxis(x, -1, 1)
        elif shape not in (self.shape, (self.width,)) and (1, *shape) != self.shape:
            raise InputError(
                f"X has {math.prod(shape)} features, but {user} is expecting {self.width} "
                f"features as input: X has the shape {x.shape}; expected {self._expected}"
            )
        return x.reshape(len(x), *self.shape)

    @property
    def _expected(self) -> str:
        flat = f"(n, {self.width})"
        if len(self.shape) == 1:
            return flat
        images = f"(n, {', '.join(map(str, self.shape))})"
        scale = "; scale other images to that size, or give a folder of them to `metalearn adapt`"
        return f"{images} or {flat}{scale}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a saved model; `from_dict` reads it back."""
        return {
            "shape": list(self.shape),
            "images": None if self.images is None else self.images.to_dict(),
            "table": None if self.table is None else self.table.to_dict(),
            "ink": self.ink,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Inputs":
        """Raises `DataError`, `TypeError`, `ValueError` or `KeyError` for wrong fields."""
        images, table = data["images"], data["table"]
        shape = tuple(data["shape"])
        if not shape or not all(type(side) is int and 1 <= side <= 1 << 20 for side in shape):
            raise ValueError(f"shape {shape}")
        ink = data.get("ink", "keep")  # older versions left arrays as they were
        if ink not in INKS:
            raise ValueError(f"ink {ink!r}")
        return cls(
            shape,
            None if images is None else Preprocess.from_dict(images),
            None if table is None else TablePreprocess.from_dict(table),
            ink,
        )


def inputs_of(run: Run) -> Inputs:
    """What a run's network is fed. Raises `DataError` for a record that makes no sense."""
    shape, record = run.config.input_shape, run.record["dataset"].get("preprocess")
    if record is None:
        return Inputs(shape)
    if "features" in record:
        return Inputs(shape, table=TablePreprocess.from_dict(record))
    images = Preprocess.from_dict(record)
    if shape != (images.channels, images.size, images.size):
        return Inputs(shape)  # such as places of pixels
    # Arrays may be what the network sees: only those that look it are turned, unless the run was
    # trained on such arrays itself; digits and clothes are bright, and may fill an image.
    ink = images.ink
    if run.config.dataset != "arrays":
        ink = "auto" if images.ink in ("auto", "dark") else "keep"
    own = run.config.dataset in ("folder", "arrays")
    if images.channels == 1 and not own:
        # Bright on dark is all these models know, whichever way round a user's images are.
        images = Preprocess(images.size, images.channels, "auto")
    return Inputs(shape, images, ink=ink)


def _among(
    classes: np.ndarray, shared: tuple[str, ...], places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The shared classes, as numbers or truth values where `classes` are; and labels that are
    places in `classes` as places in these."""
    written = as_written(classes.tolist(), shared)
    unknown = [
        label for label, text in zip(classes.tolist(), written, strict=True) if text not in shared
    ]
    if unknown:
        raise InputError(
            f"y holds {unknown[0]!r}, which no training task has; expected {', '.join(shared)}"
        )
    there = np.array([shared.index(text) for text in written], np.int64)
    return _in_kind(shared, classes), there[places]


def _in_kind(shared: tuple[str, ...], classes: np.ndarray) -> np.ndarray:
    """Classes of a table, which are text there, as what a user's labels are."""
    if all(isinstance(label, str) for label in classes.tolist()):
        return np.array(shared)
    found = [number_of(text) for text in shared]
    if classes.dtype.kind == "b":
        found = [float(text.casefold() in ("true", "1", "1.0")) for text in shared]
    if None in found:
        other = shared[found.index(None)]
        raise InputError(
            f"y holds {classes.tolist()[0]!r}, and the training tasks have the label {other!r} "
            "too; expected texts, such as those of the table"
        )
    numbers = np.array(found, np.float64)
    fits = classes.dtype.kind in "biu" and (numbers == numbers.round()).all()
    return numbers.astype(classes.dtype if fits else np.float64)


# Checks, in words that scikit-learn's own estimators use where it has some for them ------------


def as_numbers(values: Any, name: str = "X") -> np.ndarray:
    """An array of bool, integers or floats, all finite. Raises `InputError` or `TypeError`."""
    _check_dense(values, name)
    array = np.asarray(values)
    if array.dtype.kind in "OUS":
        try:
            array = array.astype(np.float64)
        except ValueError as error:
            raise InputError(f"{name}: {error}; expected numbers") from error
    if array.dtype.kind == "c":
        raise InputError(f"Complex data not supported: {name} is of {array.dtype}")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} is of {array.dtype}; expected numbers")
    check_finite(array, name)
    return array


def _check_dense(values: Any, name: str) -> None:
    if hasattr(values, "tocsr") and hasattr(values, "toarray"):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required. "
            "Use '.toarray()' to convert to a dense numpy array."
        )


def check_finite(array: np.ndarray, name: str) -> None:
    """Raise `InputError` for a number that is not finite."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    what = "NaN" if np.isnan(array).any() else "infinity or a value too large"
    raise InputError(f"Input {name} contains {what}; expected finite numbers")


def _check_shape(x: np.ndarray) -> None:
    if x.ndim < 2:
        raise InputError(
            f"Expected 2D array, got {x.ndim}D array instead: X has the shape {x.shape}. Reshape "
            "your data: X.reshape(1, -1) if it is one example, X.reshape(-1, 1) if examples are "
            "single numbers"
        )
    for count, what in ((len(x), "sample"), (math.prod(x.shape[1:]), "feature")):
        if not count:
            raise InputError(
                f"Found array with 0 {what}(s) (shape={x.shape}) while a minimum of 1 is required."
            )


def _plain(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # told below
        x = np.ascontiguousarray(x, np.float32)
    check_finite(x, "X")
    return x


def _pixels(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "b" or x.dtype == np.uint8:
        return to_float(x)
    low, high = float(x.min()), float(x.max())
    if x.dtype.kind != "f" or low < -SLACK or high > 1 + SLACK:
        raise InputError(
            f"X holds images of {x.dtype} from {low:g} to {high:g}; expected uint8 in 0…255, bool, "
            "or floats in [0, 1]: X.astype(np.uint8), or divide by the largest possible value"
        )
    return to_float(x)
