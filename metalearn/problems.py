"""What a run learns from: a dataset with its split, the tasks drawn from it, and a model to fit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from metalearn.catalogue import IMAGES, found, kind_of, read_arrays, read_images
from metalearn.config import Config, algorithm_of, make_config
from metalearn.errors import OptionError, RunError
from metalearn.learner import ACCURACY, MSE, Measure
from metalearn.measures import PADDED_ACCURACY
from metalearn.own import digest, own_class, short_name, told_by_own
from metalearn.tasks import (
    ClassBatchSampler,
    CompletionSampler,
    DataError,
    Dataset,
    Domain,
    DomainBatches,
    DomainSplit,
    EpisodeSampler,
    FamilySampler,
    FourierSampler,
    FunctionSampler,
    ImageDataset,
    Needs,
    Preprocess,
    Progress,
    SinusoidLineSampler,
    SinusoidSampler,
    Split,
    SplitDataset,
    TabularDataset,
    TabularSampler,
    TaskFamily,
    TaskSampler,
    TrajectorySampler,
    VariableEpisodeSampler,
    load_tables,
    omniglot_alphabet_split,
    omniglot_split,
    random_split,
)
from metalearn.tasks.errors import amount, listed
from metalearn.tasks.shortage import asked, few_text, fitting
from metalearn.tasks.tabular import NUMBERS
from metalearn.tasks.variable import Range, bounds

PARTS = ("train", "validation", "test")
OWN = ("folder", "arrays")
"""Datasets of users' own classes, of which some may be too small."""


class Problem(Protocol):
    """Data, and how predictions on them are judged."""

    @property
    def measure(self) -> Measure:
        """How predictions are judged."""

    @property
    def record(self) -> dict[str, Any]:
        """What a run writes down of the data, as JSON."""

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Of an input to the model, such as (1, 28, 28)."""

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for an input."""

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        """Tasks of "train", "validation" or "test". Raises `DataError`."""

    def queries_left(self, part: str, shots: int) -> int | None:
        """How many queries a class every class of a part can give; None for any number."""

    def describe(self, part: str) -> str:
        """Whose tasks those are, for people."""


FAMILIES: dict[str, type[FunctionSampler]] = {
    "sinusoid": SinusoidSampler,
    "sinusoid-line": SinusoidLineSampler,
    "fourier": FourierSampler,
}
"""Families of functions of one number, by the dataset's name."""


@dataclass(frozen=True)
class Functions:
    """A family of functions; the parts differ in their stream of random numbers."""

    family: str
    measure: Measure = MSE
    example_shape: tuple[int, ...] = (1,)
    outputs: int = 1

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": {"name": self.family, "fingerprint": None}, "split": None}

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        return FAMILIES[self.family](shots, queries, seed, part)

    def queries_left(self, part: str, shots: int) -> int | None:
        del part, shots
        return None

    def describe(self, part: str) -> str:
        what = "waves" if self.family == "sinusoid" else f"{self.family} functions"
        return f"new {what} of the stream {part!r}"


def _split_record(split: Split) -> dict[str, Any]:
    return {
        "version": split.version,
        "seed": split.seed,
        "hash": split.hash,
        "counts": {part: len(getattr(split, part)) for part in PARTS},
    }


def _describe(part: str, split: Split, what: str, plural: str | None = None) -> str:
    held_out = "held-out " if part == "test" else ""
    kind = f"{held_out}{part} {what}"
    count = amount(len(getattr(split, part)), kind, plural and f"{held_out}{part} {plural}")
    return f"{count} (split {split.version}, {split.hash[:12]})"


@dataclass(frozen=True)
class Completion:
    """Images of a dataset's part, each to be told from a few of its pixels."""

    dataset: ImageDataset
    split: Split
    measure: Measure = MSE
    example_shape: tuple[int, ...] = (2,)

    @property
    def outputs(self) -> int:
        return self.dataset.images.shape[1]

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": self.dataset.record, "split": _split_record(self.split)}

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        classes = getattr(self.split, part)
        return CompletionSampler(self.dataset, classes, shots, queries, seed, part)

    def queries_left(self, part: str, shots: int) -> int:
        del part
        height, width = self.dataset.images.shape[2:]
        return height * width - shots

    def describe(self, part: str) -> str:
        return "images of " + _describe(part, self.split, "class", "classes")


