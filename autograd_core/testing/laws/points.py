"""Laws of functions in any library: each takes a `Point`, and raises `Fault` where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autograd_core.testing import around
from autograd_core.testing.draw import LAYOUTS_BY_NAME
from autograd_core.testing.fault import Fault, told
from autograd_core.testing.noise import eps_of, nudged
from autograd_core.testing.numeric_side import NUDGED, NUDGES, ULPS, alike, close, same
from autograd_core.testing.point import FIRST, Point
from autograd_core.testing.subjects import Arrays, Unavailable
from autograd_core.testing.subjects.base import joined
from autograd_core.testing.subjects.pairs import floating

__tracebackhide__ = True  # pytest shows the user's lines
SINGLE = 1e-3
"""How far, relative to their largest entry, values in single precision may be from those in double,
if gradients are to be compared."""
EPS_SINGLE = float(np.finfo(np.float32).eps)
UNDERFLOW = float(np.finfo(np.float32).tiny) / EPS_SINGLE
"""What is smaller may be lost in single precision."""
SCALES = (2.0**10, 2.0**-10)
"""Powers of two change nothing but exponents."""


def values_agree(point: Point, reference: Callable) -> None:
    """Values are those of a function of NumPy's arrays."""
    subject = point.subject
    expected = floating(reference(*subject.rebuilt(point.copies(), joined)))
    if len(expected) != len(point.values):
        what = f"{len(point.values)} floating-point outputs; the reference has {len(expected)}"
        raise Fault(point, "value", what)
    near = [
        subject.values(nudged(point.leaves, subject.places, point.rng, 2)) for _ in range(NUDGES)
    ]
    for n, (a, b) in enumerate(zip(point.values, expected, strict=True)):
        moved = max((float(np.max(np.abs(x[n] - a), initial=0.0)) for x in near), default=0.0)
        size = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
        tolerance = ULPS * max(eps_of(a), eps_of(b)) * size + NUDGED * np.nan_to_num(moved)
        if a.shape != b.shape or not close(a, b, tolerance):
            raise Fault(point, "value", f"output {n} is not the reference's", pair=(a, b))


def modes_agree(point: Point, modes: Sequence[str], entries: bool = False) -> None:
    """Both modes agree with differences."""
    for mode in ("rev", "fwd"):
        if mode in modes:
            point.compare(mode, entries)


def harmless(point: Point) -> None:
    """Calls leave their arguments as they are, and neither change what earlier ones returned nor
    depend on them."""
    subject = point.subject
    assert point.cts is not None
    try:
        leaves, cts = point.copies(), [np.array(x) for x in point.cts]
        values = subject.values(leaves)
        kept = [np.array(y) for y in values]
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
    if not same(values, kept):
        what = "the function's result changes after it was returned: its memory is reused"
        raise Fault(point, "rev", what)
    if not same([x for x in given if x is not None], first):
        what = "a gradient changes after it was returned: its memory is reused"
        raise Fault(point, "rev", what)

    def again() -> Arrays:
        return [np.array(x) for x in subject.pull(leaves, cts) if x is not None]

    if not alike(again(), first):
        what = "the gradient depends on earlier calls, which something keeps: a stale closure"
        if not alike(again(), again()):  # though nothing was called elsewhere between these
            what = "the gradient changes from call to call: it is random, or keeps a sum"
        raise Fault(point, "rev", what)


def linear_in_cotangents(point: Point) -> None:
    """The gradient for larger and smaller cotangents is as much larger and smaller."""
    assert point.cts is not None
    if point.pulled is None or not all(np.isfinite(g).all() for g in point.pulled):
        return
    for scale in SCALES:
        cts = [np.asarray(g * g.dtype.type(scale)) for g in point.cts]
        try:
            found = point.as_floats(point.subject.pull(point.copies(), cts))
        except Exception:
            return
        for n, (a, b) in enumerate(zip(found, point.pulled, strict=True)):
            tolerance = point.noise[n] + np.sqrt(eps_of(b)) * np.max(np.abs(b), initial=0.0)
            if not close(a / scale, b, tolerance):
                what = f"it is not linear in the cotangent: for one {scale:g} times as large"
                raise Fault(point, "rev", what, place=n, pair=(a / scale, b))


def _unharmed(leaves: Arrays, point: Point, who: str) -> None:
    for x, y, name in zip(leaves, point.leaves, point.subject.names, strict=True):
        if x.tobytes() != y.tobytes():
            raise Fault(point, "rev", f"{who} writes to {name}, which is damaged afterwards")


def same_in_any_layout(point: Point) -> None:
    """Gradients do not depend on how arguments lie in memory."""
    for what, leaves in around.layouts(point.subject):
        _same_gradient(point, what, leaves)
        _unharmed(leaves, point, f"for {what}, the function or its gradient")


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
    _require_same(point, what, found, point.pulled)


