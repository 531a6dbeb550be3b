"""CUDA kernels written by hand give what the references give."""

import ctypes

import numpy as np
import pytest

import kernels
from kernels import reference
from kernels.gpu import library
from kernels.gpu.host import HostKernels
from kernels.gpu.source import FOLDER, text_of
from tests.gpu.harness import compiles, needs_host_compiler

RNG = np.random.default_rng(0)
LONG = ctypes.c_int64


def launch(file, name, dtype, *args):
    """Few threads, so that each has more than one entry to do."""
    module = HostKernels(library.source(file, dtype), library.FILES[file])
    module.run(name, (3,), (64,), *args)


def draw(dtype, *shape):
    """With equal entries among them, and NaN."""
    found = RNG.integers(-3, 4, shape).astype(dtype)
    return np.where(RNG.random(shape) < 0.05, np.nan, found).astype(dtype)


# Windows --------------------------------------------------------------------------------------

WINDOWS = [
    dict(shape=(1, 1, 1, 1), window=(1, 1), stride=(1, 1)),
    dict(shape=(2, 7, 5, 3), window=(3, 2), stride=(1, 1)),
    dict(shape=(3, 9, 8, 2), window=(2, 3), stride=(2, 3), padding=((1, 0), (2, 1))),
    dict(shape=(2, 11, 13, 1), window=(3, 3), stride=(2, 1), padding=((1, 1), (0, 2)),
         dilation=(2, 3)),
    dict(shape=(1, 16, 16, 33), window=(2, 2), stride=(2, 2)),
]  # fmt: skip


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("case", WINDOWS, ids=lambda c: str(c["shape"]))
def test_windows(case, turned, dtype):
    how = {"padding": ((0, 0), (0, 0)), "dilation": (1, 1), **case}
    shape, window = how.pop("shape"), how.pop("window")
    x = draw(dtype, *(shape[::-1] if turned else shape))
    x = x.T if turned else x
    strides = tuple(s // x.itemsize for s in x.strides)
    size = kernels.output_shape(shape[1:3], window, **how)
    sizes = library.window_sizes(shape, size, window, strides=strides, **how)
    cols = np.full((shape[0], *size, *window, shape[3]), 9, dtype)
    launch("windows.cu", "im2col", dtype, x if not turned else x.T, cols, sizes)
    np.testing.assert_array_equal(cols, reference.im2col(x, window, **how))

    back = np.full(shape, 9, dtype)
    launch(
        "windows.cu", "col2im", dtype, cols, back, library.window_sizes(shape, size, window, **how)
    )
    np.testing.assert_array_equal(back, reference.col2im(cols, shape[1:3], **how))

    if how.pop("dilation") == (1, 1):
        index = np.full((shape[0], *size, shape[3]), -9)
        launch("windows.cu", "pool_argmax", dtype, x if not turned else x.T, index, sizes)
        np.testing.assert_array_equal(index, reference.pool_argmax(x, window, **how))


# Gather and scatter ---------------------------------------------------------------------------

SIZES = [(1, 1, 1, 1), (2, 5, 7, 3), (3, 4, 300, 1), (1, 65, 64, 33), (4, 3, 0, 2)]


def sorted_indices(index, size):
    order = np.argsort(index, kind="stable")
    return order, np.searchsorted(index[order], np.arange(size + 1))


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("p,size,m,q", SIZES)
def test_gather_and_scatter(p, size, m, q, dtype):
    values = RNG.standard_normal((p, m, q)).astype(dtype)
    index = RNG.integers(-size, size, m)
    bad = np.zeros(1, np.int32)
    counts = tuple(map(LONG, (p, m, size, q)))

    result = np.full((p, size, q), 9, dtype)
    expected = reference.index_add(values, index, size)
    order, starts = sorted_indices(index % size, size)
    launch("scatter.cu", "add_sorted", dtype, values, order, starts, result, *counts)
    np.testing.assert_array_equal(result, expected)

    result = np.zeros((p, size, q), dtype)
    launch("scatter.cu", "add_atomically", dtype, values, index, result, *counts, bad)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)

    each, result = RNG.integers(-size, size, (p, m, q)), np.zeros((p, size, q), dtype)
    launch("scatter.cu", "add_along", dtype, values, each, result, *counts, bad)
    np.testing.assert_array_equal(result, reference.take_along_transpose(values, each, size))

    taken, source = np.full((p, m, q), 9, dtype), RNG.standard_normal((p, size, q)).astype(dtype)
    lengths = tuple(map(LONG, (p, size, m, q)))
    launch("scatter.cu", "take_along", dtype, source, each, taken, *lengths, bad)
    np.testing.assert_array_equal(taken, reference.take_along(source, each))
    assert not bad.any()


