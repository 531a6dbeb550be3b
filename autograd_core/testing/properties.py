"""`check_property`: a function and the domain of its arguments, as one test of all laws."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autograd_core.errors import AutogradError
from autograd_core.tensor import Tensor
from autograd_core.testing.case import FunctionCase, Law
from autograd_core.testing.gradients import MODES, Check, Options
from autograd_core.testing.laws import BATCHING_LAWS, CAPTURE_LAWS, FUNCTION_LAWS
from autograd_core.testing.laws.derivatives import adjointness, linearization
from autograd_core.testing.laws.points import values_agree
from autograd_core.testing.numeric import LawViolation
from autograd_core.testing.profiles import profile_of
from autograd_core.testing.reports import GradientError, Report, publish
from autograd_core.testing.subjects import Ours, Subject, name_of, subject_of
from autograd_core.tree import tree_flatten, tree_map

__tracebackhide__ = True  # pytest shows the user's lines
SIBLING = 1e-3
"""By how much, relative to them, arguments of one batch differ."""
BATCH = 3


def check_property(
    *domain: st.SearchStrategy,
    reference: Callable | None = None,
    order: int | None = None,
    modes: Sequence[str] = MODES,
    batch: bool = True,
    jit: bool = True,
    examples: int | None = None,
    profile: str | None = None,
    **named: st.SearchStrategy,
) -> Callable[[Any], Callable[..., None]]:
    """Turn a function and the domain of its arguments into a test of all laws.

        @check_property(x=tensors(domain="x>0"), reference=np.log1p)
        def test_log1p(x):
            return ac.log1p(x)

    The laws: its values are those of the reference; both modes agree with differences, at all
    orders; reverse mode is the adjoint of forward mode; a mapped call is a stack of calls, for
    derivatives too; `jit` changes nothing; arguments are left unharmed, whatever their layout and
    precision. Where one is broken, Hypothesis shrinks the arguments: to the smallest shapes and the
    simplest values.

    Args:
        domain, named: a strategy for each argument, by position or by name. What has no numbers
            among its leaves, given by name, is an option of the function.
        reference: the same function of NumPy's arrays.
        order: of the highest derivatives; 3 where not given.
        modes: "rev", "fwd".
        batch, jit: whether `vmap` and `jit` are among the laws, for functions of this package.
        examples: how many arguments are drawn; by the profile where not given.
        profile: "quick", "ci" or "thorough"; see `profiles`.

    Returns:
        What decorates a function: of tensors, of PyTorch's or JAX's arrays (drawn with `library=`),
        or a pair of NumPy functions as `check_grads` takes it. The test takes no arguments, and
        raises LawViolation, of which GradientError is one.

    Raises:
        TypeError, ValueError: an argument has no strategy, or an option is none.
    """
    strategies = [*domain, *named.values()]
    if not strategies or not all(isinstance(each, st.SearchStrategy) for each in strategies):
        raise TypeError(
            "check_property: expected a strategy for each argument, as in "
            f"check_property(x=tensors()), got {strategies!r}"
        )
    Options(1 if order is None else order, tuple(modes))  # raises where they are none
    profile_of(profile)
    if examples is not None and examples < 1:
        raise ValueError(f"check_property: examples={examples!r}; expected 1 or more")

    def decorate(f: Any) -> Callable[..., None]:
        def test(*of: Any) -> None:
            """Of the instance, for methods."""
            chosen = profile_of(profile)
            options = Options(
                chosen.property_order if order is None else order,
                tuple(modes),
                search=False,
                variants=True,
                brief=True,
            )
            laws = Laws(functools.partial(f, *of) if of else f, options, reference, batch, jit)
            laws.check_all(domain, named, chosen.examples if examples is None else examples)

        first = first_of(f)
        test.__name__ = test.__qualname__ = name_of(f)
        test.__doc__ = getattr(first, "__doc__", None)
        test.__module__ = getattr(first, "__module__", __name__)
        # Where pytest says that it is, and what its plugin knows it by.
        test.place_as, test.is_gradcheck = first, True  # type: ignore[attr-defined]
        return test

    return decorate


@dataclass
class Laws:
    """Of one function."""

    f: Any
    options: Options
    reference: Callable | None
    batch: bool
    jit: bool
    broken: str = ""
    """The law that was, if one was."""

    def check_all(self, domain: Sequence, named: dict[str, Any], examples: int) -> None:
        """Check drawn arguments, and tell who listens."""
        report = Report(name_of(self.f))

        by_position = named_by(self.f, domain)
        twice = by_position.keys() & named.keys()
        if twice:
            raise TypeError(f"check_property: two strategies for {', '.join(sorted(twice))}")
        named = by_position | named

        def holds(**drawn: Any) -> None:
            report.merge(self.check(*self._split(drawn, len(domain))))

        # Hypothesis keeps failing examples by name.
        f = first_of(self.f)
        place = f"{getattr(f, '__module__', '')}_{getattr(f, '__qualname__', name_of(f))}"
        holds.__name__ = "the_laws_of_" + re.sub(r"\W", "_", place)
        run = settings(
            max_examples=examples,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow],
        )(given(**named)(holds))
        try:
            run()
        except LawViolation as error:
            report.failure = str(error)
            raise error.with_traceback(None) from error.__cause__
        finally:
            publish(report)
        if not report.decided:
            raise LawViolation(
                f"{report.name}: nothing could be decided in {examples} examples: no derivative "
                "settles; choose another domain"
            )

    def _split(self, drawn: dict[str, Any], by_position: int) -> tuple[tuple, dict[str, Any]]:
        """The arguments, in order, and the options."""
        names = list(drawn)[:by_position]
        options = {n: x for n, x in drawn.items() if n not in names and not has_numbers(x)}
        arguments = {n: x for n, x in drawn.items() if n not in names and n not in options}
        positional = tuple(drawn[name] for name in names)
        if not arguments:
            return positional, options
        try:
            bound = inspect.signature(first_of(self.f)).bind_partial(*positional, **arguments)
        except (TypeError, ValueError) as error:
            raise TypeError(f"check_property: {name_of(self.f)}: {error}") from None
        if bound.kwargs:
            raise TypeError(
                f"check_property: {', '.join(bound.kwargs)} of {name_of(self.f)} can only be given "
                "by name, and would not be differentiated"
            )
        return bound.args, options

    def check(self, args: Sequence[Any], options: dict[str, Any]) -> Report:
        """Check all laws for some arguments; once one is broken, that one alone, while Hypothesis
        looks for simpler arguments."""
        if isinstance(self.f, tuple | list):
            args = tree_map(lambda x: x.numpy() if x.__class__ is Tensor else x, tuple(args))
        subject = subject_of(self.f, args, options)
        if not subject.places:
            raise TypeError(f"check_property: {subject.name} has no floating-point argument")
        check = Check(subject, self.options, 0)
        for name, law in self._stages(check, options):
            if self.broken in ("", name):
                try:
                    law()
                except LawViolation:
                    self.broken = name
                    raise
        return check.report

    def _stages(
        self, check: Check, options: dict[str, Any]
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        """The laws by name, those of derivatives as one."""
        subject = check.subject
        if self.reference is not None:
            reference = functools.partial(self.reference, **options)
            yield "values", lambda: check.law(lambda point: values_agree(point, reference))
        yield "derivatives", check.run
        if isinstance(subject, Ours) and any(x.size for x in subject.floats):
            case = case_of(subject, options)
            for law in self._laws_of_tensors():
                yield law.__name__, functools.partial(self._hold, law, case)

    def _laws_of_tensors(self) -> Iterator[Law]:
        """Those that are asked for, of functions that have both modes if they are about both."""
        both = set(self.options.modes) == set(MODES)
        for law in FUNCTION_LAWS:
            if both or law not in (adjointness, linearization):
                yield law
        yield from BATCHING_LAWS if self.batch and both else ()
        yield from CAPTURE_LAWS if self.jit else ()

    @staticmethod
    def _hold(law: Law, case: FunctionCase) -> None:
        try:
            with np.errstate(all="ignore"):
                law(case)
        except LawViolation as error:
            option = "batch" if law in BATCHING_LAWS else "jit" if law in CAPTURE_LAWS else ""
            if option and isinstance(error.__cause__, AutogradError):
                told = f"{error}\n  if it is not meant to be: check_property(…, {option}=False)"
                raise LawViolation(told) from error.__cause__
            raise


def case_of(subject: Ours, options: dict[str, Any]) -> FunctionCase:
    """A function of its floating-point arguments alone, with others nearby for batches."""
    rng = np.random.default_rng(0)

    def flat(*floats: Any) -> Sequence[Any]:
        return subject.flat(*subject.filled(floats))

    calls = [tuple(subject.floats)]
    for _ in range(BATCH - 1):
        near = tuple(
            np.asarray(x * (1 + SIBLING * rng.uniform(-1, 1, x.shape)), x.dtype)
            for x in subject.floats
        )
        calls.append(near if takes(subject, near) else calls[0])
    return FunctionCase(
        calls=tuple(calls), seed=0, flat=flat, called=subject.name, given=dict(options)
    )


def takes(subject: Subject, floats: Sequence[np.ndarray]) -> bool:
    """Whether a function has finite values somewhere."""
    try:
        return all(np.isfinite(y).all() for y in subject.values(subject.filled(floats)))
    except Exception:
        return False


def first_of(f: Any) -> Callable:
    """The function of a pair."""
    return f[0] if isinstance(f, tuple | list) else f


def named_by(f: Any, domain: Sequence[st.SearchStrategy]) -> dict[str, st.SearchStrategy]:
    """Strategies by position, by what a function calls its arguments."""
    try:
        names = list(inspect.signature(first_of(f)).parameters)
    except (TypeError, ValueError):  # a built-in function that does not say
        names = []
    taken = names if len(names) >= len(domain) else [f"x{i}" for i in range(len(domain))]
    return dict(zip(taken, domain, strict=False))


def has_numbers(x: Any) -> bool:
    """Whether something is an argument, and no option: an array, a float, or a tree with one."""
    return any(hasattr(leaf, "shape") or isinstance(leaf, float) for leaf in tree_flatten(x)[0])


__all__ = ["GradientError", "check_property"]
