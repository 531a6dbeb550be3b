"""Checks of gradients: of any function, and of primitives against all laws.

from autograd_core.testing import check_grads, check_property, tensors

check_grads((f, vjp), x)  # in NumPy; f alone for this package's, PyTorch's and JAX's functions

@check_property(x=tensors(domain="x>0"))  # needs Hypothesis, as all strategies do
def test_mine(x): ...

check_primitive(my_primitive)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autograd_core.testing.case import Case, draw_case
from autograd_core.testing.check import check_case, check_primitive
from autograd_core.testing.domains import Domain
from autograd_core.testing.draw import Draw, RandomDraw
from autograd_core.testing.gradients import check_grads
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.profiles import profile
from autograd_core.testing.reports import GradientError, Report, UndecidedWarning

if TYPE_CHECKING:
    from autograd_core.testing.programs import random_programs
    from autograd_core.testing.properties import check_property
    from autograd_core.testing.strategies import (
        broadcastable,
        positive_definite,
        pytrees,
        tensors,
        well_separated,
    )

__all__ = [
    "Case",
    "Domain",
    "Draw",
    "GradientError",
    "LawViolation",
    "RandomDraw",
    "Report",
    "UndecidedWarning",
    "broadcastable",
    "check_case",
    "check_grads",
    "check_primitive",
    "check_property",
    "draw_case",
    "positive_definite",
    "profile",
    "pytrees",
    "random_programs",
    "tensors",
    "well_separated",
]

_WITH_HYPOTHESIS = {
    "broadcastable": "strategies",
    "check_property": "properties",
    "positive_definite": "strategies",
    "pytrees": "strategies",
    "random_programs": "programs",
    "tensors": "strategies",
    "well_separated": "strategies",
}


def __getattr__(name: str) -> Any:
    """What needs Hypothesis is imported when it is asked for."""
    if name not in _WITH_HYPOTHESIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_WITH_HYPOTHESIS[name]}")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        told = f"autograd_core.testing.{name} needs Hypothesis: pip install hypothesis"
        raise ModuleNotFoundError(told, name="hypothesis") from None
    return getattr(module, name)
