"""An oracle for derivatives: nested dual numbers over Python floats, in NumPy object arrays.

It shares nothing with the engine. A dual number carries the level of the derivative it belongs to,
so that derivatives of functions that close over other derivatives' variables come out right
(Siskind & Pearlmutter 2005). A gradient is one pass for each entry, a batch is a loop.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Scalar = Any  # float or Dual
ObjectArray = np.ndarray


class Dual:
    """primal + tangent · ε, with an ε of its own for each level."""

    __slots__ = ("level", "primal", "tangent")

    def __init__(self, level: int, primal: Scalar, tangent: Scalar):
        self.level = level
        self.primal = primal
        self.tangent = tangent

    def __add__(self, other: Scalar) -> Scalar:
        level, (a, da), (b, db) = _split(self, other)
        return Dual(level, a + b, da + db)

    def __mul__(self, other: Scalar) -> Scalar:
        level, (a, da), (b, db) = _split(self, other)
        return Dual(level, a * b, a * db + da * b)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Scalar:
        return self * -1.0

    def __sub__(self, other: Scalar) -> Scalar:
        return self + -other

    def __rsub__(self, other: Scalar) -> Scalar:
        return -self + other


def _split(x: Scalar, y: Scalar) -> tuple[int, tuple, tuple]:
    level = max(z.level for z in (x, y) if isinstance(z, Dual))
    return level, _parts(x, level), _parts(y, level)


def _parts(x: Scalar, level: int) -> tuple[Scalar, Scalar]:
    if isinstance(x, Dual) and x.level == level:
        return x.primal, x.tangent
    return x, 0.0


def number(x: Scalar) -> float:
    """The float under all levels."""
    while isinstance(x, Dual):
        x = x.primal
    return x


def _lifted(f: Callable[[float], float], df: Callable[[Scalar], Scalar]) -> Callable:
    """f on object arrays of dual numbers, by the chain rule."""

    def one(x: Scalar) -> Scalar:
        if isinstance(x, Dual):
            return Dual(x.level, one(x.primal), df(x.primal) * x.tangent)
        return f(x)

    return _entrywise(one, 1)


def _entrywise(f: Callable, arity: int) -> Callable:
    ufunc = np.frompyfunc(f, arity, 1)
    return lambda *xs: objects(ufunc(*xs))


def objects(x: Any) -> ObjectArray:
    return np.asarray(x, dtype=object)


def floats(x: ObjectArray) -> np.ndarray:
    return np.array([number(entry) for entry in x.flat], np.float64).reshape(x.shape)


class Operations:
    """NumPy's functions, under the names that the engine has them, on object arrays."""

    sin = staticmethod(lambda x: _sin(x))
    tanh = staticmethod(lambda x: _tanh(x))
    exp = staticmethod(lambda x: _exp(x))
    square = staticmethod(lambda x: objects(x * x))
    negative = staticmethod(lambda x: objects(-x))
    absolute = staticmethod(_entrywise(lambda a: np.sign(number(a)) * a, 1))
    relu = staticmethod(_entrywise(lambda a: a if number(a) > 0 else 0.0 * a, 1))
    maximum = staticmethod(_entrywise(lambda a, b: _largest([a, b]), 2))
    add = staticmethod(lambda x, y: objects(x + y))
    subtract = staticmethod(lambda x, y: objects(x - y))
    multiply = staticmethod(lambda x, y: objects(x * y))
    matmul = staticmethod(lambda x, y: objects(np.matmul(x, y)))
    where = staticmethod(lambda c, x, y: objects(np.where(c, x, y)))
    sum = staticmethod(lambda x, axis=None: objects(np.add.reduce(x, axis=axis)))
    prod = staticmethod(lambda x, axis: objects(np.multiply.reduce(x, axis=axis)))
    cumsum = staticmethod(lambda x, axis: objects(np.add.accumulate(x, axis=axis)))
    reshape = staticmethod(np.reshape)
    ravel = staticmethod(np.ravel)
    transpose = staticmethod(np.transpose)
    flip = staticmethod(np.flip)
    concatenate = staticmethod(np.concatenate)
    getitem = staticmethod(lambda x, key: objects(x[key]))

    @staticmethod
    def max(x, axis):
        rows = np.moveaxis(x, axis, -1)
        best = np.empty(rows.shape[:-1], object)
        for place in np.ndindex(best.shape):
            best[place] = _largest(rows[place])
        return best

    @staticmethod
    def set_at(x, key, values):
        out = x.copy()
        out[key] = values[()]  # an array without axes would itself become the entry
        return out

    @staticmethod
    def add_at(x, key, values):
        out = x.copy()
        np.add.at(out, key, values)
        return out


