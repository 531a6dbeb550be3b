"""`Draw`: what a primitive's domain draws its arguments from.

    def domain(draw):
        shape = draw.shape(min_rank=1)
        return (draw.array(shape),), {"axis": draw.integer(0, len(shape) - 1)}

Arrays are drawn so that a mistake shows: entries are distinct and stay clear of the kinks of `max`,
`abs`, `floor` and their like, memory is laid out in every way NumPy knows, and nothing may be
written to. Every decision about *structure* (shapes, axes, choices) comes from `integer`, every
array from a seed; so a draw can be repeated with other values in arrays of the same shapes, which
is what a batch of calls is made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

LENGTHS = (1, 2, 3, 2, 3)
"""Lengths of axes, simple ones first, as Hypothesis shrinks towards the first."""

Shape = tuple[int, ...]
ArgumentsDomain = Callable[["Draw"], tuple[tuple, dict]]
"""From a draw to arguments and parameters; `domains.Domain` is about one array's entries."""


class Draw:
    """Base class: a backing gives `_integer`, all else follows from it.

    Args:
        empty: make one axis of shapes whose domain allows it (`min_length=0`) of length 0.
        replay: the results of `integer` in an earlier draw, to be given again.
    """

    def __init__(self, empty: bool = False, replay: Sequence[int] | None = None):
        self.empty = empty
        self.decisions: list[int] = []
        self._replay = None if replay is None else iter(replay)
        self._taken = np.zeros(0)

    def _integer(self, low: int, high: int) -> int:
        raise NotImplementedError

    # Structure --------------------------------------------------------------------------------

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        if low > high:
            raise ValueError(f"draw.integer: nothing from {low} to {high}")
        decision = self._integer(low, high) if self._replay is None else next(self._replay)
        self.decisions.append(decision)
        return decision

    def choice(self, items: Sequence[Any]) -> Any:
        """One of the items."""
        return items[self.integer(0, len(items) - 1)]

    def permutation(self, n: int) -> tuple[int, ...]:
        """0, …, n - 1 in some order."""
        left = list(range(n))
        return tuple(left.pop(self.integer(0, len(left) - 1)) for _ in range(n))

    def shape(self, min_rank: int = 0, max_rank: int = 3, min_length: int = 1) -> Shape:
        """A shape of short axes: lengths 1 to 3, and 0 at times where `min_length` is 0."""
        rank = max(self.integer(min_rank, max_rank), self.integer(min_rank, max_rank))
        shape = [self.choice(LENGTHS) for _ in range(rank)]
        if self.empty and min_length == 0 and shape:
            shape[self.integer(0, len(shape) - 1)] = 0
        return tuple(shape)

    def length(self, min_length: int = 1) -> int:
        """The length of one axis: 1 to 3, and 0 at times where `min_length` is 0."""
        return 0 if self.empty and min_length == 0 and self.integer(0, 1) else self.choice(LENGTHS)

    def broadcastable_shapes(
        self, k: int, max_rank: int = 3, min_length: int = 1
    ) -> tuple[Shape, ...]:
        """k shapes that broadcast against each other, some with axes missing or of length 1."""
        whole = self.shape(0, max_rank, min_length)
        if k == 1:
            return (whole,)
        return tuple(self._broadcastable(whole) for _ in range(k))

    def _broadcastable(self, whole: Shape) -> Shape:
        if self.integer(0, 1) == 0:
            return whole
        shape = whole[self.integer(0, len(whole)) :]
        return tuple(1 if self.integer(0, 2) == 2 else n for n in shape)

    # Values -----------------------------------------------------------------------------------

    def array(self, shape: Shape, low: float = -3.0, high: float = 3.0) -> np.ndarray:
        """A read-only float64 array with entries from low to high.

        Entries differ from each other, from those of arrays drawn before, and from the multiples of
        ½, by a margin that shrinks with their number.
        """
        rng = np.random.default_rng(self.seed())
        values = apart(rng, math.prod(shape), low, high, self._taken)
        self._taken = np.sort(np.concatenate([self._taken, values]))
        return self.laid_out(values.reshape(shape))

    def integers(self, shape: Shape, low: int, high: int) -> np.ndarray:
        """A read-only int64 array with entries from low to high - 1."""
        rng = np.random.default_rng(self.seed())
        return self.laid_out(rng.integers(low, high, shape))

    def seed(self) -> int:
        """A seed for values that a domain makes itself; other values follow from other seeds."""
        return self._integer(0, 2**20)

    def laid_out(self, values: np.ndarray) -> np.ndarray:
        """A read-only copy of some array, in memory of any layout."""
        out = self.choice(LAYOUTS)(values)
        out.flags.writeable = False
        return out


