"""Products, powers and the exponential of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import multiply
from autograd_core.ops.creation import zeros_like
from autograd_core.ops.linalg.solving import inv
from autograd_core.ops.linalg.stacks import both, entries, eye, lead, matrices, on_stacks
from autograd_core.ops.products import matmul
from autograd_core.ops.structural import (
    broadcast_to,
    concatenate,
    expand_dims,
    matrix_transpose,
    moveaxis,
    normalize_axis,
    reshape,
    roll,
    slice_axis,
    squeeze,
)
from autograd_core.tensor import Tensor, alias, asarray
from kernels.devices import on_host


def matrix_power(x: Any, n: int) -> Tensor:
    """The matrix product of n times x; of its inverse where n is negative, the identity where n is
    0.

    Args:
        x: (…, m, m).
        n: an integer.

    Raises:
        ShapeError: the matrices are not square.

    >>> ac.matrix_power(ac.asarray([[1, 1], [0, 1]]), 5)
    Tensor([[1, 5],
            [0, 1]], dtype=int64)
    >>> ac.matrix_power(ac.asarray([[2.0, 1.0], [1.0, 1.0]]), -1)
    Tensor([[ 1., -1.],
            [-1.,  2.]], dtype=float64)
    """
    x, n = asarray(x), as_integer(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power: expected shape (…, n, n), got {x.shape}")
    if n == 0:
        return broadcast_to(asarray(eye(x.shape[-1], x)), x.shape)
    return alias(_positive_power(x, n) if n > 0 else _positive_power(inv(x), -n))


def _positive_power(x: Tensor, n: int) -> Tensor:
    if n == 1:
        return x
    half = _positive_power(x, n // 2)
    even = matmul(half, half)
    return matmul(even, x) if n % 2 else even


def kron(x: Any, y: Any) -> Tensor:
    """The Kronecker product: every entry of x times the whole of y, laid out as blocks.

    >>> ac.kron([[1.0, 2.0]], [[1.0], [10.0]])
    Tensor([[ 1.,  2.],
            [10., 20.]], dtype=float64)
    """
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

    Its Jacobian in x is the matrix that multiplies by y, up to the sign.

    Args:
        x, y: of length 3 along the axis.
        axis: of both.

    Raises:
        ShapeError: the axis is not of length 3.

    >>> ac.cross([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    Tensor([0., 0., 1.], dtype=float64)
    >>> ac.jacrev(ac.cross)(ac.zeros(3), ac.asarray([1.0, 2.0, 3.0]))
    Tensor([[ 0.,  3., -2.],
            [-3.,  0.,  1.],
            [ 2., -1.,  0.]], dtype=float64)
    """
    x, y = asarray(x), asarray(y)
    axis_x, axis_y = normalize_axis(axis, x.ndim), normalize_axis(axis, y.ndim)
    x, y = moveaxis(x, axis_x, -1), moveaxis(y, axis_y, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ShapeError(f"cross: expected vectors of 3 entries, got {x.shape[-1]}, {y.shape[-1]}")
    out = roll(x, -1, -1) * roll(y, -2, -1) - roll(x, -2, -1) * roll(y, -1, -1)
    return moveaxis(out, -1, axis)


def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """The matrix product of several arrays, multiplied in the order that costs the fewest products
    of numbers.

    Args:
        arrays: two or more matrices; the first may be a row (n,), the last a column (n,).

    Raises:
        ShapeError: there are fewer than two, they are no matrices, or do not fit.

    >>> ac.linalg.multi_dot([[1.0, 2.0], ac.eye(2), [[3.0], [4.0]]])
    Tensor([11.], dtype=float64)
    """
    xs = [asarray(x) for x in arrays]
    ends = [x.ndim == 1 for x in (xs[0], xs[-1])] if len(xs) > 1 else []
    if not ends:
        raise ShapeError(f"multi_dot: expected two arrays or more, got {len(xs)}")
    xs[0] = expand_dims(xs[0], 0) if ends[0] else xs[0]
    xs[-1] = expand_dims(xs[-1], 1) if ends[1] else xs[-1]
    if any(x.ndim != 2 for x in xs):
        raise ShapeError(f"multi_dot: expected matrices, got shapes {[x.shape for x in xs]}")
    cuts = _cheapest_cuts(tuple([xs[0].shape[0], *(x.shape[1] for x in xs)]))
    out = _multiplied(xs, cuts, 0, len(xs))
    return squeeze(out, tuple(axis for axis, end in enumerate(ends) if end))


def _multiplied(xs: list[Tensor], cuts: dict, i: int, j: int) -> Tensor:
    if j == i + 1:
        return xs[i]
    k = cuts[i, j]
    return matmul(_multiplied(xs, cuts, i, k), _multiplied(xs, cuts, k, j))


@lru_cache(maxsize=256)
def _cheapest_cuts(lengths: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Where to cut each chain of matrices i, …, j - 1 in two, matrix i being lengths[i] by
    lengths[i + 1] (Cormen et al., "Introduction to algorithms", 15.2)."""
    n = len(lengths) - 1
    cost = {(i, i + 1): 0 for i in range(n)}
    cuts = {}
    for size in range(2, n + 1):
        for i in range(n - size + 1):
            j = i + size
            ways = {
                k: cost[i, k] + cost[k, j] + lengths[i] * lengths[k] * lengths[j]
                for k in range(i + 1, j)
            }
            cuts[i, j] = min(ways, key=ways.__getitem__)
            cost[i, j] = ways[cuts[i, j]]
    return cuts


# The exponential ------------------------------------------------------------------------------

PADE = (
    64764752532480000,
    32382376266240000,
    7771770303897600,
    1187353796428800,
    129060195264000,
    10559470521600,
    670442572800,
    33522128640,
    1323241920,
    40840800,
    960960,
    16380,
    182,
    1,
)
"""Coefficients of the approximation of degree 13."""

PADE_REACH = 5.371920351148152
"""Norms up to which it is exact to double precision."""


@on_host
def _expm_kernel(x: Any) -> Any:
    """Scaling and squaring; Higham, "The scaling and squaring method for the matrix exponential
    revisited" (2005), algorithm 2.3 with degree 13."""
    norms = np.abs(x).sum(-2).max(-1, initial=0.0)
    ratio = np.where((norms > PADE_REACH) & np.isfinite(norms), norms / PADE_REACH, 1.0)
    squarings = np.ceil(np.log2(ratio)).astype(int)[..., None, None]
    a = x / np.exp2(squarings).astype(norms.dtype)
    out = _approximate_exponential(a)
    for k in range(squarings.max(initial=0)):
        out = np.where(squarings > k, out @ out, out)
    return out


def _approximate_exponential(a: Any) -> Any:
    one, a2 = eye(a.shape[-1], a), a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    c = np.array(PADE, a.dtype)
    odd = a @ (
        a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one
    )
    even = (
        a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one
    )
    return np.linalg.solve(even - odd, even + odd)


def _expm_along(x: Tensor, t: Tensor) -> Tensor:
    """The derivative at x along t: the corner of the exponential of [[x, t], [0, x]]."""
    n = x.shape[-1]
    upper = concatenate([x, t], -1)
    lower = concatenate([zeros_like(x), x], -1)
    out = expm_p(concatenate([upper, lower], -2))
    return slice_axis(slice_axis(out, -2, 0, n), -1, n, 2 * n)


def _expm_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    some, n = lead(draw), draw.integer(1, 3)
    return (entries(draw, (*some, n, n), -1.0, 1.0, imaginary),), {}


expm_p = on_stacks(
    "expm",
    _expm_kernel,
    shape=lambda x: x,
    vjps=[lambda g, _out, x: _expm_along(matrix_transpose(x), g)],
    jvps=[lambda t, _out, x: _expm_along(x, t)],
    **both(_expm_domain),
)


def expm(x: Any) -> Tensor:
    """The exponential of each matrix (…, n, n), Σ xᵏ/k!; its derivatives are right everywhere.

    Raises:
        ShapeError: the matrices are not square.

    >>> turn = ac.asarray([[0.0, -1.0], [1.0, 0.0]])
    >>> ac.linalg.expm(ac.pi / 3 * turn)
    Tensor([[ 0.5  , -0.866],
            [ 0.866,  0.5  ]], dtype=float64)
    >>> ac.grad(lambda t: ac.linalg.expm(t * turn)[1, 0])(0.0)
    Tensor(1., dtype=float64)
    """
    return expm_p(matrices(x, "expm"))
