"""Array-level compute: raw arrays in, raw arrays out, no derivatives.

Each kernel is called like a function and picks its implementation by the type of its first
array; its docstring says what it computes. Images are channels-last. Elementwise arithmetic is
not here: NumPy's ufuncs already dispatch by array type.
"""

from kernels import reference
from kernels.dispatch import Kernel
from kernels.geometry import output_shape
from kernels.memory import keep_freed_memory

keep_freed_memory()

im2col = Kernel("im2col", reference.im2col)
col2im = Kernel("col2im", reference.col2im)
conv = Kernel("conv", reference.conv)
conv_input = Kernel("conv_input", reference.conv_input)
conv_weight = Kernel("conv_weight", reference.conv_weight)
pool_argmax = Kernel("pool_argmax", reference.pool_argmax)
matmul = Kernel("matmul", reference.matmul)
sum_axes = Kernel("sum_axes", reference.sum_axes)
softmax = Kernel("softmax", reference.softmax)
log_softmax = Kernel("log_softmax", reference.log_softmax)
take_along = Kernel("take_along", reference.take_along)
index_add = Kernel("index_add", reference.index_add)
take_along_transpose = Kernel("take_along_transpose", reference.take_along_transpose)
scatter_add_nd = Kernel("scatter_add_nd", reference.scatter_add_nd)
gather_images = Kernel("gather_images", reference.gather_images)
random_bits = Kernel("random_bits", reference.random_bits)
random_children = Kernel("random_children", reference.random_children)
erf = Kernel("erf", reference.erf)
erfc = Kernel("erfc", reference.erfc)
erfinv = Kernel("erfinv", reference.erfinv)
lgamma = Kernel("lgamma", reference.lgamma)
digamma = Kernel("digamma", reference.digamma)
polygamma = Kernel("polygamma", reference.polygamma, position=1)
erfcx = Kernel("erfcx", reference.erfcx)
ndtr = Kernel("ndtr", reference.ndtr)
log_ndtr = Kernel("log_ndtr", reference.log_ndtr)
entr = Kernel("entr", reference.entr)
logit = Kernel("logit", reference.logit)
i0e = Kernel("i0e", reference.i0e)
i1e = Kernel("i1e", reference.i1e)
betaln = Kernel("betaln", reference.betaln)
erfcx_derivative = Kernel("erfcx_derivative", reference.erfcx_derivative, position=1)
bessel_derivative = Kernel("bessel_derivative", reference.bessel_derivative, position=2)
polygamma_drop = Kernel("polygamma_drop", reference.polygamma_drop, position=1)

__all__ = [
    "Kernel",
    "bessel_derivative",
    "betaln",
    "col2im",
    "conv",
    "conv_input",
    "conv_weight",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfcx_derivative",
    "erfinv",
    "gather_images",
    "i0e",
    "i1e",
    "im2col",
    "index_add",
    "lgamma",
    "log_ndtr",
    "log_softmax",
    "logit",
    "matmul",
    "ndtr",
    "output_shape",
    "polygamma",
    "polygamma_drop",
    "pool_argmax",
    "random_bits",
    "random_children",
    "scatter_add_nd",
    "softmax",
    "sum_axes",
    "take_along",
    "take_along_transpose",
]
