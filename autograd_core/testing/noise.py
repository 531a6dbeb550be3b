"""What rounding does to a function: how far its values are off, measured rather than assumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Arrays = Sequence[np.ndarray]
Values = Callable[[Arrays], list[np.ndarray]]

MANY = 100_000
"""Arrays of more entries are not looked through for ties."""
ROUNDS = 9
"""Places on a line where the noise of a function is measured."""


def eps_of(x: np.ndarray) -> float:
    """The spacing of an array's numbers near 1; 0 where they are no floats."""
    return float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0


def nudged(
    leaves: Arrays, places: Sequence[int], rng: np.random.Generator, ulps: float
) -> list[np.ndarray]:
    """Arguments, moved by some units in their last place, their axes in memory as they were.
    Equals stay equal: at ties a function is no other there than here."""
    near = [np.array(x) for x in leaves]
    turns = by_value([leaves[i] for i in places], lambda n: rng.uniform(-1, 1, n))
    for i, t in zip(places, turns, strict=True):
        x = near[i]
        x[...] = x * (1 + ulps * eps_of(x) * t)
    return near


def by_value(arrays: Arrays, draw: Callable[[int], np.ndarray]) -> list[np.ndarray]:
    """A number for each entry of some arrays, the same for equal entries.

    Args:
        arrays: with entries that can be sorted.
        draw: gives as many numbers as it is asked for.
    """
    if not arrays:
        return []
    sizes = [x.size for x in arrays]
    entries = np.concatenate([x.astype(np.float64).ravel() for x in arrays])
    if entries.size > MANY:  # sorting them takes longer than ties are worth
        return [draw(x.size).reshape(x.shape) for x in arrays]
    values, which = np.unique(entries, return_inverse=True)
    parts = np.split(draw(values.size)[which], np.cumsum(sizes)[:-1])
    return [part.reshape(x.shape) for part, x in zip(parts, arrays, strict=True)]


def noise_of(
    g: Values, leaves: Arrays, places: Sequence[int], rng: np.random.Generator
) -> list[np.ndarray] | None:
    """How far entries of g are off by rounding: third differences along a line, which leave of a
    smooth function next to nothing (Hamming 1962; Moré and Wild 2011). None where g is undefined.

    Args:
        g: from all leaves to arrays.
        leaves: where.
        places: the leaves that are moved.
    """
    step = max((eps_of(leaves[i]) for i in places), default=0.0) ** 0.35
    # Steps near a multiple of what values are rounded to would not show it.
    found = [_thirds(g, leaves, places, rng, step * factor) for factor in (1.0, 0.377, 0.144)]
    kept = [each for each in found if each is not None]
    if len(kept) < len(found):
        return None
    return [np.max(np.stack(each), axis=0) for each in zip(*kept, strict=True)]


def _thirds(
    g: Values, leaves: Arrays, places: Sequence[int], rng: np.random.Generator, step: float
) -> list[np.ndarray] | None:
    turns = by_value([leaves[i] for i in places], lambda n: rng.uniform(0.5, 1, n))
    rows = []
    for k in range(ROUNDS):
        near = [np.array(x) for x in leaves]
        for i, t in zip(places, turns, strict=True):
            near[i][...] = near[i] * (1 + k * step * t)
        try:
            rows.append([x.astype(np.float64) for x in g(near)])
        except Exception:
            return None
    found = []
    for values in zip(*rows, strict=True):
        thirds = np.abs(np.diff(np.stack(values), 3, axis=0))
        found.append(np.nan_to_num(thirds.max(0), posinf=0) / np.sqrt(20))
    return found
