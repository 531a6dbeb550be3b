"""Laws of precision: nothing changes dtype on the way, and float32 is near float64."""

from __future__ import annotations

import numpy as np

from autograd_core import transforms
from autograd_core.primitive import bind
from autograd_core.tensor import INEXACT, Tensor, asarray, aval_of
from autograd_core.testing.case import (
    PrimitiveCase,
    checking,
    float_mixes,
    numbers,
    pullback,
    pushforward,
)
from autograd_core.testing.numeric import (
    Arrays,
    LawViolation,
    direction,
    largest,
    require_close,
)

EPS32 = float(np.finfo(np.float32).eps)
IN_SINGLE = {
    np.dtype(np.float64): np.dtype(np.float32),
    np.dtype(np.complex128): np.dtype(np.complex64),
}
SINGLE = 2.0**9 * EPS32
"""How far float32 may be from float64, relative to the scale of results and sensitivities."""


def single_precision(case: PrimitiveCase) -> None:
    """float32 in, float32 out: of values, tangents and cotangents, near those of float64."""
    if not case.floats or "dtype" in case.params:
        return
    single = [x.astype(np.float32) if i in case.floats else x for i, x in enumerate(case.args)]
    double = [x.astype(np.float64) if i in case.floats else x for i, x in enumerate(single)]
    with checking(case, "float32 stays float32, near the float64 result"):
        expected = numbers(case.apply(double))
        sensitivity = _sensitivity(case, double)
        _require_single(numbers(case.apply(single)), expected, sensitivity, "output")
    if case.primitive.differentiable and case.floats == case.pulled == case.pushed:
        with checking(case, "float32 rules stay float32, near those of float64"):
            _check_single_rules(case, single, double)


def _sensitivity(case: PrimitiveCase, args: Arrays) -> float:
    """How much relative errors of the arguments are amplified: the largest of |f'(x) x|."""
    if not case.pushed:
        return largest(*args)
    xs = [args[i] for i in case.pushed]
    tangents = transforms.jvp(case.function(case.pushed, args), xs, xs)[1]
    return largest(*numbers(tangents), *args)


def _require_single(got: Arrays, expected: Arrays, sensitivity: float, what: str) -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        expected_dtype = IN_SINGLE.get(b.dtype, a.dtype)
        if a.dtype != expected_dtype:
            raise LawViolation(f"{what} {i}: expected {expected_dtype}, got {a.dtype}")
        tolerance = SINGLE * max(largest(b), sensitivity) if b.dtype.kind in INEXACT else 0.0
        require_close(a, b, tolerance, f"{what} {i}")


def _check_single_rules(case: PrimitiveCase, single: Arrays, double: Arrays) -> None:
    """Also calls each rule by itself: the transforms would hide a tangent of another dtype."""
    places = case.pulled
    found = []
    directions: list[np.ndarray] = []
    for args in (single, double):
        at = [args[i] for i in places]
        f = case.function(places, args)
        outs = numbers(f(*at))
        directions = directions or direction(case.rng, [*outs, *at])
        given = [d.astype(args[places[0]].dtype) for d in directions]
        gs, ts = given[: len(outs)], given[len(outs) :]
        pulled = numbers(pullback(f, len(outs))(*gs, *at))
        pushed = numbers(pushforward(f, len(at))(*ts, *at))
        second = numbers(pullback(pullback(f, len(outs)), len(at))(*ts, *gs, *at))
        found.append(pulled + pushed + second)
    scale = largest(*found[1], *double)
    _require_single(found[0], found[1], scale, "(co)tangent")
    for i in places:
        tangents, cotangents = _results_of_rules(case, single, i)
        for y in (*tangents, *cotangents):
            if y.dtype in IN_SINGLE:
                raise LawViolation(f"a rule of argument {i} gives {y.dtype} for float32")
        for y in () if case.primitive.broadcasts else cotangents:
            if y.shape != single[i].shape:
                raise LawViolation(f"a rule of argument {i} gives {y.shape}: {single[i].shape}")


def _results_of_rules(case: PrimitiveCase, args: Arrays, i: int) -> list[list[Tensor]]:
    """What the rules of argument i return: tangents, and the cotangent."""
    primitive = case.primitive
    tensors = [asarray(x) for x in args]
    out = bind(primitive, tensors, case.params)
    t = asarray(np.ones_like(args[i]))
    found = [primitive.jvps[i](t, out, *tensors, **case.params)]
    found.append(primitive.vjps[i](out, out, *tensors, **case.params))
    each = [x if isinstance(x, tuple) else (x,) for x in found]
    return [[y for y in ys if y is not None] for ys in each]


def mixed_precision(case: PrimitiveCase) -> None:
    """Each cotangent has its argument's dtype, and each tangent its output's, in every mix."""
    places = case.pulled
    if not places or places != case.pushed:
        return
    for args in float_mixes(case):
        with checking(case.with_args(args), "dtypes of tangents and cotangents"):
            f, at = case.function(places, args), [args[i] for i in places]
            outs = numbers(f(*at))
            pulled = numbers(pullback(f, len(outs))(*direction(case.rng, outs), *at))
            pushed = numbers(pushforward(f, len(at))(*direction(case.rng, at), *at))
            for got, like in zip([*pulled, *pushed], [*at, *outs], strict=True):
                if (got.dtype, got.shape) != (like.dtype, like.shape):
                    raise LawViolation(
                        f"expected {aval_of(like)} as its primal, got {aval_of(got)}"
                    )
