"""Functions with rules of their own: `checkpoint`, `custom_vjp`, `custom_jvp`.

Each is a *call*: a function from leaves to leaves that meets an interpreter as one operation
instead of as the operations inside it, and says what it means to record, push forward, or batch it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import update_wrapper
from typing import Any

from autograd_core import transforms
from autograd_core.batching import Batching
from autograd_core.errors import AutogradError, EscapedTracerError, RuleError, ShapeError
from autograd_core.forward import Forward
from autograd_core.primitive import Interpreter, Primitive, bind, new_level
from autograd_core.reverse import NO_PARAMS, ROOT, Linearizing, Node, Reverse
from autograd_core.tensor import Aval, Tensor, alias, asarray, aval_of, box
from autograd_core.tree import tree_flatten, tree_map, tree_unflatten

Run = Callable[..., tuple]
Flags = Sequence[bool]


class Call:
    """A function from leaves to a tuple of tensors, and its rules. Subclasses fill in the rules."""

    def __init__(self, name: str, run: Run):
        self.name = name
        self.run = run

    def reverse(self, args: tuple, wanted: Flags) -> tuple[tuple, Any]:
        """The outputs, and residuals for `pull`; `wanted` are the arguments that are
        differentiated."""
        raise NotImplementedError

    def pull(self, args: tuple, residuals: Any, cts: tuple, wanted: Flags) -> Sequence:
        """Cotangents of the arguments, None for zero, from those of the outputs. Nobody reads those
        that are not wanted."""
        raise NotImplementedError

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        """The outputs and their tangents; None stands for a zero tangent."""
        raise NotImplementedError

    def batch(self, batched: tuple[bool, ...]) -> Call:
        """The same call for all elements of an axis, axis 0 of the arguments where `batched`."""
        raise NotImplementedError

    def mapped(self, args: tuple, batched: tuple[bool, ...]) -> Sequence:
        """The outputs for all elements of an axis, which they carry as axis 0."""
        return call(self.batch(batched), args)

    def varying(self, wanted: Flags) -> Flags:
        """Which outputs may have a derivative in the wanted arguments; none given: all of them."""
        return ()

    keeps_args = True
    """Whether `pull` reads the arguments."""

    rules: tuple[str, ...] = ()
    """Attributes that are functions of the user's."""

    def captured(self, run: Run) -> Call:
        """The call with what a graph knows of its function in that one's place."""
        found = copy(self)
        found.run = run
        for rule in self.rules:
            setattr(found, rule, _told(self.name, getattr(self, rule)))
        return found


def _told(name: str, rule: Callable) -> Callable:
    """A rule that says what to do about a value that was gone when a graph was differentiated."""

    def told(*args: Any) -> Any:
        try:
            return rule(*args)
        except EscapedTracerError as error:
            raise RuleError(
                f"{name}: its rule reads, by closure, a value that is computed in a function that "
                "was captured (the body of a scan, cond or while_loop, an equation), and gone when "
                "that is differentiated; pass that value as an argument instead"
            ) from error

    return told


def call(function: Call, args: Sequence[Any]) -> tuple:
    """Apply a call: through the highest interpreter among its arguments, else by running it."""
    traces = [x.interpreter for x in args if x.__class__ is Tensor and x.interpreter is not None]
    if not traces:
        return function.run(*args)
    trace = max(traces, key=lambda t: t.level)
    traced = tuple(x.__class__ is Tensor and x.interpreter is trace for x in args)
    lowered = tuple(map(trace.lower, args))
    if isinstance(trace, Reverse):
        return _record(trace, function, args, lowered)
    if not isinstance(trace, Forward | Batching):
        return trace.process_call(function, tuple(args))
    trace.check_live()
    with _closed(trace, function):
        if isinstance(trace, Forward):
            tangents = tuple(x.mark if t else None for x, t in zip(args, traced, strict=True))
            outs, pushed = function.forward(lowered, tangents)
        else:
            outs = tuple(function.mapped(lowered, traced))
    if isinstance(trace, Forward):
        return tuple(map(trace.join, outs, pushed))
    return tuple(box(x, trace) for x in outs)


