"""What kernels ask of the arrays they work on."""

import numpy as np


def plain(array: np.ndarray) -> np.ndarray:
    """The array itself if it is C-contiguous and aligned, else a copy that is."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def result(
    out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype | type[np.generic]
) -> np.ndarray:
    """The array to fill: the caller's, or a new one.

    Raises:
        ValueError: the caller's does not fit.
    """
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"out has to be a C-contiguous array of shape {shape} and type {dtype}")
    return out
