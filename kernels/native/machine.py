"""Machine code from LLVM's assembly language, by the LLVM that comes with Numba."""

from __future__ import annotations

import functools
import hashlib
import os
import warnings
from typing import Any

from kernels.native.vectors import Registers


@functools.cache
def llvm_loads() -> bool:
    """Whether machine code is wanted (``METAGRAD_NUMBA=0`` says no), and LLVM can be loaded. Numba
    itself, which takes three times as long to load, is not."""
    if os.environ.get("METAGRAD_NUMBA", "1") == "0":
        return False
    try:
        import llvmlite.binding  # noqa: F401
    except Exception as error:  # one that does not fit this system fails in many ways
        message = f"LLVM cannot be loaded, so nothing is compiled: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return False
    return True


def machine() -> Any:
    """What is compiled for: this processor with all it can do. An engine takes its own along when
    it is dropped, so none can be shared."""
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    features = binding.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=features, opt=3, jit=True
    )


@functools.cache
def registers() -> Registers:
    """The vector registers of this processor."""
    import llvmlite.binding as binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return Registers(32, 64)
    if features.get("avx2"):
        return Registers(16, 32)
    return Registers(32 if features.get("neon") else 16, 16)


def compile_text(text: str) -> bytes:
    """An object file of a module's text, optimised for this machine."""
    import llvmlite.binding as binding

    target = machine()
    module = binding.parse_assembly(f'target triple = "{target.triple}"\n{text}')
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = True
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return target.emit_object(module)


def host() -> tuple:
    """What machine code depends on beside its text: the processor, and the compiler."""
    import llvmlite.binding as binding

    features = binding.get_host_cpu_features().flatten()
    return binding.get_host_cpu_name(), features, binding.llvm_version_info


def key_of(text: str) -> str:
    """Names what a text is compiled to."""
    return hashlib.sha256(f"{host()}\n{text}".encode()).hexdigest()


def load(code: bytes) -> Any:
    """An engine that holds an object file's functions: it must outlive them."""
    import llvmlite.binding as binding

    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine
