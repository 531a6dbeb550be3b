"""Discrete Fourier transforms: of complex numbers, of real ones, and back to real ones.

Rules are transposes (see `ops/complex.py`), and the matrix of a Fourier transform is symmetric: the
cotangent of `fft(x)` goes back through `fft` itself, of `ifft(x)` through `ifft`. The transforms of
half spectra are each other's transposes up to conjugates and weights. Lengths are made by cutting
and padding before a transform, so that no primitive has to know of them.

These functions are public as `autograd_core.fft.…`, since the standard has them in a namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.declare import linear
from autograd_core.device import placed
from autograd_core.errors import DtypeError, ShapeError, operation
from autograd_core.ops.complex import complex_dtype, conj, real_dtype
from autograd_core.ops.structural import (
    astype,
    embed_p,
    normalize_axes,
    normalize_axis,
    roll,
    shifted,
    slice_axis,
    whole,
)
from autograd_core.tensor import INEXACT, Aval, Tensor, asarray
from kernels.devices import namespace, on_gpu

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm by which a transform in the other direction is scaled as much."""


# The transform of complex numbers, along several axes -----------------------------------------


def _fft_kernel(x: Any, axes: tuple[int, ...], inverse: bool, norm: Any) -> Any:
    if not (x.size and axes):
        return x.astype(complex_dtype(x.dtype))
    if len(axes) == 1:
        along_one = np.fft.ifft if inverse else np.fft.fft
        return along_one(x, axis=axes[0], norm=norm)
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axes, norm=norm)


LENGTHS = (1, 2, 3, 4, 5)


def _some_array(draw: Any, complex: bool = False) -> tuple[Any, int]:
    """An array, and an axis of it that is not empty, of any length."""
    shape = draw.shape(min_rank=1, min_length=0)
    axis = draw.integer(0, len(shape) - 1)
    shape = tuple(draw.choice(LENGTHS) if i == axis else n for i, n in enumerate(shape))
    return _drawn(draw, shape, complex), axis


def _drawn(draw: Any, shape: tuple[int, ...], complex: bool) -> Any:
    x = draw.array(shape)
    return x + 1j * draw.array(shape) if complex else x


def _norm(draw: Any) -> str:
    return draw.choice(sorted(OPPOSITE))


def _fft_domain(draw: Any, complex: bool = False) -> tuple[tuple, dict]:
    x, axis = _some_array(draw, complex)
    more = tuple(a for a in range(x.ndim) if a != axis and x.shape[a] and draw.integer(0, 1))
    params = {"axes": (*more, axis), "inverse": draw.choice([False, True]), "norm": _norm(draw)}
    return (x,), params


fft_p = linear(
    "fft",
    _fft_kernel,
    transpose=lambda g, _x, **params: fft_p(g, **params),
    shape=lambda x, **_params: Aval(x.shape, complex_dtype(x.dtype)),
    batch=lambda _size, args, _batched, axes, **params: fft_p(
        args[0], axes=shifted(axes), **params
    ),
    domain=_fft_domain,
    complex=lambda draw: _fft_domain(draw, draw.choice([True, False])),
)
"""Of complex or real x. A real one has a real cotangent: reverse mode takes the real part."""


# Half spectra ---------------------------------------------------------------------------------


def _half(n: int) -> int:
    """How many frequencies a real signal of length n has, those of negative ones left out."""
    return n // 2 + 1


def _with_length(shape: Sequence[int], axis: int, n: int) -> tuple[int, ...]:
    return (*shape[:axis], n, *shape[axis + 1 :])


def _rfft_kernel(x: Any, axis: int, norm: Any) -> Any:
    if not x.size:
        shape = _with_length(x.shape, axis, _half(x.shape[axis]))
        return namespace(x).empty(shape, complex_dtype(x.dtype))
    return np.fft.rfft(x, axis=axis, norm=norm)


