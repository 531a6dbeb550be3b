"""Reductions and scans: sums, products, means, extremes, norms, cumulative operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.declare import linear, nondifferentiable
from autograd_core.errors import ShapeError, operation
from autograd_core.ops.arithmetic import (
    absolute,
    divide,
    equal,
    greater,
    isnan,
    logical_not,
    multiply,
    not_equal,
    power,
    sqrt,
    square,
    subtract,
    where,
)
from autograd_core.ops.complex import imag, real, real_dtype
from autograd_core.ops.elementary import exp, log
from autograd_core.ops.structural import (
    Aval,
    astype,
    broadcast_p,
    broadcast_to,
    concatenate,
    flip,
    moveaxis,
    normalize_axes,
    normalize_axis,
    ravel,
    reduction_domain,
    reshape,
    shifted,
    slice_axis,
    stop_gradient,
    sum_axes,
    sum_dtype,
    without,
)
from autograd_core.primitive import Primitive
from autograd_core.tensor import INEXACT, Tensor, alias, asarray
from kernels.devices import on_gpu

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "average",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "logsumexp",
    "max",
    "mean",
    "min",
    "nanmean",
    "nansum",
    "norm",
    "prod",
    "ptp",
    "std",
    "sum",
    "trapezoid",
    "var",
]


def keep_axes(x: Tensor, axes: tuple[int, ...], reduced: Tensor, keepdims: bool) -> Tensor:
    """What x became without some axes; with `keepdims` they come back with length 1."""
    if not keepdims:
        return reduced
    return reshape(reduced, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _back(reduced: Tensor, like: Any, axes: tuple[int, ...]) -> Tensor:
    """A reduced tensor repeated along the axes it was reduced over."""
    stay = tuple(i for i in range(like.ndim) if i not in axes)
    return broadcast_p(reduced, shape=like.shape, axes=stay)


def sum(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum over one, several or all axes; over none of several it is 0.

    The derivative in every entry is 1.

    Args:
        x: any shape.
        axis: an integer, a tuple of them, or None for all.
        keepdims: leave the axes summed over in the shape, with length 1.
        dtype: to sum in; where not given that of x, or int64 for booleans and short integers.

    Raises:
        ShapeError: there is no such axis, or it is named twice.

    >>> x = ac.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> ac.sum(x), ac.sum(x, axis=0), ac.sum(x, axis=1, keepdims=True).shape
    (Tensor(10., dtype=float64), Tensor([4., 6.], dtype=float64), (2, 1))
    >>> ac.grad(lambda x: ac.sum(x**2))(x)
    Tensor([[2., 4.],
            [6., 8.]], dtype=float64)
    """
    x = asarray(x, dtype)
    axes = normalize_axes(axis, x.ndim)
    total = keep_axes(x, axes, sum_axes(x, axes), keepdims)
    return total if dtype is None else astype(total, dtype)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over one, several or all axes; integers give floats, an empty axis NaN.

    The derivative in each of n entries is 1/n. `axis` and `keepdims` are those of `sum`.

    >>> ac.mean(ac.asarray([1, 2, 6]))
    Tensor(3., dtype=float64)
    >>> ac.grad(ac.mean)(ac.asarray([1.0, 2.0, 3.0, 4.0]))
    Tensor([0.25, 0.25, 0.25, 0.25], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    return keep_axes(x, axes, divide(sum_axes(x, axes), _count(x, axes)), keepdims)


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axes)


def var(
    x: Any,
    axis: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The variance: squared deviations from the mean, summed and divided by the count less `ddof`.

    Where `ddof` is more than the count it is divided by 0. Of complex numbers squares are squared
    magnitudes, and the variance is real.

    Args:
        x: any shape.
        axis, keepdims: those of `sum`.
        ddof: 0 for the variance of these numbers, 1 for an unbiased estimate of that which they are
            a sample of.
        correction: the array API standard's name of `ddof`, over which it takes precedence.

    >>> ac.var(ac.asarray([1.0, 2.0, 6.0])), ac.var([1.0, 2.0, 6.0], correction=1)
    (Tensor(4.6667, dtype=float64), Tensor(7., dtype=float64))
    >>> ac.grad(ac.var)(ac.asarray([1.0, 3.0]))
    Tensor([-1.,  1.], dtype=float64)
    """
    ddof = ddof if correction is None else correction
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    deviations = x - mean(x, axes, keepdims=True)
    total = sum_axes(square_magnitude(deviations), axes)
    freedom = np.maximum(_count(x, axes) - ddof, 0).item()
    return keep_axes(x, axes, divide(total, freedom), keepdims)


def square_magnitude(x: Tensor) -> Tensor:
    """|x|², elementwise."""
    return square(real(x)) + square(imag(x)) if x.dtype.kind == "c" else square(x)


def std(
    x: Any,
    axis: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The standard deviation, √var; its derivative is 0 where all entries are equal.

    Args:
        x, axis, ddof, keepdims, correction: those of `var`.

    >>> ac.std(ac.asarray([[1.0, 3.0], [5.0, 5.0]]), axis=1)
    Tensor([1., 0.], dtype=float64)
    >>> ac.grad(ac.std)(ac.asarray([2.0, 2.0]))
    Tensor([0., 0.], dtype=float64)
    """
    return _safe_sqrt(var(x, axis, ddof, keepdims, correction=correction))


def _safe_sqrt(x: Tensor) -> Tensor:
    """√x with derivative 0 at 0, for sums of squares, whose root has the subgradient 0 there."""
    zero = equal(x, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, x)))


# Extremes -------------------------------------------------------------------------------------


def _reduced(ufunc: Any, name: str, x: Any, axes: tuple[int, ...]) -> Any:
    """`ufunc.reduce` over axes; CuPy has that of sums and products only, and methods."""
    if x.__class__ is np.ndarray or not on_gpu(x):
        return ufunc.reduce(x, axis=axes)
    return getattr(x, name)(axis=axes)


