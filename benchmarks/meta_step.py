"""One meta-training step of each workload: ours eager, PyTorch and JAX, and the floor.

    python -m benchmarks.meta_step [workload …] [--seconds S] [--jax] [--float64]

Each engine runs in a process of its own, one after the other, with all cores unless `--one-thread`
is given, which a busy machine disturbs less. Printed are the first step (compilation and all), the
median and fastest of the steps after it, the most memory that the process held, the first loss, and
how far the first loss and meta-gradient are from ours. JAX takes long to compile the larger
workloads, and is left out unless asked for.

Rounding in float32 moves a few units across the kinks of relu and max-pooling, and with them the
meta-gradient: `rounding` is how far each engine's is from ours in float64. With `--float64` all
engines compute in float64, where they must agree to 1e-10.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.agreement import (
    OURS,
    REFERENCE,
    TOLERANCES,
    compare,
    gradient_errors,
    judge,
    load,
)
from benchmarks.common import (
    ONE_THREAD,
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
from benchmarks.workloads import WORKLOADS, tiny

FIRST_STEP_ONLY = -1.0


@dataclass(frozen=True)
class Options:
    """What to run."""

    workloads: Sequence[str]
    engines: Sequence[str]
    seconds: float
    quick: bool = False
    dtype: str = "float32"
    one_thread: bool = False
    timeout: float = 1800.0


def measure(options: Options, skipped: dict[str, str]) -> Report:
    """Every workload by every engine that is there."""
    settings = {
        "seconds": options.seconds,
        "dtype": options.dtype,
        "one thread": options.one_thread,
    }
    report = Report("meta_step", "One meta-training step (second-order MAML)", settings)
    rate = run_child("benchmarks.floor", settings=_environment(options))["rate"]
    report.note(f"BLAS: {rate / 1e9:.0f} GFLOP/s in float32 products (the floor's speed)")
    failed = False
    for name in options.workloads:
        lines = _measure_workload(options, name, rate, report)
        for line in lines:
            report.note(f"{name}: {line}")
        failed |= any("FAIL" in line for line in lines)
    report.data["failed"] = failed
    report.skip(skipped)
    return report


def _measure_workload(options: Options, name: str, rate: float, report: Report) -> list[str]:
    """Add one workload's table and numbers to the report; the verdicts."""
    flops = meta_step_flops(tiny(WORKLOADS[name]) if options.quick else WORKLOADS[name])
    found: dict[str, dict[str, Any]] = {}
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in _with_reference(options):
            try:
                found[engine] = _run(options, name, engine, Path(folder))
            except ChildError as error:
                lines.append(f"FAIL: {engine}: {error}")
        found.pop(REFERENCE, None)
        compare(found, Path(folder))
        exact = _exactly(options, name, found, Path(folder))
    report.add(_table(name, found, flops, rate))
    report.data[name] = {"flops": flops, "floor_s": flops / rate, "engines": found}
    return lines + judge(found, TOLERANCES[options.dtype]) + exact


def _exactly(options: Options, name: str, found: dict, folder: Path) -> list[str]:
    """Where float32 leaves it open whether ours agrees with its peers, since units cross kinks: one
    step in float64 of the peer that needs the least memory says it."""
    tolerance = TOLERANCES["float32"]
    apart = [peer for peer, each in found.items() if each.get("gradient_error", 0) > tolerance]
    if options.dtype != "float32" or not apart:
        return []
    peer = min(apart, key=lambda engine: found[engine]["peak_rss"])
    try:
        _run(options, name, peer, folder, exactly=True)
    except ChildError as error:
        return [f"{peer} in float64: not measured ({error})"]
    ours, theirs = (load(folder / f"{engine}.npz") for engine in (REFERENCE, peer))
    error, goal = gradient_errors(ours, theirs)["gradient_error"], TOLERANCES["float64"]
    return [
        f"ours agrees with {peer} in float64: gradient to {error:.1e} {verdict(error, goal)} "
        f"(goal {goal:g})"
    ]


def _with_reference(options: Options) -> list[str]:
    wanted = OURS in options.engines and options.dtype != "float64"
    return [*options.engines, *([REFERENCE] if wanted else [])]


