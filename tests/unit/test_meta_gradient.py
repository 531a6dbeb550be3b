"""MAML on quadratic tasks, where the gradient through the inner loop has a closed form.

For a task with support loss ½ (w - a)ᵀ H (w - a) the inner step w' = w - α H (w - a) has the
Jacobian I - αH, so the meta-gradient after k steps is (I - αH)ᵏᵀ ∇L_q(w_k) (Finn et al. 2017).
"""

import numpy as np
import pytest

import autograd_core as ac

DIM = 4
RATE = 0.07


def task(seed):
    """H (symmetric, positive), the optimum of the support loss, and that of the query loss."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(DIM, DIM))
    return root @ root.T + np.eye(DIM), rng.normal(size=DIM), rng.normal(size=DIM)


def support_loss(w, h, a):
    return 0.5 * ac.dot(w - a, ac.matmul(h, w - a))


def query_loss(w, b):
    return ac.sum(ac.sin(w - b) * w)


def query_gradient(w, b):
    return np.cos(w - b) * w + np.sin(w - b)


def adapted(w, h, a, steps):
    for _ in range(steps):
        w = w - RATE * ac.grad(support_loss)(w, h, a)
    return w


def meta_loss(w, h, a, b, steps):
    return query_loss(adapted(w, h, a, steps), b)


def closed_form(w, h, a, b, steps):
    for _ in range(steps):
        w = w - RATE * h @ (w - a)
    jacobian = np.linalg.matrix_power(np.eye(DIM) - RATE * h, steps)
    return jacobian.T @ query_gradient(w, b)


START = np.linspace(-1, 1, DIM)


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 10])
def test_meta_gradient(steps):
    h, a, b = task(steps)
    got = ac.grad(meta_loss)(START, h, a, b, steps)
    expected = closed_form(START, h, a, b, steps)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("steps", [1, 3])
def test_meta_gradient_of_a_batch_of_tasks(steps):
    tasks = [task(seed) for seed in range(6)]
    stacked = tuple(map(np.stack, zip(*tasks, strict=True)))

    def loss(w):
        per_task = ac.vmap(lambda h, a, b: meta_loss(w, h, a, b, steps))(*stacked)
        return ac.mean(per_task)

    expected = np.mean([closed_form(START, *t, steps) for t in tasks], axis=0)
    np.testing.assert_allclose(ac.grad(loss)(START), expected, rtol=1e-12, atol=1e-13)
    batched = ac.vmap(lambda h, a, b: ac.grad(meta_loss)(START, h, a, b, steps))(*stacked)
    each = [closed_form(START, *t, steps) for t in tasks]
    np.testing.assert_allclose(batched, each, rtol=1e-12, atol=1e-13)


def test_first_order_maml_leaves_the_jacobian_out():
    h, a, b = task(0)

    def first_order(w):
        for _ in range(3):
            w = w - RATE * ac.stop_gradient(ac.grad(support_loss)(w, h, a))
        return query_loss(w, b)

    adapted_w = adapted(ac.asarray(START), h, a, 3).numpy()
    np.testing.assert_allclose(
        ac.grad(first_order)(START), query_gradient(adapted_w, b), rtol=1e-12
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_meta_gradient_in_the_learning_rate(steps):
    """d/dα of one step is -gᵀ∇L_q; of several, each step's share is carried on by the Jacobians."""
    h, a, b = task(7)

    def loss(rate):
        w = ac.asarray(START)
        for _ in range(steps):
            w = w - rate * ac.grad(support_loss)(w, h, a)
        return query_loss(w, b)

    w, dw = START, np.zeros(DIM)
    for _ in range(steps):
        w, dw = w - RATE * h @ (w - a), dw - h @ (w - a) - RATE * h @ dw
    np.testing.assert_allclose(ac.grad(loss)(RATE), query_gradient(w, b) @ dw, rtol=1e-12)


def test_backward_through_an_inner_loop():
    """The same through `.backward()`, with a gradient that is itself recorded."""
    h, a, b = task(3)
    w = ac.Tensor(START, requires_grad=True)
    fast = w * 1.0
    for _ in range(2):
        leaf = fast
        fast = leaf - RATE * ac.grad(support_loss)(leaf, h, a)
    query_loss(fast, b).backward()
    np.testing.assert_allclose(w.grad, closed_form(START, h, a, b, 2), rtol=1e-12)
