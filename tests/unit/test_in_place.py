"""`x[i] = v` and `x += v` change one object, and nothing that was computed before."""

import copy
import pickle

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import Tensor


def same(found, expected):
    np.testing.assert_array_equal(np.asarray(found), expected)


# What the tape keeps ---------------------------------------------------------------------------


def test_a_constant_that_changes_later():
    def f(s):
        running, total = ac.ones(2), 0.0
        for _ in range(3):
            total = total + (running * s).sum()
            running += 1.0
        return total

    same(ac.grad(f)(1.0), 2 + 4 + 6)


def test_a_constant_beside_a_tensor_that_requires_grad():
    w, data = Tensor([1.0, 1.0], requires_grad=True), Tensor([1.0, 2.0])
    loss = (w * data).sum()
    data[0] = 100.0
    loss.backward()
    same(w.grad, [1, 2])


def test_a_matrix_and_indices():
    matrix, index = Tensor(np.eye(2)), Tensor([0, 1])
    w = Tensor([1.0, 1.0, 1.0], requires_grad=True)
    loss = (matrix @ w[index]).sum()
    matrix *= 0
    index += 1
    loss.backward()
    same(w.grad, [1, 1, 0])


def test_a_constant_that_becomes_traced():
    def f(s):
        buffer = ac.ones(2)
        y = buffer * s
        buffer[0] = s * 5
        return y.sum() + buffer.sum()

    same(ac.grad(f)(2.0), 7)


CUBES = lambda x: (x**3).sum()


@pytest.mark.parametrize("f", [CUBES, ac.checkpoint(CUBES)], ids=["plain", "checkpoint"])
@pytest.mark.parametrize("make", [Tensor, np.array], ids=["tensor", "array"])
def test_the_arguments_of_vjp_and_linearize(f, make):
    x = make([1.0, 2.0])
    _, pull = ac.vjp(f, x)
    _, push = ac.linearize(f, x)
    x *= 10
    same(pull(1.0)[0], [3, 12])
    same(push(np.ones(2)), 15)


def test_the_output_of_vjp():
    y, pull = ac.vjp(ac.exp, np.zeros(2))
    y *= 100
    same(pull(np.ones(2))[0], [1, 1])


def test_residuals_of_a_custom_rule():
    @ac.custom_vjp
    def square(x):
        return x * x

    def bwd(x, g):
        x *= 2
        return (x * g,)

    square.defvjp(lambda x: (x * x, x), bwd)
    _, pull = ac.vjp(square, 3.0)
    assert [float(pull(1.0)[0]) for _ in range(2)] == [6, 6]


# Results are objects of their own --------------------------------------------------------------

IDENTITIES = {
    "x[:]": lambda x: x[:],
    "x[...]": lambda x: x[...],
    "+x": lambda x: +x,
    "x.T": lambda x: x.T,
    "at": lambda x: x.at[[]].set(1.0),
    "astype": lambda x: x.astype(np.float64),
    "broadcast_to": lambda x: ac.broadcast_to(x, (2,)),
    "full": lambda x: ac.full((2,), x),
    "max": lambda x: ac.max(x, axis=()),
    "sum": lambda x: ac.sum(x, axis=()),
    "diff": lambda x: ac.diff(x, n=0),
    "einsum": lambda x: ac.einsum("i->i", x),
    "roll": lambda x: ac.roll(x, 0, 0),
    "pad": lambda x: ac.pad(x, 0, mode="reflect"),
    "flip": lambda x: ac.flip(x, ()),
    "reshape": lambda x: x.reshape(2),
    "moveaxis": lambda x: ac.moveaxis(x, 0, 0),
    "atleast_1d": ac.atleast_1d,
    "detach": lambda x: x.detach(),
    "checkpoint": ac.checkpoint(lambda x: x),
    "vmap": ac.vmap(lambda x: x),
    "vjp": lambda x: ac.vjp(lambda x: x, x)[0],
    "pull": lambda x: ac.vjp(lambda x: x, x)[1](x)[0],
    "jvp": lambda x: ac.jvp(lambda x: x, (x,), (x,))[0],
    "tangent": lambda x: ac.jvp(lambda x: x, (x,), (x,))[1],
}


@pytest.mark.parametrize("name", IDENTITIES)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_result_is_never_the_argument_itself(name, requires_grad):
    x = Tensor([1.0, 2.0], requires_grad=requires_grad)
    y = IDENTITIES[name](x)
    with ac.no_grad():
        y += 1.0
    same(x.detach(), [1, 2])


def test_changing_a_slice_leaves_what_it_is_of():
    def f(x):
        y = x[:]
        y[0] = 0.0
        return (x * x).sum()

    same(ac.grad(f)(np.array([1.0, 2.0])), [2, 4])


def test_gradients_are_objects_of_their_own():
    first, second = ac.grad(lambda a, b: (a + b).sum(), (0, 1))(np.ones(2), np.ones(2))
    first *= 0.5
    same(second, [1, 1])


def test_dot_grad_is_an_object_of_its_own():
    a, b = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    cotangent = Tensor([1.0, 1.0])
    (a + b).backward(cotangent)
    a.grad *= 0.5
    same(b.grad, [1, 1])
    same(cotangent, [1, 1])
    array = np.ones(2)
    c = Tensor([1.0, 2.0], requires_grad=True)
    c.backward(array)
    array[:] = 7
    same(c.grad, [1, 1])


# Copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_of_a_leaf_is_another_leaf(duplicate):
    w = Tensor([1.0, 2.0], requires_grad=True)
    other = duplicate(w)
    ((w - 2 * other) ** 2).sum().backward()
    same(w.grad, [-2, -4])
    same(other.grad, [4, 8])
    assert not duplicate(Tensor([1])).requires_grad


def test_a_traced_value_cannot_be_copied():
    with pytest.raises(ac.ConcreteValueError, match="detach"):
        ac.grad(lambda x: copy.deepcopy(x) * 1.0)(1.0)


def test_a_new_leaf_has_no_history():
    w = Tensor(np.ones(2), requires_grad=True)
    (w * w).sum().backward()
    w = Tensor(w - 0.1 * w.grad, requires_grad=True)
    assert w.value.interpreter is None
    w.backward(np.ones(2))
    assert not w.grad.requires_grad
