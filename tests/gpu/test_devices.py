"""Tensors on devices: how they get there, what they say, and what goes wrong."""

import copy
import pickle

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import fetching, nn, random
from autograd_core.capture.arguments import Call
from kernels import devices as places
from kernels.dispatch import KERNELS
from kernels.gpu.launch import ALIGNMENT
from tests.gpu.harness import needs_host_compiler
from tests.gpu.standin import CUDARuntimeError, OutOfMemoryError, cupy, ndarray

X = np.arange(6.0).reshape(2, 3)


# Without a GPU --------------------------------------------------------------------------------

no_gpu = pytest.mark.skipif(len(ac.devices()) > 1, reason="there is a GPU here")


def test_the_cpu_is_always_there():
    assert ac.devices()[0] == "cpu"
    x = ac.asarray(X)
    assert x.device == "cpu" and x.to_device("cpu").device == "cpu"
    assert ac.zeros((2,), device="cpu").device == "cpu"


@no_gpu
@pytest.mark.parametrize(
    "ask",
    [
        lambda d: ac.asarray(X).to_device(d),
        lambda d: ac.asarray(X, device=d),
        lambda d: ac.zeros((2,), device=d),
        lambda d: random.key(0, device=d),
    ],
)
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_asking_for_a_gpu_that_is_not_there_gives_one_clear_line(ask, device):
    with pytest.raises(ac.DeviceError) as raised:
        ask(device)
    message = str(raised.value)
    assert "\n" not in message and device in message and '"cpu"' in message


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "CPU", "cuda:", "cuda:-1", 0, None])
def test_what_is_no_device(device):
    with pytest.raises(ValueError, match='expected "cpu", "cuda"'):
        ac.asarray(X).to_device(device)


def reason(monkeypatch, status, driver=13020):
    """Why there is no GPU, for what the runtime says."""

    def count():
        raise CUDARuntimeError(status, "cudaErrorSomething")

    runtime = cupy.cuda.runtime
    monkeypatch.setattr(runtime, "getDeviceCount", count)
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: driver)
    places._gpu_count.cache_clear()
    try:
        return places._gpu_count()[1]
    finally:
        places._gpu_count.cache_clear()


def test_reasons_for_which_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(places, "cupy", lambda: cupy)
    assert "no NVIDIA GPU or driver was found" in reason(monkeypatch, places.NO_DEVICE)
    assert "no NVIDIA GPU or driver" in reason(monkeypatch, places.INSUFFICIENT_DRIVER, 0)
    old = reason(monkeypatch, places.INSUFFICIENT_DRIVER, 12040)
    assert "driver is for CUDA 12.4" in old and "13.2" in old and "gpu12" in old
    assert "cannot be used (cudaErrorSomething)" in reason(monkeypatch, 999)


