"""What a type checker makes of a user's code; `test_typing.py` runs mypy on it, strictly."""

from typing import Any, assert_type

import numpy as np

import autograd_core as ac
from autograd_core import Tensor


def loss(w: Tensor, x: np.ndarray) -> Tensor:
    hidden = ac.tanh(x @ w + 1)
    assert_type(hidden, Tensor)
    return (hidden**2).mean(axis=0).sum()


w = ac.asarray([[1.0, 2.0]], dtype=ac.float32)
assert_type(w, Tensor)
assert_type(w.shape, tuple[int, ...])
assert_type(2 * w - 1, Tensor)
assert_type(w < 0, Tensor)
assert_type(w == 0, Tensor)
assert_type(-w.T @ w, Tensor)
assert_type(w[0, ..., None], Tensor)
assert_type(w.astype(ac.float64).reshape(2, 1), Tensor)
assert_type(w.at[0].set(3.0), Tensor)
assert_type(w.grad, Tensor | None)
assert_type(w.real.nbytes, int)
assert_type(w.numpy().sum(), Any)
assert_type(ac.sin(1.0), Tensor)
assert_type(ac.hypot([1, 2], np.ones(2)), Tensor)
assert_type(ac.linalg.eigh(w).eigenvalues, Tensor)
assert_type(ac.fft.rfft(w), Tensor)
assert_type(ac.special.erf(w), Tensor)
assert_type(ac.unique_all(w).counts, Tensor)
assert_type(ac.finfo(ac.float32).eps, float)
assert_type(ac.isdtype(w.dtype, "real floating"), bool)
