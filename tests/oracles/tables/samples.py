"""Statistics, functions of one variable, and selections; compared with JAX."""

from __future__ import annotations

import numpy as np

import autograd_core as ac
from tests.oracles.rows import PAIR, Row, normal, same, spread, uniform

CUBE = spread(2, 3, 4)
ONE_AXIS = (0, 1, -1)


def _with_gaps(rng: np.random.Generator) -> tuple:
    """A matrix of which some entries are NaN: whole rows, and none."""
    x = spread(4, 3)(rng)[0]
    x[0], x[1, 2] = np.nan, np.nan
    return (x,)


def _places(rng: np.random.Generator) -> tuple:
    return (rng.uniform(-1, 4, (3, 2)), np.array([0.0, 0.7, 1.5, 3.2]), rng.normal(size=4))


STATISTICS = [
    *[
        Row(name, _with_gaps, lambda x, name=name, a=a: getattr(ac, name)(x, a),
            lambda t, x, name=name, a=a: getattr(t, name)(x, a), f"{a}")
        for name in ("nanmax", "nanmin", "nanprod")
        for a in (0, None)
    ],
    *[
        Row(name, _with_gaps, lambda x, name=name: getattr(ac, name)(x[1:], 1, 1, True),
            lambda t, x, name=name: getattr(t, name)(x[1:], 1, ddof=1, keepdims=True))
        for name in ("nanvar", "nanstd")
    ],
    *[same("percentile", q, a, make=CUBE) for q, a in ((30.0, 1), (75.0, None))],
    Row("cov", normal((3, 5))),
    Row("cov", normal((5,)), tag="of one"),
    Row("cov", normal((5, 2), (5, 3)), lambda x, y: ac.cov(x, y, False, True),
        lambda t, x, y: t.cov(x, y, False, True), "columns"),
    Row("corrcoef", normal((3, 5)), lambda x: ac.corrcoef(x)[0, 1:],
        lambda t, x: t.corrcoef(x)[0, 1:]),
    Row("corrcoef", normal((5,)), tag="of one"),
]  # fmt: skip

CURVES = [
    *[
        Row(name, normal((5,), (3,)), lambda x, y, f=name, m=m: getattr(ac, f)(x, y, m),
            lambda t, x, y, f=name, m=m: getattr(t, f)(x, y, m), m)
        for name in ("convolve", "correlate")
        for m in ("full", "same", "valid")
    ],
    *[
        Row(name, normal((2,), (5,)), lambda x, y, f=name, m=m: getattr(ac, f)(x, y, m),
            lambda t, x, y, f=name, m=m: getattr(t, f)(x, y, m), f"longer {m}")
        for name in ("convolve", "correlate")
        for m in ("full", "same", "valid")
    ],
    Row("ediff1d", normal((2, 3), (), (2,)), lambda x, a, b: ac.ediff1d(x, a, b),
        lambda t, x, a, b: t.ediff1d(x, t.atleast_1d(a), b)),
    Row("gradient", normal((4, 5))),
    Row("gradient", normal((4, 5)), lambda x: ac.gradient(x, 0.5, axis=1),
        lambda t, x: t.gradient(x, 0.5, axis=1), "spacing"),
    Row("gradient", lambda rng: (rng.normal(size=5), np.cumsum(rng.uniform(0.5, 1.5, 5))),
        lambda f, x: ac.gradient(f, x),
        lambda t, f, x: t.concatenate([
            t.diff(f)[:1] / t.diff(x)[:1],
            ((f[2:] - f[1:-1]) / (x[2:] - x[1:-1]) * (x[1:-1] - x[:-2])
             + (f[1:-1] - f[:-2]) / (x[1:-1] - x[:-2]) * (x[2:] - x[1:-1])) / (x[2:] - x[:-2]),
            t.diff(f)[-1:] / t.diff(x)[-1:],
        ]), "places"),
    Row("gradient", normal((4,)), lambda x: ac.gradient(x, edge_order=2),
        lambda t, x: t.stack([-1.5 * x[0] + 2 * x[1] - 0.5 * x[2], (x[2] - x[0]) / 2,
                              (x[3] - x[1]) / 2, 1.5 * x[3] - 2 * x[2] + 0.5 * x[1]]), "order 2"),
    Row("interp", _places),
    Row("interp", _places, lambda *xs: ac.interp(*xs, left=-1.0, right=2.0),
        lambda t, *xs: t.interp(*xs, left=-1.0, right=2.0), "outside"),
    Row("geomspace", uniform(0.5, 3, (), ()), lambda a, b: ac.geomspace(a, b, 5),
        lambda t, a, b: t.geomspace(a, b, 5)),
    Row("logspace", normal((), ()), lambda a, b: ac.logspace(a, b, 5, False),
        lambda t, a, b: t.logspace(a, b, 5, False)),
    Row("polyval", normal((4,), (2, 3))),
    Row("unwrap", uniform(-9, 9, (2, 6)), lambda x: ac.unwrap(x, axis=1),
        lambda t, x: t.unwrap(x, axis=1)),
    Row("vander", normal((3,)), lambda x: ac.vander(x, 4), lambda t, x: t.vander(x, 4)),
    Row("vander", normal((3,)), lambda x: ac.vander(x, increasing=True),
        lambda t, x: t.vander(x, increasing=True), "increasing"),
]  # fmt: skip

SELECTIONS = [
    Row("fmax", PAIR),
    Row("fmin", PAIR),
    Row("fmax", lambda _rng: (np.array([1.0, np.nan, 2.0]), np.array([np.nan, np.nan, 1.0])),
        tag="NaN"),
    Row("fmin", lambda _rng: (np.array([1.0, np.nan, 2.0]), np.array([np.nan, np.nan, 1.0])),
        tag="NaN"),
    Row("select", normal((3, 4), (3, 4)),
        lambda x, y: ac.select([x > 1, x > 0], [x * y, y**2], 0.5),
        lambda t, x, y: t.select([x > 1, x > 0], [x * y, y**2], 0.5)),
    Row("choose", lambda rng: (rng.integers(0, 3, (3, 4)), *normal((3, 4), (4,), ())(rng)),
        lambda i, *xs: ac.choose(i, xs), lambda t, i, *xs: t.choose(i, xs, mode="clip")),
    Row("choose", lambda rng: (rng.integers(-5, 9, (3, 4)), *normal((4,), (4,))(rng)),
        lambda i, *xs: ac.choose(i, xs, "wrap"), lambda t, i, *xs: t.choose(i, xs, mode="wrap"),
        "wrap"),
    Row("piecewise", normal((3, 4)),
        lambda x: ac.piecewise(x, [x < -1, x > 0.3], [ac.exp, ac.sqrt, lambda x: x * x]),
        lambda t, x: t.where(x < -1, t.exp(x), t.where(x > 0.3, t.sqrt(t.abs(x)), x * x))),
    Row("block", normal((2, 3), (2, 1), (4,)),
        lambda a, b, c: ac.block([[a, b], [c]]), lambda t, a, b, c: t.block([[a, b], [c]])),
    Row("insert", normal((2, 3), (2,)), lambda x, v: ac.insert(x, [0, 2], v, 1),
        lambda t, x, v: t.insert(x, np.array([0, 2]), v, 1)),
    Row("insert", normal((2, 3), ()), lambda x, v: ac.insert(x, 4, v),
        lambda t, x, v: t.insert(x, 4, v), "flat"),
]  # fmt: skip

JAX_SAMPLES = [*STATISTICS, *CURVES, *SELECTIONS]
