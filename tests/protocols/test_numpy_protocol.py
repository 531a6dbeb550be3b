"""How NumPy's protocols behave around the functions: operands, refusals, transforms, fallbacks."""

from __future__ import annotations

import inspect
import itertools
import operator
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import autograd_core as ac
from autograd_core import Tensor
from autograd_core.ops import numpy_protocol
from tests.gpu.standin import in_place_of_cupy
from tests.protocols.test_numpy_functions import answered

A = np.array([1.0, 2.0, 3.0])
T = ac.asarray([0.5, 1.5, 2.0])

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
    operator.matmul,
]  # fmt: skip
OPERANDS = {
    "array": A,
    "number": 2.0,
    "integer": 2,
    "NumPy number": np.float64(2.0),
    "single": np.float32(2.0),
    "integers": np.array([1, 2, 3]),
    "array without axes": np.array(2.0),
    "list": [1.0, 2.0, 3.0],
}


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_operands_of_either_order(op: Any, operand: str) -> None:
    other = OPERANDS[operand]
    if op is operator.matmul and np.ndim(other) == 0:
        return
    for tensor, traced in itertools.product((T, ac.asarray(np.float32(T.numpy()))), (False, True)):
        x = Tensor(tensor, requires_grad=True) if traced else tensor
        plain = tensor.numpy()
        given = np.asarray(other) if isinstance(other, list) else other
        pairs = [(op(x, other), op(plain, given)), (op(other, x), op(given, plain))]
        for got, expected in pairs:
            assert isinstance(got, Tensor), type(got)
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("op", [operator.add, operator.mul, operator.truediv, operator.pow])
def test_gradients_flow_from_both_sides(op: Any) -> None:
    right = ac.grad(lambda x: np.sum(op(A, x)))(T)
    left = ac.grad(lambda x: np.sum(op(x, A)))(T)
    np.testing.assert_array_equal(right.numpy(), ac.grad(lambda x: ac.sum(op(ac.asarray(A), x)))(T))
    np.testing.assert_array_equal(left.numpy(), ac.grad(lambda x: ac.sum(op(x, ac.asarray(A))))(T))


def test_lists_of_tensors_and_arrays() -> None:
    f = lambda x: np.sum(np.stack([x[0], x[1] * x[2], A[0]]) ** 2)
    assert ac.grad(f)(T).tolist() == [1.0, 12.0, 9.0]
    assert np.add([1.0, 2.0, 3.0], T).tolist() == [1.5, 3.5, 5.0]


# Transforms -----------------------------------------------------------------------------------


MATRIX = np.eye(3) + 0.1


def energy(x: Any, matrix: Any = MATRIX) -> Any:
    """A function that knows NumPy only."""
    y = np.linalg.solve(matrix, np.tanh(x)) + np.roll(x, 1)
    return np.sum(np.where(y > 0, y**2, np.exp(y))) + np.linalg.norm(np.concatenate([x, y]))


def ours(x: Any, matrix: Any = MATRIX) -> Any:
    y = ac.solve(matrix, ac.tanh(x)) + ac.roll(x, 1)
    return ac.sum(ac.where(y > 0, y**2, ac.exp(y))) + ac.norm(ac.concatenate([x, y]))


