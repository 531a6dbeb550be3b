"""Several datasets together: each episode is of one of them, its domain.

Triantafillou et al. 2020, "Meta-Dataset", train on some domains and test on others that were never
seen. A `DomainSplit` says which are which.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac
from metalearn.tasks.batches import ClassBatchSampler
from metalearn.tasks.datasets import Dataset
from metalearn.tasks.episodes import EpisodeSampler, Task
from metalearn.tasks.errors import DataError
from metalearn.tasks.random import stream_key, uniforms
from metalearn.tasks.splits import Split, random_split


class DrawnDomain(NamedTuple):
    """What one domain's sampler drew for its tasks."""

    name: str
    places: np.ndarray  # (t,) int64, where its tasks stand among all
    drawn: Any


class DomainSampler:
    """Each task is one of a domain's sampler, the domains equally likely or by `weights`.

    Task t of iteration i is task t of iteration i of its domain's sampler. The samplers' tasks have
    to have the same shapes. Raises `DataError` without samplers, or for weights that are none.
    """

    def __init__(
        self,
        samplers: Mapping[str, Any],
        seed: int,
        stream: str = "train",
        weights: Mapping[str, float] | None = None,
    ):
        self.samplers, self.seed, self.stream = dict(samplers), seed, stream
        self.names = tuple(sorted(self.samplers))
        if not self.names:
            raise DataError(f"no {stream} domains; expected at least one")
        if weights is not None and set(weights) != set(self.names):
            raise DataError(
                f"weights of {', '.join(sorted(weights)) or 'nothing'}; expected one for each of "
                f"{', '.join(self.names)}"
            )
        each = np.array([1.0 if weights is None else weights[name] for name in self.names])
        if not (np.isfinite(each).all() and (each > 0).all()):
            raise DataError(f"weights={each.tolist()}; expected positive numbers")
        self._edges = np.cumsum(each / each.sum())[:-1]
        self._key = stream_key(seed, f"domains {stream}")

    def domains(self, iteration: int, tasks: Iterable[int]) -> np.ndarray:
        """(T,) int64: the place in `names` of each task's domain; the one `sample` uses."""
        uniform = uniforms(self._key, iteration, tasks, 1)[:, 0]
        return np.searchsorted(self._edges, uniform, side="right")

    def draw(self, iteration: int, tasks: Iterable[int]) -> list[DrawnDomain]:
        """What each domain's sampler draws for its tasks."""
        call = lambda sampler, some: sampler.draw(iteration, some)
        return self._by_domain(iteration, tasks, call)

    def placed(self, drawn: list[DrawnDomain], device: str) -> Task:
        """The same as `sample` gives, made on a device."""
        order = np.argsort(np.concatenate([part.places for part in drawn]))
        tasks = [self.samplers[part.name].placed(part.drawn, device) for part in drawn]
        join = lambda *parts: ac.take(ac.concatenate(parts, axis=0), order, axis=0)
        return ac.tree_map(join, *tasks)

    def sample(self, iteration: int, tasks: Iterable[int]) -> Task:
        """The tasks of an iteration, stacked in the order of `tasks`."""
        call = lambda sampler, some: sampler.sample(iteration, some)
        found = self._by_domain(iteration, tasks, call)
        order = np.argsort(np.concatenate([part.places for part in found]))
        join = lambda *parts: np.concatenate(parts)[order]
        return ac.tree_map(join, *[part.drawn for part in found])

    def _by_domain(self, iteration: int, tasks: Iterable[int], call: Any) -> list[DrawnDomain]:
        tasks = list(tasks)
        domains = self.domains(iteration, tasks)
        found = []
        # Without tasks the first domain gives the empty arrays.
        for i in sorted(set(domains.tolist())) or [0]:
            places = np.flatnonzero(domains == i)
            name = self.names[i]
            drawn = call(self.samplers[name], [tasks[place] for place in places])
            found.append(DrawnDomain(name, places, drawn))
        return found


class DomainBatches(DomainSampler):
    """Mini-batches of a supervised learner on all classes of several domains, each batch of one of
    them; `outputs` is how many labels all have together. Arguments as in `ClassBatchSampler`."""

    def __init__(
        self,
        domains: Mapping[str, "Domain"],
        batch: int,
        seed: int,
        stream: str = "train",
        rotations: Sequence[int] | None = None,
    ):
        samplers, self.outputs = {}, 0
        for name, domain in sorted(domains.items()):
            classes = getattr(domain.split, stream)
            samplers[name] = ClassBatchSampler(
                domain.dataset, classes, batch, seed, f"{stream} {name}", rotations, self.outputs
            )
            self.outputs += samplers[name].outputs
        super().__init__(samplers, seed, stream)


@dataclass(frozen=True)
class Domain:
    """A dataset with the classes that each part may use."""

    dataset: Dataset
    split: Split

    @classmethod
    def whole(cls, dataset: Dataset) -> "Domain":
        """All of a dataset for test, as of a domain that was never seen in training."""
        return cls(dataset, Split((), (), dataset.classes, "whole-1"))

    @classmethod
    def training(cls, dataset: Dataset, validation: float = 0.2, seed: int = 0) -> "Domain":
        """A dataset for training, with a share of its classes (at least one) for validation."""
        classes = dataset.classes
        held = max(1, round(validation * len(classes)))
        cut = random_split(classes, seed, test=held)
        return cls(dataset, Split(cut.train, cut.test, (), "training-domain-1", seed))


@dataclass(frozen=True)
class DomainSplit:
    """Domains to train on, and others to test on, by name; no data is in both.

    Training and validation are on classes of the training domains. Test is on the test domains, or,
    where there are none, on the training domains' own test classes.

    Raises `DataError` when a name or a dataset is in both parts, a dataset comes twice, or examples
    differ in shape.
    """

    train: Mapping[str, Domain]
    test: Mapping[str, Domain]

    def __post_init__(self) -> None:
        if not self.train:
            raise DataError("no training domains; expected at least one")
        both = sorted(set(self.train) & set(self.test))
        if both:
            raise DataError(
                f"domain {both[0]!r} is for training and for test; expected one of them"
            )
        every = [*self.train.items(), *self.test.items()]
        for (a, one), (b, other) in combinations(every, 2):
            if one.dataset.digest == other.dataset.digest:
                raise DataError(
                    f"domains {a!r} and {b!r} hold the same data; expected each dataset once"
                )
            shapes = one.dataset.example_shape, other.dataset.example_shape
            if shapes[0] != shapes[1]:
                raise DataError(
                    f"examples of {a!r} have the shape {shapes[0]}, those of {b!r} {shapes[1]}; "
                    "expected the same size and channels: read both with the same size="
                )

    def domains(self, part: str) -> dict[str, Domain]:
        """Those that tasks of "train", "validation" or "test" are drawn from, by name."""
        return dict(self.test if part == "test" and self.test else self.train)

    def sampler(
        self,
        part: str,
        ways: int,
        shots: int,
        queries: int,
        seed: int,
        weights: Mapping[str, float] | None = None,
        rotations: Sequence[int] | None = None,
    ) -> DomainSampler:
        """Episodes of a part's domains; arguments as in `EpisodeSampler`. Raises `DataError`."""
        samplers = {
            name: EpisodeSampler(
                domain.dataset,
                getattr(domain.split, part),
                ways,
                shots,
                queries,
                seed,
                f"{part} {name}",
                rotations,
            )
            for name, domain in self.domains(part).items()
        }
        return DomainSampler(samplers, seed, part, weights)
