"""Corners that once went wrong."""

import dataclasses
import math

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import Tensor, nn, optim
from autograd_core.declare import piecewise_constant
from autograd_core.primitive import REGISTRY, Primitive
from autograd_core.tensor import Aval
from autograd_core.testing import check_primitive
from autograd_core.testing.numeric import LawViolation
from autograd_core.tree import register_pytree


def same(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-12)


# Indices ---------------------------------------------------------------------------------------

X = np.arange(24.0).reshape(2, 3, 4)
KEYS = [
    np.s_[:, [0, 1], ..., [1, 2]],
    np.s_[[0, 1], ..., [1, 2], :],
    np.s_[[0, 1], [1, 2], ...],
    np.s_[..., [1], [2]],
    np.s_[1, ..., [0, 1], [1, 2]],
    np.s_[1, ..., [0, 1]],
    np.s_[:, 1, ..., [0, 1]],
    np.s_[0, 1, ..., [2]],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_an_ellipsis_between_arrays_keeps_them_apart(key):
    same(ac.asarray(X)[key], X[key])
    same(ac.asarray(X).at[key].set(0.0)[key], 0.0)


@pytest.mark.parametrize(
    "read",
    [
        lambda x, i: x[i],
        lambda x, i: ac.take(x, i),
        lambda x, i: ac.take_along_axis(x, i[None], 0),
        lambda x, i: nn.embedding(i, x[:, None]),
        lambda x, i: nn.cross_entropy(x[None], i[None]),
    ],
)
@pytest.mark.parametrize("wrong", [3, -5])
def test_a_mapped_index_out_of_bounds_never_reads_another_example(read, wrong):
    with pytest.raises(IndexError, match=f"{wrong} is out of bounds"):
        ac.vmap(read)(np.arange(6.0).reshape(2, 3), np.array([0, wrong]))


def test_labels_out_of_bounds():
    with pytest.raises(IndexError, match="one_hot: label 5"):
        nn.one_hot([0, 5], 3)


@pytest.mark.parametrize("name", ["multiply", "divide", "power", "min", "max"])
def test_updates_at_mapped_places(name):
    x = np.arange(1.0, 7).reshape(2, 3)
    index = np.array([[0, 0, 2], [1, 2, 2]])
    values = np.array([[2.0, 3.0, 0.5], [1.5, 2.0, 4.0]])
    update = lambda x, i, v: getattr(ac.asarray(x).at[i], name)(v)
    same(
        ac.vmap(update)(x, index, values),
        np.stack([update(*row).numpy() for row in zip(x, index, values, strict=True)]),
    )


def test_updates_of_one_place_come_one_after_the_other():
    same(Tensor([1.0, 2.0]).at[[0, 0, 1]].divide([2.0, 4.0, 5.0]), [1 / 8, 2 / 5])
    product = lambda v: ac.asarray([3.0, 5.0]).at[[0, 0]].multiply(v)[0]
    same(ac.grad(product)(np.array([2.0, 7.0])), [21, 6])


# Values and derivatives ------------------------------------------------------------------------


def test_mixed_derivatives_of_power_at_exponent_0():
    by_x, by_y = (ac.grad(ac.power, i) for i in (0, 1))
    same(ac.grad(lambda y: by_x(2.0, y))(0.0), 0.5)
    same(ac.grad(lambda x: by_y(x, 0.0))(2.0), 0.5)
    same(ac.grad(lambda x: x**0)(math.inf), 0)


def test_variance_without_degrees_of_freedom():
    with np.errstate(divide="ignore"):
        same(ac.var([1.0, 2.0], ddof=3), math.inf)


def test_labels_of_einsum_are_sorted_as_numbers():
    x, y = np.arange(2.0), np.arange(3.0)
    same(ac.einsum(x, [10], y, [2]), np.einsum(x, [10], y, [2]))


def test_roll_along_one_axis_twice():
    same(ac.roll(X, (1, 2), 0), np.roll(X, (1, 2), 0))


def test_attention_takes_masks_to_add():
    eye = np.eye(2)
    added = nn.dot_product_attention(eye, eye, eye, mask=np.array([[0, -np.inf], [0, 0]]))
    chosen = nn.dot_product_attention(eye, eye, eye, mask=np.array([[True, False], [True, True]]))
    same(added, chosen)
    with pytest.raises(ac.DtypeError, match="mask"):
        nn.dot_product_attention(eye, eye, eye, mask=np.ones((2, 2), int))


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: nn.max_pool1d(x, 2),
        lambda x: nn.max_pool2d(x[..., None], (2, 1)),
        lambda x: nn.group_norm(x, 1),
        nn.instance_norm,
    ],
)
def test_layers_of_an_empty_batch(layer):
    assert layer(np.zeros((0, 3, 4))).shape[0] == 0


def test_optimisers_of_numbers_and_of_nothing():
    assert float(optim.adam(0.1).init({"w": 1.0}).means["w"]) == 0
    clip = optim.clip_by_global_norm(1.0)
    assert clip.update({}, clip.init({}), {})[0] == {}


# Transforms ------------------------------------------------------------------------------------


def test_python_numbers_stay_numbers_under_checkpoint():
    seen = []

    def f(x, p):
        seen.append(x.dtype)
        return x * np.full((), p, np.float32) * p

    ac.grad(lambda x: ac.checkpoint(f)(x, 3.0))(np.float32(2))
    assert seen == [np.float32] * 2


