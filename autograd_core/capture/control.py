"""Control flow that is captured: `scan`, `cond`, `while_loop`.

What they run is captured as graphs, so that a hundred steps are one body in a compiled program, and
a branch or a loop may depend on values. Each is a *call* (see `custom.py`) whose rules are written
with the same three functions, so derivatives of any order, and `vmap`, follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.batching import Batching
from autograd_core.capture.graph import Graph, Variable, evaluate, is_inexact, varying
from autograd_core.capture.ruled import ARGUMENT, RULED, filled, has_rules
from autograd_core.capture.trace import Capture, capture
from autograd_core.custom import Call, as_recorded, call
from autograd_core.errors import DtypeError, RuleError, ShapeError
from autograd_core.ops.arithmetic import where
from autograd_core.ops.reduce import any as any_
from autograd_core.ops.structural import broadcast_to, moveaxis, reshape, stack
from autograd_core.primitive import new_level
from autograd_core.tensor import INEXACT, NUMBER, Aval, Tensor, asarray, aval_of, box
from autograd_core.tree import tree_flatten, tree_map, tree_paths, tree_unflatten
from kernels.devices import on_gpu

Leaves = Sequence[Any]


class Body:
    """A function of leaves as a graph. What it read from outside are its first arguments.

    Attributes:
        graph: whose inputs are values from outside, then the arguments. Functions with rules of
            their own are equations in it.
        outside: those values.
    """

    def __init__(self, f: Callable[..., Leaves], args: Sequence[Aval | Variable], name: str):
        variables = [x if isinstance(x, Variable) else Variable(x) for x in args]
        found = capture(f, variables, name, keep=_keep)
        graph, variables = found.graph, found.graph.inputs[: len(args)]
        read = {
            **graph.constants,
            **dict(zip(graph.inputs[len(args) :], found.extra, strict=True)),
        }
        self.graph = Graph([*read, *variables], graph.equations, graph.outputs, {}, graph.mapped)
        self.outside: list[Tensor] = list(read.values())

    @property
    def avals(self) -> list[Aval]:
        """Of the results."""
        return [y.aval for y in self.graph.outputs]


def _keep(trace: Capture, function: Call, args: tuple) -> tuple:
    """A call with rules of its own as one equation: see `ruled.py`."""
    own = [
        x.__class__ is Tensor and (x.interpreter is not None or x.mark is not NUMBER) for x in args
    ]
    given = _select(args, own)
    leaves = tuple(ARGUMENT if flag else x for x, flag in zip(args, own, strict=True))
    variables = [
        Variable(aval_of(x), x.interpreter is not None and x.interpreter.is_number(x))
        for x in given
    ]
    body = Body(lambda *xs: function.run(*filled(leaves, xs)), variables, trace.name)
    params = {
        "function": function,
        "graph": body.graph,
        "outside": len(body.outside),
        "leaves": leaves,
    }
    return trace.process(RULED, (*body.outside, *given), params)


class Control:
    """The primitive of an equation that holds graphs; its parameters make the call again.

    Args:
        name: of the function.
        make: the call of the equation's parameters.
    """

    multiple = True
    variadic = True

    def __init__(self, name: str, make: Callable[..., ControlCall]):
        self.name = name
        self.make = make

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def shape(self, *_avals: Any, **params: Any) -> tuple[Aval, ...]:
        return tuple(self.make(**params).avals)

    def kernel(self, *arrays: Any, **params: Any) -> tuple:
        """The call on arrays, its graphs compiled."""
        values = (x if on_gpu(x) else np.asarray(x) for x in arrays)
        found = self.make(**params).compiled(tuple(map(box, values)))
        return tuple(asarray(y).value for y in found)

    def replay(self, args: Sequence[Any], params: dict) -> tuple:
        """The call on tensors, which may be traced."""
        return call(self.make(**params), [asarray(x) for x in args])

    def varying(self, flags: Sequence[bool], params: dict) -> list[bool]:
        """Which results may have a derivative in the arguments with a flag."""
        return self.make(**params).varying(flags)


class ControlCall(Call):
    """A call that is captured as one equation."""

    primitive: Control
    params: dict[str, Any]

    @property
    def avals(self) -> list[Aval]:
        """Of the results."""
        raise NotImplementedError

    def compiled(self, args: tuple) -> tuple:
        """As `run`, on plain arrays, with compiled graphs."""
        raise NotImplementedError

    def varying(self, flags: Sequence[bool]) -> list[bool]:
        """Which results may have a derivative in the arguments with a flag."""
        raise NotImplementedError

    def mapped(self, args: Leaves, batched: Sequence[bool]) -> Sequence:
        """As `custom.Call` has it: no call is made of the mapped function, but its operations."""
        size = next(x.shape[0] for x, b in zip(args, batched, strict=True) if b)
        return self.for_all(args, batched, size)

    def for_all(self, args: Leaves, batched: Sequence[bool], size: int) -> Sequence:
        """The results for all elements of an axis, which `batched` arguments have as axis 0."""
        raise NotImplementedError


def _program(graph: Graph, args: Leaves) -> Callable[[Leaves], list[Tensor]]:
    """What runs a graph on plain tensors where these lie: compiled once, and kept with the
    graph."""
    from autograd_core.capture.running import device_among, runner

    device = device_among(args)
    if device not in graph.programs:
        graph.programs[device] = runner(graph, device)
    return graph.programs[device]


def _differentiated(graph: Graph, flags: Sequence[bool]) -> list[bool]:
    """Of the inputs of a graph those that vary and have derivatives."""
    return [flag and is_inexact(x.aval) for x, flag in zip(graph.inputs, flags, strict=True)]


def _with_carry(graph: Graph, flags: Sequence[bool], first: int, count: int) -> list[bool]:
    """Which inputs of a step vary where those with a flag do at first: what is carried may come to
    vary, too."""
    while True:
        flags = _differentiated(graph, flags)
        after = varying(graph, flags)[:count]
        both = [a or b for a, b in zip(flags[first : first + count], after, strict=True)]
        if both == flags[first : first + count]:
            return flags
        flags = [*flags[:first], *both, *flags[first + count :]]


def _select(values: Leaves, flags: Sequence[bool]) -> list:
    return [x for x, flag in zip(values, flags, strict=True) if flag]


def _merge(flags: Sequence[bool], some: Leaves, others: Leaves) -> list:
    """`some` where the flag is set, `others` where not."""
    first, second = iter(some), iter(others)
    return [next(first) if flag else next(second) for flag in flags]


def _zeros(x: Any) -> Tensor:
    return transforms.zeros_of(x)


def _moving(values: Leaves, ts: Leaves, flags: Sequence[bool]) -> list:
    """Tangents where values vary, zeros where they only come to vary later."""
    return [
        None if not flag else _zeros(x) if t is None else t
        for x, t, flag in zip(values, ts, flags, strict=True)
    ]


def _evaluated(graph: Graph, args: Leaves, flags: Sequence[bool]) -> list:
    """A graph's results, as a tape has them that records what varies."""
    if not has_rules(graph):
        return evaluate(graph, args)
    return list(as_recorded(lambda *xs: evaluate(graph, xs), args, flags))