def test_without_cupy(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(places.importlib, "import_module", missing)
    places._gpu_count.cache_clear()
    try:
        with pytest.raises(ac.DeviceError, match=r"pip install 'metagrad\[gpu\]'"):
            ac.asarray(X).to_device("cuda")
        assert ac.devices() == ["cpu"]
    finally:
        places._gpu_count.cache_clear()


# With one -------------------------------------------------------------------------------------


@needs_host_compiler
def test_there_and_back(cuda):
    assert ac.devices() == ["cpu", cuda]
    x = ac.asarray(X)
    y = x.to_device("cuda")
    assert (x.device, y.device) == ("cpu", cuda)
    assert y.to_device(cuda).value is y.value
    np.testing.assert_array_equal(y.numpy(), X)
    np.testing.assert_array_equal(np.asarray(y), X)
    np.testing.assert_array_equal(y.to_device("cpu").numpy(), X)
    assert y.tolist() == X.tolist() and y[1, 2].item() == 5.0 and float(y[0, 1]) == 1.0
    assert not y.numpy().flags.writeable
    assert repr(y).endswith(f"dtype=float64, device={cuda})") and "device" not in repr(x)
    with pytest.raises(ac.DeviceError, match="there are 1 GPUs"):
        x.to_device("cuda:1")


@needs_host_compiler
def test_copies_of_tensors_lie_on_the_cpu_when_unpickled(cuda):
    x = ac.asarray(X, device=cuda)
    for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert again.device == "cpu"
        np.testing.assert_array_equal(again.numpy(), X)


@needs_host_compiler
def test_what_is_made_there(cuda):
    made = [
        ac.zeros((2,), device=cuda), ac.ones((2,), device=cuda), ac.full((2,), 3.0, device=cuda),
        ac.arange(3, device=cuda), ac.eye(2, device=cuda), ac.linspace(0, 1, 5, device=cuda),
        ac.zeros_like(ac.ones((2,), device=cuda)), random.key(0, device=cuda),
        ac.Tensor(ac.asarray(X, device=cuda)), ac.asarray([[1, 2], [3, 4]], device=cuda),
        ac.asarray(ac.asarray(X, device=cuda).data),
    ]  # fmt: skip
    assert {x.device for x in made} == {cuda}
    np.testing.assert_array_equal(made[5].numpy(), np.linspace(0, 1, 5))


@needs_host_compiler
def test_a_copy_is_nobody_elses(cuda):
    raw = ac.asarray(X, device=cuda).data
    x = ac.Tensor(raw)
    raw[0, 0] = 7.0
    assert x[0, 0].item() == 0.0


@needs_host_compiler
def test_derivatives_flow_between_devices(cuda):
    f = lambda x: ac.sum(ac.sin(x.to_device(cuda)) * 2).to_device("cpu")
    for way in (ac.grad(f), ac.jacrev(f), ac.jacfwd(f)):
        found = way(ac.asarray(X))
        assert found.device == "cpu"
        np.testing.assert_allclose(found.numpy(), 2 * np.cos(X))
    mapped = ac.vmap(ac.grad(f))(ac.asarray(X))
    np.testing.assert_allclose(mapped.numpy(), 2 * np.cos(X))
    x = ac.Tensor(X, requires_grad=True)
    f(x).backward()
    assert x.grad.device == "cpu"
    y = ac.Tensor(ac.asarray(X, device=cuda), requires_grad=True)
    ac.sum(y * y).backward()
    assert y.grad.device == cuda
    np.testing.assert_allclose(y.grad.numpy(), 2 * X)


@needs_host_compiler
def test_what_nobody_placed_goes_along(cuda):
    x = ac.asarray(X, device=cuda)
    for y in (x + X, X * x, x * 2.0, 2 - x, ac.add(x, [1.0, 2.0, 3.0]), x * np.float64(2),
              x + ac.asarray(1.0), ac.where(X > 2, x, 0.0), ac.concatenate([x, X]), x[X[:, 0] > 1],
              x[np.array([0, 1, 1])], ac.take(x, [0], 1), ac.matmul(x, X.T)):  # fmt: skip
        assert y.device == cuda
    np.testing.assert_allclose((x + X).numpy(), 2 * X)
    g = ac.grad(lambda x: ac.sum(x * X))(x)
    assert g.device == cuda
    unused = ac.grad(lambda x, y: ac.sum(x) + 0 * ac.sum(ac.stop_gradient(y)), argnums=1)(x, x)
    assert unused.device == cuda


@needs_host_compiler
@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x + y, lambda x, y: y * x, ac.matmul, lambda x, y: ac.concatenate([x, y]),
        lambda x, y: ac.where(y > 1, x, y), lambda x, y: ac.jit(lambda x, y: x + y)(x, y),
        lambda x, y: ac.jit(lambda x: x + y)(x),
    ],
)  # fmt: skip
def test_tensors_that_meet_on_different_devices(f, cuda):
    here, there = ac.asarray(np.eye(3)), ac.asarray(np.eye(3), device=cuda)
    with pytest.raises(ac.DeviceError, match=r"different devices.*\.to_device") as raised:
        f(there, here)
    assert "cpu" in str(raised.value) and cuda in str(raised.value)


