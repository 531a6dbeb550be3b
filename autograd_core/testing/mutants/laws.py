"""Mutants judged by the engine's laws: `check_primitive` must raise for each of them.

One that survives is either a hole in the laws or in the primitive's domain, or no change at all (a
symmetric result, transposed); the latter is told by calling the changed slot beside the original.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from autograd_core.primitive import REGISTRY, Primitive
from autograd_core.testing.case import FunctionCase, PrimitiveCase, numbers
from autograd_core.testing.check import check_cases, check_complex, check_memory, draw_cases
from autograd_core.testing.draw import RandomDraw
from autograd_core.testing.mutants.made import Mutant, mutants_of, rule_result
from autograd_core.testing.mutants.outcomes import Outcome
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.parts import draw_complex_case

DRAWS = 24
COMPLEX_DRAWS = 6
FEW = 2
"""How many of those a change goes through that has no effect on real arguments."""
CAN_BE_EQUIVALENT = frozenset(
    {
        "transposed",
        "rolled",
        "swapped",
        "values detached",
        "values linearised",
        "memory order",
        "not summed",
        "(co)tangent of an output lost",
    }
)
"""Kinds that may turn out to be no change at all: symmetric or constant results. For any other kind
a survivor without effect means that the domain draws nothing on which the slot matters."""


def try_mutants(name: str, draws: int = DRAWS) -> list[Outcome]:
    """Feed every mutant of a primitive to its laws."""
    primitive = REGISTRY[name]
    cases = draw_cases(primitive, draws)
    in_parts = _complex_cases(primitive)
    return [
        Outcome(name, mutant.slot, mutant.kind, _fate(mutant, cases, in_parts))
        for mutant in mutants_of(primitive, cases)
    ]


def _complex_cases(primitive: Primitive) -> list[FunctionCase]:
    """On complex arguments, if the primitive takes them, as functions of their parts."""
    if not (primitive.complex and primitive.differentiable):
        return []
    return [draw_complex_case(primitive, RandomDraw(seed)) for seed in range(COMPLEX_DRAWS)]


def _fate(
    mutant: Mutant, cases: Sequence[PrimitiveCase], in_parts: Sequence[FunctionCase] = ()
) -> str:
    with np.errstate(all="ignore"):
        # Where the change shows is cheap to see for some, and the laws take most of the time there
        # is: they begin with small cases of that kind, and leave out real ones if there are none.
        may_be_none = mutant.kind in CAN_BE_EQUIVALENT
        shows = [_shows(mutant, case) for case in cases if may_be_none or mutant.slot == "kernel"]
        no_effect = may_be_none and not any(shows)
        ordered = _telling_first(mutant, cases, shows) if shows else cases
        try:
            with mutant.applied():
                if mutant.slot == "vjp_reads":  # what no other law notices
                    check_memory(cases)
                if not no_effect:
                    check_cases([case.renewed() for case in ordered])
                for each in in_parts[: FEW if no_effect else None]:
                    check_complex(each.renewed(), (1, 2))
        except LawViolation:
            return "caught"
    return "equivalent" if no_effect else "survived"


def _telling_first(
    mutant: Mutant, cases: Sequence[PrimitiveCase], shows: Sequence[bool]
) -> list[PrimitiveCase]:
    """What only laws of third order notice is noticed sooner where the arrays are small."""
    third = mutant.slot != "kernel"
    places = sorted(
        range(len(cases)),
        key=lambda k: (not shows[k], sum(x.size for x in cases[k].args) if third else k),
    )
    return [cases[k] for k in places]


def _has_effect(mutant: Mutant, case: PrimitiveCase) -> bool:
    """Whether the changed slot, called by itself, gives anything else than the original."""
    if mutant.slot == "kernel":
        return _differ(*_with_and_without(mutant, lambda: numbers(case.apply(case.args))))
    if mutant.slot == "broadcasts":
        return len({x.shape for x in case.args}) > 1
    mode = mutant.slot[:4]
    places = case.pulled if mode == "vjps" else case.pushed
    if mutant.kind == "values detached":
        return any(_varies(case, mode, i) for i in places)
    if mutant.kind == "values linearised":
        return any(_curves(case, mode, i) for i in places)
    return any(
        _differ(*_with_and_without(mutant, partial(rule_result, case, mode, i))) for i in places
    )


def _shows(mutant: Mutant, case: PrimitiveCase) -> bool:
    """Whether it has an effect: to fail is one."""
    try:
        return _has_effect(mutant, case)
    except Exception:
        return True


def _with_and_without(mutant: Mutant, call: Callable[[], Any]) -> tuple[Any, Any]:
    with mutant.applied():
        changed = call()
    return changed, call()


def _varies(case: PrimitiveCase, mode: str, i: int) -> bool:
    """Whether what a rule gives changes with what it reads: else detaching that has no effect."""
    return all(
        _differ(*(rule_result(case, mode, i, k * case.step, apart) for k in (0, 1)))
        for apart in (False, True)
    )


def _curves(case: PrimitiveCase, mode: str, i: int) -> bool:
    """Whether what a rule gives is not an affine function of what it reads."""
    behind, here, ahead = (rule_result(case, mode, i, k * case.step, True) for k in (-1, 0, 1))
    middle = [(a + b) / 2 for a, b in zip(behind, ahead, strict=True)]
    return _varies(case, mode, i) and _differ(middle, here)


def _differ(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> bool:
    return any(
        x.shape != y.shape or not np.allclose(x, y, rtol=1e-10, atol=1e-12, equal_nan=True)
        for x, y in zip(xs, ys, strict=True)
    )


def try_all(names: Sequence[str], jobs: int = 1) -> list[Outcome]:
    """The outcomes of all mutants of some primitives, tried by `jobs` processes."""
    if jobs == 1:
        return [outcome for name in names for outcome in try_mutants(name)]
    with ProcessPoolExecutor(jobs) as pool:
        return [outcome for found in pool.map(try_mutants, names) for outcome in found]
