"""Every primitive obeys every law on a GPU; where there is none, on what stands in for CuPy."""

from dataclasses import replace

import pytest

from autograd_core.primitive import REGISTRY
from autograd_core.testing.check import draw_cases
from autograd_core.testing.laws import HIGHER_LAWS, LAWS
from autograd_core.testing.laws.capture import captured
from autograd_core.testing.registry import import_everything
from tests.gpu.harness import needs_host_compiler

NAMES = import_everything()
DRAWS = 3

pytestmark = needs_host_compiler


@pytest.mark.parametrize("name", NAMES)
def test_laws(name, cuda):
    for number, case in enumerate(draw_cases(REGISTRY[name], DRAWS)):
        case = replace(case, device=cuda)
        higher = [HIGHER_LAWS[2], HIGHER_LAWS[3]] if number == 0 else [HIGHER_LAWS[2]]
        for law in (*LAWS, *higher):
            if name != "to_device" or law is not captured:  # a program stays where it is
                law(case)