def _extreme(name: str, ufunc: Any) -> Primitive:
    """A maximum or minimum over axes; ties share the derivative evenly."""

    def shares(out: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        tied = astype(equal(x, _back(out, x, axes)), x.dtype)
        return tied / _back(sum_axes(tied, axes), x, axes)

    def vjp(g: Tensor, out: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        return _back(g, x, axes) * shares(out, x, axes)

    def jvp(t: Tensor, out: Tensor, x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        return sum_axes(t * shares(out, x, axes), axes)

    primitive = Primitive(
        name,
        lambda x, axes: _reduced(ufunc, name, x, axes),
        shape=lambda x, axes: Aval(without(x.shape, axes), x.dtype),
        vjps=[vjp],
        jvps=[jvp],
        batch=lambda _size, args, _batched, axes: primitive(args[0], axes=shifted(axes)),
        domain=reduction_domain,
        complex=True,
    )
    return primitive


max_p = _extreme("max", np.maximum)
min_p = _extreme("min", np.minimum)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest entry over one, several or all axes; NaN wins; ties share the derivative evenly.

    `axis` and `keepdims` are those of `sum`. See `maximum` for the larger of two arrays' entries,
    `argmax` for places.

    Raises:
        ShapeError: an axis is empty.

    >>> x = ac.asarray([[1.0, 7.0], [7.0, 2.0]])
    >>> ac.max(x), ac.max(x, axis=1)
    (Tensor(7., dtype=float64), Tensor([7., 7.], dtype=float64))
    >>> ac.grad(ac.max)(x)
    Tensor([[0. , 0.5],
            [0.5, 0. ]], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    return keep_axes(x, axes, max_p(x, axes=axes), keepdims) if axes else alias(x)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest entry over one, several or all axes; NaN wins; ties share the derivative evenly.

    `axis` and `keepdims` are those of `sum`.

    Raises:
        ShapeError: an axis is empty.

    >>> ac.min(ac.asarray([[4.0, 7.0], [3.0, 2.0]]), axis=0)
    Tensor([3., 2.], dtype=float64)
    >>> ac.grad(ac.min)(ac.asarray([2.0, 1.0, 3.0]))
    Tensor([0., 1., 0.], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    return keep_axes(x, axes, min_p(x, axes=axes), keepdims) if axes else alias(x)


amax, amin = max, min


def _position(name: str, function: Any) -> Primitive:
    """argmax or argmin along one axis: no derivative."""
    primitive = nondifferentiable(
        name,
        lambda x, axis: function(x, axis=axis),
        shape=lambda x, axis: Aval(without(x.shape, (axis,)), np.dtype(np.intp)),
        batch=lambda _size, args, _batched, axis: primitive(args[0], axis=axis + 1),
        domain=lambda draw: ((draw.array(draw.shape(min_rank=1)),), {"axis": 0}),
    )
    return primitive


argmax_p = _position("argmax", np.argmax)
argmin_p = _position("argmin", np.argmin)


def _arg(primitive: Primitive, x: Any, axis: int | None, keepdims: bool) -> Tensor:
    x = asarray(x)
    if axis is None:
        place = primitive(ravel(x), axis=0)
        return reshape(place, (1,) * x.ndim) if keepdims else place
    axis = normalize_axis(axis, x.ndim)
    return keep_axes(x, (axis,), primitive(x, axis=axis), keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the largest entry, the first one at ties; no derivative flows.

    Args:
        x: any shape.
        axis: along which; where None, of x flattened.
        keepdims: leave the axis in the shape, with length 1.

    Raises:
        ShapeError: the axis is empty.

    >>> x = ac.asarray([[1.0, 7.0], [9.0, 2.0]])
    >>> ac.argmax(x), ac.argmax(x, axis=1)
    (Tensor(2, dtype=int64), Tensor([1, 0], dtype=int64))
    """
    return _arg(argmax_p, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the smallest entry, the first one at ties; no derivative flows.

    The arguments are those of `argmax`. Values at the places have derivatives:

    >>> x = ac.asarray([[4.0, 1.0], [2.0, 3.0]])
    >>> ac.argmin(x, axis=1)
    Tensor([1, 0], dtype=int64)
    >>> ac.grad(lambda x: ac.sum(ac.take_along_axis(x, ac.argmin(x, 1, keepdims=True), 1)))(x)
    Tensor([[0., 1.],
            [1., 0.]], dtype=float64)
    """
    return _arg(argmin_p, x, axis, keepdims)


def _truths(draw: Any) -> tuple[tuple, dict]:
    (x,), params = reduction_domain(draw, min_length=0)
    return (draw.integers(x.shape, 0, 2).astype(x.dtype),), params


def _quantifier(name: str, ufunc: Any) -> Primitive:
    primitive = nondifferentiable(
        name,
        lambda x, axes: _reduced(ufunc, name, x, axes),
        shape=lambda x, axes: Aval(without(x.shape, axes), np.dtype(bool)),
        batch=lambda _size, args, _batched, axes: primitive(args[0], axes=shifted(axes)),
        domain=_truths,
    )
    return primitive


all_p = _quantifier("all", np.logical_and)
any_p = _quantifier("any", np.logical_or)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether every entry over the axes is not 0; True of no entries. No derivative flows.

    `axis` and `keepdims` are those of `sum`; the result is boolean.

    >>> x = ac.asarray([[True, True], [True, False]])
    >>> ac.all(x), ac.all(x, axis=1)
    (Tensor(False, dtype=bool), Tensor([ True, False], dtype=bool))
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    return keep_axes(x, axes, all_p(x, axes=axes), keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether some entry over the axes is not 0; False of no entries. No derivative flows.

    `axis` and `keepdims` are those of `sum`; the result is boolean.

    >>> x = ac.asarray([[0.0, 0.0], [0.0, 2.0]])
    >>> ac.any(x), ac.any(x, axis=1)
    (Tensor(True, dtype=bool), Tensor([False,  True], dtype=bool))
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    return keep_axes(x, axes, any_p(x, axes=axes), keepdims)


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """How many entries over the axes are not 0, as int64; no derivative flows.

    `axis` and `keepdims` are those of `sum`. NaN is not 0.

    >>> ac.count_nonzero(ac.asarray([[0.0, 1.0], [2.0, ac.nan]]), axis=0)
    Tensor([1, 2], dtype=int64)
    """
    return sum(astype(not_equal(x, 0), np.int64), axis, keepdims)


# Sums of exponentials, and norms --------------------------------------------------------------


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """log Σ exp(x) over the axes, without overflow; -inf, with derivative 0, where every entry is,
    or none is there. Of complex numbers it has an imaginary part in (-π, π].

    The derivative is the `softmax` of x. `axis` and `keepdims` are those of `sum`.

    >>> x = ac.asarray([1000.0, 1000.0])
    >>> ac.logsumexp(x), ac.grad(ac.logsumexp)(x)
    (Tensor(1000.6931, dtype=float64), Tensor([0.5, 0.5], dtype=float64))
    """
    x = asarray(x)
    x = x if x.dtype.kind in INEXACT else astype(x, np.float64)
    axes = normalize_axes(axis, x.ndim)
    top: Any = 0.0
    if _count(x, axes):
        top = stop_gradient(max(real(x), axes, keepdims=True))
        top = where(greater(absolute(top), np.finfo(x.dtype).max), 0.0, top)  # ±inf - ±inf is NaN
    total = sum(exp(x - top), axes, keepdims=True)
    nothing = equal(total, 0)  # where the derivative of log would be infinite, times 0
    total = where(nothing, -np.inf, log(where(nothing, 1.0, total)) + top)
    return total if keepdims else reshape(total, without(x.shape, axes))


def norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Tensor:
    """A vector norm over the axes (all by default): (Σ|x|ᵖ)^(1/p), or the largest |x| for p = inf.

    At x = 0 the derivative is 0, a subgradient. For matrices this is the norm of all their entries
    (Frobenius for p = 2); `matrix_norm` has those of matrices.

    Args:
        x: any shape, real or complex.
        ord: p, any number above 0, `numpy.inf`, or 0 for the count of non-zeros.
        axis, keepdims: those of `sum`.

    Raises:
        ValueError: `ord` is none of these.

    >>> x = ac.asarray([3.0, -4.0])
    >>> ac.norm(x), ac.norm(x, 1), ac.norm(x, np.inf)
    (Tensor(5., dtype=float64), Tensor(7., dtype=float64), Tensor(4., dtype=float64))
    >>> ac.grad(ac.norm)(x)
    Tensor([ 0.6, -0.8], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    if ord == 2:
        return _safe_sqrt(sum(square_magnitude(x), axes, keepdims))
    if ord == 1 or (ord == np.inf and not _count(x, axes)):  # the largest of none is 0
        return sum(absolute(x), axes, keepdims)
    if ord == np.inf:
        return max(absolute(x), axes, keepdims)
    if ord == 0:
        return astype(count_nonzero(x, axes, keepdims), real_dtype(x.dtype))
    if not (isinstance(ord, int | float) and ord > 0):
        raise ValueError(f"norm: expected ord > 0 (or inf, or 0), got {ord!r}")
    total = sum(_safe_power(absolute(x), ord), axes, keepdims)
    return _safe_power(total, 1.0 / ord)


def _safe_power(x: Tensor, p: float) -> Tensor:
    """xᵖ for x >= 0, with derivative 0 at 0."""
    zero = equal(x, 0)
    return where(zero, 0.0, power(where(zero, 1.0, x), p))


# Scans and products ---------------------------------------------------------------------------


def _along(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    return (draw.array(shape),), {"axis": draw.integer(0, len(shape) - 1)}


cumsum_p = linear(
    "cumsum",
    lambda x, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
    transpose=lambda g, _x, axis: flip(cumsum_p(flip(g, axis), axis=axis), axis),
    shape=lambda x, axis: x,  # noqa: ARG005
    batch=lambda _size, args, _batched, axis: cumsum_p(args[0], axis=axis + 1),
    domain=_along,
)


def cumsum(x: Any, axis: int | None = None) -> Tensor:
    """Sums of the entries up to and including each, along an axis (of flattened x without one).

    Booleans and short integers are summed as int64. See `cumulative_sum` for the array API's form.

    >>> ac.cumsum(ac.asarray([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.cumsum(x)))(ac.asarray([1.0, 2.0, 3.0]))
    Tensor([3., 2., 1.], dtype=float64)
    """
    x = asarray(x)
    if axis is None:
        return cumsum(ravel(x), 0)
    x = astype(x, sum_dtype(x.dtype))
    return cumsum_p(x, axis=normalize_axis(axis, x.ndim))


def _scan_products(x: Tensor, axis: int) -> Tensor:
    """`cumprod` by doubling, in products alone, so that its derivatives are right at zeros too."""
    n, step = x.shape[axis], 1
    while step < n:
        head = slice_axis(x, axis, 0, step)
        tail = slice_axis(x, axis, step, n) * slice_axis(x, axis, 0, n - step)
        x = concatenate([head, tail], axis)
        step *= 2
    return x


def _fold_products(x: Tensor, axis: int) -> Tensor:
    """`prod` by halving, in products alone, so that its derivatives are right at zeros too."""
    if x.shape[axis] == 0:
        return asarray(np.ones(without(x.shape, (axis,)), x.dtype))
    while (n := x.shape[axis]) > 1:
        half = n // 2
        pairs = slice_axis(x, axis, 0, half) * slice_axis(x, axis, half, 2 * half)
        x = concatenate([pairs, slice_axis(x, axis, 2 * half, n)], axis) if n % 2 else pairs
    return reshape(x, without(x.shape, (axis,)))


def by_composition(name: str, kernel: Any, composition: Any, *, shape: Any) -> Primitive:
    """A primitive along one axis that has its own kernel, and the derivatives of a composition."""
    from autograd_core import transforms

    def vjp(g: Tensor, _out: None, x: Tensor, *, axis: int) -> Tensor:
        return transforms.vjp(lambda x: composition(x, axis), x)[1](g)[0]

    def jvp(t: Tensor, _out: None, x: Tensor, *, axis: int) -> Tensor:
        return transforms.jvp(lambda x: composition(x, axis), (x,), (t,))[1]

    primitive = Primitive(
        name,
        kernel,
        shape=shape,
        vjps=[vjp],
        jvps=[jvp],
        batch=lambda _size, args, _batched, axis: primitive(args[0], axis=axis + 1),
        domain=_along,
        complex=True,
    )
    return primitive


prod_p = by_composition(
    "prod",
    lambda x, axis: np.multiply.reduce(x, axis=axis, dtype=x.dtype),
    _fold_products,
    shape=lambda x, axis: Aval(without(x.shape, (axis,)), x.dtype),
)
cumprod_p = by_composition(
    "cumprod",
    lambda x, axis: np.cumprod(x, axis=axis, dtype=x.dtype),
    _scan_products,
    shape=lambda x, axis: x,  # noqa: ARG005
)


def prod(x: Any, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """The product over one, several or all axes; its derivatives are right at zeros too.

    The derivative in an entry is the product of the others. `axis` and `keepdims` are those of
    `sum`.

    Args:
        dtype: to multiply in; where not given that of x, or int64 for booleans and short integers.

    >>> ac.prod(ac.asarray([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([3., 8.], dtype=float64)
    >>> ac.grad(ac.prod)(ac.asarray([0.0, 2.0, 5.0]))
    Tensor([10.,  0.,  0.], dtype=float64)
    """
    x = asarray(x)
    axes = normalize_axes(axis, x.ndim)
    out = astype(x, dtype or sum_dtype(x.dtype))
    for a in sorted(axes, reverse=True):
        out = prod_p(out, axis=a)
    return keep_axes(x, axes, out, keepdims)


def cumprod(x: Any, axis: int | None = None) -> Tensor:
    """Products of the entries up to and including each, along an axis (of flattened x without one).

    Its derivatives are right at zeros too. See `cumulative_prod` for the array API's form.

    >>> ac.cumprod(ac.asarray([2.0, 3.0, 4.0]))
    Tensor([ 2.,  6., 24.], dtype=float64)
    >>> ac.grad(lambda x: ac.cumprod(x)[-1])(ac.asarray([2.0, 0.0, 4.0]))
    Tensor([0., 8., 0.], dtype=float64)
    """
    x = asarray(x)
    if axis is None:
        return cumprod(ravel(x), 0)
    x = astype(x, sum_dtype(x.dtype))
    return cumprod_p(x, axis=normalize_axis(axis, x.ndim))


def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """`cumsum` by the array API standard, whose result may begin with the sum of nothing.

    Args:
        x: any shape.
        axis: along which; may be left out where x has one.
        dtype: to sum in; where not given that of x, or int64 for booleans and short integers.
        include_initial: begin with 0, so that there is one more entry.

    Raises:
        ShapeError: no axis is named, but x does not have just one.

    >>> ac.cumulative_sum(ac.asarray([1.0, 2.0]), include_initial=True)
    Tensor([0., 1., 3.], dtype=float64)
    """
    return _cumulative(cumsum, 0, x, axis, dtype, include_initial)


def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """`cumprod` by the array API standard, whose result may begin with the product of nothing.

    Args:
        x, axis, dtype: those of `cumulative_sum`.
        include_initial: begin with 1, so that there is one more entry.

    Raises:
        ShapeError: no axis is named, but x does not have just one.

    >>> ac.cumulative_prod(ac.asarray([[2.0, 3.0], [4.0, 5.0]]), axis=1, include_initial=True)
    Tensor([[ 1.,  2.,  6.],
            [ 1.,  4., 20.]], dtype=float64)
    """
    return _cumulative(cumprod, 1, x, axis, dtype, include_initial)


def _cumulative(
    scan: Any, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Tensor:
    x = asarray(x)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"{operation()}name an axis of x, which has {x.ndim}")
    axis = normalize_axis(axis or 0, x.ndim)
    out = scan(astype(x, dtype or sum_dtype(x.dtype)), axis)
    out = out if dtype is None else astype(out, dtype)
    if not include_initial:
        return out
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return concatenate([np.full(shape, first, out.dtype), out], axis)


# Compositions ---------------------------------------------------------------------------------


def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes of the entries that are not NaN; no derivative flows to those that are.

    `axis` and `keepdims` are those of `sum`.

    >>> ac.nansum(ac.asarray([1.0, ac.nan, 3.0]))
    Tensor(4., dtype=float64)
    >>> ac.grad(ac.nansum)(ac.asarray([1.0, ac.nan, 3.0]))
    Tensor([1., 0., 1.], dtype=float64)
    """
    x = asarray(x)
    return sum(where(isnan(x), 0, x), axis, keepdims)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes of the entries that are not NaN; NaN where all are.

    `axis` and `keepdims` are those of `sum`. No derivative flows to entries that are NaN.

    >>> ac.nanmean(ac.asarray([[1.0, ac.nan], [3.0, 5.0]]), axis=0)
    Tensor([2., 5.], dtype=float64)
    >>> ac.grad(ac.nanmean)(ac.asarray([1.0, ac.nan, 3.0]))
    Tensor([0.5, 0. , 0.5], dtype=float64)
    """
    x = asarray(x)
    total = nansum(x, axis, keepdims)
    return divide(total, astype(count_nonzero(logical_not(isnan(x)), axis, keepdims), total.dtype))


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest entry over the axes less the smallest.

    The derivative is 1 in the largest, -1 in the smallest, shared at ties as by `max`. `axis` and
    `keepdims` are those of `sum`.

    >>> ac.ptp(ac.asarray([[1.0, 4.0], [9.0, 2.0]]), axis=1)
    Tensor([3., 7.], dtype=float64)
    >>> ac.grad(ac.ptp)(ac.asarray([3.0, 1.0, 5.0]))
    Tensor([ 0., -1.,  1.], dtype=float64)
    """
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


def average(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over the axes, each entry counted by its weight: Σ w x / Σ w.

    Derivatives flow to entries and weights. `axis` and `keepdims` are those of `sum`.

    Args:
        weights: the shape of x; or, where `axis` is one axis, one for each place on it. All alike
            where not given.

    Raises:
        ShapeError: the weights have another shape.

    >>> ac.average(ac.asarray([1.0, 5.0]), weights=[3.0, 1.0])
    Tensor(2., dtype=float64)
    >>> ac.grad(lambda w: ac.average(ac.asarray([1.0, 5.0]), weights=w))(ac.asarray([3.0, 1.0]))
    Tensor([-0.25,  0.75], dtype=float64)
    """
    x = asarray(x)
    if weights is None:
        return mean(x, axis, keepdims)
    weights = asarray(weights)
    if weights.shape != x.shape:
        if weights.ndim != 1 or np.ndim(axis) or axis is None:
            raise ShapeError(f"average: weights of shape {weights.shape} for x of shape {x.shape}")
        place = normalize_axis(axis, x.ndim)
        weights = reshape(weights, (-1, *[1] * (x.ndim - place - 1)))
        weights = broadcast_to(weights, x.shape)
    return divide(sum(multiply(x, weights), axis, keepdims), sum(weights, axis, keepdims))


def diff(x: Any, n: int = 1, axis: int = -1, *, prepend: Any = None, append: Any = None) -> Tensor:
    """The differences of neighbours along an axis, taken n times: n entries fewer.

    Args:
        prepend, append: arrays to join to x before and after along the axis first; numbers stand
            for one entry of it.

    >>> ac.diff(ac.asarray([1.0, 4.0, 9.0])), ac.diff([1.0, 4.0, 9.0], prepend=0.0)
    (Tensor([3., 5.], dtype=float64), Tensor([1., 3., 5.], dtype=float64))
    >>> ac.grad(lambda x: ac.sum(ac.diff(x) ** 2))(ac.asarray([1.0, 4.0, 9.0]))
    Tensor([-6., -4., 10.], dtype=float64)
    """
    x = asarray(x)
    axis = normalize_axis(axis, x.ndim)
    ends = (_as_slab(prepend, x, axis), x, _as_slab(append, x, axis))
    x = concatenate([part for part in ends if part is not None], axis)
    for _ in range(n):
        length = x.shape[axis]
        after = slice_axis(x, axis, 1 if length else 0, length)
        before = slice_axis(x, axis, 0, length - 1 if length else 0)
        x = (not_equal if x.dtype.kind == "b" else subtract)(after, before)
    return alias(x)


def _as_slab(end: Any, x: Tensor, axis: int) -> Tensor | None:
    """What is joined to x along an axis; a number fills one entry of it."""
    if end is None or asarray(end).ndim:
        return end
    return broadcast_to(asarray(end), (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral along an axis by the trapezoidal rule.

    Derivatives flow to values and places.

    Args:
        y: values.
        x: where they are: one place for each entry of the axis, or an array like y. Without it they
            are `dx` apart.
        dx: the distance of neighbours, where x is not given.
        axis: of y.

    >>> ac.trapezoid([1.0, 2.0, 3.0]), ac.trapezoid([1.0, 2.0, 3.0], x=[0.0, 1.0, 3.0])
    (Tensor(4., dtype=float64), Tensor(6.5, dtype=float64))
    >>> ac.grad(ac.trapezoid)(ac.asarray([1.0, 2.0, 3.0]))
    Tensor([0.5, 1. , 0.5], dtype=float64)
    """
    y = moveaxis(y, axis, -1)
    if x is not None:
        x = asarray(x)
        dx = diff(x if x.ndim == 1 else moveaxis(x, axis, -1))
    n = y.shape[-1]
    middles = (slice_axis(y, -1, 1, n) + slice_axis(y, -1, 0, n - 1)) * 0.5
    return sum(multiply(middles, dx), -1)
