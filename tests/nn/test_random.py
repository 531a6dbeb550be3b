"""Random numbers, dropout and initial values.

Seeds are fixed, so a test passes always or never; bounds are 5 standard deviations of what is
measured, so that another seed would do as well.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import nn, random
from autograd_core.nn import init

N = 20_000
SIGMAS = 5.0


def assert_mean(samples, mean, std):
    """The mean of independent samples with this mean and standard deviation is where it should."""
    samples = np.asarray(samples, np.float64)
    assert abs(samples.mean() - mean) < SIGMAS * std / math.sqrt(samples.size)


def test_large_numbers_are_folded_in_exactly():
    key, large = random.key(0), 2**63 + 5
    children = {tuple(random.fold_in(key, np.uint64(large + i)).tolist()) for i in range(4)}
    assert len(children) == 4


# Keys -----------------------------------------------------------------------------------------


def test_numbers_are_those_of_philox():
    """Pinned: results may not change between versions of anything."""
    key = random.key(0)
    assert key.tolist() == [15793235383387715774, 12390638538380655177]
    assert random.bits(key, (2,)).tolist() == BITS
    assert random.split(key).tolist() == CHILDREN
    assert random.fold_in(key, 7).tolist() == SEVENTH
    np.testing.assert_array_equal(random.uniform(key, 2), np.float32(UNIFORM))
    np.testing.assert_allclose(random.normal(key, 3, np.float64), NORMAL, rtol=1e-14)


BITS = [259491006799949737, 4754966410622352325]
CHILDREN = [[5312087694084997812, 2167078804631760376], [12885069150845639902, 6370427667298282036]]
SEVENTH = [7240941643410842332, 311515724825775690]
UNIFORM = [0.13562291860580444, 0.014066994190216064]
NORMAL = [-0.1656472506323414, 0.6482145914671419, 0.02991348726724718]


def test_the_same_key_gives_the_same_numbers_and_another_others():
    first, second = random.split(random.key(3))
    assert random.uniform(first, 4).tolist() == random.uniform(first, 4).tolist()
    drawn = [random.uniform(k, 4).tolist() for k in (random.key(3), first, second)]
    drawn += [random.uniform(random.fold_in(first, i), 4).tolist() for i in (0, 1)]
    numbers = [x for row in drawn for x in row]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("child", ["split", "fold_in"])
def test_children_are_not_correlated(child):
    key = random.key(1)
    one, other = random.split(key) if child == "split" else (random.fold_in(key, i) for i in (0, 1))
    x, y, z = (random.normal(k, N, np.float64).numpy() for k in (key, one, other))
    for a, b in ((x, y), (x, z), (y, z)):
        assert_mean(a * b, 0, 1)


def test_mapped_keys_give_each_slice_its_own_numbers():
    keys = random.split(random.key(0), 3)
    draws = [
        lambda k: random.normal(k, (2,)),
        lambda k: random.uniform(k, (2,), -1, 1),
        lambda k: random.bits(k, (2,)),
        lambda k: random.permutation(k, 5),
        lambda k: random.bernoulli(k, 0.5, (8,)),
        lambda k: random.randint(k, (3,), 0, 100),
        lambda k: random.split(k, 2),
        lambda k: random.fold_in(k, 3),
        lambda k: random.normal(random.split(k)[1], (2,)),
        lambda k: nn.dropout(k, np.ones(6), 0.5),
        lambda k: init.orthogonal(k, (2, 3)),
        lambda k: init.truncated_normal(k, (2, 3)),
    ]
    for draw in draws:
        mapped = ac.vmap(draw)(keys)
        assert mapped.tolist() == [draw(k).tolist() for k in keys]
        assert len({str(row) for row in mapped.tolist()}) == 3


def test_a_key_that_is_not_mapped_gives_all_slices_the_same():
    key = random.key(0)
    out = ac.vmap(lambda x: x + random.normal(key, (2,), np.float64))(np.zeros(3))
    assert out.tolist() == [random.normal(key, (2,), np.float64).tolist()] * 3


def test_folding_in_a_mapped_index():
    key = random.key(0)
    mapped = ac.vmap(lambda i: random.fold_in(key, i))(np.arange(3))
    assert mapped.tolist() == [random.fold_in(key, i).tolist() for i in range(3)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.normal(0, (2,)), r"normal: expected a key"),
        (lambda: random.split(np.zeros(2)), r"split: expected a key, uint64 \(2,\)"),
        (lambda: random.uniform(random.split(random.key(0)), 2), r"\(2, 2\); take one, or use"),
        (lambda: random.normal(random.key(0), 2, np.float16), "float32 and float64"),
        (lambda: random.fold_in(random.key(0), 0.5), "expected an integer"),
        (lambda: random.randint(random.key(0), 2, 3, 3), r"no whole number in \[3, 3\)"),
        (lambda: random.key(-1), "non-negative"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


# Distributions --------------------------------------------------------------------------------


def distance(samples, distribution):
    """Kolmogorov's distance of samples from a distribution function, times √n.

    Above 2.2 for one in 10 000 seeds: 2 exp(-2 · 2.2²).
    """
    x = np.sort(np.asarray(samples, np.float64))
    expected = distribution(x)
    steps = np.arange(len(x) + 1) / len(x)
    gap = max((steps[1:] - expected).max(), (expected - steps[:-1]).max())
    return gap * math.sqrt(len(x))


def normal_distribution(x):
    return 0.5 * np.array([math.erfc(-v / math.sqrt(2)) for v in x])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform(dtype):
    x = random.uniform(random.key(5), (2, N // 2), -1.0, 3.0, dtype)
    assert x.dtype == dtype
    assert x.shape == (2, N // 2)
    assert -1 <= x.numpy().min() < x.numpy().max() < 3
    assert distance(x.numpy().ravel(), lambda x: (x + 1) / 4) < 2.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal(dtype):
    x = random.normal(random.key(5), (N + 1,), dtype)
    assert x.dtype == dtype
    assert distance(x, normal_distribution) < 2.2


def test_derivatives_flow_through_bounds():
    f = lambda low, high: ac.sum(random.uniform(random.key(0), 3, low, high, np.float64))
    unit = random.uniform(random.key(0), 3, dtype=np.float64).numpy()
    low, high = ac.grad(f, (0, 1))(1.0, 2.0)
    assert float(high) == pytest.approx(unit.sum())
    assert float(low) == pytest.approx((1 - unit).sum())


def test_bernoulli():
    p = np.array([[0.0], [0.1], [0.7], [1.0]])
    hits = random.bernoulli(random.key(0), p, (4, N)).numpy()
    for row, share in zip(hits, p[:, 0], strict=True):
        assert_mean(row, share, math.sqrt(share * (1 - share)) + 1e-12)


def test_randint():
    x = random.randint(random.key(0), (N,), -2, 3).numpy()
    assert x.dtype == np.int64
    assert set(x) == {-2, -1, 0, 1, 2}
    for value in range(-2, 3):
        assert_mean(x == value, 0.2, 0.4)


def test_permutations_are_equally_likely():
    keys = random.split(random.key(0), 3000)
    orders = ac.vmap(lambda k: random.permutation(k, 3))(keys).numpy()
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(found) == 6
    for count in counts:
        assert_mean(np.arange(3000) < count, 1 / 6, math.sqrt(5) / 6)


def test_permutation_of_an_array_moves_slices():
    x = np.arange(12).reshape(3, 4)
    order = random.permutation(random.key(2), 4).numpy()
    assert random.permutation(random.key(2), x, axis=1).tolist() == x[:, order].tolist()


# Dropout --------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    out = nn.dropout(random.key(0), np.full(N, 2.0), 0.3).numpy()
    assert_mean(out == 0, 0.3, math.sqrt(0.3 * 0.7))
    np.testing.assert_allclose(out[out != 0], 2 / 0.7, rtol=1e-15)


def test_dropout_is_decided_by_its_key():
    x = np.ones((40, 3), np.float32)
    one, same, other = (nn.dropout(random.key(s), x, 0.5).numpy() for s in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()
    assert one.dtype == np.float32


def test_dropout_of_nothing_and_of_all():
    x = np.array([1.0, -2.0])
    assert nn.dropout(random.key(0), x, 0.0).tolist() == [1.0, -2.0]
    assert nn.dropout(random.key(0), x, 1.0).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"rate in \[0, 1\], got 1.5"):
        nn.dropout(random.key(0), x, 1.5)


def test_gradient_of_dropout_is_its_mask():
    f = lambda x: nn.dropout(random.key(0), x, 0.25)
    x = np.arange(1.0, 41.0)
    gradient = ac.grad(lambda x: ac.sum(f(x)))(x)
    np.testing.assert_allclose(gradient, f(x).numpy() / x, rtol=1e-15)


# Initial values -------------------------------------------------------------------------------

SHAPE = (60, 20, 3, 3)
FAN_IN, FAN_OUT = 180, 540


@pytest.mark.parametrize(
    ("make", "variance", "excess"),
    [
        (init.he_normal, 2 / FAN_IN, 0.0),
        (init.he_uniform, 2 / FAN_IN, -1.2),
        (init.glorot_normal, 2 / (FAN_IN + FAN_OUT), 0.0),
        (init.glorot_uniform, 2 / (FAN_IN + FAN_OUT), -1.2),
    ],
)
def test_variance_of_initial_weights(make, variance, excess):
    """The mean of n squares has variance (kurtosis - 1) σ⁴ / n, and kurtosis is 3 + excess."""
    w = make(random.key(0), SHAPE).numpy()
    assert w.shape == SHAPE
    assert w.dtype == np.float32
    assert_mean(w, 0, math.sqrt(variance))
    assert_mean(np.square(w, dtype=np.float64), variance, math.sqrt(2 + excess) * variance)


def test_uniform_weights_reach_their_bound():
    w = init.glorot_uniform(random.key(0), SHAPE, np.float64).numpy()
    assert 0.999 < np.abs(w).max() / math.sqrt(6 / (FAN_IN + FAN_OUT)) <= 1


def test_fans_of_a_matrix_laid_out_otherwise():
    w = init.he_normal(random.key(0), (50, 400), in_axis=0, out_axis=1).numpy()
    assert_mean(np.square(w, dtype=np.float64), 2 / 50, math.sqrt(2) * 2 / 50)


@pytest.mark.parametrize(("low", "high"), [(-2.0, 2.0), (-0.5, 3.0)])
def test_truncated_normal(low, high):
    x = init.truncated_normal(random.key(0), (N,), np.float64, 1.5, low, high).numpy() / 1.5
    assert low <= x.min() < x.max() <= high
    below, above = normal_distribution([low, high])
    inside = lambda x: (normal_distribution(x) - below) / (above - below)
    assert distance(x, inside) < 2.2


def test_standard_deviation_of_the_default_truncated_normal():
    """As its docstring says: variance 1 - 4 φ(2) / (1 - 2 Φ(-2))."""
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    variance = 1 - 4 * density / (1 - math.erfc(math.sqrt(2)))
    assert math.sqrt(variance) == pytest.approx(0.8796, abs=5e-5)
    x = init.truncated_normal(random.key(1), (N,), np.float64).numpy()
    assert_mean(x**2, variance, math.sqrt(2) * variance)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 2, 2), (2, 3, 3, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_orthogonal(shape, dtype):
    w = init.orthogonal(random.key(0), shape, dtype, gain=2.0).numpy()
    assert w.shape == shape
    assert w.dtype == dtype
    flat = w.reshape(len(w), -1).astype(np.float64) / 2
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, np.eye(len(product)), atol=4 * np.finfo(dtype).eps)


def test_orthogonal_is_fair():
    """Each entry of a 2 × 2 rotation is as often negative as positive, the diagonal too."""
    keys = random.split(random.key(0), 2000)
    signs = np.sign(ac.vmap(lambda k: init.orthogonal(k, (2, 2)))(keys).numpy())
    for i, j in np.ndindex(2, 2):
        assert_mean(signs[:, i, j], 0, 1)


def test_constants():
    for make, value in ((init.zeros, 0), (init.ones, 1)):
        x = make(random.key(0), (2, 3))
        assert x.dtype == np.float32
        assert x.tolist() == [[value] * 3] * 2


def test_weights_without_fans_are_named():
    with pytest.raises(ValueError, match=r"he_normal: .* \(O, I, \*window\), got shape \(3,\)"):
        init.he_normal(random.key(0), (3,))
    with pytest.raises(ValueError, match="orthogonal: expected two axes"):
        init.orthogonal(random.key(0), (3,))
