"""Mutants of functions made by `custom_vjp` and `custom_jvp`: their one rule, broken leaf by leaf.

Derivatives of every order go through the rule that such a function holds as an attribute, so that a
mutant is the same function with another rule in that attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from autograd_core.custom import custom_jvp, custom_vjp
from autograd_core.tensor import asarray
from autograd_core.testing.mutants.changes import RULES, Rule, one_row
from autograd_core.testing.mutants.made import NOT_SUMMED, Mutant, Watch
from autograd_core.tree import tree_flatten, tree_leaves, tree_paths, tree_unflatten

NOT_BY_LEAF = frozenset({"removed"})
"""None in the place of a leaf is another tree, which raises; in that of an argument it is zero."""
NOT_LINEAR = frozenset({"plus 1e-3"})
"""Forward rules are linear: reverse mode cannot see what is added to them."""
PARTS = frozenset({"zero", "negated", "doubled", "times 1 + 1e-3", "times 1 + 1e-6"})
"""What can be wrong with what one argument adds to a tangent."""


class Place(NamedTuple):
    """A floating leaf of what a rule takes or gives."""

    of: str
    """"bwd": of the cotangents; "tangent": of the output's tangent; "part": of those taken."""
    argument: int
    leaf: int
    path: str

    def __str__(self) -> str:
        return self.path if self.of == "tangent" else f"{self.argument}{self.path}"


@contextmanager
def places_of(function: custom_vjp | custom_jvp) -> Iterator[list[Place]]:
    """A list that fills with the leaves that the function's rule meets in the block."""
    found: list[Place] = []
    attribute, rule = rule_of(function)

    def looking_on(*args: Any) -> Any:
        result = rule(*args)
        met = _of_cotangents(result) if attribute == "bwd" else _of_tangents(args[1], result[1])
        found.extend(place for place in met if place not in found)
        return result

    with Mutant(function, "none", attribute, {attribute: looking_on}).applied():
        yield found


def rule_of(function: custom_vjp | custom_jvp) -> tuple[str, Rule]:
    """The attribute that holds the function's rule, and the rule."""
    attribute = "bwd" if isinstance(function, custom_vjp) else "rule"
    return attribute, getattr(function, attribute)


def _of_cotangents(found: Any) -> list[Place]:
    return _float_leaves("bwd", _each_argument(found))


def _of_tangents(taken: Sequence, given: Any) -> list[Place]:
    parts = _float_leaves("part", taken)
    return _float_leaves("tangent", [given]) + (parts if len(parts) > 1 else [])


def _each_argument(found: Any) -> Sequence:
    """What a `bwd` returned: a cotangent for each argument, alone where there is one."""
    return found if isinstance(found, tuple | list) else (found,)


def _float_leaves(of: str, trees: Sequence) -> list[Place]:
    return [
        Place(of, i, k, path)
        for i, tree in enumerate(trees)
        for k, (leaf, path) in enumerate(zip(tree_leaves(tree), tree_paths(tree), strict=True))
        if asarray(leaf).dtype.kind == "f"
    ]


# The mutants ----------------------------------------------------------------------------------


def mutants_of_custom(
    function: custom_vjp | custom_jvp, places: Sequence[Place], watch: Watch
) -> Iterator[Mutant]:
    """The mutants of a function's rule at each place where it was seen to give or take something;
    without any of them, mutants of all that it gives.

    Args:
        function: made by `custom_vjp` or `custom_jvp`.
        places: see `places_of`.
        watch: is given each broken rule, and the rule that it is made of.
    """
    attribute, rule = rule_of(function)
    make = _broken_bwd if attribute == "bwd" else _broken_push

    def mutant(kind: str, slot: str, broken: Rule) -> Mutant:
        return Mutant(function, kind, slot, {attribute: watch(broken, rule)})

    whole = Place("bwd" if attribute == "bwd" else "tangent", 0, -1, "*")
    for place in places or [whole]:
        slot = f"{place.of}[{'*' if place is whole else place}]"
        for kind, wrap in RULES.items():
            if _is_possible(kind, place):
                yield mutant(kind, slot, make(rule, wrap, place))
        if place.of == "bwd":
            yield mutant(NOT_SUMMED, slot, make(rule, one_row, place))
    for a, b in pairwise(place for place in places if place.of != "tangent"):
        swap = _swapped_cotangents if a.of == "bwd" else _swapped_parts
        yield mutant("swapped", f"{a.of}[{a}, {b}]", partial(swap, rule, a, b))


def _is_possible(kind: str, place: Place) -> bool:
    if place.of == "bwd":
        return kind not in NOT_BY_LEAF
    return kind not in NOT_BY_LEAF | NOT_LINEAR and (place.of == "tangent" or kind in PARTS)


def _broken_bwd(bwd: Rule, wrap: Callable[[Rule], Rule], place: Place) -> Rule:
    """`bwd(residuals, cts)` with one leaf of what it returns from a broken one."""
    broken = wrap(lambda cts, residuals: bwd(residuals, cts))

    def changed(residuals: Any, cts: Any) -> Any:
        other = broken(cts, residuals)
        return other if place.leaf < 0 else _with_leaf(bwd(residuals, cts), other, place)

    return changed


def _broken_push(push: Rule, wrap: Callable[[Rule], Rule], place: Place) -> Rule:
    """`push(primals, tangents)` with one leaf of the tangents that it gives, or takes, broken."""
    broken = wrap(lambda tangents, primals: push(primals, tangents)[1])
    of_taken = wrap(lambda tangents: tangents)

    def changed(primals: Any, tangents: Any) -> tuple:
        if place.of == "part":
            return push(primals, _with_leaf(tangents, of_taken(tangents), place))
        out, tangent = push(primals, tangents)
        other = broken(tangents, primals)
        if place.leaf < 0:
            return out, other
        return out, _with_leaf((tangent,), (other,), place)[0]

    return changed


def _swapped_cotangents(bwd: Rule, a: Place, b: Place, residuals: Any, cts: Any) -> Any:
    return _exchanged(bwd(residuals, cts), a, b)


def _swapped_parts(push: Rule, a: Place, b: Place, primals: Any, tangents: Any) -> Any:
    return push(primals, _exchanged(tangents, a, b))


def _exchanged(found: Any, a: Place, b: Place) -> tuple:
    return _with(_with(found, a, _leaf(found, b)), b, _leaf(found, a))


def _with_leaf(found: Any, other: Any, place: Place) -> tuple:
    """`found` with the leaf of `other` at a place."""
    return _with(found, place, _leaf(other, place))


def _leaf(found: Any, place: Place) -> Any:
    leaves = tree_leaves(_each_argument(found)[place.argument])
    return leaves[place.leaf] if place.leaf < len(leaves) else None


def _with(found: Any, place: Place, leaf: Any) -> tuple:
    parts = list(_each_argument(found))
    leaves, structure = tree_flatten(parts[place.argument])
    if leaf is not None and place.leaf < len(leaves):  # else this call has no such place
        leaves[place.leaf] = leaf
        parts[place.argument] = tree_unflatten(structure, leaves)
    return tuple(parts)
