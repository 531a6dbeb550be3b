"""Hessian-vector products and the full Hessian of a small network's loss, engines side by side.

    python -m benchmarks.hvp [--quick] [--save] [--engines ours torch.func …]

The network has four layers with tanh between them and a mean square loss. Products are taken with a
tree of parameters, Hessians in one flat vector of parameters. Each engine does it the way its users
do: ours and torch.func push a tangent forward through the gradient, "torch" differentiates the
gradient backward (`create_graph`), row by row for the Hessian. All engines share one process, and
have one thread each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from benchmarks.common import (
    Report,
    Table,
    Timing,
    as_numpy,
    build_engines,
    errors_of,
    interleave,
    milliseconds,
    parser,
    ratio,
    rerun_on_one_thread,
    verdict,
)
from benchmarks.floor import blas_rate, mlp_products

HVP, HESSIAN = "Hessian-vector product", "Hessian"
WIDE = f"{HVP}, wide layers"
TOLERANCE = 1e-4
Calls = dict[str, Callable[[], Any]]
Loss = Callable[..., Any]


@dataclass(frozen=True)
class Problem:
    """A network of these layer sizes, its parameters, a direction in them, and a batch of data."""

    sizes: tuple[int, ...]
    examples: int

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Weight, bias, weight, bias, …"""
        return [shape for i, o in pairwise(self.sizes) for shape in ((i, o), (o,))]

    @property
    def size(self) -> int:
        """How many parameters."""
        return sum(map(prod, self.shapes))

    def draw(self) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray, np.ndarray]:
        """Parameters, direction, inputs and targets, float32."""
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32)

        parameters = [normal(*s) / np.float32(np.sqrt(s[0])) for s in self.shapes]
        direction = [normal(*s) for s in self.shapes]
        data = normal(self.examples, self.sizes[0]), normal(self.examples, self.sizes[-1])
        return parameters, direction, *data

    def hvp_flops(self, vectors: int = 1) -> int:
        """Of the products in one gradient, and in its derivative in some directions."""
        total = 0
        for layer in mlp_products(self.sizes):
            tangents = vectors * (layer.second_order - layer.gradient)
            total += layer.multiply_adds * (layer.gradient + tangents)
        return 2 * self.examples * total


def network_loss(parameters: Sequence[Any], x: Any, y: Any, tanh: Callable, mean: Callable) -> Any:
    """Mean square error of the network, in any engine that has operators."""
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for i, (w, b) in enumerate(layers):
        x = x @ w + b
        if i < len(layers) - 1:
            x = tanh(x)
    return mean((x - y) ** 2)


