"""`Domain`: the numbers that a function takes, told by a condition such as "x>0" or "0<x<1".

    domain("abs(x)<2 and x!=0").contains([-1.0, 0.0, 3.0])  # True, False, False

A condition compares one variable, or its absolute value, with numbers; `and`, `or` and `not` join
conditions. So a domain is a union of intervals, and whatever is none is refused.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from autograd_core.testing.draw import Shape, apart, free_cells

REACH = 3.0
"""How far from 0, or from its only end, numbers of an unbounded domain are drawn."""
FARTHEST = 1e300
"""No number beyond this is drawn, so that sums of some do not overflow."""
SIMPLE = (1.0, 2.0, 0.5, 3.0, -1.0, -2.0, -0.5, 1.5, 0.25, -3.0)
"""Numbers that are easy to think about, simplest first."""
FINENESS = 100
"""At least about so many numbers between the ends of an interval are drawn from, so the nearest to
an end is at most a hundredth of the interval away from it."""
CONSTANTS = {"pi": math.pi, "e": math.e}
EXAMPLES = "'x>0', '0<x<1', 'x!=0', 'abs(x)<2', 'x<0 or x>=1' or 'any'"


# Sets of numbers ------------------------------------------------------------------------------


class Interval(NamedTuple):
    """The numbers between two ends, each of which is among them or not."""

    low: float
    high: float
    has_low: bool = False
    has_high: bool = False

    @property
    def is_empty(self) -> bool:
        is_point = self.low == self.high and self.has_low and self.has_high
        return not (self.low < self.high or is_point)

    def contains(self, x: Any) -> Any:
        above = x >= self.low if self.has_low else x > self.low
        below = x <= self.high if self.has_high else x < self.high
        return above & below

    def reached(self) -> Interval:
        """The part from which numbers are drawn: it has two ends that are finite."""
        low, high = self.low, self.high
        if math.isinf(low) and math.isinf(high):
            low, high = -REACH, REACH
        elif math.isinf(low):
            low = min(-REACH, high - max(REACH, abs(high)))
        elif math.isinf(high):
            high = max(REACH, low + max(REACH, abs(low)))
        part = Interval(max(low, -FARTHEST), min(high, FARTHEST), True, True)
        return _common(part, self)


Intervals: TypeAlias = tuple[Interval, ...]
"""Intervals in ascending order, no two of which have a number in common."""

EVERYTHING: Intervals = (Interval(-math.inf, math.inf),)
MANAGEABLE = Interval(-1e12, 1e12)
"""Between these, float64 tells multiples of ½ from other numbers."""
NOT_NEGATIVE: Intervals = (Interval(0.0, math.inf, has_low=True),)


def _common(a: Interval, b: Interval) -> Interval:
    low, high = max(a.low, b.low), min(a.high, b.high)
    has_low = all(each.has_low for each in (a, b) if each.low == low)
    has_high = all(each.has_high for each in (a, b) if each.high == high)
    return Interval(low, high, has_low, has_high)


def _both(some: Intervals, others: Intervals) -> Intervals:
    common = [_common(a, b) for a in some for b in others]
    return tuple(each for each in common if not each.is_empty)


def _neither(some: Intervals) -> Intervals:
    """All numbers that are in none of the intervals."""
    gaps = []
    end, has_end = -math.inf, False
    for each in some:
        gaps.append(Interval(end, each.low, has_end, not each.has_low and math.isfinite(each.low)))
        end, has_end = each.high, not each.has_high and math.isfinite(each.high)
    gaps.append(Interval(end, math.inf, has_end))
    return tuple(gap for gap in gaps if not gap.is_empty)


def _either(some: Intervals, others: Intervals) -> Intervals:
    return _neither(_both(_neither(some), _neither(others)))


def _mirrored(some: Intervals) -> Intervals:
    return tuple(Interval(-x.high, -x.low, x.has_high, x.has_low) for x in reversed(some))


# From text to sets ----------------------------------------------------------------------------


class Variable(NamedTuple):
    """The variable of a condition, or its absolute value, as one side of a comparison."""

    name: str
    is_absolute: bool = False


COMPARISONS: dict[type, Callable[[float], Intervals]] = {
    ast.Lt: lambda c: (Interval(-math.inf, c),),
    ast.LtE: lambda c: (Interval(-math.inf, c, has_high=True),),
    ast.Gt: lambda c: (Interval(c, math.inf),),
    ast.GtE: lambda c: (Interval(c, math.inf, has_low=True),),
    ast.Eq: lambda c: (Interval(c, c, True, True),),
    ast.NotEq: lambda c: (Interval(-math.inf, c), Interval(c, math.inf)),
}
FLIPPED: dict[type, type] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


class Reader:
    """Reads a condition's syntax tree; nothing of it is ever run.

    Attributes:
        names: of the variables that were met.
    """

    def __init__(self, text: str):
        self.text = text
        self.names: list[str] = []

    def read(self) -> Intervals:
        """The numbers that meet the condition."""
        try:
            tree = ast.parse(self.text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self.error(f"a condition such as {EXAMPLES}") from None
        found = self.condition(tree.body)
        if len(set(self.names)) > 1:
            raise self.error("one variable", " and ".join(sorted(set(self.names))))
        if not found:
            raise self.error("a condition that some number meets")
        return found

    def condition(self, node: ast.expr) -> Intervals:
        if isinstance(node, ast.BoolOp):
            join = _both if isinstance(node.op, ast.And) else _either
            return functools.reduce(join, map(self.condition, node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _neither(self.condition(node.operand))
        if isinstance(node, ast.Compare):
            sides = [self.side(side) for side in (node.left, *node.comparators)]
            pairs = zip(sides[:-1], node.ops, sides[1:], strict=True)
            return functools.reduce(_both, (self.comparison(*pair) for pair in pairs))
        if isinstance(node, ast.Name) and node.id == "any":
            return EVERYTHING
        raise self.error(f"a condition such as {EXAMPLES}", ast.unparse(node))

    def comparison(self, left: Any, op: ast.cmpop, right: Any) -> Intervals:
        kind = type(op)
        if isinstance(right, Variable):
            left, right, kind = right, left, FLIPPED.get(kind, kind)
        if not isinstance(left, Variable) or isinstance(right, Variable):
            raise self.error("comparisons of a variable, or its absolute value, with a number")
        if kind not in COMPARISONS:
            raise self.error("comparisons by <, <=, >, >=, == or !=")
        found = COMPARISONS[kind](right)
        if not left.is_absolute:
            return found
        found = _both(found, NOT_NEGATIVE)
        return _either(found, _mirrored(found))

    def side(self, node: ast.expr) -> Variable | float:
        """What is compared: a variable, its absolute value, or a number."""
        match node:
            case ast.Name(name) if name not in CONSTANTS:
                found = Variable(name)
            case ast.Call(func=ast.Name("abs"), args=[ast.Name(name)], keywords=[]) if (
                name not in CONSTANTS
            ):
                found = Variable(name, is_absolute=True)
            case _:
                return self.number(node, node)
        self.names.append(found.name)
        return found

    def number(self, node: ast.expr, side: ast.expr) -> float:
        """The number that a part of a side stands for."""
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self.finite(lambda: float(value), side)
            case ast.Name(name) if name in CONSTANTS:
                return CONSTANTS[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.number(operand, side)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.number(operand, side)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                a, b = self.number(left, side), self.number(right, side)
                return self.finite(lambda: ARITHMETIC[type(op)](a, b), side)
        raise self.error("a variable, abs(variable) or a number", ast.unparse(side))

    def finite(self, compute: Callable[[], float], side: ast.expr) -> float:
        try:
            value = compute()
        except ArithmeticError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error("a finite number", ast.unparse(side))
        return value

    def error(self, expected: str, got: str = "") -> ValueError:
        return ValueError(f"domain {self.text!r}: expected {expected}" + (got and f", got {got!r}"))


# Domains --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Domain:
    """The numbers that meet a condition; `domain` makes one from text.

    Attributes:
        text: the condition.
        name: of its variable.
        intervals: that it consists of, in ascending order.
    """

    text: str
    name: str
    intervals: Intervals

    def __repr__(self) -> str:
        return f"domain({self.text!r})"

    def contains(self, values: Any) -> np.ndarray:
        """Whether each entry of an array meets the condition: a boolean array of its shape.

        Entries are compared in float64, whatever their dtype, and NaN meets no condition.
        """
        x = np.asarray(values, np.float64)
        return np.any([each.contains(x) for each in self.intervals], axis=0)

    def choices(self, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the domain to choose from: a few simple ones, and many more.

        Both are read-only arrays of the dtype, floating point or integer, simplest number first.
        Among both are those next to the domain's ends, or the ends where they belong to it.

        Raises:
            ValueError: the domain has no number of that dtype that could be drawn.
        """
        return _choices(self, np.dtype(dtype))

    def separated(self, count: int) -> np.ndarray:
        """At least `count` float64 numbers of the domain, simple ones first, that differ from each
        other and from the multiples of ½ by a margin.

        Raises:
            ValueError: the domain has too few numbers for that.
        """
        found = []
        for each in self._wide():
            middles, width = free_cells(count, each.low, each.high, np.zeros(0))
            found.append(np.round(middles, math.ceil(-math.log10(0.2 * width))))
        return np.array(sorted(np.concatenate(found).tolist(), key=_length))

    def fill(
        self,
        rng: np.random.Generator,
        shape: Shape = (),
        dtype: Any = np.float64,
        separated: bool = False,
    ) -> np.ndarray:
        """An array of the shape and dtype, drawn from a NumPy generator.

        Args:
            rng: the generator.
            shape: the array's.
            dtype: floating point or integer.
            separated: entries differ from each other and from the multiples of ½ by a margin that
                shrinks with their number. This needs a floating-point dtype.

        Raises:
            ValueError: the domain has too few numbers of that dtype.
        """
        if separated:
            return self._apart(rng, math.prod(shape)).reshape(shape).astype(dtype)
        simple, fine = self.choices(dtype)
        is_simple = rng.random(shape) < 0.25
        return np.where(is_simple, rng.choice(simple, shape), rng.choice(fine, shape))

    def _apart(self, rng: np.random.Generator, count: int) -> np.ndarray:
        parts = self._wide()
        widths = np.array([each.high - each.low for each in parts])
        counts = rng.multinomial(count, widths / widths.sum())
        drawn = [
            apart(rng, n, each.low, each.high, np.zeros(0))
            for n, each in zip(counts, parts, strict=True)
        ]
        return rng.permutation(np.concatenate(drawn))

    def _wide(self) -> list[Interval]:
        """The intervals, as far as numbers are drawn from them, that hold many."""
        parts = [_common(each.reached(), MANAGEABLE) for each in self.intervals]
        wide = [x for x in parts if x.high - x.low > 1e-6 * max(abs(x.low), abs(x.high), 1e-90)]
        if not wide:
            raise ValueError(f"domain {self.text!r}: expected an interval of many numbers")
        return wide


