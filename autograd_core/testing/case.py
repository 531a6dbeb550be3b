"""`Case`: a function of tensors with arguments, on which laws are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from autograd_core import transforms
from autograd_core.errors import RuleError
from autograd_core.ops.complex import imag, real
from autograd_core.ops.placement import to_device
from autograd_core.primitive import Primitive, bind, no_rule
from autograd_core.tensor import INEXACT, Tensor, asarray
from autograd_core.testing.draw import Draw, draw_siblings
from autograd_core.testing.noise import nudged
from autograd_core.testing.numeric import (
    EPS,
    Arrays,
    LawViolation,
    direction,
    largest,
    require_close,
    step_at,
)
from autograd_core.testing.subjects import Ours, Subject
from kernels.devices import CPU, to_host
from kernels.devices import to_device as to_memory

BATCH = 3
EXACT = 2.0**14 * EPS
"""How far, relative to the scale of its terms, two ways to compute one thing may drift apart."""

Function = Callable[..., tuple]  # tensors in, a tuple of floating tensors out
Law = Callable[[Any], None]
"""Takes a case, of a primitive where it is about those."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A function of tensors, arguments, and more arguments of the same shapes."""

    calls: tuple[tuple[np.ndarray, ...], ...]
    seed: int
    device: str | None = None
    """Where the function is applied; all else of a law goes on where its arrays lie."""

    @property
    def name(self) -> str:
        """Of the function."""
        raise NotImplementedError

    @property
    def options(self) -> dict[str, Any]:
        """What the function is given beside tensors."""
        raise NotImplementedError

    def run(self, tensors: Sequence[Any]) -> Sequence[Tensor]:
        """The function."""
        raise NotImplementedError

    looseness: ClassVar[Any] = 1.0
    """How much more than the scale of their terms says two ways to compute it may drift apart."""

    @property
    def args(self) -> tuple[np.ndarray, ...]:
        return self.calls[0]

    @property
    def arity(self) -> int:
        return len(self.args)

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def floats(self) -> tuple[int, ...]:
        """Which arguments are floating point."""
        return tuple(i for i, x in enumerate(self.args) if x.dtype.kind == "f")

    @cached_property
    def pulled(self) -> tuple[int, ...]:
        """Which arguments can be differentiated in reverse mode."""
        raise NotImplementedError

    @cached_property
    def pushed(self) -> tuple[int, ...]:
        """Which arguments can be differentiated in forward mode."""
        raise NotImplementedError

    def apply(self, args: Sequence[Any]) -> tuple[Tensor, ...]:
        """All outputs for some arguments, as a tuple."""
        tensors = [asarray(x) for x in args]
        if self.device is not None:
            tensors = [to_device(x, self.device) for x in tensors]
        outs = tuple(self.run(tensors))
        return outs if self.device is None else tuple(to_device(y, CPU) for y in outs)

    def function(self, places: Sequence[int], args: Sequence[Any] | None = None) -> Function:
        """The floating outputs, of complex ones the parts, as a function of the arguments at
        `places`."""
        fixed = self.args if args is None else args

        def f(*xs: Any) -> tuple[Tensor, ...]:
            full = list(fixed)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            return floating(self.apply(full))

        return f

    def subject(self, places: Sequence[int]) -> Subject:
        """The floating outputs, to be differentiated in some arguments, for gradient checks."""
        whole = self.function(range(self.arity))
        names = [f"argument {i}" for i in range(self.arity)]
        return Ours(self.name, whole, self.args, names).only(places)

    def at(self, places: Sequence[int]) -> list[np.ndarray]:
        return [self.args[i] for i in places]

    def with_args(self, args: Sequence[np.ndarray]) -> Self:
        """The same case with other values, alone."""
        return replace(self, calls=(tuple(args),))

    def renewed(self) -> Self:
        """The same case, its random directions drawn from the start."""
        return replace(self)

    def settled(self) -> Self:
        """The same case with its arguments on the device, to stay there."""
        if self.device is None:
            return self
        calls: Any = tuple(tuple(to_device(asarray(x), self.device) for x in c) for c in self.calls)
        return replace(self, calls=calls, device=None)


