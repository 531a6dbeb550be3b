"""From an image file to pixels: one preprocessing for datasets and for a user's own images."""

import io
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from metalearn.tasks.download import Progress
from metalearn.tasks.errors import DataError

# Raster formats whose decoders are part of Pillow. Naming them keeps out the ones that run other
# programs (EPS) or fetch other files.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
# A file with one of these endings is meant as an image. The last ones cannot be read, and are
# listed so that a phone's HEIC photo is reported and not silently left out.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"),
    *(".heic", ".heif", ".avif", ".svg", ".eps"),
)
MAX_PIXELS = 64_000_000
MAX_PHOTO_PIXELS = 200_000_000
"""Of a JPEG file, which can be decoded at an eighth of its size, as phones make them."""
COLOURED, COLOURED_SHARE = 32, 0.01
"""An image is in colour where more levels than that, of 255, are between two channels in more than
that share of its pixels, once it is scaled down: less is noise of a sensor or of JPEG (30 levels in
CMYK), or paper that is not quite white."""
LOOKED_AT = 64
"""Pixels a side that colours are looked for in."""
INKS = ("auto", "dark", "light", "keep")


@dataclass(frozen=True)
class Preprocess:
    """How an image of any size becomes a (channels, size, size) array of uint8.

    `ink` says what the bright end means afterwards:

    - "keep": brightness as it is. The image is stretched to the square, as is done for
      mini-ImageNet.
    - "dark": dark ink on light paper, inverted so that ink is 1; "light": light ink on a dark
      ground, kept. Padded with paper to a square, so that shapes keep their proportions.
    - "auto": the median brightness is taken for the paper, since ink covers less than half of a
      page; ink is the side of it on which the range reaches further. Levels are stretched so that
      paper is 0 and the strongest ink 1, which brings an evenly lit photo or scan to the levels
      of a clean drawing. On images that are black and white only, as Omniglot's, this is exactly
      "dark" or "light".

    The resize is Pillow's Lanczos with antialiasing, on 8-bit grey levels. Raises `DataError` for
    settings out of range.
    """

    size: int = 28
    channels: int = 1
    ink: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 1024:
            raise DataError(f"size must be from 1 to 1024 pixels, not {self.size}")
        if self.channels not in (1, 3):
            raise DataError(f"channels must be 1 (grey) or 3 (RGB), not {self.channels}")
        if self.ink not in INKS:
            raise DataError(f"ink must be one of {', '.join(INKS)}, not {self.ink!r}")
        if self.channels == 3 and self.ink != "keep":
            raise DataError(f"ink={self.ink!r} needs grey images; use channels=1 or ink='keep'")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocess":
        """Raises `DataError` for unknown or wrong fields."""
        try:
            return cls(**data)
        except TypeError as error:
            raise DataError(f"preprocess record {json.dumps(dict(data))}: {error}") from error

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An opened image to (channels, size, size) uint8."""
        image = _flatten(image).convert("L" if self.channels == 1 else "RGB")
        if self.ink != "keep":
            levels = _ink_levels(image, self.ink)
            image = _pad_to_square(Image.fromarray(levels[np.asarray(image)]))
        image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
        return np.asarray(image).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


def read_image(
    source: Path | bytes,
    name: str,
    preprocess: Preprocess,
    expected_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Decode one image file, given as a path or as its bytes: (channels, size, size) uint8.

    Raises `DataError` naming the image when it cannot be read, has too many pixels, or is not of
    the expected (width, height).
    """
    with _open(source, name) as image:
        _reduce(image, preprocess.size)
        if image.width * image.height > MAX_PIXELS:
            raise _too_large(name, f"{image.width}×{image.height} pixels", MAX_PIXELS)
        if expected_size is not None and image.size != expected_size:
            raise DataError(
                f"{name}: {image.width}×{image.height} pixels; expected "
                f"{expected_size[0]}×{expected_size[1]}: give the data set as published"
            )
        side = max(image.size)
        if preprocess.ink != "keep" and side * side > MAX_PIXELS:
            padded = f"{image.width}×{image.height} pixels, padded to a square"
            raise _too_large(name, padded, MAX_PIXELS)
        try:
            return preprocess(image)
        except Exception as error:
            raise _unreadable(name, error) from error


