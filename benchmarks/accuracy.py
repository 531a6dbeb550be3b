"""What `metalearn train` reaches with its defaults: accuracy or error on tasks it has never seen.

    python -m benchmarks.accuracy [name …] [--data OMNIGLOT] [--runs FOLDER] [--save]

Runs `metalearn train` and then `metalearn evaluate` (600 episodes) as a user would, one after the
other. With `--runs` the runs are kept there, and those that are there already are gone on with
rather than begun again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import Report, Table
from metalearn.checkpoints import read

COLUMNS = ("task", "meta-updates", "training", "before", "after 1 step", "after the last", "goal")
QUICK = ["--iterations", "4", "--meta-batch", "2", "--validation-episodes", "2"]


Scores = Sequence[float]
"""Means before adaptation and after each inner step: shares that are right, or squared errors."""


@dataclass(frozen=True)
class Training:
    """A training with the defaults, and what its scores on unseen tasks have to be."""

    arguments: Sequence[str]
    goal: str = ""
    reached: Callable[[Scores], bool] | None = None


RUNS: dict[str, Training] = {
    "sinusoid-10s": Training(
        ["sinusoid", "--shots", "10"],
        "1 step ≤ ⅓ of before, last ≤ 0.6",
        lambda scores: scores[1] <= scores[0] / 3 and scores[-1] <= 0.6,
    ),
    "glyphs-5w1s": Training(["glyphs"]),
    "omniglot-5w1s": Training(
        ["omniglot", "--ways", "5", "--shots", "1"], "≥ 95 %", lambda scores: scores[-1] >= 0.95
    ),
    "omniglot-5w5s": Training(
        ["omniglot", "--ways", "5", "--shots", "5"], "≥ 98 %", lambda scores: scores[-1] >= 0.98
    ),
}


def metalearn(*arguments: object) -> str:
    """Run a command line as a user would, with its progress in sight; what it printed.

    Raises:
        SystemExit: it failed; it has said why.
    """
    command = [sys.executable, "-m", "metalearn", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def train(name: str, run: Path, options: argparse.Namespace) -> None:
    """Train one of `RUNS` into a folder, or go on with what is there."""
    data = ["--data", options.data] if options.data and name.startswith("omniglot") else []
    if run.exists():
        metalearn("train", "--resume", run, *data)
        return
    settings = [*RUNS[name].arguments, *data]
    if options.quick:
        settings += QUICK if name.startswith("sinusoid") else [*QUICK, "--filters", "4"]
    metalearn("train", *settings, "--out", run)


def measured(name: str, run: Path, episodes: int) -> dict[str, Any]:
    """The evaluation of a run, with what its training took."""
    found = json.loads(metalearn("evaluate", run, "--episodes", episodes, "--json"))
    record = read(run / "checkpoints" / "last.safetensors")[1]
    return {**found, "iterations": record["iteration"], "seconds": record["seconds"]}


def row(name: str, found: dict[str, Any]) -> list[str]:
    """A line of the table."""
    training, means = RUNS[name], [score["mean"] for score in found["scores"]]
    wanted = training.goal
    if training.reached is not None:
        wanted += " PASS" if training.reached(means) else " FAIL"
    taken = f"{found['seconds'] / 60:.1f} min"
    before, one, last = (shown(found["scores"][i], found["measure"]) for i in (0, 1, -1))
    return [name, f"{found['iterations']:,}", taken, before, one, last, wanted]


def shown(score: dict[str, float], measure: str) -> str:
    """A mean with its 95 % interval."""
    mean, half = score["mean"], score["half_width_95"]
    if measure == "accuracy":
        return f"{100 * mean:.1f} ± {100 * half:.1f} %"
    return f"{mean:.2f} ± {half:.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(RUNS))
    parser.add_argument("--data", help="Omniglot's folder; downloaded where not given")
    parser.add_argument("--runs", type=Path, help="keep the runs here, and use those there")
    parser.add_argument("--quick", action="store_true", help="tiny settings: does it run at all?")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args(argv)
    unknown = set(options.names) - RUNS.keys()
    if unknown:
        parser.error(f"unknown names {sorted(unknown)}; there are {', '.join(RUNS)}")
    episodes = 4 if options.quick else 600
    report = Report("accuracy", "Accuracy of trainings with the defaults", {"episodes": episodes})
    with contextlib.ExitStack() as stack:
        folder = options.runs or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in options.names or RUNS:
            train(name, folder / name, options)
            report.data[name] = measured(name, folder / name, episodes)
    report.add(
        Table("Held-out tasks", COLUMNS, [row(n, found) for n, found in report.data.items()])
    )
    if options.save:
        report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
