"""Training, evaluation and adaptation on a GPU: the tasks, numbers and files of the CPU."""

import numpy as np
import pytest

import autograd_core as ac
from metalearn import checkpoints, cli, training
from metalearn.adapted import adapt_to
from metalearn.errors import DeviceFailure, DivergedError
from metalearn.problems import open_problem
from metalearn.tasks import NewTask
from metalearn.tasks.placing import OnDevice
from metalearn.trained import evaluate, load_trained
from metalearn.training import Trainer
from metalearn.transfer import labels_of, predicted
from tests.gpu.harness import needs_host_compiler
from tests.gpu.standin import CUDARuntimeError, OutOfMemoryError, RawKernel, ndarray
from tests.metalearn.helpers import new_run, small_config

pytestmark = needs_host_compiler
no_gpu = pytest.mark.skipif(len(ac.devices()) > 1, reason="needs what stands in for a GPU")

WAVES = dict(iterations=4, meta_batch=3, hidden=(6, 5), validate_every=2, validation_episodes=3)
GLYPHS = dict(iterations=2, meta_batch=2, filters=3, image_size=10, shots=1, queries=2,
              validate_every=2, validation_episodes=2)  # fmt: skip


def config_of(name, **more):
    return small_config(name, **{**(WAVES if name == "sinusoid" else GLYPHS), **more})


def trained(path, config):
    """The state after training, and the run."""
    run, problem = new_run(path, config)
    trainer = Trainer(run, problem)
    assert trainer.train()
    return [np.asarray(x) for x in ac.tree_leaves(trainer.state)], run


def same_bits(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.tobytes() == y.tobytes()


# Tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["glyphs", "sinusoid"])
def test_tasks_are_those_of_the_cpu(name, cuda):
    config = config_of(name)
    sampler = open_problem(config).sampler("train", 2, 3, 5)
    for ahead in (0, 3):
        placed = OnDevice(sampler, cuda, ahead)
        for iteration in (0, 1, 2, 7, 3):  # in order, or not
            got = ac.tree_leaves(placed.sample(iteration, range(3)))
            expected = ac.tree_leaves(sampler.sample(iteration, range(3)))
            for x, y in zip(got, expected, strict=True):
                assert x.device == cuda and x.dtype == y.dtype
                np.testing.assert_array_equal(x.numpy(), y)
        placed.close()


def test_turned_classes_are_those_of_the_cpu(cuda):
    problem = open_problem(config_of("glyphs"))
    sampler = problem.sampler("train", 1, 2, 0)
    sampler._turns = np.arange(4)
    got = OnDevice(sampler, cuda).sample(0, range(4))
    np.testing.assert_array_equal(got.query[0].numpy(), sampler.sample(0, range(4)).query[0])


def test_errors_of_the_sampler_thread_surface(cuda):
    class Broken:
        def draw(self, iteration, _tasks):
            if iteration == 2:
                raise ValueError("no such images")
            return iteration

        def placed(self, drawn, _device):
            return drawn

    placed = OnDevice(Broken(), cuda, 2)
    assert [placed.sample(i, range(1)) for i in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="no such images"):
        placed.sample(2, range(1))
    placed.close()


# Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sinusoid", "glyphs"])
def test_training_is_that_of_the_cpu_and_repeats(name, cuda, tmp_path):
    found, _ = trained(tmp_path / "gpu", config_of(name, device="cuda"))
    again, _ = trained(tmp_path / "again", config_of(name, device="auto"))
    expected, _ = trained(tmp_path / "cpu", config_of(name, device="cpu"))
    same_bits(found, again)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=2e-3 * max(1e-3, np.abs(y).max()))


@pytest.mark.parametrize("jit", [True, False])
def test_losses_weighted_by_the_share_of_training(jit, cuda, tmp_path):
    """MAML++, compiled and not: its weights are numbers of the host that meet the GPU's losses."""
    options = {"algorithm": "maml++", "inner_steps": 2, "jit": jit}
    settings = {"multi_step_share": "0.6", "first_order_share": "0.3"}
    found, _ = trained(
        tmp_path / "gpu", config_of("sinusoid", device="cuda", settings=settings, **options)
    )
    expected, _ = trained(
        tmp_path / "cpu", config_of("sinusoid", device="cpu", settings=settings, **options)
    )
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=2e-3 * max(1e-3, np.abs(y).max()))


