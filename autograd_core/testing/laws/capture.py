"""Laws of capture: what `jit` runs is what the engine would have done."""

from __future__ import annotations

from autograd_core.capture import jit
from autograd_core.testing.case import Case, checking, numbers, pullback, require_all_close
from autograd_core.testing.numeric import direction


def captured(case: Case) -> None:
    """`jit(f)` equals f, and so do its derivatives, taken inside of it and through it."""
    case = case.settled()
    with checking(case, "jit(f) = f"):
        compiled = jit(lambda *args: case.apply(args))
        for _ in range(2):  # the call that captures, and one that does not
            got, expected = numbers(compiled(*case.args)), numbers(case.apply(case.args))
            require_all_close(got, expected, expected, "output", case.looseness)
    for places in [case.pulled] if case.pulled else []:
        f = case.function(places)
        xs = case.at(places)
        outs = f(*xs)
        cts = direction(case.rng, numbers(outs))
        pulled = pullback(f, len(outs))
        expected = numbers(pulled(*cts, *xs))
        with checking(case, "jit(vjp(f)) = vjp(f) = vjp(jit(f))"):
            for name, way in (("jit(vjp)", jit(pulled)), ("vjp(jit)", pullback(jit(f), len(outs)))):
                got = numbers(way(*cts, *xs))
                require_all_close(got, expected, expected, name, case.looseness)
