"""Decoded datasets kept on disk as plain arrays, so that the second read takes milliseconds."""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import platformdirs

# Raise when decoding changes, so that older files are no longer found.
FORMAT = 1

Arrays = dict[str, np.ndarray]


def cache_dir() -> Path:
    """Where downloads and decoded datasets lie: $METAGRAD_CACHE, or the user's cache folder."""
    return Path(os.environ.get("METAGRAD_CACHE") or platformdirs.user_cache_dir("metagrad"))


def cached(name: str, key: object, build: Callable[[], Arrays]) -> Arrays:
    """The arrays that `build()` returned for this key before, or those it returns now.

    `key` is plain data (JSON) that names everything the arrays depend on. A file that is damaged
    or unreadable is built anew, and a folder that cannot be written costs a warning, not the run.
    """
    text = json.dumps([FORMAT, key], sort_keys=True)
    path = cache_dir() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"
    arrays = _load(path)
    if arrays is None:
        arrays = build()
        _store(path, arrays)
    return arrays


def _load(path: Path) -> Arrays | None:
    try:
        # An .npz is a zip with a checksum for each array, so damage anywhere shows here.
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception:  # damaged files make decoders fail in many ways; all are built anew
        return None


def _store(path: Path, arrays: Arrays) -> None:
    try:
        with atomic_write(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        warnings.warn(
            f"{path}: cannot write the cache ({error.strerror}); set METAGRAD_CACHE to a folder "
            "that can be written, to save the decoding next time",
            stacklevel=3,
        )


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when complete, also with two writers at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