def resized(
    pixels: np.ndarray,
    preprocess: Preprocess,
    what: str = "",
    progress: Progress | None = None,
) -> np.ndarray:
    """Square images (n, C, side, side) uint8 at another size: (n, C, size, size) uint8.

    The same filter as for files; `what` is told to `progress` as they are made.
    """
    size = preprocess.size
    if pixels.shape[-1] == size:
        return np.ascontiguousarray(pixels)
    images = np.empty((*pixels.shape[:2], size, size), np.uint8)
    for i, image in enumerate(pixels):
        for channel, levels in enumerate(image):
            scaled = Image.fromarray(levels).resize((size, size), Image.Resampling.LANCZOS)
            images[i, channel] = np.asarray(scaled)
        if progress is not None and ((i + 1) % 500 == 0 or i + 1 == len(pixels)):
            progress(what, i + 1, len(pixels))
    return images


def is_coloured(source: Path | bytes, name: str) -> bool:
    """Whether an image file has colours. Raises `DataError` as `read_image`."""
    with _open(source, name) as image:
        if image.mode in ("1", "L", "LA") or image.mode[0] in "IF":
            return False
        try:
            image.draft("RGB", (LOOKED_AT, LOOKED_AT))  # of a JPEG: decode no more than needed
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(name, f"{image.width}×{image.height} pixels", MAX_PIXELS)
            shown = _flatten(image).convert("RGB")
            shown.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
        except DataError:
            raise
        except Exception as error:
            raise _unreadable(name, error) from error
        pixels = np.asarray(shown, np.int16)
    apart = pixels.max(axis=-1) - pixels.min(axis=-1)
    return bool((apart > COLOURED).mean() > COLOURED_SHARE)


def _open(source: Path | bytes, name: str) -> Image.Image:
    """Read the header and judge the size; pixels are decoded later."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        return _open_photo(source, name, error)
    # Damaged files make decoders fail in many ways (struct.error, IndexError, …), and whichever
    # it is, the user has to be told which file.
    except Exception as error:
        raise _unreadable(name, error) from error
    _check_size(image, name)
    return image


def _open_photo(source: Path | bytes, name: str, refused: Exception) -> Image.Image:
    """A file whose pixels are more than Pillow opens by itself, where it is a JPEG."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = JpegImageFile(file)
    except Exception:
        pixels = "".join(re.findall(r"\d+", str(refused))[:1])  # Pillow says how many
        raise _too_large(name, f"{int(pixels or 0):,} pixels", MAX_PIXELS) from refused
    _check_size(image, name)
    return image


def _check_size(image: Image.Image, name: str) -> None:
    limit = MAX_PHOTO_PIXELS if isinstance(image, JpegImageFile) else MAX_PIXELS
    if image.width * image.height > limit:
        size = f"{image.width}×{image.height} pixels"
        image.close()
        raise _too_large(name, size, limit)


