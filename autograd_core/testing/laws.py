"""The laws of a primitive: what must hold between its kernel and its rules, whatever it computes.

Each law is a function of a `Case` (a primitive with drawn arguments) that raises `LawViolation`
where it does not hold. The numbers a rule must reproduce come from the primitive's kernel: by
differences for derivatives, by a loop of calls for batches.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.errors import RuleError
from autograd_core.primitive import DROP, KEEP, LIKE, Primitive, bind, new_level, no_rule
from autograd_core.reverse import Reverse, keep_plan
from autograd_core.tensor import Aval, Tensor, asarray, aval_of
from autograd_core.testing.draw import Draw, draw_siblings
from autograd_core.testing.numeric import (
    EPS,
    Arrays,
    LawViolation,
    direction,
    directional,
    largest,
    require_close,
    step_at,
)

BATCH = 3
EXACT = 2.0**14 * EPS
"""How far, relative to the scale of its terms, two ways to compute one thing may drift apart."""
EPS32 = float(np.finfo(np.float32).eps)
SINGLE = 2.0**9 * EPS32
"""The same between float32 and float64, relative to the scale of results and sensitivities."""

Function = Callable[..., tuple]  # tensors in, a tuple of floating tensors out
Law = Callable[["Case"], None]


# Cases ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A primitive, arguments and parameters from its domain, and arguments of the same shapes."""

    primitive: Primitive
    calls: tuple[tuple[np.ndarray, ...], ...]
    params: dict[str, Any]
    seed: int

    @property
    def args(self) -> tuple[np.ndarray, ...]:
        return self.calls[0]

    @property
    def arity(self) -> int:
        return len(self.args)

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def floats(self) -> tuple[int, ...]:
        """Which arguments are floating point."""
        return tuple(i for i, x in enumerate(self.args) if x.dtype.kind == "f")

    @cached_property
    def pulled(self) -> tuple[int, ...]:
        """Which arguments have a vjp rule."""
        return self._ruled(self.primitive.vjps)

    @cached_property
    def pushed(self) -> tuple[int, ...]:
        """Which arguments have a jvp rule."""
        return self._ruled(self.primitive.jvps)

    def _ruled(self, rules: Sequence) -> tuple[int, ...]:
        if not self.primitive.differentiable:
            return ()
        return tuple(i for i in self.floats if not isinstance(rules[i], no_rule))

    def apply(self, args: Sequence[Any]) -> tuple[Tensor, ...]:
        """All outputs for some arguments, as a tuple."""
        tensors = [asarray(x) for x in args]
        out = bind(self.primitive, tensors, self.params)
        return out if self.primitive.multiple else (out,)

    def function(self, places: Sequence[int], args: Sequence[Any] | None = None) -> Function:
        """The floating outputs as a function of the arguments at `places`."""
        fixed = self.args if args is None else args

        def f(*xs: Any) -> tuple[Tensor, ...]:
            full = list(fixed)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            return tuple(y for y in self.apply(full) if y.dtype.kind == "f")

        return f

    def at(self, places: Sequence[int]) -> list[np.ndarray]:
        return [self.args[i] for i in places]

    def with_args(self, args: Sequence[np.ndarray]) -> Case:
        """The same case with other values, alone."""
        return Case(self.primitive, (tuple(args),), self.params, self.seed)

    @cached_property
    def step(self) -> float:
        return step_at(self.at(self.floats))


def draw_case(primitive: Primitive, draw: Draw) -> Case:
    """A case from the primitive's domain."""
    if primitive.domain is None:
        raise LawViolation(f"{primitive.name} has no domain, so that no law can be checked on it")
    calls, params = draw_siblings(primitive.domain, draw, BATCH)
    return Case(primitive, tuple(calls), params, draw.seed())


