"""CUDA kernels written by hand give what the references give."""

import ctypes
from functools import partial

import numpy as np
import pytest

import autograd_core as ac
import kernels
from kernels import reference
from kernels.cpu import special
from kernels.gpu import library
from kernels.gpu.host import HostKernels
from kernels.gpu.launch import TYPES
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
    launch("scatter.cu", "add_along", "f4", values, index, np.zeros(5, "f4"), *counts, bad)
    assert bad[0] == 1


# Random numbers -------------------------------------------------------------------------------


@needs_host_compiler
@pytest.mark.parametrize("stacked,count", [(1, 1), (3, 4), (1, 5), (2, 1001), (3, 0)])
def test_random_bits(stacked, count):
    """Those of NumPy's own Philox."""
    keys = RNG.integers(0, 2**64, (stacked, 2), np.uint64)
    bits = np.zeros((stacked, count), np.uint64)
    launch("random.cu", "random_bits", "f4", keys, bits, LONG(stacked), LONG(count), LONG(1))
    np.testing.assert_array_equal(bits, reference.random_bits(keys, count, 1))

    numbers = RNG.integers(0, 2**64, stacked, np.uint64)
    children = np.zeros((stacked, 2), np.uint64)
    given = keys, numbers, children, LONG(stacked), LONG(reference.FOLD)
    launch("random.cu", "random_children", "f4", *given)
    np.testing.assert_array_equal(children, reference.random_children(keys, numbers))


# Addresses ------------------------------------------------------------------------------------


@needs_host_compiler
@pytest.mark.parametrize("first,count", [(0, 1), (3, 256), (256, 77)])
def test_words_that_come_with_a_launch(first, count):
    table = np.arange(600, dtype=np.uint64)
    expected, numbers = table.copy(), RNG.integers(0, 2**64, library.Words.MOST, np.uint64)
    words = library.Words(tuple(map(int, numbers)))
    launch("table.cu", "write_words", "f4", table, words, LONG(first), LONG(count))
    expected[first : first + count] = numbers[:count]
    np.testing.assert_array_equal(table, expected)


# Datasets -------------------------------------------------------------------------------------


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (5, 3, 4, 4), (9, 1, 17, 17), (3, 2, 5, 3)])
def test_images_of_a_dataset(size, dtype):
    images = RNG.integers(0, 256, size).astype(np.uint8)
    rows = RNG.integers(0, size[0], 23)
    turns = RNG.integers(0, 4, 23) if size[2] == size[3] else 2 * RNG.integers(0, 2, 23)
    sizes = tuple(map(LONG, (23, *size[1:])))
    out = np.full((23, *size[1:]), 9, np.float32)
    launch("episodes.cu", "gather_bytes", dtype, images, rows, turns, out, *sizes)
    np.testing.assert_array_equal(out, reference.gather_images(images, rows, turns))
    floats, out = images.astype(dtype), out.astype(dtype)
    launch("episodes.cu", "gather_images", dtype, floats, rows, turns, out, *sizes)
    np.testing.assert_array_equal(out, reference.gather_images(floats, rows, turns))


# Special functions ----------------------------------------------------------------------------

EDGES = [0.0, -0.0, 1, -1, 2, -2, -3, 0.5, -0.5, 1.4616321449683622, 30, 170.5, np.inf, -np.inf,
         np.nan, 1e-12, -1e-12, 1 - 1e-7, -2.5, -20.25]  # fmt: skip
FAR = [-30, -12.5, 20.5, 45, 60, 900]


NO_TABLE = np.zeros(1)


SPECIAL = [
    *(
        (name, 0, NO_TABLE, getattr(reference, name))
        for name in (
            *("erf", "erfc", "erfinv", "erfcx", "ndtr", "log_ndtr", "lgamma", "digamma"),
            *("entr", "logit", "i0e", "i1e"),
        )
    ),
    *(
        ("polygamma", n, special.integer_series(n), partial(reference.polygamma, n))
        for n in (1, 2, 5)
    ),
    *(
        ("erfcx_derivative", n, special.laplace_weights(n), partial(reference.erfcx_derivative, n))
        for n in (1, 2, 5)
    ),
    *(
        (
            "bessel_derivative",
            2 * n + order,
            special.bessel_table(order, n),
            partial(reference.bessel_derivative, order, n),
        )
        for order in (0, 1)
        for n in (1, 2, 3)
    ),
]


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted({name for name, *_ in SPECIAL}))
def test_special_functions(name, dtype):
    x = np.concatenate([EDGES, RNG.uniform(-6, 12, 300), RNG.uniform(-1, 1, 60), FAR]).astype(dtype)
    for order, table, function in (rest for found, *rest in SPECIAL if found == name):
        found = np.zeros_like(x)
        launch("special.cu", f"{name}_each", dtype, x, found, LONG(x.size), LONG(order), table)
        expected = function(x)
        digits = {"f4": 3e-7, "f8": 2e-13}[dtype]
        np.testing.assert_allclose(found, expected, rtol=digits, atol=digits)
        np.testing.assert_array_equal(np.signbit(found)[:2], np.signbit(expected)[:2])


