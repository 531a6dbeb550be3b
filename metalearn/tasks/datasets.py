"""Examples sorted by class, stored compactly: images, or arrays of any shape."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core import nn
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess


class Dataset:
    """What samplers use of labelled examples: those of a class lie side by side.

    - `values`: (total, …) array, one class after the other, in the order of `classes`
    - `classes`: unique names; `counts`: (classes,) int64, how many examples each class has
    - `rotations`: the turns in degrees an episode may give a class
    """

    name: str
    classes: tuple[str, ...]
    counts: np.ndarray
    rotations: tuple[int, ...]

    @property
    def values(self) -> np.ndarray:
        """(total, …) as stored."""
        raise NotImplementedError

    @property
    def record(self) -> dict[str, Any]:
        """What a run writes down of the data, as JSON."""
        raise NotImplementedError

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of one example as a task holds it, such as (C, H, W)."""
        return self.values.shape[1:]

    def _check_classes(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"dataset {self.name!r}: two classes have the same name")
        if len(self.counts) != len(self.classes) or int(self.counts.sum()) != len(self.values):
            raise DataError(
                f"dataset {self.name!r}: counts must give one number of images a class, "
                f"{len(self.values)} in all"
            )

    @cached_property
    def starts(self) -> np.ndarray:
        """(classes,) int64: the row of each class's first example."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    @cached_property
    def digest(self) -> str:
        """sha256 of names and values: equal for equal data, wherever it was read from."""
        text = "\n".join(f"{n} {c}" for n, c in zip(self.classes, self.counts, strict=True))
        values = np.ascontiguousarray(self.values).data
        return hashlib.sha256(text.encode() + hashlib.sha256(values).digest()).hexdigest()

    def on(self, device: str) -> ac.Tensor:
        """The values on a device, brought there once."""
        if device not in self._placed:
            self._placed[device] = ac.asarray(self.values, device=device)
        return self._placed[device]

    @cached_property
    def _placed(self) -> dict[str, ac.Tensor]:
        return {}

    def indices_of(self, names: Sequence[str]) -> np.ndarray:
        """(len(names),) int64: the places of the names in `classes`. Raises `DataError`."""
        missing = [name for name in names if name not in self._index_of]
        if missing:
            raise DataError(
                f"dataset {self.name!r} has no class {missing[0]!r} ({len(missing)} of "
                f"{len(names)} names are unknown); use the split that belongs to this dataset"
            )
        return np.array([self._index_of[name] for name in names], dtype=np.int64)

    def of_class(self, name: str) -> np.ndarray:
        """All examples of one class, (count, …) float32; images in [0, 1]."""
        (i,) = self.indices_of([name])
        return to_float(self.values[self.starts[i] : self.starts[i] + self.counts[i]])

    def taken(self, rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Examples by row, each turned by its quarter turns (integers of the shape of `rows`):
        (*rows.shape, …) float32."""
        values = self.values[rows]
        for turn in np.unique(turns[turns != 0]):
            turned = turns == turn
            values[turned] = np.rot90(values[turned], turn, axes=(-2, -1))
        return to_float(values)

    def taken_on(self, device: str, rows: np.ndarray, turns: np.ndarray) -> Any:
        """The same, made on a device, where the dataset lies."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ImageDataset(Dataset):
    """Images of named classes, the images of a class side by side.

    - `images`: (total, C, H, W), uint8 (0…255 standing for 0…1) or float32 in [0, 1];
      one class after the other, in the order of `classes`
    - `classes`: unique names; `counts`: (classes,) int64, how many images each class has
    - `preprocess`: how the images were made from files, so that a user's own images of a new task
      can be treated alike; it and `name` are recorded by a run
    - `rotations`: the turns in degrees an episode may give a class (see `EpisodeSampler`)
    - `notes`: what of the files is not in it, for people

    Raises `DataError` when the parts contradict each other.
    """

    name: str
    images: np.ndarray
    classes: tuple[str, ...]
    counts: np.ndarray
    preprocess: Preprocess
    rotations: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"dataset {self.name!r}: images must be a (total, C, H, W) array of uint8 or "
                f"float32, not {self.images.dtype} {self.images.shape}"
            )
        self._check_classes()

    @property
    def values(self) -> np.ndarray:
        return self.images

    @property
    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.digest,
            "classes": len(self.classes),
            "images": len(self.images),
            "rotations": list(self.rotations),
            "preprocess": self.preprocess.to_dict(),
        }

    def taken_on(self, device: str, rows: np.ndarray, turns: np.ndarray) -> Any:
        return nn.gather_images(self.on(device), rows, turns)


@dataclass(frozen=True, eq=False)
class ArrayDataset(Dataset):
    """Examples of any shape, of named classes: rows of features, sequences, oblong images.

    - `examples`: (total, …) float32, finite; one class after the other, in the order of `classes`
    - `classes`, `counts`: as in `ImageDataset`
    - `offset`, `scale`: (…) float32, what was taken off and then divided by (`standardised`), so
      that a user's own examples can be treated alike; None for values as they were given

    Raises `DataError` when the parts contradict each other, or a value is not finite.
    """

    name: str
    examples: np.ndarray
    classes: tuple[str, ...]
    counts: np.ndarray
    offset: np.ndarray | None = None
    scale: np.ndarray | None = None

    rotations = (0,)

    def __post_init__(self) -> None:
        if self.examples.ndim < 2 or self.examples.dtype != np.float32:
            raise DataError(
                f"dataset {self.name!r}: examples must be a (total, …) array of float32, "
                f"one row each, not {self.examples.dtype} {self.examples.shape}"
            )
        self._check_classes()
        finite = np.isfinite(self.values).reshape(len(self.values), -1).all(axis=1)
        if not finite.all():
            raise DataError(
                f"dataset {self.name!r}: example {int(finite.argmin())} of the values sorted by "
                "class is not finite; fill in or remove what is missing"
            )

    @property
    def values(self) -> np.ndarray:
        return self.examples

    @property
    def record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.digest,
            "classes": len(self.classes),
            "examples": len(self.values),
            "shape": list(self.example_shape),
            "offset": None if self.offset is None else self.offset.tolist(),
            "scale": None if self.scale is None else self.scale.tolist(),
        }

    def standardised(self, classes: Sequence[str]) -> "ArrayDataset":
        """The same with mean 0 and deviation 1 of each number over all examples of some classes,
        those for training. What is constant there becomes 0. Raises `DataError` for an unknown
        class, or when the values are standardised already."""
        if self.offset is not None:
            raise DataError(f"dataset {self.name!r}: is standardised already")
        chosen = np.zeros(len(self.classes), bool)
        chosen[self.indices_of(classes)] = True
        some = self.values[np.repeat(chosen, self.counts)].astype(np.float64)
        if not len(some):
            raise DataError(f"dataset {self.name!r}: no classes given to standardise by")
        offset, scale = some.mean(axis=0), some.std(axis=0)
        offset = offset.astype(np.float32)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        values = (self.values - offset) / scale
        return ArrayDataset(self.name, values, self.classes, self.counts, offset, scale)

    def taken_on(self, device: str, rows: np.ndarray, turns: np.ndarray) -> Any:
        return ac.take(self.on(device), rows, axis=0)


def to_float(values: np.ndarray) -> np.ndarray:
    """uint8 0…255 to [0, 1], or float32 as it is: a new C-contiguous float32 array."""
    scale = np.float32(1 / 255) if values.dtype == np.uint8 else np.float32(1)
    return np.multiply(values, scale, dtype=np.float32, order="C")
