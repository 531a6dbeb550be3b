"""Runs the standard's conformance suite on a namespace, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
VERSION = "2024.12"
NAMESPACES = {
    "array_api_strict": "array_api_strict",
    "autograd_core": "autograd_core",
    "traced by vjp": "exec('from tests.conformance.traced import namespace; xp = namespace()')",
    "traced by jvp": "exec('from tests.conformance.traced import namespace; xp = namespace()')",
}


class Found(NamedTuple):
    """How a run of the suite ended."""

    passed: int
    skipped: int
    failed: tuple[str, ...]


def run(suite: Path, name: str, examples: int, only: Sequence[str] = ()) -> Found:
    """Run the suite on one of `NAMESPACES`.

    Args:
        suite: a clone of it.
        examples: that Hypothesis draws for each test, the same ones each time.
        only: files of the suite; all of it where there are none.

    Raises:
        RuntimeError: it did not run to its end.
    """
    environment = {
        **os.environ,
        "ARRAY_API_TESTS_MODULE": NAMESPACES[name],
        "ARRAY_API_TESTS_VERSION": VERSION,
        "METAGRAD_TRACED": name.split()[-1],
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    paths = [str(suite / "array_api_tests" / each) for each in only or ("",)]
    options = ("-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "--disable-deadline")
    drawn = (f"--max-examples={examples}", "--hypothesis-derandomize")
    command = [sys.executable, "-m", "pytest", *paths, *options, *drawn, f"--rootdir={suite}"]
    done = subprocess.run(command, env=environment, cwd=suite, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"the suite stopped on {name}:\n{done.stdout[-2000:]}{done.stderr}")
    failed = re.findall(r"^FAILED \S*?(test_\w+\.py::.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    last = done.stdout.strip().splitlines()[-1]
    count = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|skipped|failed)", last)}
    assert len(failed) == count.get("failed", 0), last
    return Found(count.get("passed", 0), count.get("skipped", 0), tuple(sorted(failed)))