@dataclass(frozen=True, kw_only=True)
class PrimitiveCase(Case):
    """A primitive, with arguments and parameters drawn from its domain."""

    primitive: Primitive
    params: dict[str, Any]

    @property
    def name(self) -> str:
        return self.primitive.name

    @property
    def options(self) -> dict[str, Any]:
        return self.params

    def run(self, tensors: Sequence[Any]) -> Sequence[Tensor]:
        out = bind(self.primitive, tensors, self.params)
        return out if self.primitive.multiple else (out,)

    @cached_property
    def pulled(self) -> tuple[int, ...]:
        """Which arguments have a vjp rule."""
        return tuple(i for i in self.ruled(self.primitive.vjps) if i in self.floats)

    @cached_property
    def pushed(self) -> tuple[int, ...]:
        """Which arguments have a jvp rule."""
        return tuple(i for i in self.ruled(self.primitive.jvps) if i in self.floats)

    def ruled(self, rules: Any) -> tuple[int, ...]:
        """Which arguments have one of some rules, complex ones too."""
        if not self.primitive.differentiable:
            return ()
        inexact = (i for i, x in enumerate(self.args) if x.dtype.kind in INEXACT)
        return tuple(i for i in inexact if not isinstance(rules[i], no_rule))

    def kernel(self, args: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """What the kernel gives, as NumPy's arrays."""
        if self.device is not None:
            args = [to_memory(x, self.device) for x in args]
        out = self.primitive.kernel(*args, **self.params)
        outs = out if self.primitive.multiple else (out,)
        return tuple(map(to_host, outs))

    @cached_property
    def step(self) -> float:
        """A step that keeps arguments from crossing each other."""
        return step_at(self.at(self.floats))


@dataclass(frozen=True, kw_only=True)
class FunctionCase(Case):
    """A user's function of tensors, as a function of the leaves of its arguments.

    Attributes:
        flat: from leaves to a flat sequence of tensors.
        called: its name.
        given: what it is given beside tensors, for messages.
    """

    flat: Callable[..., Sequence[Any]]
    called: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        return self.called

    @property
    def options(self) -> dict[str, Any]:
        return self.given

    def run(self, tensors: Sequence[Any]) -> Sequence[Tensor]:
        return [asarray(y) for y in self.flat(*tensors)]

    @cached_property
    def pulled(self) -> tuple[int, ...]:
        f, xs = self.function(self.floats), self.at(self.floats)

        def pull() -> Any:
            outs, back = transforms.vjp(f, *xs)
            return back(outs)

        return self.floats if _has_rules(pull) else ()

    @cached_property
    def pushed(self) -> tuple[int, ...]:
        f, xs = self.function(self.floats), self.at(self.floats)
        return self.floats if _has_rules(lambda: transforms.jvp(f, xs, xs)) else ()

    @cached_property
    def looseness(self) -> float:  # type: ignore[override]
        """How much its values and its gradient amplify what moves arguments in their last place:
        that much do the same terms, summed in another order, drift apart."""
        f, rng = self.function(self.floats), np.random.default_rng(self.seed)
        gs: list[np.ndarray] = []

        def values(args: Sequence[np.ndarray]) -> list[np.ndarray]:
            xs = [args[i] for i in self.floats]
            outs = numbers(f(*xs))
            if not self.pulled:
                return outs
            gs[:] = gs or direction(rng, outs)
            return outs + numbers(pullback(f, len(outs))(*gs, *xs))

        here, found = values(self.args), 1.0
        scale = largest(*here, *self.at(self.floats)) or 1.0
        for _ in range(3):
            near = values(nudged(self.args, self.floats, rng, NUDGE))
            moved = (x.astype(np.float64) - y for x, y in zip(near, here, strict=True))
            found = max(found, largest(*moved) / (EPS * scale))
        return found


NUDGE = 2.0
"""By how many units in the last place arguments are moved, to see what that does."""


def _has_rules(differentiate: Callable[[], Any]) -> bool:
    try:
        differentiate()
    except RuleError:
        return False
    return True


def draw_case(primitive: Primitive, draw: Draw) -> PrimitiveCase:
    """A case from the primitive's domain."""
    if primitive.domain is None:
        raise LawViolation(f"{primitive.name} has no domain, so that no law can be checked on it")
    calls, params = draw_siblings(primitive.domain, draw, BATCH)
    return PrimitiveCase(primitive=primitive, calls=tuple(calls), params=params, seed=draw.seed())


@contextmanager
def checking(case: Case, law: str) -> Iterator[None]:
    """Name the law and the case in whatever goes wrong."""
    try:
        yield
    except Exception as error:
        given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in case.args)
        options = "".join(f", {k}={v!r}" for k, v in case.options.items())
        kind = "" if isinstance(error, LawViolation) else f"{type(error).__name__}: "
        raise LawViolation(f"{case.name}({given}{options}): {law}: {kind}{error}") from (
            None if isinstance(error, LawViolation) else error
        )


