"""Products and convolutions as CUDA kernels give what NumPy and the reference give."""

import itertools
import math

import numpy as np
import pytest

from kernels.gpu.host import HostKernels, places
from kernels.gpu.products import TILES, InParts, product_launch, tile_for, wanted_parts
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


def test_tiles():
    assert tile_for(40_000, 1000) == tile_for(1000, 64, 33) == TILES[0]
    assert tile_for(1000, 64, 32) == tile_for(48, 48) == tile_for(48, 48, 1000) == TILES[1]
    assert tile_for(1000, 12) == TILES[2] and tile_for(9, 1000) == TILES[3]
    assert tile_for(10, 40) == TILES[-1]
    assert {r // tr * (c // tc) for r, c, _, tr, tc in TILES} == {256}


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
    assert wanted_parts(product(576, 64, 7840)) == 30
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
        "        __syncthreads();\n        if (start + BK < k)",
        "        if (start + BK < k)",
    ),
    "a term too few": ("start + t < k;", "start + t < k - 1;"),
    "nothing fetched for the next": ("if (start + BK < k) fetch", "if (start + 2 * BK < k) fetch"),
    "parts from the beginning": ("int start = first;", "int start = 0;"),
    "a column too few": ("s < n) c.put", "s < n - 1) c.put"),
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
    with pytest.raises(AssertionError):
        test_products("f4")
        test_convolutions("f4")
        test_products_in_parts("f4")
