"""Normalisation: entries brought to mean 0 and variance 1 over some axes.

None of these keeps state, and none has a mode it could be left in by mistake: `batch_norm` is told
in each call what to normalise with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from autograd_core.errors import ShapeError
from autograd_core.nn.checks import promoted, shape_error
from autograd_core.ops.arithmetic import sqrt, square
from autograd_core.ops.reduce import mean
from autograd_core.ops.structural import normalize_axes, reshape, slice_axis, stop_gradient
from autograd_core.tensor import Tensor, asarray


class Statistics(NamedTuple):
    """Mean and (biased) variance of each channel, both (C,)."""

    mean: Any
    var: Any


BATCH = "batch"
"""`batch_norm(statistics=BATCH)`: normalise with the statistics of x itself."""


def batch_norm(
    x: Any,
    scale: Any = None,
    shift: Any = None,
    *,
    statistics: Any,
    eps: float = 1e-5,
    return_statistics: bool = False,
) -> Any:
    """Normalise each channel, over the batch and all positions.

    (x - mean) / √(var + eps) · scale + shift. Ioffe and Szegedy, "Batch normalization" (2015).

    Args:
        x: (N, C, …).
        scale, shift: (C,); none by default.
        statistics: `"batch"` for the mean and variance of x itself (in training; in meta-learning
            often in evaluation too, "transductively"), or `(mean, var)`, each (C,), such as running
            averages.
        eps: added to the variance.
        return_statistics: return `(result, Statistics(mean, var))`: those that were used.

    Returns:
        The shape of x.

    Raises:
        ShapeError: the shapes do not fit, or one entry a channel has no variance to divide by.

    >>> x = ac.asarray([[1.0, 10.0], [3.0, 30.0]])
    >>> y, used = ac.nn.batch_norm(x, statistics="batch", return_statistics=True)
    >>> y, used.mean, used.var
    (Tensor([[-1., -1.],
            [ 1.,  1.]], dtype=float64), Tensor([ 2., 20.], dtype=float64),
             Tensor([  1., 100.], dtype=float64))
    >>> ac.nn.batch_norm(x, statistics=(ac.zeros(2), ac.ones(2)), eps=0.0)
    Tensor([[ 1., 10.],
            [ 3., 30.]], dtype=float64)
    """
    (x,) = promoted(x)
    if x.ndim < 2:
        raise shape_error("batch_norm", "expected x (N, C, …)", x=x)
    scale, shift = (_per_channel("batch_norm", x, v) for v in (scale, shift))
    if isinstance(statistics, str):
        if statistics != BATCH:
            raise ValueError(
                f'batch_norm: statistics is "batch" or (mean, var), got {statistics!r}'
            )
        axes = tuple(i for i in range(x.ndim) if i != 1)
        if math.prod(x.shape[i] for i in axes) < 2:
            raise shape_error("batch_norm", "statistics need two entries a channel or more", x=x)
        pivot, x, offset, var = _moments(x, axes)
        centre = pivot + offset
    else:
        centre, var = (_per_channel("batch_norm", x, v) for v in statistics)
        x, offset = x - centre, asarray(0.0, x.dtype)
    out = _rescaled(x, offset, var, scale, shift, eps)
    if not return_statistics:
        return out
    return out, Statistics(reshape(centre, (-1,)), reshape(var, (-1,)))


def running_statistics(running: Any, batch: Any, count: int, momentum: float = 0.1) -> Statistics:
    """Running averages of statistics, after one more batch, as PyTorch keeps them.

    Args:
        running: (mean, var) so far.
        batch: (mean, var) of the batch, as `batch_norm` returns them.
        count: entries a channel in the batch (N · H · W), for the unbiased variance.
        momentum: the weight of the batch.

    >>> batch = ac.nn.Statistics(mean=ac.asarray([10.0]), var=ac.asarray([3.0]))
    >>> ac.nn.running_statistics((ac.zeros(1), ac.ones(1)), batch, count=4)
    Statistics(mean=Tensor([1.], dtype=float64), var=Tensor([1.3], dtype=float64))
    """
    unbiased = batch[1] * (count / (count - 1))
    return Statistics(
        (1 - momentum) * running[0] + momentum * batch[0],
        (1 - momentum) * running[1] + momentum * unbiased,
    )


def layer_norm(
    x: Any, axes: int | Sequence[int] = -1, scale: Any = None, shift: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each example over some of its axes.

    Ba, Kiros and Hinton, "Layer normalization" (2016).

    Args:
        x: any shape.
        axes: what to normalise over; the last axis by default.
        scale, shift: arrays that broadcast against x, such as one number for each entry of the
            last axis.
        eps: added to the variance.

    >>> ac.nn.layer_norm(ac.asarray([[1.0, 3.0], [10.0, 30.0]]))
    Tensor([[-1.,  1.],
            [-1.,  1.]], dtype=float64)
    """
    (x,) = promoted(x)
    _, x, offset, var = _moments(x, normalize_axes(axes, x.ndim))
    return _affine(_rescaled(x, offset, var, None, None, eps), scale, shift)


