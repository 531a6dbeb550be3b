"""Broken rules, to show that the laws would notice: `python -m autograd_core.testing.mutants`.

A mutant is a registered primitive with one slot changed: a rule that returns something else, a
batch rule that mixes up its slices, a shape rule that lies, a kernel that writes where it may not.
`check_primitive` must raise for each of them. A mutant that survives is either a hole in the laws
or in the primitive's domain, or no change at all (a symmetric result, transposed); the latter is
told by calling the changed slot beside the original.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from autograd_core.declare import Elementwise
from autograd_core.primitive import DROP, KEEP, REGISTRY, Primitive, _EveryArgument, bind
from autograd_core.tensor import asarray
from autograd_core.testing.case import Case, numbers
from autograd_core.testing.check import check_cases, draw_cases
from autograd_core.testing.mutations import (
    BATCH_RESULTS,
    KERNELS,
    OF_ZERO,
    RULE_ARGUMENTS,
    RULE_RESULTS,
    SHAPE_RESULTS,
    float_leaves,
    imprecise,
    output_lost,
    refuses,
    then,
    where_mixed,
)
from autograd_core.testing.numeric import LawViolation, direction
from autograd_core.testing.registry import import_everything

DRAWS = 24
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


@dataclass(frozen=True)
class Mutant:
    """A primitive, and what to put in the place of some of its attributes."""

    primitive: Primitive
    kind: str
    slot: str
    changes: dict[str, Any]

    @contextmanager
    def applied(self) -> Iterator[None]:
        before = {name: getattr(self.primitive, name) for name in self.changes}
        try:
            for name, value in self.changes.items():
                setattr(self.primitive, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self.primitive, name, value)

    def __str__(self) -> str:
        return f"{self.primitive.name}.{self.slot}: {self.kind}"


# All mutants of a primitive -------------------------------------------------------------------


def mutants_of(primitive: Primitive, cases: Sequence[Case]) -> list[Mutant]:
    """The mutants of every slot that is used for arguments of the primitive's domain."""
    found: list[Mutant] = []
    if primitive.differentiable:
        for mode in ("vjps", "jvps"):
            found += _rule_mutants(primitive, mode, cases)
        found += _tape_mutants(primitive, cases)
    for kind, change in BATCH_RESULTS.items():
        if kind != "detached" or primitive.differentiable:
            changes = {"batch": then(primitive.batch, change)}
            found.append(Mutant(primitive, kind, "batch", changes))
    found += _mixed_batch_mutants(primitive, cases)
    for kind, change in SHAPE_RESULTS.items():
        found.append(Mutant(primitive, kind, "shape", {"shape": then(primitive.shape, change)}))
    for kind, wrap in KERNELS.items():
        found.append(Mutant(primitive, kind, "kernel", {"kernel": wrap(primitive.kernel)}))
    found += _drawn_kernel_mutants(primitive, cases)
    return found


def _mixed_batch_mutants(primitive: Primitive, cases: Sequence[Case]) -> Iterator[Mutant]:
    """Batch rules that are wrong for some combinations of mapped arguments alone."""
    if max(case.arity for case in cases) > 1:
        for kind, mixed in (("where some are mapped", True), ("where all are mapped", False)):
            changed = where_mixed(primitive.batch, mixed)
            yield Mutant(primitive, f"slices reversed {kind}", "batch", {"batch": changed})


def _drawn_kernel_mutants(primitive: Primitive, cases: Sequence[Case]) -> Iterator[Mutant]:
    """Kernels that fail on what the domain says they can do."""
    arrays = [x for case in cases for x in case.args]
    refused: dict[str, Callable[[Any], bool]] = {
        "refuses arrays without entries": lambda x: x.size == 0,
        "refuses arrays without axes": lambda x: x.ndim == 0,
        "refuses strides": lambda x: not x.flags.c_contiguous,
        "refuses float32": lambda x: x.dtype == np.float32,
    }
    has_floats = any(case.floats for case in cases)
    for kind, is_refused in refused.items():
        if any(map(is_refused, arrays)) or (kind == "refuses float32" and has_floats):
            changed = refuses(primitive.kernel, is_refused)
            yield Mutant(primitive, kind, "kernel", {"kernel": changed})
    in_single = [
        y for case in cases[:1] if "dtype" not in case.params for y in case.apply(case.args)
    ]
    if any(y.dtype.kind == "f" for y in in_single) and has_floats:
        changed = imprecise(primitive.kernel)
        yield Mutant(primitive, "off by 1e-3 in float32", "kernel", {"kernel": changed})