def _largest(entries: Sequence[Scalar]) -> Scalar:
    """The largest entry; at ties the mean of the largest, which shares the derivative evenly."""
    top = max(map(number, entries))
    tied = [x for x in entries if number(x) == top]
    return tied[0] if len(tied) == 1 else functools.reduce(operator.add, tied) * (1 / len(tied))


_sin = _lifted(math.sin, lambda a: _cos(objects(a))[()])
_cos = _lifted(math.cos, lambda a: -1.0 * _sin(objects(a))[()])
_exp = _lifted(math.exp, lambda a: _exp(objects(a))[()])
_tanh = _lifted(math.tanh, lambda a: 1.0 + -1.0 * _squared(_tanh(objects(a))[()]))


def _squared(a: Scalar) -> Scalar:
    return a * a


_levels = itertools.count(1)

Function = Callable[[ObjectArray], ObjectArray]


def jvp(f: Function, x: ObjectArray, t: ObjectArray) -> tuple[ObjectArray, ObjectArray]:
    """f(x) and its derivative in the direction t."""
    level = next(_levels)
    dual = np.frompyfunc(lambda a, b: Dual(level, a, b), 2, 1)
    out = f(objects(dual(x, t)))
    primal = _entrywise(lambda y: _parts(y, level)[0], 1)
    tangent = _entrywise(lambda y: _parts(y, level)[1], 1)
    return primal(out), tangent(out)


def jacobian(f: Function, x: ObjectArray) -> ObjectArray:
    """Shape (*f(x).shape, *x.shape), one column at a time."""
    columns = []
    for place in np.ndindex(x.shape):
        t = objects(np.zeros(x.shape))
        t[place] = 1.0
        columns.append(jvp(f, x, t)[1])
    stacked = np.stack(columns, -1)
    return objects(np.reshape(stacked, (*stacked.shape[:-1], *x.shape)))


def vjp(f: Function, x: ObjectArray, g: ObjectArray) -> ObjectArray:
    """The cotangent g of f(x), pulled back to x."""
    rows = np.reshape(jacobian(f, x), (g.size, x.size))
    return objects(np.reshape(np.dot(np.reshape(g, (1, g.size)), rows), x.shape))


def grad(f: Function, x: ObjectArray) -> ObjectArray:
    """The gradient of the sum of the entries of f(x)."""
    return vjp(f, x, objects(np.ones(f(x).shape)))


def vmap(f: Function, x: ObjectArray, in_axis: int, out_axis: int) -> ObjectArray:
    """f of each slice of x, stacked."""
    return objects(np.stack([f(objects(row)) for row in np.moveaxis(x, in_axis, 0)], out_axis))


TRANSFORMS: dict[str, Callable] = {
    "call": lambda f, x, _t, _axes, _closed: f(x),
    "grad": lambda f, x, _t, _axes, _closed: grad(f, x),
    "vjp": lambda f, x, _t, _axes, _closed: vjp(f, x, Operations.sin(f(x))),
    "jvp": lambda f, x, t, _axes, _closed: jvp(f, x, t)[1],
    "linearize": lambda f, x, t, _axes, _closed: jvp(f, x, t)[1],
    "jacrev": lambda f, x, _t, _axes, _closed: jacobian(f, x),
    "jacfwd": lambda f, x, _t, _axes, _closed: jacobian(f, x),
    "vmap": lambda f, x, _t, axes, _closed: vmap(f, x, *axes),
    "checkpoint": lambda f, x, _t, _axes, _closed: f(x),
}
"""What the transforms of `autograd_core.testing.programs` are here."""
