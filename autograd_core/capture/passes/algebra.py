"""Algebra: what adds nothing, and what undoes itself.

Differentiation leaves much of it: zeros that are added, ones that are multiplied, transposes of
transposes, broadcasts that are summed again. A rule for a primitive is given the equation and
returns the variable that stands for its output, or None where it has nothing to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autograd_core.capture.graph import Equation, Graph, Variable
from autograd_core.capture.passes.rewrite import Rewriter
from autograd_core.ops.arithmetic import add, multiply, subtract
from autograd_core.ops.structural import broadcast_p, reshape_p, sum_p, transpose_p

Rule = Callable[[Rewriter, Equation], Variable | None]
RULES: dict[str, list[Rule]] = {}


def simplify(graph: Graph) -> Graph:
    """The graph after all rules."""
    simplifier = _Simplifier(graph)
    for old in graph.equations:
        equation = simplifier.updated(old)
        found = simplifier.by_rule(equation)
        if found is None:
            simplifier.keep(equation)
        else:
            simplifier.become(equation.output, found)
    return simplifier.graph()


class _Simplifier(Rewriter):
    """What rules apply is simplified too."""

    def by_rule(self, equation: Equation) -> Variable | None:
        for rule in RULES.get(equation.primitive.name, ()):
            found = rule(self, equation)
            if found is not None:
                return found
        return None

    def append(self, equation: Equation) -> Variable:
        found = self.by_rule(equation)
        return super().append(equation) if found is None else found


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare a rule for primitives of these names."""

    def declared(function: Rule) -> Rule:
        for name in names:
            RULES.setdefault(name, []).append(function)
        return function

    return declared


def number_of(rewriter: Rewriter, x: Any) -> float | int | bool | None:
    """The number that x is, or repeats everywhere."""
    if x.__class__ is not Variable:
        return x
    value = rewriter.constants.get(x)
    if value is not None:
        return value.value.item() if value.interpreter is None and value.size == 1 else None
    equation = rewriter.maker(x, "broadcast", "reshape", "transpose")
    return None if equation is None else number_of(rewriter, equation.inputs[0])


def _same(equation: Equation, x: Any) -> Variable | None:
    """x, if it has the shape and dtype of the equation's output."""
    return x if x.__class__ is Variable and x.aval == equation.output.aval else None


# Numbers that change nothing ------------------------------------------------------------------


@rule("add")
def _add_zero(rewriter: Rewriter, equation: Equation) -> Variable | None:
    x, y = equation.inputs
    if number_of(rewriter, y) == 0:
        return _same(equation, x)
    return _same(equation, y) if number_of(rewriter, x) == 0 else None


@rule("subtract")
def _subtract_zero(rewriter: Rewriter, equation: Equation) -> Variable | None:
    x, y = equation.inputs
    return _same(equation, x) if number_of(rewriter, y) == 0 else None


@rule("multiply")
def _multiply_by_one(rewriter: Rewriter, equation: Equation) -> Variable | None:
    x, y = equation.inputs
    if number_of(rewriter, y) == 1:
        return _same(equation, x)
    return _same(equation, y) if number_of(rewriter, x) == 1 else None


@rule("divide", "power")
def _divide_by_one(rewriter: Rewriter, equation: Equation) -> Variable | None:
    x, y = equation.inputs
    return _same(equation, x) if number_of(rewriter, y) == 1 else None


# Signs ----------------------------------------------------------------------------------------


@rule("negative")
def _negate_twice(rewriter: Rewriter, equation: Equation) -> Variable | None:
    inner = rewriter.maker(equation.inputs[0], "negative")
    return None if inner is None else _same(equation, inner.inputs[0])


@rule("add", "subtract")
def _add_negated(rewriter: Rewriter, equation: Equation) -> Variable | None:
    x, y = equation.inputs
    negated = rewriter.maker(y, "negative")
    # Of another dtype, -y may have wrapped around before it was converted.
    if negated is None or negated.output.aval.dtype != equation.output.aval.dtype:
        return None
    other = subtract if equation.primitive.name == "add" else add
    return rewriter.apply(other.primitive, x, negated.inputs[0])  # type: ignore[attr-defined]


# Shapes ---------------------------------------------------------------------------------------


@rule("reshape", "astype", "astype_integer", "stop_gradient")
def _nothing_to_do(_rewriter: Rewriter, equation: Equation) -> Variable | None:
    return _same(equation, equation.inputs[0])


@rule("reshape")
def _reshape_twice(rewriter: Rewriter, equation: Equation) -> Variable | None:
    inner = rewriter.maker(equation.inputs[0], "reshape")
    if inner is None:
        return None
    (x,) = inner.inputs
    return _same(equation, x) or rewriter.apply(reshape_p, x, **equation.params)


