"""Each thread has transforms and pauses of its own, and sees those it was started in."""

import threading

import numpy as np

import autograd_core as ac
from autograd_core import Tensor


def in_thread(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_transform_in_another_thread_is_the_inner_one():
    f = lambda x: in_thread(lambda: ac.grad(lambda y: x * y * y)(3.0))
    value, gradient = ac.value_and_grad(f)(2.0)
    assert (float(value), float(gradient)) == (12, 6)


def test_no_grad_is_for_its_own_thread():
    w = Tensor(2.0, requires_grad=True)
    inside, done = threading.Event(), threading.Event()

    def evaluate():
        with ac.no_grad():
            inside.set()
            done.wait()

    thread = threading.Thread(target=evaluate)
    thread.start()
    inside.wait()
    square = w * w
    done.set()
    thread.join()
    (square * w).backward()
    assert float(w.grad) == 12


def test_threads_train_side_by_side():
    def train():
        w = Tensor(np.ones(3), requires_grad=True)
        layer = ac.checkpoint(lambda w: ac.tanh(w) ** 2)
        for _ in range(50):
            w.grad = None
            layer(w).sum().backward()
            with ac.no_grad():
                w -= 0.1 * w.grad
        return w.detach().numpy()

    expected, found = train(), []
    threads = [threading.Thread(target=lambda: found.append(train())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for w in found:
        np.testing.assert_array_equal(w, expected)
