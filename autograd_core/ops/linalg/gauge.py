"""Which phase the columns of a factor have, where the factorisation leaves it open.

Eigenvectors, and pairs of singular vectors, are unique up to a factor of magnitude 1 each: a sign
of real ones, a phase of complex ones. Here the entry of largest magnitude in each column (the first
of them, where several are equal but for rounding) is made real and positive. For complex columns
that is a condition on derivatives too: the imaginary part of that entry stays 0. A column changes
by i·θ times itself beside what the factorisation says, and θ is found from that condition.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from autograd_core.ops.arithmetic import absolute, equal, greater_equal
from autograd_core.ops.complex import imag, real, real_dtype
from autograd_core.ops.reduce import argmax
from autograd_core.ops.reduce import max as max_
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import astype, stop_gradient
from autograd_core.tensor import Tensor, asarray


@cache
def _nearly_one(dtype: np.dtype) -> float:
    """The part of the largest magnitude from where on an entry counts as equal to it."""
    return 1 - float(np.finfo(dtype).eps) ** 0.5


def phases(v: Any) -> Any:
    """For each column of an array what makes its leading entry positive, of magnitude 1: (…, 1, k).

    A kernel's part.
    """
    if v.size == 0:
        return np.ones_like(v, shape=(*v.shape[:-2], 1, v.shape[-1]))
    sizes = np.abs(v)
    leads = sizes >= _nearly_one(v.dtype) * sizes.max(-2, keepdims=True)
    entry = np.take_along_axis(v, np.argmax(leads, -2)[..., None, :], -2)
    if v.dtype.kind == "c":
        return entry.conj() / np.abs(entry)
    return np.where(entry < 0, -1, 1).astype(v.dtype)


def _leading(v: Tensor) -> Tensor:
    """1 at the leading entry of each column, 0 elsewhere."""
    if v.shape[-2] == 0:
        return asarray(np.zeros(v.shape, real_dtype(v.dtype)))
    sizes = absolute(stop_gradient(v))
    leads = greater_equal(sizes, max_(sizes, -2, keepdims=True) * _nearly_one(v.dtype))
    place = argmax(astype(leads, np.int8), -2, keepdims=True)
    return astype(equal(np.arange(v.shape[-2])[:, None], place), sizes.dtype)


def turn(v: Tensor, dv: Tensor) -> Tensor:
    """θ (…, 1, k): dv + i·θ·v keeps the leading entries real."""
    one = _leading(v)
    return -imag(sum_(one * dv, -2, keepdims=True)) / real(sum_(one * v, -2, keepdims=True))


def turn_back(v: Tensor, g: Tensor) -> Tensor:
    """The transpose of `turn`: cotangents of dv from g (…, 1, k), those of θ."""
    one = _leading(v)
    return 1j * (one * (g / real(sum_(one * v, -2, keepdims=True))))
