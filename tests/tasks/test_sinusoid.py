"""Sinusoid regression: the MAML paper's ranges and its formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metalearn.tasks import SinusoidSampler

from .helpers import raises_data_error


def test_targets_are_the_sine_of_the_inputs():
    sampler = SinusoidSampler(shots=5, queries=10, seed=0)
    task = sampler.sample(4, range(50))
    amplitude, phase = (w[:, None, None] for w in sampler.waves(4, range(50)))
    for (x, y), k in ((task.support, 5), (task.query, 10)):
        assert x.shape == y.shape == (50, k, 1)
        assert x.dtype == y.dtype == np.float32
        # float32 has 2⁻²⁴ relative rounding: of x before the sine, and of y up to 5.
        np.testing.assert_allclose(y, amplitude * np.sin(x - phase), rtol=0, atol=5 * 2**-21)


def test_amplitude_phase_and_inputs_fill_their_ranges():
    sampler = SinusoidSampler(shots=5, queries=5, seed=0)
    amplitude, phase = sampler.waves(0, range(20_000))
    x = sampler.sample(0, range(20_000)).query[0]
    for values, low, high in ((amplitude, 0.1, 5.0), (phase, 0.0, np.pi), (x, -5.0, 5.0)):
        width = high - low
        assert values.min() >= low and values.max() <= high
        assert values.min() < low + 0.001 * width and values.max() > high - 0.001 * width
        # A uniform number has the standard deviation width / √12.
        assert abs(values.mean() - (low + high) / 2) < 5 * width / np.sqrt(12 * 20_000)


@given(tasks=st.lists(st.integers(0, 2**63), min_size=1, max_size=6), cut=st.integers(0, 6))
def test_a_task_is_the_same_however_tasks_are_chunked(tasks, cut):
    whole = SinusoidSampler(3, 4, seed=1).sample(9, tasks)
    parts = [SinusoidSampler(3, 4, seed=1).sample(9, chunk) for chunk in (tasks[:cut], tasks[cut:])]
    for name in ("support", "query"):
        for k in range(2):
            joined = np.concatenate([getattr(part, name)[k] for part in parts])
            np.testing.assert_array_equal(getattr(whole, name)[k], joined)


def test_the_tasks_may_be_an_iterator():
    sampler = SinusoidSampler(3, 4, seed=1)
    np.testing.assert_array_equal(
        sampler.sample(0, iter([2, 3])).support[1], sampler.sample(0, [2, 3]).support[1]
    )


@pytest.mark.parametrize(("shots", "queries"), [(0, 5), (5, 0)])
def test_nothing_to_draw_is_refused(shots, queries):
    with raises_data_error(f"shots={shots}", f"queries={queries}", "at least 1"):
        SinusoidSampler(shots, queries, seed=0)
