"""What NumPy's names mean on tensors where no operation of that name, with that meaning, exists.

Each function has NumPy's parameters, as far as it takes them: others are refused by name. See
`numpy_protocol` for how they are found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core import linalg as standard
from autograd_core.errors import DtypeError
from autograd_core.ops import (
    arithmetic,
    comparing,
    complex,
    creation,
    elementary,
    index,
    layout,
    linalg,
    normalize,
    placement,
    products,
    sorting,
    special,
    structural,
)
from autograd_core.ops import reduce as reductions
from autograd_core.ops.numpy_protocol import ADDED, INSTEAD, added, by_numpy, instead
from autograd_core.tensor import Tensor, alias, asarray
from autograd_core.tree import tree_leaves

# What NumPy means by a name where ours means something else -----------------------------------


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None else structural.astype(x, dtype)


def _reduction(name: str, combine: Callable, neutral: Any) -> None:
    """A reduction with all of NumPy's arguments; `neutral` changes nothing, None: there is none."""
    operation = getattr(reductions, name)

    def reduction(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Tensor:
        x = _cast(a, dtype)
        if where is not True:
            otherwise = initial if neutral is None else neutral
            if otherwise is None:
                raise ValueError(f"numpy.{name} with where= needs initial=, what {name} of none is")
            x = arithmetic.where(where, x, otherwise)
        out = operation(x, axis, keepdims)
        return out if initial is None else combine(out, initial)

    INSTEAD[name] = reduction


_reduction("sum", arithmetic.add, 0)
_reduction("prod", arithmetic.multiply, 1)
_reduction("max", arithmetic.maximum, None)
_reduction("min", arithmetic.minimum, None)
_reduction("all", arithmetic.logical_and, True)
_reduction("any", arithmetic.logical_or, False)
INSTEAD["amax"], INSTEAD["amin"] = INSTEAD["max"], INSTEAD["min"]


@instead("mean")
def _mean(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Tensor:
    x = _cast(a, dtype)
    if where is True:
        return reductions.mean(x, axis, keepdims)
    where = structural.broadcast_to(where, asarray(x).shape)
    total = reductions.sum(arithmetic.where(where, x, 0), axis, keepdims)
    return total / reductions.count_nonzero(where, axis, keepdims)


@instead("where")
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return sorting.nonzero(condition)
    return arithmetic.where(condition, x, y)


@instead("allclose")
def _allclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    return bool(comparing.allclose(a, b, rtol, atol, equal_nan))


@instead("array_equal")
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    return bool(comparing.array_equal(a1, a2, equal_nan))


@instead("diagonal")
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return linalg.diagonal(a, offset, axis1, axis2)


@instead("trace")
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return linalg.trace(a, offset, axis1, axis2)


@instead("reshape")
def _reshape(a: Any, shape: Any, order: str = "C") -> Tensor:
    """`order="F"` counts the first axis fastest, so it is "C" of all axes reversed."""
    if order == "F":
        reversed_ = structural.as_shape(shape)[::-1]
        return structural.transpose(structural.reshape(structural.transpose(a), reversed_))
    return structural.reshape(a, shape)


@instead("ravel")
def _ravel(a: Any, order: str = "C") -> Tensor:
    return structural.ravel(structural.transpose(a) if order == "F" else a)


@instead("pad")
def _pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    return layout.pad(array, pad_width, mode, constant_values)


@instead("diff")
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """What is put before and after has the axis; a number stands for one entry."""
    x = asarray(a)
    one = tuple(1 if i == axis % x.ndim else m for i, m in enumerate(x.shape))
    parts = [prepend, x, append]
    joined = [
        structural.broadcast_to(part, one) if np.ndim(part) == 0 else part
        for part in parts
        if part is not None
    ]
    return reductions.diff(structural.concatenate(joined, axis), n, axis)


# Linear algebra -------------------------------------------------------------------------------


@instead("linalg.qr")
def _qr(a: Any, mode: str = "reduced") -> Any:
    found = standard.qr(a, mode="reduced" if mode == "r" else mode)
    return found.R if mode == "r" else found


@instead("linalg.svd")
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return standard.svd(a, full_matrices=full_matrices) if compute_uv else standard.svdvals(a)


@instead("linalg.pinv")
def _pinv(a: Any, rcond: Any = None, rtol: Any = None) -> Tensor:
    return standard.pinv(a, rtol=rcond if rtol is None else rtol)


# NumPy reads one triangle of Hermitian matrices, this package the mean of both.


@instead("linalg.eigh")
def _eigh(a: Any, UPLO: str = "L") -> Any:
    return standard.eigh(_from_triangle(a, UPLO))


@instead("linalg.eigvalsh")
def _eigvalsh(a: Any, UPLO: str = "L") -> Tensor:
    return standard.eigvalsh(_from_triangle(a, UPLO))


@instead("linalg.cholesky")
def _cholesky(a: Any, upper: bool = False) -> Tensor:
    return standard.cholesky(_from_triangle(a, "U" if upper else "L"), upper=upper)


def _from_triangle(a: Any, part: str) -> Tensor:
    """Hermitian matrices from one of their triangles."""
    lower = _adjoint(a) if part.upper() == "U" else asarray(a)
    return linalg.tril(lower) + _adjoint(linalg.tril(lower, -1))


def _adjoint(x: Any) -> Tensor:
    return complex.conj(structural.matrix_transpose(x))


@added("matvec")
def _matvec(x1: Any, x2: Any) -> Tensor:
    return structural.squeeze(products.matmul(x1, structural.expand_dims(x2, -1)), -1)


@added("vecmat")
def _vecmat(x1: Any, x2: Any) -> Tensor:
    row = structural.expand_dims(complex.conj(x1), -2)
    return structural.squeeze(products.matmul(row, x2), -2)


# What has another name here, or is a word about one -------------------------------------------

_OTHERWISE: dict[str, Callable] = {
    "fabs": arithmetic.absolute,
    "fix": arithmetic.trunc,
    "scipy.special.psi": special.digamma,
    "scipy.special.log_expit": normalize.log_sigmoid,
    "asarray": placement.asarray,
    "asanyarray": placement.asarray,
    "ascontiguousarray": placement.asarray,
    "asfortranarray": placement.asarray,
}
ADDED.update(_OTHERWISE)


@added("positive")
def _itself(a: Any) -> Tensor:
    return alias(asarray(a))


@added("real_if_close")
def _real_if_close(a: Any, tol: float = 100) -> Tensor:
    x = asarray(a)
    return by_numpy(np.real_if_close, np.real_if_close, (x, tol), {}) if x.dtype.kind == "c" else x


@instead("array")
def _array(object: Any, dtype: Any = None, copy: Any = True, ndmin: int = 0) -> Tensor:
    x = alias(placement.asarray(object, dtype))
    return structural.reshape(x, (1,) * (ndmin - x.ndim) + x.shape) if ndmin > x.ndim else x


@added("ldexp")
def _ldexp(x1: Any, x2: Any) -> Tensor:
    return arithmetic.multiply(x1, elementary.exp2(structural.astype(x2, asarray(x1).dtype)))


@added("shape")
def _shape(a: Any) -> tuple[int, ...]:
    return asarray(a).shape


@added("ndim")
def _ndim(a: Any) -> int:
    return asarray(a).ndim


@added("size")
def _size(a: Any, axis: Any = None) -> int:
    shape = asarray(a).shape
    return math.prod(shape if axis is None else [shape[i] for i in np.atleast_1d(axis)])


@instead("full_like")
def _full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    if shape is None:
        return creation.full_like(a, fill_value, dtype)
    number = reductions.sum(structural.ravel(a)[:0])  # on the device of a
    one = creation.full_like(number, fill_value, dtype or asarray(a).dtype)
    return structural.broadcast_to(one, shape)


@instead("ones_like")
def _ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    return _full_like(a, 1, dtype, shape) if shape is not None else creation.ones_like(a, dtype)


@instead("zeros_like")
@added("empty_like")
def _zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """For `empty_like` too: what nobody wrote to is no value to differentiate."""
    return _full_like(a, 0, dtype, shape) if shape is not None else creation.zeros_like(a, dtype)


@added("empty")
def _empty(shape: Any, dtype: Any = None) -> Tensor:
    return creation.zeros(shape, dtype)


def _like(x: Any) -> Any:
    """What takes part in promotion in place of a tensor."""
    return np.empty((0,) if x.ndim else (), x.dtype) if x.__class__ is Tensor else x


@added("result_type")
def _promoted(*arrays_and_dtypes: Any) -> np.dtype:
    return np.result_type(*map(_like, arrays_and_dtypes))


@added("common_type")
def _common_type(*arrays: Any) -> Any:
    return np.common_type(*map(_like, arrays))


@added("can_cast")
def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(from_.dtype if from_.__class__ is Tensor else from_, to, casting)


# Moving entries about -------------------------------------------------------------------------


@added("rollaxis")
def _rollaxis(a: Any, axis: int, start: int = 0) -> Tensor:
    ndim = asarray(a).ndim
    axis, start = axis % ndim, start + ndim if start < 0 else start
    return structural.moveaxis(a, axis, start - (axis < start))


@added("diagflat")
def _diagflat(v: Any, k: int = 0) -> Tensor:
    return linalg.diag(structural.ravel(v), k)


@added("resize")
def _resize(a: Any, new_shape: Any) -> Tensor:
    flat = structural.ravel(a)
    places = np.resize(np.arange(flat.size), new_shape)
    return index.take(flat, places) if flat.size else creation.zeros(new_shape, flat.dtype)


@added("partition")
def _partition(a: Any, kth: Any, axis: int | None = -1) -> Tensor:
    """Sorted, which is one of the orders that NumPy may give."""
    return sorting.sort(a, axis)


@added("argpartition")
def _argpartition(a: Any, kth: Any, axis: int | None = -1) -> Tensor:
    return sorting.argsort(a, axis)


@added("apply_along_axis")
def _apply_along_axis(func1d: Callable, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Tensor:
    x = structural.moveaxis(arr, axis, -1)
    rows = structural.reshape(x, (-1, x.shape[-1]))
    found = structural.stack([asarray(func1d(row, *args, **kwargs)) for row in rows])
    found = structural.reshape(found, (*x.shape[:-1], *found.shape[1:]))
    kept, new = x.ndim - 1, found.ndim - x.ndim + 1
    start = axis % x.ndim
    return structural.moveaxis(found, range(kept, kept + new), range(start, start + new))


# What changes an array in place ---------------------------------------------------------------


def _in_place(name: str) -> None:
    """Refuse what would write to a tensor, or write a traced one into an array."""

    def write(*args: Any, **kwargs: Any) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if x.__class__ is Tensor]
        if args[0].__class__ is not Tensor and all(x.interpreter is None for x in tensors):
            return by_numpy(getattr(np, name), getattr(np, name), args, kwargs)
        raise DtypeError(
            f"numpy.{name} with a Tensor writes into an array in place, where a derivative is lost "
            "(np.full_like of an array does so too); write np.where(…), "
            "np.broadcast_to(value, shape), or x[key] = value of a Tensor x"
        )

    ADDED[name] = write


for _name in ("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"):
    _in_place(_name)