@contextmanager
def _law(case: Case, law: str) -> Iterator[None]:
    """Name the law and the case in whatever goes wrong."""
    try:
        yield
    except Exception as error:
        given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in case.args)
        options = "".join(f", {k}={v!r}" for k, v in case.params.items())
        kind = "" if isinstance(error, LawViolation) else f"{type(error).__name__}: "
        raise LawViolation(
            f"{case.primitive.name}({given}{options}): {law}: {kind}{error}"
        ) from (None if isinstance(error, LawViolation) else error)


# Small tools ----------------------------------------------------------------------------------


def numbers(tensors: Sequence[Any]) -> list[np.ndarray]:
    """The values of tensors, as arrays that later calls cannot change."""
    return [np.array(x.data if x.__class__ is Tensor else x) for x in tensors]


def pullback(f: Function, count: int) -> Function:
    """The function (cotangents of the `count` outputs of f, arguments) -> cotangents of those."""

    def pulled(*both: Any) -> tuple:
        return transforms.vjp(f, *both[count:])[1](tuple(both[:count]))

    return pulled


def pushforward(f: Function, count: int) -> Function:
    """The function (tangents of the `count` arguments of f, arguments) -> tangents of outputs."""

    def pushed(*both: Any) -> tuple:
        return transforms.jvp(f, both[count:], both[:count])[1]

    return pushed


def _numeric(f: Function) -> Callable:
    return lambda *xs: numbers(f(*xs))


def _subsets(places: Sequence[int]) -> list[tuple[int, ...]]:
    """The non-empty subsets; of more than three places, those of one, all but one, and all."""
    n = len(places)
    sizes = range(1, n + 1) if n <= 3 else (1, n - 1, n)
    return [s for k in sizes for s in combinations(places, k)]


def _stack(calls: Sequence[Arrays], i: int, axis: int = 0) -> np.ndarray:
    stacked = np.stack([args[i] for args in calls], axis)
    stacked.flags.writeable = False
    return stacked


# Shapes and dtypes ----------------------------------------------------------------------------


def shape_rule(case: Case) -> None:
    """The shape rule gives the shape and dtype of the kernel's result, for all mixes of floats."""
    for args in _float_mixes(case):
        with _law(case.with_args(args), "the shape rule gives the kernel's shapes and dtypes"):
            said = case.primitive.shape(*map(aval_of, args), **case.params)
            found = case.primitive.kernel(*args, **case.params)
            if case.primitive.multiple:
                if len(said) != len(found):
                    raise LawViolation(f"{len(said)} outputs said, {len(found)} found")
            else:
                said, found = (said,), (found,)
            for aval, out in zip(said, found, strict=True):
                got = Aval(tuple(aval.shape), np.dtype(aval.dtype))
                if got != Aval(np.shape(out), out.dtype):
                    raise LawViolation(f"kernel {Aval(np.shape(out), out.dtype)}, rule {got}")


def _float_mixes(case: Case) -> list[tuple[np.ndarray, ...]]:
    """The arguments with all floats in one precision, and with one float in the other."""
    floats = case.floats
    mixes = [frozenset[int](), frozenset(floats), *(frozenset({i}) for i in floats)]
    if len(floats) > 2:
        mixes += [frozenset(floats) - {i} for i in floats]
    return [
        tuple(x.astype(np.float32) if i in single else x for i, x in enumerate(case.args))
        for single in dict.fromkeys(mixes)
    ]


# Kernels and memory ---------------------------------------------------------------------------


def pure(case: Case) -> None:
    """Arguments that may be written to are left alone; results do not depend on memory layout, and
    are not overwritten by the next call."""
    with _law(case, "arguments unharmed, memory layout without influence"):
        before = numbers(case.args)
        reference = numbers(case.apply(before))  # fresh copies: contiguous and writeable
        _unharmed(before, case.args)
        outs = case.apply(case.args)
        kept = numbers(outs)
        case.apply(case.calls[-1])
        for i, (out, copy, expected) in enumerate(zip(outs, kept, reference, strict=True)):
            require_close(out.data, copy, 0.0, f"output {i} after another call")
            tolerance = EXACT * max(largest(expected), largest(*before))
            require_close(out.data, expected, tolerance, f"output {i} on strided memory")


