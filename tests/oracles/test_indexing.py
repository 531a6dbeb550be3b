"""Indexing and indexed updates beside NumPy's: values, and gradients by scattering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ac

SHAPE = (4, 3, 5)
MASK = np.arange(12).reshape(4, 3) % 3 == 1
I, J = np.array([3, 0, -1]), np.array([[1], [-2]])

KEYS: list[Any] = [
    # integers, slices, ellipsis, new axes
    0,
    -1,
    (1, 2, 3),
    (1, -1),
    slice(None),
    slice(1, 3),
    slice(None, None, -1),
    slice(3, 0, -2),
    slice(-10, 10, 3),
    slice(-10, None, -1),
    slice(2, 2),
    slice(9, None),
    (slice(None), slice(None, None, 2), slice(-1, None, -3)),
    (slice(None), 1),
    (Ellipsis, 0),
    (0, Ellipsis),
    (Ellipsis, slice(1, 2), 0),
    (),
    Ellipsis,
    None,
    (None, 0, None, slice(1, None)),
    (Ellipsis, None),
    # arrays of integers
    I,
    [0, 0, 2],
    [-1],
    J,
    np.int64(2),
    np.array(2),
    np.zeros((0,), np.int64),
    [],
    np.zeros((2, 0), np.int64),
    (slice(None), [2, 0]),
    (Ellipsis, I),
    ([0, 1], [2, 2]),
    ([0, 1], [2, 2], [4, -4]),
    ([[0], [1]], [2, 1, 0]),
    ([0, 1], slice(None), [4, 3]),
    (slice(None), [0, 1], [4, 3]),
    ([0, 1], [2, 1], slice(None, None, -2)),
    (0, slice(None), [4, 3]),
    (slice(None), 1, [4, 3]),
    ([3, 1], 1),
    ([3, 1], Ellipsis, 0),
    (None, [0, 1], None, [2, 1]),
    ([0, 1], None, slice(None), [2, 1]),
    (slice(1, 3), J, slice(None)),
    (J, slice(1, 3), I),
    (np.int32(1), np.array([0, 2], np.int8)),
    (slice(0, 0), [0, 1]),
    # masks
    MASK,
    ~MASK[:, 0],
    np.zeros((4, 3), bool),
    (MASK[:, 0], 1),
    (slice(None), MASK[0]),
    (MASK[:, 0], slice(None), [1]),
    (MASK, slice(1, 3)),
    (Ellipsis, np.array([True, False, True, True, False])),
    np.arange(60).reshape(SHAPE) % 7 == 0,
    True,
    False,
    np.True_,
    (True, 0),
]


def _named(keys: list[Any]) -> list[str]:
    return [f"{i}: {str(key)[:40]}".replace("\n", "") for i, key in enumerate(keys)]


def _array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE)


@pytest.mark.parametrize("key", KEYS, ids=_named(KEYS))
def test_reads_as_numpy(key: Any) -> None:
    x = _array()
    expected = x[key]
    got = ac.asarray(x)[key]
    np.testing.assert_array_equal(got.data, expected)
    weights = np.random.default_rng(1).normal(size=expected.shape)
    scattered = np.zeros(SHAPE)
    np.add.at(scattered, key, weights)
    gradient = ac.grad(lambda x: ac.sum(weights * x[key]))(x)
    np.testing.assert_allclose(gradient.data, scattered, rtol=0, atol=1e-14)


@pytest.mark.parametrize("key", KEYS, ids=_named(KEYS))
def test_reads_under_vmap(key: Any) -> None:
    stack = np.random.default_rng(0).normal(size=(2, *SHAPE))
    got = ac.vmap(lambda x: x[key])(stack)
    np.testing.assert_array_equal(got.data, np.stack([x[key] for x in stack]))


BAD_KEYS: list[Any] = [4, -5, (0, 0, 0, 0), [4], [-5], ([0], [3]), 1.5, "a", (Ellipsis, Ellipsis)]


@pytest.mark.parametrize("key", [*BAD_KEYS, np.zeros((4, 2), bool)], ids=str)
def test_refuses_what_numpy_refuses(key: Any) -> None:
    x = _array()
    with pytest.raises(IndexError):
        x[key]
    with pytest.raises((IndexError, TypeError)):
        ac.asarray(x)[key]


def test_zero_dimensional() -> None:
    x = np.array(1.5)
    for key in ((), Ellipsis, None, (None, Ellipsis), True, False):
        np.testing.assert_array_equal(ac.asarray(x)[key].data, x[key])


# Updates --------------------------------------------------------------------------------------

UFUNCS: dict[str, Callable] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "min": np.minimum,
    "max": np.maximum,
}
UPDATE_KEYS: list[Any] = [
    0,
    (1, 2, 3),
    slice(None, None, -2),
    (Ellipsis, slice(1, 3)),
    ([1, 1, 3],),
    ([0, 0, 0, 2], slice(None), [1, 1, 1, 1]),
    (slice(None), J),
    MASK,
    np.zeros((0,), np.int64),
    slice(2, 2),
]


def _values(key: Any, kind: str) -> Any:
    shape = np.empty(SHAPE)[key].shape
    rng = np.random.default_rng(2)
    if kind == "full":
        return rng.uniform(0.5, 2, shape)
    return rng.uniform(0.5, 2, shape[-1:]) if kind == "row" else 1.75


def _updated(x: np.ndarray, name: str, key: Any, values: Any) -> np.ndarray:
    out = x.copy()
    UFUNCS[name].at(out, key, values)
    return out


@pytest.mark.parametrize("kind", ["full", "row", "number"])
@pytest.mark.parametrize("name", UFUNCS)
@pytest.mark.parametrize("key", UPDATE_KEYS, ids=_named(UPDATE_KEYS))
def test_updates_as_ufunc_at(key: Any, name: str, kind: str) -> None:
    x, values = np.random.default_rng(0).uniform(0.5, 2, SHAPE), _values(key, kind)
    got = getattr(ac.asarray(x).at[key], name)(values)
    np.testing.assert_allclose(got.data, _updated(x, name, key, values), rtol=1e-14)


@pytest.mark.parametrize("name", UFUNCS)
def test_derivatives_of_updates(name: str) -> None:
    """By central differences of NumPy's own update, of a place named three times too."""
    key, h = ([0, 0, 0, 2], slice(None), [1, 1, 1, 1]), 1e-5
    x, v = np.random.default_rng(0).uniform(0.5, 2, SHAPE), _values(key, "full")
    weights = np.random.default_rng(3).normal(size=SHAPE)
    dx, dv = (np.random.default_rng(k).normal(size=a.shape) for k, a in ((4, x), (5, v)))

    def moved(s: float) -> float:
        return float(np.sum(weights * _updated(x + s * dx, name, key, v + s * dv)))

    expected = (moved(h) - moved(-h)) / (2 * h)
    loss = lambda x, v: ac.sum(weights * getattr(x.at[key], name)(v))
    gx, gv = ac.grad(loss, (0, 1))(x, v)
    got = float(np.sum(gx.data * dx) + np.sum(gv.data * dv))
    assert abs(got - expected) < 1e-7 * max(1.0, abs(expected))
    forward = ac.jvp(loss, (x, v), (dx, dv))[1].item()
    assert abs(forward - got) < 1e-12 * max(1.0, abs(got))


