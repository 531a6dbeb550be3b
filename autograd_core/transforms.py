"""Transforms: functions of functions. Each enters an interpreter, runs, and reads the result off.

All take and give pytrees, nest in any order, and can be taken to any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial, wraps
from operator import index
from typing import Any, SupportsIndex

import numpy as np

from autograd_core.batching import Batching, note_mapped
from autograd_core.device import beside, filled
from autograd_core.errors import AutogradError, DtypeError, ShapeError
from autograd_core.forward import Forward
from autograd_core.primitive import Interpreter, new_level
from autograd_core.reverse import Linearizing, Node, Reverse, backward, push_forward
from autograd_core.tensor import INEXACT, Tensor, alias, asarray, aval_of, box, own
from autograd_core.tree import (
    tree_children,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_paths,
    tree_structure,
    tree_unflatten,
)

Function = Callable[..., Any]
Argnums = SupportsIndex | Sequence[SupportsIndex]


# Reverse mode ---------------------------------------------------------------------------------


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Evaluate `f`, and return how cotangents of its output pull back to its arguments.

    Args:
        f: a function of pytrees of floating-point tensors to a pytree of tensors; with `has_aux`
            to a pair of that and anything else.
        primals: its arguments.

    Returns:
        `(f(*primals), pull)`, and aux third with `has_aux`. `pull(ct)`, given a cotangent in the
        structure and shapes of the output, is a tuple of cotangents, one for each argument. It may
        be called any number of times.

    Raises:
        DtypeError: an argument is not floating point.

    >>> value, pull = ac.vjp(lambda x, y: ac.stack([x * y, x + y]), 2.0, 5.0)
    >>> value, pull(ac.asarray([1.0, 0.0])), pull(ac.asarray([0.0, 1.0]))
    (Tensor([10.,  7.], dtype=float64), (Tensor(5., dtype=float64), Tensor(2., dtype=float64)),
     (Tensor(1., dtype=float64), Tensor(1., dtype=float64)))
    """
    leaves, structure = tree_flatten(primals)
    leaves = _differentiable_leaves(map(own, leaves), primals, "vjp")
    out, aux, starts, record = _record(Reverse, f, leaves, structure, has_aux)
    outs, out_structure = tree_flatten(out)

    def pull(ct: Any) -> tuple:
        cts = _matching(ct, outs, out_structure, "vjp: the cotangent")
        seeds = [(node, g) for node, g in zip(record, cts, strict=True) if node is not None]
        found = backward(seeds)
        return tree_unflatten(structure, _gradients(starts, leaves, found))

    return (out, pull, aux) if has_aux else (out, pull)


def _record(
    make: type[Reverse], f: Function, leaves: list[Tensor], structure: Any, has_aux: bool
) -> tuple[Any, Any, list[Node], list[Node | None]]:
    """Run `f` under a recording interpreter: its output and aux, lowered, the nodes of the inputs,
    and those of the outputs (None where an output does not depend on the inputs)."""
    with new_level(make) as trace:
        traced = [trace.leaf(x) for x in leaves]
        starts = [x.mark for x in traced]
        out, aux = _split_aux(f(*tree_unflatten(structure, traced)), has_aux)
        out = tree_map(asarray, out)
        nodes = [y.mark if y.interpreter is trace else None for y in tree_leaves(out)]
    return lower_tree(trace, out), lower_tree(trace, aux), starts, nodes


