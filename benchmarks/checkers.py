"""Which wrong gradients each gradient checker catches, and which right ones it accuses.

python -m benchmarks.checkers [--only ours torch jax autograd] [--misses] [--quick] [--save]

The two corpora of `tests/checking`, hand-written in NumPy, are given to each checker as operations
of its own library, at its own defaults: `torch.autograd.gradcheck` (with forward mode where a jvp
is given, `gradgradcheck` where the gradient has a gradient, and `fast_mode` for many entries),
`jax.test_util.check_grads` (in double precision) and HIPS autograd's `check_grads`. An exception,
of whatever kind, is an alarm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autograd_core.testing import check_grads
from benchmarks.common import Report, Table, absent
from tests.checking.corpus import Sample
from tests.checking.right import RIGHT
from tests.checking.wrong import WRONG

FEW = 200
"""Of more entries, PyTorch's checker looks along random directions too, or it would take hours."""

Checker = Callable[[Sample], None]  # raises where it sees something wrong


def rule_of(sample: Sample) -> tuple[Callable, Callable | None]:
    """The vjp as `vjp(g, *args)`, and its own where it has one."""
    vjp, second = sample.vjp if isinstance(sample.vjp, tuple) else (sample.vjp, None)

    def rule(g: np.ndarray, *args: np.ndarray) -> tuple:
        if sample.name == "a gradient, not a vjp":
            found = g * vjp(*args)
        elif sample.name == "a function that pulls back":
            found = vjp(*args)[1](g)
        else:
            found = vjp(g, *args)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    return rule, second


def is_float(x: Any) -> bool:
    return np.asarray(x).dtype.kind == "f"


def ours(sample: Sample) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_grads(sample.pair, *sample.args)


def torch_checker() -> Checker:
    import torch

    def tensors(found: Sequence) -> tuple:
        return tuple(None if x is None else torch.as_tensor(np.array(x)) for x in found)

    def operation(f: Callable, rule: Callable | None, then: Callable | None, jvp: Any) -> Any:
        """A NumPy function and its rules as an operation of PyTorch."""

        class Operation(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *args: Any) -> Any:
                ctx.save_for_backward(*args)
                ctx.save_for_forward(*args)
                found = f(*(x.detach().numpy() for x in args))
                many = isinstance(found, tuple)
                return tensors(found) if many else torch.as_tensor(np.array(found))

            @staticmethod
            def backward(ctx: Any, *gs: Any) -> Any:
                if rule is None:
                    raise NotImplementedError("no further derivative")
                args = ctx.saved_tensors
                if then is not None:
                    found = operation(rule, then, None, None)(*gs, *args)
                else:
                    found = tensors(rule(*(x.detach().numpy() for x in (*gs, *args))))
                return found if isinstance(found, tuple) else (found,)

            @staticmethod
            def jvp(ctx: Any, *ts: Any) -> Any:
                args = tuple(x.detach().numpy() for x in ctx.saved_tensors)
                return torch.as_tensor(np.array(jvp(args, tuple(t.numpy() for t in ts))))

        return Operation.apply

    def check(sample: Sample) -> None:
        rule, second = rule_of(sample)
        f = operation(sample.f, rule, second_of(second), sample.jvp)
        args = [torch.tensor(np.array(x)) for x in sample.args]
        args = [x.requires_grad_() if x.is_floating_point() else x for x in args]
        many = sum(x.numel() for x in args) > FEW
        forward = sample.jvp is not None
        torch.autograd.gradcheck(f, args, check_forward_ad=forward, fast_mode=many)
        if second is not None:
            torch.autograd.gradgradcheck(f, args)

    return check


def second_of(second: Callable | None) -> Callable | None:
    """A rule's rule as `second(h, g, *args)`, a tuple; of several cotangents h is a tuple."""
    if second is None:
        return None

    def rule(*given: np.ndarray) -> tuple:
        count = len(given) // 2
        hs, rest = given[:count], given[count:]
        return tuple(second(hs[0] if count == 1 else hs, *rest))

    return rule


