"""One of several values at each entry: by conditions, by numbers, or by which is larger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_core.errors import ShapeError
from autograd_core.ops.arithmetic import (
    clip,
    equal,
    isnan,
    logical_not,
    logical_or,
    maximum,
    minimum,
    remainder,
    where,
)
from autograd_core.ops.creation import zeros_like
from autograd_core.ops.structural import astype, stop_gradient
from autograd_core.tensor import Tensor, asarray, require_within

__all__ = ["choose", "fmax", "fmin", "piecewise", "select"]


def fmax(x: Any, y: Any) -> Tensor:
    """The larger of x and y, elementwise; where one is NaN, the other. See `maximum`.

    >>> ac.fmax([1.0, ac.nan, 3.0], [2.0, 2.0, ac.nan])
    Tensor([2., 2., 3.], dtype=float64)
    >>> ac.grad(ac.fmax, (0, 1))(ac.nan, 2.0)
    (Tensor(0., dtype=float64), Tensor(1., dtype=float64))
    """
    return where(isnan(y), x, where(isnan(x), y, maximum(x, y)))


def fmin(x: Any, y: Any) -> Tensor:
    """The smaller of x and y, elementwise; where one is NaN, the other. See `minimum`.

    >>> ac.fmin([1.0, ac.nan, 3.0], [2.0, 2.0, ac.nan])
    Tensor([1., 2., 3.], dtype=float64)
    """
    return where(isnan(y), x, where(isnan(x), y, minimum(x, y)))


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Tensor:
    """At each entry the first of `choices` whose condition holds, `default` where none does.

    Args:
        conditions: a sequence of booleans.
        choices: one for each condition; all of them broadcast.
        default: a number or an array.

    Raises:
        ShapeError: there are not as many choices as conditions, or there are none.

    >>> x = ac.asarray([-2.0, 0.5, 3.0])
    >>> ac.select([x < 0.0, x < 1.0], [-x, x**2], default=1.0)
    Tensor([2.  , 0.25, 1.  ], dtype=float64)
    """
    if len(conditions) != len(choices) or not len(conditions):
        raise ShapeError(f"select: {len(conditions)} conditions for {len(choices)} choices")
    out = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        out = where(condition, choice, out)
    return out


def choose(which: Any, choices: Sequence[Any], mode: str = "raise") -> Tensor:
    """At each entry the one of `choices` whose number `which` has there.

    Args:
        which: integers, which broadcast against the choices.
        mode: what to do with numbers that none has: "raise", "wrap" (modulo) or "clip".

    Raises:
        IndexError: a number is out of bounds.

    >>> ac.choose(ac.asarray([0, 1, 0]), [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    Tensor([ 1., 20.,  3.], dtype=float64)
    """
    n, which = len(choices), asarray(which)
    if mode == "raise":
        require_within(which, 0, n, f"choose: {{}} is out of bounds for {n} choices")
    elif mode in ("wrap", "clip"):
        which = remainder(which, n) if mode == "wrap" else clip(which, 0, n - 1)
    else:
        raise ValueError(f"choose: expected mode 'raise', 'wrap' or 'clip', got {mode!r}")
    return select([equal(which, i) for i in range(n)], choices, asarray(choices[0]) * 0)


def piecewise(
    x: Any, conditions: Sequence[Any], functions: Sequence[Any], *args: Any, **kwargs: Any
) -> Tensor:
    """A function that is given piece by piece: where a condition holds, its function of x.

    Every function is evaluated on the whole of x (NumPy: on a piece), but neither a value nor a
    derivative of it counts elsewhere. Of several conditions that hold, the last counts.

    Args:
        x: any shape.
        conditions: booleans of that shape.
        functions: a function of `(x, *args, **kwargs)` or a number for each condition; one more
            is for where none holds, else that is 0.

    >>> pieces = [lambda x: x**2 / 2, lambda x: ac.abs(x) - 0.5]
    >>> huber = lambda x: ac.piecewise(x, [ac.abs(x) < 1.0], pieces)
    >>> x = ac.asarray([0.5, -3.0])
    >>> huber(x), ac.grad(lambda x: ac.sum(huber(x)))(x)
    (Tensor([0.125, 2.5  ], dtype=float64), Tensor([ 0.5, -1. ], dtype=float64))
    """
    x = asarray(x)
    pieces = [asarray(c) for c in conditions]
    if len(functions) == len(pieces) + 1:
        some = pieces[0]
        for condition in pieces[1:]:
            some = logical_or(some, condition)
        pieces.append(logical_not(some))
    if len(functions) != len(pieces):
        raise ShapeError(f"piecewise: {len(functions)} functions for {len(conditions)} conditions")
    out = zeros_like(x)
    for condition, function in zip(pieces, functions, strict=True):
        out = where(condition, _on_piece(function, condition, x, args, kwargs), out)
    return astype(out, x.dtype)


def _on_piece(function: Any, condition: Tensor, x: Tensor, args: tuple, kwargs: dict) -> Any:
    """A function of x through which derivatives flow where the condition holds only: elsewhere x is
    a constant, so that an infinite derivative there cannot make a NaN of 0."""
    if not callable(function):
        return function
    return function(where(condition, x, stop_gradient(x)), *args, **kwargs)
