"""metagrad's engine: tensors, operations, and transforms that differentiate and batch them.

    import autograd_core as ac
    ac.grad(lambda x: ac.sum(ac.sin(x) ** 2))(ac.asarray([1.0, 2.0]))

Transforms (`grad`, `vjp`, `jvp`, `vmap`, …) nest in any order and to any order of derivative.
"""

import math

from autograd_core import errors, fft, linalg, nn, ops, optim, random, special, tree
from autograd_core.capture import Explanation, cond, jit, scan, while_loop
from autograd_core.custom import checkpoint, custom_jvp, custom_vjp
from autograd_core.debug import debug_nans
from autograd_core.device import devices
from autograd_core.dlpack import from_dlpack
from autograd_core.dtypes import *  # noqa: F403
from autograd_core.dtypes import __all__ as _dtypes
from autograd_core.errors import (
    AutogradError,
    AxisError,
    ConcreteValueError,
    DeviceError,
    DeviceMemoryError,
    DonatedError,
    DtypeError,
    EscapedTracerError,
    NanError,
    RuleError,
    ShapeError,
)
from autograd_core.implicit import (
    conjugate_gradient,
    custom_fixed_point,
    custom_root,
    normal_conjugate_gradient,
)
from autograd_core.inspection import __array_namespace_info__
from autograd_core.ops import __all__ as _operations
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
from autograd_core.reverse import no_grad
from autograd_core.tensor import Tensor
from autograd_core.transforms import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)
from autograd_core.tree import tree_flatten, tree_leaves, tree_map, tree_unflatten

__version__ = "0.1.0"
__array_api_version__ = "2024.12"

e, pi, inf, nan, newaxis = math.e, math.pi, math.inf, math.nan, None

__all__ = [
    "AutogradError",
    "AxisError",
    "ConcreteValueError",
    "DeviceError",
    "DeviceMemoryError",
    "DonatedError",
    "DtypeError",
    "EscapedTracerError",
    "Explanation",
    "NanError",
    "RuleError",
    "ShapeError",
    "Tensor",
    "__array_api_version__",
    "__array_namespace_info__",
    "checkpoint",
    "cond",
    "conjugate_gradient",
    "custom_fixed_point",
    "custom_jvp",
    "custom_root",
    "custom_vjp",
    "debug_nans",
    "devices",
    "e",
    "errors",
    "fft",
    "from_dlpack",
    "grad",
    "hessian",
    "hvp",
    "inf",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "linalg",
    "linearize",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "normal_conjugate_gradient",
    "ops",
    "optim",
    "pi",
    "random",
    "scan",
    "special",
    "tree",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_unflatten",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
    *_dtypes,
    *_operations,
]
