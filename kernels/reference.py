"""The NumPy reference of every kernel: written to be obviously right, not fast.

It defines what a kernel returns. Backends are tested against it, and it runs where a backend has
nothing of its own. No input is ever modified, results keep the dtype of the inputs, and ``out=``
takes a C-contiguous array of the result's shape and dtype to fill and return.
"""

import decimal
import functools
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from kernels.arrays import result
from kernels.geometry import NO_PADDING, Padding, Pair, output_shape, pooling_shape

Array = np.ndarray

# --- windows and convolutions -----------------------------------------------------------------


def im2col(
    x: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    """Copy every window of a batch of images, with zeros for the padding.

    Args:
        x: images ``(N, H, W, C)``.
        window: ``(kh, kw)``.
        stride: ``(sh, sw)``, steps between neighbouring windows.
        padding: ``((top, bottom), (left, right))``.
        dilation: ``(dh, dw)``, steps between neighbouring elements of one window.
        out: where to write the result.

    Returns:
        ``(N, Ho, Wo, kh, kw, C)``, ``Ho`` and ``Wo`` as :func:`kernels.output_shape` counts.
    """
    height, width = output_shape(x.shape[1:3], window, stride, padding, dilation)
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    cols = np.empty((len(x), height, width, *window, x.shape[3]), x.dtype)
    for i, j in np.ndindex(*window):
        cols[:, :, :, i, j] = _offset(padded, i, j, (height, width), stride, dilation)
    return _deliver(cols, out)


def col2im(
    cols: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    """Add windows back into images: the transpose of :func:`im2col`.

    Args:
        cols: windows ``(N, Ho, Wo, kh, kw, C)``.
        shape: ``(H, W)`` of the images, which the windows do not determine.
        stride: as in :func:`im2col`.
        padding: as in :func:`im2col`; what lies on the padding is dropped.
        dilation: as in :func:`im2col`.
        out: where to write the result.

    Returns:
        ``(N, H, W, C)``; each element is the sum over the windows that hold it, added in the
        order of its place in the window, so that results repeat bit for bit.
    """
    images, height, width, *window, channels = cols.shape
    check_output(shape, (height, width), (window[0], window[1]), stride, padding, dilation)
    (top, bottom), (left, right) = padding
    padded = np.zeros(
        (images, top + shape[0] + bottom, left + shape[1] + right, channels), cols.dtype
    )
    for i, j in np.ndindex(*window):
        view = _offset(padded, i, j, (height, width), stride, dilation)
        view += cols[:, :, :, i, j]
    return _deliver(padded[:, top : top + shape[0], left : left + shape[1]], out)


def conv(
    x: Array,
    w: Array,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    """Cross-correlate images with filters, separately for each task of a batch.

    Args:
        x: images ``(B, N, H, W, C)``: N images for each of B tasks.
        w: filters ``(B, kh, kw, C, O)``: each task has its own.
        stride: as in :func:`im2col`.
        padding: as in :func:`im2col`.
        dilation: as in :func:`im2col`.
        out: where to write the result.

    Returns:
        ``(B, N, Ho, Wo, O)``.
    """
    cols = _task_windows(x, w.shape[1:3], stride, padding, dilation)
    return _deliver(np.einsum("bnyxijc,bijco->bnyxo", cols, w), out)


def conv_input(
    g: Array,
    w: Array,
    shape: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    """Transpose of :func:`conv` in its images.

    Args:
        g: cotangent of the result ``(B, N, Ho, Wo, O)``.
        w: filters ``(B, kh, kw, C, O)``.
        shape: ``(H, W)`` of the images.
        stride: as in :func:`im2col`.
        padding: as in :func:`im2col`.
        dilation: as in :func:`im2col`.
        out: where to write the result.

    Returns:
        Cotangent of the images ``(B, N, H, W, C)``.
    """
    cols = np.einsum("bnyxo,bijco->bnyxijc", g, w)
    flat = cols.reshape(g.shape[0] * g.shape[1], *cols.shape[2:])
    images = col2im(flat, shape, stride, padding, dilation)
    return _deliver(images.reshape(*g.shape[:2], *images.shape[1:]), out)


def conv_weight(
    x: Array,
    g: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    out: Array | None = None,
) -> Array:
    """Transpose of :func:`conv` in its filters.

    Args:
        x: images ``(B, N, H, W, C)``.
        g: cotangent of the result ``(B, N, Ho, Wo, O)``.
        window: ``(kh, kw)`` of the filters.
        stride: as in :func:`im2col`.
        padding: as in :func:`im2col`.
        dilation: as in :func:`im2col`.
        out: where to write the result.

    Returns:
        Cotangent of the filters ``(B, kh, kw, C, O)``.
    """
    cols = _task_windows(x, window, stride, padding, dilation)
    return _deliver(np.einsum("bnyxijc,bnyxo->bijco", cols, g), out)


def pool_argmax(
    x: Array,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    out: Array | None = None,
) -> Array:
    """Find the largest element of every window.

    Args:
        x: images ``(N, H, W, C)``.
        window: ``(kh, kw)``.
        stride: ``(sh, sw)``.
        padding: ``((top, bottom), (left, right))``, each smaller than the window. Padding is never
            chosen.
        out: where to write the result.

    Returns:
        int64 ``(N, Ho, Wo, C)``: index ``h * W + w`` of the maximum. Among equals the first in
        row-major order wins, and NaN beats every number, as in ``np.argmax``.

    Raises:
        ValueError: a window could hold nothing but padding.
    """
    size = pooling_shape(x.shape[1:3], window, stride, padding)
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    best = np.zeros((len(x), *size, x.shape[3]), x.dtype)
    index = np.full(best.shape, -1, np.int64)
    for i, j in np.ndindex(*window):
        row = np.arange(size[0])[:, None, None] * stride[0] - padding[0][0] + i
        column = np.arange(size[1])[:, None] * stride[1] - padding[1][0] + j
        inside = (row >= 0) & (row < x.shape[1]) & (column >= 0) & (column < x.shape[2])
        value = _offset(padded, i, j, size, stride, (1, 1))
        better = (index < 0) | (value > best) | (np.isnan(value) & ~np.isnan(best))
        index = np.where(inside & better, row * x.shape[2] + column, index)
        best = np.where(inside & better, value, best)
    return _deliver(index, out)


def _offset(padded: Array, i: int, j: int, size: Pair, stride: Pair, dilation: Pair) -> Array:
    """View the element ``(i, j)`` of all windows: ``(N, Ho, Wo, C)``."""
    start = padded[:, i * dilation[0] :, j * dilation[1] :]
    return start[:, :: stride[0], :: stride[1]][:, : size[0], : size[1]]


def _task_windows(x: Array, window: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """:func:`im2col` of ``(B, N, H, W, C)`` → ``(B, N, Ho, Wo, kh, kw, C)``."""
    cols = im2col(
        x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), window, stride, padding, dilation
    )
    return cols.reshape(*x.shape[:2], *cols.shape[1:])


def check_output(
    shape: Pair, given: Pair, window: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> None:
    """Raise ValueError unless images of ``shape`` have ``given`` windows."""
    expected = output_shape(shape, window, stride, padding, dilation)
    if given != expected:
        raise ValueError(f"images of shape {shape} have {expected} windows, got {given}")


def _deliver(values: Array, out: Array | None) -> Array:
    if out is None:
        return values
    np.copyto(result(out, values.shape, values.dtype), values)
    return out


# --- products and sums ------------------------------------------------------------------------


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """Multiply matrices, as ``np.matmul`` does.

    Args:
        x: ``(..., N, K)``, or ``(K,)``.
        y: ``(..., K, M)``, or ``(K,)``; leading axes broadcast.
        out: where to write the result.

    Returns:
        ``(..., N, M)``, without the axis that a vector lacks.
    """
    return np.matmul(x, y, out=out)


def sum_axes(x: Array, axes: tuple[int, ...], out: Array | None = None) -> Array:
    """Add up an array over some axes.

    Args:
        x: any shape.
        axes: distinct, counted from the front.
        out: where to write the result.

    Returns:
        The shape of ``x`` without the axes, in its dtype.
    """
    return np.add.reduce(x, axis=axes, dtype=x.dtype, out=out)


# --- softmax ----------------------------------------------------------------------------------


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / Σ exp(x) over an axis, without overflow. Everything keeps its shape and dtype."""
    if x.size == 0:
        return x.copy()
    shares = np.exp(x - np.max(x, axis=axis, keepdims=True))
    shares /= np.sum(shares, axis=axis, keepdims=True)
    return shares


def log_softmax(x: Array, axis: int) -> Array:
    """x - log Σ exp(x) over an axis, without overflow; likewise."""
    if x.size == 0:
        return x.copy()
    shifted = x - np.max(x, axis=axis, keepdims=True)
    shifted -= np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


# --- gather and scatter -----------------------------------------------------------------------


def take_along(values: Array, index: Array) -> Array:
    """Pick elements along axis 1: ``result[p, m, q] = values[p, index[p, m, q], q]``.

    Args:
        values: ``(P, L, Q)``.
        index: integers ``(P, M, Q)`` in ``[-L, L)``; the negative count from the end.

    Returns:
        ``(P, M, Q)``.

    Raises:
        IndexError: an index out of bounds, or not an integer.
    """
    return np.take_along_axis(values, index, axis=1)


def index_add(values: Array, index: Array, size: int) -> Array:
    """Add slices along the middle axis: ``result[:, index[m], :] += values[:, m, :]``.

    Args:
        values: ``(P, M, Q)``.
        index: integers ``(M,)`` in ``[-size, size)``; the negative count from the end.
        size: length of the axis in the result.

    Returns:
        ``(P, size, Q)``; where indices repeat, values are added in the order of ``m``.

    Raises:
        IndexError: an index out of bounds, or not an integer.
    """
    result = np.zeros((size, values.shape[0], values.shape[2]), values.dtype)
    np.add.at(result, index, values.swapaxes(0, 1))
    return np.ascontiguousarray(result.swapaxes(0, 1))


def take_along_transpose(values: Array, index: Array, size: int) -> Array:
    """Transpose of ``np.take_along_axis`` along axis 1: ``result[p, index[p, m]] += values[p, m]``.

    Args:
        values: ``(P, M)`` or ``(P, M, Q)``.
        index: integers of the same shape, in ``[-size, size)``.
        size: length of the axis in the result.

    Returns:
        ``(P, size)`` or ``(P, size, Q)``; where indices repeat, values are added in the order
        of ``m``.

    Raises:
        IndexError: an index out of bounds, or not an integer.
    """
    result = np.zeros((len(values), size, *values.shape[2:]), values.dtype)
    places: list[Array] = list(np.indices(values.shape, sparse=True))
    places[1] = index
    np.add.at(result, tuple(places), values)
    return result


def scatter_add_nd(values: Array, flat_index: Array, size: int) -> Array:
    """Add rows: ``result[flat_index[m]] += values[m]``.

    Several index arrays become one by ``np.ravel_multi_index``.

    Args:
        values: ``(M, Q)``.
        flat_index: integers ``(M,)`` in ``[-size, size)``.
        size: number of rows in the result.

    Returns:
        ``(size, Q)``; where indices repeat, values are added in the order of ``m``.

    Raises:
        IndexError: an index out of bounds, or not an integer.
    """
    result = np.zeros((size, values.shape[1]), values.dtype)
    np.add.at(result, flat_index, values)
    return result


# --- datasets ---------------------------------------------------------------------------------


def gather_images(images: Array, rows: Array, turns: Array) -> Array:
    """Pick images, turn each by quarter turns, and make floats of them.

    Args:
        images: ``(M, C, H, W)``, uint8 (255 becomes 1) or floating point.
        rows: which ones, integers ``(N,)`` in ``[0, M)``.
        turns: counterclockwise, integers ``(N,)`` in ``[0, 4)``; only square images can be turned.

    Returns:
        ``(N, C, H, W)``, float32 for uint8, else of the images' dtype.
    """
    pixels = images[rows]
    for turn in set(turns.tolist()) - {0}:
        pixels[turns == turn] = np.rot90(pixels[turns == turn], turn, axes=(-2, -1))
    return np.multiply(pixels, np.float32(1 / 255)) if images.dtype == np.uint8 else pixels


# --- random numbers ---------------------------------------------------------------------------

FOLD = 2


def random_bits(keys: Array, count: int, purpose: int = 0) -> Array:
    """Random bits that depend on a key alone: Philox-4x64-10 with the counter (0, 0, 0, purpose).

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

    Args:
        keys: uint64 ``(S, 2)``.
        count: how many numbers for each.
        purpose: the last word of the counter: other numbers for each.

    Returns:
        uint64 ``(S, count)``.
    """
    return np.array([_philox(key, count, 0, purpose) for key in keys], np.uint64).reshape(
        len(keys), count
    )


def random_children(keys: Array, numbers: Array) -> Array:
    """A key made of a key and a number, for each of some: the counter is (0, number, 0, 2).

    Args:
        keys: uint64 ``(S, 2)``.
        numbers: uint64 ``(S,)``.

    Returns:
        uint64 ``(S, 2)``.
    """
    pairs = zip(keys, numbers, strict=True)
    children = [_philox(key, 2, int(number), FOLD) for key, number in pairs]
    return np.array(children, np.uint64).reshape(-1, 2)


def _philox(key: Array, count: int, index: int, purpose: int) -> Array:
    counter = np.array([0, index, 0, purpose], np.uint64)  # a list might become floats
    return np.random.Philox(key=key, counter=counter).random_raw(count)


# --- special functions ------------------------------------------------------------------------
# Computed in float64 and rounded to the dtype of x at the end.


def erf(x: Array, out: Array | None = None) -> Array:
    """Error function, 2/√π ∫₀ˣ exp(-t²) dt, elementwise."""
    return _special(_each(math.erf), x, out=out)


def erfc(x: Array, out: Array | None = None) -> Array:
    """Complementary error function 1 - erf(x), elementwise, accurate where that is tiny."""
    return _special(_each(math.erfc), x, out=out)


def erfinv(x: Array, out: Array | None = None) -> Array:
    """Inverse of the error function, elementwise: ±inf at ±1, NaN beyond."""
    return _special(_each(_erfinv), x, out=out)


def lgamma(x: Array, out: Array | None = None) -> Array:
    """log|Γ(x)|, elementwise; inf at the poles 0, -1, -2, …"""
    return _special(_each(_lgamma), x, out=out)


def digamma(x: Array, out: Array | None = None) -> Array:
    """ψ(x) = d/dx log Γ(x), elementwise.

    The pole at ±0 gives ∓inf; the poles at -1, -2, … and -inf give NaN, since the sign there
    depends on the side. Digits stay near the zeros between them, where reflection cancels.
    """
    return _special(_digamma, x, out=out)


def polygamma(n: int, x: Array, out: Array | None = None) -> Array:
    """ψ⁽ⁿ⁾(x), the n-th derivative of the digamma function, elementwise.

    At the poles 0, -1, -2, … odd orders give inf. Even orders give ∓inf at ±0 and NaN at the
    others, since the sign there depends on the side.

    Args:
        n: order, from 0 (digamma itself) to 100.
        x: any shape.
        out: where to write the result.

    Raises:
        ValueError: an order outside that range.
    """
    check_order(n)
    return digamma(x, out) if n == 0 else _special(lambda z: _polygamma(n, z), x, out=out)


def polygamma_drop(n: int, x: Array, y: Array, out: Array | None = None) -> Array:
    """ψ⁽ⁿ⁾(x) - ψ⁽ⁿ⁾(x + y), elementwise, without the cancellation where y is small beside x.

    Args:
        n: order, from 0 to 100.
        x, y: shapes that broadcast. Where x or x + y is not positive, it is the plain difference.
        out: where to write the result.

    Raises:
        ValueError: an order outside that range.
    """
    check_order(n)
    return _special(_each(functools.partial(_polygamma_drop, n)), x, y, out=out)


def betaln(x: Array, y: Array, out: Array | None = None) -> Array:
    """log|B(x, y)| = log|Γ(x) Γ(y) / Γ(x + y)|, elementwise, for shapes that broadcast.

    For x, y > 0 digits stay along the line where the result is 0 too; left of 0, the error is of
    the order of the rounding of the three terms.
    """
    return _special(_each(_betaln), x, y, out=out)


def erfcx(x: Array, out: Array | None = None) -> Array:
    """exp(x²) erfc(x), elementwise: erfc without its underflow, about 1/(x√π) for large x."""
    return _special(_each(_erfcx), x, out=out)


def erfcx_derivative(n: int, x: Array, out: Array | None = None) -> Array:
    """The n-th derivative of erfcx, 2/√π ∫₀^∞ (-2t)ⁿ exp(-t² - 2xt) dt, elementwise, n ≥ 1."""
    return _special(lambda z: _erfcx_derivative(n, z), x, out=out)


def ndtr(x: Array, out: Array | None = None) -> Array:
    """Φ(x) = erfc(-x/√2)/2, the normal distribution's cumulative probability, elementwise."""
    return _special(_each(_ndtr), x, out=out)


def log_ndtr(x: Array, out: Array | None = None) -> Array:
    """log Φ(x), elementwise, accurate in both tails."""
    return _special(_each(_log_ndtr), x, out=out)


def entr(x: Array, out: Array | None = None) -> Array:
    """-x log x, elementwise: 0 at 0, -inf left of it."""
    inside = lambda z: -z * np.log(np.where(z == 0, 1, z))
    return _special(lambda z: np.select([z < 0, z == 0], [-np.inf, 0], inside(z)), x, out=out)


def logit(x: Array, out: Array | None = None) -> Array:
    """log(x / (1 - x)), elementwise: ∓inf at 0 and 1, NaN outside."""
    inside = lambda z: np.where(np.abs(z - 0.5) < 0.25, 2 * np.arctanh(2 * z - 1), _log_odds(z))
    return _special(lambda z: np.where(np.abs(z - 0.5) <= 0.5, inside(z), np.nan), x, out=out)


def i0e(x: Array, out: Array | None = None) -> Array:
    """exp(-|x|) I₀(x), the scaled modified Bessel function of order 0, elementwise."""
    return _special(lambda z: _bessel(0, 0, z), x, out=out)


def i1e(x: Array, out: Array | None = None) -> Array:
    """exp(-|x|) I₁(x), the scaled modified Bessel function of order 1, elementwise."""
    return _special(lambda z: _bessel(1, 0, z), x, out=out)


def bessel_derivative(order: int, n: int, x: Array, out: Array | None = None) -> Array:
    """The n-th derivative of exp(-|x|) I_order(x), elementwise, for order 0 or 1.

    At 0, where exp(-|x|) has a kink, it is the mean of the derivatives on both sides.
    """
    return _special(lambda z: _bessel(order, n, z), x, out=out)


def check_order(n: int) -> None:
    """Raise ValueError unless ``n`` is an order that polygamma supports."""
    if n != int(n) or not 0 <= n <= 100:
        raise ValueError(f"polygamma has orders 0 to 100, got {n}")


def bessel_terms(order: int, n: int, count: int) -> list[float]:
    """Coefficients in powers of 1/x, the constant first, of the n-th derivative of
    √(2πx) exp(-x) I_order(x) / √(2πx), times x^(n + ½) √(2π) (Abramowitz & Stegun 9.7.1)."""
    terms, term = [], 1.0
    for j in range(count):
        falling = math.prod(-(0.5 + j + k) for k in range(n))  # of the powers of x
        terms.append(term * falling / math.sqrt(2 * math.pi))
        term *= ((2 * j + 1) ** 2 - 4 * order**2) / (8 * (j + 1))
    return terms


def _special(function: Callable[..., Array], *args: Array, out: Array | None) -> Array:
    dtype = special_dtype(*args)
    with np.errstate(all="ignore"):
        wide = [np.asarray(x).astype(np.float64) for x in args]
        return _deliver(np.asarray(function(*wide)).astype(dtype), out)


def special_dtype(*args: Any) -> np.dtype:
    """The dtype of a special function of arrays, numbers or dtypes: integers count as float64.

    Raises:
        TypeError: an argument that is not real.
    """
    dtype = np.result_type(*args)
    if dtype.kind not in "fiub":
        raise TypeError(f"expected real numbers, got {dtype}")
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _each(function: Callable[..., float]) -> Callable[..., Array]:
    return np.vectorize(function, otypes=[np.float64])


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # at a pole; beyond the largest float
        return math.inf


def _erfinv(y: float) -> float:
    if not -1 < y < 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    from statistics import NormalDist  # slow to import, seldom needed

    tail = 1 - abs(y)
    x = -NormalDist().inv_cdf(tail / 2) / math.sqrt(2)
    for _ in range(3):  # Newton; in the tail on erfc, where erf has no digits left
        error = math.erf(x) - abs(y) if tail > 0.5 else tail - math.erfc(x)
        x -= error * math.sqrt(math.pi) / 2 * math.exp(x * x)
    return math.copysign(x, y)


def _digamma(x: Array) -> Array:
    """Recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18); left of
    0 the reflection formula (6.3.7), in decimals where its terms cancel."""
    argument = np.where(x < 0, 1 - x, x)
    rest = np.where(x < 0, (1 - argument) - x, 0) / (argument - 0.5)  # by its slope, roughly
    result = np.zeros_like(x)
    for _ in range(10):
        small = argument < 10
        result -= np.where(small, 1 / argument, 0)
        argument = argument + small
    series = np.zeros_like(x)
    for k in range(7, 0, -1):
        series = (series + BERNOULLI[k] / (2 * k)) / argument**2
    result += np.log(argument) - 0.5 / argument - series
    terms = result + rest, -np.pi * _cot_pi(x)
    reflected = _without_cancellation(0, x, np.add(*terms), np.add(*np.abs(terms)))
    result = np.where(x < 0, reflected, result)
    result = np.where((x < 0) & (x == np.floor(x)), np.nan, result)
    return np.where(x == 0, -np.copysign(np.inf, x), result)


def _polygamma(n: int, x: Array) -> Array:
    """(-1)ⁿ⁺¹ n! ζ(n + 1, x) (A&S 6.4.10), left of 0 as the sum over all integers less that from
    1 - x onwards, in decimals where these cancel."""
    sign = 1 if n % 2 else -1
    r = np.where(x < 0, x - np.rint(x), 0.5)
    near, far = _scaled_zeta(n, np.abs(r)), _scaled_zeta(n, 1 - np.abs(r))
    beyond = _scaled_zeta(n, np.where(x < 0, 1 - x, x))
    whole = near + far if n % 2 else np.copysign(near - far, r)
    left = sign * (whole - sign * beyond)
    left = _without_cancellation(n, x, left, near + far + beyond)
    result = np.where(x < 0, left, sign * beyond)
    result = np.where((x < 0) & (x == np.floor(x)), np.inf if n % 2 else np.nan, result)
    return np.where(x == 0, np.inf if n % 2 else -np.copysign(np.inf, x), result)


def _without_cancellation(n: int, x: Array, values: Array, terms: Array) -> Array:
    """ψ⁽ⁿ⁾(x) for x < 0, given values of it and the size of the terms that they are sums of."""
    values = np.array(values)
    for k in np.ndindex(values.shape):
        if x[k] < 0 and x[k] % 1 != 0 and abs(values[k]) < 0.3 * terms[k]:
            zeta = exact_zeta(n, Decimal(float(x[k])))
            values[k] = float((-1) ** (n + 1) * math.factorial(n) * zeta)
    return values


def exact_zeta(n: int, x: Decimal) -> Decimal:
    """ζ(n + 1, x), or -ψ(x) for n = 0, to 28 digits at least, even where x < 0 and terms cancel.

    Terms between -far and far are summed; the others by Euler-Maclaurin, the left ones as those of
    the positive numbers from 1 - first up to -x.
    """
    with decimal.localcontext(prec=60 + 2 * n):
        far, total = 20 + n // 2, Decimal(0)
        first = x
        if x < -far:
            first = x % 1 - far  # % has the sign of x
            total = (-1) ** (n + 1) * (_exact_tail(n, 1 - first) - _exact_tail(n, 1 - x))
        while first < far:
            total += 1 / first ** (n + 1)
            first += 1
        return total + _exact_tail(n, first)


def _exact_tail(n: int, x: Decimal) -> Decimal:
    """ζ(n + 1, x), or -ψ(x) for n = 0, for large x, by Euler-Maclaurin summation (A&S 23.1.30)."""
    total, factor = x / n + Decimal("0.5") if n else Decimal("0.5"), (n + 1) / x
    for k in range(1, len(EXACT_BERNOULLI)):
        number = EXACT_BERNOULLI[k] / math.factorial(2 * k)
        total += factor * number.numerator / number.denominator
        factor *= (n + 2 * k) * (n + 2 * k + 1) / x**2
    return total / x ** (n + 1) - (0 if n else x.ln())


def _scaled_zeta(n: int, x: Array) -> Array:
    """n! ζ(n + 1, x) for x > 0, by Euler-Maclaurin summation from x + terms onwards.

    In units of n!/xⁿ⁺¹, its first term, so that no factor overflows or underflows before the
    result does.
    """
    s, terms = n + 1, 20 + n
    end = x + terms
    tail = end / n + 0.5
    factor = s / end
    for k in range(1, 11):
        tail = tail + BERNOULLI[k] / math.factorial(2 * k) * factor
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / end**2
    total = sum((x / (x + k)) ** s for k in range(terms)) + (x / end) ** s * tail
    first = np.ones_like(x)
    for k in range(1, n + 1):
        first = first * (k / x)
    return np.where(np.isinf(x), 0, first * (total / x))


def _cot_pi(x: Array) -> Array:
    """cot(πx), with the period removed exactly and full accuracy near the zeros."""
    r = x - np.rint(x)
    near_zero = np.copysign(np.tan(np.pi * (0.5 - np.abs(r))), r)
    return np.where(np.abs(r) < 0.25, 1 / np.tan(np.pi * r), near_zero)


def _polygamma_drop(n: int, x: float, y: float) -> float:
    """(-1)ⁿ⁺¹ n! (ζ(n + 1, x) - ζ(n + 1, x + y)), by Euler-Maclaurin summation of differences."""
    if not (x > 0 and x + y > 0 and y < math.inf):
        ends = np.array([x, x + y])
        first, second = _polygamma(n, ends) if n else _digamma(ends)
        return float(first - second)
    s, terms = n + 1, 20 + n
    end = x + terms
    total = _power_drop(end, y, n) / n if n else math.log1p(y / end)
    total += 0.5 * _power_drop(end, y, s) + sum(_power_drop(x + k, y, s) for k in range(terms))
    factor = float(s)
    for k in range(1, 11):
        total += BERNOULLI[k] / math.factorial(2 * k) * factor * _power_drop(end, y, s + 2 * k - 1)
        factor *= (s + 2 * k - 1) * (s + 2 * k)
    return (-1) ** s * math.factorial(n) * total


def _power_drop(x: float, y: float, m: int) -> float:
    """x⁻ᵐ - (x + y)⁻ᵐ, as (1/x - 1/(x + y)) Σ x⁻ᵏ (x + y)^(k + 1 - m)."""
    p, q = 1 / x, 1 / (x + y)
    return y * p * q * sum(p**k * q ** (m - 1 - k) for k in range(m))


def _betaln(x: float, y: float) -> float:
    """By log Γ, or Stirling's formula with its remainder for what is large: the leading terms of
    the three cancel then (Didonato & Morris 1992, algorithm 708, BETALN)."""
    if math.isnan(x) or math.isnan(y):
        return math.nan
    p, q = min(x, y), max(x, y)
    if p == q == 1:
        return 0.0
    if p > 0 and q == math.inf:
        return -math.inf
    if p == 0:
        return math.inf
    if p < 0:
        return _lgamma(p) + _lgamma(q) - _lgamma(p + q)
    if p < 10:
        value = _betaln_of_small(p, q)
        return float(_exact_betaln(Decimal(p), Decimal(q))) if abs(value) < 0.5 else value
    rest = _stirling_rest(q) - _stirling_rest(p + q)
    rest += _stirling_rest(p) + 0.5 * math.log(2 * math.pi) - 0.5 * math.log(q)
    return rest + (p - 0.5) * math.log(p / q / (1 + p / q)) - q * math.log1p(p / q)


def _betaln_of_small(p: float, q: float) -> float:
    if q < 10:
        return _lgamma(p) + _lgamma(q) - _lgamma(p + q)
    rest = _stirling_rest(q) - _stirling_rest(p + q)
    return _lgamma(p) + rest + p - p * math.log(p + q) - (q - 0.5) * math.log1p(p / q)


def _exact_betaln(x: Decimal, y: Decimal) -> Decimal:
    """log B(x, y) to 28 digits at least, where it is near 0 too."""
    with decimal.localcontext(prec=60 + max(0, y.adjusted())):
        terms = _exact_gammaln(x) + _exact_gammaln(y) - _exact_gammaln(x + y)
        return terms + (2 * PI).ln() / 2


def _exact_gammaln(x: Decimal) -> Decimal:
    """log Γ(x) - ½ log 2π by recurrence up to 20, then Stirling's formula (A&S 6.1.40)."""
    product = Decimal(1)
    while x < 20:
        product *= x
        x += 1
    total = (x - Decimal("0.5")) * x.ln() - x - product.ln()
    for k in range(1, len(EXACT_BERNOULLI)):
        number = EXACT_BERNOULLI[k] / (2 * k * (2 * k - 1))
        total += number.numerator / x ** (2 * k - 1) / number.denominator
    return total


def _stirling_rest(x: float) -> float:
    """log Γ(x) - (x - ½) log x + x - ½ log 2π for x ≥ 10 (Abramowitz & Stegun 6.1.40)."""
    return sum(BERNOULLI[k] / (2 * k * (2 * k - 1)) * x ** (1 - 2 * k) for k in range(8, 0, -1))


def _exp_of_square(x: float, factor: float) -> float:
    """exp(factor · x²), where the rounding of x² alone would cost digits."""
    square = x * x
    if not square < 2000:
        return float(np.exp(factor * square))
    rest = float(Fraction(x) ** 2 - Fraction(square))
    return float(np.exp(factor * square)) * (1 + factor * rest)


def _erfcx(x: float) -> float:
    if x < -27:
        return math.inf
    if x < 25 or math.isnan(x):
        return _exp_of_square(x, 1.0) * math.erfc(x)
    series = 1.0  # asymptotic (Abramowitz & Stegun 7.1.23)
    for k in range(19, 0, -2):
        series = 1 - k * (0.5 / x / x) * series
    return series / (x * math.sqrt(math.pi))


def _erfcx_derivative(n: int, x: Array) -> Array:
    """By the recurrence where its terms have one sign, else the integral, by the trapezoidal rule
    in u with t = exp(u - exp(-u)) / (1 + x), which decays at both ends."""
    previous, left = np.zeros_like(x), erfcx(np.where(x < 0, x, 0))
    for k in range(n):  # from y' = 2xy - 2/√π, differentiated k times
        last = 2 / math.sqrt(math.pi) if k == 0 else -2 * k * previous
        previous, left = left, 2 * x * left - last
    right = np.where(x < 0, 0, x)
    right = np.where(np.isinf(right), 1, right)[..., None]
    u = np.arange(-4, 7, 1 / 32)
    t = np.exp(u - np.exp(-u)) / (1 + right)
    values = t * (1 + np.exp(-u)) * (-2 * t) ** n * np.exp(-t * (t + 2 * right))
    integral = 2 / math.sqrt(math.pi) / 32 * values.sum(-1)
    return np.where(x < 0, left, np.where(np.isinf(x), 0, integral))


def _ndtr(x: float) -> float:
    if x < -1:
        return 0.5 * _erfcx(-x / math.sqrt(2)) * _exp_of_square(x, -0.5)
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _log_ndtr(x: float) -> float:
    if x == -math.inf:
        return x
    if x < -1:
        return math.log(0.5 * _erfcx(-x / math.sqrt(2))) - 0.5 * x * x
    return math.log(_ndtr(x)) if x < 0 else math.log1p(-_ndtr(-x))


def _log_odds(x: Array) -> Array:
    return np.log(x / (1 - x))


def _bessel(order: int, n: int, x: Array) -> Array:
    """(1/π) ∫₀^π exp(|x| (cos t - 1)) (cos t - 1)ⁿ cos(order · t) dt right of 0, by the trapezoidal
    rule, which is exact to rounding for such periodic functions; beyond, the asymptotic series."""
    size, even = np.abs(x), (order + n) % 2 == 0
    middle = np.pi * (np.arange(200) + 0.5) / 200
    drop = -2 * np.sin(middle / 2) ** 2  # cos t - 1
    waves = np.exp(np.where(size < 400, size, 0)[..., None] * drop)
    if order == 1 and n == 0:  # by parts, so that no terms cancel for small x
        near = size * np.mean(waves * np.sin(middle) ** 2, -1)
    else:
        near = np.mean(waves * drop**n * np.cos(order * middle), -1)
    far = np.zeros_like(x)
    for term in reversed(bessel_terms(order, n, 12)):
        far = far / size + term
    value = np.where(size < 400, near, far * size ** (-0.5 - n))
    value = np.where(np.isnan(x), x, value)
    return value if even else np.where(x == 0, x, value * np.sign(x))


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
# B₂ₖ at index k, for the asymptotic series.
EXACT_BERNOULLI = (
    Fraction(1), Fraction(1, 6), Fraction(-1, 30), Fraction(1, 42), Fraction(-1, 30),
    Fraction(5, 66), Fraction(-691, 2730), Fraction(7, 6), Fraction(-3617, 510),
    Fraction(43867, 798), Fraction(-174611, 330), Fraction(854513, 138),
    Fraction(-236364091, 2730), Fraction(8553103, 6), Fraction(-23749461029, 870),
    Fraction(8615841276005, 14322), Fraction(-7709321041217, 510),
)  # fmt: skip
BERNOULLI = tuple(map(float, EXACT_BERNOULLI))
