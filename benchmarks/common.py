"""What the benchmarks share: the interleaved timer, optional peers, child processes, reports."""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from kernels.devices import cupy, devices

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("numpy", "torch", "jax", "autograd")

T = TypeVar("T")


# Command line ---------------------------------------------------------------------------------


def parser(description: str | None, engines: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark."""
    made = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    made.add_argument("--quick", action="store_true", help="tiny settings: does it run at all?")
    made.add_argument("--save", action="store_true", help="write benchmarks/results/")
    made.add_argument(
        "--engines", nargs="+", choices=engines, help="time these only (default: all)"
    )
    return made


# Optional peers -------------------------------------------------------------------------------


def absent(package: str) -> str | None:
    """Why a package cannot be used, or None where it can; without importing it."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed (pip install 'metagrad[peers]')"
    return None


def build_engines(
    builders: Mapping[str, Callable[[], T]], chosen: Sequence[str] | None = None
) -> tuple[dict[str, T], dict[str, str]]:
    """Build the engines that can be built.

    Args:
        builders: for each engine a function that imports it and makes what is to be timed.
        chosen: names to keep; all where not given.

    Returns:
        What was built, and for each of the others the reason why not. A missing peer is a reason;
        a failure of ours is raised.
    """
    built: dict[str, T] = {}
    skipped: dict[str, str] = {}
    for name, build in builders.items():
        if chosen and name not in chosen:
            skipped[name] = "left out by --engines"
            continue
        try:
            built[name] = build()
        except ImportError as error:
            if name.startswith("ours"):
                raise
            skipped[name] = f"absent ({error}); pip install 'metagrad[peers]'"
    return built, skipped


# Timing ---------------------------------------------------------------------------------------


ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "METAGRAD_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def rerun_on_one_thread(module: str) -> None:
    """Start this program over with one thread for every engine, unless that is done.

    Idle threads of one engine spin for a while after its products, which slows those of the engine
    that is timed next in the same process. Libraries read their settings when they are loaded,
    hence the fresh start. XLA has no setting that all of its products keep to: one core it is.
    """
    if all(os.environ.get(name) == value for name, value in ONE_THREAD.items()):
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    command = [sys.executable, "-m", module, *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})


@dataclass(frozen=True)
class Timing:
    """Seconds a call, the best of each round."""

    rounds: tuple[float, ...]

    @property
    def min(self) -> float:
        return min(self.rounds)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


def interleave(
    functions: Mapping[str, Callable[[], Any]], rounds: int, slot: float = 0.01
) -> dict[str, Timing]:
    """Time functions in turns, A B C A B C …, so that a busy spell of the machine meets them all.

    Args:
        functions: by name, each called without arguments.
        rounds: number of turns of each.
        slot: seconds of calls in a turn (at least one call); the best call counts.

    Objects that exist before are kept from the garbage collector, and each turn starts with none of
    the others' garbage, so that no engine pays for another's. Collections during a turn do count.
    """
    for function in functions.values():
        function()
        function()
    gc.collect()
    gc.freeze()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    try:
        for _ in range(rounds):
            for name, function in functions.items():
                gc.collect()
                taken[name].append(_best(function, slot))
    finally:
        gc.unfreeze()
    return {name: Timing(tuple(times)) for name, times in taken.items()}


def _best(function: Callable[[], Any], slot: float) -> float:
    """Seconds of the fastest call within `slot` seconds."""
    best = float("inf")
    end = time.perf_counter() + slot
    while True:
        start = time.perf_counter()
        function()
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best


def errors_of(engines: Mapping[str, Callable[[], Any]], reference: str) -> dict[str, float]:
    """The relative error of each engine's result against that of `reference`."""
    expected = as_numpy(engines[reference]())
    return {name: relative_error(as_numpy(call()), expected) for name, call in engines.items()}


def as_numpy(value: Any) -> np.ndarray:
    """Any engine's array as NumPy's."""
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


@dataclass(frozen=True)
class Ratio:
    """How long ours takes, as a multiple of a peer's time."""

    of_minima: float
    median_of_rounds: float

    def __str__(self) -> str:
        return f"{self.of_minima:.2f}× ({self.median_of_rounds:.2f}×)"


def ratio(ours: Timing, peer: Timing) -> Ratio:
    """Ours over a peer's: of the minima, and the median of the ratios of single rounds."""
    pairs = zip(ours.rounds, peer.rounds, strict=True)
    return Ratio(ours.min / peer.min, statistics.median(a / b for a, b in pairs))


def verdict(value: float, bound: float) -> str:
    """PASS or FAIL, against an upper bound."""
    return "PASS" if value <= bound else "FAIL"


def relative_error(value: Any, reference: Any) -> float:
    """|value - reference| / |reference|, in the 2-norm and float64.

    Raises:
        ValueError: the shapes differ, or the reference is all zeros, which would prove nothing.
    """
    a, b = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"expected the reference's shape {b.shape}, got {a.shape}")
    scale = np.linalg.norm(b)
    if scale == 0:
        raise ValueError("the reference is all zeros: nothing to compare with")
    return float(np.linalg.norm(a - b) / scale)


def milliseconds(seconds: float) -> str:
    """Seconds in print."""
    return f"{1e3 * seconds:.2f} ms"


