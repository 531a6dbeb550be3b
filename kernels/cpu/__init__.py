"""Kernels for NumPy arrays."""

import numpy as np

from kernels.cpu import conv
from kernels.dispatch import KERNELS

for _name, _implementation in {
    "im2col": conv.im2col,
    "col2im": conv.col2im,
    "conv": conv.conv,
    "conv_input": conv.conv_input,
    "conv_weight": conv.conv_weight,
}.items():
    KERNELS[_name].register(np.ndarray, _implementation)
