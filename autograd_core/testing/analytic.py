"""Complex steps: derivatives of NumPy functions that are analytic, without a difference.

f(x + ih) = f(x) + ih f'(x) + O(h²), so that the imaginary part of one call gives a derivative that
no subtraction spoils (Squire and Trapp 1998). That needs a function made of analytic ones, which is
watched rather than hoped for: the arrays that it is given let nothing else be applied to them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.tree import tree_flatten, tree_map

Arrays = Sequence[np.ndarray]

STEP = 2.0**-100
"""No step is too small where nothing is subtracted."""

UFUNCS = frozenset(
    """add subtract multiply divide true_divide negative positive power float_power square sqrt
    reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh
    arcsinh arccosh arctanh matmul""".split()  # noqa: SIM905 — names are easier to read so
)
COMPARISONS = frozenset({"greater", "greater_equal", "less", "less_equal", "equal", "not_equal"})
"""They branch on the real part, beside which an imaginary step is nothing."""
FUNCTIONS = frozenset(
    """sum mean prod cumsum cumprod dot inner outer matmul tensordot einsum trace diagonal diag
    reshape ravel transpose swapaxes moveaxis squeeze expand_dims broadcast_to broadcast_arrays
    concatenate stack vstack hstack column_stack split array_split take take_along_axis roll flip
    fliplr flipud rot90 repeat tile pad where diff convolve kron cross tril triu zeros_like
    ones_like full_like empty_like copy copyto shape ndim size atleast_1d atleast_2d inv det solve
    matrix_power multi_dot""".split()  # noqa: SIM905
)


class NotAnalytic(Exception):
    """The function does something to its arguments that is not analytic, or not known to be."""


class Watched(np.ndarray):
    """Complex numbers that only analytic functions may be applied to."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        _all_watched(inputs)
        if name in COMPARISONS:
            return getattr(ufunc, method)(*(np.real(bare(x)) for x in inputs), **kwargs)
        if name == "absolute":
            (x,) = map(bare, inputs)
            return np.where(x.real < 0, -x, x).view(Watched)
        if name in ("maximum", "minimum") and method == "__call__" and not kwargs:
            a, b = map(bare, inputs)
            first = ufunc(np.real(a), np.real(b)) == np.real(a)
            return np.where(first, a, b).view(Watched)
        if name not in UFUNCS:
            raise NotAnalytic(name)
        (out,) = kwargs.pop("out", None) or (None,)
        found = np.asarray(getattr(ufunc, method)(*map(bare, inputs), **kwargs))
        if out is not None:
            out[...] = found
            return out
        return found.view(Watched) if found.dtype.kind == "c" else found

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ not in FUNCTIONS:
            raise NotAnalytic(func.__name__)
        if func.__name__ != "copyto":  # by which NumPy fills arrays with its own numbers
            _all_watched(tree_flatten((args, kwargs))[0])
        found = super().__array_function__(func, (Watched,), args, kwargs)
        return tree_map(watched, found) if isinstance(found, tuple | list) else watched(found)

    def __getitem__(self, key: Any) -> Any:
        return watched(super().__getitem__(key))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        kind = np.dtype(dtype).kind
        if kind not in "fc":
            raise NotAnalytic(f"astype({dtype})")
        return self if kind == "f" else super().astype(dtype, *args, **kwargs)

    def _refused(self, *_args: Any, **_kwargs: Any) -> Any:
        raise NotAnalytic("the parts of a complex number")

    real = imag = property(_refused)  # type: ignore[assignment]
    conj = conjugate = max = min = argmax = argmin = _refused  # type: ignore[assignment]
    sort = argsort = argpartition = round = clip = _refused  # type: ignore[assignment]
    item = tolist = tobytes = __complex__ = _refused  # type: ignore[assignment]


def bare(x: Any) -> Any:
    """An array without the watch."""
    return x.view(np.ndarray) if isinstance(x, Watched) else x


def watched(x: Any) -> Any:
    """Complex numbers, watched; anything else as it is."""
    is_complex = isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "c"
    return np.asarray(x).view(Watched) if is_complex else x


def _all_watched(inputs: Sequence[Any]) -> None:
    """Complex arrays that are not watched are what is left of watched ones."""
    for x in inputs:
        if isinstance(x, np.ndarray) and x.dtype.kind == "c" and not isinstance(x, Watched):
            raise NotAnalytic("an array that was converted")


def complex_slope(
    f: Callable[[Arrays], Sequence[Any]], xs: Arrays, ts: Arrays, weights: Arrays
) -> float | None:
    """The derivative of the weighted sum of f's outputs at xs along ts; None where f is not
    analytic, as far as can be told.

    Args:
        f: from arrays to arrays.
        xs, ts: the point and the direction, in double precision.
        weights: of the outputs.
    """
    given = [(x + 1j * STEP * t).view(Watched) for x, t in zip(xs, ts, strict=True)]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            found = [y for y in f(given) if isinstance(y, Watched) and y.dtype.kind == "c"]
            if len(found) != len(weights):
                return None
            pairs = zip(map(bare, found), weights, strict=True)
            value = float(sum(np.sum(y.imag * w) for y, w in pairs)) / STEP
    except Exception:
        return None
    return value if np.isfinite(value) else None
