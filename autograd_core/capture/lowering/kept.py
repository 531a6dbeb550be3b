"""Plans kept on disk beside the machine code, so that a second process need not plan again.

A plan is found by a hash of all it was made from: the graph with its constants, the processor, the
number of threads, and the source of what makes plans.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import kernels
from autograd_core.capture.graph import Graph, Variable
from autograd_core.capture.lowering.plan import Plan, from_data, to_data
from autograd_core.capture.passes.inline import inline
from kernels.cpu.threads import thread_count
from kernels.loops import exactly
from kernels.native import cache
from kernels.native.machine import host

MANY = 500
"""Equations of a graph whose plan is worth a file."""
MOST_BYTES = 2**20
"""Of constants, and of tables in a plan: larger ones are not worth it."""


def name_of(graph: Graph) -> str | None:
    """Names the plan of a graph before any pass; None where none is kept."""
    if len(inline(graph).equations) < MANY:
        return None
    sources, described = _sources(), describe(graph)
    if sources is None or described is None:
        return None
    lines = [sources, str(host()), str(thread_count()), *described]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def find(name: str) -> Plan | None:
    """The plan of that name."""
    content = cache.find(name)
    return None if content is None else from_data(json.loads(content))


def keep(name: str, plan: Plan) -> None:
    """Keep a plan that leaves nothing to Python."""
    if plan.is_native and sum(table.nbytes for table in plan.tables) <= MOST_BYTES:
        cache.keep(name, json.dumps(to_data(plan)).encode())


@functools.cache
def _sources() -> str | None:
    """A hash of all modules here and of the kernels; None where they are not files."""
    digest = hashlib.sha256()
    folders = [Path(__file__).parents[2], Path(kernels.__file__).parent]
    try:
        for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
            digest.update(path.read_bytes())
    except OSError:
        return None
    return digest.hexdigest()


def describe(graph: Graph) -> list[str] | None:
    """Lines that are equal for graphs that have the same plan; None where that cannot be told."""
    constants = graph.constants.values()
    if any(x.interpreter is not None for x in constants):
        return None
    if sum(x.value.nbytes for x in constants) > MOST_BYTES:
        return None
    try:
        # Constants that only the passes make are no part of the graph that a plan is run for.
        return [str(len(constants)), *_lines(inline(graph))]
    except TypeError:
        return None


def _lines(graph: Graph) -> Iterable[str]:
    numbers: dict[Variable, int] = {}

    def new(x: Variable) -> str:
        numbers[x] = len(numbers)
        shape, dtype = x.aval
        return f"{dtype.str}{shape}{'number' if x.number else ''}"

    def known(xs: Iterable[Any]) -> str:
        said = [str(numbers[x]) if x.__class__ is Variable else "=" + exactly(x) for x in xs]
        return " ".join(said)

    yield " ".join(map(new, graph.inputs))
    for x, value in graph.constants.items():
        yield f"{new(x)} {np.ascontiguousarray(value.value).tobytes().hex()}"
    for primitive, inputs, params, outputs in graph.equations:
        said = written(params) if params else ""
        yield f"{primitive.name} {said} {known(inputs)} {' '.join(map(new, outputs))}"
    yield known(graph.outputs)
    yield " | ".join(map(known, graph.mapped))


PLAIN = {int, bool, str, type(None)}


def written(value: Any) -> str:
    """A parameter in words that no other one has.

    Raises:
        TypeError: there are none, as for a function.
    """
    kind = type(value)
    if kind is float:
        return exactly(value)
    if kind in PLAIN or (kind is tuple and {int}.issuperset(map(type, value))):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"{kind.__name__}({' '.join(map(written, value))})"
    if isinstance(value, dict):
        return " ".join([f"{k}:{written(value[k])}" for k in sorted(value)])
    if isinstance(value, np.dtype):
        return value.str
    if isinstance(value, type) and issubclass(value, np.generic):
        return value.__name__
    if isinstance(value, Graph):
        lines = describe(value)
        if lines is not None:
            return f"{{{' ; '.join(lines)}}}"
    raise TypeError(f"no words for {value!r}")
