"""What only a real GPU can show."""

from dataclasses import replace

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.primitive import REGISTRY
from autograd_core.testing.check import check_cases, draw_cases
from autograd_core.testing.registry import import_everything
from benchmarks.agreement import gradient_errors
from benchmarks.engines import prepare
from benchmarks.gpu import AGREEMENT
from benchmarks.workloads import WORKLOADS
from kernels import devices as places

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        len(ac.devices()) == 1, reason=f"needs a real GPU: {places._gpu_count()[1] or 'none'}"
    ),
]


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_workloads_agree_with_the_cpu_in_float64_and_repeat(name):
    found = []
    for _ in range(2):
        training = prepare("ours-jit", WORKLOADS[name], "cuda")
        for _ in range(3):  # launched, captured, replayed
            training.advance()
            found.append(training.gradients())
    first, again = found[:3], found[3:]
    for one, other in zip(first, again, strict=True):
        for x, y in zip(one, other, strict=True):
            assert x.tobytes() == y.tobytes()
    exact = prepare("ours", replace(WORKLOADS[name], dtype="float64"))
    exact.advance()
    assert gradient_errors(first[0], exact.gradients())["gradient_error"] <= AGREEMENT


@pytest.mark.parametrize("name", import_everything())
def test_laws_to_the_third_order(name):
    cases = [replace(case, device="cuda:0") for case in draw_cases(REGISTRY[name], 2)]
    if name != "to_device":  # jit refuses it
        check_cases(cases)


def test_programs_are_captured_as_graphs():
    f = ac.jit(lambda x: ac.sum(ac.sin(x @ x)))
    x = ac.asarray(np.ones((64, 64), "f4"), device="cuda")
    for _ in range(3):
        f(x)
    (entry,) = f._captured.entries.values()
    assert entry.run._replay is not None


def test_too_much_memory_is_told():
    x = ac.ones((2**18,), "float32", device="cuda")
    with pytest.raises(ac.DeviceMemoryError, match="--task-slice"):
        ac.sum(ac.exp(ac.reshape(x, (-1, 1)) * x))
    with pytest.raises(ac.DeviceMemoryError, match="jit of"):
        ac.jit(lambda x: ac.cumsum(ac.reshape(x, (-1, 1)) * x, 0))(x)
