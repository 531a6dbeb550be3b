"""DLPack both ways: with NumPy, PyTorch, JAX and (a stand-in of) CuPy, and never a copy."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import Tensor
from tests.gpu.standin import in_place_of_cupy

DTYPES = [np.bool_, np.int8, np.uint8, np.int32, np.int64, np.float16, np.float32, np.float64]
ARRAYS = {
    "vector": np.arange(5),
    "number": np.array(3),
    "empty": np.zeros((0, 3)),
    "matrix": np.arange(6).reshape(2, 3),
    "transposed": np.arange(6).reshape(2, 3).T,
    "strided": np.arange(24).reshape(4, 6)[::2, 1::2],
}


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="the other side")


@pytest.fixture
def jnp() -> Any:
    return pytest.importorskip("jax.numpy", reason="the other side")


def address(x: Any) -> int:
    return x.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", ARRAYS)
def test_with_numpy(name: str, dtype: Any) -> None:
    array = ARRAYS[name].astype(dtype)
    tensor = ac.asarray(array)
    out = np.from_dlpack(tensor)
    np.testing.assert_array_equal(out, array, strict=True)
    assert address(out) == address(array)
    assert not out.flags.writeable  # so that nobody falsifies the tensor
    back = ac.from_dlpack(array)
    np.testing.assert_array_equal(back.numpy(), array, strict=True)
    assert address(back.data) == address(array)
    assert tensor.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("name", ARRAYS)
def test_with_torch(name: str, dtype: Any, torch: Any) -> None:
    array = ARRAYS[name].astype(dtype)
    out = torch.from_dlpack(ac.asarray(array))
    np.testing.assert_array_equal(out.numpy(), array, strict=True)
    theirs = torch.asarray(array.copy()).mT if array.ndim == 2 else torch.asarray(array.copy())
    back = ac.from_dlpack(theirs)
    np.testing.assert_array_equal(back.numpy(), theirs.numpy(), strict=True)
    if array.size:
        assert out.data_ptr() == address(array)
        assert address(back.data) == theirs.data_ptr()


@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.float16, np.float32])
@pytest.mark.parametrize("name", ["vector", "number", "matrix"])
def test_with_jax(name: str, dtype: Any, jnp: Any) -> None:
    array = aligned(ARRAYS[name].astype(dtype))
    out = jnp.from_dlpack(ac.asarray(array))
    np.testing.assert_array_equal(np.asarray(out), array, strict=True)
    assert out.unsafe_buffer_pointer() == address(array)
    back = ac.from_dlpack(out)
    np.testing.assert_array_equal(back.numpy(), array, strict=True)
    assert address(back.data) == address(array)


def aligned(array: np.ndarray) -> np.ndarray:
    """The same array on a multiple of 64 bytes: others XLA copies."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    out = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def test_what_is_read_only_is_copied_for_those_who_cannot_be_told(jnp: Any) -> None:
    tensor = ac.broadcast_to(ac.asarray(np.float32([1.0])), (3,))
    assert not tensor.data.flags.writeable
    assert np.asarray(jnp.from_dlpack(tensor)).tolist() == [1, 1, 1]
    with pytest.raises(BufferError, match="readonly"):
        tensor.__dlpack__(copy=False)
    assert np.from_dlpack(tensor).strides == (0,)  # who can be told gets the memory itself


def test_what_a_tensor_computes_is_shared_too(torch: Any) -> None:
    product = ac.asarray([1.0, 2.0]) * 2
    there = torch.from_dlpack(product)
    again = ac.from_dlpack(there)
    assert address(again.data) == address(product.data) == there.data_ptr()
    assert torch.from_dlpack(ac.asarray(2.0) + 1).item() == 3.0


def test_the_memory_outlives_its_maker(torch: Any) -> None:
    out = torch.from_dlpack(ac.asarray(np.full(1000, 7.0)) + 1)
    back = ac.from_dlpack(torch.full((1000,), 7.0))
    np.empty(1000)
    assert (out == 8).all() and (back.numpy() == 7).all()


