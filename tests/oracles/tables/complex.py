"""Operations on complex numbers, as functions of real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

import autograd_core as ac
from tests.oracles.compare import flat
from tests.oracles.rows import Row, normal
from tests.oracles.tables.elementwise import BINARY, UNARY
from tests.oracles.tables.linear import EINSUM, PRODUCTS
from tests.oracles.tables.reductions import REDUCTIONS
from tests.oracles.tables.structure import STRUCTURE

NAMES = """
    absolute exp expm1 square negative sin cos tan sinh cosh tanh log log2 log10 log1p
    sqrt reciprocal arcsin arccos arctan arcsinh arctanh sigmoid logaddexp
    add subtract multiply divide power where isfinite isnan isinf
    matmul vecdot outer tensordot dot inner kron trace diagonal diag tril triu
    sum mean prod cumsum cumprod var std norm logsumexp
    reshape transpose moveaxis swapaxes concatenate stack flip roll tile squeeze
    expand_dims take take_along_axis getitem broadcast_to split unstack pad
"""


def of_parts(row: Row) -> Row:
    """The same operation on complex numbers, of which each argument's imaginary parts come last.

    They are drawn, for floating arguments, where none of the row's is complex itself.
    """
    given = row.arguments()
    kind = "c" if any(x.dtype.kind == "c" for x in given) else "f"
    shapes = [x.shape if x.dtype.kind == kind else None for x in given]

    def make(rng: np.random.Generator) -> tuple:
        args = row.make(rng)
        if kind == "c":
            return (*map(np.real, args), *(x.imag for x in args if x.dtype.kind == "c"))
        return (*args, *(rng.uniform(-1.5, 1.5, s) for s in shapes if s is not None))

    def ours(*given: Any) -> Any:
        return in_parts(row.function(*_whole(given, shapes, ac.to_complex)), ac)

    def theirs(library: Any, *given: Any) -> Any:
        f = row.theirs
        if not callable(f):
            f = reduce(getattr, (f or row.name).split("."), library)
            return in_parts(f(*_whole(given, shapes, _maker(library))), library)
        return in_parts(f(library, *_whole(given, shapes, _maker(library))), library)

    return Row(row.name, make, ours, theirs, f"complex {row.tag}")


def _maker(library: Any) -> Callable:
    """Complex numbers from parts, in PyTorch or JAX."""
    return library.complex if hasattr(library, "complex") else lambda x, y: x + 1j * y


def _whole(given: tuple, shapes: list, make: Callable) -> list[Any]:
    imaginary = iter(given[len(shapes) :])
    return [
        x if s is None else make(x, next(imaginary)) for x, s in zip(given, shapes, strict=False)
    ]


def in_parts(outputs: Any, library: Any) -> list[Any]:
    """The outputs of an operation, complex ones as their parts."""
    return [part for y in flat(outputs) for part in _parts_of(y, library)]


def _parts_of(y: Any, library: Any) -> tuple:
    is_complex = y.is_complex() if hasattr(y, "is_complex") else y.dtype.kind == "c"
    return (library.real(y), library.imag(y) * 1) if is_complex else (y,)


PLAIN = [*UNARY, *BINARY, *REDUCTIONS, *STRUCTURE, *PRODUCTS, *EINSUM]
COMPLEX = [
    *(of_parts(row) for row in PLAIN if row.name in NAMES.split() and row.tag != "number"),
    *(
        of_parts(Row(name, normal((3, 4)), theirs=theirs))
        for name, theirs in (
            ("real", "real"),
            ("imag", "imag"),
            ("conj", lambda t, x: t.conj(x).resolve_conj()),
            ("angle", "angle"),
            ("sign", "sgn"),
        )
    ),
    of_parts(Row("vdot", normal((5,), (5,)))),
    Row(
        "power",
        normal((3, 4), (4,), (4,)),
        lambda x, a, b: in_parts(ac.power(x, ac.to_complex(a, b)), ac),
        lambda t, x, a, b: in_parts(x ** t.complex(a, b), t),
        "of negative numbers to complex ones",
    ),
    Row(
        "to_complex",
        normal((3, 1), (4,)),
        lambda x, y: in_parts(ac.to_complex(x, y), ac),
        lambda t, x, y: in_parts(t.complex(*t.broadcast_tensors(x, y)), t),
    ),
]


def _spread(t: Any, x: Any, axis: int) -> Any:
    """The variance of complex numbers, by the formula."""
    return (t.abs(x - t.mean(x, axis, keepdims=True)) ** 2).mean(axis)


JAX_COMPLEX = [
    of_parts(
        Row("nanvar", normal((3, 4)), lambda x: ac.nanvar(x, 1), lambda t, x: _spread(t, x, 1))
    ),
    of_parts(
        Row(
            "nanstd",
            normal((3, 4)),
            lambda x: ac.nanstd(x, 1),
            lambda t, x: _spread(t, x, 1) ** 0.5,
        )
    ),
    of_parts(Row("softplus", normal((3, 4)), theirs=lambda t, x: t.logaddexp(x, 0.0))),
    of_parts(Row("logaddexp2", normal((3, 1, 4), (5, 1)))),
]
