"""Rows of the tables: an operation, arguments for it, and what another library calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ac

Arrays = list[np.ndarray]


class Row(NamedTuple):
    """One comparison: an operation, arguments for it, and what another library calls it."""

    name: str  # the public operation that the row is about
    make: Callable[[np.random.Generator], tuple]
    ours: Callable | None = None  # `ac.<name>` where not given; the name may be dotted
    theirs: Any = None  # a function, or a dotted name in the other library; `name` by default
    tag: str = ""

    @property
    def function(self) -> Callable:
        return self.ours or attrgetter(self.name)(ac)

    def arguments(self, again: int = 0) -> Arrays:
        """Arguments; others of the same shapes for another number in `again`."""
        rng = np.random.default_rng([again, *map(ord, self.name + self.tag)])
        return [np.asarray(x) for x in self.make(rng)]


def identify(rows: Sequence[Row]) -> list[str]:
    return [row.name + (f"-{row.tag}" if row.tag else "") for row in rows]


def normal(*shapes: tuple[int, ...]) -> Callable:
    """Arguments of any sign."""
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Callable:
    """Arguments from low to high."""
    return lambda rng: tuple(rng.uniform(low, high, s) for s in shapes)


def spread(*shape: int) -> Any:
    """Whole numbers and a little: apart from each other, and from ties and jumps."""

    def make(rng: np.random.Generator) -> tuple:
        n = int(np.prod(shape))
        return ((rng.permutation(n) - n / 2 + rng.uniform(0.1, 0.4, n)).reshape(shape),)

    return make


def integers(low: int, high: int, *shapes: tuple[int, ...]) -> Any:
    return lambda rng: tuple(rng.integers(low, high, s) for s in shapes)


def booleans(*shapes: tuple[int, ...]) -> Any:
    return lambda rng: tuple(rng.integers(0, 2, s) > 0 for s in shapes)


def same(name: str, *options: Any, make: Any = None, theirs: str | None = None) -> Row:
    """Both libraries take the same positional options after the array."""

    def their(t: Any, x: Any) -> Any:
        return getattr(t, theirs or name)(x, *options)

    tag = " ".join(map(str, options))
    return Row(
        name, make or normal((2, 3, 4)), lambda x: getattr(ac, name)(x, *options), their, tag
    )


def rows_of(make: Any, names: str, **renamed: str) -> list[Row]:
    same = [Row(name, make) for name in names.split()]
    return same + [Row(name, make, theirs=theirs) for name, theirs in renamed.items()]


X = (3, 4)
WIDE = uniform(-3, 3, X)
ABOVE = uniform(0.2, 3, X)
INSIDE = uniform(-0.9, 0.9, X)
PAIR = normal((3, 1, 4), (5, 1))  # broadcast against each other
CUBE = spread(2, 3, 4)
