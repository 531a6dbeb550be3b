"""Random generators from outside: what a captured function draws from them, it draws once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from autograd_core.capture.trace import Captured
from autograd_core.errors import AutogradError

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)


def without_hidden_randomness(
    make: Callable[[], Captured], name: str, read: Iterable[Any]
) -> Captured:
    """What `make` captures.

    Args:
        make: captures a function.
        name: of the transform, for errors.
        read: what the function reads from outside.

    Raises:
        AutogradError: it draws from a global generator, or from one of those it reads.
    """
    own = [x for x in read if isinstance(x, GENERATORS)]
    shared_before, own_before = _shared_states(), list(map(_state, own))
    found = make()
    shared = _shared_states() == shared_before
    if shared and list(map(_state, own)) == own_before:
        return found
    if not shared and threading.active_count() > 1 and list(map(_state, own)) == own_before:
        # Another thread may have drawn from the global generators. Then this one gets the same.
        again = make()
        if _written_out(again) == _written_out(found):
            return again
    raise AutogradError(
        f"{name}: the function draws random numbers from a generator from outside, which would be "
        "the same at every call; pass a key, and draw with autograd_core.random"
    )


def _shared_states() -> list[Any]:
    return [_comparable(np.random.get_state()), random.getstate()]  # noqa: NPY002


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return _comparable(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return _comparable(generator.get_state())
    return generator.getstate()


def _comparable(state: Any) -> Any:
    if isinstance(state, np.ndarray):
        return state.tobytes()
    if isinstance(state, dict):
        return {key: _comparable(x) for key, x in state.items()}
    return tuple(map(_comparable, state)) if isinstance(state, tuple) else state


def _written_out(captured: Captured) -> tuple:
    values = (x.value for x in captured.graph.constants.values() if x.interpreter is None)
    return str(captured.graph), *(np.asarray(x).tobytes() for x in values)
