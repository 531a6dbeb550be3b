"""Kernels written as LLVM's assembly language give what NumPy gives."""

import itertools
import math

import numpy as np
import pytest

from kernels.loops import (
    NARROWEST,
    Access,
    Constant,
    Loop,
    Op,
    Store,
    merged,
    ordered,
    split,
    tiled,
    turned_axes,
)
from kernels.native import cache, machine, maths, windows
from kernels.native.nests import COMPARISONS, FLOAT_OPS
from kernels.native.products import Product, tile_shape
from kernels.native.program import Call, Native, Routine, program_text, work
from kernels.native.text import pieces
from kernels.native.vectors import Registers
from tests.kernels.step_cases import EPS, RNG, convolutions, draw, geometries, strides_of


def run(kernel, *arrays, turns=1, moves=()):
    """Run a kernel on whole arrays."""
    native, _ = Native.of(
        [Routine((Call(kernel, tuple((k, 0) for k in range(len(arrays)))),), moves)]
    )
    pointers = np.array([x.ctypes.data for x in arrays], np.uintp)
    native.run[0](pointers.ctypes.data, 0, turns)


# Loops ----------------------------------------------------------------------------------------

ONE_ARGUMENT = ("negative", "sqrt", "absolute", "floor", "ceil", "trunc", "rint", "sin", "cos")


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("reduce", ["sum", "max", "min"])
@pytest.mark.parametrize(
    "axes", [a for n in range(1, 4) for a in itertools.combinations(range(3), n)]
)
def test_reductions(dtype, reduce, axes):
    x = draw(dtype, 5, 7, 19)
    out = np.full([n for a, n in enumerate(x.shape) if a not in axes], 99, dtype)
    kept = iter(strides_of(out))
    into = tuple(0 if a in axes else next(kept) for a in range(3))
    loop = Loop(
        x.shape,
        (Access(0, dtype, strides_of(x)), Op("multiply", dtype, (0, Constant(2.0)))),
        (Store(Access(1, dtype, into), 1, reduce),),
    )
    expected = getattr(np, reduce)(2 * x.astype("f8"), axis=axes)
    bound = 4 * EPS[dtype] * np.abs(2 * x).sum(axis=axes, dtype="f8")
    for each in (
        loop,
        merged(loop),
        ordered(loop, [2, 0, 1]),
        split(loop, 0, 5),
        split(loop, 2, 19),
    ):
        run(each, x, out)
        assert np.all(np.abs(out - expected) <= bound)


@pytest.mark.parametrize(
    ("shape", "loops"),
    [
        ((128, 96), 1),
        ((64, 4, 36), 2),
        ((256, 107), 2),
        ((1500, 1499), 3),
        ((7, 128), 0),
        ((83, 99), 0),
    ],
)
def test_tiles_of_arrays_that_lie_in_different_orders(shape, loops):
    x, y = draw("f8", *shape), draw("f8", *shape[::-1])
    out = np.empty(shape)
    loads = Access(0, "f8", strides_of(x)), Access(1, "f8", strides_of(y.T))
    body = (*loads, Op("add", "f8", (0, 1)))
    loop = Loop(shape, body, (Store(Access(2, "f8", strides_of(out)), 2),))
    again = tiled(loop)
    assert (again == [loop]) == (loops == 0) and len(again) == max(1, loops)
    assert sum(each.size for each in again) == loop.size
    for each in again:
        run(each, x, y, out)
    np.testing.assert_array_equal(out, x + y.T)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    "order", [(1, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 2, 0, 3), (3, 1, 0, 2)]
)
@pytest.mark.parametrize("sides", [(9, 37, 21, 5), (4, 16, 33, 16), (3, 2, 3, 2)])
def test_copies_in_another_order(dtype, order, sides):
    """Blocks are turned in registers where the last axis is another one, and not very short."""
    shape = sides[: len(order)]
    x = draw(dtype, *shape)
    view, out = x.transpose(order), np.empty([shape[a] for a in order], dtype)
    load, to = Access(0, dtype, strides_of(view)), Access(1, dtype, strides_of(out))
    loop = Loop(out.shape, (load,), (Store(to, 0),))
    turned = order[-1] != len(order) - 1 and min(out.shape[-1], shape[-1]) >= NARROWEST
    assert (turned_axes(loop) is not None) == turned
    assert ("@turn_" in program_text([Routine((Call(loop, ((0, 0), (1, 0))),))])) == turned
    assert not turned or tiled(loop) == [loop]
    run(loop, x, out)
    np.testing.assert_array_equal(out, view)


