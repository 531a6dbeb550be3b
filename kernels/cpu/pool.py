"""Pooling."""

import numpy as np

from kernels import reference
from kernels.cpu.conv import _result
from kernels.cpu.lazy import compiled, plain
from kernels.cpu.threads import split
from kernels.geometry import NO_PADDING, Padding, Pair, pooling_shape