def rules_pure(case: Case) -> None:
    """The rules leave alone what they are given, and what the tape keeps."""
    if not case.pulled:
        return
    with _law(case, "rules leave arguments, tangents and cotangents unharmed"):
        args = numbers(case.args)
        places = case.pulled
        outs, pull = transforms.vjp(case.function(places, args), *(args[i] for i in places))
        gs = direction(case.rng, numbers(outs))
        copies = numbers(gs)
        first = numbers(pull(tuple(gs)))
        second = numbers(pull(tuple(gs)))
        for i, a, b in zip(places, first, second, strict=True):
            require_close(b, a, 0.0, f"the second pull of argument {i}")
        if case.pushed == places:
            ts = direction(case.rng, [args[i] for i in places])
            pushforward(case.function(places, args), len(places))(*ts, *(args[i] for i in places))
        _unharmed(args, case.args)
        _unharmed(gs, copies)


def _unharmed(after: Arrays, before: Arrays) -> None:
    for i, (a, b) in enumerate(zip(after, before, strict=True)):
        require_close(a, b, 0.0, f"argument {i} after the call")


# First derivatives ----------------------------------------------------------------------------


def forward_rules(case: Case) -> None:
    """The jvp rule of each argument is the derivative of the kernel, by differences."""
    for places in _alone_and_together(case.pushed):
        with _law(case, f"jvp of {_named(places)} = the kernel's derivative by differences"):
            _check_push(case, case.function(places), case.at(places))


def _alone_and_together(places: tuple[int, ...]) -> list[tuple[int, ...]]:
    each = [(i,) for i in places]
    return [*each, places] if len(places) > 1 else each


def _named(places: tuple[int, ...]) -> str:
    return f"argument {places[0]}" if len(places) == 1 else f"arguments {places}"


def _check_push(case: Case, f: Function, xs: Arrays) -> None:
    ts = direction(case.rng, xs)
    estimates = directional(_numeric(f), xs, ts, case.step)
    got = numbers(transforms.jvp(f, xs, ts)[1])
    for i, (t, estimate) in enumerate(zip(got, estimates, strict=True)):
        tolerance = estimate.error + EXACT * largest(estimate.value)
        require_close(t, estimate.value, tolerance, f"tangent of output {i}")


def adjointness(case: Case) -> None:
    """<vjp(g), t> = <g, jvp(t)> for each argument and output alone, and for all together."""
    for places in _alone_and_together(case.pulled):
        if set(places) <= set(case.pushed):
            f, xs = case.function(places), case.at(places)
            count = len(f(*xs))
            for outputs in _alone_and_together(tuple(range(count))):
                with _law(case, f"<vjp(g), t> = <g, jvp(t)> in {_named(places)} of {outputs}"):
                    _check_adjoint(case, _outputs_of(f, outputs, count), xs)


def _outputs_of(f: Function, outputs: tuple[int, ...], count: int) -> Function:
    if len(outputs) == count:
        return f
    return lambda *xs: tuple(y for i, y in enumerate(f(*xs)) if i in outputs)


def _check_adjoint(case: Case, f: Function, xs: Arrays) -> None:
    ts = direction(case.rng, xs)
    outs, tangents = transforms.jvp(f, xs, ts)
    gs = direction(case.rng, numbers(outs))
    cotangents = transforms.vjp(f, *xs)[1](tuple(gs))
    _require_dual(numbers(cotangents), ts, gs, numbers(tangents))


def _require_dual(cotangents: Arrays, ts: Arrays, gs: Arrays, tangents: Arrays) -> None:
    for i, (ct, t) in enumerate(zip(cotangents, ts, strict=True)):
        if ct.shape != t.shape:
            raise LawViolation(f"cotangent {i}: expected shape {t.shape}, got {ct.shape}")
    pulled = [a * b for a, b in zip(cotangents, ts, strict=True)]
    pushed = [a * b for a, b in zip(gs, tangents, strict=True)]
    scale = max(_total(map(np.abs, pulled)), _total(map(np.abs, pushed)))
    expected, got = np.asarray(_total(pushed)), np.asarray(_total(pulled))
    require_close(got, expected, EXACT * scale, "<vjp(g), t> beside <g, jvp(t)>")


