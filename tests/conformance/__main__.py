"""`python -m tests.conformance SUITE`: what the standard's suite finds, as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.conformance.suite import NAMESPACES, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("suite", type=Path, help="a clone of data-apis/array-api-tests")
    parser.add_argument("--examples", type=int, default=5, help="drawn for each test")
    options = parser.parse_args()
    names = []
    print(f"{'namespace':20} {'passed':>7} {'failed':>7} {'skipped':>8}")
    for name in NAMESPACES:
        found = run(options.suite.resolve(), name, options.examples)
        print(f"{name:20} {found.passed:7} {len(found.failed):7} {found.skipped:8}", flush=True)
        names += [f"{name}: {each}" for each in found.failed if name != "array_api_strict"]
    print("\n".join(["", "failed:", *names]))


main()
