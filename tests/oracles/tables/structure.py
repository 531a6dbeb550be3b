"""Shapes, joining, cutting, indexing and creation."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.rows import (
    WIDE,
    Row,
    X,
    normal,
    same,
)

A = (2, 3, 4)


STRUCTURE = [
    same("reshape", (4, -1)),
    same("transpose", (2, 0, 1), theirs="permute"),
    Row("transpose", normal(A), theirs=lambda _t, x: x.permute(2, 1, 0)),
    same("permute_dims", (1, 2, 0), theirs="permute"),
    same("moveaxis", 0, -1),
    same("moveaxis", (0, 1), (2, 0)),
    same("swapaxes", 0, -1),
    Row("matrix_transpose", normal(A), theirs=lambda _t, x: x.mT),
    Row(
        "broadcast_to",
        normal((3, 1)),
        lambda x: ac.broadcast_to(x, (2, 3, 4)),
        lambda t, x: t.broadcast_to(x, (2, 3, 4)),
    ),
    Row("broadcast_arrays", normal((3, 1), (4,)), theirs="broadcast_tensors"),
    same("expand_dims", 1, theirs="unsqueeze"),
    same("expand_dims", -1, theirs="unsqueeze"),
    Row("squeeze", normal((1, 3, 1))),
    same("squeeze", 0, make=normal((1, 3, 1))),
    same("squeeze", (0, -1), make=normal((1, 3, 1))),
    Row("ravel", normal(A)),
    same("flip", (0,)),
    same("flip", (0, 2)),
    Row("fliplr", normal(A)),
    Row("flipud", normal(A)),
    same("roll", 1),
    same("roll", -2, 1),
    same("roll", (1, 2), (0, -1)),
    *[same("rot90", k, axes) for k in (1, 2, 3, 4) for axes in ((0, 1), (2, 0))],
    same("tile", (2, 1, 3)),
    same("tile", (2, 2), make=normal((3,))),
    same("repeat", 2, 1, theirs="repeat_interleave"),
    Row(
        "repeat",
        normal((3, 2)),
        lambda x: ac.repeat(x, [2, 0, 1], 0),
        lambda t, x: t.repeat_interleave(x, t.tensor([2, 0, 1]), 0),
        "counts",
    ),
    *[
        Row(f"atleast_{d}d", normal(s), tag=f"{s}")
        for d in (1, 2, 3)
        for s in ((), (3,), (2, 3), A)
    ],
    *[
        Row(
            name,
            normal(*shapes),
            lambda *xs, name=name: getattr(ac, name)(xs),
            lambda t, *xs, name=name: getattr(t, name)(xs),
            f"{shapes}",
        )
        for name in ("hstack", "vstack", "dstack", "column_stack")
        for shapes in (((3,), (3,)), ((2, 3), (2, 3)))
    ],
    *[
        Row(
            "concatenate",
            normal((2, 3), (2, 1), (2, 2)),
            lambda *xs, a=a: ac.concatenate(xs, a),
            lambda t, *xs, a=a: t.concatenate(xs, a),
            f"{a}",
        )
        for a in (1, -1)
    ],
    Row(
        "concatenate",
        normal((2, 3), (4,)),
        lambda *xs: ac.concatenate(xs, None),
        lambda t, *xs: t.concatenate([x.ravel() for x in xs]),
        "flat",
    ),
    *[
        Row(
            "stack",
            normal((2, 3), (2, 3)),
            lambda *xs, a=a: ac.stack(xs, a),
            lambda t, *xs, a=a: t.stack(xs, a),
            f"{a}",
        )
        for a in (0, 1, -1)
    ],
    Row("append", normal((2, 3), (4,)), theirs=lambda t, x, y: t.cat([x.ravel(), y])),
    Row(
        "append",
        normal((2, 3), (2, 1)),
        lambda x, y: ac.append(x, y, 1),
        lambda t, x, y: t.cat([x, y], 1),
        "axis",
    ),
    Row("split", normal((6, 2)), lambda x: ac.split(x, 3), lambda t, x: t.tensor_split(x, 3)),
    Row(
        "split",
        normal((2, 7)),
        lambda x: ac.split(x, [2, 3, 9], -1),
        lambda t, x: t.tensor_split(x, (2, 3, 9), -1),
        "places",
    ),
    Row(
        "array_split",
        normal((7, 2)),
        lambda x: ac.array_split(x, 3),
        lambda t, x: t.tensor_split(x, 3),
    ),
    Row("unstack", normal(A), lambda x: ac.unstack(x, 1), lambda t, x: t.unbind(x, 1)),
    Row("delete", normal((5, 2)), lambda x: ac.delete(x, [1, -1], 0), lambda _t, x: x[[0, 2, 3]]),
    Row(
        "delete",
        normal((2, 2)),
        lambda x: ac.delete(x, 1),
        lambda _t, x: x.ravel()[[0, 2, 3]],
        "flat",
    ),
    Row(
        "delete",
        normal((5,)),
        lambda x: ac.delete(x, slice(1, 4), 0),
        lambda _t, x: x[[0, 4]],
        "slice",
    ),
    Row("astype", normal(A), lambda x: ac.astype(x, float), lambda _t, x: x.double()),
    Row("astype", WIDE, lambda x: ac.astype(x, np.int32), lambda _t, x: x.int(), "integer"),
    Row("asarray", normal(A), theirs=lambda _t, x: x),
    Row("to_device", normal(A), lambda x: ac.asarray(x).to_device("cpu"), lambda _t, x: x.cpu()),
    Row("stop_gradient", normal(A), theirs=lambda _t, x: x.detach()),
    Row("meshgrid", normal((3,), (2,)), theirs=lambda t, x, y: t.meshgrid(x, y, indexing="xy")),
    Row(
        "meshgrid",
        normal((3,), (2,), (4,)),
        lambda *xs: ac.meshgrid(*xs, indexing="ij"),
        lambda t, *xs: t.meshgrid(*xs, indexing="ij"),
        "ij",
    ),
    Row("full", normal(()), lambda v: ac.full((2, 3), v), lambda _t, v: v.expand(2, 3)),
    Row(
        "full_like",
        normal(X, ()),
        lambda x, v: ac.full_like(x, v),
        lambda _t, _x, v: v.expand(3, 4),
    ),
    Row(
        "linspace",
        normal((2,), (2,)),
        lambda a, b: ac.linspace(a, b, 5),
        lambda t, a, b: a + t.linspace(0, 1, 5).double()[:, None] * (b - a),
    ),
    Row(
        "linspace",
        normal((), ()),
        lambda a, b: ac.linspace(a, b, 4, endpoint=False),
        lambda t, a, b: a + t.arange(4).double() / 4 * (b - a),
        "open",
    ),
    Row("ones_like", normal(X)),
    Row("zeros_like", normal(X)),
    Row("empty_like", normal(X), theirs="zeros_like"),
    Row(
        "take",
        lambda rng: (rng.normal(size=A), rng.integers(0, 3, (2, 5))),
        lambda x, i: ac.take(x, i, 1),
        lambda t, x, i: t.index_select(x, 1, i.ravel()).reshape(2, 2, 5, 4),
    ),
    Row("take", lambda rng: (rng.normal(size=A), rng.integers(0, 24, (2, 5))), tag="flat"),
    Row(
        "take_along_axis",
        lambda rng: (rng.normal(size=A), rng.integers(-3, 3, (2, 5, 4))),
        lambda x, i: ac.take_along_axis(x, i, 1),
        lambda t, x, i: t.take_along_dim(x, i % 3, 1),
    ),
    Row(
        "take_along_axis",
        lambda rng: (rng.normal(size=A), rng.integers(0, 4, (1, 3, 2))),
        lambda x, i: ac.take_along_axis(x, i),
        lambda t, x, i: t.take_along_dim(x, i, -1),
        "broadcast",
    ),
    Row("getitem", normal(A), lambda x: x[:, [2, 0, 0]], lambda _t, x: x[:, [2, 0, 0]]),
]

PADDINGS: list[tuple[Any, str]] = [
    (((1, 0), (0, 2)), "constant"),
    (((2, 1), (1, 3)), "edge"),
    (((7, 5), (0, 9)), "reflect"),
    (((7, 5), (0, 9)), "symmetric"),
    (((7, 5), (0, 9)), "wrap"),
]

JAX_STRUCTURE = [
    Row("array", normal(X)),
    Row("copy", normal(X)),
    Row("divmod", WIDE, lambda x: ac.divmod(x, 0.7), lambda t, x: t.divmod(x, 0.7)),
    Row("modf", WIDE),
    *[
        Row(
            name,
            normal((4, 4, 4)),
            lambda x, name=name: getattr(ac, name)(x, [1, 3]),
            lambda t, x, name=name: getattr(t, name)(x, [1, 3]),
        )
        for name in ("hsplit", "vsplit", "dsplit")
    ],
    Row("hsplit", normal((4,)), lambda x: ac.hsplit(x, 2), lambda t, x: t.hsplit(x, 2), "vector"),
    *[
        Row(
            "pad",
            normal((3, 4)),
            lambda x, w=w, mode=mode: ac.pad(x, w, mode),
            lambda t, x, w=w, mode=mode: t.pad(x, w, mode),
            f"{mode} {w}",
        )
        for w, mode in PADDINGS
    ],
    Row(
        "pad",
        normal((3, 4), ()),
        lambda x, v: ac.pad(x, ((1, 2), (0, 1)), value=v),
        lambda t, x, v: t.pad(x, ((1, 2), (0, 1)), constant_values=v),
        "value",
    ),
]
