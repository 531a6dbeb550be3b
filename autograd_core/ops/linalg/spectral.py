"""Eigenvalues and eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.complex import complex_dtype, imag, real
from autograd_core.ops.linalg.diagonals import diagonal
from autograd_core.ops.linalg.gauge import phases, turn, turn_back
from autograd_core.ops.linalg.solving import solve_p
from autograd_core.ops.linalg.stacks import (
    adjoint,
    both,
    conjugate,
    entries,
    hermitian,
    hermitian_array,
    hermitian_domain,
    inverse_gaps,
    is_complex,
    lead,
    matrices,
    on_diagonal,
    on_stacks,
    real_values,
    spectrum,
)
from autograd_core.ops.products import matmul
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import Aval, matrix_transpose
from autograd_core.tensor import Tensor
from kernels.devices import on_host


@on_host
def _eigh_kernel(x: Any) -> tuple[Any, Any]:
    w, v = np.linalg.eigh(hermitian_array(x))
    return w, v * phases(v)


def _eigh_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (w, v), (gw, gv) = out, g
    inner: Any = 0
    if gw is not None:
        inner = on_diagonal(gw)
    if gv is not None:
        if is_complex(v):
            gv = gv + turn_back(v, -imag(sum_(gv * v, -2, keepdims=True)))
        inner = inner + inverse_gaps(w) * matmul(matrix_transpose(v), gv)
    return hermitian(matmul(matmul(conjugate(v), inner), matrix_transpose(v)))


def _eigh_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor]:
    w, v = out
    inner = _in_eigenvectors(v, t)
    dv = matmul(v, inverse_gaps(w) * inner)
    if is_complex(v):
        dv = dv + 1j * turn(v, dv) * v
    return real(diagonal(inner)), dv


def _in_eigenvectors(v: Tensor, t: Tensor) -> Tensor:
    return matmul(adjoint(v), matmul(hermitian(t), v))


eigh_p = on_stacks(
    "eigh",
    _eigh_kernel,
    shape=lambda x: (real_values(x, x.shape[-1]), x),
    vjps=[_eigh_vjp],
    jvps=[_eigh_jvp],
    multiple=True,
    **both(hermitian_domain, low=-1.0),
)


def eigh(x: Any) -> tuple[Tensor, Tensor]:
    """The eigenvalues w (…, n), ascending, and eigenvectors v (…, n, n) of Hermitian matrices.

    x = v @ diag(w) @ vᴴ. It reads the Hermitian part of x, (x + xᴴ)/2, so that gradients are
    Hermitian. In each column of v the entry of largest magnitude is real and positive. Where
    eigenvalues are equal, the derivatives of v are inf or NaN.

    >>> w, v = ac.eigh(ac.asarray([[2.0, 1.0], [1.0, 2.0]]))
    >>> w, v
    (Tensor([1., 3.], dtype=float64), Tensor([[ 0.7071,  0.7071],
            [-0.7071,  0.7071]], dtype=float64))
    >>> ac.grad(lambda x: ac.eigh(x)[0][-1])(ac.asarray([[2.0, 1.0], [1.0, 2.0]]))
    Tensor([[0.5, 0.5],
            [0.5, 0.5]], dtype=float64)
    """
    return eigh_p(matrices(x, "eigh"))


eigvalsh_p = on_stacks(
    "eigvalsh",
    on_host(lambda x: np.linalg.eigvalsh(hermitian_array(x))),
    shape=lambda x: real_values(x, x.shape[-1]),
    vjps=[lambda g, _out, x: _eigh_vjp((g, None), eigh_p(x), None)],
    jvps=[lambda t, _out, x: real(diagonal(_in_eigenvectors(eigh_p(x)[1], t)))],
    **both(hermitian_domain, low=-1.0),
)


def eigvalsh(x: Any) -> Tensor:
    """The eigenvalues (…, n) of Hermitian matrices, ascending; it reads the Hermitian part of x.

    Where some are equal each alone has no derivative, but functions that treat them alike have:
    first derivatives of these are right there (those of higher order are NaN).

    >>> x = ac.asarray([[2.0, 1.0], [1.0, 2.0]])
    >>> ac.linalg.eigvalsh(x), ac.grad(lambda x: ac.linalg.eigvalsh(x)[0])(x)
    (Tensor([1., 3.], dtype=float64), Tensor([[ 0.5, -0.5],
            [-0.5,  0.5]], dtype=float64))
    """
    return eigvalsh_p(matrices(x, "eigvalsh"))


# Matrices that are not Hermitian --------------------------------------------------------------


@on_host
def _eig_kernel(x: Any) -> tuple[Any, Any]:
    w, v = np.linalg.eig(x)
    v = v.astype(complex_dtype(v.dtype), copy=False)
    return w.astype(v.dtype, copy=False), v * phases(v)


def _complex_values(x: Aval) -> Aval:
    return Aval(x.shape[:-1], complex_dtype(x.dtype))


def _eig_vjp(g: tuple, out: tuple, _x: None) -> Tensor:
    (w, v), (gw, gv) = out, g
    inner: Any = 0
    if gw is not None:
        inner = on_diagonal(gw)
    if gv is not None:
        along = sum_(gv * v, -2, keepdims=True)
        gv = gv - conjugate(v) * real(along) + turn_back(v, -imag(along))
        inner = inner + inverse_gaps(w) * matmul(matrix_transpose(v), gv)
    transposed = matrix_transpose(v)
    return solve_p(transposed, matmul(inner, transposed))


def _eig_jvp(t: Tensor, out: tuple, _x: None) -> tuple[Tensor, Tensor]:
    """Columns of v keep length 1 and their phase: beside what their equation says, they change by
    multiples of themselves."""
    w, v = out
    inner = solve_p(v, matmul(t, v))
    dv = matmul(v, inverse_gaps(w) * inner)
    longer = real(sum_(conjugate(v) * dv, -2, keepdims=True))
    return diagonal(inner), dv + (1j * turn(v, dv) - longer) * v


def _eig_domain(draw: Any, imaginary: bool = False) -> tuple[tuple, dict]:
    """Eigenvalues apart, eigenvectors far from dependent. Real ones come among the complex ones, as
    their results are complex too."""
    some, n = lead(draw), draw.integer(1, 3)
    imaginary = imaginary and draw.integer(0, 2) > 0
    v = 2 * np.eye(n) + entries(draw, (*some, n, n), -0.4, 0.4, imaginary)
    w = spectrum(draw, some, n) * (np.exp(0.5j) if imaginary else 1)
    return (v * w[..., None, :] @ np.linalg.inv(v),), {}


eig_p = on_stacks(
    "eig",
    _eig_kernel,
    shape=lambda x: (_complex_values(x), Aval(x.shape, complex_dtype(x.dtype))),
    vjps=[_eig_vjp],
    jvps=[_eig_jvp],
    multiple=True,
    **both(_eig_domain),
)


def eig(x: Any) -> tuple[Tensor, Tensor]:
    """The eigenvalues w (…, n) and eigenvectors v (…, n, n) of matrices: x @ v = v @ diag(w).

    Both are complex, also where all eigenvalues are real (as in PyTorch, JAX and the array API
    standard; NumPy looks at their values). They come in LAPACK's order. Columns of v have length 1,
    and in each the entry of largest magnitude is real and positive. Where eigenvalues are equal,
    the derivatives of v are inf or NaN; so are all where there are too few eigenvectors, or
    LinAlgError is raised.
    """
    return eig_p(matrices(x, "eig"))


@on_host
def _eigvals_kernel(x: Any) -> Any:
    return np.linalg.eigvals(x).astype(complex_dtype(x.dtype), copy=False)


def _eigvals_jvp(t: Tensor, _out: None, x: Tensor) -> Tensor:
    v = eig_p(x)[1]
    return diagonal(solve_p(v, matmul(t, v)))


eigvals_p = on_stacks(
    "eigvals",
    _eigvals_kernel,
    shape=_complex_values,
    vjps=[lambda g, _out, x: _eig_vjp((g, None), eig_p(x), None)],
    jvps=[_eigvals_jvp],
    **both(_eig_domain),
)


def eigvals(x: Any) -> Tensor:
    """The eigenvalues (…, n) of matrices, which are complex numbers; see `eig`.

    >>> w = ac.linalg.eigvals(ac.asarray([[0.0, -4.0], [1.0, 0.0]]))
    >>> ac.sort(ac.imag(w)), w.dtype
    (Tensor([-2.,  2.], dtype=float64), dtype('complex128'))
    """
    return eigvals_p(matrices(x, "eigvals"))
