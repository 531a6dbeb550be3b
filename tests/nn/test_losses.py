"""Loss functions, against torch and at their edges."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn
from tests.nn.oracle import assert_close, assert_same_as_torch, normal, torch

F = torch.nn.functional
LABELS = np.array([2, 0, 3, 2, 1])
REDUCTIONS = ["mean", "sum", "none"]


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_labels_is_torchs(reduction, smoothing):
    (x,) = normal((5, 4))
    assert_same_as_torch(
        lambda x: nn.cross_entropy(x, LABELS, reduction=reduction, label_smoothing=smoothing),
        lambda x: F.cross_entropy(
            x, torch.tensor(LABELS), reduction=reduction, label_smoothing=smoothing
        ),
        x,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities_is_torchs(smoothing):
    x, p = normal((5, 4), (5, 4))
    assert_same_as_torch(
        lambda x, p: nn.cross_entropy(x, p, label_smoothing=smoothing),
        lambda x, p: F.cross_entropy(x, p, label_smoothing=smoothing),
        x, softmax(p),
    )  # fmt: skip


def test_cross_entropy_of_images_is_torchs():
    (x,) = normal((2, 4, 3, 2))
    labels = np.random.default_rng(0).integers(0, 4, (2, 3, 2))
    assert_same_as_torch(
        lambda x: nn.cross_entropy(x, labels, axis=1),
        lambda x: F.cross_entropy(x, torch.tensor(labels)),
        x,
    )


def test_cross_entropy_of_large_logits():
    """The loss is the distance of the logits, its gradient a one-hot, nothing overflows."""
    x = np.array([[1e4, 0.0, -np.inf], [0.0, 1e4, 5.0]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        value, gradient = ac.value_and_grad(lambda x: nn.cross_entropy(x, [0, 0]))(x)
    assert float(value) == 5e3
    assert gradient.tolist() == [[0.0, 0.0, 0.0], [-0.5, 0.5, 0.0]]


def test_mapped_cross_entropy_is_a_loop():
    (x,) = normal((3, 5, 4))
    labels = np.random.default_rng(0).integers(0, 4, (3, 5))
    mapped = ac.vmap(ac.grad(nn.cross_entropy))(x, labels)
    looped = [ac.grad(nn.cross_entropy)(x[i], labels[i]).numpy() for i in range(3)]
    assert_close(mapped, np.stack(looped), 1e-14)


def test_nll_is_torchs():
    (x,) = normal((5, 4))
    assert_same_as_torch(
        lambda x: nn.nll(x, LABELS), lambda x: F.nll_loss(x, torch.tensor(LABELS)), x
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_is_torchs(reduction):
    x, p = normal((5, 4), (5, 4))
    assert_same_as_torch(
        lambda x, p: nn.binary_cross_entropy_with_logits(x, p, reduction),
        lambda x, p: F.binary_cross_entropy_with_logits(x, p, reduction=reduction),
        3 * x, 1 / (1 + np.exp(p)),
    )  # fmt: skip


def test_binary_cross_entropy_of_large_logits():
    with np.errstate(all="raise", under="ignore"):
        losses = nn.binary_cross_entropy_with_logits(
            np.array([-1e4, 1e4, 1e4]), np.array([0.0, 0.0, 1.0]), "none"
        )
    assert losses.tolist() == [0.0, 1e4, 0.0]


@pytest.mark.parametrize(("mine", "name"), [("mean", "batchmean"), ("sum", "sum")])
def test_kl_divergence_is_torchs(mine, name):
    x, p = normal((5, 4), (5, 4))
    assert_same_as_torch(
        lambda x, p: nn.kl_divergence(x, p, reduction=mine),
        lambda x, p: F.kl_div(x, p, reduction=name),
        np.log(softmax(x)), softmax(p),
    )  # fmt: skip


def test_kl_divergence_where_nothing_is_expected():
    log_q = np.log(np.array([0.5, 0.5, 1.0]), where=[True, True, False], out=np.full(3, -np.inf))
    value, gradient = ac.value_and_grad(nn.kl_divergence)(log_q, np.array([1.0, 0.0, 0.0]))
    assert float(value) == pytest.approx(np.log(2))
    assert gradient.tolist() == [-1.0, 0.0, 0.0]


REGRESSIONS = {
    "mse": (nn.mse, F.mse_loss),
    "l1": (nn.l1, F.l1_loss),
    "huber": (lambda x, y, reduction: nn.huber(x, y, 0.7, reduction), None),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", REGRESSIONS)
def test_regression_loss_is_torchs(name, reduction):
    mine, other = REGRESSIONS[name]
    other = other or (lambda x, y, reduction: F.huber_loss(x, y, delta=0.7, reduction=reduction))
    assert_same_as_torch(
        lambda x, y: mine(x, y, reduction=reduction),
        lambda x, y: other(x, y, reduction=reduction),
        *normal((5, 3), (5, 3)),
    )


def test_one_hot():
    assert nn.one_hot([1, 0], 3).tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert nn.one_hot([1], 2).dtype == np.float32
    assert ac.vmap(lambda y: nn.one_hot(y, 3))(np.array([2, 1])).tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [0, 3]), IndexError, "label 3 .* 3 classes"),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [-1, 0]), IndexError, "label -1"),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), [0]), ValueError, r"\(2, 3\), labels: \(1,\)"),
        (lambda: nn.cross_entropy(np.zeros((2, 3)), np.zeros(2)), ValueError, "probabilities"),
        (lambda: nn.nll(np.zeros((2, 3)), np.zeros(2)), TypeError, "integer labels, got float64"),
        (lambda: nn.mse(np.zeros((2, 1)), np.zeros(2)), ValueError, "mse: .* one shape"),
        (lambda: nn.mse(np.zeros(2), np.zeros(2), "average"), ValueError, "'average'"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
