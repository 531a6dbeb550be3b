"""The options of a training run: one flat record, with defaults for each dataset, checked once."""

import math
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
from metalearn.catalogue import (
    CONVOLUTIONS_ONLY,
    IMAGES,
    KINDS,
    REGRESSION_KINDS,
    UNUSED,
    defaults_of,
    found,
    kind_of,
    parts_of,
)
from metalearn.errors import OptionError, RunError
from metalearn.learner import ACCURACY, MSE, Measure
from metalearn.measures import PADDED_ACCURACY
from metalearn.normalisation import check_mode
from metalearn.own import is_own, short_name, whole_name
from metalearn.tasks.images import INKS
from metalearn.tasks.tabular import LABELS, NUMBERS

SCHEDULES = ("cosine", "linear", "constant")
OPTIMIZERS = ("adam", "sgd", "momentum")
MODELS = ("mlp", "conv4")
POOLING = ("auto", "stride", "max-pool")


LARGEST_META_BATCH = 2**31  # numbers, 8 GB of float32


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes.

    Rates are in units of a *mean* loss (see `algorithms.maml`). A run ends when `iterations`
    meta-updates are done or `minutes` of training are spent, whichever is set and comes first.
    Raises `OptionError` when an option makes no sense.
    """

    dataset: str = "omniglot"  # as `catalogue` names it
    data: str | None = None  # where it lies, where it does
    task_column: str | None = None  # of a table; by default "task", or each file of a folder
    target: str | None = None  # the column of a table to predict
    ignore: tuple[str, ...] = ()  # columns of a table to leave out
    # Of a table: classes, the same in all tasks ("shared") or each task's "own", or certainly
    # "numbers". With "shared" its values decide whether they are classes.
    labels: str = "shared"
    split: str = "random"  # "random", "alphabets" (Omniglot), or a JSON file of a split
    ways: int = 5
    train_ways: int | None = None  # of training tasks, where the algorithm makes their heads
    fewest_ways: int | None = None  # where ways vary from task to task, up to `ways`
    shots: int = 1
    train_shots: int | None = None  # in training, where it differs
    most_shots: int | None = None  # where shots vary from class to class, from `shots` on
    queries: int = 5  # a class, in training; in regression, in all
    algorithm: str = "maml"  # one of ALGORITHMS, or a user's own as "file.py:Class"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of the algorithm, beside these:
    inner_steps: int = 1
    inner_lr: float = 1.0
    meta_lr: float = 3e-3
    meta_lr_final: float = 0.0  # where the schedule ends
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
    # Whether these were asked for, and are those of use as well; else what does best in validation
    # is. No part of what training computes.
    steps_given: bool = field(default=False, compare=False)
    validate_every: int = 250
    validation_episodes: int = 100
    inputs: tuple[int, ...] | None = None  # the shape of one, where the data say it
    outputs: int | None = None  # of the model, where the data say it
    regression: bool | None = None  # whether tasks are, where the data say it

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            value = getattr(self, name)
            try:
                problem = None if value is None and name in OPTIONAL else check(value)
            except TypeError:
                problem = f"expected another type than {type(value).__name__}"
            if problem:
                raise OptionError(f"{_flag(name)} {value}: {problem}")
        self._check_algorithm(algorithm_of(self))
        try:
            check_mode(self.batch_norm)
        except OptionError as error:
            raise OptionError(f"--batch-norm: {error}") from None
        self._check_size()
        if self.iterations is None and self.minutes is None:
            raise OptionError("neither --iterations nor --minutes: expected at least one of them")
        if self.fewest_ways is not None and self.fewest_ways > self.ways:
            raise OptionError(f"--fewest-ways {self.fewest_ways}: more than --ways {self.ways}")
        if self.most_shots is not None and self.most_shots < self.shots:
            raise OptionError(f"--most-shots {self.most_shots}: fewer than --shots {self.shots}")
        if self.varies and self.train_shots is not None:
            raise OptionError(
                f"--train-shots {self.train_shots}: not with --fewest-ways, --most-shots"
            )
        if self.varies and "+" in self.dataset:
            raise OptionError(
                f"--fewest-ways, --most-shots: not for several domains, {self.dataset}"
            )
        kind = kind_of(self.dataset)
        if kind in (*REGRESSION_KINDS, "table") and self.model != "mlp":
            raise OptionError(f"--model {self.model}: {KINDS[kind]} need --model mlp")
        self._check_pictures()
        self._check_convolutions()
        if self.channels == 3 and self.ink not in (None, "keep"):
            raise OptionError(
                f"--ink {self.ink}: needs grey images; use --channels 1, or leave it out"
            )
        if self.model == "mlp" and self.batch_norm != "none":
            raise OptionError(
                f"--batch-norm {self.batch_norm}: the MLP has no batch norm; use --batch-norm none"
            )

    def _check_pictures(self) -> None:
        if kind_of(self.dataset) != "images":
            return
        for name in parts_of(self.dataset):
            source = IMAGES[name]
            if not source.ink and self.channels != source.channels:
                kind = {1: "grey", 3: "RGB"}[source.channels]
                raise OptionError(
                    f"--channels {self.channels}: {name} is {kind}; use {source.channels}"
                )

    def _check_convolutions(self) -> None:
        shape = self.input_shape
        if self.model == "conv4" and not (len(shape) == 3 and shape[1] == shape[2]):
            raise OptionError(
                f"--model conv4: inputs have the shape {shape}; it needs square images (channels, "
                "size, size): use --model mlp"
            )

    def _check_algorithm(self, algorithm: Algorithm) -> None:
        for name in ("inner_steps", "eval_steps"):
            value = getattr(self, name)
            if value == 0 and name not in algorithm.without:
                raise OptionError(f"{_flag(name)} 0: expected a whole number, at least 1")
            if value and name in algorithm.without:
                raise OptionError(f"{_flag(name)} {value}: {self.algorithm} has none; expected 0")
        if algorithm.classifies and self.is_regression:
            raise OptionError(
                f"--algorithm {self.algorithm}: learns classes, and {self.dataset} is regression; "
                "use a dataset of images, or another algorithm"
            )
        if self.train_ways is not None and not algorithm.makes_heads:
            raise OptionError(
                f"--train-ways {self.train_ways}: the last layer of {self.algorithm} has --ways "
                "outputs, in training too; leave it out"
            )

    def _check_size(self) -> None:
        """Tasks that no machine can hold are a slip of the keyboard."""
        ways = 1 if self.is_regression else self.train_ways or self.ways
        shots = self.most_shots or self.train_shots or self.shots
        examples = ways * (shots + self.queries)
        numbers = self.meta_batch * examples * math.prod(self.input_shape)
        if numbers > LARGEST_META_BATCH:
            raise OptionError(
                f"--meta-batch {self.meta_batch}: tasks of {examples} "
                f"examples make {numbers:.1e} numbers a meta-update; expected at most "
                f"{LARGEST_META_BATCH:.1e}: lower it, --shots or --queries"
            )

    @property
    def is_regression(self) -> bool:
        """Whether models answer with numbers, not classes."""
        if self.regression is not None:
            return self.regression
        return kind_of(self.dataset) in REGRESSION_KINDS

    @property
    def varies(self) -> bool:
        """Whether ways or shots vary from task to task."""
        return self.fewest_ways is not None or self.most_shots is not None

    @property
    def measure(self) -> Measure:
        """How predictions are judged."""
        if self.is_regression:
            return MSE
        return PADDED_ACCURACY if self.varies else ACCURACY

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of an input to the model, such as (1, 28, 28)."""
        if self.inputs is not None:
            return self.inputs
        pictures = kind_of(self.dataset) in ("images", "arrays", "own") and self.model == "conv4"
        if pictures or kind_of(self.dataset) == "images":
            return (self.channels, self.image_size, self.image_size)
        return (1,)

    @property
    def output_count(self) -> int:
        """How many numbers the model gives for an input."""
        if self.outputs is not None:
            return self.outputs
        return 1 if self.is_regression else self.ways

    @property
    def task_name(self) -> str:
        """Such as "omniglot 5-way 1-shot"."""
        most = self.output_count  # ways, unless the data have classes of their own
        few, many = self.fewest_ways or most, self.most_shots or self.shots
        ways = f"{most}-way " if few == most else f"{few}-to-{most}-way "
        shots = f"{self.shots}-shot" if many == self.shots else f"{self.shots}-to-{many}-shot"
        return f"{self.name} {'' if self.is_regression else ways}{shots}"

    @property
    def name(self) -> str:
        """The dataset's, for people and for folders."""
        if self.dataset in ("folder", "table", "arrays") and self.data is not None:
            return Path(self.data).stem
        return short_name(self.dataset)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        shape = None if self.inputs is None else list(self.inputs)
        lists = {"hidden": list(self.hidden), "ignore": list(self.ignore), "inputs": shape}
        return {**asdict(self), **lists}

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
            shape = None if data["inputs"] is None else tuple(data["inputs"])
            lists = {name: tuple(data[name]) for name in ("hidden", "ignore")}
            return cls(**{**data, **lists, "inputs": shape})
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
    "task_column": None,
    "target": None,
    "ignore": [],
    "labels": "shared",
    "train_ways": None,
    "fewest_ways": None,
    "most_shots": None,
    "inputs": None,
    "outputs": None,
    "regression": None,
    "meta_optimizer": "adam",
    "meta_clip": None,
    "meta_lr_final": 0.0,
    "steps_given": True,
}
"""What there was no choice of in older versions."""


