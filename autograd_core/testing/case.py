"""`Case`: a primitive with arguments drawn from its domain, on which laws are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from autograd_core import transforms
from autograd_core.ops.placement import to_device
from autograd_core.primitive import Primitive, bind, no_rule
from autograd_core.tensor import Tensor, asarray
from autograd_core.testing.draw import Draw, draw_siblings
from autograd_core.testing.numeric import (
    EPS,
    Arrays,
    LawViolation,
    largest,
    require_close,
    step_at,
)
from kernels.devices import CPU, to_host
from kernels.devices import to_device as to_memory

BATCH = 3
EXACT = 2.0**14 * EPS
"""How far, relative to the scale of its terms, two ways to compute one thing may drift apart."""

Function = Callable[..., tuple]  # tensors in, a tuple of floating tensors out
Law = Callable[["Case"], None]


@dataclass(frozen=True)
class Case:
    """A primitive, arguments and parameters from its domain, and arguments of the same shapes."""

    primitive: Primitive
    calls: tuple[tuple[np.ndarray, ...], ...]
    params: dict[str, Any]
    seed: int
    device: str | None = None
    """Where the primitive is applied; all else of a law goes on where its arrays lie."""

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
        """Which arguments have a vjp rule."""
        return self._ruled(self.primitive.vjps)

    @cached_property
    def pushed(self) -> tuple[int, ...]:
        """Which arguments have a jvp rule."""
        return self._ruled(self.primitive.jvps)

    def _ruled(self, rules: Sequence) -> tuple[int, ...]:
        if not self.primitive.differentiable:
            return ()
        return tuple(i for i in self.floats if not isinstance(rules[i], no_rule))

    def apply(self, args: Sequence[Any]) -> tuple[Tensor, ...]:
        """All outputs for some arguments, as a tuple."""
        tensors = [asarray(x) for x in args]
        if self.device is not None:
            tensors = [to_device(x, self.device) for x in tensors]
        out = bind(self.primitive, tensors, self.params)
        outs = out if self.primitive.multiple else (out,)
        return outs if self.device is None else tuple(to_device(y, CPU) for y in outs)

    def kernel(self, args: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """What the kernel gives, as NumPy's arrays."""
        if self.device is not None:
            args = [to_memory(x, self.device) for x in args]
        out = self.primitive.kernel(*args, **self.params)
        outs = out if self.primitive.multiple else (out,)
        return tuple(map(to_host, outs))

    def function(self, places: Sequence[int], args: Sequence[Any] | None = None) -> Function:
        """The floating outputs as a function of the arguments at `places`."""
        fixed = self.args if args is None else args

        def f(*xs: Any) -> tuple[Tensor, ...]:
            full = list(fixed)
            for i, x in zip(places, xs, strict=True):
                full[i] = x
            return tuple(y for y in self.apply(full) if y.dtype.kind == "f")

        return f

    def at(self, places: Sequence[int]) -> list[np.ndarray]:
        return [self.args[i] for i in places]

    def with_args(self, args: Sequence[np.ndarray]) -> Case:
        """The same case with other values, alone."""
        return replace(self, calls=(tuple(args),))

    def renewed(self) -> Case:
        """The same case, its random directions drawn from the start."""
        return replace(self)

    def settled(self) -> Case:
        """The same case with its arguments on the device, to stay there."""
        if self.device is None:
            return self
        calls: Any = tuple(tuple(to_device(asarray(x), self.device) for x in c) for c in self.calls)
        return replace(self, calls=calls, device=None)

    @cached_property
    def step(self) -> float:
        return step_at(self.at(self.floats))


def draw_case(primitive: Primitive, draw: Draw) -> Case:
    """A case from the primitive's domain."""
    if primitive.domain is None:
        raise LawViolation(f"{primitive.name} has no domain, so that no law can be checked on it")
    calls, params = draw_siblings(primitive.domain, draw, BATCH)
    return Case(primitive, tuple(calls), params, draw.seed())


@contextmanager
def checking(case: Case, law: str) -> Iterator[None]:
    """Name the law and the case in whatever goes wrong."""
    try:
        yield
    except Exception as error:
        given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in case.args)
        options = "".join(f", {k}={v!r}" for k, v in case.params.items())
        kind = "" if isinstance(error, LawViolation) else f"{type(error).__name__}: "
        raise LawViolation(f"{case.primitive.name}({given}{options}): {law}: {kind}{error}") from (
            None if isinstance(error, LawViolation) else error
        )


# Small tools of the laws ----------------------------------------------------------------------


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


def require_all_close(got: Arrays, expected: Arrays, scale: Arrays, what: str) -> None:
    if len(got) != len(expected):
        raise LawViolation(f"{what}: expected {len(expected)} of them, got {len(got)}")
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        tolerance = EXACT * max(largest(b), largest(*scale))
        require_close(a, b, tolerance, f"{what} {i}")
        if a.dtype != b.dtype:
            raise LawViolation(f"{what} {i}: expected dtype {b.dtype}, got {a.dtype}")
