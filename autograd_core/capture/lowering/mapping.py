"""Cut a graph along a mapped axis: before it, one turn of it, and after it.

What `vmap` maps over, the tasks of a meta-batch say, is an axis of most values of the graph. Where
every operation treats its slices apart, the operations can be run slice by slice: one task's values
stay in the cache, little memory is needed for all of them, and threads share the tasks without
waiting for each other. The graph falls into three:

- `before`: what does not depend on the mapped axis;
- `turn`: the operations on one slice, run once for each; its results are slices of arrays, or are
  added up over all turns;
- `after`: what depends on those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograd_core.capture.graph import Equation, Graph, Variable, check, output_avals
from autograd_core.capture.lowering.points import code
from autograd_core.capture.passes import improved
from autograd_core.declare import Elementwise
from autograd_core.ops.structural import reshape_p
from autograd_core.primitive import Primitive
from autograd_core.tensor import Aval
from kernels.native.products import is_large


@dataclass
class Cut:
    """A graph in three parts. Inputs and outputs of the parts are paired with the variables of the
    whole graph that they are, or are slices of.

    Attributes:
        turns: how many turns there are.
        sliced: for inputs and outputs of `turn`, by position, the axis on which they are a slice;
            an output without one is added up.
    """

    before: Graph
    turn: Graph
    after: Graph
    turns: int
    turn_inputs: list[Variable]
    turn_outputs: list[Variable]
    in_axes: list[int | None]
    out_axes: list[int | None]


class Blocked(Exception):
    """An operation does not treat the slices apart."""


def cut(graph: Graph, native: Callable[[Equation], bool]) -> Cut | None:
    """The graph cut along the axis that the outermost `vmap` in it maps over; None without one.

    Args:
        native: whether an equation can be part of a turn.
    """
    if not graph.mapped:
        return None
    seeds = graph.mapped[0]
    turns = seeds[0].aval.shape[0]
    if turns < 2:
        return None
    cutter = _Cutter(graph, turns, dict.fromkeys(seeds, 0), native)
    return cutter.cut() if cutter.marks else None


def cut_batch(graph: Graph, native: Callable[[Equation], bool], threads: int) -> Cut | None:
    """The graph cut along axis 0 of arguments of equal length (a batch of examples), for threads to
    share; None where that leaves much of a large graph out."""
    total = sum(map(_multiplications, graph.equations))
    if graph.mapped or threads < 2 or total < WORTH_CUTTING:
        return None
    # A layer's weights may happen to have as many rows as there are examples.
    weights = {
        e.inputs[1]
        for e in graph.equations
        if (e.primitive.name, e.outputs[0].aval.ndim) in (("matmul", 2), ("conv", 5))
    }
    given = [x for x in (*graph.inputs, *graph.constants) if x.aval.ndim > 1 and x not in weights]
    best, share = None, LEAST_SHARE
    for n in sorted({x.aval.shape[0] for x in given}):
        turns = _turns_of(n, threads, 2 * total * SECONDS_PER_FLOP, len(graph.equations))
        if turns is None:
            continue
        axes = {x: 0 for x in given if x.aval.shape[0] == n}
        cutter = _Cutter(graph, turns, axes, native)
        late = {y for e in cutter.after for y in e.outputs}
        late |= {y for e in cutter.before for y in e.outputs}
        left = sum(_multiplications(e) for e in graph.equations if e.outputs[0] in late)
        if 1 - left / total > share:
            best, share = cutter, 1 - left / total
    return None if best is None else best.cut()


SECONDS_PER_FLOP, SECONDS_PER_BYTE, SECONDS_PER_STEP = 1e-11, 1e-11, 3e-8
"""Estimates: what is not worth a thread shall not get one."""
WORTH_CUTTING = 10**7
"""Multiplications, in products, of a graph that threads are to share."""
LEAST_SHARE = 0.7
"""Of them, in turns."""
LEAST_GAIN = 1.25


def _turns_of(n: int, threads: int, seconds: float, steps: int) -> int | None:
    """The number of turns, a divisor of n, that takes threads the least time; None where one of
    them would hardly take longer."""

    def cost(turns: int) -> float:
        return -(-turns // threads) * (seconds / turns + steps * SECONDS_PER_STEP)

    best = min((d for d in range(threads, n + 1) if n % d == 0), key=cost, default=None)
    return best if best and seconds > LEAST_GAIN * cost(best) else None


def _multiplications(equation: Equation) -> int:
    """In products: what takes most of the time of a large graph."""
    name, out = equation.primitive.name, equation.outputs[0].aval
    if name == "matmul":
        return out.size * equation.inputs[0].aval.shape[-1]
    if name in ("conv", "conv_input", "conv_weight"):
        x, y = (v.aval for v in equation.variables)
        sizes = sorted((x.size, y.size, out.size))
        return sizes[1] * sizes[2] // max(1, min(x.shape[-1], out.shape[-1]))
    return 0


@dataclass
class _Cutter:
    graph: Graph
    turns: int
    axes: dict[Variable, int]  # the mapped axis of seeds, and of what is made from them
    native: Callable[[Equation], bool]
    marks: dict[Variable, int] = field(default_factory=dict)  # the mapped axis of what a turn makes
    summed: set[Variable] = field(default_factory=set)
    inner: dict[Variable, Variable] = field(default_factory=dict)  # what stands for it in a turn
    equations: list[Equation] = field(default_factory=list)
    inputs: dict[tuple[Variable, int | None], Variable] = field(default_factory=dict)
    constants: dict[Variable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.makers = {y: e for e in self.graph.equations for y in e.outputs}
        self.late: set[Variable] = set()  # what depends on sums over turns, or is blocked
        self.before: list[Equation] = []
        self.after: list[Equation] = []
        for equation in self.graph.equations:
            self.sort(equation)

    def sort(self, equation: Equation) -> None:
        """Decide which part an equation belongs to."""
        variables = list(equation.variables)
        if equation.primitive.name == "after" and not self.moves(variables[0]):
            # What does not depend on the mapped axis is not computed in turns, so nothing is gained
            # by waiting for what does.
            (x, *_), params = equation.inputs, {"shape": equation.output.aval.shape}
            equation, variables = (
                equation._replace(primitive=reshape_p, inputs=(x,), params=params),
                [x],
            )
        if any(x in self.late or x in self.summed for x in variables):
            self.postpone(equation)
        elif not any(x in self.axes for x in variables):
            self.before.append(equation)
        else:
            try:
                self.turn(equation)
            except Blocked:
                self.postpone(equation)

    def moves(self, x: Variable) -> bool:
        """Whether a value is another one in each turn, or known after all turns only."""
        return x in self.axes or x in self.late or x in self.summed

    def postpone(self, equation: Equation) -> None:
        self.after.append(equation)
        self.late.update(equation.outputs)

    def turn(self, equation: Equation) -> None:
        """Make an equation part of a turn."""
        rule = RULES.get(equation.primitive.name)
        if rule is None and isinstance(equation.primitive, Elementwise):
            rule = _elementwise
        if rule is None or not self.native(equation):
            raise Blocked
        known, given = len(self.equations), len(self.inputs)
        try:
            inputs, axis, params = rule(self, equation)
        except Blocked:
            del self.equations[known:]
            while len(self.inputs) > given:
                self.inputs.popitem()
            raise
        self.note(equation.primitive, inputs, params, equation.outputs)
        axes = axis if isinstance(axis, list) else [axis] * len(equation.outputs)
        for y, each in zip(equation.outputs, axes, strict=True):
            if each is None:
                self.summed.add(y)
            else:
                self.axes[y] = each
            self.marks[y] = -1 if each is None else each

    def note(
        self, primitive: Primitive, inputs: Sequence, params: dict, outputs: Sequence[Variable]
    ) -> None:
        avals = output_avals(primitive, inputs, params)
        mine = tuple(Variable(aval) for aval in avals)
        self.equations.append(Equation(primitive, tuple(inputs), params, mine))
        self.inner.update(zip(outputs, mine, strict=True))

    # What rules ask for -----------------------------------------------------------------------

    def axis(self, x: Any) -> int | None:
        return self.axes.get(x) if x.__class__ is Variable else None

    def length(self, n: int) -> int:
        """The length in a turn of a mapped axis of length n."""
        return n // self.turns

    def whole(self, x: Any) -> Any:
        """An input that is the same in every turn."""
        if x.__class__ is not Variable:
            return x
        if x in self.axes:
            raise Blocked
        return self.given(x, None)

    def slice(self, x: Variable, axis: int) -> Variable:
        """An input's slice of a turn."""
        if x in self.marks:
            if self.axes[x] != axis:
                raise Blocked
            return self.inner[x]
        if x.aval.shape[axis] % self.turns:
            raise Blocked
        maker = self.makers.get(x)
        if maker is not None and maker.primitive.name == "broadcast":
            places = maker.params["axes"]
            if axis not in places:
                shape = self.shortened(x.aval.shape, axis)
                source = self.whole(maker.inputs[0])
                self.note(maker.primitive, [source], {"shape": shape, "axes": places}, [x])
                return self.inner.pop(x)
        return self.given(x, axis)

    def turned(self, x: Variable) -> Variable:
        """A matrix that is the same in every turn. Where it is another one the other way round, it
        is turned there, by who reads it, rather than copied before."""
        maker = self.makers.get(x)
        if maker is None or maker.primitive.name != "transpose":
            return self.whole(x)
        self.note(maker.primitive, [self.whole(maker.inputs[0])], maker.params, [x])
        return self.inner.pop(x)

    def given(self, x: Variable, axis: int | None) -> Variable:
        """A value from outside, or its slice."""
        value = self.graph.constants.get(x)
        if value is not None and value.size == 1:
            self.constants[x] = value
            return x
        known = self.inputs.get((x, axis))
        if known is None:
            shape = x.aval.shape if axis is None else self.shortened(x.aval.shape, axis)
            known = self.inputs[x, axis] = Variable(Aval(shape, x.aval.dtype))
        return known

    def shortened(self, shape: Sequence[int], axis: int) -> tuple[int, ...]:
        return tuple(n // self.turns if a == axis else n for a, n in enumerate(shape))

    # The parts --------------------------------------------------------------------------------

    def cut(self) -> Cut:
        self.put_off()
        wanted = {x for e in self.after for x in e.variables} | set(self.graph.outputs)
        outputs = [y for y in self.marks if y in wanted]
        turn = Graph(
            list(self.inputs.values()),
            self.equations,
            [self.inner[y] for y in outputs],
            self.constants,
        )
        outside = self.outside
        made = [y for e in self.before for y in e.outputs]
        before_outputs = [y for y in made if y in outside or y in wanted]
        before = self.part(self.before, list(self.graph.inputs), before_outputs)
        after_inputs = [y for y in (*made, *outputs) if y in wanted]
        after = self.part(self.after, [*self.graph.inputs, *after_inputs], self.graph.outputs)
        return Cut(
            before,
            turn,
            after,
            self.turns,
            [x for x, _ in self.inputs],
            outputs,
            [axis for _, axis in self.inputs],
            [None if y in self.summed else self.axes[y] for y in outputs],
        )

    @property
    def outside(self) -> set[Variable]:
        """What a turn takes from outside."""
        return {x for x, _ in self.inputs}

    def put_off(self) -> None:
        """Leave to the part after all turns what no turn needs: there it is fused with what reads
        it. Numbers made of numbers are ready before, so that nothing has to wait for them there.
        What nobody needs, since turns have it of their own, is left out."""
        early, late = self.outside, set(self.graph.outputs)
        made = {y for e in self.before for y in e.outputs}
        numbers = set[Variable]()
        for equation in self.before:
            if all(
                x.aval.size == 1 and (x in numbers or x not in made) for x in equation.variables
            ):
                numbers.update(y for y in equation.outputs if y.aval.size == 1)
        early |= numbers
        late.update(x for e in self.after for x in e.variables)
        before, put_off = list[Equation](), list[Equation]()
        for equation in reversed(self.before):
            for needed, found in ((early, before), (late, put_off)):
                if not needed.isdisjoint(equation.outputs):
                    needed.update(equation.variables)
                    found.append(equation)
                    break
        self.before, self.after = before[::-1], [*put_off[::-1], *self.after]

    def part(
        self, equations: list[Equation], inputs: list[Variable], outputs: Sequence[Variable]
    ) -> Graph:
        used = {x for e in equations for x in e.variables} | set(outputs)
        constants = {x: v for x, v in self.graph.constants.items() if x in used}
        return Graph(inputs, equations, list(outputs), constants)


# Rules ----------------------------------------------------------------------------------------
# A rule returns the inputs in a turn, the mapped axis of the output (None where it is summed over
# all turns), and the parameters in a turn; or it raises Blocked.

Found = tuple[list[Any], int | list[int | None] | None, dict]
RULES: dict[str, Callable[[_Cutter, Equation], Found]] = {}


def rule(*names: str) -> Callable:
    """Declare the rule of primitives."""

    def declared(function: Callable) -> Callable:
        RULES.update(dict.fromkeys(names, function))
        return function

    return declared


@rule("astype", "astype_integer", "stop_gradient")
def _elementwise(c: _Cutter, e: Equation) -> Found:
    rank = e.output.aval.ndim
    axes = {c.axes[x] + rank - x.aval.ndim for x in e.variables if x in c.axes}
    if len(axes) != 1:
        raise Blocked
    (axis,) = axes
    inputs = []
    for x in e.inputs:
        mine = axis - rank + x.aval.ndim if x.__class__ is Variable else -1
        if mine < 0 or x.aval.shape[mine] == 1:
            inputs.append(c.whole(x))
        else:
            inputs.append(c.slice(x, mine))
    return inputs, axis, e.params


@rule("after")
def _after(c: _Cutter, e: Equation) -> Found:
    x, y = e.inputs
    later = c.slice(y, c.axes[y]) if y in c.axes else c.whole(y)
    return [c.slice(x, c.axes[x]), later], c.axes[x], e.params


@rule("transpose")
def _transpose(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    return [c.slice(x, c.axes[x])], e.params["axes"].index(c.axes[x]), e.params


@rule("reshape")
def _reshape(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    axis, shape = c.axes[x], e.params["shape"]
    before = math.prod(x.aval.shape[:axis])
    for place, n in enumerate(shape):
        if math.prod(shape[:place]) == before and n % c.turns == 0 and n > 0:
            return [c.slice(x, axis)], place, {"shape": c.shortened(shape, place)}
    raise Blocked


@rule("broadcast")
def _broadcast(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    place = e.params["axes"][c.axes[x]]
    params = {"shape": c.shortened(e.params["shape"], place), "axes": e.params["axes"]}
    return [c.slice(x, c.axes[x])], place, params


@rule("slice")
def _slice(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    axis, key = c.axes[x], e.params["key"]
    n = x.aval.shape[axis]
    if key[axis] != (0, n, 1):
        raise Blocked
    short = tuple((0, c.length(n), 1) if a == axis else k for a, k in enumerate(key))
    place = axis - sum(isinstance(k, int) for k in key[:axis])
    return [c.slice(x, axis)], place, {"key": short}


@rule("embed")
def _embed(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    key, shape = e.params["key"], e.params["shape"]
    axis = [a for a, k in enumerate(key) if not isinstance(k, int)][c.axes[x]]
    n = shape[axis]
    if key[axis] != (0, n, 1):
        raise Blocked
    short = tuple((0, c.length(n), 1) if a == axis else k for a, k in enumerate(key))
    return [c.slice(x, c.axes[x])], axis, {"key": short, "shape": c.shortened(shape, axis)}


@rule("sum")
def _sum(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    axis, axes = c.axes[x], e.params["axes"]
    if axis in axes:
        if e.output.aval.dtype.kind != "f":
            raise Blocked
        return [c.slice(x, axis)], None, e.params
    return [c.slice(x, axis)], axis - sum(a < axis for a in axes), e.params


@rule("max", "min")
def _extremum(c: _Cutter, e: Equation) -> Found:
    (x,) = e.variables
    axis, axes = c.axes[x], e.params["axes"]
    if axis in axes:
        raise Blocked
    return [c.slice(x, axis)], axis - sum(a < axis for a in axes), e.params


@rule("matmul")
def _matmul(c: _Cutter, e: Equation) -> Found:
    x, y = e.inputs
    rank = e.output.aval.ndim
    fromright = {
        v: c.axes[v] - v.aval.ndim for v in (x, y) if v.__class__ is Variable and v in c.axes
    }
    stacked = {v: a for v, a in fromright.items() if a < -2}
    if stacked:
        if len(set(fromright.values())) != 1:
            raise Blocked
        (axis,) = set(fromright.values())
        inputs = []
        for v in (x, y):
            mine = axis + v.aval.ndim
            inputs.append(c.whole(v) if mine < 0 or v.aval.shape[mine] == 1 else c.slice(v, mine))
        return inputs, axis + rank, e.params
    if fromright == {x: -2}:
        left = c.slice(x, c.axes[x])
        (m, _), (k, n) = left.aval.shape[-2:], y.aval.shape[-2:]
        reads_often = is_large(m, n, k, code(y.aval.dtype))
        right = c.turned(y) if reads_often else c.whole(y)
        return [left, right], rank - 2, e.params
    if fromright == {y: -1}:
        return [c.whole(x), c.slice(y, c.axes[y])], rank - 1, e.params
    if fromright.get(x) == -1 or fromright.get(y) == -2:
        return [c.slice(x, x.aval.ndim - 1), c.slice(y, y.aval.ndim - 2)], None, e.params
    raise Blocked


def _product_rule(places: dict[tuple[int | None, int | None], int | None]) -> Callable:
    """For products of two arrays: the axis of the result for those of the arguments."""

    def found(c: _Cutter, e: Equation) -> Found:
        x, y = e.inputs
        axes = c.axis(x), c.axis(y)
        for (a, b), out in places.items():
            given = [v for v in axes if v is not None]
            fits = all(m in (w, None) for m, w in zip(axes, (a, b), strict=True))
            if (
                not fits
                or not given
                or any(m is not None and w is None for m, w in zip(axes, (a, b), strict=True))
            ):
                continue
            inputs = [c.whole(v) if w is None else c.slice(v, w) for v, w in ((x, a), (y, b))]
            return inputs, out, e.params
        raise Blocked

    return found


RULES["conv"] = _product_rule({(1, None): 1, (None, 4): 4, (0, 0): 0})
RULES["conv_input"] = _product_rule({(1, None): 1, (None, 3): 4, (0, 0): 0, (4, 4): None})
RULES["conv_weight"] = _product_rule({(1, 1): None, (4, None): 3, (None, 4): 4, (0, 0): 0})


@rule("concatenate")
def _concatenate(c: _Cutter, e: Equation) -> Found:
    axes = {c.axes[x] for x in e.variables if x in c.axes}
    if len(axes) > 1 or e.params["axis"] in axes:
        raise Blocked
    (axis,) = axes
    return [c.slice(x, axis) for x in e.variables], axis, e.params


@rule("scan")
def _scan(c: _Cutter, e: Equation) -> Found:
    """The body is cut too: what is carried has to be mapped on the same axis after a step as before
    it, and nothing may be added up over the mapped axis inside."""
    params, graph = e.params, improved(e.params["graph"])
    first, second = params["outside"], params["outside"] + params["carried"]
    axes: dict[Variable, int] = {}
    for k, (x, v) in enumerate(zip(e.inputs, graph.inputs, strict=True)):
        axis = c.axes.get(x)
        if axis is None and first <= k < second:
            axis = _spread_axis(c, x)
        if axis is not None:
            if k >= second and axis == 0:  # the steps themselves are mapped
                raise Blocked
            axes[v] = axis - (k >= second)
    inside = _Cutter(graph, c.turns, dict(axes), c.native)
    if inside.late or inside.summed or not all(y in inside.axes for y in graph.outputs):
        raise Blocked
    for v, y in zip(graph.inputs[first:second], graph.outputs, strict=False):
        if axes.get(v) != inside.axes[y]:
            raise Blocked
    body = _turn_of_body(inside, axes)
    inputs = [
        c.whole(x) if v not in axes else c.slice(x, axes[v] + (k >= second))
        for k, (x, v) in enumerate(zip(e.inputs, graph.inputs, strict=True))
    ]
    carried = params["carried"]
    out = [inside.axes[y] + (k >= carried) for k, y in enumerate(graph.outputs)]
    return inputs, out, {**params, "graph": body}


def _spread_axis(c: _Cutter, x: Variable) -> int | None:
    """The mapped axis of what is the same along it: 0, where the value was repeated for `vmap`."""
    maker = c.makers.get(x)
    repeated = maker is not None and maker.primitive.name == "broadcast"
    if repeated and x.aval.shape[:1] == (c.turns,) and 0 not in maker.params["axes"]:  # type: ignore[union-attr]
        return 0
    return None


def _turn_of_body(inside: _Cutter, axes: dict[Variable, int]) -> Graph:
    """One turn of a body: with all its inputs, and with what does not depend on the axis."""
    given = set(inside.graph.inputs)
    stands: dict[Variable, Variable] = {}  # for what the turn calls its inputs
    for (x, axis), v in inside.inputs.items():
        if axis is None:
            stands[v] = x
        elif x not in given or axes.get(x) != axis:
            raise Blocked
    sliced = {x: v for (x, axis), v in inside.inputs.items() if axis is not None}

    def entering(x: Variable) -> Variable:
        if x not in axes:
            return x
        shape = inside.shortened(x.aval.shape, axes[x])
        return sliced.get(x) or Variable(Aval(shape, x.aval.dtype))

    def renamed(x: Any) -> Any:
        return stands.get(x, x) if x.__class__ is Variable else x

    turn = [e._replace(inputs=tuple(map(renamed, e.inputs))) for e in inside.equations]
    entered = {x: entering(x) for x in inside.graph.inputs}
    return check(
        Graph(
            list(entered.values()),
            [*inside.before, *turn],
            [entered[y] if y in entered else inside.inner[y] for y in inside.graph.outputs],
            {**inside.graph.constants},
        )
    )
