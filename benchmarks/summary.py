"""The README's numbers, from the saved results: prints them, or writes them there.

    python -m benchmarks.summary [--write]

`python -m benchmarks --save`, `benchmarks.accuracy --save` and `metalearn experiment` measure
them again.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import accuracy, algorithms, compiled, gpu
from benchmarks.common import RESULTS, ROOT, Table, milliseconds
from benchmarks.eager import MODES
from benchmarks.workloads import WORKLOADS
from metalearn.experiments import EXPERIMENTS
from metalearn.experiments.running import read_report

README = ROOT / "README.md"
BEGIN, END = "<!-- results: python -m benchmarks.summary --write -->", "<!-- end of results -->"
EAGER_PEERS = {"torch": "PyTorch", "jax": "JAX", "autograd": "HIPS autograd", "numpy": "NumPy"}
COMPILED_PEERS = {
    "torch-loop": "PyTorch",
    "jax-jit": "JAX jit, vmap",
    "jax-scan": "JAX jit, scan",
}
GPU_PEERS = {
    "jax-jit": "JAX jit",
    "torch-loop": "PyTorch",
    "torch-func": "torch.func",
    "torch-compile": "torch.compile",
}
STEP_PEERS = {"torch-loop": "PyTorch", "torch-func": "torch.func", "jax-jit": "JAX jit"}

Results = dict[str, Any]


def step_table(results: Results) -> Table:
    """Time of one meta-training step, ours beside the peers and the floor."""
    found = {name: results[name] for name in WORKLOADS if name in results}
    peers = [p for p in STEP_PEERS if any(p in each["engines"] for each in found.values())]
    columns = ["one MAML step", "ours", *map(STEP_PEERS.get, peers), "floor", "memory: torch.func"]
    rows = [_step_row(name, each, peers) for name, each in found.items()]
    return Table("A meta-training step, eager: our time / theirs", columns, rows)


def _step_row(name: str, found: Results, peers: Sequence[str]) -> list[str]:
    engines, floor = found["engines"], found["floor_s"]
    ours = engines["ours"]
    over = lambda peer, key: _times(ours[key] / engines[peer][key]) if peer in engines else "–"
    times = [over(peer, "min_s") for peer in peers]
    share = _times(ours["min_s"] / floor)
    return [name, milliseconds(ours["min_s"]), *times, share, over("torch-func", "peak_rss")]


def compiled_table(results: Results) -> Table:
    """Time of one compiled meta-training step, ours beside the best peer and the floor."""
    columns = [
        *("one MAML step, compiled", "ours", "best peer", "time", "floor / ours"),
        *("first step", "next process", "memory"),
    ]
    rows = [_compiled_row(name, results[name]) for name in compiled.GOALS if name in results]
    return Table("A meta-training step, compiled: our time / theirs", columns, rows)


def _compiled_row(name: str, found: Results) -> list[str]:
    engines = found["engines"]
    ours, again = engines[compiled.OURS], engines[compiled.AGAIN]
    row = [name, milliseconds(ours["median_s"])]
    peers = [p for p in compiled.GOALS[name].peers if p in engines]
    best = min(peers, key=lambda p: engines[p]["median_s"], default=None)
    over = lambda key: _times(ours[key] / engines[best][key]) if best else "–"
    row += [COMPILED_PEERS[best] if best else "–", over("median_s")]
    row += [f"{found['floor_s'] / ours['median_s']:.2f}"]
    return [*row, f"{ours['first_s']:.2f} s", f"{again['first_s']:.2f} s", over("peak_rss")]


def eager_table(results: Results) -> Table:
    """Microseconds an operation of small eager chains, ours beside the peers."""
    columns = ["8×8 float32", "ours", *EAGER_PEERS.values()]
    rows = []
    for mode in MODES:
        found = results[mode]
        over = [found.get(peer, {}).get("ours_over_it") for peer in EAGER_PEERS]
        shown = ["–" if value is None else _times(value) for value in over]
        rows.append([mode, f"{found['ours']['min_us']:.2f} µs", *shown])
    return Table("An elementwise operation, eager: our time / theirs", columns, rows)


def gpu_table(results: Results) -> Table:
    """Time of one captured step on a GPU, ours beside the best peer."""
    rows = []
    for name in (name for name in WORKLOADS if name in results):
        engines = results[name]["engines"]
        ours = engines[gpu.OURS]["median_s"]
        peers = [p for p in GPU_PEERS if p in engines]
        best = min(peers, key=lambda p: engines[p]["median_s"], default=None)
        said = (GPU_PEERS[best], _times(ours / engines[best]["median_s"])) if best else "––"
        share = f"{results[name]['floor_s'] / ours:.3f}"
        rows.append([name, milliseconds(ours), *said, share, f"{engines[gpu.OURS]['error']:.0e}"])
    columns = ["one MAML step", "ours", "best peer", "time", "floor / ours", "from float64"]
    return Table("A meta-training step on a GPU: our time / theirs", columns, rows)


def algorithms_table(results: Results) -> Table:
    """A compiled step of each algorithm beside MAML's."""
    return algorithms.table(results["steps"])


