"""Statistics of samples: moments and extremes that leave NaN out, percentiles, covariances."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import (
    ceil,
    clip,
    divide,
    equal,
    floor,
    isnan,
    maximum,
    sqrt,
    where,
)
from autograd_core.ops.complex import conj, real
from autograd_core.ops.index import take_along_axis
from autograd_core.ops.linalg import diagonal
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import all as all_
from autograd_core.ops.reduce import (
    count_nonzero,
    cumprod,
    cumsum,
    max,
    mean,
    min,
    nanmean,
    prod,
    square_magnitude,
    sum,
)
from autograd_core.ops.sorting import quantile, shares_of, sorted_over
from autograd_core.ops.structural import (
    astype,
    atleast_2d,
    concatenate,
    expand_dims,
    moveaxis,
    normalize_axes,
    reshape,
    squeeze,
    transpose,
)
from autograd_core.tensor import Tensor, asarray

__all__ = [
    "corrcoef",
    "cov",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nanvar",
    "percentile",
]


def _without_nan(extreme: Any, worst: float, x: Any, axis: Any, keepdims: bool) -> Tensor:
    x = asarray(x)
    if x.dtype.kind != "f":
        return extreme(x, axis, keepdims)
    missing = isnan(x)
    found = extreme(where(missing, worst, x), axis, keepdims)
    return where(all_(missing, axis, keepdims), np.nan, found)


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest entry over the axes of those that are not NaN; NaN where all are.

    Ties share the derivative as in `max`. `axis` and `keepdims` are those of `sum`.

    Raises:
        ShapeError: an axis is empty.

    >>> ac.nanmax(ac.asarray([[1.0, ac.nan], [ac.nan, ac.nan]]), axis=1)
    Tensor([ 1., nan], dtype=float64)
    >>> ac.grad(ac.nanmax)(ac.asarray([1.0, ac.nan, 3.0]))
    Tensor([0., 0., 1.], dtype=float64)
    """
    return _without_nan(max, -np.inf, x, axis, keepdims)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over the axes of those that are not NaN; NaN where all are.

    Ties share the derivative as in `min`. `axis` and `keepdims` are those of `sum`.

    Raises:
        ShapeError: an axis is empty.

    >>> ac.nanmin(ac.asarray([4.0, ac.nan, 3.0]))
    Tensor(3., dtype=float64)
    """
    return _without_nan(min, np.inf, x, axis, keepdims)


def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The product over the axes of the entries that are not NaN; 1 where all are.

    `axis` and `keepdims` are those of `sum`. No derivative flows to entries that are NaN.

    >>> ac.nanprod(ac.asarray([2.0, ac.nan, 3.0]))
    Tensor(6., dtype=float64)
    >>> ac.grad(ac.nanprod)(ac.asarray([2.0, ac.nan, 3.0]))
    Tensor([3., 0., 2.], dtype=float64)
    """
    x = asarray(x)
    return prod(where(isnan(x), 1, x), axis, keepdims)


def nanvar(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The variance over the axes of the entries that are not NaN; NaN where `ddof` or fewer are.

    No derivative flows to entries that are NaN.

    Args:
        x: any shape.
        axis, keepdims: those of `sum`.
        ddof: the squares' sum is divided by the count of these entries less this.

    >>> ac.nanvar(ac.asarray([1.0, ac.nan, 5.0])), ac.nanvar(ac.asarray([1.0, ac.nan]), ddof=1)
    (Tensor(4., dtype=float64), Tensor(nan, dtype=float64))
    >>> ac.grad(ac.nanvar)(ac.asarray([1.0, ac.nan, 5.0]))
    Tensor([-2.,  0.,  2.], dtype=float64)
    """
    x = asarray(x)
    missing = isnan(x)
    deviations = where(missing, 0, x - nanmean(x, axis, keepdims=True))
    total = sum(square_magnitude(deviations), axis, keepdims)
    freedom = astype(count_nonzero(~missing, axis, keepdims) - ddof, total.dtype)
    return divide(total, where(freedom > 0, freedom, np.nan))


def nanstd(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The standard deviation of the entries that are not NaN; derivative 0 where all are equal.

    The arguments are those of `nanvar`, whose root it is.

    >>> ac.nanstd(ac.asarray([1.0, ac.nan, 5.0]))
    Tensor(2., dtype=float64)
    """
    variance = nanvar(x, axis, ddof, keepdims)
    zero = equal(variance, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, variance)))


