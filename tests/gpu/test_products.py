"""Products and convolutions as CUDA kernels give what NumPy and the reference give."""

import itertools
import math

import numpy as np
import pytest

from kernels.gpu import products
from kernels.gpu.host import HostKernels, places
from kernels.gpu.products import (
    PRECISIONS,
    TILES,
    InParts,
    product_launch,
    schedule_for,
    tensor_products,
    wanted_parts,
)
from kernels.gpu.program import launch_of
from kernels.native.products import Product
from kernels.native.windows import GatherWeights
from tests.gpu.harness import compiles, needs_host_compiler
from tests.kernels.step_cases import EPS, convolutions, draw, geometries, strides_of


def run(launches, arrays):
    """Launch kernels on their arrays, all of one module."""
    module = HostKernels("\n".join(x.source for x in launches), [x.name for x in launches])
    for each, given in zip(launches, arrays, strict=True):
        wanted = places([given[n] for n in each.operands])
        module.run(each.name, each.grid, (each.threads,), *wanted)


# Products -------------------------------------------------------------------------------------

SIZES = [
    ((), 1, 1, 1), ((), 7, 5, 3), ((3,), 13, 40, 10), ((2, 3), 4, 17, 9), ((), 33, 70, 65),
    ((), 64, 64, 16), ((), 65, 63, 17), ((2,), 1, 64, 5), ((), 100, 1, 30), ((), 15, 130, 31),
    ((), 130, 15, 33), ((2, 1, 2), 48, 48, 15),
    ((270,), 97, 49, 19),
]  # fmt: skip


def product_cases(dtype):
    for number, (stack, m, n, k) in enumerate(SIZES):
        for left, right, accumulate in itertools.product([False, True], repeat=3):
            a, b, c = (draw(dtype, *stack, *s) for s in ((m, k), (k, n), (m, n)))
            turn = lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
            a, b = turn(a) if left else a, turn(b) if right else b
            strides = strides_of(a), strides_of(b), strides_of(c)[:-1]
            product = Product(dtype, stack, m, n, k, *strides, accumulate)
            name = f"product{number}_{left:d}{right:d}{accumulate:d}"
            yield product_launch(product, name), (a, b, c), accumulate


def with_tile(monkeypatch, number):
    """Products are cut into tiles of one kind."""
    monkeypatch.setattr(products, "TILES", TILES[number : number + 1])


@needs_host_compiler
@pytest.mark.parametrize("number", range(len(TILES)))
def test_products_in_each_tile(number, monkeypatch):
    with_tile(monkeypatch, number)
    monkeypatch.setattr("tests.gpu.test_products.SIZES", SIZES[3:8])
    test_products("f8" if number % 2 else "f4")


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_products(dtype):
    cases = list(product_cases(dtype))
    expected = [
        (a.astype("f8") @ b + (c if more else 0), np.abs(a).astype("f8") @ np.abs(b) + 9)
        for _, (a, b, c), more in cases
    ]
    run(
        [x for x, _, _ in cases],
        [[x.base if x.base is not None else x for x in g] for _, g, _ in cases],
    )
    for (launch, (a, _, c), _), (wanted, scale) in zip(cases, expected, strict=True):
        bound = (a.shape[-1] + 2) * EPS[dtype] * scale
        assert np.all(np.abs(c - wanted) <= bound), launch.name


@needs_host_compiler
def test_a_matrix_for_all_of_a_stack():
    a, b, c = draw("f4", 5, 20, 8), draw("f4", 8, 30), np.zeros((5, 20, 30), "f4")
    product = Product("f4", (5,), 20, 30, 8, strides_of(a), (0, 30, 1), (600, 30))
    run([product_launch(product, "shared")], [(a, b, c)])
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "stack", "tile"),
    [
        ((40_000, 1000, 100), 1, (128, 64)),
        ((3675, 64, 576), 32, (128, 64)),
        ((40_000, 32, 288), 4, (128, 32)),
        ((640, 64, 576), 1, (16, 16)),
        ((9, 64, 50_000), 256, (16, 64)),
        ((5, 5, 64), 32, (16, 16)),
    ],
)
def test_tiles(size, stack, tile):
    assert schedule_for(size, stack, parts=1).tile[:2] == tile


def test_threads_of_tiles():
    for tile in TILES:
        assert tile.threads in (64, 128, 256)
        assert tile.rows % tile.high == tile.columns % tile.wide == 0


@needs_host_compiler
def test_entries_that_begin_anywhere_are_read_one_by_one():
    """Matrices that begin between multiples of 16 bytes, as the program says."""
    a, b = (draw("f4", 40 * 24 + 1)[1:].reshape(s) for s in ((40, 24), (24, 40)))
    c, strides = np.zeros((40, 40), "f4"), ((24, 1), (40, 1), (40,))
    launch = product_launch(Product("f4", (), 40, 40, 24, *strides), "anywhere", aligned=False)
    run([launch], [(a, b, c)])
    np.testing.assert_allclose(c, a @ b, rtol=1e-5, atol=1e-5)