@dataclass(frozen=True)
class Tabular:
    """Tasks of a table; `ways` where each has labels of its own."""

    dataset: TabularDataset
    ways: int | None = None

    @property
    def split(self) -> Split:
        """Which tasks are in which part."""
        return self.dataset.split

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the table is not used, and the unit of errors, for people."""
        if self.unit is None:
            return self.dataset.notes
        return (*self.dataset.notes, f"errors are in units of {self.unit}")

    @property
    def unit(self) -> str | None:
        """Of squared errors, in regression."""
        preprocess = self.dataset.preprocess
        if preprocess.kind != "regression":
            return None
        return (
            f"the variance of {preprocess.target!r} over the training tasks, whose standard "
            f"deviation is {preprocess.scale:.4g}"
        )

    @property
    def measure(self) -> Measure:
        return MSE if self.dataset.preprocess.kind == "regression" else ACCURACY

    @property
    def example_shape(self) -> tuple[int, ...]:
        return (self.dataset.preprocess.width,)

    @property
    def outputs(self) -> int:
        if self.dataset.preprocess.kind == "regression":
            return 1
        return self.ways or len(self.dataset.labels)

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": self.dataset.record, "split": _split_record(self.dataset.split)}

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        tasks = getattr(self.dataset.split, part)
        return TabularSampler(self.dataset, tasks, shots, queries, seed, part, self.ways)

    def queries_left(self, part: str, shots: int) -> int:
        """In regression a task, else a label."""
        return self.dataset.most_of_each(getattr(self.dataset.split, part), self.ways) - shots

    def describe(self, part: str) -> str:
        return _describe(part, self.dataset.split, "task")


@dataclass(frozen=True)
class Classification:
    """Episodes of `ways` classes of a dataset's part; `upright` leaves out its rotations; `notes`
    say which classes are not used."""

    dataset: Dataset
    split: Split
    ways: int
    upright: bool = False
    measure: Measure = ACCURACY
    notes: tuple[str, ...] = ()

    @property
    def example_shape(self) -> tuple[int, ...]:
        return self.dataset.example_shape

    @property
    def outputs(self) -> int:
        return self.ways

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": self.dataset.record, "split": _split_record(self.split)}

    @property
    def _rotations(self) -> tuple[int, ...] | None:
        return (0,) if self.upright else None

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        classes, turns = getattr(self.split, part), self._rotations
        return EpisodeSampler(self.dataset, classes, self.ways, shots, queries, seed, part, turns)

    def batches(self, part: str, batch: int, seed: int) -> ClassBatchSampler:
        """Ordinary mini-batches over all classes of a part. Raises `DataError`."""
        classes, turns = getattr(self.split, part), self._rotations
        return ClassBatchSampler(self.dataset, classes, batch, seed, part, turns)

    def trajectories(
        self, part: str, tasks: int, examples: int, queries: int, remember: int, seed: int
    ) -> TrajectorySampler:
        """Trajectories through the classes of a part. Raises `DataError`."""
        classes, turns = getattr(self.split, part), self._rotations
        return TrajectorySampler(
            self.dataset, classes, tasks, examples, queries, remember, seed, part, turns
        )

    def queries_left(self, part: str, shots: int) -> int:
        return _fewest(self.dataset, getattr(self.split, part)) - shots

    def describe(self, part: str) -> str:
        return _describe(part, self.split, "class", "classes")


def _fewest(dataset: Dataset, classes: Sequence[str]) -> int:
    """Examples of the smallest class."""
    return int(dataset.counts[dataset.indices_of(classes)].min())


@dataclass(frozen=True)
class Own:
    """A family of a user's own, by its name; see `tasks.family`."""

    name: str

    @cached_property
    def family(self) -> TaskFamily:
        """Made without arguments, once."""
        cls = own_class("dataset", self.name, TaskFamily)
        try:
            return cls()
        except TypeError as error:
            if told_by_own(error) is not None:
                raise
            raise OptionError(
                f"dataset {self.name}: cannot be made without arguments ({error}); expected "
                "defaults for those of __init__"
            ) from error

    @property
    def measure(self) -> Measure:
        return ACCURACY if self.family.labels else MSE

    @property
    def example_shape(self) -> tuple[int, ...]:
        return tuple(self.family.example_shape)

    @property
    def outputs(self) -> int:
        return self.family.outputs

    @property
    def record(self) -> dict[str, Any]:
        return {"dataset": {"name": self.name, "fingerprint": digest(self.name)}, "split": None}

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        return FamilySampler(self.family, shots, queries, seed, part)

    def queries_left(self, part: str, shots: int) -> int | None:
        del part, shots
        return None

    def describe(self, part: str) -> str:
        return f"{part} tasks of {short_name(self.name)}"


