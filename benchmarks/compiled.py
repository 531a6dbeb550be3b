"""One meta-training step, compiled: ours beside the best peer of each workload, and the floor.

    python -m benchmarks.compiled [workload …] [--seconds S]

Each engine runs in a process of its own, one after the other, with all cores. Ours runs twice: with
an empty cache of machine code, and with what the first process left there. Goals are for the median
time as a share of the best peer's, for the first step, for memory, and, for convolutional networks,
for the speed as a share of what BLAS's rate would allow for the step's products as PyTorch's loop
computes them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.agreement import gradient_errors, load
from benchmarks.common import (
    ChildError,
    Report,
    Table,
    absent,
    milliseconds,
    parser,
    run_child,
    verdict,
)
from benchmarks.engines import ENGINES
from benchmarks.floor import meta_step_flops
from benchmarks.workloads import MORE, WORKLOADS, tiny

OURS, AGAIN = "ours-jit", "ours-jit, second process"
LEAST_SPEED = 0.6
"""Of BLAS's rate, for the products of convolutional workloads."""
QUICK_START = 0.5
"""Seconds of a first step in a second process that need no comparison."""


@dataclass(frozen=True)
class Goal:
    """The best peers of a workload, and our time as a share of theirs."""

    peers: Sequence[str]
    share: float


GOALS = {
    "sine_1step": Goal(("jax-jit", "jax-scan"), 0.7),
    "sine_5step": Goal(("jax-jit", "jax-scan"), 0.7),
    "omni_mlp": Goal(("jax-jit", "jax-scan"), 1.0),
    "omni_5w1s": Goal(("torch-loop",), 0.5),
    "mini_5w1s": Goal(("torch-loop",), 0.3),
    "omni_20w1s": Goal(("torch-loop",), 0.5),
    "omni_100tasks": Goal(("torch-loop",), 0.5),
    "omni_width128": Goal(("torch-loop",), 0.5),
}


def measure(names: Sequence[str], seconds: float, quick: bool, compile_jax: bool) -> Report:
    """Every workload by ours and its best peers."""
    settings = {"seconds": seconds}
    report = Report("compiled", "One meta-training step, compiled (second-order MAML)", settings)
    rate = run_child("benchmarks.floor")["rate"]
    report.note(f"BLAS: {rate / 1e9:.0f} GFLOP/s in float32 products (the floor's speed)")
    for engine in ("torch-loop", "jax-jit"):
        reason = absent(str(ENGINES[engine].package))
        if reason:
            report.skip({engine: reason})
    for name in names:
        _measure(report, name, seconds, rate, quick, compile_jax)
    return report


def _measure(
    report: Report, name: str, seconds: float, rate: float, quick: bool, compile_jax: bool
) -> None:
    workload = {**WORKLOADS, **MORE}[name]
    flops = meta_step_flops(tiny(workload) if quick else workload)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        cache = {"METAGRAD_CACHE": f"{folder}/cache"}
        found[OURS] = _run(name, OURS, seconds, Path(folder), quick, cache)
        found[AGAIN] = _run(name, OURS, seconds, Path(folder), quick, cache)
        for peer in GOALS[name].peers:
            if not absent(str(ENGINES[peer].package)):
                _run_peer(report, found, name, peer, seconds, Path(folder), quick)
        if compile_jax and "jax-jit" not in GOALS[name].peers and not absent("jax"):
            _run_peer(report, found, name, "jax-scan", -1.0, Path(folder), quick)
    floor = flops / rate
    report.add(_table(name, found, flops, floor))
    record = {"flops": flops, "floor_s": floor, "engines": found}
    report.data[name] = record
    for line in judged(name, record):
        report.note(f"{name}: {line}")


def _run_peer(
    report: Report, found: dict, name: str, peer: str, seconds: float, folder: Path, quick: bool
) -> None:
    try:
        found[peer] = _run(name, peer, seconds, folder, quick, {})
    except ChildError as error:
        report.note(f"{name}: {peer}: {error}")
        return
    ours, theirs = load(folder / f"{OURS}.npz"), load(folder / f"{peer}.npz")
    found[peer]["gradient_error"] = gradient_errors(ours, theirs)["gradient_error"]


