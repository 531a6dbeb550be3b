"""Fused loops as CUDA kernels do what the loops say."""

import dataclasses
import itertools

import numpy as np
import pytest

from kernels.gpu import loops
from kernels.gpu.loops import FUNCTIONS, OPERATORS, SHORT, THREADS, alike, launch
from kernels.gpu.program import steps_of
from kernels.loops import Access, Constant, Loop, Op, Store
from kernels.native.program import Call, Routine
from tests.gpu import harness
from tests.gpu.harness import compiles, launches, meaning, needs_host_compiler, run, source_of

RNG = np.random.default_rng(0)
NUMPY = {"b1": "?"}


def dense(shape):
    strides, reach = [], 1
    for n in reversed(shape):
        strides.append(reach)
        reach *= n
    return tuple(reversed(strides))


def draw(dtype, *shape):
    if dtype == "b1":
        return RNG.random(shape) < 0.5
    if dtype[0] in "iu":
        return RNG.integers(0 if dtype[0] == "u" else -9, 9, shape).astype(dtype)
    return RNG.standard_normal(shape).astype(dtype)


def same(cases, tolerance=16):
    """What the kernels leave in all arrays is what the loops mean: by so many roundings."""
    expected = [[x.copy() for x in arrays] for _, arrays in cases]
    run(cases)
    for (loop, arrays), wanted in zip(cases, expected, strict=True):
        meaning(loop, wanted)
        for got, y in zip(arrays, wanted, strict=True):
            if got.dtype.kind == "f" and got.dtype.itemsize > 2:
                scale = np.abs(y[np.isfinite(y)]).max(initial=1.0)
                close = dict(
                    rtol=tolerance * np.finfo(y.dtype).eps,
                    atol=tolerance * np.finfo(y.dtype).eps * scale,
                )
                np.testing.assert_allclose(got, y, **close, err_msg=str(loop))
            else:
                np.testing.assert_array_equal(got, y, err_msg=str(loop))


# Operations -----------------------------------------------------------------------------------

TWO = ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "copysign")
COMPARE = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
LOGIC = ("logical_and", "logical_or", "logical_xor")
EXTREME = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3.5, -2.5, 1e-30, 80.0, -100.0])


def operation_cases():
    """Each operation on each dtype, at ordinary and extreme values, with arrays and constants."""
    cases = []
    grid = np.array(list(itertools.product(EXTREME, EXTREME))).T

    def case(op, dtype, *arrays):
        out = np.zeros(arrays[0].shape, NUMPY.get(op.dtype, op.dtype))
        loads = tuple(Access(n, dtype_of(x), dense(x.shape)) for n, x in enumerate(arrays))
        stores = (Store(Access(len(arrays), op.dtype, dense(out.shape)), len(arrays)),)
        cases.append((Loop(out.shape, (*loads, op), stores), [*arrays, out]))

    def dtype_of(x):
        return "b1" if x.dtype == bool else f"{x.dtype.kind}{x.dtype.itemsize}"

    for dtype in ("f4", "f8"):
        x, y = (np.ascontiguousarray(g.astype(dtype)) for g in grid)
        for name in sorted({*FUNCTIONS, *OPERATORS} - {*COMPARE, *LOGIC, "logical_not", "where"}):
            case(
                Op(name, dtype, (0, 1) if name in TWO else (0,)),
                dtype,
                *((x, y) if name in TWO else (x,)),
            )
        for name in COMPARE:
            case(Op(name, "b1", (0, 1)), dtype, x, y)
            case(Op(name, "b1", (0, Constant(1.0))), dtype, x)
        case(Op("where", dtype, (0, 1, 2)), dtype, x > y, x, y)
        case(Op("where", dtype, (0, 1, Constant(float("-inf")))), dtype, x > y, x)
        for value in (0.1, -0.0, float("nan"), float("inf"), 1e-40, 3.0):
            case(Op("copysign", dtype, (0, Constant(value))), dtype, x)
            case(Op("add", dtype, (0, Constant(value))), dtype, x)
    for dtype in ("i4", "i8"):
        ends = np.iinfo(dtype)
        x = np.array([ends.min, ends.max, 0, 1, -1, 7] * 6, dtype)
        y = np.repeat(np.array([ends.min, ends.max, 0, 1, -1, 7], dtype), 6)
        for name in ("add", "subtract", "multiply", "maximum", "minimum"):
            case(Op(name, dtype, (0, 1)), dtype, x, y)
        case(Op("negative", dtype, (0,)), dtype, x)
        case(Op("minimum", dtype, (0, Constant(int(ends.min)))), dtype, x)
        for name in COMPARE:
            case(Op(name, "b1", (0, 1)), dtype, x, y)
    p, q = np.array([[False, False, True, True], [False, True, False, True]])
    for name in LOGIC:
        case(Op(name, "b1", (0, 1)), "b1", p.copy(), q.copy())
    case(Op("logical_not", "b1", (0,)), "b1", p.copy())
    for old, new in itertools.permutations(("f4", "f8", "i4", "i8", "b1"), 2):
        case(Op("cast", new, (0,)), old, draw(old, 33))
    return cases


