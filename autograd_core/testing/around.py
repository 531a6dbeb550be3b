"""Where else a function is looked at: near its arguments, at zero, in other layouts and dtypes.

Nobody asked for these places: what a function refuses there, or where it has a kink, is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from autograd_core.testing.draw import LAYOUTS_BY_NAME
from autograd_core.testing.subjects import Subject

LAYOUTS = {
    "C": "rows first",
    "F": "columns first",
    "strided": "with gaps",
    "reversed": "backwards in memory",
}
LARGER = "much larger"
"""There rules may overflow that are right."""
Place = tuple[str, list[np.ndarray]]
"""Where, in words; and all leaves."""


def places(subject: Subject, rng: np.random.Generator) -> Iterator[Place]:
    """Other values in arrays of the same shapes."""

    def like(make: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
        return subject.filled([np.asarray(make(x), x.dtype) for x in subject.floats])

    yield "nearby", like(lambda x: x * (1 + 0.1 * rng.uniform(-1, 1, x.shape)))
    yield "elsewhere", like(lambda x: np.abs(x) * rng.uniform(0.3, 1.5, x.shape) + 0.1)
    yield "about one", like(lambda x: rng.uniform(0.3, 2, x.shape))
    yield "negative", like(lambda x: -np.abs(x) * rng.uniform(0.3, 1.5, x.shape) - 0.1)
    yield "near zero", like(lambda x: 1e-3 * rng.uniform(-1, 1, x.shape))
    yield "nearer to zero", like(lambda x: 1e-7 * rng.uniform(-1, 1, x.shape))
    yield "with zeros", like(lambda x: np.where(rng.random(x.shape) < 0.4, 0, x))
    yield "at zero", like(np.zeros_like)
    yield "large", like(lambda x: 10 * (x + rng.uniform(-1, 1, x.shape)))
    yield LARGER, like(lambda x: 100 * (x + rng.uniform(-1, 1, x.shape)))


def places_of_derivative(
    subject: Subject, arguments: int, rng: np.random.Generator
) -> Iterator[Place]:
    """Other values for the last leaves of a derivative, which are the function's own arguments."""
    first = len(subject.leaves) - arguments
    for where, make in (
        ("nearby", lambda x: x * (1 + 0.1 * rng.uniform(-1, 1, x.shape))),
        ("near zero", lambda x: 1e-3 * rng.uniform(-1, 1, x.shape)),
    ):
        leaves = list(subject.leaves)
        for i in subject.places:
            if i >= first:
                leaves[i] = np.asarray(make(leaves[i]), leaves[i].dtype)
        yield where, leaves


def layouts(subject: Subject) -> Iterator[Place]:
    """The same values, laid out otherwise in memory."""
    if subject.has_layouts and any(x.size > 1 for x in subject.floats):
        for name, what in LAYOUTS.items():
            laid_out = LAYOUTS_BY_NAME[name]
            changed = subject.filled([laid_out(np.array(x)) for x in subject.floats])
            if any(x.strides != y.strides for x, y in zip(changed, subject.leaves, strict=True)):
                yield f"arguments {what}", changed


def without_axes(subject: Subject) -> Iterator[Place]:
    """Numbers."""
    floats = subject.floats
    if any(x.ndim for x in floats) and all(x.size for x in floats):
        yield "arguments without axes", subject.filled([np.asarray(x.flat[0]) for x in floats])


def without_entries(subject: Subject) -> Iterator[Place]:
    """Arrays whose first axis has no entries, or all but those of length 1, as square matrices
    need it."""
    floats = subject.floats
    if floats and all(x.ndim for x in floats):
        yield "arguments without entries", subject.filled([x[:0] for x in floats])
        if any(x.ndim > 1 for x in floats):
            none = [x[tuple(slice(0, n == 1) for n in x.shape)] for x in floats]
            yield "arguments without entries", subject.filled(none)