def _total(arrays: Any) -> float:
    return float(sum(np.sum(x) for x in arrays))


def linearization(case: Case) -> None:
    """The push that `linearize` gives equals jvp, each time it is called."""
    for places in _alone_and_together(case.pushed):
        with _law(case, f"linearize pushes as jvp does, in {_named(places)}"):
            f, xs = case.function(places), case.at(places)
            outs, push = transforms.linearize(f, *xs)
            for _ in range(2):
                ts = direction(case.rng, xs)
                expected = numbers(transforms.jvp(f, xs, ts)[1])
                _require_all_close(numbers(push(*ts)), expected, numbers(outs), "tangent")


def _require_all_close(got: Arrays, expected: Arrays, scale: Arrays, what: str) -> None:
    if len(got) != len(expected):
        raise LawViolation(f"{what}: expected {len(expected)} of them, got {len(got)}")
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        tolerance = EXACT * max(largest(b), largest(*scale))
        require_close(a, b, tolerance, f"{what} {i}")
        if a.dtype != b.dtype:
            raise LawViolation(f"{what} {i}: expected dtype {b.dtype}, got {a.dtype}")


def blocked(case: Case) -> None:
    """Derivatives that do not exist are zero, or raise; they never come out as something else."""
    if not case.floats:
        return
    if not case.primitive.differentiable:
        with _law(case, "no derivative flows, in either mode"):
            _check_no_derivative(case)
    for mode, ruled in (("vjp", case.pulled), ("jvp", case.pushed)):
        for i in case.floats if case.primitive.differentiable else ():
            if i not in ruled:
                with _law(case, f"{mode} of argument {i}, which has no rule, raises RuleError"):
                    _check_raises(case, mode, i)


def _check_no_derivative(case: Case) -> None:
    xs = case.at(case.floats)

    def f(*inner: Any) -> tuple[Tensor, ...]:
        full = list(case.args)
        for i, x in zip(case.floats, inner, strict=True):
            full[i] = x
        return case.apply(full)

    outs, pull = transforms.vjp(f, *xs)
    found = [pull(tuple(np.ones(y.shape, y.dtype) for y in outs))]
    found.append(transforms.jvp(f, xs, direction(case.rng, xs))[1])
    for x in (x for group in found for x in numbers(group)):
        require_close(x, np.zeros(x.shape), 0.0, "derivative")


def _check_raises(case: Case, mode: str, i: int) -> None:
    f, x = case.function((i,)), case.args[i]
    try:
        if mode == "jvp":
            transforms.jvp(f, (x,), (x,))
        else:
            outs, pull = transforms.vjp(f, x)
            pull(outs)
    except RuleError:
        return
    raise LawViolation("it did not raise")


# Batching -------------------------------------------------------------------------------------


def batching(case: Case) -> None:
    """vmap is a stack of calls, for every combination of mapped and unmapped arguments."""
    for mapped in _subsets(range(len(case.args))):
        with _law(case, f"vmap over {_named(mapped)} = a stack of calls"):
            axes = tuple(_axis_for(case, i) if i in mapped else None for i in range(case.arity))
            given = [
                case.args[i] if a is None else _stack(case.calls, i, a) for i, a in enumerate(axes)
            ]
            got = transforms.vmap(lambda *xs: case.apply(xs), axes)(*given)
            slices = [case.apply(_mixed(case, mapped, b)) for b in range(len(case.calls))]
            _require_stack(got, slices, case.args)


def _axis_for(case: Case, i: int) -> int:
    """Map the last axis of every other argument, so that not all come contiguous."""
    return -1 if i % 2 else 0


def _mixed(case: Case, mapped: Sequence[int], b: int) -> list[np.ndarray]:
    """The arguments of slice b: its own where mapped, those of slice 0 elsewhere."""
    return [case.calls[b if i in mapped else 0][i] for i in range(case.arity)]


