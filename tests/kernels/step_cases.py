"""Steps of programs with arrays to run them on, for the kernels of every device."""

import numpy as np

from kernels import reference
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

RNG = np.random.default_rng(0)
EPS = {"f4": np.finfo("f4").eps, "f8": np.finfo("f8").eps}


def strides_of(x):
    return tuple(s // x.itemsize for s in x.strides)


def draw(dtype, *shape):
    return RNG.standard_normal(shape).astype(dtype)


def geometries(count):
    """Sizes of convolutions for several tasks."""
    rng = np.random.default_rng(0)
    i = lambda low, high: int(rng.integers(low, high + 1))
    return [
        {
            "shape": (i(1, 2), i(1, 5), i(7, 11), i(7, 11), i(1, 12)),
            "filters": i(1, 40),
            "window": (i(1, 4), i(1, 3)),
            "stride": (i(1, 3), i(1, 3)),
            "padding": ((i(0, 2), i(0, 2)), (i(0, 2), i(0, 2))),
            "dilation": (i(1, 2), i(1, 2)),
        }
        for _ in range(count)
    ]


def convolutions(case, dtype, copies=False):
    """(kernel, its arrays, what the third of them becomes) of a convolution and its gradients, by
    filters and by images: the kernels of the latter write to one array, and are done once all are.

    Args:
        copies: whether windows are copied to scratch, which the caller has to add.
    """
    tasks, images, height, width, channels = case["shape"]
    filters, window = case["filters"], case["window"]
    how = {name: case[name] for name in ("stride", "padding", "dilation")}
    x, w = draw(dtype, *case["shape"]), draw(dtype, tasks, *window, channels, filters)
    expected = reference.conv(x, w, **how)
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

    forward = Gather(dtype, geometry, filters, filters, rows * filters, copies, tasks, far)
    yield forward, (x, w, np.full_like(expected, 9), places, zeros), expected

    stacked = (far[0], far[2], far[1])
    weights = GatherWeights(dtype, geometry, filters, rows * filters, filters, tasks, stacked)
    wanted = 1 + reference.conv_weight(x, g, window=window, **how)
    yield weights, (x, g, np.ones_like(w), places, zeros), wanted

    into, back = np.zeros_like(x), (rows * filters, size[1] * filters, filters)
    wanted = reference.conv_input(g, w, shape=(height, width), **how)
    turned = np.ascontiguousarray(w.swapaxes(-1, -2))
    for each in transposed_windows((height, width), window, **how):
        if not each.taps:
            continue
        n = len(each.pixels)
        taps = tuple(Tap(d, r, t * channels * filters) for d, r, t in each.taps)
        group = group_of(images, n)
        geometry = Geometry(images, group, n, taps, size, *back, 1, filters)
        places = table(each.begins, each.pixels @ np.array(steps[1:]), group, back, steps[0])
        stacked = (far[2], far[1], far[0])
        kernel = Gather(dtype, geometry, channels, channels, steps[0], False, tasks, stacked)
        yield kernel, (g, turned, into, places, zeros), wanted
