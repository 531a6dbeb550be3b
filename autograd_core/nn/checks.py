"""What the layers check of their arguments before they compute."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_integer
from typing import Any

import numpy as np

from autograd_core.errors import ShapeError
from autograd_core.tensor import Tensor, asarray


def promoted(*arrays: Any) -> list[Tensor]:
    """The arrays as tensors of their common floating dtype."""
    tensors = [asarray(x) for x in arrays]
    dtype = tensors[0].dtype
    if any(x.dtype != dtype for x in tensors) or dtype.kind != "f":
        dtype = np.result_type(*(x.dtype for x in tensors))
        dtype = dtype if dtype.kind == "f" else np.dtype(np.float64)
    return [asarray(x, dtype) for x in tensors]


def shape_error(name: str, problem: str, **arrays: Any) -> ShapeError:
    """An error that names the function, what is wrong, and the shapes of its arguments."""
    given = ", ".join(f"{key}: {tuple(x.shape)}" for key, x in arrays.items())
    return ShapeError(f"{name}: {problem} ({given})")


def check_rank(name: str, rank: int, **arrays: Tensor) -> None:
    """Raise ShapeError unless each array has `rank` axes."""
    for key, x in arrays.items():
        if x.ndim != rank:
            raise shape_error(name, f"{key} has {x.ndim} axes, expected {rank}", **arrays)


def as_pair(name: str, what: str, value: int | Sequence[int], rank: int = 2) -> tuple[int, int]:
    """A setting for rows and columns; for sequences (rank 1) that of rows is neutral.

    Raises:
        ShapeError: it has another length.
    """
    neutral = 0 if "padding" in what else 1
    values: list[Any] = [value] * rank if np.ndim(value) == 0 else list(value)  # type: ignore[arg-type]
    if len(values) != rank:
        raise ShapeError(f"{name}: expected one or {rank} numbers for {what}, got {value!r}")
    values = [as_integer(v) for v in values]
    if min(values) < neutral:
        raise ShapeError(f"{name}: {what} has to be at least {neutral}, got {value!r}")
    return (neutral, values[0]) if rank == 1 else (values[0], values[1])
