"""Random programs of nested transforms agree with an oracle that shares nothing with the engine."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import autograd_core as ac
from autograd_core.testing.programs import random_programs, run
from tests.properties import oracle

SHAPES = [(), (2,), (3,), (2, 2), (1, 3), (2, 1), (2, 3)]
DRIFT = 1e-9  # relative to the largest entry: what ten operations to the third order may round off


def programs(depth, shape):
    """Programs with transforms nested up to `depth`."""
    return random_programs(max_steps=5, depth=depth, shape=shape)


def check(program, x):
    """The engine's result of a program at x is the oracle's."""
    expected = oracle.floats(run(program, oracle.Operations, oracle.TRANSFORMS, oracle.objects(x)))
    assume(np.all(np.abs(expected) < 1e6))
    got = program(ac.asarray(x)).numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=DRIFT * max(1, np.abs(expected).max()))


@st.composite
def arguments(draw, shapes=SHAPES):
    shape = draw(st.sampled_from(shapes))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.uniform(-1.5, 1.5, shape)


@settings(max_examples=400)
@given(data=st.data())
def test_one_transform(data):
    x = data.draw(arguments())
    check(data.draw(programs(1, x.shape)), x)


@settings(max_examples=400)
@given(data=st.data())
def test_two_transforms(data):
    x = data.draw(arguments())
    check(data.draw(programs(2, x.shape)), x)


@settings(max_examples=400)
@given(data=st.data())
def test_three_transforms(data):
    x = data.draw(arguments())
    check(data.draw(programs(3, x.shape)), x)
