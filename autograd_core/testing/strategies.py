"""Strategies for Hypothesis: tensors to check gradients at. Needs Hypothesis installed.

    @given(tensors(domain="x>0"), random_programs())
    def test_log(x, program): ...

Failing examples shrink: to few axes, to contiguous memory, and to numbers such as 1, 2 and 0.5, as
far as the domain has them. `random_programs` is in `autograd_core.testing.programs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st

from autograd_core.ops.complex import real_dtype
from autograd_core.tensor import asarray
from autograd_core.testing import domains
from autograd_core.testing.domains import Domain
from autograd_core.testing.draw import LAYOUTS_BY_NAME, Draw, Shape
from autograd_core.testing.subjects.base import joined, loaded
from autograd_core.testing.subjects.of_jax import Jax

FEW = 32
"""Arrays of so few entries are drawn one by one, larger ones from a seed."""
SEEDS = st.integers(0, 2**20)

Strategy: TypeAlias = st.SearchStrategy[Any]
Entries: TypeAlias = Callable[[Any, int, np.dtype], np.ndarray]
"""From Hypothesis's `draw`, a number of entries and their dtype to the entries."""


class HypothesisDraw(Draw):
    """Draws from the `data()` of a Hypothesis test, or by the `draw` of a composite strategy.

    Args:
        data: either of these.
        empty: see `Draw`; where not given, true at times.
    """

    def __init__(self, data: Any, empty: bool | None = None):
        self._draw = getattr(data, "draw", data)
        super().__init__(self._integer(0, 7) == 7 if empty is None else empty)

    def _integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))


# Tensors --------------------------------------------------------------------------------------


def tensors(
    dtypes: Any = np.float64,
    shapes: Any = None,
    domain: Any = None,
    layout: str = "any",
    library: str = "autograd_core",
    *,
    empty: bool = False,
) -> Strategy:
    """Tensors.

    Args:
        dtypes: a dtype or several: float32, float64, integers, complex64 or complex128; both parts
            of complex numbers are of the domain.
        shapes: a shape, a list of shapes, or a strategy of shapes; where not given, up to 3 axes of
            lengths 1 to 3.
        domain: of the entries: a condition such as "x>0" or "0<x<1", a pair (low, high), or a
            `Domain`; see `domains.domain`. Where not given, from -3 to 3.
        layout: of the memory: "C", "F", "strided" (gaps between entries), "reversed" (negative
            strides), or "any" of those that the library has.
        library: "autograd_core", "numpy" (arrays that may not be written to), "torch" or "jax",
            whose arrays are drawn; the last two have to be imported before.
        empty: draw axes of length 0 too, where `shapes` is not given.

    Raises:
        ValueError: one of these is none of what is expected; the message says what is.
        ImportError: nobody has imported the library.
    """
    kind = _kind(dtypes, layout, library)
    return _tensors(kind, _shapes(shapes, empty), _any_entries(domains.domain(domain), kind))


def well_separated(
    dtypes: Any = np.float64,
    shapes: Any = None,
    domain: Any = None,
    layout: str = "any",
    library: str = "autograd_core",
) -> Strategy:
    """Tensors whose entries differ from each other and from the multiples of ½ by a margin, which
    shrinks with their number: clear of the ties and kinks of `max`, `sort`, `abs`, `floor`, ….

    Args:
        dtypes: a dtype or several: float32 or float64.
        shapes, domain, layout, library: see `tensors`.

    Raises:
        ValueError, ImportError: see `tensors`.
    """
    kind = _kind(dtypes, layout, library, kinds="f")
    return _tensors(kind, _shapes(shapes), _separated_entries(domains.domain(domain)))


def broadcastable(
    count: int = 2,
    dtypes: Any = np.float64,
    domain: Any = None,
    layout: str = "any",
    max_rank: int = 3,
    library: str = "autograd_core",
) -> Strategy:
    """Tuples of tensors whose shapes broadcast: some have axes of length 1, or fewer axes.

    Args:
        count: of the tensors.
        max_rank: up to so many axes.
        dtypes, domain, layout, library: see `tensors`; each tensor is of any of the dtypes.

    Raises:
        ValueError, ImportError: see `tensors`.
    """
    kind = _kind(dtypes, layout, library)
    return _broadcastable(count, max_rank, kind, _any_entries(domains.domain(domain), kind))


