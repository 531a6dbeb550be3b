"""Laws of the rules of both modes: first derivatives, and those of derivatives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.declare import Elementwise
from autograd_core.errors import RuleError
from autograd_core.tensor import Tensor
from autograd_core.testing.case import (
    EXACT,
    Case,
    PrimitiveCase,
    alone_and_together,
    checking,
    named,
    numbers,
    require_all_close,
)
from autograd_core.testing.fault import Fault
from autograd_core.testing.numeric import (
    Arrays,
    LawViolation,
    direction,
    require_close,
)
from autograd_core.testing.point import FIRST, Point
from autograd_core.testing.reports import Report
from autograd_core.testing.subjects import Subject


def forward_rules(case: Case) -> None:
    """The jvp rule of each argument is the derivative of the kernel, by differences."""
    for places in alone_and_together(case.pushed):
        with checking(case, f"jvp of {named(places)} = the kernel's derivative by differences"):
            _check_push(case, case.subject(places))


def _check_push(case: Case, subject: Subject) -> None:
    report = Report(case.name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        point = Point(subject, FIRST, subject.leaves, case.rng, report, brief=True)
        try:
            point.compare("fwd")
        except Fault as fault:
            raise LawViolation("\n".join([fault.headline(), *fault.details()])) from None
    if not report.decided and any(x.size for x in subject.floats):
        raise LawViolation(
            "the numeric derivative does not settle: the domain comes too near to a kink or a pole"
        )


def constant_between_jumps(case: PrimitiveCase) -> None:
    """An elementwise primitive declared without a derivative is constant around each point."""
    primitive = case.primitive
    numeric = all(y.dtype.kind == "f" for y in case.apply(case.args))
    if primitive.differentiable or not (isinstance(primitive, Elementwise) and numeric):
        return
    with checking(case, "the kernel is piecewise constant, as declared"):
        for i in case.floats:
            moved = list(case.args)
            moved[i] = moved[i] + case.step * direction(case.rng, [moved[i]])[0]
            for j, (a, b) in enumerate(
                zip(numbers(case.apply(moved)), numbers(case.apply(case.args)), strict=True)
            ):
                require_close(a, b, 0.0, f"output {j} after a small step in argument {i}")


def adjointness(case: Case) -> None:
    """<vjp(g), t> = <g, jvp(t)> for each argument and output alone, and for all together."""
    for places in alone_and_together(case.pulled):
        if set(places) <= set(case.pushed):
            subject = case.subject(places)
            count = len(subject.values(subject.leaves))
            for outputs in alone_and_together(tuple(range(count))):
                with checking(case, f"<vjp(g), t> = <g, jvp(t)> in {named(places)} of {outputs}"):
                    _check_adjoint(case, subject.of_outputs(outputs))


def _check_adjoint(case: Case, subject: Subject) -> None:
    leaves, ts = subject.leaves, direction(case.rng, subject.floats)
    tangents = subject.push(leaves, ts)
    gs = direction(case.rng, tangents)
    _require_dual(subject.pull(leaves, gs), ts, gs, tangents, case.looseness)


def _require_dual(
    cotangents: Arrays, ts: Arrays, gs: Arrays, tangents: Arrays, looseness: float
) -> None:
    for i, (ct, t) in enumerate(zip(cotangents, ts, strict=True)):
        if ct.shape != t.shape:
            raise LawViolation(f"cotangent {i}: expected shape {t.shape}, got {ct.shape}")
    pulled = [a * b for a, b in zip(cotangents, ts, strict=True)]
    pushed = [a * b for a, b in zip(gs, tangents, strict=True)]
    scale = max(_total(map(np.abs, pulled)), _total(map(np.abs, pushed)))
    expected, got = np.asarray(_total(pushed)), np.asarray(_total(pulled))
    require_close(got, expected, EXACT * looseness * scale, "<vjp(g), t> beside <g, jvp(t)>")


def _total(arrays: Any) -> float:
    return float(sum(np.sum(x) for x in arrays))


def linearization(case: Case) -> None:
    """The push that `linearize` gives equals jvp, each time it is called."""
    for places in alone_and_together(case.pushed):
        with checking(case, f"linearize pushes as jvp does, in {named(places)}"):
            f, xs = case.function(places), case.at(places)
            outs, push = transforms.linearize(f, *xs)
            # What follows the primitive meets its tangent as it is, of whatever shape.
            _, push_on = transforms.linearize(lambda *xs, f=f: tuple(y.sum() for y in f(*xs)), *xs)
            for _ in range(2):
                ts = direction(case.rng, xs)
                expected = numbers(transforms.jvp(f, xs, ts)[1])
                got, scale = numbers(push(*ts)), numbers(outs)
                require_all_close(got, expected, scale, "tangent", case.looseness)
                sums = [np.asarray(t.sum(dtype=t.dtype)) for t in expected]
                got = numbers(push_on(*ts))
                require_all_close(got, sums, expected, "sum of tangent", case.looseness)


def blocked(case: PrimitiveCase) -> None:
    """Derivatives that do not exist are zero, or raise; they never come out as something else."""
    if not case.floats:
        return
    if not case.primitive.differentiable:
        with checking(case, "no derivative flows, in either mode"):
            _check_no_derivative(case)
    for mode, ruled in (("vjp", case.pulled), ("jvp", case.pushed)):
        for i in case.floats if case.primitive.differentiable else ():
            if i not in ruled:
                with checking(case, f"{mode} of argument {i}, which has no rule, raises RuleError"):
                    _check_raises(case, mode, i)


def _check_no_derivative(case: PrimitiveCase) -> None:
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


def _check_raises(case: PrimitiveCase, mode: str, i: int) -> None:
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


def second_order(case: Case) -> None:
    """The vjp and the jvp are themselves functions whose jvp and vjp are right."""
    for name, subject in _derivatives(case):
        _check_orders(case, name, subject)


def third_order(case: Case) -> None:
    """So are the vjp and the jvp of the vjp and the jvp: all four nestings of two modes."""
    for name, subject in _derivatives(case):
        for outer, nested in _both_modes(case, name, subject):
            _check_orders(case, outer, nested)


def _derivatives(case: Case) -> Iterator[tuple[str, Subject]]:
    """vjp and jvp in all arguments that have both rules."""
    places = tuple(i for i in case.pulled if i in case.pushed)
    if places:
        subject = case.subject(places)
        if subject.values(subject.leaves):
            yield from _both_modes(case, "", subject)


def _both_modes(case: Case, name: str, subject: Subject) -> Iterator[tuple[str, Subject]]:
    outs = subject.values(subject.leaves)
    yield f"vjp {name}", subject.pulled(direction(case.rng, outs))
    yield f"jvp {name}", subject.pushed(direction(case.rng, subject.floats))


def _check_orders(case: Case, name: str, subject: Subject) -> None:
    with checking(case, f"jvp of {name}by differences"):
        _check_push(case, subject)
    with checking(case, f"vjp of {name}is the adjoint of its jvp"):
        _check_adjoint(case, subject)
