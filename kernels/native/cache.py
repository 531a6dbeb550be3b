"""Machine code, and what else takes time to make, kept on disk for the next process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs

MOST_FILES = 1000
"""Older files are deleted where there are more."""


def folder() -> Path:
    """``METAGRAD_CACHE``, or the user's cache folder."""
    base = os.environ.get("METAGRAD_CACHE") or platformdirs.user_cache_dir("metagrad")
    return Path(base) / "programs"


def get(key: str, make: Callable[[], bytes]) -> bytes:
    """What is kept under a key; made, and kept, where there is nothing whole.

    Args:
        key: names the content: the same key is never used for another one.
    """
    found = find(key)
    if found is None:
        keep(key, found := make())
    return found


def find(key: str) -> bytes | None:
    """What is kept under a key; None where there is nothing whole."""
    try:
        return _checked((folder() / key).read_bytes())
    except OSError:
        return None


def keep(key: str, content: bytes) -> None:
    """Write a file, if there is a place for it."""
    with contextlib.suppress(OSError):  # no folder to write to, or a full disk: all but fatal
        _write(folder() / key, content)


def _checked(data: bytes) -> bytes | None:
    """The content behind its checksum; None where they do not fit each other."""
    checksum, content = data[:32], data[32:]
    return content if hashlib.sha256(content).digest() == checksum else None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _prune(path.parent)


def _prune(directory: Path) -> None:
    files = list(directory.iterdir())
    if len(files) <= MOST_FILES:
        return
    by_age = sorted(files, key=lambda p: p.stat().st_mtime)
    for path in by_age[: len(files) - MOST_FILES]:
        path.unlink(missing_ok=True)