def domain(given: Any = None) -> Domain:
    """The domain that is meant.

    Args:
        given: a condition on one variable such as "x>0", "0<x<1", "-1<=x<=1", "x!=0", "abs(x)<2",
            "x>0 and x!=1", "x<0 or x>=1" or "any"; a pair (low, high) of numbers, both included; a
            domain; or None, the numbers from -3 to 3.

    Raises:
        ValueError: the text is no such condition, or no number meets it; the message says what was
            expected.
        TypeError: it is none of these.
    """
    if isinstance(given, Domain):
        return given
    if given is None:
        given = (-REACH, REACH)
    if isinstance(given, str):
        reader = Reader(given)
        intervals = reader.read()
        return Domain(given, (*reader.names, "x")[0], intervals)
    if isinstance(given, tuple | list) and len(given) == 2:
        low, high = map(float, given)
        whole = Interval(low, high, math.isfinite(low), math.isfinite(high))
        if whole.is_empty:
            raise ValueError(f"domain {given!r}: expected a pair (low, high) with low <= high")
        return Domain(f"{low!r}<=x<={high!r}", "x", (whole,))
    raise TypeError(f"domain: expected a condition, a pair (low, high) or a Domain, got {given!r}")


# Numbers of a domain --------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _choices(of: Domain, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    parts = [each.reached() for each in of.intervals]
    parts = [each for each in parts if not each.is_empty]
    round_ones = [x for each in parts for x in _roundest(each)]
    ends = [x for each in parts for x in _ends(each, dtype)]
    between = [x for each in parts for x in _multiples(each, 1, _exponent(each, dtype))]
    simple = [*SIMPLE, *round_ones, *ends, 0.0]
    simple = [x for x in simple if any(each.contains(x) for each in parts)]
    many = [*simple, *sorted([*ends, *between], key=_length)]
    found = _cast(of, dtype, simple), _cast(of, dtype, many)
    if not all(x.size for x in found):
        raise ValueError(f"domain {of.text!r}: expected one with numbers of dtype {dtype} to draw")
    return found


