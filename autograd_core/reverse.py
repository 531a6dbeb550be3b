"""Reverse mode: record applications as tape nodes, then walk them backwards.

A node is data: which primitive, what it was applied to (only what its rules will read), its output
(likewise), and the nodes its traced arguments came from. Nodes point to older nodes only, so there
is no reference cycle and no list of everything recorded: a history that nothing points to is freed
at once, and walking the history of one value visits that history alone. (One exception:
`backward(create_graph=True)` gives a leaf a gradient with a history that ends in that leaf.)
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from operator import attrgetter
from typing import Any

from autograd_core.errors import AutogradError, DtypeError, RuleError
from autograd_core.forward import Forward
from autograd_core.primitive import (
    KEEP,
    LIKE,
    Interpreter,
    Primitive,
    bind,
    live_interpreters,
    plus,
)
from autograd_core.tensor import INEXACT, NUMBER, Aval, Tensor, alias, asarray, aval_of, box, own

_next_order = count().__next__


class Node:
    """One application of a primitive on the tape.

    `args` and `out` hold, one level down, what the rules of the traced arguments read, and None or
    an `Aval` in the place of the rest; none of these objects is one that a user holds. `parents[i]`
    is the node of argument `i`, None where it is a constant. `likes[i]` is set where the cotangent
    of argument `i` has to be summed or cast back, because the application broadcast or promoted it.
    """

    __slots__ = ("__weakref__", "args", "likes", "order", "out", "params", "parents", "primitive")

    def __init__(self, primitive, args, params, out, parents, likes=None):
        self.order = _next_order()
        self.primitive = primitive
        self.args = args
        self.params = params
        self.out = out
        self.parents = parents
        self.likes = likes


class Leaf(Node):
    """Where a derivative is asked for; `grad` is filled by `Tensor.backward` alone."""

    __slots__ = ("grad",)

    def __init__(self) -> None:
        super().__init__(None, (), NO_PARAMS, None, ())
        self.grad: Tensor | None = None


NO_PARAMS: dict[str, Any] = {}


class Reverse(Interpreter):
    """Records what is computed from the leaves it was given."""

    __slots__ = ("paused",)

    def __init__(self, level: int):
        super().__init__(level)
        self.paused = False

    def leaf(self, x: Tensor) -> Tensor:
        return box(alias(x), self, Leaf())

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        lowered = []
        parents: list[Node | None] = []
        for x in args:
            if x.__class__ is not Tensor:
                lowered.append(x)
                parents.append(None)
            elif x.interpreter is self:
                lowered.append(x.value)
                parents.append(x.mark)
            else:
                lowered.append(alias(x))
                parents.append(None)
        out = bind(primitive, lowered, params)
        if not self.live:
            return self.unrecorded(out)
        if not primitive.differentiable:
            return out
        if len(primitive.vjps) < len(args) and not primitive.variadic:
            raise RuleError(
                f"{primitive.name}: applied to {len(args)} arguments, but declared with rules for "
                f"{len(primitive.vjps)}; each argument needs a vjp and a jvp"
            )
        keep_out, keep_args = self.what_to_keep(primitive, tuple(p is not None for p in parents))
        if primitive.broadcasts or promoted(lowered, parents, out):
            likes = likes_of(lowered, parents, out)
        else:
            likes = None
        node = Node(
            primitive,
            tuple(map(kept, lowered, keep_args)),
            params,
            kept(out, keep_out),
            tuple(parents),
            likes,
        )
        return self.outputs(node, out) if primitive.multiple else box(out, self, node)

    # The next two are `process` for elementwise primitives of one and two arguments, without its
    # loops: nearly half of the cost of a small gradient is spent in these lines.

    def process1(self, primitive: Any, x: Tensor) -> Tensor:
        a = x.value
        out = primitive.apply(a)
        if not self.live:
            return self.unrecorded(out)
        keep_out, keep_a = primitive.keep_left
        node = Node(
            primitive, (a if keep_a else None,), NO_PARAMS, out if keep_out else None, (x.mark,)
        )
        return box(out, self, node)

    def process2(self, primitive: Any, x: Any, y: Any) -> Tensor:
        a = x.value if x.interpreter is self else x
        b = y.value if y.interpreter is self else y
        out = primitive.apply(a, b)
        if not self.live:
            return self.unrecorded(out)
        if b is y:
            keep_out, keep_a, keep_b = primitive.keep_left
            parents = (x.mark, None)
            if keep_b and b.mark is not NUMBER:
                b = alias(b)
        elif a is x:
            keep_out, keep_a, keep_b = primitive.keep_right
            parents = (None, y.mark)
            if keep_a and a.mark is not NUMBER:
                a = alias(a)
        else:
            keep_out, keep_a, keep_b = primitive.keep_both
            parents = (x.mark, y.mark)
        likes = None
        if (
            a.mark is not NUMBER
            and b.mark is not NUMBER
            and not (a.shape == b.shape and a.dtype is b.dtype)
        ):
            likes = likes_of((a, b), parents, out)
        args = (a if keep_a else None, b if keep_b else None)
        node = Node(primitive, args, NO_PARAMS, out if keep_out else None, parents, likes)
        return box(out, self, node)

    def outputs(self, node: Node, outs: tuple) -> tuple[Tensor, ...]:
        """The traced outputs of a node with several: each has a node that projects it out."""
        n = len(outs)
        return tuple(
            box(out, self, Node(projection, (), {"index": i, "count": n}, None, (node,)))
            for i, out in enumerate(outs)
        )

    def unrecorded(self, out: Any) -> Any:
        if not self.paused:
            self.check_live()
        return out

    def what_to_keep(self, primitive: Primitive, traced: tuple[bool, ...]):
        return keep_plan(primitive.vjp_reads, traced)

    def describe(self) -> str:
        return "requires_grad" if self is ROOT else "grad"


class Linearizing(Reverse):
    """A tape that keeps what forward rules read, to be replayed forwards by `push_forward`."""

    __slots__ = ()

    def what_to_keep(self, primitive: Primitive, traced: tuple[bool, ...]):
        """Also the output's shape and dtype: a tangent may have to be broadcast or cast to them."""
        keep_out, keep_args = keep_plan(primitive.jvp_reads, traced)
        return (keep_out if primitive.multiple else max(keep_out, LIKE)), keep_args

    def process1(self, primitive: Any, x: Tensor) -> Tensor:
        return self.process(primitive, (x,), NO_PARAMS)

    def process2(self, primitive: Any, x: Any, y: Any) -> Tensor:
        return self.process(primitive, (x, y), NO_PARAMS)


