"""Laws of the kernel: it does what the shape rule says, and leaves its arguments alone."""

from __future__ import annotations

import numpy as np

from autograd_core import transforms
from autograd_core.tensor import Aval, aval_of
from autograd_core.testing.case import (
    EXACT,
    Case,
    PrimitiveCase,
    checking,
    float_mixes,
    numbers,
    pushforward,
)
from autograd_core.testing.numeric import (
    Arrays,
    LawViolation,
    direction,
    largest,
    require_close,
)


def shape_rule(case: PrimitiveCase) -> None:
    """The shape rule gives the shape and dtype of the kernel's result, for all mixes of floats."""
    for args in float_mixes(case):
        with checking(case.with_args(args), "the shape rule gives the kernel's shapes and dtypes"):
            said = case.primitive.shape(*map(aval_of, args), **case.params)
            found = case.kernel(args)
            said = said if case.primitive.multiple else (said,)
            if len(said) != len(found):
                raise LawViolation(f"{len(said)} outputs said, {len(found)} found")
            for aval, out in zip(said, found, strict=True):
                got = Aval(tuple(aval.shape), np.dtype(aval.dtype))
                if got != Aval(np.shape(out), out.dtype):
                    raise LawViolation(f"kernel {Aval(np.shape(out), out.dtype)}, rule {got}")


def pure(case: Case) -> None:
    """Arguments that may be written to are left alone; results do not depend on memory layout, and
    are not overwritten by the next call."""
    with checking(case, "arguments unharmed, memory layout without influence"):
        before = numbers(case.args)
        reference = numbers(case.apply(before))  # fresh copies: contiguous and writeable
        _unharmed(before, case.args)
        outs = case.apply(case.args)
        kept = numbers(outs)
        case.apply(case.calls[-1])
        for i, (out, copy, expected) in enumerate(zip(outs, kept, reference, strict=True)):
            require_close(out.data, copy, 0.0, f"output {i} after another call")
            tolerance = EXACT * case.looseness * max(largest(expected), largest(*before))
            require_close(out.data, expected, tolerance, f"output {i} on strided memory")


def rules_pure(case: Case) -> None:
    """The rules leave alone what they are given, and what the tape keeps."""
    if not case.pulled:
        return
    with checking(case, "rules leave arguments, tangents and cotangents unharmed"):
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
