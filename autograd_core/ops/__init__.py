"""The operations, by family: in each file primitives first, then what is composed of them."""

from autograd_core.ops import (
    arithmetic,
    complex,
    contraction,
    conv,
    creation,
    elementary,
    fft,
    index,
    layout,
    linalg,
    methods,
    normalize,
    placement,
    products,
    reduce,
    sets,
    sorting,
    structural,
)
from autograd_core.ops.arithmetic import *  # noqa: F403
from autograd_core.ops.complex import *  # noqa: F403
from autograd_core.ops.contraction import *  # noqa: F403
from autograd_core.ops.creation import *  # noqa: F403
from autograd_core.ops.elementary import *  # noqa: F403
from autograd_core.ops.index import *  # noqa: F403
from autograd_core.ops.layout import *  # noqa: F403
from autograd_core.ops.linalg import *  # noqa: F403
from autograd_core.ops.normalize import *  # noqa: F403
from autograd_core.ops.placement import *  # noqa: F403
from autograd_core.ops.products import *  # noqa: F403
from autograd_core.ops.reduce import *  # noqa: F403
from autograd_core.ops.sets import *  # noqa: F403
from autograd_core.ops.sorting import *  # noqa: F403
from autograd_core.ops.structural import *  # noqa: F403

FAMILIES = (
    arithmetic,
    complex,
    contraction,
    conv,
    creation,
    elementary,
    index,
    layout,
    linalg,
    normalize,
    placement,
    products,
    reduce,
    sets,
    sorting,
    structural,
)

NAMESPACES = {"fft": fft}
"""Families whose operations are public in a namespace of their own: `autograd_core.fft.fft`."""

__all__ = sorted(name for family in FAMILIES for name in family.__all__)

methods.install()
