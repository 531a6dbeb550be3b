"""Benchmarks run here without peers: importing one fails, as where it is not installed."""

from __future__ import annotations

import sys

import pytest

PEERS = ("torch", "jax", "autograd")


@pytest.fixture
def no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in PEERS:
            monkeypatch.delitem(sys.modules, name)
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)
