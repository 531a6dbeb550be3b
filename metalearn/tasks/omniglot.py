"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings each.

Lake, Salakhutdinov & Tenenbaum 2015, "Human-level concept learning through probabilistic program
induction"; published at https://github.com/brendenlake/omniglot.

The images are 105×105 and black and white. They are made grey and scaled to 28×28 with Pillow's
antialiased Lanczos filter, as learn2learn does, ink 1 on paper 0. (MAML's own script also names
Lanczos, but Pillow falls back to the nearest pixel for 1-bit images.)

Rotations follow MAML's code: each class of an episode is turned by its own random multiple of 90°,
in training *and* in validation and test episodes, and an episode draws distinct characters. So
there are 4 × as many classes, and no episode asks to tell a character from itself turned. For
held-out characters as they are, give the sampler `rotations=(0,)`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from metalearn.tasks.archives import Limits, Source, fingerprint, open_source
from metalearn.tasks.cache import Arrays, cache_dir, cached
from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.download import Progress, fetch
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess, read_image
from metalearn.tasks.random import distinct, stream_key, uniforms
from metalearn.tasks.splits import Split, random_split

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
ROTATIONS = (0, 90, 180, 270)
DRAWINGS = 20
TRAINING = 1200  # characters, in the papers' random split
SIDE = 105
LIMITS = Limits(file=1 << 16, total=1 << 28)
MAX_DOWNLOAD = 1 << 26


class Half(NamedTuple):
    """One of the two published zips: its name, what it holds, and its MD5 as published."""

    name: str
    alphabets: int
    characters: int
    md5: str

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.alphabets} alphabets, {self.characters} characters, "
            f"{DRAWINGS} drawings each)"
        )


BACKGROUND = Half("images_background", 30, 964, "68d2efa1b9178cc56df9314c21c6e718")
EVALUATION = Half("images_evaluation", 20, 659, "6b91aef0f799c5bb55b94e3f2daec811")


def load_omniglot(
    path: str | Path | Sequence[str | Path] | None = None,
    *,
    size: int = 28,
    cache: bool = True,
    progress: Progress | None = None,
) -> ImageDataset:
    """All of Omniglot, 32,460 images (1, size, size).

    `path` is a folder that holds images_background and images_evaluation, each as a .zip or
    unpacked, or the pair of these; without it both zips are downloaded once. Files are judged by
    what they hold. `progress(what, done, total)` is called while downloading (bytes) and decoding
    (images). The decoded images are cached; `cache=False` neither reads nor writes them.

    Classes are named as in the archives: "images_background/Greek/character01".
    Raises `DataError` when something is missing, damaged or not Omniglot.
    """
    paths = _locate(path, progress)
    preprocess = Preprocess(size=size)

    def build() -> Arrays:
        return _decode(paths, preprocess, progress)

    key = [[fingerprint(p) for p in paths], preprocess.to_dict()]
    arrays = cached("omniglot", key, build) if cache else build()
    classes = tuple(arrays["classes"].tolist())
    return ImageDataset(
        "omniglot", arrays["images"], classes, arrays["counts"], preprocess, ROTATIONS
    )


def omniglot_split(classes: Sequence[str], seed: int = 0, validation: int = 100) -> Split:
    """The papers' random split: 1,200 characters for training, the other 423 for test.

    Santoro et al. 2016 and Vinyals et al. 2016; as in MAML's code, 100 of the 1,200 are set aside
    for validation. Raises `DataError` when `classes` are not all of Omniglot's.
    """
    total = BACKGROUND.characters + EVALUATION.characters
    if len(set(classes)) != total:
        raise DataError(f"omniglot_split: {len(set(classes))} classes; expected all {total:,}")
    return random_split(
        classes, seed, test=total - TRAINING, validation=validation, version="omniglot-1200-1"
    )


def omniglot_alphabet_split(
    classes: Sequence[str], seed: int = 0, validation_alphabets: int = 5
) -> Split:
    """The authors' split by alphabet: train on the background set, test on the evaluation set.

    Validation takes whole alphabets out of the background set, chosen by the seed, so that it
    asks for what the test asks for: characters of alphabets never seen.
    Raises `DataError` when there are too few alphabets.
    """
    background = [c for c in classes if c.startswith(BACKGROUND.name + "/")]
    alphabets = sorted({_alphabet(c) for c in background})
    if not 0 <= validation_alphabets < len(alphabets):
        raise DataError(
            f"omniglot_alphabet_split: validation_alphabets={validation_alphabets}; expected "
            f"fewer than the {len(alphabets)} background alphabets"
        )
    uniform = uniforms(stream_key(seed, "split"), 0, [0], validation_alphabets)
    held_out = {alphabets[i] for i in distinct(uniform, len(alphabets))[0]}
    return Split(
        train=tuple(c for c in background if _alphabet(c) not in held_out),
        validation=tuple(c for c in background if _alphabet(c) in held_out),
        test=tuple(c for c in classes if not c.startswith(BACKGROUND.name + "/")),
        version="omniglot-alphabets-1",
        seed=seed,
    )


