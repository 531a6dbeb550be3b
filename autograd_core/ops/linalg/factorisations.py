"""The factorisations of Cholesky and QR."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.arithmetic import equal
from autograd_core.ops.linalg.complements import completed
from autograd_core.ops.linalg.diagonals import diagonal
from autograd_core.ops.linalg.solving import divide_right, solve_p, unless_singular
from autograd_core.ops.linalg.stacks import (
    adjoint,
    both,
    conjugate,
    half_lower,
    hermitian,
    hermitian_array,
    hermitian_domain,
    matrices,
    on_stacks,
    tall_domain,
)
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import any as any_
from autograd_core.ops.structural import (
    Aval,
    concatenate,
    matrix_transpose,
    slice_axis,
)
from autograd_core.tensor import Tensor
from kernels.devices import on_host


def _cholesky_vjp(g: Tensor, out: Tensor, _x: None) -> Tensor:
    transposed = matrix_transpose(out)
    inner = solve_p(transposed, half_lower(matmul(transposed, g)))
    return hermitian(divide_right(inner, conjugate(out)))


def _cholesky_jvp(t: Tensor, out: Tensor, _x: None) -> Tensor:
    inner = divide_right(solve_p(out, hermitian(t)), adjoint(out))
    return matmul(out, half_lower(inner))


cholesky_p = on_stacks(
    "cholesky",
    on_host(lambda x: np.linalg.cholesky(hermitian_array(x))),
    shape=lambda x: x,
    vjps=[_cholesky_vjp],
    jvps=[_cholesky_jvp],
    **both(hermitian_domain, low=0.6),
)


def cholesky(x: Any, upper: bool = False) -> Tensor:
    """The lower triangular l with l @ lᴴ = x, for positive definite matrices (…, n, n).

    It reads the Hermitian part of x, (x + xᴴ)/2, so that gradients are Hermitian.

    Args:
        upper: give lᴴ, the upper triangular u with uᴴ @ u = x.

    Raises:
        numpy.linalg.LinAlgError: a matrix is not positive definite.

    >>> x = ac.asarray([[4.0, 2.0], [2.0, 3.0]])
    >>> ac.cholesky(x)
    Tensor([[2.    , 0.    ],
            [1.    , 1.4142]], dtype=float64)
    >>> ac.grad(lambda x: ac.sum(ac.log(ac.diagonal(ac.cholesky(x)))))(x)  # half of log det
    Tensor([[ 0.1875, -0.125 ],
            [-0.125 ,  0.25  ]], dtype=float64)
    """
    lower = cholesky_p(matrices(x, "cholesky"))
    return adjoint(lower) if upper else lower


# QR -------------------------------------------------------------------------------------------


@on_host
def _qr_kernel(x: Any) -> tuple[Any, Any]:
    q, r = np.linalg.qr(x)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    signs = np.where(diagonal.real < 0, -1, 1).astype(x.dtype)
    if x.dtype.kind == "c":  # LAPACK's is real, but nobody says so
        sizes = np.abs(diagonal)
        signs = np.where(sizes == 0, 1, diagonal / np.where(sizes == 0, 1, sizes))
    return q * signs[..., None, :], r * signs.conj()[..., :, None]


def _divide_by(r: Tensor, x: Tensor) -> Tensor:
    """x @ r⁻¹ of a triangular r."""
    dependent = any_(equal(diagonal(r), 0), -1)
    return unless_singular(dependent, lambda r: divide_right(x, r), r)


def _qr_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (q, r), (gq, gr) = out, g
    inner: Any = 0 if gr is None else matmul(r, matrix_transpose(gr))
    if gq is not None:
        inner = inner - matmul(matrix_transpose(gq), q)
    lower = half_lower(inner)
    total = conjugate(matmul(q, lower + adjoint(lower)))
    return _divide_by(matrix_transpose(r), total if gq is None else total + gq)


def _qr_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor]:
    q, r = out
    change = _divide_by(r, t)
    along = matmul(adjoint(q), change)
    lower = half_lower(along)
    turn = lower - adjoint(lower)  # Qᴴ dQ, which is skew
    return change - matmul(q, along - turn), matmul(along - turn, r)


qr_p = on_stacks(
    "qr",
    _qr_kernel,
    shape=lambda x: (x, Aval((*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype)),
    vjps=[_qr_vjp],
    jvps=[_qr_jvp],
    multiple=True,
    **both(tall_domain),
)


def qr(x: Any, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """The QR factorisation: q (…, m, k) and r (…, k, n) with q @ r = x, k = min(m, n).

    The columns of q are orthonormal; r is upper triangular, and its diagonal real and not negative.
    Derivatives need the first k columns of x to be independent.

    Args:
        mode: "reduced", or "complete" for a square q (m, m), and r (m, n) with zeros below. The
            columns that q has more are some basis; see `svd` for their derivatives.

    Raises:
        ValueError: there is no such mode.

    >>> q, r = ac.qr(ac.asarray([[3.0, 1.0], [4.0, 2.0]]))
    >>> q, ac.diagonal(r)
    (Tensor([[ 0.6, -0.8],
            [ 0.8,  0.6]], dtype=float64), Tensor([5. , 0.4], dtype=float64))
    >>> q @ r
    Tensor([[3., 1.],
            [4., 2.]], dtype=float64)
    """
    x = matrices(x, "qr", square=False)
    m, n = x.shape[-2:]
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: expected mode 'reduced' or 'complete', got {mode!r}")
    if m > n and mode == "complete":
        q, r = qr_p(x)
        zeros = np.zeros((*x.shape[:-2], m - n, n), x.dtype)
        return completed(q), concatenate([r, zeros], -2)
    if m >= n:
        return qr_p(x)
    q, r = qr_p(slice_axis(x, -1, 0, m))
    rest = matmul(adjoint(q), slice_axis(x, -1, m, n))
    return q, concatenate([r, rest], -1)
