"""Small data sets on disk, and the check that an error is one clear line."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metalearn.tasks import DataError, ImageDataset, Preprocess, TabularDataset, load_tables

ALPHABETS = {
    "images_background": {"Greek": 2, "Latin": 1, "Runes": 2},
    "images_evaluation": {"Angelic": 3, "Tengwar": 1},
}


@contextmanager
def raises_data_error(*fragments: object) -> Iterator[None]:
    """Expect a `DataError` whose single line holds every fragment: the file, what was expected…"""
    with pytest.raises(DataError) as info:
        yield
    message = str(info.value)
    assert "\n" not in message and len(message) > 20
    for fragment in fragments:
        assert str(fragment) in message, f"{fragment!s} not in: {message}"


def png(pixels: np.ndarray) -> bytes:
    """A PNG of a bool (1-bit) or uint8 (H, W), (H, W, 3) or (H, W, 4) array."""
    return encode(Image.fromarray(pixels), "PNG")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int = 100_000) -> bytes:
    """A few hundred bytes whose header promises side × side pixels."""
    data = bytearray(png(np.zeros((1, 1), bool)))
    header = bytearray(data[12:29])
    header[4:12] = side.to_bytes(4, "big") * 2
    data[12:33] = header + zipfile.crc32(header).to_bytes(4, "big")
    return bytes(data)


def drawing(number: int) -> bytes:
    """A 105×105 1-bit drawing: black on white, a bar at the top left as long as the number."""
    paper = np.ones((105, 105), bool)
    paper[8:20, 10 : 20 + number] = False
    return png(paper)


def small_omniglot(half: str) -> dict[str, bytes]:
    """Files of a half of Omniglot that is like the real one but for the number of characters."""
    files, number = {}, 0
    for alphabet, characters in ALPHABETS[half].items():
        for character in range(1, characters + 1):
            number += 1
            for sample in range(1, 21):
                name = f"{half}/{alphabet}/character{character:02d}/{number:04d}_{sample:02d}.png"
                files[name] = drawing(4 * number + sample % 4)
    return files


def write_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def numbered_dataset(counts: list[int], rotations: tuple[int, ...] = (0,)) -> ImageDataset:
    """One pixel an image, whose value is the image's row / 4096: exact in float32."""
    total = sum(counts)
    images = (np.arange(total, dtype=np.float32) / 4096).reshape(total, 1, 1, 1)
    names = tuple(f"c{i:03d}" for i in range(len(counts)))
    return ImageDataset("numbered", images, names, np.array(counts), Preprocess(1), rotations)


def rows_of(pixels: np.ndarray) -> np.ndarray:
    """The rows that pixels of a `numbered_dataset` came from."""
    return np.rint(pixels[..., 0, 0, 0] * 4096).astype(int)


def table_rows(kind: str) -> list[dict[str, object]]:
    """Rows of twelve tasks, t00 to t11, with a running number, unlike in all rows, and a colour.

    "classification": labels no and yes in every task; "own": labels of the task's own, of which one
    has a single row; "regression": the target is three times the number.
    """
    rows: list[dict[str, object]] = []
    for task in range(12):
        for i in range(12 + task % 3):
            number = len(rows)
            target: object = 3 * number
            if kind == "classification":
                target = "yes" if i % 2 else "no"
            if kind == "own":
                target = f"t{task}-{'rare' if i == 0 else i % 2}"
            colour = ("red", "green", "")[number % 3]
            rows.append({"task": f"t{task:02d}", "number": number, "colour": colour, "y": target})
    return rows


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def table_of_tasks(kind: str) -> TabularDataset:
    """`table_rows` as read, and with `numbers(x)`, which gives back the running numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_csv(Path(folder) / f"{kind}.csv", table_rows(kind))
        table = load_tables(
            path,
            task="task",
            target="y",
            kind="regression" if kind == "regression" else "classification",
            labels="own" if kind == "own" else "shared",
        )
    number = table.preprocess.features[0]
    numbers = lambda x: x[..., 0].astype(np.float64) * number.scale + number.mean
    object.__setattr__(table, "numbers", numbers)
    return table
