"""One meta-training step on a GPU: ours beside its peers, agreement, the floor, and how it grows.

    python -m benchmarks.gpu [workload …] [--seconds S] [--peers ENGINE,…] [--save]
    python -m benchmarks.gpu --saved    # print what was measured before

Each engine runs in a process of its own on the same GPU. Without a GPU nothing is timed: what the
programs would launch is counted, and the report says that no GPU was at hand.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

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
    Child,
    ChildError,
    Report,
    Table,
    absent,
    cores,
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
LIMIT = 540.0
"""Seconds of all runs."""
SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TORCHINDUCTOR_COMPILE_THREADS": "2"}
"""For workers: many are on one GPU, and on the CPU's cores, at the same time."""
TASKS = (1, 4, 16, 64, 256, 1024, 4096)
STEPS = (1, 2, 5, 10, 20, 50)


class Options(NamedTuple):
    """How to measure.

    Attributes:
        seconds: of steps for each engine.
        quick: tiny sizes.
        at_once: processes that compile at the same time.
        longest: seconds that a process may take to its first step, and from there.
        peers: engines beside ours.
        grow: also measure how the time grows.
    """

    seconds: float = 3.0
    quick: bool = False
    at_once: int = 1
    longest: float = 120.0
    peers: Sequence[str] = PEERS
    grow: bool = True


def measure(names: Sequence[str], options: Options) -> Report:
    """Every workload on the GPU, or what is known of them without one."""
    title = "One meta-training step on a GPU (second-order MAML)"
    report = Report("gpu", title, {"seconds": options.seconds}, on_gpu=True)
    report.add(_counted(report, names, options.quick))
    if len(ac.devices()) == 1:
        report.note(
            "No GPU was at hand: nothing was timed, and nothing is claimed about speed. What there "
            "is: kernels compiled by NVRTC for sm_80, sm_90 and sm_100, and run on the CPU under a "
            "host shim against the reference (tests/gpu)."
        )
        return report
    peers = []
    for engine in options.peers:
        reason = absent(str(ENGINES[engine].package))
        if reason:
            report.skip({engine: reason})
        else:
            peers.append(engine)
    numbers = {"tasks": TASKS, "steps": STEPS} if options.grow else {}
    grown = [
        (option, n) for option in numbers for n in numbers[option][: 2 if options.quick else None]
    ]
    with tempfile.TemporaryDirectory() as folder:
        runs = _Runs(report, Path(folder), options)
        pairs = [(name, engine) for engine in (OURS, *peers) for name in names]
        runs.prepare(
            [
                *(runs.asked(*pair) for pair in reversed(pairs)),  # the slowest compilers first
                *(runs.grown(*each) for each in grown),
                *(each for name in names for each in (runs.exact(name), runs.double(name))),
            ]
        )
        rates = run_child("benchmarks.gpu_rates")
        for name, engine in pairs:
            runs.compared(name, engine)
        report.data["rates"] = rates
        report.note(
            f"{rates['name']}: {rates['flops'] / 1e12:.1f} TFLOP/s in float32 products, "
            f"{rates['tf32'] / 1e12:.0f} in TensorFloat-32, {rates['bytes'] / 1e12:.2f} TB/s, "
            f"{1e6 * rates['launch_s']:.1f} µs from one launch to the next in a replay"
        )
        for option in numbers:
            _grown(report, runs, option, [n for each, n in grown if each == option])
        for name in names:
            if OURS in runs.found.get(name, {}):
                _told(report, name, runs.found[name], rates, options.quick)
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


Asked = tuple[str, ...]
"""A worker's command line."""


