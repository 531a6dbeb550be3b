"""Statistics, functions of one variable, and selections; compared with JAX."""

from __future__ import annotations

import numpy as np

import autograd_core as ac
from tests.oracles.rows import PAIR, Row, integers, normal, same, spread, uniform

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

KINDS = lambda _rng: (np.array([1.0, np.nan, -np.inf, np.inf, -0.5]),)
NEAR = lambda _rng: (
    np.array([1.0, 2.0, np.inf, np.nan, 0.0]), np.array([1.0 + 1e-9, 2.1, np.inf, np.nan, 1e-9])
)  # fmt: skip
FEW = lambda _rng: (np.array([3.0, 1.0, 3.0, -2.0, 1.0]), np.array([1.0, 4.0, -2.0, 5.0]))

COMPARISONS = [
    *[Row(name, KINDS) for name in ("isneginf", "isposinf", "isreal", "iscomplex")],
    Row("isreal", lambda _rng: (np.array([1.0, 2j, 0j]),), tag="complex"),
    Row("iscomplex", lambda _rng: (np.array([1.0, 2j, 0j]),), tag="complex"),
    *[Row(name, KINDS, lambda x, f=name: ac.asarray(getattr(ac, f)(x)),
          lambda t, x, f=name: t.asarray(getattr(t, f)(x)))
      for name in ("iscomplexobj", "isrealobj")],
    *[Row(name, NEAR, lambda x, y, f=name, e=e: getattr(ac, f)(x, y, equal_nan=e),
          lambda t, x, y, f=name, e=e: t.asarray(getattr(t, f)(x, y, equal_nan=e)), f"{e}")
      for name in ("isclose", "allclose", "array_equal") for e in (False, True)],
    Row("array_equal", KINDS, lambda x: ac.array_equal(x[1:], x[:1]),
        lambda t, x: t.array_equal(x[1:], x[:1]), "shapes"),
]  # fmt: skip

WHERE = [
    Row("argwhere", integers(0, 2, (3, 4))),
    Row("argwhere", lambda _rng: (np.array(3.0),), tag="of a number"),
    Row("flatnonzero", integers(0, 2, (3, 4))),
    *[Row(name, _with_gaps, lambda x, f=name, a=a: getattr(ac, f)(x, a),
          lambda t, x, f=name, a=a: getattr(t, f)(x, a), f"{a}")
      for name in ("nanargmax", "nanargmin") for a in (None, 0, 1)],
    *[Row("lexsort", integers(0, 3, (9,), (9,)), lambda *keys: ac.lexsort(keys),
          lambda t, *keys: t.lexsort(keys))],
    Row("lexsort", integers(0, 3, (4, 2, 3)), lambda x: ac.lexsort(x, 0),
        lambda t, x: t.lexsort(tuple(x), 0), "axis"),
    Row("unravel_index", integers(0, 24, (5,)), lambda i: ac.unravel_index(i, (2, 3, 4)),
        lambda t, i: t.unravel_index(i, (2, 3, 4))),
    Row("ravel_multi_index", integers(0, 2, (5,), (5,)),
        lambda i, j: ac.ravel_multi_index((i, j), (2, 3)),
        lambda t, i, j: t.ravel_multi_index((t.asarray(i), t.asarray(j)), (2, 3))),
    *[Row("digitize", lambda _rng: (np.array([0.0, 0.5, 1.0, 2.0, 3.0]),),
          lambda x, r=r, e=edges: ac.digitize(x, np.array(e, x.dtype), r),
          lambda t, x, r=r, e=edges: t.digitize(x, t.asarray(e), r), f"{edges} {r}")
      for edges in ([0.0, 1.0, 2.0], [2.0, 1.0, 0.0]) for r in (False, True)],
    Row("bincount", integers(0, 5, (9,)), lambda i: ac.bincount(i, length=6),
        lambda t, i: t.bincount(i, length=6)),
    Row("bincount", lambda rng: (rng.integers(0, 5, 9), rng.normal(size=9)),
        lambda i, w: ac.bincount(i, w, length=6), lambda t, i, w: t.bincount(i, w, length=6),
        "weights"),
    Row("histogram", normal((9,)), lambda x: ac.histogram(x, 4),
        lambda t, x: (t.histogram(x, 4)[0].astype(int), t.histogram(x, 4)[1])),
    Row("histogram", lambda rng: (rng.uniform(-1, 4, (3, 4)), rng.normal(size=(3, 4))),
        lambda x, w: ac.histogram(x, 4, (0.0, 3.0), w),
        lambda t, x, w: t.histogram(x, 4, (0.0, 3.0), w), "weights"),
    Row("histogram", uniform(-1, 4, (9,)), lambda x: ac.histogram(x, [0.0, 1.5, 3.0], density=True),
        lambda t, x: t.histogram(x, t.asarray([0.0, 1.5, 3.0]), density=True), "density"),
    # By where JAX finds them, through which its derivatives do not flow.
    Row("union1d", FEW, theirs=lambda t, x, y: t.stack([x[3], x[1], x[0], y[1], y[3]])),
    Row("intersect1d", FEW, theirs=lambda t, x, _y: t.stack([x[3], x[1]])),
    Row("setdiff1d", FEW, theirs=lambda t, x, _y: t.stack([x[0]])),
    Row("setxor1d", FEW, theirs=lambda t, x, y: t.stack([x[0], y[1], y[3]])),
    Row("unique", FEW, lambda x, _y: ac.unique(x, True, True, True),
        lambda t, x, _y: (t.stack([x[3], x[1], x[0]]), *t.unique(x, True, True, True)[1:])),
    Row("unique", lambda _rng: (np.array([np.nan, 1.0, np.nan]),),
        theirs=lambda t, x: t.stack([x[1], x[0]]), tag="NaN"),
    Row("unique", lambda _rng: (np.array([[3.0, 1.0], [0.0, 2.0], [3.0, 1.0]]),),
        lambda x: ac.unique(x, axis=0), lambda t, x: t.stack([x[1], x[0]]), "axis"),
    Row("compress", normal((3, 4)), lambda x: ac.compress([True, False, True], x, 1),
        lambda t, x: t.compress(t.asarray([True, False, True]), x, 1)),
    Row("extract", normal((2, 2)), lambda x: ac.extract([[True, False], [True, True]], x),
        lambda t, x: t.extract(t.asarray([[True, False], [True, True]]), x)),
]  # fmt: skip

