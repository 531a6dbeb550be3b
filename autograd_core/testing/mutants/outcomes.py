"""What became of mutants: in tables, and in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

NOT_CALLED = "no test calls it"
NOT_AGAIN = "no test differentiates it again"
NOT_NOTICED = "no test noticed"

PLACES = {
    "rules": "the rule{s} of argument{s} {}, both modes",
    "vjps": "the rule{s} of argument{s} {}, reverse mode",
    "jvps": "the rule{s} of argument{s} {}, forward mode",
    "bwd": "the cotangent{s} of argument{s} {}",
    "tangent": "the tangent of the output {}",
    "part": "what argument{s} {} add{t} to the tangent",
    "batch": "the batching rule",
    "shape": "the shape rule",
    "kernel": "the kernel",
    "vjp_reads": "what the tape keeps for reverse rules",
    "jvp_reads": "what the tape keeps for forward rules",
}
CHANGES = {
    "zero": "replaced by zeros",
    "removed": "left out",
    "negated": "with the sign turned",
    "doubled": "scaled by 2",
    "times 1 + 1e-3": "scaled by 1 + 1e-3",
    "times 1 + 1e-6": "scaled by 1 + 1e-6",
    "times 1 + 1e-3 in float32": "scaled by 1 + 1e-3 in single precision",
    "rolled": "with its entries moved by one place",
    "in float64": "in double precision whatever it is given",
    "plus 1e-3": "with 1e-3 added",
    "values linearised": "wrong from the third derivative on",
    "values detached": "wrong from the second derivative on (what it reads is detached)",
    "direction detached": "wrong from the second derivative on (what it is given is detached)",
    "swapped": "exchanged",
    "not summed": "not summed over axes that were broadcast",
    "(co)tangent of an output lost": "without what one of the outputs adds",
}
"""The kinds whose names do not say it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant: "caught", "survived", or "equivalent" where it changes nothing."""

    primitive: str
    slot: str
    kind: str
    became: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.primitive}.{self.slot}: {self.kind}"

    @property
    def place(self) -> str:
        """What was broken, in words."""
        name, inside = re.fullmatch(r"(\w+)(?:\[(.*)\])?", self.slot, re.DOTALL).groups()  # type: ignore[union-attr]
        several = self.kind == "swapped"
        words = PLACES.get(name, name)
        if inside == "*":
            words, inside = words.replace("argument{s} {}", "every argument"), ""
        for mark, text in (("{s}", "s" * several), ("{t}", "s" * (not several))):
            words = words.replace(mark, text)
        return words.replace("{}", inside or "").strip()

    @property
    def words(self) -> str:
        """What was broken, how, and why nobody saw it if that can be told."""
        said = f"{self.place}, {CHANGES.get(self.kind, self.kind)}"
        return f"{said}: {self.why}" if self.why else said


def table(outcomes: Sequence[Outcome]) -> str:
    """How many mutants of each kind were tried, and what became of them."""
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
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """A table of kinds, and the mutants that were not caught."""
    lines = [table(outcomes)]
    for fate, title in (("equivalent", "no effect"), ("survived", "SURVIVED")):
        lines += [f"{title}: {o}" for o in outcomes if o.became == fate]
    return "\n".join(lines)


def in_words(outcomes: Sequence[Outcome]) -> str:
    """A table of kinds, and what each mutant that lived is; one line for all those of a rule that
    no test calls."""
    name = outcomes[0].primitive
    lived = [o for o in outcomes if o.became == "survived"]
    uncalled = Counter(o.place for o in lived if o.why == NOT_CALLED)
    lines = [f"{place}: {NOT_CALLED} ({n} mutant{'s' * (n > 1)})" for place, n in uncalled.items()]
    lines += [o.words for o in lived if o.why != NOT_CALLED]
    without = [o.words for o in outcomes if o.became == "equivalent"]
    verdict = f"{len(lived) or 'None'} of {len(outcomes)} mutants of {name} survived"
    return "\n".join(
        [
            table(outcomes),
            *_listed(f"No effect near what the tests call {name} with", without),
            *(_listed(verdict, lines) or [verdict]),
        ]
    )


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []
