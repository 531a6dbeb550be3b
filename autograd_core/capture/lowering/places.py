"""Where values lie: buffers, and how the axes of a value walk through them.

What moves entries without computing (reshape, transpose, broadcast, slice) is another way to walk
through the same buffer, wherever strides can say it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from autograd_core.capture.graph import Equation

VIEWS = ("reshape", "transpose", "broadcast", "slice", "stop_gradient")
"""Primitives that only move entries."""


@dataclass(eq=False)
class Buffer:
    """Memory of `size` entries: "local" (part of the arena), or the "argument", "constant",
    "table" or "result" of some number."""

    dtype: str
    size: int
    role: str = "local"
    number: int = 0

    @property
    def local(self) -> bool:
        return self.role == "local"


class Place(NamedTuple):
    """Entries of a buffer: `offset` + Σ index · stride."""

    buffer: Buffer
    strides: tuple[int, ...]
    offset: int = 0


def dense(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    """Strides without gaps, with the axes from the slowest to the fastest in an order."""
    strides, reach = [0] * len(shape), 1
    for axis in reversed(order if order is not None else range(len(shape))):
        strides[axis] = reach
        reach *= shape[axis]
    return tuple(strides)


def moved(place: Place, shape: Sequence[int], equation: Equation) -> Place | None:
    """Where the output of a view of what lies at `place`, of `shape`, lies; None if nowhere."""
    name, params = equation.primitive.name, equation.params
    strides, target = place.strides, equation.output.aval.shape
    if name == "transpose":
        return Place(place.buffer, tuple(strides[a] for a in params["axes"]), place.offset)
    if name == "broadcast":
        spread = [0] * len(target)
        for axis, stride in zip(params["axes"], strides, strict=True):
            spread[axis] = stride
        return Place(place.buffer, tuple(spread), place.offset)
    if name == "slice":
        return sliced(place, params["key"])
    if name == "stop_gradient":
        return place
    found = reshaped(shape, strides, target)
    return None if found is None else Place(place.buffer, found, place.offset)


def sliced(place: Place, key: Sequence[Any]) -> Place:
    offset, kept = place.offset, []
    for entry, stride in zip(key, place.strides, strict=True):
        if isinstance(entry, int):
            offset += entry * stride
        else:
            offset += entry[0] * stride
            kept.append(entry[2] * stride)
    return Place(place.buffer, tuple(kept), offset)


def reshaped(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[int, ...] | None:
    """The strides of the same entries in another shape; None where strides cannot say it."""
    if math.prod(shape) == 0:
        return dense(target)
    # Runs of old axes that lie behind each other, which new axes can divide as they like.
    runs: list[tuple[int, int]] = []  # (length, stride of the last)
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    found: list[int] = []
    rest = iter(runs)
    left, stride = 1, 0
    for n in target:
        if n == 1:
            found.append(0)
            continue
        if left == 1:
            left, stride = next(rest)
        if left % n:
            return None
        left //= n
        found.append(left * stride)
    return tuple(found)
