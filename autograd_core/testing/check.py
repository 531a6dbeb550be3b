"""Check a primitive against all laws: for its author, and for the mutants of its rules."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_core.primitive import Primitive
from autograd_core.testing.case import Case, FunctionCase, Law, PrimitiveCase, draw_case
from autograd_core.testing.draw import RandomDraw
from autograd_core.testing.laws import COMPLEX_LAWS, HIGHER_LAWS, LAWS, kept_unread
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.parts import draw_complex_case

EMPTY_EVERY = 6
THIRD_ORDER_EVERY = 3
COMPLEX_DRAWS = 2


def check_primitive(
    primitive: Primitive, draws: int = 12, orders: Sequence[int] = (1, 2, 3), seed: int = 0
) -> None:
    """Check all laws on arguments drawn from the primitive's domain.

    Args:
        primitive: any primitive, yours too; it needs a `domain`.
        draws: how many times arguments are drawn. Every sixth time the domain is asked for arrays
            without entries, where it allows them.
        orders: the orders of derivative to check. The third is costly, and is checked on every
            third draw.
        seed: draws are the same for the same seed.

    Raises:
        LawViolation: a law does not hold; the message names it.
    """
    check_cases(draw_cases(primitive, draws, seed), orders)
    if primitive.complex and primitive.differentiable:
        for k in range(min(draws, COMPLEX_DRAWS)):
            case = draw_complex_case(primitive, RandomDraw(seed + k))
            check_complex(case, orders if k == 0 else (1,))


def draw_cases(primitive: Primitive, draws: int, seed: int = 0) -> list[PrimitiveCase]:
    """Cases from the primitive's domain, some of them without entries."""
    return [
        draw_case(primitive, RandomDraw(seed + k, empty=k % EMPTY_EVERY == EMPTY_EVERY - 1))
        for k in range(draws)
    ]


def check_cases(cases: Sequence[PrimitiveCase], orders: Sequence[int] = (1, 2, 3)) -> None:
    """Check all laws on some cases of one primitive, cheap laws first."""
    for k, case in enumerate(cases):
        check_case(case, [n for n in orders if n < 3 or k % THIRD_ORDER_EVERY == 0])
    if 1 in orders:
        check_memory(cases)


def check_memory(cases: Sequence[PrimitiveCase]) -> None:
    """Check that what the tape keeps is read, in one of many cases at least."""
    wasted = set.intersection(*map(kept_unread, cases))
    if wasted:
        raise LawViolation(
            f"{cases[0].primitive.name}: what no rule reads is kept: {', '.join(sorted(wasted))}"
        )


def check_case(case: PrimitiveCase, orders: Sequence[int] = (1, 2, 3)) -> None:
    """Check all laws on one case."""
    _check(case, LAWS, orders)


def check_complex(case: FunctionCase, orders: Sequence[int] = (1, 2, 3)) -> None:
    """Check the laws of complex functions on one case; see `parts`."""
    _check(case, COMPLEX_LAWS, orders)


def _check(case: Case, laws: Sequence[Law], orders: Sequence[int]) -> None:
    for law in laws if 1 in orders else ():
        law(case)
    for order in orders:
        if order in HIGHER_LAWS:
            HIGHER_LAWS[order](case)
