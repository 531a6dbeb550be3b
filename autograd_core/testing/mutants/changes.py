"""The ways to break a rule or a kernel, from which `mutants` makes broken primitives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.ops import (
    astype,
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    matrix_transpose,
    moveaxis,
    roll,
    stop_gradient,
)
from autograd_core.tensor import INEXACT, Aval, Tensor, asarray
from autograd_core.tree import tree_flatten, tree_leaves, tree_map, tree_unflatten

Rule = Callable[..., Any]
Wrap = Callable[[Rule], Rule]
"""Makes a broken rule of a rule."""

# Changes of a result --------------------------------------------------------------------------


def _each(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    """A change of a tensor, also of each tensor in a tree; None stays."""

    def changed(x: Any) -> Any:
        x = asarray(x)
        return change(x) if x.dtype.kind in INEXACT else x

    return lambda tree: tree_map(changed, tree)


def _transposed(x: Tensor) -> Tensor:
    square = x.ndim >= 2 and x.shape[-1] == x.shape[-2]
    return matrix_transpose(x) if square else x


SINGLE = (np.float32, np.complex64)


def _only_single(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    return _each(lambda x: change(x) if x.dtype in SINGLE else x)


RULE_RESULTS: dict[str, Callable[[Any], Any]] = {
    "zero": _each(lambda x: x * 0.0),
    "removed": lambda _x: None,
    "negated": _each(lambda x: -x),
    "doubled": _each(lambda x: x * 2.0),
    "times 1 + 1e-3": _each(lambda x: x * (1 + 1e-3)),
    "times 1 + 1e-6": _each(lambda x: x * (1 + 1e-6)),
    "times 1 + 1e-3 in float32": _only_single(lambda x: x * (1 + 1e-3)),
    "transposed": _each(_transposed),
    "rolled": _each(lambda x: roll(x, 1, -1) if x.ndim else x),
    "with an extra axis": _each(lambda x: expand_dims(x, 0)),
    "in float64": _each(lambda x: astype(x, np.result_type(x.dtype, np.float64))),
    "plus 1e-3": _each(lambda x: x + 1e-3),
}
OF_ZERO = frozenset({"with an extra axis", "in float64", "plus 1e-3"})
"""The kinds that change a rule that is zero everywhere, as that of `copysign` in its sign."""


def _all_outputs(change: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
    return lambda out: tuple(map(change, out)) if isinstance(out, tuple) else change(out)


BATCH_RESULTS: dict[str, Callable[[Any], Any]] = {
    "slices reversed": _all_outputs(lambda x: flip(x, 0)),
    "slices rolled": _all_outputs(
        lambda x: concatenate([x[1:], x[:1]], 0) if x.shape[0] > 1 else x
    ),
    "first slice repeated": _all_outputs(lambda x: broadcast_to(x[:1], x.shape)),
    "slices on the last axis": _all_outputs(
        lambda x: moveaxis(x, 0, -1) if x.ndim > 1 else expand_dims(x, 0)
    ),
    "detached": _all_outputs(stop_gradient),
}


def where_mixed(batch: Callable, mixed: bool) -> Callable:
    """Reverses the slices where some arguments are mapped and others not, or only elsewhere."""

    def changed(size: int, args: tuple, batched: tuple, /, **params: Any) -> Any:
        out = batch(size, args, batched, **params)
        return BATCH_RESULTS["slices reversed"](out) if mixed != all(batched) else out

    return changed


def _other_dtype(aval: Aval) -> Aval:
    other = np.float32 if aval.dtype == np.float64 else np.float64
    return Aval(aval.shape, np.dtype(other))


def _avals(change: Callable[[Aval], Aval]) -> Callable[[Any], Any]:
    return lambda said: change(said) if isinstance(said, Aval) else tuple(map(change, said))


SHAPE_RESULTS: dict[str, Callable[[Any], Any]] = {
    "an extra axis": _avals(lambda aval: Aval((*aval.shape, 1), aval.dtype)),
    "a longer axis": _avals(lambda aval: Aval((*aval.shape[:-1], 7), aval.dtype)),
    "another dtype": _avals(_other_dtype),
}


def then(function: Callable, change: Callable[[Any], Any]) -> Callable:
    return lambda *args, **params: change(function(*args, **params))


# Changes of arguments -------------------------------------------------------------------------


def _stopped(tree: Any) -> Any:
    return tree_map(lambda x: stop_gradient(x) if x.__class__ is Tensor else x, tree)


def _values_detached(rule: Callable) -> Callable:
    """Right to first order, wrong from the second on."""
    return lambda g, *values, **params: rule(g, *map(_stopped, values), **params)


def _direction_detached(rule: Callable) -> Callable:
    return lambda g, *values, **params: rule(_stopped(g), *values, **params)


def _values_linearised(rule: Callable) -> Callable:
    """Replaces the rule by its tangent at each point: wrong from the third order on.

    To find that the rule may be asked for itself, as that of `exp` is: then it is the right one, or
    there would be no end to it.
    """
    busy = False

    def linearised(g: Any, *values: Any, **params: Any) -> Any:
        nonlocal busy
        floats, rebuild = float_leaves(values)
        if busy or not floats:
            return rule(g, *values, **params)
        fixed = [stop_gradient(x) for x in floats]
        moves = [x - y for x, y in zip(floats, fixed, strict=True)]
        busy = True
        try:
            out, change = transforms.jvp(lambda *xs: rule(g, *rebuild(xs), **params), fixed, moves)
        finally:
            busy = False
        return tree_map(lambda a, b: a + b, out, change)

    return linearised


def float_leaves(values: Sequence[Any]) -> tuple[list[Tensor], Callable[[Sequence], list]]:
    """The floating tensors among what a rule reads, and how to put others in their place."""
    leaves, structure = tree_flatten(list(values))
    places = [i for i, x in enumerate(leaves) if x.__class__ is Tensor and x.dtype.kind in INEXACT]

    def rebuild(xs: Sequence) -> list:
        full = list(leaves)
        for i, x in zip(places, xs, strict=True):
            full[i] = x
        return tree_unflatten(structure, full)

    return [leaves[i] for i in places], rebuild


def output_lost(k: int) -> Callable[[Callable], Callable]:
    """For rules that take one (co)tangent for each of several outputs."""

    def wrap(rule: Callable) -> Callable:
        def losing(g: Any, *values: Any, **params: Any) -> Any:
            if isinstance(g, tuple):
                lost = tuple(None if i == k else x for i, x in enumerate(g))
                # A rule may count on one cotangent at least.
                return rule(lost, *values, **params) if any(x is not None for x in lost) else None
            out = rule(g, *values, **params)
            return tuple(None if i == k else x for i, x in enumerate(out))

        return losing

    return wrap


RULE_ARGUMENTS: dict[str, Wrap] = {
    "values linearised": _values_linearised,
    "values detached": _values_detached,
    "direction detached": _direction_detached,
}

RULES: dict[str, Wrap] = {
    **{kind: partial(then, change=change) for kind, change in RULE_RESULTS.items()},
    **RULE_ARGUMENTS,
}
"""What breaks a rule `rule(direction, *values, **params)`."""


# Sums that are missing ------------------------------------------------------------------------


def one_row(rule: Callable) -> Callable:
    """Pulls back the first row of a cotangent alone, where what the rule gives is a sum of rows."""

    def pulled(g: Any, *values: Any, **params: Any) -> Any:
        shapes = [x.shape for x in tree_leaves(g)]
        found = rule(g, *values, **params)
        alone = rule(tree_map(_first_row, g), *values, **params)
        return tree_map(lambda x, y: y if _summed(x, shapes) else x, found, alone)

    return pulled


def _first_row(x: Tensor) -> Tensor:
    return concatenate([x[:1], x[1:] * 0.0], 0) if x.ndim else x


def _summed(x: Any, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether a cotangent lost axes, or the length of some, on its way from those of outputs."""
    own = np.shape(x) if x.__class__ is not Tensor else x.shape
    return any(
        len(own) < len(shape) or any(a == 1 < b for a, b in zip(own, shape, strict=False))
        for shape in shapes
    )