PYTHON_NUMBERS = frozenset({float, int, bool, complex})


def pass_through(g: Any, *_args: Any, **_params: Any) -> Any:
    """The rule of an argument whose partial derivative is 1."""
    return g


def kept(x: Any, how: int) -> Any:
    if how == KEEP:
        return x
    return aval_of(x) if how == LIKE else None


@cache
def keep_plan(reads: tuple[tuple[int, ...], ...], traced: tuple[bool, ...]):
    """What the rules of the traced arguments read: a code for `out`, and one for each argument."""
    n = len(traced) + 1
    wanted = [reads[min(i, len(reads) - 1)] for i in range(n - 1) if traced[i]]
    padded = [(*codes, *[codes[-1]] * (n - len(codes))) for codes in wanted]
    codes = [max(column) for column in zip(*padded, strict=True)]
    return codes[0], tuple(codes[1:])


def promoted(args: Sequence, parents: Sequence, out: Any) -> bool:
    """Whether a traced argument has another dtype than the output."""
    dtype = (out[0] if out.__class__ is tuple else out).dtype
    return any(p is not None and x.dtype is not dtype for x, p in zip(args, parents, strict=True))


def likes_of(args: Sequence, parents: Sequence, out: Any) -> tuple | None:
    """What to sum or cast the cotangents of traced arguments back to; None where nothing is."""
    aval = None if out.__class__ is tuple else aval_of(out)
    likes = tuple(None if p is None else aval_of(x) for x, p in zip(args, parents, strict=True))
    return likes if any(like not in (None, aval) for like in likes) else None


class _Projection:
    """The pseudo-primitive that picks one output of a node with several."""

    name = "projection"
    joint = None
    vjps = (lambda g, _out, *, index, count: (*[None] * index, g, *[None] * (count - index - 1)),)
    jvps = (lambda t, _out, *, index, count: t[index],)  # noqa: ARG005


projection = _Projection()


