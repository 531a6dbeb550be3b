"""Ink on paper: polylines drawn with a round pen."""

import numpy as np

EDGE = 0.6  # half the width, in pixels, over which ink fades into paper


def rasterise(points: np.ndarray, drawn: np.ndarray, radius: np.ndarray, size: int) -> np.ndarray:
    """Draw polylines, antialiased: (images, size, size) uint8, 255 for full ink.

    `points` is (images, S, P, 2) as (x, y) in pixels, the centre of the first pixel at (0, 0);
    `drawn` (images, S) bool; `radius` (images,) in pixels. A pixel is covered by how far the
    nearest line's edge lies beyond its centre, from −EDGE to EDGE pixels.
    """
    start, end = points[:, :, :-1], points[:, :, 1:]
    image = np.repeat(np.nonzero(drawn)[0], start.shape[2])
    a = start[drawn].reshape(-1, 2).astype(np.float32)
    move = end[drawn].reshape(-1, 2).astype(np.float32) - a
    squared = np.full((len(points), size * size), np.inf, np.float32)
    _stamp(squared.reshape(-1), image, a, move, float(radius.max()) + EDGE, size)
    inside = radius[:, None].astype(np.float32) - np.sqrt(squared)
    ink = np.clip(inside / (2 * EDGE) + 0.5, 0, 1)
    return np.rint(255 * ink).astype(np.uint8).reshape(-1, size, size)


def _stamp(
    squared: np.ndarray,
    image: np.ndarray,
    a: np.ndarray,
    move: np.ndarray,
    reach: float,
    size: int,
) -> None:
    """Lower `squared` to the squared distance from the segments, in a window around each."""
    longest = float(np.abs(move).max())
    width = int(np.ceil(longest + 2 * reach)) + 1
    corner = np.ceil(np.minimum(a, a + move) - reach)
    x = corner[:, 0, None] + np.arange(width, dtype=np.float32)
    y = corner[:, 1, None] + np.arange(width, dtype=np.float32)
    dx, dy = (x - a[:, 0, None])[:, None, :], (y - a[:, 1, None])[:, :, None]
    mx, my = move[:, 0, None, None], move[:, 1, None, None]
    along = (dx * mx + dy * my) / np.maximum(mx * mx + my * my, 1e-12)
    np.clip(along, 0, 1, out=along)
    distance = (dx - along * mx) ** 2 + (dy - along * my) ** 2
    inside = ((x >= 0) & (x < size))[:, None, :] & ((y >= 0) & (y < size))[:, :, None]
    inside &= distance < reach * reach
    place = (image[:, None, None] * size + y[:, :, None]) * size + x[:, None, :]
    np.minimum.at(squared, place[inside].astype(np.int64), distance[inside])
