"""Mutants of a primitive: the same primitive with one slot changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, starmap
from typing import Any

import numpy as np

from autograd_core.declare import Elementwise
from autograd_core.primitive import DROP, KEEP, LIKE, Primitive, _EveryArgument, bind, no_rule
from autograd_core.tensor import asarray
from autograd_core.testing.case import PrimitiveCase
from autograd_core.testing.mutants.changes import (
    BATCH_RESULTS,
    KERNELS,
    OF_ZERO,
    RULES,
    SHAPE_RESULTS,
    Rule,
    Wrap,
    float_leaves,
    imprecise,
    one_row,
    one_slice,
    output_lost,
    refuses,
    then,
    where_mixed,
)
from autograd_core.testing.numeric import direction

EXTRA_AXIS = "with an extra axis"
MODES = ("vjps", "jvps")
OUTPUT_LOST = "(co)tangent of an output lost"
NOT_SUMMED = "not summed"
Watch = Callable[[Rule, Rule], Rule]
"""`watch(broken, rule)` does what `broken` does, and may look on."""


@dataclass(frozen=True)
class Mutant:
    """A primitive, or a function with a rule of its own, and what to put in the place of some of
    its attributes."""

    target: Any
    kind: str
    slot: str
    changes: dict[str, Any]

    @contextmanager
    def applied(self) -> Iterator[None]:
        before = {name: getattr(self.target, name) for name in self.changes}
        try:
            for name, value in self.changes.items():
                setattr(self.target, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self.target, name, value)

    def __str__(self) -> str:
        return f"{name_of(self.target)}.{self.slot}: {self.kind}"


def name_of(target: Any) -> str:
    """The name of a primitive, or of a function."""
    if isinstance(target, Primitive):
        return target.name
    return getattr(target, "__name__", type(target).__name__)


def mutants_of(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> list[Mutant]:
    """The mutants of every slot that is used for arguments of the primitive's domain."""
    found: list[Mutant] = []
    if primitive.differentiable:
        for mode in MODES:
            found += _used_rules(primitive, mode, cases)
    return found + mutants_beside_rules(primitive, cases)


# Rules ----------------------------------------------------------------------------------------


def _used_rules(
    primitive: Primitive, mode: str, cases: Sequence[PrimitiveCase]
) -> Iterator[Mutant]:
    """Mutants of each rule that is called: not of those of integer arguments."""
    casts = any("dtype" in case.params for case in cases)
    single = ("in float64", "times 1 + 1e-3 in float32")
    used = {i for case in cases for i in (case.pulled if mode == "vjps" else case.pushed)}
    for i in range(1) if primitive.variadic else sorted(used):
        zero = not any(np.any(y) for case in cases for y in rule_result(case, mode, i))
        for kind, wrap in RULES.items():
            if casts and kind in single:  # the engine casts back what changed dtype
                continue
            if kind == EXTRA_AXIS and mode == "vjps" and all(_restored(case, i) for case in cases):
                continue
            if kind in OF_ZERO or not zero:
                yield _with_rule(primitive, (mode,), i, kind, wrap)
        if primitive.multiple:
            outs = cases[0].apply(cases[0].args)
            for k in (k for k, y in enumerate(outs) if y.dtype.kind == "f"):
                yield _with_rule(primitive, (mode,), i, OUTPUT_LOST, output_lost(k))
    yield from _swapped(primitive, (mode,), sorted(used))


def _restored(case: PrimitiveCase, i: int) -> bool:
    """Whether the engine casts and sums the cotangent of an argument back, as the output's dtype is
    another: an axis of length 1 changes nothing then."""
    return any(y.dtype != case.args[i].dtype for y in case.apply(case.args))


def mutants_of_rules(primitive: Primitive, outputs: int, watch: Watch) -> Iterator[Mutant]:
    """The mutants of the rules that a primitive's author wrote, made without its domain.

    A rule that serves both modes, such as a partial derivative, is broken in both at once.

    Args:
        primitive: any.
        outputs: how many it has, if it has several.
        watch: is given each broken rule, and the rule that it is made of.
    """
    written = list(_written(primitive)) if primitive.differentiable else []
    for modes, i in written:
        for kind, wrap in RULES.items():
            yield _with_rule(primitive, modes, i, kind, wrap, watch)
        for wrap in [output_lost(k) for k in range(outputs)]:
            yield _with_rule(primitive, modes, i, OUTPUT_LOST, wrap, watch)
        if "vjps" in modes:
            yield from _not_summed(primitive, i, watch)
    for modes in dict.fromkeys(modes for modes, _ in written):
        yield from _swapped(primitive, modes, [i for m, i in written if m == modes], watch)


