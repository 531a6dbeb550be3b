"""Laws of functions in any library: each takes a `Point`, and raises `Fault` where it is broken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_core.testing import around
from autograd_core.testing.fault import Fault, told
from autograd_core.testing.noise import eps_of
from autograd_core.testing.point import FIRST, NUDGED, ULPS, Point, alike, close, same
from autograd_core.testing.subjects import Arrays, Unavailable

SINGLE = 1e-2
"""How far, relative to its largest entry, a gradient in single precision may be from the same in
double: it shows other code, not rounding."""


def modes_agree(point: Point, modes: Sequence[str], entries: bool = False) -> None:
    """Both modes agree with differences."""
    for mode in ("rev", "fwd"):
        if mode in modes:
            point.compare(mode, entries)


def harmless(point: Point) -> None:
    """Calls leave their arguments as they are, and do not depend on calls before them."""
    subject = point.subject
    assert point.cts is not None
    try:
        leaves, cts = point.copies(), [np.array(x) for x in point.cts]
        subject.values(leaves)
        _unharmed(leaves, point, "the function")
        given = subject.pull(leaves, cts)
        _unharmed(leaves, point, "the gradient")
        if any(a.tobytes() != b.tobytes() for a, b in zip(cts, point.cts, strict=True)):
            raise Fault(point, "rev", "the gradient writes to the cotangent that it is given")
    except Fault:
        raise
    except Exception:
        return  # what raises is told of where derivatives are compared
    first = [np.array(x) for x in given if x is not None]
    # Another cotangent, and a call elsewhere: neither may change what was returned.
    nearby = subject.filled([np.asarray(x * 1.25 + 0.125, x.dtype) for x in subject.floats])
    try:
        subject.values(nearby)
        subject.pull(nearby, [np.asarray(2 * g, g.dtype) for g in cts])
    except Exception:
        return
    if not same([x for x in given if x is not None], first):
        what = "a gradient changes after it was returned: its memory is reused"
        raise Fault(point, "rev", what)
    point.cached = None
    again = [np.array(x) for x in subject.pull(leaves, cts) if x is not None]
    if not alike(again, first):
        what = "the gradient depends on earlier calls, which something keeps: a stale closure"
        raise Fault(point, "rev", what, (first, again))


def _unharmed(leaves: Arrays, point: Point, who: str) -> None:
    for x, y, name in zip(leaves, point.leaves, point.subject.names, strict=True):
        if x.tobytes() != y.tobytes():
            raise Fault(point, "rev", f"{who} writes to {name}, which is damaged afterwards")


def same_in_any_layout(point: Point) -> None:
    """Gradients do not depend on how arguments lie in memory."""
    for what, leaves in around.layouts(point.subject):
        _same_gradient(point, what, leaves)


def _same_gradient(point: Point, what: str, leaves: Arrays) -> None:
    assert point.cts is not None and point.pulled is not None
    try:
        values = point.subject.values(leaves)
    except Exception:
        return
    if not alike(values, point.values, 1e-6):
        return  # the function itself looks at the layout: there is no gradient to compare
    try:
        found = point.as_floats(point.subject.pull(leaves, point.cts))
    except Unavailable:
        return
    except Exception as error:
        raise Fault(point, "rev", f"{what}: the gradient raises {told(error)}") from error
    for n, (a, b) in enumerate(zip(found, point.pulled, strict=True)):
        tolerance = point.noise[n] + ULPS * eps_of(b) * np.max(np.abs(b), initial=0.0)
        if a.shape != b.shape or not close(a, b, tolerance):
            raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=(a, b))


def similar_in_other_precision(point: Point) -> None:
    """Gradients in single and double precision agree, as far as rounding lets them."""
    for what, leaves in around.precisions(point.subject):
        _similar_gradient(point, what, leaves)


def _similar_gradient(point: Point, what: str, leaves: Arrays) -> None:
    assert point.cts is not None and point.pulled is not None
    dtype = np.dtype(what)
    cts = [g.astype(dtype) for g in point.cts]
    try:
        if not alike(point.subject.values(leaves), point.values, SINGLE / 10):
            return  # too little precision for the function itself
        found = point.as_floats(point.subject.pull(leaves, cts))
    except Exception:
        return
    for n, (a, b) in enumerate(zip(found, point.pulled, strict=True)):
        if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
            continue
        tolerance = SINGLE * np.max(np.abs(b), initial=0.0)
        if close(a, b, tolerance):
            continue
        noise = _noise_at(point, what, leaves, cts)
        if noise is None or not close(a, b, tolerance + NUDGED * noise[n]):
            raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=(a, b))


def _noise_at(
    point: Point, what: str, leaves: Arrays, cts: list[np.ndarray]
) -> list[np.ndarray] | None:
    other = Point(point.subject, FIRST, leaves, point.rng, point.report, what)
    other.cts = cts
    return other.noise_along(lambda near: other.as_floats(other.pulled_at(near)))


def right_without_axes_and_entries(point: Point) -> None:
    """Gradients are right for numbers and for arrays without entries, where f takes them."""
    for where, leaves in around.shapes(point.subject):
        other = Point(point.subject, FIRST, leaves, point.rng, point.report, where)
        if other.is_usable:
            other.lenient = True
            other.compare("rev")