def _cast(of: Domain, dtype: np.dtype, numbers: list[float]) -> np.ndarray:
    """Numbers as those of a dtype, each once; without those that it cannot hold."""
    values = np.array(numbers, np.float64)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        is_held = (limits.min <= values) & (values <= limits.max) & (values == np.rint(values))
        values = values[is_held]
    with np.errstate(over="ignore"):
        cast = np.array(list(dict.fromkeys(values.astype(dtype).tolist())), dtype)
    cast = cast[of.contains(cast) & np.isfinite(cast)]
    cast.flags.writeable = False
    return cast


def _exponent(part: Interval, dtype: np.dtype) -> int:
    """Of the power of ten that is the step between the numbers that are drawn."""
    width = part.high - part.low
    exponent = math.floor(math.log10(width / FINENESS)) if width else 0
    return max(exponent, 0) if dtype.kind != "f" else exponent


def _multiples(part: Interval, digit: int, exponent: int) -> list[float]:
    """The multiples of digit · 10^exponent in an interval, as exact as decimals can be."""
    if exponent < -300:  # such decimals are no longer exact
        return []
    step = digit * 10.0**exponent
    k = np.arange(math.ceil(part.low / step), math.floor(part.high / step) + 1, dtype=np.float64)
    found = k * digit / 10.0**-exponent if exponent < 0 else k * step
    return found[part.contains(found)].tolist()


def _roundest(part: Interval) -> list[float]:
    """The numbers but 0 in an interval with the fewest digits, small ones first."""
    width = part.high - part.low
    start = math.ceil(math.log10(width)) if width else 0
    for exponent in range(start, start - 3, -1):
        for digit, less in ((1, 0), (5, 1)):
            found = [x for x in _multiples(part, digit, exponent - less) if x]
            if found:
                return sorted(found, key=abs)
    return [part.low + width / 2]


def _ends(part: Interval, dtype: np.dtype) -> list[float]:
    """The ends of an interval, or round numbers next to them where they do not belong to it."""
    exponent = _exponent(part, dtype)
    step = 10.0**exponent
    low = part.low if part.has_low else round(part.low + step, -exponent)
    high = part.high if part.has_high else round(part.high - step, -exponent)
    return [low, high]


def _length(x: float) -> tuple[int, float, bool]:
    """Sorts decimals: those with few digits first, then small ones."""
    return len(repr(abs(x))), abs(x), x < 0
