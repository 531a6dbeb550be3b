"""Kill a training with SIGKILL at random moments, resume it, and compare with one never killed.

python -m benchmarks.kill_resume [--kills 10] [--dataset sinusoid glyphs] [--seed 0] [--quick]

Each kill is a run of its own: it is started, killed at a moment drawn evenly from the time that the
undisturbed run trains for, and resumed until it is done. The last run is killed again and again,
until it is done. Parameters, optimiser state and running averages must be the same bits, the best
checkpoint the same file, and the metrics the same lines but for their times.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metalearn.checkpoints import read

# Small networks, so that much of the time goes to writing; validation often, for the same reason.
SETTINGS = {
    "sinusoid": "--iterations 600 --validate-every 20 --validation-episodes 20 --meta-batch 5",
    "glyphs": "--iterations 60 --validate-every 5 --validation-episodes 5 --meta-batch 4 "
    "--filters 8 --batch-norm per_step --inner-steps 2",
}
QUICK = {
    "sinusoid": SETTINGS["sinusoid"].replace("600", "200"),
    "glyphs": SETTINGS["glyphs"].replace("60", "20"),
}


@dataclass(frozen=True)
class Outcome:
    """One kill: when it came, in seconds after the run folder was there, and what came of it."""

    seconds: float
    iteration: int | None  # of the checkpoint that was left; None before the first
    difference: str | None  # what differs from the undisturbed run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "metalearn", "train", *map(str, arguments)]


def start(arguments: Sequence[object]) -> subprocess.Popen:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*arguments), text=True, **quiet)  # type: ignore[call-overload]


def finish(process: subprocess.Popen) -> None:
    """Wait for a training that has to succeed."""
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"training failed: {errors}")


def wait_for(path: Path, process: subprocess.Popen) -> None:
    """Wait until a file is there or the process has ended."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.002)


def undisturbed(arguments: Sequence[object], run: Path) -> float:
    """Train without a kill; the seconds that the training itself took."""
    finish(start([*arguments, "--out", run]))
    return read(run / "checkpoints" / "last.safetensors")[1]["seconds"]


def killed_after(arguments: Sequence[object], run: Path, seconds: float) -> bool:
    """Start, or go on with, a run and kill it; whether it was still running then."""
    resumed = run.exists()
    process = start(["--resume", run] if resumed else [*arguments, "--out", run])
    wait_for(run / ".lock", process)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.communicate()
    return running


def iteration_of(run: Path) -> int | None:
    path = run / "checkpoints" / "last.safetensors"
    return read(path)[1]["iteration"] if path.exists() else None


def difference(reference: Path, run: Path) -> str | None:
    """What two finished runs differ in; None where they are the same."""
    names = ("last", "best")
    for name in names:
        a, b = (read(p / "checkpoints" / f"{name}.safetensors") for p in (reference, run))
        unequal = [k for k in a[0] if a[0][k].tobytes() != b[0][k].tobytes()]
        if a[0].keys() != b[0].keys() or unequal:
            return f"{name}: {unequal or 'names'}"
    best = [(p / "checkpoints" / "best.safetensors").read_bytes() for p in (reference, run)]
    if best[0] != best[1]:
        return "best.safetensors: bytes"
    return None if lines_of(reference) == lines_of(run) else "metrics"


def lines_of(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    times = ("seconds", "spent")
    return [{k: v for k, v in line.items() if k not in times} for line in lines]


def kill_once(arguments: Sequence[object], reference: Path, run: Path, after: float) -> Outcome:
    killed_after(arguments, run, after)
    iteration = iteration_of(run)
    finish(start(["--resume", run]))
    return Outcome(after, iteration, difference(reference, run))


def kill_often(
    arguments: Sequence[object], reference: Path, run: Path, every: float
) -> tuple[int, str | None]:
    """Kill a run again and again until it is done; how often, and what differs."""
    kills = 0
    while killed_after(arguments, run, every * 1.5**kills):
        kills += 1
    return kills, difference(reference, run)


def check(dataset: str, settings: str, kills: int, seed: int, folder: Path) -> int:
    """Kill a training `kills` times and print what came of each; how many went wrong."""
    arguments = [dataset, *settings.split()]
    reference = folder / f"{dataset}-reference"
    seconds = undisturbed(arguments, reference)
    print(f"{dataset}: {settings}; {seconds:.1f} s undisturbed")
    draw, wrong = random.Random(seed), 0
    for number in range(1, kills + 1):
        run = folder / f"{dataset}-{number}"
        outcome = kill_once(arguments, reference, run, draw.uniform(0, seconds))
        wrong += outcome.difference is not None
        verdict = "the same bits" if outcome.difference is None else f"DIFFERS: {outcome}"
        print(
            f"  kill {number:2d} at {outcome.seconds:5.2f} s, checkpoint of iteration "
            f"{outcome.iteration}: {verdict}",
            flush=True,
        )
    times, found = kill_often(arguments, reference, folder / f"{dataset}-often", seconds / 4)
    verdict = "the same bits" if found is None else f"DIFFERS: {found}"
    print(f"  one run killed {times} times: {verdict}", flush=True)
    return wrong + (found is not None)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="for each dataset (10)")
    parser.add_argument("--dataset", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="two kills of a short training")
    options = parser.parse_args(argv)
    settings, kills = (QUICK, 2) if options.quick else (SETTINGS, options.kills)
    folder = Path(tempfile.mkdtemp(prefix="kill-resume-"))
    try:
        wrong = sum(check(d, settings[d], kills, options.seed, folder) for d in options.dataset)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("PASS" if wrong == 0 else f"FAIL: {wrong} runs differ")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
