"""Linear algebra on stacks of matrices: solving, factorisations, determinants, diagonals.

Matrices are the last two axes, leading axes are a stack; everything is real. Where a factorisation
is unique up to signs, the kernel fixes them, so that it is one smooth function: `eigh` and `svd`
make the entry of largest magnitude in each column of V (of U) positive, `qr` the diagonal of R.

Derivatives do not exist everywhere:

- Eigenvectors and singular vectors jump where two eigenvalues (singular values) meet: their
  derivatives are inf or NaN there. Those of the eigenvalues alone stay finite.
- U and V of `svd` also need singular values above 0 where the matrix is not square.
- `qr` needs independent columns (the leading ones of a wide matrix); `cholesky` a positive definite
  matrix; `solve`, `inv` and `slogdet` an invertible one; `pinv` one whose rank does not change.
- `det` has its first three derivatives everywhere, singular matrices included.

Formulas: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008);
Murray, "Differentiation of the Cholesky decomposition" (2016); Golub and Pereyra, "The
differentiation of pseudo-inverses" (1973), for `pinv`; Walter and Lehmann (2012) for `qr`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import absolute, less, multiply, where
from autograd_core.ops.conv import folded, unfolded
from autograd_core.ops.elementary import exp
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import any as any_
from autograd_core.ops.reduce import max as max_
from autograd_core.ops.reduce import norm
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import (
    Aval,
    astype,
    broadcast_to,
    concatenate,
    embed_p,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    normalize_axes,
    normalize_axis,
    reshape,
    roll,
    slice_axis,
    split,
    squeeze,
    stop_gradient,
    sum_to,
)
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import INEXACT, Tensor, alias, asarray
from kernels.devices import on_host

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diag",
    "diagonal",
    "eigh",
    "inv",
    "kron",
    "matrix_norm",
    "matrix_power",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "trace",
    "triangular_solve",
    "tril",
    "triu",
]


def _matrices(x: Any, name: str, square: bool = True) -> Tensor:
    """x as a stack of matrices of floating-point numbers; integers become float64, as in NumPy.

    Raises:
        ShapeError: x has fewer than two axes, or `square` is asked for and not so.
    """
    x = asarray(x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        wanted = "(…, n, n)" if square else "(…, m, n)"
        raise ShapeError(f"{name}: expected shape {wanted}, got {x.shape}")
    return x if x.dtype.kind in INEXACT else astype(x, np.float64)


def _on_stacks(name: str, kernel: Callable, **rules: Any) -> Primitive:
    """A primitive of one stack of matrices: the mapped axis is one more leading axis of it."""
    primitive = Primitive(
        name,
        kernel,
        batch=lambda _size, args, _batched, **params: bind(primitive, args, params),
        **rules,
    )
    return primitive


def _eye(n: int, like: Any) -> Any:
    return np.eye(n, dtype=like.dtype)


def _symmetric(x: Any) -> Any:
    """The symmetric part; of arrays in kernels, and of tensors in rules."""
    return (x + x.swapaxes(-1, -2)) / 2


def _times(x: Tensor, scale: Tensor) -> Tensor:
    """Each matrix of a stack times its own number."""
    return x * expand_dims(scale, (-2, -1))


# Domains --------------------------------------------------------------------------------------


def _orthonormal(draw: Any, lead: tuple[int, ...], m: int, n: int) -> np.ndarray:
    """Columns near those of the identity, so that no sign is about to change."""
    return np.linalg.qr(-2 * np.eye(m, n) + draw.array((*lead, m, n), -0.4, 0.4))[0]


def _spectrum(draw: Any, lead: tuple[int, ...], n: int, low: float = 1.0) -> np.ndarray:
    """n well separated numbers from `low` upwards."""
    return np.arange(n) + draw.array((*lead, n), low - 0.2, low + 0.2)


def _draw_symmetric(draw: Any, low: float) -> tuple[tuple, dict]:
    lead, n = draw.shape(max_rank=1, min_length=0), draw.integer(1, 3)
    v = _orthonormal(draw, lead, n, n)
    return (_symmetric(v * _spectrum(draw, lead, n, low)[..., None, :] @ v.swapaxes(-1, -2)),), {}


def _draw_matrix(draw: Any, lead: tuple[int, ...], m: int, n: int) -> np.ndarray:
    """Of full rank, well conditioned, its singular values apart."""
    k = min(m, n)
    u, v = _orthonormal(draw, lead, m, k), _orthonormal(draw, lead, n, k)
    return u * _spectrum(draw, lead, k)[..., None, :] @ v.swapaxes(-1, -2)


def _square_domain(draw: Any) -> tuple[tuple, dict]:
    lead, n = draw.shape(max_rank=1, min_length=0), draw.integer(1, 3)
    return (_draw_matrix(draw, lead, n, n),), {}


def _rectangular_domain(draw: Any) -> tuple[tuple, dict]:
    lead = draw.shape(max_rank=1, min_length=0)
    return (_draw_matrix(draw, lead, draw.integer(1, 3), draw.integer(1, 3)),), {}


def _tall_domain(draw: Any) -> tuple[tuple, dict]:
    lead, n = draw.shape(max_rank=1, min_length=0), draw.integer(1, 3)
    return (_draw_matrix(draw, lead, n + draw.integer(0, 2), n),), {}


# solve, inv -----------------------------------------------------------------------------------


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


def _solve_domain(draw: Any) -> tuple[tuple, dict]:
    n, k = draw.integer(1, 3), draw.integer(1, 3)
    lead_a, lead_b = draw.broadcastable_shapes(2, max_rank=1, min_length=0)
    return (_draw_matrix(draw, lead_a, n, n), draw.array((*lead_b, n, k))), {}


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
    domain=_solve_domain,
)


def solve(a: Any, b: Any) -> Tensor:
    """The x with a @ x = b.

    Args:
        a: invertible matrices, (…, n, n).
        b: (…, n, k), or one vector (n,). Leading axes broadcast.

    Raises:
        ShapeError: the shapes do not fit.
        numpy.linalg.LinAlgError: a matrix is singular.
    """
    a, b = _matrices(a, "solve"), asarray(b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-1]:
        raise ShapeError(f"solve: shapes {a.shape} and {b.shape} do not fit; expected (…, n, k)")
    b = b if b.dtype.kind in INEXACT else astype(b, a.dtype)
    return squeeze(solve_p(a, expand_dims(b, 1)), -1) if b.ndim == 1 else solve_p(a, b)


def triangular_solve(a: Any, b: Any, lower: bool = True) -> Tensor:
    """The x with t @ x = b, where t is the lower (or upper) triangle of a; see `solve`."""
    return solve(tril(a) if lower else triu(a), b)


def _inv_vjp(g: Tensor, out: Tensor, _x: None) -> Tensor:
    transposed = matrix_transpose(out)
    return -matmul(matmul(transposed, g), transposed)


inv_p = _on_stacks(
    "inv",
    on_host(np.linalg.inv),
    shape=lambda x: x,
    vjps=[_inv_vjp],
    jvps=[lambda t, out, _x: -matmul(matmul(out, t), out)],
    domain=_square_domain,
)


def inv(x: Any) -> Tensor:
    """The inverse of each matrix. To apply one, `solve` is more accurate and cheaper.

    Raises:
        numpy.linalg.LinAlgError: a matrix is singular.
    """
    return inv_p(_matrices(x, "inv"))


def _pinv_jvp(t: Tensor, out: Tensor, x: Tensor, *, rtol: float) -> Tensor:
    tt, pt = matrix_transpose(t), matrix_transpose(out)
    m, n = x.shape[-2:]
    into_null = matmul(matmul(out, pt), matmul(tt, _eye(m, x) - matmul(x, out)))
    from_null = matmul(matmul(_eye(n, x) - matmul(out, x), tt), matmul(pt, out))
    return into_null + from_null - matmul(matmul(out, t), out)


def _pinv_vjp(g: Tensor, out: Tensor, x: Tensor, *, rtol: float) -> Tensor:
    """The transpose of `_pinv_jvp`; the projections there are symmetric."""
    gt, pt = matrix_transpose(g), matrix_transpose(out)
    m, n = x.shape[-2:]
    into_null = matmul(_eye(m, x) - matmul(x, out), matmul(gt, matmul(out, pt)))
    from_null = matmul(matmul(pt, out), matmul(gt, _eye(n, x) - matmul(out, x)))
    return into_null + from_null - matmul(matmul(pt, g), pt)


pinv_p = _on_stacks(
    "pinv",
    on_host(lambda x, rtol: np.linalg.pinv(x, rtol)),
    shape=lambda x, rtol: Aval((*x.shape[:-2], *x.shape[:-3:-1]), x.dtype),  # noqa: ARG005
    vjps=[_pinv_vjp],
    jvps=[_pinv_jvp],
    domain=lambda draw: (_rectangular_domain(draw)[0], {"rtol": 1e-15}),
)


def pinv(x: Any, rtol: float | None = None) -> Tensor:
    """The Moore-Penrose pseudo-inverse (…, n, m) of matrices (…, m, n).

    Args:
        x: matrices; derivatives hold where their rank is the same all around.
        rtol: singular values up to this part of the largest one count as 0; max(m, n) times the
            dtype's precision by default.
    """
    x = _matrices(x, "pinv", square=False)
    if rtol is None:
        rtol = max(*x.shape[-2:], 1) * float(np.finfo(x.dtype).eps)
    return pinv_p(x, rtol=float(rtol))


# Determinants ---------------------------------------------------------------------------------


def _scalars(x: Aval) -> Aval:
    return Aval(x.shape[:-2], x.dtype)


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

    det(A) = det(U) det(V) det(Uᵀ A V) for any fixed rotations: those of the singular value
    decomposition make the matrix in the middle diagonal. The smallest three singular values go to
    its last block, whose determinant is a polynomial; the rest is invertible unless four are 0,
    where derivatives up to the third are 0.
    """
    n = x.shape[-1]
    if n <= 3:
        return _small_det(x)
    k = n - 3
    u, s, vt = svd_p(stop_gradient(x))
    turned = matmul(matmul(matrix_transpose(u), x), matrix_transpose(vt))
    turned = expand_dims(s, -1) * _eye(n, x) + (turned - stop_gradient(turned))
    (a, b), (c, d) = _blocks(turned, k)
    none = less(slice_axis(s, -1, 0, k), np.finfo(x.dtype).tiny)
    a = a + where(expand_dims(none, -1), _eye(k, x), np.zeros((), x.dtype))
    sign, log = slogdet_p(a)
    sign = where(any_(none, -1), np.zeros((), x.dtype), sign * det_p(u) * det_p(vt))
    return sign * exp(log) * _small_det(d - matmul(c, solve_p(a, b)))


