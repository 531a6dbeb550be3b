"""One meta-training step on a GPU: ours beside its peers, agreement, the floor, and how it grows.

    python -m benchmarks.gpu [workload …] [--seconds S] [--save]
    python -m benchmarks.gpu --saved    # print what was measured before

Each engine runs in a process of its own on the same GPU, one after the other. Without a GPU nothing
is timed: what the programs would launch is counted, and the report says that no GPU was at hand.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import autograd_core as ac
from autograd_core.capture.graph import Variable
from autograd_core.capture.lowering.cuda import CudaLowering
from autograd_core.capture.lowering.planning import planned
from autograd_core.capture.passes import improve
from autograd_core.capture.trace import capture
from autograd_core.tensor import aval_of
from benchmarks.agreement import gradient_errors, load
from benchmarks.common import (
    RESULTS,
    ChildError,
    Report,
    Table,
    absent,
    parser,
    run_child,
    verdict,
)
from benchmarks.engines import ENGINES
from benchmarks.engines.ours import prepare, training_step
from benchmarks.floor import meta_step_flops
from benchmarks.workloads import WORKLOADS, Workload, tiny
from kernels.gpu.program import steps_of
from kernels.native.program import work

OURS = "ours-jit"
PEERS = ("jax-jit", "torch-loop", "torch-func", "torch-compile")
GOALS = {"sine_1step": 0.5, "sine_5step": 0.5, "omni_5w1s": 0.5, "omni_mlp": 0.7, "mini_5w1s": 0.7}
"""Our time as a share of the fastest peer's."""
AGREEMENT = 1e-4
"""The most that a meta-gradient may differ from that of the CPU in float64, relative."""
LIMIT, LONGEST = 540.0, 120.0
"""Seconds of all runs, and of one."""
TASKS = (1, 4, 16, 64, 256, 1024, 4096)
STEPS = (1, 2, 5, 10, 20, 50)


def measure(names: Sequence[str], seconds: float, quick: bool) -> Report:
    """Every workload on the GPU, or what is known of them without one."""
    title = "One meta-training step on a GPU (second-order MAML)"
    report = Report("gpu", title, {"seconds": seconds})
    report.add(_counted(report, names, quick))
    if len(ac.devices()) == 1:
        report.note(
            "No GPU was at hand: nothing was timed, and nothing is claimed about speed. What there "
            "is: kernels compiled by NVRTC for sm_80, sm_90 and sm_100, and run on the CPU under a "
            "host shim against the reference (tests/gpu)."
        )
        return report
    rates = run_child("benchmarks.gpu_rates")
    report.data["rates"] = rates
    report.note(
        f"{rates['name']}: {rates['flops'] / 1e12:.1f} TFLOP/s in float32 products, "
        f"{rates['bytes'] / 1e12:.2f} TB/s"
    )
    for engine in PEERS:
        reason = absent(str(ENGINES[engine].package))
        if reason:
            report.skip({engine: reason})
    with tempfile.TemporaryDirectory() as folder:
        runs = _Runs(report, Path(folder), seconds, quick)
        for name in names:
            runs.ours(name)
        _grown(report, runs)
        for engine in PEERS:
            for name in names:
                runs.peer(name, engine)
        for name in names:
            if OURS in runs.found[name]:
                _told(report, name, runs.found[name], rates, quick)
    return report


# Without a GPU --------------------------------------------------------------------------------


def _counted(report: Report, names: Sequence[str], quick: bool) -> Table:
    """What each workload's program launches."""
    rows = []
    for name in names:
        found = counts(tiny(WORKLOADS[name]) if quick else WORKLOADS[name])
        report.data[name] = {"program": found}
        rows.append(
            [
                name,
                str(found["launches"]),
                str(found["kernels"]),
                str(found["products"]),
                f"{found['product_flops'] / 1e9:.3g}",
                f"{found['bytes'] / 1e6:.4g}",
                f"{found['memory'] / 1e6:.4g}",
            ]
        )
    columns = ["workload", "launches a step", "kernels", "products", "GFLOP in them", "MB moved",
               "MB of memory"]  # fmt: skip
    return Table("Programs, each replayed at once", columns, rows)


def counts(workload: Workload) -> dict[str, Any]:
    """Of the program of a workload's training step."""
    training = prepare(workload)
    leaves, structure = ac.tree_flatten((training.state, training.tasks))
    step = training_step(workload)
    flat = lambda *xs: ac.tree_leaves(step(*ac.tree_unflatten(structure, xs)))
    graph = capture(flat, [Variable(aval_of(x)) for x in leaves], "step").graph
    plan = planned(improve(graph), graph.constants.values(), CudaLowering)
    steps = [s for calls in steps_of(plan.routines) for call in calls for s in call]
    lowered = [s for part in plan.parts.values() for s in part.lowered.steps]
    costs = [(s, *work(s.kernel)) for s in lowered if hasattr(s, "kernel")]
    products = [flops for s, flops, _ in costs if "Loop" not in type(s.kernel).__name__]
    return {
        "launches": len(steps),
        "kernels": len({s.launch.name for s in steps}),
        "products": len(products),
        "product_flops": sum(products),
        "bytes": sum(reached for _, _, reached in costs),
        "memory": sum(part.arena_bytes for part in plan.parts.values()),
    }