def percentile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """What q per cent of the entries over the axes are below: `quantile` of q / 100.

    Args:
        x, axis, keepdims: those of `quantile`.
        q: a number in [0, 100], or an array of them, whose axes come first in the result.

    >>> ac.percentile(ac.asarray([1.0, 2.0, 3.0, 4.0, 5.0]), [50, 90])
    Tensor([3. , 4.6], dtype=float64)
    """
    return quantile(x, np.asarray(q, np.float64) / 100, axis, keepdims)


def nancumsum(x: Any, axis: int | None = None) -> Tensor:
    """The sums of all entries up to each, NaN counting as 0; see `cumsum`.

    >>> ac.nancumsum([1.0, np.nan, 2.0])
    Tensor([1., 1., 3.], dtype=float64)
    """
    x = asarray(x)
    return cumsum(where(isnan(x), 0, x), axis)


def nancumprod(x: Any, axis: int | None = None) -> Tensor:
    """The products of all entries up to each, NaN counting as 1; see `cumprod`.

    >>> ac.nancumprod([2.0, np.nan, 3.0])
    Tensor([2., 2., 6.], dtype=float64)
    """
    x = asarray(x)
    return cumprod(where(isnan(x), 1, x), axis)


def nanquantile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`quantile` over the axes of the entries that are not NaN; NaN where all are.

    >>> ac.nanquantile([1.0, np.nan, 2.0, 4.0], 0.75)
    Tensor(3., dtype=float64)
    """
    x, shares = asarray(x), shares_of(q, "nanquantile")
    axes = normalize_axes(axis, x.ndim)
    ordered = sorted_over(x, axes, "nanquantile")  # NaN last
    last = maximum(count_nonzero(~isnan(ordered), -1, keepdims=True) - 1, 0)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    place = astype(last, dtype) * np.ravel(shares).astype(dtype)
    below = floor(place)
    low, high = (take_along_axis(ordered, astype(i, np.int64), -1) for i in (below, ceil(place)))
    out = low + (high - low) * (place - below)
    rest = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    return reshape(moveaxis(out, -1, 0), (*shares.shape, *rest))


def nanpercentile(x: Any, q: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`percentile` over the axes of the entries that are not NaN; NaN where all are.

    >>> ac.nanpercentile([1.0, np.nan, 2.0, 4.0], 75)
    Tensor(3., dtype=float64)
    """
    return nanquantile(x, np.asarray(q, np.float64) / 100, axis, keepdims)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`median` over the axes of the entries that are not NaN; NaN where all are.

    >>> ac.nanmedian([1.0, np.nan, 2.0, 4.0])
    Tensor(2., dtype=float64)
    """
    return nanquantile(x, 0.5, axis, keepdims)


def _variables(x: Any, rowvar: bool) -> Tensor:
    x = asarray(x)
    if x.ndim > 2:
        raise ShapeError(f"cov: expected one axis or two, got shape {x.shape}")
    return transpose(x) if x.ndim == 2 and not rowvar else atleast_2d(x)


def cov(
    x: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Tensor:
    """The covariance matrix of variables, each a row of observations.

    Args:
        x: (variables, observations), or (observations,) of one variable.
        y: further variables, of the same observations.
        rowvar: False where each variable is a column.
        bias: divide by the count n of observations; else by n - 1.
        ddof: divide by n - ddof, whatever `bias` says.

    >>> x = ac.asarray([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    >>> ac.cov(x), ac.cov(x[0], bias=True)
    (Tensor([[1., 2.],
            [2., 4.]], dtype=float64), Tensor(0.6667, dtype=float64))
    """
    x = _variables(x, rowvar)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar)], 0)
    freedom = x.shape[1] - ((0 if bias else 1) if ddof is None else ddof)
    apart = x - mean(x, 1, keepdims=True)
    return squeeze(divide(matmul(apart, conj(transpose(apart))), np.maximum(freedom, 0).item()))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Tensor:
    """The correlations of variables, in [-1, 1]: `cov`, divided by both standard deviations.

    Args:
        x, y, rowvar: those of `cov`.

    Returns:
        A matrix (variables, variables), whose diagonal is 1; NaN for a variable that is constant.

    >>> ac.corrcoef(ac.asarray([[1.0, 2.0, 3.0], [6.0, 4.0, 2.0]]))
    Tensor([[ 1., -1.],
            [-1.,  1.]], dtype=float64)
    """
    c = cov(x, y, rowvar)
    if c.ndim == 0:
        return c / c
    scale = sqrt(real(diagonal(c)))
    found = c / expand_dims(scale, 1) / scale
    return found if found.dtype.kind == "c" else clip(found, -1.0, 1.0)
