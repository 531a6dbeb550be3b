"""Images sorted by class, stored compactly."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import autograd_core as ac
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images of named classes, the images of a class side by side.

    - `images`: (total, C, H, W), uint8 (0…255 standing for 0…1) or float32 in [0, 1];
      one class after the other, in the order of `classes`
    - `classes`: unique names; `counts`: (classes,) int64, how many images each class has
    - `preprocess`: how the images were made from files, so that a user's own images of a new task
      can be treated alike; it and `name` are recorded by a run
    - `rotations`: the turns in degrees an episode may give a class (see `EpisodeSampler`)

    Raises `DataError` when the parts contradict each other.
    """

    name: str
    images: np.ndarray
    classes: tuple[str, ...]
    counts: np.ndarray
    preprocess: Preprocess
    rotations: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"dataset {self.name!r}: images must be a (total, C, H, W) array of uint8 or "
                f"float32, not {self.images.dtype} {self.images.shape}"
            )
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"dataset {self.name!r}: two classes have the same name")
        if len(self.counts) != len(self.classes) or int(self.counts.sum()) != len(self.images):
            raise DataError(
                f"dataset {self.name!r}: counts must give one number of images a class, "
                f"{len(self.images)} in all"
            )

    @cached_property
    def starts(self) -> np.ndarray:
        """(classes,) int64: the row of each class's first image."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.classes)}

    @cached_property
    def digest(self) -> str:
        """sha256 of names and pixels: equal for equal data, wherever it was read from."""
        text = "\n".join(f"{n} {c}" for n, c in zip(self.classes, self.counts, strict=True))
        pixels = np.ascontiguousarray(self.images).data
        return hashlib.sha256(text.encode() + hashlib.sha256(pixels).digest()).hexdigest()

    def on(self, device: str) -> ac.Tensor:
        """The images on a device, brought there once."""
        if device not in self._placed:
            self._placed[device] = ac.asarray(self.images, device=device)
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
        """All images of one class, (count, C, H, W) float32 in [0, 1]."""
        (i,) = self.indices_of([name])
        return to_float(self.images[self.starts[i] : self.starts[i] + self.counts[i]])


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 0…255 or float32 to a new C-contiguous float32 array in [0, 1]."""
    scale = np.float32(1 / 255) if pixels.dtype == np.uint8 else np.float32(1)
    return np.multiply(pixels, scale, dtype=np.float32, order="C")