def _require_stack(got: Sequence, slices: Sequence[Sequence], scale: Arrays) -> None:
    columns = zip(*map(numbers, slices), strict=True)
    expected = [np.stack(column) for column in columns]
    _require_all_close(numbers(got), expected, scale, "output")


def nested_batching(case: Case) -> None:
    """vmap of vmap is a stack of stacks, also where each maps other arguments."""
    places = tuple(range(case.arity))
    pairs = [(places, places), (places[::2], places[1::2]), (places[1::2], places[::2])]
    for outer, inner in pairs:
        if outer and inner:
            with _law(case, f"vmap over {_named(outer)} of vmap over {_named(inner)}"):
                _check_nested(case, outer, inner)


def _check_nested(case: Case, outer: Sequence[int], inner: Sequence[int]) -> None:
    rows = range(2)
    columns = range(len(case.calls))

    def value(i: int, r: int, c: int) -> np.ndarray:
        call = (r if i in outer else 0) + (c if i in inner else 0)
        return case.calls[call % len(case.calls)][i]

    given = []
    for i in range(case.arity):
        x = np.stack([np.stack([value(i, r, c) for c in columns]) for r in rows])
        x = x if i in outer else x[0]
        given.append(x if i in inner else x[:, 0] if i in outer else x[0])
    one = transforms.vmap(lambda *xs: case.apply(xs), _axes(inner, case.arity))
    got = transforms.vmap(one, _axes(outer, case.arity))(*given)
    expected = [
        [case.apply([value(i, r, c) for i in range(case.arity)]) for c in columns] for r in rows
    ]
    stacks = [[np.stack(k) for k in zip(*map(numbers, row), strict=True)] for row in expected]
    _require_stack(got, stacks, case.args)


def _axes(mapped: Sequence[int], count: int) -> tuple[int | None, ...]:
    return tuple(0 if i in mapped else None for i in range(count))


def batched_derivatives(case: Case) -> None:
    """vmap of vjp and of jvp are stacks of them, whatever is mapped beside the arguments."""
    for kind, places in (("vjp", case.pulled), ("jvp", case.pushed)):
        if places:
            f = _with_directions(case, kind, places)
            points = [_directions(case, kind, places, args) + list(args) for args in case.calls]
            total = len(points[0])
            for mapped in _alone_and_together(tuple(range(total))):
                with _law(case, f"vmap of {kind} over {_named(mapped)} = a stack of them"):
                    axes = _axes(mapped, total)
                    given = [
                        points[0][i] if a is None else _stack(points, i) for i, a in enumerate(axes)
                    ]
                    got = transforms.vmap(f, axes)(*given)
                    slices = [
                        f(*(points[b if i in mapped else 0][i] for i in range(total)))
                        for b in range(len(points))
                    ]
                    _require_stack(got, slices, points[0])


def _with_directions(case: Case, kind: str, places: tuple[int, ...]) -> Function:
    """vjp or jvp as a function of (co)tangents followed by all arguments."""

    def f(*both: Any) -> tuple:
        directions, args = both[: -case.arity], both[len(both) - case.arity :]
        make = pullback if kind == "vjp" else pushforward
        at = [args[i] for i in places]
        return make(case.function(places, args), len(directions))(*directions, *at)

    return f


def _directions(case: Case, kind: str, places: Sequence[int], args: Arrays) -> list[np.ndarray]:
    xs = [args[i] for i in places]
    like = xs if kind == "jvp" else numbers(case.function(places, args)(*xs))
    return direction(case.rng, like)


def derivatives_of_batches(case: Case) -> None:
    """vjp and jvp of a vmapped call are stacks of those of the calls, summed where not mapped."""
    places = tuple(i for i in case.pulled if i in case.pushed)
    for mapped in _alone_and_together(tuple(range(case.arity))) if places else ():
        with _law(case, f"vjp and jvp of vmap over {_named(mapped)}"):
            _check_derivatives_of_batch(case, places, mapped)


