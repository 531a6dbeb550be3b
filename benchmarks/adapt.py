"""How long a trained network takes to adapt to a new task, and to predict 75 queries, on a CPU.

    python -m benchmarks.adapt [--quick] [--save]

`MetaClassifier.fit` and `predict_proba` of a 28×28 conv4 with 64 filters and 3 inner steps, eager
and compiled, each in processes of their own: the first call with no machine code kept from before,
the first call of the next process, and calls after that (the best and the median of them).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autograd_core import random
from benchmarks.common import Report, Table, milliseconds, run_child
from metalearn.config import algorithm_of, make_config
from metalearn.estimators import MetaClassifier
from metalearn.learner import ACCURACY, Learner
from metalearn.runs import Run
from metalearn.tasks import Preprocess
from metalearn.trained import Trained
from metalearn.training import model_of

TASKS = {"5-way 1-shot": (5, 1, 75), "5-way 5-shot": (5, 5, 75), "20-way 1-shot": (20, 1, 75)}
QUICK = {"2-way 1-shot": (2, 1, 4)}
FILTERS, SIDE, CALLS = 64, 28, 60


class Untrained(MetaClassifier):
    """A classifier whose run exists in memory only: time does not depend on what was learned."""

    def _learned(self) -> Trained:
        return self._trained

    @cached_property
    def _trained(self) -> Trained:
        ways, filters = self.run
        given = {"ways": ways, "filters": filters, "iterations": 1}
        config = make_config("glyphs", {**given, "settings": None})
        data = {"name": "none", "preprocess": Preprocess(SIDE, 1, "auto").to_dict()}
        record = {"dataset": data, "split": None, "algorithm": {"name": "maml", "order": 2}}
        model = model_of(config)
        learner = Learner(model, ACCURACY, "support")
        run = Run(Path("untrained"), config, record)
        params, steps = model.init(random.key(0)), config.eval_steps
        return Trained(run, algorithm_of(config), learner, params, "none", 0, steps)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adapt")
    parser.add_argument("--quick", action="store_true", help="tiny settings: does it run at all?")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--child", nargs=6, metavar="NUMBER", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        print(json.dumps(timed(*map(int, options.child))))
        return 0
    tasks, filters, calls = (QUICK, 4, 3) if options.quick else (TASKS, FILTERS, CALLS)
    report = Report("adapt", "Adaptation to a new task", {"filters": filters, "steps": 3})
    for name, (ways, shots, queries) in tasks.items():
        found = {}
        for mode in ("eager", "compiled"):
            asked = (ways, shots, queries, filters, int(mode == "compiled"), calls)
            with tempfile.TemporaryDirectory() as cache:
                settings = {"METAGRAD_CACHE": cache}
                first, later = (
                    run_child("benchmarks.adapt", "--child", *asked, settings=settings)
                    for _ in range(2)
                )
            found[mode] = {"first": first, "next": later}
        report.data[name] = found
        report.add(table(f"{name}, {queries} queries", found))
    if options.save:
        report.save()
    return 0


def timed(
    ways: int, shots: int, queries: int, filters: int, compiled: int, calls: int
) -> dict[str, Any]:
    """Seconds of the first call and of later ones, of adapting and of predicting."""
    rng = np.random.default_rng(0)
    x = rng.random((ways * shots, 1, SIDE, SIDE), np.float32)
    y = np.repeat(np.arange(ways), shots)
    asked = rng.random((queries, 1, SIDE, SIDE), np.float32)
    model = Untrained((ways, filters), compiled=bool(compiled))  # type: ignore[arg-type]
    model._learned()
    actions: dict[str, Callable[[], Any]] = {
        "adapt": lambda: model.fit(x, y),
        "predict": lambda: model.predict_proba(asked),
    }
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(calls + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken[name].append(time.perf_counter() - start)
    return {
        name: {"first": first, "best": min(later), "median": statistics.median(later)}
        for name, (first, *later) in taken.items()
    }


def table(title: str, found: dict[str, Any]) -> Table:
    columns = ["", "first call", "first in the next process", "later, best", "later, median"]
    rows = []
    for mode, processes in found.items():
        for action in ("adapt", "predict"):
            first, later = processes["first"][action], processes["next"][action]
            times = (first["first"], later["first"], later["best"], later["median"])
            rows.append([f"{mode}: {action}", *map(milliseconds, times)])
    return Table(title, columns, rows)


if __name__ == "__main__":
    raise SystemExit(main())
