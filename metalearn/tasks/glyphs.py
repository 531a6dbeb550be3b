"""Glyphs: handwriting-like characters drawn from random strokes, as many classes as you like.

A character is one to four strokes. A stroke is walked with a pen: it starts in a heading and turns
smoothly over each third of its way, or sharply between the thirds, which gives lines, arcs,
loops, hooks, waves and corners. Strokes are tied to each other at chosen points, so that they
meet and cross as in writing. Someone's drawing of the character is the same walk with each heading,
turn and length a little off, then a small affine map and a pen of its own width.

That is the idea of the generative model of Lake, Salakhutdinov & Tenenbaum 2015, with hand-set
numbers in place of learnt ones; they were chosen so that stroke width, amount of ink, size and
place come out as in Omniglot at 28×28.
"""

from typing import NamedTuple

import numpy as np

from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess
from metalearn.tasks.random import normals, stream_key, uniforms
from metalearn.tasks.raster import rasterise

MAX_STROKES = 4
STROKE_COUNTS = (0.22, 0.34, 0.27, 0.17)  # probabilities of 1, 2, 3 and 4 strokes
STEPS = 6  # of the pen, in each third of a stroke
CHUNK = 256  # images drawn at a time, so that the work stays in the processor's cache


class _Kind(NamedTuple):
    """A family of strokes: ranges in degrees, and how unequal its thirds may be in length."""

    weight: float  # among the strokes of a character
    alone: float  # as a character's only stroke, where lines and arcs say too little
    turns: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    corners: tuple[tuple[float, float], tuple[float, float]]
    uneven: float


_NONE = (0.0, 0.0)
_STRAIGHT = (_NONE, _NONE, _NONE)
_SMOOTH = (_NONE, _NONE)
_KINDS = (
    _Kind(0.34, 0.02, _STRAIGHT, _SMOOTH, 0.0),  # line
    _Kind(0.09, 0.02, ((10, 50), (20, 50), (10, 50)), _SMOOTH, 0.2),  # arc
    _Kind(0.10, 0.08, ((50, 80), (60, 100), (50, 80)), _SMOOTH, 0.3),  # bowl: c, u
    _Kind(0.07, 0.04, ((110, 125), (110, 125), (110, 125)), _SMOOTH, 0.05),  # ring: o
    _Kind(0.06, 0.10, ((-10, 10), (-10, 20), (120, 200)), _SMOOTH, 0.4),  # hook: j, l
    _Kind(0.04, 0.10, (_NONE, (150, 190), _NONE), _SMOOTH, 0.3),  # crook: n, a cane
    _Kind(0.04, 0.12, ((90, 170), (-40, 40), (-170, -90)), _SMOOTH, 0.3),  # wave: s
    _Kind(0.03, 0.10, ((0, 60), (290, 350), (0, 60)), _SMOOTH, 0.3),  # eyelet: e, a running l
    _Kind(0.04, 0.10, ((60, 110), (60, 110), _NONE), ((-10, 10), (-150, -90)), 0.3),  # 2
    _Kind(0.03, 0.10, (_NONE, (40, 80), (80, 140)), ((-110, -70), _NONE), 0.3),  # 5
    _Kind(0.02, 0.08, ((150, 200), (80, 110), (80, 110)), ((-180, -140), _NONE), 0.2),  # 3
    _Kind(0.07, 0.04, _STRAIGHT, ((70, 120), (-10, 10)), 0.5),  # corner: L, V
    _Kind(0.04, 0.06, _STRAIGHT, ((80, 140), (-140, -80)), 0.5),  # zigzag: Z, N
    _Kind(0.03, 0.04, _STRAIGHT, ((80, 110), (80, 110)), 0.5),  # bracket: [
)
_WEIGHT_EDGES = np.cumsum([kind.weight for kind in _KINDS])[:-1]
_ALONE_EDGES = np.cumsum([kind.alone for kind in _KINDS])[:-1]
_TURNS = np.radians([kind.turns for kind in _KINDS])  # (kinds, 3, low and high)
_CORNERS = np.radians([kind.corners for kind in _KINDS])  # (kinds, 2, low and high)
_UNEVEN = np.array([kind.uneven for kind in _KINDS])
# Writing goes right and down, less often aslant; y points down.
_HEADINGS = np.radians([0, 0, 0, 0, 90, 90, 90, 90, 90, 50, 130, 180])