def group_norm(
    x: Any, groups: int, scale: Any = None, shift: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each example over groups of channels and all positions.

    Wu and He, "Group normalization" (2018).

    Args:
        x: (N, C, …).
        groups: how many groups of C / groups neighbouring channels to make.
        scale, shift: (C,); none by default.
        eps: added to the variance.

    Raises:
        ShapeError: C is no multiple of `groups`.

    >>> ac.nn.group_norm(ac.asarray([[1.0, 3.0, 10.0, 30.0]]), groups=2)
    Tensor([[-1.,  1., -1.,  1.]], dtype=float64)
    """
    (x,) = promoted(x)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise shape_error("group_norm", f"expected x (N, C, …) with {groups} groups", x=x)
    scale, shift = (_per_channel("group_norm", x, v) for v in (scale, shift))
    grouped = reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    _, grouped, offset, var = _moments(grouped, tuple(range(2, grouped.ndim)))
    out = reshape(_rescaled(grouped, offset, var, None, None, eps), x.shape)
    return _affine(out, scale, shift)


def instance_norm(x: Any, scale: Any = None, shift: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalise each channel of each example over all positions.

    Ulyanov et al., "Instance normalization" (2016).

    Args:
        x: (N, C, …).
        scale, shift: (C,); none by default.
        eps: added to the variance.

    Returns:
        The shape of x.

    >>> ac.nn.instance_norm(ac.asarray([[[1.0, 3.0], [10.0, 30.0]]]))
    Tensor([[[-1.,  1.],
             [-1.,  1.]]], dtype=float64)
    """
    (x,) = promoted(x)
    if x.ndim < 3:
        raise ShapeError(f"instance_norm: expected x (N, C, …), got {x.shape}")
    return group_norm(x, x.shape[1], scale, shift, eps)


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and variance over axes, in few passes, and accurate where |mean| ≫ √var in float32.

    x is first moved by a pivot near its mean, a constant, so that the squares do not cancel: Chan,
    Golub and LeVeque, "Algorithms for computing the sample variance" (1983).

    Returns:
        pivot, x - pivot, the mean of that, and its variance; the moments with axes of length 1.
    """
    first = stop_gradient(slice_axis(x, axes[0], 0, 1))
    pivot = mean(first, axes, keepdims=True)
    x = x - pivot
    offset = mean(x, axes, keepdims=True)
    return pivot, x, offset, mean(square(x), axes, keepdims=True) - square(offset)


def _rescaled(x: Tensor, offset: Any, var: Tensor, scale: Any, shift: Any, eps: float) -> Tensor:
    """(x - offset) / √(var + eps) · scale + shift, as one product and one sum over x.

    `scale` and `shift` have the shape of `var`; `offset` is small beside √var.
    """
    factor = 1 / sqrt(var + eps)
    if scale is not None:
        factor = factor * scale
    constant = -(offset * factor)
    return x * factor + (constant if shift is None else shift + constant)


def _affine(x: Tensor, scale: Any, shift: Any) -> Tensor:
    x = x if scale is None else x * scale
    return x if shift is None else x + shift


def _per_channel(name: str, x: Tensor, value: Any) -> Any:
    """One number for each channel (C,), shaped so that it meets axis 1 of x."""
    if value is None:
        return None
    value = asarray(value)
    if value.shape != x.shape[1:2]:
        raise shape_error(
            name, f"expected one number for each of {x.shape[1]} channels", x=x, got=value
        )
    return reshape(value, (1, -1, *[1] * (x.ndim - 2)))