@contextmanager
def _closed(trace: Interpreter, function: Call) -> Iterator[None]:
    """While a call is processed, nothing may reach `trace` behind its back, by closure."""
    trace.live = False
    try:
        yield
    except AutogradError as error:
        error.add_note(
            f"inside {function.name}: if it closes over a value that is being differentiated or "
            "mapped, pass that value as an argument instead"
        )
        raise
    finally:
        trace.live = True


def _record(trace: Reverse, function: Call, args: Sequence, lowered: tuple) -> tuple:
    if not trace.live:
        return tuple(trace.unrecorded(x) for x in call(function, lowered))
    wanted = tuple(x.__class__ is Tensor and x.interpreter is trace for x in args)
    with _closed(trace, function):
        outs, residuals = function.reverse(_aliases(lowered), wanted)
    parents = tuple(x.mark if w else None for x, w in zip(args, wanted, strict=True))
    # The root tape may be asked to record its own backward pass, which starts from the arguments;
    # so does a forward rule.
    reads_args = function.keeps_args or trace is ROOT or isinstance(trace, Linearizing)
    kept = _aliases(lowered) if reads_args else (None,) * len(args)
    params = {
        "residuals": residuals,
        "outs": tuple(map(aval_of, outs)),
        "likes": [None if p is None else aval_of(x) for x, p in zip(lowered, parents, strict=True)],
    }
    recorded = trace.outputs(Node(_Recorded(function), kept, params, None, parents), outs)
    varies = function.varying(wanted) or [True] * len(outs)
    return tuple(y if flag else out for y, out, flag in zip(recorded, outs, varies, strict=True))


def _aliases(args: Sequence) -> tuple:
    """What a user's function is given, or the tape keeps: nobody else's objects."""
    return tuple(alias(x) if x.__class__ is Tensor else x for x in args)


class _Recorded:
    """The pseudo-primitive of a node that a call made: one rule for all arguments."""

    def __init__(self, function: Call):
        self.function = function
        self.name = function.name

    def joint(self, node: Node, args: tuple, cts: tuple, retraced: bool) -> Sequence:
        residuals = node.params["residuals"]
        wanted = tuple(p is not None for p in node.parents)
        if retraced:
            residuals = self.function.reverse(args, wanted)[1]
        filled = tuple(
            transforms.zeros_of(y) if ct is None else alias(ct)
            for ct, y in zip(cts, node.params["outs"], strict=True)
        )
        found = self.function.pull(args, residuals, filled, wanted)
        return [
            self.checked(i, ct, like)
            for i, (ct, like) in enumerate(zip(found, node.params["likes"], strict=True))
        ]

    def checked(self, i: int, ct: Any, like: Aval | None) -> Any:
        """A cotangent that a user's rule gave for leaf i of the arguments, in its dtype."""
        if ct is None or like is None:
            return None
        if ct.shape != like.shape:
            raise ShapeError(
                f"{self.name}: the rule's cotangent of argument leaf {i} has shape {ct.shape}, "
                f"expected the argument's shape {like.shape}; sum it over the axes that were "
                "broadcast"
            )
        return asarray(ct, like.dtype)

    def push(self, args: tuple, tangents: tuple) -> tuple:
        return self.function.forward(args, tangents)[1]


class Passing(Reverse):
    """A tape that nothing is written to."""

    __slots__ = ()

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        out = bind(primitive, tuple(map(self.lower, args)), params)
        if not self.live:
            return self.unrecorded(out)
        if not primitive.differentiable:
            return out
        return self.outputs(None, out) if primitive.multiple else box(out, self)

    def outputs(self, node: Node | None, outs: tuple) -> tuple[Tensor, ...]:
        return tuple(box(y, self) for y in outs)

    def process1(self, primitive: Any, x: Tensor) -> Tensor:
        return self.process(primitive, (x,), NO_PARAMS)

    def process2(self, primitive: Any, x: Any, y: Any) -> Tensor:
        return self.process(primitive, (x, y), NO_PARAMS)


