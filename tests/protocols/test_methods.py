"""Methods of tensors are those of `numpy.ndarray`: the same parameters, in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ac

CUBE = np.random.default_rng(0).normal(size=(3, 2, 3))
ABOVE = CUBE > 0

CALLS: list[tuple[str, tuple, dict[str, Any]]] = [
    *[(name, (), {}) for name in "all any argmax argmin argsort cumprod cumsum diagonal".split()],  # noqa: SIM905
    *[(name, (), {}) for name in "flatten max mean min prod ravel std sum trace var".split()],  # noqa: SIM905
    *[(name, (1,), {}) for name in "argmax argmin argsort cumsum max mean std trace".split()],  # noqa: SIM905
    *[(name, (0,), {"keepdims": True}) for name in ("argmax", "sum", "mean", "all", "var")],
    *[(name, (0, np.float32), {}) for name in ("sum", "prod", "mean", "std", "var", "cumsum")],
    *[(name, (), {"dtype": np.float32}) for name in ("sum", "mean", "var", "cumprod")],
    *[(name, (), {"where": ABOVE}) for name in ("sum", "mean", "prod", "all", "any")],
    *[(name, (0,), {"where": ABOVE, "initial": 0.5}) for name in ("max", "min", "sum")],
    ("std", (), {"ddof": 1}),
    ("var", (0, None, None, 1), {}),
    ("argsort", (0, "stable"), {}),
    ("argsort", (), {"kind": "stable", "axis": None}),
    ("compress", ([True, False, True], 0), {}),
    ("compress", ([True, False, True],), {}),
    ("copy", ("F",), {}),
    ("diagonal", (1,), {}),
    ("diagonal", (), {"axis1": 0, "axis2": 2}),
    ("flatten", ("F",), {}),
    ("ravel", (), {"order": "F"}),
    ("reshape", (9, 2), {"order": "F"}),
    ("reshape", ((2, 9),), {"order": "F"}),
    ("reshape", (-1, 6), {}),
    ("trace", (), {"offset": 1, "axis1": 0, "axis2": 2}),
    ("item", (3,), {}),
    ("item", (1, 1, -1), {}),
    ("item", ((1, 0, 2),), {}),
    ("tobytes", ("F",), {}),
    ("__contains__", (CUBE[1, 1, 1],), {}),
    ("__contains__", (7.0,), {}),
]
NAMES = [f"{name}{args}{sorted(options)}" for name, args, options in CALLS]


@pytest.mark.parametrize(("name", "args", "options"), CALLS, ids=NAMES)
def test_as_of_an_array(name: str, args: tuple, options: dict) -> None:
    expected = getattr(CUBE, name)(*args, **options)
    got = getattr(ac.asarray(CUBE), name)(*args, **options)
    assert isinstance(got, ac.Tensor) == isinstance(expected, np.ndarray | np.generic)
    if not isinstance(got, ac.Tensor):  # bytes, or a number of Python's
        assert got == expected
        return
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5 if got.dtype == "f4" else 1e-13)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("trace", (), {}),
        ("sum", (), {"where": ABOVE}),
        ("mean", (0, np.float32), {}),
        ("flatten", ("F",), {}),
        ("max", (0,), {"where": ABOVE, "initial": -9.0}),
    ],
)
def test_their_derivatives(name: str, args: tuple, options: dict) -> None:
    x, t = ac.asarray(CUBE), CUBE[::-1] * 0.5
    f = lambda x: ac.sum(getattr(x, name)(*args, **options) ** 2)
    slope = (f(x + 1e-3 * t) - f(x - 1e-3 * t)).item() / 2e-3
    assert ac.sum(ac.grad(f)(x) * t).item() == pytest.approx(slope, rel=3e-3)
    assert ac.jit(ac.grad(f))(x).numpy() == pytest.approx(ac.grad(f)(x).numpy(), rel=1e-5)


def test_what_is_ours_alone_goes_by_name() -> None:
    x = ac.asarray(CUBE)
    assert x.std(correction=1).item() == pytest.approx(CUBE.std(ddof=1))
    assert x.argsort(descending=True).shape == x.shape
    with pytest.raises(TypeError, match="data type"):
        x.sum(0, True)  # NumPy's second argument is the dtype


def test_results_are_not_written_to_arrays() -> None:
    with pytest.raises(ac.DtypeError, match="out="):
        ac.asarray(CUBE).sum(out=np.zeros(()))
