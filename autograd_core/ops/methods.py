"""Give `Tensor` its operators and methods: each is the function of the same name, with the
parameters of `numpy.ndarray`'s where those are more."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from autograd_core import reverse
from autograd_core.device import device
from autograd_core.dlpack import dlpack, dlpack_device
from autograd_core.errors import AutogradError
from autograd_core.inspection import VERSIONS
from autograd_core.ops import (
    arithmetic,
    complex,
    index,
    linalg,
    numpy_protocol,
    placement,
    products,
    reduce,
    sorting,
    structural,
)
from autograd_core.tensor import Tensor, alias


def _reflected(function: Callable) -> Callable:
    return lambda self, other: function(other, self)


def _comparison(function: Callable) -> Callable:
    def compare(self: Tensor, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else function(self, other)

    return compare


def _variadic(function: Callable) -> Callable:
    """A method that takes a shape (or axes) as one argument or as several."""

    def method(self: Tensor, *sizes: Any, **options: Any) -> Tensor:
        if len(sizes) == 1 and not isinstance(sizes[0], int):
            return function(self, sizes[0], **options)
        return function(self, sizes if sizes else None, **options)

    return method


def _over_axes(function: Callable) -> Callable:
    """A method of ndarray's parameters: our function with at most one argument by position and
    others by our names; else NumPy's function, which knows its own order and leads back here."""
    numpys = getattr(np, function.__name__)
    known = frozenset(inspect.signature(function).parameters)

    @wraps(function)
    def method(self: Tensor, *args: Any, **options: Any) -> Any:
        if len(args) < 2 and known.issuperset(options):
            return function(self, *args, **options)
        return numpys(self, *args, **options)

    return method


OPERATORS = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.power,
    "matmul": products.matmul,
    "and": arithmetic.bitwise_and,
    "or": arithmetic.bitwise_or,
    "xor": arithmetic.bitwise_xor,
    "lshift": arithmetic.bitwise_left_shift,
    "rshift": arithmetic.bitwise_right_shift,
}
COMPARISONS = {
    "eq": arithmetic.equal,
    "ne": arithmetic.not_equal,
    "lt": arithmetic.less,
    "le": arithmetic.less_equal,
    "gt": arithmetic.greater,
    "ge": arithmetic.greater_equal,
}
METHODS = {
    "abs": arithmetic.absolute,
    "astype": structural.astype,
    "clip": arithmetic.clip,
    "conj": complex.conj,
    "conjugate": complex.conj,
    "detach": structural.stop_gradient,
    "dot": products.dot,
    "nonzero": sorting.nonzero,
    "repeat": index.repeat,
    "round": arithmetic.round,
    "searchsorted": sorting.searchsorted,
    "squeeze": structural.squeeze,
    "swapaxes": structural.swapaxes,
    "take": index.take,
    "to_device": placement.to_device,
}
OVER_AXES: tuple[Callable, ...] = (
    *(reduce.all, reduce.any, reduce.argmax, reduce.argmin, reduce.cumprod, reduce.cumsum),
    *(reduce.max, reduce.mean, reduce.min, reduce.prod, reduce.std, reduce.sum, reduce.var),
    sorting.argsort,
)


def install() -> None:
    for name, function in OPERATORS.items():
        setattr(Tensor, f"__{name}__", function)
        setattr(Tensor, f"__r{name}__", _reflected(function))
        setattr(Tensor, f"__i{name}__", _in_place(function))
    for name, function in COMPARISONS.items():
        setattr(Tensor, f"__{name}__", _comparison(function))
    for name, method in METHODS.items():
        setattr(Tensor, name, method)
    for operation in OVER_AXES:
        setattr(Tensor, operation.__name__, _over_axes(operation))
    attributes = {
        "__neg__": arithmetic.negative,
        "__pos__": alias,
        "__abs__": arithmetic.absolute,
        "__invert__": arithmetic.bitwise_not,
        "__array_ufunc__": numpy_protocol.array_ufunc,
        "__array_function__": numpy_protocol.array_function,
        "__dlpack__": dlpack,
        "__dlpack_device__": dlpack_device,
        "__contains__": _contains,
        "__getitem__": index.getitem,
        "__setitem__": _setitem,
        "__array_namespace__": _array_namespace,
        "compress": _compress,
        "copy": _copy,
        "device": property(_device),
        "diagonal": _diagonal,
        "fill": _fill,
        "flat": property(_flat),
        "flatten": _ravel,
        "imag": property(complex.imag),
        "itemsize": property(lambda self: self.dtype.itemsize),
        "nbytes": property(lambda self: self.size * self.dtype.itemsize),
        "ravel": _ravel,
        "real": property(complex.real),
        "reshape": _variadic(_reshape),
        "transpose": _variadic(structural.transpose),
        "sort": _sort,
        "tobytes": _tobytes,
        "trace": _trace,
        "T": property(structural.transpose),
        "mT": property(structural.matrix_transpose),
        "at": property(index.At),
        "backward": backward,
        "requires_grad": property(_requires_grad),
        "_is_leaf": property(_is_leaf),
        "grad": property(_get_grad, _set_grad),
    }
    for name, value in attributes.items():
        setattr(Tensor, name, value)


