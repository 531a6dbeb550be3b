"""einops, array-api-extra and array-api-compat on tensors."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ac
from tests.consumers.consumer import check_consumer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
V = RNG.normal(size=7)


# einops ---------------------------------------------------------------------------------------

PATTERNS = {
    "transposed": lambda e, x: e.rearrange(x, "a b -> b a"),
    "blocks": lambda e, x: e.rearrange(x, "(a b) c -> a (b c)", a=3),
    "new axes": lambda e, x: e.rearrange(x, "(a b) c -> c 1 a b", b=2),
    "sum": lambda e, x: e.reduce(x, "(a b) c -> a c", "sum", a=3),
    "mean": lambda e, x: e.reduce(x, "(a b) c -> c", "mean", a=3),
    "max": lambda e, x: e.reduce(x, "(a b) c -> a c", "max", a=3),
    "min": lambda e, x: e.reduce(x, "a b -> ", "min"),
    "prod": lambda e, x: e.reduce(x, "(a b) c -> a c", "prod", a=3),
    "repeat": lambda e, x: e.repeat(x, "a b -> (a k) b", k=3),
    "pack": lambda e, x: e.pack([x, x[:, 0]], "a *")[0],
    "unpack": lambda e, x: e.unpack(x, [(1,), (3,)], "a *"),
    "flat": lambda e, x: e.rearrange(x, "a b -> (b a)") * 2,
}


@pytest.mark.parametrize("name", PATTERNS)
def test_einops(name: str) -> None:
    einops = pytest.importorskip("einops.array_api", reason="a consumer of the standard")
    check_consumer(lambda x: PATTERNS[name](einops, x), X)


def test_einops_mapped_and_captured() -> None:
    einops = pytest.importorskip("einops.array_api", reason="a consumer of the standard")
    f = lambda x: ac.sum(einops.reduce(x**2, "(a b) c -> a c", "mean", a=3) ** 2)
    stack = np.stack([X, 2 * X])
    np.testing.assert_allclose(
        ac.jit(ac.vmap(ac.grad(f)))(stack).numpy(), [ac.grad(f)(x).numpy() for x in stack]
    )


# array-api-extra ------------------------------------------------------------------------------

EXTRA = {
    "apply_where": lambda e, x: e.apply_where(x > 0, x, lambda v: v**2, lambda v: -v),
    "at.add": lambda e, x: e.at(x, (slice(None), 0)).add(2.0, copy=True),
    "at.set by a mask": lambda e, x: e.at(x, x > 0).set(2.0, copy=True),
    "at.multiply": lambda e, x: e.at(x)[1].multiply(3.0, copy=True),
    "atleast_nd": lambda e, x: e.atleast_nd(x, ndim=4),
    "cov": lambda e, x: e.cov(x),
    "create_diagonal": lambda e, x: e.create_diagonal(x),
    "expand_dims": lambda e, x: e.expand_dims(x, axis=(0, 3)),
    "kron": lambda e, x: e.kron(x, x),
    "nan_to_num": lambda e, x: e.nan_to_num(x * 2),
    "nansum": lambda e, x: e.nansum(x, axis=0),
    "pad": lambda e, x: e.pad(x, 2),
    "partition": lambda e, x: e.partition(x, 2, axis=0),
    "setdiff1d": lambda e, x: e.setdiff1d(x, x[:2]),
    "sinc": lambda e, x: e.sinc(x),
    "union1d": lambda e, x: e.union1d(x[0], x[1]),
    "angle": lambda e, x: e.angle(x + 2j),
}


@pytest.mark.parametrize("name", EXTRA)
def test_array_api_extra(name: str) -> None:
    extra = pytest.importorskip("array_api_extra", reason="a consumer of the standard")
    check_consumer(lambda x: EXTRA[name](extra, x), X)


def test_array_api_extra_without_derivatives() -> None:
    extra = pytest.importorskip("array_api_extra", reason="a consumer of the standard")
    one_hot = lambda n: extra.one_hot(n, 4)
    check_consumer(one_hot, np.array([0, 3, 1]), differentiable=False)
    check_consumer(lambda x: extra.isclose(x, x + 1e-12), V, differentiable=False)
    check_consumer(lambda x: extra.argpartition(x, 2) >= 0, V, differentiable=False)
    assert extra.nunique(ac.asarray([1.0, 2.0, 1.0])) == 2
    assert extra.default_dtype(ac) == ac.float64


# array-api-compat -----------------------------------------------------------------------------


def test_array_api_compat() -> None:
    compat = pytest.importorskip("array_api_compat", reason="a consumer of the standard")
    x = ac.asarray(X)
    assert compat.is_array_api_obj(x) and not compat.is_lazy_array(x)
    assert compat.array_namespace(x, 1.0, None) is ac
    assert compat.device(x) == "cpu" and compat.size(x) == 24
    assert compat.is_writeable_array(x)
    assert compat.to_device(x, "cpu").shape == (6, 4)
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, X)


def test_written_for_any_namespace() -> None:
    compat = pytest.importorskip("array_api_compat", reason="a consumer of the standard")

    def standardised(x):
        xp = compat.array_namespace(x)
        centred = x - xp.mean(x, axis=0, keepdims=True)
        return centred / xp.std(centred, axis=0, correction=1, keepdims=True)

    check_consumer(standardised, X)
