"""Laws of the batch rule: a mapped call is a stack of calls, for derivatives too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.tensor import Tensor
from autograd_core.testing.case import (
    Case,
    Function,
    alone_and_together,
    checking,
    floating,
    named,
    numbers,
    pullback,
    pushforward,
    require_all_close,
)
from autograd_core.testing.numeric import (
    Arrays,
    direction,
)


def _subsets(places: Sequence[int]) -> list[tuple[int, ...]]:
    """The non-empty subsets; of more than three places, those of one, all but one, and all."""
    n = len(places)
    sizes = range(1, n + 1) if n <= 3 else (1, n - 1, n)
    return [s for k in sizes for s in combinations(places, k)]


def _stack(calls: Sequence[Arrays], i: int, axis: int = 0) -> np.ndarray:
    stacked = np.stack([args[i] for args in calls], axis)
    stacked.flags.writeable = False
    return stacked


def batching(case: Case) -> None:
    """vmap is a stack of calls, for every combination of mapped and unmapped arguments."""
    for mapped in _subsets(range(len(case.args))):
        with checking(case, f"vmap over {named(mapped)} = a stack of calls"):
            axes = tuple(_axis_for(case, i) if i in mapped else None for i in range(case.arity))
            given = [
                case.args[i] if a is None else _stack(case.calls, i, a) for i, a in enumerate(axes)
            ]
            got = transforms.vmap(lambda *xs: case.apply(xs), axes)(*given)
            slices = [case.apply(_mixed(case, mapped, b)) for b in range(len(case.calls))]
            _require_stack(case, got, slices, case.args)


def _axis_for(case: Case, i: int) -> int:
    """Map the last axis of every other argument, so that not all come contiguous."""
    return -1 if i % 2 else 0


def _mixed(case: Case, mapped: Sequence[int], b: int) -> list[np.ndarray]:
    """The arguments of slice b: its own where mapped, those of slice 0 elsewhere."""
    return [case.calls[b if i in mapped else 0][i] for i in range(case.arity)]


def _require_stack(case: Case, got: Sequence, slices: Sequence[Sequence], scale: Arrays) -> None:
    columns = zip(*map(numbers, slices), strict=True)
    expected = [np.stack(column) for column in columns]
    require_all_close(numbers(got), expected, scale, "output", case.looseness)


def nested_batching(case: Case) -> None:
    """vmap of vmap is a stack of stacks, also where each maps other arguments."""
    places = tuple(range(case.arity))
    pairs = [(places, places), (places[::2], places[1::2]), (places[1::2], places[::2])]
    for outer, inner in pairs:
        if outer and inner:
            with checking(case, f"vmap over {named(outer)} of vmap over {named(inner)}"):
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
    _require_stack(case, got, stacks, case.args)


def _axes(mapped: Sequence[int], count: int) -> tuple[int | None, ...]:
    return tuple(0 if i in mapped else None for i in range(count))


def batched_derivatives(case: Case) -> None:
    """vmap of vjp and of jvp are stacks of them, whatever is mapped beside the arguments."""
    for kind, places in (("vjp", case.pulled), ("jvp", case.pushed)):
        if places:
            f = _with_directions(case, kind, places)
            points = [_directions(case, kind, places, args) + list(args) for args in case.calls]
            total = len(points[0])
            for mapped in alone_and_together(tuple(range(total))):
                with checking(case, f"vmap of {kind} over {named(mapped)} = a stack of them"):
                    axes = _axes(mapped, total)
                    given = [
                        points[0][i] if a is None else _stack(points, i) for i, a in enumerate(axes)
                    ]
                    got = transforms.vmap(f, axes)(*given)
                    slices = [
                        f(*(points[b if i in mapped else 0][i] for i in range(total)))
                        for b in range(len(points))
                    ]
                    _require_stack(case, got, slices, points[0])


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
    for mapped in alone_and_together(tuple(range(case.arity))) if places else ():
        with checking(case, f"vjp and jvp of vmap over {named(mapped)}"):
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
        return floating(outs)

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
    _require_stack(case, tangents, pushed, xs)
    columns = [np.stack(c) for c in zip(*map(numbers, pulled), strict=True)]
    expected = [
        c if i in mapped else c.sum(0, dtype=c.dtype) for i, c in zip(places, columns, strict=True)
    ]
    require_all_close(numbers(pull(tuple(gs))), expected, xs, "cotangent", case.looseness)