def backward(self: Tensor, gradient: Any = None, create_graph: bool = False) -> None:
    reverse.backward_from(self, gradient, create_graph)


backward.__doc__ = reverse.backward_from.__doc__


def _device(self: Tensor) -> str:
    """Where the tensor lies: "cpu", or "cuda:0" and so on."""
    return device(self)


def _array_namespace(self: Tensor, /, *, api_version: str | None = None) -> Any:
    """This package, as the namespace of the array API standard that the tensor belongs to.

    Raises:
        ValueError: it does not have that version of the standard.
    """
    if api_version is not None and api_version not in VERSIONS:
        raise ValueError(
            f"__array_namespace__: version {api_version!r} of the array API standard is not "
            f"supported; expected one of {', '.join(VERSIONS)}"
        )
    return sys.modules["autograd_core"]


def _requires_grad(self: Tensor) -> bool:
    """Whether a derivative in reverse mode is asked for, here or in a transform around."""
    while self.__class__ is Tensor and self.interpreter is not None:
        if isinstance(self.interpreter, reverse.Reverse):
            return True
        self = self.value
    return False


def _is_leaf(self: Tensor) -> bool:
    return self.interpreter is reverse.ROOT and isinstance(self.mark, reverse.Leaf)


def _get_grad(self: Tensor) -> Tensor | None:
    return self.mark.grad if isinstance(self.mark, reverse.Leaf) else None


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if not isinstance(self.mark, reverse.Leaf):
        raise AutogradError(".grad can be set on tensors made with requires_grad=True only")
    self.mark.grad = value


# What means or takes something else than the function of that name, as in NumPy -----------------


def _contains(self: Tensor, value: Any) -> bool:
    """Whether any entry equals the value."""
    return bool(reduce.any(arithmetic.equal(self, value)))


def _compress(self: Tensor, condition: Any, axis: int | None = None) -> Any:
    return np.compress(condition, self, axis)


def _copy(self: Tensor, order: str = "C") -> Tensor:
    """Another tensor of the same values. How they lie in memory is not a tensor's to say."""
    del order
    return alias(self)


def _diagonal(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal along the first two axes by default; of the last two in `diagonal`."""
    return linalg.diagonal(self, offset, axis1, axis2)


def _ravel(self: Tensor, order: Any = "C") -> Any:
    return structural.ravel(self) if order == "C" else np.ravel(self, order)


def _reshape(self: Tensor, shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
    if order == "C":
        return structural.reshape(self, shape, copy=copy)
    return np.reshape(self, shape, order)


def _tobytes(self: Tensor, order: Any = "C") -> bytes:
    return self.numpy().tobytes(order)


def _trace(self: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of `diagonal`, along the first two axes by default; of the last two in `trace`."""
    return linalg.trace(self, offset, axis1, axis2)


def _flat(self: Tensor) -> Iterator[Tensor]:
    """The entries in turn, the last axis fastest."""
    return iter(structural.ravel(self))


def _fill(self: Tensor, value: Any) -> None:
    """`x[...] = value`: x becomes a new value."""
    _setitem(self, ..., value)


def _sort(self: Tensor, axis: int | None = -1) -> None:
    """`x.sort()`: x becomes a new value, sorted along an axis, as in NumPy. `sort` gives another
    tensor."""
    _become(self, sorting.sort(self, axis))


def _setitem(self: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value`: x becomes a new value; what was computed from the old one is unaffected."""
    _become(self, index.At(self)[key].set(value))


def _in_place(function: Callable) -> Callable:
    def update(self: Tensor, other: Any) -> Tensor:
        new = function(self, other)
        if new.shape != self.shape or new.dtype != self.dtype:
            raise AutogradError(
                f"{function.__name__} in place would change {self.dtype}{list(self.shape)} to "
                f"{new.dtype}{list(new.shape)}; write x = x … y instead"
            )
        _become(self, new)
        return self

    return update


def _become(tensor: Tensor, new: Tensor) -> None:
    """Give a tensor another value and history. No array is written to, so the tape stays true."""
    if tensor.interpreter is reverse.ROOT and isinstance(tensor.mark, reverse.Leaf):
        if reverse.ROOT.live:
            raise AutogradError(
                "in-place change of a tensor that requires_grad while it is recorded; use "
                "x.at[i].set(v), or change it under no_grad()"
            )
        tensor.value = structural.stop_gradient(new)
        return
    tensor.value, tensor.interpreter, tensor.mark = new.value, new.interpreter, new.mark
