"""The errors this engine raises on purpose; each message says what was expected and what to do."""

import sys

import kernels.devices


def operation() -> str:
    """`"sum: "` where an error is about to be raised on behalf of the public operation `sum`.

    Found by walking up the stack to where the caller's code begins, so that helpers need not be
    told for whom they work.
    """
    name, frame = "", sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("autograd_core."):
        module, function = frame.f_globals["__name__"], frame.f_code.co_name
        if module.startswith(("autograd_core.ops.", "autograd_core.nn.")):
            name = name if function.startswith(("_", "<")) else function
        elif module == "autograd_core.declare":
            name = getattr(frame.f_locals.get("primitive"), "name", name)
        frame = frame.f_back  # type: ignore[assignment]
    return f"{name}: " if name else ""


class AutogradError(Exception):
    """Base class of every error the engine raises on purpose."""


class ShapeError(AutogradError, ValueError):
    """An operation was given arguments whose shapes do not fit."""


class AxisError(ShapeError, IndexError):
    """An array has no such axis, or it is named twice."""


class DtypeError(AutogradError, TypeError):
    """An operation was given arguments whose dtypes do not fit."""


class RuleError(AutogradError, NotImplementedError):
    """A derivative or batching rule was asked for that does not exist, for the stated reason."""


class EscapedTracerError(AutogradError, RuntimeError):
    """A traced value was used after the transform that made it had ended."""


class ConcreteValueError(AutogradError, TypeError):
    """A concrete number was asked of a value that has none (a batch of them, say)."""


class DonatedError(AutogradError, RuntimeError):
    """A tensor was used whose memory had been given to `jit` (`donate_argnums`)."""


class DeviceError(AutogradError, kernels.devices.DeviceError):
    """A device is not there, or tensors that meet lie on different ones."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has not enough memory for what was asked of it."""

    ADVICE = (
        "To need less: checkpoint() what is recorded (metalearn: --remat every), a smaller "
        "meta-batch (--meta-batch), or tasks in slices (--task-slice)."
    )


class NanError(AutogradError, FloatingPointError):
    """Raised under `debug_nans()` by the first operation that produced a NaN; and where a solver's
    result is not finite."""
