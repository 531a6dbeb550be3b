"""Classes of a user's own files, named on the command line as "file.py:Class"."""

import functools
import hashlib
import importlib.util
import os
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
        raise OptionError(
            f"{what} {file}: the file cannot be imported ({type(error).__name__}: {error}); "
            "--debug shows where"
        ) from error
    return module


def digest(name: str) -> str:
    """sha256 of the file's text."""
    return hashlib.sha256(Path(whole_name(name).rpartition(":")[0]).read_bytes()).hexdigest()
