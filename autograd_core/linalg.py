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

    >>> ac.linalg.cholesky(ac.asarray([[4.0, 2.0], [2.0, 5.0]]), upper=True)
    Tensor([[2., 1.],
            [0., 2.]], dtype=float64)
    """
    return ops.cholesky(x, upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three entries along an axis; the other axes broadcast.

    Args:
        x1, x2: of length 3 along the axis.
        axis: counted from the end, as the axes that broadcast may differ in number.

    Raises:
        ShapeError: the axis is not of length 3.

    >>> ac.linalg.cross([1.0, 2.0, 3.0], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    Tensor([[ 0.,  3., -2.],
            [-3.,  0.,  1.]], dtype=float64)
    """
    return ops.cross(x1, x2, axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """The diagonal of each matrix, as the last axis.

    Args:
        x: (…, m, n).
        offset: how many places above the main diagonal; negative ones are below it.

    >>> ac.linalg.diagonal(ac.asarray([[1, 2, 3], [4, 5, 6]]), offset=1)
    Tensor([2, 6], dtype=int64)
    """
    return ops.diagonal(x, offset)


def eig(x: Any, /) -> EigenResult:
    """Eigenvalues and eigenvectors of square matrices, all complex: x @ v = v @ diag(w).

    Columns of v have length 1, their entries of largest magnitude are real and positive. Where
    eigenvalues are equal, the derivatives of v are inf or NaN.

    Raises:
        ShapeError: the matrices are not square.

    >>> x = ac.asarray([[2.0, 1.0], [0.0, 3.0]])
    >>> w, v = ac.linalg.eig(x)
    >>> w, ac.norm(x @ v - v * w) < 1e-12
    (Tensor([2.+0.j, 3.+0.j], dtype=complex128), Tensor(True, dtype=bool))
    """
    return EigenResult(*_eig(x))


def eigh(x: Any, /) -> EigenResult:
    """Eigenvalues and eigenvectors of Hermitian matrices: x = v @ diag(w) @ vᴴ.

    The eigenvalues are real and ascend. Columns of v are orthonormal, and their entries of largest
    magnitude real and positive. It reads the Hermitian part of x. Where eigenvalues are equal, the
    derivatives of v are inf or NaN.

    Raises:
        ShapeError: the matrices are not square.

    >>> ac.linalg.eigh(ac.asarray([[0.0, 1j], [-1j, 0.0]])).eigenvalues
    Tensor([-1.,  1.], dtype=float64)
    >>> x = ac.asarray([[1.0, 2.0], [2.0, 1.0]])
    >>> w, v = ac.linalg.eigh(x)
    >>> v @ ac.diag(w) @ v.T
    Tensor([[1., 2.],
            [2., 1.]], dtype=float64)
    """
    return EigenResult(*ops.eigh(x))


def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """Q (…, m, k) with orthonormal columns and R (…, k, n), upper triangular: x = Q @ R.

    The diagonal of R is real and not negative. Derivatives need the first k columns of x to be
    independent.

    Args:
        x: (…, m, n).
        mode: "reduced" for k = min(m, n), "complete" for k = m. The columns that Q has more
            are some basis; see `svd` for their derivatives.

    Raises:
        ValueError: there is no such mode.

    >>> Q, R = ac.linalg.qr(ac.asarray([[3.0], [4.0]]), mode="complete")
    >>> Q.shape, R
    ((2, 2), Tensor([[5.],
            [0.]], dtype=float64))
    """
    return QRResult(*ops.qr(x, mode))


def slogdet(x: Any, /) -> SlogdetResult:
    """The sign of the determinant of each matrix, and the logarithm of its magnitude.

    The sign is 0 or of magnitude 1, the logarithm real: det(x) = sign · exp(logabsdet), where that
    product may overflow. Of a singular matrix they are 0 and -inf, and the derivatives NaN.

    >>> ac.linalg.slogdet(1e300 * ac.eye(3))
    SlogdetResult(sign=Tensor(1., dtype=float64), logabsdet=Tensor(2072.3266, dtype=float64))
    """
    return SlogdetResult(*ops.slogdet(x))


def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular values S, real and descending, and vectors: x = U @ diag(S) @ Vh.

    Derivatives of vectors are inf or NaN where two values are equal; see `svdvals` for the values
    alone.

    Args:
        x: (…, m, n).
        full_matrices: make U (…, m, m) and Vh (…, n, n) square. The columns and rows beyond
            min(m, n) are some basis of the rest. Derivatives of what does not depend on which one,
            such as projections, are right; others are those of a basis that turns as little as it
            can.

    >>> ac.linalg.svd(ac.asarray([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]])).S
    Tensor([4., 3.], dtype=float64)
    >>> x = ac.asarray([[1.0, 2.0], [3.0, 4.0]])
    >>> U, S, Vh = ac.linalg.svd(x)
    >>> U @ ac.diag(S) @ Vh
    Tensor([[1., 2.],
            [3., 4.]], dtype=float64)
    """
    return SVDResult(*ops.svd(x, full_matrices))


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonal of each matrix.

    Args:
        x: (…, m, n).
        offset: how many places above the main diagonal; negative ones are below it.
        dtype: to sum in; where not given that of x, or int64 for booleans and short integers.

    >>> ac.linalg.trace(ac.asarray([[[1, 2], [3, 4]], [[5, 6], [7, 8]]]))
    Tensor([ 5, 13], dtype=int64)
    """
    return _sum(ops.diagonal(x, offset), -1, dtype=dtype)
