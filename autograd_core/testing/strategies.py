"""Draws backed by Hypothesis, so that a failing example shrinks. Needs Hypothesis installed."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from autograd_core.testing.draw import Draw


class HypothesisDraw(Draw):
    """Draws from the `data()` of a Hypothesis test."""

    def __init__(self, data: Any):
        super().__init__(empty=data.draw(st.integers(0, 7), "empty") == 7)
        self._data = data

    def _integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))
