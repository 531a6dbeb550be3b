"""Loss functions. Each takes `reduction`: "mean" (over all losses), "sum", or "none"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.errors import DtypeError
from autograd_core.nn.checks import promoted, shape_error
from autograd_core.ops.arithmetic import absolute, equal, greater, less_equal, square, where
from autograd_core.ops.elementary import log
from autograd_core.ops.normalize import log_softmax, softplus
from autograd_core.ops.reduce import mean
from autograd_core.ops.reduce import sum as sum_
from autograd_core.ops.structural import astype, expand_dims, normalize_axis
from autograd_core.tensor import Tensor, asarray, require_within

_REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": mean,
    "sum": sum_,
    "none": lambda losses: losses,
}


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction is one of {sorted(_REDUCTIONS)}, got {reduction!r}")
    return _REDUCTIONS[reduction](losses)


# Classification -------------------------------------------------------------------------------


def cross_entropy(
    logits: Any,
    labels: Any,
    axis: int = -1,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ p log softmax(logits) over the classes.

    Args:
        logits: unnormalised log-probabilities (…, K).
        labels: the classes, integers in [0, K) of shape (…), or probabilities p (…, K).
        axis: where the K classes are; the last axis by default. (PyTorch has them on axis 1, which
            for (N, K) is the same.)
        reduction: over the losses (…).
        label_smoothing: the share ε of each target that is spread evenly over all classes.

    Raises:
        ShapeError: the shapes do not fit.
        IndexError: a class out of bounds.

    >>> logits, labels = ac.asarray([[2.0, 0.0], [0.0, 0.0]]), ac.asarray([0, 1])
    >>> ac.nn.cross_entropy(logits, labels), ac.nn.cross_entropy(logits, labels, reduction="none")
    (Tensor(0.41, dtype=float64), Tensor([0.1269, 0.6931], dtype=float64))
    >>> ac.grad(ac.nn.cross_entropy)(logits, labels)
    Tensor([[-0.0596,  0.0596],
            [ 0.25  , -0.25  ]], dtype=float64)
    """
    logits, labels = asarray(logits), asarray(labels)
    axis = normalize_axis(axis, logits.ndim)
    log_p = log_softmax(logits, axis)
    if labels.dtype.kind == "f":
        if labels.shape != logits.shape:
            raise shape_error("cross_entropy", "probabilities", logits=logits, labels=labels)
        losses = -sum_(labels * log_p, axis)
    else:
        losses = -_at_labels("cross_entropy", log_p, labels, axis)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * mean(log_p, axis)
    return _reduced(losses, reduction)


def nll(log_probabilities: Any, labels: Any, axis: int = -1, reduction: str = "mean") -> Tensor:
    """Minus the log-probability of each label: `cross_entropy` after `log_softmax`.

    Args:
        log_probabilities: (…, K).
        labels, axis, reduction: see `cross_entropy`.

    >>> log_p = ac.log(ac.asarray([[0.5, 0.5], [0.25, 0.75]]))
    >>> ac.nn.nll(log_p, ac.asarray([0, 0]), reduction="none")
    Tensor([0.6931, 1.3863], dtype=float64)
    """
    log_probabilities, labels = asarray(log_probabilities), asarray(labels)
    axis = normalize_axis(axis, log_probabilities.ndim)
    return _reduced(-_at_labels("nll", log_probabilities, labels, axis), reduction)


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Tensor:
    """1 in the column that each label names, 0 elsewhere: integers (…) to (…, classes).

    Raises:
        IndexError: a label names no class.

    >>> ac.nn.one_hot([2, 0], 3)
    Tensor([[0., 0., 1.],
            [1., 0., 0.]], dtype=float32)
    """
    labels = asarray(labels)
    _check_labels("one_hot", labels, classes)
    return astype(_is_label(labels, classes, -1), dtype)


