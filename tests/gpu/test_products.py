"""Products and convolutions as CUDA kernels give what NumPy and the reference give."""

import itertools
import math

import numpy as np
import pytest

import kernels
from kernels.gpu.host import HostKernels
from kernels.gpu.products import TILES, gather_launch, product_launch, tile_for, weights_launch
from kernels.native.products import Product
from kernels.native.windows import (
    Gather,
    GatherWeights,
    Geometry,
    Tap,
    forward_windows,
    group_of,
    table,
    transposed_windows,
)
from tests.gpu.harness import compiles, needs_host_compiler

RNG = np.random.default_rng(0)
EPS = {"f4": np.finfo("f4").eps, "f8": np.finfo("f8").eps}


def strides_of(x):
    return tuple(s // x.itemsize for s in x.strides)


def draw(dtype, *shape):
    return RNG.standard_normal(shape).astype(dtype)


def run(launches, arrays):
    """Launch kernels on their arrays, all of one module."""
    module = HostKernels("\n".join(x.source for x in launches), [x.name for x in launches])
    for each, given in zip(launches, arrays, strict=True):
        module.run(each.name, each.grid, (each.threads,), *given)


# Products -------------------------------------------------------------------------------------

SIZES = [
    ((), 1, 1, 1), ((), 7, 5, 3), ((3,), 13, 40, 10), ((2, 3), 4, 17, 9), ((), 33, 70, 65),
    ((), 64, 64, 16), ((), 65, 63, 17), ((2,), 1, 64, 5), ((), 100, 1, 30), ((), 15, 130, 31),
    ((), 130, 15, 33), ((2, 1, 2), 48, 48, 15),
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
    assert tile_for(1000, 1000) == TILES[0]
    assert tile_for(48, 48) == TILES[0]
    assert tile_for(1000, 12) == TILES[1] and tile_for(12, 1000) == TILES[2]
    assert tile_for(10, 40) == TILES[-1]
    assert {r // tr * (c // tc) for r, c, _, tr, tc in TILES} == {256}


# Convolutions ---------------------------------------------------------------------------------


def draw_case():
    i = lambda low, high: int(RNG.integers(low, high + 1))
    return {
        "shape": (i(1, 2), i(1, 5), i(7, 11), i(7, 11), i(1, 12)),
        "filters": i(1, 40),
        "window": (i(1, 4), i(1, 3)),
        "stride": (i(1, 3), i(1, 3)),
        "padding": ((i(0, 2), i(0, 2)), (i(0, 2), i(0, 2))),
        "dilation": (i(1, 2), i(1, 2)),
    }


LARGE = {
    "shape": (2, 3, 10, 10, 20),
    "filters": 70,
    "window": (3, 3),
    "stride": (1, 1),
    "padding": ((1, 1), (1, 1)),
    "dilation": (1, 1),
}
CASES = [*(draw_case() for _ in range(10)), LARGE]


def convolutions(case, dtype, number):
    """(launch, arrays, what the third of them becomes) of a convolution and both its gradients."""
    tasks, images, height, width, channels = case["shape"]
    filters, window = case["filters"], case["window"]
    how = {name: case[name] for name in ("stride", "padding", "dilation")}
    x, w = draw(dtype, *case["shape"]), draw(dtype, tasks, *window, channels, filters)
    expected = kernels.reference.conv(x, w, **how)
    size, g = expected.shape[2:4], draw(dtype, *expected.shape)
    windows = forward_windows(size, window, **how)
    rows = len(windows.pixels)
    taps = tuple(Tap(d, r, n * channels * filters) for d, r, n in windows.taps)
    steps = (height * width * channels, width * channels, channels)
    geometry = Geometry(
        images, group_of(images, rows), rows, taps, (height, width), *steps, 1, channels
    )
    places = table(windows.begins, np.arange(rows) * filters, geometry.group, steps, rows * filters)
    zeros = np.zeros(max(channels, filters), dtype)
    far = (x[0].size, w[0].size, expected[0].size)

    forward = Gather(dtype, geometry, filters, filters, rows * filters, False, tasks, far)
    out = np.full_like(expected, 9)
    yield gather_launch(forward, f"forward{number}"), (x, w, out, places, zeros), expected

    turned = (far[0], far[2], far[1])
    weights = GatherWeights(dtype, geometry, filters, rows * filters, filters, False, tasks, turned)
    wanted = 1 + kernels.reference.conv_weight(x, g, window=window, **how)
    arrays = (x, g, np.ones_like(w), places, zeros)
    yield weights_launch(weights, f"weights{number}"), arrays, wanted

    into, back = np.zeros_like(x), (rows * filters, size[1] * filters, filters)
    wanted = kernels.reference.conv_input(g, w, shape=(height, width), **how)
    flipped = np.ascontiguousarray(w.swapaxes(-1, -2))
    for part, each in enumerate(transposed_windows((height, width), window, **how)):
        if not each.taps:
            continue
        n = len(each.pixels)
        taps = tuple(Tap(d, r, t * channels * filters) for d, r, t in each.taps)
        group = group_of(images, n)
        geometry = Geometry(images, group, n, taps, size, *back, 1, filters)
        places = table(each.begins, each.pixels @ np.array(steps[1:]), group, back, steps[0])
        stacked = (far[2], far[1], far[0])
        kernel = Gather(dtype, geometry, channels, channels, steps[0], False, tasks, stacked)
        arrays = (g, flipped, into, places, np.zeros(filters, dtype))
        yield gather_launch(kernel, f"input{number}_{part}"), arrays, wanted


@needs_host_compiler
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_convolutions(dtype):
    cases = [x for n, case in enumerate(CASES) for x in convolutions(case, dtype, n)]
    run([launch for launch, _, _ in cases], [arrays for _, arrays, _ in cases])
    for launch, arrays, wanted in cases:
        scale = math.sqrt(wanted.size) + np.abs(wanted).max(initial=1.0)
        np.testing.assert_allclose(
            arrays[2], wanted, rtol=0, atol=60 * EPS[dtype] * scale, err_msg=launch.name
        )


# The compiler, and what the tests would notice ------------------------------------------------


def test_nvrtc_takes_them_all():
    launches = [x for x, _, _ in product_cases("f4")][::5]
    launches += [
        launch
        for number, (case, dtype) in enumerate([(CASES[-1], "f4"), (CASES[-2], "f8")])
        for launch, _, _ in convolutions(case, dtype, number)
    ]
    compiles("\n".join(x.source for x in launches))


MUTANTS = {
    "rows for columns": ("entry[1], entry[2]}", "entry[2], entry[1]}"),
    "one row beside the image": ("down >= G::HEIGHT ||", "down > G::HEIGHT ||"),
    "no barrier before the terms are read": (
        "        __syncthreads();\n        for (int t = 0; t < BK; ++t) {",
        "        for (int t = 0; t < BK; ++t) {",
    ),
    "a term too few": ("start + t < k;", "start + t < k - 1;"),
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