def _require_same(point: Point, what: str, found: Arrays, expected: Arrays) -> None:
    for n, (a, b) in enumerate(zip(found, expected, strict=True)):
        tolerance = point.noise[n] + ULPS * eps_of(b) * np.max(np.abs(b), initial=0.0)
        if a.shape != b.shape or not close(a, b, tolerance):
            raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=(a, b))


def same_for_any_layout_of_cotangents(point: Point) -> None:
    """Gradients do not depend on how cotangents lie in memory; one number for all entries may."""
    subject = point.subject
    assert point.cts is not None and point.pulled is not None
    if not subject.has_layouts or not any(g.size > 1 for g in point.cts):
        return
    for name, what in around.LAYOUTS.items():
        cts = [LAYOUTS_BY_NAME[name](g) for g in point.cts]
        if any(a.strides != b.strides for a, b in zip(cts, point.cts, strict=True)):
            _same_for(point, what, cts, point.pulled)
    ones = [np.ones(g.shape, g.dtype) for g in point.cts]
    try:
        expected = point.as_floats(subject.pull(point.copies(), ones))
    except Exception:
        return
    once = [np.broadcast_to(np.ones((), g.dtype), g.shape) for g in point.cts]
    _same_for(point, "in one place for all entries", once, expected)


def _same_for(point: Point, what: str, cts: Arrays, expected: Arrays) -> None:
    try:
        found = point.as_floats(point.subject.pull(point.copies(), cts))
    except Unavailable:
        return
    except Exception as error:
        raise Fault(point, "rev", f"cotangents {what}: it raises {told(error)}") from error
    _require_same(point, f"cotangents {what}", found, expected)


def similar_in_other_precision(point: Point) -> None:
    """Gradients in single and double precision agree, as far as rounding lets them."""
    assert point.cts is not None and point.pulled is not None
    subject = point.subject
    single = subject.filled([x.astype(np.float32) for x in point.floats])
    double = [x.astype(np.float64) if i in subject.places else x for i, x in enumerate(single)]
    cts = [g.astype(np.float32) for g in point.cts]
    try:
        if not alike(subject.values(single), point.values, SINGLE):
            return  # too little precision for the function itself
        rough = point.as_floats(subject.pull([np.array(x) for x in single], cts))
        exact = point.as_floats(subject.pull(double, [g.astype(np.float64) for g in cts]))
    except Exception:
        return
    what = "float64" if all(x.dtype == np.float32 for x in point.floats) else "float32"
    for n, (a, b) in enumerate(zip(rough, exact, strict=True)):
        if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
            continue
        tolerance = 4 * ULPS * EPS_SINGLE * float(np.max(np.abs(b), initial=0.0)) + UNDERFLOW
        if close(a, b, tolerance):
            continue
        noise = _noise_at(point, single, cts)
        if noise is None or not close(a, b, tolerance + NUDGED * noise[n]):
            pair = (a, b) if what == "float32" else (b, a)
            raise Fault(point, "rev", f"it is wrong only for {what}", place=n, pair=pair)


def _noise_at(point: Point, leaves: Arrays, cts: list[np.ndarray]) -> list[np.ndarray] | None:
    """What rounding does to the gradient at other arguments."""
    other = Point(point.subject, FIRST, leaves, point.rng, point.report, "in single precision")
    other.cts = cts
    pulled = lambda near: other.as_floats(other.pulled_at(near))
    noise, here = other.noise_along(pulled), pulled(leaves)
    for _ in range(NUDGES if noise else 0):
        near = pulled(nudged(leaves, point.subject.places, point.rng, 2))
        noise = [
            np.maximum(e, np.abs(a - b)) for e, a, b in zip(noise or (), near, here, strict=True)
        ]
    return noise


def right_without_axes(point: Point) -> None:
    """Gradients are right for numbers, where f takes them."""
    for where, leaves in around.without_axes(point.subject):
        other = Point(point.subject, FIRST, leaves, point.rng, point.report, where)
        if other.is_usable:
            other.lenient = not _is_elementwise(point, other)
            other.compare("rev")


def right_without_entries(point: Point) -> None:
    """Gradients have the right shape, and do not raise, for arrays without entries that f takes."""
    faults: list[Fault] = []
    for where, leaves in around.without_entries(point.subject):
        other = Point(point.subject, FIRST, leaves, point.rng, point.report, where)
        if other.is_usable:
            other.strict = point.subject.library in ("numpy", "autograd_core")
            try:
                other.compare("rev")
            except Fault as fault:
                faults.append(fault)
            else:
                return
    if faults:
        raise faults[0]


def _is_elementwise(point: Point, without_axes: Point) -> bool:
    """Whether values have their arguments' shapes, with axes and without: then so have gradients.
    Other functions of arrays seldom mean numbers."""
    shapes = {x.shape for x in (*point.floats, *point.values)}
    return len(shapes) == 1 and not any(y.ndim for y in without_axes.values)
