"""One compiled meta-step of each algorithm beside MAML's: arithmetic, time, memory.

    python -m benchmarks.algorithms [--quick] [--save]

Images of 28×28, conv4 with 64 filters, 5-way 1-shot with 5 queries a class, 5 inner steps where
there are any, 16 tasks; algorithms that train otherwise (Reptile, the mini-batches of pretraining)
as they do by default. Flops are those that the compiled program counts of itself. Each algorithm is
timed in turns with MAML, in a process of their own; memory is the program's buffers, and how much
the process grew from before the program was made until after some steps. Then iMAML and MAML from 5
to 50 inner steps: iMAML's memory should stay as it is.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.common import Report, Table, interleave, milliseconds, peak_rss, ratio, run_child
from metalearn.algorithms import ALGORITHMS
from metalearn.config import algorithm_of, make_config
from metalearn.learner import Learner
from metalearn.problems import open_problem, settled
from metalearn.training import initial_state, meta_step, model_of

BASE = "maml"
LEFT_OUT = ("scratch",)  # it has no meta-step
TOLERANCE = 1.15
"""How much more than its arithmetic a step may take beside MAML's."""
FULL = {"filters": 64, "image_size": 28, "meta_batch": 16, "queries": 5, "rounds": 12, "steps": 5}
QUICK = {"filters": 4, "image_size": 16, "meta_batch": 2, "queries": 2, "rounds": 2, "steps": 2}
GROWTH = ("imaml", "maml")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.algorithms")
    parser.add_argument("--quick", action="store_true", help="tiny settings: does it run at all?")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.child:
        name, steps, given = options.child
        print(json.dumps(measured(name, int(steps), json.loads(given))))
        return 0
    sizes = QUICK if options.quick else FULL
    report = Report("algorithms", "A compiled meta-step of each algorithm", sizes)
    names = [name for name in ALGORITHMS if name not in LEFT_OUT]
    found = {name: _child(name, sizes["steps"], sizes) for name in names}
    many = (sizes["steps"], 10 * sizes["steps"])
    growth = {
        name: {
            str(steps): found[name] if steps == sizes["steps"] else _child(name, steps, sizes)
            for steps in many
        }
        for name in GROWTH
    }
    report.data.update(steps=found, growth=growth)
    report.add(table(found))
    report.add(growth_table(growth))
    if options.save:
        report.save()
    return 0


def _child(name: str, steps: int, sizes: dict[str, int]) -> dict[str, Any]:
    return run_child("benchmarks.algorithms", "--child", name, steps, json.dumps(sizes))


def measured(name: str, steps: int, sizes: dict[str, int]) -> dict[str, Any]:
    """Flops, seconds, memory of a step, and how long it takes beside MAML's."""
    before = peak_rss()
    call, program = _step(name, steps, sizes)
    for _ in range(3):
        call()
    grown = peak_rss() - before
    base, maml = _step(BASE, steps, sizes)
    times = interleave({BASE: base, name: call}, sizes["rounds"], slot=0.05)
    return {
        "flops": program.flops,
        "maml_flops": maml.flops,
        "seconds": times[name].median,
        "time": ratio(times[name], times[BASE]).median_of_rounds,
        "memory": program.memory,
        "grown": grown,
    }


def _step(name: str, steps: int, sizes: dict[str, int]) -> tuple[Callable[[], Any], Any]:
    """A call of the compiled step, and what its program is."""
    given: dict[str, Any] = {
        key: sizes[key] for key in ("filters", "image_size", "meta_batch", "queries")
    }
    plain = make_config("glyphs", {"algorithm": name, "iterations": 1})
    if name == "pretrained":  # its meta-batch counts mini-batches
        del given["meta_batch"]
    inner = {"inner_steps": steps} if plain.inner_steps else {}
    config = make_config("glyphs", {"algorithm": name, "iterations": 1, **given, **inner})
    problem = open_problem(config)
    config = settled(config, problem)
    algorithm, model = algorithm_of(config), model_of(config)
    ways = config.train_ways or config.output_count
    learner = Learner(model, problem.measure, config.batch_norm, ways=ways)
    step = meta_step(algorithm.at(0.5), learner, config)
    sampler = algorithm.training_sampler(problem, config)
    tasks = sampler.sample(0, range(config.meta_batch))
    state = initial_state(config, model)
    arguments = (state, tasks, 1e-3, 0.5)
    return lambda: step(*arguments), step.explain(*arguments)  # type: ignore[attr-defined]


def table(found: dict[str, dict[str, Any]]) -> Table:
    columns = [
        *("algorithm", "Gflop", "over MAML's", "time", "over MAML's", "time / arithmetic"),
        *("buffers", "process grew"),
    ]
    rows = []
    for name, each in found.items():
        arithmetic = each["flops"] / each["maml_flops"]
        excess = each["time"] / arithmetic
        said = "PASS" if excess <= TOLERANCE else "over"
        rows.append(
            [
                name,
                f"{each['flops'] / 1e9:.2f}",
                f"{arithmetic:.2f}",
                milliseconds(each["seconds"]),
                f"{each['time']:.2f}",
                f"{excess:.2f} {said}",
                f"{each['memory'] / 1e6:.1f} MB",
                f"{each['grown'] / 1e6:.0f} MB",
            ]
        )
    title = f"One compiled meta-step: time / arithmetic, each over MAML's, {TOLERANCE} at most"
    return Table(title, columns, rows)


def growth_table(growth: dict[str, dict[str, dict[str, Any]]]) -> Table:
    few = next(iter(growth.values()))
    columns = ["buffers"] + [f"{steps} inner steps" for steps in few]
    rows = [
        [name, *(f"{each['memory'] / 1e6:.2f} MB" for each in by_steps.values())]
        for name, by_steps in growth.items()
    ]
    return Table("Memory by the number of inner steps", columns, rows)


if __name__ == "__main__":
    raise SystemExit(main())
