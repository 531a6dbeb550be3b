"""NVIDIA's compiler for CUDA C++ at run time, as CuPy binds it. It needs no GPU."""

from __future__ import annotations

from kernels.gpu.source import assembled

ARCHITECTURES = (80, 90, 100)


class CompileError(RuntimeError):
    """A CUDA source that does not compile: a defect of ours, with the compiler's words."""


def absent() -> str | None:
    """Why there is no compiler; None where there is one."""
    try:
        from cupy.cuda import nvrtc

        nvrtc.getVersion()
    except Exception as error:  # a library that cannot be loaded fails in many ways
        return f"no NVRTC ({error}); pip install cupy-cuda13x nvidia-cuda-nvrtc"
    return None


def compile_source(source: str, architecture: int) -> bytes:
    """The machine code (cubin) of a source for one architecture, such as 90 for sm_90.

    Raises:
        ImportError: CuPy, or NVRTC itself, is missing.
        CompileError: the source is wrong.
    """
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(assembled(source), "metagrad.cu", (), ())
    try:
        options = (f"--gpu-architecture=sm_{architecture}", "-std=c++17", "--fmad=true")
        nvrtc.compileProgram(program, options)
        return bytes(nvrtc.getCUBIN(program))
    except nvrtc.NVRTCError as error:
        raise CompileError(f"{error}\n{nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)
