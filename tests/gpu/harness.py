"""CUDA kernels where there is no GPU: compiled by NVRTC, and run on the CPU by a host compiler."""

from collections.abc import Sequence

import numpy as np
import pytest

from kernels.gpu.host import HostKernels, compiler, places
from kernels.gpu.launch import Launch
from kernels.gpu.loops import alike, launch
from kernels.gpu.nvrtc import ARCHITECTURES, absent, compile_source
from kernels.loops import Access, Constant, Loop, Op

needs_host_compiler = pytest.mark.skipif(
    compiler() is None, reason="no C++ compiler to run CUDA kernels on the CPU with"
)


def compiles(source: str) -> None:
    """NVRTC takes the source for every architecture; skipped, with the reason, without NVRTC."""
    reason = absent()
    if reason:
        pytest.skip(reason)
    for architecture in ARCHITECTURES:
        assert compile_source(source, architecture)


def launches(loops: Sequence[Loop]) -> list[list[Launch]]:
    """The kernels of each loop, with names of their own."""
    return [
        [launch(part, f"loop{n}_{k}") for k, part in enumerate(alike(loop))]
        for n, loop in enumerate(loops)
    ]


def source_of(found: list[list[Launch]]) -> str:
    return "\n".join(each.source for some in found for each in some)


def run(cases: Sequence[tuple[Loop, Sequence[np.ndarray]]]) -> None:
    """Run loops on their arrays, all in one module."""
    found = launches([loop for loop, _ in cases])
    kernels = HostKernels(source_of(found), [each.name for some in found for each in some])
    for some, (_, arrays) in zip(found, cases, strict=True):
        for each in some:
            given = places([arrays[n] for n in each.operands])
            kernels.run(each.name, each.grid, (each.threads,), *given)


# What a loop means ----------------------------------------------------------------------------

UFUNCS = {
    "sigmoid": lambda x: (1 / (1 + np.exp(-x.astype("f8")))).astype(x.dtype),
    "where": np.where,
}
WORDS = {"sum": np.add, "max": np.maximum, "min": np.minimum}


def meaning(loop: Loop, arrays: Sequence[np.ndarray]) -> None:
    """Do what a loop says, with NumPy."""
    values: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for x in loop.body:
            values.append(_view(x, arrays, loop) if isinstance(x, Access) else _apply(x, values))
        for store in loop.stores:
            value = np.broadcast_to(values[store.value], loop.shape)
            target = _view(store.access, arrays, loop)
            if store.reduce:
                axes = tuple(
                    a for a, n in enumerate(loop.shape) if store.access.strides[a] == 0 and n > 1
                )
                wide = value.astype("f8") if value.dtype.kind == "f" else value
                value = WORDS[store.reduce].reduce(wide, axis=axes, keepdims=True)
                target = target[
                    tuple(slice(0, 1) if a in axes else slice(None) for a in range(target.ndim))
                ]
                if store.accumulate:
                    value = WORDS[store.reduce](target, value)
            elif store.accumulate:
                value = target + value
            target[...] = value


def _view(x: Access, arrays: Sequence[np.ndarray], loop: Loop) -> np.ndarray:
    memory = arrays[x.buffer].reshape(-1)
    strides = tuple(s * memory.itemsize for s in x.strides)
    return np.ndarray(loop.shape, memory.dtype, memory, x.offset * memory.itemsize, strides)


def _apply(op: Op, values: list[np.ndarray]) -> np.ndarray:
    beside = [values[x].dtype for x in op.inputs if not isinstance(x, Constant)]
    dtype = np.dtype("?" if op.dtype == "b1" else op.dtype)
    given = []
    for x in op.inputs:
        if isinstance(x, Constant):
            given.append(np.array(x.value, beside[0] if dtype == "?" and beside else dtype))
        else:
            given.append(values[x])
    if op.name == "cast":
        return given[0].astype(dtype)
    return UFUNCS.get(op.name, getattr(np, op.name, None))(*given)