def _run(
    name: str, engine: str, seconds: float, folder: Path, quick: bool, settings: dict[str, str]
) -> dict[str, Any]:
    arguments = [engine, name, str(seconds), str(folder / f"{engine}.npz")]
    arguments += ["--tiny"] if quick else []
    return run_child("benchmarks.meta_worker", *arguments, timeout=1800.0, settings=settings)


def judged(name: str, record: dict[str, Any]) -> list[str]:
    """The goals, each with its figure."""
    engines, goal = record["engines"], GOALS[name]
    ours, again = engines[OURS], engines[AGAIN]
    lines = []
    peers = {p: engines[p] for p in goal.peers if p in engines}
    if peers:
        best = min(peers, key=lambda p: peers[p]["median_s"])
        share = ours["median_s"] / peers[best]["median_s"]
        lines.append(f"time ≤ {goal.share:g}× {best}: {share:.2f}× {verdict(share, goal.share)}")
    jax = [engines[p]["first_s"] for p in ("jax-jit", "jax-scan") if p in engines]
    if jax:
        share = ours["first_s"] / min(jax)
        lines.append(f"first step ≤ JAX's: {share:.2f}× {verdict(share, 1.0)}")
    bound = max(QUICK_START, ours["first_s"] / 4)
    lines.append(
        f"first step of a second process ≤ {bound:.2f} s: {again['first_s']:.2f} s "
        f"{verdict(again['first_s'], bound)}"
    )
    if "torch-loop" in engines:
        share = ours["peak_rss"] / engines["torch-loop"]["peak_rss"]
        lines.append(f"memory ≤ the PyTorch loop's: {share:.2f}× {verdict(share, 1.0)}")
    if {**WORKLOADS, **MORE}[name].model == "conv":
        speed = record["floor_s"] / ours["median_s"]
        lines.append(
            f"speed ≥ {LEAST_SPEED:g} of BLAS's: {speed:.2f} {verdict(-speed, -LEAST_SPEED)}"
        )
    return lines


COLUMNS = (
    *("engine", "first", "median", "min", "ours / it", "floor / it", "peak MB", "ours / it"),
    "gradient error",
)


def _table(name: str, found: dict[str, dict[str, Any]], flops: int, floor: float) -> Table:
    ours = found[OURS]
    rows = []
    for engine, each in found.items():
        compared = engine not in (OURS, AGAIN) and each["steps_timed"] > 1
        rows.append(
            [
                engine,
                f"{each['first_s']:.2f} s",
                *(milliseconds(each[k]) for k in ("median_s", "min_s")),
                f"{ours['median_s'] / each['median_s']:.2f}×" if compared else "",
                f"{floor / each['median_s']:.2f}",
                f"{each['peak_rss'] / 1e6:.0f}",
                f"{ours['peak_rss'] / each['peak_rss']:.2f}×" if compared else "",
                f"{each['gradient_error']:.0e}" if "gradient_error" in each else "",
            ]
        )
    program = f"{ours['flops'] / 1e9:.3g} in the program" if "flops" in ours else "not compiled"
    return Table(f"{name}: {flops / 1e9:.3g} GFLOP in products, {program}", COLUMNS, rows)


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(__doc__, ())
    made.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(GOALS))
    made.add_argument("--seconds", type=float, default=10.0, help="of steps for each engine")
    made.add_argument(
        "--compile-jax", action="store_true", help="JAX's first step on large workloads (minutes)"
    )
    options = made.parse_args(argv)
    unknown = set(options.workloads) - set(GOALS)
    if unknown:
        made.error(f"unknown workloads {sorted(unknown)}; there are {', '.join(GOALS)}")
    names = options.workloads or (["sine_1step"] if options.quick else list(GOALS))
    seconds = 0.05 if options.quick else options.seconds
    report = measure(names, seconds, options.quick, options.compile_jax)
    if options.save:
        report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
