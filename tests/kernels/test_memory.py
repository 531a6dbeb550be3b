"""Addresses and pages."""

import numpy as np
import pytest

from kernels.memory import address, asked_address, pages, read_address

ARRAYS = [
    np.empty(0),
    np.zeros(()),
    np.arange(12.0)[3::2],
    np.arange(12.0).reshape(3, 4).T,
    np.arange(12.0)[::-1],
    np.frombuffer(b"12345678", np.uint8)[1:],
    np.broadcast_to(np.float32(1), (2, 3)),
    np.zeros(2, [("a", "i4"), ("b", "f8")])["b"],
]


@pytest.mark.parametrize("x", ARRAYS)
def test_addresses(x):
    assert address(x) == read_address(x) == asked_address(x) == x.ctypes.data


def test_pages_are_zeros_of_ones_own():
    x, y = pages(2**22), pages(2**22)
    assert x.ctypes.data % 4096 == 0
    x[...] = 1
    assert not y.any()
