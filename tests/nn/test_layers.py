"""Activations, affine maps, pooling, normalisation and attention: against torch, and under vmap."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from tests.nn.oracle import assert_close, assert_same_as_torch, normal, torch

F = torch.nn.functional

ACTIVATIONS = {
    "relu": (nn.relu, F.relu),
    "leaky_relu": (lambda x: nn.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (lambda x: nn.elu(x, 1.3), lambda x: F.elu(x, 1.3)),
    "selu": (nn.selu, F.selu),
    "gelu": (nn.gelu, F.gelu),
    "gelu-tanh": (lambda x: nn.gelu(x, True), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (nn.silu, F.silu),
    "mish": (nn.mish, F.mish),
    "softplus": (nn.softplus, lambda x: F.softplus(x, threshold=50)),
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "log_sigmoid": (nn.log_sigmoid, F.logsigmoid),
    "tanh": (nn.tanh, torch.tanh),
    "hardtanh": (lambda x: nn.hardtanh(x, -0.4, 0.7), lambda x: F.hardtanh(x, -0.4, 0.7)),
    "softmax": (lambda x: nn.softmax(x, 0), lambda x: F.softmax(x, 0)),
    "log_softmax": (lambda x: nn.log_softmax(x, 1), lambda x: F.log_softmax(x, 1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_torchs(name):
    (x,) = normal((5, 7))
    assert_same_as_torch(*ACTIVATIONS[name], 2 * x)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "softmax", "log_softmax"])
def test_activation_without_overflow(name):
    mine, other = ACTIVATIONS[name]
    x = np.array([[-1e4, -800.0, -30.0], [0.0, 30.0, 1e4]])
    with np.errstate(all="raise", under="ignore"):
        value, gradient = mine(x), ac.grad(lambda x: ac.sum(mine(x)))(x)
    t = torch.tensor(x, requires_grad=True)
    expected = other(t)
    expected.sum().backward()
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(gradient, t.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("activation", "slope"),
    [(nn.relu, 0.0), (lambda x: nn.leaky_relu(x, 0.2), 0.2), (lambda x: nn.elu(x, 1.3), 1.3)],
)
def test_slope_at_the_kink(activation, slope):
    assert float(ac.grad(activation)(0.0)) == slope


def test_gelu_keeps_the_left_tail():
    """x · Φ(x) at -8, where 1 + erf(x / √2) has no digits left in float64."""
    exact = -8 * 0.5 * math.erfc(8 / math.sqrt(2))
    assert float(nn.gelu(-8.0)) == pytest.approx(exact, rel=1e-12)


# Affine maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [(), (4,), (2, 3)])
def test_linear_is_torchs(rows):
    assert_same_as_torch(nn.linear, F.linear, *normal((*rows, 3), (5, 3), (5,)))
    assert_same_as_torch(nn.linear, F.linear, *normal((*rows, 3), (5, 3)))


@pytest.mark.parametrize("in_axes", [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0)])
def test_mapped_linear_is_a_loop(in_axes):
    arrays = normal(
        *((3, *s) if a == 0 else s for s, a in zip([(4, 2), (5, 2), (5,)], in_axes, strict=True))
    )
    mapped = ac.vmap(nn.linear, in_axes)(*arrays)
    for i in range(3):
        one = [x[i] if a == 0 else x for x, a in zip(arrays, in_axes, strict=True)]
        assert_close(mapped[i], nn.linear(*one), 1e-14)


def test_embedding_is_torchs():
    (table,) = normal((6, 3))
    index = np.array([[0, 5, 2], [2, 2, 1]])
    assert_same_as_torch(
        lambda t: nn.embedding(index, t), lambda t: F.embedding(torch.tensor(index), t), table
    )


# Pooling --------------------------------------------------------------------------------------

POOLS = [((2, 2), None, 0), ((3, 2), 1, 1), ((3, 3), 2, (1, 0)), ((2, 3), (3, 1), (0, 1))]


@pytest.mark.parametrize(("window", "stride", "padding"), POOLS)
def test_max_pool2d_is_torchs(window, stride, padding):
    (x,) = normal((2, 3, 5, 7))
    assert_same_as_torch(
        lambda x: nn.max_pool2d(x, window, stride, padding),
        lambda x: F.max_pool2d(x, window, stride, padding),
        x,
    )


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(("window", "stride", "padding"), POOLS)
def test_avg_pool2d_is_torchs(window, stride, padding, include):
    (x,) = normal((2, 3, 5, 7))
    assert_same_as_torch(
        lambda x: nn.avg_pool2d(x, window, stride, padding, include),
        lambda x: F.avg_pool2d(x, window, stride, padding, count_include_pad=include),
        x,
    )


@pytest.mark.parametrize(("window", "stride", "padding"), [(2, None, 0), (3, 2, 1)])
def test_pooling_of_sequences_is_torchs(window, stride, padding):
    (x,) = normal((2, 3, 9))
    placing = window, stride, padding
    assert_same_as_torch(
        lambda x: nn.max_pool1d(x, *placing), lambda x: F.max_pool1d(x, *placing), x
    )
    assert_same_as_torch(
        lambda x: nn.avg_pool1d(x, *placing), lambda x: F.avg_pool1d(x, *placing), x
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (7, 9)])
def test_adaptive_pooling_is_torchs(size):
    (x,) = normal((2, 3, 5, 7))
    assert_same_as_torch(
        lambda x: nn.adaptive_avg_pool2d(x, size), lambda x: F.adaptive_avg_pool2d(x, size), x
    )
    assert_same_as_torch(
        lambda x: nn.adaptive_avg_pool1d(x, size[1]),
        lambda x: F.adaptive_avg_pool1d(x, size[1]),
        x[0],
    )


def test_global_average_is_the_mean():
    (x,) = normal((2, 3, 4, 5))
    assert_close(nn.global_avg_pool(x), x.mean((2, 3)), 1e-14)


def test_first_of_ties_takes_the_derivative():
    gradient = ac.grad(lambda x: ac.sum(nn.max_pool2d(x, 2)))(np.ones((1, 1, 2, 2)))
    assert gradient.tolist() == [[[[1.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("pool", [nn.max_pool2d, nn.avg_pool2d])
def test_mapped_pooling_is_a_loop(pool):
    (x,) = normal((3, 2, 2, 5, 6))
    f = lambda x: ac.grad(lambda x: ac.sum(ac.square(pool(x, 3, 2, 1))))(x)
    assert_close(ac.vmap(f)(x), np.stack([f(x[i]).numpy() for i in range(3)]), 1e-14)


# Normalisation --------------------------------------------------------------------------------


def test_batch_norm_by_the_batch_is_torchs():
    x, scale, shift = normal((4, 3, 2, 5), (3,), (3,))
    assert_same_as_torch(
        lambda x, a, b: nn.batch_norm(x, a, b, statistics="batch"),
        lambda x, a, b: F.batch_norm(x, None, None, a, b, training=True),
        x + 3, scale, shift,
    )  # fmt: skip
    assert_same_as_torch(
        lambda x: nn.batch_norm(x, statistics="batch", eps=0.1),
        lambda x: F.batch_norm(x, None, None, training=True, eps=0.1),
        x[:, :, 0, 0],
    )


def test_batch_norm_by_running_statistics_is_torchs():
    x, mean, var, scale, shift = normal((4, 3, 5), (3,), (3,), (3,), (3,))
    assert_same_as_torch(
        lambda x, m, v, a, b: nn.batch_norm(x, a, b, statistics=(m, v)),
        lambda x, m, v, a, b: (x - m[:, None]) / (v + 1e-5).sqrt()[:, None] * a[:, None]
        + b[:, None],
        x, mean, np.exp(var), scale, shift,
    )  # fmt: skip


def test_running_statistics_are_torchs():
    (x,) = normal((4, 3, 5))
    mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    F.batch_norm(torch.tensor(x), mean, var, training=True, momentum=0.3)
    _, found = nn.batch_norm(x, statistics="batch", return_statistics=True)
    running = nn.running_statistics((np.zeros(3), np.ones(3)), found, count=20, momentum=0.3)
    assert_close(running.mean, mean.numpy())
    assert_close(running.var, var.numpy())


def test_returned_statistics_are_differentiable():
    (x,) = normal((4, 3, 5))

    def of_batch(x):
        _, (mean, var) = nn.batch_norm(x, statistics="batch", return_statistics=True)
        return ac.concatenate([mean, var])

    assert_same_as_torch(
        of_batch, lambda x: torch.cat([x.mean((0, 2)), x.var((0, 2), correction=0)]), x
    )


@pytest.mark.parametrize("centre", [0.0, 1e3])
def test_batch_norm_is_accurate_in_float32(centre):
    """Also far from 0, where E[x²] - E[x]² would have no digits left."""
    x = (normal((32, 2, 30, 30))[0] + centre).astype(np.float32)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean((0, 2, 3), keepdims=True)) / np.sqrt(
        exact.var((0, 2, 3), keepdims=True) + 1e-5
    )
    for layout in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        out = nn.batch_norm(layout, statistics="batch")
        assert out.dtype == np.float32
        np.testing.assert_allclose(out, exact, rtol=0, atol=2e-5)


def test_layer_norm_is_torchs():
    x, scale, shift = normal((4, 3, 5), (5,), (5,))
    assert_same_as_torch(
        lambda x, a, b: nn.layer_norm(x, -1, a, b),
        lambda x, a, b: F.layer_norm(x, (5,), a, b),
        x, scale, shift,
    )  # fmt: skip
    assert_same_as_torch(
        lambda x: nn.layer_norm(x, (1, 2), eps=0.1), lambda x: F.layer_norm(x, (3, 5), eps=0.1), x
    )


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_torchs(groups):
    x, scale, shift = normal((2, 6, 3, 2), (6,), (6,))
    assert_same_as_torch(
        lambda x, a, b: nn.group_norm(x, groups, a, b),
        lambda x, a, b: F.group_norm(x, groups, a, b),
        x, scale, shift,
    )  # fmt: skip


def test_instance_norm_is_torchs():
    x, scale, shift = normal((2, 3, 4, 2), (3,), (3,))
    assert_same_as_torch(
        nn.instance_norm,
        lambda x, a, b: F.instance_norm(x, weight=a, bias=b),
        x, scale, shift,
    )  # fmt: skip


def test_mapped_batch_norm_has_each_tasks_statistics():
    x, scale, shift = normal((3, 4, 2, 5), (3, 2), (2,))
    f = lambda x, a, b: nn.batch_norm(x, a, b, statistics="batch")
    mapped = ac.vmap(f, (0, 0, None))(x, scale, shift)
    assert_close(mapped, np.stack([f(x[i], scale[i], shift).numpy() for i in range(3)]), 1e-13)


def test_batch_norm_asks_what_to_normalise_with():
    x = np.zeros((2, 3, 4))
    with pytest.raises(TypeError, match="statistics"):
        nn.batch_norm(x)
    with pytest.raises(ValueError, match='"batch" or'):
        nn.batch_norm(x, statistics="train")
    with pytest.raises(ValueError, match="two entries a channel"):
        nn.batch_norm(x[:1, :, 0], statistics="batch")
    with pytest.raises(ValueError, match=r"each of 3 channels \(x: \(2, 3, 4\), got: \(4,\)\)"):
        nn.batch_norm(x, np.ones(4), statistics="batch")


# Attention ------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs(causal):
    q, k, v = normal((2, 3, 4), (2, 3 if causal else 5, 4), (2, 3 if causal else 5, 2))
    assert_same_as_torch(
        lambda q, k, v: nn.dot_product_attention(q, k, v, causal=causal),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        q, k, v,
    )  # fmt: skip


def test_masked_attention_is_torchs():
    q, k, v = normal((2, 3, 4), (2, 5, 4), (2, 5, 2))
    mask = np.random.default_rng(3).random((3, 5)) < 0.6
    mask[:, 0] = True
    assert_same_as_torch(
        lambda q, k, v: nn.dot_product_attention(q, k, v, mask, scale=0.7),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, torch.tensor(mask), scale=0.7),
        q, k, v,
    )  # fmt: skip


def test_query_without_anything_to_attend_to_takes_the_mean():
    q, k, v = normal((3, 4), (5, 4), (5, 2))
    out = nn.dot_product_attention(q, k, v, np.zeros((3, 5), bool))
    assert_close(out, np.broadcast_to(v.mean(0), (3, 2)), 1e-14)


def test_multi_head_attention_is_torchs():
    x, context = normal((2, 3, 6), (2, 4, 6))
    weights = nn.attention_weights(random.key(0), 6, np.float64)
    biases = normal((6,), (6,), (6,), (6,), seed=5)
    weights = weights._replace(**dict(zip(weights._fields[4:], biases, strict=True)))
    peer = torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.tensor(np.concatenate([w.numpy() for w in weights[:3]])))
        peer.in_proj_bias.copy_(torch.tensor(np.concatenate(biases[:3])))
        peer.out_proj.weight.copy_(torch.tensor(weights.out.numpy()))
        peer.out_proj.bias.copy_(torch.tensor(weights.out_bias))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert_same_as_torch(
            lambda x, c: nn.multi_head_attention(x, c, weights, heads=3),
            lambda x, c: peer(x, c, c, need_weights=False)[0],
            x, context,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.linear(np.zeros((2, 3)), np.zeros((4, 2))), r"linear: .*\(2, 3\), w: \(4, 2\)"),
        (lambda: nn.linear(np.zeros(3), np.zeros((4, 3)), np.zeros(3)), r"linear: .* b of shape"),
        (lambda: nn.embedding([0], np.zeros(3)), r"embedding: expected a table"),
        (lambda: nn.embedding([4], np.zeros((3, 2))), r"index 4 is out of bounds"),
        (lambda: nn.max_pool2d(np.zeros((2, 3, 4)), 2), r"max_pool2d: x has 3 axes, expected 4"),
        (lambda: nn.max_pool2d(np.zeros((1, 1, 4, 4)), 2, padding=2), r"smaller than the window"),
        (lambda: nn.avg_pool1d(np.zeros((1, 1, 4)), 5), r"avg_pool1d: the window .* is larger"),
        (lambda: nn.group_norm(np.zeros((2, 3)), 2), r"group_norm: expected .* with 2 groups"),
        (
            lambda: nn.dot_product_attention(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 4))),
            r"dot_product_attention: .*query: \(2, 3\), key: \(2, 4\)",
        ),
        (
            lambda: nn.multi_head_attention(
                np.zeros((2, 3)), np.zeros((2, 3)), nn.attention_weights(random.key(0), 3), 2
            ),
            r"2 heads do not divide",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises((ValueError, IndexError), match=message):
        call()


# Images of a dataset --------------------------------------------------------------------------


def test_gather_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 2, 3, 3), np.uint8)
    rows, turns = rng.integers(0, 5, (2, 4)), rng.integers(0, 4, (2, 4))
    found = nn.gather_images(images, rows, turns)
    assert found.shape == (2, 4, 2, 3, 3) and found.dtype == np.float32
    for i, j in np.ndindex(2, 4):
        expected = np.rot90(images[rows[i, j]], turns[i, j], (-2, -1)) * np.float32(1 / 255)
        np.testing.assert_array_equal(found[i, j].numpy(), expected)
    floats = images.astype(np.float32)
    np.testing.assert_array_equal(nn.gather_images(floats, rows).numpy(), floats[rows])


@pytest.mark.parametrize(
    "rows,turns,error",
    [([5], None, IndexError), ([-1], None, IndexError), ([0], [4], IndexError),
     ([0.5], None, ac.DtypeError), ([0, 1], [0], ac.ShapeError)],
)  # fmt: skip
def test_gather_images_says_what_is_wrong(rows, turns, error):
    with pytest.raises(error, match="gather_images"):
        nn.gather_images(np.zeros((5, 1, 2, 2), np.uint8), rows, turns)
    with pytest.raises(IndexError, match="turn 1"):
        nn.gather_images(np.zeros((5, 1, 2, 3), np.uint8), [0], [1])
