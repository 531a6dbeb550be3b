"""The laws notice broken rules: every mutant of every primitive is caught."""

import pytest

from autograd_core.primitive import REGISTRY
from autograd_core.testing.check import check_primitive
from autograd_core.testing.mutants import CAN_BE_EQUIVALENT, Outcome, summary, try_mutants
from autograd_core.testing.registry import import_everything


@pytest.mark.parametrize("name", import_everything())
def test_every_mutant_is_caught(name):
    check_primitive(REGISTRY[name], draws=6)  # or all would be "caught"
    outcomes = try_mutants(name)
    assert len(outcomes) > 8
    assert not [str(o) for o in outcomes if o.became == "survived"]
    without_effect = {o.kind for o in outcomes if o.became == "equivalent"}
    assert without_effect <= CAN_BE_EQUIVALENT


def test_a_mutant_leaves_the_primitive_as_it_was():
    before = dict(vars(REGISTRY["multiply"]))
    try_mutants("multiply", draws=2)
    assert vars(REGISTRY["multiply"]) == before


def test_the_summary_names_survivors():
    outcomes = [Outcome("sin", "batch", "negated", "survived"), Outcome("cos", "s", "k", "caught")]
    assert "SURVIVED: sin.batch: negated" in summary(outcomes)
    assert "cos" not in summary(outcomes)