def _check_labels(name: str, labels: Tensor, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{name}: expected integer labels, got {labels.dtype}")
    otherwise = f"{name}: label {{}} is out of bounds for {classes} classes"
    require_within(labels, 0, classes, otherwise)


def _is_label(labels: Tensor, classes: int, axis: int) -> Tensor:
    """Which entries along a new axis of classes the labels name."""
    columns = expand_dims(labels, axis)
    axis = normalize_axis(axis, columns.ndim)
    places = np.arange(classes).reshape([-1 if i == axis else 1 for i in range(columns.ndim)])
    return equal(columns, places)


def _at_labels(name: str, x: Tensor, labels: Tensor, axis: int) -> Tensor:
    """The entries of x that the labels name along an axis.

    A mask and a sum, not an index: for as many classes as fit a task it is as fast, and it maps
    and differentiates without a scatter. -inf elsewhere does no harm.
    """
    classes = x.shape[axis]
    _check_labels(name, labels, classes)
    if labels.shape != (*x.shape[:axis], *x.shape[axis + 1 :]):
        raise shape_error(name, f"one label for each row along axis {axis}", x=x, labels=labels)
    return sum_(where(_is_label(labels, classes, axis), x, 0.0), axis)


def binary_cross_entropy_with_logits(logits: Any, targets: Any, reduction: str = "mean") -> Tensor:
    """-p log sigmoid(logits) - (1 - p) log sigmoid(-logits), without overflow.

    The derivative in the logits is sigmoid(logits) - p.

    Args:
        logits: any shape.
        targets: the probabilities p, or classes 0 and 1, of that shape.
        reduction: over all entries: "mean", "sum", or "none".

    Raises:
        ShapeError: the shapes differ.

    >>> ac.nn.binary_cross_entropy_with_logits(ac.asarray([1000.0, 0.0]), [1.0, 1.0])
    Tensor(0.3466, dtype=float64)
    >>> ac.grad(ac.nn.binary_cross_entropy_with_logits)(ac.asarray([0.0, 0.0]), [0.0, 1.0])
    Tensor([ 0.25, -0.25], dtype=float64)
    """
    logits, targets = _pair("binary_cross_entropy_with_logits", logits, targets)
    return _reduced(softplus(logits) - targets * logits, reduction)


def kl_divergence(log_q: Any, p: Any, axis: int = -1, reduction: str = "mean") -> Tensor:
    """Σ p (log p - log q) over the classes: how far the distribution q is from p.

    Args:
        log_q: log-probabilities (…, K).
        p: probabilities (…, K); where they are 0 they add 0.
        axis: where the K classes are.
        reduction: over the divergences (…); "mean" is what PyTorch calls "batchmean".

    >>> p = ac.asarray([0.5, 0.5, 0.0])
    >>> ac.nn.kl_divergence(ac.log([0.25, 0.5, 0.25]), p)
    Tensor(0.3466, dtype=float64)
    >>> ac.grad(ac.nn.kl_divergence)(ac.log([0.25, 0.5, 0.25]), p)
    Tensor([-0.5, -0.5,  0. ], dtype=float64)
    """
    log_q, p = _pair("kl_divergence", log_q, p)
    some = greater(p, 0)
    terms = p * (log(where(some, p, 1.0)) - where(some, log_q, 0.0))
    return _reduced(sum_(terms, axis), reduction)


# Regression -----------------------------------------------------------------------------------


def mse(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(prediction - target)², of arrays of one shape.

    Args:
        prediction, target: any shape.
        reduction: over all entries: "mean", "sum", or "none".

    Raises:
        ShapeError: the shapes differ.

    >>> ac.nn.mse([1.0, 2.0], [1.0, 4.0])
    Tensor(2., dtype=float64)
    >>> ac.grad(ac.nn.mse)(ac.asarray([1.0, 2.0]), [1.0, 4.0])
    Tensor([ 0., -2.], dtype=float64)
    """
    prediction, target = _pair("mse", prediction, target)
    return _reduced(square(prediction - target), reduction)


def l1(prediction: Any, target: Any, reduction: str = "mean") -> Tensor:
    """|prediction - target|, of arrays of one shape; the derivative at 0 is 0.

    Args:
        prediction, target: any shape.
        reduction: over all entries: "mean", "sum", or "none".

    Raises:
        ShapeError: the shapes differ.

    >>> ac.nn.l1([1.0, 2.0], [1.0, 5.0]), ac.nn.l1([1.0, 2.0], [1.0, 5.0], reduction="sum")
    (Tensor(1.5, dtype=float64), Tensor(3., dtype=float64))
    >>> ac.grad(ac.nn.l1)(ac.asarray([1.0, 2.0]), [1.0, 5.0])
    Tensor([ 0. , -0.5], dtype=float64)
    """
    prediction, target = _pair("l1", prediction, target)
    return _reduced(absolute(prediction - target), reduction)


def huber(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Tensor:
    """½ d² for |d| = |prediction - target| up to delta, and delta (|d| - ½ delta) beyond.

    Huber, "Robust estimation of a location parameter" (1964).

    Args:
        prediction, target: arrays of one shape.
        delta: where the parabola goes over into lines; the slope beyond.
        reduction: over all entries: "mean", "sum", or "none".

    Raises:
        ShapeError: the shapes differ.

    >>> ac.nn.huber([0.5, 3.0], [0.0, 0.0], reduction="none")
    Tensor([0.125, 2.5  ], dtype=float64)
    >>> ac.grad(ac.nn.huber)(ac.asarray([0.5, 3.0]), [0.0, 0.0], reduction="sum")
    Tensor([0.5, 1. ], dtype=float64)
    """
    prediction, target = _pair("huber", prediction, target)
    d = prediction - target
    near = less_equal(absolute(d), delta)
    losses = where(near, 0.5 * square(d), delta * (absolute(d) - 0.5 * delta))
    return _reduced(losses, reduction)


def _pair(name: str, x: Any, y: Any) -> list[Tensor]:
    """Two arrays of one shape, as floating tensors: broadcasting here is a mistake more often
    than not."""
    x, y = promoted(x, y)
    if x.shape != y.shape:
        raise shape_error(name, "expected arrays of one shape", first=x, second=y)
    return [x, y]