@needs_host_compiler
def test_programs_copy_what_kernels_cannot_read(cuda):
    """What has gaps, or begins at no multiple of 16 bytes: arguments, and what is read from
    outside."""
    there = ac.asarray(np.arange(40.0).reshape(8, 5), device=cuda)
    outside = there[1][2:]
    assert outside.data.data.ptr % ALIGNMENT
    step = ac.jit(lambda x: ac.sin(x) + outside[0])
    for x in (there[1:], there[:, 1:], there[2][1:], there.T, there[2:], there[1][:0], there):
        for _ in range(3):  # launched, captured and replayed
            np.testing.assert_array_equal(step(x).numpy(), np.sin(x.numpy()) + 7)
        program = step._entry(Call(step._options, (x,), {})).run
        given, addresses = program._given([x, outside])
        assert addresses == [array.data.ptr for array in given]
        assert all(address % ALIGNMENT == 0 for address in addresses)
        assert all(array.flags.c_contiguous for array in given)
    assert given[0] is there.data


@needs_host_compiler
def test_ordinary_errors_stay_what_they_are(cuda):
    x = ac.asarray(X, device=cuda)
    with pytest.raises(ac.ShapeError, match=r"float64\[2,3\]"):
        x + ac.asarray(np.ones((4, 5)), device=cuda)
    with pytest.raises(IndexError, match="out of bounds"):
        ac.take_along_axis(x, np.array([[0, 9, 0]]), 0)
    with pytest.raises(ac.AutogradError):
        ac.jit(lambda x: x.to_device("cpu"))(x)


@no_gpu
@pytest.mark.parametrize(
    "fetch",
    [np.asarray, repr, pickle.dumps, copy.copy, ac.Tensor.tolist, lambda x: x.to_device("cpu"),
     lambda x: x[0, 0].item(), lambda x: float(x[0, 0]), lambda x: int(x[0, 0]),
     lambda x: bool(x[0, 0]), lambda x: [1, 2][ac.argmax(x[0]) - 1]],
)  # fmt: skip
def test_a_gpu_that_failed_is_named_where_values_are_asked_for(fetch, cuda, monkeypatch):
    x = ac.asarray(X, device=cuda)

    def gone(*_):
        raise CUDARuntimeError(700, "cudaErrorIllegalAddress")

    monkeypatch.setattr(ndarray, "get", gone)
    with pytest.raises(ac.DeviceError, match=r"cuda:0 failed \(cudaErrorIllegalAddress"):
        fetch(x)


@no_gpu
@pytest.mark.parametrize(
    "error,expected,said",
    [
        (CUDARuntimeError(700, "cudaErrorIllegalAddress"), ac.DeviceError, "failed (cudaErrorIl"),
        (OutOfMemoryError("Out of memory allocating 8 bytes"), ac.DeviceMemoryError, "Out of mem"),
    ],
)
def test_a_gpu_that_fails_to_take_values_is_named(error, expected, said, cuda, monkeypatch):
    x = ac.asarray(X, device=cuda)

    def fail(*_, **__):
        raise error

    for name in ("array", "asarray", "full", "zeros"):
        monkeypatch.setattr(cupy, name, fail)
    for ask in (
        lambda: ac.asarray(X, device=cuda),
        lambda: ac.asarray(X).to_device(cuda),
        lambda: ac.zeros((3,), device=cuda),
        lambda: random.key(0, device=cuda),
        lambda: ac.zeros_like(x),
        lambda: x + X,
    ):
        with pytest.raises(expected) as raised:
            ask()
        assert said in str(raised.value)


