"""Checks of gradients: of any function, and of primitives against all laws.

from autograd_core.testing import check_grads, check_primitive
check_grads((f, vjp), x)  # in NumPy; f alone for this package's, PyTorch's and JAX's functions
check_primitive(my_primitive)
"""

from autograd_core.testing.case import Case, draw_case
from autograd_core.testing.check import check_case, check_primitive
from autograd_core.testing.draw import Draw, RandomDraw
from autograd_core.testing.gradients import check_grads
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.reports import GradientError, Report, UndecidedWarning

__all__ = [
    "Case",
    "Draw",
    "GradientError",
    "LawViolation",
    "RandomDraw",
    "Report",
    "UndecidedWarning",
    "check_case",
    "check_grads",
    "check_primitive",
    "draw_case",
]