TRANSFORMS = {
    "nothing": lambda f: f,
    "grad": ac.grad,
    "jit": ac.jit,
    "jit of grad": lambda f: ac.jit(ac.grad(f)),
    "grad of jit": lambda f: ac.grad(ac.jit(f)),
    "hessian": ac.hessian,
    "jacfwd": ac.jacfwd,
    "vmap": lambda f: lambda x: ac.vmap(f)(ac.stack([x, 2 * x])),
    "vmap of grad": lambda f: lambda x: ac.vmap(ac.grad(f))(ac.stack([x, 2 * x])),
    "grad of vmap": lambda f: ac.grad(lambda x: ac.sum(ac.vmap(f)(ac.stack([x, 2 * x])))),
    "jit of vmap of hessian": lambda f: ac.jit(
        lambda x: ac.vmap(ac.hessian(f))(ac.stack([x, 2 * x]))
    ),
    "third": lambda f: ac.grad(lambda x: ac.sum(ac.hessian(f)(x) ** 2)),
    "checkpoint": lambda f: ac.grad(ac.checkpoint(f)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name: str) -> None:
    transform = TRANSFORMS[name]
    expected = transform(ours)(T)
    np.testing.assert_allclose(transform(energy)(T).numpy(), expected.numpy(), rtol=1e-12)


def test_backward() -> None:
    x = Tensor(A, requires_grad=True)
    energy(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), ac.grad(ours)(A).numpy(), rtol=1e-12)


# What cannot be -------------------------------------------------------------------------------


def add_in_place(x: Any) -> Any:
    total = np.zeros(3)
    total += x
    return total