def _pushed(
    run: Callable[..., list], values: Leaves, ts: Leaves, moves: Sequence[bool]
) -> tuple[list, list]:
    """The results of a function of leaves, and tangents of those with a flag, None for others.

    Arguments without a tangent (None) are constants: an exponent has a derivative of its own, which
    is NaN where the base is negative, and 0 times it would be too.
    """
    values = [asarray(x) for x in values]
    real = [x.dtype.kind in INEXACT and t is not None for x, t in zip(values, ts, strict=True)]
    rest = _select(values, [not flag for flag in real])
    on_floats = lambda *xs: run(*_merge(real, xs, rest))
    primals, given = tuple(_select(values, real)), tuple(_select(ts, real))
    outs, found = transforms.jvp(on_floats, primals, given)
    return outs, [t if moves else None for t, moves in zip(found, moves, strict=True)]


# scan -----------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry a value through steps: `carry, y = f(carry, x)` for each slice x of `xs`.

    The body is captured once, however many steps there are. The backward pass keeps the carry of
    each step and computes the rest again.

    Args:
        f: returns the next carry, of the same structure, shapes and dtypes, and a tree of results.
        init: the first carry, a tree of tensors.
        xs: a tree of tensors with the steps along axis 0; None where a step needs none.
        length: how many steps, where `xs` does not say so.
        reverse: go through `xs` from the last slice to the first; results keep the places of the
            slices that they belong to.

    Returns:
        The last carry, and the results with the steps along axis 0.

    Raises:
        ShapeError: `xs` differ in length, or a carry changes its shape.
        DtypeError: a carry changes its dtype.
        ValueError: a carry changes its structure, or there is no length.

    >>> step = lambda balance, deposit: (1.1 * balance + deposit,) * 2
    >>> ac.scan(step, 0.0, ac.asarray([10.0, 10.0, 10.0]))
    (Tensor(33.1, dtype=float64), Tensor([10. , 21. , 33.1], dtype=float64))
    >>> ac.grad(lambda x: ac.scan(step, x, ac.zeros(3))[0])(1.0)
    Tensor(1.331, dtype=float64)
    """
    carry, carry_tree = tree_flatten(init)
    items, xs_tree = tree_flatten(xs)
    carry, items = [asarray(x) for x in carry], [asarray(x) for x in items]
    steps = _length(items, length)
    trees: list[Any] = []

    def flat(*leaves: Any) -> list:
        count = len(carry)
        out = f(tree_unflatten(carry_tree, leaves[:count]), tree_unflatten(xs_tree, leaves[count:]))
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(f"scan: f must return (carry, y), got {type(out).__name__}")
        after, after_tree = tree_flatten(out[0])
        ys, ys_tree = tree_flatten(out[1])
        _check_carry("scan", carry_tree, after_tree, init, carry, after)
        trees[:] = [ys_tree]
        return [*after, *ys]

    slices = [Aval(x.shape[1:], x.dtype) for x in items]
    body = Body(flat, [*map(aval_of, carry), *slices], "scan")
    function = Scan(body.graph, len(body.outside), len(carry), steps, reverse)
    outs = call(function, [*body.outside, *carry, *items])
    last = tree_unflatten(carry_tree, outs[: len(carry)])
    return last, tree_unflatten(trees[0], outs[len(carry) :])


def _length(items: Sequence[Tensor], length: int | None) -> int:
    lengths = {x.shape[0] for x in items if x.ndim} | ({length} if length is not None else set())
    if any(x.ndim == 0 for x in items):
        raise ShapeError("scan: a leaf of xs has no axis to go through")
    if len(lengths) > 1:
        raise ShapeError(f"scan: xs and length differ in how many steps there are: {lengths}")
    if not lengths:
        raise ValueError("scan: give xs, or length")
    return lengths.pop()


def _check_carry(
    name: str, tree: Any, after_tree: Any, init: Any, before: Sequence[Tensor], after: Leaves
) -> None:
    if tree != after_tree:
        raise ValueError(f"{name}: the carry's structure {tree} becomes {after_tree}")
    for path, x, y in zip(tree_paths(init), before, map(asarray, after), strict=True):
        if x.shape != y.shape:
            raise ShapeError(f"{name}: carry{path} of shape {x.shape} becomes one of {y.shape}")
        if x.dtype != y.dtype:
            raise DtypeError(
                f"{name}: carry{path} of dtype {x.dtype} becomes {y.dtype}; convert one of them"
            )


class Scan(ControlCall):
    """Arguments: values from outside, the carry, slices. Results: the carry, and stacked ones."""

    def __init__(self, graph: Graph, outside: int, carried: int, length: int, reverse: bool):
        super().__init__("scan", self._run)
        self.graph, self.outside, self.carried = graph, outside, carried
        self.length, self.back = length, reverse
        self.primitive = SCAN
        self.params = {
            "graph": graph,
            "outside": outside,
            "carried": carried,
            "length": length,
            "reverse": reverse,
        }

    @property
    def avals(self) -> list[Aval]:
        outs = [y.aval for y in self.graph.outputs]
        stacked = [Aval((self.length, *a.shape), a.dtype) for a in outs[self.carried :]]
        return [*outs[: self.carried], *stacked]

    def parts(self, args: Leaves) -> tuple[list, list, list]:
        """Values from outside, the carry, and what is sliced."""
        first, second = self.outside, self.outside + self.carried
        return list(args[:first]), list(args[first:second]), list(args[second:])

    def _run(self, *args: Any) -> tuple:
        return self._loop(args, lambda leaves: evaluate(self.graph, leaves))

    def compiled(self, args: tuple) -> tuple:
        return self._loop(args, _program(self.graph, args))

    def _loop(self, args: Leaves, run: Callable[[Leaves], list]) -> tuple:
        outside, carry, xs = self.parts(args)
        found: list[list] = []
        for i in range(self.length)[:: -1 if self.back else 1]:
            out = run([*outside, *carry, *(x[i] for x in xs)])
            carry = out[: self.carried]
            found.append(out[self.carried :])
        results = self.avals[self.carried :]
        if not found:
            return (*carry, *(box(np.zeros(a.shape, a.dtype)) for a in results))
        columns = list(zip(*found[:: -1 if self.back else 1], strict=True))
        return (*carry, *map(stack, columns))

    def apply(self, *leaves: Any) -> list:
        """One step, in the engine's operations."""
        return evaluate(self.graph, leaves)

    # Rules --------------------------------------------------------------------------------------

    def _flags(self, wanted: Sequence[bool]) -> list[bool]:
        """Which inputs of a step vary."""
        return _with_carry(self.graph, wanted, self.outside, self.carried)

    def varying(self, flags: Sequence[bool]) -> list[bool]:
        flags = self._flags(flags)
        return [*self.parts(flags)[1], *varying(self.graph, flags)[self.carried :]]

    def reverse(self, args: tuple, wanted: Sequence[bool]) -> tuple[tuple, Any]:
        """Beside the results, the carry that each step began with."""
        outside, carry, xs = self.parts(args)
        flags = self._flags(wanted)

        def step(carry: list, x: list) -> tuple[list, tuple]:
            out = _evaluated(self.graph, [*outside, *carry, *x], flags)
            return out[: self.carried], (out[self.carried :], [asarray(c) * 1 for c in carry])

        after, (ys, carries) = scan(step, carry, xs, self.length, self.back)
        return (*after, *ys), carries

    def pull(self, args: tuple, residuals: Any, cts: tuple, wanted: Sequence[bool]) -> Sequence:
        outside, _, xs = self.parts(args)
        real = self.parts(self._flags(wanted))  # what has a derivative
        real_outs = self.varying(wanted)
        ct_carry = _select(cts[: self.carried], real[1])
        ct_ys = _select(cts[self.carried :], real_outs[self.carried :])

        def back(ct: tuple, item: tuple) -> tuple[tuple, list]:
            (ct_carry, total), (begun, x, ct_y) = ct, item
            values = [outside, begun, x]
            floats = [_select(v, r) for v, r in zip(values, real, strict=True)]

            def step(*parts: list) -> list:
                whole = [
                    _merge(r, p, _select(v, [not flag for flag in r]))
                    for r, p, v in zip(real, parts, values, strict=True)
                ]
                return _select(self.apply(*whole[0], *whole[1], *whole[2]), real_outs)

            _, pulled = transforms.vjp(step, *floats)
            g_outside, g_carry, g_x = pulled([*ct_carry, *ct_y])
            return (g_carry, tree_map(lambda a, b: a + b, total, g_outside)), g_x

        zeros = [_zeros(x) for x in _select(outside, real[0])]
        (g_carry, g_outside), g_xs = scan(
            back, (ct_carry, zeros), (residuals, xs, ct_ys), self.length, not self.back
        )
        found = (
            _merge(r, g, [None] * len(r))
            for r, g in zip(real, (g_outside, g_carry, g_xs), strict=True)
        )
        return [g for part in found for g in part]

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        outside, carry, xs = self.parts(args)
        wanted = [t is not None for t in tangents]
        _, flags, _ = self.parts(self._flags(wanted))
        t_outside, t_carry, t_xs = self.parts(tangents)
        n, moves = self.carried, self.varying(wanted)

        def step(both: tuple, item: tuple) -> tuple[tuple, tuple]:
            (carry, t_carry), (x, t_x) = both, item
            outs, pushed = _pushed(
                self.apply, (*outside, *carry, *x), (*t_outside, *t_carry, *t_x), moves
            )
            return (outs[:n], pushed[:n]), (outs[n:], pushed[n:])

        begun = carry, _moving(carry, t_carry, flags)
        (after, t_after), (ys, t_ys) = scan(step, begun, (xs, t_xs), self.length, self.back)
        return (*after, *ys), (*t_after, *t_ys)

    def for_all(self, args: Leaves, batched: Sequence[bool], size: int) -> Sequence:
        """All carries get the mapped axis, at axis 0, and what is sliced has it at axis 1."""
        outside, carry, xs = self.parts(args)
        flags = self.parts(batched)
        carry = [everywhere(x, b, size) for x, b in zip(carry, flags[1], strict=True)]
        xs = [moveaxis(x, 0, 1) if b else x for x, b in zip(xs, flags[2], strict=True)]
        axes = tuple(0 if b else None for b in (*flags[0], *[True] * len(carry), *flags[2]))

        def step(carry: list, x: list) -> tuple[list, list]:
            out = vmapped(self.apply, axes, size)(*outside, *carry, *x)
            return out[: self.carried], out[self.carried :]

        after, ys = scan(step, carry, xs, self.length, self.back)
        return [*after, *(moveaxis(y, 0, 1) for y in ys)]


