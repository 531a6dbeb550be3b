"""What the engine holds on to, and for how long. Counted in objects and bytes, never in time."""

import gc
import tracemalloc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import reverse

SIZE, ROWS = 256, 8


@contextmanager
def no_collector():
    """With the cycle collector off, only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def loss(w, x):
    return ac.sum(ac.square(ac.tanh(ac.matmul(x, w)) - 1.0))


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(SIZE, SIZE)) / SIZE, rng.normal(size=(ROWS, SIZE))


def functional_step(w, x):
    return w - 0.1 * ac.grad(loss)(w, x)


def meta_step(w, x):
    def outer(w):
        return loss(w - 0.1 * ac.grad(loss)(w, x), x)

    return w - 0.1 * ac.grad(outer)(w)


def forward_step(w, x):
    return w - 0.1 * ac.jvp(lambda w: ac.grad(loss)(w, x), (w,), (w,))[1]


def vmapped_step(w, x):
    return w - 0.1 * ac.mean(ac.vmap(lambda row: ac.grad(loss)(w, row[None]))(x), axis=0)


def linearized_step(w, x):
    return w - 0.1 * ac.linearize(lambda w: ac.tanh(w) * x[0], w)[1](w)


def checkpointed_step(w, x):
    return w - 0.1 * ac.grad(lambda w: ac.checkpoint(loss)(w, x))(w)


FUNCTIONAL = [
    functional_step,
    meta_step,
    forward_step,
    vmapped_step,
    linearized_step,
    checkpointed_step,
]


def run_functional(step, times):
    w, x = map(ac.asarray, data())
    for _ in range(times):
        w = step(w, x)
    return w


def run_backward(times, create_graph=False):
    start, x = data()
    w = ac.Tensor(start, requires_grad=True)
    for _ in range(times):
        w.grad = None
        value = loss(w, x)
        value.backward(create_graph=create_graph)
        if create_graph:
            penalty = ac.sum(ac.square(w.grad))
            w.grad = None
            penalty.backward()
        with ac.no_grad():
            w -= 0.1 * w.grad
    return w


RUNS = {step.__name__: lambda n, step=step: run_functional(step, n) for step in FUNCTIONAL}
RUNS["backward"] = run_backward
RUNS["backward, gradients recorded"] = lambda n: run_backward(n, create_graph=True)
every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


@every_run
def test_steps_leave_no_garbage(run):
    """No reference cycles: what a step made is gone when the step is over."""
    run(2)
    with no_collector():
        run(3)
        assert gc.collect() == 0


@every_run
def test_memory_stays_flat_without_the_collector(run):
    """Twenty steps end with less than one array of weights more than two steps do. (What is
    there more is Python's free list of tuples, which the collector would empty.)"""
    with no_collector():
        tracemalloc.start()
        try:
            run(2)
            before = tracemalloc.get_traced_memory()[0]
            run(20)
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert after - before < SIZE * SIZE * 8


def peak_bytes(function):
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def wide_chain(length):
    """Steps whose rules read their output: the tape of it holds `length` arrays."""

    def f(x):
        for _ in range(length):
            x = ac.tanh(x)
        return ac.sum(x)

    return f


ARRAY = 100_000 * 8
ON_TAPE, SLACK = 20, 6


def test_backward_pass_frees_as_it_goes():
    """The peak of gradient and tape together: not two arrays for each step."""
    x = np.ones(100_000)
    peak = peak_bytes(lambda: ac.grad(wide_chain(ON_TAPE))(x))
    assert ON_TAPE * ARRAY < peak < (ON_TAPE + SLACK) * ARRAY


def test_linear_steps_keep_nothing():
    """Sums, differences, reshapes: the tape holds no array at all."""

    def f(x):
        for _ in range(ON_TAPE):
            x = ac.flip(x - 1.0) + x
        return ac.sum(x)

    assert peak_bytes(lambda: ac.grad(f)(np.ones(100_000))) < SLACK * ARRAY


def test_checkpoint_keeps_only_the_arguments():
    """Four blocks of five steps: four arguments and one block's inside."""
    x = np.ones(100_000)
    block = ac.checkpoint(lambda x: ac.tanh(ac.tanh(ac.tanh(ac.tanh(ac.tanh(x))))))

    def f(x):
        for _ in range(ON_TAPE // 5):
            x = block(x)
        return ac.sum(x)

    peak = peak_bytes(lambda: ac.grad(f)(x))
    assert peak < (ON_TAPE // 5 + 5 + SLACK) * ARRAY


def test_no_grad_keeps_nothing():
    x = ac.Tensor(np.ones(100_000), requires_grad=True)

    def under_no_grad():
        with ac.no_grad():
            wide_chain(ON_TAPE)(x)

    assert peak_bytes(under_no_grad) < SLACK * ARRAY


def test_inputs_no_rule_reads_are_freed_at_once():
    """add reads nothing, so that its operands go when the last name of them does."""
    x = ac.Tensor(np.ones(3), requires_grad=True)
    middle = x * 2.0
    array = weakref.ref(middle.data)
    total = middle + 1.0
    del middle
    assert array() is None
    total.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0, 2.0])


def test_the_tape_is_freed_with_its_result():
    x = ac.Tensor(np.ones(3), requires_grad=True)
    y = ac.sum(ac.exp(x))
    nodes = [weakref.ref(y.mark), weakref.ref(y.mark.parents[0])]
    with no_collector():
        del y
        assert [node() for node in nodes] == [None, None]


def test_a_pull_can_be_called_again():
    """vjp keeps its tape: the second pull gives what the first gave."""
    _, pull = ac.vjp(lambda x: ac.exp(x) * x, np.arange(3.0))
    first, second = pull(np.ones(3))[0], pull(np.ones(3))[0]
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def walks(monkeypatch):
    """The numbers of nodes that backward walks visit."""
    lengths = []
    original = reverse.oldest_first

    def counted(ends):
        order = original(ends)
        lengths.append(len(order))
        return order

    monkeypatch.setattr(reverse, "oldest_first", counted)
    return lengths


def test_a_walk_visits_what_its_result_was_computed_from_and_no_more(walks):
    """A slice of a long history costs what the slice costs: training loops that keep one running
    value would otherwise slow down with every step."""
    x = ac.Tensor(1.0, requires_grad=True)
    history = x
    for _ in range(1000):
        history = history * 1.5
    branch = ac.sin(x * 2.0)
    branch.backward()
    assert walks == [3]  # sin, multiply, and x


def test_a_walk_visits_each_node_once(walks):
    x = ac.Tensor(1.0, requires_grad=True)
    for _ in range(50):
        x = x * x  # 2⁵⁰ paths
    x.backward()
    assert walks == [51]


def test_steps_of_training_cost_the_same(walks):
    run_backward(6)
    assert len(walks) == 6
    assert len(set(walks)) == 1
