"""Complex numbers: their parts, conjugates and angles.

A complex number counts as a pair of real ones. Rules are transposes, never adjoints: the cotangent
of z = x + iy, of a real function f, is ∂f/∂x - i ∂f/∂y, and rules of holomorphic functions are what
they are for real numbers. See docs/decisions/0012-complex-numbers.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.declare import by_rule, elementwise, linear
from autograd_core.ops.structural import (
    astype,
    broadcast_arrays,
    converted,
    stop_gradient,
    with_batch,
)
from autograd_core.primitive import Primitive
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import INEXACT, Aval, Tensor, alias, asarray
from autograd_core.transforms import zeros_of
from kernels.devices import namespace, on_gpu

__all__ = ["angle", "conj", "conjugate", "imag", "real", "to_complex"]


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The complex dtype of the same precision."""
    return np.result_type(dtype, np.complex64)


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of complex numbers."""
    return np.empty((), dtype).real.dtype


def _some_shape(draw: Any, count: int) -> tuple[tuple, dict]:
    shape = draw.shape(min_length=0)
    return tuple(draw.array(shape) for _ in range(count)), {}


# Cotangents and tangents meet in Re(g · t). A real g times the imaginary part of t is Re(-i g · t).

conj_p = elementwise("conj", np.conj, by_rule(lambda g, _out, _x: conj(g)), complex=True)
imag_p = linear(
    "imag",
    lambda x: x.imag.copy(),
    transpose=lambda g, x_like: converted(to_complex_p(zeros_of(g), -g), x_like.dtype),
    shape=lambda x: Aval(x.shape, real_dtype(x.dtype)),
    batch=lambda _size, args, _batched: imag_p(args[0]),
    domain=lambda draw: _some_shape(draw, 1),
    complex=True,
)


def _to_complex_kernel(x: Any, y: Any) -> Any:
    out = namespace(x).empty(x.shape, complex_dtype(x.dtype))
    out.real, out.imag = x, y
    return out


to_complex_p = Primitive(
    "to_complex",
    _to_complex_kernel,
    shape=lambda x, _y: Aval(x.shape, complex_dtype(x.dtype)),
    vjps=[lambda g, _out, _x, _y: real(g), lambda g, _out, _x, _y: -imag(g)],
    jvps=[
        lambda t, _out, _x, _y: to_complex_p(t, zeros_of(t)),
        lambda t, _out, _x, _y: to_complex_p(zeros_of(t), t),
    ],
    batch=lambda size, args, batched: to_complex_p(
        *(with_batch(x, b, size) for x, b in zip(args, batched, strict=True))
    ),
    domain=lambda draw: _some_shape(draw, 2),
    complex=lambda draw: _some_shape(draw, 2),
)


def to_complex(x: Any, y: Any) -> Tensor:
    """x + iy of real x and y, which broadcast; other than by that formula an infinite y is right.

    Args:
        x, y: the real and the imaginary parts; float32 gives complex64, else complex128.

    Raises:
        DtypeError: x or y is complex.

    >>> ac.to_complex([1.0, 2.0], [0.5, ac.inf])
    Tensor([1.+0.5j, 2.+infj], dtype=complex128)
    >>> ac.grad(lambda x, y: ac.abs(ac.to_complex(x, y)), (0, 1))(3.0, 4.0)
    (Tensor(0.6, dtype=float64), Tensor(0.8, dtype=float64))
    """
    kinds: list[Any] = [v if v.__class__ in PYTHON_NUMBERS else asarray(v).dtype for v in (x, y)]
    dtype = np.result_type(*kinds)
    dtype = dtype if dtype.kind in INEXACT else np.dtype(np.float64)
    return to_complex_p(*broadcast_arrays(*(astype(v, real_dtype(dtype)) for v in (x, y))))


def real(x: Any) -> Tensor:
    """The real part of x, elementwise, a real number; real x is its own.

    It is how to make a real loss of complex numbers; `value_and_grad` says what a gradient in them
    is.

    >>> ac.real([1 + 2j, 3.0])
    Tensor([1., 3.], dtype=float64)
    >>> ac.grad(lambda z: ac.real(z**2))(1 + 2j)
    Tensor(2.+4.j, dtype=complex128)
    """
    x = asarray(x)
    return converted(x, real_dtype(x.dtype)) if x.dtype.kind == "c" else alias(x)


def imag(x: Any) -> Tensor:
    """The imaginary part of x, elementwise, a real number; 0 for real x.

    >>> ac.imag([1 + 2j, 3.0])
    Tensor([2., 0.], dtype=float64)
    >>> ac.grad(ac.imag)(1 + 2j)
    Tensor(0.-1.j, dtype=complex128)
    """
    x = asarray(x)
    return imag_p(x) if x.dtype.kind == "c" else zeros_of(x)


def conj(x: Any) -> Tensor:
    """x with the sign of its imaginary part changed, elementwise; real numbers stay as they are.

    It is not complex-differentiable, so `holomorphic=True` does not apply; as a function of two
    real numbers it has a derivative, and gradients flow.

    >>> ac.conj([1 + 2j, 3 - 1j])
    Tensor([1.-2.j, 3.+1.j], dtype=complex128)
    >>> ac.grad(lambda z: ac.real(z * ac.conj(z)))(3 + 4j)
    Tensor(6.-8.j, dtype=complex128)
    """
    x = asarray(x)
    return conj_p(x) if x.dtype.kind == "c" else alias(x)


conjugate = conj


def _modulus_kernel(x: Any) -> Any:
    """√(x² + y²), by NumPy's vectors: ten times as fast as its hypot. Where they lose an infinity
    beside a NaN, it is hypot that finds it; CuPy's are of one mind."""
    out = np.absolute(x)
    if not on_gpu(x) and np.isnan(out).any():
        out = np.hypot(x.real, x.imag)
    return out


def _complex_domain(draw: Any) -> tuple[tuple, dict]:
    shape = draw.shape(min_length=0)
    return (draw.array(shape, 0.2, 3.0) + 1j * draw.array(shape, -1.5, 1.5),), {}


def _slope_of_modulus(out: Tensor, x: Tensor) -> Tensor:
    return conj(x) / where(equal(out, 0), 1, out)


modulus_p = Primitive(
    "modulus",
    _modulus_kernel,
    shape=lambda x: Aval(x.shape, real_dtype(x.dtype)),
    vjps=[lambda g, out, x: g * _slope_of_modulus(out, x)],
    jvps=[lambda t, out, x: real(t * _slope_of_modulus(out, x))],
    batch=lambda _size, args, _batched: modulus_p(args[0]),
    domain=_complex_domain,
    complex=_complex_domain,
)
"""|x| of complex x; the derivative at 0 is 0."""


def angle(x: Any) -> Tensor:
    """The angle of x in the complex plane, elementwise, in radians in [-π, π].

    That of a real number is 0 or π, with derivative 0; a complex 0 has no derivative.

    >>> ac.angle(ac.asarray([1.0 + 0j, 1j, -1 + 0j]))
    Tensor([0.    , 1.5708, 3.1416], dtype=float64)
    >>> ac.grad(lambda t: ac.angle(ac.exp(1j * t)))(0.5)
    Tensor(1., dtype=float64)
    """
    x = asarray(x)
    return arctan2(imag(x), real(x) if x.dtype.kind == "c" else stop_gradient(x))


from autograd_core.ops.arithmetic import arctan2, equal, where  # noqa: E402 - which uses the parts