def everywhere(x: Any, batched: bool, size: int) -> Tensor:
    """A value with the mapped axis, whether it has one or not."""
    x = asarray(x)
    return x if batched else broadcast_to(x, (size, *x.shape))


def vmapped(f: Callable, axes: tuple[int | None, ...], size: int) -> Callable:
    """`vmap` of a function of leaves to leaves, where none of the axes need be mapped."""

    def mapped(*args: Any) -> list:
        with new_level(lambda level: Batching(level, size)) as trace:
            inside = [
                x if a is None else box(asarray(x), trace) for x, a in zip(args, axes, strict=True)
            ]
            outs = [asarray(y) for y in f(*inside)]
        mine = [y.interpreter is trace for y in outs]
        return [everywhere(trace.lower(y), m, size) for y, m in zip(outs, mine, strict=True)]

    return mapped


# cond -----------------------------------------------------------------------------------------


def cond(pred: Any, true: Callable[..., Any], false: Callable[..., Any], *operands: Any) -> Any:
    """`true(*operands)` where `pred` holds, else `false(*operands)`.

    Only the branch that is taken is computed, but under `vmap` over `pred`, where both are. In the
    backward pass the branch is computed again.

    Args:
        pred: a boolean without axes.
        true, false: functions to trees of the same structure, shapes and dtypes.
        operands: trees of tensors.

    Raises:
        ShapeError: `pred` has axes, or the branches' results differ in shape.
        DtypeError: they differ in dtype.
        ValueError: they differ in structure.

    >>> f = lambda x: ac.cond(x > 0, lambda x: x**2, lambda x: -x, x)
    >>> f(3.0), ac.grad(f)(3.0), ac.grad(f)(-3.0)
    (Tensor(9., dtype=float64), Tensor(6., dtype=float64), Tensor(-1., dtype=float64))
    """
    pred = asarray(pred)
    if pred.shape != ():
        raise ShapeError(f"cond: expected a pred without axes, got shape {pred.shape}")
    leaves, tree = tree_flatten(operands)
    leaves = [asarray(x) for x in leaves]
    trees: list[Any] = []

    def flat(branch: Callable) -> Callable[..., Leaves]:
        def run(*given: Any) -> list:
            outs, out_tree = tree_flatten(branch(*tree_unflatten(tree, given)))
            trees.append(out_tree)
            return outs

        return run

    bodies = [Body(flat(branch), list(map(aval_of, leaves)), "cond") for branch in (true, false)]
    if trees[0] != trees[1]:
        raise ValueError(
            f"cond: the branches return different structures, {trees[0]} and {trees[1]}"
        )
    for i, (a, b) in enumerate(zip(bodies[0].avals, bodies[1].avals, strict=True)):
        if a.shape != b.shape:
            raise ShapeError(
                f"cond: result {i} has shape {a.shape} in one branch, {b.shape} in the other"
            )
        if a.dtype != b.dtype:
            raise DtypeError(
                f"cond: result {i} has dtype {a.dtype} in one branch, {b.dtype} in the other"
            )
    first, second = bodies
    function = Cond(first.graph, second.graph, len(first.outside), len(second.outside))
    outs = call(function, [pred, *first.outside, *second.outside, *leaves])
    return tree_unflatten(trees[0], outs)


