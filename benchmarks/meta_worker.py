"""One engine on one workload, in a process of its own: times steps and prints what it found.

    python -m benchmarks.meta_worker ENGINE WORKLOAD SECONDS OUT [--tiny] [--float64] [--device D]
        [--turn]

`benchmarks.meta_step` starts it. The gradient of the first step goes to the file OUT (.npz); the
rest is printed as one line of JSON. With negative SECONDS that step is all; with `--turn` it waits
after that step until it is given a line to read: others may be timed meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import peak_rss
from benchmarks.engines import Training, prepare
from benchmarks.workloads import MORE, WORKLOADS, tiny

AT_LEAST, AT_MOST = 3, 2000
LONGEST_STEPS = 100
"""Of a program on a GPU, that are told: each with its operations, bytes and seconds."""


def measure(
    training: Training, seconds: float, out: Path, wait: Callable[[], None]
) -> dict[str, Any]:
    """The first step (compilation and all), then unless negative steps for `seconds` seconds.

    Args:
        wait: called before the steps that are timed.
    """
    before = peak_rss()
    start = time.perf_counter()
    loss = training.advance()
    first = time.perf_counter() - start
    np.savez(out, *training.gradients())
    wait()
    taken = time_steps(training, seconds) if seconds >= 0 else [first]
    explain = getattr(training, "explain", None)
    program = explain() if explain else None
    counted = {"flops": program.product_flops, "program_bytes": program.memory} if program else {}
    if program and program.launches is not None:
        counted |= {"launches": program.launches, "bytes": program.bytes}
        counted |= _shares(explain(timed=True))
    return {
        **counted,
        "first_s": first,
        "median_s": statistics.median(taken),
        "min_s": min(taken),
        "steps_timed": len(taken),
        "loss": loss,
        "peak_rss": peak_rss(),
        "rss_before_first_step": before,
    }


def _shares(program: Any) -> dict[str, Any]:
    """Of the time of a program's steps, the part in products, each step by itself."""
    kinds = ("product", "convolution")
    spent = sum(s.seconds for s in program.steps if s.what.startswith(kinds))
    longest = sorted(program.steps, key=lambda s: -s.seconds)[:LONGEST_STEPS]
    told = [[s.what, s.flops, s.bytes, s.seconds] for s in longest]
    return {"steps_s": program.seconds, "products_s": spent, "longest": told}


def _go_on() -> None:
    """Wait for nothing."""


def _wait_for_turn() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def time_steps(training: Training, seconds: float) -> list[float]:
    """Seconds of each step after one more, of as many as fit into `seconds`, but at least three."""
    training.advance()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < AT_MOST and (len(taken) < AT_LEAST or time.perf_counter() < end):
        start = time.perf_counter()
        training.advance()
        taken.append(time.perf_counter() - start)
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("workload", choices=(*WORKLOADS, *MORE))
    parser.add_argument("seconds", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--turn", action="store_true")
    options = parser.parse_args(argv)
    workload = {**WORKLOADS, **MORE}[options.workload]
    workload = tiny(workload) if options.tiny else workload
    workload = replace(workload, dtype="float64") if options.float64 else workload
    sizes = {n: getattr(options, n) for n in ("tasks", "steps") if getattr(options, n)}
    workload = replace(workload, **sizes)
    training = prepare(options.engine, workload, options.device)
    wait = _wait_for_turn if options.turn else _go_on
    print(json.dumps(measure(training, options.seconds, options.out, wait)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
