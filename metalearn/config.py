"""The options of a training run: one flat record, with defaults for each dataset, checked once."""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from metalearn.algorithms import (
    REMAT,
    Algorithm,
    class_of,
    find_algorithm,
    make_algorithm,
    read_settings,
)
from metalearn.errors import OptionError, RunError
from metalearn.normalisation import check_mode
from metalearn.tasks.images import INKS

SCHEDULES = ("cosine", "linear", "constant")
OPTIMIZERS = ("adam", "sgd", "momentum")
MODELS = ("mlp", "conv4")
POOLING = ("auto", "stride", "max-pool")
EMBEDDED = ("sinusoid", "omniglot", "glyphs")


LARGEST_META_BATCH = 2**31  # numbers, 8 GB of float32


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes.

    Rates are in units of a *mean* loss (see `algorithms.maml`). A run ends when `iterations`
    meta-updates are done or `minutes` of training are spent, whichever is set and comes first.
    Raises `OptionError` when an option makes no sense.
    """

    dataset: str = "omniglot"  # one of EMBEDDED, or "folder"
    data: str | None = None  # where it lies; None for the embedded ones, and to download Omniglot
    split: str = "random"  # "random", "alphabets" (Omniglot), or a JSON file of a split
    ways: int = 5
    shots: int = 1
    train_shots: int | None = None  # in training, where it differs
    queries: int = 5  # a class, in training; for sinusoids, in all
    algorithm: str = "maml"  # one of ALGORITHMS, or a user's own as "file.py:Class"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the algorithm, beside these:
    inner_steps: int = 1
    inner_lr: float = 1.0
    meta_lr: float = 3e-3
    meta_optimizer: str = "adam"
    meta_clip: float | None = None  # the largest entry of a meta-gradient
    schedule: str = "cosine"  # of the meta rate, over the budget
    meta_batch: int = 16
    device: str = "auto"  # "cpu", "cuda", "cuda:1", or the first GPU if there is one
    task_slice: int | None = None  # tasks computed at a time; None for what suits
    jit: bool = True  # compile meta-updates and evaluation
    iterations: int | None = None
    minutes: float | None = None
    seed: int = 0
    batch_norm: str = "transductive"
    remat: str = "none"
    model: str = "conv4"
    filters: int = 64
    hidden: tuple[int, ...] = (40, 40)
    pooling: str = "auto"
    image_size: int = 28
    channels: int = 1
    ink: str | None = None
    eval_steps: int = 3  # inner steps in validation and evaluation
    validate_every: int = 250
    validation_episodes: int = 100

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            value = getattr(self, name)
            try:
                problem = None if value is None and name in OPTIONAL else check(value)
            except TypeError:
                problem = f"expected another type than {type(value).__name__}"
            if problem:
                raise OptionError(f"{_flag(name)} {value}: {problem}")
        algorithm_of(self)
        try:
            check_mode(self.batch_norm)
        except OptionError as error:
            raise OptionError(f"--batch-norm: {error}") from None
        self._check_size()
        if self.iterations is None and self.minutes is None:
            raise OptionError("neither --iterations nor --minutes: expected at least one of them")
        if self.is_regression and self.model != "mlp":
            raise OptionError(f"--model {self.model}: sinusoids need --model mlp")
        if self.dataset in ("omniglot", "glyphs") and self.channels != 1:
            raise OptionError(f"--channels {self.channels}: {self.dataset} is grey; use 1")
        if self.channels == 3 and self.ink not in (None, "keep"):
            raise OptionError(
                f"--ink {self.ink}: needs grey images; use --channels 1, or leave it out"
            )
        if self.model == "mlp" and self.batch_norm != "none":
            raise OptionError(
                f"--batch-norm {self.batch_norm}: the MLP has no batch norm; use --batch-norm none"
            )

    def _check_size(self) -> None:
        """Tasks that no machine can hold are a slip of the keyboard."""
        pixels = 1 if self.is_regression else self.channels * self.image_size**2
        ways = 1 if self.is_regression else self.ways
        examples = ways * (self.shots_in("train") + self.queries)
        numbers = self.meta_batch * examples * pixels
        if numbers > LARGEST_META_BATCH:
            raise OptionError(
                f"--meta-batch {self.meta_batch}: tasks of {examples} "
                f"examples make {numbers:.1e} numbers a meta-update; expected at most "
                f"{LARGEST_META_BATCH:.1e}: lower it, --shots or --queries"
            )

    @property
    def is_regression(self) -> bool:
        return self.dataset == "sinusoid"

    def shots_in(self, part: str) -> int:
        """Shots of the tasks of "train", "validation" or "test"."""
        return self.train_shots if part == "train" and self.train_shots else self.shots

    @property
    def task_name(self) -> str:
        """Such as "omniglot 5-way 1-shot"."""
        ways = "" if self.is_regression else f"{self.ways}-way "
        return f"{self.dataset} {ways}{self.shots}-shot"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Config":
        """Raises `RunError` for missing, unknown or impossible options."""
        names = {f.name for f in fields(cls)}
        if isinstance(data, Mapping):
            data = _of_this_version(data)
        if not isinstance(data, Mapping) or set(data) != names:
            wrong = sorted(set(data) ^ names) if isinstance(data, Mapping) else [type(data)]
            raise RunError(f"the recorded options are not this version's: see {wrong[0]!r}")
        try:
            return cls(**{**data, "hidden": tuple(data["hidden"])})
        except (OptionError, TypeError) as error:
            raise RunError(f"the recorded options are wrong: {error}") from error


def algorithm_of(config: Config) -> Algorithm:
    """The algorithm that a configuration names, with its settings."""
    return make_algorithm(
        config.algorithm,
        steps=config.inner_steps,
        rate=config.inner_lr,
        remat=config.remat,
        **config.settings,
    )


BEFORE = {
    "jit": False,
    "device": "cpu",
    "settings": {},
    "train_shots": None,
    "meta_optimizer": "adam",
    "meta_clip": None,
}
"""What there was no choice of in older versions."""


def _of_this_version(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options as older versions recorded them, before there was a choice or under another name."""
    data = {**BEFORE, **data}
    if "tasks_per_chunk" in data:
        data["task_slice"] = data.pop("tasks_per_chunk")
    return data


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def make_config(dataset: str, given: Mapping[str, Any]) -> Config:
    """The options given for a dataset ("sinusoid", "omniglot", "glyphs", or a folder's path), with
    its defaults for those that are None. Raises `OptionError`."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in (("dataset", dataset), ("--data", chosen.get("data"))):
        if value == "":
            raise OptionError(f"{name} '': empty; expected a name or a folder")
    if dataset not in EMBEDDED:
        if "data" in chosen:
            raise OptionError(
                f"dataset {dataset!r} and --data {chosen['data']}: expected {', '.join(EMBEDDED)} "
                "for the dataset, or a folder of class folders without --data"
            )
        if not Path(dataset).is_dir():
            raise OptionError(
                f"dataset {dataset!r}: expected {', '.join(EMBEDDED)}, or a folder that exists"
            )
        dataset, chosen["data"] = "folder", dataset
    elif dataset != "omniglot" and "data" in chosen:
        raise OptionError(f"--data {chosen['data']}: {dataset} is made here and reads no files")
    if "data" in chosen:
        chosen["data"] = os.path.abspath(chosen["data"])  # a run may be resumed from elsewhere
    if ":" in chosen.get("algorithm", ""):
        file, _, cls = chosen["algorithm"].rpartition(":")
        chosen["algorithm"] = f"{os.path.abspath(file)}:{cls}"
    _check_used(dataset, chosen)
    if "settings" in chosen:
        chosen["settings"] = read_settings(chosen.get("algorithm", "maml"), chosen["settings"])
    defaults = _defaults(dataset, chosen)
    chosen["settings"] = {**defaults.get("settings", {}), **chosen.get("settings", {})}
    return Config(**{**defaults, **chosen, "dataset": dataset})


def _check_used(dataset: str, chosen: Mapping[str, Any]) -> None:
    """Raise `OptionError` for an option that would have no effect."""
    if dataset == "sinusoid":
        unused, why = IMAGES_ONLY, "sinusoids are no images"
    elif chosen.get("model") == "mlp":
        unused, why = CONVOLUTIONS_ONLY, "--model mlp has no convolutions"
    else:
        unused, why = {"hidden"}, "only --model mlp has layer widths"
    given = [name for name in chosen if name in unused]
    if not given and dataset in ("omniglot", "glyphs") and "ink" in chosen:
        given, why = ["ink"], f"{dataset} is ink 1 on paper 0 already"
    if given:
        raise OptionError(f"{_flag(given[0])}: has no effect, for {why}; leave it out")


CONVOLUTIONS_ONLY = {"filters", "pooling"}
IMAGES_ONLY = {"ways", "split", "image_size", "channels", "ink"} | CONVOLUTIONS_ONLY


# One measured setting for each dataset; docs/decisions says how they were found.
_IMAGES: dict[str, Any] = {"iterations": 5000, "minutes": 20.0}
_SINUSOID: dict[str, Any] = {
    "shots": 10,
    "queries": 10,
    "inner_lr": 0.01,
    "meta_lr": 1e-3,
    "meta_batch": 25,
    "iterations": 20_000,
    "model": "mlp",
    "batch_norm": "none",
    "eval_steps": 10,
    "validate_every": 2000,
    "validation_episodes": 200,
}


def _defaults(dataset: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    defaults = dict(_SINUSOID if dataset == "sinusoid" else _IMAGES)
    if chosen.get("model") == "mlp":
        defaults["batch_norm"] = "none"
    if dataset == "glyphs":
        defaults |= {"iterations": None, "minutes": 2.0, "validate_every": 50}
    algorithm = class_of(find_algorithm(chosen.get("algorithm", "maml")))
    defaults |= algorithm.defaults
    if dataset == "sinusoid":
        defaults |= algorithm.defaults_on_sinusoids
    if {"iterations", "minutes"} & chosen.keys():
        # A budget that is given replaces the default one as a whole.
        defaults |= {"iterations": None, "minutes": None}
    return defaults


# Checks: each says what is wrong with a value, or None.

Check = Callable[[Any], str | None]


def at_least(low: int, high: float = math.inf) -> Check:
    limits = f"at least {low}" if high == math.inf else f"{low} to {high:,.0f}"
    return lambda value: None if low <= value <= high else f"expected a whole number, {limits}"


def positive(value: float) -> str | None:
    fine = math.isfinite(value) and value > 0
    return None if fine else "expected a finite number above 0"


def one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"expected one of {', '.join(values)}"


def widths(value: tuple[int, ...]) -> str | None:
    fine = value and min(value) >= 1 and max(value) <= MOST_UNITS
    return None if fine else f"expected layer widths from 1 to {MOST_UNITS:,}, as 40,40"


def device_name(value: str) -> str | None:
    fine = re.fullmatch(r"auto|cpu|cuda(:\d+)?", value)
    return None if fine else "expected auto, cpu, cuda, or one GPU as cuda:1"


MOST_UNITS = 16_384  # of a layer
MOST = 10**6  # examples, tasks, episodes


OPTIONAL = {"train_shots", "meta_clip", "iterations", "minutes", "task_slice", "ink", "data"}
CHECKS: Mapping[str, Check] = {
    "dataset": one_of(*EMBEDDED, "folder"),
    "ways": at_least(2, MOST),
    "shots": at_least(1, MOST),
    "train_shots": at_least(1, MOST),
    "queries": at_least(1, MOST),
    "meta_optimizer": one_of(*OPTIMIZERS),
    "meta_clip": positive,
    "inner_steps": at_least(1),
    "inner_lr": positive,
    "meta_lr": positive,
    "schedule": one_of(*SCHEDULES),
    "meta_batch": at_least(1, MOST),
    "device": device_name,
    "task_slice": at_least(1),
    "jit": lambda value: None if isinstance(value, bool) else "expected true or false",
    "iterations": at_least(1),
    "minutes": positive,
    "seed": at_least(0),
    "remat": one_of(*REMAT),
    "model": one_of(*MODELS),
    "filters": at_least(1, MOST_UNITS),
    "hidden": widths,
    "pooling": one_of(*POOLING),
    "image_size": at_least(8, 1024),
    "channels": lambda value: None if value in (1, 3) else "expected 1 (grey) or 3 (RGB)",
    "ink": one_of(*INKS),
    "eval_steps": at_least(1),
    "validate_every": at_least(1),
    "validation_episodes": at_least(2),
}