class Cond(ControlCall):
    """Arguments: the predicate, what each of the branches reads from outside, operands."""

    def __init__(self, true: Graph, false: Graph, outside_true: int, outside_false: int):
        super().__init__("cond", self._run)
        self.graphs = true, false
        self.counts = outside_true, outside_false
        self.primitive = COND
        self.params = {
            "true": true,
            "false": false,
            "outside_true": outside_true,
            "outside_false": outside_false,
        }

    @property
    def avals(self) -> list[Aval]:
        return [y.aval for y in self.graphs[0].outputs]

    def branches(self, values: Leaves) -> list[list]:
        """The arguments of each branch, of all but the predicate."""
        first, second = self.counts
        operands = values[first + second :]
        return [[*values[:first], *operands], [*values[first : first + second], *operands]]

    def _run(self, pred: Any, *values: Any) -> tuple:
        which = 0 if bool(asarray(pred)) else 1
        return tuple(evaluate(self.graphs[which], self.branches(values)[which]))

    def compiled(self, args: tuple) -> tuple:
        pred, *values = args
        which = 0 if bool(pred) else 1
        return tuple(_program(self.graphs[which], args)(self.branches(values)[which]))

    def functions(self) -> list[Callable[..., list]]:
        """Each branch as a function of all values but the predicate."""
        return [
            lambda *values, k=k: evaluate(self.graphs[k], self.branches(values)[k]) for k in (0, 1)
        ]

    def varying(self, flags: Sequence[bool]) -> list[bool]:
        both = map(varying, self.graphs, self.branches(flags[1:]))
        return [a or b for a, b in zip(*both, strict=True)]

    def reverse(self, args: tuple, wanted: Sequence[bool]) -> tuple[tuple, None]:
        if not any(map(has_rules, self.graphs)):
            return call(self, args), None
        pred, *values = args
        flags = self.branches(wanted[1:])

        def recorded(k: int) -> Callable[..., Leaves]:
            return lambda *xs: _evaluated(self.graphs[k], self.branches(xs)[k], flags[k])

        return tuple(cond(pred, recorded(0), recorded(1), *values)), None

    def pull(self, args: tuple, residuals: None, cts: tuple, wanted: Sequence[bool]) -> Sequence:
        pred, *values = args
        real = [flag and is_inexact(aval_of(x)) for x, flag in zip(values, wanted[1:], strict=True)]
        real_outs = self.varying(wanted)
        rest = _select(values, [not r for r in real])

        def pulled(branch: Callable) -> Callable:
            def run(floats: list, cts: list) -> list:
                step = lambda *xs: _select(branch(*_merge(real, xs, rest)), real_outs)
                return list(transforms.vjp(step, *floats)[1](cts))

            return run

        true, false = map(pulled, self.functions())
        found = cond(pred, true, false, _select(values, real), _select(cts, real_outs))
        return [None, *_merge(real, found, [None] * len(real))]

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        pred, *values = args
        ts = list(tangents[1:])
        moves = self.varying([t is not None for t in tangents])

        def pushed(branch: Callable) -> Callable:
            def run(values: list, ts: list) -> tuple[list, list]:
                return _pushed(branch, values, ts, moves)

            return run

        true, false = map(pushed, self.functions())
        outs, moved = cond(pred, true, false, values, ts)
        return tuple(outs), tuple(moved)

    def for_all(self, args: Leaves, batched: Sequence[bool], size: int) -> Sequence:
        """Both branches where the predicate is mapped, else a branch of mapped operations."""
        pred, *values = args
        axes = tuple(0 if b else None for b in batched[1:])
        true, false = (vmapped(branch, axes, size) for branch in self.functions())
        if not batched[0]:
            return cond(pred, true, false, *values)
        return [
            where(reshape(pred, (size, *[1] * (y.ndim - 1))), y, z)
            for y, z in zip(true(*values), false(*values), strict=True)
        ]


