"""Complex numbers: what takes them, and what refuses them."""

import pytest

from autograd_core.errors import DtypeError
from autograd_core.primitive import REGISTRY, bind
from autograd_core.tensor import asarray
from autograd_core.testing.draw import RandomDraw
from autograd_core.testing.parts import with_imaginary_parts
from autograd_core.testing.registry import import_everything

REFUSED_BEFORE = {"absolute", "softmax", "log_softmax"}  # by the functions that apply them
NO_DOMAIN = {"complement"}  # takes complex numbers, but no law can be checked: phases are free
REAL_ONLY = [
    n
    for n in import_everything()
    if not REGISTRY[n].complex and REGISTRY[n].differentiable
    if n not in REFUSED_BEFORE | NO_DOMAIN
]


@pytest.mark.parametrize("name", REAL_ONLY)
def test_complex_numbers_are_refused_by_what_has_no_rules_for_them(name):
    args, params = with_imaginary_parts(REGISTRY[name].domain)(RandomDraw(0))
    if any(x.dtype.kind == "c" for x in args):
        with pytest.raises(DtypeError):
            bind(REGISTRY[name], [asarray(x) for x in args], params)