@dataclass(frozen=True)
class Imbalanced:
    """Episodes whose ways and shots vary, each a number or a range; what is asked of `sampler`
    as shots is not used. Padded, so their measure leaves out what does not count."""

    dataset: Dataset
    split: Split
    ways: Range
    shots: Range
    upright: bool = False
    measure: Measure = PADDED_ACCURACY
    notes: tuple[str, ...] = ()

    @property
    def example_shape(self) -> tuple[int, ...]:
        return self.dataset.example_shape

    @property
    def outputs(self) -> int:
        return bounds("ways", self.ways)[1]

    @property
    def record(self) -> dict[str, Any]:
        ranges = {"ways": bounds("ways", self.ways), "shots": bounds("shots", self.shots)}
        return {
            "dataset": self.dataset.record,
            "split": _split_record(self.split),
            "ranges": {name: list(pair) for name, pair in ranges.items()},
        }

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        del shots
        classes, turns = getattr(self.split, part), (0,) if self.upright else None
        return VariableEpisodeSampler(
            self.dataset, classes, self.ways, self.shots, queries, seed, part, turns
        )

    def queries_left(self, part: str, shots: int) -> int:
        del shots
        least = bounds("shots", self.shots)[0]
        return _fewest(self.dataset, getattr(self.split, part)) - least

    def describe(self, part: str) -> str:
        return _describe(part, self.split, "class", "classes")


@dataclass(frozen=True)
class CrossDomain:
    """Episodes of `ways` classes, each of one of several datasets; tested on others."""

    domains: DomainSplit
    ways: int
    upright: bool = False
    measure: Measure = ACCURACY

    @property
    def example_shape(self) -> tuple[int, ...]:
        return next(iter(self.domains.train.values())).dataset.example_shape

    @property
    def outputs(self) -> int:
        return self.ways

    @property
    def record(self) -> dict[str, Any]:
        # The first training domain's preprocessing is that of a user's own images.
        first = self.domains.train[min(self.domains.train)].dataset.record
        every = {"train": self.domains.train, "test": self.domains.test}
        return {
            "dataset": {**first, "name": " + ".join(sorted(self.domains.train))},
            "split": None,
            "domains": {
                role: {
                    name: {"dataset": d.dataset.record, "split": _split_record(d.split)}
                    for name, d in sorted(domains.items())
                }
                for role, domains in every.items()
            },
        }

    def sampler(self, part: str, shots: int, queries: int, seed: int) -> TaskSampler:
        turns = (0,) if self.upright else None
        return self.domains.sampler(part, self.ways, shots, queries, seed, rotations=turns)

    def batches(self, part: str, batch: int, seed: int) -> DomainBatches:
        """Ordinary mini-batches over all classes of a part, each of one domain. Raises
        `DataError`."""
        turns = (0,) if self.upright else None
        return DomainBatches(self.domains.domains(part), batch, seed, part, turns)

    def queries_left(self, part: str, shots: int) -> int:
        used = self.domains.domains(part).values()
        return min(_fewest(d.dataset, getattr(d.split, part)) for d in used) - shots

    def describe(self, part: str) -> str:
        used = self.domains.domains(part)
        each = (f"{len(getattr(d.split, part))} of {name}" for name, d in sorted(used.items()))
        return f"{part} classes: {', '.join(each)}"


def open_problem(
    config: Config,
    progress: Progress | None = None,
    split: Split | None = None,
    fewer_ways: bool = False,
) -> Problem:
    """Read or make the data of a configuration.

    Args:
        progress: is told how reading goes.
        split: a recorded one to use again.
        fewer_ways: take fewer classes a task where there are too few for three parts with as many
            as the configuration says; `settled` takes that over.

    Raises `DataError` for data that cannot be used, and `OptionError` for an unknown split.
    """
    kind = kind_of(config.dataset)
    if kind == "functions":
        return Functions(config.dataset)
    if kind == "own":
        return Own(config.dataset)
    if kind == "table":
        return Tabular(_table(config, split), config.ways if config.labels == "own" else None)
    read = _read(config, progress)
    if fewer_ways and not config.is_regression:
        config = _with_ways_for(config, read)
    domains, notes = _domains(config, read, split)
    if len(domains) > 1:
        return CrossDomain(DomainSplit(domains, {}), config.ways)
    (domain,) = domains.values()
    if kind == "completion":
        return Completion(cast(ImageDataset, domain.dataset), domain.split)
    if config.varies:
        ways = (config.fewest_ways or config.ways, config.ways)
        shots = (config.shots, config.most_shots or config.shots)
        return Imbalanced(domain.dataset, domain.split, ways, shots, notes=notes)
    return Classification(domain.dataset, domain.split, config.ways, notes=notes)


