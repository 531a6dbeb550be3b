"""Convolutions against torch, under vmap, and what they say about wrong shapes."""

from __future__ import annotations

import itertools
from unittest.mock import patch

import numpy as np
import pytest

import autograd_core as ac
import kernels
from autograd_core import nn
from autograd_core.ops import conv as conv_ops
from tests.nn.oracle import assert_close, assert_same_as_torch, normal, torch

F = torch.nn.functional

# (image, window, stride, padding, dilation): square and not, overlapping and not, holes, leftovers
GEOMETRIES = [
    ((5, 4), (3, 3), 1, 0, 1),
    ((5, 4), (3, 2), 1, 1, 1),
    ((6, 5), (2, 3), 2, 1, 1),
    ((6, 7), (3, 2), (2, 3), (1, 0), 1),
    ((5, 6), (2, 2), 1, (0, 2), 2),
    ((7, 5), (2, 1), (3, 2), (1, 0), (2, 3)),
    ((4, 4), (4, 4), 1, 0, 1),
    ((3, 3), (1, 1), 1, 0, 1),
    ((3, 5), (1, 1), 2, 0, 1),
    ((4, 3), (3, 3), 3, 2, 1),
]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_conv2d_is_torchs(geometry, groups):
    size, window, *placing = geometry
    x, w, b = normal((2, 2 * groups, *size), (3 * groups, 2, *window), (3 * groups,))
    assert_same_as_torch(
        lambda x, w, b: nn.conv2d(x, w, b, *placing, groups),
        lambda x, w, b: F.conv2d(x, w, b, *placing, groups),
        x, w, b,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("window", [(3, 3), (2, 4)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_is_torchs(window, dilation):
    x, w = normal((2, 2, 6, 7), (3, 2, *window))
    options = {"padding": "same", "dilation": dilation}
    assert_same_as_torch(
        lambda x, w: nn.conv2d(x, w, **options), lambda x, w: F.conv2d(x, w, **options), x, w
    )
    assert nn.conv2d(x, w, **options).shape == (2, 3, 6, 7)


def test_valid_padding_is_none():
    x, w = normal((2, 2, 5, 5), (3, 2, 3, 3))
    assert_close(nn.conv2d(x, w, padding="valid"), nn.conv2d(x, w), 0)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "dilation"),
    [(3, 1, 0, 1), (2, 2, 1, 1), (3, 2, 2, 2), (1, 3, 0, 1), (4, 1, "same", 1)],
)
def test_conv1d_is_torchs(window, stride, padding, dilation, groups):
    x, w, b = normal((2, 2 * groups, 9), (2 * groups, 2, window), (2 * groups,))
    placing = stride, padding, dilation, groups
    assert_same_as_torch(
        lambda x, w, b: nn.conv1d(x, w, b, *placing),
        lambda x, w, b: F.conv1d(x, w, b, *placing),
        x, w, b,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"])
def test_complex_convolutions_are_torchs(name):
    space = (4, 5)[: int(name[-2])]
    parts = normal((2, 4, *space), (2, 4, *space), (4, 2, *space), (4, 2, *space), (4,), (4,))

    def convolved(of, whole, real):
        return lambda *xs: real(of(*(whole(*xs[i : i + 2]) for i in (0, 2, 4)), 1, 2, groups=2))

    for ours, theirs in ((ac.real, torch.real), (ac.imag, lambda y: y.imag)):
        assert_same_as_torch(
            convolved(getattr(nn, name), ac.to_complex, ours),
            convolved(getattr(F, name), torch.complex, theirs),
            *parts,
        )


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("window", "stride", "padding", "extra", "dilation"),
    [
        ((3, 3), 1, 0, 0, 1),
        ((3, 2), 2, 1, 0, 1),
        ((2, 3), (2, 3), (1, 0), (1, 2), 1),
        ((3, 2), (3, 2), (2, 1), (2, 1), (1, 2)),
        ((2, 2), 2, 0, 1, 2),
    ],
)
def test_conv_transpose2d_is_torchs(window, stride, padding, extra, dilation, groups):
    x, w, b = normal((2, 2 * groups, 3, 4), (2 * groups, 3, *window), (3 * groups,))
    placing = stride, padding, extra, groups, dilation
    assert_same_as_torch(
        lambda x, w, b: nn.conv_transpose2d(x, w, b, *placing),
        lambda x, w, b: F.conv_transpose2d(x, w, b, *placing),
        x, w, b,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("stride", "padding", "extra", "dilation"), [(1, 0, 0, 1), (3, 2, 2, 1), (2, 1, 1, 2)]
)
def test_conv_transpose1d_is_torchs(stride, padding, extra, dilation, groups):
    x, w, b = normal((2, 2 * groups, 5), (2 * groups, 3, 4), (3 * groups,))
    placing = stride, padding, extra, groups, dilation
    assert_same_as_torch(
        lambda x, w, b: nn.conv_transpose1d(x, w, b, *placing),
        lambda x, w, b: F.conv_transpose1d(x, w, b, *placing),
        x, w, b,
    )  # fmt: skip


# vmap -----------------------------------------------------------------------------------------

TASKS = 3
SOME_MAPPED = [axes for axes in itertools.product((0, None), repeat=2) if any(a == 0 for a in axes)]


def arguments(in_axes, groups):
    shapes = [(2, 2 * groups, 5, 4), (3 * groups, 2, 3, 2)]
    return normal(
        *((TASKS, *s) if axis == 0 else s for s, axis in zip(shapes, in_axes, strict=True))
    )


def layer(groups):
    return lambda x, w: nn.conv2d(x, w, stride=(2, 1), padding=1, groups=groups)


def task(arrays, in_axes, i):
    return [a[i] if axis == 0 else a for a, axis in zip(arrays, in_axes, strict=True)]


@pytest.mark.parametrize("cotangent", ["mapped", "shared"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("in_axes", SOME_MAPPED)
def test_mapped_convolution_is_a_loop(in_axes, groups, cotangent):
    """Images and weights of each task, of all tasks, or one of both: values and both gradients."""
    arrays = arguments(in_axes, groups)
    shape = layer(groups)(*task(arrays, in_axes, 0)).shape
    (shared,) = normal(shape, seed=1)

    def value_and_gradients(x, w):
        out, pull = ac.vjp(layer(groups), x, w)
        return out, *pull(ac.cos(out) if cotangent == "mapped" else shared)

    mapped = ac.vmap(value_and_gradients, in_axes)(*arrays)
    looped = [value_and_gradients(*task(arrays, in_axes, i)) for i in range(TASKS)]
    for k, stacked in enumerate(mapped):
        assert_close(stacked, np.stack([out[k] for out in looped]), 1e-13)


def test_a_convolution_that_is_not_mapped_stays_single():
    x, w = normal((2, 2, 5, 4), (3, 2, 3, 2))
    out = ac.vmap(lambda s: nn.conv2d(x, w) * s)(np.arange(1.0, 4.0))
    assert_close(out, np.stack([nn.conv2d(x, w).numpy() * s for s in (1, 2, 3)]), 1e-14)


@pytest.mark.parametrize("in_axes", SOME_MAPPED)
def test_mapped_convolution_is_one_call_of_each_kernel(in_axes):
    """Never a loop over tasks: a gradient calls each of the three kernels once."""
    arrays = arguments(in_axes, 1)
    gradients = ac.grad(lambda x, w: ac.sum(ac.sin(layer(1)(x, w))), (0, 1))
    calls = []

    def counted(primitive):
        kernel = primitive.kernel
        return patch.object(
            primitive,
            "kernel",
            lambda *args, **params: calls.append(primitive.name) or kernel(*args, **params),
        )

    with (
        counted(conv_ops.conv_p),
        counted(conv_ops.conv_input_p),
        counted(conv_ops.conv_weight_p),
    ):
        ac.vmap(gradients, in_axes)(*arrays)
    assert sorted(calls) == ["conv", "conv_input", "conv_weight"]


def test_weights_mapped_alone_lower_the_images_once():
    """They join the filters: the kernel sees the images as they are, and tasks × O filters."""
    x, w = arguments((None, 0), 1)
    seen = []
    kernel = kernels.conv

    def spy(x, w, **placing):
        seen.append((x.shape, w.shape))
        return kernel(x, w, **placing)

    with patch.object(kernels, "conv", spy):
        ac.vmap(layer(1), (None, 0))(x, w)
    assert seen == [((1, 2, 5, 4, 2), (1, 3, 2, 2, 3 * TASKS))]


def test_maml_step_through_convolutions_is_a_loop():
    """Second order: an inner step on each task's weights, differentiated, mapped or not."""
    x, w = normal((TASKS, 2, 2, 5, 5), (2, 2, 3, 3))

    def task_loss(w, x):
        loss = lambda w: ac.mean(ac.square(nn.conv2d(ac.sin(nn.conv2d(x, w, padding=1)), w)))
        return loss(w - 0.1 * ac.grad(loss)(w))

    mapped = ac.grad(lambda w: ac.mean(ac.vmap(task_loss, (None, 0))(w, x)))(w)
    looped = sum(ac.grad(task_loss)(w, x[i]) for i in range(TASKS)) / TASKS
    assert_close(mapped, looped, 1e-13)


# Errors ---------------------------------------------------------------------------------------

X, W = np.zeros((1, 3, 5, 5)), np.zeros((2, 3, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.conv2d(X, np.zeros((2, 4, 3, 3))),
            r"conv2d: x has 3 channels but w expects 4 \(x: \(1, 3, 5, 5\), w: \(2, 4, 3, 3\)\)",
        ),
        (lambda: nn.conv2d(X[0], W), r"conv2d: x has 3 axes, expected 4"),
        (lambda: nn.conv2d(X, W, groups=2), r"conv2d: x has 3 channels .* 6 in 2 groups"),
        (lambda: nn.conv2d(X, W, groups=3), r"conv2d: axis 0 of w does not divide into 3 groups"),
        (lambda: nn.conv2d(X, W, np.zeros(3)), r"conv2d: expected b of shape \(2,\), got \(3,\)"),
        (lambda: nn.conv2d(X, np.zeros((2, 3, 7, 1))), r"conv2d: the window is larger"),
        (lambda: nn.conv2d(X, W, stride=0), r"conv2d: stride has to be at least 1, got 0"),
        (lambda: nn.conv2d(X, W, padding=(1, 2, 3)), r"conv2d: .* 2 numbers for padding"),
        (lambda: nn.conv2d(X, W, padding="same", stride=2), r'"same" needs stride 1'),
        (lambda: nn.conv2d(X, W, padding="full"), r'"same" or "valid"'),
        (lambda: nn.conv1d(X[0], np.zeros((1, 1, 1))), r"conv1d: x has 5 channels"),
        (
            lambda: nn.conv_transpose2d(X, W, stride=2, output_padding=2),
            r"conv_transpose2d: x has 3 channels but w expects 2",
        ),
        (
            lambda: nn.conv_transpose2d(X, np.zeros((3, 1, 3, 3)), stride=2, output_padding=2),
            r"output_padding 2 has to be smaller than the stride",
        ),
        (
            lambda: nn.conv_transpose2d(X, np.zeros((3, 1, 1, 1)), padding=3),
            r"the padding leaves nothing",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_float32_stays_float32():
    x, w = (a.astype(np.float32) for a in normal((1, 2, 4, 4), (3, 2, 3, 3)))
    loss = lambda x, w: ac.sum(nn.max_pool2d(nn.relu(nn.conv2d(x, w, padding=1)), 2))
    assert {g.dtype for g in ac.grad(loss, (0, 1))(x, w)} == {np.dtype(np.float32)}
    mixed = ac.grad(loss, (0, 1))(x, w.astype(np.float64))
    assert [g.dtype for g in mixed] == [np.float32, np.float64]
