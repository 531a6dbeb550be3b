"""Edge shapes and edge values beside NumPy: no entries, no axes, negative axes, NaN and inf."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from tests.oracles.compare import flat

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of empty means

FAILED = "an error"


def _outcome(f: Callable, *args: Any) -> Any:
    """The arrays of a result, or that there is none."""
    try:
        with np.errstate(all="ignore"):
            outs = flat(f(*args))
    except (ac.AutogradError, TypeError, ValueError, IndexError, np.linalg.LinAlgError):
        return FAILED
    return [np.asarray(y.data if isinstance(y, ac.Tensor) else y) for y in outs]


def _require_same(got: Any, expected: Any, what: str) -> None:
    if isinstance(got, str) or isinstance(expected, str):
        assert isinstance(got, str) and isinstance(expected, str), f"{what}: {got} not {expected}"
        return
    assert len(got) == len(expected), what
    for a, b in zip(got, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (what, a.shape, a.dtype, b.shape, b.dtype)
        rtol = 1e-6 if b.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10, err_msg=what)


EDGES = {
    "empty": np.zeros((0,)),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
    "empty within": np.zeros((2, 0, 3)),
    "number": np.array(1.5),
    "one": np.array([[[2.5]]]),
    "special": np.array([[np.nan, np.inf, -np.inf], [0.0, -0.0, 1.0]]),
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3) - 2,
    "integers": np.arange(6).reshape(2, 3) - 2,
}

# Each is called with the array and an axis; None stands for the call without one.
AXIS_FUNCTIONS = [
    "sum", "prod", "mean", "var", "std", "max", "min", "ptp", "median", "all", "any", "argmax",
    "argmin", "count_nonzero", "nansum", "nanmean", "average", "cumsum", "cumprod", "sort",
    "argsort", "flip", "squeeze",
]  # fmt: skip
OTHERWISE = {
    # an error with us, NaN and a warning in NumPy
    ("median", "empty"), ("median", "no rows"), ("median", "no columns"),
    ("median", "empty within"),
    # NaN with us, as for mean; ZeroDivisionError in NumPy
    ("average", "empty"), ("average", "no rows"), ("average", "no columns"),
    ("average", "empty within"),
    # NumPy sorts along the last axis of a number
    ("argsort", "number"),
}  # fmt: skip
CASES = [case for case in itertools.product(AXIS_FUNCTIONS, EDGES) if case not in OTHERWISE]


@pytest.mark.parametrize(("name", "edge"), CASES)
def test_functions_of_an_axis(name: str, edge: str) -> None:
    x = EDGES[edge]
    for axis in (None, 0, -1, 1, -2, 3, -4, (0, 1), (-1, 0), ()):
        if isinstance(axis, tuple) and name in ("argmax", "argmin", "argsort", "sort", "average"):
            continue
        if isinstance(axis, tuple) and name.startswith("cum"):
            continue
        if axis == () and name in ("squeeze", "median"):
            continue
        if x.ndim == 0 and axis in (0, -1):
            continue  # NumPy lets a number have an axis 0, we do not
        args = (x,) if axis is None else (x, axis)
        _require_same(
            _outcome(getattr(ac, name), *args),
            _outcome(getattr(np, name), *args),
            f"{name} of {edge} over {axis}",
        )


UNARY = [
    "absolute", "negative", "square", "sqrt", "cbrt", "sign", "floor", "ceil", "trunc", "rint",
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sinc", "deg2rad",
    "rad2deg", "isnan", "isinf", "isfinite", "signbit", "logical_not", "nan_to_num", "ravel",
    "transpose", "atleast_1d", "atleast_2d", "atleast_3d", "round", "diff", "trapezoid", "fliplr",
    "flipud", "rot90", "nonzero", "zeros_like", "ones_like", "linalg.matrix_transpose",
]  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(name: str) -> None:
    theirs: Any = np
    for part in name.split("."):
        theirs = getattr(theirs, part)
    for edge, x in EDGES.items():
        if name == "nonzero" and x.ndim == 0:
            continue
        got = _outcome(getattr(ac, name.split(".")[-1]), x)
        _require_same(got, _outcome(theirs, x), f"{name} of {edge}")


BINARY = [
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "arctan2", "hypot",
    "logaddexp", "logaddexp2", "copysign", "remainder", "fmod", "floor_divide", "heaviside",
    "equal", "less", "greater_equal", "logical_and", "matmul", "dot", "inner", "outer", "kron",
]  # fmt: skip


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(name: str) -> None:
    for (a, x), (b, y) in itertools.product(EDGES.items(), EDGES.items()):
        _require_same(
            _outcome(getattr(ac, name), x, y),
            _outcome(getattr(np, name), x, y),
            f"{name} of {a} and {b}",
        )


CALLS: list[tuple[str, Callable]] = [
    ("reshape", lambda m, x: m.reshape(x, (-1, 1))),
    ("reshape to empty", lambda m, x: m.reshape(x, (0, 7))),
    ("expand_dims", lambda m, x: m.expand_dims(x, (0, -1))),
    ("moveaxis", lambda m, x: m.moveaxis(x, -1, 0)),
    ("swapaxes", lambda m, x: m.swapaxes(x, 0, -1)),
    ("concatenate", lambda m, x: m.concatenate([x, x], -1)),
    ("concatenate flat", lambda m, x: m.concatenate([x, x], None)),
    ("stack", lambda m, x: m.stack([x, x], -1)),
    ("hstack", lambda m, x: m.hstack([x, x])),
    ("vstack", lambda m, x: m.vstack([x, x])),
    ("dstack", lambda m, x: m.dstack([x, x])),
    ("column_stack", lambda m, x: m.column_stack([x, x])),
    ("split", lambda m, x: m.split(x, 1)),
    ("split in three", lambda m, x: m.split(x, 3, -1)),
    ("split at", lambda m, x: m.split(x, [1, -1, 7], -1)),
    ("array_split", lambda m, x: m.array_split(x, 2, -1)),
    ("unstack", lambda m, x: m.unstack(x, axis=-1)),
    ("roll", lambda m, x: m.roll(x, 2)),
    ("roll axis", lambda m, x: m.roll(x, -7, -1)),
    ("roll axes", lambda m, x: m.roll(x, (1, 2), (0, -1))),
    ("tile", lambda m, x: m.tile(x, (2, 1, 2))),
    ("tile never", lambda m, x: m.tile(x, 0)),
    ("repeat", lambda m, x: m.repeat(x, 2)),
    ("repeat axis", lambda m, x: m.repeat(m.atleast_1d(x), 2, -1)),
    ("broadcast_to", lambda m, x: m.broadcast_to(x, (2, *x.shape))),
    ("broadcast to none", lambda m, x: m.broadcast_to(x, (0, *x.shape))),
    ("pad", lambda m, x: m.pad(x, 1)),
    ("pad pair", lambda m, x: m.pad(x, (1, 2))),
    ("pad edge", lambda m, x: m.pad(x, 1, "edge")),
    ("pad reflect", lambda m, x: m.pad(x, (2, 1), "reflect")),
    ("pad symmetric", lambda m, x: m.pad(x, (2, 1), "symmetric")),
    ("pad wrap", lambda m, x: m.pad(x, ((3, 1),), "wrap")),
    ("append", lambda m, x: m.append(x, 1.0)),
    ("delete", lambda m, x: m.delete(x, 0, -1)),
    ("tril", lambda m, x: m.tril(x, 1) if x.ndim > 1 else m.zeros(0)),
    ("triu", lambda m, x: m.triu(x, -1) if x.ndim > 1 else m.zeros(0)),
    ("clip", lambda m, x: m.clip(x, -0.5, 1.0)),
    ("where", lambda m, x: m.where(x > 0, x, 0)),
    ("permute_dims", lambda m, x: m.permute_dims(x, tuple(range(x.ndim))[::-1])),
    ("meshgrid", lambda m, x: m.meshgrid(x.ravel(), x.ravel())),
    ("einsum", lambda m, x: m.einsum("...->...", x)),
    ("einsum pair", lambda m, x: m.einsum("...i,...i->...", x, x)),
    ("take none", lambda m, x: m.take(m.atleast_1d(x), np.zeros((2, 0), np.int64), -1)),
    ("round tens", lambda m, x: m.round(x, -1)),
    ("searchsorted", lambda m, x: m.searchsorted(np.array([0.0, 1.0, np.nan]), x)),
]


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_calls(name: str, call: Callable) -> None:
    for edge, x in EDGES.items():
        _require_same(_outcome(call, ac, x), _outcome(call, np, x), f"{name} of {edge}")


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_derivatives_exist_at_edges(name: str, call: Callable) -> None:
    """Reverse and forward mode run on arrays without entries or axes, and give their shapes."""
    for edge in ("empty", "no rows", "no columns", "empty within", "number", "one"):
        x = EDGES[edge]
        if isinstance(_outcome(call, ac, x), str):
            continue

        def total(x: Any) -> Any:
            return sum(ac.sum(y * y) for y in flat(call(ac, x)) if y.dtype.kind == "f")

        if not isinstance(total(x), ac.Tensor):
            continue
        gradient = ac.grad(total)(x)
        assert (gradient.shape, gradient.dtype) == (x.shape, x.dtype), f"{name} of {edge}"
        slope = ac.jvp(total, (x,), (x,))[1].item()
        assert abs(slope - float(np.sum(gradient.data * x))) <= 1e-12 * max(1.0, abs(slope))


MADE: list[tuple[str, Callable]] = [
    ("arange", lambda m: m.arange(5)),
    ("arange step", lambda m: m.arange(1, 9, 3)),
    ("arange floats", lambda m: m.arange(0.0, 1.0, 0.25)),
    ("arange dtype", lambda m: m.arange(3, dtype=np.float32)),
    ("eye", lambda m: m.eye(3)),
    ("eye wide", lambda m: m.eye(2, 4, 1, dtype=np.float32)),
    ("identity", lambda m: m.identity(3, np.float32)),
    ("tri", lambda m: m.tri(3)),
    ("tri wide", lambda m: m.tri(2, 4, 1, np.int32)),
    ("indices", lambda m: m.indices((2, 0, 3))),
    ("diag_indices", lambda m: m.stack(m.diag_indices(3, 3))),
    ("tril_indices", lambda m: m.stack(m.tril_indices(3, -1, 4))),
    ("triu_indices", lambda m: m.stack(m.triu_indices(3, 1))),
    ("zeros", lambda m: m.zeros((2, 0))),
    ("zeros of one axis", lambda m: m.zeros(3, np.int32)),
    ("ones", lambda m: m.ones((), np.float32)),
    ("full", lambda m: m.full((2, 2), 1.5, np.float32)),
    ("full integer", lambda m: m.full(2, 3)),
    ("linspace", lambda m: m.linspace(0, 1, 5)),
    ("linspace of one", lambda m: m.linspace(2.0, 3.0, 1)),
    ("linspace of none", lambda m: m.linspace(2.0, 3.0, 0)),
    ("linspace open", lambda m: m.linspace(0, 1, 4, endpoint=False)),
    ("linspace float32", lambda m: m.linspace(np.float32(0), np.float32(0.1), 7)),
]


@pytest.mark.parametrize(("name", "make"), MADE, ids=[name for name, _ in MADE])
def test_creation(name: str, make: Callable) -> None:
    got, expected = make(ac), make(np)
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), name
    tolerance = 1e-15 if expected.dtype == np.float64 else 1e-7
    np.testing.assert_allclose(got.data, expected, rtol=tolerance, atol=0)


def test_linspace_ends_where_it_is_told() -> None:
    for stop in (0.1, 1 / 3, 1e300, -7.7):
        assert ac.linspace(0.3, stop, 7).tolist()[-1] == stop


def test_broadcast_shapes() -> None:
    assert ac.broadcast_shapes((3, 1), 4, ()) == (3, 4)
    with pytest.raises(ac.ShapeError):
        ac.broadcast_shapes((3,), (4,))


def test_sinc_is_right_next_to_zero_in_every_order() -> None:
    """sin(πx)/(πx) = 1 - π²x²/6 + π⁴x⁴/120 - …: its derivatives at 0 can be read off."""
    derivatives = [ac.sinc]
    for _ in range(4):
        derivatives.append(ac.grad(derivatives[-1]))
    at_zero = [f(0.0).item() for f in derivatives]
    expected = [1, 0, -(np.pi**2) / 3, 0, np.pi**4 / 5]
    np.testing.assert_allclose(at_zero, expected, rtol=1e-12, atol=1e-12)
    assert ac.grad(ac.sinc)(1e-9).item() == pytest.approx(-(np.pi**2) / 3 * 1e-9, rel=1e-9)


METHODS = [
    ("argsort", (), {}), ("diagonal", (), {}), ("nonzero", (), {}),
    ("cumsum", (1,), {}), ("cumprod", (0,), {}), ("sum", (), {"axis": 0, "keepdims": True}),
    ("mean", (-1,), {}), ("std", (0,), {}), ("var", (1,), {"ddof": 1}), ("max", (0,), {}),
    ("min", (-1,), {}), ("prod", (), {}), ("argmax", (1,), {}), ("argmin", (0,), {}),
    ("all", (0,), {}), ("any", (), {}), ("clip", (-1, 1), {}), ("round", (1,), {}),
    ("ravel", (), {}), ("flatten", (), {}), ("reshape", (2, -1), {}), ("reshape", ((8,),), {}),
    ("transpose", (), {}), ("transpose", (1, 0), {}), ("swapaxes", (0, 1), {}),
    ("repeat", (2,), {}), ("squeeze", (), {}), ("take", ([0, 3],), {}), ("dot", (np.eye(2),), {}),
    ("astype", (np.float32,), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "options"), METHODS)
def test_methods_as_those_of_arrays(name: str, args: tuple, options: dict) -> None:
    x = np.random.default_rng(0).normal(size=(4, 2))
    expected = getattr(np.ndarray, name)(x, *args, **options)
    got = getattr(ac.asarray(x), name)(*args, **options)
    _require_same(_outcome(lambda: got), _outcome(lambda: expected), name)


@pytest.mark.parametrize("axis", [(), (0,), (-1,)])
def test_arrays_are_sorted_in_place(axis: tuple) -> None:
    x = np.random.default_rng(0).normal(size=(4, 2))
    ours = ac.asarray(x.copy())
    assert ours.sort(*axis) is None and x.sort(*axis) is None
    _require_same(_outcome(lambda: ours), _outcome(lambda: x), "sort")