def other_domain(
    config: Config, dataset: str, data: str | None = None, progress: Progress | None = None
) -> Classification:
    """All classes of another dataset of images as test classes, read as those of a configuration;
    arguments as of `metalearn train`. Raises `DataError` and `OptionError`."""
    name, place = found(dataset, data)
    if kind_of(name) != "images" or kind_of(config.dataset) != "images" or "+" in name:
        raise OptionError(
            f"--on {dataset}: expected one dataset of images, for a run that learned from images"
        )
    source = IMAGES[name]
    if not source.ink and source.channels != config.channels:
        raise OptionError(
            f"--on {dataset}: its images have {source.channels} channels, those of the run "
            f"{config.channels}; expected the same"
        )
    read = read_images(name, place, _preprocess(config), progress)[name]
    whole = Domain.whole(read.dataset if isinstance(read, SplitDataset) else read)
    notes = tuple(getattr(whole.dataset, "notes", ()))
    return Classification(
        whole.dataset, whole.split, config.ways, measure=config.measure, notes=notes
    )


def suited(dataset: str, given: Mapping[str, Any], problem: Problem) -> Config:
    """The configuration of `make_config` with the defaults that suit what the data turned out to
    be, and `settled`."""
    return settled(make_config(dataset, given, problem.measure is MSE), problem)


def settled(config: Config, problem: Problem) -> Config:
    """The configuration with what its algorithm takes from the data, such as how many classes there
    are to train on, and the ways, the shapes and the ink that only the data say; the same again
    when it has all of that."""
    if kind_of(config.dataset) not in ("functions", "images"):
        config = replace(
            config,
            inputs=problem.example_shape,
            outputs=problem.outputs,
            regression=problem.measure is MSE,
        )
    if kind_of(config.dataset) in ("images", "arrays") and not config.is_regression:
        config = replace(config, ways=problem.outputs)
    if config.dataset == "arrays":
        config = replace(config, ink=ink_found(problem) or "keep")
    return replace(config, **algorithm_of(config).settled(problem, config))


def ink_found(problem: Problem) -> str | None:
    """How grey images of a problem are brought to bright ink (see `Preprocess`); None of others."""
    dataset = getattr(problem, "dataset", None)
    if not isinstance(dataset, ImageDataset) or dataset.preprocess.channels != 1:
        return None
    return dataset.preprocess.ink


def _read(config: Config, progress: Progress | None) -> Mapping[str, Dataset | SplitDataset]:
    """The datasets that a configuration names."""
    if config.dataset == "arrays":
        return {"arrays": read_arrays(str(config.data), config.ink)}
    return read_images(config.dataset, config.data, _preprocess(config), progress)


def _with_ways_for(config: Config, read: Mapping[str, Dataset | SplitDataset]) -> Config:
    """The configuration with no more ways than each part of the datasets has classes for, or 2."""
    most = min(_most_ways(config, name, dataset) for name, dataset in read.items())
    return replace(config, ways=min(config.ways, max(most, 2)))


def _most_ways(config: Config, name: str, dataset: Dataset | SplitDataset) -> int:
    """The most classes that a task of each part can have."""
    if isinstance(dataset, SplitDataset):
        return _fewest_classes(dataset.split)
    if name == "omniglot" or config.split == "alphabets":
        return config.ways  # which has plenty
    own = name in OWN
    classes = _classes(dataset, _enough(config, dataset)) if own else dataset.classes
    if config.split != "random":
        return _fewest_classes(_split_file(config).among(classes))
    return len(classes) // len(PARTS)


def _fewest_classes(split: Split) -> int:
    return min(len(getattr(split, part)) for part in PARTS)


def _domains(
    config: Config, read: Mapping[str, Dataset | SplitDataset], split: Split | None
) -> tuple[dict[str, Domain], tuple[str, ...]]:
    """The datasets that were read, each with its split, and what is not used."""
    found = {name: _domain(config, name, each, split) for name, each in read.items()}
    domains = {name: domain for name, (domain, _) in found.items()}
    return domains, tuple(note for _, notes in found.values() for note in notes)


def _preprocess(config: Config) -> Preprocess:
    ink = config.ink or ("auto" if config.channels == 1 else "keep")
    return Preprocess(config.image_size, config.channels, ink)


