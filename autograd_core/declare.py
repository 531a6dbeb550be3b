"""Declare a primitive in a line or a few: these helpers derive the rules that follow from a fact.

sin    = elementwise("sin", np.sin, lambda _out, x: cos(x))   partial derivatives give all rules
equal  = piecewise_constant("equal", np.equal, 2)             no derivative flows
flip_p = linear("flip", ..., transpose=...)                   the jvp is the operation itself
matmul = bilinear("matmul", ..., left=..., right=...)         linear in each of two arguments
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from inspect import signature
from typing import Any, Literal, overload

import numpy as np

from autograd_core.primitive import (
    DROP,
    Primitive,
    Rule,
    again,
    bind,
    names_read,
    no_rule,
)
from autograd_core.reverse import PYTHON_NUMBERS, pass_through
from autograd_core.tensor import (
    FREE,
    INEXACT,
    NUMBER,
    Array,
    ArrayLike,
    Aval,
    Tensor,
    asarray,
    box,
)

SAME = object()
"""The partial derivative 1."""
NEGATED = object()
"""The partial derivative -1."""


class by_rule:
    """A rule given whole, `rule(g, out, *args)`, where a partial derivative would say less."""

    def __init__(self, rule: Rule):
        self.rule = rule


Domain = Any  # an interval (low, high), a list of intervals, or domain(draw) -> (args, params)


class Elementwise(Primitive):
    """A primitive that works entry by entry on arguments broadcast against each other.

    The `keep…` tuples say what the tape keeps of (out, *args) when both arguments, the left, or the
    right one are traced.
    """

    apply: Callable[..., Tensor]

    def __init__(self, name: str, kernel: Callable, arity: int, domain: Domain, **rules: Any):
        super().__init__(
            name,
            kernel,
            shape=self._shape,
            batch=self._batch,
            domain=_elementwise_domain(domain, arity),
            **rules,
        )
        self.arity = arity
        self.broadcasts = arity > 1
        if self.differentiable:
            self.keep_left, self.keep_right = self.vjp_reads[0], self.vjp_reads[-1]
            self.keep_both = tuple(map(max, self.keep_left, self.keep_right))

    def _shape(self, *avals: Any, **params: Any) -> Aval:
        kinds: list[Any] = []
        shape, equal = None, True
        for x in avals:
            if x.__class__ in PYTHON_NUMBERS:
                kinds.append(x.__class__)
                continue
            kinds.append(x.dtype)
            equal = equal and (shape is None or shape == x.shape)
            shape = x.shape
        if shape is None or not equal:
            some = (x.shape for x in avals if x.__class__ not in PYTHON_NUMBERS)
            shape = np.broadcast_shapes(*some)
        return Aval(shape, self._dtype(*kinds, **params))

    @cache  # noqa: B019 - primitives live as long as the process
    def _dtype(self, *kinds: Any, **params: Any) -> np.dtype:
        """The output's dtype from dtypes, or the types of Python numbers, of the arguments."""
        alone = PYTHON_NUMBERS.issuperset(kinds)
        samples = (np.ones((), k) if alone or k not in PYTHON_NUMBERS else k(1) for k in kinds)
        with np.errstate(all="ignore"):
            return np.asarray(self.kernel(*samples, **params)).dtype

    def _batch(self, _size: int, args: tuple, batched: tuple, **params: Any) -> Tensor:
        """Broadcasting aligns axes from the right: batched arguments get theirs after the batch."""
        ndim = max(_ndim(x) - b for x, b in zip(args, batched, strict=True))
        aligned = [
            _pad_rank(x, ndim + 1) if b and _ndim(x) < ndim + 1 else x
            for x, b in zip(args, batched, strict=True)
        ]
        return bind(self, aligned, params)


def _ndim(x: Any) -> int:
    return 0 if x.__class__ in PYTHON_NUMBERS or x.mark is NUMBER else x.ndim


def _pad_rank(x: Tensor, ndim: int) -> Tensor:
    """Insert axes of length 1 after axis 0 until `x` has `ndim` of them."""
    from autograd_core.ops.structural import reshape

    shape = x.shape
    return reshape(x, (shape[0], *[1] * (ndim - len(shape)), *shape[1:]))


