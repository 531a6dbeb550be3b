import numpy as np
import pytest

import autograd_core as ac
from autograd_core import random
from metalearn.errors import OptionError
from metalearn.models import conv4, mlp
from metalearn.parts import with_outputs


def count(params) -> int:
    return sum(leaf.size for leaf in ac.tree_leaves(params))


def test_the_papers_network_for_sinusoids():
    model = mlp(1, 1)
    params = model.init(random.key(0))
    assert count(params) == 40 + 40 + 40 * 40 + 40 + 40 + 1
    outputs, used = model.apply(params, np.zeros((7, 1), np.float32), "batch")
    assert (outputs.shape, outputs.dtype, used) == ((7, 1), np.float32, ())


def test_the_papers_network_for_omniglot():
    model = conv4(1, 28, 5)
    params = model.init(random.key(0))
    convolutions = 9 * 64 + 3 * 9 * 64 * 64
    assert count(params) == convolutions + 4 * 2 * 64 + 64 * 5 + 5
    x = np.random.default_rng(0).random((10, 1, 28, 28)).astype(np.float32)
    outputs, used = model.apply(params, x, "batch")
    assert (outputs.shape, outputs.dtype) == ((10, 5), np.float32)
    assert model.normalised == (64,) * 4 == tuple(s.mean.shape[0] for s in used)


def test_large_images_are_pooled():
    """84 → 42 → 21 → 10 → 5: the paper's network for mini-ImageNet."""
    model = conv4(3, 84, 5, filters=32)
    params = model.init(random.key(0))
    assert params["head"]["weight"].shape == (25 * 32, 5)
    outputs, _ = model.apply(params, np.ones((2, 3, 84, 84), np.float32), "batch")
    assert outputs.shape == (2, 5)


def test_without_batch_norm_convolutions_have_a_bias():
    params = conv4(1, 28, 5, filters=4, normalise=False).init(random.key(0))
    assert set(params["blocks"][0]) == {"weight", "bias"}


def test_images_too_small_to_pool():
    with pytest.raises(OptionError, match="16"):
        conv4(1, 15, 5, pool=True)


def test_initial_values_are_a_function_of_the_key():
    model = conv4(1, 28, 5, filters=8)
    a, b, c = (model.init(random.key(seed)) for seed in (0, 0, 1))
    leaves = zip(ac.tree_leaves(a), ac.tree_leaves(b), strict=True)
    assert all(np.array_equal(x, y) for x, y in leaves)
    assert not np.array_equal(a["head"]["weight"], c["head"]["weight"])


def test_initial_activations_keep_their_scale():
    """He's variance: pre-activations of the second layer stay near the input's variance."""
    x = np.random.default_rng(0).normal(size=(400, 50)).astype(np.float32)
    model = mlp(50, 100, (200, 200))
    outputs, _ = model.apply(model.init(random.key(0)), x, "batch")
    assert 0.5 < float(np.var(np.asarray(outputs))) < 2.0


@pytest.mark.parametrize("model", [conv4(1, 28, 5, filters=4), mlp(784, 5, (8,))])
def test_fewer_outputs(model):
    params, x = model.init(random.key(0)), np.ones((2, 1, 28, 28), np.float32)
    all_outputs, _ = model.apply(params, x, "batch")
    outputs, _ = model.apply(with_outputs(params, 3), x, "batch")
    np.testing.assert_allclose(outputs, np.asarray(all_outputs)[:, :3], rtol=1e-6)