@needs_host_compiler
def test_operations():
    same(operation_cases())


def test_every_operation_of_the_cpu_is_there():
    from kernels.native import nests

    known = {*FUNCTIONS, *OPERATORS}
    assert {*nests.FLOAT_OPS, *nests.INTEGER_OPS, *nests.COMPARISONS, *nests.LOGIC} <= known


@needs_host_compiler
def test_quotients_are_rounded_correctly():
    extreme = np.array([*EXTREME, 1e-42, -1e38, 1e38, 3e-39, 2.0**126, 2.0**-126, 7.0], "f4")
    ends = np.array(list(itertools.product(extreme, extreme)), "f4").T
    scales = np.float32(2) ** RNG.integers(-60, 60, (2, 20_000)).astype("f4")
    x, y = np.concatenate([ends, RNG.standard_normal((2, 20_000)).astype("f4") * scales], 1)
    out = np.zeros_like(x)
    loads = [Access(n, "f4", (1,)) for n in range(2)]
    loop = Loop(x.shape, (*loads, Op("divide", "f4", (0, 1))), (Store(Access(2, "f4", (1,)), 2),))
    run([(loop, [x.copy(), y.copy(), out])])
    with np.errstate(all="ignore"):
        wanted = x / y
    there = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.isnan(out), ~there)
    np.testing.assert_array_equal(out[there].view("i4"), wanted[there].view("i4"))


@needs_host_compiler
def test_copies_of_every_dtype():
    cases = []
    for dtype in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
        x = draw(dtype, 5, 7)
        loop = Loop((7, 5), (Access(0, dtype, (1, 7)),), (Store(Access(1, dtype, (5, 1)), 0),))
        cases.append((loop, [x, np.zeros((7, 5), x.dtype)]))
    same(cases)


def several_cases():
    """Loops on many entries, with all kinds of accesses, that can go by several and that cannot."""
    add = lambda x, y, dtype="f4": Op("add", dtype, (x, y))
    for shape, strides in [
        ((3, 40), (40, 1)), ((2, 3, 8), (80, 24, 1)), ((600, 4), (4, 1)),
        ((3, 10), (10, 1)), ((3, 8), (9, 1)), ((8, 3), (1, 8)),
    ]:  # fmt: skip
        x, out = draw("f4", 2500), draw("f4", 2500)
        row, mask = draw("f4", shape[0]), draw("b1", 2500)
        first = (1, *(0 for _ in shape[1:]))
        loads = (
            Access(0, "f4", strides), Access(1, "f4", first), Access(2, "b1", strides, 4),
        )  # fmt: skip
        body = (*loads, add(0, 1), Op("where", "f4", (2, 3, Constant(2.0))), Op("cast", "f8", (4,)))
        wide = np.zeros(2500)
        stores = (
            Store(Access(3, "f4", strides, 8), 4, None, True),
            Store(Access(4, "f8", strides), 5),
            Store(Access(0, "f4", strides), 3),
        )
        yield Loop(shape, body, stores), [x, row, mask, out, wide]


