"""Fashion-MNIST, and any file of the idx format.

Xiao, Rasul & Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms": 70,000 grey images of 28×28 of ten kinds of clothing, 7,000 each, light on dark. Debian
and Ubuntu have it as the package `dataset-fashion-mnist`. The format is described at
http://yann.lecun.com/exdb/mnist/: two zero bytes, the type of the numbers, how many axes; the
lengths of the axes as big-endian 32-bit numbers; the numbers.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np

from metalearn.tasks.archives import fingerprint
from metalearn.tasks.cache import Arrays, cached
from metalearn.tasks.datasets import ImageDataset
from metalearn.tasks.download import Progress
from metalearn.tasks.errors import DataError
from metalearn.tasks.images import Preprocess, resized

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
HALVES = ("train", "t10k")
SIDE = 28
MAX_BYTES = 1 << 30
GZIP = b"\x1f\x8b"
UNSIGNED_BYTES = 8


def load_fashion_mnist(
    path: str | Path | None = None,
    *,
    size: int = 28,
    cache: bool = True,
    progress: Progress | None = None,
) -> ImageDataset:
    """All of Fashion-MNIST, training and test images together: 70,000 images (1, size, size).

    `path` is a folder with the four files, such as train-images-idx3-ubyte.gz, compressed or not;
    without it, where Debian's package `dataset-fashion-mnist` puts them. Images are as published,
    clothing light on 0; another size is made by Lanczos, and cached.

    Raises `DataError` when a file is missing, damaged or not Fashion-MNIST.
    """
    folder = Path(path or DEBIAN)
    files = [
        _find(folder, half, kind) for half in HALVES for kind in ("images-idx3", "labels-idx1")
    ]
    preprocess = Preprocess(size, 1, "light")

    def build() -> Arrays:
        pixels, labels = _read(files)
        order = np.argsort(labels, kind="stable")
        images = resized(pixels[order][:, None], preprocess, "reading Fashion-MNIST", progress)
        return {"images": images, "counts": np.bincount(labels, minlength=len(CLASSES))}

    key = [[fingerprint(file) for file in files], preprocess.to_dict()]
    arrays = cached("fashion-mnist", key, build) if cache else build()
    return ImageDataset(
        "fashion-mnist", arrays["images"], CLASSES, arrays["counts"].astype(np.int64), preprocess
    )


def read_idx(path: str | Path) -> np.ndarray:
    """The array of an idx file of unsigned bytes, gzipped or not: uint8 of its shape.

    Raises `DataError` for a file that is missing, damaged, or of another type.
    """
    path = Path(path)
    data = _unpacked(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTES or not 1 <= data[3] <= 4:
        raise DataError(
            f"{path}: begins with {data[:4].hex(' ') or 'nothing'}; expected 00 00 08 and the "
            "number of axes, an idx file of bytes: download it again"
        )
    start = 4 + 4 * data[3]
    shape = tuple(
        int(n) for n in np.frombuffer(data[4:start][: len(data[4:start]) // 4 * 4], ">u4")
    )
    expected = int(np.prod(shape, dtype=object))
    if len(shape) != data[3] or len(data) - start != expected:
        raise DataError(
            f"{path}: its header says {'×'.join(map(str, shape))}, {expected:,} bytes, but "
            f"{max(len(data) - start, 0):,} follow; it is cut off or damaged, download it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _unpacked(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error}); it is cut off or damaged, download it again"
        ) from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check that it is there and may be read"
        ) from error
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: more than {MAX_BYTES:,} bytes; this is not the data set")
    return data


def _find(folder: Path, half: str, kind: str) -> Path:
    # The published names, and those that some tools write when they unpack.
    names = [
        f"{half}-{kind}-ubyte",
        f"{half}-{kind}-ubyte.gz",
        f"{half}-{kind.replace('-', '.')}-ubyte",
    ]
    for place in (folder, folder / "FashionMNIST" / "raw", folder / "raw"):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise DataError(
        f"{folder}: no {names[1]}; expected the four files of Fashion-MNIST: install Debian's "
        "package dataset-fashion-mnist (apt install dataset-fashion-mnist), or give the folder "
        "that holds them with --data"
    )


def _read(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) and labels (n,), uint8, of both halves together."""
    pixels, labels = [], []
    for image_file, label_file in zip(files[::2], files[1::2], strict=True):
        images, marks = read_idx(image_file), read_idx(label_file)
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise DataError(
                f"{image_file}: holds {'×'.join(map(str, images.shape))} bytes; expected images of "
                f"{SIDE}×{SIDE}"
            )
        if marks.shape != images.shape[:1]:
            raise DataError(
                f"{label_file}: {'×'.join(map(str, marks.shape))} labels for {len(images)} images "
                f"of {image_file.name}; expected files of one download"
            )
        if marks.max(initial=0) >= len(CLASSES):
            raise DataError(
                f"{label_file}: a label {marks.max()}; expected 0 to {len(CLASSES) - 1}: this is "
                "not Fashion-MNIST"
            )
        pixels.append(images)
        labels.append(marks)
    return np.concatenate(pixels), np.concatenate(labels)
