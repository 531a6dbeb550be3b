"""What a run learns from: a dataset with its split, the tasks drawn from it, and a model to fit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from metalearn.config import Config
from metalearn.errors import OptionError, RunError
from metalearn.learner import ACCURACY, MSE, Measure
from metalearn.tasks import (
    DataError,
    ImageDataset,
    Progress,
    SinusoidSampler,
    Split,
    TaskSampler,
    load_folder,
    load_glyphs,
    load_omniglot,
    omniglot_alphabet_split,
    omniglot_split,
    random_split,
)
from metalearn.tasks.episodes import EpisodeSampler

PARTS = ("train", "validation", "test")
GLYPHS = {"classes": 1200, "samples": 20, "seed": 0}


class Problem(Protocol):
    """Data, and how predictions on them are judged."""

    @property
    def measure(self) -> Measure:
        """How predictions are judged."""

    @property
    def record(self) -> dict[str, Any]:
        """What a run writes down of the data, as JSON."""

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        """Tasks of "train", "validation" or "test". Raises `DataError`."""

    def queries_left(self, part: str, shots: int) -> int | None:
        """How many queries a class every class of a part can give; None for any number."""

    def describe(self, part: str) -> str:
        """Whose tasks those are, for people."""


@dataclass(frozen=True)
class Sinusoids:
    """Sine waves; the parts differ in their stream of random numbers."""

    measure: Measure = MSE

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": {"name": "sinusoid", "fingerprint": None}, "split": None}

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        return SinusoidSampler(shots, queries, seed, part)

    def queries_left(self, part: str, shots: int) -> int | None:
        del part, shots
        return None

    def describe(self, part: str) -> str:
        return f"new waves of the stream {part!r}"


@dataclass(frozen=True)
class Classification:
    """Episodes of `ways` classes of a dataset's part; `upright` leaves out its rotations."""

    dataset: ImageDataset
    split: Split
    ways: int
    upright: bool = False
    measure: Measure = ACCURACY

    @property
    def record(self) -> dict[str, Any]:
        data, split = self.dataset, self.split
        return {
            "dataset": {
                "name": data.name,
                "fingerprint": data.digest,
                "classes": len(data.classes),
                "images": len(data.images),
                "rotations": list(data.rotations),
                "preprocess": data.preprocess.to_dict(),
            },
            "split": {
                "version": split.version,
                "seed": split.seed,
                "hash": split.hash,
                "counts": {part: len(getattr(split, part)) for part in PARTS},
            },
        }

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        classes = getattr(self.split, part)
        rotations = (0,) if self.upright else None
        return EpisodeSampler(
            self.dataset, classes, self.ways, shots, queries, seed, part, rotations
        )

    def queries_left(self, part: str, shots: int) -> int:
        classes = self.dataset.indices_of(getattr(self.split, part))
        return int(self.dataset.counts[classes].min()) - shots

    def describe(self, part: str) -> str:
        count, split = len(getattr(self.split, part)), self.split
        held_out = "held-out " if part == "test" else ""
        return f"{count} {held_out}{part} classes (split {split.version}, {split.hash[:12]})"


def open_problem(
    config: Config, progress: Progress | None = None, split: Split | None = None
) -> Problem:
    """Read or make the data of a configuration; `split` is a recorded one to use again.

    Raises `DataError` for data that cannot be used, and `OptionError` for an unknown split.
    """
    if config.is_regression:
        return Sinusoids()
    dataset = _load(config, progress)
    return Classification(dataset, split or _split(config, dataset), config.ways)


def _load(config: Config, progress: Progress | None) -> ImageDataset:
    if config.dataset == "glyphs":
        return load_glyphs(**GLYPHS, size=config.image_size)
    if config.dataset == "omniglot":
        return load_omniglot(config.data, size=config.image_size, progress=progress)
    return load_folder(
        str(config.data),
        config.image_size,
        channels=config.channels,
        ink=config.ink,
        progress=progress,
    )


def _split(config: Config, dataset: ImageDataset) -> Split:
    if config.split == "alphabets":
        if config.dataset != "omniglot":
            raise OptionError("--split alphabets: only Omniglot has alphabets; use random")
        return omniglot_alphabet_split(dataset.classes)
    if config.split != "random":
        try:
            return read_split(Path(config.split))
        except (RunError, DataError) as error:
            raise OptionError(f"--split: expected random, alphabets or a file; {error}") from error
    if config.dataset == "omniglot":
        return omniglot_split(dataset.classes)
    return _random_split(dataset, config.ways)


def _random_split(dataset: ImageDataset, ways: int) -> Split:
    """A fifth of the classes for test and a tenth for validation, but enough for an episode."""
    total = len(dataset.classes)
    if total < 3 * ways:
        raise OptionError(
            f"dataset {dataset.name!r}: {total} classes; --ways {ways} needs at least {3 * ways}, "
            f"{ways} each for training, validation and test: lower the ways or give more classes"
        )
    test, validation = max(ways, round(0.2 * total)), max(ways, round(0.1 * total))
    return random_split(dataset.classes, 0, test=test, validation=validation)


def read_split(path: Path) -> Split:
    """A split from its JSON file. Raises `RunError` or `DataError`."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read ({error.strerror}); expected a JSON file of a split"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error}); expected a split's record") from error
    if not isinstance(data, Mapping):
        raise RunError(f"{path}: not a split's record; expected its classes by part")
    try:
        return Split.from_dict(data)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
