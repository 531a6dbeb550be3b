"""Products, einsum and linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.rows import (
    Row,
    X,
    normal,
    rows_of,
)

PRODUCTS = [
    Row(
        "vecdot",
        normal((2, 1, 4), (3, 4)),
        theirs=lambda t, x, y: t.linalg.vecdot(*t.broadcast_tensors(x, y)),
    ),
    *[
        Row("matmul", normal(a, b), tag=f"{a} {b}")
        for a, b in (
            ((2, 3), (3, 4)),
            ((3,), (3,)),
            ((3,), (3, 4)),
            ((2, 3), (3,)),
            ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)),
            ((5, 1, 2, 3), (4, 3, 2)),
            ((3,), (5, 3, 4)),
            ((5, 2, 3), (3,)),
        )
    ],
    Row("dot", normal((2, 3), (3, 4)), theirs="matmul"),
    Row("dot", normal((3,), (3,)), tag="vectors"),
    Row("dot", normal((), X), theirs="multiply", tag="number"),
    Row(
        "dot",
        normal((2, 5, 3), (4, 3, 2)),
        theirs=lambda t, x, y: t.tensordot(x, y, ([2], [1])),
        tag="cubes",
    ),
    Row("vdot", normal((3,), (3,))),
    Row("inner", normal((2, 3), (4, 3))),
    Row("outer", normal((3,), (4,))),
    *[
        Row(
            "tensordot",
            normal((2, 3, 4), (3, 4, 2)),
            lambda x, y, axes=axes: ac.tensordot(x, y, axes),
            lambda t, x, y, axes=axes: t.tensordot(x, y, axes),
            f"{axes}",
        )
        for axes in (2, ([1], [0]), ([0, 2], [2, 1]), 0)
    ],
    Row("kron", normal((2, 3), (4, 2))),
    Row("kron", normal((2,), (4, 2)), tag="ranks"),
    Row("cross", normal((2, 3), (2, 3)), theirs="linalg.cross"),
    Row(
        "cross",
        normal((3, 2), (3, 1)),
        lambda x, y: ac.cross(x, y, 0),
        lambda t, x, y: t.linalg.cross(x, y, dim=0),
        "axis",
    ),
]

EINSUMS = [
    "ij,jk->ik",
    "ij,jk",
    "ij,kj->ki",
    "i,i",
    "i,j",
    "ij->ji",
    "ij->",
    "ij->j",
    "ii",
    "ii->i",
    "iij->j",
    "ba",
    "...ij,...jk->...ik",
    "...i,i->...",
    "i...->...i",
    "bi,bi->b",
    "bhqd,bhkd->bhqk",
    "i,i,i->i",
    "ij,jk,kl->il",
    "ab,bc,cd,da->",
    "ij,ik,il->jkl",
    "ab,ab,c->",
    "ijk,ilm,njm,nlk->",
    "aab,fa,df,ecc->bde",
    "b i, b o -> b io",
]
LENGTHS = dict(zip("abcdefhijklmnoq", [2, 3, 4, 2, 3, 2, 3, 2, 3, 2, 3, 4, 2, 3, 2], strict=True))


def _einsum_operands(subscripts: str) -> Any:
    terms = subscripts.replace(" ", "").partition("->")[0].split(",")
    shapes = []
    for term in terms:
        before, dots, after = term.partition("...")
        middle = (3, 2) if dots else ()
        shapes.append(
            (*(LENGTHS[c] for c in before), *middle, *(LENGTHS[c] for c in after)),
        )
    return normal(*shapes)


EINSUM = [
    Row(
        "einsum",
        _einsum_operands(s),
        lambda *xs, s=s: ac.einsum(s, *xs),
        lambda t, *xs, s=s: t.einsum(s.replace(" ", ""), *xs),
        s,
    )
    for s in EINSUMS
]


# Linear algebra: the other library's gauge is turned into ours by the same signs ---------------


def _spectral(*shape: int, low: float = 0.5) -> Any:
    """Matrices with singular values low, low + 1, …: well conditioned and apart."""

    def make(rng: np.random.Generator) -> tuple:
        *lead, m, n = shape
        k = min(m, n)
        u = np.linalg.qr(rng.normal(size=(*lead, m, k)))[0]
        v = np.linalg.qr(rng.normal(size=(*lead, n, k)))[0]
        return ((u * (low + np.arange(k))) @ v.swapaxes(-1, -2),)

    return make


def _symmetric(*shape: int, low: float) -> Any:
    def make(rng: np.random.Generator) -> tuple:
        v = np.linalg.qr(rng.normal(size=shape))[0]
        return ((v * (low + np.arange(shape[-1]))) @ v.swapaxes(-1, -2),)

    return make


def _signs(t: Any, v: Any) -> Any:
    largest = t.take_along_dim(v, v.abs().argmax(-2, keepdim=True), -2)
    return t.where(largest < 0, -1.0, 1.0)


def _torch_eigh(t: Any, x: Any) -> Any:
    w, v = t.linalg.eigh((x + x.mT) / 2)
    return w, v * _signs(t, v)


def _torch_svd(t: Any, x: Any) -> Any:
    u, s, vt = t.linalg.svd(x, full_matrices=False)
    return u * _signs(t, u), s, vt * _signs(t, u).mT


def _torch_qr(t: Any, x: Any) -> Any:
    q, r = t.linalg.qr(x)
    signs = t.where(t.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    return q * signs[..., None, :], r * signs[..., :, None]


SQUARE = _spectral(2, 3, 3)
RIGHT = lambda *shape: lambda rng: (*_spectral(2, 3, 3)(rng), rng.normal(size=shape))

LINALG = [
    *rows_of(SQUARE, "", inv="linalg.inv", det="linalg.det", slogdet="linalg.slogdet"),
    Row("det", _spectral(2, 5, 5), theirs="linalg.det", tag="5×5"),
    Row("solve", RIGHT(2, 3, 4), theirs="linalg.solve"),
    Row("solve", RIGHT(3, 4), theirs="linalg.solve", tag="one right side"),
    Row(
        "solve",
        RIGHT(3),
        theirs=lambda t, a, b: t.linalg.solve(a, b[:, None])[..., 0],
        tag="vector",
    ),
    *[
        Row(
            "triangular_solve",
            RIGHT(2, 3, 4),
            lambda a, b, low=low: ac.triangular_solve(
                a + 3 * np.eye(3, dtype=a.dtype), b, lower=low
            ),
            lambda t, a, b, low=low: t.linalg.solve_triangular(
                (t.tril if low else t.triu)(a + 3 * t.eye(3)), b, upper=not low
            ),
            f"{low}",
        )
        for low in (True, False)
    ],
    *[
        Row("pinv", _spectral(2, m, n), theirs="linalg.pinv", tag=f"{m}×{n}")
        for m, n in ((4, 2), (2, 4), (3, 3))
    ],
    Row(
        "cholesky",
        _symmetric(2, 3, 3, low=0.5),
        theirs=lambda t, x: t.linalg.cholesky((x + x.mT) / 2),
    ),
    *[Row("qr", _spectral(2, m, n), theirs=_torch_qr, tag=f"{m}×{n}") for m, n in ((4, 3), (3, 3))],
    *[
        Row("svd", _spectral(2, m, n), theirs=_torch_svd, tag=f"{m}×{n}")
        for m, n in ((4, 2), (2, 4), (3, 3))
    ],
    Row("eigh", _symmetric(2, 4, 4, low=-1.7), theirs=_torch_eigh),
    *[
        Row(
            "matrix_power",
            SQUARE,
            lambda x, n=n: ac.matrix_power(x, n),
            lambda t, x, n=n: t.linalg.matrix_power(x, n),
            f"{n}",
        )
        for n in (-2, -1, 1, 2, 5)
    ],
    *[
        Row(
            "matrix_norm",
            _spectral(2, 4, 3),
            lambda x, p=p, k=k: ac.matrix_norm(x, p, k),
            lambda t, x, p=p, k=k: t.linalg.matrix_norm(x, p, keepdim=k),
            f"{p} {k}",
        )
        for p, k in (("fro", False), ("nuc", True), (1, True), (2, False), (np.inf, False))
    ],
    *[
        Row(
            "diagonal",
            normal((2, 3, 4)),
            lambda x, o=o, a=a, b=b: ac.diagonal(x, o, a, b),
            lambda t, x, o=o, a=a, b=b: t.diagonal(x, o, a, b),
            f"{o} {a} {b}",
        )
        for o, a, b in (
            (0, -2, -1),
            (1, -2, -1),
            (-1, 1, 2),
            (3, -2, -1),
            (-2, -2, -1),
            (1, 0, 2),
            (0, 2, 0),
        )
    ],
    *[
        Row(
            name,
            normal(s),
            lambda x, n=name, k=k: getattr(ac, n)(x, k),
            lambda t, x, n=name, k=k: getattr(t, n)(x, k),
            f"{s} {k}",
        )
        for name, shapes in (
            ("diag", ((3,), (3, 4))),
            ("tril", ((2, 3, 4),)),
            ("triu", ((2, 4, 3),)),
        )
        for s in shapes
        for k in (0, 1, -2)
    ],
    Row("trace", normal((3, 4)), theirs=lambda t, x: t.diagonal(x).sum()),
    Row(
        "trace",
        normal((2, 3, 3)),
        lambda x: ac.trace(x, 1, 0, 2),
        lambda t, x: t.diagonal(x, 1, 0, 2).sum(-1),
        "axes",
    ),
]


def _jax_wide_qr(t: Any, x: Any) -> Any:
    q, r = t.linalg.qr(x[:, : x.shape[0]])
    signs = t.where(t.diagonal(r) < 0, -1.0, 1.0)
    q, r = q * signs, r * signs[:, None]
    return q, t.concatenate([r, q.T @ x[:, x.shape[0] :]], 1)


JAX_LINEAR = [
    Row("qr", _spectral(2, 4), theirs=lambda t, x: _jax_wide_qr(t, x), tag="2×4"),
    Row("det", _spectral(3, 3, low=0.0), theirs="linalg.det", tag="singular"),
]
