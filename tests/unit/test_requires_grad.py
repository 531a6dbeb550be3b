"""`requires_grad`, `.backward()`, `.grad`, `no_grad`, `detach`, and in-place changes."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import reverse


def leaf(values):
    return ac.Tensor(np.asarray(values, np.float64), requires_grad=True)


def test_backward_fills_grad():
    x = leaf([1.0, 2.0])
    assert x.grad is None
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_backward_adds_to_grad():
    x = leaf([1.0, 2.0])
    for expected in (3.0, 6.0):
        (x * 3.0).sum().backward()
        np.testing.assert_array_equal(x.grad, [expected, expected])
    x.grad = None
    (x * 5.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [5.0, 5.0])


def test_backward_twice_through_one_history():
    x = leaf(2.0)
    y = x * x * x
    y.backward()
    y.backward()
    assert float(x.grad) == 24.0


def test_backward_with_a_cotangent():
    x = leaf([1.0, 2.0, 3.0])
    (x * x).backward(np.array([1.0, 0.0, -1.0]))
    np.testing.assert_array_equal(x.grad, [2.0, 0.0, -6.0])


def test_grad_of_a_leaf_that_was_not_used():
    x, y = leaf(1.0), leaf(2.0)
    (x * 2.0).backward()
    assert y.grad is None


def test_only_leaves_have_grad():
    x = leaf(1.0)
    y = x * 2.0
    y.backward()
    assert y.grad is None
    with pytest.raises(ac.AutogradError, match="requires_grad"):
        y.grad = x


def test_grad_is_not_traced_unless_asked():
    x = leaf(3.0)
    (x * x).backward()
    assert not x.grad.requires_grad
    x.grad = None
    (x * x).backward(create_graph=True)
    assert x.grad.requires_grad


def test_create_graph_to_the_third_order():
    """x⁴: 4x³, 12x², 24x."""
    x = leaf(3.0)
    y = x * x * x * x
    for expected in (108.0, 108.0, 72.0):
        x.grad = None
        y.backward(create_graph=True)
        assert float(x.grad.detach()) == expected
        y = x.grad


def test_create_graph_through_a_checkpoint_and_custom_rules():
    """The backward pass of a call is recorded from its arguments."""

    @ac.custom_vjp
    def cube(x):
        return x * x * x

    cube.defvjp(lambda x: (x * x * x, x), lambda x, g: (g * 3.0 * x * x,))
    for f in (cube, ac.checkpoint(lambda x: x * x * x)):
        x = leaf(2.0)
        f(x).backward(create_graph=True)
        first = x.grad
        assert float(first.detach()) == 12.0
        x.grad = None
        first.backward()
        assert float(x.grad) == 12.0  # 6x


def test_penalty_on_the_gradient():
    """d/dx |d(x³)/dx|² = d/dx 9x⁴ = 36x³."""
    x = leaf([1.0, 2.0])
    (x * x * x).sum().backward(create_graph=True)
    g = x.grad
    x.grad = None
    (g * g).sum().backward()
    np.testing.assert_array_equal(x.grad, 36.0 * np.array([1.0, 8.0]))


def test_gradient_has_the_dtype_of_its_leaf():
    x = ac.Tensor(np.ones(3, np.float32), requires_grad=True)
    (x * np.ones(3, np.float64)).sum().backward()
    assert x.grad.dtype == np.float32


def test_broadcast_gradients_are_summed():
    row, column = leaf([1.0, 2.0, 3.0]), leaf([[1.0], [2.0]])
    (row * column).sum().backward()
    np.testing.assert_array_equal(row.grad, [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(column.grad, [[6.0], [6.0]])


def test_detach_stops_the_gradient():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert float(x.grad) == 3.0
    assert not x.detach().requires_grad


def test_no_grad_records_nothing(monkeypatch):
    x = leaf([1.0, 2.0])
    with ac.no_grad():
        recorded = []
        monkeypatch.setattr(reverse.Node, "__init__", lambda *args: recorded.append(args))
        y = ac.sum(ac.exp(x) @ x)
        monkeypatch.undo()
    assert not recorded
    assert not y.requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_inside_a_transform():
    def f(x):
        with ac.no_grad():
            constant = x * x
        return constant * x

    assert float(ac.grad(f)(3.0)) == 9.0


def test_transforms_work_under_no_grad():
    w = leaf(2.0)
    with ac.no_grad():
        assert float(ac.grad(lambda x: w * x * x)(3.0)) == 12.0


def test_no_grad_ends_with_an_error():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), ac.no_grad():
        raise ZeroDivisionError
    assert (x * 2.0).requires_grad


def test_a_tensor_does_not_share_the_array_it_was_made_of():
    array = np.ones(2)
    x = leaf(array)
    y = (x * x).sum()
    array[:] = 100.0
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


# In-place changes -----------------------------------------------------------------------------


def test_assignment_keeps_the_tape_true():
    """What was computed from the old value keeps its gradient; what comes after sees the new."""
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1.0
    before = (y * y).sum()
    y[1] = 10.0 * y[0]
    after = (y * y).sum()
    before.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0, 6.0])
    x.grad = None
    after.backward()  # x₀² + (10 x₀)² + x₂²
    np.testing.assert_array_equal(x.grad, [202.0, 0.0, 6.0])


def test_assignment_of_a_traced_value_into_a_plain_tensor():
    x = leaf(3.0)
    buffer = ac.zeros(2)
    buffer[0] = x * x
    buffer.sum().backward()
    assert float(x.grad) == 6.0


def test_assignment_inside_transforms():
    def f(x):
        y = x * 2.0
        y[0] = y[1] * y[1]
        return ac.sum(y)

    x = np.array([1.0, 3.0])
    np.testing.assert_array_equal(ac.grad(f)(x), [0.0, 26.0])
    np.testing.assert_array_equal(ac.jvp(f, (x,), (np.ones(2),))[1], 26.0)
    np.testing.assert_array_equal(ac.vmap(f)(np.stack([x, 2 * x])), [42.0, 156.0])


def test_assignment_does_not_write_to_shared_arrays():
    array = np.zeros(3)
    x = ac.asarray(array)
    x[0] = 1.0
    np.testing.assert_array_equal(array, np.zeros(3))
    np.testing.assert_array_equal(x, [1.0, 0.0, 0.0])


@pytest.mark.parametrize("change", ["x += 1.0", "x -= 1.0", "x *= 2.0", "x[0] = 5.0"])
def test_leaves_change_under_no_grad_only(change):
    x = leaf([1.0, 2.0])
    with pytest.raises(ac.AutogradError, match="no_grad"):
        exec(change, {"x": x})
    with ac.no_grad():
        exec(change, {"x": x})
    assert x.requires_grad
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, 2.0 * np.asarray(x.detach()))


def test_augmented_assignment_keeps_the_tape_true():
    x = leaf([1.0, 2.0])
    y = x * 1.0
    square = (y * y).sum()
    y *= 3.0
    (square + y.sum()).backward()
    np.testing.assert_array_equal(x.grad, [5.0, 7.0])


def test_augmented_assignment_keeps_shape_and_dtype():
    y = ac.ones(2, np.float32)
    with pytest.raises(ac.AutogradError, match="float32"):
        y += np.ones(2)
    with pytest.raises(ac.AutogradError, match="in place"):
        y += ac.ones((3, 2), np.float32)
