"""The operations, by family: in each file primitives first, then what is composed of them."""

from autograd_core.ops import (
    arithmetic,
    comparing,
    complex,
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
    positions,
    products,
    reduce,
    selection,
    sets,
    sorting,
    special,
    statistics,
    structural,
)
from autograd_core.ops.arithmetic import *  # noqa: F403
from autograd_core.ops.comparing import *  # noqa: F403
from autograd_core.ops.complex import *  # noqa: F403
from autograd_core.ops.contraction import *  # noqa: F403
from autograd_core.ops.creation import *  # noqa: F403
from autograd_core.ops.curves import *  # noqa: F403
from autograd_core.ops.elementary import *  # noqa: F403
from autograd_core.ops.index import *  # noqa: F403
from autograd_core.ops.layout import *  # noqa: F403
from autograd_core.ops.linalg import *  # noqa: F403
from autograd_core.ops.normalize import *  # noqa: F403
from autograd_core.ops.placement import *  # noqa: F403
from autograd_core.ops.positions import *  # noqa: F403
from autograd_core.ops.products import *  # noqa: F403
from autograd_core.ops.reduce import *  # noqa: F403
from autograd_core.ops.selection import *  # noqa: F403
from autograd_core.ops.sets import *  # noqa: F403
from autograd_core.ops.sorting import *  # noqa: F403
from autograd_core.ops.special import digamma, erf, erfc, lgamma, polygamma  # noqa: F401
from autograd_core.ops.statistics import *  # noqa: F403
from autograd_core.ops.structural import *  # noqa: F403

FAMILIES = (
    arithmetic,
    comparing,
    complex,
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
    positions,
    products,
    reduce,
    selection,
    sets,
    sorting,
    special,
    statistics,
    structural,
)

# `fft` is public as a namespace alone, `autograd_core.fft`, and so are the other special functions,
# as `autograd_core.special`.
_FLAT = ["digamma", "erf", "erfc", "lgamma", "polygamma"]
__all__ = sorted(
    name for family in FAMILIES for name in (_FLAT if family is special else family.__all__)
)

methods.install()