def _blocks(x: Tensor, k: int) -> list[list[Tensor]]:
    """Matrices cut before row k and column k."""
    return [split(half, [k], -1) for half in split(x, [k], -2)]


def _det_vjp(g: Tensor, _out: None, x: Tensor) -> Tensor:
    return transforms.vjp(_det_by_blocks, x)[1](g)[0]


def _det_jvp(t: Tensor, _out: None, x: Tensor) -> Tensor:
    return transforms.jvp(_det_by_blocks, (x,), (t,))[1]


def _det_domain(draw: Any) -> tuple[tuple, dict]:
    lead, n = draw.shape(max_rank=1, min_length=0), draw.integer(1, 5)
    return (_draw_matrix(draw, lead, n, n) / 2,), {}


det_p = _on_stacks(
    "det",
    on_host(np.linalg.det),
    shape=_scalars,
    vjps=[_det_vjp],
    jvps=[_det_jvp],
    domain=_det_domain,
)


def det(x: Any) -> Tensor:
    """The determinant of each matrix (…, n, n): shape (…).

    Derivatives are right for singular matrices too: the first three for any, those of higher order
    for a rank of at least n - 3.
    """
    return det_p(_matrices(x, "det"))


def _slogdet_vjp(g: tuple, _out: None, x: Tensor) -> Tensor | None:
    """The sign is constant where the determinant is not 0."""
    return None if g[1] is None else _times(matrix_transpose(inv_p(x)), g[1])