def _irfft_kernel(x: Any, n: int, axis: int, norm: Any) -> Any:
    if not x.size:
        return namespace(x).empty(_with_length(x.shape, axis, n), real_dtype(x.dtype))
    if on_gpu(x):
        x = _with_real_ends(x, n, axis)
    return np.fft.irfft(x, n, axis=axis, norm=norm)


def _with_real_ends(x: Any, n: int, axis: int) -> Any:
    """x without the imaginary parts that a half spectrum cannot have; cuFFT promises nothing where
    there are some, others ignore them."""
    ends = slice(0, None, n // 2) if n % 2 == 0 else slice(0, 1)
    key = (*[slice(None)] * axis, ends)
    x = x.copy()
    x[key] = x[key].real
    return x


def _times_twice(x: Tensor, n: int, axis: int, factor: float) -> Tensor:
    """Conjugates of a half spectrum; `factor` times those that stand for two frequencies."""
    weights = np.ones((_half(n), *[1] * (x.ndim - axis - 1)), real_dtype(x.dtype))
    weights[1 : (n + 1) // 2] = factor
    return conj(x) * weights


def _rfft_transpose(g: Tensor, x_like: Aval, axis: int, norm: str) -> Tensor:
    n = x_like.shape[axis]
    return irfft_p(_times_twice(g, n, axis, 0.5), n=n, axis=axis, norm=OPPOSITE[norm])


def _rfft_aval(x: Aval, axis: int, norm: str) -> Aval:
    return Aval(_with_length(x.shape, axis, _half(x.shape[axis])), complex_dtype(x.dtype))


def _rfft_domain(draw: Any) -> tuple[tuple, dict]:
    x, axis = _some_array(draw)
    return (x,), {"axis": axis, "norm": _norm(draw)}


def _irfft_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_rank=1, min_length=0)
    axis, n = draw.integer(0, len(shape) - 1), draw.choice(LENGTHS)
    x = _drawn(draw, _with_length(shape, axis, _half(n)), complex=True)
    return (x,), {"n": n, "axis": axis, "norm": _norm(draw)}


rfft_p = linear(
    "rfft",
    _rfft_kernel,
    transpose=_rfft_transpose,
    shape=_rfft_aval,
    batch=lambda _size, args, _batched, axis, norm: rfft_p(args[0], axis=axis + 1, norm=norm),
    domain=_rfft_domain,
    complex=_rfft_domain,
)
irfft_p = linear(
    "irfft",
    _irfft_kernel,
    transpose=lambda g, _x, n, axis, norm: _times_twice(
        rfft_p(g, axis=axis, norm=OPPOSITE[norm]), n, axis, 2.0
    ),
    shape=lambda x, n, axis, norm: Aval(  # noqa: ARG005
        _with_length(x.shape, axis, n), real_dtype(x.dtype)
    ),
    batch=lambda _size, args, _batched, n, axis, norm: irfft_p(
        args[0], n=n, axis=axis + 1, norm=norm
    ),
    domain=_irfft_domain,
    complex=_irfft_domain,
)
"""A real signal of length n from its half spectrum, of which n // 2 + 1 frequencies are given."""


# Arguments ------------------------------------------------------------------------------------


def _inexact(x: Any) -> Tensor:
    x = asarray(x)
    return x if x.dtype.kind in INEXACT else astype(x, np.float64)


def _real(x: Any) -> Tensor:
    x = _inexact(x)
    if x.dtype.kind == "c":
        raise DtypeError(f"{operation()}expected real numbers, got {x.dtype}")
    return x


def _complex(x: Any) -> Tensor:
    x = _inexact(x)
    return astype(x, complex_dtype(x.dtype))


def _known(norm: str | None) -> str:
    norm = norm or "backward"
    if norm not in OPPOSITE:
        raise ValueError(f"{operation()}expected norm {' or '.join(OPPOSITE)}, got {norm!r}")
    return norm


def _length(n: Any, otherwise: int, name: str = "n") -> int:
    n = otherwise if n is None else as_integer(n)
    if n < 1:
        raise ShapeError(f"{operation()}expected {name} of at least 1, got {n}")
    return n


def _resized(x: Tensor, n: int, axis: int) -> Tensor:
    """x cut, or padded with zeros, at the end of an axis."""
    length = x.shape[axis]
    if n <= length:
        return x if n == length else slice_axis(x, axis, 0, n)
    shape = _with_length(x.shape, axis, n)
    key = tuple(whole(m) for m in x.shape)
    return embed_p(x, key=key, shape=shape)


def _axes_and_lengths(x: Tensor, s: Any, axes: Any) -> tuple[tuple[int, ...], list[int]]:
    """Distinct axes, and the lengths asked for along them (those of x where not given, or -1)."""
    if s is not None and axes is None:
        axes = range(-len(s), 0)  # as in PyTorch, JAX, and NumPy before 2.0
    places = normalize_axes(axes, x.ndim)
    if s is None:
        return places, [x.shape[a] for a in places]
    if len(s) != len(places):
        raise ShapeError(f"{operation()}expected as many lengths in s={s!r} as axes in {axes!r}")
    return places, [x.shape[a] if n == -1 else n for n, a in zip(s, places, strict=True)]


def _resized_along(x: Tensor, lengths: Sequence[int], axes: Sequence[int], name: str) -> Tensor:
    for n, axis in zip(lengths, axes, strict=True):
        x = _resized(x, _length(n, 0, name), axis)
    return x


def _along_one(x: Tensor, n: Any, axis: int, inverse: bool, norm: Any) -> Tensor:
    axis = normalize_axis(axis, x.ndim)
    x = _resized(x, _length(n, x.shape[axis]), axis)
    return fft_p(x, axes=(axis,), inverse=inverse, norm=_known(norm))


def _along_several(x: Tensor, s: Any, axes: Any, inverse: bool, norm: Any) -> Tensor:
    places, lengths = _axes_and_lengths(x, s, axes)
    x = _resized_along(x, lengths, places, "lengths s")
    return fft_p(x, axes=places, inverse=inverse, norm=_known(norm))


# Complex numbers ------------------------------------------------------------------------------


def fft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The Fourier transform along an axis: yₖ = Σₘ xₘ exp(-2πi km / n).

    Args:
        x: complex or real numbers; integers count as float64.
        n: the length of the axis, which is cut or padded with zeros to it.
        norm: "backward" for no factor, "ortho" for 1 / √n, "forward" for 1 / n; the inverse
            transforms have what is missing to 1 / n.

    Returns:
        Complex numbers of the precision of x.

    Raises:
        ShapeError: n is less than 1 (the axis is empty, where n is not given), or there is no such
            axis.
        ValueError: there is no such norm.

    >>> ac.fft.fft([1.0, 0.0, 0.0, 0.0]), ac.fft.fft([1.0, 1j, -1.0, -1j])
    (Tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], dtype=complex128),
     Tensor([0.+0.j, 4.+0.j, 0.+0.j, 0.+0.j], dtype=complex128))
    >>> power = lambda x: ac.sum(ac.abs(ac.fft.fft(x, norm="ortho")) ** 2)  # that of x
    >>> ac.grad(power)(ac.asarray([1.0, 2.0, 3.0]))
    Tensor([2., 4., 6.], dtype=float64)
    """
    return _along_one(_inexact(x), n, axis, False, norm)


def ifft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The inverse of `fft`: xₘ = 1/n Σₖ yₖ exp(2πi km / n).

    Args:
        x, n, axis, norm: those of `fft`.

    Returns:
        Complex numbers of the precision of x.

    Raises:
        ShapeError, ValueError: as `fft` does.

    >>> ac.fft.ifft([4.0, 0.0, 0.0, 0.0])
    Tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], dtype=complex128)
    >>> ac.real(ac.fft.ifft(ac.fft.fft([1.0, 2.0, 3.0])))
    Tensor([1., 2., 3.], dtype=float64)
    """
    return _along_one(_inexact(x), n, axis, True, norm)


