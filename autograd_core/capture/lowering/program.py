"""Programs: a graph as something to run.

All arrays that a program works on are named by slots of one table of pointers. Most of its entries
never change; a call fills in those of its arguments and results, and runs the routines.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.capture.graph import Graph
from autograd_core.capture.lowering import kept
from autograd_core.capture.lowering.memory import ALIGNMENT
from autograd_core.capture.lowering.plan import (
    Arena,
    Array,
    Fresh,
    OfGraph,
    Own,
    Plan,
    Slice,
    Summed,
    Table,
)
from autograd_core.capture.lowering.planning import Part, planned
from autograd_core.capture.lowering.points import code
from autograd_core.capture.passes import improve
from autograd_core.tensor import Tensor, boxes
from kernels.cpu.threads import share
from kernels.memory import POOL, address, pages
from kernels.native.machine import llvm_loads
from kernels.native.program import Native, Routine, Run
from kernels.native.text import BYTES

LARGE = 2**22
"""Bytes of memory that are worth sharing between programs, and sums of so many that all threads are
worth adding them up."""


NOTHING = np.empty(0)
"""Stands for memory that each call brings along."""


def can_compile(graph: Graph) -> bool:
    """Whether all values are of dtypes that programs can hold."""
    variables = [*graph.inputs, *graph.constants]
    variables += [y for e in graph.equations for y in e.outputs]
    return all(code(x.aval.dtype) in BYTES for x in variables)


def aligned(size: int) -> Array:
    """Bytes that begin where a cache line does."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class Program:
    """A graph, planned and compiled. Calls from several threads take turns.

    Args:
        graph: as it was captured.
        plan: what to run; from the disk, or made from the graph after all passes.
        empty: `empty(shape, dtype)` makes the arrays of results.
    """

    def __init__(self, graph: Graph, plan: Plan, empty: Callable[..., Array]):
        self.graph, self.plan = graph, plan
        self._empty = empty
        self._lock = threading.Lock()
        self._outputs = [(y.aval.shape, y.aval.dtype) for y in graph.outputs]
        self._dtypes = [x.aval.dtype for x in graph.inputs]
        threads = range(plan.threads)
        self._lent = self._places_lent()
        # First of all, since the system has the pages made while the code is loaded.
        with POOL.lent(list(self._lent.values())):
            pass
        # Of all threads but the first.
        self._arenas = (
            [] if self._turns_are_lent else [aligned(self._turn_bytes) for _ in threads[1:]]
        )
        self._sums = [np.empty((len(threads), size), dtype) for dtype, size in plan.sums]
        constants = list(graph.constants.values())
        self._own: list[Array] = []
        for own in plan.own:
            self._own.append(self._array(own, constants))
        self._sliced = np.array([slot for slot, _ in plan.slices], np.intp)
        self._slices = np.array([again for _, again in plan.slices], np.intp)
        self._make_tables()
        self._native = self._compiled()
        runs = self._native.run if self._native else []
        self._stages: list[list[Any]] = [
            [runs[item] if isinstance(item, int) else item for item in stage]
            for stage in plan.stages
        ]

    @classmethod
    def of(cls, graph: Graph, empty: Callable[..., Array] = np.empty) -> Program | None:
        """The program of a captured graph; None where there can be none."""
        if not llvm_loads():
            return None
        name = kept.name_of(graph)
        plan = None if name is None else kept.find(name)
        if plan is not None:
            return cls(graph, plan, empty)
        better = improve(graph)
        if not can_compile(better):
            return None
        program = cls(graph, planned(better, graph.constants.values()), empty)
        if name is not None:
            kept.keep(name, program.plan)
        return program

    def _compiled(self) -> Native | None:
        plan, count = self.plan, self.plan.routine_count
        if not count:
            return None
        native = Native.named(plan.code, count) if plan.code else None
        if native is None:
            if not plan.routines:  # the code was deleted, not the plan
                plan.routines = self._planned_again().routines
            native, plan.code = Native.of(plan.routines)
        return native

    def _planned_again(self) -> Plan:
        return planned(improve(self.graph), self.graph.constants.values())

    # Memory -----------------------------------------------------------------------------------

    @property
    def _given(self) -> int:
        """How many slots are those of arguments and results."""
        return len(self._dtypes) + len(self._outputs)

    @property
    def _turn_bytes(self) -> int:
        """The size of a turn's arena."""
        if self.plan.arena is None:
            return 0
        arena = self.plan.own[self.plan.arena - self._given]
        assert isinstance(arena, Arena)
        return arena.bytes

    def _array(self, own: Own, constants: Sequence[Tensor]) -> Array:
        """What lies in a slot of the program's own, for the first thread."""
        match own:
            case OfGraph(number):
                return np.ascontiguousarray(constants[number].value)
            case Table(number):
                return self.plan.tables[number]
            case Fresh(shape, dtype):
                return np.empty(shape, dtype)
            case Arena(size):
                return NOTHING if size >= LARGE else aligned(size)
            case Summed(sums, start, size):
                return self._sums[sums][0, start : start + size]
            case Slice(slot):  # an empty stand-in where each call brings its own
                return self._own[slot - self._given] if slot >= self._given else NOTHING

    @property
    def _turns_are_lent(self) -> bool:
        return self._turn_bytes >= LARGE

    def _places_lent(self) -> dict[tuple[int, int], int]:
        """Which arenas each call borrows, by thread and slot: their sizes."""
        found = {
            (0, slot): own.bytes
            for slot, own in enumerate(self.plan.own, self._given)
            if isinstance(own, Arena) and own.bytes >= LARGE
        }
        if self._turns_are_lent:
            assert self.plan.arena is not None
            more = range(1, self.plan.threads)
            found |= {(thread, self.plan.arena): self._turn_bytes for thread in more}
        return found

    def _borrow(self, blocks: Sequence[Array], tables: Array, own: list[Any]) -> None:
        """Have the arenas that are lent lie in these blocks."""
        for (thread, slot), block in zip(self._lent, blocks, strict=True):
            tables[thread, slot] = address(block)
            if thread == 0:
                own[slot - self._given] = block

    def _give_back(self) -> None:
        """Keep no block that may be lent to others, or be gone."""
        for thread, slot in self._lent:
            if thread == 0:
                self._own[slot - self._given] = NOTHING

    def _make_tables(self) -> None:
        """The pointers for each thread."""
        fixed = list(map(address, self._own))
        row = np.array([0] * self._given + fixed, np.uintp)
        self._tables = np.tile(row, (self.plan.threads, 1))
        self._addresses = [int(row.ctypes.data) for row in self._tables]
        for thread, arena in enumerate(self._arenas, 1):
            self._tables[thread, self.plan.arena] = arena.ctypes.data
        for thread in range(1, self.plan.threads):  # also of those whose arenas are lent
            for slot, own in enumerate(self.plan.own, self._given):
                if isinstance(own, Summed):
                    mine = self._sums[own.sums][thread, own.start :]
                    self._tables[thread, slot] = mine.ctypes.data

    @property
    def parts(self) -> dict[str, Part]:
        """What is done in each call ("before" and "after") and in each turn; made once more where
        the plan was kept on disk."""
        if not self.plan.parts:
            self.plan.parts = self._planned_again().parts
        return self.plan.parts

    @property
    def bytes(self) -> int:
        """Memory beside arguments and results: of all threads, of what lies between the parts, and
        of constants."""
        mine = [
            x
            for own, x in zip(self.plan.own, self._own, strict=True)
            if not isinstance(own, Summed | Slice)
        ]
        kept = sum(x.nbytes for x in (*mine, *self._arenas, *self._sums))
        return kept + sum(self._lent.values())

    # Running ----------------------------------------------------------------------------------

    def __call__(self, args: Sequence[Any]) -> list[Tensor]:
        arrays = list(map(_plain, args, self._dtypes))
        results = [self._empty(shape, dtype) for shape, dtype in self._outputs]
        with self._lock:
            self._run_in_memory([*arrays, *results])
        return boxes(results)

    def _run_in_memory(self, given: list[Array]) -> None:
        if not self._lent:
            self._run(given)
            return
        with POOL.lent(list(self._lent.values())) as blocks:
            self._borrow(blocks, self._tables, self._own)
            try:
                self._run(given)
            finally:
                self._give_back()

    def _run(self, given: list[Array]) -> None:
        pointers = list(map(address, given))
        self._tables[:, : len(pointers)] = pointers
        plan = self.plan
        if plan.arena is None:
            self._stage(0, given)
            return
        self._tables[:, self._slices] = self._tables[0, self._sliced]
        self._stage(0, given)
        if plan.threads == 1:
            self._turns(0)
        else:
            share(plan.threads, self._turns)
            self._join_sums()
        self._stage(2, given)

    def _stage(self, number: int, given: list[Array]) -> None:
        for item in self._stages[number]:
            if isinstance(item, Run):
                item(self._addresses[0], 0, 1)
            else:
                item([*given, *self._own])

    def _turns(self, thread: int) -> None:
        plan = self.plan
        for sums in self._sums:
            sums[thread].fill(0)
        first, last = (plan.turns * n // plan.threads for n in (thread, thread + 1))
        for run in self._stages[1]:
            run(self._addresses[thread], first, last)

    def _join_sums(self) -> None:
        """Add up the sums of all threads, in their order; large ones by all threads."""
        threads = self.plan.threads if sum(x.nbytes for x in self._sums) > LARGE else 1

        def join(thread: int) -> None:
            for sums in self._sums:
                first, last = (sums.shape[1] * n // threads for n in (thread, thread + 1))
                for more in sums[1:]:
                    sums[0, first:last] += more[first:last]

        if threads == 1:
            join(0)
        else:
            share(threads, join)

    def _locked(self, run: Callable[..., Any], *args: Any) -> None:
        """Run where no call is under way, whose memory it would write to."""
        with self._lock:
            run(*args)

    def one_by_one(self, args: Sequence[Any]) -> list[Callable[[], None]]:
        """The steps as functions of their own, on these arguments, to be called in this order."""
        arrays = list(map(_plain, args, self._dtypes))
        results = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        tables, own = self._tables.copy(), list(self._own)
        # Blocks of their own: they are called when the pool may have lent its to others.
        self._borrow(list(map(pages, self._lent.values())), tables, own)
        table = tables[0].copy()
        given = [*arrays, *results]
        table[: len(given)] = [x.ctypes.data for x in given]
        table[self._slices] = table[self._sliced]
        alone = [
            (part, item, turns)
            for name, part in self.parts.items()
            for item in part.alone()
            for turns in [self.plan.turns if name == "turn" else 1]
        ]
        native, _ = Native.of([item for _, item, _ in alone if isinstance(item, Routine)])
        runs = iter(native.run)
        everything = [*given, *own]

        def function(part: Part, item: Any, turns: int) -> Callable[[], None]:
            if not isinstance(item, Routine):
                return lambda: self._locked(part.run_python, item, everything)
            run = next(runs)
            # The code and all memory that it works on have to stay as long as the function does.
            held = native, table, everything
            return lambda: self._locked(run, held[1].ctypes.data, 0, turns)

        return [function(*x) for x in alone]


def _plain(x: Any, dtype: np.dtype) -> Array:
    """An argument as an array without gaps."""
    value = x.value if x.__class__ is Tensor else x
    if value.__class__ is np.ndarray and value.flags.c_contiguous:
        return value
    return np.ascontiguousarray(value, dtype)