# With one -------------------------------------------------------------------------------------


class _Runs:
    """Runs of engines, each in a process of its own, until ten minutes are over."""

    def __init__(self, report: Report, folder: Path, seconds: float, quick: bool):
        self.report, self.folder, self.seconds, self.quick = report, folder, seconds, quick
        self.found: dict[str, dict[str, dict[str, Any]]] = {}
        self.end = time.monotonic() + LIMIT

    def ours(self, name: str) -> None:
        """Ours on the GPU, and before it the CPU's gradient in float64 to compare with."""
        self.found[name] = {}
        self.run(name, "ours", -1.0, "float64", "--float64")
        self._compared(name, OURS)

    def peer(self, name: str, engine: str) -> None:
        """Another engine on the GPU, where it is installed and time is left."""
        if not absent(str(ENGINES[engine].package)):
            self._compared(name, engine)

    def _compared(self, name: str, engine: str) -> None:
        try:
            result = self.run(name, engine, self.seconds, engine, "--device", "cuda")
        except ChildError as error:
            self.report.note(f"{name}: {engine}: {error}")
            return
        gradients = (load(self._file(name, which)) for which in (engine, "float64"))
        result["error"] = gradient_errors(*gradients)["gradient_error"]
        self.found[name][engine] = result

    def run(self, name: str, engine: str, seconds: float, file: str, *more: str) -> dict[str, Any]:
        """What the worker found. Raises `ChildError` where it fails, or time is over."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise ChildError("left out: ten minutes are over")
        tiny_ones = ["--tiny"] if self.quick else []
        given = [engine, name, str(seconds), str(self._file(name, file)), *tiny_ones, *more]
        return run_child("benchmarks.meta_worker", *given, timeout=min(left, LONGEST))

    def _file(self, name: str, which: str) -> Path:
        return self.folder / f"{name}-{which}.npz"


def _told(
    report: Report, name: str, found: dict[str, dict[str, Any]], rates: dict, quick: bool
) -> None:
    ours = found[OURS]
    flops = meta_step_flops(tiny(WORKLOADS[name]) if quick else WORKLOADS[name])
    floor = max(flops / rates["flops"], ours["bytes"] / rates["bytes"])
    report.data[name] |= {"engines": found, "floor_s": floor, "flops": flops}
    report.add(_engines_table(name, found, floor))
    share = ours["products_s"] / ours["steps_s"]
    report.note(f"{name}: {100 * share:.0f} % of the steps' time in products")
    for line in judged(name, found):
        report.note(f"{name}: {line}")


def _engines_table(name: str, found: dict[str, dict[str, Any]], floor: float) -> Table:
    ours = found[OURS]
    rows = [
        [
            engine,
            f"{each['first_s']:.2f} s",
            f"{1e6 * each['median_s']:.0f} µs",
            f"{ours['median_s'] / each['median_s']:.2f}×" if engine != OURS else "",
            f"{floor / each['median_s']:.3f}",
            str(each.get("launches", "")),
            f"{each['error']:.0e}",
        ]
        for engine, each in found.items()
    ]
    columns = ["engine", "first", "a step", "ours / it", "floor / it", "launches", "from float64"]
    return Table(name, columns, rows)


def judged(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """The goals, each with its figure."""
    error = found[OURS]["error"]
    lines = [f"from float64 ≤ {AGREEMENT:g}: {error:.1e} {verdict(error, AGREEMENT)}"]
    peers = {p: found[p]["median_s"] for p in PEERS if p in found}
    if peers:
        best = min(peers, key=lambda p: peers[p])
        share, goal = found[OURS]["median_s"] / peers[best], GOALS[name]
        lines.append(f"time ≤ {goal:g}× {best}: {share:.2f}× {verdict(share, goal)}")
    return lines


def _grown(report: Report, runs: _Runs) -> None:
    """How the time of a step of sine waves grows with tasks, and with inner steps."""
    for option, numbers in (("tasks", TASKS), ("steps", STEPS)):
        rows = []
        for n in numbers[:2] if runs.quick else numbers:
            size = f"--{option}", str(n)
            try:
                found = runs.run("sine_1step", OURS, 0.5, "grown", "--device", "cuda", *size)
            except ChildError as error:
                report.note(f"sine_1step with {n} {option}: {error}")
                continue
            rows.append([str(n), f"{1e6 * found['median_s']:.0f} µs", str(found["launches"])])
            report.data.setdefault(f"by_{option}", {})[str(n)] = found["median_s"]
        report.add(Table(f"sine_1step by {option}", [option, "a step", "launches"], rows))


def main(argv: Sequence[str] | None = None) -> int:
    made = parser(__doc__, ())
    made.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    made.add_argument("--seconds", type=float, default=3.0, help="of steps for each engine")
    made.add_argument("--saved", action="store_true", help="print what was measured before")
    options = made.parse_args(argv)
    if options.saved:
        for path in sorted(RESULTS.glob("gpu-*.md")):
            print(path.read_text())
        return 0
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        made.error(f"unknown workloads {sorted(unknown)}; there are {', '.join(WORKLOADS)}")
    names = options.workloads or (["sine_1step"] if options.quick else list(WORKLOADS))
    report = measure(names, 0.05 if options.quick else options.seconds, options.quick)
    if options.save:
        report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
