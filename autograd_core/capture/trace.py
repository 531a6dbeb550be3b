"""Capture: run a function on values of known shape and dtype only, and note what it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from autograd_core.capture.graph import Equation, Graph, Variable, check, output_avals
from autograd_core.capture.numbers import makes_number, without_numbers
from autograd_core.capture.outside import without_repeats
from autograd_core.capture.ownership import held_elsewhere
from autograd_core.capture.unrecorded import unrecorded
from autograd_core.errors import ConcreteValueError
from autograd_core.ops.reduce import max as amax
from autograd_core.ops.reduce import min as amin
from autograd_core.primitive import (
    Interpreter,
    Primitive,
    explain,
    live_interpreters,
    new_level,
)
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import NUMBER, Tensor, alias, asarray, aval_of, box

Keep = Callable[[Any, Any, tuple], tuple]


class Captured(NamedTuple):
    """What a function did.

    Attributes:
        graph: its equations.
        extra: further inputs of the graph: values from outside that somebody else may write to.
        closed: whether the graph stands for itself: whether no constant in it is traced by a
            transform outside.
        bounds: what must hold of results behind the function's own, which are the least and the
            greatest entry of some integers: their bounds, and what the error says.
        calls: whether the function did what a graph does not know of, or keeps in parts only:
            called functions with rules of their own (`checkpoint`, `custom_vjp`), or entered
            `no_grad`.
    """

    graph: Graph
    extra: list[Tensor]
    closed: bool
    calls: bool
    bounds: list[tuple[int, int, str]]


class Capture(Interpreter):
    """Notes every application of a primitive; the mark of a tensor traced here is its variable.

    Args:
        name: of the transform, for errors.
        keep: see `capture`.
    """

    __slots__ = (
        *("_before", "_paused", "_variables", "bounds", "calls", "constants", "equations"),
        *("inputs", "keep", "mapped", "name", "unrecorded"),
    )

    def __init__(self, level: int, name: str, keep: Keep | None = None):
        super().__init__(level)
        self.keep = keep
        self.unrecorded: set[Variable] = set()  # what is made in `no_grad`
        self._paused = 0
        self.bounds: dict[tuple, tuple[Tensor, Tensor]] = {}
        self.name = name
        self.inputs: list[Variable] = []
        self.equations: list[Equation] = []
        self.constants: dict[Variable, Tensor] = {}
        self.mapped: list[list[Variable]] = []
        self.calls = False
        self._variables: dict[tuple, Variable] = {}  # of constants, by the identity of their values
        self._before: dict[Variable, Tensor] = {}  # constants as they were when they were met

    def input(self, variable: Variable) -> Tensor:
        """A traced argument of the captured function."""
        self.inputs.append(variable)
        return self.tensor(variable)

    def tensor(self, variable: Variable) -> Tensor:
        return box(variable.aval, self, variable)

    def process(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        self.check_live()
        inputs = tuple(map(self.atom, args))
        try:
            avals = output_avals(primitive, inputs, params)
        except Exception as error:
            raise explain(primitive, args, params, error) from error
        number = makes_number(primitive, inputs)
        outputs = tuple(Variable(aval, number) for aval in avals)
        if self._paused:
            self.unrecorded.update(outputs)
        self.equations.append(Equation(primitive, inputs, params, outputs))
        tensors = tuple(map(self.tensor, outputs))
        return tensors if primitive.multiple else tensors[0]

    def process_call(self, function: Any, args: tuple) -> tuple:
        """Control flow is an equation, and so are functions with rules of their own where they are
        kept; else they are captured as what is inside of them."""
        primitive = getattr(function, "primitive", None)
        if primitive is not None:
            return self.process(primitive, args, function.params)
        self.check_live()
        for trace in live_interpreters():
            trace.note_rules()
        return function.run(*args) if self.keep is None else self.keep(self, function, args)

    def atom(self, x: Any) -> Any:
        """What an equation says of an argument: its variable, or the Python number that it is."""
        if x.__class__ in PYTHON_NUMBERS:
            return x
        tensor = asarray(x)
        if tensor.interpreter is self:
            return tensor.mark
        if tensor.mark is NUMBER and tensor.interpreter is None:
            return tensor.value if tensor.value.__class__ in PYTHON_NUMBERS else tensor.value.item()
        return self.constant(tensor)

    def constant(self, tensor: Tensor) -> Variable:
        """The variable of a tensor from outside: the same one for the same array."""
        key = _identity(tensor)
        known = self._variables.get(key)
        if known is None:
            trace = tensor.interpreter
            if trace is not None and not getattr(trace, "paused", False):
                trace.check_live()  # now, where what reads it can be told
            number = tensor.interpreter.__class__ is Capture and tensor.mark.number
            known = self._variables[key] = Variable(aval_of(tensor), number)
            self.constants[known] = tensor
            self._before[known] = alias(tensor)  # which keeps identities from being taken again
        return known

    def settle(self) -> None:
        """The end: constants that were changed in place, after they were used, are what they were
        then."""
        for variable, before in self._before.items():
            if _identity(self.constants[variable]) != _identity(before):
                self.constants[variable] = before
        self._before.clear()

    def note_mapped(self, tensors: Sequence[Tensor]) -> None:
        self.mapped.append([x.mark for x in tensors])

    def require_within(self, tensor: Tensor, low: int, high: int, otherwise: str) -> None:
        """The least and the greatest entry become results, to be looked at after each call."""
        key = tensor.mark, low, high, otherwise
        if tensor.size and key not in self.bounds:
            self.bounds[key] = amin(tensor), amax(tensor)

    def is_number(self, tensor: Tensor) -> bool:
        return tensor.mark.number

    def note_rules(self) -> None:
        """A graph does not know all of them, but the Python function does."""
        self.calls = True

    def note_no_grad(self, begins: bool) -> None:
        self.calls = True
        self._paused += 1 if begins else -1

    def check_concrete(self, tensor: Tensor, wanted: str) -> None:
        raise ConcreteValueError(
            f"{wanted} of a value of shape {tensor.shape} that {self.name} is capturing: it has no "
            "numbers yet. Use where(), cond() or while_loop() instead of a Python branch on it, "
            "return it to look at it, or make the argument it depends on static (static_argnums)"
        )

    def describe(self) -> str:
        return self.name


def _identity(tensor: Tensor) -> tuple:
    """What tells values apart: `x += y` gives the object x another one."""
    if tensor.interpreter is None:
        return (id(tensor.value),)
    return id(tensor.value), id(tensor.interpreter), id(tensor.mark)


def capture(
    f: Callable[..., Sequence[Any]],
    inputs: Sequence[Variable],
    name: str = "jit",
    bounded: bool = False,
    keep: Keep | None = None,
) -> Captured:
    """The graph of a function of tensors that returns a sequence of tensors.

    Args:
        f: called once, with a traced tensor for each of `inputs`.
        inputs: fresh variables.
        name: of the transform, for errors.
        bounded: whether the caller looks at bounds.
        keep: where the graph may be differentiated or mapped: `keep(trace, function, args)` adds a
            call with rules of its own as one equation.
    """
    with new_level(lambda level: Capture(level, name, keep)) as trace:
        outs = [asarray(y) for y in f(*map(trace.input, inputs))]
        outputs = [trace.atom(y) if y.mark is not NUMBER else trace.constant(y) for y in outs]
    outputs += [y.mark for pair in trace.bounds.values() for y in pair] if bounded else []
    bounds = [key[1:] for key in trace.bounds] if bounded else []
    trace.bounds.clear()
    del outs
    trace.settle()
    # What somebody else may write to is read in every call, as arguments are, and not only now.
    constants, shared = trace.constants, []
    for variable in held_elsewhere(constants):
        if constants[variable].interpreter is None:
            shared.append((variable, constants.pop(variable)))
    shared, views = without_repeats(shared)
    trace.inputs.extend(variable for variable, _ in shared)
    graph = Graph(trace.inputs, [*views, *trace.equations], outputs, constants, trace.mapped)
    extra = [tensor for _, tensor in shared]
    closed = all(x.interpreter is None for x in (*constants.values(), *extra))
    graph = without_numbers(graph)
    if keep is not None:
        graph.equations = [
            e if trace.unrecorded.isdisjoint(e.outputs) else unrecorded(e) for e in graph.equations
        ]
    return Captured(check(graph), extra, closed, trace.calls, bounds)
