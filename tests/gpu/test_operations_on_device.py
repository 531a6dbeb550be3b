"""Every operation, loss, layer and optimiser on a GPU gives what it gives on the CPU, and stays
there: also its gradient, under jit, and mapped. Compositions too, which no law is checked on."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, optim, random
from tests.gpu.harness import needs_host_compiler
from tests.oracles.rows import identify
from tests.oracles.tables import JAX_TABLE, TABLE

pytestmark = needs_host_compiler
RNG = np.random.default_rng(0)
ROWS = [row for row in [*TABLE, *JAX_TABLE] if row.arguments()]


def there(xs, device):
    return ac.tree_map(lambda x: ac.asarray(x, device=device), xs)


def agree(got, expected, device):
    got, expected = ac.tree_leaves(got), ac.tree_leaves(expected)
    assert len(got) == len(expected)
    for x, y in zip(got, expected, strict=True):
        assert x.device == device
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        scale = max(1.0, float(np.max(np.abs(y.numpy()), initial=0, where=np.isfinite(y.numpy()))))
        eps = np.finfo(y.dtype).eps if y.dtype.kind == "f" else 0
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=0, atol=2**12 * eps * scale)


def total(f):
    """The sum of the floating-point results of f, weighted so that entries tell."""

    def scalar(*xs):
        outs = [y for y in ac.tree_leaves(f(*xs)) if y.dtype.kind == "f"]
        return sum((ac.sum(ac.sin(1.0 + ac.tanh(y))) for y in outs), ac.asarray(0.0))

    return scalar


def same(f, args, device):
    """f, its gradient in what is floating point, and jit of both."""
    args, moved = there(args, "cpu"), there(args, device)
    with np.errstate(all="ignore"):
        agree(f(*moved), f(*args), device)
        places = tuple(i for i, x in enumerate(args) if x.dtype.kind == "f")
        if not places:
            return
        gradient = ac.grad(total(f), places)
        try:
            expected = gradient(*args)
        except ac.RuleError:
            return
        agree(gradient(*moved), expected, device)
        try:
            agree(ac.jit(gradient)(*moved), expected, device)
        except ac.ConcreteValueError as error:  # of what reads masks: as on the CPU
            with pytest.raises(ac.ConcreteValueError):
                ac.jit(gradient)(*args)
            assert "jit" in str(error)


MOVED = {
    "to_device": lambda device: lambda x: ac.to_device(x, device),
    "full": lambda device: lambda v: ac.full((2, 3), v, device=device),
}


@pytest.mark.parametrize("row", ROWS, ids=identify(ROWS))
def test_operations(row, cuda):
    if row.name == "to_device":
        pytest.skip("it moves what is here, as test_devices has it")
    if row.name in ("iscomplexobj", "isrealobj"):
        pytest.skip("it gives a truth of Python's, which lies nowhere")
    same(row.function, row.arguments(), cuda)


def draw(*shape):
    return RNG.standard_normal(shape)


IMAGES, FILTERS = draw(2, 3, 7, 6), draw(4, 3, 3, 2)
LABELS = RNG.integers(0, 5, 6)
LAYERS = {
    "cross_entropy": (lambda x, y: nn.cross_entropy(x, y), draw(6, 5), LABELS),
    "cross_entropy smoothed": (
        lambda x, y: nn.cross_entropy(x, y, label_smoothing=0.1), draw(6, 5), LABELS),
    "nll": (lambda x, y: nn.nll(ac.log_softmax(x, -1), y), draw(6, 5), LABELS),
    "one_hot": (lambda y: nn.one_hot(y, 5), LABELS),
    "binary": (
        lambda x, p: nn.binary_cross_entropy_with_logits(x, p), draw(6), RNG.random(6)),
    "kl": (lambda q, p: nn.kl_divergence(ac.log_softmax(q, -1), p), draw(3, 4),
           np.full((3, 4), 0.25)),
    "mse": (nn.mse, draw(3, 4), draw(3, 4)),
    "l1": (nn.l1, draw(3, 4), draw(3, 4)),
    "huber": (nn.huber, draw(3, 4), draw(3, 4)),
    "batch_norm": (
        lambda x, s, b: nn.batch_norm(x, s, b, statistics="batch"), IMAGES, draw(3), draw(3)),
    "layer_norm": (lambda x: nn.layer_norm(x), draw(3, 4)),
    "group_norm": (lambda x: nn.group_norm(x, 3), IMAGES),
    "instance_norm": (nn.instance_norm, IMAGES),
    "conv2d": (lambda x, w: nn.conv2d(x, w, stride=2, padding=1), IMAGES, FILTERS),
    "conv_transpose2d": (
        lambda x, w: nn.conv_transpose2d(x, w), draw(2, 4, 3, 3), FILTERS),
    "max_pool2d": (lambda x: nn.max_pool2d(x, 2), IMAGES),
    "avg_pool2d": (lambda x: nn.avg_pool2d(x, 2, padding=1), IMAGES),
    "adaptive_avg_pool2d": (lambda x: nn.adaptive_avg_pool2d(x, (3, 2)), IMAGES),
    "attention": (
        lambda q, k, v: nn.dot_product_attention(q, k, v, causal=True),
        draw(2, 4, 3), draw(2, 4, 3), draw(2, 4, 3)),
    "gelu": (nn.gelu, draw(5)),
    "elu": (nn.elu, draw(5)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_losses(name, cuda):
    f, *args = LAYERS[name]
    same(f, args, cuda)


DRAWS = {
    "bits": (lambda key: random.bits(key, (5,)), 0),
    "uniform": (lambda key: random.uniform(key, (30, 4), -1, 2), 0),
    "uniform f8": (lambda key: random.uniform(key, (70,), 0.1, 0.7, np.float64), 0),
    "normal": (lambda key: random.normal(key, (3, 5)), 1e-6),
    "bernoulli": (lambda key: random.bernoulli(key, 0.3, (9,)), 0),
    "randint": (lambda key: random.randint(key, (9,), -3, 4), 0),
    "permutation": (lambda key: random.permutation(key, 9), 0),
    "split": (lambda key: random.split(key, 3), 0),
    "fold_in": (lambda key: random.fold_in(key, 7), 0),
    "dropout": (lambda key: nn.dropout(key, ac.ones_like(random.uniform(key, (20,))), 0.4), 0),
    "glorot": (lambda key: nn.init.glorot_uniform(key, (4, 3)), 1e-6),
    "truncated": (lambda key: nn.init.truncated_normal(key, (4, 3)), 1e-6),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_numbers_on_every_device(name, cuda):
    f, bound = DRAWS[name]
    for way in (f, ac.jit(f), lambda key: ac.vmap(f)(ac.stack([key, key]))[1]):
        got, expected = way(random.key(3, device=cuda)), f(random.key(3))
        assert got.device == cuda and got.dtype == expected.dtype
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=bound, atol=bound)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_optimizers(name, cuda):
    params = {"w": draw(3, 2), "b": draw(2)}
    loss = lambda p: ac.sum(ac.sin(p["w"]) ** 2) + ac.sum(p["b"] ** 2)

    def trained(params, wrap):
        optimizer = getattr(optim, name)(0.1)
        state = optimizer.init(params)

        def advance(p, s):
            updates, s = optimizer.update(ac.grad(loss)(p), s, p)
            return optim.apply(p, updates), s

        step = wrap(advance)
        for _ in range(4):
            params, state = step(params, state)
        return params

    expected = trained(there(params, "cpu"), lambda f: f)
    for wrap in (lambda f: f, ac.jit, lambda f: ac.jit(f, donate_argnums=(0, 1))):
        agree(trained(there(params, cuda), wrap), expected, cuda)
