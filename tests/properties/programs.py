"""What the transforms in random programs are for the oracle; the programs are the package's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd_core.testing.programs import ENGINE, EngineOperations, random_programs, run
from tests.properties import oracle

__all__ = ["ENGINE", "ORACLE", "EngineOperations", "programs", "run"]

ORACLE: dict[str, Callable] = {
    "call": lambda f, x, _t, _axes, _closed: f(x),
    "grad": lambda f, x, _t, _axes, _closed: oracle.grad(f, x),
    "vjp": lambda f, x, _t, _axes, _closed: oracle.vjp(f, x, oracle.Operations.sin(f(x))),
    "jvp": lambda f, x, t, _axes, _closed: oracle.jvp(f, x, t)[1],
    "linearize": lambda f, x, t, _axes, _closed: oracle.jvp(f, x, t)[1],
    "jacrev": lambda f, x, _t, _axes, _closed: oracle.jacobian(f, x),
    "jacfwd": lambda f, x, _t, _axes, _closed: oracle.jacobian(f, x),
    "vmap": lambda f, x, _t, axes, _closed: oracle.vmap(f, x, *axes),
    "checkpoint": lambda f, x, _t, _axes, _closed: f(x),
}


def programs(depth: int, shape: tuple[int, ...]) -> Any:
    """Programs with transforms nested up to `depth`."""
    return random_programs(max_steps=5, depth=depth, shape=shape)