def _reduce(image: Image.Image, size: int) -> None:
    """Let a JPEG of very many pixels be decoded at a half, a quarter or an eighth of its size, as
    long as more than enough is left."""
    if image.width * image.height > MAX_PIXELS:
        image.draft(None, (max(image.width // 8, 2 * size), max(image.height // 8, 2 * size)))


def _unreadable(name: str, error: Exception) -> DataError:
    reason = "not a known format" if isinstance(error, Image.UnidentifiedImageError) else error
    return DataError(
        f"{name}: cannot be read as an image ({reason}); expected a complete "
        f"{', '.join(FORMATS)} file: replace or remove it"
    )


def _too_large(name: str, reason: str, limit: int) -> DataError:
    return DataError(
        f"{name}: image too large ({reason}); expected at most {limit:,} pixels: scale it down"
    )


def _flatten(image: Image.Image) -> Image.Image:
    """Upright, on white paper where transparent, at 8 bits a channel."""
    if image.mode == "1":
        return image
    file_format = image.format
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        return Image.fromarray(_eight_bits(np.asarray(image), file_format))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image


def _eight_bits(levels: np.ndarray, file_format: str | None) -> np.ndarray:
    """Grey levels of 16 bits, also where Pillow gives them as wider integers, at 8 bits.

    Raises `ValueError` for levels whose scale is not known.
    """
    high = levels.max(initial=0)
    if levels.dtype.kind == "f" or levels.min(initial=0) < 0 or high > 0xFFFF:
        raise ValueError("its levels are neither of 8 nor of 16 bits")
    wide = levels.dtype.itemsize == 2 or file_format == "PPM" or high > 0xFF
    return (levels >> 8 if wide else levels).astype(np.uint8)


def _ink_levels(image: Image.Image, ink: str) -> np.ndarray:
    """(256,) uint8 from brightness to ink, 0 for paper and 255 for ink."""
    if ink != "auto":
        return _stretch(255, 0) if ink == "dark" else _stretch(0, 255)
    counts = np.array(image.histogram())
    cumulative = counts.cumsum()
    paper = int(cumulative.searchsorted(cumulative[-1] / 2))  # the median
    low, high = counts.nonzero()[0][[0, -1]].tolist()
    return _stretch(paper, _strongest(low, paper, high))


def _strongest(low: Any, paper: Any, high: Any) -> Any:
    """The level of ink: the end that lies further from the paper."""
    return low if paper - low >= high - paper else high


@lru_cache(maxsize=1024)
def _stretch(paper: int, ink: int) -> np.ndarray:
    """The table that takes `paper` to 0 and `ink` to 255; all 0 where they are the same."""
    if paper == ink:
        return np.zeros(256, np.uint8)
    table = (np.arange(256) - paper) / (ink - paper)
    return np.rint(255 * table.clip(0, 1)).astype(np.uint8)


def ink_of(images: np.ndarray) -> str:
    """Which ink, "dark" or "light", images of one source have: any levels, (n, …), at least one.

    The rule of "auto" for all pixels together, since one image may well be covered by its ink.
    """
    paper, low, high = _median(images), images.min(), images.max()
    return "dark" if float(paper) > (float(low) + float(high)) / 2 else "light"


def with_bright_ink(images: np.ndarray, ink: str) -> np.ndarray:
    """Grey images, (n, 1, H, W) of uint8 or of floats in [0, 1], with bright ink on dark paper.

    "dark" inverts all of them. "auto" treats those of dark ink on light paper as it does files, and
    leaves the others, which may be what a network saw already. "light" and "keep" leave all.
    """
    white = images.dtype.type(255 if images.dtype == np.uint8 else 1)
    if ink == "dark":
        return white - images
    if ink != "auto" or not len(images):
        return images
    return np.stack([_with_bright_ink(image, white) for image in images])


def _with_bright_ink(image: np.ndarray, white: Any) -> np.ndarray:
    paper, low, high = map(float, (_median(image), image.min(), image.max()))
    if paper == low or _strongest(low, paper, high) != low:
        return image
    levels = white * ((paper - image) / (paper - low)).clip(0, 1)
    return (np.rint(levels) if image.dtype == np.uint8 else levels).astype(image.dtype)


def _median(levels: np.ndarray) -> Any:
    """The lower one where there are two, which is a level that occurs."""
    middle = (levels.size - 1) // 2
    return np.partition(levels, middle, axis=None)[middle]


def _pad_to_square(image: Image.Image) -> Image.Image:
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("L", (side, side), 0)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
