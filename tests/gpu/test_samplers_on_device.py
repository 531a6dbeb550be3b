"""Every sampler's tasks on a device: those of the CPU, to the last bit."""

import numpy as np
import pytest

import autograd_core as ac
from metalearn.measures import padded_accuracy, padded_cross_entropy
from metalearn.tasks import OnDevice
from tests.gpu.harness import needs_host_compiler
from tests.tasks.test_samplers import CASES

pytestmark = needs_host_compiler


@pytest.mark.parametrize("name", CASES)
def test_tasks_are_those_of_the_cpu(name, cuda):
    sampler = CASES[name].make(0, "train")
    placed = OnDevice(sampler, cuda, 2)
    for iteration in (0, 1, 5):
        got = ac.tree_leaves(placed.sample(iteration, range(3)))
        expected = ac.tree_leaves(sampler.sample(iteration, range(3)))
        for x, y in zip(got, expected, strict=True):
            assert x.device == cuda and x.dtype == y.dtype
            np.testing.assert_array_equal(x.numpy(), y)
    placed.close()


def test_padded_measures(cuda):
    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    labels = np.array([0, 2, 2, 0, -1, -1])
    for measure in (padded_cross_entropy, padded_accuracy):
        expected = float(measure(ac.asarray(logits), ac.asarray(labels)))
        got = measure(ac.asarray(logits, device=cuda), ac.asarray(labels, device=cuda))
        assert got.device == cuda
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