def fftn(x: Any, /, s: Any = None, axes: Any = None, norm: Any = "backward") -> Tensor:
    """The Fourier transform along several axes, by default all.

    Args:
        x: complex or real numbers; integers count as float64.
        s: the length of each axis, -1 to leave it as it is; see `n` in `fft`.
        axes: which axes, each once; the last ones where `s` alone is given.
        norm: see `fft`; the factor is that of all axes together.

    Returns:
        Complex numbers of the precision of x.

    Raises:
        ShapeError: a length is less than 1, or there are not as many as axes; an axis is repeated,
            or not there.
        ValueError: there is no such norm.

    >>> ac.fft.fftn(ac.ones((2, 2)))
    Tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]], dtype=complex128)
    >>> ac.fft.fftn(ac.ones((2, 3, 4)), axes=(0, 2)).shape
    (2, 3, 4)
    """
    return _along_several(_inexact(x), s, axes, False, norm)


def ifftn(x: Any, /, s: Any = None, axes: Any = None, norm: Any = "backward") -> Tensor:
    """The inverse of `fftn`.

    Args:
        x, s, axes, norm: those of `fftn`.

    Raises:
        ShapeError, ValueError: as `fftn` does.

    >>> ac.fft.ifftn(4.0 * ac.ones((2, 2)))
    Tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]], dtype=complex128)
    """
    return _along_several(_inexact(x), s, axes, True, norm)