def jax_checker() -> Checker:
    import jax
    from jax.test_util import check_grads as check_jax

    jax.config.update("jax_enable_x64", True)

    def called(f: Callable, *args: Any, like: Any) -> Any:
        """A NumPy function, run by JAX."""
        give = lambda *xs: jax.tree.map(
            lambda x, y: np.asarray(x, y.dtype), f(*(np.array(x) for x in xs)), like
        )
        return jax.pure_callback(give, like, *args)

    def shape(x: Any) -> Any:
        return jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype)

    def operation(f: Callable, rule: Callable | None, then: Callable | None, args: Any) -> Any:
        out = f(*(np.array(x) for x in args))
        like = jax.tree.map(shape, out)
        run = jax.custom_vjp(lambda *xs: called(f, *xs, like=like))

        def backward(xs: Any, g: Any) -> Any:
            if rule is None:
                raise NotImplementedError("no further derivative")
            gs = g if isinstance(g, tuple) else (g,)
            if then is not None:
                drawn = [np.ones(np.shape(y)) for y in jax.tree.leaves(out)]
                return operation(rule, then, None, [*drawn, *args])(*gs, *xs)
            return cotangents(called(whole(rule, args), *gs, *xs, like=tuple(map(shape, args))), xs)

        run.defvjp(lambda *xs: (run(*xs), xs), backward)
        return run

    def cotangents(found: Any, xs: Any) -> tuple:
        zero = jax.dtypes.float0
        return tuple(
            g if is_float(x) else np.zeros(np.shape(x), zero)
            for g, x in zip(found, xs, strict=True)
        )

    def whole(rule: Callable, args: Any) -> Callable:
        def run(*given: Any) -> tuple:
            found = rule(*given)
            if len(found) != len(args):
                raise ValueError(f"{len(found)} cotangents")
            pairs = zip(found, args, strict=True)
            return tuple(np.zeros_like(x) if g is None else g for g, x in pairs)

        return run

    def pushed(sample: Sample, args: Any) -> Any:
        like = shape(sample.f(*map(np.array, args)))
        run = jax.custom_jvp(lambda *xs: called(sample.f, *xs, like=like))

        def rule(xs: Any, ts: Any) -> Any:
            both = lambda *g: sample.jvp(g[: len(xs)], g[len(xs) :])  # type: ignore
            return run(*xs), called(both, *xs, *ts, like=like)

        run.defjvp(rule)
        return run

    def check(sample: Sample) -> None:
        rule, second = rule_of(sample)
        args = sample.args
        floats = [i for i, x in enumerate(args) if is_float(x)]
        f = operation(sample.f, rule, second_of(second), args)

        def of_floats(*xs: Any) -> Any:
            full = list(args)
            for i, x in zip(floats, xs, strict=True):
                full[i] = x
            return f(*full)

        given = [jax.numpy.asarray(args[i]) for i in floats]
        check_jax(of_floats, given, order=1 if second is None else 2, modes=["rev"])
        if sample.jvp is not None:
            check_jax(pushed(sample, args), given, order=1, modes=["fwd"])

    return check


def autograd_checker() -> Checker:
    from autograd.extend import defjvp, defvjp, primitive
    from autograd.test_util import check_grads as check_hips

    def operation(f: Callable, rule: Callable | None, then: Callable | None) -> Any:
        run = primitive(f)
        if rule is None:
            return run
        if then is not None:
            inner = operation(lambda *a: rule(*a)[0], lambda *a: then(*a), None)
            defvjp(run, lambda _, *args: lambda g: inner(g, *args))
            return run
        numbers = range(9)
        made = [lambda _, *args, n=n: lambda g: rule(g, *args)[n] for n in numbers]
        defvjp(run, *made, argnums=numbers)
        return run

    def check(sample: Sample) -> None:
        rule, second = rule_of(sample)
        if second is not None and len(sample.args) > 1:
            raise NotChecked("its rules give one cotangent each")
        f = operation(sample.f, rule, second_of(second))
        floats = [i for i, x in enumerate(sample.args) if is_float(x)]

        def of_floats(*xs: Any) -> Any:
            full = [np.array(x) for x in sample.args]
            for i, x in zip(floats, xs, strict=True):
                full[i] = x
            return f(*full)

        modes = ["rev"]
        if sample.jvp is not None:
            defjvp(f, *[
                lambda t, _, *args, n=n: sample.jvp(  # type: ignore
                    args, tuple(t if i == n else np.zeros_like(x) for i, x in enumerate(args))
                )
                for n in range(len(sample.args))
            ])  # fmt: skip
            modes = ["rev", "fwd"]
        given = [np.array(sample.args[i]) for i in floats]
        which = tuple(range(len(given)))  # by default it is the first argument only
        order = 1 if second is None else 2
        check_hips(of_floats, which, modes=modes, order=order)(*given)

    return check