def _check_derivatives_of_batch(
    case: Case, places: tuple[int, ...], mapped: tuple[int, ...]
) -> None:
    axes = _axes(mapped, case.arity)
    given = [case.args[i] if a is None else _stack(case.calls, i) for i, a in enumerate(axes)]

    def f(*xs: Any) -> tuple[Tensor, ...]:
        full = list(given)
        for i, x in zip(places, xs, strict=True):
            full[i] = x
        outs = transforms.vmap(lambda *args: case.apply(args), axes)(*full)
        return tuple(y for y in outs if y.dtype.kind == "f")

    xs = [given[i] for i in places]
    outs, pull = transforms.vjp(f, *xs)
    gs, ts = direction(case.rng, numbers(outs)), direction(case.rng, xs)
    tangents = transforms.jvp(f, xs, ts)[1]
    pulled, pushed = [], []
    for b in range(len(case.calls)):
        args = _mixed(case, mapped, b)
        at = [args[i] for i in places]
        one = case.function(places, args)
        pulled.append(pullback(one, len(gs))(*(g[b] for g in gs), *at))
        t = [t[b] if i in mapped else t for i, t in zip(places, ts, strict=True)]
        pushed.append(pushforward(one, len(at))(*t, *at))
    _require_stack(tangents, pushed, xs)
    columns = [np.stack(c) for c in zip(*map(numbers, pulled), strict=True)]
    expected = [
        c if i in mapped else c.sum(0, dtype=c.dtype) for i, c in zip(places, columns, strict=True)
    ]
    _require_all_close(numbers(pull(tuple(gs))), expected, xs, "cotangent")


# Higher orders --------------------------------------------------------------------------------


def second_order(case: Case) -> None:
    """The vjp and the jvp are themselves functions whose jvp and vjp are right."""
    for name, f, xs in _derivatives(case):
        _check_orders(case, name, f, xs)


def third_order(case: Case) -> None:
    """So are the vjp and the jvp of the vjp and the jvp: all four nestings of two modes."""
    for name, f, xs in _derivatives(case):
        for outer, g, ys in _both_modes(case, name, f, xs):
            _check_orders(case, outer, g, ys)


def _derivatives(case: Case) -> Iterator[tuple[str, Function, list[np.ndarray]]]:
    """vjp and jvp of the primitive in all arguments that have both rules, and where to take them."""
    places = tuple(i for i in case.pulled if i in case.pushed)
    if places and case.function(places)(*case.at(places)):
        yield from _both_modes(case, "", case.function(places), case.at(places))


def _both_modes(
    case: Case, name: str, f: Function, xs: list[np.ndarray]
) -> Iterator[tuple[str, Function, list[np.ndarray]]]:
    gs = direction(case.rng, numbers(f(*xs)))
    yield f"vjp {name}", pullback(f, len(gs)), [*gs, *xs]
    yield f"jvp {name}", pushforward(f, len(xs)), [*direction(case.rng, xs), *xs]


def _check_orders(case: Case, name: str, f: Function, xs: list[np.ndarray]) -> None:
    with _law(case, f"jvp of {name}by differences"):
        _check_push(case, f, xs)
    with _law(case, f"vjp of {name}is the adjoint of its jvp"):
        _check_adjoint(case, f, xs)


# Precision ------------------------------------------------------------------------------------


def single_precision(case: Case) -> None:
    """float32 in, float32 out: of values, tangents and cotangents, near those of float64."""
    if not case.floats or "dtype" in case.params:
        return
    single = [x.astype(np.float32) if i in case.floats else x for i, x in enumerate(case.args)]
    double = [x.astype(np.float64) if i in case.floats else x for i, x in enumerate(single)]
    with _law(case, "float32 stays float32, near the float64 result"):
        expected = numbers(case.apply(double))
        sensitivity = _sensitivity(case, double)
        _require_single(numbers(case.apply(single)), expected, sensitivity, "output")
    if case.primitive.differentiable and case.floats == case.pulled == case.pushed:
        with _law(case, "float32 rules stay float32, near those of float64"):
            _check_single_rules(case, single, double)