# Real numbers ---------------------------------------------------------------------------------


def rfft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The first n // 2 + 1 entries of `fft` of real x; the others are conjugates of them.

    Args:
        x: real numbers.
        n, axis, norm: those of `fft`.

    Raises:
        DtypeError: x is complex.
        ShapeError, ValueError: as `fft` does.

    >>> ac.fft.rfft([1.0, 2.0, 3.0, 4.0])
    Tensor([10.+0.j, -2.+2.j, -2.+0.j], dtype=complex128)
    >>> ac.grad(lambda x: ac.imag(ac.fft.rfft(x)[1]))(ac.asarray([1.0, 2.0, 3.0, 4.0]))
    Tensor([ 0., -1.,  0.,  1.], dtype=float64)
    """
    x = _real(x)
    axis = normalize_axis(axis, x.ndim)
    x = _resized(x, _length(n, x.shape[axis]), axis)
    return rfft_p(x, axis=axis, norm=_known(norm))


def irfft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The inverse of `rfft`: real numbers from a half spectrum.

    What a spectrum of real numbers cannot have, imaginary parts of its first entry, and of its last
    for even n, is ignored.

    Args:
        x: the first entries of a spectrum, along the axis.
        n: the length of the result; 2 (m - 1) for m entries if not given, which is even.
        axis, norm: those of `fft`.

    Raises:
        ShapeError, ValueError: as `fft` does.

    >>> ac.fft.irfft([10.0, -2 + 2j, -2.0])
    Tensor([1., 2., 3., 4.], dtype=float64)
    >>> ac.fft.irfft(ac.fft.rfft([1.0, 2.0, 3.0]), n=3)
    Tensor([1., 2., 3.], dtype=float64)
    """
    x = _complex(x)
    axis = normalize_axis(axis, x.ndim)
    n = _length(n, 2 * (x.shape[axis] - 1))
    return irfft_p(_resized(x, _half(n), axis), n=n, axis=axis, norm=_known(norm))


