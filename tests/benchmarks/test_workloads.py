"""The workloads: shapes, what was drawn, and the count of operations behind the floor."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.floor import Product, blas_rate, meta_step_flops, products
from benchmarks.workloads import WORKLOADS, draw_parameters, draw_tasks, tiny

EXAMPLES = {
    "sine_1step": (1,),
    "sine_5step": (1,),
    "omni_mlp": (784,),
    "omni_5w1s": (1, 28, 28),
    "mini_5w1s": (3, 84, 84),
}
WEIGHTS = {
    "sine_1step": [(1, 40), (40, 40), (40, 1)],
    "sine_5step": [(1, 40), (40, 40), (40, 1)],
    "omni_mlp": [(784, 256), (256, 128), (128, 64), (64, 64), (64, 5)],
    "omni_5w1s": [(64, 1, 3, 3), *[(64, 64, 3, 3)] * 3, (64, 5)],
    "mini_5w1s": [(32, 3, 3, 3), *[(32, 32, 3, 3)] * 3, (800, 5)],
}
# Sums of the absolute values drawn: support inputs, query inputs, all parameters.
FINGERPRINTS = {
    "sine_1step": (653.921365, 593.899256, 335.352996),
    "sine_5step": (653.921365, 593.899256, 335.352996),
    "omni_mlp": (32641, 490655, 11821.4371),
    "omni_5w1s": (32641, 490655, 5679.36418),
    "mini_5w1s": (110613, 1653130, 2244.56052),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_tasks_have_the_stated_shapes_and_dtypes(name):
    workload = WORKLOADS[name]
    xs, ys, xq, yq = draw_tasks(workload)
    assert xs.shape == (workload.tasks, workload.support, *EXAMPLES[name])
    assert xq.shape == (workload.tasks, workload.query, *EXAMPLES[name])
    target = (1,) if workload.is_regression else ()
    assert ys.shape == (workload.tasks, workload.support, *target)
    assert yq.shape == (workload.tasks, workload.query, *target)
    assert {xs.dtype, xq.dtype} == {np.dtype("f4")}
    assert {ys.dtype, yq.dtype} == {np.dtype("f4" if workload.is_regression else "i8")}


@pytest.mark.parametrize("name", WORKLOADS)
def test_parameters_have_the_stated_shapes(name):
    layers = draw_parameters(WORKLOADS[name])
    assert [layer[0].shape for layer in layers] == WEIGHTS[name]
    for weight, *others in layers:
        width = weight.shape[0] if weight.ndim == 4 else weight.shape[1]
        assert [a.shape for a in others] == [(width,)] * (3 if weight.ndim == 4 else 1)
        assert all(a.dtype == np.float32 for a in (weight, *others))


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_numbers_drawn_are_those_of_earlier_results(name):
    xs, _, xq, _ = draw_tasks(WORKLOADS[name])
    leaves = [leaf for layer in draw_parameters(WORKLOADS[name]) for leaf in layer]
    found = [float(np.abs(a.astype(np.float64)).sum()) for a in (xs, xq)]
    found.append(sum(float(np.abs(a.astype(np.float64)).sum()) for a in leaves))
    np.testing.assert_allclose(found, FINGERPRINTS[name], rtol=1e-6)


def test_labels_are_balanced_and_examples_lie_near_their_class():
    xs, ys, xq, yq = draw_tasks(WORKLOADS["omni_mlp"])
    assert [np.bincount(y).tolist() for y in (ys[0], yq[0])] == [[1] * 5, [15] * 5]
    distances = np.abs(xq[0][:, None] - xs[0][None]).sum(-1)
    assert (distances.argmin(1) == yq[0]).all()


def test_tiny_workloads_keep_their_kind():
    for workload in map(tiny, WORKLOADS.values()):
        original = WORKLOADS[workload.name]
        assert workload.model == original.model
        assert workload.example == original.example
        assert draw_tasks(workload)[0].shape[0] == workload.tasks < original.tasks


def test_flops_of_a_step_by_hand():
    # Layers 1-40-40-1 take 40, 1600 and 40 multiply-adds an example, the first of them on data.
    # A task has 10 support examples, differentiated twice, and 10 query examples, once.
    multiply_adds = 10 * (4 * 40 + 9 * 1640) + 10 * (2 * 40 + 3 * 1640)
    assert meta_step_flops(WORKLOADS["sine_1step"]) == 2 * 25 * multiply_adds
    assert products(WORKLOADS["omni_5w1s"])[1] == Product(9 * 64 * 64 * 7 * 7, of_data=False)
    assert products(WORKLOADS["mini_5w1s"])[1] == Product(9 * 32 * 32 * 42 * 42, of_data=False)


@pytest.mark.parametrize("name", ["sine_5step", "omni_mlp", "mini_5w1s"])
def test_flops_of_a_step_are_those_that_pytorch_counts(name):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.engines import prepare

    torch.set_num_threads(1)
    workload = tiny(WORKLOADS[name])
    training = prepare("torch-loop", workload)
    with FlopCounterMode(display=False) as counter:
        training.advance()
    # The second derivative of its convolutions includes the unused gradient of the pictures.
    unused = workload.model == "conv" and products(workload)[0].multiply_adds
    unused *= 2 * workload.tasks * workload.steps * workload.support
    assert counter.get_total_flops() == meta_step_flops(workload) + unused


def test_the_speed_of_blas_is_positive():
    assert blas_rate(sizes=(16,), seconds=0.001) > 0
