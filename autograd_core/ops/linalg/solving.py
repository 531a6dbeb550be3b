"""Systems of linear equations, inverses and pseudo-inverses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import where
from autograd_core.ops.complex import real_dtype
from autograd_core.ops.conv import folded, unfolded
from autograd_core.ops.linalg.diagonals import tril, triu
from autograd_core.ops.linalg.singular import default_rtol, rank_of, svdvals
from autograd_core.ops.linalg.stacks import (
    adjoint,
    both,
    conjugate,
    draw_matrix,
    entries,
    eye,
    inexact,
    matrices,
    on_stacks,
    rectangular_domain,
    square_domain,
)
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import square_magnitude
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import (
    Aval,
    astype,
    broadcast_to,
    expand_dims,
    matrix_transpose,
    reshape,
    squeeze,
    stop_gradient,
    sum_to,
    with_batch,
)
from autograd_core.primitive import Primitive
from autograd_core.tensor import INEXACT, Tensor, asarray
from autograd_core.transforms import zeros_of
from kernels.devices import on_host


def _solve_batch(size: int, args: tuple, batched: tuple) -> Tensor:
    a, b = args
    if not batched[0]:
        # One factorisation: the mapped axis joins the columns.
        out = solve_p(a, folded(b, b.ndim - 2))
        return unfolded(out, out.ndim - 1, size)
    ndim = max(x.ndim - mapped for x, mapped in zip(args, batched, strict=True))
    return solve_p(
        *(
            reshape(x, (size, *[1] * (ndim + 1 - x.ndim), *x.shape[1:])) if mapped else x
            for x, mapped in zip(args, batched, strict=True)
        )
    )


def _solve_aval(a: Aval, b: Aval) -> Aval:
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Aval((*lead, *b.shape[-2:]), np.result_type(a.dtype, b.dtype))


def _solve_left(g: Tensor, out: Tensor, a: Tensor, _b: None) -> Tensor:
    back = solve_p(matrix_transpose(a), g)
    return sum_to(-matmul(back, matrix_transpose(out)), a.shape)


def _solve_right(g: Tensor, _out: None, a: Tensor, b_like: Aval) -> Tensor:
    return sum_to(solve_p(matrix_transpose(a), g), b_like.shape)


def _solve_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    n, k = draw.integer(1, 3), draw.integer(1, 3)
    lead_a, lead_b = draw.broadcastable_shapes(2, max_rank=1, min_length=0)
    # Of complex arguments either may be real.
    mixed = draw.integer(0, 2) if imaginary else 0
    a = draw_matrix(draw, lead_a, n, n, imaginary and mixed != 1)
    return (a, entries(draw, (*lead_b, n, k), imaginary=imaginary and mixed != 2)), {}


solve_p = Primitive(
    "solve",
    on_host(np.linalg.solve),
    shape=_solve_aval,
    vjps=[_solve_left, _solve_right],
    jvps=[
        lambda t, out, a, _b: -solve_p(a, matmul(t, out)),
        lambda t, _out, a, _b: solve_p(a, t),
    ],
    batch=_solve_batch,
    **both(_solve_domain),
)


def solve(a: Any, b: Any) -> Tensor:
    """The x with a @ x = b.

    Args:
        a: invertible matrices, (…, n, n).
        b: (…, n, k), or one vector (n,). Leading axes broadcast.

    Raises:
        ShapeError: the shapes do not fit.
        numpy.linalg.LinAlgError: a matrix is singular.

    >>> a, b = ac.asarray([[2.0, 0.0], [0.0, 4.0]]), ac.asarray([2.0, 8.0])
    >>> ac.solve(a, b)
    Tensor([1., 2.], dtype=float64)
    >>> ac.grad(lambda a: ac.sum(ac.solve(a, b)))(a)
    Tensor([[-0.5 , -1.  ],
            [-0.25, -0.5 ]], dtype=float64)
    """
    a, b = matrices(a, "solve"), asarray(b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-1]:
        raise ShapeError(f"solve: shapes {a.shape} and {b.shape} do not fit; expected (…, n, k)")
    b = b if b.dtype.kind in INEXACT else astype(b, a.dtype)
    return squeeze(solve_p(a, expand_dims(b, 1)), -1) if b.ndim == 1 else solve_p(a, b)


def triangular_solve(a: Any, b: Any, lower: bool = True) -> Tensor:
    """The x with t @ x = b, where t is the lower (or upper) triangle of a; see `solve`.

    No derivative flows to the other triangle.

    >>> a = ac.asarray([[2.0, 9.0], [1.0, 4.0]])
    >>> ac.triangular_solve(a, [2.0, 5.0])
    Tensor([1., 1.], dtype=float64)
    >>> ac.grad(lambda a: ac.triangular_solve(a, [2.0, 5.0])[1])(a)
    Tensor([[ 0.125,  0.   ],
            [-0.25 , -0.25 ]], dtype=float64)
    """
    return solve(tril(a) if lower else triu(a), b)


def divide_right(x: Tensor, r: Tensor) -> Tensor:
    """x @ r⁻¹"""
    return matrix_transpose(solve_p(matrix_transpose(r), matrix_transpose(x)))


def unless_singular(singular: Tensor, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """f of each matrix that is not said to be singular, and NaN for the others: derivatives there
    are none, but to ask for them is no reason to lose those of the rest of a stack."""
    one_each = expand_dims(singular, (-2, -1))
    found = f(where(one_each, eye(x.shape[-1], x), x))
    return where(one_each, np.nan, found)


def _inv_vjp(g: Tensor, out: Tensor, _x: None) -> Tensor:
    transposed = matrix_transpose(out)
    return -matmul(matmul(transposed, g), transposed)


inv_p = on_stacks(
    "inv",
    on_host(np.linalg.inv),
    shape=lambda x: x,
    vjps=[_inv_vjp],
    jvps=[lambda t, out, _x: -matmul(matmul(out, t), out)],
    **both(square_domain),
)


def inv(x: Any) -> Tensor:
    """The inverse of each matrix (…, n, n). To apply one, `solve` is more accurate and cheaper.

    The derivative in direction t is -x⁻¹ t x⁻¹.

    Raises:
        ShapeError: the matrices are not square.
        numpy.linalg.LinAlgError: a matrix is singular.

    >>> ac.inv(ac.asarray([[2.0, 1.0], [1.0, 1.0]]))
    Tensor([[ 1., -1.],
            [-1.,  2.]], dtype=float64)
    >>> ac.grad(lambda x: ac.trace(ac.inv(x)))(ac.asarray([[2.0, 1.0], [1.0, 1.0]]))
    Tensor([[-2.,  3.],
            [ 3., -5.]], dtype=float64)
    """
    return inv_p(matrices(x, "inv"))


# Pseudo-inverses ------------------------------------------------------------------------------


def _pinv_jvp(t: Tensor, out: Tensor, x: Tensor, _rtol: None) -> Tensor:
    tt, pt = adjoint(t), adjoint(out)
    m, n = x.shape[-2:]
    into_null = matmul(matmul(out, pt), matmul(tt, eye(m, x) - matmul(x, out)))
    from_null = matmul(matmul(eye(n, x) - matmul(out, x), tt), matmul(pt, out))
    return into_null + from_null - matmul(matmul(out, t), out)


def _pinv_vjp(g: Tensor, out: Tensor, x: Tensor, _rtol: None) -> Tensor:
    """The transpose of `_pinv_jvp`, where the adjoint of t makes for a conjugate; the projections
    there are Hermitian."""
    gt, pt, transposed = matrix_transpose(g), adjoint(out), matrix_transpose(out)
    m, n = x.shape[-2:]
    into_null = matmul(eye(m, x) - matmul(x, out), matmul(gt, matmul(out, pt)))
    from_null = matmul(matmul(pt, out), matmul(gt, eye(n, x) - matmul(out, x)))
    return conjugate(into_null + from_null) - matmul(matmul(transposed, g), transposed)


def _pinv_batch(size: int, args: tuple, batched: tuple) -> Tensor:
    return pinv_p(*(with_batch(x, b, size) for x, b in zip(args, batched, strict=True)))


def _pinv_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    (x,), _ = rectangular_domain(draw, imaginary)
    return (x, draw.array(x.shape[:-2], 1e-9, 1e-8)), {}


pinv_p = Primitive(
    "pinv",
    on_host(np.linalg.pinv),
    shape=lambda x, _rtol: Aval((*x.shape[:-2], *x.shape[:-3:-1]), x.dtype),
    # Between jumps it is constant in rtol.
    vjps=[_pinv_vjp, lambda _g, _out, _x, rtol_like: zeros_of(rtol_like)],
    jvps=[_pinv_jvp, lambda _t, out_like, _x, _rtol: zeros_of(out_like)],
    batch=_pinv_batch,
    **both(_pinv_domain),
)


def pinv(x: Any, rtol: Any = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse (…, n, m) of matrices (…, m, n).

    Args:
        x: matrices; derivatives hold where their rank is the same all around, and are off by the
            part of a matrix that a larger `rtol` cuts off, as if that were rounding.
        rtol: singular values up to this part of the largest one count as 0; a number, or one for
            each matrix. max(m, n) times the dtype's precision by default.

    >>> ac.pinv(ac.asarray([[1.0], [2.0]])), ac.pinv(ac.ones((2, 2)))
    (Tensor([[0.2, 0.4]], dtype=float64), Tensor([[0.25, 0.25],
            [0.25, 0.25]], dtype=float64))
    """
    x = matrices(x, "pinv", square=False)
    rtol = astype(default_rtol(x) if rtol is None else rtol, real_dtype(x.dtype))
    return pinv_p(x, broadcast_to(stop_gradient(rtol), x.shape[:-2]))


