"""`ac.linalg`, of real and of complex matrices: those of the other library in our gauge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.rows import Row, normal
from tests.oracles.tables.complex import of_parts


def _unitary(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=shape) + 1j * rng.normal(size=shape))[0]


def spectral(*shape: int, low: float = 0.5, imaginary: bool = True) -> Callable:
    """Matrices with singular values low, low + 1, …: well conditioned and apart."""

    def make(rng: np.random.Generator) -> tuple:
        *lead, m, n = shape
        k = min(m, n)
        u, v = _unitary(rng, *lead, m, k), _unitary(rng, *lead, n, k)
        if not imaginary:
            u, v = np.linalg.qr(u.real)[0], np.linalg.qr(v.real)[0]
        return ((u * (low + np.arange(k))) @ v.swapaxes(-1, -2).conj(),)

    return make


def hermitian(*shape: int, low: float, imaginary: bool = True) -> Callable:
    def make(rng: np.random.Generator) -> tuple:
        v = _unitary(rng, *shape)
        v = v if imaginary else np.linalg.qr(v.real)[0]
        x = (v * (low + np.arange(shape[-1]))) @ v.swapaxes(-1, -2).conj()
        return ((x + x.swapaxes(-1, -2).conj()) / 2,)

    return make


def general(*shape: int, imaginary: bool = True) -> Callable:
    """Matrices with eigenvalues apart, and eigenvectors that are not orthogonal."""

    def make(rng: np.random.Generator) -> tuple:
        v = rng.normal(size=shape) + 1j * imaginary * rng.normal(size=shape)
        v = np.eye(shape[-1]) + 0.3 * v
        w = np.exp(0.4j * imaginary) * (0.5 + np.arange(shape[-1]))
        x = (v * w) @ np.linalg.inv(v)
        return (x if imaginary else x.real,)

    return make


def beside(make: Callable, *shape: int) -> Callable:
    """A matrix from `make`, and a right side of any complex numbers."""
    return lambda rng: (*make(rng), rng.normal(size=shape) + 1j * rng.normal(size=shape))


# What makes the other library's factors ours -----------------------------------------------------


def _phases(t: Any, v: Any) -> Any:
    lead = t.take_along_dim(v, v.abs().argmax(-2, keepdim=True), -2)
    return lead.conj() / lead.abs()


def _eigh(t: Any, x: Any) -> Any:
    w, v = t.linalg.eigh((x + x.mH) / 2)
    return w, v * _phases(t, v)


def _eig(t: Any, x: Any) -> Any:
    w, v = t.linalg.eig(x)
    return w, v * _phases(t, v)


def _svd(t: Any, x: Any) -> Any:
    u, s, vh = t.linalg.svd(x, full_matrices=False)
    return u * _phases(t, u), s, vh * _phases(t, u).conj().mT


def _qr(t: Any, x: Any) -> Any:
    q, r = t.linalg.qr(x)
    diagonal = t.diagonal(r, dim1=-2, dim2=-1)
    phases = diagonal / diagonal.abs()
    return q * phases[..., None, :], r * phases.conj()[..., :, None]


def _cholesky(t: Any, x: Any, upper: bool = False) -> Any:
    return t.linalg.cholesky((x + x.mH) / 2, upper=upper)


# Functions of factors that no gauge changes ------------------------------------------------------


def _ours_of_spectrum(x: Any) -> Any:
    """v f(w) vᴴ"""
    w, v = ac.eigh(x)
    return ac.matmul(v * ac.exp(w)[..., None, :], ac.conj(ac.matrix_transpose(v)))


def _ours_of_singular(x: Any) -> Any:
    u, s, vh = ac.svd(x)
    return ac.matmul(u * (s**3)[..., None, :], vh)


def _theirs_of_singular(t: Any, x: Any) -> Any:
    u, s, vh = t.linalg.svd(x, full_matrices=False)
    return (u * (s**3)[..., None, :]) @ vh


COMPLEX_LINALG = [
    of_parts(row)
    for row in (
        Row("inv", spectral(2, 3, 3), theirs="linalg.inv"),
        Row("det", spectral(2, 3, 3), theirs="linalg.det"),
        Row("det", spectral(2, 5, 5), theirs="linalg.det", tag="5×5"),
        Row("slogdet", spectral(2, 3, 3), theirs="linalg.slogdet"),
        Row("solve", beside(spectral(2, 3, 3), 2, 3, 4), theirs="linalg.solve"),
        Row("solve", beside(spectral(2, 3, 3), 3, 4), theirs="linalg.solve", tag="one"),
        Row(
            "solve",
            beside(spectral(2, 3, 3, imaginary=False), 2, 3, 4),
            theirs=lambda t, a, b: t.linalg.solve(a + 0j, b),
            tag="real matrix",
        ),
        *[
            Row("pinv", spectral(2, m, n), theirs="linalg.pinv", tag=f"{m}×{n}")
            for m, n in ((4, 2), (2, 4), (3, 3))
        ],
        Row("cholesky", hermitian(2, 3, 3, low=0.5), theirs=_cholesky),
        Row("eigh", hermitian(2, 4, 4, low=-1.7), theirs=_eigh),
        Row(
            "eigh",
            hermitian(2, 4, 4, low=-1.7),
            _ours_of_spectrum,
            lambda t, x: t.matrix_exp((x + x.mH) / 2),
            "exponential",
        ),
        *[
            row
            for m, n in ((4, 2), (2, 4), (3, 3))
            for row in (
                Row("svd", spectral(2, m, n), theirs=_svd, tag=f"{m}×{n}"),
                Row(
                    "svd",
                    spectral(2, m, n),
                    _ours_of_singular,
                    _theirs_of_singular,
                    f"{m}×{n} function",
                ),
            )
        ],
        *[Row("qr", spectral(2, m, n), theirs=_qr, tag=f"{m}×{n}") for m, n in ((4, 3), (3, 3))],
        Row("linalg.eig", general(2, 3, 3), theirs=_eig),
        Row("linalg.eigvals", general(2, 3, 3), theirs="linalg.eigvals"),
        Row(
            "linalg.eigvalsh",
            hermitian(2, 4, 4, low=-1.7),
            theirs=lambda t, x: t.linalg.eigvalsh((x + x.mH) / 2),
        ),
        *[
            Row("linalg.svdvals", spectral(2, m, n), theirs="linalg.svdvals", tag=f"{m}×{n}")
            for m, n in ((4, 2), (2, 4), (3, 3))
        ],
        Row("linalg.expm", general(2, 3, 3), theirs="matrix_exp"),
        *[
            Row(
                "matrix_power",
                spectral(2, 3, 3),
                lambda x, n=n: ac.matrix_power(x, n),
                lambda t, x, n=n: t.linalg.matrix_power(x, n),
                f"{n}",
            )
            for n in (-2, 3)
        ],
        *[
            Row(
                "matrix_norm",
                spectral(2, 4, 3),
                lambda x, p=p: ac.matrix_norm(x, p),
                lambda t, x, p=p: t.linalg.matrix_norm(x, p),
                f"{p}",
            )
            for p in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
        ],
        *[
            Row(
                "linalg.vector_norm",
                normal((3, 4)),
                lambda x, p=p: ac.linalg.vector_norm(x, axis=-1, ord=p),
                lambda t, x, p=p: t.linalg.vector_norm(x, p, -1),
                f"{p}",
            )
            for p in (2, 1, 3.5, -1, -2.5, np.inf, -np.inf)
        ],
        Row(
            "linalg.lstsq",
            beside(spectral(2, 4, 2), 2, 4, 3),
            lambda a, b: ac.linalg.lstsq(a, b)[0],
            lambda t, a, b: t.linalg.lstsq(a, b)[0],
        ),
        Row("linalg.cond", spectral(2, 3, 3), theirs="linalg.cond"),
    )
]


def _options(
    name: str, make: Callable, *some: dict[str, Any], theirs: str = "", **renamed: str
) -> list[Row]:
    """One row for each set of keyword options; `renamed` says what the other library calls one."""

    def row(options: dict[str, Any]) -> Row:
        other = {renamed.get(k, k): v for k, v in options.items()}
        return Row(
            f"linalg.{name}",
            make,
            lambda *xs: getattr(ac.linalg, name)(*xs, **options),
            lambda t, *xs: getattr(t.linalg, theirs or name)(*xs, **other),
            " ".join(f"{k}={v}" for k, v in options.items()),
        )

    return [row(options) for options in some]


REAL = spectral(2, 4, 3, imaginary=False)
SQUARE = spectral(2, 3, 3, imaginary=False)
SYMMETRIC = hermitian(2, 4, 4, low=0.5, imaginary=False)


NAMESPACE = [
    *[
        Row(
            "linalg.cholesky",
            SYMMETRIC,
            lambda x, upper=upper: ac.linalg.cholesky(x, upper=upper),
            lambda t, x, upper=upper: _cholesky(t, x, upper),
            f"{upper}",
        )
        for upper in (False, True)
    ],
    *_options("cross", normal((1, 3, 2), (4, 3, 1)), {"axis": -2}, axis="dim"),
    *_options("diagonal", normal((2, 3, 4)), {}, {"offset": 1}, {"offset": -2}),
    Row("linalg.eigh", SYMMETRIC, theirs=_eigh),
    Row(
        "linalg.eigvalsh",
        SYMMETRIC,
        theirs=lambda t, x: t.linalg.eigvalsh((x + x.mT) / 2),
    ),
    Row("linalg.svdvals", REAL, theirs="linalg.svdvals"),
    Row("linalg.qr", REAL, theirs=_qr),
    Row("linalg.qr", SQUARE, lambda x: ac.linalg.qr(x, mode="complete"), _qr, "complete"),
    Row("linalg.slogdet", SQUARE, theirs="linalg.slogdet"),
    Row("linalg.svd", SQUARE, theirs=_svd, tag="full"),
    Row("linalg.svd", REAL, lambda x: ac.linalg.svd(x, full_matrices=False), _svd, "reduced"),
    Row("linalg.matrix_rank", REAL, theirs="linalg.matrix_rank"),
    *_options("matrix_rank", REAL, {"rtol": 0.3}),
    Row("linalg.trace", normal((2, 3, 4)), theirs=lambda t, x: t.diagonal(x, 0, -2, -1).sum(-1)),
    Row(
        "linalg.trace",
        normal((2, 3, 4)),
        lambda x: ac.linalg.trace(x, offset=1),
        lambda t, x: t.diagonal(x, 1, -2, -1).sum(-1),
        "offset",
    ),
    *_options(
        "vector_norm",
        normal((2, 3, 4)),
        *({"ord": p, "axis": (0, 2), "keepdims": True} for p in (2, 1, 3, -1, -2, -0.5)),
        *({"ord": p} for p in (np.inf, -np.inf, 0, 0.5)),
        axis="dim",
        keepdims="keepdim",
    ),
    *_options("norm", normal((3, 4)), {}, *({"ord": p} for p in ("fro", "nuc", 2, -2, 1, -np.inf))),
    *_options(
        "norm",
        normal((2, 3, 4)),
        {"axis": 1},
        {"axis": 1, "ord": -1},
        {"axis": (2, 0), "ord": 1},
        {"axis": (0, 2), "ord": "nuc", "keepdims": True},
        axis="dim",
        keepdims="keepdim",
    ),
    *_options("cond", SQUARE, {}, {"p": 2}, {"p": -2}),
    *[
        Row(
            "linalg.cond",
            SQUARE,
            lambda x, p=p: ac.linalg.cond(x, p),
            lambda t, x, p=p: t.linalg.matrix_norm(x, p) * t.linalg.matrix_norm(t.inverse(x), p),
            f"{p}",
        )
        for p in ("fro", 1, -np.inf)
    ],
    Row(
        "linalg.lstsq",
        lambda rng: (*REAL(rng), rng.normal(size=(2, 4, 3))),
        lambda a, b: ac.linalg.lstsq(a, b)[:2],
        lambda t, a, b: (
            t.linalg.lstsq(a, b)[0],
            ((b - a @ t.linalg.lstsq(a, b)[0]) ** 2).sum(-2),
        ),
    ),
    Row("linalg.svdvals", lambda _rng: (np.zeros((2, 0, 3)),), tag="no rows"),
    Row(
        "norm",
        lambda _rng: (np.zeros((2, 0)),),
        lambda x: ac.norm(x, np.inf, 1),
        lambda _t, x: x.sum(1),
        "inf of nothing",
    ),
    *[
        Row(
            "linalg.matrix_norm",
            lambda _rng: (np.zeros((2, 0, 3)),),
            lambda x, p=p: ac.linalg.matrix_norm(x, p),
            lambda t, x, p=p: t.linalg.matrix_norm(x, p),
            f"{p} no rows",
        )
        for p in ("nuc", 1, 2, np.inf)
    ],
    Row(
        "linalg.multi_dot",
        normal((2, 5), (5, 3), (3, 7), (7, 2)),
        lambda *xs: ac.linalg.multi_dot(xs),
        lambda t, *xs: t.linalg.multi_dot(xs),
    ),
    Row(
        "linalg.multi_dot",
        normal((5,), (5, 3), (3,)),
        lambda *xs: ac.linalg.multi_dot(xs),
        lambda t, *xs: t.linalg.multi_dot(xs),
        "vectors",
    ),
    Row("linalg.expm", normal((2, 4, 4)), theirs="matrix_exp"),
    Row(
        "linalg.expm",
        lambda rng: (20 * rng.normal(size=(3, 3)) - 30 * np.eye(3),),
        theirs="matrix_exp",
        tag="large",
    ),
]


def _eig_of_real(t: Any, x: Any) -> Any:
    w, v = _eig(t, x)
    return w.real, w.imag * 1, v.real, v.imag * 1


def _ours_of_real(x: Any) -> Any:
    w, v = ac.linalg.eig(x)
    return ac.real(w), ac.imag(w), ac.real(v), ac.imag(v)


OF_REAL = [
    Row("linalg.eig", general(2, 3, 3, imaginary=False), _ours_of_real, _eig_of_real, "of real"),
    Row("linalg.eig", normal((4, 4)), _ours_of_real, _eig_of_real, "of real, complex"),
]

NAMED = [*COMPLEX_LINALG, *NAMESPACE, *OF_REAL]
