"""What every test of a consumer asks: the function takes tensors as it takes NumPy's arrays, gives
tensors back, and is differentiated right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ac
from autograd_core.testing import check_grads
from autograd_core.tree import tree_leaves

TOLERANCE = 1e-9
"""Relative to the largest magnitude."""


def check_consumer(f: Callable, *args: np.ndarray, differentiable: bool = True) -> None:
    """Compare a function of arrays on tensors with itself on NumPy's arrays, and its gradient in
    the first argument with differences.

    Args:
        f: from arrays to an array, or a tuple of arrays.
        differentiable: whether a derivative flows.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = arrays(f(*(x.copy() for x in args)))
        given = [ac.asarray(x) for x in args]
        got = f(*given)
        assert all(y.__class__ is ac.Tensor for y in tree_leaves(tuple_of(got)))
        assert all(np.array_equal(x.numpy(), y) for x, y in zip(given, args, strict=True)), (
            "it writes to its arguments"
        )
        for a, b in zip(arrays(got), expected, strict=True):
            size = np.max(np.abs(b), initial=1e-3, where=np.isfinite(b))
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * size)
        if differentiable:
            rest = given[1:]
            check_grads(lambda x: tuple_of(f(x, *rest)), args[0], order=2, search=False)


def tuple_of(found: Any) -> tuple:
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def arrays(found: Any) -> list[np.ndarray]:
    return [np.asarray(y.data if y.__class__ is ac.Tensor else y) for y in tuple_of(found)]
