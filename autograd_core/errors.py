"""The errors this engine raises on purpose; each message says what was expected and what to do."""


class AutogradError(Exception):
    """Base class of every error the engine raises on purpose."""


class ShapeError(AutogradError, ValueError):
    """An operation was given arguments whose shapes do not fit."""


class DtypeError(AutogradError, TypeError):
    """An operation was given arguments whose dtypes do not fit."""


class RuleError(AutogradError, NotImplementedError):
    """A derivative or batching rule was asked for that does not exist, for the stated reason."""


class EscapedTracerError(AutogradError, RuntimeError):
    """A traced value was used after the transform that made it had ended."""


class ConcreteValueError(AutogradError, TypeError):
    """A concrete number was asked of a value that has none (a batch of them, say)."""


class NanError(AutogradError, FloatingPointError):
    """Raised under `debug_nans()` by the first operation that produced a NaN."""