Unary = Callable[[ArrayLike], Tensor]
Binary = Callable[[ArrayLike, ArrayLike], Tensor]


@overload
def elementwise(
    name: str,
    kernel: Callable[..., Array],
    partial: Any,
    /,
    *,
    domain: Domain = ...,
    doc: str = ...,
    complex: bool = ...,
) -> Unary: ...
@overload
def elementwise(
    name: str,
    kernel: Callable[..., Array],
    partial_x: Any,
    partial_y: Any,
    /,
    *,
    domain: Domain = ...,
    doc: str = ...,
    complex: bool = ...,
) -> Binary: ...
@overload
def elementwise(
    name: str,
    kernel: Callable[..., Array],
    *partials: Any,
    domain: Domain = ...,
    doc: str = ...,
    complex: bool = ...,
) -> Callable[..., Tensor]: ...
def elementwise(
    name: str,
    kernel: Callable[..., Array],
    *partials: Any,
    domain: Domain = (-3.0, 3.0),
    doc: str = "",
    complex: bool = False,
) -> Callable[..., Tensor]:
    """Declare an elementwise primitive by its partial derivatives, and return its function.

    Args:
        name: the primitive's name, and the function's.
        kernel: a ufunc, or a function of arrays and keyword parameters that acts like one.
        partials: for each argument, `partial(out, *args, **params)`, or `SAME` for 1, or `NEGATED`
            for -1, or a whole rule in `by_rule`. Parameters that start with an underscore are not
            kept on the tape.
        domain: an interval `(low, high)`, a list of one for each argument, or `domain(draw)`; the
            laws draw arguments from it.
        doc: the function's docstring.
        complex: whether it is holomorphic, so that all this holds for complex numbers too.
    """
    rules = [_rule_of(partial, len(partials)) for partial in partials]
    primitive = Elementwise(
        name,
        kernel,
        len(partials),
        domain,
        vjps=rules,
        jvps=rules,
        reads=[_reads_of(partial, len(partials)) for partial in partials],
        complex=complex,
    )
    with_params = any(_takes_params(partial, len(partials)) for partial in partials)
    return _elementwise_function(primitive, doc, fast=not with_params)


def real_only(kernel: Callable[..., Array]) -> Callable[..., Array]:
    """A kernel of one argument that would take complex numbers, but makes no sense of them."""

    def of_real(x: Array) -> Array:
        if x.dtype.kind == "c":
            raise TypeError("expected real numbers")
        return kernel(x)

    return of_real


@overload
def piecewise_constant(
    name: str, kernel: Callable[..., Array], arity: Literal[1], domain: Domain = ..., doc: str = ...
) -> Unary: ...
@overload
def piecewise_constant(
    name: str, kernel: Callable[..., Array], arity: Literal[2], domain: Domain = ..., doc: str = ...
) -> Binary: ...
def piecewise_constant(
    name: str,
    kernel: Callable[..., Array],
    arity: int,
    domain: Domain = (-3.0, 3.0),
    doc: str = "",
) -> Callable[..., Tensor]:
    """Declare an elementwise primitive through which no derivative flows: it is zero, or none."""
    primitive = Elementwise(name, kernel, arity, domain, differentiable=False)
    function = _elementwise_function(primitive, doc, fast=False)
    function.__signature__ = _SIGNATURES[arity]  # type: ignore[attr-defined]
    return function


def _takes_params(partial: Any, arity: int) -> bool:
    """Whether a partial derivative has keyword parameters after (out, *args)."""
    return callable(partial) and len(names_read(partial, 0)) > arity + 1


def _reads_of(partial: Any, arity: int) -> list[int]:
    if partial is SAME or partial is NEGATED or isinstance(partial, no_rule):
        return [DROP] * (arity + 1)
    return names_read(partial.rule, 1) if isinstance(partial, by_rule) else names_read(partial, 0)