def _rule_mutants(primitive: Primitive, mode: str, cases: Sequence[Case]) -> Iterator[Mutant]:
    """Mutants of each rule that is called: not of those of integer arguments."""
    casts = any("dtype" in case.params for case in cases)
    single = ("in float64", "times 1 + 1e-3 in float32")
    used = {i for case in cases for i in (case.pulled if mode == "vjps" else case.pushed)}
    for i in range(1) if primitive.variadic else sorted(used):
        zero = not any(np.any(y) for case in cases for y in _rule_result(case, mode, i))
        for kind, change in RULE_RESULTS.items():
            if casts and kind in single:  # the engine casts back what changed dtype
                continue
            if kind in OF_ZERO or not zero:
                yield _with_rule(primitive, mode, i, kind, partial(then, change=change))
        for kind, wrap in RULE_ARGUMENTS.items() if not zero else ():
            yield _with_rule(primitive, mode, i, kind, wrap)
        if primitive.multiple:
            outs = cases[0].apply(cases[0].args)
            for k in (k for k, y in enumerate(outs) if y.dtype.kind == "f"):
                kind = "(co)tangent of an output lost"
                yield _with_rule(primitive, mode, i, kind, output_lost(k))
    yield from _swapped(primitive, mode, sorted(used))


def _with_rule(
    primitive: Primitive, mode: str, i: int, kind: str, wrap: Callable[[Callable], Callable]
) -> Mutant:
    rules: Any = getattr(primitive, mode)
    if primitive.variadic:
        one = rules.rule
        changed: Any = _EveryArgument(
            lambda j, *rest, **params: wrap(partial(one, j))(*rest, **params)
        )
        return Mutant(primitive, kind, f"{mode}[*]", {mode: changed})
    changed = list(rules)
    changed[i] = wrap(rules[i])
    return Mutant(primitive, kind, f"{mode}[{i}]", {mode: tuple(changed)})


def _swapped(primitive: Primitive, mode: str, used: list[int]) -> Iterator[Mutant]:
    """Each rule in the place of that of the next argument."""
    rules: Any = getattr(primitive, mode)
    if primitive.variadic:
        changed: Any = _EveryArgument(lambda j, *rest, **params: rules.rule(j ^ 1, *rest, **params))
        yield Mutant(primitive, "swapped", f"{mode}[*]", {mode: changed})
        return
    for i, j in pairwise(used):
        if rules[i] is not rules[j]:
            changed = list(rules)
            changed[i], changed[j] = rules[j], rules[i]
            yield Mutant(primitive, "swapped", f"{mode}[{i}, {j}]", {mode: tuple(changed)})


def _tape_mutants(primitive: Primitive, cases: Sequence[Case]) -> Iterator[Mutant]:
    if primitive.broadcasts:
        yield Mutant(primitive, "not summed", "broadcasts", {"broadcasts": False})
    arity = max(case.arity for case in cases)
    if any(code != KEEP for codes in primitive.vjp_reads for code in codes[: arity + 1]):
        yield Mutant(primitive, "keeps all", "vjp_reads", _reads(primitive, KEEP))
    if any(code == KEEP for codes in primitive.vjp_reads for code in codes[: arity + 1]):
        yield Mutant(primitive, "keeps nothing", "vjp_reads", _reads(primitive, DROP))
    if any(code == KEEP for codes in primitive.jvp_reads for code in codes[: arity + 1]):
        nothing = tuple(tuple(DROP for _ in codes) for codes in primitive.jvp_reads)
        yield Mutant(primitive, "keeps nothing", "jvp_reads", {"jvp_reads": nothing})


def _reads(primitive: Primitive, code: int) -> dict[str, Any]:
    reads = tuple(tuple(code for _ in codes) for codes in primitive.vjp_reads)
    changes: dict[str, Any] = {"vjp_reads": reads}
    if isinstance(primitive, Elementwise):
        changes |= {"keep_left": reads[0], "keep_right": reads[-1], "keep_both": reads[0]}
    return changes


# Are they caught? -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant: "caught", "survived", or "equivalent"; and by which law."""

    primitive: str
    slot: str
    kind: str
    became: str

    def __str__(self) -> str:
        return f"{self.primitive}.{self.slot}: {self.kind}"


def try_mutants(name: str, draws: int = DRAWS) -> list[Outcome]:
    """Feed every mutant of a primitive to its laws."""
    primitive = REGISTRY[name]
    cases = draw_cases(primitive, draws)
    return [
        Outcome(name, mutant.slot, mutant.kind, _fate(mutant, cases))
        for mutant in mutants_of(primitive, cases)
    ]


def _fate(mutant: Mutant, cases: Sequence[Case]) -> str:
    try:
        with mutant.applied(), np.errstate(all="ignore"):
            check_cases([case.renewed() for case in cases])
    except LawViolation:
        return "caught"
    with np.errstate(all="ignore"):
        if mutant.kind in CAN_BE_EQUIVALENT and not any(_has_effect(mutant, c) for c in cases):
            return "equivalent"
    return "survived"


