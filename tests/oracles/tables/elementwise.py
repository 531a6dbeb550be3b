"""Elementwise operations."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.rows import (
    ABOVE,
    INSIDE,
    PAIR,
    WIDE,
    Row,
    X,
    integers,
    normal,
    rows_of,
    uniform,
)


def _polygamma(n: int) -> Row:
    return Row(
        "polygamma",
        ABOVE,
        lambda x: ac.polygamma(n, x),
        lambda t, x: t.scipy.special.polygamma(n, x),
        f"{n}",
    )


def _special(name: str, make: Any) -> Row:
    """A function of `autograd_core.special`, which JAX has under the same name."""
    return Row(f"special.{name}", make, theirs=lambda t, *xs: getattr(t.scipy.special, name)(*xs))


UNARY = [
    Row("special.erfcx", WIDE),
    *rows_of(
        WIDE,
        "absolute ceil cos cosh deg2rad erf erfc exp exp2 expm1 floor isfinite isinf isnan "
        "negative rad2deg relu sigmoid sign signbit sin sinc sinh square tanh trunc",
        arcsinh="asinh",
        arctan="atan",
        rint="round",
        softplus="nn.functional.softplus",
        log_sigmoid="nn.functional.logsigmoid",
    ),
    *rows_of(INSIDE, "tan log1p", arcsin="asin", arccos="acos", arctanh="atanh"),
    *rows_of(ABOVE, "log log2 log10 reciprocal sqrt"),
    Row("arccosh", uniform(1.2, 3, X), theirs="acosh"),
    Row("cbrt", ABOVE, theirs=lambda _t, x: x ** (1 / 3)),
    Row(
        "round", uniform(-99, 99, X), lambda x: ac.round(x, 1), lambda t, x: t.round(x, decimals=1)
    ),
    Row(
        "round",
        uniform(-99, 99, X),
        lambda x: ac.round(x, -1),
        lambda t, x: t.round(x, decimals=-1),
        "tens",
    ),
    Row(
        "nan_to_num",
        lambda _rng: (np.array([1.5, np.nan, np.inf, -np.inf]),),
        lambda x: ac.nan_to_num(x, 1.0, 2.0, 3.0),
        lambda t, x: t.nan_to_num(x, 1.0, 2.0, 3.0),
    ),
    Row("logical_not", integers(0, 2, X)),
    Row("bitwise_not", integers(0, 9, X)),
    Row("isnan", lambda _rng: (np.array([0.0, np.nan, np.inf]),), tag="special"),
    Row("isinf", lambda _rng: (np.array([0.0, np.nan, np.inf]),), tag="special"),
    Row("isfinite", lambda _rng: (np.array([0.0, np.nan, np.inf]),), tag="special"),
    Row("signbit", lambda _rng: (np.array([0.0, -0.0, -1.0]),), tag="special"),
]

POSITIVE_PAIR = uniform(0.3, 3, (3, 1, 4), (5, 1))
WHOLE_PAIR = lambda rng: (rng.integers(-1, 2, X) * 1.0, rng.integers(-1, 2, X) * 1.0)

BINARY = [
    *rows_of(
        PAIR,
        "add copysign hypot logaddexp logaddexp2 maximum minimum multiply subtract",
        arctan2="atan2",
    ),
    *rows_of(POSITIVE_PAIR, "divide float_power fmod remainder", power="pow"),
    *rows_of(
        WHOLE_PAIR,
        "greater greater_equal less less_equal logical_and logical_or logical_xor not_equal",
        equal="eq",
    ),
    Row(
        "floor_divide",
        uniform(-3, 3, X, X),
        theirs=lambda t, x, y: t.floor_divide(x.detach(), y.detach()),
    ),
    Row("heaviside", WHOLE_PAIR, theirs=lambda t, x, y: t.where(x == 0, y, 1.0 * (x > 0))),
    *rows_of(
        integers(0, 9, X, X),
        "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift",
    ),
    Row("positive", WIDE),
    Row("nextafter", WIDE, lambda x: ac.nextafter(x, 9.0), lambda _t, x: 1.0 * x),
    *[
        Row("power", WIDE, lambda x, n=n: x**n, lambda _t, x, n=n: x**n, f"number {n}")
        for n in (0, 1, 2, 3, -1, -2)
    ],
    Row("power", ABOVE, lambda x: x**0.5, lambda _t, x: x**0.5, "number 0.5"),
    Row("power", WIDE, lambda x: 2.5**x, lambda _t, x: 2.5**x, "of a number"),
    Row("remainder", WIDE, lambda x: x % 0.7, lambda _t, x: x % 0.7, "number"),
    Row("divide", ABOVE, lambda x: 2 / x, lambda _t, x: 2 / x, "of a number"),
    Row("subtract", WIDE, lambda x: 2 - x, lambda _t, x: 2 - x, "from a number"),
    Row(
        "where",
        lambda rng: (rng.integers(0, 2, (3, 1)) > 0, *normal((1, 4), (3, 4))(rng)),
    ),
    Row(
        "where",
        WIDE,
        lambda x: ac.where(x > 0, x, 0.5),
        lambda t, x: t.where(x > 0, x, 0.5),
        "number",
    ),
    Row("clip", WIDE, lambda x: ac.clip(x, -1.0, 2), lambda t, x: t.clip(x, -1.0, 2)),
    Row("clip", WIDE, lambda x: ac.clip(x, min=-1), lambda t, x: t.clip(x, min=-1), "low"),
    Row("clip", WIDE, lambda x: ac.clip(x, max=1), lambda t, x: t.clip(x, max=1), "high"),
    Row("clip", normal(X, X, X), lambda x, a, b: ac.clip(x, a, b), theirs="clip", tag="tensors"),
]

JAX_ELEMENTWISE = [
    # torch's trigamma is right to 4e-10 only.
    Row("lgamma", ABOVE, theirs=lambda t, x: t.scipy.special.gammaln(x)),
    Row("digamma", ABOVE, theirs=lambda t, x: t.scipy.special.digamma(x)),
    *[_polygamma(n) for n in (0, 1, 2)],
    *[_special(name, WIDE) for name in ("expit", "i0e", "i1e", "log_ndtr", "ndtr")],
    *[_special(name, ABOVE) for name in ("entr", "gammaln")],
    *[_special(name, uniform(0.3, 3, (3, 1), (4,))) for name in ("betaln", "xlogy", "xlog1py")],
    _special("erfinv", INSIDE),
    _special("logit", uniform(0.1, 0.9, X)),
    *rows_of(
        lambda rng: (np.array([1 - 1e-9, 1e-7 - 1, *rng.uniform(-1, 1, 4)]),),
        "arccos arcsin arctanh",
    ),
    Row("cbrt", lambda _rng: (np.array([-8.0, -0.3, 0.2, 27.0]),), theirs="cbrt", tag="signs"),
    Row("sinc", lambda _rng: (np.array([0.0, -0.15, 0.17, 2.5]),), tag="near 0"),
]
