"""The one error that everything reading or sampling data raises, and words for it."""

from collections.abc import Iterable


class DataError(ValueError):
    """Data that cannot be used, said in one line: what is wrong, what was expected, what to do."""

    def __init__(self, message: str):
        # File names and other libraries' messages may hold line breaks; the promise is one line.
        super().__init__(message.replace("\r", " ").replace("\n", " "))


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first of some names, and how many more there are: "'a', 'b' … and 990 more"."""
    quoted = [repr(name) for name in names]
    more = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" … and {more:,} more" if more > 0 else "")


def amount(number: int, noun: str, plural: str | None = None) -> str:
    """Such as "1 image", "2 classes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