def _rule_of(partial: Any, arity: int) -> Rule:
    """The rule of an elementwise argument, in both modes: (co)tangent times partial derivative."""
    if isinstance(partial, no_rule):
        return partial
    if isinstance(partial, by_rule):
        return partial.rule
    if partial is SAME:
        return pass_through
    if partial is NEGATED:
        return lambda g, *_args: -g
    if not _takes_params(partial, arity):  # spare the starred call
        if arity == 1:
            return lambda g, out, x: g * partial(out, x)
        if arity == 2:
            return lambda g, out, x, y: g * partial(out, x, y)
    return lambda g, out, *args, **params: g * partial(out, *args, **params)


def _elementwise_function(primitive: Elementwise, doc: str, fast: bool) -> Callable[..., Tensor]:
    by_arity = {1: _unary, 2: _binary} if fast else {}
    function = by_arity.get(primitive.arity, _nary)(primitive)
    function.__name__ = function.__qualname__ = primitive.name
    function.__doc__ = doc or f"`{primitive.name}`, elementwise."
    function.primitive = primitive  # type: ignore[attr-defined]
    primitive.apply = function
    return function


# The functions below are `bind` for one and two arguments, without its loops.


def _unary(primitive: Elementwise) -> Callable[..., Tensor]:
    def function(x: Any, /) -> Tensor:
        if x.__class__ is not Tensor:
            x = asarray(x)
        trace = x.interpreter
        if trace is not None:
            return trace.process1(primitive, x)
        try:
            return box(primitive.kernel(x.value), None, FREE if x.mark is FREE else None)
        except Exception as error:
            return box(again(primitive, (x,), {}, error))

    return function


def _binary(primitive: Elementwise) -> Callable[..., Tensor]:
    def function(x: Any, y: Any, /) -> Tensor:
        if y.__class__ is not Tensor:
            if x.__class__ in PYTHON_NUMBERS:
                return function(x, asarray(y))  # it is the array that says the dtype
            if x.__class__ is not Tensor:
                x = asarray(x)
            y = operand_beside(y, x)
        elif x.__class__ is not Tensor:
            x = operand_beside(x, y)
        x_trace, y_trace = x.interpreter, y.interpreter
        if x_trace is None and y_trace is None:
            try:
                out = box(primitive.kernel(x.value, y.value))
                a, b = x.mark, y.mark
                if (a is FREE and (b is FREE or b is NUMBER)) or (b is FREE and a is NUMBER):
                    out.mark = FREE
                return out
            except Exception as error:
                return box(again(primitive, (x, y), {}, error))
        if y_trace is None or (x_trace is not None and x_trace.level >= y_trace.level):
            return x_trace.process2(primitive, x, y)
        return y_trace.process2(primitive, x, y)

    return function


_numbers: dict[Any, Tensor] = {}  # by (number, dtype)


def operand_beside(x: Any, other: Tensor) -> Tensor:
    """An operand as a tensor. A Python number takes part in no promotion, as in NumPy.

    Beside floating-point tensors a number becomes a tensor of their dtype: NumPy would convert it
    the same way, more slowly, each time a kernel meets it. Beside other dtypes it stays a number,
    for NumPy to promote. A complex number beside real tensors is one of their precision.
    """
    if x.__class__ not in PYTHON_NUMBERS:
        return asarray(x)
    dtype = other.value.dtype if other.mark is not NUMBER else None
    if x.__class__ is complex:
        return _complex_beside(x, dtype)
    known = _numbers.get((x, dtype))
    if known is not None:
        return known
    if dtype is None or dtype.kind not in INEXACT:
        return box(x, None, NUMBER)
    array = np.array(x, dtype)
    array.flags.writeable = False  # it is shared
    tensor = box(array, None, NUMBER)
    if x and len(_numbers) < 4096:  # 0.0 and -0.0 would be one key
        _numbers[x, dtype] = tensor
    return tensor


def _complex_beside(x: complex, dtype: np.dtype | None) -> Tensor:
    if dtype is None:
        return box(x, None, NUMBER)
    number = np.asarray(x, np.result_type(dtype, 1j))
    return box(number, None, NUMBER if dtype.kind == "c" else FREE)


