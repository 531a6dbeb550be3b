"""What completes orthonormal columns Q to a basis.

The columns that do are orthogonal to Q, and else not determined. Their derivative is that of
columns C which turn as little as that allows: QᴴC = 0 asks for dC = -Q dQᴴ C, and for no turn among
themselves. So functions that do not depend on how they are chosen, such as C @ Cᴴ, have the right
derivatives, of any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.linalg.stacks import adjoint, conjugate, lead, on_stacks, orthonormal
from autograd_core.ops.products import matmul
from autograd_core.ops.structural import Aval, concatenate, matrix_transpose
from autograd_core.tensor import Tensor
from kernels.devices import on_host


def _complement_aval(q: Aval) -> Aval:
    *some, m, k = q.shape
    return Aval((*some, m, m - k), q.dtype)


def _complement_domain(draw: Any) -> tuple[tuple, dict]:
    """One column is missing: it is determined but for its sign."""
    some, k = lead(draw), draw.integer(1, 3)
    return (orthonormal(draw, some, k + 1, k),), {}


complement_p = on_stacks(
    "complement",
    on_host(lambda q: np.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :]),
    shape=_complement_aval,
    vjps=[lambda g, out, q: -conjugate(matmul(out, matmul(matrix_transpose(g), q)))],
    jvps=[lambda t, out, q: -matmul(q, matmul(adjoint(t), out))],
    domain=_complement_domain,
)


def completed(q: Tensor) -> Tensor:
    """Orthonormal columns (…, m, k), and others behind them that make a basis: (…, m, m)."""
    return concatenate([q, complement_p(q)], -1)
