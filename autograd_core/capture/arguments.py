"""The arguments of captured functions: static ones, and leaves of which a graph knows the kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_core.capture.donation import Spares, give_away
from autograd_core.capture.graph import Variable
from autograd_core.errors import AutogradError
from autograd_core.reverse import PYTHON_NUMBERS
from autograd_core.tensor import Aval, Tensor, asarray, aval_of
from autograd_core.tree import tree_flatten, tree_paths, tree_unflatten
from kernels.devices import CUPYS, on_gpu
from kernels.loops import exactly


@dataclass(frozen=True)
class Options:
    """What `jit` was told of a function's arguments.

    Attributes:
        name: of the transform, for errors.
        numbers, names: of static arguments.
        donated: numbers of donated arguments.
    """

    name: str
    numbers: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    donated: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.donated & self.numbers:
            raise ValueError(f"{self.name}: an argument cannot be both static and donated")

    @property
    def of_method(self) -> Options:
        """The same for a method without its first argument."""
        numbers, donated = (
            frozenset(i - (i > 0) for i in some if i != 0) for some in (self.numbers, self.donated)
        )
        return Options(self.name, numbers, self.names, donated)


def options(f: Callable, name: str, numbers: Any, names: Any, donated: Any) -> Options:
    """Options from what a caller of `jit` gave. A static argument that was named may be given by
    position, and the other way round."""
    numbers, donated = (frozenset([x] if isinstance(x, int) else x) for x in (numbers, donated))
    names = frozenset([names] if isinstance(names, str) else names)
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for n, parameter in enumerate(parameters):
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            if n in numbers:
                names |= {parameter.name}
            elif parameter.name in names:
                numbers |= {n}
    return Options(name, numbers, names, donated)


class Call:
    """The arguments of one call, sorted into static ones and leaves.

    Attributes:
        key: the kind of the call: structure, static values, and each leaf's shape and dtype (of
            one on a GPU also its number), or type where it is a Python number.
        traced: whether a leaf is being traced.
    """

    __slots__ = ("args", "key", "kwargs", "leaves", "named", "options", "structure", "traced")

    def __init__(self, options: Options, args: tuple, kwargs: dict[str, Any]):
        self.options, self.args, self.kwargs = options, args, kwargs
        static: tuple = ()
        if options.numbers or options.names:
            static = self._static_key()
            args, kwargs = self._dynamic(args, kwargs)
        self.named = bool(kwargs)
        self.leaves, self.structure = tree_flatten((args, kwargs) if kwargs else args)
        self.traced = False
        kinds: list[Any] = []
        for i, x in enumerate(self.leaves):
            value = x
            if x.__class__ is Tensor:
                if x.interpreter is None:
                    value = x.value
                else:
                    self.traced = True
            kind = value.__class__
            if kind is np.ndarray:
                kinds.append((value.shape, value.dtype))  # which `check_kinds` looks at
            elif kind in CUPYS or on_gpu(value):
                kinds.append((value.shape, value.dtype, value.data.device_id))
            else:
                kinds.append(self._kind(x, i))
        self.key = (self.structure, self.named, static, *kinds)

    def _kind(self, x: Any, i: int) -> Any:
        if x.__class__ is Tensor:
            return Aval(x.shape, x.dtype)
        if x.__class__ in PYTHON_NUMBERS:
            if x.__class__ is int and not -(2**63) <= x < 2**63:
                raise AutogradError(
                    f"{self.options.name}: argument {self.path(i)}: the integer {x} does not fit "
                    "into 64 bits; name it in static_argnums"
                )
            return x.__class__
        try:
            return aval_of(asarray(x))
        except AutogradError as error:
            raise type(error)(
                f"{self.options.name}: argument {self.path(i)}: {error}; or name it in "
                "static_argnums"
            ) from None

    # Static and dynamic arguments -------------------------------------------------------------

    def _is_static(self, i: int) -> bool:
        return self._is_among(self.options.numbers, i)

    def _is_among(self, numbers: frozenset[int], i: int) -> bool:
        """Whether argument i is one of those, which may be counted from the end."""
        return i in numbers or i - len(self.args) in numbers

    def _dynamic(self, args: Sequence, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        names = self.options.names
        rest = tuple(x for i, x in enumerate(args) if not self._is_static(i))
        return rest, {k: x for k, x in kwargs.items() if k not in names}

    def _static_key(self) -> tuple:
        names = self.options.names
        key = (
            tuple((i, _kinds(x), x) for i, x in enumerate(self.args) if self._is_static(i)),
            tuple((k, _kinds(x), x) for k, x in sorted(self.kwargs.items()) if k in names),
        )
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(
                f"{self.options.name}: a static argument must be hashable ({error}); pass arrays "
                "as ordinary arguments, and tuples instead of lists"
            ) from None
        return key

    def variables(self) -> list[Variable]:
        """A fresh variable for each leaf."""
        kinds = self.key[3:]
        return [
            Variable(aval_of(x(1)), number=True)
            if isinstance(x, type)
            else Variable(Aval(x[0], x[1].newbyteorder("=")))
            for x in kinds
        ]

    @property
    def swapped(self) -> bool:
        """Whether an argument has not this machine's order of bytes."""
        return any(not isinstance(x, type) and not x[1].isnative for x in self.key[3:])

    def static_values(self) -> list[Any]:
        """The values of static arguments."""
        return [x for some in self.key[2] for _, _, x in some]

    def tree(self, leaves: Sequence[Any]) -> Any:
        """The arguments that are not static, with other leaves in the place of those given."""
        return tree_unflatten(self.structure, leaves)

    def arguments(self, tree: Any) -> tuple[list, dict]:
        """Positional and named arguments, from those that are not static."""
        dynamic, named = tree if self.named else (tree, {})
        rest = iter(dynamic)
        args = [x if self._is_static(i) else next(rest) for i, x in enumerate(self.args)]
        names = self.options.names
        return args, {**named, **{k: x for k, x in self.kwargs.items() if k in names}}

    # Errors -----------------------------------------------------------------------------------

    def path(self, i: int) -> str:
        """Where leaf `i` is among the arguments."""
        args, kwargs = self.arguments(self.tree(range(len(self.leaves))))
        shown = [None if self._is_static(n) else x for n, x in enumerate(args)]
        names = self.options.names
        named = {k: x for k, x in kwargs.items() if k not in names}
        tree: Any = (tuple(shown), named) if named else tuple(shown)
        return tree_paths(tree)[i]

    def check_kinds(self) -> None:
        """Raise where an array is of no dtype that a tensor can have."""
        for i, x in enumerate(self.leaves):
            if x.__class__ is np.ndarray and x.dtype.kind not in "biufc":
                self._kind(x, i)

    def check_unchanged(
        self, tree: Any, leaves: Sequence[Tensor], variables: Sequence[Variable]
    ) -> None:
        """Raise where the function wrote into an argument: the caller's own would not change."""
        changed = [x.mark is not v for x, v in zip(leaves, variables, strict=True)]
        path = self.path(changed.index(True)) if any(changed) else ""
        if not any(changed):
            now, structure = tree_flatten(tree)
            if structure == self.structure:
                different = [x is not y for x, y in zip(now, leaves, strict=True)]
                path = self.path(different.index(True)) if any(different) else ""
            else:
                path = "(what a container in it holds)"
        if path:
            raise AutogradError(
                f"{self.options.name}: the function changes its argument {path} in place, which "
                "the caller would not see; return the new value instead, or work on a copy "
                "(x = x * 1, or p = dict(p))"
            )

    # Donation ---------------------------------------------------------------------------------

    def give_away(self, spares: Spares) -> None:
        """Take the memory of donated arguments."""
        donated: list[Any] = []
        kept: list[Any] = []
        for i, x in enumerate(self.args):
            mine = self._is_among(self.options.donated, i)
            (donated if mine else kept).extend(tree_flatten(x)[0])
        held = {id(x) for x in kept}
        self.leaves = []  # which hold references
        taken = set()
        for x in donated:
            if x.__class__ is not Tensor or id(x) in taken:
                continue
            if id(x) in held:
                raise ValueError(
                    f"{self.options.name}: a tensor is donated (donate_argnums) and also passed "
                    "as an argument that is not"
                )
            taken.add(id(x))
            array = give_away(x, self.options.name)
            if array is not None:
                spares.put(array)


def _kinds(x: Any) -> Any:
    """Types, and signs of zeros, in which equal static values may differ."""
    if isinstance(x, (tuple, frozenset)):
        return (type(x), *map(_kinds, x))
    return exactly(x) if type(x) is float else type(x)
