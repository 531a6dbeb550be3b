"""What completes orthonormal columns to a basis: values, and no derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.ops.linalg.stacks import lead, on_stacks, orthonormal
from autograd_core.ops.structural import Aval, concatenate
from autograd_core.primitive import no_rule
from autograd_core.tensor import Tensor
from kernels.devices import on_host

_not_determined = no_rule(
    "columns that complete others to an orthonormal basis are not determined by them, so that they "
    "have no derivatives; ask for the reduced factorisation (full_matrices=False, mode='reduced')"
)


def _complement_aval(q: Aval) -> Aval:
    *some, m, k = q.shape
    return Aval((*some, m, m - k), q.dtype)


def _complement_domain(draw: Any) -> tuple[tuple, dict]:
    some, k = lead(draw), draw.integer(0, 3)
    return (orthonormal(draw, some, k + draw.integer(1, 2), k),), {}


complement_p = on_stacks(
    "complement",
    on_host(lambda q: np.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :]),
    shape=_complement_aval,
    vjps=[_not_determined],
    jvps=[_not_determined],
    domain=_complement_domain,
)


def completed(q: Tensor) -> Tensor:
    """Orthonormal columns (…, m, k), and others behind them that make a basis: (…, m, m)."""
    return concatenate([q, complement_p(q)], -1)