class LeastSquares(NamedTuple):
    """What `lstsq` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def lstsq(a: Any, b: Any, rcond: float | None = None) -> LeastSquares:
    """The x of least norm among those with the least |a @ x - b|².

    Args:
        a: (…, m, n), of any rank; derivatives hold where it is the same all around.
        b: (…, m, k), or one vector (m,). Leading axes broadcast.
        rcond: singular values up to this part of the largest one count as 0.

    Returns:
        The solution (…, n, k); the least |a @ x - b|² of each column, without entries where m <= n
        (NumPy leaves them out for matrices of a lower rank too, so that their shape would depend on
        numbers); the rank and the singular values of a.

    Raises:
        ShapeError: the shapes do not fit.

    >>> a, b = ac.asarray([[1.0, 0.0], [1.0, 1.0], [1.0, 5.0]]), ac.asarray([1.0, 3.0, 11.0])
    >>> ac.linalg.lstsq(a, b).solution, ac.linalg.lstsq(a, b).rank
    (Tensor([1., 2.], dtype=float64), Tensor(2, dtype=int64))
    >>> ac.grad(lambda b: ac.linalg.lstsq(a, b).solution[1])(b)  # of the slope
    Tensor([-0.1429, -0.0714,  0.2143], dtype=float64)
    """
    a, b = matrices(a, "lstsq", square=False), inexact(b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-2]:
        raise ShapeError(f"lstsq: shapes {a.shape} and {b.shape} do not fit; expected (…, m, k)")
    columns = expand_dims(b, 1) if b.ndim == 1 else b
    x = matmul(pinv(a, rcond), columns)
    rest = square_magnitude(columns - matmul(a, x))
    overdetermined = a.shape[-2] > a.shape[-1]
    residuals = sum_(rest, -2) if overdetermined else asarray(np.zeros(0, rest.dtype))
    s = svdvals(a)
    rank = rank_of(s, default_rtol(a) if rcond is None else rcond)
    return LeastSquares(squeeze(x, -1) if b.ndim == 1 else x, residuals, rank, s)