def positive_definite(
    size: int | None = None,
    dtypes: Any = np.float64,
    batch: Any = None,
    layout: str = "any",
    library: str = "autograd_core",
) -> Strategy:
    """Symmetric positive definite matrices, of a condition number less than 100.

    Args:
        size: of the matrices; where not given, from 1 to 4.
        dtypes: a dtype or several: float32 or float64.
        batch: the shape of a stack of matrices, a list of such shapes, or a strategy of them; where
            not given, there is one matrix: shape (size, size).
        layout, library: see `tensors`.

    Raises:
        ValueError, ImportError: see `tensors`.
    """
    sizes = st.integers(1, 4) if size is None else st.just(size)
    shapes = st.tuples(_shapes(() if batch is None else batch), sizes)
    shapes = shapes.map(lambda each: (*each[0], each[1], each[1]))
    return _tensors(_kind(dtypes, layout, library, kinds="f"), shapes, _mixed, _definite)


def pytrees(leaves: Strategy | None = None, max_leaves: int = 4) -> Strategy:
    """Nested lists, tuples and dictionaries of at least one leaf; a leaf alone is one too.

    Args:
        leaves: a strategy of leaves; where not given, `tensors()`.
        max_leaves: up to so many leaves.
    """
    return st.recursive(tensors() if leaves is None else leaves, _containers, max_leaves=max_leaves)


def _containers(inner: Strategy) -> Strategy:
    lists = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)
    return lists | lists.map(tuple) | named


# How they are drawn ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """What kind of array is drawn: in which dtypes and layouts, of which library."""

    dtypes: tuple[np.dtype, ...]
    layouts: tuple[str, ...]
    library: str


