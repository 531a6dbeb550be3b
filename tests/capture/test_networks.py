"""Random small networks, meta-learned: compiled, their meta-gradient is the eager one's."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn

ACTIVATIONS = [nn.relu, ac.tanh, nn.sigmoid, lambda x: x * ac.exp(-x * x)]


class Network:
    """Layers drawn from a seed: sizes are small and often 1."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        self.layers, self.params = [], []
        self.channels, self.size = self.number(1, 4), (self.number(1, 7), self.number(1, 7))
        self.examples, self.queries = self.number(1, 5), self.number(1, 6)
        self.outputs, self.tasks = self.number(1, 4), self.number(1, 3)
        self.inputs = self.channels, *self.size
        channels, size = self.channels, self.size
        for _ in range(self.number(0, 3)):
            filters = self.number(1, 9)
            window = self.number(1, 3), self.number(1, 3)
            stride, padding = (self.number(1, 2), self.number(1, 2)), self.number(0, 1)
            after = [
                (n + 2 * padding - w) // s + 1 for n, w, s in zip(size, window, stride, strict=True)
            ]
            if min(after) < 1:
                continue
            weight = rng.standard_normal((filters, channels, *window)) / np.sqrt(
                channels * window[0]
            )
            self.params.append([weight, rng.standard_normal(filters)])
            pool = min(after) > 1 and rng.random() < 0.4
            normalise = rng.random() < 0.5
            self.layers.append((stride, padding, self.activation(), normalise, pool))
            channels, size = filters, [n // 2 if pool else n for n in after]
        self.average = rng.random() < 0.4
        width = channels * (1 if self.average else size[0] * size[1])
        self.dense = []
        for _ in range(self.number(0, 2)):
            units = self.number(1, 20)
            self.params.append([rng.standard_normal((width, units)), rng.standard_normal(units)])
            self.dense.append(self.activation())
            width = units
        self.params.append([rng.standard_normal((width, self.outputs)), np.zeros(self.outputs)])
        self.classify = self.outputs > 1 and rng.random() < 0.5
        self.steps, self.checkpoint = self.number(0, 2), rng.random() < 0.3

    def number(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def activation(self):
        return ACTIVATIONS[self.number(0, len(ACTIVATIONS) - 1)]

    def data(self):
        rng, found = self.rng, []
        for n in (self.examples, self.queries):
            found.append(rng.standard_normal((self.tasks, n, *self.inputs)))
            labels = rng.integers(0, self.outputs, (self.tasks, n))
            found.append(
                labels if self.classify else rng.standard_normal((self.tasks, n, self.outputs))
            )
        return [ac.asarray(x) for x in found]

    def apply(self, params, x):
        params = iter(params)
        for stride, padding, activation, normalise, pool in self.layers:
            weight, bias = next(params)
            x = nn.conv2d(x, weight, bias, stride=stride, padding=padding)
            if normalise:
                mean = ac.mean(x, axis=(0, 2, 3), keepdims=True)
                var = ac.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
                x = (x - mean) / ac.sqrt(var + 0.1)
            x = activation(x)
            x = nn.max_pool2d(x, 2) if pool else x
        x = ac.mean(x, axis=(2, 3)) if self.average else ac.reshape(x, (x.shape[0], -1))
        for activation in self.dense:
            weight, bias = next(params)
            x = activation(x @ weight + bias)
        weight, bias = next(params)
        return x @ weight + bias

    def loss(self, params, x, y):
        out = self.apply(params, x)
        return nn.cross_entropy(out, y) if self.classify else ac.mean((out - y) ** 2)

    def task_loss(self, params, xs, ys, xq, yq):
        def inner(params, xs, ys):
            gradient = ac.grad(self.loss)(params, xs, ys)
            return ac.tree_map(lambda p, g: p - 0.05 * g, params, gradient)

        step = ac.checkpoint(inner) if self.checkpoint else inner
        for _ in range(self.steps):
            params = step(params, xs, ys)
        return self.loss(params, xq, yq)

    def meta(self, params, *tasks):
        return ac.mean(ac.vmap(self.task_loss, (None, 0, 0, 0, 0))(params, *tasks))


def check(seed):
    network = Network(seed)
    params = ac.tree_map(ac.asarray, network.params)
    tasks = network.data()
    for f in (
        network.meta,
        ac.value_and_grad(network.meta),
        lambda p, *t: ac.jvp(lambda p: network.meta(p, *t), (p,), (p,)),
    ):
        expected = ac.tree_leaves(f(params, *tasks))
        got = ac.tree_leaves(ac.jit(f, quiet=True)(params, *tasks))
        scale = max(float(np.abs(y.numpy()).max(initial=0)) for y in expected)
        for x, y in zip(got, expected, strict=True):
            np.testing.assert_allclose(
                x.numpy(), y.numpy(), rtol=1e-8, atol=1e-10 * max(scale, 1.0)
            )


@pytest.mark.parametrize("seed", range(12))
def test_batches_shared_between_threads(seed, monkeypatch):
    """Without `vmap`, a large batch is cut into turns; small ones here, to see that it is right."""
    monkeypatch.setattr("autograd_core.capture.lowering.mapping.WORTH_CUTTING", 1)
    monkeypatch.setattr("autograd_core.capture.lowering.planning.WORTH_A_THREAD", 0.0)
    monkeypatch.setattr("autograd_core.capture.lowering.planning.thread_count", lambda: 2)
    network = Network(seed)
    network.examples = 8
    params = ac.tree_map(ac.asarray, network.params)
    x, y, _, _ = (each[0] for each in network.data())
    f = ac.value_and_grad(network.loss)
    for got, expected in zip(
        ac.tree_leaves(ac.jit(f)(params, x, y)), ac.tree_leaves(f(params, x, y)), strict=True
    ):
        scale = max(1.0, float(np.abs(expected.numpy()).max()))
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-9, atol=1e-11 * scale)


@pytest.mark.parametrize("seed", range(30))
def test_meta_gradients_of_random_networks(seed):
    check(seed)
