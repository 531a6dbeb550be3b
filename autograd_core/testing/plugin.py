"""The pytest plugin, loaded on install: a fixture and a marker for gradient checks, and a table.

    def test_my_gradient(gradcheck):
        gradcheck((f, vjp), x)

    @pytest.mark.gradcheck(order=3, dtypes=["float32"])
    def test_another(gradcheck): ...

Options on the command line (or `gradcheck_profile`, … in the ini file) hold for all checks of a
run, those of a marker for one test, and those of a call for that call.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from autograd_core.device import device_named
from autograd_core.errors import DeviceError
from autograd_core.tensor import Tensor
from autograd_core.testing import check_grads, gradients, profiles
from autograd_core.testing.reports import Report, finite, listening
from autograd_core.tree import tree_map

MARK = "gradcheck"
SHOWN = 40
"""Rows of the table, without -v."""
OPTIONS = {
    "profile": "how much is checked: quick (the default), ci or thorough",
    "order": "of the highest derivatives that are checked: 1 to 4",
    "dtypes": "of floating-point arguments, as float64,float32; where not given, as they are",
    "devices": "of tensors of this package, as cpu,cuda; where not given, as they lie",
    "seed": "of directions and places: 0 where not given",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup(MARK, "gradient checks (metagrad)")
    for name, text in OPTIONS.items():
        group.addoption(f"--gradcheck-{name}", metavar=name.upper(), default=None, help=text)
        parser.addini(f"gradcheck_{name}", text, default=None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "gradcheck(profile=None, order=None, dtypes=None, devices=None, seed=None): a test that "
        "checks gradients, and how it does",
    )
    try:
        _settings(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that check gradients can be selected: -m gradcheck."""
    for item in items:
        uses = MARK in getattr(item, "fixturenames", ()) or hasattr(
            getattr(item, "obj", None), "is_gradcheck"
        )
        if uses and item.get_closest_marker(MARK) is None:
            item.add_marker(MARK)


# Options --------------------------------------------------------------------------------------


def _settings(config: pytest.Config, marker: pytest.Mark | None = None) -> dict[str, Any]:
    """The options that hold for a test; ValueError where one is none."""
    given = {}
    for name in OPTIONS:
        said = config.getoption(f"--gradcheck-{name}")
        given[name] = config.getini(f"gradcheck_{name}") if said is None else said
    if marker is not None:
        unknown = set(marker.kwargs) - set(OPTIONS)
        if unknown or marker.args:
            odd = ", ".join([*map(repr, marker.args), *sorted(unknown)])
            raise ValueError(f"pytest.mark.gradcheck: {odd}; expected {', '.join(OPTIONS)} by name")
        given |= marker.kwargs
    checked = {name: _checked(name, x) for name, x in given.items() if x not in (None, "")}
    return {name: checked.get(name) for name in OPTIONS}


def _checked(name: str, value: Any) -> Any:
    """An option's value; ValueError where it is none."""
    if name == "profile":
        profiles.profile_of(value)
        return value
    if name in ("order", "seed"):
        return _number(name, value)
    several = value.split(",") if isinstance(value, str) else list(np.atleast_1d(value))
    return [_dtype(x) if name == "dtypes" else _device(str(x).strip()) for x in several]


def _number(name: str, value: Any) -> int:
    most = gradients.HIGHEST if name == "order" else 2**32
    least = 1 if name == "order" else 0
    if not (str(value).isascii() and str(value).isdecimal()) or not least <= int(value) <= most:
        raise ValueError(f"--gradcheck-{name}={value}: expected a number from {least} to {most}")
    return int(value)


def _dtype(name: Any) -> np.dtype:
    try:
        dtype = np.dtype(name.strip() if isinstance(name, str) else name)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind != "f":
        raise ValueError(f"--gradcheck-dtypes={name}: expected float32, float64 or float16")
    return dtype


def _device(name: str) -> str:
    try:
        return device_named(name)
    except (DeviceError, ValueError) as error:
        raise ValueError(f"--gradcheck-devices={name}: {error}") from None


# Tests ----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Checks inside of a test do what the options say, and are told of in the table."""
    marker = item.get_closest_marker(MARK)
    options = _settings_or_fail(item.config, marker)
    changes = {name: options[name] for name in ("order", "seed") if options[name] is not None}
    if "order" in changes:
        changes["property_order"] = changes["order"]
    heard: list[Report] = []
    try:
        with profiles.profile(options["profile"], **changes), listening(heard.append):
            result = yield
        if not heard and _is_about_gradients(item):
            item.warn(pytest.PytestWarning(f"{item.nodeid} is marked, and checked no gradient"))
        return result
    finally:
        said = [_summary(report) for report in heard]
        if said:
            item.user_properties.append((MARK, json.dumps(said)))


