"""Images picked from a dataset, where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernels
from autograd_core.declare import nondifferentiable
from autograd_core.errors import DtypeError, ShapeError
from autograd_core.ops.structural import reshape, with_batch
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import Aval, Tensor, asarray, require_within

FLOAT32 = np.dtype(np.float32)


def _kernel(images: Any, rows: Any, turns: Any) -> Any:
    found = kernels.gather_images(images, rows.reshape(-1), turns.reshape(-1))
    return found.reshape(*rows.shape, *images.shape[1:])


def _batch(size: int, args: tuple, batched: tuple) -> Tensor:
    images, rows, turns = args
    rows, turns = with_batch(rows, batched[1], size), with_batch(turns, batched[2], size)
    if batched[0]:  # the datasets become one
        count = images.shape[1]
        images = reshape(images, (size * count, *images.shape[2:]))
        rows = rows + np.arange(size).reshape(-1, *[1] * (rows.ndim - 1)) * count
    return bind(gather_images_p, (images, rows, turns), {})


def _domain(draw: Any) -> tuple[tuple, dict]:
    count, side, shape = draw.integer(1, 3), draw.integer(1, 3), draw.shape(max_rank=2)
    images = draw.array((count, 2, side, side))
    if draw.integer(0, 1):
        images = (40 * (images + 3)).astype(np.uint8)
    return (images, draw.integers(shape, 0, count), draw.integers(shape, 0, 4)), {}


def _shape(images: Any, rows: Any, turns: Any) -> Aval:
    dtype = images.dtype if images.dtype.kind == "f" else FLOAT32
    return Aval((*rows.shape, *images.shape[1:]), dtype)


gather_images_p: Primitive = nondifferentiable(
    "gather_images",
    _kernel,
    shape=_shape,
    batch=_batch,
    domain=_domain,
)


def gather_images(images: Any, rows: Any, turns: Any = None) -> Tensor:
    """Images of a dataset as floats, each turned by some quarter turns, in one pass.

    Args:
        images: (M, C, H, W), uint8 (0…255 standing for 0…1) or floating point.
        rows: which ones, integers in [0, M) of any shape (…).
        turns: quarter turns of each counterclockwise, integers of that shape; none by default.

    Returns:
        (…, C, H, W), float32 for uint8, on the device of the images.

    Raises:
        DtypeError, ShapeError: the arguments are not of these kinds, or images that are to be
            turned are not square.
        IndexError: a row is out of bounds, or a turn not in [0, 4).

    >>> images = ac.asarray(np.uint8([[[[0, 255], [51, 102]]]]))
    >>> ac.nn.gather_images(images, [0], turns=[1])
    Tensor([[[[1. , 0.4],
              [0. , 0.2]]]], dtype=float32)
    """
    images, rows = asarray(images), asarray(rows)
    turns = asarray(np.zeros(rows.shape, np.int64) if turns is None else turns)
    is_image = images.dtype == np.uint8 or images.dtype.kind == "f"
    if not is_image or {rows.dtype.kind, turns.dtype.kind} - {*"iu"}:
        raise DtypeError(
            "gather_images: expected uint8 or floating images and integer rows and turns, got "
            f"{images.dtype}, {rows.dtype} and {turns.dtype}"
        )
    if images.ndim != 4 or rows.shape != turns.shape:
        raise ShapeError(
            "gather_images: expected images (M, C, H, W), and rows and turns of one shape, got "
            f"{images.shape}, {rows.shape} and {turns.shape}"
        )
    require_within(rows, 0, images.shape[0], "gather_images: row {} is out of bounds")
    most = 4 if images.shape[2] == images.shape[3] else 1
    require_within(turns, 0, most, f"gather_images: turn {{}} is not in [0, {most})")
    return bind(gather_images_p, (images, rows, turns), {})