# while_loop -----------------------------------------------------------------------------------


def while_loop(condition: Callable[[Any], Any], body: Callable[[Any], Any], init: Any) -> Any:
    """`carry = body(carry)` as long as `condition(carry)` holds.

    Forward mode goes through; reverse mode cannot, since the number of steps that it would have to
    keep is not known: use `scan`.

    Args:
        condition: to a boolean without axes.
        body: to a carry of the same structure, shapes and dtypes.
        init: the first carry, a tree of tensors.

    Raises:
        ShapeError, DtypeError, ValueError: the carry changes its shape, dtype or structure, or the
            condition has axes.
        RuleError: a derivative is taken in reverse mode.

    >>> ac.while_loop(lambda x: x < 100.0, lambda x: 2.0 * x, 3.0)
    Tensor(192., dtype=float64)
    >>> ac.jvp(lambda x: ac.while_loop(lambda x: x < 100.0, lambda x: 2.0 * x, x), (3.0,), (1.0,))
    (Tensor(192., dtype=float64), Tensor(64., dtype=float64))
    """
    carry, tree = tree_flatten(init)
    carry = [asarray(x) for x in carry]

    def flat_condition(*leaves: Any) -> list:
        held = asarray(condition(tree_unflatten(tree, leaves)))
        if held.shape != ():
            raise ShapeError(f"while_loop: the condition has shape {held.shape}; expected no axes")
        return [held]

    def flat_body(*leaves: Any) -> list:
        after, after_tree = tree_flatten(body(tree_unflatten(tree, leaves)))
        _check_carry("while_loop", tree, after_tree, init, carry, after)
        return after

    avals = list(map(aval_of, carry))
    test, step = Body(flat_condition, avals, "while_loop"), Body(flat_body, avals, "while_loop")
    function = While(test.graph, step.graph, len(test.outside), len(step.outside))
    return tree_unflatten(tree, call(function, [*test.outside, *step.outside, *carry]))


