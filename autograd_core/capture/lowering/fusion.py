"""Fusion: which values are stored, and which loops compute them.

Every step of a program has a slot: a value is computed in a slot after those of all that it is
made of, and what is made by a step of its own (a sum, a product) can be read in the slot after it
at the earliest. So elementwise work of one slot can be fused freely: nothing lies between. A value
is stored where a step reads it, or where a later slot needs it and it is not cheap to make again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.lowering.places import VIEWS
from autograd_core.capture.lowering.points import code, is_point

REDUCTIONS = {"sum": "sum", "max": "max", "min": "min"}
CHEAP_OPS, CHEAP_LEAVES = 10, 3
"""A value of no more operations on no more large stored values is made again where it is needed."""
MOST_OPS = 120
"""Operations of one value in one loop, at most."""
MOST_SINKS = 16
SMALL = 2**14
"""Entries of a loop that is joined with others whether they share what they read or not."""


def classify(equation: Equation) -> str:
    """ "point", "view", "reduce" or "step": what is fused, and what is a step of its own."""
    name = equation.primitive.name
    if name in VIEWS:
        return "view"
    if name in REDUCTIONS and _reducible(equation):
        return "reduce"
    return "point" if is_point(equation) else "step"


def _reducible(equation: Equation) -> bool:
    (x,) = equation.variables
    dtype = code(x.aval.dtype)
    if x.aval.size == 0 or equation.output.aval.dtype != x.aval.dtype:
        return False
    exact = ("i8",) if equation.primitive.name == "sum" else ("i4", "i8")
    return dtype in ("f4", "f8", *exact)


@dataclass
class FusedKernel:
    """Sinks, which one loop over `shape` computes and stores."""

    slot: int
    shape: tuple[int, ...]
    sinks: list[Variable] = field(default_factory=list)
    leaves: set[Variable] = field(default_factory=set)


class Fusion:
    """How the equations of a graph are computed.

    Attributes:
        stored: variables that lie in memory.
        slots: for each variable the slot in which it is computed.
        kernels: the loops.
        steps: the other equations that compute something.
    """

    def __init__(self, graph: Graph, forced: Iterable[Variable] = ()):
        self.graph = graph
        self.makers = {y: e for e in graph.equations for y in e.outputs}
        self.numbers = {x: v for x, v in graph.constants.items() if v.size == 1}
        self.kinds = {y: classify(e) for e in graph.equations for y in e.outputs}
        self.forced = set(forced)
        self.uses: dict[Variable, list[Equation]] = {}
        for equation in graph.equations:
            for x in equation.variables:
                self.uses.setdefault(x, []).append(equation)
        self.slots: dict[Variable, int] = {}
        self.cut = set(self.forced)  # stored, and not read in the slot that computes it
        self._costs: dict[tuple[Variable, int], tuple[int, frozenset[Variable]]] = {}
        self._choose_cuts()
        self._assign_slots()
        self.stored = self._choose_stored()
        self.kernels = self._group()
        self.steps = [e for e in graph.equations if self.kind(e) == "step"]

    def kind(self, equation: Equation) -> str:
        """ "point", "view", "reduce" or "step"."""
        return self.kinds[equation.outputs[0]]

    def kind_of(self, x: Variable) -> str:
        """The kind of what makes a variable; "given" for what no equation computes."""
        return self.kinds.get(x, "given")

    # Slots ------------------------------------------------------------------------------------

    def _choose_cuts(self) -> None:
        """Values that are stored wherever they are read: those that are repeated along further axes
        once they have been computed, and every so many operations of a long chain."""
        ops: dict[Variable, int] = {}
        for equation in self.graph.equations:
            kind = self.kind(equation)
            if kind not in ("point", "view"):
                continue
            variables = [x for x in equation.variables if x not in self.numbers]
            for x in variables:
                if x.aval.size < equation.output.aval.size and self._inlines(x):
                    self.cut.add(self.source(x))
            if kind == "view":
                (x,) = equation.inputs
                ops[equation.output] = 0 if x in self.cut else ops.get(x, 0)
                continue
            here = 1 + sum(ops.get(x, 0) for x in variables if x not in self.cut)
            if here > MOST_OPS:
                self.cut.add(equation.output)
            ops[equation.output] = here

    def _assign_slots(self) -> None:
        for equation in self.graph.equations:
            variables = [x for x in equation.variables if x not in self.numbers]
            slot = max((self.readable(x) for x in variables), default=0)
            for y in equation.outputs:
                self.slots[y] = slot

    def _inlines(self, x: Variable) -> bool:
        """Whether a value is made by operations that would be repeated where it is read."""
        x = self.source(x)
        return self.kind_of(x) == "point" and x not in self.cut

    def readable(self, x: Variable) -> int:
        """The first slot in which a value can be read."""
        if x in self.cut or self.kind_of(x) in ("reduce", "step"):
            return self.slots[x] + 1
        return self.slots.get(x, 0)

    # What is stored ---------------------------------------------------------------------------

    def source(self, x: Variable) -> Variable:
        """What a view is a view of, as far as it is not stored itself."""
        while self.kind_of(x) == "view" and x not in self.cut:
            (x,) = self.makers[x].inputs  # type: ignore[assignment]
        return x

    def _choose_stored(self) -> set[Variable]:
        stored = {*self.graph.inputs, *self.graph.constants, *self.cut}
        wanted = {self.source(y) for y in self.graph.outputs}
        latest: dict[Variable, int] = {}
        for equation in self.graph.equations:
            kind = self.kind(equation)
            for y in equation.outputs:
                if kind in ("reduce", "step"):
                    stored.add(y)
            for x in equation.variables:
                source = self.source(x)
                if kind == "step":
                    wanted.add(source)
                elif kind != "view":
                    slot = self.slots[equation.outputs[0]]
                    latest[source] = max(latest.get(source, 0), slot)
        self.stored = stored | wanted
        for equation in self.graph.equations:
            if self.kind(equation) != "point":
                continue
            y = equation.output
            if y not in self.stored and latest.get(y, 0) > self.slots[y] and not self._cheap(y):
                self.stored.add(y)
        return self.stored

    def _cheap(self, y: Variable) -> bool:
        ops, leaves = self.cost(y, self.slots[y] + 1)
        large = sum(x.aval.size >= y.aval.size for x in leaves)
        return ops <= CHEAP_OPS and large <= CHEAP_LEAVES

    def is_leaf(self, x: Variable, slot: int) -> bool:
        """Whether a loop of this slot reads x from memory."""
        if x not in self.stored:
            return False
        return x in self.cut or self.kind_of(x) != "point" or self.slots[x] < slot

    def cost(self, y: Variable, slot: int) -> tuple[int, frozenset[Variable]]:
        """Operations, and values in memory, that computing y in a slot takes."""
        known = self._costs.get((y, slot))
        if known is not None:
            return known
        ops, leaves = 0, set[Variable]()
        equation = self.makers[y]
        for x in equation.variables:
            if x in self.numbers:
                continue
            if self.is_leaf(x, slot):
                leaves.add(x)
            else:
                more, others = self.cost(x, slot)
                ops += more
                leaves |= others
        found = ops + (self.kind(equation) == "point"), frozenset(leaves)
        self._costs[y, slot] = found
        return found

    # Kernels ----------------------------------------------------------------------------------

    def _group(self) -> list[FusedKernel]:
        groups: dict[tuple, list[FusedKernel]] = {}
        for equation in self.graph.equations:
            kind = self.kind(equation)
            for y in equation.outputs:
                if y not in self.stored or kind == "step":
                    continue
                shape = y.aval.shape
                if kind == "reduce":
                    shape = equation.inputs[0].aval.shape  # type: ignore[union-attr]
                leaves = self.cost(y, self.slots[y])[1]
                some = groups.setdefault((self.slots[y], shape), [])
                kernel = next((k for k in some if self._joins(k, y, leaves)), None)
                if kernel is None:
                    some.append(kernel := FusedKernel(self.slots[y], shape))
                kernel.sinks.append(y)
                kernel.leaves |= leaves
        return [kernel for some in groups.values() for kernel in some]

    @staticmethod
    def _joins(kernel: FusedKernel, y: Variable, leaves: frozenset[Variable]) -> bool:
        if len(kernel.sinks) >= MOST_SINKS:
            return False
        size = 1
        for n in kernel.shape:
            size *= n
        if size <= SMALL:
            return len(kernel.leaves | leaves) <= 3 * MOST_SINKS
        return any(x.aval.size >= size for x in leaves & kernel.leaves)
