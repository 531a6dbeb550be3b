"""Pytrees of tensors in safetensors files, written so that a file is always whole.

A file holds one array a leaf, named by its path ("params.blocks.0.weight"), and one entry of
metadata: JSON with what the caller records and a sha256 of the arrays, since the format itself
would not notice a changed byte.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

import autograd_core as ac
from metalearn.errors import RunError

FORMAT = 1
KEY = "metagrad"  # one entry, since safetensors keeps several in no fixed order

Arrays = dict[str, np.ndarray]


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content as a whole: after a crash at any moment it is the old or the new.

    Where several processes write the same file, each does so as a whole, and the last one stays.

    Raises `RunError` when it cannot be written; the old content is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise RunError(
            f"{path}: cannot be written ({error.strerror}); what was saved before is intact: "
            "make room or give access, then continue"
        ) from error


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # the error worth telling is the one that led here
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk, where the system can be asked to."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(path: Path, tree: Any, record: Mapping[str, Any]) -> None:
    """Write a pytree of tensors with a JSON record. Raises `RunError`, see `write_atomically`."""
    arrays = named_arrays(tree)
    about = {"format": FORMAT, "sha256": digest(arrays), "record": record}
    write_atomically(path, to_bytes(arrays, {KEY: json.dumps(about)}))


def load(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """The tree in a file, which has the names, shapes and dtypes of `like`; and its record.

    Raises `RunError` when the file is missing, damaged, or of another model.
    """
    arrays, record = read(path)
    expected = named_arrays(like)
    _check_names(path, arrays, expected)
    for name, array in expected.items():
        found = arrays[name]
        if (found.shape, found.dtype) != (array.shape, array.dtype):
            raise RunError(
                f"{path}: a checkpoint of another model: {name} is {found.dtype} {found.shape}; "
                f"this run's is {array.dtype} {array.shape}"
            )
    _, structure = ac.tree_flatten(like)
    return ac.tree_unflatten(structure, [ac.asarray(arrays[n]) for n in expected]), record


def _check_names(path: Path, arrays: Arrays, expected: Arrays) -> None:
    missing, extra = sorted(expected.keys() - arrays), sorted(arrays.keys() - expected)
    if missing or extra:
        what = f"lacks {missing[0]}" if missing else f"holds {extra[0]}, which this run's lacks"
        raise RunError(f"{path}: a checkpoint of another model: it {what}")


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays in a file by name, and its record. Raises `RunError`."""
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})[KEY])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = about["sha256"] == digest(arrays)
        record = dict(about["record"])
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such checkpoint; expected a run that has saved one") from error
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: not a complete checkpoint of this program ({error}); it is cut off or "
            "damaged: use another checkpoint, or train again"
        ) from error
    if not whole:
        raise RunError(
            f"{path}: damaged: its contents do not fit their sha256; use another checkpoint, or "
            "train again"
        )
    return arrays, record


def named_arrays(tree: Any) -> Arrays:
    """Each leaf as an array, by the dotted path of its place in the tree."""
    names = [".".join(re.findall(r"\w+", path)) for path in ac.tree.tree_paths(tree)]
    leaves = [np.asarray(leaf, order="C") for leaf in ac.tree_leaves(tree)]
    return dict(zip(names, leaves, strict=True))


def digest(arrays: Arrays) -> str:
    """sha256 over names, dtypes, shapes and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