@needs_host_compiler
@pytest.mark.parametrize("fetch", [np.asarray, lambda x: x.to_device("cpu"), repr])
def test_programs_tell_of_integers_out_of_bounds_when_values_are_fetched(fetch, cuda):
    losses = ac.jit(lambda x, a, b: (x + 1, nn.cross_entropy(x, a), nn.cross_entropy(-x, b)))
    x = ac.asarray(X, device=cuda)
    given = [ac.asarray(np.array(a), device=cuda) for a in ([0, 1], [-1, 1], [0, 3])]
    right, low, high = given
    fetch(losses(x, right, right)[0])
    for wrong, said in [((low, right), "-1"), ((right, high), "3"), ((right, low), "-1")]:
        losses(x, *wrong)
        found, *_ = losses(x, right, right)
        with pytest.raises(IndexError, match=f"cross_entropy: .*{said}"):
            fetch(found)
        assert np.array_equal(found.numpy(), X + 1)  # it is told once


@needs_host_compiler
def test_integers_of_many_calls_are_looked_at_before_values_are_fetched(cuda, monkeypatch):
    monkeypatch.setattr(fetching, "MOST_UNSEEN", 5)
    loss = ac.jit(nn.cross_entropy)
    x = ac.asarray(X, device=cuda)
    right, wrong = (ac.asarray(np.array(a), device=cuda) for a in ([0, 1], [-3, 0]))
    loss(x, wrong)
    for _ in range(3):
        loss(x, right)
    with pytest.raises(IndexError, match="-3"):
        loss(x, right)
    assert np.isfinite(loss(x, right).numpy())


@no_gpu
@needs_host_compiler
def test_too_little_memory_names_the_operation(cuda, monkeypatch):
    def full(*_, **__):
        raise OutOfMemoryError("Out of memory allocating 800 bytes")

    x = ac.asarray(X, device=cuda)
    monkeypatch.setattr(cupy, "exp", full)
    with pytest.raises(ac.DeviceMemoryError, match=r"exp\(float64\[2,3\]\).*Out of memory") as e:
        ac.exp(x)
    assert "--task-slice" in str(e.value) and isinstance(e.value, MemoryError)


@needs_host_compiler
def test_every_kernel_has_one_for_the_gpu(cuda):
    x = ac.asarray(X, device=cuda)
    ac.exp(x @ x.T).numpy()  # loads them
    array_type = type(x.data)
    assert [n for n, k in KERNELS.items() if array_type not in k._implementations] == []


@needs_host_compiler
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (33, 65), (257, 31), (3, 1000)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "f2"])
def test_gather_and_scatter_around_the_sizes_of_blocks(shape, dtype, cuda):
    rng = np.random.default_rng(0)
    rows = shape[0]
    x = rng.integers(-9, 9, shape).astype(dtype)
    index = rng.integers(-max(rows, 1), max(rows, 1), 70 if rows else 0)
    each = rng.integers(0, max(rows, 1), (5 if rows else 0, shape[1]))
    for f in (
        lambda x: ac.take(x, index, 0),
        lambda x: ac.take_along_axis(x, each, 0),
        lambda x: ac.zeros_like(x).at[index].add(ac.take(x, index, 0)),
        lambda x: x.at[index].set(ac.take(x, index, 0) * 0 + 2),
        lambda x: ac.sum(x, 0),
        lambda x: ac.sort(x, -1),
    ):
        got, expected = f(ac.asarray(x, device=cuda)), f(ac.asarray(x))
        assert got.device == cuda and got.dtype == expected.dtype
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-6)


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4", "f2", "c8", "u1"])
def test_scatter_by_atomics(dtype, cuda, monkeypatch):
    """The same sums; dtypes that CUDA cannot add at once are sorted as ever."""
    monkeypatch.setenv("METAGRAD_ATOMICS", "1")
    rng = np.random.default_rng(0)
    x, index = rng.integers(0, 9, (300, 7)).astype(dtype), rng.integers(-5, 5, 300)
    add = lambda x: ac.zeros_like(x)[:5].at[index].add(x)
    got, expected = add(ac.asarray(x, device=cuda)), add(ac.asarray(x))
    np.testing.assert_array_equal(got.numpy(), expected.numpy())
    with pytest.raises(IndexError, match="out of bounds"):
        ac.zeros_like(got).at[np.array([5])].add(got[:1])
