"""Kernels for NumPy arrays: importing this package registers them.

What each computes, its arguments included, is documented once, in ``kernels.reference``.
"""

import numpy as np

from kernels.cpu import conv, pool, products, reduce, scatter, special
from kernels.dispatch import KERNELS

_MODULES = {
    conv: ("im2col", "col2im", "conv", "conv_input", "conv_weight"),
    pool: ("pool_argmax",),
    products: ("matmul",),
    reduce: ("sum_axes",),
    scatter: ("take_along", "index_add", "take_along_transpose", "scatter_add_nd"),
    special: (
        *("erf", "erfc", "erfinv", "erfcx", "erfcx_derivative", "ndtr", "log_ndtr"),
        *("lgamma", "digamma", "polygamma", "polygamma_drop", "betaln"),
        *("entr", "logit", "i0e", "i1e", "bessel_derivative"),
    ),
}

for _module, _names in _MODULES.items():
    for _name in _names:
        KERNELS[_name].register(np.ndarray, getattr(_module, _name))