@rule("transpose")
def _transpose_twice(rewriter: Rewriter, equation: Equation) -> Variable | None:
    axes = equation.params["axes"]
    if axes == tuple(range(len(axes))):
        return equation.inputs[0]
    inner = rewriter.maker(equation.inputs[0], "transpose")
    if inner is None:
        return None
    both = tuple(inner.params["axes"][a] for a in axes)
    if both == tuple(range(len(both))):
        return inner.inputs[0]
    return rewriter.apply(transpose_p, inner.inputs[0], axes=both)


@rule("transpose")
def _transpose_of_product(rewriter: Rewriter, equation: Equation) -> Variable | None:
    """(x·y)ᵀ = yᵀ·xᵀ: BLAS reads transposed operands as they are; a result is stored as wanted."""
    inner = rewriter.maker(equation.inputs[0], "matmul")
    *stack, row, column = equation.params["axes"]
    if inner is None or stack != list(range(len(stack))) or row < column:
        return None
    if rewriter.uses[inner.output] != 1:  # not twice the work, nor for one made by another rule
        return None
    ranks = [z.aval.ndim for z in inner.variables]  # of a stack of products and a single matrix
    swapped = [(*range(rank - 2), rank - 1, rank - 2) for rank in ranks]
    x, y = (
        rewriter.apply(transpose_p, z, axes=axes)
        for z, axes in zip(inner.inputs, swapped, strict=True)
    )
    return rewriter.apply(inner.primitive, y, x)


@rule("broadcast")
def _broadcast_twice(rewriter: Rewriter, equation: Equation) -> Variable | None:
    axes = equation.params["axes"]
    same = _same(equation, equation.inputs[0])
    if same is not None and axes == tuple(range(len(axes))):
        return same
    inner = rewriter.maker(equation.inputs[0], "broadcast")
    if inner is None:
        return None
    both = tuple(axes[a] for a in inner.params["axes"])
    return rewriter.apply(broadcast_p, inner.inputs[0], shape=equation.output.aval.shape, axes=both)


@rule("reshape", "transpose")
def _repeated_number(rewriter: Rewriter, equation: Equation) -> Variable | None:
    """A number repeated in one shape is the same number repeated in another."""
    inner = rewriter.maker(equation.inputs[0], "broadcast")
    if inner is None or inner.inputs[0].aval.shape != ():
        return None
    return rewriter.apply(broadcast_p, inner.inputs[0], shape=equation.output.aval.shape, axes=())


@rule("sum")
def _sum_of_repeated(rewriter: Rewriter, equation: Equation) -> Variable | None:
    """What was repeated along an axis is multiplied by its length instead of being summed."""
    inner = rewriter.maker(equation.inputs[0], "broadcast")
    axes, kind = equation.params["axes"], equation.output.aval.dtype.kind
    if inner is None or kind != "f":
        return None
    (x,) = inner.inputs
    places = inner.params["axes"]  # of x's axes in what is summed
    repeated = [a for a in axes if a not in places]
    if not repeated:
        return None
    count = math.prod(equation.inputs[0].aval.shape[a] for a in repeated)
    if count == 0:  # 0 · ∞ is no sum of nothing
        return None
    rest = tuple(i for i, place in enumerate(places) if place in axes)
    summed = rewriter.apply(sum_p, x, axes=rest) if rest else x
    kept = [a for a in range(len(equation.inputs[0].aval.shape)) if a not in axes]
    stays = tuple(kept.index(place) for place in places if place not in axes)
    times = rewriter.apply(multiply.primitive, summed, float(count))  # type: ignore[attr-defined]
    if times.aval == equation.output.aval:
        return times
    return rewriter.apply(broadcast_p, times, shape=equation.output.aval.shape, axes=stays)


@rule("sum")
def _sum_of_one(rewriter: Rewriter, equation: Equation) -> Variable | None:
    """Axes of length 1 are dropped."""
    (x,) = equation.inputs
    if any(x.aval.shape[a] != 1 for a in equation.params["axes"]):
        return None
    if x.aval.dtype != equation.output.aval.dtype:
        return None
    return rewriter.apply(reshape_p, x, shape=equation.output.aval.shape)


@rule("sum")
def _sum_twice(rewriter: Rewriter, equation: Equation) -> Variable | None:
    inner = rewriter.maker(equation.inputs[0], "sum")
    if inner is None:
        return None
    (x,) = inner.inputs
    stay = [a for a in range(len(x.aval.shape)) if a not in inner.params["axes"]]
    both = tuple(sorted((*inner.params["axes"], *(stay[a] for a in equation.params["axes"]))))
    return rewriter.apply(sum_p, x, axes=both)


@rule("select")
def _select_of_one(_rewriter: Rewriter, equation: Equation) -> Variable | None:
    _, x, y = equation.inputs
    return _same(equation, x) if x is y else None
