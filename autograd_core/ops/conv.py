"""Convolutions and windows: the primitives. The layers that users call are in `autograd_core.nn`.

Images are channels-last, and a leading axis B goes through images and filters alike: it holds the
groups of a grouped convolution, or the tasks of a meta-batch, each with its own filters.

Images x, filters w and cotangents g are tied by one form that is linear in each of them,
Σ g · conv(x, w). Its three gradients are the three primitives, so each rule is another of the three
and derivatives of any order stay among them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import kernels
from autograd_core.declare import bilinear, linear, nondifferentiable
from autograd_core.errors import ShapeError, operation
from autograd_core.ops.structural import Aval, moveaxis, reshape, with_batch
from autograd_core.primitive import Primitive, bind
from autograd_core.tensor import Tensor

__all__: list[str] = []

Place = tuple[int, int]


# The mapped axis ------------------------------------------------------------------------------


def folded(x: Tensor, axis: int) -> Tensor:
    """The mapped axis 0 merged, as the slower index, into the axis `axis` of the elements."""
    x = moveaxis(x, 0, axis)
    return reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


def unfolded(x: Tensor, axis: int, size: int) -> Tensor:
    """What `folded` merged, as axis 0 again."""
    if size == 0:
        raise ShapeError(f"{operation()}cannot be mapped by vmap over an axis of length 0")
    x = reshape(x, (*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :]))
    return moveaxis(x, axis, 0)


def _fold_batch(
    primitive: Primitive, size: int, args: tuple, batched: tuple, params: dict, places: tuple
) -> Tensor:
    """Apply a product with axis B to mapped arguments, without a loop and without repeated work.

    Where both are mapped, the mapped axis joins B. Where one is, it joins an axis that the other
    does not have: `places[i]` says which axis of argument i, and which axis of the result.
    """
    into, out = (0, 0) if all(batched) else places[batched.index(True)]
    args = tuple(folded(x, into) if b else x for x, b in zip(args, batched, strict=True))
    return unfolded(bind(primitive, args, params), out, size)


def count_windows(size: Any, window: Any, **geometry: Any) -> Place:
    """How many windows lie on an image, in rows and columns: (Ho, Wo)."""
    return kernels.output_shape(size, window, **geometry)


# Domains --------------------------------------------------------------------------------------


def _geometry(draw: Any) -> dict:
    """A stride, padding and dilation, small."""

    def pair(low: int, high: int) -> Place:
        return draw.integer(low, high), draw.integer(low, high)

    return {"stride": pair(1, 2), "padding": (pair(0, 1), pair(0, 1)), "dilation": pair(1, 2)}


def _sizes(draw: Any) -> tuple[Place, Place, dict, Place]:
    """Image size, window, geometry, and the size of the result, at least 1 × 1."""
    window = draw.integer(1, 2), draw.integer(1, 2)
    size = draw.integer(3, 4), draw.integer(3, 4)
    geometry = _geometry(draw)
    return size, window, geometry, kernels.output_shape(size, window, **geometry)


def _conv_domain(draw: Any) -> tuple[tuple, dict]:
    size, window, geometry, _ = _sizes(draw)
    b, n, c, o = (draw.integer(1, 2) for _ in range(4))
    return (draw.array((b, n, *size, c)), draw.array((b, *window, c, o))), geometry


def _conv_input_domain(draw: Any) -> tuple[tuple, dict]:
    size, window, geometry, out = _sizes(draw)
    b, n, c, o = (draw.integer(1, 2) for _ in range(4))
    args = draw.array((b, n, *out, o)), draw.array((b, *window, c, o))
    return args, {"shape": size, **geometry}


def _conv_weight_domain(draw: Any) -> tuple[tuple, dict]:
    size, window, geometry, out = _sizes(draw)
    b, n, c, o = (draw.integer(1, 2) for _ in range(4))
    args = draw.array((b, n, *size, c)), draw.array((b, n, *out, o))
    return args, {"window": window, **geometry}


# The three products ---------------------------------------------------------------------------


def _conv_aval(x: Aval, w: Aval, **geometry: Any) -> Aval:
    size = count_windows(x.shape[2:4], w.shape[1:3], **geometry)
    return Aval((*x.shape[:2], *size, w.shape[4]), np.result_type(x.dtype, w.dtype))


def _conv_input_aval(g: Aval, w: Aval, shape: Place, **_geometry: Any) -> Aval:
    return Aval((*g.shape[:2], *shape, w.shape[3]), np.result_type(g.dtype, w.dtype))


def _conv_weight_aval(x: Aval, g: Aval, window: Place, **_geometry: Any) -> Aval:
    shape = (x.shape[0], *window, x.shape[4], g.shape[4])
    return Aval(shape, np.result_type(x.dtype, g.dtype))


conv_p = bilinear(
    "conv",
    lambda x, w, **geometry: kernels.conv(x, w, **geometry),
    left=lambda g, x_like, w, **geometry: conv_input_p(g, w, shape=x_like.shape[2:4], **geometry),
    right=lambda g, x, w_like, **geometry: conv_weight_p(
        x, g, window=w_like.shape[1:3], **geometry
    ),
    shape=_conv_aval,
    # B N H W C and B kh kw C O to B N Ho Wo O: the images join N, the filters O.
    batch=lambda size, args, batched, **geometry: _fold_batch(
        conv_p, size, args, batched, geometry, places=((1, 1), (4, 4))
    ),
    domain=_conv_domain,
    complex=True,
)
"""Cross-correlation: x (B, N, H, W, C), w (B, kh, kw, C, O) to (B, N, Ho, Wo, O)."""

conv_input_p = bilinear(
    "conv_input",
    lambda g, w, **geometry: kernels.conv_input(g, w, **geometry),
    left=lambda x, _g, w, shape, **geometry: conv_p(x, w, **geometry),  # noqa: ARG005
    right=lambda x, g, w_like, shape, **geometry: conv_weight_p(  # noqa: ARG005
        x, g, window=w_like.shape[1:3], **geometry
    ),
    shape=_conv_input_aval,
    # B N Ho Wo O and B kh kw C O to B N H W C: the cotangents join N, the filters C.
    batch=lambda size, args, batched, **params: _fold_batch(
        conv_input_p, size, args, batched, params, places=((1, 1), (3, 4))
    ),
    domain=_conv_input_domain,
    complex=True,
)
"""The transpose of `conv` in x: g (B, N, Ho, Wo, O), w (B, kh, kw, C, O) to (B, N, H, W, C)."""

conv_weight_p = bilinear(
    "conv_weight",
    lambda x, g, **geometry: kernels.conv_weight(x, g, **geometry),
    left=lambda w, x_like, g, window, **geometry: conv_input_p(  # noqa: ARG005
        g, w, shape=x_like.shape[2:4], **geometry
    ),
    right=lambda w, x, _g, window, **geometry: conv_p(x, w, **geometry),  # noqa: ARG005
    shape=_conv_weight_aval,
    # B N H W C and B N Ho Wo O to B kh kw C O: the images join C, the cotangents O.
    batch=lambda size, args, batched, **params: _fold_batch(
        conv_weight_p, size, args, batched, params, places=((4, 3), (4, 4))
    ),
    domain=_conv_weight_domain,
    complex=True,
)
"""The transpose of `conv` in w: x (B, N, H, W, C), g (B, N, Ho, Wo, O) to (B, kh, kw, C, O)."""


# Windows --------------------------------------------------------------------------------------


def _fold_images(primitive: Primitive, size: int, args: tuple, params: dict) -> Tensor:
    """Apply an operation on (N, …) to a mapped argument: the mapped axis joins N."""
    return unfolded(bind(primitive, (folded(args[0], 0),), params), 0, size)


def _unfold_domain(draw: Any) -> tuple[tuple, dict]:
    size, window, geometry, _ = _sizes(draw)
    return (draw.array((draw.integer(1, 2), *size, 2)),), {"window": window, **geometry}


def _fold_domain(draw: Any) -> tuple[tuple, dict]:
    size, window, geometry, out = _sizes(draw)
    cols = draw.array((draw.integer(1, 2), *out, *window, 2))
    return (cols,), {"shape": size, **geometry}


def _unfold_aval(x: Aval, window: Place, **geometry: Any) -> Aval:
    size = count_windows(x.shape[1:3], window, **geometry)
    return Aval((x.shape[0], *size, *window, x.shape[3]), x.dtype)


unfold_p = linear(
    "unfold",
    lambda x, **geometry: kernels.im2col(x, **geometry),
    transpose=lambda g, x_like, window, **geometry: fold_p(  # noqa: ARG005
        g, shape=x_like.shape[1:3], **geometry
    ),
    shape=_unfold_aval,
    batch=lambda size, args, _batched, **params: _fold_images(unfold_p, size, args, params),
    domain=_unfold_domain,
)
"""Every window of x (N, H, W, C), zeros on the padding: (N, Ho, Wo, kh, kw, C)."""

fold_p = linear(
    "fold",
    lambda cols, **geometry: kernels.col2im(cols, **geometry),
    transpose=lambda g, cols_like, shape, **geometry: unfold_p(  # noqa: ARG005
        g, window=cols_like.shape[3:5], **geometry
    ),
    shape=lambda cols, shape, **_: Aval((cols.shape[0], *shape, cols.shape[5]), cols.dtype),
    batch=lambda size, args, _batched, **params: _fold_images(fold_p, size, args, params),
    domain=_fold_domain,
)
"""Windows (N, Ho, Wo, kh, kw, C) added back into images (N, H, W, C): the transpose of `unfold`."""


def _pool_domain(draw: Any) -> tuple[tuple, dict]:
    window = draw.integer(1, 3), draw.integer(1, 3)
    size = draw.integer(3, 4), draw.integer(3, 4)
    before, after = (tuple(draw.integer(0, k - 1) for k in window) for _ in range(2))
    padding = tuple(zip(before, after, strict=True))
    stride = draw.integer(1, 2), draw.integer(1, 2)
    x = draw.array((draw.integer(1, 2), *size, 2))
    return (x,), {"window": window, "stride": stride, "padding": padding}


def _pool_aval(x: Aval, window: Place, **geometry: Any) -> Aval:
    size = count_windows(x.shape[1:3], window, **geometry)
    return Aval((x.shape[0], *size, x.shape[3]), np.dtype(np.int64))


pool_argmax_p = nondifferentiable(
    "pool_argmax",
    lambda x, **params: kernels.pool_argmax(x, **params),
    shape=_pool_aval,
    batch=lambda size, args, _batched, **params: _fold_images(pool_argmax_p, size, args, params),
    domain=_pool_domain,
)
"""For every window of x (N, H, W, C) the place h * W + w of its largest entry, the first at ties:
int64 (N, Ho, Wo, C). Padding is never chosen."""


def _fold_both(
    primitive: Primitive, size: int, args: tuple, batched: tuple, params: dict
) -> Tensor:
    """Apply an operation on (N, …) and (N, …): the mapped axis joins N."""
    args = tuple(folded(with_batch(x, b, size), 0) for x, b in zip(args, batched, strict=True))
    return unfolded(bind(primitive, args, params), 0, size)


def _pick_domain(draw: Any) -> tuple[tuple, dict]:
    n, length, m, c = (draw.integer(1, 3) for _ in range(4))
    return (draw.array((n, length, c)), draw.integers((n, m, c), 0, length)), {}


def _place_domain(draw: Any) -> tuple[tuple, dict]:
    n, length, m, c = (draw.integer(1, 3) for _ in range(4))
    return (draw.array((n, m, c)), draw.integers((n, m, c), 0, length)), {"size": length}


pick_p = linear(
    "pick",
    lambda x, index: kernels.take_along(x, index),
    transpose=lambda g, x_like, index: place_p(g, index, size=x_like.shape[1]),
    shape=lambda x, index: Aval(index.shape, x.dtype),
    batch=lambda size, args, batched: _fold_both(pick_p, size, args, batched, {}),
    domain=_pick_domain,
    constants=1,
)
"""The entries x[n, index[n, m, c], c] of x (N, L, C), for index (N, M, C)."""

place_p = linear(
    "place",
    lambda values, index, size: kernels.take_along_transpose(values, index, size),
    transpose=lambda g, _values, index, size: pick_p(g, index),  # noqa: ARG005
    shape=lambda values, index, size: Aval(  # noqa: ARG005
        (values.shape[0], size, values.shape[2]), values.dtype
    ),
    batch=lambda tasks, args, batched, size: _fold_both(
        place_p, tasks, args, batched, {"size": size}
    ),
    domain=_place_domain,
    constants=1,
)
"""Zeros (N, size, C), to which values[n, m, c] is added at [n, index[n, m, c], c]: the transpose of
`pick`."""
