"""The plan of a program: what it runs on which memory, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd_core.capture.lowering.costs import StepCost

if TYPE_CHECKING:
    from autograd_core.capture.lowering.planning import Part
    from kernels.native.program import Routine

Array = np.ndarray


class OfGraph(NamedTuple):
    """A constant of the graph, by its number."""

    number: int


class Table(NamedTuple):
    """One of the plan's tables."""

    number: int


class Fresh(NamedTuple):
    """An array for what one part computes and another one reads."""

    shape: tuple[int, ...]
    dtype: str


class Arena(NamedTuple):
    """Memory for values that only one part needs."""

    bytes: int


class Summed(NamedTuple):
    """`size` entries of what turns add up, from `start`, in the array of sums of some number."""

    sums: int
    start: int
    size: int


class Slice(NamedTuple):
    """What lies in another slot, of which each turn reads its own slice."""

    slot: int


Own = OfGraph | Table | Fresh | Arena | Summed | Slice

PythonRun = Callable[[Sequence[Array]], None]
"""A step in Python, given the arrays of all slots."""


@dataclass
class Plan:
    """What a program does. Arrays are named by slots: first those of arguments, then those of
    results, then the program's own.

    Attributes:
        own: what lies in the slots of the program's own.
        tables: numbers that kernels read.
        stages: what is done before turns, in each turn and after them, or all there is to do:
            routines of machine code, by their numbers, and steps in Python.
        turns: how often the second stage is done.
        threads: which share the turns; each has an arena and sums of its own.
        arena: the slot of the turns' arena.
        slices: slots of what turns read, and slots for a turn's slices of them.
        sums: dtype and size of the arrays that turns add to.
        costs: of the steps, those of turns in all turns.
        buffers: how many values lie in memory at some time.
        code: names the machine code.
        routines: what the machine code is made from; empty where the plan was kept on disk.
        parts: the steps and what they work on, likewise.
    """

    own: list[Own]
    tables: list[Array]
    stages: list[list[int | PythonRun]]
    turns: int
    threads: int
    arena: int | None
    slices: list[tuple[int, int]]
    sums: list[tuple[str, int]]
    costs: list[StepCost]
    buffers: int
    code: str = ""
    routines: list[Routine] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def routine_count(self) -> int:
        return sum(item.__class__ is int for stage in self.stages for item in stage)

    @property
    def is_native(self) -> bool:
        """Whether nothing is left to Python."""
        return all(item.__class__ is int for stage in self.stages for item in stage)


def to_data(plan: Plan) -> dict[str, Any]:
    """A native plan as what JSON can say."""
    return {
        "own": [[own.__class__.__name__, *own] for own in plan.own],
        "tables": [[str(t.dtype), list(t.shape), t.tobytes().hex()] for t in plan.tables],
        "stages": plan.stages,
        "turns": plan.turns,
        "threads": plan.threads,
        "arena": plan.arena,
        "slices": plan.slices,
        "sums": plan.sums,
        "costs": [list(c[:4]) for c in plan.costs],
        "buffers": plan.buffers,
        "code": plan.code,
    }


KINDS: dict[str, Any] = {c.__name__: c for c in (OfGraph, Table, Fresh, Arena, Summed, Slice)}


def from_data(data: dict[str, Any]) -> Plan:
    """The plan that `to_data` wrote."""
    tables = [
        np.frombuffer(bytes.fromhex(digits), dtype).reshape(shape)
        for dtype, shape, digits in data["tables"]
    ]
    return Plan(
        **{
            **data,
            "own": [KINDS[name](*fields) for name, *fields in data["own"]],
            "tables": tables,
            "costs": [StepCost(*c) for c in data["costs"]],
        }
    )