ZEROS = [-0.5040830082644554, -1.5734984731623904, -9.702672540001863, -1.4987861940097746, -20.5]


@needs_host_compiler
@pytest.mark.parametrize("n", [0, 2, 10])
def test_digits_stay_near_zeros_left_of_zero(n):
    """As in the reference, which computes these in decimals."""
    x = np.concatenate(
        [ZEROS, *(np.add(ZEROS, d) for d in (1e-12, -1e-9, 1e-5)), [-30.63, -1e4 - 0.2]]
    )
    found, size = np.zeros_like(x), (LONG(x.size), LONG(n))
    name = "polygamma_each" if n else "digamma_each"
    launch("special.cu", name, "f8", x, found, *size, special.integer_series(n))
    np.testing.assert_allclose(found, reference.polygamma(n, x), rtol=2e-14, atol=0)


@needs_host_compiler
def test_digits_of_betaln_stay_near_its_zeros():
    """As in the reference, which computes these in decimals; the first pairs are next to B = 1."""
    x = np.array([1, 1 + 1e-12, 0.8, 0.30980, 0.1, 0.0071])
    y = np.array([1, 1 - 1e-9, 1.3, 30, 1e10, 1e299])
    found, size = np.zeros_like(x), (LONG(x.size), LONG(0))
    launch("special.cu", "betaln_each", "f8", x, y, found, *size, NO_TABLE)
    np.testing.assert_allclose(found, reference.betaln(x, y), rtol=1e-15, atol=0)


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["betaln", "polygamma_drop"])
def test_special_functions_of_pairs(name, dtype):
    x, y = (v.ravel() for v in np.meshgrid([*EDGES, 3.7, 9.9, 12, 1e3], [*EDGES, 0.3, 11, 2e5]))
    x, y = x.astype(dtype), y.astype(dtype)
    for n in (0,) if name == "betaln" else (0, 1, 2, 5):
        found = np.zeros_like(x)
        sizes = LONG(x.size), LONG(n)
        launch("special.cu", f"{name}_each", dtype, x, y, found, *sizes, special.integer_series(n))
        expected = getattr(reference, name)(*([n] if name == "polygamma_drop" else []), x, y)
        # Left of 0 by formulas whose terms cancel: compared with the largest of them.
        term = partial(reference.polygamma, n) if name == "polygamma_drop" else reference.lgamma
        with np.errstate(all="ignore"):
            terms = np.nan_to_num(np.abs([term(x), term(y), term(x + y)]), posinf=0).max(0)
            scale = 1 + np.where((x > 0) & (x + y > 0), 0, terms) + np.abs(expected)
            errors = np.abs(found - expected) / scale
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        assert np.all(errors[finite] <= {"f4": 3e-7, "f8": 2e-13}[dtype])


# Softmax --------------------------------------------------------------------------------------


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("rows,n", [(1, 1), (7, 5), (2, 31), (3, 32), (5, 33), (5, 300), (0, 4)])
def test_softmax_and_cross_entropy(rows, n, dtype):
    x = (5 * RNG.standard_normal((rows, n))).astype(dtype)
    if rows > 1:
        x[0], x[1, 0], x[-1] = x[0] + 1e4, -np.inf, 999 * x[-1]
    labels = RNG.integers(0, n, rows)
    if rows > 1:
        labels[1] = n - 1
    eps, sizes = np.finfo(dtype).eps, (LONG(rows), LONG(n))
    wide = x.astype("f8")
    with np.errstate(all="ignore"):
        shifted = wide - wide.max(-1, keepdims=True, initial=-np.inf)
        expected = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    found = np.full_like(x, 9)
    launch("softmax.cu", "log_softmax", dtype, x, found, *sizes)
    bound = 64 * eps * max(1, np.abs(expected[np.isfinite(expected)]).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)
    launch("softmax.cu", "softmax", dtype, x, found, *sizes)
    np.testing.assert_allclose(found, np.exp(expected), rtol=0, atol=64 * eps)

    losses, bad = np.full(rows, 9, dtype), np.zeros(1, np.int32)
    launch("softmax.cu", "cross_entropy", dtype, x, labels, losses, *sizes, bad)
    every = np.arange(rows)
    where = np.isfinite(expected[every, labels])
    np.testing.assert_allclose(
        losses[where], -expected[every, labels][where], rtol=0,
        atol=bound + 4 * eps * np.abs(x[np.isfinite(x)]).max(initial=0),
    )  # fmt: skip
    assert not bad.any()
    g = RNG.standard_normal(rows).astype(dtype)
    launch("softmax.cu", "cross_entropy_vjp", dtype, g, x, labels, found, *sizes)
    hot = np.arange(n) == labels[:, None]
    np.testing.assert_allclose(found, (np.exp(expected) - hot) * g[:, None], rtol=0, atol=99 * eps)


