"""Linear algebra on stacks of matrices: solving, factorisations, determinants, norms.

Matrices are the last two axes, leading axes are a stack; numbers are real or complex. Where a
factorisation is unique up to signs, or phases of complex numbers, the kernel fixes them, so that it
is one smooth function (see `gauge`).

Derivatives do not exist everywhere; the table in docs/conventions.md says where, and what happens:

- Eigenvectors and singular vectors jump where two eigenvalues (singular values) meet: their
  derivatives are inf or NaN there. Those of eigenvalues and singular values alone stay finite.
- U and V of `svd` also need singular values above 0 where the matrix is not square or is complex.
- `qr` needs independent columns (the leading ones of a wide matrix); `cholesky` a positive definite
  matrix; `solve`, `inv` and `slogdet` an invertible one; `pinv` one whose rank does not change.
- `det` has its first three derivatives everywhere, singular matrices included.

Rules are transposes, as in all of this engine: what is conjugated in them is what the function
itself conjugates. Formulas: Giles, "Collected matrix derivative results for forward and reverse
mode AD" (2008); Murray, "Differentiation of the Cholesky decomposition" (2016); Golub and Pereyra,
"The differentiation of pseudo-inverses" (1973), for `pinv`; Walter and Lehmann (2012) for `qr`; Wan
and Zhang, "Automatic differentiation for complex valued SVD" (2019); Boeddeker et al., "On the
computation of complex-valued gradients" (2017), for eigenvectors; Mathias, "A chain rule for matrix
functions" (1996), for `expm`.

Files: `stacks` is what all share, `diagonals` moves entries, `solving` (solve, inv, pinv),
`determinants`, `factorisations` (cholesky, qr), `spectral` (eigh, eig), `singular` (svd), `powers`
(products, powers, the exponential), `norms`.
"""

from autograd_core.ops.linalg.determinants import det, slogdet
from autograd_core.ops.linalg.diagonals import diag, diagonal, trace, tril, triu
from autograd_core.ops.linalg.factorisations import cholesky, qr
from autograd_core.ops.linalg.norms import matrix_norm
from autograd_core.ops.linalg.powers import cross, kron, matrix_power
from autograd_core.ops.linalg.singular import svd
from autograd_core.ops.linalg.solving import inv, pinv, solve, triangular_solve
from autograd_core.ops.linalg.spectral import eigh

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
