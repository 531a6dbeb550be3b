"""Determinants."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.ops.arithmetic import equal, less, where
from autograd_core.ops.complex import imag, real, real_dtype
from autograd_core.ops.elementary import exp
from autograd_core.ops.linalg.powers import cross
from autograd_core.ops.linalg.singular import svd_p
from autograd_core.ops.linalg.solving import inv_p, solve_p, unless_singular
from autograd_core.ops.linalg.stacks import (
    adjoint,
    both,
    draw_matrix,
    eye,
    is_complex,
    lead,
    matrices,
    on_stacks,
    scalars,
    square_domain,
    times,
)
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import any as any_
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import (
    Aval,
    expand_dims,
    flip,
    matrix_transpose,
    slice_axis,
    split,
    squeeze,
    stop_gradient,
)
from autograd_core.tensor import Tensor, asarray
from kernels.devices import on_host


def _small_det(x: Tensor) -> Tensor:
    """The determinant of matrices of at most three rows, as the polynomial it is."""
    n = x.shape[-1]
    if n == 0:
        return asarray(np.ones(x.shape[:-2], x.dtype))
    rows = [squeeze(slice_axis(x, -2, i, i + 1), -2) for i in range(n)]
    if n == 1:
        return squeeze(rows[0], -1)
    if n == 2:
        return sum_(rows[0] * flip(rows[1], -1) * np.array([1, -1], x.dtype), -1)
    return sum_(rows[0] * cross(rows[1], rows[2]), -1)


def _det_by_blocks(x: Tensor) -> Tensor:
    """The determinant, in a way whose derivatives are right for singular matrices too.

    det(A) = det(U) det(Vᴴ) det(Uᴴ A V) for any fixed rotations: those of the singular value
    decomposition make the matrix in the middle diagonal. The smallest three singular values go to
    its last block, whose determinant is a polynomial; the rest is invertible unless four are 0,
    where derivatives up to the third are 0.
    """
    n = x.shape[-1]
    if n <= 3:
        return _small_det(x)
    k = n - 3
    u, s, vh = svd_p(stop_gradient(x))
    turned = matmul(matmul(adjoint(u), x), adjoint(vh))
    turned = expand_dims(s, -1) * eye(n, x) + (turned - stop_gradient(turned))
    (a, b), (c, d) = _blocks(turned, k)
    none = less(slice_axis(s, -1, 0, k), np.finfo(x.dtype).tiny)
    a = a + where(expand_dims(none, -1), eye(k, x), np.zeros((), x.dtype))
    sign, log = slogdet_p(a)
    sign = where(any_(none, -1), np.zeros((), x.dtype), sign * det_p(u) * det_p(vh))
    return sign * exp(log) * _small_det(d - matmul(c, solve_p(a, b)))


def _blocks(x: Tensor, k: int) -> list[list[Tensor]]:
    """Matrices cut before row k and column k."""
    return [split(half, [k], -1) for half in split(x, [k], -2)]


def _det_vjp(g: Tensor, _out: None, x: Tensor) -> Tensor:
    return transforms.vjp(_det_by_blocks, x)[1](g)[0]


def _det_jvp(t: Tensor, _out: None, x: Tensor) -> Tensor:
    return transforms.jvp(_det_by_blocks, (x,), (t,))[1]


def _det_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    some, n = lead(draw), draw.integer(1, 5)
    return (draw_matrix(draw, some, n, n, imaginary) / 2,), {}


det_p = on_stacks(
    "det",
    on_host(np.linalg.det),
    shape=scalars,
    vjps=[_det_vjp],
    jvps=[_det_jvp],
    **both(_det_domain),
)


def det(x: Any) -> Tensor:
    """The determinant of each matrix x (…, n, n): shape (…).

    Derivatives are right for singular matrices too: the first three for any, those of higher order
    for a rank of at least n - 3.

    Raises:
        ShapeError: the matrices are not square.

    >>> ac.det(ac.asarray([[1.0, 2.0], [3.0, 4.0]]))
    Tensor(-2., dtype=float64)
    >>> ac.grad(ac.det)(ac.asarray([[1.0, 2.0], [2.0, 4.0]]))
    Tensor([[ 4., -2.],
            [-2.,  1.]], dtype=float64)
    """
    return det_p(matrices(x, "det"))


def _slogdet_avals(x: Aval) -> tuple[Aval, Aval]:
    return scalars(x), Aval(x.shape[:-2], real_dtype(x.dtype))


# The logarithm of a determinant changes by z = trace(x⁻¹ t): its real part is that of log |det|,
# its imaginary part the angle by which the sign turns.


def _inverse(x: Tensor, log: Tensor) -> Tensor:
    return unless_singular(equal(log, -np.inf), inv_p, x)


def _slogdet_vjp(g: tuple, out: tuple, x: Tensor) -> Tensor | None:
    """Of real matrices the sign is constant where the determinant is not 0."""
    g_sign, g_z = g
    if g_sign is not None and is_complex(x):
        angle = 1j * imag(g_sign * out[0])
        g_z = angle if g_z is None else g_z + angle
    return None if g_z is None else times(matrix_transpose(_inverse(x, out[1])), g_z)


def _slogdet_jvp(t: Tensor, out: tuple, x: Tensor) -> tuple[Tensor | None, Tensor]:
    z = sum_(matrix_transpose(_inverse(x, out[1])) * t, (-2, -1))
    return (out[0] * (1j * imag(z)), real(z)) if is_complex(x) else (None, z)


slogdet_p = on_stacks(
    "slogdet",
    on_host(lambda x: tuple(np.linalg.slogdet(x))),
    shape=_slogdet_avals,
    vjps=[_slogdet_vjp],
    jvps=[_slogdet_jvp],
    multiple=True,
    **both(square_domain),
)


def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    """The sign of the determinant of each matrix x (…, n, n), and the logarithm of its magnitude.

    Each has shape (…). The sign of a complex determinant is a complex number of magnitude 1. For a
    singular matrix they are 0 and -inf, and the derivatives NaN. No product overflows.

    Raises:
        ShapeError: the matrices are not square.

    >>> ac.slogdet(ac.asarray([[0.0, 2.0], [3.0, 0.0]]))
    (Tensor(-1., dtype=float64), Tensor(1.7918, dtype=float64))
    >>> ac.grad(lambda x: ac.slogdet(x)[1])(ac.asarray([[2.0, 1.0], [1.0, 1.0]]))
    Tensor([[ 1., -1.],
            [-1.,  2.]], dtype=float64)
    """
    return slogdet_p(matrices(x, "slogdet"))
