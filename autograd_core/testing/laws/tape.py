"""Laws of the tape: it keeps what the rules read, and no more."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.primitive import KEEP, bind, new_level
from autograd_core.reverse import Reverse, keep_plan
from autograd_core.tensor import Tensor, asarray, aval_of
from autograd_core.testing.case import (
    PrimitiveCase,
    alone_and_together,
    checking,
    named,
    numbers,
)
from autograd_core.testing.numeric import (
    LawViolation,
)


def tape(case: PrimitiveCase) -> None:
    """The tape keeps what the rules say they read, and nothing else stays alive."""
    for places in alone_and_together(case.pulled):
        with checking(case, f"what the tape keeps for {named(places)}"):
            _check_kept(case, places)


def _check_kept(case: PrimitiveCase, places: tuple[int, ...]) -> None:
    traced = tuple(i in places for i in range(case.arity))
    codes = keep_plan(case.primitive.vjp_reads, traced)[1][: case.arity]
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


def _record(case: PrimitiveCase, arrays: list[np.ndarray], places: tuple[int, ...]) -> Any:
    """The tape node of one application, arguments at `places` traced."""
    with new_level(Reverse) as trace:
        tensors = [asarray(x) for x in arrays]
        for i in places:
            tensors[i] = trace.leaf(tensors[i])
        out = bind(case.primitive, tensors, case.params)
        return out[0].mark.parents[0] if case.primitive.multiple else out.mark


def _held(node: Any) -> list[Any]:
    """The arrays of the outputs that a node keeps."""
    outs = node.out if isinstance(node.out, tuple) else (node.out,)
    return [x.data for x in outs if x.__class__ is Tensor]


def kept_unread(case: PrimitiveCase) -> set[str]:
    """What the rules keep the value of, though here they read no more than its shape and dtype.

    A rule may need a value for some parameters alone. But what is in this set for every one of many
    cases is memory wasted.
    """
    primitive = case.primitive
    modes = (
        ("vjp", primitive.vjps, primitive.vjp_reads),
        ("jvp", primitive.jvps, primitive.jvp_reads),
    )
    tensors = [asarray(x) for x in case.args]
    out = bind(primitive, tensors, case.params)
    return {
        f"the {mode} of argument {i} keeps {'the output' if k == 0 else f'argument {k - 1}'}"
        for mode, rules, reads in modes
        for i in case.ruled(rules)
        for k, code in enumerate(reads[min(i, len(reads) - 1)][: case.arity + 1])
        if code == KEEP
        and _works_without(rules[i], out if mode == "vjp" else tensors[i], [out, *tensors], k, case)
    }


def _works_without(rule: Callable, g: Any, values: list, k: int, case: PrimitiveCase) -> bool:
    """Whether a rule gives a result with only the shape and dtype of one of its values."""
    blind: Any = tuple(map(aval_of, values[k])) if type(values[k]) is tuple else aval_of(values[k])
    try:
        rule(g, *values[:k], blind, *values[k + 1 :], **case.params)
    except Exception:
        return False
    return True