def unflatten(flat: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The parameters in a flat vector."""
    parameters, start = [], 0
    for shape in shapes:
        parameters.append(flat[start : start + prod(shape)].reshape(shape))
        start += prod(shape)
    return parameters


def flat_loss(loss: Loss, shapes: Sequence[tuple[int, ...]]) -> Loss:
    """`loss` as a function of a flat vector."""
    return lambda flat: loss(unflatten(flat, shapes))


def flattened(arrays: Sequence[Any]) -> np.ndarray:
    """The opposite of `unflatten`."""
    return np.concatenate([as_numpy(a).ravel() for a in arrays])


# Engines --------------------------------------------------------------------------------------


def ours(problem: Problem) -> Calls:
    import autograd_core as ac

    p, v, x, y = ac.tree_map(ac.asarray, problem.draw())
    flat = ac.asarray(flattened(p))
    loss = partial(network_loss, x=x, y=y, tanh=ac.tanh, mean=ac.mean)
    hessian = ac.hessian(flat_loss(loss, problem.shapes))
    return {HVP: lambda: ac.hvp(loss, (p,), (v,)), HESSIAN: lambda: hessian(flat)}


def ours_jit(problem: Problem) -> Calls:
    import autograd_core as ac

    p, v, x, y = ac.tree_map(ac.asarray, problem.draw())
    flat = ac.asarray(flattened(p))
    loss = partial(network_loss, x=x, y=y, tanh=ac.tanh, mean=ac.mean)
    product = ac.jit(lambda p, v: ac.hvp(loss, (p,), (v,)))
    hessian = ac.jit(ac.hessian(flat_loss(loss, problem.shapes)))
    return {HVP: lambda: product(p, v), HESSIAN: lambda: hessian(flat)}


def torch(problem: Problem) -> Calls:
    import torch

    p, v, x, y = (_tensors(part) for part in problem.draw())
    loss = partial(network_loss, x=x, y=y, tanh=torch.tanh, mean=torch.mean)
    flat = torch.cat([a.ravel() for a in p])
    on_flat = flat_loss(loss, problem.shapes)

    def product() -> Any:
        leaves = [a.detach().requires_grad_() for a in p]
        gradient = torch.autograd.grad(loss(leaves), leaves, create_graph=True)
        return torch.autograd.grad(gradient, leaves, v)

    return {HVP: product, HESSIAN: lambda: torch.autograd.functional.hessian(on_flat, flat)}


def torch_func(problem: Problem) -> Calls:
    import torch
    from torch.func import grad, hessian, jvp

    p, v, x, y = (_tensors(part) for part in problem.draw())
    loss = partial(network_loss, x=x, y=y, tanh=torch.tanh, mean=torch.mean)
    flat = torch.cat([a.ravel() for a in p])
    full = hessian(flat_loss(loss, problem.shapes))
    return {HVP: lambda: jvp(grad(loss), (p,), (v,))[1], HESSIAN: lambda: full(flat)}


def _tensors(part: Any) -> Any:
    import torch

    return [*map(torch.tensor, part)] if isinstance(part, list) else torch.tensor(part)


def jax(problem: Problem, compiled: bool) -> Calls:
    import jax
    import jax.numpy as jnp

    p, v, x, y = jax.tree.map(jnp.asarray, problem.draw())
    loss = partial(network_loss, x=x, y=y, tanh=jnp.tanh, mean=jnp.mean)
    flat = jnp.concatenate([a.ravel() for a in p])
    product = lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1]
    full = jax.hessian(flat_loss(loss, problem.shapes))
    if compiled:
        product, full = jax.jit(product), jax.jit(full)
    return {
        HVP: lambda: jax.block_until_ready(product(p, v)),
        HESSIAN: lambda: jax.block_until_ready(full(flat)),
    }


def autograd(problem: Problem) -> Calls:
    import autograd.numpy as anp
    from autograd import grad, hessian

    p, v, x, y = problem.draw()
    loss = lambda p: network_loss(p, x, y, anp.tanh, anp.mean)
    gradient = grad(loss)
    pairing = lambda p: sum(anp.sum(g * t) for g, t in zip(gradient(p), v, strict=True))
    product, full, flat = grad(pairing), hessian(flat_loss(loss, problem.shapes)), flattened(p)
    return {HVP: lambda: product(p), HESSIAN: lambda: full(flat)}


ENGINES: dict[str, Callable[[Problem], Calls]] = {
    "ours": ours,
    "ours.jit": ours_jit,
    "torch": torch,
    "torch.func": torch_func,
    "jax": partial(jax, compiled=False),
    "jax.jit": partial(jax, compiled=True),
    "autograd": autograd,
}


# Measurement ----------------------------------------------------------------------------------


def measure(problems: dict[str, Problem], rounds: int, chosen: Sequence[str] | None) -> Report:
    """Time every engine that is there, in turns, for each quantity."""
    settings = {"rounds": rounds, "dtype": "float32"}
    report = Report("hvp", "Hessian-vector products and Hessians", settings)
    rate = blas_rate()
    skipped: dict[str, str] = {}
    for quantity, problem in problems.items():
        builders = {name: partial(build, problem) for name, build in ENGINES.items()}
        engines, skipped = build_engines(builders, chosen)
        what = HVP if quantity == WIDE else quantity
        calls = {name: engine[what] for name, engine in engines.items()}
        errors = _errors(calls)
        timings = interleave(calls, rounds)
        vectors = problem.size if quantity == HESSIAN else 1
        floor = problem.hvp_flops(vectors) / rate
        report.add(_table(quantity, problem, timings, errors, floor))
        report.data[quantity] = _record(problem, timings, errors, floor)
    report.skip(skipped)
    return report


def _errors(calls: Calls) -> dict[str, float]:
    """Relative to ours, or to the first engine where ours is left out."""
    reference = "ours" if "ours" in calls else next(iter(calls))
    return errors_of({name: partial(_flat_result, call) for name, call in calls.items()}, reference)


def _flat_result(call: Callable[[], Any]) -> np.ndarray:
    result = call()
    return flattened(result if isinstance(result, list | tuple) else [result])


def _table(
    quantity: str, problem: Problem, timings: dict[str, Timing], errors: dict, floor: float
) -> Table:
    mine = [name for name in ("ours", "ours.jit") if name in timings]
    columns = ["engine", "min", "median"]
    columns += [f"{name} / it: minima (median of rounds)" for name in mine] + ["error"]
    rows = []
    for name, t in timings.items():
        compared = ["" if name == one else str(ratio(timings[one], t)) for one in mine]
        times = milliseconds(t.min), milliseconds(t.median)
        rows.append([name, *times, *compared, f"{errors[name]:.0e}"])
    compared = [f"{timings[one].min / floor:.1f}×" for one in mine]
    rows.append(["products only (floor)", milliseconds(floor), "", *compared, ""])
    sizes = "-".join(map(str, problem.sizes))
    title = f"{quantity}: layers {sizes}, {problem.size} parameters, {problem.examples} examples"
    return Table(title, columns, rows)


def _record(
    problem: Problem, timings: dict[str, Timing], errors: dict, floor: float
) -> dict[str, Any]:
    engines = {
        name: {"min_s": t.min, "median_s": t.median, "relative_error": errors[name]}
        for name, t in timings.items()
    }
    return {
        "sizes": problem.sizes,
        "examples": problem.examples,
        "floor_s": floor,
        "engines": engines,
    }


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(__doc__, tuple(ENGINES)).parse_args(argv)
    if options.quick:
        small = Problem((2, 3, 3, 3, 1), 4)
        report = measure({HVP: small, HESSIAN: small}, 2, options.engines)
    else:
        problems = {
            HVP: Problem((32, 64, 64, 64, 1), 128),
            WIDE: Problem((784, 512, 512, 512, 10), 256),
            HESSIAN: Problem((4, 16, 16, 16, 1), 32),
        }
        report = measure(problems, 10, options.engines)
    error = max(e["relative_error"] for q in report.data.values() for e in q["engines"].values())
    agreed = verdict(error, TOLERANCE)
    report.note(f"values agree to {error:.0e} (goal {TOLERANCE:g}): {agreed}")
    for quantity, found in report.data.items():
        times = {name: each["min_s"] for name, each in found["engines"].items()}
        if {"ours.jit", "jax.jit"} <= times.keys() and not options.quick:
            share = times["ours.jit"] / times["jax.jit"]
            report.note(f"goal: {quantity}, jit ≤ 1× JAX's: {share:.2f}× {verdict(share, 1.0)}")
    if options.save:
        report.save()
    return 0 if agreed == "PASS" else 1


if __name__ == "__main__":
    rerun_on_one_thread("benchmarks.hvp")
    raise SystemExit(main())
