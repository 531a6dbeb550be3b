"""The command `python -m autograd_core.check`: the derivatives of a function, from the shell.

    python -m autograd_core.check my_package.layers:swish --arg "float64[3,4]" --domain "x>0"
    python -m autograd_core.check losses:huber --vjp losses:huber_vjp --arg "float64[8]"

It exits with 0 where nothing is wrong, with 1 where something is, with 2 where it could not be
asked for, and with 3 where nothing could be decided.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape

from autograd_core.testing.domains import Domain, domain
from autograd_core.testing.gradients import MODES, check_grads
from autograd_core.testing.profiles import PROFILES
from autograd_core.testing.reports import GradientError, Report, UndecidedWarning
from autograd_core.testing.written import WRITERS, write
from autograd_core.tree import tree_flatten

RIGHT, WRONG, UNUSABLE, UNDECIDED = 0, 1, 2, 3
ARRAY = re.compile(r"\s*(?:(?P<name>\w+)\s*:)?\s*(?P<dtype>[a-z]+\d*)\s*\[(?P<shape>[\d,\s]*)\]\s*")
INTEGERS = (0, 3)
"""Integer arguments are drawn from these, the last left out, if no domain is given."""
LIBRARIES = ("autograd_core", "numpy", "torch", "jax")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Unusable(Exception):
    """What was asked for cannot be done; the message says why, and what can."""


@app.command()
def main(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:FUNCTION", help="A function, or a pair (f, vjp).")
    ],
    arg: Annotated[
        list[str],
        typer.Option(
            help='An argument, in order: an array as "float64[3,4]" or "int64[5]", with a name as '
            '"w: float64[3]", or a Python literal. Give it again for each argument.'
        ),
    ] = [],  # noqa: B006 — typer copies it
    named_domain: Annotated[
        list[str],
        typer.Option(
            "--domain",
            help='What numbers an argument may hold, as "x>0", "0<x<1", "abs(x)<2"; x is the '
            "argument's name, or any name where there is one array.",
        ),
    ] = [],  # noqa: B006
    vjp: Annotated[
        str | None, typer.Option(help="MODULE:NAME of vjp(g, *args), for NumPy functions.")
    ] = None,
    jvp: Annotated[
        str | None, typer.Option(help="MODULE:NAME of jvp(args, tangents), for NumPy functions.")
    ] = None,
    library: Annotated[
        str | None, typer.Option(help=f"Whose arrays it takes: {', '.join(LIBRARIES)}.")
    ] = None,
    order: Annotated[int | None, typer.Option(help="Of the highest derivatives, 1 to 4.")] = None,
    mode: Annotated[list[str], typer.Option(help="rev or fwd; both if not given.")] = list(MODES),  # noqa: B006
    profile: Annotated[str, typer.Option(help=f"{', '.join(PROFILES)}.")] = "quick",
    draws: Annotated[int, typer.Option(min=1, help="How often arguments are drawn.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of arguments and directions.")] = 0,
    search: Annotated[
        bool, typer.Option(help="Look near the arguments, at zero, in other layouts and dtypes.")
    ] = True,
    report: Annotated[
        list[Path],
        typer.Option(help="Write what was found to a file: .txt, .json, or .html with a picture."),
    ] = [],  # noqa: B006
) -> None:
    """Check the derivatives of a function, and say what is wrong with them.

    Exits with 0 where nothing is wrong, 1 where something is, 2 where it could not be asked for,
    and 3 where nothing could be decided.
    """
    console, errors = Console(emoji=False), Console(stderr=True, emoji=False)
    try:
        for path in report:
            _writable(path)
        f, kind = subject(target, vjp, jvp, library)
        makers = arguments(f, arg, named_domain)
        options = {"order": order, "modes": tuple(mode), "profile": profile, "search": search}
        found = checked(f, kind, makers, draws, seed, options)
    except Unusable as error:
        errors.print(f"error: {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(UNUSABLE) from None
    _say(found, console)
    for path in report:
        try:
            write(found, path)
        except OSError as error:
            errors.print(f"error: --report {escape(str(path))}: {escape(str(error))}")
            raise typer.Exit(UNUSABLE) from None
    if found.failure:
        raise typer.Exit(WRONG)
    raise typer.Exit(RIGHT if found.decided else UNDECIDED)


def _writable(path: Path) -> None:
    if path.suffix not in WRITERS:
        raise Unusable(f"--report {path}: expected a name ending in {', '.join(WRITERS)}")
    if not path.absolute().parent.is_dir():
        raise Unusable(f"--report {path}: there is no folder {path.parent}")


def _say(found: Report, console: Console) -> None:
    if found.failure:
        console.print(escape(found.failure), soft_wrap=True, highlight=False)
        return
    console.print(escape(str(found)), soft_wrap=True, highlight=False)
    verdict = (
        "right, as far as was looked" if found.decided else "undecided: choose other arguments"
    )
    console.print(f"{escape(found.name)}: {verdict}", style="green" if found.decided else "yellow")


# What is checked --------------------------------------------------------------------------------


def subject(target: str, vjp: str | None, jvp: str | None, library: str | None) -> tuple[Any, str]:
    """What `check_grads` takes, and the library whose arrays it takes.

    Raises:
        Unusable: there is no such thing, or it is none.
    """
    if library is not None and library not in LIBRARIES:
        raise Unusable(f"--library {library}: expected one of {', '.join(LIBRARIES)}")
    f = named(target)
    if vjp is not None or jvp is not None:
        rules = [None if x is None else named(x) for x in (vjp, jvp)]
        f = (f, *rules) if jvp is not None else (f, rules[0])
    if not isinstance(f, tuple | list) and not callable(f):
        raise Unusable(f"{target} is {type(f).__name__}; expected a function, or a pair (f, vjp)")
    if isinstance(f, tuple | list):
        if len(f) < 2 or not callable(f[0]):
            raise Unusable(f"{target} is no pair of functions (f, vjp): {f!r}")
        if library not in (None, "numpy"):
            raise Unusable(f"--library {library}: a pair is of NumPy functions")
        return f, "numpy"
    if library == "numpy":
        raise Unusable("--library numpy: give the gradient too, with --vjp MODULE:NAME")
    return f, library or "autograd_core"


def named(target: str) -> Any:
    """What MODULE:NAME names; the working folder is looked in first, as `python -m` does.

    Raises:
        Unusable: there is none.
    """
    module, colon, path = target.partition(":")
    if not (module and colon and path):
        raise Unusable(f"{target}: expected MODULE:NAME, as in my_package.layers:swish")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise Unusable(f"{target}: cannot import {module}: {error}") from None
    except (Exception, SystemExit) as error:
        raise Unusable(f"{target}: {module} raises {type(error).__name__}: {error}") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise Unusable(f"{target}: {module} has no {path}")
        found = getattr(found, name)
    return found


# Its arguments ------------------------------------------------------------------------------------


class Array:
    """An argument that is drawn.

    Args:
        spec: a match of ARRAY.
        name: of the parameter, "" if it is not known.
    """

    def __init__(self, spec: re.Match, name: str):
        self.name = spec["name"] or name
        lengths = [n.strip() for n in spec["shape"].split(",") if n.strip()]
        if not all(n.isdecimal() for n in lengths):
            raise Unusable(f'--arg "{spec[0]}": expected a shape such as [3,4]')
        self.shape = tuple(map(int, lengths))
        self.domain: Domain | None = None
        try:
            self.dtype = np.dtype(spec["dtype"])
        except TypeError:
            raise Unusable(f'--arg "{spec[0]}": {spec["dtype"]} is no dtype') from None
        if self.dtype.kind not in "fiu":
            raise Unusable(f'--arg "{spec[0]}": {self.dtype} is not checked; expected float or int')

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        """Values from the domain, apart from each other."""
        if not self.is_float and self.domain is None:
            return rng.integers(*INTEGERS, self.shape).astype(self.dtype)
        try:
            return (self.domain or domain(None)).fill(rng, self.shape, self.dtype)
        except ValueError as error:
            raise Unusable(f"argument {self.name}: {error}") from None


def arguments(f: Any, specs: Sequence[str], domains: Sequence[str]) -> list[Any]:
    """The arguments: arrays to draw, and objects.

    Raises:
        Unusable: a specification is none, or names nothing.
    """
    names = parameters(f)
    made: list[Any] = []
    for n, spec in enumerate(specs):
        match = ARRAY.fullmatch(spec)
        made.append(Array(match, names[n] if n < len(names) else "") if match else literal(spec))
    arrays = [x for x in made if isinstance(x, Array)]
    if not arrays and not floats_of(made):
        wanted = f" ({', '.join(names)})" if names else ""
        raise Unusable(f'give its arguments{wanted}, as in --arg "float64[3,4]"')
    for text in domains:
        _restrict(arrays, text)
    return made


def parameters(f: Any) -> list[str]:
    """What a function calls its arguments; none where it does not say."""
    try:
        return list(inspect.signature(f[0] if isinstance(f, tuple | list) else f).parameters)
    except (TypeError, ValueError):
        return []


def literal(spec: str) -> Any:
    """A Python literal."""
    try:
        return ast.literal_eval(spec)
    except (ValueError, SyntaxError):
        raise Unusable(
            f'--arg "{spec}": expected an array as "float64[3,4]", or a Python literal'
        ) from None


def _restrict(arrays: Sequence[Array], text: str) -> None:
    """Give the array that a condition names this domain."""
    try:
        given = domain(text)
    except ValueError as error:
        raise Unusable(f'--domain "{text}": {error}') from None
    meant = [x for x in arrays if x.name == given.name]
    if not meant and len(arrays) == 1:
        meant = list(arrays)
    if not meant:
        names = ", ".join(x.name for x in arrays if x.name) or "none has a name"
        raise Unusable(
            f'--domain "{text}": no array is called {given.name}; arrays: {names} (name one as in '
            f'--arg "{given.name}: float64[3]")'
        )
    for array in meant:
        array.domain = given if array.domain is None else _both(array.domain, given, text)


def _both(first: Domain, second: Domain, text: str) -> Domain:
    try:
        return domain(f"({first.text}) and ({second.text})")
    except ValueError as error:
        raise Unusable(f'--domain "{text}": {error}') from None


# The check -------------------------------------------------------------------------------------


def checked(
    f: Any, library: str, makers: Sequence[Any], draws: int, seed: int, options: dict[str, Any]
) -> Report:
    """A report of all draws, until something is wrong.

    Raises:
        Unusable: the function raises at the arguments, or an option is none.
    """
    found: Report | None = None
    for each in range(seed, seed + draws):
        rng = np.random.default_rng(each)
        args = [x.drawn(rng) if isinstance(x, Array) else x for x in makers]
        given = [native(x, library) if isinstance(x, np.ndarray) else x for x in args]
        report = _report(f, given, each, options | {"within": _within(makers)})
        if found is None:
            found = report
        else:
            found.merge(report)
        if found.failure:
            found.failure += f"\n  arguments: drawn with --seed {each}"
            break
    assert found is not None
    return found


def floats_of(makers: Sequence[Any]) -> list[Any]:
    """The arrays and numbers that are differentiated."""
    leaves = tree_flatten(list(makers))[0]
    return [x for x in leaves if isinstance(x, float) or getattr(x, "is_float", False)]


def _within(makers: Sequence[Any]) -> list[Domain | None] | None:
    """Where to search: in the domains of the floating-point arguments, where they have one."""
    found = [getattr(x, "domain", None) for x in floats_of(makers)]
    return found if any(found) else None


def _report(f: Any, args: Sequence[Any], seed: int, options: dict[str, Any]) -> Report:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndecidedWarning)
            return check_grads(f, *args, entries=True, seed=seed, **options)
    except GradientError as error:
        assert error.report is not None
        return error.report
    except ImportError as error:
        raise Unusable(str(error)) from None
    except Exception as error:
        raise Unusable(f"{type(error).__name__}: {error}") from error


def native(x: np.ndarray, library: str) -> Any:
    """An array as the library has them."""
    if library == "numpy":
        return x
    try:
        module = importlib.import_module("jax.numpy" if library == "jax" else library)
    except ImportError:
        raise Unusable(f"--library {library}: it is not installed") from None
    if library == "jax":  # which makes single precision of double unless it is told not to
        sys.modules[library].config.update("jax_enable_x64", True)
    return module.asarray(x)


if __name__ == "__main__":
    app(prog_name="python -m autograd_core.check")
