"""Finding where a NaN comes from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from autograd_core import reverse
from autograd_core.errors import NanError
from autograd_core.primitive import REGISTRY, Primitive, describe_argument

blocks: list[None] = []
"""One entry for each block at work: `jit` compiles nothing in them."""
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@contextmanager
def debug_nans() -> Iterator[None]:
    """Raise at the first operation that produces a NaN, in the forward or the backward pass.

    The error names the operation, the line of your code that applied it, and, in a backward pass,
    the forward operation being differentiated and its line. Each result is looked at, so this is
    slow; outside the block it costs nothing. It holds for all threads. What `jit` would compile is
    run operation by operation.

    Raises:
        NanError: an operation without NaN among its arguments produced one.

    >>> with ac.debug_nans():
    ...     ac.log(ac.asarray(-1.0))
    Traceback (most recent call last):
        ...
    autograd_core.errors.NanError: log(float64[]) produced a NaN at ...
    """
    kernels = {name: primitive.kernel for name, primitive in REGISTRY.items()}
    make_node = reverse.Node.__init__

    def located(node: Any, *args: Any, **kwargs: Any) -> None:
        make_node(node, *args, **kwargs)
        reverse.forward_lines[node.order] = users_line()

    for primitive in list(REGISTRY.values()):
        primitive.kernel = _checked(primitive, primitive.kernel)
    reverse.Node.__init__ = located  # type: ignore[assignment,method-assign]
    blocks.append(None)
    try:
        yield
    finally:
        blocks.pop()
        reverse.Node.__init__ = make_node  # type: ignore[assignment,method-assign]
        reverse.forward_lines.clear()
        for name, kernel in kernels.items():
            REGISTRY[name].kernel = kernel


def _checked(primitive: Primitive, kernel: Callable) -> Callable:
    def checked(*args: Any, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            out = kernel(*args, **params)
        outs = out if primitive.multiple else (out,)
        if any(map(_has_nan, outs)) and not any(map(_has_nan, args)):
            given = ", ".join(map(describe_argument, args))
            raise NanError(f"{primitive.name}({given}) produced a NaN at {users_line()}")
        return out

    return checked


def _has_nan(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") == "f" and bool(np.isnan(x).any())


def users_line() -> str:
    """The innermost line outside this package on the stack, as `file:line in function`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
