"""The device that tests of the GPU run on."""

from collections.abc import Iterator

import pytest

from kernels.devices import devices
from tests.gpu.standin import in_place_of_cupy


@pytest.fixture(scope="module")
def cuda() -> Iterator[str]:
    """A GPU, or where there is none what stands in for CuPy and it."""
    if len(devices()) > 1:
        yield "cuda:0"
    else:
        with in_place_of_cupy():
            yield "cuda:0"