def _sensitivity(case: Case, args: Arrays) -> float:
    """How much relative errors of the arguments are amplified: the largest of |f'(x) x|."""
    if not case.pushed:
        return largest(*args)
    xs = [args[i] for i in case.pushed]
    tangents = transforms.jvp(case.function(case.pushed, args), xs, xs)[1]
    return largest(*numbers(tangents), *args)


def _require_single(got: Arrays, expected: Arrays, sensitivity: float, what: str) -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        if b.dtype == np.float64 and a.dtype != np.float32:
            raise LawViolation(f"{what} {i}: expected float32, got {a.dtype}")
        tolerance = SINGLE * max(largest(b), sensitivity) if b.dtype.kind == "f" else 0.0
        require_close(a, b, tolerance, f"{what} {i}")


def _check_single_rules(case: Case, single: Arrays, double: Arrays) -> None:
    """Also calls each rule by itself: the transforms would hide a tangent of another dtype."""
    places = case.pulled
    found = []
    directions: list[np.ndarray] = []
    for args in (single, double):
        at = [args[i] for i in places]
        f = case.function(places, args)
        outs = numbers(f(*at))
        directions = directions or direction(case.rng, [*outs, *at])
        given = [d.astype(args[places[0]].dtype) for d in directions]
        gs, ts = given[: len(outs)], given[len(outs) :]
        pulled = numbers(pullback(f, len(outs))(*gs, *at))
        pushed = numbers(pushforward(f, len(at))(*ts, *at))
        second = numbers(pullback(pullback(f, len(outs)), len(at))(*ts, *gs, *at))
        found.append(pulled + pushed + second)
    scale = largest(*found[1], *double)
    _require_single(found[0], found[1], scale, "(co)tangent")
    for i in places:
        for dtype in _dtypes_of_rules(case, single, i):
            if dtype == np.float64:
                raise LawViolation(f"a rule of argument {i} gives {dtype} for float32")


def _dtypes_of_rules(case: Case, args: Arrays, i: int) -> list[np.dtype]:
    """The dtypes of what the rules of argument i return."""
    primitive = case.primitive
    tensors = [asarray(x) for x in args]
    out = bind(primitive, tensors, case.params)
    t = asarray(np.ones_like(args[i]))
    found = [primitive.jvps[i](t, out, *tensors, **case.params)]
    found.append(primitive.vjps[i](out, out, *tensors, **case.params))
    flat = [y for x in found for y in (x if isinstance(x, tuple) else (x,))]
    return [y.dtype for y in flat if y is not None]


def mixed_precision(case: Case) -> None:
    """Each cotangent has its argument's dtype, and each tangent its output's, in every mix."""
    places = case.pulled
    if not places or places != case.pushed:
        return
    for args in _float_mixes(case):
        with _law(case.with_args(args), "dtypes of tangents and cotangents"):
            f, at = case.function(places, args), [args[i] for i in places]
            outs = numbers(f(*at))
            pulled = numbers(pullback(f, len(outs))(*direction(case.rng, outs), *at))
            pushed = numbers(pushforward(f, len(at))(*direction(case.rng, at), *at))
            for got, like in zip([*pulled, *pushed], [*at, *outs], strict=True):
                if (got.dtype, got.shape) != (like.dtype, like.shape):
                    raise LawViolation(
                        f"expected {aval_of(like)} as its primal, got {aval_of(got)}"
                    )


# The tape -------------------------------------------------------------------------------------


def tape(case: Case) -> None:
    """The tape keeps what the rules say they read, and nothing else stays alive."""
    for places in _alone_and_together(case.pulled):
        with _law(case, f"what the tape keeps for {_named(places)}"):
            _check_kept(case, places)