@needs_host_compiler
def test_what_lies_beside_a_matrix_is_not_read():
    a, b = np.full((20, 24), np.nan, "f4"), np.full((24, 40), np.nan, "f4")
    a[:, :18], b[:18, :30] = draw("f4", 20, 18), draw("f4", 18, 30)
    b[17, 3] = np.inf  # the last term, which nothing that fills up a tile is multiplied by
    c = np.zeros((20, 30), "f4")
    launch = product_launch(Product("f4", (), 20, 30, 18, (24, 1), (40, 1), (30,)), "beside")
    run([launch], [(a, b, c)])
    np.testing.assert_allclose(c, a[:, :18] @ b[:18, :30], rtol=1e-5, atol=1e-5)


@needs_host_compiler
@pytest.mark.parametrize("precision,error", [("tf32", 2e-3), ("3xtf32", 1e-6)])
@pytest.mark.parametrize("number", [n for n, tile in enumerate(TILES) if tile.has_warps])
def test_products_by_tensor_cores(number, precision, error, monkeypatch):
    """Of rounded factors, and of factors in two parts: relative to the sum of absolute terms."""
    with_tile(monkeypatch, number)
    monkeypatch.setenv("METAGRAD_GPU_PRODUCTS", precision)
    monkeypatch.setattr("tests.gpu.test_products.SIZES", [((2,), 33, 70, 19), ((), 5, 3, 8)])
    cases = list(product_cases("f4"))
    assert all(f", {PRECISIONS[precision]}>(a, b" in x.source for x, _, _ in cases)
    before = [c.copy() for _, (_, _, c), _ in cases]
    run(
        [x for x, _, _ in cases],
        [[x.base if x.base is not None else x for x in g] for _, g, _ in cases],
    )
    for (launch, (a, b, c), more), there in zip(cases, before, strict=True):
        a, b = a.astype("f8"), b.astype("f8")
        off = np.abs(c - (a @ b + (there if more else 0))).max()
        scale = (np.abs(a) @ np.abs(b) + np.abs(there)).max()
        assert error / 1000 < off / scale < error, launch.name