def as_recorded(run: Callable[..., Sequence], args: Sequence, wanted: Flags) -> tuple:
    """The results of `run` as they are on a tape, where functions with rules of their own are what
    these say: what `fwd` does is what transforms outside of the tape's differentiate."""
    if all(x.__class__ is not Tensor or x.interpreter is None for x in args):
        return tuple(run(*args))
    with new_level(Passing) as trace:
        inside = [trace.leaf(x) if w else x for x, w in zip(args, wanted, strict=True)]
        return tuple(alias(trace.lower(asarray(y))) for y in run(*inside))


def _batched_run(run: Callable, batched: tuple[bool, ...]) -> Callable:
    """`run` on all elements of an axis; results are lowered, and say which of them carry it."""

    def everywhere(*args: Any) -> tuple[list, list[bool], Any]:
        size = next(x.shape[0] for x, b in zip(args, batched, strict=True) if b)
        with new_level(lambda level: Batching(level, size)) as trace:
            inside = [box(x, trace) if b else x for x, b in zip(args, batched, strict=True)]
            leaves, structure = tree_flatten(run(*inside))
        carries = [x.__class__ is Tensor and x.interpreter is trace for x in leaves]
        return list(map(trace.lower, leaves)), carries, structure

    return everywhere


def _all_batched(run: Run, batched: tuple[bool, ...]) -> Run:
    """`run` on all elements of an axis, which every result carries."""

    def everywhere(*args: Any) -> tuple:
        return tuple(transforms.vmap(run, tuple(0 if b else None for b in batched))(*args))

    return everywhere


def _on_wanted(run: Callable, args: tuple, wanted: Flags) -> tuple[Callable, list[int]]:
    """`run` as a function of the wanted arguments alone, and which they are. The others are
    constants: the derivative in an exponent, say, may not exist."""
    places = [i for i, flag in enumerate(wanted) if flag]

    def on_wanted(*some: Any) -> Any:
        full = list(_aliases(args))
        for i, x in zip(places, some, strict=True):
            full[i] = x
        return run(*full)

    return on_wanted, places


def _spread(values: Sequence, places: list[int], count: int) -> list:
    full: list = [None] * count
    for i, x in zip(places, values, strict=True):
        full[i] = x
    return full


# checkpoint -----------------------------------------------------------------------------------