def _written(primitive: Primitive) -> Iterator[tuple[tuple[str, ...], int]]:
    """The rules that somebody wrote: for which modes, and of which argument."""
    for i, (vjp, jvp) in enumerate(zip(*_rows(primitive), strict=True)):
        if vjp is jvp and not isinstance(vjp, no_rule):
            yield MODES, i
            continue
        for mode, rule in zip(MODES, (vjp, jvp), strict=True):
            if not (isinstance(rule, no_rule) or _is_derived(rule)):
                yield (mode,), i


def _rows(primitive: Primitive) -> list[Sequence[Rule]]:
    rows = [getattr(primitive, mode) for mode in MODES]
    return [[row.rule] for row in rows] if primitive.variadic else rows


def _is_derived(rule: Rule) -> bool:
    """Whether it is the operation itself, put there by `linear` or `bilinear`."""
    name = getattr(rule, "__qualname__", "")
    derived = name.startswith(("linear.<locals>.jvp", "bilinear.<locals>.jvp"))
    return derived and rule.__module__ == Elementwise.__module__


def _unwatched(broken: Rule, _rule: Rule) -> Rule:
    return broken


def _with_rule(
    primitive: Primitive,
    modes: Sequence[str],
    i: int,
    kind: str,
    wrap: Wrap,
    watch: Watch = _unwatched,
) -> Mutant:
    """The rule of argument i broken, the one that serves all of these modes."""
    rules: Any = getattr(primitive, modes[0])
    if primitive.variadic:
        one = rules.rule
        broken = watch(lambda j, *rest, **params: wrap(partial(one, j))(*rest, **params), one)
        changes: Any = {mode: _EveryArgument(broken) for mode in modes}
        return Mutant(primitive, kind, f"{_slot(modes)}[*]", changes)
    changes = _replaced(primitive, modes, {i: watch(wrap(rules[i]), rules[i])})
    return Mutant(primitive, kind, f"{_slot(modes)}[{i}]", changes)


def _slot(modes: Sequence[str]) -> str:
    return modes[0] if len(modes) == 1 else "rules"


def _replaced(
    primitive: Primitive, modes: Sequence[str], broken: dict[int, Rule]
) -> dict[str, tuple[Rule, ...]]:
    return {
        mode: tuple(broken.get(i, rule) for i, rule in enumerate(getattr(primitive, mode)))
        for mode in modes
    }


def _swapped(
    primitive: Primitive, modes: Sequence[str], used: list[int], watch: Watch = _unwatched
) -> Iterator[Mutant]:
    """Each rule in the place of that of the next argument."""
    rules: Any = getattr(primitive, modes[0])
    if primitive.variadic:
        one = rules.rule
        broken = watch(lambda j, *rest, **params: one(j ^ 1, *rest, **params), one)
        changes: Any = {mode: _EveryArgument(broken) for mode in modes}
        yield Mutant(primitive, "swapped", f"{_slot(modes)}[*]", changes)
        return
    for i, j in pairwise(used):
        a, b = rules[i], rules[j]
        if a is not b:
            changes = _replaced(primitive, modes, {i: watch(b, a), j: watch(a, b)})
            yield Mutant(primitive, "swapped", f"{_slot(modes)}[{i}, {j}]", changes)


def _not_summed(primitive: Primitive, i: int, watch: Watch) -> Iterator[Mutant]:
    """Where the tape sums over broadcast axes, it must do so without being asked to by a rule: an
    elementwise rule is made to leave nothing to sum. Other rules sum by themselves."""
    if not isinstance(primitive, Elementwise):
        yield _with_rule(primitive, ("vjps",), i, NOT_SUMMED, one_row, watch)
    elif primitive.broadcasts:
        rule = primitive.vjps[i]
        changes: Any = _replaced(primitive, ("vjps",), {i: watch(one_slice(rule, i), rule)})
        changes |= _reads_of(primitive, lambda k, code: max(code, LIKE) if k == i + 1 else code)
        yield Mutant(primitive, NOT_SUMMED, f"vjps[{i}]", changes)


