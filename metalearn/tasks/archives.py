"""Reading files out of a folder or a zip that may be broken or hostile.

Nothing is unpacked to disk. A zip is refused as a whole when one entry has a name that leads out
of the archive, is a link, is encrypted, or when it says it unpacks to more than the caller
allows. What is actually unpacked is counted too, since the sizes in the headers are only a claim.
"""

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from metalearn.tasks.errors import DataError

MAX_ENTRIES = 200_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Limits(NamedTuple):
    """The most bytes that one file and all files together may unpack to."""

    file: int = 1 << 20
    total: int = 1 << 28


class Source(Protocol):
    """A tree of files: `names` relative and with forward slashes, sorted."""

    names: list[str]

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises `DataError`."""


@contextmanager
def open_source(path: Path, limits: Limits) -> Iterator[Source]:
    """A folder or a zip as a `Source`. Raises `DataError` naming the path or the entry."""
    if path.is_dir():
        yield FolderSource(path, limits)
        return
    with open_zip(path) as archive:
        yield ZipSource(path, archive, limits)


class FolderSource:
    """The files below a folder; links are followed."""

    def __init__(self, path: Path, limits: Limits):
        self.path, self.limits = path, limits
        self.names = [name for name, _ in walk(path)]

    def read(self, name: str) -> bytes:
        file = self.path / name
        try:
            with file.open("rb") as stream:
                data = stream.read(self.limits.file + 1)
        except OSError as error:
            raise DataError(
                f"{file}: cannot be read ({error.strerror}); check that it is there and may be read"
            ) from error
        return _within(data, self.limits.file, str(file))


class ZipSource:
    """The files in an opened zip, checked before any is read."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, limits: Limits):
        self.path, self.archive, self.limits = path, archive, limits
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise DataError(
                f"{path}: {len(entries):,} entries; expected at most {MAX_ENTRIES:,}: this is not "
                "the data set, download it again"
            )
        for entry in entries:
            check_entry(path, entry, limits)
        total = sum(entry.file_size for entry in entries)
        if total > limits.total:
            raise DataError(
                f"{path}: unpacks to {total:,} bytes; expected at most {limits.total:,}: "
                "this is not the data set, download it again"
            )
        self.names = sorted(entry.filename for entry in entries if not entry.is_dir())
        twice = [a for a, b in pairwise(self.names) if a == b]
        if twice:
            raise DataError(
                f"{path}: entry {twice[0]!r} is there twice; the zip is damaged, download it again"
            )

    def read(self, name: str) -> bytes:
        label = f"{self.path}: {name}"
        try:
            with self.archive.open(name) as stream:
                data = stream.read(self.limits.file + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as e:
            raise DataError(
                f"{label}: cannot be unpacked ({e}); the zip is damaged, download it again"
            ) from e
        return _within(data, self.limits.file, label)


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip opened for reading. Raises `DataError` when it is missing, cut off or no zip."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder; expected a zip or a folder") from error
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a complete zip file ({error}); it may be cut off, download it again"
        ) from error
    with archive:
        yield archive


def check_entry(path: Path, entry: zipfile.ZipInfo, limits: Limits) -> None:
    """Raise `DataError` for an entry that is dangerous to open."""
    parts = re.split(r"[/\\]", entry.filename)
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise DataError(
            f"{path}: entry {entry.filename!r} leads out of the archive; expected relative names: "
            "do not use this file, download the data set again"
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise DataError(
            f"{path}: entry {entry.filename!r} is a symbolic link; expected plain files: "
            "do not use this file, download the data set again"
        )
    if entry.flag_bits & 0x1 or entry.compress_type not in METHODS:
        raise DataError(
            f"{path}: entry {entry.filename!r} is encrypted or packed in a rare way; expected "
            "stored or deflated files: download the data set again"
        )
    if entry.file_size > limits.file:
        raise DataError(
            f"{path}: entry {entry.filename!r} unpacks to {entry.file_size:,} bytes; "
            f"expected at most {limits.file:,}: this is not the data set, download it again"
        )


def _within(data: bytes, limit: int, label: str) -> bytes:
    if len(data) > limit:
        raise DataError(f"{label}: more than {limit:,} bytes; this is not the data set")
    return data


def walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """(relative name, entry) of every file below a folder, sorted; hidden ones are left out."""
    yield from sorted(_scan(folder, "", ()), key=lambda found: found[0])


def _scan(
    folder: Path | str, prefix: str, above: tuple[str, ...]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """`above` are the real paths of the folders around, in which a link must not end."""
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{folder}: a link to a folder that it lies in; remove it")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    for entry in entries:
        name = prefix + entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _scan(entry.path, name + "/", (*above, real))
        elif entry.is_file():
            yield name, entry
        elif entry.is_symlink():
            raise DataError(f"{entry.path}: a link to nothing; remove it, or restore its target")


def fingerprint(path: Path) -> str:
    """A sha256 that changes when a zip or a folder of files does.

    Of a zip, every byte counts. Of a folder, the names, sizes and times of change: reading tens of
    thousands of small files to see that none has changed would take longer than the cache saves.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for name, entry in walk(path):
            status = entry.stat()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check that it is there and may be read"
        ) from error