class Checkpoint(Call):
    """Keeps its arguments, and runs again when the backward pass needs what was inside."""

    def reverse(self, args: tuple, wanted: Flags) -> tuple[tuple, None]:
        return as_recorded(self.run, args, wanted), None

    def pull(self, args: tuple, residuals: None, cts: tuple, wanted: Flags) -> Sequence:
        from autograd_core.ops.structural import after

        on_wanted, places = _on_wanted(self.run, args, wanted)
        _, pull = transforms.vjp(on_wanted, *(after(args[i], cts[0]) for i in places))
        return _spread(pull(cts), places, len(args))

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        places = [i for i, t in enumerate(tangents) if t is not None]
        count = len(args)

        def push(*both: Any) -> tuple:
            args, ts = both[:count], both[count:]
            on_wanted, _ = _on_wanted(self.run, args, [t is not None for t in tangents])
            outs, pushed = transforms.jvp(on_wanted, [args[i] for i in places], ts)
            return (*outs, *pushed)

        both = call(Checkpoint(self.name, push), (*args, *(tangents[i] for i in places)))
        return both[: len(both) // 2], both[len(both) // 2 :]

    def batch(self, batched: tuple[bool, ...]) -> Call:
        return Checkpoint(self.name, _all_batched(self.run, batched))


def checkpoint(f: Callable) -> Callable:
    """`f`, but its inside is computed again in the backward pass instead of being kept until then.

    Memory for time (Griewank & Walther 2000): the tape keeps the arguments of `f` only. Transforms
    of any order and mode go through. Values that are differentiated must come as arguments, not by
    closure.

    Args:
        f: a function of pytrees to a pytree of tensors.

    >>> block = ac.checkpoint(lambda x: ac.sin(ac.exp(x)))
    >>> ac.grad(lambda x: block(block(x)))(0.0)
    Tensor(-0.8534, dtype=float64)
    """
    return _wrap(f, lambda run, _structure: Checkpoint(f"checkpoint({name_of(f)})", run))


def name_of(f: Callable) -> str:
    return getattr(f, "__name__", type(f).__name__)


class _Signature:
    """How the leaves of one call are put together: those of its arguments, and of its output."""

    def __init__(self, args: Any):
        self.args = args
        self.out: Any = None

    def flatten_output(self, out: Any) -> tuple[Tensor, ...]:
        leaves, self.out = tree_flatten(out)
        return tuple(alias(asarray(leaf)) for leaf in leaves)


def _wrap(f: Callable, make: Callable[[Run, _Signature], Call]) -> Callable:
    """A function of pytrees that applies the call that `make` makes of `f` on leaves."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        signature = _Signature(structure)

        def run(*leaves: Any) -> tuple:
            inner_args, inner_kwargs = tree_unflatten(signature.args, leaves)
            return signature.flatten_output(f(*inner_args, **inner_kwargs))

        outs = call(make(run, signature), leaves)
        return tree_unflatten(signature.out, outs)

    return update_wrapper(wrapped, f)


# custom_vjp -----------------------------------------------------------------------------------


class CustomVjp(Call):
    """A call whose reverse rule is given: `fwd(*args) -> (outs, residuals)` and
    `bwd(residuals, cts) -> cotangents of the leaves`."""

    keeps_args = False
    rules = ("fwd", "bwd")

    def __init__(self, name: str, run: Run, fwd: Callable, bwd: Callable):
        super().__init__(name, run)
        self.fwd = fwd
        self.bwd = bwd

    def reverse(self, args: tuple, wanted: Flags) -> tuple[tuple, Any]:
        return self.fwd(*args)

    def pull(self, args: tuple, residuals: Any, cts: tuple, wanted: Flags) -> Sequence:
        return self.bwd(tree_map(lambda x: _aliases((x,))[0], residuals), cts)

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        raise RuleError(
            f"{self.name} has a reverse rule only (custom_vjp); use custom_jvp, which gives both "
            "modes"
        )

    def batch(self, batched: tuple[bool, ...]) -> Call:
        def fwd(*args: Any) -> tuple[tuple, Any]:
            leaves, carries, structure = _batched_run(self.fwd, batched)(*args)
            size = next(x.shape[0] for x, b in zip(args, batched, strict=True) if b)
            n = structure.children()[0].num_leaves
            outs = tuple(
                x if c else _repeat(asarray(x), size)
                for x, c in zip(leaves[:n], carries[:n], strict=True)
            )
            return outs, (leaves[n:], carries[n:], structure.children()[1])

        def bwd(residuals: Any, cts: tuple) -> Sequence:
            leaves, carries, structure = residuals

            def one(*both: Any) -> list:
                inner = tree_unflatten(structure, both[: len(leaves)])
                found = self.bwd(inner, both[len(leaves) :])
                return [0.0 if g is None else g for g in found]

            flags = (*carries, *[True] * len(cts))
            found, carried, _ = _batched_run(one, flags)(*leaves, *cts)
            return [
                _unbatched(g, c, b, cts[0].shape[0])
                for g, c, b in zip(found, carried, batched, strict=True)
            ]

        return CustomVjp(self.name, _all_batched(self.run, batched), fwd, bwd)


def _repeat(x: Tensor, size: int) -> Tensor:
    from autograd_core.ops.structural import broadcast_to

    return broadcast_to(x, (size, *x.shape))


def _unbatched(g: Any, carries: bool, wanted: bool, size: int) -> Any:
    """The cotangent of an argument: with the mapped axis if the argument has it, else summed."""
    if g.__class__ is not Tensor:
        return None
    if wanted:
        return g if carries else _repeat(g, size)
    return g.sum(0) if carries else g * size


class custom_vjp:
    """A function with a reverse rule of its own.

        @custom_vjp
        def f(x): ...
        f.defvjp(fwd, bwd)

    `fwd(*args)` returns `(f(*args), residuals)`; `bwd(residuals, ct)` returns a tuple with the
    cotangent of each argument, None for zero. Both are written in this package's operations, so
    that higher orders and `vmap` follow. Values that are differentiated must come as arguments, and
    in the body of a `scan`, `cond` or `while_loop` so must all that the body computes.

    >>> @ac.custom_vjp
    ... def clipped(x):  # the identity, whose gradients are at most 1
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, ct: (ac.clip(ct, -1.0, 1.0),))
    >>> ac.grad(lambda x: 5.0 * clipped(x))(2.0)
    Tensor(1., dtype=float64)
    """

    def __init__(self, f: Callable):
        self.f = f
        self.fwd: Callable | None = None
        self.bwd: Callable | None = None
        update_wrapper(self, f)

    def defvjp(self, fwd: Callable, bwd: Callable) -> None:
        """Set the rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise RuleError(f"{name_of(self.f)}: custom_vjp without a rule; call .defvjp(fwd, bwd)")
        return _wrap(self.f, self._make)(*self._by_position(args, kwargs))

    def _by_position(self, args: tuple, kwargs: dict[str, Any]) -> tuple:
        """All arguments in the order of f's parameters, which `fwd` has too, defaults filled in."""
        if not kwargs:
            return args
        bound = inspect.signature(self.f).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"{name_of(self.f)}: custom_vjp passes arguments by position; "
                f"{sorted(bound.kwargs)} can be given by name only"
            )
        return bound.args

    def _make(self, run: Run, signature: _Signature) -> Call:
        name, fwd, bwd = name_of(self.f), self.fwd, self.bwd
        assert fwd is not None and bwd is not None

        def flat_fwd(*leaves: Any) -> tuple[tuple, Any]:
            args, _ = tree_unflatten(signature.args, leaves)
            result = fwd(*args)
            if not (isinstance(result, tuple) and len(result) == 2):
                raise TypeError(f"{name}: fwd must return (output, residuals)")
            return signature.flatten_output(result[0]), result[1]

        def flat_bwd(residuals: Any, cts: tuple) -> Sequence:
            found = bwd(residuals, tree_unflatten(signature.out, cts))
            return _leaf_cotangents(name, signature.args, found)

        return CustomVjp(name, run, flat_fwd, flat_bwd)


