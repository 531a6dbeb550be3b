"""Classes of a user's own files, named on the command line as "file.py:Class"."""

import functools
import hashlib
import importlib.util
import os
import traceback
from pathlib import Path

from metalearn.errors import OptionError


def is_own(name: str) -> bool:
    """Whether a name is one of these."""
    return ".py:" in name


def whole_name(name: str) -> str:
    """The name with the file's whole path: a run may be used from elsewhere."""
    file, _, cls = name.rpartition(":")
    return f"{os.path.abspath(file)}:{cls}"


def short_name(name: str) -> str:
    """The class alone."""
    return name.rpartition(":")[2]


def own_class(what: str, name: str, base: type) -> type:
    """The class of that name, a subclass of `base`; `what` says in errors what it is for.

    Raises `OptionError` where there is no such file or class, or the file cannot be imported.
    """
    file, _, cls = whole_name(name).rpartition(":")
    FILES.add(file)
    found = getattr(_module(what, file), cls, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise OptionError(
            f"{what} {name}: expected a class of that name, a subclass of "
            f"{base.__module__}.{base.__name__}"
        )
    return found


@functools.cache
def _module(what: str, file: str) -> object:
    """A file as a module, once, so that its classes are the same ones each time."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if not Path(file).is_file() or spec is None or spec.loader is None:
        raise OptionError(f"{what} {file}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        place = place_in_own(error)
        told = named(error) if place is None else f"{place}: {named(error)}"
        raise OptionError(
            f"{what} {file}: the file cannot be imported ({told}); --debug shows all of it"
        ) from error
    return module


FILES: set[str] = set()
"""Those that a command uses, or tries to."""


def own_files() -> list[str]:
    """The names of the users' own files that are in use."""
    return sorted(Path(file).name for file in FILES)


def told_by_own(error: BaseException) -> str | None:
    """An error that came from a user's own file, or from what that called, in words: "mine.py, line
    12, in step: AttributeError: …"; None where no such file had a part in it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        place = place_in_own(error)
        if place is not None:
            return f"{place}: {named(error)}"
        hidden = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or hidden  # type: ignore[assignment]
    return None


def place_in_own(error: BaseException) -> str | None:
    """The last line in a user's own file that an error passed through; None where there is none."""
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_filename in FILES:
            inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
            place = f"{Path(code.co_filename).name}, line {line}{inside}"
    return place


def named(error: BaseException) -> str:
    """Such as "KeyError: 'size'"."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def digest(name: str) -> str:
    """sha256 of the file's text."""
    return hashlib.sha256(Path(whole_name(name).rpartition(":")[0]).read_bytes()).hexdigest()
