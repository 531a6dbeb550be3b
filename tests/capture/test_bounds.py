"""Indices and labels out of bounds: compiled programs raise what the operations raise."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import jit, nn

X = ac.asarray(np.array([10.0, 20.0, 30.0]))

CASES = {
    "take": (lambda x, i: ac.take(x, i), [0, -3], [-5]),
    "entry": (lambda x, i: x[i[0]], [-1], [3]),
    "slices of indices": (lambda x, i: x[i[1:]], [9, 2], [0, -4]),
    "set": (lambda x, i: x.at[i].set(0.0), [-3], [-4]),
    "take_along_axis": (lambda x, i: ac.take_along_axis(x, i, axis=0), [2], [-4]),
    "cross_entropy": (lambda x, i: nn.cross_entropy(x[None], i), [2], [3]),
    "nll": (lambda x, i: nn.nll(x[None], i), [0], [-1]),
    "one_hot": (lambda x, i: nn.one_hot(i, 3) * x, [0, 2], [-1, 9]),
}


def gradients(f):
    return lambda x, i: ac.grad(lambda x: ac.sum(f(x, i)))(x)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", [lambda f: f, gradients])
def test_bounds(name, how):
    f, right, wrong = CASES[name]
    f = how(f)
    right, wrong = np.array(right), np.array(wrong)
    fast = jit(f)
    np.testing.assert_allclose(fast(X, right).numpy(), f(X, right).numpy())
    for each in (f, fast, jit(fast), gradients(fast)):
        with pytest.raises(IndexError, match="out of bounds"):
            each(X, wrong)
    np.testing.assert_allclose(fast(X, right).numpy(), f(X, right).numpy())


def test_bounds_of_tasks():
    def f(xs, labels):
        return ac.vmap(lambda x, y: nn.cross_entropy(x[None], y[None]))(xs, labels)

    xs = np.arange(12.0).reshape(4, 3)
    fast = jit(f)
    np.testing.assert_allclose(fast(xs, np.array([0, 1, 2, 0])), f(xs, np.array([0, 1, 2, 0])))
    with pytest.raises(IndexError, match="label 5 is out of bounds for 3 classes"):
        fast(xs, np.array([0, 1, 2, 5]))


def test_nothing_to_bound():
    assert jit(lambda x, i: ac.take(x, i))(X, np.zeros(0, int)).shape == (0,)