def _run(
    options: Options, name: str, engine: str, folder: Path, exactly: bool = False
) -> dict[str, Any]:
    """What a worker process finds; the reference is the first step of ours in float64, and so is
    that of any engine where `exactly` that is asked for."""
    exactly |= engine == REFERENCE
    arguments = [OURS if engine == REFERENCE else engine, name]
    arguments += [str(FIRST_STEP_ONLY if exactly else options.seconds)]
    arguments += [str(folder / f"{engine}.npz")]
    arguments += ["--tiny"] if options.quick else []
    arguments += ["--float64"] if exactly or options.dtype == "float64" else []
    return run_child(
        "benchmarks.meta_worker",
        *arguments,
        timeout=options.timeout,
        settings=_environment(options),
    )


def _environment(options: Options) -> dict[str, str]:
    return ONE_THREAD if options.one_thread else {}


# The table ------------------------------------------------------------------------------------

COLUMNS = (
    "engine",
    "first",
    "median",
    "min",
    "ours / it",
    "peak MB",
    "ours / it",
    "loss",
    "loss error",
    "gradient error",
    "worst leaf",
    "rounding",
)


def _table(name: str, found: dict[str, dict[str, Any]], flops: int, rate: float) -> Table:
    ours = found.get(OURS)
    rows = [_row(engine, result, ours) for engine, result in found.items()]
    floor = flops / rate
    times = f"{ours['min_s'] / floor:.1f}×" if ours else ""
    rows.append(["products only (floor)", "", "", milliseconds(floor), times, *[""] * 7])
    return Table(f"{name}: {flops / 1e9:.3g} GFLOP a step", COLUMNS, rows)


def _row(engine: str, result: dict[str, Any], ours: dict[str, Any] | None) -> list[str]:
    first, median, fastest = (milliseconds(result[k]) for k in ("first_s", "median_s", "min_s"))
    memory, loss = f"{result['peak_rss'] / 1e6:.0f}", f"{result['loss']:.5f}"
    times = memories = ""
    if ours and engine != OURS:
        times = f"{ours['min_s'] / result['min_s']:.2f}×"
        memories = f"{ours['peak_rss'] / result['peak_rss']:.2f}×"
    keys = ("loss_error", "gradient_error", "worst_leaf_error", "rounding")
    errors = [f"{result[key]:.0e}" if key in result else "" for key in keys]
    return [engine, first, median, fastest, times, memory, memories, loss, *errors]


# Command line ---------------------------------------------------------------------------------


def choose_engines(chosen: Sequence[str] | None, with_jax: bool) -> tuple[list[str], dict]:
    """The engines to run, and for each of the others the reason why not."""
    engines: list[str] = []
    skipped: dict[str, str] = {}
    for name, engine in ENGINES.items():
        missing = absent(engine.package) if engine.package else None
        if chosen and name not in chosen:
            skipped[name] = "left out by --engines"
        elif missing:
            skipped[name] = missing
        elif name == "jax-jit" and not (chosen or with_jax):
            skipped[name] = "left out: compiling takes long; ask for it with --jax"
        else:
            engines.append(name)
    return engines, skipped


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser(__doc__, tuple(ENGINES))
    arguments.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    arguments.add_argument("--seconds", type=float, default=5.0, help="of steps, for each engine")
    arguments.add_argument("--jax", action="store_true", help="time JAX too")
    arguments.add_argument("--float64", action="store_true", help="do the engines agree?")
    arguments.add_argument("--one-thread", action="store_true", help="for a busy machine")
    given = arguments.parse_args(argv)
    unknown = set(given.workloads) - WORKLOADS.keys()
    if unknown:
        arguments.error(f"unknown workloads {sorted(unknown)}; there are {', '.join(WORKLOADS)}")
    engines, skipped = choose_engines(given.engines, given.jax)
    options = Options(
        workloads=given.workloads or list(WORKLOADS),
        engines=engines,
        seconds=0.0 if given.quick else given.seconds,
        quick=given.quick,
        dtype="float64" if given.float64 else "float32",
        one_thread=given.one_thread,
    )
    report = measure(options, skipped)
    if given.save:
        report.save()
    return 1 if report.data["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