slogdet_p = _on_stacks(
    "slogdet",
    on_host(lambda x: tuple(np.linalg.slogdet(x))),
    shape=lambda x: (_scalars(x), _scalars(x)),
    vjps=[_slogdet_vjp],
    jvps=[lambda t, _out, x: (None, sum_(matrix_transpose(inv_p(x)) * t, (-2, -1)))],
    domain=_square_domain,
    multiple=True,
)


def slogdet(x: Any) -> tuple[Tensor, Tensor]:
    """The sign of the determinant of each matrix and the logarithm of its magnitude, each (…).

    For a singular matrix they are 0 and -inf, and the derivative raises LinAlgError.
    """
    return slogdet_p(_matrices(x, "slogdet"))


# Factorisations -------------------------------------------------------------------------------


def _half_lower(x: Tensor) -> Tensor:
    """The lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return x * (np.tri(n, dtype=x.dtype) - _eye(n, x) / 2)


def _divide_right(x: Tensor, r: Tensor) -> Tensor:
    """x @ r⁻¹"""
    return matrix_transpose(solve_p(matrix_transpose(r), matrix_transpose(x)))


def _cholesky_vjp(g: Tensor, out: Tensor, _x: None) -> Tensor:
    transposed = matrix_transpose(out)
    inner = solve_p(transposed, _half_lower(matmul(transposed, g)))
    return _symmetric(_divide_right(inner, out))


def _cholesky_jvp(t: Tensor, out: Tensor, _x: None) -> Tensor:
    inner = _divide_right(solve_p(out, _symmetric(t)), matrix_transpose(out))
    return matmul(out, _half_lower(inner))


cholesky_p = _on_stacks(
    "cholesky",
    on_host(lambda x: np.linalg.cholesky(_symmetric(x))),
    shape=lambda x: x,
    vjps=[_cholesky_vjp],
    jvps=[_cholesky_jvp],
    domain=lambda draw: _draw_symmetric(draw, low=0.6),
)


def cholesky(x: Any) -> Tensor:
    """The lower triangular l with l @ lᵀ = x, for positive definite matrices (…, n, n).

    It reads the symmetric part of x, (x + xᵀ)/2, so that gradients are symmetric.

    Raises:
        numpy.linalg.LinAlgError: a matrix is not positive definite.
    """
    return cholesky_p(_matrices(x, "cholesky"))


@on_host
def _qr_kernel(x: Any) -> tuple[Any, Any]:
    q, r = np.linalg.qr(x)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1, 1).astype(x.dtype)
    return q * signs[..., None, :], r * signs[..., :, None]


def _qr_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (q, r), (gq, gr) = out, g
    inner: Any = 0 if gr is None else matmul(r, matrix_transpose(gr))
    if gq is not None:
        inner = inner - matmul(matrix_transpose(gq), q)
    lower = _half_lower(inner)
    total = matmul(q, lower + matrix_transpose(lower))
    return _divide_right(total if gq is None else total + gq, matrix_transpose(r))


def _qr_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor]:
    q, r = out
    change = _divide_right(t, r)
    along = matmul(matrix_transpose(q), change)
    below = along * np.tri(r.shape[-1], k=-1, dtype=r.dtype)
    turn = below - matrix_transpose(below)  # Qᵀ dQ, which is skew
    return change - matmul(q, along - turn), matmul(along - turn, r)


qr_p = _on_stacks(
    "qr",
    _qr_kernel,
    shape=lambda x: (x, Aval((*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype)),
    vjps=[_qr_vjp],
    jvps=[_qr_jvp],
    domain=_tall_domain,
    multiple=True,
)


def qr(x: Any) -> tuple[Tensor, Tensor]:
    """The reduced QR factorisation: q (…, m, k) and r (…, k, n) with q @ r = x, k = min(m, n).

    The columns of q are orthonormal; r is upper triangular, and its diagonal not negative.
    Derivatives need the first k columns of x to be independent.
    """
    x = _matrices(x, "qr", square=False)
    m, n = x.shape[-2:]
    if m >= n:
        return qr_p(x)
    q, r = qr_p(slice_axis(x, -1, 0, m))
    rest = matmul(matrix_transpose(q), slice_axis(x, -1, m, n))
    return q, concatenate([r, rest], -1)


def _signs(v: Any) -> Any:
    """For each column the sign of its entry of largest magnitude: (…, 1, k)."""
    if v.size == 0:
        return np.ones_like(v[..., :1, :])
    places = np.argmax(np.abs(v), axis=-2)[..., None, :]
    return np.where(np.take_along_axis(v, places, axis=-2) < 0, -1, 1).astype(v.dtype)


def _inverse_gaps(w: Tensor) -> Tensor:
    """1 / (wⱼ - wᵢ) off the diagonal, and 0 on it: inf where two of w are equal."""
    n = w.shape[-1]
    gaps = expand_dims(w, -2) - expand_dims(w, -1)
    return (1 - _eye(n, w)) / (gaps + _eye(n, w))


@on_host
def _eigh_kernel(x: Any) -> tuple[Any, Any]:
    w, v = np.linalg.eigh(_symmetric(x))
    return w, v * _signs(v)


def _eigh_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (w, v), (gw, gv) = out, g
    inner: Any = 0
    if gw is not None:
        inner = expand_dims(gw, -1) * _eye(w.shape[-1], w)
    if gv is not None:
        inner = inner + _inverse_gaps(w) * matmul(matrix_transpose(v), gv)
    return _symmetric(matmul(matmul(v, inner), matrix_transpose(v)))


def _eigh_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor]:
    w, v = out
    inner = matmul(matrix_transpose(v), matmul(_symmetric(t), v))
    return diagonal(inner), matmul(v, _inverse_gaps(w) * inner)


eigh_p = _on_stacks(
    "eigh",
    _eigh_kernel,
    shape=lambda x: (Aval(x.shape[:-1], x.dtype), x),
    vjps=[_eigh_vjp],
    jvps=[_eigh_jvp],
    domain=lambda draw: _draw_symmetric(draw, low=-1.0),
    multiple=True,
)


def eigh(x: Any) -> tuple[Tensor, Tensor]:
    """The eigenvalues w (…, n), ascending, and eigenvectors v (…, n, n) of symmetric matrices.

    x = v @ diag(w) @ vᵀ. It reads the symmetric part of x, (x + xᵀ)/2, so that gradients are
    symmetric. In each column of v the entry of largest magnitude is positive. Where eigenvalues
    are equal, the derivatives of v are inf or NaN.
    """
    return eigh_p(_matrices(x, "eigh"))


@on_host
def _svd_kernel(x: Any) -> tuple[Any, Any, Any]:
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    signs = _signs(u)
    return u * signs, s, vt * signs.swapaxes(-1, -2)


def _svd_avals(x: Aval) -> tuple[Aval, Aval, Aval]:
    *lead, m, n = x.shape
    shapes = (*lead, m, min(m, n)), (*lead, min(m, n)), (*lead, min(m, n), n)
    u, s, vt = (Aval(shape, x.dtype) for shape in shapes)
    return u, s, vt


def _inverse_square_gaps(s: Tensor) -> Tensor:
    """1 / (sⱼ² - sᵢ²) off the diagonal, and 0 on it."""
    sums = expand_dims(s, -2) + expand_dims(s, -1)
    return _inverse_gaps(s) / (sums + _eye(s.shape[-1], s))


def _skew(x: Tensor) -> Tensor:
    return x - matrix_transpose(x)


def _svd_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (u, s, vt), (gu, gs, gvt) = out, g
    (m, k), n = u.shape[-2:], vt.shape[-1]
    row = expand_dims(s, -2)
    inner: Any = 0 if gs is None else expand_dims(gs, -1) * _eye(k, s)
    beyond: list[Tensor] = []  # parts outside the span of U, or of V
    if gu is not None:
        along = matmul(matrix_transpose(u), gu)
        inner = inner + _inverse_square_gaps(s) * _skew(along) * row
        if m > k:
            beyond.append(matmul((gu - matmul(u, along)) / row, vt))
    if gvt is not None:
        along = matmul(gvt, matrix_transpose(vt))
        inner = inner - expand_dims(s, -1) * _inverse_square_gaps(s) * _skew(along)
        if n > k:
            beyond.append(matmul(u / row, gvt - matmul(along, vt)))
    return sum(beyond, matmul(matmul(u, inner), vt))


def _svd_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vt = out
    (m, k), n = u.shape[-2:], vt.shape[-1]
    row, column = expand_dims(s, -2), expand_dims(s, -1)
    gaps = _inverse_square_gaps(s)
    tv, ut = matmul(t, matrix_transpose(vt)), matmul(matrix_transpose(u), t)
    inner = matmul(matrix_transpose(u), tv)
    right, left = inner * row, column * inner
    du = matmul(u, gaps * (right + matrix_transpose(right)))
    dvt = -matmul(gaps * (left + matrix_transpose(left)), vt)
    if m > k:
        du = du + (tv - matmul(u, inner)) / row
    if n > k:
        dvt = dvt + (ut - matmul(inner, vt)) / column
    return du, diagonal(inner), dvt


svd_p = _on_stacks(
    "svd",
    _svd_kernel,
    shape=_svd_avals,
    vjps=[_svd_vjp],
    jvps=[_svd_jvp],
    domain=_rectangular_domain,
    multiple=True,
)


def svd(x: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The reduced singular value decomposition of matrices (…, m, n), k = min(m, n).

    Returns:
        u (…, m, k) and vt (…, k, n) with orthonormal columns and rows, and between them s (…, k),
        descending and not negative: x = u @ diag(s) @ vt. In each column of u the entry of largest
        magnitude is positive. Where two of s are equal, or one is 0 and m != n, the derivatives of
        u and vt are inf or NaN.
    """
    return svd_p(_matrices(x, "svd", square=False))


