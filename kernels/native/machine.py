"""Machine code from LLVM's assembly language, by the LLVM that comes with Numba."""

from __future__ import annotations

import ctypes
import functools
import itertools
from typing import Any

import numpy as np

from kernels.native import nests as llvm
from kernels.loops import Loop, simplified

_names = itertools.count()


@functools.cache
def _machine() -> Any:
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    features = binding.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3, jit=True
    )


@functools.cache
def _engine() -> Any:
    import llvmlite.binding as binding

    return binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())


def compile_text(text: str) -> bytes:
    """An object file of a module's text, optimised for this machine."""
    import llvmlite.binding as binding

    machine = _machine()
    module = binding.parse_assembly(f'target triple = "{machine.triple}"\n{text}')
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def load(code: bytes) -> Any:
    """Make an object file's functions callable; the engine that knows their addresses."""
    import llvmlite.binding as binding

    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


class Compiled:
    """A fused loop as a function of arrays: those of its buffers, in order."""

    def __init__(self, loop: Loop):
        self.loop = simplified(loop)
        self.name = f"loop{next(_names)}"
        self.buffers = llvm.buffers(self.loop)
        engine = load(compile_text(llvm.module([llvm.function(self.loop, self.name)])))
        kinds = [ctypes.c_void_p] * len(self.buffers) + [ctypes.c_int64] * 2
        self._run = ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address(self.name))

    def __call__(self, *arrays: np.ndarray) -> None:
        pointers = [arrays[k].ctypes.data for k in self.buffers]
        self._run(*pointers, 0, self.loop.shape[0] if self.loop.shape else 1)