def test_precisions_are_known(monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    assert tensor_products() == 1
    monkeypatch.setenv("METAGRAD_GPU_PRODUCTS", "float32")
    assert tensor_products() == 0
    monkeypatch.setenv("METAGRAD_GPU_PRODUCTS", "half")
    with pytest.raises(ValueError, match="METAGRAD_GPU_PRODUCTS=half: expected one of float32"):
        tensor_products()


PARTS = [((), 30, 70, 300, 2), ((3,), 5, 9, 129, 3), ((2, 2), 65, 17, 64, 4), ((), 4, 4, 33, 5)]
"""Stacks, rows, columns, terms, and parts: also parts that have no terms left."""


def parts_cases(dtype):
    """(launch, arrays, what the parts add up to)."""
    for number, (stack, m, n, k, parts) in enumerate(PARTS):
        a, b = draw(dtype, *stack, m, k), draw(dtype, *stack, k, n)
        product = Product(dtype, stack, m, n, k, strides_of(a), strides_of(b), (9, 9), True)
        c = np.full((parts, *stack, m, n), np.nan, dtype)
        yield launch_of(InParts(product, parts), f"parts{number}"), (a, b, c), a @ b
    for number, case in enumerate(CASES[-3:]):
        for kernel, arrays, wanted in convolutions(case, dtype):
            if isinstance(kernel, GatherWeights):
                there, c = arrays[2], np.full((3, *wanted.shape), np.nan, dtype)
                given = (*arrays[:2], c, *arrays[3:])
                yield launch_of(InParts(kernel, 3), f"weights{number}"), given, wanted - there


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_products_in_parts(dtype):
    cases = list(parts_cases(dtype))
    run([launch for launch, _, _ in cases], [arrays for _, arrays, _ in cases])
    for launch, arrays, wanted in cases:
        assert launch.grid[2] % len(arrays[2]) == 0
        np.testing.assert_allclose(
            arrays[2].sum(0), wanted, rtol=0, atol=1000 * EPS[dtype], err_msg=launch.name
        )


def test_terms_are_shared_out_where_there_are_few_tiles():
    product = lambda m, n, k: Product("f4", (), m, n, k, (k, 1), (n, 1), (n,))
    assert wanted_parts(product(64, 64, 10_000)) == 78
    assert wanted_parts(product(576, 64, 7840)) == 33
    assert wanted_parts(product(64, 64, 200)) == wanted_parts(product(2048, 2048, 10_000)) == 1
    flops, moved = InParts(product(64, 64, 1000), 5).work
    assert (flops, moved) == (2 * 64 * 64 * 1000, 4 * (2 * 64 * 1000 + 5 * 64 * 64))


# Convolutions ---------------------------------------------------------------------------------


LARGE = {
    "shape": (2, 3, 10, 10, 20),
    "filters": 70,
    "window": (3, 3),
    "stride": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "dilation": (1, 1),
}
CASES = [*geometries(10), LARGE]
WHOLE = [
    {**LARGE, "shape": (2, 3, 9, 9, 16), "filters": 64},
    {**LARGE, "shape": (1, 4, 12, 11, 3), "filters": 32},
    {**LARGE, "shape": (2, 2, 14, 14, 8), "filters": 36, "stride": (2, 2)},
]
"""Channels and filters as networks have them, which are read several at once."""


def convolution_launches(cases):
    """(launch, arrays, what the third of them becomes) for each (sizes, dtype)."""
    return [
        (launch_of(kernel, f"convolution{n}_{part}"), arrays, wanted)
        for n, (case, dtype) in enumerate(cases)
        for part, (kernel, arrays, wanted) in enumerate(convolutions(case, dtype))
    ]


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_convolutions(dtype):
    cases = convolution_launches((case, dtype) for case in CASES)
    run([launch for launch, _, _ in cases], [arrays for _, arrays, _ in cases])
    for launch, arrays, wanted in cases:
        scale = math.sqrt(wanted.size) + np.abs(wanted).max(initial=1.0)
        np.testing.assert_allclose(
            arrays[2], wanted, rtol=0, atol=60 * EPS[dtype] * scale, err_msg=launch.name
        )


@needs_host_compiler
@pytest.mark.parametrize("number", range(len(TILES)))
def test_convolutions_in_each_tile(number, monkeypatch):
    with_tile(monkeypatch, number)
    monkeypatch.setattr("tests.gpu.test_products.CASES", WHOLE)
    test_convolutions("f8" if number % 2 else "f4")


# The compiler, and what the tests would notice ------------------------------------------------


def test_nvrtc_takes_them_all():
    launches = [x for x, _, _ in product_cases("f4")][::5]
    launches += [x for x, _, _ in convolution_launches([(CASES[-1], "f4"), (CASES[-2], "f8")])]
    launches += [x for x, _, _ in parts_cases("f4")]
    compiles("\n".join(x.source for x in launches))


MUTANTS = {
    "rows for columns": ("entry[1], entry[2]}", "entry[2], entry[1]}"),
    "one row beside the image": ("down >= G::HEIGHT ||", "down > G::HEIGHT ||"),
    "no barrier before the terms are read": (
        "        __syncthreads();  // all threads' copies",
        "        // all threads' copies",
    ),
    "terms are read before they are there": (
        "wait_copies<STAGES - 2>();",
        "wait_copies<STAGES - 1>();",
    ),
    "a term too few": ("more_terms = k - start - t;", "more_terms = k - start - t - 1;"),
    "a term of B too many": ("more_columns > 0 && start + t < k", "more_columns > 0"),
    "entries behind the last term": ("at_most(left, N)", "N"),
    "nothing fetched for the next": (
        "        if (fetched < k) fetch(next, fetched);",
        "        if (fetched + BK < k) fetch(next, fetched);",
    ),
    "the terms after the next": (
        "        fetched += BK;\n        if (fetched < k) look(fetched);\n        entries",
        "        fetched += BK;\n        if (fetched < k) look(fetched + BK);\n        entries",
    ),
    "parts from the beginning": ("int fetched = first;", "int fetched = 0;"),
    "a column too few": ("s < n) c.put", "s < n - 1) c.put"),
    "no barrier before the result": (
        "        __syncthreads();\n        for (int e = me;",
        "        for (int e = me;",
    ),
    "not added": ("ADD ? place + x : x", "x"),
}


@needs_host_compiler
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_mutants_are_noticed(name, monkeypatch):
    from kernels.gpu import source

    old, new = MUTANTS[name]
    text = source.text_of("products.cuh")
    assert old in text
    changed = text.replace(old, new)
    original = source.text_of
    monkeypatch.setattr(
        source, "text_of", lambda file: changed if file == "products.cuh" else original(file)
    )
    monkeypatch.setattr("tests.gpu.test_products.SIZES", SIZES[2:5])
    monkeypatch.setattr("tests.gpu.test_products.CASES", CASES[-2:])
    with_tile(monkeypatch, 3)
    with pytest.raises(AssertionError):
        test_products("f4")
        test_what_lies_beside_a_matrix_is_not_read()
        test_convolutions("f4")
        test_products_in_parts("f4")