def _split_aux(result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(
            f"has_aux=True: expected the function to return (output, aux), got {type(result)}"
        )
    return result


def lower_tree(trace: Interpreter, tree: Any) -> Any:
    """A tree with what `trace` attached taken off again."""
    return tree_map(lambda x: alias(trace.lower(x)) if x.__class__ is Tensor else x, tree)


def _differentiable_leaves(
    leaves: Iterable, tree: Any, transform: str, holomorphic: bool = False
) -> list[Tensor]:
    tensors = []
    for i, leaf in enumerate(leaves):
        x = asarray(leaf)
        if x.dtype.kind not in INEXACT:
            path = tree_paths(tree)[i]
            raise DtypeError(
                f"{transform}: argument {path} has dtype {x.dtype}, but derivatives exist in "
                "floating-point arguments only; convert it with astype(np.float32), or leave it "
                "out by argnums"
            )
        if holomorphic and x.dtype.kind != "c":
            raise DtypeError(
                f"{transform}: holomorphic=True, but argument {tree_paths(tree)[i]} is {x.dtype}; "
                "convert it with astype(np.complex128)"
            )
        tensors.append(x)
    return tensors


def _gradients(starts: list[Node], leaves: list[Tensor], found: dict) -> list[Tensor]:
    return [
        alias(found[node]) if node in found else zeros_of(x)
        for node, x in zip(starts, leaves, strict=True)
    ]


def zeros_of(x: Any) -> Tensor:
    """Zeros in the shape and dtype of a tensor, array, number or `Aval`."""
    aval = x if hasattr(x, "dtype") else aval_of(x)
    return filled(0, aval.shape, aval.dtype, x)


def _ones_like(x: Tensor) -> Tensor:
    return filled(1, x.shape, x.dtype, x)


def _matching(given: Any, likes: list[Tensor], structure: Any, what: str) -> list[Tensor]:
    """The leaves of `given`, checked against what they go with, and cast to its dtype."""
    leaves, found = tree_flatten(given)
    if found != structure:
        raise ShapeError(f"{what}: expected the tree structure {structure}, got {found}")
    out = []
    for x, like in zip(leaves, likes, strict=True):
        x = alias(beside(asarray(own(x), like.dtype), like))
        if x.shape != like.shape:
            raise ShapeError(f"{what}: expected shape {like.shape}, got {x.shape}")
        out.append(x)
    return out


def value_and_grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """A function that returns `f`'s value together with its gradient.

    Args:
        f: returns a floating-point scalar; with `has_aux`, a pair of it and anything else.
        argnums: which positional arguments to differentiate in: one, or several for a tuple of
            gradients. They may be pytrees.
        has_aux: see `f`; the value is then the pair.
        holomorphic: `f` is a complex-differentiable function of complex arguments, and its complex
            derivative is meant. Without it the gradient of a real value in z = x + iy is
            ∂f/∂x - i ∂f/∂y, whose conjugate is the direction of steepest ascent.

    Raises:
        AutogradError: `f` returned something that is not a scalar.
        DtypeError: an argument or the value is not floating point; or the value is complex, and
            `holomorphic` was not said, or an argument is not, and it was.

    >>> ac.value_and_grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 5.0)
    (Tensor(10., dtype=float64), (Tensor(5., dtype=float64), Tensor(2., dtype=float64)))
    >>> ac.value_and_grad(lambda x: (x**2, "aux"), has_aux=True)(3.0)
    ((Tensor(9., dtype=float64), 'aux'), Tensor(6., dtype=float64))
    """
    name = getattr(f, "__name__", "f")

    @wraps(f)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        partial_f, chosen = _at_argnums(f, args, kwargs, argnums)
        leaves, structure = tree_flatten(chosen)
        leaves = _differentiable_leaves(leaves, chosen, f"grad of {name}", holomorphic)
        out, aux, starts, nodes = _record(Reverse, partial_f, leaves, structure, has_aux)
        _check_scalar(out, name, holomorphic)
        seeds = [(node, _ones_like(out)) for node in nodes if node is not None]
        del nodes  # the walk lets go of what it has passed
        grads = tree_unflatten(structure, _gradients(starts, leaves, backward(seeds)))
        return ((out, aux) if has_aux else out), (grads[0] if _is_one(argnums) else grads)

    return differentiated


def grad(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """A function that returns the gradient of `f`, and aux beside it with `has_aux`.

    The gradient is in the first argument where `argnums` does not name others, and has its
    structure, shapes and dtypes. See `value_and_grad` for the arguments, the errors, and complex
    numbers. Reverse mode: a gradient costs a few times what `f` does, however many entries it has.

    >>> f = lambda x: x**3
    >>> ac.grad(f)(2.0), ac.grad(ac.grad(f))(2.0)
    (Tensor(12., dtype=float64), Tensor(12., dtype=float64))
    >>> ac.grad(lambda p, x: ac.sum(p["w"] * x))({"w": ac.zeros(2)}, ac.asarray([3.0, 4.0]))
    {'w': Tensor([3., 4.], dtype=float64)}
    """
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, g = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return gradient


def _check_scalar(out: Any, name: str, holomorphic: bool) -> None:
    if out.__class__ is not Tensor:
        raise AutogradError(
            f"grad of {name}: expected a scalar, got {type(out).__name__}; "
            "return extra results with has_aux=True"
        )
    if out.shape != ():
        raise AutogradError(
            f"grad of {name}: expected a scalar, got shape {out.shape}; reduce it (sum, mean), or "
            "use jacrev, or vjp with a cotangent"
        )
    if out.dtype.kind not in INEXACT:
        raise DtypeError(f"grad of {name}: expected a floating-point value, got {out.dtype}")
    _check_real(out, holomorphic, f"grad of {name}: the value")


def _check_real(x: Tensor, holomorphic: bool, what: str) -> None:
    """Raise where a derivative in complex numbers is one number only if the function is told to be
    holomorphic."""
    if x.dtype.kind == "c" and not holomorphic:
        raise DtypeError(
            f"{what} is {x.dtype}; take its real part, or say holomorphic=True where the function "
            "is complex-differentiable"
        )


def _is_one(argnums: Argnums) -> bool:
    return isinstance(argnums, SupportsIndex)


def _several(argnums: Argnums) -> Sequence[SupportsIndex]:
    return (argnums,) if isinstance(argnums, SupportsIndex) else tuple(argnums)


def _at_argnums(f: Function, args: tuple, kwargs: dict, argnums: Argnums) -> tuple[Function, tuple]:
    """`f` as a function of the chosen arguments alone, and those."""
    places = tuple(map(index, _several(argnums)))
    for i in places:
        if not -len(args) <= i < len(args):
            raise TypeError(
                f"argnums={argnums}: {getattr(f, '__name__', 'f')} was called with {len(args)} "
                "positional arguments"
            )
    places = tuple(i % len(args) for i in places)
    if len(set(places)) < len(places):
        raise TypeError(f"argnums={argnums}: an argument is named twice")

    def partial_f(*chosen: Any) -> Any:
        full = list(args)
        for i, x in zip(places, chosen, strict=True):
            full[i] = x
        return f(*full, **kwargs)

    partial_f.__name__ = getattr(f, "__name__", "f")
    return partial_f, tuple(args[i] for i in places)


# Forward mode ---------------------------------------------------------------------------------


def jvp(f: Function, primals: Sequence, tangents: Sequence, has_aux: bool = False) -> Any:
    """Evaluate `f` and its derivative in a direction.

    Args:
        f: a function of pytrees of floating-point tensors; with `has_aux` returning a pair.
        primals: its arguments, a sequence.
        tangents: the direction, in their structure and shapes.

    Returns:
        `(f(*primals), tangent of the output)`, and aux third with `has_aux`.

    >>> ac.jvp(lambda x: ac.stack([x, x**2, x**3]), (2.0,), (1.0,))
    (Tensor([2., 4., 8.], dtype=float64), Tensor([ 1.,  4., 12.], dtype=float64))
    """
    for given, what in ((primals, "primals"), (tangents, "tangents")):
        if not isinstance(given, tuple | list):
            raise TypeError(
                f"jvp: {what} are a tuple with one entry for each argument, such as (x,); got "
                f"{type(given).__name__}"
            )
    leaves, structure = tree_flatten(tuple(primals))
    leaves = _differentiable_leaves(leaves, tuple(primals), "jvp")
    directions = _matching(tuple(tangents), leaves, structure, "jvp: the tangent")
    with new_level(Forward) as trace:
        traced = map(trace.join, map(alias, leaves), directions)
        out, aux = _split_aux(f(*tree_unflatten(structure, traced)), has_aux)
        out = tree_map(asarray, out)
        tangent = tree_map(lambda y: alias(y.mark) if y.interpreter is trace else zeros_of(y), out)
    result = lower_tree(trace, out), tangent
    return (*result, lower_tree(trace, aux)) if has_aux else result


def linearize(f: Function, *primals: Any, has_aux: bool = False) -> Any:
    """Evaluate `f` once, and return its derivative there as a linear function of tangents.

    Returns:
        `(f(*primals), push)`, and aux third with `has_aux`. `push(*tangents)` equals
        `jvp(f, primals, tangents)[1]` without evaluating `f` again.

    >>> value, push = ac.linearize(ac.sin, 0.0)
    >>> value, push(1.0), push(10.0)
    (Tensor(0., dtype=float64), Tensor(1., dtype=float64), Tensor(10., dtype=float64))
    """
    leaves, structure = tree_flatten(primals)
    leaves = _differentiable_leaves(map(own, leaves), primals, "linearize")
    out, aux, starts, nodes = _record(Linearizing, f, leaves, structure, has_aux)
    outs, out_structure = tree_flatten(out)

    def push(*tangents: Any) -> Any:
        directions = _matching(tangents, leaves, structure, "linearize: the tangent")
        found = push_forward(dict(zip(starts, directions, strict=True)), nodes)
        pushed = [
            zeros_of(y) if t is None else alias(Forward.conform(t, y))
            for t, y in zip(found, outs, strict=True)
        ]
        return tree_unflatten(out_structure, pushed)

    return (out, push, aux) if has_aux else (out, push)


# Batching -------------------------------------------------------------------------------------


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """A function that applies `f` to each slice of its arguments, all of them at once.

    Args:
        f: a function of pytrees to a pytree. Arguments given by name are mapped over axis 0.
        in_axes: the axis to map over: an integer or None (the same for every slice), or a tuple of
            such, one for each positional argument, which may be pytrees that the argument's
            structure starts with.
        out_axes: where the mapped axis goes in the result, in the same form; None where the result
            does not depend on it.

    Raises:
        ShapeError: the mapped axes differ in length, or an axis does not exist.

    >>> distance = lambda x, y: ac.norm(x - y)
    >>> x, y = ac.asarray([[0.0, 0.0], [3.0, 4.0]]), ac.asarray([3.0, 4.0])
    >>> ac.vmap(distance, (0, None))(x, y)
    Tensor([5., 0.], dtype=float64)
    >>> ac.vmap(ac.grad(distance), (0, None))(x, y)
    Tensor([[-0.6, -0.8],
            [ 0. ,  0. ]], dtype=float64)
    """
    name = getattr(f, "__name__", "f")

    @wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        from autograd_core.ops.structural import moveaxis

        leaves, structure = tree_flatten((args, kwargs))
        wanted = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        axes = _axes_of_leaves(wanted, args, "in_axes", name)
        axes += [0] * (len(leaves) - len(axes))
        leaves = [x if a is None else asarray(x) for x, a in zip(leaves, axes, strict=True)]
        size = _mapped_length(leaves, axes, (args, kwargs), name)
        with new_level(lambda level: Batching(level, size)) as trace:
            traced = [
                x if a is None else box(moveaxis(x, a, 0), trace)
                for x, a in zip(leaves, axes, strict=True)
            ]
            note_mapped([x.value for x, a in zip(traced, axes, strict=True) if a is not None])
            inner_args, inner_kwargs = tree_unflatten(structure, traced)
            out = f(*inner_args, **inner_kwargs)
        outs, out_structure = tree_flatten(out)
        places = _axes_of_leaves(out_axes, out, "out_axes", name)
        results = [_unmap(trace, y, a, name) for y, a in zip(outs, places, strict=True)]
        return tree_unflatten(out_structure, results)

    return mapped


def _axes_of_leaves(axes: Any, tree: Any, what: str, name: str) -> list[int | None]:
    """`axes`, a tree prefix, spread over the leaves of `tree`."""
    if axes is None or isinstance(axes, SupportsIndex):
        axis = None if axes is None else index(axes)
        return [axis] * len(tree_leaves(tree))
    if isinstance(axes, tuple | list) and isinstance(tree, tuple | list):
        if len(axes) != len(tree):
            raise ShapeError(
                f"vmap of {name}: {what} has {len(axes)} entries for {len(tree)} values"
            )
        pairs = list(zip(axes, tree, strict=True))
    elif isinstance(axes, dict) and isinstance(tree, dict) and axes.keys() == tree.keys():
        pairs = [(axes[k], tree[k]) for k in tree_structure(tree).entries()]
    else:
        prefixes, children = tree_children(axes), tree_children(tree)
        fits = type(axes) is type(tree) and not isinstance(axes, dict)
        if not fits or len(prefixes) != len(children):
            raise ShapeError(f"vmap of {name}: {what} {axes!r} does not fit the values")
        pairs = list(zip(prefixes, children, strict=True))
    return [a for prefix, subtree in pairs for a in _axes_of_leaves(prefix, subtree, what, name)]


def _mapped_length(leaves: list, axes: list, given: tuple, name: str) -> int:
    lengths = {}
    paths = lambda: [path for tree in given for path in tree_paths(tree)]
    for i, (x, a) in enumerate(zip(leaves, axes, strict=True)):
        if a is None:
            continue
        if not -x.ndim <= a < x.ndim:
            raise ShapeError(
                f"vmap of {name}: argument {paths()[i]} of shape {x.shape} has no axis {a}"
            )
        lengths[i] = x.shape[a]
    if not lengths:
        raise ShapeError(f"vmap of {name}: in_axes maps no argument")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{paths()[i]}: {n}" for i, n in lengths.items())
        raise ShapeError(f"vmap of {name}: mapped axes differ in length ({found})")
    return next(iter(lengths.values()))


def _unmap(trace: Batching, y: Any, axis: int | None, name: str) -> Any:
    from autograd_core.ops.structural import broadcast_to, moveaxis

    batched = y.__class__ is Tensor and y.interpreter is trace
    if axis is None:
        if batched:
            raise ShapeError(
                f"vmap of {name}: out_axes is None for a result that differs between slices"
            )
        return alias(y) if y.__class__ is Tensor else y
    if not batched:
        y = broadcast_to(asarray(y), (trace.size, *asarray(y).shape))
    return moveaxis(y.value if batched else y, 0, axis)


# Jacobians and Hessians -----------------------------------------------------------------------


def jacrev(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """A function that returns the Jacobian of `f`, one row at a time mapped over reverse mode.

    For an output of shape O and an argument of shape I each block has shape (*O, *I); with pytrees
    the result is a tree of outputs whose leaves are trees of arguments.

    Args:
        f: a function of pytrees of floating-point tensors to a pytree; with `has_aux` to a pair.
        argnums: which positional arguments to differentiate in: one, or several for a tuple.
        has_aux: `f` returns a pair of that and anything else, and so does the result.
        holomorphic: complex outputs have a Jacobian if `f` is complex-differentiable; see
            `value_and_grad`.

    >>> ac.jacrev(lambda x: ac.stack([x[0] * x[1], x[0] + x[1]]))(ac.asarray([2.0, 5.0]))
    Tensor([[5., 2.],
            [1., 1.]], dtype=float64)
    """

    @wraps(f)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial_f, chosen = _at_argnums(f, args, kwargs, argnums)
        out, pull, *aux = vjp(partial_f, *chosen, has_aux=has_aux)
        outs, structure = tree_flatten(out)
        for y in outs:
            _check_real(y, holomorphic, "jacrev: the value")
        rows = vmap(lambda *cts: pull(tree_unflatten(structure, cts)))(*_basis(outs))
        blocks = [tree_map(partial(_rows, outs, i), rows) for i in range(len(outs))]
        if _is_one(argnums):
            blocks = [block[0] for block in blocks]
        result = tree_unflatten(structure, blocks)
        return (result, aux[0]) if has_aux else result

    return jacobian


def jacfwd(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """A function that returns the Jacobian of `f`, one column at a time mapped over forward mode.

    It is cheaper than `jacrev` where there are fewer inputs than outputs. Its shapes and arguments
    are those of `jacrev`.

    Args:
        f, argnums, has_aux: see `jacrev`.
        holomorphic: in complex arguments there is a Jacobian if `f` is complex-differentiable.

    >>> ac.jacfwd(lambda t: ac.stack([ac.cos(t), ac.sin(t)]))(0.0)
    Tensor([0., 1.], dtype=float64)
    """

    @wraps(f)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        partial_f, chosen = _at_argnums(f, args, kwargs, argnums)
        leaves, structure = tree_flatten(chosen)
        leaves = _differentiable_leaves(leaves, chosen, "jacfwd", holomorphic)
        for x in leaves:
            _check_real(x, holomorphic, "jacfwd: an argument")

        def column(*tangents: Tensor) -> Any:
            result = jvp(partial_f, chosen, tree_unflatten(structure, tangents), has_aux)
            return result[1:] if has_aux else result[1]

        # aux is computed from the primals alone: it is the same in every column.
        out_axes = (-1, None) if has_aux else -1
        columns = vmap(column, out_axes=out_axes)(*_basis(leaves))
        columns, *aux = columns if has_aux else (columns,)
        result = tree_map(lambda c: _blocks_of_columns(c, leaves, structure, argnums), columns)
        return (result, aux[0]) if has_aux else result

    return jacobian


def _basis(likes: list[Tensor]) -> list[np.ndarray]:
    """For each tensor, its part of every standard basis vector of all of them: (total, *shape)."""
    total = sum(x.size for x in likes)
    parts, start = [], 0
    for x in likes:
        part = np.zeros((total, x.size), x.dtype)
        part[start + np.arange(x.size), np.arange(x.size)] = 1
        parts.append(part.reshape(total, *x.shape))
        start += x.size
    return parts


def _rows(outs: list[Tensor], i: int, stacked: Tensor) -> Tensor:
    """The rows of output i, as a block of shape (*output shape, *argument shape)."""
    start = sum(y.size for y in outs[:i])
    block = stacked[start : start + outs[i].size]
    return block.reshape((*outs[i].shape, *stacked.shape[1:]))


def _blocks_of_columns(
    columns: Tensor, leaves: list[Tensor], structure: Any, argnums: Argnums
) -> Any:
    blocks, start = [], 0
    for x in leaves:
        block = columns[..., start : start + x.size]
        blocks.append(block.reshape((*columns.shape[:-1], *x.shape)))
        start += x.size
    tree = tree_unflatten(structure, blocks)
    return tree[0] if _is_one(argnums) else tree


def hessian(
    f: Function, argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function:
    """A function that returns the Hessian of a scalar function: forward over reverse.

    For an argument of shape I it has shape (*I, *I); with pytrees, or several arguments, it is a
    tree of blocks. `hvp` multiplies by it without making it.

    Args:
        f: a function to a floating-point scalar; with `has_aux` to a pair of that and anything
            else.
        argnums: which positional arguments to differentiate in: one, or several.
        has_aux: see `f`; the result is then a pair too: the Hessian, and f's aux.
        holomorphic: `f` is complex-differentiable, and its second complex derivative is meant.

    >>> ac.hessian(lambda x: x[0] ** 2 * x[1])(ac.asarray([2.0, 5.0]))
    Tensor([[10.,  4.],
            [ 4.,  0.]], dtype=float64)
    """
    return jacfwd(jacrev(f, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def hvp(
    f: Function,
    primals: Sequence,
    tangents: Sequence,
    argnums: Argnums | None = None,
    has_aux: bool = False,
) -> Any:
    """The Hessian of a scalar function times a vector, at the cost of a few gradients.

    Args:
        f: a scalar function of pytrees; with `has_aux` it returns a pair of that and anything else.
        primals: its arguments, a sequence.
        tangents: the vector, in the structure and shapes of the arguments that `argnums` chooses:
            a sequence with one entry for each.
        argnums: the arguments to differentiate in; all by default.

    Returns:
        The product: of the structure of the argument where there is one, else a tuple; with
        `has_aux` a pair of that and aux.

    >>> f = lambda x: x[0] ** 2 * x[1]
    >>> ac.hvp(f, (ac.asarray([2.0, 5.0]),), (ac.asarray([1.0, 0.0]),))
    Tensor([10.,  4.], dtype=float64)
    """
    if argnums is None:
        argnums = 0 if len(primals) == 1 else tuple(range(len(primals)))
    partial_f, chosen = _at_argnums(f, tuple(primals), {}, argnums)
    inner: Argnums = 0 if _is_one(argnums) else tuple(range(len(chosen)))
    result = jvp(grad(partial_f, inner, has_aux), chosen, tangents, has_aux)
    return result[1:] if has_aux else result[1]
