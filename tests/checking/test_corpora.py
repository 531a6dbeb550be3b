"""What the checker is measured by: wrong gradients are caught, right ones are not accused."""

import warnings

import numpy as np
import pytest

from autograd_core.testing import GradientError, check_grads
from tests.checking.right import RIGHT
from tests.checking.wrong import WRONG, Remembering

NOT_DECIDED = {"no entries", "no entries among axes", "a sum of none"}
"""There is nothing to compare."""


def test_there_are_enough_of_both():
    for corpus in (RIGHT, WRONG):
        assert len({sample.name for sample in corpus}) == len(corpus) >= 60


@pytest.mark.parametrize("sample", WRONG, ids=lambda sample: sample.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_wrong_gradients_are_caught(sample, seed):
    with pytest.raises(GradientError) as raised:
        check_grads(sample.pair, *sample.args, seed=seed)
    assert f"seed={seed}" in str(raised.value)


@pytest.mark.parametrize("sample", RIGHT, ids=lambda sample: sample.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_right_gradients_are_not_accused(sample, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = check_grads(sample.pair, *sample.args, seed=seed)
    assert bool(report.decided) == (sample.name not in NOT_DECIDED)


CAUSES = {
    "sign of sin": "the sign is wrong",
    "factor of a square": "it is 1/2 times what it should be",
    "detached": "it is zero",
    "bias not summed": "the sum over axes (0,)",
    "transpose left as it is": "transposed",
    "flip forgotten": "reversed along axis 0",
    "roll the same way": "shifted",
    "number not summed": "sum over axes (0, 1)",
    "column's axis lost": "a reshape is missing",
    "order 2: sign": "first derivatives are right",
    "forward only: sign": "only the forward rule is wrong",
    "only in single precision": "wrong only for float32",
    "only for arrays with gaps": "wrong only for arguments with gaps",
    "the gradient damages its argument": "the gradient writes to argument 0",
    "the function damages its argument": "the function writes to argument 0",
    "memory used again": "its memory is reused",
    "only without axes": "arguments without axes",
    "only near zero": "near",
    "a number that is none": "it is not finite",
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_likely_cause_is_named(name):
    (sample,) = (sample for sample in WRONG if sample.name == name)
    with pytest.raises(GradientError) as raised:
        check_grads(sample.pair, *sample.args)
    assert CAUSES[name] in str(raised.value)


def test_what_the_first_call_leaves_is_named():
    x = np.linspace(-1, 1, 12).reshape(3, 4)
    with pytest.raises(GradientError, match="a stale closure"):
        check_grads((np.sin, Remembering().vjp), x)