class While(ControlCall):
    """Arguments: what the condition and the body read from outside, the carry."""

    def __init__(self, test: Graph, step: Graph, outside_test: int, outside_step: int):
        super().__init__("while_loop", self._run)
        self.test, self.step = test, step
        self.counts = outside_test, outside_step
        self.primitive = WHILE
        self.params = {
            "test": test,
            "step": step,
            "outside_test": outside_test,
            "outside_step": outside_step,
        }

    @property
    def avals(self) -> list[Aval]:
        return [y.aval for y in self.step.outputs]

    def parts(self, args: Leaves) -> tuple[list, list, list]:
        first, second = self.counts
        return list(args[:first]), list(args[first : first + second]), list(args[first + second :])

    def _run(self, *args: Any) -> tuple:
        return self._loop(
            args, lambda xs: evaluate(self.test, xs), lambda xs: evaluate(self.step, xs)
        )

    def compiled(self, args: tuple) -> tuple:
        return self._loop(args, _program(self.test, args), _program(self.step, args))

    def _loop(self, args: Leaves, test: Callable, step: Callable) -> tuple:
        for_test, for_step, carry = self.parts(args)
        while bool(asarray(test([*for_test, *carry])[0])):
            carry = step([*for_step, *carry])
        return tuple(carry)

    def _flags(self, wanted: Sequence[bool]) -> list[bool]:
        """Which inputs of a step vary."""
        _, step, carry = self.parts(wanted)
        return _with_carry(self.step, [*step, *carry], len(step), len(carry))

    def varying(self, flags: Sequence[bool]) -> list[bool]:
        return self._flags(flags)[self.counts[1] :]

    def reverse(self, args: tuple, wanted: Sequence[bool]) -> tuple[tuple, None]:
        if not has_rules(self.step):
            return call(self, args), None
        for_test, for_step, carry = self.parts(args)
        flags = self._flags(wanted)
        test = lambda carry: evaluate(self.test, [*for_test, *carry])[0]
        step = lambda carry: _evaluated(self.step, [*for_step, *carry], flags)
        return tuple(while_loop(test, step, carry)), None

    def pull(self, args: tuple, residuals: None, cts: tuple, wanted: Sequence[bool]) -> Sequence:
        raise RuleError(
            "while_loop has no derivative in reverse mode, since the number of its steps is not "
            "known; use scan, or forward mode (jvp)"
        )

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        for_test, for_step, carry = self.parts(args)
        _, t_step, t_carry = self.parts(tangents)
        moves = self.varying([t is not None for t in tangents])

        def step(both: tuple) -> tuple[list, list]:
            carry, t_carry = both
            run = lambda *xs: evaluate(self.step, xs)
            return _pushed(run, (*for_step, *carry), (*t_step, *t_carry), moves)

        test = lambda both: evaluate(self.test, [*for_test, *both[0]])[0]
        after, moved = while_loop(test, step, (carry, _moving(carry, t_carry, moves)))
        return tuple(after), tuple(moved)

    def for_all(self, args: Leaves, batched: Sequence[bool], size: int) -> Sequence:
        """As long as it holds for any element; those for which it does not stay as they are."""
        for_test, for_step, carry = self.parts(args)
        flags = self.parts(batched)
        carry = [everywhere(x, b, size) for x, b in zip(carry, flags[2], strict=True)]
        axes = lambda some: tuple(0 if b else None for b in (*some, *[True] * len(carry)))

        def holds(carry: list) -> Tensor:
            test = lambda *xs: evaluate(self.test, xs)
            return vmapped(test, axes(flags[0]), size)(*for_test, *carry)[0]

        def step(carry: list) -> list:
            active = holds(carry)
            run = lambda *xs: evaluate(self.step, xs)
            after = vmapped(run, axes(flags[1]), size)(*for_step, *carry)
            return [
                where(reshape(active, (size, *[1] * (y.ndim - 1))), y, x)
                for x, y in zip(carry, after, strict=True)
            ]

        return while_loop(lambda carry: any_(holds(carry)), step, carry)


SCAN, COND, WHILE = Control("scan", Scan), Control("cond", Cond), Control("while_loop", While)
