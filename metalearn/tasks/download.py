"""Fetching a published file, checked against its published checksum."""

import hashlib
import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path

from metalearn.tasks.cache import atomic_write
from metalearn.tasks.errors import DataError

# progress(what, done, total): called as work goes on; total is 0 where it is not known.
Progress = Callable[[str, int, int], None]

CHUNK = 1 << 16
TIMEOUT_S = 30.0


def fetch(url: str, path: Path, md5: str, max_bytes: int, progress: Progress | None = None) -> Path:
    """Download `url` to `path` unless it lies there already, and return `path`.

    The file appears only when it is complete and its MD5 is the published one. `progress` is
    called with bytes. Raises `DataError` when offline, or when the checksum or size is wrong.
    """
    if path.is_file() and md5_of(path) == md5:
        return path
    try:
        _download(url, path, md5, max_bytes, progress)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"cannot download {url} ({getattr(error, 'reason', None) or error}); go online, or "
            "download it elsewhere and give the folder that holds it with --data"
        ) from error
    return path


def _download(url: str, path: Path, md5: str, max_bytes: int, progress: Progress | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, atomic_write(path) as file:
        total = int(response.headers.get("Content-Length") or 0)
        digest, done = hashlib.md5(usedforsecurity=False), 0
        while chunk := response.read(CHUNK):
            done += len(chunk)
            if done > max_bytes:
                raise DataError(f"{url}: more than {max_bytes:,} bytes; this is not the data set")
            digest.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(f"downloading {path.name}", done, total)
        if digest.hexdigest() != md5:
            raise DataError(
                f"{url}: MD5 {digest.hexdigest()} of {done:,} bytes; expected {md5}: the download "
                "was cut off or changed on the way, try again"
            )


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hex. Published beside the data; it guards against damage only."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
