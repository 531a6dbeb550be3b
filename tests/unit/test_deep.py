"""Histories of a hundred thousand steps: nothing in the engine may recurse over them."""

import gc
import sys
import threading

import numpy as np
import pytest

import autograd_core as ac

DEPTH = 100_000


def chain(x, depth=DEPTH):
    """x · rᵈ, in d steps."""
    for _ in range(depth):
        x = x * RATIO
    return x


RATIO = 1.0 + 1e-6
SLOPE = RATIO**DEPTH


def test_deeper_than_the_stack():
    assert sys.getrecursionlimit() < DEPTH / 10


def test_grad():
    assert float(ac.grad(chain)(2.0)) == pytest.approx(SLOPE, rel=1e-10)


def test_backward():
    x = ac.Tensor(2.0, requires_grad=True)
    chain(x).backward()
    assert float(x.grad) == pytest.approx(SLOPE, rel=1e-10)


def test_jvp():
    assert float(ac.jvp(chain, (2.0,), (1.0,))[1]) == pytest.approx(SLOPE, rel=1e-10)


def test_linearize():
    _, push = ac.linearize(chain, 2.0)
    assert float(push(1.0)) == pytest.approx(SLOPE, rel=1e-10)


def test_second_order():
    """d²/dx² of (x rᵈ)² is 2 r²ᵈ: the backward pass is recorded, and walked in turn."""
    depth = DEPTH // 5
    second = ac.grad(ac.grad(lambda x: ac.square(chain(x, depth))))(2.0)
    assert float(second) == pytest.approx(2 * RATIO ** (2 * depth), rel=1e-10)


def test_vmap():
    out = ac.vmap(ac.grad(lambda x: chain(x, DEPTH // 10)))(np.ones(3))
    np.testing.assert_allclose(out, np.full(3, RATIO ** (DEPTH // 10)), rtol=1e-10)


@pytest.mark.parametrize("collecting", [True, False])
def test_deletion_without_a_backward_pass(collecting):
    """A long history that is dropped is freed node by node, not by nested destructors."""
    was = gc.isenabled()
    if not collecting:
        gc.disable()
    try:
        y = chain(ac.Tensor(2.0, requires_grad=True))
        del y
        _, pull = ac.vjp(chain, 2.0)
        del pull
    finally:
        if was:
            gc.enable()


def test_deletion_on_a_small_stack():
    """A thread's stack is smaller than the main one; the deletion must not need it."""
    done = []

    def work():
        y = chain(ac.Tensor(2.0, requires_grad=True))
        del y
        done.append(True)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done


def test_wide():
    """One value used a hundred thousand times."""

    def f(x):
        total = x
        for _ in range(DEPTH):
            total = total + x
        return total

    assert float(ac.grad(f)(1.0)) == DEPTH + 1


def test_ladder():
    """2ᵈ paths through d nodes: each is walked once."""

    def f(x):
        for _ in range(1000):
            x = (x + x) * 0.5
        return x

    assert float(ac.grad(f)(1.0)) == 1.0
