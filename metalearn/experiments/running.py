"""An experiment from its name to its tables: `metalearn experiment`."""

import json
import os
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import autograd_core as ac
from metalearn.checkpoints import write_atomically
from metalearn.commands import checked_device
from metalearn.console import duration, open_display
from metalearn.errors import Interrupted, OptionError, RunError
from metalearn.experiments import EXPERIMENTS
from metalearn.experiments.base import Cell, Experiment, Record
from metalearn.experiments.report import Report
from metalearn.experiments.workspace import Workspace, places_of
from metalearn.interrupts import Interrupts
from metalearn.learner import ACCURACY
from metalearn.pictures import save_picture
from metalearn.runs import write_json

MOST_SEEDS = 1000


def find(name: str, quick: bool, seeds: int | None = None) -> Experiment:
    """The experiment of that name. Raises `OptionError`."""
    if name not in EXPERIMENTS:
        raise OptionError(f"experiment {name!r}: expected one of {', '.join(EXPERIMENTS)}")
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise OptionError(f"--seeds {seeds}: expected a whole number, 1 to {MOST_SEEDS:,}")
    made = EXPERIMENTS[name].quick() if quick else EXPERIMENTS[name]()
    return made if seeds is None else type(made)(**{**vars(made), "seeds": seeds})


def experiment(
    name: str,
    quick: bool,
    seeds: int | None,
    only: Sequence[str],
    data: str | None,
    out: Path,
    results: Path,
    device: str,
) -> int:
    """Compute what is missing of an experiment, and write its report."""
    found, places = find(name, quick, seeds), places_of(data)
    _check_arms(found, only)
    checked_device(device)
    label = f"{name}-quick" if quick else name
    chosen: list[tuple[str, Any]] = [
        ("--seeds", seeds),
        *(("--only", arm) for arm in only),
        ("--data", data),
    ]
    chosen += [("--out", out), ("--results", results), ("--device", device)]
    given = [str(x) for pair in chosen if pair[1] is not None for x in pair]
    again = shlex.join(["metalearn", "experiment", name, *["--quick"] * quick, *given])
    with open_display(ACCURACY) as display, Interrupts() as interrupts:
        workspace = Workspace(out / label, display, interrupts.requested, places, device)
        try:
            records = computed(found, workspace, only)
        except Interrupted as error:
            raise Interrupted(
                f"{error}; the same command goes on there: {again}", interrupts.exit_code
            ) from None
        made = found.report(records)
        for path in write_report(found, made, records, results, label):
            display.line(f"written: {path}")
        for line in ("", *markdown(found, made, records).splitlines()):
            display.line(line)
    return 0


def _check_arms(found: Experiment, only: Sequence[str]) -> None:
    for arm in only:
        if arm not in found.arms:
            raise OptionError(f"--only {arm}: expected of {', '.join(found.arms)}")


def computed(
    found: Experiment, workspace: Workspace, only: Sequence[str] = ()
) -> dict[Cell, Record]:
    """The records of all cells, or, with `only`, of these arms and of what was computed before."""
    workspace.begin({"experiment": found.name, "settings": found.settings})
    wanted = [cell for cell in found.cells() if not only or cell.arm in only]
    for number, cell in enumerate(wanted, 1):
        workspace.check()
        workspace.display.line(f"cell {number} of {len(wanted)}: {cell.arm}, seed {cell.seed}")
        workspace.cell(cell.name, partial(_timed, found, cell, workspace))
    known = {cell: workspace.known(cell.name) for cell in found.cells()}
    return {cell: record for cell, record in known.items() if record is not None}


def _timed(found: Experiment, cell: Cell, workspace: Workspace) -> dict[str, Any]:
    start = time.monotonic()
    record = found.compute(cell, workspace)
    seconds = time.monotonic() - start
    workspace.display.line(f"  done in {duration(seconds)}")
    return {**record, "seconds": round(seconds, 1)}


# The report -----------------------------------------------------------------------------------


def write_report(
    found: Experiment, made: Report, records: Mapping[Cell, Record], folder: Path, label: str
) -> list[Path]:
    """Write LABEL.md, LABEL.json with all that was measured, and LABEL-PICTURE.png; their paths.

    Raises `RunError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be made ({error.strerror}); say --results") from error
    pictures = [
        save_picture(figure, folder / f"{label}-{name}.png")
        for name, figure in made.figures.items()
    ]
    text, whole = folder / f"{label}.md", folder / f"{label}.json"
    shown = "".join(f"\n![{path.stem}]({path.name})\n" for path in pictures)
    write_atomically(text, (markdown(found, made, records) + "\n" + shown).encode())
    cells = [{"arm": cell.arm, "seed": cell.seed, **record} for cell, record in records.items()]
    write_json(whole, {**about(found, records), "cells": cells})
    return [text, whole, *pictures]


def read_report(path: Path) -> tuple[Experiment, dict[Cell, Record]]:
    """The experiment and the cells of a LABEL.json that `write_report` wrote."""
    whole = json.loads(path.read_text())
    made = EXPERIMENTS[whole["experiment"]](**whole["settings"], seeds=whole["seeds"])
    return made, {Cell(each["arm"], each["seed"]): each for each in whole["cells"]}


def about(found: Experiment, records: Mapping[Cell, Record]) -> dict[str, Any]:
    """Where a report comes from, as JSON."""
    return {
        "experiment": found.name,
        "settings": found.settings,
        "seeds": found.seeds,
        "seconds": sum(record["seconds"] for record in records.values()),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "version": ac.__version__,
    }


def markdown(found: Experiment, made: Report, records: Mapping[Cell, Record]) -> str:
    """The report's text."""
    said = about(found, records)
    parts = [f"# {found.name}: {found.about}", *(table.markdown() for table in made.tables)]
    if made.findings:
        parts.append("\n".join(f"- {finding}" for finding in made.findings))
    settings = json.dumps(said["settings"])
    parts.append(
        f"{_of_seeds(found.seeds)} Computed in {duration(said['seconds'])} on {said['machine']}, "
        f"metagrad {said['version']}. Settings: `{settings}`"
    )
    return "\n\n".join(parts)


def _of_seeds(seeds: int) -> str:
    if seeds == 1:
        return "One seed."
    return f"{seeds} seeds; ± is half of a 95 % interval over them (Student's t)."


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
