"""Every NumPy function that this package answers to: values as NumPy's on arrays, and derivatives
as the differences of NumPy's own values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.ops import numpy_protocol
from autograd_core.tree import tree_leaves
from tests.protocols.cases import CASES, IDS, Case

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of NaN

SMOOTH = [case for case in CASES if case.smooth]
SMOOTH_IDS = [name for name, case in zip(IDS, CASES, strict=True) if case.smooth]
STEP = 1e-6


def leaves(out: Any) -> list[Any]:
    return tree_leaves(out)


def values(out: Any) -> list[np.ndarray]:
    return [np.asarray(y.numpy() if isinstance(y, ac.Tensor) else y) for y in leaves(out)]


def directions(args: tuple, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=np.shape(x)) for x in args]


def total(case: Case, *args: Any) -> Any:
    """One number of all floating results, by NumPy's functions alone."""
    outs = [y for y in leaves(case.call(*args)) if y.dtype.kind == "f"]
    weights = directions(tuple(np.empty(y.shape) for y in outs), 2)
    return sum(np.sum(w * (y + 0.5 * y * y)) for w, y in zip(weights, outs, strict=True))


def slope(f: Any, args: tuple, ts: list[np.ndarray]) -> float:
    """The derivative along a direction, by central differences of a function of arrays."""
    ahead = f(*(x + STEP * t for x, t in zip(args, ts, strict=True)))
    behind = f(*(x - STEP * t for x, t in zip(args, ts, strict=True)))
    return float(ahead - behind) / (2 * STEP)


def require_slope(found: float, expected: float) -> None:
    assert abs(found - expected) <= 2e-7 * max(1.0, abs(expected)), (found, expected)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values_are_those_of_numpy(case: Case) -> None:
    expected = case.call(*case.args)
    got = case.call(*map(ac.asarray, case.args))
    assert all(isinstance(y, ac.Tensor) for y in leaves(got))
    pairs = list(zip(values(got), values(expected), strict=True))
    for a, b in pairs:
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", SMOOTH, ids=SMOOTH_IDS)
def test_gradients_are_the_differences_of_numpy(case: Case) -> None:
    ts = directions(case.args)
    expected = slope(lambda *xs: total(case, *xs), case.args, ts)
    gradients = ac.grad(lambda *xs: total(case, *xs), tuple(range(len(ts))))(*case.args)
    found = sum(float(np.nansum(g.numpy() * t)) for g, t in zip(gradients, ts, strict=True))
    require_slope(found, expected)
    pushed = ac.jvp(lambda *xs: total(case, *xs), case.args, tuple(ts))[1]
    assert abs(float(pushed) - found) <= 1e-10 * max(1.0, abs(found))


@pytest.mark.parametrize("case", SMOOTH, ids=SMOOTH_IDS)
def test_second_derivatives_are_the_differences_of_the_first(case: Case) -> None:
    ts = tuple(directions(case.args))
    along = lambda *xs: ac.jvp(lambda *ys: total(case, *ys), xs, ts)[1]  # forward
    gradients = ac.grad(along, tuple(range(len(ts))))(*case.args)  # reverse over it
    found = sum(float(np.nansum(g.numpy() * t)) for g, t in zip(gradients, ts, strict=True))
    expected = slope(lambda *xs: along(*xs).numpy(), case.args, list(ts))
    require_slope(found, expected)


@pytest.mark.parametrize("case", [c for c in CASES if c.maps])
def test_mapped(case: Case) -> None:
    several = tuple(np.stack([x, x[..., ::-1] if np.ndim(x) else x, x]) for x in case.args)
    if case.name in ("linalg.cholesky", "linalg.eigh", "linalg.eigvalsh", "linalg.solve"):
        several = tuple(np.stack([x, 2 * x, x]) for x in case.args)
    got = values(ac.vmap(case.call)(*several))
    expected = [values(case.call(*(x[i] for x in several))) for i in range(3)]
    for a, *rows in zip(got, *expected, strict=True):
        np.testing.assert_allclose(a, np.stack(rows), rtol=1e-11, atol=1e-11)


def test_all_functions_have_a_case() -> None:
    """What the tables or an operation's name answer to is among the cases, or said why not."""
    seen = {case.name for case in CASES}
    elsewhere = {
        "linalg.eig", "linalg.eigvals",  # complex here, whatever the values
        # tested in test_numpy_protocol.py
        "shape", "ndim", "size", "result_type", "can_cast", "common_type", "iscomplexobj",
        "isrealobj", "allclose", "array_equal", "asarray", "asanyarray", "array", "identity",
        "ascontiguousarray", "asfortranarray", "empty", "zeros", "ones", "full", "arange", "eye",
        # of the standard, by its own test suite
        "cumulative_sum", "cumulative_prod", "isin", "unique_all", "unique_counts",
        "unique_inverse", "unique_values", "unstack", "vecdot", "nextafter",
        "copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask",
        # with NumPy's arguments, compared with JAX in tests/oracles
        "argwhere", "bincount", "digitize", "flatnonzero", "histogram", "intersect1d",
        "left_shift", "lexsort", "nanargmax", "nanargmin", "nancumprod", "nancumsum",
        "nanmedian", "nanpercentile", "nanquantile", "polyadd", "polyder", "polyfit",
        "polyint", "polymul", "polysub", "ravel_multi_index", "right_shift", "setdiff1d",
        "setxor1d", "union1d", "unique", "unravel_index",
    }  # fmt: skip
    assert answered().keys() - seen - elsewhere == set()


def answered() -> dict[str, Any]:
    """NumPy's functions that an operation answers to, by name."""
    found = {}
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name, f in vars(module).items():
            dispatched = isinstance(f, np.ufunc) or hasattr(f, "_implementation")
            if dispatched and f.__name__ == name and numpy_protocol._operation(f):
                found[prefix + name] = f
    return found


def test_these_tests_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong entry of the table is noticed, in values and in derivatives."""
    sine = next(case for case in CASES if case.name == "sin")
    log = next(case for case in CASES if case.name == "log")
    monkeypatch.setitem(numpy_protocol.INSTEAD, "sin", ac.cos)
    monkeypatch.setitem(numpy_protocol.INSTEAD, "log", lambda x: ac.log(ac.stop_gradient(x)))
    numpy_protocol._operation.cache_clear()
    try:
        with pytest.raises(AssertionError):
            test_values_are_those_of_numpy(sine)
        test_values_are_those_of_numpy(log)
        with pytest.raises(AssertionError):
            test_gradients_are_the_differences_of_numpy(log)
    finally:
        monkeypatch.undo()
        numpy_protocol._operation.cache_clear()