def test_a_run_goes_on_where_it_stopped(cuda, tmp_path):
    config = config_of("sinusoid", device="cuda", iterations=6)
    whole, _ = trained(tmp_path / "whole", config)
    run, problem = new_run(tmp_path / "cut", config)
    asked = iter([False, False, False, True])
    assert not Trainer(run, problem).train(lambda: next(asked, True))
    resumed = Trainer(run, problem)
    assert 0 < resumed.iteration < 6
    assert resumed.train()
    same_bits([np.asarray(x) for x in ac.tree_leaves(resumed.state)], whole)
    lines = [line["loss"] for line in run.metrics.read() if "loss" in line]
    assert len(lines) == 6 and all(np.isfinite(lines))


def test_slices_add_up(cuda, tmp_path):
    whole, _ = trained(tmp_path / "whole", config_of("sinusoid", device="cuda"))
    sliced, _ = trained(tmp_path / "sliced", config_of("sinusoid", device="cuda", task_slice=2))
    for x, y in zip(sliced, whole, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=2e-3 * max(1e-3, np.abs(y).max()))


def test_checkpoints_know_of_no_device(cuda, tmp_path):
    config = config_of("sinusoid", device="cuda")
    _, run = trained(tmp_path / "run", config)
    problem, learned = open_problem(config), load_trained(run, "last")
    assert learned.device == "cpu" and learned.on(cuda).device == cuda
    scores = [
        [row["mean"] for row in evaluate(x, problem, 4, 2, 5)["scores"]]
        for x in (learned, learned.on(cuda))
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_adapting_to_images_of_ones_own(cuda, tmp_path):
    run, problem = new_run(tmp_path / "run", config_of("glyphs", iterations=1))
    assert Trainer(run, problem).train()
    learned = load_trained(run, "last")
    rng = np.random.default_rng(0)
    support = rng.random((4, 1, 10, 10), np.float32), np.array([0, 0, 1, 1])
    query = rng.random((3, 1, 10, 10), np.float32)
    task = NewTask(("a", "b"), support, query, None, tuple("stuv"), tuple("xyz"))
    here, there = (
        predicted(adapt_to(where, task.support, labels_of(task), 2, compiled=False), task)
        for where in (learned, learned.on(cuda))
    )
    for one, other in zip(here, there, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def waits(monkeypatch):
    """A list that grows with whatever the host waits for from now on."""
    seen = []

    def noted(name):
        method = getattr(ndarray, name)

        def call(self, *args):
            seen.append(name)
            return method(self, *args)

        monkeypatch.setattr(ndarray, name, call)

    for name in ("get", "item", "tolist", "__bool__", "__int__", "__float__", "__index__"):
        noted(name)
    return seen


def late_reader(tmp_path, name):
    """A trainer that does not read its losses by itself."""
    budget = {"iterations": 10**6, "validate_every": 10**6}
    trainer = Trainer(*new_run(tmp_path / "run", config_of(name, device="cuda", **budget)))
    trainer._looked = np.inf
    return trainer


@no_gpu
@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("name", ["sinusoid", "glyphs"])
def test_a_meta_update_waits_for_nothing(name, tmp_path, monkeypatch):
    trainer = late_reader(tmp_path, name)
    trainer._advance()  # which compiles
    with monkeypatch.context() as patch:
        seen = waits(patch)
        for _ in range(3):
            trainer._advance()
        assert seen == [] and trainer.iteration == 4
        trainer.save()
        assert seen  # or nothing was noted at all


@pytest.mark.usefixtures("cuda")
def test_parameters_that_are_not_finite_name_the_iterations(tmp_path):
    trainer = late_reader(tmp_path, "sinusoid")
    trainer._advance()
    trainer._advance()
    poisoned = ac.tree_map(lambda x: x * np.nan, trainer.state.params)
    trainer.state = trainer.state._replace(params=poisoned)
    with pytest.raises(DivergedError, match="iterations 1 to 2: a parameter is not finite"):
        trainer.save()


def test_divergence_names_the_iteration(cuda, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_LOOKS", 1e9)
    run, problem = new_run(tmp_path / "run", config_of("sinusoid", device="cuda", iterations=40,
                                                       validate_every=40))  # fmt: skip
    trainer = Trainer(run, problem)
    step, taken = trainer.step, []

    def poisoned(state, tasks, *rate_and_progress):
        taken.append(1)
        state, loss, *rest = step(state, tasks, *rate_and_progress)
        return state, loss * (np.nan if len(taken) == 3 else 1), *rest

    trainer._steps[trainer.algorithm] = poisoned
    with pytest.raises(DivergedError, match="iteration 3: the loss is nan"):
        trainer.train()
    assert checkpoints.read(run.last)[1]["iteration"] == 0


# Failures -------------------------------------------------------------------------------------


def failing(monkeypatch, error, after):
    """Kernels fail from some launch on."""
    launch, count = RawKernel.__call__, [0]

    def call(self, *args, **kwargs):
        count[0] += 1
        if count[0] > after:
            raise error
        return launch(self, *args, **kwargs)

    monkeypatch.setattr(RawKernel, "__call__", call)


@no_gpu
@pytest.mark.parametrize(
    "error,said",
    [
        (OutOfMemoryError("Out of memory allocating 512 bytes"), "--task-slice"),
        (CUDARuntimeError(999, "cudaErrorDevicesUnavailable"), "failed (cudaErrorDevices"),
    ],
)
def test_failures_leave_a_run_that_can_go_on(error, said, cuda, tmp_path, monkeypatch):
    config = config_of("sinusoid", device="cuda", iterations=5)
    whole, _ = trained(tmp_path / "whole", config)
    run, problem = new_run(tmp_path / "run", config)
    with monkeypatch.context() as patch:
        trainer = Trainer(run, problem)
        step, taken = trainer.step, []

        def third_fails(*args):
            taken.append(1)
            if len(taken) == 3:
                failing(patch, error, 0)
                ac.jit(lambda x: x * 2)(ac.ones(3, device=cuda))
            return step(*args)

        trainer._steps[trainer.algorithm] = third_fails
        with pytest.raises(DeviceFailure) as raised:
            trainer.train()
    message = str(raised.value)
    assert said in message and "saved as of iteration 2" in message and "--resume" in message
    resumed = Trainer(run, problem)
    assert resumed.iteration == 2 and resumed.train()
    same_bits([np.asarray(x) for x in ac.tree_leaves(resumed.state)], whole)


@no_gpu
def test_too_little_memory_names_the_step_and_its_buffers(cuda, monkeypatch):
    x = ac.ones((64, 64), device=cuda)
    f = ac.jit(lambda x: ac.sum(ac.sin(x @ x) @ x))
    f(x)
    failing(monkeypatch, OutOfMemoryError("Out of memory allocating 9 bytes"), 0)
    g = ac.jit(lambda x: ac.sum(ac.cos(x @ x) @ x))
    with pytest.raises(ac.DeviceMemoryError) as raised:
        g(x)
    message = str(raised.value)
    for part in ("jit of <lambda>", "cuda:0", "step ", "MB", "checkpoint()", "--meta-batch"):
        assert part in message


# The command line -----------------------------------------------------------------------------


def test_commands(cuda, tmp_path, capsys):
    out = str(tmp_path / "run")
    train = ["train", "sinusoid", "--iterations", "2", "--meta-batch", "2", "--hidden", "5",
             "--validation-episodes", "2", "--eval-steps", "1", "--out", out]  # fmt: skip
    assert cli.run([*train, "--device", "cuda", "--task-slice", "1"]) == 0
    assert "computing on cuda:0" in capsys.readouterr().out
    for device in ("cpu", "cuda", "auto"):
        assert cli.run(["evaluate", out, "--episodes", "2", "--device", device]) == 0
    assert cli.run(["train", "--resume", out, "--iterations", "3", "--device", "cpu"]) == 0
    assert cli.run(["train", "--resume", out, "--iterations", "4", "--device", "cuda:7"]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith('metalearn: --device cuda:7: device "cuda:7": there are 1 GPUs')
