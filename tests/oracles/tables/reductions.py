"""Reductions, scans and sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.rows import (
    CUBE,
    Row,
    X,
    booleans,
    integers,
    normal,
    uniform,
)

AXES: list[Any] = [None, 0, -1, (0, 2), (-1, 0, 1)]


def _reduction(name: str, theirs: Any, make: Any = CUBE, axes: Any = AXES) -> list[Row]:
    """A reduction over each choice of axes, the axes kept and not."""
    return [
        Row(
            name,
            make,
            lambda x, axis=axis, keep=keep: getattr(ac, name)(x, axis=axis, keepdims=keep),
            lambda t, x, axis=axis, keep=keep: theirs(t, x, axis, keep),
            f"{axis}{' kept' if keep else ''}",
        )
        for axis in axes
        for keep in (False, True)
    ]


def _all_axes(x: Any, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def _torch_prod(t: Any, x: Any, axis: Any, keep: bool) -> Any:
    for a in sorted((a % x.ndim for a in np.atleast_1d(_all_axes(x, axis))), reverse=True):
        x = t.prod(x, int(a), keepdim=keep)
    return x


def _torch_middle(q: float) -> Any:
    def middle(t: Any, x: Any, axis: Any, keep: bool) -> Any:
        axes = [a % x.ndim for a in np.atleast_1d(_all_axes(x, axis))]
        moved = t.movedim(x, axes, list(range(-len(axes), 0))).flatten(x.ndim - len(axes))
        out = t.quantile(moved, q, dim=-1)
        return out.reshape([1 if i in axes else n for i, n in enumerate(x.shape)]) if keep else out

    return middle


def _some_nan(rng: np.random.Generator) -> tuple:
    x = rng.normal(size=(2, 3, 4))
    x[0, 1, 2] = x[1, :2, 0] = np.nan
    return (x,)


ONE_AXIS: list[Any] = [0, 1, -1]

REDUCTIONS = [
    *_reduction("sum", lambda t, x, a, k: t.sum(x, _all_axes(x, a), keepdim=k)),
    *_reduction("mean", lambda t, x, a, k: t.mean(x, _all_axes(x, a), keepdim=k)),
    *_reduction("nansum", lambda t, x, a, k: t.nansum(x, _all_axes(x, a), keepdim=k), _some_nan),
    *_reduction("nanmean", lambda t, x, a, k: t.nanmean(x, _all_axes(x, a), keepdim=k), _some_nan),
    *_reduction("var", lambda t, x, a, k: t.var(x, _all_axes(x, a), correction=0, keepdim=k)),
    *_reduction("std", lambda t, x, a, k: t.std(x, _all_axes(x, a), correction=0, keepdim=k)),
    *_reduction("max", lambda t, x, a, k: t.amax(x, _all_axes(x, a), keepdim=k)),
    *_reduction("min", lambda t, x, a, k: t.amin(x, _all_axes(x, a), keepdim=k)),
    *_reduction("amax", lambda t, x, a, k: t.amax(x, _all_axes(x, a), keepdim=k), axes=[1]),
    *_reduction("amin", lambda t, x, a, k: t.amin(x, _all_axes(x, a), keepdim=k), axes=[1]),
    *_reduction(
        "ptp",
        lambda t, x, a, k: t.amax(x, _all_axes(x, a), k) - t.amin(x, _all_axes(x, a), k),
    ),
    *_reduction("logsumexp", lambda t, x, a, k: t.logsumexp(x, _all_axes(x, a), keepdim=k)),
    Row(
        "logsumexp",
        lambda _rng: (np.zeros((2, 0)),),
        lambda x: ac.logsumexp(x, 1),
        lambda t, x: t.logsumexp(x, 1),
        "of nothing",
    ),
    *_reduction("prod", _torch_prod),
    *_reduction("norm", lambda t, x, a, k: t.linalg.vector_norm(x, 2, _all_axes(x, a), k)),
    *_reduction("median", _torch_middle(0.5)),
    Row(
        "median",
        normal((3, 1, 5)),
        lambda x: ac.median(x),
        lambda t, x: t.median(x),
        "odd",
    ),
    *_reduction("average", lambda t, x, a, k: t.mean(x, _all_axes(x, a), keepdim=k)),
    *_reduction("all", lambda t, x, a, k: t.all(x, _all_axes(x, a), k), booleans((2, 2, 2))),
    *_reduction("any", lambda t, x, a, k: t.any(x, _all_axes(x, a), k), booleans((2, 2, 2))),
    *_reduction("argmax", lambda t, x, a, k: t.argmax(x, a, k), axes=[*ONE_AXIS, None]),
    *_reduction("argmin", lambda t, x, a, k: t.argmin(x, a, k), axes=[*ONE_AXIS, None]),
    *_reduction(
        "count_nonzero",
        lambda t, x, a, k: t.sum(x != 0, _all_axes(x, a), keepdim=k),
        integers(0, 2, (2, 3, 4)),
    ),
    *[
        Row(
            "norm",
            CUBE,
            lambda x, p=p: ac.norm(x, p, axis=(0, 2)),
            lambda t, x, p=p: t.linalg.vector_norm(x, p, (0, 2)),
            f"p={p}",
        )
        for p in (0, 1, 1.5, 2, 3, np.inf)
    ],
    Row("var", CUBE, lambda x: ac.var(x, 1, ddof=1), lambda t, x: t.var(x, 1), "ddof"),
    Row("std", CUBE, lambda x: ac.std(x, 1, ddof=1), lambda t, x: t.std(x, 1), "ddof"),
    Row(
        "average",
        lambda rng: (*CUBE(rng), rng.uniform(0.5, 2, 3)),
        lambda x, w: ac.average(x, 1, w),
        lambda _t, x, w: (x * w[:, None]).sum(1) / w.sum(),
        "weights of an axis",
    ),
    Row(
        "average",
        uniform(0.5, 2, (2, 3), (2, 3)),
        lambda x, w: ac.average(x, weights=w),
        lambda _t, x, w: (x * w).sum() / w.sum(),
        "weights",
    ),
    *[
        Row(
            name,
            normal((2, 4, 3)),
            lambda x, name=name, a=a: getattr(ac, name)(x, a),
            lambda t, x, name=name, a=a: getattr(t, name)(x, a),
            f"{a}",
        )
        for name in ("cumsum", "cumprod", "softmax", "log_softmax")
        for a in ONE_AXIS
    ],
    Row("prod", lambda _rng: (np.array([2.0, 0.0, 3.0]),), tag="zero"),
    Row("prod", lambda _rng: (np.array([2.0, 0.0, 0.0, 3.0]),), tag="zeros"),
    Row(
        "cumulative_sum",
        CUBE,
        lambda x: ac.cumulative_sum(x, axis=1, include_initial=True),
        lambda t, x: t.cat([0 * x[:, :1], t.cumsum(x, 1)], 1),
    ),
    Row(
        "cumulative_prod",
        CUBE,
        lambda x: ac.cumulative_prod(x, axis=-1, include_initial=True),
        lambda t, x: t.cat([0 * x[..., :1] + 1, t.cumprod(x, -1)], -1),
    ),
    Row("cumsum", normal(X), lambda x: ac.cumsum(x), lambda t, x: t.cumsum(x.ravel(), 0), "flat"),
    Row(
        "cumprod", normal(X), lambda x: ac.cumprod(x), lambda t, x: t.cumprod(x.ravel(), 0), "flat"
    ),
    *[
        Row(
            "diff",
            normal((3, 4)),
            lambda x, n=n, a=a: ac.diff(x, n, a),
            lambda t, x, n=n, a=a: t.diff(x, n, a),
            f"{n} {a}",
        )
        for n, a in ((1, -1), (2, 0), (0, 1))
    ],
    Row("trapezoid", normal((2, 5))),
    Row(
        "trapezoid",
        lambda rng: (rng.normal(size=(2, 5)), np.sort(rng.normal(size=5))),
        tag="places",
    ),
    Row(
        "trapezoid",
        normal((5, 2)),
        lambda y: ac.trapezoid(y, dx=0.5, axis=0),
        lambda t, y: t.trapezoid(y, dx=0.5, dim=0),
        "dx",
    ),
    *[
        Row(
            "quantile",
            CUBE,
            lambda x, q=q, a=a, k=k: ac.quantile(x, q, a, k),
            lambda t, x, q=q, a=a, k=k: t.quantile(x, t.tensor(q, dtype=t.float64), a, keepdim=k),
            f"{q} {a} {k}",
        )
        for q, a, k in ((0.3, 1, False), ([0.0, 0.25, 1.0], -1, True), (0.7, None, False))
    ],
]

SORTING = [
    *[
        Row(
            name,
            CUBE,
            lambda x, name=name, a=a: getattr(ac, name)(x, a),
            lambda t, x, name=name, a=a: getattr(t, name)(x, dim=a),
            f"{a}",
        )
        for name in ("argsort",)
        for a in ONE_AXIS
    ],
    *[
        Row(
            "sort",
            CUBE,
            lambda x, a=a: ac.sort(x, a),
            lambda t, x, a=a: t.sort(x, dim=a)[0],
            f"{a}",
        )
        for a in ONE_AXIS
    ],
    Row("sort", CUBE, lambda x: ac.sort(x, None), lambda t, x: t.sort(x.ravel())[0], "flat"),
    Row(
        "sort",
        CUBE,
        lambda x: ac.sort(x, axis=1, descending=True),
        lambda t, x: t.sort(x, dim=1, descending=True)[0],
        "descending",
    ),
    Row(
        "unique_values",
        lambda _rng: (np.array([[3.0, 1.0], [3.0, -2.0]]),),
        theirs=lambda t, x: t.stack([x[1, 1], x[0, 1], x[0, 0]]),
    ),
    *[
        Row(
            name,
            lambda _rng: (np.array([3, 1, 3, 5, 1]),),
            lambda x, name=name: tuple(getattr(ac, name)(x)),
            lambda t, x, places=places: [
                [*t.unique(x, return_inverse=True, return_counts=True), t.tensor([1, 0, 3])][i]
                for i in places
            ],
        )
        for name, places in (
            ("unique_all", (0, 3, 1, 2)),
            ("unique_counts", (0, 2)),
            ("unique_inverse", (0, 1)),
        )
    ],
    Row("isin", lambda _rng: (np.array([[3, 1], [4, 9]]), np.array([1, 4, 5]))),
    Row(
        "argsort",
        integers(0, 3, (3, 9)),
        lambda x: ac.argsort(x),
        lambda t, x: t.argsort(x, stable=True),
        "ties",
    ),
    *[
        Row(
            "topk",
            CUBE,
            lambda x, k=k, a=a, largest=largest: ac.topk(x, k, a, largest),
            lambda t, x, k=k, a=a, largest=largest: t.topk(x, k, a, largest),
            f"{k} {a} {largest}",
        )
        for k, a, largest in ((2, -1, True), (3, 1, False), (1, 0, True))
    ],
    *[
        Row(
            "searchsorted",
            lambda rng: (np.array([0.0, 1.0, 1.0, 2.0]), rng.integers(-1, 4, (3, 2)) * 1.0),
            lambda a, v, side=side: ac.searchsorted(a, v, side),
            lambda t, a, v, side=side: t.searchsorted(a, v, side=side),
            side,
        )
        for side in ("left", "right")
    ],
    Row(
        "nonzero",
        integers(0, 2, (3, 4)),
        lambda x: ac.nonzero(x),
        lambda t, x: t.nonzero(x, as_tuple=True),
    ),
]
