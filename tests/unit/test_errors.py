"""Mistakes raise the engine's own errors, which say what was expected and what to do."""

import numpy as np
import pytest

import autograd_core as ac
from autograd_core.primitive import _levels

VECTOR = np.ones(3)


def raises(error, *parts):
    """Expect an error whose message has all the parts."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{part})" for part in parts))


# Gradients that do not exist ------------------------------------------------------------------


def test_grad_of_a_vector():
    with raises(ac.AutogradError, "scalar", r"shape \(3,\)", "jacrev"):
        ac.grad(ac.sin)(VECTOR)


def test_grad_names_the_function():
    def my_loss(x):
        return x

    with raises(ac.AutogradError, "grad of my_loss"):
        ac.grad(my_loss)(VECTOR)


def test_grad_of_two_results():
    with raises(ac.AutogradError, "has_aux"):
        ac.grad(lambda x: (ac.sum(x), x))(VECTOR)


def test_grad_of_an_integer_value():
    with raises(ac.DtypeError, "floating"):
        ac.grad(lambda x: ac.argmax(x))(VECTOR)


def test_has_aux_without_aux():
    with raises(TypeError, r"\(output, aux\)"):
        ac.grad(ac.sum, has_aux=True)(VECTOR)


@pytest.mark.parametrize("transform", [ac.grad, ac.jacrev, ac.jacfwd, ac.value_and_grad])
def test_integer_arguments(transform):
    with raises(ac.DtypeError, "int64", "float32"):
        transform(lambda x: ac.sum(x))(np.arange(3))


def test_integer_arguments_of_other_transforms():
    for call in (
        lambda: ac.vjp(ac.sum, np.arange(3)),
        lambda: ac.jvp(ac.sum, (np.arange(3),), (np.arange(3),)),
        lambda: ac.linearize(ac.sum, np.arange(3)),
    ):
        with raises(ac.DtypeError, "int64"):
            call()


def test_integer_leaf_in_a_tree_is_named():
    with raises(ac.DtypeError, "'step'"):
        ac.grad(lambda p: ac.sum(p["w"]))({"w": VECTOR, "step": 3})


def test_requires_grad_on_integers():
    with raises(ac.DtypeError, "int64", "floating"):
        ac.Tensor([1, 2], requires_grad=True)


def test_argnums_out_of_range():
    with raises(TypeError, "argnums=2", "2 positional"):
        ac.grad(lambda x, y: ac.sum(x * y), 2)(VECTOR, VECTOR)


# Cotangents and tangents that do not fit ------------------------------------------------------


def test_cotangent_of_another_shape():
    _, pull = ac.vjp(ac.sin, VECTOR)
    with raises(ac.ShapeError, "cotangent", r"\(3,\)", r"\(2,\)"):
        pull(np.ones(2))


def test_cotangent_of_another_structure():
    _, pull = ac.vjp(lambda x: (x, x), VECTOR)
    with raises(ac.ShapeError, "structure"):
        pull(VECTOR)


def test_tangent_of_another_shape():
    with raises(ac.ShapeError, "tangent", r"\(3,\)", r"\(2,\)"):
        ac.jvp(ac.sin, (VECTOR,), (np.ones(2),))


def test_tangents_are_not_as_many():
    with raises(ac.ShapeError, "structure"):
        ac.jvp(ac.sin, (VECTOR,), (VECTOR, VECTOR))


def test_backward_of_a_vector():
    x = ac.Tensor(VECTOR, requires_grad=True)
    with raises(ac.AutogradError, "scalar", "sum"):
        (x * 2.0).backward()
    with raises(ac.AutogradError, r"\(3,\)", r"\(2,\)"):
        (x * 2.0).backward(np.ones(2))


def test_backward_of_a_plain_tensor():
    with raises(ac.AutogradError, "requires_grad=True"):
        ac.ones(()).backward()


def test_backward_inside_a_transform():
    def f(x):
        (x * x).backward()
        return x

    with raises(ac.AutogradError, "inside a transform"):
        ac.grad(f)(1.0)


# Shapes of operations -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: ac.add(np.ones(2), VECTOR), ["add", r"float64\[2\]", r"float64\[3\]"]),
        (lambda: ac.matmul(np.ones((2, 3)), np.ones((2, 3))), ["matmul", r"\(2, 3\)"]),
        (lambda: ac.reshape(VECTOR, (2, -1)), ["reshape", r"\(3,\)"]),
        (lambda: ac.concatenate([np.ones((2, 2)), np.ones((2, 3))]), ["concatenate"]),
        (lambda: ac.broadcast_to(VECTOR, (2,)), ["broadcast_to", r"\(2,\)"]),
        (lambda: ac.sum(VECTOR, 1), ["axis 1", "1 axes"]),
        (lambda: ac.transpose(np.ones((2, 2)), (0, 0)), ["repeated axis"]),
        (lambda: ac.stack([VECTOR, np.ones(2)]), ["stack", "one shape"]),
    ],
)
def test_shape_errors(call, parts):
    with raises(ac.ShapeError, *parts):
        call()


def test_shape_errors_under_transforms_name_the_operation():
    for transform in (ac.grad, ac.vmap, lambda f: lambda x: ac.jvp(f, (x,), (x,))):
        with raises(ac.ShapeError, "add"):
            transform(lambda x: ac.sum(x + np.ones(7)))(np.ones((5, 4))[:, :3])


def test_index_errors():
    with raises(IndexError, "out of bounds"):
        ac.asarray(VECTOR)[3]
    with raises(IndexError, "out of bounds"):
        ac.asarray(VECTOR)[np.array([0, -4])]
    with raises(IndexError, "too many"):
        ac.asarray(VECTOR)[0, 0]


def test_foreign_data():
    with raises(ac.DtypeError, "object"):
        ac.asarray([{}])
    with raises(ac.DtypeError):
        ac.asarray("text")


# vmap -----------------------------------------------------------------------------------------


def test_mapped_axes_of_different_lengths():
    with raises(ac.ShapeError, r"\[0\]: 3", r"\[1\]: 2"):
        ac.vmap(ac.add)(VECTOR, np.ones(2))


def test_mapped_axis_that_does_not_exist():
    with raises(ac.ShapeError, "no axis 1", r"\(3,\)"):
        ac.vmap(ac.sin, 1)(VECTOR)


def test_nothing_is_mapped():
    with raises(ac.ShapeError, "no argument"):
        ac.vmap(ac.sin, None)(VECTOR)


def test_in_axes_of_another_length():
    with raises(ac.ShapeError, "in_axes"):
        ac.vmap(ac.add, (0, 0, 0))(VECTOR, VECTOR)


def test_out_axis_none_of_a_mapped_result():
    with raises(ac.ShapeError, "out_axes"):
        ac.vmap(ac.sin, 0, None)(VECTOR)


@pytest.mark.parametrize("look", [bool, float, int, lambda x: x.item(), lambda x: x.tolist()])
def test_a_mapped_value_has_no_number(look):
    with raises(ac.ConcreteValueError, "vmap", "where"):
        ac.vmap(lambda x: x * look(x > 0.5))(VECTOR)


def test_branches_under_vmap_of_grad():
    def f(x):
        return x * x if x > 0 else x

    with raises(ac.ConcreteValueError, r"bool\(\)"):
        ac.vmap(ac.grad(f))(VECTOR)
    assert float(ac.grad(f)(3.0)) == 6.0  # without vmap there is one value to branch on


def test_numpy_of_a_traced_tensor():
    for transform in (ac.grad, ac.vmap):
        with raises(ac.ConcreteValueError, "detach"):
            transform(lambda x: np.sum(np.asarray(x)))(VECTOR)


# Tracers that escape --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: ac.grad(f)(1.0),
        lambda f: ac.jvp(f, (1.0,), (1.0,)),
        lambda f: ac.vmap(f)(VECTOR),
        lambda f: ac.linearize(f, 1.0),
        lambda f: ac.vjp(f, 1.0),
        lambda f: ac.jacfwd(f)(1.0),
    ],
)
def test_escaped_tracers(transform):
    escaped = []

    def f(x):
        escaped.append(x * 2.0)
        return x

    transform(f)
    with raises(ac.EscapedTracerError, "has_aux"):
        escaped[0] + 1.0


def test_a_transform_that_fails_leaves_no_level_behind():
    for transform in (ac.grad, ac.vmap, lambda f: lambda x: ac.jvp(f, (x,), (x,))):
        with pytest.raises(ZeroDivisionError):
            transform(lambda x: x / (1 // 0))(VECTOR)
        assert _levels.stack == []
    assert float(ac.grad(ac.sin)(0.0)) == 1.0


# Rules ----------------------------------------------------------------------------------------


def test_a_rule_that_does_not_exist_says_why():
    with raises(ac.RuleError, "where", "condition"):
        ac.grad(lambda c: ac.sum(ac.where(c, 1.0, 2.0)))(VECTOR)


def test_a_backward_error_names_the_forward_operation():
    @ac.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, None), lambda _res, g: (g, g))
    with pytest.raises(ac.ShapeError, match="one cotangent") as caught:
        ac.grad(lambda x: f(x) * 2.0)(1.0)
    assert any("backward pass of f" in note for note in caught.value.__notes__)
