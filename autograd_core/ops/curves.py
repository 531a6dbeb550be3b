"""Functions of one variable as arrays: their samples, differences, convolutions, polynomials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import (
    absolute,
    clip,
    equal,
    greater,
    less,
    logical_and,
    multiply,
    negative,
    power,
    remainder,
    sign,
    where,
)
from autograd_core.ops.complex import conj
from autograd_core.ops.creation import linspace, ones_like
from autograd_core.ops.elementary import exp, log
from autograd_core.ops.index import take
from autograd_core.ops.layout import pad
from autograd_core.ops.linalg.solving import lstsq
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import cumsum, diff, norm
from autograd_core.ops.sorting import searchsorted
from autograd_core.ops.structural import (
    astype,
    atleast_1d,
    concatenate,
    flip,
    moveaxis,
    normalize_axes,
    ravel,
    reshape,
    slice_axis,
    stack,
    stop_gradient,
)
from autograd_core.tensor import INEXACT, Tensor, asarray

__all__ = [
    "convolve",
    "correlate",
    "ediff1d",
    "geomspace",
    "gradient",
    "interp",
    "logspace",
    "polyadd",
    "polyder",
    "polyfit",
    "polyint",
    "polymul",
    "polysub",
    "polyval",
    "unwrap",
    "vander",
]


# Samples --------------------------------------------------------------------------------------


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0
) -> Tensor:
    """`num` numbers from base**start to base**stop, whose logarithms are evenly spaced.

    Args:
        start, stop: the exponents; derivatives flow through both.
        num: how many.
        endpoint: whether base**stop is the last of them, or comes after the last.
        base: any number above 0.

    >>> ac.logspace(0.0, 3.0, 4), ac.logspace(0.0, 3.0, 4, base=2.0)
    (Tensor([   1.,   10.,  100., 1000.], dtype=float64), Tensor([1., 2., 4., 8.], dtype=float64))
    """
    return power(base, linspace(start, stop, num, endpoint))


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True) -> Tensor:
    """`num` numbers from start to stop, each the same multiple of the one before.

    Args:
        start, stop: of the same sign, and not 0; derivatives flow through both.
        num: how many.
        endpoint: whether stop is the last of them, or comes after the last.

    >>> ac.geomspace(1.0, 1000.0, 4)
    Tensor([   1.,   10.,  100., 1000.], dtype=float64)
    >>> ac.grad(lambda stop: ac.geomspace(1.0, stop, 3)[1])(100.0)
    Tensor(0.05, dtype=float64)
    """
    start, stop = asarray(start), asarray(stop)
    return sign(start) * exp(linspace(log(absolute(start)), log(absolute(stop)), num, endpoint))


def interp(x: Any, places: Any, values: Any, left: Any = None, right: Any = None) -> Tensor:
    """The function that is linear between `values` at `places`, at x.

    Args:
        x: any shape.
        places: (n,), increasing.
        values: (n,).
        left, right: what it is below the first place and above the last; the first and the last
            value by default.

    >>> places, values = ac.asarray([0.0, 1.0, 2.0]), ac.asarray([0.0, 10.0, 40.0])
    >>> ac.interp([0.5, 1.5, 9.0], places, values)
    Tensor([ 5., 25., 40.], dtype=float64)
    >>> ac.grad(lambda x: ac.interp(x, places, values))(1.5)
    Tensor(30., dtype=float64)
    """
    x, places, values = asarray(x), asarray(places), asarray(values)
    n = places.size
    if places.ndim != 1 or places.shape != values.shape or n == 0:
        raise ShapeError(f"interp: {values.shape} values at {places.shape} places; expected (n,)")
    first, last = values[0], values[-1]
    inside = first
    if n > 1:
        above = clip(searchsorted(places, stop_gradient(x), "right"), 1, n - 1)
        x0, x1, y0, y1 = (take(v, above - k) for v in (places, values) for k in (1, 0))
        inside = y0 + (x - x0) * ((y1 - y0) / (x1 - x0))
    inside = where(greater(x, places[-1]), last if right is None else right, inside)
    return where(less(x, places[0]), first if left is None else left, inside)


# Differences ----------------------------------------------------------------------------------


def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """The differences of neighbours in flattened x, with something before them and after.

    Args:
        x: any shape.
        to_end, to_begin: numbers or vectors to put after the differences, and before them.

    >>> ac.ediff1d(ac.asarray([1.0, 4.0, 9.0]), to_begin=0.0)
    Tensor([0., 3., 5.], dtype=float64)
    """
    parts = [to_begin, diff(ravel(x)), to_end]
    return concatenate([ravel(part) for part in parts if part is not None])


def unwrap(x: Any, discont: Any = None, axis: int = -1, period: Any = 2 * math.pi) -> Tensor:
    """x with whole periods added along an axis, so that neighbours are at most half a one apart.

    The derivative is 1: what is added is constant between jumps.

    Args:
        x: any shape; angles in radians where the period is left at 2π.
        discont: smaller jumps are left alone; half the period by default.
        axis: along which.
        period: the length of a period.

    >>> ac.unwrap([0.0, 350.0, 340.0], period=360.0)
    Tensor([  0., -10., -20.], dtype=float64)
    """
    x, half = asarray(x), period / 2
    jumps = diff(stop_gradient(x), axis=axis)
    wrapped = remainder(jumps + half, period) - half
    wrapped = where(logical_and(equal(wrapped, -half), greater(jumps, 0)), half, wrapped)
    small = less(absolute(jumps), half if discont is None else np.maximum(half, discont))
    steps = cumsum(where(small, 0, wrapped - jumps), axis)
    n = x.shape[axis]
    tail = slice_axis(x, axis, 1, n) + stop_gradient(steps)
    return concatenate([slice_axis(x, axis, 0, min(1, n)), tail], axis)


def gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Slopes of a sampled function: central differences, and one-sided ones on the edges.

    It is not the gradient of a function, which is `grad`.

    Args:
        f: samples, at least edge_order + 1 along each axis that is asked for.
        spacing: the distance of samples, one number for all axes or one each; or where the samples
            are, an array for each axis. 1 by default.
        axis: one axis, several, or all of them.
        edge_order: 1 or 2, the order of the differences on the edges.

    Returns:
        An array for one axis, else a tuple of them.

    >>> ac.gradient(ac.asarray([0.0, 1.0, 4.0, 9.0])), ac.gradient([0.0, 1.0, 4.0], 0.5)
    (Tensor([1., 2., 4., 5.], dtype=float64), Tensor([2., 4., 6.], dtype=float64))
    """
    f = asarray(f)
    axes = normalize_axes(axis, f.ndim)
    steps = spacing or (1.0,)
    if len(steps) == 1 and not _is_vector(steps[0]):
        steps = steps * len(axes)
    if len(steps) != len(axes):
        raise ShapeError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    found = [_slopes(f, step, a, edge_order) for step, a in zip(steps, axes, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _is_vector(step: Any) -> bool:
    return asarray(step).ndim == 1


def _slopes(f: Tensor, step: Any, axis: int, edge_order: int) -> Tensor:
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ShapeError(
            f"gradient: {n} samples along axis {axis}, at least {edge_order + 1} needed"
        )
    f = moveaxis(f if f.dtype.kind in INEXACT else astype(f, np.float64), axis, -1)
    gaps = diff(step) if _is_vector(step) else multiply(step, np.ones(n - 1, f.dtype))
    rise = diff(f) / gaps  # the slope of each gap
    if edge_order == 2:
        first = _beyond(rise[..., 0], rise[..., 1], gaps[0], gaps[1])
        last = _beyond(rise[..., -1], rise[..., -2], gaps[-1], gaps[-2])
    else:
        first, last = rise[..., 0], rise[..., -1]
    before, after = gaps[:-1], gaps[1:]
    inner = (rise[..., :-1] * after + rise[..., 1:] * before) / (before + after)
    return moveaxis(concatenate([first[..., None], inner, last[..., None]], -1), -1, axis)


def _beyond(near: Tensor, far: Tensor, gap: Tensor, next_gap: Tensor) -> Tensor:
    """The slope on an edge of the parabola through three samples, by the slopes of two gaps."""
    return near + (near - far) * (gap / (gap + next_gap))


# Convolutions ---------------------------------------------------------------------------------


def convolve(x: Any, y: Any, mode: str = "full") -> Tensor:
    """The sums Σⱼ x[k - j] y[j].

    Args:
        x, y: (n,) and (m,).
        mode: "full", all n + m - 1 of them; "same", as many as the longer has, from the middle;
            "valid", those in which the shorter one lies within the longer.

    Memory for n·m numbers is used.

    >>> x, y = ac.asarray([1.0, 2.0, 3.0]), ac.asarray([1.0, -1.0])
    >>> ac.convolve(x, y), ac.convolve(x, y, "valid")
    (Tensor([ 1.,  1.,  1., -3.], dtype=float64), Tensor([1., 1.], dtype=float64))
    >>> ac.grad(lambda y: ac.sum(ac.convolve(x, y)))(y)
    Tensor([6., 6.], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise ShapeError(f"convolve: expected two vectors, not empty, got {x.shape} and {y.shape}")
    if x.size < y.size:
        x, y = y, x
    n, m = x.size, y.size
    lengths = {"full": (n + m - 1, m - 1), "same": (n, m // 2), "valid": (n - m + 1, 0)}
    if mode not in lengths:
        raise ValueError(f"convolve: expected mode 'full', 'same' or 'valid', got {mode!r}")
    length, before = lengths[mode]
    after = length + m - 1 - n - before
    windows = np.arange(length)[:, None] + np.arange(m)
    return matmul(take(pad(x, ((before, after),)), windows), flip(y))


def correlate(x: Any, y: Any, mode: str = "valid") -> Tensor:
    """The sums Σⱼ x[k + j] y[j]: how much x is like y, moved by k places. Complex y is conjugated.

    Args:
        x, y: (n,) and (m,).
        mode: see `convolve`, but "valid" by default.

    >>> ac.correlate([1.0, 2.0, 3.0], [0.0, 1.0])
    Tensor([2., 3.], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    if x.size < y.size:  # so that "same" starts where it does in NumPy
        return flip(conj(correlate(y, x, mode)))
    return convolve(x, flip(conj(y)), mode)


# Polynomials ----------------------------------------------------------------------------------


def polyval(coefficients: Any, x: Any) -> Tensor:
    """The polynomial with some coefficients at x, elementwise, by Horner's rule.

    Derivatives flow to coefficients and places.

    Args:
        coefficients: (n,), that of the highest power first.
        x: any shape.

    >>> ac.polyval([1.0, 0.0, -2.0], 3.0)  # x² - 2
    Tensor(7., dtype=float64)
    >>> ac.grad(ac.polyval)(ac.asarray([1.0, 0.0, -2.0]), 3.0)
    Tensor([9., 3., 1.], dtype=float64)
    """
    x = asarray(x)
    value = multiply(x, 0)
    for coefficient in asarray(coefficients):
        value = value * x + coefficient
    return value


def vander(x: Any, n: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the entries of a vector, as the rows of a matrix.

    Args:
        x: (m,).
        n: how many powers, from 0; m by default.
        increasing: from the lowest power to the highest.

    >>> ac.vander([2.0, 3.0], 3), ac.vander([2.0, 3.0], 3, increasing=True)
    (Tensor([[4., 2., 1.],
            [9., 3., 1.]], dtype=float64), Tensor([[1., 2., 4.],
            [1., 3., 9.]], dtype=float64))
    """
    x = asarray(x)
    if x.ndim != 1:
        raise ShapeError(f"vander: expected one axis, got shape {x.shape}")
    powers = [ones_like(x)]
    for _ in range(1, x.size if n is None else n):
        powers.append(powers[-1] * x)
    columns = stack(powers, 1) if n != 0 else reshape(x, (-1, 1))[:, :0]
    return columns if increasing else flip(columns, 1)


def polyfit(x: Any, y: Any, degree: int, w: Any = None) -> Tensor:
    """The coefficients of the polynomial of a degree that is closest to y at x.

    Args:
        x: (n,), real or complex.
        y: (n,), or (n, k) for k polynomials.
        w: (n,), what the differences at x are multiplied by before they are squared.

    Returns:
        (degree + 1,) or (degree + 1, k), that of the highest power first; see `polyval`.

    >>> ac.round(ac.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 7.0], 2), 6)
    Tensor([1., 1., 1.], dtype=float64)
    """
    powers, y = vander(x, degree + 1), asarray(y)
    if w is not None:
        w = asarray(w)
        powers, y = powers * w[:, None], y * (w if y.ndim == 1 else w[:, None])
    scale = norm(powers, axis=0)  # columns of one length, for a better condition
    found = lstsq(powers / scale, y, len(y) * float(np.finfo(powers.dtype).eps))[0]
    return found / (scale if y.ndim == 1 else scale[:, None])


def polyadd(p: Any, q: Any) -> Tensor:
    """The coefficients of the sum of two polynomials; see `polyval`.

    >>> ac.polyadd([1.0, 2.0], [3.0, 0.0, 0.0])
    Tensor([3., 1., 2.], dtype=float64)
    """
    p, q = atleast_1d(p), atleast_1d(q)
    n = max(p.size, q.size)
    return pad(p, ((n - p.size, 0),)) + pad(q, ((n - q.size, 0),))


def polysub(p: Any, q: Any) -> Tensor:
    """The coefficients of the difference of two polynomials; see `polyval`.

    >>> ac.polysub([1.0, 2.0], [3.0, 0.0, 0.0])
    Tensor([-3.,  1.,  2.], dtype=float64)
    """
    return polyadd(p, negative(q))


def polymul(p: Any, q: Any) -> Tensor:
    """The coefficients of the product of two polynomials; see `polyval`.

    >>> ac.polymul([1.0, 1.0], [1.0, -1.0])
    Tensor([ 1.,  0., -1.], dtype=float64)
    """
    return convolve(atleast_1d(p), atleast_1d(q))


def polyder(p: Any, m: int = 1) -> Tensor:
    """The coefficients of a polynomial's m-th derivative; see `polyval`.

    >>> ac.polyder([1.0, 2.0, 3.0])
    Tensor([2., 2.], dtype=float64)
    """
    p = asarray(p)
    for _ in range(m):
        p = p[:-1] * np.arange(p.size - 1, 0, -1).astype(p.dtype)
    return p


def polyint(p: Any, m: int = 1) -> Tensor:
    """The coefficients of a polynomial's m-th integral, which is 0 at 0; see `polyval`.

    >>> ac.polyint([2.0, 2.0])
    Tensor([1., 2., 0.], dtype=float64)
    """
    p = asarray(p)
    p = p if p.dtype.kind in INEXACT else astype(p, np.float64)
    for _ in range(m):
        p = pad(p / np.arange(p.size, 0, -1).astype(p.dtype), ((0, 1),))
    return p
