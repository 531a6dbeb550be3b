"""The stand-in for CuPy refuses what CuPy refuses, and has nothing that CuPy has not."""

import numpy as np
import pytest

from tests.gpu import standin
from tests.gpu.harness import needs_host_compiler
from tests.gpu.standin import FUNCTIONS, MAKERS, METHODS, REAL, CUDARuntimeError, RawModule, cupy

X = cupy.array(np.arange(6.0).reshape(2, 3))
HERE = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "mix",
    [
        lambda: X + HERE, lambda: np.multiply(HERE, X), lambda: np.where(X > 1, X, HERE),
        lambda: np.concatenate([X, HERE]), lambda: np.add(X, np.array(1.0)), lambda: np.asarray(X),
        lambda: X[np.array([0])], lambda: np.take(X, np.array([0]), axis=0),
    ],
)  # fmt: skip
def test_arrays_of_both_libraries_do_not_mix(mix):
    with pytest.raises(TypeError):
        mix()


def test_reductions_that_cupy_lacks():
    assert float(np.add.reduce(X, axis=(0, 1))) == 15
    for ufunc in (np.maximum, np.logical_and):
        with pytest.raises(NotImplementedError, match="not supported yet"):
            ufunc.reduce(X, axis=0)


def test_results_are_arrays():
    for y in (X.sum(), np.sum(X), X[0, 0], X * np.float64(2), 2 - X):
        assert isinstance(y, cupy.ndarray)


def test_parameters_that_cupy_lacks():
    with pytest.raises(ValueError, match="stable"):
        np.argsort(X, kind="quicksort")
    if REAL is not None:
        with pytest.raises(TypeError):
            np.take(X, cupy.array([0]), axis=0, mode="raise", no_such=1)


def test_functions_that_cupy_lacks():
    with pytest.raises(TypeError):
        np.linalg.inv(X)  # which we do not rely on
    with pytest.raises(TypeError):
        np.vander(X[0], 3)


@pytest.mark.skipif(REAL is None, reason="needs CuPy to look names up in")
def test_all_that_it_has_is_in_cupy():
    assert [n for n in (*FUNCTIONS, *MAKERS) if not hasattr(REAL, n)] == []
    assert [n for n in METHODS if not hasattr(REAL.ndarray, n)] == []
    for name in ("RawModule", "asarray", "array", "copyto", "cuda"):
        assert hasattr(REAL, name)
    for name in ("Device", "Stream", "Event", "get_current_stream", "runtime"):
        assert hasattr(REAL.cuda, name)


@needs_host_compiler
def test_captured_launches_run_when_the_graph_does():
    source = standin.assembled(
        'extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }'
    )
    kernel = RawModule(code=source, options=("-std=c++17",)).get_function("twice")
    x = cupy.array(np.ones(4, "f4"))
    first, second = standin.Stream(), standin.Stream()
    first.begin_capture()
    event = standin.Event()
    event.record(first)
    second.wait_event(event)
    for stream in (first, second):
        with stream:
            kernel((1,), (4,), (x,))
    with pytest.raises(CUDARuntimeError):
        first.synchronize()
    graph = first.end_capture()
    assert x.get().tolist() == [1] * 4
    graph.launch()
    assert x.get().tolist() == [4] * 4