def test_copies(torch: Any) -> None:
    array = np.arange(3.0)
    for out in (ac.from_dlpack(array, copy=True), ac.from_dlpack(torch.asarray(array), copy=True)):
        assert address(out.data) != address(array) and out.tolist() == [0, 1, 2]
    assert address(np.from_dlpack(ac.asarray(array), copy=True)) != address(array)
    assert address(np.from_dlpack(ac.asarray(array), copy=False)) == address(array)
    assert address(ac.from_dlpack(array, copy=False).data) == address(array)


def test_traced_tensors_are_refused(torch: Any) -> None:
    def given(library: Any) -> Any:
        return lambda x: ac.sum(ac.asarray(library(x)))

    calls = [np.from_dlpack, torch.from_dlpack, lambda x: x.__dlpack_device__()[0]]
    for library in calls:
        f = given(library)
        for transform in (ac.grad, ac.jit, lambda f: lambda x: ac.jvp(f, (x,), (x,))):
            with pytest.raises(ac.ConcreteValueError, match=r"x\.detach\(\).*custom_vjp"):
                transform(f)(np.ones(2))
        with pytest.raises(ac.ConcreteValueError, match="would lose"):
            ac.vmap(f)(np.ones((2, 2)))
        with pytest.raises(ac.ConcreteValueError, match="its derivative"):
            library(Tensor([1.0], requires_grad=True))
    assert torch.from_dlpack(Tensor([1.0], requires_grad=True).detach()).item() == 1


def test_gradients_of_torch_are_not_dropped(torch: Any) -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(BufferError, match="detach"):
        ac.from_dlpack(x)
    assert ac.from_dlpack(x.detach()).tolist() == [1, 1]


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(TypeError, match="list has no __dlpack__"):
        ac.from_dlpack([1.0])

    class Elsewhere:
        def __dlpack__(self) -> None: ...
        def __dlpack_device__(self) -> tuple[int, int]:
            return 8, 0  # Metal

    with pytest.raises(ac.DeviceError, match="kind 8"):
        ac.from_dlpack(Elsewhere())


def test_a_dtype_that_numpy_lacks(torch: Any) -> None:
    with pytest.raises(ac.DtypeError, match="Unsupported dtype"):
        ac.from_dlpack(torch.ones(2, dtype=torch.bfloat16))


def test_tensors_come_back_with_their_history() -> None:
    assert ac.grad(lambda x: ac.sum(ac.from_dlpack(x) ** 2))(np.ones(2)).tolist() == [2, 2]


def test_on_a_gpu() -> None:
    """A stand-in for CuPy: that its own capsules and devices are passed on, and read."""
    with in_place_of_cupy():
        import cupy

        array = cupy.asarray(np.arange(3.0))
        tensor = ac.from_dlpack(array)
        assert tensor.device == "cuda:0" and tensor.__dlpack_device__() == (2, 0)
        assert tensor.data.data.ptr == array.data.ptr == cupy.from_dlpack(tensor).data.ptr
        assert ac.from_dlpack(array, copy=True).data.data.ptr != array.data.ptr
        fetched = ac.from_dlpack(array, device="cpu")
        assert fetched.device == "cpu" and fetched.tolist() == [0, 1, 2]
        sent = ac.from_dlpack(np.arange(3.0), device="cuda")
        assert sent.device == "cuda:0" and sent.tolist() == [0, 1, 2]
        with pytest.raises(BufferError, match="takes a copy"):
            ac.from_dlpack(array, device="cpu", copy=False)


def test_a_write_by_another_is_seen_here() -> None:
    """So it is one memory; and this is why nobody may write to it."""
    memory = (ctypes.c_double * 2)(1.0, 2.0)
    array = np.frombuffer(memory)
    tensor = ac.from_dlpack(array)
    memory[0] = 5.0
    assert tensor.tolist() == [5.0, 2.0]


def test_what_runs_backwards_is_copied() -> None:
    """PyTorch ends the process over a negative stride."""
    x = np.arange(6.0).reshape(2, 3)
    for cut in (ac.asarray(x)[:, ::-1], ac.asarray(x)[::-1], ac.flip(ac.asarray(x))):
        found = np.from_dlpack(cut)
        assert min(found.strides) > 0
        np.testing.assert_array_equal(found, cut.numpy())
