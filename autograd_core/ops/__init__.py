"""The operations, by family: in each file primitives first, then what is composed of them."""

from autograd_core.ops import (
    arithmetic,
    creation,
    elementary,
    index,
    methods,
    products,
    reduce,
    structural,
)
from autograd_core.ops.arithmetic import *  # noqa: F403
from autograd_core.ops.creation import *  # noqa: F403
from autograd_core.ops.elementary import *  # noqa: F403
from autograd_core.ops.index import *  # noqa: F403
from autograd_core.ops.products import *  # noqa: F403
from autograd_core.ops.reduce import *  # noqa: F403
from autograd_core.ops.structural import *  # noqa: F403

FAMILIES = (arithmetic, creation, elementary, index, products, reduce, structural)

__all__ = sorted(name for family in FAMILIES for name in family.__all__)

methods.install()
