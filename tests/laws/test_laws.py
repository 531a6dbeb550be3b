"""Every registered primitive obeys every law, on arguments that Hypothesis draws."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_core.primitive import REGISTRY, Primitive, no_rule
from autograd_core.testing.case import Law, draw_case
from autograd_core.testing.check import check_complex, draw_cases
from autograd_core.testing.draw import RandomDraw
from autograd_core.testing.laws import HIGHER_LAWS, LAWS, kept_unread
from autograd_core.testing.parts import draw_complex_case
from autograd_core.testing.registry import import_everything
from autograd_core.testing.strategies import HypothesisDraw

NAMES = import_everything()
EXAMPLES = 20
EXAMPLES_OF_ORDER = {2: 10, 3: 4}

every_primitive = pytest.mark.parametrize("name", NAMES)


def check(law: Law, name: str, examples: int) -> None:
    """Check a law on examples that shrink where it fails.

    The property is made anew for each test: Hypothesis chains the settings of one that is run a
    thousand times into a recursion error.
    """

    @settings(max_examples=examples)
    @given(data=st.data())
    def holds(data):
        law(draw_case(REGISTRY[name], HypothesisDraw(data)))

    holds()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@every_primitive
def test_law(name, law):
    check(law, name, EXAMPLES)


@pytest.mark.parametrize("order", sorted(HIGHER_LAWS))
@every_primitive
def test_higher_order(name, order):
    check(HIGHER_LAWS[order], name, EXAMPLES_OF_ORDER[order])


@every_primitive
def test_tape_keeps_nothing_that_no_rule_reads(name):
    cases = draw_cases(REGISTRY[name], 12)
    assert set.intersection(*map(kept_unread, cases)) == set()


@every_primitive
def test_every_slot_is_filled(name):
    primitive = REGISTRY[name]
    assert callable(primitive.domain), "no domain: no law was checked"
    for slot in ("kernel", "shape", "batch"):
        assert callable(getattr(primitive, slot)), slot
    for rule in (*_rules(primitive), primitive.batch, primitive.shape):
        assert callable(rule)
        assert not isinstance(rule, no_rule) or len(rule.why) > 10, "no_rule must say why"


@every_primitive
def test_every_argument_has_its_rules(name):
    primitive = REGISTRY[name]
    if primitive.differentiable and not primitive.variadic:
        for case in draw_cases(primitive, 3):
            assert len(primitive.vjps) == len(primitive.jvps) == len(case.args)


def _rules(primitive: Primitive) -> list:
    if not primitive.differentiable:
        assert not primitive.vjps and not primitive.jvps
        return []
    return (
        [primitive.vjps[0], primitive.jvps[0]]
        if primitive.variadic
        else [
            *primitive.vjps,
            *primitive.jvps,
        ]
    )


def test_no_primitive_is_left_out():
    """A fresh process, as other tests may register primitives of their own in this one."""
    code = (
        "from autograd_core.testing.registry import import_everything; print(*import_everything())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(found) > 50
    assert [name for name in found if name not in NAMES] == []
    for test in (test_law, test_higher_order, test_every_slot_is_filled):
        assert NAMES in [mark.args[1] for mark in test.pytestmark], test.__name__


COMPLEX = [n for n in NAMES if REGISTRY[n].complex and REGISTRY[n].differentiable]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", COMPLEX)
def test_complex(name, seed):
    case = draw_complex_case(REGISTRY[name], RandomDraw(seed))
    check_complex(case, (1, 2) if seed else (1, 2, 3))
