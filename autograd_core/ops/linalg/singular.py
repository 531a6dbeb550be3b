"""Singular values and vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.arithmetic import greater
from autograd_core.ops.complex import imag, real
from autograd_core.ops.linalg.complements import completed
from autograd_core.ops.linalg.diagonals import diagonal
from autograd_core.ops.linalg.gauge import phases, turn, turn_back
from autograd_core.ops.linalg.stacks import (
    adjoint,
    both,
    conjugate,
    inverse_gaps,
    is_complex,
    matrices,
    on_diagonal,
    on_stacks,
    real_values,
    rectangular_domain,
)
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import count_nonzero
from autograd_core.ops.reduce import max as max_
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import (
    Aval,
    astype,
    expand_dims,
    matrix_transpose,
)
from autograd_core.tensor import Tensor
from kernels.devices import on_host


@on_host
def _svd_kernel(x: Any) -> tuple[Any, Any, Any]:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    factors = phases(u)
    return u * factors, s, vh * factors.conj().swapaxes(-1, -2)


def _svd_avals(x: Aval) -> tuple[Aval, Aval, Aval]:
    *lead, m, n = x.shape
    k = min(m, n)
    return Aval((*lead, m, k), x.dtype), real_values(x, k), Aval((*lead, k, n), x.dtype)


def _inverse_square_gaps(s: Tensor) -> Tensor:
    """1 / (sⱼ² - sᵢ²) off the diagonal, and 0 on it."""
    sums = expand_dims(s, -2) + expand_dims(s, -1)
    return inverse_gaps(s) / (sums + np.eye(s.shape[-1], dtype=s.dtype))


def _skew(x: Tensor) -> Tensor:
    return x - adjoint(x)


def _svd_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    """The transpose of `_svd_jvp`."""
    (u, s, vh), (gu, gs, gvh) = out, g
    (m, k), n = u.shape[-2:], vh.shape[-1]
    row, column = expand_dims(s, -2), expand_dims(s, -1)
    inner: Any = 0 if gs is None else on_diagonal(gs)
    if is_complex(u) and not (gu is None and gvh is None):
        gu, apart = _without_phases(u, vh, gu, gvh)
        inner = inner if apart is None else inner + on_diagonal(apart / s)
    beyond: list[Tensor] = []  # parts outside the span of U, or of V
    if gu is not None:
        along = matmul(matrix_transpose(u), gu)
        inner = inner + _inverse_square_gaps(s) * _skew(along) * row
        if m > k:
            beyond.append(matmul((gu - matmul(conjugate(u), along)) / row, conjugate(vh)))
    if gvh is not None:
        along = matmul(gvh, matrix_transpose(vh))
        inner = inner - column * _inverse_square_gaps(s) * _skew(along)
        if n > k:
            outside = gvh - matmul(along, conjugate(vh))
            beyond.append(matmul(conjugate(u) / row, outside))
    return sum(beyond, matmul(matmul(conjugate(u), inner), conjugate(vh)))


def _without_phases(u: Tensor, vh: Tensor, gu: Any, gvh: Any) -> tuple[Tensor, Tensor | None]:
    """The cotangent of u before it is turned to its phases, and that of log(s) times i, which says
    how far a column of v is turned against that of u."""
    turned: Any = 0
    apart = None
    if gu is not None:
        turned = -imag(sum_(gu * u, -2, keepdims=True))
    if gvh is not None:
        against = imag(sum_(gvh * vh, -1))
        turned, apart = turned + expand_dims(against, -2), 1j * against
    back = turn_back(u, turned)
    return (back if gu is None else gu + back), apart


def _svd_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vh = out
    (m, k), n = u.shape[-2:], vh.shape[-1]
    row, column = expand_dims(s, -2), expand_dims(s, -1)
    gaps = _inverse_square_gaps(s)
    tv, ut = matmul(t, adjoint(vh)), matmul(adjoint(u), t)
    inner = matmul(adjoint(u), tv)
    right, left = inner * row, column * inner
    du = matmul(u, gaps * (right + adjoint(right)))
    dvh = -matmul(gaps * (left + adjoint(left)), vh)
    if m > k:
        du = du + (tv - matmul(u, inner)) / row
    if n > k:
        dvh = dvh + (ut - matmul(inner, vh)) / column
    if is_complex(u):
        angle = turn(u, du)
        apart = expand_dims(imag(diagonal(inner)), -1) / column
        du = du + 1j * angle * u
        dvh = dvh + 1j * (apart - matrix_transpose(angle)) * vh
    return du, real(diagonal(inner)), dvh


svd_p = on_stacks(
    "svd",
    _svd_kernel,
    shape=_svd_avals,
    vjps=[_svd_vjp],
    jvps=[_svd_jvp],
    multiple=True,
    **both(rectangular_domain),
)


def svd(x: Any, full_matrices: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition of matrices (…, m, n), k = min(m, n).

    Args:
        full_matrices: give u (…, m, m) and vh (…, n, n). What they have more than the reduced ones
            is some basis of the rest. Derivatives of what does not depend on which one, such as
            projections, are right; others are those of a basis that turns as little as it can.

    Returns:
        u (…, m, k) and vh (…, k, n) with orthonormal columns and rows, and between them s (…, k),
        real, descending and not negative: x = u @ diag(s) @ vh. In each column of u the entry of
        largest magnitude is real and positive. Where two of s are equal, or one is 0 and m != n,
        the derivatives of u and vh are inf or NaN; for complex matrices those of vh are so where
        any of s is 0.

    >>> x = ac.asarray([[3.0, 1.0], [1.0, 3.0]])
    >>> u, s, vh = ac.svd(x)
    >>> s, ac.norm(u @ ac.diag(s) @ vh - x) < 1e-12
    (Tensor([4., 2.], dtype=float64), Tensor(True, dtype=bool))
    >>> ac.grad(lambda x: ac.svd(x)[1][0])(x)
    Tensor([[0.5, 0.5],
            [0.5, 0.5]], dtype=float64)
    """
    u, s, vh = svd_p(matrices(x, "svd", square=False))
    if full_matrices and u.shape[-2] > u.shape[-1]:
        u = completed(u)
    if full_matrices and vh.shape[-1] > vh.shape[-2]:
        vh = adjoint(completed(adjoint(vh)))
    return u, s, vh


def _svdvals_jvp(t: Tensor, _out: None, x: Tensor) -> Tensor:
    u, _, vh = svd_p(x)
    return real(diagonal(matmul(matmul(adjoint(u), t), adjoint(vh))))


svdvals_p = on_stacks(
    "svdvals",
    on_host(lambda x: np.linalg.svd(x, compute_uv=False)),
    shape=lambda x: real_values(x, min(x.shape[-2:])),
    vjps=[lambda g, _out, x: _svd_vjp((None, g, None), svd_p(x), None)],
    jvps=[_svdvals_jvp],
    **both(rectangular_domain),
)


def svdvals(x: Any) -> Tensor:
    """The singular values (…, min(m, n)) of matrices (…, m, n), descending.

    Where some are equal each alone has no derivative, but functions that treat them alike have:
    first derivatives of these are right there. At 0 they have a kink, and the derivative is one of
    its slopes.

    >>> x = ac.asarray([[3.0, 1.0], [1.0, 3.0]])
    >>> ac.linalg.svdvals(x), ac.grad(lambda x: ac.linalg.svdvals(x)[1])(x)
    (Tensor([4., 2.], dtype=float64), Tensor([[ 0.5, -0.5],
            [-0.5,  0.5]], dtype=float64))
    """
    return svdvals_p(matrices(x, "svdvals", square=False))


def shared_svdvals(x: Tensor) -> Tensor:
    """`svdvals`, by the whole factorisation where something traces x: derivatives need the vectors
    too, and would make a second one."""
    return svdvals_p(x) if x.interpreter is None else svd_p(x)[1]


# Ranks ----------------------------------------------------------------------------------------


def default_rtol(x: Any) -> float:
    """What part of the largest singular value rounding may have made of 0."""
    return max(*x.shape[-2:], 1) * float(np.finfo(x.dtype).eps)


def rank_of(s: Tensor, rtol: Any) -> Tensor:
    """How many of the singular values are above this part of the largest."""
    if s.shape[-1] == 0:
        return count_nonzero(s, -1)
    largest = max_(s, -1, keepdims=True)
    part = expand_dims(astype(rtol, s.dtype), -1)
    return count_nonzero(greater(s, largest * part), -1)


def matrix_rank(x: Any, rtol: Any = None) -> Tensor:
    """How many singular values of each matrix are above a part of the largest one.

    Args:
        x: (…, m, n).
        rtol: that part; a number, or one for each matrix. max(m, n) times the dtype's precision by
            default.

    Returns:
        Integers of shape (…), through which no derivative flows.

    >>> ac.linalg.matrix_rank(ac.asarray([[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]]))
    Tensor([1, 2], dtype=int64)
    """
    x = matrices(x, "matrix_rank", square=False)
    return rank_of(svdvals_p(x), default_rtol(x) if rtol is None else rtol)
