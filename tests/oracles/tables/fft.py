"""Fourier transforms, as functions of real and imaginary parts."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import autograd_core as ac
from tests.oracles.rows import Row, normal
from tests.oracles.tables.complex import in_parts, of_parts

RENAMED = {"axis": "dim", "axes": "dim"}
X = (3, 4, 5)

ONE: tuple[dict[str, Any], ...] = (
    {},
    {"axis": 0, "norm": "ortho"},
    {"n": 7, "axis": 1, "norm": "forward"},
    {"n": 2},
    {"n": 1, "norm": "ortho"},
)
SEVERAL: tuple[dict[str, Any], ...] = (
    {},
    {"axes": (0, 2), "norm": "ortho"},
    {"s": (5, 3), "axes": (2, 1), "norm": "forward"},
    {"s": (4,), "axes": (-1,)},
)
SHIFTS: tuple[dict[str, Any], ...] = ({}, {"axes": (0, 2)})
OPTIONS = {
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"), ONE),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), SEVERAL),
    **dict.fromkeys(("fft2", "ifft2", "rfft2", "irfft2"), SEVERAL[:3]),
    **dict.fromkeys(("fftshift", "ifftshift"), SHIFTS),
}
OF_REAL_ALONE = {"rfft", "ihfft", "rfftn", "rfft2"}
OF_COMPLEX_ALONE = {"irfft", "hfft", "irfftn", "irfft2"}


def of_real(name: str, options: dict[str, Any]) -> Row:
    """A transform of real numbers."""
    ours, theirs = _both(name, options)
    return Row(
        f"fft.{name}",
        normal(X),
        lambda x: in_parts(ours(x), ac),
        lambda t, x: in_parts(theirs(t, x), t),
        f"real {options}",
    )


def of_complex(name: str, options: dict[str, Any]) -> Row:
    """A transform of complex numbers."""
    return of_parts(Row(f"fft.{name}", normal(X), *_both(name, options), f"{options}"))


def _both(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Our function of an array, and that of another library and an array."""
    renamed = {RENAMED.get(k, k): v for k, v in options.items()}
    find = attrgetter(f"fft.{name}")
    return lambda x: find(ac)(x, **options), lambda t, x: find(t)(x, **renamed)


FFT = [
    *(of_real(f, o) for f, each in OPTIONS.items() if f not in OF_COMPLEX_ALONE for o in each),
    *(of_complex(f, o) for f, each in OPTIONS.items() if f not in OF_REAL_ALONE for o in each),
]
