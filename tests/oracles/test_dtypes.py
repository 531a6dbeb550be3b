"""Dtypes: NumPy's promotion for every pair; nothing begun in float32 is computed in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.primitive import REGISTRY
from tests.oracles.compare import flat, ours, places_of_floats
from tests.oracles.rows import Row, identify
from tests.oracles.tables import JAX_TABLE, TABLE

DTYPES = [np.bool_, np.int32, np.int64, np.float32, np.float64]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "fmod",
    "power",
    "maximum",
    "minimum",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "copysign",
    "heaviside",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "matmul",
    "dot",
    "inner",
    "outer",
    "vdot",
    "kron",
]
UNARY = [
    "absolute",
    "negative",
    "square",
    "sqrt",
    "cbrt",
    "reciprocal",
    "sign",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sinc",
    "deg2rad",
    "rad2deg",
    "isnan",
    "isinf",
    "isfinite",
    "signbit",
    "logical_not",
    "bitwise_not",
    "nan_to_num",
    "sum",
    "mean",
    "var",
    "std",
    "prod",
    "cumsum",
    "cumprod",
    "max",
    "min",
    "ptp",
    "median",
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "sort",
    "diff",
    "nansum",
    "nanmean",
    "trapezoid",
    "diag",
    "trace",
    "average",
    "ravel",
]


def _outcome(f: Any, *args: Any) -> Any:
    """The dtype of a result, or that there is none."""
    try:
        with np.errstate(all="ignore"):
            out = f(*args)
    except (TypeError, ValueError, ac.AutogradError):
        return "an error"
    return np.dtype(out.dtype)


@pytest.mark.parametrize("name", BINARY)
def test_binary_promotion(name: str) -> None:
    for a in DTYPES:
        for b in DTYPES:
            x, y = np.ones((2, 2), a), np.ones((2, 2), b)
            expected = _outcome(getattr(np, name), x, y)
            assert _outcome(getattr(ac, name), x, y) == expected, (name, a, b)


PYTHON_NUMBERS = [True, 2, 2.5]


@pytest.mark.parametrize("name", BINARY[: BINARY.index("matmul")])
def test_python_numbers_promote_nothing(name: str) -> None:
    for a in DTYPES:
        for number in PYTHON_NUMBERS:
            for args in ((np.ones(2, a), number), (number, np.ones(2, a))):
                expected = _outcome(getattr(np, name), *args)
                got = _outcome(getattr(ac, name), *args)
                assert got == expected, (name, *args)


@pytest.mark.parametrize("name", UNARY)
def test_unary_dtypes(name: str) -> None:
    for a in DTYPES:
        x = np.ones((2, 2), a)
        with np.errstate(all="ignore"):
            expected = _outcome(getattr(np, name), x)
        got = _outcome(getattr(ac, name), x)
        if name in ("deg2rad", "rad2deg") and a is np.bool_:
            expected = np.dtype(np.float64)  # NumPy's float16 serves no one
        assert got == expected, (name, a)


@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", DTYPES)
def test_joining_and_choosing_promote(a: Any, b: Any) -> None:
    x, y, c = np.ones(2, a), np.ones(2, b), np.array([True, False])
    wanted = np.result_type(a, b)
    assert ac.concatenate([x, y]).dtype == wanted
    assert ac.stack([x, y]).dtype == wanted
    assert ac.where(c, x, y).dtype == wanted
    assert ac.clip(x, y, y).dtype == wanted
    assert ac.einsum("i,i->i", x, y).dtype == wanted
    assert ac.asarray(x).at[0].add(y[0]).dtype == a  # an update keeps the dtype of what it updates


# float32 --------------------------------------------------------------------------------------

# Rows whose arguments or functions are about another dtype.
DOUBLE_BY_REQUEST = {"astype"}
SINGLE = [
    row
    for row in [*TABLE, *JAX_TABLE]
    if row.name not in DOUBLE_BY_REQUEST and places_of_floats(row.arguments())
]


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The primitives that have computed something in float64."""
    found: set[str] = set()
    for primitive in REGISTRY.values():
        monkeypatch.setattr(primitive, "kernel", _watched(primitive, found))
    yield found


def _watched(primitive: Any, found: set[str]) -> Any:
    kernel = primitive.kernel

    def watched(*args: Any, **params: Any) -> Any:
        out = kernel(*args, **params)
        if any(np.asarray(y).dtype == np.float64 for y in flat(out)):
            found.add(primitive.name)
        return out

    return watched


@pytest.mark.parametrize("row", SINGLE, ids=identify(SINGLE))
def test_float32_stays_float32(row: Row, doubles: set[str]) -> None:
    """In values, and in every step of gradients and Hessian products."""
    args = [x.astype(np.float32) if x.dtype.kind == "f" else x for x in row.arguments()]
    with np.errstate(all="ignore"):
        found = ours(row.function, args)
    assert not doubles, f"computed in float64 by {sorted(doubles)}"
    everything = [*found.values, *found.gradients, *found.products]
    assert {x.dtype for x in everything if x.dtype.kind == "f"} <= {np.dtype(np.float32)}


def test_the_watch_on_doubles_sees_one(doubles: set[str]) -> None:
    ac.grad(lambda x: ac.sum(ac.sin(x) * np.float64(2)))(np.ones(3, np.float32))
    assert "multiply" in doubles