class _Runs:
    """Runs of engines, each in a process of its own. All take their first step, a few at the same
    time, before any is timed: compilers take most of the time, and run on the CPU. Then they are
    timed one after the other. All is over after ten minutes."""

    def __init__(self, report: Report, folder: Path, options: Options):
        self.report, self.folder, self.options = report, folder, options
        self.found: dict[str, dict[str, dict[str, Any]]] = {}
        self.end = time.monotonic() + LIMIT
        self.waiting: dict[Asked, Child | ChildError] = {}
        self.results: dict[Asked, dict[str, Any]] = {}

    def prepare(self, every: Sequence[Asked]) -> None:
        """Start them all, and wait until each has taken its first step."""

        def started(asked: Asked) -> None:
            try:
                child = Child("benchmarks.meta_worker", *asked, "--turn", settings=SETTINGS)
                child.ready(self._left())
                self.waiting[asked] = child
            except ChildError as error:
                self.waiting[asked] = error

        with ThreadPoolExecutor(self.options.at_once) as threads:
            list(threads.map(started, every))

    def compared(self, name: str, engine: str) -> None:
        """Time an engine, and compare its gradient with that of the CPU in float64."""
        try:
            result = self.result(self.asked(name, engine))
            self.result(self.exact(name))
        except ChildError as error:
            self.report.note(f"{name}: {engine}: {error}")
            return
        result["error"] = self._error(name, engine)
        if engine == OURS:
            self.result(self.double(name))
            result["double_error"] = self._error(name, "double")
        self.found.setdefault(name, {})[engine] = result

    def _error(self, name: str, which: str) -> float:
        """How far a gradient is from that of the CPU in float64."""
        gradients = (load(self._file(name, each)) for each in (which, "float64"))
        return gradient_errors(*gradients)["gradient_error"]

    def result(self, asked: Asked) -> dict[str, Any]:
        """What a worker found. Raises `ChildError` where it failed, or time is over."""
        if asked not in self.results:
            child = self.waiting[asked]
            if isinstance(child, ChildError):
                raise child
            print(f"timing {' '.join(asked[:2])}", file=sys.stderr, flush=True)
            self.results[asked] = child.result(self._left())
        return self.results[asked]

    def _left(self) -> float:
        left = min(self.end - time.monotonic(), self.options.longest)
        if left <= 0:
            raise ChildError("left out: ten minutes are over")
        return left

    def asked(self, name: str, engine: str) -> Asked:
        """An engine on the GPU."""
        return self._asked(name, engine, self.options.seconds, engine, "--device", "cuda")

    def exact(self, name: str) -> Asked:
        """The CPU's gradient in float64."""
        return self._asked(name, "ours", -1.0, "float64", "--float64")

    def double(self, name: str) -> Asked:
        """The GPU's gradient in float64."""
        return self._asked(name, OURS, -1.0, "double", "--float64", "--device", "cuda")

    def grown(self, option: str, n: int) -> Asked:
        """Sine waves with another number of tasks, or of inner steps."""
        size = "--device", "cuda", f"--{option}", str(n)
        return self._asked("sine_1step", OURS, 0.5, f"{option}-{n}", *size)

    def _asked(self, name: str, engine: str, seconds: float, file: str, *more: str) -> Asked:
        tiny_ones = ["--tiny"] if self.options.quick else []
        return (engine, name, str(seconds), str(self._file(name, file)), *tiny_ones, *more)

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
    ours = found[OURS]
    lines = [
        f"in {dtype}, from float64 on the CPU ≤ {AGREEMENT:g}: {ours[error]:.1e} "
        f"{verdict(ours[error], AGREEMENT)}"
        for dtype, error in (("float32", "error"), ("float64", "double_error"))
    ]
    peers = {p: found[p]["median_s"] for p in PEERS if p in found}
    if peers:
        best = min(peers, key=lambda p: peers[p])
        share, goal = found[OURS]["median_s"] / peers[best], GOALS[name]
        lines.append(f"time ≤ {goal:g}× {best}: {share:.2f}× {verdict(share, goal)}")
    return lines


def _grown(report: Report, runs: _Runs, option: str, numbers: Sequence[int]) -> None:
    """How the time of a step of sine waves grows with tasks, or with inner steps."""
    rows = []
    for n in numbers:
        try:
            found = runs.result(runs.grown(option, n))
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
    made.add_argument(
        "--at-once",
        type=int,
        default=max(1, cores() // 2),
        help="processes that compile at the same time (default: half of the cores); with 1, a peer "
        "that chooses its kernels by timing them is not disturbed by others",
    )
    made.add_argument("--longest", type=float, default=120.0, help="seconds for a first step")
    made.add_argument(
        "--peers",
        default=",".join(PEERS),
        metavar="ENGINE,…",
        help='engines beside ours, with commas between them, "" for none (default: %(default)s)',
    )
    made.add_argument("--no-growth", action="store_true", help="not by tasks and inner steps")
    made.add_argument("--saved", action="store_true", help="print what was measured before")
    options = made.parse_args(argv)
    if options.saved:
        for path in sorted(RESULTS.glob("gpu-*.md")):
            print(path.read_text())
        return 0
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        made.error(f"unknown workloads {sorted(unknown)}; there are {', '.join(WORKLOADS)}")
    peers = [peer for peer in options.peers.split(",") if peer]
    unknown = set(peers) - set(PEERS)
    if unknown:
        made.error(f"unknown peers {sorted(unknown)}; there are {', '.join(PEERS)}")
    names = options.workloads or (["sine_1step"] if options.quick else list(WORKLOADS))
    report = measure(
        names,
        Options(
            0.05 if options.quick else options.seconds,
            options.quick,
            options.at_once,
            options.longest,
            peers,
            not options.no_growth,
        ),
    )
    if options.save:
        report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