def test_custom_vjp_takes_arguments_by_name():
    @ac.custom_vjp
    def scaled(x, factor=3.0, mode="up"):
        return x * factor

    scaled.defvjp(lambda x, factor, _mode: (x * factor, factor), lambda f, g: (g * f, None, None))
    same(ac.grad(lambda x: scaled(x, factor=5.0, mode="down"))(2.0), 5)
    same(ac.grad(lambda x: scaled(x, mode="down"))(2.0), 3)


@dataclasses.dataclass
class Pair:
    a: object
    b: object


def test_in_axes_of_a_registered_container_may_hold_none():
    register_pytree(Pair, lambda p: ((p.a, p.b), None), lambda _, children: Pair(*children))
    mapped = ac.vmap(lambda p: p.a * p.b, in_axes=(Pair(0, None),))
    assert mapped(Pair(np.ones(3), np.ones(2))).shape == (3, 2)


def test_vmap_of_arguments_by_name():
    same(ac.vmap(lambda x, *, y: x * y)(np.ones(3), y=np.arange(3.0)), [0, 1, 2])
    with pytest.raises(ac.ShapeError, match="y"):
        ac.vmap(lambda x, *, y: x * y)(np.ones(3), y=np.arange(4.0))


def test_numpy_integers_as_argnums_and_axes():
    same(ac.grad(lambda a, b: a * b, np.int64(1))(2.0, 3.0), 2)
    same(ac.vmap(lambda x: 2 * x, in_axes=np.int64(0))(np.ones(2)), [2, 2])


def test_an_argument_named_twice():
    with pytest.raises(TypeError, match="twice"):
        ac.grad(lambda a, b: a * b, (0, -2))(2.0, 3.0)


def test_jvp_wants_tuples():
    with pytest.raises(TypeError, match="primals"):
        ac.jvp(ac.sum, np.ones((1, 3)), (np.ones(3),))
    with pytest.raises(TypeError, match="tangents"):
        ac.jvp(ac.sum, (np.ones((1, 3)),), np.ones((1, 3)))


def test_aux_and_argnums_of_second_derivatives():
    f = lambda x, y: (x**3 * y, {"twice": 2 * x})
    hessian, aux = ac.hessian(f, has_aux=True)(2.0, 5.0)
    same(hessian, 60)
    same(aux["twice"], 4)
    product, aux = ac.hvp(f, (2.0, 5.0), (1.0,), argnums=(0,), has_aux=True)
    same(product[0], 60)
    same(aux["twice"], 4)


# What would lose a derivative ------------------------------------------------------------------


def test_numbers_of_traced_values_are_refused():
    with pytest.raises(ac.ConcreteValueError, match="derivative"):
        ac.grad(lambda x: x * math.sin(x))(2.0)

    def through_an_array(x):
        array = np.zeros(2)
        array[0] = x
        return ac.sum(array * x)

    with pytest.raises((ac.ConcreteValueError, ValueError)):
        ac.grad(through_an_array)(2.0)
    assert float(Tensor(2.0, requires_grad=True)) == 2


def test_numpy_functions_of_tensors():
    assert np.sum(Tensor([1.0, 2.0])) == 3
    assert ac.grad(lambda x: np.sum(x**2))(np.ones(2)).tolist() == [2, 2]  # see tests/protocols
    with pytest.raises(ac.ConcreteValueError, match=r"numpy\.i0 of a traced tensor"):
        ac.grad(lambda x: np.i0(x)[0])(np.ones(2))


def test_a_scalar_is_formatted_as_its_number():
    assert f"{Tensor(1.234):.2f}" == "1.23"
    assert f"{Tensor([1.0])}" == "Tensor([1.], dtype=float64)"
    assert repr(Tensor(1.0, requires_grad=True)) == "Tensor(1., dtype=float64, requires_grad=True)"


# Declarations ----------------------------------------------------------------------------------


@pytest.fixture
def scratch():
    """A name to declare, free again afterwards."""
    yield "scratch"
    REGISTRY.pop("scratch", None)


def test_a_wrong_claim_of_being_piecewise_constant(scratch):
    declared = piecewise_constant(scratch, np.tanh, 1)
    with pytest.raises(LawViolation, match="piecewise constant"):
        check_primitive(declared.primitive)


def test_a_primitive_with_too_few_rules(scratch):
    wrong = Primitive(
        scratch,
        np.multiply,
        shape=lambda x, _y: Aval(x.shape, x.dtype),
        vjps=[lambda g, _out, _x, y: g * y],
        jvps=[lambda t, _out, _x, y: t * y],
        batch=lambda *_: None,
        domain=lambda draw: ((draw.array((2,)), draw.array((2,))), {}),
    )
    with pytest.raises(ac.RuleError, match="2 arguments, but declared with rules for 1"):
        ac.grad(lambda x: wrong(x, x).sum())(np.ones(2))


# Errors name the operation ---------------------------------------------------------------------

CASES = {
    "sum": lambda: ac.sum(X, axis=3),
    "transpose": lambda: ac.transpose(X, (0, 0, 1)),
    "add": lambda: Tensor([1.0]) + None,
    "where": lambda: ac.where(np.ones(2, bool), np.ones(3), np.ones(2)),
    "hstack": lambda: ac.hstack([]),
    "median": lambda: ac.median(np.ones(0)),
    "power": lambda: Tensor([2]) ** -2,
    "sin": lambda: ac.sin(object()),
}


@pytest.mark.parametrize("name", CASES)
def test_errors_name_the_operation_asked_for(name):
    with pytest.raises((ac.AutogradError, IndexError), match=f"^{name}[:(]"):
        CASES[name]()
