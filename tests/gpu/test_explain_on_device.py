"""What programs on a GPU say of themselves, and that one capture serves all arguments."""

import numpy as np

import autograd_core as ac
from tests.gpu.harness import needs_host_compiler

pytestmark = needs_host_compiler


def test_explanations_count_launches_and_measure_steps(cuda):
    x = ac.asarray(np.ones((16, 8), "f4"), device=cuda)
    f = ac.jit(lambda x: ac.sum(ac.sin(x @ x.T)))
    said = f.explain(x)
    assert said.launches == len(said.steps) >= 2
    assert f"{said.launches} launches" in str(said)
    assert said.product_flops == 2 * 16 * 16 * 8
    timed = f.explain(x, timed=True)
    assert timed.seconds > 0 and all(step.seconds > 0 for step in timed.steps)


def test_explanations_say_what_cannot_be_captured(cuda):
    x = ac.asarray(np.eye(3), device=cuda)
    assert "replayed at once" in str(ac.jit(ac.sin).explain(x))
    assert "one by one, beside 1 called" in str(ac.jit(lambda x: ac.inv(x) + 1).explain(x))


def test_a_program_is_captured_once_and_follows_its_arguments(cuda):
    f = ac.jit(lambda x, y: ac.sin(x) @ y + 0.5)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, 6, 6))
        got = f(ac.asarray(x, device=cuda), ac.asarray(y, device=cuda))
        assert got.device == cuda
        np.testing.assert_allclose(got.numpy(), np.sin(x) @ y + 0.5, rtol=1e-12)
    entry = next(iter(f._captured.entries.values()))
    assert entry.run._replay is not None


def test_control_flow_runs_where_its_arguments_lie(cuda):
    x = ac.asarray(np.arange(6.0), device=cuda)
    halved = lambda x: ac.while_loop(lambda c: ac.sum(c) > 1.0, lambda c: c * 0.5, x)
    chosen = lambda x: ac.cond(ac.sum(x) > 3.0, lambda x: x * 2, lambda x: x - 1, x)
    summed = lambda x: ac.scan(lambda c, v: (c + v * v, c), ac.zeros_like(x[0]), x)[0]
    for f in (halved, chosen, summed):
        expected = f(ac.asarray(np.arange(6.0))).numpy()
        for way in (f, ac.jit(f)):
            got = way(x)
            assert got.device == cuda
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