def _of_this_version(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options as older versions recorded them, before there was a choice or under another name."""
    data = {**BEFORE, **data}
    if "tasks_per_chunk" in data:
        data["task_slice"] = data.pop("tasks_per_chunk")
    if data.get("dataset") == "arrays" and data.get("ink") is None:
        data["ink"] = "keep"
    return data


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def make_config(dataset: str, given: Mapping[str, Any], regression: bool | None = None) -> Config:
    """The options given for a dataset (a name or a path, see `catalogue`), with its defaults for
    those that are None; `regression` says whether its tasks are, where only the data say so and
    have been read. Raises `OptionError`."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in (("dataset", dataset), ("--data", chosen.get("data"))):
        if value == "":
            raise OptionError(f"{name} '': empty; expected a name or a path")
    # Whole paths, for a run may be resumed from elsewhere.
    dataset, chosen["data"] = found(dataset, chosen.get("data"))
    if is_own(chosen.get("algorithm", "")):
        chosen["algorithm"] = whole_name(chosen["algorithm"])
    _check_used(dataset, chosen)
    _check_used_by_algorithm(chosen)
    if "settings" in chosen:
        chosen["settings"] = read_settings(chosen.get("algorithm", "maml"), chosen["settings"])
    defaults = _defaults(dataset, chosen, regression)
    chosen["settings"] = {**defaults.get("settings", {}), **chosen.get("settings", {})}
    steps_given = "eval_steps" in chosen
    return Config(**{**defaults, **chosen, "dataset": dataset, "steps_given": steps_given})


def _check_used(dataset: str, chosen: Mapping[str, Any]) -> None:
    """Raise `OptionError` for an option that would have no effect, or is missing."""
    kind = kind_of(dataset)
    unused, why = UNUSED[kind], f"{KINDS[kind]} have no use for it"
    given = [name for name in chosen if name in unused]
    if not given:
        mlp = chosen.get("model", defaults_of(dataset, chosen.get("model")).get("model")) == "mlp"
        unused = CONVOLUTIONS_ONLY if mlp else {"hidden"}
        only = "--model mlp has no convolutions" if mlp else "only --model mlp has layer widths"
        given, why = [name for name in chosen if name in unused], f"for {only}"
    if not given and kind == "images" and "ink" in chosen:
        fixed = [name for name in parts_of(dataset) if not IMAGES[name].ink]
        given, why = ["ink"] * bool(fixed), f"for {', '.join(fixed)} has its own"
    if not given and kind == "table" and chosen.get("labels", "shared") != "own":
        given = ["ways"] * ("ways" in chosen)
        why = "without --labels own a task has the labels of the whole table"
    if given:
        raise OptionError(f"{_flag(given[0])}: has no effect, {why}; leave it out")
    if kind == "table" and "target" not in chosen:
        told = "task_column" in chosen or Path(chosen["data"]).is_dir()
        task = "" if told else "--task-column, whose values are the tasks, and "
        raise OptionError(f"{chosen['data']}: expected {task}--target, the column to predict")


def _check_used_by_algorithm(chosen: Mapping[str, Any]) -> None:
    """The same of what the algorithm has no use for."""
    name = chosen.get("algorithm", "maml")
    unused = class_of(find_algorithm(name)).without
    given = [option for option in chosen if option in unused]
    if given:
        raise OptionError(f"{_flag(given[0])}: has no effect on {name}; leave it out")


def _defaults(dataset: str, chosen: Mapping[str, Any], regression: bool | None) -> dict[str, Any]:
    defaults = defaults_of(dataset, chosen.get("model"), regression)
    algorithm = class_of(find_algorithm(chosen.get("algorithm", "maml")))
    defaults |= algorithm.defaults
    kind = kind_of(dataset)
    if regression or kind in REGRESSION_KINDS:
        defaults |= algorithm.kind_defaults.get("regression", {})
    defaults |= {**algorithm.kind_defaults.get(kind, {}), **_declared(algorithm)}
    if {"iterations", "minutes"} & chosen.keys():
        # A budget that is given replaces the default one as a whole.
        defaults |= {"iterations": None, "minutes": None}
    return defaults


def _declared(algorithm: type) -> dict[str, Any]:
    """Options that a class of a user's own has as defaults of its fields."""
    own = [each for each in algorithm.__mro__ if not each.__module__.startswith("metalearn.")]
    fields = {"steps": "inner_steps", "rate": "inner_lr"}
    return {
        option: getattr(algorithm, field)
        for field, option in fields.items()
        if any(field in vars(each) for each in own)
    }


# Checks: each says what is wrong with a value, or None.

Check = Callable[[Any], str | None]


def at_least(low: int, high: float = math.inf) -> Check:
    limits = f"at least {low}" if high == math.inf else f"{low} to {high:,.0f}"
    return lambda value: None if low <= value <= high else f"expected a whole number, {limits}"


def positive(value: float) -> str | None:
    fine = math.isfinite(value) and value > 0
    return None if fine else "expected a finite number above 0"


def not_negative(value: float) -> str | None:
    fine = math.isfinite(value) and value >= 0
    return None if fine else "expected a finite number of at least 0"


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


def _is_dataset(value: str) -> bool:
    return kind_of(value) not in ("images", "completion") or bool(parts_of(value))


OPTIONAL = {
    "fewest_ways",
    "most_shots",
    "train_ways",
    "train_shots",
    "meta_clip",
    "iterations",
    "minutes",
    "task_slice",
    "ink",
    "data",
}
CHECKS: Mapping[str, Check] = {
    "dataset": lambda value: None if _is_dataset(value) else "expected a dataset's name",
    "labels": one_of(*LABELS, NUMBERS),
    "ways": at_least(2, MOST),
    "train_ways": at_least(2, MOST),
    "fewest_ways": at_least(2, MOST),
    "most_shots": at_least(1, MOST),
    "shots": at_least(1, MOST),
    "train_shots": at_least(1, MOST),
    "queries": at_least(1, MOST),
    "meta_optimizer": one_of(*OPTIMIZERS),
    "meta_clip": positive,
    "inner_steps": at_least(0),
    "inner_lr": positive,
    "meta_lr": positive,
    "meta_lr_final": not_negative,
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
    "eval_steps": at_least(0),
    "validate_every": at_least(1),
    "validation_episodes": at_least(2),
}
