"""Whole training steps as CUDA kernels: compiled by NVRTC, and run on the CPU by a host compiler,
give what the engine gives."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn
from autograd_core.capture.graph import Variable
from autograd_core.capture.lowering.cuda_program import CudaProgram
from autograd_core.capture.lowering.epilogues import _may_wait
from autograd_core.capture.passes import improve
from autograd_core.capture.trace import capture
from autograd_core.tensor import aval_of
from benchmarks.engines.ours import training_step
from benchmarks.workloads import WORKLOADS, draw_parameters, draw_tasks, tiny
from kernels.gpu.host import HostDevice
from kernels.gpu.program import sources_of
from kernels.gpu.schedule import Access, Turn, needs, shared_out
from tests.capture.test_networks import Network
from tests.gpu.harness import compiles, needs_host_compiler

RNG = np.random.default_rng(0)


def program_of(f, *args):
    """The program of a function, its arguments as arrays, and what the engine gives."""
    leaves, structure = ac.tree_flatten(ac.tree_map(ac.asarray, args))
    flat = lambda *xs: ac.tree_leaves(f(*ac.tree_unflatten(structure, xs)))
    graph = capture(flat, [Variable(aval_of(x)) for x in leaves], "f").graph
    arrays = [np.ascontiguousarray(x.numpy()) for x in leaves]
    return (
        CudaProgram(graph, improve(graph), HostDevice()),
        arrays,
        [y.numpy() for y in flat(*leaves)],
    )


def agree(program, arrays, expected, bound=1e-12):
    """All results within a bound of the largest entry of any of them."""
    for _ in range(3):  # launched, captured and replayed
        got = program(arrays)
        scale = max(float(np.abs(y).max(initial=0)) for y in expected)
        for x, y in zip(got, expected, strict=True):
            assert x.shape == y.shape and x.dtype == y.dtype
            np.testing.assert_allclose(x, y, rtol=1e3 * bound, atol=bound * max(scale, 1.0))


def step_of(name, dtype):
    """A workload's training step and its arguments, small."""
    workload = replace(tiny(WORKLOADS[name]), dtype=dtype)
    if name == "mini_5w1s":
        workload = replace(workload, image=20)
    parameters = ac.tree_map(ac.asarray, draw_parameters(workload))
    zeros = ac.tree_map(ac.zeros_like, parameters)
    state = (parameters, zeros, zeros, ac.asarray(np.ones((), dtype)))
    # Adam divides what is nothing but rounding errors by its size: gradients and the loss are told.
    step = training_step(workload)
    return lambda *given: step(*given)[:2], (state, draw_tasks(workload))


@needs_host_compiler
@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_workloads(name):
    f, args = step_of(name, "float64")
    program, arrays, expected = program_of(f, *args)
    assert program.plan.is_native
    agree(program, arrays, expected)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_nvrtc_takes_the_kernels_of_workloads(name):
    f, args = step_of(name, "float32")
    leaves, structure = ac.tree_flatten(ac.tree_map(ac.asarray, args))
    flat = lambda *xs: ac.tree_leaves(f(*ac.tree_unflatten(structure, xs)))
    graph = capture(flat, [Variable(aval_of(x)) for x in leaves], "f").graph
    sources = []

    class Compiler(HostDevice):
        def module(self, given):
            sources.append(given)

    program = CudaProgram(graph, improve(graph), Compiler())
    assert sources == [sources_of(program.steps)]
    compiles("\n".join(sources[0].values()))


@needs_host_compiler
@pytest.mark.parametrize("seed", range(6))
def test_random_networks(seed):
    network = Network(seed)
    params = ac.tree_map(ac.asarray, network.params)
    agree(*program_of(ac.value_and_grad(network.meta), params, *network.data()), bound=1e-10)


@needs_host_compiler
@pytest.mark.parametrize("reverse", [False, True])
def test_scans_are_launches_of_every_turn(reverse):
    w, xs = RNG.standard_normal((4, 4)), RNG.standard_normal((5, 3, 4))

    def f(w, xs):
        def body(h, x):
            h = ac.tanh(h @ w + x)
            return h, ac.sum(h, 0)

        last, sums = ac.scan(body, ac.zeros((3, 4), dtype=np.float64), xs, reverse=reverse)
        return ac.sum(last**2) + ac.sum(ac.sin(sums))

    program, arrays, expected = program_of(ac.value_and_grad(f), w, xs)
    agree(program, arrays, expected)


@needs_host_compiler
def test_labels_tables_and_what_is_left_to_the_array_library():
    x, labels = RNG.standard_normal((6, 5)), RNG.integers(0, 5, 6)
    f = lambda x, labels: nn.cross_entropy(ac.sort(x, 0), labels)
    program, arrays, expected = program_of(ac.value_and_grad(f), x, labels)
    assert not program.plan.is_native
    agree(program, arrays, expected)


@needs_host_compiler
@pytest.mark.parametrize(
    "shape,axes,launches",
    [((64, 1000), (0, 1), 2), ((9000, 3), (0,), 2), ((5, 8192), (1,), 2), ((1200, 4096), (1,), 1)],
)
def test_long_sums_are_shared_between_blocks(shape, axes, launches):
    x = RNG.standard_normal(shape)
    f = lambda x: (ac.sum(ac.sin(x), axes), ac.max(x, axes), x * 2)
    program, arrays, expected = program_of(f, x)
    assert program.launches in (launches, launches + 1)  # sum and max have a total each
    first = program.steps[0][0][0].launch
    assert first.grid[0] >= 6
    agree(program, arrays, expected)