# The machine and its memory -------------------------------------------------------------------


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Threads for an engine that has to be told."""
    return int(os.environ.get("OMP_NUM_THREADS") or cores())


def busyness() -> str | None:
    """A warning where other programs were running in the last minute."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load < 0.5:
        return None
    return f"warning: busy machine (load {load:.1f} on {cores()} cores): times are unreliable"


def machine() -> dict[str, Any]:
    """What the numbers of a report depend on."""
    versions = {p: importlib.metadata.version(p) for p in PACKAGES if not absent(p)}
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **versions,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def gpu() -> dict[str, Any]:
    """The first GPU and its driver; nothing where there is none."""
    if len(devices()) == 1:
        return {}
    runtime = cupy().cuda.runtime
    return {"gpu": runtime.getDeviceProperties(0)["name"].decode(), "driver": _driver(runtime)}


def _driver(runtime: Any) -> str:
    told = Path("/proc/driver/nvidia/version")
    said = told.read_text() if told.exists() else ""
    if found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", said):
        return found[1]
    number = runtime.driverGetVersion()  # 13020 is 13.2
    return f"for CUDA {number // 1000}.{number % 1000 // 10}"


def slug(name: str) -> str:
    """A name in file names, such as "amd-epyc-2-cores"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def peak_rss() -> int:
    """Bytes of memory that this process held at its worst moment.

    Linux's own record of the running program where there is one: `ru_maxrss` survives `exec`, and
    would report a large parent's memory as the child's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# Child processes ------------------------------------------------------------------------------


class ChildError(RuntimeError):
    """A child process failed; the message is its last word."""


class Child:
    """`python -m module args…`, started from the repository root; it says what it found as JSON in
    its last line.

    Args:
        module: to run.
        args: its command line.
        settings: environment variables to set for it.
    """

    def __init__(self, module: str, *args: Any, settings: Mapping[str, str] | None = None):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, args)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **(settings or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ready(self, timeout: float) -> None:
        """Wait until it has printed a line, and waits itself. Raises as `result` does."""
        timer = threading.Timer(timeout, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            raise self._error() if self._process.wait() >= 0 else self._late(timeout)

    def result(self, timeout: float) -> dict[str, Any]:
        """Have it go on if it waits, and read what it found.

        Raises:
            ChildError: it failed, or took longer than `timeout` seconds.
        """
        try:
            said, _ = self._process.communicate("go on\n", timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise self._late(timeout) from None
        if self._process.returncode:
            raise self._error()
        return json.loads(said.strip().splitlines()[-1])

    def _late(self, timeout: float) -> ChildError:
        return ChildError(f"took longer than {timeout:.0f} s")

    def _error(self) -> ChildError:
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return ChildError(lines[-1] if lines else f"exit status {self._process.returncode}")


def run_child(
    module: str, *args: Any, timeout: float = 900.0, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a child process, and read what it found. Arguments and errors as those of `Child`."""
    return Child(module, *args, settings=settings).result(timeout)


# Reports --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; the first column is a name, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.columns, ruler, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines])

    def rich(self) -> RichTable:
        table = RichTable(title=escape(self.title), title_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(escape(column), justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table


@dataclass
class Report:
    """What one benchmark found: printed as it comes, and saved on request.

    Attributes:
        on_gpu: its numbers are those of the GPU, if there is one.
    """

    name: str
    title: str
    settings: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    on_gpu: bool = False

    def __post_init__(self) -> None:
        self.machine = {**(gpu() if self.on_gpu else {}), **machine()}
        console = Console()
        self.console = console if console.is_terminal else Console(width=170)
        self.console.rule(escape(self.title))
        self.console.print(escape(_listed(self.machine)), highlight=False)
        self.console.print(escape(_listed(self.settings)), highlight=False)
        busy = busyness()
        if busy:
            self.note(busy)

    def add(self, table: Table) -> None:
        """Print a table and keep it."""
        self.tables.append(table)
        self.console.print(table.rich())

    def note(self, text: str) -> None:
        """Print a line and keep it."""
        self.notes.append(text)
        self.console.print(escape(text), highlight=False)

    def skip(self, skipped: Mapping[str, str]) -> None:
        """Print why engines are not in the tables."""
        for name, reason in skipped.items():
            self.note(f"{name}: {reason}")

    def save(self, folder: Path = RESULTS) -> list[Path]:
        """Write `<name>-<machine>.json` and `.md`, and say where."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"{self.name}-{self.where}"
        paths = [stem.with_name(stem.name + suffix) for suffix in (".json", ".md")]
        record = {
            "machine": self.machine,
            "settings": self.settings,
            **self.data,
            "notes": self.notes,
        }
        paths[0].write_text(json.dumps(record, indent=1) + "\n")
        paths[1].write_text(self.markdown())
        for path in paths:
            self.console.print(f"wrote {path}", highlight=False)
        return paths

    @property
    def where(self) -> str:
        """A short name of the GPU, or of the CPU and its cores, for file names."""
        return slug(self.machine.get("gpu", "{cpu} {cores} cores".format_map(self.machine)))

    def markdown(self) -> str:
        parts = [f"# {self.title}", _listed(self.machine), _listed(self.settings)]
        parts += [table.markdown() for table in self.tables]
        parts += ["\n".join(f"- {note}" for note in self.notes)]
        return "\n\n".join(filter(None, parts)) + "\n"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