@needs_host_compiler
def test_neighbouring_entries_at_once(monkeypatch):
    monkeypatch.setattr(loops, "MANY", 1)
    cases = list(several_cases())
    assert [loops.goes_by_several(loop) for loop, _ in cases] == [True] * 3 + [False] * 3
    same(cases)


@needs_host_compiler
def test_entries_that_begin_anywhere_are_not_read_at_once(monkeypatch):
    monkeypatch.setattr(loops, "MANY", 1)
    loop, _ = next(several_cases())
    assert "Several" in launch(loop, "loop").source
    assert "Several" not in launch(loop, "loop", aligned=False).source
    for far, told in ((16, True), (8, False)):
        call = Call(loop, tuple((n, far) for n in range(5)))
        (((step,),),) = steps_of([Routine((call,))])
        assert ("Several" in step.launch.source) == told


# Reductions -----------------------------------------------------------------------------------

EDGES = (1, 2, 31, 32, 33, 255, 256, 257, SHORT, SHORT + 1, 1000)


def gather(dtype, reduce, shape, axes, order=None, accumulate=False):
    """A reduction of 2x or of x over axes, with the loop's axes in another order than memory's."""
    order = order or tuple(range(len(shape)))
    x = draw(dtype, *shape)
    kept = [a for a in range(len(shape)) if a not in axes]
    out = draw(dtype, *(shape[a] for a in kept))
    inner = dict(zip(kept, dense(out.shape), strict=True))
    strides = dense(shape)
    loop = Loop(
        tuple(shape[a] for a in order),
        (
            Access(0, dtype, tuple(strides[a] for a in order)),
            Op("multiply", dtype, (0, Constant(2))),
        ),
        (Store(Access(1, dtype, tuple(inner.get(a, 0) for a in order)), 1, reduce, accumulate),),
    )
    return loop, [x, out]


@needs_host_compiler
@pytest.mark.parametrize("reduce", ["sum", "max", "min"])
def test_reductions_at_the_edges_of_warps_and_blocks(reduce):
    same(
        [
            gather("f4", reduce, shape, axes)
            for n in EDGES
            for shape, axes in (((3, n), (1,)), ((n, 3), (0,)), ((n,), (0,)), ((n, 35), (0,)))
        ],
        tolerance=300,
    )


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "i4"])
def test_reductions_over_any_axes_in_any_order(dtype):
    kinds = ("sum", "max", "min")
    same(
        [
            gather(dtype, kinds[n % 3], (5, 7, 19), axes, order, accumulate=n % 2 == 0)
            for k in range(1, 4)
            for axes in itertools.combinations(range(3), k)
            for n, order in enumerate(itertools.permutations(range(3)))
        ],
        tolerance=300,
    )


@needs_host_compiler
def test_several_reductions_and_stores_in_one_loop():
    x, y = draw("f4", 9, 40), draw("f4", 40)
    arrays = [x, y, np.zeros((9, 40), "f4"), *(np.zeros(s, "f4") for s in (9, 40, (), 9))]
    body = (
        Access(0, "f4", (40, 1)),
        Access(1, "f4", (0, 1)),
        Op("multiply", "f4", (0, 1)),
        Op("exp", "f4", (2,)),
    )
    stores = (
        Store(Access(2, "f4", (40, 1)), 2),
        Store(Access(3, "f4", (1, 0)), 3, "sum"),
        Store(Access(4, "f4", (0, 1)), 0, "max"),
        Store(Access(5, "f4", (0, 0)), 3, "sum"),
        Store(Access(6, "f4", (1, 0)), 2, "min"),
    )
    loop = Loop((9, 40), body, stores)
    parts = alike(loop)
    assert [len(p.stores) for p in parts] == [3, 1, 1]
    assert len(parts[1].body) == 1  # the largest of x needs x alone
    same([(loop, arrays)], tolerance=300)
    with pytest.raises(ValueError, match="loops of their own"):
        launch(loop, "all")


