"""The standard's suite, where there is a clone of it: see README.md."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.suite import Found, run

SUITE = os.environ.get("ARRAY_API_TESTS", "")
EXAMPLES = int(os.environ.get("ARRAY_API_EXAMPLES", "5"))

pytestmark = pytest.mark.skipif(
    not SUITE, reason="ARRAY_API_TESTS names no clone of data-apis/array-api-tests"
)


@cache
def found(name: str) -> Found:
    return run(Path(SUITE).resolve(), name, EXAMPLES)


def test_no_more_failures_than_array_api_strict() -> None:
    pytest.importorskip("array_api_strict", reason="what is compared with")
    ours, strict = found("autograd_core"), found("array_api_strict")
    assert ours.passed > 1300
    assert len(ours.failed) <= len(strict.failed), ours.failed


@pytest.mark.parametrize("mode", ["vjp", "jvp"])
def test_no_further_failures_where_inputs_are_traced(mode: str) -> None:
    assert set(found(f"traced by {mode}").failed) <= set(found("autograd_core").failed)