def _alphabet(name: str) -> str:
    return name.split("/")[1]


# Finding the files.

_WHERE = f"download both zips from {URL} or leave the path out"


def _locate(
    path: str | Path | Sequence[str | Path] | None, progress: Progress | None
) -> list[Path]:
    if path is None:
        return [_download(half, progress) for half in (BACKGROUND, EVALUATION)]
    if isinstance(path, str | Path):
        return [_find(Path(path), half) for half in (BACKGROUND, EVALUATION)]
    paths = [Path(p) for p in path]
    if len(paths) != 2:
        raise DataError(
            f"omniglot: {len(paths)} paths given; expected two, {BACKGROUND.name} and "
            f"{EVALUATION.name}"
        )
    for p, half in zip(paths, (BACKGROUND, EVALUATION), strict=True):
        if not p.exists():
            raise DataError(f"{p}: no such file or folder; expected {half}: {_WHERE}")
    return paths


def _download(half: Half, progress: Progress | None) -> Path:
    path = cache_dir() / "downloads" / "omniglot" / f"{half.name}.zip"
    return fetch(f"{URL}{half.name}.zip", path, half.md5, MAX_DOWNLOAD, progress)


def _find(folder: Path, half: Half) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected the folder with Omniglot: {_WHERE}")
    # A clone of the authors' repository and torchvision's download keep the zips one level down.
    for place in (folder, folder / "python", folder / "omniglot-py"):
        for name in (f"{half.name}.zip", half.name):
            if (place / name).exists():
                return place / name
    raise DataError(
        f"{folder}: holds neither {half.name}.zip nor the folder {half.name}; expected a folder "
        f"with both halves of Omniglot: {_WHERE}"
    )


# Reading them.


def _decode(paths: Sequence[Path], preprocess: Preprocess, progress: Progress | None) -> Arrays:
    files: list[tuple[str, Source, str]] = []
    with ExitStack() as stack:
        for half, path in zip((BACKGROUND, EVALUATION), paths, strict=True):
            source = stack.enter_context(open_source(path, LIMITS))
            drawings = _drawings(source)
            _check_contents(path, half, drawings)
            files += [(half.name + "/" + name, source, file) for name, file in drawings]
        files.sort(key=lambda entry: (entry[0], entry[2]))
        images = np.empty((len(files), 1, preprocess.size, preprocess.size), np.uint8)
        for i, (_, source, file) in enumerate(files):
            images[i] = read_image(source.read(file), file, preprocess, expected_size=(SIDE, SIDE))
            if progress is not None and (i + 1) % 500 == 0:
                progress("reading Omniglot", i + 1, len(files))
    if progress is not None:
        progress("reading Omniglot", len(files), len(files))
    counts = Counter(name for name, _, _ in files)
    return {
        "images": images,
        "classes": np.array(list(counts)),
        "counts": np.array(list(counts.values()), np.int64),
    }


def _drawings(source: Source) -> list[tuple[str, str]]:
    """("Greek/character01", file name in the source) of each image in the published layout."""
    found = []
    for file in source.names:
        match = re.search(r"(?:^|/)([^/]+/character\d+)/[^/.][^/]*\.png$", file)
        if match and not file.startswith("__MACOSX/"):
            found.append((match[1], file))
    return found


def _check_contents(path: Path, half: Half, drawings: list[tuple[str, str]]) -> None:
    characters = Counter(name for name, _ in drawings)
    alphabets = {PurePosixPath(name).parent for name in characters}
    found = (len(alphabets), len(characters))
    if found == half[1:3] and set(characters.values()) == {DRAWINGS}:
        return
    other = EVALUATION if half == BACKGROUND else BACKGROUND
    what = (
        f"this is {other.name}"
        if found == other[1:3]
        else f"{found[0]} alphabets, {found[1]} characters, {len(drawings)} drawings"
    )
    raise DataError(
        f"{path}: {what}; expected {half}: give the zip published at {URL}{half.name}.zip"
    )