# Diagonals and triangles ----------------------------------------------------------------------


def diagonal(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonal of the matrices in two axes, moved to the last axis of the result.

    The matrices are the last two axes by default, as for everything in this family (NumPy's
    `diagonal` takes the first two).

    Args:
        offset: how many places above the main diagonal.
    """
    x = asarray(x)
    x = moveaxis(x, normalize_axes((axis1, axis2), x.ndim), (-2, -1))
    m, n = x.shape[-2:]
    length = max(min(m, n - offset) if offset >= 0 else min(m + offset, n), 0)
    if length == 0:
        return reshape(slice_axis(x, -1, 0, 0), (*x.shape[:-2], 0))
    start = offset if offset >= 0 else -offset * n
    flat = reshape(x, (*x.shape[:-2], m * n))
    return slice_axis(flat, -1, start, start + (length - 1) * (n + 1) + 1, n + 1)


def diag(x: Any, offset: int = 0) -> Tensor:
    """The diagonal of a matrix; of a vector, the matrix with it on the diagonal and 0 elsewhere.

    Raises:
        ShapeError: x has neither one axis nor two.
    """
    x = asarray(x)
    if x.ndim == 2:
        return diagonal(x, offset)
    if x.ndim != 1:
        raise ShapeError(f"diag: expected one axis or two, got shape {x.shape}")
    length = x.size
    n = length + abs(offset)
    start = offset if offset >= 0 else -offset * n
    stop = start + (length - 1) * (n + 1) + 1 if length else start
    flat = bind(embed_p, (x,), {"key": ((start, stop, n + 1),), "shape": (n * n,)})
    return reshape(flat, (n, n))


def trace(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The sum of the diagonal of the matrices in two axes; see `diagonal`."""
    return sum_(diagonal(x, offset, axis1, axis2), -1)


def tril(x: Any, k: int = 0) -> Tensor:
    """The entries of matrices on and below the k-th diagonal, 0 elsewhere."""
    return _triangle(x, "tril", lambda m, n: np.tri(m, n, k, dtype=bool))


def triu(x: Any, k: int = 0) -> Tensor:
    """The entries of matrices on and above the k-th diagonal, 0 elsewhere."""
    return _triangle(x, "triu", lambda m, n: ~np.tri(m, n, k - 1, dtype=bool))


def _triangle(x: Any, name: str, mask: Callable[[int, int], np.ndarray]) -> Tensor:
    x = asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected shape (…, m, n), got {x.shape}")
    return where(mask(*x.shape[-2:]), x, np.zeros((), x.dtype))


# Products and norms ---------------------------------------------------------------------------


def matrix_power(x: Any, n: int) -> Tensor:
    """The matrix product of n times x; of its inverse where n is negative."""
    x, n = asarray(x), as_integer(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power: expected shape (…, n, n), got {x.shape}")
    if n == 0:
        return broadcast_to(asarray(_eye(x.shape[-1], x)), x.shape)
    return alias(_positive_power(x, n) if n > 0 else _positive_power(inv(x), -n))


def _positive_power(x: Tensor, n: int) -> Tensor:
    if n == 1:
        return x
    half = _positive_power(x, n // 2)
    even = matmul(half, half)
    return matmul(even, x) if n % 2 else even


def kron(x: Any, y: Any) -> Tensor:
    """The Kronecker product: every entry of x times the whole of y, laid out as blocks."""
    x, y = asarray(x), asarray(y)
    ndim = max(x.ndim, y.ndim)
    a = (1,) * (ndim - x.ndim) + x.shape
    b = (1,) * (ndim - y.ndim) + y.shape
    blocks = multiply(
        reshape(x, [n for length in a for n in (length, 1)]),
        reshape(y, [n for length in b for n in (1, length)]),
    )
    return reshape(blocks, tuple(n * m for n, m in zip(a, b, strict=True)))


def cross(x: Any, y: Any, axis: int = -1) -> Tensor:
    """The cross product of vectors of three entries along an axis; the other axes broadcast.

    Raises:
        ShapeError: the axis is not of length 3.
    """
    x, y = asarray(x), asarray(y)
    axis_x, axis_y = normalize_axis(axis, x.ndim), normalize_axis(axis, y.ndim)
    x, y = moveaxis(x, axis_x, -1), moveaxis(y, axis_y, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ShapeError(f"cross: expected vectors of 3 entries, got {x.shape[-1]}, {y.shape[-1]}")
    out = roll(x, -1, -1) * roll(y, -2, -1) - roll(x, -2, -1) * roll(y, -1, -1)
    return moveaxis(out, -1, axis)


def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Tensor:
    """A norm of each matrix (…, m, n): shape (…), or (…, 1, 1) with `keepdims`.

    Args:
        ord: "fro" (the root of the sum of squares), "nuc" (the sum of the singular values), 2 (the
            largest of them), 1 (the largest sum of magnitudes in a column), or inf (in a row).
    """
    x = _matrices(x, "matrix_norm", square=False)
    if ord == "fro":
        out = norm(x, axis=(-2, -1))
    elif ord in ("nuc", 2):
        s = svd(x)[1]
        out = sum_(s, -1) if ord == "nuc" else max_(s, -1)
    elif ord in (1, np.inf):
        out = max_(sum_(absolute(x), -2 if ord == 1 else -1), -1)
    else:
        raise ValueError(f"matrix_norm: expected ord 'fro', 'nuc', 1, 2 or inf, got {ord!r}")
    return expand_dims(out, (-2, -1)) if keepdims else out
