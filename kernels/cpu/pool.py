"""Pooling."""

import numpy as np

from kernels import reference
from kernels.arrays import plain, result
from kernels.cpu.lazy import compiled
from kernels.cpu.threads import split
from kernels.geometry import NO_PADDING, Padding, Pair, pooling_shape

# The least number of comparisons that are worth a thread.
GRAIN = 2**17


def pool_argmax(
    x: np.ndarray,
    window: Pair,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    out: np.ndarray | None = None,
) -> np.ndarray:
    if not _pool_argmax.supports(x.dtype):
        return reference.pool_argmax(x, window, stride, padding, out)
    size = pooling_shape(x.shape[1:3], window, stride, padding)
    images, _, _, channels = x.shape
    index = result(out, (images, *size, channels), np.int64)
    if index.size == 0:
        return index
    image = plain(x)
    geometry = (*window, *stride, padding[0][0], padding[1][0])
    split(
        images * size[0],
        GRAIN // (size[1] * channels * window[0] * window[1]),
        lambda start, stop: _pool_argmax(image, index, *geometry, start, stop),
    )
    return index


@compiled(writes="index")
def _pool_argmax(x, index, kh, kw, sh, sw, top, left, start, stop):
    """Fill rows ``start`` to ``stop`` of all images."""
    _, height, width, channels = x.shape
    _, rows, columns, _ = index.shape
    best = np.empty(channels, x.dtype)
    for place in range(start, stop):
        n = place // rows
        row = place - n * rows
        first_h = max(0, row * sh - top)
        last_h = min(height, row * sh - top + kh)
        for column in range(columns):
            first_w = max(0, column * sw - left)
            last_w = min(width, column * sw - left + kw)
            for c in range(channels):
                best[c] = x[n, first_h, first_w, c]
                index[n, row, column, c] = first_h * width + first_w
            for h in range(first_h, last_h):
                for w in range(first_w, last_w):
                    for c in range(channels):
                        value, old = x[n, h, w, c], best[c]
                        # No short circuit and no branch, so that the loop becomes vector code.
                        better = (value > old) | ((value != value) & (old == old))
                        best[c] = value if better else old
                        index[n, row, column, c] = (
                            h * width + w if better else index[n, row, column, c]
                        )