@st.composite
def _tensors(
    draw: Any,
    kind: _Kind,
    shapes: Strategy,
    entries: Entries,
    made: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Any:
    """Arrays of some kind with some entries, of which `made` makes what is asked for."""
    shape = tuple(draw(shapes))
    dtype = draw(st.sampled_from(kind.dtypes))
    layout = draw(st.sampled_from(kind.layouts))
    array = made(_drawn(draw, entries, math.prod(shape), dtype).reshape(shape)).astype(dtype)
    laid_out = LAYOUTS_BY_NAME[layout](array)
    if not laid_out.flags.c_contiguous and currently_in_test_context():
        note(f"{dtype}{list(shape)} has layout={layout!r}")  # which no array's repr tells
    return _of_library(laid_out, kind.library)


def _drawn(draw: Any, entries: Entries, count: int, dtype: np.dtype) -> np.ndarray:
    """Entries, for complex numbers their parts one after the other."""
    if dtype.kind != "c":
        return entries(draw, count, dtype)
    return joined(*(entries(draw, count, real_dtype(dtype)) for _ in range(2)))


@st.composite
def _broadcastable(draw: Any, count: int, max_rank: int, kind: _Kind, entries: Entries) -> tuple:
    shapes = HypothesisDraw(draw, empty=False).broadcastable_shapes(count, max_rank)
    return tuple(draw(_tensors(kind, st.just(shape), entries)) for shape in shapes)


@st.composite
def _small_shapes(draw: Any, empty: bool) -> Shape:
    return HypothesisDraw(draw, None if empty else False).shape(min_length=0)


def _any_entries(of: Domain, kind: _Kind) -> Entries:
    # Made here, so that a domain without any raises here, and not where a test draws.
    numbers = {dtype: _numbers(*of.choices(dtype)) for dtype in map(real_dtype, kind.dtypes)}

    def entries(draw: Any, count: int, dtype: np.dtype) -> np.ndarray:
        if count > FEW:
            seed = draw(SEEDS)
            first = of.choices(dtype)[0][0]
            rng = np.random.default_rng(seed)
            return of.fill(rng, (count,), dtype) if seed else np.full(count, first)
        return np.array([draw(numbers[dtype]) for _ in range(count)], dtype)

    return entries


def _numbers(*choices: np.ndarray) -> Strategy:
    return st.one_of([st.sampled_from(each.tolist()) for each in choices])


def _separated_entries(of: Domain) -> Entries:
    of.separated(1)  # raises here, and not where a test draws, if there are too few

    def entries(draw: Any, count: int, dtype: np.dtype) -> np.ndarray:
        if count > FEW:
            rng = np.random.default_rng(draw(SEEDS))
            found = of.fill(rng, (count,), dtype, separated=True)
        else:
            numbers = st.sampled_from(of.separated(2 * count + 8).tolist())
            drawn = draw(st.lists(numbers, min_size=count, max_size=count, unique=True))
            found = np.array(drawn, dtype)
        if np.unique(found).size < count or not of.contains(found).all():
            raise ValueError(f"well_separated: {of} has not {count} separate numbers in {dtype}")
        return found

    return entries


def _mixed(draw: Any, count: int, _dtype: np.dtype) -> np.ndarray:
    """Numbers from -1 to 1 in float64, which shrink to 0."""
    if count > FEW:
        seed = draw(SEEDS)
        return np.random.default_rng(seed).uniform(-1, 1, count) * bool(seed)
    numbers = _numbers(np.zeros(1), *domains.domain((-1, 1)).choices())
    return np.array([draw(numbers) for _ in range(count)], np.float64)


def _definite(mixed: np.ndarray) -> np.ndarray:
    """1 + A A^T, whose eigenvalues are at least 1 and at most 1 + |A|²."""
    size = mixed.shape[-1]
    mixed = mixed / max(1.0, size / 8)  # |A|² is at most 64 then
    product = mixed @ np.swapaxes(mixed, -1, -2)
    return np.eye(size) + (product + np.swapaxes(product, -1, -2)) / 2


# What callers may give ------------------------------------------------------------------------


def _kind(dtypes: Any, layout: str, library: str, kinds: str = "fiuc") -> _Kind:
    return _Kind(_dtypes(dtypes, kinds), _layouts(layout, library), library)


def _dtypes(given: Any, kinds: str) -> tuple[np.dtype, ...]:
    found = tuple(map(np.dtype, given if isinstance(given, tuple | list) else (given,)))
    for dtype in found:
        if dtype.kind not in kinds or dtype in (np.float16, np.longdouble, np.clongdouble):
            more = " or integers or complex numbers" if "i" in kinds else ""
            allowed = f"float32 or float64{more}"
            raise ValueError(f"dtypes: expected {allowed}, got {dtype}")
    return found


LAYOUTS_OF = {
    "autograd_core": ("C", "F", "strided", "reversed"),
    "numpy": ("C", "F", "strided", "reversed"),
    "torch": ("C", "F", "strided"),
    "jax": ("C",),
}
"""How the arrays of a library can lie in memory."""


def _layouts(layout: str, library: str) -> tuple[str, ...]:
    if library not in LAYOUTS_OF:
        raise ValueError(f"library: expected one of {', '.join(LAYOUTS_OF)}, got {library!r}")
    if library in ("torch", "jax") and loaded(library) is None:
        raise ImportError(f"library={library!r}: import {library} first; it is not imported here")
    choices = LAYOUTS_OF[library]
    if layout not in (*choices, "any"):
        expected = ", ".join(("any", *choices))
        raise ValueError(f"layout: expected one of {expected} for {library}, got {layout!r}")
    return choices if layout == "any" else (layout,)


def _shapes(given: Any, empty: bool = False) -> Strategy:
    """A strategy of shapes, from whatever says which."""
    if given is None:
        return _small_shapes(empty)
    if isinstance(given, st.SearchStrategy):
        return given
    if isinstance(given, int):
        return st.just((given,))
    if all(isinstance(n, int) for n in given):
        return st.just(tuple(given))
    return st.sampled_from([tuple(shape) for shape in given])


def _of_library(x: np.ndarray, library: str) -> Any:
    """The array, which nobody else has, as one of a library."""
    if library == "torch":
        return loaded("torch").from_numpy(x)
    if library == "jax":
        with Jax.precise():
            return loaded("jax").numpy.asarray(x)
    x.flags.writeable = False
    return x if library == "numpy" else asarray(x)