def test_what_is_no_copy_is_not_turned():
    load, to = Access(0, "f8", (1, 8)), Access(1, "f8", (8, 1))
    copy = Loop((8, 8), (load,), (Store(to, 0),))
    assert turned_axes(copy) == (1, 0)
    for other in (
        copy._replace(body=(load, Op("negative", "f8", (0,))), stores=(Store(to, 1),)),
        copy._replace(body=(Op("cast", "f8", (Constant(0.0),)),)),
        copy._replace(stores=(Store(to, 0, None, True),)),
        copy._replace(stores=(Store(to._replace(strides=(0, 1)), 0, "sum"),)),
        copy._replace(stores=(Store(to, 0), Store(to._replace(buffer=2), 0))),
        copy._replace(body=(load._replace(dtype="i8"),)),
        copy._replace(body=(load._replace(strides=(1, 1)),)),  # windows that overlap
    ):
        assert turned_axes(other) is None


def test_stores_that_add_to_what_lies_there():
    x, out, total = draw("f8", 6, 8), np.ones((6, 8)), np.ones(6)
    loop = Loop(
        (6, 8),
        (Access(0, "f8", (8, 1)),),
        (
            Store(Access(1, "f8", (8, 1)), 0, None, True),
            Store(Access(2, "f8", (1, 0)), 0, "sum", True),
        ),
    )
    run(loop, x, out, total)
    np.testing.assert_allclose(out, 1 + x, rtol=1e-14)
    np.testing.assert_allclose(total, 1 + x.sum(1), rtol=1e-13)


def test_views_are_strides():
    x, out = draw("f4", 6, 8), np.zeros((8, 3), "f4")
    loop = Loop((8, 3), (Access(0, "f4", (-1, 16), 7),), (Store(Access(1, "f4", (3, 1)), 0),))
    run(loop, x, out)
    np.testing.assert_array_equal(out, x[::2, ::-1].T)


def test_no_axes_at_all():
    x, out = draw("f8"), np.zeros(())
    run(
        Loop((), (Access(0, "f8", ()), Op("exp", "f8", (0,))), (Store(Access(1, "f8", ()), 1),)),
        x,
        out,
    )
    assert out == pytest.approx(np.exp(x))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(FLOAT_OPS))
def test_operations(name, dtype):
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -3.5, 0.5], dtype)
    x = np.concatenate([special, draw(dtype, 90) * 3])
    y = np.concatenate([special[::-1], draw(dtype, 90) * 3])
    if name == "power":
        x = np.abs(x)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    reference = sigmoid if name == "sigmoid" else getattr(np, name)
    arity = 1 if name in (*maths.FUNCTIONS, *ONE_ARGUMENT) else 2
    arrays, out = [x, y][:arity], np.zeros(100, dtype)
    loads = tuple(Access(k, dtype, (1,)) for k in range(arity))
    op = Op(name, dtype, tuple(range(arity)))
    run(Loop((100,), (*loads, op), (Store(Access(arity, dtype, (1,)), arity),)), *arrays, out)
    with np.errstate(all="ignore"):
        expected = reference(*(v.astype("f8") for v in arrays)).astype(dtype)
    np.testing.assert_allclose(out, expected, rtol=8 * EPS[dtype], atol=1e-40)
    if name in ("maximum", "minimum", "copysign", "negative", "absolute"):
        np.testing.assert_array_equal(
            np.signbit(out)[expected == 0], np.signbit(expected)[expected == 0]
        )