def accuracy_table(results: Results) -> Table:
    """What trainings with the defaults reach."""
    names = [name for name in accuracy.RUNS if name in results]
    rows = [accuracy.row(name, results[name]) for name in names]
    return Table("`metalearn train`, 600 tasks never seen", accuracy.COLUMNS, rows)


TABLES: dict[str, Callable[[Results], Table]] = {
    "accuracy": accuracy_table,
    "compiled": compiled_table,
    "meta_step": step_table,
    "eager": eager_table,
    "algorithms": algorithms_table,
    "gpu": gpu_table,
}


def _times(value: float) -> str:
    return f"{value:.2f}×" if value < 10 else f"{value:.0f}×"


def summary(folder: Path = RESULTS) -> str:
    """Markdown of every machine's saved results, and of the experiments."""
    machines: dict[str, list[str]] = {}
    for name, table in TABLES.items():
        for path in sorted(folder.glob(f"{name}-*.json")):
            results = json.loads(path.read_text())
            machine = _machine(results["machine"])
            machines.setdefault(machine, []).append(_block(table(results)))
    parts = [f"On {machine}:\n\n" + "\n\n".join(t) for machine, t in machines.items()]
    return "\n\n".join([*parts, *experiment_tables(folder)])


def _machine(found: dict[str, Any]) -> str:
    """Of what the numbers are: the GPU, or the CPU and its cores."""
    return str(found.get("gpu") or f"{found['cpu']}, {found['cores']} cores")


def experiment_tables(folder: Path) -> list[str]:
    """The first table of each experiment, in full where there is one, else in its quick form; and
    where its other tables and its pictures are."""
    found = []
    for name in EXPERIMENTS:
        paths = [folder / f"{name}{form}.json" for form in ("", "-quick")]
        path = next((path for path in paths if path.exists()), None)
        if path is not None:
            made, records = read_report(path)
            command = f"metalearn experiment {name}{' --quick' * path.stem.endswith('-quick')}"
            found.append(f"`{command}`, {made.seeds} seed{'s' * (made.seeds != 1)}:")
            found.append(made.report(records).tables[0].markdown())
            found.append(_further(path))
    return found


def _further(path: Path) -> str:
    """Links to the rest of an experiment's report."""
    link = lambda name, file: f"[{name}]({file.relative_to(ROOT)})"
    pictures = sorted(path.parent.glob(f"{path.stem}-*.png"))
    named = [link(each.stem.removeprefix(f"{path.stem}-"), each) for each in pictures]
    shown = f"; pictures: {', '.join(named)}" if named else ""
    return f"All of it: {link(path.with_suffix('.md').name, path.with_suffix('.md'))}{shown}."


def _block(table: Table) -> str:
    """A table with its title as an emphasised line: the README has its own headings."""
    title, rest = table.markdown().split("\n", 1)
    return f"**{title.removeprefix('## ')}**\n{rest}"


def written(readme: str, text: str) -> str:
    """A README with its numbers replaced.

    Raises:
        ValueError: it does not say where they belong.
    """
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"the README has no {BEGIN} … {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{text}\n{END}", readme)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write them into README.md")
    options = parser.parse_args(argv)
    text = summary()
    print(text)
    if options.write:
        README.write_text(written(README.read_text(), text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
