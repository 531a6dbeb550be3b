"""Addresses and pages."""

import numpy as np
import pytest

from kernels.memory import Pool, address, asked_address, pages, read_address

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


def test_blocks_are_lent_to_one_at_a_time_and_kept():
    pool = Pool()
    with pool.lent([5000, 9000]) as (small, large):
        assert small.nbytes >= 5000 and large.nbytes >= 9000
        with pool.lent([4000]) as (other,):
            assert other.ctypes.data not in (small.ctypes.data, large.ctypes.data)
    kept = pool.bytes
    assert kept == small.nbytes + large.nbytes + other.nbytes
    with pool.lent([4000, 8000]) as (again, more):
        assert again.ctypes.data == other.ctypes.data  # the smallest that is large enough
        assert more.ctypes.data == large.ctypes.data
    assert pool.bytes == kept


def test_a_larger_block_takes_the_place_of_a_smaller_one():
    pool = Pool()
    for size in (4096, 8192, 65536):
        with pool.lent([size]):
            pass
    assert pool.bytes == 65536


def test_blocks_come_back_from_calls_that_fail():
    pool = Pool()
    with pytest.raises(ValueError), pool.lent([4096]):
        raise ValueError
    assert pool.bytes == 4096
