"""Linear algebra by the array API standard (2024.12), and what NumPy's `linalg` has beside it.

    import autograd_core as ac
    ac.linalg.solve(a, b), ac.linalg.svd(x).S, ac.linalg.norm(x, "nuc")

Matrices are the last two axes, leading axes are a stack; numbers are real or complex. Functions
that give several arrays give named tuples. Which matrices have derivatives is in the table of
docs/conventions.md. The functions themselves are in `ops/linalg`; those that are names of
`autograd_core` too may have other defaults there: `ac.svd` is the reduced one, `ac.norm` that of
vectors.

The standard: https://data-apis.org/array-api/2024.12/extensions/linear_algebra_functions.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

from autograd_core.ops import linalg as ops
from autograd_core.ops.linalg import det, inv, matrix_norm, matrix_power, pinv, solve
from autograd_core.ops.linalg.norms import cond, norm, vector_norm
from autograd_core.ops.linalg.powers import expm, multi_dot
from autograd_core.ops.linalg.singular import matrix_rank, svdvals
from autograd_core.ops.linalg.solving import lstsq
from autograd_core.ops.linalg.spectral import eig as _eig
from autograd_core.ops.linalg.spectral import eigvals, eigvalsh
from autograd_core.ops.products import matmul, outer, tensordot, vecdot
from autograd_core.ops.reduce import sum as _sum
from autograd_core.ops.structural import matrix_transpose
from autograd_core.tensor import Tensor

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "expm",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class EigenResult(NamedTuple):
    """What `eig` and `eigh` give."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives: x = Q @ R."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` gives: det(x) = sign · exp(logabsdet)."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives: x = U @ diag(S) @ Vh, in as many columns of U and rows of Vh as S has."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """The lower triangular l with l @ lᴴ = x, or the upper triangular u with uᴴ @ u = x.

    It reads the Hermitian part of x (…, n, n), which is to be positive definite.

    Raises:
        numpy.linalg.LinAlgError: it is not.
    """
    return ops.cholesky(x, upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three entries along an axis; the other axes broadcast.

    Args:
        axis: counted from the end, as the axes that broadcast may differ in number.

    Raises:
        ShapeError: the axis is not of length 3.
    """
    return ops.cross(x1, x2, axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonal of each matrix, `offset` places above the main one."""
    return ops.diagonal(x, offset)


def eig(x: Any, /) -> EigenResult:
    """Eigenvalues and eigenvectors of square matrices, all complex: x @ v = v @ diag(w).

    Columns of v have length 1, their entries of largest magnitude are real and positive.
    """
    return EigenResult(*_eig(x))


def eigh(x: Any, /) -> EigenResult:
    """Eigenvalues and eigenvectors of Hermitian matrices: x = v @ diag(w) @ vᴴ.

    The eigenvalues are real and ascend. Columns of v are orthonormal, and their entries of largest
    magnitude real and positive. It reads the Hermitian part of x.
    """
    return EigenResult(*ops.eigh(x))


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Q (…, m, k) with orthonormal columns and R (…, k, n), upper triangular: x = Q @ R.

    Args:
        mode: "reduced" for k = min(m, n), "complete" for k = m. The columns that Q has more
            are some basis; see `svd` for their derivatives.

    Raises:
        ValueError: there is no such mode.
    """
    return QRResult(*ops.qr(x, mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign of the determinant of each matrix, which is 0 or of magnitude 1, and the logarithm
    of its magnitude, which is real."""
    return SlogdetResult(*ops.slogdet(x))


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular values S, real and descending, and vectors: x = U @ diag(S) @ Vh.

    Args:
        full_matrices: make U (…, m, m) and Vh (…, n, n) square. The columns and rows beyond
            min(m, n) are some basis of the rest. Derivatives of what does not depend on which one,
            such as projections, are right; others are those of a basis that turns as little as it
            can.
    """
    return SVDResult(*ops.svd(x, full_matrices))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonal of each matrix.

    Args:
        dtype: to sum in; where not given that of x, or int64 for booleans and short integers.
    """
    return _sum(ops.diagonal(x, offset), -1, dtype=dtype)