# What a rule gives, called by itself ----------------------------------------------------------


def rule_result(
    case: PrimitiveCase, mode: str, i: int, step: float = 0.0, apart: bool = False
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


# Everything else ------------------------------------------------------------------------------


def mutants_beside_rules(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> list[Mutant]:
    """The mutants of what a tape keeps, of batching, shapes and kernels.

    Those that fail on some arguments alone are made where the cases have such arguments.
    """
    has_rules = any(not isinstance(r, no_rule) for row in _rows(primitive) for r in row)
    found = list(_tape_mutants(primitive, cases)) if has_rules else []
    for kind, change in BATCH_RESULTS.items():
        if kind != "detached" or has_rules:
            changes = {"batch": then(primitive.batch, change)}
            found.append(Mutant(primitive, kind, "batch", changes))
    found += _mixed_batch_mutants(primitive, cases)
    for kind, change in SHAPE_RESULTS.items():
        found.append(Mutant(primitive, kind, "shape", {"shape": then(primitive.shape, change)}))
    for kind, wrap in KERNELS.items():
        found.append(Mutant(primitive, kind, "kernel", {"kernel": wrap(primitive.kernel)}))
    found += _drawn_kernel_mutants(primitive, cases)
    return found


def _arity(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> int:
    """The largest number of arguments, as far as that is known."""
    declared = getattr(primitive, "arity", len(primitive.vjps))
    return max((case.arity for case in cases), default=declared)


def _mixed_batch_mutants(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> Iterator[Mutant]:
    """Batch rules that are wrong for some combinations of mapped arguments alone."""
    if _arity(primitive, cases) > 1:
        for kind, mixed in (("where some are mapped", True), ("where all are mapped", False)):
            changed = where_mixed(primitive.batch, mixed)
            yield Mutant(primitive, f"slices reversed {kind}", "batch", {"batch": changed})


def _drawn_kernel_mutants(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> Iterator[Mutant]:
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
    if any(y.dtype.kind == "f" and y.any() for y in in_single) and has_floats:  # 0 stays 0
        changed = imprecise(primitive.kernel)
        yield Mutant(primitive, "off by 1e-3 in float32", "kernel", {"kernel": changed})


def _tape_mutants(primitive: Primitive, cases: Sequence[PrimitiveCase]) -> Iterator[Mutant]:
    if primitive.broadcasts:
        yield Mutant(primitive, NOT_SUMMED, "broadcasts", {"broadcasts": False})
    arity = _arity(primitive, cases)
    if any(code != KEEP for codes in primitive.vjp_reads for code in codes[: arity + 1]):
        yield Mutant(primitive, "keeps all", "vjp_reads", _reads_of(primitive, lambda *_: KEEP))
    if any(code == KEEP for codes in primitive.vjp_reads for code in codes[: arity + 1]):
        yield Mutant(primitive, "keeps nothing", "vjp_reads", _reads_of(primitive, lambda *_: DROP))
    if any(code == KEEP for codes in primitive.jvp_reads for code in codes[: arity + 1]):
        nothing = tuple(tuple(DROP for _ in codes) for codes in primitive.jvp_reads)
        yield Mutant(primitive, "keeps nothing", "jvp_reads", {"jvp_reads": nothing})


def _reads_of(primitive: Primitive, code_of: Callable[[int, int], int]) -> dict[str, Any]:
    """What the tape keeps for reverse rules, changed: `code_of(k, code)` for item k of (out, *args)
    in the place of each code."""
    reads = tuple(tuple(starmap(code_of, enumerate(codes))) for codes in _padded(primitive))
    changes: dict[str, Any] = {"vjp_reads": reads}
    if isinstance(primitive, Elementwise):
        both = tuple(map(max, reads[0], reads[-1]))
        changes |= {"keep_left": reads[0], "keep_right": reads[-1], "keep_both": both}
    return changes


def _padded(primitive: Primitive) -> list[tuple[int, ...]]:
    """Codes of what reverse rules read, where the number of arguments is fixed one for each."""
    length = getattr(primitive, "arity", 0) + 1
    return [(*codes, *codes[-1:] * (length - len(codes))) for codes in primitive.vjp_reads]