def _has_effect(mutant: Mutant, case: Case) -> bool:
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
        _differ(*_with_and_without(mutant, partial(_rule_result, case, mode, i))) for i in places
    )


def _with_and_without(mutant: Mutant, call: Callable[[], Any]) -> tuple[Any, Any]:
    with mutant.applied():
        changed = call()
    return changed, call()


def _rule_result(
    case: Case, mode: str, i: int, step: float = 0.0, apart: bool = False
) -> list[np.ndarray]:
    """What the rule of argument i gives for a fixed direction, a step away from what it reads.

    With `apart` the output that it reads takes a step of its own, else it is that of the arguments.
    """
    tensors = [asarray(x) for x in case.args]
    out = bind(case.primitive, tensors, case.params)
    rng = np.random.default_rng(0)
    if mode == "jvps":
        g: Any = asarray(direction(rng, [case.args[i]])[0])
    else:
        outs = [np.asarray(y.data) for y in _as_tuple(out)]
        drawn = tuple(map(asarray, direction(rng, outs)))
        g = drawn if isinstance(out, tuple) else drawn[0]
    floats, rebuild = float_leaves([out, *tensors])
    towards = direction(rng, [np.asarray(x.data) for x in floats])
    values = rebuild([x + step * d for x, d in zip(floats, towards, strict=True)])
    if not apart:
        values[0] = bind(case.primitive, values[1:], case.params)
    result = getattr(case.primitive, mode)[i](g, *values, **case.params)
    likes: Any = tensors[i] if mode == "vjps" else out
    return [
        np.zeros(like.shape) if y is None else np.asarray(y.data)
        for y, like in zip(_as_tuple(result), _as_tuple(likes), strict=True)
    ]


def _as_tuple(x: Any) -> tuple:
    return x if isinstance(x, tuple) else (x,)


def _varies(case: Case, mode: str, i: int) -> bool:
    """Whether what a rule gives changes with what it reads: else detaching that has no effect."""
    return all(
        _differ(*(_rule_result(case, mode, i, k * case.step, apart) for k in (0, 1)))
        for apart in (False, True)
    )


def _curves(case: Case, mode: str, i: int) -> bool:
    """Whether what a rule gives is not an affine function of what it reads."""
    behind, here, ahead = (_rule_result(case, mode, i, k * case.step, True) for k in (-1, 0, 1))
    middle = [(a + b) / 2 for a, b in zip(behind, ahead, strict=True)]
    return _varies(case, mode, i) and _differ(middle, here)


def _differ(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> bool:
    return any(
        x.shape != y.shape or not np.allclose(x, y, rtol=1e-10, atol=1e-12, equal_nan=True)
        for x, y in zip(xs, ys, strict=True)
    )


# The command ----------------------------------------------------------------------------------


def try_all(names: Sequence[str], jobs: int = 1) -> list[Outcome]:
    """The outcomes of all mutants of some primitives, tried by `jobs` processes."""
    if jobs == 1:
        return [outcome for name in names for outcome in try_mutants(name)]
    with ProcessPoolExecutor(jobs) as pool:
        return [outcome for found in pool.map(try_mutants, names) for outcome in found]


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table of kinds, and the mutants that were not caught."""
    tried = Counter(o.kind for o in outcomes)
    became = Counter((o.kind, o.became) for o in outcomes)
    lines = [f"{'kind':28}{'tried':>7}{'caught':>8}{'no effect':>11}{'survived':>10}"]
    for kind in tried:
        counts = [became[kind, fate] for fate in ("caught", "equivalent", "survived")]
        lines.append(f"{kind:28}{tried[kind]:7}{counts[0]:8}{counts[1]:11}{counts[2]:10}")
    total = Counter(o.became for o in outcomes)
    lines.append(
        f"{'all':28}{len(outcomes):7}{total['caught']:8}{total['equivalent']:11}"
        f"{total['survived']:10}"
    )
    for fate, title in (("equivalent", "no effect"), ("survived", "SURVIVED")):
        lines += [f"{title}: {o}" for o in outcomes if o.became == fate]
    return "\n".join(lines)


def main() -> int:
    """Try all mutants of all primitives, or of those named; 1 where one survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("names", nargs="*", help="primitives (all by default)")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.perf_counter()
    outcomes = try_all(arguments.names or import_everything(), arguments.jobs)
    print(summary(outcomes))
    print(f"{time.perf_counter() - start:.0f} s")
    return int(any(o.became == "survived" for o in outcomes))


if __name__ == "__main__":
    sys.exit(main())