def _nary(primitive: Elementwise) -> Callable[..., Tensor]:
    def function(*args: Any, **params: Any) -> Tensor:
        if len(args) != primitive.arity:
            expected = f"expected {primitive.arity} arguments, got {len(args)}"
            raise TypeError(f"{primitive.name}: {expected}")
        numbers = [x if x.__class__ in PYTHON_NUMBERS else asarray(x) for x in args]
        return bind(primitive, numbers, params)

    return function


# What `help` shows of those that `_nary` makes of one or two arguments.
_SIGNATURES = {1: signature(_unary(None)), 2: signature(_binary(None))}  # type: ignore[arg-type]


def linear(
    name: str,
    kernel: Callable[..., Array],
    *,
    transpose: Rule,
    shape: Rule,
    batch: Rule,
    domain: Domain = None,
    constants: int = 0,
    complex: Any = True,
) -> Primitive:
    """Declare a primitive that is linear in its first argument.

    Args:
        name, kernel, shape, batch, domain: see `Primitive`.
        transpose: `transpose(g, x_like, *constants, **params)`, the transposed linear map.
        constants: how many further arguments there are, such as indices, through which no
            derivative flows.
        complex: see `Primitive`; what only moves and adds entries does so to complex ones too.
    """

    def vjp(g: Tensor, _out: None, x_like: Aval, *rest: Any, **params: Any) -> Tensor:
        return transpose(g, x_like, *rest, **params)

    def jvp(t: Tensor, _out: None, _x: None, *rest: Any, **params: Any) -> Tensor:
        return bind(primitive, (t, *rest), params)

    none = no_rule("this argument has no derivative: it is an integer index")
    primitive = Primitive(
        name,
        kernel,
        shape=shape,
        vjps=[vjp, *[none] * constants],
        jvps=[jvp, *[none] * constants],
        batch=batch,
        domain=domain,
        complex=complex,
    )
    return primitive


def bilinear(
    name: str,
    kernel: Callable[..., Array],
    *,
    left: Rule,
    right: Rule,
    shape: Rule,
    batch: Rule,
    domain: Domain = None,
    complex: Any = False,
) -> Primitive:
    """Declare a primitive that is linear in each of its two arguments.

    Args:
        name, kernel, shape, batch, domain, complex: see `Primitive`.
        left: `left(g, x_like, y, **params)`, the transpose in the first argument.
        right: `right(g, x, y_like, **params)`, the transpose in the second.
    """

    def vjp_left(g: Tensor, _out: None, x_like: Aval, y: Tensor, **params: Any) -> Tensor:
        return left(g, x_like, y, **params)

    def vjp_right(g: Tensor, _out: None, x: Tensor, y_like: Aval, **params: Any) -> Tensor:
        return right(g, x, y_like, **params)

    def jvp_left(t: Tensor, _out: None, _x: None, y: Tensor, **params: Any) -> Tensor:
        return bind(primitive, (t, y), params)

    def jvp_right(t: Tensor, _out: None, x: Tensor, _y: None, **params: Any) -> Tensor:
        return bind(primitive, (x, t), params)

    primitive = Primitive(
        name,
        kernel,
        shape=shape,
        vjps=[vjp_left, vjp_right],
        jvps=[jvp_left, jvp_right],
        batch=batch,
        domain=domain,
        complex=complex,
    )
    return primitive


def nondifferentiable(
    name: str,
    kernel: Callable[..., Array],
    *,
    shape: Rule,
    batch: Rule,
    domain: Domain = None,
) -> Primitive:
    """Declare a primitive of any shape through which no derivative flows (`argmax`, say)."""
    return Primitive(name, kernel, shape=shape, batch=batch, domain=domain, differentiable=False)


def _elementwise_domain(domain: Domain, arity: int) -> Rule:
    """Intervals become a drawing of broadcastable arrays with values in them."""
    if callable(domain):
        return domain
    intervals: Sequence = domain if isinstance(domain, list) else [domain] * arity

    def drawn(draw: Any) -> tuple[tuple, dict]:
        shapes = draw.broadcastable_shapes(arity, min_length=0)
        return tuple(draw.array(s, *i) for s, i in zip(shapes, intervals, strict=True)), {}

    return drawn