@pytest.mark.parametrize("name", sorted(COMPARISONS))
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "b1"])
def test_comparisons(name, dtype):
    numpy_dtype = np.dtype("?" if dtype == "b1" else dtype)
    x, y = (RNG.integers(0, 3, 50).astype(numpy_dtype) for _ in range(2))
    if dtype[0] == "f":
        x[:3], y[2:5] = np.nan, np.nan
    out = np.zeros(50, bool)
    body = (Access(0, dtype, (1,)), Access(1, dtype, (1,)), Op(name, "b1", (0, 1)))
    run(Loop((50,), body, (Store(Access(2, "b1", (1,)), 2),)), x, y, out)
    np.testing.assert_array_equal(out, getattr(np, name)(x, y))


@pytest.mark.parametrize(
    ("old", "new"), list(itertools.permutations(["f4", "f8", "i4", "i8", "b1"], 2))
)
def test_casts(old, new):
    numpy = lambda code: np.dtype("?" if code == "b1" else code)
    x = np.array([0, 1, 2, 100, -3, -100, 7, 0]).astype(numpy(old))
    out = np.zeros(8, numpy(new))
    body = (Access(0, old, (1,)), Op("cast", new, (0,)))
    run(Loop((8,), body, (Store(Access(1, new, (1,)), 1),)), x, out)
    np.testing.assert_array_equal(out, x.astype(numpy(new)))


def test_turns_move_through_arrays():
    x, out = draw("f4", 5, 6), np.zeros((5, 6), "f4")
    loop = Loop((6,), (Access(0, "f4", (1,)),), (Store(Access(1, "f4", (1,)), 0),))
    run(loop, x, out, turns=4, moves=((0, 24), (1, 24)))
    np.testing.assert_array_equal(out[:4], x[:4])
    assert not out[4].any()


# Functions ------------------------------------------------------------------------------------


def ulps(got, exact, dtype):
    """Errors in units in the last place of the exact result."""
    exact = exact.astype(np.longdouble)
    return np.abs(got.astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(maths.FUNCTIONS))
def test_accuracy(name, dtype):
    ranges = {
        "exp": (-80, 80),
        "expm1": (-20, 80),
        "log": (-80, 80),
        "sigmoid": (-80, 20),
        "tanh": (-10, 10),
    }
    x = np.linspace(*ranges[name], 200_001)
    x = np.concatenate([x, RNG.standard_normal(100_000) * 1e-3]).astype(dtype)
    if name == "log":
        x = np.exp(x.astype("f8")).astype(dtype)
    wide = x.astype(np.longdouble)
    exact = {"sigmoid": lambda v: 1 / (1 + np.exp(-v))}.get(name, getattr(np, name, None))(wide)
    out = np.zeros_like(x)
    body = (Access(0, dtype, (1,)), Op(name, dtype, (0,)))
    run(Loop((len(x),), body, (Store(Access(1, dtype, (1,)), 1),)), x, out)
    assert ulps(out, exact, dtype).max() < 3


# Products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("registers", [Registers(32, 64), Registers(16, 32), Registers(32, 16)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_tiles_fit_into_registers(dtype, registers):
    for m, n in itertools.product([1, 5, 7, 64, 1000], [1, 3, 40, 64, 1000]):
        tall, wide = tile_shape(m, n, dtype, registers)
        vectors = -(-wide // registers.lanes(dtype))
        assert 1 <= tall <= m
        assert tall * vectors + vectors + 1 <= registers.count


def test_pieces():
    for total, most in itertools.product(range(1, 20), range(1, 8)):
        found = [
            (i, length)
            for first, last, length in pieces(total, most)
            for i in range(first, last, length)
        ]
        assert [i for first, length in found for i in range(first, first + length)] == list(
            range(total)
        )


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("accumulate", [False, True])
def test_products(dtype, accumulate, narrow, monkeypatch):
    if narrow:  # the code for a smaller processor runs on a larger one
        monkeypatch.setattr("kernels.native.program.registers", lambda: Registers(16, 32))
    for stack, m, n, k in [
        ((), 1, 1, 1), ((), 7, 5, 3), ((3,), 13, 40, 10), ((2, 3), 4, 17, 9),
        ((), 33, 70, 600), ((), 75, 64, 1300), ((2,), 1, 64, 5), ((), 100, 1, 30),
        ((), 300, 130, 200), ((2,), 1024, 77, 210),
    ]:  # fmt: skip
        for turned in itertools.product([False, True], repeat=2):
            a, b, c = (
                draw(dtype, *stack, m, k),
                draw(dtype, *stack, k, n),
                draw(dtype, *stack, m, n),
            )
            left, right = (
                np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) if yes else x
                for x, yes in zip((a, b), turned, strict=True)
            )
            expected = a.astype("f8") @ b + (c if accumulate else 0)
            product = Product(
                dtype, stack, m, n, k, strides_of(left), strides_of(right), strides_of(c)[:-1],
                accumulate,
            )  # fmt: skip
            run(product, left, right, c, *scratch(product))
            bound = (k + 2) * EPS[dtype] * (np.abs(a).astype("f8") @ np.abs(b) + 9)
            assert np.all(np.abs(c - expected) <= bound)
            assert product.flops == 2 * math.prod((*stack, m, n, k))