def backward(seeds: list[tuple[Node, Any]], trace: Reverse | None = None) -> dict[Node, Any]:
    """Pull cotangents back along the tape, and return those of the leaves reached.

    Newer nodes first, so that a node is walked once, when all its cotangents are in. A node's
    cotangent and the node itself are let go as soon as it has been walked.

    Args:
        seeds: pairs of a node and the cotangent of its output. The list is emptied, so that
            nothing here holds on to a history that the caller has let go of.
        trace: where given, the rules' own work is recorded by it (`create_graph`).
    """
    pending: dict[Node, Any] = {}
    for node, g in seeds:
        pending[node] = plus(pending.get(node), g)
    seeds.clear()
    order = oldest_first(pending)
    leaves: dict[Node, Any] = {}
    while order:
        node = order.pop()
        g = pending.pop(node, None)
        if g is None:
            continue
        primitive = node.primitive
        if primitive is None:
            leaves[node] = g
            continue
        out, args, parents, likes = node.out, node.args, node.parents, node.likes
        if trace is not None:
            out, args = _rebox(node, trace)
        try:
            if primitive.joint is not None:
                cts = primitive.joint(node, args, g, trace is not None)
                for parent, ct in zip(parents, cts, strict=True):
                    if parent is not None:
                        pending[parent] = plus(pending.get(parent), ct)
                continue
            params = node.params
            for parent, rule in zip(parents, primitive.vjps):  # noqa: B905 - variadic ones go on
                if parent is None:
                    continue
                if rule is pass_through:
                    ct = g
                elif params is not NO_PARAMS:
                    ct = rule(g, out, *args, **params)
                elif len(args) == 2:  # a starred call costs as much as a small product
                    ct = rule(g, out, args[0], args[1])
                else:
                    ct = rule(g, out, *args)
                if likes is not None:
                    ct = restore(ct, likes[parents.index(parent)])
                before = pending.get(parent)
                if before is None:
                    pending[parent] = ct
                else:
                    pending[parent] = before + ct if ct.__class__ is Tensor else plus(before, ct)
        except AutogradError as error:
            raise note_backward(error, node) from None
    return leaves


def push_forward(tangents: dict[Node, Any], ends: Sequence[Node | None]) -> list[Any]:
    """Push tangents of leaves along a tape made by `Linearizing`; those of the nodes `ends`.

    A tangent is None where it is known to be zero.
    """
    tangents = dict(tangents)
    for node in oldest_first(node for node in ends if node is not None):
        if node.primitive is None:
            continue
        total = None
        given = [tangents.get(p) if p is not None else None for p in node.parents]
        if node.primitive.joint is not None:
            total = node.primitive.push(node.args, tuple(given))
        else:
            for i, t in enumerate(given):
                if t is not None:
                    t = node.primitive.jvps[i](t, node.out, *node.args, **node.params)
                    total = plus(total, t)
        if total.__class__ is Tensor and isinstance(node.out, Aval | Tensor):
            total = Forward.conform(total, node.out)
        tangents[node] = total
    return [None if node is None else tangents.get(node) for node in ends]


def oldest_first(ends: Iterable[Node]) -> list[Node]:
    """The nodes that `ends` were computed from, and they, in the order they were recorded."""
    seen = set(ends)
    stack = list(seen)
    while stack:
        for parent in stack.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=_ORDER)


_ORDER = attrgetter("order")


def note_backward(error: Exception, node: Node) -> Exception:
    where = forward_lines.get(node.order)
    line = f", applied in the forward pass at {where}" if where else ""
    error.add_note(f"in the backward pass of {getattr(node.primitive, 'name', '?')}{line}")
    return error


forward_lines: dict[int, str] = {}
"""Under `debug_nans()`: where each node was recorded, by its order."""


def _rebox(node: Node, trace: Reverse) -> tuple[Any, tuple]:
    """A node's output and arguments, traced again as they were when it was recorded."""

    def again(x: Any, origin: Node | None) -> Any:
        if origin is not None and x.__class__ is tuple:
            return trace.outputs(origin, x)
        return box(x, trace, origin) if origin is not None and x.__class__ is Tensor else x

    return again(node.out, node), tuple(map(again, node.args, node.parents))


def restore(ct: Tensor, like: Aval) -> Tensor:
    """Undo broadcasting and promotion: sum and cast a cotangent back to its argument's aval. That
    of a real argument of a complex function is the real part."""
    from autograd_core.ops.structural import converted, sum_to

    if ct.shape != like.shape:
        ct = sum_to(ct, like.shape)
    return ct if ct.dtype == like.dtype else converted(ct, like.dtype)