@needs_host_compiler
@pytest.mark.parametrize("label", [-1, 4])
def test_labels_that_name_no_class_are_told(label):
    bad, x = np.zeros(1, np.int32), np.zeros((2, 4), "f4")
    given = x, np.array([0, label]), np.zeros(2, "f4"), LONG(2), LONG(4), bad
    launch("softmax.cu", "cross_entropy", "f4", *given)
    assert bad[0] == 1


# Batch norm -----------------------------------------------------------------------------------


def normalised(x, scale, shift):
    mean = ac.mean(x, 1, keepdims=True)
    variance = ac.mean((x - mean) ** 2, 1, keepdims=True)
    return (x - mean) / ac.sqrt(variance + 1e-5) * scale[:, None] + shift[:, None]


@needs_host_compiler
@pytest.mark.parametrize("dtype,bound", [("f8", 1e-11), ("f4", 3e-4)])
@pytest.mark.parametrize("size", [(1, 2, 1), (2, 9, 3), (1, 33, 32), (3, 8, 33), (2, 40, 65)])
def test_batch_norm(size, dtype, bound):
    """It, its derivative and the derivative of that are those of the engine, in float64; for large
    means too."""
    tasks, outer, channels = size
    sizes = tuple(map(LONG, size))
    x, g, a = (RNG.standard_normal(size).astype(dtype) for _ in range(3))
    x += 300
    scale, shift, b, c = (RNG.standard_normal((tasks, channels)).astype(dtype) for _ in range(4))

    def gradient(g, x, scale):
        return ac.vjp(normalised, x, scale, shift.astype("f8"))[1](g)

    wide = [v.astype("f8") for v in (g, x, scale)]
    y = normalised(ac.asarray(wide[1]), wide[2], shift.astype("f8"))
    first, pull = ac.vjp(gradient, *wide)
    second = pull(tuple(ac.asarray(v.astype("f8")) for v in (a, b, c)))

    like = lambda *names: [np.full_like(n, 9) for n in names]
    out, mean, inverse = like(x, scale, scale)
    launch_blocks("batch_norm", dtype, x, scale, shift, out, mean, inverse, *sizes, 1e-5)
    found = [out]
    dx, dscale, dshift = like(x, scale, scale)
    given = g, x, mean, inverse, scale
    launch_blocks("batch_norm_vjp", dtype, *given, dx, dscale, dshift, *sizes)
    found += [dx, dscale, dshift]
    ct_g, ct_x, ct_scale = like(g, x, scale)
    launch_blocks("batch_norm_vjp_vjp", dtype, a, b, c, *given, ct_g, ct_x, ct_scale, *sizes)
    found += [ct_g, ct_x, ct_scale]
    expected = [y, *first, *second]
    for got, wanted in zip(found, expected, strict=True):
        scale_of = max(1.0, float(np.abs(wanted.numpy()).max()))
        np.testing.assert_allclose(got, wanted.numpy(), rtol=0, atol=bound * scale_of * outer**0.5)


def launch_blocks(name, dtype, *args):
    """Two blocks of 256 threads, as these kernels want."""
    given = [ctypes.c_double(x) if isinstance(x, float) else x for x in args]
    module = HostKernels(library.source("norm.cu", dtype), library.FILES["norm.cu"])
    module.run(name, (2,), (256,), *given)


# The compiler ---------------------------------------------------------------------------------


FLOATS = ["f4", "f8"]
REAL = [dtype for dtype in TYPES if dtype[0] != "c"]
DTYPES = {
    "scatter.cu": REAL,
    "windows.cu": REAL,
    "atomics.cu": ["f4", "f8", "i4", "u4", "i8", "u8"],
}
"""Of files that are for other dtypes than these."""