def one_slice(rule: Callable, i: int) -> Callable:
    """For elementwise rules, whose cotangents the tape sums over the axes along which argument i
    was broadcast: gives it a slice along those axes, so that there is nothing left to sum."""

    def sliced(g: Tensor, out: Any, *args: Any, **params: Any) -> Any:
        ct = rule(g, out, *args, **params)
        shape = args[i].shape
        lead = ct.ndim - len(shape)
        return ct[(*[0] * lead, *map(slice, shape))] if ct.shape != shape else ct

    return sliced


# Kernels that misbehave -----------------------------------------------------------------------


def _writes(kernel: Callable, fill: int) -> Callable:
    """Spoils those of its arguments that it can, after use."""

    def spoiling(*args: Any, **params: Any) -> Any:
        found = kernel(*args, **params)
        out = tuple(map(np.array, found)) if isinstance(found, tuple) else np.array(found)
        for x in args:
            if isinstance(x, np.ndarray) and x.flags.writeable:
                x[...] = fill
        return out

    return spoiling


def _recycles(kernel: Callable) -> Callable:
    """Returns the same memory again for each result of one shape and dtype."""
    buffers: dict[Any, np.ndarray] = {}

    def recycled(i: int, x: Any) -> np.ndarray:
        x = np.asarray(x)
        buffer = buffers.setdefault((i, x.shape, x.dtype), np.empty(x.shape, x.dtype))
        buffer[...] = x
        return buffer

    def recycling(*args: Any, **params: Any) -> Any:
        out = kernel(*args, **params)
        if isinstance(out, tuple):
            return tuple(recycled(i, x) for i, x in enumerate(out))
        return recycled(0, out)

    return recycling


def _ignores_strides(kernel: Callable) -> Callable:
    """Reads its arguments as if their memory were in row-major order."""

    def flat(x: Any) -> Any:
        return x.ravel("K").reshape(x.shape) if isinstance(x, np.ndarray) else x

    return lambda *args, **params: kernel(*map(flat, args), **params)


def imprecise(kernel: Callable) -> Callable:
    """Loses digits where it is given single precision."""

    def rough(x: Any) -> Any:
        return x * np.float32(1 + 1e-3) if x.dtype == np.float32 else x

    def imprecise(*args: Any, **params: Any) -> Any:
        out = kernel(*args, **params)
        return tuple(map(rough, out)) if isinstance(out, tuple) else rough(out)

    return imprecise


def refuses(kernel: Callable, refused: Callable[[Any], bool]) -> Callable:
    def refusing(*args: Any, **params: Any) -> Any:
        if any(refused(np.asarray(x)) for x in args):
            raise ValueError("no such arrays, please")
        return kernel(*args, **params)

    return refusing


KERNELS: dict[str, Callable[[Callable], Callable]] = {
    "writes to its arguments": partial(_writes, fill=1),
    "recycles its result": _recycles,
    "memory order": _ignores_strides,
}
