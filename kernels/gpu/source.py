"""The text of CUDA kernels: the prelude, and files of kernels written by hand."""

from __future__ import annotations

import functools
from pathlib import Path

FOLDER = Path(__file__).parent / "cuda"


@functools.cache
def text_of(name: str) -> str:
    """A file of `cuda/`."""
    return (FOLDER / name).read_text().replace("#pragma once\n", "")


def assembled(source: str) -> str:
    """A source behind what it needs."""
    return "\n".join([text_of("prelude.cuh"), text_of("products.cuh"), source])