@pytest.mark.parametrize(
    "file,dtype", [(f, t) for f in sorted(library.FILES) for t in DTYPES.get(f, FLOATS)]
)
def test_nvrtc_takes_them(file, dtype):
    compiles(library.source(file, dtype))


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["int", "uint32", "uint64", "float", "double", "int64", "int16"])
def test_the_shim_adds_atomically_what_cuda_does(dtype):
    source = f'extern "C" __global__ void add({dtype}* x) {{ atomicAdd(x, ({dtype})1); }}'
    if dtype in ("int64", "int16"):
        with pytest.raises(RuntimeError, match="atomicAdd"):
            HostKernels(source, ["add"])
        return
    x = np.zeros(8, np.uint8)
    HostKernels(source, ["add"]).run("add", (1,), (1,), x)
    assert x.any()


def test_every_file_is_known():
    assert {p.name for p in FOLDER.glob("*.cu")} == set(library.FILES)


# What the tests would notice ------------------------------------------------------------------

MUTANTS = {
    "table.cu": [("first + n", "n")],
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
    "random.cu": [
        ("round < 10", "round < 9"),
        ("counter.x[3] ^ second", "counter.x[3]"),
        ("{{(uint64)i + 1, 0", "{{(uint64)i, 0"),
    ],
    "episodes.cu": [
        ("from_x = width - 1 - y", "from_x = y"),
        ("1.f / 255", "1.f / 256"),
        ("turns[i] == 3) from_y = height - 1 - x", "turns[i] == 3) from_y = x"),
    ],
    "special.cu": [
        ("round < 3", "round < 1"),
        ("if (x == floor(x)) return NOT_A_NUMBER;", ""),
        ("cancels ? -wide_zeta(0, x) : value", "value"),
        ("cancels ? FACTORIALS[n] * wide_zeta(n, x) : value", "value"),
        ("fma(a, b, -product)", "0"),
        ("(a - (total - part)) + (b - part)", "0"),
        ("beside > 0.45 * near", "false"),
        ("n + 2. * k + 3", "n + 2. * k + 2"),
        ("tail > 0.5 ?", "true ?"),
        ("2 * exp_of_square(x, 1)", "exp_of_square(x, 1)"),
        ("k <= n", "k < n"),
        ("log1p(-normal_probability(-x))", "-normal_probability(x)"),
        ("(n + code) % 2", "n % 2"),
        ("size < 50", "size < 5"),
        ("fmin(x, y)", "x"),
        ("(q - 0.5) * log1p", "q * log1p"),
        ("fabs(value) < 0.5 && q < 1e300 ? wide_log_beta(p, larger) : value", "value"),
        ("power *= q;", ""),
    ],
    "softmax.cu": [
        ("maximum(most, row[i])", "row[i]"),
        ("(i == labels[r])", "(i == 0)"),
        ("*bad = 1", "*bad = 0"),
        (" - most - sum", " - sum"),
    ],
    "norm.cu": [
        ("(x[i] - middle) * (x[i] - middle)", "x[i] * x[i] - middle * middle"),
        ("+ 2 * q * m * z", ""),
        ("z * spread", "0"),
        ("- m * q;", ";"),
        ("(x[i] - middle) * s * mean_gz", "0"),
    ],
}


def _windows():
    for case in WINDOWS:
        test_windows(case, False, "f4")


def _scatter():
    for sizes in SIZES:
        test_gather_and_scatter(*sizes, "f4")
    test_indices_out_of_bounds_are_told(5)


def _special():
    for n in (0, 2, 10):
        test_digits_stay_near_zeros_left_of_zero(n)
    test_digits_of_betaln_stay_near_its_zeros()
    for name in sorted({name for name, *_ in SPECIAL}):
        test_special_functions(name, "f8")
    for name in ("betaln", "polygamma_drop"):
        test_special_functions_of_pairs(name, "f8")


def _softmax():
    test_softmax_and_cross_entropy(5, 300, "f8")
    test_labels_that_name_no_class_are_told(4)


NOTICED_BY = {
    "table.cu": lambda: test_words_that_come_with_a_launch(3, 256),
    "windows.cu": _windows,
    "scatter.cu": _scatter,
    "random.cu": lambda: test_random_bits(2, 1001),
    "episodes.cu": lambda: test_images_of_a_dataset((5, 3, 4, 4), "f4"),
    "special.cu": _special,
    "softmax.cu": _softmax,
    "norm.cu": lambda: test_batch_norm((2, 9, 3), "f4", 3e-4),
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
        NOTICED_BY[file]()