def apart(
    rng: np.random.Generator, count: int, low: float, high: float, taken: np.ndarray
) -> np.ndarray:
    """`count` numbers from low to high, apart from each other, from `taken` and from halves."""
    free, width = free_cells(count, low, high, taken)
    return rng.choice(free, count, replace=False) + rng.uniform(-0.1, 0.1, count) * width


def free_cells(count: int, low: float, high: float, taken: np.ndarray) -> tuple[np.ndarray, float]:
    """The middles of at least `count` cells of one width that are clear of `taken` and of halves,
    and that width."""
    cells = 2 * (count + taken.size) + 8
    while True:
        width = (high - low) / cells
        middles = low + width * (np.arange(cells) + 0.5)
        if (
            width > 1
        ):  # cells need not become small to be clear of halves, if their middles may move
            middles, width = np.floor(2 * middles) / 2 + 0.25, 0.5
        to_halves = np.abs(middles - np.rint(2 * middles) / 2)
        free = middles[np.minimum(to_halves, _distance(middles, taken)) >= 0.4 * width]
        if free.size >= count:
            return free, width
        cells *= 2


def _distance(points: np.ndarray, sorted_values: np.ndarray) -> np.ndarray:
    """The distance of each point to the nearest of some values."""
    fenced = np.concatenate([[-np.inf], sorted_values, [np.inf]])
    right = np.searchsorted(fenced, points)
    return np.minimum(points - fenced[right - 1], fenced[right] - points)


def _contiguous(x: np.ndarray) -> np.ndarray:
    return np.array(x, order="C")


def _transposed(x: np.ndarray) -> np.ndarray:
    return np.array(x, order="F")


def _strided(x: np.ndarray) -> np.ndarray:
    """Every other entry of a larger array, along every axis, the first axis innermost."""
    wide = np.full([2 * n for n in x.shape], 99, x.dtype, order="F")
    view = wide[(slice(None, None, 2),) * x.ndim + (...,)]
    view[...] = x
    return view


def _reversed(x: np.ndarray) -> np.ndarray:
    """Negative strides along every axis, the first axis innermost."""
    backwards = (slice(None, None, -1),) * x.ndim + (...,)
    return np.array(x[backwards], order="F")[backwards]


LAYOUTS_BY_NAME = {
    "C": _contiguous,
    "F": _transposed,
    "strided": _strided,
    "reversed": _reversed,
}
LAYOUTS = tuple(LAYOUTS_BY_NAME.values())


class RandomDraw(Draw):
    """Draws from a NumPy generator: fast, and the same for the same seed."""

    def __init__(self, seed: int, empty: bool = False, replay: Sequence[int] | None = None):
        super().__init__(empty, replay)
        self._rng = np.random.default_rng(seed)

    def _integer(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high + 1))


def draw_siblings(
    domain: ArgumentsDomain, draw: Draw, count: int
) -> tuple[list[tuple[np.ndarray, ...]], dict]:
    """`count` draws of arguments that differ in their values alone, and the parameters of all.

    Raises:
        ValueError: the domain's shapes or parameters depend on the values of arrays.
    """
    args, params = domain(draw)
    drawn = [_as_arrays(draw, args)]
    for _ in range(count - 1):
        again = RandomDraw(draw.seed(), draw.empty, draw.decisions)
        args, same = domain(again)
        drawn.append(_as_arrays(again, args))
        if _structure(drawn[-1]) != _structure(drawn[0]) or repr(same) != repr(params):
            raise ValueError(
                "the domain's shapes or parameters depend on the values of drawn arrays; draw them "
                "by draw.integer, draw.choice or draw.permutation"
            )
    return drawn, params


def _as_arrays(draw: Draw, args: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Arguments as arrays; those that the domain computed are laid out as drawn ones are."""
    arrays = map(np.asarray, args)
    return tuple(draw.laid_out(x) if x.flags.writeable else x for x in arrays)


def _structure(args: Sequence[np.ndarray]) -> list[tuple]:
    return [(x.shape, x.dtype) for x in args]