# Small tools of the laws ----------------------------------------------------------------------


def parts(y: Tensor) -> tuple[Tensor, ...]:
    """A tensor, or the parts of a complex one."""
    return (real(y), imag(y)) if y.dtype.kind == "c" else (y,)


def floating(outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Those of some outputs that can be differentiated, complex ones as their parts."""
    return tuple(part for y in outputs for part in parts(y) if part.dtype.kind == "f")


def numbers(tensors: Sequence[Any]) -> list[np.ndarray]:
    """The values of tensors, as arrays that later calls cannot change."""
    return [np.array(to_host(x.data if x.__class__ is Tensor else x), order="C") for x in tensors]


def pullback(f: Function, count: int) -> Function:
    """The function (cotangents of the `count` outputs of f, arguments) -> cotangents of those."""

    def pulled(*both: Any) -> tuple:
        return transforms.vjp(f, *both[count:])[1](tuple(both[:count]))

    return pulled


def pushforward(f: Function, count: int) -> Function:
    """The function (tangents of the `count` arguments of f, arguments) -> tangents of outputs."""

    def pushed(*both: Any) -> tuple:
        return transforms.jvp(f, both[count:], both[:count])[1]

    return pushed


def float_mixes(case: Case) -> list[tuple[np.ndarray, ...]]:
    """The arguments with all floats in one precision, and with one float in the other."""
    floats = case.floats
    mixes = [frozenset[int](), frozenset(floats), *(frozenset({i}) for i in floats)]
    if len(floats) > 2:
        mixes += [frozenset(floats) - {i} for i in floats]
    return [
        tuple(x.astype(np.float32) if i in single else x for i, x in enumerate(case.args))
        for single in dict.fromkeys(mixes)
    ]


def alone_and_together(places: tuple[int, ...]) -> list[tuple[int, ...]]:
    each: list[tuple[int, ...]] = [(i,) for i in places]
    return [*each, places] if len(places) > 1 else each


def named(places: tuple[int, ...]) -> str:
    return f"argument {places[0]}" if len(places) == 1 else f"arguments {places}"


def require_all_close(
    got: Arrays, expected: Arrays, scale: Arrays, what: str, looseness: float = 1.0
) -> None:
    """Raise a LawViolation where arrays differ, by more than two ways to compute them may."""
    if len(got) != len(expected):
        raise LawViolation(f"{what}: expected {len(expected)} of them, got {len(got)}")
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        tolerance = EXACT * looseness * max(largest(b), largest(*scale))
        require_close(a, b, tolerance, f"{what} {i}")
        if a.dtype != b.dtype:
            raise LawViolation(f"{what} {i}: expected dtype {b.dtype}, got {a.dtype}")
