"""Kernels written by hand: the files of `cuda/`, and the arguments of what is in them."""

from __future__ import annotations

import ctypes

import numpy as np

from kernels.cpu import special
from kernels.geometry import NO_PADDING, Padding, Pair
from kernels.gpu.launch import TYPES
from kernels.gpu.source import text_of

FILES = {
    "windows.cu": ("im2col", "col2im", "pool_argmax"),
    "scatter.cu": ("take_along", "add_sorted", "add_along"),
    "atomics.cu": ("add_atomically",),
    "random.cu": ("random_bits", "random_children"),
    "episodes.cu": ("gather_bytes", "gather_images"),
    "special.cu": tuple(
        f"{name}_each"
        for name in (
            *("erf", "erfc", "erfinv", "erfcx", "erfcx_derivative", "ndtr", "log_ndtr"),
            *("lgamma", "digamma", "polygamma", "polygamma_drop", "betaln"),
            *("entr", "logit", "i0e", "i1e", "bessel_derivative"),
        )
    ),
    "norm.cu": ("batch_norm", "batch_norm_vjp", "batch_norm_vjp_vjp"),
    "table.cu": ("write_words",),
    "softmax.cu": ("softmax", "log_softmax", "cross_entropy", "cross_entropy_vjp"),
}
"""The kernels of each file."""


def source(file: str, dtype: str = "f4") -> str:
    """A file's text for a dtype, f4 or f8."""
    before = _coefficients() if file == "special.cu" else ""
    return f"typedef {TYPES[dtype]} real;\n{before}{text_of(file)}"


def _coefficients() -> str:
    """Those of the CPU's special functions, exactly."""
    names = (
        *("DIGAMMA_ROOT", "DIGAMMA_ROOT_REST", "DIGAMMA_FROM_ROOT", "DIGAMMA_AT_INFINITY"),
        *("PI_REST", "LOG_2", "ARTANH", "CANCELS", "FACTORIALS", "NEAR_COUNT", "HALF_COUNT"),
        *("EULER_MACLAURIN", "WIDE_EULER_MACLAURIN", "STIRLING", "STIRLING_FAR", "WIDE_STIRLING"),
        *("HALF_LOG_2_PI", "SQRT_HALF", "ERFCX", "LAPLACE_NODES"),
        *("I0_NEAR", "I1_NEAR", "I0E_FAR", "I1E_FAR", "BESSEL_NODES", "BESSEL_FAR_COUNT"),
    )
    lines = []
    for name in names:
        numbers = ", ".join(float(x).hex() for x in np.ravel(getattr(special, name)))
        lines.append(f"static __device__ const double {name}[] = {{{numbers}}};")
    return "\n".join(lines) + "\n"


class Words(ctypes.Structure):
    """Numbers that a launch brings along, as `table.cu` has them."""

    MOST = 256
    _fields_ = (("at", ctypes.c_uint64 * MOST),)


class WindowSizes(ctypes.Structure):
    """The sizes that kernels of windows take, as `windows.cu` has them."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("images", "height", "width", "channels")),
        *((name, ctypes.c_int) for name in ("rows", "columns", "tall", "wide", "down", "right")),
        *((name, ctypes.c_int) for name in ("top", "left", "dilated_down", "dilated_right")),
        ("strides", ctypes.c_int64 * 4),
    )


def window_sizes(
    shape: tuple[int, ...],
    windows: Pair,
    window: Pair,
    stride: Pair,
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    strides: tuple[int, ...] | None = None,
) -> WindowSizes:
    """Sizes of images (N, H, W, C) and of windows on them.

    Args:
        shape: of the images.
        windows: how many fit, down and across.
        strides: of the images, in entries; without gaps where not given.
    """
    if strides is None:
        _, height, width, channels = shape
        strides = (height * width * channels, width * channels, channels, 1)
    start = padding[0][0], padding[1][0]
    numbers = (*shape, *windows, *window, *stride, *start, *dilation)
    return WindowSizes(*numbers, (ctypes.c_int64 * 4)(*strides))
