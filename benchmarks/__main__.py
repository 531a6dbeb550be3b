"""Run the benchmarks, one after the other, each in a process of its own.

python -m benchmarks [name …] [--quick] [--save] [--list]
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.common import ROOT

BENCHMARKS = ("eager", "hvp", "meta_step", "compiled", "memory")


def summary(name: str) -> str:
    """The first line of a benchmark's description."""
    text = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
    return text.split("\n")[0]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="tiny settings: do they run at all?")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    options = parser.parse_args(argv)
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown benchmarks {sorted(unknown)}; there are {', '.join(BENCHMARKS)}")
    chosen = options.names or BENCHMARKS
    if options.list:
        for name in chosen:
            print(f"{name:10s} {summary(name)}")
        return 0
    flags = [f"--{flag}" for flag in ("quick", "save") if getattr(options, flag)]
    return max(run(name, flags) for name in chosen)


def run(name: str, flags: Sequence[str]) -> int:
    """Run one benchmark; its exit status."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *flags]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