class Root(Reverse):
    """The tape of `requires_grad` tensors. Each thread pauses it, or closes it, for itself."""

    __slots__ = ("_of_thread",)

    def __init__(self) -> None:
        self._of_thread = _RootState()
        super().__init__(0)

    @property
    def live(self) -> bool:  # type: ignore[override]
        return self._of_thread.live

    @live.setter
    def live(self, value: bool) -> None:
        self._of_thread.live = value

    @property
    def paused(self) -> bool:  # type: ignore[override]
        return self._of_thread.paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._of_thread.paused = value


class _RootState(threading.local):
    live = True
    paused = False


ROOT = Root()
"""The one root tape: below every transform, and never left."""


def require_gradient(tensor: Tensor) -> None:
    """Turn a plain tensor into a leaf of the root tape, in place."""
    if tensor.dtype.kind not in INEXACT:
        raise DtypeError(
            f"requires_grad=True on a tensor of dtype {tensor.dtype}: gradients exist for "
            "floating-point tensors only; convert with x.astype(np.float32)"
        )
    plain = alias(tensor)
    while plain.interpreter is ROOT:  # a new leaf has no history
        plain = alias(plain.value)
    tensor.value, tensor.interpreter, tensor.mark = plain, ROOT, Leaf()


def backward_from(tensor: Tensor, gradient: Any = None, create_graph: bool = False) -> None:
    """`Tensor.backward`: add d(tensor)/d(leaf) to `.grad` of every leaf it was computed from.

    Args:
        tensor: a scalar, unless `gradient` is given.
        gradient: cotangent of `tensor`, of its shape; 1 by default.
        create_graph: record the backward pass too, so that the gradients can be differentiated.

    Raises:
        AutogradError: nothing was recorded for `tensor`, or it is not a scalar.
    """
    from autograd_core.ops.creation import ones_like

    if tensor.interpreter is not ROOT:
        raise AutogradError(
            "backward() on a tensor that was not computed from one with requires_grad=True"
            if tensor.interpreter is None
            else "backward() inside a transform; differentiate with grad(f) there instead"
        )
    if gradient is None:
        if tensor.dtype.kind == "c":
            raise DtypeError(
                f"backward() needs a real value, got {tensor.dtype}; take its real part, or pass "
                "its cotangent: x.backward(gradient)"
            )
        if tensor.shape != ():
            raise AutogradError(
                f"backward() needs a scalar, got shape {tensor.shape}; reduce it first "
                "(x.sum().backward()) or pass its cotangent: x.backward(gradient)"
            )
        gradient = ones_like(tensor.value)
    gradient = alias(asarray(own(gradient), tensor.dtype))
    if gradient.shape != tensor.shape:
        raise AutogradError(
            f"backward(gradient): expected the tensor's shape {tensor.shape}, got {gradient.shape}"
        )
    leaves = backward([(tensor.mark, gradient)], ROOT if create_graph else None)
    for leaf, ct in leaves.items():
        assert isinstance(leaf, Leaf)
        leaf.grad = alias(ct) if leaf.grad is None else leaf.grad + ct


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing in reverse mode: to `grad`, `vjp` and `backward()` around the block, what is
    computed in it is a constant.

    Forward mode and `vmap` around it go on, and transforms entered inside work as usual; to block
    derivatives of every mode use `stop_gradient`. Each thread has its own.

    >>> def f(x):
    ...     with ac.no_grad():
    ...         scale = ac.max(x)
    ...     return ac.sum(x / scale)
    >>> ac.grad(f)(ac.asarray([1.0, 2.0, 4.0]))
    Tensor([0.25, 0.25, 0.25], dtype=float64)
    """
    around = live_interpreters()
    for trace in around:
        trace.note_no_grad(True)
    try:
        with paused():
            yield
    finally:
        for trace in around:
            trace.note_no_grad(False)


@contextmanager
def paused() -> Iterator[None]:
    """`no_grad` for what ends in `stop_gradient` anyway: a captured graph need not know of it."""
    traces = [t for t in (ROOT, *live_interpreters()) if isinstance(t, Reverse) and t.live]
    for trace in traces:
        trace.live, trace.paused = False, True
    try:
        yield
    finally:
        for trace in traces:
            trace.live, trace.paused = True, False
