"""Which classes are for training, validation and test: data, with a version and a hash."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from metalearn.tasks.errors import DataError
from metalearn.tasks.random import distinct, stream_key, uniforms

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Class names for training, validation and test: sorted, and no name in two parts.

    `version` names the rule that made the split and `seed` its random choice (None where there
    is none). Raises `DataError` when a name comes twice.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    version: str
    seed: int | None = None

    def __post_init__(self) -> None:
        for part in PARTS:
            # Episodes choose classes by place, so the order may not depend on who made the list.
            object.__setattr__(self, part, tuple(sorted(getattr(self, part))))
        names = sorted(self.train + self.validation + self.test)
        twice = [a for a, b in pairwise(names) if a == b]
        if twice:
            raise DataError(f"split {self.version}: class {twice[0]!r} is listed twice")

    @cached_property
    def hash(self) -> str:
        """sha256 of the canonical list of names; equal exactly for equal parts."""
        text = json.dumps([self.train, self.validation, self.test], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def among(self, names: Iterable[str]) -> "Split":
        """What is left of it among some names. Raises `DataError` for a part that has none left."""
        names = set(names)
        parts = {part: tuple(n for n in getattr(self, part) if n in names) for part in PARTS}
        for part, left in parts.items():
            if getattr(self, part) and not left:
                raise DataError(
                    f"split {self.version}: all of its {len(getattr(self, part))} for {part} have "
                    "too few examples; lower --shots or --queries, or give more"
                )
        return Split(**parts, version=self.version, seed=self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "version": self.version,
            "seed": self.seed,
            "hash": self.hash,
            "train": list(self.train),
            "validation": list(self.validation),
            "test": list(self.test),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Split":
        """Only the three lists of names are needed, so that a split can be written by hand.

        Raises `DataError` when one is missing or wrong, or does not fit a hash that is recorded.
        """
        parts = [data.get(part) for part in PARTS]
        if not all(isinstance(p, list) and all(isinstance(c, str) for c in p) for p in parts):
            raise DataError(
                "not a split: expected lists of class names for train, validation and test"
            )
        seed = data.get("seed")
        if not isinstance(seed, int | None):
            raise DataError(f"not a split: seed {seed!r}; expected a whole number or null")
        train, validation, test = (tuple(part) for part in parts)  # type: ignore[arg-type]
        split = cls(train, validation, test, str(data.get("version", "own-1")), seed)
        recorded = data.get("hash", split.hash)
        if split.hash != recorded:
            raise DataError(
                f"split {split.version}: its class names have the hash {split.hash[:12]}…, but "
                f"{str(recorded)[:12]}… is recorded; the record was changed, make the split again"
            )
        return split


def random_split(
    classes: Iterable[str],
    seed: int,
    *,
    test: int | float,
    validation: int | float = 0,
    version: str = "random-1",
) -> Split:
    """Shuffle the classes by the seed and cut them into training, validation and test.

    `test` is a number of classes (int) or a share of all (float below 1). `validation` is the
    same, of the training classes: it is taken out of them, so it never changes the test classes.
    Raises `DataError` when no training or no test class would be left.
    """
    names = sorted(set(classes))
    shuffled = [names[i] for i in _permutation(len(names), seed)]
    n_test = _count(test, len(names))
    n_train = len(names) - n_test
    n_validation = _count(validation, n_train)
    if n_test < 1 or n_validation < 0 or n_train - n_validation < 1:
        raise DataError(
            f"split of {len(names)} classes: test={test} and validation={validation} leave "
            f"{n_train - n_validation} for training; expected at least one class in training and "
            "in test"
        )
    return Split(
        train=tuple(shuffled[: n_train - n_validation]),
        validation=tuple(shuffled[n_train - n_validation : n_train]),
        test=tuple(shuffled[n_train:]),
        version=version,
        seed=seed,
    )


def _permutation(size: int, seed: int) -> list[int]:
    uniform = uniforms(stream_key(seed, "split"), iteration=0, tasks=[0], count=size)
    return distinct(uniform, size)[0].tolist()


def _count(share: int | float, whole: int) -> int:
    return share if isinstance(share, int) else round(share * whole)