def rfftn(x: Any, /, s: Any = None, axes: Any = None, norm: Any = "backward") -> Tensor:
    """`fftn` of real x, with half the spectrum along the last of the axes; see `rfft`.

    Args:
        x: real numbers.
        s, axes, norm: those of `fftn`.

    Raises:
        DtypeError: x is complex.
        ShapeError, ValueError: as `fftn` does.

    >>> ac.fft.rfftn(ac.ones((2, 4))).shape
    (2, 3)
    """
    x, norm = _real(x), _known(norm)
    (*others, last), lengths = _some_axes(*_axes_and_lengths(x, s, axes))
    x = rfft_p(_resized_along(x, lengths, (*others, last), "lengths s"), axis=last, norm=norm)
    return fft_p(x, axes=tuple(others), inverse=False, norm=norm) if others else x


def irfftn(x: Any, /, s: Any = None, axes: Any = None, norm: Any = "backward") -> Tensor:
    """The inverse of `rfftn`: real numbers from half a spectrum.

    Args:
        x: a spectrum, of which the last of the axes has half.
        s: the lengths of the result; the last one is 2 (m - 1) for m entries where not given.
        axes, norm: those of `fftn`.

    Raises:
        ShapeError, ValueError: as `fftn` does.

    >>> ac.fft.irfftn(ac.fft.rfftn(ac.asarray([[1.0, 2.0], [3.0, 4.0]])))
    Tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    """
    x, norm = _complex(x), _known(norm)
    (*others, last), lengths = _some_axes(*_axes_and_lengths(x, s, axes))
    n = _length(2 * (lengths[-1] - 1) if s is None else lengths[-1], 0, "the last length")
    x = _resized_along(x, (*lengths[:-1], _half(n)), (*others, last), "lengths s")
    x = fft_p(x, axes=tuple(others), inverse=True, norm=norm) if others else x
    return irfft_p(x, n=n, axis=last, norm=norm)


def _some_axes(axes: tuple[int, ...], lengths: list[int]) -> tuple[tuple[int, ...], list[int]]:
    if not axes:
        raise ShapeError(f"{operation()}expected at least one axis")
    return axes, lengths


def hfft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The real `fft` of a signal of which x is the first half, the other being its conjugates.

    Args:
        x: the first half of the signal, along the axis.
        n: the length of the result; 2 (m - 1) for m entries if not given, which is even.
        axis, norm: those of `fft`.

    >>> ac.fft.hfft([1.0, 1j, 0.0]), ac.fft.hfft([1.0, 1j], n=3)
    (Tensor([ 1.,  3.,  1., -1.], dtype=float64),
     Tensor([ 1.    ,  2.7321, -0.7321], dtype=float64))
    """
    return irfft(conj(_complex(x)), n, axis, OPPOSITE[_known(norm)])


def ihfft(x: Any, /, n: int | None = None, axis: int = -1, norm: Any = "backward") -> Tensor:
    """The inverse of `hfft`: the first half of `ifft` of real x.

    Args:
        x: real numbers.
        n, axis, norm: those of `fft`.

    Raises:
        DtypeError: x is complex.

    >>> ac.fft.ihfft([3.0, 1.0, 0.0, 1.0]).shape
    (3,)
    >>> ac.fft.hfft(ac.fft.ihfft([1.0, 2.0, 3.0, 4.0]))
    Tensor([1., 2., 3., 4.], dtype=float64)
    """
    return conj(rfft(_real(x), n, axis, OPPOSITE[_known(norm)]))


# Two axes -------------------------------------------------------------------------------------


def fft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: Any = "backward") -> Tensor:
    """`fftn` along the last two axes: the Fourier transform of images.

    Args:
        x, s, axes, norm: those of `fftn`.

    >>> ac.fft.fft2(ac.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]], dtype=complex128)
    """
    return fftn(x, s, axes, norm)


def ifft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: Any = "backward") -> Tensor:
    """`ifftn` along the last two axes: the inverse of `fft2`.

    Args:
        x, s, axes, norm: those of `fftn`.

    >>> ac.fft.ifft2(ac.asarray([[10.0, -2.0], [-4.0, 0.0]]))
    Tensor([[1.+0.j, 2.+0.j],
            [3.+0.j, 4.+0.j]], dtype=complex128)
    """
    return ifftn(x, s, axes, norm)


def rfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: Any = "backward") -> Tensor:
    """`rfftn` along the last two axes: half the spectrum of real images.

    Args:
        x, s, axes, norm: those of `rfftn`.

    >>> ac.fft.rfft2(ac.asarray([[1.0, 2.0], [3.0, 5.0]]))
    Tensor([[11.+0.j, -3.+0.j],
            [-5.+0.j,  1.+0.j]], dtype=complex128)
    """
    return rfftn(x, s, axes, norm)


def irfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: Any = "backward") -> Tensor:
    """`irfftn` along the last two axes: the inverse of `rfft2`.

    Args:
        x, s, axes, norm: those of `irfftn`.

    >>> ac.fft.irfft2(ac.asarray([[11.0, -3.0], [-5.0, 1.0]]))
    Tensor([[1., 2.],
            [3., 5.]], dtype=float64)
    """
    return irfftn(x, s, axes, norm)


# Frequencies ----------------------------------------------------------------------------------


def fftfreq(n: int, /, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of the entries of `fft`, in cycles for each unit of the sample spacing.

    0, 1, …, and then the negative ones, …, -1, all divided by n d.

    Args:
        n: the length of the signal.
        d: the sample spacing.
        dtype: real floating point; float64 by default.
        device: where the tensor is to lie; the CPU if not given.

    Raises:
        ShapeError: n is less than 1.
        DtypeError: `dtype` is not real floating point.

    >>> ac.fft.fftfreq(5), ac.fft.fftfreq(4, d=0.25)
    (Tensor([ 0. ,  0.2,  0.4, -0.4, -0.2], dtype=float64),
     Tensor([ 0.,  1., -2., -1.], dtype=float64))
    """
    return _frequencies(np.fft.fftfreq, n, d, dtype, device)