@needs_host_compiler
def test_a_prime_number_of_terms_is_not_cut():
    program, arrays, expected = program_of(lambda x: ac.sum(x), RNG.standard_normal(9973))
    assert program.launches == 1
    agree(program, arrays, expected)


# Streams --------------------------------------------------------------------------------------


def test_needs_are_what_memory_says():
    a, b, half = (0, 0, 8), (0, 8, 16), (0, 4, 12)
    steps = [
        Access([], [a]), Access([], [b]), Access([half], [(1, 0, 4)]), Access([a], [(1, 4, 8)]),
        Access([(1, 0, 8)], [a]), Access([(2, 0, 4)], [(3, 0, 4)]),
    ]  # fmt: skip
    assert needs(steps) == [set(), set(), {0, 1}, {0}, {0, 2, 3}, set()]


@pytest.mark.parametrize("seed", range(20))
def test_streams_keep_the_order_that_memory_asks_for(seed):
    """Whatever order the streams run in, each step finds done what it needs."""
    rng = np.random.default_rng(seed)
    span = lambda: (int(rng.integers(2)), *sorted(rng.choice(12, 2, replace=False).tolist()))
    steps = [Access([span(), span()], [span()]) for _ in range(40)]
    before, done = needs(steps), []

    def run(number):
        assert before[number] <= set(done)
        done.append(number)

    turns = [
        Turn(stream, after, partial(run, number))
        for number, (stream, after) in enumerate(shared_out(before))
    ]
    HostDevice().captured(turns)()
    assert sorted(done) == list(range(40)) and done != list(range(40))


@needs_host_compiler
def test_independent_steps_are_in_streams_of_their_own():
    f = lambda x, y: (ac.sin(x) @ x, ac.cos(y) @ y, ac.tanh(x) @ y)
    program, arrays, expected = program_of(f, *RNG.standard_normal((2, 9, 9)))
    (part,) = program.plan.parts.values()
    assert len({stream for stream, _ in shared_out(needs(part.accesses()))}) >= 3
    agree(program, arrays, expected)


# Products and the loops behind them -----------------------------------------------------------

EPILOGUES = {
    "bias and relu": (lambda x, w, b, _v: nn.relu(x @ w + b), 1),
    "turned": (lambda x, w, b, _v: ac.sin((x @ w + b).T), 1),
    "two results": (lambda x, w, _b, _v: (ac.sin(x @ w), ac.cos(x @ w)), 1),
    "beside others": (lambda x, w, b, _v: ac.sin(x @ w) * b + x[:, :1], 1),
    "chained": (lambda x, w, b, v: nn.relu(nn.relu(x @ w + b) @ v), 2),
    "read twice": (lambda x, w, _b, v: (lambda y: (ac.sin(y), y @ v))(x @ w), 3),
    "a result itself": (lambda x, w, _b, _v: (lambda y: (y, ac.sin(y)))(x @ w), 2),
    "gathered": (lambda x, w, _b, _v: ac.sum(ac.sin(x @ w), 0), 2),
    "part of it": (lambda x, w, _b, _v: ac.sin((x @ w)[:, 1:]), 2),
    "a stack": (
        lambda x, w, b, _v: ac.vmap(lambda r: nn.relu(w.T @ r + b[:, None]))(x[:, :, None]),
        1,
    ),
}


@needs_host_compiler
@pytest.mark.parametrize("name", EPILOGUES)
def test_loops_are_done_where_products_are(name):
    f, launches = EPILOGUES[name]
    given = [RNG.standard_normal(shape) for shape in ((13, 7), (7, 5), (5,), (5, 4))]
    program, arrays, expected = program_of(f, *given)
    agree(program, arrays, expected)
    assert program.launches == launches


def test_a_product_does_not_wait_for_what_overwrites_its_factors():
    assert _may_wait([Access([], []), Access(["a"], []), Access([], ["a"])], 0, 2)
    assert not _may_wait([Access(["a"], []), Access([], ["a"]), Access([], [])], 0, 2)
    assert not _may_wait([Access(["a"], []), Access([], ["a"])], 0, 1)


# Results --------------------------------------------------------------------------------------


@needs_host_compiler
def test_results_that_nobody_holds_are_used_again():
    program, arrays, _ = program_of(lambda x: (x + 1.0, ac.sum(x)), RNG.standard_normal((3, 4)))
    first, second = program(arrays), program(arrays)
    places = [[y.value.ctypes.data for y in some] for some in (first, second)]
    assert all(a != b for a, b in zip(*places, strict=True))
    view = first[0].value[1:]
    before = view.copy()
    del first
    third = program(arrays)
    assert third[0].value.ctypes.data not in (places[0][0], places[1][0])  # a view holds the first
    assert third[1].value.ctypes.data == places[0][1]
    np.testing.assert_array_equal(view, before)
    del second, third, view
    found = {program(arrays)[0].value.ctypes.data for _ in range(5)}
    assert len(found) <= 2


@needs_host_compiler
def test_large_results_are_not_kept(monkeypatch):
    monkeypatch.setattr("autograd_core.capture.lowering.cuda_program._Results.SMALL", 50)
    program, arrays, _ = program_of(lambda x: (x + 1.0, ac.sum(x)), RNG.standard_normal((3, 4)))
    for _ in range(program._results.MANY):
        program(arrays)
    for arrays, _ in program._results._kept:
        assert [array is None for array in arrays] == [True, False]
