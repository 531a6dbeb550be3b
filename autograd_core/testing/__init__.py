"""Checks of primitives against the laws of differentiation and batching.

from autograd_core.testing import check_primitive
check_primitive(my_primitive)
"""

from autograd_core.testing.case import Case, draw_case
from autograd_core.testing.check import check_case, check_primitive
from autograd_core.testing.draw import Draw, RandomDraw
from autograd_core.testing.numeric import LawViolation

__all__ = [
    "Case",
    "Draw",
    "LawViolation",
    "RandomDraw",
    "check_case",
    "check_primitive",
    "draw_case",
]