POLYNOMIALS = [
    *[Row(name, normal((4,), (2,))) for name in ("polyadd", "polysub", "polymul")],
    Row("polyder", normal((4,)), lambda p: ac.polyder(p, 2), lambda t, p: t.polyder(p, 2)),
    Row("polyint", normal((4,)), lambda p: ac.polyint(p, 2), lambda t, p: t.polyint(p, 2)),
    Row("polyfit", normal((6,), (6, 2)), lambda x, y: ac.polyfit(x, y, 2),
        lambda t, x, y: t.linalg.solve(t.vander(x, 3).T @ t.vander(x, 3), t.vander(x, 3).T @ y)),
    Row("polyfit", lambda rng: (*normal((5,), (5,))(rng), rng.uniform(0.5, 2, 5)),
        lambda x, y, w: ac.polyfit(x, y, 1, w),
        lambda t, x, y, w: t.linalg.solve((t.vander(x, 2).T * w**2) @ t.vander(x, 2),
                                          (t.vander(x, 2).T * w**2) @ y), "weights"),
]  # fmt: skip

GAPS = [
    *[Row(name, _with_gaps, lambda x, f=name, a=a: getattr(ac, f)(x, a),
          lambda t, x, f=name, a=a: getattr(t, f)(x, a), f"{a}")
      for name in ("nancumsum", "nancumprod") for a in (None, 1)],
    *[Row("nanmedian", _with_gaps, lambda x, a=a: ac.nanmedian(x[1:], a),
          lambda t, x, a=a: t.nanmedian(x[1:], a), f"{a}") for a in (None, 1)],
    *[Row("nanquantile", _with_gaps, lambda x, q=q, a=a, k=k: ac.nanquantile(x[1:], q, a, k),
          lambda t, x, q=q, a=a, k=k: t.nanquantile(x[1:], t.asarray(q), a, keepdims=k),
          f"{q} {a} {k}")
      for q, a, k in ((0.3, 1, False), ([0.0, 0.6, 1.0], 0, True), (0.7, None, False))],
    Row("nanpercentile", _with_gaps, lambda x: ac.nanpercentile(x, 30, 0),
        lambda t, x: t.nanpercentile(x, 30, 0)),
]  # fmt: skip

JAX_SAMPLES = [
    *STATISTICS, *CURVES, *SELECTIONS, *COMPARISONS, *WHERE, *POLYNOMIALS, *GAPS
]  # fmt: skip