class NotChecked(Exception):
    """A library cannot be given a sample; that is no alarm."""


CHECKERS: dict[str, tuple[str | None, Callable[[], Checker]]] = {
    "ours": (None, lambda: ours),
    "torch": ("torch", torch_checker),
    "jax": ("jax", jax_checker),
    "autograd": ("autograd", autograd_checker),
}
NAMES = {
    "ours": "check_grads, this package",
    "torch": "gradcheck, gradgradcheck (PyTorch)",
    "jax": "jax.test_util.check_grads",
    "autograd": "check_grads (HIPS autograd)",
}


def alarms(check: Checker, samples: Sequence[Sample]) -> list[str]:
    """The samples that a checker raises on."""
    found = []
    for sample in samples:
        try:
            with quiet():
                check(sample)
        except NotChecked:
            continue
        except Exception:
            found.append(sample.name)
    return found


@contextlib.contextmanager
def quiet() -> Any:
    """Without warnings, and what libraries print of callbacks that fail."""
    with (
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stderr(nothing),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=CHECKERS, default=list(CHECKERS))
    parser.add_argument("--misses", action="store_true", help="name what was missed and accused")
    parser.add_argument("--quick", action="store_true", help="every eighth sample")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args(argv)
    step = 8 if options.quick else 1
    wrong, right = WRONG[::step], RIGHT[::step]
    settings = {"wrong": len(wrong), "right": len(right)}
    report = Report("checkers", "What gradient checkers catch, and what they accuse", settings)
    for name in options.only:
        package, make = CHECKERS[name]
        reason = absent(package) if package else None
        if reason:
            report.skip({name: reason})
        else:
            report.data[name] = measured(make(), wrong, right)
    report.add(table_of(report.data))
    if options.misses:
        for name, found in report.data.items():
            report.note(f"{name} missed: {', '.join(found['missed']) or 'none'}")
            report.note(f"{name} accused: {', '.join(found['accused']) or 'none'}")
    if options.save:
        report.save()
    return int(not is_best(report.data))


def measured(check: Checker, wrong: Sequence[Sample], right: Sequence[Sample]) -> dict[str, Any]:
    """What a checker missed and accused, and how long it took."""
    start = time.perf_counter()
    caught, accused = alarms(check, wrong), alarms(check, right)
    seconds = round(time.perf_counter() - start, 2)
    missed = [sample.name for sample in wrong if sample.name not in caught]
    return {"caught": len(caught), "missed": missed, "accused": accused, "seconds": seconds}


def table_of(data: dict[str, Any]) -> Table:
    rows = []
    for name, x in data.items():
        counts = x["caught"], len(x["missed"]), len(x["accused"])
        rows.append([NAMES[name], *map(str, counts), f"{x['seconds']:.1f}"])
    columns = ["checker", "wrong caught", "wrong missed", "right accused", "seconds"]
    return Table("Checkers", columns, rows)


def is_best(data: dict[str, Any]) -> bool:
    """Whether nobody misses fewer or accuses fewer than ours."""
    ours = data.get("ours")
    return ours is None or all(
        len(ours[what]) <= len(x[what]) for x in data.values() for what in ("missed", "accused")
    )


if __name__ == "__main__":
    raise SystemExit(main())
