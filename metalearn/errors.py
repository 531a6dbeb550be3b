"""The errors that the command line prints as one line. Data that cannot be used is a `DataError`.

Each message says what is wrong, what was expected and what to do.
"""


def printable(text: str) -> str:
    """A user's name for something, fit for a line: without line breaks, control characters, or
    bytes that are no text."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class MetalearnError(Exception):
    """Base of what a user can put right; `exit_code` is the command line's."""

    exit_code = 1

    def __init__(self, message: str):
        # Paths and other libraries' messages may hold line breaks; the promise is one line.
        super().__init__(printable(" ".join(message.split())))


class OptionError(MetalearnError):
    """An option that makes no sense, alone or beside the others."""

    exit_code = 2


class RunError(MetalearnError):
    """A run folder or a checkpoint that cannot be made, read or written."""


class DeviceFailure(MetalearnError):
    """A GPU that failed, or had not enough memory, in training; the run can go on."""


class DivergedError(MetalearnError):
    """Training met a loss, a gradient or a parameter that is not a finite number."""


class Interrupted(MetalearnError):
    """Training was told to stop, and saved what it had."""

    def __init__(self, message: str, exit_code: int = 130):
        super().__init__(message)
        self.exit_code = exit_code
