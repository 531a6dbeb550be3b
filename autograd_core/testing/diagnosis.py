"""What a wrong gradient looks like, in words: the likely cause, from expected beside got."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

MOST_SHOWN = 6
CLOSE = 1e-3
ENTRY = 1e-2
"""How near an entry is to what would mend it."""
EXACT = 1e-5
"""How near a ratio is to a fraction that is called by its name."""


def likely_cause(got: np.ndarray, expected: np.ndarray, off: Any = 0.0) -> str:
    """The simplest change that makes `got` what is expected, in words; "" if none is known.

    Args:
        got: the gradient, of any shape.
        expected: the numeric one, of the argument's shape; NaN where it is not known.
        off: how far entries may be off.
    """
    if got.shape != expected.shape:
        return _wrong_shape(got, expected)
    known = np.isfinite(expected)
    if not known.any():
        return ""
    if not np.isfinite(got[known]).all():
        return "it is not finite where the function has a derivative"
    wrong = known & ~(np.abs(got - expected) <= off)
    for words, candidate in _explanations(got, expected):
        if resembles(candidate, expected) and _mends(candidate, expected, wrong):
            return words
    return _partial(got, expected, known, wrong)


def _mends(candidate: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> bool:
    """Whether entries that are wrong are right then, small ones too."""
    a, b = candidate[wrong], expected[wrong]
    return bool(
        (np.abs(a - b) <= ENTRY * np.abs(b) + CLOSE**2 * np.max(np.abs(b), initial=0)).all()
    )


def resembles(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether arrays agree, where both are finite, relative to their largest entries."""
    if a.shape != b.shape:
        return False
    known = np.isfinite(b) & np.isfinite(a)
    size = np.max(np.abs(b[known]), initial=0.0)
    return bool(size > 0 and (np.abs(a[known] - b[known]) <= CLOSE * size).all() and known.any())


def _explanations(got: np.ndarray, expected: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    known = np.isfinite(expected) & np.isfinite(got)
    if not got[known].any():
        yield "it is zero: the term is missing, detached, or never reaches this argument", expected
        return
    yield "the sign is wrong", -got
    square = float(np.sum(got[known] ** 2))
    factor = float(np.sum(expected[known] * got[known])) / square
    if factor and abs(factor - 1) < EXACT:
        yield f"it is nearly right: off by {abs(1 / factor - 1):.1g} of itself", got * factor
    elif factor:
        yield f"a factor is wrong: it is {_ratio(1 / factor)} times what it should be", got * factor
    for axes in itertools.permutations(range(got.ndim)):
        if got.ndim > 1 and axes != tuple(range(got.ndim)):
            turned = got.transpose(axes)
            if turned.shape == expected.shape:
                yield f"it is transposed (axes {axes})", turned
    for axis in range(got.ndim):
        if got.shape[axis] > 1:
            yield f"it is reversed along axis {axis}", np.flip(got, axis)
            for by in range(1, min(got.shape[axis], 8)):
                yield f"it is shifted by {by} along axis {axis}", np.roll(got, by, axis)
            count = got.shape[axis]
            total = np.broadcast_to(got.sum(axis, keepdims=True), got.shape)
            yield f"a sum over axis {axis} is missing", total
            yield f"a mean over axis {axis} is missing", total / count
    if got.ndim == 1 and 1 < got.size <= 6:
        for order in itertools.permutations(range(got.size)):
            yield f"entries are permuted: entry i belongs at {order}", got[list(order)]


def _ratio(x: float) -> str:
    for bottom in range(1, 13):
        if abs(x * bottom - round(x * bottom)) < EXACT * abs(x * bottom):
            top = round(x * bottom)
            return str(top) if bottom == 1 else f"{top}/{bottom}"
    return f"{x:.6g}"


def _partial(got: np.ndarray, expected: np.ndarray, known: np.ndarray, wrong: np.ndarray) -> str:
    if got.ndim > 1 and _is_symmetric_part(got, expected):
        return "it is the symmetric part of what it should be: make the argument symmetric inside f"
    if not wrong.any() or (wrong == known).all():
        return "no factor, sign or turn explains it: a term is missing or wrong"
    if not got[wrong].any():
        return "it is zero in some entries: part of a term is missing there"
    ratios = got[wrong] / expected[wrong] if expected[wrong].all() else np.array([math.nan, 0])
    if np.allclose(ratios, ratios[0], rtol=CLOSE):
        return f"some entries are {_ratio(float(ratios[0]))} times what they should be"
    return "some entries are right: a branch, a boundary or an axis is treated wrongly"


def _is_symmetric_part(got: np.ndarray, expected: np.ndarray) -> bool:
    if got.shape[-1] != got.shape[-2]:
        return False
    return resembles(got, (expected + np.swapaxes(expected, -1, -2)) / 2)


def _wrong_shape(got: np.ndarray, expected: np.ndarray) -> str:
    more = got.ndim - expected.ndim
    if more >= 0:
        aligned = (1,) * more + expected.shape
        if all(b in (a, 1) for a, b in zip(got.shape, aligned, strict=True)):
            axes = tuple(
                i
                for i, (a, b) in enumerate(zip(got.shape, aligned, strict=True))
                if i < more or a != b
            )
            return f"the sum over axes {axes}, along which the argument was broadcast, is missing"
    if got.shape == expected.shape[::-1]:
        return "it is transposed"
    if got.size == expected.size:
        return "its entries are right in number: a reshape is missing"
    return "a sum too many, or one that should keep its axis"


def table(got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray | float) -> str:
    """The entries that differ most: expected, got, and their ratio."""
    if got.shape != expected.shape:
        return f"    expected shape {expected.shape}, got {got.shape}"
    with np.errstate(all="ignore"):
        far = np.abs(got - expected) / np.maximum(tolerance, 1e-300)
        far = np.where(np.isfinite(expected) & ~np.isfinite(got), np.inf, np.nan_to_num(far, nan=0))
    order = np.argsort(-far, axis=None, kind="stable")
    wrong = [n for n in order if far.flat[n] > 1]
    lines = [f"    {'entry':>12} {'expected':>14} {'got':>14} {'got/expected':>13}"]
    for n in wrong[:MOST_SHOWN]:
        index = ", ".join(map(str, np.unravel_index(n, got.shape))) if got.ndim else "()"
        a, b = float(expected.flat[n]), float(got.flat[n])
        ratio = f"{b / a + 0.0:13.6g}" if a else f"{'-':>13}"
        lines.append(f"    {index:>12} {a:14.7g} {b:14.7g} {ratio}")
    if len(wrong) > MOST_SHOWN:
        lines.append(f"    … and {len(wrong) - MOST_SHOWN} more")
    return "\n".join(lines)
