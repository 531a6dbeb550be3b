"""`debug_nans()` names the operation and the user's line, in the forward and the backward pass."""

import inspect

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import reverse
from autograd_core.primitive import REGISTRY


def line_of(function, text):
    """`file:line` of the line of a function that holds some text."""
    lines, start = inspect.getsourcelines(function)
    (offset,) = [i for i, line in enumerate(lines) if text in line]
    return f"{__file__}:{start + offset}"


def forward_nan(x):
    y = x * 2.0
    z = ac.log(y)  # log of a negative number
    return ac.sum(z)


def backward_nan(x):
    y = ac.sqrt(x)  # infinite slope at 0
    return ac.sum(y * 0.0)  # 0 · inf


def test_forward():
    with ac.debug_nans(), pytest.raises(ac.NanError) as caught:
        forward_nan(ac.asarray([-1.0]))
    message = str(caught.value)
    assert message.startswith("log(float64[1]) produced a NaN")
    assert line_of(forward_nan, "log of a negative") in message
    assert "in forward_nan" in message


@pytest.mark.parametrize("transform", [ac.grad, ac.vmap, ac.jacfwd])
def test_forward_under_transforms(transform):
    with ac.debug_nans(), pytest.raises(ac.NanError) as caught:
        transform(forward_nan)(np.array([[-1.0], [1.0]] if transform is ac.vmap else [-1.0]))
    assert "log" in str(caught.value)
    assert line_of(forward_nan, "log of a negative") in str(caught.value)


def test_backward_names_the_forward_operation_and_its_line():
    with ac.debug_nans(), pytest.raises(ac.NanError) as caught:
        ac.grad(backward_nan)(np.array([0.0]))
    notes = "\n".join(caught.value.__notes__)
    assert "backward pass of sqrt" in notes
    assert line_of(backward_nan, "infinite slope") in notes


def test_backward_of_a_leaf():
    x = ac.Tensor([0.0], requires_grad=True)
    with ac.debug_nans():
        value = backward_nan(x)
        with pytest.raises(ac.NanError) as caught:
            value.backward()
    assert any("backward pass of sqrt" in note for note in caught.value.__notes__)


def test_a_nan_that_comes_in_is_not_blamed_on_what_it_passes():
    with ac.debug_nans():
        out = ac.sin(ac.asarray([np.nan, 1.0]))
    assert np.isnan(out.numpy()[0])


def test_outside_the_block_nothing_is_checked():
    kernels = {name: primitive.kernel for name, primitive in REGISTRY.items()}
    make_node = reverse.Node.__init__
    with ac.debug_nans():
        assert REGISTRY["log"].kernel is not kernels["log"]
    assert {name: primitive.kernel for name, primitive in REGISTRY.items()} == kernels
    assert reverse.Node.__init__ is make_node
    assert not reverse.forward_lines
    with np.errstate(invalid="ignore"):
        assert np.isnan(forward_nan(ac.asarray([-1.0])).item())


def test_the_block_is_left_after_an_error():
    before = REGISTRY["log"].kernel
    with pytest.raises(ac.NanError), ac.debug_nans():
        forward_nan(ac.asarray([-1.0]))
    assert REGISTRY["log"].kernel is before


def test_results_are_the_same():
    def f(x):
        return ac.sum(ac.sin(x) * ac.exp(x))

    x = np.linspace(0, 1, 5)
    expected = ac.grad(f)(x).numpy()
    with ac.debug_nans():
        np.testing.assert_array_equal(ac.grad(f)(x), expected)


def test_no_warning_beside_the_error(recwarn):
    with ac.debug_nans(), pytest.raises(ac.NanError):
        forward_nan(ac.asarray([-1.0]))
    assert not recwarn.list