def rfftfreq(n: int, /, d: float = 1.0, dtype: Any = None, device: str | None = None) -> Tensor:
    """The frequencies of the entries of `rfft`: 0 to n // 2, divided by n d.

    Args:
        n, d, dtype, device: those of `fftfreq`.

    Raises:
        ShapeError, DtypeError: as `fftfreq` does.

    >>> ac.fft.rfftfreq(4, d=0.25)
    Tensor([0., 1., 2.], dtype=float64)
    """
    return _frequencies(np.fft.rfftfreq, n, d, dtype, device)


def _frequencies(make: Any, n: int, d: float, dtype: Any, device: str | None) -> Tensor:
    dtype = np.dtype(dtype or np.float64)
    if dtype.kind != "f":
        raise DtypeError(f"{operation()}expected a real floating-point dtype, got {dtype}")
    return placed(make(_length(n, 0), d).astype(dtype), device)


def fftshift(x: Any, /, axes: Any = None) -> Tensor:
    """x with frequency 0 moved from the first place to the middle.

    Args:
        x: any shape.
        axes: along which; an integer, a sequence of them, or None for all.

    >>> ac.fft.fftshift(ac.fft.fftfreq(5, d=0.2))
    Tensor([-2., -1.,  0.,  1.,  2.], dtype=float64)
    """
    return _rolled(x, axes, 1)


def ifftshift(x: Any, /, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`; another function where a length is odd.

    Args:
        x, axes: those of `fftshift`.

    >>> ac.fft.ifftshift(ac.asarray([-2, -1, 0, 1, 2]))
    Tensor([ 0,  1,  2, -2, -1], dtype=int64)
    """
    return _rolled(x, axes, -1)


def _rolled(x: Any, axes: Any, sign: int) -> Tensor:
    x = asarray(x)
    places = normalize_axes(axes, x.ndim)
    return roll(x, [sign * (x.shape[a] // 2) for a in places], list(places))