def _leaf_cotangents(name: str, structure: Any, found: Any) -> list:
    """The result of a `bwd` as one cotangent for each leaf of the arguments."""
    args, _ = structure.children()
    parts = args.children()
    given = found if isinstance(found, tuple | list) else (found,)
    if len(given) != len(parts):
        raise ShapeError(
            f"{name}: bwd must return a tuple with one cotangent for each of {len(parts)} "
            f"arguments, got {len(given)}"
        )
    leaves: list = []
    for i, (ct, part) in enumerate(zip(given, parts, strict=True)):
        if ct is None:
            leaves += [None] * part.num_leaves
            continue
        flat, got = tree_flatten(ct)
        if got != part:
            raise ShapeError(f"{name}: bwd's cotangent {i} has structure {got}, expected {part}")
        leaves += map(asarray, flat)
    return leaves


# custom_jvp -----------------------------------------------------------------------------------


class CustomJvp(Call):
    """A call whose forward rule is given, `push(args, tangents) -> (outs, tangents)`, linear in the
    tangents; the reverse rule is its transpose."""

    rules = ("push",)

    def __init__(self, name: str, run: Run, push: Callable):
        super().__init__(name, run)
        self.push = push

    def reverse(self, args: tuple, wanted: Flags) -> tuple[tuple, None]:
        if all(x.__class__ is not Tensor or x.interpreter is None for x in args):
            return self.run(*args), None
        # What the rule says that the outputs are is what transforms outside differentiate.
        return self.push(args, self._all_tangents(args, [None] * len(args)))[0], None

    def pull(self, args: tuple, residuals: None, cts: tuple, wanted: Flags) -> Sequence:
        places = [i for i, flag in enumerate(wanted) if flag]

        def pushed(*some: Any) -> tuple:
            tangents = self._all_tangents(args, _spread(some, places, len(args)))
            return self.push(args, tangents)[1]

        _, pull = transforms.vjp(pushed, *(transforms.zeros_of(args[i]) for i in places))
        return _spread(pull(cts), places, len(args))

    def forward(self, args: tuple, tangents: tuple) -> tuple[tuple, tuple]:
        return self.push(args, self._all_tangents(args, tangents))

    @staticmethod
    def _all_tangents(args: Sequence, tangents: Sequence) -> tuple:
        return tuple(
            transforms.zeros_of(x) if t is None else t for x, t in zip(args, tangents, strict=True)
        )

    def batch(self, batched: tuple[bool, ...]) -> Call:
        n = len(batched)

        def push(args: Sequence, tangents: Sequence) -> tuple[tuple, tuple]:
            # A zero tangent was made in the shape of its argument; others carry the axis or not.
            both = _all_batched(
                lambda *xs: sum(self.push(xs[:n], xs[n:]), ()), (*batched, *batched)
            )(*args, *tangents)
            return both[: len(both) // 2], both[len(both) // 2 :]

        return CustomJvp(self.name, _all_batched(self.run, batched), push)


class custom_jvp:
    """A function with a forward rule of its own, from which the reverse rule follows.

        @custom_jvp
        def f(x): ...
        f.defjvp(rule)

    `rule(primals, tangents)` returns `(f(*primals), tangent of the output)`, linear in the tangents
    and written in this package's operations; tangents have the structure of the primals, with zeros
    where there is none. What comes by closure is a constant: see `custom_vjp`.

    >>> @ac.custom_jvp
    ... def log1pexp(x):
    ...     return ac.log(1.0 + ac.exp(x))
    >>> log1pexp.defjvp(lambda x, t: (log1pexp(x[0]), t[0] * ac.sigmoid(x[0])))
    >>> ac.grad(log1pexp)(0.0)
    Tensor(0.5, dtype=float64)
    """

    def __init__(self, f: Callable):
        self.f = f
        self.rule: Callable | None = None
        update_wrapper(self, f)

    def defjvp(self, rule: Callable) -> None:
        """Set the rule."""
        self.rule = rule

    def __call__(self, *args: Any) -> Any:
        if self.rule is None:
            raise RuleError(f"{name_of(self.f)}: custom_jvp without a rule; call .defjvp(rule)")
        return _wrap(self.f, self._make)(*args)

    def _make(self, run: Run, signature: _Signature) -> Call:
        rule = self.rule
        assert rule is not None

        def push(args: Sequence, tangents: Sequence) -> tuple[tuple, tuple]:
            primals, _ = tree_unflatten(signature.args, args)
            directions, _ = tree_unflatten(signature.args, tangents)
            out, tangent = rule(primals, directions)
            outs, pushed = signature.flatten_output(out), tree_flatten(tangent)[0]
            if len(outs) != len(pushed):
                raise ShapeError(
                    f"{name_of(self.f)}: the rule returned {len(outs)} outputs but {len(pushed)} "
                    "tangents"
                )
            return outs, tuple(map(asarray, pushed))

        return CustomJvp(name_of(self.f), run, push)