# Places ---------------------------------------------------------------------------------------


@needs_host_compiler
def test_places():
    """Offsets, negative strides, axes of length 1, no axes, more points than threads."""
    x = draw("f4", 6, 8)
    turned = Loop((8, 3), (Access(0, "f4", (-1, 16), 7),), (Store(Access(1, "f4", (3, 1)), 0),))
    body = (Access(0, "f8", ()), Op("exp", "f8", (0,)))
    single = Loop((), body, (Store(Access(1, "f8", ()), 1),))
    into = Access(1, "f4", (9, 8, 0, 1))
    ones = Loop((1, 6, 1, 8), (Access(0, "f4", (0, 8, 5, 1)),), (Store(into, 0, None, True),))
    cases = [
        (turned, [x, np.zeros((8, 3), "f4")]),
        (single, [draw("f8", 1), np.zeros(1)]),
        (ones, [x, np.ones((6, 8), "f4")]),
    ]
    for n in (THREADS - 1, THREADS, THREADS + 1, 3 * THREADS + 5):
        loop = Loop((n,), (Access(0, "f4", (1,)),), (Store(Access(1, "f4", (1,)), 0),))
        cases.append((loop, [draw("f4", n), np.zeros(n, "f4")]))
    same(cases)


@needs_host_compiler
def test_few_blocks_do_all(monkeypatch):
    """Blocks go on with what is left where there are fewer of them than work."""
    monkeypatch.setattr("kernels.gpu.loops.MOST_BLOCKS", 2)
    n = 5 * THREADS + 3
    loop = Loop((n,), (Access(0, "f4", (1,)),), (Store(Access(1, "f4", (1,)), 0),))
    same(
        [
            (loop, [draw("f4", n), np.zeros(n, "f4")]),
            gather("f4", "sum", (300, 33), (1,)),
            gather("f4", "sum", (33, 300), (0,)),
            gather("f4", "sum", (7, 1000), (1,)),
        ],
        tolerance=300,
    )


# The compiler ---------------------------------------------------------------------------------


def test_nvrtc_takes_them_all(monkeypatch):
    monkeypatch.setattr(loops, "MANY", 100)
    cases = [loop for loop, _ in [*operation_cases(), *several_cases()]]
    cases += [
        gather("f8", r, (40, 40), a)[0] for r in ("sum", "max", "min") for a in ((0,), (1,), (0, 1))
    ]
    cases.append(Loop((2**31 + 5,), (Access(0, "f4", (1,)),), (Store(Access(1, "f4", (1,)), 0),)))
    compiles(source_of(launches(cases)))


# What the tests would notice ------------------------------------------------------------------

MUTANTS = {
    "no join of a warp": ("t0 = join_warp<Sum>(t0);", ""),
    "no barrier": ("__syncthreads();", ""),
    "the first lane does not count": ("int k = lane;", "int k = lane + 1;"),
    "one term too few": ("k < 33;", "k < 32;"),
    "one row too few": ("row < 40", "row < 39"),
}


@needs_host_compiler
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_mutants_are_noticed(name, monkeypatch):
    old, new = MUTANTS[name]
    fired = []

    def broken(loop, named):
        made = launch(loop, named)
        fired.append(old in made.source)
        return dataclasses.replace(made, source=made.source.replace(old, new))

    monkeypatch.setattr(harness, "launch", broken)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        same(
            [gather("f4", "sum", (40, 33), (1,)), gather("f4", "sum", (33, 40), (0,))],
            tolerance=300,
        )
    assert any(fired)