def _is_about_gradients(item: pytest.Item) -> bool:
    """Whether a test says so itself: by the marker, or by asking for the fixture."""
    return MARK in getattr(item, "fixturenames", ()) or item.get_closest_marker(MARK) is not None


def _settings_or_fail(config: pytest.Config, marker: pytest.Mark | None) -> dict[str, Any]:
    """The options of a test, which fails where one is none."""
    try:
        return _settings(config, marker)
    except ValueError as error:
        said = str(error)
    pytest.fail(said, pytrace=False)


def _summary(report: Report) -> dict[str, Any]:
    return {
        "name": report.name,
        "orders": report.orders,
        "modes": report.modes,
        "decided": report.decided,
        "worst": finite(report.worst) or 0.0,
        "failed": bool(report.failure),
    }


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`check_grads`, for each dtype and device that the options name.

    gradcheck(f, *args, **options) takes what `check_grads` does, and `dtypes` and `devices`. It
    returns a report of all of them.
    """
    options = _settings_or_fail(request.config, request.node.get_closest_marker(MARK))

    def check(f: Any, *args: Any, dtypes: Any = None, devices: Any = None, **given: Any) -> Report:
        __tracebackhide__ = True
        dtypes = options["dtypes"] if dtypes is None else _checked("dtypes", dtypes)
        devices = options["devices"] if devices is None else _checked("devices", devices)
        found: Report | None = None
        for dtype, device in itertools.product(dtypes or [None], devices or [None]):
            report = check_grads(f, *_placed(args, dtype, device), **given)
            if found is None:
                found = report
            else:
                found.merge(report)
        assert found is not None
        return found

    return check


def _placed(args: Sequence[Any], dtype: np.dtype | None, device: str | None) -> Sequence[Any]:
    """Arguments, their floating-point arrays of a dtype and this package's tensors on a device."""

    def place(x: Any) -> Any:
        kind = str(getattr(x, "dtype", ""))
        if dtype is not None and "float" in kind:
            x = x.astype(dtype) if hasattr(x, "astype") else x.to(_of_library(x, dtype))
        return x.to_device(device) if device is not None and isinstance(x, Tensor) else x

    return tree_map(place, tuple(args))


def _of_library(x: Any, dtype: np.dtype) -> Any:
    """PyTorch's dtype for one of NumPy's."""
    return getattr(sys.modules[type(x).__module__.partition(".")[0]], dtype.name)


# The table ------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was checked, at which orders, and how near the worst error came to its tolerance."""
    rows = _rows(terminalreporter.stats)
    if not rows or terminalreporter.config.get_verbosity() < -1:
        return
    terminalreporter.section("gradient checks")
    most = len(rows) if terminalreporter.config.get_verbosity() > 0 else SHOWN
    # The failed ones first, then those that came nearest to failing.
    rows.sort(key=lambda row: (not row["failed"], -row["worst"]))
    width = max(len(row["what"]) for row in rows[:most])
    width = min(max(width, 8), 60)
    terminalreporter.line(
        f"{'checked':{width}}  orders   modes     slopes  worst error / tolerance"
    )
    for row in rows[:most]:
        terminalreporter.line(_line(row, width), red=row["failed"])
    if len(rows) > most:
        terminalreporter.line(f"… and {len(rows) - most} more, with smaller errors (-v shows all)")


def _rows(stats: dict[str, list]) -> list[dict[str, Any]]:
    """One row for each function that a test checked."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for report in itertools.chain.from_iterable(stats.values()):
        for name, value in getattr(report, "user_properties", ()):
            if name == MARK and getattr(report, "when", "") == "call":
                for each in json.loads(value):
                    _add(found, report.nodeid, each)
    return list(found.values())


def _add(found: dict[tuple[str, str], dict[str, Any]], nodeid: str, said: dict[str, Any]) -> None:
    key = nodeid, said["name"]
    if key not in found:
        test = nodeid.rpartition("::")[2]
        found[key] = {**said, "what": test if said["name"] in test else f"{test}: {said['name']}"}
        return
    row = found[key]
    row["orders"] = sorted({*row["orders"], *said["orders"]})
    row["modes"] = [mode for mode in gradients.MODES if mode in {*row["modes"], *said["modes"]}]
    row["worst"] = max(row["worst"], said["worst"])
    row["failed"] |= said["failed"]
    row["decided"] += said["decided"]


def _line(row: dict[str, Any], width: int) -> str:
    what = row["what"] if len(row["what"]) <= width else row["what"][: width - 1] + "…"
    orders = ", ".join(map(str, row["orders"])) or "-"
    worst = "WRONG" if row["failed"] else f"{row['worst']:.2g}" if row["decided"] else "undecided"
    return f"{what:{width}}  {orders:7}  {'+'.join(row['modes']):8}{row['decided']:8}  {worst}"