REFUSED = {
    "out of a ufunc": (lambda x: np.sin(x, out=np.zeros(3)), r"numpy\.sin with out=.*y = np\.sin"),
    "out of a function": (lambda x: np.sum(x, out=np.zeros(())), r"numpy\.sum .*not take out="),
    "out of a reduction": (lambda x: np.add.reduce(x, out=np.zeros(())), r"numpy\.add\.reduce"),
    "in place": (add_in_place, r"numpy\.add with out=, or in place.*write `x = x \+ y`"),
    "where of a ufunc": (lambda x: np.exp(x, where=A > 1), r"numpy\.exp.*where=.*np\.where\(mask"),
    "where of a function": (lambda x: np.std(x, where=A > 1), r"numpy\.std .*not take where="),
    "casting": (lambda x: np.add(x, 1, casting="no"), r"numpy\.add .*not take casting="),
    "method": (lambda x: np.quantile(x, 0.5, method="lower"), r"numpy\.quantile .*method="),
    "weights": (lambda x: np.average(x, returned=True), r"numpy\.average .*returned="),
    "at": (lambda x: np.add.at(np.zeros(3), [0, 1, 1], x), r"numpy\.add\.at .*\.at\[places\]"),
    "fill diagonal": (lambda x: np.fill_diagonal(x, 0), r"numpy\.fill_diagonal .*in place"),
    "put": (lambda x: np.put(x, [0], 1.0), r"numpy\.put .*in place"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_and_what_instead(name: str) -> None:
    call, message = REFUSED[name]
    for x in (T, Tensor(A, requires_grad=True)):
        with pytest.raises(ac.DtypeError, match=message):
            call(x)
    with pytest.raises(ac.DtypeError, match=message):
        ac.grad(lambda x: np.sum(call(x)))(T)


def test_arrays_are_filled_with_plain_tensors_only() -> None:
    assert np.full_like(A, T[0]).tolist() == np.full(3, T[0]).tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(ac.DtypeError, match=r"numpy\.copyto .*np\.broadcast_to"):
        ac.grad(lambda x: np.sum(np.full_like(A, x[0])))(T)
    with pytest.raises(ac.ConcreteValueError, match=r"np\.stack"):
        ac.grad(lambda x: np.sum(np.full(3, x[0])))(T)


def test_defaults_that_are_spelled_out_are_no_options() -> None:
    assert np.sum(T, axis=None, dtype=None, out=None, initial=None).item() == 4.0
    assert np.sin(T, out=None, where=True, casting="same_kind", order="K", subok=True).shape == (3,)
    assert np.sort(T, kind="stable").tolist() == T.tolist()
    assert np.quantile(T, 0.5, None, None, False, "linear").item() == 1.5


def test_arguments_by_name_in_any_order() -> None:
    places, values = np.array([0.0, 1.0, 3.0]), np.array([5.0, 7.0, 6.0])
    expected = np.interp(T.numpy(), places, values)
    assert np.interp(fp=values, xp=places, x=T).tolist() == expected.tolist()
    assert np.subtract.outer(A, T).tolist() == np.subtract.outer(A, T.numpy()).tolist()
    assert np.tensordot(b=T, axes=0, a=A).tolist() == np.multiply.outer(A, T.numpy()).tolist()
    assert np.where(T > 1, T, 0).tolist() == [0, 1.5, 2]


def other_defaults() -> set[tuple[str, str]]:
    """(function, argument) where an operation takes another value than NumPy if nothing is said."""
    unlike = set()
    for name, f in answered().items():
        if isinstance(f, np.ufunc):
            continue
        ours = inspect.signature(numpy_protocol._operation(f)).parameters
        for p in inspect.signature(f).parameters.values():
            own = ours.get(numpy_protocol.RENAMED.get(p.name, p.name), p)
            told = p.default not in (None, p.empty, np._NoValue)
            if told and p.name not in numpy_protocol.LAYOUT and own.default != p.default:
                unlike.add((name, p.name))
    return unlike


def test_what_is_not_said_means_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert other_defaults() == set()
    monkeypatch.delitem(numpy_protocol.INSTEAD, "diagonal")  # whose axes are the last two here
    numpy_protocol._operation.cache_clear()
    try:
        assert other_defaults() == {("diagonal", "axis1"), ("diagonal", "axis2")}
    finally:
        monkeypatch.undo()
        numpy_protocol._operation.cache_clear()


DROPS = {
    "histogram_bin_edges": np.histogram_bin_edges,
    "i0": np.i0,
    "maximum.accumulate": np.maximum.accumulate,
    "spacing": np.spacing,
    "sort_complex": np.sort_complex,
}


@pytest.mark.parametrize("name", DROPS)
def test_what_this_package_lacks(name: str) -> None:
    """NumPy's result on values that are not traced; never a gradient dropped in silence."""
    call = DROPS[name]
    assert isinstance(call(T), Tensor)
    np.testing.assert_allclose(call(T).numpy(), call(T.numpy()))
    message = (
        rf"numpy\.{name.replace('.accumulate', '')} of a traced tensor would drop its gradient"
    )
    traced = [ac.grad(lambda x: np.sum(call(x))), lambda x: call(Tensor(x, requires_grad=True))]
    for f in (*traced, lambda x: ac.jvp(call, (x,), (x,))):
        with pytest.raises(ac.ConcreteValueError, match=message):
            f(T)
    with pytest.raises(ac.ConcreteValueError):
        ac.vmap(call)(ac.stack([T, T]))
    with pytest.raises(ac.ConcreteValueError):
        ac.jit(call)(T)


@pytest.mark.parametrize("convert", [np.asarray, np.array, lambda x: np.array([x, x])])
def test_no_array_is_made_of_a_traced_tensor(convert: Any) -> None:
    assert isinstance(convert(T), np.ndarray)
    with pytest.raises(ac.ConcreteValueError, match=r"np\.stack"):
        ac.grad(lambda x: np.sum(convert(x)))(T)
    with pytest.raises(ac.ConcreteValueError, match=r"np\.stack"):
        convert(Tensor(A, requires_grad=True))


def test_no_array_is_filled_with_traced_tensors() -> None:
    def filled(x: Any) -> Any:
        out = np.zeros(3)
        for i in range(3):
            out[i] = x[i]
        return np.sum(out)

    with pytest.raises((ac.ConcreteValueError, ValueError)) as caught:
        ac.grad(filled)(T)
    told = caught.value if isinstance(caught.value, ac.AutogradError) else caught.value.__cause__
    assert "np.zeros_like(x)" in str(told)

    def remedied(x: Any) -> Any:
        out = np.zeros_like(x)
        for i in range(3):
            out[i] = x[i] ** 2
        return np.sum(out)

    assert ac.grad(remedied)(T).tolist() == [1.0, 3.0, 4.0]


# What loses no derivative ----------------------------------------------------------------------

TOLD = {
    "shape": (np.shape, (3,)),
    "ndim": (np.ndim, 1),
    "size": (np.size, 3),
    "size of an axis": (lambda x: np.size(x, 0), 3),
    "result_type": (lambda x: np.result_type(x, np.float32, 1), np.float64),
    "common_type": (lambda x: np.common_type(x, A), np.float64),
    "can_cast": (lambda x: np.can_cast(x, np.float32), False),
    "iscomplexobj": (np.iscomplexobj, False),
    "isrealobj": (np.isrealobj, True),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_shapes_and_dtypes_tell(name: str) -> None:
    call, expected = TOLD[name]

    def told(x: Any) -> Any:
        assert call(x) == expected
        return np.sum(x)

    told(T)
    for transform in (ac.grad, ac.jit, lambda f: lambda x: ac.vmap(f)(ac.stack([x, x]))):
        transform(told)(T)


def test_comparisons_of_traced_values() -> None:
    def f(x: Any) -> Any:
        assert np.allclose(x, T) and not np.array_equal(x, A) and np.array_equal(x, T)
        assert np.argwhere(x > 1).shape == (2, 1) and np.flatnonzero(x > 1).tolist() == [1, 2]
        assert np.digitize(x, [1.0]).tolist() == [0, 1, 1]
        assert np.isin(x, [2.0]).tolist() == [False, False, True]
        return np.sum(x)

    f(T)
    assert ac.grad(f)(T).tolist() == [1, 1, 1]


def test_dtypes_are_kept() -> None:
    x = ac.asarray(np.float32([1, 2]))
    made = [
        np.sin(x), x * 2, np.float32(2) * x, np.mean(x), np.linalg.norm(x), np.gradient(x),
        np.interp(x, x, x), np.cov(x), np.convolve(x, x), np.percentile(x, 50), np.vander(x),
    ]  # fmt: skip
    assert {y.dtype for y in made} == {np.dtype(np.float32)}


def test_arrays_made_like_tensors() -> None:
    for made in (
        np.zeros(2, like=T), np.ones((2, 1), like=T), np.full((2,), 3.0, like=T),
        np.arange(3, like=T), np.eye(2, like=T), np.identity(2, like=T), np.empty(3, like=T),
        np.array([1, 2], like=T), np.asarray([1.0], like=T), np.array(1.0, ndmin=2, like=T),
        np.asanyarray([1.0], like=T), np.ascontiguousarray([1.0], like=T),
        np.asfortranarray([1.0], like=T),
    ):  # fmt: skip
        assert isinstance(made, Tensor)


def test_a_named_result() -> None:
    found = np.linalg.eigh(np.diag(T))
    assert found.eigenvalues.tolist() == [0.5, 1.5, 2.0] and len(found) == 2
    assert np.linalg.slogdet(np.diag(T)).sign == 1


def test_values_are_not_to_be_written_to_by_a_function() -> None:
    """What NumPy gets is read-only, so that none of its functions can falsify a tensor."""
    with pytest.raises(ValueError, match="read-only"):
        np.random.default_rng(0).shuffle(T.numpy())


def test_ufuncs_of_others() -> None:
    special = pytest.importorskip("scipy.special")
    for name in ("erf", "erfc", "gammaln", "psi", "expit", "log_expit", "i0e", "log_ndtr"):
        f = getattr(special._ufuncs, name)  # where SCIPY_ARRAY_API is set, names are no ufuncs
        np.testing.assert_allclose(f(T).numpy(), f(T.numpy()), rtol=1e-13)
        slope = (f(T.numpy() + 1e-6) - f(T.numpy() - 1e-6)) / 2e-6
        found = ac.grad(lambda x, f=f: np.sum(f(x)))(T)
        np.testing.assert_allclose(found.numpy(), slope, rtol=1e-7)
    own = np.frompyfunc(lambda x: x + 1, 1, 1)
    with pytest.raises(ac.ConcreteValueError, match="would drop its gradient"):
        ac.grad(lambda x: np.sum(own(x)))(T)


def test_a_ufunc_is_not_known_by_its_name_alone() -> None:
    numba = pytest.importorskip("numba")
    sin = numba.vectorize(["float64(float64)"])(lambda x: 3 * x)
    sin.__name__ = "sin"
    assert getattr(sin, "ufunc", sin)(T).tolist() == [1.5, 4.5, 6.0]


def test_methods_and_attributes_of_arrays() -> None:
    x = ac.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert (x.nbytes, x.itemsize) == (32, 8)
    assert x.real.tolist() == x.conj().tolist() == x.copy().tolist() == x.tolist()
    assert x.imag.tolist() == [[0, 0], [0, 0]]
    assert [y.item() for y in x.flat] == [1, 2, 3, 4]
    assert x.tobytes() == x.numpy().tobytes()
    y = x.copy()
    y.fill(7.0)
    assert (y.tolist(), x.tolist()) == ([[7, 7], [7, 7]], [[1, 2], [3, 4]])
    assert ac.grad(lambda x: np.sum(x.copy() * x.real * x.conj()))(T).tolist() == [0.75, 6.75, 12]


def test_cupy_leaves_operators_to_tensors() -> None:
    with in_place_of_cupy():
        import cupy

        array = cupy.asarray(A)
        product = ac.asarray(array) * 2
        assert isinstance(product, Tensor) and product.device == "cuda:0"
        assert np.sin(product).device == np.concatenate([product, product]).device == "cuda:0"
        assert (2 * np.sum(product)).item() == 24
    assert Tensor.__array_priority__ > 100  # which CuPy's arrays have


def test_the_table_is_filled_when_first_needed() -> None:
    code = "import sys, autograd_core; print('autograd_core.ops.numpy_names' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_operations_added_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `autograd_core.fft`, say, answers to numpy.fft without an entry anywhere."""
    import types

    module = types.SimpleNamespace(
        __name__="later", fftshift=lambda x, axes=None: ac.roll(x, 1, axes)
    )
    monkeypatch.setattr(ac, "fft", module, raising=False)
    for cached in (numpy_protocol._operation, numpy_protocol._plan):
        cached.cache_clear()
    try:
        assert np.fft.fftshift(T).tolist() == [2.0, 0.5, 1.5]
        assert np.fft.fftshift(T, axes=0).tolist() == [2.0, 0.5, 1.5]
    finally:
        for cached in (numpy_protocol._operation, numpy_protocol._plan):
            cached.cache_clear()


def test_sorting_in_place_is_numpys() -> None:
    def smallest(x: Any) -> Any:
        y = x.copy()
        y.sort()
        return 10 * y[0]

    x = np.array([3.0, 1.0, 2.0])
    assert smallest(ac.asarray(x)).item() == smallest(x) == 10
    assert ac.grad(smallest)(x).tolist() == [0, 10, 0]


@pytest.mark.parametrize("look", [lambda y: y.item(), lambda y: y.tolist(), float])
def test_numbers_of_traced_tensors_are_refused(look: Any) -> None:
    with pytest.raises(ac.ConcreteValueError, match=r"drop its derivative.*detach"):
        ac.grad(lambda x: x[0] * look((x**2).sum()))(np.ones(3))
    assert ac.grad(lambda x: x[0] * x.sum().detach().item())(np.ones(3)).tolist() == [3, 0, 0]


def test_arrays_that_mean_something_else_are_refused() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0])
    for f in (lambda: ac.sum(masked), lambda: T + masked, lambda: ac.grad(ac.sum)(masked)):
        with pytest.raises(ac.DtypeError, match=r"x\.filled\(value\)"):
            f()
    with pytest.raises(ac.DtypeError, match=r"np\.asarray\(x\)"):
        ac.asarray(np.matrix([[1.0]]))
