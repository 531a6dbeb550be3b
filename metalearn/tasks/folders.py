"""Folders of images: any folder of class folders as a dataset, and a user's own new task.

Files and folders whose name starts with a dot are left out, and so are files that are not images
by their ending (notes, labels). A file with an image's ending that cannot be read is left out of a
dataset, with a line that names it; in a new task it is an error.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from metalearn.tasks.archives import fingerprint, walk
from metalearn.tasks.cache import Arrays, cached
from metalearn.tasks.datasets import ImageDataset, to_float
from metalearn.tasks.download import Progress
from metalearn.tasks.errors import DataError, amount, listed
from metalearn.tasks.images import SUFFIXES, Preprocess, is_coloured, read_image


def load_folder(
    path: str | Path,
    size: int = 28,
    *,
    channels: int = 1,
    ink: str | None = None,
    rotations: Sequence[int] = (0,),
    cache: bool = True,
    progress: Progress | None = None,
) -> ImageDataset:
    """A folder of class folders of images as a dataset, (channels, size, size) each.

    Every folder that holds images is a class, at any depth, named by its path below `path`:
    "Greek/alpha". `channels` is 1 (grey) or 3 (RGB); `ink` is explained at `Preprocess`, and is
    "auto" for grey and "keep" for RGB images when not given. `rotations` in degrees turn classes
    into new ones (see `EpisodeSampler`). The decoded images are cached until a file changes.
    Images that cannot be read are left out, and named in the dataset's `notes`.

    Raises `DataError` for a missing or empty folder, images outside class folders, or where no
    image can be read.
    """
    folder = Path(path)
    preprocess = Preprocess(size, channels, ink or ("auto" if channels == 1 else "keep"))
    files = class_files(folder, "data")
    _check_no_parts(folder, files)

    names = [name for found in files.values() for name in found]

    def build() -> Arrays:
        images, read = _read_readable(folder, names, preprocess, progress)
        return {"images": images, "read": read}

    key = [str(folder.resolve()), fingerprint(folder), preprocess.to_dict()]
    found = cached("folder", key, build) if cache else build()
    # Older versions did not cache a folder with an image that cannot be read.
    read = found.get("read", np.ones(len(names), bool))
    of_class = np.repeat(np.arange(len(files)), [len(its) for its in files.values()])
    return ImageDataset(
        name=folder.name,
        images=found["images"],
        classes=tuple(files),
        counts=np.bincount(of_class[read], minlength=len(files)).astype(np.int64),
        preprocess=preprocess,
        rotations=tuple(rotations),
        notes=_unread_notes([name for name, known in zip(names, read, strict=True) if not known]),
    )


def _unread_notes(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    are = "is" if len(names) == 1 else "are"
    what = f"{amount(len(names), 'image')} that cannot be read {are} left out"
    return (f"{what}: {listed(names)}",)


PARTS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}


def _check_no_parts(folder: Path, classes: Iterable[str]) -> None:
    """Raise `DataError` for class folders in folders for the parts of a split, which would make two
    classes of each, one to learn from and one to be tested on."""
    above = {PurePosixPath(name).parts[0] for name in classes}
    if len(above) > 1 and {name.lower() for name in above} <= PARTS:
        first = min(above, key=lambda name: not name.lower().startswith("train"))
        raise DataError(
            f"{folder}: holds {listed(sorted(above))}, parts of a split; expected a folder for "
            f"each class: give {folder / first}, whose classes are split anew, or keep the split "
            "by metalearn.tasks.load_split_folders in Python"
        )


def is_in_colour(path: str | Path, cache: bool = True, progress: Progress | None = None) -> bool:
    """Whether any image in a folder of class folders has colours (`images.is_coloured`); files are
    looked at up to the first, and what cannot be read has none. Raises `DataError`."""
    folder = Path(path)
    names = [name for found in class_files(folder, "data").values() for name in found]

    def looked() -> Arrays:
        for i, name in enumerate(names):
            with suppress(DataError):  # it is told of when the folder is read
                if is_coloured(folder / name, str(folder / name)):
                    return {"coloured": np.array(True)}
            if progress is not None:
                progress(f"looking for colours in {folder.name}", i + 1, len(names))
        return {"coloured": np.array(False)}

    key = [str(folder.resolve()), fingerprint(folder)]
    return bool((cached("colours", key, looked) if cache else looked())["coloured"])


class NewTask(NamedTuple):
    """A user's own task: labelled support examples, and query examples with labels where known.

    Images, or whatever its files hold (see `metalearn.transfer`); in regression labels are
    targets, (n, outputs) float32, and there are no classes.
    """

    classes: tuple[Any, ...]  # name of label 0, 1, …
    support: tuple[np.ndarray, np.ndarray]  # x (n, C, H, W) float32, y (n,) int64
    query: np.ndarray  # (m, C, H, W) float32
    query_labels: np.ndarray | None  # (m,) int64, or None when they are not known
    support_files: tuple[str, ...]  # n names relative to the support folder
    query_files: tuple[str, ...]  # m names relative to the query folder
    notes: tuple[str, ...] = ()  # what should be known of it, for people


def read_new_task(support: str | Path, query: str | Path, preprocess: Preprocess) -> NewTask:
    """Read the folders of a new task with the preprocessing of the dataset trained on.

    `support` holds one folder of images for each class. `query` holds either loose images, whose
    labels are not known, or class folders with names from the support, whose labels are then used
    to judge the predictions. Images that cannot be read are left out, and named in `notes`. Raises
    `DataError` naming the folder or file.
    """
    query = Path(query)
    classes, labelled, support_files, notes = read_support(support, preprocess)
    names, labelled_too = _query_files(query, classes)
    images, query_files, more = _readable(query, names, preprocess)
    return NewTask(
        classes=classes,
        support=labelled,
        query=images,
        query_labels=_labels(query_files, classes) if labelled_too else None,
        support_files=support_files,
        query_files=query_files,
        notes=notes + more,
    )


Labelled = tuple[np.ndarray, np.ndarray]


def read_support(
    folder: str | Path, preprocess: Preprocess
) -> tuple[tuple[str, ...], Labelled, tuple[str, ...], tuple[str, ...]]:
    """The names of the classes in a folder of class folders; its images x (n, C, H, W) float32 with
    labels y (n,) int64; the images' names; and notes on those that cannot be read, which are left
    out. Raises `DataError` naming the folder or file, and a class of which none can be read."""
    folder = Path(folder)
    found = class_files(folder, "support")
    if len(found) < 2:
        raise DataError(
            f"{folder}: support holds {len(found)} class; expected at least 2 class folders"
        )
    classes, files = tuple(found), [name for names in found.values() for name in names]
    x, read, notes = _readable(folder, files, preprocess)
    shown = set(map(_class_of, read))
    for name in classes:
        if name not in shown:
            raise DataError(
                f"{folder / name}: none of its images can be read; expected at least one of each "
                "class of the support: replace them, or remove the folder"
            )
    return classes, (x, _labels(read, classes)), read, notes


def read_images(folder: str | Path, preprocess: Preprocess) -> tuple[np.ndarray, tuple[str, ...]]:
    """The images below a folder, (n, C, H, W) float32, with their names, sorted. Raises
    `DataError`."""
    folder = Path(folder)
    files = _image_files(folder, "query")
    return to_float(_read_all(folder, files, preprocess)), tuple(files)


def class_files(folder: Path, role: str) -> dict[str, list[str]]:
    """The image files of each class folder below `folder`, both sorted, as relative names.

    `role` says in errors what the folder is for. Raises `DataError` when there are none, or when
    a folder holds images and class folders side by side.
    """
    classes: dict[str, list[str]] = {}
    for name in _image_files(folder, role):
        classes.setdefault(_class_of(name), []).append(name)
    if "." in classes:
        raise DataError(
            f"{folder / classes['.'][0]}: a loose image in the {role} folder; expected one folder "
            "of images for each class: move it into one"
        )
    for name in classes:
        for above in map(str, PurePosixPath(name).parents):
            if above in classes:
                raise DataError(
                    f"{folder / above}: holds images and the class folder {name!r}; expected a "
                    "folder to hold either images or class folders: move the images into one"
                )
    return dict(sorted(classes.items()))


def image_files(folder: Path) -> list[str]:
    """The names of the images below a folder, sorted, known by their endings."""
    return [name for name, _ in walk(folder) if PurePosixPath(name).suffix.lower() in SUFFIXES]


def _image_files(folder: Path, role: str) -> list[str]:
    if folder.is_file():
        raise DataError(f"{folder}: a file; expected the {role} folder: give the folder it is in")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the {role} folder with images")
    names = image_files(folder)
    if not names:
        raise DataError(
            f"{folder}: no images found in the {role} folder; expected files such as .png or .jpg"
        )
    return names


def _query_files(folder: Path, classes: tuple[str, ...]) -> tuple[list[str], bool]:
    """The names of the images, and whether they are in folders of classes."""
    names = _image_files(folder, "query")
    if all(_class_of(name) == "." for name in names):
        return names, False
    for name in class_files(folder, "query"):
        if name not in classes:
            raise DataError(
                f"{folder / name}: query class {name!r} is not in the support; expected folders "
                f"named as those, {listed(classes)}, or loose images"
            )
    return names, True


def _labels(names: Iterable[str], classes: tuple[str, ...]) -> np.ndarray:
    return np.array([classes.index(_class_of(name)) for name in names], dtype=np.int64)


def _class_of(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _read_all(folder: Path, names: Sequence[str], preprocess: Preprocess) -> np.ndarray:
    """(len(names), channels, size, size) uint8. Raises `DataError` for one that cannot be read."""
    images = [read_image(folder / name, str(folder / name), preprocess) for name in names]
    return np.stack(images)


def _readable(
    folder: Path, names: Sequence[str], preprocess: Preprocess
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """The images that can be read, (n, C, H, W) float32, their names, and notes on the others.
    Raises `DataError` where none can be, or access is denied."""
    images, read = _read_readable(folder, names, preprocess, None)
    known = tuple(name for name, is_read in zip(names, read, strict=True) if is_read)
    others = [str(folder / name) for name, is_read in zip(names, read, strict=True) if not is_read]
    return to_float(images), known, _unread_notes(others)


def _read_readable(
    folder: Path, names: Sequence[str], preprocess: Preprocess, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """The images that can be read, (n, channels, size, size) uint8, and which those are,
    (len(names),) bool. Raises `DataError` where none can be, or access is denied."""
    side = preprocess.size
    images = np.empty((len(names), preprocess.channels, side, side), np.uint8)
    errors: dict[int, DataError] = {}
    for i, name in enumerate(names):
        try:
            images[i] = read_image(folder / name, str(folder / name), preprocess)
        except DataError as error:
            if isinstance(error.__cause__, PermissionError):
                raise  # a cache of what was left out would not see that access is given
            errors[i] = error
        if progress is not None:
            progress(f"reading {folder.name}", i + 1, len(names))
    if len(errors) == len(names):
        raise errors[0]
    read = np.array([i not in errors for i in range(len(names))])
    return images[read], read
