"""Every name of the standard is here, and takes what the standard says."""

from __future__ import annotations

import inspect
from types import FunctionType

import pytest

import autograd_core as ac
from autograd_core.inspection import VERSIONS

strict = pytest.importorskip("array_api_strict", reason="the standard's names")
SKIPPED = {
    "set_array_api_strict_flags",
    "get_array_api_strict_flags",
    "reset_array_api_strict_flags",
}


def functions(space: object, prefix: str = "") -> list[str]:
    found = [n for n in space.__all__ if isinstance(getattr(space, n), FunctionType)]  # type: ignore[attr-defined]
    return [prefix + n for n in found if n not in SKIPPED and "strict" not in n.lower()]


NAMES = [
    *functions(strict),
    *functions(strict.linalg, "linalg."),
    *functions(strict.fft, "fft."),
]


def named(space: object, name: str) -> object:
    for part in name.split("."):
        space = getattr(space, part)
    return space


@pytest.mark.parametrize("name", NAMES)
def test_function(name: str) -> None:
    ours, theirs = named(ac, name), named(strict, name)
    assert inspect.getdoc(ours), "no docstring"
    mine = inspect.signature(ours).parameters  # type: ignore[arg-type]
    for each in inspect.signature(theirs).parameters.values():  # type: ignore[arg-type]
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD):
            assert each.name in mine, f"{name}: no parameter {each.name}"
            ours_default = mine[each.name].default
            assert ours_default in (each.default, None) or each.default is each.empty


def test_dtypes_and_constants() -> None:
    for name in ac.__array_namespace_info__().dtypes():
        assert ac.zeros(2, dtype=getattr(ac, name)).dtype == name
    assert abs(ac.e - 2.718281828459045) < 1e-15 and ac.newaxis is None and ac.inf > 1e308


def test_namespace_of_tensors() -> None:
    x = ac.asarray([1.0])
    assert x.__array_namespace__() is ac
    assert x.__array_namespace__(api_version=VERSIONS[-1]) is ac
    with pytest.raises(ValueError, match="is not supported; expected one of"):
        x.__array_namespace__(api_version="1999.12")


def test_kinds() -> None:
    info = ac.__array_namespace_info__()
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {
        "bool",
        "complex64",
        "complex128",
    }
    assert info.default_device() in info.devices()
    with pytest.raises(ValueError, match="expected a dtype or one of"):
        ac.isdtype(ac.float32, "floating")
    with pytest.raises(ac.DtypeError, match="finfo"):
        ac.finfo(ac.int8)
    with pytest.raises(ac.DtypeError, match="iinfo"):
        ac.iinfo(ac.float32)
