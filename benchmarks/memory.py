"""Memory of a long inner loop, with and without `checkpoint` around each of its steps.

    python -m benchmarks.memory [--quick] [--save] [--engines ours ours-checkpoint …]

The gradient through an unrolled inner loop keeps every step's activations until the backward pass.
With `checkpoint` around a step only its parameters are kept, and the step is computed again: less
memory for more time. Each case runs in a process of its own; memory is what that process held at
its worst moment beyond what it held before, libraries and data loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.common import (
    ChildError,
    Report,
    Table,
    absent,
    milliseconds,
    parser,
    relative_error,
    run_child,
    verdict,
)
from benchmarks.memory_worker import ENGINES

TOLERANCE = 1e-4


def measure(steps: Sequence[int], width: int, engines: Sequence[str]) -> Report:
    """Every engine, for each number of inner steps."""
    settings = {"width": width, "examples": width, "dtype": "float32"}
    report = Report("memory", "Memory of an unrolled inner loop", settings)
    for count in steps:
        found: dict[str, dict[str, Any]] = {}
        for engine in engines:
            try:
                found[engine] = run_child("benchmarks.memory_worker", engine, count, width)
            except ChildError as error:
                report.note(f"{engine}, {count} steps: FAIL: {error}")
        report.add(_table(count, found))
        report.data[f"{count} steps"] = found
        _judge(report, count, found)
    report.data["failed"] = any("FAIL" in note for note in report.notes)
    return report


def _table(steps: int, found: dict[str, dict[str, Any]]) -> Table:
    columns = ["engine", "MB", "ours / it", "time", "ours / it", "gradient norm"]
    ours = found.get("ours")
    rows = []
    for engine, result in found.items():
        ratios = ["", ""]
        if ours and engine != "ours":
            ratios = [f"{ours[key] / result[key]:.2f}×" for key in ("memory", "seconds")]
        memory, time = f"{result['memory'] / 1e6:.0f}", milliseconds(result["seconds"])
        rows.append([engine, memory, ratios[0], time, ratios[1], f"{result['gradient_norm']:.6g}"])
    return Table(f"{steps} inner steps", columns, rows)


def _judge(report: Report, steps: int, found: dict[str, dict[str, Any]]) -> None:
    norms = [result["gradient_norm"] for result in found.values()]
    if len(norms) > 1:
        error = max(relative_error(norm, norms[0]) for norm in norms)
        agreed = verdict(error, TOLERANCE)
        report.note(f"{steps} steps: gradient norms agree to {error:.0e}: {agreed}")


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(__doc__, tuple(ENGINES)).parse_args(argv)
    chosen = [name for name in ENGINES if not options.engines or name in options.engines]
    missing = {name: absent(ENGINES[name][0]) for name in chosen}
    engines = [name for name in chosen if missing[name] is None]
    steps, width = ((2,), 16) if options.quick else ((5, 20), 512)
    report = measure(steps, width, engines)
    report.skip({name: reason for name, reason in missing.items() if reason})
    report.skip({name: "left out by --engines" for name in ENGINES if name not in chosen})
    if options.save:
        report.save()
    return 1 if report.data["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
