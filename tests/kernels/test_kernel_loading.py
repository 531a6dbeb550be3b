"""Importing, dispatching, compiling, caching, falling back; threads and forks."""

import importlib
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kernel_cases import ROOT, assert_close, assert_same, run_python

import kernels
from kernels import dispatch, reference
from kernels.arrays import plain
from kernels.cpu import lazy, special, threads
from kernels.dispatch import BACKENDS, KERNELS, Kernel

needs_numba = pytest.mark.skipif(not lazy.numba_loads(), reason="Numba is missing or switched off")

# --- importing --------------------------------------------------------------------------------


@needs_numba
def test_import_does_not_load_numba_but_the_first_use_does():
    loaded = run_python(
        "import sys, numpy as np, kernels\n"
        "def loaded(): return int('numba' in sys.modules)\n"
        "print(loaded())\n"
        "kernels.conv(np.ones((1, 1, 4, 4, 1)), np.ones((1, 3, 3, 1, 1)))\n"
        "print(loaded())\n"
        "kernels.erf(np.ones(2))\n"
        "print(loaded())\n"
    )
    assert loaded.split() == ["0", "0", "1"]


def test_import_loads_only_numpy():
    modules = run_python(
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import kernels, kernels.cpu\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    assert not set(modules.split()) & {"numba", "scipy", "cupy", "autograd_core", "metalearn"}


# --- dispatch ---------------------------------------------------------------------------------


class Foreign:
    """A stand-in for an array of another library."""


class ForeignChild(Foreign):
    pass


def test_dispatch_is_by_type_with_the_reference_as_default(monkeypatch):
    monkeypatch.setattr(dispatch, "KERNELS", {})
    kernel = Kernel("nothing", lambda x, y=0: ("reference", x, y))
    kernel.register(np.ndarray, lambda x, y=0: ("numpy", x, y))
    kernel.register(Foreign, lambda x, y=0: ("foreign", x, y))
    array = np.ones(1)
    assert kernel(array, 1) == ("numpy", array, 1)
    assert kernel(array.view(np.memmap), y=2)[0] == "numpy"
    assert kernel(ForeignChild())[0] == kernel(Foreign())[0] == "foreign"
    assert kernel(1.0)[0] == "reference"
    with pytest.raises(TypeError, match=r"nothing\(\) takes its array by position"):
        kernel(x=array)


def test_a_backend_is_imported_on_the_first_call_with_its_arrays(monkeypatch, tmp_path):
    (tmp_path / "foreign_arrays.py").write_text("class Foreign: pass")
    (tmp_path / "foreign_backend.py").write_text(
        "from foreign_arrays import Foreign\n"
        "from kernels.dispatch import KERNELS\n"
        "KERNELS['nothing'].register(Foreign, lambda x: 'foreign')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(BACKENDS, "foreign_arrays", "foreign_backend")
    foreign = importlib.import_module("foreign_arrays")
    monkeypatch.setattr(dispatch, "KERNELS", {})
    kernel = Kernel("nothing", type)
    assert kernel(1) is int
    assert "foreign_backend" not in sys.modules
    assert kernel(foreign.Foreign()) == "foreign"


def test_every_kernel_is_exported_documented_and_has_a_numpy_implementation():
    kernels.erf(np.ones(1))  # loads the backend
    for name, kernel in KERNELS.items():
        assert getattr(kernels, name) is kernel and name in kernels.__all__
        assert kernel.__doc__ == getattr(reference, name).__doc__ and len(kernel.__doc__) > 40
        has_its_own = np.ndarray in kernel._implementations
        assert has_its_own is not (name in ONLY_REFERENCE)
        assert not has_its_own or kernel._implementations[np.ndarray] is not kernel.reference


ONLY_REFERENCE = {
    *("softmax", "log_softmax"),  # what NumPy does with large arrays anyway; programs fuse them
    *("gather_images", "random_bits", "random_children"),  # NumPy's own loops
}


# --- compiling and caching --------------------------------------------------------------------

STATISTICS = """
import numpy as np, kernels
from kernels.cpu import special
result = kernels.erfc(np.ones(3, np.float32))
assert result.dtype == np.float32 and abs(result[0] - 0.15729920705) < 1e-7
assert list(special._erfc.compiled) == [np.float32]
stats = special._erfc.compiled[result.dtype].stats
if stats.cache_path is None:
    print("compiled without a cache")
else:
    print({(1, 0): "loaded", (0, 1): "compiled and stored"}[
        sum(stats.cache_hits.values()), sum(stats.cache_misses.values())
    ])
"""


@needs_numba
def test_the_second_process_finds_the_machine_code_of_the_first(tmp_path):
    assert run_python(STATISTICS, NUMBA_CACHE_DIR=str(tmp_path)) == "compiled and stored"
    stored = sorted(path.name for path in tmp_path.rglob("*.nbc"))
    assert len(stored) == 1 and "_erfc" in stored[0]
    assert run_python(STATISTICS, NUMBA_CACHE_DIR=str(tmp_path)) == "loaded"
    assert sorted(path.name for path in tmp_path.rglob("*.nbc")) == stored


@pytest.fixture
def read_only_copy(tmp_path):
    """A copy of the package beside whose sources nothing can be cached, not even by root."""
    shutil.copytree(
        ROOT / "kernels", tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "kernels" / "cpu" / "__pycache__").write_text("a file where a folder should be")
    return tmp_path


@needs_numba
def test_a_read_only_package_is_cached_in_the_users_folder(read_only_copy, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    where = {"root": read_only_copy, "cwd": tmp_path, "XDG_CACHE_HOME": str(cache)}
    assert run_python(STATISTICS, **where, NUMBA_CACHE_DIR="") == "compiled and stored"
    assert len(list(cache.rglob("*.nbc"))) == 1
    assert run_python(STATISTICS, **where, NUMBA_CACHE_DIR="") == "loaded"


@needs_numba
def test_no_place_for_a_cache_is_no_error(read_only_copy, tmp_path):
    nowhere = str(read_only_copy / "kernels" / "README.md" / "nowhere")
    where = {"root": read_only_copy, "cwd": tmp_path, "XDG_CACHE_HOME": nowhere, "HOME": nowhere}
    assert run_python(STATISTICS, **where, NUMBA_CACHE_DIR="") == "compiled without a cache"


@needs_numba
def test_a_damaged_cache_is_no_error(tmp_path):
    run_python(STATISTICS, NUMBA_CACHE_DIR=str(tmp_path))
    for path in tmp_path.rglob("*.nb?"):
        path.write_bytes(b"damaged")
    assert run_python(STATISTICS, NUMBA_CACHE_DIR=str(tmp_path)) == "compiled without a cache"


def test_kernels_get_aligned_contiguous_arrays_without_needless_copies():
    # Numba takes arrays for aligned that are not, and x86 lets it pass: no result would tell.
    array = np.zeros(9)
    assert plain(array) is array
    unaligned = np.zeros(9 * 8 + 1, np.uint8)[1:].view(np.float64)
    for awkward in (unaligned, array[::2], array.reshape(3, 3).T):
        copy = plain(awkward)
        assert copy.flags.aligned and copy.flags.c_contiguous
        assert_same(copy, np.array(awkward))


# --- falling back -----------------------------------------------------------------------------

ALL_KERNELS = """
import sys, numpy as np, kernels
rng = np.random.default_rng(0)
x, w = rng.standard_normal((2, 3, 7, 7, 4)), rng.standard_normal((2, 3, 3, 4, 5))
place = (2, 2), ((1, 0), (0, 2)), (1, 2)
y = kernels.conv(x, w, *place)
cols = kernels.im2col(x[0], (3, 3), *place)
points, index = rng.uniform(-4, 4, 50), rng.integers(-7, 7, 3)
keys = np.arange(6, dtype=np.uint64).reshape(3, 2)
results = dict(
    conv=y,
    conv_input=kernels.conv_input(y, w, (7, 7), *place),
    conv_weight=kernels.conv_weight(x, y, (3, 3), *place),
    im2col=cols,
    col2im=kernels.col2im(cols, (7, 7), *place),
    pool_argmax=kernels.pool_argmax(x[0], (3, 2), (2, 2)),
    index_add=kernels.index_add(x[:, :, 0, 0], index, 7),
    scatter_add_nd=kernels.scatter_add_nd(x[0, :, 0, 0], index, 7),
    take_along_transpose=kernels.take_along_transpose(points[None], np.arange(50)[None] % 9, 9),
    take_along=kernels.take_along(x[:, :, :, 0, 0], rng.integers(-3, 3, (2, 9, 7))),
    matmul=kernels.matmul(w[0, 0], w[0, 1].swapaxes(1, 2)),
    sum_axes=kernels.sum_axes(x, (1, 2)),
    polygamma=kernels.polygamma(3, points),
    erfcx_derivative=kernels.erfcx_derivative(2, points),
    bessel_derivative=kernels.bessel_derivative(1, 2, points),
    betaln=kernels.betaln(points, points),
    polygamma_drop=kernels.polygamma_drop(1, points, points),
    **{
        n: getattr(kernels, n)(points)
        for n in "erf erfc erfcx lgamma digamma ndtr log_ndtr entr logit i0e i1e".split()
    },
    erfinv=kernels.erfinv(points / 4),
    softmax=kernels.softmax(x, 2),
    log_softmax=kernels.log_softmax(x, 2),
    random_bits=kernels.random_bits(keys, 5),
    random_children=kernels.random_children(keys, keys[:, 0]),
    gather_images=kernels.gather_images(
        x[0].transpose(0, 3, 1, 2), np.array([2, 0]), np.array([0, 3])
    ),
)
assert set(results) == set(kernels.dispatch.KERNELS)
"""


def test_without_numba_every_kernel_gives_the_same(tmp_path):
    path = tmp_path / "results.npz"
    run_python(
        ALL_KERNELS + f"assert 'numba' not in sys.modules\nnp.savez({str(path)!r}, **results)",
        METAGRAD_NUMBA="0",
    )
    names: dict = {}
    exec(ALL_KERNELS, names)
    with np.load(path) as without:
        for name, result in names["results"].items():
            # The special functions differ by roundings of their terms; the others by nothing.
            if name in special.__dict__:
                scale = 10 + np.abs(without[name])
                assert_close(result, without[name], rounding_errors=32, scale=scale)
            else:
                assert_same(result, without[name])


def test_a_broken_numba_is_reported_and_replaced(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('broken on purpose')")
    script = (
        "import warnings, sys, numpy as np, kernels\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    value = kernels.erf(np.zeros(1)), kernels.erfc(np.zeros(1))\n"
        "print(value, *[warning.message for warning in caught])"
    )
    printed = run_python(script, METAGRAD_NUMBA="1")
    assert printed == (
        "(array([0.]), array([1.])) Numba cannot be loaded, using NumPy: broken on purpose"
    )


# --- threads and forks ------------------------------------------------------------------------


def test_split_covers_the_range_once():
    for total in (0, 1, 2, 3, 10, 1000):
        for grain in (0, 1, 3, 10**6):
            seen = np.zeros(total, int)

            def run(start, stop, seen=seen):
                seen[start:stop] += 1

            threads.split(total, grain, run)
            assert np.all(seen == 1)


def test_split_uses_as_many_threads_as_the_work_is_worth(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    for total, grain, parts in ((90, 30, 3), (90, 45, 2), (90, 46, 1), (900, 1, 3)):
        ranges: list = []
        threads.split(total, grain, lambda *ends, ranges=ranges: ranges.append(ends))
        assert len(ranges) == parts


def test_split_passes_on_errors_of_other_threads(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 2)

    def run(start, _):
        if start:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.split(10, 1, run)


def test_several_python_threads_may_use_the_kernels_at_once():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 20, 14, 14, 8)), rng.standard_normal((2, 3, 3, 8, 8))
    points = rng.uniform(-4, 4, 40_000)

    def work(_):
        y = kernels.conv(x, w)
        return y, kernels.conv_input(y, w, (14, 14)), kernels.digamma(points)

    expected = work(None)
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(work, range(8)):
            for one, other in zip(results, expected, strict=True):
                assert_same(one, other)


def test_a_forked_process_can_use_the_kernels():
    printed = run_python(
        "import multiprocessing, numpy as np, kernels\n"
        "x = np.linspace(-4, 4, 100_000)\n"
        "expected = kernels.erf(x)\n"
        "def work(queue): queue.put(np.array_equal(kernels.erf(x), expected))\n"
        "context = multiprocessing.get_context('fork')\n"
        "queue = context.Queue()\n"
        "child = context.Process(target=work, args=(queue,), daemon=True)\n"
        "child.start()\n"
        "print(queue.get(timeout=60))",
        METAGRAD_NUM_THREADS="3",
    )
    assert printed == "True"


# --- the tolerance of these tests -------------------------------------------------------------


def test_the_tolerance_refuses_what_it_should():
    expected = np.array([1.0, 100.0, np.inf])
    assert_close(expected * (1 + 4e-16), expected, rounding_errors=2)
    for wrong in (expected * (1 + 6e-16), expected[:2], -expected, np.array([1, 100, np.nan])):
        with pytest.raises(AssertionError):
            assert_close(wrong, expected, rounding_errors=2)


def test_folder_has_a_readme():
    assert "kernels" in (Path(kernels.__file__).parent / "README.md").read_text()