@pytest.mark.parametrize("kind", ["full", "row", "number"])
@pytest.mark.parametrize("key", KEYS, ids=_named(KEYS))
def test_sets_as_numpy(key: Any, kind: str) -> None:
    x, values = _array(), _values(key, kind)
    if kind == "row" and values.shape == (0,):
        values = np.zeros(np.empty(SHAPE)[key].shape)
    expected = x.copy()
    expected[key] = values
    tensor = ac.asarray(x)
    np.testing.assert_array_equal(tensor.at[key].set(values).data, expected)
    np.testing.assert_array_equal(tensor.data, x)  # x itself is as it was


def test_set_takes_the_last_of_several_and_its_gradient() -> None:
    x, v = np.zeros(3), np.array([1.0, 2.0, 4.0])
    weights = np.array([3.0, 5.0, 7.0])
    f = lambda x, v: ac.sum(weights * x.at[[1, 1, 2]].set(v))
    np.testing.assert_array_equal(ac.asarray(x).at[[1, 1, 2]].set(v).data, [0, 2, 4])
    gx, gv = ac.grad(f, (0, 1))(x, v)
    np.testing.assert_array_equal(gx.data, [3, 0, 0])
    np.testing.assert_array_equal(gv.data, [0, 5, 7])


@pytest.mark.parametrize("name", ["set", *UFUNCS])
def test_updates_under_vmap_with_mapped_places(name: str) -> None:
    rng = np.random.default_rng(0)
    xs, vs = rng.uniform(0.5, 2, (3, 4)), rng.uniform(0.5, 2, (3, 5))
    places = rng.integers(-4, 4, (3, 5))
    if name not in ("set", "add", "subtract"):  # how often a place is named must be known
        places = np.broadcast_to(places[0], places.shape)
        got = ac.vmap(lambda x, v: getattr(x.at[places[0]], name)(v))(xs, vs)
    else:
        got = ac.vmap(lambda x, i, v: getattr(x.at[i], name)(v))(xs, places, vs)
    for row, x, i, v in zip(got.data, xs, places, vs, strict=True):
        expected = x.copy()
        if name == "set":
            expected[i] = v
        else:
            UFUNCS[name].at(expected, i, v)
        np.testing.assert_allclose(row, expected, rtol=1e-14)


def test_in_place_assignment_is_set() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        y[1:, 0] = 2.0 * x[0, 0]
        return ac.sum(y**2)

    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(ac.grad(f)(x).data, [[2 + 8, 4], [0, 8]], rtol=1e-15)


def test_set_drops_leading_axes_of_length_1_of_values() -> None:
    x, values = np.zeros((3, 2)), np.ones((1, 1, 2))
    np.testing.assert_array_equal(ac.asarray(x).at[0].set(values).data, [[1, 1], [0, 0], [0, 0]])


def test_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ac.ShapeError, match=r"values of shape \(2,\)"):
        ac.asarray(np.zeros(3)).at[:].set(np.ones(2))