# Convolutions ---------------------------------------------------------------------------------


MANY_CHANNELS = {"shape": (2, 3, 9, 12, 90), "filters": 70, "window": (3, 2)} | {
    "stride": (1, 2), "padding": ((1, 1), (0, 1)), "dilation": (1, 1)
}  # fmt: skip


@pytest.mark.parametrize("case", [*geometries(12), MANY_CHANNELS])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("copies", [False, True])
def test_convolutions(case, dtype, copies):
    cases = list(convolutions(case, dtype, copies))
    for kernel, arrays, _ in cases:
        run(kernel, *arrays, *scratch(kernel))
    down, right = case["window"]
    for _, arrays, wanted in cases:
        np.testing.assert_allclose(
            arrays[2], wanted, rtol=0, atol=200 * EPS[dtype] * np.sqrt(down * right * 12)
        )


@pytest.mark.parametrize("case", geometries(6))
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_convolutions_that_ask_for_memory_ahead(case, dtype, monkeypatch):
    """As those of large images do; behind the last image lies memory of others, or none."""
    asks = lambda kernel: "call void @llvm.prefetch" in program_text([Routine((call(kernel),))])
    call = lambda kernel: Call(kernel, tuple((n, 0) for n in range(5)))
    kernels = [kernel for kernel, *_ in convolutions(case, dtype)]
    assert not any(map(asks, kernels))
    monkeypatch.setattr(windows, "AHEAD", 0)
    assert all(map(asks, kernels))
    test_convolutions(case, dtype, False)


def scratch(kernel):
    return [np.full(kernel.scratch, np.nan, kernel.dtype)] if kernel.scratch else []


# Programs -------------------------------------------------------------------------------------


def test_equal_kernels_are_one_function():
    loop = Loop((4,), (Access(0, "f4", (1,)),), (Store(Access(1, "f4", (1,)), 0),))
    text = program_text([Routine((Call(loop, ((0, 0), (1, 0))), Call(loop, ((1, 16), (2, 0)))))])
    assert text.count("define internal") == 1


def test_work():
    loop = Loop(
        (4, 5), (Access(0, "f4", (5, 1)), Access(1, "f8", (0, 1)), Op("add", "f4", (0, 1))), ()
    )
    assert work(loop) == (20, 20 * 4 + 5 * 8)
    assert work(Product("f4", (2,), 3, 4, 5, (0, 5, 1), (0, 4, 1), (12, 4))) == (240, 2 * 47 * 4)


def test_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path))
    made = []
    make = lambda: made.append(1) or b"code"
    assert cache.get("key", make) == cache.get("key", make) == b"code"
    assert len(made) == 1
    (path,) = (tmp_path / "programs").iterdir()
    path.write_bytes(path.read_bytes()[:-1])  # cut short
    assert cache.get("key", make) == b"code"
    assert len(made) == 2
    monkeypatch.setattr(cache, "MOST_FILES", 3)
    for n in range(6):
        cache.get(f"key{n}", make)
    assert len(list((tmp_path / "programs").iterdir())) == 3


def test_no_place_for_a_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("METAGRAD_CACHE", str(tmp_path / "file"))
    assert cache.get("key", lambda: b"code") == b"code"


def test_a_key_names_text_and_processor():
    assert machine.key_of("a") != machine.key_of("b")
    assert machine.key_of("a") == machine.key_of("a")