class Strokes(NamedTuple):
    """The strokes of characters; `...` is any leading shape, S = MAX_STROKES. Angles in radians."""

    drawn: np.ndarray  # (..., S) bool, whether the character has this stroke
    heading: np.ndarray  # (..., S), where the pen sets off to
    turns: np.ndarray  # (..., S, 3), turned smoothly over each third
    corners: np.ndarray  # (..., S, 2), turned at once between thirds
    lengths: np.ndarray  # (..., S, 3), of the thirds
    parent: np.ndarray  # (..., S) int, the earlier stroke that this one is tied to
    parent_at: np.ndarray  # (..., S), where on the parent, 0 its start and 1 its end
    own_at: np.ndarray  # (..., S), with which point of its own
    offset: np.ndarray  # (..., S, 2), how far from there


def load_glyphs(
    classes: int = 1000, samples: int = 20, seed: int = 0, size: int = 28
) -> ImageDataset:
    """Draw `classes` characters, `samples` times each: images (1, size, size), ink 1 on paper 0.

    Class c and its sample s are the same for every number of classes and samples: a larger
    dataset of a seed holds the smaller one. Classes are named "glyph00000", "glyph00001", ….
    Raises `DataError` when a number is below 1 or the size is not in 8…256.
    """
    if classes < 1 or samples < 1 or not 8 <= size <= 256:
        raise DataError(
            f"glyphs: classes={classes}, samples={samples}, size={size}; expected at least one "
            "class and sample, and a size from 8 to 256"
        )
    prototypes = _prototypes(_uniform(seed, "glyphs", 0, classes, _CLASS_NUMBERS))
    images = np.empty((classes, samples, 1, size, size), np.uint8)
    step = max(1, CHUNK // samples)
    for first in range(0, classes, step):
        chunk = range(first, min(first + step, classes))
        uniform = np.stack(
            [_uniform(seed, "glyph samples", c, samples, _SAMPLE_NUMBERS) for c in chunk]
        )
        images[first : chunk.stop, :, 0] = _draw(_take(prototypes, chunk), uniform, size)
    names = tuple(f"glyph{c:05d}" for c in range(classes))
    return ImageDataset(
        name="glyphs",
        images=images.reshape(-1, 1, size, size),
        classes=names,
        counts=np.full(classes, samples, dtype=np.int64),
        preprocess=Preprocess(size=size),
    )


def _uniform(seed: int, stream: str, iteration: int, rows: int, count: int) -> np.ndarray:
    return uniforms(stream_key(seed, stream), iteration, range(rows), count)


def _take(strokes: Strokes, chunk: range) -> Strokes:
    """The prototypes of some classes, with an axis for the samples."""
    return Strokes(*(part[chunk.start : chunk.stop, None] for part in strokes))


# A class.

_CLASS_NUMBERS = 1 + 21 * MAX_STROKES


def _prototypes(uniform: np.ndarray) -> Strokes:
    """(classes, _CLASS_NUMBERS) random numbers to the strokes of each class."""
    count = np.searchsorted(np.cumsum(STROKE_COUNTS)[:-1], uniform[:, 0], side="right") + 1
    u = np.moveaxis(uniform[:, 1:].reshape(len(uniform), MAX_STROKES, 21), -1, 0)
    strokes = np.arange(MAX_STROKES)
    kind = np.searchsorted(_WEIGHT_EDGES, u[0], side="right")
    alone = np.searchsorted(_ALONE_EDGES, u[0], side="right")
    kind = np.where(count[:, None] == 1, alone, kind)
    side = np.where(u[1] < 0.5, -1.0, 1.0)[..., None]
    thirds = 1 + _UNEVEN[kind][..., None] * (2 * _vectors(u[9:12]) - 1)
    shape = Strokes(
        drawn=strokes < count[:, None],
        heading=_HEADINGS[(u[2] * len(_HEADINGS)).astype(int)] + np.radians(20) * (u[3] - 0.5),
        turns=side * _between(_TURNS[kind], _vectors(u[4:7])),
        corners=side * _between(_CORNERS[kind], _vectors(u[7:9])),
        lengths=thirds * (0.15 + 0.3 * u[12][..., None]),
        parent=(u[13] * np.maximum(strokes, 1)).astype(int),
        parent_at=_joint(u[14], u[15]),
        own_at=_joint(u[16], u[17]),
        offset=np.zeros((*u[0].shape, 2)),
    )
    return _with_companions(_with_right_angles(shape, u[20]), u[18], u[19])


def _between(ranges: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    return ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * uniform


def _vectors(parts: np.ndarray) -> np.ndarray:
    """(n, ...) to (..., n)."""
    return np.moveaxis(parts, 0, -1)


def _joint(where: np.ndarray, along: np.ndarray) -> np.ndarray:
    """A start, a middle or an end, or now and then a point between."""
    return np.select([where < 0.35, where < 0.6, where < 0.85], [0.0, 0.5, 1.0], along)


def _with_right_angles(strokes: Strokes, choice: np.ndarray) -> Strokes:
    """Let some strokes set off square to their parent, as the bars of E and H do."""
    for s in range(1, MAX_STROKES):
        parent = np.take_along_axis(strokes.heading, strokes.parent[:, s, None], axis=-1)[:, 0]
        across = choice[:, s] < 0.45
        strokes.heading[across, s] = np.pi / 2 - parent[across]
    return strokes


def _with_companions(strokes: Strokes, repeats: np.ndarray, aside: np.ndarray) -> Strokes:
    """Let some strokes repeat the one before beside it, and some stand apart from their parent."""
    angle = 2 * np.pi * aside
    beside = 0.35 * np.stack([np.abs(np.cos(angle)), np.sin(angle)], axis=-1)
    apart = (repeats > 0.85)[..., None]
    strokes = strokes._replace(offset=np.where(apart, beside, 0.0))
    for s in range(1, MAX_STROKES):
        again = repeats[:, s] < 0.16
        for part in (strokes.heading, strokes.turns, strokes.corners, strokes.lengths):
            part[again, s] = part[again, s - 1]
        strokes.parent[again, s] = s - 1
        strokes.parent_at[again, s] = strokes.own_at[again, s] = 0.0
        strokes.offset[again, s] = beside[again, s]
    return strokes


# A drawing of it.

_WALK_NUMBERS = 12 * MAX_STROKES
_SAMPLE_NUMBERS = _WALK_NUMBERS + 8


def _draw(strokes: Strokes, uniform: np.ndarray, size: int) -> np.ndarray:
    """Strokes (classes, 1, S, …) and random numbers (classes, samples, …) to uint8 images."""
    noise = normals(uniform)
    walked = _walk(_jitter(strokes, noise[..., :_WALK_NUMBERS]))
    points = _fit(walked, _walk(strokes), strokes.drawn, noise[..., _WALK_NUMBERS:])
    # Pens differ a little from one drawing to the next.
    radius = 0.80 + 0.05 * np.clip(noise[..., -1], -2, 2)
    drawn = np.broadcast_to(strokes.drawn, points.shape[:3])
    flat = points.reshape(-1, *points.shape[2:]) * (size / 28)
    images = rasterise(flat, drawn.reshape(-1, MAX_STROKES), radius.reshape(-1) * size / 28, size)
    return images.reshape(*points.shape[:2], size, size)


def _jitter(strokes: Strokes, noise: np.ndarray) -> Strokes:
    """The same walk with each of its numbers a little off."""
    n = np.moveaxis(noise.reshape(*noise.shape[:-1], MAX_STROKES, 12), -1, 0)
    return strokes._replace(
        heading=strokes.heading + np.radians(6) * n[0],
        turns=strokes.turns + (0.12 * np.abs(strokes.turns) + np.radians(7)) * _vectors(n[1:4]),
        corners=strokes.corners * (1 + 0.12 * _vectors(n[4:6])),
        lengths=strokes.lengths * np.exp(0.16 * _vectors(n[6:9])),
        parent_at=np.clip(strokes.parent_at + 0.06 * n[9], 0, 1),
        offset=strokes.offset + 0.03 * _vectors(n[10:12]),
    )


def _walk(strokes: Strokes) -> np.ndarray:
    """The pen's way: (..., S, 3·STEPS + 1, 2) points of each stroke, y pointing down."""
    corners = np.concatenate([np.zeros_like(strokes.corners[..., :1]), strokes.corners], axis=-1)
    before = np.cumsum(strokes.turns + corners, axis=-1) - strokes.turns
    within = (np.arange(STEPS) + 0.5) / STEPS
    heading = (strokes.heading[..., None] + before)[..., None] + strokes.turns[..., None] * within
    moves = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    moves *= (strokes.lengths / STEPS)[..., None, None]
    moves = moves.reshape(*moves.shape[:-3], 3 * STEPS, 2)
    points = np.concatenate([np.zeros_like(moves[..., :1, :]), moves], axis=-2).cumsum(axis=-2)
    return _tie(points, strokes)


def _tie(points: np.ndarray, strokes: Strokes) -> np.ndarray:
    """Move each stroke so that its own joint lies on its parent's."""
    for s in range(1, MAX_STROKES):
        parent = np.take_along_axis(points, strokes.parent[..., s, None, None, None], axis=-3)
        target = _point_at(parent[..., 0, :, :], strokes.parent_at[..., s])
        own = _point_at(points[..., s, :, :], strokes.own_at[..., s])
        points[..., s, :, :] += (target + strokes.offset[..., s, :] - own)[..., None, :]
    return points


def _point_at(path: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    place = np.rint(fraction * (path.shape[-2] - 1)).astype(int)
    place = np.broadcast_to(place, path.shape[:-2])
    return np.take_along_axis(path, place[..., None, None], axis=-2)[..., 0, :]


def _fit(
    walked: np.ndarray, prototype: np.ndarray, drawn: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Put drawings on a 28×28 page: a small affine map, the class's size, inside the edges."""
    low, high = _bounds(prototype, drawn)
    extent = (high - low).max(axis=-1)
    # A long way of the pen makes a large character, up to what the page holds.
    scale = np.clip(18.5 * extent**0.45, 7.0, 20.0) / extent
    turn, shear, wide, tall, dx, dy = np.moveaxis(noise[..., :6], -1, 0)
    turn, shear = np.radians(4) * turn, 0.10 * shear
    wide, tall = scale * np.exp(0.09 * wide), scale * np.exp(0.09 * tall)
    x = walked[..., 0] - walked[..., 1] * (turn + shear)[..., None, None]
    y = walked[..., 1] + walked[..., 0] * turn[..., None, None]
    points = np.stack([x * wide[..., None, None], y * tall[..., None, None]], axis=-1)
    low, high = _bounds(points, drawn)
    shrink = np.minimum(1.0, 24.0 / (high - low).max(axis=-1))[..., None]
    low, high, points = low * shrink, high * shrink, points * shrink[..., None, None]
    centre = np.array([13.3, 13.0]) + 1.3 * np.stack([dx, dy], axis=-1)
    half = (high - low) / 2
    centre = np.clip(centre, half + 1.0, 26.0 - half)
    return points + (centre - (low + high) / 2)[..., None, None, :]


def _bounds(points: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the box around the drawn strokes, (..., 2) each."""
    mask = drawn[..., None, None]
    low = np.where(mask, points, np.inf).min(axis=(-3, -2))
    high = np.where(mask, points, -np.inf).max(axis=(-3, -2))
    return low, high