def _check_kept(case: Case, places: tuple[int, ...]) -> None:
    traced = tuple(i in places for i in range(case.arity))
    codes = keep_plan(case.primitive.vjp_reads, traced)[1]
    # Copies, of which this function holds the only reference: does the node keep them alive?
    arrays = numbers(case.args)
    watched = [weakref.ref(x) for x in arrays]
    node = _record(case, arrays, places)
    kept_views = any(isinstance(x, np.ndarray) and x.base is not None for x in _held(node))
    del arrays
    for i, (code, ref) in enumerate(zip(codes, watched, strict=True)):
        if code != KEEP and ref() is not None and not kept_views:
            raise LawViolation(f"argument {i} stays alive, though no rule reads it")
        if code == KEEP and ref() is None:
            raise LawViolation(f"argument {i} is read by a rule but was not kept")


def _record(case: Case, arrays: list[np.ndarray], places: tuple[int, ...]) -> Any:
    """The tape node of one application, arguments at `places` traced."""
    with new_level(Reverse) as trace:
        tensors = [asarray(x) for x in arrays]
        for i in places:
            tensors[i] = trace.leaf(tensors[i])
        out = bind(case.primitive, tensors, case.params)
        return (out[0].mark.parents[0] if case.primitive.multiple else out.mark)


def _held(node: Any) -> list[Any]:
    """The arrays of the outputs that a node keeps."""
    outs = node.out if isinstance(node.out, tuple) else (node.out,)
    return [x.data for x in outs if x.__class__ is Tensor]


class _Unread:
    """Stands in for a value that a rule says it reads; tells when it does."""


def values_read(case: Case) -> dict[str, set[int]]:
    """Which of (out, *args) the vjp and jvp rules use beyond shape and dtype, of those they keep.

    A rule that keeps a value and never uses it costs memory: over many cases, the union of what is
    used must be what is kept.
    """
    found = {}
    for mode, rules, places in (
        ("vjp", case.primitive.vjps, case.pulled),
        ("jvp", case.primitive.jvps, case.pushed),
    ):
        for i in places:
            found[f"{mode} {i}"] = _read_by(case, mode, rules[i], i)
    return found


def _read_by(case: Case, mode: str, rule: Callable, i: int) -> set[int]:
    tensors = [asarray(x) for x in case.args]
    out = bind(case.primitive, tensors, case.params)
    g: Any = out if mode == "vjp" else tensors[i]
    values = [out, *tensors]
    return {
        k for k in range(len(values)) if not _works_without(rule, g, values, k, case.params)
    }


def _works_without(rule: Callable, g: Any, values: list, k: int, params: dict) -> bool:
    """Whether a rule gives a result with only the shape and dtype of one of its values."""
    blind: Any = tuple(map(aval_of, values[k])) if type(values[k]) is tuple else aval_of(values[k])
    try:
        rule(g, *values[:k], blind, *values[k + 1 :], **params)
    except Exception:
        return False
    return True


def kept_for_nothing(primitive: Primitive, read: dict[str, set[int]]) -> list[str]:
    """What the rules of a primitive keep of (out, *args) that they never used in some cases.

    Args:
        read: the union, by rule, of what `values_read` gave for those cases.
    """
    wasted = []
    for name, used in read.items():
        mode, i = name.split()
        reads = primitive.vjp_reads if mode == "vjp" else primitive.jvp_reads
        codes = reads[min(int(i), len(reads) - 1)]
        if primitive.variadic:
            continue
        for k, code in enumerate(codes):
            if code == KEEP and k not in used:
                what = "the output" if k == 0 else f"argument {k - 1}"
                wasted.append(f"{name} keeps the value of {what}, which it does not read")
    return wasted


LAWS: tuple[Law, ...] = (
    shape_rule,
    pure,
    forward_rules,
    adjointness,
    blocked,
    batching,
    nested_batching,
    single_precision,
    mixed_precision,
    rules_pure,
    linearization,
    tape,
    batched_derivatives,
    derivatives_of_batches,
)
"""The laws of values and first derivatives, cheap ones first."""

HIGHER_LAWS: dict[int, Law] = {2: second_order, 3: third_order}
"""The laws of derivatives of each higher order."""