def _domain(
    config: Config, name: str, dataset: Dataset | SplitDataset, split: Split | None
) -> tuple[Domain, list[str]]:
    published = None
    if isinstance(dataset, SplitDataset):
        dataset, published = dataset
    notes = list(getattr(dataset, "notes", ()))
    if split is not None or published is not None:
        return Domain(dataset, cast(Split, split or published)), notes
    classes: tuple[str, ...] = dataset.classes
    if name in OWN and not config.is_regression:
        classes, few = _large_enough(config, dataset)
        notes += few
    return Domain(dataset, _split(config, name, dataset, classes)), notes


def _large_enough(config: Config, dataset: Dataset) -> tuple[tuple[str, ...], list[str]]:
    """The classes of one's own data that are large enough for episodes, and a line on the others.

    Raises `DataError` where there are too few of them.
    """
    enough = _enough(config, dataset)
    if enough.all():
        return dataset.classes, []
    classes = _classes(dataset, enough)
    shots = _most_shots(config)
    what = "images" if isinstance(dataset, ImageDataset) else "examples"
    take = f"{shots + config.queries} {what} ({asked(shots, config.queries)})"
    best = fitting(int(dataset.counts.min()), shots, config.queries)
    if len(classes) < len(PARTS) * config.ways:
        raise DataError(
            f"dataset {dataset.name!r}: {len(classes)} of {len(enough)} classes have {take}; "
            + _ways_needed(config.ways, len(classes), "lower --shots or --queries")
            + (f"; with {best} all would fit" if best else "")
        )
    small = _classes(dataset, ~enough)
    text = few_text(len(small), len(enough), "class", "classes")
    return classes, [f"{text} left out: fewer than {take}: {listed(small)}"]


def _enough(config: Config, dataset: Dataset) -> np.ndarray:
    """Which classes have enough examples for episodes: (classes,) bool."""
    return dataset.counts >= _most_shots(config) + config.queries


def _most_shots(config: Config) -> int:
    return max(config.shots, config.train_shots or 0)


def _classes(dataset: Dataset, chosen: np.ndarray) -> tuple[str, ...]:
    return tuple(np.array(dataset.classes)[chosen].tolist())


def _ways_needed(ways: int, classes: int, otherwise: str) -> str:
    """Words for too few classes, and what to do."""
    most = classes // len(PARTS)
    advice = f"give --ways {most} or fewer, or {otherwise}" if most >= 2 else otherwise
    return (
        f"--ways {ways} needs at least {len(PARTS) * ways}, {ways} each for training, validation "
        f"and test: {advice}"
    )


def _table(config: Config, split: Split | None) -> TabularDataset:
    needs = None
    if split is None:
        needs = Needs(_most_shots(config), config.queries, config.ways)
        split = None if config.split == "random" else _split_file(config)
    return load_tables(
        str(config.data),
        task=config.task_column or (None if Path(str(config.data)).is_dir() else "task"),
        target=str(config.target),
        kind="regression" if config.labels == NUMBERS else None,
        labels="shared" if config.labels == NUMBERS else config.labels,
        ignore=config.ignore,
        needs=needs,
        split=split,
    )


def _split(config: Config, name: str, dataset: Dataset, classes: Sequence[str]) -> Split:
    """The split of some classes of a dataset."""
    if config.split == "alphabets":
        if "omniglot" not in config.dataset.split("+"):
            raise OptionError("--split alphabets: only Omniglot has alphabets; use random")
        if name == "omniglot":
            return omniglot_alphabet_split(dataset.classes)
    elif config.split != "random":
        split = _split_file(config)
        return split if len(classes) == len(dataset.classes) else split.among(classes)
    if name == "omniglot":
        return omniglot_split(dataset.classes)
    return _random_split(dataset.name, classes, 1 if config.is_regression else config.ways)


def _split_file(config: Config) -> Split:
    try:
        return read_split(Path(config.split))
    except (RunError, DataError) as error:
        raise OptionError(f"--split: expected random, alphabets or a file; {error}") from error


def _random_split(name: str, classes: Sequence[str], ways: int) -> Split:
    """A fifth of the classes for test and a tenth for validation, but enough for an episode."""
    total = len(classes)
    if total < len(PARTS) * ways:
        raise OptionError(
            f"dataset {name!r}: {amount(total, 'class', 'classes')}; "
            + _ways_needed(ways, total, "give more classes")
        )
    test, validation = max(ways, round(0.2 * total)), max(ways, round(0.1 * total))
    return random_split(classes, 0, test=test, validation=validation)


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
