"""Mutants of a user's primitive or function, judged by the user's test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import numpy as np

from autograd_core import transforms
from autograd_core.batching import Batching
from autograd_core.custom import custom_jvp, custom_vjp
from autograd_core.declare import Elementwise
from autograd_core.errors import AutogradError
from autograd_core.forward import Forward
from autograd_core.ops import astype
from autograd_core.ops import sum as sum_of
from autograd_core.primitive import Primitive, _EveryArgument
from autograd_core.reverse import PYTHON_NUMBERS, Reverse
from autograd_core.tensor import Tensor, asarray, own
from autograd_core.testing.case import numbers
from autograd_core.testing.check import draw_cases
from autograd_core.testing.mutants.changes import RULES, Rule, float_leaves
from autograd_core.testing.mutants.custom import Place, mutants_of_custom, places_of, rule_of
from autograd_core.testing.mutants.made import (
    NOT_SUMMED,
    OUTPUT_LOST,
    Mutant,
    mutants_beside_rules,
    mutants_of_rules,
    name_of,
)
from autograd_core.testing.mutants.outcomes import NOT_AGAIN, NOT_CALLED, NOT_NOTICED, Outcome
from autograd_core.testing.numeric import largest
from autograd_core.tree import tree_flatten, tree_leaves, tree_unflatten
from kernels.devices import to_host

Target = Primitive | custom_vjp | custom_jvp
Kinds = Collection[str] | Literal["all"] | None

FAULTS = (
    "zero",
    "removed",
    "negated",
    "doubled",
    "times 1 + 1e-3",
    "plus 1e-3",
    "transposed",
    "rolled",
    "with an extra axis",
    "values detached",
    "direction detached",
    "swapped",
    NOT_SUMMED,
    OUTPUT_LOST,
)
"""The kinds that people write, and that a test of derivatives to the second order should notice."""
OF_RULES = frozenset({*FAULTS, *RULES})
OF_SECOND_ORDER = frozenset({"values detached", "direction detached", "values linearised"})
OF_DTYPES = frozenset({"in float64", "times 1 + 1e-3 in float32"})
DRAWS = 8
STEP = 1e-3
"""How far from what a rule was called with it is looked at, relatively."""
MOST_CALLS = 16


class MutantError(AutogradError, ValueError):
    """No mutant would say anything: there is none, or the tests fail without."""


def try_test(target: Any, test: Callable[[], Any], kinds: Kinds = None) -> list[Outcome]:
    """Break each rule of a primitive or function of yours in turn, and see whether a test notices.

    Let the test make what it uses: what `jit` compiled before keeps the rules that it was compiled
    with, and broken kernels (of `kinds="all"`) may write to arrays that they are given.

    Args:
        target: a primitive, a function declared with `elementwise`, or one made by `custom_vjp` or
            `custom_jvp`. It is as before afterwards.
        test: called without arguments, once for each mutant; raises where it sees a fault.
        kinds: of mutants, `FAULTS` by default; "all" adds those of dtypes, of the third order, and
            of a primitive's batching, shape, kernel and tape.

    Returns:
        An outcome for each mutant: "caught", "survived", or "equivalent" where the broken rule
        gives the same, with the same derivatives, near everything the test called it with.

    Raises:
        MutantError: the test fails without any mutant, there is nothing to break, or no such kind.
    """
    target = breakable(target)
    with met(target) as places:
        failure = _failure(test)
    if failure is not None:
        raise MutantError(f"the test fails without any mutant: {_in_a_line(failure)}") from failure
    outcomes = []
    for mutant in mutants_to_try(target, places, kinds):
        with mutant.applied():
            failure = _failure(test)
        outcomes.append(outcome_of(mutant, noticed=failure is not None))
    return outcomes


def _in_a_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0]


def _failure(test: Callable[[], Any]) -> BaseException | None:
    try:
        test()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what pytest.fail raises is no Exception
        return error
    return None


# What there is to break -----------------------------------------------------------------------


def breakable(target: Any) -> Target:
    """What holds the rules: a primitive, also that of a function, or a custom function.

    Raises:
        MutantError: it is none of these, or a custom function without a rule.
    """
    target = getattr(target, "primitive", target)
    if not isinstance(target, Target):
        raise MutantError(
            f"{_described(target)} is no primitive, no function declared with elementwise, and not "
            "made by custom_vjp or custom_jvp: there is no rule to break"
        )
    if not isinstance(target, Primitive) and rule_of(target)[1] is None:
        raise MutantError(f"{name_of(target)} has no rule to break yet")
    return target


def _described(target: Any) -> str:
    name = getattr(target, "__name__", None)
    return f"{type(target).__name__} {name}" if name else repr(target)


@contextmanager
def met(target: Target) -> Iterator[list[Place]]:
    """A list that fills in the block with the places that can be broken one by one: leaves that the
    rule of a custom function meets, or the outputs of a primitive with several."""
    if not isinstance(target, Primitive):
        with places_of(target) as places:
            yield places
        return
    found: list[Place] = []
    kernel = target.kernel

    def looking_on(*args: Any, **params: Any) -> Any:
        outs = kernel(*args, **params)
        found.extend(Place("output", k, 0, "") for k in range(len(found), len(outs)))
        return outs

    changes = {"kernel": looking_on} if target.multiple else {}
    with Mutant(target, "none", "kernel", changes).applied():
        yield found


def mutants_to_try(target: Target, places: Sequence[Place], kinds: Kinds = None) -> list[Mutant]:
    """All mutants of these kinds, in the same order each time.

    Args:
        target: see `breakable`.
        places: see `met`.
        kinds: see `try_test`.

    Raises:
        MutantError: there are none, or a kind is unknown.
    """
    if isinstance(target, Primitive):
        found = list(mutants_of_rules(target, len(places), Watched))
    else:
        found = list(mutants_of_custom(target, places, Watched))
    wanted = {*(FAULTS if kinds is None else [kinds] if isinstance(kinds, str) else kinds)}
    if wanted - OF_RULES and isinstance(target, Primitive):
        found += _beside_rules(target)
    if wanted != {"all"}:
        unknown = wanted - OF_RULES - {mutant.kind for mutant in found}
        if unknown:
            raise MutantError(f"no such kind of mutant: {', '.join(sorted(unknown))}")
        found = [mutant for mutant in found if mutant.kind in wanted]
    if not found:
        raise MutantError(f"{name_of(target)} has nothing to break by mutants of these kinds")
    return found


def _beside_rules(primitive: Primitive) -> list[Mutant]:
    try:
        cases = draw_cases(primitive, DRAWS) if primitive.domain else []
        found = mutants_beside_rules(primitive, cases)
    except Exception as error:
        raise MutantError(f"{primitive.name}: its domain draws what fails: {error}") from error
    # Eager code does not ask whether a primitive broadcasts; a mutant of its rules does the same.
    return [mutant for mutant in found if mutant.slot != "broadcasts"]


# What became of them --------------------------------------------------------------------------


def outcome_of(mutant: Mutant, noticed: bool) -> Outcome:
    """What became of a mutant, once a test has run with it."""
    became, why = ("caught", "") if noticed else _unnoticed(mutant)
    return Outcome(name_of(mutant.target), mutant.slot, mutant.kind, became, why)


def _unnoticed(mutant: Mutant) -> tuple[str, str]:
    watched = _watched_in(mutant)
    if watched and not any(w.called for w in watched):
        return "survived", NOT_CALLED
    if watched and _is_told_by_calls(mutant) and not any(w.has_effect() for w in watched):
        return "equivalent", ""
    if mutant.kind in OF_SECOND_ORDER and not any(w.traced for w in watched):
        return "survived", NOT_AGAIN
    return "survived", NOT_NOTICED


def _is_told_by_calls(mutant: Mutant) -> bool:
    """Whether the calls of a test show that a mutant changes nothing. Where it needs other dtypes,
    shapes or outputs to show, their absence is what is wrong with the test."""
    needs_shapes = mutant.kind == NOT_SUMMED and isinstance(mutant.target, Elementwise)
    needs_outputs = mutant.kind == OUTPUT_LOST and mutant.slot.startswith("vjps")
    return not (mutant.kind in OF_DTYPES or needs_shapes or needs_outputs)


def _watched_in(mutant: Mutant) -> list[Watched]:
    changed = [x.rule if isinstance(x, _EveryArgument) else x for x in mutant.changes.values()]
    return [x for x in dict.fromkeys(tree_leaves(changed)) if isinstance(x, Watched)]


class Watched:
    """A broken rule that remembers what it was called with."""

    def __init__(self, broken: Rule, rule: Rule):
        self.broken, self.rule = broken, rule
        self.called = self.traced = False
        self.calls: dict[Any, tuple[Any, dict]] = {}
        """The first call with arguments of each shape."""

    def __call__(self, *args: Any, **params: Any) -> Any:
        self.called = True
        leaves, structure = tree_flatten(args)
        self.traced |= any(map(_is_differentiated, leaves))
        shapes = (structure, *(getattr(x, "shape", ()) for x in leaves))
        if shapes not in self.calls and len(self.calls) < MOST_CALLS:
            with suppress(AbstractValue):
                plain = [_plain(x) if x.__class__ is Tensor else x for x in leaves]
                self.calls[shapes] = tree_unflatten(structure, plain), params
        return self.broken(*args, **params)

    def has_effect(self) -> bool:
        """Whether the broken rule differs from the right one near what it was called with; taken to
        be so where nothing is known, as `jit` calls it with what has no numbers."""
        found = [_has_effect(self.rule, self.broken, *call) for call in self.calls.values()]
        known = [effect for effect in found if effect is not None]
        return not known or any(known)


class AbstractValue(Exception):
    """A tensor has no numbers yet."""


def _is_differentiated(x: Any) -> bool:
    while x.__class__ is Tensor and x.interpreter is not None:
        if isinstance(x.interpreter, Reverse | Forward):
            return True
        x = x.value
    return False


def _plain(x: Tensor) -> Any:
    """The numbers under every trace; of the first element where `vmap` maps."""
    mapped = 0
    while x.interpreter is not None:
        mapped += isinstance(x.interpreter, Batching)
        x = x.value
        if x.__class__ is not Tensor:
            raise AbstractValue
    if x.value.__class__ in PYTHON_NUMBERS:
        return x.value
    if 0 in x.value.shape[:mapped]:
        raise AbstractValue
    return asarray(own(x.value[(0,) * mapped]))


def _has_effect(rule: Rule, broken: Rule, args: Any, params: dict) -> bool | None:
    """Whether two rules differ near some arguments, in value or in derivatives to the second; None
    where the right one gives no numbers."""
    steps = [h for h in (STEP, 0.0) if _is_finite(_derivative(rule, args, params, 0, h))]
    if not steps:
        return None
    scale = 0.0
    for order in range(3):
        expected, got = (_derivative(f, args, params, order, steps[0]) for f in (rule, broken))
        if expected is None or not _is_finite(expected):
            break
        scale = largest(scale, *expected)
        if got is None or _differ(expected, got, scale):
            return True
    return False


def _is_finite(found: Sequence[np.ndarray] | None) -> bool:
    return found is not None and all(np.isfinite(x).all() for x in found)


def _derivative(
    rule: Rule, args: Any, params: dict, order: int, step: float
) -> list[np.ndarray] | None:
    """What a rule gives a step away from some arguments; or the derivative, of an order from 1 on,
    of a weighted sum of that along a line; None where that raises. Random numbers are the same each
    time."""
    floats, rebuild = float_leaves(args)
    rng = np.random.default_rng(0)
    start = [_near(rng, to_host(x.data), step) for x in floats]
    towards = [np.asarray(rng.standard_normal(x.shape), x.dtype) for x in start]

    def at(t: Any) -> list[Tensor]:
        moved = [asarray(x) + astype(t, x.dtype) * d for x, d in zip(start, towards, strict=True)]
        leaves = map(asarray, tree_leaves(rule(*rebuild(moved), **params)))
        return [y for y in leaves if y.dtype.kind == "f"]

    def weighted(t: Any) -> Tensor:
        weights = np.random.default_rng(1)
        terms = [sum_of(y * weights.standard_normal(y.shape)) for y in at(t)]
        return sum(terms, start=asarray(0.0))

    try:
        with np.errstate(all="ignore"):
            if order == 0:
                return numbers(at(asarray(0.0)))
            f: Callable = weighted
            for _ in range(order):
                f = transforms.grad(f)
            return numbers([f(0.0)])
    except Exception:
        return None


def _near(rng: np.random.Generator, x: np.ndarray, step: float) -> np.ndarray:
    """Other numbers of the same signs: those of a test may be all alike."""
    moves = step * rng.standard_normal(x.shape)
    return np.asarray(np.where(x == 0, np.abs(moves), x * (1 + moves)), x.dtype)


def _differ(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray], scale: float) -> bool:
    """Whether anything differs; what one side does not give is zero on the other."""
    if len(xs) != len(ys):
        xs, ys = ([x for x in some if np.any(x)] for some in (xs, ys))
    return len(xs) != len(ys) or any(_differs(x, y, scale) for x, y in zip(xs, ys, strict=True))


def _differs(x: np.ndarray, y: np.ndarray, scale: float) -> bool:
    near = 1e-10 if x.dtype == np.float64 else 1e-5
    return x.shape != y.shape or not np.allclose(x, y, rtol=near, atol=near * scale)
