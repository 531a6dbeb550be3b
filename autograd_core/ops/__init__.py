"""The operations, by family: in each file primitives first, then what is composed of them."""

from autograd_core.ops import (
    arithmetic,
    contraction,
    conv,
    creation,
    curves,
    elementary,
    index,
    layout,
    linalg,
    methods,
    normalize,
    placement,
    products,
    reduce,
    selection,
    sorting,
    statistics,
    structural,
)
from autograd_core.ops.arithmetic import *  # noqa: F403
from autograd_core.ops.contraction import *  # noqa: F403
from autograd_core.ops.creation import *  # noqa: F403
from autograd_core.ops.curves import *  # noqa: F403
from autograd_core.ops.elementary import *  # noqa: F403
from autograd_core.ops.index import *  # noqa: F403
from autograd_core.ops.layout import *  # noqa: F403
from autograd_core.ops.linalg import *  # noqa: F403
from autograd_core.ops.normalize import *  # noqa: F403
from autograd_core.ops.placement import *  # noqa: F403
from autograd_core.ops.products import *  # noqa: F403
from autograd_core.ops.reduce import *  # noqa: F403
from autograd_core.ops.selection import *  # noqa: F403
from autograd_core.ops.sorting import *  # noqa: F403
from autograd_core.ops.statistics import *  # noqa: F403
from autograd_core.ops.structural import *  # noqa: F403

FAMILIES = (
    arithmetic,
    contraction,
    conv,
    creation,
    curves,
    elementary,
    index,
    layout,
    linalg,
    normalize,
    placement,
    products,
    reduce,
    selection,
    sorting,
    statistics,
    structural,
)

__all__ = sorted(name for family in FAMILIES for name in family.__all__)

methods.install()
