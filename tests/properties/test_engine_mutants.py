"""The random programs and the laws notice an engine that mixes up levels, axes or tangents."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from autograd_core import custom, reverse, transforms
from autograd_core.forward import Forward
from autograd_core.ops import stop_gradient
from autograd_core.primitive import REGISTRY
from autograd_core.reverse import Linearizing, Reverse, keep_plan
from autograd_core.tensor import Tensor
from autograd_core.testing import LawViolation, check_primitive
from tests.properties.test_random_programs import arguments, check, programs


def confused(interpreter):
    """Strips what other interpreters of this kind attached: their variables become constants."""
    process = interpreter.process

    def strip(x, own):
        other = (
            x.__class__ is Tensor
            and isinstance(x.interpreter, interpreter)
            and x.interpreter is not own
        )
        return x.value if other else x

    def processed(self, primitive, args, params):
        return process(self, primitive, tuple(strip(x, self) for x in args), params)

    return {"process": processed}


def always_first(trace, y, axis, name, unmap=transforms._unmap):
    return unmap(trace, y, None if axis is None else 0, name)


def forgetful(self, args, tangents, forward=custom.Checkpoint.forward):
    stopped = tuple(stop_gradient(x) if x.__class__ is Tensor else x for x in args)
    return forward(self, stopped, tangents)


def unshaped(_self, primitive, traced):
    return keep_plan(primitive.jvp_reads, traced)


MUTANTS = {
    "reverse levels confused": (Reverse, confused(Reverse)),
    "forward levels confused": (Forward, confused(Forward)),
    "out_axes ignored": (transforms, {"_unmap": always_first}),
    "checkpoint forgets its arguments' history": (custom.Checkpoint, {"forward": forgetful}),
    "tangents are not broadcast": (Forward, {"conform": staticmethod(lambda t, _primal: t)}),
}


SEEN_BY_LAWS = {
    "tangents are not broadcast": MUTANTS["tangents are not broadcast"],
    "linearize does not broadcast tangents": (Linearizing, {"what_to_keep": unshaped}),
    "cotangents are not summed back": (reverse, {"restore": lambda ct, _like: ct}),
    "nodes keep everything": (reverse, {"kept": lambda x, _how: x}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_random_programs_notice(name, monkeypatch):
    target, changes = MUTANTS[name]
    for attribute, value in changes.items():
        monkeypatch.setattr(target, attribute, value)

    @settings(max_examples=5000, phases=[Phase.generate])
    @given(data=st.data())
    def agrees(data):
        x = data.draw(arguments())
        check(data.draw(programs(3, x.shape)), x)

    with pytest.raises(Exception):  # noqa: B017 - wrong numbers, or shapes that no longer fit
        agrees()


@pytest.mark.parametrize("name", SEEN_BY_LAWS)
def test_the_laws_notice(name, monkeypatch):
    target, changes = SEEN_BY_LAWS[name]
    check_primitive(REGISTRY["add"])
    check_primitive(REGISTRY["matmul"])
    for attribute, value in changes.items():
        monkeypatch.setattr(target, attribute, value)
    with pytest.raises(LawViolation):
        check_primitive(REGISTRY["add"])
        check_primitive(REGISTRY["matmul"])
