"""Microseconds an operation of the eager engines, on a chain of operations too small to hide them.

    python -m benchmarks.eager [--quick] [--save] [--engines ours torch …]

The chain is 50 times `x = tanh(x * 1.01 + 0.1) - x`, 200 operations, on an 8×8 float32 array.
Timed are its values without gradients, the gradient of its sum, and the gradient of that gradient's
square norm; microseconds are per operation of the chain in all three. The floor is the same written
by hand in NumPy, derivatives and all. The derivatives of the whole chain underflow to zero, so that
engines are compared with the floor on its first 3 links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.common import (
    Report,
    Table,
    Timing,
    build_engines,
    errors_of,
    interleave,
    parser,
    ratio,
    verdict,
)

MODES = ("forward", "gradient", "gradient of gradient")
BOUNDS = {
    ("torch", "forward"): 1.0,
    ("torch", "gradient"): 1.0,
    ("torch", "gradient of gradient"): 1.0,
    ("autograd", "gradient"): 0.5,
    ("autograd", "gradient of gradient"): 0.5,
}
"""The project's goals: the most that ours may take, as a multiple of a peer's time."""

COMPARED_LINKS = 3

Calls = dict[str, Callable[[], Any]]


def chain(x: Any, tanh: Callable, links: int) -> Any:
    """`links` links of four operations each."""
    for _ in range(links):
        x = tanh(x * 1.01 + 0.1) - x
    return x


def ours(x0: np.ndarray, links: int) -> Calls:
    import autograd_core as ac

    x = ac.asarray(x0)
    gradient = ac.grad(lambda x: ac.sum(chain(x, ac.tanh, links)))
    second = ac.grad(lambda x: ac.sum(gradient(x) ** 2))
    return _named(lambda: chain(x, ac.tanh, links), lambda: gradient(x), lambda: second(x))


def torch(x0: np.ndarray, links: int) -> Calls:
    import torch

    def leaf() -> torch.Tensor:
        return torch.tensor(x0, requires_grad=True)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return chain(torch.tensor(x0), torch.tanh, links)

    def gradient() -> torch.Tensor | None:
        x = leaf()
        chain(x, torch.tanh, links).sum().backward()
        return x.grad

    def second() -> torch.Tensor | None:
        x = leaf()
        (g,) = torch.autograd.grad(chain(x, torch.tanh, links).sum(), x, create_graph=True)
        (g * g).sum().backward()
        return x.grad

    return _named(forward, gradient, second)


def autograd(x0: np.ndarray, links: int) -> Calls:
    import autograd.numpy as anp
    from autograd import grad

    gradient = grad(lambda x: anp.sum(chain(x, anp.tanh, links)))
    second = grad(lambda x: anp.sum(gradient(x) ** 2))
    return _named(lambda: chain(x0, anp.tanh, links), lambda: gradient(x0), lambda: second(x0))


def jax(x0: np.ndarray, links: int) -> Calls:
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(x0)
    gradient = jax.grad(lambda x: jnp.sum(chain(x, jnp.tanh, links)))
    second = jax.grad(lambda x: jnp.sum(gradient(x) ** 2))
    return _named(
        lambda: chain(x, jnp.tanh, links).block_until_ready(),
        lambda: gradient(x).block_until_ready(),
        lambda: second(x).block_until_ready(),
    )


def floor(x0: np.ndarray, links: int) -> Calls:
    """By hand. A link is elementwise, with t = tanh(1.01 x + 0.1): slope r = 1.01 (1 - t²) - 1."""
    ones = np.ones_like(x0)

    def gradient() -> np.ndarray:
        g = ones
        for r in reversed(_slopes(x0, links)[1]):
            g = g * r
        return g

    def second() -> np.ndarray:
        ts, slopes = _slopes(x0, links)
        gs = [ones]
        for r in reversed(slopes):
            gs.append(gs[-1] * r)
        bars, bar = [], 2 * gs.pop()  # of the slopes: first link first
        for r, g in zip(slopes, reversed(gs), strict=True):
            bars.append(bar * g)
            bar = bar * r
        x_bar = np.zeros_like(x0)
        for t, r, r_bar in zip(reversed(ts), reversed(slopes), reversed(bars), strict=True):
            x_bar = x_bar * r - 2.02 * 1.01 * r_bar * t * (1 - t * t)
        return x_bar

    return _named(lambda: chain(x0, np.tanh, links), gradient, second)


def _slopes(x: np.ndarray, links: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    ts, slopes = [], []
    for _ in range(links):
        t = np.tanh(x * 1.01 + 0.1)
        x = t - x
        ts.append(t)
        slopes.append(1.01 * (1 - t * t) - 1)
    return ts, slopes


def _named(*calls: Callable[[], Any]) -> Calls:
    return dict(zip(MODES, calls, strict=True))


ENGINES = {"ours": ours, "torch": torch, "autograd": autograd, "jax": jax, "numpy": floor}


def measure(
    links: int, rounds: int, chosen: Sequence[str] | None = None, judged: bool = True
) -> Report:
    """Time every engine that is there, in turns; `judged` by the goals."""
    operations = 4 * links
    x0 = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    settings = {"operations": operations, "rounds": rounds, "shape": "8×8 float32"}
    report = Report("eager", "Eager engines: microseconds an operation", settings)
    builders = {name: partial(build, x0, links) for name, build in ENGINES.items()}
    engines, skipped = build_engines(builders, chosen)
    short = {name: ENGINES[name](x0, COMPARED_LINKS) for name in (*engines, "numpy")}
    for mode in MODES:
        timings = interleave({name: calls[mode] for name, calls in engines.items()}, rounds)
        errors = errors_of({name: calls[mode] for name, calls in short.items()}, "numpy")
        report.add(_table(mode, timings, errors, operations))
        report.data[mode] = _record(timings, operations)
    for (peer, mode), bound in BOUNDS.items():
        _judge(report, peer, mode, bound, judged)
    report.skip(skipped)
    return report


def _table(mode: str, timings: dict[str, Timing], errors: dict, operations: int) -> Table:
    columns = ["engine", "min µs/op", "median", "ours / it: minima (median of rounds)", "error"]
    rows = []
    for name, timing in timings.items():
        compared = ""
        if "ours" in timings and name != "ours":
            compared = str(ratio(timings["ours"], timing))
        micros = [f"{1e6 * t / operations:.2f}" for t in (timing.min, timing.median)]
        label = "numpy (floor)" if name == "numpy" else name
        rows.append([label, *micros, compared, f"{errors[name]:.0e}"])
    return Table(mode, columns, rows)


def _record(timings: dict[str, Timing], operations: int) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, timing in timings.items():
        record[name] = {
            "min_us": 1e6 * timing.min / operations,
            "median_us": 1e6 * timing.median / operations,
        }
        if "ours" in timings and name != "ours":
            compared = ratio(timings["ours"], timing)
            record[name]["ours_over_it"] = compared.of_minima
            record[name]["ours_over_it_median_of_rounds"] = compared.median_of_rounds
    return record


def _judge(report: Report, peer: str, mode: str, bound: float, judged: bool) -> None:
    found = report.data[mode].get(peer, {}).get("ours_over_it")
    if found is None:
        result = "not measured"
    elif not judged:
        result = "not judged on tiny settings"
    else:
        result = f"{found:.2f}× {verdict(found, bound)}"
    report.note(f"goal: {mode} ≤ {bound}× {peer}: {result}")


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(__doc__, tuple(ENGINES)).parse_args(argv)
    links, rounds = (2, 2) if options.quick else (50, 25)
    report = measure(links, rounds, options.engines, judged=not options.quick)
    if options.save:
        report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