@needs_host_compiler
@pytest.mark.parametrize("wrong", [-6, 5])
def test_indices_out_of_bounds_are_told(wrong):
    bad = np.zeros(1, np.int32)
    values, index = np.ones((1, 3, 1), "f4"), np.array([0, wrong, 1])
    counts = tuple(map(LONG, (1, 3, 5, 1)))
    launch("scatter.cu", "add_atomically", "f4", values, index, np.zeros(5, "f4"), *counts, bad)
    assert bad[0] == 1


# Random numbers -------------------------------------------------------------------------------


@needs_host_compiler
@pytest.mark.parametrize("size", [1, 4, 5, 1001])
def test_random_bits(size):
    """Known answers are those of the authors' library; the rest by NumPy's arithmetic."""
    bits = np.zeros(size, np.uint32)
    key, stream = 0x1234567_89ABCDEF, 77
    words = ctypes.c_uint64(key), ctypes.c_uint64(stream)
    launch("random.cu", "philox_bits", "f4", bits, LONG(size), *words)
    np.testing.assert_array_equal(bits, philox(size, key, stream))


def philox(size, key, stream):
    i = np.arange(-(-size // 4), dtype=np.uint64)
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    c = [i & low, i >> half, *(np.full_like(i, x) for x in (stream & 0xFFFFFFFF, stream >> 32))]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        first, second = (b >> half) ^ c[1] ^ np.uint64(k[0]), (a >> half) ^ c[3] ^ np.uint64(k[1])
        c = [first, b & low, second, a & low]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, 1).reshape(-1)[:size].astype(np.uint32)


def test_known_answers_of_philox():
    """The first block of counter 0 and key 0 (known-answer tests of Random123)."""
    assert [f"{x:08x}" for x in philox(4, 0, 0)] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


# The compiler ---------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(library.FILES))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nvrtc_takes_them(file, dtype):
    compiles(library.source(file, dtype))


def test_every_file_is_known():
    assert {p.name for p in FOLDER.glob("*.cu")} == set(library.FILES)


# What the tests would notice ------------------------------------------------------------------

MUTANTS = {
    "windows.cu": [
        ("h < s.height", "h <= s.height - 2"),
        ("below % s.down ||", ""),
        ("value > best", "value >= best"),
        (" || (value != value && best == best)", ""),
        ("left * s.strides[0]", "left * s.strides[3]"),
    ],
    "scatter.cu": [
        ("sum += values[(p * m + order[k])", "sum += values[(p * m + k)"),
        ("index < 0 ? index + size : index", "index < 0 ? 0 : index"),
        ("*bad = 1;", ""),
    ],
    "random.cu": [("round < 10", "round < 9"), ("counter.x[3] ^ second", "counter.x[3]")],
}


@needs_host_compiler
@pytest.mark.parametrize(
    "file,old,new", [(f, *change) for f, some in MUTANTS.items() for change in some]
)
def test_mutants_are_noticed(file, old, new, monkeypatch):
    assert old in text_of(file)
    changed = text_of(file).replace(old, new)
    monkeypatch.setattr(library, "text_of", lambda name: changed if name == file else text_of(name))
    with pytest.raises(AssertionError):
        for case in WINDOWS:
            test_windows(case, False, "f4")
        for sizes in SIZES:
            test_gather_and_scatter(*sizes, "f4")
        test_indices_out_of_bounds_are_told(5)
        test_random_bits(1001)
